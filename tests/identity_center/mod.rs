//! The embedded Identity Center: a strict fake of AWS IAM Identity Center's SSO OIDC service and SSO portal.
//!
//! It speaks real TLS on loopback, rotates refresh tokens, fails on demand and remembers every request.
//! What no correct client would send is refused and listed by `violations()`. It is one server for both
//! services; its clock can be driven forward. It leaves out signed operations and more than one account.

// Each of the programs that include this module uses a part of it.
#![allow(dead_code, unused_imports)]

mod control;
mod faults;
mod oauth;
mod proxy;
mod service;
mod tls;
mod wire;

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant, SystemTime};

use rustls::{ServerConnection, StreamOwned};
use tinyjson::JsonValue;

pub use self::{
    faults::{Fault, Script},
    oauth::OAuthError,
    proxy::{Connect, Proxy, ProxyFault, ProxyOptions},
    service::{ACCOUNT, IssuedRefreshToken, ROLE},
    tls::{Certificate, TlsVersions},
    wire::Delivery,
};

use faults::Faults;
use service::Service;
use tls::Identity;
use wire::{Connection, Reply, Request, Stream, Unreadable, http_date};

const IDLE: Duration = Duration::from_secs(60); // a client that says nothing for so long is gone
const TICK: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
pub struct Options {
    /// 0 takes any free port.
    pub port: u16,
    /// Plain HTTP instead of TLS.
    pub plain: bool,
    pub certificate: Certificate,
    /// More names for the certificate and for `Host`, such as `oidc.eu-west-1.amazonaws.com`.
    pub extra_names: Vec<String>,
    pub tls_versions: TlsVersions,
    /// Answers `/_test/...` too.
    pub control: bool,
    /// Every answer waits for so long.
    pub server_delay: Duration,
    /// Seconds by which the `Date` header is off.
    pub date_skew: i64,

    pub refresh_tokens: RefreshTokens,
    /// A refresh token sent twice ends all tokens of its sign-in.
    pub revoke_on_reuse: bool,
    pub token_lifetime: Duration,
    pub session_lifetime: Duration,
    /// `expiresIn` never goes beyond the session's end.
    pub shrink_at_session_end: bool,
    /// Sign-ins of one start URL share one session and its end, as they do at AWS.
    pub shared_sessions: bool,
    pub registration_lifetime: Duration,
    pub consent: Consent,
    pub device_lifetime: Duration,
    pub device_interval: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            port: 0,
            plain: false,
            certificate: Certificate::Good,
            extra_names: Vec::new(),
            tls_versions: TlsVersions::Both,
            control: false,
            server_delay: Duration::ZERO,
            date_skew: 0,
            refresh_tokens: RefreshTokens::Rotate,
            revoke_on_reuse: false,
            token_lifetime: Duration::from_secs(3600),
            session_lifetime: Duration::from_secs(8 * 3600),
            shrink_at_session_end: false,
            shared_sessions: false,
            registration_lifetime: Duration::from_secs(90 * 86_400),
            consent: Consent::Ask,
            device_lifetime: Duration::from_secs(600),
            device_interval: Duration::from_secs(1),
        }
    }
}

/// What a refresh gives in place of the refresh token it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshTokens {
    /// A new one; the old one is spent.
    Rotate,
    /// The same one, which stays good.
    Keep,
    /// None: the member is absent, the old one stays good.
    Omit,
    /// None: the member is null, the old one stays good.
    Null,
}

/// What the person at the authorization page and the device page does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Is shown a page with two buttons.
    Ask,
    Allow,
    Deny,
}

/// A sign-in to make without a browser.
#[derive(Debug, Clone)]
pub struct SignIn {
    pub start_url: String,
    pub scopes: Vec<String>,
}

impl Default for SignIn {
    fn default() -> SignIn {
        SignIn {
            start_url: "https://d-1234567890.awsapps.com/start".to_string(),
            scopes: vec!["sso:account:access".to_string()],
        }
    }
}

/// What a tool holds after a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub access_token: String,
    /// Empty where the scopes give none.
    pub refresh_token: String,
    pub client_id: String,
    pub client_secret: String,
    /// Seconds since the epoch.
    pub registration_expires_at: u64,
    /// Seconds.
    pub expires_in: u64,
}

/// A request that came, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Since the epoch, by the service's clock.
    pub at: Duration,
    /// Requests with the same number came over one connection.
    pub connection: usize,
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// `None`: no answer was sent, or bytes that need not be one.
    pub status: Option<u16>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The members of a JSON object in the body.
    pub fn json(&self) -> Option<HashMap<String, JsonValue>> {
        str::from_utf8(&self.body)
            .ok()?
            .parse::<JsonValue>()
            .ok()?
            .try_into()
            .ok()
    }

    /// A member of the body that is a string.
    pub fn text(&self, member: &str) -> Option<String> {
        self.json()?.remove(member)?.try_into().ok()
    }
}

/// A running service, which ends when it is dropped.
#[derive(Debug)]
pub struct IdentityCenter {
    shared: Arc<Shared>,
    identity: Option<Identity>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    port: u16,
    endpoint: String,
    started: (Instant, Duration),
    stopping: AtomicBool,
    connections: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    service: Service,
    faults: Faults,
    seen: Vec<Seen>,
    failed_handshakes: Vec<String>,
    advanced: Duration,
}

impl IdentityCenter {
    /// # Panics
    /// The port is taken.
    pub fn start(options: Options) -> IdentityCenter {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).expect("the port is free");
        let port = listener.local_addr().expect("the listener is bound").port();
        let endpoint = format!(
            "{}://localhost:{port}",
            if options.plain { "http" } else { "https" }
        );
        let identity = (!options.plain).then(|| {
            Identity::new(
                options.certificate,
                &options.extra_names,
                options.tls_versions,
            )
        });
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let state = State {
            service: Service::new(options.clone(), &endpoint),
            faults: Faults::default(),
            seen: Vec::new(),
            failed_handshakes: Vec::new(),
            advanced: Duration::ZERO,
        };
        let shared = Arc::new(Shared {
            options,
            port,
            endpoint,
            started: (Instant::now(), since_epoch.unwrap_or_default()),
            stopping: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            state: Mutex::new(state),
        });
        let center = IdentityCenter {
            shared: Arc::clone(&shared),
            identity: identity.clone(),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, identity) = (Arc::clone(&shared), identity.clone());
                thread::spawn(move || shared.serve(stream, identity.as_ref()));
            }
        });
        center
    }

    /// `https://localhost:PORT`
    pub fn endpoint(&self) -> String {
        self.shared.endpoint.clone()
    }

    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// The CA to trust; empty without TLS.
    pub fn ca_pem(&self) -> &str {
        self.identity
            .as_ref()
            .map_or("", |identity| &identity.ca_pem)
    }

    /// The service's idea of now, since the epoch.
    pub fn now(&self) -> Duration {
        self.shared.now(&self.shared.state())
    }

    pub fn advance(&self, seconds: u64) {
        self.shared.state().advanced += Duration::from_secs(seconds);
    }

    pub fn sign_in(&self, sign_in: &SignIn) -> Granted {
        let now = self.now();
        self.shared.state().service.sign_in(sign_in, now)
    }

    /// The person's session is over: `invalid_grant` from now on. Says whether the refresh token was known.
    pub fn end_session(&self, refresh_token: &str) -> bool {
        self.shared.state().service.end_session(refresh_token)
    }

    /// As `end_session`, of everybody.
    pub fn end_all_sessions(&self) {
        self.shared.state().service.end_all_sessions();
    }

    /// The registration is gone: `invalid_client` from now on. Says whether there was one.
    pub fn forget_client(&self, client_id: &str) -> bool {
        self.shared.state().service.forget_client(client_id)
    }

    /// Says whether a device was waiting with this code.
    pub fn approve_device(&self, user_code: &str) -> bool {
        let now = self.now();
        self.shared
            .state()
            .service
            .decide_device(user_code, true, now)
    }

    /// Says whether a device was waiting with this code.
    pub fn deny_device(&self, user_code: &str) -> bool {
        let now = self.now();
        self.shared
            .state()
            .service
            .decide_device(user_code, false, now)
    }

    pub fn waiting_user_codes(&self) -> Vec<String> {
        let now = self.now();
        self.shared.state().service.waiting_user_codes(now)
    }

    /// Every request, in the order in which they were answered; those of the control interface excepted.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    pub fn requests_to(&self, path: &str) -> Vec<Seen> {
        self.shared
            .state()
            .seen
            .iter()
            .filter(|seen| seen.path == path)
            .cloned()
            .collect()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// What went wrong in handshakes that did not succeed: a client refused the certificate, or left.
    pub fn failed_handshakes(&self) -> Vec<String> {
        self.shared.state().failed_handshakes.clone()
    }

    /// What no correct client would have sent, one sentence each.
    pub fn violations(&self) -> Vec<String> {
        self.shared.state().service.violations.clone()
    }

    pub fn is_live_refresh_token(&self, token: &str) -> bool {
        self.refresh_tokens()
            .iter()
            .any(|issued| issued.live && issued.token == token)
    }

    pub fn is_live_access_token(&self, token: &str) -> bool {
        let now = self.now();
        self.shared.state().service.is_live_access_token(token, now)
    }

    /// How often a spent refresh token was sent once more.
    pub fn spent_twice(&self) -> usize {
        self.shared.state().service.spent_twice
    }

    /// Every refresh token that was ever granted, oldest first.
    pub fn refresh_tokens(&self) -> Vec<IssuedRefreshToken> {
        let now = self.now();
        self.shared.state().service.refresh_tokens(now)
    }

    /// Granted, good, and not sent back yet: after a run, somebody must still hold each of these.
    pub fn tokens_never_presented(&self) -> Vec<String> {
        let unused = self
            .refresh_tokens()
            .into_iter()
            .filter(|issued| issued.live && issued.presented == 0);
        unused.map(|issued| issued.token).collect()
    }

    /// What was granted, is good, and is held by nobody: `held` is what everybody has, or has put something newer in the
    /// place of.
    pub fn tokens_lost(&self, held: &[&str]) -> Vec<String> {
        let mut unused = self.tokens_never_presented();
        unused.retain(|token| !held.contains(&token.as_str()));
        unused
    }

    /// Every secret that was ever given out or sent: tokens, codes, verifiers, client secrets.
    pub fn secrets(&self) -> Vec<String> {
        self.shared.state().service.secrets.clone()
    }

    /// For every request to `/token` until faults are cleared.
    pub fn fault(&self, fault: Fault) {
        self.fault_at("/token", None, fault);
    }

    /// For the next `times` requests to `/token`, after the faults that were asked for before.
    pub fn fault_next(&self, times: usize, fault: Fault) {
        self.fault_at("/token", Some(times), fault);
    }

    /// For the next `times` requests to `path`, or for all. Faults of connections pay no heed to the path.
    pub fn fault_at(&self, path: &str, times: Option<usize>, fault: Fault) {
        self.shared.state().faults.add(path, times, fault);
    }

    pub fn clear_faults(&self) {
        self.shared.state().faults = Faults::default();
    }
}

impl Drop for IdentityCenter {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the listener, which then ends; had it ended already, nothing would be lost.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.shared.port));
    }
}

impl Shared {
    /// A test that panicked while it looked leaves the state as good as it was.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self, state: &State) -> Duration {
        let (instant, since_epoch) = self.started;
        since_epoch + instant.elapsed() + state.advanced
    }

    fn serve(&self, mut stream: TcpStream, identity: Option<&Identity>) {
        if self.stopping.load(Ordering::SeqCst) {
            return;
        }
        let number = self.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let fault = self.state().faults.for_connection();
        match fault {
            Some(Fault::CloseAtConnect) => return,
            Some(Fault::SayAtConnect(script)) => {
                // A client that leaves early has heard enough.
                let heard = stream.read(&mut [0; 4096]);
                return drop(heard.and_then(|_| script.send(&mut stream, &self.stopping)));
            }
            Some(_) => return self.hang(),
            None => {}
        }
        // Without these options the answers would be the same, only later.
        let _ = stream
            .set_read_timeout(Some(IDLE))
            .and_then(|()| stream.set_nodelay(true));
        let stream = match identity.map(|identity| handshake(stream.try_clone(), identity)) {
            None => Stream::Plain(stream),
            Some(Ok(stream)) => stream,
            Some(Err(err)) => return self.state().failed_handshakes.push(err.to_string()),
        };
        let mut connection = Connection::new(stream);
        loop {
            match connection.read_request() {
                Ok(request) => match self.exchange(&mut connection, &request, number) {
                    Ok(After::KeepAlive) if !self.stopping.load(Ordering::SeqCst) => {}
                    Ok(After::Cut) | Err(_) => return,
                    Ok(_) => return connection.close(),
                },
                Err(Unreadable::Gone) => return,
                Err(Unreadable::Malformed(why)) => {
                    self.state()
                        .service
                        .violations
                        .push(format!("not a request: {why}"));
                    // The client may be gone; the violation is noted either way.
                    let _ =
                        connection.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
                    return connection.close();
                }
            }
        }
    }

    fn exchange(
        &self,
        connection: &mut Connection,
        request: &Request,
        number: usize,
    ) -> io::Result<After> {
        if self.options.control && request.path.starts_with("/_test/") {
            let reply = control::answer(self, request);
            let keep = connection.send(request, &reply, &Delivery::Whole)?;
            return Ok(if keep { After::KeepAlive } else { After::Close });
        }

        let (fault, reply, seen) = self.process(request, number);
        match fault {
            Some(Fault::CloseBefore | Fault::CloseAfter) => return Ok(After::Cut),
            Some(Fault::HangBefore | Fault::HangAfter) => {
                self.hang();
                return Ok(After::Cut);
            }
            Some(Fault::Raw(bytes)) => {
                connection.write(&bytes)?;
                return Ok(After::Close);
            }
            Some(Fault::Say(script)) => {
                script.send(connection.stream(), &self.stopping)?;
                return Ok(After::Close);
            }
            Some(Fault::Delay(pause)) => sleep(pause),
            Some(Fault::Hook(hook)) => hook(&seen),
            Some(Fault::Deliver(delivery)) => {
                sleep(self.options.server_delay);
                let keep = connection.send(request, &reply, &delivery)?;
                let cut = matches!(delivery, Delivery::Truncate(_));
                return Ok(match keep {
                    true => After::KeepAlive,
                    false if cut => After::Cut,
                    false => After::Close,
                });
            }
            _ => {}
        }
        sleep(self.options.server_delay);
        let keep = connection.send(request, &reply, &Delivery::Whole)?;
        Ok(if keep { After::KeepAlive } else { After::Close })
    }

    /// Takes the fault that is due, lets the service answer unless the fault forestalls it, and takes notes.
    fn process(&self, request: &Request, number: usize) -> (Option<Fault>, Reply, Seen) {
        let mut state = self.state();
        let now = self.now(&state);
        let fault = state.faults.for_request(&request.path);
        let host = request.header("host").unwrap_or_default();
        if !self.is_own_host(host) {
            state.service.violations.push(format!(
                "{}: Host {host:?} is not this server",
                request.path
            ));
        }
        let mut reply = match &fault {
            Some(Fault::Answer {
                status,
                headers,
                body,
            }) => Reply {
                status: *status,
                headers: headers.clone(),
                body: body.clone(),
            },
            Some(Fault::Error(error)) => error.reply(),
            Some(Fault::CloseBefore | Fault::HangBefore | Fault::Raw(_) | Fault::Say(_)) => Reply {
                status: 0,
                headers: Vec::new(),
                body: Vec::new(),
            },
            _ if !self.is_own_host(host) => Reply::json(400, "{}".to_string()),
            _ => state.service.answer(request, now),
        };
        let date = http_date(now.as_secs().saturating_add_signed(self.options.date_skew));
        reply.headers.push(("Date".to_string(), date));
        let unanswered = fault.as_ref().is_some_and(Fault::leaves_no_answer);
        let seen = Seen {
            at: now,
            connection: number,
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            status: (!unanswered).then_some(reply.status),
        };
        state.seen.push(seen.clone());
        (fault, reply, seen)
    }

    fn is_own_host(&self, host: &str) -> bool {
        let own = |name: &str| host == format!("{name}:{}", self.port);
        own("localhost")
            || own("127.0.0.1")
            || self
                .options
                .extra_names
                .iter()
                .any(|name| name == host || own(name))
    }

    fn hang(&self) {
        while !self.stopping.load(Ordering::SeqCst) {
            sleep(TICK);
        }
    }
}

/// What becomes of a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    KeepAlive,
    /// With a TLS goodbye.
    Close,
    /// Without one.
    Cut,
}

fn handshake(stream: io::Result<TcpStream>, identity: &Identity) -> io::Result<Stream> {
    let connection =
        ServerConnection::new(Arc::clone(&identity.config)).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream?);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(Stream::Tls(Box::new(stream)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc;

    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    /// What a client gets for these bytes, which ask for the connection's end; `Err` when TLS or the socket fails.
    fn talk(center: &IdentityCenter, request: &str) -> io::Result<String> {
        talk_over(
            TcpStream::connect((Ipv4Addr::LOCALHOST, center.port()))?,
            center,
            request,
        )
    }

    fn talk_over(
        mut socket: TcpStream,
        center: &IdentityCenter,
        request: &str,
    ) -> io::Result<String> {
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(center.ca_pem().as_bytes()).expect("it is PEM"))
            .expect("it is a CA");
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("it is a name");
        let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(err) if answer.is_empty() => Err(err),
            _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
        }
    }

    fn refresh(center: &IdentityCenter, granted: &Granted) -> String {
        let body = format!(
            r#"{{"grantType":"refresh_token","clientId":"{}","clientSecret":"{}","refreshToken":"{}"}}"#,
            granted.client_id, granted.client_secret, granted.refresh_token
        );
        format!(
            "POST /token HTTP/1.1\r\nHost: localhost:{}\r\nUser-Agent: test\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            center.port(),
            body.len()
        )
    }

    #[test]
    fn a_token_is_refreshed_over_tls() {
        for tls_versions in [TlsVersions::Both, TlsVersions::Only12, TlsVersions::Only13] {
            let center = IdentityCenter::start(Options {
                tls_versions,
                ..Options::default()
            });
            let granted = center.sign_in(&SignIn::default());
            let answer = talk(&center, &refresh(&center, &granted)).expect("the server answers");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(!center.is_live_refresh_token(&granted.refresh_token));
            assert_eq!(center.tokens_never_presented().len(), 1);
            assert_eq!(
                center.requests()[0].text("refreshToken"),
                Some(granted.refresh_token)
            );
            assert_eq!(center.violations(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_bad_certificate_is_refused_by_the_client() {
        use Certificate::{Expired, SelfSigned, UnknownCa, WrongHost};
        for certificate in [Expired, WrongHost, SelfSigned, UnknownCa] {
            let center = IdentityCenter::start(Options {
                certificate,
                ..Options::default()
            });
            let granted = center.sign_in(&SignIn::default());
            talk(&center, &refresh(&center, &granted)).expect_err("no client trusts this");
            assert!(
                center.is_live_refresh_token(&granted.refresh_token),
                "{certificate:?}"
            );
        }
    }

    #[test]
    fn faults_do_what_they_say() {
        let center = IdentityCenter::start(Options::default());
        let spent_and_answer = |fault: Fault| {
            let granted = center.sign_in(&SignIn::default());
            center.fault_next(1, fault);
            let answer = talk(&center, &refresh(&center, &granted)).ok();
            (
                !center.is_live_refresh_token(&granted.refresh_token),
                answer,
            )
        };
        assert_eq!(spent_and_answer(Fault::CloseBefore), (false, None));
        assert_eq!(spent_and_answer(Fault::CloseAfter), (true, None));
        assert_eq!(spent_and_answer(Fault::CloseAtConnect), (false, None));
        assert_eq!(spent_and_answer(Fault::HangHandshake), (false, None));
        assert_eq!(spent_and_answer(Fault::HangBefore), (false, None));
        assert_eq!(spent_and_answer(Fault::HangAfter), (true, None));
        assert_eq!(
            spent_and_answer(Fault::Raw(b"no HTTP".to_vec())),
            (false, Some("no HTTP".to_string()))
        );
        for (fault, spent, wanted) in [
            (
                Fault::answer(503, "{}"),
                false,
                "HTTP/1.1 503 Service Unavailable\r\n",
            ),
            (
                Fault::error("invalid_client"),
                false,
                "x-amzn-ErrorType: InvalidClientException:http",
            ),
            (
                Fault::Delay(Duration::from_millis(50)),
                true,
                "\"tokenType\":\"Bearer\"}",
            ),
            (
                Fault::Deliver(Delivery::Chunked),
                true,
                "chunked\r\nConnection: close\r\n\r\n7\r\n{\"acces\r\n",
            ),
            (
                Fault::Deliver(Delivery::Drip(Duration::from_micros(100))),
                true,
                "\"tokenType\":\"Bearer\"}",
            ),
            (
                Fault::Deliver(Delivery::Truncate(5)),
                true,
                "\r\n\r\n{\"acc",
            ),
            (
                Fault::Deliver(Delivery::WrongLength(9)),
                true,
                "Content-Length: 9\r\n",
            ),
        ] {
            let name = format!("{fault:?}");
            let (was_spent, answer) = spent_and_answer(fault);
            assert_eq!(was_spent, spent, "{name}");
            assert!(
                answer
                    .as_ref()
                    .is_some_and(|answer| answer.contains(wanted)),
                "{name}: {answer:?}"
            );
        }
    }

    #[test]
    fn a_hook_runs_between_processing_and_answer() {
        let center = IdentityCenter::start(Options::default());
        let granted = center.sign_in(&SignIn::default());
        let (sender, receiver) = mpsc::channel();
        center.fault_next(
            1,
            Fault::hook(move |seen| sender.send(seen.status).expect("the test listens")),
        );
        talk(&center, &refresh(&center, &granted)).expect("the server answers");
        assert_eq!(receiver.try_recv(), Ok(Some(200)));
    }

    #[test]
    fn the_clock_can_be_driven() {
        let center = IdentityCenter::start(Options::default());
        let granted = center.sign_in(&SignIn::default());
        assert!(center.is_live_access_token(&granted.access_token));
        center.advance(3600);
        assert!(!center.is_live_access_token(&granted.access_token));
        assert!(center.is_live_refresh_token(&granted.refresh_token));
        center.advance(7 * 3600);
        assert!(!center.is_live_refresh_token(&granted.refresh_token));
    }

    #[test]
    fn requests_that_break_the_grammar_are_violations() {
        let center = IdentityCenter::start(Options {
            plain: true,
            ..Options::default()
        });
        let host = format!("Host: localhost:{}", center.port());
        let heads = [
            "GET / HTTP/1.0\r\n".to_string(),
            "GET / HTTP/1.1\r\n".to_string(),
            format!("GET / HTTP/1.1\r\n{host}\r\n{host}\r\n"),
            format!(
                "POST /token HTTP/1.1\r\n{host}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"
            ),
            format!("POST /token HTTP/1.1\r\n{host}\r\nContent-Length: 99999999\r\n"),
            format!("POST /token HTTP/1.1\r\n{host}\r\nExpect: more\r\n"),
            "GET /favicon.ico HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n"
                .to_string(),
        ];
        for (count, head) in heads.iter().enumerate() {
            let mut socket =
                TcpStream::connect((Ipv4Addr::LOCALHOST, center.port())).expect("it listens");
            socket
                .write_all(format!("{head}\r\n").as_bytes())
                .expect("it reads");
            let mut answer = String::new();
            socket.read_to_string(&mut answer).expect("it answers");
            assert!(answer.starts_with("HTTP/1.1 400 "), "{head}{answer}");
            assert_eq!(center.violations().len(), count + 1, "{head}");
        }
    }

    #[test]
    fn one_connection_carries_many_requests_and_chunked_bodies() {
        let center = IdentityCenter::start(Options {
            plain: true,
            ..Options::default()
        });
        let host = format!("Host: localhost:{}", center.port());
        let chunked = format!(
            "POST /token HTTP/1.1\r\n{host}\r\nUser-Agent: t\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n"
        );
        let head = format!("HEAD /device HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n");
        let mut socket =
            TcpStream::connect((Ipv4Addr::LOCALHOST, center.port())).expect("it listens");
        socket
            .write_all(format!("{chunked}{head}").as_bytes())
            .expect("it reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        assert!(
            answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
        assert_eq!(center.requests()[0].body, b"{}");
        assert_eq!(
            center.requests()[0].connection,
            center.requests()[1].connection
        );
    }

    #[test]
    fn a_proxy_leads_to_the_service() {
        let center = IdentityCenter::start(Options::default());
        let map = vec![(
            "oidc.example:443".to_string(),
            format!("127.0.0.1:{}", center.port()),
        )];
        let credentials = Some(("ada".to_string(), "pass".to_string()));
        let proxy = Proxy::start(ProxyOptions { map, credentials });
        let connect = |target: &str, password: &str| {
            let mut socket =
                TcpStream::connect(proxy.url().trim_start_matches("http://")).expect("it listens");
            let request = format!(
                "CONNECT {target} HTTP/1.1\r\nProxy-Authorization: Basic {password}\r\n\r\n"
            );
            socket.write_all(request.as_bytes()).expect("it reads");
            let mut answer = [0; 39];
            let count = socket.read(&mut answer).expect("it answers");
            (
                socket,
                String::from_utf8_lossy(&answer[..count]).into_owned(),
            )
        };
        assert!(
            connect("oidc.example:443", "x")
                .1
                .starts_with("HTTP/1.1 407 ")
        );
        assert!(
            connect("other.example:443", "YWRhOnBhc3M=")
                .1
                .starts_with("HTTP/1.1 403 ")
        );
        let (socket, answer) = connect("oidc.example:443", "YWRhOnBhc3M=");
        assert_eq!(answer, "HTTP/1.1 200 Connection established\r\n\r\n");
        let granted = center.sign_in(&SignIn::default());
        let answer =
            talk_over(socket, &center, &refresh(&center, &granted)).expect("the server answers");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        proxy.fault(Some(ProxyFault::Refuse(502)));
        assert!(
            connect("oidc.example:443", "YWRhOnBhc3M=")
                .1
                .starts_with("HTTP/1.1 502 ")
        );
        let statuses: Vec<_> = proxy
            .connects()
            .iter()
            .map(|connect| connect.status)
            .collect();
        assert_eq!(statuses, [Some(407), Some(403), Some(200), Some(502)]);
    }
}
