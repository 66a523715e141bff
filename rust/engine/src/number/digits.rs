//! Digits as dialled, packed: a prefix is found by one comparison and dropped by one subtraction, however long it is.

/// Most digits a usable spelling has: an international prefix of three and the fifteen of E.164.
pub(super) const DIGITS: u32 = 18;
/// How many of them can be compared with a prefix.
pub(super) const FRONT_DIGITS: u32 = 16;
const DIGIT_BITS: u32 = 4;

const POWERS_OF_TEN: [u64; DIGITS as usize + 1] = {
    let mut powers = [1; DIGITS as usize + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// At most eighteen digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digits {
    /// The first sixteen, each in four bits, the first on top; zeros after the last. Of what followed a prefix, as many fewer:
    /// all prefixes of a number together have far fewer.
    front: u64,
    /// All of them, as an integer.
    value: u64,
    count: u32,
}

/// Digits with which others may begin: at most [`FRONT_DIGITS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lead {
    digits: Digits,
    mask: u64,
}

impl Digits {
    /// At most [`FRONT_DIGITS`] digits, each in four bits, the last in the lowest.
    pub(super) const fn packed(packed: u64, count: u32) -> Self {
        let front = match packed.checked_shl((FRONT_DIGITS - count) * DIGIT_BITS) {
            Some(front) => front,
            None => 0,
        };
        // By pairs, fours, eights and all at once.
        let pairs = (packed & 0x0f0f_0f0f_0f0f_0f0f) + 10 * (packed >> 4 & 0x0f0f_0f0f_0f0f_0f0f);
        let fours = (pairs & 0x00ff_00ff_00ff_00ff) + 100 * (pairs >> 8 & 0x00ff_00ff_00ff_00ff);
        let eights = (fours & 0x0000_ffff_0000_ffff) + 10_000 * (fours >> 16 & 0x0000_ffff_0000_ffff);
        let value = (eights & 0xffff_ffff) + 100_000_000 * (eights >> 32);
        Self { front, value, count }
    }

    /// One digit more; none where there is no room.
    pub(super) const fn and(self, digit: u8) -> Option<Self> {
        if self.count >= DIGITS {
            return None;
        }
        let digit = digit as u64;
        let front = match FRONT_DIGITS.checked_sub(self.count + 1) {
            Some(after) => self.front | digit << (after * DIGIT_BITS),
            None => self.front,
        };
        Some(Self { front, value: self.value * 10 + digit, count: self.count + 1 })
    }

    /// How many there are.
    pub(super) const fn count(self) -> usize {
        self.count as usize
    }

    /// The integer that they spell.
    pub(super) const fn value(self) -> u64 {
        self.value
    }

    pub(super) const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Whether they begin so.
    pub(super) const fn begin_with(self, lead: &Lead) -> bool {
        self.front & lead.mask == lead.digits.front && self.count >= lead.digits.count
    }

    /// What follows these digits at the front.
    pub(super) const fn after(self, lead: &Lead) -> Option<Self> {
        if !self.begin_with(lead) {
            return None;
        }
        let count = self.count - lead.digits.count;
        let value = self.value - lead.digits.value * POWERS_OF_TEN[count as usize];
        // A lead has fewer digits than there are bits for.
        Some(Self { front: self.front << (lead.digits.count * DIGIT_BITS), value, count })
    }

    /// The integer that `lead` and these digits spell, at most eighteen together.
    pub(super) const fn value_after(self, lead: &Lead) -> u64 {
        lead.digits.value * POWERS_OF_TEN[self.count as usize] + self.value
    }

    /// Whether some digits that begin like `lead` begin with these.
    pub(super) const fn could_begin_with(self, lead: &Lead) -> bool {
        (self.front ^ lead.digits.front) & lead.mask & mask(self.count) == 0
    }
}

impl Lead {
    /// The digits of a text that has nothing else, fewer than [`FRONT_DIGITS`].
    pub(super) const fn of(text: &str) -> Self {
        let (text, mut digits, mut at) = (text.as_bytes(), Digits { front: 0, value: 0, count: 0 }, 0);
        while at < text.len() {
            if let Some(more) = digits.and(text[at] - b'0') {
                digits = more;
            }
            at += 1;
        }
        Self { digits, mask: mask(digits.count) }
    }

    /// Each of these.
    pub(super) const fn each<const N: usize>(texts: [&str; N]) -> [Self; N] {
        let mut leads = [Self::of(""); N];
        let mut at = 0;
        while at < N {
            leads[at] = Self::of(texts[at]);
            at += 1;
        }
        leads
    }

    /// Whether these are all the digits that there are.
    pub(super) fn is(&self, digits: Digits) -> bool {
        self.digits == digits
    }
}

/// Ones over the first digits.
const fn mask(count: u32) -> u64 {
    let after = FRONT_DIGITS.saturating_sub(count) * DIGIT_BITS;
    match u64::MAX.checked_shl(after) {
        Some(mask) => mask,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one_by_one(text: &str) -> Digits {
        text.bytes().fold(Digits::default(), |digits, byte| digits.and(byte - b'0').unwrap())
    }

    proptest! {
        #[test]
        fn digits_at_once_are_digits_one_by_one(text in "[0-9]{0,16}") {
            let packed = text.bytes().fold(0, |packed, byte| packed << 4 | u64::from(byte - b'0'));
            let digits = Digits::packed(packed, text.len() as u32);
            prop_assert_eq!(digits, one_by_one(&text));
            prop_assert_eq!(digits.value(), text.parse().unwrap_or(0));
        }

        #[test]
        fn what_follows_a_lead_is_what_the_text_has_after_it(
            lead in prop_oneof![Just(""), Just("0"), Just("00"), Just("7"), Just("810"), Just("8001111")],
            led in any::<bool>(),
            rest in "[0-9]{0,9}",
        ) {
            let text = if led { format!("{lead}{rest}") } else { rest };
            let (digits, made) = (one_by_one(&text), Lead::of(lead));
            let after = text.strip_prefix(lead).map(one_by_one);
            prop_assert_eq!(digits.after(&made), after);
            prop_assert_eq!(digits.begin_with(&made), after.is_some());
            prop_assert_eq!(digits.could_begin_with(&made), text.starts_with(lead) || lead.starts_with(&text));
            prop_assert_eq!(made.is(digits), text == lead);
            if let Some(after) = after {
                prop_assert_eq!(after.value_after(&made), digits.value());
            }
        }
    }

    #[test]
    fn there_is_no_room_for_a_nineteenth_digit() {
        let most = one_by_one("123456789012345678");
        assert_eq!((most.count(), most.value(), most.and(9)), (18, 123_456_789_012_345_678, None));
    }
}
