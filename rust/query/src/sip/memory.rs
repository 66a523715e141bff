//! What was answered to which transaction, so that a request that comes again gets the same answer, and no second decision.
//!
//! An entry lives as long as its client may send the request again (timer B, RFC 3261, 17.1.1.2), and the oldest go when there are
//! too many: a request that comes again after that is decided anew under the same call id, which the engine takes for the
//! same call.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// 64 × T1.
const LIFE_MS: i64 = 32_000;
/// Most transactions remembered: some 40 MB.
pub const MOST_ENTRIES: usize = 65_536;

/// What became of a transaction.
#[derive(Debug)]
pub enum Entry {
    /// It waits for the answer to a question.
    Asking,
    /// It was answered so, to there.
    Answered(Box<[u8]>, SocketAddr),
    /// Its answer has arrived.
    Acknowledged,
}

/// Transactions by their identity.
#[derive(Debug)]
pub struct Memory {
    entries: HashMap<u128, Entry>,
    order: VecDeque<(i64, u128)>,
    most: usize,
}

impl Memory {
    /// One that holds so many.
    pub fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), most }
    }

    /// What became of the transaction, if it is known.
    pub fn get(&self, transaction: u128) -> Option<&Entry> {
        self.entries.get(&transaction)
    }

    /// Remembers a transaction from `now_ms` on, or what became of it meanwhile.
    pub fn put(&mut self, transaction: u128, entry: Entry, now_ms: i64) {
        while let Some(&(at, oldest)) = self.order.front() {
            // A clock set back must not keep entries for longer.
            let current = at <= now_ms && now_ms - at < LIFE_MS;
            if current && self.order.len() < self.most {
                break;
            }
            self.order.pop_front();
            self.entries.remove(&oldest);
        }
        if self.entries.insert(transaction, entry).is_none() {
            self.order.push_back((now_ms, transaction));
        }
    }

    /// The client has the answer: it will not ask for it again, and a request late on the wire gets none.
    pub fn acknowledge(&mut self, transaction: u128) {
        if let Some(entry @ Entry::Answered(..)) = self.entries.get_mut(&transaction) {
            *entry = Entry::Acknowledged;
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}
