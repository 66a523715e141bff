//! Hunts of many people: what the floor's groups answer is what walking all the legs would have found.
//!
//! Groups know no moment before the latest they were asked about. So an engine that was once asked about a far future
//! walks ever after, and is the slow and obvious model of one that was not; that walking itself is right is shown on small
//! hunts, by `floor.rs` against a model that shares no code.
#![allow(clippy::unwrap_used)]

mod support;

use kommutator_engine::floor::{Line, Presence, WALKED};
use kommutator_engine::{Action, Engine, Event, Prepared, Turn};
use serde_json::{Value, json};
use support::*;

const PEOPLE: usize = 150;
const STRATEGIES: [&str; 5] = ["round_robin", "longest_idle", "fewest_calls", "random", "linear"];

/// A hunt of each strategy, through everybody's desk, some mobiles and two numbers; and one more that comes first.
fn company() -> Doc {
    let everybody: Vec<String> = (0..PEOPLE).map(|ix| format!("e{ix}")).collect();
    let doc = Doc::crew(PEOPLE).set(&["groups", "many"], json!({"members": everybody}));
    let mut ring = vec![json!({"group": "many"})];
    ring.extend((0..20).map(|ix| json!({"mobile": format!("e{}", ix * 7)})));
    let numbers = ["+79990001122", "+79990001123"].map(|phone| json!({"phone": phone}));
    let nodes = |strategy: &str, ring: &[Value]| {
        let exits = json!({"no_answer": "mail", "busy": "twice", "unavailable": "note"});
        json!({
            "hunt": {"kind": "ring", "strategy": strategy, "seconds": 10.0, "ring": ring, "exits": exits},
            "twice": {"kind": "repeat", "times": 1, "exits": {"again": "hunt", "done": "note"}},
        })
    };
    let doc = doc.scheme("future", "hunt", nodes("longest_idle", &ring));
    STRATEGIES.iter().fold(doc, |doc, strategy| {
        let plain = doc.scheme(strategy, "hunt", nodes(strategy, &ring));
        let with_numbers: Vec<Value> = ring.iter().chain(&numbers).cloned().collect();
        plain.scheme(&format!("{strategy}-and-numbers"), "hunt", nodes(strategy, &with_numbers))
    })
}

/// The engine, and one that walks.
struct Both {
    grouped: Engine,
    walking: Engine,
}

impl Both {
    fn new(doc: &Doc) -> Self {
        let mut walking = doc.engine();
        let turn = walking.arrive("future", &did(0), None, i64::MAX / 2).unwrap();
        walking.handle(&turn.state, &plain("caller_hung_up"), i64::MAX / 2).unwrap();
        Self { grouped: doc.engine(), walking }
    }

    fn each(&mut self, mut deed: impl FnMut(&mut Engine) -> Turn) -> Turn {
        let (found, walked) = (deed(&mut self.grouped), deed(&mut self.walking));
        assert_eq!(found.action, walked.action);
        assert_eq!(found.state, walked.state);
        assert_eq!(found.trace, walked.trace);
        for (found, walked) in found.rounds.iter().zip(&walked.rounds).take(WALKED) {
            assert_eq!(found.round, walked.round);
            let named = found.left_out.len();
            assert!(named == walked.left_out.len() || named == WALKED && found.more);
            assert_eq!(found.left_out, walked.left_out[..named]);
        }
        assert!(found.rounds.len() == walked.rounds.len() || found.rounds[WALKED - 1].more);
        found
    }
}

/// How crowded the floor is: of a hundred people, so many are put on the phone, away, or out of reach; all on the phone
/// where nobody is left, for mobiles ring whoever is away.
fn crowd(both: &mut Both, dice: &mut Dice, percent: usize) {
    for ix in 0..PEOPLE {
        let id = format!("e{ix}");
        let taken = dice.percent(percent);
        let other = if percent == 100 { Line::Busy } else { Line::Unreachable };
        let line = if taken { *dice.pick(&[Line::Busy, Line::Busy, other]) } else { Line::Idle };
        let presence = if taken { *dice.pick(&[Presence::Present, Presence::Away]) } else { Presence::Present };
        for engine in [&mut both.grouped, &mut both.walking] {
            engine.line(&id, line).unwrap();
            engine.presence(&id, presence).unwrap();
        }
    }
}

fn ended(turn: &Turn, cause: &str) -> Value {
    rung(turn).into_iter().map(|endpoint| json!({"endpoint": endpoint, "cause": cause})).collect()
}

fn event_for(turn: &Turn, dice: &mut Dice) -> Event {
    if dice.percent(8) {
        return plain("caller_hung_up");
    }
    match &turn.action {
        Action::Ring { .. } => match dice.below(8) {
            0..3 => answered(rung(turn)[0]),
            3 => event(json!({"type": "busy", "ended": ended(turn, "busy")})),
            4 => event(json!({"type": "unavailable", "ended": ended(turn, "declined")})),
            5 => {
                let Action::Ring { endpoints, .. } = &turn.action else { unreachable!() };
                let who: Vec<&smol_str::SmolStr> = endpoints.iter().filter_map(|rung| rung.employee.as_ref()).collect();
                event(json!({"type": "taken", "employees": who}))
            }
            _ => plain("no_answer"),
        },
        Action::Wait { .. } => plain(if dice.percent(50) { "employee_free" } else { "waited" }),
        Action::Talk { .. } => plain("conversation_ended"),
        Action::Record { .. } => event(json!({"type": "recorded", "seconds": 3.0})),
        Action::HangUp { .. } => plain("hung_up"),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn groups_find_whom_walking_finds() {
    let doc = company();
    let (mut beyond, mut waits, mut nobody) = (0, 0, 0);
    for round in 0..6 {
        let mut dice = Dice::new(41 + round);
        let mut both = Both::new(&doc);
        let mut now = NOON;
        let mut live: Vec<Turn> = Vec::new();
        crowd(&mut both, &mut dice, [0, 60, 90, 97, 99, 100][round as usize]);
        for step in 0..250 {
            now += dice.below(4_000) as i64;
            if dice.percent(1) {
                // A vanished client: claims come to their deadlines.
                now += 20_000;
            }
            for _ in 0..dice.below(4) {
                let id = format!("e{}", dice.below(PEOPLE));
                let mut line =
                    *dice.pick(&[Line::Idle, Line::Busy, Line::Busy, Line::Busy, Line::WrapUp, Line::Ringing]);
                if round == 5 && step < 200 {
                    line = Line::Busy;
                }
                let presence = *dice.pick(&[Presence::Present, Presence::Present, Presence::Away]);
                for engine in [&mut both.grouped, &mut both.walking] {
                    engine.line(&id, line).unwrap();
                    engine.presence(&id, presence).unwrap();
                }
            }
            let turn = if live.len() < 3 || (live.len() < 30 && dice.percent(40)) {
                let to = did(1 + dice.below(2 * STRATEGIES.len()));
                both.each(|engine| engine.arrive(&format!("c{step}"), &to, None, now).unwrap())
            } else {
                let turn = live.swap_remove(dice.below(live.len()));
                if dice.percent(5) {
                    both.each(|engine| engine.resume(&turn.state, now).unwrap())
                } else {
                    let event = event_for(&turn, &mut dice);
                    both.each(|engine| engine.handle(&turn.state, &event, now).unwrap())
                }
            };
            beyond += usize::from(turn.rounds.iter().any(|note| note.more) && !rung(&turn).is_empty());
            waits += usize::from(matches!(turn.action, Action::Wait { .. }));
            nobody +=
                usize::from(turn.rounds.iter().any(|note| note.more && note.passed_over && note.left_out.len() > 1));
            if !matches!(turn.action, Action::End { .. }) {
                live.push(turn);
            }
        }
    }
    assert!(beyond > 20 && waits > 20 && nobody > 5, "{beyond} {waits} {nobody}");
}

#[test]
fn who_is_busy_counts_wherever_he_stands_and_who_is_away_does_not() {
    let everybody: Vec<String> = (0..PEOPLE).map(|ix| format!("e{ix}")).collect();
    let doc = Doc::crew(PEOPLE).set(&["groups", "many"], json!({"members": everybody}));
    let nodes = |strategy: &str| json!({"hunt": hunt(json!({"ring": [{"group": "many"}], "strategy": strategy, "seconds": 10.0}))});
    let doc = doc.scheme("future", "hunt", nodes("longest_idle"));
    let doc = STRATEGIES.iter().fold(doc, |doc, strategy| doc.scheme(strategy, "hunt", nodes(strategy)));
    for busy in [Line::Busy, Line::Idle] {
        for last in [Line::Idle, busy] {
            let mut both = Both::new(&doc);
            for engine in [&mut both.grouped, &mut both.walking] {
                for ix in 0..PEOPLE - 1 {
                    let away = ix < PEOPLE - 10 || busy == Line::Idle;
                    engine.presence(&format!("e{ix}"), if away { Presence::Away } else { Presence::Present }).unwrap();
                    engine.line(&format!("e{ix}"), busy).unwrap();
                }
                engine.line(&format!("e{}", PEOPLE - 1), last).unwrap();
            }
            for (at, strategy) in STRATEGIES.iter().enumerate() {
                let mut turn = both.each(|engine| engine.arrive(strategy, &did(1 + at), None, NOON).unwrap());
                if last == Line::Idle {
                    assert_eq!(rung(&turn), [desk(PEOPLE - 1)], "{strategy}");
                    let event = event(json!({"type": "unavailable"}));
                    turn = both.each(|engine| engine.handle(&turn.state, &event, NOON).unwrap());
                }
                let expected = if busy == Line::Busy { "hunt:busy" } else { "hunt:unavailable" };
                assert!(passed(&turn).starts_with(expected), "{strategy}: {}", passed(&turn));
            }
        }
    }
}

#[test]
fn versions_of_the_same_people_share_their_groups_and_dropping_one_leaves_the_other() {
    let doc = company();
    let mut both = Both::new(&doc);
    let renamed = doc.clone().set(&["prompts", "hello", "seconds"], json!(7.0)).company();
    for _ in 0..2 {
        let ids =
            [&mut both.grouped, &mut both.walking].map(|engine| (engine.active().id, engine.hold(renamed.clone())));
        let (old, new) = ids[0];
        for engine in [&mut both.grouped, &mut both.walking] {
            assert!(engine.activate(new));
            assert!(old == new || engine.drop_version(old));
        }
        let mut dice = Dice::new(5);
        crowd(&mut both, &mut dice, 98);
        for scheme in 1..=2 * STRATEGIES.len() {
            let turn = both.each(|engine| engine.arrive("c", &did(scheme), None, NOON).unwrap());
            both.each(|engine| engine.handle(&turn.state, &plain("caller_hung_up"), NOON).unwrap());
        }
    }
}

#[test]
fn versions_come_and_go_and_each_finds_its_own_people() {
    let orders: Vec<Doc> = (0..4)
        .map(|turned| {
            let members: Vec<String> = (0..PEOPLE).map(|ix| format!("e{}", (ix + turned * 31) % PEOPLE)).collect();
            let new = format!("new-{turned}");
            company()
                .employee(&new, json!({"endpoint": format!("PJSIP/{new}")}))
                .set(&["groups", "many"], json!({"members": members.iter().chain([&new]).collect::<Vec<_>>()}))
        })
        .collect();
    let mut both = Both::new(&orders[0]);
    let mut dice = Dice::new(6);
    for round in 0..12 {
        crowd(&mut both, &mut dice, [0, 50, 97][round % 3]);
        let doc = &orders[(round + 1) % orders.len()];
        for (engine, beside) in [(&mut both.grouped, true), (&mut both.walking, false)] {
            let old = engine.active().id;
            let new = if beside {
                // Found beside the floor; every third time somebody comes meanwhile, and it is to be found again.
                let mut prepared = Prepared::new(doc.company(), &engine.roster());
                if round % 3 == 0 {
                    engine.hold(Doc::crew(2).employee(&format!("guest-{round}"), json!({})).company());
                }
                engine.hold_prepared(&mut prepared)
            } else {
                engine.hold(Doc::crew(2).employee(&format!("guest-{round}"), json!({})).company());
                engine.hold(doc.company())
            };
            assert!(engine.activate(new));
            assert_eq!(engine.take_version(old).unwrap().company().id, old);
        }
        for scheme in 1..=2 * STRATEGIES.len() {
            let turn = both.each(|engine| engine.arrive("c", &did(scheme), None, NOON).unwrap());
            both.each(|engine| engine.handle(&turn.state, &plain("caller_hung_up"), NOON).unwrap());
        }
    }
}

#[test]
fn an_equal_version_held_again_is_the_one_that_was_held() {
    let doc = company();
    let mut engine = doc.engine();
    let first = engine.active().id;
    let ring = engine.arrive("a", &did(1), None, NOON).unwrap();
    let mut prepared = Prepared::new(doc.company(), &engine.roster());
    assert_eq!(engine.hold_prepared(&mut prepared), first);
    assert!(engine.activate(first));
    let talk = engine.handle(&ring.state, &answered(rung(&ring)[0]), NOON).unwrap();
    assert!(matches!(talk.action, Action::Talk { .. }));
}
