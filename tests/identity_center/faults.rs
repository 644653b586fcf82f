//! Faults on demand: what goes wrong, for which path and how often.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::{Delivery, OAuthError, Seen, TICK};

/// Bytes that a server or a proxy sends instead of what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub bytes: Vec<u8>,
    /// Before each byte; none: all of them at once.
    pub pause: Duration,
    /// Silence follows, and not the end.
    pub stays: bool,
}

impl Script {
    pub fn all(bytes: impl Into<Vec<u8>>) -> Script {
        Script {
            bytes: bytes.into(),
            pause: Duration::ZERO,
            stays: false,
        }
    }

    pub fn dripped(self, pause: Duration) -> Script {
        Script { pause, ..self }
    }

    pub fn then_silence(self) -> Script {
        Script {
            stays: true,
            ..self
        }
    }

    /// Sends the bytes, as long as anybody wants them.
    ///
    /// # Errors
    /// The client has gone.
    pub fn send(&self, to: &mut impl Write, stopping: &AtomicBool) -> io::Result<()> {
        if self.pause.is_zero() {
            to.write_all(&self.bytes)?;
            to.flush()?;
        } else {
            for byte in &self.bytes {
                sleep(self.pause);
                to.write_all(&[*byte])?;
                to.flush()?;
                if stopping.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
        while self.stays && !stopping.load(Ordering::SeqCst) {
            sleep(TICK);
        }
        Ok(())
    }
}

#[derive(Clone)]
pub enum Fault {
    /// The request is processed at once and answered late.
    Delay(Duration),
    /// This answer instead of the service's own, which never sees the request.
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// This error instead of the service's own answer.
    Error(OAuthError),
    /// These bytes instead of an answer, and then the end.
    Raw(Vec<u8>),
    /// As `Raw`, slowly or with silence after it.
    Say(Script),
    /// The connection is taken, the client's first bytes are read, and these come instead of TLS.
    SayAtConnect(Script),
    /// The service's own answer, sent in an unusual or broken way.
    Deliver(Delivery),
    /// The connection ends before the request is processed.
    CloseBefore,
    /// The request is processed (a refresh token spent) and the answer is lost.
    CloseAfter,
    /// Silence; the request is not processed.
    HangBefore,
    /// Silence; the request is processed.
    HangAfter,
    /// Runs after the request was processed and before its answer is sent.
    Hook(Arc<dyn Fn(&Seen) + Send + Sync>),
    /// The connection is taken and ends at once.
    CloseAtConnect,
    /// The connection is taken and nothing more happens.
    HangHandshake,
}

impl Fault {
    pub fn hook(hook: impl Fn(&Seen) + Send + Sync + 'static) -> Fault {
        Fault::Hook(Arc::new(hook))
    }

    /// A JSON answer of this status.
    pub fn answer(status: u16, body: &str) -> Fault {
        let headers = vec![("Content-Type".to_string(), "application/json".to_string())];
        Fault::Answer {
            status,
            headers,
            body: body.as_bytes().to_vec(),
        }
    }

    /// The standard error of this name, such as `slow_down`.
    pub fn error(name: &str) -> Fault {
        Fault::Error(OAuthError::named(name, "by request of the test"))
    }

    pub fn leaves_no_answer(&self) -> bool {
        use Fault::{CloseAfter, CloseBefore, HangAfter, HangBefore, Raw, Say};
        matches!(
            self,
            CloseBefore | CloseAfter | HangBefore | HangAfter | Raw(_) | Say(_)
        )
    }

    fn is_of_connection(&self) -> bool {
        use Fault::{CloseAtConnect, HangHandshake, SayAtConnect};
        matches!(self, CloseAtConnect | HangHandshake | SayAtConnect(_))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Fault::Delay(_) => "Delay",
            Fault::Answer { .. } => "Answer",
            Fault::Error(_) => "Error",
            Fault::Raw(_) => "Raw",
            Fault::Say(_) => "Say",
            Fault::SayAtConnect(_) => "SayAtConnect",
            Fault::Deliver(_) => "Deliver",
            Fault::CloseBefore => "CloseBefore",
            Fault::CloseAfter => "CloseAfter",
            Fault::HangBefore => "HangBefore",
            Fault::HangAfter => "HangAfter",
            Fault::Hook(_) => "Hook",
            Fault::CloseAtConnect => "CloseAtConnect",
            Fault::HangHandshake => "HangHandshake",
        };
        f.write_str(name)
    }
}

#[derive(Debug)]
struct Planned {
    path: String,
    left: Option<usize>,
    fault: Fault,
}

/// The faults still to come; each request takes the oldest one that fits it.
#[derive(Debug, Default)]
pub struct Faults(Vec<Planned>);

impl Faults {
    pub fn add(&mut self, path: &str, times: Option<usize>, fault: Fault) {
        self.0.push(Planned {
            path: path.to_string(),
            left: times,
            fault,
        });
    }

    pub fn for_request(&mut self, path: &str) -> Option<Fault> {
        self.take(|planned| !planned.fault.is_of_connection() && planned.path == path)
    }

    pub fn for_connection(&mut self) -> Option<Fault> {
        self.take(|planned| planned.fault.is_of_connection())
    }

    fn take(&mut self, fits: impl Fn(&Planned) -> bool) -> Option<Fault> {
        let planned = self
            .0
            .iter_mut()
            .find(|planned| planned.left != Some(0) && fits(planned))?;
        planned.left = planned.left.map(|left| left - 1);
        Some(planned.fault.clone())
    }
}
