//! Sets of numbers, their packed form and their files against plain models.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use kommutator_engine::company::{Document, compile_beside};
use kommutator_engine::directory::{
    BAD_ROWS_NAMED, LIST_CHANGES, List, ListChanges, ListFile, ListFiles, ListMatch, Lists, LongCell, NumberSet, pack,
    unpack,
};
use kommutator_engine::number::{Country, Number, Prefix};
use proptest::collection::vec;
use proptest::prelude::*;

fn number(raw: &str) -> Number {
    Number::parse(raw, Country::Ru).unwrap()
}

fn e164(digits: u64) -> Number {
    Number::from_e164(digits).unwrap()
}

/// Numbers of every length, extensions with and without leading zeros among them, that meet often.
fn any_number() -> impl Strategy<Value = Number> {
    prop_oneof![
        3 => (7_u32..=15, 0_u64..6, 0_u64..4).prop_map(|(digits, low, high)| {
            e164(10_u64.pow(digits - 1) * (1 + high * 2) + low)
        }),
        2 => (2_usize..=6, 0_u64..12).prop_map(|(digits, value)| number(&format!("{value:0digits$}"))),
        1 => (1_000_000_u64..1_000_000_000_000_000).prop_map(e164),
        1 => (79_160_000_000_u64..79_160_000_020).prop_map(e164),
    ]
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    (any_number(), 1_u32..=15).prop_filter_map("longer than the number", |(number, digits)| Prefix::of(number, digits))
}

/// What a list says, entry by entry.
fn scanned(numbers: &[Number], prefixes: &[Prefix], asked: Number) -> Option<ListMatch> {
    if numbers.contains(&asked) {
        return Some(ListMatch::Number(asked));
    }
    let begins = prefixes.iter().filter(|prefix| prefix.matches(asked));
    begins.max_by_key(|prefix| prefix.digits()).map(|&prefix| ListMatch::Prefix(prefix))
}

/// Enough numbers for lines of remainders: every third from the first on, so that who belongs is known without a model.
#[test]
fn millions_of_numbers_are_found_and_their_neighbours_are_not() {
    const FIRST: u64 = 79_000_000_000;
    const COUNT: u64 = 4_000_000;
    let every_third = || (0..COUNT).map(|nth| e164(FIRST + nth * 3));
    let repeated = every_third().chain(every_third().step_by(7)).chain([number("101")]);
    let set = NumberSet::new(repeated, COUNT as usize);
    assert_eq!(set.len() as u64, COUNT + 1);
    assert!(set.bytes() as u64 <= COUNT * 9, "{} bytes", set.bytes());
    for digits in (FIRST - 3..FIRST + COUNT * 3 + 3).step_by(7) {
        let belongs = (FIRST..FIRST + COUNT * 3).contains(&digits) && (digits - FIRST).is_multiple_of(3);
        assert_eq!(set.has(e164(digits)), belongs, "{digits}");
    }
    assert!(set.has(number("101")) && !set.has(number("0101")) && !set.has(number("102")));
}

#[test]
fn a_set_says_how_large_it_is() {
    let set = NumberSet::new((0..90_000).map(|nth| e164(79_000_000_000 + nth)), 90_000);
    assert_eq!((set.len(), set.is_empty()), (90_000, false));
    assert!((720_000..=810_100).contains(&set.bytes()), "{} bytes", set.bytes());
    let empty = NumberSet::new(std::iter::empty(), 0);
    assert_eq!((empty.len(), empty.bytes(), empty.has(number("101"))), (0, 0, false));
}

#[test]
fn a_guess_of_the_size_that_is_wrong_loses_nothing() {
    let numbers = || (0..200_000).map(|nth| e164(79_000_000_000 + nth * 11));
    for about in [0, 8_000_000] {
        let set = NumberSet::new(numbers(), about);
        assert_eq!(set.len(), 200_000);
        assert!(numbers().all(|number| set.has(number)));
        assert!(!numbers().any(|number| set.has(e164(number.as_u64() + 5))));
    }
}

#[test]
fn what_was_not_packed_is_not_unpacked() {
    let packed = pack(vec![number("101"), e164(79161230001), e164(79161230002), number("101")]);
    let unpacked = unpack(&packed).unwrap();
    assert_eq!(unpacked.iter().collect::<Vec<_>>(), [e164(79161230001), e164(79161230002), number("101")]);
    assert_eq!((unpacked.len(), unpacked.is_empty()), (3, false));
    assert!(unpack(&pack(vec![])).unwrap().is_empty());
    // Nothing at all; no base64; too few numbers; one that is none; one twice; one cut off; one longer than need be.
    for wrong in ["", "?", "AQ==", "AQU=", "AoCt4gQA", "AYA=", "AYCt4oQA"] {
        assert!(unpack(wrong).is_none(), "{wrong}");
    }
}

fn read(text: &str) -> ListFile {
    ListFile::read(text, Country::Ru).unwrap()
}

#[test]
fn numbers_stand_in_the_column_that_says_so_or_in_the_first() {
    for (text, numbers, bad) in [
        ("89161230011\n+7 (916) 123-00-12\n", vec!["+79161230011", "+79161230012"], vec![]),
        ("Клиент;Телефон\nООО «Ромашка»;89161230011\n", vec!["+79161230011"], vec![]),
        ("номер\n\n89161230011", vec!["+79161230011"], vec![]),
        ("\n \n NUMBER \n101\n", vec!["101"], vec![]),
        ("name,phone,note\nA,89161230011,x\nB,,y\nC,nonsense,z\nD\n", vec!["+79161230011"], vec![(4, "nonsense")]),
        ("a\tphone\nb\t1\n", vec![], vec![(2, "1")]),
        ("phone;note\n1;\"two\nlines\"\n2;x\n", vec![], vec![(2, "1"), (4, "2")]),
        ("89161230011\r\n\r\n101\r\n", vec!["+79161230011", "101"], vec![]),
        ("101\r102\rx\r", vec!["101", "102"], vec![(3, "x")]),
        (
            "name;phone\n\"a \"\"b\"\" c\"d;\"101\"\n\"x\r\ny\";\"102\"\nz;no\"ne\n",
            vec!["101", "102"],
            vec![(5, "no\"ne")],
        ),
        ("phone\n\"101\nx", vec![], vec![(2, "101\nx")]),
        ("", vec![], vec![]),
    ] {
        let file = read(text);
        assert_eq!(file.numbers.iter().map(ToString::to_string).collect::<Vec<_>>(), numbers, "{text:?}");
        let named: Vec<_> = file.bad.iter().map(|(line, cell)| (*line, cell.as_str())).collect();
        assert_eq!(named, bad, "{text:?}");
        assert_eq!(file.bad_count, bad.len());
    }
}

#[test]
fn rows_without_a_number_are_named_up_to_a_bound_and_counted() {
    let file = read(&"none\n".repeat(BAD_ROWS_NAMED + 50).replacen("none", "1", 1));
    assert_eq!((file.bad.len(), file.bad_count), (BAD_ROWS_NAMED, BAD_ROWS_NAMED + 50));
    assert_eq!(file.bad[99], (100, "none".to_owned()));
    let long = format!("101\n{}\n", "я".repeat(1_001));
    assert_eq!(ListFile::read(&long, Country::Ru), Err(LongCell { line: 2 }));
}

#[test]
fn versions_with_the_same_file_share_its_numbers() {
    let (one, other) = (pack(vec![number("101"), number("102")]), pack(vec![number("101"), number("103")]));
    let mut known = ListFiles::default();
    let first = known.get(&one).unwrap();
    known.add(&Lists::new(vec![List::default(), List::default().with_file(first.clone())]));
    let shared = |packed: &str| Arc::ptr_eq(known.get(packed).unwrap().numbers(), first.numbers());
    assert!(shared(&one));
    assert!(!shared(&other));
    assert!(known.get("damaged").is_none());
}

#[test]
fn a_document_carries_the_numbers_of_a_long_file_packed() {
    let written = |packed: &str| -> Document {
        let list = serde_json::json!({"numbers": ["+79161230001"], "packed": packed});
        serde_json::from_value(serde_json::json!({"lists": {"vip": list}})).unwrap()
    };
    let compiled = compile_beside(&written(&pack(vec![number("101")])), &ListFiles::default());
    let find = |raw| compiled.company.lists.find(0, number(raw));
    assert_eq!(find("101"), Some(ListMatch::Number(number("101"))));
    assert_eq!(find("89161230001"), Some(ListMatch::Number(number("+79161230001"))));
    assert_eq!(find("102"), None);
    let damaged = compile_beside(&written("AQ=="), &ListFiles::default());
    assert!(damaged.findings.iter().any(|finding| finding.at == ["lists", "vip", "packed"]), "{:?}", damaged.findings);
}

#[test]
fn changes_of_lists_are_bounded_and_one_can_always_be_taken_back() {
    let mut changes = ListChanges::default();
    assert!(changes.is_empty());
    for nth in 0..LIST_CHANGES as u64 {
        assert!(changes.set(if nth % 2 == 0 { "vip" } else { "blocked" }, e164(79_000_000_000 + nth), true));
    }
    assert!(!changes.set("vip", e164(78_000_000_000), true));
    assert_eq!(changes.get("vip", e164(78_000_000_000)), None);
    assert!(changes.set("vip", e164(79_000_000_000), false));
    assert_eq!(changes.get("vip", e164(79_000_000_000)), Some(false));
    assert_eq!(changes.get("blocked", e164(79_000_000_000)), None);
    assert_eq!(changes.len(), LIST_CHANGES);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_list_agrees_with_a_scan_of_its_entries(
        numbers in vec(any_number(), 0..40),
        filed in vec(any_number(), 0..40),
        prefixes in vec(any_prefix(), 0..12),
        asked in vec(any_number(), 40),
    ) {
        let file = ListFiles::default().get(&pack(filed.clone())).unwrap();
        let list = List::new(numbers.clone(), prefixes.clone()).with_file(file);
        let all: Vec<Number> = numbers.iter().chain(&filed).copied().collect();
        for &asked in asked.iter().chain(&all) {
            prop_assert_eq!(list.find(asked), scanned(&all, &prefixes, asked), "{}", asked);
        }
    }

    #[test]
    fn changes_agree_with_the_last_word_on_each_number(
        told in vec((prop_oneof!["a", "b"], any_number(), any::<bool>()), 0..60),
        asked in vec(any_number(), 20),
    ) {
        let mut changes = ListChanges::default();
        for (list, number, listed) in &told {
            prop_assert!(changes.set(list, *number, *listed));
        }
        for number in asked.iter().chain(told.iter().map(|(_, number, _)| number)) {
            for list in ["a", "b"] {
                let last = told.iter().rev().find(|(id, known, _)| id == list && known == number);
                prop_assert_eq!(changes.get(list, *number), last.map(|&(.., listed)| listed));
            }
        }
    }

    #[test]
    fn what_is_packed_is_unpacked(numbers in vec(any_number(), 0..80)) {
        let expected: Vec<Number> = numbers.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let packed = pack(numbers.clone());
        prop_assert_eq!(unpack(&packed).unwrap().iter().collect::<Vec<_>>(), expected);
        prop_assert_eq!(pack(numbers.into_iter().rev().collect()), packed);
    }

    #[test]
    fn any_text_unpacks_to_packed_numbers_or_to_nothing(text in "[A-Za-z0-9+/]{0,24}={0,2}") {
        if let Some(unpacked) = unpack(&text) {
            prop_assert_eq!(unpacked.iter().count(), unpacked.len());
            prop_assert_eq!(pack(unpacked.iter().collect()), text);
        }
    }

    #[test]
    fn no_text_of_a_file_panics(text in any::<String>(), dressed in "[0-9a;,\"\n\r ]{0,60}") {
        let _ = ListFile::read(&text, Country::Ru);
        let _ = ListFile::read(&dressed, Country::Ru);
    }

    #[test]
    fn quotation_marks_around_every_cell_change_nothing(rows in vec(vec("[0-9+ ]{0,12}", 2..3), 1..12)) {
        let plain: String = rows.iter().map(|row| row.join(";") + "\n").collect();
        let quoted: String = rows.iter().map(|row| format!("\"{}\"\n", row.join("\";\""))).collect();
        prop_assert_eq!(read(&plain), read(&quoted));
    }
}
