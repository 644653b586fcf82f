//! What holds for every file of the project: the arrows of its design, its comments, its words.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every tracked file below `folder`, with its text where it has one.
fn files_below(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                let is_made = [
                    "target",
                    "dist",
                    ".git",
                    "node_modules",
                    "__pycache__",
                    "mutants.out",
                ];
                if !is_made.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name != ".git" // a file where this is a worktree
                && let Ok(text) = fs::read_to_string(&path)
            {
                let path = path
                    .strip_prefix(root())
                    .expect("below the root")
                    .to_path_buf();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    let of = |folder| {
        files_below(folder)
            .into_iter()
            .filter(|(path, _)| path.extension().is_some_and(|e| e == "rs"))
    };
    of("src").chain(of("tests")).collect()
}

/// The modules that a source file names with `crate::`, by their first word.
fn modules_used(text: &str) -> Vec<&str> {
    text.match_indices("crate::")
        .map(|(at, prefix)| {
            let rest = &text[at + prefix.len()..];
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            &rest[..end]
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let allowed = |layer: &str| -> &[&str] {
        match layer {
            "format" => &["format"],
            "sso" => &["sso", "format", "error"],
            "schedule" => &["schedule", "format", "error"],
            "system" => &["system", "format", "error"],
            "commands" => &[
                "commands", "sso", "schedule", "system", "format", "error", "cli", "help",
            ],
            "artifacts.rs" | "cli.rs" | "help.rs" => &["cli", "help", "format", "error"],
            "error.rs" => &["format"],
            "main.rs" => &[
                "cli", "commands", "error", "format", "help", "schedule", "sso", "system",
            ],
            other => panic!("src/{other} has no place in the design"),
        }
    };
    for (path, text) in files_below("src") {
        let layer = path
            .components()
            .nth(1)
            .expect("below src")
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        for module in modules_used(&text) {
            assert!(
                allowed(&layer).contains(&module),
                "{} uses {module}",
                path.display()
            );
        }
    }
}

#[test]
fn pure_code_has_no_effects() {
    for (path, text) in files_below("src") {
        let is_pure = ["src/format", "src/sso", "src/schedule"]
            .iter()
            .any(|pure| path.starts_with(pure));
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for effect in [
            "std::fs",
            "std::net::Tcp",
            "std::process",
            "std::env",
            "std::thread",
            "SystemTime::now",
            "println!",
        ] {
            assert!(
                !is_pure || !code.contains(effect),
                "{} uses {effect}",
                path.display()
            );
        }
    }
}

#[test]
fn every_source_file_says_in_its_first_line_what_it_is_for() {
    for (path, text) in sources() {
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//! ") && first.len() > 30,
            "{}: {first}",
            path.display()
        );
    }
}

#[test]
fn secrets_are_exposed_only_where_they_are_sent_or_stored() {
    let allowed = [
        "src/format/http.rs",
        "src/format/proxy.rs",
        "src/sso/oidc.rs",
        "src/sso/registration.rs",
        "src/sso/token.rs",
        "src/system/https.rs",
        "src/commands/sign_in.rs",
    ];
    for (path, text) in files_below("src") {
        let is_allowed = allowed.iter().any(|file| path == Path::new(file));
        assert!(
            is_allowed || !text.contains(".expose()"),
            "{} exposes a secret",
            path.display()
        );
    }
}

#[test]
fn nothing_is_left_half_done() {
    let marks = [
        "TO".to_string() + "DO",
        "FIX".to_string() + "ME",
        "XX".to_string() + "X:",
        "todo".to_string() + "!(",
    ];
    for (path, text) in files_below(".") {
        for mark in &marks {
            assert!(
                !text.contains(mark.as_str()),
                "{} holds {mark}",
                path.display()
            );
        }
        let has_machine_path = ["/wo".to_string() + "rk/", "/ro".to_string() + "ot/"];
        for machine in &has_machine_path {
            assert!(
                !text.contains(machine.as_str()),
                "{} holds a path of one machine",
                path.display()
            );
        }
    }
}

#[test]
fn the_top_level_holds_nothing_without_a_reason() {
    let expected = [
        ".ci",
        ".git",
        ".github",
        ".gitignore",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "Makefile",
        "README.md",
        "dist",
        "fixtures",
        "install.sh",
        "mutants.out",
        "src",
        "target",
        "tests",
    ];
    for entry in fs::read_dir(root())
        .expect("the root can be listed")
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(expected.contains(&name.as_str()), "{name} at the top level");
    }
}

#[test]
fn every_dependency_has_its_reason_in_the_readme() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("it exists");
    let readme = fs::read_to_string(root().join("README.md")).expect("it exists");
    let section = manifest
        .split("[dependencies]")
        .nth(1)
        .expect("there is one")
        .split("\n[")
        .next()
        .unwrap_or_default();
    for line in section.lines().filter(|line| line.contains(" = ")) {
        let name = line.split(" = ").next().unwrap_or_default();
        assert!(
            readme.contains(&format!("| {name} |")),
            "the README gives no reason for {name}"
        );
    }
}
