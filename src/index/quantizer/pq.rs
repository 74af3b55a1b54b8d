//! Product quantisation (Jégou, Douze and Schmid, 2011): four bits for each part of a vector, which name one of sixteen
//! codewords of that part.
//!
//! ```text
//!   t = vector - centre               (under cosine, of the vector of length one)
//!   y = axes · t / |t|                along the principal axes (`axes.rs`), as many as pay
//!   y = [part 0][part 1]...[part p]   a sixth as many parts as dimensions, alike in variance
//!   code = the nearest of 16 codewords for each part; together they are ŷ, at an angle to y whose cosine is α
//!
//!   <t, q - centre>  ≈  |t| / <y, ŷ> · <ŷ, axes · (q - centre)>
//!                       off by about |t| · |q - centre| · √(1/α² - 1) · deviation
//! ```
//!
//! The product of ŷ and a query is a sum of a number per part, which `distance/tables.rs` looks up. Distances come of it as
//! those of signs do (`bq.rs`): a code is `[add f32][factor bf16, error bf16][four bits a part]`. It is an estimate without
//! bias and with an error of its own, because the factor makes it exact for the vector itself; the distance from q to ŷ,
//! which is what product quantisation usually takes, found 0.86 where this finds 0.90 (of the nearest ten sentences, among 40
//! by estimate, with 24 bytes).
//!
//! Axes and codewords are trained (`Book`) on a sample of the rows that an index is built of. Axes that are trained are the
//! rotation of "Optimized Product Quantization" (Ge, He, Ke, Sun, 2013), by its parametric solution: principal axes, dealt out
//! so that parts have like products of variances. Of the nearest ten sentences (384 dimensions), among 40 by estimate:
//!
//! ```text
//!   bytes    parts    signs   along dimensions   along axes
//!      24       48        -       0.85              0.90
//!      32       64        -                         0.96
//!      48       96     0.97       0.98              0.99
//! ```
//!
//! The middle one is taken: at about the recall of signs two thirds of their bytes, with those before them. 256 codewords for
//! parts of twice the size were as good in as many bytes, and have tables that do not fit into registers.
//!
//! The deviation is measured on the sample: errors are not as if directions were random, because queries have more of what
//! rows have more of.

use super::axes::{self, Axis};
use super::bq::Seen;
use crate::distance::tables::{Tables, VALUES, place};
use crate::distance::{Vector, dot};
use crate::fs::mapped::bytes_of_words;
use crate::index::mix::mix;
use crate::types::bf16;

/// Rows that codewords are trained on: 256 for each of a part, faiss's bound, beyond which they hardly get better.
pub const SAMPLE_MAX: usize = 256 * VALUES;
/// Fewer rows are filled up with random directions: codewords of a few rows would tell others apart badly, and a graph is
/// trained anew when it has grown. 39 for each of a part: below that faiss warns.
const SAMPLE_MIN: usize = 39 * VALUES;
/// Dimensions for four bits.
const DIMENSIONS_PER_PART: usize = 6;
/// So that vectors of few dimensions have codes that tell them apart.
const PARTS_MIN: usize = 16;
/// Axes, of half the dimensions within these bounds: what is beyond has too little to spend bits on, and costs each query a
/// multiplication with a dimension.
const AXES_MIN: usize = 192;
const AXES_MAX: usize = 384;
/// Rounds of k-means, after which few of the sample change their codeword.
const ROUNDS: usize = 15;
/// Words before the parts.
const HEAD_WORDS: usize = 2;
/// What the rounding of its factor adds to the error of a code, a 512th at most, and alike for all rows of a heap with one
/// code: twice that, of which [`Quantization::edge`](super::Quantization::edge) takes half.
const ROUNDING: f32 = 1.0 / 256.0;
/// The least cosine that an error is made of, so that it is a number.
const ALPHA_MIN: f32 = 1e-3;

/// Parts of a vector, whole words of them.
pub fn parts(dimensions: usize) -> usize {
    dimensions.div_ceil(DIMENSIONS_PER_PART).max(PARTS_MIN).next_multiple_of(8)
}

/// How often each direction is looked at: where there are more parts than dimensions, along several bases.
fn looks(dimensions: usize) -> usize {
    (parts(dimensions) / dimensions).max(1)
}

/// Axes of all parts: whole bases, or one each at least.
fn axes_count(dimensions: usize) -> usize {
    let wanted = (dimensions / 2).clamp(AXES_MIN, AXES_MAX).max(parts(dimensions));
    wanted.min(looks(dimensions) * dimensions)
}

/// Axes that a part has room for.
fn width(dimensions: usize) -> usize {
    axes_count(dimensions).div_ceil(parts(dimensions))
}

/// Words of a code.
pub fn words(dimensions: usize) -> usize {
    HEAD_WORDS + parts(dimensions) / 8
}

/// A code as what ranks take.
#[inline]
pub fn read(code: &[u32]) -> Vector<'_> {
    let (add, factor) = (f32::from_bits(code[0]), f32::from_bits(code[1] << 16));
    Vector::Parts { code: bytes_of_words(&code[HEAD_WORDS..]), add, factor }
}

/// The error of a code, to be multiplied by the query's reach.
fn error(code: &[u32]) -> f32 {
    f32::from_bits(code[1] & 0xFFFF_0000)
}

/// The standard deviation of the rank that a query gives a code.
pub fn deviation(query: &Tables, code: &[u32]) -> f32 {
    let factor = f32::from_bits(code[1] << 16);
    query.scale.abs() * (query.reach * error(code) + factor * query.rounding())
}

/// What an index has learned of its rows.
pub struct Book {
    dimensions: usize,
    /// `dimensions` elements each, `width` for each part; zeros where a part has fewer.
    axes: Vec<f32>,
    /// `width` elements each, [`VALUES`] for each part.
    codewords: Vec<f32>,
    /// The errors of products of the sample by the angles of their codes.
    deviation: f32,
    /// The mean α² of the sample's codes.
    kept: f32,
}

/// What a code tells of its vector.
pub struct Told {
    /// The vector along the axes, from the centre.
    pub values: Vec<f32>,
    /// α².
    pub kept: f32,
}

impl Book {
    /// Of rows as they are seen from the centre.
    pub fn train(dimensions: usize, rows: impl Iterator<Item = Vec<f32>>) -> Book {
        let mut directions: Vec<Vec<f32>> = rows.filter_map(direction).collect();
        let missing = SAMPLE_MIN.saturating_sub(directions.len()) as u64;
        // Other seeds than those of the axes.
        directions.extend((0..missing).map(|seed| axes::random(seed | 1 << 24, dimensions)));
        let mut book = Book {
            dimensions,
            axes: dealt_out(&directions, dimensions),
            codewords: Vec::new(),
            deviation: 0.0,
            kept: 1.0,
        };
        let along: Vec<Vec<f32>> = directions.iter().map(|row| book.along(row)).collect();
        let width = width(dimensions);
        for part in 0..parts(dimensions) {
            let points: Vec<&[f32]> = along.iter().map(|row| &row[part * width..][..width]).collect();
            book.codewords.extend(means(&points).concat());
        }
        book.measure(&directions, &along);
        book
    }

    /// Words of [`Book::head`].
    pub fn head_words(dimensions: usize) -> usize {
        2 + width(dimensions) * parts(dimensions) * (dimensions + VALUES)
    }

    /// What a file keeps: deviation, mean α², axes, codewords.
    pub fn head(&self) -> impl Iterator<Item = u32> {
        let numbers = [self.deviation, self.kept].into_iter();
        numbers.chain(self.axes.iter().copied()).chain(self.codewords.iter().copied()).map(f32::to_bits)
    }

    /// The inverse of [`Book::head`].
    pub fn from_head(dimensions: usize, head: &[u32]) -> Book {
        assert_eq!(head.len(), Book::head_words(dimensions), "as its file says");
        let numbers: Vec<f32> = head.iter().map(|&word| f32::from_bits(word)).collect();
        let (axes, codewords) = numbers[2..].split_at(width(dimensions) * parts(dimensions) * dimensions);
        let (axes, codewords) = (axes.to_vec(), codewords.to_vec());
        Book { dimensions, axes, codewords, deviation: numbers[0], kept: numbers[1] }
    }

    /// The code of a vector.
    pub fn encode(&self, seen: Seen, code: &mut Vec<u32>) {
        let reach = dot(&seen.values, &seen.values).sqrt();
        let (mut values, mut factor, mut error) = (Vec::new(), 0.0, 0.0);
        // The centre itself has no direction: a product with it is zero, whatever its parts.
        if let Some(direction) = direction(seen.values) {
            let along = self.along(&direction);
            values = self.nearest(&along);
            let Angle { product, alpha } = self.angle(&along, &values);
            factor = reach / product;
            error = reach * f32::hypot((alpha.powi(-2) - 1.0).sqrt() * self.deviation, ROUNDING);
        }
        let halves = [factor, error].map(|x| u32::from(bf16::from_f32(x).to_bits()));
        code.extend([seen.add.to_bits(), halves[0] | halves[1] << 16]);
        let start = code.len();
        let parts = parts(self.dimensions);
        code.resize(start + parts / 8, 0);
        for (part, value) in values.into_iter().enumerate() {
            let (byte, shift) = place(part, parts);
            code[start + byte / 4] |= u32::from(value) << (byte % 4 * 8) << shift;
        }
    }

    /// The query that codes are compared with, which takes `scale` times the product.
    pub fn query(&self, seen: Seen, scale: f32) -> Tables {
        let along = self.along(&seen.values);
        let width = width(self.dimensions);
        let of_part = |(part, codewords): (&[f32], &[f32])| -> Vec<f32> {
            codewords
                .chunks_exact(width)
                .map(|word| part.iter().zip(word).map(|(x, y)| x * y).sum())
                .collect()
        };
        let parts = along.chunks_exact(width).zip(self.codewords.chunks_exact(width * VALUES));
        let numbers: Vec<f32> = parts.flat_map(of_part).collect();
        let mut tables = Tables::new(&numbers);
        tables.add = seen.add;
        tables.scale = scale;
        tables.reach = dot(&seen.values, &seen.values).sqrt();
        tables.dimensions = self.dimensions;
        tables
    }

    /// What a code tells of its vector.
    pub fn tell(&self, code: &[u32]) -> Told {
        let Vector::Parts { code: bytes, factor, .. } = read(code) else { unreachable!("what it reads") };
        let parts = parts(self.dimensions);
        let value = |part: usize| {
            let (byte, shift) = place(part, parts);
            bytes[byte] >> shift & 15
        };
        let values = self.codewords_of((0..parts).map(value));
        let length = dot(&values, &values).sqrt();
        // error = |t| √(1/α² - 1) deviation, nearly, and |t| = factor · α · |ŷ| · √looks.
        let looks = looks(self.dimensions) as f32;
        let sine = error(code) / (factor * length * looks.sqrt() * self.deviation);
        let kept = if sine.is_finite() { (1.0 - sine * sine).max(0.0) } else { 1.0 };
        Told { values: values.iter().map(|x| x * factor * kept * looks).collect(), kept }
    }

    /// Whether codes keep so much less than those of the sample did that others would be better: rows lie across the axes.
    pub fn is_off(&self, kept: f32) -> bool {
        // Errors of three times the size, when half was kept.
        const LESS: f32 = 0.2;
        kept < LESS * self.kept
    }

    fn along(&self, vector: &[f32]) -> Vec<f32> {
        self.axes.chunks_exact(self.dimensions).map(|axis| dot(axis, vector)).collect()
    }

    /// The codewords of a code, one after the other.
    fn codewords_of(&self, values: impl Iterator<Item = u8>) -> Vec<f32> {
        values.enumerate().flat_map(|(part, value)| self.codeword(part, value)).copied().collect()
    }

    fn codeword(&self, part: usize, value: u8) -> &[f32] {
        let width = width(self.dimensions);
        &self.codewords[(part * VALUES + usize::from(value)) * width..][..width]
    }

    /// For each part of a direction the codeword.
    fn nearest(&self, along: &[f32]) -> Vec<u8> {
        let width = width(self.dimensions);
        let parts = along.chunks_exact(width).zip(self.codewords.chunks_exact(width * VALUES));
        parts.map(|(part, codewords)| nearest(part, codewords.chunks_exact(width)) as u8).collect()
    }

    /// Between a direction and what codewords make of it.
    fn angle(&self, along: &[f32], values: &[u8]) -> Angle {
        let (mut product, mut square) = (0.0, 0.0);
        for (part, (&value, along)) in
            values.iter().zip(along.chunks_exact(width(self.dimensions))).enumerate()
        {
            for (x, y) in along.iter().zip(self.codeword(part, value)) {
                product += x * y;
                square += y * y;
            }
        }
        // A code that says the opposite, or nothing, of a direction across the axes: a guess with a great error.
        let product = f32::max(product, ALPHA_MIN * square.sqrt()).max(f32::MIN_POSITIVE);
        // The direction has length one, and as often as it is looked at.
        let length = (square * looks(self.dimensions) as f32).sqrt();
        Angle { product, alpha: (product / length).clamp(ALPHA_MIN, 1.0) }
    }

    /// Finds out what errors the sample's codes have.
    fn measure(&mut self, directions: &[Vec<f32>], along: &[Vec<f32>]) {
        const CODES: usize = 64;
        let step = directions.len() / CODES;
        // From the second on: those that axes are made of are each so-manieth from the first.
        let coded: Vec<usize> = (1..directions.len()).step_by(step).collect();
        let (mut errors, mut expected, mut kept) = (0.0, 0.0, 0.0);
        for &at in &coded {
            let values = self.nearest(&along[at]);
            let Angle { product, alpha } = self.angle(&along[at], &values);
            let code = self.codewords_of(values.into_iter());
            kept += f64::from(alpha * alpha);
            for other in coded.iter().map(|&at| at + step / 2).filter(|&other| other < directions.len()) {
                let exact = dot(&directions[at], &directions[other]);
                errors += f64::from(dot(&code, &along[other]) / product - exact).powi(2);
                expected += f64::from(alpha).powi(-2) - 1.0;
            }
        }
        self.kept = (kept / coded.len() as f64) as f32;
        self.deviation = if expected > 0.0 { (errors / expected).sqrt() as f32 } else { 0.0 };
    }
}

/// Of a direction and its code.
struct Angle {
    /// <y, ŷ>.
    product: f32,
    /// The cosine.
    alpha: f32,
}

/// The vector with length one; none without a length.
fn direction(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    axes::scale_to_one(&mut vector).then_some(vector)
}

/// The axes of rows, part after part: from the greatest on each goes to the part whose product of variances is least so far.
fn dealt_out(rows: &[Vec<f32>], dimensions: usize) -> Vec<f32> {
    let (parts, width) = (parts(dimensions), width(dimensions));
    let mut principal: Vec<Axis> = axes::principal(rows, dimensions, axes_count(dimensions));
    principal.sort_by(|a, b| b.variance.total_cmp(&a.variance));
    let least = principal.last().map_or(0.0, |axis| axis.variance).max(f32::MIN_POSITIVE);
    let (mut axes, mut given) = (vec![0.0; parts * width * dimensions], vec![(0.0, 0); parts]);
    for axis in principal {
        let with_room = (0..parts).filter(|&part| given[part].1 < width);
        let part =
            with_room.min_by(|&a, &b| f32::total_cmp(&given[a].0, &given[b].0)).expect("as many as fit");
        let (product, taken): &mut (f32, usize) = &mut given[part];
        axes[(part * width + *taken) * dimensions..][..dimensions].copy_from_slice(&axis.direction);
        // In logarithms, with the least one above 0 so that parts which have it count it.
        *product += (axis.variance / least).max(1.0).ln() + 1e-3;
        *taken += 1;
    }
    axes
}

/// Codewords of a part: Lloyd's iterations from points of the sample. A codeword that is the nearest of none gets another
/// point.
fn means(points: &[&[f32]]) -> Vec<Vec<f32>> {
    let point = |seed: usize| points[(mix(seed as u64) % points.len() as u64) as usize].to_vec();
    let mut codewords: Vec<Vec<f32>> = (0..VALUES).map(point).collect();
    let mut before = Vec::new();
    for round in 1..=ROUNDS {
        let mut sums = vec![(vec![0.0f32; codewords[0].len()], 0u32); VALUES];
        for point in points {
            let (sum, count) = &mut sums[nearest(point, codewords.iter().map(Vec::as_slice))];
            sum.iter_mut().zip(*point).for_each(|(sum, x)| *sum += x);
            *count += 1;
        }
        for (at, (sum, count)) in sums.into_iter().enumerate() {
            codewords[at] = match count {
                0 => point(round * VALUES + at),
                count => sum.iter().map(|sum| sum / count as f32).collect(),
            };
        }
        if codewords == before {
            break;
        }
        before.clone_from(&codewords);
    }
    codewords
}

fn nearest<'a>(point: &[f32], codewords: impl Iterator<Item = &'a [f32]>) -> usize {
    let (mut best, mut least) = (0, f32::INFINITY);
    for (at, word) in codewords.enumerate() {
        let mut square = 0.0;
        for (x, y) in point.iter().zip(word) {
            square += (x - y) * (x - y);
        }
        if square < least {
            (best, least) = (at, square);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::{Metric, Query};
    use crate::index::quantizer::{Coder, Quantization};

    use proptest::prelude::*;

    /// Numbers that look random and are always the same: vectors around `offset`, of which each dimension goes with the one
    /// before.
    fn vectors(count: usize, dimensions: usize, offset: f32, seed: u64) -> Vec<Vec<f32>> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        let mut row = |_| {
            let mut last = 0.0;
            let element = |_| {
                last = 0.7 * last + next() + next() + next();
                last + offset
            };
            (0..dimensions).map(element).collect()
        };
        (0..count).map(&mut row).collect()
    }

    fn seen(values: &[f32]) -> Seen {
        Seen { values: values.to_vec(), add: values.iter().map(|x| x * x).sum() }
    }

    #[test]
    fn shapes_fit_all_dimensions() {
        assert_eq!((parts(384), width(384), words(384)), (64, 3, 10));
        assert_eq!((parts(128), width(128), words(128)), (24, 6, 5));
        assert_eq!((parts(1), width(1)), (16, 1));
        for dimensions in 1..=4_000 {
            let (parts, width, axes) = (parts(dimensions), width(dimensions), axes_count(dimensions));
            assert!(parts.is_multiple_of(8) && axes <= parts * width, "{dimensions}");
            assert!(parts <= axes || dimensions < parts, "{dimensions}");
            assert!(axes <= dimensions || axes.is_multiple_of(dimensions), "{dimensions}");
            // No more than signs take, beyond the fewest.
            assert!(words(dimensions) < super::super::bq::words(dimensions) + 2, "{dimensions}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10))]
        /// What tables add up is the product of the query and the codewords, but for the rounding of tables and of the
        /// factor; a code decoded part by part is what the model says.
        #[test]
        fn products_are_those_of_decoded_codewords(
            dimensions in 1usize..120,
            seed in any::<u64>(),
            size in -10i32..10,
        ) {
            let scaled = |mut rows: Vec<Vec<f32>>| {
                rows.iter_mut().flatten().for_each(|x| *x *= 2f32.powi(size));
                rows
            };
            let rows = scaled(vectors(60, dimensions, 0.2, seed));
            let book = Book::train(dimensions, rows.iter().cloned());
            let head: Vec<u32> = book.head().collect();
            prop_assert_eq!(head.len(), Book::head_words(dimensions));
            let book = Book::from_head(dimensions, &head);
            for (o, q) in rows.iter().zip(rows.iter().rev()) {
                let mut code = Vec::new();
                book.encode(seen(o), &mut code);
                prop_assert_eq!(code.len(), words(dimensions));
                // The model: the nearest codeword of each part, in plain arithmetic.
                let unit = direction(o.clone()).expect("it has one");
                let along = book.along(&unit);
                let width = width(dimensions);
                let values: Vec<u8> = (0..parts(dimensions)).map(|part| {
                    let square = |value: u8| {
                        let word = book.codeword(part, value).iter();
                        word.zip(&along[part * width..]).map(|(w, y)| (w - y).powi(2)).sum::<f32>()
                    };
                    (0..VALUES as u8).min_by(|&a, &b| square(a).total_cmp(&square(b))).expect("sixteen")
                }).collect();
                let Vector::Parts { code: bytes, add, factor } = read(&code) else { panic!("another kind") };
                for (part, &value) in values.iter().enumerate() {
                    let (byte, shift) = place(part, values.len());
                    prop_assert_eq!(bytes[byte] >> shift & 15, value, "part {}", part);
                }
                let words = book.codewords_of(values.into_iter());
                let exact: f32 = words.iter().zip(book.along(q)).map(|(w, y)| w * y).sum();
                let tables = book.query(seen(q), -2.0);
                let sum = tables.sum(bytes);
                let size = words.iter().zip(book.along(q)).map(|(w, y)| (w * y).abs()).sum::<f32>();
                prop_assert!((sum - exact).abs() <= 4.0 * tables.rounding() + 1e-4 * size, "{} for {}", sum, exact);
                let rank = Query::new(Metric::L2, Vector::Tables(&tables)).rank(read(&code), 0.0);
                let expected = tables.add + add - 2.0 * factor * sum;
                prop_assert!((rank - expected).abs() <= 1e-5 * (tables.add + add + 2.0 * (factor * sum).abs()));
            }
        }
    }

    #[test]
    fn estimates_keep_their_bound_and_have_no_bias() {
        // As of signs: more than this many standard deviations is rare.
        const EPSILON: f32 = 3.0;
        for (dimensions, offset) in [(5, 0.0), (64, 0.0), (100, 200.0), (384, 0.5)] {
            let all = vectors(1_500, dimensions, offset, 1);
            for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
                let coder =
                    Coder::new(Quantization::Pq, metric, dimensions, all[..1_200].iter().map(Vector::from));
                let (mut beyond, mut sum, mut count) = (0, 0.0, 0);
                for q in &all[1_200..1_220] {
                    let encoded = coder.query(q.into());
                    let coded = coder.ask_encoded(&encoded);
                    let Vector::Tables(tables) = encoded.vector() else { panic!("another kind") };
                    let exact = Query::new(metric, q);
                    for o in &all[1_220..] {
                        let code = coder.encode(o.into());
                        let estimate = coded.rank(read(&code), 0.0);
                        let rank = exact.rank(o.into(), Vector::F32(o).norm() as f32);
                        let bound = deviation(tables, &code);
                        beyond += usize::from((estimate - rank).abs() > EPSILON * bound);
                        sum += (estimate - rank) / bound;
                        count += 1;
                    }
                }
                assert!(
                    beyond * 50 <= count,
                    "{metric:?}, {dimensions}: {beyond} of {count} beyond the bound"
                );
                let bias = sum / count as f32;
                assert!(bias.abs() < 0.3, "{metric:?}, {dimensions}: biased by {bias}");
            }
        }
    }

    #[test]
    fn the_centre_and_the_smallest_vectors_have_codes() {
        let centre = [1.0f32, 2.0, 3.0];
        for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
            let coder = Coder::new(Quantization::Pq, metric, 3, [Vector::from(&centre)].into_iter());
            let query = coder.query((&[1.0f32, 0.5, 0.25]).into());
            for vector in [centre, [f32::from_bits(1); 3], [0.0; 3], [f32::MAX; 3]] {
                let code = coder.encode((&vector).into());
                assert_eq!(code.len(), words(3));
                let rank = coder.ask_encoded(&query).rank(read(&code), 0.0);
                assert!(vector[0] == f32::MAX || rank.is_finite(), "{metric:?}: {rank} of {vector:?}");
            }
        }
    }

    #[test]
    fn codes_tell_where_their_rows_are() {
        let rows = vectors(1_100, 40, 0.0, 3);
        let book = Book::train(40, rows.iter().cloned());
        let mean = |rows: &[Vec<f32>]| {
            let told = rows.iter().map(|row| {
                let mut code = Vec::new();
                book.encode(seen(row), &mut code);
                book.tell(&code)
            });
            told.map(|told| {
                assert_eq!(told.values.len(), width(40) * parts(40));
                told.kept
            })
            .sum::<f32>()
                / rows.len() as f32
        };
        assert!((mean(&rows) - book.kept).abs() < 0.05, "{} for {}", mean(&rows), book.kept);
        assert!(!book.is_off(mean(&rows)) && book.is_off(0.1 * book.kept));
        let mut code = Vec::new();
        book.encode(seen(&rows[0]), &mut code);
        let told = book.tell(&code).values;
        let exact = book.along(&rows[0]);
        let (length, product) = (dot(&exact, &exact), dot(&exact, &told));
        assert!((0.5..1.1).contains(&(product / length)), "{product} of {length}");
    }
}
