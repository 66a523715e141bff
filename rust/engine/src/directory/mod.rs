//! Whose number it is, as far as the company document says: its lists and its regions, compiled for look-up.

mod changes;
mod file;
mod gapped;
mod lists;
mod packed;
mod pages;
mod regions;
mod rows;
mod set;
mod spans;

pub use changes::{LIST_CHANGES, ListChanges};
pub use file::{BAD_ROWS_NAMED, ListFile, LongCell};
pub use lists::{FileNumbers, List, ListFiles, ListMatch, Lists};
pub use packed::{Packed, pack, unpack};
pub use regions::{CONFLICTS_REPORTED, RANGES_MOST, RegionConflict, RegionExtent, RegionMatch, RegionMatched, Regions};
pub use set::NumberSet;
