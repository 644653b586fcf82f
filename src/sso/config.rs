//! The SSO sessions of `~/.aws/config`, and those settings of the active profile that move an endpoint.
//!
//! Sections count as in botocore (`configloader.py`, `build_profile_map`), whose oddities are kept: which session a
//! section is decides the name of its token file. A session with a mistake is listed with that mistake and stops no other.
//! The credentials file, which botocore lays over the profiles, is not read.
//!
//! Names and values come back as they stand in the file, control characters included.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;

use crate::format::ini::{self, ByEnd, Entry, Ini, Section, Warning, excerpt, strip};
use crate::format::url::{self, Scheme};

/// A session that can be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsoSession {
    pub name: String,
    /// As configured; an `https` URL.
    pub start_url: String,
    pub region: Region,
    /// As configured, possibly none.
    pub scopes: Vec<String>,
}

/// A region that is safe in a host name: one label of letters, digits and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region(String);

/// What the config file holds for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// In file order.
    pub sessions: Vec<ConfiguredSession>,
    /// In file order.
    pub legacy_profiles: Vec<LegacyProfile>,
    pub profile: Profile,
    /// By line.
    pub warnings: Vec<Warning>,
}

/// An `[sso-session NAME]`, usable or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredSession {
    /// The line of its header.
    pub line: usize,
    pub session: Result<SsoSession, Misconfigured>,
}

/// A session that cannot be asked about, with what is right about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misconfigured {
    pub name: String,
    pub start_url: Option<String>,
    pub region: Option<Region>,
    pub mistake: Mistake,
}

/// What is wrong with a session; shown with the name of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub line: usize,
    pub why: String,
}

impl ConfiguredSession {
    pub fn name(&self) -> &str {
        match &self.session {
            Ok(session) => &session.name,
            Err(wrong) => &wrong.name,
        }
    }
}

/// A profile of the old form, with an `sso_start_url` of its own; its token is never refreshed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyProfile {
    pub name: String,
    /// As configured: its token file is named after this very text.
    pub start_url: String,
    pub region: Option<String>,
    pub line: usize,
}

/// What the active profile says about endpoints and trust; nothing else of it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    pub name: String,
    /// Whether the file has such a profile.
    pub found: bool,
    pub endpoint_url: Option<Setting>,
    pub services: Option<Services>,
    pub ignore_configured_endpoint_urls: bool,
    pub use_fips_endpoint: bool,
    pub use_dualstack_endpoint: bool,
    pub ca_bundle: Option<Setting>,
}

/// The `[services NAME]` section that a profile points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    pub name: String,
    /// The line of `services = NAME` in the profile.
    pub line: usize,
    /// Without it botocore asks nobody: `services` names an empty section or none.
    pub found: bool,
    pub sso_oidc: Option<Setting>,
    pub sso: Option<Setting>,
}

/// A value that is not empty, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub value: String,
    pub line: usize,
}

/// Reads the text of a config file; an absent file is an empty text.
pub fn read(bytes: &[u8], active_profile: &str) -> Config {
    let text = ini::decode(bytes);
    let ini = ini::parse(&text);
    let mut warnings = Vec::new();
    let sections = Sections::classify(&ini, &mut warnings);
    let sessions = sections.sessions.in_order().into_iter();
    let mut usable_url = None;
    let sessions = sessions
        .map(|(name, section)| {
            configured_session(&ini, name, section, &mut usable_url, &mut warnings)
        })
        .collect();
    let profiles = sections.profiles.in_order().into_iter();
    let legacy_profiles = profiles
        .filter_map(|(name, section)| {
            sso_of_profile(&ini, name, section, &sections.sessions, &mut warnings)
        })
        .collect();
    let profile = active(&ini, &sections, active_profile);
    warnings.extend(ini.warnings);
    warnings.sort_by_key(|warning| warning.line);
    Config {
        sessions,
        legacy_profiles,
        profile,
        warnings,
    }
}

/// The path in `AWS_CONFIG_FILE`, with `$VAR`, `${VAR}` and then a leading `~` expanded. An unknown variable and `~user`
/// stay as they are (Python's `os.path.expandvars` and `expanduser`, as in botocore `raw_config_parse`).
pub fn expand_path(text: &str, home: &str, var: impl Fn(&str) -> Option<String>) -> String {
    let mut path = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        path.push_str(before);
        let (name, length) = variable(after);
        match var(name) {
            Some(value) => path.push_str(&value),
            None => path.extend(["$", &after[..length]]),
        }
        rest = &after[length..];
    }
    path.push_str(rest);
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let path = format!("{}{rest}", home.trim_end_matches('/'));
            if path.is_empty() { "/".into() } else { path }
        }
        _ => path,
    }
}

impl Region {
    /// botocore's `validate_region_name`, which also keeps `sso_region` from naming another host.
    pub fn parse(text: &str) -> Option<Region> {
        let label = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let plain = !text.starts_with('-') && !text.ends_with('-');
        let number = text.bytes().all(|b| b.is_ascii_digit());
        (label && plain && !number && text.len() <= 63).then(|| Region(text.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The sections of each kind by their parsed names.
#[derive(Default)]
struct Sections<'a> {
    sessions: Named<'a>,
    profiles: Named<'a>,
    services: Named<'a>,
}

#[derive(Default)]
struct Named<'a> {
    /// With the place of each name among the others.
    by_name: BTreeMap<ByEnd<Cow<'a, str>>, (usize, &'a Section<'a>)>,
}

impl<'a> Named<'a> {
    /// Returns the section that `section` replaces.
    fn insert(&mut self, name: Cow<'a, str>, section: &'a Section<'a>) -> Option<&'a Section<'a>> {
        let place = self.by_name.len();
        match self.by_name.entry(ByEnd(name)) {
            Slot::Occupied(mut slot) => Some(std::mem::replace(&mut slot.get_mut().1, section)),
            Slot::Vacant(slot) => {
                slot.insert((place, section));
                None
            }
        }
    }

    fn get(&self, name: &str) -> Option<&'a Section<'a>> {
        let found = self.by_name.get(&ByEnd(name.into()));
        found.map(|(_, section)| *section)
    }

    fn in_order(&self) -> Vec<(&str, &'a Section<'a>)> {
        let mut named: Vec<_> = self.by_name.iter().collect();
        named.sort_unstable_by_key(|(_, (place, _))| *place);
        let names = named.into_iter();
        names
            .map(|(name, (_, section))| (&*name.0, *section))
            .collect()
    }
}

impl<'a> Sections<'a> {
    fn classify(ini: &'a Ini<'a>, warnings: &mut Vec<Warning>) -> Sections<'a> {
        let mut sections = Sections::default();
        for section in &ini.sections {
            let header = section.header;
            // Only the prefix is tested, so `[profilefoo x]` is a profile too; the first word is then dropped.
            let (kind, words) = if header.starts_with("profile") {
                (&mut sections.profiles, two_words(header))
            } else if header.starts_with("sso-session") {
                (&mut sections.sessions, session_words(section, warnings))
            } else if header.starts_with("services") {
                (&mut sections.services, two_words(header))
            } else if header == "default" {
                let words = ("".into(), header.into());
                (&mut sections.profiles, Some(words))
            } else {
                if looks_like_a_session(header) {
                    warnings.push(not_a_session(section));
                }
                continue;
            };
            let Some((_, name)) = words else {
                continue;
            };
            if let Some(replaced) = kind.insert(name, section) {
                warnings.push(warning(
                    section.line,
                    format!(
                        "[{}] replaces [{}] of line {} completely",
                        excerpt(header),
                        excerpt(replaced.header),
                        replaced.line
                    ),
                    "make one section of the two",
                ));
            }
        }
        sections
    }
}

fn two_words(header: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    // Nearly every header is two words with nothing to take off.
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if let Some((first, second)) = header.split_once(' ')
        && is_word(first)
        && is_word(second)
    {
        return Some((first.into(), second.into()));
    }
    let [first, second]: [String; 2] = ini::split_shell(header)?.try_into().ok()?;
    Some((first.into(), second.into()))
}

/// [`two_words`], with a warning for every name that some tool cannot address.
fn session_words<'a>(
    section: &Section<'a>,
    warnings: &mut Vec<Warning>,
) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    let Some((keyword, name)) = two_words(section.header) else {
        warnings.push(not_a_session(section));
        return None;
    };
    let readable = |b: u8| b.is_ascii_alphanumeric() || b"_.%@:+/-".contains(&b);
    let is_readable = !name.is_empty() && name.bytes().all(readable);
    if is_readable && keyword == "sso-session" {
        return Some((keyword, name));
    }
    let shown = excerpt(&name);
    let trouble = if keyword != "sso-session" {
        let header = excerpt(section.header);
        format!("[{header}] is read as the session {shown}; only the AWS CLI does that")
    } else if name.is_empty() {
        "a session with an empty name: only the AWS CLI can read it".to_string()
    } else if name.chars().any(char::is_control) {
        format!("the session name {shown} holds control characters")
    } else {
        format!(
            "the session name {shown} has characters other than A-Z a-z 0-9 _.%@:+/-: most AWS SDKs cannot read it"
        )
    };
    let fix = match keyword == "sso-session" {
        true => "give it a plain name, here and in its profiles, and sign in again",
        false => "write [sso-session NAME]",
    };
    warnings.push(warning(section.line, trouble, fix));
    Some((keyword, name))
}

fn looks_like_a_session(header: &str) -> bool {
    let blank_or_quote = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
    let header = header.trim_start_matches(blank_or_quote);
    header
        .get(.."sso-session".len())
        .is_some_and(|start| start.replace('_', "-").eq_ignore_ascii_case("sso-session"))
}

fn not_a_session(section: &Section<'_>) -> Warning {
    let header = excerpt(section.header);
    warning(
        section.line,
        format!("[{header}] is not read as a session; write [sso-session NAME]"),
        "write [sso-session NAME], the bracket at the left edge",
    )
}

/// `usable_url`: the last start URL that was found usable. The sessions of a company have the same one, mostly.
fn configured_session<'i>(
    ini: &'i Ini<'_>,
    name: &str,
    section: &'i Section<'_>,
    usable_url: &mut Option<&'i str>,
    warnings: &mut Vec<Warning>,
) -> ConfiguredSession {
    for entry in section.entries.iter() {
        warnings.extend(swallowed(entry));
    }
    let get = |key| ini.get(section, key);
    let scopes = get("sso_registration_scopes");
    if let Some(entry) = scopes.filter(|entry| carries_a_comment(&entry.value)) {
        let why = "sso_registration_scopes looks like it carries a comment, which counts as part of the value";
        warnings.push(warning(entry.line, why.to_string(), OWN_LINE));
    }
    let name = name.to_string();
    let url = get("sso_start_url");
    let start_url = match url.map(|entry| &*entry.value) {
        Some(url) if Some(url) == *usable_url => Ok(url.to_string()),
        found => {
            let checked = required(section, "sso_start_url", url, start_url);
            *usable_url = found.filter(|_| checked.is_ok());
            checked
        }
    };
    let region = required(section, "sso_region", get("sso_region"), region);
    let misconfigured = |name, start_url, region, mistake| {
        Err(Misconfigured {
            name,
            start_url,
            region,
            mistake,
        })
    };
    let session = match (start_url, region) {
        (Ok(start_url), Ok(region)) => Ok(SsoSession {
            name,
            start_url,
            region,
            scopes: scopes.map_or_else(Vec::new, |entry| split_scopes(&entry.value)),
        }),
        (Err(mistake), region) => misconfigured(name, None, region.ok(), mistake),
        (Ok(start_url), Err(mistake)) => misconfigured(name, Some(start_url), None, mistake),
    };
    ConfiguredSession {
        line: section.line,
        session,
    }
}

/// Reads a value with `read`, whose complaint goes on after the name of the key.
fn required<T>(
    section: &Section<'_>,
    key: &str,
    entry: Option<&Entry<'_>>,
    read: fn(&str) -> Result<T, String>,
) -> Result<T, Mistake> {
    let Some(entry) = entry else {
        let why = format!("{key} is missing");
        let line = section.line;
        return Err(Mistake { line, why });
    };
    let value = &*entry.value;
    let result = if value.is_empty() {
        Err("is empty".to_string())
    } else if value.contains('\n') {
        Err("goes on over the indented lines below".to_string())
    } else if value.starts_with(['"', '\'']) {
        Err("is in quotes, which count as part of the value".to_string())
    } else {
        read(value)
    };
    result.map_err(|why| Mistake {
        line: entry.line,
        why: format!("{key} {why}"),
    })
}

/// The complaint never repeats the value: a URL may hold a password.
fn start_url(value: &str) -> Result<String, String> {
    if carries_a_comment(value) {
        return Err(
            "looks like it carries a comment, which counts as part of the value".to_string(),
        );
    }
    match url::scheme_of(value) {
        Ok(Scheme::Https) => Ok(value.to_string()),
        Ok(_) => Err("is not usable: it does not begin with https://".to_string()),
        Err(why) => Err(format!("is not usable: {why}")),
    }
}

fn region(value: &str) -> Result<Region, String> {
    let wrong = |why| Err(format!("= {} {why}", excerpt(value)));
    match Region::parse(value) {
        Some(region) => Ok(region),
        None if value.contains(['#', ';']) => wrong("looks like it carries a comment"),
        None => wrong("is not a region"),
    }
}

/// Comma separated, trimmed, empty ones dropped, order kept (AWS CLI `sso/utils.py`, `parse_sso_registration_scopes`).
fn split_scopes(value: &str) -> Vec<String> {
    let scopes = value.split(',').map(strip);
    scopes
        .filter(|scope| !scope.is_empty())
        .map(str::to_string)
        .collect()
}

/// Many tools cut ` # …` off a value; botocore does not.
fn carries_a_comment(value: &str) -> bool {
    value.bytes().enumerate().any(|(at, b)| {
        let before = || value[..at].chars().next_back();
        matches!(b, b'#' | b';') && before().is_none_or(char::is_whitespace)
    })
}

/// A key that was indented by mistake and so became part of the value above it.
fn swallowed(entry: &Entry<'_>) -> Option<Warning> {
    if entry.is_nested() {
        return None; // `required` says so where it matters
    }
    let (inner, _) = entry
        .continued()?
        .lines()
        .skip(1)
        .find_map(|line| line.split_once('='))?;
    let (key, inner) = (excerpt(&entry.key), excerpt(strip(inner)));
    let text =
        format!("`{inner} =` is indented below `{key}`, so it is part of that value and no key");
    Some(warning(
        entry.line,
        text,
        "begin that line at the left edge",
    ))
}

/// A legacy profile, or a warning where profile and session do not fit together.
fn sso_of_profile(
    ini: &Ini<'_>,
    name: &str,
    section: &Section<'_>,
    sessions: &Named<'_>,
    warnings: &mut Vec<Warning>,
) -> Option<LegacyProfile> {
    let shown = excerpt(name);
    let Some(named) = ini.get(section, "sso_session") else {
        let start_url = ini.get(section, "sso_start_url")?;
        for key in ["sso_start_url", "sso_region"] {
            let entry = ini.get(section, key);
            if let Some(entry) = entry.filter(|entry| carries_a_comment(&entry.value)) {
                let text = format!(
                    "{key} of profile {shown} looks like it carries a comment, which counts as part of the value"
                );
                warnings.push(warning(entry.line, text, OWN_LINE));
            }
        }
        let usable = !start_url.value.is_empty() && !start_url.is_nested();
        return usable.then(|| LegacyProfile {
            name: name.to_string(),
            start_url: start_url.value.to_string(),
            region: text(ini.get(section, "sso_region")),
            line: section.line,
        });
    };
    let session_name = excerpt(&named.value);
    let Some(session) = sessions.get(&named.value) else {
        let text =
            format!("profile {shown} names the session {session_name}, which does not exist");
        let fix = "correct the name, or make the session with `aws configure sso-session`";
        warnings.push(warning(named.line, text, fix));
        return None;
    };
    for key in ["sso_start_url", "sso_region"] {
        let (Some(own), Some(shared)) = (ini.get(section, key), ini.get(session, key)) else {
            continue;
        };
        if own.value != shared.value {
            let text = format!(
                "{key} of profile {shown} is not that of its session {session_name}: AWS tools refuse the profile"
            );
            warnings.push(warning(own.line, text, "delete that line"));
        }
    }
    None
}

fn active(ini: &Ini<'_>, sections: &Sections<'_>, name: &str) -> Profile {
    let missing = Profile {
        name: name.to_string(),
        ..Profile::default()
    };
    let Some(section) = sections.profiles.get(name) else {
        return missing;
    };
    let get = |key| ini.get(section, key);
    let is_set = |key| get(key).is_some_and(|entry| is_true(&entry.value));
    Profile {
        found: true,
        endpoint_url: setting(get("endpoint_url")),
        services: get("services").map(|entry| services(ini, sections, entry)),
        ignore_configured_endpoint_urls: is_set("ignore_configured_endpoint_urls"),
        use_fips_endpoint: is_set("use_fips_endpoint"),
        use_dualstack_endpoint: is_set("use_dualstack_endpoint"),
        ca_bundle: setting(get("ca_bundle")),
        ..missing
    }
}

fn services(ini: &Ini<'_>, sections: &Sections<'_>, named: &Entry<'_>) -> Services {
    let section = sections.services.get(&named.value);
    let section = section.filter(|own| !own.entries.is_empty() || !ini.defaults.is_empty());
    let endpoint_url = |service| {
        let block = ini.get(section?, service)?;
        let (_, value) = block
            .nested()
            .filter(|&(key, _)| key == "endpoint_url")
            .last()?;
        (!value.is_empty()).then(|| Setting {
            value: value.to_string(),
            line: block.line,
        })
    };
    Services {
        name: named.value.to_string(),
        line: named.line,
        found: section.is_some(),
        sso_oidc: endpoint_url("sso_oidc"),
        sso: endpoint_url("sso"),
    }
}

/// botocore's `ensure_boolean`: anything but `true` is false.
pub fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

fn setting(entry: Option<&Entry<'_>>) -> Option<Setting> {
    entry
        .filter(|entry| !entry.value.is_empty())
        .map(|entry| Setting {
            value: entry.value.to_string(),
            line: entry.line,
        })
}

fn text(entry: Option<&Entry<'_>>) -> Option<String> {
    entry.map(|entry| entry.value.to_string())
}

/// The name behind a `$` and the length of its text, braces included; 0 where no name follows.
fn variable(after: &str) -> (&str, usize) {
    if let Some(braced) = after.strip_prefix('{') {
        return match braced.find('}') {
            Some(end) => (&braced[..end], end + 2),
            None => ("", 0),
        };
    }
    let end = after
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(after.len());
    (&after[..end], end)
}

const OWN_LINE: &str = "put the comment on a line of its own";

fn warning(line: usize, text: String, fix: &'static str) -> Warning {
    Warning {
        line,
        text,
        fix,
        refused_by_python: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;
    use std::io::Write as _;
    use std::path::Path;

    const START: &str = "https://d-1234567890.awsapps.com/start";

    /// Every session as `name: region start-url [scopes]` or `name: line N: why`, one a line; then the warnings as
    /// `line N: text`, with `!` behind the line where Python refuses the file.
    fn check(text: impl AsRef<[u8]>, expected: &[&str]) {
        let config = read(text.as_ref(), "default");
        let sessions = config
            .sessions
            .iter()
            .map(|configured| match &configured.session {
                Ok(session) => {
                    let scopes = match session.scopes.join(" ") {
                        none if none.is_empty() => none,
                        some => format!(" [{some}]"),
                    };
                    let start_url = session.start_url.replace(START, "START");
                    let name = configured.name();
                    format!("{name}: {} {start_url}{scopes}", session.region)
                }
                Err(wrong) => {
                    let Mistake { line, why } = &wrong.mistake;
                    format!("{}: line {line}: {why}", configured.name())
                }
            });
        let warnings = config.warnings.iter().map(|warning| {
            let mark = if warning.refused_by_python { "!" } else { "" };
            format!("line {}{mark}: {}", warning.line, warning.text)
        });
        let shown: Vec<String> = sessions.chain(warnings).collect();
        assert_eq!(shown, expected, "{}", text.as_ref().escape_ascii());
    }

    /// A session of that header, whose keys are right.
    fn session(header: &str) -> String {
        format!("[{header}]\nsso_start_url = {START}\nsso_region = eu-west-1\n")
    }

    fn fixture(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config");
        std::fs::read(folder.join(name)).expect("the fixture is there")
    }

    #[test]
    fn a_session_name_is_split_off_as_a_shell_does() {
        check(session("sso-session my-sso"), &["my-sso: eu-west-1 START"]);
        check(session("sso-session \t x "), &["x: eu-west-1 START"]);
        check(session("sso-session 'x'"), &["x: eu-west-1 START"]);
        check(
            session("sso-session x] # [sso-session y"),
            &[
                "line 1: [sso-session x] # [sso-session y] is not read as a session; write [sso-session NAME]",
            ],
        );
        for header in [
            r#"sso-session "ab cd""#,
            r"sso-session ab\ cd",
            r#"sso-session a"b c"d"#,
        ] {
            check(
                session(header),
                &[
                    "ab cd: eu-west-1 START",
                    "line 1: the session name ab cd has characters other than A-Z a-z 0-9 _.%@:+/-: most AWS SDKs cannot read it",
                ],
            );
        }
    }

    #[test]
    fn only_the_prefix_makes_a_session() {
        check(
            session("sso-sessionfoo x"),
            &[
                "x: eu-west-1 START",
                "line 1: [sso-sessionfoo x] is read as the session x; only the AWS CLI does that",
            ],
        );
    }

    #[test]
    fn what_only_looks_like_a_session_is_none() {
        for header in [
            " sso-session x ",
            r#""sso-session" x"#,
            r#""sso-session x""#,
            "SSO-SESSION x",
            "sso_session x",
            "sso-session",
            "sso-session a b",
            "sso-session 'x",
        ] {
            let warning =
                format!("line 1: [{header}] is not read as a session; write [sso-session NAME]");
            check(session(header), &[&warning]);
        }
        check(session("foo"), &[]);
    }

    #[test]
    fn a_name_that_other_tools_cannot_read_is_told() {
        check(
            session("sso-session ''"),
            &[
                ": eu-west-1 START",
                "line 1: a session with an empty name: only the AWS CLI can read it",
            ],
        );
        check(
            session("sso-session a\x07b"),
            &[
                "a\x07b: eu-west-1 START",
                "line 1: the session name a\x07b holds control characters",
            ],
        );
        check(
            session("sso-session a#b"),
            &[
                "a#b: eu-west-1 START",
                "line 1: the session name a#b has characters other than A-Z a-z 0-9 _.%@:+/-: most AWS SDKs cannot read it",
            ],
        );
        check(
            session("sso-session A.z_0%@:+/-"),
            &["A.z_0%@:+/-: eu-west-1 START"],
        );
    }

    #[test]
    fn a_hint_is_about_the_word_that_is_wrong() {
        let fix = |header: &str| read(session(header).as_bytes(), "default").warnings[0].fix;
        assert_eq!(fix("sso-sessionfoo a#b"), "write [sso-session NAME]");
        assert!(fix("sso-session a#b").starts_with("give it a plain name"));
    }

    #[test]
    fn a_session_needs_a_start_url_and_a_region() {
        check("[sso-session x]", &["x: line 1: sso_start_url is missing"]);
        check(
            "[sso-session x]\nsso_start_url = https://h",
            &["x: line 1: sso_region is missing"],
        );
        check(
            "[sso-session x]\nsso_region = r\nsso_start_url =",
            &["x: line 3: sso_start_url is empty"],
        );
        check(
            "[sso-session x]\nsso_start_url =\n  a = b",
            &["x: line 2: sso_start_url goes on over the indented lines below"],
        );
    }

    #[test]
    fn a_start_url_is_a_plain_https_url() {
        for (url, why) in [
            ("http://h", "is not usable: it does not begin with https://"),
            (
                "h.awsapps.com/start",
                "is not usable: it does not begin with https://",
            ),
            ("https://u:secret@h", "is not usable: it holds a user name"),
            ("https://", "is not usable: it names no host"),
            (
                "\"https://h\"",
                "is in quotes, which count as part of the value",
            ),
            (
                "https://h # c",
                "looks like it carries a comment, which counts as part of the value",
            ),
            (
                "https://h\t;c",
                "looks like it carries a comment, which counts as part of the value",
            ),
        ] {
            let text = format!("[sso-session x]\nsso_start_url = {url}\nsso_region = r");
            check(text, &[&format!("x: line 2: sso_start_url {why}")]);
        }
    }

    #[test]
    fn a_region_is_one_host_label() {
        for (region, why) in [
            (
                "us-east-1 # c",
                "us-east-1 # c looks like it carries a comment",
            ),
            ("us-east-1;c", "us-east-1;c looks like it carries a comment"),
            ("us east 1", "us east 1 is not a region"),
            ("evil.example/", "evil.example/ is not a region"),
            ("-us", "-us is not a region"),
            ("us-", "us- is not a region"),
            ("123", "123 is not a region"),
            ("ü-1", "ü-1 is not a region"),
        ] {
            let text = format!("[sso-session x]\nsso_start_url = https://h\nsso_region = {region}");
            check(text, &[&format!("x: line 3: sso_region = {why}")]);
        }
        let longest = "r".repeat(63);
        assert_eq!(
            Region::parse(&longest).as_ref().map(Region::as_str),
            Some(&longest[..])
        );
        assert_eq!(Region::parse(&"r".repeat(64)), None);
        assert_eq!(Region::parse(""), None);
    }

    #[test]
    fn scopes_are_separated_by_commas() {
        let scopes = "sso_registration_scopes = a:b ,, c\n  d\n  , e";
        check(
            session("sso-session x") + scopes,
            &["x: eu-west-1 START [a:b c\nd e]"],
        );
    }

    #[test]
    fn a_key_that_slipped_into_the_value_above_is_told() {
        check(
            "[sso-session x]\nsso_region = r\n  sso_start_url = https://h",
            &[
                "x: line 1: sso_start_url is missing",
                "line 2: `sso_start_url =` is indented below `sso_region`, so it is part of that value and no key",
            ],
        );
    }

    #[test]
    fn the_later_spelling_of_a_name_replaces_the_earlier() {
        check(
            fixture("respelled.ini"),
            &[
                "shared: line 9: sso_region is missing",
                "line 9: [sso-session \"shared\"] replaces [sso-session shared] of line 1 completely",
                "line 12: [profile default] replaces [default] of line 5 completely",
            ],
        );
        assert_eq!(
            read(&fixture("respelled.ini"), "default")
                .profile
                .endpoint_url,
            None
        );
    }

    #[test]
    fn configs_of_real_life_are_read() {
        check(
            fixture("wizard.ini"),
            &["my-company-sso: eu-west-1 START [sso:account:access]"],
        );
        check(
            fixture("several.ini"),
            &[
                "work: us-east-1 START [sso:account:access codewhisperer:completions]",
                "client.prod@acme: ap-southeast-2 https://sso.acme.example/start#/",
                "gov: us-gov-west-1 https://start.us-gov-home.awsapps.com/directory/acme",
                "work-again: us-east-1 START",
            ],
        );
        check(fixture("nested.ini"), &["nested: eu-north-1 START"]);
        check(fixture("crlf.ini"), &["windows: eu-west-2 START"]);
        check(
            fixture("inherited.ini"),
            &[
                "one: eu-central-1 https://d-1111111111.awsapps.com/start [sso:account:access]",
                "two: us-west-2 https://d-2222222222.awsapps.com/start [sso:account:access]",
            ],
        );
        check("", &[]);
    }

    #[test]
    fn configs_with_mistakes_are_read_as_far_as_they_go() {
        check(
            fixture("comments.ini"),
            &[
                "clean: eu-west-1 START#/",
                "region-comment: line 11: sso_region = us-east-1 # Virginia looks like it carries a comment",
                "url-comment: line 14: sso_start_url looks like it carries a comment, which counts as part of the value",
                "scope-comment: us-east-1 START [sso:account:access # default]",
                "line 20: sso_registration_scopes looks like it carries a comment, which counts as part of the value",
            ],
        );
        check(
            fixture("duplicate.ini"),
            &[
                "shared: eu-west-1 https://d-3333333333.awsapps.com/start",
                "line 8!: [sso-session shared] is already in line 1; the two are read as one",
                "line 9!: `sso_start_url` is already set in line 2; the later one counts",
                "line 10!: `SSO_Start_URL` is already set in line 9; the later one counts",
            ],
        );
        check(
            fixture("broken.ini"),
            &[
                "good: eu-west-1 START [sso:account:access]",
                "line 1!: before the first section header; the line is ignored",
                "line 5!: neither a section header nor `key = value`; the line is ignored",
                "line 8!: not a section header; it and its keys are ignored",
                "line 13!: neither a section header nor `key = value`; the line is ignored",
            ],
        );
        check(
            fixture("bom.ini"),
            &[
                "notepad: eu-west-1 START",
                "line 1!: a byte order mark stands before the first line",
            ],
        );
        check(
            fixture("latin-1.ini"),
            &[
                "latin: eu-west-1 START",
                "line 1!: not valid UTF-8; what is wrong is read as `\u{fffd}`",
            ],
        );
        check(
            fixture("indented.ini"),
            &[
                "tidy: eu-west-1 START",
                "slipped: line 6: sso_start_url goes on over the indented lines below",
                "line 6: `sso_region =` is indented below `sso_start_url`, so it is part of that value and no key",
                "line 10: profile dev names the session slipped…, which does not exist",
                "line 11: [sso-session lost] is indented, so it continues the value above and begins no section",
            ],
        );
    }

    #[test]
    fn quoted_names_are_read_and_told() {
        const FOREIGN: &str =
            "has characters other than A-Z a-z 0-9 _.%@:+/-: most AWS SDKs cannot read it";
        check(
            fixture("quoted.ini"),
            &[
                "my sso: eu-west-1 START",
                "other sso: line 6: sso_start_url is in quotes, which count as part of the value",
                "東京: ap-northeast-1 START",
                &format!("line 1: the session name my sso {FOREIGN}"),
                &format!("line 5: the session name other sso {FOREIGN}"),
                "line 9: [sso-session my sso three] is not read as a session; write [sso-session NAME]",
                &format!("line 13: the session name 東京 {FOREIGN}"),
            ],
        );
    }

    #[test]
    fn a_profile_that_does_not_fit_its_session_is_told() {
        check(
            fixture("mismatch.ini"),
            &[
                "s: eu-west-1 START",
                "line 11: sso_region of profile other-region is not that of its session s: AWS tools refuse the profile",
                "line 14: profile nowhere names the session gone, which does not exist",
            ],
        );
    }

    #[test]
    fn legacy_profiles_keep_their_very_text() {
        let shown: Vec<_> = read(&fixture("legacy.ini"), "default")
            .legacy_profiles
            .into_iter()
            .map(|legacy| (legacy.name, legacy.start_url, legacy.region, legacy.line))
            .collect();
        let url = "https://old-company.awsapps.com/start";
        assert_eq!(
            shown,
            [
                ("default".into(), url.into(), Some("us-east-1".into()), 1),
                ("old-dev".into(), format!("{url}/"), None, 8),
            ]
        );
        for none in ["", "\n  a = b"] {
            let text = format!("[default]\nsso_start_url ={none}");
            assert_eq!(read(text.as_bytes(), "default").legacy_profiles, []);
        }
        check(
            "[default]\nsso_start_url = https://h # c",
            &[
                "line 2: sso_start_url of profile default looks like it carries a comment, which counts as part of the value",
            ],
        );
    }

    #[test]
    fn the_active_profile_moves_endpoints() {
        let setting = |value: &str, line| {
            let value = value.to_string();
            Some(Setting { value, line })
        };
        let gov = read(&fixture("several.ini"), "gov-admin").profile;
        assert!(gov.found && gov.use_fips_endpoint && gov.use_dualstack_endpoint);
        assert_eq!(gov.name, "gov-admin");
        assert_eq!(gov.ca_bundle, setting("/etc/ssl/certs/acme-proxy.pem", 27));

        let tuned = read(&fixture("nested.ini"), "tuned").profile;
        assert_eq!(
            tuned.endpoint_url,
            setting("https://proxy.example.com/aws", 9)
        );
        let services = tuned.services.expect("the profile has one");
        assert!(services.found && services.line == 8 && services.name == "local");
        assert_eq!(services.sso_oidc, setting("http://localhost:4566/oidc", 19));
        assert_eq!(services.sso, setting("http://localhost:4566/portal", 21));

        let nowhere = read(&fixture("mismatch.ini"), "nowhere").profile;
        assert!(nowhere.ignore_configured_endpoint_urls);
        assert!(nowhere.services.is_some_and(|services| !services.found));

        assert!(
            read(&fixture("inherited.ini"), "plain")
                .profile
                .use_fips_endpoint
        );
        assert!(!read(&fixture("wizard.ini"), "gone").profile.found);
    }

    #[test]
    fn an_empty_services_section_is_none_unless_defaults_fill_it() {
        for (rest, is_found) in [("", false), ("[DEFAULT]\nx = y\n", true)] {
            let text = format!("[default]\nservices = s\n[services s]\n{rest}");
            let services = read(text.as_bytes(), "default").profile.services;
            assert_eq!(services.map(|services| services.found), Some(is_found));
        }
    }

    #[test]
    fn a_path_is_expanded_as_python_does() {
        let var = |name: &str| match name {
            "X" => Some("ex".to_string()),
            "A B" => Some("$X".to_string()),
            "TILDE" => Some("~".to_string()),
            _ => None,
        };
        for (text, expected) in [
            ("~/.aws/config", "/home/ada/.aws/config"),
            ("~", "/home/ada"),
            ("~bob/config", "~bob/config"),
            ("/a/~/b", "/a/~/b"),
            ("$X/${X}y$Xy", "ex/exy$Xy"),
            ("${A B}", "$X"),
            ("$TILDE/c", "/home/ada/c"),
            ("$NONE/${NONE}", "$NONE/${NONE}"),
            ("$", "$"),
            ("$$X", "$ex"),
            ("${X", "${X"),
            ("${}", "${}"),
            ("$é", "$é"),
        ] {
            assert_eq!(expand_path(text, "/home/ada/", var), expected, "{text}");
        }
        assert_eq!(expand_path("~", "/", var), "/");
    }

    /// Driven by `tests/interop/config_differential.py`, which names a file of cases in `CONFIG_CASES`. A line holds a
    /// config in hexadecimal, a tab, and what botocore makes of it in the words of [`in_botocores_words`].
    #[test]
    fn botocore_reads_every_case_the_same() {
        let Some(cases) = std::env::var_os("CONFIG_CASES") else {
            let skipped = "SKIPPED: botocore_reads_every_case_the_same; run tests/interop/config_differential.py\n";
            // Not `eprintln!`, which a passing test swallows.
            let _ = std::io::stderr().write_all(skipped.as_bytes());
            return;
        };
        let cases = std::fs::read_to_string(cases).expect("CONFIG_CASES names a readable file");
        let mut differences = 0;
        for case in cases.lines() {
            let (text, expected) = case.split_once('\t').expect("a tab in every line");
            let text: Vec<u8> = (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
                .collect();
            let found = in_botocores_words(&text);
            if found != expected {
                differences += 1;
                let text = text.escape_ascii();
                println!("config:   {text}\nbotocore: {expected}\nfound:    {found}\n");
            }
        }
        assert!(!cases.is_empty(), "there are cases");
        assert_eq!(differences, 0, "cases that botocore reads in another way");
    }

    fn in_botocores_words(text: &[u8]) -> String {
        let decoded = ini::decode(text);
        let ini = ini::parse(&decoded);
        // These are read in any case: nothing may panic, whatever botocore thinks of the file.
        let config = read(text, "default");
        let profiles = ["default", "p", "a b", ""].map(|name| read(text, name).profile);
        if ini.warnings.iter().any(|warning| warning.refused_by_python) {
            return "refused".to_string();
        }
        let mut words = String::new();
        for section in &ini.sections {
            let entries = section.entries.iter().chain(ini.defaults.iter());
            let keys = entries.map(|entry| &entry.key);
            // Ours has the letters of other alphabets as they stand in the file (`ini.rs` says why).
            let keys: BTreeMap<String, _> = keys.map(|key| (key.to_lowercase(), key)).collect();
            let _ = write!(words, "[{}]", escape(section.header));
            for (lower, key) in keys {
                let entry = ini.get(section, key).expect("one of its keys");
                let _ = write!(words, " {}={}", escape(&lower), escape(&entry.value));
                let nested: BTreeMap<_, _> = entry.nested().collect();
                for (key, value) in nested {
                    let _ = write!(words, " ({}={})", escape(key), escape(value));
                }
            }
            words.push(' ');
        }
        let sections = Sections::classify(&ini, &mut Vec::new());
        for configured in &config.sessions {
            let name = configured.name();
            let section = sections.sessions.get(name).expect("it was read from there");
            let [start_url, region] = ["sso_start_url", "sso_region"]
                .map(|key| or_none(ini.get(section, key).map(|entry| &*entry.value)));
            let _ = write!(words, "session {} {start_url} {region} ", escape(name));
            match &configured.session {
                Err(_) => words.push_str("wrong "),
                Ok(session) => {
                    let scopes: Vec<String> = session.scopes.iter().map(|s| escape(s)).collect();
                    let _ = write!(words, "right {} ", scopes.join(","));
                }
            }
        }
        for legacy in &config.legacy_profiles {
            let region = or_none(legacy.region.as_deref());
            let (name, start_url) = (escape(&legacy.name), escape(&legacy.start_url));
            let _ = write!(words, "legacy {name} {start_url} {region} ");
        }
        let value = |setting: Option<&Setting>| or_none(setting.map(|setting| &setting.value[..]));
        for profile in &profiles {
            let _ = write!(
                words,
                "profile {} {} {} {} {} {} {} ",
                escape(&profile.name),
                profile.found,
                value(profile.endpoint_url.as_ref()),
                value(profile.ca_bundle.as_ref()),
                profile.ignore_configured_endpoint_urls,
                profile.use_fips_endpoint,
                profile.use_dualstack_endpoint,
            );
            if let Some(services) = &profile.services {
                let (oidc, portal) = (services.sso_oidc.as_ref(), services.sso.as_ref());
                let name = escape(&services.name);
                let _ = write!(
                    words,
                    "services {name} {} {} {} ",
                    services.found,
                    value(oidc),
                    value(portal)
                );
            }
        }
        words
    }

    fn or_none(text: Option<&str>) -> String {
        text.map_or_else(|| "none".to_string(), escape)
    }

    /// In quotes, so that it differs from `none`; without blanks, so that it is one word.
    fn escape(text: &str) -> String {
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '\'');
        let chars = text.chars().map(|c| match plain(c) {
            true => c.to_string(),
            false => c.escape_unicode().to_string(),
        });
        format!("'{}'", chars.collect::<String>())
    }
}
