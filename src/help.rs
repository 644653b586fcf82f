//! Help, rendered from the one table of commands and flags.

use crate::cli::{COMMANDS, Command, Flag};
use crate::format::text;

/// How wide a page of help is where there is room; nobody likes to read longer lines.
pub const COLUMNS: usize = 80;

/// Blanks before the names of a list.
const BEFORE: usize = 2;

pub const VERSION: &str = concat!("aws-sso-refresh ", env!("CARGO_PKG_VERSION"), "\n");

/// The page of the whole program.
pub fn overview(columns: usize) -> String {
    let mut page = String::new();
    let mut say = |text: &str| text::wrap(&mut page, text, 0, 0, columns);
    say("aws-sso-refresh keeps every AWS SSO session fresh in the background.");
    say("");
    say("Usage: aws-sso-refresh [COMMAND] [FLAGS]");
    let commands = COMMANDS.iter();
    let commands: Vec<_> = commands
        .map(|command| (command.name, command.summary))
        .collect();
    list(&mut page, "Commands", &commands, columns);
    list(&mut page, "Variables", &VARIABLES, columns);
    list(&mut page, "Exit status", &EXITS, columns);
    page.push('\n');
    for more in [
        "Run `aws-sso-refresh install` once, and the sessions stay fresh.",
        "Run `aws-sso-refresh help COMMAND` for a command's flags.",
    ] {
        text::wrap(&mut page, more, 0, 0, columns);
    }
    page
}

/// The page of one command.
pub fn of_command(command: &Command, columns: usize) -> String {
    let mut usage = format!("Usage: aws-sso-refresh {}", command.name);
    if !command.flags.is_empty() {
        usage.push_str(" [FLAGS]");
    }
    if let Some(argument) = &command.argument {
        usage.push_str(&match argument.is_required {
            true => format!(" {}", argument.name),
            false => format!(" [{}]", argument.name),
        });
    }
    let mut page = String::new();
    let summary = format!("{}.", command.summary);
    let paragraphs = [summary.as_str(), usage.as_str()].into_iter();
    for paragraph in paragraphs.chain(command.about.iter().copied()) {
        if !page.is_empty() {
            page.push('\n');
        }
        text::wrap(&mut page, paragraph, 0, 0, columns);
    }
    let flags: Vec<String> = command.flags.iter().map(spelling).collect();
    let summaries = command.flags.iter().map(|flag| flag.summary);
    let mut flags: Vec<_> = flags.iter().map(String::as_str).zip(summaries).collect();
    flags.push(("-h, --help", "Show this page"));
    list(&mut page, "Flags", &flags, columns);
    page
}

/// The variables of this program: name and what it does.
pub const VARIABLES: [(&str, &str); 4] = [
    (
        "AWS_SSO_REFRESH_THRESHOLD",
        "Minutes left at which to refresh (default 30)",
    ),
    (
        "AWS_SSO_REFRESH_INTERVAL",
        "Minutes between two checks of the job (default 10)",
    ),
    (
        "AWS_SSO_SESSION_DURATION",
        "Hours a session lives (default: learned, else 8)",
    ),
    (
        "AWS_SSO_REFRESH_LOGIN",
        "Asking for sign-ins: browser (default), notify, off",
    ),
];

/// What the exit status says.
pub const EXITS: [(&str, &str); 4] = [
    (
        "0",
        "Every session is fresh, was refreshed, or is nobody's concern",
    ),
    ("1", "Something failed for now; a later run tries again"),
    (
        "2",
        "The command line, a variable or the AWS config is wrong",
    ),
    ("3", "A session needs a person to sign in"),
];

/// What `generate` knows.
pub const ARTIFACTS: [&str; 4] = ["man", "bash", "zsh", "fish"];

fn spelling(flag: &Flag) -> String {
    let short = flag
        .short
        .map_or("    ".to_string(), |short| format!("-{short}, "));
    let value = flag
        .value
        .map_or(String::new(), |(name, _)| format!(" {name}"));
    format!("{short}--{}{value}", flag.long)
}

/// A heading, and below it names in their column and what there is to say of each.
fn list(page: &mut String, heading: &str, entries: &[(&str, &str)], columns: usize) {
    page.push_str(&format!("\n{heading}:\n"));
    let names = entries.iter().map(|(name, _)| *name);
    let column = text::column(names, BEFORE, columns);
    for (name, summary) in entries {
        page.push_str("  ");
        text::entry(page, name, summary, BEFORE, column, columns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_fits_its_columns_and_ends_with_a_line_break() {
        for columns in [COLUMNS, 60, 40] {
            let pages = COMMANDS.iter().map(|command| of_command(command, columns));
            for page in pages.chain([overview(columns)]) {
                // A path that is too long even for a line of its own is left to the terminal.
                let fits = |line: &str| line.len() <= columns || !line.contains(' ');
                assert!(page.lines().all(fits), "{page}");
                assert!(page.lines().all(|line| !line.ends_with(' ')), "{page}");
                assert!(page.ends_with('\n') && !page.ends_with("\n\n"));
            }
        }
    }
}
