//! Any bytes as an answer, cut anywhere: however they arrive, the same answer or the same refusal comes of them.

#![no_main]

#[path = "../../../src/error.rs"]
mod error;
#[path = "../../../src/format/mod.rs"]
mod format;
#[path = "../../../src/sso/mod.rs"]
mod sso;

use format::http::{ANSWER_MAX, Decoder, Method, Progress, Response};
use libfuzzer_sys::fuzz_target;

// The last byte chooses the request's method and how the rest is cut.
fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_last() else {
        return;
    };
    let method = if choice & 1 == 0 {
        Method::Post
    } else {
        Method::Head
    };
    let step = usize::from(choice >> 1) + 1;
    let whole = decode(method, bytes, bytes.len().max(1));
    let pieces = decode(method, bytes, step);
    assert_eq!(whole, pieces);
    if let Some((_, _, body)) = whole {
        assert!(body.len() <= ANSWER_MAX);
    }
});

fn decode(
    method: Method,
    bytes: &[u8],
    step: usize,
) -> Option<(u16, Vec<(String, String)>, Vec<u8>)> {
    let mut decoder = Decoder::new(method);
    for piece in bytes.chunks(step) {
        match decoder.push(piece) {
            Ok(Progress::More) => {}
            Ok(Progress::Done { .. }) => break,
            Err(_) => return None,
        }
    }
    let Response {
        status,
        headers,
        body,
    } = decoder.finish(true).ok()?;
    let _ = sso::oidc::token_reply(&Response {
        status,
        headers: headers.clone(),
        body: body.clone(),
    });
    Some((status, headers, body))
}
