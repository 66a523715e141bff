//! The file that decided calls are in before their answers leave, and what is made of it afterwards.
//!
//! Lines are handed to the operating system by one write a batch, so that a killed process loses nothing. What else is made of
//! them (the ledger, what is told elsewhere) is collected here, and written by the owner's task some milliseconds later: after
//! a death it is made again from the file, and only then is the file let go.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What waits for the owner's task, or for a disk that takes nothing; beyond it nothing is decided.
const MOST_WAITING: usize = 64 * 1024 * 1024;

/// So much memory is kept for the next calls.
const KEPT: usize = 1024 * 1024;

/// What was collected since the last time.
#[derive(Debug, Default)]
pub struct Collected {
    /// Lines of the spool, where they are told.
    pub lines: Vec<u8>,
    /// Lines of the ledger.
    pub ledger: Vec<u8>,
}

/// The file.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    tells: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    file: Option<Arc<File>>,
    before: Option<Arc<File>>,
    size: u64,
    waiting: Vec<u8>,
    trouble: Option<String>,
    collected: Collected,
    spare: Collected,
}

impl Spool {
    /// One at a path, which is opened with the first line; with `tells`, lines are collected, too.
    #[must_use]
    pub fn new(path: PathBuf, tells: bool) -> Self {
        Self { path, tells, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds whole lines, and the lines of the ledger that are theirs. Never fails: what the disk does not take waits.
    pub fn append(&self, lines: &[u8], ledger: &[u8]) {
        let mut inner = self.inner();
        if self.tells {
            inner.collected.lines.extend_from_slice(lines);
        }
        inner.collected.ledger.extend_from_slice(ledger);
        if inner.trouble.is_some() {
            inner.waiting.extend_from_slice(lines);
            return;
        }
        match inner.write(&self.path, lines) {
            Ok(()) => {}
            Err((error, written)) => {
                inner.waiting.extend_from_slice(&lines[written..]);
                inner.trouble = Some(error.to_string());
            }
        }
    }

    /// Whether so much waits that nothing more is to be decided.
    #[must_use]
    pub fn full(&self) -> bool {
        let inner = self.inner();
        inner.waiting.len() + inner.collected.lines.len() + inner.collected.ledger.len() > MOST_WAITING
    }

    /// What was collected since this was asked last.
    pub fn collected<T>(&self, read: impl FnOnce(&Collected) -> T) -> T {
        let mut collected = {
            let mut inner = self.inner();
            let spare = std::mem::take(&mut inner.spare);
            std::mem::replace(&mut inner.collected, spare)
        };
        let told = read(&collected);
        for memory in [&mut collected.lines, &mut collected.ledger] {
            memory.clear();
            memory.shrink_to(KEPT);
        }
        self.inner().spare = collected;
        told
    }

    /// Writes what waits; answers why the disk takes nothing, if it does not.
    #[must_use]
    pub fn retry(&self) -> Option<String> {
        let mut inner = self.inner();
        inner.trouble.as_ref()?;
        let waiting = std::mem::take(&mut inner.waiting);
        inner.trouble = match inner.write(&self.path, &waiting) {
            Ok(()) => None,
            Err((error, written)) => {
                inner.waiting = waiting[written..].to_vec();
                Some(error.to_string())
            }
        };
        inner.trouble.clone()
    }

    /// Bytes of the file, and bytes that wait for the disk.
    #[must_use]
    pub fn size(&self) -> (u64, usize) {
        let inner = self.inner();
        (inner.size, inner.waiting.len())
    }

    /// Makes the disk keep what was written.
    ///
    /// # Errors
    /// Those of fdatasync(2).
    pub fn sync(&self) -> io::Result<()> {
        let (before, file) = {
            let mut inner = self.inner();
            (inner.before.take(), inner.file.clone())
        };
        [before, file].into_iter().flatten().try_for_each(|file| file.sync_data())
    }

    /// Puts the file aside under another name, and begins anew.
    ///
    /// # Errors
    /// Those of rename(2); the file then goes on.
    pub fn put_aside(&self, aside: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.trouble.is_some() {
            return Err(io::Error::other("the disk takes nothing"));
        }
        rename(&self.path, aside)?;
        inner.before = inner.file.take();
        inner.size = 0;
        Ok(())
    }
}

impl Inner {
    /// Writes all of it; the error says how much was written before.
    fn write(&mut self, path: &Path, lines: &[u8]) -> Result<(), (io::Error, usize)> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let opened =
                    OpenOptions::new().append(true).create(true).mode(0o640).open(path).map_err(|error| (error, 0))?;
                self.size = opened.metadata().map_or(0, |known| known.len());
                Arc::clone(self.file.insert(Arc::new(opened)))
            }
        };
        let mut written = 0;
        while written < lines.len() {
            match (&*file).write(&lines[written..]) {
                Ok(0) => return Err((io::ErrorKind::WriteZero.into(), written)),
                Ok(some) => {
                    written += some;
                    self.size += some as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((error, written)),
            }
        }
        Ok(())
    }
}
