//! Who holds whom among processes: locks of a file's bytes, one byte an employee.
//!
//! The kernel keeps them (open file description locks, fcntl(2)), and lets go what a process holds when it dies. The byte of an
//! employee is a hash of his id, so that nobody has to agree on a numbering: of 50,000 employees two share a byte with a
//! probability below one in a thousand million, and then they are never rung at the same time.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use kommutator_query::holders::{Holders, Holding};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_UNLCK, F_WRLCK, SEEK_SET, c_int, flock};

/// The locks of one process.
#[derive(Debug)]
pub struct LockedBytes {
    file: File,
    held: HashMap<Box<str>, i64>,
}

impl LockedBytes {
    /// In a file that all processes name. Each opens it for itself.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self { file, held: HashMap::new() })
    }

    /// The same, for an engine.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn holding(path: &Path) -> io::Result<Holding> {
        Ok(Holding::new(Box::new(Self::open(path)?)))
    }

    fn set(&self, kind: c_int, byte: i64) -> nix::Result<c_int> {
        fcntl(&self.file, FcntlArg::F_OFD_SETLK(&lock_of(kind, byte)))
    }
}

/// The kernel's words for a lock of one byte.
fn lock_of(kind: c_int, byte: i64) -> flock {
    // Constants of the system's headers, which fit what they are for.
    flock { l_type: kind as i16, l_whence: SEEK_SET as i16, l_start: byte, l_len: 1, l_pid: 0 }
}

/// FNV-1a of 64 bits, which any process can compute, less two: a place in a file is positive.
fn byte_of(employee: &str) -> i64 {
    let hash = employee
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 2) as i64
}

impl Holders for LockedBytes {
    fn hold(&mut self, employee: &str) -> bool {
        if self.held.contains_key(employee) {
            return true;
        }
        let byte = byte_of(employee);
        // Who cannot be asked for is taken: nobody is rung twice, whatever fails.
        let is_ours = self.set(F_WRLCK, byte).is_ok();
        if is_ours {
            self.held.insert(employee.into(), byte);
        }
        is_ours
    }

    fn is_held_elsewhere(&self, employee: &str) -> bool {
        let mut lock = lock_of(F_WRLCK, byte_of(employee));
        // Who cannot be asked for is held, as in `hold`.
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut lock)).is_err() || c_int::from(lock.l_type) != F_UNLCK
    }

    fn any(&self) -> bool {
        !self.held.is_empty()
    }

    fn keep_only(&mut self, employees: &mut dyn Iterator<Item = &str>) {
        let claimed: HashSet<&str> = employees.filter(|employee| self.held.contains_key(*employee)).collect();
        let gone: Vec<(Box<str>, i64)> = self
            .held
            .iter()
            .filter(|(id, _)| !claimed.contains(&***id))
            .map(|(id, byte)| (id.clone(), *byte))
            .collect();
        for (employee, byte) in gone {
            // Two with one byte: it stays as long as either holds it.
            self.held.remove(&employee);
            if !self.held.values().any(|other| *other == byte) {
                let _let_go = self.set(F_UNLCK, byte);
            }
        }
    }
}
