//! Bodies in chunks (RFC 9112, 7.1), taken as they come.

use super::head::bad;
use super::reply::Refusal;

/// The longest line of a chunk's size with its extensions, and the most that a trailer section has.
const LONGEST_LINE: usize = 256;
const LONGEST_TRAILERS: usize = 4096;
/// Sixteen times the largest body that can be allowed: more digits are an attempt at an overflow.
const MOST_SIZE_DIGITS: usize = 8;

/// A chunked body on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    /// What came so far.
    pub body: Vec<u8>,
    next: Next,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Size,
    Data(usize),
    DataEnd,
    Trailers(usize),
}

impl Chunks {
    /// Takes what there is; the answer is how much of it was taken, and whether the body is complete.
    pub fn take(&mut self, input: &[u8], most: usize) -> Result<(usize, bool), Refusal> {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            match self.next {
                Next::Size => {
                    let Some(line) = line(rest, LONGEST_LINE)? else { return Ok((at, false)) };
                    at += line.len() + 2;
                    self.next = match size_of(line)? {
                        0 => Next::Trailers(0),
                        size if self.body.len() + size > most => return Err(too_large(most)),
                        size => Next::Data(size),
                    };
                }
                Next::Data(left) => {
                    let taken = left.min(rest.len());
                    self.body.extend_from_slice(&rest[..taken]);
                    at += taken;
                    if taken < left {
                        self.next = Next::Data(left - taken);
                        return Ok((at, false));
                    }
                    self.next = Next::DataEnd;
                }
                Next::DataEnd => {
                    let wrong = rest.iter().zip(b"\r\n").any(|(here, wanted)| here != wanted);
                    if wrong {
                        return Err(bad("a chunk is longer than its size"));
                    }
                    if rest.len() < 2 {
                        return Ok((at, false));
                    }
                    at += 2;
                    self.next = Next::Size;
                }
                Next::Trailers(so_far) => {
                    let Some(line) = line(rest, LONGEST_TRAILERS - so_far)? else { return Ok((at, false)) };
                    at += line.len() + 2;
                    if line.is_empty() {
                        return Ok((at, true));
                    }
                    check_trailer(line)?;
                    self.next = Next::Trailers((so_far + line.len() + 2).min(LONGEST_TRAILERS));
                }
            }
        }
    }
}

pub(super) fn too_large(most: usize) -> Refusal {
    Refusal::new(413, "content_too_large", format!("a body has at most {most} bytes"))
}

/// The first line without its end; None while its end is not here.
fn line(input: &[u8], most: usize) -> Result<Option<&[u8]>, Refusal> {
    let seen = &input[..input.len().min(most + 2)];
    match memchr::memchr2(b'\r', b'\n', seen) {
        Some(at) if seen[at] == b'\n' => Err(bad("a line of the chunked body does not end with CR and LF")),
        Some(at) => match seen.get(at + 1) {
            Some(b'\n') => Ok(Some(&seen[..at])),
            Some(_) => Err(bad("a line of the chunked body does not end with CR and LF")),
            None if at < most + 1 => Ok(None),
            None => Err(bad("a line of the chunked body is too long")),
        },
        None if seen.len() >= most + 2 => Err(bad("a line of the chunked body is too long")),
        None => Ok(None),
    }
}

fn size_of(line: &[u8]) -> Result<usize, Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    let well = matches!(extension.trim_ascii_start().first(), None | Some(b';'))
        && (extension.is_empty() || extension.contains(&b';'))
        && extension.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
    let read = std::str::from_utf8(size).ok().filter(|_| well && (1..=MOST_SIZE_DIGITS).contains(&digits));
    read.and_then(|text| usize::from_str_radix(text, 16).ok()).ok_or_else(|| bad("the size of a chunk is malformed"))
}

/// A trailer is passed over, but it is a field.
fn check_trailer(line: &[u8]) -> Result<(), Refusal> {
    let mut space = [httparse::EMPTY_HEADER; 1];
    let whole = [line, b"\r\n\r\n"].concat();
    match httparse::parse_headers(&whole, &mut space) {
        Ok(httparse::Status::Complete((length, _))) if length == whole.len() => Ok(()),
        _ => Err(bad("a trailer of the chunked body is malformed")),
    }
}
