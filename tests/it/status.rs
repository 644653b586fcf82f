//! `status`, for people and for scripts; `logs`, `help` and `version`.

use std::fs;

use crate::world::{World, center, in_seconds, names_in};

/// One session in every state that needs no server.
pub fn world_of_states() -> World {
    let world = World::new();
    world.config(&World::fixture("config/states.ini"));
    let renewable = r#", "refreshToken": "r", "clientId": "c", "clientSecret": "s""#;
    let token = |seconds: i64, rest: &str| {
        format!(
            r#"{{"accessToken": "a", "expiresAt": "{}"{rest}}}"#,
            in_seconds(seconds)
        )
    };
    world.write_token("fresh", &token(5 * 3600 + 23 * 60 + 30, renewable));
    world.write_token("due", &token(12 * 60 + 30, renewable));
    world.write_token("expired", &token(-330, renewable));
    world.write_token("ended", &token(-330, ""));
    world.write_token("ending", &token(42 * 60 + 30, ""));
    world.write_token("dormant", &token(-12 * 86_400, ""));
    world.write_token("half-written", r#"{"accessToken": "a", "#);
    world
}

#[test]
fn every_state_has_its_line_and_its_mark() {
    let world = world_of_states();
    let ran = world.run(&["status"]).exits(3);
    for line in [
        "  ✓ fresh         5h 23m remaining\n",
        "  ! due           12m remaining, refreshes at the next check\n",
        "  ✗ expired       expired 5m ago, refreshes at the next check\n",
        "  ✗ ended         sign-in needed: the token has no refreshToken, clientId, clientSecret; run ",
        "  ! ending        cannot be refreshed: sign-in needed in 42m (the token has no refreshToken",
        "  - dormant       dormant: not used for 12d; ",
        "  - unused        signed out\n",
        "  ✗ half-written  unreadable token file: not a JSON string at byte 21",
        "  ✗ no-region     misconfigured: ",
    ] {
        assert!(ran.stdout.contains(line), "no {line:?} in\n{}", ran.stdout);
    }
    assert!(
        !ran.stdout.contains('\u{1b}'),
        "no colour without a terminal"
    );
}

#[test]
fn the_json_has_stable_keys_and_no_secret() {
    let world = world_of_states();
    let ran = world.run(&["status", "--json"]).exits(3);
    for part in [
        r#"{"version": 1, "sessions": [{"name": "fresh", "startUrl": "https://d-1234567890.awsapps.com/start", "region": "eu-west-1", "state": "fresh", "#,
        r#""state": "due", "#,
        r#""state": "expired", "#,
        r#""state": "signInNeeded", "expiresAt": "#,
        r#""state": "dormant", "#,
        r#""state": "signedOut", "expiresAt": null, "remainingSeconds": null, "canRefresh": false, "detail": "signed out""#,
        r#""state": "unreadable", "#,
        r#""state": "misconfigured", "#,
        r#""thresholdMinutes": 30"#,
        r#"/.local/share/aws-sso-refresh/refresh.log""#,
        r#""legacyProfiles": [{"name": "old-style", "#,
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
    ran.stdout
        .parse::<tinyjson::JsonValue>()
        .expect("it is JSON");
}

#[test]
fn status_touches_nothing() {
    let world = world_of_states();
    world.run(&["status"]).exits(3);
    assert_eq!(names_in(&world.home), [".aws"]);
}

#[test]
fn an_expired_session_is_one_and_a_misconfigured_one_is_two() {
    let world = World::new();
    world.sessions(&["work"]);
    let renewable = r#", "refreshToken": "r", "clientId": "c", "clientSecret": "s"}"#;
    world.write_token(
        "work",
        &format!(
            r#"{{"accessToken": "a", "expiresAt": "{}"{renewable}"#,
            in_seconds(-60)
        ),
    );
    world.run(&["status"]).exits(1);
    world.config("[sso-session work]\nsso_start_url = https://x.awsapps.com/start\nsso_region = eu-west-1 # home\n");
    world
        .run(&["status"])
        .exits(2)
        .says(&format!(
            "misconfigured: {}/.aws/config, line 3: sso_region",
            world.home.display()
        ))
        .says("comment");
}

#[test]
fn the_threshold_in_force_is_explained_where_it_is_not_the_configured_one() {
    let mut world = World::new();
    world.set("AWS_SSO_REFRESH_THRESHOLD", "5");
    world
        .run(&["status"])
        .exits(0)
        .says("Threshold: refresh when < 12m remaining (configured: 5m;");
}

#[test]
fn colour_follows_the_common_variables() {
    let mut world = world_of_states();
    world.set("CLICOLOR_FORCE", "1");
    world.run(&["status"]).says("\u{1b}[32m✓\u{1b}[0m");
    world.set("NO_COLOR", "1");
    assert!(!world.run(&["status"]).stdout.contains('\u{1b}'));
}

#[test]
fn names_cannot_steer_the_terminal() {
    let world = World::new();
    world.config("[sso-session \"a\u{1b}[2Jb\"]\nsso_start_url = https://x.awsapps.com/start\nsso_region = eu-west-1\n");
    let ran = world.run(&["status"]).says("a�[2Jb");
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains('\u{1b}'));
}

#[test]
fn wide_names_are_aligned_by_what_they_take_on_the_screen() {
    let world = World::new();
    world.sessions(&["日本", "abcdef"]);
    world
        .run(&["status"])
        .exits(0)
        .says("  - 日本    signed out\n")
        .says("  - abcdef  signed out\n");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let world = world_of_states();
    let mut child = world.start(&["status"]);
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        (output.status.code(), output.stderr),
        (Some(3), Vec::new()).clone()
    );
}

#[test]
fn logs_show_the_last_lines_across_a_turn_over() {
    let world = World::new();
    world
        .run(&["logs"])
        .exits(0)
        .complains("nothing has been logged yet");
    fs::create_dir_all(world.data()).expect("made");
    fs::write(world.data().join("refresh.log.1"), "1\n2\n3\n").expect("written");
    fs::write(world.data().join("refresh.log"), "4\n5\n").expect("written");
    assert_eq!(world.run(&["logs", "-n", "3"]).exits(0).stdout, "3\n4\n5\n");
    assert_eq!(world.run(&["logs"]).exits(0).stdout, "1\n2\n3\n4\n5\n");
    assert_eq!(world.run(&["logs", "-n0"]).exits(0).stdout, "");
}

#[test]
fn a_full_log_is_turned_over_and_one_old_file_is_kept() {
    let world = World::new();
    world.sessions(&["work"]);
    fs::create_dir_all(world.data()).expect("made");
    fs::write(world.data().join("refresh.log"), "x".repeat(1024 * 1024)).expect("written");
    fs::write(world.data().join("refresh.log.1"), "older").expect("written");
    world.run(&["refresh"]).exits(0);
    assert_eq!(world.log().lines().count(), 1);
    let old = fs::read_to_string(world.data().join("refresh.log.1")).expect("it exists");
    assert_eq!(old.len(), 1024 * 1024);
}

#[test]
fn followed_logs_go_on_across_a_turn_over() {
    use std::io::{BufRead, BufReader};
    let center = center();
    let world = World::with(&center);
    world.sessions(&["work"]);
    world.run(&["refresh"]).exits(0);
    let mut child = world.start(&["logs", "-n", "0", "-f"]);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    std::thread::sleep(std::time::Duration::from_millis(400));
    world.run(&["refresh"]).exits(0);
    assert!(
        lines
            .next()
            .expect("a line")
            .expect("UTF-8")
            .contains("run=manual")
    );
    fs::rename(
        world.data().join("refresh.log"),
        world.data().join("refresh.log.1"),
    )
    .expect("moved");
    world.sign_in(&center, "work", 5);
    world.run(&["refresh"]).exits(0);
    assert!(
        lines
            .next()
            .expect("a line")
            .expect("UTF-8")
            .contains("work refreshed")
    );
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn help_and_version_need_no_home() {
    let world = World::new();
    let run = |argument: &str| {
        let output = world
            .command(&[argument])
            .env_remove("HOME")
            .output()
            .expect("it runs");
        crate::world::Ran::of(output)
    };
    run("--help").exits(0).says("Usage: aws-sso-refresh");
    run("--version").exits(0).says("aws-sso-refresh 2.");
    world.run(&["help", "refresh"]).exits(0).says("--force");
    world
        .run(&["stauts"])
        .exits(2)
        .complains("did you mean `aws-sso-refresh status`?");
}
