//! What AWS SSO is: sessions, tokens, grants and what to do about them. Pure: no file, no socket, no clock.

pub mod callback;
pub mod config;
pub mod endpoint;
pub mod estimate;
pub mod history;
pub mod oidc;
pub mod plan;
pub mod portal_url;
pub mod registration;
pub mod token;
