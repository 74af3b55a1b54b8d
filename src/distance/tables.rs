//! The sum over a code of parts, each of which stands for one of sixteen numbers: what `pq` indexes rank by.
//!
//! ```text
//!   code       byte 0: parts 0 and 32    byte 1: parts 1 and 33   ...  byte 31        (lower four bits, upper four)
//!   row 0      [what part 0 adds if it is 0] [part 1] ... [part 31] [part 32] ... [part 63]      64 bytes
//!   row 1      [what part 0 adds if it is 1] ...
//!   ...
//!   row 15
//! ```
//!
//! The last rows have fewer parts: n of them in n / 2 bytes, the lower n / 2 in the columns from 0 on, the upper ones in
//! those from 32 on.
//!
//! Sixteen rows and a code give 64 bytes, of which each is picked by the four bits of its part: the lowest halves the
//! sixteen rows, the next the eight, and so on, fifteen choices between two registers in all, for 64 parts at once. A search
//! meets codes one by one, wherever they lie, so that the tables lie across the parts; a scan, as in "Quicker ADC" (André,
//! Kermarrec, Le Scouarnec, 2019) and faiss, has the codes across registers, and looks each part up in one of its own.
//!
//! Entries are bytes, steps of one width for all parts. Each is off by half a step at most, a sum of 64 by 2.3 steps usually,
//! where the numbers of one part alone span 255.

/// Parts in sixteen rows.
const LANES: usize = 64;
/// Bytes of a code that has them.
const CODE_BYTES: usize = LANES / 2;
/// Numbers that a part stands for.
pub const VALUES: usize = 16;

type Rows = [[u8; LANES]; VALUES];

/// A query for codes of parts, and what makes a rank of a sum.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    rows: Vec<Rows>,
    parts: usize,
    /// The sum when all entries are zero, and the width of a step.
    low: f32,
    step: f32,
    /// rank = query's `add` + candidate's `add` + `scale` · candidate's factor · sum.
    pub add: f32,
    pub scale: f32,
    /// Length of the query from the centre; errors grow with it.
    pub reach: f32,
    pub dimensions: usize,
}

/// Where a code of so many parts has one of them: the byte, and how far up its four bits are.
#[inline]
pub fn place(part: usize, parts: usize) -> (usize, u32) {
    let block = part / LANES;
    let half = (parts - block * LANES).min(LANES) / 2;
    let lane = part % LANES;
    (block * CODE_BYTES + lane % half, (lane / half * 4) as u32)
}

impl Tables {
    /// For parts that stand for these numbers, [`VALUES`] each, one part after the other; the parts are even in number.
    pub fn new(numbers: &[f32]) -> Tables {
        let (parts, rest) = numbers.as_chunks::<VALUES>();
        assert!(rest.is_empty(), "{} numbers of whole parts", numbers.len());
        let ends = |part: &[f32; VALUES]| {
            part.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)))
        };
        let widest = parts.iter().map(ends).fold(0.0f32, |widest, (low, high)| widest.max(high - low));
        let step = widest / f32::from(u8::MAX);
        let inverse = if step > 0.0 && step.recip().is_finite() { step.recip() } else { 0.0 };
        let mut tables = Tables { step, parts: parts.len(), ..Tables::default() };
        tables.rows.resize(parts.len().div_ceil(LANES), [[0; LANES]; VALUES]);
        for (number, part) in parts.iter().enumerate() {
            let (low, _) = ends(part);
            tables.low += low;
            let (byte, shift) = place(number, parts.len());
            let column = byte % CODE_BYTES + shift as usize / 4 * CODE_BYTES;
            for (row, x) in tables.rows[byte / CODE_BYTES].iter_mut().zip(part) {
                // `as` saturates and makes 0 of NaN.
                row[column] = ((x - low) * inverse).round() as u8;
            }
        }
        tables
    }

    /// The sum of the numbers that a code's parts stand for.
    #[inline]
    pub fn sum(&self, code: &[u8]) -> f32 {
        self.low + self.step * picked(&self.rows, code) as f32
    }

    /// How far a sum is off but for one in twenty thousand: four standard deviations of so many roundings to whole steps.
    /// Rows with one code are off by the same.
    pub fn rounding(&self) -> f32 {
        4.0 * self.step * (self.parts as f32 / 12.0).sqrt()
    }
}

/// The sum of the entries that a code picks.
#[inline]
#[allow(unsafe_code)]
fn picked(rows: &[Rows], code: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        /// The caller makes sure that the processor has them.
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        unsafe fn avx512(rows: &[Rows], code: &[u8]) -> u32 {
            blocks(rows, code)
        }
        /// The caller makes sure that the processor has AVX2.
        #[target_feature(enable = "avx2")]
        unsafe fn avx2(rows: &[Rows], code: &[u8]) -> u32 {
            blocks(rows, code)
        }
        if std::arch::is_x86_feature_detected!("avx512bw") && std::arch::is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the processor has the features, checked on the line above; the first includes avx512f.
            return unsafe { avx512(rows, code) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, checked on the line above.
            return unsafe { avx2(rows, code) };
        }
    }
    blocks(rows, code)
}

#[inline(always)]
fn blocks(rows: &[Rows], code: &[u8]) -> u32 {
    assert_eq!(rows.len(), code.len().div_ceil(CODE_BYTES), "both have the parts of the index");
    let (whole, rest) = code.as_chunks::<CODE_BYTES>();
    let mut sum = 0;
    for (rows, code) in rows.iter().zip(whole) {
        sum += block(rows, code);
    }
    if let (Some(rows), false) = (rows.last(), rest.is_empty()) {
        // Rows are zero where there is no part.
        let mut code = [0; CODE_BYTES];
        code[..rest.len()].copy_from_slice(rest);
        sum += block(rows, &code);
    }
    sum
}

#[inline(always)]
fn block(rows: &Rows, code: &[u8; CODE_BYTES]) -> u32 {
    let mut values = [0u8; LANES];
    for (at, byte) in code.iter().enumerate() {
        values[at] = byte & 15;
        values[CODE_BYTES + at] = byte >> 4;
    }
    let mut entries = [0u8; LANES];
    for lane in 0..LANES {
        let value = values[lane];
        // All ones where the bit is set. In this form the choice stays one between registers, where an `if` became one
        // between two addresses to load from.
        let mask = |bit: u8| (value >> bit & 1).wrapping_neg();
        let pick = |bit: u8, zero: u8, one: u8| zero ^ ((zero ^ one) & mask(bit));
        let two = |c: usize| pick(0, rows[c][lane], rows[c + 1][lane]);
        let four = |c: usize| pick(1, two(c), two(c + 2));
        let eight = |c: usize| pick(2, four(c), four(c + 4));
        entries[lane] = pick(3, eight(0), eight(8));
    }
    entries.iter().map(|&entry| u32::from(entry)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(code: &[u8], part: usize) -> usize {
        let (byte, shift) = place(part, 2 * code.len());
        usize::from(code[byte] >> shift & 15)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn sums_match_a_part_at_a_time(
            words in 1usize..30,
            seed in any::<u64>(),
            size in -20i32..20,
        ) {
            let mut state = seed | 1;
            let mut next = || {
                // xorshift64
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 33) as u32
            };
            let parts = 8 * words;
            let numbers: Vec<f32> =
                (0..parts * VALUES).map(|_| (next() as f32 / 1e9 - 1.0) * 2f32.powi(size)).collect();
            let tables = Tables::new(&numbers);
            let mut code = vec![0u8; parts / 2];
            for part in 0..parts {
                let (byte, shift) = place(part, parts);
                code[byte] |= (next() as u8 & 15) << shift;
            }
            let (pieces, _) = numbers.as_chunks::<VALUES>();
            let low = |part: &[f32; VALUES]| part.iter().copied().fold(f32::INFINITY, f32::min);
            let steps = |part: usize| {
                let number = pieces[part][value(&code, part)];
                ((number - low(&pieces[part])) / tables.step).round() as u32
            };
            let expected: u32 = (0..parts).map(steps).sum();
            // A number halfway between two steps may go either way.
            prop_assert!(picked(&tables.rows, &code).abs_diff(expected) <= 1);
            prop_assert_eq!(blocks(&tables.rows, &code), picked(&tables.rows, &code));
            let exact: f64 = (0..parts).map(|part| f64::from(numbers[part * VALUES + value(&code, part)])).sum();
            let rounding = f64::from(0.5 * tables.step) * parts as f64 + 1e-5 * parts as f64 * 2f64.powi(size);
            prop_assert!((exact - f64::from(tables.sum(&code))).abs() <= rounding);
        }
    }

    #[test]
    fn equal_numbers_need_no_step() {
        let tables = Tables::new(&[3.0; 8 * VALUES]);
        assert_eq!(tables.sum(&[0xA7; CODE_BYTES]), 24.0);
    }
}
