//! One look at everything: the config, the token files and the memory of earlier runs, and what each session needs.
//!
//! Both `status` and `refresh` begin here, so that what one shows is what the other does.

use std::path::PathBuf;

use crate::commands::output;
use crate::commands::store::{READ_AGAIN, READ_AGAIN_PAUSE, Store, Stored};
use crate::error::{Error, Exit};
use crate::format::proxy::ProxySettings;
use crate::format::text::clean;
use crate::format::time::{MINUTE, Timestamp, span};
use crate::format::url::Url;
use crate::sso::config::{
    self, Config, LegacyProfile, Misconfigured, Mistake, Profile, SsoSession,
};
use crate::sso::endpoint::{self, Endpoint, Overrides, Service};
use crate::sso::estimate::{self, Estimate};
use crate::sso::history::History;
use crate::sso::plan::{self, Decision, Policy, SignIn, State};
use crate::sso::token::{self, CachedToken, Fingerprint};
use crate::system::env::{Env, Settings};
use crate::system::files::{self, Found};
use crate::system::https::{CaBundle, Network};

/// Ten thousand sessions have about 2 MB. Bytes.
const CONFIG_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug)]
pub struct Survey {
    pub now: Timestamp,
    pub policy: Policy,
    pub config_path: PathBuf,
    /// The active one.
    pub profile: Profile,
    pub legacy_profiles: Vec<LegacyProfile>,
    /// In the order of the config file.
    pub sessions: Vec<Sighting>,
    pub warnings: Vec<String>,
}

/// A session of the config and what was found of it.
#[derive(Debug)]
pub enum Sighting {
    Known(Box<Known>),
    /// There is a file, and it is no token; it is never touched.
    Unreadable {
        session: SsoSession,
        why: String,
    },
    Misconfigured(Misconfigured),
}

/// A session that `plan` could decide about.
#[derive(Debug)]
pub struct Known {
    pub session: SsoSession,
    pub token: Option<Outline>,
    /// Kept only where something is to be done about it: most tokens are read, judged and let go of, which leaves
    /// the memory of the last one to the next.
    pub whole: Option<Box<CachedToken>>,
    pub history: History,
    pub decision: Decision,
    pub state: State,
    /// When the session will end, where that can be guessed.
    pub estimate: Option<Estimate>,
    /// The refresh token of a sign-in by another tool.
    pub signed_in_elsewhere: Option<Fingerprint>,
    /// When this was decided.
    pub now: Timestamp,
}

/// What there is to show of a token; no secret is in it.
#[derive(Debug)]
pub struct Outline {
    pub expires_at: Timestamp,
    /// What it would take to refresh it.
    pub missing: Vec<&'static str>,
    /// Whether a refresh could be asked for, due or not.
    pub can_refresh: bool,
    /// Whether the portal's session ended with another one's logout.
    pub is_logged_out: bool,
}

impl Known {
    /// Seconds until the token expires; 0 without one.
    pub fn remaining(&self) -> i64 {
        self.token
            .as_ref()
            .map_or(0, |token| token.expires_at.since(self.now))
    }

    /// Whether the session goes on as far as anybody here knows.
    pub fn is_alive(&self) -> bool {
        matches!(self.state, State::Fresh | State::Due | State::Expired)
    }

    /// Whether there is something to ask or tell a person.
    pub fn concerns_a_person(&self) -> bool {
        let is_warning_due = self
            .estimate
            .is_some_and(|estimate| estimate::is_warning_due(self.now, &estimate, &self.history));
        self.state == State::SignInNeeded || is_warning_due
    }

    pub fn is_same_portal(&self, session: &SsoSession) -> bool {
        token::is_same_start_url(&self.session.start_url, &session.start_url)
    }
}

/// The AWS config file as it was read.
#[derive(Debug)]
pub struct ConfigFile {
    pub path: PathBuf,
    pub config: Config,
}

/// Reads the config file that `AWS_CONFIG_FILE` names, else `~/.aws/config`. A missing one is an empty one.
///
/// # Errors
/// It is there and cannot be read.
pub fn read_config(env: &Env) -> Result<ConfigFile, Error> {
    let path = match env.get("AWS_CONFIG_FILE") {
        None => env.home.join(".aws/config"),
        Some(text) => {
            let home = env.home.to_string_lossy();
            PathBuf::from(config::expand_path(&text, &home, |name| {
                std::env::var(name).ok()
            }))
        }
    };
    let text = match files::read(&path, CONFIG_MAX) {
        Found::Nothing => Vec::new(),
        Found::Bytes(bytes) => bytes,
        // `/dev/null`, say, as for botocore: no config.
        Found::Unusable(_) if path.metadata().is_ok_and(|found| !found.is_file()) => Vec::new(),
        Found::Unusable(why) => {
            return Err(Error::usage(format!("cannot read {}", path.display()), why)
                .hint("it must be a file that you may read; AWS_CONFIG_FILE names another one"));
        }
    };
    let config = config::read(&text, &active_profile(env));
    Ok(ConfigFile { path, config })
}

/// `AWS_PROFILE` before `AWS_DEFAULT_PROFILE` (rule C1), else `default`.
pub fn active_profile(env: &Env) -> String {
    let named = env
        .get("AWS_PROFILE")
        .or_else(|| env.get("AWS_DEFAULT_PROFILE"));
    named.unwrap_or_else(|| "default".to_string())
}

/// Looks at every session.
///
/// # Errors
/// The config file cannot be read.
pub fn survey(
    env: &Env,
    settings: &Settings,
    store: &Store,
    now: Timestamp,
    force: bool,
) -> Result<Survey, Error> {
    let file = read_config(env)?;
    let mut warnings = config_warnings(env, &file);
    let ConfigFile {
        path: config_path,
        config,
    } = file;
    let threshold = plan::effective_threshold(settings.threshold, settings.interval) * MINUTE;
    let policy = Policy { threshold, force };
    let (histories, history_trouble) = store.histories();
    warnings.extend(history_trouble.map(|error| error.line()));

    // The last one that was let go of. While it lives the next finds memory beside it; after it, musl would give
    // the page back and ask for another one, for every token anew.
    let mut spare = None;
    let mut look = |session: SsoSession, stored: Stored| {
        warnings.extend(token_warnings(&session, &stored));
        let token = match stored {
            Stored::Absent => None,
            Stored::Token { token } => Some(token),
            Stored::Unparsable(why) | Stored::Unusable(why) => {
                return Sighting::Unreadable { session, why };
            }
        };
        let history = histories.of(&session.name);
        let mut known = known(now, session, token.as_deref(), history, policy, settings);
        match known.decision {
            Decision::Refresh | Decision::SignIn(_) => known.whole = token,
            _ => spare = token.or_else(|| spare.take()),
        }
        Sighting::Known(Box::new(known))
    };
    // Most tools write in place: what does not parse may do so in a moment.
    let mut unparsable = Vec::new();
    let mut sessions: Vec<Sighting> = Vec::with_capacity(config.sessions.len());
    for configured in config.sessions {
        sessions.push(match configured.session {
            Err(wrong) => Sighting::Misconfigured(wrong),
            Ok(session) => {
                let stored = store.read_once(&store.token_path(&session.name));
                if let Stored::Unparsable(_) = stored {
                    unparsable.push(sessions.len());
                }
                look(session, stored)
            }
        });
    }
    // All of them within the same 300 ms.
    for _ in 0..READ_AGAIN {
        if unparsable.is_empty() {
            break;
        }
        std::thread::sleep(READ_AGAIN_PAUSE);
        unparsable.retain(|at| {
            let Sighting::Unreadable { session, .. } = &sessions[*at] else {
                return false;
            };
            let stored = store.read_once(&store.token_path(&session.name));
            let is_unparsable = matches!(stored, Stored::Unparsable(_));
            sessions[*at] = look(session.clone(), stored);
            is_unparsable
        });
    }
    Ok(Survey {
        now,
        policy,
        config_path,
        profile: config.profile,
        legacy_profiles: config.legacy_profiles,
        sessions,
        warnings,
    })
}

fn known(
    now: Timestamp,
    session: SsoSession,
    token: Option<&CachedToken>,
    history: History,
    policy: Policy,
    settings: &Settings,
) -> Known {
    let decision = plan::plan(now, &session.start_url, token, &history, policy);
    let state = plan::state(decision, token, now, policy);
    let duration = settings.session_duration;
    let estimate = token.and_then(|token| estimate::session_end(now, token, &history, duration));
    let signed_in_elsewhere = token.and_then(|token| estimate::sign_in_elsewhere(token, &history));
    let outline = token.map(|token| {
        let logged_out = history.logged_out;
        Outline {
            expires_at: token.expires_at,
            missing: token.renewal.as_ref().err().cloned().unwrap_or_default(),
            can_refresh: matches!(
                decision,
                Decision::Refresh | Decision::Wait { .. } | Decision::BackOff { .. }
            ),
            is_logged_out: logged_out.is_some() && logged_out == token.refresh_fingerprint(),
        }
    });
    Known {
        session,
        token: outline,
        whole: None,
        history,
        decision,
        state,
        estimate,
        signed_in_elsewhere,
        now,
    }
}

fn config_warnings(env: &Env, file: &ConfigFile) -> Vec<String> {
    let path = clean(&file.path.to_string_lossy());
    let mut warnings: Vec<String> = file
        .config
        .warnings
        .iter()
        .map(|warning| format!("{path}:{}: {}", warning.line, clean(&warning.text)))
        .collect();
    warnings.extend(vanished_profile(env, file));
    warnings
}

/// What is to be said where a profile is named that the config does not have.
pub fn vanished_profile(env: &Env, ConfigFile { path, config }: &ConfigFile) -> Option<String> {
    let mut named_by = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].into_iter();
    let named_by = named_by.find(|name| env.get(name).is_some())?;
    let (name, path) = (clean(&config.profile.name), clean(&path.to_string_lossy()));
    (!config.profile.found).then(|| {
        format!("the profile {name} ({named_by}) is not in {path}; its settings are not used")
    })
}

fn token_warnings(session: &SsoSession, stored: &Stored) -> Vec<String> {
    let Stored::Token { token } = stored else {
        return Vec::new();
    };
    let name = || clean(&session.name);
    let mut warnings: Vec<String> = token
        .oddities
        .iter()
        .map(|oddity| format!("the token of {}: {oddity}", name()))
        .collect();
    if let Some(region) = token
        .region
        .as_deref()
        .filter(|region| *region != session.region.as_str())
    {
        let (region, configured) = (clean(region), session.region.as_str());
        warnings.push(format!(
            "the token of {} is of region {region}; {configured} from the config is used",
            name()
        ));
    }
    warnings
}

/// The base URL of a service for a session.
///
/// # Errors
/// The user's own endpoint cannot be used.
pub fn endpoint(
    env: &Env,
    survey: &Survey,
    session: &SsoSession,
    service: Service,
) -> Result<Url, Error> {
    resolve(env, survey, session, service).map(|endpoint| endpoint.url)
}

/// As `endpoint`, and where it comes from.
///
/// # Errors
/// As `endpoint`.
pub fn resolve(
    env: &Env,
    survey: &Survey,
    session: &SsoSession,
    service: Service,
) -> Result<Endpoint, Error> {
    let var = |name: &str| env.get(name);
    let (oidc, portal) = (
        var("AWS_ENDPOINT_URL_SSO_OIDC"),
        var("AWS_ENDPOINT_URL_SSO"),
    );
    let (global, ignore) = (
        var("AWS_ENDPOINT_URL"),
        var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
    );
    let (fips, dualstack) = (
        var("AWS_USE_FIPS_ENDPOINT"),
        var("AWS_USE_DUALSTACK_ENDPOINT"),
    );
    let overrides = Overrides {
        oidc_env: oidc.as_deref(),
        portal_env: portal.as_deref(),
        global_env: global.as_deref(),
        ignore_env: ignore.as_deref(),
        fips_env: fips.as_deref(),
        dualstack_env: dualstack.as_deref(),
        profile: &survey.profile,
        config_path: &survey.config_path.to_string_lossy(),
    };
    endpoint::resolve(service, &session.region, &overrides)
}

/// How to get to servers: `AWS_CA_BUNDLE`, the profile's `ca_bundle`, `REQUESTS_CA_BUNDLE`, and the proxy variables.
pub fn network(env: &Env, survey: &Survey) -> Network {
    let from_env = |name: &str| {
        env.get(name).map(|path| CaBundle {
            path: PathBuf::from(path),
            from: name.to_string(),
        })
    };
    let from_profile = || {
        let setting = survey.profile.ca_bundle.as_ref()?;
        let from = format!(
            "ca_bundle in {} line {}",
            survey.config_path.display(),
            setting.line
        );
        Some(CaBundle {
            path: PathBuf::from(&setting.value),
            from,
        })
    };
    let ca_bundle = from_env("AWS_CA_BUNDLE")
        .or_else(from_profile)
        .or_else(|| from_env("REQUESTS_CA_BUNDLE"));
    Network {
        ca_bundle,
        proxies: ProxySettings::read(|name| env.raw(name)),
    }
}

impl Survey {
    /// The sessions that `plan` could decide about.
    pub fn known(&self) -> impl Iterator<Item = &Known> {
        self.sessions.iter().filter_map(|sighting| match sighting {
            Sighting::Known(known) => Some(known.as_ref()),
            _ => None,
        })
    }

    /// A mistake with the file and the line that it stands in.
    pub fn told(&self, Mistake { line, why }: &Mistake) -> String {
        let path = self.config_path.display();
        clean(&format!("{path}, line {line}: {why}"))
    }

    /// When the portal session began that a sign-in to `session` would find alive: all sessions of one start URL
    /// share it, and end with it where one of them signs out.
    pub fn session_began(&self, session: &SsoSession) -> Option<Timestamp> {
        let is_logged_out = |known: &Known| {
            known
                .token
                .as_ref()
                .is_some_and(|token| token.is_logged_out)
        };
        self.known()
            .filter(|known| known.is_same_portal(session) && known.is_alive())
            .filter(|known| !is_logged_out(known))
            .filter_map(|known| estimate::began(&known.history))
            .min()
    }
}

impl Sighting {
    /// # Errors
    /// It cannot be asked about, and why.
    pub fn session(&self) -> Result<&SsoSession, &Misconfigured> {
        match self {
            Sighting::Known(known) => Ok(&known.session),
            Sighting::Unreadable { session, .. } => Ok(session),
            Sighting::Misconfigured(wrong) => Err(wrong),
        }
    }

    pub fn name(&self) -> &str {
        match self.session() {
            Ok(session) => &session.name,
            Err(wrong) => &wrong.name,
        }
    }

    /// The exit status that this session asks for when nothing is done about it.
    pub fn exit(&self) -> Exit {
        match self {
            Sighting::Misconfigured(_) => Exit::Usage,
            Sighting::Unreadable { .. } => Exit::Failed,
            Sighting::Known(known) => match known.state {
                State::SignInNeeded => Exit::SignIn,
                State::Expired => Exit::Failed,
                _ => Exit::Ok,
            },
        }
    }
}

/// Why a person must sign in, in a few words.
pub fn reason(why: SignIn, token: Option<&Outline>) -> String {
    match why {
        SignIn::Rejected => "the session ended".to_string(),
        SignIn::RegistrationExpired => "the client registration expired".to_string(),
        SignIn::Redefined => "the config now has another start URL".to_string(),
        SignIn::NotRenewable => match token.map(|token| &token.missing) {
            Some(missing) if !missing.is_empty() => {
                format!("the token has no {}", missing.join(", "))
            }
            // The decision was made on a later look at the file than this one.
            _ => "the token has nothing to refresh it with".to_string(),
        },
    }
}

/// The command that signs a person in.
pub fn sign_in_command(name: &str) -> String {
    format!("aws-sso-refresh login {}", clean(&output::shell_word(name)))
}

/// As `pick_any`.
///
/// # Errors
/// As `pick_any`, or it is misconfigured.
pub fn pick<'a>(
    survey: &'a Survey,
    name: Option<&str>,
    verb: &str,
) -> Result<&'a SsoSession, Error> {
    pick_any(survey, name, verb)?.session().map_err(|wrong| {
        let what = format!("cannot {verb} {}", wrong.name);
        Error::usage(what, survey.told(&wrong.mistake))
    })
}

/// The session of that name; without a name the only one there is. `verb` is what was to be done with it.
///
/// # Errors
/// There is none of that name, or more than one to choose from.
pub fn pick_any<'a>(
    survey: &'a Survey,
    name: Option<&str>,
    verb: &str,
) -> Result<&'a Sighting, Error> {
    let path = survey.config_path.display();
    let sessions = &survey.sessions;
    let names: Vec<String> = sessions
        .iter()
        .map(|sighting| output::shell_word(sighting.name()))
        .collect();
    let found = match (name, sessions.as_slice()) {
        (_, []) => Err(format!("{path} has no sso-session")),
        (None, [only]) => Ok(only),
        (None, _) => Err("there are several sessions, and none was named".to_string()),
        (Some(name), _) => sessions
            .iter()
            .find(|sighting| sighting.name() == name)
            .ok_or_else(|| format!("{path} has no such sso-session")),
    };
    found.map_err(|why| {
        let what = format!("cannot {verb} {}", name.unwrap_or("a session"));
        let hint = match names.is_empty() {
            true => "`aws configure sso` makes one".to_string(),
            false => format!("it has: {}", names.join(", ")),
        };
        Error::usage(what, why).hint(hint)
    })
}

/// `42m remaining`, or `expired 5m ago`.
pub fn remaining(seconds: i64) -> String {
    if seconds > 0 {
        span(seconds) + " remaining"
    } else {
        format!("expired {} ago", span(seconds.saturating_neg()))
    }
}

/// When a legacy profile's token expires; `Ok(None)`: it has none.
///
/// # Errors
/// It cannot be read.
pub fn legacy_expiry(store: &Store, profile: &LegacyProfile) -> Result<Option<Timestamp>, String> {
    match store.read_once(&store.token_path(&profile.start_url)) {
        Stored::Token { token } => Ok(Some(token.expires_at)),
        Stored::Absent => Ok(None),
        Stored::Unparsable(why) | Stored::Unusable(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_whole_also_where_the_token_has_changed_since() {
        let lacking = Outline {
            expires_at: Timestamp(0),
            missing: vec!["refreshToken", "clientSecret"],
            can_refresh: false,
            is_logged_out: false,
        };
        for (token, expected) in [
            (
                Some(&lacking),
                "the token has no refreshToken, clientSecret",
            ),
            (None, "the token has nothing to refresh it with"),
        ] {
            assert_eq!(reason(SignIn::NotRenewable, token), expected);
        }
    }
}
