//! Text from files and servers, made harmless for a terminal or a log, and measured as a terminal shows it.

use unicode_width::UnicodeWidthChar;

/// `text` with everything that could steer a terminal, break a line or reverse the reading order replaced by `�`.
pub fn clean(text: &str) -> String {
    if is_plain(text) {
        return text.to_string();
    }
    text.chars()
        .map(|c| {
            if is_harmless(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

/// `text`, cleaned, cut to at most `limit` characters with `…` where something was cut.
pub fn excerpt(text: &str, limit: usize) -> String {
    let cleaned = clean(text);
    match cleaned.char_indices().nth(limit) {
        None => cleaned,
        Some((end, _)) => format!("{}…", &cleaned[..end]),
    }
}

/// What a server says, as an excerpt. Something longer than any word may be a secret that was sent there and comes
/// back, perhaps encoded or in part, so it is hidden.
pub fn said(text: &str, limit: usize) -> String {
    const WORD_MAX: usize = 40; // the longest names of AWS's errors have about 30 characters
    let words = text.split_whitespace().map(|word| match word.len() {
        0..=WORD_MAX => word,
        _ => "(hidden)",
    });
    excerpt(&words.collect::<Vec<_>>().join(" "), limit)
}

/// How many terminal cells `text` takes once it is cleaned: wide characters two, combining ones none.
pub fn width(text: &str) -> usize {
    if is_plain(text) {
        return text.len();
    }
    // Character by character: what the crate knows of whole strings (emoji sequences) would cost 5 kB.
    clean(text).chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// `text` and as many blanks as make it `cells` wide.
pub fn pad(text: &str, cells: usize) -> String {
    let mut padded = text.to_string();
    padded.extend(std::iter::repeat_n(' ', cells.saturating_sub(width(text))));
    padded
}

/// `text` as one word of a log line: quoted where a blank, a quote or an equals sign would make it look like two.
pub fn word(text: &str) -> String {
    let text = clean(text);
    let is_plain = !text.is_empty() && !text.contains([' ', '"', '=', '\\']);
    if is_plain {
        text
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// `text`, cleaned, as HTML shows it, in content and in quoted attributes.
pub fn html(text: &str) -> String {
    clean(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Printable ASCII and nothing else, as most texts are: a list of a thousand sessions is not decoded three times.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and the marks that reverse or hide text.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{61c}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_replaced() {
        assert_eq!(
            clean("a\u{1b}[31mb\r\nc\u{9b}d\u{202e}e\u{7f}"),
            "a�[31mb��c�d�e�"
        );
        assert_eq!(clean("Señor 😀 日本"), "Señor 😀 日本");
    }

    #[test]
    fn html_shows_a_script_and_runs_none() {
        assert_eq!(
            html("<script>\"a\" & 'b'\u{7}</script>"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;\u{fffd}&lt;/script&gt;"
        );
    }

    #[test]
    fn an_excerpt_says_that_it_was_cut() {
        assert_eq!(excerpt("abcdef", 3), "abc…");
        assert_eq!(excerpt("日本語", 3), "日本語");
    }

    #[test]
    fn a_servers_words_repeat_no_secret() {
        let secret = "eyJ".repeat(20);
        let echo = format!("bad request:\n{{\"refreshToken\":\"{secret}\"}} from 10.0.0.1");
        assert_eq!(said(&echo, 200), "bad request: (hidden) from 10.0.0.1");
        assert_eq!(said(&format!("x{secret}"), 5), "(hidd…");
        assert_eq!(
            said("KMS_InvalidKeyUsageException \u{1b}", 200),
            "KMS_InvalidKeyUsageException �"
        );
    }

    #[test]
    fn padding_counts_cells_and_not_characters() {
        assert_eq!(pad("日本", 6), "日本  ");
        assert_eq!(pad("e\u{301}", 2), "e\u{301} ");
        assert_eq!(pad("long", 2), "long");
    }

    #[test]
    fn a_word_of_the_log_stays_one_word() {
        assert_eq!(word("my-sso"), "my-sso");
        assert_eq!(word("my sso"), "\"my sso\"");
        assert_eq!(word("a\"=\n"), "\"a\\\"=�\"");
        assert_eq!(word(""), "\"\"");
    }
}
