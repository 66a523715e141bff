//! A sorted array with gaps: hashes stand where their own value says, or just after.

/// Slots for each nine hashes. More gaps make shorter walks: at nine tenths full a look-up passes five slots on average.
const SLOTS_FOR_NINE: usize = 10;
/// The same where there are at most [`FEW`] hashes, which have room to spare.
const SLOTS_FOR_NINE_OF_FEW: usize = 27;
const FEW: usize = 1 << 12;
/// Slots that are compared at once. So many stand after every place.
const AT_ONCE: usize = 4;
/// A gap; above every hash, so that a walk ends there.
const GAP: u64 = u64::MAX;

/// A set of evenly spread hashes, in nine bytes each; a small one takes more.
///
/// A hash stands at its share of the array, `hash / 2^bits` of its length, or after that where the place is taken, in
/// ascending order: so a walk from its place ends at the first slot that is not below it.
#[derive(Clone, Debug, Default)]
pub(super) struct Gapped {
    slots: Vec<u64>,
    /// How many places there are before displaced hashes at the end.
    places: u64,
}

impl Gapped {
    /// Takes hashes below `2^bits` in any order, repeated or not.
    pub(super) fn new<const BITS: u32>(mut hashes: Vec<u64>) -> Self {
        if hashes.is_empty() {
            return Self::default();
        }
        hashes.sort_unstable();
        hashes.dedup();
        let for_nine = if hashes.len() > FEW { SLOTS_FOR_NINE } else { SLOTS_FOR_NINE_OF_FEW };
        let places = hashes.len() * for_nine / 9 + 1;
        let mut slots = Vec::with_capacity(places + places / 64 + 16);
        for hash in hashes {
            let own = place::<BITS>(hash, places as u64);
            if slots.len() < own {
                slots.resize(own, GAP);
            }
            slots.push(hash);
        }
        slots.resize(slots.len().max(places), GAP);
        slots.extend([GAP; AT_ONCE]);
        slots.shrink_to_fit();
        Self { slots, places: places as u64 }
    }

    /// Whether the hash is there. Expected constant, one cache miss or two neighbouring ones.
    pub(super) fn has<const BITS: u32>(&self, hash: u64) -> bool {
        let after = self.slots.get(place::<BITS>(hash, self.places)..).unwrap_or_default();
        let Some((first, others)) = after.split_first_chunk::<AT_ONCE>() else { return false };
        // One branch, which nearly always goes the same way: whether it was found is nothing to be guessed.
        let found = first.iter().fold(false, |found, &slot| found | (slot == hash));
        if found | (first[AT_ONCE - 1] >= hash) {
            return found;
        }
        others.iter().find(|&&slot| slot >= hash) == Some(&hash)
    }

    /// How many hashes there are.
    pub(super) fn len(&self) -> usize {
        self.slots.iter().filter(|&&slot| slot != GAP).count()
    }

    /// Bytes on the heap.
    pub(super) const fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }
}

/// The share of `places` that a hash below `2^BITS` is of all hashes.
pub(super) const fn place<const BITS: u32>(hash: u64, places: u64) -> usize {
    ((hash as u128 * places as u128) >> BITS) as usize
}
