//! Axes along which vectors differ most: what `pq` codes are of, instead of the dimensions.
//!
//! ```text
//!   variance
//!   |#
//!   |##
//!   |####                          of sentences' embeddings of 384 dimensions
//!   |########                      96 axes have 0.73 of all, 192 have 0.92
//!   |################........
//!   +------------------------ axis
//! ```
//!
//! Dimensions of embeddings go with each other, and bits spent on each of them say the same thing twice. Along the principal
//! axes they do not, and the last half of the axes has so little that it is left out.
//!
//! Orthogonal iteration (Golub and Van Loan, *Matrix Computations*, 8.2.4): multiply by the covariance, make orthogonal
//! again, so often. It need not have converged: axes that are a little turned among others of nearly their variance are as
//! good, which is also why a small sample is enough.

use crate::distance::dot;
use crate::index::mix::mix;

/// Rows looked at. Codes of 50,000 sentences keep an α² of about 0.75 with 1,024 and of 0.77 with 4,096.
const SAMPLE_MAX: usize = 2_048;
/// Three lose 0.005 of α², 24 win 0.001.
const ROUNDS: usize = 4;
/// Multiplications that all rounds take at most, two seconds: beyond 1,500 dimensions fewer rows are looked at, of 4,000
/// dimensions 400.
const WORK_MAX: usize = 1 << 33;

/// A direction of length one.
pub struct Axis {
    pub direction: Vec<f32>,
    /// The mean square of rows along it.
    pub variance: f32,
}

/// `count` axes of `rows`, which are seen from their middle. As many as there are dimensions are at right angles to each
/// other; those beyond are a second look along others, and so on.
pub fn principal(rows: &[Vec<f32>], dimensions: usize, count: usize) -> Vec<Axis> {
    let sample_max = (WORK_MAX / (2 * ROUNDS * dimensions * count)).clamp(1, SAMPLE_MAX);
    let rows: Vec<&[f32]> =
        rows.iter().step_by(rows.len().div_ceil(sample_max).max(1)).map(Vec::as_slice).collect();
    let columns: Vec<Vec<f32>> = (0..dimensions).map(|at| rows.iter().map(|row| row[at]).collect()).collect();
    let mut directions: Vec<Vec<f32>> = (0..count).map(|seed| random(seed as u64, dimensions)).collect();
    directions.chunks_mut(dimensions).for_each(make_orthogonal);
    let first = dimensions.min(count);
    let along = |direction: &[f32]| -> Vec<f32> { rows.iter().map(|row| dot(row, direction)).collect() };
    for _ in 0..ROUNDS {
        for direction in &mut directions[..first] {
            let places = along(direction);
            let turned: Vec<f32> = columns.iter().map(|column| dot(column, &places)).collect();
            // No row has a part of a direction that none goes along; it stays.
            if turned.iter().any(|&x| x != 0.0) {
                *direction = turned;
            }
        }
        make_orthogonal(&mut directions[..first]);
    }
    let variance = |direction: &[f32]| {
        let places = along(direction);
        dot(&places, &places) / rows.len().max(1) as f32
    };
    directions.into_iter().map(|direction| Axis { variance: variance(&direction), direction }).collect()
}

/// A direction as likely as any other, nearly: uniform elements, not normal ones. Of length one.
pub fn random(seed: u64, dimensions: usize) -> Vec<f32> {
    let element = |at: usize| {
        let bits = mix(seed << 32 | at as u64) >> 40;
        bits as f32 / (1u64 << 23) as f32 - 1.0
    };
    let mut direction: Vec<f32> = (0..dimensions).map(element).collect();
    if !scale_to_one(&mut direction) {
        direction[0] = 1.0;
    }
    direction
}

/// Gram and Schmidt, with each vector made of length one. One that is nearly among those before it is replaced.
fn make_orthogonal(directions: &mut [Vec<f32>]) {
    for at in 0..directions.len() {
        let (done, rest) = directions.split_at_mut(at);
        let mut seed = u64::from(u32::MAX) - at as u64;
        while !leave(done, &mut rest[0]) {
            rest[0] = random(seed, rest[0].len());
            seed -= done.len() as u64 + 1;
        }
    }
}

/// Takes from a vector what goes along others, and makes the rest of length one; false when little was left of it, which is
/// mostly rounding.
fn leave(others: &[Vec<f32>], vector: &mut [f32]) -> bool {
    const LEFT_MIN: f32 = 1e-3;
    if !scale_to_one(vector) {
        return false;
    }
    for other in others {
        let along = dot(other, vector);
        vector.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
    }
    dot(vector, vector) > LEFT_MIN * LEFT_MIN && scale_to_one(vector)
}

/// Makes it of length one; false when it has none, or one that f32 cannot hold.
pub fn scale_to_one(vector: &mut [f32]) -> bool {
    let length = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    if length == 0.0 || !length.is_finite() {
        return false;
    }
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_orthogonal_and_in_the_order_of_what_rows_differ_by() {
        for (dimensions, count) in [(1, 1), (3, 15), (24, 24), (70, 32)] {
            // The first two directions have nearly all.
            let (a, b) = (random(1, dimensions), random(2, dimensions));
            let row = |n: u64| {
                let weight = |of: u64| mix(n * 3 + of) as f32 / u64::MAX as f32 - 0.5;
                let noise = random(n + 9, dimensions);
                let element = |at: usize| weight(0) * a[at] + 0.5 * weight(1) * b[at] + 0.01 * noise[at];
                (0..dimensions).map(element).collect::<Vec<f32>>()
            };
            let rows: Vec<Vec<f32>> = (0..300).map(row).collect();
            let axes = principal(&rows, dimensions, count);
            assert_eq!(axes.len(), count);
            for basis in axes.chunks(dimensions) {
                for (at, axis) in basis.iter().enumerate() {
                    for (other_at, other) in basis.iter().enumerate() {
                        let product = dot(&axis.direction, &other.direction);
                        let expected = if at == other_at { 1.0 } else { 0.0 };
                        assert!(
                            (product - expected).abs() < 1e-3,
                            "{dimensions}: {at} and {other_at}: {product}"
                        );
                    }
                }
            }
            let total: f32 = rows.iter().map(|row| dot(row, row)).sum::<f32>() / 300.0;
            let kept: f32 = axes.iter().take(2).map(|axis| axis.variance).sum();
            assert!(kept > 0.95 * total, "{dimensions}: {kept} of {total}");
        }
    }

    #[test]
    fn rows_along_one_line_and_no_rows_have_axes_too() {
        for rows in [Vec::new(), vec![vec![0.0; 5]; 3], vec![vec![2.0, 0.0, 0.0, 0.0, 0.0]; 4]] {
            let axes = principal(&rows, 5, 5);
            assert!(axes.iter().all(|axis| (dot(&axis.direction, &axis.direction) - 1.0).abs() < 1e-5));
        }
    }
}
