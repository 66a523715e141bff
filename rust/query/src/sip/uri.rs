//! Addresses: `sip:`, `sips:` and `tel:` URIs (RFC 3261, 19.1; RFC 3966), and the name-addr of From and To.

use super::Flaw;
use super::message::is_token;

const BAD: Flaw = Flaw::bad("Bad Request-URI");
/// No number and no name of an extension is longer.
const LONGEST_USER: usize = 128;

/// The user of a Request-URI, unescaped and without parameters; empty where it has none.
///
/// 416 for a scheme other than `sip`, `sips` and `tel`, 400 for a URI that is none, or that carries headers, which a
/// Request-URI must not (RFC 3261, 19.1.1).
pub fn dialled(uri: &[u8]) -> Result<String, Flaw> {
    let colon = uri.iter().position(|&byte| byte == b':').ok_or(BAD)?;
    let (scheme, rest) = (&uri[..colon], &uri[colon + 1..]);
    let valid = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !valid {
        return Err(BAD);
    }
    if scheme.eq_ignore_ascii_case(b"tel") {
        return unescaped(before(rest, b";")).filter(|number| !number.is_empty()).ok_or(BAD);
    }
    if !(scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips")) {
        return Err(Flaw { status: 416, phrase: "Unsupported URI Scheme" });
    }
    let (user, host) = split_user(rest);
    if host.contains(&b'?') || !is_host(before(host, b";")) {
        return Err(BAD);
    }
    unescaped(before(user, b";:")).ok_or(BAD)
}

/// The user of an address in From, To or P-Asserted-Identity; none where there is no such thing.
pub fn subscriber(uri: &[u8]) -> Option<String> {
    let colon = uri.iter().position(|&byte| byte == b':')?;
    let (scheme, rest) = (&uri[..colon], &uri[colon + 1..]);
    let user = if scheme.eq_ignore_ascii_case(b"tel") {
        before(rest, b";")
    } else if scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips") {
        before(split_user(rest).0, b";:")
    } else {
        return None;
    };
    unescaped(user).filter(|user| !user.is_empty())
}

fn split_user(rest: &[u8]) -> (&[u8], &[u8]) {
    match rest.iter().position(|&byte| byte == b'@') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (&[], rest),
    }
}

fn before<'u>(text: &'u [u8], ends: &[u8]) -> &'u [u8] {
    let end = text.iter().position(|byte| ends.contains(byte)).unwrap_or(text.len());
    &text[..end]
}

/// `host` or `host:port`, the host a name or an address.
fn is_host(hostport: &[u8]) -> bool {
    let (host, port) = match hostport.first() {
        Some(b'[') => {
            let Some(end) = hostport.iter().position(|&byte| byte == b']') else { return false };
            let address = std::str::from_utf8(&hostport[1..end]).ok();
            if address.is_none_or(|address| address.parse::<std::net::Ipv6Addr>().is_err()) {
                return false;
            }
            (&hostport[..=end], &hostport[end + 1..])
        }
        _ => {
            let host = before(hostport, b":");
            if !host.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
                return false;
            }
            (host, &hostport[host.len()..])
        }
    };
    let port_good = match port {
        [] => true,
        [b':', digits @ ..] => !digits.is_empty() && digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !host.is_empty() && port_good
}

/// `%2B` is `+` (RFC 3261, 19.1.2). None for an escape that is none, for what is no UTF-8, and for what is too long.
fn unescaped(text: &[u8]) -> Option<String> {
    if text.len() > LONGEST_USER {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// An address of a header, in one line.
#[derive(Debug, PartialEq, Eq)]
pub struct Address<'h> {
    /// Without angle brackets.
    pub uri: &'h [u8],
    /// The value of the parameter `tag`.
    pub tag: Option<&'h [u8]>,
    /// What follows the comma after it, where one does.
    pub rest: Option<&'h [u8]>,
}

/// Reads the first address of a header's value. None where quotes or brackets do not close.
pub fn address(value: &[u8]) -> Option<Address<'_>> {
    let mut at = 0;
    // The display name, which may be quoted and may have anything in its quotes.
    loop {
        match value.get(at) {
            None => break,
            Some(b'"') => at = quoted(value, at)?,
            Some(b'<') => {
                let end = at + value[at..].iter().position(|&byte| byte == b'>')?;
                let after = skip_blank(value, end + 1);
                return parameters(value[at + 1..end].trim_ascii(), value, after);
            }
            Some(_) => at += 1,
        }
    }
    // Without brackets: what follows a semicolon belongs to the header (RFC 3261, 20.10).
    let end = value.iter().position(|byte| b";,".contains(byte)).unwrap_or(value.len());
    let uri = value[..end].trim_ascii();
    if uri.is_empty() || uri.iter().any(|&byte| byte == b'"' || byte.is_ascii_whitespace()) {
        return None;
    }
    parameters(uri, value, end)
}

fn parameters<'h>(uri: &'h [u8], value: &'h [u8], mut at: usize) -> Option<Address<'h>> {
    let mut tag = None;
    loop {
        match value.get(at) {
            None => return Some(Address { uri, tag, rest: None }),
            Some(b',') => return Some(Address { uri, tag, rest: Some(value[at + 1..].trim_ascii()) }),
            Some(b';') => {
                let (parameter, after) = parameter(value, at)?;
                if parameter.name.eq_ignore_ascii_case(b"tag") {
                    tag = Some(parameter.value.filter(|tag| !tag.is_empty())?);
                }
                at = after;
            }
            Some(_) => return None,
        }
    }
}

/// One `;name=value` of a header.
pub(super) struct Parameter<'h> {
    pub name: &'h [u8],
    /// Where the name ends.
    pub name_end: usize,
    pub value: Option<&'h [u8]>,
}

/// The parameter whose semicolon stands at `at`, and where it ends, blanks skipped.
pub(super) fn parameter(value: &[u8], at: usize) -> Option<(Parameter<'_>, usize)> {
    let begin = skip_blank(value, at + 1);
    let name_end = begin + value[begin..].iter().position(|&byte| !is_token(byte)).unwrap_or(value.len() - begin);
    if name_end == begin {
        return None;
    }
    let name = &value[begin..name_end];
    let next = skip_blank(value, name_end);
    if value.get(next) != Some(&b'=') {
        return Some((Parameter { name, name_end, value: None }, next));
    }
    let from = skip_blank(value, next + 1);
    let end = match value.get(from) {
        Some(b'"') => quoted(value, from)?,
        _ => {
            let is_end = |byte: &u8| b";,".contains(byte) || byte.is_ascii_whitespace();
            from + value[from..].iter().position(is_end).unwrap_or(value.len() - from)
        }
    };
    Some((Parameter { name, name_end, value: Some(&value[from..end]) }, skip_blank(value, end)))
}

/// Where the quoted string that begins at `at` has ended.
fn quoted(value: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    loop {
        match value.get(end)? {
            b'"' => return Some(end + 1),
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
}

pub(super) fn skip_blank(value: &[u8], mut at: usize) -> usize {
    while value.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}
