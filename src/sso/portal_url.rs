//! What the host of a start URL tells: whether AWS owns it, and the region it names.
//!
//! The tables are those of AWS CLI v2, `awscli/customizations/sso/resolve.py`. A host that AWS does not own is a vanity
//! name, which a sign-in has to follow to the real one.

use crate::sso::config::Region;

/// Whether AWS owns `host`, so that the start URL is sent as it is.
pub fn start_url_host_is_aws(host: &str) -> bool {
    let host = normal(host);
    let below = |domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    EXACT.contains(&host.as_str()) || DOMAINS.iter().any(|domain| below(domain))
}

/// The region in hosts of the portal's own form; `None` where the host names none.
pub fn region_of_start_url(host: &str) -> Option<Region> {
    let host = normal(host);
    let (instance, rest) = host.split_once('.')?;
    let region = PATTERNS
        .iter()
        .find_map(|(before, after)| rest.strip_prefix(before)?.strip_suffix(after))?;
    (!instance.is_empty()).then(|| Region::parse(region))?
}

const DOMAINS: [&str; 8] = [
    "app.aws",
    "portal.amazonaws.com",
    "portal.amazonaws.com.cn",
    "app.amazonwebservices.com.cn",
    "portal.amazonaws.eu",
    "api.amazonwebservices.eu",
    "awsapps.com",
    "awsapps.cn",
];

const EXACT: [&str; 4] = [
    "identitycenter.amazonaws.com",
    "identitycenter.amazonaws.com.cn",
    "identitycenter.amazonaws.eu",
    "identitycenter.us-gov.amazonaws.com",
];

/// What stands before and after the region, behind the label of the instance.
const PATTERNS: [(&str, &str); 6] = [
    ("portal.", ".app.aws"),
    ("", ".portal.amazonaws.com"),
    ("", ".portal.amazonaws.com.cn"),
    ("", ".portal.amazonaws.eu"),
    ("portal.", ".app.amazonwebservices.com.cn"),
    ("portal.", ".api.amazonwebservices.eu"),
];

fn normal(host: &str) -> String {
    host.to_ascii_lowercase().trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, aws: bool, region: Option<&str>) {
        assert_eq!(start_url_host_is_aws(host), aws, "{host}");
        let found = region_of_start_url(host);
        assert_eq!(found.as_ref().map(Region::as_str), region, "{host}");
    }

    #[test]
    fn every_form_of_the_portal_names_its_region() {
        check("ssoins-1.portal.eu-west-1.app.aws", true, Some("eu-west-1"));
        check(
            "ssoins-1.us-east-1.portal.amazonaws.com",
            true,
            Some("us-east-1"),
        );
        check(
            "ssoins-1.cn-north-1.portal.amazonaws.com.cn",
            true,
            Some("cn-north-1"),
        );
        check(
            "ssoins-1.eusc-de-east-1.portal.amazonaws.eu",
            true,
            Some("eusc-de-east-1"),
        );
        check(
            "ssoins-1.portal.cn-northwest-1.app.amazonwebservices.com.cn",
            true,
            Some("cn-northwest-1"),
        );
        check(
            "ssoins-1.portal.eusc-de-east-1.api.amazonwebservices.eu",
            true,
            Some("eusc-de-east-1"),
        );
    }

    #[test]
    fn hosts_of_aws_without_a_region() {
        for host in [
            "d-1234567890.awsapps.com",
            "d-1234567890.awsapps.cn",
            "awsapps.com",
            "a.b.c.app.aws",
            "identitycenter.amazonaws.com",
            "identitycenter.amazonaws.com.cn",
            "identitycenter.amazonaws.eu",
            "identitycenter.us-gov.amazonaws.com",
        ] {
            check(host, true, None);
        }
    }

    #[test]
    fn a_vanity_host_belongs_to_somebody_else() {
        for host in [
            "sso.example.com",
            "notawsapps.com",
            "awsapps.com.example.com",
            "x.identitycenter.amazonaws.com",
            "amazonaws.com",
            "",
        ] {
            check(host, false, None);
        }
    }

    #[test]
    fn case_and_a_final_dot_do_not_matter() {
        check("A.Portal.EU-West-1.App.AWS.", true, Some("eu-west-1"));
    }

    #[test]
    fn the_region_is_one_valid_label() {
        check("a.b.eu-west-1.portal.amazonaws.com", true, None);
        check("a.portal.-x.app.aws", true, None);
        check(".portal.eu-west-1.app.aws", true, None);
    }
}
