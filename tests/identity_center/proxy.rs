//! A CONNECT proxy that leads chosen names to local servers, and fails on demand.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Script;
use super::wire::base64_padded;

const HEAD_MAX: usize = 16 * 1024; // far above any CONNECT
const IDLE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Default)]
pub struct ProxyOptions {
    /// Target as CONNECT names it (`oidc.eu-west-1.amazonaws.com:443`) and the `host:port` it leads to.
    /// The target `*` stands for every other.
    pub map: Vec<(String, String)>,
    /// User and password that Basic authentication must bring.
    pub credentials: Option<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyFault {
    /// This status instead of a tunnel.
    Refuse(u16),
    /// These bytes instead of an answer; none: the connection ends at once.
    Say(Script),
}

/// A request that came to the proxy, CONNECT or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// `None`: a fault left it without a proper answer.
    pub status: Option<u16>,
}

/// A running proxy, which ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

#[derive(Debug)]
struct Shared {
    options: ProxyOptions,
    stopping: AtomicBool,
    connects: Mutex<Vec<Connect>>,
    fault: Mutex<Option<ProxyFault>>,
}

impl Proxy {
    pub fn start(options: ProxyOptions) -> Proxy {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("the listener is bound").port();
        let shared = Arc::new(Shared {
            options,
            stopping: AtomicBool::new(false),
            connects: Mutex::new(Vec::new()),
            fault: Mutex::new(None),
        });
        let proxy = Proxy {
            shared: Arc::clone(&shared),
            port,
        };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A client or a server that goes away ends this tunnel and nothing else.
                thread::spawn(move || drop(shared.serve(client)));
            }
        });
        proxy
    }

    /// `http://127.0.0.1:PORT`, without user and password.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The URL with this user and password, which must need no escaping.
    pub fn url_with(&self, user: &str, password: &str) -> String {
        format!("http://{user}:{password}@127.0.0.1:{}", self.port)
    }

    pub fn connects(&self) -> Vec<Connect> {
        lock(&self.shared.connects).clone()
    }

    /// For every request from now on; `None` for none.
    pub fn fault(&self, fault: Option<ProxyFault>) {
        *lock(&self.shared.fault) = fault;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the listener, which then ends; had it ended already, nothing would be lost.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(IDLE))?;
        let head = read_head(&mut client)?;
        let Some(mut connect) = parse(&head) else {
            return refuse(&mut client, 400);
        };
        let fault = lock(&self.fault).clone();
        let verdict = match &fault {
            None => self.destination(&connect),
            Some(ProxyFault::Refuse(status)) => Err(*status),
            Some(_) => Err(0),
        };
        connect.status = match &verdict {
            Ok(_) => Some(200),
            Err(0) => None,
            Err(status) => Some(*status),
        };
        lock(&self.connects).push(connect);
        match (fault, verdict) {
            (Some(ProxyFault::Say(script)), _) => script.send(&mut client, &self.stopping),
            (_, Err(status)) => refuse(&mut client, status),
            (_, Ok(server)) => {
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
                tunnel(client, server)
            }
        }
    }

    /// The open connection to lead to, or the status that says why there is none.
    fn destination(&self, connect: &Connect) -> Result<TcpStream, u16> {
        if connect.method != "CONNECT" {
            return Err(405);
        }
        if let Some((user, password)) = &self.options.credentials {
            let wanted = format!(
                "Basic {}",
                base64_padded(format!("{user}:{password}").as_bytes())
            );
            let given = connect
                .headers
                .iter()
                .find(|(name, _)| name == "proxy-authorization");
            if given.is_none_or(|(_, value)| *value != wanted) {
                return Err(407);
            }
        }
        let entry = |name: &str| self.options.map.iter().find(|(target, _)| target == name);
        let (_, address) = entry(&connect.target)
            .or_else(|| entry("*"))
            .ok_or(403_u16)?;
        TcpStream::connect(address).map_err(|_| 502)
    }
}

/// Reads byte by byte, so that nothing of what belongs into the tunnel is taken.
fn read_head(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head.len() > HEAD_MAX {
            return Err(io::Error::other("the head is too long"));
        }
    }
    Ok(head)
}

fn parse(head: &[u8]) -> Option<Connect> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).ok()?;
    let headers = request.headers.iter().map(|header| {
        (
            header.name.to_ascii_lowercase(),
            String::from_utf8_lossy(header.value).into_owned(),
        )
    });
    let headers = headers.collect();
    let (method, target) = (request.method?.to_string(), request.path?.to_string());
    Some(Connect {
        method,
        target,
        headers,
        status: None,
    })
}

fn refuse(client: &mut TcpStream, status: u16) -> io::Result<()> {
    let challenge = if status == 407 {
        "Proxy-Authenticate: Basic realm=\"test\"\r\n"
    } else {
        ""
    };
    let head = format!(
        "HTTP/1.1 {status} Refused\r\n{challenge}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes())
}

fn tunnel(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let upstream = thread::spawn(move || {
        // Either side may leave at any time; the other is told.
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    let _ = io::copy(&mut from_server, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Both);
    drop(upstream.join());
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
