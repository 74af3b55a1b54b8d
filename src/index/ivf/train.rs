//! Centres from a sample: k-means++ (Arthur and Vassilvitskii, 2007), then Lloyd's iterations with Hamerly's bounds
//! ("Making k-means even faster", 2010), on several threads.
//!
//! A point is compared with all centres only when bounds on its distances do not rule out that its centre changes: how
//! far it is from its own (at most) and from any other (at least), widened by how far centres have moved. After a few
//! rounds nine of ten points are settled without a comparison.

use std::sync::atomic::{AtomicBool, Ordering};

use roaring::RoaringBitmap;

use super::centres::{Centres, Points, is_spherical, numbers};
use super::lists::Params;
use crate::distance::{Element, l2_squared};
use crate::error::{Result, check_cancel};
use crate::index::source::Vectors;
use crate::types::Bits;

/// Sampled vectors per list, and in all, at least: pgvector's.
const SAMPLES_PER_LIST: u64 = 50;
const SAMPLES_MIN: u64 = 10_000;
/// What the sample may take in memory; a longer vector is sampled less often.
pub const SAMPLE_BYTES_MAX: u64 = 512 << 20;
/// Recall does not grow any more after that many rounds: points change lists at their borders.
const ROUNDS_MAX: usize = 20;
/// Rounds end when fewer than one of so many points change their centre.
const SETTLED: usize = 1_000;

/// Vectors that a sample for so many lists should have.
pub fn sample_size(lists: u32) -> u64 {
    (u64::from(lists) * SAMPLES_PER_LIST).max(SAMPLES_MIN)
}

/// Centres of the vectors in `slots`; fewer than lists when there are fewer different vectors.
pub fn train<V: Vectors>(
    params: Params,
    vectors: &V,
    slots: &RoaringBitmap,
    (threads, sample_bytes_max): (usize, u64),
    cancel: &AtomicBool,
) -> Result<Centres> {
    let dimensions = vectors.dimensions();
    let (sample, element) = sample(params, vectors, slots, sample_bytes_max);
    let Some(element) = element else { return Ok(Centres::none(slots.len())) };
    let mut training = Training {
        dimensions,
        spherical: is_spherical(params.metric),
        points: sample.len() / dimensions,
        sample,
        threads: threads.max(1),
        cancel,
        random: Random(0x9E37_79B9_7F4A_7C15),
    };
    let centres = training.first_centres(params.lists as usize)?;
    let centres = training.improve(centres)?;
    let points = match element {
        Element::Bit => {
            let rounded = |centre: &[f32]| Bits::from_iter(centre.iter().map(|&x| x > 0.5)).bytes().to_vec();
            Points::Bits(centres.chunks_exact(dimensions).flat_map(rounded).collect())
        }
        _ => Points::Numbers(centres),
    };
    Ok(Centres { dimensions, points, trained_on: slots.len() })
}

/// Vectors spread evenly over `slots`, one after the other; `None` when there are none.
fn sample<V: Vectors>(
    params: Params,
    vectors: &V,
    slots: &RoaringBitmap,
    bytes_max: u64,
) -> (Vec<f32>, Option<Element>) {
    let dimensions = vectors.dimensions();
    let slots: RoaringBitmap = slots.iter().filter(|&slot| params.takes(vectors, slot)).collect();
    let count = slots.len();
    // A vector for each list at least, whatever there is room for.
    let room = (bytes_max / (4 * dimensions as u64).max(1)).max(u64::from(params.lists));
    let wanted = sample_size(params.lists).min(room).min(count);
    let (mut values, mut element) = (Vec::new(), None);
    let mut random = Random(0xD1B5_4A32_D192_ED03);
    for number in 0..wanted {
        // One of each of `wanted` equal parts.
        let (start, end) = (number * count / wanted, (number + 1) * count / wanted);
        let rank = start + random.below((end - start).max(1));
        let slot = slots.select(rank as u32).expect("a rank below the number of slots");
        let vector = vectors.get(slot);
        element = Some(vector.element());
        let start = values.len();
        values.extend_from_slice(&numbers(vector));
        if is_spherical(params.metric) {
            normalise(&mut values[start..]);
        }
    }
    (values, element)
}

struct Training<'a> {
    dimensions: usize,
    spherical: bool,
    points: usize,
    sample: Vec<f32>,
    threads: usize,
    cancel: &'a AtomicBool,
    random: Random,
}

/// What is known of a point: its centre, how far that is at most, and any other at least.
#[derive(Clone, Copy)]
struct Bound {
    centre: usize,
    own: f32,
    others: f32,
}

impl Training<'_> {
    fn point(&self, number: usize) -> &[f32] {
        &self.sample[number * self.dimensions..(number + 1) * self.dimensions]
    }

    /// Points far from each other: each is drawn with a chance that grows with its distance from those before.
    fn first_centres(&mut self, wanted: usize) -> Result<Vec<f32>> {
        let first = self.random.below(self.points as u64) as usize;
        let mut centres = self.point(first).to_vec();
        let mut nearest = vec![f32::INFINITY; self.points];
        for _ in 1..wanted.min(self.points) {
            let newest = &centres[centres.len() - self.dimensions..];
            self.each(&mut nearest, |point, nearest| *nearest = nearest.min(l2_squared(point, newest)))?;
            let total: f64 = nearest.iter().map(|&distance| f64::from(distance)).sum();
            if total <= 0.0 {
                break;
            }
            let mut left = self.random.unit() * total;
            let passes = |distance: &f32| {
                left -= f64::from(*distance);
                left <= 0.0 && *distance > 0.0
            };
            let last = nearest.iter().rposition(|distance| *distance > 0.0).unwrap_or(0);
            let drawn = nearest.iter().position(passes).unwrap_or(last);
            centres.extend_from_slice(self.point(drawn));
        }
        Ok(centres)
    }

    fn improve(&mut self, mut centres: Vec<f32>) -> Result<Vec<f32>> {
        let unknown = Bound { centre: 0, own: f32::INFINITY, others: 0.0 };
        let mut bounds = vec![unknown; self.points];
        self.each(&mut bounds, |point, bound| *bound = self.nearest(&centres, point))?;
        for _ in 0..ROUNDS_MAX {
            let moved = self.moved(&centres, &bounds);
            let drifts: Vec<f32> = pairs(&centres, &moved, self.dimensions).collect();
            let most = drifts.iter().copied().fold(0.0, f32::max);
            centres = moved;
            let apart = self.half_distances(&centres)?;
            let before: Vec<usize> = bounds.iter().map(|bound| bound.centre).collect();
            self.each(&mut bounds, |point, bound| {
                bound.own += drifts[bound.centre];
                bound.others -= most;
                let least = bound.others.max(apart[bound.centre]);
                if bound.own <= least {
                    return;
                }
                let own = &centres[bound.centre * self.dimensions..(bound.centre + 1) * self.dimensions];
                bound.own = l2_squared(point, own).sqrt();
                if bound.own > least {
                    *bound = self.nearest(&centres, point);
                }
            })?;
            let changed =
                bounds.iter().zip(&before).filter(|(bound, before)| bound.centre != **before).count();
            if changed * SETTLED <= self.points {
                break;
            }
        }
        Ok(centres)
    }

    fn nearest(&self, centres: &[f32], point: &[f32]) -> Bound {
        let mut bound = Bound { centre: 0, own: f32::INFINITY, others: f32::INFINITY };
        for (number, centre) in centres.chunks_exact(self.dimensions).enumerate() {
            let distance = l2_squared(point, centre);
            if distance < bound.own {
                bound = Bound { centre: number, own: distance, others: bound.own };
            } else {
                bound.others = bound.others.min(distance);
            }
        }
        Bound { own: bound.own.sqrt(), others: bound.others.sqrt(), ..bound }
    }

    /// The means of the points of each centre. One that lost all its points goes to where the farthest point is.
    fn moved(&self, centres: &[f32], bounds: &[Bound]) -> Vec<f32> {
        let mut sums = vec![0f64; centres.len()];
        let mut counts = vec![0u32; centres.len() / self.dimensions];
        for (point, bound) in self.sample.chunks_exact(self.dimensions).zip(bounds) {
            counts[bound.centre] += 1;
            let start = bound.centre * self.dimensions;
            let sum = &mut sums[start..start + self.dimensions];
            sum.iter_mut().zip(point).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let mut far: Vec<usize> = (0..self.points).collect();
        if counts.contains(&0) {
            far.sort_unstable_by(|&a, &b| bounds[a].own.total_cmp(&bounds[b].own));
        }
        let mut moved = Vec::with_capacity(centres.len());
        for (sum, &count) in sums.chunks_exact(self.dimensions).zip(&counts) {
            let start = moved.len();
            match (count, far.pop()) {
                (0, Some(farthest)) => moved.extend_from_slice(self.point(farthest)),
                (count, _) => moved.extend(sum.iter().map(|sum| (sum / f64::from(count.max(1))) as f32)),
            }
            if self.spherical {
                normalise(&mut moved[start..]);
            }
        }
        moved
    }

    /// Half of how far each centre is from the nearest other: a point that is nearer to its own has no better one.
    fn half_distances(&self, centres: &[f32]) -> Result<Vec<f32>> {
        let all: Vec<&[f32]> = centres.chunks_exact(self.dimensions).collect();
        let mut nearest = vec![f32::INFINITY; all.len()];
        for (number, centre) in all.iter().enumerate() {
            check_cancel(self.cancel)?;
            for (other, far) in all.iter().enumerate().take(number) {
                let distance = l2_squared(centre, far);
                nearest[number] = nearest[number].min(distance);
                nearest[other] = nearest[other].min(distance);
            }
        }
        Ok(nearest.into_iter().map(|distance| distance.sqrt() / 2.0).collect())
    }

    /// Calls `f` with each point and what is kept of it, on all threads.
    fn each<T: Send>(&self, kept: &mut [T], f: impl Fn(&[f32], &mut T) + Sync) -> Result<()> {
        let part = self.points.div_ceil(self.threads).max(1);
        let parts = kept.chunks_mut(part).zip(self.sample.chunks(part * self.dimensions));
        let run = |(kept, points): (&mut [T], &[f32])| {
            for (kept, point) in kept.iter_mut().zip(points.chunks_exact(self.dimensions)) {
                // A point may be compared with tens of thousands of centres.
                if self.cancel.load(Ordering::Relaxed) {
                    return;
                }
                f(point, kept);
            }
        };
        match self.threads {
            1 => parts.for_each(run),
            _ => std::thread::scope(|scope| {
                let run = &run;
                parts.for_each(|part| drop(scope.spawn(move || run(part))));
            }),
        }
        check_cancel(self.cancel)
    }
}

fn pairs<'a>(a: &'a [f32], b: &'a [f32], dimensions: usize) -> impl Iterator<Item = f32> + 'a {
    let pairs = a.chunks_exact(dimensions).zip(b.chunks_exact(dimensions));
    pairs.map(|(a, b)| l2_squared(a, b).sqrt())
}

fn normalise(values: &mut [f32]) {
    let norm = crate::types::vector::norm(values);
    if norm > 0.0 {
        values.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    }
}

/// xorshift: the same rows give the same centres.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Metric;
    use crate::index::source::Flat;

    static GO_ON: AtomicBool = AtomicBool::new(false);

    fn centres(values: Vec<f32>, lists: u32, metric: Metric, threads: usize) -> Vec<Vec<f32>> {
        let vectors = Flat::new(2, values);
        let slots = (0..vectors.slots_end()).collect();
        let trained =
            train(Params { lists, metric }, &vectors, &slots, (threads, SAMPLE_BYTES_MAX), &GO_ON).unwrap();
        let Points::Numbers(points) = trained.points else { panic!("numbers") };
        let mut points: Vec<Vec<f32>> = points.chunks(2).map(<[f32]>::to_vec).collect();
        points.sort_by(|a, b| a.partial_cmp(b).unwrap());
        points
    }

    #[test]
    fn groups_are_found() {
        let corners = [(0.0, 0.0), (0.0, 10.0), (10.0, 0.0), (10.0, 10.0)];
        let offsets = [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)];
        let points = corners.iter().flat_map(|(x, y)| offsets.iter().flat_map(move |(a, b)| [x + a, y + b]));
        let points: Vec<f32> = points.collect();
        for threads in [1, 3] {
            let found = centres(points.clone(), 4, Metric::L2, threads);
            assert_eq!(found, [[0.0, 0.0], [0.0, 10.0], [10.0, 0.0], [10.0, 10.0]]);
        }
    }

    #[test]
    fn there_are_no_more_centres_than_different_vectors() {
        assert_eq!(centres([1.0, 2.0].repeat(50), 7, Metric::L2, 2), [[1.0, 2.0]]);
        assert_eq!(centres(vec![3.0, 4.0, 6.0, 8.0], 7, Metric::Cosine, 2), [[0.6, 0.8]]);
        assert!(centres(vec![0.0, 0.0], 7, Metric::Cosine, 2).is_empty());
    }

    #[test]
    fn bounds_rule_out_only_what_cannot_be() {
        let mut random = Random(7);
        let points: Vec<f32> = (0..4_000).map(|_| (random.unit() * 100.0) as f32).collect();
        let mut training = Training {
            dimensions: 2,
            spherical: false,
            points: 2_000,
            sample: points,
            threads: 2,
            cancel: &GO_ON,
            random,
        };
        let first = training.first_centres(20).unwrap();
        let improved = training.improve(first.clone()).unwrap();
        // Plain rounds, which compare everything.
        let mut plain = first;
        for _ in 0..ROUNDS_MAX {
            let bounds: Vec<Bound> =
                (0..training.points).map(|n| training.nearest(&plain, training.point(n))).collect();
            plain = training.moved(&plain, &bounds);
        }
        let error = |centres: &[f32]| -> f64 {
            (0..training.points).map(|n| f64::from(training.nearest(centres, training.point(n)).own)).sum()
        };
        assert!(error(&improved) < 1.02 * error(&plain), "{} and {}", error(&improved), error(&plain));
    }
}
