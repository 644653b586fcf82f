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
use crate::world::{REGION, Ran, START_URL, World, center, member_of, skipped, token_text};

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
    let one_of = torture().map_or(9, |_| 1);
    let cases: Vec<_> = cases.into_iter().step_by(one_of).collect();
    let done = each(&cases, 6, |(place, thing, command)| {
        lie_there(place, *thing, command)
    });
    tally(
        "hostile files",
        done.len(),
        "every run ended soon and well, and no token was lost",
    );
}
