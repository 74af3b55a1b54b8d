//! pgvector's `halfvec`: a vector of half-precision floats. What it shares with `vector` is in [`super::vector`].

use crate::error::{Error, Result, SqlState};
use crate::types::vector::{self, Kind};
use crate::types::{f16, float};

/// `[1,2.5,0.099975586]`
pub fn print(values: &[f16], out: &mut Vec<u8>) {
    vector::print_elements(values.iter().map(|value| value.to_f32()), out);
}

/// The inverse of [`print()`], rounding each element to the nearest half.
pub fn parse(text: &str) -> Result<Vec<f16>> {
    let mut values = Vec::with_capacity(text.len() / 8);
    vector::parse_elements(text, Kind::Halfvec, &mut values, |value, token| {
        let half = f16::from_f32(value);
        if half.is_infinite() && value.is_finite() {
            return Err(vector::out_of_range(token, Kind::Halfvec));
        }
        Ok(half)
    })?;
    Ok(values)
}

/// The nearest half (22003 when it is too large for one).
pub fn narrow(value: f32) -> Result<f16> {
    let half = f16::from_f32(value);
    if half.is_infinite() && value.is_finite() {
        let mut text = Vec::new();
        float::print_f32(value, &mut text);
        let message = format!("\"{}\" is out of range for type halfvec", String::from_utf8_lossy(&text));
        return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
    }
    Ok(half)
}

/// The elements of a `vector`.
pub fn from_vector(values: &[f32]) -> Result<Vec<f16>> {
    values.iter().map(|&value| narrow(value)).collect()
}

pub fn to_vector(values: &[f16]) -> Vec<f32> {
    values.iter().map(|value| value.to_f32()).collect()
}

/// halfvec_send: dimensions, an unused word, big-endian halves.
pub fn send(values: &[f16], out: &mut Vec<u8>) {
    out.reserve(4 + 2 * values.len());
    out.extend_from_slice(&(values.len() as u16).to_be_bytes());
    out.extend_from_slice(&0u16.to_be_bytes());
    for value in values {
        out.extend_from_slice(&value.to_bits().to_be_bytes());
    }
}

/// Little-endian bytes.
pub fn bytes(values: &[f16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect()
}

/// The inverse of [`bytes()`].
pub fn from_bytes(bytes: &[u8]) -> Vec<f16> {
    let (chunks, _) = bytes.as_chunks::<2>();
    chunks.iter().map(|chunk| f16::from_bits(u16::from_le_bytes(*chunk))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_half_survives_its_text() {
        let values: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|value| value.is_finite()).collect();
        for values in values.chunks(16_000) {
            let mut text = Vec::new();
            print(values, &mut text);
            assert_eq!(parse(&String::from_utf8(text).unwrap()).unwrap(), values);
        }
    }

    #[test]
    fn rounds_and_refuses_as_pgvector_does() {
        let shown = |text: &str| {
            let mut out = Vec::new();
            print(&parse(text).unwrap(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown("[65519, 0.1, 1e-8, -1e-9, 6e-8]"), "[65504,0.099975586,0,-0,5.9604645e-08]");
        let fails = |text: &str| parse(text).unwrap_err().message().to_owned();
        assert_eq!(fails("[65520]"), "\"65520\" is out of range for type halfvec");
        assert_eq!(fails("[1e400]"), "\"1e400\" is out of range for type halfvec");
        assert_eq!(fails("[inf]"), "infinite value not allowed in halfvec");
        assert_eq!(fails("[NaN]"), "NaN not allowed in halfvec");
        assert_eq!(fails("[]"), "halfvec must have at least 1 dimension");
        assert_eq!(fails("x"), "invalid input syntax for type halfvec: \"x\"");
        assert_eq!(narrow(70_000.0).unwrap_err().message(), "\"70000\" is out of range for type halfvec");
    }
}
