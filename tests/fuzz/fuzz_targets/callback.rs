//! Any bytes as a request to the listener of a sign-in: only the right host, path and state are ever taken.

#![no_main]

#[path = "../../../src/error.rs"]
mod error;
#[path = "../../../src/format/mod.rs"]
mod format;
#[path = "../../../src/sso/mod.rs"]
mod sso;

use libfuzzer_sys::fuzz_target;
use sso::callback::{Callback, PATH, judge};

const STATE: &str = "5f0c2b1e-0000-4000-8000-000000000000";

fuzz_target!(|head: &[u8]| {
    let holds = |part: &str| head.windows(part.len()).any(|window| window == part.as_bytes());
    match judge(head, 4321, STATE) {
        Callback::Foreign(_) => {}
        Callback::Code(code) => assert!(!code.expose().is_empty() && head.starts_with(b"GET ")),
        Callback::Refused(words) => assert!(words.chars().all(|c| !c.is_control())),
    }
    if !holds(PATH) || !holds("127.0.0.1:4321") {
        assert!(matches!(judge(head, 4321, STATE), Callback::Foreign(_)));
    }
});
