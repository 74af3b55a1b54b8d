//! The sums over sparse vectors: one walk along both lists of indices, smaller index first.
//!
//! At each step the lists' heads are compared and the smaller one moves on, both when they are equal; what a vector
//! has not is zero. Written without a branch on the outcome, which of random lists no processor foresees: 100 elements
//! against 100 take about 200 steps.
//!
//! Terms are added in order of their indices in f32, as pgvector adds them, so that the digits are the same.

use crate::types::sparsevec::Sparse;

/// Dimensions of dense vectors that are compared in the time of one step: 1.5 ns against 0.15 ns of memory traffic.
pub const STEP_DIMENSIONS: usize = 10;

/// Σ(a-b)².
#[inline]
pub fn l2_squared(a: Sparse, b: Sparse) -> f32 {
    sum(a, b, |x, y| (x - y) * (x - y))
}

/// Σ|a-b|.
#[inline]
pub fn l1(a: Sparse, b: Sparse) -> f32 {
    sum(a, b, |x, y| (x - y).abs())
}

/// Σ a·b.
#[inline]
pub fn dot(a: Sparse, b: Sparse) -> f32 {
    walk(a, b, |x, y| x * y).0
}

/// Over all indices that either vector has.
#[inline(always)]
fn sum(a: Sparse, b: Sparse, term: impl Fn(f32, f32) -> f32) -> f32 {
    let (sum, a_rest, b_rest) = walk(a, b, &term);
    let sum = a_rest.iter().fold(sum, |sum, &x| sum + term(x, 0.0));
    b_rest.iter().fold(sum, |sum, &y| sum + term(0.0, y))
}

/// As far as both have elements left, and what is left of the longer.
#[inline(always)]
fn walk<'v>(a: Sparse<'v>, b: Sparse<'v>, term: impl Fn(f32, f32) -> f32) -> (f32, &'v [f32], &'v [f32]) {
    let (a_indices, b_indices) = (a.indices(), b.indices());
    let (a_values, b_values) = (a.values(), b.values());
    let (mut i, mut j, mut sum) = (0, 0, 0.0f32);
    while i < a_indices.len() && j < b_indices.len() {
        let (left, right) = (a_indices[i], b_indices[j]);
        let x = if left <= right { a_values[i] } else { 0.0 };
        let y = if right <= left { b_values[j] } else { 0.0 };
        sum += term(x, y);
        i += usize::from(left <= right);
        j += usize::from(right <= left);
    }
    (sum, &a_values[i..], &b_values[j..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::distance::scalar;
    use crate::types::sparsevec::Sparsevec;

    fn elements() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(prop_oneof![3 => Just(0.0f32), 1 => -1e3f32..1e3, 1 => -1f32..1.0], 200)
    }

    /// The bound of the module's page.
    fn close(fast: f32, exact: f64, magnitude: f64) -> bool {
        (f64::from(fast) - exact).abs() <= 203.0 * 2f64.powi(-24) * magnitude + f64::from(f32::MIN_POSITIVE)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn kernels_match_their_twins(a in elements(), b in elements(), cut in 0usize..200) {
            let mut b = b;
            b[cut..].fill(0.0);
            let (x, y) = (Sparsevec::of_dense(&a).unwrap(), Sparsevec::of_dense(&b).unwrap());
            for (x, y) in [(x.as_sparse(), y.as_sparse()), (y.as_sparse(), x.as_sparse())] {
                let squares = scalar::l2_squared(&a, &b);
                prop_assert!(close(l2_squared(x, y), squares, squares));
                let differences = scalar::l1(&a, &b);
                prop_assert!(close(l1(x, y), differences, differences));
                let magnitude = a.iter().zip(&b).map(|(a, b)| f64::from(a * b).abs()).sum();
                prop_assert!(close(dot(x, y), scalar::dot(&a, &b), magnitude));
            }
        }

        #[test]
        fn any_words_are_walked_without_a_panic(a in prop::collection::vec(0u32..9, 0..9), b in prop::collection::vec(0u32..9, 0..9)) {
            l2_squared(Sparse::new(&a), Sparse::new(&b));
        }
    }

    #[test]
    fn nothing_in_common() {
        let (a, empty) =
            (Sparsevec::of_dense(&[3.0, 0.0, 4.0]).unwrap(), Sparsevec::of_dense(&[0.0; 3]).unwrap());
        let (a, empty) = (a.as_sparse(), empty.as_sparse());
        assert_eq!((l2_squared(a, empty), l1(empty, a), dot(a, empty)), (25.0, 7.0, 0.0));
        assert_eq!((l2_squared(empty, empty), dot(a, a), dot(empty, empty)), (0.0, 25.0, 0.0));
    }
}
