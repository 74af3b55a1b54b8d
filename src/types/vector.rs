//! pgvector's `vector`: its limits, its text form, and its errors word for word.
//!
//! Parsing and printing are hot: COPY of 384 dimensions passes 4 KB of text per row through here.

use crate::error::{Error, Result, SqlState};
use crate::types::{SPARSEVEC_DIMENSIONS_MAX, Type, VECTOR_DIMENSIONS_MAX, float};

/// |values|, added in f64.
pub fn norm(values: &[f32]) -> f64 {
    let mut sums = [0f64; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(value) * f64::from(value);
    }
    sums.iter().sum::<f64>().sqrt()
}

/// Which of pgvector's types of numbers: messages name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Vector,
    Halfvec,
    Sparsevec,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Vector => "vector",
            Kind::Halfvec => "halfvec",
            Kind::Sparsevec => "sparsevec",
        }
    }

    pub const fn dimensions_max(self) -> usize {
        match self {
            Kind::Vector | Kind::Halfvec => VECTOR_DIMENSIONS_MAX,
            Kind::Sparsevec => SPARSEVEC_DIMENSIONS_MAX,
        }
    }

    /// The dimensions in `vector(n)`.
    pub fn typmod_in(self, modifiers: &[i64]) -> Result<Option<u32>> {
        let (name, max) = (self.name(), self.dimensions_max());
        let refused = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        match *modifiers {
            [] => Ok(None),
            [n] if n < 1 => refused(format!("dimensions for type {name} must be at least 1")),
            [n] if n > max as i64 => refused(format!("dimensions for type {name} cannot exceed {max}")),
            [n] => Ok(Some(n as u32)),
            _ => refused("invalid type modifier".into()),
        }
    }

    /// NaN and infinity are no elements (22000).
    pub fn check_element(self, value: f32) -> Result<()> {
        if value.is_finite() {
            return Ok(());
        }
        let what = if value.is_nan() { "NaN" } else { "infinite value" };
        Err(Error::new(SqlState::DATA_EXCEPTION, format!("{what} not allowed in {}", self.name())))
    }

    /// At least one dimension (22000) and not too many (54000).
    pub fn check_dimensions(self, dimensions: usize) -> Result<()> {
        let (name, max) = (self.name(), self.dimensions_max());
        match dimensions {
            0 => {
                let message = format!("{name} must have at least 1 dimension");
                Err(Error::new(SqlState::DATA_EXCEPTION, message))
            }
            n if n > max => {
                let message = format!("{name} cannot have more than {max} dimensions");
                Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message))
            }
            _ => Ok(()),
        }
    }

    /// Operators take two vectors of one dimension (22000).
    pub fn check_same(self, left: usize, right: usize) -> Result<()> {
        if left == right {
            return Ok(());
        }
        let message = format!("different {} dimensions {left} and {right}", self.name());
        Err(Error::new(SqlState::DATA_EXCEPTION, message))
    }
}

/// `vector`, `vector(n)`.
pub fn typmod_in(modifiers: &[i64]) -> Result<Type> {
    Ok(Type::Vector(Kind::Vector.typmod_in(modifiers)?.map(|dimensions| dimensions as u16)))
}

/// `[1,2.5,-3e+10]`
pub fn print(values: &[f32], out: &mut Vec<u8>) {
    print_elements(values.iter().copied(), out);
}

pub(super) fn print_elements(values: impl ExactSizeIterator<Item = f32>, out: &mut Vec<u8>) {
    out.reserve(2 + 10 * values.len());
    out.push(b'[');
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        float::print_f32(value, out);
    }
    out.push(b']');
}

/// The inverse of [`print()`], with white space anywhere between the parts.
pub fn parse(text: &str) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(text.len() / 8);
    parse_elements(text, Kind::Vector, &mut values, |value, _| Ok(value))?;
    Ok(values)
}

/// Appends elements made by `element` of a finite number and its text. On an error `values` holds a part.
#[inline(always)]
pub(super) fn parse_elements<T>(
    text: &str,
    kind: Kind,
    values: &mut Vec<T>,
    element: impl Fn(f32, &str) -> Result<T>,
) -> Result<()> {
    let bytes = text.as_bytes();
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'[') {
        return Err(invalid(text, kind).detail("Vector contents must start with \"[\"."));
    }
    at = skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b']') {
        return kind.check_dimensions(0);
    }
    loop {
        if values.len() == VECTOR_DIMENSIONS_MAX {
            return kind.check_dimensions(VECTOR_DIMENSIONS_MAX + 1);
        }
        at = skip_space(bytes, at);
        let end = token_end(bytes, at);
        let token = &text[at..end];
        values.push(element(number(text, token, kind)?, token)?);
        at = skip_space(bytes, end);
        match bytes.get(at) {
            Some(b',') => at += 1,
            Some(b']') => break,
            _ => return Err(invalid(text, kind)),
        }
    }
    match skip_space(bytes, at + 1) == bytes.len() {
        true => Ok(()),
        false => Err(invalid(text, kind).detail("Junk after closing right brace.")),
    }
}

fn number(text: &str, token: &str, kind: Kind) -> Result<f32> {
    let value: f32 = token.parse().map_err(|_| invalid(text, kind))?;
    if !value.is_finite() {
        let spelled_out = token.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_alphabetic());
        if value.is_infinite() && !spelled_out {
            return Err(out_of_range(token, kind));
        }
        kind.check_element(value)?;
    }
    Ok(value)
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) = bytes.get(at) {
        at += 1;
    }
    at
}

/// Where a number that begins at `at` ends.
#[inline]
fn token_end(bytes: &[u8], at: usize) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b']' | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    at + bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at)
}

fn invalid(text: &str, kind: Kind) -> Error {
    let message = format!("invalid input syntax for type {}: \"{text}\"", kind.name());
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

pub(super) fn out_of_range(token: &str, kind: Kind) -> Error {
    let message = format!("\"{token}\" is out of range for type {}", kind.name());
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

/// `vector(n)` takes n dimensions only (22000).
pub fn check_expected(expected: Option<impl Into<u32>>, dimensions: usize) -> Result<()> {
    match expected.map(Into::into) {
        Some(expected) if expected as usize != dimensions => {
            let message = format!("expected {expected} dimensions, not {dimensions}");
            Err(Error::new(SqlState::DATA_EXCEPTION, message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(values: &[f32]) -> String {
        let mut out = Vec::new();
        print(values, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn fails(text: &str, state: SqlState, message: &str) {
        let error = parse(text).unwrap_err();
        assert_eq!((error.state(), error.message()), (state, message), "{text}");
    }

    #[test]
    fn reads_what_pgvector_reads() {
        for (text, expected) in [
            ("[1,2,3]", "[1,2,3]"),
            ("[-1,-2,-3]", "[-1,-2,-3]"),
            ("[1.,2.,3.]", "[1,2,3]"),
            (" [ 1,  2 ,    3  ] ", "[1,2,3]"),
            ("[1.23456]", "[1.23456]"),
            ("[1e6,1e-5,.5]", "[1e+06,1e-05,0.5]"),
            ("[1.5e38,-1.5e38]", "[1.5e+38,-1.5e+38]"),
            ("[1e-46,1]", "[0,1]"),
            ("[-1e-46,1]", "[-0,1]"),
            ("[1.5e+38,-1.5e+38]", "[1.5e+38,-1.5e+38]"),
        ] {
            assert_eq!(printed(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_pgvector_refuses() {
        let syntax = SqlState::INVALID_TEXT_REPRESENTATION;
        for text in [
            "[hello,1]",
            "[1,2,3",
            "[1,2,3]9",
            "1,2,3",
            "",
            "[",
            "[ ",
            "[,",
            "[1,,3]",
            "[1, ,3]",
            "[1,]",
            "[1a]",
            "[1 2]",
        ] {
            fails(text, syntax, &format!("invalid input syntax for type vector: \"{text}\""));
        }
        fails("[NaN,1]", SqlState::DATA_EXCEPTION, "NaN not allowed in vector");
        fails("[Infinity,1]", SqlState::DATA_EXCEPTION, "infinite value not allowed in vector");
        fails("[-inf,1]", SqlState::DATA_EXCEPTION, "infinite value not allowed in vector");
        fails("[1e400,1]", SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "\"1e400\" is out of range for type vector");
        fails("[]", SqlState::DATA_EXCEPTION, "vector must have at least 1 dimension");
        let long = format!("[{}]", vec!["1"; 16_001].join(","));
        fails(&long, SqlState::PROGRAM_LIMIT_EXCEEDED, "vector cannot have more than 16000 dimensions");
    }

    #[test]
    fn every_finite_float_survives() {
        let mut state = 1u32;
        let values: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from_bits(state)
        })
        .filter(|value| value.is_finite())
        .take(16_000)
        .collect();
        assert_eq!(parse(&printed(&values)).unwrap(), values);
    }
}
