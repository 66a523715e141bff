//! Who may ask, and how often.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

/// Most addresses whose calls are counted; beyond them, those that have been quiet are forgotten.
const MOST_COUNTED: usize = 4_096;
const SECOND_MS: i64 = 1_000;

/// A network, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or an address. The error says what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(Self).ok_or_else(|| format!("`{text}` is no network, such as 10.0.0.0/8, and no address"))
    }
}

/// Addresses by their networks, and how many calls each may bring.
#[derive(Debug)]
pub struct Sources {
    ask: Vec<Network>,
    trusted: Vec<Network>,
    per_second: Option<u32>,
    counted: HashMap<IpAddr, (i64, u32)>,
}

impl Sources {
    /// Who may ask; whose word on the caller's identity counts (RFC 3325); and the calls a second of one address.
    pub fn new(ask: Vec<Network>, trusted: Vec<Network>, per_second: Option<u32>) -> Self {
        Self { ask, trusted, per_second, counted: HashMap::new() }
    }

    pub(crate) fn may_ask(&self, ip: IpAddr) -> bool {
        within(&self.ask, ip)
    }

    pub(crate) fn is_trusted(&self, ip: IpAddr) -> bool {
        within(&self.trusted, ip)
    }

    /// Counts a call; false when the address has brought its share of this second.
    pub(crate) fn take_call(&mut self, ip: IpAddr, now_ms: i64) -> bool {
        let Some(most) = self.per_second else { return true };
        let second = now_ms.div_euclid(SECOND_MS);
        if self.counted.len() >= MOST_COUNTED && !self.counted.contains_key(&ip) {
            self.counted.retain(|_, (at, _)| *at == second);
            if self.counted.len() >= MOST_COUNTED {
                return false;
            }
        }
        let (at, calls) = self.counted.entry(ip).or_insert((second, 0));
        if *at != second {
            (*at, *calls) = (second, 0);
        }
        *calls = calls.saturating_add(1);
        *calls <= most
    }
}

fn within(networks: &[Network], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.0.contains(&ip))
}
