//! Signals that end a refresh wait while it is owed what its refresh token has bought.
//!
//! Ctrl-C, a terminal that is closed, `kill`, and the SIGTERM that launchd and systemd send to what they stop would end
//! the process at once, also between a request that spends a refresh token and the moment at which the new one is on the
//! disk. They are blocked in every thread; one takes them (`sigwait` of POSIX), waits for whatever is owed, and lets the
//! signal do what it would have done. A request has its deadline, and so none of them waits for ever; SIGKILL waits for
//! nothing, and for a login or a logout no signal does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};

const ENDING: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// Read by each that is owed something, written by the thread that would end the process.
static OWED: RwLock<()> = RwLock::new(());

static HAS_COME: AtomicBool = AtomicBool::new(false);

/// While it lives, signals wait for what is owed, in the thread that made it and in those that this has started since.
#[derive(Debug)]
pub struct Held(Option<SigSet>);

/// Puts off what ends the process, before any other thread is started. Where the system gives no thread, nothing is put
/// off.
pub fn hold() -> Held {
    let mut ending = SigSet::empty();
    ENDING.into_iter().for_each(|signal| ending.add(signal));
    let held = Held(ending.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok());
    let waits = thread::Builder::new().spawn(move || {
        while let Ok(signal) = ending.wait() {
            HAS_COME.store(true, Ordering::Relaxed);
            let _all = OWED.write().unwrap_or_else(PoisonError::into_inner);
            // One that whoever started this has switched off, as `nohup` does, does nothing now either.
            let _ = ending.thread_unblock().and_then(|()| raise(signal));
            HAS_COME.store(false, Ordering::Relaxed);
            let _ = ending.thread_block();
        }
    });
    match waits {
        Ok(_) => held,
        Err(_) => Held(None),
    }
}

impl Drop for Held {
    /// Not before a signal that has come has had its way.
    fn drop(&mut self) {
        while has_come() {
            thread::sleep(Duration::from_millis(1));
        }
        if let Some(before) = self.0 {
            let _ = before.thread_set_mask();
        }
    }
}

/// What a request may have bought and is not on the disk yet.
pub type Owed = RwLockReadGuard<'static, ()>;

/// To be kept from before a refresh token leaves until what it buys is on the disk.
pub fn owe() -> Owed {
    OWED.read().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the process will end as soon as nothing is owed.
pub fn has_come() -> bool {
    HAS_COME.load(Ordering::Relaxed)
}
