//! The HTTP codec over a service that repeats what it was told: vectors, whole and cut at every place, and mutations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kommutator_query::http::{
    Answer, Api, Connection, Figures, Head, Limits, Method, Refusal, Reply, Service, Settings, Stage,
};
use kommutator_query::journal::Calls;
use proptest::prelude::*;

const NOW_MS: i64 = 1_795_320_000_000;
const LIMITS: Limits = Limits { head: 512, body: 64 };

/// Answers with the method's word and the body; `/wait` waits once.
struct Echo;

impl Service for Echo {
    type Operation = (Method, bool);
    type Pending = Vec<u8>;

    fn plan(&mut self, head: &Head<'_>) -> Result<(Method, bool), Refusal> {
        match head.path {
            "/echo" | "*" => Ok((head.method, false)),
            "/wait" => Ok((head.method, true)),
            _ => Err(Refusal::new(404, "not_found", "there is nothing at this address")),
        }
    }

    fn perform(&mut self, (method, waits): (Method, bool), body: &[u8], _: i64, to: &mut Vec<u8>) -> Answer<Vec<u8>> {
        let told = [format!("{method:?} ").as_bytes(), body].concat();
        if waits {
            return Answer::Waiting(told);
        }
        to.extend_from_slice(&told);
        Answer::Done(Reply::json(200))
    }

    fn resume(&mut self, pending: Vec<u8>, _: i64, to: &mut Vec<u8>) -> Answer<Vec<u8>> {
        to.extend_from_slice(&pending);
        Answer::Done(Reply::json(200))
    }
}

/// What is sent for these pieces, where whatever waits is answered at once; and where the connection stands then.
fn told<S: Service>(service: &mut S, limits: Limits, pieces: &[&[u8]]) -> (String, Stage) {
    let mut connection = Connection::<S::Operation, S::Pending>::new(limits);
    let mut out = Vec::new();
    for piece in pieces {
        connection.receive(service, piece, NOW_MS, &mut out);
        while connection.stage() == Stage::Waiting {
            connection.resume(service, NOW_MS, &mut out);
        }
    }
    (String::from_utf8_lossy(&out).into_owned(), connection.stage())
}

fn statuses(replies: &str) -> Vec<u16> {
    replies.split("HTTP/1.1 ").skip(1).filter_map(|reply| reply.get(..3)?.parse().ok()).collect()
}

/// Requests, and the statuses of their replies; `closed` is whether the connection is over then.
struct Vector(&'static str, &'static [u8], &'static [u16], bool);

const LEGAL: &[Vector] = &[
    Vector("plain", b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", &[200], false),
    Vector("an empty line before", b"\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", &[200], false),
    Vector("an empty line between", b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", &[200, 200], false),
    Vector("names in any case, no space, much space", b"GET /echo HTTP/1.1\r\nhOST:a\r\nCONTENT-length: \t 0 \t\r\n\r\n", &[200], false),
    Vector("an empty value", b"GET /echo HTTP/1.1\r\nHost:\r\nX-Empty:\r\n\r\n", &[200], false),
    Vector("bytes beyond ASCII in a value", b"GET /echo HTTP/1.1\r\nHost: a\r\nX-Name: \xc3\xa4\xff\r\n\r\n", &[200], false),
    Vector("absolute form", b"GET http://a:80/echo HTTP/1.1\r\nHost: a\r\n\r\n", &[200], false),
    Vector("absolute form, no path", b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", &[404], false),
    Vector("asterisk form", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &[200], false),
    Vector("a query", b"GET /echo?a=b&c=/ HTTP/1.1\r\nHost: a\r\n\r\n", &[200], false),
    Vector("a body of a GET", b"GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", &[200], false),
    Vector("leading zeros of a length", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0002\r\n\r\nhi", &[200], false),
    Vector("chunks", b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0005\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", &[200], false),
    Vector("extensions of chunks", b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nA;a=b;c=\"d e\"\r\n0123456789\r\n1 ;x\r\n!\r\n0;last\r\n\r\n", &[200], false),
    Vector("trailers", b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nDigest: x\r\nOther:\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", &[200, 200], false),
    Vector("a chunk with a line end in it", b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n", &[200], false),
    Vector("HTTP/1.0", b"GET /echo HTTP/1.0\r\n\r\nGET /echo HTTP/1.0\r\n\r\n", &[200], true),
    Vector("HTTP/1.0, kept", b"GET /echo HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /echo HTTP/1.0\r\n\r\n", &[200, 200], true),
    Vector("HTTP/1.0 expects nothing", b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", &[200], true),
    Vector("close", b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", &[200], true),
    Vector("close in the second of two fields", b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", &[200], true),
    Vector("an expectation", b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi", &[100, 200], false),
    Vector("an expectation without a body", b"GET /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", &[200], false),
    Vector("an expectation of what is not there", b"POST /no HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", &[404], true),
    Vector("pipelined", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1GET /no HTTP/1.1\r\nHost: a\r\n\r\nPOST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n2GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", &[200, 404, 200, 200], false),
    Vector("not found, with a body", b"POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nGETGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", &[404], true),
    Vector("a body as large as may be", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 64\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123", &[200], false),
];

const HOSTILE: &[Vector] = &[
    Vector(
        "length and chunks",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "two lengths",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        &[400],
        true,
    ),
    Vector(
        "twice the same length",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        &[400],
        true,
    ),
    Vector("a list of lengths", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", &[400], true),
    Vector("a signed length", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", &[400], true),
    Vector("a negative length", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na", &[400], true),
    Vector("a hexadecimal length", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na", &[400], true),
    Vector("an empty length", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", &[400], true),
    Vector(
        "a length beyond 64 bits",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na",
        &[400],
        true,
    ),
    Vector(
        "a length with a vertical tab",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: \x0b1\r\n\r\na",
        &[400],
        true,
    ),
    Vector(
        "two codings",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "another coding",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        &[501],
        true,
    ),
    Vector(
        "chunked with a parameter",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        &[501],
        true,
    ),
    Vector(
        "a disguised coding",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        &[501],
        true,
    ),
    Vector("chunks in HTTP/1.0", b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400], true),
    Vector("a space before the colon", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\na", &[400], true),
    Vector(
        "a tab before the colon",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector("a space before the name", b"POST /echo HTTP/1.1\r\n Host: a\r\n\r\n", &[400], true),
    Vector("a folded line", b"POST /echo HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", &[400], true),
    Vector("no colon", b"GET /echo HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", &[400], true),
    Vector("no name", b"GET /echo HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", &[400], true),
    Vector("bare LF", b"GET /echo HTTP/1.1\nHost: a\n\n", &[400], true),
    Vector("bare LF in one line", b"GET /echo HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", &[400], true),
    Vector("bare LF at the end", b"GET /echo HTTP/1.1\r\nHost: a\r\n\nGET /echo HTTP/1.1\r\n\r\n", &[400], true),
    Vector("bare CR in a value", b"GET /echo HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", &[400], true),
    Vector("bare CR in the request line", b"GET /echo\rHTTP/1.1\r\nHost: a\r\n\r\n", &[400], true),
    Vector("CR CR LF", b"GET /echo HTTP/1.1\r\nHost: a\r\r\n\r\n", &[400], true),
    Vector("NUL in a value", b"GET /echo HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", &[400], true),
    Vector("NUL in a name", b"GET /echo HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n", &[400], true),
    Vector("NUL in the target", b"GET /ec\0ho HTTP/1.1\r\nHost: a\r\n\r\n", &[400], true),
    Vector("two empty lines before", b"\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", &[400], true),
    Vector("no Host", b"GET /echo HTTP/1.1\r\n\r\n", &[400], true),
    Vector("two Hosts", b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400], true),
    Vector("a Host with a path", b"GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n", &[400], true),
    Vector("a Host with a user", b"GET /echo HTTP/1.1\r\nHost: a@b\r\n\r\n", &[400], true),
    Vector("two spaces", b"GET  /echo HTTP/1.1\r\nHost: a\r\n\r\n", &[400], true),
    Vector("a tab", b"GET\t/echo HTTP/1.1\r\nHost: a\r\n\r\n", &[400], true),
    Vector("a space at the end of the request line", b"GET /echo HTTP/1.1 \r\nHost: a\r\n\r\n", &[400], true),
    Vector("no version", b"GET /echo\r\nHost: a\r\n\r\n", &[400], true),
    Vector("another version", b"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n", &[505], true),
    Vector("a long version", b"GET /echo HTTP/1.10\r\nHost: a\r\n\r\n", &[400], true),
    Vector("a version in small letters", b"GET /echo http/1.1\r\nHost: a\r\n\r\n", &[400], true),
    Vector("a relative target", b"GET echo HTTP/1.1\r\nHost: a\r\n\r\n", &[400], true),
    Vector("a target with a fragment", b"GET /echo#a HTTP/1.1\r\nHost: a\r\n\r\n", &[400], true),
    Vector("a target beyond ASCII", b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", &[400], true),
    Vector("an authority with a user", b"GET http://a@b/echo HTTP/1.1\r\nHost: a\r\n\r\n", &[400], true),
    Vector("an authority as target", b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", &[501], true),
    Vector("an unknown method", b"get /echo HTTP/1.1\r\nHost: a\r\n\r\n", &[501], true),
    Vector("an unknown expectation", b"GET /echo HTTP/1.1\r\nHost: a\r\nExpect: 200\r\n\r\n", &[417], true),
    Vector("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", &[400], true),
    Vector("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[505], true),
    Vector(
        "a chunk too short",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "a chunk too long",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhell\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "a size with a sign",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "a size with 0x",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "a size with a space",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "an empty size",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\na\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "a size of nine digits",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n000000001\r\na\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "a size beyond 64 bits",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\na\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "a chunk's line that ends with LF",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "a chunk that ends with LF",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "CR in an extension",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\rb\r\na\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "LF in an extension",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "NUL in an extension",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\0\r\na\r\n0\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "a trailer that is no field",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
        &[400],
        true,
    ),
    Vector(
        "a folded trailer",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n",
        &[400],
        true,
    ),
    Vector("a body too large", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 65\r\n\r\n", &[413], true),
    Vector(
        "a chunk too large",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n",
        &[413],
        true,
    ),
    Vector(
        "chunks too large together",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3E\r\n",
        &[413],
        true,
    ),
];

#[test]
fn vectors_are_answered_as_they_should_be_whole_byte_by_byte_and_cut_once() {
    for Vector(name, bytes, wanted, closed) in LEGAL.iter().chain(HOSTILE) {
        let (whole, stage) = told(&mut Echo, LIMITS, &[bytes]);
        assert_eq!((statuses(&whole).as_slice(), stage == Stage::Closed), (*wanted, *closed), "{name}: {whole}");
        assert!(stage == Stage::Closed || stage == Stage::Idle, "{name}");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(told(&mut Echo, LIMITS, &single), (whole.clone(), stage), "{name}, byte by byte");
        for at in 0..bytes.len() {
            assert_eq!(
                told(&mut Echo, LIMITS, &[&bytes[..at], &bytes[at..]]),
                (whole.clone(), stage),
                "{name} at {at}"
            );
        }
        if *closed {
            let more = told(&mut Echo, LIMITS, &[bytes, b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"]);
            assert_eq!(more, (whole, stage), "{name}: nothing is answered after the end");
        }
    }
}

#[test]
fn bodies_arrive_as_they_were_sent() {
    let (replies, _) = told(&mut Echo, LIMITS, &[LEGAL[12].1]);
    assert!(replies.ends_with("\r\n\r\nPost hello!"), "{replies}");
    assert!(replies.contains("\r\ncontent-length: 11\r\n"), "{replies}");
    assert!(replies.contains("\r\ndate: Sun, 22 Nov 2026 04:00:00 GMT\r\n"), "{replies}");
}

#[test]
fn head_is_answered_without_its_body() {
    let (replies, stage) = told(&mut Echo, LIMITS, &[b"HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n"]);
    assert!(replies.contains("content-length: 5\r\n") && replies.ends_with("\r\n\r\n"), "{replies}");
    assert_eq!(stage, Stage::Idle);
}

#[test]
fn a_head_has_a_bound() {
    let line = format!("GET /{} HTTP/1.1\r\n", "a".repeat(600));
    let field = format!("GET /echo HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(600));
    let fields = format!("GET /echo HTTP/1.1\r\nHost: a\r\n{}\r\n", "a:\r\n".repeat(64));
    for (bytes, status) in [(line, 414), (field, 431), (fields, 431)] {
        let (whole, stage) = told(&mut Echo, LIMITS, &[bytes.as_bytes()]);
        assert_eq!((statuses(&whole), stage), (vec![status], Stage::Closed));
        let single: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
        assert_eq!(told(&mut Echo, LIMITS, &single).0, whole);
    }
    let fits = format!("GET /echo HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(512 - 36));
    assert_eq!(fits.len(), 512);
    assert_eq!(statuses(&told(&mut Echo, LIMITS, &[fits.as_bytes()]).0), [200]);
}

#[test]
fn what_is_on_its_way_when_time_is_over_is_refused_and_idleness_just_ends() {
    for (bytes, stage, status) in [
        (&b""[..], Stage::Idle, None),
        (b"GET /echo HTTP/1.1\r\nHo", Stage::Head, Some(408)),
        (b"\r", Stage::Head, Some(408)),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1", Stage::Body, Some(408)),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1", Stage::Body, Some(408)),
    ] {
        let mut connection = Connection::new(LIMITS);
        let mut out = Vec::new();
        connection.receive(&mut Echo, bytes, NOW_MS, &mut out);
        assert_eq!(connection.stage(), stage);
        out.clear();
        connection.time_out(NOW_MS, &mut out);
        assert_eq!(statuses(&String::from_utf8(out).unwrap()).first().copied(), status);
        assert_eq!(connection.stage(), Stage::Closed);
    }
}

#[test]
fn a_connection_that_is_drained_closes_with_its_next_reply() {
    let mut connection = Connection::new(LIMITS);
    let mut out = Vec::new();
    connection.receive(&mut Echo, b"GET /echo HTTP/1.1\r\n", NOW_MS, &mut out);
    connection.drain();
    connection.receive(&mut Echo, b"Host: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", NOW_MS, &mut out);
    let replies = String::from_utf8(out).unwrap();
    assert_eq!(statuses(&replies), [200]);
    assert!(replies.contains("\r\nconnection: close\r\n"));
    assert_eq!(connection.stage(), Stage::Closed);
}

#[test]
fn requests_behind_one_that_waits_are_answered_after_it() {
    let mut connection = Connection::new(LIMITS);
    let mut out = Vec::new();
    let both = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\nHEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n";
    connection.receive(&mut Echo, both, NOW_MS, &mut out);
    assert_eq!((out.len(), connection.stage()), (0, Stage::Waiting));
    connection.receive(&mut Echo, b"GET /no HTTP/1.1\r\nHost: a\r\n\r\n", NOW_MS, &mut out);
    assert_eq!((out.len(), connection.stage()), (0, Stage::Waiting));
    connection.resume(&mut Echo, NOW_MS, &mut out);
    assert_eq!(statuses(&String::from_utf8(out).unwrap()), [200, 200, 404]);
}

fn settings() -> Settings {
    let tokens = vec![Box::from(*b"one"), Box::from(*b"another")];
    Settings { tokens, looks_up: true, ids: "q-".into(), most_items: 3 }
}

fn asked(settings: &Settings, pieces: &[&[u8]]) -> (String, Stage) {
    let (mut figures, mut journal) = (Figures::default(), Calls::new(i64::MAX, usize::MAX));
    let mut api =
        Api { settings, engine: None, figures: &mut figures, journal: Some(&mut journal), full: false, holding: None };
    told(&mut api, Limits::default(), pieces)
}

fn request(line: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn the_contract_is_for_whoever_has_a_token_and_no_page_of_a_browser() {
    let json = "Content-Type: application/json\r\n";
    let ask = |line: &str, fields: &str, body: &str| {
        statuses(&asked(&settings(), &[&request(line, fields, body)]).0).remove(0)
    };
    let open = Settings { tokens: Vec::new(), ..settings() };
    let ask_open =
        |fields: &str| statuses(&asked(&open, &[&request("POST /v1/calls", fields, "{\"did\":\"1\"}")]).0).remove(0);
    assert_eq!(ask("GET /healthz", "", ""), 503, "no version yet");
    for wrong in [
        "",
        "Authorization: Bearer on\r\n",
        "Authorization: Bearer \r\n",
        "Authorization: Basic one\r\n",
        "Authorization: Bearer one, another\r\n",
    ] {
        assert_eq!(ask("POST /v1/calls", &format!("{json}{wrong}"), "{}"), 401, "{wrong}");
    }
    for right in ["Bearer one", "bearer another"] {
        let fields = format!("Authorization: {right}\r\n");
        assert_eq!(ask("POST /v1/calls", &format!("{json}{fields}"), "{\"did\":\"1\"}"), 503);
        assert_eq!(ask("POST /v1/calls", &fields, "{}"), 415);
        assert_eq!(ask("GET /v1/calls", &fields, ""), 405);
        assert_eq!(ask("OPTIONS /v1/calls/step", &fields, ""), 204);
    }
    assert_eq!(ask("POST /v1/nothing", "", ""), 404);
    assert_eq!(ask_open(json), 503);
    assert_eq!(ask_open(&format!("{json}Origin: null\r\n")), 403);
    assert_eq!(ask_open("Content-Type: text/plain\r\n"), 415);
    assert_eq!(ask_open("Content-Type: Application/JSON ; charset=utf-8\r\n"), 503);
}

#[test]
fn what_is_wrong_with_a_body_is_told_with_its_place() {
    let fields = "Authorization: Bearer one\r\nContent-Type: application/json\r\n";
    for (path, body, status, told) in [
        (
            "",
            "{\"did\":\n}",
            400,
            "\"path\":\"body\",\"message\":\"the body is no JSON: expected value\",\"line\":2,\"column\":1",
        ),
        ("", "", 400, "\"code\":\"bad_json\""),
        ("", "{\"did\":\"1\"}x", 400, "trailing characters"),
        ("", "{\"did\":\"1\",\"did\":\"2\"}", 422, "duplicate field `did`"),
        ("", "{\"did\":\"1\",\"x\":0}", 422, "\"path\":\"body.x\""),
        ("", "{\"did\":1}", 422, "\"path\":\"body.did\""),
        ("", "{\"did\":\"1\",\"at\":\"2026-01-01\"}", 422, "\"path\":\"body.at\""),
        ("", "{\"did\":\"1\",\"at\":-1}", 422, "\"path\":\"body.at\""),
        ("", "{\"did\":\"1\",\"at\":9300000000000000000}", 422, "\"path\":\"body.at\""),
        ("/step", "{\"state\":\"!\",\"event\":{\"type\":\"played\"}}", 422, "\"code\":\"bad_state\""),
        ("/step", "{\"state\":\"AA\",\"event\":{\"type\":\"danced\"}}", 422, "unknown variant `danced`"),
        ("/step", "{\"state\":\"AA\"}", 422, "missing field `event`"),
        ("/batch", "{}", 422, "\"code\":\"form_invalid\""),
        ("/batch", "[{},{},{},{}]", 422, "\"code\":\"batch_too_large\""),
        ("/batch", "[{\"state\":1,\"event\":{}},{\"did\":\"1\",\"x\":\"2\"}]", 200, "\"path\":\"body.1.x\""),
        ("/batch", "[{\"event\":{}}]", 200, "\"path\":\"body.0.event\""),
        ("/batch", "[]", 200, "\r\n\r\n[]"),
    ] {
        let (replies, stage) = asked(&settings(), &[&request(&format!("POST /v1/calls{path}"), fields, body)]);
        assert_eq!((statuses(&replies)[0], stage), (status, Stage::Idle), "{body}: {replies}");
        assert!(replies.contains(told), "{body}: {replies}");
    }
    let deep = format!("{{\"state\":\"AA\",\"event\":{{\"x\":{}", "[".repeat(100_000));
    let (replies, _) = asked(&settings(), &[&request("POST /v1/calls/step", fields, &deep)]);
    assert_eq!(statuses(&replies), [400], "the reader's depth has a bound");
}

/// A request of the vectors, or one of the contract, with something done to it.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let seeds: Vec<Vec<u8>> = LEGAL
        .iter()
        .chain(HOSTILE)
        .map(|vector| vector.1.to_vec())
        .chain([request("POST /v1/calls", "Content-Type: application/json\r\n", "{\"did\":\"1\",\"at\":null}")])
        .collect();
    let change = (any::<prop::sample::Index>(), 0..5_u8, prop::sample::select(b"\r\n \t:\0,;0aF\xff-{}\"".to_vec()));
    (prop::collection::vec(prop::sample::select(seeds), 1..4), prop::collection::vec(change, 0..6)).prop_map(
        |(seeds, changes)| {
            let mut bytes = seeds.concat();
            for (place, what, byte) in changes {
                let at = place.index(bytes.len());
                match what {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    2 if bytes.len() > 1 => drop(bytes.remove(at)),
                    3 => bytes[at] ^= 0x20,
                    _ => bytes.extend_from_within(at..),
                }
                bytes.truncate(4096);
            }
            bytes
        },
    )
}

/// The bytes in pieces that end at these places.
fn cut<'b>(bytes: &'b [u8], places: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut ends: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn replies_do_not_depend_on_how_bytes_are_cut(
        bytes in mutated(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole = told(&mut Echo, LIMITS, &[&bytes]);
        prop_assert_eq!(&told(&mut Echo, LIMITS, &cut(&bytes, &places)), &whole);
        let open = Settings { tokens: Vec::new(), ..settings() };
        prop_assert_eq!(asked(&open, &cut(&bytes, &places)), asked(&open, &[&bytes]));
    }

    #[test]
    fn anything_at_all_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let (replies, stage) = told(&mut Echo, LIMITS, &[&bytes]);
        prop_assert!(statuses(&replies).iter().all(|status| *status == 200 || *status >= 400));
        prop_assert!(stage != Stage::Waiting);
    }
}
