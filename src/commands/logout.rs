//! `logout`: ends a session at the portal and takes its token away.
//!
//! All sessions of one start URL are one session of the portal: they end together, and their next refusal is nobody's
//! concern. Unlike `aws sso logout`, which takes everything in the cache, this touches only what it is asked for.

use std::time::{Duration, Instant};

use crate::cli::Options;
use crate::commands::output::{self, Mark, Paint};
use crate::commands::store::{Store, Stored};
use crate::commands::survey::{self, Known, Sighting, Survey};
use crate::error::{Error, Exit};
use crate::format::json;
use crate::format::text::{self, clean};
use crate::format::url::Url;
use crate::sso::config::{Region, SsoSession};
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
/// The session is not known. What goes wrong with one session is complained about and stops no other.
pub fn run(env: &Env, options: &Options) -> Result<Exit, Error> {
    let settings = env.settings()?;
    let store = Store::new(env);
    let survey = survey::survey(env, &settings, &store, env::now(), false)?;
    let name = options.argument.as_deref();
    let chosen: Vec<&Sighting> = match (options.all, name) {
        (true, Some(_)) => {
            return Err(Error::usage(
                "wrong command line",
                "logout takes a NAME or --all, not both",
            ));
        }
        (true, None) => survey.sessions.iter().collect(),
        (false, name) => vec![survey::pick_any(&survey, name, "sign out of")?],
    };
    let run = Run {
        env,
        store: &store,
        survey: &survey,
        journal: Journal::new(&env.data_folder()),
        client: Client::new(survey::network(env, &survey)),
    };
    let mut exit = Exit::Ok;
    for sighting in &chosen {
        exit = exit.max(run.sign_out(sighting, &chosen).unwrap_or_else(|error| {
            output::complain(&error.to_string());
            error.exit()
        }));
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

/// What became of the portal's session.
#[derive(Clone, Copy)]
enum AtPortal {
    Ended,
    /// It was over before.
    WasOver,
    /// Nothing that is here could end it, and why.
    Untold(&'static str),
}

impl Run<'_> {
    /// Signs out of one of `chosen`.
    fn sign_out(&self, sighting: &Sighting, chosen: &[&Sighting]) -> Result<Exit, Error> {
        let name = sighting.name();
        // Without the lock the token goes all the same: a run that is at it copes with that.
        let held = self.store.lock(name, Instant::now() + LOCK_MAX);
        let is_free = matches!(held, Ok(Some(_)));
        if is_free {
            // Where a run died, what it was granted is what can end the session: the token before it may be spent.
            self.store.settle_session(name);
        }
        let found = self.store.read(&self.store.token_path(name));
        let at_portal = match (&found, sighting.session()) {
            (Stored::Token { token }, Ok(session)) => self.end_session(session, token, is_free),
            (Stored::Absent, _) => Ok(AtPortal::WasOver),
            (_, Err(_)) => Ok(AtPortal::Untold("the config does not say where it is")),
            _ => Ok(AtPortal::Untold("the token file could not be read")),
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
        match at_portal {
            Ok(at_portal) => {
                let (mark, told) = match at_portal {
                    AtPortal::Ended => (mark.mark(Mark::Good), String::new()),
                    AtPortal::WasOver => {
                        let told = "; its session was over already".to_string();
                        (mark.mark(Mark::Good), told)
                    }
                    AtPortal::Untold(why) => {
                        let told = format!(", but the portal could not be told: {why}");
                        (mark.mark(Mark::Soon), told)
                    }
                };
                output::print(&format!("  {mark} Signed out of {shown}{told}\n"))?;
                let others = match (at_portal, sighting.session()) {
                    (AtPortal::Ended, Ok(session)) => self.end_others(session, chosen),
                    _ => Vec::new(),
                };
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
    /// nothing else, unless another run is at the same refresh token this moment (`is_free`).
    fn end_session(
        &self,
        session: &SsoSession,
        token: &CachedToken,
        is_free: bool,
    ) -> Result<AtPortal, String> {
        let url = |session: &SsoSession, service| {
            survey::endpoint(self.env, self.survey, session, service).map_err(|error| error.line())
        };
        // The portal is where the token was granted, as for the AWS CLI.
        let granted_in = token.region.as_deref().and_then(Region::parse);
        let there = SsoSession {
            region: granted_in.unwrap_or_else(|| session.region.clone()),
            ..session.clone()
        };
        let portal = url(&there, Service::Portal)?;
        if self.ask_portal(&portal, &token.access_token)? {
            return Ok(AtPortal::Ended);
        }
        let Ok(renewal) = &token.renewal else {
            return Ok(AtPortal::Untold("the token had expired"));
        };
        if !is_free {
            return Err("another run is refreshing it".to_string());
        }
        let request = oidc::refresh_request(&url(session, Service::Oidc)?, renewal);
        let response = self
            .client
            .send(&request, Instant::now() + REQUEST_MAX)
            .map_err(|failure| failure.why)?;
        match oidc::token_reply(&response) {
            Reply::Granted(grant) => match self.ask_portal(&portal, &grant.access_token)? {
                true => Ok(AtPortal::Ended),
                false => Err("the portal does not take its token".to_string()),
            },
            Reply::Ended(refusal) if refusal.is_about_client() => Err(refusal.to_string()),
            Reply::Ended(_) => Ok(AtPortal::WasOver),
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
    fn end_others(&self, session: &SsoSession, chosen: &[&Sighting]) -> Vec<String> {
        let is_other = |known: &&Known| {
            known.is_same_portal(session)
                && known.token.is_some()
                && chosen
                    .iter()
                    .all(|chosen| chosen.name() != known.session.name)
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
