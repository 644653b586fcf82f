//! `status`: every session at a glance, for people and for scripts; no network.

use crate::cli::Options;
use crate::commands::daemon::{self, Daemon};
use crate::commands::output::{self, Mark, Paint};
use crate::commands::store::Store;
use crate::commands::survey::{self, Known, Sighting, Survey};
use crate::error::{Error, Exit};
use crate::format::json::{Member, RawJson};
use crate::format::text::clean;
use crate::format::time::{MINUTE, Timestamp, every, span};
use crate::sso::config::Region;
use crate::sso::plan::{self, Decision, State};
use crate::system::env::{self, Env, Settings};
use crate::system::journal::Journal;

/// A legacy profile's name, and when its token expires.
type Legacy = (String, Result<Option<Timestamp>, String>);

/// # Errors
/// A variable or the config is wrong.
pub fn run(env: &Env, options: &Options) -> Result<Exit, Error> {
    let here = env.settings()?;
    let daemon = daemon::look(env);
    let settings = daemon.settings.unwrap_or(here);
    let store = Store::new(env);
    let now = env::now();
    let survey = survey::survey(env, &settings, &store, now, false)?;
    let legacy: Vec<Legacy> = survey
        .legacy_profiles
        .iter()
        .map(|profile| (profile.name.clone(), survey::legacy_expiry(&store, profile)))
        .collect();
    let text = if options.json {
        json(env, &settings, &survey, &legacy, &daemon)
    } else {
        output::warn(&survey.warnings);
        page(env, &settings, &survey, &legacy, &daemon)
    };
    output::print(&text)?;
    let exit = survey.sessions.iter().map(Sighting::exit).max();
    // The process ends here, and the system takes everything back at once.
    std::mem::forget(survey);
    Ok(exit.unwrap_or(Exit::Ok))
}

fn page(
    env: &Env,
    settings: &Settings,
    survey: &Survey,
    legacy: &[Legacy],
    daemon: &Daemon,
) -> String {
    let paint = Paint::for_output(env);
    let mut text = format!("{}\n\n", paint.bold("AWS SSO Sessions:"));
    if survey.sessions.is_empty() {
        let path = clean(&survey.config_path.to_string_lossy());
        text.push_str(&paint.prose(&format!(
            "  No sso-session in {path}; `aws configure sso` makes one."
        )));
    }
    let names = survey.sessions.iter().map(Sighting::name);
    let column = paint.column(names.chain(legacy.iter().map(|(name, _)| name.as_str())));
    for sighting in &survey.sessions {
        let (mark, told) = told(sighting, survey);
        paint.line(&mut text, mark, sighting.name(), column, &told);
    }
    if !legacy.is_empty() {
        text.push_str(&paint.prose(
            "\nLegacy profiles (never refreshed; move them to an sso-session with `aws configure sso`):\n\n",
        ));
        for (name, expires_at) in legacy {
            let told = match expires_at {
                Ok(Some(expires_at)) => survey::remaining(expires_at.since(survey.now)),
                Ok(None) => "signed out".to_string(),
                Err(why) => format!("unreadable token file: {}", clean(why)),
            };
            paint.line(&mut text, Mark::Idle, name, column, &told);
        }
    }
    text.push('\n');
    text.push_str(&paint.prose(&format!(
        "{}Interval: {}\n{}",
        daemon.text(survey.now, settings.interval),
        every(settings.interval),
        threshold_line(settings)
    )));
    text
}

/// The threshold in force, and why it is not the configured one where it is not.
fn threshold_line(settings: &Settings) -> String {
    let effective = plan::effective_threshold(settings.threshold, settings.interval);
    let mut line = format!("Threshold: refresh when < {effective}m remaining");
    if effective != settings.threshold {
        line.push_str(&format!(
            " (configured: {}m; with checks every {}m and tokens of an hour it must be {effective}m)",
            settings.threshold, settings.interval
        ));
    }
    line.push('\n');
    if effective < env::CLI_THRESHOLD {
        line.push_str(&format!(
            "Warning: the AWS CLI starts a refresh of its own when {}m remain; choose a larger threshold\n",
            env::CLI_THRESHOLD
        ));
    }
    line
}

/// What `status` says of a session of `survey`, and the mark before it.
pub fn told(sighting: &Sighting, survey: &Survey) -> (Mark, String) {
    match sighting {
        Sighting::Misconfigured(wrong) => {
            let mistake = survey.told(&wrong.mistake);
            (Mark::Bad, format!("misconfigured: {mistake}"))
        }
        Sighting::Unreadable { why, .. } => {
            (Mark::Bad, format!("unreadable token file: {}", clean(why)))
        }
        Sighting::Known(known) => told_of_known(known),
    }
}

pub fn told_of_known(known: &Known) -> (Mark, String) {
    let name = known.session.name.as_str();
    let token = known.token.as_ref();
    let seconds = known.remaining();
    let left = survey::remaining(seconds);
    let end = estimated_end(known);
    let mark = if seconds > 0 { Mark::Soon } else { Mark::Bad };
    match known.decision {
        Decision::SignedOut => (Mark::Idle, "signed out".to_string()),
        Decision::SignIn(why) => {
            let (reason, command) = (survey::reason(why, token), survey::sign_in_command(name));
            (
                Mark::Bad,
                format!("sign-in needed: {reason}; run {command}"),
            )
        }
        Decision::Dormant(_) => {
            let unused = span(seconds.saturating_neg());
            (
                Mark::Idle,
                format!(
                    "dormant: not used for {unused}; {} wakes it",
                    survey::sign_in_command(name)
                ),
            )
        }
        Decision::WaitForEnd { why, .. } => {
            let reason = survey::reason(why, token);
            (
                Mark::Soon,
                format!(
                    "cannot be refreshed: sign-in needed in {} ({reason})",
                    span(seconds)
                ),
            )
        }
        Decision::BackOff { until } => {
            let pause = span(until.since(known.now));
            (
                mark,
                format!("{left}, the last refresh failed; tried again in {pause}{end}"),
            )
        }
        Decision::Refresh => (mark, format!("{left}, refreshes at the next check{end}")),
        Decision::Wait { .. } if known.state == State::Fresh => (Mark::Good, left + &end),
        Decision::Wait { .. } => (Mark::Soon, left + &end),
    }
}

/// When a person will have to sign in again: a guess, and called one.
fn estimated_end(known: &Known) -> String {
    known.estimate.map_or(String::new(), |estimate| {
        let left = span(estimate.at.since(known.now));
        format!(" (sign-in in about {left})")
    })
}

fn json(
    env: &Env,
    settings: &Settings,
    survey: &Survey,
    legacy: &[Legacy],
    daemon: &Daemon,
) -> String {
    let text = |value: Option<&str>| value.map_or(RawJson::null(), RawJson::string);
    let time =
        |at: Option<Timestamp>| at.map_or(RawJson::null(), |at| RawJson::string(&at.to_string()));
    let left = |at: Option<Timestamp>| {
        at.map_or(RawJson::null(), |at| RawJson::integer(at.since(survey.now)))
    };
    let sessions: Vec<RawJson> = survey
        .sessions
        .iter()
        .map(|sighting| {
            let (_, detail) = told(sighting, survey);
            let (start_url, region) = match sighting.session() {
                Ok(session) => (Some(&session.start_url), Some(&session.region)),
                Err(wrong) => (wrong.start_url.as_ref(), wrong.region.as_ref()),
            };
            let (state, expires_at, can_refresh, estimate) = match sighting {
                Sighting::Misconfigured(_) => ("misconfigured", None, false, None),
                Sighting::Unreadable { .. } => ("unreadable", None, false, None),
                Sighting::Known(known) => {
                    let token = known.token.as_ref();
                    let expires_at = token.map(|token| token.expires_at);
                    let can_refresh = token.is_some_and(|token| token.can_refresh);
                    let estimate = known.estimate.filter(|_| known.is_alive());
                    (known.state.as_str(), expires_at, can_refresh, estimate)
                }
            };
            let estimate = estimate.map_or(RawJson::null(), |estimate| {
                RawJson::object(&[
                    Member::new("at", RawJson::string(&estimate.at.to_string())),
                    Member::new("basis", RawJson::string(estimate.basis.as_str())),
                ])
            });
            RawJson::object(&[
                Member::new("name", RawJson::string(sighting.name())),
                Member::new("startUrl", text(start_url.map(String::as_str))),
                Member::new("region", text(region.map(Region::as_str))),
                Member::new("state", RawJson::string(state)),
                Member::new("expiresAt", time(expires_at)),
                Member::new("remainingSeconds", left(expires_at)),
                Member::new("canRefresh", RawJson::boolean(can_refresh)),
                Member::new("detail", RawJson::string(&detail)),
                Member::new("signInEstimate", estimate),
            ])
        })
        .collect();
    let legacy: Vec<RawJson> = legacy
        .iter()
        .map(|(name, expires_at)| {
            let expires_at = expires_at.as_ref().ok().copied().flatten();
            RawJson::object(&[
                Member::new("name", RawJson::string(name)),
                Member::new("expiresAt", time(expires_at)),
                Member::new("remainingSeconds", left(expires_at)),
            ])
        })
        .collect();
    let object = RawJson::object(&[
        Member::new("version", RawJson::integer(1)),
        Member::new("sessions", RawJson::array(&sessions)),
        Member::new("legacyProfiles", RawJson::array(&legacy)),
        Member::new("daemon", daemon.json(survey.now, settings.interval)),
        Member::new(
            "thresholdMinutes",
            RawJson::integer(survey.policy.threshold / MINUTE),
        ),
        Member::new(
            "logFile",
            RawJson::string(&Journal::new(&env.data_folder()).path().to_string_lossy()),
        ),
    ]);
    format!("{}\n", object.as_text())
}
