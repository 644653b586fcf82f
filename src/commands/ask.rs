//! Asking a person to sign in, once and at a moment when somebody is there; and telling them beforehand.
//!
//! The job must not wait for anybody: it starts one detached asker (`ask`, a command that help does not list), which
//! outlives it, and ends. The asker takes the ended sessions one after the other; a lock that it holds all the while keeps
//! a second one away, so that nobody is asked for two things at once. A request is written down before it is made, so that
//! a crash can only make it rarer. Only a session that has truly ended is asked for: the network must answer before
//! anybody is bothered.

use std::time::{Duration, Instant};

use crate::cli::Options;
use crate::commands::login;
use crate::commands::output;
use crate::commands::screen::Screen;
use crate::commands::sign_in::{Desk, Person, Way};
use crate::commands::store::{Store, Stored};
use crate::commands::survey::{self, Known, Survey};
use crate::error::{Error, Exit};
use crate::format::text::{self, clean};
use crate::format::time::{Timestamp, span};
use crate::sso::plan::{self, Decision, State};
use crate::sso::token::Fingerprint;
use crate::sso::{estimate, history::History};
use crate::system::env::{self, Env, Login, Settings};
use crate::system::files::{self, Durable};
use crate::system::journal::Journal;
use crate::system::{browser, notify, presence, process};

/// Starting the asker takes milliseconds.
const START_MAX: Duration = Duration::from_secs(10);

/// What the asker gets to see of this process's variables; what `install` stored it reads itself. A value goes with the
/// name: to pass on a name alone is more than systemd can do before version 250.
const DISPLAY: [&str; 3] = ["DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"];

/// What a check found that concerns a person.
#[derive(Debug, Default)]
pub struct Findings {
    /// The sessions that were checked.
    pub checked: Vec<String>,
    /// Those which the service has kept refusing for an hour past expiry, for a reason that no sign-in mends.
    pub wrong: Vec<(String, String)>,
}

/// Takes note of sign-ins by other tools: a refresh token that this program knew, and now another one, which is not one
/// of those that it has just `adopted` from an interrupted run of its own. And of tokens that work, whoever was asked for
/// them.
pub fn notice_sign_ins(store: &Store, survey: &Survey, adopted: &[Fingerprint]) {
    for known in survey.known() {
        let name = known.session.name.as_str();
        let works = matches!(known.state, State::Fresh | State::Due);
        if works && known.history.asked > 0 {
            remember(store, name, |history| {
                history.last_asked = None;
                history.asked = 0;
            });
        }
        let Some(there) = known.signed_in_elsewhere else {
            continue;
        };
        // Another run may be between its rename and its note of it.
        let Ok(Some(_held)) = store.lock(name, Instant::now()) else {
            continue;
        };
        if adopted.contains(&there) {
            remember(store, name, |history| history.stored = Some(there));
            continue;
        }
        let inherited = estimate::began(&known.history).filter(|_| {
            known.history.refused.is_none() && known.estimate.is_some_and(|end| end.at > known.now)
        });
        let needs_another = matches!(known.decision, Decision::SignIn(_));
        remember(store, name, |history| {
            if history.stored == Some(there) {
                return; // that note has been made since this run read its memory
            }
            estimate::note_sign_in(history, known.now, inherited);
            history.stored = Some(there);
            if !needs_another {
                history.last_asked = None;
                history.asked = 0;
            }
        });
    }
}

/// After a check by hand: whoever sits at the terminal signs in to what has ended. Says whether nothing is left to
/// sign in to.
///
/// # Errors
/// The state cannot be read.
pub fn at_terminal(env: &Env, checked: &[String]) -> Result<bool, Error> {
    let store = Store::new(env);
    let survey = look(env, &env.settings()?, &store)?;
    let desk = Desk::new(env, &store, &survey);
    let mut is_done = true;
    for known in ended(&survey, checked) {
        let way = Way::of(env, &Options::default());
        if let Err(error) = login::here(env, &desk, &known.session, way) {
            output::complain(&error.to_string());
            is_done = false;
        }
    }
    Ok(is_done)
}

/// After a scheduled check: tells a person what concerns them, and starts the asker where one is needed.
///
/// # Errors
/// The state cannot be read, or the asker not be started.
pub fn scheduled(
    env: &Env,
    settings: &Settings,
    login: Login,
    findings: &Findings,
) -> Result<(), Error> {
    let store = Store::new(env);
    let survey = look(env, settings, &store)?;
    let journal = Journal::new(&env.data_folder());
    let log = |name: &str, why: &str| {
        let line = format!("{} not-asked why={}", text::word(name), text::word(why));
        note(&journal, &line);
    };
    let mut to_ask: Vec<&Known> = ended(&survey, &findings.checked).collect();
    if login == Login::Off {
        to_ask
            .iter()
            .for_each(|known| log(&known.session.name, "asking is off"));
        return Ok(());
    }
    let is_asking = !to_ask.is_empty() && store.asker_lock()?.is_none();
    to_ask.retain(|known| {
        let name = known.session.name.as_str();
        let may = plan::may_ask(survey.now, &known.history);
        if !may {
            log(name, &format!("asked {}", asked_ago(known)));
        } else if is_asking {
            log(name, "somebody is being asked right now");
        }
        may && !is_asking
    });
    let endings: Vec<(&Known, Timestamp)> = survey
        .known()
        .filter(|known| findings.checked.contains(&known.session.name) && known.is_alive())
        .filter_map(|known| Some((known, known.estimate?)))
        .filter(|(known, end)| estimate::is_warning_due(survey.now, end, &known.history))
        .map(|(known, end)| (known, end.at))
        .collect();
    let wrong: Vec<(&Known, &str)> = survey
        .known()
        .filter(|known| known.history.wrong_told.is_none())
        .filter_map(|known| {
            let found = findings
                .wrong
                .iter()
                .find(|(name, _)| *name == known.session.name);
            Some((known, found?.1.as_str()))
        })
        .collect();
    if to_ask.is_empty() && endings.is_empty() && wrong.is_empty() {
        return Ok(());
    }
    if let Err(why) = presence::somebody(env, survey.now) {
        to_ask
            .iter()
            .for_each(|known| log(&known.session.name, why));
        return Ok(());
    }
    warn_of_ends(&store, &journal, survey.now, &endings);
    for (known, why) in wrong {
        let name = clean(&known.session.name);
        if remember(&store, &known.session.name, |history| {
            history.wrong_told = Some(survey.now)
        }) {
            let body = format!("{why}. Signing in again would not help; see aws-sso-refresh logs.");
            tell(&journal, &format!("AWS: {name} cannot be refreshed"), &body);
        }
    }
    let names: Vec<&str> = to_ask
        .iter()
        .map(|known| known.session.name.as_str())
        .collect();
    match names.is_empty() {
        true => Ok(()),
        false => start_asker(&names),
    }
}

/// The asker.
///
/// # Errors
/// The settings are wrong, or its lock cannot be had.
pub fn run(env: &Env, options: &Options) -> Result<Exit, Error> {
    let settings = env.settings()?;
    let Some(_held) = Store::new(env).asker_lock()? else {
        return Ok(Exit::Ok); // Another one is at it.
    };
    let journal = Journal::new(&env.data_folder());
    for name in &options.sessions {
        if let Err(error) = ask(env, &settings, &journal, name) {
            let line = format!(
                "{} not-asked why={}",
                text::word(name),
                text::word(&error.line())
            );
            note(&journal, &line);
        }
    }
    Ok(Exit::Ok)
}

/// Asks for one session, where that is still called for.
fn ask(env: &Env, settings: &Settings, journal: &Journal, name: &str) -> Result<(), Error> {
    let store = Store::new(env);
    let Some(_held) = store.ask_lock(name)? else {
        return Ok(()); // Somebody is being asked already.
    };
    let survey = look(env, settings, &store)?;
    let asked_for = [name.to_string()];
    let found = ended(&survey, &asked_for).next();
    let Some(known) = found.filter(|known| plan::may_ask(survey.now, &known.history)) else {
        return Ok(());
    };
    if let Err(why) = presence::somebody(env, survey.now) {
        let why = Error::new(format!("cannot ask for {}", clean(name)), why);
        return Err(why);
    }
    let record = |how: &str| {
        store.remember(name, Durable::Now, |history| {
            history.last_asked = Some(survey.now);
            history.asked += 1;
        })?;
        note(journal, &format!("{} asked how={how}", text::word(name)));
        Ok(())
    };
    let title = format!("AWS: sign in to {}", clean(name));
    let reason = match known.decision {
        Decision::SignIn(why) => survey::reason(why, known.token.as_ref()),
        _ => String::new(),
    };
    if settings.login == Login::Notify || !browser::is_here(env) {
        record("notification")?;
        let command = survey::sign_in_command(name);
        tell(
            journal,
            &title,
            &format!("A sign-in is needed: {reason}. Run {command}"),
        );
        return Ok(());
    }
    let desk = Desk::new(env, &store, &survey);
    let mut is_asked = false;
    // How it ended is in the log.
    let _ = desk.sign_in(
        &known.session,
        Person {
            way: Way::browser(),
            screen: Screen::quiet(env),
            before: &mut || {
                // A second page, because the service has forgotten the registration, is the same request.
                if std::mem::replace(&mut is_asked, true) {
                    return Ok(());
                }
                record("browser")?;
                let body =
                    format!("A sign-in is needed: {reason}. The page opens in your browser now.");
                tell(journal, &title, &body);
                Ok(())
            },
            is_needless: &|| is_needless(&store, known, survey.policy),
        },
    );
    Ok(())
}

/// Whether somebody has signed in with another tool meanwhile, or signed out.
fn is_needless(store: &Store, known: &Known, policy: plan::Policy) -> bool {
    let name = known.session.name.as_str();
    match store.read_once(&store.token_path(name)) {
        Stored::Absent => true,
        Stored::Token { token, .. } => {
            let is_same = known
                .whole
                .as_ref()
                .is_some_and(|was| was.is_same_grant(&token));
            let history = store.histories().0.of(name);
            let start_url = &known.session.start_url;
            let decision = plan::plan(env::now(), start_url, Some(&token), &history, policy);
            !is_same && !matches!(decision, Decision::SignIn(_))
        }
        Stored::Unparsable(_) | Stored::Unusable(_) => false,
    }
}

/// One notification for all sessions that end soon, so that nobody is thrown out in the middle of something.
fn warn_of_ends(store: &Store, journal: &Journal, now: Timestamp, endings: &[(&Known, Timestamp)]) {
    let told: Vec<&(&Known, Timestamp)> = endings
        .iter()
        .filter(|(known, at)| {
            remember(store, &known.session.name, |history| {
                history.warned_for = Some(*at)
            })
        })
        .collect();
    let Some((first, at)) = told.first() else {
        return;
    };
    let names: Vec<String> = told
        .iter()
        .map(|(known, _)| clean(&known.session.name))
        .collect();
    let names = names.join(", ");
    let name = clean(&output::shell_word(&first.session.name));
    let left = span(at.since(now));
    tell(
        journal,
        &format!("AWS: {names} ends soon"),
        &format!(
            "A sign-in will be needed in about {left}. To start a full new session now: \
             aws-sso-refresh logout {name}, then aws-sso-refresh login {name}"
        ),
    );
}

/// Starts the asker so that it outlives the job. systemd ends whatever a unit has started when the unit ends: below it,
/// the asker becomes a unit of its own, one that leaves behind what it has started, because that is the person's
/// browser. Elsewhere a process group of its own is enough.
fn start_asker(names: &[&str]) -> Result<(), Error> {
    let cannot = |why: &str| Error::new("cannot start the asker", why);
    let program = std::env::current_exe().map_err(|error| cannot(&files::why(&error)))?;
    let mut argv = vec![program.to_string_lossy().into_owned()];
    argv.extend(["ask", "--scheduled"].map(str::to_string));
    let is_unit = env::var("INVOCATION_ID").is_some();
    for name in names {
        // systemd puts variables in for what follows a dollar sign.
        let name = if is_unit {
            name.replace('$', "$$")
        } else {
            (*name).to_string()
        };
        argv.extend(["--session".to_string(), name]);
    }
    if !is_unit {
        return process::detach(&argv);
    }
    let mut unit: Vec<String> = [
        "systemd-run",
        "--user",
        "--collect",
        "--quiet",
        "--no-block",
        "--property=KillMode=process",
    ]
    .map(str::to_string)
    .to_vec();
    for name in DISPLAY {
        let value = env::var(name).and_then(|value| value.into_string().ok());
        unit.extend(value.map(|value| format!("--setenv={name}={value}")));
    }
    unit.push("--".to_string());
    unit.extend(argv);
    let ended = process::run(&unit, &[], START_MAX)?;
    match ended.status {
        0 => Ok(()),
        status => Err(cannot(&format!(
            "systemd-run ended with {status}, {}",
            text::excerpt(ended.stderr.trim(), 200)
        ))),
    }
}

fn look(env: &Env, settings: &Settings, store: &Store) -> Result<Survey, Error> {
    survey::survey(env, settings, store, env::now(), false)
}

fn ended<'a>(survey: &'a Survey, names: &'a [String]) -> impl Iterator<Item = &'a Known> {
    survey
        .known()
        .filter(|known| known.state == State::SignInNeeded && names.contains(&known.session.name))
}

fn asked_ago(known: &Known) -> String {
    let last_asked = known.history.last_asked.unwrap_or(known.now);
    format!("{} ago", span(known.now.since(last_asked)))
}

/// Whether it was written down, durably: what is not, is not done.
fn remember(store: &Store, name: &str, change: impl FnOnce(&mut History)) -> bool {
    let written = store.remember(name, Durable::Now, change);
    if let Err(error) = &written {
        output::complain(&error.to_string());
    }
    written.is_ok()
}

fn tell(journal: &Journal, title: &str, body: &str) {
    if let Err(error) = notify::send(title, body) {
        note(
            journal,
            &format!("not-notified why={}", text::word(&error.line())),
        );
    }
}

fn note(journal: &Journal, line: &str) {
    if let Err(error) = journal.append(env::now(), line) {
        output::complain(&error.to_string());
    }
}
