//! A service that lies to a sign-in, in each of its answers: nobody is bothered in vain, the token that is there stays, and
//! the state is the right one.

use std::time::Duration;

use crate::identity_center::{Consent, Fault, IdentityCenter, Options, Script};
use crate::liar::{Cost, MEMORY_MAX, NO_LIFETIME, NO_TEXT, cost_of, dearest, with_member};
use crate::torture::{each, has_time, tally};
use crate::world::World;

const REGISTER: &str = "/client/register";
const DEVICE: &str = "/device_authorization";
const TOKEN: &str = "/token";

/// What the service would grant at all is over in this time, so that a poll without end has one.
const DEVICE_LIFETIME: Duration = Duration::from_secs(2);

/// What a lie must lead to.
#[derive(Debug, Clone, Copy)]
enum Truth {
    SignedIn,
    /// This exit status and these words, and no further request than the one that was lied to.
    Not(i32, &'static str),
    /// What was lied about does not matter: a request to this path follows.
    GoesOn(&'static str),
}

struct Lie {
    name: String,
    by_device_code: bool,
    /// What is lied to.
    path: &'static str,
    fault: Fault,
    truth: Truth,
}

fn lie(by_device_code: bool, path: &'static str, name: &str, fault: Fault, truth: Truth) -> Lie {
    Lie {
        name: name.to_string(),
        by_device_code,
        path,
        fault,
        truth,
    }
}

/// Tells one lie for ever, and says what is wrong with what came of it.
fn tell(lie: &Lie) -> Result<Cost, String> {
    let center = IdentityCenter::start(Options {
        consent: Consent::Allow,
        device_lifetime: DEVICE_LIFETIME,
        ..Options::default()
    });
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    // What a program waits for counts as its memory, so nobody waits for this one.
    world.browser("echo >>opened; curl -sSL --cacert ca.pem -o /dev/null \"$1\" &");
    world.sign_in(&center, "work", 50);
    let before = world.token_text("work");
    center.fault_at(lie.path, None, lie.fault.clone());
    let arguments: &[&str] = match lie.by_device_code {
        true => &["login", "--device-code"],
        false => &["login"],
    };
    let (ran, cost) = cost_of(&world, arguments);
    let after = world.token_text("work");
    let is_left_over = world
        .cache_names()
        .iter()
        .any(|name| name.ends_with(".new"));
    let was_asked = world.home.join("opened").exists() || ran.stdout.contains("Enter this code");
    let may_be_asked = lie.path == TOKEN;
    let is_right = match lie.truth {
        Truth::SignedIn => ran.exit == Some(0) && after != before && !after.contains("null"),
        Truth::Not(exit, words) => {
            let order = [REGISTER, DEVICE, TOKEN];
            let next = order.iter().skip_while(|path| **path != lie.path).nth(1);
            ran.exit == Some(exit)
                && ran.stderr.contains(words)
                && after == before
                && (!was_asked || may_be_asked)
                && next.is_none_or(|path| center.requests_to(path).is_empty())
        }
        Truth::GoesOn(path) => !center.requests_to(path).is_empty() && after == before,
    };
    let is_cheap =
        cost.took < Duration::from_secs(61) && cost.memory.is_none_or(|kb| kb <= MEMORY_MAX);
    match is_right && is_cheap && !is_left_over {
        true => Ok(cost),
        false => Err(format!(
            "{} {}: {:?} {cost:?}, asked {was_asked}, left over {is_left_over}, exit {:?}, {}, {after}",
            lie.path, lie.name, lie.truth, ran.exit, ran.stderr
        )),
    }
}

fn tell_all(what: &str, lies: &[Lie]) {
    let costs = each(lies, 24, tell);
    let what = format!("servers that lied: {what}");
    tally(&what, costs.len(), &dearest(&costs));
}

/// Every error that the service's model names.
const ERRORS: [&str; 13] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "authorization_pending",
    "slow_down",
    "access_denied",
    "expired_token",
    "server_error",
    "invalid_client_metadata",
    "invalid_redirect_uri",
];

#[test]
fn every_error_has_its_end_for_every_request_of_a_sign_in() {
    let mut lies = Vec::new();
    for error in ERRORS {
        let mut told = |by_device_code, path, truth| {
            lies.push(lie(by_device_code, path, error, Fault::error(error), truth));
        };
        told(false, REGISTER, Truth::Not(1, error));
        told(true, REGISTER, Truth::Not(1, error));
        told(true, DEVICE, Truth::Not(1, error));
        told(false, TOKEN, Truth::Not(1, error));
        let of_poll = match error {
            // The person may still be at it, until the code runs out.
            "authorization_pending" | "slow_down" | "server_error" | "expired_token" => {
                Truth::Not(3, "nobody allowed it")
            }
            "invalid_client" => Truth::Not(1, error),
            _ => Truth::Not(3, error),
        };
        told(true, TOKEN, of_poll);
    }
    tell_all("errors for each request of a sign-in", &lies);
}

#[test]
fn every_member_of_every_answer_may_be_wrong() {
    const CLIENT: &[(&str, &str)] = &[
        ("clientId", "\"c\""),
        ("clientSecret", "\"s\""),
        ("clientIdIssuedAt", "1700000000"),
        ("clientSecretExpiresAt", "4102444800"),
        ("authorizationEndpoint", "null"),
        ("tokenEndpoint", "null"),
    ];
    const CODE: &[(&str, &str)] = &[
        ("deviceCode", "\"d\""),
        ("userCode", "\"ABCD-EFGH\""),
        ("verificationUri", "\"https://device.example/\""),
        ("verificationUriComplete", "\"https://device.example/?c=1\""),
        ("expiresIn", "2"),
        ("interval", "1"),
    ];
    const GRANT: &[(&str, &str)] = &[
        ("accessToken", "\"x\""),
        ("expiresIn", "3600"),
        ("refreshToken", "\"y\""),
        ("tokenType", "\"Bearer\""),
    ];
    const NO_PAGE: &[(&str, &str)] = &[
        ("a script", "\"javascript:alert(1)\""),
        ("a file", "\"file:///etc/passwd\""),
        ("plain http", "\"http://device.example/\""),
        ("no address", "\"nowhere\""),
        ("no host", "\"https://\""),
        ("a blank", "\"https://device.example/ x\""),
        ("a line break", "\"https://device.example/\\nx\""),
        ("an option", "\"--help\""),
    ];
    const ABSURD: &[(&str, &str)] = &[("far beyond every calendar", "9007199254740991")];
    let lacks = Truth::Not(1, "lacks what it must hold");
    let no_page = Truth::Not(1, "no https address");
    let on_to_device = Truth::GoesOn(DEVICE);
    let on_to_token = Truth::GoesOn(TOKEN);
    let mut lies = Vec::new();
    let mut all = |by_device_code,
                   path,
                   usual: &[(&str, &str)],
                   member: &str,
                   wrong: &[(&str, &str)],
                   truth| {
        for (what, value) in wrong {
            let fault = Fault::answer(200, &with_member(usual, member, value));
            lies.push(lie(
                by_device_code,
                path,
                &format!("{member}: {what}"),
                fault,
                truth,
            ));
        }
    };
    for (member, wrong, truth) in [
        ("clientId", NO_TEXT, lacks),
        ("clientSecret", NO_TEXT, lacks),
        ("clientSecretExpiresAt", NO_LIFETIME, lacks),
        ("clientSecretExpiresAt", ABSURD, on_to_device),
        ("clientIdIssuedAt", NO_LIFETIME, on_to_device),
        ("authorizationEndpoint", NO_TEXT, on_to_device),
        ("tokenEndpoint", NO_TEXT, on_to_device),
    ] {
        all(true, REGISTER, CLIENT, member, wrong, truth);
    }
    for (member, wrong, truth) in [
        ("deviceCode", NO_TEXT, lacks),
        ("userCode", NO_TEXT, lacks),
        ("verificationUri", NO_TEXT, lacks),
        ("verificationUri", NO_PAGE, no_page),
        ("verificationUriComplete", NO_TEXT, on_to_token),
        ("verificationUriComplete", NO_PAGE, no_page),
        ("expiresIn", NO_LIFETIME, lacks),
        ("expiresIn", ABSURD, on_to_token),
        ("interval", NO_LIFETIME, on_to_token),
        ("interval", ABSURD, on_to_token),
    ] {
        all(true, DEVICE, CODE, member, wrong, truth);
    }
    for (member, wrong, truth) in [
        ("accessToken", NO_TEXT, Truth::Not(1, "not a grant")),
        ("expiresIn", NO_LIFETIME, Truth::Not(1, "not a grant")),
        ("expiresIn", ABSURD, Truth::Not(1, "not a grant")),
        ("refreshToken", NO_TEXT, Truth::SignedIn),
        ("tokenType", NO_TEXT, Truth::SignedIn),
    ] {
        all(false, TOKEN, GRANT, member, wrong, truth);
    }
    for (member, wrong) in [("accessToken", NO_TEXT), ("expiresIn", NO_LIFETIME)] {
        all(
            true,
            TOKEN,
            GRANT,
            member,
            wrong,
            Truth::Not(3, "nobody allowed it"),
        );
    }
    tell_all("members of each answer to a sign-in", &lies);
}

#[test]
fn no_answer_that_is_none_is_taken_for_one() {
    let page = "<html>Welcome to the hotel</html>";
    let answers = |path: &'static str| {
        let redirect = Fault::Answer {
            status: 302,
            headers: vec![("Location".to_string(), "https://evil.example/".to_string())],
            body: Vec::new(),
        };
        [
            ("a page", Fault::answer(200, page)),
            ("a page, 403", Fault::answer(403, page)),
            ("a page, 511", Fault::answer(511, page)),
            ("a redirect", redirect),
            ("too many requests", Fault::answer(429, "{}")),
            ("nothing", Fault::answer(200, "")),
            ("too much", Fault::answer(200, &"x".repeat(70_000))),
            ("no HTTP", Fault::Raw(b"SSH-2.0\r\n".to_vec())),
            (
                "endless head",
                Fault::Raw(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(2_000_000)).into_bytes()),
            ),
            ("the end", Fault::CloseBefore),
        ]
        .map(|(name, fault)| (path, name, fault))
    };
    let mut lies = Vec::new();
    for (path, name, fault) in [REGISTER, TOKEN].into_iter().flat_map(answers) {
        lies.push(lie(
            false,
            path,
            name,
            fault,
            Truth::Not(1, "cannot sign in to work: "),
        ));
    }
    for (path, name, fault) in answers(DEVICE) {
        lies.push(lie(
            true,
            path,
            name,
            fault,
            Truth::Not(1, "cannot sign in to work: "),
        ));
    }
    // A redirect is an answer, and no poll goes on after it; the others are trouble that may pass.
    for (path, name, fault) in answers(TOKEN) {
        let words = if name == "a redirect" {
            "redirect"
        } else {
            "nobody allowed it"
        };
        lies.push(lie(true, path, name, fault, Truth::Not(3, words)));
    }
    tell_all("no answers to a sign-in", &lies);
}

#[test]
fn a_service_that_hangs_holds_no_sign_in() {
    if !has_time("a_service_that_hangs_holds_no_sign_in") {
        return;
    }
    let pause = Duration::from_millis(400);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n";
    let mut lies = Vec::new();
    for (by_device_code, path) in [
        (false, REGISTER),
        (true, DEVICE),
        (false, TOKEN),
        (true, TOKEN),
    ] {
        for (name, fault) in [
            ("silence", Fault::HangBefore),
            ("silence after it was done", Fault::HangAfter),
            (
                "a head that stops",
                Fault::Say(Script::all("HTTP/1.1 2").then_silence()),
            ),
            (
                "a body that drips",
                Fault::Say(Script::all(format!("{head}{}", " ".repeat(1000))).dripped(pause)),
            ),
            (
                "a body that stops",
                Fault::Say(Script::all(head).then_silence()),
            ),
        ] {
            let truth = match (by_device_code, path) {
                (true, TOKEN) => Truth::Not(3, "nobody allowed it"),
                _ => Truth::Not(1, "in time"),
            };
            lies.push(lie(by_device_code, path, name, fault, truth));
        }
        lies.push(lie(
            by_device_code,
            path,
            "silence instead of TLS",
            Fault::HangHandshake,
            Truth::Not(1, "in time"),
        ));
    }
    tell_all("hanging in a sign-in", &lies);
}
