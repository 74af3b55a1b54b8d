//! One query vector against many candidates.

use super::{
    Element, Vector, bits, brain, codes, dot, dots_of_four, half, l1, l2_squared, l2_squared_of_four, sparse,
};

/// pgvector's distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Metric {
    /// `<->`
    L2,
    /// `<#>`, the negative inner product.
    InnerProduct,
    /// `<=>`
    Cosine,
    /// `<+>`
    L1,
    /// `<~>`, of bits.
    Hamming,
    /// `<%>`, of bits.
    Jaccard,
}

impl Metric {
    pub const ALL: [Metric; 6] =
        [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1, Metric::Hamming, Metric::Jaccard];
    /// Those of numbers.
    pub const OF_NUMBERS: [Metric; 4] = [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1];
    /// Those of bits.
    pub const OF_BITS: [Metric; 2] = [Metric::Hamming, Metric::Jaccard];

    /// The metrics of vectors made of `element`.
    pub const fn of(element: Element) -> &'static [Metric] {
        match element {
            Element::F32 | Element::F16 | Element::Sparse => &Metric::OF_NUMBERS,
            Element::Bit => &Metric::OF_BITS,
        }
    }

    /// The operator in SQL.
    pub const fn operator(self) -> &'static str {
        match self {
            Metric::L2 => "<->",
            Metric::InnerProduct => "<#>",
            Metric::Cosine => "<=>",
            Metric::L1 => "<+>",
            Metric::Hamming => "<~>",
            Metric::Jaccard => "<%>",
        }
    }

    /// What operator classes call it: `vector_l2_ops`, `bit_jaccard_ops`.
    pub const fn name(self) -> &'static str {
        match self {
            Metric::L2 => "l2",
            Metric::InnerProduct => "ip",
            Metric::Cosine => "cosine",
            Metric::L1 => "l1",
            Metric::Hamming => "hamming",
            Metric::Jaccard => "jaccard",
        }
    }

    /// The operator class an index over a type names it by.
    pub fn opclass(self, type_name: &str) -> String {
        format!("{type_name}_{}_ops", self.name())
    }

    pub fn from_operator(operator: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.operator() == operator)
    }

    /// What the SQL operator returns for two vectors of one element and dimension: pgvector's formulas, which add in
    /// f32 and finish in f64.
    pub fn distance<'a>(self, a: impl Into<Vector<'a>>, b: impl Into<Vector<'a>>) -> f64 {
        match (a.into(), b.into()) {
            (Vector::F32(a), Vector::F32(b)) => self.distance_of_numbers(a, b, dot, l2_squared, l1),
            (Vector::F16(a), Vector::F16(b)) => {
                self.distance_of_numbers(a, b, half::dot, half::l2_squared, half::l1)
            }
            (Vector::Bits { bytes: a, .. }, Vector::Bits { bytes: b, .. }) => match self {
                Metric::Hamming => f64::from(bits::hamming(a, b)),
                Metric::Jaccard => jaccard(bits::common(a, b), bits::ones(a), bits::ones(b)),
                metric => undefined(metric, Element::Bit),
            },
            (Vector::Sparse(a), Vector::Sparse(b)) => {
                self.distance_of_numbers(a, b, sparse::dot, sparse::l2_squared, sparse::l1)
            }
            (a, b) => differ(a.element(), b.element()),
        }
    }

    fn distance_of_numbers<V: Copy>(
        self,
        a: V,
        b: V,
        dot: impl Fn(V, V) -> f32,
        l2_squared: impl Fn(V, V) -> f32,
        l1: impl Fn(V, V) -> f32,
    ) -> f64 {
        match self {
            Metric::L2 => f64::from(l2_squared(a, b)).sqrt(),
            Metric::InnerProduct => -f64::from(dot(a, b)),
            Metric::Cosine => {
                // 1 - a·b / (|a| |b|), NaN when either norm is zero: clamp() keeps NaN.
                let norms = (f64::from(dot(a, a)) * f64::from(dot(b, b))).sqrt();
                let distance = 1.0 - (f64::from(dot(a, b)) / norms).clamp(-1.0, 1.0);
                // 0 / 0 has a sign, and a negative NaN would be less than every number.
                if distance.is_nan() { f64::NAN } else { distance }
            }
            Metric::L1 => f64::from(l1(a, b)),
            Metric::Hamming | Metric::Jaccard => undefined(self, Element::F32),
        }
    }
}

/// 1 - #(a&b) / #(a|b); 1 when nothing is common, as in pgvector, even of two empty sets.
fn jaccard(common: u32, a: u32, b: u32) -> f64 {
    match common {
        0 => 1.0,
        common => 1.0 - f64::from(common) / f64::from(a + b - common),
    }
}

#[cold]
fn undefined(metric: Metric, element: Element) -> ! {
    panic!("{} is no metric of {element:?}", metric.operator())
}

#[cold]
fn differ(a: Element, b: Element) -> ! {
    panic!("a vector of {a:?} beside one of {b:?}")
}

/// A query vector and what can be computed about it once.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    metric: Metric,
    vector: Vector<'a>,
    /// For cosine 1/|vector|: infinite for the zero vector, whose cosine ranks are NaN. For Jaccard, and for L2 of
    /// codes, |vector|. From a centre |vector|, for products its term.
    factor: f32,
    is_from_centre: bool,
}

impl<'a> Query<'a> {
    pub fn new(metric: Metric, vector: impl Into<Vector<'a>>) -> Query<'a> {
        let vector = vector.into();
        let factor = match metric {
            Metric::Cosine => (1.0 / vector.norm()) as f32,
            Metric::Jaccard => vector.norm() as f32,
            Metric::L2 if matches!(vector, Vector::Code { .. }) => vector.norm() as f32,
            _ => 1.0,
        };
        Query { metric, vector, factor, is_from_centre: false }
    }

    /// A query that is itself a stored vector, with its stored norm.
    #[inline]
    pub fn stored(metric: Metric, vector: Vector<'a>, norm: f32) -> Query<'a> {
        let factor = if matches!(metric, Metric::Jaccard | Metric::L2) { norm } else { 1.0 / norm };
        Query { metric, vector, factor, is_from_centre: false }
    }

    /// A code of a vector seen from a centre c, `vector` = v - c, that is to be compared with its like. `norm` is its norm,
    /// and under the inner product its term <v-c, c>; so are candidates' norms then.
    ///
    /// Under cosine codes are of vectors of length one, and half the square of their L2 distance is the cosine distance. It
    /// comes from their product, which is as fast as before; what f32 loses of it, a cosine distance loses anyway.
    /// The product of two vectors is that of the codes, both terms and <c, c>, which is the same everywhere and left out.
    #[inline]
    pub fn from_centre(metric: Metric, vector: Vector<'a>, norm: f32) -> Query<'a> {
        Query { metric, vector, factor: norm, is_from_centre: true }
    }

    pub fn metric(&self) -> Metric {
        self.metric
    }

    pub fn vector(&self) -> Vector<'a> {
        self.vector
    }

    /// Dimensions of a `vector` that takes as long to compare with its like.
    pub fn work(&self) -> usize {
        match self.vector {
            // As many steps through the candidate, if it is like the query, as through the query itself.
            Vector::Sparse(vector) => 2 * vector.count() * sparse::STEP_DIMENSIONS,
            vector => vector.dimensions(),
        }
    }

    /// Ascending: smaller is nearer. NaN for cosine when either vector is zero, or when a sum left f32's range.
    /// `candidate_norm` is |candidate|, used by cosine and Jaccard, and by codes.
    #[inline(always)]
    pub fn rank(&self, candidate: Vector, candidate_norm: f32) -> f32 {
        match (self.vector, candidate) {
            (Vector::F32(query), Vector::F32(candidate)) => match self.metric {
                Metric::L2 => l2_squared(query, candidate),
                Metric::InnerProduct => -dot(query, candidate),
                Metric::Cosine => self.cosine(dot(query, candidate), candidate_norm),
                Metric::L1 => l1(query, candidate),
                metric => undefined(metric, Element::F32),
            },
            (Vector::Code { codes: query, scale: query_scale }, Vector::Code { codes: candidate, scale }) => {
                let dot = codes::dot(query, candidate) as f32 * (query_scale * scale);
                match self.metric {
                    Metric::L2 => self.square(dot, candidate_norm),
                    Metric::InnerProduct => self.product(dot, candidate_norm),
                    Metric::Cosine => self.cosine(dot, candidate_norm),
                    metric => panic!("codes have no {}", metric.operator()),
                }
            }
            _ => self.rank_of_others(candidate, candidate_norm),
        }
    }

    /// The ranks of a candidate for four queries of one metric, each as [`Query::rank`] says. Those of f32 load the candidate
    /// once for all of them.
    #[inline]
    pub fn ranks_of_four(queries: &[Query; 4], candidate: Vector, candidate_norm: f32) -> [f32; 4] {
        let one_by_one = || queries.each_ref().map(|query| query.rank(candidate, candidate_norm));
        let metric = queries[0].metric;
        let (Vector::F32(candidate), true) =
            (candidate, queries.iter().all(|query| query.metric == metric && !query.is_from_centre))
        else {
            return one_by_one();
        };
        let vectors = queries.each_ref().map(|query| match query.vector {
            Vector::F32(vector) => vector,
            other => differ(other.element(), Element::F32),
        });
        match metric {
            Metric::L2 => l2_squared_of_four(&vectors, candidate),
            Metric::InnerProduct => dots_of_four(&vectors, candidate).map(|dot| -dot),
            Metric::Cosine => {
                let dots = dots_of_four(&vectors, candidate);
                std::array::from_fn(|number| queries[number].cosine(dots[number], candidate_norm))
            }
            _ => one_by_one(),
        }
    }

    /// Of what is not compared where the call is: the code for all kinds would be too much for that.
    #[inline(never)]
    fn rank_of_others(&self, candidate: Vector, candidate_norm: f32) -> f32 {
        match (self.vector, candidate) {
            (Vector::F16(query), Vector::F16(candidate)) => match self.metric {
                Metric::L2 => half::l2_squared(query, candidate),
                Metric::InnerProduct => self.product(half::dot(query, candidate), candidate_norm),
                Metric::Cosine => self.cosine(half::dot(query, candidate), candidate_norm),
                Metric::L1 => half::l1(query, candidate),
                metric => undefined(metric, Element::F16),
            },
            (Vector::Bits { bytes: query, .. }, Vector::Bits { bytes: candidate, .. }) => match self.metric {
                Metric::Hamming => bits::hamming(query, candidate) as f32,
                Metric::Jaccard => {
                    let common = bits::common(query, candidate);
                    jaccard(common, self.factor as u32, candidate_norm as u32) as f32
                }
                metric => undefined(metric, Element::Bit),
            },
            (Vector::Bf16(query), Vector::Bf16(candidate)) => match self.metric {
                Metric::L2 => brain::l2_squared(query, candidate),
                Metric::InnerProduct => self.product(brain::dot(query, candidate), candidate_norm),
                Metric::Cosine => self.cosine(brain::dot(query, candidate), candidate_norm),
                Metric::L1 => brain::l1(query, candidate),
                metric => undefined(metric, Element::F32),
            },
            // The metric is in the numbers already.
            (Vector::Planes(query), Vector::Signs { bits, add, factor }) => {
                query.add + add + query.scale * factor * query.signed_sum(bits)
            }
            (Vector::Tables(query), Vector::Parts { code, add, factor }) => {
                query.add + add + query.scale * factor * query.sum(code)
            }
            (Vector::Sparse(query), Vector::Sparse(candidate)) => match self.metric {
                Metric::L2 => sparse::l2_squared(query, candidate),
                Metric::InnerProduct => -sparse::dot(query, candidate),
                Metric::Cosine => self.cosine(sparse::dot(query, candidate), candidate_norm),
                Metric::L1 => sparse::l1(query, candidate),
                metric => undefined(metric, Element::Sparse),
            },
            (query, candidate) => differ(query.element(), candidate.element()),
        }
    }

    #[inline(always)]
    fn product(&self, dot: f32, candidate_term: f32) -> f32 {
        if self.is_from_centre { -(dot + self.factor + candidate_term) } else { -dot }
    }

    /// |query - candidate|², of both norms and the product.
    #[inline(always)]
    fn square(&self, dot: f32, candidate_norm: f32) -> f32 {
        let rank = self.factor * self.factor + candidate_norm * candidate_norm - 2.0 * dot;
        // Not max(), which makes 0 of what left f32's range.
        if rank < 0.0 { 0.0 } else { rank }
    }

    #[inline(always)]
    fn cosine(&self, dot: f32, candidate_norm: f32) -> f32 {
        if self.is_from_centre {
            return self.square(dot, candidate_norm);
        }
        1.0 - (dot * self.factor / candidate_norm).clamp(-1.0, 1.0)
    }

    /// The distance SQL shows for a rank, to f32's accuracy. [`Metric::distance`] gives pgvector's digits.
    pub fn distance(&self, rank: f32) -> f64 {
        match self.metric {
            Metric::L2 => f64::from(rank).sqrt(),
            _ => f64::from(rank),
        }
    }

    /// What the SQL operator returns for this query and `candidate`.
    pub fn distance_to<'b>(&'b self, candidate: impl Into<Vector<'b>>) -> f64 {
        self.metric.distance(self.vector, candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::scalar;
    use crate::types::f16;

    #[test]
    fn ranks_and_distances_agree_with_pgvector() {
        let (a, b) = ([1.0f32, 2.0, 3.0], [3.0f32, 2.0, 4.0]);
        let norm = scalar::norm(&b) as f32;
        let shown = |metric: Metric| {
            let query = Query::new(metric, &a);
            let (by_rank, exact) = (query.distance(query.rank((&b).into(), norm)), query.distance_to(&b));
            assert!((by_rank - exact).abs() < 1e-6, "{metric:?}: {by_rank} and {exact}");
            exact
        };
        assert_eq!(shown(Metric::L2), 5f64.sqrt());
        assert_eq!(shown(Metric::InnerProduct), -19.0);
        assert_eq!(shown(Metric::L1), 3.0);
        assert!((shown(Metric::Cosine) - (1.0 - 19.0 / (14f64 * 29.0).sqrt())).abs() < 1e-15);
    }

    #[test]
    fn cosine_of_a_zero_vector_is_nan() {
        let (zero, one) = ([0.0f32; 3], [1.0f32; 3]);
        assert!(Query::new(Metric::Cosine, &zero).rank((&one).into(), 1.732).is_nan());
        assert!(Query::new(Metric::Cosine, &one).rank((&zero).into(), 0.0).is_nan());
        assert!(Metric::Cosine.distance(&zero, &one).is_nan());
    }

    #[test]
    fn cosine_stays_between_zero_and_two() {
        let a: Vec<f32> = (0..384).map(|i| (i as f32).sin()).collect();
        let negative: Vec<f32> = a.iter().map(|x| -x).collect();
        let norm = scalar::norm(&a) as f32;
        let query = Query::stored(Metric::Cosine, (&a).into(), norm);
        assert!((0.0..1e-6).contains(&query.rank((&a).into(), norm)));
        assert!((2.0 - 1e-6..=2.0).contains(&query.rank((&negative).into(), norm)));
    }

    #[test]
    fn halves_and_bits_have_the_same_ranks_as_their_distances() {
        let a: Vec<f16> = (0..40).map(|i| f16::from_f32((i as f32).sin())).collect();
        let b: Vec<f16> = (0..40).map(|i| f16::from_f32((i as f32).cos())).collect();
        let sparse = |step: usize| {
            let values: Vec<f32> =
                (0..90).map(|i| if i % step == 0 { (i as f32).cos() } else { 0.0 }).collect();
            crate::types::Sparsevec::of_dense(&values).unwrap()
        };
        let (thin, thick) = (sparse(3), sparse(2));
        let bits = |bytes| Vector::Bits { bytes, length: 21 };
        let pairs = [
            (Vector::F16(&a), Vector::F16(&b)),
            (bits(&[0b1110_0001, 0xFF, 0b1111_1000]), bits(&[0b1011_0000, 0x0F, 0b1000_1000])),
            (bits(&[0; 3]), bits(&[0; 3])),
            ((&thin).into(), (&thick).into()),
        ];
        for (a, b) in pairs {
            for &metric in Metric::of(a.element()) {
                let norm = b.norm() as f32;
                for query in [Query::new(metric, a), Query::stored(metric, a, a.norm() as f32)] {
                    let (by_rank, exact) = (query.distance(query.rank(b, norm)), query.distance_to(b));
                    assert!((by_rank - exact).abs() < 1e-5, "{metric:?}: {by_rank} and {exact}");
                }
            }
        }
        assert_eq!(Metric::Hamming.distance(pairs[1].0, pairs[1].1), 10.0);
        assert_eq!(Metric::Jaccard.distance(pairs[1].0, pairs[1].1), 1.0 - 8.0 / 18.0);
        assert_eq!(Metric::Jaccard.distance(pairs[2].0, pairs[2].1), 1.0);
    }

    #[test]
    fn names_lead_back() {
        for metric in Metric::ALL {
            assert_eq!(Metric::from_operator(metric.operator()), Some(metric));
        }
        assert_eq!(Metric::from_operator("<!>"), None);
        assert_eq!(Metric::InnerProduct.opclass("halfvec"), "halfvec_ip_ops");
    }
}
