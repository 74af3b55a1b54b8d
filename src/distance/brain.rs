//! The sums over bfloat16 vectors: each element is widened to f32, which is exact, and added in f32.
//!
//! One loop over lanes, compiled three times and picked at run time. The widening is a shift, so that the compiler's own
//! vector code is all there is to gain.

use crate::types::bf16;

const SAME: &str = "both vectors have the dimension of the column";
/// Independent sums: two registers of AVX-512, four of AVX2.
const LANES: usize = 32;

macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident, $term:expr) => {
        $(#[$doc])*
        #[inline]
        #[allow(unsafe_code)]
        pub fn $name(a: &[bf16], b: &[bf16]) -> f32 {
            #[cfg(target_arch = "x86_64")]
            {
                /// The caller makes sure that the processor has AVX-512.
                #[target_feature(enable = "avx512f,avx512bw")]
                unsafe fn avx512(a: &[bf16], b: &[bf16]) -> f32 {
                    lanes(a, b, $term)
                }
                /// The caller makes sure that the processor has AVX2.
                #[target_feature(enable = "avx2")]
                unsafe fn avx2(a: &[bf16], b: &[bf16]) -> f32 {
                    lanes(a, b, $term)
                }
                if std::arch::is_x86_feature_detected!("avx512bw") {
                    // SAFETY: the processor has AVX-512, checked on the line above; BW comes with F.
                    return unsafe { avx512(a, b) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2, checked on the line above.
                    return unsafe { avx2(a, b) };
                }
            }
            lanes(a, b, $term)
        }
    };
}

kernel!(
    /// Σ(a-b)².
    l2_squared,
    |x: f32, y: f32| (x - y) * (x - y)
);
kernel!(
    /// Σ a·b.
    dot,
    |x: f32, y: f32| x * y
);
kernel!(
    /// Σ|a-b|.
    l1,
    |x: f32, y: f32| (x - y).abs()
);

#[inline(always)]
fn lanes(a: &[bf16], b: &[bf16], term: impl Fn(f32, f32) -> f32) -> f32 {
    assert_eq!(a.len(), b.len(), "{SAME}");
    let mut sums = [0.0f32; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += term(widen(*x), widen(*y));
        }
    }
    for (sum, (x, y)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum += term(widen(*x), widen(*y));
    }
    sums.iter().sum()
}

#[inline(always)]
fn widen(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::distance::scalar;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn kernels_match_their_twins(pairs in prop::collection::vec((-1e3f32..1e3, -1e3f32..1e3), 1..1000)) {
            let round = |x: f32| bf16::from_f32(x);
            let (a, b): (Vec<bf16>, Vec<bf16>) = pairs.iter().map(|&(a, b)| (round(a), round(b))).unzip();
            let wide = |v: &[bf16]| v.iter().map(|x| x.to_f32()).collect::<Vec<f32>>();
            let (x, y) = (wide(&a), wide(&b));
            let product: f64 = x.iter().zip(&y).map(|(&x, &y)| (f64::from(x) * f64::from(y)).abs()).sum();
            let exact = [scalar::l2_squared(&x, &y), scalar::dot(&x, &y), scalar::l1(&x, &y)];
            let magnitudes = [exact[0], product, exact[2]];
            for (at, fast) in [l2_squared(&a, &b), dot(&a, &b), l1(&a, &b)].into_iter().enumerate() {
                let bound = (a.len() as f64 + 3.0) * 2f64.powi(-24) * magnitudes[at] + f64::from(f32::MIN_POSITIVE);
                prop_assert!((exact[at] - f64::from(fast)).abs() <= bound, "{fast} for {}", exact[at]);
            }
        }
    }
}
