//! A datagram as a request: the start line, and the headers that an answer needs.
//!
//! Read leniently where meaning is clear (line ends without CR, unquoted display names, white space around separators) and
//! strictly where it is not: a header that must stand once and stands twice is a fault (RFC 3261, 7.3.1; RFC 4475).

use std::borrow::Cow;

use super::Flaw;

/// More header lines than this are no telephone call.
const MOST_HEADERS: usize = 256;
/// Most Via values: each is a hop, and 70 is what requests begin with (RFC 3261, 8.1.1.6).
const MOST_VIAS: usize = 70;
/// Most of a CSeq (RFC 3261, 8.1.1.5).
const LARGEST_CSEQ: u64 = (1 << 31) - 1;

/// A request's method, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Invite,
    Ack,
    Cancel,
    Options,
    /// Known, and not for a redirect server.
    Other,
    /// Not known.
    Unknown,
}

impl Method {
    /// Methods are case-sensitive (RFC 3261, 7.1).
    fn of(token: &[u8]) -> Self {
        match token {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"CANCEL" => Self::Cancel,
            b"OPTIONS" => Self::Options,
            b"REGISTER" | b"BYE" | b"SUBSCRIBE" | b"NOTIFY" | b"MESSAGE" | b"INFO" | b"UPDATE" | b"PRACK"
            | b"REFER" | b"PUBLISH" => Self::Other,
            _ => Self::Unknown,
        }
    }
}

/// A header's value as it was written, folds included, without white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'m>(pub &'m [u8]);

impl<'m> Value<'m> {
    /// The value in one line.
    pub fn unfolded(self) -> Cow<'m, [u8]> {
        if !self.0.contains(&b'\n') {
            return Cow::Borrowed(self.0);
        }
        let mut line = Vec::with_capacity(self.0.len());
        let mut folding = false;
        for &byte in self.0 {
            match byte {
                b'\r' | b'\n' => folding = true,
                b' ' | b'\t' if folding => {}
                _ => {
                    if folding {
                        line.push(b' ');
                        folding = false;
                    }
                    line.push(byte);
                }
            }
        }
        Cow::Owned(line)
    }
}

/// A request, as far as it could be read.
#[derive(Debug)]
pub struct Request<'m> {
    pub method: Method,
    pub uri: &'m [u8],
    pub vias: Vec<Value<'m>>,
    pub from: Option<Value<'m>>,
    pub to: Option<Value<'m>>,
    pub call_id: Option<Value<'m>>,
    pub cseq: Option<Value<'m>>,
    /// The number of CSeq.
    pub number: u32,
    pub require: Vec<Value<'m>>,
    pub asserted: Vec<Value<'m>>,
    pub privacy: Option<Value<'m>>,
    /// The first fault found, of those that need no look into an address.
    pub flaw: Option<Flaw>,
}

/// Why a datagram gets no answer at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nothing but line ends: it keeps a binding open (RFC 5626, 4.4.1).
    KeepAlive,
    /// An answer to somebody.
    Response,
    /// It cannot be told whom to answer, or what.
    Unreadable,
}

/// Reads a datagram.
pub fn read(datagram: &[u8]) -> Result<Request<'_>, Silence> {
    let begin = datagram.iter().position(|byte| !matches!(byte, b'\r' | b'\n' | 0)).ok_or(Silence::KeepAlive)?;
    let message = &datagram[begin..];
    let mut lines = Lines { rest: message };
    let start = lines.next_unfolded().ok_or(Silence::Unreadable)?;
    if start.starts_with(b"SIP/") {
        return Err(Silence::Response);
    }
    let mut request = Request {
        method: Method::Unknown,
        uri: &[],
        vias: Vec::with_capacity(4),
        from: None,
        to: None,
        call_id: None,
        cseq: None,
        number: 0,
        require: Vec::new(),
        asserted: Vec::new(),
        privacy: None,
        flaw: None,
    };
    let method = request.start(start)?;
    let mut more = Once::default();
    let mut count = 0;
    loop {
        let line = lines.next().ok_or(Silence::Unreadable)?;
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > MOST_HEADERS {
            request.fault(Flaw { status: 513, phrase: "Message Too Large" });
            break;
        }
        request.header(line, &mut more);
    }
    request.finish(method, &more, lines.rest.len());
    Ok(request)
}

/// What must stand once and is not copied.
#[derive(Default)]
struct Once<'m> {
    max_forwards: Option<&'m [u8]>,
    content_length: Option<&'m [u8]>,
}

impl<'m> Request<'m> {
    fn fault(&mut self, flaw: Flaw) {
        self.flaw.get_or_insert(flaw);
    }

    fn start(&mut self, line: &'m [u8]) -> Result<&'m [u8], Silence> {
        let method_end = line.iter().position(|&byte| byte == b' ').ok_or(Silence::Unreadable)?;
        let (method, rest) = (&line[..method_end], &line[method_end + 1..]);
        if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
            return Err(Silence::Unreadable);
        }
        self.method = Method::of(method);
        let split = rest.iter().rposition(|&byte| byte == b' ').ok_or(Silence::Unreadable)?;
        let (uri, version) = (&rest[..split], &rest[split + 1..]);
        self.uri = uri;
        if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            if version.len() > 4 && version[..4].eq_ignore_ascii_case(b"SIP/") {
                self.fault(Flaw { status: 505, phrase: "Version Not Supported" });
            } else {
                self.fault(Flaw::bad("Bad Request Line"));
            }
        }
        if uri.is_empty() || uri.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
            self.fault(Flaw::bad("Bad Request-URI"));
        }
        Ok(method)
    }

    fn header(&mut self, line: &'m [u8], once: &mut Once<'m>) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return self.fault(Flaw::bad("Header Without A Colon"));
        };
        let name = line[..colon].trim_ascii_end();
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return self.fault(Flaw::bad("Bad Header Name"));
        }
        let value = Value(line[colon + 1..].trim_ascii());
        let is = |full: &str| name.eq_ignore_ascii_case(full.as_bytes());
        let twice = match name.len() {
            1 => match name[0].to_ascii_lowercase() {
                b'v' => self.via(value),
                b'f' => self.from.replace(value).is_some(),
                b't' => self.to.replace(value).is_some(),
                b'i' => self.call_id.replace(value).is_some(),
                b'l' => once.content_length.replace(value.0).is_some(),
                _ => false,
            },
            2 if is("To") => self.to.replace(value).is_some(),
            3 if is("Via") => self.via(value),
            4 if is("From") => self.from.replace(value).is_some(),
            4 if is("CSeq") => self.cseq.replace(value).is_some(),
            7 if is("Call-ID") => self.call_id.replace(value).is_some(),
            7 if is("Require") => {
                self.require.push(value);
                false
            }
            7 if is("Privacy") => {
                self.privacy = Some(value);
                false
            }
            12 if is("Max-Forwards") => once.max_forwards.replace(value.0).is_some(),
            14 if is("Content-Length") => once.content_length.replace(value.0).is_some(),
            19 if is("P-Asserted-Identity") => {
                self.asserted.push(value);
                false
            }
            _ => false,
        };
        if twice {
            self.fault(Flaw::bad("Header Given Twice"));
        }
    }

    fn via(&mut self, value: Value<'m>) -> bool {
        if self.vias.len() >= MOST_VIAS {
            self.fault(Flaw { status: 513, phrase: "Message Too Large" });
        } else {
            self.vias.push(value);
        }
        false
    }

    fn finish(&mut self, method: &[u8], once: &Once<'_>, body: usize) {
        for (missing, phrase) in [
            (self.vias.is_empty(), "Missing Via"),
            (self.from.is_none(), "Missing From"),
            (self.to.is_none(), "Missing To"),
            (self.call_id.is_none_or(|id| id.0.is_empty()), "Missing Call-ID"),
            (self.cseq.is_none(), "Missing CSeq"),
        ] {
            if missing {
                self.fault(Flaw::bad(phrase));
            }
        }
        if let Some(cseq) = self.cseq {
            match sequence(&cseq.unfolded(), method) {
                Ok(number) => self.number = number,
                Err(flaw) => self.fault(flaw),
            }
        }
        if once.max_forwards.is_some_and(|value| integer(value).is_none_or(|hops| hops > 255)) {
            self.fault(Flaw::bad("Bad Max-Forwards"));
        }
        // What follows the body of a datagram is no part of the message; a body cut off is a fault (RFC 3261, 18.3).
        if once.content_length.is_some_and(|value| integer(value).is_none_or(|bytes| bytes > body as u64)) {
            self.fault(Flaw::bad("Bad Content-Length"));
        }
    }
}

fn sequence(value: &[u8], method: &[u8]) -> Result<u32, Flaw> {
    const BAD: Flaw = Flaw::bad("Bad CSeq");
    let split = value.iter().position(u8::is_ascii_whitespace).ok_or(BAD)?;
    let number = integer(&value[..split]).filter(|&number| number <= LARGEST_CSEQ).ok_or(BAD)?;
    if value[split..].trim_ascii() != method {
        return Err(Flaw::bad("CSeq Names Another Method"));
    }
    u32::try_from(number).map_err(|_| BAD)
}

/// Digits as a number that fits; leading zeros do not matter.
fn integer(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// A character of a token (RFC 3261, 25.1).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// Lines of the head; a header's line goes on where the next begins with white space.
struct Lines<'m> {
    rest: &'m [u8],
}

impl<'m> Lines<'m> {
    fn next_unfolded(&mut self) -> Option<&'m [u8]> {
        let end = self.rest.iter().position(|&byte| byte == b'\n')?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        whole(line)
    }

    fn next(&mut self) -> Option<&'m [u8]> {
        let from = self.rest;
        let mut end = 0;
        loop {
            let line = self.next_unfolded()?;
            let folds = !line.is_empty() && matches!(self.rest.first(), Some(b' ' | b'\t'));
            end += from.len() - end - self.rest.len();
            if !folds {
                return Some(from[..end].trim_ascii_end());
            }
        }
    }
}

/// A line without its CR; none where another CR stands in it, which whoever reads the answer may take for a line's end.
fn whole(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    (!line.contains(&b'\r')).then_some(line)
}
