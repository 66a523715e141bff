//! Bytes of an HTTP connection: cut anywhere, they are answered alike, and read as the plainest reader reads them.

use kommutator_engine::Event;
use kommutator_query::http::{
    Answer, Api, Connection, Figures, Head, Limits, Method, Refusal, Reply, Service, Settings, Stage,
};
use kommutator_query::journal::Calls;

use crate::{NOON_MS, machine};

const LIMITS: Limits = Limits { head: 512, body: 64 };

/// The number of cuts, their distances, and what is received.
pub fn run(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let Some((distances, received)) = rest.split_at_checked(usize::from(first % 16)) else { return };
    let pieces = cut(received, distances);

    let mut echo = Echo::default();
    let (whole, stage) = exchange(&mut echo, LIMITS, &[received], |_| {});
    let mut again = Echo::default();
    let in_pieces = exchange(&mut again, LIMITS, &pieces, |_| {});
    assert_eq!(in_pieces, (whole.clone(), stage), "cut, it is answered otherwise");
    assert_eq!(again.performed, echo.performed);
    assert_framed(&whole);
    plain(received, &echo.performed);

    let asked = ask(&[received]);
    assert_eq!(ask(&pieces), asked, "cut, the contract is answered otherwise");
    assert_framed(&asked.0);
    assert!(memchr::memmem::find(&asked.0, b"engine_fault").is_none(), "the engine failed");
}

/// Tells what it is asked; a path that begins with `/wait` waits first.
#[derive(Default)]
struct Echo {
    performed: Vec<(Method, Vec<u8>)>,
}

impl Service for Echo {
    type Operation = (Method, bool);
    type Pending = ();

    fn plan(&mut self, head: &Head<'_>) -> Result<(Method, bool), Refusal> {
        match head.path {
            "/no" => Err(Refusal::new(404, "not_found", "there is nothing at this address")),
            path => Ok((head.method, path.starts_with("/wait"))),
        }
    }

    fn perform(&mut self, (method, waits): (Method, bool), body: &[u8], _: i64, to: &mut Vec<u8>) -> Answer<()> {
        self.performed.push((method, body.to_vec()));
        if waits { Answer::Waiting(()) } else { self.resume((), 0, to) }
    }

    fn resume(&mut self, (): (), _: i64, to: &mut Vec<u8>) -> Answer<()> {
        to.extend_from_slice(b"told");
        Answer::Done(Reply::json(200))
    }
}

/// What is sent for these pieces, and where the connection stands then; what waits is answered at once.
fn exchange<S: Service>(
    service: &mut S,
    limits: Limits,
    pieces: &[&[u8]],
    answer: impl Fn(&mut S::Pending),
) -> (Vec<u8>, Stage) {
    let mut connection = Connection::<S::Operation, S::Pending>::new(limits);
    let mut out = Vec::new();
    for piece in pieces {
        connection.receive(service, piece, NOON_MS, &mut out);
        while let Some(pending) = connection.waiting() {
            answer(pending);
            connection.resume(service, NOON_MS, &mut out);
        }
    }
    (out, connection.stage())
}

/// The contract's answers, by an engine whose look-ups find an owner.
fn ask(pieces: &[&[u8]]) -> (Vec<u8>, Stage) {
    let mut engine = machine::engines().nth(6).expect("the scheme that asks for owners");
    let settings = Settings { tokens: Vec::new(), looks_up: true, ids: "q-".into(), most_items: 4 };
    let (mut figures, mut journal) = (Figures::default(), Calls::new(i64::MAX, usize::MAX));
    let mut api = Api {
        settings: &settings,
        engine: Some(&mut engine),
        figures: &mut figures,
        journal: Some(&mut journal),
        full: false,
        holding: None,
    };
    exchange(&mut api, Limits { head: 1024, body: 1024 }, pieces, |pending| {
        let owner = Event::Owner { employee: "anna".into() };
        pending.answer(pending.questions().map(|_| owner.clone()).collect());
    })
}

fn cut<'b>(bytes: &'b [u8], distances: &[u8]) -> Vec<&'b [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    for distance in distances {
        let (piece, after) = rest.split_at(usize::from(*distance).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// Replies are a whole number of messages, none of which says more than its own request allowed.
fn assert_framed(mut replies: &[u8]) {
    while !replies.is_empty() {
        assert!(replies.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(replies));
        let end = memchr::memmem::find(replies, b"\r\n\r\n").expect("the head of a reply ends") + 4;
        let head = String::from_utf8_lossy(&replies[..end]);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
        replies = &replies[end..];
        // The answer to HEAD tells the length of what it leaves out.
        if !replies.starts_with(b"HTTP/1.1 ") && !replies.is_empty() {
            replies = &replies[length..];
        }
    }
}

/// Holds what was understood against the plainest reading of RFC 9112: a server before us that reads the same bytes must
/// find the same requests. Whatever can be framed in two ways may be understood by neither.
fn plain(mut received: &[u8], performed: &[(Method, Vec<u8>)]) {
    for (method, body) in performed {
        loop {
            received = received.strip_prefix(b"\r\n").unwrap_or(received);
            let (word, told, after) = request(received);
            received = after;
            // A refused request without a body leaves the connection open, and is not performed.
            if !told.is_empty() || is(&word, *method) {
                assert!(is(&word, *method), "{word} is taken for {method:?}");
                assert_eq!(&told, body, "another body is read");
                break;
            }
        }
    }
}

fn is(word: &str, method: Method) -> bool {
    match method {
        Method::Get => word == "GET",
        Method::Head => word == "HEAD",
        Method::Post => word == "POST",
        Method::Options => word == "OPTIONS",
        Method::Other => ["PUT", "PATCH", "DELETE"].contains(&word),
    }
}

/// The method and the body of the first request, and what follows it.
fn request(bytes: &[u8]) -> (String, Vec<u8>, &[u8]) {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").expect("a head that was understood has an end");
    let (head, rest) = (&bytes[..end], &bytes[end + 4..]);
    assert!(!head.contains(&0), "a head with a zero byte is understood");
    let lines: Vec<String> =
        split_lines(head).into_iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let word = lines[0].split(' ').next().unwrap_or_default().to_owned();
    let (mut lengths, mut codings) = (Vec::new(), Vec::new());
    for line in &lines[1..] {
        let (name, value) = line.split_once(':').expect("a line without a colon is understood");
        assert!(!name.is_empty() && name.chars().all(|letter| letter.is_ascii_graphic()), "{name:?} is a field's name");
        match name.to_ascii_lowercase().as_str() {
            "content-length" => lengths.push(value.trim_matches([' ', '\t']).to_owned()),
            "transfer-encoding" => codings.push(value.trim_matches([' ', '\t']).to_ascii_lowercase()),
            _ => {}
        }
    }
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => (word, Vec::new(), rest),
        ([length], []) => {
            let length: usize = length.parse().expect("a length that is none is understood");
            (word, rest[..length].to_vec(), &rest[length..])
        }
        ([], [coding]) if coding == "chunked" => {
            let (body, rest) = chunks(rest);
            (word, body, rest)
        }
        _ => panic!("framed by {lengths:?} and {codings:?}"),
    }
}

fn chunks(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut body = Vec::new();
    loop {
        let end = memchr::memmem::find(rest, b"\r\n").expect("the line of a chunk ends");
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = line.split([';', ' ', '\t']).next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).expect("a size that is none is understood");
        rest = &rest[end + 2..];
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[..size]);
        rest = rest[size..].strip_prefix(b"\r\n").expect("a chunk of another length is understood");
    }
    loop {
        let end = memchr::memmem::find(rest, b"\r\n").expect("the trailers end");
        let line = &rest[..end];
        rest = &rest[end + 2..];
        if line.is_empty() {
            return (body, rest);
        }
        assert!(line.contains(&b':'), "a trailer without a colon is understood");
    }
}

/// Lines that end with CR and LF; neither stands anywhere else.
fn split_lines(head: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = head;
    loop {
        let end = memchr::memmem::find(rest, b"\r\n");
        let line = &rest[..end.unwrap_or(rest.len())];
        assert!(!line.contains(&b'\r') && !line.contains(&b'\n'), "half a line end is understood");
        lines.push(line);
        match end {
            None => return lines,
            Some(end) => rest = &rest[end + 2..],
        }
    }
}
