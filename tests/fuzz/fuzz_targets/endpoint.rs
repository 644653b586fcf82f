//! Any text as region and endpoint settings: no host but the intended one comes of it.

#![no_main]

#[path = "../../../src/error.rs"]
mod error;
#[path = "../../../src/format/mod.rs"]
mod format;
#[path = "../../../src/sso/mod.rs"]
mod sso;

use format::url::Scheme;
use libfuzzer_sys::fuzz_target;
use sso::config::{Profile, Region, Setting};
use sso::endpoint::{Overrides, Service, resolve};

fuzz_target!(|text: (&str, &str, &str)| {
    let (region, endpoint, fips) = text;
    let profile = Profile::default();
    let none = Overrides {
        oidc_env: None,
        portal_env: None,
        global_env: None,
        ignore_env: None,
        fips_env: Some(fips),
        dualstack_env: Some(fips),
        profile: &profile,
        config_path: "config",
    };
    let Some(region) = Region::parse(region) else {
        return;
    };
    const SUFFIXES: [&str; 16] = [
        "amazonaws.com",
        "amazonaws.com.cn",
        "amazonaws.eu",
        "c2s.ic.gov",
        "sc2s.sgov.gov",
        "cloud.adc-e.uk",
        "csp.hci.ic.gov",
        "api.aws",
        "api.amazonwebservices.com.cn",
        "api.amazonwebservices.eu",
        "api.aws.ic.gov",
        "api.aws.scloud",
        "api.cloud-aws.adc-e.uk",
        "api.aws.hci.ic.gov",
        "amazonaws.com",
        "api.aws",
    ];
    for service in [Service::Oidc, Service::Portal] {
        // A pseudo region of nothing but FIPS is refused.
        let Ok(found) = resolve(service, &region, &none) else {
            continue;
        };
        assert!(
            SUFFIXES
                .iter()
                .any(|suffix| found.url.host.ends_with(&format!(".{suffix}"))),
            "{}",
            found.url
        );
        assert_eq!((found.url.scheme, found.url.port), (Scheme::Https, 443));
        let profile = Profile {
            endpoint_url: Some(Setting {
                value: endpoint.to_string(),
                line: 1,
            }),
            ..Profile::default()
        };
        let custom = Overrides {
            profile: &profile,
            ..none
        };
        if let Ok(found) = resolve(service, &region, &custom) {
            assert!(
                found.url.scheme == Scheme::Https || found.url.is_loopback(),
                "{}",
                found.url
            );
        }
    }
});
