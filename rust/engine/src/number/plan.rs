//! National numbering plans, as far as reading a number needs them: codes, prefixes and lengths, no assigned ranges.
//!
//! Sources: ITU-T Operational Bulletin national numbering plans and dialling procedures
//! (<https://www.itu.int/oth/T0202.aspx?parent=T0202>), compared with libphonenumber's metadata by
//! `tests/test_numbers.py`.

use std::ops::RangeInclusive;

/// A country whose national spellings can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Country {
    /// Russia.
    Ru,
    /// Kazakhstan.
    Kz,
    /// Belarus.
    By,
    /// Ukraine.
    Ua,
    /// Germany.
    De,
    /// The United Kingdom.
    Gb,
    /// The United States, and whoever shares the North American plan.
    Us,
}

impl Country {
    /// Every country of the table.
    pub const ALL: [Self; 7] = [Self::Ru, Self::Kz, Self::By, Self::Ua, Self::De, Self::Gb, Self::Us];

    /// The country with this ISO 3166-1 alpha-2 code, in either case; `None` if the table has no row for it.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|country| country.code().eq_ignore_ascii_case(code))
    }

    /// ISO 3166-1 alpha-2 code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ru => "RU",
            Self::Kz => "KZ",
            Self::By => "BY",
            Self::Ua => "UA",
            Self::De => "DE",
            Self::Gb => "GB",
            Self::Us => "US",
        }
    }

    pub(super) const fn plan(self) -> &'static Plan {
        match self {
            Self::Ru => &RUSSIA,
            Self::Kz => &KAZAKHSTAN,
            Self::By => &BELARUS,
            Self::Ua => &UKRAINE,
            Self::De => &GERMANY,
            Self::Gb => &BRITAIN,
            Self::Us => &NORTH_AMERICA,
        }
    }
}

/// One country's plan. Digits are ASCII.
pub(super) struct Plan {
    /// Country calling code.
    pub(super) code: &'static [u8],
    /// What is dialled before a national number, longest first.
    pub(super) trunks: &'static [&'static [u8]],
    /// What is dialled for `+`, besides `00`, which every country's PBXs understand and no plan uses otherwise.
    international: &'static [&'static [u8]],
    /// Lengths of national numbers.
    shapes: &'static [Shape],
    /// Whether a foreigner can tell such a number by its length.
    pub(super) closed: bool,
    /// How area and service codes begin, after a trunk prefix.
    codes: &'static [&'static [u8]],
    /// How three digits begin that people write for an area code alone, although a trunk prefix or the calling code
    /// might be seen in them.
    area_codes: &'static [&'static [u8]],
}

/// National numbers that begin like this have so many digits.
struct Shape {
    begins: &'static [&'static [u8]],
    digits: RangeInclusive<usize>,
}

const AREA_CODE_DIGITS: usize = 3;
const ANY: &[&[u8]] = &[b""];
/// Where the trunk prefix is `0`, no national number begins with it.
const NOT_ZERO: &[&[u8]] = &[b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"];

const RUSSIA: Plan = Plan {
    code: b"7",
    trunks: &[b"8"],
    international: &[b"810"],
    shapes: &[Shape { begins: ANY, digits: 10..=10 }],
    closed: true,
    codes: &[b"3", b"4", b"7", b"8", b"9"],
    // Codes on 7 are Kazakhstan's: a Russian who writes `749` means the calling code.
    area_codes: &[b"3", b"4", b"8", b"9"],
};

const KAZAKHSTAN: Plan = Plan { area_codes: &[b"7", b"8"], ..RUSSIA };

const BELARUS: Plan = Plan {
    code: b"375",
    // `8`, a second tone, then `0` for an area code; service codes follow the `8` alone.
    trunks: &[b"80", b"8", b"0"],
    international: &[b"810"],
    shapes: &[
        Shape { begins: &[b"1", b"2", b"3", b"4", b"5", b"6", b"7"], digits: 9..=9 },
        Shape { begins: &[b"801", b"803", b"810", b"902"], digits: 10..=10 },
        Shape { begins: &[b"800"], digits: 6..=10 },
        Shape { begins: &[b"820"], digits: 11..=11 },
    ],
    closed: true,
    codes: &[b"1", b"2", b"33", b"44", b"800", b"801", b"803", b"810", b"820", b"902"],
    area_codes: &[b"800", b"801", b"803", b"810", b"820", b"902"],
};

const UKRAINE: Plan = Plan {
    code: b"380",
    trunks: &[b"0"],
    international: &[],
    shapes: &[Shape { begins: NOT_ZERO, digits: 9..=9 }, Shape { begins: &[b"800", b"900"], digits: 10..=10 }],
    closed: true,
    codes: &[b"3", b"4", b"5", b"6", b"7", b"8", b"9"],
    area_codes: &[],
};

const GERMANY: Plan = Plan {
    code: b"49",
    trunks: &[b"0"],
    international: &[],
    // An open plan: area codes of two to five digits, subscriber numbers of any length that E.164 leaves room for.
    shapes: &[Shape { begins: NOT_ZERO, digits: 5..=13 }],
    closed: false,
    codes: NOT_ZERO,
    area_codes: &[],
};

const BRITAIN: Plan = Plan {
    code: b"44",
    trunks: &[b"0"],
    international: &[],
    shapes: &[
        Shape { begins: NOT_ZERO, digits: 10..=10 },
        Shape { begins: &[b"1", b"800"], digits: 9..=9 },
        Shape { begins: &[b"8001111", b"845464"], digits: 7..=7 },
    ],
    closed: true,
    codes: &[b"1", b"2", b"3", b"5", b"7", b"8", b"9"],
    area_codes: &[],
};

const NORTH_AMERICA: Plan = Plan {
    code: b"1",
    trunks: &[b"1"],
    international: &[b"011"],
    shapes: &[Shape { begins: &[b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"], digits: 10..=10 }],
    closed: true,
    codes: &[b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"],
    area_codes: &[],
};

impl Plan {
    /// The plan that a calling code at the front names, and what follows it. Calling codes are free of prefixes.
    pub(super) fn of_calling_code(digits: &[u8]) -> Option<(&'static Self, &[u8])> {
        Country::ALL.into_iter().find_map(|country| {
            let plan = country.plan();
            after(digits, plan.code).map(|rest| (plan, rest))
        })
    }

    /// What follows the international prefix, if there is one.
    pub(super) fn after_international_prefix<'a>(&self, digits: &'a [u8]) -> Option<&'a [u8]> {
        after(digits, b"00").or_else(|| self.international.iter().find_map(|prefix| after(digits, prefix)))
    }

    /// Whether these digits can be a whole national number.
    pub(super) fn fits(&self, national: &[u8]) -> bool {
        let mut shapes = self.shapes.iter();
        shapes.any(|shape| {
            shape.digits.contains(&national.len()) && shape.begins.iter().any(|begin| after(national, begin).is_some())
        })
    }

    /// Whether a national number with an assigned kind of code can begin so.
    pub(super) fn may_begin(&self, national: &[u8]) -> bool {
        begins_like(national, self.codes)
    }

    /// Whether these digits are an area code written alone.
    pub(super) fn is_area_code(&self, digits: &[u8]) -> bool {
        digits.len() == AREA_CODE_DIGITS && begins_like(digits, self.area_codes)
    }

    /// Most digits of a national number.
    pub(super) fn longest(&self) -> usize {
        self.shapes.iter().map(|shape| *shape.digits.end()).max().unwrap_or(0)
    }
}

/// What follows a prefix of a few digits, which a library's comparison of memory would take longer to compare.
#[inline]
pub(super) fn after<'a>(digits: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = digits.split_at_checked(prefix.len())?;
    front.iter().zip(prefix).all(|(digit, expected)| digit == expected).then_some(rest)
}

fn begins_like(digits: &[u8], codes: &[&[u8]]) -> bool {
    codes.iter().any(|code| digits.starts_with(code) || code.starts_with(digits))
}
