//! Numbers at the size of a country, made the same on every run.

pub mod swaps;
mod watch;

use super::figures;

use std::time::Duration;

use kommutator_engine::directory::RegionExtent;
use kommutator_engine::number::Number;
use rustix::time::{ClockId, clock_gettime};

/// Mobile codes of Russia begin with 9 and have three digits.
const MOBILE: u64 = 79_000_000_000;
const MOBILES: u64 = 1_000_000_000;

/// A generator of numbers that look random: SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A Russian mobile number.
    pub fn mobile(&mut self) -> u64 {
        MOBILE + self.below(MOBILES)
    }
}

/// So many different mobile numbers, in no order.
pub fn mobiles(count: usize, seed: u64) -> Vec<u64> {
    let mut random = Random(seed);
    let mut all: Vec<u64> = Vec::with_capacity(count + count / 50);
    while all.len() < count {
        all.extend((all.len()..count).map(|_| random.mobile()));
        all.sort_unstable();
        all.dedup();
    }
    for at in (1..all.len()).rev() {
        all.swap(at, random.below(at as u64 + 1) as usize);
    }
    all
}

/// How long this thread has run on a processor: what others do meanwhile is not counted.
pub fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

pub fn number(digits: u64) -> Number {
    Number::from_e164(digits).expect("a number")
}

/// A numbering plan of the real shape: some half a million ranges of ten to a million numbers in the codes 301–879 and
/// 900–999, with holes between some of them, of 90 regions.
pub fn plan(seed: u64) -> Vec<RegionExtent> {
    const REGIONS: usize = 90;
    let mut random = Random(seed);
    let mut regions = vec![RegionExtent::default(); REGIONS];
    for code in (301..880).chain(900..1_000) {
        let first = 70_000_000_000 + code * 10_000_000;
        let mut at = first;
        while at < first + 10_000_000 {
            // Fixed lines are given by hundreds and thousands, mobiles by tens of thousands.
            let width = match (code >= 900, random.below(100)) {
                (true, 0..30) => 1_000_000,
                (true, 30..60) => 100_000,
                (true, _) => 10_000,
                (false, 0..20) => 100,
                (false, 20..80) => 1_000,
                (false, 80..95) => 10_000,
                (false, _) => 100_000,
            };
            let last = (at + width - 1).min(first + 9_999_999);
            if random.below(10) > 0 {
                regions[random.below(REGIONS as u64) as usize].ranges.push((at, last));
            }
            at = last + 1;
        }
    }
    regions
}
