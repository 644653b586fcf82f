//! What the service knows and answers: clients, sign-ins, tokens; no socket, no clock of its own.
//!
//! Every answer follows from the request, the state and `now`, the time since the epoch.
//! A request that no correct client sends is refused, and what was wrong with it is kept in `violations`.

use std::collections::HashMap;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use tinyjson::JsonValue;

use super::oauth::{OAuthError, PortalError};
use super::wire::{
    Reply, Request, base64url, list, number, object, parse_pairs, percent_encode, text, unique,
};
use super::{Consent, Granted, Options, RefreshTokens, SignIn};

pub const ACCOUNT: &str = "123456789012";
pub const ROLE: &str = "Developer";

const ACCESS_SCOPE: &str = "sso:account:access";
const REDIRECT_URI: &str = "http://127.0.0.1/oauth/callback";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const GRANTS: [&str; 3] = ["authorization_code", "refresh_token", DEVICE_GRANT];
const LEGACY_LIFETIME: Duration = Duration::from_secs(8 * 3600); // fixed, for tokens without scopes
const CODE_LIFETIME: Duration = Duration::from_secs(60);
const ROLE_LIFETIME: Duration = Duration::from_secs(3600);
const SLOWER: Duration = Duration::from_secs(5); // RFC 8628, section 3.5
const QUICK_POLLS: usize = 2; // the AWS CLI sends its first two polls back to back

type Oidc = Result<Reply, OAuthError>;
type Portal = Result<Reply, PortalError>;
type Members = HashMap<String, JsonValue>;

#[derive(Debug)]
struct Client {
    secret: String,
    scopes: Vec<String>,
    grants: Vec<String>,
    redirect_uris: Vec<String>,
    issuer: Option<String>,
    expires_at: Duration,
}

/// A person's session at the portal: when it ends, every token of it ends.
#[derive(Debug)]
struct Session {
    start_url: String,
    ends_at: Duration,
    over: bool,
}

/// One consent of a person; its refresh tokens are a family.
#[derive(Debug)]
struct Family {
    session: usize,
    client_id: String,
    refreshable: bool,
    revoked: bool,
}

#[derive(Debug)]
struct AccessToken {
    family: usize,
    expires_at: Duration,
}

#[derive(Debug)]
struct RefreshToken {
    token: String,
    family: usize,
    spent: bool,
    presented: usize,
}

/// A refresh token that was granted, as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedRefreshToken {
    pub token: String,
    pub live: bool,
    /// How often a client sent it.
    pub presented: usize,
}

/// An authorization request, waiting for a person and then for its code to be redeemed.
#[derive(Debug, Clone)]
struct Authorization {
    client_id: String,
    redirect_uri: String,
    state: String,
    challenge: String,
    expires_at: Duration,
}

#[derive(Debug)]
struct Device {
    user_code: String,
    client_id: String,
    start_url: String,
    expires_at: Duration,
    interval: Duration,
    polls: usize,
    last_poll: Duration,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pending,
    Allowed,
    Denied,
    Redeemed,
}

#[derive(Debug)]
pub struct Service {
    options: Options,
    endpoint: String,
    clients: HashMap<String, Client>,
    sessions: Vec<Session>,
    families: Vec<Family>,
    access_tokens: HashMap<String, AccessToken>,
    refresh_tokens: Vec<RefreshToken>,
    consents: HashMap<String, Authorization>,
    codes: HashMap<String, Authorization>,
    devices: HashMap<String, Device>,
    pub spent_twice: usize,
    pub violations: Vec<String>,
    /// Everything that no log may hold.
    pub secrets: Vec<String>,
}

impl Service {
    pub fn new(options: Options, endpoint: &str) -> Service {
        Service {
            options,
            endpoint: endpoint.to_string(),
            clients: HashMap::new(),
            sessions: Vec::new(),
            families: Vec::new(),
            access_tokens: HashMap::new(),
            refresh_tokens: Vec::new(),
            consents: HashMap::new(),
            codes: HashMap::new(),
            devices: HashMap::new(),
            spent_twice: 0,
            violations: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// As `random`; that it is a secret is remembered.
    fn secret(&mut self, prefix: &str, length: usize) -> String {
        let secret = random(prefix, length);
        self.secrets.push(secret.clone());
        secret
    }

    pub fn answer(&mut self, request: &Request, now: Duration) -> Reply {
        let method = if request.method == "HEAD" {
            "GET"
        } else {
            request.method.as_str()
        };
        let reply = match (method, request.path.as_str()) {
            ("POST", "/client/register") => {
                self.oidc(request, |service, body| service.register(body, now))
            }
            ("POST", "/device_authorization") => {
                self.oidc(request, |service, body| service.start_device(body, now))
            }
            ("POST", "/token") => {
                self.oidc(request, |service, body| service.create_token(body, now))
            }
            ("GET", "/authorize") => self.authorize(request, now),
            ("POST", "/authorize") => self.consent(request, now),
            ("GET", "/device") => self.device_page(request),
            ("POST", "/device") => self.device_verdict(request, now),
            ("POST", "/logout") => {
                self.portal(request, |service, token| service.logout(token, now))
            }
            ("GET", "/federation/credentials") => self.portal(request, |service, token| {
                service.role_credentials(request, token, now)
            }),
            ("GET", "/assignment/accounts") => {
                self.portal(request, |service, token| service.accounts(token, now))
            }
            ("GET", "/assignment/roles") => {
                self.portal(request, |service, token| service.roles(request, token, now))
            }
            ("GET", "/favicon.ico") => Reply::new(404, "text/plain", ""),
            _ => {
                self.violations.push(format!(
                    "{} {}: no such operation",
                    request.method, request.path
                ));
                Reply::json(404, "{}".to_string())
                    .with("x-amzn-ErrorType", "UnknownOperationException")
            }
        };
        reply.with("x-amzn-RequestId", &uuid())
    }

    // The OIDC half.

    fn oidc(
        &mut self,
        request: &Request,
        operation: impl FnOnce(&mut Service, &Members) -> Oidc,
    ) -> Reply {
        let result = check_headers(request).and_then(|()| members(&request.body));
        let result = result
            .map_err(|why| misuse(&why))
            .and_then(|body| operation(self, &body));
        result.unwrap_or_else(|error| {
            if error.is_misuse() {
                self.violations.push(format!(
                    "{}: {}: {}",
                    request.path, error.error, error.description
                ));
            }
            error.reply()
        })
    }

    fn register(&mut self, body: &Members, now: Duration) -> Oidc {
        let optional = [
            "scopes",
            "grantTypes",
            "redirectUris",
            "issuerUrl",
            "entitledApplicationArn",
        ];
        check_keys(body, &["clientName", "clientType"], &optional)?;
        string(body, "clientName")?;
        if string(body, "clientType")? != "public" {
            return Err(OAuthError::named(
                "invalid_client_metadata",
                "clientType must be public",
            ));
        }
        let scopes = strings(body, "scopes")?;
        let is_scope = |scope: &String| {
            scope
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b":_.-".contains(&b))
        };
        if !scopes.iter().all(is_scope) {
            return Err(OAuthError::named("invalid_scope", "Invalid scope"));
        }
        let grants = match strings(body, "grantTypes")? {
            none if none.is_empty() => vec![DEVICE_GRANT.to_string(), "refresh_token".to_string()],
            grants => grants,
        };
        if !grants.iter().all(|grant| GRANTS.contains(&grant.as_str())) {
            return Err(OAuthError::named(
                "unsupported_grant_type",
                "Unsupported grant type",
            ));
        }
        let redirect_uris = strings(body, "redirectUris")?;
        let with_code = grants.iter().any(|grant| grant == "authorization_code");
        let right_uris = redirect_uris.iter().all(|uri| uri == REDIRECT_URI)
            && redirect_uris.is_empty() != with_code;
        if !right_uris {
            return Err(OAuthError::named(
                "invalid_redirect_uri",
                "Invalid redirect URI",
            ));
        }
        let issuer = body
            .get("issuerUrl")
            .map(|_| url(body, "issuerUrl"))
            .transpose()?;
        if with_code && issuer.is_none() {
            return Err(misuse("issuerUrl is missing"));
        }

        let (client_id, secret) = (random("client-", 11), self.secret("secret-", 200));
        let expires_at = now + self.options.registration_lifetime;
        let reply = object([
            ("clientId", text(&client_id)),
            ("clientSecret", text(&secret)),
            ("clientIdIssuedAt", number(now.as_secs())),
            ("clientSecretExpiresAt", number(expires_at.as_secs())),
            ("authorizationEndpoint", JsonValue::Null),
            ("tokenEndpoint", JsonValue::Null),
        ]);
        self.clients.insert(
            client_id,
            Client {
                secret,
                scopes,
                grants,
                redirect_uris,
                issuer,
                expires_at,
            },
        );
        Ok(Reply::json(200, reply))
    }

    fn start_device(&mut self, body: &Members, now: Duration) -> Oidc {
        check_keys(body, &["clientId", "clientSecret", "startUrl"], &[])?;
        let client_id = self.known_client(body, now)?;
        self.check_grant(&client_id, DEVICE_GRANT)?;
        let start_url = url(body, "startUrl")?;
        let (device_code, user_code) = (self.secret("device-", 60), user_code());
        let page = format!("{}/device", self.endpoint);
        let reply = object([
            ("deviceCode", text(&device_code)),
            ("userCode", text(&user_code)),
            ("verificationUri", text(&page)),
            (
                "verificationUriComplete",
                text(&format!("{page}?user_code={user_code}")),
            ),
            ("expiresIn", number(self.options.device_lifetime.as_secs())),
            ("interval", number(self.options.device_interval.as_secs())),
        ]);
        let device = Device {
            user_code,
            client_id,
            start_url,
            expires_at: now + self.options.device_lifetime,
            interval: self.options.device_interval,
            polls: 0,
            last_poll: now,
            verdict: if self.options.consent == Consent::Ask {
                Verdict::Pending
            } else {
                self.auto_verdict()
            },
        };
        self.devices.insert(device_code, device);
        Ok(Reply::json(200, reply))
    }

    fn auto_verdict(&self) -> Verdict {
        if self.options.consent == Consent::Allow {
            Verdict::Allowed
        } else {
            Verdict::Denied
        }
    }

    fn create_token(&mut self, body: &Members, now: Duration) -> Oidc {
        let grant = string(body, "grantType")?;
        let rest: &[&str] = match grant {
            "refresh_token" => &["grantType", "clientId", "clientSecret", "refreshToken"],
            "authorization_code" => &[
                "grantType",
                "clientId",
                "clientSecret",
                "code",
                "codeVerifier",
                "redirectUri",
            ],
            DEVICE_GRANT => &["grantType", "clientId", "clientSecret", "deviceCode"],
            _ => {
                return Err(OAuthError::named(
                    "unsupported_grant_type",
                    "Unsupported grant type",
                ));
            }
        };
        check_keys(body, rest, &[])?;
        let client_id = self.known_client(body, now)?;
        self.check_grant(&client_id, grant)?;
        match grant {
            "refresh_token" => self.refresh(&client_id, string(body, "refreshToken")?, now),
            "authorization_code" => self.redeem_code(&client_id, body, now),
            _ => self.poll_device(&client_id, string(body, "deviceCode")?, now),
        }
    }

    fn refresh(&mut self, client_id: &str, token: &str, now: Duration) -> Oidc {
        let refused = Err(OAuthError::named(
            "invalid_grant",
            "Invalid refresh token provided",
        ));
        let Some(index) = self
            .refresh_tokens
            .iter()
            .rposition(|known| known.token == token)
        else {
            return refused;
        };
        self.refresh_tokens[index].presented += 1;
        let (family, spent) = (
            self.refresh_tokens[index].family,
            self.refresh_tokens[index].spent,
        );
        if self.families[family].client_id != client_id {
            self.violations
                .push("/token: a refresh token sent with another client than its own".to_string());
            return refused;
        }
        if spent {
            self.spent_twice += 1;
            self.families[family].revoked |= self.options.revoke_on_reuse;
            return refused;
        }
        if !self.is_live_family(family, now) {
            return refused;
        }
        let refresh_token = match self.options.refresh_tokens {
            RefreshTokens::Rotate => {
                self.refresh_tokens[index].spent = true;
                text(&self.issue_refresh_token(family))
            }
            RefreshTokens::Keep => text(token),
            RefreshTokens::Omit | RefreshTokens::Null => JsonValue::Null,
        };
        let (access_token, expires_in) = self.issue_access_token(family, now);
        Ok(self.granted_reply(&access_token, expires_in, refresh_token))
    }

    fn redeem_code(&mut self, client_id: &str, body: &Members, now: Duration) -> Oidc {
        let invalid = |description| Err(OAuthError::named("invalid_grant", description));
        let verifier = string(body, "codeVerifier")?;
        self.secrets.push(verifier.to_string());
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
            return Err(misuse(
                "codeVerifier is not 43 to 128 unreserved characters",
            ));
        }
        let Some(authorization) = self.codes.remove(string(body, "code")?) else {
            return invalid("Invalid authorization code");
        };
        if authorization.client_id != client_id {
            self.violations
                .push("/token: a code sent with another client than its own".to_string());
            return invalid("Invalid authorization code");
        }
        if authorization.redirect_uri != string(body, "redirectUri")? {
            self.violations
                .push("/token: redirectUri is not the one of the authorize request".to_string());
            return invalid("Invalid redirect URI");
        }
        if base64url(digest(&SHA256, verifier.as_bytes()).as_ref()) != authorization.challenge {
            return invalid("Invalid code verifier");
        }
        if authorization.expires_at <= now {
            return Err(OAuthError::named(
                "expired_token",
                "Authorization code expired",
            ));
        }
        let start_url = self
            .clients
            .get(client_id)
            .and_then(|client| client.issuer.clone());
        Ok(self.first_tokens(client_id, &start_url.unwrap_or_default(), now))
    }

    fn poll_device(&mut self, client_id: &str, code: &str, now: Duration) -> Oidc {
        let Some(device) = self
            .devices
            .get_mut(code)
            .filter(|device| device.client_id == client_id)
        else {
            return Err(OAuthError::named(
                "invalid_grant",
                "Invalid device code provided",
            ));
        };
        device.polls += 1;
        let too_soon = device.polls > QUICK_POLLS && now - device.last_poll < device.interval;
        device.last_poll = now;
        if device.expires_at <= now {
            return Err(OAuthError::named("expired_token", "Device code expired"));
        }
        if too_soon {
            device.interval += SLOWER;
            return Err(OAuthError::named("slow_down", "Polling too fast"));
        }
        match device.verdict {
            Verdict::Pending => Err(OAuthError::named(
                "authorization_pending",
                "Authorization pending",
            )),
            Verdict::Denied => Err(OAuthError::named(
                "access_denied",
                "The person denied the request",
            )),
            Verdict::Redeemed => Err(OAuthError::named(
                "invalid_grant",
                "Invalid device code provided",
            )),
            Verdict::Allowed => {
                device.verdict = Verdict::Redeemed;
                let start_url = device.start_url.clone();
                Ok(self.first_tokens(client_id, &start_url, now))
            }
        }
    }

    fn first_tokens(&mut self, client_id: &str, start_url: &str, now: Duration) -> Reply {
        let family = self.open_family(client_id, start_url, now);
        let (access_token, expires_in) = self.issue_access_token(family, now);
        let refresh_token = match self.families[family].refreshable {
            true => text(&self.issue_refresh_token(family)),
            false => JsonValue::Null,
        };
        self.granted_reply(&access_token, expires_in, refresh_token)
    }

    fn granted_reply(
        &self,
        access_token: &str,
        expires_in: Duration,
        refresh_token: JsonValue,
    ) -> Reply {
        let access = ("accessToken", text(access_token));
        let kind = ("tokenType", text("Bearer"));
        let lifetime = ("expiresIn", number(expires_in.as_secs()));
        let app = ("aws_sso_app_session_id", JsonValue::Null);
        let id = ("idToken", JsonValue::Null);
        let issued = ("issuedTokenType", JsonValue::Null);
        let origin = ("originSessionId", JsonValue::Null);
        let body = if self.options.refresh_tokens == RefreshTokens::Omit && refresh_token.is_null()
        {
            object([access, app, lifetime, id, issued, origin, kind])
        } else {
            object([
                access,
                app,
                lifetime,
                id,
                issued,
                origin,
                ("refreshToken", refresh_token),
                kind,
            ])
        };
        Reply::json(200, body)
            .with("Cache-Control", "no-store")
            .with("Pragma", "no-cache")
    }

    fn known_client(&self, body: &Members, now: Duration) -> Result<String, OAuthError> {
        let (id, secret) = (string(body, "clientId")?, string(body, "clientSecret")?);
        match self.clients.get(id) {
            Some(client) if client.secret == secret && client.expires_at > now => {
                Ok(id.to_string())
            }
            _ => Err(OAuthError::named(
                "invalid_client",
                "Invalid client provided",
            )),
        }
    }

    fn check_grant(&self, client_id: &str, grant: &str) -> Result<(), OAuthError> {
        let client = self.clients.get(client_id);
        if client.is_some_and(|client| client.grants.iter().any(|registered| registered == grant)) {
            return Ok(());
        }
        Err(OAuthError::named(
            "unauthorized_client",
            "The client is not registered for this grant",
        ))
    }

    // Sign-ins and their tokens.

    /// The person's session of this start URL goes on where sessions are shared; else a new one begins.
    fn open_family(&mut self, client_id: &str, start_url: &str, now: Duration) -> usize {
        let start_url = start_url.trim_end_matches(['/', '#']);
        let live = |session: &Session| {
            session.start_url == start_url && !session.over && session.ends_at > now
        };
        let shared = self
            .sessions
            .iter()
            .rposition(live)
            .filter(|_| self.options.shared_sessions);
        let session = shared.unwrap_or_else(|| {
            let ends_at = now + self.options.session_lifetime;
            self.sessions.push(Session {
                start_url: start_url.to_string(),
                ends_at,
                over: false,
            });
            self.sessions.len() - 1
        });
        let refreshable = self.clients.get(client_id).is_some_and(|client| {
            client.scopes.iter().any(|scope| scope == ACCESS_SCOPE)
                && client.grants.iter().any(|grant| grant == "refresh_token")
        });
        self.families.push(Family {
            session,
            client_id: client_id.to_string(),
            refreshable,
            revoked: false,
        });
        self.families.len() - 1
    }

    fn issue_access_token(&mut self, family: usize, now: Duration) -> (String, Duration) {
        let Family {
            session,
            refreshable,
            ..
        } = self.families[family];
        let mut lifetime = if refreshable {
            self.options.token_lifetime
        } else {
            LEGACY_LIFETIME
        };
        if self.options.shrink_at_session_end {
            let left = self.sessions[session].ends_at.saturating_sub(now);
            lifetime = lifetime.min(left).max(Duration::from_secs(1));
        }
        let token = self.secret("aoa", 160);
        self.access_tokens.insert(
            token.clone(),
            AccessToken {
                family,
                expires_at: now + lifetime,
            },
        );
        (token, lifetime)
    }

    fn issue_refresh_token(&mut self, family: usize) -> String {
        let token = self.secret("aor", 160);
        let issued = RefreshToken {
            token: token.clone(),
            family,
            spent: false,
            presented: 0,
        };
        self.refresh_tokens.push(issued);
        token
    }

    fn is_live_family(&self, family: usize, now: Duration) -> bool {
        let Family {
            session, revoked, ..
        } = self.families[family];
        !revoked && !self.sessions[session].over && self.sessions[session].ends_at > now
    }

    /// A person signed in with a tool that has just registered.
    pub fn sign_in(&mut self, sign_in: &SignIn, now: Duration) -> Granted {
        let (client_id, client_secret) = (random("client-", 11), self.secret("secret-", 200));
        let expires_at = now + self.options.registration_lifetime;
        let client = Client {
            secret: client_secret.clone(),
            scopes: sign_in.scopes.clone(),
            grants: vec![
                "authorization_code".to_string(),
                "refresh_token".to_string(),
            ],
            redirect_uris: vec![REDIRECT_URI.to_string()],
            issuer: Some(sign_in.start_url.clone()),
            expires_at,
        };
        self.clients.insert(client_id.clone(), client);
        let family = self.open_family(&client_id, &sign_in.start_url, now);
        let (access_token, expires_in) = self.issue_access_token(family, now);
        let refresh_token = self.families[family]
            .refreshable
            .then(|| self.issue_refresh_token(family));
        Granted {
            access_token,
            refresh_token: refresh_token.unwrap_or_default(),
            client_id,
            client_secret,
            registration_expires_at: expires_at.as_secs(),
            expires_in: expires_in.as_secs(),
        }
    }

    /// Whether the token was known, live or not.
    pub fn end_session(&mut self, refresh_token: &str) -> bool {
        let Some(known) = self
            .refresh_tokens
            .iter()
            .rfind(|known| known.token == refresh_token)
        else {
            return false;
        };
        self.sessions[self.families[known.family].session].over = true;
        true
    }

    pub fn end_all_sessions(&mut self) {
        for session in &mut self.sessions {
            session.over = true;
        }
    }

    /// Whether there was such a registration.
    pub fn forget_client(&mut self, client_id: &str) -> bool {
        self.clients.remove(client_id).is_some()
    }

    pub fn is_live_access_token(&self, token: &str, now: Duration) -> bool {
        self.access_tokens
            .get(token)
            .is_some_and(|known| known.expires_at > now && self.is_live_family(known.family, now))
    }

    /// Every refresh token there ever was, oldest first.
    pub fn refresh_tokens(&self, now: Duration) -> Vec<IssuedRefreshToken> {
        let issued = |known: &RefreshToken| IssuedRefreshToken {
            token: known.token.clone(),
            live: !known.spent && self.is_live_family(known.family, now),
            presented: known.presented,
        };
        self.refresh_tokens.iter().map(issued).collect()
    }

    // The pages a person sees.

    fn authorize(&mut self, request: &Request, now: Duration) -> Reply {
        let authorization = match self.read_authorization(request, now) {
            Ok(authorization) => authorization,
            Err(why) => {
                self.violations.push(format!("/authorize: {why}"));
                return page(400, "Cannot sign in", &format!("<p>{}</p>", escape(&why)));
            }
        };
        match self.options.consent {
            Consent::Allow => return self.redirect_with_code(authorization, now),
            Consent::Deny => return redirect_with_error(&authorization),
            Consent::Ask => {}
        }
        let id = random("", 32);
        let form = decision_form("/authorize", "request", &id);
        self.consents.insert(id, authorization);
        page(
            200,
            "Allow access?",
            &format!("<p>A tool asks for access to your AWS accounts.</p>{form}"),
        )
    }

    fn read_authorization(
        &self,
        request: &Request,
        now: Duration,
    ) -> Result<Authorization, String> {
        const REQUIRED: [&str; 6] = [
            "response_type",
            "client_id",
            "redirect_uri",
            "state",
            "code_challenge_method",
            "code_challenge",
        ];
        let query = request.query_map()?;
        if let Some(missing) = REQUIRED
            .iter()
            .find(|name| query.get(*name).is_none_or(|value| value.is_empty()))
        {
            return Err(format!("{missing} is missing"));
        }
        if let Some(extra) = query
            .keys()
            .find(|name| **name != "scopes" && !REQUIRED.contains(name))
        {
            return Err(format!("{extra} is not a parameter"));
        }
        if query["response_type"] != "code" || query["code_challenge_method"] != "S256" {
            return Err("only response_type=code with code_challenge_method=S256".to_string());
        }
        if query["code_challenge"].len() != 43 {
            return Err("code_challenge is not a SHA-256 in base64url".to_string());
        }
        let client = self
            .clients
            .get(query["client_id"])
            .filter(|client| client.expires_at > now);
        let client = client.ok_or("client_id is not registered")?;
        if !client
            .grants
            .iter()
            .any(|grant| grant == "authorization_code")
        {
            return Err("the client is not registered for authorization_code".to_string());
        }
        if !client
            .redirect_uris
            .iter()
            .any(|uri| matches_with_port(query["redirect_uri"], uri))
        {
            return Err("redirect_uri is not registered".to_string());
        }
        let asked = query.get("scopes").copied().unwrap_or_default();
        if asked
            .split_whitespace()
            .any(|scope| !client.scopes.iter().any(|registered| registered == scope))
        {
            return Err("scopes holds one that is not registered".to_string());
        }
        Ok(Authorization {
            client_id: query["client_id"].to_string(),
            redirect_uri: query["redirect_uri"].to_string(),
            state: query["state"].to_string(),
            challenge: query["code_challenge"].to_string(),
            expires_at: now + self.options.device_lifetime,
        })
    }

    fn consent(&mut self, request: &Request, now: Duration) -> Reply {
        let Some((id, allowed)) = decision(request, "request") else {
            return page(400, "Cannot sign in", "<p>The form is incomplete.</p>");
        };
        match self
            .consents
            .remove(&id)
            .filter(|authorization| authorization.expires_at > now)
        {
            None => page(400, "Cannot sign in", "<p>This request is over.</p>"),
            Some(authorization) if allowed => self.redirect_with_code(authorization, now),
            Some(authorization) => redirect_with_error(&authorization),
        }
    }

    fn redirect_with_code(&mut self, mut authorization: Authorization, now: Duration) -> Reply {
        let code = self.secret("code-", 60);
        let state = percent_encode(&authorization.state);
        let location = format!("{}?code={code}&state={state}", authorization.redirect_uri);
        authorization.expires_at = now + CODE_LIFETIME;
        self.codes.insert(code, authorization);
        Reply::redirect(&location)
    }

    fn device_page(&mut self, request: &Request) -> Reply {
        let code = request.query.iter().find(|(name, _)| name == "user_code");
        let code = code.map(|(_, code)| code.clone()).unwrap_or_default();
        let form = decision_form("/device", "user_code", &code);
        page(
            200,
            "Allow this device?",
            &format!("<p>Code: <b>{}</b></p>{form}", escape(&code)),
        )
    }

    fn device_verdict(&mut self, request: &Request, now: Duration) -> Reply {
        match decision(request, "user_code") {
            Some((code, allowed)) if self.decide_device(&code, allowed, now) => {
                page(200, "Done", "<p>You can close this page.</p>")
            }
            _ => page(
                400,
                "Unknown code",
                "<p>The code is wrong or no longer good.</p>",
            ),
        }
    }

    /// Whether a device was waiting with this code.
    pub fn decide_device(&mut self, user_code: &str, allowed: bool, now: Duration) -> bool {
        let waiting = |device: &&mut Device| {
            device.user_code == user_code
                && device.verdict == Verdict::Pending
                && device.expires_at > now
        };
        let Some(device) = self.devices.values_mut().find(waiting) else {
            return false;
        };
        device.verdict = if allowed {
            Verdict::Allowed
        } else {
            Verdict::Denied
        };
        true
    }

    pub fn waiting_user_codes(&self, now: Duration) -> Vec<String> {
        let waiting =
            |device: &&Device| device.verdict == Verdict::Pending && device.expires_at > now;
        self.devices
            .values()
            .filter(waiting)
            .map(|device| device.user_code.clone())
            .collect()
    }

    // The portal half.

    fn portal(
        &mut self,
        request: &Request,
        operation: impl FnOnce(&mut Service, &str) -> Portal,
    ) -> Reply {
        let token = request
            .header("x-amz-sso_bearer_token")
            .filter(|token| !token.is_empty());
        let result = match token {
            Some(_) if !request.body.is_empty() => {
                Err(PortalError::invalid("no body belongs here"))
            }
            Some(token) => operation(self, token),
            None => Err(PortalError::invalid("x-amz-sso_bearer_token is missing")),
        };
        result.unwrap_or_else(|error| {
            if error.status == 400 {
                self.violations
                    .push(format!("{}: {}", request.path, error.message));
            }
            error.reply()
        })
    }

    fn live_family(&self, access_token: &str, now: Duration) -> Result<usize, PortalError> {
        if !self.is_live_access_token(access_token, now) {
            return Err(PortalError::unauthorized());
        }
        self.access_tokens
            .get(access_token)
            .map(|known| known.family)
            .ok_or_else(PortalError::unauthorized)
    }

    fn logout(&mut self, access_token: &str, now: Duration) -> Portal {
        let family = self.live_family(access_token, now)?;
        self.sessions[self.families[family].session].over = true;
        Ok(Reply::json(200, String::new()))
    }

    fn role_credentials(&self, request: &Request, access_token: &str, now: Duration) -> Portal {
        self.live_family(access_token, now)?;
        let query = request.query_map().map_err(PortalError::invalid)?;
        match (query.get("account_id"), query.get("role_name")) {
            (Some(&ACCOUNT), Some(&ROLE)) => {}
            (Some(_), Some(_)) => return Err(PortalError::forbidden()),
            _ => return Err(PortalError::invalid("account_id or role_name is missing")),
        }
        let expiration = u64::try_from((now + ROLE_LIFETIME).as_millis()).unwrap_or(u64::MAX);
        let credentials = HashMap::from([
            ("accessKeyId".to_string(), text("ASIAIOSFODNN7EXAMPLE")),
            ("secretAccessKey".to_string(), text(&random("", 40))),
            ("sessionToken".to_string(), text(&random("", 160))),
            ("expiration".to_string(), number(expiration)),
        ]);
        Ok(Reply::json(
            200,
            object([("roleCredentials", JsonValue::Object(credentials))]),
        ))
    }

    fn accounts(&self, access_token: &str, now: Duration) -> Portal {
        self.live_family(access_token, now)?;
        let account = JsonValue::Object(HashMap::from([
            ("accountId".to_string(), text(ACCOUNT)),
            ("accountName".to_string(), text("Example")),
            ("emailAddress".to_string(), text("ada@example.com")),
        ]));
        Ok(Reply::json(
            200,
            object([
                ("accountList", list([account])),
                ("nextToken", JsonValue::Null),
            ]),
        ))
    }

    fn roles(&self, request: &Request, access_token: &str, now: Duration) -> Portal {
        self.live_family(access_token, now)?;
        let query = request.query_map().map_err(PortalError::invalid)?;
        if query.get("account_id") != Some(&ACCOUNT) {
            return Err(PortalError::forbidden());
        }
        let role = JsonValue::Object(HashMap::from([
            ("roleName".to_string(), text(ROLE)),
            ("accountId".to_string(), text(ACCOUNT)),
        ]));
        Ok(Reply::json(
            200,
            object([("roleList", list([role])), ("nextToken", JsonValue::Null)]),
        ))
    }
}

fn misuse(description: &str) -> OAuthError {
    OAuthError::named("invalid_request", description)
}

fn check_headers(request: &Request) -> Result<(), String> {
    let kind = request.header("content-type").unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != "application/json" {
        return Err(format!("Content-Type {kind:?}"));
    }
    if request.header("user-agent").is_none_or(str::is_empty) {
        return Err("User-Agent is missing".to_string());
    }
    // The operations are unsigned and know no cookies.
    match ["authorization", "x-amz-date", "cookie"]
        .iter()
        .find(|name| request.header(name).is_some())
    {
        Some(name) => Err(format!("header {name} does not belong here")),
        None if !request.query.is_empty() => Err("no query belongs here".to_string()),
        None => Ok(()),
    }
}

fn members(body: &[u8]) -> Result<Members, String> {
    let text = str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
    match text.parse() {
        Ok(JsonValue::Object(members)) => Ok(members),
        _ => Err("the body is not a JSON object".to_string()),
    }
}

fn check_keys(body: &Members, required: &[&str], optional: &[&str]) -> Result<(), OAuthError> {
    if let Some(missing) = required.iter().find(|name| !body.contains_key(**name)) {
        return Err(misuse(&format!("{missing} is missing")));
    }
    let known = |name: &str| required.contains(&name) || optional.contains(&name);
    match body.keys().find(|name| !known(name)) {
        Some(extra) => Err(misuse(&format!("{extra} does not belong here"))),
        None => Ok(()),
    }
}

fn string<'a>(body: &'a Members, name: &str) -> Result<&'a str, OAuthError> {
    match body.get(name) {
        Some(JsonValue::String(value)) if !value.is_empty() => Ok(value),
        _ => Err(misuse(&format!(
            "{name} is not a string with something in it"
        ))),
    }
}

/// An absent list is an empty one; a list that is there holds something.
fn strings(body: &Members, name: &str) -> Result<Vec<String>, OAuthError> {
    let wrong = || misuse(&format!("{name} is not a list of strings"));
    match body.get(name) {
        None => Ok(Vec::new()),
        Some(JsonValue::Array(values)) if !values.is_empty() => values
            .iter()
            .map(|value| {
                value
                    .get::<String>()
                    .filter(|text| !text.is_empty())
                    .cloned()
                    .ok_or_else(wrong)
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

fn url(body: &Members, name: &str) -> Result<String, OAuthError> {
    let value = string(body, name)?;
    let host = value
        .strip_prefix("https://")
        .and_then(|rest| rest.split(['/', '#', '?']).next());
    if host.is_none_or(str::is_empty) || value.contains(char::is_whitespace) {
        return Err(misuse(&format!("{name} is not an https URL")));
    }
    Ok(value.to_string())
}

/// A loopback redirect URI is registered without a port and used with any (RFC 8252, section 7.3).
fn matches_with_port(uri: &str, registered: &str) -> bool {
    let path = registered
        .strip_prefix("http://127.0.0.1")
        .unwrap_or(registered);
    let port = uri
        .strip_prefix("http://127.0.0.1:")
        .and_then(|rest| rest.strip_suffix(path));
    port.and_then(|digits| digits.parse::<u16>().ok())
        .is_some_and(|port| port > 0)
}

fn redirect_with_error(authorization: &Authorization) -> Reply {
    let state = percent_encode(&authorization.state);
    Reply::redirect(&format!(
        "{}?error=access_denied&state={state}",
        authorization.redirect_uri
    ))
}

/// The value of the field and whether the person pressed "Allow".
fn decision(request: &Request, field: &str) -> Option<(String, bool)> {
    let pairs = parse_pairs(str::from_utf8(&request.body).ok()?)?;
    let form = unique(&pairs).ok()?;
    let allowed = match *form.get("decision")? {
        "allow" => true,
        "deny" => false,
        _ => return None,
    };
    Some(((*form.get(field)?).to_string(), allowed))
}

fn decision_form(action: &str, field: &str, value: &str) -> String {
    let value = escape(value);
    format!(
        r#"<form method="post" action="{action}"><input type="hidden" name="{field}" value="{value}">
<button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button></form>"#
    )
}

fn page(status: u16, title: &str, body: &str) -> Reply {
    let html = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>{title}</title>\
         <body style=\"font: 18px sans-serif; max-width: 32em; margin: 4em auto\"><h1>{title}</h1>{body}\n"
    );
    Reply::new(status, "text/html;charset=utf-8", html)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the system has random numbers");
    bytes
}

/// `prefix` and then `length` random letters and digits, some with the `-` and `_` of base64url.
fn random(prefix: &str, length: usize) -> String {
    let mut text = base64url(&random_bytes::<150>());
    text.truncate(length);
    format!("{prefix}{text}")
}

/// Shaped `ABCD-EFGH`, as the service's are.
fn user_code() -> String {
    let letters = random_bytes::<8>().map(|byte| char::from(b'A' + byte % 26));
    let (left, right) = letters.split_at(4);
    format!(
        "{}-{}",
        left.iter().collect::<String>(),
        right.iter().collect::<String>()
    )
}

fn uuid() -> String {
    let bits = u128::from_be_bytes(random_bytes());
    let hex = format!(
        "{:032x}",
        bits & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62
    );
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_800_000_000);

    fn service(options: Options) -> Service {
        Service::new(options, "https://localhost:1")
    }

    fn after(seconds: u64) -> Duration {
        START + Duration::from_secs(seconds)
    }

    fn request(
        method: &str,
        path: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Request {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_string(), (*value).to_string()));
        Request {
            method: method.to_string(),
            path: path.to_string(),
            query: parse_pairs(query).expect("the test's query is sound"),
            headers: headers.collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn post(service: &mut Service, path: &str, body: &str, now: Duration) -> (u16, Members) {
        let headers = [("content-type", "application/json"), ("user-agent", "test")];
        let reply = service.answer(&request("POST", path, "", &headers, body), now);
        (
            reply.status,
            members(&reply.body).expect("answers are JSON objects"),
        )
    }

    fn refresh(service: &mut Service, granted: &Granted, now: Duration) -> (u16, Members) {
        post(
            service,
            "/token",
            &refresh_body(granted, &granted.refresh_token),
            now,
        )
    }

    fn refresh_body(granted: &Granted, token: &str) -> String {
        object([
            ("grantType", text("refresh_token")),
            ("clientId", text(&granted.client_id)),
            ("clientSecret", text(&granted.client_secret)),
            ("refreshToken", text(token)),
        ])
    }

    fn error(answer: &(u16, Members)) -> (u16, &str) {
        (answer.0, string(&answer.1, "error").unwrap_or(""))
    }

    #[test]
    fn a_refresh_token_is_good_once() {
        let mut service = service(Options::default());
        let granted = service.sign_in(&SignIn::default(), START);
        let first = refresh(&mut service, &granted, START);
        assert_eq!(first.0, 200);
        assert!(first.1["idToken"].is_null());
        assert_ne!(
            string(&first.1, "refreshToken").ok(),
            Some(granted.refresh_token.as_str())
        );
        assert_eq!(
            error(&refresh(&mut service, &granted, START)),
            (400, "invalid_grant")
        );
        assert_eq!(service.spent_twice, 1);
        let token = string(&first.1, "refreshToken")
            .expect("it rotates")
            .to_string();
        assert_eq!(
            post(
                &mut service,
                "/token",
                &refresh_body(&granted, &token),
                START
            )
            .0,
            200
        );
        assert!(service.violations.is_empty());
    }

    #[test]
    fn reuse_can_end_the_family() {
        let mut service = service(Options {
            revoke_on_reuse: true,
            ..Options::default()
        });
        let granted = service.sign_in(&SignIn::default(), START);
        refresh(&mut service, &granted, START);
        refresh(&mut service, &granted, START);
        assert!(
            service
                .refresh_tokens(START)
                .iter()
                .all(|issued| !issued.live)
        );
    }

    #[test]
    fn refresh_tokens_can_stay() {
        for (kind, member) in [
            (RefreshTokens::Keep, Some(false)),
            (RefreshTokens::Null, Some(true)),
            (RefreshTokens::Omit, None),
        ] {
            let mut service = service(Options {
                refresh_tokens: kind,
                ..Options::default()
            });
            let granted = service.sign_in(&SignIn::default(), START);
            let answer = refresh(&mut service, &granted, START);
            assert_eq!(
                answer.1.get("refreshToken").map(JsonValue::is_null),
                member,
                "{kind:?}"
            );
            assert_eq!(refresh(&mut service, &granted, START).0, 200, "{kind:?}");
        }
    }

    #[test]
    fn a_session_ends_by_time_by_logout_and_by_hand() {
        let mut service = service(Options {
            shrink_at_session_end: true,
            ..Options::default()
        });
        let granted = service.sign_in(&SignIn::default(), START);
        let late = refresh(&mut service, &granted, after(8 * 3600 - 600));
        assert_eq!(late.1["expiresIn"], number(600));
        let token = string(&late.1, "refreshToken")
            .expect("it rotates")
            .to_string();
        let body = refresh_body(&granted, &token);
        assert_eq!(
            error(&post(&mut service, "/token", &body, after(8 * 3600))),
            (400, "invalid_grant")
        );

        let granted = service.sign_in(&SignIn::default(), START);
        let bearer = [("x-amz-sso_bearer_token", granted.access_token.as_str())];
        let logout = request("POST", "/logout", "", &bearer, "");
        assert_eq!(service.answer(&logout, START).status, 200);
        assert_eq!(
            error(&refresh(&mut service, &granted, START)),
            (400, "invalid_grant")
        );
        assert_eq!(service.answer(&logout, START).status, 401);

        let granted = service.sign_in(&SignIn::default(), START);
        assert!(service.end_session(&granted.refresh_token));
        assert_eq!(
            error(&refresh(&mut service, &granted, START)),
            (400, "invalid_grant")
        );
        assert!(!service.is_live_access_token(&granted.access_token, START));
    }

    #[test]
    fn sign_ins_can_share_a_session() {
        let mut service = service(Options {
            shared_sessions: true,
            ..Options::default()
        });
        let first = service.sign_in(&SignIn::default(), START);
        let mut same = SignIn::default();
        same.start_url.push('/');
        let second = service.sign_in(&same, after(3600));
        service.end_session(&first.refresh_token);
        assert_eq!(
            error(&refresh(&mut service, &second, after(3600))),
            (400, "invalid_grant")
        );
        let third = service.sign_in(&same, after(3600));
        assert_eq!(refresh(&mut service, &third, after(3600)).0, 200);
    }

    #[test]
    fn clients_are_checked() {
        let mut service = service(Options::default());
        let granted = service.sign_in(&SignIn::default(), START);
        let other = service.sign_in(&SignIn::default(), START);
        let crossed = refresh_body(&other, &granted.refresh_token);
        assert_eq!(
            error(&post(&mut service, "/token", &crossed, START)),
            (400, "invalid_grant")
        );
        assert_eq!(service.violations.len(), 1);
        assert_eq!(
            error(&refresh(&mut service, &granted, after(90 * 86_400))),
            (401, "invalid_client")
        );
        service.forget_client(&granted.client_id);
        assert_eq!(
            error(&refresh(&mut service, &granted, START)),
            (401, "invalid_client")
        );
    }

    #[test]
    fn what_no_client_sends_is_refused() {
        let mut service = service(Options::default());
        let granted = service.sign_in(&SignIn::default(), START);
        let right = refresh_body(&granted, &granted.refresh_token);
        let extra = right.replacen('{', r#"{"scope":["a"],"#, 1);
        let snake = right.replace("grantType", "grant_type");
        for (count, body) in ["", "[]", "{}", &extra, &snake].iter().enumerate() {
            assert_eq!(
                error(&post(&mut service, "/token", body, START)),
                (400, "invalid_request"),
                "{body}"
            );
            assert_eq!(service.violations.len(), count + 1);
        }
        let form = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("user-agent", "test"),
        ];
        assert_eq!(
            service
                .answer(&request("POST", "/token", "", &form, &right), START)
                .status,
            400
        );
        assert_eq!(
            service
                .answer(&request("GET", "/token", "", &[], ""), START)
                .status,
            404
        );
        assert_eq!(refresh(&mut service, &granted, START).0, 200);
    }

    fn device_flow(service: &mut Service, scopes: &str) -> (String, String) {
        let body = format!(r#"{{"clientName":"t","clientType":"public"{scopes}}}"#);
        let client = post(service, "/client/register", &body, START).1;
        let (id, secret) = (client["clientId"].clone(), client["clientSecret"].clone());
        let start = object([
            ("clientId", id.clone()),
            ("clientSecret", secret.clone()),
            ("startUrl", text("https://d-1.awsapps.com/start")),
        ]);
        let device = post(service, "/device_authorization", &start, START).1;
        let poll = object([
            ("clientId", id),
            ("clientSecret", secret),
            ("grantType", text(DEVICE_GRANT)),
            ("deviceCode", device["deviceCode"].clone()),
        ]);
        (
            poll,
            string(&device, "userCode")
                .expect("there is one")
                .to_string(),
        )
    }

    #[test]
    fn a_device_waits_for_its_person() {
        let mut service = service(Options::default());
        let (poll, user_code) = device_flow(&mut service, r#","scopes":["sso:account:access"]"#);
        let mut at = |seconds| post(&mut service, "/token", &poll, after(seconds));
        assert_eq!(error(&at(0)), (400, "authorization_pending"));
        assert_eq!(error(&at(0)), (400, "authorization_pending"));
        assert_eq!(error(&at(0)), (400, "slow_down"));
        assert_eq!(error(&at(5)), (400, "slow_down"));
        assert_eq!(error(&at(16)), (400, "authorization_pending"));
        assert!(service.decide_device(&user_code, true, START));
        let granted = post(&mut service, "/token", &poll, after(30));
        assert!(string(&granted.1, "refreshToken").is_ok());
        assert_eq!(
            error(&post(&mut service, "/token", &poll, after(60))),
            (400, "invalid_grant")
        );
    }

    #[test]
    fn a_device_without_scopes_gets_eight_hours_and_no_refresh_token() {
        let mut service = service(Options {
            consent: Consent::Allow,
            ..Options::default()
        });
        let (poll, _) = device_flow(&mut service, "");
        let granted = post(&mut service, "/token", &poll, START).1;
        assert!(granted["refreshToken"].is_null());
        assert_eq!(granted["expiresIn"], number(28_800));
    }

    #[test]
    fn a_device_can_be_denied_and_can_expire() {
        let mut service = service(Options::default());
        let (poll, user_code) = device_flow(&mut service, "");
        assert_eq!(
            error(&post(&mut service, "/token", &poll, after(600))),
            (400, "expired_token")
        );
        service.decide_device(&user_code, false, START);
        assert_eq!(
            error(&post(&mut service, "/token", &poll, START)),
            (400, "access_denied")
        );
    }

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"; // RFC 7636, appendix B
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const REGISTRATION: &str = r#"{"clientName":"t","clientType":"public","scopes":["sso:account:access"],
        "grantTypes":["authorization_code","refresh_token"],"redirectUris":["http://127.0.0.1/oauth/callback"],
        "issuerUrl":"https://d-1.awsapps.com/start"}"#;

    fn authorize(service: &mut Service, id: &str, redirect_uri: &str, rest: &str) -> Reply {
        let query = format!(
            "response_type=code&client_id={id}&redirect_uri={redirect_uri}&state=s%201\
             &code_challenge_method=S256&code_challenge={CHALLENGE}{rest}"
        );
        service.answer(&request("GET", "/authorize", &query, &[], ""), START)
    }

    fn location(reply: &Reply) -> &str {
        reply
            .headers
            .iter()
            .find(|(name, _)| name == "Location")
            .map_or("", |(_, value)| value)
    }

    #[test]
    fn a_code_is_good_once_with_its_verifier() {
        let mut service = service(Options {
            consent: Consent::Allow,
            ..Options::default()
        });
        let client = post(&mut service, "/client/register", REGISTRATION, START).1;
        let id = string(&client, "clientId")
            .expect("it registers")
            .to_string();
        let uri = "http://127.0.0.1:4711/oauth/callback";
        for (verifier, seconds, outcome) in [
            (VERIFIER, 0, (200, "")),
            (&VERIFIER.replace('d', "e"), 0, (400, "invalid_grant")),
            (VERIFIER, 61, (400, "expired_token")),
        ] {
            let reply = authorize(&mut service, &id, uri, "&scopes=sso%3Aaccount%3Aaccess");
            let code = location(&reply)
                .strip_prefix(&format!("{uri}?code="))
                .expect("it redirects");
            let body = object([
                ("clientId", text(&id)),
                ("clientSecret", client["clientSecret"].clone()),
                ("grantType", text("authorization_code")),
                (
                    "code",
                    text(
                        code.strip_suffix("&state=s%201")
                            .expect("the state comes back"),
                    ),
                ),
                ("codeVerifier", text(verifier)),
                ("redirectUri", text(uri)),
            ]);
            assert_eq!(
                error(&post(&mut service, "/token", &body, after(seconds))),
                outcome
            );
            assert_eq!(
                error(&post(&mut service, "/token", &body, after(seconds))),
                (400, "invalid_grant")
            );
        }
        assert_eq!(service.violations, Vec::<String>::new());
    }

    #[test]
    fn an_authorize_request_must_fit_the_registration() {
        let mut service = service(Options {
            consent: Consent::Allow,
            ..Options::default()
        });
        let client = post(&mut service, "/client/register", REGISTRATION, START).1;
        let id = string(&client, "clientId")
            .expect("it registers")
            .to_string();
        let uri = "http://127.0.0.1:4711/oauth/callback";
        assert_eq!(authorize(&mut service, &id, uri, "").status, 302);
        assert_eq!(authorize(&mut service, "other", uri, "").status, 400);
        assert_eq!(
            authorize(&mut service, &id, "http://127.0.0.1/oauth/callback", "").status,
            400
        );
        assert_eq!(
            authorize(&mut service, &id, "http://localhost:1/oauth/callback", "").status,
            400
        );
        assert_eq!(
            authorize(&mut service, &id, "http://127.0.0.1:1/other", "").status,
            400
        );
        assert_eq!(
            authorize(&mut service, &id, uri, "&scope=sso:account:access").status,
            400
        );
        assert_eq!(
            authorize(&mut service, &id, uri, "&scopes=more").status,
            400
        );
        assert_eq!(
            authorize(&mut service, &id, uri, "&state=again").status,
            400
        );
        assert_eq!(service.violations.len(), 7);
    }

    #[test]
    fn a_person_can_allow_or_deny_on_the_page() {
        let mut service = service(Options::default());
        let client = post(&mut service, "/client/register", REGISTRATION, START).1;
        let id = string(&client, "clientId")
            .expect("it registers")
            .to_string();
        for (decision, parameter) in [
            ("allow", "?code=code-"),
            ("deny", "?error=access_denied&state=s%201"),
        ] {
            let html = authorize(&mut service, &id, "http://127.0.0.1:1/oauth/callback", "").body;
            let html = String::from_utf8(html).expect("the page is text");
            let value = html
                .split("name=\"request\" value=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            let form = format!(
                "request={}&decision={decision}",
                value.expect("the form names the request")
            );
            let reply = service.answer(&request("POST", "/authorize", "", &[], &form), START);
            assert!(location(&reply).contains(parameter), "{}", location(&reply));
        }
    }

    #[test]
    fn role_credentials_want_a_live_token_and_the_right_role() {
        let mut service = service(Options::default());
        let granted = service.sign_in(&SignIn::default(), START);
        for (token, query, now, status) in [
            (
                granted.access_token.as_str(),
                "role_name=Developer&account_id=123456789012",
                START,
                200,
            ),
            (
                granted.access_token.as_str(),
                "role_name=Owner&account_id=123456789012",
                START,
                403,
            ),
            (
                granted.access_token.as_str(),
                "role_name=Developer",
                START,
                400,
            ),
            (
                granted.access_token.as_str(),
                "role_name=Developer&account_id=123456789012",
                after(3600),
                401,
            ),
            (
                "other",
                "role_name=Developer&account_id=123456789012",
                START,
                401,
            ),
        ] {
            let bearer = [("x-amz-sso_bearer_token", token)];
            let reply = service.answer(
                &request("GET", "/federation/credentials", query, &bearer, ""),
                now,
            );
            assert_eq!(reply.status, status, "{query}");
        }
    }

    #[test]
    fn request_ids_are_version_4() {
        let id = uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
}
