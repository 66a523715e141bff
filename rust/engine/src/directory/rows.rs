//! Rows of a CSV text, each with the line on which it begins.

use std::borrow::Cow;

const QUOTE: u8 = b'"';

/// Parts a text into rows as Python's `csv` does with its default dialect and any delimiter (its manual, and RFC 4180 for
/// what is well formed): nothing is refused, and a quoted cell that is never closed ends with the text.
///
/// The `csv` crate passes over empty lines without counting where the next row begins; a finding must name its line.
pub(super) struct Rows<'t> {
    rest: &'t [u8],
    delimiter: u8,
    line: u64,
    cells: Vec<Cow<'t, [u8]>>,
}

impl<'t> Rows<'t> {
    pub(super) const fn new(text: &'t str, delimiter: u8) -> Self {
        Self { rest: text.as_bytes(), delimiter, line: 1, cells: Vec::new() }
    }

    /// The next row: the 1-based line on which it begins, and its cells.
    pub(super) fn next(&mut self) -> Option<(u64, &[Cow<'t, [u8]>])> {
        if self.rest.is_empty() {
            return None;
        }
        let line = self.line;
        self.cells.clear();
        let own = self.rest.iter().position(|&byte| ends_line(byte)).unwrap_or(self.rest.len());
        let (row, after) = self.rest.split_at(own);
        if row.contains(&QUOTE) {
            self.quoted();
        } else {
            self.cells.extend(row.split(|&byte| byte == self.delimiter).map(Cow::Borrowed));
            self.rest = after;
            self.end_line();
        }
        Some((line, &self.cells))
    }

    /// Takes a row in which there are quotation marks, cell by cell.
    fn quoted(&mut self) {
        loop {
            let cell = if self.rest.first() == Some(&QUOTE) { self.quoted_cell() } else { Cow::Borrowed(self.bare()) };
            self.cells.push(cell);
            match self.rest.split_first() {
                Some((&byte, rest)) if byte == self.delimiter => self.rest = rest,
                _ => return self.end_line(),
            }
        }
    }

    /// Takes a cell from its opening mark on; what follows the closing mark belongs to it as well.
    fn quoted_cell(&mut self) -> Cow<'t, [u8]> {
        let mut cell = Vec::new();
        self.rest = self.rest.get(1..).unwrap_or_default();
        while let Some(&byte) = self.rest.first() {
            match (byte, self.rest.get(1)) {
                (QUOTE, Some(&QUOTE)) => {
                    cell.push(QUOTE);
                    self.rest = &self.rest[2..];
                }
                (QUOTE, _) => {
                    self.rest = &self.rest[1..];
                    cell.extend_from_slice(self.bare());
                    break;
                }
                (byte, next) => {
                    cell.push(byte);
                    self.line += u64::from(byte == b'\n' || byte == b'\r' && next != Some(&b'\n'));
                    self.rest = &self.rest[1..];
                }
            }
        }
        Cow::Owned(cell)
    }

    /// Takes everything up to the next delimiter or the line's end.
    fn bare(&mut self) -> &'t [u8] {
        let end = self.rest.iter().position(|&byte| byte == self.delimiter || ends_line(byte));
        let (bare, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        bare
    }

    fn end_line(&mut self) {
        let end = if self.rest.starts_with(b"\r\n") { 2 } else { 1 };
        self.rest = self.rest.get(end..).unwrap_or_default();
        self.line += 1;
    }
}

const fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}
