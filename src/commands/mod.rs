//! The commands: the only code that joins what SSO needs with what the system can do.

pub mod ask;
pub mod daemon;
pub mod doctor;
pub mod generate;
pub mod install;
pub mod job;
pub mod login;
pub mod logout;
pub mod logs;
pub mod output;
pub mod page;
pub mod portal;
pub mod program;
pub mod refresh;
pub mod screen;
pub mod sign_in;
pub mod spinner;
pub mod status;
pub mod store;
pub mod survey;
