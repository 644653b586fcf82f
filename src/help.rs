//! Help, rendered from the one table of commands and flags.

use crate::cli::{COMMANDS, Command, Flag};

/// How wide a line of help may be.
const COLUMNS: usize = 80;

pub const VERSION: &str = concat!("aws-sso-refresh ", env!("CARGO_PKG_VERSION"), "\n");

/// The page of the whole program.
pub fn overview() -> String {
    let mut page = String::from(
        "aws-sso-refresh keeps every AWS SSO session fresh in the background.\n\n\
         Usage: aws-sso-refresh [COMMAND] [FLAGS]\n\n\
         Commands:\n",
    );
    let widest = COMMANDS
        .iter()
        .map(|command| command.name.len())
        .max()
        .unwrap_or(0);
    for command in COMMANDS {
        entry(&mut page, command.name, widest, command.summary);
    }
    page.push_str("\nVariables:\n");
    let widest = VARIABLES
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    for (name, summary) in VARIABLES {
        entry(&mut page, name, widest, summary);
    }
    page.push_str("\nExit status:\n");
    for (status, summary) in EXITS {
        entry(&mut page, status, 1, summary);
    }
    page.push_str("\nSee `aws-sso-refresh help COMMAND` for a command's flags.\n");
    page
}

/// The page of one command.
pub fn of_command(command: &Command) -> String {
    let mut page = format!(
        "{}.\n\nUsage: aws-sso-refresh {}",
        command.summary, command.name
    );
    if !command.flags.is_empty() {
        page.push_str(" [FLAGS]");
    }
    if let Some(argument) = &command.argument {
        page.push_str(&match argument.is_required {
            true => format!(" {}", argument.name),
            false => format!(" [{}]", argument.name),
        });
    }
    page.push('\n');
    for paragraph in command.about {
        page.push('\n');
        wrapped(&mut page, paragraph, 0);
    }
    page.push_str("\nFlags:\n");
    let flags: Vec<(String, &str)> = command
        .flags
        .iter()
        .map(|flag| (spelling(flag), flag.summary))
        .collect();
    let help = ("-h, --help".to_string(), "Show this page");
    let widest = flags
        .iter()
        .chain([&help])
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    for (name, summary) in flags.iter().chain([&help]) {
        entry(&mut page, name, widest, summary);
    }
    page
}

/// The variables of this program: name and what it does.
pub const VARIABLES: [(&str, &str); 4] = [
    (
        "AWS_SSO_REFRESH_THRESHOLD",
        "Refresh when this many minutes or fewer remain (30)",
    ),
    (
        "AWS_SSO_REFRESH_INTERVAL",
        "Minutes between two checks of the job (10)",
    ),
    (
        "AWS_SSO_SESSION_DURATION",
        "Hours that a session lives, if you know (learned, else 8)",
    ),
    (
        "AWS_SSO_REFRESH_LOGIN",
        "How to ask for a sign-in: browser, notify or off (browser)",
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

/// A name in its column and a summary beside it, wrapped under itself.
fn entry(page: &mut String, name: &str, widest: usize, summary: &str) {
    let indent = 2 + widest + 2;
    page.push_str(&format!("  {name:widest$}  "));
    wrapped(page, summary, indent);
}

/// `text` in lines of at most 80 columns, those after the first indented.
fn wrapped(page: &mut String, text: &str, indent: usize) {
    let mut column = indent;
    for (i, word) in text.split_whitespace().enumerate() {
        if i > 0 && column + 1 + word.len() > COLUMNS {
            page.push('\n');
            page.push_str(&" ".repeat(indent));
            column = indent;
        } else if i > 0 {
            page.push(' ');
            column += 1;
        }
        page.push_str(word);
        column += word.len();
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_fits_eighty_columns_and_ends_with_a_line_break() {
        let pages = COMMANDS.iter().map(of_command).chain([overview()]);
        for page in pages {
            assert!(page.lines().all(|line| line.len() <= COLUMNS), "{page}");
            assert!(page.lines().all(|line| !line.ends_with(' ')), "{page}");
            assert!(page.ends_with('\n') && !page.ends_with("\n\n"));
        }
    }
}
