//! Every target takes its corpus again, and thousands of its neighbours: what was found once stays found.
#![allow(missing_docs)]

use std::fs;
use std::path::Path;

use kommutator_fuzz::{TARGETS, Target};

/// Neighbours of the whole corpus that each target takes.
const NEIGHBOURS: usize = 20_000;

/// Bytes that mean something to one reader or another.
const MEANING: &[u8] = b"\r\n\t \0\"'<>[]{}():;,@=+-.%/*#01259aF\x7f\x80\xff";

/// Steele's and Vigna's SplitMix64: the same neighbours at each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % most.max(1) as u64) as usize
    }
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One of the corpus with a few things done to it, or the beginning of one before the end of another.
fn neighbour(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = corpus[chance.below(corpus.len())].clone();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        let byte = MEANING[chance.below(MEANING.len())];
        match chance.below(6) {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            2 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            3 => drop(bytes.drain(at..(at + 1 + chance.below(8)).min(bytes.len()).max(at))),
            4 => {
                let other = &corpus[chance.below(corpus.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[chance.below(other.len() + 1)..]);
            }
            _ => {
                let end = (at + chance.below(64)).min(bytes.len());
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
        }
    }
    bytes
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    for bytes in &corpus {
        (target.run)(bytes);
    }
    let mut chance = Chance(1);
    for _ in 0..NEIGHBOURS {
        let mut bytes = neighbour(&corpus, &mut chance);
        bytes.truncate(target.longest);
        (target.run)(&bytes);
    }
}

#[test]
fn http() {
    run("http");
}

#[test]
fn sip() {
    run("sip");
}

#[test]
fn state() {
    run("state");
}

#[test]
fn document() {
    run("document");
}

#[test]
fn list() {
    run("list");
}

#[test]
fn no_target_is_left_out() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, ["http", "sip", "state", "document", "list"]);
}
