//! Any bytes as a token file: what can be read survives a grant with every member it had.

#![no_main]

#[path = "../../../src/error.rs"]
mod error;
#[path = "../../../src/format/mod.rs"]
mod format;
#[path = "../../../src/sso/mod.rs"]
mod sso;

use format::json;
use format::time::Timestamp;
use libfuzzer_sys::fuzz_target;
use sso::token::{CachedToken, Grant, Secret};

fuzz_target!(|bytes: &[u8]| {
    let Ok(token) = CachedToken::parse(bytes) else {
        return;
    };
    let grant = Grant {
        access_token: Secret::new("new\"\\access"),
        expires_in: 3600,
        refresh_token: Some(Secret::new("new-refresh")),
    };
    let written = token.with_grant(&grant, Timestamp(1_795_464_251));
    assert!(
        written.len() <= bytes.len() + 64 * 1024,
        "it fits the room that was made"
    );
    let after = CachedToken::parse(written.as_slice()).expect("what is written can be read");
    assert_eq!(after.access_token.expose(), "new\"\\access");
    const OURS: [&str; 8] = [
        "startUrl",
        "region",
        "accessToken",
        "expiresAt",
        "clientId",
        "clientSecret",
        "registrationExpiresAt",
        "refreshToken",
    ];
    let unknown = |bytes: &[u8]| -> Vec<json::Member> {
        let members = json::members(bytes).expect("it was parsed before");
        members
            .into_iter()
            .filter(|member| !OURS.contains(&&*member.key))
            .collect()
    };
    assert_eq!(
        unknown(bytes),
        unknown(&written),
        "unknown members survive byte for byte and in order"
    );
});
