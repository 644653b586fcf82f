//! Every effect; nothing else touches the outside world. It handles bytes, paths and requests and knows nothing of SSO.

pub mod background;
pub mod browser;
mod crypto;
pub mod env;
pub mod files;
pub mod https;
pub mod journal;
pub mod listener;
pub mod notify;
pub mod presence;
pub mod process;
pub mod signals;
pub mod step;
