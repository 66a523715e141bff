//! The files that calls are in before their answers leave, and what is made of them afterwards.
//!
//! Lines are handed to the operating system by one write a batch, so that a killed process loses nothing. What else is made of
//! them (the ledger, what is told elsewhere) is collected here, and follows some milliseconds later from a thread of its own
//! ([`Spool::keep_up`]), which also has the disk keep the lines: after a death it is made again from the spool, and only then is
//! the spool let go.
//!
//! A spool that has grown long is put aside, and another begun, in which the calls that go on are kept again: some at a time, so
//! that nobody waits for a million of them, and whichever has a turn meanwhile before that turn. Only then can the one before go.
//!
//! A disk that takes nothing holds nobody up: lines wait in memory. When too much waits, the spool is [`full`](Spool::full), and
//! whoever decides calls is to decide none: nothing that was answered is dropped.

use std::fs::{File, remove_file, rename};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kommutator_query::journal::Calls;

use crate::lines::Lines;

/// What waits for the disk, or for being told; beyond it nothing is decided.
const MOST_WAITING: usize = 64 * 1024 * 1024;
/// So much memory is kept for the next calls.
const KEPT: usize = 1024 * 1024;
/// So much of the ledger is written together, or what has come in so long: it is made again from the spool after a death.
const LEDGER_AT_ONCE: usize = 256 * 1024;
const LEDGER_EVERY: Duration = Duration::from_millis(100);
/// So long a disk that took nothing is left alone.
const RETRY: Duration = Duration::from_secs(1);
/// So many calls are kept again at a time, a fraction of a millisecond, and so many times until other work of the keeper's is done.
const KEPT_TOGETHER: usize = 256;
const KEPT_TIMES: usize = 8;
/// So long others have the calls for themselves in between.
const KEPT_PAUSE: Duration = Duration::from_millis(1);

/// What the thread that keeps up tells whoever runs it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Lines of the spool that are new, where they are told.
    pub lines: Vec<u8>,
    /// Why the disk takes nothing, if it does not.
    pub trouble: Option<String>,
    /// The spool that was put aside can go as soon as what was told of it is kept: [`Spool::let_go`].
    pub spent: bool,
}

/// The files of a folder: `spool.jsonl`, `spool.before.jsonl`, which was put aside, and `ledger.jsonl`.
#[derive(Debug)]
pub struct Spool {
    before: PathBuf,
    tells: bool,
    put_aside_at: u64,
    /// Calls that go on over several requests. Locked before what follows.
    calls: Mutex<Calls>,
    inner: Mutex<Inner>,
    keeper: Mutex<Keeper>,
    full: AtomicBool,
    /// Whether the keeping thread waits until it is woken.
    idle: AtomicBool,
    stopping: AtomicBool,
    told: Mutex<bool>,
    to_tell: Condvar,
}

/// What is shared with those who decide.
#[derive(Debug)]
struct Inner {
    file: Lines,
    put_aside: Option<Arc<File>>,
    next_aside: u64,
    fresh: bool,
    collected: Collected,
    spare: Collected,
    /// What the keeper has that is not on disk yet.
    behind: usize,
}

/// What was collected since the last time.
#[derive(Debug, Default)]
struct Collected {
    lines: Vec<u8>,
    ledger: Vec<u8>,
}

/// What only the keeping thread has.
#[derive(Debug)]
struct Keeper {
    ledger: Lines,
    /// When the ledger was written last.
    written_at: Option<Instant>,
    /// Whether lines of it wait for others.
    gathers: bool,
    before: Before,
    trouble: Option<String>,
    retry_at: Option<Instant>,
}

/// The spool that was put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    None,
    /// Calls of it that go on are being kept in the one after it.
    Keeping,
    /// Calls of it may not have been taken yet.
    PutAside,
    /// All that is made of it has been handed on.
    Taken,
}

impl Before {
    /// Whether it can go as soon as all that is made of it is on disk.
    fn is_leaving(self) -> bool {
        matches!(self, Self::PutAside | Self::Taken)
    }
}

/// One of the locks here: whoever panicked holding it lost a call, not the spool.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Whether so much of the ledger is to be written now.
    fn is_due(&self, ledger: usize) -> bool {
        ledger >= LEDGER_AT_ONCE || self.written_at.is_none_or(|at| at.elapsed() >= LEDGER_EVERY)
    }
}

impl Spool {
    /// In a folder; a file is opened with its first line. With `tells`, lines are told as well. A spool that is longer than
    /// `put_aside_at` bytes is put aside.
    #[must_use]
    pub fn new(folder: &Path, tells: bool, put_aside_at: u64, calls: Calls) -> Self {
        let before = folder.join("spool.before.jsonl");
        let is_before = before.exists();
        Self {
            tells,
            put_aside_at,
            calls: Mutex::new(calls),
            inner: Mutex::new(Inner {
                file: Lines::new(folder.join("spool.jsonl")),
                put_aside: None,
                next_aside: put_aside_at,
                fresh: false,
                collected: Collected::default(),
                spare: Collected::default(),
                behind: 0,
            }),
            keeper: Mutex::new(Keeper {
                ledger: Lines::new(folder.join("ledger.jsonl")),
                written_at: None,
                gathers: false,
                before: if is_before { Before::Keeping } else { Before::None },
                trouble: None,
                retry_at: None,
            }),
            before,
            full: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            told: Mutex::new(false),
            to_tell: Condvar::new(),
        }
    }

    /// Has the calls of an earlier process that go on kept again, where a spool was put aside: the one after it may lack some.
    pub fn restored(&self) {
        if lock(&self.keeper).before == Before::Keeping {
            self.calls().keep_again();
        }
    }

    /// The calls that go on; what is to be written of them is written by [`commit`](Self::commit).
    pub fn calls(&self) -> MutexGuard<'_, Calls> {
        lock(&self.calls)
    }

    /// Writes what is to be written of the calls that go on. Never fails: what the disk does not take waits.
    pub fn commit(&self) {
        self.commit_of(&mut lock(&self.calls));
    }

    fn commit_of(&self, calls: &mut Calls) {
        if calls.lines.is_empty() && calls.kept.is_empty() {
            return;
        }
        self.write(&calls.kept, &calls.lines, &calls.ledger);
        for memory in [&mut calls.lines, &mut calls.kept, &mut calls.ledger] {
            memory.clear();
            memory.shrink_to(KEPT);
        }
    }

    /// Adds whole lines, and the lines of the ledger that are theirs. Never fails: what the disk does not take waits.
    pub fn append(&self, lines: &[u8], ledger: &[u8]) {
        self.write(&[], lines, ledger);
    }

    /// The same, after lines of calls that are kept again, of which nothing more is made.
    fn write(&self, kept: &[u8], lines: &[u8], ledger: &[u8]) {
        {
            let mut inner = lock(&self.inner);
            if self.tells {
                inner.collected.lines.extend_from_slice(lines);
            }
            inner.collected.ledger.extend_from_slice(ledger);
            inner.file.append(kept);
            inner.file.append(lines);
            inner.fresh = true;
            self.measure(&inner);
        }
        if self.idle.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// Whether so much waits that nothing more is to be decided.
    #[must_use]
    pub fn full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Bytes of the spool's file, and bytes that wait for the disk.
    #[must_use]
    pub fn size(&self) -> (u64, usize) {
        let inner = lock(&self.inner);
        (inner.file.size(), inner.file.waiting() + inner.behind)
    }

    /// Keeps the disk up with the calls, for so long at most, and returns when there is something to tell; what was told before is
    /// taken for told then. One thread does this; what comes within `gather` is kept by one synchronisation. Blocks.
    pub fn keep_up(&self, longest: Duration, gather: Duration) -> News {
        let until = Instant::now() + longest;
        loop {
            let wake_at = match (self.keep_calls(), lock(&self.keeper).gathers) {
                (true, _) => Instant::now(),
                (false, true) => until.min(Instant::now() + LEDGER_EVERY),
                (false, false) => until,
            };
            let has_come = self.await_calls(wake_at, gather);
            if let Some(news) = self.keep(has_come) {
                return news;
            }
            if self.stopping.load(Ordering::Acquire) || Instant::now() >= until {
                return News { trouble: lock(&self.keeper).trouble.clone(), ..News::default() };
            }
        }
    }

    /// Makes all that is left, for the end; what is to be told last. Blocks.
    pub fn finish(&self) -> Vec<u8> {
        self.commit();
        {
            let mut keeper = lock(&self.keeper);
            (keeper.retry_at, keeper.written_at) = (None, None);
        }
        let news = self.keep(true).unwrap_or_default();
        let _told = lock(&self.keeper).ledger.sync();
        news.lines
    }

    /// Lets go the spool that was put aside: all that is made of it is on disk.
    pub fn let_go(&self) {
        let mut keeper = lock(&self.keeper);
        if keeper.before == Before::Taken && keeper.ledger.waiting() == 0 && keeper.ledger.sync().is_ok() {
            // One that cannot be removed is read again by the next process, to no effect.
            let _gone = remove_file(&self.before);
            keeper.before = Before::None;
        }
    }

    /// Has `keep_up` return soon.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        *lock(&self.told) = true;
        self.to_tell.notify_one();
    }

    /// Waits for calls; when some have come, for others that come soon. While calls come, it is not woken for each.
    fn await_calls(&self, until: Instant, gather: Duration) -> bool {
        if !self.stopping.load(Ordering::Acquire) {
            thread::sleep(gather);
        }
        if lock(&self.inner).fresh {
            return true;
        }
        self.idle.store(true, Ordering::Release);
        // Whoever came between the look and the word has not woken anybody.
        let has_come = lock(&self.inner).fresh;
        if !has_come && !self.stopping.load(Ordering::Acquire) {
            let told = lock(&self.told);
            let longest = until.saturating_duration_since(Instant::now());
            let waited = self.to_tell.wait_timeout_while(told, longest, |told| !*told);
            *waited.map_or_else(|poisoned| poisoned.into_inner().0, |(told, _)| told) = false;
            if lock(&self.inner).fresh && !self.stopping.load(Ordering::Acquire) {
                thread::sleep(gather);
            }
        }
        self.idle.store(false, Ordering::Release);
        lock(&self.inner).fresh
    }

    /// Makes of new calls what is made of calls, and has the disk keep them.
    fn keep(&self, has_come: bool) -> Option<News> {
        let mut keeper = lock(&self.keeper);
        let is_due = keeper.retry_at.is_none_or(|at| Instant::now() >= at);
        let is_leaving = keeper.before.is_leaving();
        let is_wanted = has_come || keeper.gathers || keeper.retry_at.is_some() || is_leaving;
        if !(is_due && is_wanted) {
            return None;
        }
        let (mut collected, files) = {
            let mut inner = lock(&self.inner);
            inner.file.retry();
            inner.fresh = false;
            let spare = std::mem::take(&mut inner.spare);
            let mut collected = std::mem::replace(&mut inner.collected, spare);
            let is_due = !has_come || is_leaving || keeper.retry_at.is_some();
            keeper.gathers = !(is_due || keeper.is_due(collected.ledger.len()) || collected.ledger.is_empty());
            if keeper.gathers {
                // It grows on, and is written by fewer calls into the kernel.
                std::mem::swap(&mut inner.collected.ledger, &mut collected.ledger);
            }
            inner.behind = collected.ledger.len() + keeper.ledger.waiting();
            (collected, [inner.put_aside.take(), inner.file.opened()])
        };
        if !collected.ledger.is_empty() {
            keeper.written_at = Some(Instant::now());
        }
        keeper.ledger.append(&collected.ledger);
        keeper.ledger.retry();
        // The ledger need not be kept now: it is made again from the spool.
        let synced = files.into_iter().flatten().try_for_each(|file| file.sync_data());
        let mut trouble = self.trouble(&keeper).or(synced.err().map(|error| error.to_string()));
        let spent = is_leaving && trouble.is_none();
        if spent {
            keeper.before = Before::Taken;
        } else if keeper.before == Before::None && trouble.is_none() && self.is_long() {
            trouble = self.put_aside(&mut keeper).err().map(|error| error.to_string());
        }
        keeper.retry_at = trouble.is_some().then(|| Instant::now() + RETRY);
        let earlier = std::mem::replace(&mut keeper.trouble, trouble);
        let is_new = earlier != keeper.trouble;
        let lines = std::mem::take(&mut collected.lines);
        collected.ledger.clear();
        collected.ledger.shrink_to(KEPT);
        {
            let mut inner = lock(&self.inner);
            inner.spare = collected;
            inner.behind = keeper.ledger.waiting();
            self.measure(&inner);
        }
        (is_new || spent || !lines.is_empty()).then(|| News { lines, trouble: keeper.trouble.clone(), spent })
    }

    fn trouble(&self, keeper: &Keeper) -> Option<String> {
        keeper.ledger.trouble().map(str::to_owned).or_else(|| lock(&self.inner).file.trouble().map(str::to_owned))
    }

    fn is_long(&self) -> bool {
        let inner = lock(&self.inner);
        inner.file.size() > inner.next_aside
    }

    /// Puts the spool aside, and begins anew.
    fn put_aside(&self, keeper: &mut Keeper) -> io::Result<()> {
        let mut calls = self.calls();
        self.commit_of(&mut calls);
        let mut inner = lock(&self.inner);
        if let Some(trouble) = inner.file.trouble() {
            return Err(io::Error::other(trouble.to_owned()));
        }
        rename(inner.file.path(), &self.before)?;
        inner.put_aside = inner.file.begin_anew();
        inner.fresh = true;
        calls.keep_again();
        keeper.before = Before::Keeping;
        Ok(())
    }

    /// Keeps calls that go on in the spool that was begun anew, for a while. True where some are left.
    fn keep_calls(&self) -> bool {
        for _ in 0..KEPT_TIMES {
            if lock(&self.keeper).before != Before::Keeping {
                return false;
            }
            if lock(&self.inner).file.trouble().is_some() {
                return false; // they would only wait in memory
            }
            let emptied = {
                let mut calls = self.calls();
                let emptied = calls.keep_some(KEPT_TOGETHER);
                self.commit_of(&mut calls);
                emptied
            };
            if emptied.is_some() {
                let mut keeper = lock(&self.keeper);
                let mut inner = lock(&self.inner);
                inner.next_aside = self.put_aside_at.max(2 * inner.file.size());
                inner.fresh = true;
                keeper.before = Before::PutAside;
                return false;
            }
            thread::sleep(KEPT_PAUSE);
        }
        true
    }

    fn measure(&self, inner: &Inner) {
        let Inner { file, collected, behind, .. } = inner;
        let waiting = file.waiting() + collected.lines.len() + collected.ledger.len() + behind;
        self.full.store(waiting > MOST_WAITING, Ordering::Relaxed);
    }
}
