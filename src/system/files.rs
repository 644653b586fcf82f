//! Files that are never half there: bounded reads, locks, atomic writes, and room made before it is needed.
//!
//! The order of a safe refresh is carried here. `make_room` creates the new file beside the old one, exclusively,
//! mode 0600, as large as it can become, and syncs it, so that a full or read-only disk is found out before a
//! refresh token is spent. `Room::put_down` writes the token into it and syncs again; `Room::commit` renames it over the
//! old one and syncs the folder. A crash at any point leaves either the old file, or the old file and a new one that
//! the next run can adopt.
//!
//! Known limits. AWS CLI v2 writes the token file in place and without a lock: between our last look and our rename
//! it can start to write, and then its token goes to a file that has no name any more; that window is well under
//! a millisecond and cannot be closed from this side. On copy-on-write disks room taken is not room promised. A token
//! whose answer never arrived is lost to every client alike, and so is one whose run was killed while it waited; during
//! a refresh a signal that can be put off waits (`system/signals.rs`).
//!
//! Every operation passes a `step`, at which tests let a run fail or die.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use crate::error::Error;
use crate::system::step::{step, write_all};

/// How often a lock that somebody else holds is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Opening a FIFO or a device must not wait for the other side.
const O_NONBLOCK: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// What lies at a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    Bytes(Vec<u8>),
    /// It cannot be read, or is nothing that should be: the reason, as in `permission denied`.
    Unusable(String),
}

/// Reads a regular file of at most `max` bytes; never blocks on a FIFO and never reads more.
pub fn read(path: &Path, max: u64) -> Found {
    match try_read(path, max) {
        Ok(Ok(bytes)) => Found::Bytes(bytes),
        Ok(Err(why)) => Found::Unusable(why),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(path) {
            Ok(_) => Found::Unusable("a link to a file that does not exist".to_string()),
            Err(_) => Found::Nothing,
        },
        Err(error) => Found::Unusable(why(&error)),
    }
}

fn try_read(path: &Path, max: u64) -> io::Result<Result<Vec<u8>, String>> {
    let (file, length) = open(path)?;
    if length > max {
        return Ok(Err(format!("it is larger than {max} bytes")));
    }
    let length = usize::try_from(length).unwrap_or(0);
    step("read")?;
    let bytes = read_all(file, length, max)?;
    if bytes.len() as u64 > max {
        return Ok(Err(format!("it is larger than {max} bytes")));
    }
    Ok(Ok(bytes))
}

/// Opens a regular file for reading, and says how long it is; never waits on a FIFO or a device.
///
/// # Errors
/// It cannot be opened, or is something else.
pub fn open(path: &Path) -> io::Result<(File, u64)> {
    step("open")?;
    // The standard library's own call costs musl a second system call, for a kernel of 2007.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()));
    let file = File::from(opened?);
    let found = file.metadata()?;
    check_regular(&found)?;
    Ok((file, found.len()))
}

fn check_regular(found: &fs::Metadata) -> io::Result<()> {
    match (found.is_file(), found.is_dir()) {
        (true, _) => Ok(()),
        (_, true) => Err(io::Error::other("it is a folder")),
        _ => Err(io::Error::other("it is not a regular file")),
    }
}

/// A device, a FIFO or a folder is not ours to replace, wherever a link has led.
fn check_replaceable(target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Ok(found) => check_regular(&found),
        Err(_) => Ok(()),
    }
}

/// What is in a file that is said to have `length` bytes, and of a longer one at least `max + 1`.
fn read_all(mut file: impl Read, length: usize, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length + 1];
    let mut filled = 0;
    while filled < length {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let is_longer = filled > length;
    bytes.truncate(filled);
    // With room for one byte more than there are, reading stopped at the end: no further read has to find it, which
    // saves a sixth of the system calls of a `status`.
    if is_longer {
        file.take(max.saturating_sub(length as u64))
            .read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// A file name in a folder, and whether it is a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub is_link: bool,
}

/// The `wanted` entries of a folder whose names are UTF-8; a folder that does not exist has none.
///
/// # Errors
/// The folder cannot be listed.
pub fn list(folder: &Path, wanted: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>, Error> {
    let cannot = |error: &io::Error| cannot("list", folder, error);
    let entries = match step("list").and_then(|()| fs::read_dir(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot(&error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| cannot(&error))?;
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if let Ok(name) = entry.file_name().into_string() {
            let entry = Entry { name, is_link };
            if wanted(&entry) {
                names.push(entry);
            }
        }
    }
    Ok(names)
}

/// As `make_folder`, of a folder that is ours alone: one that others may look into is closed to them.
///
/// # Errors
/// As `make_folder`.
pub fn make_private_folder(folder: &Path) -> Result<(), Error> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => close_to_others(folder, &found),
        _ => make_folder(folder)?,
    }
    Ok(())
}

/// Takes all rights of other users away. Where that is not ours to do, it stays as it is, and so does what a link leads
/// to: that may be meant for others.
fn close_to_others(path: &Path, found: &fs::Metadata) {
    if found.mode() & 0o077 != 0 && !path.is_symlink() {
        let _ = fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o700));
    }
}

/// Opens a file of ours for appending; others may not read it, whoever made it.
///
/// # Errors
/// As `OpenOptions::open`.
pub fn open_to_append(path: &Path) -> io::Result<(File, u64)> {
    step("open to append")?;
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(O_NONBLOCK)
        .open(path)?;
    let found = file.metadata()?;
    close_to_others(path, &found);
    Ok((file, found.len()))
}

/// Makes `folder` with mode 0700 where it does not exist; its parents get the usual mode.
///
/// # Errors
/// It cannot be made, or something that is no folder has its name.
pub fn make_folder(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    let made = step("make folder").and_then(|()| {
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
        }
        // Of a folder that another run makes meanwhile, this is no failure.
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    });
    made.map_err(|error| cannot("make the folder", folder, &error))
}

/// A lock that this process holds until it is dropped, or until it dies: the kernel lets go of it then.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock at `path`, an empty file, waiting for it until `deadline`. `None`: somebody else still holds it.
///
/// # Errors
/// The lock file cannot be made, or the file system knows no locks.
pub fn lock(path: &Path, deadline: Instant) -> Result<Option<Lock>, Error> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    loop {
        let opened = step("lock").and_then(|()| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(O_NONBLOCK)
                .open(path)
        });
        let held = opened.and_then(|file| hold(file, path));
        if let Some(lock) = held.map_err(|error| cannot("lock", path, &error))? {
            return Ok(Some(lock));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// Takes the lock, unless another one has it, or somebody has removed the file since it was opened: a lock on that keeps
/// nobody out.
fn hold(file: File, path: &Path) -> io::Result<Option<Lock>> {
    match file.try_lock() {
        Ok(()) => Ok(is_at(&file, path).then_some(Lock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(there)) => held.ino() == there.ino() && held.dev() == there.dev(),
        _ => false,
    }
}

/// A file beside `target` that will take its place.
#[derive(Debug)]
pub struct Room {
    file: File,
    pub path: PathBuf,
    pub target: PathBuf,
}

/// How a commit ended that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub enum Commit {
    Done,
    /// The new file vanished before the rename: `aws sso logout` deletes everything that holds an access token.
    Vanished,
}

/// Creates `path` (which must not exist) with mode 0600 and `size` bytes of blanks, and syncs it.
///
/// # Errors
/// The disk is full or read-only, the folder is not writable, or `target` is no file. Nothing is left behind.
pub fn make_room(path: PathBuf, target: PathBuf, size: usize) -> Result<Room, Error> {
    let made = (|| {
        check_replaceable(&target)?;
        step("create")?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        fill(&file, size).map(|()| file).inspect_err(|_| {
            let _ = fs::remove_file(&path); // what remains is removed by the next run
        })
    })();
    match made {
        Ok(file) => Ok(Room { file, path, target }),
        Err(error) => Err(cannot("make room for", &path, &error)),
    }
}

fn fill(file: &File, size: usize) -> io::Result<()> {
    step("mode")?;
    file.set_permissions(Permissions::from_mode(0o600))?; // whatever the umask took away
    write_all("fill", file, &vec![b' '; size])?;
    step("sync room")?;
    sync(file)
}

impl Room {
    /// Writes `bytes` into the room and syncs it.
    ///
    /// # Errors
    /// The bytes are not all in the file.
    pub fn put_down(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut written = || {
            self.file.seek(SeekFrom::Start(0))?;
            write_all("write", &self.file, bytes)?;
            // A crash here leaves the token followed by blanks, which is the same JSON.
            step("cut")?;
            self.file.set_len(bytes.len() as u64)?;
            step("sync")?;
            sync(&self.file)
        };
        written().map_err(|error| cannot("write", &self.path, &error))
    }

    /// Renames the new file over the target and syncs the folder.
    ///
    /// # Errors
    /// The rename failed; the new file is still there, for the next run to adopt.
    pub fn commit(&self) -> Result<Commit, Error> {
        match step("rename").and_then(|()| fs::rename(&self.path, &self.target)) {
            Ok(()) => {
                // The name is in place for everybody who looks; only a power cut could still undo it, and what it
                // would bring back is the room, which the next run adopts.
                let _ = sync_folder_of(&self.target);
                Ok(Commit::Done)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Commit::Vanished),
            Err(error) => Err(cannot("rename", &self.path, &error)),
        }
    }

    /// Takes the room away again. What cannot be removed now is removed by the next run.
    pub fn discard(self) {
        let _ = step("remove").and_then(|()| fs::remove_file(&self.path));
    }
}

/// Whether a power cut may take a write back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Synced before the rename, and the folder after it.
    Now,
    /// Left to the file system: what is lost with it is a memory that the next run can do without.
    Soon,
}

/// Writes a file of our own as a whole: a temporary file beside it, renamed over it. A symbolic link is followed
/// first. Callers hold a lock where two may write at once.
///
/// # Errors
/// The file is as it was.
pub fn replace(path: &Path, bytes: &[u8], mode: u32, durable: Durable) -> Result<(), Error> {
    let target = resolve(path);
    let mut name = target.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary = target.with_file_name(name);
    let written = (|| {
        check_replaceable(&target)?;
        step("replace: create")?;
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.set_permissions(Permissions::from_mode(mode))?; // whatever the umask took away
        write_all("replace: write", &file, bytes)?;
        if durable == Durable::Now {
            step("replace: sync")?;
            sync(&file)?;
        }
        step("replace: rename")?;
        fs::rename(&temporary, &target)?;
        if durable == Durable::Now {
            let _ = sync_folder_of(&target); // as in `Room::commit`; some file systems know no such thing
        }
        Ok(())
    })();
    written.map_err(|error| cannot("write", path, &error))
}

/// Removes a file; one that does not exist is fine.
///
/// # Errors
/// It is still there.
pub fn remove(path: &Path) -> Result<(), Error> {
    match step("remove").and_then(|()| fs::remove_file(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(cannot("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// Puts a file that another run has written in its place. Whether that run still synced it, nobody knows.
///
/// # Errors
/// Nothing has changed.
pub fn adopt(from: &Path, to: &Path) -> Result<(), Error> {
    let synced = step("sync left-over")
        .and_then(|()| File::open(from))
        .and_then(|file| sync(&file));
    synced.map_err(|error| cannot("read", from, &error))?;
    rename(from, to)
}

/// Renames a file within its folder and syncs the folder.
///
/// # Errors
/// Nothing has changed.
pub fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    let renamed = step("rename").and_then(|()| fs::rename(from, to));
    renamed.map_err(|error| cannot("rename", from, &error))?;
    let _ = sync_folder_of(to);
    Ok(())
}

/// Whether nothing has come into the folder of a file or gone from there since the file was written.
pub fn is_latest(path: &Path) -> bool {
    let changed = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.mtime(), found.mtime_nsec()))
    };
    path.parent().and_then(changed) <= changed(path)
}

/// Where a path leads in the end: renaming over a symbolic link would replace the link and not the file. A link to a
/// file that does not exist leads to where that file would be.
pub fn resolve(path: &Path) -> PathBuf {
    const LINKS_MAX: usize = 40; // as in Linux
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match (fs::canonicalize(&path), fs::read_link(&path)) {
            (Ok(real), _) => return real,
            (Err(_), Ok(target)) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            (Err(_), Err(_)) => break,
        }
    }
    path
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    step("sync folder")?;
    sync(&File::open(path.parent().unwrap_or(Path::new("/")))?)
}

/// Brings a file to the disk. A file system that does not know how has done what it can.
fn sync(file: &File) -> io::Result<()> {
    file.sync_all().or_else(|error| match is_unknown(&error) {
        true => Ok(()),
        false => Err(error),
    })
}

/// On macOS `sync_all` is `F_FULLFSYNC`, which network disks answer with `ENOTSUP`, a number that std has no kind for,
/// or with `EINVAL` or `ENOTTY`.
fn is_unknown(error: &io::Error) -> bool {
    const EINVAL: i32 = 22;
    const ENOTTY: i32 = 25;
    const ENOTSUP: i32 = 45; // of macOS; elsewhere nothing that a file could answer
    error.kind() == io::ErrorKind::Unsupported
        || matches!(error.raw_os_error(), Some(EINVAL | ENOTTY | ENOTSUP))
}

/// `cannot read /path: permission denied`, with a hint where one helps.
pub fn cannot(verb: &str, path: &Path, error: &io::Error) -> Error {
    let told = Error::new(format!("cannot {verb} {}", path.display()), why(error));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            told.hint("free some space on that disk")
        }
        io::ErrorKind::ReadOnlyFilesystem => told.hint("that file system is mounted read-only"),
        io::ErrorKind::PermissionDenied => {
            let folder = path.parent().unwrap_or(path);
            told.hint(format!(
                "it must belong to you; see `ls -la {}`",
                folder.display()
            ))
        }
        _ => told,
    }
}

/// The reason alone, without the number that Rust adds.
pub fn why(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        std::iter::once(first.to_ascii_lowercase())
            .chain(chars)
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// An empty folder that goes when the test does.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "files-{}-{}",
                std::process::id(),
                COUNT.fetch_add(1, Ordering::SeqCst)
            );
            let folder = std::env::temp_dir().join(name);
            fs::create_dir(&folder).expect("a new folder");
            Folder(folder)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> = list(&self.0, |_| true)
                .expect("it can be listed")
                .into_iter()
                .map(|entry| entry.name)
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").permissions().mode() & 0o777
    }

    #[test]
    fn only_small_regular_files_are_read() {
        let folder = Folder::new();
        let path = folder.0.join("file");
        assert_eq!(read(&path, 4), Found::Nothing);
        fs::write(&path, "1234").expect("written");
        assert_eq!(read(&path, 4), Found::Bytes(b"1234".to_vec()));
        assert_eq!(
            read(&path, 3),
            Found::Unusable("it is larger than 3 bytes".to_string())
        );
        assert_eq!(
            read(&folder.0, 4),
            Found::Unusable("it is a folder".to_string())
        );
        assert_eq!(
            read(Path::new("/dev/zero"), 4),
            Found::Unusable("it is not a regular file".to_string())
        );
        let link = folder.0.join("link");
        std::os::unix::fs::symlink("nowhere", &link).expect("linked");
        assert_eq!(
            read(&link, 4),
            Found::Unusable("a link to a file that does not exist".to_string())
        );
        assert_eq!(
            read(&path.join("below"), 4),
            Found::Unusable("not a directory".to_string())
        );
    }

    #[test]
    fn a_fifo_does_not_hold_a_reader() {
        let folder = Folder::new();
        let path = folder.0.join("fifo");
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .expect("mkfifo is there");
        assert!(made.success());
        assert_eq!(
            read(&path, 4),
            Found::Unusable("it is not a regular file".to_string())
        );
    }

    /// Says once that it was interrupted, then gives one byte at a time, and fails in the end.
    struct Slow {
        is_new: bool,
        bytes: &'static [u8],
    }

    impl Read for Slow {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            if std::mem::take(&mut self.is_new) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let Some((first, rest)) = self.bytes.split_first() else {
                return Err(io::Error::other("the disk is gone"));
            };
            self.bytes = rest;
            to[0] = *first;
            Ok(1)
        }
    }

    #[test]
    fn a_read_that_is_interrupted_goes_on_and_one_that_fails_is_a_failure() {
        let slow = || Slow {
            is_new: true,
            bytes: b"123",
        };
        assert_eq!(read_all(slow(), 3, 9).expect("it is read"), b"123");
        let told = read_all(slow(), 4, 9).expect_err("there are three bytes");
        assert_eq!(told.to_string(), "the disk is gone");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_read_as_far_as_it_may_be() {
        let read = |length, max| read_all(&b"12345"[..], length, max).expect("it is read");
        assert_eq!(read(9, 9), b"12345", "it became shorter");
        assert_eq!(read(2, 9), b"12345", "it became longer");
        assert_eq!(read(2, 3), b"1234", "it became too long");
    }

    #[test]
    fn a_file_is_opened_for_this_process_alone() {
        let folder = Folder::new();
        let path = folder.0.join("file");
        fs::write(&path, "123").expect("written");
        let (file, length) = open(&path).expect("it is there");
        let flags = rustix::io::fcntl_getfd(&file).expect("it is open");
        assert_eq!((flags, length), (rustix::io::FdFlags::CLOEXEC, 3));
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_entries_and_a_file_is_no_folder() {
        let folder = Folder::new();
        let path = folder.0.join("path");
        assert_eq!(list(&path, |_| true).expect("nothing is there"), []);
        fs::write(&path, "").expect("written");
        let told = list(&path, |_| true).expect_err("a file");
        assert!(
            told.line().ends_with(": not a directory"),
            "{}",
            told.line()
        );
    }

    #[test]
    fn only_a_folder_will_do_for_a_folder() {
        let folder = Folder::new();
        let (file, link) = (folder.0.join("file"), folder.0.join("link"));
        fs::write(&file, "").expect("written");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("set");
        std::os::unix::fs::symlink("nowhere", &link).expect("linked");
        for path in [&file, &link, &file.join("below")] {
            let told = make_private_folder(path).expect_err("no folder");
            assert!(told.line().ends_with(": file exists"), "{}", told.line());
        }
        assert_eq!(mode(&file), 0o644, "a file that has its name is left alone");
    }

    #[test]
    fn many_may_make_the_same_folder_at_once() {
        let folder = Folder::new();
        let all = std::sync::Barrier::new(4);
        let make_all = || {
            let make = |round: u32| {
                all.wait();
                make_folder(&folder.0.join(round.to_string()))
            };
            let made: Vec<_> = (0..200).map(make).collect();
            made.into_iter().collect::<Result<Vec<()>, Error>>()
        };
        std::thread::scope(|scope| {
            let makers: Vec<_> = (0..4).map(|_| scope.spawn(make_all)).collect();
            for maker in makers {
                maker.join().expect("no panic").expect("all are made");
            }
        });
    }

    #[test]
    fn what_is_closed_to_others_is_not_touched() {
        let folder = Folder::new();
        let path = folder.0.join("ours");
        fs::create_dir(&path).expect("made");
        fs::set_permissions(&path, Permissions::from_mode(0o1700)).expect("set");
        make_private_folder(&path).expect("it is there");
        let kept = fs::metadata(&path).expect("it exists").permissions().mode();
        assert_eq!(kept & 0o7777, 0o1700);
    }

    #[test]
    fn a_lock_keeps_others_out_until_it_is_dropped() {
        let folder = Folder::new();
        let path = folder.0.join("locks/one.lock");
        let now = Instant::now();
        let held = lock(&path, now)
            .expect("it can be locked")
            .expect("nobody holds it");
        assert!(lock(&path, now).expect("it can be asked").is_none());
        drop(held);
        assert!(lock(&path, now).expect("it can be locked").is_some());
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.0.join("locks")), 0o700);
        assert_eq!(fs::metadata(&path).expect("it exists").len(), 0);
    }

    #[test]
    fn a_lock_is_waited_for() {
        let folder = Folder::new();
        let path = folder.0.join("one.lock");
        let now = Instant::now();
        let held = lock(&path, now).expect("it can be locked");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(&path, now + Duration::from_secs(10)));
            std::thread::sleep(5 * LOCK_PAUSE);
            drop(held);
            let taken = waiting.join().expect("no panic").expect("it can be locked");
            assert!(taken.is_some());
        });
    }

    #[test]
    fn a_lock_on_a_file_that_was_removed_is_none() {
        let folder = Folder::new();
        let path = folder.0.join("one.lock");
        let opened = || File::create(&path).expect("made");
        let is_held = |file: File| hold(file, &path).expect("it can be locked").is_some();
        assert!(is_held(opened()));
        let file = opened();
        fs::remove_file(&path).expect("removed");
        assert!(
            !is_held(file.try_clone().expect("it is open")),
            "nobody would see it"
        );
        let _another = opened();
        assert!(!is_held(file), "the next run would lock another file");
    }

    #[test]
    fn room_becomes_the_target_in_one_step() {
        let folder = Folder::new();
        let (target, new) = (folder.0.join("t.json"), folder.0.join("t.new"));
        fs::write(&target, "old").expect("written");
        fs::set_permissions(&target, Permissions::from_mode(0o644)).expect("set");
        let mut room = make_room(new.clone(), target.clone(), 1000).expect("there is room");
        assert_eq!(read(&new, 2000), Found::Bytes(vec![b' '; 1000]));
        assert!(
            make_room(new.clone(), target.clone(), 10).is_err(),
            "the name is taken"
        );
        room.put_down(b"new").expect("written");
        assert_eq!(read(&target, 9), Found::Bytes(b"old".to_vec()));
        assert_eq!(room.commit().expect("renamed"), Commit::Done);
        assert_eq!(read(&target, 9), Found::Bytes(b"new".to_vec()));
        assert_eq!(
            (folder.names(), mode(&target)),
            (vec!["t.json".to_string()], 0o600)
        );
    }

    #[test]
    fn a_room_that_vanished_is_told_apart_from_a_failure() {
        let folder = Folder::new();
        let room = make_room(folder.0.join("n"), folder.0.join("t"), 1).expect("there is room");
        fs::remove_file(&room.path).expect("removed");
        assert_eq!(room.commit().expect("no failure"), Commit::Vanished);
    }

    #[test]
    fn a_room_whose_target_became_a_folder_stays_until_it_is_discarded() {
        let folder = Folder::new();
        let (target, new) = (folder.0.join("t"), folder.0.join("n"));
        let room = make_room(new.clone(), target.clone(), 1).expect("there is room");
        fs::create_dir(&target).expect("made");
        room.commit().expect_err("a folder is there");
        assert_eq!(folder.names(), ["n", "t"]);
        room.discard();
        assert_eq!(folder.names(), ["t"]);
    }

    #[test]
    fn a_left_over_takes_its_place() {
        let folder = Folder::new();
        let (from, to) = (folder.0.join("from"), folder.0.join("to"));
        adopt(&from, &to).expect_err("nothing is there");
        fs::write(&from, "1").expect("written");
        adopt(&from, &to).expect("adopted");
        assert_eq!(folder.names(), ["to"]);
        rename(&to, &from).expect("renamed");
        assert_eq!(folder.names(), ["from"]);
    }

    #[test]
    fn a_replaced_file_has_its_mode_and_leaves_nothing_beside_it() {
        let folder = Folder::new();
        let (path, link) = (folder.0.join("real"), folder.0.join("link"));
        fs::write(folder.0.join("real.tmp"), "left over").expect("written");
        replace(&path, b"1", 0o644, Durable::Now).expect("written");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        replace(&link, b"2", 0o600, Durable::Soon).expect("written");
        assert_eq!(read(&path, 9), Found::Bytes(b"2".to_vec()));
        assert_eq!(
            (folder.names(), mode(&path)),
            (vec!["link".to_string(), "real".to_string()], 0o600)
        );
        remove(&link).expect("removed");
        remove(&link).expect("nothing to remove is fine");
        assert_eq!(folder.names(), ["real"]);
    }

    #[test]
    fn a_folder_is_not_removed_and_has_not_to_give_way() {
        let folder = Folder::new();
        let (path, in_the_way) = (folder.0.join("real"), folder.0.join("real.tmp"));
        fs::create_dir(&in_the_way).expect("made");
        let told = replace(&path, b"1", 0o600, Durable::Soon).expect_err("it is in the way");
        // Linux says `is a directory`, macOS `operation not permitted`: it is said of the removal.
        assert!(!told.line().contains("exists"), "{}", told.line());
        remove(&in_the_way).expect_err("a folder");
        assert_eq!(folder.names(), ["real.tmp"]);
    }

    #[test]
    fn a_file_is_the_latest_of_its_folder_until_one_comes_or_goes() {
        let folder = Folder::new();
        let (path, other) = (folder.0.join("file"), folder.0.join("other"));
        assert!(!is_latest(&path));
        fs::write(&other, "1").expect("written");
        fs::write(&path, "1").expect("written");
        assert!(is_latest(&path));
        std::thread::sleep(Duration::from_millis(20)); // file times may be as coarse as that
        fs::write(&other, "2").expect("written");
        assert!(
            is_latest(&path),
            "what is written in place comes from nowhere"
        );
        fs::remove_file(&other).expect("removed");
        assert!(!is_latest(&path));
    }

    #[test]
    fn a_disk_that_knows_no_sync_is_no_failure_and_a_broken_one_is() {
        let of = |number| is_unknown(&io::Error::from_raw_os_error(number));
        assert!([22, 25, 45].into_iter().all(of));
        assert!(is_unknown(&io::ErrorKind::Unsupported.into()));
        let (io_error, full, read_only, quota) = (5, 28, 30, 69);
        assert!(![io_error, full, read_only, quota].into_iter().any(of));
    }

    #[test]
    fn what_is_no_file_is_not_replaced_wherever_a_link_leads() {
        let folder = Folder::new();
        let (fifo, link) = (folder.0.join("fifo"), folder.0.join("link"));
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.expect("mkfifo is there").success());
        for (target, why) in [
            (&fifo, "it is not a regular file"),
            (&folder.0, "it is a folder"),
        ] {
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(target, &link).expect("linked");
            let told = replace(&link, b"", 0o600, Durable::Soon).expect_err("no file");
            assert!(told.line().ends_with(why), "{}", told.line());
            let room = make_room(folder.0.join("new"), resolve(&link), 1);
            assert!(room.expect_err("no file").line().ends_with(why));
            assert!(!folder.0.join("new").exists());
        }
    }

    #[test]
    fn what_a_link_leads_to_is_not_closed_to_others() {
        let folder = Folder::new();
        let (theirs, link) = (folder.0.join("theirs"), folder.0.join("link"));
        fs::create_dir(&theirs).expect("made");
        fs::set_permissions(&theirs, Permissions::from_mode(0o755)).expect("set");
        std::os::unix::fs::symlink(&theirs, &link).expect("linked");
        make_private_folder(&link).expect("it is there");
        assert_eq!(mode(&theirs), 0o755);
        make_private_folder(&theirs).expect("it is there");
        assert_eq!(mode(&theirs), 0o700);
    }

    #[test]
    fn an_error_says_what_helps() {
        use io::ErrorKind::{
            Other, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
        };
        for (kind, hint) in [
            (StorageFull, "free some space on that disk"),
            (QuotaExceeded, "free some space on that disk"),
            (ReadOnlyFilesystem, "that file system is mounted read-only"),
            (PermissionDenied, "it must belong to you; see `ls -la /a`"),
            (Other, ""),
        ] {
            let told = cannot("write", Path::new("/a/b"), &kind.into());
            assert_eq!(told.way_out(), hint);
        }
    }

    #[test]
    fn an_error_names_the_path_and_the_reason() {
        let told = replace(Path::new("/proc/nowhere/x"), b"", 0o600, Durable::Now)
            .expect_err("no such folder");
        assert_eq!(
            told.line(),
            "cannot write /proc/nowhere/x: no such file or directory"
        );
    }
}
