//! The AWS config file, and the variables of this program.

use std::fmt::Display;

use crate::commands::doctor::Findings;
use crate::commands::install;
use crate::commands::survey::{self, ConfigFile};
use crate::format::url::Url;
use crate::sso::token;
use crate::system::env::{self, Env, Settings};

/// Tells which settings hold: the job's, where there is one; else this shell's, with the default for what is wrong.
pub fn report(env: &Env, of_job: Option<Settings>, findings: &mut Findings) -> Settings {
    findings.area = "config";
    let (here, wrong) = Settings::where_right(&|name| env.get(name));
    let settings = of_job.unwrap_or(here);
    for errors in [wrong, env::unreadable()] {
        for error in &errors {
            findings.fail("✗2 settings: {}\n{}", error);
        }
    }
    install::warn_of(env, &settings, &mut |told, fix| {
        findings.tell(
            "! settings: {}\n{}, then run `aws-sso-refresh install`",
            &[&told, &fix],
        );
    });
    match survey::read_config(env) {
        Err(error) => findings.fail("✗2 file: {}\n{}", &error),
        Ok(file) => {
            let is_named = env.get("AWS_CONFIG_FILE").is_some();
            judge_file(&file, file.path.exists(), is_named, findings);
            if let Some(told) = survey::vanished_profile(env, &file) {
                findings.tell(
                    "! profile: {}\n unset AWS_PROFILE AWS_DEFAULT_PROFILE",
                    &[&told],
                );
            }
            judge_content(&file, findings);
        }
    }
    settings
}

/// `is_named`: `AWS_CONFIG_FILE` names it.
fn judge_file(
    ConfigFile { path, config }: &ConfigFile,
    is_there: bool,
    is_named: bool,
    findings: &mut Findings,
) {
    let count = config.sessions.len();
    let is_old = !config.legacy_profiles.is_empty();
    let told = match is_named {
        _ if is_there && count > 0 => "✓ file: {}, sessions: {}",
        _ if is_there && is_old => {
            "✗2 file: {} has no sso-session: there is nothing to refresh\nadd the section below"
        }
        _ if is_there => {
            "✗2 file: {} has no sso-session: there is nothing to refresh\n aws configure sso"
        }
        true => "✗2 file: {} is not there\n unset AWS_CONFIG_FILE",
        false => "✗2 file: {} is not there\n aws configure sso",
    };
    findings.tell(told, &[&path.display(), &count]);
}

fn judge_content(ConfigFile { path, config }: &ConfigFile, findings: &mut Findings) {
    let path = path.display();
    for warning in &config.warnings {
        let consequence = match warning.refused_by_python {
            true => "; the AWS CLI refuses the whole file",
            false => "",
        };
        let parts: [&dyn Display; 4] = [&warning.line, &warning.text, &consequence, &warning.fix];
        findings.tell("! line {}: {}{}\n{}", &parts);
    }
    let mut taken: Vec<String> = Vec::new();
    for configured in &config.sessions {
        let (name, header) = (configured.name(), &configured.line);
        taken.push(name.to_string());
        match &configured.session {
            Err(wrong) => {
                let right = match wrong.start_url {
                    None => "sso_start_url = https://d-1234567890.awsapps.com/start",
                    Some(_) => "sso_region = eu-west-1",
                };
                findings.tell(
                    "✗2 {}: line {}: {}\nhave this line and no other like it below line {}, with what is right for your \
                     company:\n\n   {}",
                    &[&name, &wrong.mistake.line, &wrong.mistake.why, header, &right],
                );
            }
            Ok(session) if session.scopes.is_empty() => findings.tell(
                "! {}: no sso_registration_scopes: tokens of `aws sso login --use-device-code` and other tools cannot be \
                 refreshed\nadd below line {} of {}:\n\n   sso_registration_scopes = sso:account:access",
                &[&name, header, &path],
            ),
            Ok(_) => {}
        }
    }
    let profiles = &config.legacy_profiles;
    for (place, profile) in profiles.iter().enumerate() {
        // One session serves all of one start URL, so they are told of once.
        let is_same = |other: &str| token::is_same_start_url(other, &profile.start_url);
        let mut names = String::new();
        let mut is_told = false;
        for (other_place, other) in profiles.iter().enumerate() {
            if is_same(&other.start_url) {
                is_told |= other_place < place;
                names.push_str(if names.is_empty() { "" } else { ", " });
                names.push_str(&other.name);
            }
        }
        if is_told {
            continue;
        }
        let serving = config.sessions.iter().find_map(|configured| {
            let session = configured.session.as_ref().ok()?;
            is_same(&session.start_url).then_some(&session.name)
        });
        if let Some(name) = serving {
            let login = survey::sign_in_command(name);
            findings.tell(OLD_PROFILE, &[&names, name, &login]);
            continue;
        }
        // A URL that is none may hold anything, a password too.
        let (mut name, start_url) = match Url::parse(&profile.start_url) {
            Ok(url) => (url.host, profile.start_url.as_str()),
            Err(_) => ("sso".to_string(), "(as it stands there)"),
        };
        name.truncate(name.find('.').unwrap_or(name.len()));
        while taken.contains(&name) {
            name.push_str("-sso");
        }
        let region = profile.region.as_deref().unwrap_or("(your region)");
        let login = survey::sign_in_command(&name);
        findings.tell(
            OLD_PROFILE_ALONE,
            &[&names, &path, &name, &start_url, &region, &name, &login],
        );
        taken.push(name);
    }
}

const OLD_PROFILE: &str = "! old profiles: {}: no tool can renew the token of a profile with an sso_start_url of its own\n\
    have this in each profile, in place of its sso_start_url and sso_region:\n\n   sso_session = {}\n\nand run `{}`";

const OLD_PROFILE_ALONE: &str = "! old profiles: {}: no tool can renew the token of a profile with an sso_start_url of its own\n\
    add this to {}:\n\n   [sso-session {}]\n   sso_start_url = {}\n   sso_region = {}\n   \
    sso_registration_scopes = sso:account:access\n\n\
    have this in each profile, in place of its sso_start_url and sso_region:\n\n   sso_session = {}\n\nand run `{}`";
