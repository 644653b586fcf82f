//! A signal that would end a run waits for the token that has been paid for, and for nothing else.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::identity_center::{Fault, IdentityCenter};
use crate::terminal::Terminal;
use crate::world::{World, can_interrupt, center, inside, is_installed};

/// Two sessions that are due.
fn due_world(center: &IdentityCenter) -> World {
    let world = World::with(center);
    world.sessions(&["work", "home"]);
    world.sign_in(center, "work", 5);
    world.sign_in(center, "home", 5);
    world
}

/// Holds the answer to the next `requests` back. What is sent to the sender lets one of them go; the receiver tells of
/// each request.
fn hold_answers(
    center: &IdentityCenter,
    requests: usize,
) -> (mpsc::Sender<()>, mpsc::Receiver<()>) {
    let (let_go, held) = mpsc::channel();
    let (asked, requested) = mpsc::channel();
    let held = Mutex::new(held);
    center.fault_next(
        requests,
        Fault::hook(move |_| {
            asked.send(()).expect("the test waits");
            let held = held.lock().expect("no panic");
            held.recv().expect("the test goes on");
        }),
    );
    (let_go, requested)
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), &child.id().to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
}

/// How it ended, if it did so within `limit`.
fn ended(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// The refresh tokens in the files are those that the service would take.
fn assert_nothing_is_lost(center: &IdentityCenter, world: &World, signal: &str) {
    for name in ["work", "home"] {
        let token = world.token(name, "refreshToken");
        assert!(center.is_live_refresh_token(&token), "{signal}: {name}");
    }
    assert!(
        !world
            .cache_names()
            .iter()
            .any(|name| name.ends_with(".new"))
    );
}

#[test]
fn a_signal_in_the_middle_of_a_request_waits_for_the_token() {
    const SOON: Duration = Duration::from_secs(20);
    for (signal, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        if signal == "INT" && !can_interrupt("a refresh that is interrupted") {
            continue;
        }
        let center = center();
        let world = due_world(&center);
        let (let_go, requested) = hold_answers(&center, 2);
        let mut run = world.start(&["refresh"]);
        requested.recv_timeout(SOON).expect("a request");
        requested.recv_timeout(SOON).expect("the other one");
        send(signal, &run);
        assert_eq!(ended(&mut run, Duration::from_millis(300)), None);
        let_go.send(()).expect("it waits");
        let_go.send(()).expect("it waits");
        let status = ended(&mut run, SOON).expect("it ends");
        assert_eq!(status.signal(), Some(number));
        assert_nothing_is_lost(&center, &world, signal);
        world.run(&["status"]).exits(0);
    }
}

#[test]
fn a_signal_that_was_switched_off_ends_nothing() {
    let center = center();
    let world = due_world(&center);
    let (let_go, requested) = hold_answers(&center, 1);
    let mut deaf = Command::new("sh");
    deaf.args(["-c", "trap '' HUP && exec \"$0\" \"$@\""]);
    let mut run = inside(deaf, &world.command(&["refresh"]))
        .spawn()
        .expect("sh runs");
    requested.recv().expect("a request");
    send("HUP", &run);
    let_go.send(()).expect("it waits");
    assert!(ended(&mut run, Duration::from_secs(20)).is_some_and(|status| status.success()));
    assert_nothing_is_lost(&center, &world, "HUP");
}

#[test]
fn where_nothing_is_owed_a_signal_ends_the_run_at_once() {
    const AT_ONCE: Duration = Duration::from_secs(1);
    // Before the request has left: a server that never says a word.
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = deaf.local_addr().expect("it has one");
    let center = Arc::new(center());
    let mut world = due_world(&center);
    let endpoint = format!("https://{address}/");
    world.set("AWS_ENDPOINT_URL_SSO_OIDC", &endpoint);
    let mut run = world.start(&["refresh"]);
    let _first = deaf.accept().expect("a connection");
    send("TERM", &run);
    let status = ended(&mut run, AT_ONCE).expect("it ends at once");
    assert_eq!(status.signal(), Some(15));

    // After an answer that gave nothing, in the pause before the next request.
    let world = due_world(&center);
    center.fault_next(3, Fault::answer(500, "{}"));
    let mut run = world.start(&["refresh", "--session", "work"]);
    while center.requests_to("/token").is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(200));
    send("TERM", &run);
    let status = ended(&mut run, AT_ONCE).expect("it ends at once");
    assert_eq!(status.signal(), Some(15));
    center.clear_faults();
    world.run(&["refresh"]).exits(0);
    assert_nothing_is_lost(&center, &world, "TERM");
}

#[test]
fn whoever_presses_ctrl_c_is_told_what_is_waited_for() {
    let test = "whoever_presses_ctrl_c_is_told_what_is_waited_for";
    if !can_interrupt(test) || !is_installed("python3", test) {
        return;
    }
    let center = center();
    let world = due_world(&center);
    let (let_go, requested) = hold_answers(&center, 1);
    let command = world.command(&["refresh", "--session", "work"]);
    let mut terminal = Terminal::start(&command, 80, test).expect("python3 is there");
    requested.recv().expect("a request");
    terminal.type_until("\x03", "ends with the answer");
    let_go.send(()).expect("it waits");
    let screen = terminal.end();
    assert!(screen.contains("Refreshing work · "), "{screen:?}");
    assert_nothing_is_lost(&center, &world, "INT");
}
