//! From text to dialled digits: names, URIs and typography away.

use super::digits::{Digits, FRONT_DIGITS};

/// The digits of a spelling, and whether `+` stood before them.
pub(super) struct Spelling {
    pub(super) digits: Digits,
    pub(super) plus: bool,
}

impl Spelling {
    /// Reads the digits of a number as typed, delivered by a PBX, or in a SIP or telephone URI; `None` if anything else
    /// is in it, if there are no digits, or too many.
    pub(super) fn read(raw: &str) -> Option<Self> {
        Self::plain(raw).or_else(|| Self::dressed(raw))
    }

    /// Reads at most [`FRONT_DIGITS`] digits with marks of ASCII between them, after `+` or not: what trunks deliver and people
    /// type. Each byte costs the same, whatever it is.
    fn plain(raw: &str) -> Option<Self> {
        let (plus, given) = match raw.as_bytes() {
            [b'+', given @ ..] => (true, given),
            given => (false, given),
        };
        if given.len() > PLAIN_BYTES {
            return None;
        }
        let (mut packed, mut classes) = (0_u64, 0_u32);
        for &byte in given {
            let class = CLASSES[usize::from(byte)];
            packed = packed.wrapping_shl(class >> SHIFT) | u64::from(class & DIGIT);
            classes += class;
        }
        let (count, others) = (classes / A_DIGIT % OTHER_THAN_DIGITS, classes / AN_OTHER);
        let usable = others == 0 && (1..=FRONT_DIGITS).contains(&count);
        usable.then(|| Self { digits: Digits::packed(packed, count), plus })
    }

    /// Reads a number with whatever stands in and around it.
    fn dressed(raw: &str) -> Option<Self> {
        let (mut digits, mut plus) = (Digits::default(), false);
        let mut text = subscriber(address(raw)?)?.chars();
        while let Some(character) = text.next() {
            let character = if character == '%' { escaped(text.next()?, text.next()?)? } else { character };
            match character {
                '0'..='9' => digits = digits.and(character as u8 - b'0')?,
                '+' | '\u{ff0b}' if digits.is_empty() && !plus => plus = true,
                _ if is_typography(character) => {}
                _ => return None,
            }
        }
        (!digits.is_empty()).then_some(Self { digits, plus })
    }
}

/// Most bytes of a plain spelling: the sums of so many classes do not run into each other.
const PLAIN_BYTES: usize = 40;
/// What a byte means among digits: a digit its value, how many bits it takes, and one that counts digits; anything but
/// digits and marks one that counts such; a mark nothing.
const CLASSES: [u32; 256] = {
    let mut classes = [AN_OTHER; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_digit() {
            classes[byte] = A_DIGIT | 4 << SHIFT | (byte as u32 - b'0' as u32);
        } else if is_ascii_typography(byte as u8) {
            classes[byte] = 0;
        }
        byte += 1;
    }
    classes
};
/// The value.
const DIGIT: u32 = 0x0f;
/// The bits stand from here on; of a shift the lowest six count, which nothing else reaches.
const SHIFT: u32 = 9;
const A_DIGIT: u32 = 1 << 18;
const AN_OTHER: u32 = 1 << 25;
const OTHER_THAN_DIGITS: u32 = AN_OTHER / A_DIGIT;
const _: () = assert!(PLAIN_BYTES * (9 | 4 << SHIFT) < A_DIGIT as usize && PLAIN_BYTES < OTHER_THAN_DIGITS as usize);

/// What stands in the angle brackets of a name address, or the whole text without them.
fn address(raw: &str) -> Option<&str> {
    let text = raw.trim();
    let text = match text.strip_prefix('"') {
        Some(name) => after_quote(name)?,
        None => text,
    };
    match text.split_once('<') {
        Some((_, bracketed)) => bracketed.split_once('>').map(|(inside, _)| inside.trim()),
        None => Some(text.trim()),
    }
}

/// What follows the quote that ends a quoted string, in which a backslash escapes (RFC 3261, 25.1).
fn after_quote(name: &str) -> Option<&str> {
    let mut escaped = false;
    let end = name.find(|character| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    })?;
    name.get(end + 1..)
}

/// The user of a `sip:` or `sips:` URI, the number of a `tel:` URI, or the text itself where there is no scheme.
fn subscriber(address: &str) -> Option<&str> {
    let Some((scheme, rest)) = address.split_once(':') else {
        return Some(address);
    };
    if scheme.eq_ignore_ascii_case("tel") {
        return rest.split(';').next();
    }
    if !scheme.eq_ignore_ascii_case("sip") && !scheme.eq_ignore_ascii_case("sips") {
        return None;
    }
    match rest.split_once('@') {
        Some((user, _)) => user.split([';', ':']).next(),
        // Strictly a host stands here, but none is made of digits alone; an address or a port is no number.
        None => rest.split([';', '?']).next().filter(|host| !host.contains(['.', ':', '['])),
    }
}

/// The character of a percent escape.
fn escaped(high: char, low: char) -> Option<char> {
    char::from_u32(high.to_digit(16)? << 4 | low.to_digit(16)?)
}

/// Marks with which people and programs set numbers, or leave around them when copying.
fn is_typography(character: char) -> bool {
    match character {
        '\0'..='\x7f' => is_ascii_typography(character as u8),
        // Hyphens and dashes, the minus signs, full-width brackets and dots.
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' | '\u{ff08}' | '\u{ff09}' => true,
        // Soft hyphen, zero-width characters, marks of direction, byte order mark.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => true,
        _ => character.is_whitespace(),
    }
}

const fn is_ascii_typography(byte: u8) -> bool {
    // As `char::is_whitespace`.
    matches!(byte, b'(' | b')' | b'-' | b'.' | b'/' | b'~' | b' ' | b'\t'..=b'\r')
}
