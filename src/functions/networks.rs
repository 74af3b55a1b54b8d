//! Functions and operators of `inet`, `cidr`, `macaddr` and `macaddr8`.
//!
//! Where PostgreSQL has a function of `inet`, a `cidr` is one too; what is one of a `cidr` alone is defined before.
//! See <https://www.postgresql.org/docs/17/functions-net.html>.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::value::{Definition, functions as build, strict};
use crate::types::network::Inet;
use crate::types::{Network, Value};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

/// The function behind a binary operator of addresses.
pub fn function_of_operator(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "<<" => "network_sub",
        "<<=" => "network_subeq",
        ">>" => "network_sup",
        ">>=" => "network_supeq",
        "&&" => "network_overlap",
        "&" => "network_and",
        "|" => "network_or",
        "+" => "network_plus",
        "-" => "network_minus",
        _ => return None,
    })
}

/// The function behind `~`.
pub const NOT: &str = "network_not";
/// `trunc(macaddr)`.
pub const TRUNCATE: &str = "trunc_address";

fn definitions() -> Vec<Definition> {
    vec![
        strict("host(inet) text", |v| text(&v[0], Inet::print_host)),
        strict("family(inet) int4", |v| Ok(Value::Int4(inet(&v[0])?.family().into()))),
        strict("masklen(inet) int4", |v| Ok(Value::Int4(inet(&v[0])?.bits().into()))),
        strict("netmask(inet) inet", |v| {
            of_address(&v[0], |inet| inet.ones() & !inet.host_mask(inet.bits()))
        }),
        strict("hostmask(inet) inet", |v| of_address(&v[0], |inet| inet.host_mask(inet.bits()))),
        strict("network(inet) cidr", |v| Ok(Value::Network(Network::Cidr(inet(&v[0])?.network())))),
        strict("broadcast(inet) inet", |v| {
            let inet = inet(&v[0])?;
            Ok(Value::Network(Network::Inet(inet.with_number(inet.number() | inet.host_mask(inet.bits())))))
        }),
        strict("abbrev(cidr) text", |v| Ok(Value::Text(abbreviated(inet(&v[0])?)))),
        strict("abbrev(inet) text", |v| Ok(Value::Text(crate::types::text::to_string(&v[0])))),
        strict("set_masklen(cidr, int4) cidr", |v| {
            Ok(Value::Network(Network::Cidr(with_bits(inet(&v[0])?, &v[1])?.network())))
        }),
        strict("set_masklen(inet, int4) inet", |v| {
            Ok(Value::Network(Network::Inet(with_bits(inet(&v[0])?, &v[1])?)))
        }),
        strict("inet_same_family(inet, inet) bool", |v| {
            Ok(Value::Bool(inet(&v[0])?.family() == inet(&v[1])?.family()))
        }),
        strict("inet_merge(inet, inet) cidr", |v| merged(inet(&v[0])?, inet(&v[1])?)),
        strict("network_sub(inet, inet) bool", |v| within(&v[1], &v[0], false)),
        strict("network_subeq(inet, inet) bool", |v| within(&v[1], &v[0], true)),
        strict("network_sup(inet, inet) bool", |v| within(&v[0], &v[1], false)),
        strict("network_supeq(inet, inet) bool", |v| within(&v[0], &v[1], true)),
        strict("network_overlap(inet, inet) bool", |v| Ok(Value::Bool(inet(&v[0])?.overlaps(inet(&v[1])?)))),
        strict("network_and(inet, inet) inet", |v| bitwise(&v[0], &v[1], "AND", |a, b| a & b)),
        strict("network_or(inet, inet) inet", |v| bitwise(&v[0], &v[1], "OR", |a, b| a | b)),
        strict("network_and(macaddr, macaddr) macaddr", |v| bytewise(&v[0], &v[1], |a, b| a & b)),
        strict("network_or(macaddr, macaddr) macaddr", |v| bytewise(&v[0], &v[1], |a, b| a | b)),
        strict("network_and(macaddr8, macaddr8) macaddr8", |v| bytewise(&v[0], &v[1], |a, b| a & b)),
        strict("network_or(macaddr8, macaddr8) macaddr8", |v| bytewise(&v[0], &v[1], |a, b| a | b)),
        strict("network_not(inet) inet", |v| {
            let inet = inet(&v[0])?;
            Ok(Value::Network(Network::Inet(inet.with_number(!inet.number() & inet.ones()))))
        }),
        strict("network_not(macaddr) macaddr", |v| bytewise(&v[0], &v[0], |a, _| !a)),
        strict("network_not(macaddr8) macaddr8", |v| bytewise(&v[0], &v[0], |a, _| !a)),
        strict("network_plus(inet, int8) inet", |v| moved(inet(&v[0])?, whole(&v[1]))),
        strict("network_plus(int8, inet) inet", |v| moved(inet(&v[1])?, whole(&v[0]))),
        strict("network_minus(inet, int8) inet", |v| moved(inet(&v[0])?, -whole(&v[1]))),
        strict("network_minus(inet, inet) int8", |v| distance(inet(&v[0])?, inet(&v[1])?)),
        strict("trunc_address(macaddr) macaddr", |v| Ok(truncated(&v[0]))),
        strict("trunc_address(macaddr8) macaddr8", |v| Ok(truncated(&v[0]))),
        strict("macaddr8_set7bit(macaddr8) macaddr8", |v| match v[0] {
            Value::Network(Network::Macaddr8([first, rest @ ..])) => {
                let mut address = [first | 0x02, 0, 0, 0, 0, 0, 0, 0];
                address[1..].copy_from_slice(&rest);
                Ok(Value::Network(Network::Macaddr8(address)))
            }
            _ => Ok(Value::Null),
        }),
    ]
}

fn inet(value: &Value) -> Result<Inet> {
    match value {
        Value::Network(network) => network.inet(),
        _ => None,
    }
    .ok_or_else(|| Error::internal("an address of a network was expected"))
}

fn whole(value: &Value) -> i128 {
    if let Value::Int8(value) = value { i128::from(*value) } else { 0 }
}

fn text(value: &Value, print: fn(Inet, &mut String)) -> Result<Value> {
    let mut text = String::new();
    print(inet(value)?, &mut text);
    Ok(Value::Text(text))
}

/// An address of all its bits whose number is computed.
fn of_address(value: &Value, number: fn(Inet) -> u128) -> Result<Value> {
    let inet = inet(value)?;
    let made = Inet::new(inet.with_number(number(inet)).address(), inet.bits_max());
    made.map(|made| Value::Network(Network::Inet(made)))
        .ok_or_else(|| Error::internal("all bits are too many"))
}

/// A network without the numbers behind its mask: `10.1/16`.
fn abbreviated(inet: Inet) -> String {
    match inet.address() {
        std::net::IpAddr::V4(address) => {
            let shown = usize::from(inet.bits().div_ceil(8).max(1));
            let octets = address.octets().map(|octet| octet.to_string());
            format!("{}/{}", octets[..shown].join("."), inet.bits())
        }
        std::net::IpAddr::V6(_) if inet.bits() == 0 => "::/0".to_owned(),
        std::net::IpAddr::V6(address) => {
            let words = usize::from(inet.bits().div_ceil(16)).max(2);
            format!("{}/{}", shortened(&address.segments()[..words], inet.bits()), inet.bits())
        }
    }
}

/// The first words of an IPv6 address, with the longest run of zeros left out, and the end of an IPv4 address in it as such.
fn shortened(words: &[u16], bits: u8) -> String {
    let (mut from, mut zeros) = (0, 0);
    for start in 0..words.len() {
        let run = words[start..].iter().take_while(|word| **word == 0).count();
        if run > zeros {
            (from, zeros) = (start, run);
        }
    }
    let word = |at: usize| words.get(at).copied().unwrap_or(0);
    let is_mapped = zeros == 6
        || zeros == 5 && word(5) == 0xFFFF
        || zeros == 7 && word(7) >> 8 != 0 && word(7) & 0xFF != 1;
    let is_v4 = from == 0 && zeros != words.len() && is_mapped;
    let mut out = String::new();
    for (at, word) in words.iter().enumerate() {
        if (from..from + zeros).contains(&at) {
            out.push_str(if at == from { ":" } else { "" });
            out.push_str(if at + 1 == words.len() { ":" } else { "" });
        } else if is_v4 && at > 5 {
            out.push(if at == 6 { ':' } else { '.' });
            out.push_str(&(word >> 8).to_string());
            // Without the last octet, where the mask ends before it.
            if at != 7 || bits > 120 {
                out.push_str(&format!(".{}", word & 0xFF));
            }
        } else {
            out.push_str(if out.is_empty() { "" } else { ":" });
            out.push_str(&format!("{word:x}"));
        }
    }
    out
}

/// -1 stands for all bits; 22023 for others that an address has not.
fn with_bits(inet: Inet, bits: &Value) -> Result<Inet> {
    let Value::Int4(bits) = bits else { return Err(Error::internal("a number of bits was expected")) };
    let wanted = if *bits == -1 { Some(inet.bits_max()) } else { u8::try_from(*bits).ok() };
    wanted
        .and_then(|bits| Inet::new(inet.address(), bits))
        .ok_or_else(|| Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid mask length: {bits}")))
}

fn merged(a: Inet, b: Inet) -> Result<Value> {
    if a.family() != b.family() {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "cannot merge addresses from different families",
        ));
    }
    let mut bits = a.bits().min(b.bits());
    while (a.number() ^ b.number()) & !a.host_mask(bits) & a.ones() != 0 {
        bits -= 1;
    }
    let network = Inet::new(a.address(), bits).map(Inet::network);
    network.map(|network| Value::Network(Network::Cidr(network))).ok_or_else(|| Error::internal("bits grew"))
}

fn within(outer: &Value, inner: &Value, or_equal: bool) -> Result<Value> {
    Ok(Value::Bool(inet(outer)?.contains(inet(inner)?, or_equal)))
}

/// Of the greater number of bits.
fn bitwise(a: &Value, b: &Value, name: &str, combine: fn(u128, u128) -> u128) -> Result<Value> {
    let (a, b) = (inet(a)?, inet(b)?);
    if a.family() != b.family() {
        let message = format!("cannot {name} inet values of different sizes");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let made = a.with_number(combine(a.number(), b.number()));
    let made = Inet::new(made.address(), a.bits().max(b.bits())).unwrap_or(made);
    Ok(Value::Network(Network::Inet(made)))
}

fn bytewise(a: &Value, b: &Value, combine: fn(u8, u8) -> u8) -> Result<Value> {
    Ok(match (a, b) {
        (Value::Network(Network::Macaddr(a)), Value::Network(Network::Macaddr(b))) => {
            Value::Network(Network::Macaddr(std::array::from_fn(|place| combine(a[place], b[place]))))
        }
        (Value::Network(Network::Macaddr8(a)), Value::Network(Network::Macaddr8(b))) => {
            Value::Network(Network::Macaddr8(std::array::from_fn(|place| combine(a[place], b[place]))))
        }
        _ => Value::Null,
    })
}

fn out_of_range() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "result is out of range")
}

fn moved(inet: Inet, by: i128) -> Result<Value> {
    let number = inet.number().checked_add_signed(by).filter(|number| *number <= inet.ones());
    number.map(|number| Value::Network(Network::Inet(inet.with_number(number)))).ok_or_else(out_of_range)
}

fn distance(a: Inet, b: Inet) -> Result<Value> {
    if a.family() != b.family() {
        let message = "cannot subtract inet values of different sizes";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let apart = i64::try_from(a.number().abs_diff(b.number())).map_err(|_| out_of_range())?;
    Ok(Value::Int8(if a.number() < b.number() { -apart } else { apart }))
}

/// The manufacturer's part of an address.
fn truncated(value: &Value) -> Value {
    match *value {
        Value::Network(Network::Macaddr([a, b, c, ..])) => {
            Value::Network(Network::Macaddr([a, b, c, 0, 0, 0]))
        }
        Value::Network(Network::Macaddr8([a, b, c, ..])) => {
            Value::Network(Network::Macaddr8([a, b, c, 0, 0, 0, 0, 0]))
        }
        _ => Value::Null,
    }
}
