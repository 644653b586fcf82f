//! What commands show: marks, colour where it is wanted, and a standard output that may be closed early.

use std::io::{self, Write};

use crate::error::Error;
use crate::format::text::{clean, pad};
use crate::system::env::{self, Env};

/// The mark in front of a line; its meaning never hangs on its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Good,
    Soon,
    Bad,
    Idle,
}

/// Whether to colour: `NO_COLOR` forbids it, `CLICOLOR_FORCE` demands it, else only a terminal gets it.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    is_on: bool,
}

impl Paint {
    pub fn for_output(env: &Env) -> Paint {
        let is_forced = env.get("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        let is_able = env::terminal().output && env.get("TERM").is_none_or(|term| term != "dumb");
        Paint {
            is_on: env.get("NO_COLOR").is_none() && (is_forced || is_able),
        }
    }

    pub fn mark(self, mark: Mark) -> String {
        let (sign, colour) = match mark {
            Mark::Good => ("✓", "32"),
            Mark::Soon => ("!", "33"),
            Mark::Bad => ("✗", "31"),
            Mark::Idle => ("-", "2"),
        };
        self.colour(sign, colour)
    }

    pub fn bold(self, text: &str) -> String {
        self.colour(text, "1")
    }

    pub fn dim(self, text: &str) -> String {
        self.colour(text, "2")
    }

    fn colour(self, text: &str, code: &str) -> String {
        if self.is_on {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_string()
        }
    }
}

/// A line of a list: a mark, a name in its column, and what there is to say of it.
pub fn line(page: &mut String, mark: &str, name: &str, widest: usize, told: &str) {
    for part in [
        "  ",
        mark,
        " ",
        &pad(&clean(name), widest),
        "  ",
        told,
        "\n",
    ] {
        page.push_str(part);
    }
}

/// Writes to standard output; a reader that has gone away (`| head`) is no error.
///
/// # Errors
/// Standard output cannot be written, for instance because its disk is full.
pub fn print(text: &str) -> Result<(), Error> {
    match write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::new(
            "cannot write to standard output",
            crate::system::files::why(&error),
        )),
        _ => Ok(()),
    }
}

/// As `print`, for a caller that must know when the reader has gone.
///
/// # Errors
/// As `io::Write`.
pub fn write_all(bytes: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(bytes)?;
    output.flush()
}

/// A line on standard error in the program's name; nobody is told where even that fails.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "aws-sso-refresh: {text}");
}

/// Warnings on standard error.
pub fn warn(warnings: &[String]) {
    for warning in first(warnings) {
        complain(&format!("warning: {warning}"));
    }
}

/// The first ten; a config full of garbage gets one more for what is beyond them.
pub fn first(warnings: &[String]) -> impl Iterator<Item = String> {
    const SHOWN: usize = 10;
    let more = warnings.len().checked_sub(SHOWN).filter(|more| *more > 0);
    let rest = more.map(|more| format!("and {more} more like these"));
    warnings.iter().take(SHOWN).cloned().chain(rest)
}

/// A word as a POSIX shell takes it.
pub fn shell_word(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./:@%+,=".contains(&b));
    if is_plain {
        text.to_string()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_pasted_into_a_shell() {
        assert_eq!(shell_word("my-sso"), "my-sso");
        assert_eq!(shell_word("my sso"), "'my sso'");
        assert_eq!(shell_word("it's $(x)"), r"'it'\''s $(x)'");
        assert_eq!(shell_word(""), "''");
    }
}
