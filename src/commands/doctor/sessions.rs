//! The sessions: what each needs, and whether its token file and the folders are as they should be.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::commands::doctor::Findings;
use crate::commands::output::shell_word;
use crate::commands::status;
use crate::commands::store::{Store, Stored};
use crate::commands::survey::{self, Known, Sighting, Survey};
use crate::format::text;
use crate::format::time::{Timestamp, span};
use crate::sso::plan::{self, Decision, SignIn};
use crate::sso::registration::ENDS_SOON;
use crate::sso::token::CachedToken;
use crate::system::env::Env;
use crate::system::journal::Journal;

struct Session<'a> {
    sighting: &'a Sighting,
    token: Option<Box<CachedToken>>,
    file: Place,
    /// What the log says of it last.
    log: Option<String>,
    /// The command that signs in.
    login: String,
}

/// A file or folder as far as its metadata go.
struct Place {
    path: PathBuf,
    /// The path as a word of a shell.
    word: String,
    /// Of what is there in the end.
    found: Option<Metadata>,
    /// Where a symbolic link leads.
    link: Option<PathBuf>,
}

impl Place {
    fn look(path: PathBuf) -> Place {
        Place {
            word: shell_word(&path.to_string_lossy()),
            found: fs::metadata(&path).ok(),
            link: fs::read_link(&path).ok(),
            path,
        }
    }
}

/// `survey`: `None` where the config cannot be read.
pub fn report(env: &Env, store: &Store, survey: Option<&Survey>, findings: &mut Findings) {
    findings.area = "sessions";
    let data = env.data_folder();
    let journal = Journal::new(&data);
    let owner = fs::metadata(&env.home).map_or(0, |home| home.uid());
    let sessions = match survey {
        None => {
            findings.tell(
                "- all: not looked at, because the config cannot be read",
                &[],
            );
            &[]
        }
        Some(survey) => survey.sessions.as_slice(),
    };
    for sighting in sessions {
        let name = sighting.name();
        let path = store.token_path(name);
        let session = Session {
            sighting,
            token: match store.read_once(&path) {
                Stored::Token { token } => Some(token),
                _ => None,
            },
            file: Place::look(path),
            log: journal.last_line_with(&format!(" {} ", text::word(name))),
            login: survey::sign_in_command(name),
        };
        judge_session(&session, owner, findings);
    }
    judge_cache(&Place::look(store.cache().to_path_buf()), owner, findings);
    let count = findings.list.len();
    for name in ["", "refresh.log", "sessions.json", "job.env"] {
        judge_place(&Place::look(data.join(name)), owner, "own files", findings);
    }
    if findings.list.len() == count {
        let told = match data.exists() {
            true => "✓ own files: {}, open to you alone",
            false => "- own files: {} is not there yet: nothing has run",
        };
        findings.tell(told, &[&data.display()]);
    }
}

fn judge_session(session: &Session, owner: u32, findings: &mut Findings) {
    let name = session.sighting.name();
    let (file, login) = (&session.file, &session.login);
    let word = &file.word;
    match session.sighting {
        Sighting::Misconfigured(_) => {
            findings.tell("- {}: not looked at: its section in the config is wrong", &[&name]);
        }
        Sighting::Unreadable { why, .. } => match (&file.found, &file.link) {
            _ if why.contains("permission") => findings.tell(
                "✗1 {}: its token file cannot be read: {}\n sudo chown \"$(id -u)\" {} && chmod 600 {}",
                &[&name, why, word, word],
            ),
            (None, Some(link)) => findings.tell(
                "✗1 {}: its token file is a link to {}, which is not there\n rm {} && {}",
                &[&name, &link.display(), word, login],
            ),
            (Some(found), _) if !found.is_file() => findings.tell(
                "✗1 {}: its token file cannot be read: {}\n mv {} {}.old && {}",
                &[&name, why, word, word, login],
            ),
            _ => findings.tell(
                "✗1 {}: its token file cannot be read, and only a sign-in overwrites it: {}\n {}",
                &[&name, why, login],
            ),
        },
        Sighting::Known(known) => {
            judge_state(session, known, findings);
            if let Some(token) = &session.token {
                judge_token(session, known, token, findings);
            }
            judge_place(file, owner, name, findings);
        }
    }
}

fn judge_state(session: &Session, known: &Known, findings: &mut Findings) {
    let name = known.session.name.as_str();
    let login = &session.login;
    let (_, told) = status::told_of_known(known);
    // As everywhere: what is remembered of the future was written under a wrong clock.
    let is_past = |at: &Timestamp| *at <= known.now;
    let (why, told) = match known.decision {
        Decision::SignedOut => {
            return findings.tell("- {}: signed out: nothing to refresh\n {}", &[&name, login]);
        }
        Decision::Dormant(_) => {
            let unused = span(known.remaining().saturating_neg());
            let told = "- {}: not used for {}, so nobody is asked to sign in\n {}";
            return findings.tell(told, &[&name, &unused, login]);
        }
        Decision::SignIn(why) => {
            let reason = survey::reason(why, known.token.as_ref());
            (why, format!("a sign-in is needed: {reason}"))
        }
        Decision::WaitForEnd { why, .. } => (why, told),
        Decision::Refresh | Decision::BackOff { .. } | Decision::Wait { .. } => {
            let is_over = known.remaining() <= 0;
            let failures = known.history.failures.max(1);
            let log = session.log.as_deref().unwrap_or("nothing");
            return findings.tell(
                match (is_over, known.history.last_failure.filter(is_past)) {
                    (false, None) => "✓ {}: {}",
                    (true, None) => "✗1 {}: {}\n aws-sso-refresh",
                    (false, Some(_)) => {
                        "! {}: {}; failures in a row: {}, the log says: {}\n aws-sso-refresh refresh --force"
                    }
                    (true, Some(_)) => {
                        "✗1 {}: {}; failures in a row: {}, the log says: {}\n aws-sso-refresh refresh --force"
                    }
                },
                &[&name, &told, &failures, &log],
            );
        }
    };
    let cause = match &session.token {
        Some(token) if why == SignIn::NotRenewable => match known.session.scopes.is_empty() {
            _ if token.text().contains("null") => {
                "; the .NET SDK writes null for what an answer lacks"
            }
            true => "; without sso_registration_scopes some tools get none",
            false => "; the AWS CLI and most SDKs drop what an answer lacks",
        },
        _ => "",
    };
    let last_asked = known.history.last_asked.filter(is_past);
    let asked = last_asked.map_or(String::new(), |at| {
        format!("; a person was asked {} ago", span(known.now.since(at)))
    });
    findings.tell("✗3 {}: {}{}{}\n {}", &[&name, &told, &cause, &asked, login]);
}

fn judge_token(session: &Session, known: &Known, token: &CachedToken, findings: &mut Findings) {
    let name = known.session.name.as_str();
    let login = &session.login;
    for oddity in &token.oddities {
        findings.tell("! {}: its token file: {}\n {}", &[&name, oddity, login]);
    }
    let region = known.session.region.as_str();
    let other = token.region.as_deref().unwrap_or(region);
    if other != region {
        let told = "! {}: its token is of region {}, and the config says {}\n\
                    write `sso_region = {}` in the config or, where that is wrong, run `{}`";
        findings.tell(told, &[&name, &other, &region, &other, login]);
    }
    let Ok(renewal) = &token.renewal else {
        return; // which has been said
    };
    if plan::is_from_a_wrong_clock(token.remaining(known.now), &known.history) {
        let told = "! {}: its token claims more time than the service grants: a wrong clock wrote it\n aws-sso-refresh";
        findings.tell(told, &[&name]);
    }
    // What other tools need, and what happens to a token without it.
    for (is_there, told) in [
        (
            renewal.registration_expires_at.is_some(),
            "! {}: its token file has no registrationExpiresAt: the AWS CLI and the Rust SDK do not renew it\n {}",
        ),
        (
            token.start_url.is_some(),
            "! {}: its token file has no startUrl: the Java SDK does not renew it\n {}",
        ),
        (
            token.region.is_some(),
            "! {}: its token file has no region: `aws sso logout` does not end its session\n {}",
        ),
    ] {
        if !is_there {
            findings.tell(told, &[&name, login]);
        }
    }
    let ends = renewal
        .registration_expires_at
        .map(|at| at.since(known.now));
    if let Some(left) = ends.filter(|left| (1..ENDS_SOON).contains(left)) {
        let told = "! {}: its client registration, and the session with it, ends in {}\n {}";
        findings.tell(told, &[&name, &span(left), login]);
    }
}

fn judge_cache(cache: &Place, owner: u32, findings: &mut Findings) {
    let told = match &cache.found {
        None => "- cache folder: {} is not there yet: the first sign-in makes it",
        Some(found) if !found.is_dir() => "✗1 cache folder: {} is no folder\n mv {} {}.old",
        Some(found) if owner != found.uid() => {
            "✗1 cache folder: {} belongs to another user\n sudo chown -R \"$(id -u)\" {}"
        }
        Some(found) if found.mode() & 0o700 != 0o700 => {
            "✗1 cache folder: {} is closed to you\n chmod u+rwx {}"
        }
        Some(found) if found.mode() & 0o022 != 0 => {
            "! cache folder: others may change what is in {}\n chmod go-w {}"
        }
        Some(_) => "✓ cache folder: {}, yours and writable",
    };
    findings.tell(told, &[&cache.path.display(), &cache.word, &cache.word]);
    judge_link(cache, "cache folder", findings);
}

/// A file or folder that holds what is nobody else's business.
fn judge_place(place: &Place, owner: u32, subject: &str, findings: &mut Findings) {
    let Some(found) = &place.found else {
        return;
    };
    let path = place.path.display();
    if owner != found.uid() {
        let told = "! {}: {} belongs to another user, as after a run under sudo\n sudo chown \"$(id -u)\" {}";
        findings.tell(told, &[&subject, &path, &place.word]);
    }
    if found.mode() & 0o077 != 0 {
        let mode = format!("{:o}", found.mode() & 0o777);
        let told = "! {}: others may look into {} (mode {})\n chmod go= {}";
        findings.tell(told, &[&subject, &path, &mode, &place.word]);
    }
    judge_link(place, subject, findings);
}

fn judge_link(place: &Place, subject: &str, findings: &mut Findings) {
    if let Some(link) = &place.link {
        findings.tell(
            "✓ {}: {} is a link to {}",
            &[&subject, &place.path.display(), &link.display()],
        );
    }
}
