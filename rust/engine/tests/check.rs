//! The check, finding by finding: what it blames, along which way, and what it lets pass.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use kommutator_engine::check::{Report, check};
use kommutator_engine::company::Document;
use kommutator_engine::finding::{Finding, Severity};
use serde_json::{Value, json};

/// 2026-11-18, a Wednesday, 12:00 in Moscow.
const FROM_MS: i64 = 1_794_992_400_000;
const HOUR_MS: i64 = 3_600_000;

/// A company whose scheme `main` has these nodes and begins at the first.
fn company(nodes: Value) -> Value {
    json!({
        "company": {"name": "Test", "timezone": "Europe/Moscow", "country": "RU", "language": "en"},
        "employees": {"anna": {"endpoint": "PJSIP/101", "mobile": "+79160000001"}},
        "schedules": {"office": {"weekly": {"mon-fri": ["09:00-18:00"]}}},
        "lists": {"vip": {}, "black": {}},
        "prompts": {"p": {"seconds": 2}},
        "templates": {"card": {"text": "{company}"}},
        "numbers": {"+74951112233": {"scheme": "main"}},
        "schemes": {"main": scheme(nodes)},
    })
}

fn scheme(nodes: Value) -> Value {
    let start = nodes.as_object().unwrap().keys().next().unwrap().clone();
    json!({"start": start, "responsible": "anna", "nodes": nodes})
}

/// `nodes` with the mailbox and the `bye` that most end in.
fn with_mailbox(mut nodes: Value) -> Value {
    nodes["mailbox"] = json!({"kind": "voicemail", "prompt": "p", "seconds": 30, "exits": {"done": "bye"}});
    nodes["bye"] = json!({"kind": "hangup"});
    nodes
}

fn ring(exits: Value) -> Value {
    json!({"kind": "ring", "ring": [{"employee": "anna"}], "seconds": 20, "exits": exits})
}

fn checked(document: Value) -> Report {
    let document: Document = serde_json::from_value(document).unwrap();
    check(&document, FROM_MS)
}

/// Findings of `main` as `code node: path`.
fn found(nodes: Value) -> Vec<String> {
    lines(&checked(company(nodes)))
}

fn lines(report: &Report) -> Vec<String> {
    report.findings.iter().map(line).collect()
}

fn line(finding: &Finding) -> String {
    let node = finding.node.as_deref().unwrap_or("-");
    let path = if finding.path.is_empty() { String::new() } else { format!(": {}", finding.path.join(" ")) };
    format!("{} {node}{path}", finding.code)
}

fn longest(report: &Report) -> Option<f64> {
    report.schemes["main"].longest_seconds
}

#[test]
fn a_sound_scheme_has_no_findings_and_a_longest_time() {
    let report = checked(company(with_mailbox(json!({
        "hello": {"kind": "play", "prompt": "p", "exits": {"done": "hours"}},
        "hours": {"kind": "schedule", "schedule": "office", "exits": {"open": "team", "closed": "mailbox"}},
        "team": ring(json!({"no_answer": "mailbox"})),
    }))));
    assert_eq!(lines(&report), [""; 0]);
    assert!(report.ok());
    assert_eq!(longest(&report), Some(2.0 + 20.0 + 32.0));
    assert_eq!(
        serde_json::to_value(&report).unwrap(),
        json!({"findings": [], "schemes": {"main": {"longest_seconds": 54}}})
    );
}

#[test]
fn a_call_is_lost_where_nothing_is_left_behind() {
    let nodes = json!({
        "team": ring(json!({"no_answer": "mailbox", "busy": "card"})),
        "card": {"kind": "sms", "to": "caller", "template": "card", "exits": {"done": "bye"}},
    });
    assert_eq!(found(with_mailbox(nodes)), ["lost_call bye: team card bye"]);
}

#[test]
fn whoever_told_somebody_may_go() {
    for notice in [
        json!({"kind": "sms", "to": {"employee": "anna"}, "template": "card", "exits": {"done": "bye"}}),
        json!({"kind": "email", "to": {"address": "a@example.test"}, "template": "card", "exits": {"done": "bye"}}),
        json!({"kind": "task", "assign": "anna", "title": "Call", "exits": {"done": "bye"}}),
    ] {
        let nodes = json!({"team": ring(json!({"no_answer": "tell"})), "tell": notice, "bye": {"kind": "hangup"}});
        assert_eq!(found(nodes), [""; 0]);
    }
}

#[test]
fn an_announcement_suffices_only_where_it_may_and_while_it_is_the_last() {
    let info = json!({"kind": "play", "prompt": "p", "allow_lost": "enquiries", "exits": {"done": "next"}});
    let bye = || json!({"kind": "hangup"});
    assert_eq!(found(json!({"info": info, "next": bye()})), ["nobody_reachable -", "allowed_loss info: info next"],);
    let more = json!({"kind": "task", "assign": "anna", "title": "Call", "exits": {"done": "bye"}});
    assert_eq!(
        found(json!({"info": info, "next": more, "bye": bye()})),
        ["nobody_reachable -", "allowed_loss info"],
        "it need not be lost at all"
    );
    let other = json!({"kind": "ring", "ring": [{"employee": "anna"}], "seconds": 5, "exits": {"no_answer": "bye"}});
    assert_eq!(
        found(json!({"info": info, "next": other, "bye": bye()})),
        ["allowed_loss info", "lost_call bye: info next bye"],
        "a hunt begins anew"
    );
}

#[test]
fn a_hangup_may_allow_its_own_loss() {
    let nodes = json!({
        "black": {"kind": "list", "list": ["black"], "exits": {"match": "refuse", "else": "mailbox"}},
        "refuse": {"kind": "hangup", "cause": "rejected", "allow_lost": "blocked"},
    });
    let report = checked(company(with_mailbox(nodes)));
    assert_eq!(lines(&report), ["allowed_loss refuse: black refuse"]);
    assert_eq!(report.findings[0].severity, Severity::Note);
    assert!(report.findings[0].message.ends_with("blocked"));
    assert!(report.ok());
}

#[test]
fn a_transfer_that_succeeds_is_no_loss_and_one_that_fails_goes_on() {
    let nodes = json!({
        "give": {"kind": "transfer", "to": "+73512222222", "seconds": 30, "exits": {"failed": "bye"}},
        "bye": {"kind": "hangup"},
    });
    assert_eq!(found(nodes), ["lost_call bye: give bye"]);
}

#[test]
fn a_caller_who_hangs_up_must_leave_something() {
    let nodes = with_mailbox(json!({
        "vip": {"kind": "list", "list": ["vip"], "exits": {"match": "mailbox", "else": "team"}},
        "team": ring(json!({"no_answer": "mailbox"})),
    }));
    let abandoned = |notices: Value| {
        let mut document = company(nodes.clone());
        document["schemes"]["main"]["abandoned"] = notices;
        let report = checked(document);
        let at = report.findings.first().map(|finding| finding.at.join("/"));
        (lines(&report), at)
    };
    let blamed = (vec!["lost_on_hangup -: vip mailbox".to_owned()], Some("schemes/main/abandoned".to_owned()));
    assert_eq!(abandoned(json!([])), blamed);
    assert_eq!(abandoned(json!([{"sms": {"to": "caller", "template": "card"}}])), blamed);
    let task = json!({"task": {"assign": "anna", "title": "Call"}});
    assert_eq!(abandoned(json!([{"sms": {"to": "caller", "template": "card"}}, task])), (vec![], None));
}

#[test]
fn whoever_hangs_up_after_somebody_was_told_is_not_lost() {
    let mut document = company(with_mailbox(json!({
        "note": {"kind": "task", "assign": "anna", "title": "Call", "exits": {"done": "team"}},
        "team": ring(json!({"no_answer": "mailbox"})),
    })));
    document["schemes"]["main"]["abandoned"] = json!([]);
    assert_eq!(lines(&checked(document)), [""; 0]);
}

#[test]
fn a_ring_without_a_repeat_is_endless() {
    let nodes = with_mailbox(json!({
        "hello": {"kind": "play", "prompt": "p", "exits": {"done": "team"}},
        "team": ring(json!({"no_answer": "hold", "unavailable": "mailbox"})),
        "hold": {"kind": "play", "prompt": "p", "exits": {"done": "team"}},
    }));
    let report = checked(company(nodes));
    assert_eq!(lines(&report), ["unbounded_cycle team: hello team hold team"]);
    assert_eq!(longest(&report), None);
    assert_eq!(report.findings[0].at, ["schemes", "main", "nodes", "team"]);
}

#[test]
fn a_repeat_bounds_a_ring_and_counts_for_the_whole_call() {
    let nodes = with_mailbox(json!({
        "team": ring(json!({"no_answer": "hold"})),
        "hold": {"kind": "play", "prompt": "p", "exits": {"done": "again"}},
        "again": {"kind": "repeat", "times": 3, "exits": {"again": "team", "done": "mailbox"}},
    }));
    let report = checked(company(nodes));
    assert_eq!(lines(&report), [""; 0]);
    assert_eq!(longest(&report), Some(4.0 * 22.0 + 32.0));
}

#[test]
fn a_caller_pressing_his_way_round_is_a_cycle() {
    let nodes = with_mailbox(json!({
        "menu": {"kind": "menu", "prompt": "p", "options": {"1": "sales", "9": "back"},
                 "exits": {"sales": "team", "back": "menu", "no_input": "mailbox", "invalid": "mailbox"}},
        "team": ring(json!({"no_answer": "mailbox"})),
    }));
    assert_eq!(found(nodes), ["unbounded_cycle menu: menu menu"]);
}

#[test]
fn a_cycle_through_other_schemes_is_found_once() {
    let mut document = company(with_mailbox(json!({
        "team": ring(json!({"no_answer": "there", "unavailable": "mailbox"})),
        "there": {"kind": "scheme", "scheme": "second"},
    })));
    document["schemes"]["second"] = scheme(json!({"back": {"kind": "scheme", "scheme": "main"}}));
    let report = checked(document);
    assert_eq!(lines(&report), ["unbounded_cycle team: team there back team"]);
    let schemes: Vec<&str> = report.findings[0].steps.iter().map(|step| &*step.scheme).collect();
    assert_eq!(schemes, ["main", "main", "second", "main"]);
}

#[test]
fn a_cycle_that_no_call_can_go_round_is_none() {
    // Whoever is asked twice in one instant answers alike: the way back is never taken.
    let nodes = with_mailbox(json!({
        "vip": {"kind": "list", "list": ["vip"], "exits": {"match": "mailbox", "else": "again"}},
        "again": {"kind": "list", "list": ["vip", "vip"], "exits": {"match": "vip", "else": "team"}},
        "team": ring(json!({"no_answer": "mailbox"})),
    }));
    assert_eq!(found(nodes), ["exit_never_taken again"]);
}

#[test]
fn the_longest_time_is_exact() {
    let menu = json!({
        "menu": {"kind": "menu", "prompt": "p", "options": {"1": "on"}, "seconds": 5, "attempts": 3, "invalid_prompt": "wrong",
                 "exits": {"on": "ladder", "no_input": "mailbox", "invalid": "mailbox"}},
        "ladder": {"kind": "ring", "strategy": "expanding", "exits": {"no_answer": "one", "busy": "mailbox"},
                   "steps": [{"ring": [{"owner": true}], "seconds": 7}, {"ring": [{"employee": "anna"}], "seconds": 10}]},
        "one": {"kind": "ring", "strategy": "linear", "seconds": 9, "ring": [{"employee": "anna"}, {"mobile": "anna"}],
                "exits": {"no_answer": "mailbox"}},
    });
    let mut document = company(with_mailbox(menu));
    document["prompts"]["wrong"] = json!({"seconds": 1.5});
    document["schemes"]["main"]["nodes"]["bye"]["prompt"] = json!("p");
    let report = checked(document);
    assert_eq!(lines(&report), [""; 0]);
    // The menu offered three times, twice after a notice; nobody found rings in the ladder's first step.
    assert_eq!(longest(&report), Some(3.0 * 7.0 + 2.0 * 1.5 + 10.0 + 18.0 + 32.0 + 2.0));
}

#[test]
fn nodes_without_a_way_there_are_errors() {
    let nodes = with_mailbox(json!({
        "team": ring(json!({"no_answer": "mailbox"})),
        "sorry": {"kind": "play", "prompt": "p", "exits": {"done": "more"}},
        "more": {"kind": "play", "prompt": "p", "exits": {"done": "bye"}},
    }));
    assert_eq!(found(nodes), ["unreachable_node sorry", "unreachable_node more"]);
}

#[test]
fn what_is_behind_an_exit_never_taken_is_told_by_the_exit() {
    let nodes = with_mailbox(json!({
        "hours": {"kind": "schedule", "schedule": "office", "exits": {"open": "again", "closed": "mailbox"}},
        "again": {"kind": "schedule", "schedule": "office", "exits": {"open": "team", "closed": "sorry"}},
        "sorry": {"kind": "play", "prompt": "p", "exits": {"done": "bye"}},
        "team": ring(json!({"no_answer": "mailbox"})),
    }));
    let report = checked(company(nodes));
    assert_eq!(lines(&report), ["exit_never_taken again"]);
    assert_eq!(report.findings[0].at.last().unwrap(), "closed");
    assert_eq!(report.findings[0].severity, Severity::Warning);
}

#[test]
fn time_makes_every_answer_possible_again() {
    let nodes = with_mailbox(json!({
        "hours": {"kind": "schedule", "schedule": "office", "exits": {"open": "hold", "closed": "mailbox"}},
        "hold": {"kind": "play", "prompt": "p", "exits": {"done": "again"}},
        "again": {"kind": "schedule", "schedule": "office", "exits": {"open": "team", "closed": "mailbox"}},
        "team": ring(json!({"no_answer": "mailbox"})),
    }));
    assert_eq!(found(nodes), [""; 0]);
}

#[test]
fn schedules_are_known_together() {
    let nodes = |first: &str, second: &str| {
        with_mailbox(json!({
            "one": {"kind": "schedule", "schedule": first, "exits": {"open": "two", "closed": "three"}},
            "two": {"kind": "schedule", "schedule": second, "exits": {"open": "mailbox", "closed": "mailbox"}},
            "three": {"kind": "schedule", "schedule": second, "exits": {"open": "mailbox", "closed": "mailbox"}},
        }))
    };
    let never = |first: &str, second: &str| {
        let mut document = company(nodes(first, second));
        document["schedules"] = json!({
            "day": {"weekly": {"mon-sun": ["06:00-22:00"]}},
            "noon": {"weekly": {"mon-fri": ["12:00-13:00"]}},
            "night": {"weekly": {"mon-sun": ["22:00-06:00"]}},
            "always": {"weekly": {"mon-sun": ["00:00-24:00"]}},
            "once": {"weekly": {}, "exceptions": {"2028-02-29": ["10:00-11:00"]}},
            "past": {"weekly": {}, "exceptions": {"2025-02-28": ["10:00-11:00"]}},
        });
        let report = checked(document);
        let exits = report.findings.iter().filter(|finding| finding.code == "exit_never_taken");
        exits
            .map(|finding| format!("{} {}", finding.node.as_deref().unwrap(), finding.at.last().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(never("day", "noon"), ["three open"], "one within the other");
    assert_eq!(never("day", "night"), ["two open", "three closed"], "each other's rest");
    assert_eq!(never("noon", "day"), ["two closed"]);
    assert_eq!(never("always", "day"), ["one closed"]);
    assert_eq!(never("once", "noon"), ["two open"], "a date years ahead counts");
    assert_eq!(never("past", "noon"), ["one open"], "a date gone by does not");
}

#[test]
fn regions_stay_what_they_are() {
    let nodes = with_mailbox(json!({
        "where": {"kind": "region", "regions": ["moscow", "ghost"], "exits": {"moscow": "hello", "ghost": "mailbox", "else": "mailbox"}},
        "hello": {"kind": "play", "prompt": "p", "exits": {"done": "again"}},
        "again": {"kind": "region", "regions": ["moscow"], "exits": {"moscow": "first", "else": "mailbox"}},
        "first": {"kind": "history", "exits": {"first": "mailbox", "repeat": "mailbox"}},
    }));
    let mut document = company(nodes);
    let tenths: Vec<String> = (0..10).map(|tenth| format!("+7343{tenth}")).collect();
    document["regions"] = json!({
        "moscow": {"prefixes": ["+7495"]}, "ghost": {"prefixes": ["+7343"]}, "tenths": {"prefixes": tenths},
    });
    let report = checked(document);
    assert_eq!(lines(&report), ["exit_never_taken where", "exit_never_taken again"]);
    assert_eq!(report.findings[0].at.last().unwrap(), "ghost", "narrower regions have all its numbers");
    assert_eq!(report.findings[1].at.last().unwrap(), "else", "a caller does not move");
}

#[test]
fn a_withheld_caller_is_on_no_list() {
    let nodes = with_mailbox(json!({
        "who": {"kind": "owner", "exits": {"found": "list", "unknown": "mailbox", "unavailable": "list"}},
        "list": {"kind": "list", "list": ["vip"], "exits": {"match": "owned", "else": "mailbox"}},
        "owned": {"kind": "owner", "exits": {"found": "mailbox", "unknown": "mailbox", "unavailable": "mailbox"}},
    }));
    assert_eq!(found(nodes), [""; 0]);
}

#[test]
fn an_owner_just_found_is_known_and_one_never_looked_for_cannot_be_rung() {
    let owner = || json!({"kind": "ring", "ring": [{"owner": true}], "seconds": 10, "exits": {"no_answer": "mailbox", "busy": "mailbox", "unavailable": "mailbox"}});
    let nodes = with_mailbox(json!({"team": owner()}));
    let report = checked(company(nodes));
    let exits: Vec<&str> = report
        .findings
        .iter()
        .filter(|f| f.code == "exit_never_taken")
        .map(|f| f.at.last().unwrap().as_str())
        .collect();
    assert_eq!(exits, ["no_answer", "busy"]);
    assert_eq!(longest(&report), Some(32.0));
    let nodes = with_mailbox(json!({
        "who": {"kind": "owner", "exits": {"found": "sure", "unknown": "mailbox", "unavailable": "mailbox"}},
        "sure": {"kind": "owner", "exits": {"found": "team", "unknown": "mailbox", "unavailable": "mailbox"}},
        "team": owner(),
    }));
    let report = checked(company(nodes));
    let exits: Vec<&str> = report.findings.iter().map(|f| f.at.last().unwrap().as_str()).collect();
    assert_eq!(exits, ["unknown", "unavailable"]);
}

#[test]
fn splits_of_one_call_choose_alike() {
    let nodes = with_mailbox(json!({
        "one": {"kind": "split", "weights": {"a": 1, "b": 1}, "exits": {"a": "hold", "b": "mailbox"}},
        "hold": {"kind": "play", "prompt": "p", "exits": {"done": "two"}},
        "two": {"kind": "split", "weights": {"a": 3, "b": 1, "c": 4}, "exits": {"a": "mailbox", "b": "mailbox", "c": "mailbox"}},
    }));
    let report = checked(company(nodes));
    assert_eq!(lines(&report), ["exit_never_taken two"]);
    assert_eq!(report.findings[0].at.last().unwrap(), "c");
}

#[test]
fn nobody_is_reached_at_night() {
    let nodes = with_mailbox(json!({
        "hours": {"kind": "schedule", "schedule": "office", "exits": {"open": "team", "closed": "note"}},
        "note": {"kind": "task", "assign": "anna", "title": "Call", "exits": {"done": "bye"}},
        "team": ring(json!({"no_answer": "mailbox"})),
    }));
    let report = checked(company(nodes));
    let [warning] = report.findings.as_slice() else { panic!("{:?}", lines(&report)) };
    assert_eq!((warning.code, warning.severity), ("nobody_reachable", Severity::Warning));
    assert_eq!(warning.at, ["numbers", "+74951112233"]);
    // From Wednesday 18:00 to Thursday 9:00; over the first weekend; a year of workdays has 261 nights and weekends.
    assert_eq!(warning.intervals[0], (FROM_MS + 6 * HOUR_MS, FROM_MS + 21 * HOUR_MS));
    assert_eq!(warning.intervals[2], (FROM_MS + 54 * HOUR_MS, FROM_MS + (54 + 63) * HOUR_MS));
    assert_eq!(warning.intervals.len(), 261);
    assert!(warning.message.contains("2026-11-18 18:00 to 2026-11-19 09:00"), "{}", warning.message);
    assert!(warning.message.contains("258 more"), "{}", warning.message);
}

#[test]
fn every_number_is_covered_by_its_own_scheme() {
    let mut document = company(with_mailbox(json!({"team": ring(json!({"no_answer": "mailbox"}))})));
    document["schemes"]["deaf"] = scheme(json!({
        "note": {"kind": "task", "assign": "anna", "title": "Call", "exits": {"done": "bye"}}, "bye": {"kind": "hangup"},
    }));
    document["numbers"] = json!({"+74951112233": {"scheme": "main"}, "default": {"scheme": "deaf"}});
    let report = checked(document);
    assert_eq!(lines(&report), ["nobody_reachable -"]);
    assert_eq!(report.findings[0].at, ["numbers", "default"]);
    let year_ms = 365 * 24 * HOUR_MS;
    assert_eq!(report.findings[0].intervals, [(FROM_MS, FROM_MS + year_ms)]);
}

#[test]
fn hours_are_to_be_asked_before_anybody_is_rung() {
    let nodes = with_mailbox(json!({
        "who": {"kind": "owner", "exits": {"found": "own", "unknown": "hours", "unavailable": "hours"}},
        "own": {"kind": "ring", "ring": [{"owner": true}], "seconds": 10, "exits": {"no_answer": "hours"}},
        "hours": {"kind": "schedule", "schedule": "office", "exits": {"open": "team", "closed": "mailbox"}},
        "team": ring(json!({"no_answer": "later"})),
        "later": {"kind": "schedule", "schedule": "office", "exits": {"open": "mailbox", "closed": "mailbox"}},
    }));
    assert_eq!(found(nodes), ["rung_before_hours own: who own hours"], "not after the first hours of a way");
}

#[test]
fn business_cards_are_not_for_the_blocked() {
    let card = |next: &str| json!({"kind": "sms", "to": "caller", "template": "card", "exits": {"done": next}});
    let black = json!({"kind": "list", "list": ["vip", "black"], "exits": {"match": "no", "else": "mailbox"}});
    let no = json!({"kind": "hangup", "allow_lost": "blocked"});
    let nodes = with_mailbox(
        json!({"card": card("hello"), "hello": {"kind": "play", "prompt": "p", "exits": {"done": "black"}}, "black": black, "no": no}),
    );
    assert_eq!(
        found(nodes),
        ["sms_to_blocked card: card hello black", "allowed_loss no: card hello black no"],
        "before the list is asked"
    );
    let asked = json!({"kind": "list", "list": ["vip", "black"], "exits": {"match": "no", "else": "card"}});
    let nodes = with_mailbox(json!({"black": asked, "card": card("mailbox"), "no": no}));
    assert_eq!(found(nodes), ["allowed_loss no: black no"], "after it was");
    let blocked = json!({"kind": "list", "list": ["black"], "exits": {"match": "card", "else": "mailbox"}});
    let nodes = with_mailbox(json!({"black": blocked, "card": card("no"), "no": no}));
    assert_eq!(
        found(nodes),
        ["sms_to_blocked card: black card", "allowed_loss no: black card no"],
        "to one who is on it"
    );
}

#[test]
fn one_greeting_is_enough() {
    let nodes = with_mailbox(json!({
        "hello": {"kind": "play", "prompt": "p", "exits": {"done": "hours"}},
        "hours": {"kind": "schedule", "schedule": "office", "exits": {"open": "welcome", "closed": "sorry"}},
        "welcome": {"kind": "play", "prompt": "p", "exits": {"done": "team"}},
        "sorry": {"kind": "play", "prompt": "p", "exits": {"done": "mailbox"}},
        "team": ring(json!({"no_answer": "mailbox"})),
    }));
    assert_eq!(found(nodes.clone()), ["greeting_twice hello: hello hours welcome"]);
    let mut unless_closed = nodes;
    unless_closed["hours"]["exits"]["closed"] = json!("mailbox");
    unless_closed.as_object_mut().unwrap().remove("sorry");
    assert_eq!(found(unless_closed), [""; 0]);
}

#[test]
fn what_cannot_be_followed_to_the_end_is_refused_in_good_time() {
    // A menu of eight ways, each to be gone ten times, in any order: 11⁸ states.
    let mut nodes = json!({"menu": {"kind": "menu", "prompt": "p", "options": {}, "exits": {"no_input": "mailbox", "invalid": "mailbox"}}});
    for key in 0..8 {
        let (exit, node) = (format!("e{key}"), format!("n{key}"));
        nodes["menu"]["options"][key.to_string()] = json!(exit);
        nodes["menu"]["exits"][exit] = json!(node);
        nodes[node] = json!({"kind": "repeat", "times": 10, "exits": {"again": "menu", "done": "mailbox"}});
    }
    let report = checked(company(with_mailbox(nodes)));
    assert_eq!(lines(&report), ["too_complex -"]);
    assert_eq!(report.findings[0].at, ["schemes", "main"]);
    assert_eq!(longest(&report), None);
    assert!(!report.ok());
}

#[test]
fn more_nodes_in_one_turn_than_the_engine_passes_are_refused() {
    let nodes = |times: u32| {
        with_mailbox(
            json!({"again": {"kind": "repeat", "times": times, "exits": {"again": "again", "done": "mailbox"}}}),
        )
    };
    assert_eq!(found(nodes(9_000)), [""; 0]);
    assert_eq!(found(nodes(10_000)), ["too_complex again"]);
}

#[test]
fn faults_of_shape_keep_a_scheme_from_being_proven_and_no_other() {
    let mut document = company(with_mailbox(json!({"team": ring(json!({"no_answer": "nowhere"}))})));
    document["schemes"]["leads"] = scheme(json!({"on": {"kind": "scheme", "scheme": "main"}}));
    document["schemes"]["other"] = scheme(json!({"bye": {"kind": "hangup"}}));
    let report = checked(document);
    assert_eq!(lines(&report), ["unknown_reference team", "lost_call bye: bye"]);
    assert_eq!(report.schemes["leads"].longest_seconds, None);
    assert_eq!(report.schemes["other"].longest_seconds, Some(0.0));
}

#[test]
fn findings_come_in_the_order_of_the_document() {
    let mut document = company(json!({
        "team": ring(json!({"no_answer": "bye", "busy": "sorry"})),
        "bye": {"kind": "hangup"},
        "alone": {"kind": "hangup"},
        "sorry": {"kind": "hangup"},
    }));
    document["employees"]["boris"] = json!({"mobile": "nonsense"});
    document["schemes"]["alpha"] = scheme(json!({"bye": {"kind": "hangup"}}));
    assert_eq!(
        lines(&checked(document)),
        [
            "bad_number -",
            "lost_call bye: team bye",
            "unreachable_node alone",
            "lost_call sorry: team sorry",
            "lost_call bye: bye"
        ]
    );
}

/// A queue that rings these, and whose `full` exit leads back to the hours it was entered by.
fn queue_asked_again(ring: Value) -> Value {
    with_mailbox(json!({
        "hours": {"kind": "schedule", "schedule": "office", "exits": {"open": "line", "closed": "mailbox"}},
        "line": {
            "kind": "queue", "ring": ring, "seconds": 20, "max_wait": 60,
            "exits": {"timeout": "mailbox", "full": "again", "nobody": "mailbox"},
        },
        "again": {"kind": "schedule", "schedule": "office", "exits": {"open": "mailbox", "closed": "bye"}},
    }))
}

#[test]
fn a_full_line_turns_away_in_the_instant_in_which_a_caller_comes() {
    let nodes = queue_asked_again(json!([{"employee": "anna"}]));
    assert_eq!(found(nodes), ["exit_never_taken again"], "the hours are as they were: nobody is lost by `closed`");
}

#[test]
fn telephones_outside_of_the_company_are_always_there() {
    let nodes = queue_asked_again(json!([{"employee": "anna"}, {"phone": "+74957654321"}]));
    let mut found = found(nodes);
    found.sort();
    assert_eq!(found, ["exit_never_taken again", "exit_never_taken line"]);
}
