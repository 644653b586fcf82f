//! Signing out: at the portal and on this machine, and what ends with it.

use std::fs;
use std::time::{Duration, Instant};

use crate::identity_center::{Consent, IdentityCenter, Options};
use crate::world::{World, center, token_text};

#[test]
fn a_session_ends_at_the_portal_and_on_this_machine() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    let granted = world.sign_in(&center, "work", 40);
    fs::write(world.room_path("work", &granted.refresh_token), "{}").expect("written");
    fs::write(world.cache().join("other.json"), "{}").expect("written");
    world
        .run(&["logout"])
        .exits(0)
        .says("✓ Signed out of work\n")
        .says("Role credentials that tools hold already work until they expire");
    assert!(!center.is_live_refresh_token(&granted.refresh_token));
    assert_eq!(world.cache_names(), ["other.json"]);
    let seen = &center.requests_to("/logout")[0];
    assert_eq!((seen.method.as_str(), seen.status), ("POST", Some(200)));
    assert_eq!(center.violations(), Vec::<String>::new());
    world.run(&["status"]).exits(0).says("- work  signed out");
    world.run(&["refresh"]).exits(0).says("- work  signed out");
    world
        .run(&["logout", "work"])
        .exits(0)
        .says("- work was signed out already");
    assert_eq!(center.requests_to("/logout").len(), 1);
}

#[test]
fn an_expired_access_token_ends_its_session_too() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", -30);
    center.advance(3700);
    world
        .run(&["logout"])
        .exits(0)
        .says("✓ Signed out of work\n");
    assert_eq!(center.tokens_never_presented().len(), 0, "nothing is alive");
}

#[test]
fn sessions_of_one_start_url_end_together_and_nobody_is_asked() {
    let center = IdentityCenter::start(Options {
        shared_sessions: true,
        ..Options::default()
    });
    let world = World::with(&center);
    world.sessions(&["one", "two"]);
    world.sign_in(&center, "one", 40);
    world.sign_in(&center, "two", 12);
    world
        .run(&["logout", "one"])
        .exits(0)
        .says("Of the same start URL, so it ends too: two\n");
    assert!(world.token_path("two").exists(), "nothing else is removed");
    world.run(&["refresh"]).exits(0).says("- two  signed out");
    world.run(&["refresh"]).exits(0).says("- two  signed out");
    world.run(&["status"]).exits(0).says("- two  signed out");
}

#[test]
fn a_portal_that_cannot_be_reached_stops_nobody() {
    let center = center();
    let mut world = World::with(&center);
    world.sessions(&["work", "other"]);
    world.sign_in(&center, "work", 40);
    world.sign_in(&center, "other", 40);
    world.set("AWS_ENDPOINT_URL_SSO", "https://localhost:1");
    world
        .run(&["logout", "work"])
        .exits(1)
        .says("! Signed out of work on this machine only: localhost:1");
    assert!(!world.token_path("work").exists());
    world.run(&["status"]).says("✓ other  ");
}

#[test]
fn all_means_every_session_and_the_clis_role_credentials() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["one", "two", "three"]);
    world.sign_in(&center, "one", 40);
    world.sign_in(&center, "two", 40);
    let cache = world.home.join(".aws/cli/cache");
    fs::create_dir_all(&cache).expect("made");
    let of = |kind: &str| format!(r#"{{"ProviderType": "{kind}", "Credentials": {{}}}}"#);
    fs::write(cache.join("a.json"), of("sso")).expect("written");
    fs::write(cache.join("b.json"), of("assume-role")).expect("written");
    fs::write(cache.join("c.json"), "[]").expect("written");
    world
        .run(&["logout", "--all"])
        .exits(0)
        .says("✓ Signed out of one\n")
        .says("✓ Signed out of two\n")
        .says("- three was signed out already\n")
        .says("Removed the AWS CLI's role credentials (1).");
    assert_eq!(world.cache_names(), Vec::<String>::new());
    assert_eq!(crate::world::names_in(&cache), ["b.json", "c.json"]);
    assert_eq!(center.tokens_never_presented(), Vec::<String>::new());
    world
        .run(&["logout", "one", "--all"])
        .exits(2)
        .complains("logout takes a NAME or --all, not both");
}

#[test]
fn a_damaged_token_file_goes_as_well() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    world.write_token("work", "{\"accessToken\": \"ha");
    world
        .run(&["logout"])
        .exits(0)
        .says("! Signed out of work, but the portal could not be told: the token file could not be read\n");
    assert_eq!(world.cache_names(), Vec::<String>::new());
    assert_eq!(center.requests().len(), 0);
}

#[test]
fn one_that_cannot_be_signed_out_of_stops_no_other() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["one", "two"]);
    fs::create_dir_all(world.token_path("one").join("folder")).expect("made");
    world.sign_in(&center, "two", 50);
    world
        .run(&["logout", "--all"])
        .exits(1)
        .complains("cannot remove ")
        .says("✓ Signed out of two\n");
    assert!(!world.token_path("two").exists());
}

#[test]
fn a_misconfigured_session_can_be_signed_out_of() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", 50);
    world.config("[sso-session work]\nsso_start_url = https://d-1234567890.awsapps.com/start\n");
    world
        .run(&["logout", "work"])
        .exits(0)
        .says("! Signed out of work, but the portal could not be told: the config does not say where it is");
    assert!(!world.token_path("work").exists());
}

#[test]
fn only_a_session_that_the_portal_ended_takes_others_with_it() {
    let center = center();
    let world = World::with(&center);
    world.sessions(&["one", "two"]);
    let granted = world.sign_in(&center, "one", -10);
    world.sign_in(&center, "two", 5);
    let unrenewable = token_text(&granted, -600)
        .replace("accessToken\": \"", "accessToken\": \"expired-")
        .replace("refreshToken", "refreshedToken");
    world.write_token("one", &unrenewable);
    let said = world.run(&["logout", "one"]).exits(0);
    let said =
        said.says("! Signed out of one, but the portal could not be told: the token had expired");
    assert!(!said.stdout.contains("two"), "{}", said.stdout);
    world.run(&["refresh"]).exits(0).says("two  refreshed");
}

#[test]
fn a_token_that_another_run_is_refreshing_is_not_spent_by_a_logout() {
    let slow = Options {
        server_delay: Duration::from_secs(7),
        ..Options::default()
    };
    let center = IdentityCenter::start(slow);
    let world = World::with(&center);
    world.sessions(&["work"]);
    let granted = world.sign_in(&center, "work", -10);
    let expired =
        token_text(&granted, -600).replace("accessToken\": \"", "accessToken\": \"expired-");
    world.write_token("work", &expired);
    let refresh = world.start(&["refresh"]);
    let until = Instant::now() + Duration::from_secs(5);
    while center.requests_to("/token").is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    world
        .run(&["logout"])
        .exits(1)
        .says("! Signed out of work on this machine only: another run is refreshing it");
    refresh.wait_with_output().expect("it ends");
    assert_eq!(center.requests_to("/token").len(), 1);
    assert!(!world.token_path("work").exists());
}

/// A run that died between writing what it was granted and renaming it has left the only token that is good.
#[test]
fn what_an_interrupted_run_was_granted_ends_too() {
    for (command, is_signed_in) in [("refresh", true), ("login", true), ("login", false)] {
        let center = IdentityCenter::start(Options {
            consent: Consent::Allow,
            shared_sessions: true,
            ..Options::default()
        });
        let mut world = World::with_browser(&center);
        if is_signed_in {
            world.sign_in(&center, "work", -30);
        }
        world.die_at("rename", &[command]);
        center.advance(if is_signed_in { 3700 } else { 0 });
        world
            .run(&["logout"])
            .exits(0)
            .says("✓ Signed out of work\n");
        let alive = center.tokens_never_presented();
        assert_eq!(alive, Vec::<String>::new(), "{command}");
        let names = world.cache_names();
        assert!(
            !names.iter().any(|name| name.ends_with(".new")),
            "{names:?}"
        );
        assert!(!world.token_path("work").exists());
    }
}
