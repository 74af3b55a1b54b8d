//! The sums, as fast as the machine allows. Each panics when the lengths differ: dimensions are checked where
//! vectors enter.
//!
//! `dot` and `l2_squared` are those of `wide.rs` where there is AVX-512, and elsewhere simsimd's, which picks AVX2, NEON
//! or SVE at run time. It has no L1, so that one is written here: one loop over 16 lanes, compiled three times, picked at
//! run time.

use simsimd::SpatialSimilarity;

#[cfg(target_arch = "x86_64")]
use super::wide;

const SAME: &str = "both vectors have the dimension of the column";

/// Σ(a-b)².
#[inline]
#[allow(unsafe_code)]
pub fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512, checked on the line above.
        return unsafe { wide::l2_squared(a, b) };
    }
    f32::l2sq(a, b).expect(SAME) as f32
}

/// Σ a·b.
#[inline]
#[allow(unsafe_code)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512, checked on the line above.
        return unsafe { wide::dot(a, b) };
    }
    f32::dot(a, b).expect(SAME) as f32
}

/// Σ(a-b)² of each of four a: bit for bit what [`l2_squared`] says.
#[inline]
#[allow(unsafe_code)]
pub fn l2_squared_of_four(a: &[&[f32]; 4], b: &[f32]) -> [f32; 4] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512, checked on the line above.
        return unsafe { wide::l2_squared_of_four(a, b) };
    }
    a.map(|a| l2_squared(a, b))
}

/// Σ a·b of each of four a: bit for bit what [`dot`] says.
#[inline]
#[allow(unsafe_code)]
pub fn dots_of_four(a: &[&[f32]; 4], b: &[f32]) -> [f32; 4] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512, checked on the line above.
        return unsafe { wide::dots_of_four(a, b) };
    }
    a.map(|a| dot(a, b))
}

/// Σ|a-b|.
#[inline]
#[allow(unsafe_code)]
pub fn l1(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512, checked on the line above.
            return unsafe { l1_avx512(a, b) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, checked on the line above.
            return unsafe { l1_avx2(a, b) };
        }
    }
    l1_lanes(a, b)
}

/// The caller makes sure that the processor has AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
unsafe fn l1_avx512(a: &[f32], b: &[f32]) -> f32 {
    l1_lanes(a, b)
}

/// The caller makes sure that the processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code)]
unsafe fn l1_avx2(a: &[f32], b: &[f32]) -> f32 {
    l1_lanes(a, b)
}

/// Independent sums that the compiler may keep in registers: two of AVX-512, four of AVX2, eight of SSE or NEON.
const LANES: usize = 32;

#[inline(always)]
fn l1_lanes(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "{SAME}");
    let mut sums = [0.0f32; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += (x[lane] - y[lane]).abs();
        }
    }
    for (lane, (x, y)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += (x - y).abs();
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    //! Each kernel against its scalar twin, over dimensions 1 to 4,096 and values of very different sizes.

    use proptest::prelude::*;

    use super::*;
    use crate::distance::scalar;

    /// A deterministic vector: `spread` decides how many powers of two its values range over.
    fn vector(dimensions: usize, seed: u64, spread: i32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        (0..dimensions)
            .map(|_| {
                let unit = (next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
                unit * 2f32.powi((next() % (2 * spread as u64 + 1)) as i32 - spread)
            })
            .collect()
    }

    /// The bound of the module's page.
    fn bound(dimensions: usize, magnitude: f64) -> f64 {
        (dimensions as f64 + 3.0) * 2f64.powi(-24) * magnitude + f64::from(f32::MIN_POSITIVE)
    }

    fn magnitude(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&x, &y)| (f64::from(x) * f64::from(y)).abs()).sum()
    }

    fn check(a: &[f32], b: &[f32]) {
        let n = a.len();
        let (exact, fast) = (scalar::l2_squared(a, b), f64::from(l2_squared(a, b)));
        assert!((exact - fast).abs() <= bound(n, exact), "l2 of {n}: {fast} for {exact}");
        let (exact, fast) = (scalar::dot(a, b), f64::from(dot(a, b)));
        assert!((exact - fast).abs() <= bound(n, magnitude(a, b)), "dot of {n}: {fast} for {exact}");
        let exact = scalar::l1(a, b);
        for fast in [l1(a, b), l1_lanes(a, b)] {
            assert!((exact - f64::from(fast)).abs() <= bound(n, exact), "l1 of {n}: {fast} for {exact}");
        }
    }

    #[test]
    fn every_small_dimension_and_the_edges_of_large_ones() {
        for n in (1..=260).chain([383, 384, 385, 767, 768, 1023, 1024, 1536, 2000, 4095, 4096]) {
            check(&vector(n, n as u64, 0), &vector(n, n as u64 + 7_777, 0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn kernels_match_their_twins(n in 1usize..=4096, seed in any::<u64>(), spread in 0i32..20) {
            check(&vector(n, seed, spread), &vector(n, seed ^ 0xABCD, spread));
        }
    }

    /// Bit for bit: an answer does not depend on how many are asked for at a time.
    #[test]
    fn four_at_a_time_are_as_one_by_one() {
        for n in (1..=200).chain([383, 384, 385, 1536, 4096]) {
            let b = vector(n, 5, 12);
            let queries: [Vec<f32>; 4] = std::array::from_fn(|number| vector(n, number as u64 + 90, 12));
            let a = queries.each_ref().map(Vec::as_slice);
            let bits = |values: [f32; 4]| values.map(f32::to_bits);
            assert_eq!(bits(dots_of_four(&a, &b)), bits(a.map(|a| dot(a, &b))), "dot of {n}");
            assert_eq!(bits(l2_squared_of_four(&a, &b)), bits(a.map(|a| l2_squared(a, &b))), "l2 of {n}");
        }
    }

    #[test]
    fn equal_vectors_have_distance_zero() {
        let a = vector(771, 3, 10);
        assert_eq!((l2_squared(&a, &a), l1(&a, &a)), (0.0, 0.0));
    }

    #[test]
    #[should_panic(expected = "dimension of the column")]
    fn different_dimensions_are_a_broken_invariant() {
        l2_squared(&[1.0], &[1.0, 2.0]);
    }
}
