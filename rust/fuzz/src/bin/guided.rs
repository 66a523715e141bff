//! Searches for bytes that a target stops at: `KOMMUTATOR_TARGET` names it, the arguments are libFuzzer's.
#![no_main]

use std::sync::LazyLock;

use kommutator_fuzz::{TARGETS, Target};
use libfuzzer_sys::Corpus;

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("KOMMUTATOR_TARGET").unwrap_or_default();
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target `{name}`"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| -> Corpus {
    if bytes.len() > TARGET.longest {
        return Corpus::Reject;
    }
    (TARGET.run)(bytes);
    Corpus::Keep
});
