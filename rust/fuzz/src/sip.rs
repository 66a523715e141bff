//! Datagrams of SIP: answers are whole, go to whoever asked and to nobody else, and are the same for the same request.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use kommutator_engine::company::{Company, Document, compile};
use kommutator_engine::{Engine, Event};
use kommutator_query::sip::{Network, Outgoing, Redirect, Settings, Sources, Targets, Template};

use crate::NOON_MS;

/// Between two datagrams.
const BETWEEN: &[u8] = b"\n--\n";
/// What an answer may say in its headers.
const HEADERS: [&str; 15] = [
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Allow",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Supported",
    "Unsupported",
    "Retry-After",
    "Reason",
    "Content-Length",
];

static COMPANY: LazyLock<Arc<Company>> = LazyLock::new(|| {
    let json = include_str!("../../../tests/query/company.json");
    let document: Document = serde_json::from_str(json).expect("a document");
    Arc::new(compile(&document).company)
});

/// Datagrams with `BETWEEN` between them, the second of a trusted neighbour, the third of a stranger, and so on.
pub fn run(bytes: &[u8]) {
    let sources: [SocketAddr; 3] = [
        "198.51.100.7:5062".parse().expect("an address"),
        "[2001:db8::9]:40000".parse().expect("an address"),
        "203.0.113.1:5060".parse().expect("an address"),
    ];
    let mut engine = Engine::new(Arc::clone(&COMPANY));
    let mut redirect = Redirect::new(settings());
    let mut now_ms = NOON_MS;
    for (place, datagram) in datagrams(bytes).into_iter().take(12).enumerate() {
        let source = sources[place % sources.len()];
        let mut first = Vec::new();
        redirect.take(&mut engine, datagram, source, now_ms, &mut first);
        assert!(first.len() <= 2);
        assert!(place % sources.len() != 2 || first.is_empty(), "a stranger is answered");
        first.iter().for_each(|answer| sound(answer, datagram, source));

        let mut again = Vec::new();
        redirect.take(&mut engine, datagram, source, now_ms, &mut again);
        again.iter().for_each(|answer| sound(answer, datagram, source));
        if first.len() == 1 && again.len() == 1 {
            assert_eq!(first, again, "the same request is answered otherwise");
        }
        for (call, _) in redirect.questions() {
            let mut out = Vec::new();
            let owner = Event::Owner { employee: "vera".into() };
            redirect.go_on(&mut engine, &call, owner, now_ms, &mut out);
            assert_eq!(out.len(), 1);
        }
        redirect.decided().for_each(drop);
        now_ms += 700;
        redirect.let_go(&mut engine, now_ms);
    }
    assert_eq!(redirect.counts().failed, 0, "the engine failed");
}

fn settings() -> Settings {
    let network = |text| Network::read(text).expect("a network");
    let template = |text, place| Template::read(text, place).expect("a template");
    Settings {
        sources: Sources::new(
            vec![network("198.51.100.0/24"), network("2001:db8::/32")],
            vec![network("2001:db8::9")],
            None,
        ),
        targets: Targets {
            phone: template("sip:{name}@pbx.example", "name"),
            number: template("sip:{number}@carrier.example", "number"),
            media: Some(template("sip:{did}@pbx.example", "did")),
        },
        longest: 2048,
        hold_ms: 1_000,
        key: [7; 16],
        journal: true,
    }
}

fn datagrams(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut datagrams, mut rest) = (Vec::new(), bytes);
    while let Some(at) = memchr::memmem::find(rest, BETWEEN) {
        datagrams.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    datagrams.push(rest);
    datagrams
}

/// One message, without a body, of our own headers alone, and not many times longer than what it answers.
fn sound(answer: &Outgoing, datagram: &[u8], source: SocketAddr) {
    assert_eq!(answer.to.ip(), source.ip(), "somebody else is answered");
    let bytes = &answer.bytes;
    let text = String::from_utf8_lossy(bytes);
    assert!(bytes.len() <= 2 * datagram.len() + 1024, "{} bytes answer {}", bytes.len(), datagram.len());
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").expect("an answer has an end");
    assert_eq!(end + 4, bytes.len(), "more than one message: {text}");
    let mut lines = bytes[..end].split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with(b"SIP/2.0 ") && first.ends_with(b"\r"), "{text}");
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.contains(&b'\r'), "half a line end: {text}");
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = std::str::from_utf8(name).unwrap_or("");
        assert!(HEADERS.contains(&name), "{name:?} in {text}");
    }
}
