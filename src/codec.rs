//! Integers, strings and ordered keys as bytes: little-endian, fixed widths or LEB128, reads that are checked.
//!
//! Writers append to a `Vec<u8>` with the `put_*` functions. A [`Reader`] takes the same things back, and instead
//! of trusting a length it answers [`Error::corrupt`] with the name of the file and the offset. [`key`] is the
//! other half: values as bytes whose order is SQL's.

use std::fmt::Display;

use crate::error::{Error, Result};

pub fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_f32(out: &mut Vec<u8>, value: f32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// LEB128: seven bits per byte, lowest first; a u64 takes one to ten bytes.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The length as a varint, then the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub fn put_str(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Refuses the header of a newer program's file (55000): 8 bytes, its version as a u32, and more that this program need not
/// understand. Headers of versions up to `newest` have a checksum of so many bytes as `summed` says behind them. One that
/// would be right if only the version were another is a header of that version, and its version rotted: that is damage,
/// which is for the caller to find.
pub fn refuse_newer(
    file: impl Display,
    header: &[u8],
    newest: u32,
    summed: impl Fn(u32) -> usize,
) -> Result<()> {
    let word = |at: usize| match header.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    };
    let version = word(8);
    let would_be_right = |known: u32| {
        let mut header = header[..summed(known)].to_vec();
        header[8..12].copy_from_slice(&known.to_le_bytes());
        crc32c::crc32c(&header) == word(summed(known))
    };
    match version > newest && !(1..=newest).any(would_be_right) {
        true => Err(Error::newer_format(file, version, newest)),
        false => Ok(()),
    }
}

/// Takes values from the front of a slice. Every read is checked; an error names where in which file.
#[derive(Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    name: &'a str,
    base: u64,
}

/// Methods of a reader that take a number of each type, lowest byte first, by its `array` of bytes.
macro_rules! little_endian {
    ($($number:ident),*) => {
        $(pub fn $number(&mut self) -> Result<$number> {
            Ok($number::from_le_bytes(self.array()?))
        })*
    };
}
pub(crate) use little_endian;

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0, name: "a record", base: 0 }
    }

    /// For errors: `bytes` are from the file `name`, where they start at `base`.
    pub fn named(self, name: &'a str, base: u64) -> Reader<'a> {
        Reader { name, base, ..self }
    }

    /// Bytes taken so far.
    pub fn position(&self) -> usize {
        self.at
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The rest, which counts as taken.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest
    }

    /// Refuses bytes that nothing has read.
    pub fn finish(&self) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(self.corrupt("the end", format_args!("{count} more bytes"))),
        }
    }

    /// The damage at the present position.
    pub fn corrupt(&self, expected: impl Display, found: impl Display) -> Error {
        Error::corrupt(self.name, self.base + self.at as u64, expected, found)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        if count > self.remaining() {
            return Err(self.corrupt(format_args!("{count} bytes"), format_args!("{}", self.remaining())));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    little_endian!(u16, u32, u64, i64, f32);

    pub fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.corrupt("a varint of 64 bits", "a longer one"))
    }

    /// A varint that must fit a u32.
    pub fn varint_u32(&mut self) -> Result<u32> {
        let value = self.varint()?;
        u32::try_from(value).map_err(|_| self.corrupt("a number of 32 bits", value))
    }

    /// What [`put_bytes`] wrote.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.varint()?;
        match usize::try_from(len) {
            Ok(len) => self.take(len),
            Err(_) => Err(self.corrupt(format_args!("{len} bytes"), self.remaining())),
        }
    }

    pub fn str(&mut self) -> Result<&'a str> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|error| self.corrupt("UTF-8 text", error))
    }
}

/// Values as bytes that compare as SQL compares the values, one after the other.
///
/// ```text
/// NULL               FF                              last, as in PostgreSQL's ascending order
/// integers, dates    77..88, then 0 to 8 bytes       the first byte is sign and length: small numbers are short,
///                                                    and int2, int4 and int8 of one value are the same bytes
/// all others         01, then:
///   bool             00 | 01
///   floats           8 bytes of the float8           sign-flipped; NaN greatest, -0 = 0
///   numeric          kind, exponent, digit pairs     1.0 = 1.00; complemented when negative; infinity and NaN are a kind
///   text, bytea      00 as 00 FF, closed by 00 00; ranges and addresses the same with the bytes that rows hold
///   jsonb            as bytea, of its sort key       1.0 = 1
///   interval         16 bytes                        microseconds, a month taken as 30 days
///   uuid             16 bytes
///   timetz           12 bytes                        microseconds in Greenwich, seconds west
///   bits             bytes as in bytea, then how many bits
///   sparsevec        the next thing that is not zero, until the end:
///                      10 index 00          the end, the index being the dimensions
///                      10 index 01 value    an element below zero
///                      20 ~index value      one above, which comes the later the farther on it is
///   array, vector    01 before each element, closed by 00
/// ```
///
/// Each encoding ends itself and none is the beginning of another, so keys of several columns are just joined,
/// and the encoding of the first columns is the prefix of all keys that agree on them.
pub mod key {
    use crate::types::numeric::{self, Special};
    use crate::types::sort_key::document;
    use crate::types::{Interval, Numeric, Sparse, Value};

    const NULL: u8 = 0xFF;
    const PRESENT: u8 = 0x01;
    /// The header of integer zero; positive numbers have greater ones, negative numbers smaller ones.
    const ZERO: u8 = 0x80;
    const END: u8 = 0x00;
    const MORE: u8 = 0x01;

    /// Appends the key of `values`.
    pub fn encode(values: &[Value], out: &mut Vec<u8>) {
        for value in values {
            encode_one(value, out);
        }
    }

    /// The key of `values` as bytes of its own.
    pub fn of(values: &[Value]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(values, &mut out);
        out
    }

    pub fn encode_one(value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Null => return out.push(NULL),
            Value::Int2(value) => return integer(i64::from(*value), out),
            Value::Int4(value) | Value::Date(value) => return integer(i64::from(*value), out),
            Value::Int8(value) | Value::Time(value) | Value::Money(value) => return integer(*value, out),
            Value::Timestamp(value) | Value::Timestamptz(value) => return integer(*value, out),
            Value::Oid(value) => return integer(i64::from(*value), out),
            Value::Enum(value) => return integer(value.order, out),
            _ => out.push(PRESENT),
        }
        match value {
            Value::Bool(value) => out.push(u8::from(*value)),
            Value::Float4(value) => float(f64::from(*value), out),
            Value::Float8(value) => float(*value, out),
            Value::Numeric(value) => number(value, out),
            Value::Text(text) | Value::Json(text) => escaped(text.as_bytes(), out),
            // What is equal may look different. The text of a document is one that was read.
            Value::Jsonb(text) => escaped(&document(text).unwrap_or_default(), out),
            Value::Bytea(bytes) => escaped(bytes, out),
            Value::Interval(value) => interval(value, out),
            Value::Uuid(bytes) => out.extend_from_slice(bytes),
            Value::Tid(place) => out.extend_from_slice(&place.to_bytes()),
            Value::Timetz(time) => out.extend_from_slice(&time.to_bytes()),
            Value::Vector(elements) => {
                list(elements, out, |element, out| float(f64::from(*element), out));
            }
            Value::Halfvec(elements) => {
                list(elements, out, |element, out| float(f64::from(element.to_f32()), out));
            }
            Value::Sparsevec(vector) => sparse(vector.as_sparse(), out),
            Value::Bits(bits) => {
                escaped(bits.bytes(), out);
                out.extend_from_slice(&bits.len().to_be_bytes());
            }
            // Their bytes sort as they do.
            Value::TsVector(vector) => escaped(vector.bytes(), out),
            Value::TsQuery(query) => escaped(&query.bytes(), out),
            Value::Range(range) => escaped(&range.bytes(), out),
            Value::Multirange(ranges) => escaped(&ranges.bytes(), out),
            Value::Network(network) => escaped(&network.bytes(), out),
            Value::Hstore(hstore) => escaped(&hstore.bytes(), out),
            Value::Array(elements) => list(elements, out, encode_one),
            Value::Record(fields) => list(fields, out, |(_, value), out| encode_one(value, out)),
            Value::Null
            | Value::Int2(_)
            | Value::Int4(_)
            | Value::Int8(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::Money(_)
            | Value::Timestamp(_)
            | Value::Timestamptz(_)
            | Value::Oid(_)
            | Value::Enum(_) => unreachable!("answered above"),
        }
    }

    /// Of two vectors that agree up to here, the one that goes on with an end or an element below zero is the smaller,
    /// the more so the sooner that comes; an element above zero makes it the greater.
    fn sparse(vector: Sparse, out: &mut Vec<u8>) {
        const LOW: u8 = 0x10;
        const HIGH: u8 = 0x20;
        for (index, value) in vector.elements() {
            if value < 0.0 {
                out.push(LOW);
                out.extend_from_slice(&index.to_be_bytes());
                out.push(MORE);
            } else {
                out.push(HIGH);
                out.extend_from_slice(&(!index).to_be_bytes());
            }
            float(f64::from(value), out);
        }
        out.push(LOW);
        out.extend_from_slice(&vector.dimensions().to_be_bytes());
        out.push(END);
    }

    /// Header (sign and count of significant bytes), then those bytes, highest first. Of two negative numbers of one
    /// count, the smaller has the smaller two's complement bytes, so they need no flipping.
    fn integer(value: i64, out: &mut Vec<u8>) {
        let magnitude = if value < 0 { !value } else { value };
        let count = 8 - magnitude.leading_zeros() as usize / 8;
        out.push(if value < 0 { ZERO - 1 - count as u8 } else { ZERO + count as u8 });
        out.extend_from_slice(&value.to_be_bytes()[8 - count..]);
    }

    /// One zero, and one NaN, above everything.
    pub fn float(value: f64, out: &mut Vec<u8>) {
        const SIGN: u64 = 1 << 63;
        let bits = match value {
            value if value.is_nan() => f64::NAN.to_bits() & !SIGN,
            0.0 => 0,
            value => value.to_bits(),
        };
        let ordered = if bits & SIGN != 0 { !bits } else { bits | SIGN };
        out.extend_from_slice(&ordered.to_be_bytes());
    }

    /// 0.d1d2d3... times 10^exponent, with d1 not zero and no zeros at the end, so that equal numbers look the same.
    pub fn number(value: &Numeric, out: &mut Vec<u8>) {
        if value.is_zero() {
            return out.push(ZERO);
        }
        let start = out.len();
        match value.significand() {
            Some((digits, exponent)) => {
                match i16::try_from(exponent) {
                    Ok(exponent) => {
                        out.push(ZERO + 1);
                        out.extend_from_slice(&((exponent as u16) ^ 0x8000).to_be_bytes());
                    }
                    // Above all that fit; below is nothing, for a scale has 14 bits.
                    Err(_) => {
                        out.push(ZERO + 2);
                        out.extend_from_slice(&(exponent as u32).to_be_bytes());
                    }
                }
                for pair in digits.as_bytes().chunks(2) {
                    let (high, low) = (pair[0] - b'0', pair.get(1).map_or(0, |digit| digit - b'0'));
                    out.push(MORE + 10 * high + low);
                }
                out.push(END);
            }
            None if value.as_special() == Some(Special::NaN) => out.push(ZERO + 4),
            None => out.push(ZERO + 3),
        }
        if value.is_negative() {
            out[start..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }

    /// The number of a key of [`number`]; `None` for other bytes.
    pub fn number_of(key: &[u8]) -> Option<Numeric> {
        let (kind, rest) = key.split_first()?;
        if *kind < ZERO {
            let positive: Vec<u8> = key.iter().map(|byte| !byte).collect();
            return number_of(&positive).map(|number| number.negated());
        }
        let (exponent, pairs) = match kind - ZERO {
            0 => return Some(Numeric::ZERO),
            1 => {
                let (exponent, pairs) = rest.split_first_chunk::<2>()?;
                (i64::from((u16::from_be_bytes(*exponent) ^ 0x8000) as i16), pairs)
            }
            2 => {
                let (exponent, pairs) = rest.split_first_chunk::<4>()?;
                (i64::from(u32::from_be_bytes(*exponent)), pairs)
            }
            3 => return Some(Numeric::infinity(false)),
            4 => return Some(Numeric::NAN),
            _ => return None,
        };
        let (END, pairs) = pairs.split_last().map(|(end, pairs)| (*end, pairs))? else { return None };
        let mut digits = String::with_capacity(2 * pairs.len() + 8);
        for pair in pairs {
            let pair = pair.checked_sub(MORE)?;
            digits.extend([pair / 10, pair % 10].map(|digit| char::from(b'0' + digit)));
        }
        let shift = exponent - digits.len() as i64;
        digits.push_str(&format!("e{shift}"));
        numeric::parse(&digits).ok()
    }

    /// Bytes that end themselves and sort as they are.
    pub fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
        for (i, piece) in bytes.split(|byte| *byte == 0).enumerate() {
            if i > 0 {
                out.extend_from_slice(&[0x00, 0xFF]);
            }
            out.extend_from_slice(piece);
        }
        out.extend_from_slice(&[0x00, 0x00]);
    }

    /// Its length.
    pub fn interval(value: &Interval, out: &mut Vec<u8>) {
        const DAY: i128 = 86_400_000_000;
        let days = i128::from(value.months) * 30 + i128::from(value.days);
        let total = days * DAY + i128::from(value.microseconds);
        out.extend_from_slice(&((total as u128) ^ (1 << 127)).to_be_bytes());
    }

    fn list<T>(elements: &[T], out: &mut Vec<u8>, encode: impl Fn(&T, &mut Vec<u8>)) {
        for element in elements {
            out.push(MORE);
            encode(element, out);
        }
        out.push(END);
    }

    /// The first key past all keys that start with `prefix`; `None` when there is none.
    pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
        let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
        let mut after = prefix[..=last].to_vec();
        after[last] += 1;
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::error::SqlState;
    use crate::types::{Bits, Interval, Numeric, Range, RangeType, Value, numeric};

    #[test]
    fn reads_are_checked() {
        let mut out = Vec::new();
        put_u32(&mut out, 7);
        put_str(&mut out, "hé");
        put_varint(&mut out, u64::MAX);
        let mut reader = Reader::new(&out);
        assert_eq!(reader.u32().unwrap(), 7);
        assert_eq!(reader.str().unwrap(), "hé");
        assert_eq!(reader.varint().unwrap(), u64::MAX);
        reader.finish().unwrap();
        let error = Reader::new(&out[..6]).named("a.log", 100).take(7).unwrap_err();
        assert_eq!(error.state(), SqlState::DATA_CORRUPTED);
        assert_eq!(error.message(), "a.log is damaged at offset 100: expected 7 bytes, found 6");
        assert!(Reader::new(&[0xFF; 10]).varint().is_err());
        assert!(Reader::new(&[0x80; 11]).varint().is_err());
        assert!(Reader::new(&[3, 1]).bytes().is_err());
        assert!(Reader::new(&[1, 0xFF]).str().is_err());
    }

    proptest! {
        #[test]
        fn varints_come_back(value: u64, shift in 0..64u32) {
            let mut out = Vec::new();
            put_varint(&mut out, value >> shift);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint().unwrap(), value >> shift);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn keys_order_as_sql_orders((a, b) in row_pairs()) {
            let (ka, kb) = (key::of(&a), key::of(&b));
            prop_assert_eq!(ka.cmp(&kb), naive_rows(&a, &b), "{:?} {:?} {:x?} {:x?}", a, b, ka, kb);
        }

        #[test]
        fn keys_of_numbers_lead_back(number in numerics()) {
            let mut key = Vec::new();
            key::number(&number, &mut key);
            let back = key::number_of(&key).unwrap();
            prop_assert!(back.compare(&number).is_eq(), "{} {}", back, number);
        }

        #[test]
        fn keys_end_themselves((a, b) in row_pairs()) {
            let (ka, kb) = (key::of(&a), key::of(&b));
            prop_assert!(ka == kb || !(ka.starts_with(&kb) || kb.starts_with(&ka)));
        }

        #[test]
        fn keys_with_a_prefix_lie_before_its_end(prefix in vec(any::<u8>(), 0..4), rest in vec(any::<u8>(), 0..4)) {
            let whole = [prefix.clone(), rest].concat();
            if let Some(after) = key::after_prefix(&prefix) {
                prop_assert!(prefix <= whole && whole < after);
            } else {
                prop_assert!(prefix.iter().all(|byte| *byte == 0xFF));
            }
        }
    }

    /// Two rows of the same column types, often with equal leading values.
    fn row_pairs() -> impl Strategy<Value = (Vec<Value>, Vec<Value>)> {
        let pair = (0..18u8).prop_flat_map(|kind| (values(kind), values(kind)));
        let pair =
            (pair, any::<bool>()).prop_map(|((a, b), same)| if same { (a.clone(), a) } else { (a, b) });
        vec(pair, 1..4).prop_map(|pairs| pairs.into_iter().unzip())
    }

    fn values(kind: u8) -> BoxedStrategy<Value> {
        let small = (any::<i64>(), 0..64u32).prop_map(|(value, shift)| value >> shift);
        let value: BoxedStrategy<Value> = match kind {
            0 => any::<bool>().prop_map(Value::Bool).boxed(),
            1 => small.prop_map(|value| Value::Int2(value as i16)).boxed(),
            2 => prop_oneof![small.clone().prop_map(Value::Int8), small.prop_map(|v| Value::Int4(v as i32))]
                .boxed(),
            3 => floats().prop_map(|value| Value::Float4(value as f32)).boxed(),
            4 => floats().prop_map(Value::Float8).boxed(),
            5 => numerics().prop_map(Value::Numeric).boxed(),
            6 => "[a\u{0}\u{1}é]{0,4}".prop_map(Value::Text).boxed(),
            7 => vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..5)
                .prop_map(Value::Bytea)
                .boxed(),
            8 => small.prop_map(Value::Timestamptz).boxed(),
            9 => intervals().prop_map(Value::Interval).boxed(),
            10 => any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
            11 => vec(floats().prop_map(|value| value as f32), 0..4).prop_map(Value::Vector).boxed(),
            12 => vec(floats().prop_map(crate::types::f16::from_f64), 0..4).prop_map(Value::Halfvec).boxed(),
            15 => vec(prop_oneof![2 => Just(0.0f32), 1 => -2.0f32..2.0, 1 => Just(1.0)], 1..6)
                .prop_map(|values| Value::Sparsevec(crate::types::Sparsevec::of_dense(&values).unwrap()))
                .boxed(),
            16 => (-4..4i32, 0..4i32, any::<bool>())
                .prop_map(|(low, width, ends)| {
                    let bound = |value| crate::types::range::Bound { value, inclusive: true };
                    let high = if ends { Value::Int4(low + width) } else { Value::Null };
                    let range = Range::new(RangeType::Int4, &bound(Value::Int4(low)), &bound(high));
                    Value::Range(range.unwrap())
                })
                .boxed(),
            17 => small.prop_map(Value::Money).boxed(),
            13 => vec(any::<bool>(), 0..20).prop_map(|bits| Value::Bits(Bits::from_iter(bits))).boxed(),
            _ => vec(values(1), 0..4).prop_map(Value::Array).boxed(),
        };
        prop_oneof![1 => Just(Value::Null), 6 => value].boxed()
    }

    fn floats() -> impl Strategy<Value = f64> {
        prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(f64::NAN),
            Just(-f64::NAN),
            Just(f64::INFINITY),
            -2.0..2.0,
            any::<f64>()
        ]
    }

    fn numerics() -> impl Strategy<Value = Numeric> {
        let unscaled = prop_oneof![-200..200i128, any::<i64>().prop_map(i128::from), -LARGEST..=LARGEST];
        let scale = prop_oneof![0..4u8, 0..39u8];
        let large = (any::<i128>(), any::<i128>(), scale.clone())
            .prop_map(|(one, other, scale)| Numeric::new(one, scale).times(&Numeric::new(other, 0)).unwrap());
        let far = (1..40_000i32, any::<bool>()).prop_map(|(zeros, minus)| {
            numeric::parse(&format!("{}1.5e{}", if minus { "-" } else { "" }, zeros)).unwrap()
        });
        let special = prop_oneof![Just("NaN"), Just("Infinity"), Just("-Infinity")];
        prop_oneof![
            8 => (unscaled, scale).prop_map(|(unscaled, scale)| Numeric::new(unscaled, scale)),
            3 => large,
            1 => far,
            1 => special.prop_map(|text| numeric::parse(text).unwrap()),
        ]
    }

    /// 38 nines.
    const LARGEST: i128 = 10i128.pow(38) - 1;

    fn intervals() -> impl Strategy<Value = Interval> {
        let near = (-2..3i32, -70..70i32, -3..3i64)
            .prop_map(|(months, days, hours)| (months, days, hours * 12 * HOUR));
        prop_oneof![near, any::<(i32, i32, i64)>()].prop_map(|(months, days, microseconds)| Interval {
            months,
            days,
            microseconds,
        })
    }

    const HOUR: i64 = 3_600_000_000;

    fn naive_rows(a: &[Value], b: &[Value]) -> Ordering {
        a.iter().zip(b).map(|(a, b)| naive(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    fn naive(a: &Value, b: &Value) -> Ordering {
        match (a, b) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Float4(a), Value::Float4(b)) => naive_floats(f64::from(*a), f64::from(*b)),
            (Value::Float8(a), Value::Float8(b)) => naive_floats(*a, *b),
            (Value::Numeric(a), Value::Numeric(b)) => naive_numerics(a, b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bytea(a), Value::Bytea(b)) => a.cmp(b),
            (Value::Timestamptz(a), Value::Timestamptz(b)) => a.cmp(b),
            (Value::Interval(a), Value::Interval(b)) => microseconds(a).cmp(&microseconds(b)),
            (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
            (Value::Money(a), Value::Money(b)) => a.cmp(b),
            (Value::Vector(a), Value::Vector(b)) => {
                let pairs = a.iter().zip(b).map(|(a, b)| naive_floats(f64::from(*a), f64::from(*b)));
                pairs.chain([a.len().cmp(&b.len())]).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }
            (Value::Halfvec(a), Value::Halfvec(b)) => {
                let pairs = a.iter().zip(b).map(|(a, b)| naive_floats(a.to_f64(), b.to_f64()));
                pairs.chain([a.len().cmp(&b.len())]).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }
            (Value::Sparsevec(a), Value::Sparsevec(b)) => a.as_sparse().order(b.as_sparse()),
            (Value::Range(a), Value::Range(b)) => a.partial_cmp(b).unwrap(),
            (Value::Bits(a), Value::Bits(b)) => a.iter().cmp(b.iter()),
            (Value::Array(a), Value::Array(b)) => naive_rows(a, b).then(a.len().cmp(&b.len())),
            (a, b) => whole(a).cmp(&whole(b)),
        }
    }

    fn whole(value: &Value) -> i64 {
        match value {
            Value::Int2(value) => i64::from(*value),
            Value::Int4(value) => i64::from(*value),
            Value::Int8(value) => *value,
            other => panic!("no integer: {other:?}"),
        }
    }

    fn naive_floats(a: f64, b: f64) -> Ordering {
        a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    }

    /// Schoolbook: signs, whole parts by their lengths, then digits.
    fn naive_numerics(a: &Numeric, b: &Numeric) -> Ordering {
        let kind = |n: &Numeric| match n.to_string().as_str() {
            "-Infinity" => 0,
            "Infinity" => 2,
            "NaN" => 3,
            _ => 1,
        };
        if (kind(a), kind(b)) != (1, 1) {
            return kind(a).cmp(&kind(b));
        }
        let parts = |n: &Numeric| {
            let text = n.absolute().to_string();
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            (whole.len(), whole.to_owned(), fraction.trim_end_matches('0').to_owned())
        };
        match (a.signum(), b.signum()) {
            (1, 1) => parts(a).cmp(&parts(b)),
            (-1, -1) => parts(b).cmp(&parts(a)),
            (a, b) => a.cmp(&b),
        }
    }

    fn microseconds(value: &Interval) -> i128 {
        let days = i128::from(value.months) * 30 + i128::from(value.days);
        days * 24 * i128::from(HOUR) + i128::from(value.microseconds)
    }
}
