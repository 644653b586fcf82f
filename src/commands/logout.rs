//! `logout`: ends a session at the portal and takes its token away.
//!
//! All sessions of one start URL are one session of the portal: they end together, and their next refusal is nobody's
//! concern. Unlike `aws sso logout`, which takes everything in the cache, this touches only what it is asked for.

use std::time::{Duration, Instant};

use crate::cli::Options;
use crate::commands::output::{self, Mark, Paint};
use crate::commands::store::{Store, Stored};
use crate::commands::survey::{self, Known, Survey};
use crate::error::{Error, Exit};
use crate::format::json;
use crate::format::text::{self, clean};
use crate::format::url::Url;
use crate::sso::config::SsoSession;
use crate::sso::endpoint::Service;
use crate::sso::oidc::{self, Reply};
use crate::sso::token::{CachedToken, Secret};
use crate::system::env::{self, Env};
use crate::system::files::{self, Durable, Found};
use crate::system::https::Client;
use crate::system::journal::Journal;

/// One request, all told.
const REQUEST_MAX: Duration = Duration::from_secs(15);

/// A refresh under way is waited for this long; it copes with a token file that goes away all the same.
const LOCK_MAX: Duration = Duration::from_secs(5);

/// Far above any role credentials. Bytes.
const CREDENTIALS_MAX: u64 = 1024 * 1024;

/// # Errors
/// The session is not known, or a file could not be removed.
pub fn run(env: &Env, options: &Options) -> Result<Exit, Error> {
    let settings = env.settings()?;
    let store = Store::new(env);
    let survey = survey::survey(env, &settings, &store, env::now(), false)?;
    let sessions: Vec<&SsoSession> = match options.all {
        true if options.argument.is_some() => {
            return Err(Error::usage(
                "wrong command line",
                "logout takes a NAME or --all, not both",
            ));
        }
        true => {
            let sessions = survey.sessions.iter();
            sessions
                .filter_map(|sighting| sighting.session().ok())
                .collect()
        }
        false => vec![survey::pick(
            &survey,
            options.argument.as_deref(),
            "sign out of",
        )?],
    };
    let run = Run {
        env,
        store: &store,
        survey: &survey,
        journal: Journal::new(&env.data_folder()),
        client: Client::new(survey::network(env, &survey)),
    };
    let mut exit = Exit::Ok;
    for session in &sessions {
        exit = exit.max(run.sign_out(session, &sessions)?);
    }
    if options.all {
        let count = clear_role_credentials(env)?;
        if count > 0 {
            output::print(&format!(
                "  Removed the AWS CLI's role credentials ({count}).\n"
            ))?;
        }
    } else {
        output::print(
            "  Role credentials that tools hold already work until they expire; `logout --all` removes the AWS CLI's.\n",
        )?;
    }
    Ok(exit)
}

struct Run<'a> {
    env: &'a Env,
    store: &'a Store,
    survey: &'a Survey,
    journal: Journal,
    client: Client,
}

impl Run<'_> {
    /// Signs out of one of `chosen`.
    fn sign_out(&self, session: &SsoSession, chosen: &[&SsoSession]) -> Result<Exit, Error> {
        let name = session.name.as_str();
        let held = self.store.lock(name, Instant::now() + LOCK_MAX)?;
        let path = self.store.token_path(name);
        let found = self.store.read(&path);
        let ended = match &found {
            Stored::Token { token, .. } => self.end_session(session, token),
            _ => Ok(()),
        };
        self.store.remove_token(name)?;
        drop(held);
        let mark = Paint::for_output(self.env);
        let shown = clean(name);
        if let Stored::Absent = found {
            let mark = mark.mark(Mark::Idle);
            output::print(&format!("  {mark} {shown} was signed out already\n"))?;
            return Ok(Exit::Ok);
        }
        self.forget(name);
        match ended {
            Ok(()) => {
                let others = self.end_others(session, chosen);
                let mark = mark.mark(Mark::Good);
                output::print(&format!("  {mark} Signed out of {shown}\n"))?;
                if !others.is_empty() {
                    let others = others.join(", ");
                    output::print(&format!(
                        "    Of the same start URL, so it ends too: {others}\n"
                    ))?;
                }
                self.log(name, "signed-out-by-hand");
                Ok(Exit::Ok)
            }
            Err(why) => {
                let mark = mark.mark(Mark::Soon);
                output::print(&format!(
                    "  {mark} Signed out of {shown} on this machine only: {why}\n"
                ))?;
                self.log(
                    name,
                    &format!("signed-out-by-hand portal={}", text::word(&why)),
                );
                Ok(Exit::Failed)
            }
        }
    }

    /// Ends the portal's session. An access token that has expired cannot; a fresh one is asked for then, and used for
    /// nothing else.
    fn end_session(&self, session: &SsoSession, token: &CachedToken) -> Result<(), String> {
        let url = |service| {
            survey::endpoint(self.env, self.survey, session, service).map_err(|error| error.line())
        };
        let portal = url(Service::Portal)?;
        if self.ask_portal(&portal, &token.access_token)? {
            return Ok(());
        }
        let Ok(renewal) = &token.renewal else {
            return Ok(()); // Expired, and nothing renews it: there is nothing left to end.
        };
        let request = oidc::refresh_request(&url(Service::Oidc)?, renewal);
        let response = self
            .client
            .send(&request, Instant::now() + REQUEST_MAX)
            .map_err(|failure| failure.why)?;
        match oidc::token_reply(&response) {
            Reply::Granted(grant) => self.ask_portal(&portal, &grant.access_token).map(|_| ()),
            Reply::Ended(_) => Ok(()),
            Reply::SlowDown(refusal) | Reply::Wrong(refusal) => Err(refusal.to_string()),
            Reply::TryLater { why } => Err(why),
        }
    }

    /// Whether the portal took the access token.
    fn ask_portal(&self, portal: &Url, access_token: &Secret) -> Result<bool, String> {
        let request = oidc::logout_request(portal, access_token);
        let response = self
            .client
            .send(&request, Instant::now() + REQUEST_MAX)
            .map_err(|failure| failure.why)?;
        match response.status {
            200..=299 => Ok(true),
            401 => Ok(false),
            status => Err(format!("the portal answered {status}")),
        }
    }

    /// The names of the sessions that have ended with this one. Their next refusal counts as signed out.
    fn end_others(&self, session: &SsoSession, chosen: &[&SsoSession]) -> Vec<String> {
        let is_other = |known: &&Known| {
            known.is_same_portal(session)
                && known.token.is_some()
                && chosen
                    .iter()
                    .all(|chosen| chosen.name != known.session.name)
        };
        let others = self.survey.known().filter(is_other);
        others
            .map(|known| {
                let name = known.session.name.as_str();
                if let Stored::Token { token } = self.store.read(&self.store.token_path(name)) {
                    let fingerprint = token.refresh_fingerprint();
                    self.remember(name, |history| history.logged_out = fingerprint);
                }
                clean(name)
            })
            .collect()
    }

    /// What was remembered of the session's sign-in is over with it; how long it lives is still worth knowing.
    fn forget(&self, name: &str) {
        self.remember(name, |history| {
            history.session_began = None;
            history.last_browser_login = None;
            history.refused = None;
            history.stored = None;
            history.logged_out = None;
            history.last_asked = None;
            history.asked = 0;
            history.warned_for = None;
            history.wrong_told = None;
        });
    }

    fn remember(&self, name: &str, change: impl FnOnce(&mut crate::sso::history::History)) {
        if let Err(error) = self.store.remember(name, Durable::Now, change) {
            output::complain(&error.to_string());
        }
    }

    fn log(&self, name: &str, line: &str) {
        let line = format!("{} {line}", text::word(name));
        if let Err(error) = self.journal.append(env::now(), &line) {
            output::complain(&error.to_string());
        }
    }
}

/// Removes what the AWS CLI keeps of roles that came from SSO, as `aws sso logout` does. Says how many files.
fn clear_role_credentials(env: &Env) -> Result<usize, Error> {
    let folder = env.home.join(".aws/cli/cache");
    let mut count = 0;
    for entry in files::list(&folder, |entry| entry.name.ends_with(".json"))? {
        let path = folder.join(&entry.name);
        let Found::Bytes(bytes) = files::read(&path, CREDENTIALS_MAX) else {
            continue;
        };
        let members = json::members(&bytes).unwrap_or_default();
        if json::get_string(&members, "ProviderType").as_deref() == Some("sso") {
            files::remove(&path)?;
            count += 1;
        }
    }
    Ok(count)
}
