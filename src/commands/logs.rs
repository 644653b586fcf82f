//! `logs`: the last lines of the log, and those to come.

use crate::cli::Options;
use crate::commands::output;
use crate::error::{Error, Exit};
use crate::format::text::clean_lines;
use crate::system::env::Env;
use crate::system::files;
use crate::system::journal::Journal;

const LINES: usize = 50;

pub fn run(env: &Env, options: &Options) -> Result<Exit, Error> {
    let journal = Journal::new(&env.data_folder());
    let lines = journal.last_lines(options.lines.unwrap_or(LINES))?;
    if lines.is_empty() && options.lines != Some(0) && !options.follow {
        output::complain(&format!(
            "nothing has been logged yet in {}",
            journal.path().display()
        ));
    }
    // What this program writes is harmless for a terminal, but nobody keeps others from writing there.
    let mut text = clean_lines(&lines.join("\n"));
    if !lines.is_empty() {
        text.push('\n');
    }
    output::print(&text)?;
    if options.follow {
        let show =
            |more: &[u8]| output::write_all(clean_lines(&String::from_utf8_lossy(more)).as_bytes());
        match journal.follow(show) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(files::cannot("follow", &journal.path(), &error));
            }
            _ => {}
        }
    }
    Ok(Exit::Ok)
}
