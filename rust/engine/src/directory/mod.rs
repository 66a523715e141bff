//! Whose number it is, as far as the company document says: its lists and its regions, compiled for look-up.

mod changes;
mod gapped;
mod lists;
mod regions;
mod set;
mod spans;

pub use changes::{LIST_CHANGES, ListChanges};
pub use lists::{List, ListMatch, Lists};
pub use regions::{CONFLICTS_REPORTED, RANGES_MOST, RegionConflict, RegionExtent, RegionMatch, RegionMatched, Regions};
pub use set::NumberSet;
