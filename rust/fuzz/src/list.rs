//! The file of a list, and lists packed into text.

use kommutator_engine::directory::{ListFile, pack, unpack};
use kommutator_engine::number::{Country, Number};

/// The first byte chooses the country; the rest is the file, and a packed text besides.
pub fn run(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    packed(&text);
    let countries = ["RU", "KZ", "BY", "UA", "DE", "GB", "US"];
    let code = countries[usize::from(first) % countries.len()];
    let country = Country::parse(code).expect("a country that is known");
    let Ok(file) = ListFile::read(&text, country) else { return };
    assert!(file.bad.len() <= file.bad_count);
    for number in &file.numbers {
        let written = number.to_string();
        assert_eq!(Number::parse(&written, country), Some(*number), "{written} reads as itself");
    }
    let mut sorted = file.numbers.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let packed = unpack(&file.packed()).expect("what was packed can be unpacked");
    assert_eq!(packed.len(), sorted.len());
    assert_eq!(packed.iter().collect::<Vec<_>>(), sorted);
}

/// A text that unpacks is the one text of its numbers.
fn packed(text: &str) {
    let Some(packed) = unpack(text) else { return };
    let numbers: Vec<Number> = packed.iter().collect();
    assert_eq!(numbers.len(), packed.len());
    assert!(numbers.is_sorted_by(|one, next| one < next));
    assert_eq!(pack(numbers), text);
}
