//! A token file of the shared cache: what it holds, what may be done with it, and what it becomes after a grant.
//!
//! Everything that was read is kept, also what is not known here, byte for byte and in order; only what a grant
//! brings is put in its place. Known members are strings or absent, never `null`; times are written in the one form
//! that every tool reads (interop rules 3.A, F5, F6, W3, W4, W6, W10).

use crate::format::digest;
use crate::format::json::{self, Malformed, Member, Piece, RawJson};
use crate::format::time::Timestamp;

/// A text that must not be seen: shows as `(hidden)`, and `expose()` can be counted with grep.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Piece);

impl Secret {
    pub fn new(text: impl Into<Piece>) -> Secret {
        Secret(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn fingerprint(&self) -> Fingerprint {
        let [a, b, c, d, e, f, g, h, ..] = digest::sha256(self.0.as_bytes());
        Fingerprint(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The first 64 bits of a secret's SHA-256: enough to recognise it, useless to whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of no secret at all.
    pub const OF_NOTHING: Fingerprint = Fingerprint(0xe3b0_c442_98fc_1c14);

    /// Takes exactly 16 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let is_hex =
            text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex);
        number.map(Fingerprint)
    }
}

/// As 16 lower-case hex digits.
impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&digest::hex(&self.0.to_be_bytes()))
    }
}

/// A token file that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedToken {
    pub access_token: Secret,
    pub expires_at: Timestamp,
    /// What is missing for a refresh, by its name in the file, or what a refresh is made with.
    pub renewal: Result<Renewal, Vec<&'static str>>,
    pub start_url: Option<Piece>,
    pub region: Option<Piece>,
    /// Things that other tools may stumble over, as sentences.
    pub oddities: Vec<&'static str>,
    whole: Piece,
}

/// All or nothing: a token that has this can be refreshed. All of it comes from one read of one file (rule R4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    pub refresh_token: Secret,
    pub client_id: Piece,
    pub client_secret: Secret,
    /// Absent in files of tools that do not write it; then a refresh is tried all the same (rule F14).
    pub registration_expires_at: Option<Timestamp>,
}

/// What the service granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub access_token: Secret,
    /// Seconds.
    pub expires_in: i64,
    /// Absent: the old one goes on being used (rule F5).
    pub refresh_token: Option<Secret>,
}

/// The client registration that a sign-in was made with, and what its token file says beside the grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub client_id: String,
    pub client_secret: Secret,
    pub expires_at: Timestamp,
}

/// Why bytes are not a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAToken {
    /// Empty, cut short or not JSON: perhaps another tool is writing it this moment.
    Unparsable(String),
    /// A JSON object, but without a usable access token and expiry.
    Lacking(&'static str),
}

impl std::fmt::Display for NotAToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotAToken::Unparsable(why) => f.write_str(why),
            NotAToken::Lacking(what) => f.write_str(what),
        }
    }
}

impl From<Malformed> for NotAToken {
    fn from(malformed: Malformed) -> NotAToken {
        NotAToken::Unparsable(malformed.to_string())
    }
}

/// The members that tools agree on, in the order in which the AWS CLI writes them. All are strings.
const KNOWN: [&str; 8] = [
    "startUrl",
    "region",
    "accessToken",
    "expiresAt",
    "clientId",
    "clientSecret",
    "registrationExpiresAt",
    "refreshToken",
];

/// The strings of the members that tools agree on. JSON `null` and the empty string count as absent, as does what is no
/// string; where a member is written more than once the last one counts, as in every reader of the cache.
fn known(whole: &Piece) -> Result<[Option<Piece>; 8], Malformed> {
    let mut found = [const { None }; 8];
    json::each_member(whole, &mut |key, value| {
        if let Some(index) = KNOWN.iter().position(|known| *known == key) {
            found[index] = value.as_word();
        }
    })?;
    Ok(found)
}

impl CachedToken {
    /// # Errors
    /// The bytes are no JSON object, or one without a non-empty `accessToken` and a readable `expiresAt`.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<CachedToken, NotAToken> {
        let bytes = bytes.into();
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(NotAToken::Unparsable("empty".to_string()));
        }
        let whole = json::text_of(bytes)?;
        let [
            start_url,
            region,
            access_token,
            expires_at,
            client_id,
            client_secret,
            registration_text,
            refresh_token,
        ] = known(&whole)?;
        let Some(access_token) = access_token.map(Secret) else {
            return Err(NotAToken::Lacking("it has no accessToken"));
        };
        let Some(expires_at) = expires_at else {
            return Err(NotAToken::Lacking("it has no expiresAt"));
        };
        let Some(expires_at) = Timestamp::parse(&expires_at) else {
            return Err(NotAToken::Lacking("its expiresAt is not a time"));
        };
        let registration = registration_text.as_deref().and_then(Timestamp::parse);
        let mut oddities = Vec::new();
        if !expires_at.has_zone || registration.is_some_and(|parsed| !parsed.has_zone) {
            oddities.push("a time in it names no zone and is taken as UTC");
        }
        if registration_text.is_some() && registration.is_none() {
            oddities.push("its registrationExpiresAt is not a time and counts as absent");
        }
        let renewal = match (refresh_token, client_id, client_secret) {
            (Some(refresh_token), Some(client_id), Some(client_secret)) => Ok(Renewal {
                refresh_token: Secret(refresh_token),
                client_id,
                client_secret: Secret(client_secret),
                registration_expires_at: registration.map(|parsed| parsed.at),
            }),
            (refresh_token, client_id, client_secret) => Err([
                ("refreshToken", refresh_token.is_none()),
                ("clientId", client_id.is_none()),
                ("clientSecret", client_secret.is_none()),
            ]
            .into_iter()
            .filter_map(|(name, is_missing)| is_missing.then_some(name))
            .collect()),
        };
        Ok(CachedToken {
            access_token,
            expires_at: expires_at.at,
            renewal,
            start_url,
            region,
            oddities,
            whole,
        })
    }

    /// The text that was read, from which all of this was taken.
    pub fn text(&self) -> &Piece {
        &self.whole
    }

    /// Seconds until it expires; negative after.
    pub fn remaining(&self, now: Timestamp) -> i64 {
        self.expires_at.since(now)
    }

    pub fn refresh_fingerprint(&self) -> Option<Fingerprint> {
        self.renewal
            .as_ref()
            .ok()
            .map(|renewal| renewal.refresh_token.fingerprint())
    }

    /// Whether the other is the same sign-in at the same refresh, whatever else was rewritten around it (rule F4).
    pub fn is_same_grant(&self, other: &CachedToken) -> bool {
        // Also where it takes more than these to refresh it.
        let named = |token: &CachedToken| {
            known(&token.whole)
                .map(|[_, _, access, _, client, _, _, refresh]| [access, client, refresh])
        };
        named(self) == named(other)
    }

    /// The file after `grant`, which was asked for at `asked_at`: what was there, with the new tokens in their places.
    pub fn with_grant(&self, grant: &Grant, asked_at: Timestamp) -> Vec<u8> {
        let mut members = json::members_of(&self.whole).expect("it was read before");
        json::set(
            &mut members,
            "accessToken",
            RawJson::string(grant.access_token.expose()),
        );
        let expires_at = asked_at.plus(grant.expires_in);
        json::set(
            &mut members,
            "expiresAt",
            RawJson::string(&expires_at.to_string()),
        );
        if let Some(refresh_token) = &grant.refresh_token {
            json::set(
                &mut members,
                "refreshToken",
                RawJson::string(refresh_token.expose()),
            );
        }
        if let Some(registration) = json::get_string(&members, "registrationExpiresAt")
            && let Some(parsed) = Timestamp::parse(&registration)
        {
            json::set(
                &mut members,
                "registrationExpiresAt",
                RawJson::string(&parsed.at.to_string()),
            );
        }
        for key in KNOWN {
            let is_text = json::get(&members, key).is_some_and(|value| value.as_string().is_some());
            if !is_text {
                json::remove(&mut members, key);
            }
        }
        json::write_object(&members).into_bytes()
    }
}

/// The whole token file of a new sign-in (rule W5), in the AWS CLI's order of members.
pub fn of_sign_in(
    start_url: &str,
    region: &str,
    client: &Client,
    grant: &Grant,
    asked_at: Timestamp,
) -> Vec<u8> {
    let expires_at = asked_at.plus(grant.expires_in).to_string();
    let registration_expires_at = client.expires_at.to_string();
    let refresh_token = grant.refresh_token.as_ref().map(Secret::expose);
    let values = [
        Some(start_url),
        Some(region),
        Some(grant.access_token.expose()),
        Some(expires_at.as_str()),
        Some(client.client_id.as_str()),
        Some(client.client_secret.expose()),
        Some(registration_expires_at.as_str()),
        refresh_token,
    ];
    let members: Vec<Member> = KNOWN
        .iter()
        .zip(values)
        .filter_map(|(key, value)| value.map(|value| Member::new(key, RawJson::string(value))))
        .collect();
    json::write_object(&members).into_bytes()
}

/// Whether two start URLs mean the same portal: a trailing `/`, `#` or `#/` does not count.
pub fn is_same_start_url(one: &str, other: &str) -> bool {
    fn bare(url: &str) -> &str {
        let url = url.strip_suffix('/').unwrap_or(url);
        let url = url.strip_suffix('#').unwrap_or(url);
        url.strip_suffix('/').unwrap_or(url)
    }
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLI_2: &[u8] = include_bytes!("../../fixtures/tokens/cli-2.json");
    const JS: &[u8] = include_bytes!("../../fixtures/tokens/js.json");
    const NULLS: &[u8] = include_bytes!("../../fixtures/tokens/nulls.json");
    const UNKNOWN: &[u8] = include_bytes!("../../fixtures/tokens/unknown-members.json");

    fn grant(refresh_token: Option<&str>) -> Grant {
        Grant {
            access_token: Secret::new("new-access"),
            expires_in: 3600,
            refresh_token: refresh_token.map(Secret::new),
        }
    }

    const ASKED_AT: Timestamp = Timestamp(1_795_464_251); // 2026-11-23T20:04:11Z

    fn check(before: &[u8], grant: &Grant, expected: &str) {
        let token = CachedToken::parse(before).expect("a token");
        let after = token.with_grant(grant, ASKED_AT);
        assert_eq!(String::from_utf8_lossy(&after), expected.trim_end());
        let read_back = CachedToken::parse(after.as_slice()).expect("what was written can be read");
        assert_eq!(read_back.expires_at, ASKED_AT.plus(3600));
    }

    #[test]
    fn a_file_of_the_aws_cli_is_read_whole() {
        let token = CachedToken::parse(CLI_2).expect("a token");
        let renewal = token.renewal.as_ref().expect("it can be refreshed");
        assert_eq!(token.expires_at.to_string(), "2026-11-23T19:12:05Z");
        assert_eq!(
            renewal
                .registration_expires_at
                .map(|t| t.to_string())
                .as_deref(),
            Some("2027-01-20T18:12:04Z")
        );
        assert_eq!(token.region.as_deref(), Some("eu-west-1"));
        assert!(token.oddities.is_empty());
    }

    #[test]
    fn a_grant_takes_the_place_of_the_old_tokens_and_moves_nothing_else() {
        check(
            UNKNOWN,
            &grant(Some("new-refresh")),
            include_str!("../../fixtures/tokens/unknown-members.refreshed.json"),
        );
    }

    #[test]
    fn without_a_new_refresh_token_the_old_one_stays() {
        let token = CachedToken::parse(CLI_2).expect("a token");
        let after = CachedToken::parse(token.with_grant(&grant(None), ASKED_AT)).expect("a token");
        assert_eq!(after.refresh_fingerprint(), token.refresh_fingerprint());
        assert!(token.refresh_fingerprint().is_some());
    }

    #[test]
    fn times_are_written_in_the_one_form_that_every_tool_reads() {
        let token = CachedToken::parse(JS).expect("a token");
        let after = String::from_utf8(token.with_grant(&grant(None), ASKED_AT)).expect("UTF-8");
        assert!(
            after.contains(r#""expiresAt": "2026-11-23T21:04:11Z""#),
            "{after}"
        );
        assert!(
            after.contains(r#""registrationExpiresAt": "2027-01-20T18:12:04Z""#),
            "{after}"
        );
    }

    #[test]
    fn a_known_member_that_is_null_is_read_as_absent_and_never_written() {
        let token = CachedToken::parse(NULLS).expect("a token");
        assert_eq!(token.renewal, Err(vec!["refreshToken"]));
        let after =
            String::from_utf8(token.with_grant(&grant(Some("r")), ASKED_AT)).expect("UTF-8");
        assert!(!after.contains("null"), "{after}");
        assert!(
            CachedToken::parse(after.as_bytes())
                .expect("a token")
                .renewal
                .is_ok()
        );
    }

    #[test]
    fn what_is_no_token_says_why() {
        for (text, why) in [
            ("", "empty"),
            ("\n", "empty"),
            (
                "{\"accessToken\": \"a",
                "a string without an end at byte 18",
            ),
            ("[1]", "not a JSON object at byte 0"),
            ("{}", "it has no accessToken"),
            (r#"{"accessToken": ""}"#, "it has no accessToken"),
            (r#"{"accessToken": 5}"#, "it has no accessToken"),
            (r#"{"accessToken": "a"}"#, "it has no expiresAt"),
            (
                r#"{"accessToken": "a", "expiresAt": 1795464251}"#,
                "it has no expiresAt",
            ),
            (
                r#"{"accessToken": "a", "expiresAt": "soon"}"#,
                "its expiresAt is not a time",
            ),
        ] {
            assert_eq!(
                CachedToken::parse(text.as_bytes())
                    .expect_err("no token")
                    .to_string(),
                why
            );
        }
    }

    #[test]
    fn a_missing_registration_expiry_does_not_stop_a_refresh() {
        let token = CachedToken::parse(
            br#"{"accessToken":"a","expiresAt":"2026-11-23T20:04:11Z","refreshToken":"r","clientId":"c","clientSecret":"s","registrationExpiresAt":"never"}"#,
        )
        .expect("a token");
        assert_eq!(
            token.renewal.expect("renewable").registration_expires_at,
            None
        );
        assert_eq!(
            token.oddities,
            ["its registrationExpiresAt is not a time and counts as absent"]
        );
    }

    #[test]
    fn either_time_without_a_zone_is_told() {
        for (expires, registration, expected) in
            [("Z", "Z", 0), ("", "Z", 1), ("Z", "", 1), ("", "", 1)]
        {
            let text = format!(
                r#"{{"accessToken":"a","expiresAt":"2026-11-23T20:04:11{expires}","registrationExpiresAt":"2027-01-01T00:00:00{registration}"}}"#
            );
            let token = CachedToken::parse(text.as_bytes()).expect("a token");
            assert_eq!(token.oddities.len(), expected, "{text}");
        }
    }

    #[test]
    fn only_the_tokens_and_the_client_make_a_grant_another() {
        let token = |text: &str| CachedToken::parse(text.as_bytes()).expect("a token");
        let one = token(
            r#"{"accessToken":"a","expiresAt":"2026-11-23T20:04:11Z","refreshToken":"r","clientId":"c"}"#,
        );
        let rewritten = token(
            r#"{"clientId":"c","x":1,"accessToken":"a","expiresAt":"2026-11-23T20:04:11.0Z","refreshToken":"r"}"#,
        );
        assert!(one.is_same_grant(&rewritten));
        for other in [
            r#"{"accessToken":"b","expiresAt":"2026-11-23T20:04:11Z","refreshToken":"r","clientId":"c"}"#,
            r#"{"accessToken":"a","expiresAt":"2026-11-23T20:04:11Z","refreshToken":"q","clientId":"c"}"#,
            r#"{"accessToken":"a","expiresAt":"2026-11-23T20:04:11Z","clientId":"c"}"#,
            r#"{"accessToken":"a","expiresAt":"2026-11-23T20:04:11Z","refreshToken":"r","clientId":"d"}"#,
        ] {
            assert!(!one.is_same_grant(&token(other)), "{other}");
        }
    }

    #[test]
    fn a_sign_in_writes_the_eight_members_of_the_aws_cli_in_its_order() {
        let client = Client {
            client_id: "c".into(),
            client_secret: Secret::new("s"),
            expires_at: ASKED_AT,
        };
        let written = of_sign_in(
            "https://x/start",
            "eu-west-1",
            &client,
            &grant(Some("r")),
            ASKED_AT,
        );
        assert_eq!(
            String::from_utf8_lossy(&written),
            r#"{"startUrl": "https://x/start", "region": "eu-west-1", "accessToken": "new-access", "expiresAt": "2026-11-23T21:04:11Z", "clientId": "c", "clientSecret": "s", "registrationExpiresAt": "2026-11-23T20:04:11Z", "refreshToken": "r"}"#
        );
        let without = of_sign_in(
            "https://x/start",
            "eu-west-1",
            &client,
            &grant(None),
            ASKED_AT,
        );
        assert!(!String::from_utf8_lossy(&without).contains("refreshToken"));
    }

    #[test]
    fn spellings_of_one_start_url_are_one_portal() {
        for other in [
            "https://x/start",
            "https://x/start/",
            "https://x/start#",
            "https://x/start#/",
            "https://x/start/#/",
        ] {
            assert!(is_same_start_url("https://x/start", other), "{other}");
        }
        assert!(!is_same_start_url("https://x/start", "https://x/start2"));
        assert!(!is_same_start_url("https://x/start", "https://X/start"));
    }

    #[test]
    fn a_secret_shows_itself_to_nobody() {
        let token = CachedToken::parse(CLI_2).expect("a token");
        let shown = format!("{token:?}");
        assert!(
            !shown.contains("example-access") && shown.contains("(hidden)"),
            "{shown}"
        );
        assert_eq!(
            Secret::new("abc").fingerprint().to_string(),
            "ba7816bf8f01cfea"
        );
        assert_eq!(
            Fingerprint::parse("ba7816bf8f01cfea"),
            Some(Secret::new("abc").fingerprint())
        );
        assert_eq!(Fingerprint::parse("BA7816BF8F01CFEA"), None);
        assert_eq!(Fingerprint::parse("ba7816"), None);
        assert_eq!(Fingerprint::OF_NOTHING, Secret::new("").fingerprint());
    }
}
