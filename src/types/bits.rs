//! Bit strings: `bit(n)` and `bit varying(n)`, with PostgreSQL's words for what is wrong with one.

use crate::error::{Error, Result, SqlState};
use crate::types::Type;

/// PostgreSQL's limit of a declared length: 10 MiB of bits.
const LENGTH_MAX: i64 = 83_886_080;

/// A bit string, packed eight to a byte, the first in the highest bit. What is left of the last byte is zero, so that
/// the derived order, by bytes and then by length, is PostgreSQL's.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bits {
    bytes: Vec<u8>,
    length: u32,
}

/// What is made of two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Combine {
    And,
    Or,
    Xor,
}

impl Bits {
    /// The first `length` bits of `bytes`; zeros where they end.
    pub fn new(mut bytes: Vec<u8>, length: u32) -> Bits {
        bytes.resize(length.div_ceil(8) as usize, 0);
        if let (Some(last), spare @ 1..) = (bytes.last_mut(), 8 * length.div_ceil(8) - length) {
            *last &= 0xFF << spare;
        }
        Bits { bytes, length }
    }

    pub fn zeros(length: u32) -> Bits {
        Bits::new(Vec::new(), length)
    }

    /// How many bits.
    pub fn len(&self) -> u32 {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Counted from 0.
    pub fn get(&self, at: u32) -> bool {
        at < self.length && self.bytes[at as usize / 8] & 0x80 >> (at % 8) != 0
    }

    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.length).map(|at| self.get(at))
    }

    /// The same bits, cut or filled with zeros on the right.
    pub fn resized(self, length: u32) -> Bits {
        Bits::new(self.bytes, length)
    }

    pub fn not(&self) -> Bits {
        Bits::new(self.bytes.iter().map(|byte| !byte).collect(), self.length)
    }

    /// Byte by byte; 22026 for different lengths.
    pub fn combine(&self, other: &Bits, how: Combine) -> Result<Bits> {
        let (verb, f): (_, fn(u8, u8) -> u8) = match how {
            Combine::And => ("AND", |a, b| a & b),
            Combine::Or => ("OR", |a, b| a | b),
            Combine::Xor => ("XOR", |a, b| a ^ b),
        };
        if self.length != other.length {
            let message = format!("cannot {verb} bit strings of different sizes");
            return Err(Error::new(SqlState::STRING_DATA_LENGTH_MISMATCH, message));
        }
        let bytes = self.bytes.iter().zip(&other.bytes).map(|(&a, &b)| f(a, b)).collect();
        Ok(Bits::new(bytes, self.length))
    }

    /// `<<` for positive `by`, `>>` for negative; zeros come in.
    pub fn shifted(&self, by: i64) -> Bits {
        let length = i64::from(self.length);
        let bit = |at: i64| (0..length).contains(&at) && self.get(at as u32);
        Bits::from_iter((0..length).map(|at| bit(at.saturating_add(by))))
    }

    pub fn concat(&self, other: &Bits) -> Result<Bits> {
        let length = u64::from(self.length) + u64::from(other.length);
        if length > LENGTH_MAX as u64 {
            let message = format!("bit string length exceeds the maximum allowed ({LENGTH_MAX})");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        if self.length.is_multiple_of(8) {
            return Ok(Bits::new([self.bytes(), other.bytes()].concat(), length as u32));
        }
        Ok(Bits::from_iter(self.iter().chain(other.iter())))
    }

    /// PostgreSQL's substring: `start` counts from 1, what lies outside is cut off.
    pub fn substring(&self, start: i64, count: Option<i64>) -> Result<Bits> {
        let end = match count {
            None => i64::from(self.length) + 1,
            Some(count) if count < 0 => {
                return Err(Error::new(SqlState("22011"), "negative substring length not allowed"));
            }
            Some(count) => start.saturating_add(count).min(i64::from(self.length) + 1),
        };
        let first = start.max(1);
        Ok(Bits::from_iter((first..end).map(|at| self.get((at - 1) as u32))))
    }

    /// get_bit(): counted from 0.
    pub fn checked_get(&self, at: i32) -> Result<bool> {
        self.check_index(at).map(|at| self.get(at))
    }

    /// set_bit()
    pub fn with(&self, at: i32, bit: i32) -> Result<Bits> {
        let at = self.check_index(at)?;
        let mut changed = self.clone();
        let byte = &mut changed.bytes[at as usize / 8];
        match bit {
            0 => *byte &= !(0x80 >> (at % 8)),
            1 => *byte |= 0x80 >> (at % 8),
            _ => {
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "new bit must be 0 or 1"));
            }
        }
        Ok(changed)
    }

    fn check_index(&self, at: i32) -> Result<u32> {
        match u32::try_from(at) {
            Ok(index) if index < self.length => Ok(index),
            _ => {
                let last = i64::from(self.length) - 1;
                let message = format!("bit index {at} out of valid range (0..{last})");
                Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message))
            }
        }
    }

    /// Where `part` first stands in it, from 1; 0 when nowhere.
    pub fn position(&self, part: &Bits) -> i32 {
        let Some(last) = self.length.checked_sub(part.length) else { return 0 };
        let found = (0..=last).find(|&start| (0..part.length).all(|at| self.get(start + at) == part.get(at)));
        match found {
            Some(_) if self.is_empty() => 0,
            found => found.map_or(0, |at| at as i32 + 1),
        }
    }

    /// The lowest bits of a number, its sign on the left.
    pub fn of_integer(number: i64, length: u32) -> Bits {
        Bits::from_iter((0..length).rev().map(|place| number >> place.min(63) & 1 == 1))
    }

    /// As a number of `width` bits, to which it may not be too long.
    pub fn to_integer(&self, width: u32) -> Option<i64> {
        if self.length > width {
            return None;
        }
        let number = self.iter().fold(0u64, |number, bit| number << 1 | u64::from(bit));
        Some(if width == 32 { i64::from(number as u32 as i32) } else { number as i64 })
    }

    /// As a column of `ty` holds it. `explicit`: the statement says so, and a string of another length is cut or
    /// filled.
    pub fn fit(self, ty: &Type, explicit: bool) -> Result<Bits> {
        match *ty {
            Type::Bit(Some(length)) if length != self.length => {
                if !explicit {
                    let message =
                        format!("bit string length {} does not match type bit({length})", self.length);
                    return Err(Error::new(SqlState::STRING_DATA_LENGTH_MISMATCH, message));
                }
                Ok(self.resized(length))
            }
            Type::Varbit(Some(length)) if length < self.length => {
                if !explicit {
                    let message = format!("bit string too long for type bit varying({length})");
                    return Err(Error::new(SqlState::STRING_DATA_RIGHT_TRUNCATION, message));
                }
                Ok(self.resized(length))
            }
            _ => Ok(self),
        }
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Bits {
        let (mut bytes, mut length) = (Vec::new(), 0u32);
        for bit in bits {
            if length.is_multiple_of(8) {
                bytes.push(0);
            }
            if let (Some(last), true) = (bytes.last_mut(), bit) {
                *last |= 0x80 >> (length % 8);
            }
            length += 1;
        }
        Bits { bytes, length }
    }
}

/// The length in `bit(n)` or `varbit(n)`; `name` is the one messages use.
pub fn typmod_in(modifiers: &[i64], name: &str) -> Result<Option<u32>> {
    let refused = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    match *modifiers {
        [] => Ok(None),
        [n] if n < 1 => refused(format!("length for type {name} must be at least 1")),
        [n] if n > LENGTH_MAX => refused(format!("length for type {name} cannot exceed {LENGTH_MAX}")),
        [n] => Ok(Some(n as u32)),
        _ => refused("invalid type modifier".into()),
    }
}

/// `101`
pub fn print(bits: &Bits, out: &mut Vec<u8>) {
    out.extend(bits.iter().map(|bit| if bit { b'1' } else { b'0' }));
}

/// `101`, `b101`, `x1F`.
pub fn parse(text: &str) -> Result<Bits> {
    match text.as_bytes().first() {
        Some(b'x' | b'X') => parse_hex(&text[1..]),
        Some(b'b' | b'B') => parse_binary(&text[1..]),
        _ => parse_binary(text),
    }
}

fn parse_binary(text: &str) -> Result<Bits> {
    if let Some(wrong) = text.chars().find(|c| !matches!(c, '0' | '1')) {
        return Err(no_digit(wrong, "binary"));
    }
    Ok(Bits::from_iter(text.bytes().map(|digit| digit == b'1')))
}

fn parse_hex(text: &str) -> Result<Bits> {
    let digit = |c: char| c.to_digit(16).ok_or_else(|| no_digit(c, "hexadecimal"));
    let digits: Vec<u32> = text.chars().map(digit).collect::<Result<_>>()?;
    Ok(Bits::from_iter(
        digits.iter().flat_map(|digit| (0..4).rev().map(move |place| digit >> place & 1 == 1)),
    ))
}

fn no_digit(wrong: char, kind: &str) -> Error {
    let message = format!("\"{wrong}\" is not a valid {kind} digit");
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

/// bit_send: how many, then the bytes.
pub fn send(bits: &Bits, out: &mut Vec<u8>) {
    out.extend_from_slice(&bits.length.to_be_bytes());
    out.extend_from_slice(&bits.bytes);
}

/// bit_recv
pub fn receive(bytes: &[u8]) -> Result<Bits> {
    let invalid =
        || Error::new(SqlState::INVALID_BINARY_REPRESENTATION, "invalid length in external bit string");
    let (length, bits) = bytes.split_first_chunk::<4>().ok_or_else(invalid)?;
    let length = u32::try_from(i32::from_be_bytes(*length)).map_err(|_| invalid())?;
    if bits.len() != length.div_ceil(8) as usize {
        return Err(invalid());
    }
    Ok(Bits::new(bits.to_vec(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(text: &str) -> Bits {
        parse(text).unwrap()
    }

    fn text(bits: &Bits) -> String {
        let mut out = Vec::new();
        print(bits, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn read_print_and_order_as_in_postgres() {
        for (read, printed) in [("101", "101"), ("x1F", "00011111"), ("b", ""), ("B01", "01"), ("Xf", "1111")]
        {
            assert_eq!(text(&bits(read)), printed);
        }
        assert_eq!(parse("10é").unwrap_err().message(), "\"é\" is not a valid binary digit");
        assert_eq!(parse("x1g").unwrap_err().message(), "\"g\" is not a valid hexadecimal digit");
        let ordered = ["", "0", "00", "01", "1", "10", "100000000", "101", "11"];
        for pair in ordered.windows(2) {
            assert!(bits(pair[0]) < bits(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn operations() {
        let a = bits("1100110011");
        assert_eq!(text(&a.not()), "0011001100");
        assert_eq!(text(&a.shifted(3)), "0110011000");
        assert_eq!(text(&a.shifted(-3)), "0001100110");
        assert_eq!(text(&a.shifted(i64::MAX)), "0000000000");
        assert_eq!(text(&a.concat(&bits("01")).unwrap()), "110011001101");
        assert_eq!(text(&a.substring(-1, Some(4)).unwrap()), "11");
        assert_eq!(text(&a.substring(9, None).unwrap()), "11");
        assert_eq!((a.position(&bits("0011")), a.position(&bits("111"))), (3, 0));
        assert_eq!(text(&a.with(0, 0).unwrap()), "0100110011");
        assert_eq!(a.checked_get(10).unwrap_err().message(), "bit index 10 out of valid range (0..9)");
        assert!(a.combine(&bits("1"), Combine::And).is_err());
        assert_eq!(text(&Bits::of_integer(-5, 40)), format!("{}011", "1".repeat(37)));
        assert_eq!(bits("101").to_integer(32), Some(5));
        assert_eq!(bits(&"1".repeat(32)).to_integer(32), Some(-1));
        assert_eq!(bits(&"1".repeat(33)).to_integer(32), None);
    }

    #[test]
    fn lengths() {
        let a = bits("101");
        assert_eq!(text(&a.clone().fit(&Type::Bit(Some(5)), true).unwrap()), "10100");
        assert_eq!(text(&a.clone().fit(&Type::Varbit(Some(2)), true).unwrap()), "10");
        let refused = |ty| a.clone().fit(&ty, false).unwrap_err().message().to_owned();
        assert_eq!(refused(Type::Bit(Some(5))), "bit string length 3 does not match type bit(5)");
        assert_eq!(refused(Type::Varbit(Some(2))), "bit string too long for type bit varying(2)");
        let mut sent = Vec::new();
        send(&a, &mut sent);
        assert_eq!(receive(&sent).unwrap(), a);
        assert!(receive(&[0, 0, 0, 9, 1]).is_err() && receive(&[0xFF; 5]).is_err() && receive(&[0]).is_err());
        assert_eq!(receive(&[0, 0, 0, 3, 0xFF]).unwrap(), bits("111"));
    }
}
