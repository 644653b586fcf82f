//! What the browser shows at the end of a sign-in: one page without scripts, without a request to anywhere, and without
//! a secret.

use crate::commands::survey::sign_in_command;
use crate::format::text::html;

/// A whole HTTP answer for a sign-in that worked.
pub fn success(session: &str) -> Vec<u8> {
    page(
        200,
        Content {
            tone: "good",
            mark: "M20 33.5 28.5 42 45 24.5",
            title: "Signed in",
            heading: &format!("Signed in to {session}"),
            text: "Your AWS tools can use this session now.",
            then: "You can close this page and go back to what you were doing.",
            command: "",
        },
    )
}

/// For one that did not, and why.
pub fn failure(session: &str, why: &str) -> Vec<u8> {
    page(
        200,
        Content {
            tone: "bad",
            mark: "M23 23 41 41 M41 23 23 41",
            title: "Not signed in",
            heading: &format!("Not signed in to {session}"),
            text: why,
            then: "To try again, run:",
            command: &sign_in_command(session),
        },
    )
}

/// For a request that does not belong to the sign-in that is waited for.
pub fn foreign() -> Vec<u8> {
    page(
        400,
        Content {
            tone: "bad",
            mark: "M32 19 32 36 M32 44 32 44.5",
            title: "Nothing to see here",
            heading: "Nothing to see here",
            text: "This address waits for the answer of one sign-in, and this request is not it.",
            then: "The sign-in goes on waiting. You can close this page.",
            command: "",
        },
    )
}

struct Content<'a> {
    tone: &'static str,
    /// The path of the sign in the circle.
    mark: &'static str,
    title: &'a str,
    heading: &'a str,
    text: &'a str,
    then: &'a str,
    command: &'a str,
}

fn page(status: u16, content: Content) -> Vec<u8> {
    let value = |name: &str| match name {
        "tone" => content.tone,
        "mark" => content.mark,
        "title" => content.title,
        "heading" => content.heading,
        "text" => content.text,
        "then" => content.then,
        "command" => content.command,
        name => unreachable!("the template has no {name}"),
    };
    // Piece by piece, so that nothing in the words of others is filled in.
    let mut pieces = include_str!("page.html").split("{{");
    let mut body = pieces.next().unwrap_or_default().to_string();
    for (name, rest) in pieces.filter_map(|piece| piece.split_once("}}")) {
        body.push_str(&html(value(name)));
        body.push_str(rest);
    }
    let reason = if status == 200 { "OK" } else { "Bad Request" };
    format!(
        "HTTP/1.1 {status} {reason}\r\n\
         Content-Type: text/html; charset=utf-8\r\n\
         Content-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
         Cache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn every_hole_of_the_template_is_filled() {
        for bytes in [success("work"), failure("work", "denied"), foreign()] {
            let page = shown(bytes);
            assert!(!page.contains("{{") && !page.contains("}}"), "{page}");
            assert!(page.trim_end().ends_with("</html>"), "{page}");
            let (head, body) = page.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        }
    }

    #[test]
    fn nothing_is_loaded_from_anywhere_and_no_script_runs() {
        for bytes in [success("work"), failure("work", "denied"), foreign()] {
            let page = shown(bytes);
            for word in ["http://", "https://", "//", "<script", "url(", "@import"] {
                assert!(!page.contains(word), "{word}");
            }
        }
    }

    #[test]
    fn what_others_say_is_shown_and_never_run() {
        let page = shown(failure("<b>{{text}}", "<script>alert(1)</script>{{tone}}"));
        assert!(page.contains("Not signed in to &lt;b&gt;{{text}}"));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;{{tone}}"));
    }
}
