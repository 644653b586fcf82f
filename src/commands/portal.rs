//! Where a sign-in's requests go, and the client registration that they are made with.

use std::path::PathBuf;

use crate::commands::screen::Screen;
use crate::commands::sign_in::{Desk, cannot};
use crate::commands::survey;
use crate::error::Error;
use crate::format::http::{Method, Request};
use crate::format::text::word;
use crate::format::url::{Scheme, Url};
use crate::sso::config::{Region, SsoSession};
use crate::sso::endpoint::Service;
use crate::sso::oidc::{self, Prepared};
use crate::sso::portal_url;
use crate::sso::registration::Purpose;
use crate::sso::token::Client;
use crate::system::env;
use crate::system::files::{self, Durable, Found};

/// Far above any registration. Bytes.
const REGISTRATION_MAX: u64 = 64 * 1024;

/// Where a session's requests go.
#[derive(Debug)]
pub struct Portal {
    /// As sent.
    pub start_url: String,
    pub region: Region,
    pub endpoint: Url,
}

impl Portal {
    /// What a registration for `session` is made for.
    pub fn purpose(&self, session: &SsoSession, by_device_code: bool) -> Purpose {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let (grant_types, redirect_uri) = match by_device_code {
            true => (Vec::new(), None),
            false => (
                texts(&["authorization_code", "refresh_token"]),
                Some(oidc::registered_redirect_uri()),
            ),
        };
        Purpose {
            session_name: session.name.clone(),
            start_url: session.start_url.clone(),
            issuer_url: self.start_url.clone(),
            region: self.region.to_string(),
            scopes: match session.scopes.is_empty() {
                true => texts(&[oidc::ACCESS_SCOPE]),
                false => session.scopes.clone(),
            },
            grant_types,
            redirect_uri,
        }
    }
}

impl Desk<'_> {
    /// The start URL to send, its region and its endpoint. A host that AWS does not own is a vanity name, and leads to
    /// the real one by one redirect (AWS CLI v2, `awscli/customizations/sso/resolve.py`).
    pub fn portal(&self, session: &SsoSession, screen: &mut Screen) -> Result<Portal, Error> {
        let wrong =
            |why: &str| Error::usage(format!("cannot use the start URL of {}", session.name), why);
        let configured = Url::parse(&session.start_url).map_err(wrong)?;
        let (start_url, region) = if portal_url::start_url_host_is_aws(&configured.host) {
            (session.start_url.clone(), session.region.clone())
        } else {
            let resolved = self.follow(session, &configured)?;
            let region = portal_url::region_of_start_url(&resolved.host);
            let path = resolved.path.split('?').next().unwrap_or_default();
            let start_url = format!(
                "https://{}{}",
                resolved.host_header(),
                path.trim_end_matches('/')
            );
            (start_url, region.unwrap_or_else(|| session.region.clone()))
        };
        if region != session.region {
            let configured = &session.region;
            screen.note(&format!(
                "The start URL leads to {region}, and sso_region is {configured}: set sso_region = {region}, \
                 or the token cannot be refreshed."
            ));
        }
        let there = SsoSession {
            region: region.clone(),
            ..session.clone()
        };
        let endpoint = survey::endpoint(self.env, self.survey, &there, Service::Oidc)?;
        Ok(Portal {
            start_url,
            region,
            endpoint,
        })
    }

    fn follow(&self, session: &SsoSession, vanity: &Url) -> Result<Url, Error> {
        let ask = |method| {
            let url = vanity.clone();
            let (headers, body) = (Vec::new(), Vec::new());
            self.send(
                session,
                &Request {
                    method,
                    url,
                    headers,
                    body,
                },
            )
        };
        let mut response = ask(Method::Head)?;
        if matches!(response.status, 405 | 501) {
            response = ask(Method::Get)?;
        }
        let is_redirect = matches!(response.status, 301 | 302 | 303 | 307 | 308);
        let location = response.header("location").filter(|_| is_redirect);
        let resolved = match location {
            None => Ok(vanity.clone()),
            Some(path) if path.starts_with('/') && !path.starts_with("//") => Ok(Url {
                path: path.to_string(),
                ..vanity.clone()
            }),
            Some(elsewhere) => Url::parse(elsewhere),
        };
        resolved
            .ok()
            .filter(|url| {
                url.scheme == Scheme::Https && portal_url::start_url_host_is_aws(&url.host)
            })
            .ok_or_else(|| {
                let name = &session.name;
                Error::usage(
                    format!("cannot use the start URL of {name}"),
                    format!("{} does not lead to a start URL of AWS", vanity.host),
                )
                .hint("the AWS access portal shows the right one")
            })
    }

    /// The registration to sign in with: the one of last time where it serves, else a new one.
    pub fn registration(
        &self,
        session: &SsoSession,
        portal: &Portal,
        purpose: &Purpose,
    ) -> Result<Client, Error> {
        let path = self.registration_path(purpose);
        if let Found::Bytes(bytes) = files::read(&path, REGISTRATION_MAX)
            && let Some(client) = purpose.reusable(&bytes, env::now())
        {
            return Ok(client);
        }
        let request = oidc::register_request(&portal.endpoint, purpose);
        let client = match oidc::register_reply(&self.send(session, &request)?) {
            Prepared::Ready(client) => client,
            Prepared::Refused(refusal) => return Err(cannot(session, refusal)),
            Prepared::TryLater { why } => return Err(cannot(session, why)),
        };
        // Only for next time: two sign-ins at once may get into each other's way here.
        let kept = files::make_folder(self.store.cache())
            .and_then(|()| files::replace(&path, &purpose.to_bytes(&client), 0o600, Durable::Soon));
        if let Err(error) = kept {
            self.log(
                &session.name,
                &format!("registration-not-kept why={}", word(&error.line())),
            );
        }
        Ok(client)
    }

    pub fn forget(&self, purpose: &Purpose) -> Result<(), Error> {
        files::remove(&self.registration_path(purpose))
    }

    fn registration_path(&self, purpose: &Purpose) -> PathBuf {
        self.store.cache().join(format!("{}.json", purpose.key()))
    }
}
