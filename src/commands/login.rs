//! `login`: a person at this terminal signs in, and the token is put where every AWS tool looks for it.

use crate::cli::Options;
use crate::commands::output::{self, Mark, Paint};
use crate::commands::screen::Screen;
use crate::commands::sign_in::{Desk, Ended, Person, Way};
use crate::commands::store::Store;
use crate::commands::survey;
use crate::error::{Error, Exit};
use crate::format::text::clean;
use crate::sso::config::SsoSession;
use crate::system::env::{self, Env};

/// # Errors
/// The session is not known, or nobody signed in.
pub fn run(env: &Env, options: &Options) -> Result<Exit, Error> {
    let settings = env.settings()?;
    let store = Store::new(env);
    let survey = survey::survey(env, &settings, &store, env::now(), false)?;
    let session = survey::pick(&survey, options.argument.as_deref(), "sign in to")?;
    let desk = Desk::new(env, &store, &survey);
    here(env, &desk, session, Way::of(env, options))
}

/// Signs in somebody who sits at this terminal.
///
/// # Errors
/// As `Desk::sign_in`.
pub fn here(env: &Env, desk: &Desk, session: &SsoSession, way: Way) -> Result<Exit, Error> {
    // Nobody is asked for it meanwhile. Whoever is being asked already may sign in here all the same.
    let _held = desk.store.ask_lock(&session.name);
    let ended = desk.sign_in(
        session,
        Person {
            way,
            screen: Screen::new(env),
            before: &mut || Ok(()),
            is_needless: &|| false,
        },
    )?;
    let Ended::SignedIn {
        remaining,
        can_refresh,
    } = ended
    else {
        return Ok(Exit::Ok);
    };
    let mark = Paint::for_output(env).mark(Mark::Good);
    let name = clean(&session.name);
    let left = survey::remaining(remaining);
    let rest = match can_refresh {
        true => String::new(),
        false => "; this token cannot be refreshed".to_string(),
    };
    output::print(&format!("  {mark} Signed in to {name}: {left}{rest}\n"))?;
    Ok(Exit::Ok)
}
