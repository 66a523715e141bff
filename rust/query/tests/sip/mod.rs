//! A redirect server on the company of `tests/query/company.yaml`, and answers read apart.
#![allow(dead_code, clippy::expect_used, missing_docs)] // each test file uses a part; a test may stop

use std::net::SocketAddr;
use std::sync::Arc;

use kommutator_engine::Engine;
use kommutator_engine::company::{Document, compile};
use kommutator_query::sip::{Network, Outgoing, Redirect, Settings, Sources, Targets, Template};

pub const ASKER: &str = "198.51.100.7:5062";
/// A Wednesday.
pub const NOW_MS: i64 = 1_763_460_000_000;

pub struct House {
    pub redirect: Redirect,
    pub engine: Engine,
    pub now_ms: i64,
}

pub fn settings() -> Settings {
    let network = |text| Network::read(text).expect("a network");
    Settings {
        sources: Sources::new(
            vec![network("198.51.100.0/24"), network("2001:db8::/32")],
            vec![network("198.51.100.9")],
            None,
        ),
        targets: Targets {
            phone: Template::read("sip:{name}@pbx.example", "name").expect("a template"),
            number: Template::read("sip:{number}@carrier.example", "number").expect("a template"),
            media: Some(Template::read("sip:{did}@pbx.example", "did").expect("a template")),
        },
        longest: 4096,
        hold_ms: 3_000,
        key: [7; 16],
        journal: true,
    }
}

impl House {
    pub fn new() -> Self {
        Self::with(settings())
    }

    pub fn with(settings: Settings) -> Self {
        let json = include_bytes!("../../../../tests/query/company.json");
        let document: Document = serde_json::from_slice(json).expect("the company's document");
        let engine = Engine::new(Arc::new(compile(&document).company));
        Self { redirect: Redirect::new(settings), engine, now_ms: NOW_MS }
    }

    pub fn take(&mut self, datagram: &[u8]) -> Vec<Answer> {
        self.take_from(datagram, ASKER)
    }

    pub fn take_from(&mut self, datagram: &[u8], source: &str) -> Vec<Answer> {
        let mut out = Vec::new();
        let source: SocketAddr = source.parse().expect("an address");
        self.redirect.take(&mut self.engine, datagram, source, self.now_ms, &mut out);
        out.into_iter().map(Answer).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Answer(pub Outgoing);

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.bytes).into_owned()
    }

    pub fn status(&self) -> u16 {
        self.text().split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        let text = std::str::from_utf8(&self.0.bytes).expect("UTF-8");
        let lines = text.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.filter(|(header, _)| *header == name).map(|(_, value)| value).collect()
    }

    /// The form of an answer: its first line, one empty line, at the end, and no line end but CRLF.
    pub fn assert_sound(&self) {
        let bytes = &self.0.bytes;
        assert!(bytes.starts_with(b"SIP/2.0 "), "{}", self.text());
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n");
        assert_eq!(end, Some(bytes.len() - 4), "{}", self.text());
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'\r' => assert_eq!(bytes.get(at + 1), Some(&b'\n'), "{}", self.text()),
                b'\n' => assert_eq!(bytes[at - 1], b'\r', "{}", self.text()),
                _ => {}
            }
        }
        assert!((200..700).contains(&self.status()), "{}", self.text());
    }
}
