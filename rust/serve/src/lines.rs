//! An append-only file of lines, and what waits in memory for a disk that takes nothing.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CHUNK: usize = 64 * 1024;

/// The file. It is opened with its first line; a torn last one, left by a crash, is cut off then.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: Option<Arc<File>>,
    size: u64,
    waiting: Vec<u8>,
    trouble: Option<String>,
}

impl Lines {
    /// At a path.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, size: 0, waiting: Vec::new(), trouble: None }
    }

    /// Adds whole lines, by one write. Never fails: what the disk does not take waits until [`retry`](Self::retry).
    pub fn append(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if self.trouble.is_some() {
            self.waiting.extend_from_slice(lines);
            return;
        }
        if let Err((error, written)) = self.write(lines) {
            self.waiting.extend_from_slice(&lines[written..]);
            self.trouble = Some(error.to_string());
        }
    }

    /// Writes what waits.
    pub fn retry(&mut self) {
        if self.trouble.is_none() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        self.trouble = match self.write(&waiting) {
            Ok(()) => None,
            Err((error, written)) => {
                self.waiting = waiting;
                self.waiting.drain(..written);
                Some(error.to_string())
            }
        };
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the disk takes nothing, if it does not.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that wait for the disk.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The file, for who has the disk keep it meanwhile.
    #[must_use]
    pub fn opened(&self) -> Option<Arc<File>> {
        self.file.clone()
    }

    /// Makes the disk keep what was written.
    ///
    /// # Errors
    /// Those of fdatasync(2).
    pub fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync_data())
    }

    /// The next line begins another file at the path: this one has been renamed.
    pub fn begin_anew(&mut self) -> Option<Arc<File>> {
        self.size = 0;
        self.file.take()
    }

    /// Writes all of it; the error says how much was written before.
    fn write(&mut self, lines: &[u8]) -> Result<(), (io::Error, usize)> {
        let file = match &self.file {
            Some(file) => file,
            None => {
                let (opened, size) = open(&self.path).map_err(|error| (error, 0))?;
                self.size = size;
                self.file.insert(Arc::new(opened))
            }
        };
        let mut written = 0;
        while written < lines.len() {
            match (&**file).write(&lines[written..]) {
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

/// The file at its end, and how long it is.
fn open(path: &Path) -> io::Result<(File, u64)> {
    if let Some(folder) = path.parent() {
        create_dir_all(folder)?;
    }
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
    let size = file.metadata()?.len();
    let end = end_of_lines(&file, size)?;
    if end < size {
        file.set_len(end)?;
    }
    Ok((file, end))
}

/// Where the last whole line ends.
fn end_of_lines(file: &File, size: u64) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut end = size;
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        let part = &mut chunk[..(end - start) as usize];
        file.read_exact_at(part, start)?;
        if let Some(found) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + found as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
