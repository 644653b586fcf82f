//! HTTP/1.1 as a client of a small JSON API speaks it: requests to bytes, bytes to answers.
//!
//! Pure: `Decoder` is fed whatever the connection yields and says when the answer is whole. It is strict where
//! leniency could make one answer look like another (RFC 9112, sections 6.3 and 11): two lengths that disagree, a
//! length beside a transfer coding, and codings other than `chunked` are refused. Every part has a limit, and every
//! byte is looked at a constant number of times, however small the pieces it comes in.
//!
//! Left out: redirects, compression, trailers (read and dropped), upgrades, several requests on one connection.

use std::fmt;

use crate::format::url::Url;

/// Bytes of body; far above any token reply.
pub const ANSWER_MAX: usize = 64 * 1024;
/// Bytes of status line and headers; also of trailers. AWS sends under 1 KiB, captive portals some more.
const HEAD_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 100;
/// Bytes of the line in front of a chunk: its size and extensions.
const CHUNK_LINE_MAX: usize = 256;
/// How many 1xx answers may precede the real one.
const INTERIM_MAX: usize = 8;

const USER_AGENT: &str = concat!("aws-sso-refresh/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
}

pub struct Request {
    pub method: Method,
    pub url: Url,
    /// Beside those that `encode` writes: `Host`, `User-Agent`, `Accept-Encoding`, `Content-Length`, `Connection`.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// Shows neither headers nor body: they carry secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {} ({} bytes)",
            self.method,
            self.url,
            self.body.len()
        )
    }
}

impl Request {
    /// The bytes for the server itself (RFC 9112, section 3.2.1).
    ///
    /// # Errors
    /// The URL or a header holds a control character, which could begin another header or request.
    pub fn encode(&self) -> Result<Vec<u8>, Broken> {
        self.encode_as(&self.url.path, None)
    }

    /// The bytes for a proxy that passes on plain `http` requests (RFC 9112, section 3.2.2).
    ///
    /// # Errors
    /// As `encode`.
    pub fn encode_for_proxy(&self, authorization: Option<&str>) -> Result<Vec<u8>, Broken> {
        self.encode_as(&self.url.to_string(), authorization)
    }

    fn encode_as(
        &self,
        target: &str,
        proxy_authorization: Option<&str>,
    ) -> Result<Vec<u8>, Broken> {
        let method = match self.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
        };
        let mut head = Head::new(method, target, &self.url.host_header())?;
        for (name, value) in &self.headers {
            head.add(name, value)?;
        }
        head.add("Accept-Encoding", "identity")?;
        if let Some(value) = proxy_authorization {
            head.add("Proxy-Authorization", value)?;
        }
        if self.method == Method::Post {
            head.add("Content-Length", &self.body.len().to_string())?;
        }
        // Each process makes a request or two: keeping the connection would help nobody.
        head.add("Connection", "close")?;
        let mut bytes = head.finish();
        bytes.extend_from_slice(&self.body);
        Ok(bytes)
    }
}

/// What asks a proxy for a tunnel to the host of `url` (RFC 9110, section 9.3.6).
///
/// # Errors
/// The URL or `authorization` holds a control character.
pub fn encode_connect(url: &Url, authorization: Option<&str>) -> Result<Vec<u8>, Broken> {
    let mut head = Head::new("CONNECT", &url.authority(), &url.authority())?;
    if let Some(value) = authorization {
        head.add("Proxy-Authorization", value)?;
    }
    Ok(head.finish())
}

struct Head(String);

impl Head {
    fn new(method: &str, target: &str, host: &str) -> Result<Head, Broken> {
        if target.bytes().any(|b| b == b' ' || b.is_ascii_control()) {
            return Err(Broken("the URL holds a blank or a control character"));
        }
        let mut head = Head(format!("{method} {target} HTTP/1.1\r\n"));
        head.add("Host", host)?;
        head.add("User-Agent", USER_AGENT)?;
        Ok(head)
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), Broken> {
        if value.bytes().any(|b| b.is_ascii_control()) {
            return Err(Broken("a header holds a control character"));
        }
        for part in [name, ": ", value, "\r\n"] {
            self.0.push_str(part);
        }
        Ok(())
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.push_str("\r\n");
        self.0.into_bytes()
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// In the order received; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// At most `ANSWER_MAX` bytes.
    pub body: Vec<u8>,
}

/// Shows neither header values nor body: they carry secrets.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.status, self.body.len())
    }
}

impl Response {
    /// The first header of this name; letter case does not count.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The comma-separated items of all headers of this name.
    fn items<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .map(|item| item.trim_matches([' ', '\t']))
    }
}

/// Why bytes are not an answer, or a request cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken(pub &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    More,
    /// The answer is whole; so many of the bytes pushed last come after it.
    Done {
        surplus: usize,
    },
}

/// Reads one answer, piece by piece.
pub struct Decoder {
    method: Method,
    state: State,
    /// The head as far as it has come; empty while the body is read.
    head: Vec<u8>,
    interim: usize,
    response: Response,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// A body of so many more bytes.
    Sized(usize),
    UntilClose,
    /// The line in front of a chunk.
    ChunkLine {
        size: Option<usize>,
        digits_ended: bool,
        length: usize,
        after_cr: bool,
    },
    ChunkData(usize),
    /// The CR LF behind a chunk.
    ChunkEnd {
        after_cr: bool,
    },
    Trailers {
        line_is_empty: bool,
        length: usize,
        after_cr: bool,
    },
    Done,
}

const CHUNK_LINE: State = State::ChunkLine {
    size: None,
    digits_ended: false,
    length: 0,
    after_cr: false,
};

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoder({:?}, {:?})", self.state, self.response)
    }
}

impl Decoder {
    /// For the answer to a request of this method. The answer to CONNECT ends with its head, like that to HEAD.
    pub fn new(method: Method) -> Decoder {
        Decoder {
            method,
            state: State::Head,
            head: Vec::new(),
            interim: 0,
            response: Response {
                status: 0,
                headers: Vec::new(),
                body: Vec::new(),
            },
        }
    }

    /// Takes the next bytes. Once it is `Done`, more are only counted.
    ///
    /// # Errors
    /// No sequence of further bytes can make this an answer within the limits.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Progress, Broken> {
        let mut rest = bytes;
        while self.state != State::Done {
            if rest.is_empty() {
                return Ok(Progress::More);
            }
            let used = self.step(rest)?;
            rest = &rest[used..];
        }
        Ok(Progress::Done {
            surplus: rest.len(),
        })
    }

    /// The answer, when it is `Done` or the connection has ended. `closed_properly`: by TLS `close_notify` or TCP FIN.
    ///
    /// # Errors
    /// The answer is not whole: only one without a length may end with the connection, and only with a proper end.
    pub fn finish(self, closed_properly: bool) -> Result<Response, Broken> {
        match self.state {
            State::Done => Ok(self.response),
            State::UntilClose if closed_properly => Ok(self.response),
            State::Head if self.head.is_empty() && self.interim == 0 => {
                Err(Broken("the connection was closed without an answer"))
            }
            _ => Err(Broken("the answer is cut short")),
        }
    }

    /// Takes at least one byte of `bytes`, which is not empty; says how many.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let first = bytes[0];
        match &mut self.state {
            State::Head => self.step_head(bytes),
            State::Sized(left) | State::ChunkData(left) => {
                let used = bytes.len().min(*left);
                *left -= used;
                let ended = *left == 0;
                self.add_body(&bytes[..used])?;
                if ended {
                    self.state = match self.state {
                        State::Sized(_) => State::Done,
                        _ => State::ChunkEnd { after_cr: false },
                    };
                }
                Ok(used)
            }
            State::UntilClose => {
                self.add_body(bytes)?;
                Ok(bytes.len())
            }
            State::ChunkLine {
                size,
                digits_ended,
                length,
                after_cr,
            } => {
                *length += 1;
                match first {
                    _ if *length > CHUNK_LINE_MAX => {
                        return Err(Broken("a chunk size is too long"));
                    }
                    b'\n' if *after_cr => {
                        self.state = match *size {
                            None => return Err(Broken("a chunk has no size")),
                            Some(0) => State::Trailers {
                                line_is_empty: true,
                                length: 0,
                                after_cr: false,
                            },
                            Some(size) if size > ANSWER_MAX - self.response.body.len() => {
                                return Err(TOO_LARGE);
                            }
                            Some(size) => State::ChunkData(size),
                        };
                    }
                    _ if *after_cr => return Err(BAD_CHUNK_LINE),
                    b'\r' => *after_cr = true,
                    b';' | b' ' | b'\t' if size.is_some() && !*digits_ended => {
                        *digits_ended = true;
                    }
                    b'\t' | b' '..=b'~' | 0x80.. if *digits_ended => (),
                    _ => {
                        let digit = char::from(first).to_digit(16).ok_or(BAD_CHUNK_LINE)?;
                        let larger = size.unwrap_or(0) * 16 + digit as usize;
                        if larger > ANSWER_MAX {
                            return Err(TOO_LARGE);
                        }
                        *size = Some(larger);
                    }
                }
                Ok(1)
            }
            State::ChunkEnd { after_cr } => {
                match first {
                    b'\r' if !*after_cr => *after_cr = true,
                    b'\n' if *after_cr => self.state = CHUNK_LINE,
                    _ => return Err(Broken("a chunk is longer than its size")),
                }
                Ok(1)
            }
            State::Trailers {
                line_is_empty,
                length,
                after_cr,
            } => {
                *length += 1;
                match first {
                    _ if *length > HEAD_MAX => return Err(Broken("the trailers are too large")),
                    b'\n' if *after_cr && *line_is_empty => self.state = State::Done,
                    b'\n' if *after_cr => (*line_is_empty, *after_cr) = (true, false),
                    b'\n' => return Err(Broken("a trailer is malformed")),
                    _ if *after_cr => return Err(Broken("a trailer is malformed")),
                    b'\r' => *after_cr = true,
                    _ => *line_is_empty = false,
                }
                Ok(1)
            }
            State::Done => Ok(bytes.len()),
        }
    }

    fn add_body(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if bytes.len() > ANSWER_MAX - self.response.body.len() {
            return Err(TOO_LARGE);
        }
        self.response.body.extend_from_slice(bytes);
        Ok(())
    }

    /// Looks for the empty line behind the head, and only then has the head parsed: once, not once per piece.
    fn step_head(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        const BEGINNING: &[u8] = b"HTTP/1.";
        for (at, &byte) in bytes.iter().enumerate() {
            // What speaks another protocol is found out by its first byte, not by the deadline.
            if BEGINNING
                .get(self.head.len())
                .is_some_and(|&expected| expected != byte)
            {
                return Err(Broken("it is not HTTP/1"));
            }
            if self.head.len() == HEAD_MAX {
                return Err(Broken("its headers are too large"));
            }
            self.head.push(byte);
            if self.head.ends_with(b"\n\r\n") || self.head.ends_with(b"\n\n") {
                self.end_head()?;
                return Ok(at + 1);
            }
        }
        Ok(bytes.len())
    }

    fn end_head(&mut self) -> Result<(), Broken> {
        let bytes = std::mem::take(&mut self.head);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(&bytes) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => (),
            Err(httparse::Error::TooManyHeaders) => return Err(Broken("it has too many headers")),
            _ => return Err(Broken("its headers are malformed")),
        }
        let status = parsed.code.unwrap_or_default();
        match status {
            0..=99 | 600.. => return Err(Broken("its status is not one")),
            101 => return Err(Broken("it switches to another protocol")),
            100..=199 => {
                self.interim += 1;
                return if self.interim > INTERIM_MAX {
                    Err(Broken("it has too many interim answers"))
                } else {
                    Ok(())
                };
            }
            _ => (),
        }
        self.response.status = status;
        self.response.headers = parsed
            .headers
            .iter()
            .map(|header| {
                let value = String::from_utf8_lossy(header.value).into_owned();
                (header.name.to_string(), value)
            })
            .collect();
        self.state = self.framing(parsed.version == Some(1))?;
        Ok(())
    }

    /// How the body is delimited (RFC 9112, section 6.3).
    fn framing(&self, is_http_1_1: bool) -> Result<State, Broken> {
        let response = &self.response;
        if self.method == Method::Head || matches!(response.status, 204 | 304) {
            return Ok(State::Done);
        }
        let mut codings = response.items("Transfer-Encoding");
        let mut lengths = response.items("Content-Length");
        match (codings.next(), lengths.next()) {
            (Some(_), Some(_)) => Err(Broken("it has both a length and a transfer coding")),
            (Some(coding), None) => {
                let is_chunked = coding.eq_ignore_ascii_case("chunked");
                if is_chunked && is_http_1_1 && codings.next().is_none() {
                    Ok(CHUNK_LINE)
                } else {
                    Err(Broken("its transfer coding is not known"))
                }
            }
            (None, Some(length)) => {
                // `parse` alone would take `+5`.
                let is_number = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
                if !is_number || lengths.any(|other| other != length) {
                    return Err(Broken("its length is not one number"));
                }
                match length.parse::<usize>() {
                    Ok(0) => Ok(State::Done),
                    Ok(length) if length <= ANSWER_MAX => Ok(State::Sized(length)),
                    _ => Err(TOO_LARGE),
                }
            }
            (None, None) => Ok(State::UntilClose),
        }
    }
}

const TOO_LARGE: Broken = Broken("it is larger than 64 KiB");
const BAD_CHUNK_LINE: Broken = Broken("a chunk size is malformed");

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `answer` in pieces cut at every position (and byte by byte), closes properly, and compares the outcome.
    fn check(method: Method, answer: &[u8], expected: Result<(u16, &str), &str>) {
        let whole = decode(method, &[answer], true);
        let seen = match &whole {
            Ok(response) => Ok((
                response.status,
                String::from_utf8_lossy(&response.body).into_owned(),
            )),
            Err(broken) => Err(broken.to_string()),
        };
        let expected = expected
            .map(|(status, body)| (status, body.to_string()))
            .map_err(str::to_string);
        assert_eq!(seen, expected, "{:?}", String::from_utf8_lossy(answer));
        for at in 0..answer.len().min(500) {
            let (before, after) = answer.split_at(at);
            assert_eq!(
                decode(method, &[before, after], true),
                whole,
                "{:?} cut at {at}",
                String::from_utf8_lossy(answer)
            );
        }
        let bytes: Vec<&[u8]> = answer.chunks(1).collect();
        assert_eq!(decode(method, &bytes, true), whole);
    }

    fn decode(method: Method, pieces: &[&[u8]], closed_properly: bool) -> Result<Response, Broken> {
        let mut decoder = Decoder::new(method);
        for piece in pieces {
            if let Progress::Done { .. } = decoder.push(piece)? {
                break;
            }
        }
        decoder.finish(closed_properly)
    }

    fn check_post(answer: &str, expected: Result<(u16, &str), &str>) {
        check(Method::Post, answer.as_bytes(), expected);
    }

    fn request(method: Method, headers: Vec<(&'static str, String)>) -> Request {
        Request {
            method,
            url: Url::parse("https://oidc.eu-west-1.amazonaws.com:8443/token?a=b")
                .expect("a literal"),
            headers,
            body: b"{}".to_vec(),
        }
    }

    #[test]
    fn a_request_is_written_as_one_message() {
        let json = ("Content-Type", "application/json".to_string());
        let bytes = request(Method::Post, vec![json])
            .encode()
            .expect("no control characters");
        let expected = format!(
            "POST /token?a=b HTTP/1.1\r\nHost: oidc.eu-west-1.amazonaws.com:8443\r\n\
             User-Agent: aws-sso-refresh/{}\r\nContent-Type: application/json\r\n\
             Accept-Encoding: identity\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    #[test]
    fn a_proxy_gets_the_whole_url_or_the_authority() {
        let bytes = request(Method::Get, Vec::new())
            .encode_for_proxy(Some("Basic eA=="))
            .expect("no control characters");
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            text.starts_with(
                "GET https://oidc.eu-west-1.amazonaws.com:8443/token?a=b HTTP/1.1\r\n"
            )
        );
        assert!(text.contains("\r\nProxy-Authorization: Basic eA==\r\n"));
        let url = Url::parse("https://[::1]/x").expect("a literal");
        let bytes = encode_connect(&url, None).expect("no control characters");
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n"));
        assert!(text.ends_with("\r\n\r\n") && !text.contains("Authorization"));
    }

    #[test]
    fn nothing_can_be_smuggled_into_a_request() {
        for value in ["a\r\nX: y", "a\nb", "a\rb", "\0", "\u{7f}"] {
            let request = request(Method::Get, vec![("X", value.to_string())]);
            assert_eq!(
                request.encode(),
                Err(Broken("a header holds a control character"))
            );
        }
        let mut request = request(Method::Get, Vec::new());
        request.url = request.url.join("/a HTTP/1.1\r\nX: y");
        assert_eq!(
            request.encode(),
            Err(Broken("the URL holds a blank or a control character"))
        );
    }

    #[test]
    fn what_is_shown_for_debugging_holds_no_secret() {
        let request = request(Method::Post, vec![("X", "tell-nobody".to_string())]);
        assert_eq!(
            format!("{request:?}"),
            "Post https://oidc.eu-west-1.amazonaws.com:8443/token?a=b (2 bytes)"
        );
        let answer = b"HTTP/1.1 200 OK\r\nX: tell-nobody\r\nContent-Length: 11\r\n\r\ntell-nobody";
        let mut decoder = Decoder::new(Method::Post);
        decoder.push(answer).expect("a good answer");
        assert_eq!(format!("{decoder:?}"), "Decoder(Done, 200 (11 bytes))");
        let response = decoder.finish(false).expect("a whole answer");
        assert_eq!(format!("{response:?}"), "200 (11 bytes)");
    }

    #[test]
    fn a_sized_answer_is_read() {
        check_post(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            Ok((200, "{}")),
        );
        check_post(
            "HTTP/1.1 400 \r\ncontent-length:2\r\n\r\n{}",
            Ok((400, "{}")),
        );
        check_post("HTTP/1.1 400\r\nContent-Length: 0\r\n\r\n", Ok((400, "")));
        check_post("HTTP/1.0 200 OK\nContent-Length: 02\n\n{}", Ok((200, "{}")));
    }

    #[test]
    fn bytes_after_the_answer_are_only_counted() {
        let mut decoder = Decoder::new(Method::Post);
        let progress = decoder.push(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP");
        assert_eq!(progress, Ok(Progress::Done { surplus: 4 }));
        assert_eq!(decoder.push(b"x"), Ok(Progress::Done { surplus: 1 }));
        let response = decoder.finish(false).expect("it is whole");
        assert_eq!(response.body, b"{}");
    }

    #[test]
    fn equal_lengths_are_one_and_different_ones_are_broken() {
        check_post(
            "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\n{}",
            Ok((200, "{}")),
        );
        let broken = Err("its length is not one number");
        for length in [
            "2, 3", "+2", "-2", "", "2,", "2 2", "0x2", "2.0", "\u{0662}",
        ] {
            check_post(
                &format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{{}}"),
                broken,
            );
        }
        check_post(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\n{}",
            broken,
        );
    }

    #[test]
    fn an_answer_may_have_64_kib_and_no_more() {
        let body = "x".repeat(ANSWER_MAX);
        check_post(
            &format!("HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n{body}"),
            Ok((200, &body)),
        );
        check_post(
            &format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n{body}\r\n0\r\n\r\n"
            ),
            Ok((200, &body)),
        );
        check_post(&format!("HTTP/1.1 200 OK\r\n\r\n{body}"), Ok((200, &body)));
        let too_large = Err("it is larger than 64 KiB");
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n".to_string(),
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n".to_string(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n".to_string(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff".to_string(),
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n{body}\r\n1\r\n"
            ),
            format!("HTTP/1.1 200 OK\r\n\r\n{body}y"),
        ] {
            check_post(&answer, too_large);
        }
    }

    #[test]
    fn chunks_are_joined_and_their_extensions_and_trailers_dropped() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";
        for body in [
            "2\r\n{}\r\n0\r\n\r\n",
            "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            "0002;name=\"value\"\r\n{}\r\n000;x\r\n\r\n",
            "2 \r\n{}\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
        ] {
            check_post(&format!("{head}{body}"), Ok((200, "{}")));
        }
        for (body, why) in [
            ("\r\n", "a chunk has no size"),
            (";x\r\n", "a chunk size is malformed"),
            ("+2\r\n", "a chunk size is malformed"),
            ("-2\r\n", "a chunk size is malformed"),
            ("0x2\r\n", "a chunk size is malformed"),
            (" 2\r\n", "a chunk size is malformed"),
            ("2\n{}", "a chunk size is malformed"),
            ("2;\n{}", "a chunk size is malformed"),
            ("2\r{}", "a chunk size is malformed"),
            ("2\r\r\n{}", "a chunk size is malformed"),
            ("2;\rx\r\n{}", "a chunk size is malformed"),
            ("2;\0\r\n", "a chunk size is malformed"),
            ("2\r\n{}}\r\n", "a chunk is longer than its size"),
            ("2\r\n{}\n", "a chunk is longer than its size"),
            ("2\r\n{}\r\r\n", "a chunk is longer than its size"),
            ("0\r\nX: y\n", "a trailer is malformed"),
            ("0\r\nX: y\rz", "a trailer is malformed"),
            ("0\r\n\r", "the answer is cut short"),
            ("2\r\n{}\r\n", "the answer is cut short"),
            ("2\r\n{", "the answer is cut short"),
        ] {
            check_post(&format!("{head}{body}"), Err(why));
        }
        let with_line = |length: usize| {
            let line = format!("2;{}\r\n", "x".repeat(length - 4));
            format!("{head}{line}{{}}\r\n0\r\n\r\n")
        };
        check_post(&with_line(256), Ok((200, "{}")));
        check_post(&with_line(257), Err("a chunk size is too long"));
        let with_trailers =
            |length: usize| format!("{head}0\r\nX: {}\r\n\r\n", "y".repeat(length - 7));
        check_post(&with_trailers(32 * 1024), Ok((200, "")));
        check_post(
            &with_trailers(32 * 1024 + 1),
            Err("the trailers are too large"),
        );
    }

    #[test]
    fn only_chunked_alone_is_a_transfer_coding() {
        for (headers, why) in [
            (
                "Transfer-Encoding: gzip",
                "its transfer coding is not known",
            ),
            (
                "Transfer-Encoding: gzip, chunked",
                "its transfer coding is not known",
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                "its transfer coding is not known",
            ),
            ("Transfer-Encoding:", "its transfer coding is not known"),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 2",
                "it has both a length and a transfer coding",
            ),
            (
                "Content-Length: 2\r\ntransfer-encoding: identity",
                "it has both a length and a transfer coding",
            ),
        ] {
            check_post(
                &format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{{}}"),
                Err(why),
            );
        }
        check_post(
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Err("its transfer coding is not known"),
        );
    }

    #[test]
    fn without_a_length_the_answer_ends_with_a_proper_close() {
        let answer = b"HTTP/1.1 200 OK\r\n\r\n{}";
        check(Method::Post, answer, Ok((200, "{}")));
        assert_eq!(
            decode(Method::Post, &[answer], false),
            Err(Broken("the answer is cut short"))
        );
    }

    #[test]
    fn what_has_no_body_ends_with_its_head() {
        let sized = "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(
            Method::Head,
            format!("HTTP/1.1 200 OK\r\n{sized}").as_bytes(),
            Ok((200, "")),
        );
        check_post(
            &format!("HTTP/1.1 204 No Content\r\n{sized}"),
            Ok((204, "")),
        );
        check_post(&format!("HTTP/1.1 304 Same\r\n{sized}"), Ok((304, "")));
    }

    #[test]
    fn interim_answers_are_passed_over_up_to_a_limit() {
        let interim = "HTTP/1.1 100 Continue\r\nContent-Length: 7\r\n\r\n";
        let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        check_post(&format!("{}{last}", interim.repeat(8)), Ok((200, "{}")));
        check_post(
            &format!("{}{last}", interim.repeat(9)),
            Err("it has too many interim answers"),
        );
        check_post(interim, Err("the answer is cut short"));
        check_post(
            "HTTP/1.1 101 Switching\r\n\r\n",
            Err("it switches to another protocol"),
        );
    }

    #[test]
    fn what_is_not_http_1_is_refused_at_once() {
        for text in [
            "SSH-2.0-OpenSSH_9.9\r\n",
            "HTTP/2 200\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "http/1.1 200 OK\r\n\r\n",
            "\u{15}\u{3}\u{3}",
        ] {
            check_post(text, Err("it is not HTTP/1"));
        }
        for text in [
            "HTTP/1.9 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nName : v\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: v\r\n\r\n",
        ] {
            check_post(text, Err("its headers are malformed"));
        }
        check_post("HTTP/1.1 099 OK\r\n\r\n", Err("its status is not one"));
        check_post("HTTP/1.1 999 OK\r\n\r\n", Err("its status is not one"));
        check_post("", Err("the connection was closed without an answer"));
        check_post("HTTP/1.1 200 OK\r\n", Err("the answer is cut short"));
    }

    #[test]
    fn a_head_has_limits() {
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101));
        check_post(&many, Err("it has too many headers"));
        let with_length = |length: usize| {
            let rest = "HTTP/1.1 200 OK\r\nA: \r\n\r\n".len();
            format!(
                "HTTP/1.1 200 OK\r\nA: {}\r\n\r\n",
                "b".repeat(length - rest)
            )
        };
        check_post(&with_length(32 * 1024), Ok((200, "")));
        check_post(
            &with_length(32 * 1024 + 1),
            Err("its headers are too large"),
        );
    }

    #[test]
    fn headers_are_found_in_any_case_and_may_hold_any_bytes() {
        let answer =
            b"HTTP/1.1 400 Bad\r\nx-amzn-ErrorType: E:h\r\nB: \xff\r\nContent-Length: 0\r\n\r\n";
        let response = decode(Method::Post, &[answer], false).expect("a good answer");
        assert_eq!(response.header("X-Amzn-Errortype"), Some("E:h"));
        assert_eq!(response.header("b"), Some("\u{fffd}"));
        assert_eq!(response.header("c"), None);
    }

    #[test]
    fn no_short_sequence_of_nasty_pieces_gives_a_verdict_that_depends_on_the_cuts() {
        const WORDS: [&str; 17] = [
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 100 C\r\n\r\n",
            "HTTP/1.0 204\n",
            "Content-Length: 3\r\n",
            "Content-Length: 0\n",
            "Transfer-Encoding: chunked\r\n",
            "\r\n",
            "\n",
            "\r",
            "0",
            "3\r\n",
            ";",
            " ",
            "abc",
            "\0",
            ":",
            "\u{ff}",
        ];
        let mut indices = [0; 4];
        loop {
            let words: Vec<&[u8]> = indices.iter().map(|&i| WORDS[i].as_bytes()).collect();
            // Behind a good beginning too, so that the states of the body are reached.
            for beginning in ["", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
                let whole = [beginning.as_bytes(), &words.concat()].concat();
                let mut pieces = vec![beginning.as_bytes()];
                pieces.extend(&words);
                let verdict = decode(Method::Post, &[&whole], true);
                assert_eq!(decode(Method::Post, &pieces, true), verdict, "{whole:?}");
            }
            let Some(at) = indices.iter().rposition(|&i| i + 1 < WORDS.len()) else {
                break;
            };
            indices[at] += 1;
            indices[at + 1..].fill(0);
        }
    }
}
