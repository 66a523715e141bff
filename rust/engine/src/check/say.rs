//! The words of findings: ways through nodes, moments and lengths.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::finding::PathStep;

/// Steps of a way written out at either end; what is between is counted.
const WRITTEN: usize = 8;

/// A way as text: `hello` –done→ `hours` –closed→ `bye`.
pub fn way(steps: &[PathStep]) -> String {
    let mut text = String::new();
    let home = steps.first().map_or("", |step| &step.scheme);
    let skipped = WRITTEN..steps.len().saturating_sub(WRITTEN);
    for (place, step) in steps.iter().enumerate() {
        if skipped.len() > 1 && skipped.contains(&place) {
            if place == skipped.start {
                text.push_str(&format!("… {} more … ", skipped.len()));
            }
            continue;
        }
        let scheme = if step.scheme == home { String::new() } else { format!("{}/", step.scheme) };
        text.push_str(&format!("`{scheme}{}`", step.node));
        match step.exit.as_deref() {
            Some("") => text.push_str(" → "),
            Some(exit) => text.push_str(&format!(" –{exit}→ ")),
            None => {}
        }
    }
    text
}

/// A moment on the wall clock: `2026-12-31 13:00`.
pub fn moment(at_ms: i64, zone: &TimeZone) -> String {
    Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| at_ms.to_string(), |at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string())
}
