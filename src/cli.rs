//! The command line: every command and flag, told once, and the loop that reads them.
//!
//! Help, man page and completions are rendered from the same table, so a new flag is one entry here.

use std::ffi::OsString;

use lexopt::Arg;

use crate::error::Error;
use crate::format::text;

/// One command of the program.
#[derive(Debug)]
pub struct Command {
    pub id: CommandId,
    pub name: &'static str,
    pub argument: Option<Argument>,
    pub summary: &'static str,
    /// What there is to know beyond the summary, one paragraph each.
    pub about: &'static [&'static str],
    pub flags: &'static [Flag],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandId {
    Refresh,
    Status,
    Login,
    Logout,
    Ask,
    Install,
    Uninstall,
    Logs,
    Doctor,
    Generate,
    Help,
    Version,
}

/// What may stand behind a command.
#[derive(Debug)]
pub struct Argument {
    pub name: &'static str,
    pub is_required: bool,
    #[cfg_attr(not(test), allow(dead_code))]
    // for the completions, which are rendered when the tests run
    pub kind: Kind,
}

/// What a value is, for the completions.
#[cfg_attr(not(test), allow(dead_code))] // they are rendered when the tests run
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Session,
    Command,
    Artifact,
    Number,
}

#[derive(Debug)]
pub struct Flag {
    pub id: FlagId,
    pub long: &'static str,
    pub short: Option<char>,
    pub value: Option<(&'static str, Kind)>,
    pub summary: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagId {
    Force,
    DryRun,
    Session,
    NoLogin,
    Scheduled,
    Json,
    Lines,
    Follow,
    DeviceCode,
    NoBrowser,
    All,
}

const fn switch(
    id: FlagId,
    long: &'static str,
    short: Option<char>,
    summary: &'static str,
) -> Flag {
    Flag {
        id,
        long,
        short,
        value: None,
        summary,
    }
}

/// Every command, in the order in which help shows them.
pub const COMMANDS: &[Command] = &[
    Command {
        id: CommandId::Refresh,
        name: "refresh",
        argument: None,
        summary: "Check every session once and refresh what is due (the default)",
        about: &[
            "Reads the AWS config and the token cache and renews, silently, every token that is about to expire. \
             A session that has truly ended needs a person: at a terminal the sign-in begins at once, elsewhere the \
             command for it is shown.",
        ],
        flags: &[
            switch(
                FlagId::Force,
                "force",
                Some('f'),
                "Refresh whatever can be refreshed, due or not",
            ),
            switch(
                FlagId::DryRun,
                "dry-run",
                None,
                "Say what would be done and do nothing",
            ),
            Flag {
                id: FlagId::Session,
                long: "session",
                short: None,
                value: Some(("NAME", Kind::Session)),
                summary: "Only this session; may be given more than once",
            },
            switch(
                FlagId::NoLogin,
                "no-login",
                None,
                "Never ask a person to sign in",
            ),
            switch(
                FlagId::Scheduled,
                "scheduled",
                None,
                "As the installed job runs: nothing on standard output",
            ),
        ],
    },
    Command {
        id: CommandId::Status,
        name: "status",
        argument: None,
        summary: "Show every session and the background job",
        about: &[
            "Reads the same files as refresh and touches no network. The exit status is refresh's: 0 when \
                  nothing is wrong, 1 for an expired or unreadable session, 3 when a sign-in is needed.",
        ],
        flags: &[switch(
            FlagId::Json,
            "json",
            None,
            "One JSON object with stable keys, for prompts and scripts",
        )],
    },
    Command {
        id: CommandId::Login,
        name: "login",
        argument: Some(Argument {
            name: "NAME",
            is_required: false,
            kind: Kind::Session,
        }),
        summary: "Sign in to a session through the browser",
        about: &[
            "Opens the AWS access page in your browser; once you have allowed the access there, every AWS tool can use \
             the session. NAME may be left out where there is only one session.",
            "Over SSH, in a container or without a display it shows a code instead, which you enter in a browser on \
             any other machine.",
        ],
        flags: &[
            switch(
                FlagId::DeviceCode,
                "device-code",
                None,
                "Show a code to enter in a browser on any machine",
            ),
            switch(
                FlagId::NoBrowser,
                "no-browser",
                None,
                "Print the address and open nothing",
            ),
        ],
    },
    Command {
        id: CommandId::Logout,
        name: "logout",
        argument: Some(Argument {
            name: "NAME",
            is_required: false,
            kind: Kind::Session,
        }),
        summary: "Sign out of a session",
        about: &[
            "Ends the session at the AWS access portal and removes its token. Other sessions of the same start URL end \
             with it, and are named. NAME may be left out where there is only one session.",
            "To start a session's clock anew, sign out and then sign in: a sign-in alone inherits the old session's end.",
        ],
        flags: &[switch(
            FlagId::All,
            "all",
            None,
            "Every session, and the AWS CLI's role credentials of SSO",
        )],
    },
    Command {
        id: CommandId::Install,
        name: "install",
        argument: None,
        summary: "Install the background job, or change its settings",
        about: &[
            "Stores the settings that this shell has now and makes launchd or systemd run a check every few minutes. \
             Run it again after changing a setting or moving the program; what is as it should be is left alone.",
        ],
        flags: &[switch(
            FlagId::DryRun,
            "dry-run",
            None,
            "Print the steps and do nothing",
        )],
    },
    Command {
        id: CommandId::Uninstall,
        name: "uninstall",
        argument: None,
        summary: "Take the background job away",
        about: &["Tokens, the log and what is remembered of the sessions stay."],
        flags: &[switch(
            FlagId::DryRun,
            "dry-run",
            None,
            "Print the steps and do nothing",
        )],
    },
    Command {
        id: CommandId::Logs,
        name: "logs",
        argument: None,
        summary: "Show what earlier runs did",
        about: &[
            "Shows the end of ~/.local/share/aws-sso-refresh/refresh.log. It holds no token and no secret, and is turned \
             over at 1 MiB; one old file is kept.",
        ],
        flags: &[
            Flag {
                id: FlagId::Lines,
                long: "lines",
                short: Some('n'),
                value: Some(("LINES", Kind::Number)),
                summary: "How many lines (default 50)",
            },
            switch(
                FlagId::Follow,
                "follow",
                Some('f'),
                "Go on showing lines as they are written",
            ),
        ],
    },
    Command {
        id: CommandId::Doctor,
        name: "doctor",
        argument: None,
        summary: "Explain what stands in the way of a silent refresh, and the fix",
        about: &[
            "Looks at the config, the token files, the way to the service and the background job, and says what is right, \
             what works and will bite, what is broken, what was not looked at, and what to do. It changes nothing.",
            "There is no secret in it: it can be pasted into an issue.",
        ],
        flags: &[switch(
            FlagId::Json,
            "json",
            None,
            "One JSON object with stable keys",
        )],
    },
    Command {
        id: CommandId::Generate,
        name: "generate",
        argument: Some(Argument {
            name: "man|bash|zsh|fish",
            is_required: true,
            kind: Kind::Artifact,
        }),
        summary: "Print the man page, or completions for a shell",
        about: &[
            "Save the man page as man1/aws-sso-refresh.1 in a folder of MANPATH.",
            "Save the completions to a file that ~/.bashrc sources (bash), as _aws-sso-refresh in a folder of fpath (zsh), \
             or as ~/.config/fish/completions/aws-sso-refresh.fish (fish).",
        ],
        flags: &[],
    },
    Command {
        id: CommandId::Help,
        name: "help",
        argument: Some(Argument {
            name: "COMMAND",
            is_required: false,
            kind: Kind::Command,
        }),
        summary: "Show this page, or a command's",
        about: &[],
        flags: &[],
    },
    Command {
        id: CommandId::Version,
        name: "version",
        argument: None,
        summary: "Show the version",
        about: &[],
        flags: &[],
    },
];

/// Not for people, and in no help: what `refresh --scheduled` starts to ask somebody to sign in.
const HIDDEN: &[Command] = &[Command {
    id: CommandId::Ask,
    name: "ask",
    argument: None,
    summary: "Ask a person to sign in to the sessions named",
    about: &[],
    flags: &[
        switch(
            FlagId::Scheduled,
            "scheduled",
            None,
            "With the settings of the installed job",
        ),
        Flag {
            id: FlagId::Session,
            long: "session",
            short: None,
            value: Some(("NAME", Kind::Session)),
            summary: "A session that has ended; may be given more than once",
        },
    ],
}];

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    pub command: CommandId,
    pub options: Options,
}

/// The flags of all commands; the table says which belong to which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    pub force: bool,
    pub dry_run: bool,
    pub sessions: Vec<String>,
    pub no_login: bool,
    pub scheduled: bool,
    pub json: bool,
    pub lines: Option<usize>,
    pub follow: bool,
    pub device_code: bool,
    pub no_browser: bool,
    pub all: bool,
    /// What stands behind the command: a session, a command or a shell.
    pub argument: Option<String>,
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// Something in them is not known, missing or too much; the nearest known word is offered.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Error> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut named: Option<&Command> = None;
    let mut has_flags = false;
    let mut options = Options::default();
    loop {
        let command = named.unwrap_or(&COMMANDS[0]);
        match parser
            .next()
            .map_err(|error| wrong(&error.to_string(), command))?
        {
            None => break,
            Some(Arg::Short('h') | Arg::Long("help")) => {
                let argument = named.map(|command| command.name.to_string());
                return Ok(invocation(
                    CommandId::Help,
                    Options {
                        argument,
                        ..Options::default()
                    },
                ));
            }
            Some(Arg::Short('V') | Arg::Long("version")) => {
                return Ok(invocation(CommandId::Version, Options::default()));
            }
            Some(Arg::Value(value)) => {
                let value = utf8(value, command)?;
                match (named, &command.argument) {
                    (None, _) if !has_flags => named = Some(find(&value)?),
                    (Some(_), Some(_)) if options.argument.is_none() => {
                        options.argument = Some(value)
                    }
                    _ => {
                        let why = format!(
                            "{} takes no argument `{}`",
                            command.name,
                            text::excerpt(&value, 40)
                        );
                        return Err(wrong(&why, command));
                    }
                }
            }
            Some(Arg::Short(short)) => {
                let flag = command.flags.iter().find(|flag| flag.short == Some(short));
                let Some(flag) = flag else {
                    return Err(unknown_flag(&format!("-{short}"), command));
                };
                has_flags = true;
                take(flag, command, &mut parser, &mut options)?;
            }
            Some(Arg::Long(long)) => {
                let flag = command.flags.iter().find(|flag| flag.long == long);
                let Some(flag) = flag else {
                    let long = format!("--{long}");
                    return Err(unknown_flag(&long, command));
                };
                has_flags = true;
                take(flag, command, &mut parser, &mut options)?;
            }
        }
    }
    let command = named.unwrap_or(&COMMANDS[0]);
    if let Some(argument) = command
        .argument
        .as_ref()
        .filter(|argument| argument.is_required)
        && options.argument.is_none()
    {
        return Err(wrong(
            &format!("{} needs {}", command.name, argument.name),
            command,
        ));
    }
    Ok(invocation(command.id, options))
}

fn invocation(command: CommandId, options: Options) -> Invocation {
    Invocation { command, options }
}

fn take(
    flag: &Flag,
    command: &Command,
    parser: &mut lexopt::Parser,
    options: &mut Options,
) -> Result<(), Error> {
    let value = match flag.value {
        None => String::new(),
        Some(_) => {
            let value = parser
                .value()
                .map_err(|error| wrong(&error.to_string(), command))?;
            utf8(value, command)?
        }
    };
    match flag.id {
        FlagId::Force => options.force = true,
        FlagId::DryRun => options.dry_run = true,
        FlagId::Session => options.sessions.push(value),
        FlagId::NoLogin => options.no_login = true,
        FlagId::Scheduled => options.scheduled = true,
        FlagId::Json => options.json = true,
        FlagId::Follow => options.follow = true,
        FlagId::DeviceCode => options.device_code = true,
        FlagId::NoBrowser => options.no_browser = true,
        FlagId::All => options.all = true,
        FlagId::Lines => match value.parse() {
            Ok(lines) => options.lines = Some(lines),
            Err(_) => {
                let why = format!(
                    "--{} takes a number, not `{}`",
                    flag.long,
                    text::excerpt(&value, 40)
                );
                return Err(wrong(&why, command));
            }
        },
    }
    Ok(())
}

/// The command of that name.
///
/// # Errors
/// There is none; the nearest is offered.
pub fn find(name: &str) -> Result<&'static Command, Error> {
    let mut all = COMMANDS.iter().chain(HIDDEN);
    let found = all.find(|command| command.name == name);
    found.ok_or_else(|| {
        let error = Error::usage(
            "wrong command line",
            format!("unknown command `{}`", text::excerpt(name, 40)),
        );
        match nearest(name, COMMANDS.iter().map(|command| command.name)) {
            Some(nearest) => error.hint(format!("did you mean `aws-sso-refresh {nearest}`?")),
            None => error.hint("`aws-sso-refresh help` lists the commands"),
        }
    })
}

fn unknown_flag(flag: &str, command: &Command) -> Error {
    let why = format!(
        "unknown flag `{}` of {}",
        text::excerpt(flag, 40),
        command.name
    );
    let error = Error::usage("wrong command line", why);
    let flags = command.flags.iter().map(|flag| flag.long);
    let known: Vec<String> = flags
        .chain(["help", "version"])
        .map(|long| format!("--{long}"))
        .collect();
    if let Some(nearest) = nearest(flag, known.iter().map(String::as_str)) {
        return error.hint(format!("did you mean `{nearest}`?"));
    }
    let owner = COMMANDS.iter().find(|other| {
        other.flags.iter().any(|known| {
            flag.strip_prefix("--") == Some(known.long)
                || known.short.is_some_and(|s| flag == format!("-{s}"))
        })
    });
    match owner {
        Some(owner) => error.hint(format!("it belongs to `aws-sso-refresh {}`", owner.name)),
        None => error.hint(format!("see `aws-sso-refresh help {}`", command.name)),
    }
}

fn wrong(why: &str, command: &Command) -> Error {
    Error::usage("wrong command line", why)
        .hint(format!("see `aws-sso-refresh help {}`", command.name))
}

fn utf8(value: OsString, command: &Command) -> Result<String, Error> {
    value.into_string().map_err(|value| {
        let shown = text::excerpt(&value.to_string_lossy(), 40);
        wrong(&format!("`{shown}` is not UTF-8"), command)
    })
}

/// The candidate that is at most two slips away, or a third of the word's length.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let slips_allowed = (word.chars().count() / 3).clamp(1, 2);
    let ranked = candidates.map(|candidate| (slips(word, candidate), candidate));
    ranked
        .filter(|(slips, _)| *slips <= slips_allowed)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
fn slips(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) =
        (one.chars().take(64).collect(), other.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let replace = last[j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut least = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Invocation, Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn check(line: &str, command: CommandId, options: Options) {
        assert_eq!(read(line), Ok(Invocation { command, options }), "{line}");
    }

    fn check_error(line: &str, expected: &str) {
        assert_eq!(
            read(line).expect_err("wrong").to_string(),
            format!("wrong command line: {expected}"),
            "{line}"
        );
    }

    #[test]
    fn without_a_command_it_refreshes() {
        let options = Options::default;
        check("", CommandId::Refresh, options());
        check("refresh", CommandId::Refresh, options());
        check(
            "--force",
            CommandId::Refresh,
            Options {
                force: true,
                ..options()
            },
        );
        check(
            "-f --dry-run --no-login",
            CommandId::Refresh,
            Options {
                force: true,
                dry_run: true,
                no_login: true,
                ..options()
            },
        );
        check(
            "refresh --session a --session=b",
            CommandId::Refresh,
            Options {
                sessions: vec!["a".into(), "b".into()],
                ..options()
            },
        );
    }

    #[test]
    fn f_is_force_in_refresh_and_follow_in_logs() {
        check(
            "refresh -f",
            CommandId::Refresh,
            Options {
                force: true,
                ..Options::default()
            },
        );
        check(
            "logs -f",
            CommandId::Logs,
            Options {
                follow: true,
                ..Options::default()
            },
        );
        check(
            "logs -fn20",
            CommandId::Logs,
            Options {
                follow: true,
                lines: Some(20),
                ..Options::default()
            },
        );
    }

    #[test]
    fn help_and_version_work_anywhere() {
        let about = |name: Option<&str>| Options {
            argument: name.map(str::to_string),
            ..Options::default()
        };
        check("-h", CommandId::Help, about(None));
        check("status --help", CommandId::Help, about(Some("status")));
        check("help logs", CommandId::Help, about(Some("logs")));
        check("logs -V", CommandId::Version, Options::default());
        check("version", CommandId::Version, Options::default());
    }

    #[test]
    fn what_is_not_known_is_answered_with_the_nearest_known_word() {
        check_error(
            "stauts",
            "unknown command `stauts`\nhint: did you mean `aws-sso-refresh status`?",
        );
        check_error(
            "refrehs",
            "unknown command `refrehs`\nhint: did you mean `aws-sso-refresh refresh`?",
        );
        check_error(
            "x",
            "unknown command `x`\nhint: `aws-sso-refresh help` lists the commands",
        );
        check_error(
            "--froce",
            "unknown flag `--froce` of refresh\nhint: did you mean `--force`?",
        );
        check_error(
            "status --jsn",
            "unknown flag `--jsn` of status\nhint: did you mean `--json`?",
        );
        check_error(
            "--hepl",
            "unknown flag `--hepl` of refresh\nhint: did you mean `--help`?",
        );
        check_error(
            "logs --verison",
            "unknown flag `--verison` of logs\nhint: did you mean `--version`?",
        );
        check_error(
            "--json",
            "unknown flag `--json` of refresh\nhint: it belongs to `aws-sso-refresh status`",
        );
        check_error(
            "status --frobnicate",
            "unknown flag `--frobnicate` of status\nhint: see `aws-sso-refresh help status`",
        );
    }

    #[test]
    fn what_is_too_much_or_missing_is_said() {
        check_error(
            "status my-sso",
            "status takes no argument `my-sso`\nhint: see `aws-sso-refresh help status`",
        );
        check_error(
            "--force status",
            "refresh takes no argument `status`\nhint: see `aws-sso-refresh help refresh`",
        );
        check_error(
            "help a b",
            "help takes no argument `b`\nhint: see `aws-sso-refresh help help`",
        );
        check_error(
            "logs -n ten",
            "--lines takes a number, not `ten`\nhint: see `aws-sso-refresh help logs`",
        );
        check_error(
            "logs -n -1",
            "--lines takes a number, not `-1`\nhint: see `aws-sso-refresh help logs`",
        );
        check_error(
            "logs -n",
            "missing argument for option '-n'\nhint: see `aws-sso-refresh help logs`",
        );
    }

    #[test]
    fn the_table_names_nothing_twice_and_stays_printable() {
        for (i, command) in COMMANDS.iter().enumerate() {
            assert!(
                COMMANDS[..i]
                    .iter()
                    .all(|other| other.name != command.name && other.id != command.id)
            );
            for (j, flag) in command.flags.iter().enumerate() {
                let others = &command.flags[..j];
                assert!(
                    others
                        .iter()
                        .all(|other| other.long != flag.long && other.id != flag.id)
                );
                assert!(
                    flag.short.is_none() || others.iter().all(|other| other.short != flag.short)
                );
                assert!(flag.summary.is_ascii() && !flag.summary.ends_with('.'));
            }
            assert!(command.summary.is_ascii() && !command.summary.ends_with('.'));
        }
    }

    #[test]
    fn slips_are_counted_as_fingers_make_them() {
        for (one, other, expected) in [
            ("", "", 0),
            ("status", "status", 0),
            ("stauts", "status", 1),
            ("log", "logs", 1),
            ("abc", "xyz", 3),
        ] {
            assert_eq!(slips(one, other), expected, "{one} {other}");
        }
    }
}
