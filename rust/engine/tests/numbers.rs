//! The table of spellings that `tests/test_numbers.py` reads as well.

use kommutator_engine::number::{Country, Number};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    raw: String,
    country: String,
    expected: Option<String>,
}

#[test]
fn every_spelling_of_the_table_is_read_as_it_says() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../tests/data/numbers.json")).unwrap();
    assert!(cases.len() > 200);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|Case { raw, country, expected }| {
            let read = Number::parse(raw, Country::parse(country).unwrap()).map(|number| number.to_string());
            (read != *expected).then(|| format!("{raw:?} in {country}: {read:?}, not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_country_is_named_by_its_iso_code() {
    for country in Country::ALL {
        assert_eq!(Country::parse(country.code()), Some(country));
    }
    assert_eq!(Country::parse("ru"), Some(Country::Ru));
    for code in ["", "XX", "RUS", "7"] {
        assert_eq!(Country::parse(code), None);
    }
}
