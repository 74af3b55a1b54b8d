//! Makes codes of vectors, and reads them, for every kind of quantisation.
//!
//! ```text
//!   sq8          [norm f32][scale f32][codes, four to a word, filled up with zeros]
//!   f16, bf16    [norm f32][elements, two to a word, filled up with zeros]
//!   bq           [error f32][add f32][factor f32][signs]
//!   pq           [add f32][factor bf16, error bf16][parts, eight to a word]
//! ```
//!
//! All are of a vector seen from a centre ([`Centre`]). The norm is that of the code: distances of codes are then true
//! distances, of points a little beside the vectors, and a graph over them is as sound as one over vectors. Under the inner
//! product the term stands in its place. Codes of signs and of parts are compared with queries only.
//!
//! Graphs of a format before 4 have codes of bytes and halves that are of the vectors themselves, and signs from a mean.

use std::sync::atomic::AtomicU32;

use super::bounds::Bounds;
use super::centre::{Centre, numbers};
use super::pq::{self, Book};
use super::{Quantization, bq, centre, sq8};
use crate::distance::signs::Planes;
use crate::distance::tables::Tables;
use crate::distance::{Metric, Query, Vector};
use crate::fs::mapped::{plain_words, words_as_bfloats, words_as_codes, words_as_halves};
use crate::types::{bf16, f16};

/// How one index makes its codes.
pub struct Coder {
    pub quantization: Quantization,
    pub metric: Metric,
    pub dimensions: usize,
    origin: Origin,
    /// What parts are codes by.
    book: Option<Book>,
}

/// Where vectors are seen from.
enum Origin {
    Centre(Centre),
    /// As before format 4: of signs the mean, of others the vectors themselves.
    Mean(bq::Mean),
    Vectors,
}

/// A query as codes are compared with it.
pub struct Encoded {
    code: Code,
    /// As in the first word of a code.
    norm: f32,
}

enum Code {
    Sq8(sq8::Code),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
    Bq(Planes),
    Pq(Tables),
}

impl Encoded {
    pub fn vector(&self) -> Vector<'_> {
        match &self.code {
            Code::Sq8(code) => code.vector(),
            Code::F16(values) => Vector::F16(values),
            Code::Bf16(values) => Vector::Bf16(values),
            Code::Bq(planes) => Vector::Planes(planes),
            Code::Pq(tables) => Vector::Tables(tables),
        }
    }
}

impl Coder {
    /// For vectors like those of `sample`.
    pub fn new<'a>(
        quantization: Quantization,
        metric: Metric,
        dimensions: usize,
        sample: impl Iterator<Item = Vector<'a>>,
    ) -> Coder {
        let sample: Vec<Vector> = sample.collect();
        let centre = Centre::among(metric, dimensions, sample.iter().copied());
        let book = (quantization == Quantization::Pq).then(|| {
            let seen = sample.into_iter().map(|vector| centre.see(metric, vector).0);
            Book::train(dimensions, seen)
        });
        Coder { quantization, metric, dimensions, origin: Origin::Centre(centre), book }
    }

    /// What a file keeps of it besides the kind, the metric and the dimensions.
    pub fn head(&self) -> Vec<u32> {
        match &self.origin {
            Origin::Vectors => Vec::new(),
            Origin::Centre(centre) => {
                let mut head = centre.head();
                head.extend(self.book.iter().flat_map(Book::head));
                head
            }
            Origin::Mean(mean) => {
                std::iter::once(mean.count).chain(mean.point.iter().map(|x| x.to_bits())).collect()
            }
        }
    }

    /// Words of [`Coder::head`].
    pub fn head_words(quantization: Quantization, dimensions: usize) -> usize {
        let book = if quantization == Quantization::Pq { Book::head_words(dimensions) } else { 0 };
        Centre::head_words(dimensions) + book
    }

    /// Words of it before format 4; none for a kind that there was not yet.
    pub fn old_head_words(quantization: Quantization, dimensions: usize) -> Option<usize> {
        match quantization {
            Quantization::Bq => Some(1 + dimensions),
            Quantization::Pq => None,
            Quantization::Sq8 | Quantization::F16 | Quantization::Bf16 => Some(0),
        }
    }

    /// The inverse of [`Coder::head`], which has its length.
    pub fn from_head(quantization: Quantization, metric: Metric, dimensions: usize, head: &[u32]) -> Coder {
        let (head, book) = match quantization {
            Quantization::Pq => {
                let (head, book) = head.split_at(Centre::head_words(dimensions));
                (head, Some(Book::from_head(dimensions, book)))
            }
            _ => (head, None),
        };
        let origin = match head {
            [] => Origin::Vectors,
            [count, mean @ ..] if mean.len() == dimensions => Origin::Mean(bq::Mean {
                point: mean.iter().map(|&word| f32::from_bits(word)).collect(),
                count: *count,
            }),
            _ => Origin::Centre(Centre::from_head(head)),
        };
        Coder { quantization, metric, dimensions, origin, book }
    }

    /// Words of a code.
    pub fn words(quantization: Quantization, dimensions: usize) -> usize {
        match quantization {
            Quantization::Sq8 => 2 + dimensions.div_ceil(4),
            Quantization::F16 | Quantization::Bf16 => 1 + dimensions.div_ceil(2),
            Quantization::Bq => bq::words(dimensions),
            Quantization::Pq => pq::words(dimensions),
        }
    }

    /// How many vectors the centre is in the middle of.
    pub fn trained_on(&self) -> u32 {
        match &self.origin {
            Origin::Vectors => u32::MAX,
            Origin::Centre(centre) => centre.trained_on(),
            Origin::Mean(mean) => mean.count,
        }
    }

    pub fn encode(&self, vector: Vector) -> Vec<u32> {
        let mut words = Vec::with_capacity(Coder::words(self.quantization, self.dimensions));
        match (&self.origin, &self.book) {
            (Origin::Mean(mean), _) => {
                mean.encode(self.metric, &numbers(vector), &mut words);
                return words;
            }
            (Origin::Centre(centre), Some(book)) => {
                book.encode(centre.see_for_products(self.metric, vector), &mut words);
                return words;
            }
            (Origin::Centre(centre), None) if self.quantization == Quantization::Bq => {
                bq::encode(centre.see_for_products(self.metric, vector), &mut words);
                return words;
            }
            _ => {}
        }
        let Encoded { code, norm } = self.query(vector);
        words.push(norm.to_bits());
        match code {
            Code::Sq8(code) => {
                words.push(code.scale.to_bits());
                words.extend(code.codes.chunks(4).map(|four| {
                    let mut bytes = [0u8; 4];
                    bytes.iter_mut().zip(four).for_each(|(byte, code)| *byte = code.to_le_bytes()[0]);
                    u32::from_le_bytes(bytes)
                }));
            }
            Code::F16(values) => words.extend(pairs(&values, |value| value.to_bits())),
            Code::Bf16(values) => words.extend(pairs(&values, |value| value.to_bits())),
            Code::Bq(_) | Code::Pq(_) => unreachable!("they have products, and were made above"),
        }
        words
    }

    pub fn query(&self, vector: Vector) -> Encoded {
        let (seen, term) = match &self.origin {
            Origin::Vectors => (numbers(vector), 0.0),
            Origin::Centre(centre) if !self.quantization.builds() => {
                let (seen, scale) = centre.ask_for_products(self.metric, vector);
                let code = match &self.book {
                    Some(book) => Code::Pq(book.query(seen, scale)),
                    None => Code::Bq(bq::query(seen, scale)),
                };
                return Encoded { code, norm: 0.0 };
            }
            Origin::Centre(centre) => {
                let (seen, term) = centre.see(self.metric, vector);
                (seen.into(), term)
            }
            Origin::Mean(mean) => {
                return Encoded { code: Code::Bq(mean.query(self.metric, &numbers(vector))), norm: 0.0 };
            }
        };
        self.encoded(&seen, term)
    }

    /// A query, and what ranks of codes certainly say of those of vectors; nothing where codes are not of bytes, or not seen
    /// from a centre.
    pub fn bounded_query(&self, vector: Vector) -> Option<(Encoded, Bounds)> {
        let (Origin::Centre(centre), Quantization::Sq8) = (&self.origin, self.quantization) else {
            return None;
        };
        let (seen, term) = centre.see(self.metric, vector);
        let encoded = self.encoded(&seen, term);
        let Code::Sq8(code) = &encoded.code else { return None };
        let sizes = (self.magnification(), centre.square());
        let bounds = Bounds::new(self.metric, vector, &seen, (code, encoded.norm), sizes);
        Some((encoded, bounds))
    }

    /// The code of what is seen, by elements.
    fn encoded(&self, seen: &[f32], term: f32) -> Encoded {
        let code = match self.quantization {
            Quantization::Sq8 => Code::Sq8(sq8::Code::of(Vector::F32(seen))),
            Quantization::F16 => Code::F16(seen.iter().map(|&x| saturated(x)).collect()),
            Quantization::Bf16 => Code::Bf16(seen.iter().map(|&x| bf16::from_f32(x)).collect()),
            Quantization::Bq | Quantization::Pq => unreachable!("they are seen from somewhere"),
        };
        let mut encoded = Encoded { code, norm: term };
        if !self.has_terms() {
            encoded.norm = encoded.vector().norm() as f32;
        }
        encoded
    }

    /// A code as others are compared with it, given its first word.
    #[inline]
    pub fn ask<'a>(&self, vector: Vector<'a>, norm: f32) -> Query<'a> {
        match self.origin {
            Origin::Centre(_) => Query::from_centre(self.metric, vector, norm),
            Origin::Vectors | Origin::Mean(_) => Query::stored(self.metric, vector, norm),
        }
    }

    /// An encoded query as codes are compared with it.
    pub fn ask_encoded<'a>(&self, query: &'a Encoded) -> Query<'a> {
        self.ask(query.vector(), query.norm)
    }

    /// How many times as great as ranks of vectors those of codes are, but for what is added to all.
    pub fn magnification(&self) -> f32 {
        match &self.origin {
            Origin::Centre(centre) if self.quantization.builds() => centre.magnification(self.metric),
            _ => 1.0,
        }
    }

    fn has_terms(&self) -> bool {
        self.metric == Metric::InnerProduct && matches!(self.origin, Origin::Centre(_))
    }

    /// Whether codes such as these would be much finer from another centre, or by another book. Signs do not tell.
    pub fn is_off<'a>(&self, codes: impl Iterator<Item = &'a [AtomicU32]>) -> bool {
        let (mut kept, mut rows) = (0.0, Vec::new());
        for code in codes {
            rows.push(match (self.read(code), &self.book) {
                (_, Some(book)) => {
                    let told = book.tell(plain_words(code));
                    kept += told.kept;
                    told.values
                }
                (Vector::Code { codes, scale }, _) => codes.iter().map(|&x| f32::from(x) * scale).collect(),
                (Vector::F16(values), _) => values.iter().map(|x| x.to_f32()).collect(),
                (Vector::Bf16(values), _) => values.iter().map(|x| x.to_f32()).collect(),
                _ => return false,
            });
        }
        let Some(first) = rows.first() else { return false };
        let is_coarse = self.book.as_ref().is_some_and(|book| book.is_off(kept / rows.len() as f32));
        is_coarse || centre::is_off(&rows, first.len())
    }

    /// The step of a code of bytes; 0 for others.
    #[inline]
    pub fn step(&self, words: &[AtomicU32]) -> f32 {
        match self.quantization {
            Quantization::Sq8 => f32::from_bits(plain_words(words)[1]),
            _ => 0.0,
        }
    }

    /// The standard deviation of the rank that a query gives a code, which codes of signs and of parts know.
    #[inline]
    pub fn deviation(&self, query: &Encoded, words: &[AtomicU32]) -> f32 {
        match &query.code {
            Code::Bq(planes) => planes.scale.abs() * planes.reach * bq::error(plain_words(words)),
            Code::Pq(tables) => pq::deviation(tables, plain_words(words)),
            Code::Sq8(_) | Code::F16(_) | Code::Bf16(_) => 0.0,
        }
    }

    #[inline(always)]
    pub fn read<'a>(&self, words: &'a [AtomicU32]) -> Vector<'a> {
        match self.quantization {
            Quantization::Sq8 => Vector::Code {
                codes: &words_as_codes(&words[2..])[..self.dimensions],
                scale: f32::from_bits(plain_words(words)[1]),
            },
            Quantization::F16 => Vector::F16(&words_as_halves(&words[1..])[..self.dimensions]),
            Quantization::Bf16 => Vector::Bf16(&words_as_bfloats(&words[1..])[..self.dimensions]),
            Quantization::Bq => bq::read(plain_words(words)),
            Quantization::Pq => pq::read(plain_words(words)),
        }
    }

    /// The norm of a code, or its term; signs and parts have none and need none.
    #[inline(always)]
    pub fn norm(&self, words: &[AtomicU32]) -> f32 {
        match self.quantization {
            Quantization::Bq | Quantization::Pq => 0.0,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_they_were_made() {
        let vector: Vec<f32> = (0..37).map(|i| ((i * i) as f32).sin() * 100.0).collect();
        for quantization in Quantization::ALL {
            for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1] {
                if !quantization.ranks_by(metric) {
                    continue;
                }
                let sample = [Vector::F32(&vector[..])];
                let rows = [Vector::F32(&[3.0; 37][..]), Vector::F32(&[5.0; 37][..])];
                let coder = Coder::new(quantization, metric, 37, rows.into_iter());
                let coder = Coder::from_head(quantization, metric, 37, &coder.head());
                let words: Vec<AtomicU32> = coder.encode(sample[0]).into_iter().map(AtomicU32::new).collect();
                assert_eq!(words.len(), Coder::words(quantization, 37));
                let query = coder.query(sample[0]);
                if quantization.builds() {
                    assert_eq!(coder.read(&words), query.vector());
                    assert_eq!(coder.norm(&words), query.norm);
                }
                let exact = Query::new(metric, &vector).rank(sample[0], sample[0].norm() as f32);
                let rank = coder.ask_encoded(&query).rank(coder.read(&words), coder.norm(&words));
                // What is added to all products: <centre, centre>.
                let adds = metric == Metric::InnerProduct && quantization.builds();
                let rank = rank / coder.magnification() - if adds { 25.0 * 37.0 } else { 0.0 };
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
        let query = coder.query(Vector::F32(&[1e9, -1e9]));
        assert_eq!(query.vector(), Vector::F16(&[f16::MAX, f16::MIN]));
    }
}
