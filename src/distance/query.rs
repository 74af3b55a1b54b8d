//! One query vector against many candidates.

use super::{dot, l1, l2_squared, scalar};

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
}

impl Metric {
    pub const ALL: [Metric; 4] = [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1];

    /// The operator in SQL.
    pub fn operator(self) -> &'static str {
        match self {
            Metric::L2 => "<->",
            Metric::InnerProduct => "<#>",
            Metric::Cosine => "<=>",
            Metric::L1 => "<+>",
        }
    }

    /// The operator class an hnsw index names it by.
    pub fn opclass(self) -> &'static str {
        match self {
            Metric::L2 => "vector_l2_ops",
            Metric::InnerProduct => "vector_ip_ops",
            Metric::Cosine => "vector_cosine_ops",
            Metric::L1 => "vector_l1_ops",
        }
    }

    pub fn from_operator(operator: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.operator() == operator)
    }

    pub fn from_opclass(opclass: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.opclass() == opclass)
    }

    /// What the SQL operator returns for two vectors of one dimension: pgvector's formulas, which add in f32 and
    /// finish in f64.
    pub fn distance(self, a: &[f32], b: &[f32]) -> f64 {
        match self {
            Metric::L2 => f64::from(l2_squared(a, b)).sqrt(),
            Metric::InnerProduct => -f64::from(dot(a, b)),
            Metric::Cosine => cosine(a, b),
            Metric::L1 => f64::from(l1(a, b)),
        }
    }
}

/// 1 - a·b / (|a| |b|), NaN when either norm is zero.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let norms = (f64::from(dot(a, a)) * f64::from(dot(b, b))).sqrt();
    // clamp() keeps NaN.
    1.0 - (f64::from(dot(a, b)) / norms).clamp(-1.0, 1.0)
}

/// A query vector and what can be computed about it once.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    metric: Metric,
    vector: &'a [f32],
    /// 1/|vector|: infinite for the zero vector, whose cosine ranks are NaN.
    inverse_norm: f32,
}

impl<'a> Query<'a> {
    pub fn new(metric: Metric, vector: &'a [f32]) -> Query<'a> {
        let inverse_norm = match metric {
            Metric::Cosine => (1.0 / scalar::norm(vector)) as f32,
            _ => 1.0,
        };
        Query { metric, vector, inverse_norm }
    }

    /// A query that is itself a stored vector, with its stored norm.
    #[inline]
    pub fn stored(metric: Metric, vector: &'a [f32], norm: f32) -> Query<'a> {
        Query { metric, vector, inverse_norm: 1.0 / norm }
    }

    pub fn metric(&self) -> Metric {
        self.metric
    }

    pub fn vector(&self) -> &'a [f32] {
        self.vector
    }

    /// Ascending: smaller is nearer. NaN for cosine when either vector is zero, or when a sum left f32's range.
    /// `candidate_norm` is |candidate|, used by cosine only.
    #[inline]
    pub fn rank(&self, candidate: &[f32], candidate_norm: f32) -> f32 {
        match self.metric {
            Metric::L2 => l2_squared(self.vector, candidate),
            Metric::InnerProduct => -dot(self.vector, candidate),
            Metric::Cosine => {
                let cosine = dot(self.vector, candidate) * self.inverse_norm / candidate_norm;
                1.0 - cosine.clamp(-1.0, 1.0)
            }
            Metric::L1 => l1(self.vector, candidate),
        }
    }

    /// The distance SQL shows for a rank, to f32's accuracy. [`Metric::distance`] gives pgvector's digits.
    pub fn distance(&self, rank: f32) -> f64 {
        match self.metric {
            Metric::L2 => f64::from(rank).sqrt(),
            _ => f64::from(rank),
        }
    }

    /// What the SQL operator returns for this query and `candidate`.
    pub fn distance_to(&self, candidate: &[f32]) -> f64 {
        self.metric.distance(self.vector, candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_distances_agree_with_pgvector() {
        let (a, b) = ([1.0f32, 2.0, 3.0], [3.0f32, 2.0, 4.0]);
        let norm = scalar::norm(&b) as f32;
        let shown = |metric: Metric| {
            let query = Query::new(metric, &a);
            let (by_rank, exact) = (query.distance(query.rank(&b, norm)), query.distance_to(&b));
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
        assert!(Query::new(Metric::Cosine, &zero).rank(&one, 1.732).is_nan());
        assert!(Query::new(Metric::Cosine, &one).rank(&zero, 0.0).is_nan());
        assert!(Metric::Cosine.distance(&zero, &one).is_nan());
    }

    #[test]
    fn cosine_stays_between_zero_and_two() {
        let a: Vec<f32> = (0..384).map(|i| (i as f32).sin()).collect();
        let negative: Vec<f32> = a.iter().map(|x| -x).collect();
        let norm = scalar::norm(&a) as f32;
        let query = Query::stored(Metric::Cosine, &a, norm);
        assert!((0.0..1e-6).contains(&query.rank(&a, norm)));
        assert!((2.0 - 1e-6..=2.0).contains(&query.rank(&negative, norm)));
    }

    #[test]
    fn names_lead_back() {
        for metric in Metric::ALL {
            assert_eq!(Metric::from_operator(metric.operator()), Some(metric));
            assert_eq!(Metric::from_opclass(metric.opclass()), Some(metric));
        }
        assert_eq!(Metric::from_operator("<~>"), None);
    }
}
