//! Telephone numbers: one form inside, whatever was dialled, delivered or typed.
//!
//! A number is E.164 ([ITU-T E.164](https://www.itu.int/rec/T-REC-E.164), at most fifteen digits) or a short internal
//! extension of two to six digits. How a spelling is read, in this order:
//!
//! 1. A name address (`"Anna" <sip:…>`), a `sip:`, `sips:` or `tel:` URI is stripped to its subscriber; parameters are
//!    dropped (RFC 3261, RFC 3966). Spaces, brackets, dots, slashes, dashes and invisible marks are skipped.
//!    Any other character makes the spelling unusable.
//! 2. Digits after `+` are E.164.
//! 3. Two to six digits are an extension, leading zeros kept. Short national numbers need `+`.
//! 4. `00`, or the country's own international prefix (`810`, `011`), stands for `+`.
//! 5. National: the trunk prefix and a national number, else the calling code and a national number, else a national
//!    number alone.
//! 6. Where nothing national fits: a foreign number whose `+` the trunk dropped, if its country is in the table and has
//!    a closed plan, and it has eleven digits or more.
//!
//! A national number fits by its length; see `plan` for the table. A trunk prefix left in after the calling code
//! (`+44 (0)20 …`) is dropped where the number does not fit with it.

mod digits;
mod plan;
mod spelling;

pub use plan::Country;

use std::fmt::{self, Write};

use arrayvec::ArrayString;
use serde::{Serialize, Serializer};
use smol_str::SmolStr;

use digits::{Digits, Lead};
use plan::Plan;
use spelling::Spelling;

/// Most digits of an E.164 number.
const E164_DIGITS: usize = 15;
/// What E.164 digits spell: seven at least, calling code included, in a country without a row in the table.
const E164: std::ops::Range<u64> = 1_000_000..10_u64.pow(E164_DIGITS as u32);
/// Fewest digits of a foreign number that is recognised without `+`.
const UNMARKED_DIGITS_LEAST: usize = 11;
/// Room for the text of a number: `+` and the digits of any integer of the packed form.
const TEXT: usize = 21;
/// Lengths of an internal extension.
const EXTENSION_DIGITS: std::ops::RangeInclusive<usize> = 2..=6;

/// Marks an extension in the packed form; the next byte is its length.
const EXTENSION: u64 = 1 << 63;
const LENGTH_SHIFT: u32 = 56;
const VALUE: u64 = (1 << LENGTH_SHIFT) - 1;

/// A telephone number: E.164, or an internal extension.
///
/// Ordered: E.164 numbers by value, then extensions by length and value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(u64);

impl Number {
    /// Reads a number in any spelling, as a company in `country` would mean it; see the module for the rule.
    ///
    /// `None` is a number withheld or unusable: nothing, a word, a host, too few digits or too many. Never allocates;
    /// time is linear in `raw`.
    #[must_use]
    pub fn parse(raw: &str, country: Country) -> Option<Self> {
        eleven(raw.as_bytes(), country).or_else(|| Self::spelled(raw, country))
    }

    /// Reads a number by the whole rule.
    fn spelled(raw: &str, country: Country) -> Option<Self> {
        let spelling = Spelling::read(raw)?;
        let digits = spelling.digits;
        if spelling.plus {
            return international(digits);
        }
        if EXTENSION_DIGITS.contains(&digits.count()) {
            return Some(Self(EXTENSION | (digits.count() as u64) << LENGTH_SHIFT | digits.value()));
        }
        let plan = country.plan();
        match plan.after_international_prefix(digits) {
            Some(rest) => international(rest),
            None => national(digits, plan).or_else(|| unmarked(digits)),
        }
    }

    /// The number whose E.164 digits, read as an integer, are `digits`; `None` outside 7 to 15 digits.
    #[must_use]
    pub fn from_e164(digits: u64) -> Option<Self> {
        E164.contains(&digits).then_some(Self(digits))
    }

    /// The number packed as [`as_u64`](Self::as_u64) gave it; `None` for any other integer.
    #[must_use]
    pub fn from_u64(packed: u64) -> Option<Self> {
        if packed & EXTENSION == 0 {
            return Self::from_e164(packed);
        }
        let (digits, value) = ((packed ^ EXTENSION) >> LENGTH_SHIFT, packed & VALUE);
        let digits = usize::try_from(digits).ok()?;
        (EXTENSION_DIGITS.contains(&digits) && length(value) <= digits).then_some(Self(packed))
    }

    /// The packed form: the digits of an E.164 number; for an extension the top bit, its length and its value.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The E.164 digits as an integer; `None` for an extension.
    #[must_use]
    pub const fn e164(self) -> Option<u64> {
        if self.is_extension() { None } else { Some(self.0) }
    }

    /// How many digits an extension has, two to six, and their value; `None` for an E.164 number.
    #[must_use]
    pub const fn extension(self) -> Option<(u32, u64)> {
        if self.is_extension() { Some((((self.0 ^ EXTENSION) >> LENGTH_SHIFT) as u32, self.0 & VALUE)) } else { None }
    }

    /// As displayed, in a string that needs no memory of its own.
    #[must_use]
    pub fn text(self) -> SmolStr {
        match self.e164() {
            Some(digits) => plus_text(digits),
            None => {
                let mut text = ArrayString::<TEXT>::new();
                // An extension's six digits have room.
                let _ = write!(text, "{self}");
                SmolStr::new(text)
            }
        }
    }

    /// Whether this is an internal extension.
    #[must_use]
    pub const fn is_extension(self) -> bool {
        self.0 & EXTENSION != 0
    }
}

impl fmt::Display for Number {
    /// `+74951234567`, or the extension's digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.extension() {
            None => write!(f, "+{}", self.0),
            Some((digits, value)) => write!(f, "{value:0width$}", width = digits as usize),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({self})")
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Leading digits of E.164 numbers: one to fifteen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(u64);

impl Prefix {
    /// Reads a prefix as a company in `country` would write it.
    ///
    /// After `+`, or an international prefix, the digits are E.164. Otherwise, in this order:
    ///
    /// 1. Three digits that are an area code there are that area code: in Russia `812` is `+7812` and `495` is `+7495`,
    ///    in Kazakhstan `727` is `+7727`.
    /// 2. A leading calling code is one: `7812` is `+7812`, and in Russia `749` is `+749`.
    /// 3. A leading trunk prefix is one, if an area code can follow: `8812` and `8 (812)` are `+7812`.
    /// 4. Else the digits begin a national number: `4951` is `+74951`; `8121` is `+78121`, as no code begins with 1.
    ///
    /// `None` for anything else: no digits, letters, a trunk or international prefix alone, more digits than a number
    /// has.
    #[must_use]
    pub fn parse(raw: &str, country: Country) -> Option<Self> {
        let spelling = Spelling::read(raw)?;
        let digits = spelling.digits;
        let plan = country.plan();
        if spelling.plus {
            return international_prefix(digits);
        }
        match plan.after_international_prefix(digits) {
            Some(rest) => international_prefix(rest),
            None => national_prefix(digits, plan),
        }
    }

    /// The digits as an integer.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// As displayed, in a string that needs no memory of its own.
    #[must_use]
    pub fn text(self) -> SmolStr {
        plus_text(self.0)
    }

    /// How many digits it has: 1 to 15.
    #[must_use]
    pub fn digits(self) -> u32 {
        length(self.0) as u32
    }

    /// The leading `digits` digits of an E.164 number; `None` for an extension, for no digits and for more than it has.
    #[must_use]
    pub fn of(number: Number, digits: u32) -> Option<Self> {
        let value = number.e164()?;
        let dropped = (length(value) as u32).checked_sub(digits)?;
        (digits > 0).then(|| Self(value / 10_u64.pow(dropped)))
    }

    /// Whether the number begins with these digits; no extension does.
    #[must_use]
    pub fn matches(self, number: Number) -> bool {
        Self::of(number, self.digits()) == Some(self)
    }
}

impl fmt::Display for Prefix {
    /// `+7495`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({self})")
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads what the trunks of Russia and Kazakhstan deliver, nearly always, at once: `+7`, `7` or `8` and ten digits, which
/// are all that their plan asks of a national number. `None` leaves a number to the whole rule, which says the same.
fn eleven(raw: &[u8], country: Country) -> Option<Number> {
    const NATIONAL: usize = 10;
    let (_, national) = raw.split_at_checked(raw.len().checked_sub(NATIONAL)?)?;
    let here = matches!(country, Country::Ru | Country::Kz);
    match raw {
        [b'+', b'7', rest @ ..] if rest.len() == NATIONAL => {}
        [b'7', rest @ ..] if here && rest.len() == NATIONAL => {}
        [b'8', rest @ ..] if here && rest.len() == NATIONAL && !rest.starts_with(b"10") => {}
        _ => return None,
    }
    let (eight, last) = national.split_first_chunk::<8>()?;
    let [tens, units] = *last else { return None };
    let last = (tens.is_ascii_digit() && units.is_ascii_digit()).then(|| (tens - b'0') * 10 + (units - b'0'))?;
    Some(Number((700_000_000 + eight_digits(*eight)?) * 100 + u64::from(last)))
}

/// The integer that eight ASCII digits spell, by pairs, fours and all at once; none where one is no digit.
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    let digits = u64::from_le_bytes(digits);
    // The high half of a digit is 3, and still is with 6 added to the low one.
    let threes = |bytes: u64| bytes & 0xf0f0_f0f0_f0f0_f0f0 == 0x3030_3030_3030_3030;
    if !(threes(digits) && threes(digits.wrapping_add(0x0606_0606_0606_0606))) {
        return None;
    }
    let ones = digits & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff)
}

/// `+` and these digits.
fn plus_text(digits: u64) -> SmolStr {
    let mut text = ArrayString::<TEXT>::new();
    text.push('+');
    text.push_str(itoa::Buffer::new().format(digits));
    SmolStr::new(text)
}

/// Digits with which no E.164 number begins.
const ZERO: Lead = Lead::of("0");

/// Reads digits that begin with a calling code.
fn international(digits: Digits) -> Option<Number> {
    match Plan::of_calling_code(digits) {
        Some((plan, rest)) => after_calling_code(rest, plan),
        None if digits.begin_with(&ZERO) || digits.count() > E164_DIGITS => None,
        None => Number::from_e164(digits.value()),
    }
}

fn national(digits: Digits, plan: &Plan) -> Option<Number> {
    after_trunk(digits, plan)
        .or_else(|| after_calling_code(digits.after(&plan.code)?, plan))
        .or_else(|| plan.fits(digits).then(|| joined(plan, digits)))
}

fn unmarked(digits: Digits) -> Option<Number> {
    let (plan, rest) = Plan::of_calling_code(digits)?;
    (plan.closed && digits.count() >= UNMARKED_DIGITS_LEAST && plan.fits(rest)).then(|| joined(plan, rest))
}

fn after_calling_code(rest: Digits, plan: &Plan) -> Option<Number> {
    plan.fits(rest).then(|| joined(plan, rest)).or_else(|| after_trunk(rest, plan))
}

fn after_trunk(digits: Digits, plan: &Plan) -> Option<Number> {
    let mut rests = plan.trunks.iter().filter_map(|trunk| digits.after(trunk));
    rests.find(|&rest| plan.fits(rest)).map(|rest| joined(plan, rest))
}

fn international_prefix(digits: Digits) -> Option<Prefix> {
    if let Some((plan, rest)) = Plan::of_calling_code(digits) {
        let trunk_left_in = !rest.is_empty() && !plan.may_begin(rest);
        let begins = |left: &Digits| trunk_left_in && (left.is_empty() || plan.may_begin(*left));
        let mut lefts = plan.trunks.iter().filter_map(|trunk| rest.after(trunk));
        let rest = lefts.find(begins).unwrap_or(rest);
        return (rest.count() <= plan.longest()).then(|| Prefix(joined(plan, rest).0));
    }
    let begins = digits.count() <= E164_DIGITS && !digits.is_empty() && !digits.begin_with(&ZERO);
    begins.then(|| Prefix(digits.value()))
}

fn national_prefix(digits: Digits, plan: &Plan) -> Option<Prefix> {
    if plan.trunks.iter().any(|trunk| trunk.is(digits)) && !plan.code.is(digits) {
        return None;
    }
    let begins = |rest: &Digits| rest.count() <= plan.longest() && !rest.is_empty() && plan.may_begin(*rest);
    let rest = if plan.is_area_code(digits) {
        digits
    } else if digits.begin_with(&plan.code) {
        return international_prefix(digits);
    } else {
        let mut rests = plan.trunks.iter().filter_map(|trunk| digits.after(trunk));
        rests.find(begins).or_else(|| Some(digits).filter(begins))?
    };
    Some(Prefix(joined(plan, rest).0))
}

/// The calling code and a national part of at most [`Plan::longest`] digits, together at most fifteen.
fn joined(plan: &Plan, national: Digits) -> Number {
    Number(national.value_after(&plan.code))
}

/// How many decimal digits an integer has; none for 0.
fn length(value: u64) -> usize {
    value.checked_ilog10().map_or(0, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(raw: &str, country: Country) -> Option<String> {
        Prefix::parse(raw, country).map(|prefix| prefix.to_string())
    }

    #[test]
    fn every_spelling_of_a_russian_prefix_is_one_prefix() {
        for raw in ["+7812", "8812", "8 (812)", "7812", "812", "+7 (812)", "007812", "8107812", "8‑812"] {
            assert_eq!(prefix(raw, Country::Ru).as_deref(), Some("+7812"), "{raw}");
        }
        for (raw, expected) in [
            ("495", "+7495"),
            ("4951", "+74951"),
            ("800", "+7800"),
            ("8800", "+7800"),
            ("8121", "+78121"),
            ("8727", "+7727"),
            ("749", "+749"),
            ("79", "+79"),
            ("89", "+79"),
            ("9", "+79"),
            ("7", "+7"),
            ("+375", "+375"),
            ("810375", "+375"),
            ("84951234567", "+74951234567"),
        ] {
            assert_eq!(prefix(raw, Country::Ru).as_deref(), Some(expected), "{raw}");
        }
    }

    #[test]
    fn prefixes_of_other_countries_follow_their_own_trunk() {
        for (raw, country, expected) in [
            ("727", Country::Kz, "+7727"),
            ("8727", Country::Kz, "+7727"),
            ("7727", Country::Kz, "+7727"),
            ("77", Country::Kz, "+77"),
            ("8029", Country::By, "+37529"),
            ("29", Country::By, "+37529"),
            ("37529", Country::By, "+37529"),
            ("+375 (029)", Country::By, "+37529"),
            ("8801", Country::By, "+375801"),
            ("801", Country::By, "+375801"),
            ("802", Country::By, "+3752"),
            ("044", Country::Ua, "+38044"),
            ("44", Country::Ua, "+38044"),
            ("38044", Country::Ua, "+38044"),
            ("030", Country::De, "+4930"),
            ("30", Country::De, "+4930"),
            ("+49 (0) 30", Country::De, "+4930"),
            ("0049", Country::De, "+49"),
            ("49", Country::De, "+49"),
            ("020", Country::Gb, "+4420"),
            ("4420", Country::Gb, "+4420"),
            ("212", Country::Us, "+1212"),
            ("1212", Country::Us, "+1212"),
            ("1", Country::Us, "+1"),
            ("0117495", Country::Us, "+7495"),
        ] {
            assert_eq!(prefix(raw, country).as_deref(), Some(expected), "{raw} in {country:?}");
        }
    }

    #[test]
    fn what_says_nothing_is_no_prefix() {
        for raw in [
            "",
            "+",
            "8",
            "810",
            "00",
            "0",
            "123",
            "abc",
            "+7812x",
            "7812*",
            "+0",
            "+749512345678",
            "+1234567890123456",
        ] {
            assert_eq!(prefix(raw, Country::Ru), None, "{raw}");
        }
        assert_eq!(prefix("0", Country::De), None);
        assert_eq!(prefix("80", Country::By), None);
    }

    #[test]
    fn a_prefix_matches_by_digits_and_never_an_extension() {
        let number = Number::from_e164(74951234567).unwrap();
        let moscow = Prefix::parse("+7495", Country::Ru).unwrap();
        assert!(moscow.matches(number));
        assert!(!Prefix::parse("+7499", Country::Ru).unwrap().matches(number));
        assert!(!moscow.matches(Number::parse("7495", Country::Ru).unwrap()));
        assert_eq!(Prefix::of(number, 0), None);
        assert_eq!(Prefix::of(number, 12), None);
        assert_eq!(moscow.digits(), 4);
    }

    #[test]
    fn extensions_that_differ_in_leading_zeros_differ() {
        let parse = |raw| Number::parse(raw, Country::Ru).unwrap();
        assert_ne!(parse("101"), parse("0101"));
        assert!(parse("101").is_extension());
        assert_eq!(parse("000101").to_string(), "000101");
        assert_eq!(parse("101").e164(), None);
    }

    #[test]
    fn numbers_are_written_to_json_as_displayed() {
        let number = Number::parse("8 (495) 123-45-67", Country::Ru).unwrap();
        assert_eq!(serde_json::to_string(&number).unwrap(), "\"+74951234567\"");
    }

    proptest! {
        #[test]
        fn what_is_read_at_once_is_read_as_by_the_whole_rule(
            raw in r"(\+|)(7|8|810|1|37|00|)[0-9a /:?éж]{0,12}",
            country in proptest::sample::select(&Country::ALL[..]),
        ) {
            if let Some(number) = eleven(raw.as_bytes(), country) {
                prop_assert_eq!(Some(number), Number::spelled(&raw, country));
            }
        }

        #[test]
        fn eleven_digits_are_read_at_once(national in r"[2-9][0-9]{9}") {
            for raw in [format!("+7{national}"), format!("7{national}"), format!("8{national}")] {
                let number = eleven(raw.as_bytes(), Country::Ru);
                prop_assert_eq!(number.map(|number| number.to_string()), Some(format!("+7{national}")));
                prop_assert_eq!(number, Number::spelled(&raw, Country::Ru));
            }
        }
    }

    #[test]
    fn a_trunk_prefix_is_left_out_only_where_an_area_code_can_follow() {
        let parse = |raw| Prefix::parse(raw, Country::Ru).unwrap().to_string();
        assert_eq!(parse("+1 1 212"), "+1212");
        assert_eq!(parse("+111"), "+111");
        assert_eq!(parse("+11"), "+1");
    }

    fn any_country() -> impl Strategy<Value = Country> {
        proptest::sample::select(Country::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn no_text_panics(raw in any::<String>(), country in any_country()) {
            let _ = Number::parse(&raw, country);
            let _ = Prefix::parse(&raw, country);
        }

        #[test]
        fn digits_in_any_dress_never_panic(
            raw in "(<|\"|sip:|tel:|%2B|\\+)?[0-9 ()+%;:@<>\"\\\\-]{0,40}",
            country in any_country(),
        ) {
            let _ = Number::parse(&raw, country);
            let _ = Prefix::parse(&raw, country);
        }

        #[test]
        fn what_is_read_is_a_fixed_point(raw in "\\+?[0-9]{0,20}", from in any_country(), then in any_country()) {
            if let Some(number) = Number::parse(&raw, from) {
                prop_assert_eq!(Number::parse(&number.to_string(), then), Some(number));
                prop_assert_eq!(Number::from_u64(number.as_u64()), Some(number));
                prop_assert!(number.e164().is_none_or(|digits| Number::from_e164(digits) == Some(number)));
            }
            if let Some(prefix) = Prefix::parse(&raw, from) {
                prop_assert_eq!(Prefix::parse(&prefix.to_string(), then), Some(prefix));
            }
        }

        #[test]
        fn only_packed_numbers_unpack(packed in any::<u64>()) {
            if let Some(number) = Number::from_u64(packed) {
                prop_assert_eq!(number.as_u64(), packed);
                prop_assert!(number.to_string().len() <= 16);
            }
        }
    }
}
