//! What the README offers for prompts and status lines, as it stands there, in the real shells and in tmux.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::terminal::Terminal;
use crate::world::{World, in_seconds, is_installed};

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    fs::read_to_string(path).expect("it exists")
}

/// The line of the README for this file.
fn line_for(file: &str) -> String {
    let (readme, mark) = (readme(), format!("# ~/{file}"));
    let line = readme.lines().find(|line| line.ends_with(&mark));
    format!("{}\n", line.expect("it is there"))
}

/// A home with the README's script; its `aws-sso-refresh` counts in `count` how often it is started.
fn world_with_script() -> World {
    let mut world = World::new();
    world.prefer_bin();
    world.set("TERM", "xterm");
    world.set("LC_ALL", "C.UTF-8");
    let (readme, head) = (readme(), "#!/bin/sh\n");
    let (_, script) = readme
        .split_once(&format!("```sh\n{head}"))
        .expect("it is there");
    let (script, _) = script.split_once("```").expect("it ends");
    let path = world.program("sso-prompt", "");
    fs::write(path, format!("{head}{script}")).expect("written");
    let program = crate::world::program();
    world.program(
        "aws-sso-refresh",
        &format!("echo once >> count\nexec '{}' \"$@\"", program.display()),
    );
    world.sessions(&["work", "billing", "unused"]);
    world
}

/// Leaves `seconds` on a token that can be refreshed, or that cannot.
fn leave(world: &World, name: &str, seconds: i64, can_refresh: bool) {
    let rest = match can_refresh {
        true => r#", "refreshToken": "r", "clientId": "c", "clientSecret": "s""#,
        false => "",
    };
    let expires_at = in_seconds(seconds);
    let text = format!(r#"{{"accessToken": "a", "expiresAt": "{expires_at}"{rest}}}"#);
    world.write_token(name, &text);
}

/// What the script says.
fn said(world: &World) -> String {
    let output = world.command_of("sso-prompt".as_ref(), &[]).output();
    let output = output.expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_script_says_what_wants_somebody_and_nothing_else() {
    let world = world_with_script();
    assert_eq!(said(&world), "", "signed out of everything");
    leave(&world, "work", 50 * 60, true);
    leave(&world, "billing", 20 * 60, true);
    assert_eq!(
        said(&world),
        "",
        "one is fresh, one refreshed at the next check"
    );
    leave(&world, "billing", 12 * 60 + 30, true);
    assert_eq!(said(&world), "sso: 12m ");
    leave(&world, "work", 7 * 60 + 30, false);
    assert_eq!(said(&world), "sso: 7m ");
    leave(&world, "work", -60, true);
    assert_eq!(said(&world), "sso: expired ");
    world.write_token("billing", "{");
    assert_eq!(said(&world), "sso: billing is unreadable ");
    leave(&world, "work", -60, false);
    assert_eq!(said(&world), "sso: sign in to work ");
    leave(&world, "work", -30 * 86_400, false);
    fs::remove_file(world.token_path("billing")).expect("it was there");
    assert_eq!(said(&world), "", "nobody has used it for a month");
    fs::remove_file(world.home.join("bin/aws-sso-refresh")).expect("it was there");
    world.program("aws-sso-refresh", "echo broken >&2; exit 1");
    assert_eq!(said(&world), "", "a prompt does not complain");
}

#[test]
fn the_script_starts_the_program_once() {
    let world = world_with_script();
    said(&world);
    assert_eq!(world.wait_for("count"), "once\n");
}

#[test]
fn the_script_runs_with_every_awk() {
    let world = world_with_script();
    leave(&world, "work", -60, false);
    for awk in ["gawk", "mawk", "original-awk", "busybox awk"] {
        let program = awk.split(' ').next().unwrap_or(awk);
        if is_installed(program, "the_script_runs_with_every_awk") {
            world.program("awk", &format!("exec {awk} \"$@\""));
            assert_eq!(said(&world), "sso: sign in to work ", "{awk}");
        }
    }
}

/// Starts `shell`, whose prompt is asked for anew with every line, and tries it in both states.
fn check_shell(shell: &str, arguments: &[&str], file: &str, rc: &str) {
    let mut world = world_with_script();
    let home = world.home.to_string_lossy().into_owned();
    world.set("ZDOTDIR", &home);
    if !is_installed(shell, file) {
        return;
    }
    fs::write(world.home.join(file), format!("{rc}{}", line_for(file))).expect("written");
    leave(&world, "work", -60, false);
    let command = world.command_of(shell.as_ref(), arguments);
    let Some(mut terminal) = Terminal::start(&command, 80, shell) else {
        return;
    };
    terminal.type_until("", "sso: sign in to work");
    leave(&world, "work", 50 * 60, true);
    terminal.type_until("echo $((40+2))\n", "42");
    terminal.type_until("echo $((40+3))\n", "43");
    terminal.type_until("exit\n", "exit");
    let screen = terminal.end();
    let (_, after) = screen.split_once("43").expect("it was echoed");
    assert!(!after.contains("sso: "), "{screen:?}");
}

#[test]
fn bash_has_it_in_its_prompt() {
    check_shell(
        "bash",
        &["--rcfile", ".bashrc", "-i"],
        ".bashrc",
        "PS1='> '\n",
    );
}

#[test]
fn zsh_has_it_in_its_prompt() {
    check_shell("zsh", &["-i"], ".zshrc", "PROMPT='> '\n");
}

/// Ends the tmux of a test, however that ended.
struct Tmux(Command);

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.0.output();
    }
}

#[test]
fn tmux_has_it_in_its_status_line() {
    let world = world_with_script();
    let test = "tmux_has_it_in_its_status_line";
    if !is_installed("tmux", test) {
        return;
    }
    let conf = format!("set -g status-interval 1\n{}", line_for(".tmux.conf"));
    fs::write(world.home.join(".tmux.conf"), conf).expect("written");
    leave(&world, "work", -60, false);
    let tmux = |arguments: &[&str]| {
        let options = ["-S", "socket", "-f", ".tmux.conf"];
        world.command_of("tmux".as_ref(), &[&options, arguments].concat())
    };
    let _ends = Tmux(tmux(&["kill-server"]));
    let command = tmux(&["new-session", "cat"]);
    let Some(mut terminal) = Terminal::start(&command, 80, test) else {
        return;
    };
    terminal.type_until("", "sso: sign in to work");
    leave(&world, "work", 12 * 60 + 30, true);
    terminal.type_until("", "sso: 12m");
}
