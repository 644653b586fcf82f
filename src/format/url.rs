//! Absolute `http` and `https` URLs: as much of RFC 3986 as an endpoint, a proxy or a start URL needs.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// An absolute URL without user info. A fragment is dropped: it is never sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub scheme: Scheme,
    /// Lower case; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// Begins with `/`; holds the query too.
    pub path: String,
}

impl Url {
    /// # Errors
    /// One sentence that says what is wrong with `text`; it never repeats the text, which may hold a password.
    pub fn parse(text: &str) -> Result<Url, &'static str> {
        let (scheme, host, port, path) = parts(text)?;
        let path = match path.starts_with('/') {
            true => path.to_string(),
            false => format!("/{path}"),
        };
        Ok(Url {
            scheme,
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(scheme.default_port()),
            path,
        })
    }

    /// The same place, with `path` (which begins with `/`) behind this URL's own path, whose query is dropped.
    pub fn join(&self, path: &str) -> Url {
        let prefix = self
            .path
            .split('?')
            .next()
            .unwrap_or_default()
            .trim_end_matches('/');
        Url {
            path: format!("{prefix}{path}"),
            ..self.clone()
        }
    }

    /// The host as the `Host` header and CONNECT write it: the port only where it is not the scheme's own.
    pub fn host_header(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.bracketed_host()
        } else {
            self.authority()
        }
    }

    /// `host:port`, always with the port.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    /// Whether the host is this machine by its very spelling; no name is looked up.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.host_header(), self.path)
    }
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// The scheme of an absolute URL.
///
/// # Errors
/// As `Url::parse`.
pub fn scheme_of(text: &str) -> Result<Scheme, &'static str> {
    parts(text).map(|(scheme, ..)| scheme)
}

/// Scheme, host, port and the rest of a URL, as they stand there.
fn parts(text: &str) -> Result<(Scheme, &str, Option<u16>, &str), &'static str> {
    const NO_SCHEME: &str = "it does not begin with https://";
    if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err("it holds a blank or a control character");
    }
    let (scheme, rest) = text.split_once(':').ok_or(NO_SCHEME)?;
    let rest = rest.strip_prefix("//").ok_or(NO_SCHEME)?;
    let scheme = if scheme.eq_ignore_ascii_case("https") {
        Scheme::Https
    } else if scheme.eq_ignore_ascii_case("http") {
        Scheme::Http
    } else {
        return Err(NO_SCHEME);
    };
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let end = rest.bytes().position(|b| b == b'/' || b == b'?');
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("it holds a user name");
    }
    let (host, port) = host_and_port(authority)?;
    Ok((scheme, host, port, path))
}

/// Splits `host`, `host:port` or `[v6]:port`; the host comes back without brackets.
///
/// # Errors
/// One sentence that says what is wrong.
fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let Some((host, after)) = rest.split_once(']') else {
            return Err("its IPv6 address has no closing bracket");
        };
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("its IPv6 address is not one");
        }
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err("its IPv6 address is not followed by a port"),
        }
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err("it names no host");
    }
    let host_is_plain = host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'));
    if !host_is_plain || host.len() > 253 {
        return Err("its host name is not one");
    }
    let port = match port {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err("its port is not between 1 and 65535"),
        },
        Some(_) => return Err("its port is not a number"),
    };
    Ok((host, port))
}

/// `text` as one value of a query: everything but letters, digits and `-._~` encoded (RFC 3986, section 2.3).
pub fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The pairs of a query, decoded: `+` is a blank, and bytes that are not UTF-8 are replaced. `None`: a `%` without two
/// hex digits behind it.
pub fn query_pairs(query: &str) -> Option<Vec<(String, String)>> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent_decode(name)?, percent_decode(value)?))
        })
        .collect()
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let value = digit()? * 16 + digit()?;
                u8::try_from(value).ok()?
            }
            _ => byte,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_its_way_through_a_query() {
        let value = "http://127.0.0.1:1/a b&c=d%é+~";
        let query = format!("x={}&y&=z&&", percent_encode(value));
        assert!(query.starts_with("x=http%3A%2F%2F127.0.0.1%3A1%2Fa%20b%26c%3Dd%25%C3%A9%2B~"));
        let pairs = query_pairs(&query).expect("well-formed");
        let owned = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(pairs, [owned("x", value), owned("y", ""), owned("", "z")]);
        assert_eq!(query_pairs("a+b=c%20d"), Some(vec![owned("a b", "c d")]));
        assert_eq!(query_pairs("a=%ff"), Some(vec![owned("a", "\u{fffd}")]));
        for broken in ["a=%", "a=%4", "a=%zz", "%+1=a", "a=%\u{e9}"] {
            assert_eq!(query_pairs(broken), None, "{broken}");
        }
    }

    fn check(text: &str, expected: Result<&str, &str>) {
        let parsed = Url::parse(text).map(|url| url.to_string());
        assert_eq!(parsed, expected.map(str::to_string), "{text}");
    }

    #[test]
    fn urls_are_read_as_browsers_write_them() {
        check(
            "https://oidc.eu-west-1.amazonaws.com",
            Ok("https://oidc.eu-west-1.amazonaws.com/"),
        );
        check(
            "HTTPS://Localhost:8443/base/",
            Ok("https://localhost:8443/base/"),
        );
        check("https://h:443/x?y=1#frag", Ok("https://h/x?y=1"));
        check("https://h?y", Ok("https://h/?y"));
        check("http://[::1]:80", Ok("http://[::1]/"));
        check("http://[::1]:8080/a", Ok("http://[::1]:8080/a"));
    }

    #[test]
    fn a_url_that_could_reach_another_host_is_refused() {
        check("localhost:8443", Err("it does not begin with https://"));
        check("ftp://h", Err("it does not begin with https://"));
        check("https://user:secret@h/", Err("it holds a user name"));
        check(
            "https://h\r\nX: y/",
            Err("it holds a blank or a control character"),
        );
        check("https:///path", Err("it names no host"));
        check("https://h%2f/", Err("its host name is not one"));
        let longest = format!("https://{}/", "h".repeat(253));
        check(&longest, Ok(&longest));
        let longer = longest.replace("//", "//h");
        check(&longer, Err("its host name is not one"));
        check("https://h:0/", Err("its port is not between 1 and 65535"));
        check(
            "https://h:65536/",
            Err("its port is not between 1 and 65535"),
        );
        check("https://h:+1/", Err("its port is not a number"));
        check(
            "https://[::1/",
            Err("its IPv6 address has no closing bracket"),
        );
        check(
            "https://[::1]x/",
            Err("its IPv6 address is not followed by a port"),
        );
    }

    #[test]
    fn a_path_prefix_stays_in_front() {
        let base = Url::parse("https://h/base/?q=1").expect("a literal");
        assert_eq!(base.join("/token").to_string(), "https://h/base/token");
        let bare = Url::parse("https://h").expect("a literal");
        assert_eq!(bare.join("/token").to_string(), "https://h/token");
    }

    #[test]
    fn only_the_spelling_makes_a_host_loopback() {
        for (text, expected) in [
            ("http://localhost:1", true),
            ("http://127.8.9.1", true),
            ("http://[::1]", true),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(
                Url::parse(text).expect("a literal").is_loopback(),
                expected,
                "{text}"
            );
        }
    }
}
