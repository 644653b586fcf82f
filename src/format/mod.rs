//! Small codecs: pure, and knowing nothing about AWS.

pub mod base64;
pub mod digest;
pub mod http;
pub mod ini;
pub mod json;
pub mod packed;
pub mod proxy;
pub mod text;
pub mod time;
pub mod url;
pub mod variables;
