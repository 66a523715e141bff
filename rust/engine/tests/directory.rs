//! Lists and regions against a linear scan over what they were made of.
#![allow(clippy::unwrap_used)]

use kommutator_engine::directory::{
    CONFLICTS_REPORTED, List, ListMatch, Lists, RegionConflict, RegionExtent, RegionMatched, Regions,
};
use kommutator_engine::number::{Country, Number, Prefix};
use proptest::collection::vec;
use proptest::prelude::*;

fn number(raw: &str) -> Number {
    Number::parse(raw, Country::Ru).unwrap()
}

fn prefix(raw: &str) -> Prefix {
    Prefix::parse(raw, Country::Ru).unwrap()
}

fn extent(prefixes: &[&str], ranges: &[(u64, u64)]) -> RegionExtent {
    RegionExtent { prefixes: prefixes.iter().map(|raw| prefix(raw)).collect(), ranges: ranges.to_vec() }
}

fn region(regions: &Regions, raw: &str) -> Option<usize> {
    regions.find(number(raw)).map(|found| found.region)
}

#[test]
fn a_list_names_the_entry_that_matched() {
    let list = List::new(
        vec![number("+79161230099"), number("101"), number("+79161230099")],
        vec![prefix("+7812"), prefix("+7"), prefix("+78127")],
    );
    assert_eq!(list.find(number("89161230099")), Some(ListMatch::Number(number("+79161230099"))));
    assert_eq!(list.find(number("88121234567")), Some(ListMatch::Prefix(prefix("+7812"))));
    assert_eq!(list.find(number("88127234567")), Some(ListMatch::Prefix(prefix("+78127"))));
    assert_eq!(list.find(number("84951234567")), Some(ListMatch::Prefix(prefix("+7"))));
    assert_eq!(list.find(number("101")), Some(ListMatch::Number(number("101"))));
    assert_eq!(list.find(number("0101")), None);
    assert_eq!(list.find(number("+442079460958")), None);
}

#[test]
fn no_prefix_of_a_list_matches_an_extension() {
    assert_eq!(List::new(vec![], vec![prefix("+7")]).find(number("7812")), None);
}

#[test]
fn of_several_lists_the_first_that_matches_is_named() {
    let lists = Lists::new(vec![
        List::new(vec![number("101")], vec![]),
        List::new(vec![], vec![prefix("+7")]),
        List::new(vec![], vec![prefix("+7495")]),
    ]);
    let caller = number("+74951234567");
    assert_eq!(lists.find_first(&[0, 2, 1], caller), Some((2, ListMatch::Prefix(prefix("+7495")))));
    assert_eq!(lists.find_first(&[0], caller), None);
    assert_eq!(lists.find(3, caller), None);
}

#[test]
fn the_narrower_of_prefix_and_range_decides_and_the_prefix_where_they_are_equal() {
    let regions = Regions::compile(&[
        extent(&["+7343"], &[]),
        extent(&[], &[(73432000000, 73432099999)]),
        extent(&["+734320500"], &[]),
        extent(&[], &[(73430000000, 73439999999), (73430000000, 73449999999)]),
    ])
    .unwrap();
    assert_eq!(region(&regions, "+73432012345"), Some(1));
    assert_eq!(region(&regions, "+73432050099"), Some(2));
    assert_eq!(region(&regions, "+73431000000"), Some(0), "the range is as wide as the prefix");
    assert_eq!(region(&regions, "+73441000000"), Some(3));
    assert_eq!(region(&regions, "+73450000000"), None);
    assert_eq!(
        regions.find(number("+73432012345")).unwrap().matched,
        RegionMatched::Range(number("+73432000000"), number("+73432099999"))
    );
}

#[test]
fn both_ends_of_a_range_are_in_it() {
    let regions =
        Regions::compile(&[extent(&[], &[(73432000000, 73432000009)]), extent(&[], &[(73432000010, 73432000010)])]);
    let regions = regions.unwrap();
    let found = ["+73431999999", "+73432000000", "+73432000009", "+73432000010", "+73432000011"];
    assert_eq!(found.map(|raw| region(&regions, raw)), [None, Some(0), Some(0), Some(1), None]);
}

#[test]
fn extensions_have_no_region() {
    let regions = Regions::compile(&[extent(&["+7"], &[])]).unwrap();
    assert_eq!(regions.find(number("7495")), None);
}

#[test]
fn what_two_regions_claim_is_a_conflict_and_what_one_repeats_is_none() {
    let claimed = (73432000000, 73432099999);
    let conflicts = Regions::compile(&[
        extent(&["+7343", "8343"], &[claimed, claimed]),
        extent(&["+7351"], &[]),
        extent(&["+7343"], &[claimed, (73432000000, 73432099998), (5, 4), (9999999, 10000000)]),
    ])
    .unwrap_err();
    assert_eq!(
        conflicts,
        [
            RegionConflict::Prefix { prefix: prefix("+7343"), first: 0, second: 2 },
            RegionConflict::Range { from: number("+73432000000"), to: number("+73432099999"), first: 0, second: 2 },
            RegionConflict::NotARange { region: 2, from: 5, to: 4 },
            RegionConflict::NotARange { region: 2, from: 9999999, to: 10000000 },
        ]
    );
}

#[test]
fn conflicts_are_reported_up_to_a_bound() {
    let ranges: Vec<(u64, u64)> = (0..500).map(|n| (73432000000 + n, 73432000000 + n)).collect();
    let conflicts = Regions::compile(&[extent(&[], &ranges), extent(&[], &ranges)]).unwrap_err();
    assert_eq!(conflicts.len(), CONFLICTS_REPORTED);
}

/// Numbers that crowd together, so that sets meet: `+7343` and seven digits of which few vary, or one digit shorter.
fn crowded() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0_u64..10, 0_u64..30).prop_map(|(high, low)| 73430000000 + high * 1_000_000 + low),
        1 => (0_u64..30).prop_map(|low| 7343000000 + low),
    ]
}

fn crowded_prefix() -> impl Strategy<Value = Prefix> {
    (crowded(), 1_u32..=11)
        .prop_filter_map("longer than the number", |(digits, length)| Prefix::of(Number::from_e164(digits)?, length))
}

fn crowded_range() -> impl Strategy<Value = (u64, u64)> {
    (crowded(), crowded()).prop_map(|(a, b)| {
        let (from, to) = (a.min(b), a.max(b));
        if from.ilog10() == to.ilog10() { (from, to) } else { (to, to) }
    })
}

fn crowded_region() -> impl Strategy<Value = RegionExtent> {
    (vec(crowded_prefix(), 0..6), vec(crowded_range(), 0..8))
        .prop_map(|(prefixes, ranges)| RegionExtent { prefixes, ranges })
}

/// The deciding set by comparing every set: (numbers in it, range or prefix, where it begins).
fn scanned(regions: &[RegionExtent], digits: u64) -> Option<usize> {
    let text = digits.to_string();
    let prefixes = regions.iter().enumerate().flat_map(|(index, region)| {
        let inside = region.prefixes.iter().filter(|prefix| text.starts_with(&prefix.as_u64().to_string()));
        inside
            .map(|prefix| (10_u64.pow((text.len() - prefix.as_u64().to_string().len()) as u32), false, 0, index))
            .collect::<Vec<_>>()
    });
    let ranges = regions.iter().enumerate().flat_map(|(index, region)| {
        let inside = region.ranges.iter().filter(|(from, to)| (*from..=*to).contains(&digits));
        inside.map(|(from, to)| (to - from + 1, true, u64::MAX - from, index)).collect::<Vec<_>>()
    });
    prefixes.chain(ranges).min().map(|(_, _, _, index)| index)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn regions_agree_with_a_linear_scan(regions in vec(crowded_region(), 0..5), asked in vec(crowded(), 20)) {
        match Regions::compile(&regions) {
            Ok(compiled) => for digits in asked {
                let number = Number::from_e164(digits).unwrap();
                let found = compiled.find(number);
                prop_assert_eq!(found.map(|found| found.region), scanned(&regions, digits));
                let held = found.is_none_or(|found| match found.matched {
                    RegionMatched::Prefix(prefix) => {
                        prefix.matches(number) && regions[found.region].prefixes.contains(&prefix)
                    }
                    RegionMatched::Range(from, to) => {
                        (from..=to).contains(&number)
                            && regions[found.region].ranges.contains(&(from.as_u64(), to.as_u64()))
                    }
                });
                prop_assert!(held, "{found:?} does not hold {number}");
            },
            Err(conflicts) => for conflict in conflicts {
                let (first, second, both) = match conflict {
                    RegionConflict::Prefix { prefix, first, second } => {
                        (first, second, [first, second].iter().all(|&at| regions[at].prefixes.contains(&prefix)))
                    }
                    RegionConflict::Range { from, to, first, second } => {
                        let range = (from.as_u64(), to.as_u64());
                        (first, second, [first, second].iter().all(|&at| regions[at].ranges.contains(&range)))
                    }
                    other => panic!("{other}"),
                };
                prop_assert!(first < second && both);
            },
        }
    }

    #[test]
    fn lists_agree_with_a_linear_scan(
        numbers in vec(crowded(), 0..20),
        prefixes in vec(crowded_prefix(), 0..8),
        asked in vec(crowded(), 20),
    ) {
        let numbers: Vec<Number> = numbers.into_iter().filter_map(Number::from_e164).collect();
        let list = List::new(numbers.clone(), prefixes.clone());
        for digits in asked {
            let number = Number::from_e164(digits).unwrap();
            let text = digits.to_string();
            let longest = prefixes.iter().filter(|prefix| text.starts_with(&prefix.as_u64().to_string()));
            let longest = longest.max_by_key(|prefix| prefix.digits()).map(|&prefix| ListMatch::Prefix(prefix));
            let expected = if numbers.contains(&number) { Some(ListMatch::Number(number)) } else { longest };
            prop_assert_eq!(list.find(number), expected);
        }
    }
}
