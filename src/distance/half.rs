//! The sums over half-precision vectors: each element is widened to f32 and added in f32.
//!
//! simsimd's own kernels add in f16 on processors that can, which overflows for ordinary vectors, hence these: one
//! AVX-512 loop, one for AVX2 with F16C, one in plain Rust. The widening is exact, so the module's bound holds.

use crate::types::f16;

const SAME: &str = "both vectors have the dimension of the column";

macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident, $avx512:ident, $avx2:ident, $plain:expr) => {
        $(#[$doc])*
        #[inline]
        #[allow(unsafe_code)]
        pub fn $name(a: &[f16], b: &[f16]) -> f32 {
            assert_eq!(a.len(), b.len(), "{SAME}");
            #[cfg(target_arch = "x86_64")]
            {
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the processor has the features, and the lengths are the same.
                    return unsafe { x86::$avx512(a, b) };
                }
                if std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("f16c")
                    && std::arch::is_x86_feature_detected!("fma")
                {
                    // SAFETY: the processor has the features, and the lengths are the same.
                    return unsafe { x86::$avx2(a, b) };
                }
            }
            lanes(a, b, $plain)
        }
    };
}

kernel!(
    /// Σ(a-b)².
    l2_squared,
    l2_avx512,
    l2_avx2,
    |x, y| (x - y) * (x - y)
);
kernel!(
    /// Σ a·b.
    dot,
    dot_avx512,
    dot_avx2,
    |x, y| x * y
);
kernel!(
    /// Σ|a-b|.
    l1,
    l1_avx512,
    l1_avx2,
    |x, y| (x - y).abs()
);

/// Independent sums, so that the additions do not wait for each other.
const LANES: usize = 16;

#[inline(always)]
fn lanes(a: &[f16], b: &[f16], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (x, y) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += term(x.to_f32(), y.to_f32());
        }
    }
    sums.iter().sum()
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    //! Two accumulators of one register each; the rest is read under a mask (AVX-512) or element by element.

    use std::arch::x86_64::*;

    use crate::types::f16;

    macro_rules! avx512 {
        ($name:ident, |$sum:ident, $x:ident, $y:ident| $step:expr) => {
            /// The caller makes sure that the processor has the features and the slices one length.
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,f16c")]
            pub unsafe fn $name(a: &[f16], b: &[f16]) -> f32 {
                const N: usize = 16;
                let (mut first, mut second) = (_mm512_setzero_ps(), _mm512_setzero_ps());
                let (a_start, b_start) = (a.as_ptr().cast::<i16>(), b.as_ptr().cast::<i16>());
                let mut at = 0;
                // SAFETY: f16 has the layout of i16; every whole load ends within the slices, and a masked one reads
                // only the elements that its mask names, which are those left.
                unsafe {
                    let load =
                        |start: *const i16, at: usize| _mm512_cvtph_ps(_mm256_loadu_epi16(start.add(at)));
                    while at + 2 * N <= a.len() {
                        let ($sum, $x, $y) = (first, load(a_start, at), load(b_start, at));
                        first = $step;
                        let ($sum, $x, $y) = (second, load(a_start, at + N), load(b_start, at + N));
                        second = $step;
                        at += 2 * N;
                    }
                    while at < a.len() {
                        let left = (a.len() - at).min(N);
                        let mask = ((1u32 << left) - 1) as __mmask16;
                        let $x = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, a_start.add(at)));
                        let $y = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, b_start.add(at)));
                        let $sum = first;
                        first = $step;
                        at += left;
                    }
                }
                _mm512_reduce_add_ps(_mm512_add_ps(first, second))
            }
        };
    }

    avx512!(l2_avx512, |sum, x, y| {
        let difference = _mm512_sub_ps(x, y);
        _mm512_fmadd_ps(difference, difference, sum)
    });
    avx512!(dot_avx512, |sum, x, y| _mm512_fmadd_ps(x, y, sum));
    avx512!(l1_avx512, |sum, x, y| _mm512_add_ps(sum, _mm512_abs_ps(_mm512_sub_ps(x, y))));

    macro_rules! avx2 {
        ($name:ident, |$sum:ident, $x:ident, $y:ident| $step:expr, $term:expr) => {
            /// The caller makes sure that the processor has the features and the slices one length.
            #[target_feature(enable = "avx2,fma,f16c")]
            pub unsafe fn $name(a: &[f16], b: &[f16]) -> f32 {
                const N: usize = 8;
                let (a_chunks, a_rest) = a.as_chunks::<N>();
                let (b_chunks, b_rest) = b.as_chunks::<N>();
                let mut first = _mm256_setzero_ps();
                for (x, y) in a_chunks.iter().zip(b_chunks) {
                    // SAFETY: a chunk is as long as the load.
                    let ($x, $y) = unsafe {
                        (
                            _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().cast())),
                            _mm256_cvtph_ps(_mm_loadu_si128(y.as_ptr().cast())),
                        )
                    };
                    let $sum = first;
                    first = $step;
                }
                let mut sums = [0.0f32; N];
                // SAFETY: eight floats have room for eight floats.
                unsafe { _mm256_storeu_ps(sums.as_mut_ptr(), first) };
                sums.iter().sum::<f32>() + super::lanes(a_rest, b_rest, $term)
            }
        };
    }

    avx2!(
        l2_avx2,
        |sum, x, y| {
            let difference = _mm256_sub_ps(x, y);
            _mm256_fmadd_ps(difference, difference, sum)
        },
        |x, y| (x - y) * (x - y)
    );
    avx2!(dot_avx2, |sum, x, y| _mm256_fmadd_ps(x, y, sum), |x, y| x * y);
    avx2!(
        l1_avx2,
        |sum, x, y| {
            let sign = _mm256_set1_ps(-0.0);
            _mm256_add_ps(sum, _mm256_andnot_ps(sign, _mm256_sub_ps(x, y)))
        },
        |x, y| (x - y).abs()
    );
}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    //! Every variant against the scalar twin over the widened elements, with values that f16 sums could not hold.

    use proptest::prelude::*;

    use super::*;
    use crate::distance::scalar;

    fn vector(dimensions: usize, seed: u64, largest: f32) -> Vec<f16> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..dimensions)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                f16::from_f32(((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * largest)
            })
            .collect()
    }

    fn wide(vector: &[f16]) -> Vec<f32> {
        vector.iter().map(|x| x.to_f32()).collect()
    }

    fn close(name: &str, n: usize, exact: f64, magnitude: f64, fast: f32) {
        let bound = (n as f64 + 3.0) * 2f64.powi(-24) * magnitude + f64::from(f32::MIN_POSITIVE);
        assert!((exact - f64::from(fast)).abs() <= bound, "{name} of {n}: {fast} for {exact}");
    }

    fn check(a: &[f16], b: &[f16]) {
        let n = a.len();
        let (x, y) = (wide(a), wide(b));
        let exact = [scalar::l2_squared(&x, &y), scalar::dot(&x, &y), scalar::l1(&x, &y)];
        let product: f64 = x.iter().zip(&y).map(|(&x, &y)| (f64::from(x) * f64::from(y)).abs()).sum();
        let magnitudes = [exact[0], product, exact[2]];
        let mut variants = vec![
            ("picked", [l2_squared(a, b), dot(a, b), l1(a, b)]),
            (
                "plain",
                [
                    lanes(a, b, |x, y| (x - y) * (x - y)),
                    lanes(a, b, |x, y| x * y),
                    lanes(a, b, |x, y| (x - y).abs()),
                ],
            ),
        ];
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("f16c")
            && std::arch::is_x86_feature_detected!("fma")
        {
            // SAFETY: the processor has the features; both slices have one length.
            variants.push(("avx2", unsafe { [x86::l2_avx2(a, b), x86::dot_avx2(a, b), x86::l1_avx2(a, b)] }));
        }
        for (name, sums) in variants {
            for metric in 0..3 {
                close(name, n, exact[metric], magnitudes[metric], sums[metric]);
            }
        }
    }

    #[test]
    fn every_small_dimension_and_the_edges_of_large_ones() {
        for n in (1..=260).chain([383, 384, 385, 767, 768, 1023, 1024, 1536, 2000, 4000, 4095, 4096]) {
            check(&vector(n, n as u64, 1.0), &vector(n, n as u64 + 7_777, 1.0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn kernels_match_their_twins(n in 1usize..=4096, seed in any::<u64>(), power in -20i32..16) {
            let largest = 2f32.powi(power);
            check(&vector(n, seed, largest), &vector(n, seed ^ 0xABCD, largest));
        }
    }

    #[test]
    fn sums_beyond_f16_are_no_infinity() {
        let (a, b) = (vec![f16::from_f32(30.0); 1536], vec![f16::from_f32(-30.0); 1536]);
        assert_eq!(l2_squared(&a, &b), 3600.0 * 1536.0);
        assert_eq!(dot(&a, &b), -900.0 * 1536.0);
    }
}
