//! A random rotation that costs n log n: signs, Hadamard transforms and pairs, four times.
//!
//! After it every element of a vector is a mixture of all, so that signs tell as much about a vector along an axis as
//! about any other. A matrix would cost n², more than the search it serves. As in the RaBitQ authors' library
//! (`FhtKacRotator`): a transform needs a power of two, so each round takes the first or the last elements that make one,
//! in turns, and then turns each element of the first half by 45 degrees against its partner in the second.
//!
//! Nothing is stored: signs come from a hash of their place.

use crate::index::mix::mix;

/// Vectors are filled up with zeros to a multiple of this.
const MULTIPLE: usize = 64;
const ROUNDS: usize = 4;

/// Elements of a rotated vector.
pub fn padded(dimensions: usize) -> usize {
    dimensions.next_multiple_of(MULTIPLE)
}

/// Rotates a vector of [`padded`] length in place.
pub fn rotate(values: &mut [f32]) {
    let n = values.len();
    assert!(n > 0 && n.is_multiple_of(MULTIPLE), "{n} elements are not padded");
    let power = 1 << n.ilog2();
    for round in 0..ROUNDS {
        flip(values, round);
        let start = if round % 2 == 0 { 0 } else { n - power };
        transform(&mut values[start..start + power]);
        if power < n {
            turn(values);
        }
    }
}

/// Changes about half of the signs.
fn flip(values: &mut [f32], round: usize) {
    for (word, values) in values.chunks_mut(u64::BITS as usize).enumerate() {
        let bits = mix((round as u64) << 32 | word as u64);
        for (at, value) in values.iter_mut().enumerate() {
            *value = f32::from_bits(value.to_bits() ^ ((bits >> at & 1) as u32) << 31);
        }
    }
}

/// Walsh and Hadamard's transform, scaled so that lengths stay.
fn transform(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (x, y) in left.iter_mut().zip(right) {
                (*x, *y) = (*x + *y, *x - *y);
            }
        }
        half *= 2;
    }
    let scale = (values.len() as f32).sqrt().recip();
    values.iter_mut().for_each(|value| *value *= scale);
}

fn turn(values: &mut [f32]) {
    let middle = values.len() / 2;
    let (left, right) = values.split_at_mut(middle);
    for (x, y) in left.iter_mut().zip(right) {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        (*x, *y) = ((*x + *y) * half, (*x - *y) * half);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_angles_stay_and_axes_are_spread() {
        for n in [64, 128, 192, 384, 768, 1536, 1600] {
            let mut a: Vec<f32> = (0..n).map(|i| ((i * 37) as f32).sin()).collect();
            let mut b: Vec<f32> = (0..n).map(|i| ((i * i) as f32).cos()).collect();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let before = [dot(&a, &a), dot(&a, &b), dot(&b, &b)];
            rotate(&mut a);
            rotate(&mut b);
            for (before, after) in before.into_iter().zip([dot(&a, &a), dot(&a, &b), dot(&b, &b)]) {
                assert!((before - after).abs() < 1e-4 * n as f32, "{n}: {before} became {after}");
            }
            let mut axis = vec![0.0f32; n];
            axis[n / 3] = 1.0;
            rotate(&mut axis);
            // 1 / sqrt(n) each would be perfect.
            let greatest = axis.iter().fold(0.0f32, |greatest, x| greatest.max(x.abs()));
            assert!(greatest < 6.0 / (n as f32).sqrt(), "{n}: {greatest}");
        }
    }
}
