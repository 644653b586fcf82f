//! Points at which a test lets a run fail or die: every operation on the disk and on the network passes one.
//!
//! Only debug builds have them; in a release build a step is nothing. `AWS_SSO_REFRESH_STEP=7:error` lets the seventh
//! one fail; `7:short` lets it fail as on a disk that has become full, with half of what is written put down; `7:abort`
//! ends the process there, `rename:abort` at those of that name; `0:list` names them all on standard error. SQLite is
//! tested in this way.

use std::io::{self, IoSlice, Write};

/// Passes the next point.
///
/// # Errors
/// This one was to fail.
#[cfg(debug_assertions)]
pub fn step(name: &str) -> io::Result<()> {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: OnceLock<Option<(String, String)>> = OnceLock::new();
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    let chosen = CHOSEN.get_or_init(|| {
        let chosen = std::env::var("AWS_SSO_REFRESH_STEP").ok()?;
        let (number, how) = chosen.split_once(':')?;
        Some((number.to_string(), how.to_string()))
    });
    let Some((number, how)) = chosen else {
        return Ok(());
    };
    let taken = TAKEN.fetch_add(1, Ordering::SeqCst) + 1;
    if how == "list" {
        eprintln!("step {taken}: {name}");
    }
    if *number != taken.to_string() && number != name {
        return Ok(());
    }
    eprintln!("simulated failure at step {taken}: {name}");
    const WHY: &str = "simulated failure";
    match how.as_str() {
        "abort" => std::process::abort(),
        "short" => Err(io::Error::new(SHORT, WHY)),
        _ => Err(io::Error::other(WHY)),
    }
}

/// Nothing, in a release build.
///
/// # Errors
/// None.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn step(_name: &str) -> io::Result<()> {
    Ok(())
}

/// How a step fails that puts half of its bytes down.
const SHORT: io::ErrorKind = io::ErrorKind::StorageFull;

/// Passes a point at which `slices` are about to be written to `to`.
///
/// # Errors
/// This one was to fail.
pub fn step_of_write(name: &str, mut to: impl Write, slices: &[IoSlice<'_>]) -> io::Result<()> {
    step(name).inspect_err(|failure| {
        if failure.kind() == SHORT {
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let _ = to.write_all(&bytes[..bytes.len() / 2]);
        }
    })
}

/// `Write::write_all`, as a step.
///
/// # Errors
/// As there, or this step was to fail.
pub fn write_all(name: &str, mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    step_of_write(name, &mut to, &[IoSlice::new(bytes)])?;
    to.write_all(bytes)
}
