//! Answers as bytes (RFC 3261, 8.2.6): the request's Via, From, To, Call-ID and CSeq, and what the answer adds.

use std::net::SocketAddr;

use super::Flaw;
use super::message::Request;
use super::uri;
use super::via::Via;

/// What a redirect server does; the value of Allow.
const METHODS: &str = "INVITE, ACK, CANCEL, OPTIONS";

/// What stands in an answer besides what is copied.
#[derive(Clone, Copy, Debug)]
pub enum Content<'c> {
    Bare,
    /// With whole header lines.
    Lines(&'c [u8]),
    /// With the methods allowed.
    Allow,
    /// To OPTIONS: what is understood here.
    Abilities,
    /// With the options that are not supported.
    Unsupported(&'c [u8]),
    /// With the seconds after which asking again makes sense.
    RetryAfter(u32),
}

/// Writes an answer. The tag of To is the transaction's, where the request has none.
pub fn write(
    request: &Request<'_>,
    via: &Via<'_>,
    source: SocketAddr,
    transaction: u128,
    status: Flaw,
    content: Content<'_>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(768);
    out.extend_from_slice(b"SIP/2.0 ");
    out.extend_from_slice(status.status.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.phrase.as_bytes());
    out.extend_from_slice(b"\r\nVia: ");
    via.write(source, &mut out);
    out.extend_from_slice(b"\r\n");
    for hop in request.vias.iter().skip(1) {
        line(&mut out, b"Via", &hop.unfolded());
    }
    if let Some(from) = request.from {
        line(&mut out, b"From", &from.unfolded());
    }
    if let Some(to) = request.to {
        let to = to.unfolded();
        out.extend_from_slice(b"To: ");
        out.extend_from_slice(&to);
        if uri::address(&to).is_none_or(|to| to.tag.is_none()) {
            out.extend_from_slice(b";tag=");
            write_tag(transaction, &mut out);
        }
        out.extend_from_slice(b"\r\n");
    }
    if let Some(call_id) = request.call_id {
        line(&mut out, b"Call-ID", &call_id.unfolded());
    }
    if let Some(cseq) = request.cseq {
        line(&mut out, b"CSeq", &cseq.unfolded());
    }
    match content {
        Content::Bare => {}
        Content::Lines(lines) => out.extend_from_slice(lines),
        Content::Allow => line(&mut out, b"Allow", METHODS.as_bytes()),
        Content::Abilities => {
            line(&mut out, b"Allow", METHODS.as_bytes());
            line(&mut out, b"Accept", b"application/sdp");
            line(&mut out, b"Accept-Encoding", b"identity");
            line(&mut out, b"Accept-Language", b"*");
            line(&mut out, b"Supported", b"");
        }
        Content::Unsupported(options) => line(&mut out, b"Unsupported", options),
        Content::RetryAfter(seconds) => line(&mut out, b"Retry-After", seconds.to_string().as_bytes()),
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    out
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A transaction's tag of To: 96 bits in hexadecimal digits.
pub fn write_tag(transaction: u128, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend((8..32).rev().map(|place| DIGITS[(transaction >> (place * 4)) as usize & 15]));
}
