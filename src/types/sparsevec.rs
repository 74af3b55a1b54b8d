//! pgvector's `sparsevec`: of up to a billion dimensions, the up to 16,000 that are not zero.
//!
//! One form serves rows, Arrow cells and kernels: words of 32 bits, so that a value is read in place wherever it lies.
//!
//! ```text
//!   {1:1.5,3:-2}/5    ->    5 | 0 2 | 1.5 -2       dimensions | indices, from 0, ascending | values, as bits
//! ```
//!
//! No value is zero, NaN or infinite, so equal vectors have equal words.

use std::cmp::Ordering;

use crate::error::{Error, Result, SqlState};
use crate::fs::mapped::{floats_of_words, words};
use crate::types::text::{invalid, is_space};
use crate::types::vector::{Kind, check_expected};
use crate::types::{f16, float, halfvec, integer};

/// Most elements that are not zero (pgvector's SPARSEVEC_MAX_NNZ).
pub const ELEMENTS_MAX: usize = 16_000;

/// A value of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sparsevec(Vec<u32>);

/// A value in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sparse<'a>(&'a [u32]);

impl<'a> Sparse<'a> {
    /// Words as [`Sparse::words`] gave them. Any others are a vector too, if not one that SQL can make.
    #[inline(always)]
    pub fn new(words: &'a [u32]) -> Sparse<'a> {
        Sparse(words)
    }

    /// The same words as little-endian bytes, which begin at a multiple of four.
    #[inline(always)]
    pub fn of_bytes(bytes: &'a [u8]) -> Sparse<'a> {
        Sparse(words(bytes))
    }

    pub fn words(self) -> &'a [u32] {
        self.0
    }

    #[inline(always)]
    pub fn dimensions(self) -> u32 {
        self.0.first().copied().unwrap_or(0)
    }

    /// Elements that are not zero.
    #[inline(always)]
    pub fn count(self) -> usize {
        self.0.len().saturating_sub(1) / 2
    }

    /// Where they are, from 0, ascending.
    #[inline(always)]
    pub fn indices(self) -> &'a [u32] {
        let end = 1 + self.count();
        self.0.get(1..end).unwrap_or_default()
    }

    /// What they are.
    #[inline(always)]
    pub fn values(self) -> &'a [f32] {
        let start = 1 + self.count();
        floats_of_words(self.0.get(start..start + self.count()).unwrap_or_default())
    }

    pub fn elements(self) -> impl Iterator<Item = (u32, f32)> + 'a {
        self.indices().iter().copied().zip(self.values().iter().copied())
    }

    pub fn to_owned(self) -> Sparsevec {
        Sparsevec(self.0.to_vec())
    }

    /// As arrays of all dimensions compare: element by element, then the shorter first.
    pub fn order(self, other: Sparse) -> Ordering {
        let below_zero = |value: f32| if value < 0.0 { Ordering::Less } else { Ordering::Greater };
        for ((i, x), (j, y)) in self.elements().zip(other.elements()) {
            match i.cmp(&j) {
                Ordering::Less => return below_zero(x),
                Ordering::Greater => return below_zero(y).reverse(),
                Ordering::Equal if x == y => {}
                Ordering::Equal => return x.partial_cmp(&y).unwrap_or(Ordering::Equal),
            }
        }
        let common = self.count().min(other.count());
        let next = |vector: Sparse| vector.elements().nth(common);
        match (next(self), next(other)) {
            (Some((i, x)), None) if i < other.dimensions() => below_zero(x),
            (None, Some((j, y))) if j < self.dimensions() => below_zero(y).reverse(),
            _ => self.dimensions().cmp(&other.dimensions()),
        }
    }
}

impl Sparsevec {
    /// `elements` in ascending order of their indices, which begin with 0; zeros are left out.
    pub fn new(dimensions: u32, elements: impl Iterator<Item = (u32, f32)> + Clone) -> Sparsevec {
        let elements = elements.filter(|(_, value)| *value != 0.0);
        let mut words = vec![dimensions];
        words.extend(elements.clone().map(|(index, _)| index));
        words.extend(elements.map(|(_, value)| value.to_bits()));
        Sparsevec(words)
    }

    /// What is not zero of all elements (54000 when that is too much).
    pub fn of_dense(values: &[f32]) -> Result<Sparsevec> {
        let vector = Sparsevec::new(values.len() as u32, (0..).zip(values.iter().copied()));
        check_count(vector.as_sparse().count())?;
        Ok(vector)
    }

    pub fn as_sparse(&self) -> Sparse<'_> {
        Sparse(&self.0)
    }

    pub fn dimensions(&self) -> u32 {
        self.as_sparse().dimensions()
    }

    /// All elements, as a `vector` has them (54000 when it could not).
    pub fn to_dense(&self, kind: Kind) -> Result<Vec<f32>> {
        let dimensions = self.dimensions() as usize;
        kind.check_dimensions(dimensions)?;
        let mut values = vec![0.0; dimensions];
        for (index, value) in self.as_sparse().elements() {
            if let Some(place) = values.get_mut(index as usize) {
                *place = value;
            }
        }
        Ok(values)
    }

    pub fn to_halves(&self) -> Result<Vec<f16>> {
        halfvec::from_vector(&self.to_dense(Kind::Halfvec)?)
    }

    /// [`Sparse::words`], little-endian.
    pub fn bytes(&self, out: &mut Vec<u8>) {
        out.extend(self.0.iter().flat_map(|word| word.to_le_bytes()));
    }

    /// The inverse of [`Sparsevec::bytes`], wherever they lie; `None` when they are not whole.
    pub fn from_bytes(bytes: &[u8]) -> Option<Sparsevec> {
        let (chunks, rest) = bytes.as_chunks::<4>();
        let whole = rest.is_empty() && chunks.len() % 2 == 1;
        whole.then(|| Sparsevec(chunks.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect()))
    }
}

fn check_count(count: usize) -> Result<()> {
    if count > ELEMENTS_MAX {
        let message = format!("sparsevec cannot have more than {ELEMENTS_MAX} non-zero elements");
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    Ok(())
}

fn data_error(message: impl Into<String>) -> Error {
    Error::new(SqlState::DATA_EXCEPTION, message)
}

/// Indices, from 0, within the dimensions and ascending. `in_order`: that they descend is what is wrong.
fn check_indices(dimensions: i64, indices: impl Iterator<Item = i64>) -> Result<()> {
    let mut before = -1;
    for index in indices {
        if !(0..dimensions).contains(&index) {
            return Err(data_error("sparsevec index out of bounds"));
        }
        match index.cmp(&before) {
            Ordering::Greater => before = index,
            Ordering::Equal => return Err(data_error("sparsevec indices must not contain duplicates")),
            Ordering::Less => return Err(data_error("sparsevec indices must be in ascending order")),
        }
    }
    Ok(())
}

/// `{1:1.5,3:-2}/5`
pub fn print(vector: Sparse, out: &mut Vec<u8>) {
    out.reserve(16 + 16 * vector.count());
    out.push(b'{');
    for (number, (index, value)) in vector.elements().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        integer::print_u64(u64::from(index) + 1, out);
        out.push(b':');
        float::print_f32(value, out);
    }
    out.extend_from_slice(b"}/");
    integer::print_u64(u64::from(vector.dimensions()), out);
}

/// The inverse of [`print()`], with white space anywhere between the parts and indices in any order. `expected` are the
/// dimensions of the column, if it has a modifier.
pub fn parse(text: &str, expected: Option<u32>) -> Result<Sparsevec> {
    check_count(1 + text.bytes().filter(|byte| *byte == b',').count())?;
    let mut parser = Parser { text, rest: text };
    let mut elements = parser.elements()?;
    if !parser.takes('/') {
        return Err(parser.invalid().detail("Unexpected end of input."));
    }
    let dimensions = parser.integer()?;
    if !parser.rest.trim_start_matches(is_space).is_empty() {
        return Err(parser.invalid().detail("Junk after closing."));
    }
    check_dimensions(dimensions)?;
    check_expected(expected, dimensions as usize)?;
    elements.sort_by_key(|(index, _)| *index);
    check_indices(dimensions, elements.iter().map(|(index, _)| *index))?;
    Ok(Sparsevec::new(dimensions as u32, elements.iter().map(|(index, value)| (*index as u32, *value))))
}

fn check_dimensions(dimensions: i64) -> Result<()> {
    Kind::Sparsevec.check_dimensions(usize::try_from(dimensions).unwrap_or(0))
}

/// Text and what is left of it.
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Parser<'_> {
    fn invalid(&self) -> Error {
        invalid(Kind::Sparsevec.name(), self.text)
    }

    /// Whether the next character after white space is this one, which is then behind.
    fn takes(&mut self, wanted: char) -> bool {
        let rest = self.rest.trim_start_matches(is_space).strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Elements that are not zero, with indices from 0 as far as they are such, up to the closing brace.
    fn elements(&mut self) -> Result<Vec<(i64, f32)>> {
        if !self.takes('{') {
            return Err(self.invalid().detail("Vector contents must start with \"{\"."));
        }
        let mut elements = Vec::new();
        if self.takes('}') {
            return Ok(elements);
        }
        loop {
            let index = self.integer()?;
            if !self.takes(':') {
                return Err(self.invalid());
            }
            let value = self.number()?;
            if value != 0.0 {
                elements.push((index.saturating_sub(1), value));
            }
            if self.takes('}') {
                return Ok(elements);
            }
            if !self.takes(',') {
                return Err(self.invalid());
            }
        }
    }

    /// Digits with or without a sign; beyond 64 bits the nearest there is.
    fn integer(&mut self) -> Result<i64> {
        let start = self.rest.trim_start_matches(is_space);
        let digits = start.strip_prefix(['+', '-']).unwrap_or(start);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        if end == 0 {
            return Err(self.invalid());
        }
        let magnitude = digits[..end].parse().unwrap_or(i64::MAX);
        self.rest = &digits[end..];
        Ok(if start.starts_with('-') { -magnitude } else { magnitude })
    }

    /// A finite f32, not rounded to zero.
    fn number(&mut self) -> Result<f32> {
        let start = self.rest.trim_start_matches(is_space);
        let ends = |c: char| matches!(c, ',' | '}' | ':' | '/') || is_space(c);
        let end = start.find(ends).unwrap_or(start.len());
        let token = &start[..end];
        self.rest = &start[end..];
        let value: f32 = token.parse().map_err(|_| self.invalid())?;
        let mantissa = token.split(['e', 'E']).next().unwrap_or(token);
        let vanished = value == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
        let spelled_out = token.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_alphabetic());
        if vanished || value.is_infinite() && !spelled_out {
            return Err(super::vector::out_of_range(token, Kind::Sparsevec));
        }
        Kind::Sparsevec.check_element(value)?;
        Ok(value)
    }
}

/// sparsevec_send: dimensions, elements, an unused word, indices from 0, values; all big-endian.
pub fn send(vector: Sparse, out: &mut Vec<u8>) {
    let words = vector.words();
    out.reserve(8 + 4 * words.len());
    out.extend_from_slice(&vector.dimensions().to_be_bytes());
    out.extend_from_slice(&(vector.count() as u32).to_be_bytes());
    out.extend_from_slice(&0u32.to_be_bytes());
    out.extend(words.iter().skip(1).flat_map(|word| word.to_be_bytes()));
}

/// sparsevec_recv. `expected` are the dimensions of the column, if it has a modifier.
pub fn receive(bytes: &[u8], expected: Option<u32>) -> Result<Sparsevec> {
    let (head, elements) = bytes.split_first_chunk::<12>().ok_or_else(super::binary::short)?;
    let (head, _) = head.as_chunks::<4>();
    let [dimensions, count, unused] = [0, 1, 2].map(|at: usize| i32::from_be_bytes(head[at]));
    check_dimensions(i64::from(dimensions))?;
    let count = usize::try_from(count)
        .map_err(|_| data_error("sparsevec cannot have negative number of elements"))?;
    check_count(count)?;
    if count > dimensions as usize {
        let message = "sparsevec cannot have more elements than dimensions";
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    check_expected(expected, dimensions as usize)?;
    if unused != 0 {
        return Err(data_error(format!("expected unused to be 0, not {unused}")));
    }
    let (chunks, rest) = elements.as_chunks::<4>();
    let present = chunks.len().min(count);
    check_indices(
        i64::from(dimensions),
        chunks[..present].iter().map(|chunk| i64::from(i32::from_be_bytes(*chunk))),
    )?;
    for value in chunks[present..].iter().take(count).map(|chunk| f32::from_be_bytes(*chunk)) {
        Kind::Sparsevec.check_element(value)?;
        if value == 0.0 {
            return Err(data_error("binary representation of sparsevec cannot contain zero values"));
        }
    }
    match chunks.len().cmp(&(2 * count)) {
        Ordering::Less => Err(super::binary::short()),
        Ordering::Equal if rest.is_empty() => {
            let words = chunks.iter().map(|chunk| u32::from_be_bytes(*chunk));
            Ok(Sparsevec(std::iter::once(dimensions as u32).chain(words).collect()))
        }
        _ => Err(super::binary::trailing()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> std::result::Result<String, String> {
        let vector = parse(text, None).map_err(|error| error.message().to_owned())?;
        let mut out = Vec::new();
        print(vector.as_sparse(), &mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn reads_what_pgvector_reads() {
        for (text, expected) in [
            ("{1:1.5,3:3.5}/5", "{1:1.5,3:3.5}/5"),
            (" { 1 : 1.5 ,  3  :  3.5  } / 5 ", "{1:1.5,3:3.5}/5"),
            ("{1:2.,3:4.}/5", "{1:2,3:4}/5"),
            ("{1:1.5e38,2:-1.5e+38}/2", "{1:1.5e+38,2:-1.5e+38}/2"),
            ("{1:1e-45}/1", "{1:1e-45}/1"),
            ("{1:0,2:1,3:0}/3", "{2:1}/3"),
            ("{2:1,1:1}/2", "{1:1,2:1}/2"),
            ("{1:0,1:1}/+2", "{1:1}/2"),
            ("{0:0,7:-0}/1", "{}/1"),
            ("{ }/1000000000", "{}/1000000000"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_pgvector_refuses() {
        for text in ["", "{", "{ ", "{:", "{,", "{}", "{}/", "{}/1a", "{:}/1", "{1,}/1", "{1:}/1", "{1:1a}/1"]
        {
            assert_eq!(shown(text), Err(format!("invalid input syntax for type sparsevec: \"{text}\"")));
        }
        let bounds = "sparsevec index out of bounds";
        for (text, message) in [
            ("{0:1}/1", bounds),
            ("{2:1}/1", bounds),
            ("{-9223372036854775809:1}/1", bounds),
            ("{9223372036854775808:1}/1", bounds),
            ("{1:1,1:1}/2", "sparsevec indices must not contain duplicates"),
            ("{1:NaN}/1", "NaN not allowed in sparsevec"),
            ("{1:-Infinity}/1", "infinite value not allowed in sparsevec"),
            ("{1:4e38}/1", "\"4e38\" is out of range for type sparsevec"),
            ("{1:-1e-46}/1", "\"-1e-46\" is out of range for type sparsevec"),
            ("{}/-9223372036854775809", "sparsevec must have at least 1 dimension"),
            ("{}/9223372036854775808", "sparsevec cannot have more than 1000000000 dimensions"),
        ] {
            assert_eq!(shown(text), Err(message.to_owned()), "{text}");
        }
        let long = format!("{{{}1:1}}/20000", "1:1,".repeat(16_000));
        assert_eq!(shown(&long), Err("sparsevec cannot have more than 16000 non-zero elements".into()));
    }

    #[test]
    fn broken_bytes_are_named() {
        let sent = |head: [i32; 3], elements: &[u32]| {
            let head = head.into_iter().map(|word| word as u32).chain(elements.iter().copied());
            let bytes: Vec<u8> = head.flat_map(u32::to_be_bytes).collect();
            receive(&bytes, None).map_err(|error| error.message().to_owned())
        };
        let one = 1f32.to_bits();
        assert!(sent([5, 2, 0], &[0, 4, one, one]).is_ok());
        for (head, elements, message) in [
            ([0, 0, 0], &[][..], "sparsevec must have at least 1 dimension"),
            ([5, -1, 0], &[], "sparsevec cannot have negative number of elements"),
            ([50_000, 16_001, 0], &[], "sparsevec cannot have more than 16000 non-zero elements"),
            ([1, 2, 0], &[0, 1, one, one], "sparsevec cannot have more elements than dimensions"),
            ([5, 1, 3], &[0, one], "expected unused to be 0, not 3"),
            ([5, 1, 0], &[5, one], "sparsevec index out of bounds"),
            ([5, 1, 0], &[u32::MAX, one], "sparsevec index out of bounds"),
            ([5, 2, 0], &[2, 1, one, one], "sparsevec indices must be in ascending order"),
            ([5, 2, 0], &[2, 2, one, one], "sparsevec indices must not contain duplicates"),
            ([5, 1, 0], &[2, f32::NAN.to_bits()], "NaN not allowed in sparsevec"),
            ([5, 1, 0], &[2, 0], "binary representation of sparsevec cannot contain zero values"),
            ([5, 1, 0], &[2], "insufficient data left in message"),
            ([5, 1, 0], &[2, one, one], "incorrect binary data format"),
        ] {
            assert_eq!(sent(head, elements), Err(message.to_owned()));
        }
    }

    /// Vectors of few dimensions, as all their elements.
    fn dense() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(prop_oneof![2 => Just(0.0f32), 1 => -2.0f32..2.0, 1 => Just(1.0)], 1..7)
    }

    proptest! {
        #[test]
        fn every_form_leads_back(values in dense()) {
            let vector = Sparsevec::of_dense(&values).unwrap();
            prop_assert_eq!(vector.to_dense(Kind::Vector).unwrap(), values);
            let (mut text, mut wire, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
            print(vector.as_sparse(), &mut text);
            send(vector.as_sparse(), &mut wire);
            vector.bytes(&mut bytes);
            prop_assert_eq!(&parse(std::str::from_utf8(&text).unwrap(), None).unwrap(), &vector);
            prop_assert_eq!(&receive(&wire, None).unwrap(), &vector);
            prop_assert_eq!(&Sparsevec::from_bytes(&bytes).unwrap(), &vector);
        }

        #[test]
        fn order_is_that_of_all_elements(a in dense(), b in dense()) {
            let sparse = |values: &[f32]| Sparsevec::of_dense(values).unwrap();
            let expected = a.partial_cmp(&b).unwrap();
            prop_assert_eq!(sparse(&a).as_sparse().order(sparse(&b).as_sparse()), expected);
        }

        #[test]
        fn any_words_are_read_without_a_panic(words in prop::collection::vec(any::<u32>(), 0..9)) {
            let vector = Sparse::new(&words);
            prop_assert_eq!(vector.indices().len(), vector.values().len());
        }
    }
}
