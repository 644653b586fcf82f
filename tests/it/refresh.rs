//! The silent refresh, from the config file to the rewritten token, and what each answer of the server leads to.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::identity_center::{
    Fault, IdentityCenter, OAuthError, Options, Proxy, ProxyOptions, RefreshTokens,
};
use crate::world::{REGION, Ran, World, center, in_seconds, member_of, token_text};

/// A home with one session `work` that is signed in at `center` with `minutes` left.
fn world_with(center: &IdentityCenter, minutes: i64) -> World {
    let world = World::with(center);
    world.sessions(&["work"]);
    world.sign_in(center, "work", minutes);
    world
}

#[test]
fn a_due_token_is_refreshed_over_tls_and_everything_else_stays() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    let granted = world.sign_in(&center, "work", 12);
    let before = world.token_text("work");
    world.run(&["refresh"]).exits(0).says("✓ work  refreshed: ");
    assert!(center.is_live_access_token(&world.token("work", "accessToken")));
    assert!(center.is_live_refresh_token(&world.token("work", "refreshToken")));
    assert_ne!(world.token("work", "refreshToken"), granted.refresh_token);
    for member in [
        "startUrl",
        "region",
        "clientId",
        "clientSecret",
        "registrationExpiresAt",
    ] {
        assert!(before.contains(&world.token("work", member)), "{member}");
    }
    assert_eq!(world.cache_names().len(), 1);
    assert_eq!(center.violations(), Vec::<String>::new());
}

#[test]
fn unknown_members_survive_byte_for_byte_and_in_order() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    let granted = world.sign_in(&center, "work", 12);
    let odd = r#"{"z": 123456789012345678901234567890, "e": 1e400, "n": [1, {"q":  null}], "u": "\u00e9\ud83d\ude00", "#;
    let text = token_text(&granted, 60).replacen('{', odd, 1).replacen(
        "}",
        r#", "a": {"b" :[ ]}, "nul": null}"#,
        9,
    );
    let text = text.replace(
        r#"{"q":  null, "a": {"b" :[ ]}, "nul": null}"#,
        r#"{"q":  null}"#,
    );
    world.write_token("work", &text);
    world.run(&["refresh"]).exits(0).says("refreshed");
    let after = world.token_text("work");
    assert!(after.starts_with(odd), "{after}");
    assert!(after.contains(r#""a": {"b" :[ ]}, "nul": null"#), "{after}");
}

#[test]
fn an_expired_token_can_still_be_refreshed() {
    let center = center();
    let world = world_with(&center, -3 * 60);
    world
        .run(&["refresh"])
        .exits(0)
        .says("refreshed")
        .says("(was: expired 3h ago)");
}

#[test]
fn a_fresh_token_sends_nothing_and_stays_untouched() {
    let center = center();
    let world = world_with(&center, 50);
    let before = fs::metadata(world.token_path("work"))
        .and_then(|found| found.modified())
        .expect("it exists");
    world.run(&[]).exits(0).says("✓ work  ").says("remaining");
    let after = fs::metadata(world.token_path("work"))
        .and_then(|found| found.modified())
        .expect("it exists");
    assert_eq!((before, center.connections()), (after, 0));
}

#[test]
fn force_refreshes_what_is_fresh() {
    let center = center();
    let world = world_with(&center, 50);
    world.run(&["--force"]).exits(0).says("refreshed");
    assert_eq!(center.requests_to("/token").len(), 1);
}

#[test]
fn a_dry_run_says_what_would_happen_and_leaves_no_trace() {
    let center = center();
    let world = world_with(&center, 5);
    world
        .run(&["refresh", "--dry-run"])
        .exits(0)
        .says("would be refreshed");
    assert_eq!((center.connections(), world.data().exists()), (0, false));
}

#[test]
fn a_scheduled_run_prints_nothing_and_logs_what_it_did() {
    let center = center();
    let world = world_with(&center, 5);
    world
        .run(&["refresh", "--scheduled"])
        .exits(0)
        .stays_quiet();
    world
        .run(&["refresh", "--scheduled"])
        .exits(0)
        .stays_quiet();
    let log = world.log();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(
        lines[0].contains(" work refreshed before=") && lines[0].contains(" attempts=1 ms="),
        "{log}"
    );
    assert!(
        lines[1].contains(" run=scheduled sessions=1 refreshed=1 exit=0 ms="),
        "{log}"
    );
    assert!(
        lines[2].contains(" run=scheduled sessions=1 refreshed=0 exit=0 ms="),
        "{log}"
    );
}

#[test]
fn no_secret_reaches_the_log_or_the_screen() {
    let center = center();
    let mut world = world_with(&center, 5);
    world.set("HTTPS_PROXY", "http://ada:hunter2secret@127.0.0.1:1");
    let refused = world.run(&["refresh"]).exits(1);
    world.set("HTTPS_PROXY", "");
    center.fault_next(1, Fault::error("invalid_request"));
    let wrong = world.run(&["--force"]).exits(1);
    let secrets =
        ["accessToken", "refreshToken", "clientSecret"].map(|member| world.token("work", member));
    let ok = world.run(&["--force"]).exits(0);
    let json = world.run(&["status", "--json"]).exits(0);
    let new_secrets = ["accessToken", "refreshToken"].map(|member| world.token("work", member));
    let history = fs::read_to_string(world.data().join("sessions.json")).expect("it exists");
    let seen = format!("{refused:?}{wrong:?}{ok:?}{json:?}{}{history}", world.log());
    for secret in secrets.iter().chain(&new_secrets) {
        assert!(!seen.contains(secret), "{secret}");
    }
    assert!(!seen.contains("hunter2secret"), "{seen}");
}

#[test]
fn only_the_named_sessions_are_looked_at() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["one", "two", "three"]);
    for name in ["one", "two", "three"] {
        world.sign_in(&center, name, 5);
    }
    world
        .run(&["refresh", "--session", "one", "--session", "three"])
        .exits(0);
    assert_eq!(center.requests_to("/token").len(), 2);
    world
        .run(&["refresh", "--session", "four"])
        .exits(2)
        .complains("cannot refresh four: ")
        .complains("it has: one, two, three");
}

#[test]
fn a_signed_out_session_is_nobodys_concern() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    world.run(&["refresh"]).exits(0).says("- work  signed out");
    assert_eq!(center.connections(), 0);
    assert!(!world.cache().exists());
}

#[test]
fn a_config_without_sessions_is_said_and_is_no_failure() {
    let world = World::new();
    world.run(&["refresh"]).exits(0).says("No sso-session in ");
    world.config("[default]\nregion = eu-west-1\n");
    world.run(&["refresh"]).exits(0).says("No sso-session in ");
}

#[test]
fn a_refusal_is_remembered_for_this_refresh_token_only() {
    let center = center();
    let world = world_with(&center, 5);
    center.end_session(&world.token("work", "refreshToken"));
    let before = world.token_text("work");
    world
        .run(&["refresh"])
        .exits(3)
        .says("✗ work  sign-in needed: the session ended")
        .says("login");
    world.run(&["refresh"]).exits(3);
    assert_eq!(
        center.requests_to("/token").len(),
        1,
        "the refused token is not sent again"
    );
    assert_eq!(
        world.token_text("work"),
        before,
        "nothing is blanked or removed"
    );
    world.run(&["--force"]).exits(3);
    assert_eq!(center.requests_to("/token").len(), 2, "but by force it is");
    world.sign_in(&center, "work", 5);
    world.run(&["refresh"]).exits(0).says("refreshed");
}

#[test]
fn every_answer_that_ends_a_session_ends_it_and_no_other_does() {
    let ended = [
        (400, "invalid_grant"),
        (400, "expired_token"),
        (400, "unauthorized_client"),
        (401, "invalid_client"),
    ];
    let wrong = [
        (400, "access_denied"),
        (400, "invalid_request"),
        (400, "invalid_scope"),
        (403, "invalid_grant"),
    ];
    for (status, error) in ended.into_iter().chain(wrong) {
        let center = center();
        let world = world_with(&center, 5);
        center.fault_next(
            1,
            Fault::Error(OAuthError {
                status,
                ..OAuthError::named(error, "told by a test")
            }),
        );
        let is_end = ended.contains(&(status, error));
        world.run(&["refresh"]).exits(if is_end { 3 } else { 1 });
        assert_eq!(center.requests_to("/token").len(), 1, "{status} {error}");
        if !is_end {
            let log = world.log();
            assert!(
                log.contains(&format!("{error} ({status}): told by a test")),
                "{log}"
            );
        }
    }
}

#[test]
fn trouble_is_retried_three_times_and_then_left_alone_for_a_while() {
    let center = center();
    let world = world_with(&center, 5);
    center.fault(Fault::answer(503, "{}"));
    let started = Instant::now();
    world
        .run(&["refresh"])
        .exits(1)
        .says("! work  ")
        .says("not refreshed: the server answered 503");
    assert_eq!(center.requests_to("/token").len(), 3);
    assert!(
        started.elapsed() > Duration::from_secs(3),
        "there are pauses in between"
    );
    world
        .run(&["refresh"])
        .exits(1)
        .says("the last refresh failed; tried again in ");
    world.run(&["status"]).exits(0);
    assert_eq!(
        center.requests_to("/token").len(),
        3,
        "no request within the pause"
    );
    center.clear_faults();
    world.run(&["--force"]).exits(0).says("refreshed");
}

#[test]
fn a_server_that_recovers_within_the_run_is_forgiven() {
    let center = center();
    let world = world_with(&center, 5);
    center.fault_next(1, Fault::answer(500, "<html>"));
    world.run(&["refresh"]).exits(0).says("refreshed");
    assert_eq!(center.requests_to("/token").len(), 2);
}

#[test]
fn slow_down_gets_one_more_attempt_after_five_seconds() {
    let center = center();
    let world = world_with(&center, 5);
    center.fault_next(1, Fault::error("slow_down"));
    let started = Instant::now();
    world.run(&["refresh"]).exits(0).says("refreshed");
    assert!(started.elapsed() >= Duration::from_secs(5));
    assert_eq!(center.requests_to("/token").len(), 2);
}

#[test]
fn a_network_that_is_down_is_not_an_ended_session() {
    let center = center();
    let mut world = world_with(&center, 5);
    world.set("AWS_ENDPOINT_URL_SSO_OIDC", "https://localhost:1");
    world.run(&["refresh"]).exits(1).says("not refreshed: ");
    assert!(!world.log().contains("sign-in"), "{}", world.log());
    // What was never sent is no trouble of the server's: the first that it has counts as the first.
    world.connect(&center);
    center.fault(Fault::answer(503, "{}"));
    world.run(&["refresh"]).exits(1);
    let history = world.history("work");
    let pause = history.split_once("\"pauseSeconds\":").expect("a pause").1;
    assert!(
        pause.starts_with("60,") || pause.starts_with("60}"),
        "{history}"
    );
    center.clear_faults();
    world
        .run(&["refresh", "--force"])
        .exits(0)
        .says("refreshed");
}

#[test]
fn a_job_waits_for_a_network_that_is_only_just_waking() {
    let center = center();
    let mut world = world_with(&center, 5);
    let asleep = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = asleep.local_addr().expect("it is bound");
    drop(asleep);
    let proxy = Proxy::start(ProxyOptions {
        map: vec![("*".to_string(), format!("127.0.0.1:{}", center.port()))],
        credentials: None,
    });
    let to = proxy.url().replace("http://", "");
    world.set("HTTPS_PROXY", &format!("http://{address}"));
    let job = world.start(&["refresh", "--scheduled"]);
    std::thread::sleep(Duration::from_millis(1500));
    let awake = TcpListener::bind(address).expect("the port is still free");
    std::thread::spawn(move || {
        for near in awake.incoming().flatten() {
            let far = TcpStream::connect(&to).expect("it listens");
            pour(&near, &far);
            pour(&far, &near);
        }
    });
    let ran = Ran::of(job.wait_with_output().expect("it ends"));
    let log = world.log();
    assert_eq!(ran.exit, Some(0), "{log}");
    ran.stays_quiet();
    assert!(log.contains(" attempts=2 "), "{log}");
    assert!(!world.history("work").contains("lastFailure"));
}

/// Passes on what one side says until it has said everything.
fn pour(from: &TcpStream, to: &TcpStream) {
    let mut from = from.try_clone().expect("a handle more");
    let mut to = to.try_clone().expect("a handle more");
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

/// One aimed at a local test stack must not receive refresh tokens for ever.
#[test]
fn a_job_does_not_follow_the_generic_endpoint() {
    let name = format!("oidc.{REGION}.amazonaws.com");
    let center = IdentityCenter::start(Options {
        extra_names: vec![name.clone()],
        ..Options::default()
    });
    let stack = IdentityCenter::start(Options {
        plain: true,
        ..Options::default()
    });
    let proxy = Proxy::start(ProxyOptions {
        map: vec![(
            format!("{name}:443"),
            format!("127.0.0.1:{}", center.port()),
        )],
        credentials: None,
    });
    let mut world = world_with(&center, 5);
    world.unset("AWS_ENDPOINT_URL_SSO_OIDC");
    world.set("AWS_ENDPOINT_URL", &stack.endpoint());
    world.set("HTTPS_PROXY", &proxy.url());
    world.run(&["refresh", "--scheduled"]).exits(0);
    assert_eq!(
        (stack.requests().len(), center.requests_to("/token").len()),
        (0, 1)
    );
    world.run(&["refresh", "--force"]);
    assert_ne!(stack.requests().len(), 0, "a person's own run follows it");
}

#[test]
fn a_server_that_repeats_what_it_was_sent_betrays_nothing() {
    let center = center();
    let world = world_with(&center, 5);
    let refresh_token = world.token("work", "refreshToken");
    let secret = world.token("work", "clientSecret");
    let echo = format!(
        r#"{{"error":"invalid_request","error_description":"cannot read {{\"clientSecret\": \"{secret}\", \"refreshToken\": \"{refresh_token}"}}"#
    );
    center.fault(Fault::answer(400, &echo));
    let ran = world
        .run(&["refresh"])
        .exits(1)
        .says("invalid_request (400): cannot read");
    for text in [&ran.stdout, &ran.stderr, &world.log()] {
        assert!(!text.contains(&refresh_token[..12]), "{text}");
        assert!(!text.contains(&secret[..12]), "{text}");
    }
}

#[test]
fn whatever_is_no_file_is_no_config() {
    let mut world = World::new();
    for path in ["/dev/null", "/tmp"] {
        world.set("AWS_CONFIG_FILE", path);
        world.run(&["refresh"]).exits(0).says("No sso-session in ");
    }
}

#[test]
fn an_answer_that_was_lost_does_not_blank_the_token() {
    let center = IdentityCenter::start(Options {
        refresh_tokens: RefreshTokens::Keep,
        ..Options::default()
    });
    let world = world_with(&center, 5);
    center.fault_next(1, Fault::CloseAfter);
    world.run(&["refresh"]).exits(0).says("refreshed");
    assert_eq!(center.requests_to("/token").len(), 2);
}

#[test]
fn a_refresh_token_that_is_not_renewed_stays() {
    for refresh_tokens in [RefreshTokens::Omit, RefreshTokens::Null] {
        let center = IdentityCenter::start(Options {
            refresh_tokens,
            ..Options::default()
        });
        let world = world_with(&center, 5);
        let before = world.token("work", "refreshToken");
        world.run(&["refresh"]).exits(0).says("refreshed");
        assert_eq!(world.token("work", "refreshToken"), before);
        assert!(!world.token_text("work").contains("null"));
    }
}

#[test]
fn a_short_lived_grant_is_taken_and_does_not_loop() {
    let center = IdentityCenter::start(Options {
        token_lifetime: Duration::from_secs(120),
        ..Options::default()
    });
    let world = world_with(&center, 1);
    world.run(&["refresh"]).exits(0).says("refreshed");
    world.run(&["refresh"]).exits(0);
    assert_eq!(center.requests_to("/token").len(), 1);
}

#[test]
fn a_broken_grant_leaves_the_file_alone() {
    for body in [
        "{}",
        "[]",
        "<html>captive portal</html>",
        r#"{"accessToken":"x","expiresIn":-1}"#,
        r#"{"accessToken":"x","expiresIn":7776001}"#,
        r#"{"accessToken":"","expiresIn":3600}"#,
        &format!(
            r#"{{"accessToken":{}1{},"expiresIn":3600}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        ),
    ] {
        let center = center();
        let world = world_with(&center, 5);
        let before = world.token_text("work");
        center.fault(Fault::answer(200, body));
        world
            .run(&["refresh"])
            .exits(1)
            .says("the answer is not a grant");
        assert_eq!(
            (world.token_text("work"), world.cache_names().len()),
            (before, 1)
        );
    }
}

#[test]
fn a_token_that_cannot_be_renewed_is_used_to_its_end() {
    let world = World::new();
    world.sessions(&["work"]);
    let with = |seconds: i64| {
        format!(
            r#"{{"accessToken": "a", "expiresAt": "{}"}}"#,
            in_seconds(seconds)
        )
    };
    world.write_token("work", &with(3600));
    world
        .run(&["refresh"])
        .exits(0)
        .says("cannot be refreshed: sign-in needed in ")
        .says("refreshToken");
    world.write_token("work", &with(299));
    world
        .run(&["refresh"])
        .exits(3)
        .says("sign-in needed: the token has no refreshToken, clientId, clientSecret");
    world.write_token("work", &with(-8 * 86_400));
    world.run(&["refresh"]).exits(0).says("- work  dormant");
}

#[test]
fn a_redefined_session_sends_its_token_nowhere() {
    let center = center();
    let world = world_with(&center, 20);
    world.config(
        "[sso-session work]\nsso_start_url = https://other.awsapps.com/start\nsso_region = eu-west-1\n",
    );
    world
        .run(&["refresh", "--force"])
        .exits(0)
        .says("the config now has another start URL");
    assert_eq!(center.connections(), 0);
}

#[test]
fn the_file_of_a_linked_token_is_replaced_and_not_the_link() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", 5);
    let real = world.home.join("elsewhere/token.json");
    fs::create_dir(world.home.join("elsewhere")).expect("made");
    fs::rename(world.token_path("work"), &real).expect("moved");
    std::os::unix::fs::symlink(&real, world.token_path("work")).expect("linked");
    world.run(&["refresh"]).exits(0).says("refreshed");
    assert!(
        fs::symlink_metadata(world.token_path("work"))
            .expect("it exists")
            .is_symlink()
    );
    let text = fs::read_to_string(&real).expect("it exists");
    assert!(center.is_live_access_token(&member_of(&text, "accessToken").expect("it is there")));
    assert_eq!(
        crate::world::names_in(&world.home.join("elsewhere")),
        ["token.json"]
    );
}

#[test]
fn thirty_due_sessions_take_about_as_long_as_one() {
    let center = IdentityCenter::start(Options {
        server_delay: Duration::from_millis(300),
        ..Options::default()
    });
    let names: Vec<String> = (0..30).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::with(&center);
    world.sessions(&names);
    for name in &names {
        world.sign_in(&center, name, 5);
    }
    let timed = |arguments: &[&str]| {
        let started = Instant::now();
        world.run(arguments).exits(0);
        started.elapsed()
    };
    let one = timed(&["refresh", "--session", "s0"]);
    let all = timed(&["refresh"]);
    assert_eq!(center.requests_to("/token").len(), 30);
    // One after the other they would take 30 times as long; the exact ratio is `make bench`'s business.
    assert!(all < one * 6, "one {one:?}, all {all:?}");
}

#[test]
fn a_stuck_endpoint_delays_nobody_else() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["stuck", "quick"]);
    let stuck = world.sign_in(&center, "stuck", 5);
    world.sign_in(&center, "quick", 5);
    center.fault_next(1, Fault::Delay(Duration::from_secs(8)));
    let started = Instant::now();
    let child = world.start(&["refresh"]);
    let quick_or_stuck_is_done = || {
        let refreshed = |name: &str, old: &str| world.token(name, "accessToken") != old;
        refreshed("quick", &stuck.access_token)
            && world.token("quick", "expiresAt") > in_seconds(1800)
            || refreshed("stuck", &stuck.access_token)
    };
    while !quick_or_stuck_is_done() {
        assert!(
            started.elapsed() < Duration::from_secs(6),
            "the quick one waits for the stuck one"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_proxy_is_used_with_its_credentials() {
    let center = center();
    let mut world = world_with(&center, 5);
    let target = center.endpoint().replacen("https://", "", 1);
    let proxy = Proxy::start(ProxyOptions {
        map: vec![(target.clone(), format!("127.0.0.1:{}", center.port()))],
        credentials: Some(("ada".to_string(), "p@ss:word".to_string())),
    });
    world.set("HTTPS_PROXY", &proxy.url_with("ada", "wrong"));
    world.run(&["refresh"]).exits(1).says("HTTPS_PROXY");
    world.set("https_proxy", &proxy.url_with("ada", "p%40ss%3Aword"));
    world.run(&["refresh"]).exits(0).says("refreshed");
    assert!(
        proxy
            .connects()
            .iter()
            .any(|connect| connect.target == target && connect.status == Some(200))
    );
    world.set("NO_PROXY", "localhost");
    let before = proxy.connects().len();
    world.run(&["--force"]).exits(0);
    assert_eq!(proxy.connects().len(), before);
}

#[test]
fn a_bundle_replaces_the_default_roots_and_a_profile_can_name_it() {
    let center = center();
    let mut world = world_with(&center, 5);
    world.set("AWS_CA_BUNDLE", "/nowhere/ca.pem");
    world
        .run(&["refresh"])
        .exits(2)
        .says("AWS_CA_BUNDLE")
        .says("/nowhere/ca.pem");
    world.set("AWS_CA_BUNDLE", "");
    world.run(&["refresh"]).exits(1).says("certificate");
    let config = fs::read_to_string(world.home.join(".aws/config")).expect("it exists");
    let bundle = world.home.join("ca.pem");
    world.config(&format!(
        "{config}\n[profile corp]\nca_bundle = {}\n",
        bundle.display()
    ));
    world.set("AWS_PROFILE", "corp");
    world.run(&["refresh"]).exits(0).says("refreshed");
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let center = center();
    let mut world = world_with(&center, 5);
    world.set("AWS_ENDPOINT_URL_SSO_OIDC", "http://192.0.2.1/");
    world
        .run(&["refresh"])
        .exits(2)
        .says("AWS_ENDPOINT_URL_SSO_OIDC");
    let plain = IdentityCenter::start(Options {
        plain: true,
        ..Options::default()
    });
    world.set("AWS_ENDPOINT_URL_SSO_OIDC", &plain.endpoint());
    world.sign_in(&plain, "work", 5);
    world.run(&["refresh"]).exits(0).says("refreshed");
}

#[test]
fn a_wrong_setting_ends_the_run_and_a_job_leaves_a_trace_of_it() {
    let mut world = World::new();
    world.set("AWS_SSO_REFRESH_INTERVAL", "61");
    world
        .run(&["refresh", "--scheduled"])
        .exits(2)
        .complains("AWS_SSO_REFRESH_INTERVAL=61");
    let log = world.log();
    assert!(
        log.contains("failed \"cannot use AWS_SSO_REFRESH_INTERVAL=61") && log.contains("exit=2"),
        "{log}"
    );
}

#[test]
fn a_misconfigured_session_is_told_with_file_and_line_wherever_people_look() {
    let world = World::new();
    world.config("[sso-session work]\nsso_region = eu-west-1\n");
    let place = format!("{}/.aws/config, line 1: ", world.home.display());
    let told = format!("misconfigured: {place}sso_start_url is missing");
    for command in ["refresh", "status"] {
        world.run(&[command]).exits(2).says(&told);
    }
    world.run(&["login"]).exits(2).complains(&place);
    let before = world.log();
    world
        .run(&["refresh", "--scheduled"])
        .exits(2)
        .stays_quiet();
    let log = world.log();
    let line = format!(" work misconfigured \"{place}sso_start_url is missing\"");
    let lines: Vec<&str> = log[before.len()..].lines().collect();
    assert!(lines.len() == 2 && lines[0].ends_with(&line), "{log}");
}
