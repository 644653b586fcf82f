//! No token is ever lost or clobbered: races, crashes, disks that fail, and files that are not tokens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::identity_center::{Consent, Fault, Granted, IdentityCenter, Options, RefreshTokens};
use crate::world::{
    Ran, START_URL, World, can_mount, center, consenting, fingerprint, inside, is_installed,
    member_of, names_in, token_text,
};

fn world_with(center: &IdentityCenter, minutes: i64) -> (World, Granted) {
    let world = World::with(center);
    world.sessions(&["work"]);
    let granted = world.sign_in(center, "work", minutes);
    (world, granted)
}

#[test]
fn a_login_by_another_tool_in_the_middle_of_a_request_stands() {
    let center = Arc::new(center());
    let (world, _) = world_with(&center, 5);
    let theirs = center.sign_in(&crate::identity_center::SignIn {
        start_url: START_URL.to_string(),
        ..Default::default()
    });
    let (path, text) = (world.token_path("work"), token_text(&theirs, 3600));
    let written = text.clone();
    center.fault_next(
        1,
        Fault::hook(move |_| fs::write(&path, &written).expect("written")),
    );
    world
        .run(&["refresh"])
        .exits(0)
        .says("renewed by another run or tool");
    assert_eq!(world.token_text("work"), text);
    assert_eq!(world.cache_names().len(), 1);
}

#[test]
fn a_sign_out_in_the_middle_of_a_request_stays_signed_out() {
    let center = center();
    let (world, _) = world_with(&center, 5);
    let path = world.token_path("work");
    center.fault_next(
        1,
        Fault::hook(move |_| fs::remove_file(&path).expect("removed")),
    );
    world.run(&["refresh"]).exits(0).says("- work  signed out");
    assert_eq!(world.cache_names(), Vec::<String>::new());
}

#[test]
fn what_another_tool_wrote_around_the_same_grant_is_kept() {
    let center = center();
    let (world, _) = world_with(&center, 5);
    let path = world.token_path("work");
    center.fault_next(
        1,
        Fault::hook(move |_| {
            let text = fs::read_to_string(&path).expect("it exists");
            fs::write(&path, text.replacen('{', "{\"added\": 7, ", 1)).expect("written");
        }),
    );
    world.run(&["refresh"]).exits(0).says("refreshed");
    assert!(world.token_text("work").starts_with("{\"added\": 7, "));
    assert!(center.is_live_refresh_token(&world.token("work", "refreshToken")));
    assert_eq!(world.cache_names().len(), 1);
}

#[test]
fn a_token_that_another_tool_is_writing_is_not_touched_and_the_new_one_is_kept() {
    let center = center();
    let (world, granted) = world_with(&center, 5);
    let path = world.token_path("work");
    center.fault_next(
        1,
        Fault::hook(move |_| fs::write(&path, "{\"accessToken\": \"ha").expect("written")),
    );
    world
        .run(&["refresh"])
        .exits(1)
        .says("the new token is kept as ");
    let room = world.room_path("work", &granted.refresh_token);
    let kept = fs::read_to_string(&room).expect("it is kept");
    assert!(center.is_live_refresh_token(&member_of(&kept, "refreshToken").expect("a token")));
    // As long as nobody knows what the file will be, the kept token stays where it is.
    world.run(&["refresh"]).exits(1).says("unreadable");
    assert!(room.exists());
    // The other tool failed and put the old token back: the kept one is adopted.
    world.write_token("work", &token_text(&granted, 60));
    world.run(&["refresh"]).exits(0);
    assert_eq!((world.token_text("work"), room.exists()), (kept, false));
    assert_eq!(center.requests_to("/token").len(), 1);
}

#[test]
fn a_token_refreshed_elsewhere_after_a_refusal_is_used() {
    let center = center();
    let (world, granted) = world_with(&center, 5);
    let path = world.token_path("work");
    // Another tool spent the refresh token first and writes what it bought two seconds later.
    let theirs = center.sign_in(&crate::identity_center::SignIn::default());
    center.end_session(&granted.refresh_token);
    let text = token_text(&theirs, 3600);
    let written = text.clone();
    center.fault_next(
        1,
        Fault::hook(move |_| {
            let (path, written) = (path.clone(), written.clone());
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(2));
                fs::write(&path, &written).expect("written");
            });
        }),
    );
    world
        .run(&["refresh"])
        .exits(0)
        .says("renewed by another run or tool");
    assert_eq!(world.token_text("work"), text);
}

/// The design's cases of a left-over `.new`, each by what it holds and what the token file holds.
#[test]
fn a_left_over_is_adopted_or_removed_as_its_case_demands() {
    let center = center();
    let new_tokens = center.sign_in(&crate::identity_center::SignIn::default());
    let fresh = token_text(&new_tokens, 3600);
    let case = |new: &str, token: Option<&str>, expected: (bool, bool)| {
        let (world, granted) = world_with(&center, 50);
        let room = world.room_path("work", &granted.refresh_token);
        fs::write(&room, new).expect("written");
        let original = world.token_text("work");
        match token {
            Some("") => {}
            Some(text) => world.write_token("work", text),
            None => fs::remove_file(world.token_path("work")).expect("removed"),
        }
        let before = fs::read_to_string(world.token_path("work")).ok();
        world.run(&["refresh"]);
        let after = fs::read_to_string(world.token_path("work")).ok();
        let is_adopted = after.as_deref() == Some(new) && after != Some(original);
        assert!(is_adopted || after == before, "{new:.20} {token:?}");
        assert_eq!((is_adopted, room.exists()), expected, "{new:.20} {token:?}");
    };
    let other = token_text(
        &center.sign_in(&crate::identity_center::SignIn::default()),
        3600,
    );
    case(&fresh, Some(""), (true, false)); // the crash came between writing and renaming
    case(&format!("{fresh}      "), Some(""), (true, false)); // between writing and cutting
    case(&" ".repeat(70_000), Some(""), (false, false)); // before the answer
    case("", Some(""), (false, false));
    case(&fresh[..100], Some(""), (false, false)); // within the writing
    case(&fresh, Some(&other), (false, false)); // somebody signed in since
    case(&fresh, None, (false, false)); // somebody signed out since
    case(&fresh, Some("{\"accessToken"), (false, true)); // nobody can tell
    case(&fresh, Some("{}"), (false, true));
}

/// A sign-in names its room after what it replaces: the access token, or nothing.
#[test]
fn a_sign_in_that_died_with_its_token_on_the_disk_is_finished_by_the_next_run() {
    let center = center();
    let fresh = |center: &IdentityCenter| token_text(&center.sign_in(&Default::default()), 3600);
    let unrenewable = |granted: &Granted| {
        token_text(granted, 3600).replace("\"refreshToken\"", "\"formerRefreshToken\"")
    };
    let (world, granted) = world_with(&center, 50);
    for (there, replaced) in [
        (
            Some(token_text(&granted, 3600)),
            granted.access_token.as_str(),
        ),
        (Some(unrenewable(&granted)), &granted.access_token),
        (None, ""),
    ] {
        match &there {
            Some(text) => world.write_token("work", text),
            None => fs::remove_file(world.token_path("work")).expect("removed"),
        }
        let new = fresh(&center);
        fs::write(world.room_path("work", replaced), &new).expect("written");
        world.run(&["refresh"]).exits(0).says("✓ work");
        assert_eq!(
            (world.token_text("work"), world.cache_names().len()),
            (new, 1)
        );
        // Somebody has signed in since: what is left over of another one is worth nothing.
        let theirs = world.token_text("work");
        fs::write(world.room_path("work", replaced), fresh(&center)).expect("written");
        world.run(&["refresh"]).exits(0);
        assert_eq!(
            (world.token_text("work"), world.cache_names().len()),
            (theirs, 1)
        );
    }
    // Whoever signs out takes it along.
    fs::remove_file(world.token_path("work")).expect("removed");
    fs::write(world.room_path("work", ""), fresh(&center)).expect("written");
    world.run(&["logout"]).exits(0);
    world.run(&["refresh"]).exits(0).says("- work  signed out");
    assert_eq!(world.cache_names(), Vec::<String>::new());
}

#[test]
fn an_old_left_over_does_not_replace_what_another_tool_renewed_since() {
    let center = center();
    let (world, granted) = world_with(&center, 50);
    let newer = world.token_text("work");
    let room = world.room_path("work", &granted.refresh_token);
    fs::write(&room, token_text(&granted, -600)).expect("written");
    world.run(&["refresh"]).exits(0);
    assert_eq!((world.token_text("work"), room.exists()), (newer, false));
    // The service gave the same refresh token again, and this one is the newer of the two.
    let fresh = token_text(&granted, 3600);
    fs::write(&room, &fresh).expect("written");
    world.run(&["refresh"]).exits(0);
    assert_eq!((world.token_text("work"), room.exists()), (fresh, false));
}

/// Also where the service gives the same refresh token again, which alone would not tell that somebody has been at it.
#[test]
fn a_sign_in_that_died_does_not_replace_what_another_tool_renewed_since() {
    let center = IdentityCenter::start(Options {
        consent: Consent::Allow,
        refresh_tokens: RefreshTokens::Keep,
        ..Options::default()
    });
    let (mut world, granted) = world_with(&center, 5);
    world.browser("curl -sSL --cacert ca.pem -o /dev/null \"$1\"");
    world.die_at("rename", &["login"]);
    let left_over = || {
        let mut names = world.cache_names();
        names.retain(|name| name.ends_with(".new"));
        names
    };
    assert_eq!(left_over().len(), 1);
    let renewed = token_text(&granted, 3600).replace(&granted.access_token, "renewed");
    world.write_token("work", &renewed);
    world.run(&["refresh"]).exits(0);
    assert_eq!(world.token_text("work"), renewed);
    assert_eq!(left_over(), Vec::<String>::new());
}

/// Not every tool that signs out takes along what has no `.json` at its end.
#[test]
fn a_sign_in_that_died_does_not_undo_a_sign_out() {
    let center = consenting(Consent::Allow);
    let mut world = World::with_browser(&center);
    world.die_at("rename", &["login"]);
    world.sign_in(&center, "work", 50);
    std::thread::sleep(Duration::from_millis(20)); // file times may be as coarse as that
    fs::remove_file(world.token_path("work")).expect("removed");
    world.run(&["refresh"]).exits(0).says("- work  signed out");
    assert!(
        !world
            .cache_names()
            .iter()
            .any(|name| name.ends_with(".new"))
    );
}

#[test]
fn a_sign_in_that_died_is_finished_by_the_next_one_even_where_that_fails() {
    let center = consenting(Consent::Allow);
    let mut world = World::with_browser(&center);
    world.die_at("rename", &["login"]);
    world.browser("false");
    world.set("AWS_SSO_REFRESH_PERSON_SECONDS", "1");
    world.run(&["login"]).exits(3);
    assert!(center.is_live_refresh_token(&world.token("work", "refreshToken")));
}

#[test]
fn what_was_adopted_is_no_sign_in_of_another_tool() {
    let center = center();
    let (world, _) = world_with(&center, 5);
    world.run(&["refresh"]).exits(0);
    let spent = world.token("work", "refreshToken");
    let fresh = token_text(
        &center.sign_in(&crate::identity_center::SignIn::default()),
        3600,
    );
    fs::write(world.room_path("work", &spent), fresh).expect("written");
    world.run(&["refresh"]).exits(0);
    assert!(
        !world.history("work").contains("lastBrowserLogin"),
        "{}",
        world.history("work")
    );
}

#[test]
fn no_refresh_token_is_spent_where_there_is_no_time_for_the_answer() {
    let center = center();
    let (mut world, granted) = world_with(&center, 5);
    world.set("AWS_SSO_REFRESH_RUN_SECONDS", "10");
    world
        .run(&["refresh"])
        .exits(1)
        .says("not refreshed: this run has no time left for it");
    assert_eq!(center.connections(), 0);
    assert!(center.is_live_refresh_token(&granted.refresh_token));
}

#[test]
fn a_left_over_that_another_run_is_using_is_left_to_it() {
    let slow = Options {
        server_delay: Duration::from_millis(800),
        ..Options::default()
    };
    let center = IdentityCenter::start(slow);
    let (world, granted) = world_with(&center, 5);
    let child = world.start(&["refresh"]);
    let room = world.room_path("work", &granted.refresh_token);
    let started = Instant::now();
    while !room.exists() {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "no room was made"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(
        fs::metadata(&room).expect("it exists").permissions().mode() & 0o777,
        0o600
    );
    world.run(&["refresh", "--dry-run"]);
    world.run(&["refresh", "--session", "work"]).exits(0);
    Ran::of(child.wait_with_output().expect("it ends"))
        .exits(0)
        .says("refreshed");
    assert_eq!(center.requests_to("/token").len(), 1);
}

#[test]
fn left_overs_beside_the_real_file_of_a_linked_token_are_settled() {
    let center = center();
    let (world, granted) = world_with(&center, 50);
    let elsewhere = world.home.join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    let name = world
        .token_path("work")
        .file_name()
        .expect("a name")
        .to_os_string();
    fs::rename(world.token_path("work"), elsewhere.join(&name)).expect("moved");
    std::os::unix::fs::symlink(elsewhere.join(&name), world.token_path("work")).expect("linked");
    let room = elsewhere.join(
        world
            .room_path("work", &granted.refresh_token)
            .file_name()
            .expect("a name"),
    );
    let fresh = token_text(
        &center.sign_in(&crate::identity_center::SignIn::default()),
        3600,
    );
    fs::write(&room, &fresh).expect("written");
    world.run(&["refresh"]).exits(0);
    assert_eq!((world.token_text("work"), room.exists()), (fresh, false));
    assert!(
        fs::symlink_metadata(world.token_path("work"))
            .expect("it exists")
            .is_symlink()
    );
}

#[test]
fn a_token_file_that_could_outgrow_its_limit_is_noticed_before_a_refresh_token_is_spent() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", 5);
    let padding = format!("{{\"padding\": \"{}\", ", "x".repeat(1_000_000));
    let text = world.token_text("work").replacen('{', &padding, 1);
    world.write_token("work", &text);
    let told = "its token file could become too large to be read again";
    world.run(&["refresh"]).exits(1).says(told);
    assert_eq!(center.requests_to("/token").len(), 0);
    assert_eq!(world.token_text("work"), text);
}

#[test]
fn a_full_disk_is_noticed_before_a_refresh_token_is_spent() {
    if !can_mount("a_full_disk_is_noticed_before_a_refresh_token_is_spent") {
        return;
    }
    let center = center();
    let (mut world, _) = world_with(&center, 5);
    world.mount_own_disk(".aws/sso/cache", "32k");
    world
        .run(&["refresh"])
        .exits(1)
        .says("no space left on device");
    assert_eq!(center.connections(), 0);
    assert_eq!(world.cache_names().len(), 1);
}

#[test]
fn a_read_only_disk_is_noticed_before_a_refresh_token_is_spent() {
    if !can_mount("a_read_only_disk_is_noticed_before_a_refresh_token_is_spent") {
        return;
    }
    for folder in ["", "/.aws/sso/cache"] {
        let center = center();
        let (mut world, _) = world_with(&center, 5);
        world.mount(&format!(
            "mount --bind \"$1{folder}\" \"$1{folder}\"; mount -o remount,ro,bind \"$1{folder}\""
        ));
        world.run(&["refresh"]).exits(1).says("read-only");
        assert_eq!(center.connections(), 0);
    }
}

/// The disk has room when the refresh begins and none when the answer comes: the room was made before.
#[test]
fn a_disk_that_fills_up_in_between_keeps_what_was_granted() {
    if !can_mount("a_disk_that_fills_up_in_between_keeps_what_was_granted") {
        return;
    }
    let center = center();
    let (mut world, granted) = world_with(&center, 5);
    world.mount_own_disk(".aws/sso/cache", "400k");
    let filler = world.cache().join("filler");
    center.fault_next(
        1,
        Fault::hook(move |_| {
            let error = fs::write(&filler, vec![0; 1 << 20]).expect_err("it is smaller than that");
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        }),
    );
    world.run(&["refresh"]).exits(0).says("refreshed");
    assert!(world.cache().join("filler").exists(), "the disk was filled");
    let refresh_token = world.token("work", "refreshToken");
    assert!(center.is_live_refresh_token(&refresh_token) && refresh_token != granted.refresh_token);
}

#[test]
fn files_that_are_no_tokens_stop_nobody_else_and_crash_nothing() {
    let center = center();
    let world = World::with(&center);
    let bad = [
        "empty", "half", "text", "deep", "folder", "fifo", "sparse", "array", "binary", "dangling",
        "loop",
    ];
    let names: Vec<&str> = bad.into_iter().chain(["good"]).collect();
    world.sessions(&names);
    world.sign_in(&center, "good", 5);
    world.write_token("empty", "");
    world.write_token("half", r#"{"accessToken": "a", "expiresAt": "2026-"#);
    world.write_token("text", "not a token");
    world.write_token(
        "deep",
        &format!("{{\"accessToken\": {}", "[".repeat(200_000)),
    );
    world.write_token("array", "[\"accessToken\"]");
    fs::write(world.token_path("binary"), [0xff, 0xfe, 0, 1]).expect("written");
    fs::create_dir(world.token_path("folder")).expect("made");
    assert!(
        Command::new("mkfifo")
            .arg(world.token_path("fifo"))
            .status()
            .expect("mkfifo runs")
            .success()
    );
    let sparse = fs::File::create(world.token_path("sparse")).expect("made");
    sparse
        .set_len(3 << 30)
        .expect("the file system knows sparse files");
    std::os::unix::fs::symlink("nowhere", world.token_path("dangling")).expect("linked");
    std::os::unix::fs::symlink(world.token_path("loop"), world.token_path("loop")).expect("linked");
    let started = Instant::now();
    let ran = world
        .run(&["refresh"])
        .exits(1)
        .says("✓ good      refreshed");
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    for name in bad {
        assert!(
            ran.stdout
                .contains(&format!("✗ {name:8}  unreadable token file: ")),
            "{name}: {}",
            ran.stdout
        );
    }
    assert_eq!(
        fs::read_to_string(world.token_path("half"))
            .expect("it exists")
            .len(),
        40,
        "nothing is touched"
    );
}

#[test]
fn a_token_that_may_not_be_read_is_said() {
    if !can_mount("a_token_that_may_not_be_read_is_said") {
        return; // root may read everything; the program is run as somebody else here
    }
    let world = World::new();
    world.sessions(&["work"]);
    world.write_token("work", "{}");
    let program = world.own_program();
    fs::set_permissions(world.token_path("work"), fs::Permissions::from_mode(0o000)).expect("set");
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&program)
        .arg("status")
        .env_clear()
        .env("HOME", &world.home)
        .output()
        .expect("setpriv runs");
    Ran::of(output)
        .exits(1)
        .says("unreadable token file: permission denied");
}

#[test]
fn a_memory_that_does_not_parse_is_kept_and_started_anew() {
    let center = center();
    let (world, _) = world_with(&center, 5);
    fs::create_dir_all(world.data()).expect("made");
    fs::write(world.data().join("sessions.json"), "{broken").expect("written");
    world
        .run(&["refresh"])
        .exits(0)
        .says("refreshed")
        .complains("sessions.json");
    assert_eq!(
        fs::read_to_string(world.data().join("sessions.json.broken")).expect("kept"),
        "{broken"
    );
    let memory = fs::read_to_string(world.data().join("sessions.json")).expect("written");
    let stored = fingerprint(&world.token("work", "refreshToken"));
    assert!(
        memory.contains(&format!("\"storedToken\": \"{stored}\"")),
        "{memory}"
    );
}

#[test]
fn everything_of_ours_is_private() {
    let center = center();
    let (world, _) = world_with(&center, 5);
    fs::set_permissions(world.token_path("work"), fs::Permissions::from_mode(0o644)).expect("set");
    world.run(&["refresh"]).exits(0);
    let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(&world.token_path("work")), 0o600);
    assert_eq!(mode(&world.data()), 0o700);
    for name in names_in(&world.data()) {
        let path = world.data().join(&name);
        assert_eq!(
            mode(&path),
            if path.is_dir() { 0o700 } else { 0o600 },
            "{name}"
        );
    }
    for name in names_in(&world.data().join("locks")) {
        assert_eq!(
            fs::metadata(world.data().join("locks").join(&name))
                .expect("it exists")
                .len(),
            0,
            "{name}"
        );
    }
}

#[test]
fn what_others_could_read_is_closed_to_them() {
    let center = center();
    let (world, _) = world_with(&center, 50);
    fs::create_dir_all(world.data()).expect("made");
    let log = world.data().join("refresh.log");
    fs::write(&log, "").expect("written");
    for (path, mode) in [(world.data(), 0o755), (log.clone(), 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }
    world.run(&["refresh"]).exits(0);
    let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!((mode(&world.data()), mode(&log)), (0o700, 0o600));
}

/// A run, and its system calls, a line each, with the paths of the files: `PID  call(arguments…) = result`. `None`, said
/// loudly, where nothing can trace them.
fn traced(world: &World, arguments: &[&str]) -> Option<(Ran, String)> {
    if !is_installed("strace", &format!("the system calls of {arguments:?}")) {
        return None;
    }
    let trace = world.home.join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-o"]).arg(&trace);
    let output = inside(strace, &world.command(arguments)).output();
    let ran = Ran::of(output.expect("strace runs"));
    Some((ran, fs::read_to_string(trace).expect("it was traced")))
}

#[test]
fn a_check_with_nothing_due_opens_no_socket_starts_no_thread_and_writes_one_line() {
    let center = center();
    let (world, _) = world_with(&center, 50);
    world.run(&["refresh"]).exits(0); // makes the data folder
    let Some((ran, trace)) = traced(&world, &["refresh", "--scheduled"]) else {
        return;
    };
    ran.exits(0).stays_quiet();
    // `PID  call(arguments…) = result`: a word in a path is no call.
    let calls: Vec<&str> = trace
        .lines()
        .filter_map(|line| line.split_once('(')?.0.split_whitespace().last())
        .collect();
    for call in [
        "socket",
        "connect",
        "clone",
        "clone3",
        "fork",
        "vfork",
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "fsync",
        "fdatasync",
    ] {
        assert!(!calls.contains(&call), "{call} in\n{trace}");
    }
    let opened_to_write: Vec<&str> = trace
        .lines()
        .filter(|line| {
            line.contains("O_WRONLY") || line.contains("O_RDWR") || line.contains("O_CREAT")
        })
        .filter(|line| !line.contains("/dev/null"))
        .collect();
    assert!(
        opened_to_write.len() == 1 && opened_to_write[0].contains("refresh.log"),
        "{opened_to_write:?}"
    );
    let writes = calls.iter().filter(|call| **call == "write").count();
    assert_eq!(writes, 1, "{trace}");
}

/// What a run did with the disk and whom it asked, as the kernel saw it.
fn on_the_disk(trace: &str) -> Vec<String> {
    let what = |line: &str| {
        let (call, rest) = line.split_once('(')?;
        let call = call.split_whitespace().last()?;
        let kind = [
            ("/.aws/sso/cache>", "cache"),
            ("/aws-sso-refresh>", "data"),
            (".new", "room"),
            (".json.tmp", "memory"),
        ]
        .into_iter()
        .find_map(|(part, kind)| rest.contains(part).then_some(kind));
        let call = match call {
            "openat" if rest.contains("O_EXCL") => "create",
            "openat" => return None,
            "connect" if rest.contains("AF_INET") => return Some("ask".to_string()),
            "renameat" | "renameat2" => "rename",
            "write" | "ftruncate" | "fsync" | "rename" => call,
            _ => return None,
        };
        Some(format!("{call} {}", kind?))
    };
    trace.lines().filter_map(what).collect()
}

#[test]
fn a_token_is_on_the_disk_before_its_name_and_room_for_it_before_it_is_asked_for() {
    let center = center();
    let (mut world, _) = world_with(&center, 5);
    let Some((ran, trace)) = traced(&world, &["refresh"]) else {
        return;
    };
    ran.exits(0).says("refreshed");
    let refreshed = [
        "create room",
        "write room",
        "fsync room",
        "ask",
        "write room",
        "ftruncate room",
        "fsync room",
        "rename room",
        "fsync cache",
        // A memory that the next run can do without.
        "create memory",
        "write memory",
        "rename memory",
    ];
    assert_eq!(on_the_disk(&trace), refreshed, "{trace}");

    world.die_at("rename", &["refresh", "--force"]);
    let Some((ran, trace)) = traced(&world, &["refresh"]) else {
        return;
    };
    ran.exits(0);
    let adopted = ["fsync room", "rename room", "fsync cache"];
    let done = on_the_disk(&trace); // with a note of it, unless the two runs were in the same second
    assert!(done.starts_with(&adopted.map(String::from)), "{trace}");

    // That a person signed out is not forgotten again.
    let Some((ran, trace)) = traced(&world, &["logout"]) else {
        return;
    };
    ran.exits(0);
    let signed_out = [
        "ask",
        "create memory",
        "write memory",
        "fsync memory",
        "rename memory",
        "fsync data",
    ];
    assert_eq!(on_the_disk(&trace), signed_out, "{trace}");
}
