//! The definition of each sum, one term after the other in f64: slow, and the oracle of `kernels.rs`.

/// Σ(a-b)².
pub fn l2_squared(a: &[f32], b: &[f32]) -> f64 {
    terms(a, b, |x, y| (x - y) * (x - y))
}

/// Σ a·b.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    terms(a, b, |x, y| x * y)
}

/// Σ|a-b|.
pub fn l1(a: &[f32], b: &[f32]) -> f64 {
    terms(a, b, |x, y| (x - y).abs())
}

/// √Σ a².
pub fn norm(a: &[f32]) -> f64 {
    dot(a, a).sqrt()
}

fn terms(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    assert_eq!(a.len(), b.len(), "vectors of different dimensions");
    a.iter().zip(b).map(|(&x, &y)| term(f64::from(x), f64::from(y))).sum()
}
