//! Where vectors are seen from before codes of bytes or halves are made of them.
//!
//! ```text
//!   y = (v - centre) · scale          under cosine, v divided by its length
//! ```
//!
//! A code has a step in proportion to what it is of. Rows that lie at 1,000 ± 1 in every dimension have steps of 8 with a
//! byte, of 1/2 with a half and of 4 with a bfloat16, and none of them tells such rows apart; seen from their middle they
//! are ± 1. Distances stay: a - b is (a - centre) - (b - centre), and products need a term of each vector beside
//! ([`Query::from_centre`](crate::distance::Query::from_centre)).
//!
//! The centre is the median of a sample in each dimension, not the mean, which one row in a hundred can draw to where no
//! row is. The scale is a power of two that brings the greatest element of a usual row to between 1/32 and 1/16. A half has
//! steps of 2^-24 there, a 2^19th of that, for all smaller elements, and what lies a million times as far as usual is still
//! within its range.

use std::borrow::Cow;

use super::bq;
use crate::distance::{Metric, Vector};

/// The median of so many rows is off by a twentieth of their spread, which costs a code nothing that can be measured.
pub const SAMPLE_MAX: usize = 1_000;

/// Of the greatest element of a usual row as codes are made of it.
const USUAL_EXPONENT: f32 = -5.0;

/// A point, and how large what is seen from there is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Centre {
    point: Vec<f32>,
    scale: f32,
    trained_on: u32,
}

impl Centre {
    /// In the middle of the sample; the origin where that is empty.
    pub fn among<'a>(metric: Metric, dimensions: usize, sample: impl Iterator<Item = Vector<'a>>) -> Centre {
        // Each in memory of its own: a large piece that comes and goes changes where the allocator puts the graph.
        let mut rows: Vec<Vec<f32>> = Vec::new();
        for vector in sample {
            if let Some(unit) = unit(metric, vector) {
                rows.push(numbers(vector).iter().map(|&x| (f64::from(x) * unit) as f32).collect());
            }
        }
        let mut centre =
            Centre { point: medians(&rows, dimensions), scale: 1.0, trained_on: rows.len() as u32 };
        let reach = |row: &Vec<f32>| {
            row.iter().zip(&centre.point).fold(0.0f32, |reach, (x, c)| reach.max((x - c).abs()))
        };
        let mut reaches: Vec<f32> =
            rows.iter().map(reach).filter(|&reach| reach > 0.0 && reach.is_finite()).collect();
        if let Some(reach) = median(&mut reaches, f32::total_cmp) {
            // Within what a float has on both sides, also of its square.
            let exponent = reach.log2().floor().clamp(-50.0, 60.0);
            centre.scale = (USUAL_EXPONENT - exponent).exp2();
        }
        centre
    }

    /// Words of [`Centre::head`].
    pub fn head_words(dimensions: usize) -> usize {
        2 + dimensions
    }

    /// What a file keeps.
    pub fn head(&self) -> Vec<u32> {
        let words = [self.trained_on, self.scale.to_bits()].into_iter();
        words.chain(self.point.iter().map(|x| x.to_bits())).collect()
    }

    /// The inverse of [`Centre::head`].
    pub fn from_head(head: &[u32]) -> Centre {
        let number = |&word: &u32| f32::from_bits(word);
        Centre { point: head[2..].iter().map(number).collect(), scale: number(&head[1]), trained_on: head[0] }
    }

    /// How many rows it is in the middle of.
    pub fn trained_on(&self) -> u32 {
        self.trained_on
    }

    /// A vector as seen from here, and its term: what the inner product takes from it beside the code.
    pub fn see(&self, metric: Metric, vector: Vector) -> (Vec<f32>, f32) {
        let (unit, scale) = (unit(metric, vector).unwrap_or(1.0), f64::from(self.scale));
        let values = numbers(vector);
        let shifted =
            values.iter().zip(&self.point).map(|(&x, &c)| (f64::from(x) * unit - f64::from(c)) * scale);
        let most = f64::from(f32::MAX);
        let seen: Vec<f32> = shifted.map(|y| y.clamp(-most, most) as f32).collect();
        let mut term = 0.0;
        if metric == Metric::InnerProduct {
            term =
                seen.iter().zip(&self.point).map(|(&y, &c)| f64::from(y) * f64::from(c)).sum::<f64>() * scale;
        }
        (seen, term as f32)
    }

    /// The same for codes that have products with queries, with what their ranks take from it, which are those of vectors.
    pub fn see_for_products(&self, metric: Metric, vector: Vector) -> bq::Seen {
        let (values, term) = self.see(metric, vector);
        let add = match metric {
            Metric::InnerProduct => -term,
            _ => values.iter().map(|x| x * x).sum(),
        };
        bq::Seen { values, add: add / self.magnification(metric) }
    }

    /// A query for them, and what it takes the product times.
    pub fn ask_for_products(&self, metric: Metric, vector: Vector) -> (bq::Seen, f32) {
        let mut seen = self.see_for_products(metric, vector);
        let product = if metric == Metric::InnerProduct { -1.0 } else { -2.0 };
        if metric == Metric::InnerProduct {
            // <o, q> = <o-c, q-c> + <o-c, c> + <q-c, c> + <c, c>, and the code has the second.
            seen.add -= self.square() as f32;
        }
        (seen, product / self.magnification(metric))
    }

    /// <centre, centre>
    pub fn square(&self) -> f64 {
        self.point.iter().map(|&c| f64::from(c).powi(2)).sum()
    }

    /// How many times as great as those of vectors ranks of what is seen from here are.
    pub fn magnification(&self, metric: Metric) -> f32 {
        match metric {
            Metric::L2 | Metric::InnerProduct => self.scale * self.scale,
            Metric::Cosine => 2.0 * self.scale * self.scale,
            _ => self.scale,
        }
    }
}

/// What a vector is multiplied by before it is seen; `None` for one that has no place in a graph.
fn unit(metric: Metric, vector: Vector) -> Option<f64> {
    if metric != Metric::Cosine {
        return Some(1.0);
    }
    let norm = vector.norm();
    (norm > 0.0 && norm.is_finite()).then(|| norm.recip())
}

/// Whether rows as codes have them would have much finer codes if they were seen from their own middle: whether they lie
/// `TIMES` as far from where they are seen as from there.
pub fn is_off(rows: &[Vec<f32>], dimensions: usize) -> bool {
    // Two bits of a code's eight.
    const TIMES: f64 = 4.0;
    let middle = medians(rows, dimensions);
    let squares = |centre: &[f32]| {
        let square =
            |row: &Vec<f32>| row.iter().zip(centre).map(|(x, c)| f64::from(x - c).powi(2)).sum::<f64>();
        let mut squares: Vec<f64> = rows.iter().map(square).collect();
        median(&mut squares, f64::total_cmp).unwrap_or(0.0)
    };
    squares(&vec![0.0; dimensions]) > TIMES * TIMES * squares(&middle)
}

/// Of each column.
fn medians(rows: &[Vec<f32>], columns: usize) -> Vec<f32> {
    let column = |at: usize| {
        let mut values: Vec<f32> = rows.iter().map(|row| row[at]).collect();
        median(&mut values, f32::total_cmp).unwrap_or(0.0)
    };
    (0..columns).map(column).collect()
}

fn median<T: Copy>(values: &mut [T], compare: impl FnMut(&T, &T) -> std::cmp::Ordering) -> Option<T> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, compare).1)
}

/// The elements of a dense vector as f32.
pub fn numbers(vector: Vector<'_>) -> Cow<'_, [f32]> {
    match vector {
        Vector::F32(values) => values.into(),
        Vector::F16(values) => values.iter().map(|value| value.to_f32()).collect::<Vec<f32>>().into(),
        other => panic!("no code is made of a vector of {:?}", other.element()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_move_it_and_usual_rows_have_one_size() {
        for factor in [1e-9f32, 1.0, 1e9] {
            let row = |n: usize| {
                [5.0 + (n % 7) as f32 / 7.0, if n.is_multiple_of(9) { 1e6 } else { n as f32 / 100.0 }]
            };
            let rows: Vec<[f32; 2]> = (0..100).map(|n| row(n).map(|x| x * factor)).collect();
            let centre = Centre::among(Metric::L2, 2, rows.iter().map(Vector::from));
            assert!((5.2..5.8).contains(&(centre.point[0] / factor)), "{centre:?}");
            assert!((0.4..0.8).contains(&(centre.point[1] / factor)), "{centre:?}");
            let (seen, term) = centre.see(Metric::L2, Vector::from(&rows[1]));
            assert!(seen.iter().all(|y| y.abs() < 0.2) && seen.iter().any(|y| y.abs() > 0.01), "{seen:?}");
            assert_eq!((term, centre.trained_on()), (0.0, 100));
            assert_eq!(Centre::from_head(&centre.head()), centre);
        }
    }

    #[test]
    fn equal_rows_and_no_rows_have_a_centre_too() {
        let rows = [[7.0f32, 7.0], [7.0, 7.0]];
        let centre = Centre::among(Metric::InnerProduct, 2, rows.iter().map(Vector::from));
        assert_eq!(centre.see(Metric::InnerProduct, Vector::from(&rows[0])), (vec![0.0, 0.0], 0.0));
        // <v - c, c>
        assert_eq!(centre.see(Metric::InnerProduct, Vector::from(&[8.0, 7.0])), (vec![1.0, 0.0], 7.0));
        let origin = Centre::among(Metric::Cosine, 2, std::iter::empty());
        assert_eq!(origin.see(Metric::Cosine, Vector::from(&[3.0, 4.0])).0, [0.6, 0.8]);
        assert_eq!(origin.see(Metric::Cosine, Vector::from(&[0.0, 0.0])).0, [0.0, 0.0]);
    }

    #[test]
    fn rows_that_lie_elsewhere_are_off() {
        let rows = |offset: f32| (0..50).map(|n| vec![offset + (n as f32).sin(), offset]).collect::<Vec<_>>();
        assert!(is_off(&rows(9.0), 2) && !is_off(&rows(0.5), 2) && !is_off(&rows(0.0), 2));
        assert!(!is_off(&vec![vec![0.0; 2]; 50], 2) && is_off(&vec![vec![1.0; 2]; 50], 2));
        assert!(!is_off(&[], 2));
    }
}
