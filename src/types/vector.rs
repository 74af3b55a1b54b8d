//! pgvector's `vector`: its limits, its text form, and its errors word for word.
//!
//! Parsing and printing are hot: COPY of 384 dimensions passes 4 KB of text per row through here.

use crate::error::{Error, Result, SqlState};
use crate::types::{Type, VECTOR_DIMENSIONS_MAX, float};

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

/// `vector`, `vector(n)`.
pub fn typmod_in(modifiers: &[i64]) -> Result<Type> {
    let refused = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    match *modifiers {
        [] => Ok(Type::Vector(None)),
        [n] if n < 1 => refused("dimensions for type vector must be at least 1".into()),
        [n] if n > VECTOR_DIMENSIONS_MAX as i64 => {
            refused(format!("dimensions for type vector cannot exceed {VECTOR_DIMENSIONS_MAX}"))
        }
        [n] => Ok(Type::Vector(Some(n as u16))),
        _ => refused("invalid type modifier".into()),
    }
}

/// `[1,2.5,-3e+10]`
pub fn print(values: &[f32], out: &mut Vec<u8>) {
    out.reserve(2 + 10 * values.len());
    out.push(b'[');
    for (i, &value) in values.iter().enumerate() {
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
    parse_into(text, &mut values)?;
    Ok(values)
}

/// Appends the values to `values`, which saves COPY an allocation per row. On an error `values` holds a part.
pub fn parse_into(text: &str, values: &mut Vec<f32>) -> Result<()> {
    let start = values.len();
    let bytes = text.as_bytes();
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'[') {
        return Err(invalid(text).detail("Vector contents must start with \"[\"."));
    }
    at = skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b']') {
        return Err(no_dimension());
    }
    loop {
        if values.len() - start == VECTOR_DIMENSIONS_MAX {
            return Err(too_many_dimensions());
        }
        at = skip_space(bytes, at);
        let end = token_end(bytes, at);
        values.push(element(text, &text[at..end])?);
        at = skip_space(bytes, end);
        match bytes.get(at) {
            Some(b',') => at += 1,
            Some(b']') => break,
            _ => return Err(invalid(text)),
        }
    }
    match skip_space(bytes, at + 1) == bytes.len() {
        true => Ok(()),
        false => Err(invalid(text).detail("Junk after closing right brace.")),
    }
}

fn element(text: &str, token: &str) -> Result<f32> {
    let value: f32 = token.parse().map_err(|_| invalid(text))?;
    if !value.is_finite() {
        let spelled_out = token.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_alphabetic());
        if value.is_infinite() && !spelled_out {
            let message = format!("\"{token}\" is out of range for type vector");
            return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
        }
        check_element(value)?;
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

fn invalid(text: &str) -> Error {
    let message = format!("invalid input syntax for type vector: \"{text}\"");
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

fn no_dimension() -> Error {
    Error::new(SqlState::DATA_EXCEPTION, "vector must have at least 1 dimension")
}

fn too_many_dimensions() -> Error {
    let message = format!("vector cannot have more than {VECTOR_DIMENSIONS_MAX} dimensions");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

/// NaN and infinity are no elements (22000).
pub fn check_element(value: f32) -> Result<()> {
    if value.is_nan() {
        return Err(Error::new(SqlState::DATA_EXCEPTION, "NaN not allowed in vector"));
    }
    if value.is_infinite() {
        return Err(Error::new(SqlState::DATA_EXCEPTION, "infinite value not allowed in vector"));
    }
    Ok(())
}

/// A vector has at least one dimension (22000) and at most 16,000 (54000).
pub fn check_dimensions(dimensions: usize) -> Result<()> {
    match dimensions {
        0 => Err(no_dimension()),
        n if n > VECTOR_DIMENSIONS_MAX => Err(too_many_dimensions()),
        _ => Ok(()),
    }
}

/// `vector(n)` takes n dimensions only (22000).
pub fn check_expected(expected: Option<u16>, dimensions: usize) -> Result<()> {
    match expected {
        Some(expected) if usize::from(expected) != dimensions => {
            let message = format!("expected {expected} dimensions, not {dimensions}");
            Err(Error::new(SqlState::DATA_EXCEPTION, message))
        }
        _ => Ok(()),
    }
}

/// Operators take two vectors of one dimension (22000).
pub fn check_same(left: usize, right: usize) -> Result<()> {
    if left == right {
        return Ok(());
    }
    let message = format!("different vector dimensions {left} and {right}");
    Err(Error::new(SqlState::DATA_EXCEPTION, message))
}

/// All of a vector that arrives as numbers rather than text.
pub fn check(values: &[f32], expected: Option<u16>) -> Result<()> {
    check_dimensions(values.len())?;
    values.iter().try_for_each(|&value| check_element(value))?;
    check_expected(expected, values.len())
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
