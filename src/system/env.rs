//! The environment of this process: its variables, its home, its clock, its terminal.
//!
//! A scheduled run sees the settings that were in force at `install` (`job.env`) in place of its own variables,
//! because launchd and systemd start it with next to none, and because a job must not change with the shell that
//! happened to restart it.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::SystemTime;

use ring::rand::{SecureRandom, SystemRandom};

use crate::error::Error;
use crate::format::time::{MINUTE, Timestamp};

/// The variables that `install` stores for the job. `AWS_ENDPOINT_URL` is not among them: one aimed at a local test
/// stack must not receive refresh tokens for ever.
pub const STORED: [&str; 19] = [
    "AWS_SSO_REFRESH_THRESHOLD",
    "AWS_SSO_REFRESH_INTERVAL",
    "AWS_SSO_SESSION_DURATION",
    "AWS_SSO_REFRESH_LOGIN",
    "AWS_CONFIG_FILE",
    "AWS_PROFILE",
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "no_proxy",
    "NO_PROXY",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
];

/// Stored too, but asked for only by what opens a browser.
pub const BROWSER: &str = "BROWSER";

/// Where the program is, whose it is, and what it was told.
#[derive(Debug, Clone)]
pub struct Env {
    pub home: PathBuf,
    /// What `install` stored, in a scheduled run that found it.
    job: Option<Vec<(String, String)>>,
    is_scheduled: bool,
}

/// The four variables of this program, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Minutes, as configured; `plan::effective_threshold` says which one applies.
    pub threshold: i64,
    /// Minutes between two checks of the job.
    pub interval: i64,
    /// How long a session lives, where the user says so. Seconds.
    pub session_duration: Option<i64>,
    pub login: Login,
}

/// The value of a variable by its name; empty counts as unset.
pub type Values<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How a person is asked to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    Browser,
    Notify,
    Off,
}

impl Env {
    /// # Errors
    /// There is no home folder, or a variable that matters here is not UTF-8.
    pub fn load() -> Result<Env, Error> {
        let env = Env::whatever_it_holds()?;
        unreadable().into_iter().next().map_or(Ok(env), Err)
    }

    /// As `load`; a variable that is not UTF-8 counts as unset.
    ///
    /// # Errors
    /// There is no home folder.
    pub fn whatever_it_holds() -> Result<Env, Error> {
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        let Some(home) = home else {
            return Err(Error::usage(
                "cannot find the home folder",
                "HOME is not set to an absolute path",
            )
            .hint("set HOME to your home folder"));
        };
        Ok(Env {
            home,
            job: None,
            is_scheduled: false,
        })
    }

    /// The environment of the job: `stored` in place of every variable that `install` stores. Without a file of
    /// stored settings the process's own variables stay, except the ones no job may follow.
    pub fn of_job(self, stored: Option<Vec<(String, String)>>) -> Env {
        Env {
            job: stored,
            is_scheduled: true,
            ..self
        }
    }

    /// The variable's value; empty counts as unset.
    pub fn get(&self, name: &str) -> Option<String> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// The variable's value, also where it is empty: an empty `https_proxy` has a meaning of its own.
    pub fn raw(&self, name: &str) -> Option<String> {
        if self.is_scheduled && name == "AWS_ENDPOINT_URL" {
            return None;
        }
        if self.job.is_some() && name == "AWS_DEFAULT_PROFILE" {
            return None; // it is not stored, so it is not meant for the job
        }
        match &self.job {
            Some(stored) if STORED.contains(&name) || name == BROWSER => stored
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone()),
            _ => std::env::var_os(name).and_then(|value| value.into_string().ok()),
        }
    }

    /// `~/.local/share/aws-sso-refresh`; not moved by XDG variables, which the job does not see.
    pub fn data_folder(&self) -> PathBuf {
        self.home.join(".local/share/aws-sso-refresh")
    }

    /// `~/.aws/sso/cache`; it does not follow `AWS_CONFIG_FILE`.
    pub fn cache_folder(&self) -> PathBuf {
        self.home.join(".aws/sso/cache")
    }

    /// # Errors
    /// A variable of this program is out of range; the error names it, its value and its range.
    pub fn settings(&self) -> Result<Settings, Error> {
        Settings::from_values(&|name| self.get(name))
    }
}

impl Settings {
    /// # Errors
    /// As `Env::settings`.
    pub fn from_values(get: Values<'_>) -> Result<Settings, Error> {
        let (settings, wrong) = Settings::where_right(get);
        wrong.into_iter().next().map_or(Ok(settings), Err)
    }

    /// What is right of these values and the defaults of the rest, and what is wrong.
    pub fn where_right(get: Values<'_>) -> (Settings, Vec<Error>) {
        let mut wrong = Vec::new();
        let mut minutes = |name: &str, default: i64, max: i64| match get(name) {
            None => default,
            Some(text) => match text.trim().parse::<i64>() {
                Ok(minutes) if (1..=max).contains(&minutes) => minutes,
                _ => {
                    let range = format!("a whole number of minutes from 1 to {max}");
                    wrong.push(out_of_range(name, &text, &range));
                    default
                }
            },
        };
        let threshold = minutes("AWS_SSO_REFRESH_THRESHOLD", 30, 1440);
        let interval = minutes("AWS_SSO_REFRESH_INTERVAL", 10, 60);
        let session_duration = get("AWS_SSO_SESSION_DURATION").and_then(|text| {
            match text.trim().parse::<f64>() {
                #[allow(clippy::cast_possible_truncation)] // at most 7,776,000
                Ok(hours) if (0.25..=2160.0).contains(&hours) => {
                    Some((hours * 3600.0).round() as i64)
                }
                _ => {
                    let range = "a number of hours from 0.25 to 2160";
                    wrong.push(out_of_range("AWS_SSO_SESSION_DURATION", &text, range));
                    None
                }
            }
        });
        let login = match get("AWS_SSO_REFRESH_LOGIN").as_deref() {
            None | Some("browser") => Login::Browser,
            Some("notify") => Login::Notify,
            Some("off") => Login::Off,
            Some(other) => {
                let range = "browser, notify or off";
                wrong.push(out_of_range("AWS_SSO_REFRESH_LOGIN", other, range));
                Login::Browser
            }
        };
        let settings = Settings {
            threshold,
            interval,
            session_duration,
            login,
        };
        (settings, wrong)
    }
}

/// What is to be said of variables that matter here and are not UTF-8.
pub fn unreadable() -> Vec<Error> {
    let mut unreadable = Vec::new();
    for name in STORED.into_iter().chain([BROWSER]) {
        if var(name).is_some_and(|value| value.to_str().is_none()) {
            let what = format!("cannot use the variable {name}");
            let error = Error::usage(what, "its value is not UTF-8");
            unreadable.push(error.hint(format!("change it or `unset {name}`")));
        }
    }
    unreadable
}

fn out_of_range(name: &str, value: &str, range: &str) -> Error {
    let value = crate::format::text::excerpt(value, 40);
    Error::usage(
        format!("cannot use {name}={value}"),
        format!("it must be {range}"),
    )
    .hint(format!("change it or `unset {name}`"))
}

/// The clock. Called once per run and passed down, and once more where a request leaves.
pub fn now() -> Timestamp {
    Timestamp::of(SystemTime::now())
}

/// Bytes that nobody can guess.
///
/// # Errors
/// The system has no randomness to give.
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Error::new(
            "cannot get random numbers",
            "the system has none to give",
        )),
    }
}

/// Where `PATH` and this process's own variables are looked up without the job's settings in between.
pub fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Whether this is a Mac. A debug build can be told otherwise, so that all of it is tested on one machine; a `launchctl`
/// on PATH is no such sign, because a shipped program must not be led astray by a stray file.
pub fn is_mac() -> bool {
    if cfg!(debug_assertions)
        && let Some(system) = var("AWS_SSO_REFRESH_SYSTEM")
    {
        return system == "macos";
    }
    cfg!(target_os = "macos")
}

/// Which stream of this process is a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    pub input: bool,
    pub output: bool,
}

pub fn terminal() -> Terminal {
    Terminal {
        input: std::io::stdin().is_terminal(),
        output: std::io::stdout().is_terminal(),
    }
}

/// How many columns the terminal has that `stream` is; `COLUMNS` knows better, as everywhere.
///
/// The standard library cannot ask. rustix can, without `unsafe` here, for 64 bytes; `stty size` would be a process for
/// each page, and for each frame of a line that is to follow the window.
pub fn columns(stream: BorrowedFd) -> Option<usize> {
    /// Of a terminal that does not say.
    const USUAL: usize = 80;
    if !stream.is_terminal() {
        return None;
    }
    let told = text_of("COLUMNS").and_then(|text| text.parse().ok());
    let asked = || {
        Some(usize::from(
            rustix::termios::tcgetwinsize(stream).ok()?.ws_col,
        ))
    };
    let columns = told.or_else(asked).filter(|columns| *columns > 0);
    Some(columns.unwrap_or(USUAL))
}

/// Whether the terminal can do nothing but print.
pub fn is_dumb() -> bool {
    var("TERM").is_some_and(|term| term == "dumb")
}

/// Whether more than ASCII may be shown: not where the locale says otherwise. No locale at all, as in most containers,
/// says nothing of the terminal.
pub fn is_unicode() -> bool {
    let mut names = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
    names.find_map(text_of).is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase().replace('-', "");
        locale.contains("utf8")
    })
}

/// A variable of this process; empty counts as unset.
fn text_of(name: &str) -> Option<String> {
    let value = var(name)?.into_string().ok()?;
    Some(value).filter(|value| !value.is_empty())
}

/// The AWS CLI starts a refresh of its own when this little remains. Minutes.
pub const CLI_THRESHOLD: i64 = 15 * MINUTE / MINUTE;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str, expected: Result<(i64, i64, Option<i64>, Login), &str>) {
        let settings = Settings::from_values(&|asked| (asked == name).then(|| value.to_string()));
        let told = settings.map(|s| (s.threshold, s.interval, s.session_duration, s.login));
        assert_eq!(
            told.map_err(|error| error.line()),
            expected.map_err(str::to_string),
            "{name}={value}"
        );
    }

    #[test]
    fn settings_have_defaults_and_ranges() {
        use Login::{Browser, Notify, Off};
        check("OTHER", "x", Ok((30, 10, None, Browser)));
        check("AWS_SSO_REFRESH_THRESHOLD", "1", Ok((1, 10, None, Browser)));
        check(
            "AWS_SSO_REFRESH_THRESHOLD",
            "1440",
            Ok((1440, 10, None, Browser)),
        );
        check(
            "AWS_SSO_REFRESH_INTERVAL",
            "60",
            Ok((30, 60, None, Browser)),
        );
        check(
            "AWS_SSO_SESSION_DURATION",
            "0.25",
            Ok((30, 10, Some(900), Browser)),
        );
        check(
            "AWS_SSO_SESSION_DURATION",
            "2160",
            Ok((30, 10, Some(7_776_000), Browser)),
        );
        check(
            "AWS_SSO_REFRESH_LOGIN",
            "notify",
            Ok((30, 10, None, Notify)),
        );
        check("AWS_SSO_REFRESH_LOGIN", "off", Ok((30, 10, None, Off)));
    }

    #[test]
    fn a_value_out_of_range_names_variable_value_and_range() {
        for value in ["0", "1441", "-1", "ten", "1.5", "99999999999999999999"] {
            let expected = format!(
                "cannot use AWS_SSO_REFRESH_THRESHOLD={value}: it must be a whole number of minutes from 1 to 1440"
            );
            check("AWS_SSO_REFRESH_THRESHOLD", value, Err(&expected));
        }
        for value in ["0.2", "2161", "NaN", "inf", "8h"] {
            let expected = format!(
                "cannot use AWS_SSO_SESSION_DURATION={value}: it must be a number of hours from 0.25 to 2160"
            );
            check("AWS_SSO_SESSION_DURATION", value, Err(&expected));
        }
        check(
            "AWS_SSO_REFRESH_LOGIN",
            "Browser\u{1b}",
            Err("cannot use AWS_SSO_REFRESH_LOGIN=Browser�: it must be browser, notify or off"),
        );
    }

    #[test]
    fn a_job_sees_what_was_stored_and_never_the_generic_endpoint() {
        let env = Env {
            home: PathBuf::from("/home/ada"),
            job: None,
            is_scheduled: false,
        };
        let stored = vec![
            ("AWS_PROFILE".to_string(), "work".to_string()),
            ("no_proxy".to_string(), String::new()),
        ];
        let job = env.of_job(Some(stored));
        assert_eq!(job.get("AWS_PROFILE").as_deref(), Some("work"));
        assert_eq!(job.get("AWS_CA_BUNDLE"), None);
        assert_eq!(
            (job.get("no_proxy"), job.raw("no_proxy").as_deref()),
            (None, Some(""))
        );
        assert_eq!(job.get("AWS_ENDPOINT_URL"), None);
        assert!(job.get("PATH").is_some());
    }
}
