//! `generate`: prints the man page and the shell completions (`artifacts.rs`), and for those the names of the sessions.

use crate::cli::{self, Options};
use crate::commands::{output, survey};
use crate::error::{Error, Exit};
use crate::format::packed;
use crate::format::text::clean;
use crate::help;
use crate::system::env::Env;

/// # Errors
/// The artifact is not known.
pub fn run(options: &Options) -> Result<Exit, Error> {
    let artifact = options.argument.as_deref().unwrap_or_default();
    let place = help::ARTIFACTS.iter().position(|known| *known == artifact);
    let text = match (place, artifact) {
        (Some(place), _) => rendered(place),
        // What the completions ask when a session's name is wanted; not for people.
        (None, "sessions") => sessions(&survey::read_config(&Env::load()?)?),
        (None, _) => {
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

/// The artifact at that place of `ARTIFACTS`.
fn rendered(place: usize) -> String {
    let all = packed::unpack(include_bytes!("../../fixtures/help/packed"));
    let one = all.split(|byte| *byte == 0).nth(place);
    String::from_utf8_lossy(one.unwrap_or_default()).into_owned()
}

/// One name a line; names that a shell could not be given in one line are left out.
fn sessions(file: &survey::ConfigFile) -> String {
    let names = file.config.sessions.iter().map(|session| session.name());
    names
        .filter(|name| !name.is_empty() && clean(name) == **name)
        .map(|name| format!("{name}\n"))
        .collect()
}
