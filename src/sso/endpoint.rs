//! Where to send requests: region, partition, FIPS, dual stack and the user's own endpoints become a base URL.
//!
//! A custom endpoint beats FIPS and dual stack, as in botocore (`configprovider.py`, `ConfiguredEndpointProvider`). Plain
//! http goes to this machine only: the requests carry secrets.

use crate::error::Error;
use crate::format::url::{Scheme, Url};
use crate::sso::config::{Profile, Region, Setting, is_true};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Tokens and client registrations.
    Oidc,
    /// The access portal: logging out.
    Portal,
}

/// Everything that may move an endpoint. A variable that is set to nothing counts as unset.
#[derive(Debug, Clone, Copy)]
pub struct Overrides<'a> {
    /// `AWS_ENDPOINT_URL_SSO_OIDC`
    pub oidc_env: Option<&'a str>,
    /// `AWS_ENDPOINT_URL_SSO`
    pub portal_env: Option<&'a str>,
    /// `AWS_ENDPOINT_URL`; `None` in scheduled runs.
    pub global_env: Option<&'a str>,
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`
    pub ignore_env: Option<&'a str>,
    /// `AWS_USE_FIPS_ENDPOINT`
    pub fips_env: Option<&'a str>,
    /// `AWS_USE_DUALSTACK_ENDPOINT`
    pub dualstack_env: Option<&'a str>,
    pub profile: &'a Profile,
    /// The config file, as a message names it.
    pub config_path: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its path is a prefix for the paths of requests.
    pub url: Url,
    /// Where it comes from: a variable, a line of the config file, or the rules for the region.
    pub source: String,
    /// The user named this endpoint.
    pub explicit: bool,
}

/// # Errors
/// A custom endpoint that cannot be used, with the variable or line that names it. The URL itself is not repeated: it may
/// hold a password.
pub fn resolve(
    service: Service,
    region: &Region,
    overrides: &Overrides<'_>,
) -> Result<Endpoint, Error> {
    match custom(service, overrides)? {
        Some((text, source)) => explicit(text, source),
        None => regional(service, region, overrides),
    }
}

/// The first custom endpoint that applies, and where it stands.
fn custom<'a>(
    service: Service,
    overrides: &Overrides<'a>,
) -> Result<Option<(&'a str, String)>, Error> {
    let profile = overrides.profile;
    if env_or(
        overrides.ignore_env,
        profile.ignore_configured_endpoint_urls,
    ) {
        return Ok(None);
    }
    let (service_env, service_variable) = match service {
        Service::Oidc => (overrides.oidc_env, "AWS_ENDPOINT_URL_SSO_OIDC"),
        Service::Portal => (overrides.portal_env, "AWS_ENDPOINT_URL_SSO"),
    };
    let from_env = [
        (service_env, service_variable),
        (overrides.global_env, "AWS_ENDPOINT_URL"),
    ];
    for (value, variable) in from_env {
        if let Some(text) = value.filter(|text| !text.is_empty()) {
            return Ok(Some((text, variable.to_string())));
        }
    }
    let path = overrides.config_path;
    let in_section = match &profile.services {
        Some(services) if !services.found => {
            let what = format!("cannot use `services` in {path}, line {}", services.line);
            let why = format!("[services {}] is absent or empty", services.name);
            return Err(Error::usage(what, why));
        }
        Some(services) => match service {
            Service::Oidc => services.sso_oidc.as_ref(),
            Service::Portal => services.sso.as_ref(),
        },
        None => None,
    };
    let setting = in_section.or(profile.endpoint_url.as_ref());
    Ok(setting.map(|Setting { value, line }| (value.as_str(), format!("{path}, line {line}"))))
}

fn explicit(text: &str, source: String) -> Result<Endpoint, Error> {
    let what = format!("cannot use the endpoint in {source}");
    let url = Url::parse(text).map_err(|why| Error::usage(what.as_str(), why))?;
    if url.scheme == Scheme::Http && !url.is_loopback() {
        let why = "plain http to another machine would show it to everybody on the way";
        return Err(Error::usage(what, why).hint("begin it with https://"));
    }
    Ok(Endpoint {
        url,
        source,
        explicit: true,
    })
}

fn regional(
    service: Service,
    region: &Region,
    overrides: &Overrides<'_>,
) -> Result<Endpoint, Error> {
    let profile = overrides.profile;
    // `fips-us-east-1` and `us-east-1-fips` are pseudo regions (botocore `client.py`, `_normalize_fips_region`).
    let plain = region.as_str().replace("fips-", "").replace("-fips", "");
    let fips = plain != region.as_str() || env_or(overrides.fips_env, profile.use_fips_endpoint);
    let dual = env_or(overrides.dualstack_env, profile.use_dualstack_endpoint);
    let wrong = |why| Error::usage(format!("cannot use the region {region}"), why);
    let region = Region::parse(&plain).ok_or_else(|| wrong("nothing but FIPS is in it"))?;

    let partition = partition(region.as_str());
    let domain = match dual {
        false => partition.domain,
        true => partition.dual_stack_domain,
    };
    let name = match service {
        Service::Oidc => "oidc",
        Service::Portal => "portal.sso",
    };
    // In GovCloud the plain host is the FIPS host.
    let suffix = match fips && (dual || partition.id != "aws-us-gov") {
        false => "",
        true => "-fips",
    };
    let url = Url::parse(&format!("https://{name}{suffix}.{region}.{domain}")).map_err(wrong)?;
    let variant = match (fips, dual) {
        (false, false) => "",
        (true, false) => ", FIPS",
        (false, true) => ", dual stack",
        (true, true) => ", FIPS and dual stack",
    };
    Ok(Endpoint {
        url,
        source: format!("region {region}{variant}"),
        explicit: false,
    })
}

/// A variable beats the profile, also with `false`.
fn env_or(variable: Option<&str>, profile: bool) -> bool {
    variable
        .filter(|text| !text.is_empty())
        .map_or(profile, is_true)
}

struct Partition {
    id: &'static str,
    /// What its regions begin with; a word and a number follow, as in `us-` `east` `-1`.
    prefixes: &'static [&'static str],
    domain: &'static str,
    dual_stack_domain: &'static str,
}

/// The first row that fits counts, and a region that fits none is in the first: botocore `data/partitions.json`.
const PARTITIONS: [Partition; 8] = [
    Partition {
        id: "aws",
        prefixes: &[
            "us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-",
        ],
        domain: "amazonaws.com",
        dual_stack_domain: "api.aws",
    },
    Partition {
        id: "aws-cn",
        prefixes: &["cn-"],
        domain: "amazonaws.com.cn",
        dual_stack_domain: "api.amazonwebservices.com.cn",
    },
    Partition {
        id: "aws-eusc",
        prefixes: &["eusc-de-"],
        domain: "amazonaws.eu",
        dual_stack_domain: "api.amazonwebservices.eu",
    },
    Partition {
        id: "aws-iso",
        prefixes: &["us-iso-"],
        domain: "c2s.ic.gov",
        dual_stack_domain: "api.aws.ic.gov",
    },
    Partition {
        id: "aws-iso-b",
        prefixes: &["us-isob-"],
        domain: "sc2s.sgov.gov",
        dual_stack_domain: "api.aws.scloud",
    },
    Partition {
        id: "aws-iso-e",
        prefixes: &["eu-isoe-"],
        domain: "cloud.adc-e.uk",
        dual_stack_domain: "api.cloud-aws.adc-e.uk",
    },
    Partition {
        id: "aws-iso-f",
        prefixes: &["us-isof-"],
        domain: "csp.hci.ic.gov",
        dual_stack_domain: "api.aws.hci.ic.gov",
    },
    Partition {
        id: "aws-us-gov",
        prefixes: &["us-gov-"],
        domain: "amazonaws.com",
        dual_stack_domain: "api.aws",
    },
];

fn partition(region: &str) -> &'static Partition {
    let word_and_number = |rest: &str| {
        rest.split_once('-').is_some_and(|(word, number)| {
            !word.is_empty() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        })
    };
    let fits = |partition: &&Partition| {
        let mut prefixes = partition.prefixes.iter();
        region.strip_suffix("-global") == Some(partition.id)
            || prefixes.any(|prefix| region.strip_prefix(prefix).is_some_and(word_and_number))
    };
    PARTITIONS.iter().find(fits).unwrap_or(&PARTITIONS[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;
    use crate::sso::config;

    const NOTHING: Overrides<'_> = Overrides {
        oidc_env: None,
        portal_env: None,
        global_env: None,
        ignore_env: None,
        fips_env: None,
        dualstack_env: None,
        profile: &Profile {
            name: String::new(),
            found: false,
            endpoint_url: None,
            services: None,
            ignore_configured_endpoint_urls: false,
            use_fips_endpoint: false,
            use_dualstack_endpoint: false,
            ca_bundle: None,
        },
        config_path: "~/.aws/config",
    };

    /// `expected` is `URL (source)`, or the error in one line.
    fn check(service: Service, region: &str, overrides: Overrides<'_>, expected: &str) {
        let region = Region::parse(region).expect("a valid region");
        let found = match resolve(service, &region, &overrides) {
            Ok(endpoint) => format!("{} ({})", endpoint.url, endpoint.source),
            Err(error) => {
                assert_eq!(error.exit(), Exit::Usage);
                error.line()
            }
        };
        assert_eq!(found, expected);
    }

    fn profile(settings: &str) -> Profile {
        config::read(format!("[default]\n{settings}").as_bytes(), "default").profile
    }

    #[test]
    fn every_region_has_the_endpoint_that_botocore_gives_it() {
        let mut rows = 0;
        for row in include_str!("../../fixtures/endpoints.tsv").lines() {
            let cells: Vec<&str> = row.split('\t').collect();
            let [region, service, urls @ ..] = &cells[..] else {
                panic!("a region and a service in every row");
            };
            let service = match *service {
                "sso-oidc" => Service::Oidc,
                "sso" => Service::Portal,
                _ => continue, // the head
            };
            let region = Region::parse(region).expect("a valid region");
            let variants = [("", ""), ("", "true"), ("true", ""), ("True", "TRUE")];
            assert_eq!(urls.len(), variants.len(), "{row}");
            for ((fips, dual), expected) in variants.into_iter().zip(urls) {
                let overrides = Overrides {
                    fips_env: Some(fips),
                    dualstack_env: Some(dual),
                    ..NOTHING
                };
                let endpoint = resolve(service, &region, &overrides).expect("a regional endpoint");
                let expected = Url::parse(expected).expect("a URL");
                assert_eq!(
                    (endpoint.url, endpoint.explicit),
                    (expected, false),
                    "{row}"
                );
                rows += 1;
            }
        }
        assert!(rows > 100, "the table is there");
    }

    #[test]
    fn the_source_tells_the_variant() {
        let url = "https://oidc-fips.us-east-1.api.aws/";
        let both = profile("use_fips_endpoint = true\nuse_dualstack_endpoint = TRUE");
        let overrides = Overrides {
            profile: &both,
            ..NOTHING
        };
        let expected = format!("{url} (region us-east-1, FIPS and dual stack)");
        check(Service::Oidc, "us-east-1", overrides, &expected);
    }

    #[test]
    fn a_variable_beats_the_profile_also_with_false() {
        let both = profile(
            "use_fips_endpoint = true\nuse_dualstack_endpoint = true\nendpoint_url = https://h",
        );
        let overrides = Overrides {
            fips_env: Some("no"),
            dualstack_env: Some("false"),
            ignore_env: Some("True"),
            profile: &both,
            ..NOTHING
        };
        let expected = "https://oidc.us-east-1.amazonaws.com/ (region us-east-1)";
        check(Service::Oidc, "us-east-1", overrides, expected);

        let ignoring = profile("ignore_configured_endpoint_urls = true\nendpoint_url = https://h");
        let overrides = Overrides {
            ignore_env: Some("false"),
            profile: &ignoring,
            ..NOTHING
        };
        check(
            Service::Oidc,
            "us-east-1",
            overrides,
            "https://h/ (~/.aws/config, line 3)",
        );
    }

    #[test]
    fn a_region_of_nothing_but_fips_is_refused() {
        let why = "cannot use the region fips--fips: nothing but FIPS is in it";
        check(Service::Oidc, "fips--fips", NOTHING, why);
    }

    #[test]
    fn custom_endpoints_have_an_order() {
        let config = b"[default]\nservices = s\nendpoint_url = https://profile\n\
            [services s]\nsso_oidc =\n  endpoint_url = https://section\nsso =\n  endpoint_url = https://portal-section\n";
        let all = config::read(config, "default").profile;
        let mut overrides = Overrides {
            oidc_env: Some("https://oidc-env"),
            portal_env: Some("https://portal-env"),
            global_env: Some("https://env"),
            fips_env: Some("true"),
            profile: &all,
            ..NOTHING
        };
        let region = "us-east-1";
        check(
            Service::Oidc,
            region,
            overrides,
            "https://oidc-env/ (AWS_ENDPOINT_URL_SSO_OIDC)",
        );
        check(
            Service::Portal,
            region,
            overrides,
            "https://portal-env/ (AWS_ENDPOINT_URL_SSO)",
        );
        (overrides.oidc_env, overrides.portal_env) = (Some(""), None);
        check(
            Service::Oidc,
            region,
            overrides,
            "https://env/ (AWS_ENDPOINT_URL)",
        );
        check(
            Service::Portal,
            region,
            overrides,
            "https://env/ (AWS_ENDPOINT_URL)",
        );
        overrides.global_env = None;
        check(
            Service::Oidc,
            region,
            overrides,
            "https://section/ (~/.aws/config, line 5)",
        );
        check(
            Service::Portal,
            region,
            overrides,
            "https://portal-section/ (~/.aws/config, line 7)",
        );
        let only_profile = profile("endpoint_url = https://profile/base/");
        overrides.profile = &only_profile;
        check(
            Service::Oidc,
            region,
            overrides,
            "https://profile/base/ (~/.aws/config, line 2)",
        );
    }

    #[test]
    fn a_services_section_that_is_missing_is_an_error_only_when_it_is_asked() {
        let pointing = profile("services = gone");
        let mut overrides = Overrides {
            profile: &pointing,
            ..NOTHING
        };
        let why =
            "cannot use `services` in ~/.aws/config, line 2: [services gone] is absent or empty";
        check(Service::Oidc, "us-east-1", overrides, why);
        overrides.global_env = Some("https://env");
        check(
            Service::Oidc,
            "us-east-1",
            overrides,
            "https://env/ (AWS_ENDPOINT_URL)",
        );
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for (url, expected) in [
            (
                "http://localhost:4566",
                "http://localhost:4566/ (AWS_ENDPOINT_URL)",
            ),
            ("http://[::1]:1", "http://[::1]:1/ (AWS_ENDPOINT_URL)"),
            (
                "http://localhost.example",
                "cannot use the endpoint in AWS_ENDPOINT_URL: \
                 plain http to another machine would show it to everybody on the way",
            ),
        ] {
            let overrides = Overrides {
                global_env: Some(url),
                ..NOTHING
            };
            check(Service::Oidc, "us-east-1", overrides, expected);
        }
    }

    #[test]
    fn a_wrong_endpoint_names_its_place_and_not_its_password() {
        let wrong = profile("endpoint_url = https://ada:secret@h");
        let overrides = Overrides {
            profile: &wrong,
            ..NOTHING
        };
        let why = "cannot use the endpoint in ~/.aws/config, line 2: it holds a user name";
        check(Service::Oidc, "us-east-1", overrides, why);
        let overrides = Overrides {
            oidc_env: Some("localhost:80"),
            ..NOTHING
        };
        let why =
            "cannot use the endpoint in AWS_ENDPOINT_URL_SSO_OIDC: it does not begin with https://";
        check(Service::Oidc, "us-east-1", overrides, why);
    }
}
