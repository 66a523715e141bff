//! The fairness that each strategy promises, over many calls.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use kommutator_engine::Turn;
use kommutator_engine::floor::{Line, Presence};
use serde_json::json;
use support::{Dice, Doc, answered, desk as phone, desks, plain, rung};

fn fair(strategy: &str, people: usize) -> Doc {
    Doc::crew(people).hunt(json!({"ring": desks(0..people), "strategy": strategy, "seconds": 20.0}))
}

#[test]
fn round_robin_begins_with_everybody_equally_often() {
    let (people, times) = (5, 7);
    let mut desk = fair("round_robin", people).desk();
    let mut begun: BTreeMap<String, usize> = BTreeMap::new();
    for call in 0..people * times {
        let mut turn = desk.arrive(&format!("c{call}"));
        *begun.entry(rung(&turn)[0].to_owned()).or_default() += 1;
        while !rung(&turn).is_empty() {
            turn = desk.after(20, &turn, &plain("no_answer"));
        }
        desk.step(&turn, &plain("caller_hung_up"));
    }
    assert_eq!(begun, (0..people).map(|ix| (phone(ix), times)).collect());
}

#[test]
fn longest_idle_always_rings_the_longest_idle_of_those_free() {
    let people = 6;
    let mut dice = Dice::new(7);
    let mut desk = fair("longest_idle", people).desk();
    let mut ended = vec![i64::MIN; people];
    let mut talks: Vec<(usize, Turn)> = Vec::new();
    for call in 0..2_000 {
        desk.now += 1 + dice.below(60_000) as i64;
        if talks.len() == people || (!talks.is_empty() && dice.percent(50)) {
            let (ix, talk) = talks.swap_remove(dice.below(talks.len()));
            desk.step(&talk, &plain("conversation_ended"));
            ended[ix] = desk.now;
            continue;
        }
        let free = (0..people).filter(|ix| talks.iter().all(|(busy, _)| busy != ix));
        let longest = free.min_by_key(|&ix| ended[ix]).unwrap();
        let turn = desk.arrive(&format!("c{call}"));
        assert_eq!(rung(&turn), [phone(longest)]);
        talks.push((longest, desk.step(&turn, &answered(&phone(longest)))));
    }
}

#[test]
fn fewest_calls_keeps_counts_within_one_of_each_other() {
    let people = 7;
    let mut desk = fair("fewest_calls", people).desk();
    let mut counts: BTreeMap<String, usize> = (0..people).map(|ix| (phone(ix), 0)).collect();
    for call in 0..200 {
        let turn = desk.arrive(&format!("c{call}"));
        let phone = rung(&turn)[0].to_owned();
        let talk = desk.step(&turn, &answered(&phone));
        desk.after(5, &talk, &plain("conversation_ended"));
        *counts.get_mut(&phone).unwrap() += 1;
        let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
        assert!(most - least <= 1, "{counts:?}");
    }
}

/// Pearson's test: with 7 degrees of freedom chi-square exceeds 24.3 once in a thousand.
#[test]
fn random_begins_with_everybody_alike() {
    let (people, calls) = (8, 8_000);
    let mut desk = fair("random", people).desk();
    let mut first = vec![0_usize; people];
    let mut second = vec![0_usize; people];
    for call in 0..calls {
        let turn = desk.arrive(&format!("1763456789.{call}"));
        let at = |turn: &Turn| (0..people).find(|&ix| rung(turn) == [phone(ix)]).unwrap();
        first[at(&turn)] += 1;
        let turn = desk.step(&turn, &plain("no_answer"));
        second[at(&turn)] += 1;
        desk.step(&turn, &plain("caller_hung_up"));
    }
    for counts in [first, second] {
        let expected = (calls / people) as f64;
        let chi_square: f64 = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
        assert!(chi_square < 24.3, "{chi_square}: {counts:?}");
    }
}

#[test]
fn linear_always_rings_the_first_in_order_who_can_be_rung() {
    let people = 6;
    let mut dice = Dice::new(11);
    let mut desk = fair("linear", people).desk();
    for call in 0..500 {
        let mut free = Vec::new();
        for ix in 0..people {
            let line = *dice.pick(&[Line::Idle, Line::Idle, Line::Busy, Line::Unreachable]);
            let presence = *dice.pick(&[Presence::Present, Presence::Present, Presence::Away]);
            desk.line(ix, line);
            desk.presence(ix, presence);
            if line == Line::Idle && presence == Presence::Present {
                free.push(phone(ix));
            }
        }
        let mut turn = desk.arrive(&format!("c{call}"));
        for phone in &free {
            assert_eq!(rung(&turn), [phone]);
            turn = desk.step(&turn, &plain("no_answer"));
        }
        assert!(rung(&turn).is_empty());
        desk.step(&turn, &plain("caller_hung_up"));
    }
}
