//! What is asked, and what is answered: by the engine, once, and to whoever may ask.
#![allow(clippy::expect_used)] // a test may stop

mod sip;

use kommutator_engine::call::{Disposition, Event, Fault};
use kommutator_engine::facts::{Called, Callers};
use kommutator_engine::number::{Country, Number};
use kommutator_query::sip::{Counts, Network, Settings, Sources, Targets};
use proptest::prelude::*;
use sip::{House, NOW_MS, settings};

const CALLER: &str = "<sip:+79161234567@carrier.example>;tag=1";

fn invite(number: &str, branch: &str) -> Vec<u8> {
    message("INVITE", &format!("sip:{number}@x.example"), branch, "")
}

fn message(method: &str, uri: &str, branch: &str, more: &str) -> Vec<u8> {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5062;branch={branch}\r\nMax-Forwards: 70\r\n\
         From: {CALLER}\r\nTo: <{uri}>\r\nCall-ID: of-{branch}\r\nCSeq: 1 {method}\r\n{more}Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

fn contacts(number: &str) -> Option<String> {
    let answers = House::new().take(&invite(number, "z9hG4bK1"));
    answers[0].header("Contact").map(str::to_owned)
}

#[test]
fn those_who_ring_at_once_have_the_same_rank() {
    let contacts = contacts("+74951112201");
    assert_eq!(contacts.as_deref(), Some("<sip:101@pbx.example>;q=1.0, <sip:102@pbx.example>;q=1.0"));
}

#[test]
fn those_who_ring_in_turn_come_in_turn_and_the_mobile_after_them() {
    let expected = "<sip:102@pbx.example>;q=1.0, <sip:101@pbx.example>;q=0.9, <sip:+79161230001@carrier.example>;q=0.8";
    assert_eq!(contacts("+74951112202").as_deref(), Some(expected));
}

#[test]
fn what_needs_a_voice_goes_to_who_has_one_and_is_told_by_him() {
    let mut house = House::new();
    let answers = house.take(&invite("+74951112203", "z9hG4bK1"));
    assert_eq!(answers[0].header("Contact"), Some("<sip:+74951112203@pbx.example>"));
    assert_eq!(house.redirect.decided().count(), 0);
}

#[test]
fn without_anybody_who_has_a_voice_such_a_call_fails_and_is_told() {
    let given = settings();
    let targets = Targets { media: None, ..given.targets };
    let mut house = House::with(kommutator_query::sip::Settings { targets, ..given });
    let answers = house.take(&invite("+74951112203", "z9hG4bK1"));
    assert_eq!(answers[0].status(), 480);
    assert!(answers[0].header("Warning").is_some_and(|warning| warning.starts_with("399 ")));
    let decided = house.redirect.decided().collect::<Vec<_>>();
    assert_eq!(decided[0].disposition, Disposition::Failed);
    let effects: usize = decided[0].turns.iter().map(|(_, turn)| turn.effects.len()).sum();
    assert!(effects > 0, "a call that nobody took leaves something behind");
}

#[test]
fn a_place_in_line_cannot_be_held_by_a_redirect() {
    let json = include_bytes!("../../../tests/scenarios/9-queue/company.json");
    let document = serde_json::from_slice(json).expect("a document");
    let company = std::sync::Arc::new(kommutator_engine::company::compile(&document).company);
    let engine = || kommutator_engine::Engine::new(company.clone());
    let mut house = House { engine: engine(), ..House::new() };
    let answers = house.take(&invite("+74951112233", "z9hG4bK1"));
    assert_eq!(answers[0].header("Contact"), Some("<sip:+74951112233@pbx.example>"), "who has a voice keeps the line");
    assert!(house.engine.queues(NOW_MS).is_empty());

    let given = settings();
    let targets = Targets { media: None, ..given.targets };
    let voiceless = kommutator_query::sip::Settings { targets, ..given };
    let mut house = House { engine: engine(), ..House::with(voiceless) };
    let answers = house.take(&invite("+74951112233", "z9hG4bK2"));
    assert_eq!(answers[0].header("Contact"), Some("<sip:101@pbx.example>;q=1.0"), "whom the first attempt rings");
}

#[test]
fn refusals_say_why() {
    for (number, caller, status, reason) in [
        ("+74951112206", CALLER, 486, "Q.850;cause=17;text=\"User busy\""),
        ("+74951112299", CALLER, 404, "Q.850;cause=1;text=\"Unallocated number\""),
        ("+74951112201", "<sip:+79160000666@c>;tag=1", 603, "Q.850;cause=21;text=\"Call rejected\""),
    ] {
        let request = String::from_utf8(invite(number, "z9hG4bK1")).expect("text").replace(CALLER, caller);
        let answers = House::new().take(request.as_bytes());
        assert_eq!((answers[0].status(), answers[0].header("Reason")), (status, Some(reason)), "{number}");
    }
}

#[test]
fn while_the_journal_takes_nothing_new_calls_are_told_to_come_later() {
    let mut house = House::new();
    let first = house.take(&invite("+74951112201", "z9hG4bK1"));
    house.redirect.close(true);
    let refused = house.take(&invite("+74951112206", "z9hG4bK2"));
    assert_eq!((refused[0].status(), refused[0].header("Retry-After")), (503, Some("1")));
    assert_eq!(house.take(&invite("+74951112201", "z9hG4bK1")), first, "what was answered is answered again");
    house.redirect.close(false);
    assert_eq!(house.take(&invite("+74951112206", "z9hG4bK2"))[0].status(), 486);
    assert_eq!(house.redirect.decided().count(), 2);
}

#[test]
fn a_request_that_comes_again_gets_the_same_bytes_and_is_one_call() {
    let mut house = House::new();
    let first = house.take(&invite("+74951112201", "z9hG4bK1"));
    house.now_ms += 500;
    assert_eq!(house.take(&invite("+74951112201", "z9hG4bK1")), first);
    assert_eq!(house.redirect.decided().count(), 1);
    assert_eq!(house.redirect.counts(), Counts { calls: 1, again: 1, ..Counts::default() });
    // Its answer has arrived: what still comes is late.
    assert!(house.take(&message("ACK", "sip:+74951112201@x.example", "z9hG4bK1", "")).is_empty());
    assert!(house.take(&invite("+74951112201", "z9hG4bK1")).is_empty());
    assert_eq!(house.redirect.decided().count(), 0);
}

#[test]
fn whom_an_answer_rings_is_rung_by_nobody_else_until_let_go() {
    let mut house = House::new();
    house.take(&invite("+74951112201", "z9hG4bK1"));
    assert_eq!(house.engine.floor().claimed(house.now_ms).count(), 2);
    let second = house.take(&invite("+74951112201", "z9hG4bK2"));
    assert_eq!(second[0].header("Contact"), Some("<sip:+74951112201@pbx.example>"), "it waits at the PBX");
    assert!(house.redirect.let_go(&mut house.engine, NOW_MS + 2_999));
    assert!(!house.redirect.let_go(&mut house.engine, NOW_MS + 3_000));
    assert_eq!(house.engine.floor().claimed(house.now_ms).count(), 0);
}

#[test]
fn nobody_is_held_where_that_is_not_wished() {
    let mut house = House::with(kommutator_query::sip::Settings { hold_ms: 0, ..settings() });
    for number in ["+74951112201", "+74951112202", "+74951112204"] {
        house.take(&invite(number, &format!("z9hG4bK{number}")));
        assert_eq!(house.engine.floor().claimed(house.now_ms).count(), 0, "{number}");
    }
}

#[test]
fn a_question_is_asked_before_the_answer() {
    let mut house = House::new();
    let request = invite("+74951112205", "z9hG4bK1");
    assert!(house.take(&request).is_empty());
    assert!(house.take(&request).is_empty(), "it is being asked");
    let questions = house.redirect.questions();
    assert_eq!(questions.len(), 1);
    let mut out = Vec::new();
    let owner = Event::Owner { employee: "anna".to_owned() };
    let (redirect, engine) = (&mut house.redirect, &mut house.engine);
    redirect.go_on(engine, &questions[0].0, owner, NOW_MS, &mut out);
    let answer = sip::Answer(out.remove(0));
    assert_eq!(answer.header("Contact"), Some("<sip:101@pbx.example>;q=1.0"));
    assert_eq!(answer.0.to, sip::ASKER.parse().expect("an address"));
    assert_eq!(house.take(&request), [answer]);
    assert_eq!(house.redirect.decided().collect::<Vec<_>>()[0].turns.len(), 2);
}

#[test]
fn a_call_on_which_the_engine_fails_is_answered_counted_and_told_of() {
    let mut house = House::new();
    let request = invite("+74951112205", "z9hG4bK1");
    house.take(&request);
    let (call_id, _) = house.redirect.questions().remove(0);
    let mut out = Vec::new();
    house.redirect.go_on(&mut house.engine, &call_id, Event::Busy { ended: Vec::new() }, NOW_MS, &mut out);
    let answer = sip::Answer(out.remove(0));
    assert_eq!(answer.status(), 500);
    assert_eq!((house.redirect.counts().failed, house.redirect.counts().calls), (1, 0));
    let decided: Vec<_> = house.redirect.decided().collect();
    let [call] = &decided[..] else { panic!("one call, not {decided:?}") };
    assert_eq!((&call.call_id, call.did.as_str(), call.turns.len()), (&call_id, "+74951112205", 1));
    assert_eq!((call.disposition, call.fault), (Disposition::Failed, Fault::Ours));
    assert_eq!(house.take(&request), [answer], "the same again");
}

#[test]
fn whose_phone_is_at_another_pbx_is_asked_for_before_the_answer() {
    for taken in [false, true] {
        let mut house = House::new();
        let first = {
            let mut plain = House::new();
            plain.take(&invite("+74951112201", "z9hG4bK1"));
            let claimed = plain.engine.floor().claimed(NOW_MS);
            claimed.map(|(employee, _, _)| employee.to_owned()).min().expect("somebody rings")
        };
        house.engine.elsewhere([first.as_str().into()].into_iter());
        let request = invite("+74951112201", "z9hG4bK1");
        assert!(house.take(&request).is_empty());
        let (call_id, turn) = house.redirect.questions().remove(0);
        assert!(matches!(turn.action, kommutator_engine::Action::Ring { .. }));
        let mut decided = Vec::new();
        decided.extend(house.redirect.decided());
        assert!(decided.is_empty());
        let mut out = Vec::new();
        let employees = if taken { vec![first.clone()] } else { Vec::new() };
        let (redirect, engine) = (&mut house.redirect, &mut house.engine);
        redirect.go_on(engine, &call_id, Event::Taken { employees }, NOW_MS, &mut out);
        assert_eq!(sip::Answer(out.remove(0)).status(), 302);
        decided.extend(house.redirect.decided());
        assert_eq!(decided[0].turns.len(), 1 + usize::from(taken));
        let is_held =
            house.engine.floor().claimed(NOW_MS).any(|(employee, call, _)| (employee, call) == (&*first, &*call_id));
        assert_eq!(is_held, !taken);
    }
}

#[test]
fn who_has_called_has_called_before_also_where_there_is_no_journal() {
    let mut house = House::with(Settings { journal: false, ..settings() });
    let mut callers = Callers::default();
    callers.complete();
    house.engine.swap_callers(callers);
    let known = |house: &House| {
        let caller = Number::parse("+79161234567", Country::Ru).expect("a number");
        house.engine.facts().peek_history(caller, None, house.now_ms)
    };
    assert_eq!(known(&house), Called::Never);
    assert_eq!(house.take(&invite("+74951112206", "z9hG4bK1"))[0].status(), 486);
    assert_eq!(known(&house), Called::Before);
}

#[test]
fn a_cancel_ends_what_is_not_answered_and_nothing_else() {
    let mut house = House::new();
    let cancel = message("CANCEL", "sip:+74951112205@x.example", "z9hG4bK1", "");
    assert_eq!(house.take(&cancel)[0].status(), 481);
    house.take(&invite("+74951112205", "z9hG4bK1"));
    let answers = house.take(&cancel);
    let said: Vec<_> =
        answers.iter().map(|answer| (answer.status(), answer.header("CSeq").map(str::to_owned))).collect();
    assert_eq!(said, [(487, Some("1 INVITE".to_owned())), (200, Some("1 CANCEL".to_owned()))]);
    assert_eq!(house.redirect.decided().collect::<Vec<_>>()[0].disposition, Disposition::Abandoned);
    assert_eq!(house.take(&cancel)[0].status(), 200, "it comes again");
    let id = house.redirect.questions().remove(0).0;
    let mut out = Vec::new();
    house.redirect.go_on(&mut house.engine, &id, Event::NoOwner {}, NOW_MS, &mut out);
    assert_eq!(out, []);
}

#[test]
fn methods_are_answered_by_their_kind() {
    for (method, status) in [("OPTIONS", 200), ("REGISTER", 405), ("BYE", 405), ("PUBLISH", 405), ("invite", 501)] {
        let answers = House::new().take(&message(method, "sip:x.example", "z9hG4bK1", ""));
        assert_eq!(answers[0].status(), status, "{method}");
        assert_eq!(answers[0].header("Allow").is_some(), matches!(status, 200 | 405), "{method}");
    }
}

#[test]
fn a_number_is_read_from_every_kind_of_address() {
    for uri in [
        "sip:+74951112206@x.example;user=phone",
        "sips:%2B74951112206:secret@[2001:db8::1]:5061;transport=tls",
        "tel:+7-495-111-22-06;ext=1",
        "sip:84951112206;npdi@x.example",
    ] {
        assert_eq!(House::new().take(&message("INVITE", uri, "z9hG4bK1", ""))[0].status(), 486, "{uri}");
    }
    // A carrier that sends to a host alone names the number in To.
    let request = message("INVITE", "sip:x.example", "z9hG4bK1", "");
    let request = String::from_utf8(request).expect("text").replace("To: <sip:x.example>", "t: tel:+74951112206");
    assert_eq!(House::new().take(request.as_bytes())[0].status(), 486);
}

#[test]
fn identity_counts_from_whom_it_is_trusted() {
    let unwelcome = "P-Asserted-Identity: \"X\" <sip:front-desk@c>, <tel:+79160000666>\r\n";
    let private = format!("{unwelcome}Privacy: id;critical\r\n");
    for (source, headers, status) in [
        ("198.51.100.7:5060", unwelcome, 302),
        ("198.51.100.9:5060", unwelcome, 603),
        ("198.51.100.9:5060", &private, 302),
    ] {
        let request = message("INVITE", "sip:+74951112201@x.example", "z9hG4bK1", headers);
        assert_eq!(House::new().take_from(&request, source)[0].status(), status, "{source} {headers}");
    }
}

#[test]
fn answers_go_where_they_should() {
    let request = |via: &str| {
        let text = String::from_utf8(invite("+74951112206", "z9hG4bK1")).expect("text");
        text.replace("SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1", via).into_bytes()
    };
    for (source, via, written, to) in [
        (
            "198.51.100.7:9",
            "SIP/2.0/UDP 198.51.100.7:5062;branch=a",
            "SIP/2.0/UDP 198.51.100.7:5062;branch=a",
            "198.51.100.7:5062",
        ),
        (
            "198.51.100.7:9",
            "SIP/2.0/UDP sbc.example;branch=a",
            "SIP/2.0/UDP sbc.example;branch=a;received=198.51.100.7",
            "198.51.100.7:5060",
        ),
        (
            "198.51.100.7:9",
            "SIP/2.0/UDP 10.0.0.1;rport ; branch=a",
            "SIP/2.0/UDP 10.0.0.1;rport=9 ; branch=a;received=198.51.100.7",
            "198.51.100.7:9",
        ),
        (
            "198.51.100.7:9",
            "SIP/2.0/UDP 10.0.0.1;received=1.2.3.4;rport;branch=a",
            "SIP/2.0/UDP 10.0.0.1;rport=9;branch=a;received=198.51.100.7",
            "198.51.100.7:9",
        ),
        (
            "198.51.100.7:9",
            "SIP/2.0/UDP 198.51.100.7;maddr=203.0.113.1;branch=a",
            "SIP/2.0/UDP 198.51.100.7;maddr=203.0.113.1;branch=a",
            "198.51.100.7:5060",
        ),
        (
            "[2001:db8::5]:9",
            "SIP/2.0/UDP [2001:db8::5]:5070;branch=a",
            "SIP/2.0/UDP [2001:db8::5]:5070;branch=a",
            "[2001:db8::5]:5070",
        ),
        (
            "[2001:db8::5]:9",
            "SIP/2.0/UDP [2001:db8::9];rport;branch=a",
            "SIP/2.0/UDP [2001:db8::9];rport=9;branch=a;received=2001:db8::5",
            "[2001:db8::5]:9",
        ),
        (
            "[::ffff:198.51.100.7]:9",
            "SIP/2.0/UDP 198.51.100.7;branch=a",
            "SIP/2.0/UDP 198.51.100.7;branch=a",
            "198.51.100.7:5060",
        ),
        (
            "198.51.100.7:9",
            "SIP/2.0/UDP 198.51.100.7;branch=a,\r\n SIP/2.0/TCP next.example;branch=b",
            "SIP/2.0/UDP 198.51.100.7;branch=a, SIP/2.0/TCP next.example;branch=b",
            "198.51.100.7:5060",
        ),
    ] {
        let answers = House::new().take_from(&request(via), source);
        assert_eq!((answers[0].header("Via"), answers[0].0.to.to_string()), (Some(written), to.to_owned()), "{via}");
    }
}

#[test]
fn strangers_get_nothing_and_many_calls_of_one_are_too_many() {
    let mut house = House::new();
    assert!(house.take_from(&invite("+74951112201", "z9hG4bK1"), "203.0.113.5:5060").is_empty());
    assert_eq!(house.redirect.counts().strangers, 1);
    let network = |text| Network::read(text).expect("a network");
    let sources = Sources::new(vec![network("198.51.100.7")], Vec::new(), Some(2));
    let mut house = House::with(kommutator_query::sip::Settings { sources, ..settings() });
    let mut ask = |branch: &str| house.take(&invite("+74951112206", branch))[0].status();
    assert_eq!([ask("a"), ask("b"), ask("c"), ask("a")], [486, 486, 503, 486]);
    house.now_ms += 1_000;
    assert_eq!(house.take(&invite("+74951112206", "c"))[0].status(), 486);
}

#[test]
fn what_is_no_request_is_not_answered() {
    for datagram in [&b""[..], b"\r\n\r\n", b"\0", b"INVITE", b"GET / HTTP/1.1\r\n\r\n", b"INVITE sip:a@b SIP/2.0\r\n"]
    {
        assert!(House::new().take(datagram).is_empty(), "{datagram:?}");
    }
    let torn =
        String::from_utf8(invite("+74951112206", "z9hG4bK1")).expect("text").replace("Call-ID: of", "Call-ID: \r of");
    assert!(House::new().take(torn.as_bytes()).is_empty(), "whoever reads the answer may take it for a line's end");
    let mut large = invite("+74951112206", "z9hG4bK1");
    large.resize(5_000, b'x');
    assert_eq!(House::new().take(&large)[0].status(), 513);
}

/// A change of a request: bytes at a place replaced by others.
fn changes() -> impl Strategy<Value = Vec<(usize, usize, Vec<u8>)>> {
    let pieces = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..6),
        proptest::sample::select(vec![
            "\r\n",
            "\r\n ",
            "\r",
            "\n",
            ":",
            ";",
            ",",
            "<",
            ">",
            "\"",
            "\\",
            "%",
            "%zz",
            "@",
            "[",
            "]",
            "?",
            " ",
            "=",
            "\0",
            "Via: ",
            "v:",
            "To: ",
            "SIP/2.0",
            ";tag=",
            ";rport",
            ";received=x",
            "99999999999999999999",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    proptest::collection::vec((0usize..600, 0usize..8, pieces), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes: at most one answer, a sound one, to who asked, and the same when it comes again.
    #[test]
    fn nothing_that_comes_does_harm(
        number in "\\+7495111220[1-9]",
        method in proptest::sample::select(vec!["INVITE", "OPTIONS", "ACK", "CANCEL", "REGISTER"]),
        changes in changes(),
    ) {
        let mut request = message(method, &format!("sip:{number}@x.example;user=phone"), "z9hG4bK1", "Subject: x\r\n");
        for (at, removed, inserted) in changes {
            let at = at.min(request.len());
            let end = (at + removed).min(request.len());
            request.splice(at..end, inserted);
        }
        let mut house = House::new();
        let answers = house.take(&request);
        prop_assert!(answers.len() <= 1);
        for answer in &answers {
            answer.assert_sound();
            prop_assert_eq!(answer.0.to.ip().to_string(), "198.51.100.7");
        }
        prop_assert_eq!(house.take(&request), answers);
        prop_assert_eq!(house.redirect.counts().failed, 0);
    }
}

#[test]
fn another_source_neither_hears_of_a_call_nor_ends_it() {
    let mut house = House::new();
    let uri = "sip:+74951112205@x.example";
    let cancel = message("CANCEL", uri, "z9hG4bK1", "");
    assert_eq!(house.take(&invite("+74951112205", "z9hG4bK1")), [], "its owner is asked for first");
    let strange = house.take_from(&cancel, "198.51.100.8:5062");
    assert_eq!(strange.iter().map(|answer| answer.status()).collect::<Vec<_>>(), [481]);
    let own = house.take(&cancel);
    assert_eq!(own.iter().map(|answer| answer.status()).collect::<Vec<_>>(), [487, 200]);
}
