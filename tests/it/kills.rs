//! `kill -9` at random moments of a refresh and of a login: the token file is always whole, and what had reached the disk
//! is kept by the next run. And `kill`, at which a refresh loses nothing at all.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::identity_center::{Consent, IdentityCenter, Options, RefreshTokens};
use crate::torture::{each, rounds, tally};
use crate::world::{World, consenting, member_of};

/// It asks nobody.
const KILL: &str = "KILL";

/// Kills runs at moments that are spread evenly over the time they take.
struct Killer {
    signal: &'static str,
    /// Twice as long as a run takes; it follows the machine, so that about half of the kills find the program running.
    span: Duration,
    tries: u32,
    killed: u32,
}

impl Killer {
    /// For runs like this one.
    fn new(signal: &'static str, run: impl FnOnce()) -> Killer {
        let started = Instant::now();
        run();
        Killer {
            signal,
            span: started.elapsed() * 2,
            tries: 0,
            killed: 0,
        }
    }

    /// Starts the program and kills it.
    fn kill(&mut self, world: &World, arguments: &[&str]) {
        self.tries += 1;
        let mut child = world.start(arguments);
        // The golden ratio spreads the moments evenly, however many there are.
        std::thread::sleep(self.span.mul_f64(f64::from(self.tries) * 0.618_034 % 1.0));
        let mut kill = Command::new("kill");
        kill.args(["-s", self.signal, &child.id().to_string()]);
        assert!(kill.status().expect("kill runs").success()); // an ended child keeps its number until it is waited for
        let was_running = child.wait().expect("it ends").code().is_none();
        self.killed += u32::from(was_running);
        self.span = self.span.mul_f64(if was_running { 1.05 } else { 0.95 });
        assert!(
            self.tries < 20 * (self.killed + 10),
            "only {} of {} were killed while they ran",
            self.killed,
            self.tries
        );
    }
}

#[test]
fn killed_at_random_moments_the_file_always_holds_the_old_or_the_new_token() {
    let kills = rounds(200, 1000);
    // The old refresh token stays good here, so that each round can begin where the last one died.
    let center = IdentityCenter::start(Options {
        refresh_tokens: RefreshTokens::Keep,
        ..Options::default()
    });
    let world = World::with(&center);
    world.sessions(&["work"]);
    world.sign_in(&center, "work", 5);
    let old = world.token_text("work");
    let mut killer = Killer::new(KILL, || drop(world.run(&["refresh"]).exits(0)));
    while killer.killed < kills {
        world.write_token("work", &old);
        let _ = fs::remove_file(world.data().join("sessions.json"));
        killer.kill(&world, &["refresh"]);
        let text = world.token_text("work");
        let access = member_of(&text, "accessToken").expect("the file always parses");
        assert!(
            text == old || center.is_live_access_token(&access),
            "round {}: {text}",
            killer.tries
        );
    }
    world.run(&["refresh", "--force"]).exits(0);
    assert_eq!(
        world.cache_names().len(),
        1,
        "nothing is left over: {:?}",
        world.cache_names()
    );
    let outcome = "the file always holds the old or the new token";
    tally(
        "kills survived: a refresh, its old token stays good",
        killer.killed as usize,
        outcome,
    );
}

/// What is killed: the arguments, and whether another token is in the file before.
#[derive(Debug, Clone, Copy)]
struct Victim {
    signal: &'static str,
    arguments: &'static [&'static str],
    is_signed_in: bool,
    kills: u32,
}

/// Kills one kind of run again and again where refresh tokens are good once. Says how many were killed while they ran,
/// and with how many of them a token went that had not reached the disk.
fn kill_all(victim: &Victim) -> Result<(u32, u32), String> {
    let center = consenting(Consent::Allow);
    let world = World::with_browser(&center);
    let is_login = victim.arguments[0] == "login";
    // What a login replaces is not due, and so the run after it has no reason to ask the server.
    let minutes = if is_login { 50 } else { 5 };
    world.sign_in(&center, "work", minutes);
    let mut killer = Killer::new(victim.signal, || drop(world.run(victim.arguments).exits(0)));
    let mut gone = 0;
    while killer.killed < victim.kills {
        center.end_all_sessions();
        let old = world.sign_in(&center, "work", minutes).refresh_token;
        if !victim.is_signed_in {
            fs::remove_file(world.token_path("work")).expect("removed");
            center.end_session(&old);
        }
        killer.kill(&world, victim.arguments);

        // A run that died with the token on the disk has left it to the next one.
        let rooms = world
            .cache_names()
            .into_iter()
            .filter(|name| name.ends_with(".new"));
        let has_begun = |name: String| {
            fs::read(world.cache().join(name)).is_ok_and(|bytes| bytes.starts_with(b"{"))
        };
        let was_put_down = rooms.into_iter().any(has_begun);
        let next = world.run(&["refresh"]);
        let text = fs::read_to_string(world.token_path("work")).unwrap_or_default();
        let token = member_of(&text, "refreshToken");
        let held: Vec<&str> = token.as_deref().into_iter().chain([old.as_str()]).collect();
        let lost = center.tokens_lost(&held).len();
        let is_usable = token
            .as_ref()
            .is_some_and(|token| center.is_live_refresh_token(token));
        let is_right = match lost {
            0 => is_usable || !victim.is_signed_in && token.is_none(),
            _ if victim.signal != KILL => false,
            _ => lost == 1 && !was_put_down && (is_usable || !is_login || !victim.is_signed_in),
        };
        let left_over = world
            .cache_names()
            .into_iter()
            .any(|name| name.ends_with(".new"));
        if !is_right || left_over {
            return Err(format!(
                "{victim:?}, kill {}: lost {lost}, put down {was_put_down}, usable {is_usable}, {:?}\n{next:?}\n{}",
                killer.tries,
                world.cache_names(),
                world.log()
            ));
        }
        gone += u32::try_from(lost).expect("one at most");
    }
    Ok((killer.killed, gone))
}

#[test]
fn killed_at_random_moments_a_token_that_reached_the_disk_is_kept() {
    let victim = |arguments, is_signed_in, kills| Victim {
        signal: KILL,
        arguments,
        is_signed_in,
        kills,
    };
    const DEVICE: &[&str] = &["login", "--device-code"];
    let refreshes = [victim(&["refresh"], true, rounds(15, 500)); 4];
    let logins = [
        victim(&["login"], true, rounds(10, 150)),
        victim(&["login"], false, rounds(10, 150)),
        victim(DEVICE, true, rounds(10, 150)),
        victim(DEVICE, false, rounds(10, 150)),
    ];
    for (what, victims) in [("a refresh", refreshes), ("a login", logins)] {
        let ends = each(&victims, 4, kill_all);
        let (killed, gone) = ends
            .iter()
            .fold((0, 0), |sum, end| (sum.0 + end.0, sum.1 + end.1));
        tally(
            &format!("kills survived: {what}, its tokens are good once"),
            killed as usize,
            &format!("no token lost but {gone} whose first byte was not on the disk yet"),
        );
    }
}

#[test]
fn a_refresh_that_is_told_to_end_at_random_moments_loses_no_token() {
    let victim = Victim {
        signal: "TERM",
        arguments: &["refresh"],
        is_signed_in: true,
        kills: rounds(15, 250),
    };
    let ends = each(&[victim; 4], 4, kill_all);
    let killed: u32 = ends.iter().map(|(killed, _)| killed).sum();
    tally(
        "signals survived: a refresh, its tokens are good once",
        killed as usize,
        "no token lost",
    );
}
