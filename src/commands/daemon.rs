//! What `status` says of the background job.
//!
//! Whether it is there and armed is the scheduler's to say, by exit statuses and stable properties, and it is asked once
//! and only where a file of the job exists. When it ran last and how that went is read from our own log.

use std::path::Path;

use crate::commands::job::{self, Scheduler};
use crate::commands::survey;
use crate::error::Error;
use crate::format::json::{Member, RawJson};
use crate::format::text::clean;
use crate::format::time::{MINUTE, Timestamp, span};
use crate::schedule::launchd::{self, Domain};
use crate::schedule::systemd::{self, Report};
use crate::system::env::{self, Env, Settings};
use crate::system::journal::Journal;
use crate::system::process;

/// The variables whose difference between this shell and the job is worth a word.
const COMPARED: [&str; 5] = [
    "AWS_SSO_REFRESH_THRESHOLD",
    "AWS_SSO_REFRESH_INTERVAL",
    "AWS_SSO_SESSION_DURATION",
    "AWS_SSO_REFRESH_LOGIN",
    "AWS_CONFIG_FILE",
];

#[derive(Debug)]
pub struct Daemon {
    pub state: State,
    pub last: Option<LastCheck>,
    /// Of the job, where there is one.
    pub program: String,
    /// The environment that the job has, where there is a job of ours.
    pub env: Option<Env>,
    /// The job's own, where there is a job of ours and they can be used.
    pub settings: Option<Settings>,
    /// What is not as it should be with the stored settings, a line each.
    pub notes: Vec<String>,
    /// The stored settings that differ from this shell's: the variable, and its values here and in the job.
    pub differing: Vec<(&'static str, [String; 2])>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    NotInstalled,
    Waiting,
    Running {
        pid: u32,
    },
    Disabled,
    /// Its file is there, and the scheduler does not have it.
    NotLoaded,
    ProgramMissing,
    /// The job has our name and runs another tool's program.
    Foreign,
    /// The scheduler does not answer.
    Unknown {
        why: String,
    },
}

/// The last scheduled run, as it logged itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastCheck {
    pub at: Timestamp,
    pub exit: u8,
}

/// Looks at the job.
pub fn look(env: &Env) -> Daemon {
    let last = Journal::new(&env.data_folder())
        .last_line_with(" run=scheduled ")
        .and_then(|line| LastCheck::read(&line));
    let mut daemon = Daemon {
        state: State::NotInstalled,
        last,
        program: String::new(),
        env: None,
        settings: None,
        notes: Vec::new(),
        differing: Vec::new(),
    };
    // A home folder that is not there holds no job either.
    let Ok(scheduler) = Scheduler::of_this_machine(env) else {
        return daemon;
    };
    let Some(installed) = scheduler.installed() else {
        return daemon;
    };
    daemon.program = installed.program;
    if !installed.is_ours {
        daemon.state = State::Foreign;
        return daemon;
    }
    let (stored, warning) = job::settings_stored(env);
    daemon.notes.extend(warning);
    let job = env.clone().of_job(Some(stored.unwrap_or_default().values));
    match job.settings() {
        Ok(settings) => daemon.settings = Some(settings),
        Err(error) => daemon.notes.push(format!("the job {}", error.line())),
    }
    let now = job::settings_now(env);
    for name in env::STORED.into_iter().chain([env::BROWSER]) {
        let here = now.iter().find(|(known, _)| known == name);
        let both = [here.map(|(_, value)| value.clone()), job.raw(name)];
        if both[0] != both[1] {
            let told = |value: Option<String>| match value {
                None => "not set".to_string(),
                Some(value) => job::shown(name, &value),
            };
            daemon.differing.push((name, both.map(told)));
        }
    }
    // Where the profile is this shell's too, its own warnings say so.
    let is_of_profile = |(name, _): &(&str, _)| ["AWS_PROFILE", "AWS_CONFIG_FILE"].contains(name);
    if job.get("AWS_PROFILE").is_some() && daemon.differing.iter().any(is_of_profile) {
        let read = survey::read_config(&job).ok();
        let vanished = read.and_then(|read| survey::vanished_profile(&job, &read));
        let vanished = vanished.map(|why| format!("in the job, {why}"));
        daemon.notes.extend(vanished);
    }
    daemon.env = Some(job);
    daemon.state = if process::is_program(Path::new(&daemon.program)) {
        ask(&scheduler).unwrap_or_else(|error| State::Unknown { why: error.line() })
    } else {
        State::ProgramMissing
    };
    daemon
}

fn ask(scheduler: &Scheduler) -> Result<State, Error> {
    let agent = match scheduler {
        Scheduler::Launchd(agent) => agent,
        Scheduler::Systemd(_) => {
            let ended = scheduler.ask(&systemd::show())?;
            if ended.status != 0 {
                let why = "this user's systemd does not answer".to_string();
                return Ok(State::Unknown { why });
            }
            return Ok(State::of_report(&Report::read(&ended.stdout)));
        }
    };
    // `list` looks into the domain of this login only, so its "unknown" is no answer.
    let listed = scheduler.ask(&agent.list())?;
    if let Some(pid) = launchd::pid(&listed.stdout) {
        return Ok(State::Running { pid });
    }
    let mut is_loaded = listed.status == 0;
    for domain in [Domain::Gui, Domain::User] {
        is_loaded = is_loaded || scheduler.ask(&agent.probe(domain))?.status == 0;
    }
    // One that was disabled while it was loaded runs until the next login only.
    let disabled = scheduler.ask(&agent.probe_disabled(Domain::Gui))?.stdout;
    Ok(match launchd::is_disabled(&disabled) {
        true => State::Disabled,
        false if is_loaded => State::Waiting,
        false => State::NotLoaded,
    })
}

impl State {
    fn of_report(report: &Report) -> State {
        match report.pid {
            _ if !report.is_loaded => State::NotLoaded,
            Some(pid) => State::Running { pid },
            None if !report.is_enabled => State::Disabled,
            None if !report.is_armed => State::NotLoaded,
            None => State::Waiting,
        }
    }

    fn as_str(&self) -> &'static str {
        match self {
            State::NotInstalled => "notInstalled",
            State::Waiting => "waiting",
            State::Running { .. } => "running",
            State::Disabled => "disabled",
            State::NotLoaded => "notLoaded",
            State::ProgramMissing => "programMissing",
            State::Foreign => "foreign",
            State::Unknown { .. } => "unknown",
        }
    }
}

impl LastCheck {
    /// `2026-11-23T20:04:11Z run=scheduled sessions=3 refreshed=0 exit=0 ms=1`
    fn read(line: &str) -> Option<LastCheck> {
        let (at, rest) = line.split_once(' ')?;
        let exit = rest
            .split(' ')
            .find_map(|word| word.strip_prefix("exit="))?;
        Some(LastCheck {
            at: Timestamp::parse(at)?.at,
            exit: exit
                .parse()
                .ok()
                .filter(|_| rest.starts_with("run=scheduled "))?,
        })
    }

    pub fn told(self) -> &'static str {
        match self.exit {
            0 => "ok",
            1 => "failed; see aws-sso-refresh logs",
            2 => "a setting or the config is wrong; see aws-sso-refresh logs",
            3 => "a session needs a sign-in",
            _ => "unknown",
        }
    }
}

impl Daemon {
    /// The last check, and how long ago that was. Seconds.
    pub fn last_check(&self, now: Timestamp) -> Option<(i64, LastCheck)> {
        // A remembered time in the future was written under a wrong clock.
        let last = self.last.filter(|last| last.at <= now)?;
        Some((now.since(last.at), last))
    }

    /// What there is to say of its state, and whether `install` puts that right.
    pub fn told(&self, now: Timestamp, interval: i64) -> (String, bool) {
        match &self.state {
            State::NotInstalled => ("not installed".to_string(), true),
            State::Running { pid } => (format!("running (PID {pid})"), false),
            State::Waiting => (format!("waiting ({})", self.waiting(now, interval)), false),
            State::Disabled => ("disabled".to_string(), true),
            State::NotLoaded => ("installed, but not active".to_string(), true),
            State::ProgramMissing => {
                let program = clean(&self.program);
                (format!("its program is gone from {program}"), true)
            }
            State::Foreign => {
                let program = clean(&self.program);
                (format!("another tool's job ({program})"), true)
            }
            State::Unknown { why } => (format!("unknown ({})", clean(why)), false),
        }
    }

    /// The line of `status`, and a warning for every note.
    pub fn text(&self, now: Timestamp, interval: i64) -> String {
        const INSTALL: &str = "run aws-sso-refresh install";
        let mut text = match self.told(now, interval) {
            (told, true) => format!("Daemon: {told}; {INSTALL}\n"),
            (told, false) => format!("Daemon: {told}\n"),
        };
        let compared = self
            .differing
            .iter()
            .filter(|(name, _)| COMPARED.contains(name));
        let differing = compared
            .map(|(name, [here, there])| format!("{name} is {here} here and {there} in the job"));
        for note in self.notes.iter().cloned().chain(differing) {
            text.push_str(&format!("Warning: {note}; {INSTALL}\n"));
        }
        text
    }

    fn waiting(&self, now: Timestamp, interval: i64) -> String {
        let interval = interval * MINUTE;
        let Some((ago, last)) = self.last_check(now) else {
            return format!("no check yet; next within {}", span(interval));
        };
        // Later than a whole interval: the machine slept, and the next one may be a whole one away.
        let next = if ago < interval {
            interval - ago
        } else {
            interval
        };
        let next = (next + MINUTE - 1) / MINUTE * MINUTE;
        format!(
            "last check {} ago: {}; next within {}",
            span(ago),
            last.told(),
            span(next)
        )
    }

    pub fn json(&self, now: Timestamp, interval: i64) -> RawJson {
        let pid = match self.state {
            State::Running { pid } => RawJson::integer(i64::from(pid)),
            _ => RawJson::null(),
        };
        let last = self.last_check(now);
        let (at, exit) = last.map_or((RawJson::null(), RawJson::null()), |(_, last)| {
            let at = RawJson::string(&last.at.to_string());
            (at, RawJson::integer(i64::from(last.exit)))
        });
        RawJson::object(&[
            Member::new("state", RawJson::string(self.state.as_str())),
            Member::new("pid", pid),
            Member::new("lastCheckAt", at),
            Member::new("lastExit", exit),
            Member::new("intervalMinutes", RawJson::integer(interval)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_check_is_read_from_the_line_that_it_left() {
        let line = "2026-11-23T20:04:11Z run=scheduled sessions=3 refreshed=0 exit=3 ms=1";
        let last = LastCheck::read(line).expect("a check");
        assert_eq!(
            (last.at.to_string().as_str(), last.exit),
            ("2026-11-23T20:04:11Z", 3)
        );
        for line in [
            "",
            "x",
            "2026-11-23T20:04:11Z run=manual exit=0",
            "x run=scheduled exit=0",
        ] {
            assert_eq!(LastCheck::read(line), None, "{line}");
        }
    }

    #[test]
    fn what_a_waiting_job_did_and_will_do() {
        let now = Timestamp(1_000_000);
        let check = |ago: Option<i64>, expected: &str| {
            let last = ago.map(|ago| LastCheck {
                at: now.plus(-ago),
                exit: 0,
            });
            let daemon = Daemon {
                state: State::Waiting,
                last,
                program: String::new(),
                env: None,
                settings: None,
                notes: Vec::new(),
                differing: Vec::new(),
            };
            assert_eq!(
                daemon.text(now, 10),
                format!("Daemon: waiting ({expected})\n")
            );
        };
        check(Some(3 * MINUTE), "last check 3m ago: ok; next within 7m");
        check(Some(0), "last check 0s ago: ok; next within 10m");
        check(
            Some(9 * MINUTE + 30),
            "last check 9m ago: ok; next within 1m",
        );
        check(Some(60 * MINUTE), "last check 1h ago: ok; next within 10m");
        check(None, "no check yet; next within 10m");
        check(Some(-60), "no check yet; next within 10m");
    }
}
