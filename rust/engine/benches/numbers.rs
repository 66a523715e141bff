//! Lists of ten million numbers and a numbering plan of half a million ranges, beside what memory itself takes, the
//! standard library, and crates made for such sets. Each first shows that its answers are right.
//!
//! Every figure is the median of batches of look-ups, each batch timed by itself: what else the machine does disturbs the
//! slow ones and not the median. `warm` asks for a thousand numbers again and again. `anywhere` asks for a million of them in
//! no order, so that most look-ups wait for memory, and the processor for several at once; `in turn` asks them so that
//! which is next depends on the last answer, and the processor waits for each. `cold` asks for numbers whose part of
//! the table is in no cache, nor its page in the processor's table of pages: before every 64 look-ups a buffer larger than
//! all caches is written, and each look-up is timed alone. `memory` is one access to a table as large, `memory in large
//! pages` one to a table as large that lies as a list's does.
//!
//! What is built, how large it is, and what a swap of versions does to steps is printed before.
#![allow(clippy::expect_used, missing_docs)] // a benchmark that cannot go on must say so and stop

mod figures;
mod scale;

use std::collections::HashSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use kommutator_engine::company::{Document, compile};
use kommutator_engine::directory::{List, ListFile, ListFiles, NumberSet, RegionExtent, Regions};
use kommutator_engine::number::{Country, Prefix};
use memmap2::{Advice, MmapMut};
use roaring::RoaringTreemap;
use serde_json::{Map, json};

use figures::{figure, scaled};
use scale::{Random, mobiles, number, plan, processor_time};

const LISTED: usize = 10_000_000;
/// Numbers asked again and again by `warm`.
const AGAIN: usize = 1_024;
const EVERYWHERE: usize = 1 << 20;
/// Larger than any cache of a server.
const FLUSH_BYTES: usize = 256 << 20;
/// Look-ups in a batch, and after one flush.
const BATCH: usize = 64;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20)
        .configure_from_args();
    from_file();
    scale::swaps::told();
    membership(&mut criterion);
    longest_match(&mut criterion);
    criterion.final_summary();
}

/// From the text of a CSV file to a list that can be asked, by way of the engine document.
fn from_file() {
    let count = scaled(LISTED);
    let listed = mobiles(count, 1);
    let text: String = listed.iter().flat_map(|digits| ["+", &digits.to_string(), "\n"].map(str::to_owned)).collect();
    drop(listed);
    let began = processor_time();
    let packed = ListFile::read(&text, Country::Ru).expect("numbers").packed();
    let read = processor_time() - began;
    let file = ListFiles::default().get(&packed).expect("packed");
    let all = processor_time() - began;
    assert_eq!(file.numbers().len(), count);
    let (million, each) = (count as f64 / 1e6, packed.len() as f64 / count as f64);
    figure("file/packed", each, "bytes each");
    figure("file/read and packed", million / read.as_secs_f64(), "M/s of processor time");
    figure("file/a list", million / all.as_secs_f64(), "M/s of processor time");
}

/// Asks whether numbers are in a list.
fn membership(criterion: &mut Criterion) {
    let listed = mobiles(scaled(LISTED), 1);
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    let asked = asked(&listed);
    let right = |digits: u64| sorted.binary_search(&digits).is_ok();

    let began = processor_time();
    let set = NumberSet::new(listed.iter().map(|&digits| number(digits)), listed.len());
    told("kommutator", set.bytes(), processor_time() - began);
    measure(criterion, "kommutator", &asked, right, |digits| set.has(number(digits)));
    drop(set);

    let prefixes = ["+7912", "+79160", "+375"].map(prefix);
    let list = List::new(listed.iter().map(|&digits| number(digits)).collect(), prefixes.to_vec());
    let listed_or_begun = |digits| right(digits) || prefixes.iter().any(|prefix| prefix.matches(number(digits)));
    measure(criterion, "kommutator_with_prefixes", &asked, listed_or_begun, |digits| {
        list.find(number(digits)).is_some()
    });
    drop(list);

    measure(criterion, "binary_search", &asked, right, right);

    let began = processor_time();
    let hashed: HashSet<u64> = listed.iter().copied().collect();
    // A slot and a byte of control for each bucket.
    told("hash_set", (hashed.capacity() * 8 / 7).next_power_of_two() * 9, processor_time() - began);
    measure(criterion, "hash_set", &asked, right, |digits| hashed.contains(&digits));
    drop(hashed);

    let began = processor_time();
    let roaring = RoaringTreemap::from_sorted_iter(sorted.iter().copied()).expect("sorted");
    told("roaring", roaring.serialized_size(), processor_time() - began);
    measure(criterion, "roaring", &asked, right, |digits| roaring.contains(digits));
    drop(roaring);

    let began = processor_time();
    let fst = fst::Set::from_iter(sorted.iter().map(|digits| digits.to_be_bytes())).expect("sorted");
    told("fst", fst.as_fst().as_bytes().len(), processor_time() - began);
    measure(criterion, "fst", &asked, right, |digits| fst.contains(digits.to_be_bytes()));
    drop(fst);

    let table = vec![1_u8; listed.len() * 11 / 2];
    let mut pages = MmapMut::map_anon(table.len()).expect("memory");
    let _ = pages.advise(Advice::HugePage);
    pages.fill(1);
    for (name, table) in [("memory", &table[..]), ("memory in large pages", &pages[..])] {
        let access = |digits: u64| {
            let at = (u128::from(digits.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * table.len() as u128) >> 64;
            table[at as usize] == 1
        };
        measure(criterion, name, &asked, |_| true, access);
    }
}

/// Numbers from everywhere, about every second one of them listed.
fn asked(listed: &[u64]) -> Vec<u64> {
    let mut random = Random(2);
    let mut pick = || match random.below(2) {
        0 => listed[random.below(listed.len() as u64) as usize],
        _ => random.mobile(),
    };
    (0..EVERYWHERE).map(|_| pick()).collect()
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
    warm(&mut group, &format!("warm/{name}"), &asked[..AGAIN], &has);
    warm(&mut group, &format!("anywhere/{name}"), asked, &has);
    in_turn(&mut group, name, asked, &has);
    cold(&mut group, name, asked, &has);
    group.finish();
}

fn warm(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, asked: &[u64], has: &impl Fn(u64) -> bool) {
    let mut batches = asked.chunks_exact(BATCH).cycle();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            median(times, BATCH, || {
                let batch = batches.next().expect("endless");
                vec![timed(batch, has)]
            })
        });
    });
}

fn in_turn(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, asked: &[u64], has: &impl Fn(u64) -> bool) {
    let mut at = 0;
    group.bench_function(format!("in turn/{name}"), |bencher| {
        bencher.iter(|| {
            at += 1 + usize::from(has(asked[at]));
            at = if at < asked.len() { at } else { 0 };
        });
    });
}

fn cold(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, asked: &[u64], has: &impl Fn(u64) -> bool) {
    // Of the time it takes, next to nothing is measured: so little is asked for.
    group.warm_up_time(Duration::from_micros(50)).measurement_time(Duration::from_micros(300)).sample_size(10);
    group.sampling_mode(SamplingMode::Flat);
    let mut flushing = vec![1_u64; FLUSH_BYTES / 8];
    let mut batches = asked.chunks_exact(BATCH).cycle();
    group.bench_function(format!("cold/{name}"), |bencher| {
        bencher.iter_custom(|times| {
            median(times, 1, || {
                let mut batch = [0_u64; BATCH];
                batch.copy_from_slice(batches.next().expect("endless"));
                flushing.iter_mut().step_by(8).for_each(|line| *line += 1);
                black_box(&flushing);
                // The code itself is brought back by the first ones.
                black_box(timed(&batch[..4], has));
                batch[4..].chunks_exact(1).map(|one| timed(one, has)).collect()
            })
        });
    });
}

fn timed(batch: &[u64], has: &impl Fn(u64) -> bool) -> Duration {
    let began = Instant::now();
    for &digits in batch {
        black_box(has(black_box(digits)));
    }
    began.elapsed()
}

/// What `times` look-ups take when each takes the median of what these batches of `size` took, the clock's own time off.
fn median(times: u64, size: usize, mut batches: impl FnMut() -> Vec<Duration>) -> Duration {
    let clock = middle((0..101).map(|_| timed(&[], &|_| true)).collect());
    let mut taken: Vec<Duration> = Vec::new();
    while (taken.len() * size) < times as usize {
        taken.extend(batches());
    }
    middle(taken).saturating_sub(clock).mul_f64(times as f64 / size as f64).max(Duration::from_nanos(1))
}

fn middle(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}

fn told(name: &str, bytes: usize, built: Duration) {
    let count = scaled(LISTED) as f64;
    figure(&format!("list/{name}"), bytes as f64 / count, "bytes each");
    figure(&format!("list/{name}/built"), count / 1e6 / built.as_secs_f64(), "M/s of processor time");
}

/// Asks for the region of numbers.
fn longest_match(criterion: &mut Criterion) {
    let extents = plan(3);
    let count: usize = extents.iter().map(|region| region.ranges.len()).sum();
    let began = processor_time();
    let regions = Regions::compile(&extents).expect("no conflicts");
    let (built, each) = (processor_time() - began, regions.bytes() as f64 / count as f64);
    figure("plan/ranges", count as f64, "");
    figure("plan/size", each, "bytes each");
    figure("plan/built", built.as_secs_f64() * 1e3, "ms of processor time");
    from_document(&extents);

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
    for (heat, asked) in [("warm", &asked[..AGAIN]), ("anywhere", &asked[..])] {
        warm(&mut group, &format!("{heat}/kommutator"), asked, &|digits| found(digits).is_some());
        warm(&mut group, &format!("{heat}/binary_search"), asked, &|digits| searched(digits).is_some());
    }
    cold(&mut group, "kommutator", &asked, &|digits| found(digits).is_some());
    cold(&mut group, "binary_search", &asked, &|digits| searched(digits).is_some());
    group.finish();
}

/// From the text of an engine document to a version with the plan.
fn from_document(extents: &[RegionExtent]) {
    let region = |(at, extent): (usize, &RegionExtent)| (format!("r{at}"), json!({"ranges": extent.ranges}));
    let text = json!({
        "company": {"name": "Bench", "timezone": "Europe/Moscow", "country": "RU"},
        "regions": extents.iter().enumerate().map(region).collect::<Map<_, _>>(),
    })
    .to_string();
    let began = processor_time();
    let document: Document = serde_json::from_str(&text).expect("a document");
    let read = processor_time() - began;
    let compiled = compile(&document);
    let in_all = processor_time() - began;
    assert!(compiled.findings.is_empty());
    figure("plan/document", text.len() as f64 / (1 << 20) as f64, "MiB");
    figure("plan/document read", read.as_secs_f64() * 1e3, "ms of processor time");
    figure("plan/document to version", in_all.as_secs_f64() * 1e3, "ms of processor time");
}

fn prefix(raw: &str) -> Prefix {
    Prefix::parse(raw, Country::Ru).expect("a prefix")
}
