//! Hostile input: what lies where our files should be, whose it is, what the environment says, and what others' words hold.
//!
//! Whatever it is, a run ends soon, with a status of the contract's, shows nothing that could steer a terminal, and loses
//! no token.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::identity_center::{Consent, Fault, IdentityCenter, Options, Proxy, ProxyOptions};
use crate::torture::{each, tally, torture};
use crate::world::{
    REGION, Ran, START_URL, World, center, consenting, inside, member_of, skipped, token_text,
};

/// Nothing here is to take longer, on a busy machine and with all retries.
const SOON: Duration = Duration::from_secs(30);

/// Whether `text` has nothing that steers a terminal, reverses the order of reading, or hides.
fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    })
}

/// What is wrong with how a run ended, if anything.
fn problem(world: &World, ran: Option<&Ran>) -> Option<String> {
    let Some(ran) = ran else {
        return Some("it did not end".to_string());
    };
    if !matches!(ran.exit, Some(0..=3)) {
        return Some(format!("it ended as no run may: {ran:?}"));
    }
    if !is_harmless(&ran.stdout) || !is_harmless(&ran.stderr) {
        return Some(format!("it shows what steers a terminal: {ran:?}"));
    }
    let log = world.log();
    let is_line =
        |line: &str| line.len() > 20 && line.as_bytes()[4] == b'-' && line.as_bytes()[19] == b'Z';
    match is_harmless(&log) && log.lines().all(is_line) {
        true => None,
        false => Some(format!("its log is broken: {log}")),
    }
}

/// What links lead to that somebody has put where our files should be: nothing that a run may take away, replace or close.
struct Victims {
    folder: PathBuf,
    file: PathBuf,
    zeros: PathBuf,
    full: PathBuf,
}

impl Victims {
    fn new(world: &World) -> Victims {
        let at = |name: &str| world.home.join("victims").join(name);
        let victims = Victims {
            folder: at("folder"),
            file: at("folder/file"),
            zeros: at("zeros"),
            full: at("full"),
        };
        fs::create_dir_all(&victims.folder).expect("made");
        fs::write(&victims.file, "mine").expect("written");
        for (path, mode) in [(&victims.folder, 0o755), (&victims.file, 0o644)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        }
        // Devices of their own: the machine's are not to be put to the test. Whoever may not make any cannot harm those.
        for (path, minor) in [(&victims.zeros, "5"), (&victims.full, "7")] {
            let made = Command::new("mknod")
                .arg(path)
                .args(["c", "1", minor])
                .output();
            if !made.is_ok_and(|made| made.status.success()) {
                let device = if minor == "5" {
                    "/dev/zero"
                } else {
                    "/dev/full"
                };
                symlink(device, path).expect("linked");
            }
        }
        victims
    }

    fn are_unharmed(&self) -> bool {
        let mode =
            |path: &Path| fs::metadata(path).map_or(0, |found| found.permissions().mode() & 0o777);
        let is_device =
            |path: &Path| fs::metadata(path).is_ok_and(|found| found.file_type().is_char_device());
        mode(&self.folder) == 0o755
            && mode(&self.file) == 0o644
            && fs::read(&self.file).is_ok_and(|bytes| bytes == b"mine")
            && is_device(&self.zeros)
            && is_device(&self.full)
    }
}

/// What may lie at a path instead of what should.
#[derive(Debug, Clone, Copy)]
enum Thing {
    Folder,
    FullFolder,
    Fifo,
    LinkToItself,
    LinkToNothing,
    LinkToZeros,
    LinkToFullDevice,
    LinkToFolder,
    Huge,
    Deep,
    Garbage,
    Nothing,
}

const THINGS: [Thing; 12] = [
    Thing::Folder,
    Thing::FullFolder,
    Thing::Fifo,
    Thing::LinkToItself,
    Thing::LinkToNothing,
    Thing::LinkToZeros,
    Thing::LinkToFullDevice,
    Thing::LinkToFolder,
    Thing::Huge,
    Thing::Deep,
    Thing::Garbage,
    Thing::Nothing,
];

impl Thing {
    /// Puts it at `path`, in the place of what is there.
    fn put(self, path: &Path, victims: &Victims) {
        fs::create_dir_all(path.parent().expect("it has one")).expect("made");
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).expect("removed");
        } else {
            let _ = fs::remove_file(path);
        }
        let link = |to: &Path| symlink(to, path).expect("linked");
        match self {
            Thing::Folder => fs::create_dir(path).expect("made"),
            Thing::FullFolder => fs::create_dir_all(path.join("in/it")).expect("made"),
            Thing::Fifo => {
                let made = Command::new("mkfifo").arg(path).status();
                assert!(made.expect("mkfifo runs").success());
            }
            Thing::LinkToItself => link(path),
            Thing::LinkToNothing => link(Path::new("nowhere/at/all")),
            Thing::LinkToZeros => link(&victims.zeros),
            Thing::LinkToFullDevice => link(&victims.full),
            Thing::LinkToFolder => link(&victims.folder),
            Thing::Huge => {
                let file = fs::File::create(path).expect("made");
                file.set_len(3 << 30).expect("it takes no room");
            }
            Thing::Deep => fs::write(path, "{\"a\":".repeat(100_000)).expect("written"),
            Thing::Garbage => {
                fs::write(path, b"\xff\x1b[2J\0\n\x9b\xc2\x9b\xe2\x80\xae").expect("written");
            }
            Thing::Nothing => {}
        }
    }
}

/// A place of ours, by its name and where it is.
type Place = (&'static str, fn(&World, &str) -> PathBuf);

/// The refresh token is given, because the room is named after it.
const PLACES: [Place; 17] = [
    ("the token", |world, _| world.token_path("work")),
    ("the room", |world, token| world.room_path("work", token)),
    ("the room of a sign-in", |world, _| {
        world.room_path("work", "")
    }),
    ("the cache", |world, _| world.cache()),
    ("the config", |world, _| world.home.join(".aws/config")),
    ("the folder of both", |world, _| world.home.join(".aws")),
    ("the lock", |world, _| lock_path(world)),
    ("the locks", |world, _| world.data().join("locks")),
    ("the lock of the memory", |world, _| {
        world.data().join("locks/sessions.lock")
    }),
    ("the memory", |world, _| world.data().join("sessions.json")),
    ("the next memory", |world, _| {
        world.data().join("sessions.json.tmp")
    }),
    ("the settings of the job", |world, _| {
        world.data().join("job.env")
    }),
    ("the log", |world, _| world.data().join("refresh.log")),
    ("the old log", |world, _| world.data().join("refresh.log.1")),
    ("the data", |world, _| world.data()),
    ("the CA bundle", |world, _| world.home.join("ca.pem")),
    ("the registration", |world, _| {
        let names = world.cache_names().into_iter();
        let path = |name: String| world.cache().join(name);
        let mut others = names
            .map(path)
            .filter(|path| *path != world.token_path("work"));
        others
            .next()
            .unwrap_or_else(|| world.cache().join("x.json"))
    }),
];

const COMMANDS: [&[&str]; 7] = [
    &["status"],
    &["refresh"],
    &["refresh", "--force"],
    &["refresh", "--scheduled"],
    &["login", "--device-code"],
    &["logs"],
    &["logout"],
];

fn lock_path(world: &World) -> PathBuf {
    let name = world.token_path("work").with_extension("lock");
    world
        .data()
        .join("locks")
        .join(name.file_name().expect("a name"))
}

/// Lets one thing lie at one place while one command runs.
fn lie_there(place: &Place, thing: Thing, command: &[&str]) -> Result<(), String> {
    let center = IdentityCenter::start(Options {
        consent: Consent::Allow,
        device_lifetime: Duration::from_secs(3),
        ..Options::default()
    });
    let mut world = World::with(&center);
    // Where the settings of a job are gone, it asks AWS itself, and there is no such region.
    world.config(&format!(
        "[sso-session work]\nsso_start_url = {START_URL}\nsso_region = xx-none-1\n"
    ));
    world.set("AWS_SSO_REFRESH_RUN_SECONDS", "20");
    world.run(&["login", "--device-code"]).exits(0); // makes every file there is
    center.end_all_sessions();
    let old = world.sign_in(&center, "work", 5).refresh_token;
    let path = place.1(&world, &old);
    let victims = Victims::new(&world);
    thing.put(&path, &victims);
    let ran = world.run_within(command, SOON);

    // What was granted must be in the file or beside it, unless somebody signs out. A FIFO would hold the test itself.
    let is_file = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|found| found.is_file() && found.len() < 1 << 17)
    };
    let there = world
        .cache_names()
        .into_iter()
        .map(|name| world.cache().join(name));
    let texts = there
        .filter(is_file)
        .filter_map(|path| fs::read_to_string(path).ok());
    let mut held: Vec<String> = texts
        .filter_map(|text| member_of(&text, "refreshToken"))
        .collect();
    held.push(old);
    let held: Vec<&str> = held.iter().map(String::as_str).collect();
    let lost = center.tokens_lost(&held);
    let is_lost = !lost.is_empty() && command != ["logout"];
    let problem = match is_lost {
        true => Some(format!("a token is lost: {ran:?}")),
        false if !victims.are_unharmed() => Some(format!("what a link led to is harmed: {ran:?}")),
        false if matches!(place.0, "the log" | "the data") => match &ran {
            Some(ran) if matches!(ran.exit, Some(0..=3)) && is_harmless(&ran.stderr) => None,
            other => Some(format!("{other:?}")),
        },
        false => problem(&world, ran.as_ref()),
    };
    problem.map_or(Ok(()), |problem| {
        Err(format!(
            "{thing:?} as {} at {command:?}: {problem}",
            place.0
        ))
    })
}

#[test]
fn whatever_lies_where_our_files_should_be_holds_no_run_and_loses_no_token() {
    let mut cases = Vec::new();
    for place in &PLACES {
        for thing in THINGS {
            cases.extend(COMMANDS.map(|command| (place, thing, command)));
        }
    }
    // What was wrong once is tried each time.
    let was_wrong = |(place, thing, command): &(&Place, Thing, &[&str])| {
        matches!(
            (place.0, thing, command[0]),
            ("the log", Thing::Fifo, _)
                | (
                    "the old log",
                    Thing::Fifo | Thing::Garbage,
                    "status" | "logs"
                )
                | ("the data", Thing::LinkToFolder, "refresh")
                | ("the registration", Thing::LinkToZeros, "login")
                | (
                    "the token",
                    Thing::LinkToZeros | Thing::LinkToFolder,
                    "login" | "logout"
                )
        )
    };
    let one_of = torture().map_or(9, |_| 1);
    let cases: Vec<_> = cases
        .into_iter()
        .enumerate()
        .filter(|(index, case)| index % one_of == 0 || was_wrong(case))
        .map(|(_, case)| case)
        .collect();
    let done = each(&cases, 6, |(place, thing, command)| {
        lie_there(place, *thing, command)
    });
    tally(
        "hostile files",
        done.len(),
        "every run ended soon and well, and no token was lost",
    );
}

/// The variables that this program or what it calls may look at. `HOME` is for a test of its own.
const VARIABLES: [&str; 38] = [
    "AWS_SSO_REFRESH_THRESHOLD",
    "AWS_SSO_REFRESH_INTERVAL",
    "AWS_SSO_SESSION_DURATION",
    "AWS_SSO_REFRESH_LOGIN",
    "AWS_CONFIG_FILE",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "all_proxy",
    "no_proxy",
    "NO_PROXY",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_SHARED_CREDENTIALS_FILE",
    "BROWSER",
    "PATH",
    "TMPDIR",
    "TERM",
    "TZ",
    "LANG",
    "NO_COLOR",
    "SSH_CONNECTION",
    "DISPLAY",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "RUST_BACKTRACE",
    "RUST_MIN_STACK",
];

const PASSWORD: &str = "hunter2secret";

fn bad_values() -> Vec<OsString> {
    let huge = "x".repeat(100_000);
    let texts = [
        "",
        " ",
        "0",
        "-1",
        "99999999999999999999",
        "true",
        "../../../etc/passwd",
        "/nowhere/at/all",
        "/dev/null",
        "~",
        "$HOME/${X}/%s/%n",
        "a\u{1b}[2J\u{9b}31m\u{202e}b\nc\r",
        "http://[::1",
        "https://ada:hunter2secret@127.0.0.1:1/x?y#z",
        "socks5://ada:hunter2secret@localhost",
        "ada:hunter2secret@localhost:99999",
        "http://127.0.0.1:1\r\nX: y",
        "*",
        &huge,
    ];
    let not_text = OsStr::from_bytes(b"\xff\xfe=\x80");
    texts
        .into_iter()
        .map(OsString::from)
        .chain([not_text.into()])
        .collect()
}

#[test]
fn whatever_a_variable_holds_no_run_crashes_and_no_password_is_shown() {
    const COMMANDS: [&[&str]; 4] = [
        &["status"],
        &["refresh"],
        &["refresh", "--scheduled"],
        &["login", "--device-code"],
    ];
    let mut cases = Vec::new();
    for variable in VARIABLES {
        for value in bad_values() {
            cases.extend(COMMANDS.map(|command| (variable, value.clone(), command)));
        }
    }
    let one_of = torture().map_or(23, |_| 1);
    let cases: Vec<_> = cases.into_iter().step_by(one_of).collect();
    let done = each(&cases, 6, |(variable, value, command)| {
        let center = consenting(Consent::Allow);
        let mut world = World::with(&center);
        // Where a variable leads to no service of the test's, it is to be nobody's.
        world.config(&format!(
            "[sso-session work]\nsso_start_url = {START_URL}\nsso_region = xx-none-1\n"
        ));
        world.set("AWS_SSO_REFRESH_RUN_SECONDS", "20");
        world.sign_in(&center, "work", 5);
        world.set_raw(variable, value);
        let ran = world.run_within(command, SOON);
        let told = format!("{ran:?}{}", world.log());
        let token = world.token("work", "refreshToken");
        let may_be_secret = variable.to_lowercase().contains("proxy") || variable.contains("URL");
        let problem = problem(&world, ran.as_ref())
            .or((may_be_secret && told.contains(PASSWORD))
                .then(|| "it shows a password".to_string()))
            .or((!center.is_live_refresh_token(&token)).then(|| "the token is lost".to_string()));
        problem.map_or(Ok(()), |problem| {
            let value: String = value.to_string_lossy().chars().take(40).collect();
            Err(format!("{variable}={value:?} {command:?}: {problem}"))
        })
    });
    tally(
        "hostile variables",
        done.len(),
        "every run ended soon and well, no password shown, no token lost",
    );
}

#[test]
fn whatever_the_home_folder_is_it_is_found_or_said() {
    let center = center();
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    let homes = world.home.clone();
    let file = homes.join("file");
    fs::write(&file, "").expect("written");
    for relative in ["relative", ".", "~", "./x", "\u{1b}[2J"] {
        world.set("HOME", relative);
        for command in [&["status"][..], &["refresh"], &["refresh", "--scheduled"]] {
            world
                .run(command)
                .exits(2)
                .complains("HOME is not set to an absolute path");
        }
    }
    world.set("HOME", "/nowhere");
    world.run(&["status"]).exits(0).says("No sso-session");
    let too_long = homes.join("x".repeat(9000));
    for no_folder in [file.as_path(), Path::new("/dev/null"), &too_long] {
        world.set_raw("HOME", no_folder.as_os_str());
        for command in [&["status"][..], &["refresh"], &["login"], &["logout"]] {
            let ran = world.run(command).complains("cannot ");
            assert!(matches!(ran.exit, Some(1 | 2)), "{ran:?}");
        }
    }
    // Names that are odd, and folders all the same.
    for name in [
        OsStr::from_bytes(b"\xff\xfe"),
        OsStr::new("a b'\"$(x)`\\"),
        OsStr::new("\u{1b}[2J\n\u{202e}"),
    ] {
        let home = homes.join(name);
        fs::create_dir(&home).expect("made");
        fs::rename(homes.join(".aws"), home.join(".aws")).expect("moved");
        world.set_raw("HOME", home.as_os_str());
        let token = home
            .join(".aws/sso/cache")
            .join(world.token_path("work").file_name().expect("a name"));
        fs::create_dir_all(token.parent().expect("a folder")).expect("made");
        let granted = center.sign_in(&Default::default());
        fs::write(&token, token_text(&granted, 300)).expect("written");
        let ran = world.run(&["refresh"]).exits(0).says("refreshed");
        assert!(
            is_harmless(&ran.stdout) && is_harmless(&ran.stderr),
            "{ran:?}"
        );
        fs::remove_dir_all(home.join(".local")).expect("the log is there");
        fs::write(home.join(".local"), "").expect("written");
        let ran = world.run(&["refresh", "--force"]).exits(1);
        assert!(
            is_harmless(&ran.stdout) && is_harmless(&ran.stderr),
            "{ran:?}"
        );
        fs::rename(home.join(".aws"), homes.join(".aws")).expect("moved");
    }
}

/// A user that nobody knows has no home but the one that `HOME` names.
#[test]
fn a_user_without_a_home_is_told() {
    if !can_be_another("a_user_without_a_home_is_told") {
        return;
    }
    let world = World::new();
    let program = world.own_program();
    for home in [None, Some(OsStr::new(""))] {
        let mut command = as_user(54_321);
        command
            .arg(&program)
            .arg("status")
            .env_clear()
            .envs(home.map(|home| ("HOME", home)));
        let output = command.output().expect("setpriv runs");
        Ran::of(output)
            .exits(2)
            .complains("cannot find the home folder");
    }
}

/// Whether this test may act as other users; says so where it may not.
fn can_be_another(test: &str) -> bool {
    let tried = as_user(65_534).arg("true").output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        skipped(&format!(
            "{test}: this user may not act as another one (needs root and setpriv)"
        ));
    }
    can
}

/// What runs a program as this user.
fn as_user(user: u32) -> Command {
    let user = user.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
    command
}

fn chown(path: &Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), Some(user)).expect("root may");
}

/// Everything below `path`, and itself.
fn chown_all(path: &Path, user: u32) {
    chown(path, user);
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("it can be listed").flatten() {
            chown_all(&entry.path(), user);
        }
    }
}

/// Somebody else (root) has put or taken something: nothing is spent that could not be stored, and it is said.
#[test]
fn what_belongs_to_somebody_else_is_said_and_costs_no_token() {
    const USER: u32 = 65_534;
    if !can_be_another("what_belongs_to_somebody_else_is_said_and_costs_no_token") {
        return;
    }
    /// What is done to the home, what the run says, its status, and whether the token is refreshed.
    type Case = (&'static str, fn(&World), &'static str, i32, bool);
    let cases: [Case; 10] = [
        ("nothing", |_| {}, "refreshed", 0, true),
        (
            "a token that only others may read",
            |world| {
                chown(&world.token_path("work"), 0);
            },
            "unreadable token file: permission denied",
            1,
            false,
        ),
        (
            "a token of others that may be read",
            |world| {
                // Whoever may write the folder may replace the file; then it is one's own.
                chown(&world.token_path("work"), 0);
                fs::set_permissions(world.token_path("work"), fs::Permissions::from_mode(0o644))
                    .expect("set");
            },
            "refreshed",
            0,
            true,
        ),
        (
            "a cache of others",
            |world| {
                chown(&world.cache(), 0);
                fs::set_permissions(world.cache(), fs::Permissions::from_mode(0o755)).expect("set");
            },
            "cannot make room for",
            1,
            false,
        ),
        (
            "a cache that may not be entered",
            |world| {
                chown(&world.cache(), 0);
                fs::set_permissions(world.cache(), fs::Permissions::from_mode(0o700)).expect("set");
            },
            "cannot list",
            1,
            false,
        ),
        (
            "a link to a token of the system's",
            |world| {
                let elsewhere = world.home.join("system");
                fs::create_dir(&elsewhere).expect("made");
                let real = elsewhere.join("token.json");
                fs::rename(world.token_path("work"), &real).expect("moved");
                symlink(&real, world.token_path("work")).expect("linked");
                chown_all(&elsewhere, 0);
                for (path, mode) in [(&elsewhere, 0o755), (&real, 0o644)] {
                    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
                }
            },
            "cannot make room for",
            1,
            false,
        ),
        (
            "a data folder of others",
            |world| {
                fs::create_dir_all(world.data()).expect("made");
                chown(&world.data(), 0);
            },
            "cannot make the folder",
            1,
            false,
        ),
        (
            "a log of others",
            |world| {
                fs::create_dir_all(world.data()).expect("made");
                chown_all(&world.home.join(".local"), USER);
                fs::write(world.data().join("refresh.log"), "").expect("written");
                fs::set_permissions(
                    world.data().join("refresh.log"),
                    fs::Permissions::from_mode(0o600),
                )
                .expect("set");
            },
            "refreshed",
            0,
            true,
        ),
        (
            "a lock of others",
            |world| {
                fs::create_dir_all(world.data().join("locks")).expect("made");
                chown_all(&world.home.join(".local"), USER);
                fs::write(lock_path(world), "").expect("written");
                fs::set_permissions(lock_path(world), fs::Permissions::from_mode(0o600))
                    .expect("set");
            },
            "cannot lock",
            1,
            false,
        ),
        (
            "a room of others",
            |world| {
                let token = world.token("work", "refreshToken");
                fs::write(world.room_path("work", &token), "").expect("written");
            },
            "refreshed",
            0,
            true,
        ),
    ];
    for (name, change, says, exit, is_refreshed) in cases {
        let center = center();
        let world = World::with(&center);
        world.sessions(&["work"]);
        world.sign_in(&center, "work", 5);
        let old = world.token("work", "accessToken");
        let program = world.own_program();
        chown_all(&world.home, USER);
        change(&world);
        let mut command = inside(as_user(USER), &world.command_of(&program, &["refresh"]));
        let ran = Ran::of(command.output().expect("setpriv runs"));
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(
            (ran.exit, told.contains(says)),
            (Some(exit), true),
            "{name}: {told}"
        );
        let text = fs::read_to_string(world.token_path("work")).expect("root may read it");
        let access = member_of(&text, "accessToken").expect("it parses");
        assert_eq!(access != old, is_refreshed, "{name}: {told}");
        let refresh = member_of(&text, "refreshToken").expect("it parses");
        assert!(center.is_live_refresh_token(&refresh), "{name}: {told}");
    }
}

/// A lock is a file that may be locked; whatever else has its name is said, and stops nobody else.
#[test]
fn a_lock_that_is_none_is_said_or_taken_all_the_same() {
    /// What is at the place of the lock, and what the run says of the session.
    type Case = (&'static str, fn(&World), &'static str, i32);
    let cases: [Case; 8] = [
        (
            "a folder",
            |world| fs::create_dir_all(lock_path(world)).expect("made"),
            "cannot lock",
            1,
        ),
        (
            "a FIFO",
            |world| Thing::Fifo.put(&lock_path(world), &Victims::new(world)),
            "refreshed",
            0,
        ),
        (
            "a link to a file",
            |world| {
                let victims = Victims::new(world);
                fs::create_dir_all(world.data().join("locks")).expect("made");
                symlink(&victims.file, lock_path(world)).expect("linked");
            },
            "refreshed",
            0,
        ),
        (
            "a link to nothing",
            |world| Thing::LinkToNothing.put(&lock_path(world), &Victims::new(world)),
            "cannot lock",
            1,
        ),
        (
            "a link to itself",
            |world| Thing::LinkToItself.put(&lock_path(world), &Victims::new(world)),
            "cannot lock",
            1,
        ),
        (
            "a file with something in it",
            |world| Thing::Garbage.put(&lock_path(world), &Victims::new(world)),
            "refreshed",
            0,
        ),
        (
            "no folder of locks",
            |world| Thing::Garbage.put(&world.data().join("locks"), &Victims::new(world)),
            "cannot make the folder",
            1,
        ),
        (
            "a folder of locks elsewhere",
            |world| Thing::LinkToFolder.put(&world.data().join("locks"), &Victims::new(world)),
            "refreshed",
            0,
        ),
    ];
    for (name, change, says, exit) in cases {
        let center = center();
        let world = World::with(&center);
        world.sessions(&["other", "work"]);
        world.sign_in(&center, "other", 5);
        let granted = world.sign_in(&center, "work", 5);
        change(&world);
        let is_file = fs::metadata(lock_path(&world)).is_ok_and(|found| found.is_file());
        let before = is_file.then(|| fs::read(lock_path(&world)).expect("it can be read"));
        let ran = world.run_within(&["refresh"], SOON).expect("it ends");
        let line = ran
            .stdout
            .lines()
            .find(|line| line.contains(" work "))
            .unwrap_or_default();
        assert!(
            line.contains(says) && ran.exit == Some(exit),
            "{name}: {ran:?}"
        );
        let is_folder_bad = name == "no folder of locks";
        assert!(
            is_folder_bad || ran.stdout.contains("✓ other  refreshed"),
            "{name}: {ran:?}"
        );
        let token = world.token("work", "refreshToken");
        assert!(center.is_live_refresh_token(&token), "{name}");
        assert_eq!(token == granted.refresh_token, exit == 1, "{name}");
        if let Some(before) = before {
            assert_eq!(
                fs::read(lock_path(&world)).expect("it is there"),
                before,
                "{name}"
            );
        }
    }
}

/// Whoever holds the lock and never lets go costs the run its time and no token.
#[test]
fn a_lock_that_is_never_let_go_ends_with_the_run() {
    let center = center();
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", 5);
    world.set("AWS_SSO_REFRESH_RUN_SECONDS", "1");
    fs::create_dir_all(world.data().join("locks")).expect("made");
    let lock = fs::File::create(lock_path(&world)).expect("made");
    lock.lock().expect("nobody holds it");
    world
        .run(&["refresh"])
        .exits(1)
        .says("another run is still busy with it");
    assert_eq!(center.connections(), 0);
}

/// With too few open files allowed, each of the operations of a refresh fails at some number of them.
#[test]
fn a_process_that_may_open_few_files_loses_no_token() {
    for (job, limit) in
        (3..16).flat_map(|limit| [("refresh", limit), ("login --device-code", limit)])
    {
        let center = IdentityCenter::start(Options {
            consent: Consent::Allow,
            // A network that cannot be reached may come back as long as the code is good.
            device_lifetime: Duration::from_secs(2),
            ..Options::default()
        });
        let world = World::with(&center);
        world.sessions(&["work"]);
        let old = world.sign_in(&center, "work", 5).refresh_token;
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" {job}")]);
        let mut command = inside(limited, &world.command(&[]));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let ran = crate::world::within(command, SOON);
        let ran = ran.unwrap_or_else(|| panic!("{job} with {limit} files does not end"));
        // Below that the system cannot load the program at all.
        let has_begun = !ran.stderr.contains("error while loading") && ran.exit != Some(127);
        assert!(
            !has_begun || matches!(ran.exit, Some(0..=3)),
            "{limit} {job}: {ran:?}"
        );
        world.run(&["refresh"]).exits(0);
        let token = world.token("work", "refreshToken");
        assert!(
            center.is_live_refresh_token(&token),
            "{limit} {job}: {ran:?}"
        );
        let lost = center.tokens_lost(&[&token, &old]);
        assert!(lost.is_empty(), "{limit} {job}: {ran:?}");
    }
}

/// Streams that are closed or full, a folder that is gone, and rights that are taken from all that is made.
#[test]
fn whatever_a_process_inherits_a_refresh_is_a_refresh() {
    for (name, lines, exit) in [
        ("closed streams", "exec \"$0\" refresh <&- >&- 2>&-", 0),
        (
            "a full standard output",
            "exec \"$0\" refresh >/dev/full",
            1,
        ),
        (
            "a full standard error",
            "exec \"$0\" refresh 2>/dev/full",
            0,
        ),
        ("no rights for anybody", "umask 777; exec \"$0\" refresh", 0),
        (
            "all rights for everybody",
            "umask 0; exec \"$0\" refresh",
            0,
        ),
        (
            "a folder that is gone",
            "mkdir gone; cd gone; rmdir ../gone; exec \"$0\" refresh",
            0,
        ),
        (
            "signals that are ignored",
            "trap '' PIPE INT TERM HUP; exec \"$0\" refresh",
            0,
        ),
        (
            "no processor time to spare",
            "exec nice -n 19 \"$0\" refresh",
            0,
        ),
    ] {
        if name == "a full standard output" && !Path::new("/dev/full").exists() {
            skipped("a full standard output: there is no /dev/full");
            continue;
        }
        let center = center();
        let world = World::with(&center);
        world.sessions(&["work"]);
        let old = world.sign_in(&center, "work", 5).refresh_token;
        let own = world.command(&[]);
        let mut command = world.command_of(Path::new("sh"), &["-c", lines]);
        command.arg(own.get_program());
        let ran = crate::world::within(command, SOON).expect("it ends");
        assert_eq!(ran.exit, Some(exit), "{name}: {ran:?}");
        let token = world.token("work", "refreshToken");
        assert!(
            token != old && center.is_live_refresh_token(&token),
            "{name}: {ran:?}"
        );
        let mode =
            |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
        assert_eq!(mode(&world.token_path("work")), 0o600, "{name}");
        for name in ["refresh.log", "sessions.json"] {
            assert_eq!(mode(&world.data().join(name)) & 0o077, 0, "{name}");
        }
        assert!(world.run(&["refresh", "--force"]).exit == Some(0), "{name}");
    }
}

/// What steers a terminal, in every way that Unicode knows: C0, C1, line breaks, and marks that reverse the reading order.
const STEERING: &str = "\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}31m\u{85}\r\n2026-11-23T20:04:11Z forged run=manual exit=0\u{202e}\u{2028}\u{7f}\u{200f}";

/// As a JSON string.
fn steering_json() -> String {
    let escaped: String = STEERING
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect();
    format!("\"{escaped}\"")
}

/// Whether all of a run's words are harmless, and each line of its log is one that this program began.
fn check_words(world: &World, name: &str, ran: &Ran) {
    let told = problem(world, Some(ran));
    assert_eq!(told, None, "{name}");
    let forged = |line: &str| line.starts_with("2026-11-23T20:04:11Z");
    assert!(!world.log().lines().any(forged), "{name}: {}", world.log());
}

#[test]
fn what_a_service_says_steers_no_terminal_and_forges_no_line() {
    let word = steering_json();
    let error = format!(
        r#"{{"error":{word},"error_description":{word},"reason":{word},"message":{word}}}"#
    );
    let client = format!(
        r#"{{"clientId":{word},"clientSecret":{word},"clientSecretExpiresAt":4102444800}}"#
    );
    let device = |page: &str| {
        format!(
            r#"{{"deviceCode":{word},"userCode":{word},"verificationUri":"{page}","verificationUriComplete":"{page}","expiresIn":2,"interval":1}}"#
        )
    };
    let page = format!("https://device.example/{}", word.trim_matches('"'));
    let grant = format!(r#"{{"accessToken":{word},"expiresIn":3600,"refreshToken":{word}}}"#);
    let header = |body: &str| Fault::Answer {
        status: 400,
        headers: vec![(
            "x-amzn-ErrorType".to_string(),
            format!("A\u{9b}\u{202e}{}", "B".repeat(300)),
        )],
        body: body.as_bytes().to_vec(),
    };
    let login: &[&str] = &["login", "--device-code"];
    for (name, path, fault, command) in [
        (
            "an error",
            "/token",
            Fault::answer(400, &error),
            &["refresh", "--force"][..],
        ),
        (
            "trouble",
            "/token",
            Fault::answer(500, &error),
            &["refresh", "--force"],
        ),
        (
            "a gateway",
            "/token",
            Fault::answer(403, &format!(r#"{{"message":{word}}}"#)),
            &["refresh", "--force"],
        ),
        ("a header", "/token", header("{}"), &["refresh", "--force"]),
        (
            "a header and an error",
            "/token",
            header(&error),
            &["refresh", "--force"],
        ),
        (
            "a grant",
            "/token",
            Fault::answer(200, &grant),
            &["refresh", "--force"],
        ),
        (
            "an error to a registration",
            "/client/register",
            Fault::answer(400, &error),
            login,
        ),
        (
            "a client",
            "/client/register",
            Fault::answer(200, &client),
            login,
        ),
        (
            "an error to a device",
            "/device_authorization",
            Fault::answer(400, &error),
            login,
        ),
        (
            "a code",
            "/device_authorization",
            Fault::answer(200, &device("https://device.example/")),
            login,
        ),
        (
            "a page",
            "/device_authorization",
            Fault::answer(200, &device(&page)),
            login,
        ),
        (
            "an error to a poll",
            "/token",
            Fault::answer(400, &error),
            login,
        ),
        (
            "a grant to a poll",
            "/token",
            Fault::answer(200, &grant),
            login,
        ),
        (
            "an error of the portal",
            "/logout",
            Fault::answer(403, &error),
            &["logout"],
        ),
    ] {
        let center = IdentityCenter::start(Options {
            device_lifetime: Duration::from_secs(2),
            ..Options::default()
        });
        let world = World::with(&center);
        world.sessions(&["work"]);
        world.sign_in(&center, "work", 5);
        // A made-up device waits for a person whom the service has never heard of.
        if name == "a code" {
            center.fault_at("/token", None, Fault::error("authorization_pending"));
        }
        center.fault_at(path, None, fault);
        let ran = world.run_within(command, SOON).expect("it ends");
        check_words(&world, name, &ran);
        let asked = center.requests().iter().any(|seen| seen.path == path);
        assert!(asked, "{name}: {ran:?}");
        check_words(&world, name, &world.run(&["status"]));
        check_words(&world, name, &world.run(&["logs"]));
    }
}

#[test]
fn what_a_config_or_a_token_says_steers_no_terminal_and_forges_no_line() {
    let center = center();
    let world = World::with(&center);
    let one_line = STEERING.replace(['\r', '\n'], "");
    let config = format!(
        "[sso-session {one_line}]\nsso_start_url = {START_URL}\nsso_region = {REGION}\n\
         [sso-session region]\nsso_start_url = {START_URL}\nsso_region = {one_line}\n\
         [sso-session url]\nsso_start_url = https://{one_line}/start\nsso_region = {REGION}\n\
         [sso-session vanity]\nsso_start_url = https://localhost:1/{one_line}\nsso_region = {REGION}\n\
         [sso-session scopes]\nsso_start_url = {START_URL}\nsso_region = {REGION}\nsso_registration_scopes = {one_line}\n\
         [sso-session continued]\nsso_start_url = {START_URL}\n {one_line}\nsso_region = {REGION}\n {one_line}\n\
         [profile {one_line}]\nsso_start_url = https://{one_line}\nsso_region = {one_line}\n\
         [profile legacy{one_line}]\nsso_start_url = {START_URL}\nsso_region = {REGION}\nsso_account_id = {one_line}\n\
         {one_line}\n[{one_line}\nno = section\n"
    );
    world.config(&config);
    let granted = center.sign_in(&Default::default());
    let text = token_text(&granted, 300);
    for name in [&one_line, "region", "url", "scopes", "continued"] {
        world.write_token(
            name,
            &text
                .replace(REGION, "x\\u001b[2J\\u009b")
                .replace("Z\"", "\\u001b[2JZ\""),
        );
    }
    world.write_token("vanity", &text);
    for command in [
        &["status"][..],
        &["status", "--json"],
        &["refresh"],
        &["refresh", "--dry-run"],
        &["refresh", "--scheduled"],
        &["refresh", "--session", &one_line],
        &["refresh", "--session", STEERING],
        &["refresh", STEERING],
        &[STEERING],
        &["login", &one_line, "--device-code"],
        &["login", "region"],
        &["login", "url"],
        &["login", "vanity"],
        &["login", "scopes", "--device-code"],
        &["login", STEERING],
        &["login"],
        &["logout", &one_line],
        &["logout", "--all"],
        &["generate", STEERING],
        &["help", STEERING],
        &["logs"],
    ] {
        let ran = world.run_within(command, SOON).expect("it ends");
        check_words(&world, &format!("{command:?}"), &ran);
    }
}

/// Neither a region nor a start URL nor a token leads a request to a host that AWS does not own.
#[test]
fn no_region_and_no_start_url_leads_elsewhere() {
    const EVIL: [&str; 14] = [
        "evil.example",
        "evil.example/",
        "evil.example#",
        "evil.example?",
        "eu-west-1.evil.example",
        "eu-west-1@evil.example",
        "eu-west-1:443@evil.example",
        "eu-west-1/../evil.example",
        "eu-west-1%2eevil.example",
        "eu-west-1\\evil.example",
        "eu-west-1 evil.example",
        "eu-west-1\tevil.example",
        "-eu-west-1",
        "eu_west_1",
    ];
    let center = center();
    let map = vec![("*".to_string(), format!("127.0.0.1:{}", center.port()))];
    let proxy = Proxy::start(ProxyOptions {
        map,
        credentials: None,
    });
    let mut world = World::with(&center);
    for variable in ["AWS_ENDPOINT_URL_SSO_OIDC", "AWS_ENDPOINT_URL_SSO"] {
        world.set(variable, "");
    }
    world.set("HTTPS_PROXY", &proxy.url());
    for region in EVIL {
        world.config(&format!(
            "[sso-session work]\nsso_start_url = {START_URL}\nsso_region = {region}\n"
        ));
        world.sign_in(&center, "work", 5);
        for command in [
            &["refresh", "--force"][..],
            &["login"],
            &["login", "--device-code"],
        ] {
            world.run(command).exits(2);
        }
    }
    assert_eq!(proxy.connects(), Vec::new());
    // A logout goes to the region in the token, where that is one.
    for region in EVIL {
        world.sessions(&["work"]);
        let granted = center.sign_in(&Default::default());
        let region = region.replace('\\', "\\\\").replace('\t', "\\t");
        world.write_token("work", &token_text(&granted, 300).replace(REGION, &region));
        world.run(&["logout"]);
    }
    // A start URL that AWS does not own is asked once where it leads to, without any secret, and nobody else is.
    for start_url in [
        "https://evil.example/start",
        "https://d-1.awsapps.com.evil.example/start",
        "https://d-1.awsapps.com@evil.example/start",
        "https://evil.example#.awsapps.com",
        "https://evil.example/.awsapps.com",
        "https://evil.example?.awsapps.com",
        "https://evil.example\\.awsapps.com",
        "http://d-1.awsapps.com/start",
        "ftp://d-1.awsapps.com/start",
        "//d-1.awsapps.com/start",
        "https://d-1.awsapps.com:99999/start",
        "https://",
        "javascript:alert(1)",
    ] {
        world.config(&format!(
            "[sso-session work]\nsso_start_url = {start_url}\nsso_region = {REGION}\n"
        ));
        for command in [&["login"][..], &["login", "--device-code"]] {
            let ran = world.run_within(command, SOON).expect("it ends");
            assert!(matches!(ran.exit, Some(1 | 2)), "{start_url}: {ran:?}");
        }
    }
    let owned = |target: &str| target.ends_with(".amazonaws.com:443");
    for connect in proxy.connects() {
        let host = connect.target.trim_end_matches(":443");
        let is_asked_where_it_leads =
            host == "evil.example" || host == "d-1.awsapps.com.evil.example";
        assert!(
            owned(&connect.target) || is_asked_where_it_leads,
            "{connect:?}"
        );
    }
    assert_eq!(
        center.requests().len(),
        0,
        "no certificate is for those names"
    );
}
