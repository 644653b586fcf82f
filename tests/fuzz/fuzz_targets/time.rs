//! Any text as a time: reading ends, and what was read is written and read back the same.

#![no_main]

#[path = "../../../src/error.rs"]
mod error;
#[path = "../../../src/format/mod.rs"]
mod format;
#[path = "../../../src/sso/mod.rs"]
mod sso;

use format::time::{Timestamp, span};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(parsed) = Timestamp::parse(text) {
        let written = parsed.at.to_string();
        assert_eq!(written.len(), 20);
        let again = Timestamp::parse(&written).expect("what is written can be read");
        assert!(
            again.at == parsed.at || parsed.at.0 < -62_167_219_200 || parsed.at.0 > 253_402_300_799
        );
        assert!(!span(parsed.at.0).is_empty());
    }
});
