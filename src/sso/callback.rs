//! What a browser brings back from the authorization page: one request to the listener on this machine, judged.
//!
//! Anybody who can reach 127.0.0.1 may send requests here, and so may every web page that a person has open. Only a
//! `GET` of the right path and `Host` that carries this sign-in's `state` is from the authorization page; everything
//! else is answered with 400 and changes nothing.

use crate::format::text;
use crate::format::url;
use crate::sso::token::Secret;

/// The path that is registered; other forms are refused at registration (fwdcloudsec/granted#779).
pub const PATH: &str = "/oauth/callback";

/// As much of a server's words as a page and a message hold. Characters.
const WORDS_MAX: usize = 200;

/// Browsers send about twenty headers.
const HEADERS_MAX: usize = 100;

/// What a request to the listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    /// Allowed: the code that buys a token.
    Code(Secret),
    /// The authorization page says why not, made harmless.
    Refused(String),
    /// It is not from the authorization page of this sign-in: a favicon, a guess, a forgery.
    Foreign(&'static str),
}

/// Judges the head of a request to the listener on `port` that waits for `state`.
pub fn judge(head: &[u8], port: u16, state: &str) -> Callback {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    if !matches!(request.parse(head), Ok(httparse::Status::Complete(_))) {
        return Callback::Foreign("not a request");
    }
    if request.method != Some("GET") {
        return Callback::Foreign("not a GET");
    }
    let mut hosts = request
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("host"));
    let expected = format!("127.0.0.1:{port}");
    let is_ours = hosts
        .next()
        .is_some_and(|host| host.value == expected.as_bytes());
    if !is_ours || hosts.next().is_some() {
        return Callback::Foreign("another Host");
    }
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != PATH {
        return Callback::Foreign("another path");
    }
    let Some(pairs) = url::query_pairs(query) else {
        return Callback::Foreign("a broken query");
    };
    // A name that stands twice could mean one thing here and another elsewhere; the service repeats none.
    let value = |name: &str| -> Option<&str> {
        let mut values = pairs.iter().filter(|(key, _)| key == name);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value.as_str())
    };
    if value("state") != Some(state) {
        return Callback::Foreign("another state");
    }
    if let Some(error) = value("error") {
        let words = value("error_description").unwrap_or_default();
        let told = match words {
            "" => error.to_string(),
            words => format!("{error}: {words}"),
        };
        return Callback::Refused(text::said(&told, WORDS_MAX));
    }
    match value("code") {
        Some(code) if !code.is_empty() => Callback::Code(Secret::new(code)),
        _ => Callback::Foreign("no code"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "5f0c-state";

    fn check(line: &str, host: &str, expected: Callback) {
        let head = format!("{line}\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        assert_eq!(judge(head.as_bytes(), 4321, STATE), expected, "{head}");
    }

    const US: &str = "127.0.0.1:4321";

    #[test]
    fn the_authorization_pages_answer_is_taken() {
        check(
            "GET /oauth/callback?code=a%2Bb&state=5f0c-state HTTP/1.1",
            US,
            Callback::Code(Secret::new("a+b")),
        );
        check(
            "GET /oauth/callback?error=access_denied&state=5f0c-state HTTP/1.1",
            US,
            Callback::Refused("access_denied".to_string()),
        );
        check(
            "GET /oauth/callback?error=x&error_description=no+way%1b&state=5f0c-state HTTP/1.1",
            US,
            Callback::Refused("x: no way\u{fffd}".to_string()),
        );
    }

    #[test]
    fn what_comes_from_elsewhere_changes_nothing() {
        let right = "GET /oauth/callback?code=a&state=5f0c-state HTTP/1.1";
        for host in [
            "localhost:4321",
            "127.0.0.1",
            "127.0.0.1:4322",
            "evil.example:4321",
            "",
        ] {
            check(right, host, Callback::Foreign("another Host"));
        }
        let two = format!("{US}\r\nHost: {US}");
        check(right, &two, Callback::Foreign("another Host"));
        for (line, why) in [
            ("GET /favicon.ico HTTP/1.1", "another path"),
            ("GET / HTTP/1.1", "another path"),
            (
                "GET /oauth/callback/?code=a&state=5f0c-state HTTP/1.1",
                "another path",
            ),
            (
                "GET http://127.0.0.1:4321/oauth/callback?code=a&state=5f0c-state HTTP/1.1",
                "another path",
            ),
            (
                "POST /oauth/callback?code=a&state=5f0c-state HTTP/1.1",
                "not a GET",
            ),
            (
                "HEAD /oauth/callback?code=a&state=5f0c-state HTTP/1.1",
                "not a GET",
            ),
            ("GET /oauth/callback HTTP/1.1", "another state"),
            ("GET /oauth/callback?code=a HTTP/1.1", "another state"),
            (
                "GET /oauth/callback?code=a&state= HTTP/1.1",
                "another state",
            ),
            (
                "GET /oauth/callback?error=access_denied&state=other HTTP/1.1",
                "another state",
            ),
            (
                "GET /oauth/callback?code=a&state=5f0c-state&state=x HTTP/1.1",
                "another state",
            ),
            ("GET /oauth/callback?state=5f0c-state HTTP/1.1", "no code"),
            (
                "GET /oauth/callback?code=&state=5f0c-state HTTP/1.1",
                "no code",
            ),
            (
                "GET /oauth/callback?code=a&code=b&state=5f0c-state HTTP/1.1",
                "no code",
            ),
            (
                "GET /oauth/callback?code=%&state=5f0c-state HTTP/1.1",
                "a broken query",
            ),
            ("nonsense", "not a request"),
        ] {
            check(line, US, Callback::Foreign(why));
        }
    }

    #[test]
    fn no_sequence_of_nasty_pieces_is_taken_for_an_answer() {
        const PIECES: [&str; 14] = [
            "GET ",
            "/oauth/callback",
            "?",
            "code=a",
            "&",
            "state=",
            "error=x",
            "%",
            " HTTP/1.1",
            "\r\n",
            "Host: 127.0.0.1:4321",
            "\0",
            "é",
            "\r\n\r\n",
        ];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            texts = texts
                .iter()
                .flat_map(|text| PIECES.map(|piece| format!("{text}{piece}")))
                .collect();
            for text in &texts {
                let judged = judge(text.as_bytes(), 4321, STATE);
                assert!(matches!(judged, Callback::Foreign(_)), "{text:?}");
            }
        }
    }
}
