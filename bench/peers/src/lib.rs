//! Holds the benchmarks of `benches/`; there is nothing to link.
