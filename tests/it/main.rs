//! End-to-end tests: the real binary, real files, and an embedded Identity Center over real TLS.

#[path = "../identity_center/mod.rs"]
mod identity_center;
mod tidy;
mod torture;
mod world;

mod ask;
mod crowd;
mod doctor;
mod generate;
mod hostile;
mod install;
mod kills;
mod liar;
mod liar_at_login;
mod login;
mod logout;
mod prompt;
mod refresh;
mod safety;
mod signals;
mod status;
mod steps;
mod terminal;
mod user_systemd;
