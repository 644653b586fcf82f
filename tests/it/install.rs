//! `install`, `uninstall` and the daemon part of `status` against a launchctl that behaves like the real one on its good
//! and its bad days (`tests/it/launchctl`).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::{Ran, World, center, in_seconds, names_in, skipped};

/// Whom tests that run as root become: nothing is installed for root.
const NOBODY: u32 = 65534;

const LABEL: &str = "com.aws.sso-refresh";

/// A home folder on a Mac, with the program in `~/.local/bin`.
pub struct Mac {
    pub world: World,
    pub launchd: PathBuf,
    pub uid: u32,
}

impl Mac {
    pub fn new() -> Mac {
        Mac::of(World::new())
    }

    pub fn of(mut world: World) -> Mac {
        let (launchd, tools) = (world.home.join("launchd"), world.home.join("tools"));
        let local = world.home.join(".local/bin");
        for folder in [&launchd, &tools, &local] {
            fs::create_dir_all(folder).expect("made");
        }
        let uid = match is_root() {
            true => NOBODY,
            false => fs::metadata(&world.home).expect("it exists").uid(),
        };
        // Copied by another process: a file that this one has open for writing cannot be run by its other threads.
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
        copy(&fake.join("launchctl"), &tools);
        copy(&fake.join("notify-send"), &tools);
        symlink("notify-send", tools.join("osascript")).expect("linked");
        copy(Path::new(env!("CARGO_BIN_EXE_aws-sso-refresh")), &local);
        fs::write(launchd.join("domains"), format!("gui/{uid}\nuser/{uid}\n")).expect("written");
        world.set("LAUNCHD", &launchd.to_string_lossy());
        world.set("PATH", &format!("{}:/usr/bin:/bin", tools.display()));
        world.set("AWS_SSO_REFRESH_SYSTEM", "macos");
        let mac = Mac {
            world,
            launchd,
            uid,
        };
        mac.own();
        mac
    }

    /// Gives everything in the home to its user.
    pub fn own(&self) {
        if is_root() {
            own(&self.world.home);
        }
    }

    pub fn mood(&self, name: &str, text: &str) {
        fs::write(self.launchd.join(name), text).expect("written");
        self.own();
    }

    pub fn cheer_up(&self, name: &str) {
        fs::remove_file(self.launchd.join(name)).expect("it was there");
    }

    pub fn program(&self) -> PathBuf {
        self.world.home.join(".local/bin/aws-sso-refresh")
    }

    pub fn run_of(&self, program: &Path, arguments: &[&str]) -> Ran {
        let mut command = self.world.command_of(program, arguments);
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        Ran::of(command.output().expect("the program runs"))
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_of(&self.program(), arguments)
    }

    pub fn plist(&self) -> PathBuf {
        let name = format!("Library/LaunchAgents/{LABEL}.plist");
        self.world.home.join(name)
    }

    /// What launchd has registered in a domain.
    fn registered(&self, domain: &str) -> Option<String> {
        fs::read_to_string(self.launchd.join(format!("job.{domain}.{}", self.uid))).ok()
    }

    #[track_caller]
    fn is_installed_in(&self, domain: &str) {
        let plist = fs::read_to_string(self.plist()).expect("there is a plist");
        assert_eq!(self.registered(domain), Some(plist), "{}", self.calls());
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.launchd.join("calls")).unwrap_or_default()
    }

    /// The verbs that launchctl was called with since the last look, probes aside.
    fn changes(&self) -> Vec<String> {
        let calls = self.calls();
        let _ = fs::remove_file(self.launchd.join("calls"));
        let verbs = calls.lines().filter_map(|call| call.split(' ').next());
        verbs
            .filter(|verb| !matches!(*verb, "print" | "print-disabled" | "list"))
            .map(str::to_string)
            .collect()
    }

    fn settings(&self) -> String {
        fs::read_to_string(self.world.data().join("job.env")).unwrap_or_default()
    }
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}

fn run(command: &mut Command) {
    assert!(command.status().expect("it runs").success(), "{command:?}");
}

pub fn copy(from: &Path, folder: &Path) {
    run(Command::new("cp").arg(from).arg(folder));
}

/// Gives a folder and everything in it to the user of the tests.
pub fn own(path: &Path) {
    run(Command::new("chown").args(["-R", "nobody"]).arg(path));
}

#[test]
fn a_job_is_installed_enabled_and_registered() {
    let mac = Mac::new();
    mac.run(&["install"])
        .exits(0)
        .says("none is set: the defaults hold")
        .says("every 10 minutes")
        .says("A test notification was sent.");
    mac.is_installed_in("gui");
    assert_eq!(mac.changes(), ["enable", "bootstrap"]);
    let mode = |path: PathBuf| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(mac.plist()), 0o644);
    assert_eq!(mode(mac.world.data().join("job.env")), 0o600);
    let notified = fs::read_to_string(mac.launchd.join("notified")).expect("notified");
    assert!(notified.contains("\n--\nAWS SSO\n"), "{notified}");
}

#[test]
fn a_second_install_changes_nothing_and_a_new_interval_registers_anew() {
    let mut mac = Mac::new();
    mac.run(&["install"]).exits(0);
    let stamp = |path: PathBuf| {
        let found = fs::metadata(path).expect("it exists");
        (found.ino(), found.mtime_nsec())
    };
    let settings = mac.world.data().join("job.env");
    let before = (stamp(mac.plist()), stamp(settings.clone()));
    mac.changes();
    mac.run(&["install"]).exits(0).says("Already installed: ");
    assert_eq!(mac.changes(), Vec::<String>::new());
    assert_eq!((stamp(mac.plist()), stamp(settings)), before);

    mac.world.set("AWS_SSO_REFRESH_INTERVAL", "7");
    mac.run(&["install"])
        .exits(0)
        .says("AWS_SSO_REFRESH_INTERVAL=7  (new)")
        .says("every 7 minutes");
    mac.is_installed_in("gui");
    assert_eq!(mac.changes(), ["bootout", "enable", "bootstrap"]);
    assert!(
        mac.registered("gui")
            .expect("registered")
            .contains("<integer>420</integer>")
    );

    mac.world.set("AWS_SSO_REFRESH_INTERVAL", "");
    mac.run(&["install"])
        .exits(0)
        .says("AWS_SSO_REFRESH_INTERVAL is no longer set  (was 7)");
}

#[test]
fn install_uninstall_install_works_and_uninstall_leaves_tokens_and_log() {
    let mac = Mac::new();
    mac.world.write_token("work", "{}");
    mac.own();
    mac.run(&["install"]).exits(0);
    mac.run(&["refresh", "--scheduled"]).exits(0).stays_quiet();
    mac.run(&["uninstall"])
        .exits(0)
        .says("Uninstalled the job.\nTokens stay, and so do the log and sessions.json in ");
    assert_eq!((mac.registered("gui"), mac.plist().exists()), (None, false));
    assert_eq!(names_in(&mac.world.data()), ["refresh.log"]);
    assert_eq!(mac.world.cache_names().len(), 1);
    mac.run(&["uninstall"]).exits(0).says("There was no job.");
    mac.run(&["install"]).exits(0);
    mac.is_installed_in("gui");
}

/// What launchd is like, as files of the fake.
type Mood<'a> = &'a [(&'a str, &'a str)];

/// Runs `install` on a Mac in that mood, where an older job may be registered.
fn install_in(mood: Mood, has_job: bool) -> (Mac, Ran) {
    let mut mac = Mac::new();
    mac.world.set("AWS_SSO_REFRESH_PATIENCE_MS", "4000");
    if has_job {
        mac.run(&["install"]).exits(0);
        mac.world.set("AWS_SSO_REFRESH_INTERVAL", "9");
    }
    for (name, text) in mood {
        mac.mood(name, &text.replace("UID", &mac.uid.to_string()));
    }
    let started = Instant::now();
    let ran = mac.run(&["install"]);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(20), "{mood:?}: {took:?}");
    (mac, ran)
}

#[test]
fn whatever_launchd_does_at_first_the_job_ends_up_installed() {
    let days: [(Mood, bool, &str); 17] = [
        (&[("drain", "8")], true, "gui"),
        (&[("drain", "quietly 8")], true, "gui"),
        (&[("drain", "3"), ("bootstrap", "37\n5\n0\n")], true, "gui"),
        (&[("bootout", "5")], true, "gui"),
        (&[("bootout", "113")], true, "gui"),
        (&[("bootstrap", "5\n0\n")], false, "gui"),
        (&[("bootstrap", "36\n37\n17\n0\n")], false, "gui"),
        (&[("bootstrap", "119\n0\n")], false, "gui"),
        (&[("bootstrap", "112\n0\n")], false, "user"),
        (&[("bootstrap", "always 5\n")], false, "gui"),
        (&[("disabled", "")], false, "gui"),
        (&[("disabled", ""), ("old", "")], true, "gui"),
        (&[("domains", "user/UID\n")], false, "user"),
        (&[("refuse", "bootstrap gui/ 125\n")], false, "user"),
        (&[("refuse", "enable gui/ 125\n")], false, "user"),
        // What only the last resort gets in, it puts where this login is at home.
        (
            &[
                ("bootstrap", "always 5\n"),
                ("domains", "user/UID\ngui/UID\n"),
            ],
            true,
            "user",
        ),
        (
            &[
                ("refuse", "bootstrap gui/ 5\n"),
                ("domains", "user/UID\ngui/UID\n"),
            ],
            false,
            "user",
        ),
    ];
    side_by_side(&days, |(mood, has_job, domain)| {
        let (mac, ran) = install_in(mood, *has_job);
        assert_eq!((ran.exit, ran.stderr.as_str()), (Some(0), ""), "{mood:?}");
        mac.is_installed_in(domain);
    });
}

#[test]
fn what_launchd_refuses_for_good_is_explained() {
    let days: [(Mood, bool, [&str; 2]); 13] = [
        (
            &[("domains", "\n")],
            false,
            ["not logged in", "log in at the screen"],
        ),
        (
            &[("vanish", "")],
            false,
            ["does not keep the job", "Login Items"],
        ),
        (
            &[("bootstrap", "always 119\n")],
            false,
            ["disabled and stays so", "ended with 119"],
        ),
        (
            &[("bootstrap", "122\n")],
            false,
            ["the owner or the mode", "ls -leO@"],
        ),
        (
            &[("bootstrap", "124\n")],
            false,
            ["logging out", "after the next login"],
        ),
        (
            &[("bootstrap", "134\n")],
            false,
            ["this kind of login", "ended with 134"],
        ),
        (
            &[("bootstrap", "155\n")],
            false,
            ["the program is quarantined", "xattr -d"],
        ),
        (
            &[("refuse", "bootout gui/ 125\n")],
            true,
            ["this kind of login", "bootout gui/"],
        ),
        (
            &[("bootstrap", "always 5\n"), ("hang", "load")],
            false,
            [
                "cannot run launchctl load: it gave no answer",
                "restart this Mac",
            ],
        ),
        (
            &[("bootstrap", "99\n")],
            false,
            ["launchd refused", "launchctl error 99"],
        ),
        (
            &[("domains", "gui/UID\n"), ("refuse", "bootstrap gui/ 125\n")],
            false,
            ["bootstrap user/", "log in at the screen"],
        ),
        (
            &[("bootstrap", "always 5\n"), ("vanish", "")],
            false,
            ["does not take the job", "log show --last 5m"],
        ),
        (
            &[("drain", "1000000")],
            true,
            ["its last run does not end", "a minute"],
        ),
    ];
    side_by_side(&days, |(mood, has_job, parts)| {
        let (_mac, ran) = install_in(mood, *has_job);
        assert_eq!(ran.exit, Some(1), "{mood:?}");
        let said = ran.stderr;
        let says_all = parts
            .iter()
            .chain([&"\nhint: "])
            .all(|part| said.contains(part));
        assert!(says_all, "{mood:?}: {said}");
    });
}

#[test]
fn a_job_that_the_screens_login_does_not_take_is_left_where_it_is() {
    let mac = Mac::new();
    mac.mood("refuse", "bootstrap gui/ 125\n");
    mac.run(&["install"]).exits(0).says("where it cannot ask");
    mac.changes();
    mac.run(&["install"]).exits(0).says("where it cannot ask");
    mac.is_installed_in("user");
    assert!(!mac.changes().contains(&"bootout".to_string()));
    mac.cheer_up("refuse");
    mac.run(&["install"]).exits(0);
    mac.is_installed_in("gui");
    assert_eq!(mac.registered("user"), None, "once is enough");
}

#[test]
fn what_keeps_a_job_from_going_is_told_of_the_right_command() {
    let mut mac = Mac::new();
    mac.run(&["install"]).exits(0);
    mac.world.set("AWS_SSO_REFRESH_PATIENCE_MS", "1500");
    mac.mood("refuse", "bootout gui/ 125\n");
    let told = mac
        .run(&["uninstall"])
        .exits(1)
        .complains("cannot uninstall the job: this kind of login cannot hold a job (");
    assert!(
        told.stderr.contains("run `aws-sso-refresh uninstall` in a"),
        "{}",
        told.stderr
    );
    assert!(mac.plist().exists(), "what still runs keeps its file");
}

/// Most of these days are spent waiting.
fn side_by_side<T: Sync>(days: &[T], check: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        for day in days {
            scope.spawn(|| check(day));
        }
    });
}

#[test]
fn a_launchctl_that_never_answers_is_given_up() {
    let verbs = ["print", "print-disabled", "bootout", "enable", "bootstrap"];
    side_by_side(&verbs, |verb| {
        let mut mac = Mac::new();
        mac.run(&["install"]).exits(0);
        mac.world.set("AWS_SSO_REFRESH_PATIENCE_MS", "1500");
        mac.world.set("AWS_SSO_REFRESH_INTERVAL", "9");
        mac.mood("hang", verb);
        let started = Instant::now();
        mac.run(&["install"])
            .exits(1)
            .complains(&format!("cannot run launchctl {verb} "))
            .complains("it gave no answer within 1.5 s\nhint: try again");
        assert!(started.elapsed() < Duration::from_secs(10), "{verb}");
        mac.cheer_up("hang");
        mac.world.set("AWS_SSO_REFRESH_PATIENCE_MS", "15000");
        mac.run(&["install"]).exits(0);
        mac.is_installed_in("gui");
    });
}

#[test]
fn the_job_of_the_bash_tool_is_replaced_and_said_so() {
    let mac = Mac::new();
    let folder = mac.plist().parent().expect("it has one").to_path_buf();
    fs::create_dir_all(&folder).expect("made");
    let bash = World::fixture("schedule/bash-tool.plist");
    fs::write(mac.plist(), &bash).expect("written");
    fs::write(mac.launchd.join(format!("job.gui.{}", mac.uid)), &bash).expect("written");
    mac.own();
    mac.run(&["status"])
        .says("Daemon: another tool's job (/usr/local/bin/aws-sso-refresh.sh & co); run aws-sso-refresh install");
    mac.run(&["install"])
        .exits(0)
        .says("Replacing the job of another tool: /usr/local/bin/aws-sso-refresh.sh & co");
    assert_eq!(mac.changes(), ["bootout", "enable", "bootstrap"]);
    mac.is_installed_in("gui");
    mac.run(&["status"]).says("Daemon: waiting (");
}

#[test]
fn a_plist_that_is_a_link_is_replaced_by_a_file() {
    let mac = Mac::new();
    fs::create_dir_all(mac.plist().parent().expect("it has one")).expect("made");
    let target = mac.world.home.join("dotfile");
    fs::write(&target, "mine").expect("written");
    symlink(&target, mac.plist()).expect("linked");
    mac.own();
    mac.run(&["install"]).exits(0);
    mac.is_installed_in("gui");
    assert_eq!(fs::read_to_string(&target).expect("it stays"), "mine");
}

#[test]
fn a_dry_run_prints_the_steps_and_does_nothing() {
    let mut mac = Mac::new();
    mac.world.set("https_proxy", "http://ada:geheim@proxy:8080");
    mac.world.set("SUDO_USER", "ada");
    let ran = mac
        .run(&["install", "--dry-run"])
        .exits(0)
        .says("https_proxy='http://(hidden)@proxy:8080'  (new)")
        .says("<key>StartInterval</key>")
        .says(&format!("run launchctl enable gui/{}/{LABEL}\n", mac.uid))
        .says(&format!("run launchctl bootstrap gui/{} ", mac.uid));
    assert!(!ran.stdout.contains("geheim"), "{}", ran.stdout);
    mac.run(&["uninstall", "--dry-run"])
        .exits(0)
        .says("remove ");
    mac.world.set("SUDO_USER", "");
    mac.run(&["install"]).exits(0);
    mac.run(&["uninstall", "--dry-run"]).exits(0).says(&format!(
        "wait until no refresh is under way, and hold the next ones back\nrun launchctl bootout gui/{}/{LABEL}\n",
        mac.uid
    ));
    mac.run(&["uninstall"]).exits(0);
    let mac = Mac::new();
    assert_eq!(mac.changes(), Vec::<String>::new());
    assert!(!mac.plist().exists() && !mac.world.data().exists());
}

#[test]
fn root_and_sudo_are_refused_and_told_why() {
    let mut mac = Mac::new();
    if is_root() {
        for command in ["install", "uninstall"] {
            let root = mac.world.command_of(&mac.program(), &[command]).output();
            Ran::of(root.expect("the program runs"))
                .exits(1)
                .complains(&format!(
                    "cannot {command} the job: root's job would refresh root's sessions"
                ))
                .complains("without sudo");
        }
    }
    mac.world.set("SUDO_USER", "ada");
    mac.run(&["install"])
        .exits(1)
        .complains("under sudo it would be root's job");
    mac.run(&["uninstall"]).exits(1).complains("under sudo");
    assert_eq!(mac.changes(), Vec::<String>::new());
}

#[test]
fn a_build_of_cargo_is_not_installed() {
    let mac = Mac::new();
    let build = mac.world.home.join("target/debug");
    fs::create_dir_all(&build).expect("made");
    let program = build.join("aws-sso-refresh");
    fs::rename(mac.program(), &program).expect("moved");
    mac.run_of(&program, &["install"])
        .exits(1)
        .complains("it is cargo's build, which `cargo clean` removes\nhint: copy it to");
    assert!(!mac.plist().exists());
}

#[test]
fn the_link_in_local_bin_is_what_the_job_runs() {
    let mac = Mac::new();
    let versioned = mac.world.home.join("tools-2.0.0");
    fs::rename(mac.program(), &versioned).expect("moved");
    symlink(&versioned, mac.program()).expect("linked");
    mac.run_of(&versioned, &["install"]).exits(0);
    let plist = mac.registered("gui").expect("registered");
    assert!(
        plist.contains(".local/bin/aws-sso-refresh</string>"),
        "{plist}"
    );
}

#[test]
fn python_reads_the_plist_whatever_the_paths_hold() {
    let python = Command::new("python3").arg("-V").output();
    if !python.is_ok_and(|python| python.status.success()) {
        skipped("python_reads_the_plist_whatever_the_paths_hold: there is no python3");
        return;
    }
    for name in [
        "plain",
        "a & b <c> ]]>",
        "q\"'`$HOME %h \\n",
        "é日本\u{1f600} \u{2028}",
        "</string> &amp;",
    ] {
        let mut world = World::new();
        let home = world.home.join(name);
        fs::create_dir_all(&home).expect("made");
        let outer = world.move_home(home);
        let mut mac = Mac::of(world);
        mac.world.set("AWS_SSO_REFRESH_INTERVAL", "25");
        mac.world.set("BROWSER", "<&\"\n'>");
        mac.run(&["install"]).exits(0);
        let script = "import plistlib, sys
job = plistlib.loads(open(sys.argv[1], 'rb').read(), fmt=plistlib.FMT_XML)
assert job == {
    'Label': 'com.aws.sso-refresh',
    'ProgramArguments': [sys.argv[2], 'refresh', '--scheduled'],
    'RunAtLoad': True,
    'StartInterval': 1500,
    'StartCalendarInterval': [{'Minute': 0}, {'Minute': 25}, {'Minute': 50}],
    'ProcessType': 'Background',
    'LowPriorityIO': True,
    'AbandonProcessGroup': True,
    'ExitTimeOut': 5,
    'LimitLoadToSessionType': ['Aqua', 'Background'],
}, job
assert type(job['RunAtLoad']) is bool and type(job['StartInterval']) is int";
        let mut python = Command::new("python3");
        let python = python
            .args(["-c", script])
            .arg(mac.plist())
            .arg(mac.program());
        let read = python.output().expect("python3 runs");
        assert!(
            read.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&read.stderr)
        );
        mac.run(&["status"])
            .says("Daemon: waiting (no check yet; next within 25m)");
        drop(mac);
        let _ = fs::remove_dir_all(outer);
    }
}

#[test]
fn a_machine_without_a_scheduler_is_told_the_line_for_its_crontab() {
    let mut mac = Mac::new();
    mac.world.set("AWS_SSO_REFRESH_SYSTEM", "linux");
    mac.world.set("XDG_RUNTIME_DIR", "/nonexistent");
    mac.world.set("AWS_SSO_REFRESH_INTERVAL", "25");
    mac.world.set("AWS_PROFILE", "work");
    let line = format!(
        "\n  0,25,50 * * * * {} refresh --scheduled\n",
        mac.program().display()
    );
    mac.run(&["install"])
        .exits(1)
        .complains("cannot install the job: this ")
        .complains(
            "hint: add this line with `crontab -e`, or run it some other way every 25 minutes:",
        )
        .complains(&line);
    assert!(
        mac.settings().contains("\nAWS_PROFILE=work\n"),
        "the line reads the settings too"
    );
    mac.run(&["uninstall"]).exits(0).says("There was no job.");
    assert_eq!(mac.settings(), "");
}

#[test]
fn the_job_runs_with_the_settings_of_its_installation() {
    let center = center();
    let mut mac = Mac::of(World::with(&center));
    mac.world.sessions(&["work"]);
    fs::rename(
        mac.world.home.join(".aws/config"),
        mac.world.home.join("my config"),
    )
    .expect("renamed");
    mac.world.set("AWS_CONFIG_FILE", "~/$NAME config");
    mac.world.set("NAME", "my");
    mac.world.set("AWS_CA_BUNDLE", "ca.pem");
    mac.world.set("no_proxy", "");
    mac.world.set("BROWSER", "a\nb\\ \"c\"='d' ");
    mac.world.set("AWS_ENDPOINT_URL", "http://localhost:1");
    mac.world.sign_in(&center, "work", 12);
    mac.own();
    mac.run(&["install"]).exits(0);
    let home = mac.world.home.display();
    let settings = mac.settings();
    for line in [
        format!("\nAWS_CONFIG_FILE={home}/my config\n"),
        format!("\nAWS_CA_BUNDLE={home}/ca.pem\n"),
        "\nno_proxy=\n".to_string(),
        "\nBROWSER=a\\nb\\\\ \"c\"='d' \n".to_string(),
    ] {
        assert!(settings.contains(&line), "no {line:?} in {settings}");
    }
    assert!(!settings.contains("AWS_ENDPOINT_URL="), "{settings}");

    // As launchd starts it: another folder, none of these variables, and some that mislead.
    let before = mac.world.token("work", "accessToken");
    let mut job = Command::new(mac.program());
    job.args(["refresh", "--scheduled"])
        .env_clear()
        .env("HOME", &mac.world.home)
        .env("https_proxy", "http://localhost:1")
        .env("AWS_ENDPOINT_URL", "http://localhost:1")
        .current_dir("/");
    if is_root() {
        job.uid(NOBODY).gid(NOBODY);
    }
    Ran::of(job.output().expect("the program runs"))
        .exits(0)
        .stays_quiet();
    assert_ne!(mac.world.token("work", "accessToken"), before);
    assert!(
        mac.world
            .log()
            .contains("run=scheduled sessions=1 refreshed=1 exit=0 "),
        "{}",
        mac.world.log()
    );
    mac.run(&["status"])
        .exits(0)
        .says("Daemon: waiting (last check ")
        .says(" ago: ok; next within 10m)");
}

#[test]
fn a_stored_profile_that_has_vanished_is_told_where_people_look() {
    let center = center();
    let mut mac = Mac::of(World::with(&center));
    mac.world.sessions(&["work"]);
    mac.world.sign_in(&center, "work", 50);
    mac.world.set("AWS_PROFILE", "gone");
    mac.own();
    mac.run(&["install"]).exits(0);
    let warning = "the profile gone (AWS_PROFILE) is not in ";
    let told = mac.run(&["status"]).exits(0).complains(warning).stdout;
    assert!(!told.contains(warning), "once is enough: {told}");
    mac.world.unset("AWS_PROFILE");
    mac.run(&["status"])
        .exits(0)
        .says(&format!("\nWarning: in the job, {warning}"));
    mac.run(&["refresh", "--scheduled"]).exits(0).stays_quiet();
    assert_eq!(mac.world.log().lines().count(), 1, "nothing was due");
    mac.world.sign_in(&center, "work", 12);
    mac.own();
    mac.run(&["refresh", "--scheduled"]).exits(0).stays_quiet();
    let log = mac.world.log();
    assert!(log.contains(&format!(" warning \"{warning}")), "{log}");
    assert!(log.contains("work refreshed"), "{log}");

    let config = mac.world.home.join(".aws/config");
    let text = fs::read_to_string(&config).expect("it is there");
    fs::write(config, format!("{text}\n[profile gone]\n")).expect("written");
    let told = mac.run(&["status"]).exits(0).stdout;
    assert!(!told.contains("Warning: "), "{told}");
}

#[test]
fn a_broken_line_of_the_settings_is_ignored_and_logged() {
    let mac = Mac::new();
    mac.run(&["install"]).exits(0);
    fs::write(
        mac.world.data().join("job.env"),
        "AWS_SSO_REFRESH_INTERVAL=5\nwhat\n",
    )
    .expect("written");
    mac.own();
    mac.run(&["refresh", "--scheduled"]).exits(0).stays_quiet();
    assert!(
        mac.world.log().contains("job.env: ignored line 2"),
        "{}",
        mac.world.log()
    );
    mac.run(&["status"])
        .says("Interval: every 5 minutes")
        .says("Warning: ");
}

#[test]
fn status_tells_what_is_wrong_with_the_job() {
    let mut mac = Mac::new();
    mac.run(&["status"])
        .exits(0)
        .says("\nDaemon: not installed; run aws-sso-refresh install\n");
    assert_eq!(mac.calls(), "", "nothing is asked where there is no job");
    mac.world.set("AWS_SSO_REFRESH_THRESHOLD", "40");
    mac.run(&["install"]).exits(0);
    mac.world.set("AWS_SSO_REFRESH_THRESHOLD", "45");
    mac.world.set("AWS_SSO_REFRESH_INTERVAL", "5");
    let _ = mac.changes();
    mac.run(&["status"])
        .exits(0)
        .says("Daemon: waiting (no check yet; next within 10m)\n")
        .says(
            "AWS_SSO_REFRESH_THRESHOLD is 45 here and 40 in the job; run aws-sso-refresh install\n",
        )
        .says("AWS_SSO_REFRESH_INTERVAL is 5 here and not set in the job")
        .says("Interval: every 10 minutes\nThreshold: refresh when < 40m remaining\n");
    let asked = format!("list {LABEL}\nprint-disabled gui/{}\n", mac.uid);
    assert_eq!(mac.calls(), asked, "the common case costs two processes");

    mac.mood("pid", "1234");
    mac.run(&["status"]).says("Daemon: running (PID 1234)\n");
    mac.run(&["status", "--json"])
        .says(r#""daemon": {"state": "running", "pid": 1234, "lastCheckAt": null, "lastExit": null, "intervalMinutes": 10}"#);
    let log = mac.world.data().join("refresh.log");
    // An hour ahead: under a wrong clock.
    for (seconds, is_told) in [(-60, true), (3600, false)] {
        let at = in_seconds(seconds);
        let line = format!("{at} run=scheduled sessions=1 refreshed=0 exit=1 ms=1\n");
        fs::write(&log, line).expect("written");
        mac.own();
        mac.run(&["status", "--json"]).says(&match is_told {
            true => format!(r#""lastCheckAt": "{at}", "lastExit": 1,"#),
            false => r#""lastCheckAt": null, "lastExit": null,"#.to_string(),
        });
    }
    fs::remove_file(&log).expect("removed");
    mac.cheer_up("pid");
    mac.mood("disabled", "");
    mac.run(&["status"])
        .says("Daemon: disabled; run aws-sso-refresh install\n");
    mac.cheer_up("disabled");
    // In the other domain than this login's own.
    let (gui, user) = (format!("gui/{}\n", mac.uid), format!("user/{}\n", mac.uid));
    mac.mood("domains", &format!("{user}{gui}"));
    mac.run(&["status"]).says("Daemon: waiting (");
    mac.mood("domains", &format!("{gui}{user}"));
    fs::remove_file(mac.launchd.join(format!("job.gui.{}", mac.uid))).expect("it was there");
    mac.run(&["status"])
        .says("Daemon: installed, but not active; run aws-sso-refresh install\n");
    mac.mood("disabled", "");
    mac.run(&["status"])
        .says("Daemon: disabled; run aws-sso-refresh install\n");
    mac.world.set("AWS_SSO_REFRESH_PATIENCE_MS", "300");
    mac.mood("hang", "list");
    mac.run(&["status"])
        .says("Daemon: unknown (cannot run launchctl list");
    mac.cheer_up("hang");

    let elsewhere = mac.world.home.join("elsewhere");
    fs::rename(mac.program(), &elsewhere).expect("moved");
    let gone = format!(
        "Daemon: its program is gone from {}; run",
        mac.program().display()
    );
    mac.run_of(&elsewhere, &["status"]).says(&gone);
}

#[test]
fn settings_that_leave_gaps_are_warned_of() {
    let mut mac = Mac::new();
    mac.world.set("AWS_SSO_REFRESH_INTERVAL", "56");
    mac.run(&["install"])
        .exits(0)
        .complains("may end before the next one");
    mac.world.set("AWS_SSO_REFRESH_INTERVAL", "5");
    mac.world.set("AWS_SSO_REFRESH_THRESHOLD", "14");
    mac.run(&["install"])
        .exits(0)
        .complains("refresh of its own when 15 minutes remain");
    mac.world.set("AWS_SSO_REFRESH_THRESHOLD", "0");
    mac.run(&["install"])
        .exits(2)
        .complains("cannot use AWS_SSO_REFRESH_THRESHOLD=0");
}

#[test]
fn sessions_that_need_a_person_are_named_at_once() {
    let mac = Mac::new();
    mac.world.sessions(&["work", "idle"]);
    let expired = in_seconds(-60);
    mac.world.write_token(
        "work",
        &format!(r#"{{"accessToken": "x", "expiresAt": "{expired}"}}"#),
    );
    mac.own();
    mac.run(&["install"])
        .exits(0)
        .says("work needs a sign-in: run ");
}
