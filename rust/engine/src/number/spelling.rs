//! From text to dialled digits: names, URIs and typography away.

/// Most digits a usable spelling has: an international prefix of three and the fifteen of E.164.
const DIGITS: usize = 18;

/// The ASCII digits of a spelling, and whether `+` stood before them.
pub(super) struct Spelling {
    digits: [u8; DIGITS],
    length: usize,
    plus: bool,
}

impl Spelling {
    /// Reads the digits of a number as typed, delivered by a PBX, or in a SIP or telephone URI; `None` if anything else
    /// is in it, if there are no digits, or too many.
    pub(super) fn read(raw: &str) -> Option<Self> {
        Self::bare(raw).or_else(|| Self::dressed(raw))
    }

    /// Reads digits alone, after `+` or not: what trunks deliver.
    fn bare(raw: &str) -> Option<Self> {
        let (plus, given) = match raw.as_bytes() {
            [b'+', given @ ..] => (true, given),
            given => (false, given),
        };
        if given.is_empty() || given.len() > DIGITS {
            return None;
        }
        let mut digits = [0; DIGITS];
        for (digit, place) in given.iter().zip(&mut digits) {
            if !digit.is_ascii_digit() {
                return None;
            }
            *place = *digit;
        }
        Some(Self { digits, length: given.len(), plus })
    }

    /// Reads a number with whatever stands in and around it.
    fn dressed(raw: &str) -> Option<Self> {
        let mut spelling = Self { digits: [0; DIGITS], length: 0, plus: false };
        let mut text = subscriber(address(raw)?)?.chars();
        while let Some(character) = text.next() {
            let character = if character == '%' { escaped(text.next()?, text.next()?)? } else { character };
            match character {
                '0'..='9' => {
                    *spelling.digits.get_mut(spelling.length)? = character as u8;
                    spelling.length += 1;
                }
                '+' | '\u{ff0b}' if spelling.length == 0 && !spelling.plus => spelling.plus = true,
                _ if is_typography(character) => {}
                _ => return None,
            }
        }
        (spelling.length > 0).then_some(spelling)
    }

    pub(super) fn digits(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    pub(super) const fn has_plus(&self) -> bool {
        self.plus
    }
}

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
        '(' | ')' | '-' | '.' | '/' | '~' => true,
        // Hyphens and dashes, the minus signs, full-width brackets and dots.
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' | '\u{ff08}' | '\u{ff09}' => true,
        // Soft hyphen, zero-width characters, marks of direction, byte order mark.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => true,
        _ => character.is_whitespace(),
    }
}
