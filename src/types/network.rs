//! Addresses of networks: `inet`, `cidr`, `macaddr` and `macaddr8`.
//!
//! An `inet` is a host with the bits of its network, a `cidr` a network: the bits behind its mask are zero. Both hold
//! IPv4 and IPv6. They are read, shown and compared as PostgreSQL does:
//!
//! ```text
//!   192.168.100.128/25    a host in a network of 25 bits; of all bits, `/32`, nothing is shown of an inet
//!   192.168.1             as a cidr, 192.168.1.0/24
//!   ::ffff:1.2.3.4
//!   08:00:2b:01:02:03     also 08002b:010203, 0800.2b01.0203, 08-00-2b-01-02-03, 08002b010203
//! ```
//!
//! See <https://www.postgresql.org/docs/17/datatype-net-types.html>.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, SqlState};

/// Which of the types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NetworkType {
    Inet,
    Cidr,
    Macaddr,
    Macaddr8,
}

impl NetworkType {
    pub const ALL: [NetworkType; 4] =
        [NetworkType::Inet, NetworkType::Cidr, NetworkType::Macaddr, NetworkType::Macaddr8];

    pub fn name(self) -> &'static str {
        match self {
            NetworkType::Inet => "inet",
            NetworkType::Cidr => "cidr",
            NetworkType::Macaddr => "macaddr",
            NetworkType::Macaddr8 => "macaddr8",
        }
    }

    pub fn from_name(name: &str) -> Option<NetworkType> {
        NetworkType::ALL.into_iter().find(|of| of.name() == name)
    }

    /// Whether it is one of the two with IP addresses, which compare with each other.
    pub fn is_ip(self) -> bool {
        matches!(self, NetworkType::Inet | NetworkType::Cidr)
    }
}

/// A value of one of the types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    Inet(Inet),
    Cidr(Inet),
    Macaddr([u8; 6]),
    Macaddr8([u8; 8]),
}

/// An address, and how many of its first bits are its network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inet {
    address: IpAddr,
    bits: u8,
}

fn invalid(of: NetworkType, text: &str) -> Error {
    crate::types::text::invalid(of.name(), text)
}

/// The address alone.
impl From<IpAddr> for Inet {
    fn from(address: IpAddr) -> Inet {
        Inet { address, bits: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl Inet {
    /// `None` when an address has fewer bits.
    pub fn new(address: IpAddr, bits: u8) -> Option<Inet> {
        let inet = Inet { address, bits };
        (bits <= inet.bits_max()).then_some(inet)
    }

    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Of the network.
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// Of the address: 32 or 128.
    pub fn bits_max(self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// 4 or 6.
    pub fn family(self) -> u8 {
        if self.address.is_ipv4() { 4 } else { 6 }
    }

    /// The address as a number.
    pub fn number(self) -> u128 {
        match self.address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        }
    }

    /// With another address of the family, whose number has no more bits than it.
    pub fn with_number(self, number: u128) -> Inet {
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(number as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
        };
        Inet { address, ..self }
    }

    /// All bits of the family's addresses.
    pub fn ones(self) -> u128 {
        if self.address.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX }
    }

    /// The ones behind the first `bits`.
    pub fn host_mask(self, bits: u8) -> u128 {
        self.ones().checked_shr(u32::from(bits)).unwrap_or(0)
    }

    /// The address with zeros behind the network.
    pub fn network(self) -> Inet {
        self.with_number(self.number() & !self.host_mask(self.bits))
    }

    /// Whether the first `bits` bits of both are the same, of addresses of one family.
    fn agrees(self, other: Inet, bits: u8) -> bool {
        self.family() == other.family()
            && (self.number() ^ other.number()) & !self.host_mask(bits) & self.ones() == 0
    }

    /// Whether all of `other` is in it; not `or_equal`, when it is more than `other`.
    pub fn contains(self, other: Inet, or_equal: bool) -> bool {
        let fits = if or_equal { self.bits <= other.bits } else { self.bits < other.bits };
        fits && self.agrees(other, self.bits)
    }

    pub fn overlaps(self, other: Inet) -> bool {
        self.agrees(other, self.bits.min(other.bits))
    }

    /// The address alone.
    pub fn print_host(self, out: &mut String) {
        match self.address {
            IpAddr::V4(address) => out.push_str(&address.to_string()),
            IpAddr::V6(address) => match address.to_ipv4() {
                // PostgreSQL shows addresses of IPv4 in IPv6 as such, but for `::` and `::1` and their like.
                Some(inner) if u128::from(address) > 0xffff && address.to_ipv4_mapped().is_none() => {
                    out.push_str(&format!("::{inner}"));
                }
                _ => out.push_str(&address.to_string()),
            },
        }
    }

    /// `address/bits`.
    pub fn print_whole(self, out: &mut String) {
        self.print_host(out);
        out.push_str(&format!("/{}", self.bits));
    }

    /// family, network, bits, address: bytes that order as PostgreSQL orders.
    fn put(self, out: &mut Vec<u8>) {
        let put = |address: IpAddr, out: &mut Vec<u8>| match address {
            IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
        };
        out.push(self.family());
        put(self.network().address, out);
        out.push(self.bits);
        put(self.address, out);
    }

    fn take(bytes: &[u8]) -> Option<Inet> {
        let (family, rest) = bytes.split_first()?;
        let length = if *family == 4 { 4 } else { 16 };
        let (bits, address) = rest.get(length..)?.split_first()?;
        let address = match family {
            4 => IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
            6 => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
            _ => return None,
        };
        Inet::new(address, *bits)
    }
}

impl Network {
    pub fn of(self) -> NetworkType {
        match self {
            Network::Inet(_) => NetworkType::Inet,
            Network::Cidr(_) => NetworkType::Cidr,
            Network::Macaddr(_) => NetworkType::Macaddr,
            Network::Macaddr8(_) => NetworkType::Macaddr8,
        }
    }

    /// Of an inet or a cidr.
    pub fn inet(self) -> Option<Inet> {
        match self {
            Network::Inet(inet) | Network::Cidr(inet) => Some(inet),
            Network::Macaddr(_) | Network::Macaddr8(_) => None,
        }
    }

    /// Bytes that order as the values of one type do.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Network::Inet(inet) | Network::Cidr(inet) => inet.put(&mut bytes),
            Network::Macaddr(address) => bytes.extend_from_slice(&address),
            Network::Macaddr8(address) => bytes.extend_from_slice(&address),
        }
        bytes
    }

    /// Of the bytes that [`Network::bytes`] makes; `None` for others.
    pub fn from_bytes(of: NetworkType, bytes: &[u8]) -> Option<Network> {
        Some(match of {
            NetworkType::Inet => Network::Inet(Inet::take(bytes)?),
            NetworkType::Cidr => Network::Cidr(Inet::take(bytes)?),
            NetworkType::Macaddr => Network::Macaddr(bytes.try_into().ok()?),
            NetworkType::Macaddr8 => Network::Macaddr8(bytes.try_into().ok()?),
        })
    }

    /// As another of the types; `None` where PostgreSQL has no such cast. 22003 for a `macaddr8` that is no `macaddr`.
    pub fn cast(self, to: NetworkType) -> Option<Result<Network>> {
        Some(Ok(match (self, to) {
            (same, to) if same.of() == to => same,
            (Network::Inet(inet), NetworkType::Cidr) => Network::Cidr(inet.network()),
            (Network::Cidr(inet), NetworkType::Inet) => Network::Inet(inet),
            (Network::Macaddr(address), NetworkType::Macaddr8) => widened(address),
            (Network::Macaddr8([a, b, c, 0xff, 0xfe, d, e, f]), NetworkType::Macaddr) => {
                Network::Macaddr([a, b, c, d, e, f])
            }
            (Network::Macaddr8(_), NetworkType::Macaddr) => {
                let message = "macaddr8 data out of range to convert to macaddr";
                let hint = "Only addresses that have FF and FE as values in the 4th and 5th bytes from the left, for \
                            example xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from macaddr8 to macaddr.";
                return Some(Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message).hint(hint)));
            }
            _ => return None,
        }))
    }
}

impl PartialOrd for Network {
    /// None of values of different types.
    fn partial_cmp(&self, other: &Network) -> Option<Ordering> {
        (self.of() == other.of()).then(|| self.bytes().cmp(&other.bytes()))
    }
}

pub fn print(network: Network, out: &mut Vec<u8>) {
    let text = match network {
        Network::Inet(inet) if inet.bits() == inet.bits_max() => {
            let mut text = String::new();
            inet.print_host(&mut text);
            text
        }
        other => cast_text(other),
    };
    out.extend_from_slice(text.as_bytes());
}

/// As a cast to text shows it: with the bits of an inet in any case.
pub fn cast_text(network: Network) -> String {
    let mut text = String::new();
    match network {
        Network::Inet(inet) | Network::Cidr(inet) => inet.print_whole(&mut text),
        Network::Macaddr(address) => print_mac(&address, &mut text),
        Network::Macaddr8(address) => print_mac(&address, &mut text),
    }
    text
}

fn print_mac(address: &[u8], out: &mut String) {
    for (place, byte) in address.iter().enumerate() {
        if place > 0 {
            out.push(':');
        }
        out.push_str(&format!("{byte:02x}"));
    }
}

/// A `macaddr` as a `macaddr8`.
fn widened([a, b, c, d, e, f]: [u8; 6]) -> Network {
    Network::Macaddr8([a, b, c, 0xff, 0xfe, d, e, f])
}

/// 22P02 for text that is no value of the type, and for a cidr with bits behind its mask.
pub fn parse(of: NetworkType, text: &str) -> Result<Network> {
    match of {
        NetworkType::Inet => parse_ip(text, false).map(Network::Inet).ok_or_else(|| invalid(of, text)),
        NetworkType::Cidr => {
            let inet = parse_ip(text, true).ok_or_else(|| invalid(of, text))?;
            if inet.network() != inet {
                let error = Error::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    format!("invalid cidr value: \"{text}\""),
                );
                return Err(error.detail("Value has bits set to right of mask."));
            }
            Ok(Network::Cidr(inet))
        }
        NetworkType::Macaddr => match parse_mac(text, 6).ok_or_else(|| invalid(of, text))?.try_into() {
            Ok(address) => Ok(Network::Macaddr(address)),
            Err(_) => Err(invalid(of, text)),
        },
        NetworkType::Macaddr8 => {
            let bytes = parse_mac8(text).ok_or_else(|| invalid(of, text))?;
            match (<[u8; 8]>::try_from(bytes.as_slice()), <[u8; 6]>::try_from(bytes.as_slice())) {
                (Ok(address), _) => Ok(Network::Macaddr8(address)),
                (_, Ok(address)) => Ok(widened(address)),
                _ => Err(invalid(of, text)),
            }
        }
    }
}

fn parse_bits(text: &str) -> Option<u8> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn parse_ip(text: &str, is_cidr: bool) -> Option<Inet> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(parse_bits(bits)?)),
        None => (text, None),
    };
    if !address.contains(':') {
        return parse_v4(address, bits, is_cidr);
    }
    let address: IpAddr = address.parse::<Ipv6Addr>().ok()?.into();
    Inet::new(address, bits.unwrap_or(128))
}

/// One to four numbers, the others being zero. An inet of fewer than four has to say its bits; a cidr's are those of the
/// numbers, or of the class its first one is in.
fn parse_v4(text: &str, bits: Option<u8>, is_cidr: bool) -> Option<Inet> {
    let mut octets = [0u8; 4];
    let mut count = 0;
    for part in text.split('.') {
        let is_number = !part.is_empty() && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        *octets.get_mut(count)? = is_number.then(|| part.parse().ok()).flatten()?;
        count += 1;
    }
    let bits = match bits {
        Some(bits) if !is_cidr && count < 4 && u32::from(bits) > 8 * count as u32 => return None,
        Some(bits) => bits,
        None if !is_cidr => (count == 4).then_some(32)?,
        None if count == 4 => 32,
        None => {
            let of_class = match octets[0] {
                0..128 => 8,
                128..192 => 16,
                192..224 => 24,
                224..240 => 8,
                240.. => 32,
            };
            // The whole of class D.
            if octets[0] == 224 && count == 1 { 4 } else { of_class.max(8 * count as u8) }
        }
    };
    Inet::new(IpAddr::from(octets), bits)
}

/// Bytes of two digits each, with one separator throughout, between all bytes, or after each half or third of them.
fn parse_mac(text: &str, bytes: usize) -> Option<Vec<u8>> {
    let text = text.trim_matches(crate::types::text::is_space);
    let separator = text.chars().find(|c| !c.is_ascii_hexdigit());
    let parts: Vec<&str> = match separator {
        None => vec![text],
        Some(separator @ (':' | '-' | '.')) => text.split(separator).collect(),
        Some(_) => return None,
    };
    let digits = 2 * bytes;
    let is_grouped = match (separator, parts.len()) {
        // One or two digits each.
        (Some(':' | '-'), count) if count == bytes => parts.iter().all(|part| matches!(part.len(), 1 | 2)),
        (Some('.'), 3) => parts.iter().all(|part| part.len() == 4),
        (Some(':' | '-'), 2) => parts.iter().all(|part| part.len() == digits / 2),
        (Some('-'), 3) => parts.iter().all(|part| part.len() == 4),
        (None, 1) => text.len() == digits,
        _ => false,
    };
    if !is_grouped || !parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return None;
    }
    let joined: String = match parts.len() == bytes {
        true => parts.iter().map(|part| format!("{part:0>2}")).collect(),
        false => parts.concat(),
    };
    (0..bytes).map(|place| u8::from_str_radix(joined.get(2 * place..2 * place + 2)?, 16).ok()).collect()
}

/// Six or eight bytes of two digits each, between which there may be one and the same separator.
fn parse_mac8(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_matches(crate::types::text::is_space);
    let (mut bytes, mut separator) = (Vec::new(), None);
    let mut rest = text;
    while !rest.is_empty() {
        let pair = rest.get(..2).filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(pair, 16).ok()?);
        rest = &rest[2..];
        if let Some(found @ (':' | '-' | '.')) = rest.chars().next() {
            if separator.is_some_and(|known| known != found) || rest.len() == 1 {
                return None;
            }
            separator = Some(found);
            rest = &rest[1..];
        }
    }
    matches!(bytes.len(), 6 | 8).then_some(bytes)
}

/// PGSQL_AF_INET and PGSQL_AF_INET6 on the wire.
const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 3;

/// inet_send and its like: family, bits, whether it is a cidr, bytes of the address, address.
pub fn send(network: Network, out: &mut Vec<u8>) {
    let Some(inet) = network.inet() else { return out.extend_from_slice(&network.bytes()) };
    let is_cidr = u8::from(network.of() == NetworkType::Cidr);
    match inet.address() {
        IpAddr::V4(address) => {
            out.extend_from_slice(&[FAMILY_V4, inet.bits(), is_cidr, 4]);
            out.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.extend_from_slice(&[FAMILY_V6, inet.bits(), is_cidr, 16]);
            out.extend_from_slice(&address.octets());
        }
    }
}

/// 22P03 for bytes that are none.
pub fn receive(of: NetworkType, bytes: &[u8]) -> Result<Network> {
    let invalid = |what: &str| {
        let message = format!("invalid {what} in external \"{}\" value", of.name());
        Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
    };
    if !of.is_ip() {
        let short = <[u8; 6]>::try_from(bytes).ok().filter(|_| of == NetworkType::Macaddr8).map(widened);
        return short.or_else(|| Network::from_bytes(of, bytes)).ok_or_else(|| invalid("length"));
    }
    let [family, bits, _, length, address @ ..] = bytes else { return Err(invalid("length")) };
    let address = match (*family, <[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
        (FAMILY_V4, Ok(address), _) => IpAddr::from(address),
        (FAMILY_V6, _, Ok(address)) => IpAddr::from(address),
        (FAMILY_V4 | FAMILY_V6, ..) => return Err(invalid("length")),
        _ => return Err(invalid("address family")),
    };
    if usize::from(*length) + 4 != bytes.len() {
        return Err(invalid("length"));
    }
    let inet = Inet::new(address, *bits).ok_or_else(|| invalid("bits"))?;
    match of {
        NetworkType::Cidr if inet.network() != inet => {
            let error =
                Error::new(SqlState::INVALID_BINARY_REPRESENTATION, "invalid external \"cidr\" value");
            Err(error.detail("Value has bits set to right of mask."))
        }
        NetworkType::Cidr => Ok(Network::Cidr(inet)),
        _ => Ok(Network::Inet(inet)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(of: NetworkType, text: &str) -> String {
        let mut out = Vec::new();
        print(parse(of, text).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn reads_and_shows_as_postgresql() {
        use NetworkType::{Cidr, Inet, Macaddr, Macaddr8};
        for (of, text, expected) in [
            (Inet, "192.168.1.226/24", "192.168.1.226/24"),
            (Inet, "10.1.2.3/32", "10.1.2.3"),
            (Inet, "::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            (Inet, "10:23::8000/113", "10:23::8000/113"),
            (Inet, "::4.3.2.1/24", "::4.3.2.1/24"),
            (Inet, "::1", "::1"),
            (Cidr, "192.168.1", "192.168.1.0/24"),
            (Cidr, "10", "10.0.0.0/8"),
            (Cidr, "128.1", "128.1.0.0/16"),
            (Cidr, "192", "192.0.0.0/24"),
            (Cidr, "224", "224.0.0.0/4"),
            (Cidr, "10.1.2.3", "10.1.2.3/32"),
            (Cidr, "2001:db8::/32", "2001:db8::/32"),
            (Macaddr, "08:00:2b:01:02:03", "08:00:2b:01:02:03"),
            (Macaddr, "08002b:010203", "08:00:2b:01:02:03"),
            (Macaddr, "08002b-010203", "08:00:2b:01:02:03"),
            (Macaddr, "0800.2b01.0203", "08:00:2b:01:02:03"),
            (Macaddr, "0800-2b01-0203", "08:00:2b:01:02:03"),
            (Macaddr, " 08002B010203 ", "08:00:2b:01:02:03"),
            (Macaddr8, "08:00:2b:01:02:03", "08:00:2b:ff:fe:01:02:03"),
            (Macaddr8, "08002b:0102030405", "08:00:2b:01:02:03:04:05"),
        ] {
            assert_eq!(shown(of, text), expected, "{text}");
        }
        for (of, text) in [
            (Inet, "10.1.2"),
            (Inet, "1.2.3.4/33"),
            (Inet, "1234::1234::1234"),
            (Inet, ""),
            (Inet, "1.2.3.256"),
            (Cidr, "192.168.1.2/30"),
            (Macaddr, "08:00:2b:01:02"),
            (Macaddr, "0800:2b01:0203"),
            (Macaddr, "not even close"),
            (Macaddr8, "08:00-2b:01:02:03:04:05"),
            (Macaddr8, "08:00:2b:01:02:03:04:05:"),
        ] {
            assert_eq!(parse(of, text).unwrap_err().state(), SqlState::INVALID_TEXT_REPRESENTATION, "{text}");
        }
    }

    fn inets() -> impl Strategy<Value = Inet> {
        let v4 = (any::<u32>(), 0u8..=32).prop_map(|(number, bits)| {
            // Few, so that networks meet.
            Inet::new(IpAddr::V4(Ipv4Addr::from(number & 0xff03_0003)), bits).unwrap()
        });
        let v6 = (any::<u128>(), 0u8..=128)
            .prop_map(|(number, bits)| Inet::new(IpAddr::V6(Ipv6Addr::from(number)), bits).unwrap());
        prop_oneof![3 => v4, 1 => v6]
    }

    /// network_cmp: families, the bits that both networks have, their lengths, all bits.
    fn naive(a: Inet, b: Inet) -> Ordering {
        let bits = |inet: Inet| format!("{:0width$b}", inet.number(), width = usize::from(inet.bits_max()));
        let common = usize::from(a.bits().min(b.bits()));
        a.family().cmp(&b.family()).then_with(|| {
            let (x, y) = (bits(a), bits(b));
            x[..common].cmp(&y[..common]).then(a.bits().cmp(&b.bits())).then(x.cmp(&y))
        })
    }

    proptest! {
        #[test]
        fn all_forms_lead_back(inet in inets(), mac in any::<[u8; 6]>(), mac8 in any::<[u8; 8]>()) {
            let cidr = Network::Cidr(inet.network());
            for network in [Network::Inet(inet), cidr, Network::Macaddr(mac), Network::Macaddr8(mac8)] {
                prop_assert_eq!(Network::from_bytes(network.of(), &network.bytes()), Some(network));
                let mut bytes = Vec::new();
                send(network, &mut bytes);
                prop_assert_eq!(receive(network.of(), &bytes).unwrap(), network);
                bytes.clear();
                print(network, &mut bytes);
                let text = String::from_utf8(bytes).unwrap();
                prop_assert_eq!(parse(network.of(), &text).unwrap(), network, "{}", text);
            }
        }

        #[test]
        fn orders_as_postgresql(a in inets(), b in inets()) {
            prop_assert_eq!(Network::Inet(a).partial_cmp(&Network::Inet(b)), Some(naive(a, b)));
            if a.contains(b, true) {
                prop_assert!(a.overlaps(b) && naive(a.network(), b.network()).is_le());
            }
        }

        #[test]
        fn no_text_and_no_bytes_panic(text in "[0-9a-f.:/ -]{0,24}", bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for of in NetworkType::ALL {
                let _ = (parse(of, &text), receive(of, &bytes), Network::from_bytes(of, &bytes));
            }
        }
    }
}
