//! Signing somebody in: the two flows, and how what they bring is put down.
//!
//! The browser on this machine (authorization code with PKCE, RFC 7636, over a loopback redirect, RFC 8252), or a code
//! that is entered on any other device (RFC 8628). Nothing is written before the service has granted a token, so that
//! Ctrl-C leaves everything as it was; that there is room for the token is seen to before anybody is bothered. The
//! refresh lock is held only from the moment at which the person is done.

use std::time::{Duration, Instant};

use crate::cli::Options;
use crate::commands::output;
use crate::commands::page;
use crate::commands::portal::Portal;
use crate::commands::refresh::{again, put_down};
use crate::commands::screen::Screen;
use crate::commands::store::{Store, Stored};
use crate::commands::survey::{self, Survey};
use crate::error::{Error, Exit};
use crate::format::http::{self, Request, Response};
use crate::format::text::{self, clean};
use crate::format::time::{Timestamp, span};
use crate::format::url::{Scheme, Url};
use crate::format::{base64, digest};
use crate::sso::callback::{self, Callback};
use crate::sso::config::SsoSession;
use crate::sso::estimate;
use crate::sso::oidc::{self, Device, Prepared, Reply};
use crate::sso::plan::{self, Decision};
use crate::sso::registration::Purpose;
use crate::sso::token::{self, CachedToken, Client, Fingerprint, Grant, Secret};
use crate::system::browser;
use crate::system::env::{self, Env};
use crate::system::files::{self, Commit, Durable, Room};
use crate::system::https;
use crate::system::journal::Journal;
use crate::system::listener::{Listener, Verdict};

/// How long a person has.
const PERSON_MAX: Duration = Duration::from_secs(600);

/// One request, all told.
const REQUEST_MAX: Duration = Duration::from_secs(15);

/// A request that did not get through is made this often, with this pause.
const ATTEMPTS: u32 = 3;
const ATTEMPT_PAUSE: Duration = Duration::from_secs(1);

/// A refresh that is under way ends within its run's minute.
const LOCK_MAX: Duration = Duration::from_secs(60);

/// As large as the answers to a registration and to a grant together, which is all that a token file holds. Bytes.
const ROOM: usize = 2 * http::ANSWER_MAX;

/// How often it is asked whether the sign-in has become needless.
const NEEDLESS_LOOK: Duration = Duration::from_secs(2);

/// Added to the pause between two polls at every `slow_down` (RFC 8628, section 3.5). Seconds.
const SLOWER: i64 = 5;

/// How the person is reached.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    by_device_code: bool,
    opens_browser: bool,
}

impl Way {
    /// The browser where there is one to open and its callback reaches this machine; else the device code.
    pub fn of(env: &Env, options: &Options) -> Way {
        Way {
            by_device_code: options.device_code || !browser::is_here(env),
            opens_browser: !options.no_browser && browser::can_open(env),
        }
    }

    /// The browser on this machine.
    pub fn browser() -> Way {
        Way {
            by_device_code: false,
            opens_browser: true,
        }
    }
}

/// The person's side of a sign-in.
pub struct Person<'a> {
    pub way: Way,
    pub screen: Screen,
    /// Called when everything is ready, before anybody is bothered; once more where the service turns out to have
    /// forgotten the registration, and the person is needed again.
    pub before: &'a mut dyn FnMut() -> Result<(), Error>,
    /// Whether the sign-in has become needless meanwhile.
    pub is_needless: &'a dyn Fn() -> bool,
}

/// How a sign-in ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    SignedIn {
        remaining: i64,
        can_refresh: bool,
    },
    /// Another tool signed in first, or somebody signed out.
    Needless,
}

/// Everything that signing in takes.
#[derive(Debug)]
pub struct Desk<'a> {
    pub(super) env: &'a Env,
    pub(super) store: &'a Store,
    pub(super) survey: &'a Survey,
    journal: Journal,
    client: https::Client,
}

/// How one attempt ended that did not fail.
enum Attempt {
    Ended(Ended),
    /// The client registration is not known any more.
    ClientRefused(String),
}

impl<'a> Desk<'a> {
    pub fn new(env: &'a Env, store: &'a Store, survey: &'a Survey) -> Desk<'a> {
        Desk {
            env,
            store,
            survey,
            journal: Journal::new(&env.data_folder()),
            client: https::Client::new(survey::network(env, survey)),
        }
    }

    /// Signs somebody in.
    ///
    /// # Errors
    /// The person did not, the service or the disk would not, or the network could not; everything is as it was.
    pub fn sign_in(&self, session: &SsoSession, mut person: Person) -> Result<Ended, Error> {
        let ended = self.try_sign_in(session, &mut person);
        person.screen.clear();
        let line = match &ended {
            Ok(Ended::SignedIn { remaining, .. }) => {
                let after = text::word(&span(*remaining));
                format!("signed-in after={after}")
            }
            Ok(Ended::Needless) => "no-longer-needed".to_string(),
            Err(error) => format!("not-signed-in why={}", text::word(&error.line())),
        };
        self.log(&session.name, &line);
        ended
    }

    pub fn log(&self, name: &str, line: &str) {
        let line = format!("{} {line}", text::word(name));
        if let Err(error) = self.journal.append(env::now(), &line) {
            output::complain(&error.to_string());
        }
    }

    fn try_sign_in(&self, session: &SsoSession, person: &mut Person) -> Result<Ended, Error> {
        // First, because whatever comes into the folder makes a left-over count as old.
        if let Ok(Some(_held)) = self.store.lock(&session.name, Instant::now()) {
            self.store.settle_session(&session.name);
        }
        self.room(session, nobodys()?)?.discard();
        let portal = self.portal(session, &mut person.screen)?;
        let purpose = portal.purpose(session, person.way.by_device_code);
        for is_last in [false, true] {
            let client = self.registration(session, &portal, &purpose)?;
            let attempt = match person.way.by_device_code {
                true => self.by_device_code(session, &portal, &client, person)?,
                false => self.by_browser(session, &portal, &purpose, &client, person)?,
            };
            match attempt {
                Attempt::Ended(ended) => return Ok(ended),
                Attempt::ClientRefused(why) if is_last => return Err(cannot(session, why)),
                Attempt::ClientRefused(_) => self.forget(&purpose)?,
            }
        }
        unreachable!("the last attempt returns")
    }

    fn by_browser(
        &self,
        session: &SsoSession,
        portal: &Portal,
        purpose: &Purpose,
        client: &Client,
        person: &mut Person,
    ) -> Result<Attempt, Error> {
        let name = session.name.as_str();
        // Bound before the browser opens, and the same socket until the end: nobody can step in between.
        let listener = Listener::bind()?;
        let redirect_uri = oidc::redirect_uri(listener.port());
        let verifier = Secret::new(base64::url_safe(&env::random::<48>()?));
        let challenge = base64::url_safe(&digest::sha256(verifier.expose().as_bytes()));
        let state = uuid(env::random()?);
        let url = oidc::authorize_url(
            &portal.endpoint,
            &client.client_id,
            &redirect_uri,
            &state,
            &purpose.scopes,
            &challenge,
        );
        (person.before)()?;
        person
            .screen
            .show_page(name, &url, person.way.opens_browser)?;
        let opening = person
            .way
            .opens_browser
            .then(|| browser::open(self.env, &url).ok())
            .flatten();

        let judge = |head: &[u8]| match callback::judge(head, listener.port(), &state) {
            Callback::Foreign(_) => Verdict::Other(page::foreign()),
            ours => Verdict::Awaited(ours),
        };
        let ends = Instant::now() + person_max();
        let mut waiting = Waiting::new(person, ends);
        let caught = listener.wait(ends, judge, || {
            if let Some(Err(why)) = opening.as_ref().and_then(|opening| opening.take()) {
                let why = clean(&why);
                self.log(name, &format!("browser-failed why={}", text::word(&why)));
                waiting.person.screen.note(&format!(
                    "The browser did not open ({why}). Please open the address above yourself."
                ));
            }
            waiting.goes_on()
        });
        if waiting.is_needless {
            return Ok(Attempt::Ended(Ended::Needless));
        }
        person.screen.clear();
        let Some(caught) = caught else {
            // A registration that the service has forgotten shows as a page that leads nowhere.
            self.forget(purpose)?;
            return Err(nobody_came(session));
        };
        let code = match &caught.value {
            Callback::Code(code) => code,
            Callback::Refused(words) => {
                let (told, error) = match words.as_str() {
                    "access_denied" => (
                        "The access was not allowed.".to_string(),
                        cannot(session, "the access was not allowed (access_denied)"),
                    ),
                    words => (format!("AWS said: {words}"), cannot(session, words)),
                };
                caught.answer(&page::failure(name, &told));
                return Err(error.exits(Exit::SignIn));
            }
            Callback::Foreign(_) => unreachable!("those are not awaited"),
        };
        let request = oidc::code_request(&portal.endpoint, client, code, &verifier, &redirect_uri);
        let ended = self.redeem(session, portal, client, &request);
        let page = match &ended {
            Ok(Attempt::Ended(_)) => page::success(name),
            Ok(Attempt::ClientRefused(_)) => {
                page::failure(name, "AWS has forgotten this tool; a new page opens now.")
            }
            Err(error) => page::failure(name, &error.line()),
        };
        caught.answer(&page);
        ended
    }

    fn by_device_code(
        &self,
        session: &SsoSession,
        portal: &Portal,
        client: &Client,
        person: &mut Person,
    ) -> Result<Attempt, Error> {
        let request = oidc::device_request(&portal.endpoint, client, &portal.start_url);
        let device = match oidc::device_reply(&self.send(session, &request)?) {
            Prepared::Ready(device) => device,
            Prepared::Refused(refusal) if refusal.error == "invalid_client" => {
                return Ok(Attempt::ClientRefused(refusal.to_string()));
            }
            Prepared::Refused(refusal) => return Err(cannot(session, refusal)),
            Prepared::TryLater { why } => return Err(cannot(session, why)),
        };
        let pages = [
            Some(&device.verification_uri),
            device.verification_uri_complete.as_ref(),
        ];
        let are_usable = pages.into_iter().flatten().all(|page| {
            Url::parse(page).is_ok_and(|url| url.scheme == Scheme::Https || url.is_loopback())
        });
        if !are_usable {
            return Err(cannot(
                session,
                "the service named a page that is no https address",
            ));
        }
        let request = oidc::device_token_request(&portal.endpoint, client, &device.device_code);
        let mut pause = device.interval;
        let lifetime = Duration::from_secs(device.expires_in.unsigned_abs());
        let ends = Instant::now() + lifetime.min(person_max());

        // A person who has allowed this client before may not have to be bothered at all.
        let mut polled = self.poll(session, &request, &mut pause)?;
        if matches!(polled, Polled::Pending) {
            (person.before)()?;
            person.screen.show_code(&session.name, &device)?;
            self.open_device_page(&device, person.way);
        }
        let mut waiting = Waiting::new(person, ends);
        loop {
            match polled {
                Polled::Granted(grant, asked_at, room, _held) => {
                    waiting.person.screen.clear();
                    return self
                        .keep(session, portal, client, &grant, asked_at, room)
                        .map(Attempt::Ended);
                }
                Polled::ClientRefused(why) => return Ok(Attempt::ClientRefused(why)),
                Polled::Pending => {}
            }
            let until = Instant::now() + Duration::from_secs(pause.unsigned_abs());
            while Instant::now() < until {
                if Instant::now() >= ends {
                    return Err(nobody_came(session));
                }
                if !waiting.goes_on() {
                    return Ok(Attempt::Ended(Ended::Needless));
                }
                std::thread::sleep(Duration::from_millis(25));
            }
            polled = self.poll(session, &request, &mut pause)?;
        }
    }

    fn open_device_page(&self, device: &Device, way: Way) {
        let complete = device.verification_uri_complete.as_deref();
        if way.opens_browser {
            // Whether it opened is not waited for: the address stands on the screen.
            let _ = browser::open(self.env, complete.unwrap_or(&device.verification_uri));
        }
    }

    /// One look at whether the person has decided.
    fn poll(
        &self,
        session: &SsoSession,
        request: &Request,
        pause: &mut i64,
    ) -> Result<Polled, Error> {
        // Held already when the token arrives, and with room for it. A run that is at it ends within a minute: the next
        // look finds it gone.
        let Some(held) = self.store.lock(&session.name, Instant::now())? else {
            return Ok(Polled::Pending);
        };
        let room = self.make_room(session)?;
        let asked_at = env::now();
        let sent = self.client.send(request, Instant::now() + REQUEST_MAX);
        let reply = match sent.map(|response| oidc::token_reply(&response)) {
            Ok(Reply::Granted(grant)) => {
                return Ok(Polled::Granted(grant, asked_at, room, held));
            }
            other => other,
        };
        room.discard();
        let Ok(reply) = reply else {
            // The network may come back while the person is still at it; an answer that timed out says not to hurry.
            *pause = (*pause * 2).min(30);
            return Ok(Polled::Pending);
        };
        match reply {
            Reply::Granted(_) | Reply::TryLater { .. } => Ok(Polled::Pending),
            Reply::SlowDown(_) => {
                *pause += SLOWER;
                Ok(Polled::Pending)
            }
            Reply::Wrong(refusal) if refusal.error == "authorization_pending" => {
                Ok(Polled::Pending)
            }
            Reply::Ended(refusal) if refusal.error == "invalid_client" => {
                Ok(Polled::ClientRefused(refusal.to_string()))
            }
            Reply::Ended(refusal) if refusal.error == "expired_token" => Err(nobody_came(session)),
            Reply::Ended(refusal) | Reply::Wrong(refusal) => {
                Err(cannot(session, refusal).exits(Exit::SignIn))
            }
        }
    }

    /// Buys a token with an authorization code and puts it in its place.
    fn redeem(
        &self,
        session: &SsoSession,
        portal: &Portal,
        client: &Client,
        request: &Request,
    ) -> Result<Attempt, Error> {
        let _held = self.lock(session)?;
        let room = self.make_room(session)?;
        let asked_at = env::now();
        let refused = match self.send(session, request) {
            Err(error) => error,
            Ok(response) => match oidc::token_reply(&response) {
                Reply::Granted(grant) => {
                    return self
                        .keep(session, portal, client, &grant, asked_at, room)
                        .map(Attempt::Ended);
                }
                Reply::Ended(refusal) if refusal.error == "invalid_client" => {
                    room.discard();
                    return Ok(Attempt::ClientRefused(refusal.to_string()));
                }
                Reply::Ended(refusal) | Reply::Wrong(refusal) | Reply::SlowDown(refusal) => {
                    cannot(session, refusal)
                }
                Reply::TryLater { why } => cannot(session, why),
            },
        };
        room.discard();
        Err(refused)
    }

    fn lock(&self, session: &SsoSession) -> Result<files::Lock, Error> {
        let held = self.store.lock(&session.name, Instant::now() + LOCK_MAX)?;
        held.ok_or_else(|| cannot(session, "another run is still busy with it"))
    }

    /// Room for a token that takes the place of what is there now, for a caller that holds the session's lock: a run
    /// that dies with the token put down leaves one that the next run adopts, as in a refresh.
    fn make_room(&self, session: &SsoSession) -> Result<Room, Error> {
        let name = session.name.as_str();
        self.store.settle_session(name);
        let replaced = match self.store.read(&self.store.token_path(name)) {
            Stored::Absent => Fingerprint::OF_NOTHING,
            // A renewal by another tool changes that in any case, and the refresh token not with every service.
            Stored::Token { token } => token.access_token.fingerprint(),
            Stored::Unparsable(_) | Stored::Unusable(_) => nobodys()?,
        };
        self.room(session, replaced)
    }

    fn room(&self, session: &SsoSession, replaced: Fingerprint) -> Result<Room, Error> {
        files::make_folder(self.store.cache())?;
        let target = files::resolve(&self.store.token_path(&session.name));
        let path = self.store.room_path(&session.name, &target, &replaced);
        files::make_room(path, target, ROOM)
    }

    /// Puts a granted token in its place: the whole file, whatever was there.
    fn keep(
        &self,
        session: &SsoSession,
        portal: &Portal,
        client: &Client,
        grant: &Grant,
        asked_at: Timestamp,
        mut room: Room,
    ) -> Result<Ended, Error> {
        let region = portal.region.as_str();
        let bytes = token::of_sign_in(&session.start_url, region, client, grant, asked_at);
        put_down(&mut room, &bytes)?;
        for attempt in 1.. {
            if again(|| room.commit())? == Commit::Done {
                break;
            }
            // `aws sso logout` removes whatever holds an access token; this sign-in came after it.
            if attempt == ATTEMPTS {
                return Err(cannot(
                    session,
                    "something keeps removing the new token file",
                ));
            }
            room = files::make_room(room.path, room.target, ROOM)?;
            put_down(&mut room, &bytes)?;
        }
        self.remember(session, &bytes, grant, asked_at);
        Ok(Ended::SignedIn {
            remaining: grant.expires_in,
            can_refresh: grant.refresh_token.is_some(),
        })
    }

    fn remember(&self, session: &SsoSession, bytes: &[u8], grant: &Grant, asked_at: Timestamp) {
        let inherited = self.survey.session_began(session);
        let token = CachedToken::parse(bytes).ok();
        let stored = grant.refresh_token.as_ref().map(Secret::fingerprint);
        let remembered = self.store.remember(&session.name, Durable::Now, |history| {
            estimate::note_sign_in(history, asked_at, inherited);
            estimate::note_grant(history, grant.expires_in);
            history.last_success = Some(asked_at);
            history.stored = stored;
            let decision = plan::plan(
                asked_at,
                &session.start_url,
                token.as_ref(),
                history,
                self.survey.policy,
            );
            // A sign-in that needs another at once answers nothing: the pauses go on.
            if !matches!(decision, Decision::SignIn(_)) {
                history.asked = 0;
                history.last_asked = None;
            }
        });
        if let Err(error) = remembered {
            output::complain(&error.to_string());
        }
    }

    /// Sends a request, again where it did not get through or the service is in trouble.
    pub(super) fn send(&self, session: &SsoSession, request: &Request) -> Result<Response, Error> {
        for attempt in 1.. {
            let is_last = attempt == ATTEMPTS;
            match self.client.send(request, Instant::now() + REQUEST_MAX) {
                Ok(response) if is_last || !matches!(response.status, 429 | 500..) => {
                    return Ok(response);
                }
                Err(failure) if is_last || failure.sent => {
                    let error = cannot(session, failure.why);
                    return Err(match failure.hint {
                        Some(hint) => error.hint(hint),
                        None => error,
                    });
                }
                _ => std::thread::sleep(ATTEMPT_PAUSE),
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// What a poll found.
enum Polled {
    Pending,
    /// What was asked for at that time, the room for it, and the session's lock.
    Granted(Grant, Timestamp, Room, files::Lock),
    ClientRefused(String),
}

/// The wait for a person: draws the time left, and asks now and then whether the sign-in is still needed.
struct Waiting<'p, 'a> {
    person: &'p mut Person<'a>,
    ends: Instant,
    looked: Instant,
    is_needless: bool,
}

impl<'p, 'a> Waiting<'p, 'a> {
    fn new(person: &'p mut Person<'a>, ends: Instant) -> Waiting<'p, 'a> {
        Waiting {
            person,
            ends,
            looked: Instant::now(),
            is_needless: false,
        }
    }

    fn goes_on(&mut self) -> bool {
        self.person.screen.tick(self.ends);
        if self.looked.elapsed() >= NEEDLESS_LOOK {
            self.is_needless = (self.person.is_needless)();
            self.looked = Instant::now();
        }
        !self.is_needless
    }
}

pub(super) fn cannot(session: &SsoSession, why: impl std::fmt::Display) -> Error {
    Error::new(format!("cannot sign in to {}", session.name), why)
}

fn nobody_came(session: &SsoSession) -> Error {
    cannot(session, "nobody allowed it in time")
        .hint("run it again; with --device-code any browser on any machine will do")
        .exits(Exit::SignIn)
}

/// A name for room that is made in vain, or in the place of something unreadable: the next run removes what a crash leaves
/// of it.
fn nobodys() -> Result<Fingerprint, Error> {
    Ok(Secret::new(digest::hex(&env::random::<8>()?)).fingerprint())
}

/// A random UUID (RFC 9562, version 4): what the AWS CLI sends as `state`.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = digest::hex(&bytes);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

fn person_max() -> Duration {
    #[cfg(debug_assertions)]
    if let Some(Ok(seconds)) =
        env::var("AWS_SSO_REFRESH_PERSON_SECONDS").map(|text| text.to_string_lossy().parse())
    {
        return Duration::from_secs(seconds); // tests in which nobody comes are not to take as long
    }
    PERSON_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_the_form_of_a_random_uuid() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
