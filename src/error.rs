//! What a person reads when something cannot be done: what, why, and the way out.
//!
//! Outcomes that the program acts on (a server's refusal, a session that ended) are variants of `Decision`
//! and `Reply`, not errors.

use std::fmt;

use crate::format::text::{clean, clean_lines};

/// The exit status. The highest of a run wins, so the order of the variants matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything is fresh, was refreshed, or is nobody's concern.
    Ok = 0,
    /// Something failed for now; a later run tries again.
    Failed = 1,
    /// The command line, an environment variable or the AWS config is wrong.
    Usage = 2,
    /// A session needs a person to sign in.
    SignIn = 3,
}

/// `what: why`, and a hint on its own line. Lower case, no full stop, always the object's name; harmless for a terminal,
/// whatever paths and words it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Told>);

/// Boxed, because an error is passed on in hundreds of places and a pointer is passed on in less code: 20 kB of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    what: String,
    why: String,
    hint: Option<String>,
    exit: Exit,
}

impl Error {
    /// Something that failed for now (exit status 1).
    pub fn new(what: impl Into<String>, why: impl fmt::Display) -> Error {
        Error::build(what.into(), why.to_string(), Exit::Failed)
    }

    /// A wrong command line, environment variable or AWS config (exit status 2).
    pub fn usage(what: impl Into<String>, why: impl fmt::Display) -> Error {
        Error::build(what.into(), why.to_string(), Exit::Usage)
    }

    fn build(what: String, why: String, exit: Exit) -> Error {
        Error(Box::new(Told {
            what: clean(&what),
            why: clean(&why),
            hint: None,
            exit,
        }))
    }

    /// The way out, in one sentence; lines to be copied may follow it.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(clean_lines(&hint.into()));
        self
    }

    /// The same with another exit status.
    pub fn exits(mut self, exit: Exit) -> Error {
        self.0.exit = exit;
        self
    }

    /// What `hint` said, or nothing.
    pub fn way_out(&self) -> &str {
        self.0.hint.as_deref().unwrap_or_default()
    }

    pub fn exit(&self) -> Exit {
        self.0.exit
    }

    /// `what: why` in one line, for the log and for tables.
    pub fn line(&self) -> String {
        format!("{}: {}", self.0.what, self.0.why)
    }
}

/// As printed after `aws-sso-refresh: `; the hint, where there is one, on a line of its own.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())?;
        if let Some(hint) = &self.0.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_object_the_reason_and_the_way_out() {
        let error = Error::new("cannot read /home/ada/.aws/config", "permission denied")
            .hint("see `ls -l ~/.aws`");
        assert_eq!(
            error.to_string(),
            "cannot read /home/ada/.aws/config: permission denied\nhint: see `ls -l ~/.aws`"
        );
        assert_eq!(
            error.line(),
            "cannot read /home/ada/.aws/config: permission denied"
        );
    }

    #[test]
    fn an_error_steers_no_terminal() {
        let error = Error::new("cannot read /a\u{1b}[2J", "b\nc").hint("d\u{9b}");
        assert_eq!(error.to_string(), "cannot read /a�[2J: b�c\nhint: d�");
    }

    #[test]
    fn the_highest_exit_status_wins() {
        assert_eq!(
            [Exit::Failed, Exit::SignIn, Exit::Usage, Exit::Ok]
                .into_iter()
                .max(),
            Some(Exit::SignIn)
        );
    }
}
