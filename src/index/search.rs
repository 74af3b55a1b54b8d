//! One question, one answer: the nearest allowed rows, from the graph or lists and from everything beside them.
//!
//! 1. Count what is allowed, price the strategies, take the cheapest (or the one asked for).
//! 2. Exact: compare every allowed vector, or its code of bytes and the few vectors that those leave open. Done.
//! 3. Otherwise search the graph or the lists with the filter, compare the allowed rows that are not in it (the tail, and
//!    rows the snapshot sees differently), and merge.
//! 4. Short of min(k, allowed) rows, or over the work bound: compare every allowed vector after all.
//!
//! Vectors that nobody has looked at since they were opened are verified on the way (`vectors/view.rs`). A graph of which
//! a page could not be read is passed over, also when that turns out on the walk: comparing everything needs none.
//! So a filter never costs rows, and a graph can make an answer faster but not shorter.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use roaring::RoaringBitmap;

use super::bounded;
use super::finder::Finder;
use super::flat;
use super::found::{Counters, Found, Hit, key};
use super::hnsw::{Coded, Expansion, Graph, Scratch};
use super::ivf::Probes;
use super::quantizer::{Bounds, Coder};
use super::rows::Rows;
use super::source::Vectors;
use super::strategy::{
    Costs, Shape, Situation, Strategy, candidates, costs, has_worth_through_codes, of_codes,
};
use super::tiles;
use crate::distance::{Metric, Query};
use crate::error::{Error, Result, SqlState};

/// The nearest `k` of `rows`.
pub struct Request<'a, V> {
    pub vectors: &'a V,
    pub query: Query<'a>,
    /// The rows that may be returned, exactly.
    pub rows: Rows<'a>,
    /// A graph or lists; used when they were built for the query's metric.
    pub finder: Option<&'a Finder>,
    /// Rows with a vector that may be missing from the finder; more than those does no harm. Taken before it gets newer
    /// nodes.
    pub tail: &'a RoaringBitmap,
    pub k: usize,
    /// Candidates of a graph search; raised to `k`.
    pub ef: usize,
    /// Vectors that a filtered walk compares at most before everything allowed is compared; hnsw.max_scan_tuples.
    pub distances_max: u64,
    /// Lists that are looked into.
    pub probes: Probes,
    /// Asks for a strategy; one that cannot be used leaves the choice to the costs.
    pub strategy: Option<Strategy>,
    pub cancel: &'a AtomicBool,
}

thread_local! {
    /// Searches on a thread take turns, so one scratch is enough; a search that finds none makes a new one.
    static SCRATCH: Cell<Option<Scratch>> = const { Cell::new(None) };
}

/// Answers with exactly min(k, allowed) hits. A damaged vector of an allowed row is an error (XX001) where it is known or
/// the search has met it, and so is one that could not be read (58030).
pub fn search<V: Vectors>(request: &Request<V>) -> Result<Found> {
    check_dimensions(request, &request.query)?;
    request.vectors.refuse_damaged(|slot| request.rows.contains(slot))?;
    let found = nearest(request)?;
    request.vectors.refuse_damaged(|slot| request.rows.contains(slot))?;
    Ok(found)
}

/// What [`search`] finds by [`Strategy::Exact`] for each of many queries, which are compared together. They take the place of
/// the request's own.
pub fn exactly<V: Vectors>(request: &Request<V>, queries: &[Query]) -> Result<Vec<Vec<Hit>>> {
    queries.iter().try_for_each(|query| check_dimensions(request, query))?;
    request.vectors.refuse_damaged(|slot| request.rows.contains(slot))?;
    let rows = request.rows.to_bitmap();
    let found = tiles::search(request.vectors, queries, &rows, request.k, request.cancel)?;
    request.vectors.refuse_damaged(|slot| request.rows.contains(slot))?;
    Ok(found)
}

fn nearest<V: Vectors>(request: &Request<V>) -> Result<Found> {
    let is_usable =
        |finder: &&Finder| finder.metric() == request.query.metric() && finder.refuse_unread().is_ok();
    let finder = request.finder.filter(is_usable);
    let nodes = finder.map(Finder::nodes).unwrap_or_default();
    let outside = outside(request, &nodes);
    let situation = situation(request, finder, nodes.len(), outside.len());
    let costs = costs(&situation);
    let strategy = choose(request, &costs);
    let (Some(finder), true) = (finder, strategy != Strategy::Exact) else {
        return exact(request, finder, costs, Counters::default(), None);
    };
    let mut counters = Counters::default();
    // Who asks for a walk gets it even where comparing everything is cheaper.
    let work_max = match request.strategy {
        Some(asked) if asked == strategy => request.distances_max,
        _ => {
            let as_dear = costs.get(Strategy::Exact) / of_codes(finder.quantization());
            request.distances_max.min(as_dear as u64 + 1)
        }
    };
    let mut hits = match finder {
        Finder::Graph(graph) => match by_graph(request, graph, strategy, work_max, &mut counters) {
            Some(hits) => hits,
            None => return exact(request, Some(finder), costs, counters, Some(strategy)),
        },
        Finder::Lists(lists) => {
            let (vectors, rows) = (request.vectors, request.rows);
            let (hits, work) =
                lists.search(vectors, &request.query, rows, request.k, request.probes, request.cancel)?;
            counters += work;
            hits
        }
    };
    if finder.refuse_unread().is_err() {
        return exact(request, None, costs, counters, Some(strategy));
    }
    // The indexer may be linking some of these; the walk met them then, and they are compared here too.
    hits.retain(|hit| !outside.contains(hit.slot));
    add_outside(request, &outside, &mut hits, &mut counters)?;
    let wanted = situation.allowed.min(request.k as u64);
    if (hits.len() as u64) < wanted || hits.last().is_some_and(|hit| hit.rank.is_nan()) {
        return exact(request, Some(finder), costs, counters, Some(strategy));
    }
    Ok(Found { hits, strategy, fell_from: None, exact: false, counters, costs })
}

/// pgvector's refusal of vectors that cannot be compared.
fn check_dimensions<V: Vectors>(request: &Request<V>, query: &Query) -> Result<()> {
    let (left, right) = (request.vectors.dimensions(), query.vector().dimensions());
    if left == right {
        return Ok(());
    }
    Err(Error::new(SqlState::DATA_EXCEPTION, format!("different vector dimensions {left} and {right}")))
}

/// Allowed rows that no graph search finds: the tail, and rows only this snapshot sees.
fn outside<V>(request: &Request<V>, nodes: &RoaringBitmap) -> RoaringBitmap {
    let mut outside = request.rows.among(request.tail);
    outside |= request.rows.visible();
    outside -= nodes;
    outside
}

/// What a request's strategies would cost, and the one it would begin with.
pub fn outlook<V>(request: &Request<V>) -> (Costs, Strategy) {
    let finder = request.finder.filter(|finder| finder.metric() == request.query.metric());
    let nodes = finder.map(Finder::nodes).unwrap_or_default();
    let costs = costs(&situation(request, finder, nodes.len(), outside(request, &nodes).len()));
    (costs, choose(request, &costs))
}

fn situation<V>(request: &Request<V>, finder: Option<&Finder>, nodes: u64, outside: u64) -> Situation {
    Situation {
        allowed: request.rows.len(),
        nodes,
        outside,
        k: request.k,
        ef: request.ef,
        shape: finder.map_or(Shape::Nothing, |finder| Shape::of(finder, request.probes)),
        dimensions: request.query.work(),
        distances_max: request.distances_max,
    }
}

fn choose<V>(request: &Request<V>, costs: &Costs) -> Strategy {
    let usable = |strategy: &Strategy| costs.get(*strategy).is_finite();
    request.strategy.filter(usable).unwrap_or_else(|| costs.choice())
}

/// `finder` is one that can be read.
fn exact<V: Vectors>(
    request: &Request<V>,
    finder: Option<&Finder>,
    costs: Costs,
    mut counters: Counters,
    fell_from: Option<Strategy>,
) -> Result<Found> {
    let rows = request.rows.to_bitmap();
    let through_codes = match finder {
        Some(Finder::Graph(graph)) => exact_through_codes(request, graph, &rows)?,
        _ => None,
    };
    let (hits, work) = match through_codes {
        Some(found) => found,
        None => flat::search(request.vectors, &request.query, &rows, request.k, request.cancel)?,
    };
    counters += work;
    Ok(Found { hits, strategy: Strategy::Exact, fell_from, exact: true, counters, costs })
}

/// Nothing where that is not possible, or not worth it.
fn exact_through_codes<V: Vectors>(
    request: &Request<V>,
    graph: &Graph,
    rows: &RoaringBitmap,
) -> Result<Option<(Vec<Hit>, Counters)>> {
    // Vectors are read from the disk in runs, codes page by page.
    let is_on_disk = request.vectors.is_scarce() && graph.fitted().is_some();
    if is_on_disk || !has_worth_through_codes(rows.len(), request.k) {
        return Ok(None);
    }
    let Some(coded) = graph.coded(request.vectors) else { return Ok(None) };
    let Some(query) = coded.coder().bounded_query(request.query.vector()) else { return Ok(None) };
    let nodes = graph.nodes();
    let (mut hits, mut counters) = bounded::search(request, &coded, &query, &(rows & &*nodes))?;
    // A page of codes that cannot be read is zeros from then on.
    if graph.refuse_unread().is_err() {
        return Ok(None);
    }
    add_outside(request, &(rows - &*nodes), &mut hits, &mut counters)?;
    Ok(Some((hits, counters)))
}

/// Compares rows outside of what the hits are from, and keeps the `k` nearest of all.
fn add_outside<V: Vectors>(
    request: &Request<V>,
    outside: &RoaringBitmap,
    hits: &mut Vec<Hit>,
    counters: &mut Counters,
) -> Result<()> {
    let (others, work) = flat::search(request.vectors, &request.query, outside, request.k, request.cancel)?;
    *counters += work;
    counters.tail += work.distances;
    hits.extend(others);
    hits.sort_unstable_by_key(|hit| hit.key());
    hits.truncate(request.k);
    Ok(())
}

/// Allowed nodes near the query; fewer than `ef` when the graph had no more to offer, `None` when the walk turned out to
/// cost more than comparing everything. A quantised graph is walked through its codes, and what the walk ends with is
/// ranked by the vectors.
fn by_graph<V: Vectors>(
    request: &Request<V>,
    graph: &Graph,
    strategy: Strategy,
    work_max: u64,
    counters: &mut Counters,
) -> Option<Vec<Hit>> {
    let Some(coded) = graph.coded(request.vectors) else {
        let ef = request.ef.max(request.k);
        return walk(request, graph, (request.vectors, &request.query), strategy, (ef, work_max), counters);
    };
    let quantization = coded.coder().quantization;
    let mut ef = quantization.candidates(request.ef.max(request.k));
    let (code, bounds) = match coded.coder().bounded_query(request.query.vector()) {
        Some((code, bounds)) => (code, Some(bounds)),
        None => (coded.query(request.query.vector()), None),
    };
    let query = coded.coder().ask_encoded(&code);
    let most = ef.saturating_mul(BOUNDED_WIDENING_MAX);
    // Ranks by vectors are off too: a cosine distance is what is left of one.
    let rounding = if request.query.metric() == Metric::Cosine { f32::EPSILON } else { 0.0 };
    loop {
        let mut hits = walk(request, graph, (&coded, &query), strategy, (ef, work_max), counters)?;
        if quantization.builds() {
            let was_full = hits.len() >= ef - ef / 8;
            let mut compared = Vec::new();
            if let Some(bounds) = &bounds {
                let edge = if was_full { edge(&coded, bounds, &hits) } else { None };
                let ranked = rescore_certainly(request, &coded, bounds, &mut hits, &mut compared);
                counters.rescored += compared.len() as u64;
                let is_beyond = |edge: f32| ranked.last().is_some_and(|last| edge > last.rank);
                if !was_full || edge.is_some_and(is_beyond) {
                    return Some(ranked);
                }
            }
            let by_codes: Vec<Hit> = hits.clone();
            hits.iter_mut().zip(&compared).for_each(|(hit, &rank)| hit.rank = rank);
            rescore(request, &mut hits[compared.len()..]);
            counters.rescored += (hits.len() - compared.len()) as u64;
            let coder = coded.coder();
            if was_full && ef < most && is_blurred(&by_codes, &hits, request.k, coder) {
                ef *= BOUNDED_WIDENING;
                continue;
            }
            hits.sort_unstable_by_key(|hit| hit.key());
            return Some(hits);
        }
        let (edge, was_full) = (hits.last().copied(), hits.len() >= ef - ef / 8);
        let deviation = |slot| coded.deviation(&code, slot) + rounding;
        let ranked = rescore_within_bounds(request, deviation, hits, counters);
        // What was dropped is estimated beyond the edge; how likely is it that some of it is nearer than the k-th?
        let is_clear = |edge: Hit| {
            let margin = quantization.edge() * deviation(edge.slot);
            ranked.last().is_none_or(|last| edge.rank >= last.rank + margin)
        };
        if !was_full || ef >= most || edge.is_none_or(is_clear) {
            return Some(ranked);
        }
        ef *= BOUNDED_WIDENING;
    }
}

/// When the edge is nearer than `Quantization::edge` says, as where vectors have few dimensions or are many at one distance,
/// so many times more candidates are kept, and in all so many.
const BOUNDED_WIDENING: usize = 4;
const BOUNDED_WIDENING_MAX: usize = 16;

/// Ranks by their vectors the candidates that can be among the `k` best, going by the bounds of their estimates: nearest
/// bound first, until no bound is nearer than the k-th best so far; `deviation` is that of a slot's estimate. So the number
/// compared follows the errors of the codes and how close together the candidates are, not a fixed factor.
fn rescore_within_bounds<V: Vectors>(
    request: &Request<V>,
    deviation: impl Fn(u32) -> f32,
    mut hits: Vec<Hit>,
    counters: &mut Counters,
) -> Vec<Hit> {
    /// Standard deviations of an estimate that are allowed for, those of the paper. With 1 a query in thirty lost a row by
    /// it (minilm, recall at ef 200 0.958 instead of 0.987), for a tenth less work.
    const EPSILON: f32 = 1.9;
    hits.iter_mut().for_each(|hit| hit.rank -= EPSILON * deviation(hit.slot));
    hits.sort_unstable_by_key(|hit| hit.key());
    rescore_from(request, &hits, counters)
}

/// The least rank that a row may have whose code is as far as the last of the hits, and whose error is no greater than the
/// greatest among theirs. A row that the walk met and left out has such a code; where its error is greater, as of a row far
/// outside of all others, nothing is said about it.
fn edge<V: Vectors>(coded: &Coded<V>, bounds: &Bounds, hits: &[Hit]) -> Option<f32> {
    let (mut first, mut step) = (0.0_f32, 0.0_f32);
    for hit in hits {
        first = first.max(coded.norm(hit.slot).abs());
        step = step.max(coded.step(hit.slot));
    }
    hits.last().map(|last| bounds.of(last.rank, first, step).0)
}

/// The `k` nearest of the hits by their vectors. Those are compared that can be among them, as the certain bounds of codes of
/// bytes tell: the first of the hits, which are in the order of their least ranks afterwards, and `compared` has their ranks.
fn rescore_certainly<V: Vectors>(
    request: &Request<V>,
    coded: &Coded<V>,
    bounds: &Bounds,
    hits: &mut [Hit],
    compared: &mut Vec<f32>,
) -> Vec<Hit> {
    let least = |hit: &Hit| bounds.of(hit.rank, coded.norm(hit.slot), coded.step(hit.slot)).0;
    let mut by_least: Vec<(Hit, Hit)> =
        hits.iter().map(|hit| (Hit { rank: least(hit), slot: hit.slot }, *hit)).collect();
    by_least.sort_unstable_by_key(|(least, _)| least.key());
    hits.iter_mut().zip(&by_least).for_each(|(hit, (_, by_code))| *hit = *by_code);
    let by_least: Vec<Hit> = by_least.into_iter().map(|(least, _)| least).collect();
    rescore_noting(request, &by_least, |rank| compared.push(rank))
}

/// The `k` nearest of rows that have the least rank that each may have, in their order.
pub(super) fn rescore_from<V: Vectors>(
    request: &Request<V>,
    hits: &[Hit],
    counters: &mut Counters,
) -> Vec<Hit> {
    rescore_noting(request, hits, |_| counters.rescored += 1)
}

/// The same; `note` has the rank of each row that was compared, in their order.
fn rescore_noting<V: Vectors>(request: &Request<V>, hits: &[Hit], mut note: impl FnMut(f32)) -> Vec<Hit> {
    const AHEAD: usize = 4;
    hits.iter().take(AHEAD).for_each(|hit| request.vectors.prefetch(hit.slot));
    let mut nearest = flat::Nearest::new(request.k);
    for (position, hit) in hits.iter().enumerate() {
        if key(hit.rank, 0) > nearest.bound() {
            break;
        }
        if let Some(next) = hits.get(position + AHEAD) {
            request.vectors.prefetch(next.slot);
        }
        let rank = flat::rank(request.vectors, &request.query, hit.slot);
        note(rank);
        nearest.offer(rank, hit.slot);
    }
    nearest.into_sorted()
}

/// One walk, through vectors or what stands for them; `None` when it gave up.
fn walk<V, W: Vectors>(
    request: &Request<V>,
    graph: &Graph,
    (vectors, query): (&W, &Query),
    strategy: Strategy,
    (ef, work_max): (usize, u64),
    counters: &mut Counters,
) -> Option<Vec<Hit>> {
    let mut scratch = SCRATCH.take().unwrap_or_default();
    let ef = candidates(strategy, ef);
    let rows = request.rows;
    let expansion = match strategy {
        Strategy::FilteredGraph => Some(Expansion::TwoHop),
        Strategy::TestedGraph => Some(Expansion::OneHop),
        Strategy::Graph | Strategy::Lists | Strategy::Exact => None,
    };
    let hits = match expansion {
        None => {
            let (mut hits, work) = graph.search(vectors, query, ef, &mut scratch);
            *counters += work;
            hits.retain(|hit| rows.contains(hit.slot));
            Some(hits)
        }
        Some(expansion) => {
            let filter = |slot| rows.contains(slot);
            let mut traversal =
                graph.traverse(vectors, *query, filter, expansion, ef, work_max, &mut scratch);
            let hits = traversal.next_batch();
            let hits = (!traversal.gave_up()).then_some(hits);
            *counters += traversal.finish(&mut scratch);
            hits
        }
    };
    SCRATCH.set(Some(scratch));
    hits
}

/// Ranks hits by their vectors, of which the next ones are loading while one is compared.
fn rescore<V: Vectors>(request: &Request<V>, hits: &mut [Hit]) {
    const AHEAD: usize = 4;
    let slots: Vec<u32> = hits.iter().map(|hit| hit.slot).collect();
    slots.iter().take(AHEAD).for_each(|&slot| request.vectors.prefetch(slot));
    for (position, hit) in hits.iter_mut().enumerate() {
        if let Some(&next) = slots.get(position + AHEAD) {
            request.vectors.prefetch(next);
        }
        hit.rank = request.query.rank(request.vectors.get(hit.slot), request.vectors.norm(hit.slot));
    }
}

/// Whether codes do not tell the candidates apart, and rows beyond the last of them may belong to the `k` nearest: as in a
/// heap of rows that differ by less than a step of their codes. `hits` are the same ones in the same order, whichever that
/// is, ranked by their vectors.
///
/// The errors of the codes are seen by it: what the ranks of the two differ by, more for some than for others.
fn is_blurred(by_codes: &[Hit], hits: &[Hit], k: usize, coder: &Coder) -> bool {
    /// Errors that are smaller than such a part of what the candidates span cost fewer rows than a walk does.
    const SHARP: f64 = 1.0 / 16.0;
    let by_code = |hit: &Hit| f64::from(hit.rank) / f64::from(coder.magnification());
    let nearest = by_codes.iter().min_by_key(|hit| hit.key());
    let farthest = by_codes.iter().max_by_key(|hit| hit.key());
    let (Some(first), Some(last), true) = (nearest, farthest, k > 0) else { return false };
    let mut differences = by_codes.iter().zip(hits).map(|(code, hit)| f64::from(hit.rank) - by_code(code));
    // From the first one, so that equal differences have no deviation at all.
    let base = differences.next().unwrap_or(0.0);
    let (sum, squares) = differences.fold((0.0, 0.0), |(sum, squares), difference| {
        (sum + (difference - base), squares + (difference - base).powi(2))
    });
    let n = hits.len() as f64;
    let deviation = (squares / n - (sum / n).powi(2)).max(0.0).sqrt();
    let span = by_code(last) - by_code(first);
    if deviation <= SHARP * span || deviation == 0.0 {
        return false;
    }
    let mut ranks: Vec<f32> = hits.iter().map(|hit| hit.rank).collect();
    let place = k.min(ranks.len()) - 1;
    let worst = f64::from(*ranks.select_nth_unstable_by(place, f32::total_cmp).1);
    by_code(last) + base + sum / n < worst + f64::from(coder.quantization.edge()) * deviation
}
