//! The embedded Identity Center as a program: serves until its standard input ends.
//!
//! Prints one line of JSON with `endpoint`, `ca` and, with `--proxy-region`, `proxy`.

#[path = "mod.rs"]
mod identity_center;

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;
use std::{env, fs};

use identity_center::{Consent, IdentityCenter, Options, Proxy, ProxyOptions, RefreshTokens};
use tinyjson::JsonValue;

const USAGE: &str = "\
usage: identity-center [--port N] [--ca FILE] [--token-lifetime SECS] [--session-lifetime SECS]
                       [--consent ask|allow|deny] [--refresh-tokens rotate|keep|omit|null]
                       [--server-delay MS] [--plain] [--proxy-region REGION]

  --ca FILE               write the certificate of the CA to trust here
  --consent               what the person in the browser does (default: ask)
  --refresh-tokens        what a refresh gives in place of the refresh token it was given (default: rotate)
  --server-delay MS       every answer waits for so long
  --plain                 HTTP without TLS
  --proxy-region REGION   also serve as AWS's hosts of this region, behind a CONNECT proxy
";

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = Options {
        control: true,
        ..Options::default()
    };
    let (mut ca, mut region) = (None, None);
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--port" => options.port = value()?.parse()?,
            "--ca" => ca = Some(value()?),
            "--token-lifetime" => options.token_lifetime = Duration::from_secs(value()?.parse()?),
            "--session-lifetime" => {
                options.session_lifetime = Duration::from_secs(value()?.parse()?)
            }
            "--consent" => options.consent = consent(&value()?)?,
            "--refresh-tokens" => options.refresh_tokens = refresh_tokens(&value()?)?,
            "--server-delay" => options.server_delay = Duration::from_millis(value()?.parse()?),
            "--plain" => options.plain = true,
            "--proxy-region" => region = Some(value()?),
            "--help" | "-h" => return Ok(io::stdout().write_all(USAGE.as_bytes())?),
            _ => return Err(format!("unknown argument {word}\n{USAGE}").into()),
        }
    }

    let hosts = |region: &String| {
        vec![
            format!("oidc.{region}.amazonaws.com"),
            format!("portal.sso.{region}.amazonaws.com"),
        ]
    };
    options.extra_names = region.as_ref().map(hosts).unwrap_or_default();
    let names = options.extra_names.clone();
    let center = IdentityCenter::start(options);
    if let Some(path) = &ca {
        fs::write(path, center.ca_pem()).map_err(|err| format!("cannot write {path}: {err}"))?;
    }
    let local = format!("127.0.0.1:{}", center.port());
    let map = names
        .iter()
        .map(|name| (format!("{name}:443"), local.clone()))
        .collect();
    let proxy = region.map(|_| {
        Proxy::start(ProxyOptions {
            map,
            credentials: None,
        })
    });

    let text = |value: String| JsonValue::String(value).stringify();
    let endpoint = text(center.endpoint())?;
    let ca = ca.map_or(Ok("null".to_string()), text)?;
    let proxy_url = proxy
        .as_ref()
        .map_or(Ok("null".to_string()), |proxy| text(proxy.url()))?;
    println!(r#"{{"endpoint": {endpoint}, "ca": {ca}, "proxy": {proxy_url}}}"#);
    io::stdout().flush()?;

    // Nothing is read from it: its end says that whoever started this program is gone.
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn refresh_tokens(word: &str) -> Result<RefreshTokens, String> {
    match word {
        "rotate" => Ok(RefreshTokens::Rotate),
        "keep" => Ok(RefreshTokens::Keep),
        "omit" => Ok(RefreshTokens::Omit),
        "null" => Ok(RefreshTokens::Null),
        _ => Err(format!(
            "--refresh-tokens is rotate, keep, omit or null, not {word}"
        )),
    }
}

fn consent(word: &str) -> Result<Consent, String> {
    match word {
        "ask" => Ok(Consent::Ask),
        "allow" => Ok(Consent::Allow),
        "deny" => Ok(Consent::Deny),
        _ => Err(format!("--consent is ask, allow or deny, not {word}")),
    }
}
