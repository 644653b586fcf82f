//! A server that lies: whatever it sends, the run ends in time, the file stays usable, and the state is the right one.
//!
//! Each lie is told to a run of its own; what the run says and how it exits is the contract's table of answers.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::identity_center::{
    Certificate, Delivery, Fault, IdentityCenter, Options, ProxyFault, ProxyOptions, RefreshTokens,
    TlsVersions,
};
use crate::identity_center::{Proxy, SignIn};
use crate::world::{World, token_text};

/// What a lie must lead to.
#[derive(Clone, Copy)]
enum Truth {
    /// The first attempt fails for now and the second works.
    RefreshedAtSecondTry,
    Refreshed,
    /// Exit 1 and these words; never a sign-in.
    ForNow(&'static str),
    /// Exit 1, one request, and these words.
    Wrong(&'static str),
}

struct Lie {
    name: &'static str,
    fault: Fault,
    truth: Truth,
}

fn raw(text: &str) -> Fault {
    Fault::Raw(text.as_bytes().to_vec())
}

fn json(body: &str) -> Fault {
    Fault::answer(200, body)
}

fn with_headers(status: u16, headers: &[(&str, &str)], body: &str) -> Fault {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    Fault::Answer {
        status,
        headers,
        body: body.as_bytes().to_vec(),
    }
}

fn lies() -> Vec<Lie> {
    use Truth::{ForNow, Refreshed, RefreshedAtSecondTry, Wrong};
    let grant = r#"{"accessToken":"x","expiresIn":3600,"refreshToken":"y"}"#;
    let sized = |length: &str| format!("HTTP/1.1 200 OK\r\n{length}\r\n{grant}");
    let chunked =
        |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let mut lies = Vec::new();
    let mut lie = |name, fault, truth| lies.push(Lie { name, fault, truth });

    lie(
        "closed at connect",
        Fault::CloseAtConnect,
        RefreshedAtSecondTry,
    );
    lie("closed before", Fault::CloseBefore, RefreshedAtSecondTry);
    lie("closed after", Fault::CloseAfter, RefreshedAtSecondTry);
    lie(
        "hanging handshake",
        Fault::HangHandshake,
        RefreshedAtSecondTry,
    );
    lie("hanging head", Fault::HangBefore, RefreshedAtSecondTry);
    lie("hanging answer", Fault::HangAfter, RefreshedAtSecondTry);
    lie(
        "dripping body",
        Fault::Deliver(Delivery::Drip(Duration::from_millis(300))),
        RefreshedAtSecondTry,
    );
    lie(
        "truncated body",
        Fault::Deliver(Delivery::Truncate(20)),
        RefreshedAtSecondTry,
    );
    lie(
        "shorter than it says",
        Fault::Deliver(Delivery::WrongLength(9_999)),
        RefreshedAtSecondTry,
    );
    lie(
        "longer than it says",
        Fault::Deliver(Delivery::WrongLength(12)),
        RefreshedAtSecondTry,
    );
    lie("chunked", Fault::Deliver(Delivery::Chunked), Refreshed);

    lie(
        "oversized",
        json(&format!("{{\"accessToken\":\"{}\"}}", "x".repeat(70_000))),
        ForNow("larger than 64 KiB"),
    );
    lie(
        "endless",
        raw(&format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(5_000_000))),
        ForNow("larger than 64 KiB"),
    );
    lie(
        "endless head",
        raw(&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(5_000_000))),
        ForNow("head"),
    );
    lie(
        "header flood",
        raw(&format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "X: y\r\n".repeat(5_000)
        )),
        ForNow("head"),
    );
    lie("no HTTP", raw("SSH-2.0-OpenSSH_9.6\r\n"), ForNow("broken"));
    lie(
        "nothing but 1xx",
        raw(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(500)),
        ForNow("broken"),
    );
    lie(
        "both lengths",
        raw(&sized(
            "Content-Length: 56\r\nTransfer-Encoding: chunked\r\n",
        )),
        ForNow("broken"),
    );
    lie(
        "two lengths",
        raw(&sized("Content-Length: 56\r\nContent-Length: 5\r\n")),
        ForNow("broken"),
    );
    lie(
        "negative length",
        raw(&sized("Content-Length: -1\r\n")),
        ForNow("broken"),
    );
    lie(
        "huge length",
        raw(&sized("Content-Length: 99999999999999999999\r\n")),
        ForNow("broken"),
    );
    lie(
        "signed length",
        raw(&sized("Content-Length: +56\r\n")),
        ForNow("broken"),
    );
    lie(
        "unknown coding",
        raw(&sized("Transfer-Encoding: gzip\r\n")),
        ForNow("broken"),
    );
    lie(
        "chunk of no size",
        raw(&chunked("\r\nx\r\n0\r\n\r\n")),
        ForNow("broken"),
    );
    lie(
        "chunk of huge size",
        raw(&chunked("ffffffffffffffff1\r\nx")),
        ForNow("broken"),
    );
    lie(
        "chunk without its end",
        raw(&chunked("3\r\n{}xyz\r\n0\r\n\r\n")),
        ForNow("broken"),
    );
    lie(
        "chunks cut short",
        raw(&chunked("3\r\n{")),
        ForNow("broken"),
    );
    lie(
        "folded header",
        raw(&sized("X: a\r\n b\r\n")),
        ForNow("broken"),
    );

    lie(
        "captive portal",
        with_headers(
            200,
            &[("Content-Type", "text/html")],
            "<html>Welcome</html>",
        ),
        ForNow("not a grant"),
    );
    lie(
        "captive portal, 511",
        with_headers(511, &[], "<html>"),
        ForNow("511"),
    );
    lie(
        "proxy page, 403",
        with_headers(403, &[], "<html>forbidden</html>"),
        ForNow("403"),
    );
    lie(
        "redirect",
        with_headers(302, &[("Location", "https://evil.example/token")], ""),
        Wrong("redirect"),
    );
    lie(
        "permanent redirect",
        with_headers(308, &[("Location", "http://127.0.0.1:1/")], "{}"),
        Wrong("redirect"),
    );
    lie(
        "throttled",
        with_headers(
            429,
            &[("x-amzn-ErrorType", "TooManyRequestsException")],
            "{}",
        ),
        ForNow("429"),
    );
    lie(
        "500 that says invalid_grant",
        Fault::answer(500, r#"{"error":"invalid_grant"}"#),
        ForNow("500"),
    );
    lie(
        "403 that says invalid_grant",
        Fault::answer(403, r#"{"error":"invalid_grant"}"#),
        Wrong("invalid_grant (403)"),
    );
    lie(
        "400 without a reason",
        Fault::answer(400, "{}"),
        ForNow("400"),
    );
    lie(
        "400 of another kind",
        Fault::answer(400, r#"{"error":"weird"}"#),
        Wrong("weird (400)"),
    );
    lie("204", Fault::answer(204, ""), ForNow("204"));
    lie("206", Fault::answer(206, grant), ForNow("206"));

    for (name, body) in [
        ("no access token", r#"{"expiresIn":3600}"#),
        (
            "null access token",
            r#"{"accessToken":null,"expiresIn":3600}"#,
        ),
        (
            "empty access token",
            r#"{"accessToken":"","expiresIn":3600}"#,
        ),
        (
            "access token of another type",
            r#"{"accessToken":{"a":1},"expiresIn":3600}"#,
        ),
        (
            "half a character",
            r#"{"accessToken":"\ud800","expiresIn":3600}"#,
        ),
        ("no lifetime", r#"{"accessToken":"x"}"#),
        ("lifetime of zero", r#"{"accessToken":"x","expiresIn":0}"#),
        (
            "negative lifetime",
            r#"{"accessToken":"x","expiresIn":-3600}"#,
        ),
        (
            "absurd lifetime",
            r#"{"accessToken":"x","expiresIn":1e300}"#,
        ),
        (
            "lifetime as text",
            r#"{"accessToken":"x","expiresIn":"3600"}"#,
        ),
        ("array", r#"[{"accessToken":"x","expiresIn":3600}]"#),
        ("two objects", r#"{"accessToken":"x","expiresIn":3600}{}"#),
        ("invalid UTF-8", "{\"accessToken\":\"\u{fffd}\""),
    ] {
        lie(name, json(body), ForNow("not a grant"));
    }
    lies
}

/// Tells one lie, for ever or once, and says what is wrong with what came of it.
fn tell(lie: &Lie) -> Result<Duration, String> {
    let center = IdentityCenter::start(Options {
        refresh_tokens: RefreshTokens::Keep,
        ..Options::default()
    });
    let world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", 5);
    let before = world.token_text("work");
    match lie.truth {
        Truth::RefreshedAtSecondTry => center.fault_next(1, lie.fault.clone()),
        _ => center.fault(lie.fault.clone()),
    }
    let started = Instant::now();
    let ran = world.run(&["refresh"]);
    let took = started.elapsed();
    let (requests, after) = (center.requests_to("/token").len(), world.token_text("work"));
    let is_untouched = after == before && world.cache_names().len() == 1;
    let is_refreshed =
        center.is_live_access_token(&world.token("work", "accessToken")) && after != before;
    let says = |words: &str| ran.stdout.contains(words) && !ran.stdout.contains("sign-in needed");
    let is_right = match lie.truth {
        Truth::Refreshed => ran.exit == Some(0) && is_refreshed && requests == 1,
        Truth::RefreshedAtSecondTry => ran.exit == Some(0) && is_refreshed,
        Truth::ForNow(words) => ran.exit == Some(1) && says(words) && is_untouched && requests <= 3,
        Truth::Wrong(words) => ran.exit == Some(1) && says(words) && is_untouched && requests == 1,
    };
    if is_right && took < Duration::from_secs(61) {
        Ok(took)
    } else {
        Err(format!(
            "{}: {took:?}, {requests} requests, refreshed {is_refreshed}, {ran:?}",
            lie.name
        ))
    }
}

#[test]
fn no_lie_loses_a_token_or_opens_a_browser() {
    let lies = lies();
    let next = Mutex::new(lies.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let lie = next.lock().expect("nobody panics").next();
                    let Some(lie) = lie else { break };
                    if let Err(failure) = tell(lie) {
                        failures.lock().expect("nobody panics").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody panics");
    assert!(
        failures.is_empty(),
        "{} of {} lies:\n{}",
        failures.len(),
        lies.len(),
        failures.join("\n")
    );
    eprintln!("{} lies told", lies.len());
}

#[test]
fn a_server_that_cannot_be_trusted_gets_no_request() {
    use Certificate::{Expired, SelfSigned, UnknownCa, WrongHost};
    for (certificate, words) in [
        (Expired, "expired"),
        (WrongHost, "another"),
        (SelfSigned, "unknown"),
        (UnknownCa, "unknown"),
    ] {
        let center = IdentityCenter::start(Options {
            certificate,
            ..Options::default()
        });
        let world = World::with(&center);
        world.sessions(&["work"]);
        world.sign_in(&center, "work", 5);
        let ran = world.run(&["refresh"]).exits(1);
        assert!(
            ran.stdout.contains("certificate"),
            "{certificate:?} ({words}): {}",
            ran.stdout
        );
        assert_eq!(center.requests().len(), 0, "{certificate:?}");
    }
}

#[test]
fn both_versions_of_tls_are_spoken() {
    for tls_versions in [TlsVersions::Only12, TlsVersions::Only13] {
        let center = IdentityCenter::start(Options {
            tls_versions,
            ..Options::default()
        });
        let world = World::with(&center);
        world.sessions(&["work"]);
        world.sign_in(&center, "work", 5);
        world.run(&["refresh"]).exits(0).says("refreshed");
    }
}

#[test]
fn a_proxy_that_lies_is_named_and_gets_no_secret() {
    for fault in [
        ProxyFault::Refuse(502),
        ProxyFault::Refuse(403),
        ProxyFault::Garbage,
        ProxyFault::Close,
    ] {
        let center = IdentityCenter::start(Options::default());
        let mut world = World::with(&center);
        world.sessions(&["work"]);
        let granted = center.sign_in(&SignIn::default());
        world.write_token("work", &token_text(&granted, 300));
        let proxy = Proxy::start(ProxyOptions {
            map: vec![("*".to_string(), format!("127.0.0.1:{}", center.port()))],
            credentials: None,
        });
        proxy.fault(Some(fault.clone()));
        world.set("HTTPS_PROXY", &proxy.url());
        world.run(&["refresh"]).exits(1).says("HTTPS_PROXY");
        assert_eq!(center.requests().len(), 0, "{fault:?}");
        assert!(!format!("{:?}", proxy.connects()).contains(&granted.refresh_token));
    }
}
