//! Work on another thread whose outcome is waited for until a deadline, or looked at now and then.
//!
//! For what the system lets nobody interrupt: its resolver, the pipes of a command, the start of a browser. A thread
//! that is held up is left behind; it ends when the system lets it go, or with the process. The standard library's
//! channels would do the same with 20 kB more.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// An outcome that is there or will be.
#[derive(Debug)]
pub struct Pending<T>(Arc<Mutex<Option<T>>>);

/// Begins `work`; the thread that begins it is the one that may wait for it.
///
/// # Errors
/// The system gives no thread.
pub fn begin<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Pending<T>> {
    let slot = Arc::new(Mutex::new(None));
    let (outcome, waiting) = (Arc::clone(&slot), thread::current());
    spawn(
        Box::new(move || {
            let done = work();
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        }),
        waiting,
    )?;
    Ok(Pending(slot))
}

/// One copy of what the standard library does for every kind of work.
fn spawn(work: Box<dyn FnOnce() + Send>, waiting: Thread) -> io::Result<()> {
    let started = thread::Builder::new().spawn(move || {
        work();
        waiting.unpark();
    });
    started.map(|_| ())
}

impl<T> Pending<T> {
    /// The outcome, once, as soon as it is there.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Sleeps for `pause`, or less where the outcome comes before.
    pub fn rest(&self, pause: Duration) {
        let is_here = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        if is_here {
            thread::sleep(pause);
        } else {
            thread::park_timeout(pause);
        }
    }

    /// Waits for the outcome; `None`: the deadline passed.
    pub fn wait(&self, deadline: Instant) -> Option<T> {
        loop {
            if let Some(outcome) = self.take() {
                return Some(outcome);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_had_once_and_a_late_one_is_not_waited_for() {
        let long = Instant::now() + Duration::from_secs(60);
        let quick = begin(|| 7).expect("a thread");
        assert_eq!((quick.wait(long), quick.take()), (Some(7), None));
        let slow = begin(|| thread::sleep(Duration::from_secs(60))).expect("a thread");
        let started = Instant::now();
        assert_eq!(slow.wait(started + Duration::from_millis(30)), None);
        assert!(started.elapsed() >= Duration::from_millis(30));
        assert_eq!(slow.wait(started), None);
    }
}
