//! Contacts of an answer: the engine's addresses as SIP URIs, by templates of the configuration.

/// Most ranks of contacts: q goes down by a tenth.
pub const MOST_RANKS: usize = 10;
/// Most contacts of one answer, so that it fits a datagram on any network.
pub const MOST_CONTACTS: usize = 16;

/// A SIP URI with places to fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The name of a phone, or a number as E.164.
    Given,
    /// The digits alone.
    Digits,
}

impl Template {
    /// Reads `sip:{name}@host`: `place` (`name`, `number` or `did`) stands for what is filled in, and `digits` for its
    /// digits. The error says what is wrong.
    pub fn read(text: &str, place: &str) -> Result<Self, String> {
        let scheme = ["sip:", "sips:", "tel:"].iter().any(|scheme| text.starts_with(scheme));
        if !scheme || text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || b"<>\"?".contains(&byte)) {
            return Err(format!("`{text}` is no SIP address"));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, following) = after.split_once('}').ok_or_else(|| format!("`{text}` has a `{{` without `}}`"))?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(match name {
                "digits" => Piece::Digits,
                _ if name == place => Piece::Given,
                _ => return Err(format!("`{text}` has {{{name}}}, and may have {{{place}}} and {{digits}}")),
            });
            rest = following;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }

    fn write(&self, given: &str, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Given => escape(given, out),
                Piece::Digits => out.extend(given.bytes().filter(u8::is_ascii_digit)),
            }
        }
    }
}

/// How the engine's addresses become SIP URIs.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Phones of the PBX, `PJSIP/101`, of which `{name}` is `101`.
    pub phone: Template,
    /// E.164 numbers, with `{number}`.
    pub number: Template,
    /// Who takes the calls that need a voice: announcements, menus, messages; `{did}` is the number dialled.
    pub media: Option<Template>,
}

impl Targets {
    /// Writes a Contact header of addresses of the engine with their ranks, counted from 0: lower ranks are tried first,
    /// equal ones at once.
    pub fn contacts(&self, ranked: &[(usize, String)], out: &mut Vec<u8>) {
        out.extend_from_slice(b"Contact: ");
        for (at, (rank, address)) in ranked.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"<" } else { b", <" });
            self.uri(address, out);
            out.extend_from_slice(b">;q=");
            match rank {
                0 => out.extend_from_slice(b"1.0"),
                rank => {
                    let tenths = MOST_RANKS.saturating_sub(*rank).max(1) as u8;
                    out.extend_from_slice(&[b'0', b'.', b'0' + tenths.min(9)]);
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Writes a Contact header of whoever has a voice; false where nobody has.
    pub fn media(&self, did: &str, out: &mut Vec<u8>) -> bool {
        let Some(media) = &self.media else { return false };
        out.extend_from_slice(b"Contact: <");
        media.write(did, out);
        out.extend_from_slice(b">\r\n");
        true
    }

    fn uri(&self, address: &str, out: &mut Vec<u8>) {
        let is_uri = |text: &str| text.starts_with("sip:") || text.starts_with("sips:");
        if is_uri(address) {
            return plain(address, out);
        }
        if address.starts_with('+') {
            return self.number.write(address, out);
        }
        let name = address.split_once('/').map_or(address, |(_, name)| name);
        // `PJSIP/trunk/sip:101@host` dials a URI through an endpoint.
        match name.split_once('/') {
            Some((_, uri)) if is_uri(uri) => plain(uri, out),
            _ => self.phone.write(name.split('@').next().unwrap_or(name), out),
        }
    }
}

/// A URI of the company's document, less what would end it.
fn plain(uri: &str, out: &mut Vec<u8>) {
    out.extend(uri.bytes().filter(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(byte)));
}

/// Characters that may stand in the user part of a URI stand for themselves, others are escaped (RFC 3261, 19.1.2).
fn escape(text: &str, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()+".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}
