//! The numbers of a list's CSV file, read from its text.

use std::borrow::Cow;

use super::packed::pack;
use super::rows::Rows;
use crate::number::{Country, Number};

/// Most characters of a number's cell.
const CELL_MOST: usize = 1_000;
/// How many rows that hold no number are named; the rest is counted.
pub const BAD_ROWS_NAMED: usize = 100;
/// Names of the column with the numbers, in small letters.
const NUMBER_COLUMNS: [&str; 4] = ["number", "phone", "номер", "телефон"];
/// What can part columns.
const DELIMITERS: [u8; 3] = [b';', b',', b'\t'];

/// What stands in the file of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFile {
    /// The numbers, in the file's order.
    pub numbers: Vec<Number>,
    /// Rows that hold no telephone number: 1-based line, and the cell as written. At most [`BAD_ROWS_NAMED`].
    pub bad: Vec<(u64, String)>,
    /// How many such rows there are in all.
    pub bad_count: usize,
}

/// A cell that is no number in any spelling: the file is no list of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: a cell longer than {CELL_MOST} characters")]
pub struct LongCell {
    /// The 1-based line.
    pub line: u64,
}

impl ListFile {
    /// Reads a file, as a company in `country` would mean its numbers. Linear; ten million rows take about a second.
    ///
    /// The number stands in the column called number, phone, номер or телефон, else in the first; a first row without any
    /// digit there is the header. Columns are parted by `;`, `,` or tabs, whichever is most frequent in the first row.
    /// Empty rows are skipped.
    ///
    /// # Errors
    /// [`LongCell`], for the first such cell.
    pub fn read(text: &str, country: Country) -> Result<Self, LongCell> {
        let mut file = Self { numbers: Vec::with_capacity(text.len() / 12), bad: Vec::new(), bad_count: 0 };
        let mut rows = Rows::new(text, delimiter(text));
        let mut column = None;
        while let Some((line, cells)) = rows.next() {
            let number = match column {
                Some(column) => cell(cells, column),
                None if cells.iter().all(|cell| trimmed(cell).is_empty()) => continue,
                None => {
                    let (found, header) = number_column(cells);
                    column = Some(found);
                    if header { "" } else { cell(cells, found) }
                }
            };
            if number.len() > CELL_MOST && number.chars().count() > CELL_MOST {
                return Err(LongCell { line });
            }
            if number.is_empty() {
                continue;
            }
            match Number::parse(number, country) {
                Some(number) => file.numbers.push(number),
                None => {
                    if file.bad.len() < BAD_ROWS_NAMED {
                        file.bad.push((line, number.to_owned()));
                    }
                    file.bad_count += 1;
                }
            }
        }
        Ok(file)
    }

    /// The numbers as they travel in an engine document.
    #[must_use]
    pub fn packed(self) -> String {
        pack(self.numbers)
    }
}

fn cell<'a>(cells: &'a [Cow<'_, [u8]>], column: usize) -> &'a str {
    cells.get(column).map_or("", |cell| trimmed(cell))
}

/// A cell is cut out of a text at ASCII marks, so it is text itself.
fn trimmed(cell: &[u8]) -> &str {
    str::from_utf8(cell).unwrap_or_default().trim()
}

/// Which column holds the numbers, and whether this first row is the header.
fn number_column(row: &[Cow<'_, [u8]>]) -> (usize, bool) {
    let named = row.iter().position(|cell| NUMBER_COLUMNS.contains(&trimmed(cell).to_lowercase().as_str()));
    match named {
        Some(column) => (column, true),
        None => (0, !cell(row, 0).contains(|character: char| character.is_ascii_digit())),
    }
}

/// Of equally frequent ones the first.
fn delimiter(text: &str) -> u8 {
    let first = text.split(['\n', '\r']).find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |mark: u8| first.bytes().filter(|&byte| byte == mark).count();
    DELIMITERS.into_iter().rev().max_by_key(|&mark| count(mark)).unwrap_or(b';')
}
