//! What to ask of the system so that the job runs: lists of steps, made without looking at anything.
//!
//! A back end (`launchd`, `systemd`) is given what was found and answers with `Step`s; `install --dry-run` prints the
//! very list that `install` performs. A step says by data which answers are fine and which are worth another try, so
//! that launchd's habit of answering before it has acted needs no code outside of `commands::job`.

pub mod launchd;
pub mod systemd;

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::format::text;

/// One thing to do. Commands are lists of arguments; the first is looked up like any outside command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The file as a whole, by a temporary file and a rename.
    Write {
        path: PathBuf,
        text: String,
        mode: u32,
    },
    /// A file that is not there is fine.
    Remove {
        path: PathBuf,
    },
    /// Must end with 0 or one of `accept`.
    Run {
        argv: Vec<String>,
        accept: &'static [i32],
    },
    /// Waited for until no refresh is under way; those that come are held back until all steps are done. A run that is
    /// killed while it waits for an answer loses the session.
    HoldBack,
    /// Asked again and again until it ends with one of `until`.
    Await {
        argv: Vec<String>,
        until: &'static [i32],
    },
    Insist(Insist),
}

/// Must come to pass, whatever the first answers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insist {
    pub argv: Vec<String>,
    /// Whether it has come to pass: this ends with 0. Asked after every answer, because no answer is proof.
    pub proof: Vec<String>,
    /// Answers after which it is worth another try.
    pub again: &'static [i32],
    /// After this answer this is done, once, and then it is tried again.
    pub remedy: (i32, Vec<String>),
    /// Done once where all tries were in vain.
    pub last_resort: Vec<String>,
}

/// What the job passes to the program.
pub const ARGUMENTS: [&str; 2] = ["refresh", "--scheduled"];

/// The job's program as its file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    pub program: String,
    /// It runs `refresh --scheduled`: not the job of another tool with the same name.
    pub is_ours: bool,
}

/// The minutes of an hour at which the job runs: every multiple of the interval. An interval that does not divide 60
/// gets one shorter pause at the end of the hour, and never a longer one.
pub fn minutes(interval: i64) -> impl Iterator<Item = i64> {
    (0..60).filter(move |minute| minute % interval.max(1) == 0)
}

/// The line for a crontab, for machines that have neither scheduler; `program` is a word of a shell. A `%` would be a
/// line break in there.
pub fn crontab_line(program: &str, interval: i64) -> String {
    let minutes = match interval {
        1 => "*".to_string(),
        _ if 60 % interval == 0 && interval < 60 => format!("*/{interval}"),
        _ => {
            let minutes: Vec<String> = minutes(interval).map(|minute| minute.to_string()).collect();
            minutes.join(",")
        }
    };
    let program = program.replace('%', r"\%");
    format!("{minutes} * * * * {program} {}", ARGUMENTS.join(" "))
}

/// The path as the files of a scheduler can hold it.
///
/// # Errors
/// It is not UTF-8 or holds a control character: XML 1.0 cannot express these, and systemd refuses them.
pub fn representable(path: &Path) -> Result<&str, Error> {
    let is_bad = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    let why = match path.to_str() {
        Some(text) if !text.contains(is_bad) => return Ok(text),
        Some(_) => "a control character in a path cannot be written down for the scheduler",
        None => "a path that is not UTF-8 cannot be written down for the scheduler",
    };
    let shown = text::clean(&path.to_string_lossy());
    Err(Error::new(format!("cannot use {shown}"), why)
        .hint("put the program into a folder with a plain name, such as /usr/local/bin"))
}

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    /// Compares with a file that is read by people too; `UPDATE=1` writes it anew.
    pub fn check_golden(name: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/schedule")
            .join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, text).expect("written");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, golden, "{}", path.display());
    }

    #[test]
    fn every_interval_has_its_minutes_and_no_pause_is_longer() {
        for interval in 1..=60 {
            let minutes: Vec<i64> = minutes(interval).collect();
            assert_eq!(minutes[0], 0);
            for pair in minutes.windows(2) {
                assert_eq!(pair[1] - pair[0], interval);
            }
            assert!(60 - minutes[minutes.len() - 1] <= interval, "{interval}");
        }
    }

    #[test]
    fn a_crontab_line_can_be_pasted_as_it_is() {
        for (interval, program, expected) in [
            (1, "/p", "* * * * * /p refresh --scheduled"),
            (10, "/p", "*/10 * * * * /p refresh --scheduled"),
            (25, "/p", "0,25,50 * * * * /p refresh --scheduled"),
            (60, "/p", "0 * * * * /p refresh --scheduled"),
            (
                30,
                "'/a b/100%'",
                r"*/30 * * * * '/a b/100\%' refresh --scheduled",
            ),
        ] {
            assert_eq!(crontab_line(program, interval), expected);
        }
    }

    #[test]
    fn a_path_that_no_file_can_hold_is_refused() {
        let check = |bytes: &[u8], expected: Result<&str, &str>| {
            let found = representable(Path::new(OsStr::from_bytes(bytes))).map(str::to_string);
            let expected = expected.map(str::to_string).map_err(str::to_string);
            assert_eq!(found.map_err(|error| error.line()), expected);
        };
        check("/é \"$%&<".as_bytes(), Ok("/é \"$%&<"));
        check(
            b"/a\nb",
            Err(
                "cannot use /a\u{fffd}b: a control character in a path cannot be written down for the scheduler",
            ),
        );
        check(
            b"/a\xff",
            Err(
                "cannot use /a\u{fffd}: a path that is not UTF-8 cannot be written down for the scheduler",
            ),
        );
    }
}
