//! Help pages, the man page and the completions: compared with golden files, and tried in the real tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::terminal::Terminal;
use crate::world::{World, is_installed, names_in};

/// Compares with `fixtures/help/<name>`; `UPDATE=1` writes it, and `git diff` is the review.
fn check_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/help")
        .join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, text).expect("written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == golden,
        "{name} has changed; UPDATE=1 make test, then look at git diff"
    );
}

/// A home with two sessions and the program in `bin`, which is first on PATH.
fn world_with_bin() -> (World, PathBuf) {
    let world = World::new();
    world.sessions(&["work", "'my sso'"]);
    let bin = world.home.join("bin");
    fs::create_dir(&bin).expect("made");
    std::os::unix::fs::symlink(
        env!("CARGO_BIN_EXE_aws-sso-refresh"),
        bin.join("aws-sso-refresh"),
    )
    .expect("linked");
    (world, bin)
}

fn path_with(bin: &Path) -> String {
    format!(
        "{}:{}",
        bin.display(),
        std::env::var("PATH").unwrap_or_default()
    )
}

#[test]
fn help_reads_as_a_page() {
    let world = World::new();
    check_golden("help.txt", &world.run(&["help"]).exits(0).stdout);
    for command in [
        "refresh",
        "status",
        "login",
        "logout",
        "install",
        "uninstall",
        "logs",
        "doctor",
        "generate",
    ] {
        check_golden(
            &format!("help-{command}.txt"),
            &world.run(&["help", command]).exits(0).stdout,
        );
        assert_eq!(
            world.run(&["help", command]).stdout,
            world.run(&[command, "--help"]).stdout
        );
    }
}

#[test]
fn the_man_page_is_clean_to_its_linter() {
    let world = World::new();
    let page = world.run(&["generate", "man"]).exits(0).stdout;
    if !is_installed("mandoc", "the_man_page_is_clean_to_its_linter") {
        return;
    }
    let path = world.home.join("aws-sso-refresh.1");
    fs::write(&path, page).expect("written");
    let lint = Command::new("mandoc")
        .args(["-T", "lint", "-W", "warning"])
        .arg(&path)
        .output()
        .expect("mandoc runs");
    assert_eq!(String::from_utf8_lossy(&lint.stdout), "");
    let shown = Command::new("mandoc")
        .args(["-T", "utf8"])
        .arg(&path)
        .output()
        .expect("mandoc runs");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("keep every AWS SSO session fresh"));
}

#[test]
fn make_install_puts_everything_in_its_place_in_one_step() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let world = World::new();
    if !is_installed(
        "make",
        "make_install_puts_everything_in_its_place_in_one_step",
    ) {
        return;
    }
    // What `make build` would have built.
    let target = world.home.join("target");
    fs::create_dir_all(target.join("release")).expect("made");
    let built = target.join("release/aws-sso-refresh");
    fs::copy(crate::world::program(), built).expect("copied");
    let install = |words: &[&str]| {
        let mut make = world.command_of("make".as_ref(), &["--silent", "--old-file=build"]);
        make.arg("install").args(words);
        make.env("CARGO_TARGET_DIR", &target);
        make.current_dir(env!("CARGO_MANIFEST_DIR"));
        let made = make.output().expect("make runs");
        assert!(made.status.success() && made.stderr.is_empty(), "{made:?}");
    };
    let staged = world.home.join("with a blank");
    let destination = format!("DESTDIR={}", staged.display());
    for (words, place) in [
        (
            &[destination.as_str(), "PREFIX=/usr"][..],
            staged.join("usr"),
        ),
        (&[], world.home.join(".local")),
    ] {
        install(words);
        for (path, mode, source) in [
            ("bin/aws-sso-refresh", 0o755, "--version"),
            ("share/man/man1/aws-sso-refresh.1", 0o644, "man"),
            (
                "share/bash-completion/completions/aws-sso-refresh",
                0o644,
                "bash",
            ),
            ("share/zsh/site-functions/_aws-sso-refresh", 0o644, "zsh"),
            (
                "share/fish/vendor_completions.d/aws-sso-refresh.fish",
                0o644,
                "fish",
            ),
        ] {
            let file = place.join(path);
            let found = fs::metadata(&file).expect(path);
            assert_eq!(found.permissions().mode() & 0o777, mode, "{path}");
            if mode == 0o644 {
                let text = fs::read_to_string(&file).expect("text");
                assert_eq!(text, world.run(&["generate", source]).stdout, "{path}");
            }
        }
        let program = place.join("bin/aws-sso-refresh");
        let version = Command::new(&program).arg("--version").output();
        assert!(version.expect("it runs").status.success());
        // Whoever runs the old program goes on with it.
        let old = fs::metadata(&program).expect("it is there").ino();
        install(words);
        assert_ne!(fs::metadata(&program).expect("it is there").ino(), old);
        assert_eq!(names_in(&place.join("bin")), ["aws-sso-refresh"]);
    }
}

#[test]
fn what_cannot_be_generated_is_said() {
    World::new()
        .run(&["generate", "zhs"])
        .exits(2)
        .complains("did you mean `aws-sso-refresh generate zsh`?");
    World::new()
        .run(&["generate"])
        .exits(2)
        .complains("generate needs man|bash|zsh|fish");
}

#[test]
fn bash_completes_commands_flags_and_sessions() {
    let (world, bin) = world_with_bin();
    let script = world.run(&["generate", "bash"]).exits(0).stdout;
    let file = world.home.join("completion.bash");
    fs::write(&file, &script).expect("written");
    if is_installed(
        "shellcheck",
        "bash_completes_commands_flags_and_sessions (its lint)",
    ) {
        let lint = Command::new("shellcheck")
            .args(["-s", "bash"])
            .arg(&file)
            .output()
            .expect("shellcheck runs");
        assert_eq!(String::from_utf8_lossy(&lint.stdout), "");
    }
    let complete = |words: &[&str]| {
        let count = words.len() - 1;
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let code = format!(
            "source '{}'; COMP_WORDS=({}); COMP_CWORD={count}; _aws_sso_refresh; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display(),
            quoted.join(" ")
        );
        let output = Command::new("bash")
            .args(["--norc", "-c", &code])
            .env("HOME", &world.home)
            .env("PATH", path_with(&bin))
            .output()
            .expect("bash runs");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_string()
    };
    assert_eq!(complete(&["aws-sso-refresh", "sta"]), "status");
    assert_eq!(complete(&["aws-sso-refresh", "refresh", "--fo"]), "--force");
    assert_eq!(complete(&["aws-sso-refresh", "--dry"]), "--dry-run");
    assert_eq!(
        complete(&["aws-sso-refresh", "refresh", "--session", "w"]),
        "work"
    );
    assert_eq!(
        complete(&["aws-sso-refresh", "refresh", "--session", ""]),
        "work\nmy\\ sso"
    );
    assert_eq!(complete(&["aws-sso-refresh", "generate", "z"]), "zsh");
    assert_eq!(
        complete(&["aws-sso-refresh", "help", "lo"]),
        "login\nlogout\nlogs"
    );
}

#[test]
fn fish_completes_commands_flags_and_sessions() {
    let (world, bin) = world_with_bin();
    let script = world.run(&["generate", "fish"]).exits(0).stdout;
    if !is_installed("fish", "fish_completes_commands_flags_and_sessions") {
        return;
    }
    let file = world.home.join("completion.fish");
    fs::write(&file, script).expect("written");
    let complete = |line: &str| {
        let code = format!("source '{}'; complete -C '{line}'", file.display());
        let output = Command::new("fish")
            .args(["--no-config", "-c", &code])
            .env("HOME", &world.home)
            .env("PATH", path_with(&bin))
            .output()
            .expect("fish runs");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .map(|line| line.split('\t').next().unwrap_or_default().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(complete("aws-sso-refresh stat"), ["status"]);
    assert_eq!(complete("aws-sso-refresh refresh --fo"), ["--force"]);
    assert_eq!(
        complete("aws-sso-refresh refresh --session "),
        ["my sso", "work"]
    );
    assert_eq!(complete("aws-sso-refresh generate z"), ["zsh"]);
}

/// A real interactive zsh in a terminal, as a person has it: what is on the screen after the tab key.
#[test]
fn zsh_completes_commands_flags_and_sessions() {
    let (world, bin) = world_with_bin();
    let script = world.run(&["generate", "zsh"]).exits(0).stdout;
    let test = "zsh_completes_commands_flags_and_sessions";
    if !is_installed("zsh", test) || !is_installed("python3", test) {
        return;
    }
    let functions = world.home.join("functions");
    fs::create_dir(&functions).expect("made");
    fs::write(functions.join("_aws-sso-refresh"), script).expect("written");
    let rc = format!(
        "fpath=('{}' $fpath); autoload -Uz compinit; compinit -u -D; PROMPT='> '\n",
        functions.display()
    );
    fs::write(world.home.join(".zshrc"), rc).expect("written");
    let mut zsh = Command::new("zsh");
    zsh.arg("-i")
        .env("HOME", &world.home)
        .env("ZDOTDIR", &world.home)
        .env("TERM", "xterm")
        .env("PATH", path_with(&bin));
    let mut shell = Terminal::start(&zsh, 80, test).expect("python3 is there");
    let mut wait_for = |typed: &str, expected: &str| shell.type_until(typed, expected);
    wait_for("echo ready$((1+1))\n", "ready2");
    wait_for("aws-sso-refresh stat\t", "status");
    wait_for("\u{15}aws-sso-refresh refresh --fo\t", "--force");
    wait_for("\u{15}aws-sso-refresh refresh --session w\t", "work");
    wait_for("\u{15}aws-sso-refresh generate zs\t", "zsh");
}
