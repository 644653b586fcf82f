//! The path under which the job finds this program after the next upgrade.
//!
//! A path with a version in it dies with that version, silently. So a link that people keep (`~/.local/bin`, Homebrew's
//! `opt`, a profile of Nix) is worth more than the file it leads to today.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::Error;
use crate::format::text::clean;
use crate::system::env::Env;
use crate::system::process;

pub const NAME: &str = "aws-sso-refresh";

/// Folders that are emptied; macOS has them under `/private` as well, and a home may lie in any of them.
const TEMPORARY: [&str; 5] = ["/tmp", "/var/tmp", "/var/folders", "/dev/shm", "/run/user"];

/// # Errors
/// This program's own file cannot be found any more.
pub fn stable(env: &Env) -> Result<PathBuf, Error> {
    let real = std::env::current_exe().and_then(fs::canonicalize);
    let real = real.map_err(|error| {
        Error::new(
            "cannot find this program's own file",
            crate::system::files::why(&error),
        )
        .hint("it may just have been replaced: run the new one")
    })?;
    let folders = process::folders_of_path();
    let leads_here = |path: &Path| fs::canonicalize(path).is_ok_and(|found| found == real);
    Ok(choose(&real, &env.home, &folders, leads_here))
}

/// The best of the paths that lead to `real`.
fn choose(
    real: &Path,
    home: &Path,
    folders: &[PathBuf],
    leads_here: impl Fn(&Path) -> bool,
) -> PathBuf {
    let kept = homebrew(real)
        .into_iter()
        .chain([home.join(".local/bin").join(NAME)])
        .chain(folders.iter().map(|folder| folder.join(NAME)));
    kept.into_iter()
        .filter(|path| path.is_absolute() && why_fleeting(path, home).is_none())
        .find(|path| leads_here(path))
        .unwrap_or_else(|| real.to_path_buf())
}

/// `PREFIX/Cellar/NAME/VERSION/bin/EXE` is `PREFIX/opt/NAME/bin/EXE` as well, and the latter survives `brew upgrade`.
fn homebrew(real: &Path) -> Option<PathBuf> {
    let (prefix, kegs) = real.to_str()?.split_once("/Cellar/")?;
    let (name, rest) = kegs.split_once('/')?;
    let (_version, rest) = rest.split_once('/')?;
    Some(PathBuf::from(format!("{prefix}/opt/{name}/{rest}")))
}

/// # Errors
/// The program at `path` will not stay there.
pub fn check(path: &Path, home: &Path) -> Result<(), Error> {
    // A link that is kept may lead into a Cellar, but neither into a build nor to a download.
    let why = why_fleeting(path, home).or_else(|| {
        let (real, home) = (fs::canonicalize(path).ok()?, fs::canonicalize(home).ok()?);
        why_fleeting(&real, &home).filter(|_| real == path || homebrew(&real).is_none())
    });
    let Some(why) = why else { return Ok(()) };
    let cannot = format!("cannot install {}", clean(&path.to_string_lossy()));
    Err(Error::new(cannot, why).hint(format!(
        "copy it to ~/.local/bin/{NAME} and run `install` with that copy"
    )))
}

/// Why the job would lose a program at `path` one day.
fn why_fleeting(path: &Path, home: &Path) -> Option<&'static str> {
    let names: Vec<&str> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let is_build = names.iter().enumerate().any(|(i, name)| {
        let below = names.iter().skip(i + 1).take(2);
        *name == "target"
            && below
                .into_iter()
                .any(|name| matches!(*name, "debug" | "release"))
    });
    let unprefixed = path
        .strip_prefix("/private")
        .map_or(path.to_path_buf(), |rest| Path::new("/").join(rest));
    if names.contains(&"AppTranslocation") {
        Some(
            "macOS has moved it to a random place for this one run; take it out of the quarantine first",
        )
    } else if names.contains(&"Cellar") {
        Some(
            "Homebrew removes this version with the next upgrade, and there is no link to it in opt",
        )
    } else if is_build {
        Some("it is cargo's build, which `cargo clean` removes")
    } else if !path.starts_with(home)
        && TEMPORARY
            .iter()
            .any(|folder| unprefixed.starts_with(folder))
    {
        Some("it is in a folder for temporary files")
    } else {
        None
    }
}

/// What `install` should warn of, though the path may be used.
pub fn warning(path: &Path) -> Option<&'static str> {
    let is_nix = path.starts_with("/nix/store") || path.starts_with("/gnu/store");
    is_nix.then_some(
        "the program is in a store that is collected one day; run install again after each upgrade",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_people_keep_is_chosen() {
        let check = |real: &str, links: &[&str], expected: &str| {
            let leads_here = |path: &Path| {
                path == Path::new(real) || links.iter().any(|link| path == Path::new(link))
            };
            let folders =
                ["relative", "/tmp/x", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
            let chosen = choose(
                Path::new(real),
                Path::new("/home/ada"),
                &folders,
                leads_here,
            );
            assert_eq!(chosen, Path::new(expected), "{real} {links:?}");
        };
        let keg = "/opt/homebrew/Cellar/aws-sso-refresh/2.0.0/bin/aws-sso-refresh";
        let opt = "/opt/homebrew/opt/aws-sso-refresh/bin/aws-sso-refresh";
        let local = "/home/ada/.local/bin/aws-sso-refresh";
        let usr = "/usr/local/bin/aws-sso-refresh";
        check(keg, &[opt, local], opt);
        check(
            keg,
            &["/opt/homebrew/bin/aws-sso-refresh"],
            "/opt/homebrew/bin/aws-sso-refresh",
        );
        check(keg, &[], keg);
        check("/home/ada/tools/v2/aws-sso-refresh", &[local, usr], local);
        check("/nix/store/x/bin/aws-sso-refresh", &[usr], usr);
        check(
            "/srv/a",
            &["/tmp/x/aws-sso-refresh", "relative/aws-sso-refresh"],
            "/srv/a",
        );
        check(usr, &[], usr);
    }

    #[test]
    fn a_path_that_goes_away_is_refused() {
        let check = |path: &str, home: &str, expected: Option<&str>| {
            let why = why_fleeting(Path::new(path), Path::new(home));
            assert!(
                why.is_some() == expected.is_some()
                    && why.unwrap_or("").contains(expected.unwrap_or("")),
                "{path}: {why:?}"
            );
        };
        check("/home/ada/.local/bin/x", "/home/ada", None);
        check("/tmp/home/.local/bin/x", "/tmp/home", None);
        check("/home/ada/target/x", "/home/ada", None);
        check("/opt/release/x", "/home/ada", None);
        check("/tmp/x", "/home/ada", Some("temporary"));
        check("/private/tmp/x", "/Users/ada", Some("temporary"));
        check("/private/var/folders/ab/x", "/Users/ada", Some("temporary"));
        check("/home/ada/src/target/debug/x", "/home/ada", Some("cargo"));
        check(
            "/a/target/x86_64-unknown-linux-musl/release/x",
            "/b",
            Some("cargo"),
        );
        check(
            "/opt/homebrew/Cellar/a/1/bin/x",
            "/Users/ada",
            Some("Homebrew"),
        );
        check(
            "/private/var/folders/a/AppTranslocation/b/x",
            "/Users/ada",
            Some("random"),
        );
    }
}
