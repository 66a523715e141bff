//! What the check proves, held against the engine: random documents, walked at random, and every reported path played.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod proofs;

use std::sync::Arc;

use kommutator_engine::check::{Report, check};
use kommutator_engine::company::{Company, Document, compile};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError};

use proofs::documents::{Shown, Size, documents};
use proofs::walker::{Claims, Dice, walk};
use proofs::{player, worlds};

/// Documents tried, and calls walked of each scheme.
const DOCUMENTS: u32 = 10_000;
const CALLS: usize = 6;

/// The same documents every time; set `PROPTEST_RNG_SEED` for others.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: DOCUMENTS,
        rng_seed: RngSeed::Fixed(0x6b6f_6d6d),
        failure_persistence: None,
        max_shrink_time: 20_000,
        ..ProptestConfig::default()
    }
}

fn checked(document: &Document) -> (Arc<Company>, Report) {
    (Arc::new(compile(document).company), check(document, worlds::FROM_MS))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_call_does_what_the_check_denies(Shown(document) in documents(Size { nodes: 9, schemes: 3 }), seed in any::<u64>()) {
        let (company, report) = checked(&document);
        let claims = Claims::new(&report);
        let mut dice = Dice(seed);
        for scheme in 0..document.schemes.len() {
            for _ in 0..CALLS {
                walk(&document, &company, &claims, scheme, &mut dice).map_err(|what| told(&report, &what))?;
            }
        }
    }

    #[test]
    fn every_reported_path_ends_as_it_claims(Shown(document) in documents(Size { nodes: 9, schemes: 3 })) {
        let (company, report) = checked(&document);
        for finding in report.findings.iter().filter(|finding| !finding.steps.is_empty()) {
            let t = std::time::Instant::now();
            std::fs::write("/tmp/kt/now.txt", format!("{} {:?}", finding.message, Shown(document.clone()))).unwrap();
            let r = player::play(&document, &company, finding);
            if t.elapsed().as_millis() > 300 { eprintln!("SLOW {:?} {} {:?} {:?}", t.elapsed(), finding.message, r, Shown(document.clone())); }
            r.map_err(|what| {
                told(&report, &format!("{} {:?}: {what}", finding.code, finding.steps))
            })?;
        }
    }
}

fn told(report: &Report, what: &str) -> TestCaseError {
    let findings: Vec<&str> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
    TestCaseError::fail(format!("{what}\n{findings:#?}"))
}
