//! A small web server on this machine that waits for one particular request, and its own random port.
//!
//! A browser opens connections ahead of need and leaves them idle, asks for icons, and comes back minutes later, so
//! many connections are served at once and none may hold up the others. One loop looks at all of them without
//! blocking: that needs no threads to start, count or stop, and the same loop draws the spinner. What a request means
//! is for the caller to judge.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::system::files;
use crate::system::step::{step, write_all};

/// How often the connections are looked at.
const LOOK: Duration = Duration::from_millis(25);

/// More connections than any browser opens; beyond them the oldest goes.
const VISITORS_MAX: usize = 64;

/// A connection that has not sent a whole request by then was opened ahead of need, and its browser opens another.
const REQUEST_MAX: Duration = Duration::from_secs(5);

/// Largest head of a request. Bytes.
const HEAD_MAX: usize = 16 * 1024;

/// How long an answer may take to leave.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Listens on 127.0.0.1 from the moment it exists.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    port: u16,
}

/// What a request is to the caller.
#[derive(Debug)]
pub enum Verdict<T> {
    /// The one that was waited for.
    Awaited(T),
    /// Any other; this is its answer.
    Other(Vec<u8>),
}

/// The request that was waited for; whoever sent it still waits for an answer.
#[derive(Debug)]
pub struct Caught<T> {
    pub value: T,
    stream: TcpStream,
}

struct Visitor {
    stream: TcpStream,
    since: Instant,
    head: Vec<u8>,
    /// It has its answer. Closing over bytes that it still sends would reset the connection, and the answer with it.
    is_leaving: bool,
}

impl Listener {
    /// # Errors
    /// The system gives no port on the loopback interface.
    pub fn bind() -> Result<Listener, Error> {
        let bound = step("listen").and_then(|()| {
            let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            let port = socket.local_addr()?.port();
            Ok(Listener { socket, port })
        });
        bound.map_err(|error| {
            Error::new("cannot listen on 127.0.0.1", files::why(&error))
                .hint("`aws-sso-refresh login --device-code` needs no port")
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves whoever comes until the awaited request is there (`Some`), `deadline` passes, or `tick`, which is called
    /// about forty times a second, says false.
    pub fn wait<T>(
        &self,
        deadline: Instant,
        judge: impl Fn(&[u8]) -> Verdict<T>,
        mut tick: impl FnMut() -> bool,
    ) -> Option<Caught<T>> {
        let mut visitors: Vec<Visitor> = Vec::new();
        while Instant::now() < deadline && tick() {
            // Of a flood no more than this at once: those who are here already want to be heard.
            for _ in 0..VISITORS_MAX {
                let Ok((stream, _)) = self.socket.accept() else {
                    break;
                };
                if step("accept")
                    .and_then(|()| stream.set_nonblocking(true))
                    .is_err()
                {
                    continue;
                }
                if visitors.len() == VISITORS_MAX {
                    if let Some(caught) = hear(&mut visitors, &judge) {
                        return Some(caught);
                    }
                    visitors.drain(..visitors.len().saturating_sub(VISITORS_MAX - 1));
                }
                visitors.push(Visitor {
                    stream,
                    since: Instant::now(),
                    head: Vec::new(),
                    is_leaving: false,
                });
            }
            if let Some(caught) = hear(&mut visitors, &judge) {
                return Some(caught);
            }
            std::thread::sleep(LOOK);
        }
        None
    }
}

/// Listens to everybody once, without waiting for any.
fn hear<T>(visitors: &mut Vec<Visitor>, judge: &impl Fn(&[u8]) -> Verdict<T>) -> Option<Caught<T>> {
    let mut index = 0;
    while let Some(visitor) = visitors.get_mut(index) {
        match visitor.read() {
            Heard::Nothing => index += 1,
            Heard::Gone => drop(visitors.remove(index)),
            Heard::Request => match judge(&visitor.head) {
                Verdict::Awaited(value) => {
                    let Visitor { stream, .. } = visitors.remove(index);
                    return Some(Caught { value, stream });
                }
                Verdict::Other(bytes) => visitor.see_off(&bytes),
            },
        }
    }
    None
}

impl<T> Caught<T> {
    /// Answers the request that was waited for. A browser that has gone away misses nothing that counts.
    pub fn answer(self, bytes: &[u8]) -> T {
        answer(self.stream, bytes);
        self.value
    }
}

enum Heard {
    Nothing,
    Gone,
    Request,
}

impl Visitor {
    /// Sends an answer that nobody waits for: what does not fit into the connection now is lost.
    fn see_off(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
        let _ = self.stream.shutdown(Shutdown::Write);
        self.is_leaving = true;
    }

    fn read(&mut self) -> Heard {
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Heard::Gone,
                Ok(_) if self.is_leaving => {}
                Ok(_) if step("hear").is_err() => return Heard::Gone,
                Ok(count) => {
                    self.head.extend_from_slice(&bytes[..count]);
                    let is_whole = self.head.windows(4).any(|end| end == b"\r\n\r\n");
                    if is_whole {
                        return Heard::Request;
                    }
                    if self.head.len() > HEAD_MAX {
                        return Heard::Gone;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return match self.since.elapsed() < REQUEST_MAX {
                        true => Heard::Nothing,
                        false => Heard::Gone,
                    };
                }
                Err(_) => return Heard::Gone,
            }
        }
    }
}

/// Sends an answer and takes leave: whatever still arrives is read first (`Visitor::is_leaving` says why).
fn answer(mut stream: TcpStream, bytes: &[u8]) {
    let _ = (|| -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        write_all("answer", &stream, bytes)?;
        stream.shutdown(Shutdown::Write)?;
        stream.set_read_timeout(Some(LOOK))?;
        let mut rest = [0; 4096];
        for _ in 0..4 {
            if stream.read(&mut rest)? == 0 {
                break;
            }
        }
        Ok(())
    })();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What visitors get while the listener waits for `wanted`, and whether it came.
    fn serve(visit: impl FnOnce(u16) + Send, patience: Duration) -> Option<String> {
        let listener = Listener::bind().expect("loopback has a port");
        let port = listener.port();
        std::thread::scope(|scope| {
            scope.spawn(move || visit(port));
            let judge = |head: &[u8]| match head.starts_with(b"GET /wanted ") {
                true => Verdict::Awaited(String::from_utf8_lossy(head).into_owned()),
                false => Verdict::Other(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
            };
            let caught = listener.wait(Instant::now() + patience, judge, || true)?;
            Some(caught.answer(b"HTTP/1.1 200 OK\r\n\r\n"))
        })
    }

    fn ask(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    #[test]
    fn idle_connections_and_other_requests_hold_nobody_up() {
        let started = Instant::now();
        let caught = serve(
            |port| {
                let idle: Vec<TcpStream> = (0..2 * VISITORS_MAX)
                    .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens"))
                    .collect();
                let mut half = &idle[idle.len() - 1];
                half.write_all(b"GET /wan").expect("it reads");
                assert!(ask(port, "GET /favicon.ico HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400"));
                assert!(ask(port, "GET /wanted HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
                drop(idle);
            },
            Duration::from_secs(20),
        );
        assert_eq!(caught.as_deref(), Some("GET /wanted HTTP/1.1\r\n\r\n"));
        assert!(started.elapsed() < REQUEST_MAX);
    }

    #[test]
    fn a_flood_of_others_does_not_push_the_awaited_one_out() {
        let caught = serve(
            |port| {
                let mut open = Vec::new();
                for _ in 0..4 * VISITORS_MAX {
                    let mut stream =
                        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
                    let _ = stream.write_all(b"GET /other HTTP/1.1\r\n\r\n");
                    open.push(stream);
                }
                assert!(ask(port, "GET /wanted HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
            },
            Duration::from_secs(20),
        );
        assert!(caught.is_some());
    }

    #[test]
    fn a_request_may_come_in_pieces() {
        let caught = serve(
            |port| {
                let mut stream =
                    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
                for piece in ["GET /wan", "ted HTTP/1.1\r", "\n\r", "\n"] {
                    stream.write_all(piece.as_bytes()).expect("it reads");
                    std::thread::sleep(2 * LOOK);
                }
            },
            Duration::from_secs(20),
        );
        assert!(caught.is_some());
    }

    #[test]
    fn the_waiting_ends_with_its_time_or_when_told() {
        assert_eq!(serve(|_| {}, Duration::from_millis(60)), None);
        let listener = Listener::bind().expect("loopback has a port");
        let judge = |_: &[u8]| Verdict::<()>::Other(Vec::new());
        let far = Instant::now() + Duration::from_secs(3600);
        assert!(listener.wait(far, judge, || false).is_none());
    }

    #[test]
    fn an_endless_head_is_cut_off() {
        let caught = serve(
            |port| {
                let mut stream =
                    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
                // The listener hangs up on the way, so a write may fail.
                let _ = stream.write_all(&vec![b'x'; 4 * HEAD_MAX]);
                let _ = stream.read(&mut [0; 1]);
                ask(port, "GET /wanted HTTP/1.1\r\n\r\n");
            },
            Duration::from_secs(20),
        );
        assert!(caught.is_some());
    }
}
