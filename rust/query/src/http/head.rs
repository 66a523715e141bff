//! The head of a request: its lines, how its body is framed, and everything that is refused because two servers could
//! read it differently.

use super::reply::Refusal;

/// So many header fields a request may have.
const MOST_FIELDS: usize = 64;

/// How the body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// The methods that are known; any other is not implemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Options,
    /// Known, and of use nowhere here.
    Other,
}

/// A head that was understood.
#[derive(Clone, Debug)]
pub struct Head<'b> {
    /// The method.
    pub method: Method,
    /// The path, without query, scheme and authority; `*` of OPTIONS.
    pub path: &'b str,
    /// The one `Authorization`.
    pub authorization: Option<&'b [u8]>,
    /// The one `Content-Type`.
    pub content_type: Option<&'b [u8]>,
    /// Whether a page of a browser asks.
    pub has_origin: bool,
    /// How the body is framed.
    pub framing: Framing,
    /// HTTP/1.0.
    pub old: bool,
    /// The client wants the connection kept.
    pub keep_alive: bool,
    /// The client waits for `100 Continue`.
    pub expects_continue: bool,
}

/// Where the head of the first request in `input` ends.
pub(super) enum End {
    /// Behind so many bytes.
    At(usize),
    /// Not yet here.
    Unknown,
    /// A line ends without CR: nobody can tell what another server would make of it.
    BareLineFeed,
}

/// Looks for the empty line that ends a head. `from` is what was looked through before.
pub(super) fn end(input: &[u8], from: usize) -> End {
    for found in memchr::memchr_iter(b'\n', &input[from.min(input.len())..]) {
        let at = from + found;
        if at == 0 || input[at - 1] != b'\r' {
            return End::BareLineFeed;
        }
        if at == 1 || input[at - 2] == b'\n' {
            return End::At(at + 1);
        }
    }
    End::Unknown
}

/// Reads a head that is complete.
pub(super) fn parse(head: &[u8]) -> Result<Head<'_>, Refusal> {
    let mut space = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut space);
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(bad("the head is malformed")),
        Err(error) => return Err(of_parser(error, head)),
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(bad("the request line is incomplete"));
    };
    let old = version == 0;
    let fields = Fields::collect(request.headers)?;
    let framing = fields.framing(old)?;
    fields.check_host(old)?;
    let expects_continue = match fields.expect {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"100-continue") => !old,
        Some(_) => {
            return Err(Refusal::new(417, "expectation_failed", "the only expectation met here is 100-continue"));
        }
    };
    Ok(Head {
        method: method_of(method)?,
        path: path_of(method, target)?,
        authorization: fields.authorization,
        content_type: fields.content_type,
        has_origin: fields.has_origin,
        framing,
        old,
        keep_alive: !fields.close && (!old || fields.keep),
        expects_continue,
    })
}

#[derive(Default)]
struct Fields<'b> {
    length: Option<u64>,
    coding: Option<&'b [u8]>,
    host: Option<&'b [u8]>,
    expect: Option<&'b [u8]>,
    authorization: Option<&'b [u8]>,
    content_type: Option<&'b [u8]>,
    has_origin: bool,
    close: bool,
    keep: bool,
}

impl<'b> Fields<'b> {
    fn collect(headers: &[httparse::Header<'b>]) -> Result<Self, Refusal> {
        let mut fields = Self::default();
        for header in headers {
            let value = header.value.trim_ascii();
            let name = header.name;
            // By length first: most fields are none of these.
            match name.len() {
                4 if name.eq_ignore_ascii_case("host") => once(&mut fields.host, value, "Host")?,
                6 if name.eq_ignore_ascii_case("expect") => once(&mut fields.expect, value, "Expect")?,
                6 if name.eq_ignore_ascii_case("origin") => fields.has_origin = true,
                10 if name.eq_ignore_ascii_case("connection") => fields.connection(value),
                12 if name.eq_ignore_ascii_case("content-type") => {
                    once(&mut fields.content_type, value, "Content-Type")?;
                }
                13 if name.eq_ignore_ascii_case("authorization") => {
                    once(&mut fields.authorization, value, "Authorization")?;
                }
                14 if name.eq_ignore_ascii_case("content-length") => {
                    once(&mut fields.length, length_of(value)?, "Content-Length")?;
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    once(&mut fields.coding, value, "Transfer-Encoding")?;
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9112, 6.1 and 6.3: what could be framed in two ways is an attack, or will be one.
    fn framing(&self, old: bool) -> Result<Framing, Refusal> {
        match (self.coding, self.length) {
            (None, length) => Ok(Framing::Length(length.unwrap_or(0))),
            (Some(_), Some(_)) => Err(bad("Transfer-Encoding and Content-Length exclude each other")),
            (Some(_), None) if old => Err(bad("HTTP/1.0 has no Transfer-Encoding")),
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (Some(_), None) => {
                Err(Refusal::new(501, "not_implemented", "the only transfer coding understood here is chunked"))
            }
        }
    }

    /// RFC 9112, 3.2.
    fn check_host(&self, old: bool) -> Result<(), Refusal> {
        match self.host {
            None if old => Ok(()),
            None => Err(bad("a request of HTTP/1.1 has a Host")),
            Some(host) if host.iter().all(|byte| is_of_authority(*byte)) => Ok(()),
            Some(_) => Err(bad("the Host is malformed")),
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T, name: &str) -> Result<(), Refusal> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad(format!("{name} occurs more than once"))),
    }
}

fn length_of(value: &[u8]) -> Result<u64, Refusal> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let read = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    read.ok_or_else(|| bad("the Content-Length is no number of bytes"))
}

fn method_of(word: &str) -> Result<Method, Refusal> {
    match word {
        "GET" => Ok(Method::Get),
        "HEAD" => Ok(Method::Head),
        "POST" => Ok(Method::Post),
        "OPTIONS" => Ok(Method::Options),
        "PUT" | "PATCH" | "DELETE" => Ok(Method::Other),
        _ => Err(Refusal::new(501, "not_implemented", "this method is not known here")),
    }
}

/// The path of a target in origin form, absolute form, or of `OPTIONS *` (RFC 9112, 3.2).
fn path_of<'b>(method: &str, target: &'b str) -> Result<&'b str, Refusal> {
    let path = if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        target
    } else {
        let after = strip_scheme(target).ok_or_else(|| bad("the request target is malformed"))?;
        let end = after.find(['/', '?']).unwrap_or(after.len());
        if end == 0 || !after[..end].bytes().all(is_of_authority) {
            return Err(bad("the request target is malformed"));
        }
        if after[end..].starts_with('/') { &after[end..] } else { "/" }
    };
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(bad("the request target is malformed"));
    }
    Ok(path.split_once('?').map_or(path, |(path, _)| path))
}

fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

/// A byte that a host with a port may have (RFC 3986, 3.2, without user information).
fn is_of_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&byte)
}

fn of_parser(error: httparse::Error, head: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => {
            Refusal::new(431, "head_too_large", format!("a request has at most {MOST_FIELDS} header fields"))
        }
        httparse::Error::Version if names_a_version(head) => {
            Refusal::new(505, "version_not_supported", "the versions spoken here are HTTP/1.1 and HTTP/1.0")
        }
        httparse::Error::HeaderName => bad("the name of a header field is malformed"),
        httparse::Error::HeaderValue => bad("the value of a header field is malformed"),
        httparse::Error::NewLine => bad("a line of the head does not end with CR and LF"),
        _ => bad("the request line is malformed"),
    }
}

/// Whether the request line ends with a version, be it one that nobody speaks.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let word = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    matches!(word, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

pub(super) fn bad(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(400, "bad_request", detail)
}
