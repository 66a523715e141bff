//! The topmost Via: which transaction a request is of, and where its answer goes (RFC 3261, 18.2; RFC 3581).

use std::net::{IpAddr, SocketAddr};

use super::uri::{parameter, skip_blank};

const DEFAULT_PORT: u16 = 5060;

/// The first value of the first Via header, in one line.
#[derive(Debug, PartialEq, Eq)]
pub struct Via<'h> {
    text: &'h [u8],
    /// What else the header's line has, beginning with the comma.
    rest: &'h [u8],
    /// Host and port as they are written.
    pub sent_by: &'h [u8],
    pub branch: &'h [u8],
    host: &'h [u8],
    port: u16,
    /// Where the name of a `rport` without a value ends.
    rport: Option<usize>,
    /// The place of a `received`, which is only ours to write.
    received: Option<(usize, usize)>,
}

impl<'h> Via<'h> {
    /// Reads a header's value. None where it is no Via.
    pub fn read(value: &'h [u8]) -> Option<Self> {
        let mut slashes = value.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let (first, second) = (slashes.next()?, slashes.next()?);
        // The version is not looked at: a request of another one is answered so (RFC 4475, 3.1.2.17).
        if !value[..first].trim_ascii().eq_ignore_ascii_case(b"SIP") {
            return None;
        }
        let transport = skip_blank(value, second + 1);
        let blank = transport + value[transport..].iter().position(u8::is_ascii_whitespace)?;
        let begin = skip_blank(value, blank);
        let end = begin + value[begin..].iter().position(|byte| b";,".contains(byte)).unwrap_or(value.len() - begin);
        let sent_by = value[begin..end].trim_ascii();
        let (host, port) = host_and_port(sent_by)?;
        let mut via = Self { text: value, rest: &[], sent_by, branch: &[], host, port, rport: None, received: None };
        let mut at = end;
        while value.get(at) == Some(&b';') {
            let (found, after) = parameter(value, at)?;
            if found.name.eq_ignore_ascii_case(b"branch") {
                via.branch = found.value.unwrap_or_default();
            } else if found.name.eq_ignore_ascii_case(b"rport") && found.value.is_none() {
                via.rport = Some(found.name_end);
            } else if found.name.eq_ignore_ascii_case(b"received") {
                via.received = Some((at, after));
            }
            at = after;
        }
        match value.get(at) {
            None => {}
            Some(b',') => (via.text, via.rest) = (&value[..at], &value[at..]),
            Some(_) => return None,
        }
        Some(via)
    }

    /// Where the answer to a request from `source` goes. `maddr` is not followed: an answer goes to nobody but who asked.
    pub fn answer_to(&self, source: SocketAddr) -> SocketAddr {
        if self.rport.is_some() { source } else { SocketAddr::new(source.ip(), self.port) }
    }

    /// Writes the header's value of an answer: with `rport` filled in, and `received` where the source is not the
    /// address that was written.
    pub fn write(&self, source: SocketAddr, out: &mut Vec<u8>) {
        let ip = source.ip().to_canonical();
        let filled = self.rport.map(|end| (end, end));
        let mut edits = [filled, self.received];
        edits.sort_unstable();
        let mut at = 0;
        for (from, to) in edits.into_iter().flatten() {
            out.extend_from_slice(&self.text[at..from]);
            if Some((from, to)) == filled {
                write_port(out, source.port());
            }
            at = to;
        }
        out.extend_from_slice(self.text[at..].trim_ascii_end());
        if self.rport.is_some() || !self.is_from(ip) {
            out.extend_from_slice(b";received=");
            out.extend_from_slice(ip.to_string().as_bytes());
        }
        out.extend_from_slice(self.rest);
    }

    fn is_from(&self, ip: IpAddr) -> bool {
        std::str::from_utf8(self.host).ok().and_then(|host| host.parse::<IpAddr>().ok()) == Some(ip)
    }
}

fn write_port(out: &mut Vec<u8>, port: u16) {
    out.push(b'=');
    out.extend_from_slice(port.to_string().as_bytes());
}

/// The host without brackets, and the port.
fn host_and_port(sent_by: &[u8]) -> Option<(&[u8], u16)> {
    let (host, rest) = if sent_by.first() == Some(&b'[') {
        let end = sent_by.iter().position(|&byte| byte == b']')?;
        (&sent_by[1..end], &sent_by[end + 1..])
    } else {
        let end = sent_by.iter().position(|&byte| byte == b':').unwrap_or(sent_by.len());
        (sent_by[..end].trim_ascii(), &sent_by[end..])
    };
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:".contains(byte);
    if host.is_empty() || !host.iter().all(good) {
        return None;
    }
    let port = match rest.trim_ascii() {
        [] => DEFAULT_PORT,
        [b':', digits @ ..] => std::str::from_utf8(digits.trim_ascii()).ok()?.parse().ok().filter(|&port| port > 0)?,
        _ => return None,
    };
    Some((host, port))
}
