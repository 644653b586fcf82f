//! Any text as proxy and NO_PROXY settings: choosing ends, and no password is repeated in an error.

#![no_main]

#[path = "../../../src/error.rs"]
mod error;
#[path = "../../../src/format/mod.rs"]
mod format;
#[path = "../../../src/sso/mod.rs"]
mod sso;

use format::proxy::{ProxySettings, choose};
use format::url::Url;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: (&str, &str, &str)| {
    let (proxy, no_proxy, host) = text;
    let settings = ProxySettings::read(|name| match name {
        "https_proxy" | "http_proxy" => Some(proxy.to_string()),
        "no_proxy" => Some(no_proxy.to_string()),
        _ => None,
    });
    for url in [
        format!("https://{host}/token"),
        "https://oidc.eu-west-1.amazonaws.com/token".to_string(),
    ] {
        let Ok(url) = Url::parse(&url) else { continue };
        match choose(&url, &settings) {
            Ok(Some(proxy)) => assert!(!proxy.url.host.is_empty()),
            Ok(None) => {}
            Err(unusable) => assert!(unusable.to_string().len() < 200),
        }
        if no_proxy == "*" {
            assert!(matches!(choose(&url, &settings), Ok(None)));
        }
    }
});
