//! Keeps every AWS IAM Identity Center (SSO) session fresh in the background.
//!
//! The map: `cli` turns arguments into an invocation, `commands` carries it out. A command reads the world through
//! `system` (files, network, processes: every effect), asks `sso` and `schedule` what should happen (pure), and does it.
//! `format` holds the codecs that all of them share.
//!
//! What holds everywhere:
//! - Decide, then do: `sso::plan` decides, and `status` shows what `refresh` does.
//! - No refresh token is spent before there is room on disk for what it buys, and no file that somebody else changed
//!   meanwhile is overwritten (`commands::refresh`, `system::files`).
//! - A secret is a `Secret` and shows itself to nobody.
//! - A network that is down is never taken for a session that has ended.

#[cfg(test)]
mod artifacts;
mod cli;
mod commands;
mod error;
mod format;
mod help;
mod schedule;
mod sso;
mod system;

use std::os::fd::AsFd;
use std::process::ExitCode;

use cli::{CommandId, Invocation, Options};
use error::{Error, Exit};
use system::env::Env;

fn main() -> ExitCode {
    let exit = cli::parse(std::env::args_os().skip(1))
        .and_then(run)
        .unwrap_or_else(|error| {
            commands::output::complain(&error.to_string());
            error.exit()
        });
    ExitCode::from(exit as u8)
}

fn run(Invocation { command, options }: Invocation) -> Result<Exit, Error> {
    match command {
        CommandId::Refresh => commands::refresh::run(&env_of(&options)?, &options),
        CommandId::Status => commands::status::run(&Env::load()?, &options),
        CommandId::Login => commands::login::run(&Env::load()?, &options),
        CommandId::Logout => commands::logout::run(&Env::load()?, &options),
        CommandId::Ask => commands::ask::run(&env_of(&options)?, &options),
        CommandId::Install => commands::install::install(&Env::load()?, &options),
        CommandId::Uninstall => commands::install::uninstall(&Env::load()?, &options),
        CommandId::Logs => commands::logs::run(&Env::load()?, &options),
        CommandId::Doctor => commands::doctor::run(&Env::whatever_it_holds()?, &options),
        CommandId::Generate => commands::generate::run(&options),
        CommandId::Help => {
            let columns = system::env::columns(std::io::stdout().as_fd()).unwrap_or(help::COLUMNS);
            let columns = columns.min(help::COLUMNS);
            let page = match &options.argument {
                None => help::overview(columns),
                Some(name) => help::of_command(cli::find(name)?, columns),
            };
            commands::output::print(&page)?;
            Ok(Exit::Ok)
        }
        CommandId::Version => {
            commands::output::print(help::VERSION)?;
            Ok(Exit::Ok)
        }
    }
}

/// A run of the job sees the settings that `install` stored.
fn env_of(options: &Options) -> Result<Env, Error> {
    let env = Env::load()?;
    Ok(match options.scheduled {
        true => commands::job::env_of_job(env),
        false => env,
    })
}
