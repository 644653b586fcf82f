//! HTTP/1.1 as the service reads and writes it: strict in what it takes, and able to send broken answers.
//!
//! Every size is limited, a request that breaks the grammar is named, never guessed at.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use tinyjson::JsonValue;

const HEAD_MAX: usize = 32 * 1024; // above what any proxy lets through
const BODY_MAX: usize = 64 * 1024; // tokens and client secrets are a few kilobytes
const HEADERS_MAX: usize = 64;
const CHUNK: usize = 7; // small and odd, so that chunks split words and escapes

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Percent-encoded as sent, without the query.
    pub path: String,
    pub query: Vec<(String, String)>,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// # Errors
    /// A parameter given twice, which no client means.
    pub fn query_map(&self) -> Result<HashMap<&str, &str>, String> {
        unique(&self.query)
    }

    fn wants_close(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
        .with("Content-Type", content_type)
    }

    pub fn json(status: u16, body: String) -> Reply {
        Reply::new(status, "application/json", body)
    }

    pub fn redirect(to: &str) -> Reply {
        Reply::new(302, "text/html;charset=utf-8", "").with("Location", to)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(key, _)| key.eq_ignore_ascii_case(name))
    }
}

/// How the bytes of an answer go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    /// In chunks of 7 bytes, with `Transfer-Encoding: chunked`.
    Chunked,
    /// One byte of the body at a time, with this pause before each.
    Drip(Duration),
    /// The full length is declared, this many bytes are sent, then the connection is cut.
    Truncate(usize),
    /// This length is declared, the whole body is sent, then the connection is closed.
    WrongLength(usize),
}

/// Why no request could be read.
#[derive(Debug)]
pub enum Unreadable {
    /// The client went away, or said nothing for too long.
    Gone,
    /// It sent something that is not a request: one sentence on what.
    Malformed(String),
}

impl From<io::Error> for Unreadable {
    fn from(_: io::Error) -> Unreadable {
        Unreadable::Gone
    }
}

#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

/// One connection, with what was read of it beyond the last request.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    unread: Vec<u8>,
}

impl Connection {
    pub fn new(stream: Stream) -> Connection {
        Connection {
            stream,
            unread: Vec::new(),
        }
    }

    /// # Errors
    /// The client is gone, or what it sent is not a request.
    pub fn read_request(&mut self) -> Result<Request, Unreadable> {
        let mut request = loop {
            if let Some((request, length)) = parse_head(&self.unread)? {
                self.unread.drain(..length);
                break request;
            }
            limit(self.unread.len(), HEAD_MAX, "head")?;
            self.fill()?;
        };

        let hosts = request
            .headers
            .iter()
            .filter(|(name, _)| name == "host")
            .count();
        if hosts != 1 {
            return malformed(format!("{hosts} Host headers"));
        }
        let lengths: Vec<_> = request
            .headers
            .iter()
            .filter(|(name, _)| name == "content-length")
            .collect();
        let length = match (lengths.as_slice(), request.header("transfer-encoding")) {
            ([], None) => Some(0),
            ([], Some("chunked")) => None,
            ([(_, digits)], None) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(
                digits
                    .parse()
                    .or_else(|_| malformed(format!("Content-Length {digits}")))?,
            ),
            _ => return malformed("a body of unclear length"),
        };
        match request.header("expect") {
            None => {}
            Some(value) if value.eq_ignore_ascii_case("100-continue") => {
                self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                self.stream.flush()?;
            }
            Some(value) => return malformed(format!("Expect: {value}")),
        }
        request.body = match length {
            Some(length) => self.take(length)?,
            None => self.read_chunks()?,
        };
        Ok(request)
    }

    /// Whether the connection can carry another request afterwards.
    ///
    /// # Errors
    /// The client did not take the answer.
    pub fn send(
        &mut self,
        request: &Request,
        reply: &Reply,
        delivery: &Delivery,
    ) -> io::Result<bool> {
        let cut = matches!(delivery, Delivery::Truncate(_) | Delivery::WrongLength(_));
        let keep = !cut && !request.wants_close();
        let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let framed = reply.has("content-length") || reply.has("transfer-encoding");
        match delivery {
            _ if framed => {}
            Delivery::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Delivery::WrongLength(length) => {
                head.push_str(&format!("Content-Length: {length}\r\n"))
            }
            _ => head.push_str(&format!("Content-Length: {}\r\n", reply.body.len())),
        }
        head.push_str(if keep {
            "Connection: keep-alive\r\n\r\n"
        } else {
            "Connection: close\r\n\r\n"
        });
        let mut bytes = head.into_bytes();

        let body = if request.method == "HEAD" {
            &[]
        } else {
            reply.body.as_slice()
        };
        match delivery {
            Delivery::Chunked if request.method != "HEAD" => {
                for chunk in body.chunks(CHUNK) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
            Delivery::Drip(pause) => {
                self.write(&bytes)?;
                for byte in body {
                    sleep(*pause);
                    self.write(&[*byte])?;
                }
                bytes.clear();
            }
            Delivery::Truncate(length) => bytes.extend_from_slice(&body[..body.len().min(*length)]),
            _ => bytes.extend_from_slice(body),
        }
        self.write(&bytes)?;
        Ok(keep)
    }

    /// # Errors
    /// The client did not take the bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// For bytes that are no answer.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Says goodbye as TLS wants it; a connection dropped without this is one that was cut.
    pub fn close(mut self) {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            // The client may have left first, which takes nothing from it.
            let _ = stream.conn.complete_io(&mut stream.sock);
        }
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>, Unreadable> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let Ok(length) = usize::from_str_radix(digits.trim(), 16) else {
                return malformed(format!("chunk size {digits:?}"));
            };
            if length == 0 {
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            limit(body.len().saturating_add(length), BODY_MAX, "body")?;
            body.extend(self.take(length)?);
            if !self.line()?.is_empty() {
                return malformed("a chunk longer than it said");
            }
        }
    }

    fn line(&mut self) -> Result<String, Unreadable> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(end)?;
                self.take(2)?;
                return String::from_utf8(line).or_else(|_| malformed("a line that is not text"));
            }
            limit(self.unread.len(), BODY_MAX, "line")?;
            self.fill()?;
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Unreadable> {
        limit(length, BODY_MAX, "body")?;
        while self.unread.len() < length {
            self.fill()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn fill(&mut self) -> Result<(), Unreadable> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer)? {
            0 if self.unread.is_empty() => Err(Unreadable::Gone),
            0 => malformed("a request cut short"),
            count => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<(Request, usize)>, Unreadable> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(err) => return malformed(err.to_string()),
    };
    let (Some(method), Some(target), Some(1)) = (head.method, head.path, head.version) else {
        return malformed("not HTTP/1.1");
    };
    let mut named = Vec::new();
    for header in head.headers.iter() {
        match str::from_utf8(header.value) {
            Ok(value) => named.push((header.name.to_ascii_lowercase(), value.to_string())),
            Err(_) => return malformed(format!("header {} is not text", header.name)),
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(query) = parse_pairs(query) else {
        return malformed("the query has a broken escape");
    };
    let request = Request {
        method: method.to_string(),
        path: path.to_string(),
        query,
        headers: named,
        body: Vec::new(),
    };
    Ok(Some((request, length)))
}

fn malformed<T>(why: impl Into<String>) -> Result<T, Unreadable> {
    Err(Unreadable::Malformed(why.into()))
}

fn limit(length: usize, max: usize, what: &str) -> Result<(), Unreadable> {
    if length > max {
        malformed(format!("the {what} is over {max} bytes"))
    } else {
        Ok(())
    }
}

/// `application/x-www-form-urlencoded` pairs, decoded; `None` for a broken escape.
pub fn parse_pairs(text: &str) -> Option<Vec<(String, String)>> {
    let decode = |part: &str| percent_decode(&part.replace('+', " "));
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

/// # Errors
/// A name given twice.
pub fn unique(pairs: &[(String, String)]) -> Result<HashMap<&str, &str>, String> {
    let map: HashMap<_, _> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    if map.len() == pairs.len() {
        Ok(map)
    } else {
        Err("a parameter is given twice".to_string())
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(bytes).ok()
}

pub fn percent_encode(text: &str) -> String {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| {
            if unreserved(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// RFC 4648, section 5, without padding.
pub fn base64url(bytes: &[u8]) -> String {
    base64(
        bytes,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    )
}

/// RFC 4648, section 4, with padding.
pub fn base64_padded(bytes: &[u8]) -> String {
    let mut text = base64(
        bytes,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    );
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let at = |index: usize| three.get(index).map_or(0, |byte| usize::from(*byte));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..=three.len() {
            text.push(char::from(alphabet[bits >> (18 - 6 * place) & 63]));
        }
    }
    text
}

/// A JSON object with its members in this order.
pub fn object<const N: usize>(members: [(&str, JsonValue); N]) -> String {
    let members = members.map(|(name, value)| {
        let value = value.stringify().expect("no number here is infinite");
        format!("\"{name}\":{value}")
    });
    format!("{{{}}}", members.join(","))
}

pub fn text(value: &str) -> JsonValue {
    JsonValue::String(value.to_string())
}

/// Exact up to 2^53, which is far beyond any time in milliseconds.
pub fn number(value: u64) -> JsonValue {
    JsonValue::Number(value as f64)
}

pub fn list(values: impl IntoIterator<Item = JsonValue>) -> JsonValue {
    JsonValue::Array(values.into_iter().collect())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7) for seconds since the epoch.
pub fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = "Dec";
    for (name, length) in MONTHS
        .iter()
        .zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    {
        if day < length {
            month = name;
            break;
        }
        day -= length;
    }
    let weekday = DAYS
        .iter()
        .cycle()
        .nth(usize::try_from(days % 7).unwrap_or(0))
        .unwrap_or(&"Thu");
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!(
        "{weekday}, {:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT",
        day + 1
    )
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(http_date(1_798_761_599), "Thu, 31 Dec 2026 23:59:59 GMT");
    }

    #[test]
    fn base64_has_padding_only_where_it_should() {
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        assert_eq!(base64_padded(b"ada:pass"), "YWRhOnBhc3M=");
    }

    #[test]
    fn a_broken_escape_is_no_query() {
        assert_eq!(
            parse_pairs("a=%2f+b&c"),
            Some(vec![("a".into(), "/ b".into()), ("c".into(), "".into())])
        );
        assert_eq!(parse_pairs("a=%2"), None);
        assert_eq!(parse_pairs("a=%zz"), None);
    }
}
