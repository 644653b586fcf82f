//! How much is tried: a sample in `make test`, everything and more of it in `make torture`; and what came of it, counted.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Mutex;

/// How many times as much as usual `make torture` asks for; `None` in `make test`, which has a minute or two.
pub fn torture() -> Option<u32> {
    let asked = std::env::var("TORTURE").ok()?;
    Some(asked.parse().expect("TORTURE is a whole number"))
}

/// Whether there is time for a test that takes longer than a few seconds.
pub fn has_time(test: &str) -> bool {
    if torture().is_none() {
        crate::world::skipped(&format!(
            "{test}: it takes a minute, so `make torture` has it"
        ));
    }
    torture().is_some()
}

/// `short` in `make test`; in `make torture` `long`, times what it asks for.
pub fn rounds(short: u32, long: u32) -> u32 {
    torture().map_or(short, |scale| long * scale)
}

/// Counts `count` of `what`: a line of the table that `make torture` ends with.
pub fn tally(what: &str, count: usize, outcome: &str) {
    eprintln!("{what}: {count}; {outcome}");
    if let Some(path) = std::env::var_os("TORTURE_TALLY") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let line = format!("{what}\t{count}\t{outcome}\n");
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("TORTURE_TALLY can be written");
    }
}

/// Does `work` with each item, so many `at_once`, and gives back what came of each, in order.
///
/// # Panics
/// Something went wrong with some of them: all of it is told.
pub fn each<T: Sync, R: Send>(
    items: &[T],
    at_once: usize,
    work: impl Fn(&T) -> Result<R, String> + Sync,
) -> Vec<R> {
    let next = Mutex::new(items.iter().enumerate());
    let done = Mutex::new(Vec::new());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let item = next.lock().expect("nobody panics").next();
                    let Some((index, item)) = item else { break };
                    match work(item) {
                        Ok(result) => done.lock().expect("nobody panics").push((index, result)),
                        Err(why) => failures.lock().expect("nobody panics").push(why),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody panics");
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        items.len(),
        failures.join("\n")
    );
    let mut done = done.into_inner().expect("nobody panics");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
