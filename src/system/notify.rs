//! A notification on the desktop. It is a courtesy: that one was accepted does not mean that anybody saw it.
//!
//! On macOS it belongs to Script Editor, and since macOS 15 nothing appears until that has been allowed once, though
//! the exit status is 0. So whatever a person must know stands somewhere else too.

use std::time::Duration;

use crate::error::Error;
use crate::system::{env, process};

/// `notify-send` may wait 25 s for a daemon that is not there.
const LIMIT: Duration = Duration::from_secs(5);

/// Shows `title` and `body`.
///
/// # Errors
/// There is nothing to show it with, or that failed.
pub fn send(title: &str, body: &str) -> Result<(), Error> {
    let argv = if env::is_mac() {
        osascript(title, body)
    } else {
        notify_send(title, body)
    };
    let ended = process::run(&argv, &[], LIMIT)?;
    if ended.status == 0 {
        return Ok(());
    }
    let said = ended
        .stderr
        .lines()
        .next()
        .unwrap_or("no reason")
        .to_string();
    Err(Error::new(
        format!("cannot show a notification with {}", argv[0]),
        crate::format::text::excerpt(&said, 200),
    ))
}

/// A constant script that gets the texts as arguments, so that nothing in them is code.
fn osascript(title: &str, body: &str) -> Vec<String> {
    let script = "display notification (item 2 of argv) with title (item 1 of argv)";
    [
        "osascript",
        "-e",
        "on run argv",
        "-e",
        script,
        "-e",
        "end run",
        "--",
        title,
        body,
    ]
    .map(str::to_string)
    .to_vec()
}

/// Most servers read the body as markup.
fn notify_send(title: &str, body: &str) -> Vec<String> {
    let body = body
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    [
        "notify-send",
        "-a",
        "aws-sso-refresh",
        "-u",
        "normal",
        "-t",
        "10000",
        "--",
        title,
        &body,
    ]
    .map(str::to_string)
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_arguments_and_never_code_or_markup() {
        let (title, body) = ("-e", "\" & <b>");
        assert_eq!(osascript(title, body)[7..], ["--", "-e", "\" & <b>"]);
        assert_eq!(
            notify_send(title, body)[7..],
            ["--", "-e", "\" &amp; &lt;b&gt;"]
        );
    }
}
