//! Makes codes of vectors, and reads them, for every kind of quantisation.
//!
//! ```text
//!   sq8          [norm f32][scale f32][codes, four to a word, filled up with zeros]
//!   f16, bf16    [norm f32][elements, two to a word, filled up with zeros]
//!   bq           [error f32][add f32][factor f32][signs]
//! ```
//!
//! The norm is that of the code: distances of codes are then true distances, of points a little beside the vectors, and a
//! graph over them is as sound as one over vectors. Codes of one bit are compared with queries only.

use std::sync::atomic::AtomicU32;

use super::{Quantization, bq, sq8};
use crate::distance::signs::Planes;
use crate::distance::{Metric, Vector};
use crate::fs::mapped::{plain_words, words_as_bfloats, words_as_codes, words_as_halves};
use crate::types::{bf16, f16};

/// How one index makes its codes.
pub struct Coder {
    pub quantization: Quantization,
    pub metric: Metric,
    pub dimensions: usize,
    /// For signs, where vectors are seen from.
    centre: Vec<f32>,
    /// The vectors whose mean the centre is.
    trained_on: u32,
}

/// A query as codes are compared with it.
pub enum Encoded {
    Sq8(sq8::Code),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
    Bq(Planes),
}

impl Encoded {
    pub fn vector(&self) -> Vector<'_> {
        match self {
            Encoded::Sq8(code) => code.vector(),
            Encoded::F16(values) => Vector::F16(values),
            Encoded::Bf16(values) => Vector::Bf16(values),
            Encoded::Bq(planes) => Vector::Planes(planes),
        }
    }
}

impl Coder {
    /// For signs, from the mean of `sample`, if there is any.
    pub fn new<'a>(
        quantization: Quantization,
        metric: Metric,
        dimensions: usize,
        sample: impl Iterator<Item = Vector<'a>>,
    ) -> Coder {
        let (mut centre, mut trained_on) = (Vec::new(), 0);
        if quantization == Quantization::Bq {
            (centre, trained_on) = mean(metric, dimensions, sample);
        }
        Coder { quantization, metric, dimensions, centre, trained_on }
    }

    /// What a file keeps of it besides the kind, the metric and the dimensions.
    pub fn head(&self) -> Vec<u32> {
        match self.quantization {
            Quantization::Bq => {
                std::iter::once(self.trained_on).chain(self.centre.iter().map(|x| x.to_bits())).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Words of [`Coder::head`].
    pub fn head_words(quantization: Quantization, dimensions: usize) -> usize {
        if quantization == Quantization::Bq { 1 + dimensions } else { 0 }
    }

    /// The inverse of [`Coder::head`], which has its length.
    pub fn from_head(quantization: Quantization, metric: Metric, dimensions: usize, head: &[u32]) -> Coder {
        let centre: Vec<f32> = head.iter().skip(1).map(|&word| f32::from_bits(word)).collect();
        let trained_on = head.first().copied().unwrap_or(0);
        Coder { quantization, metric, dimensions, centre, trained_on }
    }

    /// Words of a code.
    pub fn words(quantization: Quantization, dimensions: usize) -> usize {
        match quantization {
            Quantization::Sq8 => 2 + dimensions.div_ceil(4),
            Quantization::F16 | Quantization::Bf16 => 1 + dimensions.div_ceil(2),
            Quantization::Bq => bq::words(dimensions),
        }
    }

    /// How many vectors the centre is the mean of; none where there is nothing to train.
    pub fn trained_on(&self) -> Option<u32> {
        (self.quantization == Quantization::Bq).then_some(self.trained_on)
    }

    pub fn encode(&self, vector: Vector) -> Vec<u32> {
        let mut words = Vec::with_capacity(Coder::words(self.quantization, self.dimensions));
        match self.quantization {
            Quantization::Sq8 => {
                let code = sq8::Code::of(vector);
                words.extend([(code.vector().norm() as f32).to_bits(), code.scale.to_bits()]);
                words.extend(code.codes.chunks(4).map(|four| {
                    let mut bytes = [0u8; 4];
                    bytes.iter_mut().zip(four).for_each(|(byte, code)| *byte = code.to_le_bytes()[0]);
                    u32::from_le_bytes(bytes)
                }));
            }
            Quantization::F16 | Quantization::Bf16 => {
                let query = self.query(vector);
                words.push((query.vector().norm() as f32).to_bits());
                match query {
                    Encoded::F16(values) => words.extend(pairs(&values, |value| value.to_bits())),
                    Encoded::Bf16(values) => words.extend(pairs(&values, |value| value.to_bits())),
                    Encoded::Sq8(_) | Encoded::Bq(_) => unreachable!("the kind was looked at above"),
                }
            }
            Quantization::Bq => bq::encode(self.metric, &self.centre, &numbers(vector), &mut words),
        }
        words
    }

    pub fn query(&self, vector: Vector) -> Encoded {
        match self.quantization {
            Quantization::Sq8 => Encoded::Sq8(sq8::Code::of(vector)),
            Quantization::F16 => Encoded::F16(numbers(vector).iter().map(|&x| saturated(x)).collect()),
            Quantization::Bf16 => Encoded::Bf16(numbers(vector).iter().map(|&x| bf16::from_f32(x)).collect()),
            Quantization::Bq => Encoded::Bq(bq::query(self.metric, &self.centre, &numbers(vector))),
        }
    }

    #[inline]
    pub fn read<'a>(&self, words: &'a [AtomicU32]) -> Vector<'a> {
        match self.quantization {
            Quantization::Sq8 => Vector::Code {
                codes: &words_as_codes(&words[2..])[..self.dimensions],
                scale: f32::from_bits(plain_words(words)[1]),
            },
            Quantization::F16 => Vector::F16(&words_as_halves(&words[1..])[..self.dimensions]),
            Quantization::Bf16 => Vector::Bf16(&words_as_bfloats(&words[1..])[..self.dimensions]),
            Quantization::Bq => bq::read(plain_words(words)),
        }
    }

    /// The norm of a code; signs have none and need none.
    #[inline]
    pub fn norm(&self, words: &[AtomicU32]) -> f32 {
        match self.quantization {
            Quantization::Bq => 0.0,
            _ => f32::from_bits(plain_words(words)[0]),
        }
    }
}

/// The nearest half-precision number that is finite.
fn saturated(x: f32) -> f16 {
    f16::from_f32(x.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()))
}

fn pairs<T: Copy>(values: &[T], bits: impl Fn(T) -> u16) -> impl Iterator<Item = u32> {
    let word =
        move |pair: &[T]| pair.iter().rev().fold(0, |word, &value| word << 16 | u32::from(bits(value)));
    values.chunks(2).map(word).collect::<Vec<u32>>().into_iter()
}

/// The elements of a dense vector as f32.
fn numbers(vector: Vector<'_>) -> std::borrow::Cow<'_, [f32]> {
    match vector {
        Vector::F32(values) => values.into(),
        Vector::F16(values) => values.iter().map(|value| value.to_f32()).collect::<Vec<f32>>().into(),
        other => panic!("no code is made of a vector of {:?}", other.element()),
    }
}

/// The mean of vectors, under cosine of their directions, and how many there were.
fn mean<'a>(metric: Metric, dimensions: usize, sample: impl Iterator<Item = Vector<'a>>) -> (Vec<f32>, u32) {
    let (mut sums, mut count) = (vec![0.0f64; dimensions], 0);
    for vector in sample {
        let norm = if metric == Metric::Cosine { vector.norm() } else { 1.0 };
        if norm > 0.0 && norm.is_finite() {
            sums.iter_mut().zip(numbers(vector).iter()).for_each(|(sum, &x)| *sum += f64::from(x) / norm);
            count += 1;
        }
    }
    (sums.iter().map(|sum| (sum / f64::from(count.max(1))) as f32).collect(), count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Query;

    #[test]
    fn codes_are_read_as_they_were_made() {
        let vector: Vec<f32> = (0..37).map(|i| ((i * i) as f32).sin() * 100.0).collect();
        for quantization in Quantization::ALL {
            for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1] {
                if !quantization.ranks_by(metric) {
                    continue;
                }
                let sample = [Vector::F32(&vector[..])];
                let zeros = [Vector::F32(&[0.0; 37][..])];
                let coder = Coder::new(quantization, metric, 37, zeros.into_iter());
                let coder = Coder::from_head(quantization, metric, 37, &coder.head());
                let words: Vec<AtomicU32> = coder.encode(sample[0]).into_iter().map(AtomicU32::new).collect();
                assert_eq!(words.len(), Coder::words(quantization, 37));
                let query = coder.query(sample[0]);
                if quantization.builds() {
                    assert_eq!(coder.read(&words), query.vector());
                    assert_eq!(coder.norm(&words), query.vector().norm() as f32);
                }
                let exact = Query::new(metric, &vector).rank(sample[0], sample[0].norm() as f32);
                let rank = Query::new(metric, query.vector()).rank(coder.read(&words), coder.norm(&words));
                let square: f32 = vector.iter().map(|x| x * x).sum();
                let scale = if metric == Metric::Cosine { 1.0 } else { square };
                assert!(
                    (exact - rank).abs() < 0.25 * scale,
                    "{quantization:?} {metric:?}: {rank} for {exact}"
                );
            }
        }
    }

    #[test]
    fn halves_saturate() {
        let coder = Coder::new(Quantization::F16, Metric::L2, 2, std::iter::empty());
        let Encoded::F16(values) = coder.query(Vector::F32(&[1e9, -1e9])) else { panic!("not halves") };
        assert_eq!(values, [f16::MAX, f16::MIN]);
    }
}
