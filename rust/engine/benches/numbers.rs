//! Lists of ten million numbers and a numbering plan of half a million ranges, beside what memory itself takes, the
//! standard library, and crates made for such sets. Each first shows that its answers are right.
//!
//! Every look-up waits for the answer of the one before, so what is measured is the time to one answer and not how many
//! can be under way at once. `warm` asks for a thousand numbers again and again; `spread` for numbers from everywhere in
//! the table; `cold` for numbers whose part of the table is in no cache, nor its page in the processor's table of pages:
//! a buffer larger than all caches is read before every 64 look-ups. `memory` is one access to a table as large.
#![allow(clippy::expect_used, missing_docs)] // a benchmark that cannot go on must say so and stop

mod scale;

use std::collections::HashSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use kommutator_engine::directory::{List, ListMatch, NumberSet, Regions};
use kommutator_engine::number::{Country, Prefix};
use roaring::RoaringTreemap;

use scale::{Random, mobiles, number, plan};

const LISTED: usize = 10_000_000;
/// Numbers asked again and again by `warm`.
const AGAIN: usize = 1_000;
const EVERYWHERE: usize = 1 << 22;
/// Larger than any cache of a server.
const FLUSH_BYTES: usize = 256 << 20;
/// Look-ups after one flush.
const COLD: usize = 64;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    membership(&mut criterion);
    longest_match(&mut criterion);
    criterion.final_summary();
}

/// Asks whether numbers are in a list.
fn membership(criterion: &mut Criterion) {
    let listed = mobiles(LISTED, 1);
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    let asked = asked(&listed);
    let right = |digits: u64| sorted.binary_search(&digits).is_ok();

    let began = Instant::now();
    let set = NumberSet::new(listed.iter().map(|&digits| number(digits)), LISTED);
    told("kommutator", set.bytes(), began.elapsed());
    measure(criterion, "kommutator", &asked, right, |digits| set.has(number(digits)));

    let list = List::new(vec![], ["+7912", "+79160", "+375"].map(|raw| prefix(raw)).to_vec()).with_file(set.into());
    let first = asked[0];
    assert!(!right(first) || list.find(number(first)) == Some(ListMatch::Number(number(first))));
    measure(
        criterion,
        "kommutator_list",
        &asked,
        |_| true,
        |digits| {
            black_box(list.find(number(digits)));
            true
        },
    );
    drop(list);

    measure(criterion, "binary_search", &asked, right, right);

    let began = Instant::now();
    let hashed: HashSet<u64> = listed.iter().copied().collect();
    // A slot and a byte of control for each bucket.
    told("hash_set", (hashed.capacity() * 8 / 7).next_power_of_two() * 9, began.elapsed());
    measure(criterion, "hash_set", &asked, right, |digits| hashed.contains(&digits));
    drop(hashed);

    let began = Instant::now();
    let roaring = RoaringTreemap::from_sorted_iter(sorted.iter().copied()).expect("sorted");
    told("roaring", roaring.serialized_size(), began.elapsed());
    measure(criterion, "roaring", &asked, right, |digits| roaring.contains(digits));
    drop(roaring);

    let began = Instant::now();
    let fst = fst::Set::from_iter(sorted.iter().map(|digits| digits.to_be_bytes())).expect("sorted");
    told("fst", fst.as_fst().as_bytes().len(), began.elapsed());
    measure(criterion, "fst", &asked, right, |digits| fst.contains(digits.to_be_bytes()));
    drop(fst);

    let table = vec![1_u64; LISTED * 11 / 16];
    measure(
        criterion,
        "memory",
        &asked,
        |_| true,
        |digits| {
            let at = (u128::from(digits.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * table.len() as u128) >> 64;
            table[at as usize] == 1
        },
    );
}

/// Numbers from everywhere, every second one of them listed.
fn asked(listed: &[u64]) -> Vec<u64> {
    let mut random = Random(2);
    let pick = |at: usize| {
        if at % 2 == 0 { listed[random.below(listed.len() as u64) as usize] } else { random.mobile() }
    };
    (0..EVERYWHERE).map(pick).collect()
}

fn measure(
    criterion: &mut Criterion,
    name: &str,
    asked: &[u64],
    right: impl Fn(u64) -> bool,
    has: impl Fn(u64) -> bool,
) {
    assert!(asked.iter().take(100_000).all(|&digits| has(digits) == right(digits)), "{name}");
    let mut group = criterion.benchmark_group("list");
    chained(&mut group, &format!("warm/{name}"), &asked[..AGAIN], &has);
    chained(&mut group, &format!("spread/{name}"), asked, &has);
    group.finish();
    let mut group = criterion.benchmark_group("list");
    cold(&mut group, &format!("cold/{name}"), asked, &has);
    group.finish();
}

/// One answer after the other: each tells which number is asked next.
fn chained(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, asked: &[u64], has: &impl Fn(u64) -> bool) {
    let mut at = 0;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            at += 1 + usize::from(has(asked[at]));
            if at >= asked.len() - 2 {
                at = 0;
            }
        });
    });
}

fn cold(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, asked: &[u64], has: &impl Fn(u64) -> bool) {
    // Of the time it takes, next to nothing is measured: so little is asked for.
    group.warm_up_time(Duration::from_micros(50)).measurement_time(Duration::from_micros(500)).sample_size(10);
    group.sampling_mode(SamplingMode::Flat);
    let mut flushing = vec![1_u64; FLUSH_BYTES / 8];
    let mut batches = asked.chunks_exact(COLD + 1).cycle();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times.div_ceil(COLD as u64) {
                let mut batch = [0_u64; COLD + 1];
                batch.copy_from_slice(batches.next().expect("endless"));
                flushing.iter_mut().step_by(8).for_each(|line| *line += 1);
                let began = Instant::now();
                let mut at = 0;
                for _ in 0..COLD {
                    // Found or not, the next one: but not before it is known.
                    at += 1 - usize::from(has(black_box(batch[at])) & black_box(false));
                }
                spent += began.elapsed();
                black_box(at);
            }
            spent.mul_f64(times as f64 / (times.div_ceil(COLD as u64) * COLD as u64) as f64)
        });
    });
}

fn told(name: &str, bytes: usize, built: Duration) {
    let million = LISTED as f64 / 1e6;
    let each = bytes as f64 / LISTED as f64;
    println!("list/{name}: {each:.2} bytes a number, built at {:.1} M/s", million / built.as_secs_f64());
}

/// Asks for the region of numbers.
fn longest_match(criterion: &mut Criterion) {
    let extents = plan(3);
    let count: usize = extents.iter().map(|region| region.ranges.len()).sum();
    let began = Instant::now();
    let regions = Regions::compile(&extents).expect("no conflicts");
    let built = began.elapsed();
    println!("plan: {count} ranges, {:.1} bytes a range, built in {built:.0?}", regions.bytes() as f64 / count as f64);

    let mut sorted: Vec<(u64, u64, usize)> = Vec::with_capacity(count);
    for (region, extent) in extents.iter().enumerate() {
        sorted.extend(extent.ranges.iter().map(|&(from, to)| (from, to, region)));
    }
    sorted.sort_unstable();
    let searched = |digits: u64| {
        let next = sorted.partition_point(|&(from, ..)| from <= digits);
        let &(_, to, region) = sorted.get(next.checked_sub(1)?)?;
        (digits <= to).then_some(region)
    };

    let mut random = Random(4);
    let asked: Vec<u64> = (0..EVERYWHERE).map(|_| 73_000_000_000 + random.below(7_000_000_000)).collect();
    let found = |digits: u64| regions.find(number(digits)).map(|found| found.region);
    assert!(asked.iter().all(|&digits| found(digits) == searched(digits)));
    let mut group = criterion.benchmark_group("plan");
    chained(&mut group, "warm/kommutator", &asked[..AGAIN], &|digits| found(digits).is_some());
    chained(&mut group, "warm/binary_search", &asked[..AGAIN], &|digits| searched(digits).is_some());
    chained(&mut group, "spread/kommutator", &asked, &|digits| found(digits).is_some());
    chained(&mut group, "spread/binary_search", &asked, &|digits| searched(digits).is_some());
    cold(&mut group, "cold/kommutator", &asked, &|digits| found(digits).is_some());
    cold(&mut group, "cold/binary_search", &asked, &|digits| searched(digits).is_some());
    group.finish();
}

fn prefix(raw: &str) -> Prefix {
    Prefix::parse(raw, Country::Ru).expect("a prefix")
}
