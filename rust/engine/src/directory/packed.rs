//! Numbers packed into text: the form in which a long list travels in an engine document.
//!
//! Ten million numbers are one string there, and never objects of whoever carries it. The bytes are how many numbers there
//! are, then each number's distance from the one before, ascending, as
//! LEB128 (DWARF 5, 7.6) in base64 (RFC 4648, with padding): for mobile numbers of one country between one and two bytes
//! each. Equal sets have equal text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::number::Number;

/// Bits of a LEB128 byte that are the value's.
const GROUP: u32 = 7;
const MORE: u8 = 1 << GROUP;

/// Packs numbers, in any order, repeated or not. `n log n`.
#[must_use]
pub fn pack(mut numbers: Vec<Number>) -> String {
    numbers.sort_unstable();
    numbers.dedup();
    let mut bytes = Vec::with_capacity(numbers.len() * 2 + 10);
    write(&mut bytes, numbers.len() as u64);
    let mut before = 0;
    for number in numbers {
        write(&mut bytes, number.as_u64() - before);
        before = number.as_u64();
    }
    STANDARD.encode(bytes)
}

/// How many numbers are packed, and their bytes; `None` where the text was not made by [`pack`].
///
/// Every number is looked at, so that [`Packed::iter`] can trust what it reads.
#[must_use]
pub fn unpack(text: &str) -> Option<Packed> {
    let bytes = STANDARD.decode(text).ok()?;
    let mut rest = bytes.as_slice();
    let count = usize::try_from(read(&mut rest)?).ok()?;
    let begin = bytes.len() - rest.len();
    let mut before = 0_u64;
    let mut found = 0;
    while !rest.is_empty() {
        let distance = read(&mut rest).filter(|&distance| distance > 0)?;
        before = before.checked_add(distance)?;
        Number::from_u64(before)?;
        found += 1;
    }
    (found == count).then_some(Packed { bytes, begin, count })
}

/// Numbers that were unpacked as far as their bytes.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Vec<u8>,
    begin: usize,
    count: usize,
}

impl Packed {
    /// How many numbers there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The numbers, ascending, each once.
    pub fn iter(&self) -> impl Iterator<Item = Number> {
        let mut rest = self.bytes.get(self.begin..).unwrap_or_default();
        let mut before = 0_u64;
        std::iter::from_fn(move || {
            before = before.checked_add(read(&mut rest)?)?;
            Number::from_u64(before)
        })
    }
}

fn write(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= u64::from(MORE) {
        bytes.push(value as u8 | MORE);
        value >>= GROUP;
    }
    bytes.push(value as u8);
}

/// Takes a value from the front; `None` at the end, and for one that is cut off, too large, or longer than need be.
fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..u64::BITS.div_ceil(GROUP) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let group = u64::from(byte & !MORE);
        value |= group.checked_shl(place * GROUP).filter(|shifted| shifted >> (place * GROUP) == group)?;
        if byte & MORE == 0 {
            return (place == 0 || byte != 0).then_some(value);
        }
    }
    None
}
