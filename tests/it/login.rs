//! Signing in: both flows, what a browser really does, and what others try meanwhile.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::identity_center::{
    Consent, Fault, IdentityCenter, Options, Proxy, ProxyOptions, RefreshTokens,
};
use crate::world::{
    REGION, Ran, START_URL, World, can_interrupt, center, consenting, fingerprint, in_terminal,
    is_installed, member_of,
};

/// A home whose browser is a script with these lines; `$1` is the address, and what it visits is kept in `page`.
fn world_with_browser(center: &IdentityCenter, lines: &str) -> World {
    let mut world = World::with(center);
    world.sessions(&["work"]);
    world.browser(lines);
    world
}

/// Goes where the address leads, as a person does who is signed in at the portal already.
const FOLLOW: &str = "curl -sSL --cacert ca.pem -D head -o page.part \"$1\" && mv page.part page";

/// Keeps the address and does nothing more.
const KEEP: &str = "echo \"$1\" > url.part; mv url.part url";

impl World {
    fn page(&self) -> String {
        self.wait_for("page")
    }

    /// The address that the browser was given, and the port and state in it.
    fn address(&self) -> (String, u16, String) {
        let url = self.wait_for("url");
        let value = |name: &str| {
            let (_, rest) = url.split_once(&format!("{name}=")).expect("it is there");
            rest.split('&')
                .next()
                .unwrap_or_default()
                .trim()
                .to_string()
        };
        let redirect = value("redirect_uri");
        let port = redirect
            .strip_prefix("http%3A%2F%2F127.0.0.1%3A")
            .and_then(|rest| rest.strip_suffix("%2Foauth%2Fcallback"))
            .expect("the redirect goes to this machine");
        let port = port.parse().expect("a port");
        let state = value("state");
        (url, port, state)
    }

    fn registrations(&self) -> Vec<String> {
        let names = self.cache_names().into_iter();
        let texts = names.filter_map(|name| fs::read_to_string(self.cache().join(name)).ok());
        texts
            .filter(|text| text.contains("\"grantTypes\""))
            .collect()
    }
}

fn visit(port: u16, target: &str, host: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn end(child: Child) -> Ran {
    Ran::of(child.wait_with_output().expect("it ends"))
}

#[test]
fn a_person_signs_in_through_the_browser() {
    let center = consenting(Consent::Allow);
    let world = world_with_browser(&center, FOLLOW);
    world
        .run(&["login"])
        .exits(0)
        .says("Signing in to work")
        .says("✓ Signed in to work: 1h remaining\n");
    assert!(center.is_live_access_token(&world.token("work", "accessToken")));
    assert!(center.is_live_refresh_token(&world.token("work", "refreshToken")));
    assert_eq!(world.token("work", "startUrl"), START_URL);
    assert_eq!(world.token("work", "region"), REGION);
    for member in [
        "expiresAt",
        "clientId",
        "clientSecret",
        "registrationExpiresAt",
    ] {
        assert_ne!(world.token("work", member), "");
    }
    let mode = |path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(world.token_path("work")), 0o600);
    assert_eq!(mode(world.cache()), 0o700);
    assert_eq!(
        world.cache_names().len(),
        2,
        "the token and the registration"
    );

    assert!(world.page().contains("<h1>Signed in to work</h1>"));
    let head = fs::read_to_string(world.home.join("head")).expect("the browser wrote it");
    assert!(head.contains("Content-Security-Policy: default-src 'none'"));
    assert!(head.contains("Cache-Control: no-store"));

    let registration: Vec<_> = center.requests_to("/client/register");
    assert_eq!(registration.len(), 1);
    let body = String::from_utf8_lossy(&registration[0].body).into_owned();
    assert!(body.contains(r#""redirectUris": ["http://127.0.0.1/oauth/callback"]"#));
    assert!(body.contains(&format!(r#""issuerUrl": "{START_URL}""#)));
    let order: Vec<String> = center
        .requests()
        .into_iter()
        .map(|seen| seen.path)
        .collect();
    assert_eq!(order, ["/client/register", "/authorize", "/token"]);
    assert_eq!(center.violations(), Vec::<String>::new());

    world.run(&["refresh"]).exits(0).says("✓ work  ");
    world
        .run(&["refresh", "--force"])
        .exits(0)
        .says("refreshed: ");
    assert_eq!(center.spent_twice(), 0);
}

#[test]
fn what_is_remembered_of_a_sign_in() {
    let center = consenting(Consent::Allow);
    let world = world_with_browser(&center, FOLLOW);
    let granted = world.sign_in(&center, "work", 12);
    center.end_session(&granted.refresh_token);
    world.run(&["refresh"]).exits(3);
    assert!(world.history("work").contains("refusedToken"));
    world.run(&["login", "work"]).exits(0);
    let history = world.history("work");
    let stored = fingerprint(&world.token("work", "refreshToken"));
    assert_eq!(member_of(&history, "storedToken"), Some(stored));
    assert!(member_of(&history, "lastBrowserLogin").is_some());
    for gone in ["refusedToken", "loggedOutToken", "asked", "lastAsked"] {
        assert!(!history.contains(gone), "{history}");
    }
    world
        .run(&["status"])
        .exits(0)
        .says(" remaining (sign-in in about ");
    let json = world.run(&["status", "--json"]).exits(0).stdout;
    assert!(json.contains(r#""basis": "default""#), "{json}");
}

#[test]
fn a_code_signs_in_from_any_other_machine() {
    let center = center();
    let mut world = World::with(&center);
    world.config(&format!(
        "[sso-session work]\nsso_start_url = {START_URL}\nsso_region = {REGION}\n"
    ));
    world.set("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22");
    let login = world.start(&["login", "work"]);
    let code = waiting_code(&center);
    assert!(center.approve_device(&code));
    let ran = end(login).exits(0).says("✓ Signed in to work");
    assert!(
        ran.stdout.contains(&format!("│    {code}    │")),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains(&format!("{}/device\n", center.endpoint()))
    );
    // Without configured scopes the AWS CLI would get a token here that nobody can refresh.
    assert!(center.is_live_refresh_token(&world.token("work", "refreshToken")));
    let body = center.requests_to("/client/register")[0].body.clone();
    let expected = r#"{"clientName": "aws-sso-refresh", "clientType": "public", "scopes": ["sso:account:access"]}"#;
    assert_eq!(String::from_utf8_lossy(&body), expected);
    assert_eq!(center.violations(), Vec::<String>::new());
}

#[test]
fn a_code_is_not_redeemed_while_another_run_is_at_the_token() {
    let center = consenting(Consent::Allow);
    let world = World::with(&center);
    world.sessions(&["work"]);
    let locks = world.data().join("locks");
    fs::create_dir_all(&locks).expect("made");
    let name = world.token_path("work").with_extension("lock");
    let path = locks.join(name.file_name().expect("a name"));
    let lock = fs::File::create(path).expect("made");
    lock.lock().expect("nobody holds it");
    let login = world.start(&["login", "--device-code"]);
    let until = Instant::now() + Duration::from_secs(20);
    while center.requests_to("/device_authorization").is_empty() {
        assert!(Instant::now() < until, "no device code was asked for");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(center.requests_to("/token").len(), 0);
    drop(lock);
    end(login).exits(0).says("✓ Signed in to work");
}

#[test]
fn a_sign_in_goes_to_where_a_link_leads() {
    let center = consenting(Consent::Allow);
    let world = World::with(&center);
    world.sessions(&["work"]);
    let real = world.home.join("volume/token.json");
    fs::create_dir_all(world.cache()).expect("made");
    std::os::unix::fs::symlink(&real, world.token_path("work")).expect("linked");
    world
        .run(&["login", "--device-code"])
        .exits(1)
        .complains("volume/");
    assert_eq!(center.requests().len(), 0, "nobody is bothered in vain");
    fs::create_dir(world.home.join("volume")).expect("made");
    world.run(&["login", "--device-code"]).exits(0);
    assert!(world.token_path("work").is_symlink() && real.is_file());
    assert!(center.is_live_refresh_token(&world.token("work", "refreshToken")));
}

#[test]
fn signing_out_and_in_starts_the_clock_anew_beside_another_session() {
    let center = consenting(Consent::Allow);
    let world = World::with(&center);
    world.sessions(&["one", "two"]);
    for name in ["one", "two"] {
        world.run(&["login", name, "--device-code"]).exits(0);
    }
    let path = world.data().join("sessions.json");
    let began = member_of(&world.history("one"), "sessionBegan").expect("it is noted");
    let long_ago = crate::world::in_seconds(-7 * 3600);
    let text = fs::read_to_string(&path).expect("it is there");
    let two = member_of(&world.history("two"), "sessionBegan").expect("it is noted");
    fs::write(
        &path,
        text.replace(&began, &long_ago).replace(&two, &long_ago),
    )
    .expect("written");
    world.run(&["logout", "one"]).exits(0).says("two");
    world.run(&["login", "one", "--device-code"]).exits(0);
    let began = member_of(&world.history("one"), "sessionBegan").expect("it is noted");
    assert_ne!(began, long_ago);
}

/// The code that the program shows, once it has found out that it must show one.
fn waiting_code(center: &IdentityCenter) -> String {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(code) = center.waiting_user_codes().pop()
            && !center.requests_to("/token").is_empty()
        {
            return code;
        }
        assert!(Instant::now() < until, "no device is waiting");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn without_a_display_a_code_is_shown() {
    let center = center();
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    world.set("AWS_SSO_REFRESH_SYSTEM", "linux"); // a Mac has one
    world.prefer_bin();
    world.program("xdg-open", "touch opened");
    for (display, is_opened) in [(None, false), (Some(":7"), true)] {
        if let Some(display) = display {
            world.set("DISPLAY", display);
        }
        let login = world.start(&["login", "work"]);
        match is_opened {
            false => assert!(center.approve_device(&waiting_code(&center))),
            true => {
                world.wait_for("opened");
                let pid = login.id().to_string();
                assert!(Command::new("kill").arg(pid).status().is_ok());
            }
        }
        let ran = end(login);
        assert_eq!(ran.exit, (!is_opened).then_some(0), "{}", ran.stderr);
        assert_eq!(
            ran.stdout.contains("Enter this code there"),
            !is_opened,
            "{}",
            ran.stdout
        );
        assert_eq!(world.home.join("opened").exists(), is_opened);
    }
}

#[test]
fn a_code_that_is_denied_or_runs_out_says_so() {
    let center = consenting(Consent::Deny);
    let world = World::with(&center);
    world.sessions(&["work"]);
    world
        .run(&["login", "--device-code"])
        .exits(3)
        .complains("cannot sign in to work: access_denied (400): The person denied the request");
    let center = IdentityCenter::start(Options {
        device_lifetime: Duration::from_secs(2),
        ..Options::default()
    });
    let world = World::with(&center);
    world.sessions(&["work"]);
    world
        .run(&["login", "--device-code"])
        .exits(3)
        .complains("cannot sign in to work: nobody allowed it in time");
    assert!(!world.token_path("work").exists());
}

#[test]
fn polls_slow_down_when_told_and_outlive_trouble() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    center.fault_next(1, Fault::error("authorization_pending"));
    center.fault_next(1, Fault::answer(503, "{}"));
    center.fault_next(1, Fault::CloseBefore);
    let login = world.start(&["login", "--device-code"]);
    assert!(center.approve_device(&waiting_code(&center)));
    end(login).exits(0);
    assert_eq!(center.violations(), Vec::<String>::new());
}

#[test]
fn nobody_else_can_end_or_take_over_a_sign_in() {
    let center = center();
    let world = world_with_browser(&center, KEEP);
    let login = world.start(&["login", "work"]);
    let (url, port, state) = world.address();
    let us = format!("127.0.0.1:{port}");
    let right = format!("/oauth/callback?code=forged&state={state}");
    let script = "/oauth/callback?error=<script>alert(1)</script>&state=guess";
    let idle: Vec<TcpStream> = (0..80)
        .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens"))
        .collect();
    for (target, host) in [
        ("/favicon.ico", us.as_str()),
        ("/", &us),
        ("/oauth/callback", &us),
        ("/oauth/callback?code=forged&state=guess", &us),
        ("/oauth/callback?error=access_denied", &us),
        (script, &us),
        (&right.replace("callback", "other"), &us),
        (&right, "evil.example"),
        (&right, &format!("localhost:{port}")),
    ] {
        let answer = visit(port, target, host);
        assert!(
            answer.starts_with("HTTP/1.1 400 "),
            "{target} {host}: {answer}"
        );
        assert!(!answer.contains("<script"), "{answer}");
    }
    drop(idle);
    world.visit_as_person(&url, "allow");
    end(login).exits(0);
    assert!(center.is_live_access_token(&world.token("work", "accessToken")));
    assert_eq!(center.violations(), Vec::<String>::new());
}

#[test]
fn a_person_may_say_no() {
    let center = center();
    let world = world_with_browser(&center, KEEP);
    let login = world.start(&["login", "work"]);
    let (url, _, _) = world.address();
    world.visit_as_person(&url, "deny");
    end(login)
        .exits(3)
        .complains("cannot sign in to work: the access was not allowed (access_denied)");
    assert!(world.page().contains("<h1>Not signed in to work</h1>"));
    assert!(world.page().contains("The access was not allowed."));
    assert_eq!(world.cache_names().len(), 1, "the registration only");
}

#[test]
fn a_script_in_the_services_words_is_text() {
    let center = center();
    let world = world_with_browser(&center, KEEP);
    let login = world.start(&["login", "work"]);
    let (_, port, state) = world.address();
    let target = format!("/oauth/callback?error=%3Cscript%3Ex%3C/script%3E%1b%5b2J&state={state}");
    let page = visit(port, &target, &format!("127.0.0.1:{port}"));
    assert!(page.contains("AWS said: &lt;script&gt;x&lt;/script&gt;\u{fffd}[2J"));
    assert!(!page.contains("<script"));
    let ran = end(login).exits(3);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
}

#[test]
fn a_browser_that_fails_leaves_the_address_to_the_person() {
    let center = center();
    let world = world_with_browser(&center, &format!("{KEEP}; exit 3"));
    let login = world.start(&["login", "work"]);
    let (url, _, _) = world.address();
    std::thread::sleep(Duration::from_millis(300));
    world.visit_as_person(&url, "allow");
    let ran = end(login).exits(0);
    assert!(
        ran.stdout.contains("The browser did not open ("),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains(url.trim()));
}

#[test]
fn a_browser_that_is_not_there_leaves_the_address_too() {
    let center = center();
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    world.set("AWS_SSO_REFRESH_PERSON_SECONDS", "1");
    world.set("AWS_SSO_REFRESH_SYSTEM", "linux");
    for (browser, why) in [
        ("no-such-browser", "there is no program to open one with"),
        (
            "/no/such/browser",
            "/no/such/browser: no such file or directory",
        ),
        ("no-such-browser:false", "false: exit status: 1"),
    ] {
        world.set("BROWSER", browser);
        world
            .run(&["login", "work"])
            .exits(3)
            .says("/authorize?response_type=code")
            .says(&format!(
                "The browser did not open ({why}). Please open the address above yourself."
            ));
        assert!(world.log().contains("work browser-failed why="));
    }
}

#[test]
fn a_callback_that_never_comes_ends_the_waiting() {
    let center = center();
    let mut world = world_with_browser(&center, KEEP);
    world.set("AWS_SSO_REFRESH_PERSON_SECONDS", "1");
    world
        .run(&["login", "work"])
        .exits(3)
        .complains("cannot sign in to work: nobody allowed it in time")
        .complains("hint: run it again; with --device-code any browser on any machine will do");
    assert_eq!(
        world.cache_names(),
        Vec::<String>::new(),
        "a registration that may have been forgotten is not used again"
    );
}

#[test]
fn without_a_browser_the_address_is_printed() {
    if !can_interrupt("without_a_browser_the_address_is_printed") {
        return;
    }
    let center = consenting(Consent::Allow);
    let world = world_with_browser(&center, KEEP);
    let login = world.start(&["login", "work", "--no-browser"]);
    std::thread::sleep(Duration::from_millis(500));
    assert!(!world.home.join("url").exists());
    let pid = login.id().to_string();
    let interrupted = Command::new("kill").args(["-INT", &pid]).status();
    assert!(interrupted.expect("kill runs").success());
    let ran = end(login);
    assert_eq!(ran.exit, None, "it ended by the signal");
    assert!(
        ran.stdout
            .contains("Open this address in a browser on this machine")
    );
    assert!(
        ran.stdout
            .contains("/authorize?response_type=code&client_id=")
    );
    assert_eq!(world.cache_names().len(), 1, "nothing but the registration");
}

#[test]
fn a_terminal_shows_how_much_time_is_left() {
    if !is_installed("python3", "a_terminal_shows_how_much_time_is_left") {
        return;
    }
    let center = center();
    let world = world_with_browser(&center, KEEP);
    let mut login = in_terminal(&world.command(&["login", "work"]))
        .spawn()
        .expect("python3 runs");
    let (url, _, _) = world.address();
    let mut screen = String::new();
    let mut output = login.stdout.take().expect("piped");
    let mut read = || {
        let mut bytes = [0; 4096];
        let count = output.read(&mut bytes).expect("it can be read");
        screen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        (count > 0).then(|| screen.clone())
    };
    let drawn = "left · Ctrl-C cancels";
    while !read().expect("it goes on").contains(drawn) {}
    world.visit_as_person(&url, "allow");
    while read().is_some() {}
    assert!(login.wait().expect("it ends").success(), "{screen}");
    assert!(
        screen.contains("Waiting for you · 9:5") || screen.contains("Waiting for you · 10:00 "),
        "{screen}"
    );
    // The line is gone before anything else is said.
    let (_, last) = screen.rsplit_once(drawn).expect("it was drawn");
    assert!(last.starts_with("\r\u{1b}[2K"), "{last:?}");
    assert!(last.contains("Signed in to work"), "{last:?}");
}

#[test]
fn two_logins_at_once_do_not_meet() {
    let center = center();
    let world = world_with_browser(&center, KEEP);
    let one = world.start(&["login", "work"]);
    let (first, _, _) = world.address();
    fs::remove_file(world.home.join("url")).expect("it is there");
    let other = world.start(&["login", "work"]);
    let (second, _, _) = world.address();
    world.visit_as_person(&second, "allow");
    end(other).exits(0);
    world.visit_as_person(&first, "allow");
    end(one).exits(0);
    assert!(center.is_live_access_token(&world.token("work", "accessToken")));
    assert_eq!(world.cache_names().len(), 2);
    assert_eq!(center.requests_to("/client/register").len(), 1);
}

#[test]
fn a_registration_serves_again_until_the_service_forgets_it() {
    let center = consenting(Consent::Allow);
    let world = world_with_browser(&center, FOLLOW);
    world.run(&["login"]).exits(0);
    world.run(&["login"]).exits(0);
    assert_eq!(center.requests_to("/client/register").len(), 1);
    let registration = world.registrations().pop().expect("it is kept");
    assert!(!registration.contains("accessToken"));
    for member in [
        "clientId",
        "clientSecret",
        "expiresAt",
        "startUrl",
        "region",
        "redirectUri",
    ] {
        assert!(member_of(&registration, member).is_some(), "{registration}");
    }
    // The other flow is another purpose.
    world.run(&["login", "--device-code"]).exits(0);
    assert_eq!(center.requests_to("/client/register").len(), 2);
    center.forget_client(&world.token("work", "clientId"));
    world.run(&["login", "--device-code"]).exits(0);
    assert_eq!(center.requests_to("/client/register").len(), 3);
    // In the browser it is found out only when the code is to be redeemed.
    world.run(&["login"]).exits(0);
    center.fault_next(1, Fault::error("invalid_client"));
    world.run(&["login"]).exits(0);
    assert_eq!(center.requests_to("/client/register").len(), 5);
    assert_eq!(center.violations(), Vec::<String>::new());
}

#[test]
fn a_full_or_forbidden_disk_is_noticed_before_anybody_is_bothered() {
    let center = consenting(Consent::Allow);
    let world = world_with_browser(&center, FOLLOW);
    fs::create_dir(world.home.join(".aws/sso")).expect("made");
    fs::write(world.cache(), "").expect("a file where the folder should be");
    world.run(&["login"]).exits(1).complains("cache");
    assert_eq!(center.requests().len(), 0);
}

#[test]
fn a_sign_in_mends_whatever_is_in_the_token_file() {
    let center = consenting(Consent::Allow);
    let world = world_with_browser(&center, FOLLOW);
    for text in ["", "{\"accessToken\": \"ha", "[]"] {
        world.write_token("work", text);
        world.run(&["login"]).exits(0);
        assert!(center.is_live_access_token(&world.token("work", "accessToken")));
    }
    // A link is followed, so that the file it leads to stays the one everybody reads.
    let real = world.home.join("real.json");
    fs::rename(world.token_path("work"), &real).expect("renamed");
    std::os::unix::fs::symlink(&real, world.token_path("work")).expect("linked");
    world.run(&["login"]).exits(0);
    assert!(world.token_path("work").is_symlink());
    assert!(center.is_live_access_token(&world.token("work", "accessToken")));
}

#[test]
fn the_name_may_be_left_out_where_there_is_only_one() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["one", "two"]);
    world
        .run(&["login"])
        .exits(2)
        .complains("cannot sign in to a session: there are several sessions, and none was named\nhint: it has: one, two");
    world
        .run(&["login", "three"])
        .exits(2)
        .complains("cannot sign in to three: ")
        .complains("has no such sso-session\nhint: it has: one, two");
    world.config("[sso-session x]\nsso_region = eu-west-1\n");
    world
        .run(&["login"])
        .exits(2)
        .complains("cannot sign in to x: ")
        .complains("line 1: ");
    world.config("");
    world
        .run(&["login"])
        .exits(2)
        .complains("has no sso-session");
}

#[test]
fn a_network_that_is_down_opens_no_browser() {
    let center = consenting(Consent::Allow);
    let mut world = world_with_browser(&center, KEEP);
    world.set("AWS_ENDPOINT_URL_SSO_OIDC", "https://localhost:1");
    world
        .run(&["login"])
        .exits(1)
        .complains("cannot sign in to work: localhost:1");
    assert!(!world.home.join("url").exists());
    assert_eq!(world.cache_names(), Vec::<String>::new());
}

#[test]
fn a_vanity_start_url_leads_to_the_real_one() {
    let center = IdentityCenter::start(Options {
        consent: Consent::Allow,
        extra_names: vec!["sso.example.com".to_string()],
        ..Options::default()
    });
    let local = format!("127.0.0.1:{}", center.port());
    let map = vec![("sso.example.com:443".to_string(), local)];
    let proxy = Proxy::start(ProxyOptions {
        map,
        credentials: None,
    });
    let mut world = world_with_browser(&center, FOLLOW);
    world.set("HTTPS_PROXY", &proxy.url());
    world.set("NO_PROXY", "localhost,127.0.0.1");
    let vanity = "https://sso.example.com/go";
    world.config(&format!(
        "[sso-session work]\nsso_start_url = {vanity}\nsso_region = {REGION}\n"
    ));
    let redirect = |status: u16, to: &str| Fault::Answer {
        status,
        headers: vec![("Location".to_string(), to.to_string())],
        body: Vec::new(),
    };
    center.fault_at("/go", Some(1), Fault::answer(405, ""));
    let real = "https://ssoins-1.portal.eu-west-1.app.aws/start/?x=1";
    center.fault_at("/go", Some(1), redirect(302, real));
    world.run(&["login"]).exits(0);
    let methods: Vec<String> = center
        .requests_to("/go")
        .into_iter()
        .map(|seen| seen.method)
        .collect();
    assert_eq!(methods, ["HEAD", "GET"]);
    assert_eq!(world.token("work", "startUrl"), vanity);
    let issuer = center.requests_to("/client/register")[0].text("issuerUrl");
    assert_eq!(
        issuer.as_deref(),
        Some("https://ssoins-1.portal.eu-west-1.app.aws/start")
    );

    let other_region = "https://ssoins-1.portal.us-east-2.app.aws/start";
    center.fault_at("/go", Some(1), redirect(308, other_region));
    world
        .run(&["login"])
        .exits(0)
        .says("set sso_region = us-east-2");
    assert_eq!(world.token("work", "region"), "us-east-2");

    for elsewhere in [
        "https://evil.example/start",
        "http://d-1.awsapps.com/start",
        "/other",
    ] {
        center.fault_at("/go", Some(1), redirect(302, elsewhere));
        world.run(&["login"]).exits(2).complains(
            "cannot use the start URL of work: sso.example.com does not lead to a start URL of AWS",
        );
    }
}

#[test]
fn every_partition_has_hosts_of_its_own() {
    for (region, domain) in [
        ("us-gov-west-1", "amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn"),
        ("eusc-de-east-1", "amazonaws.eu"),
    ] {
        let names = ["oidc", "portal.sso"].map(|service| format!("{service}.{region}.{domain}"));
        let center = IdentityCenter::start(Options {
            consent: Consent::Allow,
            extra_names: names.to_vec(),
            ..Options::default()
        });
        let local = format!("127.0.0.1:{}", center.port());
        let map = names
            .iter()
            .map(|name| (format!("{name}:443"), local.clone()));
        let proxy = Proxy::start(ProxyOptions {
            map: map.collect(),
            credentials: None,
        });
        let mut world = world_with_browser(&center, KEEP);
        world.config(&format!(
            "[sso-session work]\nsso_start_url = {START_URL}\nsso_region = {region}\n"
        ));
        world.set("HTTPS_PROXY", &proxy.url());
        world.set("AWS_ENDPOINT_URL_SSO_OIDC", "");
        world.set("AWS_ENDPOINT_URL_SSO", "");
        world.run(&["login", "--device-code"]).exits(0);
        world.run(&["refresh", "--force"]).exits(0);
        world.run(&["logout"]).exits(0);
        world.set("AWS_SSO_REFRESH_PERSON_SECONDS", "1");
        let ran = world.run(&["login"]).exits(3);
        let page = format!("\nhttps://{}/authorize?", names[0]);
        assert!(ran.stdout.contains(&page), "{}", ran.stdout);
        assert_eq!(center.requests_to("/logout").len(), 1);
        assert_eq!(center.violations(), Vec::<String>::new());
    }
}

#[test]
fn over_ssh_only_the_persons_own_browser_is_opened() {
    let center = consenting(Consent::Allow);
    let mut world = World::with(&center);
    world.sessions(&["work"]);
    world.program("xdg-open", "touch opened");
    world.prefer_bin();
    world.set("DISPLAY", "localhost:10.0");
    world.set("SSH_TTY", "/dev/pts/1");
    center.fault_next(1, Fault::error("authorization_pending"));
    world.run(&["login"]).exits(0).says("Enter this code there");
    assert!(!world.home.join("opened").exists());
    world.browser(KEEP);
    center.fault_next(1, Fault::error("authorization_pending"));
    world.run(&["login"]).exits(0).says("Enter this code there");
    assert!(world.wait_for("url").contains("/device?user_code="));
}

#[test]
fn a_token_that_cannot_be_refreshed_is_called_one() {
    let center = IdentityCenter::start(Options {
        consent: Consent::Allow,
        refresh_tokens: RefreshTokens::Null,
        ..Options::default()
    });
    let world = world_with_browser(&center, FOLLOW);
    world.config(&format!(
        "[sso-session work]\nsso_start_url = {START_URL}\nsso_region = {REGION}\nsso_registration_scopes = other:scope\n"
    ));
    world
        .run(&["login"])
        .exits(0)
        .says("; this token cannot be refreshed\n");
    assert!(!world.token_text("work").contains("refreshToken"));
}

#[test]
fn no_secret_is_seen_in_a_log_an_argument_or_a_page() {
    let center = consenting(Consent::Allow);
    let watch = "for pid in $PPID $$; do\n\
                 tr '\\0' ' ' < /proc/$pid/cmdline 2> /dev/null || ps -ww -o args= -p $pid\n\
                 done > cmdline";
    let world = world_with_browser(&center, &format!("{watch}\n{FOLLOW}"));
    let ran = world.run(&["login"]).exits(0);
    world.run(&["login", "--device-code"]).exits(0);
    let mut secrets: Vec<String> = center
        .requests_to("/token")
        .iter()
        .flat_map(|seen| {
            ["code", "codeVerifier", "deviceCode", "clientSecret"].map(|member| seen.text(member))
        })
        .flatten()
        .collect();
    secrets.extend(["accessToken", "refreshToken"].map(|member| world.token("work", member)));
    assert!(secrets.len() >= 6);
    let read = |name: &str| fs::read_to_string(world.home.join(name)).unwrap_or_default();
    let cmdline = read("cmdline");
    assert!(cmdline.contains("aws-sso-refresh login"), "{cmdline}");
    let data = crate::world::names_in(&world.data());
    let kept: Vec<String> = data
        .iter()
        .filter_map(|name| fs::read_to_string(world.data().join(name)).ok())
        .collect();
    assert!(
        world.log().contains("work signed-in after=1h"),
        "{}",
        world.log()
    );
    for text in [cmdline, world.page(), ran.stdout, ran.stderr, kept.concat()] {
        for secret in &secrets {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
