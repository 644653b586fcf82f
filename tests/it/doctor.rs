//! `doctor` on broken setups of every kind, each with its mark, its reason and its fix, and on one that is well.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tinyjson::JsonValue;

use crate::identity_center::{Fault, IdentityCenter, Options, Proxy, ProxyOptions};
use crate::install::{Mac, copy, is_root};
use crate::world::{START_URL, World, center, in_seconds, member_of, skipped, token_text};

/// A line of `doctor --json`.
#[derive(Debug)]
struct Finding {
    area: String,
    subject: String,
    mark: String,
    text: String,
    fix: String,
}

/// What `doctor` found, and its exit status.
#[derive(Debug)]
struct Found {
    exit: Option<i32>,
    list: Vec<Finding>,
}

impl Found {
    fn read(exit: Option<i32>, json: &str) -> Found {
        let object: JsonValue = json.parse().expect("JSON");
        let version: &f64 = object["version"].get().expect("a number");
        assert_eq!(version.to_string(), "1");
        let list: &Vec<JsonValue> = object["findings"].get().expect("an array");
        let findings = list.iter().map(|finding| {
            let member = |name: &str| match &finding[name] {
                JsonValue::Null => String::new(),
                text => text.get::<String>().expect("a string").clone(),
            };
            Finding {
                area: member("area"),
                subject: member("subject"),
                mark: member("mark"),
                text: member("text"),
                fix: member("fix"),
            }
        });
        let list = findings.collect();
        Found { exit, list }
    }

    /// There is a finding of that subject, mark, part of the text, and exactly that fix.
    #[track_caller]
    fn has(&self, subject: &str, mark: &str, part: &str, fix: &str) -> &Found {
        let fits = |finding: &&Finding| {
            finding.subject == subject
                && finding.mark == mark
                && finding.text.contains(part)
                && finding.fix == fix
        };
        let found = self.list.iter().find(fits);
        assert!(
            found.is_some(),
            "no {subject} {mark} {part:?} {fix:?} in {self:#?}"
        );
        self
    }

    #[track_caller]
    fn exits(&self, expected: i32) -> &Found {
        assert_eq!(self.exit, Some(expected), "{self:#?}");
        self
    }

    /// Nothing but this is wrong: so many problems and warnings.
    #[track_caller]
    fn counts(&self, problems: usize, warnings: usize) -> &Found {
        let count = |mark: &str| self.list.iter().filter(|found| found.mark == mark).count();
        let counts = (count("problem"), count("warning"));
        assert_eq!(counts, (problems, warnings), "{self:#?}");
        self
    }
}

/// A Mac where all is well: one session, signed in at `center`, refreshed by a job that has just run.
fn healthy(center: &IdentityCenter) -> Mac {
    let mut mac = Mac::of(World::with(center));
    let path = format!(
        "{0}/.local/bin:{0}/tools:/usr/bin:/bin",
        mac.world.home.display()
    );
    mac.world.set("PATH", &path);
    mac.world.sessions(&["work"]);
    mac.world.sign_in(center, "work", 50);
    mac.own();
    mac.run(&["install"]).exits(0);
    mac.run(&["refresh", "--scheduled"]).exits(0);
    mac
}

fn doctor(mac: &Mac) -> Found {
    let ran = mac.run(&["doctor", "--json"]);
    assert_eq!(ran.stderr, "");
    Found::read(ran.exit, &ran.stdout)
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

/// Writes the token of `work` anew, changed.
fn change_token(mac: &Mac, change: impl Fn(String) -> String) {
    let text = change(mac.world.token_text("work"));
    mac.world.write_token("work", &text);
    mac.own();
}

fn without(text: &str, member: &str) -> String {
    let value = member_of(text, member).expect("it is there");
    let written = format!("\"{member}\": \"{value}\"");
    text.replace(&format!(", {written}"), "")
        .replace(&format!("{written}, "), "")
}

/// Where the program sends requests in `mac`, as a sentence names it.
fn host(center: &IdentityCenter) -> String {
    format!("localhost:{}", center.port())
}

#[test]
fn where_all_is_well_every_line_says_so() {
    let center = center();
    let mac = healthy(&center);
    let found = doctor(&mac);
    let endpoint = center.endpoint();
    found
        .exits(0)
        .counts(0, 0)
        .has("file", "ok", ".aws/config, sessions: 1", "")
        .has("work", "ok", "remaining", "")
        .has("cache folder", "ok", "yours and writable", "")
        .has("own files", "ok", "open to you alone", "")
        .has(
            "certificates",
            "ok",
            "ca.pem are trusted, from AWS_CA_BUNDLE",
            "",
        )
        .has(
            "service",
            "ok",
            &format!("{endpoint}/, from AWS_ENDPOINT_URL_SSO_OIDC"),
            "",
        )
        .has("proxy", "ok", "none is set", "")
        .has("answer", "ok", &host(&center), "")
        .has("clock", "ok", "agrees with that of the service", "")
        .has("scheduler", "ok", "launchd", "")
        .has("job", "ok", "waiting (last check 0s ago: ok", "")
        .has("program", "ok", ".local/bin/aws-sso-refresh", "")
        .has("settings", "ok", "the job has those of this shell", "")
        .has("notifications", "ok", "by osascript", "")
        .has("sign-in", "ok", "a browser opens", "")
        .has("command", "ok", ".local/bin/aws-sso-refresh", "");
    assert_eq!(found.list.len(), 16, "{found:#?}");
    let areas: Vec<&str> = found.list.iter().map(|found| found.area.as_str()).collect();
    assert!(areas.is_sorted_by_key(|area| {
        ["config", "sessions", "network", "job"]
            .iter()
            .position(|known| known == area)
    }));

    let ran = mac.run(&["doctor"]).exits(0);
    for part in [
        "Config\n\n  ✓ file  ",
        "\n\nSessions\n\n  ✓ work          ",
        "\n\nNetwork (with the settings of the job)\n\n  ✓ certificates  only those of ",
        "\n\nJob\n\n  ✓ scheduler      launchd\n  ✓ job            waiting (last check",
        "\n\nAll is well: every session is refreshed in the background\n",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
    let question = &center.requests_to("/token")[0];
    assert_eq!(
        (question.body.as_slice(), question.status),
        (&b"{}"[..], Some(400))
    );
}

#[test]
fn a_page_is_read_at_eighty_columns_and_its_commands_can_be_copied() {
    let center = center();
    let mac = healthy(&center);
    mac.world.config("[sso-session work]\nsso_region = x\n[profile old]\nsso_start_url = https://old.awsapps.com/start\n");
    mode(&mac.world.token_path("work"), 0o644);
    mac.own();
    let ran = mac.run(&["doctor"]).exits(2);
    assert!(
        !ran.stdout.contains('\u{1b}'),
        "no colour without a terminal"
    );
    let long: Vec<&str> = ran
        .stdout
        .lines()
        .filter(|line| line.chars().count() > 80)
        .filter(|line| !line.contains(&*mac.world.home.to_string_lossy()))
        .collect();
    assert_eq!(long, Vec::<&str>::new());
    for part in [
        "  ✗ work          line 1: sso_start_url is missing\n    fix: have this line and no other like it below line 1, with what is right\n         for your company:\n\n           sso_start_url = https://d-1234567890.awsapps.com/start\n\n  ! old profiles  old: no tool can renew",
        "✓ cache folder  ~/.aws/sso/cache, yours and writable\n",
        "\n  - work          not looked at: its section in the config is wrong\n",
        "\n  - all  not looked at, because there is no session to ask for\n\nJob\n",
        "\n1 problem, 1 warning\n",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
}

#[test]
fn a_config_that_is_not_there_is_to_be_made() {
    let mut mac = Mac::new();
    doctor(&mac)
        .exits(2)
        .has(
            "file",
            "problem",
            ".aws/config is not there",
            "aws configure sso",
        )
        .has("all", "notChecked", "there is no session to ask for", "");
    mac.world.config("[default]\nregion = eu-west-1\n");
    mac.own();
    doctor(&mac).exits(2).has(
        "file",
        "problem",
        "has no sso-session: there is nothing to refresh",
        "aws configure sso",
    );
    mac.world.set("AWS_CONFIG_FILE", "/nowhere/config");
    doctor(&mac).has(
        "file",
        "problem",
        "/nowhere/config is not there",
        "unset AWS_CONFIG_FILE",
    );
    fs::create_dir_all(mac.world.home.join("locked")).expect("made");
    fs::write(mac.world.home.join("locked/config"), "").expect("written");
    mac.world.set("AWS_CONFIG_FILE", "~/locked/config");
    mac.own();
    mode(&mac.world.home.join("locked"), 0o000);
    let found = doctor(&mac);
    mode(&mac.world.home.join("locked"), 0o700);
    found
        .exits(2)
        .has(
            "file",
            "problem",
            "locked/config: permission denied",
            "it must be a file that you may read; AWS_CONFIG_FILE names another one",
        )
        .has("all", "notChecked", "because the config cannot be read", "");
}

#[test]
fn an_old_profile_gets_the_section_it_needs() {
    let mac = Mac::new();
    mac.world.config(&World::fixture("config/legacy.ini"));
    mac.own();
    let path = mac.world.home.join(".aws/config");
    let path = path.display();
    let moved = |section: &str, name: &str| {
        format!(
            "{section}have this in each profile, in place of its sso_start_url and sso_region:\n\n   \
             sso_session = {name}\n\nand run `aws-sso-refresh login {name}`"
        )
    };
    let section = |name: &str| {
        format!(
            "add this to {path}:\n\n   [sso-session {name}]\n   sso_start_url = https://old-company.awsapps.com/start\n   \
             sso_region = us-east-1\n   sso_registration_scopes = sso:account:access\n\n"
        )
    };
    doctor(&mac)
        .exits(2)
        .has(
            "file",
            "problem",
            "has no sso-session",
            "add the section below",
        )
        .has(
            "old profiles",
            "warning",
            "default, old-dev: no tool can renew the token",
            &moved(&section("old-company"), "old-company"),
        );

    // What it says, done.
    mac.world.config(&format!(
        "[default]\nsso_session = old-company\n{}",
        section("old-company")
            .lines()
            .skip(2)
            .map(|line| format!("{}\n", line.trim()))
            .collect::<String>()
    ));
    mac.own();
    doctor(&mac).has("file", "ok", "sessions: 1", "");

    let config =
        format!("[sso-session old-company]\nsso_start_url = {START_URL}\nsso_region = us-east-1\n");
    mac.world
        .config(&(config + &World::fixture("config/legacy.ini")));
    mac.own();
    let name = "old-company-sso";
    doctor(&mac).has("old profiles", "warning", "", &moved(&section(name), name));

    let start_url = "sso_start_url = https://old-company.awsapps.com/start/";
    let config = format!("[sso-session work]\n{start_url}\nsso_region = us-east-1\n");
    mac.world
        .config(&(config + &World::fixture("config/legacy.ini")));
    mac.own();
    doctor(&mac).has("old profiles", "warning", "", &moved("", "work"));

    let config = "[profile old]\nsso_start_url = https://ada:geheim@old.example/start\n";
    mac.world.config(config);
    mac.own();
    let section = format!(
        "add this to {path}:\n\n   [sso-session sso]\n   sso_start_url = (as it stands there)\n   sso_region = (your region)\n   \
         sso_registration_scopes = sso:account:access\n\n"
    );
    doctor(&mac).has("old profiles", "warning", "old: ", &moved(&section, "sso"));
}

#[test]
fn mistakes_in_the_config_have_their_line_and_their_fix() {
    let center = center();
    let mut mac = healthy(&center);
    let path = mac.world.home.join(".aws/config");
    mac.world.config(&format!(
        "[sso-session work]\nsso_start_url = {START_URL}\nsso_region = eu-west-1\n\n\
         [sso-session away]\nsso_start_url = https://ssoins-1.portal.eu-west-3.app.aws\nsso_registration_scopes = a\n\
         [sso-session \"my sso\"]\nsso_start_url = {START_URL}\nsso_region = eu-west-1 # home\nsso_registration_scopes = a\n\
         [profile p]\nregion = a\nregion = b\nstray\nsso_session = gone\n\
         [sso-session work]\n",
    ));
    mac.world.set("AWS_PROFILE", "gone");
    mac.own();
    let fix = "have this line and no other like it below line";
    doctor(&mac)
        .exits(2)
        .has(
            "work",
            "warning",
            "no sso_registration_scopes",
            &format!(
                "add below line 1 of {}:\n\n   sso_registration_scopes = sso:account:access",
                path.display()
            ),
        )
        .has(
            "away",
            "problem",
            "line 5: sso_region is missing",
            &format!("{fix} 5, with what is right for your company:\n\n   sso_region = eu-west-1"),
        )
        .has(
            "my sso",
            "problem",
            "line 10: sso_region = eu-west-1 # home looks like it carries a comment",
            &format!("{fix} 8, with what is right for your company:\n\n   sso_region = eu-west-1"),
        )
        .has(
            "line 8",
            "warning",
            "most AWS SDKs cannot read it",
            "give it a plain name, here and in its profiles, and sign in again",
        )
        .has(
            "line 14",
            "warning",
            "the AWS CLI refuses the whole file",
            "delete one of the two lines",
        )
        .has(
            "line 15",
            "warning",
            "neither",
            "delete that line, or begin it with #",
        )
        .has(
            "line 16",
            "warning",
            "names the session gone",
            "correct the name, or make the session with `aws configure sso-session`",
        )
        .has(
            "line 17",
            "warning",
            "already in line 1; the two are read as one; the AWS CLI refuses",
            "make one section of the two",
        )
        .has(
            "profile",
            "warning",
            "the profile gone (AWS_PROFILE) is not in",
            "unset AWS_PROFILE AWS_DEFAULT_PROFILE",
        )
        .has(
            "my sso",
            "notChecked",
            "its section in the config is wrong",
            "",
        );
}

#[test]
fn a_wrong_variable_stops_nothing() {
    let center = center();
    let mut mac = healthy(&center);
    mac.world.set("AWS_SSO_REFRESH_THRESHOLD", "0");
    mac.world.set("AWS_SSO_REFRESH_LOGIN", "never");
    doctor(&mac)
        .exits(2)
        .has(
            "settings",
            "problem",
            "cannot use AWS_SSO_REFRESH_THRESHOLD=0: it must be a whole number of minutes",
            "change it or `unset AWS_SSO_REFRESH_THRESHOLD`",
        )
        .has(
            "settings",
            "problem",
            "cannot use AWS_SSO_REFRESH_LOGIN=never",
            "change it or `unset AWS_SSO_REFRESH_LOGIN`",
        )
        .has("work", "ok", "remaining", "")
        .has("answer", "ok", "", "")
        .has("job", "ok", "waiting", "");

    mac.world.unset("AWS_SSO_REFRESH_LOGIN");
    mac.world.unset("AWS_SSO_REFRESH_THRESHOLD");
    let mut command = mac.world.command_of(&mac.program(), &["doctor", "--json"]);
    let no_text = std::os::unix::ffi::OsStringExt::from_vec(vec![b'h', 0xff]);
    command.env("https_proxy", std::ffi::OsString::clone(&no_text));
    let output = command.output().expect("it runs");
    Found::read(
        output.status.code(),
        &String::from_utf8_lossy(&output.stdout),
    )
    .exits(2)
    .has(
        "settings",
        "problem",
        "cannot use the variable https_proxy: its value is not UTF-8",
        "change it or `unset https_proxy`",
    );
}

#[test]
fn settings_that_leave_gaps_are_told() {
    let mut mac = Mac::new();
    mac.world.set("AWS_SSO_REFRESH_INTERVAL", "60");
    mac.world.set("AWS_DEFAULT_PROFILE", "work");
    doctor(&mac)
        .has(
            "settings",
            "warning",
            "a one-hour token may end before the next one",
            "set AWS_SSO_REFRESH_INTERVAL to 55 or less, then run `aws-sso-refresh install`",
        )
        .has(
            "settings",
            "warning",
            "AWS_DEFAULT_PROFILE is not stored",
            "set AWS_PROFILE, then run `aws-sso-refresh install`",
        );
}

#[test]
fn a_session_that_has_ended_needs_its_person() {
    let center = center();
    let mac = healthy(&center);
    let token = mac.world.token("work", "refreshToken");
    assert!(center.end_session(&token));
    mac.run(&["refresh", "--force"]);
    doctor(&mac).exits(3).counts(1, 0).has(
        "work",
        "problem",
        "a sign-in is needed: the session ended",
        "aws-sso-refresh login work",
    );
}

#[test]
fn a_token_without_a_refresh_token_is_explained() {
    let center = center();
    let mac = healthy(&center);
    let good = mac.world.token_text("work");
    let login = "aws-sso-refresh login work";
    change_token(&mac, |text| without(&text, "refreshToken"));
    doctor(&mac).exits(3).counts(1, 0).has(
        "work",
        "problem",
        "the token has no refreshToken); the AWS CLI and most SDKs drop what an answer lacks",
        login,
    );
    change_token(&mac, |text| text.replace('}', ", \"refreshToken\": null}"));
    doctor(&mac).has(
        "work",
        "problem",
        "; the .NET SDK writes null for what an answer lacks",
        login,
    );

    let config = fs::read_to_string(mac.world.home.join(".aws/config")).expect("it is there");
    mac.world.config(
        config
            .split("sso_registration_scopes")
            .next()
            .expect("the rest"),
    );
    change_token(&mac, |_| without(&good, "refreshToken"));
    doctor(&mac).has(
        "work",
        "problem",
        "; without sso_registration_scopes some tools get none",
        login,
    );
}

#[test]
fn what_other_tools_miss_in_a_token_is_told() {
    let center = center();
    let mac = healthy(&center);
    change_token(&mac, |text| {
        ["registrationExpiresAt", "startUrl", "region"]
            .into_iter()
            .fold(text, |text, member| without(&text, member))
    });
    let login = "aws-sso-refresh login work";
    doctor(&mac)
        .exits(0)
        .counts(0, 3)
        .has("work", "ok", "remaining", "")
        .has(
            "work",
            "warning",
            "no registrationExpiresAt: the AWS CLI and the Rust SDK",
            login,
        )
        .has("work", "warning", "no startUrl: the Java SDK", login)
        .has("work", "warning", "no region: `aws sso logout`", login);
}

#[test]
fn the_end_of_a_client_registration_is_foretold() {
    let center = center();
    let mac = healthy(&center);
    let good = mac.world.token_text("work");
    let end = mac.world.token("work", "registrationExpiresAt");
    let login = "aws-sso-refresh login work";
    let check = |seconds: i64| {
        change_token(&mac, |_| good.replace(&end, &in_seconds(seconds)));
        doctor(&mac)
    };
    check(3 * 86_400 + 60).exits(0).counts(0, 1).has(
        "work",
        "warning",
        "its client registration, and the session with it, ends in 3d",
        login,
    );
    check(8 * 86_400).exits(0).counts(0, 0);
    check(-60).exits(3).counts(1, 0).has(
        "work",
        "problem",
        "the client registration expired",
        login,
    );
}

#[test]
fn a_token_of_another_start_url_or_region_or_clock_is_told() {
    let center = center();
    let mac = healthy(&center);
    let good = mac.world.token_text("work");
    let login = "aws-sso-refresh login work";
    change_token(&mac, |_| good.replace("d-1234567890", "d-0987654321"));
    doctor(&mac).exits(3).has(
        "work",
        "problem",
        "the config now has another start URL",
        login,
    );
    change_token(&mac, |_| good.replace("eu-west-1", "eu-west-2"));
    doctor(&mac).exits(0).counts(0, 1).has(
        "work",
        "warning",
        "its token is of region eu-west-2, and the config says eu-west-1",
        &format!(
            "write `sso_region = eu-west-2` in the config or, where that is wrong, run `{login}`"
        ),
    );
    change_token(&mac, |_| good.clone());
    mac.run(&["refresh", "--force"]).exits(0);
    change_token(&mac, |text| {
        let end = member_of(&text, "expiresAt").expect("it is there");
        text.replace(&end, &in_seconds(9 * 3600))
    });
    doctor(&mac).exits(0).counts(0, 1).has(
        "work",
        "warning",
        "its token claims more time than the service grants: a wrong clock wrote it",
        "aws-sso-refresh",
    );
}

#[test]
fn a_token_file_that_others_can_read_is_to_be_closed() {
    let center = center();
    let mac = healthy(&center);
    let path = mac.world.token_path("work");
    mode(&path, 0o644);
    let fix = format!("chmod go= {}", path.display());
    doctor(&mac)
        .exits(0)
        .counts(0, 1)
        .has("work", "warning", "(mode 644)", &fix);
    mode(&mac.world.data(), 0o755);
    let fix = format!("chmod go= {}/", mac.world.data().display());
    doctor(&mac)
        .counts(0, 2)
        .has("own files", "warning", "(mode 755)", &fix);
}

#[test]
fn what_belongs_to_another_user_is_told() {
    if !is_root() {
        skipped("what_belongs_to_another_user_is_told: only root can give files away");
        return;
    }
    let center = center();
    let mac = healthy(&center);
    let path = mac.world.token_path("work");
    let give_away = |path: &Path| std::os::unix::fs::chown(path, Some(0), None).expect("given");
    give_away(&path);
    doctor(&mac).exits(1).counts(1, 0).has(
        "work",
        "problem",
        "its token file cannot be read: permission denied",
        &format!(
            "sudo chown \"$(id -u)\" {0} && chmod 600 {0}",
            path.display()
        ),
    );
    mode(&path, 0o644);
    doctor(&mac).exits(0).counts(0, 2).has(
        "work",
        "warning",
        "belongs to another user, as after a run under sudo",
        &format!("sudo chown \"$(id -u)\" {}", path.display()),
    );
    mac.own();
    mode(&path, 0o600);
    give_away(&mac.world.cache());
    doctor(&mac).exits(1).counts(1, 0).has(
        "cache folder",
        "problem",
        "belongs to another user",
        &format!("sudo chown -R \"$(id -u)\" {}", mac.world.cache().display()),
    );
}

#[test]
fn a_link_is_followed_and_one_that_leads_nowhere_is_told() {
    let center = center();
    let mac = healthy(&center);
    let path = mac.world.token_path("work");
    let elsewhere = mac.world.home.join("elsewhere.json");
    fs::rename(&path, &elsewhere).expect("moved");
    symlink(&elsewhere, &path).expect("linked");
    mac.own();
    let told = format!("is a link to {}", elsewhere.display());
    doctor(&mac)
        .exits(0)
        .counts(0, 0)
        .has("work", "ok", &told, "");
    fs::remove_file(&elsewhere).expect("removed");
    doctor(&mac).exits(1).counts(1, 0).has(
        "work",
        "problem",
        &format!(
            "its token file is a link to {}, which is not there",
            elsewhere.display()
        ),
        &format!("rm {} && aws-sso-refresh login work", path.display()),
    );
}

#[test]
fn a_token_file_that_is_none_is_told() {
    let center = center();
    let mac = healthy(&center);
    change_token(&mac, |text| text[..40].to_string());
    doctor(&mac).exits(1).counts(1, 0).has(
        "work",
        "problem",
        "its token file cannot be read, and only a sign-in overwrites it: ",
        "aws-sso-refresh login work",
    );
    let path = mac.world.token_path("work");
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    mac.own();
    doctor(&mac).exits(1).has(
        "work",
        "problem",
        "it is a folder",
        &format!(
            "mv {0} {0}.old && aws-sso-refresh login work",
            path.display()
        ),
    );
}

#[test]
fn a_cache_folder_that_cannot_be_used_is_told() {
    let center = center();
    let mac = healthy(&center);
    let cache = mac.world.cache();
    let word = cache.display();
    mode(&cache, 0o777);
    let fix = format!("chmod go-w {word}");
    doctor(&mac)
        .exits(0)
        .has("cache folder", "warning", "others may change", &fix);
    mode(&cache, 0o500);
    let fix = format!("chmod u+rwx {word}");
    let found = doctor(&mac);
    mode(&cache, 0o700);
    found
        .exits(1)
        .counts(1, 0)
        .has("cache folder", "problem", "is closed to you", &fix);
    fs::rename(&cache, mac.world.home.join("away")).expect("moved");
    doctor(&mac)
        .exits(0)
        .has(
            "cache folder",
            "notChecked",
            "the first sign-in makes it",
            "",
        )
        .has(
            "work",
            "notChecked",
            "signed out",
            "aws-sso-refresh login work",
        );
    mac.run(&["doctor"])
        .exits(0)
        .says("\n\nNothing is wrong, but nobody is signed in\n");
    fs::write(&cache, "").expect("written");
    mac.own();
    let fix = format!("mv {word} {word}.old");
    doctor(&mac)
        .exits(1)
        .has("cache folder", "problem", "is no folder", &fix);
}

#[test]
fn a_refresh_that_failed_is_told_with_its_reason() {
    let center = center();
    let mac = healthy(&center);
    change_token(&mac, |text| {
        let end = member_of(&text, "expiresAt").expect("it is there");
        text.replace(&end, &in_seconds(12 * 60))
    });
    center.fault_next(3, Fault::answer(503, "{}"));
    mac.run(&["refresh"]).exits(1);
    center.clear_faults();
    let fix = "aws-sso-refresh refresh --force";
    let found = doctor(&mac);
    found
        .exits(0)
        .counts(0, 1)
        .has(
            "work",
            "warning",
            "11m remaining, the last refresh failed",
            fix,
        )
        .has(
            "work",
            "warning",
            "; failures in a row: 1, the log says: ",
            fix,
        );
    change_token(&mac, |text| {
        let end = member_of(&text, "expiresAt").expect("it is there");
        text.replace(&end, &in_seconds(-60))
    });
    doctor(&mac)
        .exits(1)
        .has("work", "problem", "work failed before=", fix);
}

#[test]
fn a_session_that_nobody_uses_is_left_alone() {
    let center = center();
    let mac = healthy(&center);
    change_token(&mac, |text| {
        let end = member_of(&text, "expiresAt").expect("it is there");
        without(&text, "refreshToken").replace(&end, &in_seconds(-12 * 86_400 - 60))
    });
    doctor(&mac).exits(0).counts(0, 0).has(
        "work",
        "notChecked",
        "not used for 12d, so nobody is asked to sign in",
        "aws-sso-refresh login work",
    );
}

#[test]
fn who_was_asked_already_is_told() {
    let center = center();
    let mac = healthy(&center);
    change_token(&mac, |text| {
        let end = member_of(&text, "expiresAt").expect("it is there");
        without(&text, "refreshToken").replace(&end, &in_seconds(-60))
    });
    let path = mac.world.data().join("sessions.json");
    for (seconds, told) in [
        (-300, "; a person was asked 5m ago"),
        (300, ""), // under a wrong clock
    ] {
        let at = in_seconds(seconds);
        let asked = format!(r#"{{"work": {{"lastAsked": "{at}", "asked": 1}}}}"#);
        fs::write(&path, asked).expect("written");
        mode(&path, 0o600);
        mac.own();
        let found = doctor(&mac);
        found
            .exits(3)
            .has("work", "problem", told, "aws-sso-refresh login work");
        let is_told = |finding: &Finding| finding.text.contains("was asked");
        assert_eq!(found.list.iter().any(is_told), !told.is_empty());
    }
}

#[test]
fn a_time_that_other_tools_cannot_read_is_told() {
    let center = center();
    let mac = healthy(&center);
    change_token(&mac, |text| {
        let end = member_of(&text, "expiresAt").expect("it is there");
        text.replace(&end, end.trim_end_matches('Z'))
    });
    doctor(&mac).exits(0).counts(0, 1).has(
        "work",
        "warning",
        "its token file: a time in it names no zone and is taken as UTC",
        "aws-sso-refresh login work",
    );
}

#[test]
fn an_expired_token_is_to_be_refreshed() {
    let center = center();
    let mac = healthy(&center);
    let granted = center.sign_in(&crate::identity_center::SignIn::default());
    change_token(&mac, |_| token_text(&granted, -60));
    let fix = "aws-sso-refresh";
    doctor(&mac)
        .exits(1)
        .counts(1, 0)
        .has("work", "problem", "expired 1m ago", fix);
}

const OFFLINE: &str = "get this machine online; behind a company's proxy, set HTTPS_PROXY and run `aws-sso-refresh install`";

#[test]
fn without_an_answer_the_clock_is_not_checked() {
    let mac = healthy(&center()); // which goes away at once
    doctor(&mac)
        .exits(1)
        .counts(1, 0)
        .has("service", "notChecked", "https://localhost:", "")
        .has("proxy", "notChecked", "none is set", "")
        .has("answer", "problem", "connection refused", OFFLINE)
        .has("clock", "notChecked", "because no answer has a time", "");
}

#[test]
fn what_answers_in_place_of_the_service_is_recognised() {
    let center = center();
    let mac = healthy(&center);
    center.fault(Fault::Answer {
        status: 200,
        headers: vec![
            ("Content-Type".to_string(), "text/html".to_string()),
            (
                "Date".to_string(),
                "Mon, 23 Nov 2020 20:04:11 GMT".to_string(),
            ),
        ],
        body: b"<html>Welcome to our hotel</html>".to_vec(),
    });
    doctor(&mac)
        .exits(1)
        .counts(1, 0)
        .has(
            "answer",
            "problem",
            &format!("something else answers for {} (status 200)", host(&center)),
            "sign in to the network in a browser; where it wants none, ask who runs the proxy",
        )
        .has("clock", "notChecked", "", "");
}

#[test]
fn a_service_in_trouble_is_to_be_waited_for() {
    let center = center();
    let mac = healthy(&center);
    center.fault(Fault::error("server_error"));
    doctor(&mac).exits(0).counts(0, 1).has(
        "answer",
        "warning",
        "is in trouble (status 500)",
        "wait: the job tries again by itself",
    );
}

#[test]
fn a_clock_that_is_off_is_told_with_its_fix() {
    let check = |skew: i64, system: &str, exit: i32, mark: &str, part: &str, fix: &str| {
        let center = IdentityCenter::start(Options {
            date_skew: skew,
            ..Options::default()
        });
        let mut mac = healthy(&center);
        mac.world.set("AWS_SSO_REFRESH_SYSTEM", system);
        let found = doctor(&mac);
        found.has("clock", mark, part, fix);
        if system == "macos" {
            found.exits(exit);
        }
    };
    let mac = "turn on System Settings > General > Date & Time > Set time and date automatically";
    check(0, "macos", 0, "ok", "agrees with that of the service", "");
    check(45, "macos", 0, "ok", "agrees with that of the service", "");
    check(-90, "macos", 0, "warning", "1m ahead of the service", mac);
    check(
        400,
        "macos",
        1,
        "problem",
        "6m behind the service, so tokens get wrong times",
        mac,
    );
    check(
        400,
        "linux",
        1,
        "problem",
        "6m behind the service",
        "timedatectl set-ntp true",
    );
}

#[test]
fn an_authority_that_is_not_trusted_is_told_with_the_setting() {
    let (center, other) = (center(), center());
    let mut mac = healthy(&center);
    mac.world.connect(&other); // whose authority is another one
    let ca = fs::read(mac.world.home.join("ca.pem")).expect("it is there");
    mac.world.connect(&center);
    fs::write(mac.world.home.join("ca.pem"), ca).expect("written");
    mac.own();
    doctor(&mac).exits(1).counts(1, 0).has(
        "answer",
        "problem",
        "its certificate ",
        &format!(
            "only the authorities in {}/ca.pem (AWS_CA_BUNDLE) are trusted",
            mac.world.home.display()
        ),
    );
    mac.world.unset("AWS_CA_BUNDLE");
    mac.run(&["install"]).exits(0);
    doctor(&mac)
        .exits(1)
        .has("certificates", "ok", "those of public authorities are trusted", "")
        .has(
            "answer",
            "problem",
            "from an authority that is not trusted",
            "behind a corporate proxy that inspects TLS, set AWS_CA_BUNDLE to a PEM file with the certificate of its \
             authority",
        );
    mac.world.set("AWS_CA_BUNDLE", "ca.pem");
    mac.run(&["install"]).exits(0);
    fs::remove_file(mac.world.home.join("ca.pem")).expect("removed");
    doctor(&mac)
        .exits(2)
        .counts(1, 0)
        .has(
            "certificates",
            "problem",
            "ca.pem (AWS_CA_BUNDLE) cannot be used: no such file",
            "name a PEM file of certificates there, or unset it",
        )
        .has("answer", "notChecked", "because of the certificates", "");
}

#[test]
fn a_proxy_is_named_with_its_setting_and_without_its_password() {
    let center = center();
    let proxy = Proxy::start(ProxyOptions {
        map: vec![("*".to_string(), host(&center))],
        credentials: Some(("ada".to_string(), "geheim".to_string())),
    });
    let mut mac = healthy(&center);
    mac.world
        .set("HTTPS_PROXY", &proxy.url_with("ada", "geheim"));
    mac.run(&["install"]).exits(0);
    let found = doctor(&mac);
    found.exits(0).counts(0, 0).has(
        "proxy",
        "ok",
        &format!("{}/, from HTTPS_PROXY", proxy.url()),
        "",
    );
    assert_eq!(proxy.connects().len(), 1);

    mac.world.set("NO_PROXY", "localhost");
    mac.run(&["install"]).exits(0);
    let told = format!("none, because NO_PROXY exempts {}", host(&center));
    doctor(&mac).exits(0).has("proxy", "ok", &told, "");

    mac.world.unset("NO_PROXY");
    mac.world.set("HTTPS_PROXY", &proxy.url());
    mac.run(&["install"]).exits(0);
    let url = proxy.url();
    doctor(&mac).exits(1).has(
        "answer",
        "problem",
        "the proxy asks for a user name and password (status 407)",
        &format!(
            "set HTTPS_PROXY={}",
            url.replace("http://", "http://USER:PASSWORD@")
        ),
    );
    mac.world.set("HTTPS_PROXY", "socks5://localhost:1");
    mac.run(&["install"]).exits(0);
    doctor(&mac).exits(2).has(
        "answer",
        "problem",
        "the proxy in HTTPS_PROXY cannot be used: SOCKS is not supported",
        "correct that setting, or unset it",
    );
}

#[test]
fn an_endpoint_that_cannot_be_used_is_told() {
    let center = center();
    let mut mac = healthy(&center);
    mac.world.set(
        "AWS_ENDPOINT_URL_SSO_OIDC",
        "http://ada:geheim@oidc.example",
    );
    mac.run(&["install"])
        .exits(0)
        .says("AWS_ENDPOINT_URL_SSO_OIDC='http://(hidden)@oidc.example'");
    let found = doctor(&mac);
    found.exits(2).has(
        "service",
        "problem",
        "AWS_ENDPOINT_URL_SSO_OIDC: it holds a user name",
        "",
    );
    mac.world
        .set("AWS_ENDPOINT_URL_SSO_OIDC", "http://oidc.example");
    mac.run(&["install"]).exits(0);
    doctor(&mac)
        .exits(2)
        .has("service", "problem", "plain http", "begin it with https://");
}

const INSTALL: &str = "aws-sso-refresh install";

#[test]
fn a_job_that_is_not_there_is_to_be_installed() {
    let center = center();
    let mac = healthy(&center);
    mac.run(&["uninstall"]).exits(0);
    fs::remove_file(mac.world.data().join("refresh.log")).expect("it was there");
    doctor(&mac)
        .exits(1)
        .counts(1, 0)
        .has("job", "problem", "not installed", INSTALL)
        .has("answer", "ok", "", "");
    mac.run(&["doctor"]).says("\n\nNetwork\n\n");

    mac.run(&["refresh", "--scheduled"]).exits(0); // as a crontab would
    doctor(&mac)
        .exits(0)
        .has("job", "notChecked", "something else starts the checks", "");
}

#[test]
fn a_job_that_was_switched_off_in_system_settings_is_recognised() {
    let center = center();
    let mac = healthy(&center);
    let job = mac.launchd.join(format!("job.gui.{}", mac.uid));
    let plist = fs::read(&job).expect("it was there");
    fs::remove_file(&job).expect("it was there");
    doctor(&mac).exits(1).counts(1, 0).has(
        "job",
        "problem",
        "installed, but not active: probably switched off in System Settings",
        "switch it on in System Settings > General > Login Items & Extensions, which no command can do, and run \
         `aws-sso-refresh install`",
    );
    fs::write(&job, plist).expect("written");
    mac.mood("disabled", "");
    doctor(&mac)
        .exits(1)
        .counts(1, 0)
        .has("job", "problem", "disabled", INSTALL);
    mac.cheer_up("disabled");
    doctor(&mac).exits(0);
}

#[test]
fn a_launchd_that_does_not_answer_is_told() {
    let center = center();
    let mut mac = healthy(&center);
    mac.world.set("AWS_SSO_REFRESH_PATIENCE_MS", "300");
    mac.mood("hang", "list");
    doctor(&mac).exits(1).counts(1, 0).has(
        "job",
        "problem",
        "unknown (cannot run launchctl list",
        "log out and in again, and look once more",
    );
}

#[test]
fn the_job_of_the_bash_tool_and_the_tool_itself_are_told() {
    let center = center();
    let mut mac = healthy(&center);
    fs::write(mac.plist(), World::fixture("schedule/bash-tool.plist")).expect("written");
    let old = mac.world.program("aws-sso-refresh", "aws sso login");
    mac.own();
    doctor(&mac).exits(1).counts(1, 0).has(
        "job",
        "problem",
        "another tool's job (/usr/local/bin/",
        INSTALL,
    );

    let path = format!(
        "{}/bin:{}/.local/bin:/usr/bin:/bin",
        mac.world.home.display(),
        mac.world.home.display()
    );
    mac.world.set("PATH", &path);
    let fix = format!("rm {old}");
    doctor(&mac).has("old tool", "warning", "a shell runs ", &fix);
    let path = format!(
        "{}/.local/bin:{}/bin:/usr/bin:/bin",
        mac.world.home.display(),
        mac.world.home.display()
    );
    mac.world.set("PATH", &path);
    doctor(&mac)
        .has(
            "old tool",
            "warning",
            "is the tool that this one replaces",
            &fix,
        )
        .has("command", "ok", ".local/bin/aws-sso-refresh", "");

    mac.world
        .program("aws-sso-refresh", "exec .local/bin/aws-sso-refresh \"$@\"");
    mac.own();
    let path = format!("{}/bin:/usr/bin:/bin", mac.world.home.display());
    mac.world.set("PATH", &path);
    doctor(&mac).has(
        "command",
        "notChecked",
        "a script, and that was not run here",
        "",
    );
}

#[test]
fn a_program_that_is_gone_or_another_one_is_told() {
    let center = center();
    let mut mac = healthy(&center);
    let other = mac.world.home.join("other");
    fs::create_dir(&other).expect("made");
    copy(&mac.program(), &other);
    mac.own();
    let path = format!(
        "{}:{}/.local/bin:/usr/bin:/bin",
        other.display(),
        mac.world.home.display()
    );
    let path = format!("{path}:{}/tools", mac.world.home.display());
    mac.world.set("PATH", &path);
    let fix = format!("rm {}", other.join("aws-sso-refresh").display());
    doctor(&mac)
        .exits(0)
        .counts(0, 1)
        .has("command", "warning", "a shell runs ", &fix);
    let ran = mac.run_of(&other.join("aws-sso-refresh"), &["doctor", "--json"]);
    Found::read(ran.exit, &ran.stdout)
        .counts(0, 2)
        .has("program", "warning", "is another one than this", INSTALL)
        .has(
            "command",
            "warning",
            "is another copy than this",
            &format!("rm {}", mac.program().display()),
        );

    fs::remove_file(mac.program()).expect("removed");
    let ran = mac.run_of(&other.join("aws-sso-refresh"), &["doctor", "--json"]);
    Found::read(ran.exit, &ran.stdout)
        .exits(1)
        .counts(1, 0)
        .has("job", "problem", "its program is gone from ", INSTALL);
    mac.world.set(
        "PATH",
        &format!("{}/tools:/usr/bin:/bin", mac.world.home.display()),
    );
    let ran = mac.run_of(&other.join("aws-sso-refresh"), &["doctor", "--json"]);
    Found::read(ran.exit, &ran.stdout).has(
        "command",
        "warning",
        "a shell does not find aws-sso-refresh",
        &format!("export PATH={}:\"$PATH\"", other.display()),
    );
}

#[test]
fn a_build_of_cargo_is_to_be_copied_first() {
    let mac = Mac::new();
    let build = mac.world.home.join("target/debug");
    fs::create_dir_all(&build).expect("made");
    copy(&mac.program(), &build);
    fs::remove_file(mac.program()).expect("removed");
    mac.own();
    let ran = mac.run_of(&build.join("aws-sso-refresh"), &["doctor", "--json"]);
    Found::read(ran.exit, &ran.stdout).has(
        "program",
        "warning",
        "it is cargo's build, which `cargo clean` removes",
        "copy it to ~/.local/bin/aws-sso-refresh and run `install` with that copy",
    );
}

#[test]
fn settings_that_differ_from_the_jobs_are_named() {
    let center = center();
    let mut mac = healthy(&center);
    mac.world.set("AWS_SSO_REFRESH_INTERVAL", "5");
    mac.world.set("https_proxy", "http://ada:geheim@proxy:8080");
    mac.world.unset("AWS_ENDPOINT_URL_SSO");
    let there = center.endpoint();
    doctor(&mac)
        .exits(0)
        .counts(0, 3)
        .has(
            "AWS_SSO_REFRESH_INTERVAL",
            "warning",
            "5 here, not set in the job",
            INSTALL,
        )
        .has(
            "https_proxy",
            "warning",
            "'http://(hidden)@proxy:8080' here, not set in the job",
            INSTALL,
        )
        .has(
            "AWS_ENDPOINT_URL_SSO",
            "warning",
            &format!("not set here, {there} in the job"),
            INSTALL,
        )
        .has("proxy", "ok", "none is set", ""); // as the job sees it

    fs::write(
        mac.world.data().join("job.env"),
        "AWS_SSO_REFRESH_INTERVAL=500\nwhat\n",
    )
    .expect("written");
    mac.own();
    doctor(&mac)
        .exits(2)
        .has(
            "settings",
            "problem",
            "the job cannot use AWS_SSO_REFRESH_INTERVAL=500",
            INSTALL,
        )
        .has("settings", "problem", "job.env: ignored line 2", INSTALL);
    fs::remove_file(mac.world.data().join("job.env")).expect("removed");
    doctor(&mac).has(
        "AWS_SSO_REFRESH_INTERVAL",
        "warning",
        "5 here, not set in the job",
        INSTALL,
    );
}

#[test]
fn a_check_that_failed_or_is_long_ago_is_told() {
    let center = center();
    let mac = healthy(&center);
    let log = mac.world.data().join("refresh.log");
    let check = |seconds: i64, exit: i32| {
        let at = in_seconds(seconds);
        let line = format!("{at} run=scheduled sessions=1 refreshed=0 exit={exit} ms=1\n");
        fs::write(&log, line).expect("written");
        doctor(&mac)
    };
    check(-60, 1).exits(0).counts(0, 1).has(
        "last check",
        "warning",
        "failed; see aws-sso-refresh logs",
        "aws-sso-refresh logs",
    );
    check(-19 * 60, 0).exits(0).counts(0, 0);
    check(-21 * 60, 0).exits(0).counts(0, 1).has(
        "last check",
        "warning",
        "21m ago: this machine slept, or the job does not run",
        "look again in 10m; where it stays so, run `aws-sso-refresh install`",
    );

    // A job that has never got as far as its log; until its second check is due that says nothing.
    fs::remove_file(&log).expect("removed");
    doctor(&mac).exits(0).counts(0, 0);
    let installed = SystemTime::now() - Duration::from_secs(21 * 60);
    let plist = fs::File::options().append(true).open(mac.plist());
    plist
        .and_then(|plist| plist.set_modified(installed))
        .expect("it is older now");
    doctor(&mac).exits(0).counts(0, 1).has(
        "last check",
        "warning",
        "none is in the log, and the job was installed 21m ago",
        "look again in 10m; where it stays so, run `aws-sso-refresh install`",
    );
}

#[test]
fn how_a_person_is_reached_is_told() {
    let center = center();
    let mut mac = healthy(&center);
    mac.world.set("AWS_SSO_REFRESH_LOGIN", "off");
    mac.run(&["install"]).exits(0);
    doctor(&mac)
        .exits(0)
        .has("sign-in", "notChecked", "off, so nobody is asked", "");
    mac.world.set("AWS_SSO_REFRESH_LOGIN", "notify");
    mac.run(&["install"]).exits(0);
    doctor(&mac)
        .exits(0)
        .has("sign-in", "ok", "by notification", "");

    if !cfg!(target_os = "macos") {
        mac.world.set("PATH", "/usr/bin:/bin");
        doctor(&mac).has("notifications", "notChecked", "there is no osascript", "");
    }

    let mut world = World::new();
    world.set("AWS_SSO_REFRESH_SYSTEM", "linux");
    world.set("XDG_RUNTIME_DIR", "/nonexistent");
    world.set("SSH_CONNECTION", "10.0.0.1 22 10.0.0.2 22");
    world.set("AWS_SSO_REFRESH_INTERVAL", "25");
    let program = world.home.join(".local/bin");
    fs::create_dir_all(&program).expect("made");
    copy(&mac.program(), &program);
    world.set("PATH", &program.display().to_string());
    let ran = world
        .command_of(&program.join("aws-sso-refresh"), &["doctor", "--json"])
        .output();
    let ran = ran.expect("it runs");
    let found = Found::read(ran.status.code(), &String::from_utf8_lossy(&ran.stdout));
    // A crontab does not end with the login.
    assert!(found.list.iter().all(|finding| finding.subject != "logout"));
    found
        .has("sign-in", "notChecked", "no browser here", "")
        .has(
            "scheduler",
            "problem",
            "this ",
            &format!(
                "add this line with `crontab -e`:\n\n   0,25,50 * * * * {}/aws-sso-refresh refresh --scheduled",
                program.display()
            ),
        );
    world.run(&["refresh", "--scheduled"]).exits(0); // as the crontab would
    let ran = world.run(&["doctor", "--json"]);
    Found::read(ran.exit, &ran.stdout).has(
        "scheduler",
        "notChecked",
        "; something else starts the checks",
        "",
    );
}

#[test]
fn nothing_that_is_shown_is_a_secret() {
    let center = center();
    let mut mac = healthy(&center);
    let secrets = ["accessToken", "refreshToken", "clientId", "clientSecret"]
        .map(|member| mac.world.token("work", member));
    mac.world.sessions(&["work", "half"]);
    let config = fs::read_to_string(mac.world.home.join(".aws/config")).expect("it is there");
    mac.world.config(&format!(
        "{config}[sso-session wrong]\nsso_start_url = http://ada:geheim@x\nsso_region = x\n  secret = geheim\n\
         [profile old]\nsso_start_url = https://ada:geheim@old.example/start\n[profile old]\nendpoint_url = https://ada:geheim@e\n"
    ));
    let half = mac.world.token_text("work");
    mac.world.write_token("half", &half[..half.len() - 5]);
    for (name, value) in [
        ("https_proxy", "http://ada:geheim@127.0.0.1:1"),
        ("HTTP_PROXY", "ada:geheim@127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_SSO", "https://ada:geheim@portal.example"),
        ("AWS_PROFILE", "old"),
    ] {
        mac.world.set(name, value);
    }
    mac.own();
    assert!(center.end_session(&secrets[1]));
    mac.run(&["refresh", "--force"]);
    let mut shown = String::new();
    for _ in 0..2 {
        for arguments in [&["doctor"][..], &["doctor", "--json"]] {
            let ran = mac.run(arguments);
            shown += &ran.stdout;
            shown += &ran.stderr;
        }
        mac.run(&["install"]);
    }
    assert!(
        shown.contains("(hidden)") && shown.contains("half"),
        "{shown}"
    );
    for secret in secrets.iter().map(String::as_str).chain(["geheim"]) {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let mac = Mac::new();
    mac.world.config("[sso-session \"a\u{1b}[2Jb\"]\nsso_start_url = https://x.awsapps.com/start\nsso_region = eu-west-1\n");
    mac.own();
    let ran = mac.run(&["doctor"]);
    assert!(ran.stdout.contains("a\u{fffd}[2Jb"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
}
