//! Who can call: from which regions there are numbers at all.

use crate::company::Document;
use crate::company::version::Company;
use crate::number::{Number, Prefix};

use super::mask::Mask;

/// A caller without a number.
pub const WITHHELD: usize = 0;
/// A caller with a number that belongs to no region; an extension is one.
pub const ELSEWHERE: usize = 1;

/// The class of callers from a region.
pub const fn of_region(region: usize) -> usize {
    2 + region
}

/// The classes of callers that exist: withheld, from no region, and each region in which a number lies that can call.
///
/// A region whose every number a narrower one takes has no callers. The numbers tried are those at the edges of every
/// prefix and range, of every length: between two edges the region does not change.
pub fn existing(document: &Document, company: &Company) -> Mask {
    let regions = document.regions.len();
    let mut classes = Mask::of(2 + regions, |class| class < 2);
    let mut missing = regions;
    let mut try_number = |digits: u64| {
        let number = Number::from_e164(digits).filter(|number| can_call(*number, company));
        if let Some(found) = number.and_then(|number| company.regions.find(number)) {
            let class = of_region(found.region);
            missing -= usize::from(!classes.has(class));
            classes.insert(class);
        }
        missing == 0
    };
    let extents = document.regions.values();
    let prefixes = extents.clone().flat_map(|region| &region.prefixes);
    let prefixes: Vec<Prefix> = prefixes.filter_map(|raw| Prefix::parse(raw, company.country)).collect();
    let ranges = || extents.clone().flat_map(|region| region.ranges.iter().copied());
    let _ = prefixes.iter().any(|&prefix| edges(prefix).any(&mut try_number))
        || ranges().any(|(from, to)| try_number(from) || try_number(to))
        || ranges().any(|(from, to)| try_number(from.saturating_sub(1)) || try_number(to.saturating_add(1)));
    classes
}

/// Numbers of every length at the edges of a prefix and of the ten prefixes one digit longer, and beside it.
fn edges(prefix: Prefix) -> impl Iterator<Item = u64> {
    (prefix.digits()..=15).flat_map(move |length| {
        let rest = 10_u64.pow(length - prefix.digits());
        let first = prefix.as_u64() * rest;
        let tenths = (0..10).flat_map(move |tenth| [first + rest / 10 * tenth, first + rest / 10 * (tenth + 1) - 1]);
        tenths.chain([first.saturating_sub(1), first + rest])
    })
}

fn can_call(number: Number, company: &Company) -> bool {
    Number::parse(&number.to_string(), company.country) == Some(number)
}
