//! National numbering plans, as far as reading a number needs them: codes, prefixes and lengths, no assigned ranges.
//!
//! Sources: ITU-T Operational Bulletin national numbering plans and dialling procedures
//! (<https://www.itu.int/oth/T0202.aspx?parent=T0202>), compared with libphonenumber's metadata by
//! `tests/test_numbers.py`.

use std::ops::RangeInclusive;

use super::digits::{Digits, Lead};

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

/// One country's plan.
pub(super) struct Plan {
    /// Country calling code.
    pub(super) code: Lead,
    /// What is dialled before a national number, longest first.
    pub(super) trunks: &'static [Lead],
    /// What is dialled for `+`, besides `00`, which every country's PBXs understand and no plan uses otherwise.
    international: &'static [Lead],
    /// Lengths of national numbers.
    shapes: &'static [Shape],
    /// Whether a foreigner can tell such a number by its length.
    pub(super) closed: bool,
    /// How area and service codes begin, after a trunk prefix.
    codes: &'static [Lead],
    /// How three digits begin that people write for an area code alone, although a trunk prefix or the calling code
    /// might be seen in them.
    area_codes: &'static [Lead],
}

/// National numbers that begin like this have so many digits.
struct Shape {
    begins: &'static [Lead],
    digits: RangeInclusive<usize>,
}

const AREA_CODE_DIGITS: usize = 3;
const ANY: &[Lead] = &Lead::each([""]);
/// Where the trunk prefix is `0`, no national number begins with it.
const NOT_ZERO: &[Lead] = &Lead::each(["1", "2", "3", "4", "5", "6", "7", "8", "9"]);

const RUSSIA: Plan = Plan {
    code: Lead::of("7"),
    trunks: &Lead::each(["8"]),
    international: &Lead::each(["810"]),
    shapes: &[Shape { begins: ANY, digits: 10..=10 }],
    closed: true,
    codes: &Lead::each(["3", "4", "7", "8", "9"]),
    // Codes on 7 are Kazakhstan's: a Russian who writes `749` means the calling code.
    area_codes: &Lead::each(["3", "4", "8", "9"]),
};

const KAZAKHSTAN: Plan = Plan { area_codes: &Lead::each(["7", "8"]), ..RUSSIA };

const BELARUS: Plan = Plan {
    code: Lead::of("375"),
    // `8`, a second tone, then `0` for an area code; service codes follow the `8` alone.
    trunks: &Lead::each(["80", "8", "0"]),
    international: &Lead::each(["810"]),
    shapes: &[
        Shape { begins: &Lead::each(["1", "2", "3", "4", "5", "6", "7"]), digits: 9..=9 },
        Shape { begins: &Lead::each(["801", "803", "810", "902"]), digits: 10..=10 },
        Shape { begins: &Lead::each(["800"]), digits: 6..=10 },
        Shape { begins: &Lead::each(["820"]), digits: 11..=11 },
    ],
    closed: true,
    codes: &Lead::each(["1", "2", "33", "44", "800", "801", "803", "810", "820", "902"]),
    area_codes: &Lead::each(["800", "801", "803", "810", "820", "902"]),
};

const UKRAINE: Plan = Plan {
    code: Lead::of("380"),
    trunks: &Lead::each(["0"]),
    international: &[],
    shapes: &[
        Shape { begins: NOT_ZERO, digits: 9..=9 },
        Shape { begins: &Lead::each(["800", "900"]), digits: 10..=10 },
    ],
    closed: true,
    codes: &Lead::each(["3", "4", "5", "6", "7", "8", "9"]),
    area_codes: &[],
};

const GERMANY: Plan = Plan {
    code: Lead::of("49"),
    trunks: &Lead::each(["0"]),
    international: &[],
    // An open plan: area codes of two to five digits, subscriber numbers of any length that E.164 leaves room for.
    shapes: &[Shape { begins: NOT_ZERO, digits: 5..=13 }],
    closed: false,
    codes: NOT_ZERO,
    area_codes: &[],
};

const BRITAIN: Plan = Plan {
    code: Lead::of("44"),
    trunks: &Lead::each(["0"]),
    international: &[],
    shapes: &[
        Shape { begins: NOT_ZERO, digits: 10..=10 },
        Shape { begins: &Lead::each(["1", "800"]), digits: 9..=9 },
        Shape { begins: &Lead::each(["8001111", "845464"]), digits: 7..=7 },
    ],
    closed: true,
    codes: &Lead::each(["1", "2", "3", "5", "7", "8", "9"]),
    area_codes: &[],
};

const NORTH_AMERICA: Plan = Plan {
    code: Lead::of("1"),
    trunks: &Lead::each(["1"]),
    international: &Lead::each(["011"]),
    shapes: &[Shape { begins: &Lead::each(["2", "3", "4", "5", "6", "7", "8", "9"]), digits: 10..=10 }],
    closed: true,
    codes: &Lead::each(["2", "3", "4", "5", "6", "7", "8", "9"]),
    area_codes: &[],
};

impl Plan {
    /// The plan that a calling code at the front names, and what follows it. Calling codes are free of prefixes.
    pub(super) fn of_calling_code(digits: Digits) -> Option<(&'static Self, Digits)> {
        Country::ALL.into_iter().find_map(|country| {
            let plan = country.plan();
            digits.after(&plan.code).map(|rest| (plan, rest))
        })
    }

    /// What follows the international prefix, if there is one.
    pub(super) fn after_international_prefix(&self, digits: Digits) -> Option<Digits> {
        const ZEROS: Lead = Lead::of("00");
        digits.after(&ZEROS).or_else(|| self.international.iter().find_map(|prefix| digits.after(prefix)))
    }

    /// Whether these digits can be a whole national number.
    pub(super) fn fits(&self, national: Digits) -> bool {
        let mut shapes = self.shapes.iter();
        shapes.any(|shape| {
            shape.digits.contains(&national.count()) && shape.begins.iter().any(|begin| national.begin_with(begin))
        })
    }

    /// Whether a national number with an assigned kind of code can begin so.
    pub(super) fn may_begin(&self, national: Digits) -> bool {
        self.codes.iter().any(|code| national.could_begin_with(code))
    }

    /// Whether these digits are an area code written alone.
    pub(super) fn is_area_code(&self, digits: Digits) -> bool {
        digits.count() == AREA_CODE_DIGITS && self.area_codes.iter().any(|code| digits.could_begin_with(code))
    }

    /// Most digits of a national number.
    pub(super) fn longest(&self) -> usize {
        self.shapes.iter().map(|shape| *shape.digits.end()).max().unwrap_or(0)
    }
}
