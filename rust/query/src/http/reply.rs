//! Replies, and problems as they are told (RFC 9457).

use std::borrow::Cow;

use serde::Serialize;

/// The head of a reply besides what the connection adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The methods of the resource, in replies that tell them.
    pub allow: Option<&'static str>,
    /// The id that was made for a call which came without one.
    pub call_id: Option<String>,
}

impl Reply {
    /// A reply with JSON.
    #[must_use]
    pub fn json(status: u16) -> Self {
        Self { status, allow: None, call_id: None }
    }
}

/// What is not done, and why. Machines rely on `status` and `code`; the detail is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// Stable.
    pub code: &'static str,
    /// In words. What the client sent is repeated only where it is the name of a place.
    pub detail: Cow<'static, str>,
    /// Where in the body, with dots: `event.type`; empty where it is the whole or none of it.
    pub place: String,
    /// 1-based line and column of the body, where it is no JSON.
    pub position: Option<(usize, usize)>,
    /// The methods that there are instead.
    pub allow: Option<&'static str>,
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub fn new(status: u16, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), place: String::new(), position: None, allow: None }
    }

    /// The same, at a place of the body.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }

    /// The same, with the methods that there are.
    #[must_use]
    pub fn allowing(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// Writes it as problem details. The place of one item of a batch begins after the item.
    pub fn write(&self, body: &mut Vec<u8>) {
        let errors = if self.place.is_empty() && self.position.is_none() {
            Vec::new()
        } else {
            let path = if self.place.is_empty() { "body".to_owned() } else { format!("body.{}", self.place) };
            let (line, column) = self.position.unzip();
            vec![Place { path, message: &self.detail, line, column }]
        };
        let details = Details {
            r#type: format_args!("urn:kommutator:problem:{}", self.code),
            title: title(self.status),
            status: self.status,
            detail: &self.detail,
            code: self.code,
            errors,
        };
        // Writing to memory what has no maps with odd keys cannot fail.
        let _ = serde_json::to_writer(body, &details);
    }
}

#[derive(Serialize)]
struct Details<'a> {
    r#type: std::fmt::Arguments<'a>,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    errors: Vec<Place<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    path: String,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

/// The phrase of a status that is used here.
pub(super) fn title(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

/// What a reply says of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Nothing: it is kept, as HTTP/1.1 does.
    Kept,
    /// It is kept for a client of HTTP/1.0 that asked for it.
    KeptOnRequest,
    /// It is closed after this reply.
    Closed,
}

/// Writes a whole reply. `silent`: the head of a body that is not sent, as HEAD wants it.
pub(super) fn write(out: &mut Vec<u8>, reply: &Reply, body: &[u8], date: &str, persistence: Persistence, silent: bool) {
    out.reserve(body.len() + 256);
    if reply.status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        line(out, &["HTTP/1.1 ", digits(&mut [0; 20], reply.status.into()), " ", title(reply.status)]);
    }
    line(out, &["date: ", date]);
    if reply.status != 204 {
        let kind = if reply.status >= 400 { "application/problem+json" } else { "application/json" };
        line(out, &["content-type: ", kind]);
        line(out, &["content-length: ", digits(&mut [0; 20], body.len())]);
    }
    if let Some(methods) = reply.allow {
        line(out, &["allow: ", methods]);
    }
    if let Some(call_id) = &reply.call_id {
        line(out, &["kommutator-call: ", call_id]);
    }
    match reply.status {
        401 => line(out, &["www-authenticate: Bearer realm=\"kommutator\""]),
        503 => line(out, &["retry-after: 2"]),
        _ => {}
    }
    match persistence {
        Persistence::Kept => {}
        Persistence::KeptOnRequest => line(out, &["connection: keep-alive"]),
        Persistence::Closed => line(out, &["connection: close"]),
    }
    out.extend_from_slice(b"\r\n");
    if !silent {
        out.extend_from_slice(body);
    }
}

fn line(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn digits(space: &mut [u8; 20], mut number: usize) -> &str {
    let mut at = space.len();
    loop {
        at -= 1;
        space[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    std::str::from_utf8(&space[at..]).unwrap_or("0")
}
