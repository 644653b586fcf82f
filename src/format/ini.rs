//! INI files with the grammar of Python's `configparser.RawConfigParser`, which botocore and the AWS CLI use.
//!
//! Every text has a result and nothing panics; the work grows in a straight line with the text. What Python accepts is
//! read exactly as Python reads it, odd as it may be: an indented line continues the value above it, whatever it looks
//! like, and `# …` behind a value is part of the value. Where Python refuses the whole file (a section or key given
//! twice, a line that is neither, a byte order mark) the rest is still read, and a warning says what happened and where.
//!
//! Values may hold secrets, so no warning repeats one. Names are repeated, shortened, and may hold control characters:
//! clean them before they reach a terminal.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

/// A parsed file, made of pieces of its text. Read it with [`Ini::get`], which knows that `[DEFAULT]` is inherited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ini<'t> {
    /// In file order; a header that comes twice is one section, at its first place.
    pub sections: Vec<Section<'t>>,
    /// The keys of `[DEFAULT]`: every section has them, unless it sets them itself.
    pub defaults: Entries<'t>,
    pub warnings: Vec<Warning>,
}

/// What stands under the keys of a section, in file order; a key stands once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries<'t> {
    list: Vec<Entry<'t>>,
    /// Where each key stands, in a section of many. A section has a handful, which are found in less time without.
    places: BTreeMap<Cow<'t, str>, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section<'t> {
    /// The text between the brackets, as it stands there.
    pub header: &'t str,
    pub line: usize,
    pub entries: Entries<'t>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'t> {
    /// In lower case.
    pub key: Cow<'t, str>,
    /// Continuation lines are joined with `\n`.
    pub value: Cow<'t, str>,
    /// The line of the key.
    pub line: usize,
}

/// The text of a file: UTF-8 with `\n` as the only line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'t> {
    text: Cow<'t, str>,
    warnings: Vec<Warning>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Counts from 1.
    pub line: usize,
    pub text: String,
    /// What to do about it.
    pub fix: &'static str,
    /// Python refuses the whole file because of this, and so does every AWS CLI command.
    pub refused_by_python: bool,
}

impl<'t> Ini<'t> {
    /// What `section` has under `key` (lower case), its own or inherited.
    pub fn get<'a>(&'a self, section: &'a Section<'t>, key: &str) -> Option<&'a Entry<'t>> {
        section.entries.get(key).or_else(|| self.defaults.get(key))
    }
}

impl<'t> Entries<'t> {
    pub fn get(&self, key: &str) -> Option<&Entry<'t>> {
        self.find(key).map(|place| &self.list[place])
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry<'t>> {
        self.list.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn find(&self, key: &str) -> Option<usize> {
        match self.places.is_empty() {
            true => self.list.iter().position(|entry| entry.key == key),
            false => self.places.get(key).copied(),
        }
    }

    /// Puts `entry` in; says where it stands, and in which line the one stood whose place it took.
    fn put(&mut self, entry: Entry<'t>) -> (usize, Option<usize>) {
        const MANY: usize = 32;
        if let Some(place) = self.find(&entry.key) {
            let earlier = std::mem::replace(&mut self.list[place], entry);
            return (place, Some(earlier.line));
        }
        let place = self.list.len();
        if place == MANY {
            let keys = self.list.iter().map(|entry| entry.key.clone());
            self.places = keys.zip(0..).collect();
        }
        if place >= MANY {
            self.places.insert(entry.key.clone(), place);
        }
        self.list.push(entry);
        (place, None)
    }
}

impl Entry<'_> {
    /// The value where more than one line of the file went into it.
    pub fn continued(&self) -> Option<&str> {
        match &self.value {
            Cow::Borrowed(_) => None,
            Cow::Owned(value) => Some(value),
        }
    }

    /// Whether the value is a block of indented `key = value` lines below `key =`.
    pub fn is_nested(&self) -> bool {
        self.value.starts_with('\n')
    }

    /// The pairs of a nested block, inner keys in their own case; nothing for a plain value. A later pair replaces an
    /// earlier one of the same key (botocore `configloader.py`, `_parse_nested`).
    pub fn nested(&self) -> impl Iterator<Item = (&str, &str)> {
        let block: &str = if self.is_nested() { &self.value } else { "" };
        split_lines(block)
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (strip(key), strip(value)))
    }
}

/// The text of `bytes`, which are UTF-8 with any line ends; without a copy where nothing has to be mended.
pub fn decode(bytes: &[u8]) -> Text<'_> {
    const BOM: &[u8] = b"\xef\xbb\xbf";
    let mut warnings = Vec::new();
    let bytes = match bytes.strip_prefix(BOM) {
        None => bytes,
        Some(rest) => {
            let why = "a byte order mark stands before the first line";
            warnings.push(refusal(1, why, "save the file without a byte order mark"));
            rest
        }
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => {
            let valid = &bytes[..error.valid_up_to()];
            let line = unified(String::from_utf8_lossy(valid))
                .matches('\n')
                .count();
            let why = "not valid UTF-8; what is wrong is read as `\u{fffd}`";
            warnings.push(refusal(line + 1, why, "save the file as UTF-8"));
            String::from_utf8_lossy(bytes)
        }
    };
    Text {
        text: unified(text),
        warnings,
    }
}

fn unified(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n").into(),
        false => text,
    }
}

/// Reads a file.
pub fn parse<'t>(text: &'t Text<'_>) -> Ini<'t> {
    let mut parser = Parser::default();
    parser.ini.warnings.clone_from(&text.warnings);
    for (index, line) in text.text.split('\n').enumerate() {
        parser.line(index + 1, line);
    }
    parser.ini
}

/// A name that is compared from its end: names of one file begin alike, and mostly differ in their last letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByEnd<T>(pub T);

impl<T: AsRef<str> + Eq> Ord for ByEnd<T> {
    fn cmp(&self, other: &ByEnd<T>) -> Ordering {
        let (one, other) = (self.0.as_ref().bytes(), other.0.as_ref().bytes());
        one.rev().cmp(other.rev())
    }
}

impl<T: AsRef<str> + Eq> PartialOrd for ByEnd<T> {
    fn partial_cmp(&self, other: &ByEnd<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Splits like a POSIX shell does, without comments or expansion: Python's `shlex.split`.
/// `None` where a quote or an escape is left open.
pub fn split_shell(text: &str) -> Option<Vec<String>> {
    let is_special = |b: u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b'\\' | b'\'' | b'"');
    let mut words = Vec::new();
    // `None` between words: quotes alone make an empty word.
    let mut word: Option<String> = None;
    let mut rest = text;
    loop {
        // All that means something is ASCII, so a cut there is never inside a character.
        let run = rest.bytes().position(is_special).unwrap_or(rest.len());
        match &mut word {
            _ if run == 0 => {}
            Some(word) => word.push_str(&rest[..run]),
            None => word = Some(rest[..run].to_string()),
        }
        let Some(special) = rest.as_bytes().get(run) else {
            break;
        };
        rest = &rest[run + 1..];
        match special {
            b'\\' => {
                let escaped = rest.chars().next()?;
                word.get_or_insert_default().push(escaped);
                rest = &rest[escaped.len_utf8()..];
            }
            b'\'' => {
                let (quoted, after) = rest.split_once('\'')?;
                word.get_or_insert_default().push_str(quoted);
                rest = after;
            }
            b'"' => {
                let word = word.get_or_insert_default();
                let mut chars = rest.chars();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
                rest = chars.as_str();
            }
            _ => words.extend(word.take()),
        }
    }
    words.extend(word);
    Some(words)
}

/// Python's `str.strip`.
pub fn strip(text: &str) -> &str {
    let is_plain = |b: Option<&u8>| b.is_none_or(|b| matches!(b, b'!'..=b'~'));
    // A blank before and a blank behind is what there mostly is.
    let bytes = text.as_bytes();
    let start = usize::from(bytes.first() == Some(&b' '));
    let end = bytes.len() - usize::from(bytes.len() > 1 && bytes.last() == Some(&b' '));
    match bytes.get(start..end) {
        Some(inner) if is_plain(inner.first()) && is_plain(inner.last()) => &text[start..end],
        _ => text.trim_matches(is_space),
    }
}

/// The beginning of a name, for a message; of several lines the first, because what was swallowed may be a secret.
pub fn excerpt(text: &str) -> String {
    const LENGTH: usize = 60; // fits a line beside the message; a name is rarely half as long
    let mut chars = text.char_indices().enumerate();
    match chars.find(|&(count, (_, c))| count == LENGTH || c == '\n') {
        Some((_, (end, _))) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

#[derive(Default)]
struct Parser<'t> {
    ini: Ini<'t>,
    place: Place,
    open: Open,
    /// Characters before the line that a continuation has to be deeper than.
    indent: usize,
    /// Empty lines since the last line of the open key. They are part of its value if that goes on.
    empty_lines: usize,
    section_by_header: BTreeMap<ByEnd<&'t str>, usize>,
    /// The section holds a key that is more likely the header of another one.
    doubtful: bool,
}

/// Which section the next key belongs to.
#[derive(Default, Clone, Copy)]
enum Place {
    #[default]
    BeforeFirstHeader,
    Defaults,
    Section(usize),
    /// Below a header that cannot be read.
    Unreadable,
}

/// What a deeper line continues.
#[derive(Default)]
enum Open {
    /// Nothing: the line stands for itself.
    #[default]
    Nothing,
    /// By its place in its section.
    Key(usize),
    /// A line that was passed over.
    Ignored,
}

impl<'t> Parser<'t> {
    fn line(&mut self, number: usize, line: &'t str) {
        let text = strip(line);
        if text.is_empty() {
            self.empty_lines += 1;
            return;
        }
        if matches!(text.as_bytes()[0], b'#' | b';') {
            return;
        }
        let indent = line.chars().take_while(|&c| is_space(c)).count();
        if indent > self.indent && !matches!(self.open, Open::Nothing) {
            self.continuation(number, text);
            return;
        }
        self.indent = indent;
        self.empty_lines = 0;
        if let Some(header) = header(text) {
            self.header(number, header);
        } else if let Some(at) = text.bytes().position(|b| matches!(b, b'=' | b':')) {
            self.entry(number, strip(&text[..at]), strip(&text[at + 1..]));
        } else if text.starts_with('[') {
            // Its keys are its own: they must not land in the section above.
            let why = "not a section header; it and its keys are ignored";
            self.refused(number, why, "write [sso-session NAME] or [profile NAME]");
            self.place = Place::Unreadable;
            self.open = Open::Nothing;
        } else {
            self.stray(
                number,
                "neither a section header nor `key = value`; the line is ignored",
            );
        }
    }

    fn continuation(&mut self, number: usize, text: &str) {
        let line_breaks = "\n".repeat(1 + std::mem::take(&mut self.empty_lines));
        let Some(entry) = self.open_entry() else {
            if !matches!(self.place, Place::Unreadable) {
                let why = "indented below an ignored line, so ignored too";
                self.refused(number, why, DELETE);
            }
            return;
        };
        let nested = entry.value.is_empty() || entry.is_nested();
        let value = entry.value.to_mut();
        value.push_str(&line_breaks);
        value.push_str(text);
        if let Some(header) = header(text) {
            self.warn(
                number,
                format!(
                    "[{}] is indented, so it continues the value above and begins no section",
                    excerpt(header)
                ),
                "begin that line at the left edge",
            );
        }
        if nested && split_lines(text).any(|line| !line.contains('=')) {
            self.refused(
                number,
                "no `=` in a line of a nested block; the line is ignored",
                DELETE,
            );
        }
    }

    fn header(&mut self, number: usize, header: &'t str) {
        self.open = Open::Nothing;
        self.doubtful = false;
        if header == "DEFAULT" {
            self.place = Place::Defaults;
            return;
        }
        let index = match self.section_by_header.entry(ByEnd(header)) {
            Slot::Occupied(slot) => *slot.get(),
            Slot::Vacant(slot) => {
                self.place = Place::Section(*slot.insert(self.ini.sections.len()));
                self.ini.sections.push(Section {
                    header,
                    line: number,
                    entries: Entries::default(),
                });
                return;
            }
        };
        self.place = Place::Section(index);
        let first = self.ini.sections[index].line;
        let name = excerpt(header);
        self.refused(
            number,
            format!("[{name}] is already in line {first}; the two are read as one"),
            "make one section of the two",
        );
    }

    fn entry(&mut self, number: usize, key: &'t str, value: &'t str) {
        let entries = match self.place {
            Place::Defaults => &mut self.ini.defaults,
            Place::Section(index) => &mut self.ini.sections[index].entries,
            Place::Unreadable => return self.open = Open::Ignored,
            Place::BeforeFirstHeader => {
                return self.stray(
                    number,
                    "before the first section header; the line is ignored",
                );
            }
        };
        if key.is_empty() {
            return self.stray(number, "no key before the separator; the line is ignored");
        }
        // Python lower-cases the letters of all alphabets. No key that means anything has such letters, and the tables
        // for them have 12 kB.
        let name: Cow<str> = match key.bytes().any(|b| b.is_ascii_uppercase()) {
            true => key.to_ascii_lowercase().into(),
            false => key.into(),
        };
        if self.doubtful && entries.get(&name).is_some() {
            // Python refuses the file, so nothing is lost by taking this for another section's key.
            self.refused(
                number,
                "belongs to the header without its `]`; it and the keys below are ignored",
                CLOSE,
            );
            self.place = Place::Unreadable;
            return self.open = Open::Ignored;
        }
        let (place, earlier) = entries.put(Entry {
            key: name,
            value: value.into(),
            line: number,
        });
        self.open = Open::Key(place);
        if let Some(earlier) = earlier {
            self.refused(
                number,
                format!(
                    "`{}` is already set in line {earlier}; the later one counts",
                    excerpt(key),
                ),
                "delete one of the two lines",
            );
        }
        if key.starts_with('[') {
            self.doubtful = true;
            self.warn(
                number,
                "a section header without its `]` is read as a key".to_string(),
                CLOSE,
            );
        }
    }

    fn stray(&mut self, number: usize, text: &str) {
        self.refused(number, text, DELETE);
        self.open = Open::Ignored;
    }

    fn open_entry(&mut self) -> Option<&mut Entry<'t>> {
        let Open::Key(place) = self.open else {
            return None;
        };
        let entries = match self.place {
            Place::Defaults => &mut self.ini.defaults,
            Place::Section(index) => &mut self.ini.sections[index].entries,
            Place::BeforeFirstHeader | Place::Unreadable => return None,
        };
        entries.list.get_mut(place)
    }

    fn refused(&mut self, line: usize, text: impl Into<String>, fix: &'static str) {
        self.ini.warnings.push(refusal(line, text, fix));
    }

    fn warn(&mut self, line: usize, text: String, fix: &'static str) {
        self.ini.warnings.push(Warning {
            line,
            text,
            fix,
            refused_by_python: false,
        });
    }
}

const DELETE: &str = "delete that line, or begin it with #";

const CLOSE: &str = "close that header with ]";

fn refusal(line: usize, text: impl Into<String>, fix: &'static str) -> Warning {
    Warning {
        line,
        text: text.into(),
        fix,
        refused_by_python: true,
    }
}

/// The text up to the last `]` of a line that begins with `[`, unless it is empty.
fn header(text: &str) -> Option<&str> {
    let (header, _) = text.strip_prefix('[')?.rsplit_once(']')?;
    (!header.is_empty()).then_some(header)
}

/// The lines of a nested block, stripped and without empty ones, at every line end that Python's `str.splitlines` knows.
fn split_lines(block: &str) -> impl Iterator<Item = &str> {
    block
        .split(|c| {
            matches!(
                c,
                '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'
                    ..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
            )
        })
        .map(strip)
        .filter(|line| !line.is_empty())
}

/// Python's `str.isspace`: Unicode white space and the four ASCII separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sections are shown as `[header] key=value key=value`, keys sorted, one section a line, `[DEFAULT]` first where it
    /// has keys; warnings as `line text`, with `!` behind the line where Python refuses the file.
    fn check(text: impl AsRef<[u8]>, sections: &str, warnings: &[&str]) {
        let text = text.as_ref();
        let decoded = decode(text);
        let ini = parse(&decoded);
        let shown: Vec<String> = ini.warnings.iter().map(show_warning).collect();
        let context = text.escape_ascii();
        assert_eq!(show_sections(&ini), sections, "{context}");
        assert_eq!(shown, warnings, "{context}");
    }

    fn show_sections(ini: &Ini) -> String {
        let defaults = (!ini.defaults.is_empty()).then_some(("DEFAULT", &ini.defaults));
        let sections = ini.sections.iter().map(|s| (s.header, &s.entries));
        let lines = defaults
            .into_iter()
            .chain(sections)
            .map(|(header, entries)| {
                let mut pairs: Vec<String> = entries
                    .iter()
                    .map(|entry| format!(" {}={}", entry.key, entry.value))
                    .collect();
                pairs.sort();
                format!("[{header}]{}", pairs.concat())
            });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn show_warning(warning: &Warning) -> String {
        let mark = if warning.refused_by_python { "!" } else { "" };
        format!("{}{mark} {}", warning.line, warning.text)
    }

    #[test]
    fn the_first_equals_sign_or_colon_separates() {
        check("[s]\na = v\nb=v\nc: v\nd : v", "[s] a=v b=v c=v d=v", &[]);
        check(
            "[s]\na = b = c\nd: e = f\ng=h:i",
            "[s] a=b = c d=e = f g=h:i",
            &[],
        );
    }

    #[test]
    fn keys_are_lower_cased_and_values_are_not() {
        check("[s]\nSSO_Region = X", "[s] sso_region=X", &[]);
    }

    #[test]
    fn a_key_without_a_value_is_present_and_empty() {
        check("[s]\na =\nb =  \n", "[s] a= b=", &[]);
    }

    #[test]
    fn a_comment_is_a_whole_line() {
        check("# c\n[s]\n; c\na = v\n  # c\n\t;c", "[s] a=v", &[]);
        check("[s]\na = v # c\nb = v ; c", "[s] a=v # c b=v ; c", &[]);
    }

    #[test]
    fn a_comment_does_not_end_a_value() {
        check("[s]\na = v\n# c\n  w", "[s] a=v\nw", &[]);
    }

    #[test]
    fn quotes_and_percent_signs_are_plain_text() {
        check("[s]\na = \"v\"\nb = %(a)s", "[s] a=\"v\" b=%(a)s", &[]);
    }

    #[test]
    fn a_deeper_line_continues_the_value() {
        check("[s]\na = v\n  w\n x", "[s] a=v\nw\nx", &[]);
        check("[s]\na = v\n  b = w", "[s] a=v\nb = w", &[]);
    }

    #[test]
    fn keys_that_are_indented_alike_are_keys() {
        check(
            "[s]\n  a = v\n  b = w\n    x\n c = y",
            "[s] a=v b=w\nx c=y",
            &[],
        );
    }

    #[test]
    fn indentation_is_counted_in_characters() {
        check("[s]\n\u{3000}a = v\n\tb = w", "[s] a=v b=w", &[]);
    }

    #[test]
    fn an_empty_line_stays_inside_a_value_and_goes_at_its_end() {
        check("[s]\na = v\n\n  w\n\n\n", "[s] a=v\n\nw", &[]);
    }

    #[test]
    fn an_indented_header_is_swallowed() {
        check(
            "[s]\na = v\n  [t]\n  b = w",
            "[s] a=v\n[t]\nb = w",
            &["3 [t] is indented, so it continues the value above and begins no section"],
        );
        check("[s]\n  [t]\na = v", "[s]\n[t] a=v", &[]);
    }

    #[test]
    fn an_indented_block_is_nested() {
        let text = decode(
            b"[s]\ns3 =\n  A = b = c\n  # c\n  d=e # f\x0bg=h\n\n  A = i\nplain = v\n  j = k",
        );
        let ini = parse(&text);
        let entry = |key| ini.sections[0].entries.get(key).expect("it is there");
        let pairs = |key| entry(key).nested().collect::<Vec<_>>();
        let expected = [("A", "b = c"), ("d", "e # f"), ("g", "h"), ("A", "i")];
        assert_eq!(pairs("s3"), expected);
        assert_eq!(pairs("plain"), []);
        assert_eq!(ini.warnings, []);
    }

    #[test]
    fn a_nested_line_without_an_equals_sign_is_ignored() {
        check(
            "[s]\na =\n  b = c\n  d",
            "[s] a=\nb = c\nd",
            &["4! no `=` in a line of a nested block; the line is ignored"],
        );
    }

    #[test]
    fn a_header_ends_at_the_last_bracket() {
        check(
            "[s] # c\n[t] junk\n[u] ; [v]\n[]]",
            "[s]\n[t]\n[u] ; [v]\n[]]",
            &[],
        );
        check("[ s ]\n[s\t \"x\"]", "[ s ]\n[s\t \"x\"]", &[]);
    }

    #[test]
    fn default_is_inherited_by_every_section() {
        let text = decode(b"[s]\na = own\n[DEFAULT]\na = d\nb = d\n[DEFAULT]\nc = d");
        let ini = parse(&text);
        let get = |key| ini.get(&ini.sections[0], key).map(|entry| &*entry.value);
        assert_eq!(
            (get("a"), get("b"), get("c")),
            (Some("own"), Some("d"), Some("d"))
        );
        assert_eq!(get("x"), None);
        assert_eq!(ini.warnings, []);
    }

    #[test]
    fn every_line_end_counts() {
        check("[s]\r\na = v\r\n  w\rb = x\r\r\n", "[s] a=v\nw b=x", &[]);
    }

    #[test]
    fn a_duplicate_section_is_merged() {
        check(
            "[s]\na = 1\nb = 1\n[t]\n[s]\nb = 2\nc = 2",
            "[s] a=1 b=2 c=2\n[t]",
            &[
                "5! [s] is already in line 1; the two are read as one",
                "6! `b` is already set in line 3; the later one counts",
            ],
        );
    }

    #[test]
    fn of_a_duplicate_key_the_later_one_counts() {
        let warning = "3! `A` is already set in line 2; the later one counts";
        check("[s]\na = 1\nA = 2\n  3", "[s] a=2\n3", &[warning]);
        check("[DEFAULT]\na = 1\nA = 2", "[DEFAULT] a=2", &[warning]);
    }

    #[test]
    fn a_stray_line_is_ignored_with_what_hangs_below() {
        check(
            "[s]\na = 1\njunk\n  b = 2\nc = 3",
            "[s] a=1 c=3",
            &[
                "3! neither a section header nor `key = value`; the line is ignored",
                "4! indented below an ignored line, so ignored too",
            ],
        );
        check(
            "[s]\n= v",
            "[s]",
            &["2! no key before the separator; the line is ignored"],
        );
    }

    #[test]
    fn a_key_before_the_first_header_is_ignored() {
        check(
            "a = 1\n[s]\nb = 2",
            "[s] b=2",
            &["1! before the first section header; the line is ignored"],
        );
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        check(
            "\u{feff}[s]\na = 1",
            "[s] a=1",
            &["1! a byte order mark stands before the first line"],
        );
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_replaced() {
        check(
            b"[s]\r\na = 1\r\nb = \xff2",
            "[s] a=1 b=\u{fffd}2",
            &["3! not valid UTF-8; what is wrong is read as `\u{fffd}`"],
        );
    }

    #[test]
    fn keys_below_an_unreadable_header_do_not_land_above() {
        let warning = "3! not a section header; it and its keys are ignored";
        check(
            "[s]\na = 1\n[x\na = 2\n  3\n[t]\nb = 4",
            "[s] a=1\n[t] b=4",
            &[warning],
        );
        check("[s]\na = 1\n[]\na = 2\n", "[s] a=1", &[warning]);
    }

    #[test]
    fn a_header_without_its_bracket_can_be_a_key() {
        check(
            "[s]\n[t # see: x\na = 1",
            "[s] [t # see=x a=1",
            &["2 a section header without its `]` is read as a key"],
        );
        check(
            "[s]\na = 1\n[t # see: x\na = 2\nb = 2\n[u]\na = 3\nA = 4",
            "[s] [t # see=x a=1\n[u] a=4",
            &[
                "3 a section header without its `]` is read as a key",
                "4! belongs to the header without its `]`; it and the keys below are ignored",
                "8! `A` is already set in line 7; the later one counts",
            ],
        );
    }

    #[test]
    fn a_warning_repeats_no_value_and_no_endless_name() {
        let text = format!("[s]\nsecret\n[{0}]\n[{0}]\n", "x".repeat(1000));
        assert_eq!(excerpt("name\nsecret = x"), "name…");
        for warning in parse(&decode(text.as_bytes())).warnings {
            assert!(!warning.text.contains("secret"), "{}", warning.text);
            assert!(warning.text.len() < 150, "{}", warning.text);
        }
    }

    #[test]
    fn words_are_split_as_a_posix_shell_does() {
        for (text, expected) in [
            ("a b", Some(vec!["a", "b"])),
            (" a \t b ", Some(vec!["a", "b"])),
            ("a\"b c\"d", Some(vec!["ab cd"])),
            ("'a b' 'c\\'", Some(vec!["a b", "c\\"])),
            (r"a\ b", Some(vec!["a b"])),
            (r#""a\"b" "c\\d" "e\f""#, Some(vec!["a\"b", "c\\d", "e\\f"])),
            ("a ''", Some(vec!["a", ""])),
            ("a#b #c", Some(vec!["a#b", "#c"])),
            ("", Some(vec![])),
            ("a\u{a0}b", Some(vec!["a\u{a0}b"])),
            ("a 'b", None),
            ("a \"b\\\"", None),
            ("a \\", None),
        ] {
            let expected = expected.map(|words| words.into_iter().map(str::to_string).collect());
            assert_eq!(split_shell(text), expected, "{text}");
        }
    }

    #[test]
    fn every_short_sequence_of_nasty_fragments_is_read() {
        let fragments: [&[u8]; 20] = [
            b"\n",
            b"\r",
            b" ",
            b"\t",
            b"[",
            b"]",
            b"[s]",
            b"[DEFAULT]",
            b"a",
            b"=",
            b":",
            b"#",
            b";",
            b"'",
            b"\"",
            b"\\",
            b"\xff",
            b"\xef\xbb\xbf",
            b"\0",
            "\u{85}\u{3000}é".as_bytes(),
        ];
        const LENGTH: u32 = 4;
        for number in 0..fragments.len().pow(LENGTH) {
            let mut text = Vec::new();
            let mut rest = number;
            for _ in 0..LENGTH {
                text.extend(fragments[rest % fragments.len()]);
                rest /= fragments.len();
            }
            let behind = [b"[s]\na =\n".as_slice(), &text].concat();
            for text in [text, behind] {
                let decoded = decode(&text);
                let ini = parse(&decoded);
                for entry in ini
                    .sections
                    .iter()
                    .flat_map(|section| section.entries.iter())
                {
                    assert!(entry.nested().count() <= text.len());
                }
                split_shell(&String::from_utf8_lossy(&text));
            }
        }
    }

    #[test]
    fn a_section_of_many_keys_is_read_as_one_of_few() {
        let lines: Vec<String> = (0..100)
            .map(|number| format!("k{number} = {number}"))
            .collect();
        let text = format!("[s]\n{0}\nK7 = again\n  and again\n{0}", lines.join("\n"));
        let decoded = decode(text.as_bytes());
        let ini = parse(&decoded);
        let entries = &ini.sections[0].entries;
        assert_eq!(entries.iter().count(), 100);
        for number in 0..100 {
            let entry = entries.get(&format!("k{number}")).expect("it is there");
            assert_eq!(entry.value, number.to_string());
        }
        let told: Vec<&str> = ini.warnings.iter().map(|w| w.text.as_str()).collect();
        assert_eq!(told.len(), 101);
        assert_eq!(
            (told[0], told[8]),
            (
                "`K7` is already set in line 9; the later one counts",
                "`k7` is already set in line 102; the later one counts"
            )
        );
    }

    #[test]
    fn a_long_file_takes_no_longer_than_its_length() {
        let text = "[s]\na = 1\n  2\n\njunk\n[x\n".repeat(50_000);
        assert_eq!(parse(&decode(text.as_bytes())).sections.len(), 1);
        let lines: Vec<String> = (0..200_000).map(|number| format!("k{number}=")).collect();
        let text = format!("[s]\n{}", lines.join("\n"));
        let decoded = decode(text.as_bytes());
        assert_eq!(parse(&decoded).sections[0].entries.iter().count(), 200_000);
    }
}
