//! Plain bytes: little-endian numbers and counted strings.

/// Appends values to at most so many bytes; those beyond are counted, and lost.
pub struct Writer<const ROOM: usize> {
    bytes: [u8; ROOM],
    length: usize,
}

impl<const ROOM: usize> Default for Writer<ROOM> {
    fn default() -> Self {
        Self { bytes: [0; ROOM], length: 0 }
    }
}

impl<const ROOM: usize> Writer<ROOM> {
    /// What was written; how much it would have been, where that has no room.
    pub fn written(&self) -> Result<&[u8], usize> {
        self.bytes.get(..self.length).ok_or(self.length)
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
        }
        self.length = end;
    }
}

macro_rules! number {
    ($($name:ident: $int:ty),*) => {
        impl<const ROOM: usize> Writer<ROOM> {$(
            /// Appends a number.
            pub fn $name(&mut self, value: $int) {
                self.put(&value.to_le_bytes());
            }
        )*}

        impl<'b> Reader<'b> {$(
            /// Takes a number.
            pub fn $name(&mut self) -> Option<$int> {
                let (bytes, rest) = self.0.split_first_chunk()?;
                self.0 = rest;
                Some(<$int>::from_le_bytes(*bytes))
            }
        )*}
    };
}

number!(u8: u8, u16: u16, u32: u32, u64: u64, i64: i64);

impl<const ROOM: usize> Writer<ROOM> {
    /// Appends a string of at most 255 bytes.
    pub fn text(&mut self, text: &str) {
        self.u8(text.len() as u8);
        self.put(text.as_bytes());
    }

    /// Appends a value that may be absent, the largest number standing for absence.
    pub fn maybe_u32(&mut self, value: Option<u32>) {
        self.u32(value.unwrap_or(u32::MAX));
    }
}

/// Takes values off the front of bytes. `None` means that they ran out or make no sense.
pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    /// Takes a string.
    pub fn text(&mut self) -> Option<&'b str> {
        let length = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// Takes what [`Writer::maybe_u32`] appended.
    pub fn maybe_u32(&mut self) -> Option<Option<u32>> {
        self.u32().map(|value| (value != u32::MAX).then_some(value))
    }
}
