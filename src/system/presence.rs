//! Whether somebody is there: a person at this machine's own screen, who has just touched it.
//!
//! Asked only before somebody is to be bothered. What cannot be found out counts as nobody, except how long ago the
//! last input was: not every desktop tells. `LockedHint` is a hint that GNOME and KDE give and some lockers do not: its
//! yes is believed, its no is not proof. Nothing here needs the network.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::format::time::{MINUTE, Timestamp};
use crate::system::env::{self, Env};
use crate::system::process;

/// Input older than this means that nobody is looking. Seconds.
const IDLE_MAX: i64 = 5 * MINUTE;

/// Both systems answer in milliseconds.
const LIMIT: Duration = Duration::from_secs(5);

/// Why nobody is there, in a few words, or `Ok`.
///
/// # Errors
/// Nobody is there, or it cannot be found out.
pub fn somebody(env: &Env, now: Timestamp) -> Result<(), &'static str> {
    if env.get("SSH_CONNECTION").is_some() || env.get("SSH_TTY").is_some() {
        return Err("this is a remote session");
    }
    let uid = std::fs::metadata(&env.home).map_err(|_| "the home folder cannot be read")?;
    match env::is_mac() {
        true => at_mac(uid.uid()),
        false => at_linux(uid.uid(), now),
    }
}

fn at_linux(uid: u32, now: Timestamp) -> Result<(), &'static str> {
    // A service has no session of its own to ask about: the user's graphical one is asked for.
    let display = output(&[
        "loginctl",
        "show-user",
        &uid.to_string(),
        "-p",
        "Display",
        "--value",
    ])?;
    let id = display.trim();
    if id.is_empty() {
        return Err("there is no graphical session");
    }
    let properties = "Type,Remote,Active,LockedHint,IdleHint,IdleSinceHint";
    let session = output(&["loginctl", "show-session", id, "-p", properties])?;
    linux_session(&session, now)
}

/// Judges what `loginctl show-session` prints, a `Name=value` a line.
fn linux_session(properties: &str, now: Timestamp) -> Result<(), &'static str> {
    let value = |name: &str| {
        let mut lines = properties.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    if !matches!(value("Type"), Some("x11" | "wayland" | "mir")) {
        return Err("there is no graphical session");
    }
    if value("Remote") != Some("no") {
        return Err("the session is remote");
    }
    if value("Active") != Some("yes") {
        return Err("the session is not on the screen");
    }
    if value("LockedHint") == Some("yes") {
        return Err("the screen is locked");
    }
    let idle_since = value("IdleSinceHint").and_then(|micros| micros.parse::<i64>().ok());
    let is_idle = value("IdleHint") == Some("yes");
    // The hint is given after a few minutes already: how long ago counts, where it is told.
    match idle_since.filter(|micros| is_idle && *micros > 0) {
        Some(micros) if now.since(Timestamp(micros / 1_000_000)) <= IDLE_MAX => Ok(()),
        None if !is_idle => Ok(()),
        _ => Err("nobody has touched it for a while"),
    }
}

fn at_mac(uid: u32) -> Result<(), &'static str> {
    let console = std::fs::metadata(console()).map_err(|_| "there is no console")?;
    if console.uid() != uid {
        return Err("somebody else is on the screen");
    }
    mac_lock(&output(&["ioreg", "-n", "Root", "-d1"])?, uid)?;
    // From that entry on (`-r`), not the hundreds above it: the depth would count from the root.
    mac_idle(&output(&["ioreg", "-r", "-c", "IOHIDSystem", "-d", "1"])?)
}

/// Belongs to whoever is logged in at the screen.
fn console() -> OsString {
    #[cfg(debug_assertions)]
    if let Some(path) = env::var("AWS_SSO_REFRESH_CONSOLE") {
        return path; // tests sit at no screen
    }
    "/dev/console".into()
}

/// Looks for the locked screen in the registry's root, where every login of this machine has a `{...}`: other people's
/// are none of our business. Absent means unlocked.
fn mac_lock(registry: &str, uid: u32) -> Result<(), &'static str> {
    let is_ours = |login: &str| {
        let after = login.split_once(r#""kCGSSessionUserIDKey"="#);
        let number = after.and_then(|(_, rest)| rest.split([',', '}']).next());
        number.and_then(|number| number.parse().ok()) == Some(uid)
    };
    let is_locked = |login: &str| login.contains(r#""CGSSessionScreenIsLocked"=Yes"#);
    match registry
        .split("},{")
        .any(|login| is_ours(login) && is_locked(login))
    {
        true => Err("the screen is locked"),
        false => Ok(()),
    }
}

/// The first `"HIDIdleTime" = N`, in nanoseconds; a machine without it does not tell.
fn mac_idle(registry: &str) -> Result<(), &'static str> {
    const NANOS: i64 = 1_000_000_000;
    let idle = registry.lines().find_map(|line| {
        let (_, rest) = line.split_once(r#""HIDIdleTime""#)?;
        rest.trim_start_matches([' ', '='])
            .trim()
            .parse::<i64>()
            .ok()
    });
    match idle {
        Some(nanos) if nanos > IDLE_MAX * NANOS => Err("nobody has touched it for a while"),
        _ => Ok(()),
    }
}

fn output(words: &[&str]) -> Result<String, &'static str> {
    let argv: Vec<String> = words.iter().map(ToString::to_string).collect();
    match process::run(&argv, &[], LIMIT) {
        Ok(ended) if ended.status == 0 => Ok(ended.stdout),
        _ => Err("the system does not tell"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_464_251);

    /// A session at the desk with some lines changed; `None` where somebody is there.
    fn check(changes: &[(&str, &str)], expected: Option<&str>) {
        let mut lines = vec![
            ("Type", "wayland"),
            ("Remote", "no"),
            ("Active", "yes"),
            ("LockedHint", "no"),
            ("IdleHint", "no"),
            ("IdleSinceHint", "0"),
        ];
        for (name, value) in changes {
            lines.retain(|(known, _)| known != name);
            if !value.is_empty() {
                lines.push((name, value));
            }
        }
        let text: String = lines
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        assert_eq!(linux_session(&text, NOW).err(), expected, "{text}");
    }

    #[test]
    fn somebody_sits_at_the_desk() {
        check(&[], None);
        check(&[("Type", "x11")], None);
        check(&[("IdleHint", ""), ("LockedHint", "")], None);
    }

    #[test]
    fn each_sign_of_absence_is_enough() {
        for kind in ["tty", "unspecified", ""] {
            check(&[("Type", kind)], Some("there is no graphical session"));
        }
        check(&[("Remote", "yes")], Some("the session is remote"));
        check(&[("Remote", "")], Some("the session is remote"));
        check(
            &[("Active", "no")],
            Some("the session is not on the screen"),
        );
        check(&[("LockedHint", "yes")], Some("the screen is locked"));
    }

    #[test]
    fn input_counts_for_five_minutes() {
        let since = |seconds: i64| ((NOW.0 - seconds) * 1_000_000).to_string();
        let idle = ("IdleHint", "yes");
        check(&[idle, ("IdleSinceHint", &since(IDLE_MAX))], None);
        let away = Some("nobody has touched it for a while");
        check(&[idle, ("IdleSinceHint", &since(IDLE_MAX + 1))], away);
        check(&[idle, ("IdleSinceHint", "0")], away);
        check(&[idle, ("IdleSinceHint", "soon")], away);
        check(&[("IdleSinceHint", &since(DAY_AGO))], None);
    }

    const DAY_AGO: i64 = 86_400;

    #[test]
    fn a_mac_tells_by_its_registry() {
        let check = |logins: &[(&str, u32)], expected| {
            let logins: Vec<String> = logins
                .iter()
                .map(|(lock, uid)| {
                    format!(
                        "{{\"kCGSSessionOnConsoleKey\"=Yes,{lock}\"kCGSSessionUserNameKey\"=\"ada\",\
                         \"kCGSSessionUserIDKey\"={uid}}}"
                    )
                })
                .collect();
            let registry = format!(
                "+-o Root  <class IORegistryEntry, id 0x100000100, retain 30>\n    {{\n      \
                 \"IOConsoleUsers\" = ({})\n      \"IOKitDiagnostics\" = {{\"Classes\"={{\"A\"=1}}}}\n    }}\n",
                logins.join(",")
            );
            assert_eq!(mac_lock(&registry, 501), expected, "{registry}");
        };
        let lock = r#""CGSSessionScreenLockedTime"=1786984979,"CGSSessionScreenIsLocked"=Yes,"#;
        let locked = Err("the screen is locked");
        check(&[("", 501)], Ok(()));
        check(&[(lock, 501)], locked);
        check(&[("", 502), (lock, 501), ("", 503)], locked);
        check(&[(lock, 502), ("", 501), (lock, 5011)], Ok(()));
        check(&[], Ok(()));
        let idle = |nanos: &str| {
            format!(
                "  | |   {{\n  | |     \"HIDIdleTime\" = {nanos}\n  | |     \"HIDIdleTime\" = 9\n"
            )
        };
        assert_eq!(mac_idle(&idle("300000000000")), Ok(()));
        assert_eq!(
            mac_idle(&idle("300000000001")),
            Err("nobody has touched it for a while")
        );
        assert_eq!(mac_idle(&idle("?")), Ok(()));
        assert_eq!(mac_idle(""), Ok(()));
    }
}
