//! Lists of numbers.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::packed::unpack;
use super::set::NumberSet;
use super::spans::{Span, Spans};
use crate::number::{Number, Prefix};

/// The entry of a list that a number matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListMatch {
    /// The number itself.
    Number(Number),
    /// The longest prefix with which it begins.
    Prefix(Prefix),
}

/// One list: whole numbers, extensions among them, and prefixes.
///
/// The numbers of its file are a set of their own, which versions with the same file share.
#[derive(Debug, Default)]
pub struct List {
    numbers: NumberSet,
    file: Option<FileNumbers>,
    prefixes: Prefixes,
}

impl List {
    /// Compiles a list; the order of entries and repeated entries mean nothing.
    #[must_use]
    pub fn new(numbers: Vec<Number>, prefixes: Vec<Prefix>) -> Self {
        let about = numbers.len();
        Self { numbers: NumberSet::new(numbers.into_iter(), about), file: None, prefixes: Prefixes::new(prefixes) }
    }

    /// The same list with the numbers of a file besides.
    #[must_use]
    pub fn with_file(self, file: FileNumbers) -> Self {
        Self { file: Some(file), ..self }
    }

    /// The numbers of its file.
    #[must_use]
    pub const fn file(&self) -> Option<&FileNumbers> {
        self.file.as_ref()
    }

    /// Which entry the number matches: the number itself before any prefix, of prefixes the longest. Expected constant.
    #[must_use]
    pub fn find(&self, number: Number) -> Option<ListMatch> {
        if self.numbers.has(number) || self.file.as_ref().is_some_and(|file| file.numbers.has(number)) {
            return Some(ListMatch::Number(number));
        }
        self.prefixes.longest(number).map(ListMatch::Prefix)
    }

    /// Whether it has the number, or a prefix of it: [`List::find`] without a guess of the answer on the way.
    #[must_use]
    pub fn has(&self, number: Number) -> bool {
        let whole = self.numbers.has(number) | self.file.as_ref().is_some_and(|file| file.numbers.has(number));
        whole | self.prefixes.has(number)
    }

    /// Bytes on the heap, the file's numbers among them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.numbers.bytes() + self.file.as_ref().map_or(0, |file| file.numbers.bytes()) + self.prefixes.bytes()
    }
}

/// All lists of a company, by their position in the document.
#[derive(Debug, Default)]
pub struct Lists(Vec<List>);

impl Lists {
    /// Takes the lists in the document's order.
    #[must_use]
    pub const fn new(lists: Vec<List>) -> Self {
        Self(lists)
    }

    /// Which entry of list `list` the number matches; `None` also where there is no such list.
    #[must_use]
    pub fn find(&self, list: usize, number: Number) -> Option<ListMatch> {
        self.0.get(list)?.find(number)
    }

    /// Whether list `list` has the number, or a prefix of it; false also where there is no such list.
    #[must_use]
    pub fn has(&self, list: usize, number: Number) -> bool {
        self.0.get(list).is_some_and(|list| list.has(number))
    }

    /// The first of `lists` that has the number, and which entry of it matched.
    #[must_use]
    pub fn find_first(&self, lists: &[usize], number: Number) -> Option<(usize, ListMatch)> {
        lists.iter().find_map(|&list| Some((list, self.find(list, number)?)))
    }

    /// The lists, in the document's order.
    pub fn iter(&self) -> impl Iterator<Item = &List> {
        self.0.iter()
    }
}

/// The numbers of a list's file, which every version with that file shares.
#[derive(Clone, Debug)]
pub struct FileNumbers {
    content: Content,
    numbers: Arc<NumberSet>,
}

impl FileNumbers {
    /// The numbers.
    #[must_use]
    pub fn numbers(&self) -> &Arc<NumberSet> {
        &self.numbers
    }
}

/// A file's content: a hash of its packed text, and the text's length.
type Content = (u128, usize);

/// The files of versions that are held already, for a version that is compiled beside them.
#[derive(Clone, Debug, Default)]
pub struct ListFiles(HashMap<Content, FileNumbers>);

impl ListFiles {
    /// Takes the files of a version's lists besides.
    pub fn add(&mut self, lists: &Lists) {
        self.0.extend(lists.0.iter().filter_map(List::file).map(|file| (file.content, file.clone())));
    }

    /// The numbers of a packed text: those of a version that has the same, else unpacked. `None` where the text is none
    /// that `pack` wrote.
    #[must_use]
    pub fn get(&self, packed: &str) -> Option<FileNumbers> {
        let content = (siphasher::sip128::SipHasher24::new().hash(packed.as_bytes()).as_u128(), packed.len());
        if let Some(known) = self.0.get(&content) {
            return Some(known.clone());
        }
        let unpacked = unpack(packed)?;
        Some(FileNumbers { content, numbers: Arc::new(NumberSet::new(unpacked.iter(), unpacked.len())) })
    }
}

/// Prefixes, of which the longest is found.
#[derive(Clone, Debug, Default)]
struct Prefixes {
    spans: Spans,
    prefixes: Vec<Prefix>,
}

impl Prefixes {
    fn new(mut prefixes: Vec<Prefix>) -> Self {
        prefixes.sort_unstable();
        prefixes.dedup();
        let spans = (0..).zip(&prefixes).flat_map(|(owner, &prefix)| Span::of_prefix(prefix, owner)).collect();
        Self { spans: Spans::new(spans), prefixes }
    }

    fn longest(&self, number: Number) -> Option<Prefix> {
        self.prefixes.get(self.spans.owner(number)? as usize).copied()
    }

    fn has(&self, number: Number) -> bool {
        self.spans.owner(number).is_some()
    }

    const fn bytes(&self) -> usize {
        self.spans.bytes() + self.prefixes.capacity() * size_of::<Prefix>()
    }
}
