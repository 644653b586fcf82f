//! The errors of SSO OIDC and of the portal, in the shapes their clients tell them by.

use tinyjson::JsonValue;

use super::wire::{Reply, object, text};

/// An error answer of the OIDC half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthError {
    pub status: u16,
    pub error: String,
    /// What `x-amzn-ErrorType` names; without that header botocore tells no error from another.
    pub exception: String,
    pub description: String,
    /// Only `invalid_request` and `access_denied` have one, for trouble with encryption keys.
    pub reason: Option<String>,
}

/// `error`, exception and status, from the service's public model.
const MODELLED: [(&str, &str, u16); 13] = [
    ("invalid_request", "InvalidRequestException", 400),
    ("invalid_client", "InvalidClientException", 401),
    ("invalid_grant", "InvalidGrantException", 400),
    ("unauthorized_client", "UnauthorizedClientException", 400),
    (
        "unsupported_grant_type",
        "UnsupportedGrantTypeException",
        400,
    ),
    ("invalid_scope", "InvalidScopeException", 400),
    (
        "authorization_pending",
        "AuthorizationPendingException",
        400,
    ),
    ("slow_down", "SlowDownException", 400),
    ("access_denied", "AccessDeniedException", 400),
    ("expired_token", "ExpiredTokenException", 400),
    ("server_error", "InternalServerException", 500),
    (
        "invalid_client_metadata",
        "InvalidClientMetadataException",
        400,
    ),
    ("invalid_redirect_uri", "InvalidRedirectUriException", 400),
];

/// What no correct client is ever told.
const MISUSE: [&str; 5] = [
    "invalid_request",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_client_metadata",
    "invalid_redirect_uri",
];

impl OAuthError {
    /// The error as the model has it; one that it does not know is a 400 with a made-up exception.
    pub fn named(error: &str, description: &str) -> OAuthError {
        let modelled = MODELLED.iter().find(|(name, _, _)| *name == error);
        let (_, exception, status) = *modelled.unwrap_or(&("", "UnknownException", 400));
        OAuthError {
            status,
            error: error.to_string(),
            exception: exception.to_string(),
            description: description.to_string(),
            reason: None,
        }
    }

    pub fn is_misuse(&self) -> bool {
        MISUSE.contains(&self.error.as_str())
    }

    pub fn reply(&self) -> Reply {
        let kind = format!(
            "{}:http://internal.amazon.com/coral/com.amazonaws.sso.oidc/",
            self.exception
        );
        let (error, description) = (text(&self.error), text(&self.description));
        let body = match &self.reason {
            None => object([("error", error), ("error_description", description)]),
            Some(reason) => object([
                ("error", error),
                ("error_description", description),
                ("reason", text(reason)),
            ]),
        };
        Reply::json(self.status, body).with("x-amzn-ErrorType", &kind)
    }
}

/// An error answer of the portal half, which has a shape of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalError {
    pub status: u16,
    pub exception: &'static str,
    pub message: String,
}

impl PortalError {
    pub fn unauthorized() -> PortalError {
        let message = "Session token not found or invalid".to_string();
        PortalError {
            status: 401,
            exception: "UnauthorizedException",
            message,
        }
    }

    pub fn forbidden() -> PortalError {
        PortalError {
            status: 403,
            exception: "ForbiddenException",
            message: "No access".to_string(),
        }
    }

    pub fn invalid(message: impl Into<String>) -> PortalError {
        PortalError {
            status: 400,
            exception: "InvalidRequestException",
            message: message.into(),
        }
    }

    pub fn reply(&self) -> Reply {
        let kind = format!("com.amazonaws.switchboard.portal#{}", self.exception);
        let message: JsonValue = text(&self.message);
        Reply::json(
            self.status,
            object([("message", message), ("__type", text(&kind))]),
        )
    }
}
