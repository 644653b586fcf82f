//! A client registration as it is kept in the shared cache folder: which file it has, and when it may be used again.
//!
//! The name follows the AWS CLI's scheme with a `tool` of our own, so that neither takes or overwrites the other's
//! (interop rules A3, A4). The file holds no `accessToken`: `aws sso logout` leaves it alone, and so do token readers.

use crate::format::digest;
use crate::format::json::{self, Member, RawJson};
use crate::format::time::{DAY, Timestamp};
use crate::sso::token::{Client, Secret};

/// A registration with less left is renewed rather than used: a session ends with its registration, and one that has just
/// begun should have days. That costs one request at a sign-in within the last of 90 days. Seconds.
const LEFT_MIN: i64 = ENDS_SOON + DAY;

/// With less left, a person is told that the registration ends: a sign-in before that makes a new one. Seconds.
pub const ENDS_SOON: i64 = 7 * DAY;

/// Everything that a registration was made for: it serves exactly that again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    pub session_name: String,
    /// As configured.
    pub start_url: String,
    /// As sent: a vanity start URL leads here.
    pub issuer_url: String,
    pub region: String,
    pub scopes: Vec<String>,
    /// Empty for the device code, which is registered without them.
    pub grant_types: Vec<String>,
    pub redirect_uri: Option<String>,
}

impl Purpose {
    /// The file's name without its ending: SHA-1 of the AWS CLI's canonical JSON text.
    pub fn key(&self) -> String {
        let canonical = RawJson::object(&[
            Member::new("region", RawJson::string(&self.region)),
            Member::new("scopes", strings(&self.scopes)),
            Member::new("session_name", RawJson::string(&self.session_name)),
            Member::new("startUrl", RawJson::string(&self.start_url)),
            Member::new("tool", RawJson::string("aws-sso-refresh")),
        ]);
        digest::sha1_hex(ascii(canonical.as_text()).as_bytes())
    }

    /// The file of a registration for this purpose.
    pub fn to_bytes(&self, client: &Client) -> Vec<u8> {
        let mut members = vec![
            Member::new("clientId", RawJson::string(&client.client_id)),
            Member::new(
                "clientSecret",
                RawJson::string(client.client_secret.expose()),
            ),
            Member::new("expiresAt", RawJson::string(&client.expires_at.to_string())),
        ];
        members.extend(self.members());
        json::write_object(&members).into_bytes()
    }

    /// The registration in a file, where it was made for this purpose and lasts.
    pub fn reusable(&self, bytes: &[u8], now: Timestamp) -> Option<Client> {
        let members = json::members(bytes).ok()?;
        let is_same = self.members().iter().all(|expected| {
            json::get(&members, &expected.key).map(RawJson::as_text)
                == Some(expected.value.as_text())
        });
        let has_same_redirect =
            self.redirect_uri.is_some() == json::get(&members, REDIRECT_URI).is_some();
        let expires_at = Timestamp::parse(&json::get_string(&members, "expiresAt")?)?.at;
        let lasts = expires_at.since(now) > LEFT_MIN;
        (is_same && has_same_redirect && lasts).then_some(Client {
            client_id: json::get_string(&members, "clientId")?,
            client_secret: Secret::new(json::get_string(&members, "clientSecret")?),
            expires_at,
        })
    }

    fn members(&self) -> Vec<Member> {
        let mut members = vec![
            Member::new("startUrl", RawJson::string(&self.start_url)),
            Member::new("issuerUrl", RawJson::string(&self.issuer_url)),
            Member::new("region", RawJson::string(&self.region)),
            Member::new("scopes", strings(&self.scopes)),
            Member::new("grantTypes", strings(&self.grant_types)),
        ];
        if let Some(redirect_uri) = &self.redirect_uri {
            members.push(Member::new(REDIRECT_URI, RawJson::string(redirect_uri)));
        }
        members
    }
}

const REDIRECT_URI: &str = "redirectUri";

pub fn strings(items: &[String]) -> RawJson {
    let items: Vec<RawJson> = items.iter().map(|item| RawJson::string(item)).collect();
    RawJson::array(&items)
}

/// As Python writes it: everything beyond ASCII as `\uXXXX`.
fn ascii(text: &str) -> String {
    let mut units = [0; 2];
    text.chars().fold(String::new(), |mut ascii, c| {
        if c.is_ascii() && c != '\u{7f}' {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
        ascii
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_464_251);

    fn purpose() -> Purpose {
        Purpose {
            session_name: "my-sso".to_string(),
            start_url: "https://d-1234567890.awsapps.com/start".to_string(),
            issuer_url: "https://d-1234567890.awsapps.com/start".to_string(),
            region: "eu-west-1".to_string(),
            scopes: vec!["sso:account:access".to_string()],
            grant_types: vec![
                "authorization_code".to_string(),
                "refresh_token".to_string(),
            ],
            redirect_uri: Some("http://127.0.0.1/oauth/callback".to_string()),
        }
    }

    fn client(left: i64) -> Client {
        Client {
            client_id: "id".to_string(),
            client_secret: Secret::new("secret"),
            expires_at: NOW.plus(left),
        }
    }

    #[test]
    fn the_name_follows_the_clis_scheme_with_a_tool_of_our_own() {
        let canonical = r#"{"region": "eu-west-1", "scopes": ["sso:account:access"], "session_name": "my-sso", "startUrl": "https://d-1234567890.awsapps.com/start", "tool": "aws-sso-refresh"}"#;
        assert_eq!(purpose().key(), digest::sha1_hex(canonical.as_bytes()));
        assert_eq!(ascii("é😀\u{7f}"), "\\u00e9\\ud83d\\ude00\\u007f");
    }

    #[test]
    fn a_registration_is_used_again_only_for_the_same_and_only_while_it_lasts() {
        let bytes = purpose().to_bytes(&client(8 * DAY + 1));
        assert_eq!(purpose().reusable(&bytes, NOW), Some(client(8 * DAY + 1)));
        assert_eq!(purpose().reusable(&bytes, NOW.plus(1)), None);
        let others: [fn(&mut Purpose); 6] = [
            |purpose| purpose.start_url.push('/'),
            |purpose| purpose.issuer_url.push('/'),
            |purpose| purpose.region = "eu-west-2".to_string(),
            |purpose| purpose.scopes.push("codewhisperer:completions".to_string()),
            |purpose| purpose.grant_types.clear(),
            |purpose| purpose.redirect_uri = None,
        ];
        for change in others {
            let mut other = purpose();
            change(&mut other);
            assert_eq!(other.reusable(&bytes, NOW), None, "{other:?}");
        }
    }

    #[test]
    fn the_file_of_a_registration_is_never_taken_for_a_token() {
        let bytes = purpose().to_bytes(&client(90 * 86_400));
        assert!(crate::sso::token::CachedToken::parse(bytes.as_slice()).is_err());
        assert!(!String::from_utf8_lossy(&bytes).contains("accessToken"));
        for text in ["", "[]", "{}", "5"] {
            assert_eq!(purpose().reusable(text.as_bytes(), NOW), None);
        }
    }
}
