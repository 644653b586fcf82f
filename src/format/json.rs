//! JSON objects whose members stay as they were written, byte for byte and in order.
//!
//! tinyjson decodes the values we use; it holds numbers as `f64` and objects as hash maps, so a file passed through
//! it would lose large integers, `1e400` and the order of its keys. The scanner here splits an object into members
//! without decoding them. It checks the whole grammar of RFC 8259 and the depth first: tinyjson recurses, and
//! 200,000 brackets would exhaust its stack.

use std::ops::{Deref, Range};
use std::sync::Arc;

use tinyjson::JsonValue;

/// How deep arrays and objects may be nested; token files and replies have one or two levels.
const DEPTH_MAX: usize = 32;

/// Why a text is not a JSON object, and the byte at which that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    pub why: &'static str,
    pub at: usize,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}", self.why, self.at)
    }
}

/// A piece of a text that it shares with other pieces. A token file is in memory once, however many values are taken
/// from it: a `status` of thousands of sessions is made of little but such texts, and new memory costs it more than
/// reading the files does.
#[derive(Clone)]
pub struct Piece {
    text: Arc<String>,
    span: Span,
}

type Span = Range<usize>;

impl Piece {
    fn part(&self, span: Span) -> Piece {
        Piece {
            text: Arc::clone(&self.text),
            span: self.span.start + span.start..self.span.start + span.end,
        }
    }
}

impl Deref for Piece {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text[self.span.clone()]
    }
}

impl<T: Into<String>> From<T> for Piece {
    fn from(text: T) -> Piece {
        let text = Arc::new(text.into());
        let span = 0..text.len();
        Piece { text, span }
    }
}

impl PartialEq for Piece {
    fn eq(&self, other: &Piece) -> bool {
        **self == **other
    }
}

impl Eq for Piece {}

/// A well-formed JSON value as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Piece);

/// Shows no content: it may be a secret.
impl std::fmt::Debug for RawJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawJson({} bytes)", self.0.len())
    }
}

/// Shows no content either.
impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Piece({} bytes)", self.len())
    }
}

impl RawJson {
    pub fn string(text: &str) -> RawJson {
        RawJson(quote(text).into())
    }

    pub fn integer(number: i64) -> RawJson {
        RawJson(number.to_string().into())
    }

    pub fn boolean(value: bool) -> RawJson {
        RawJson(value.to_string().into())
    }

    /// The object of `members`, as Python writes it.
    pub fn object(members: &[Member]) -> RawJson {
        RawJson(write_object(members).into())
    }

    pub fn array(items: &[RawJson]) -> RawJson {
        let items: Vec<&str> = items.iter().map(RawJson::as_text).collect();
        RawJson(format!("[{}]", items.join(", ")).into())
    }

    pub fn null() -> RawJson {
        RawJson("null".into())
    }

    pub fn is_null(&self) -> bool {
        &*self.0 == "null"
    }

    pub fn as_text(&self) -> &str {
        &self.0
    }

    /// The string, decoded; `None` for other types and for escapes that are half a character.
    pub fn as_string(&self) -> Option<String> {
        self.as_piece().map(|text| text.to_string())
    }

    /// As `as_string`, without a copy where nothing has to be decoded.
    pub fn as_piece(&self) -> Option<Piece> {
        let text = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if !text.contains('\\') {
            return Some(self.0.part(1..1 + text.len()));
        }
        let decoded: String = self.decode()?.try_into().ok()?;
        Some(decoded.into())
    }

    /// The number where it is a whole one that `f64` holds exactly (`3600`, also written `3600.0` or `3.6e3`).
    pub fn as_integer(&self) -> Option<i64> {
        const EXACT_END: f64 = 9_007_199_254_740_992.0; // 2^53, which 2^53 + 1 is read as too
        const DIGITS_MAX: usize = 15; // fewer than 2^53 has
        if self.0.len() <= DIGITS_MAX
            && let Ok(number) = self.0.parse()
        {
            return Some(number);
        }
        let number: f64 = self.decode()?.try_into().ok()?;
        let is_whole = number.fract() == 0.0 && number.abs() < EXACT_END;
        #[allow(clippy::cast_possible_truncation)] // whole and below 2^53
        is_whole.then_some(number as i64)
    }

    /// As the function of that name, where this is an object.
    ///
    /// # Errors
    /// It is none.
    pub fn each_member<'t>(
        &'t self,
        each: &mut dyn FnMut(&str, Value<'t>),
    ) -> Result<(), Malformed> {
        each_member(&self.0, each)
    }

    fn decode(&self) -> Option<JsonValue> {
        self.0.parse().ok()
    }
}

/// One member of an object: the key decoded and as written, and the value as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub key: Piece,
    raw_key: RawJson,
    pub value: RawJson,
}

impl Member {
    pub fn new(key: &str, value: RawJson) -> Member {
        Member {
            key: key.into(),
            raw_key: RawJson::string(key),
            value,
        }
    }
}

/// Splits a JSON object into its members. A byte order mark and white space around the object pass.
///
/// # Errors
/// The text is not UTF-8, not one well-formed JSON object, or nested deeper than 32 levels.
pub fn members(text: &[u8]) -> Result<Vec<Member>, Malformed> {
    members_of(&text_of(text.to_vec())?)
}

/// The bytes as text, without a copy; a byte order mark in front is not part of it.
///
/// # Errors
/// They are not UTF-8.
pub fn text_of(bytes: Vec<u8>) -> Result<Piece, Malformed> {
    let text = String::from_utf8(bytes).map_err(|error| Malformed {
        why: "not UTF-8",
        at: error.utf8_error().valid_up_to(),
    })?;
    let text = Piece::from(text);
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    Ok(text.part(start..text.len()))
}

/// As `members`, of a text that they will share.
///
/// # Errors
/// As `members`.
pub fn members_of(text: &Piece) -> Result<Vec<Member>, Malformed> {
    let mut members = Vec::new();
    scan(text, &mut |key, value| {
        let raw_key = RawJson(text.part(key.span.clone()));
        // A key that is half a character stays as it is: nothing of ours has such a name.
        let name = match key.is_plain {
            true => text.part(key.between_quotes()),
            false => raw_key.as_piece().unwrap_or_else(|| raw_key.0.clone()),
        };
        let (key, value) = (name, RawJson(text.part(value.span)));
        members.push(Member {
            key,
            raw_key,
            value,
        });
    })?;
    Ok(members)
}

/// Passes on each member with its key, without a list of them: for texts that are read by the thousand.
///
/// # Errors
/// As `members`. What was passed on before counts for nothing.
pub fn each_member<'t>(
    text: &'t Piece,
    each: &mut dyn FnMut(&str, Value<'t>),
) -> Result<(), Malformed> {
    let whole: &str = text;
    scan(text, &mut |key, value| {
        let value = Value { text, place: value };
        if key.is_plain {
            each(&whole[key.between_quotes()], value);
        } else {
            let raw_key = RawJson(text.part(key.span));
            each(&raw_key.as_piece().unwrap_or(raw_key.0), value);
        }
    })
}

/// A value where it stands in its text.
#[derive(Debug)]
pub struct Value<'t> {
    text: &'t Piece,
    place: Place,
}

impl Value<'_> {
    pub fn raw(&self) -> RawJson {
        RawJson(self.text.part(self.place.span.clone()))
    }

    /// A string that is not empty, without a copy where nothing has to be decoded. Tokens are such strings, and tinyjson
    /// decodes character by character: a `status` of a thousand sessions spent three quarters of its time on that.
    pub fn as_word(&self) -> Option<Piece> {
        let word = match self.place.is_plain {
            true => Some(self.text.part(self.place.between_quotes())),
            false => self.raw().as_piece(),
        };
        word.filter(|word| !word.is_empty())
    }

    pub fn as_integer(&self) -> Option<i64> {
        self.raw().as_integer()
    }
}

/// Walks over a text that is one object; says where each key and value stands.
fn scan(text: &Piece, each: &mut dyn FnMut(Place, Place)) -> Result<(), Malformed> {
    let mut scanner = Scanner {
        text: text.as_bytes(),
        at: 0,
        has_escape: false,
    };
    scanner.blank();
    scanner.object(1, each)?;
    scanner.blank();
    match scanner.at < text.len() {
        true => Err(scanner.wrong("something follows the object")),
        false => Ok(()),
    }
}

/// The value of `key`; where it is written more than once the last one counts, as in every reader of the cache.
/// JSON `null` counts as absent.
pub fn get<'a>(members: &'a [Member], key: &str) -> Option<&'a RawJson> {
    let member = members.iter().rev().find(|member| *member.key == *key)?;
    (!member.value.is_null()).then_some(&member.value)
}

/// The non-empty string under `key`.
pub fn get_string(members: &[Member], key: &str) -> Option<String> {
    get_piece(members, key).map(|text| text.to_string())
}

/// As `get_string`, without a copy where nothing has to be decoded.
pub fn get_piece(members: &[Member], key: &str) -> Option<Piece> {
    get(members, key)?
        .as_piece()
        .filter(|text| !text.is_empty())
}

/// Puts `value` where `key` stands, or at the end; a key that stands more than once is left once.
pub fn set(members: &mut Vec<Member>, key: &str, value: RawJson) {
    let mut value = Some(value);
    members.retain_mut(|member| {
        if *member.key != *key {
            return true;
        }
        match value.take() {
            Some(value) => {
                member.value = value;
                true
            }
            None => false,
        }
    });
    if let Some(value) = value {
        members.push(Member::new(key, value));
    }
}

/// Takes `key` away, however often it stands.
pub fn remove(members: &mut Vec<Member>, key: &str) {
    members.retain(|member| *member.key != *key);
}

/// One line, separated as Python separates it: `{"a": 1, "b": 2}`.
pub fn write_object(members: &[Member]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|member| format!("{}: {}", member.raw_key.as_text(), member.value.as_text()))
        .collect();
    format!("{{{}}}", members.join(", "))
}

/// A JSON string. Never longer than the shortest way in which `text` can have been written as one.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Where something stands.
#[derive(Debug, Clone)]
struct Place {
    span: Span,
    /// A string without escapes, which is what it stands for.
    is_plain: bool,
}

impl Place {
    fn between_quotes(&self) -> Span {
        self.span.start + 1..self.span.end - 1
    }
}

/// Of text that is UTF-8: what has a meaning in JSON is ASCII, and no part of another character.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    has_escape: bool,
}

impl Scanner<'_> {
    fn object(
        &mut self,
        depth: usize,
        each: &mut dyn FnMut(Place, Place),
    ) -> Result<(), Malformed> {
        if !self.take(b'{') {
            return Err(self.wrong("not a JSON object"));
        }
        self.blank();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.blank();
            let key = self.span(|scanner| scanner.string())?;
            self.blank();
            if !self.take(b':') {
                return Err(self.wrong("a key without a colon"));
            }
            self.blank();
            let value = self.span(|scanner| scanner.value(depth))?;
            each(key, value);
            self.blank();
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.wrong("neither a comma nor the end of the object"));
            }
        }
    }

    fn array(&mut self, depth: usize, each: &mut dyn FnMut(Place)) -> Result<(), Malformed> {
        if !self.take(b'[') {
            return Err(self.wrong("not a JSON array"));
        }
        self.blank();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.blank();
            let value = self.span(|scanner| scanner.value(depth))?;
            each(value);
            self.blank();
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.wrong("neither a comma nor the end of the array"));
            }
        }
    }

    /// Passes over one value inside a container at `depth`.
    fn value(&mut self, depth: usize) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'{' | b'[') if depth >= DEPTH_MAX => Err(self.wrong("nested too deep")),
            Some(b'{') => self.object(depth + 1, &mut |_, _| ()),
            Some(b'[') => self.array(depth + 1, &mut |_| ()),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn span(
        &mut self,
        pass: impl FnOnce(&mut Self) -> Result<(), Malformed>,
    ) -> Result<Place, Malformed> {
        let from = self.at;
        self.has_escape = false;
        pass(self)?;
        Ok(Place {
            span: from..self.at,
            is_plain: self.text[from] == b'"' && !self.has_escape,
        })
    }

    fn word(&mut self) -> Result<(), Malformed> {
        for word in ["true", "false", "null"] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(());
            }
        }
        Err(self.wrong("not a JSON value"))
    }

    fn string(&mut self) -> Result<(), Malformed> {
        if !self.take(b'"') {
            return Err(self.wrong("not a JSON string"));
        }
        loop {
            self.at += plain_length(&self.text[self.at..]);
            match self.peek() {
                None => return Err(self.wrong("a string without an end")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(0..=0x1f) => return Err(self.wrong("a control character in a string")),
                Some(_) => self.escape()?,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        self.has_escape = true;
        let bytes = self.text;
        match bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u')
                if bytes
                    .get(self.at + 2..self.at + 6)
                    .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
            {
                self.at += 6;
            }
            _ => return Err(self.wrong("an escape that JSON does not have")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Malformed> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let from = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == from {
            Err(self.wrong("a number without digits"))
        } else {
            Ok(())
        }
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn wrong(&self, why: &'static str) -> Malformed {
        Malformed { why, at: self.at }
    }
}

/// How many bytes stand before the first quote, backslash or control character: sixteen at a time, because tokens are
/// long. Byte by byte this was a third of the instructions of a `status` of a thousand sessions; and where it is not a
/// function of its own, its constants are loaded again for every step.
#[inline(never)]
fn plain_length(bytes: &[u8]) -> usize {
    const fn each(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    // Has the highest bit of a byte where one is special: a subtraction borrows into that of what is less
    // (<https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord>). A blank, an exclamation mark and what is not
    // ASCII count as special too, which costs less than to tell them apart, and tokens have none of them.
    #[inline(always)]
    fn special(word: &[u8; 8]) -> u64 {
        let word = u64::from_le_bytes(*word);
        let quote = word.wrapping_sub(each(b'"' + 1));
        let backslash = (word ^ each(b'\\')).wrapping_sub(each(1));
        quote | backslash | word
    }
    let (words, _) = bytes.as_chunks();
    let (pairs, _) = words.as_chunks();
    let mut passed = 0;
    for [one, other] in pairs {
        if (special(one) | special(other)) & each(0x80) != 0 {
            break;
        }
        passed += 16;
    }
    let rest = bytes[passed..].iter();
    passed
        + rest
            .take_while(|b| **b > 0x1f && **b != b'"' && **b != b'\\')
            .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let written = members(text.as_bytes()).map(|members| write_object(&members));
        let written = written.as_deref().map_err(|malformed| malformed.why);
        assert_eq!(written, expected, "{text:?}");
    }

    #[test]
    fn members_stay_byte_for_byte_and_in_order() {
        let text = r#"{"z": 123456789012345678901234567890, "a": 1e400, "\u0061b": [1, {"q":  null}], "s": "\ud83d\/", "z": -0.0, "e": [1e-7, 1E+7]}"#;
        check(text, Ok(text));
    }

    #[test]
    fn white_space_and_a_byte_order_mark_around_the_object_pass() {
        check(
            "\u{feff} \r\n{\t\"a\" :1 ,\n \"b\":[ ] }\n",
            Ok(r#"{"a": 1, "b": [ ]}"#),
        );
        check("{ }", Ok("{}"));
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_reason() {
        for (text, why) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("7", "not a JSON object"),
            ("{", "not a JSON string"),
            (r#"{"a""#, "a key without a colon"),
            (r#"{"a":"#, "not a JSON value"),
            (r#"{"a":1"#, "neither a comma nor the end of the object"),
            (r#"{"a":1,}"#, "not a JSON string"),
            (r#"{"a":[1,]}"#, "not a JSON value"),
            (r#"{"a":[1"#, "neither a comma nor the end of the array"),
            (r#"{"a":"x"#, "a string without an end"),
            ("{\"a\":\"\n\"}", "a control character in a string"),
            (r#"{"a":"\x"}"#, "an escape that JSON does not have"),
            (r#"{"a":"\u12"}"#, "an escape that JSON does not have"),
            (r#"{"a":"\u12é"}"#, "an escape that JSON does not have"),
            (r#"{"a":01}"#, "neither a comma nor the end of the object"),
            (r#"{"a":-}"#, "a number without digits"),
            (r#"{"a":1.}"#, "a number without digits"),
            (r#"{"a":1e}"#, "a number without digits"),
            (r#"{"a":1e+-1}"#, "a number without digits"),
            (r#"{"a":NaN}"#, "not a JSON value"),
            (r#"{"a":1} x"#, "something follows the object"),
            (r#"{"a":1}{"#, "something follows the object"),
        ] {
            check(text, Err(why));
        }
        assert_eq!(
            members(b"{\"a\": \"\xff\"}").map_err(|m| (m.why, m.at)),
            Err(("not UTF-8", 7))
        );
    }

    #[test]
    fn thirty_two_levels_are_read_and_the_next_is_refused_before_any_stack_is_used_up() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let nested = |levels: usize| {
                let (open, close) = (open.repeat(levels), close.repeat(levels));
                format!(r#"{{"a":{open}1{close}}}"#)
            };
            assert!(members(nested(31).as_bytes()).is_ok());
            check(&nested(32), Err("nested too deep"));
            check(&nested(200_000), Err("nested too deep"));
        }
        assert!(members(&b"[".repeat(200_000)).is_err());
    }

    #[test]
    fn values_are_decoded_where_they_have_the_right_type() {
        let read = members(br#"{"s": "a\u00e9\ud83d\ude00\n", "n": 3600, "f": 3.6e3, "h": 0.5, "x": null, "lone": "\ud800", "t": true}"#)
            .expect("well-formed");
        assert_eq!(get_string(&read, "s").as_deref(), Some("aé😀\n"));
        assert_eq!(get(&read, "n").and_then(RawJson::as_integer), Some(3600));
        assert_eq!(get(&read, "f").and_then(RawJson::as_integer), Some(3600));
        assert_eq!(get(&read, "h").and_then(RawJson::as_integer), None);
        assert_eq!(get(&read, "s").and_then(RawJson::as_integer), None);
        assert_eq!(get(&read, "x"), None);
        assert_eq!(get_string(&read, "lone"), None);
        assert_eq!(get_string(&read, "n"), None);
    }

    #[test]
    fn a_whole_number_is_read_exactly_or_not_at_all() {
        for (number, expected) in [
            ("999999999999999", Some(999_999_999_999_999)),
            ("9007199254740991", Some(9_007_199_254_740_991)),
            ("-9007199254740991", Some(-9_007_199_254_740_991)),
            ("9007199254740993", None),
            ("1e16", None),
        ] {
            assert_eq!(RawJson(number.to_string().into()).as_integer(), expected);
        }
    }

    #[test]
    fn what_is_shown_for_debugging_holds_no_content() {
        let secret = RawJson::string("tell-nobody");
        assert_eq!(format!("{secret:?}"), "RawJson(13 bytes)");
        assert_eq!(format!("{:?}", secret.as_piece()), "Some(Piece(11 bytes))");
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_setting_leaves_one() {
        let mut read = members(br#"{"a": 1, "b": 2, "a": 3}"#).expect("well-formed");
        assert_eq!(get(&read, "a").and_then(RawJson::as_integer), Some(3));
        set(&mut read, "a", RawJson::string("x\"\\\u{1}"));
        set(&mut read, "c", RawJson::boolean(false));
        remove(&mut read, "b");
        assert_eq!(write_object(&read), r#"{"a": "x\"\\\u0001", "c": false}"#);
    }

    #[test]
    fn a_string_is_never_written_longer_than_it_was_read() {
        for c in (0..=0x2_ffff).filter_map(char::from_u32) {
            let quoted = quote(&c.to_string());
            let shortest = match c {
                '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 4,
                c if c < ' ' => 8,
                c => c.len_utf8() + 2,
            };
            assert!(quoted.len() == shortest, "{quoted}");
            assert_eq!(RawJson(quoted.into()).as_string(), Some(c.to_string()));
        }
    }

    #[test]
    fn every_byte_is_seen_at_every_place_of_a_string() {
        for length in 0..=24 {
            for at in 0..=length {
                for byte in 0..=0xff {
                    let mut bytes = vec![b'x'; length + 1];
                    bytes[at] = byte;
                    let is_plain = byte > 0x1f && byte != b'"' && byte != b'\\';
                    let expected = if is_plain { length + 1 } else { at };
                    assert_eq!(plain_length(&bytes), expected, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn every_short_sequence_of_nasty_pieces_ends() {
        const PIECES: [&str; 18] = [
            "{", "}", "[", "]", "\"", ":", ",", "\\", "\\u", "d800", "null", "tru", "1", "-", ".",
            "e", " ", "\u{feff}",
        ];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            texts = texts
                .iter()
                .flat_map(|text| PIECES.map(|piece| format!("{text}{piece}")))
                .collect();
            for text in &texts {
                if let Ok(members) = members(text.as_bytes()) {
                    let written = write_object(&members);
                    assert_eq!(super::members(written.as_bytes()), Ok(members), "{text:?}");
                }
            }
        }
    }
}
