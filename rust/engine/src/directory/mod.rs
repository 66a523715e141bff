//! Whose number it is, as far as the company document says: its lists and its regions, compiled for look-up.

mod lists;
mod prefixes;
mod regions;

pub use lists::{List, ListMatch, Lists};
pub use regions::{CONFLICTS_REPORTED, RANGES_MOST, RegionConflict, RegionExtent, RegionMatch, RegionMatched, Regions};
