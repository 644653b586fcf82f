//! The log: one line per thing that happened, turned over at 1 MiB, with one old file kept.
//!
//! Lines are appended with a single write each, so that several processes may write at once. Nothing secret is ever
//! passed in here.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::format::time::Timestamp;
use crate::system::files;
use crate::system::step::{step, write_all};

/// When the log is turned over. Bytes.
const SIZE_MAX: u64 = 1024 * 1024;

/// How much of the log's end is searched for the last run. Bytes; a line has about a hundred.
const TAIL: u64 = 64 * 1024;

/// How often a followed log is looked at.
const FOLLOW_PAUSE: Duration = Duration::from_millis(200);

/// How long the turning over waits for another process that is at it.
const TURN_OVER_WAIT: Duration = Duration::from_millis(500);

/// The log in a data folder.
#[derive(Debug, Clone)]
pub struct Journal {
    folder: PathBuf,
}

impl Journal {
    pub fn new(data_folder: &Path) -> Journal {
        Journal {
            folder: data_folder.to_path_buf(),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.join("refresh.log")
    }

    fn old_path(&self) -> PathBuf {
        self.folder.join("refresh.log.1")
    }

    /// Appends `at line`.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn append(&self, at: Timestamp, line: &str) -> Result<(), Error> {
        files::make_private_folder(&self.folder)?;
        let text = format!("{at} {line}\n");
        self.open_for(text.len())
            .and_then(|file| write_all("log", file, text.as_bytes()))
            .map_err(|error| files::cannot("write", &self.path(), &error))
    }

    /// The log, turned over where `more` bytes would make it too large.
    fn open_for(&self, more: usize) -> io::Result<File> {
        let open = || files::open_to_append(&self.path());
        let is_full = |length: u64| length + more as u64 > SIZE_MAX;
        let (file, length) = open()?;
        if !is_full(length) {
            return Ok(file);
        }
        // Two processes must not turn over one after the other: the second would push the full log out of sight.
        let lock = files::lock(
            &self.folder.join("locks/log.lock"),
            Instant::now() + TURN_OVER_WAIT,
        );
        if let Ok(Some(_held)) = lock
            && is_full(open()?.1)
        {
            step("turn over")?;
            fs::rename(self.path(), self.old_path())?;
        }
        Ok(open()?.0)
    }

    /// The last `count` lines, the old file's among them.
    ///
    /// # Errors
    /// A log is there and cannot be read.
    pub fn last_lines(&self, count: usize) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        for path in [self.path(), self.old_path()] {
            if lines.len() >= count {
                break;
            }
            let text = match files::open(&path) {
                Ok(file) => {
                    end_of(file, u64::MAX).map_err(|error| files::cannot("read", &path, &error))?
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(files::cannot("read", &path, &error)),
            };
            let missing = count - lines.len();
            let of_file: Vec<&str> = text.lines().collect();
            let from = of_file.len().saturating_sub(missing);
            lines.splice(0..0, of_file[from..].iter().map(ToString::to_string));
        }
        Ok(lines)
    }

    /// The last line that contains `mark`, looked for near the end of the log and then of the old one.
    pub fn last_line_with(&self, mark: &str) -> Option<String> {
        [self.path(), self.old_path()].iter().find_map(|path| {
            let text = end_of(files::open(path).ok()?, TAIL).ok()?;
            text.lines()
                .rev()
                .find(|line| line.contains(mark))
                .map(str::to_string)
        })
    }

    /// Passes on what is appended from now on, across turn-overs, until `each` says stop.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn follow(&self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut open: Option<File> = None;
        if let Ok((mut file, length)) = files::open(&self.path()) {
            file.seek(SeekFrom::Start(length))?;
            open = Some(file);
        }
        loop {
            let there = fs::metadata(self.path())
                .ok()
                .map(|found| (found.dev(), found.ino()));
            if let Some(file) = &mut open {
                let mut more = Vec::new();
                file.take(SIZE_MAX).read_to_end(&mut more)?;
                if !more.is_empty() {
                    each(&more)?;
                }
                let held = file.metadata()?;
                if there.is_some() && there != Some((held.dev(), held.ino())) {
                    // Turned over before this look, so the old file was read to its end.
                    open = None;
                }
            }
            if open.is_none() && there.is_some() {
                match files::open(&self.path()) {
                    Ok((file, _)) => {
                        open = Some(file);
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            std::thread::sleep(FOLLOW_PAUSE);
        }
    }
}

/// The text at the end of a log of this length, at most `max` bytes of it.
fn end_of((mut file, length): (File, u64), max: u64) -> io::Result<String> {
    file.seek(SeekFrom::Start(
        length.saturating_sub(max.min(2 * SIZE_MAX)),
    ))?;
    let mut bytes = Vec::new();
    file.take(2 * SIZE_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
