//! `install` and `uninstall`: the background job, put onto this machine and taken away again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cli::Options;
use crate::commands::job::{self, Scheduler, Trouble};
use crate::commands::output::{self, shell_word};
use crate::commands::program;
use crate::commands::store::Store;
use crate::commands::survey;
use crate::error::{Error, Exit};
use crate::format::text::clean;
use crate::format::time::every;
use crate::schedule::launchd::{self, Agent, Domain};
use crate::schedule::systemd::{self, Units};
use crate::schedule::{self, Step};
use crate::sso::plan::{self, State};
use crate::system::env::{self, Env, Login, Settings};
use crate::system::{notify, process};

/// With a longer interval a one-hour token may end before the next check.
const INTERVAL_WITHOUT_GAPS: i64 = 55;

/// # Errors
/// This user or machine cannot have a job, a setting is wrong, or a step failed.
pub fn install(env: &Env, options: &Options) -> Result<Exit, Error> {
    let settings = env.settings()?;
    if !options.dry_run {
        refuse_root(env, "install")?;
    }
    let program = program::stable(env)?;
    match program::check(&program, &env.home) {
        Err(error) if options.dry_run => output::complain(&format!("warning: {error}")),
        checked => checked?,
    }
    let shown = schedule::representable(&program)?;
    let warn = |told: &str| output::complain(&format!("warning: {told}"));
    program::warning(&program).into_iter().for_each(warn);
    warn_of(env, &settings, &mut |told, fix| {
        warn(&format!("{told}; {fix}"))
    });

    let scheduler = Scheduler::of_this_machine(env)?;
    let site = Site::new(env, &scheduler, options);
    let (text, steps) = stored(env);
    output::print(&text)?;
    // First of all, because a new job runs at once; and the line for a crontab reads them too.
    let stored = site.carry_out(&steps);
    stored.map_err(|trouble| trouble.explain(&scheduler, "install"))?;
    if let Some(why) = job::absence(&scheduler) {
        let (interval, program) = (settings.interval, shell_word(shown));
        let line = schedule::crontab_line(&program, interval);
        return Err(Error::new("cannot install the job", why).hint(format!(
            "add this line with `crontab -e`, or run it some other way {}:\n  {line}",
            every(interval)
        )));
    }
    if let Some(other) = scheduler.installed().filter(|installed| !installed.is_ours) {
        let other = clean(&other.program);
        output::print(&format!("Replacing the job of another tool: {other}\n"))?;
    }
    let (is_new, mut text) = match &scheduler {
        Scheduler::Launchd(agent) => {
            let plist = launchd::plist(&program, settings.interval)?;
            put_into_launchd(&site, agent, &plist)?
        }
        Scheduler::Systemd(manager) => {
            let service = systemd::service(&program)?;
            let timer = systemd::timer(settings.interval);
            put_into_systemd(env, &site, &manager.units, [service, timer])?
        }
    };
    if options.dry_run {
        return Ok(Exit::Ok);
    }
    let done = match is_new {
        true => "Installed",
        false => "Already installed",
    };
    let (shown, every) = (clean(shown), every(settings.interval));
    output::print(&format!("{done}: {shown} {every}.\n"))?;
    text.push_str(&sign_ins(env, &settings));
    if settings.login != Login::Off {
        text.push_str(&test_notification());
    }
    output::print(&text)?;
    Ok(Exit::Ok)
}

/// Whether anything had to be done, and what a person should know of it.
fn put_into_launchd(site: &Site, agent: &Agent, plist: &str) -> Result<(bool, String), Error> {
    let scheduler = site.scheduler;
    let mut domain = job::launchd_domain(scheduler, agent)?;
    loop {
        let found = job::look_at_launchd(scheduler, agent, domain, plist)?;
        let steps = agent.install(domain, plist, &found)?;
        match site.carry_out(&steps) {
            // The login at the screen exists and takes no job from here, as over SSH: this user's other domain may.
            Err(Trouble::Refused { status, .. })
                if domain == Domain::Gui && launchd::is_wrong_domain(status) =>
            {
                domain = Domain::User;
            }
            Err(trouble) => return Err(trouble.explain(scheduler, "install")),
            Ok(()) => {
                let note = match domain {
                    Domain::Gui => "",
                    Domain::User => IN_BACKGROUND,
                };
                return Ok((!steps.is_empty(), note.to_string()));
            }
        }
    }
}

const IN_BACKGROUND: &str = "The job runs in the background of this login, where it cannot ask for a sign-in; run install \
                             again in a terminal at the screen.\n";

/// As `put_into_launchd`; `texts` are those of service and timer.
fn put_into_systemd(
    env: &Env,
    site: &Site,
    units: &Units,
    texts: [String; 2],
) -> Result<(bool, String), Error> {
    let scheduler = site.scheduler;
    let same = [
        job::is_same(&units.service(), &texts[0]),
        job::is_same(&units.timer(), &texts[1]),
    ];
    let report = job::look_at_systemd(scheduler)?;
    let steps = units.install(texts, same, &report);
    let done = site.carry_out(&steps);
    done.map_err(|trouble| trouble.explain(scheduler, "install"))?;
    let note = match ends_with_login(env) {
        true => "The job ends when you log out; `loginctl enable-linger` keeps it running.\n",
        false => "",
    };
    Ok((!steps.is_empty(), note.to_string()))
}

/// Whether the user manager, and the job with it, ends with the last logout where that matters. A laptop does not need
/// lingering.
pub fn ends_with_login(env: &Env) -> bool {
    let user = env.get("USER").unwrap_or_default();
    let is_lingering = Path::new("/var/lib/systemd/linger").join(&user).is_file();
    env.get("SSH_CONNECTION").is_some() && !is_lingering
}

/// # Errors
/// As root, or a step failed.
pub fn uninstall(env: &Env, options: &Options) -> Result<Exit, Error> {
    if !options.dry_run {
        refuse_root(env, "uninstall")?;
    }
    let scheduler = Scheduler::of_this_machine(env)?;
    let installed = scheduler.installed();
    let mut steps = match &scheduler {
        Scheduler::Launchd(agent) => {
            agent.uninstall(&job::look_at_launchd(&scheduler, agent, Domain::Gui, "")?)
        }
        Scheduler::Systemd(manager) => {
            let trouble = job::absence(&scheduler);
            manager.units.uninstall(trouble.is_none())
        }
    };
    let path = job::settings_path(env);
    steps.push(Step::Remove { path });
    Site::new(env, &scheduler, options)
        .carry_out(&steps)
        .map_err(|trouble| trouble.explain(&scheduler, "uninstall"))?;
    if options.dry_run {
        return Ok(Exit::Ok);
    }
    let what = match installed {
        None => "There was no job.".to_string(),
        Some(installed) if installed.is_ours => "Uninstalled the job.".to_string(),
        Some(other) => format!("Uninstalled the job of {}.", clean(&other.program)),
    };
    let data = clean(&env.data_folder().to_string_lossy());
    output::print(&format!(
        "{what}\nTokens stay, and so do the log and sessions.json in {data}.\n"
    ))?;
    Ok(Exit::Ok)
}

/// A job of root would refresh root's sessions, and a job written by root for somebody else cannot be changed by them.
fn refuse_root(env: &Env, command: &str) -> Result<(), Error> {
    let cannot = |why: &str| {
        Err(
            Error::new(format!("cannot {command} the job"), why).hint(format!(
                "run `aws-sso-refresh {command}` as yourself, without sudo"
            )),
        )
    };
    if env.get("SUDO_USER").is_some() {
        return cannot("under sudo it would be root's job, with root's files and sessions");
    }
    let id = process::run(
        &["id".to_string(), "-u".to_string()],
        &[],
        process::patience(),
    )?;
    let owner = fs::metadata(&env.home).map(|home| home.uid().to_string());
    match id.stdout.trim() {
        "0" => cannot("root's job would refresh root's sessions, not yours"),
        uid if owner.as_ref().is_ok_and(|owner| owner != uid) => {
            cannot("the home folder (HOME) belongs to another user")
        }
        _ => Ok(()),
    }
}

/// Tells what is to be said of settings that hold, and what to do about it.
pub fn warn_of(env: &Env, settings: &Settings, warn: &mut dyn FnMut(&str, &str)) {
    if settings.interval > INTERVAL_WITHOUT_GAPS {
        let told = format!(
            "with {} minutes between two checks a one-hour token may end before the next one",
            settings.interval
        );
        let fix = format!("set AWS_SSO_REFRESH_INTERVAL to {INTERVAL_WITHOUT_GAPS} or less");
        warn(&told, &fix);
    }
    if plan::effective_threshold(settings.threshold, settings.interval) < env::CLI_THRESHOLD {
        let told = format!(
            "the AWS CLI starts a refresh of its own when {} minutes remain",
            env::CLI_THRESHOLD
        );
        warn(&told, "set AWS_SSO_REFRESH_THRESHOLD to more than that");
    }
    if env.get("AWS_PROFILE").is_none() && env.get("AWS_DEFAULT_PROFILE").is_some() {
        warn(
            "AWS_DEFAULT_PROFILE is not stored for the job",
            "set AWS_PROFILE",
        );
    }
}

/// What `install` says of the settings, and the step that stores them where they changed.
fn stored(env: &Env) -> (String, Vec<Step>) {
    let path = job::settings_path(env);
    let now = job::settings_now(env);
    let before = job::settings_stored(env).0.unwrap_or_default().values;
    let value = |settings: &[(String, String)], name: &str| {
        let found = settings.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let mut text = format!(
        "Settings of the job ({}):\n",
        clean(&path.to_string_lossy())
    );
    for (name, new) in &now {
        let change = match value(&before, name) {
            Some(old) if old == *new => String::new(),
            Some(old) => format!("  (was {})", job::shown(name, &old)),
            None => "  (new)".to_string(),
        };
        text.push_str(&format!("  {name}={}{change}\n", job::shown(name, new)));
    }
    for (name, old) in before
        .iter()
        .filter(|(name, _)| value(&now, name).is_none())
    {
        text.push_str(&format!(
            "  {} is no longer set  (was {})\n",
            clean(name),
            job::shown(name, old)
        ));
    }
    if now.is_empty() {
        text.push_str("  none is set: the defaults hold\n");
    }
    let file = job::settings_text(&now);
    let steps = match job::is_same(&path, &file) {
        true => Vec::new(),
        false => vec![Step::Write {
            path,
            text: file,
            mode: 0o600,
        }],
    };
    (text, steps)
}

/// Where a job is put or taken away.
struct Site<'a> {
    scheduler: &'a Scheduler,
    store: Store,
    options: &'a Options,
}

impl<'a> Site<'a> {
    fn new(env: &Env, scheduler: &'a Scheduler, options: &'a Options) -> Site<'a> {
        let store = Store::new(env);
        Site {
            scheduler,
            store,
            options,
        }
    }

    /// Performs the steps, or prints them.
    fn carry_out(&self, steps: &[Step]) -> Result<(), Trouble> {
        if !self.options.dry_run {
            return self.scheduler.perform(steps, &self.store);
        }
        let text: String = steps.iter().map(told).collect();
        Ok(output::print(&text)?)
    }
}

/// A step for a person; what is for nobody else's eyes is not shown.
fn told(step: &Step) -> String {
    let words = |argv: &[String]| {
        let words: Vec<String> = argv.iter().map(|word| shell_word(word)).collect();
        clean(&words.join(" "))
    };
    let path = |path: &Path| clean(&shell_word(&path.to_string_lossy()));
    match step {
        Step::Write {
            path: to,
            text,
            mode,
        } => {
            let mut told = format!("write {} (mode {mode:o})\n", path(to));
            if mode & 0o077 != 0 {
                told.extend(text.lines().map(|line| format!("    {line}\n")));
            }
            told
        }
        Step::Remove { path: gone } => format!("remove {}\n", path(gone)),
        Step::Run { argv, .. } => format!("run {}\n", words(argv)),
        Step::Await { argv, until } => {
            let until: Vec<String> = until.iter().map(ToString::to_string).collect();
            format!(
                "wait until {} ends with {}\n",
                words(argv),
                until.join(" or ")
            )
        }
        Step::HoldBack => {
            "wait until no refresh is under way, and hold the next ones back\n".to_string()
        }
        Step::Insist(insist) => format!(
            "run {} until {} ends with 0\n",
            words(&insist.argv),
            words(&insist.proof)
        ),
    }
}

/// The sessions that need a person now; the config is looked at as the job will see it.
fn sign_ins(env: &Env, settings: &Settings) -> String {
    let store = Store::new(env);
    let survey = match survey::survey(env, settings, &store, env::now(), false) {
        Ok(survey) => survey,
        Err(error) => {
            output::complain(&format!("warning: {error}"));
            return String::new();
        }
    };
    let needed = survey
        .known()
        .filter(|known| known.state == State::SignInNeeded)
        .map(|known| known.session.name.as_str());
    needed
        .map(|name| {
            let command = survey::sign_in_command(name);
            format!("{} needs a sign-in: run {command}\n", clean(name))
        })
        .collect()
}

fn test_notification() -> String {
    let body =
        "The background job is installed. It will tell you here when a session needs a sign-in.";
    match notify::send("AWS SSO", body) {
        Ok(()) if env::is_mac() => {
            "A test notification was sent. If you saw none, allow Script Editor in System Settings > Notifications.\n"
                .to_string()
        }
        Ok(()) => "A test notification was sent.\n".to_string(),
        Err(error) => format!("No notifications here: {}.\n", error.line()),
    }
}
