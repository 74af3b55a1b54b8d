//! The sums of f32 and of codes with AVX-512, in four registers each.
//!
//! ```text
//!   a   |0..16 |16..32|32..48|48..64| 64.. ...          one step = 64 elements
//!          *      *      *      *
//!   b   |0..16 |16..32|32..48|48..64| 64.. ...
//!          |      |      |      |
//!         s0     s1     s2     s3                       added up at the end
//! ```
//!
//! With one register each step waits for the one before, 4 cycles for every 64 bytes: 96 cycles for 384 dimensions, in
//! which the loads of the next vector do not begin. simsimd's kernels are such; what the difference is worth is in
//! `docs/design/0002-search-strategies.md`, "What a comparison costs".

#![allow(unsafe_code, reason = "loads of vector registers")]

use std::arch::x86_64::*;

/// Elements of a register.
const LANES: usize = 16;
/// Registers that sum.
const SUMS: usize = 4;
/// Bytes of a register.
const BYTES: usize = 64;

/// The sum of `$add(sum, a, b)` over registers `a` and `b` of two slices of one length.
macro_rules! sum {
    ($a:expr, $b:expr, $add:expr) => {{
        let (a, b): (&[f32], &[f32]) = ($a, $b);
        assert_eq!(a.len(), b.len(), "both vectors have the dimension of the column");
        let mut sums = [_mm512_setzero_ps(); SUMS];
        let (a_steps, a_rest) = a.as_chunks::<{ SUMS * LANES }>();
        let (b_steps, b_rest) = b.as_chunks::<{ SUMS * LANES }>();
        for (a, b) in a_steps.iter().zip(b_steps) {
            for (part, sum) in sums.iter_mut().enumerate() {
                let place = part * LANES;
                // SAFETY: a step has SUMS * LANES elements, and `place` leaves LANES of them.
                let (a, b) = unsafe {
                    (_mm512_loadu_ps(a.as_ptr().add(place)), _mm512_loadu_ps(b.as_ptr().add(place)))
                };
                *sum = $add(*sum, a, b);
            }
        }
        for (a, b) in a_rest.chunks(LANES).zip(b_rest.chunks(LANES)) {
            let mask = u16::MAX >> (LANES - a.len());
            // SAFETY: the mask has a bit for each element of the chunk, and no other is read.
            let (a, b) =
                unsafe { (_mm512_maskz_loadu_ps(mask, a.as_ptr()), _mm512_maskz_loadu_ps(mask, b.as_ptr())) };
            sums[0] = $add(sums[0], a, b);
        }
        let [s0, s1, s2, s3] = sums;
        _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)))
    }};
}

/// As [`sum`] for each of four slices `a` and one `b`: the same sums in the same order, while each part of `b` is loaded
/// once for all of them.
macro_rules! sums_of_four {
    ($a:expr, $b:expr, $add:expr) => {{
        let (a, b): (&[&[f32]; 4], &[f32]) = ($a, $b);
        assert!(a.iter().all(|a| a.len() == b.len()), "all vectors have the dimension of the column");
        let mut sums = [[_mm512_setzero_ps(); SUMS]; 4];
        let mut place = 0;
        let whole = b.len() - b.len() % (SUMS * LANES);
        while place < whole {
            for part in 0..SUMS {
                let at = place + part * LANES;
                // SAFETY: `at` leaves LANES elements before `whole`, which all five slices have.
                let b = unsafe { _mm512_loadu_ps(b.as_ptr().add(at)) };
                for (a, sums) in a.iter().zip(&mut sums) {
                    // SAFETY: as above.
                    let a = unsafe { _mm512_loadu_ps(a.as_ptr().add(at)) };
                    sums[part] = $add(sums[part], a, b);
                }
            }
            place += SUMS * LANES;
        }
        while place < b.len() {
            let mask = u16::MAX >> (LANES - (b.len() - place).min(LANES));
            // SAFETY: the mask has a bit for each element from `place` on, LANES at most, and no other is read.
            let b = unsafe { _mm512_maskz_loadu_ps(mask, b.as_ptr().add(place)) };
            for (a, sums) in a.iter().zip(&mut sums) {
                // SAFETY: as above.
                let a = unsafe { _mm512_maskz_loadu_ps(mask, a.as_ptr().add(place)) };
                sums[0] = $add(sums[0], a, b);
            }
            place += LANES;
        }
        sums.map(|[s0, s1, s2, s3]| {
            _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)))
        })
    }};
}

/// Σ a·b of each of four a.
#[target_feature(enable = "avx512f")]
pub fn dots_of_four(a: &[&[f32]; 4], b: &[f32]) -> [f32; 4] {
    sums_of_four!(a, b, |sum, a, b| _mm512_fmadd_ps(a, b, sum))
}

/// Σ(a-b)² of each of four a.
#[target_feature(enable = "avx512f")]
pub fn l2_squared_of_four(a: &[&[f32]; 4], b: &[f32]) -> [f32; 4] {
    sums_of_four!(a, b, |sum, a, b| {
        let difference = _mm512_sub_ps(a, b);
        _mm512_fmadd_ps(difference, difference, sum)
    })
}

/// Σ a·b.
#[target_feature(enable = "avx512f")]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum!(a, b, |sum, a, b| _mm512_fmadd_ps(a, b, sum))
}

/// Σ(a-b)².
#[target_feature(enable = "avx512f")]
pub fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    sum!(a, b, |sum, a, b| {
        let difference = _mm512_sub_ps(a, b);
        _mm512_fmadd_ps(difference, difference, sum)
    })
}

/// Σ a·b of bytes.
///
/// The instruction multiplies bytes without a sign by bytes with one, hence a + 128 (the flipped sign bit), and 128 Σ b
/// taken away again.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub fn dot_of_bytes(a: &[i8], b: &[i8]) -> i32 {
    assert_eq!(a.len(), b.len(), "both codes have the dimension of the column");
    let flip = _mm512_set1_epi8(i8::MIN);
    let (mut products, mut sums) = ([_mm512_setzero_si512(); 2], [_mm512_setzero_si512(); 2]);
    let mut add = |part: usize, a: __m512i, b: __m512i| {
        products[part] = _mm512_dpbusd_epi32(products[part], _mm512_xor_si512(a, flip), b);
        sums[part] = _mm512_dpbusd_epi32(sums[part], flip, b);
    };
    let (a_steps, a_rest) = a.as_chunks::<{ 2 * BYTES }>();
    let (b_steps, b_rest) = b.as_chunks::<{ 2 * BYTES }>();
    for (a, b) in a_steps.iter().zip(b_steps) {
        let ([a0, a1], [b0, b1]) = (load(a), load(b));
        add(0, a0, b0);
        add(1, a1, b1);
    }
    for (a, b) in a_rest.chunks(BYTES).zip(b_rest.chunks(BYTES)) {
        let mask = u64::MAX >> (BYTES - a.len());
        // SAFETY: the mask has a bit for each byte of the chunk, and no other is read.
        let (a, b) =
            unsafe { (_mm512_maskz_loadu_epi8(mask, a.as_ptr()), _mm512_maskz_loadu_epi8(mask, b.as_ptr())) };
        add(0, a, b);
    }
    let products = _mm512_add_epi32(products[0], products[1]);
    _mm512_reduce_add_epi32(_mm512_sub_epi32(products, _mm512_add_epi32(sums[0], sums[1])))
}

#[target_feature(enable = "avx512f")]
fn load(bytes: &[i8; 2 * BYTES]) -> [__m512i; 2] {
    // SAFETY: there are the bytes of two registers.
    unsafe {
        [_mm512_loadu_si512(bytes.as_ptr().cast()), _mm512_loadu_si512(bytes.as_ptr().add(BYTES).cast())]
    }
}
