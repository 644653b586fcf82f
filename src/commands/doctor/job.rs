//! The background job and what it depends on: the scheduler, the program, the settings, and the ways to reach a person.

use std::fs;
use std::path::{Path, PathBuf};

use crate::commands::daemon::{Daemon, State};
use crate::commands::doctor::Findings;
use crate::commands::install::ends_with_login;
use crate::commands::job::{self, Scheduler};
use crate::commands::output::shell_word;
use crate::commands::program::{self, NAME};
use crate::error::Error;
use crate::format::time::{MINUTE, Timestamp, span};
use crate::schedule;
use crate::system::env::{self, Env, Login, Settings};
use crate::system::files::{self, Found};
use crate::system::{browser, process};

/// A script is smaller, and this program is larger. Bytes.
const SCRIPT_MAX: u64 = 256 * 1024;

pub fn report(
    env: &Env,
    daemon: &Daemon,
    settings: &Settings,
    now: Timestamp,
    findings: &mut Findings,
) {
    findings.area = "job";
    let own = files::resolve(&std::env::current_exe().unwrap_or_default());
    let program = match daemon.env {
        Some(_) => PathBuf::from(&daemon.program),
        None => program::stable(env).unwrap_or_else(|_| own.clone()),
    };
    let mut installed_at = None;
    let absence = match Scheduler::of_this_machine(env) {
        Ok(scheduler) => {
            let written = fs::metadata(scheduler.job_file()).and_then(|file| file.modified());
            installed_at = written.ok().map(Timestamp::of);
            job::absence(&scheduler)
        }
        Err(error) => Some(error.line()),
    };
    let fleeting = program::check(&program, &env.home).err();
    judge_scheduler(
        absence.as_deref(),
        daemon,
        settings,
        &program,
        now,
        findings,
    );
    if absence.is_none() {
        judge_job(daemon, settings, installed_at, now, findings);
    }
    let is_ours = daemon.env.is_some();
    if is_ours && daemon.state != State::ProgramMissing || fleeting.is_some() {
        let is_own = files::resolve(&program) == own;
        judge_program(&program, fleeting.as_ref(), is_own, findings);
    }
    if is_ours {
        judge_settings(daemon, findings);
    }
    let notifier = if env::is_mac() {
        "osascript"
    } else {
        "notify-send"
    };
    let told = match process::find(notifier) {
        Some(_) => "✓ notifications: by {}",
        None => "- notifications: there is no {}; only `status` and the log tell",
    };
    findings.tell(told, &[&notifier]);
    judge_sign_in(settings.login, browser::is_here(env), findings);
    if absence.is_none() && !env::is_mac() && ends_with_login(env) {
        let told = "! logout: the job ends when you log out here\n loginctl enable-linger";
        findings.tell(told, &[]);
    }
    report_programs(env, &own, findings);
}

/// What a shell runs under this program's name, and what else of that name lies where such tools are put.
fn report_programs(env: &Env, own: &Path, findings: &mut Findings) {
    let mut folders = process::folders_of_path();
    let on_path = folders.len();
    for usual in [".local/bin", "/usr/local/bin", "/opt/homebrew/bin"] {
        folders.push(env.home.join(usual)); // an absolute path stays what it is
    }
    let mut seen = Vec::new();
    let mut is_found = false;
    for (i, folder) in folders.iter().enumerate() {
        let path = folder.join(NAME);
        let real = files::resolve(&path);
        if process::is_program(&path) && !seen.contains(&real) {
            let is_first = i < on_path && !is_found;
            let namesake = match files::read(&path, SCRIPT_MAX) {
                _ if real == own => Namesake::This,
                Found::Bytes(bytes) if String::from_utf8_lossy(&bytes).contains("aws sso") => {
                    Namesake::OldTool
                }
                Found::Bytes(_) => Namesake::Script,
                _ => Namesake::Copy,
            };
            if namesake == Namesake::OldTool || i < on_path {
                judge_namesake(namesake, &path, is_first, findings);
            }
            is_found |= is_first;
            seen.push(real);
        }
    }
    if !is_found {
        let folder = own.parent().unwrap_or(own);
        let folder = shell_word(&folder.to_string_lossy());
        let told = "! command: a shell does not find {}\n export PATH={}:\"$PATH\"";
        findings.tell(told, &[&NAME, &folder]);
    }
}

/// A program of this program's name.
#[derive(PartialEq)]
enum Namesake {
    This,
    /// Also ours, as far as can be told.
    Copy,
    /// The bash tool that this program replaces.
    OldTool,
    /// Perhaps one that leads here, as version managers have them.
    Script,
}

fn judge_namesake(namesake: Namesake, path: &Path, is_first: bool, findings: &mut Findings) {
    let told = match (namesake, is_first) {
        (Namesake::This, true) => "✓ command: {}",
        (Namesake::OldTool, true) => {
            "! old tool: a shell runs {}, the tool that this one replaces\n rm {}"
        }
        (Namesake::OldTool, false) => "! old tool: {} is the tool that this one replaces\n rm {}",
        (Namesake::Copy, true) => "! command: a shell runs {}, another copy than this\n rm {}",
        (Namesake::Copy, false) => "! command: {} is another copy than this\n rm {}",
        (Namesake::Script, true) => {
            "- command: a shell runs {}, a script, and that was not run here"
        }
        (Namesake::This | Namesake::Script, false) => return,
    };
    findings.tell(
        told,
        &[&path.display(), &shell_word(&path.to_string_lossy())],
    );
}

/// Two intervals, because the machine may have slept through one.
fn is_checked(daemon: &Daemon, settings: &Settings, now: Timestamp) -> bool {
    daemon
        .last_check(now)
        .is_some_and(|(ago, _)| ago <= 2 * settings.interval * MINUTE)
}

fn judge_scheduler(
    absence: Option<&str>,
    daemon: &Daemon,
    settings: &Settings,
    program: &Path,
    now: Timestamp,
    findings: &mut Findings,
) {
    let told = match absence {
        None if env::is_mac() => "✓ scheduler: launchd",
        None => "✓ scheduler: systemd",
        Some(_) if is_checked(daemon, settings, now) => {
            "- scheduler: {}; something else starts the checks"
        }
        Some(_) => "✗1 scheduler: {}\nadd this line with `crontab -e`:\n\n   {}",
    };
    let program = shell_word(&program.to_string_lossy());
    let line = schedule::crontab_line(&program, settings.interval);
    findings.tell(told, &[&absence.unwrap_or_default(), &line]);
}

fn judge_job(
    daemon: &Daemon,
    settings: &Settings,
    installed_at: Option<Timestamp>,
    now: Timestamp,
    findings: &mut Findings,
) {
    let interval = settings.interval;
    let is_checked = is_checked(daemon, settings, now);
    let (state, is_mended) = daemon.told(now, interval);
    let told = match &daemon.state {
        State::Waiting | State::Running { .. } => "✓ job: {}",
        // A crontab, say.
        State::NotInstalled if is_checked => "- job: {}; something else starts the checks",
        State::NotLoaded if env::is_mac() => {
            "✗1 job: {}: probably switched off in System Settings\n\
             switch it on in System Settings > General > Login Items & Extensions, which no command can do, and run \
             `aws-sso-refresh install`"
        }
        _ if is_mended => "✗1 job: {}\n aws-sso-refresh install",
        _ => "✗1 job: {}\nlog out and in again, and look once more",
    };
    findings.tell(told, &[&state]);
    let Some((ago, last)) = daemon.last_check(now).filter(|_| daemon.env.is_some()) else {
        let age = installed_at.map_or(0, |at| now.since(at));
        if daemon.state == State::Waiting && age > 2 * interval * MINUTE {
            let told = "! last check: none is in the log, and the job was installed {} ago\n\
                        look again in {}m; where it stays so, run `aws-sso-refresh install`";
            findings.tell(told, &[&span(age), &interval]);
        }
        return;
    };
    if !is_checked {
        let told = "! last check: {} ago: this machine slept, or the job does not run\n\
                    look again in {}m; where it stays so, run `aws-sso-refresh install`";
        findings.tell(told, &[&span(ago), &interval]);
    } else if last.exit != 0 {
        findings.tell("! last check: {}\n aws-sso-refresh logs", &[&last.told()]);
    }
}

fn judge_program(path: &Path, fleeting: Option<&Error>, is_own: bool, findings: &mut Findings) {
    match (fleeting, program::warning(path)) {
        (Some(error), _) => findings.fail("! program: {}\n{}", error),
        (None, Some(why)) => findings.tell("! program: {}\n aws-sso-refresh install", &[&why]),
        (None, None) => {
            let told = match is_own {
                true => "✓ program: {}",
                false => "! program: {} is another one than this\n aws-sso-refresh install",
            };
            findings.tell(told, &[&path.display()]);
        }
    }
}

fn judge_settings(daemon: &Daemon, findings: &mut Findings) {
    for note in &daemon.notes {
        let told = match daemon.settings {
            Some(_) => "! settings: {}\n aws-sso-refresh install",
            None => "✗2 settings: {}\n aws-sso-refresh install",
        };
        findings.tell(told, &[note]);
    }
    for (name, [here, there]) in &daemon.differing {
        let told = "! {}: {} here, {} in the job\n aws-sso-refresh install";
        findings.tell(told, &[name, here, there]);
    }
    if daemon.notes.is_empty() && daemon.differing.is_empty() {
        findings.tell("✓ settings: the job has those of this shell", &[]);
    }
}

fn judge_sign_in(login: Login, has_browser: bool, findings: &mut Findings) {
    let told = match login {
        Login::Off => "- sign-in: off, so nobody is asked (AWS_SSO_REFRESH_LOGIN)",
        Login::Notify => "✓ sign-in: by notification (AWS_SSO_REFRESH_LOGIN)",
        Login::Browser if has_browser => "✓ sign-in: a browser opens when a session has ended",
        Login::Browser => {
            "- sign-in: no browser here; `aws-sso-refresh login NAME` shows a code for another machine"
        }
    };
    findings.tell(told, &[]);
}
