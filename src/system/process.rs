//! Outside commands: a list of arguments, never a shell, and an end that comes in any case.
//!
//! A user manager that died while its bus lives makes `systemctl` wait for two minutes, and `notify-send` may wait for
//! a daemon that never comes: whoever does not answer in time is killed.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::system::background::{self, Pending};
use crate::system::files;

/// Looked in after `PATH`: launchd gives a job little of one.
const FOLDERS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// What is kept of each stream. Bytes; far above any answer that is read. The registry of a Mac counts every class of its
/// kernel beside what is asked for.
const OUTPUT_MAX: u64 = 1024 * 1024;

/// How often a process is looked for that may have ended with its output still held open.
const PAUSE: Duration = Duration::from_millis(10);

/// How long after its end the output of a command is waited for, where something it started holds it open.
const GRACE: Duration = Duration::from_secs(1);

/// How an outside command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit status; 128 and the signal's number for one that was killed by others.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// How long an outside command may take at most, and everything that is waited for by asking one again and again.
pub fn patience() -> Duration {
    /// 15 s are far above any answer of a system that is well.
    const USUAL: Duration = Duration::from_secs(15);
    #[cfg(debug_assertions)]
    if let Some(text) = std::env::var_os("AWS_SSO_REFRESH_PATIENCE_MS")
        && let Some(Ok(patience)) = text.to_str().map(str::parse)
    {
        return Duration::from_millis(patience); // tests that make a command hang are not to take as long
    }
    USUAL
}

/// Runs `argv` with `variables` beside its own environment, for at most `limit`.
///
/// # Errors
/// There is no such program, it cannot be started, or it took too long and was killed.
pub fn run(
    argv: &[String],
    variables: &[(&str, OsString)],
    limit: Duration,
) -> Result<Ended, Error> {
    // Named up to the first flag: what follows is noise, or text for a person.
    let words = argv.iter().take_while(|word| !word.starts_with('-'));
    let cannot = |why: &str| {
        let shown: Vec<&str> = words.clone().map(String::as_str).collect();
        Error::new(format!("cannot run {}", shown.join(" ")), why)
    };
    let Some((name, arguments)) = argv.split_first() else {
        return Err(cannot("there is nothing to run"));
    };
    let Some(program) = find(name) else {
        return Err(cannot(&format!("there is no {name} on PATH")));
    };
    let deadline = Instant::now() + limit.min(patience());
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot(&files::why(&error)))?;
    let streams = [
        child.stdout.take().map(|stream| capture(Box::new(stream))),
        child.stderr.take().map(|stream| capture(Box::new(stream))),
    ];
    let status = loop {
        if let Some(status) = child
            .try_wait()
            .map_err(|error| cannot(&files::why(&error)))?
        {
            break status;
        }
        if Instant::now() >= deadline {
            end(&mut child);
            let tenths = limit.min(patience()).as_millis() / 100;
            let (seconds, tenth) = (tenths / 10, tenths % 10);
            return Err(cannot(&match tenth {
                0 => format!("it gave no answer within {seconds} s"),
                _ => format!("it gave no answer within {seconds}.{tenth} s"),
            }));
        }
        // Its output ends with it, as a rule: whichever comes first is worth a look.
        if let Some(Ok(stdout)) = &streams[0] {
            stdout.rest(PAUSE);
        } else {
            std::thread::sleep(PAUSE);
        }
    };
    // What it wrote is in the pipes, and its readers need a moment; only what it left running keeps them open for longer.
    let grace = Instant::now() + GRACE;
    let [stdout, stderr] = streams.map(|stream| match stream {
        Some(Ok(stream)) => stream.wait(grace).unwrap_or_default(),
        _ => String::new(),
    });
    let status = code(status);
    Ok(Ended {
        status,
        stdout,
        stderr,
    })
}

/// Starts `argv` in a process group of its own, with nothing to read and nobody to write to, and leaves it.
///
/// # Errors
/// It cannot be started.
pub fn detach(argv: &[String]) -> Result<(), Error> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Error::new("cannot start a program", "there is none"));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    match command.spawn() {
        Ok(_) => Ok(()),
        Err(error) => Err(files::cannot("start", Path::new(program), &error)),
    }
}

/// The program of that name: on `PATH`, relative folders in it aside, then in the usual folders.
pub fn find(name: &str) -> Option<PathBuf> {
    let mut folders = folders_of_path()
        .into_iter()
        .chain(FOLDERS.map(PathBuf::from));
    folders.find_map(|folder| {
        let program = folder.join(name);
        is_program(&program).then_some(program)
    })
}

/// Those of `PATH`; relative ones mean something else in every folder, and are left out.
pub fn folders_of_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.retain(|folder| folder.is_absolute());
    folders
}

/// A regular file that somebody may execute.
pub fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn capture(mut stream: Box<dyn Read + Send>) -> io::Result<Pending<String>> {
    background::begin(move || {
        let mut bytes = Vec::new();
        let _ = (&mut stream).take(OUTPUT_MAX).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if bytes.len() as u64 == OUTPUT_MAX {
            let _ = io::copy(&mut stream, &mut io::sink()); // a full pipe would stop it
        }
        text
    })
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Ended, Error> {
        let argv = ["sh", "-c", script].map(str::to_string);
        run(&argv, &[("X", "y".into())], limit)
    }

    fn check(script: &str, status: i32, stdout: &str, stderr: &str) {
        let ended = sh(script, patience()).expect("it ends");
        assert_eq!(
            (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
            (status, stdout, stderr),
            "{script}"
        );
    }

    #[test]
    fn status_and_output_are_told() {
        check("echo out; echo err >&2; exit 113", 113, "out\n", "err\n");
        check("kill -9 $$", 137, "", "");
        check("printf '%s' \"$X$LC_ALL\"", 0, "yC", "");
        check("cat", 0, "", "");
    }

    #[test]
    fn output_is_bounded_and_does_not_stop_the_command() {
        let ended = sh("head -c 3000000 /dev/zero", patience()).expect("it ends");
        assert_eq!((ended.status, ended.stdout.len() as u64), (0, OUTPUT_MAX));
    }

    #[test]
    fn whoever_does_not_answer_is_killed() {
        let started = Instant::now();
        let told = sh("exec sleep 60", Duration::from_millis(100)).expect_err("too slow");
        assert_eq!(told.line(), "cannot run sh: it gave no answer within 0.1 s");
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn what_it_leaves_running_holds_nobody() {
        let started = Instant::now();
        check("sleep 30 & echo done", 0, "", "");
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let told = run(&["no-such-program".to_string()], &[], patience()).expect_err("missing");
        assert_eq!(
            told.line(),
            "cannot run no-such-program: there is no no-such-program on PATH"
        );
        assert!(find("sh").is_some());
    }
}
