//! What the check proves, held against the engine: random documents, walked at random, and every reported path played.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod proofs;

use std::sync::Arc;

use kommutator_engine::check::{Report, check};
use kommutator_engine::company::document::{Kind, Node};
use kommutator_engine::company::{Document, compile};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestRunner};

use proofs::documents::{Shown, Size, documents, documents_with_queues, followed, hunts_the_absent};
use proofs::walker::{Claims, Dice, walk};
use proofs::worlds::House;
use proofs::{atlas, day, player, worlds};

/// Documents tried, and calls walked of each scheme.
const DOCUMENTS: u32 = 5_000;
const CALLS: usize = 6;
/// Small documents followed to every end, and engine steps spent on each.
const SMALL_DOCUMENTS: u32 = 1_000;
const STEPS: usize = 20_000;
/// Days spent, each on a document of its own.
const DAYS: u32 = 1_000;

/// The same documents every time; `PROPTEST_RNG_SEED` tries others, `PROPTEST_CASES` more.
fn config(cases: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    let rng_seed = match asked.rng_seed {
        RngSeed::Random => RngSeed::Fixed(0x6b6f_6d6d),
        fixed => fixed,
    };
    ProptestConfig {
        cases: cases.max(asked.cases),
        rng_seed,
        failure_persistence: None,
        max_shrink_time: 20_000,
        ..ProptestConfig::default()
    }
}

fn checked(document: &Document) -> (House, Report) {
    let company = Arc::new(compile(document).company);
    (House::new(document, company), check(document, worlds::FROM_MS))
}

proptest! {
    #![proptest_config(config(DOCUMENTS))]

    #[test]
    fn calls_do_what_the_check_says_and_nothing_else(
        Shown(document) in documents(Size { nodes: 9, schemes: 3 }),
        seed in any::<u64>(),
    ) {
        let (house, report) = checked(&document);
        let claims = Claims::new(&report);
        let mut dice = Dice(seed);
        for scheme in 0..document.schemes.len() {
            for _ in 0..CALLS {
                let ends = walk(&document, &house, &claims, scheme, &mut dice);
                if !ends.map_err(|what| told(&report, &what))? {
                    // Turns that never end cost most, and show nothing new.
                    break;
                }
            }
        }
        for finding in report.findings.iter().filter(|finding| !finding.steps.is_empty()) {
            player::play(&document, &house, finding)
                .map_err(|what| told(&report, &format!("{} {:?}: {what}", finding.code, finding.steps)))?;
        }
    }
}

proptest! {
    #![proptest_config(config(SMALL_DOCUMENTS))]

    #[test]
    fn small_schemes_do_exactly_what_the_check_says(Shown(document) in documents(Size { nodes: 4, schemes: 1 })) {
        let (house, report) = checked(&document);
        let ids = player::ids_of_all_falls(&document);
        let Some(atlas) = atlas::explore(&document, &house, 0, &ids, STEPS) else { return Ok(()) };
        let claims = Claims::new(&report);
        let longest_s = atlas.longest_ms.map(|ms| ms as f64 / 1000.0);
        // The check does not follow who is at work: it may say more than calls can do, and never less.
        let more = hunts_the_absent(&document.schemes["scheme0"]);
        let agree = match (claims.longest_seconds(0), longest_s) {
            (None, Some(_)) if more => true,
            (Some(said), Some(seen)) if more => said + 1e-9 >= seen,
            // An announcement that begins in the last moment is none of an atlas, nor is that moment.
            (Some(said), Some(seen)) => (0.0..=slack_s(&document)).contains(&(said - seen)),
            (said, seen) => said == seen,
        };
        if !agree {
            return Err(told(&report, &format!("{longest_s:?} s, not {:?}", claims.longest_seconds(0))));
        }
        for (id, node) in &document.schemes["scheme0"].nodes {
            let can = |exit: &str| atlas.exits.contains(&("scheme0".into(), id.clone(), exit.into()));
            let reached = atlas.exits.iter().any(|(_, node, _)| node == id);
            for exit in node.exits.keys().filter(|_| reached && !atlas.ran_away) {
                let first = exit == followed(&node.kind);
                let follows = |other: &str| first && !node.exits.contains_key(other) && can(other);
                let taken = can(exit) || ["busy", "unavailable", "full", "nobody"].into_iter().any(follows);
                let denied = claims.denies(&document, "scheme0", id, exit);
                if taken && denied || !taken && !denied && !more {
                    return Err(told(&report, &format!("`{id}` –{exit}→ is taken: {taken}")));
                }
            }
        }
    }
}

/// By how much the longest call of an atlas may be shorter than the check says, seconds.
fn slack_s(document: &Document) -> f64 {
    let nodes = document.schemes.values().flat_map(|scheme| scheme.nodes.values());
    let of = |node: &Node| match &node.kind {
        Kind::Queue { announce: Some(_), .. } => f64::INFINITY,
        // A scheme of four nodes comes to one again by three `repeat`s at most, each of three passes.
        Kind::Queue { .. } => 64.0 * atlas::LAST_MS as f64 / 1000.0,
        _ => 0.0,
    };
    nodes.map(of).sum::<f64>() + 1e-9
}

#[test]
fn no_line_loses_anybody_on_any_day() {
    let mut all = day::Happened::default();
    let strategy = (documents_with_queues(Size { nodes: 5, schemes: 2 }), any::<u64>());
    let (cases, days) = (config(DAYS).cases, std::cell::RefCell::new(&mut all));
    let ran = TestRunner::new(config(DAYS)).run(&strategy, |(Shown(document), seed)| {
        **days.borrow_mut() += day::spend(&document, &mut Dice(seed)).map_err(TestCaseError::fail)?;
        Ok(())
    });
    ran.unwrap_or_else(|failed| panic!("{failed}"));
    let least = cases as usize / 4;
    let seen = [all.joined, all.taken_over, all.served].into_iter().chain(all.left);
    assert!(seen.into_iter().all(|times| times > least), "{all:?} in {cases} days show little");
}

fn told(report: &Report, what: &str) -> TestCaseError {
    let findings: Vec<&str> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
    TestCaseError::fail(format!("{what}\n{findings:#?}"))
}
