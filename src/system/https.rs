//! One HTTPS request and its answer, within one deadline.
//!
//! Resolving, connecting, the proxy, the TLS handshake, sending and receiving share the deadline that the caller
//! gives, and a `Failure` tells whether the request may have reached the server: that decides what may be retried.
//! Redirects are answers, never followed. Building a `Client` costs nothing: a run with nothing due reads no CA
//! bundle and sets up no TLS.
//!
//! Why rustls and not minreq, the obvious small client: version 3.0 of that cannot be given a CA bundle, does not see
//! an upper-case `HTTPS_PROXY`, knows no `NO_PROXY`, sends CONNECT without `Host`, follows redirects with the body by
//! default, and builds aws-lc as a second crypto library; the binary would be larger too (895 kB to 837 kB on static
//! Linux). The AWS CLI honours CA bundles and proxies, many users of AWS SSO sit behind one, and a client that trusts
//! no CA of ours cannot be tested over TLS. ureq 3.5 can do all of it, at 1,034 kB.
//!
//! Left out: keeping connections, resuming TLS sessions, client certificates, revocation lists, SOCKS, HTTP/2.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};

use crate::format::http::{self, Broken, Decoder, Method, Progress, Request, Response};
use crate::format::proxy::{self, Authorization, Proxy, ProxySettings};
use crate::format::text;
use crate::format::url::{Scheme, Url};
use crate::system::files::{self, Found};
use crate::system::step::{step, step_of_write};
use crate::system::{background, crypto};

/// The bundle of every public CA is about 220 KiB; a bundle far larger is some other file.
const CA_BUNDLE_MAX: u64 = 8 * 1024 * 1024;
/// How many addresses of one host are tried: with more, each one's share of the deadline would be too short to use.
const ADDRESSES_MAX: usize = 8;

/// How to get to servers: what the environment and the AWS config say.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Trusted instead of the public authorities.
    pub ca_bundle: Option<CaBundle>,
    pub proxies: ProxySettings,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaBundle {
    /// A file of PEM certificates.
    pub path: PathBuf,
    /// The setting that names it: `AWS_CA_BUNDLE`, or `ca_bundle in /home/ada/.aws/config line 7`.
    pub from: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whether any byte of the request may have reached the server.
    pub sent: bool,
    /// The host, the stage and the reason in one sentence, fit for a terminal; without secrets.
    pub why: String,
    /// The way out, where there is one.
    pub hint: Option<String>,
    /// A setting is wrong, not the network: trying again is no use.
    pub is_misset: bool,
}

impl Failure {
    fn unsent(why: impl Into<String>) -> Failure {
        Failure {
            sent: false,
            why: text::clean(&why.into()),
            hint: None,
            is_misset: false,
        }
    }

    fn misset(why: impl Into<String>) -> Failure {
        Failure {
            is_misset: true,
            ..Failure::unsent(why)
        }
    }

    fn hint(self, hint: impl Into<String>) -> Failure {
        Failure {
            hint: Some(text::clean(&hint.into())),
            ..self
        }
    }
}

/// Sends requests, each over a connection of its own; threads may share it.
#[derive(Debug)]
pub struct Client {
    pub network: Network,
    /// Made for the first request; a CA bundle that cannot be used stays so for the run.
    config: OnceLock<Result<Arc<ClientConfig>, Failure>>,
}

impl Client {
    pub fn new(network: Network) -> Client {
        Client {
            network,
            config: OnceLock::new(),
        }
    }

    /// Asks the server and waits for its whole answer, whatever the status, until `deadline` at most.
    ///
    /// # Errors
    /// The server could not be reached or trusted, the deadline passed, or the answer is not one (`http::Decoder`).
    /// Plain `http` is refused unless the host is loopback and the proxy, where one applies, too.
    pub fn send(&self, request: &Request, deadline: Instant) -> Result<Response, Failure> {
        self.spend(request, deadline, &|| ())
    }

    /// As `send`, of a request that is not to be repeated lightly: `leaving` is called just before its first byte may leave.
    ///
    /// # Errors
    /// As `send`.
    pub fn spend(
        &self,
        request: &Request,
        deadline: Instant,
        leaving: &dyn Fn(),
    ) -> Result<Response, Failure> {
        let url = &request.url;
        let host = url.host_header();
        let proxy = proxy::choose(url, &self.network.proxies)
            .map_err(|unusable| Failure::misset(unusable.to_string()))?;
        let decoder = Decoder::new(request.method);
        let unwritable = |broken| Failure::unsent(format!("{host}: {broken}"));

        if url.scheme == Scheme::Https {
            let bytes = request.encode().map_err(unwritable)?;
            let session = self.session(url, &host)?; // First: a bad CA bundle needs no connection.
            let wire = match &proxy {
                None => Wire::Tcp(connect(url, &host, deadline)?),
                Some(proxy) => self.tunnel(url, proxy, deadline)?,
            };
            let mut wire = Wire::Tls(Box::new(self.tls(session, wire)));
            let sent = Cell::new(false);
            let leaving = || {
                sent.set(true);
                leaving();
            };
            let (answer, _) = exchange(&mut wire, &bytes, decoder, &leaving)
                .map_err(|trouble| trouble.failure(&host, sent.get()))?;
            wire.close();
            Ok(answer)
        } else if !url.is_loopback() {
            Err(Failure::misset(format!(
                "{host}: secrets are not sent over plain http, except to this machine"
            )))
        } else {
            let (first_hop, name, bytes) = match &proxy {
                None => (url, host.clone(), request.encode()),
                // A proxy elsewhere would see the secrets, and its loopback is not ours.
                Some(proxy) if !proxy.url.is_loopback() => {
                    return Err(Failure::misset(format!(
                        "{host}: secrets are not sent over plain http through the proxy in {}",
                        proxy.from
                    ))
                    .hint("set NO_PROXY=localhost,127.0.0.1,[::1]"));
                }
                Some(proxy) => {
                    let authorization = proxy.authorization.as_ref().map(Authorization::expose);
                    let bytes = request.encode_for_proxy(authorization);
                    (&proxy.url, proxy_name(proxy), bytes)
                }
            };
            let bytes = bytes.map_err(unwritable)?;
            let mut wire = self.reach(first_hop, &name, deadline)?;
            let (answer, _) = exchange(&mut wire, &bytes, decoder, leaving)
                .map_err(|trouble| trouble.failure(&name, true))?;
            Ok(answer)
        }
    }

    /// A connection to `url` itself, with TLS where its scheme says so.
    fn reach(&self, url: &Url, name: &str, deadline: Instant) -> Result<Wire, Failure> {
        Ok(match url.scheme {
            Scheme::Http => Wire::Tcp(connect(url, name, deadline)?),
            Scheme::Https => {
                let session = self.session(url, name)?;
                let tcp = connect(url, name, deadline)?;
                Wire::Tls(Box::new(self.tls(session, Wire::Tcp(tcp))))
            }
        })
    }

    /// A connection to the host of `url` through a proxy (RFC 9110, section 9.3.6).
    fn tunnel(&self, url: &Url, proxy: &Proxy, deadline: Instant) -> Result<Wire, Failure> {
        let name = proxy_name(proxy);
        let authorization = proxy.authorization.as_ref().map(Authorization::expose);
        let bytes = http::encode_connect(url, authorization)
            .map_err(|broken| Failure::unsent(format!("{name}: {broken}")))?;
        let mut wire = self.reach(&proxy.url, &name, deadline)?;
        // The answer to CONNECT has no body, like that to HEAD.
        let (answer, surplus) = exchange(&mut wire, &bytes, Decoder::new(Method::Head), &|| ())
            .map_err(|trouble| trouble.failure(&name, false))?;
        let host = url.host_header();
        match answer.status {
            // The server speaks second in TLS: what is here already does not come from it.
            200..=299 if surplus > 0 => Err(Failure::unsent(format!(
                "{name}: the proxy sends more than an answer to CONNECT"
            ))),
            200..=299 => Ok(wire),
            407 if proxy.authorization.is_some() => Err(Failure::unsent(format!(
                "{name}: the proxy refuses the user name and password (status 407)"
            ))
            .hint(format!(
                "check them in {}; special characters are written as %40",
                proxy.from
            ))),
            407 => Err(Failure::unsent(format!(
                "{name}: the proxy asks for a user name and password (status 407)"
            ))
            .hint(format!(
                "set {}=http://USER:PASSWORD@{}",
                proxy.from,
                proxy.url.authority()
            ))),
            403 => Err(Failure::unsent(format!(
                "{name}: the proxy forbids connections to {host} (status 403)"
            ))),
            status => Err(Failure::unsent(format!(
                "{name}: the proxy cannot connect to {host} (status {status})"
            ))),
        }
    }

    /// What is trusted, made ready.
    ///
    /// # Errors
    /// The CA bundle cannot be used.
    pub fn trust(&self) -> Result<Arc<ClientConfig>, Failure> {
        let config = self.config.get_or_init(|| configure(&self.network));
        config.clone()
    }

    fn session(&self, url: &Url, name: &str) -> Result<ClientConnection, Failure> {
        let config = self.trust()?;
        let server = ServerName::try_from(url.host.clone())
            .map_err(|_| Failure::unsent(format!("{name}: its name cannot be in a certificate")))?;
        let mut session = ClientConnection::new(config, server)
            .map_err(|_| Failure::unsent(format!("{name}: TLS cannot begin")))?;
        session.set_buffer_limit(None); // The request is in memory anyway.
        Ok(session)
    }

    fn tls(&self, session: ClientConnection, wire: Wire) -> Tls {
        Tls {
            session,
            wire,
            ca_bundle: self.network.ca_bundle.clone(),
        }
    }
}

fn proxy_name(proxy: &Proxy) -> String {
    format!("{} (from {})", proxy.url.host_header(), proxy.from)
}

/// What bytes go through: a TCP connection, or TLS on top of another wire.
enum Wire {
    Tcp(Tcp),
    Tls(Box<Tls>),
}

impl Wire {
    /// Whatever comes before the first byte of a request.
    fn begin(&mut self) -> io::Result<()> {
        match self {
            Wire::Tcp(_) => Ok(()),
            Wire::Tls(tls) => tls.shake_hands(),
        }
    }

    /// Tells the server that nothing follows (RFC 8446, section 6.1). The answer is here: a failure is no matter.
    fn close(self) {
        if let Wire::Tls(mut tls) = self {
            tls.session.send_close_notify();
            tls.flush().ok();
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Tcp(tcp) => tcp.read(buffer),
            Wire::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Tcp(tcp) => tcp.write(&[IoSlice::new(bytes)]),
            Wire::Tls(tls) => tls.session.writer().write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Wire::Tcp(tcp) => tcp.write(slices),
            Wire::Tls(tls) => tls.session.writer().write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Tcp(_) => Ok(()),
            Wire::Tls(tls) => tls.flush(),
        }
    }
}

/// Sends `request` and reads one answer; says too how many bytes have come after it. `leaving` is called as by `spend`.
fn exchange(
    wire: &mut Wire,
    request: &[u8],
    mut decoder: Decoder,
    leaving: &dyn Fn(),
) -> Result<(Response, usize), Trouble> {
    wire.begin()?;
    leaving();
    wire.write_all(request)?;
    wire.flush()?;
    let mut buffer = [0; 8 * 1024];
    loop {
        match wire.read(&mut buffer) {
            Ok(0) => return Ok((decoder.finish(true)?, 0)),
            Ok(length) => {
                if let Progress::Done { surplus } = decoder.push(&buffer[..length])? {
                    return Ok((decoder.finish(true)?, surplus));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok((decoder.finish(false)?, 0));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What ends an exchange early.
enum Trouble {
    Io(io::Error),
    Broken(Broken),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Trouble {
        Trouble::Broken(broken)
    }
}

impl Trouble {
    fn failure(self, name: &str, sent: bool) -> Failure {
        let (why, hint) = match self {
            Trouble::Broken(broken) => (format!("its answer is broken: {broken}"), None),
            Trouble::Io(error) => {
                match error.get_ref().and_then(|e| e.downcast_ref::<TlsError>()) {
                    Some(problem) => (problem.why.clone(), problem.hint.clone()),
                    None if error.kind() == io::ErrorKind::TimedOut => {
                        ("it did not answer in time".to_string(), None)
                    }
                    None => (reason(&error), None),
                }
            }
        };
        Failure {
            sent,
            hint,
            ..Failure::unsent(format!("{name}: {why}"))
        }
    }
}

/// A TLS error on its way through `io::Error`, already in words.
#[derive(Debug)]
struct TlsError {
    why: String,
    hint: Option<String>,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for TlsError {}

/// The system's words without its number, in lower case: `connection refused`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let text = text
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(text);
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

/// What is left until `deadline`; the system calls take no timeout of zero.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.checked_duration_since(Instant::now()) {
        Some(left) if !left.is_zero() => Ok(left),
        _ => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn connect(url: &Url, name: &str, deadline: Instant) -> Result<Tcp, Failure> {
    let addresses = resolve(url, name, deadline)?;
    connect_to_any(&addresses, deadline).map_err(|why| Failure::unsent(format!("{name}: {why}")))
}

/// The addresses of the host of `url`, in the order to try them.
fn resolve(url: &Url, name: &str, deadline: Instant) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = url.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, url.port)]);
    }
    // The system's resolver takes no deadline and cannot be interrupted: it gives up by itself, after 5 to 30 s.
    let host = (url.host.clone(), url.port);
    let asked = background::begin(move || {
        step("resolve")?;
        host.to_socket_addrs().map(Iterator::collect::<Vec<_>>)
    });
    let found = match asked {
        Ok(asked) => asked
            .wait(deadline)
            .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())),
        Err(error) => Err(error),
    };
    let why = match found {
        Ok(addresses) if !addresses.is_empty() => return Ok(interleaved(&addresses)),
        Ok(_) => "it has no address".to_string(),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            "its name was not resolved in time".to_string()
        }
        Err(error) => format!("its name cannot be resolved: {}", reason(&error)),
    };
    Err(Failure::unsent(format!("{name}: {why}")))
}

/// IPv6 and IPv4 in turn, the family the system put first (RFC 6724) first: where one of them leads nowhere, only
/// every second attempt is lost (RFC 8305, section 4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<SocketAddr>, Vec<SocketAddr>) = addresses
        .iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut order = Vec::new();
    for at in 0..one.len().max(other.len()) {
        order.extend(one.get(at));
        order.extend(other.get(at));
    }
    order.truncate(ADDRESSES_MAX);
    order
}

/// Every address gets an equal share of what is left, and one more share is kept for what follows the connection.
/// With 15 s and four addresses that do not answer: 15/5 = 3 s, then 12/4 = 3 s, 9/3, 6/2, and 3 s remain. One that
/// refuses at once passes its time on: the second then has 15/4 = 3.75 s.
fn connect_to_any(addresses: &[SocketAddr], deadline: Instant) -> Result<Tcp, String> {
    let mut why = "it has no address".to_string();
    for (at, address) in addresses.iter().enumerate() {
        let shares = u32::try_from(addresses.len() - at + 1).unwrap_or(u32::MAX);
        let attempt = step("connect")
            .and_then(|()| left(deadline))
            .and_then(|left| TcpStream::connect_timeout(address, left / shares))
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                Ok(Tcp { stream, deadline })
            });
        let error = match attempt {
            Ok(tcp) => return Ok(tcp),
            Err(error) => error,
        };
        let others = match addresses.len() {
            1 => String::new(),
            count => format!(", the last of its {count} addresses"),
        };
        why = match error.kind() {
            io::ErrorKind::TimedOut => format!("{address}{others} does not answer"),
            _ => format!("cannot connect to {address}{others}: {}", reason(&error)),
        };
    }
    Err(why)
}

/// A TCP connection, each of whose reads and writes ends by the deadline: a server that sends a byte now and then
/// gains nothing by it.
struct Tcp {
    stream: TcpStream,
    deadline: Instant,
}

impl Tcp {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        step("receive")?;
        loop {
            self.stream.set_read_timeout(Some(left(self.deadline)?))?;
            match self.stream.read(buffer) {
                Err(error) if is_to_be_repeated(&error) => (),
                result => return result,
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        step_of_write("send", &self.stream, slices)?;
        loop {
            self.stream.set_write_timeout(Some(left(self.deadline)?))?;
            match self.stream.write_vectored(slices) {
                Err(error) if is_to_be_repeated(&error) => (),
                result => return result,
            }
        }
    }
}

/// A signal, or a timeout of the socket; whether that is also the deadline, `left` says.
fn is_to_be_repeated(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}

/// TLS on top of a wire.
struct Tls {
    session: ClientConnection,
    wire: Wire,
    ca_bundle: Option<CaBundle>,
}

impl Tls {
    /// The last message of the handshake stays in memory, and leaves in one packet with the request.
    fn shake_hands(&mut self) -> io::Result<()> {
        while self.session.is_handshaking() {
            let why = match self.flush().and_then(|()| self.receive()) {
                Ok(true) => continue,
                Ok(false) => "the connection was closed during the TLS handshake".to_string(),
                Err(error) if error.get_ref().is_some() => return Err(error), // already in words
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    "the TLS handshake was not done in time".to_string()
                }
                Err(error) => format!("the TLS handshake failed: {}", reason(&error)),
            };
            return Err(TlsError { why, hint: None }.into());
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                result => return result,
            }
            self.receive()?;
            self.flush()?;
        }
    }

    /// Takes in what the server sent; `false` at its end.
    fn receive(&mut self) -> io::Result<bool> {
        let length = self.session.read_tls(&mut self.wire)?;
        if let Err(error) = self.session.process_new_packets() {
            self.flush().ok(); // The alert that says why.
            return Err(explain(&error, self.ca_bundle.as_ref()));
        }
        Ok(length > 0)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.wire)?;
        }
        self.wire.flush()
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// What is wrong with the server's TLS, in plain words. The release build has no other names for it: those of rustls would
/// cost 13 kB.
fn explain(error: &rustls::Error, ca_bundle: Option<&CaBundle>) -> io::Error {
    use CertificateError as C;
    use rustls::Error as E;
    let why = match error {
        E::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "its certificate has expired"
        }
        E::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "its certificate is not valid yet"
        }
        E::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "its certificate is for another host"
        }
        E::InvalidCertificate(C::UnknownIssuer) => {
            "its certificate comes from an authority that is not trusted"
        }
        E::InvalidCertificate(C::BadSignature) => {
            "its certificate is not signed by the authority it names"
        }
        E::InvalidCertificate(C::InvalidPurpose | C::InvalidPurposeContext { .. }) => {
            "its certificate is not made for a server"
        }
        E::InvalidCertificate(C::BadEncoding) => "its certificate cannot be read",
        E::InvalidCertificate(_) => "its certificate cannot be accepted",
        E::AlertReceived(_) => "the server ended TLS",
        E::InvalidMessage(_) => "it does not speak TLS",
        E::PeerIncompatible(_) => "it speaks no TLS that this program does",
        E::PeerMisbehaved(_) | E::InappropriateMessage { .. } => "it breaks the rules of TLS",
        E::DecryptError => "what it sends was changed on the way",
        _ => "TLS failed",
    };
    let hint = match error {
        E::InvalidCertificate(
            C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. },
        ) => Some("check the clock of this machine".to_string()),
        E::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => Some(trusted(ca_bundle)),
        _ => None,
    };
    let why = match error {
        E::AlertReceived(alert) => format!("{why} (alert {})", u8::from(*alert)), // RFC 8446, section 6
        _ => why.to_string(),
    };
    TlsError { why, hint }.into()
}

/// Which authorities are trusted, or how to trust another.
fn trusted(ca_bundle: Option<&CaBundle>) -> String {
    match ca_bundle {
        Some(bundle) => format!(
            "only the authorities in {} ({}) are trusted",
            bundle.path.display(),
            bundle.from
        ),
        None => "behind a corporate proxy that inspects TLS, set AWS_CA_BUNDLE to a PEM file \
                 with the certificate of its authority"
            .to_string(),
    }
}

fn configure(network: &Network) -> Result<Arc<ClientConfig>, Failure> {
    let roots = match &network.ca_bundle {
        None => RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
        Some(bundle) => read_bundle(bundle).map_err(|why| {
            Failure::misset(format!(
                "the CA bundle {} ({}) cannot be used: {why}",
                bundle.path.display(),
                bundle.from
            ))
        })?,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites and groups for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The certificates of a bundle. One that cannot be parsed is passed over, as in OpenSSL, where another is good.
fn read_bundle(bundle: &CaBundle) -> Result<RootCertStore, String> {
    let pem = match files::read(&bundle.path, CA_BUNDLE_MAX) {
        Found::Bytes(bytes) => bytes,
        Found::Nothing => return Err("no such file".to_string()),
        Found::Unusable(why) => return Err(why),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    if roots.is_empty() {
        return Err("it holds no certificate in PEM form".to_string());
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384,
    };
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion, version};
    use std::fs;
    use std::net::{Shutdown, TcpListener};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use crate::format::base64;

    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];
    /// For servers that hang.
    const SHORT: Duration = Duration::from_millis(300);
    /// For servers that answer, on a busy machine too.
    const LONG: Duration = Duration::from_secs(10);

    /// Sends one POST and compares: status and body, or `sent` and the sentence, its port numbers left out.
    fn check(
        client: &Client,
        url: &str,
        within: Duration,
        expected: Result<(u16, &str), (bool, &str)>,
    ) -> Option<String> {
        let began = Instant::now();
        let request = Request {
            method: Method::Post,
            url: Url::parse(url).expect("a literal"),
            headers: vec![("Content-Type", "application/json".to_string())],
            body: b"{\"refreshToken\": \"tell-nobody\"}".to_vec(),
        };
        let answer = client.send(&request, began + within);
        let took = began.elapsed();
        assert!(took < within + SHORT, "{took:?} instead of {within:?}");
        let hint = answer.as_ref().err().and_then(|f| f.hint.clone());
        let seen = answer
            .map(|response| {
                let body = String::from_utf8_lossy(&response.body).into_owned();
                (response.status, body)
            })
            .map_err(|failure| (failure.sent, without_ports(&failure.why)));
        let expected = expected
            .map(|(status, body)| (status, body.to_string()))
            .map_err(|(sent, why)| (sent, why.to_string()));
        assert_eq!(seen, expected);
        hint
    }

    fn without_ports(text: &str) -> String {
        let mut parts = text.split(':');
        let first = parts.next().unwrap_or_default().to_string();
        parts.fold(first, |text, part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let digits = if digits < 4 { 0 } else { digits };
            format!("{text}:{}", &part[digits..])
        })
    }

    /// A certificate authority, and the bundle with its certificate.
    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
    }

    impl Authority {
        fn new() -> Authority {
            let mut params = CertificateParams::new(Vec::new()).expect("no names");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(DnType::CommonName, unique_name("authority"));
            let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("ring has P-384");
            let certificate = params.self_signed(&key).expect("a good key");
            Authority {
                pem: pem(certificate.der()),
                issuer: Issuer::new(params, key),
            }
        }

        fn server(
            &self,
            versions: &[&'static SupportedProtocolVersion],
            change: impl FnOnce(&mut CertificateParams),
        ) -> Arc<ServerConfig> {
            let mut params =
                CertificateParams::new(vec!["localhost".to_string(), "127.0.0.1".to_string()])
                    .expect("good names");
            change(&mut params);
            let key = KeyPair::generate().expect("ring has P-256");
            let certificate = params.signed_by(&key, &self.issuer).expect("a good key");
            server_config(certificate.der().clone(), &key, versions)
        }

        fn good_server(&self) -> Arc<ServerConfig> {
            self.server(BOTH, |_| ())
        }

        fn bundle(&self) -> Bundle {
            Bundle::new(self.pem.as_bytes())
        }
    }

    fn server_config(
        certificate: CertificateDer<'static>,
        key: &KeyPair,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(versions)
                .expect("known versions")
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key.into())
                .expect("a key that fits");
        Arc::new(config)
    }

    fn pem(der: &[u8]) -> String {
        let text = base64::standard(der);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| str::from_utf8(line).expect("base64 is ASCII"))
            .collect();
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        )
    }

    fn unique_name(what: &str) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("aws-sso-refresh-test-{what}-{}-{count}", std::process::id())
    }

    /// A CA bundle on disk for as long as a test needs it.
    struct Bundle(PathBuf);

    impl Bundle {
        fn new(content: &[u8]) -> Bundle {
            let path = std::env::temp_dir().join(unique_name("ca-bundle"));
            fs::write(&path, content).expect("the temp folder can be written");
            Bundle(path)
        }

        fn client(&self, variables: &[(&str, String)]) -> Client {
            client(Some(&self.0), variables)
        }
    }

    impl Drop for Bundle {
        fn drop(&mut self) {
            fs::remove_file(&self.0).ok();
        }
    }

    fn client(bundle: Option<&PathBuf>, variables: &[(&str, String)]) -> Client {
        Client::new(Network {
            ca_bundle: bundle.map(|path| CaBundle {
                path: path.clone(),
                from: "AWS_CA_BUNDLE".to_string(),
            }),
            proxies: ProxySettings::read(|name| {
                let (_, value) = variables.iter().find(|(set, _)| *set == name)?;
                Some(value.clone())
            }),
        })
    }

    /// Lets `talk` have the first connection to a new port.
    fn server(talk: impl FnOnce(TcpStream) + Send + 'static) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = listener.local_addr().expect("it is bound").port();
        thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            drop(listener);
            talk(stream);
        });
        port
    }

    /// Answers the first request over TLS with `answer` and closes properly.
    fn tls_server(config: Arc<ServerConfig>, answer: &'static [u8]) -> u16 {
        tls_talk(config, move |stream| {
            stream.write_all(answer).ok();
            stream.conn.send_close_notify();
            stream.flush().ok();
        })
    }

    /// Reads the first request over TLS, then lets `talk` answer it.
    fn tls_talk(
        config: Arc<ServerConfig>,
        talk: impl FnOnce(&mut StreamOwned<ServerConnection, TcpStream>) + Send + 'static,
    ) -> u16 {
        server(move |tcp| {
            let session = ServerConnection::new(config).expect("a good configuration");
            let mut stream = StreamOwned::new(session, tcp);
            if read_until(&mut stream, "tell-nobody\"}").is_some() {
                talk(&mut stream);
                stream.sock.shutdown(Shutdown::Write).ok();
                wait_for_end(stream.sock);
            }
        })
    }

    fn read_until(stream: &mut dyn Read, end: &str) -> Option<String> {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            text.push(byte[0]);
        }
        String::from_utf8(text).ok()
    }

    fn wait_for_end(mut stream: TcpStream) {
        io::copy(&mut stream, &mut io::sink()).ok();
    }

    fn url(port: u16) -> String {
        format!("https://localhost:{port}/token")
    }

    #[test]
    fn a_request_is_answered_over_every_version_of_tls() {
        let authority = Authority::new();
        let bundle = authority.bundle();
        for versions in [BOTH, &[&version::TLS12], &[&version::TLS13]] {
            let port = tls_server(authority.server(versions, |_| ()), GOOD);
            check(&bundle.client(&[]), &url(port), LONG, Ok((200, "{}")));
        }
    }

    #[test]
    fn an_ip_address_is_looked_for_in_the_certificate() {
        let authority = Authority::new();
        let port = tls_server(authority.good_server(), GOOD);
        let url = format!("https://127.0.0.1:{port}/");
        check(&authority.bundle().client(&[]), &url, LONG, Ok((200, "{}")));
    }

    #[test]
    fn one_client_serves_several_threads() {
        let authority = Authority::new();
        let bundle = authority.bundle();
        let client = bundle.client(&[]);
        thread::scope(|scope| {
            for _ in 0..4 {
                let port = tls_server(authority.good_server(), GOOD);
                let client = &client;
                scope.spawn(move || check(client, &url(port), LONG, Ok((200, "{}"))));
            }
        });
    }

    #[test]
    fn a_redirect_is_an_answer() {
        let authority = Authority::new();
        let answer =
            b"HTTP/1.1 307 Go\r\nLocation: https://localhost:1/\r\nContent-Length: 0\r\n\r\n";
        let port = tls_server(authority.good_server(), answer);
        let client = authority.bundle();
        check(&client.client(&[]), &url(port), LONG, Ok((307, "")));
    }

    #[test]
    fn a_server_without_the_right_certificate_gets_no_request() {
        let authority = Authority::new();
        let bundle = authority.bundle();
        let expired = authority.server(BOTH, |params| {
            params.not_after = rcgen::date_time_ymd(2001, 2, 3);
        });
        let early = authority.server(BOTH, |params| {
            params.not_before = rcgen::date_time_ymd(2901, 2, 3);
        });
        let elsewhere = authority.server(BOTH, |params| {
            let names = vec!["portal.example".to_string()];
            params.subject_alt_names = CertificateParams::new(names)
                .expect("a good name")
                .subject_alt_names;
        });
        let stranger = Authority::new().good_server();
        let key = KeyPair::generate().expect("ring has P-256");
        let certificate = CertificateParams::new(vec!["localhost".to_string()])
            .and_then(|params| params.self_signed(&key))
            .expect("a good name and key");
        let self_signed = server_config(certificate.der().clone(), &key, BOTH);
        for (config, why) in [
            (expired, "its certificate has expired"),
            (early, "its certificate is not valid yet"),
            (elsewhere, "its certificate is for another host"),
            (
                stranger,
                "its certificate comes from an authority that is not trusted",
            ),
            (
                self_signed,
                "its certificate comes from an authority that is not trusted",
            ),
        ] {
            let port = tls_server(config, GOOD);
            let why = format!("localhost:: {why}");
            check(&bundle.client(&[]), &url(port), LONG, Err((false, &why)));
        }
    }

    #[test]
    fn an_unknown_authority_comes_with_advice() {
        let why = "localhost:: its certificate comes from an authority that is not trusted";
        let port = tls_server(Authority::new().good_server(), GOOD);
        let hint = check(&client(None, &[]), &url(port), LONG, Err((false, why)));
        assert!(hint.is_some_and(|hint| hint.contains("set AWS_CA_BUNDLE")));
        let port = tls_server(Authority::new().good_server(), GOOD);
        let bundle = Authority::new().bundle();
        let hint = check(&bundle.client(&[]), &url(port), LONG, Err((false, why)));
        assert!(hint.is_some_and(|hint| hint.contains("(AWS_CA_BUNDLE) are trusted")));
    }

    #[test]
    fn a_bundle_replaces_the_public_authorities() {
        let bundle = Authority::new().bundle();
        let roots = |client: &Client| {
            configure(&client.network).expect("a good bundle");
            match &client.network.ca_bundle {
                Some(bundle) => read_bundle(bundle).map(|roots| roots.len()),
                None => Ok(webpki_roots::TLS_SERVER_ROOTS.len()),
            }
        };
        assert_eq!(roots(&bundle.client(&[])), Ok(1));
        assert!(roots(&client(None, &[])).is_ok_and(|count| count > 50));
    }

    #[test]
    fn one_good_certificate_makes_a_bundle() {
        let authority = Authority::new();
        let broken = pem(b"not DER");
        let content = format!(
            "a comment\n{broken}-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n{}{broken}",
            authority.pem
        );
        let port = tls_server(authority.good_server(), GOOD);
        let bundle = Bundle::new(content.as_bytes());
        check(&bundle.client(&[]), &url(port), LONG, Ok((200, "{}")));
    }

    #[test]
    fn a_bundle_that_cannot_be_used_is_named_before_anything_is_sent() {
        let missing = Bundle(PathBuf::from("/nonexistent/ca.pem"));
        let no_file = Bundle(PathBuf::from("/"));
        let none = "it holds no certificate in PEM form";
        for (bundle, why) in [
            (missing, "no such file"),
            (no_file, "it is a folder"),
            (Bundle::new(b""), none),
            (Bundle::new(b"\x30\x82\x01"), none),
            (Bundle::new(pem(b"not DER").as_bytes()), none),
        ] {
            let port = server(wait_for_end);
            let path = bundle.0.display();
            let why = format!("the CA bundle {path} (AWS_CA_BUNDLE) cannot be used: {why}");
            check(&bundle.client(&[]), &url(port), LONG, Err((false, &why)));
        }
    }

    #[test]
    fn a_port_that_nobody_listens_on_is_said() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let url = format!("https://127.0.0.1:{port}/");
        let why = "127.0.0.1:: cannot connect to 127.0.0.1:: connection refused";
        check(&client(None, &[]), &url, LONG, Err((false, why)));
    }

    #[test]
    fn a_name_that_does_not_exist_is_said() {
        let request = Url::parse("https://nobody.invalid/").expect("a literal");
        let failure = resolve(&request, "nobody.invalid", Instant::now() + LONG)
            .expect_err("RFC 6761 keeps .invalid free");
        assert!(!failure.sent);
        assert!(
            failure.why.starts_with("nobody.invalid: its name "),
            "{failure:?}"
        );
    }

    #[test]
    fn a_deadline_that_has_passed_is_kept() {
        let client = client(None, &[]);
        let why = "127.0.0.1:: 127.0.0.1: does not answer";
        let url = "https://127.0.0.1:1024/";
        check(&client, url, Duration::ZERO, Err((false, why)));
        // The resolver is asked all the same, and may be quicker than this thread.
        let name = Url::parse("https://localhost:1024/").expect("a literal");
        let failure = resolve(&name, "localhost", Instant::now()).map(|addresses| addresses.len());
        let why = failure.map_err(|failure| failure.why);
        assert!(
            why.is_ok() || why == Err("localhost: its name was not resolved in time".to_string()),
            "{why:?}"
        );
    }

    #[test]
    fn a_server_may_hang_at_every_stage_and_does_not_hold_the_run() {
        let authority = Authority::new();
        let bundle = authority.bundle();
        let client = bundle.client(&[]);
        let port = server(wait_for_end);
        let why = "localhost:: the TLS handshake was not done in time";
        check(&client, &url(port), SHORT, Err((false, why)));

        let why = "localhost:: it did not answer in time";
        for answer in [
            b"".as_slice(),
            b"HTTP/1.1 200 OK\r\nContent-Len",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{",
        ] {
            let port = tls_talk(authority.good_server(), move |stream| {
                stream.write_all(answer).ok();
                thread::sleep(2 * SHORT);
            });
            check(&client, &url(port), SHORT, Err((true, why)));
        }
        let port = tls_talk(authority.good_server(), |stream| {
            for byte in &GOOD[..GOOD.len() - 1] {
                if stream.write_all(&[*byte]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        check(&client, &url(port), SHORT, Err((true, why)));
    }

    /// Fills the queue of a listener that accepts nobody: on Linux, further connections then get no answer at all.
    #[cfg(target_os = "linux")]
    fn dead_address() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let attempt = || TcpStream::connect_timeout(&address, Duration::from_millis(50));
        let queue = std::iter::from_fn(|| attempt().ok()).take(5_000).collect();
        (address, listener, queue)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_host_that_does_not_answer_leaves_time_for_its_other_addresses() {
        let (dead, _listener, _queue) = dead_address();
        let url = format!("https://{dead}/");
        let why = "127.0.0.1:: 127.0.0.1: does not answer";
        check(&client(None, &[]), &url, SHORT, Err((false, why)));

        let good: SocketAddr = ([127, 0, 0, 1], server(wait_for_end)).into();
        let began = Instant::now();
        let tcp = connect_to_any(&[dead, good], began + 3 * SHORT).expect("the second is good");
        assert_eq!(tcp.stream.peer_addr().ok(), Some(good));
        assert!(began.elapsed() < 2 * SHORT);
    }

    #[test]
    fn the_families_of_addresses_take_turns() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("a literal");
        let order = |list: &[&str]| {
            let list: Vec<SocketAddr> = list.iter().map(|text| address(text)).collect();
            let ports: Vec<u16> = interleaved(&list).iter().map(SocketAddr::port).collect();
            ports
        };
        assert_eq!(
            order(&["[::1]:1", "[::1]:2", "[::1]:3", "1.1.1.1:4", "1.1.1.1:5"]),
            [1, 4, 2, 5, 3]
        );
        assert_eq!(order(&["1.1.1.1:1", "[::1]:2", "[::1]:3"]), [1, 2, 3]);
        assert_eq!(order(&["1.1.1.1:1"; 20]).len(), ADDRESSES_MAX);
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn an_answer_that_is_cut_short_is_not_an_answer() {
        let authority = Authority::new();
        let bundle = authority.bundle();
        for (answer, closes_properly, expected) in [
            (GOOD, false, Ok((200, "{}"))),
            (
                b"HTTP/1.1 200 OK\r\n\r\n{}".as_slice(),
                true,
                Ok((200, "{}")),
            ),
            (
                b"HTTP/1.1 200 OK\r\n\r\n{}",
                false,
                Err("the answer is cut short"),
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
                true,
                Err("the answer is cut short"),
            ),
            (
                b"",
                true,
                Err("the connection was closed without an answer"),
            ),
            (
                b"",
                false,
                Err("the connection was closed without an answer"),
            ),
            (b"SSH-2.0", true, Err("it is not HTTP/1")),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n",
                true,
                Err("it is larger than 64 KiB"),
            ),
        ] {
            let port = tls_talk(authority.good_server(), move |stream| {
                stream.write_all(answer).ok();
                if closes_properly {
                    stream.conn.send_close_notify();
                }
                stream.flush().ok();
            });
            let why = format!(
                "localhost:: its answer is broken: {}",
                expected.err().unwrap_or_default()
            );
            let expected = expected.map_err(|_| (true, why.as_str()));
            check(&bundle.client(&[]), &url(port), LONG, expected);
        }
    }

    #[test]
    fn a_server_that_does_not_speak_tls_gets_no_request() {
        let bundle = Authority::new().bundle();
        let why = "localhost:: the connection was closed during the TLS handshake";
        let port = server(|mut tcp| {
            tcp.read_exact(&mut [0; 100]).ok();
            tcp.shutdown(Shutdown::Write).ok();
            wait_for_end(tcp);
        });
        check(&bundle.client(&[]), &url(port), LONG, Err((false, why)));
        let why = "localhost:: it does not speak TLS";
        let port = server(|mut tcp| {
            tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
            wait_for_end(tcp);
        });
        check(&bundle.client(&[]), &url(port), LONG, Err((false, why)));
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let port = server(|mut tcp| {
            read_until(&mut tcp, "tell-nobody\"}");
            tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n{}").ok();
        });
        let url = format!("http://localhost:{port}/token");
        check(&client(None, &[]), &url, LONG, Ok((200, "{}")));
        let why = "example.com: secrets are not sent over plain http, except to this machine";
        let url = "http://example.com/token";
        check(&client(None, &[]), url, LONG, Err((false, why)));
    }

    /// A proxy that sends `answer` to CONNECT and then passes everything on to `target`; its port, and what it was
    /// asked.
    fn proxy(answer: &'static [u8], target: u16) -> (u16, mpsc::Receiver<String>) {
        let (sender, receiver) = mpsc::channel();
        let port = server(move |tcp| talk_as_proxy(tcp, answer, target, &sender));
        (port, receiver)
    }

    fn talk_as_proxy(mut tcp: TcpStream, answer: &[u8], target: u16, asked: &mpsc::Sender<String>) {
        if let Some(head) = read_until(&mut tcp, "\r\n\r\n") {
            asked.send(head).ok();
        }
        tcp.write_all(answer).ok();
        let Ok(mut onward) = TcpStream::connect(("127.0.0.1", target)) else {
            return wait_for_end(tcp);
        };
        let (Ok(mut onward_too), Ok(mut tcp_too)) = (onward.try_clone(), tcp.try_clone()) else {
            return;
        };
        thread::spawn(move || {
            io::copy(&mut onward_too, &mut tcp_too).ok();
            tcp_too.shutdown(Shutdown::Write).ok();
        });
        io::copy(&mut tcp, &mut onward).ok();
        onward.shutdown(Shutdown::Write).ok();
    }

    #[test]
    fn a_proxy_is_asked_for_a_tunnel_with_decoded_credentials() {
        let authority = Authority::new();
        let target = tls_server(authority.good_server(), GOOD);
        let (port, asked) = proxy(b"HTTP/1.1 200 Connection established\r\n\r\n", target);
        let variable = (
            "HTTPS_PROXY",
            format!("http://d%5Cada:p%40ss@localhost:{port}"),
        );
        let bundle = authority.bundle();
        check(
            &bundle.client(&[variable]),
            &url(target),
            LONG,
            Ok((200, "{}")),
        );
        let head = asked.recv().expect("the proxy was asked");
        let authorization = base64::standard(b"d\\ada:p@ss");
        assert!(head.starts_with(&format!(
            "CONNECT localhost:{target} HTTP/1.1\r\nHost: localhost:{target}\r\n"
        )));
        assert!(head.contains(&format!(
            "\r\nProxy-Authorization: Basic {authorization}\r\n"
        )));
    }

    /// Passes on what is there; `false` at the end.
    fn pass_on(from: &mut dyn Read, to: &mut dyn Write) -> bool {
        let mut buffer = [0; 16 * 1024];
        match from.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => to.write_all(&buffer[..length]).is_ok(),
            Err(error) => is_to_be_repeated(&error),
        }
    }

    #[test]
    fn a_proxy_may_be_reached_over_tls_itself() {
        let authority = Authority::new();
        let target = tls_server(authority.good_server(), GOOD);
        let config = authority.good_server();
        let port = server(move |tcp| {
            let session = ServerConnection::new(config).expect("a good configuration");
            let mut outer = StreamOwned::new(session, tcp);
            read_until(&mut outer, "\r\n\r\n");
            outer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
            let Ok(mut onward) = TcpStream::connect(("127.0.0.1", target)) else {
                return;
            };
            let pause = Some(Duration::from_millis(10));
            outer.sock.set_read_timeout(pause).ok();
            onward.set_read_timeout(pause).ok();
            while pass_on(&mut outer, &mut onward) && pass_on(&mut onward, &mut outer) {}
        });
        let variable = ("https_proxy", format!("https://localhost:{port}"));
        let bundle = authority.bundle();
        check(
            &bundle.client(&[variable]),
            &url(target),
            LONG,
            Ok((200, "{}")),
        );
    }

    #[test]
    fn a_proxy_that_does_not_connect_is_named_and_nothing_is_sent() {
        let bundle = Authority::new().bundle();
        for (answer, user, why) in [
            (
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nhello"
                    .as_slice(),
                "",
                "the proxy asks for a user name and password (status 407)",
            ),
            (
                b"HTTP/1.1 407 No\r\n\r\n",
                "ada:secret@",
                "the proxy refuses the user name and password (status 407)",
            ),
            (
                b"HTTP/1.1 403 Forbidden\r\n\r\n",
                "",
                "the proxy forbids connections to localhost: (status 403)",
            ),
            (
                b"HTTP/1.0 502 Bad Gateway\r\n\r\n",
                "",
                "the proxy cannot connect to localhost: (status 502)",
            ),
            (
                b"HTTP/1.1 200 OK\r\n\r\nSurprise",
                "",
                "the proxy sends more than an answer to CONNECT",
            ),
            (
                b"\x15\x03\x03",
                "",
                "its answer is broken: it is not HTTP/1",
            ),
        ] {
            let (port, _) = proxy(answer, 1);
            let variable = ("HTTPS_PROXY", format!("http://{user}localhost:{port}"));
            let why = format!("localhost: (from HTTPS_PROXY): {why}");
            let client = bundle.client(&[variable]);
            let hint = check(&client, &url(1024), LONG, Err((false, &why)));
            assert!(hint.is_none_or(|hint| !hint.contains("secret")));
        }
    }

    #[test]
    fn a_proxy_that_hangs_does_not_hold_the_run() {
        let (port, _) = proxy(b"HTTP/1.1 200 O", 1);
        let client = client(None, &[("HTTPS_PROXY", format!("localhost:{port}"))]);
        let why = "localhost: (from HTTPS_PROXY): it did not answer in time";
        check(&client, &url(1024), SHORT, Err((false, why)));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_not_repeated() {
        let value = "socks5://ada:secret@localhost".to_string();
        let client = client(None, &[("HTTPS_PROXY", value)]);
        let why = "the proxy in HTTPS_PROXY cannot be used: SOCKS is not supported, only http:// and https://";
        check(&client, &url(1024), LONG, Err((false, why)));
    }

    #[test]
    fn plain_http_goes_through_a_proxy_of_this_machine_only() {
        let (port, asked) = proxy(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 1);
        let variable = ("http_proxy", format!("http://ada:x@127.0.0.1:{port}"));
        let url = "http://localhost:1024/token";
        check(&client(None, &[variable]), url, LONG, Ok((200, "{}")));
        let head = asked.recv().expect("the proxy was asked");
        assert!(head.starts_with("POST http://localhost:1024/token HTTP/1.1\r\n"));
        assert!(head.contains("\r\nProxy-Authorization: Basic YWRhOng=\r\n"));

        let variable = ("http_proxy", "proxy.example:3128".to_string());
        let why =
            "localhost:: secrets are not sent over plain http through the proxy in http_proxy";
        let hint = check(&client(None, &[variable]), url, LONG, Err((false, why)));
        assert!(hint.is_some_and(|hint| hint.contains("NO_PROXY")));
    }

    #[test]
    fn nothing_is_read_before_the_first_request() {
        let missing = PathBuf::from("/nonexistent/ca.pem");
        assert!(client(Some(&missing), &[]).config.get().is_none());
    }

    #[test]
    fn the_system_is_quoted_without_numbers() {
        for (error, expected) in [
            (
                io::Error::other("Connection refused (os error 111)"),
                "connection refused",
            ),
            (
                io::Error::other("failed to lookup address information: Name or service not known"),
                "name or service not known",
            ),
            (io::Error::other(""), ""),
        ] {
            assert_eq!(reason(&error), expected);
        }
    }
}
