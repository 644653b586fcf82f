//! Asking a person: whom, when, how often; and the whole life of a session.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::identity_center::{Consent, Fault, IdentityCenter, Options};
use crate::world::{World, center, consenting, in_seconds, member_of, now, token_text};

const AT_THE_DESK: &str =
    "Type=wayland\nRemote=no\nActive=yes\nLockedHint=no\nIdleHint=no\nIdleSinceHint=0";
const LOCKED: &str =
    "Type=wayland\nRemote=no\nActive=yes\nLockedHint=yes\nIdleHint=yes\nIdleSinceHint=1";

impl World {
    /// A desktop made of scripts: what it is asked and shown is kept in the home.
    pub fn desktop(&mut self) {
        self.program("systemd-run", "echo \"$@\" >> started\nwhile [ \"$1\" != -- ]; do shift; done\nshift\n(\"$@\" > asker.out 2>&1; echo \"$?\" >> asker.done) &");
        self.program(
            "loginctl",
            "case $1 in show-user) [ -e session ] && echo 2 || echo ;; *) cat session ;; esac",
        );
        self.program(
            "notify-send",
            "for last; do :; done\nprintf '%s\\n' \"$last\" >> notified",
        );
        self.browser(
            "echo \"$1\" >> visited\n[ -e stubborn ] || curl -sSL --cacert ca.pem -o page \"$1\"",
        );
        self.prefer_bin();
        self.set("AWS_SSO_REFRESH_SYSTEM", "linux");
        self.set("INVOCATION_ID", "0123456789abcdef0123456789abcdef"); // as in a service of systemd
        self.person(AT_THE_DESK);
    }

    /// The same on a Mac, where launchd starts the job and `open` the browser.
    fn mac(&mut self) {
        self.desktop();
        for name in ["INVOCATION_ID", "BROWSER"] {
            self.unset(name);
        }
        self.set("AWS_SSO_REFRESH_SYSTEM", "macos");
        let bin = self.home.join("bin");
        fs::rename(bin.join("notify-send"), bin.join("osascript")).expect("renamed");
        fs::rename(bin.join("browser"), bin.join("open")).expect("renamed");
        self.program(
            "ioreg",
            "case $* in '-n Root -d1') cat root ;; '-r -c IOHIDSystem -d 1') cat input ;; *) exit 64 ;; esac",
        );
    }

    /// What the registry of a Mac tells: more in this user's login, before it, and seconds without input.
    fn registry(&self, before: &str, more: &str, idle: u64) {
        let uid = fs::metadata(&self.home).expect("it exists").uid();
        let root = format!(
            "+-o Root  <class IORegistryEntry, id 0x100000100, retain 30>\n    {{\n      \"IOConsoleUsers\" = \
             ({before}{{\"kCGSSessionOnConsoleKey\"=Yes,{more}\"kCGSSessionUserIDKey\"={uid}}})\n    }}\n"
        );
        let input = format!(
            "+-o IOHIDSystem  <class IOHIDSystem>\n    {{\n      \"HIDIdleTime\" = {idle}000000000\n    }}\n"
        );
        fs::write(self.home.join("root"), root).expect("written");
        fs::write(self.home.join("input"), input).expect("written");
        fs::write(self.home.join("console"), "").expect("written");
    }

    fn person(&self, session: &str) {
        fs::write(self.home.join("session"), format!("{session}\n")).expect("written");
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.home.join(name)).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    /// One run of the job, and the end of the asker where it started one.
    #[track_caller]
    fn job(&self, exit: i32) {
        let before = self.lines("started").len();
        self.run(&["refresh", "--scheduled"])
            .exits(exit)
            .stays_quiet();
        if self.lines("started").len() > before {
            self.asker_ends(before + 1);
        }
    }

    #[track_caller]
    fn asker_ends(&self, count: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.lines("asker.done").len() < count {
            assert!(Instant::now() < until, "the asker goes on\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = fs::read_to_string(self.home.join("asker.out")).unwrap_or_default();
        assert_eq!(said, "", "nobody reads what the asker says");
    }

    #[track_caller]
    fn until_signed_in(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.log().contains("work signed-in after=") {
            assert!(Instant::now() < until, "nobody signs in\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// As if the last request had been made so many minutes earlier.
    fn let_pass(&self, name: &str, minutes: i64) {
        let path = self.data().join("sessions.json");
        let text = fs::read_to_string(&path).expect("it is there");
        let asked = member_of(&self.history(name), "lastAsked").expect("somebody was asked");
        fs::write(path, text.replace(&asked, &in_seconds(-60 * minutes))).expect("written");
    }

    /// How often somebody was asked, by what is remembered.
    fn asked(&self) -> usize {
        self.log().matches(" asked how=").count()
    }
}

/// A session that has ended, at a desk where somebody sits.
fn ended(center: &IdentityCenter) -> World {
    let mut world = World::with(center);
    world.sessions(&["work"]);
    world.desktop();
    let granted = world.sign_in(center, "work", 12);
    center.end_session(&granted.refresh_token);
    world
}

#[test]
fn whoever_is_there_gets_one_notification_and_the_browser() {
    let center = consenting(Consent::Allow);
    let mut world = ended(&center);
    world.set("DISPLAY", ":7");
    world.job(3);
    assert_eq!(world.lines("visited").len(), 1);
    assert_eq!(
        world.lines("notified"),
        ["A sign-in is needed: the session ended. The page opens in your browser now."]
    );
    let started = &world.lines("started")[0];
    let unit =
        "--user --collect --quiet --no-block --property=KillMode=process --setenv=DISPLAY=:7 -- /";
    assert!(started.starts_with(unit), "{started}");
    assert!(
        started.ends_with("ask --scheduled --session work"),
        "{started}"
    );
    assert!(center.is_live_refresh_token(&world.token("work", "refreshToken")));
    assert!(!world.history("work").contains("asked"), "answered");
    world.job(0);
    assert_eq!(world.lines("visited").len(), 1);
    assert_eq!(center.violations(), Vec::<String>::new());
}

#[test]
fn an_unanswered_request_pauses_for_longer_each_time() {
    let center = consenting(Consent::Allow);
    let mut world = ended(&center);
    fs::write(world.home.join("stubborn"), "").expect("written");
    world.set("AWS_SSO_REFRESH_PERSON_SECONDS", "1");
    world.job(3);
    assert_eq!(world.asked(), 1);
    for (minutes, asked) in [
        (0, 1),
        (29, 1),
        (31, 2),
        (119, 2),
        (121, 3),
        (1439, 3),
        (1441, 4),
    ] {
        world.let_pass("work", minutes);
        world.job(3);
        assert_eq!(world.asked(), asked, "after {minutes} minutes");
    }
    assert_eq!(world.lines("visited").len(), 4);
    assert!(
        world
            .log()
            .contains(r#"work not-asked why="asked 1h 59m ago""#),
        "{}",
        world.log()
    );
}

#[test]
fn a_request_of_two_pages_is_one_request_and_an_unanswered_one_is_logged_once() {
    let center = consenting(Consent::Allow);
    let mut world = ended(&center);
    // After the refusal the person comes, and the service has forgotten the registration; at the second page they leave.
    center.fault_next(1, Fault::error("invalid_grant"));
    center.fault_next(1, Fault::error("invalid_client"));
    let stubborn = world.home.join("stubborn");
    center.fault_at("/client/register", Some(1), Fault::hook(|_| {}));
    let leaves = Fault::hook(move |_| fs::write(&stubborn, "").expect("written"));
    center.fault_at("/client/register", Some(1), leaves);
    world.set("AWS_SSO_REFRESH_PERSON_SECONDS", "2");
    world.job(3);
    assert_eq!(world.lines("visited").len(), 2);
    let asked = world.history("work");
    assert!(asked.contains("\"asked\":1"), "{asked}");
    assert_eq!(world.lines("notified").len(), 1);
    let log = world.log();
    assert_eq!(log.matches("not-signed-in").count(), 1, "{log}");
    assert!(!log.contains("not-asked"), "{log}");
}

#[test]
fn a_token_that_works_ends_the_pauses_whoever_brought_it() {
    let center = consenting(Consent::Allow);
    let mut world = ended(&center);
    fs::write(world.home.join("stubborn"), "").expect("written");
    world.set("AWS_SSO_REFRESH_PERSON_SECONDS", "1");
    world.job(3);
    assert_eq!(world.asked(), 1);
    // As the AWS CLI's device flow leaves it without scopes: eight hours, and nothing to refresh it with.
    let granted = center.sign_in(&crate::identity_center::SignIn::default());
    let token = token_text(&granted, 8 * 3600).replace("refreshToken", "unused");
    world.write_token("work", &token);
    world.job(0);
    assert!(!world.history("work").contains("asked"));
}

#[test]
fn nobody_is_asked_who_is_not_there_and_that_starts_no_pause() {
    let center = consenting(Consent::Allow);
    let mut world = ended(&center);
    for absent in [
        LOCKED.to_string(),
        AT_THE_DESK.replace("wayland", "tty"),
        AT_THE_DESK.replace("Remote=no", "Remote=yes"),
        AT_THE_DESK.replace("Active=yes", "Active=no"),
        AT_THE_DESK.replace(
            "IdleHint=no\nIdleSinceHint=0",
            &format!("IdleHint=yes\nIdleSinceHint={}000000", now() - 400),
        ),
    ] {
        world.person(&absent);
        world.job(3);
    }
    fs::remove_file(world.home.join("session")).expect("removed");
    world.job(3);
    world.person(AT_THE_DESK);
    world.set("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22");
    world.job(3);
    world.unset("SSH_CONNECTION");
    assert_eq!(world.lines("started"), Vec::<String>::new());
    assert!(!world.history("work").contains("asked"));
    assert!(
        world
            .log()
            .contains(r#"work not-asked why="the screen is locked""#)
    );
    assert!(
        world
            .log()
            .contains(r#"work not-asked why="there is no graphical session""#)
    );
    assert!(
        world
            .log()
            .contains(r#"work not-asked why="this is a remote session""#)
    );
    world.job(3);
    assert_eq!(world.asked(), 1);
}

#[test]
fn a_mac_tells_by_its_registry_whom_to_ask() {
    let center = consenting(Consent::Allow);
    let mut world = ended(&center);
    world.mac();
    let console = world.home.join("console");
    let lock = r#""CGSSessionScreenIsLocked"=Yes,"#;
    world.set("AWS_SSO_REFRESH_CONSOLE", &console.to_string_lossy());
    for (more, idle, why) in [
        (lock, 1, "the screen is locked"),
        ("", 301, "nobody has touched it for a while"),
    ] {
        world.registry("", more, idle);
        world.job(3);
        assert!(world.log().contains(why), "{}", world.log());
    }
    world.registry("", "", 1);
    fs::remove_file(&console).expect("removed");
    world.job(3);
    assert!(world.log().contains("there is no console"));
    let other = format!("{{{lock}\"kCGSSessionUserIDKey\"=99}},");
    world.registry(&other, "", 299);
    world.set("SSH_TTY", "/dev/ttys001");
    world.job(3);
    assert!(world.log().contains("this is a remote session"));
    assert_eq!((world.asked(), world.lines("notified").len()), (0, 0));
    world.unset("SSH_TTY");

    world.job(3);
    world.until_signed_in();
    assert_eq!(
        world.lines("notified"),
        ["A sign-in is needed: the session ended. The page opens in your browser now."]
    );
    assert_eq!((world.asked(), world.lines("visited").len()), (1, 1));
}

#[test]
fn the_morning_after_somebody_is_asked_once() {
    let center = consenting(Consent::Allow);
    let mut world = ended(&center);
    let endpoint = center.endpoint();
    world.person(LOCKED);
    world.set("AWS_ENDPOINT_URL_SSO_OIDC", "https://localhost:1");
    let granted = world.token_text("work");
    let expires = member_of(&granted, "expiresAt").expect("it is there");
    world.write_token("work", &granted.replace(&expires, &in_seconds(-8 * 3600)));
    // A run that finds no network would try for a minute; by hand it gives up within seconds.
    world.run(&["refresh"]).exits(1);
    world.person(AT_THE_DESK);
    world.run(&["refresh"]).exits(1);
    assert_eq!(
        world.lines("started"),
        Vec::<String>::new(),
        "no network ends no session"
    );
    world.person(LOCKED);
    world.set("AWS_ENDPOINT_URL_SSO_OIDC", &endpoint);
    world.job(3);
    world.job(3);
    assert_eq!(world.asked(), 0);
    world.person(AT_THE_DESK);
    world.job(3);
    world.job(0);
    assert_eq!((world.asked(), world.lines("visited").len()), (1, 1));
}

#[test]
fn a_network_that_goes_down_in_between_counts_as_no_request() {
    let center = consenting(Consent::Allow);
    let world = ended(&center);
    world.person(LOCKED);
    world.job(3);
    world.person(AT_THE_DESK);
    center.fault_at("/client/register", None, Fault::CloseBefore);
    world.job(3);
    assert_eq!((world.asked(), world.lines("visited").len()), (0, 0));
    assert!(!world.history("work").contains("asked"));
    center.clear_faults();
    world.job(3);
    assert_eq!((world.asked(), world.lines("visited").len()), (1, 1));
}

#[test]
fn a_request_that_cannot_be_written_down_is_not_made() {
    let center = consenting(Consent::Allow);
    let world = ended(&center);
    world.person(LOCKED);
    world.job(3);
    world.person(AT_THE_DESK);
    fs::create_dir(world.data().join("sessions.json.tmp")).expect("made");
    world.run(&["ask", "--session", "work"]).exits(0);
    assert_eq!(
        (world.lines("notified").len(), world.lines("visited").len()),
        (0, 0)
    );
    assert!(world.log().contains("sessions.json"), "{}", world.log());
}

#[test]
fn modes_decide_how_far_it_goes() {
    let center = consenting(Consent::Allow);
    let mut world = ended(&center);
    world.set("AWS_SSO_REFRESH_LOGIN", "off");
    world.job(3);
    world
        .run(&["refresh"])
        .exits(3)
        .says("To sign in again:\n  aws-sso-refresh login work\n");
    assert_eq!(world.lines("started"), Vec::<String>::new());
    assert!(
        world
            .log()
            .contains(r#"work not-asked why="asking is off""#)
    );
    world.set("AWS_SSO_REFRESH_LOGIN", "browser");
    world
        .run(&["refresh", "--scheduled", "--no-login"])
        .exits(3);
    assert_eq!(world.lines("started"), Vec::<String>::new());
    world.set("AWS_SSO_REFRESH_LOGIN", "notify");
    world.job(3);
    assert_eq!(world.lines("visited"), Vec::<String>::new());
    assert_eq!(
        world.lines("notified"),
        ["A sign-in is needed: the session ended. Run aws-sso-refresh login work"]
    );
    world.job(3);
    assert_eq!(world.lines("notified").len(), 1, "it pauses too");
}

#[test]
fn nobody_is_asked_for_what_nobody_uses() {
    let center = consenting(Consent::Allow);
    let mut world = World::with(&center);
    world.sessions(&["out", "old", "shared"]);
    world.desktop();
    let old = world.sign_in(&center, "old", -8 * 24 * 60);
    center.end_session(&old.refresh_token);
    world.run(&["refresh", "--scheduled"]);
    world.job(0);
    assert_eq!(world.lines("started"), Vec::<String>::new());
    world.run(&["status"]).exits(0).says("dormant");
}

#[test]
fn a_sign_in_by_another_tool_ends_the_asking() {
    let center = consenting(Consent::Allow);
    let world = ended(&center);
    fs::write(world.home.join("stubborn"), "").expect("written");
    world.run(&["refresh", "--scheduled"]).exits(3);
    world.wait_for("visited");
    // A second one is not started, by the pause, and would not get the lock.
    world.run(&["refresh", "--scheduled"]).exits(3);
    assert_eq!(world.lines("started").len(), 1);
    world.let_pass("work", 31);
    world.run(&["ask", "--session", "work"]).exits(0);
    assert_eq!((world.asked(), world.lines("visited").len()), (1, 1));
    // What is due goes on being refreshed while it waits.
    world.sessions(&["work", "due"]);
    world.sign_in(&center, "due", 12);
    world.run(&["refresh", "--scheduled"]).exits(3);
    assert!(world.log().contains("due refreshed"), "{}", world.log());

    world.sign_in(&center, "work", 60);
    world.asker_ends(1);
    assert!(
        world.log().contains("work no-longer-needed"),
        "{}",
        world.log()
    );
    world.job(0);
    assert!(
        !world.history("work").contains("asked"),
        "{}",
        world.history("work")
    );
}

#[test]
fn signing_out_ends_the_asking_as_well() {
    let center = consenting(Consent::Allow);
    let world = ended(&center);
    fs::write(world.home.join("stubborn"), "").expect("written");
    world.run(&["refresh", "--scheduled"]).exits(3);
    world.wait_for("visited");
    world.run(&["logout", "work"]).exits(0);
    world.asker_ends(1);
    world.job(0);
    assert_eq!(world.lines("started").len(), 1);
}

#[test]
fn ended_sessions_are_asked_for_one_after_the_other() {
    let center = consenting(Consent::Allow);
    let mut world = World::with(&center);
    world.sessions(&["one", "two"]);
    world.desktop();
    for name in ["one", "two"] {
        let granted = world.sign_in(&center, name, 12);
        center.end_session(&granted.refresh_token);
    }
    // Nobody is asked for the second one while the first page is open.
    fs::write(world.home.join("stubborn"), "").expect("written");
    world.run(&["refresh", "--scheduled"]).exits(3);
    let first = world.wait_for("visited");
    world.run(&["refresh", "--scheduled"]).exits(3);
    world
        .run(&["ask", "--scheduled", "--session", "two"])
        .exits(0);
    assert_eq!(world.lines("started").len(), 1);
    assert_eq!((world.asked(), world.lines("visited").len()), (1, 1));
    assert!(
        world
            .log()
            .contains(r#"two not-asked why="somebody is being asked right now""#),
        "{}",
        world.log()
    );
    fs::remove_file(world.home.join("stubborn")).expect("it was there");
    world.program("follow", "curl -sSL --cacert ca.pem -o page \"$1\"");
    let followed = Command::new(world.home.join("bin/follow"))
        .arg(first.trim())
        .status();
    assert!(followed.expect("it runs").success());
    world.asker_ends(1);
    let order: Vec<String> = world
        .log()
        .lines()
        .filter(|line| line.contains(" asked how=") || line.contains(" signed-in "))
        .map(|line| {
            line.split(' ')
                .skip(1)
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    assert_eq!(
        order,
        ["one asked", "one signed-in", "two asked", "two signed-in"]
    );
    world.job(0);
}

#[test]
fn outside_of_systemd_the_asker_is_a_process_of_its_own() {
    let center = consenting(Consent::Allow);
    let mut world = ended(&center);
    world.unset("INVOCATION_ID");
    world.job(3);
    world.until_signed_in();
    assert_eq!(world.lines("started"), Vec::<String>::new());
}

/// Whatever a service of systemd leaves behind is ended with it: an asker would start, vanish, and nobody would know.
#[test]
fn an_asker_that_systemd_does_not_start_is_missed() {
    let center = consenting(Consent::Allow);
    let mut world = ended(&center);
    world.set("AWS_SSO_REFRESH_PATIENCE_MS", "500");
    for (systemd_run, why) in [
        (
            "echo 'no bus' >&2; exit 1",
            r#"not-asked why="cannot start the asker: systemd-run ended with 1, no bus""#,
        ),
        (
            "exec sleep 60",
            r#"not-asked why="cannot run systemd-run: it gave no answer within 0.5 s""#,
        ),
    ] {
        world.program("systemd-run", systemd_run);
        world.run(&["refresh", "--scheduled"]).exits(3);
        assert!(world.log().contains(why), "{}", world.log());
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((world.asked(), world.lines("visited").len()), (0, 0));
}

#[test]
fn the_end_is_told_once_half_an_hour_ahead() {
    let center = IdentityCenter::start(Options {
        consent: Consent::Allow,
        shrink_at_session_end: true,
        session_lifetime: Duration::from_secs(5000),
        ..Options::default()
    });
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    world.desktop();
    world.run(&["login"]).exits(0);
    world.job(0);
    assert_eq!(world.lines("notified"), Vec::<String>::new());
    // Forty minutes on, the service cuts the token to what the session has left.
    center.advance(3400);
    world.run(&["refresh", "--force"]).exits(0);
    let json = world.run(&["status", "--json"]).exits(0).stdout;
    assert!(json.contains(r#""basis": "shorterExpiresIn""#), "{json}");
    world.person(LOCKED);
    world.job(0);
    assert_eq!(
        world.lines("notified"),
        Vec::<String>::new(),
        "nobody is there"
    );
    world.person(AT_THE_DESK);
    world.job(0);
    world.job(0);
    let notified = world.lines("notified");
    assert_eq!(notified.len(), 1, "{notified:?}");
    assert!(
        notified[0].starts_with("A sign-in will be needed in about 2"),
        "{notified:?}"
    );
    assert!(notified[0].ends_with("aws-sso-refresh logout work, then aws-sso-refresh login work"));
}

#[test]
fn a_service_that_keeps_refusing_is_told_of_once() {
    let center = consenting(Consent::Allow);
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    world.desktop();
    let granted = world.sign_in(&center, "work", -30);
    center.fault(Fault::error("access_denied"));
    let again = |minutes: i64| {
        world.write_token("work", &token_text(&granted, minutes * 60));
        // As if the pause after the last refusal were over.
        let path = world.data().join("sessions.json");
        if let Ok(text) = fs::read_to_string(&path) {
            fs::write(path, text.replace("pauseSeconds", "past")).expect("written");
        }
        world.job(1);
        world.lines("notified").len()
    };
    assert_eq!(again(-30), 0);
    assert_eq!(again(-61), 1);
    assert_eq!(again(-62), 1);
    let notified = &world.lines("notified")[0];
    assert!(notified.contains("access_denied"), "{notified}");
    assert_eq!(
        world.lines("started"),
        Vec::<String>::new(),
        "a sign-in mends nothing"
    );
}

#[test]
fn notifications_that_cannot_be_shown_stop_nothing() {
    let center = consenting(Consent::Allow);
    let world = ended(&center);
    world.program("notify-send", "echo 'no daemon' >&2; exit 1");
    world.job(3);
    assert!(center.is_live_refresh_token(&world.token("work", "refreshToken")));
    assert!(world.log().contains("not-notified why="), "{}", world.log());
}

#[test]
fn notifications_that_nobody_takes_hold_up_nobody_for_long() {
    let center = consenting(Consent::Allow);
    let mut world = ended(&center);
    world.set("AWS_SSO_REFRESH_PATIENCE_MS", "500");
    world.program("notify-send", "exec sleep 60");
    let started = Instant::now();
    world.job(3);
    assert!(started.elapsed() < Duration::from_secs(15));
    assert!(center.is_live_refresh_token(&world.token("work", "refreshToken")));
    let log = world.log();
    let why = r#"not-notified why="cannot run notify-send: it gave no answer within 0.5 s""#;
    assert!(log.contains(why), "{log}");
}

/// Sign-in, silent refreshes, the end, one request, no second one within the pause, a sign-in by another tool, quiet.
#[test]
fn the_whole_life_of_a_session() {
    let center = IdentityCenter::start(Options {
        consent: Consent::Allow,
        token_lifetime: Duration::from_secs(120),
        ..Options::default()
    });
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    world.desktop();
    world.run(&["login"]).exits(0);
    let signed_in = member_of(&world.history("work"), "lastBrowserLogin");
    for _ in 0..3 {
        // Tokens of two minutes are due at every check; the moment's peace after each is skipped.
        let before = world.token("work", "refreshToken");
        world.run(&["refresh", "--force"]).exits(0);
        assert_ne!(world.token("work", "refreshToken"), before);
    }
    assert_eq!(
        member_of(&world.history("work"), "lastBrowserLogin"),
        signed_in
    );

    center.end_session(&world.token("work", "refreshToken"));
    fs::write(world.home.join("stubborn"), "").expect("written");
    world.set("AWS_SSO_REFRESH_PERSON_SECONDS", "1");
    world.run(&["refresh", "--force", "--scheduled"]).exits(3);
    world.asker_ends(1);
    assert!(
        world.history("work").contains("observedLifetimeSeconds"),
        "{}",
        world.history("work")
    );
    for _ in 0..3 {
        world.job(3);
    }
    assert_eq!(
        (world.asked(), world.lines("visited").len()),
        (1, 2),
        "once by hand, once asked"
    );

    world.sign_in(&center, "work", 2);
    world.job(0);
    let history = world.history("work");
    assert!(
        !history.contains("asked") && !history.contains("refused"),
        "{history}"
    );
    assert_ne!(member_of(&history, "lastBrowserLogin"), None);
    world.job(0);
    assert_eq!((world.asked(), center.spent_twice()), (1, 0));
    assert_eq!(center.violations(), Vec::<String>::new());
}

#[test]
fn what_is_shown_of_the_end_follows_its_order() {
    let center = center();
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", 50);
    let remember = |members: &str| {
        fs::create_dir_all(world.data()).expect("made");
        fs::write(
            world.data().join("sessions.json"),
            format!(r#"{{"work": {{{members}}}}}"#),
        )
        .expect("written");
    };
    // As the bash tool wrote it.
    let login = format!(r#""lastBrowserLogin": "{}""#, in_seconds(-3 * 3600 + 30));
    remember(&login);
    world
        .run(&["status"])
        .exits(0)
        .says("remaining (sign-in in about 5h)\n");
    remember(&format!(r#"{login}, "observedLifetimeSeconds": 43200"#));
    world
        .run(&["status"])
        .exits(0)
        .says("remaining (sign-in in about 9h)\n");
    world.set("AWS_SSO_SESSION_DURATION", "4");
    let json = world
        .run(&["status", "--json"])
        .exits(0)
        .says(r#""basis": "AWS_SSO_SESSION_DURATION""#)
        .stdout;
    assert!(json.contains(r#""signInEstimate": {"at": ""#), "{json}");
}
