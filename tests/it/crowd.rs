//! Many of our own runs at once on one session: one asks, the others find its work done, and nothing gets lost between them.
//!
//! The races with the AWS tools are those of `tests/interop/race.py`.

use std::time::Duration;

use crate::identity_center::{Consent, IdentityCenter, Options, RefreshTokens};
use crate::torture::{each, rounds, tally};
use crate::world::{Ran, World, consenting};

const COPIES: u64 = 20;

fn slow(milliseconds: u64) -> (IdentityCenter, World) {
    let center = IdentityCenter::start(Options {
        server_delay: Duration::from_millis(milliseconds),
        ..Options::default()
    });
    let world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", 5);
    (center, world)
}

#[test]
fn twenty_copies_at_once_send_one_request_between_them() {
    let (center, world) = slow(100);
    let children: Vec<_> = (0..COPIES).map(|_| world.start(&["refresh"])).collect();
    for child in children {
        Ran::of(child.wait_with_output().expect("it ends")).exits(0);
    }
    assert_eq!(
        (center.requests_to("/token").len(), center.spent_twice()),
        (1, 0)
    );
    assert!(center.is_live_refresh_token(&world.token("work", "refreshToken")));
    assert_eq!(world.cache_names().len(), 1);
}

#[test]
fn twenty_forced_copies_do_not_each_refresh_what_another_just_renewed() {
    let (center, world) = slow(300);
    let children: Vec<_> = (0..COPIES)
        .map(|_| world.start(&["refresh", "--force"]))
        .collect();
    for child in children {
        Ran::of(child.wait_with_output().expect("it ends")).exits(0);
    }
    // Those that started late planned on the new token, so a few more are right; twenty are not.
    assert!(
        center.requests_to("/token").len() <= 4,
        "{}",
        center.requests_to("/token").len()
    );
    assert_eq!(center.spent_twice(), 0);
}

/// Twenty copies within a few hundredths of a second, every third forced, round after round.
fn race(refresh_tokens: RefreshTokens) -> Result<u32, String> {
    let center = IdentityCenter::start(Options {
        refresh_tokens,
        server_delay: Duration::from_millis(10),
        ..Options::default()
    });
    let world = World::with(&center);
    world.sessions(&["work"]);
    let rounds = rounds(1, 100);
    for round in 0..rounds {
        center.end_all_sessions();
        world.sign_in(&center, "work", 5);
        let start = |copy: u64| {
            // Spread evenly, however many there are.
            let spread = (u64::from(round) * COPIES + copy) * 37 % 60;
            std::thread::sleep(Duration::from_millis(spread / COPIES));
            let forced: &[&str] = &["refresh", "--force"];
            world.start(if copy % 3 == 1 { forced } else { &forced[..1] })
        };
        let children: Vec<_> = (0..COPIES).map(start).collect();
        let ends = children
            .into_iter()
            .map(|child| Ran::of(child.wait_with_output().expect("it ends")));
        let failed: Vec<Ran> = ends.filter(|ran| ran.exit != Some(0)).collect();
        let token = world.token("work", "refreshToken");
        let lost = center.tokens_lost(&[&token]);
        let is_live = center.is_live_refresh_token(&token)
            && center.is_live_access_token(&world.token("work", "accessToken"));
        if !(failed.is_empty() && lost.is_empty() && is_live)
            || center.spent_twice() > 0
            || world.cache_names().len() != 1
        {
            return Err(format!(
                "{refresh_tokens:?}, round {round}: lost {}, live {is_live}, spent twice {}, {failed:?}",
                lost.len(),
                center.spent_twice()
            ));
        }
    }
    match center.violations().as_slice() {
        [] => Ok(rounds),
        violations => Err(format!("{violations:?}")),
    }
}

#[test]
fn twenty_copies_lose_nothing_whatever_the_service_gives() {
    use RefreshTokens::{Keep, Null, Omit, Rotate};
    let raced = each(&[Rotate, Keep, Omit, Null], 2, |kind| race(*kind));
    tally(
        "rounds raced: twenty of our own runs at once",
        raced.iter().sum::<u32>() as usize,
        "none lost, no refresh token sent twice",
    );
}

#[test]
fn logins_and_logouts_among_refreshes_leave_a_good_token_or_none() {
    let center = consenting(Consent::Allow);
    let world = World::with(&center);
    world.sessions(&["work"]);
    let rounds = rounds(3, 100);
    let with_logout = |round: u32| round.is_multiple_of(2);
    let mut signed_out = 0;
    for round in 0..rounds {
        world.sign_in(&center, "work", 5);
        let start = |copy: u64| {
            let spread = (u64::from(round) + copy) * 37 % 60;
            std::thread::sleep(Duration::from_millis(spread / 8));
            world.start(match copy {
                3 => &["login", "--device-code"],
                5 if with_logout(round) => &["logout"],
                6 => &["refresh", "--force"],
                _ => &["refresh"],
            })
        };
        let children: Vec<_> = (0..8).map(start).collect();
        for child in children {
            child.wait_with_output().expect("it ends");
        }
        world.run(&["refresh"]);
        let names = world.cache_names();
        assert!(
            names.iter().all(|name| name.ends_with(".json")),
            "{names:?}"
        );
        if !world.token_path("work").exists() {
            assert!(with_logout(round), "nobody signed out in round {round}");
            signed_out += 1;
            continue;
        }
        let token = world.token("work", "refreshToken");
        // A logout ends the session of the token that it finds, also where a refresh that is under way writes its successor.
        let is_good = center.is_live_refresh_token(&token);
        assert!(is_good || with_logout(round), "round {round}");
    }
    tally(
        "rounds raced: refreshes, a login and a logout",
        rounds as usize,
        &format!("always a whole token or none; {signed_out} ended signed out"),
    );
}
