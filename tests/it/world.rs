//! A home folder of its own, the program run in it, and what a test wants to know afterwards.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use tinyjson::JsonValue;

use crate::identity_center::{Consent, Granted, IdentityCenter, Options, SignIn};

pub const START_URL: &str = "https://d-1234567890.awsapps.com/start";
pub const REGION: &str = "eu-west-1";

/// A home folder that goes when the test does.
pub struct World {
    /// As the test reaches it.
    pub home: PathBuf,
    /// As the program does.
    own_home: PathBuf,
    namespace: Option<Namespace>,
    variables: Vec<(String, OsString)>,
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub exit: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    pub fn new() -> World {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "asr-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::SeqCst)
        );
        let home = std::env::temp_dir().join(name);
        fs::create_dir_all(home.join(".aws")).expect("a new home");
        let home = fs::canonicalize(&home).expect("it exists");
        World {
            own_home: home.clone(),
            home,
            namespace: None,
            variables: Vec::new(),
        }
    }

    /// A home whose requests go to `center`.
    pub fn with(center: &IdentityCenter) -> World {
        let mut world = World::new();
        world.connect(center);
        world
    }

    pub fn connect(&mut self, center: &IdentityCenter) {
        let ca = self.home.join("ca.pem");
        fs::write(&ca, center.ca_pem()).expect("written");
        self.set("AWS_CA_BUNDLE", &ca.to_string_lossy());
        self.set("AWS_ENDPOINT_URL_SSO_OIDC", &center.endpoint());
        self.set("AWS_ENDPOINT_URL_SSO", &center.endpoint());
    }

    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    /// One session, `work`, and a browser that goes where it is sent and keeps nothing.
    pub fn with_browser(center: &IdentityCenter) -> World {
        let mut world = World::with(center);
        world.sessions(&["work"]);
        world.browser("curl -sSL --cacert ca.pem -o /dev/null \"$1\"");
        world
    }

    /// From now on another folder is the home; gives the one that was.
    pub fn move_home(&mut self, home: PathBuf) -> PathBuf {
        self.own_home.clone_from(&home);
        std::mem::replace(&mut self.home, home)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.set_raw(name, OsStr::new(value));
    }

    /// As `set`, also to what is no text.
    pub fn set_raw(&mut self, name: &str, value: &OsStr) {
        self.unset(name);
        self.variables
            .push((name.to_string(), value.to_os_string()));
    }

    pub fn config(&self, text: &str) {
        fs::write(self.home.join(".aws/config"), text).expect("written");
    }

    /// A config with these sessions, all of one start URL and region.
    pub fn sessions(&self, names: &[&str]) {
        let sections: Vec<String> = names
            .iter()
            .map(|name| {
                format!(
                    "[sso-session {name}]\nsso_start_url = {START_URL}\nsso_region = {REGION}\n\
                     sso_registration_scopes = sso:account:access\n"
                )
            })
            .collect();
        self.config(&sections.join("\n"));
    }

    pub fn cache(&self) -> PathBuf {
        self.home.join(".aws/sso/cache")
    }

    pub fn data(&self) -> PathBuf {
        self.home.join(".local/share/aws-sso-refresh")
    }

    pub fn token_path(&self, name: &str) -> PathBuf {
        self.cache().join(format!(
            "{}.json",
            hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, name.as_bytes()).as_ref())
        ))
    }

    /// Where the program makes room before it spends `refresh_token`.
    pub fn room_path(&self, name: &str, refresh_token: &str) -> PathBuf {
        let fingerprint = fingerprint(refresh_token);
        self.token_path(name)
            .with_extension(format!("{fingerprint}.new"))
    }

    pub fn write_token(&self, name: &str, text: &str) {
        fs::create_dir_all(self.cache()).expect("made");
        fs::write(self.token_path(name), text).expect("written");
        fs::set_permissions(self.token_path(name), fs::Permissions::from_mode(0o600)).expect("set");
    }

    /// Signs in at `center` as a person would, and leaves `minutes` on the token.
    pub fn sign_in(&self, center: &IdentityCenter, name: &str, minutes: i64) -> Granted {
        let granted = center.sign_in(&SignIn {
            start_url: START_URL.to_string(),
            ..SignIn::default()
        });
        self.write_token(name, &token_text(&granted, minutes * 60));
        granted
    }

    pub fn token_text(&self, name: &str) -> String {
        fs::read_to_string(self.token_path(name)).expect("there is a token file")
    }

    /// A string member of a token file.
    pub fn token(&self, name: &str, member: &str) -> String {
        member_of(&self.token_text(name), member).expect("the member is there")
    }

    /// Everything in the cache folder, sorted.
    pub fn cache_names(&self) -> Vec<String> {
        names_in(&self.cache())
    }

    /// What is remembered of a session, as JSON.
    pub fn history(&self, name: &str) -> String {
        let text = fs::read_to_string(self.data().join("sessions.json")).unwrap_or_default();
        let object: JsonValue = text.parse().expect("JSON");
        object[name].stringify().expect("JSON")
    }

    /// Makes a script of these lines the person's browser; `$1` is the address.
    pub fn browser(&mut self, lines: &str) {
        let path = self.program("browser", lines);
        self.set("BROWSER", &path);
    }

    /// Looks up programs in the home's `bin` first.
    pub fn prefer_bin(&mut self) {
        let bin = self.home.join("bin");
        self.set("PATH", &format!("{}:{}", bin.display(), path()));
    }

    /// A program of these lines of shell in the home's `bin`; says where.
    pub fn program(&self, name: &str, lines: &str) -> String {
        let path = self.home.join("bin").join(name);
        fs::create_dir_all(self.home.join("bin")).expect("made");
        let text = format!("#!/bin/sh\ncd '{}'\n{lines}\n", self.home.display());
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        path.to_string_lossy().into_owned()
    }

    /// A copy of the program in this home, which every user may run. `cp` makes it: a file that this process had open to
    /// write could not be run as long as a child forked meanwhile holds it open as well.
    pub fn own_program(&self) -> PathBuf {
        let path = self.home.join("program");
        let copied = Command::new("cp").arg(program()).arg(&path).status();
        assert!(copied.expect("cp runs").success());
        for path in [&self.home, &path] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
        }
        path
    }

    /// The text of a file in the home, as soon as it is there.
    pub fn wait_for(&self, name: &str) -> String {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(text) = fs::read_to_string(self.home.join(name)) {
                return text;
            }
            assert!(Instant::now() < until, "{name} never came");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Goes to the authorization page and presses a button; what comes of it is kept in `page`.
    pub fn visit_as_person(&self, url: &str, decision: &str) {
        let url = url.trim();
        let origin = url.split("/authorize").next().unwrap_or_default();
        let script = format!(
            "request=$(curl -sS --cacert ca.pem '{url}' | sed -n 's/.*name=\"request\" value=\"\\([^\"]*\\)\".*/\\1/p') && \
             curl -sSL --cacert ca.pem -o page -d \"request=$request&decision={decision}\" {origin}/authorize"
        );
        let status = Command::new("sh")
            .args(["-c", &script])
            .current_dir(&self.home)
            .status();
        assert!(status.expect("sh runs").success(), "{script}");
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.data().join("refresh.log")).unwrap_or_default()
    }

    /// The program, ready to run in this home with nothing of the test's own environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&program(), arguments)
    }

    /// As `command`, with the program from another place.
    pub fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = match &self.namespace {
            None => Command::new(program),
            Some(namespace) => namespace.command(program),
        };
        command
            .args(arguments)
            .env_clear()
            .env("HOME", &self.own_home)
            .env("PATH", path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .current_dir(&self.own_home);
        command
    }

    /// From now on the program lives where these lines of shell have mounted something, with the home as `$1`; nobody
    /// else sees it. For whoever `can_mount`.
    pub fn mount(&mut self, lines: &str) {
        let namespace = Namespace::new(lines, &self.own_home);
        self.home = namespace.path(&self.own_home);
        self.namespace = Some(namespace);
    }

    /// Puts a folder of the home on a disk of its own, with what is in it.
    pub fn mount_own_disk(&mut self, folder: &str, size: &str) {
        self.mount(&format!(
            "at=\"$1/{folder}\"; cp -a \"$at\" \"$1.copy\"; mount -t tmpfs -o size={size},mode=700 tmpfs \"$at\"\n\
             cp -a \"$1.copy/.\" \"$at\"; rm -r \"$1.copy\""
        ));
    }

    /// Runs these lines of shell where the program lives, with the home as `$1`.
    pub fn sh(&self, lines: &str) {
        let mut command = self.command_of(Path::new("sh"), &["-c", lines, "sh"]);
        let output = command.arg(&self.own_home).output().expect("sh runs");
        assert!(output.status.success(), "{lines}: {output:?}");
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("the program runs"))
    }

    /// As `run`, of a run that may not take longer: `None` where it did, and was killed.
    pub fn run_within(&self, arguments: &[&str], limit: Duration) -> Option<Ran> {
        within(self.command(arguments), limit)
    }

    /// As `run`; says too how much memory it took at most, in kB, where there is GNU's `time` to tell.
    pub fn run_measured(&self, arguments: &[&str]) -> (Ran, Option<u64>) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !can_measure() {
            return (self.run(arguments), None);
        }
        let file = format!("memory-{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let file = self.home.join(file);
        let program = program();
        let mut command = self.command_of(Path::new("/usr/bin/time"), &["-f", "%M", "-o"]);
        command.arg(&file).arg(program).args(arguments);
        let ran = Ran::of(command.output().expect("time runs"));
        let told = fs::read_to_string(&file).expect("time tells");
        let memory = told.lines().last().and_then(|line| line.parse().ok());
        (ran, Some(memory.expect("a number")))
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the program runs")
    }

    /// Runs the program, which dies when it comes to the first step of that name.
    pub fn die_at(&mut self, step: &str, arguments: &[&str]) {
        self.set("AWS_SSO_REFRESH_STEP", &format!("{step}:abort"));
        let ran = self.run(arguments);
        self.unset("AWS_SSO_REFRESH_STEP");
        assert!(ran.stderr.contains(step) && ran.exit.is_none(), "{ran:?}");
    }

    /// Copies a fixture into this home.
    pub fn fixture(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.namespace.take());
        let _ = fs::remove_dir_all(&self.own_home);
    }
}

/// Mounts of a test's own, and the process that keeps them there.
struct Namespace(Child);

impl Namespace {
    fn new(lines: &str, home: &Path) -> Namespace {
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            .arg(format!("set -e\n{lines}\necho ready; exec cat"))
            .arg("sh")
            .arg(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut told = [0; 6];
        let output = holder.stdout.as_mut().expect("it is piped");
        output.read_exact(&mut told).expect("it could be mounted");
        Namespace(holder)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.0.id()))
            .arg(program);
        command
    }

    /// Where a path of the namespace is seen from outside.
    fn path(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.0.id()));
        root.join(path.strip_prefix("/").expect("an absolute path"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command that may not take longer: `None` where it did, and was killed.
pub fn within(mut command: Command, limit: Duration) -> Option<Ran> {
    fn all_of(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
        let mut pipe = pipe.expect("it is piped");
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            bytes
        })
    }
    let mut child = command.spawn().expect("the program runs");
    let (stdout, stderr) = (all_of(child.stdout.take()), all_of(child.stderr.take()));
    let until = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be asked") {
            break status;
        }
        if Instant::now() > until {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().expect("nobody panics"));
    Some(Ran::of(Output {
        status,
        stdout,
        stderr,
    }))
}

/// Whether this test may mount file systems of its own; says so loudly where it may not.
pub fn can_mount(test: &str) -> bool {
    let tried = Command::new("unshare")
        .args(["--mount", "nsenter", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let can = tried.is_ok_and(|status| status.success());
    if !can {
        skipped(&format!(
            "{test}: this user may not mount file systems (needs root, unshare and nsenter)"
        ));
    }
    can
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        Ran {
            exit: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn exits(self, expected: i32) -> Ran {
        assert_eq!(
            self.exit,
            Some(expected),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    #[track_caller]
    pub fn says(self, part: &str) -> Ran {
        assert!(
            self.stdout.contains(part),
            "no {part:?} in stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    #[track_caller]
    pub fn complains(self, part: &str) -> Ran {
        assert!(
            self.stderr.contains(part),
            "no {part:?} in stderr:\n{}\nstdout:\n{}",
            self.stderr,
            self.stdout
        );
        self
    }

    #[track_caller]
    pub fn stays_quiet(self) -> Ran {
        assert_eq!((self.stdout.as_str(), self.stderr.as_str()), ("", ""));
        self
    }
}

/// Where programs are looked up: the machine's folders, but for its desktop.
pub fn path() -> String {
    let none = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/no-desktop");
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", none.display())
}

/// Says it past the test harness, which swallows what a passing test prints.
pub fn skipped(what: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED {what}");
}

/// A command in a terminal of its own: what it is fed is typed there, and what it prints is the screen.
pub fn in_terminal(command: &Command) -> Command {
    const SPAWN: &str =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut python = Command::new("python3");
    python.args(["-c", SPAWN]);
    let mut python = inside(python, command);
    python.stdin(Stdio::piped()).stdout(Stdio::piped());
    python
}

/// A command that another one runs, named last, with its environment.
pub fn inside(mut outer: Command, command: &Command) -> Command {
    outer
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    outer
}

/// Whether a program is there; the test that goes without it is named.
pub fn is_installed(tool: &str, test: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {tool}")])
        .output()
        .expect("sh runs");
    if !found.status.success() {
        skipped(&format!("{test}: {tool} is not installed"));
    }
    found.status.success()
}

/// Whether Ctrl-C reaches what is started here: whoever runs tests behind `nohup` or `&` may have switched it off, and
/// every child inherits that.
pub fn can_interrupt(test: &str) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let is_ignored = ignored.is_some_and(|mask| mask & 0b10 != 0); // SIGINT is 2
    if is_ignored {
        skipped(&format!("{test}: SIGINT is ignored by whatever runs this"));
    }
    !is_ignored
}

/// Whether there is GNU's `time`.
pub fn can_measure() -> bool {
    let tried = Command::new("/usr/bin/time")
        .args(["-f", "%M", "true"])
        .output();
    tried.is_ok_and(|output| output.stderr.trim_ascii().iter().all(u8::is_ascii_digit))
}

/// The program under test: this build's, or the one that `TEST_PROGRAM` names, such as a release binary.
pub fn program() -> PathBuf {
    let named = std::env::var_os("TEST_PROGRAM").map(PathBuf::from);
    named.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_aws-sso-refresh")))
}

/// A token file as the AWS CLI writes it, with `seconds` left.
pub fn token_text(granted: &Granted, seconds: i64) -> String {
    format!(
        r#"{{"startUrl": "{START_URL}", "region": "{REGION}", "accessToken": "{}", "expiresAt": "{}", "clientId": "{}", "clientSecret": "{}", "registrationExpiresAt": "{}", "refreshToken": "{}"}}"#,
        granted.access_token,
        in_seconds(seconds),
        granted.client_id,
        granted.client_secret,
        utc(i64::try_from(granted.registration_expires_at).expect("a time of ours")),
        granted.refresh_token
    )
}

/// A string member of a JSON object.
pub fn member_of(text: &str, member: &str) -> Option<String> {
    let object: JsonValue = text.parse().ok()?;
    let members: std::collections::HashMap<String, JsonValue> = object.try_into().ok()?;
    members.get(member)?.clone().try_into().ok()
}

pub fn fingerprint(secret: &str) -> String {
    hex(&digest(&SHA256, secret.as_bytes()).as_ref()[..8])
}

pub fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is right");
    i64::try_from(since.as_secs()).expect("the clock is right")
}

/// The time `seconds` from now, as the cache writes it.
pub fn in_seconds(seconds: i64) -> String {
    utc(now() + seconds)
}

/// Days are counted one by one: slow, plain, and not the code under test.
fn utc(at: i64) -> String {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut days) = (1970, at.div_euclid(86_400));
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let second = at.rem_euclid(86_400);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{year:04}-{:02}-{:02}T{hour:02}:{minute:02}:{:02}Z",
        month + 1,
        days + 1,
        second % 60
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A running Identity Center with its usual options.
/// Where the person who comes to its page does this.
pub fn consenting(consent: Consent) -> IdentityCenter {
    IdentityCenter::start(Options {
        consent,
        ..Options::default()
    })
}

pub fn center() -> IdentityCenter {
    IdentityCenter::start(Options::default())
}
