//! The main job, shown: a throw-away home with sessions in every state, an embedded Identity Center, and the program.
//!
//! Run by `make demo`. Everything that is shown is printed by the program itself at that moment; only the sentences
//! between the commands are the demo's own.

#[path = "identity_center/mod.rs"]
mod identity_center;
#[path = "it/world.rs"]
#[allow(dead_code)] // the tests use more of it
mod world;

use std::io::{IsTerminal, Write};

use identity_center::{Fault, IdentityCenter, Options, SignIn};
use world::{World, token_text};

fn main() {
    let center = IdentityCenter::start(Options::default());
    let mut world = World::with(&center);
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        world.set("CLICOLOR_FORCE", "1");
    }
    world.sessions(&["fresh", "due", "expired", "ended", "signed-out"]);
    world.sign_in(&center, "fresh", 52);
    world.sign_in(&center, "due", 12);
    world.sign_in(&center, "expired", -95);
    let ended = world.sign_in(&center, "ended", 8);
    center.end_session(&ended.refresh_token);

    say(
        "aws-sso-refresh keeps every AWS SSO session fresh. This demo makes a home folder of its own with five",
    );
    say(
        "sessions, starts an Identity Center on this machine, and lets the real program work on real files over TLS.",
    );

    say("\nFirst, what is there. Nothing has asked the network yet.");
    show(&world, &["status"]);

    let before = world.token("due", "accessToken");
    say("One check, as launchd or systemd starts it every ten minutes. No browser, no AWS CLI.");
    show(&world, &["refresh"]);
    let requests = center.requests_to("/token").len();
    let is_new = world.token("due", "accessToken") != before;
    say(&format!(
        "It sent {requests} requests, for the three sessions that were due: the fresh one was left alone, and who"
    ));
    say(
        "signed out is not asked to sign in. `ended` was refused by the service, which only a person can mend.",
    );
    assert!(
        is_new && center.is_live_access_token(&world.token("due", "accessToken")),
        "the demo's own check"
    );

    say(
        "\nThe same again. Nothing is due, so no socket is opened, and the refused token is not sent a second time.",
    );
    show(&world, &["refresh"]);
    assert_eq!(
        center.requests_to("/token").len(),
        requests,
        "the demo's own check"
    );

    say("Now another tool signs in to `due` in the very moment in which it is being refreshed.");
    let theirs = center.sign_in(&SignIn {
        start_url: world::START_URL.to_string(),
        ..SignIn::default()
    });
    let (path, text) = (world.token_path("due"), token_text(&theirs, 3600));
    center.fault_next(
        1,
        Fault::hook(move |_| std::fs::write(&path, &text).expect("written")),
    );
    show(&world, &["refresh", "--force", "--session", "due"]);
    say("Theirs stands: a token that somebody else wrote is never overwritten.");
    assert_eq!(
        world.token("due", "accessToken"),
        theirs.access_token,
        "the demo's own check"
    );

    say("\nWhat the service thinks, and what the log holds (never a token):");
    show(&world, &["status"]);
    show(&world, &["logs"]);
    assert_eq!(
        (center.violations(), center.spent_twice()),
        (Vec::new(), 0),
        "the demo's own check"
    );
    say(
        "Done. The Identity Center and the home folder are gone again; your own files were not touched.",
    );
}

fn say(text: &str) {
    println!("{text}");
}

/// Shows a command and what it prints, indented.
fn show(world: &World, arguments: &[&str]) {
    println!("\n  $ aws-sso-refresh {}", arguments.join(" "));
    let output = world.command(arguments).output().expect("the program runs");
    let shown = [output.stdout, output.stderr].concat();
    for line in String::from_utf8_lossy(&shown).lines() {
        println!("  │ {line}");
    }
    println!("  └ exit {}\n", output.status.code().unwrap_or(-1));
    std::io::stdout().flush().expect("somebody reads this");
}
