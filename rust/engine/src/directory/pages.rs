//! Memory of a large table, in pages as large as the kernel has.
//!
//! A look-up out of all caches waits for memory twice where pages have 4 KiB: for the page's place, which no processor remembers of
//! fourteen thousand, and for the line. In pages of 2 MiB the place is remembered, or found in a table that is cached. They
//! are asked for by advice (`madvise(2)`, `MADV_HUGEPAGE`), which every setting of the kernel's but `never` follows; without
//! them a table is the same, and slower.

use std::fmt;
use std::io;

use memmap2::{Advice, MmapMut};

/// Bytes of one line of the processor's cache.
pub(super) const LINE: usize = 64;

/// Lines of memory, each aligned as the processor's cache has them.
pub(super) struct Pages(MmapMut);

impl Pages {
    /// So many lines, every byte of them `filling`; an error where there is no memory for them.
    pub(super) fn filled(lines: usize, filling: u8) -> io::Result<Self> {
        let bytes = lines.checked_mul(LINE).ok_or(io::ErrorKind::OutOfMemory)?;
        let mut pages = MmapMut::map_anon(bytes)?;
        // A kernel without large pages refuses the advice.
        let _ = pages.advise(Advice::HugePage);
        pages.fill(filling);
        Ok(Self(pages))
    }

    /// The lines.
    pub(super) fn lines(&self) -> &[[u8; LINE]] {
        self.0.as_chunks().0
    }

    /// The lines, to be written.
    pub(super) fn lines_mut(&mut self) -> &mut [[u8; LINE]] {
        self.0.as_chunks_mut().0
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("lines", &self.lines().len()).finish()
    }
}
