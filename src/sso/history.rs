//! What earlier runs did with each session: `sessions.json` in the data folder, to and from bytes.
//!
//! One JSON object with a member per session. Members that are not known here are kept; the bash tool's files, whose
//! only member is `lastBrowserLogin`, are read. Nothing in it is a secret: a refused refresh token is remembered by its
//! fingerprint.

use std::cell::{Cell, OnceCell};

use crate::format::json::{self, Malformed, Member, RawJson};
use crate::format::time::Timestamp;
use crate::sso::token::Fingerprint;

/// What is remembered of one session. All times are UTC, all lengths seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// When a person last signed in through the browser, as far as it was seen.
    pub last_browser_login: Option<Timestamp>,
    /// When the session began that this sign-in belongs to: one that found it alive did not start it.
    pub session_began: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
    /// The lifetime that the service granted last.
    pub expires_in: Option<i64>,
    /// The lifetime it grants when no end is near.
    pub usual_expires_in: Option<i64>,
    pub last_failure: Option<Timestamp>,
    /// Failures in a row.
    pub failures: i64,
    /// How long after `last_failure` the server is left alone.
    pub pause: i64,
    /// The refresh token that the service refused.
    pub refused: Option<Fingerprint>,
    /// The refresh token that this program stored last; another one in the file is a sign-in by another tool.
    pub stored: Option<Fingerprint>,
    /// The refresh token that ends with another session's logout: its refusal counts as signed out.
    pub logged_out: Option<Fingerprint>,
    /// When a person was last asked to sign in.
    pub last_asked: Option<Timestamp>,
    /// Requests in a row that nobody answered.
    pub asked: i64,
    /// The session end of which a person has been told ahead of time.
    pub warned_for: Option<Timestamp>,
    /// When a person was told that the service keeps refusing for a reason that no sign-in mends.
    pub wrong_told: Option<Timestamp>,
    /// How long the last session was seen to live, from sign-in to refusal.
    pub lifetime: Option<i64>,
    /// Members that are not known here.
    pub rest: Vec<Member>,
}

/// The histories of all sessions, in the file's order.
#[derive(Debug, Default)]
pub struct Histories {
    members: Vec<Member>,
    /// Where each session stands among them, by its name: a `status` of ten thousand sessions looks up ten thousand.
    by_name: OnceCell<Vec<usize>>,
    /// Behind the one that was asked for last. Sessions come here in the order of the config, as they do when they are
    /// asked for; where that holds, nothing has to be sorted.
    next: Cell<usize>,
}

impl Histories {
    /// # Errors
    /// The bytes are not a JSON object. A session's member of a wrong type counts as absent.
    pub fn parse(bytes: &[u8]) -> Result<Histories, Malformed> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Histories::default());
        }
        Ok(Histories {
            members: json::members(bytes)?,
            ..Histories::default()
        })
    }

    pub fn of(&self, session: &str) -> History {
        self.find(session).map_or_else(History::default, |at| {
            History::read(&self.members[at].value)
        })
    }

    pub fn put(&mut self, session: &str, history: &History) {
        let value = RawJson::object(&history.to_members());
        match self.find(session) {
            Some(at) => self.members[at].value = value,
            None => {
                self.members.push(Member::new(session, value));
                self.by_name.take();
            }
        }
    }

    /// Where the member of that name stands.
    fn find(&self, session: &str) -> Option<usize> {
        let key = |at: usize| &*self.members[at].key;
        let next = self.next.get();
        let at = if next < self.members.len() && key(next) == session {
            next
        } else {
            let by_name = self.by_name.get_or_init(|| {
                let mut by_name: Vec<usize> = (0..self.members.len()).collect();
                by_name.sort_by(|one, other| key(*one).cmp(key(*other)));
                by_name
            });
            let place = by_name.binary_search_by(|at| key(*at).cmp(session)).ok()?;
            by_name[place]
        };
        self.next.set(at + 1);
        Some(at)
    }

    /// One session a line, so that a person can read it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let lines: Vec<String> = self
            .members
            .iter()
            .map(|member| json::write_object(std::slice::from_ref(member)))
            .map(|object| format!("  {}", &object[1..object.len() - 1]))
            .collect();
        format!("{{\n{}\n}}\n", lines.join(",\n")).into_bytes()
    }
}

impl History {
    fn read(object: &RawJson) -> History {
        let mut history = History::default();
        let read = object.each_member(&mut |key, value| {
            let time = || Some(Timestamp::parse(&value.as_word()?)?.at);
            let count = || value.as_integer().filter(|number| *number >= 0);
            let fingerprint = || Fingerprint::parse(&value.as_word()?);
            match key {
                LAST_BROWSER_LOGIN => history.last_browser_login = time(),
                SESSION_BEGAN => history.session_began = time(),
                LAST_SUCCESS => history.last_success = time(),
                EXPIRES_IN => history.expires_in = count(),
                USUAL_EXPIRES_IN => history.usual_expires_in = count(),
                LAST_FAILURE => history.last_failure = time(),
                FAILURES => history.failures = count().unwrap_or(0),
                PAUSE => history.pause = count().unwrap_or(0),
                REFUSED => history.refused = fingerprint(),
                STORED => history.stored = fingerprint(),
                LOGGED_OUT => history.logged_out = fingerprint(),
                LAST_ASKED => history.last_asked = time(),
                ASKED => history.asked = count().unwrap_or(0),
                WARNED_FOR => history.warned_for = time(),
                WRONG_TOLD => history.wrong_told = time(),
                LIFETIME => history.lifetime = count(),
                _ => history.rest.push(Member::new(key, value.raw())),
            }
        });
        read.map_or_else(|_| History::default(), |()| history)
    }

    fn to_members(&self) -> Vec<Member> {
        let time = |at: Option<Timestamp>| at.map(|at| RawJson::string(&at.to_string()));
        let fingerprint = |of: Option<Fingerprint>| of.map(|of| RawJson::string(&of.to_string()));
        let count = |n: i64| (n > 0).then(|| RawJson::integer(n));
        let values = [
            (LAST_BROWSER_LOGIN, time(self.last_browser_login)),
            (SESSION_BEGAN, time(self.session_began)),
            (LAST_SUCCESS, time(self.last_success)),
            (EXPIRES_IN, self.expires_in.map(RawJson::integer)),
            (
                USUAL_EXPIRES_IN,
                self.usual_expires_in.map(RawJson::integer),
            ),
            (LAST_FAILURE, time(self.last_failure)),
            (FAILURES, count(self.failures)),
            (PAUSE, count(self.pause)),
            (REFUSED, fingerprint(self.refused)),
            (STORED, fingerprint(self.stored)),
            (LOGGED_OUT, fingerprint(self.logged_out)),
            (LAST_ASKED, time(self.last_asked)),
            (ASKED, count(self.asked)),
            (WARNED_FOR, time(self.warned_for)),
            (WRONG_TOLD, time(self.wrong_told)),
            (LIFETIME, self.lifetime.map(RawJson::integer)),
        ];
        let known = values
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| Member::new(key, value)));
        known.chain(self.rest.iter().cloned()).collect()
    }
}

const LAST_BROWSER_LOGIN: &str = "lastBrowserLogin";
const SESSION_BEGAN: &str = "sessionBegan";
const LAST_SUCCESS: &str = "lastSuccess";
const EXPIRES_IN: &str = "expiresIn";
const USUAL_EXPIRES_IN: &str = "usualExpiresIn";
const LAST_FAILURE: &str = "lastFailure";
const FAILURES: &str = "failures";
const PAUSE: &str = "pauseSeconds";
const REFUSED: &str = "refusedToken";
const STORED: &str = "storedToken";
const LOGGED_OUT: &str = "loggedOutToken";
const LAST_ASKED: &str = "lastAsked";
const ASKED: &str = "asked";
const WARNED_FOR: &str = "warnedFor";
const WRONG_TOLD: &str = "wrongTold";
const LIFETIME: &str = "observedLifetimeSeconds";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bash_tools_file_is_read_and_kept() {
        let mut histories = Histories::parse(
            br#"{"my-sso": {"lastBrowserLogin": "2026-11-20T08:00:00Z", "note": [1,2]}, "old": 5}"#,
        )
        .expect("an object");
        let mut history = histories.of("my-sso");
        assert_eq!(
            history.last_browser_login.map(|t| t.to_string()).as_deref(),
            Some("2026-11-20T08:00:00Z")
        );
        history.failures = 2;
        history.expires_in = Some(3600);
        histories.put("my-sso", &history);
        histories.put(
            "new",
            &History {
                asked: 1,
                ..History::default()
            },
        );
        assert_eq!(
            String::from_utf8_lossy(&histories.to_bytes()),
            concat!(
                "{\n",
                "  \"my-sso\": {\"lastBrowserLogin\": \"2026-11-20T08:00:00Z\", \"expiresIn\": 3600, \"failures\": 2, \"note\": [1,2]},\n",
                "  \"old\": 5,\n",
                "  \"new\": {\"asked\": 1}\n",
                "}\n"
            )
        );
    }

    #[test]
    fn every_member_survives_the_round_trip() {
        let at = Some(Timestamp(1_795_464_251));
        let fingerprint = Fingerprint::parse("0123456789abcdef");
        let history = History {
            last_browser_login: at,
            session_began: at,
            last_success: at,
            expires_in: Some(1),
            usual_expires_in: Some(2),
            last_failure: at,
            failures: 3,
            pause: 4,
            refused: fingerprint,
            stored: fingerprint,
            logged_out: fingerprint,
            last_asked: at,
            asked: 5,
            warned_for: at,
            wrong_told: at,
            lifetime: Some(6),
            rest: Vec::new(),
        };
        assert_eq!(history.to_members().len(), 16, "each has its key");
        let mut histories = Histories::default();
        histories.put("a \"b\"", &history);
        let read = Histories::parse(&histories.to_bytes()).expect("an object");
        assert_eq!(read.of("a \"b\""), history);
        assert_eq!(read.of("c"), History::default());
    }

    #[test]
    fn members_of_a_wrong_type_count_as_absent() {
        let text = br#"{"a": {"failures": -1, "lastSuccess": 7, "refusedToken": "XYZ", "expiresIn": "1"}, "b": []}"#;
        let histories = Histories::parse(text).expect("an object");
        assert_eq!(histories.of("a"), History::default());
        assert_eq!(histories.of("b"), History::default());
        let empty = Histories::parse(b" \n").expect("empty is empty");
        assert_eq!(empty.to_bytes(), Histories::default().to_bytes());
        assert!(Histories::parse(b"[]").is_err());
    }
}
