//! The background job as this machine has it: which scheduler there is, what it knows of the job, the settings that the
//! job was given, and the carrying out of the steps that `schedule` makes.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::commands::output;
use crate::commands::refresh::RUN_MAX;
use crate::commands::store::Store;
use crate::error::Error;
use crate::format::text::{clean, excerpt, word};
use crate::format::variables::{self, Variables};
use crate::schedule::launchd::{self, Agent, Domain};
use crate::schedule::systemd::{self, Report, Units};
use crate::schedule::{Insist, Installed, Step};
use crate::sso::config;
use crate::system::env::{self, Env};
use crate::system::files::{self, Durable, Found};
use crate::system::journal::Journal;
use crate::system::process::{self, Ended, patience};

/// Far above any plist, unit or file of settings. Bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// How often something is asked again that has not come to pass.
const PAUSE: Duration = Duration::from_millis(100);

/// How often, after an answer that sounds well.
const PROOFS: u32 = 10;

/// Between two attempts to register; a label is freed within some seconds.
const INSIST_PAUSE: Duration = Duration::from_millis(500);

/// What starts the job on this machine.
#[derive(Debug)]
pub enum Scheduler {
    Launchd(Agent),
    Systemd(Manager),
}

/// The user manager of systemd, and how to reach it.
#[derive(Debug)]
pub struct Manager {
    pub units: Units,
    variables: Vec<(&'static str, OsString)>,
}

impl Scheduler {
    /// launchd on macOS, else systemd.
    ///
    /// # Errors
    /// The home folder is not there.
    pub fn of_this_machine(env: &Env) -> Result<Scheduler, Error> {
        let home =
            fs::metadata(&env.home).map_err(|error| files::cannot("read", &env.home, &error))?;
        if env::is_mac() {
            return Ok(Scheduler::Launchd(Agent::new(&env.home, home.uid())));
        }
        let xdg = |name: &str, default: &str| match env.get(name).map(PathBuf::from) {
            Some(folder) if folder.is_absolute() => folder,
            _ => env.home.join(default),
        };
        let mut variables = Vec::new();
        if env.get("XDG_RUNTIME_DIR").is_none() {
            // cron, su and plain ssh commands come without it; systemctl needs nothing else.
            let folder = PathBuf::from(format!("/run/user/{}", home.uid()));
            if fs::metadata(&folder).is_ok_and(|found| found.uid() == home.uid()) {
                variables.push(("XDG_RUNTIME_DIR", folder.into_os_string()));
            }
        }
        Ok(Scheduler::Systemd(Manager {
            units: Units::new(
                &xdg("XDG_CONFIG_HOME", ".config"),
                &xdg("XDG_DATA_HOME", ".local/share"),
            ),
            variables,
        }))
    }

    /// The file that names the program, where there is one.
    pub fn job_file(&self) -> PathBuf {
        match self {
            Scheduler::Launchd(agent) => agent.plist.clone(),
            Scheduler::Systemd(manager) => manager.units.service(),
        }
    }

    /// The program that the job runs; `None`: there is no job.
    pub fn installed(&self) -> Option<Installed> {
        let unknown = || Installed {
            program: "an unknown program".to_string(),
            is_ours: false,
        };
        let text = match files::read(&self.job_file(), FILE_MAX) {
            Found::Nothing => return None,
            Found::Unusable(_) => return Some(unknown()),
            Found::Bytes(bytes) => String::from_utf8(bytes).unwrap_or_default(),
        };
        let installed = match self {
            Scheduler::Launchd(_) => launchd::installed(&text),
            Scheduler::Systemd(_) => systemd::installed(&text),
        };
        Some(installed.unwrap_or_else(unknown))
    }

    /// Asks the scheduler.
    ///
    /// # Errors
    /// The command is not there or does not answer.
    pub fn ask(&self, argv: &[String]) -> Result<Ended, Error> {
        let variables = match self {
            Scheduler::Launchd(_) => [].as_slice(),
            Scheduler::Systemd(manager) => manager.variables.as_slice(),
        };
        let hint = match self {
            Scheduler::Launchd(_) => "try again; where it stays so, restart this Mac",
            Scheduler::Systemd(_) => {
                "see `systemctl --user status`; log out and in again where it stays so"
            }
        };
        process::run(argv, variables, patience()).map_err(|error| error.hint(hint))
    }

    /// Carries out `steps`, one after the other.
    ///
    /// # Errors
    /// A step failed; those after it were not begun.
    pub fn perform(&self, steps: &[Step], store: &Store) -> Result<(), Trouble> {
        let mut held = Vec::new();
        for step in steps {
            match step {
                Step::HoldBack if held.is_empty() => {
                    held = store.hold_back(Instant::now() + RUN_MAX)
                }
                step => self.perform_one(step)?,
            }
        }
        Ok(())
    }

    fn perform_one(&self, step: &Step) -> Result<(), Trouble> {
        match step {
            Step::HoldBack => {} // done before
            Step::Write { path, text, mode } => {
                files::make_folder(path.parent().unwrap_or(Path::new("/")))?;
                files::replace(path, text.as_bytes(), *mode, Durable::Now)?;
            }
            Step::Remove { path } => files::remove(path)?,
            Step::Run { argv, accept } => {
                let ended = self.ask(argv)?;
                if ended.status != 0 && !accept.contains(&ended.status) {
                    return Err(Trouble::refused(argv, &ended));
                }
            }
            Step::Await { argv, until } => {
                let deadline = Instant::now() + patience();
                while !until.contains(&self.ask(argv)?.status) {
                    if Instant::now() >= deadline {
                        let why = "its last run does not end";
                        let error = Error::new("cannot take the old job away", why);
                        return Err(Trouble::Error(error.hint("wait a minute and try again")));
                    }
                    std::thread::sleep(PAUSE);
                }
            }
            Step::Insist(insist) => self.insist(insist)?,
        }
        Ok(())
    }

    fn insist(&self, insist: &Insist) -> Result<(), Trouble> {
        let deadline = Instant::now() + patience();
        let has_happened = || Ok::<bool, Error>(self.ask(&insist.proof)?.status == 0);
        let (cured_by, remedy) = &insist.remedy;
        let mut is_cured = false;
        loop {
            let ended = self.ask(&insist.argv)?;
            if has_happened()? {
                return Ok(());
            }
            if ended.status == *cured_by && !is_cured {
                is_cured = true;
                self.ask(remedy)?;
                continue;
            }
            // launchd may need a moment. Longer without proof: gone again at once, which no second attempt mends.
            if ended.status == 0 {
                for _ in 0..PROOFS {
                    std::thread::sleep(PAUSE);
                    if has_happened()? {
                        return Ok(());
                    }
                }
            }
            if !insist.again.contains(&ended.status) {
                return Err(Trouble::refused(&insist.argv, &ended));
            }
            if Instant::now() >= deadline {
                self.ask(&insist.last_resort)?;
                return match has_happened()? {
                    true => Ok(()),
                    false => Err(Trouble::refused(&insist.argv, &ended)),
                };
            }
            std::thread::sleep(INSIST_PAUSE.min(patience()));
        }
    }
}

/// Why a list of steps was not finished.
#[derive(Debug)]
pub enum Trouble {
    Error(Error),
    /// An outside command ended with a status that is not accepted.
    Refused {
        command: String,
        status: i32,
        said: String,
    },
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Error(error)
    }
}

impl Trouble {
    fn refused(argv: &[String], ended: &Ended) -> Trouble {
        let said = ended.stderr.lines().next().unwrap_or("").trim();
        Trouble::Refused {
            command: argv.join(" "),
            status: ended.status,
            said: excerpt(said, 200),
        }
    }

    /// For a person: what the status means and what to do; `verb` is the command that did not succeed.
    pub fn explain(self, scheduler: &Scheduler, verb: &str) -> Error {
        let what = format!("cannot {verb} the job");
        let (command, status, said) = match self {
            Trouble::Error(error) => return error,
            Trouble::Refused {
                command,
                status,
                said,
            } => (clean(&command), status, said),
        };
        let told = match said.is_empty() {
            true => format!("`{command}` ended with {status}"),
            false => format!("`{command}` ended with {status}, {said}"),
        };
        match scheduler {
            Scheduler::Launchd(agent) => {
                let plist = clean(&output::shell_word(&agent.plist.to_string_lossy()));
                let command = format!("aws-sso-refresh {verb}");
                let (why, hint) = launchd::explain(status, &plist, &command);
                Error::new(what, format!("{why} ({told})")).hint(hint)
            }
            Scheduler::Systemd(_) => Error::new(what, told).hint(
                "see `systemctl --user status aws-sso-refresh.timer`; where XDG_CONFIG_HOME is set in this shell, \
                 the user manager must know it too",
            ),
        }
    }
}

/// What launchd has of the job; `text` is what the plist should hold.
///
/// # Errors
/// launchctl does not answer.
pub fn look_at_launchd(
    scheduler: &Scheduler,
    agent: &Agent,
    domain: Domain,
    text: &str,
) -> Result<launchd::Found, Error> {
    let mut registered = Vec::new();
    for domain in [Domain::Gui, Domain::User] {
        if scheduler.ask(&agent.probe(domain))?.status == 0 {
            registered.push(domain);
        }
    }
    let disabled = scheduler.ask(&agent.probe_disabled(domain))?.stdout;
    Ok(launchd::Found {
        is_same: is_same(&agent.plist, text),
        is_link: agent.plist.is_symlink(),
        registered,
        is_disabled: launchd::is_disabled(&disabled),
    })
}

/// The domain that a job of this user belongs to.
///
/// # Errors
/// There is none, or launchctl does not answer.
pub fn launchd_domain(scheduler: &Scheduler, agent: &Agent) -> Result<Domain, Error> {
    for domain in [Domain::Gui, Domain::User] {
        if scheduler.ask(&agent.probe_domain(domain))?.status == 0 {
            return Ok(domain);
        }
    }
    Err(Error::new(
        "cannot reach launchd",
        "this user is not logged in, neither at the screen nor over SSH",
    )
    .hint("log in at the screen and run `aws-sso-refresh install` there"))
}

/// Why this machine has no scheduler that would take a job; `None`: it has one.
pub fn absence(scheduler: &Scheduler) -> Option<String> {
    if let Scheduler::Launchd(_) = scheduler {
        let is_there = process::find("launchctl").is_some();
        return (!is_there).then(|| "there is no launchctl on this machine".to_string());
    }
    if !Path::new("/run/systemd/system").exists() {
        return Some("this machine does not run systemd".to_string());
    }
    match scheduler.ask(&systemd::probe()) {
        Err(error) => Some(error.line()),
        Ok(ended) if systemd::is_ready(&ended.stdout) => None,
        Ok(_) => Some("this user's systemd does not answer".to_string()),
    }
}

/// What systemd has of the job.
///
/// # Errors
/// systemctl does not answer.
pub fn look_at_systemd(scheduler: &Scheduler) -> Result<Report, Error> {
    Ok(Report::read(&scheduler.ask(&systemd::show())?.stdout))
}

pub fn is_same(path: &Path, text: &str) -> bool {
    files::read(path, FILE_MAX) == Found::Bytes(text.as_bytes().to_vec())
}

/// `job.env` in the data folder.
pub fn settings_path(env: &Env) -> PathBuf {
    env.data_folder().join("job.env")
}

/// What `install` stores of this shell's variables. The job has another working folder and other variables, so paths
/// are written out. Empty ones are kept where empty means something: an empty proxy is no proxy.
pub fn settings_now(env: &Env) -> Vec<(String, String)> {
    let names = env::STORED.into_iter().chain([env::BROWSER]);
    names
        .filter_map(|name| {
            let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
            let value = env
                .raw(name)
                .filter(|value| is_proxy || !value.is_empty())?;
            let value = match name {
                "AWS_CONFIG_FILE" => {
                    let home = env.home.to_string_lossy();
                    absolute(config::expand_path(&value, &home, |name| {
                        std::env::var(name).ok()
                    }))
                }
                "AWS_CA_BUNDLE" | "REQUESTS_CA_BUNDLE" => absolute(value),
                _ => value,
            };
            Some((name.to_string(), value))
        })
        .collect()
}

fn absolute(path: String) -> String {
    let absolute = std::path::absolute(&path).ok();
    absolute
        .and_then(|path| path.into_os_string().into_string().ok())
        .unwrap_or(path)
}

/// A value for the screen; the user and password of a proxy or another URL are not for it.
pub fn shown(name: &str, value: &str) -> String {
    let is_url = name.to_ascii_lowercase().ends_with("_proxy") || value.contains("://");
    let value = match value.rsplit_once('@') {
        Some((before, host)) if is_url => {
            let scheme = before
                .split_once("://")
                .map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
            format!("{scheme}(hidden)@{host}")
        }
        _ => value.to_string(),
    };
    clean(&output::shell_word(&value))
}

/// The text of `job.env`.
pub fn settings_text(settings: &[(String, String)]) -> String {
    format!(
        "# The settings of the background job, as they were when `aws-sso-refresh install` ran; run it again after a change.\n{}",
        variables::write(settings)
    )
}

/// What the last `install` stored; `None`: nothing, or nothing that can be read, and then why.
pub fn settings_stored(env: &Env) -> (Option<Variables>, Option<String>) {
    let path = settings_path(env);
    let shown = || clean(&path.to_string_lossy());
    match files::read(&path, FILE_MAX) {
        Found::Nothing => (None, None),
        Found::Unusable(why) => (None, Some(format!("cannot read {}: {why}", shown()))),
        Found::Bytes(bytes) => {
            let variables = variables::read(&String::from_utf8_lossy(&bytes));
            let lines: Vec<String> = variables.unknown.iter().map(ToString::to_string).collect();
            let warning = (!lines.is_empty())
                .then(|| format!("{}: ignored line {}", shown(), lines.join(", ")));
            (Some(variables), warning)
        }
    }
}

/// The environment of a scheduled run. What is wrong with its stored settings goes to the log, which is where people
/// look for what the job did.
pub fn env_of_job(env: Env) -> Env {
    let (stored, warning) = settings_stored(&env);
    if let Some(warning) = warning {
        let line = format!("warning {}", word(&warning));
        let written = Journal::new(&env.data_folder()).append(env::now(), &line);
        written.unwrap_or_else(|error| output::complain(&error.to_string()));
    }
    env.of_job(stored.map(|stored| stored.values))
}
