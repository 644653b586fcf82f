//! Text from files and servers, made harmless for a terminal or a log, measured and laid out as a terminal shows it.

use std::borrow::Cow;
use std::iter::repeat_n;

use unicode_width::UnicodeWidthChar;

/// `text` with everything that could steer a terminal, break a line or reverse the reading order replaced by `�`.
pub fn clean(text: &str) -> String {
    cleaned(text).into_owned()
}

fn cleaned(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return text.into();
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

/// As `clean`, of several lines.
pub fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
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

/// Beside a name a text has at least so many cells; where it would have fewer, it stands below.
const BESIDE: usize = 24;

/// In so many cells a command is not broken in two, which could not be pasted.
const COMMAND: usize = 40;

/// How wide the column of `names` is, `before` cells from the edge of a page of `columns`: as its widest name, where
/// names of more than a third of the page do not count. 0, which none of them fits, where too little is left beside it.
pub fn column<'a>(names: impl Iterator<Item = &'a str>, before: usize, columns: usize) -> usize {
    let widths = names.map(width);
    let widest = widths.filter(|width| *width <= columns / 3).max();
    widest
        .filter(|widest| before + widest + 2 + BESIDE <= columns)
        .unwrap_or(0)
}

/// A name in its column, `before` cells from the edge, and what is told of it beside it, wrapped under itself. A name
/// that is wider than the column has a line of its own.
pub fn entry(
    page: &mut String,
    name: &str,
    told: &str,
    before: usize,
    column: usize,
    columns: usize,
) {
    let name = cleaned(name);
    let indent = before + column + 2;
    page.push_str(&name);
    match column.checked_sub(width(&name)) {
        Some(left) => page.extend(repeat_n(' ', left + 2)),
        None => begin_line(page, indent),
    }
    wrap(page, told, indent, indent, columns);
}

/// `text`, which begins in cell `at`, and a line break. Where it does not fit into `columns` it is broken between words,
/// and its further lines are indented; a word that is too long even so is left to the terminal.
pub fn wrap(page: &mut String, text: &str, mut at: usize, indent: usize, columns: usize) {
    let is_break = |end: &usize| {
        let before = &text[..*end];
        let is_quoted = before.matches('`').count() % 2 == 1;
        let before = before.strip_suffix(" login").unwrap_or(before);
        columns < indent + COMMAND || !is_quoted && !before.ends_with("aws-sso-refresh")
    };
    let fits = at + width(text) <= columns;
    let blanks = text.match_indices(' ').map(|(end, _)| end);
    let blanks = blanks.take_while(|_| !fits).filter(is_break);
    let mut start = 0;
    for end in blanks.chain([text.len()]) {
        let word = &text[start..end];
        let cells = width(word);
        if start > 0 && at + 1 + cells > columns {
            begin_line(page, indent);
            at = indent;
        } else if start > 0 {
            page.push(' ');
            at += 1;
        }
        page.push_str(word);
        at += cells;
        start = end + 1;
    }
    page.push('\n');
}

/// `text`, of which lines that do not fit into `columns` go on under themselves, behind their number or below their label.
pub fn prose(text: &str, columns: usize) -> String {
    let mut page = String::new();
    for line in text.lines() {
        let words = line.trim_start();
        let indent = line.len() - words.len();
        page.push_str(&line[..indent]);
        let further = match words.as_bytes().first() {
            Some(b'0'..=b'9') => indent + 3,
            _ => indent.max(2),
        };
        wrap(&mut page, words, indent, further, columns);
    }
    page
}

fn begin_line(page: &mut String, indent: usize) {
    page.push('\n');
    page.extend(repeat_n(' ', indent));
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
    fn cells_are_counted_and_not_characters() {
        assert_eq!((width("日本"), width("e\u{301}"), width("long")), (4, 1, 4));
    }

    #[track_caller]
    fn check_entry(name: &str, told: &str, columns: usize, expected: &str) {
        let mut page = "  ! ".to_string();
        let column = column(["work", name].into_iter(), 4, columns);
        entry(&mut page, name, told, 4, column, columns);
        assert_eq!(page, expected);
    }

    #[test]
    fn a_text_is_wrapped_under_itself_and_goes_below_where_little_is_left() {
        let told = "12m remaining, refreshes at the next check";
        for columns in [usize::MAX, 53] {
            check_entry("日本", told, columns, &format!("  ! 日本  {told}\n"));
        }
        let expected = "  ! 日本  12m remaining, refreshes at the next\n          check\n";
        check_entry("日本", told, 51, expected);
        let expected = "  ! 日本  12m remaining, refreshes\n          at the next check\n";
        check_entry("日本", told, 34, expected);
        let expected = "  ! 日本\n      12m remaining, refreshes at\n      the next check\n";
        check_entry("日本", told, 33, expected);
    }

    #[test]
    fn a_name_of_more_than_a_third_has_a_line_of_its_own() {
        check_entry(
            "x2345678901234567890",
            "told",
            60,
            "  ! x2345678901234567890  told\n",
        );
        check_entry(
            "x23456789012345678901",
            "told",
            60,
            "  ! x23456789012345678901\n          told\n",
        );
    }

    #[test]
    fn a_command_is_broken_only_where_it_cannot_be_helped() {
        let told = "the session has ended; run aws-sso-refresh login ended";
        let expected =
            "  ! ended  the session has ended; run\n           aws-sso-refresh login ended\n";
        check_entry("ended", told, 60, expected);
        let expected = "  ! ended  the session has ended;\n           run aws-sso-refresh\n           login ended\n";
        check_entry("ended", told, 35, expected);
        for (columns, expected) in [
            (
                50,
                "  ! ended  session has ended; run aws-sso-refresh\n           login ended\n",
            ),
            (
                51,
                "  ! ended  session has ended; run\n           aws-sso-refresh login ended\n",
            ),
        ] {
            let told = "session has ended; run aws-sso-refresh login ended";
            check_entry("ended", told, columns, expected);
        }
        let quoted = "first put this line into its place: `a command`";
        let expected = "  ! ended  first put this line into its place:\n           `a command`\n";
        check_entry("ended", quoted, 53, expected);
        check_entry(
            "ended",
            &"x".repeat(50),
            40,
            &format!("  ! ended  {}\n", "x".repeat(50)),
        );
    }

    #[test]
    fn lines_go_on_behind_their_number_and_under_their_label() {
        for (text, columns, expected) in [
            ("a b\n  c", 80, "a b\n  c\n"),
            ("some words", 8, "some\n  words\n"),
            ("    some words", 10, "    some\n    words\n"),
            ("1. some words", 10, "1. some\n   words\n"),
            ("    2. some words", 14, "    2. some\n       words\n"),
        ] {
            assert_eq!(prose(text, columns), expected);
        }
    }

    #[test]
    fn lines_stay_lines_when_they_are_cleaned() {
        assert_eq!(clean_lines("a\n\u{1b}b\n"), "a\n\u{fffd}b\n");
    }

    #[test]
    fn a_word_of_the_log_stays_one_word() {
        assert_eq!(word("my-sso"), "my-sso");
        assert_eq!(word("my sso"), "\"my sso\"");
        assert_eq!(word("a\"=\n"), "\"a\\\"=�\"");
        assert_eq!(word(""), "\"\"");
    }
}
