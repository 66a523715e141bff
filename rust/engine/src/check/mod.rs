//! The check: compiles a document and says what is wrong with it.

use indexmap::IndexMap;
use serde::Serialize;

use crate::company::{Document, compile};
use crate::finding::{Finding, Severity};

/// What the check found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Findings, in document order.
    pub findings: Vec<Finding>,
    /// What was computed of each scheme.
    pub schemes: IndexMap<String, SchemeReport>,
}

/// What was computed of a scheme.
#[derive(Clone, Debug, Serialize)]
pub struct SchemeReport {
    /// The longest possible time until a call ends or is answered.
    pub longest_seconds: Option<f64>,
}

impl Report {
    /// True when there is no error.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

/// Checks a document.
#[must_use]
pub fn check(document: &Document, _from_ms: i64) -> Report {
    Report { findings: compile(document).findings, schemes: IndexMap::new() }
}
