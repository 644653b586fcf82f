//! `generate`: prints the man page and the shell completions (`artifacts.rs`), and for those the names of the sessions.

use crate::cli::{self, Options};
use crate::commands::{output, survey};
use crate::error::{Error, Exit};
use crate::format::text::clean;
use crate::help;
use crate::system::env::Env;

/// # Errors
/// The artifact is not known.
pub fn run(options: &Options) -> Result<Exit, Error> {
    let artifact = options.argument.as_deref().unwrap_or_default();
    let text = match artifact {
        "man" => include_str!("../../fixtures/help/aws-sso-refresh.1").to_string(),
        "bash" => include_str!("../../fixtures/help/aws-sso-refresh.bash").to_string(),
        "zsh" => include_str!("../../fixtures/help/_aws-sso-refresh").to_string(),
        "fish" => include_str!("../../fixtures/help/aws-sso-refresh.fish").to_string(),
        // What the completions ask when a session's name is wanted; not for people.
        "sessions" => sessions(&survey::read_config(&Env::load()?)?),
        _ => {
            let error = Error::usage(
                "wrong command line",
                format!("cannot generate `{artifact}`"),
            );
            let nearest = cli::nearest(artifact, help::ARTIFACTS.into_iter());
            return Err(error.hint(match nearest {
                Some(nearest) => format!("did you mean `aws-sso-refresh generate {nearest}`?"),
                None => format!("it is one of: {}", help::ARTIFACTS.join(", ")),
            }));
        }
    };
    output::print(&text)?;
    Ok(Exit::Ok)
}

/// One name a line; names that a shell could not be given in one line are left out.
fn sessions(file: &survey::ConfigFile) -> String {
    let names = file.config.sessions.iter().map(|session| session.name());
    names
        .filter(|name| !name.is_empty() && clean(name) == **name)
        .map(|name| format!("{name}\n"))
        .collect()
}
