//! Which proxy a request goes through, as the AWS CLI decides it on Linux: from environment variables alone.
//!
//! The rules are those of botocore (`get_environ_proxies`, `should_bypass_proxies`) and of Python's `urllib.request`
//! under it. They hold for loopback targets too. `ALL_PROXY` and CIDR blocks in `NO_PROXY` are not part of them.

use std::fmt;

use crate::format::base64;
use crate::format::url::{Scheme, Url};

/// The proxy variables in force.
#[derive(Debug, Clone, Default)]
pub struct ProxySettings {
    https: Option<Setting>,
    http: Option<Setting>,
    no_proxy: Option<Setting>,
}

/// A variable that is set and not empty.
#[derive(Clone)]
struct Setting {
    name: &'static str,
    value: String,
}

/// Shows no value: it may hold a password.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl ProxySettings {
    /// `lookup` gives the value of an environment variable, also an empty one. The lower-case name wins, also when it
    /// is empty: that is how one switches off what the upper-case name says.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> ProxySettings {
        let setting = |names: [&'static str; 2]| {
            let (name, value) = names
                .into_iter()
                .find_map(|name| Some((name, lookup(name)?)))?;
            (!value.is_empty()).then_some(Setting { name, value })
        };
        ProxySettings {
            https: setting(["https_proxy", "HTTPS_PROXY"]),
            http: setting(["http_proxy", "HTTP_PROXY"]),
            no_proxy: setting(["no_proxy", "NO_PROXY"]),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    pub url: Url,
    pub authorization: Option<Authorization>,
    /// The variable that names the proxy.
    pub from: &'static str,
}

/// The value of a `Proxy-Authorization` header.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization(String);

impl Authorization {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A proxy variable that cannot be used. Never holds its value, which may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable {
    pub from: &'static str,
    pub why: &'static str,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy in {} cannot be used: {}", self.from, self.why)
    }
}

/// The proxy for `url`, or `None` where the connection is direct.
///
/// # Errors
/// The variable that applies holds no `http` or `https` URL.
pub fn choose(url: &Url, settings: &ProxySettings) -> Result<Option<Proxy>, Unusable> {
    let setting = match url.scheme {
        Scheme::Https => &settings.https,
        Scheme::Http => &settings.http,
    };
    let Some(setting) = setting else {
        return Ok(None);
    };
    if exempted_by(url, settings).is_some() {
        return Ok(None);
    }
    match parse(&setting.value) {
        Ok((url, authorization)) => Ok(Some(Proxy {
            url,
            authorization,
            from: setting.name,
        })),
        Err(why) => Err(Unusable {
            from: setting.name,
            why,
        }),
    }
}

/// The variable that keeps the host of `url` from any proxy.
pub fn exempted_by(url: &Url, settings: &ProxySettings) -> Option<&'static str> {
    let no_proxy = settings.no_proxy.as_ref()?;
    is_exempt(url, &no_proxy.value).then_some(no_proxy.name)
}

/// Whether `NO_PROXY` names the host of `url`. A port in an entry has to be one that the URL spells out; `Url` leaves
/// out the default port, so an entry `host:443` matches nothing, as in Python for a URL without a port.
fn is_exempt(url: &Url, no_proxy: &str) -> bool {
    if no_proxy == "*" {
        return true;
    }
    let with_port = url.host_header();
    no_proxy.split(',').any(|entry| {
        let entry = entry.trim().trim_start_matches('.').to_ascii_lowercase();
        // An IPv6 address counts with brackets, as in Python, and without.
        !entry.is_empty()
            && [&url.host, &format!("[{}]", url.host), &with_port]
                .into_iter()
                .any(|host| {
                    let parent = host.strip_suffix(entry.as_str());
                    parent.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                })
    })
}

fn parse(value: &str) -> Result<(Url, Option<Authorization>), &'static str> {
    let value = value.trim();
    let (scheme, rest) = match value.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => (
            "http".to_string(),
            value.strip_prefix("//").unwrap_or(value),
        ),
    };
    if scheme.starts_with("socks") {
        return Err("SOCKS is not supported, only http:// and https://");
    }
    if scheme != "http" && scheme != "https" {
        return Err("it does not begin with http:// or https://");
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, _) = rest.split_at(end);
    let (user_info, host) = match authority.rsplit_once('@') {
        Some((user_info, host)) => (Some(user_info), host),
        None => (None, authority),
    };
    let url = Url::parse(&format!("{scheme}://{host}"))?;
    let authorization = user_info
        .filter(|user_info| !user_info.is_empty())
        .map(basic);
    Ok((url, authorization))
}

/// Basic authentication (RFC 7617) from the part of a URL before `@`.
fn basic(user_info: &str) -> Authorization {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let plain = [
        percent_decoded(user),
        b":".to_vec(),
        percent_decoded(password),
    ]
    .concat();
    Authorization(format!("Basic {}", base64::standard(&plain)))
}

/// A `%` that no two hexadecimal digits follow stays as it is.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        (decoded, rest) = match escaped {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                (decoded, &rest[3..])
            }
            None => {
                decoded.push(first);
                (decoded, after)
            }
        };
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OIDC: &str = "https://oidc.eu-west-1.amazonaws.com/token";

    /// `expected` is `URL (variable)` with the authorization behind it, or why it cannot be used.
    fn check(url: &str, variables: &[(&str, &str)], expected: Result<Option<&str>, &str>) {
        let settings = ProxySettings::read(|name| {
            let (_, value) = variables.iter().find(|(set, _)| *set == name)?;
            Some((*value).to_string())
        });
        let url = Url::parse(url).expect("a literal");
        let chosen = choose(&url, &settings).map(|proxy| {
            proxy.map(|proxy| {
                let authorization = proxy.authorization.as_ref();
                format!(
                    "{} ({}) {}",
                    proxy.url,
                    proxy.from,
                    authorization.map_or("", Authorization::expose)
                )
                .trim_end()
                .to_string()
            })
        });
        assert_eq!(
            chosen.map_err(|unusable| unusable.to_string()),
            expected
                .map(|proxy| proxy.map(str::to_string))
                .map_err(str::to_string),
            "{variables:?}"
        );
    }

    #[test]
    fn the_scheme_of_the_target_picks_the_variable() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "http://p:2")];
        check(OIDC, &both, Ok(Some("http://s:1/ (HTTPS_PROXY)")));
        check(
            "http://localhost:9",
            &both,
            Ok(Some("http://p:2/ (HTTP_PROXY)")),
        );
        check(OIDC, &[("HTTP_PROXY", "http://p:2")], Ok(None));
        check(OIDC, &[("ALL_PROXY", "http://p:2")], Ok(None));
        check(OIDC, &[], Ok(None));
    }

    #[test]
    fn the_lower_case_name_wins_also_when_it_is_empty() {
        let upper = ("HTTPS_PROXY", "http://upper");
        check(
            OIDC,
            &[upper, ("https_proxy", "http://lower")],
            Ok(Some("http://lower/ (https_proxy)")),
        );
        check(OIDC, &[upper, ("https_proxy", "")], Ok(None));
        let exempt = ("NO_PROXY", "amazonaws.com");
        check(OIDC, &[upper, exempt], Ok(None));
        check(
            OIDC,
            &[upper, exempt, ("no_proxy", "")],
            Ok(Some("http://upper/ (HTTPS_PROXY)")),
        );
    }

    #[test]
    fn a_proxy_needs_no_scheme() {
        for (value, expected) in [
            ("proxy:3128", "http://proxy:3128/ (https_proxy)"),
            ("//proxy:3128", "http://proxy:3128/ (https_proxy)"),
            (" proxy ", "http://proxy/ (https_proxy)"),
            ("HTTPS://Proxy/x", "https://proxy/ (https_proxy)"),
            ("[::1]:8080", "http://[::1]:8080/ (https_proxy)"),
        ] {
            check(OIDC, &[("https_proxy", value)], Ok(Some(expected)));
        }
    }

    #[test]
    fn credentials_are_decoded_and_become_basic_authentication() {
        for (value, plain) in [
            ("http://ada:secret@p", "ada:secret"),
            ("ada:secret@p", "ada:secret"),
            ("http://ada@p", "ada:"),
            ("http://d%5Cada:p%40%3a%2F%25@p", "d\\ada:p@:/%"),
            ("http://ada:a@b:c@p", "ada:a@b:c"),
            ("http://ada:100%@p", "ada:100%"),
            ("http://ada:%zz%0@p", "ada:%zz%0"),
            ("http://%C3%A4:%0d%0a@p", "ä:\r\n"),
        ] {
            let header = base64::standard(plain.as_bytes());
            check(
                OIDC,
                &[("https_proxy", value)],
                Ok(Some(&format!("http://p/ (https_proxy) Basic {header}"))),
            );
        }
        check(
            OIDC,
            &[("https_proxy", "http://@p")],
            Ok(Some("http://p/ (https_proxy)")),
        );
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_named_and_not_repeated() {
        for (value, why) in [
            (
                "socks5h://ada:secret@p",
                "SOCKS is not supported, only http:// and https://",
            ),
            (
                "ftp://ada:secret@p",
                "it does not begin with http:// or https://",
            ),
            ("http://ada:secret@", "it names no host"),
            ("http://ada:secret@p:x", "its port is not a number"),
            ("http://ada:sec/ret@p", "its port is not a number"),
            (
                "http://ada:secret@p\r\nx",
                "it holds a blank or a control character",
            ),
        ] {
            check(
                OIDC,
                &[("https_proxy", value)],
                Err(&format!("the proxy in https_proxy cannot be used: {why}")),
            );
        }
    }

    #[test]
    fn no_proxy_names_hosts_and_their_parents() {
        for (url, no_proxy, is_direct) in [
            (OIDC, "*", true),
            (OIDC, "*,x", false),
            (OIDC, "x, *", false),
            (OIDC, "amazonaws.com", true),
            (OIDC, ".amazonaws.com", true),
            (OIDC, "x, AmazonAWS.com ,y", true),
            (OIDC, "oidc.eu-west-1.amazonaws.com", true),
            (OIDC, "zonaws.com", false),
            (OIDC, "*.amazonaws.com", false),
            (OIDC, "x.oidc.eu-west-1.amazonaws.com", false),
            (OIDC, "oidc.eu-west-1.amazonaws.com:443", false),
            (OIDC, ",, .,", false),
            ("https://h:8443", "h:8443", true),
            ("https://h:8443", "h", true),
            ("https://h:8443", "h:84", false),
            ("https://a.h:8443", "h:8443", true),
            ("https://10.0.0.1", "10.0.0.1", true),
            ("https://10.0.0.1", "10.0.0.0/8", false),
            ("https://[::1]:8443", "[::1]", true),
            ("https://[::1]:8443", "::1", true),
            ("https://[::1]:8443", "[::1]:8443", true),
            ("https://[::1]:8443", ":1", false),
            ("https://localhost:8443", "127.0.0.1", false),
        ] {
            let variables = [("https_proxy", "p"), ("no_proxy", no_proxy)];
            let expected = (!is_direct).then_some("http://p/ (https_proxy)");
            check(url, &variables, Ok(expected));
        }
    }

    #[test]
    fn what_is_shown_for_debugging_holds_no_password() {
        let settings = ProxySettings::read(|_| Some("http://ada:secret@p".to_string()));
        assert_eq!(
            format!("{settings:?}"),
            "ProxySettings { https: Some(https_proxy), http: Some(http_proxy), no_proxy: Some(no_proxy) }"
        );
        let settings = ProxySettings {
            no_proxy: None,
            ..settings
        };
        let proxy = choose(&Url::parse(OIDC).expect("a literal"), &settings);
        let shown = format!("{proxy:?}");
        assert!(shown.contains("authorization: Some((hidden))"), "{shown}");
        assert!(!shown.contains(&base64::standard(b"ada:secret")));
    }
}
