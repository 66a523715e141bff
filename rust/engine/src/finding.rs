//! What the check has to say: findings with a stable code and a place.

use serde::Serialize;

/// How bad a finding is. Only an error keeps a version from being activated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The company cannot be run.
    Error,
    /// It can, and something is probably not meant.
    Warning,
    /// Said because the document asked for it to be said.
    Note,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Stable code.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Scheme it is about.
    pub scheme: Option<String>,
    /// Node it is about.
    pub node: Option<String>,
    /// Keys from the document's root to the place blamed.
    pub at: Vec<String>,
    /// What is wrong, in English.
    pub message: String,
    /// Node ids from the start to the place where it goes wrong; empty where no path is concerned.
    pub path: Vec<String>,
    /// The same path with schemes and exits.
    pub steps: Vec<PathStep>,
    /// Stretches of time `[from, to)` it is about, milliseconds of UTC since the epoch; none where time does not matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<(i64, i64)>,
}

/// One node of a path and the exit taken; the last has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathStep {
    /// Scheme id.
    pub scheme: String,
    /// Node id.
    pub node: String,
    /// Exit taken.
    pub exit: Option<String>,
}

impl Finding {
    /// An error at a place of the document.
    #[must_use]
    pub fn error(code: &'static str, at: &[&str], message: String) -> Self {
        Self::new(code, Severity::Error, at, message)
    }

    /// A finding at a place of the document. The scheme and node are read off the place.
    #[must_use]
    pub fn new(code: &'static str, severity: Severity, at: &[&str], message: String) -> Self {
        let (scheme, node) = match at {
            ["schemes", scheme, "nodes", node, ..] => (Some((*scheme).to_owned()), Some((*node).to_owned())),
            ["schemes", scheme, ..] => (Some((*scheme).to_owned()), None),
            _ => (None, None),
        };
        Self {
            code,
            severity,
            scheme,
            node,
            at: at.iter().map(|&key| key.to_owned()).collect(),
            message,
            path: Vec::new(),
            steps: Vec::new(),
            intervals: Vec::new(),
        }
    }

    /// The same finding with the path that shows it.
    #[must_use]
    pub fn along(mut self, steps: Vec<PathStep>) -> Self {
        self.path = steps.iter().map(|step| step.node.clone()).collect();
        self.steps = steps;
        self
    }
}
