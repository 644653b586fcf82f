//! The token files of the shared cache on disk: reading them while others write, and settling what a crash left.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::format::digest;
use crate::sso::history::{Histories, History};
use crate::sso::token::{CachedToken, Fingerprint, NotAToken};
use crate::system::env::Env;
use crate::system::files::{self, Durable, Entry, Found, Lock};

/// Far above any token file. Bytes.
pub const TOKEN_MAX: u64 = 1024 * 1024;

/// `sessions.json` has about 300 bytes per session. Bytes.
const HISTORY_MAX: u64 = 64 * 1024 * 1024;

/// Most tools write in place: a file that does not parse is read again this often, with this pause (rule R3).
pub const READ_AGAIN: u32 = 3;
pub const READ_AGAIN_PAUSE: Duration = Duration::from_millis(100);

/// How long an update of `sessions.json` waits for another process's.
const HISTORY_WAIT: Duration = Duration::from_secs(5);

/// What lies under a session's name in the cache.
#[derive(Debug)]
pub enum Stored {
    Absent,
    Token {
        token: Box<CachedToken>,
    },
    /// It does not parse: perhaps somebody is writing it this moment.
    Unparsable(String),
    /// It cannot be read, or holds something that is no token.
    Unusable(String),
}

/// What became of a left-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is the token file now, with this refresh token.
    Adopted(Option<Fingerprint>),
    Removed,
    Nothing,
}

/// The folders that matter, and the names in them.
#[derive(Debug, Clone)]
pub struct Store {
    cache: PathBuf,
    data: PathBuf,
}

/// A `.new` file that an earlier run left in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOver {
    path: PathBuf,
    /// The SHA-1 that names the token file.
    key: String,
    /// The token in whose place it was to go: what a refresh spends, or the access token that a sign-in found.
    replaces: Fingerprint,
    /// Nothing has come into its folder or gone from there since it was written.
    is_latest: bool,
}

impl Store {
    pub fn new(env: &Env) -> Store {
        Store {
            cache: env.cache_folder(),
            data: env.data_folder(),
        }
    }

    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The token file of a session (rule R1), or of a legacy profile by its start URL.
    pub fn token_path(&self, name: &str) -> PathBuf {
        let key = key_of(name);
        let mut path = OsString::with_capacity(self.cache.as_os_str().len() + key.len() + 6);
        for part in [
            self.cache.as_os_str(),
            "/".as_ref(),
            key.as_ref(),
            ".json".as_ref(),
        ] {
            path.push(part);
        }
        path.into()
    }

    /// Waits for the refresh lock of a session until `deadline`; `None`: another run still holds it.
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn lock(&self, name: &str, deadline: Instant) -> Result<Option<Lock>, Error> {
        self.lock_key(&key_of(name), deadline)
    }

    /// Takes the lock of the asker, who has it as long as it lives; `None`: there is one.
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn asker_lock(&self) -> Result<Option<Lock>, Error> {
        self.lock_file("asker.lock", Instant::now())
    }

    /// Takes the lock of whoever asks a person to sign in to a session; `None`: somebody is being asked already.
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn ask_lock(&self, name: &str) -> Result<Option<Lock>, Error> {
        self.lock_file(&format!("{}.ask", key_of(name)), Instant::now())
    }

    /// Holds every refresh back, as long as the locks are held: waits until `deadline` for those that are under way, each
    /// of which ends by then.
    pub fn hold_back(&self, deadline: Instant) -> Vec<Lock> {
        let is_of_session = |entry: &Entry| entry.name.len() == 45 && entry.name.ends_with(".lock"); // a SHA-1 and the ending
        let locks = self.data.join("locks");
        let entries = files::list(&locks, is_of_session).unwrap_or_default();
        let held = entries
            .iter()
            .map(|entry| files::lock(&locks.join(&entry.name), deadline));
        held.filter_map(|held| held.ok().flatten()).collect()
    }

    fn lock_key(&self, key: &str, deadline: Instant) -> Result<Option<Lock>, Error> {
        self.lock_file(&format!("{key}.lock"), deadline)
    }

    fn lock_file(&self, name: &str, deadline: Instant) -> Result<Option<Lock>, Error> {
        files::make_private_folder(&self.data)?;
        files::lock(&self.data.join("locks").join(name), deadline)
    }

    /// One read of a token file.
    pub fn read_once(&self, path: &Path) -> Stored {
        match files::read(path, TOKEN_MAX) {
            Found::Nothing => Stored::Absent,
            Found::Unusable(why) => Stored::Unusable(why),
            Found::Bytes(bytes) => match CachedToken::parse(bytes) {
                Ok(token) => Stored::Token {
                    token: Box::new(token),
                },
                Err(NotAToken::Unparsable(why)) => Stored::Unparsable(why),
                Err(NotAToken::Lacking(what)) => Stored::Unusable(what.to_string()),
            },
        }
    }

    /// Reads a token file, again for about 300 ms where it does not parse.
    pub fn read(&self, path: &Path) -> Stored {
        let mut stored = self.read_once(path);
        for _ in 0..READ_AGAIN {
            let Stored::Unparsable(_) = stored else {
                break;
            };
            std::thread::sleep(READ_AGAIN_PAUSE);
            stored = self.read_once(path);
        }
        stored
    }

    /// Where the room for a token goes: beside the real file, named by session and by the token that it is to replace.
    pub fn room_path(&self, name: &str, target: &Path, replaced: &Fingerprint) -> PathBuf {
        target.with_file_name(format!("{}.{}.new", key_of(name), replaced))
    }

    /// The left-over `.new` files of this program: in the cache, and beside the real files of linked ones.
    ///
    /// # Errors
    /// The cache cannot be listed.
    pub fn left_overs(&self) -> Result<Vec<LeftOver>, Error> {
        let entries = files::list(&self.cache, |entry| {
            entry.name.ends_with(".new") || entry.is_link
        })?;
        let mut found = left_overs_in(&self.cache, &entries);
        let mut seen: Vec<PathBuf> = Vec::new();
        for link in entries
            .iter()
            .filter(|entry| entry.is_link && entry.name.ends_with(".json"))
        {
            let target = files::resolve(&self.cache.join(&link.name));
            let Some(folder) = target.parent().map(Path::to_path_buf) else {
                continue;
            };
            if folder != files::resolve(&self.cache) && !seen.contains(&folder) {
                // A folder that cannot be listed holds nothing that could be settled.
                let entries = files::list(&folder, |entry| entry.name.ends_with(".new"));
                found.extend(left_overs_in(&folder, &entries.unwrap_or_default()));
                seen.push(folder);
            }
        }
        Ok(found)
    }

    /// Settles one left-over under its session's lock; one that another run is using is left to it.
    ///
    /// # Errors
    /// It had to be moved or removed and could not be.
    pub fn settle(&self, left_over: &LeftOver) -> Result<Settled, Error> {
        match self.lock_key(&left_over.key, Instant::now())? {
            Some(_held) => self.settle_locked(left_over),
            None => Ok(Settled::Nothing),
        }
    }

    fn settle_locked(&self, left_over: &LeftOver) -> Result<Settled, Error> {
        let target = self.cache.join(format!("{}.json", left_over.key));
        let there = match self.read(&target) {
            // Somebody is writing it, or something is wrong with it: what the left-over is worth cannot be told.
            Stored::Unparsable(_) | Stored::Unusable(_) => return Ok(Settled::Nothing),
            Stored::Token { token } => Some(token),
            Stored::Absent => None,
        };
        let replaces = Some(left_over.replaces);
        let has_its_place = match &there {
            Some(token) => {
                token.refresh_fingerprint() == replaces
                    || token.access_token.fingerprint() == left_over.replaces
            }
            // That there is nothing again says nothing: somebody may have signed in since, and out with a tool that
            // takes only the token file away.
            None => left_over.replaces == Fingerprint::OF_NOTHING && left_over.is_latest,
        };
        if !has_its_place {
            return self.remove(left_over);
        }
        match (self.read_once(&left_over.path), there) {
            // A service that gives the same refresh token again leaves it to the times to tell which is newer:
            // another tool may have refreshed since.
            (Stored::Token { token: kept }, Some(there))
                if kept.refresh_fingerprint() == replaces
                    && kept.expires_at <= there.expires_at =>
            {
                self.remove(left_over)
            }
            (Stored::Token { token: kept }, _) => {
                files::adopt(&left_over.path, &files::resolve(&target))?;
                Ok(Settled::Adopted(kept.refresh_fingerprint()))
            }
            (Stored::Unparsable(_) | Stored::Unusable(_), _) => self.remove(left_over),
            (Stored::Absent, _) => Ok(Settled::Nothing),
        }
    }

    /// Settles what is left over of a session, for a caller that holds its lock. What cannot be settled is in nobody's
    /// way, unless it has the name of the room that is made next.
    pub fn settle_session(&self, name: &str) {
        let key = key_of(name);
        let left_overs = self.left_overs().unwrap_or_default();
        for left_over in left_overs.iter().filter(|left_over| left_over.key == key) {
            let _ = self.settle_locked(left_over);
        }
    }

    fn remove(&self, left_over: &LeftOver) -> Result<Settled, Error> {
        files::remove(&left_over.path)?;
        Ok(Settled::Removed)
    }

    /// Removes a session's token file, the real file behind a link too, and every left-over `.new` of it.
    ///
    /// # Errors
    /// One of them is still there.
    pub fn remove_token(&self, name: &str) -> Result<(), Error> {
        let path = self.token_path(name);
        let key = key_of(name);
        let left_overs = self.left_overs()?;
        for left_over in left_overs.iter().filter(|left_over| left_over.key == key) {
            files::remove(&left_over.path)?;
        }
        let target = files::resolve(&path);
        if path.is_symlink() && target.is_file() {
            files::remove(&target)?;
        }
        files::remove(&path)
    }

    /// What earlier runs remember; also why that could not be read, where it could not.
    pub fn histories(&self) -> (Histories, Option<Error>) {
        let path = self.data.join("sessions.json");
        let cannot = |why: &str| {
            Some(
                Error::new(format!("cannot read {}", path.display()), why)
                    .hint("it is started anew when needed"),
            )
        };
        match files::read(&path, HISTORY_MAX) {
            Found::Nothing => (Histories::default(), None),
            Found::Unusable(why) => (Histories::default(), cannot(&why)),
            Found::Bytes(bytes) => match Histories::parse(&bytes) {
                Ok(histories) => (histories, None),
                Err(malformed) => (Histories::default(), cannot(&malformed.to_string())),
            },
        }
    }

    /// Changes what is remembered of one session: under a lock, read, change, rename. A file that does not parse is
    /// kept as `sessions.json.broken`.
    ///
    /// # Errors
    /// The change is not in the file.
    pub fn remember(
        &self,
        name: &str,
        durable: Durable,
        change: impl FnOnce(&mut History),
    ) -> Result<(), Error> {
        files::make_private_folder(&self.data)?;
        let path = self.data.join("sessions.json");
        let lock = self.data.join("locks/sessions.lock");
        let Some(_held) = files::lock(&lock, Instant::now() + HISTORY_WAIT)? else {
            return Err(Error::new(
                format!("cannot write {}", path.display()),
                "another process holds its lock",
            ));
        };
        let (mut histories, broken) = self.histories();
        if broken.is_some() {
            files::rename(&path, &path.with_extension("json.broken"))?;
        }
        let mut history = histories.of(name);
        change(&mut history);
        histories.put(name, &history);
        files::replace(&path, &histories.to_bytes(), 0o600, durable)
    }
}

/// The name of a session's file in the cache, without its ending.
pub fn key_of(name: &str) -> String {
    digest::sha1_hex(name.as_bytes())
}

fn left_overs_in(folder: &Path, entries: &[Entry]) -> Vec<LeftOver> {
    entries
        .iter()
        .filter(|entry| !entry.is_link)
        .filter_map(|entry| left_over(folder, &entry.name))
        .collect()
}

/// `<sha1>.<fingerprint>.new`, and nothing else, is ours.
fn left_over(folder: &Path, name: &str) -> Option<LeftOver> {
    let (key, replaced) = name.strip_suffix(".new")?.split_once('.')?;
    let is_key = key.len() == 40 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let replaces = Fingerprint::parse(replaced)?;
    let path = folder.join(name);
    is_key.then(|| LeftOver {
        is_latest: files::is_latest(&path),
        path,
        key: key.to_string(),
        replaces,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_own_making_are_left_overs() {
        let key = "0ad374308c5a4e22f723adf10145eafad7c4031c";
        let folder = Path::new("/c");
        assert!(left_over(folder, &format!("{key}.0123456789abcdef.new")).is_some());
        for name in [
            format!("{key}.json"),
            format!("{key}.new"),
            format!("{key}.0123456789ABCDEF.new"),
            format!("{key}.0123456789abcdef.new.tmp"),
            format!("{}.0123456789abcdef.new", &key[1..]),
            format!("{}.0123456789abcdef.new", key.to_uppercase()),
            "x.json.tmp-1234".to_string(),
            ".new".to_string(),
        ] {
            assert_eq!(left_over(folder, &name), None, "{name}");
        }
    }
}
