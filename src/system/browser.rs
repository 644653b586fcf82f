//! Opening a page in a person's browser, and whether there is a browser to open.
//!
//! `$BROWSER` comes first, then what the desktop offers. A command that ends well, or that goes on running because it
//! is the browser itself, has opened the page; one that fails gives way to the next. Nobody waits for it: whoever asked
//! goes on listening for the answer and looks at the outcome now and then.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::format::ini;
use crate::system::background::{self, Pending};
use crate::system::env::{self, Env};
use crate::system::process;

/// A command that runs for so long without failing is the browser itself, or has one to start.
const PATIENCE: Duration = Duration::from_secs(10);

const LOOK: Duration = Duration::from_millis(50);

/// Whether a page opened here would show on a screen that the person looks at, on this very machine: not over SSH,
/// and with a desktop or a browser of the person's choice.
pub fn is_here(env: &Env) -> bool {
    is_chosen(env) && !is_remote(env) || has_desktop(env)
}

/// Whether there is anything to open a page with. Over SSH only the person's own choice leads to where they sit.
pub fn can_open(env: &Env) -> bool {
    is_chosen(env) || has_desktop(env)
}

fn is_chosen(env: &Env) -> bool {
    env.get(env::BROWSER).is_some()
}

fn is_remote(env: &Env) -> bool {
    ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"]
        .iter()
        .any(|name| env.get(name).is_some())
}

fn has_desktop(env: &Env) -> bool {
    // The desktop of Windows shows the pages of WSL, which has no display of its own everywhere.
    let signs = ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"];
    let has_sign = signs.iter().any(|name| env.get(name).is_some());
    !is_remote(env) && (env::is_mac() || has_sign)
}

/// Begins to open `url`; the outcome arrives later, an error being the reason in a few words.
pub fn open(env: &Env, url: &str) -> io::Result<Pending<Result<(), String>>> {
    let chosen = env.get(env::BROWSER);
    let usual: &[&str] = match (has_desktop(env), env::is_mac()) {
        (false, _) => &[],
        (true, true) => &["open"],
        (true, false) => &["wslview", "xdg-open"],
    };
    let commands = commands(chosen.as_deref(), usual, url);
    background::begin(move || {
        let mut why = "there is no program to open one with".to_string();
        for argv in commands {
            match try_one(&argv) {
                Ok(()) => return Ok(()),
                Err(Some(failed)) => why = failed,
                Err(None) => {}
            }
        }
        Err(why)
    })
}

/// The commands to try, in order: those of `$BROWSER`, separated by colons, with the URL for `%s` or at the end, and
/// then the desktop's own.
fn commands(chosen: Option<&str>, usual: &[&str], url: &str) -> Vec<Vec<String>> {
    let chosen = chosen.unwrap_or_default().split(':').filter_map(|command| {
        let words = ini::split_shell(command).filter(|words| !words.is_empty())?;
        let has_place = words.iter().any(|word| word.contains("%s"));
        let mut argv: Vec<String> = words.iter().map(|word| word.replace("%s", url)).collect();
        if !has_place {
            argv.push(url.to_string());
        }
        Some(argv)
    });
    let usual = usual
        .iter()
        .map(|program| vec![(*program).to_string(), url.to_string()]);
    chosen.chain(usual).collect()
}

/// `None`: there is no such program.
fn try_one(argv: &[String]) -> Result<(), Option<String>> {
    let program = match argv[0].contains('/') {
        true => argv[0].clone().into(),
        false => process::find(&argv[0]).ok_or(None)?,
    };
    let failed = |why: String| Some(format!("{}: {why}", argv[0]));
    let mut command = Command::new(program);
    command
        .args(&argv[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Ctrl-C at the terminal is for this program and not for the browser.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command
        .spawn()
        .map_err(|error| failed(crate::system::files::why(&error)))?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(LOOK),
            Ok(Some(status)) if status.success() => break,
            Ok(Some(status)) => return Err(failed(status.to_string())),
            Err(error) => return Err(failed(crate::system::files::why(&error))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_persons_own_choice_comes_first() {
        let check = |chosen: Option<&str>, usual: &[&str], expected: &[&[&str]]| {
            assert_eq!(commands(chosen, usual, "https://u"), expected);
        };
        let usual = ["wslview", "xdg-open"];
        check(None, &[], &[]);
        check(
            None,
            &usual,
            &[&["wslview", "https://u"], &["xdg-open", "https://u"]],
        );
        check(
            Some("firefox:'my browser' --new %s -x::"),
            &usual[1..],
            &[
                &["firefox", "https://u"],
                &["my browser", "--new", "https://u", "-x"],
                &["xdg-open", "https://u"],
            ],
        );
    }

    #[test]
    fn a_command_that_fails_is_told_from_one_that_is_not_there() {
        let of = |words: &[&str]| {
            let argv: Vec<String> = words.iter().map(ToString::to_string).collect();
            try_one(&argv)
        };
        assert_eq!(of(&["true"]), Ok(()));
        assert_eq!(of(&["no-such-browser"]), Err(None));
        assert_eq!(
            of(&["false"]),
            Err(Some("false: exit status: 1".to_string()))
        );
        assert_eq!(
            of(&["/no/such/browser"]),
            Err(Some(
                "/no/such/browser: no such file or directory".to_string()
            ))
        );
    }
}
