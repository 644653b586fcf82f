//! The way to the service: which endpoint, through which proxy, trusting whom; whether it answers, and what its clock
//! says of this machine's.

use std::time::{Duration, Instant};

use crate::commands::doctor::Findings;
use crate::commands::output::Mark;
use crate::commands::store::Store;
use crate::commands::survey;
use crate::format::proxy;
use crate::format::time::{MINUTE, Timestamp, span};
use crate::format::url::Url;
use crate::sso::endpoint::{Endpoint, Service};
use crate::sso::oidc;
use crate::system::env::{self, Env, Settings};
use crate::system::https::{Client, Failure, Network};

/// The contract's limit for one request.
const REQUEST_MAX: Duration = Duration::from_secs(15);

/// A token is written with the time of this machine's clock: so far off it is worth a word, and so far it does harm.
/// Seconds.
const CLOCK_OFF: i64 = MINUTE;
const CLOCK_WRONG: i64 = 5 * MINUTE;

struct Answer {
    status: u16,
    /// It comes from the service, and not from something in between.
    is_from_service: bool,
    date: Option<Timestamp>,
    /// By this machine's clock.
    came_at: Timestamp,
}

/// Looks with the settings of `env`, and asks the endpoint of every session, each once.
pub fn report(
    env: &Env,
    settings: &Settings,
    store: &Store,
    now: Timestamp,
    findings: &mut Findings,
) {
    findings.area = "network";
    let Ok(survey) = survey::survey(env, settings, store, now, false) else {
        return findings.tell(
            "- all: not looked at, because the config cannot be read",
            &[],
        );
    };
    let client = Client::new(survey::network(env, &survey));
    let trust = client.trust();
    let mut endpoints = Vec::new();
    for sighting in &survey.sessions {
        let Ok(session) = sighting.session() else {
            continue;
        };
        let endpoint = survey::resolve(env, &survey, session, Service::Oidc);
        if endpoints.contains(&endpoint) {
            continue;
        }
        if endpoints.is_empty() {
            judge_trust(&client.network, trust.as_ref().err(), findings);
        }
        match &endpoint {
            Err(error) => findings.fail("✗2 service: {}\n{}", error),
            Ok(endpoint) => {
                let answer = trust.as_ref().ok().map(|_| ask(&client, &endpoint.url));
                judge_way(&client.network, endpoint, answer, findings);
            }
        }
        endpoints.push(endpoint);
    }
    if endpoints.is_empty() {
        findings.tell(
            "- all: not looked at, because there is no session to ask for",
            &[],
        );
    }
}

/// A request for a token that brings nothing to get one with: the service says so, and anything else something else.
fn ask(client: &Client, endpoint: &Url) -> Result<Answer, Failure> {
    let began = Instant::now();
    let request = oidc::post(endpoint, "/token", &[]);
    let response = client.send(&request, began + REQUEST_MAX)?;
    Ok(Answer {
        status: response.status,
        is_from_service: ["x-amzn-errortype", "x-amzn-requestid"]
            .iter()
            .any(|name| response.header(name).is_some()),
        date: response.header("date").and_then(Timestamp::of_http),
        came_at: env::now(),
    })
}

fn judge_trust(network: &Network, failure: Option<&Failure>, findings: &mut Findings) {
    match (failure, &network.ca_bundle) {
        (Some(failure), _) => findings.tell(
            "✗2 certificates: {}\nname a PEM file of certificates there, or unset it",
            &[&failure.why],
        ),
        (None, None) => findings.tell(
            "✓ certificates: those of public authorities are trusted",
            &[],
        ),
        (None, Some(bundle)) => findings.tell(
            "✓ certificates: only those of {} are trusted, from {}",
            &[&bundle.path.display(), &bundle.from],
        ),
    }
}

fn judge_way(
    network: &Network,
    endpoint: &Endpoint,
    outcome: Option<Result<Answer, Failure>>,
    findings: &mut Findings,
) {
    let url = &endpoint.url;
    let host = url.host_header();
    let from = findings.list.len();
    findings.tell("✓ service: {}, from {}", &[url, &endpoint.source]);
    let proxies = &network.proxies;
    match (
        proxy::choose(url, proxies),
        proxy::exempted_by(url, proxies),
    ) {
        (Err(_), _) => {} // which the answer says
        (Ok(Some(proxy)), _) => findings.tell("✓ proxy: {}, from {}", &[&proxy.url, &proxy.from]),
        (Ok(None), Some(variable)) => {
            findings.tell("✓ proxy: none, because {} exempts {}", &[&variable, &host]);
        }
        (Ok(None), None) => findings.tell("✓ proxy: none is set", &[]),
    }
    let answer = outcome.as_ref().and_then(|outcome| outcome.as_ref().ok());
    let answer = answer.filter(|answer| answer.is_from_service);
    if answer.is_none() {
        // What leads nowhere has not been found right.
        for fact in &mut findings.list[from..] {
            fact.mark = Mark::Idle;
        }
    }
    match &outcome {
        None => findings.tell("- answer: not asked for, because of the certificates", &[]),
        Some(Err(failure)) => {
            let hint = failure.hint.as_deref();
            let (told, usual) = match failure.is_misset {
                true => ("✗2 answer: {}\n{}", "correct that setting, or unset it"),
                false => ("✗1 answer: {}\n{}", OFFLINE),
            };
            findings.tell(told, &[&failure.why, &hint.unwrap_or(usual)]);
        }
        Some(Ok(answer)) => findings.tell(
            match answer.status {
                _ if !answer.is_from_service => {
                    "✗1 answer: something else answers for {} (status {}), such as the sign-in page of a network\n\
                     sign in to the network in a browser; where it wants none, ask who runs the proxy"
                }
                500.. => "! answer: {} is in trouble (status {})\nwait: the job tries again by itself",
                _ => "✓ answer: {} answers as it should",
            },
            &[&host, &answer.status],
        ),
    }
    judge_clock(answer, findings);
}

const OFFLINE: &str = "get this machine online; behind a company's proxy, set HTTPS_PROXY and run `aws-sso-refresh install`";

fn judge_clock(answer: Option<&Answer>, findings: &mut Findings) {
    let mend = match env::is_mac() {
        true => "turn on System Settings > General > Date & Time > Set time and date automatically",
        false => " timedatectl set-ntp true",
    };
    let off = answer.and_then(|answer| Some(answer.came_at.since(answer.date?)));
    let seconds = off.unwrap_or_default();
    let way = if seconds > 0 { "ahead of" } else { "behind" };
    findings.tell(
        match seconds.abs() {
            _ if off.is_none() => "- clock: not checked, because no answer has a time",
            0..=CLOCK_OFF => "✓ clock: agrees with that of the service",
            ..=CLOCK_WRONG => "! clock: {} {} the service\n{}",
            _ => "✗1 clock: {} {} the service, so tokens get wrong times\n{}",
        },
        &[&span(seconds.abs()), &way, &mend],
    );
}
