//! A permutation that need not be drawn to its end.

const ROUNDS: u64 = 6;

/// A permutation of the legs of a hunt that depends on a seed alone; a leg's rank and the leg of a rank cost the same,
/// whatever their number.
///
/// A balanced Feistel network over the next even number of bits, walked until it is within the legs (Black and Rogaway,
/// *Ciphers with arbitrary finite domains*, CT-RSA 2002); with six rounds.
#[derive(Clone, Copy, Debug)]
pub struct Shuffle {
    seed: u64,
    legs: usize,
    half: u32,
}

impl Shuffle {
    /// The permutation of so many legs.
    #[must_use]
    pub fn new(legs: usize, seed: u64) -> Self {
        let bits = usize::BITS - legs.saturating_sub(1).leading_zeros();
        Self { seed, legs, half: bits.div_ceil(2).max(1) }
    }

    /// The leg of a rank.
    #[must_use]
    pub fn leg(&self, rank: usize) -> usize {
        self.walk(rank, |shuffle, mut left, mut right| {
            for round in 0..ROUNDS {
                (left, right) = (right, left ^ shuffle.mix(right, round));
            }
            (left, right)
        })
    }

    /// The rank of a leg.
    #[must_use]
    pub fn rank(&self, leg: usize) -> usize {
        self.walk(leg, |shuffle, mut left, mut right| {
            for round in (0..ROUNDS).rev() {
                (left, right) = (right ^ shuffle.mix(left, round), left);
            }
            (left, right)
        })
    }

    fn walk(&self, from: usize, network: impl Fn(&Self, u64, u64) -> (u64, u64)) -> usize {
        let mut at = from as u64;
        loop {
            let (left, right) = network(self, at >> self.half, at & ((1 << self.half) - 1));
            at = left << self.half | right;
            if (at as usize) < self.legs {
                return at as usize;
            }
        }
    }

    fn mix(&self, half: u64, round: u64) -> u64 {
        // The finalizer of SplitMix64 (Steele, Lea and Flood 2014).
        let mut bits = self.seed ^ (half << 8 | round).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ bits >> 31) & ((1 << self.half) - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_shuffle_is_a_permutation_and_ranks_are_its_inverse(legs in 1..1_000_usize, seed: u64) {
            let shuffle = Shuffle::new(legs, seed);
            let mut seen = vec![false; legs];
            for rank in 0..legs {
                let leg = shuffle.leg(rank);
                prop_assert!(!std::mem::replace(&mut seen[leg], true));
                prop_assert_eq!(shuffle.rank(leg), rank);
            }
        }
    }

    /// Pearson's test: with 99 degrees of freedom chi-square exceeds 149 once in a thousand.
    #[test]
    fn a_shuffle_begins_with_every_leg_alike() {
        let (legs, calls) = (100, 20_000);
        for rank in [0, 1, 99] {
            let mut counts = vec![0_usize; legs];
            (0..calls).for_each(|seed| counts[Shuffle::new(legs, seed).leg(rank)] += 1);
            let expected = calls as f64 / legs as f64;
            let chi_square: f64 = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
            assert!(chi_square < 149.0, "{rank}: {chi_square}");
        }
    }
}
