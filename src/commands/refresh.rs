//! `refresh`: one check of every session, and a safe refresh of those that are due.
//!
//! `refresh_one` is the heart of the program. In its order: lock, look again, make room, ask, put down, look a third
//! time, rename. What each step protects is said where it stands; `system/files.rs` says how.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::cli::Options;
use crate::commands::ask::{self, Findings};
use crate::commands::output::{self, Mark, Paint};
use crate::commands::spinner::{self, Spinner};
use crate::commands::store::{Settled, Store, Stored, TOKEN_MAX};
use crate::commands::survey::{self, Known, Sighting, Survey};
use crate::error::{Error, Exit};
use crate::format::text::{self, clean};
use crate::format::time::{HOUR, MINUTE, Timestamp, span};
use crate::format::url::Url;
use crate::sso::endpoint::Service;
use crate::sso::estimate;
use crate::sso::oidc::{self, Reply};
use crate::sso::plan::{self, Decision, Policy, SignIn, State};
use crate::sso::token::{CachedToken, Fingerprint, Grant, Renewal};
use crate::system::env::{self, Env, Login};
use crate::system::files::{Commit, Durable, Room};
use crate::system::https::Client;
use crate::system::signals::{self, Owed};
use crate::system::{files, journal::Journal};

/// The whole run, sign-in aside.
pub const RUN_MAX: Duration = Duration::from_secs(60);

/// One request, all told.
const REQUEST_MAX: Duration = Duration::from_secs(15);

/// How many sessions are refreshed side by side.
const SIDE_BY_SIDE: usize = 64;

/// A refresh needs a TLS handshake's worth of stack and no more. Bytes.
const STACK: usize = 512 * 1024;

/// Attempts within one run where the server is in trouble, and the jittered pauses between them.
const TROUBLE_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Attempts by hand where nothing could be sent: three in about five seconds.
const UNSENT_PAUSES: [Duration; 2] = [Duration::from_millis(1500), Duration::from_millis(3500)];

/// A scheduled run tries again this often until its time is up: the network may only just be waking.
const UNSENT_PAUSE_SCHEDULED: Duration = Duration::from_secs(5);

/// After `slow_down`: one more attempt after this, then a minute of peace (rule F11).
const SLOW_DOWN_PAUSE: Duration = Duration::from_secs(5);
const SLOW_DOWN_PEACE: i64 = 60;

/// After an answer that no retry mends, the next run may ask again at the earliest (rule F12). Seconds.
const WRONG_PEACE: i64 = 30;

/// After a refusal the file is read once more: whoever else was refreshing needs a moment to write.
const REFUSED_PAUSE: Duration = Duration::from_secs(3);

/// Whoever looks on is shown nothing of a refresh that is over so soon.
const UNSEEN: Duration = Duration::from_millis(500);

/// A granted token is written this often before it is given up.
const WRITE_ATTEMPTS: u32 = 3;
const WRITE_PAUSE: Duration = Duration::from_millis(100);

/// As large as the old file and any reply together, with the keys and dates around them: a JSON string is never
/// written longer than it was received. Bytes.
fn room_for(old: &[u8]) -> usize {
    old.len() + 64 * 1024 + 1024
}

/// What became of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Refreshed {
        after: i64,
    },
    /// Another run or tool refreshed it or signed in meanwhile; its token stands.
    Adopted {
        after: i64,
    },
    /// The token file went away meanwhile: somebody signed out.
    SignedOut,
    SignInNeeded(SignIn),
    /// It did not work now; a later run tries again.
    Failed {
        why: String,
    },
    /// The server says that the request is wrong.
    Wrong {
        why: String,
    },
    /// A setting is wrong: it would not work at another time either.
    Misset {
        why: String,
    },
}

/// One finished piece of work, for the screen and the log.
#[derive(Debug)]
struct Report {
    outcome: Outcome,
    before: i64,
    attempts: u32,
    took: Duration,
}

/// Everything that a refresh needs and that all sessions share.
#[derive(Debug)]
struct Run<'a> {
    env: &'a Env,
    store: &'a Store,
    journal: &'a Journal,
    client: Client,
    is_scheduled: bool,
    /// Between two checks of the job. Seconds.
    interval: i64,
    ends: Instant,
}

/// # Errors
/// A variable, the config or a session's name is wrong, or the cache cannot be read. A session that could not be
/// refreshed is no error of the run: the exit status says it.
pub fn run(env: &Env, options: &Options) -> Result<Exit, Error> {
    let started = Instant::now();
    let journal = Journal::new(&env.data_folder());
    let checked = check(env, options, &journal, started);
    if options.dry_run {
        return checked.map(|checked| checked.summary.exit);
    }
    let summary = match &checked {
        Ok(checked) => checked.summary,
        Err(error) => {
            // A job that cannot even begin must leave a trace, because nobody sees its standard error.
            note(&journal, &format!("failed {}", text::word(&error.line())));
            Summary {
                sessions: 0,
                refreshed: 0,
                exit: error.exit(),
            }
        }
    };
    let line = format!(
        "run={} sessions={} refreshed={} exit={} ms={}",
        if options.scheduled {
            "scheduled"
        } else {
            "manual"
        },
        summary.sessions,
        summary.refreshed,
        summary.exit as u8,
        milliseconds(started.elapsed())
    );
    note(&journal, &line);
    match checked?.at_terminal {
        Some(ended) if ask::at_terminal(env, &ended.checked)? => Ok(ended.rest),
        _ => Ok(summary.exit),
    }
}

/// What a check leads to.
#[derive(Debug)]
struct Checked {
    summary: Summary,
    /// There are sessions to sign in to, and somebody sits at the terminal.
    at_terminal: Option<Ended>,
}

#[derive(Debug)]
struct Ended {
    /// The sessions that were checked.
    checked: Vec<String>,
    /// The exit status of all that need no person.
    rest: Exit,
}

/// What the closing line of the log says.
#[derive(Debug, Clone, Copy)]
struct Summary {
    sessions: usize,
    refreshed: usize,
    exit: Exit,
}

fn check(
    env: &Env,
    options: &Options,
    journal: &Journal,
    started: Instant,
) -> Result<Checked, Error> {
    let settings = env.settings()?;
    let store = Store::new(env);
    let now = env::now();
    let adopted = match options.dry_run {
        true => Vec::new(),
        false => settle_left_overs(&store, journal)?,
    };
    let mut survey = survey::survey(env, &settings, &store, now, options.force)?;
    if !options.scheduled {
        output::warn(&survey.warnings);
    }
    choose(&mut survey, &options.sessions)?;
    if !options.dry_run {
        ask::notice_sign_ins(&store, &survey, &adopted);
    }

    let known: Vec<&Known> = survey.sessions.iter().filter_map(due).collect();
    if options.scheduled && !options.dry_run && !known.is_empty() {
        // Where nothing is due, nobody misses what they warn of.
        for warning in output::first(&survey.warnings) {
            note(journal, &format!("warning {}", text::word(&warning)));
        }
    }
    let mut reports: Vec<Option<Report>> = Vec::new();
    if !options.dry_run && !known.is_empty() {
        let run = Run {
            env,
            store: &store,
            journal,
            client: Client::new(survey::network(env, &survey)),
            is_scheduled: options.scheduled,
            interval: settings.interval * MINUTE,
            ends: started + run_max(),
        };
        let _held = signals::hold();
        reports = refresh_all(&run, &survey, &known);
    }
    let refreshed = reports
        .iter()
        .flatten()
        .filter(|report| matches!(report.outcome, Outcome::Refreshed { .. }));
    let mut summary = Summary {
        sessions: survey.sessions.len(),
        refreshed: refreshed.count(),
        exit: Exit::Ok,
    };
    let mut page = Page::new(env, &survey);
    let mut findings = Findings::default();
    let mut rest = Exit::Ok;
    let may_concern_a_person = !known.is_empty() || survey.known().any(Known::concerns_a_person);
    let mut reports = reports.into_iter();
    for sighting in &survey.sessions {
        let report = due(sighting).and_then(|_| reports.next()).flatten();
        let exit = match report {
            None if !options.dry_run && is_left_alone(sighting) => Exit::Failed,
            _ => exit(sighting, report.as_ref()),
        };
        summary.exit = summary.exit.max(exit);
        if exit != Exit::SignIn {
            rest = rest.max(exit);
        }
        findings.add(sighting.name(), report.as_ref());
        let trouble = match sighting {
            Sighting::Unreadable { why, .. } => Some(("unreadable", why.clone())),
            Sighting::Misconfigured(wrong) => Some(("misconfigured", survey.told(&wrong.mistake))),
            Sighting::Known(_) => None,
        };
        if let Some((what, why)) = trouble.filter(|_| !options.dry_run) {
            let (name, why) = (text::word(sighting.name()), text::word(&why));
            note(journal, &format!("{name} {what} {why}"));
        }
        page.add(sighting, &survey, report.as_ref(), options);
    }
    let login = match options.no_login {
        true => Login::Off,
        false => settings.login,
    };
    if options.scheduled {
        if !options.dry_run
            && may_concern_a_person
            && let Err(error) = ask::scheduled(env, &settings, login, &findings)
        {
            note(
                journal,
                &format!("not-asked why={}", text::word(&error.line())),
            );
        }
        return Ok(Checked {
            summary,
            at_terminal: None,
        });
    }
    let terminal = env::terminal();
    let asks = login == Login::Browser && terminal.input && terminal.output && !options.dry_run;
    output::print(&page.text(&survey, asks))?;
    let ended = Ended {
        checked: findings.checked,
        rest,
    };
    Ok(Checked {
        summary,
        at_terminal: Some(ended).filter(|_| asks && summary.exit == Exit::SignIn),
    })
}

impl Findings {
    fn add(&mut self, name: &str, report: Option<&Report>) {
        /// The service may change its mind within an hour.
        const WRONG_FOR_LONG: i64 = HOUR;
        self.checked.push(name.to_string());
        if let Some(Report {
            outcome: Outcome::Wrong { why },
            before,
            ..
        }) = report
            && *before <= -WRONG_FOR_LONG
        {
            self.wrong.push((name.to_string(), why.clone()));
        }
    }
}

/// A line in the log; a log that cannot be written is complained about and stops nothing.
fn note(journal: &Journal, line: &str) {
    if let Err(error) = journal.append(env::now(), line) {
        output::complain(&error.to_string());
    }
}

/// Settles what crashed runs left before anything is read: a token that was paid for must not be overlooked. Returns
/// the refresh tokens that were adopted.
///
/// # Errors
/// The cache cannot be listed.
fn settle_left_overs(store: &Store, journal: &Journal) -> Result<Vec<Fingerprint>, Error> {
    let mut adopted = Vec::new();
    for left_over in store.left_overs()? {
        let done = match store.settle(&left_over) {
            Ok(Settled::Nothing) => continue,
            Ok(Settled::Removed) => "removed what an interrupted run left".to_string(),
            Ok(Settled::Adopted(fingerprint)) => {
                adopted.extend(fingerprint);
                "adopted the token of an interrupted run".to_string()
            }
            Err(error) => error.line(),
        };
        note(journal, &format!("left-over {}", text::word(&done)));
    }
    Ok(adopted)
}

/// Leaves only the sessions that were named, where any were.
///
/// # Errors
/// There is none of such a name.
fn choose(survey: &mut Survey, names: &[String]) -> Result<(), Error> {
    for name in names {
        survey::pick_any(survey, Some(name), "refresh")?;
    }
    let is_chosen = |sighting: &Sighting| names.iter().any(|name| name == sighting.name());
    survey
        .sessions
        .retain(|sighting| names.is_empty() || is_chosen(sighting));
    Ok(())
}

fn due(sighting: &Sighting) -> Option<&Known> {
    match sighting {
        Sighting::Known(known) if known.decision == Decision::Refresh => Some(known),
        _ => None,
    }
}

/// Refreshes all sessions side by side, so that a run takes as long as its slowest one and a dead endpoint holds nobody
/// back. This thread is one of the workers, so that a single due session needs no other; but where somebody looks on it
/// shows them how far the others are.
fn refresh_all(run: &Run, survey: &Survey, due: &[&Known]) -> Vec<Option<Report>> {
    let started = Instant::now();
    let mut spinner = match run.is_scheduled {
        true => None,
        false => Spinner::new(),
    };
    let here = std::thread::current();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let reports: Mutex<Vec<Option<Report>>> = Mutex::new(due.iter().map(|_| None).collect());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(known) = due.get(index) else { break };
            let report = refresh_and_log(run, survey, known);
            if let Ok(mut reports) = reports.lock() {
                reports[index] = Some(report);
            }
            done.fetch_add(1, Ordering::Relaxed);
            here.unpark();
        }
    };
    std::thread::scope(|scope| {
        let first = usize::from(spinner.is_none());
        for number in first..due.len().min(SIDE_BY_SIDE) {
            let spawned = std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, work);
            if spawned.is_err() {
                // As many as the system allows; this thread does the rest.
                if number == 0 {
                    spinner = None;
                }
                break;
            }
        }
        let Some(spinner) = &mut spinner else {
            return work();
        };
        loop {
            let (done, took) = (done.load(Ordering::Relaxed), started.elapsed());
            if done == due.len() {
                break;
            }
            if took >= UNSEEN {
                spinner.draw(&progress(due, done, took));
            }
            std::thread::park_timeout(spinner::FRAME);
        }
        spinner.clear();
    });
    reports.into_inner().unwrap_or_default()
}

/// What is under way, how far it is, and for how long.
fn progress(due: &[&Known], done: usize, took: Duration) -> Vec<String> {
    let mut parts = match due {
        [one] => vec![format!("Refreshing {}", clean(&one.session.name))],
        all => vec![
            format!("Refreshing {} sessions", all.len()),
            format!("{done} done"),
        ],
    };
    parts.push(format!("{}s", took.as_secs()));
    if signals::has_come() {
        parts.push("ends with the answer".to_string());
    }
    parts
}

fn refresh_and_log(run: &Run, survey: &Survey, known: &Known) -> Report {
    let started = Instant::now();
    let mut attempts = 0;
    let name = &known.session.name;
    let before = known.remaining();
    let outcome = survey::endpoint(run.env, survey, &known.session, Service::Oidc)
        .and_then(|endpoint| refresh_one(run, known, &endpoint, survey.policy, &mut attempts))
        .unwrap_or_else(|error| match error.exit() {
            Exit::Usage => Outcome::Misset { why: error.line() },
            _ => Outcome::Failed { why: error.line() },
        });
    let report = Report {
        outcome,
        before,
        attempts,
        took: started.elapsed(),
    };
    note(run.journal, &log_line(name, &report));
    report
}

/// The safe refresh of one session.
///
/// # Errors
/// The disk or the lock did not do what it must; whatever was granted is on disk where that was possible at all.
fn refresh_one(
    run: &Run,
    known: &Known,
    endpoint: &Url,
    policy: Policy,
    attempts: &mut u32,
) -> Result<Outcome, Error> {
    let name = known.session.name.as_str();
    let path = run.store.token_path(name);

    // Lock. Another run at this session means: wait for it, look again, and normally find nothing left to do.
    let Some(_held) = run.store.lock(name, run.ends)? else {
        return Ok(Outcome::Failed {
            why: "another run is still busy with it".to_string(),
        });
    };

    // Look again under the lock. Where a run died since the sweep at the start, what it was granted is worth more than
    // another grant.
    run.store.settle_session(name);
    let token = match run.store.read(&path) {
        Stored::Token { token } => token,
        Stored::Absent => return Ok(Outcome::SignedOut),
        Stored::Unparsable(why) | Stored::Unusable(why) => return Ok(Outcome::Failed { why }),
    };
    let now = env::now();
    let is_as_planned = known
        .whole
        .as_ref()
        .is_some_and(|planned| planned.is_same_grant(&token));
    // What changed meanwhile was renewed or signed in by somebody: no force is meant for that.
    let policy = Policy {
        force: policy.force && is_as_planned,
        ..policy
    };
    let (histories, _) = run.store.histories();
    let history = histories.of(name);
    match plan::plan(
        now,
        &known.session.start_url,
        Some(&token),
        &history,
        policy,
    ) {
        Decision::Refresh => {}
        Decision::SignIn(why) | Decision::Dormant(why) => return Ok(Outcome::SignInNeeded(why)),
        Decision::SignedOut => return Ok(Outcome::SignedOut),
        Decision::BackOff { .. } => {
            return Ok(Outcome::Failed {
                why: "another run failed a moment ago".to_string(),
            });
        }
        Decision::Wait { .. } | Decision::WaitForEnd { .. } => {
            return Ok(Outcome::Adopted {
                after: token.remaining(now),
            });
        }
    }
    let Ok(renewal) = &token.renewal else {
        return Ok(Outcome::SignInNeeded(SignIn::NotRenewable)); // `plan` has seen to it
    };

    // Make room: a disk that is full or read-only is found out before the refresh token is spent.
    let target = files::resolve(&path);
    let spent = renewal.refresh_token.fingerprint();
    let room_path = run.store.room_path(name, &target, &spent);
    let size = room_for(token.text().as_bytes());
    if size as u64 > TOKEN_MAX {
        let why = "its token file could become too large to be read again".to_string();
        return Ok(Outcome::Failed { why });
    }
    let room = files::make_room(room_path, target, size)?;

    let owed = Cell::new(None);
    let granted = match ask(run, &path, &token, renewal, endpoint, &owed, attempts) {
        Asked::Granted(grant, asked_at) => (grant, asked_at),
        Asked::Changed(there) => {
            room.discard();
            return Ok(match there {
                Some(there) => Outcome::Adopted {
                    after: there.remaining(env::now()),
                },
                None => Outcome::SignedOut,
            });
        }
        Asked::Refused { ends_session } => {
            room.discard();
            let was_logged_out = history.logged_out == Some(spent);
            // How long a session lives is not to be learned from one that was ended by hand or lost its client.
            let due_at = token.expires_at.plus(-policy.threshold);
            let due_at = Some(due_at).filter(|_| ends_session && !was_logged_out);
            remember_refusal(run, name, spent, due_at);
            return Ok(if was_logged_out {
                Outcome::SignedOut
            } else {
                Outcome::SignInNeeded(SignIn::Rejected)
            });
        }
        Asked::Failed { why, pause } => {
            room.discard();
            remember_failure(run, name, pause);
            return Ok(Outcome::Failed { why });
        }
        Asked::Misset { why } => {
            room.discard();
            return Ok(Outcome::Misset { why });
        }
        Asked::Wrong { why } => {
            room.discard();
            remember_failure(run, name, Pause::Fixed(WRONG_PEACE));
            return Ok(Outcome::Wrong { why });
        }
    };
    let (grant, asked_at) = granted;
    let outcome = keep(run, &path, room, &token, &grant, asked_at)?;
    if let Outcome::Refreshed { .. } = outcome {
        remember_success(run, name, &token, &grant, asked_at);
    }
    Ok(outcome)
}

/// How the asking ended.
enum Asked {
    Granted(Grant, Timestamp),
    /// Somebody else changed the file meanwhile (`None`: removed it).
    Changed(Option<Box<CachedToken>>),
    Refused {
        /// Else it is the client registration that the service does not know any more.
        ends_session: bool,
    },
    Failed {
        why: String,
        pause: Pause,
    },
    Wrong {
        why: String,
    },
    Misset {
        why: String,
    },
}

/// How long the next runs leave the server alone.
#[derive(Clone, Copy)]
enum Pause {
    None,
    Fixed(i64),
    /// Longer with every failure in a row.
    Growing,
}

/// Asks the server, again where the contract's table of answers says so. What a request may buy is `owed` from when it
/// leaves; after a grant, until the token is on the disk.
fn ask(
    run: &Run,
    path: &std::path::Path,
    token: &CachedToken,
    renewal: &Renewal,
    endpoint: &Url,
    owed: &Cell<Option<Owed>>,
    attempts: &mut u32,
) -> Asked {
    let request = oidc::refresh_request(endpoint, renewal);
    let mut troubles = TROUBLE_PAUSES.iter();
    let mut unsent = UNSENT_PAUSES.iter();
    let mut may_slow_down = true;
    loop {
        // A refresh token is not spent where there would be no time to take in what it buys.
        let deadline = Instant::now() + REQUEST_MAX;
        if deadline > run.ends {
            return Asked::Failed {
                why: "this run has no time left for it".to_string(),
                pause: Pause::None,
            };
        }
        *attempts += 1;
        let asked_at = env::now();
        let leaving = || owed.set(Some(signals::owe()));
        let reply = match run.client.spend(&request, deadline, &leaving) {
            Ok(response) => oidc::token_reply(&response),
            Err(failure) if failure.sent => Reply::TryLater { why: failure.why },
            Err(failure) => {
                let why = match failure.hint {
                    Some(hint) => format!("{} ({hint})", failure.why),
                    None => failure.why,
                };
                if failure.is_misset {
                    return Asked::Misset { why };
                }
                let pause = match run.is_scheduled {
                    true => Some(UNSENT_PAUSE_SCHEDULED),
                    false => unsent.next().copied(),
                };
                match pause.filter(|pause| sleep(run, *pause)) {
                    Some(_) => continue,
                    None => {
                        return Asked::Failed {
                            why,
                            pause: Pause::None,
                        };
                    }
                }
            }
        };
        if !matches!(reply, Reply::Granted(_)) {
            owed.take();
        }
        match reply {
            Reply::Granted(grant) => return Asked::Granted(grant, asked_at),
            Reply::Wrong(refusal) => {
                return Asked::Wrong {
                    why: refusal.to_string(),
                };
            }
            Reply::Ended(refusal) => {
                // Somebody else may have spent this refresh token and be about to write what it bought.
                for pause in [Duration::ZERO, REFUSED_PAUSE] {
                    std::thread::sleep(pause);
                    if let Some(there) = changed(run, path, token) {
                        return Asked::Changed(there);
                    }
                }
                return Asked::Refused {
                    ends_session: !refusal.is_about_client(),
                };
            }
            Reply::SlowDown(refusal) => {
                let why = refusal.to_string();
                if !may_slow_down || !sleep(run, SLOW_DOWN_PAUSE) {
                    return Asked::Failed {
                        why,
                        pause: Pause::Fixed(SLOW_DOWN_PEACE),
                    };
                }
                may_slow_down = false;
            }
            Reply::TryLater { why } => {
                let pause = troubles.next().map(|pause| jittered(*pause));
                if !pause.is_some_and(|pause| sleep(run, pause)) {
                    return Asked::Failed {
                        why,
                        pause: Pause::Growing,
                    };
                }
            }
        }
        // The answer may have been lost on its way: another tool may have had more luck with the same token.
        if let Some(there) = changed(run, path, token) {
            return Asked::Changed(there);
        }
    }
}

/// The token that is in the file now, where it is another grant than `token` (`Some(None)`: the file is gone).
fn changed(
    run: &Run,
    path: &std::path::Path,
    token: &CachedToken,
) -> Option<Option<Box<CachedToken>>> {
    match run.store.read(path) {
        Stored::Absent => Some(None),
        Stored::Token { token: there } if !there.is_same_grant(token) => Some(Some(there)),
        _ => None,
    }
}

/// Puts a granted token down, looks a third time, and renames.
///
/// # Errors
/// The token could not be written, or not be put in its place; a complete one stays beside the file for the next run.
fn keep(
    run: &Run,
    path: &std::path::Path,
    mut room: Room,
    token: &CachedToken,
    grant: &Grant,
    asked_at: Timestamp,
) -> Result<Outcome, Error> {
    let after = grant.expires_in;
    let mut read = token.text().clone();
    let mut bytes = token.with_grant(grant, asked_at);
    put_down(&mut room, &bytes)?;
    for _ in 0..WRITE_ATTEMPTS {
        match run.store.read(path) {
            // Still the file that was read: rename over it.
            Stored::Token { token: there }
                if *there.text() == read && files::resolve(path) == room.target => {}
            // Another tool rewrote what is around the same grant: the new tokens go into its file.
            Stored::Token { token: now_there } if now_there.is_same_grant(token) => {
                bytes = now_there.with_grant(grant, asked_at);
                read = now_there.text().clone();
                if files::resolve(path) != room.target {
                    let spot = files::resolve(path);
                    let name = room.path.file_name().unwrap_or_default().to_os_string();
                    let elsewhere = files::make_room(
                        spot.with_file_name(name),
                        spot,
                        room_for(read.as_bytes()),
                    )?;
                    std::mem::replace(&mut room, elsewhere).discard();
                }
                put_down(&mut room, &bytes)?;
                continue;
            }
            // Somebody signed in: theirs stands.
            Stored::Token { token: there } => {
                room.discard();
                return Ok(Outcome::Adopted {
                    after: there.remaining(env::now()),
                });
            }
            // Somebody signed out, and that stands too.
            Stored::Absent => {
                room.discard();
                return Ok(Outcome::SignedOut);
            }
            Stored::Unparsable(why) | Stored::Unusable(why) => {
                let kept = clean(&room.path.to_string_lossy());
                let why =
                    format!("{why}; the new token is kept as {kept} and looked at by the next run");
                return Ok(Outcome::Failed { why });
            }
        }
        match again(|| room.commit())? {
            Commit::Done => return Ok(Outcome::Refreshed { after }),
            Commit::Vanished => {
                // `aws sso logout` removes whatever holds an access token, ours among it. If the token file is still
                // there, it was not a logout.
                if let Stored::Absent = run.store.read(path) {
                    return Ok(Outcome::SignedOut);
                }
                room = files::make_room(room.path, room.target, room_for(&bytes))?;
                put_down(&mut room, &bytes)?;
            }
        }
    }
    let why = format!(
        "it keeps changing; the new token is kept as {}",
        clean(&room.path.to_string_lossy())
    );
    Ok(Outcome::Failed { why })
}

/// Writes a granted token into its room, after a check that it can be read back.
pub(super) fn put_down(room: &mut Room, bytes: &[u8]) -> Result<(), Error> {
    if let Err(why) = CachedToken::parse(bytes) {
        return Err(Error::new(
            format!("cannot write {}", room.target.display()),
            why,
        ));
    }
    again(|| room.put_down(bytes))
}

/// A refresh token has been spent for what is written here: a passing failure is tried again.
pub(super) fn again<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..WRITE_ATTEMPTS {
        if let Ok(done) = attempt() {
            return Ok(done);
        }
        std::thread::sleep(WRITE_PAUSE);
    }
    attempt()
}

fn remember_success(run: &Run, name: &str, old: &CachedToken, grant: &Grant, asked_at: Timestamp) {
    let stored = match &grant.refresh_token {
        Some(refresh_token) => Some(refresh_token.fingerprint()),
        None => old.refresh_fingerprint(),
    };
    remember(run, name, |history| {
        estimate::note_grant(history, grant.expires_in);
        history.last_success = Some(asked_at);
        history.stored = stored;
        history.failures = 0;
        history.pause = 0;
        history.last_failure = None;
        history.refused = None;
        history.logged_out = None;
        history.last_asked = None;
        history.asked = 0;
        history.wrong_told = None;
    });
}

fn remember_failure(run: &Run, name: &str, pause: Pause) {
    remember(run, name, |history| {
        history.last_failure = Some(env::now());
        history.pause = match pause {
            Pause::None => 0,
            Pause::Fixed(seconds) => seconds,
            Pause::Growing => {
                history.failures += 1;
                plan::back_off(history.failures)
            }
        };
    });
}

/// `due_at`: since when the end of a session could be seen, where this was one.
fn remember_refusal(run: &Run, name: &str, spent: Fingerprint, due_at: Option<Timestamp>) {
    remember(run, name, |history| {
        let now = env::now();
        if let Some(due_at) = due_at {
            estimate::note_refusal(history, now, due_at, run.interval);
        }
        history.last_failure = Some(now);
        history.refused = Some(spent);
        history.failures = 0;
        history.pause = 0;
    });
}

fn remember(run: &Run, name: &str, change: impl FnOnce(&mut crate::sso::history::History)) {
    if let Err(error) = run.store.remember(name, Durable::Soon, change) {
        output::complain(&error.to_string());
    }
}

/// Sleeps, unless the run would be over by then.
fn sleep(run: &Run, pause: Duration) -> bool {
    if Instant::now() + pause >= run.ends {
        return false;
    }
    std::thread::sleep(pause);
    true
}

fn run_max() -> Duration {
    #[cfg(debug_assertions)]
    if let Some(Ok(seconds)) =
        env::var("AWS_SSO_REFRESH_RUN_SECONDS").map(|text| text.to_string_lossy().parse())
    {
        return Duration::from_secs(seconds); // tests of a run's end are not to take a minute
    }
    RUN_MAX
}

fn milliseconds(took: Duration) -> u64 {
    took.as_secs() * 1000 + u64::from(took.subsec_millis())
}

/// Up to a quarter more or less, so that the machines of one office do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 512;
    pause.mul_f64(0.75 + f64::from(u16::try_from(random).unwrap_or(0)) / 1024.0)
}

fn log_line(name: &str, report: &Report) -> String {
    let name = text::word(name);
    let cost = format!(
        "attempts={} ms={}",
        report.attempts,
        milliseconds(report.took)
    );
    let sign = if report.before < 0 { "-" } else { "" };
    let before = text::word(&format!("{sign}{}", span(report.before.saturating_abs())));
    match &report.outcome {
        Outcome::Refreshed { after } => {
            format!(
                "{name} refreshed before={before} after={} {cost}",
                text::word(&span(*after))
            )
        }
        Outcome::Adopted { after } => {
            format!(
                "{name} renewed-elsewhere before={before} after={} {cost}",
                text::word(&span(*after))
            )
        }
        Outcome::SignedOut => format!("{name} signed-out before={before} {cost}"),
        Outcome::SignInNeeded(why) => {
            format!(
                "{name} sign-in-needed before={before} why={} {cost}",
                text::word(&survey::reason(*why, None))
            )
        }
        Outcome::Failed { why } => format!(
            "{name} failed before={before} why={} {cost}",
            text::word(why)
        ),
        Outcome::Misset { why } => format!(
            "{name} misset before={before} why={} {cost}",
            text::word(why)
        ),
        Outcome::Wrong { why } => format!(
            "{name} refused before={before} why={} {cost}",
            text::word(why)
        ),
    }
}

/// Whether a refresh is due that the failures of earlier runs put off.
fn is_left_alone(sighting: &Sighting) -> bool {
    matches!(sighting, Sighting::Known(known)
        if matches!(known.decision, Decision::BackOff { .. }) && known.state != State::Fresh)
}

fn exit(sighting: &Sighting, report: Option<&Report>) -> Exit {
    match report.map(|report| &report.outcome) {
        None => sighting.exit(),
        Some(Outcome::SignInNeeded(_)) => Exit::SignIn,
        Some(Outcome::Failed { .. } | Outcome::Wrong { .. }) => Exit::Failed,
        Some(Outcome::Misset { .. }) => Exit::Usage,
        Some(_) => Exit::Ok,
    }
}

/// What a run by hand shows: a line a session, and at the end what a person can do.
struct Page {
    paint: Paint,
    column: usize,
    lines: String,
    to_sign_in: Vec<String>,
}

impl Page {
    fn new(env: &Env, survey: &Survey) -> Page {
        let paint = Paint::for_output(env);
        Page {
            paint,
            column: paint.column(survey.sessions.iter().map(Sighting::name)),
            lines: String::new(),
            to_sign_in: Vec::new(),
        }
    }

    fn add(
        &mut self,
        sighting: &Sighting,
        survey: &Survey,
        report: Option<&Report>,
        options: &Options,
    ) {
        let (mark, told) = match report {
            Some(report) => self.told(sighting, report),
            None if options.dry_run && due(sighting).is_some() => {
                (Mark::Soon, "would be refreshed".to_string())
            }
            None => super::status::told(sighting, survey),
        };
        let is_over =
            matches!(sighting, Sighting::Known(known) if known.state == State::SignInNeeded);
        let was_refused = matches!(
            report,
            Some(Report {
                outcome: Outcome::SignInNeeded(_),
                ..
            })
        );
        if is_over || was_refused {
            self.to_sign_in
                .push(survey::sign_in_command(sighting.name()));
        }
        let (name, column) = (sighting.name(), self.column);
        self.paint.line(&mut self.lines, mark, name, column, &told);
    }

    fn told(&self, sighting: &Sighting, report: &Report) -> (Mark, String) {
        let was = survey::remaining(report.before);
        match &report.outcome {
            Outcome::Refreshed { after } => (
                Mark::Good,
                format!("refreshed: {} (was: {was})", survey::remaining(*after)),
            ),
            Outcome::Adopted { after } => (
                Mark::Good,
                format!(
                    "renewed by another run or tool: {}",
                    survey::remaining(*after)
                ),
            ),
            Outcome::SignedOut => (Mark::Idle, "signed out".to_string()),
            Outcome::SignInNeeded(why) => {
                let token = match sighting {
                    Sighting::Known(known) => known.token.as_ref(),
                    _ => None,
                };
                (
                    Mark::Bad,
                    format!("sign-in needed: {}", survey::reason(*why, token)),
                )
            }
            Outcome::Failed { why } if report.before > 0 => {
                (Mark::Soon, format!("{was}, not refreshed: {why}"))
            }
            Outcome::Failed { why } => (Mark::Bad, format!("{was}, not refreshed: {why}")),
            Outcome::Misset { why } => (Mark::Bad, format!("{was}, not refreshed: {why}")),
            Outcome::Wrong { why } => (Mark::Bad, format!("{was}, the server refused: {why}")),
        }
    }

    /// Whoever is about to be asked (`asks`) needs no command for it.
    fn text(&self, survey: &Survey, asks: bool) -> String {
        if survey.sessions.is_empty() {
            let path = clean(&survey.config_path.to_string_lossy());
            return format!("No sso-session in {path}; `aws configure sso` makes one.\n");
        }
        let mut text = self.lines.clone();
        if !self.to_sign_in.is_empty() && !asks {
            text.push_str(&format!(
                "\nTo sign in again:\n  {}\n",
                self.to_sign_in.join("\n  ")
            ));
        }
        text
    }
}
