//! What commands show: marks, colour where it is wanted, and a standard output that may be closed early.

use std::borrow::Cow;
use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::error::Error;
use crate::format::text;
use crate::system::env::{self, Env};

/// The mark in front of a line; its meaning never hangs on its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Good,
    Soon,
    Bad,
    Idle,
}

/// How a page is drawn for who reads it.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    /// `NO_COLOR` forbids it, `CLICOLOR_FORCE` demands it, else only a terminal gets it.
    is_coloured: bool,
    is_unicode: bool,
    /// As wide as the terminal. Without one nothing is wrapped, so that scripts have a session a line.
    columns: usize,
}

impl Paint {
    pub fn for_output(env: &Env) -> Paint {
        let is_forced = env.get("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        let columns = env::columns(io::stdout().as_fd());
        let is_able = columns.is_some() && !env::is_dumb();
        Paint {
            is_coloured: env.get("NO_COLOR").is_none() && (is_forced || is_able),
            is_unicode: env::is_unicode(),
            columns: columns.unwrap_or(usize::MAX),
        }
    }

    /// For a page that is read, by whomever it is sent to: nobody likes longer lines.
    pub fn narrowed(mut self, columns: usize) -> Paint {
        self.columns = self.columns.min(columns);
        self
    }

    pub fn mark(self, mark: Mark) -> Cow<'static, str> {
        let (sign, colour) = match (mark, self.is_unicode) {
            (Mark::Good, true) => ("✓", "32"),
            (Mark::Good, false) => ("ok", "32"),
            (Mark::Soon, _) => ("!", "33"),
            (Mark::Bad, true) => ("✗", "31"),
            (Mark::Bad, false) => ("x", "31"),
            (Mark::Idle, _) => ("-", "2"),
        };
        self.colour(sign, colour)
    }

    /// How wide the column of a list's `names` is.
    pub fn column<'a>(self, names: impl Iterator<Item = &'a str>) -> usize {
        text::column(names, self.before_names(), self.columns)
    }

    /// A line of a list: a mark, a name in its column, and what there is to say of it.
    pub fn line(self, page: &mut String, mark: Mark, name: &str, column: usize, told: &str) {
        page.push_str("  ");
        page.push_str(&self.mark(mark));
        page.push_str(match (mark, self.is_unicode) {
            (Mark::Soon | Mark::Bad | Mark::Idle, false) => "  ",
            _ => " ",
        });
        text::entry(page, name, told, self.before_names(), column, self.columns);
    }

    /// A text that begins behind `indent` cells, and a line break.
    pub fn wrap(self, page: &mut String, text: &str, indent: usize) {
        text::wrap(page, text, indent, indent, self.columns);
    }

    /// Sentences and labelled lines, as wide as the terminal.
    pub fn prose(self, text: &str) -> String {
        text::prose(text, self.columns)
    }

    /// Two blanks, a mark, a blank.
    fn before_names(self) -> usize {
        if self.is_unicode { 4 } else { 5 }
    }

    pub fn bold(self, text: &str) -> Cow<'_, str> {
        self.colour(text, "1")
    }

    pub fn dim(self, text: &str) -> Cow<'_, str> {
        self.colour(text, "2")
    }

    fn colour<'a>(self, text: &'a str, code: &str) -> Cow<'a, str> {
        if self.is_coloured {
            format!("\u{1b}[{code}m{text}\u{1b}[0m").into()
        } else {
            text.into()
        }
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
    let columns = env::columns(io::stderr().as_fd()).unwrap_or(usize::MAX);
    let lines = text::prose(&format!("aws-sso-refresh: {text}"), columns);
    let _ = io::stderr().write_all(lines.as_bytes());
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
