//! The SSO OIDC API on the wire: the requests of a sign-in and of a refresh, and what each of the answers means.
//!
//! REST-JSON, unsigned. The shapes are those of `sso-oidc/2019-06-10/service-2.json` in botocore. An answer is an
//! outcome and never an `Error`: the contract's table says what follows from each.

use crate::format::http::{Method, Request, Response};
use crate::format::json::{self, Member, RawJson};
use crate::format::text;
use crate::format::time::{DAY, Timestamp};
use crate::format::url::{Url, percent_encode};
use crate::sso::callback;
use crate::sso::registration::{self, Purpose};
use crate::sso::token::{Client, Grant, Renewal, Secret};

/// No service grants an access token for longer; more is a lie. Seconds.
const EXPIRES_IN_MAX: i64 = 90 * DAY;

/// As much of a server's words as a log line holds. Characters.
const DESCRIPTION_MAX: usize = 200;

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Granted(Grant),
    /// The session has ended: only a person can help.
    Ended(Refusal),
    /// `slow_down`: one more attempt after at least five seconds.
    SlowDown(Refusal),
    /// The request is wrong, and sending it again would not mend it.
    Wrong(Refusal),
    /// Trouble that passes: 429, 5xx, or an answer that Identity Center does not give.
    TryLater {
        why: String,
    },
}

/// A device authorization that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub device_code: Secret,
    pub user_code: String,
    pub verification_uri: String,
    /// The same with the code in it; absent where the service gave none.
    pub verification_uri_complete: Option<String>,
    /// Seconds.
    pub expires_in: i64,
    /// Seconds between two polls.
    pub interval: i64,
}

/// What RegisterClient or StartDeviceAuthorization came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared<T> {
    Ready(T),
    Refused(Refusal),
    TryLater { why: String },
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// The OAuth code, such as `invalid_grant`.
    pub error: String,
    /// The server's words, made harmless; empty where it had none.
    pub description: String,
}

impl Refusal {
    /// Whether it is the client registration that the service does not take, and not the grant.
    pub fn is_about_client(&self) -> bool {
        ["invalid_client", "unauthorized_client"].contains(&self.error.as_str())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.error, self.status)?;
        if !self.description.is_empty() {
            write!(f, ": {}", self.description)?;
        }
        Ok(())
    }
}

/// CreateToken with the refresh grant: exactly four keys (interop rule F2). Whoever has a `Renewal` may ask.
pub fn refresh_request(endpoint: &Url, renewal: &Renewal) -> Request {
    post(
        endpoint,
        "/token",
        &[
            Member::new("grantType", RawJson::string("refresh_token")),
            Member::new("clientId", RawJson::string(&renewal.client_id)),
            Member::new(
                "clientSecret",
                RawJson::string(renewal.client_secret.expose()),
            ),
            Member::new(
                "refreshToken",
                RawJson::string(renewal.refresh_token.expose()),
            ),
        ],
    )
}

/// The scope without which the service grants no refresh token; asked for where the config names none (rule 6.A).
pub const ACCESS_SCOPE: &str = "sso:account:access";

/// The redirect URI as it is registered: without a port, because the port is any free one.
pub fn registered_redirect_uri() -> String {
    format!("http://127.0.0.1{}", callback::PATH)
}

/// The redirect URI as the browser follows it.
pub fn redirect_uri(port: u16) -> String {
    format!("http://127.0.0.1:{port}{}", callback::PATH)
}

/// RegisterClient. The device code is registered without grants, redirects and issuer, as the AWS CLI does.
pub fn register_request(endpoint: &Url, purpose: &Purpose) -> Request {
    let mut members = vec![
        Member::new("clientName", RawJson::string("aws-sso-refresh")),
        Member::new("clientType", RawJson::string("public")),
        Member::new("scopes", registration::strings(&purpose.scopes)),
    ];
    if let Some(redirect_uri) = &purpose.redirect_uri {
        let redirect_uris = RawJson::array(&[RawJson::string(redirect_uri)]);
        members.push(Member::new(
            "grantTypes",
            registration::strings(&purpose.grant_types),
        ));
        members.push(Member::new("redirectUris", redirect_uris));
        members.push(Member::new(
            "issuerUrl",
            RawJson::string(&purpose.issuer_url),
        ));
    }
    post(endpoint, "/client/register", &members)
}

/// What RegisterClient's answer means.
pub fn register_reply(response: &Response) -> Prepared<Client> {
    prepared(response, |members| {
        let expires_at = positive(members, "clientSecretExpiresAt")?;
        Some(Client {
            client_id: json::get_string(members, "clientId")?,
            client_secret: Secret::new(json::get_string(members, "clientSecret")?),
            expires_at: Timestamp(expires_at),
        })
    })
}

/// StartDeviceAuthorization.
pub fn device_request(endpoint: &Url, client: &Client, start_url: &str) -> Request {
    let mut members = client_members(client);
    members.push(Member::new("startUrl", RawJson::string(start_url)));
    post(endpoint, "/device_authorization", &members)
}

/// What StartDeviceAuthorization's answer means.
pub fn device_reply(response: &Response) -> Prepared<Device> {
    const INTERVAL: i64 = 5; // seconds, where the answer names none (RFC 8628, section 3.5)
    const INTERVAL_MAX: i64 = 60;
    prepared(response, |members| {
        let text = |key| json::get_string(members, key);
        Some(Device {
            device_code: Secret::new(text("deviceCode")?),
            user_code: text("userCode")?,
            verification_uri: text("verificationUri")?,
            verification_uri_complete: text("verificationUriComplete"),
            expires_in: positive(members, "expiresIn")?,
            interval: positive(members, "interval")
                .unwrap_or(INTERVAL)
                .min(INTERVAL_MAX),
        })
    })
}

/// CreateToken with a device code.
pub fn device_token_request(endpoint: &Url, client: &Client, device_code: &Secret) -> Request {
    let grant_type = "urn:ietf:params:oauth:grant-type:device_code";
    let mut members = vec![Member::new("grantType", RawJson::string(grant_type))];
    members.extend(client_members(client));
    members.push(Member::new(
        "deviceCode",
        RawJson::string(device_code.expose()),
    ));
    post(endpoint, "/token", &members)
}

/// CreateToken with an authorization code and the verifier that proves who asked for it.
pub fn code_request(
    endpoint: &Url,
    client: &Client,
    code: &Secret,
    verifier: &Secret,
    redirect_uri: &str,
) -> Request {
    let mut members = vec![Member::new(
        "grantType",
        RawJson::string("authorization_code"),
    )];
    members.extend(client_members(client));
    members.push(Member::new("code", RawJson::string(code.expose())));
    members.push(Member::new(
        "codeVerifier",
        RawJson::string(verifier.expose()),
    ));
    members.push(Member::new("redirectUri", RawJson::string(redirect_uri)));
    post(endpoint, "/token", &members)
}

/// Where the browser goes: the AWS CLI's parameters in its order. It is `scopes`, in the plural, not OAuth's `scope`.
pub fn authorize_url(
    endpoint: &Url,
    client_id: &str,
    redirect_uri: &str,
    state: &str,
    scopes: &[String],
    challenge: &str,
) -> String {
    let parameters = [
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
        ("state", state),
        ("code_challenge_method", "S256"),
        ("scopes", &scopes.join(" ")),
        ("code_challenge", challenge),
    ];
    let query: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", percent_encode(value)))
        .collect();
    format!("{}?{}", endpoint.join("/authorize"), query.join("&"))
}

/// The portal's logout: unsigned, without a body, the access token in a header.
pub fn logout_request(portal: &Url, access_token: &Secret) -> Request {
    Request {
        method: Method::Post,
        url: portal.join("/logout"),
        headers: vec![("x-amz-sso_bearer_token", access_token.expose().to_string())],
        body: Vec::new(),
    }
}

fn client_members(client: &Client) -> Vec<Member> {
    vec![
        Member::new("clientId", RawJson::string(&client.client_id)),
        Member::new(
            "clientSecret",
            RawJson::string(client.client_secret.expose()),
        ),
    ]
}

fn positive(members: &[Member], key: &str) -> Option<i64> {
    let number = json::get(members, key).and_then(RawJson::as_integer);
    number.filter(|number| *number > 0)
}

fn prepared<T>(response: &Response, read: impl FnOnce(&[Member]) -> Option<T>) -> Prepared<T> {
    if response.status == 200 {
        let members = json::members(&response.body).unwrap_or_default();
        return match read(&members) {
            Some(ready) => Prepared::Ready(ready),
            None => Prepared::TryLater {
                why: "the answer lacks what it must hold".to_string(),
            },
        };
    }
    match refusal(response) {
        Some(refusal) if response.status < 500 && response.status != 429 => {
            Prepared::Refused(refusal)
        }
        _ => Prepared::TryLater {
            why: refusal_or_status(response),
        },
    }
}

/// What CreateToken's answer means.
pub fn token_reply(response: &Response) -> Reply {
    match response.status {
        200 => match grant(&response.body) {
            Ok(grant) => Reply::Granted(grant),
            Err(why) => Reply::TryLater {
                why: format!("the answer is not a grant: {why}"),
            },
        },
        429 | 500..=599 => Reply::TryLater {
            why: refusal_or_status(response),
        },
        300..=499 => match refusal(response) {
            Some(refusal) => classify(refusal),
            None if response.status < 400 => {
                let error = "redirect".to_string();
                let description = "redirects are not followed".to_string();
                Reply::Wrong(Refusal {
                    status: response.status,
                    error,
                    description,
                })
            }
            None => unnamed_refusal(response),
        },
        _ => Reply::TryLater {
            why: refusal_or_status(response),
        },
    }
}

/// A refusal without a name: a gateway in front of the service says no in JSON. Anything else is a page of somebody who
/// stands in between, and for now.
fn unnamed_refusal(response: &Response) -> Reply {
    match json::members(&response.body) {
        Ok(body) => Reply::Wrong(Refusal {
            status: response.status,
            error: "refused".to_string(),
            description: json::get_string(&body, "message")
                .map_or_else(String::new, |message| text::said(&message, DESCRIPTION_MAX)),
        }),
        Err(_) => Reply::TryLater {
            why: refusal_or_status(response),
        },
    }
}

/// The error of an answer: its `x-amzn-ErrorType` header, else the body's `error` (interop rule 5.A). `None` where
/// neither is there, as in a captive portal's page.
pub fn refusal(response: &Response) -> Option<Refusal> {
    let body = json::members(&response.body).unwrap_or_default();
    let from_header = response
        .header("x-amzn-errortype")
        .and_then(error_of_exception);
    let error = from_header.or_else(|| json::get_string(&body, "error"))?;
    let words = ["error_description", "reason"].map(|key| json::get_string(&body, key));
    let description = words.into_iter().flatten().collect::<Vec<_>>().join("; ");
    Some(Refusal {
        status: response.status,
        error: text::said(&error, DESCRIPTION_MAX),
        description: text::said(&description, DESCRIPTION_MAX),
    })
}

/// A `POST` of a JSON object.
pub fn post(endpoint: &Url, path: &str, members: &[Member]) -> Request {
    Request {
        method: Method::Post,
        url: endpoint.join(path),
        headers: vec![("Content-Type", "application/json".to_string())],
        body: json::write_object(members).into_bytes(),
    }
}

fn classify(refusal: Refusal) -> Reply {
    match (refusal.status, refusal.error.as_str()) {
        (400, "invalid_grant" | "expired_token" | "unauthorized_client")
        | (401, "invalid_client") => Reply::Ended(refusal),
        (400, "slow_down") => Reply::SlowDown(refusal),
        _ => Reply::Wrong(refusal),
    }
}

fn grant(body: &[u8]) -> Result<Grant, String> {
    let members = json::members(body).map_err(|malformed| malformed.to_string())?;
    let Some(access_token) = json::get_string(&members, "accessToken") else {
        return Err("it has no accessToken".to_string());
    };
    let expires_in = json::get(&members, "expiresIn").and_then(RawJson::as_integer);
    let Some(expires_in) = expires_in.filter(|seconds| (1..=EXPIRES_IN_MAX).contains(seconds))
    else {
        return Err("its expiresIn is not a number of seconds up to 90 days".to_string());
    };
    let refresh_token = json::get_string(&members, "refreshToken").map(Secret::new);
    Ok(Grant {
        access_token: Secret::new(access_token),
        expires_in,
        refresh_token,
    })
}

fn refusal_or_status(response: &Response) -> String {
    match refusal(response) {
        Some(refusal) => refusal.to_string(),
        None => format!("the server answered {} without saying why", response.status),
    }
}

/// `InvalidGrantException:http://…` and `…#InvalidGrantException` to `invalid_grant`.
fn error_of_exception(header: &str) -> Option<String> {
    let name = header.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default().trim();
    match name {
        "" => None,
        "InternalServerException" => Some("server_error".to_string()),
        _ => {
            let stem = name.strip_suffix("Exception").unwrap_or(name);
            let mut snake = String::new();
            for c in stem.chars() {
                if c.is_ascii_uppercase() && !snake.is_empty() {
                    snake.push('_');
                }
                snake.push(c.to_ascii_lowercase());
            }
            Some(snake)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sso::token::CachedToken;

    fn check(status: u16, header: Option<&str>, body: &str, expected: &str) {
        let headers = header.map(|value| ("x-amzn-ErrorType".to_string(), value.to_string()));
        let response = Response {
            status,
            headers: headers.into_iter().collect(),
            body: body.as_bytes().to_vec(),
        };
        let told = match token_reply(&response) {
            Reply::Granted(grant) => {
                format!(
                    "granted {} {}",
                    grant.expires_in,
                    grant.refresh_token.is_some()
                )
            }
            Reply::Ended(refusal) => format!("ended {refusal}"),
            Reply::SlowDown(refusal) => format!("slow down {refusal}"),
            Reply::Wrong(refusal) => format!("wrong {refusal}"),
            Reply::TryLater { why } => format!("later {why}"),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn a_refresh_sends_exactly_four_keys() {
        let token = CachedToken::parse(include_bytes!("../../fixtures/tokens/cli-2.json"))
            .expect("a token");
        let endpoint = Url::parse("https://oidc.eu-west-1.amazonaws.com").expect("a literal");
        let request = refresh_request(&endpoint, &token.renewal.expect("renewable"));
        assert_eq!(
            request.url.to_string(),
            "https://oidc.eu-west-1.amazonaws.com/token"
        );
        assert_eq!(
            String::from_utf8_lossy(&request.body),
            r#"{"grantType": "refresh_token", "clientId": "example-client-id", "clientSecret": "example-client-secret", "refreshToken": "example-refresh-token-1"}"#
        );
    }

    fn client() -> Client {
        Client {
            client_id: "id".to_string(),
            client_secret: Secret::new("s"),
            expires_at: Timestamp(1_795_464_251),
        }
    }

    #[test]
    fn the_browser_is_sent_where_the_cli_sends_it() {
        let endpoint = Url::parse("https://oidc.eu-west-1.amazonaws.com").expect("a literal");
        let scopes = [ACCESS_SCOPE.to_string(), "a:b".to_string()];
        let url = authorize_url(&endpoint, "id", &redirect_uri(4321), "st", &scopes, "ch");
        assert_eq!(
            url,
            "https://oidc.eu-west-1.amazonaws.com/authorize?response_type=code&client_id=id\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A4321%2Foauth%2Fcallback&state=st\
             &code_challenge_method=S256&scopes=sso%3Aaccount%3Aaccess%20a%3Ab&code_challenge=ch"
        );
        assert_eq!(registered_redirect_uri(), "http://127.0.0.1/oauth/callback");
    }

    #[test]
    fn every_grant_sends_exactly_its_keys() {
        let endpoint = Url::parse("https://h").expect("a literal");
        let secret = Secret::new;
        for (request, body) in [
            (
                code_request(&endpoint, &client(), &secret("c"), &secret("v"), "http://r"),
                r#"{"grantType": "authorization_code", "clientId": "id", "clientSecret": "s", "code": "c", "codeVerifier": "v", "redirectUri": "http://r"}"#,
            ),
            (
                device_token_request(&endpoint, &client(), &secret("d")),
                r#"{"grantType": "urn:ietf:params:oauth:grant-type:device_code", "clientId": "id", "clientSecret": "s", "deviceCode": "d"}"#,
            ),
            (
                device_request(&endpoint, &client(), "https://u"),
                r#"{"clientId": "id", "clientSecret": "s", "startUrl": "https://u"}"#,
            ),
            (logout_request(&endpoint, &secret("t")), ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&request.body), body);
        }
    }

    #[test]
    fn a_preparation_is_ready_whole_or_not_at_all() {
        let answer = |status: u16, body: &str| Response {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        let whole = r#"{"clientId":"id","clientSecret":"s","clientSecretExpiresAt":1795464251,"tokenEndpoint":null}"#;
        assert_eq!(
            register_reply(&answer(200, whole)),
            Prepared::Ready(client())
        );
        let device = r#"{"deviceCode":"d","userCode":"ABCD-EFGH","verificationUri":"https://v/","expiresIn":600}"#;
        assert!(
            matches!(device_reply(&answer(200, device)), Prepared::Ready(device) if device.interval == 5)
        );
        for (status, body) in [
            (200, "{}"),
            (200, "<html>"),
            (
                200,
                r#"{"clientId":"id","clientSecret":"s","clientSecretExpiresAt":0}"#,
            ),
            (429, r#"{"error":"slow_down"}"#),
            (500, r#"{"error":"server_error"}"#),
            (503, ""),
            (400, "<html>"),
        ] {
            let reply = register_reply(&answer(status, body));
            assert!(
                matches!(reply, Prepared::TryLater { .. }),
                "{status} {body}"
            );
        }
        let refused = register_reply(&answer(400, r#"{"error":"invalid_client_metadata"}"#));
        assert!(matches!(refused, Prepared::Refused(refusal) if refusal.status == 400));
    }

    #[test]
    fn a_grant_needs_an_access_token_and_a_lifetime() {
        check(
            200,
            None,
            r#"{"accessToken":"a","expiresIn":3600,"refreshToken":"r","idToken":null}"#,
            "granted 3600 true",
        );
        check(
            200,
            None,
            r#"{"accessToken":"a","expiresIn":1,"refreshToken":null}"#,
            "granted 1 false",
        );
        check(
            200,
            None,
            r#"{"accessToken":"a","expiresIn":7776000,"refreshToken":""}"#,
            "granted 7776000 false",
        );
        for body in [
            r#"{"expiresIn":3600}"#,
            r#"{"accessToken":"","expiresIn":3600}"#,
            r#"{"accessToken":null,"expiresIn":3600}"#,
            r#"{"accessToken":["a"],"expiresIn":3600}"#,
        ] {
            check(
                200,
                None,
                body,
                "later the answer is not a grant: it has no accessToken",
            );
        }
        for expires_in in [
            "0", "-1", "7776001", "1e99", "3600.5", "\"3600\"", "null", "true",
        ] {
            check(
                200,
                None,
                &format!(r#"{{"accessToken":"a","expiresIn":{expires_in}}}"#),
                "later the answer is not a grant: its expiresIn is not a number of seconds up to 90 days",
            );
        }
        check(
            200,
            None,
            "<html>",
            "later the answer is not a grant: not a JSON object at byte 0",
        );
        check(
            201,
            None,
            r#"{"accessToken":"a","expiresIn":3600}"#,
            "later the server answered 201 without saying why",
        );
    }

    #[test]
    fn only_four_answers_end_a_session() {
        let uri = "http://internal.amazon.com/coral/com.amazonaws.sso.oidc/";
        check(
            400,
            Some(&format!("InvalidGrantException:{uri}")),
            r#"{"error":"invalid_grant","error_description":"Invalid refresh token provided"}"#,
            "ended invalid_grant (400): Invalid refresh token provided",
        );
        check(
            400,
            Some("com.amazonaws.sso.oidc#ExpiredTokenException"),
            "",
            "ended expired_token (400)",
        );
        check(
            400,
            None,
            r#"{"error":"unauthorized_client"}"#,
            "ended unauthorized_client (400)",
        );
        check(
            400,
            Some(":no name"),
            r#"{"error":"invalid_grant"}"#,
            "ended invalid_grant (400)",
        );
        check(
            401,
            Some("InvalidClientException"),
            "{}",
            "ended invalid_client (401)",
        );
        check(
            403,
            Some("InvalidGrantException"),
            "{}",
            "wrong invalid_grant (403)",
        );
        check(
            400,
            Some("InvalidClientException"),
            "{}",
            "wrong invalid_client (400)",
        );
        check(
            401,
            Some("InvalidGrantException"),
            "{}",
            "wrong invalid_grant (401)",
        );
    }

    #[test]
    fn a_refused_client_is_told_apart_from_a_refused_grant() {
        for (error, is_about_client) in [
            ("invalid_client", true),
            ("unauthorized_client", true),
            ("invalid_grant", false),
        ] {
            let refusal = Refusal {
                status: 400,
                error: error.to_string(),
                description: String::new(),
            };
            assert_eq!(refusal.is_about_client(), is_about_client, "{error}");
        }
    }

    #[test]
    fn what_no_retry_mends_is_wrong_and_says_the_servers_reason() {
        check(
            400,
            Some("AccessDeniedException:x"),
            r#"{"error":"access_denied","error_description":"no","reason":"KMS_DisabledException"}"#,
            "wrong access_denied (400): no; KMS_DisabledException",
        );
        check(
            400,
            Some("InvalidRequestException"),
            "{}",
            "wrong invalid_request (400)",
        );
        check(
            400,
            Some("InvalidRedirectUriException"),
            "{}",
            "wrong invalid_redirect_uri (400)",
        );
        check(
            302,
            None,
            "",
            "wrong redirect (302): redirects are not followed",
        );
        check(
            404,
            None,
            r#"{"error":"not_found"}"#,
            "wrong not_found (404)",
        );
    }

    #[test]
    fn trouble_that_passes_is_told_apart_from_an_end() {
        check(
            429,
            Some("TooManyRequestsException"),
            "{}",
            "later too_many_requests (429)",
        );
        check(
            500,
            Some("InternalServerException"),
            "{}",
            "later server_error (500)",
        );
        check(
            503,
            None,
            "<html>",
            "later the server answered 503 without saying why",
        );
        check(
            500,
            None,
            r#"{"error":"invalid_grant"}"#,
            "later invalid_grant (500)",
        );
        check(
            400,
            Some("SlowDownException"),
            "{}",
            "slow down slow_down (400)",
        );
    }

    #[test]
    fn a_captive_portals_page_is_never_an_end() {
        for status in [200, 400, 401, 403, 511] {
            let response = Response {
                status,
                headers: Vec::new(),
                body: b"<html>sign in</html>".to_vec(),
            };
            assert!(
                matches!(token_reply(&response), Reply::TryLater { .. }),
                "{status}"
            );
        }
    }

    #[test]
    fn a_refusal_without_a_name_is_told_and_not_repeated() {
        let body = r#"{"message":"Forbidden"}"#;
        check(403, None, body, "wrong refused (403): Forbidden");
        check(404, None, "{}", "wrong refused (404)");
        check(
            403,
            None,
            "<html>",
            "later the server answered 403 without saying why",
        );
    }

    #[test]
    fn a_servers_words_cannot_steer_a_terminal_or_fill_the_log() {
        let body = format!(
            r#"{{"error":"x\u001b[2J","error_description":"{}"}}"#,
            "why ".repeat(100)
        );
        let expected = format!("wrong x�[2J (400): {}…", "why ".repeat(50));
        check(400, None, &body, &expected);
    }
}
