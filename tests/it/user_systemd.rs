//! The job under a real user manager of systemd, as an unprivileged user (`tests/with-user-systemd.sh`).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::identity_center::{Consent, IdentityCenter, Options};
use crate::install::{copy, own};
use crate::world::{World, center, consenting, skipped};

/// A shell beside the manager, fed line by line.
struct Session {
    shell: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    home: PathBuf,
}

impl Session {
    /// `None` where this machine cannot do it, which is said.
    fn start(test: &str, home_name: &str) -> Option<Session> {
        let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/with-user-systemd.sh");
        let mut shell = Command::new(recipe)
            .args(["nobody", "sh"])
            .env("HOME_NAME", home_name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the recipe runs");
        let input = shell.stdin.take();
        let output = BufReader::new(shell.stdout.take().expect("piped"));
        let mut session = Session {
            shell,
            input,
            output,
            home: PathBuf::new(),
        };
        let Some((0, home)) = session.try_sh("pwd") else {
            let status = session.shell.wait().expect("it ends");
            assert_eq!(status.code(), Some(77), "the recipe failed");
            skipped(&format!(
                "{test}: no user manager of systemd can be had here"
            ));
            return None;
        };
        session.home = PathBuf::from(home.trim_end());
        let program = Path::new(env!("CARGO_BIN_EXE_aws-sso-refresh"));
        session.sh("mkdir -p .local/bin .aws/sso/cache");
        copy(program, &session.home.join(".local/bin"));
        Some(session)
    }

    /// Runs a line and tells its status and output, errors among it.
    fn try_sh(&mut self, line: &str) -> Option<(i32, String)> {
        let input = self.input.as_mut()?;
        writeln!(
            input,
            "{{ {line}\n}} 2>&1; status=$?; echo; echo \"-- ended $status\""
        )
        .ok()?;
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.strip_prefix("-- ended ") {
                Some(status) => return Some((status.trim().parse().ok()?, text)),
                None => text.push_str(&line),
            }
        }
    }

    #[track_caller]
    fn sh(&mut self, line: &str) -> String {
        let (status, text) = self.try_sh(line).expect("the shell lives");
        assert_eq!(status, 0, "{line}: {text}");
        text
    }

    /// The program, with `variables` as a shell takes them.
    #[track_caller]
    fn run(&mut self, variables: &str, arguments: &str) -> String {
        self.sh(&format!(
            "{variables} .local/bin/aws-sso-refresh {arguments}"
        ))
    }

    /// Asks until `part` is in the answer.
    #[track_caller]
    fn until(&mut self, line: &str, part: &str) -> String {
        let mut text = String::new();
        for _ in 0..100 {
            text = self.try_sh(line).expect("the shell lives").1;
            if text.contains(part) {
                return text;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{line} never says {part:?}: {text}");
    }

    /// A due session of `center` in this home, and the variables that lead there, relative and awkward as they may be.
    fn sign_in(&mut self, center: &IdentityCenter) -> (World, String) {
        let mut world = World::new();
        let empty = world.move_home(self.home.clone());
        let _ = fs::remove_dir_all(empty);
        let bundle = "ca $1 %h \"é\".pem";
        fs::write(self.home.join(bundle), center.ca_pem()).expect("written");
        world.sessions(&["work"]);
        world.sign_in(center, "work", 12);
        own(&self.home);
        let endpoint = center.endpoint();
        let variables = format!("AWS_CA_BUNDLE='{bundle}' AWS_ENDPOINT_URL_SSO_OIDC={endpoint}");
        (world, variables)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.input = None; // the shell ends with its input
        let _ = self.shell.wait();
    }
}

const SHOW: &str =
    "systemctl --user show aws-sso-refresh.timer -p ActiveState,UnitFileState,TimersCalendar";

#[test]
fn the_job_lives_under_a_real_user_manager_from_install_to_uninstall() {
    let test = "the_job_lives_under_a_real_user_manager_from_install_to_uninstall";
    // What systemd reads in a path (`%`, `$`, quotes, backslashes) and what shells do.
    for home in ["home", "a b %h $HOME; é", r#"q"u'o\te $x %%"#] {
        let Some(mut session) = Session::start(test, home) else {
            return;
        };
        lives(&mut session);
    }
}

fn lives(session: &mut Session) {
    let center = center();
    let (world, variables) = session.sign_in(&center);
    let told = session.run(&variables, "install");
    assert!(told.contains("\nInstalled: "), "{told}");
    let told = session.sh(SHOW);
    for part in [
        "ActiveState=active",
        "UnitFileState=enabled",
        "OnCalendar=*-*-* *:00/10:00",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let units =
        ".config/systemd/user/aws-sso-refresh.service .config/systemd/user/aws-sso-refresh.timer";
    let told = session.sh(&format!(
        "systemd-analyze --user verify --man=no --recursive-errors=no {units}"
    ));
    assert_eq!(told.trim(), "");
    let told = session.run(&variables, "install");
    assert!(told.contains("\nAlready installed: "), "{told}");

    // A calendar that fires within a second stands in for the minutes of the real one.
    let before = world.token("work", "accessToken");
    session.sh(
        "mkdir .config/systemd/user/aws-sso-refresh.timer.d; \
         printf '[Timer]\\nOnCalendar=\\nOnCalendar=*:*:*\\nAccuracySec=1ms\\nRandomizedDelaySec=0\\n' \
         >.config/systemd/user/aws-sso-refresh.timer.d/soon.conf; \
         systemctl --user daemon-reload; systemctl --user restart aws-sso-refresh.timer",
    );
    session.until(
        "cat .local/share/aws-sso-refresh/refresh.log",
        "refreshed=1 exit=0",
    );
    assert_ne!(world.token("work", "accessToken"), before);
    assert!(center.is_live_access_token(&world.token("work", "accessToken")));
    session.until(
        ".local/bin/aws-sso-refresh status",
        "Daemon: waiting (last check ",
    );
    let told = session.run("PATH=.local/bin:$PATH", "doctor");
    let told: Vec<&str> = told.split_whitespace().collect();
    let told = told.join(" ");
    for part in [
        " ✓ scheduler systemd ✓ job waiting (last check ",
        " ✓ answer localhost:",
    ] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    session
        .sh("rm -r .config/systemd/user/aws-sso-refresh.timer.d; systemctl --user daemon-reload");

    let told = session.run(
        &format!("{variables} AWS_SSO_REFRESH_INTERVAL=7"),
        "install",
    );
    assert!(told.contains("AWS_SSO_REFRESH_INTERVAL=7  (new)"), "{told}");
    let told = session.sh(SHOW);
    assert!(
        told.contains("ActiveState=active") && told.contains("*:00/7:00"),
        "{told}"
    );
    let told = session.run("", "status");
    assert!(told.contains("every 7 minutes"), "{told}");
    session.sh("systemctl --user stop aws-sso-refresh.timer");
    let told = session.run("", "status");
    assert!(
        told.contains("Daemon: installed, but not active; run"),
        "{told}"
    );
    session.sh("systemctl --user disable aws-sso-refresh.timer");
    let told = session.run("", "status");
    assert!(told.contains("Daemon: disabled; run"), "{told}");
    session.run(&variables, "install");
    let told = session.sh(SHOW);
    assert!(
        told.contains("ActiveState=active") && told.contains("UnitFileState=enabled"),
        "{told}"
    );

    let told = session.run("", "uninstall");
    assert!(told.contains("Uninstalled the job."), "{told}");
    let told = session.sh("find .config .local/share/systemd ! -type d; systemctl --user list-units --all 'aws-sso*' --no-legend");
    assert_eq!(told.trim(), "");
    let told = session
        .sh("systemctl --user show -p LoadState aws-sso-refresh.timer aws-sso-refresh.service");
    assert_eq!(told.matches("LoadState=not-found").count(), 2, "{told}");
    session.run(&variables, "install");
    assert!(session.sh(SHOW).contains("ActiveState=active"));
}

#[test]
fn a_refresh_that_is_under_way_outlives_a_stop_and_an_uninstall() {
    let test = "a_refresh_that_is_under_way_outlives_a_stop_and_an_uninstall";
    let Some(mut session) = Session::start(test, "home") else {
        return;
    };
    let center = IdentityCenter::start(Options {
        server_delay: Duration::from_millis(2500),
        ..Options::default()
    });
    let (world, variables) = session.sign_in(&center);
    session.run(&variables, "install");
    session.sh("systemctl --user stop aws-sso-refresh.timer");
    for (round, ending) in [
        "systemctl --user stop aws-sso-refresh.service",
        ".local/bin/aws-sso-refresh uninstall",
    ]
    .into_iter()
    .enumerate()
    {
        world.sign_in(&center, "work", 5);
        own(&session.home);
        session.sh("systemctl --user start --no-block aws-sso-refresh.service");
        let until = Instant::now() + Duration::from_secs(10);
        while center.requests_to("/token").len() == round {
            assert!(Instant::now() < until, "no refresh began");
            std::thread::sleep(Duration::from_millis(20));
        }
        session.sh(ending);
        let refresh_token = world.token("work", "refreshToken");
        assert!(center.is_live_refresh_token(&refresh_token), "{ending}");
    }
}

/// How many askers run, by the manager's word.
const ASKERS: &str =
    "systemctl --user list-units --no-legend --state=active 'run-*.service' | wc -l";

#[test]
fn the_asker_outlives_the_job_and_its_browser_the_asker() {
    let test = "the_asker_outlives_the_job_and_its_browser_the_asker";
    // What systemd reads in a path and, below, in an argument.
    let Some(mut session) = Session::start(test, r#"q"uo\te $x %%"#) else {
        return;
    };
    let center = consenting(Consent::Allow);
    let (mut world, variables) = session.sign_in(&center);
    world.desktop();
    world.browser("echo \"$1\" >> visited; echo $$ > browser.pid; exec sleep 1000");
    let ended = "$HOME%h";
    world.sessions(&[ended, "work"]);
    fs::remove_file(session.home.join("bin/systemd-run")).expect("the real one is meant here");
    let granted = world.sign_in(&center, ended, 12);
    center.end_session(&granted.refresh_token);
    own(&session.home);
    session.run(&format!("{variables} BROWSER=browser"), "install");
    session.sh(
        "systemctl --user stop aws-sso-refresh.timer; \
         systemctl --user set-environment \"PATH=$HOME/bin:/usr/bin:/bin\"; \
         mkdir .config/systemd/user/aws-sso-refresh.service.d; \
         printf '[Service]\\nTimeoutStartSec=5s\\n' >.config/systemd/user/aws-sso-refresh.service.d/hasty.conf; \
         systemctl --user daemon-reload",
    );
    let job = "systemctl --user start aws-sso-refresh.service";
    let state = "systemctl --user show aws-sso-refresh.service -p ActiveState,Result";
    session.sh(job);
    let told = session.sh(state);
    assert!(
        told.contains("Result=success") && told.contains("ActiveState=inactive"),
        "{told}"
    );
    session.until("cat visited", "/authorize?");
    assert_eq!(session.sh(ASKERS).trim(), "1");

    // Past the job's own limit the asker still waits; a second one is not started, and what is due is refreshed.
    std::thread::sleep(Duration::from_secs(6));
    world.sign_in(&center, "work", 12);
    own(&session.home);
    session.sh(job);
    assert_eq!(session.sh(ASKERS).trim(), "1");
    assert_eq!(world.log().matches("work refreshed").count(), 2);
    assert_eq!(session.sh("cat visited").trim().lines().count(), 1);

    session.sh("curl -sSL --cacert ca*.pem -o page \"$(cat visited)\"");
    session.until(".local/bin/aws-sso-refresh status", "✓ $HOME%h  ");
    session.until(ASKERS, "0");
    assert!(
        world.log().contains("$HOME%h signed-in after="),
        "{}",
        world.log()
    );
    session.sh("kill -0 \"$(cat browser.pid)\"");
    assert_eq!(session.sh("cat notified").trim().lines().count(), 1);
}

#[test]
fn a_manager_that_does_not_answer_is_not_believed() {
    let test = "a_manager_that_does_not_answer_is_not_believed";
    let Some(mut session) = Session::start(test, "home") else {
        return;
    };
    let (status, told) = session
        .try_sh("XDG_RUNTIME_DIR=/nonexistent .local/bin/aws-sso-refresh install")
        .expect("the shell lives");
    assert_eq!(status, 1, "{told}");
    assert!(
        told.contains("this user's systemd does not answer") && told.contains("crontab -e"),
        "{told}"
    );
    // Without the variable, as from cron, the usual place is tried.
    session.sh("env -u XDG_RUNTIME_DIR .local/bin/aws-sso-refresh install");
    let told = session.sh("env -u XDG_RUNTIME_DIR .local/bin/aws-sso-refresh status");
    assert!(told.contains("Daemon: waiting ("), "{told}");
    session.sh("XDG_RUNTIME_DIR=/nonexistent .local/bin/aws-sso-refresh uninstall");
    assert_eq!(session.sh("find .config ! -type d").trim(), "");
}

#[test]
fn a_systemctl_that_never_answers_is_given_up() {
    let test = "a_systemctl_that_never_answers_is_given_up";
    let Some(mut session) = Session::start(test, "home") else {
        return;
    };
    session.run("", "install");
    session.sh(
        "mkdir bin; printf '#!/bin/sh\nexec sleep 60\n' >bin/systemctl; chmod +x bin/systemctl",
    );
    let hanging = "PATH=$HOME/bin:$PATH AWS_SSO_REFRESH_PATIENCE_MS=500";
    let why = "cannot run systemctl: it gave no answer within 0.5 s";
    let told = session.run(hanging, "status");
    assert!(told.contains(&format!("Daemon: unknown ({why})")), "{told}");
    let line = format!("{hanging} .local/bin/aws-sso-refresh install");
    let (status, told) = session.try_sh(&line).expect("the shell lives");
    assert_eq!(status, 1, "{told}");
    assert!(
        told.contains(&format!("cannot install the job: {why}")) && told.contains("crontab -e"),
        "{told}"
    );
    // Where the manager does not answer, what it would have removed is removed by name.
    session.run(hanging, "uninstall");
    assert_eq!(session.sh("find .config ! -type d").trim(), "");
}

#[test]
fn over_ssh_it_is_said_that_the_job_ends_with_the_login() {
    let test = "over_ssh_it_is_said_that_the_job_ends_with_the_login";
    let Some(mut session) = Session::start(test, "home") else {
        return;
    };
    let hint = "The job ends when you log out; `loginctl enable-linger` keeps it running.";
    assert!(!session.run("", "install").contains(hint));
    let over_ssh = "SSH_CONNECTION='192.0.2.1 1 192.0.2.2 22'";
    let told = session.run(over_ssh, "install");
    assert!(told.contains(hint), "{told}");
    let doctor = ".local/bin/aws-sso-refresh doctor";
    let hint = "the job ends when you log out here\n    fix: loginctl enable-linger";
    for (line, is_told) in [
        (format!("{over_ssh} {doctor}"), true),
        (doctor.into(), false),
    ] {
        let (_, told) = session.try_sh(&line).expect("the shell lives");
        assert_eq!(told.contains(hint), is_told, "{told}");
    }
}

#[test]
fn every_interval_fires_at_its_multiples_in_the_hour() {
    let test = "every_interval_fires_at_its_multiples_in_the_hour";
    let Some(mut session) = Session::start(test, "home") else {
        return;
    };
    for interval in 1..=60 {
        let timer = session.run(
            &format!("AWS_SSO_REFRESH_INTERVAL={interval}"),
            "install --dry-run",
        );
        let calendar = timer
            .lines()
            .find_map(|line| line.trim().strip_prefix("OnCalendar="));
        let calendar = calendar.expect("there is a calendar");
        let expected: Vec<usize> = (0..60).step_by(interval).chain([0]).collect();
        let told = session.sh(&format!(
            "TZ=UTC systemd-analyze calendar --iterations={} --base-time='2026-11-23 19:59:30' '{calendar}'",
            expected.len()
        ));
        let fires = told.lines().filter_map(|line| {
            let (label, time) = line.trim().split_once(": ")?;
            let is_firing = label == "Next elapse" || label.starts_with("Iter");
            // `Mon 2026-11-23 20:10:00 UTC`
            time.split(':').nth(1).filter(|_| is_firing)?.parse().ok()
        });
        assert_eq!(
            fires.collect::<Vec<usize>>(),
            expected,
            "{interval}: {told}"
        );
    }
}
