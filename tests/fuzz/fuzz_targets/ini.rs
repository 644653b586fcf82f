//! Any bytes as a config file: parsing ends, and what it yields holds together.

#![no_main]

#[path = "../../../src/error.rs"]
mod error;
#[path = "../../../src/format/mod.rs"]
mod format;
#[path = "../../../src/sso/mod.rs"]
mod sso;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let config = sso::config::read(bytes, "default");
    let lines = bytes.split(|b| matches!(b, b'\n' | b'\r')).count();
    for session in &config.sessions {
        assert!(session.line >= 1 && session.line <= lines);
        if let Ok(usable) = &session.session {
            assert_eq!(usable.name, session.name());
            assert!(
                usable
                    .start_url
                    .to_ascii_lowercase()
                    .starts_with("https://")
            );
            assert!(
                usable
                    .region
                    .as_str()
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            );
        }
    }
    let mut names: Vec<&str> = config
        .sessions
        .iter()
        .map(|session| session.name())
        .collect();
    names.sort_unstable();
    assert!(
        names.windows(2).all(|pair| pair[0] != pair[1]),
        "a session is listed once"
    );
});
