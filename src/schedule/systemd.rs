//! The job as systemd takes it: a oneshot service and its timer in the user manager, and the steps that start them.
//!
//! The timer follows the wall clock, because clocks that stop in sleep would be late by as much as the machine slept,
//! and because `OnUnitActiveSec` alone never fires. Hardening is what works in a user manager everywhere: everything that
//! needs a mount namespace is silently ignored there, or fails on hosts that restrict user namespaces.

use std::path::{Path, PathBuf};

use super::{ARGUMENTS, Installed, Step, argv, representable};
use crate::error::Error;
use crate::format::time::every;

pub const SERVICE: &str = "aws-sso-refresh.service";
pub const TIMER: &str = "aws-sso-refresh.timer";

/// The properties that `Report::read` knows.
const PROPERTIES: &str = "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,MainPID";

/// Where the units and what systemd makes of them lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    pub folder: PathBuf,
    /// When the timer last fired, for `Persistent=`.
    pub stamp: PathBuf,
}

/// What systemd says of the two units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub is_loaded: bool,
    pub is_armed: bool,
    pub is_enabled: bool,
    pub is_stale: bool,
    /// The service's process while it runs.
    pub pid: Option<u32>,
}

impl Units {
    /// `config` and `data` are the XDG folders.
    pub fn new(config: &Path, data: &Path) -> Units {
        Units {
            folder: config.join("systemd/user"),
            stamp: data.join(format!("systemd/timers/stamp-{TIMER}")),
        }
    }

    pub fn service(&self) -> PathBuf {
        self.folder.join(SERVICE)
    }

    pub fn timer(&self) -> PathBuf {
        self.folder.join(TIMER)
    }

    /// What makes the job run; `same` says which of the two files already hold what would be written. Empty where all
    /// is as it should be.
    pub fn install(
        &self,
        [service, timer]: [String; 2],
        same: [bool; 2],
        report: &Report,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let files = [(self.service(), service), (self.timer(), timer)];
        for ((path, text), _) in files.into_iter().zip(same).filter(|(_, is_same)| !is_same) {
            steps.push(Step::Write {
                path,
                text,
                mode: 0o644,
            });
        }
        let is_right = report.is_loaded && report.is_armed && report.is_enabled && !report.is_stale;
        if !is_right || !steps.is_empty() {
            steps.push(run(&["daemon-reload"], &[]));
            steps.push(run(&["enable", TIMER], &[]));
            steps.push(run(&["restart", TIMER], &[]));
            steps.push(run(&["is-active", "--quiet", TIMER], &[]));
        }
        steps
    }

    /// What takes the job away. Files that went first would leave a failed timer and a link to nowhere. Where the manager
    /// does not answer, what it would have removed is removed by name.
    pub fn uninstall(&self, is_answering: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        // 1 and 5: there is no such unit, or nothing of it to clean.
        if is_answering {
            steps.push(run(&["disable", "--now", TIMER], &[1]));
            steps.push(Step::HoldBack);
            steps.push(run(&["stop", SERVICE], &[5]));
            steps.push(run(&["clean", "--what=state", TIMER], &[1, 5]));
        }
        let link = self.folder.join("timers.target.wants").join(TIMER);
        for path in [link, self.timer(), self.service(), self.stamp.clone()] {
            steps.push(Step::Remove { path });
        }
        if is_answering {
            steps.push(run(&["daemon-reload"], &[]));
            steps.push(run(&["reset-failed", TIMER, SERVICE], &[1, 5]));
            // Every answer above may mean "nothing to do" as well as "not done".
            steps.push(Step::Await {
                argv: systemctl(&["is-active", "--quiet", TIMER]),
                until: &[3, 4],
            });
        }
        steps
    }
}

fn run(words: &[&str], accept: &'static [i32]) -> Step {
    Step::Run {
        argv: systemctl(words),
        accept,
    }
}

fn systemctl(words: &[&str]) -> Vec<String> {
    argv(&[&["systemctl", "--user"], words].concat())
}

/// Prints one word; `is_ready` knows it.
pub fn probe() -> Vec<String> {
    systemctl(&["is-system-running"])
}

/// Whether the manager answers. `enable` without one succeeds too, and nothing ever runs.
pub fn is_ready(word: &str) -> bool {
    matches!(
        word.trim(),
        "running" | "degraded" | "starting" | "initializing" | "maintenance"
    )
}

/// Its output is for `Report::read`.
pub fn show() -> Vec<String> {
    systemctl(&["show", "-p", PROPERTIES, TIMER, SERVICE])
}

impl Report {
    /// Reads `key=value` lines, a blank line between the units.
    pub fn read(output: &str) -> Report {
        let mut report = Report::default();
        for unit in output.split("\n\n") {
            let value = |key: &str| {
                let mut lines = unit.lines().filter_map(|line| line.split_once('='));
                lines
                    .find(|(name, _)| *name == key)
                    .map_or("", |(_, value)| value)
            };
            match value("Id") {
                TIMER => {
                    report.is_loaded = value("LoadState") == "loaded";
                    report.is_armed = value("ActiveState") == "active";
                    report.is_enabled = value("UnitFileState") == "enabled";
                    report.is_stale |= value("NeedDaemonReload") == "yes";
                }
                SERVICE => {
                    report.is_stale |= value("NeedDaemonReload") == "yes";
                    report.pid = value("MainPID").parse().ok().filter(|pid| *pid != 0);
                }
                _ => {}
            }
        }
        report
    }
}

/// The timer of a job that runs every `interval` minutes. The delay keeps a thousand laptops from asking in the same
/// second; with the accuracy it stays under the two minutes that the threshold allows for.
pub fn timer(interval: i64) -> String {
    format!(
        "[Unit]\n\
         Description=Keep AWS SSO sessions fresh, {}\n\
         \n\
         [Timer]\n\
         OnCalendar={}\n\
         OnStartupSec=1min\n\
         AccuracySec=30s\n\
         RandomizedDelaySec=30s\n\
         Persistent=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n",
        every(interval),
        calendar(interval)
    )
}

/// Every multiple of the interval in the hour. A step of 60 is more than the field holds, and refused.
pub fn calendar(interval: i64) -> String {
    match interval {
        60 => "*:0".to_string(),
        _ => format!("*:0/{interval}"),
    }
}

/// The service that runs `program`. `SuccessExitStatus`: a network that is down and a session that needs a person are no
/// reason to call the whole manager degraded. A oneshot has no time limit of its own.
///
/// # Errors
/// The program's path cannot be written down.
pub fn service(program: &Path) -> Result<String, Error> {
    let program = representable(program)?;
    Ok(format!(
        "[Unit]\n\
         Description=Keep AWS SSO sessions fresh\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={} {}\n\
         SuccessExitStatus=1 3\n\
         TimeoutStartSec=90s\n\
         # A run that waits for what its refresh token buys ends when that is on the disk, within 15 seconds.\n\
         TimeoutStopSec=20s\n\
         Nice=10\n\
         IOSchedulingClass=idle\n\
         UMask=0077\n\
         NoNewPrivileges=yes\n\
         LockPersonality=yes\n\
         RestrictRealtime=yes\n\
         RestrictSUIDSGID=yes\n\
         SystemCallArchitectures=native\n",
        command(program),
        ARGUMENTS.join(" ")
    ))
}

/// What `command` puts before a path that systemd does not take as a program.
const THROUGH_SH: &str = r#""/bin/sh" -c 'exec "$$0" "$$@"' "#;

/// The program as `ExecStart=` takes it. systemd reads `%` everywhere, `$` in arguments but not in the program's path, and refuses
/// a path with a quote or a backslash however it is escaped; as an argument it passes, so such a program is
/// started through a constant script.
fn command(program: &str) -> String {
    if program.contains(['"', '\'', '\\']) {
        format!("{THROUGH_SH}{}", quote(program).replace('$', "$$"))
    } else {
        quote(program)
    }
}

fn quote(text: &str) -> String {
    let text = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%");
    format!("\"{text}\"")
}

/// The program that a service names, its own or another's.
pub fn installed(service: &str) -> Option<Installed> {
    let line = service
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))?;
    let ending = format!(" {}", ARGUMENTS.join(" "));
    let Some(command) = line.strip_suffix(&ending) else {
        let program = line.to_string();
        return Some(Installed {
            program,
            is_ours: false,
        });
    };
    let (word, is_argument) = match command.strip_prefix(THROUGH_SH) {
        Some(word) => (word, true),
        None => (command, false),
    };
    let word = word.strip_prefix('"')?.strip_suffix('"')?;
    let word = if is_argument {
        word.replace("$$", "$")
    } else {
        word.to_string()
    };
    let mut program = String::new();
    let mut chars = word
        .replace("%%", "%")
        .chars()
        .collect::<Vec<_>>()
        .into_iter();
    while let Some(c) = chars.next() {
        program.push(if c == '\\' { chars.next()? } else { c });
    }
    Some(Installed {
        program,
        is_ours: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::tests::check_golden;

    #[test]
    fn the_units_are_as_people_expect_them() {
        let text = service(Path::new("/home/ada/.local/bin/aws-sso-refresh"));
        check_golden(SERVICE, &text.expect("a plain path"));
        check_golden(TIMER, &timer(10));
    }

    #[test]
    fn a_path_is_escaped_by_the_rule_of_its_place() {
        for (path, expected) in [
            ("/a b/c", r#""/a b/c""#),
            ("/100%/%h", r#""/100%%/%%h""#),
            ("/$HOME;", r#""/$HOME;""#),
            (r#"/"q""#, r#""/bin/sh" -c 'exec "$$0" "$$@"' "/\"q\"""#),
            (
                r"/it's \$x%",
                r#""/bin/sh" -c 'exec "$$0" "$$@"' "/it's \\$$x%%""#,
            ),
        ] {
            assert_eq!(command(path), expected);
            let text = service(Path::new(path)).expect("it can be written");
            let program = path.to_string();
            let is_ours = true;
            assert_eq!(installed(&text), Some(Installed { program, is_ours }));
        }
        let other = installed("[Service]\nExecStart=/usr/bin/other --flag\n");
        assert!(!other.expect("a program").is_ours);
        assert_eq!(installed("[Service]\n"), None);
    }

    #[test]
    fn the_user_manager_is_asked_and_not_the_systems() {
        assert_eq!(probe().join(" "), "systemctl --user is-system-running");
        assert!(is_ready("degraded\n") && !is_ready("offline\n") && !is_ready("stopping\n"));
        assert_eq!(
            show().join(" "),
            "systemctl --user show -p Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,MainPID \
             aws-sso-refresh.timer aws-sso-refresh.service"
        );
    }

    #[test]
    fn nothing_is_done_where_all_is_well() {
        let units = Units::new(Path::new("/c"), Path::new("/d"));
        let well = Report {
            is_loaded: true,
            is_armed: true,
            is_enabled: true,
            ..Report::default()
        };
        let steps = |same, report: &Report| {
            let steps = units.install([String::new(), String::new()], same, report);
            steps.len()
        };
        assert_eq!(steps([true, true], &well), 0);
        assert_eq!(steps([false, true], &well), 5);
        assert_eq!(steps([false, false], &well), 6);
        for change in [
            |report: &mut Report| report.is_armed = false,
            |report: &mut Report| report.is_enabled = false,
            |report: &mut Report| report.is_stale = true,
            |report: &mut Report| report.is_loaded = false,
        ] {
            let mut report = well.clone();
            change(&mut report);
            assert_eq!(steps([true, true], &report), 4, "{report:?}");
        }
    }

    #[test]
    fn files_go_after_the_manager_has_let_go_of_them() {
        let units = Units::new(Path::new("/c"), Path::new("/d"));
        let told: Vec<String> = units
            .uninstall(true)
            .iter()
            .map(|step| match step {
                Step::Run { argv, .. } | Step::Await { argv, .. } => argv[2].clone(),
                Step::Remove { path } => path.display().to_string(),
                Step::HoldBack => "hold back".to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        let removed = [
            "/c/systemd/user/timers.target.wants/aws-sso-refresh.timer",
            "/c/systemd/user/aws-sso-refresh.timer",
            "/c/systemd/user/aws-sso-refresh.service",
            "/d/systemd/timers/stamp-aws-sso-refresh.timer",
        ];
        assert_eq!(told[..4], ["disable", "hold back", "stop", "clean"]);
        assert_eq!(told[4..8], removed);
        assert_eq!(told[8..], ["daemon-reload", "reset-failed", "is-active"]);
        assert_eq!(units.uninstall(false).len(), removed.len());
    }

    #[test]
    fn an_hour_is_no_step_within_the_hour() {
        let told = [1, 25, 59, 60].map(calendar);
        assert_eq!(told, ["*:0/1", "*:0/25", "*:0/59", "*:0"]);
    }

    #[test]
    fn a_report_is_read_from_properties_in_any_order() {
        let output = "UnitFileState=enabled\nId=aws-sso-refresh.timer\nActiveState=active\nLoadState=loaded\n\
                      NeedDaemonReload=no\n\nMainPID=12\nId=aws-sso-refresh.service\nNeedDaemonReload=yes\n";
        let expected = Report {
            is_loaded: true,
            is_armed: true,
            is_enabled: true,
            is_stale: true,
            pid: Some(12),
        };
        assert_eq!(Report::read(output), expected);
        for (timer, service, is_stale) in [
            ("yes", "no", true),
            ("no", "yes", true),
            ("no", "no", false),
        ] {
            let output = format!(
                "Id=aws-sso-refresh.timer\nNeedDaemonReload={timer}\n\n\
                 Id=aws-sso-refresh.service\nNeedDaemonReload={service}\n"
            );
            assert_eq!(Report::read(&output).is_stale, is_stale, "{output}");
        }
        let idle = Report::read("Id=aws-sso-refresh.service\nMainPID=0\n");
        assert_eq!(
            (idle, Report::read("")),
            (Report::default(), Report::default())
        );
    }
}
