//! Figures that are no time of a criterion: printed, and kept where `BENCH_FIGURES` says, a JSON object a line.

use std::fs::OpenOptions;
use std::io::Write;

/// Tells a figure.
pub fn figure(name: &str, value: f64, unit: &str) {
    println!("{name}: {value:.3} {unit}");
    let Ok(path) = std::env::var("BENCH_FIGURES") else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file for figures");
    writeln!(file, "{}", serde_json::json!({"name": name, "value": value, "unit": unit})).expect("room for figures");
}

/// A size, as `BENCH_PERCENT` of the full one.
pub fn scaled(count: usize) -> usize {
    let percent = std::env::var("BENCH_PERCENT").map_or(100, |percent| percent.parse().expect("a number"));
    count * percent / 100
}
