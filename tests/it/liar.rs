//! A server that lies: whatever it sends, the run ends in time, the file stays usable, and the state is the right one.
//!
//! Each lie is told to a run of its own; what the run says and how it exits is the contract's table of answers. What it
//! takes in time and memory is bounded. Those that hang for ever are for `make torture`.

use std::time::{Duration, Instant};

use crate::identity_center::{
    Certificate, Delivery, Fault, IdentityCenter, OAuthError, Options, Proxy, ProxyFault,
    ProxyOptions, RefreshTokens, Script, TlsVersions,
};
use crate::torture::{each, has_time, tally};
use crate::world::World;

/// One request, all told, and a second for a busy machine.
const REQUEST_MAX: Duration = Duration::from_secs(16);

/// A whole run, likewise.
const RUN_MAX: Duration = Duration::from_secs(61);

/// What no lie makes a run take beyond what `status` takes, which talks to nobody. kB.
pub const MEMORY_MAX: u64 = 3 * 1024;

/// What a lie must lead to.
#[derive(Debug, Clone, Copy)]
enum Truth {
    /// The first attempt fails for now and the second works.
    RefreshedAtSecondTry,
    Refreshed,
    /// The grant is made up, and nothing is wrong with it: it is taken.
    Taken,
    /// Exit 1 and these words; never a sign-in.
    ForNow(&'static str),
    /// Exit 1, one request, and these words.
    Wrong(&'static str),
    /// Exit 3: this session has ended.
    Ended,
}

struct Lie {
    name: String,
    fault: Fault,
    truth: Truth,
}

/// What a lie cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub took: Duration,
    /// Beyond that of `status`. kB.
    pub memory: Option<u64>,
}

/// The most that any of them cost, for the table.
pub fn dearest(costs: &[Cost]) -> String {
    let took = costs.iter().map(|cost| cost.took).max().unwrap_or_default();
    let memory = costs.iter().filter_map(|cost| cost.memory).max();
    let memory = memory.map_or(
        "SKIPPED: there is no GNU time to measure it".to_string(),
        |kb| format!("{kb} kB"),
    );
    format!(
        "the right state; at most {:.0} s; memory beyond that of `status`: {memory}",
        took.as_secs_f64()
    )
}

/// Runs the program; says how long that took, and how much more memory than `status`.
pub fn cost_of(world: &World, arguments: &[&str]) -> (crate::world::Ran, Cost) {
    let (_, idle) = world.run_measured(&["status"]);
    let started = Instant::now();
    let (ran, memory) = world.run_measured(arguments);
    let cost = Cost {
        took: started.elapsed(),
        memory: memory
            .zip(idle)
            .map(|(memory, idle)| memory.saturating_sub(idle)),
    };
    (ran, cost)
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
    use Truth::{Ended, ForNow, Refreshed, RefreshedAtSecondTry, Taken, Wrong};
    let grant = r#"{"accessToken":"x","expiresIn":3600,"refreshToken":"y"}"#;
    let sized = |length: &str| format!("HTTP/1.1 200 OK\r\n{length}\r\n{grant}");
    let chunked =
        |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let mut lies = Vec::new();
    let mut lie = |name: &str, fault, truth| {
        lies.push(Lie {
            name: name.to_string(),
            fault,
            truth,
        });
    };

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
    // Whoever takes one of the two for the right one has a grant.
    let length = grant.len();
    let in_chunks = format!("{length:x}\r\n{grant}\r\n0\r\n\r\n");
    for (name, headers, body) in [
        (
            "both lengths, the number right",
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            grant,
        ),
        (
            "both lengths, the chunks right",
            format!(
                "Transfer-Encoding: chunked\r\nContent-Length: {}\r\n",
                in_chunks.len()
            ),
            &in_chunks,
        ),
        (
            "two lengths, the first right",
            format!("Content-Length: {length}\r\nContent-Length: 5\r\n"),
            grant,
        ),
        (
            "two lengths, the second right",
            format!("Content-Length: 99\r\nContent-Length: {length}\r\n"),
            grant,
        ),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}");
        lie(name, raw(&answer), ForNow("broken"));
    }
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
        raw(&sized(&format!("Content-Length: +{length}\r\n"))),
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

    for (name, head) in [
        ("nothing at all", ""),
        ("HTTP/0.9", "{}"),
        ("HTTP/2", "HTTP/2 200\r\n\r\n{}"),
        ("a preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("a status of two digits", "HTTP/1.1 20 OK\r\n\r\n{}"),
        ("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n{}"),
        ("a status of letters", "HTTP/1.1 OK 200\r\n\r\n{}"),
        (
            "another protocol",
            "HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n",
        ),
        ("a header without a colon", "HTTP/1.1 200 OK\r\nX\r\n\r\n{}"),
        (
            "a header without a name",
            "HTTP/1.1 200 OK\r\n: x\r\n\r\n{}",
        ),
        (
            "a blank before the colon",
            "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}",
        ),
        (
            "a zero byte in a header",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n{}",
        ),
        (
            "a bare carriage return",
            "HTTP/1.1 200 OK\r\nX: a\rY: b\r\n\r\n{}",
        ),
        (
            "a head without an end",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        ),
        (
            "a list of lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}",
        ),
        (
            "a length in hexadecimal",
            "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n{}",
        ),
        (
            "chunked twice",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked, as HTTP/1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "not quite chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ),
    ] {
        lie(name, raw(head), ForNow("broken"));
    }
    for (name, body) in [
        ("chunk of negative size", "-1\r\n{}\r\n0\r\n\r\n"),
        ("chunk of 0x size", "0x2\r\n{}\r\n0\r\n\r\n"),
        ("chunk with a bare line feed", "2\n{}\n0\n\n"),
        ("chunk without the last one", "2\r\n{}\r\n"),
        ("chunk without trailers' end", "2\r\n{}\r\n0\r\n"),
    ] {
        lie(name, raw(&chunked(body)), ForNow("broken"));
    }
    lie(
        "chunk with endless extensions",
        raw(&chunked(&format!(
            "2;{}\r\n{{}}\r\n0\r\n\r\n",
            "x".repeat(1_000_000)
        ))),
        ForNow("broken"),
    );
    lie(
        "a hundred thousand chunks",
        raw(&chunked(&"1\r\nx\r\n".repeat(100_000))),
        ForNow("larger than 64 KiB"),
    );
    lie(
        "endless trailers",
        raw(&chunked(&format!(
            "2\r\n{{}}\r\n0\r\n{}",
            "X: y\r\n".repeat(200_000)
        ))),
        ForNow("broken"),
    );
    lie(
        "a body as large as it may be, and no grant",
        json(&format!("{{\"x\":\"{}\"}}", "y".repeat(65_000))),
        ForNow("not a grant"),
    );
    lie(
        "an empty page, 200",
        with_headers(200, &[("Content-Type", "text/html")], ""),
        ForNow("not a grant"),
    );
    lie(
        "a redirect to itself, 307",
        with_headers(307, &[("Location", "/token")], ""),
        Wrong("redirect"),
    );
    lie(
        "a redirect to nowhere, 301",
        with_headers(301, &[], ""),
        Wrong("redirect"),
    );
    lie("not modified", Fault::answer(304, ""), Wrong("redirect"));

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
        ("array", r#"[{"accessToken":"x","expiresIn":3600}]"#),
        ("two objects", r#"{"accessToken":"x","expiresIn":3600}{}"#),
        ("invalid UTF-8", "{\"accessToken\":\"\u{fffd}\""),
        ("nothing", ""),
        ("null", "null"),
        (
            "too deep",
            &format!(
                "{{\"x\":{}1{},\"accessToken\":\"x\",\"expiresIn\":3600}}",
                "[".repeat(40),
                "]".repeat(40)
            ),
        ),
    ] {
        lie(name, json(body), ForNow("not a grant"));
    }
    for (member, wrong_values, truth) in [
        ("accessToken", NO_TEXT, ForNow("not a grant")),
        ("expiresIn", NO_LIFETIME, ForNow("not a grant")),
        (
            "expiresIn",
            &[("over 90 days", "7776001")],
            ForNow("not a grant"),
        ),
        ("refreshToken", NO_TEXT, Taken),
        ("tokenType", NO_TEXT, Taken),
        ("idToken", NO_TEXT, Taken),
    ] {
        for (what, value) in wrong_values {
            let body = with_member(GRANT, member, value);
            lie(&format!("{member}: {what}"), json(&body), truth);
        }
    }
    for (error, truth) in [
        ("invalid_grant", Ended),
        ("expired_token", Ended),
        ("unauthorized_client", Ended),
        ("invalid_client", Ended),
        ("slow_down", ForNow("slow_down")),
        ("server_error", ForNow("server_error (500)")),
        ("invalid_request", Wrong("invalid_request (400)")),
        (
            "unsupported_grant_type",
            Wrong("unsupported_grant_type (400)"),
        ),
        ("invalid_scope", Wrong("invalid_scope (400)")),
        (
            "authorization_pending",
            Wrong("authorization_pending (400)"),
        ),
        ("access_denied", Wrong("access_denied (400)")),
        (
            "invalid_client_metadata",
            Wrong("invalid_client_metadata (400)"),
        ),
        ("invalid_redirect_uri", Wrong("invalid_redirect_uri (400)")),
    ] {
        lie(error, Fault::error(error), truth);
    }
    for reason in [
        "KMS_NotFoundException",
        "KMS_InvalidKeyUsageException",
        "KMS_InvalidStateException",
        "KMS_DisabledException",
        "KMS_AccessDeniedException",
    ] {
        let error = OAuthError {
            reason: Some(reason.to_string()),
            ..OAuthError::named("access_denied", "the key")
        };
        lie(reason, Fault::Error(error), Wrong(reason));
    }
    lies
}

/// A grant that nobody made.
const GRANT: &[(&str, &str)] = &[
    ("accessToken", "\"x\""),
    ("expiresIn", "3600"),
    ("refreshToken", "\"y\""),
    ("tokenType", "\"Bearer\""),
    ("idToken", "null"),
];

/// What stands where a text should.
pub const NO_TEXT: &[(&str, &str)] = &[
    ("absent", ""),
    ("null", "null"),
    ("a number", "7"),
    ("true", "true"),
    ("a list", r#"["x"]"#),
    ("an object", r#"{"x":1}"#),
    ("empty", "\"\""),
    ("half a character", r#""\ud800""#),
];

/// What stands where a number of seconds should.
pub const NO_LIFETIME: &[(&str, &str)] = &[
    ("absent", ""),
    ("null", "null"),
    ("a text", "\"3600\""),
    ("true", "true"),
    ("a list", "[3600]"),
    ("an object", r#"{"x":1}"#),
    ("zero", "0"),
    ("negative", "-3600"),
    ("a fraction", "0.5"),
    ("absurd", "1e300"),
    ("64 bits", "9223372036854775807"),
    ("over 64 bits", "18446744073709551616"),
];

/// A JSON object of these members, with another value for one of them; an empty one leaves it out.
pub fn with_member(members: &[(&str, &str)], member: &str, value: &str) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, usual)| (*name, if *name == member { value } else { usual }))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Servers that never end what they began.
fn hanging_lies() -> Vec<Lie> {
    let pause = Duration::from_millis(400);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n";
    let stall = |text: &str| Fault::Say(Script::all(text).then_silence());
    let drip = |text: &str| Fault::Say(Script::all(text).dripped(pause));
    // A record of TLS that says it has 16 KiB.
    let record = [&[0x16, 3, 3, 0x40, 0], [0; 16_384].as_slice()].concat();
    let faults = [
        ("silence instead of TLS", Fault::HangHandshake),
        (
            "TLS that drips",
            Fault::SayAtConnect(Script::all(record.clone()).dripped(pause)),
        ),
        (
            "TLS that stops in the middle",
            Fault::SayAtConnect(Script::all(&record[..100]).then_silence()),
        ),
        ("silence after the request", Fault::HangBefore),
        ("silence after the token was spent", Fault::HangAfter),
        ("a head that stops", stall("HTTP/1.1 200 OK\r\nContent-Le")),
        (
            "a head that drips",
            drip(&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1000))),
        ),
        (
            "interim answers that drip",
            drip(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(50)),
        ),
        (
            "a body that stops",
            stall(&format!("{head}{{\"accessToken\"")),
        ),
        ("a body that never begins", stall(head)),
        ("a body that drips", Fault::Deliver(Delivery::Drip(pause))),
        (
            "a body without a length that stops",
            stall("HTTP/1.1 200 OK\r\n\r\n{"),
        ),
        (
            "chunks that drip",
            drip(&format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                "1\r\nx\r\n".repeat(100)
            )),
        ),
        (
            "chunks that stop",
            stall("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        ),
    ];
    let lie = |(name, fault): (&str, Fault)| Lie {
        name: name.to_string(),
        fault,
        truth: Truth::ForNow("in time"),
    };
    faults.map(lie).into()
}

/// What a server says that does not speak the TLS it should.
fn tls_lies() -> Vec<Lie> {
    let record = |kind: u8, version: u8, body: &[u8]| {
        let length = u16::try_from(body.len()).expect("it is small");
        [&[kind, 3, version], length.to_be_bytes().as_slice(), body].concat()
    };
    let handshake = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len())
            .expect("it is small")
            .to_be_bytes();
        [&[kind], &length[1..], body].concat()
    };
    // A ServerHello that takes ECDHE-ECDSA-AES128-GCM-SHA256, where the version has it.
    let hello = |version: u8, end_of_random: &[u8]| {
        let random = [&[7; 24][..], end_of_random].concat();
        let body = [&[3, version], random.as_slice(), &[0, 0xc0, 0x2b, 0, 0, 0]].concat();
        record(0x16, version, &handshake(2, &body))
    };
    let alert = |level: u8, what: u8| record(0x15, 3, &[level, what]);
    let says = [
        ("TLS 1.0", hello(1, &[7; 8]), "TLS"),
        ("TLS 1.1", hello(2, &[7; 8]), "TLS"),
        ("TLS 1.1 by its alert", alert(2, 70), "TLS"),
        (
            "a downgrade to TLS 1.2",
            hello(3, b"DOWNGRD\x01"),
            "breaks the rules of TLS",
        ),
        ("a downgrade to TLS 1.1", hello(2, b"DOWNGRD\x00"), "TLS"),
        ("SSL 3", hello(0, &[7; 8]), "TLS"),
        (
            "plain HTTP",
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "TLS",
        ),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), "TLS"),
        ("SMTP", b"220 mail.example ESMTP\r\n".to_vec(), "TLS"),
        ("zeros", vec![0; 100_000], "TLS"),
        (
            "a record that is too large",
            [&[0x16, 3, 3, 0xff, 0xff], [1; 70_000].as_slice()].concat(),
            "TLS",
        ),
        (
            "a flood of empty records",
            record(0x16, 3, &[]).repeat(20_000),
            "TLS",
        ),
        ("a flood of warnings", alert(1, 100).repeat(20_000), "TLS"),
        (
            "a flood of cipher changes",
            record(0x14, 3, &[1]).repeat(20_000),
            "TLS",
        ),
        (
            "a message of 16 MiB",
            [
                record(0x16, 3, &[2, 0xff, 0xff, 0xff]),
                record(0x16, 3, &[0; 16_000]).repeat(1050),
            ]
            .concat(),
            "TLS",
        ),
        ("data before the handshake", record(0x17, 3, b"{}"), "TLS"),
        ("a hello that ends at once", hello(3, &[7; 8]), "TLS"),
    ];
    let lie = |(name, bytes, words): (&str, Vec<u8>, &'static str)| Lie {
        name: name.to_string(),
        fault: Fault::SayAtConnect(Script::all(bytes)),
        truth: Truth::ForNow(words),
    };
    says.map(lie).into()
}

/// Tells one lie, for ever or once, and says what is wrong with what came of it.
fn tell(lie: &Lie) -> Result<Cost, String> {
    let center = IdentityCenter::start(Options {
        refresh_tokens: RefreshTokens::Keep,
        ..Options::default()
    });
    let world = World::with(&center);
    world.sessions(&["work"]);
    let old = world.sign_in(&center, "work", 5);
    let before = world.token_text("work");
    match lie.truth {
        Truth::RefreshedAtSecondTry => center.fault_next(1, lie.fault.clone()),
        _ => center.fault(lie.fault.clone()),
    }
    let (ran, cost) = cost_of(&world, &["refresh"]);
    let (requests, after) = (center.requests_to("/token").len(), world.token_text("work"));
    let is_untouched = after == before && world.cache_names().len() == 1;
    let is_refreshed =
        center.is_live_access_token(&world.token("work", "accessToken")) && after != before;
    let is_taken = || {
        let refresh_token = world.token("work", "refreshToken");
        world.token("work", "accessToken") == "x"
            && [old.refresh_token.as_str(), "y"].contains(&refresh_token.as_str())
            && !after.contains("null")
    };
    let says = |words: &str| ran.stdout.contains(words) && !ran.stdout.contains("sign-in needed");
    let is_right = match lie.truth {
        Truth::Refreshed => ran.exit == Some(0) && is_refreshed && requests == 1,
        Truth::RefreshedAtSecondTry => ran.exit == Some(0) && is_refreshed,
        Truth::Taken => ran.exit == Some(0) && requests == 1 && is_taken(),
        Truth::ForNow(words) => ran.exit == Some(1) && says(words) && is_untouched && requests <= 3,
        Truth::Wrong(words) => ran.exit == Some(1) && says(words) && is_untouched && requests == 1,
        Truth::Ended => ran.exit == Some(3) && is_untouched && requests == 1,
    };
    let attempts = u32::try_from(center.connections()).expect("few");
    let pauses = Duration::from_secs(6);
    let is_in_time = cost.took < RUN_MAX.min(REQUEST_MAX * attempts + pauses);
    let is_small = cost.memory.is_none_or(|kb| kb <= MEMORY_MAX);
    if is_right && is_in_time && is_small {
        Ok(cost)
    } else {
        Err(format!(
            "{}: {cost:?}, {requests} requests, refreshed {is_refreshed}, untouched {is_untouched}, {ran:?}",
            lie.name
        ))
    }
}

/// Tells them all, many at a time: most of each is waiting.
fn tell_all(what: &str, lies: &[Lie]) {
    let costs = each(lies, 24, tell);
    tally(
        &format!("servers that lied: {what}"),
        costs.len(),
        &dearest(&costs),
    );
}

#[test]
fn no_lie_loses_a_token_or_opens_a_browser() {
    tell_all("to a refresh", &lies());
}

#[test]
fn no_lie_about_tls_is_believed() {
    tell_all("about TLS", &tls_lies());
}

#[test]
fn a_server_that_hangs_at_any_stage_holds_no_run() {
    if !has_time("a_server_that_hangs_at_any_stage_holds_no_run") {
        return;
    }
    tell_all("hanging or dripping for ever", &hanging_lies());
}

#[test]
fn a_redirect_leads_nowhere() {
    for status in [301, 302, 303, 307, 308] {
        let (center, elsewhere) = (crate::world::center(), crate::world::center());
        let world = World::with(&center);
        world.sessions(&["work"]);
        world.sign_in(&center, "work", 5);
        let to = format!("{}/token", elsewhere.endpoint());
        center.fault(with_headers(status, &[("Location", &to)], ""));
        world.run(&["refresh"]).exits(1).says("redirect");
        assert_eq!(elsewhere.connections(), 0);
    }
}

/// A queue of connections that nobody takes: on Linux further ones get no answer at all.
#[cfg(target_os = "linux")]
#[test]
fn a_host_that_never_answers_holds_no_run() {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    if !has_time("a_host_that_never_answers_holds_no_run") {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    let attempt = || TcpStream::connect_timeout(&address, Duration::from_millis(50));
    let queue: Vec<TcpStream> = std::iter::from_fn(|| attempt().ok()).take(5_000).collect();
    let center = crate::world::center();
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", 5);
    world.set("AWS_ENDPOINT_URL_SSO_OIDC", &format!("https://{address}"));
    let (ran, cost) = cost_of(&world, &["refresh"]);
    ran.exits(1).says("does not answer");
    assert!(cost.took < RUN_MAX, "{cost:?}");
    tally(
        "servers that lied: no answer to a connection",
        1,
        &dearest(&[cost]),
    );
    drop(queue);
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

/// What a proxy says instead of an answer to CONNECT, and a word of what is made of it.
fn proxy_lies() -> Vec<(&'static str, ProxyFault, &'static str)> {
    let say = |text: &str| ProxyFault::Say(Script::all(text));
    let mut lies = vec![
        ("refuses, 403", ProxyFault::Refuse(403), "forbids"),
        (
            "refuses, 407",
            ProxyFault::Refuse(407),
            "user name and password",
        ),
        ("refuses, 502", ProxyFault::Refuse(502), "(status 502)"),
        ("refuses, 511", ProxyFault::Refuse(511), "(status 511)"),
        ("redirects", ProxyFault::Refuse(302), "(status 302)"),
        (
            "garbage",
            say("\u{15}\u{3}\u{1} this is no HTTP\r\n\r\n"),
            "broken",
        ),
        ("closes", say(""), "broken"),
        ("half a head", say("HTTP/1.1 200 Conn"), "broken"),
        (
            "a page",
            say("HTTP/1.1 200 OK\r\n\r\n<html>Welcome</html>"),
            "more than an answer",
        ),
        (
            "interim answers",
            say(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(500)),
            "broken",
        ),
        (
            "endless head",
            say(&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(2_000_000))),
            "broken",
        ),
        (
            "header flood",
            say(&format!(
                "HTTP/1.1 200 OK\r\n{}\r\n",
                "X: y\r\n".repeat(5_000)
            )),
            "broken",
        ),
    ];
    if has_time("proxies that hang") {
        let pause = Duration::from_millis(400);
        let hang = Script::all("").then_silence();
        let drip =
            Script::all(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1000))).dripped(pause);
        let stall = Script::all("HTTP/1.1 200 O").then_silence();
        lies.push(("hangs", ProxyFault::Say(hang), "in time"));
        lies.push(("drips", ProxyFault::Say(drip), "in time"));
        lies.push(("stops", ProxyFault::Say(stall), "in time"));
    }
    lies
}

#[test]
fn a_proxy_that_lies_is_named_and_gets_no_secret() {
    let costs = each(&proxy_lies(), 16, |(name, fault, words)| {
        let center = crate::world::center();
        let mut world = World::with(&center);
        world.sessions(&["work"]);
        let granted = world.sign_in(&center, "work", 5);
        let proxy = Proxy::start(ProxyOptions {
            map: vec![("*".to_string(), format!("127.0.0.1:{}", center.port()))],
            credentials: None,
        });
        proxy.fault(Some(fault.clone()));
        world.set("HTTPS_PROXY", &proxy.url_with("ada", "hunter2secret"));
        let (ran, cost) = cost_of(&world, &["refresh"]);
        let told = format!("{ran:?}{}", world.log());
        let is_told = told.contains("hunter2secret") || told.contains(&granted.refresh_token);
        let heard = format!("{:?}", proxy.connects());
        let is_right = ran.exit == Some(1)
            && ran.stdout.contains("HTTPS_PROXY")
            && ran.stdout.contains(words)
            && !ran.stdout.contains("sign-in needed")
            && center.requests().is_empty()
            && center.is_live_refresh_token(&world.token("work", "refreshToken"))
            && !heard.contains(&granted.refresh_token);
        let is_cheap = cost.took < RUN_MAX && cost.memory.is_none_or(|kb| kb <= MEMORY_MAX);
        match is_right && is_cheap && !is_told {
            true => Ok(cost),
            false => Err(format!("{name}: {cost:?} {told}")),
        }
    });
    tally("servers that lied: proxies", costs.len(), &dearest(&costs));
}

#[test]
fn a_proxy_that_cannot_be_trusted_gets_no_request() {
    let (center, proxy) = (
        crate::world::center(),
        IdentityCenter::start(Options {
            certificate: Certificate::UnknownCa,
            ..Options::default()
        }),
    );
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", 5);
    world.set("HTTPS_PROXY", &proxy.endpoint());
    world
        .run(&["refresh"])
        .exits(1)
        .says("HTTPS_PROXY")
        .says("certificate");
    assert_eq!((center.connections(), proxy.requests().len()), (0, 0));
}
