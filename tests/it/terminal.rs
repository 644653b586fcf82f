//! What a person sees at a terminal, be it wide or narrow, old or of another language.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr;

use crate::identity_center::Fault;
use crate::status::world_of_states;
use crate::world::{World, can_interrupt, center, in_terminal, is_installed};

/// A program in a terminal of its own.
pub struct Terminal {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Terminal {
    /// `None` where there is none to be had, which is said.
    pub fn start(command: &Command, columns: u16, test: &str) -> Option<Terminal> {
        if !is_installed("python3", test) {
            return None;
        }
        let mut sized = Command::new("sh");
        sized
            .args(["-c", "stty cols \"$0\" && exec \"$@\""])
            .arg(columns.to_string())
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            sized.env(name, value.expect("a value"));
        }
        let mut child = in_terminal(&sized)
            .current_dir(command.get_current_dir().unwrap_or(".".as_ref()))
            .spawn()
            .expect("python3 runs");
        let mut stream = child.stdout.take().expect("piped");
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                let _ = sender.send(buffer[..count].to_vec());
            }
        });
        Some(Terminal {
            input: child.stdin.take().expect("piped"),
            child,
            output,
            seen: Vec::new(),
        })
    }

    /// Types something, and waits until what comes then has `expected` in it.
    pub fn type_until(&mut self, typed: &str, expected: &str) {
        let (before, started) = (self.seen.len(), Instant::now());
        self.input.write_all(typed.as_bytes()).expect("it listens");
        while !String::from_utf8_lossy(&self.seen[before..]).contains(expected) {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "no {expected:?} after {typed:?} in {:?}",
                String::from_utf8_lossy(&self.seen[before..])
            );
            let more = self.output.recv_timeout(Duration::from_millis(100));
            self.seen.extend(more.unwrap_or_default());
        }
    }

    /// Everything that was written until the program ended, with plain line breaks.
    pub fn end(mut self) -> String {
        self.seen.extend(self.output.iter().flatten());
        let _ = self.child.wait();
        String::from_utf8_lossy(&self.seen).replace("\r\n", "\n")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole of what a command shows.
fn screen(world: &World, columns: u16, arguments: &[&str]) -> Option<String> {
    let test = format!("{arguments:?} at a terminal of {columns} columns");
    let terminal = Terminal::start(&world.command(arguments), columns, &test)?;
    Some(terminal.end())
}

/// A home whose lines are long, and whose names are wide and long.
fn world_of_names() -> World {
    let mut world = World::new();
    world.set("NO_COLOR", "1");
    world.sessions(&["work", "日本の会社", "the-session-of-production"]);
    let token = r#"{"accessToken": "a", "expiresAt": "2001-01-01T00:00:00Z", "refreshToken": "r"}"#;
    world.write_token("日本の会社", token);
    world
}

#[test]
fn a_screen_is_as_wide_as_its_terminal() {
    for (mut world, arguments) in [
        (world_of_names(), &["status"][..]),
        (world_of_states(), &["status"]),
        (world_of_states(), &["refresh", "--dry-run"]),
        (World::new(), &["help"]),
        (World::new(), &["help", "refresh"]),
    ] {
        world.set("NO_COLOR", "1");
        for columns in [40, 60, 80, 120] {
            let Some(screen) = screen(&world, columns, arguments) else {
                return;
            };
            let home = world.home.to_string_lossy();
            for line in screen.lines().filter(|line| !line.contains(&*home)) {
                assert!(
                    line.width() <= columns.into(),
                    "{columns}: {line:?}\n{screen}"
                );
            }
            let widest = screen.lines().map(UnicodeWidthStr::width).max();
            assert!(
                widest > Some(usize::from(columns.min(80)) * 2 / 3),
                "{screen}"
            );
        }
    }
}

#[test]
fn a_text_goes_on_under_itself_and_stands_below_a_long_name() {
    let world = world_of_names();
    for (columns, expected) in [
        (
            60,
            "  - work        signed out\n  - 日本の会社  dormant: not used for ",
        ),
        (
            60,
            "\n                aws-sso-refresh login '日本の会社' wakes it\n  \
             - the-session-of-production\n                signed out\n",
        ),
        (
            36,
            "  - work\n      signed out\n  - 日本の会社\n      dormant: not used for ",
        ),
        (
            80,
            "  - work                       signed out\n  - 日本の会社                 dormant",
        ),
    ] {
        let Some(screen) = screen(&world, columns, &["status"]) else {
            return;
        };
        assert!(screen.contains(expected), "{columns}\n{screen}");
    }
}

#[test]
fn a_script_has_a_session_a_line_however_narrow_the_terminal() {
    let mut world = world_of_names();
    world.set("COLUMNS", "30");
    let shown = world.run(&["status"]).exits(0).stdout;
    assert!(
        shown.contains("  - work                       signed out\n"),
        "{shown}"
    );
    assert!(
        shown.contains("; aws-sso-refresh login '日本の会社' wakes it\n"),
        "{shown}"
    );
    // At a terminal the variable counts more than the terminal does.
    let Some(screen) = screen(&world, 120, &["status"]) else {
        return;
    };
    assert!(screen.contains("  - work\n      signed out\n"), "{screen}");
}

#[test]
fn another_locale_than_utf_8_is_shown_ascii() {
    let mut world = world_of_states();
    for (name, value, is_unicode) in [
        ("LANG", "C", false),
        ("LANG", "de_DE.ISO-8859-1", false),
        ("LC_CTYPE", "en_US.UTF-8", true),
        ("LC_ALL", "C", false),
        ("LC_ALL", "C.utf8", true),
        ("LC_ALL", "", true),
    ] {
        world.set(name, value);
        let shown = world.run(&["status"]).exits(3).stdout;
        assert_eq!(
            shown.contains("  ✓ fresh         5h"),
            is_unicode,
            "{shown}"
        );
        assert_eq!(shown.is_ascii(), !is_unicode, "{name}={value}\n{shown}");
        for line in [
            "  ok fresh         5h",
            "  !  due",
            "  x  expired",
            "  -  unused",
        ] {
            assert_eq!(shown.contains(line), !is_unicode, "{name}={value}\n{shown}");
        }
    }
}

#[test]
fn a_code_is_shown_to_any_terminal() {
    if !can_interrupt("a_code_is_shown_to_any_terminal") {
        return;
    }
    let center = center();
    for (locale, columns, shown) in [
        ("C", 80, "  | Waiting for you, 9:59 left, Ctrl-C cancels"),
        ("C", 40, "  | Waiting for you, 9:59 left"),
        ("C.UTF-8", 40, "  ⠋ Waiting for you · 9:59 left"),
        ("C.UTF-8", 24, "  ⠋ Waiting for you"),
    ] {
        let mut world = World::with(&center);
        world.sessions(&["work"]);
        world.set("LC_ALL", locale);
        let command = world.command(&["login", "--device-code", "--no-browser"]);
        let Some(mut terminal) =
            Terminal::start(&command, columns, "a_code_is_shown_to_any_terminal")
        else {
            return;
        };
        terminal.type_until("", "Waiting for you");
        // Some frames later, so that there is one after another.
        std::thread::sleep(Duration::from_millis(400));
        terminal.type_until("\u{3}", "^C");
        let screen = terminal.end();
        let shown = shown.replace("9:59", "");
        let (before, after) = shown.split_once(" left").unwrap_or((&shown, ""));
        let frames: Vec<&str> = screen.split("\r\u{1b}[2K").skip(1).collect();
        assert!(frames.len() > 1, "{screen:?}");
        assert!(
            frames[0].starts_with(before) && frames[0].ends_with(after),
            "{screen:?}"
        );
        for frame in frames {
            assert!(
                frame.trim_end_matches("^C").width() < columns.into(),
                "{frame:?}"
            );
        }
        assert_eq!(screen.is_ascii(), locale == "C", "{screen:?}");
        assert!(screen.contains("Enter this code"), "{screen:?}");
    }
}

/// Three due sessions at a server that takes its time.
fn slow_world(center: &crate::identity_center::IdentityCenter) -> World {
    let mut world = World::with(center);
    world.set("LC_ALL", "C.UTF-8");
    world.set("NO_COLOR", "1");
    let names = ["one", "two", "three"];
    world.sessions(&names);
    for name in names {
        world.sign_in(center, name, 5);
    }
    center.fault_next(2, Fault::Delay(Duration::from_millis(1500)));
    world
}

#[test]
fn a_refresh_that_takes_a_while_shows_how_far_it_is() {
    let center = center();
    let world = slow_world(&center);
    let Some(screen) = screen(&world, 80, &["refresh"]) else {
        return;
    };
    let (line, result) = screen.rsplit_once("\r\u{1b}[2K").expect("a line was drawn");
    let first = line.starts_with("\r\u{1b}[2K  ⠋ Refreshing 3 sessions · ");
    assert!(first && line.contains(" · 0s\r"), "{screen:?}");
    assert!(
        line.contains(" Refreshing 3 sessions · 1 done · 1s"),
        "{screen:?}"
    );
    assert!(line.lines().count() == 1, "{screen:?}");
    // Taken away before the result, and the result is whole.
    assert!(result.starts_with("  ✓ one    refreshed: "), "{screen:?}");
    assert_eq!(result.matches("refreshed: ").count(), 3, "{screen:?}");
}

#[test]
fn how_far_a_refresh_is_fits_the_narrowest_terminal() {
    let center = center();
    let world = slow_world(&center);
    let Some(screen) = screen(
        &world,
        30,
        &["refresh", "--session", "one", "--session", "two"],
    ) else {
        return;
    };
    assert!(
        screen.starts_with("\r\u{1b}[2K  ⠋ Refreshing 2 sessions\r"),
        "{screen:?}"
    );
}

#[test]
fn nobody_else_is_shown_how_far_a_refresh_is() {
    let center = center();
    let world = slow_world(&center);
    assert_eq!(world.run(&["refresh"]).exits(0).stderr, "");
    for (arguments, term) in [
        (&["refresh"][..], "dumb"),
        (&["refresh", "--scheduled"], "xterm"),
    ] {
        let mut world = slow_world(&center);
        world.set("TERM", term);
        let Some(screen) = screen(&world, 80, arguments) else {
            return;
        };
        assert!(
            !screen.contains("Refreshing") && !screen.contains('\r'),
            "{screen:?}"
        );
        assert_eq!(
            world.log().matches(" refreshed ").count(),
            3,
            "{}",
            world.log()
        );
    }
}

#[test]
fn a_refresh_that_is_over_at_once_shows_nothing_of_itself() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", 5);
    let Some(screen) = screen(&world, 80, &["refresh"]) else {
        return;
    };
    let log = world.log();
    let (_, took) = log.rsplit_once("ms=").expect("how long it took");
    if took.trim().parse::<u32>().expect("a number") < 500 {
        assert!(!screen.contains("\u{1b}[2K"), "{screen:?}");
    }
}
