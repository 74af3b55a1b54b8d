//! ORDER BY distance LIMIT k becomes a search.
//!
//! The rule runs on the optimised plan. It looks for
//!
//! ```text
//!   Sort [l2_distance(v, q), ...] fetch k            KnnScan (v, q, k, filters) -> ..., distance
//!     Projection / SubqueryAlias ...        =>         below the same projections, in which the distance is a column
//!       TableScan t [filters]
//! ```
//!
//! or the same with LIMIT $n above. The first sort key must be a distance, ascending, NULLs last, between a
//! `vector(n)`, `halfvec(n)` or `bit(n)` column (or an expression that an index is on: its values are in a hidden column)
//! and an expression without columns. Rows come out of the search in order, so the sort goes, unless
//! it has further keys: then the search also returns all rows as far as the last one, and the sort stays above it.
//! Any other shape keeps its exact plan.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{SubqueryAlias, TableScanBuilder};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, Sort, TableScan, lit};
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::catalog::Index;
use crate::distance::{Element, Metric};
use crate::functions::cells::element_of;
use crate::functions::vector::{distance_function, metric_of_function};
use crate::planner::keys::by_keys;

use crate::table::implied::implies;
use crate::table::knn::{DISTANCE_COLUMN, KnnProvider, Question};
use crate::table::predicate::unqualified;
use crate::table::provider::{TableSourceProvider, is_stable};

/// The plan with its searches. `config` is that of the optimiser which ran before.
pub fn rewrite(plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<LogicalPlan> {
    let rewritten = plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::Sort(sort) => match sort.fetch {
            Some(fetch) => Ok(match search(&sort, vec![lit(i64::try_from(fetch).unwrap_or(i64::MAX))])? {
                Some(plan) => Transformed::yes(plan),
                None => Transformed::no(LogicalPlan::Sort(sort)),
            }),
            None => Ok(Transformed::no(LogicalPlan::Sort(sort))),
        },
        LogicalPlan::Limit(mut limit) => {
            let Some(fetch) = limit.fetch.as_deref().cloned() else {
                return Ok(Transformed::no(LogicalPlan::Limit(limit)));
            };
            let counts = std::iter::once(fetch).chain(limit.skip.as_deref().cloned()).collect();
            match below_projections(&limit.input, counts)? {
                Some(input) => {
                    limit.input = Arc::new(input);
                    Ok(Transformed::yes(LogicalPlan::Limit(limit)))
                }
                None => Ok(Transformed::no(LogicalPlan::Limit(limit))),
            }
        }
        node => Ok(Transformed::no(node)),
    })?;
    let plan = by_keys(rewritten.data)?;
    if !rewritten.transformed {
        return Ok(plan);
    }
    // Vectors that only the sort needed are not read any more.
    Ok(OptimizeProjections::new().rewrite(plan, config)?.data)
}

/// A limit whose counts are not constants stands above the projections that stand above the sort.
fn below_projections(node: &LogicalPlan, counts: Vec<Expr>) -> Result<Option<LogicalPlan>> {
    match node {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => search(sort, counts),
        LogicalPlan::Projection(projection) => {
            let Some(input) = below_projections(&projection.input, counts)? else { return Ok(None) };
            let projection = Projection::try_new(projection.expr.clone(), Arc::new(input))?;
            Ok(Some(LogicalPlan::Projection(projection)))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(input) = below_projections(&alias.input, counts)? else { return Ok(None) };
            let alias = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
            Ok(Some(LogicalPlan::SubqueryAlias(alias)))
        }
        _ => Ok(None),
    }
}

/// The search that answers a sort, if one does.
fn search(sort: &Sort, limit: Vec<Expr>) -> Result<Option<LogicalPlan>> {
    let Some(key) = sort.expr.first().filter(|key| key.asc && !key.nulls_first) else { return Ok(None) };
    let Some((distance, scan)) = resolve(key.expr.clone().unalias(), &sort.input) else { return Ok(None) };
    let Some(table) = table_of(scan) else { return Ok(None) };
    let Some(Asked { column, subject, metric, query }) = question_of(&distance, table, &scan.filters) else {
        return Ok(None);
    };
    let with_ties = sort.expr.len() > 1;
    let element = element_at(table, column).unwrap_or(Element::F32);
    let function = distance_function(metric, element);
    let question = Question { column, subject, metric, function, query, limit, with_ties };
    let provider = KnnProvider::new(table.clone(), question);
    let Some(input) = rebuild(&sort.input, &distance, provider)? else { return Ok(None) };
    let input = without_distance(input, &sort.input)?;
    if !with_ties {
        return Ok(Some(input));
    }
    let sort = Sort { expr: sort.expr.clone(), input: Arc::new(input), fetch: sort.fetch };
    Ok(Some(LogicalPlan::Sort(sort)))
}

/// A select list of the table's columns as they are has no projection, and the distance would stay in the result.
fn without_distance(found: LogicalPlan, before: &LogicalPlan) -> Result<LogicalPlan> {
    if found.schema().fields().len() == before.schema().fields().len() {
        return Ok(found);
    }
    let columns = before.schema().columns().into_iter().map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(found))?))
}

/// An expression over the output of `node`, in terms of the scan below it.
fn resolve(expr: Expr, node: &LogicalPlan) -> Option<(Expr, &TableScan)> {
    match node {
        LogicalPlan::TableScan(scan) => Some((expr, scan)),
        LogicalPlan::Projection(projection) => {
            let column = |position: usize| Some(projection.expr.get(position)?.clone().unalias());
            resolve(substitute(expr, node, &column)?, &projection.input)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let column =
                |position: usize| Some(Expr::Column(alias.input.schema().columns().get(position)?.clone()));
            resolve(substitute(expr, node, &column)?, &alias.input)
        }
        _ => None,
    }
}

/// `expr` with each column of `node`'s output replaced by what makes it.
fn substitute(expr: Expr, node: &LogicalPlan, column: &dyn Fn(usize) -> Option<Expr>) -> Option<Expr> {
    let mut complete = true;
    let replaced = expr.transform_up(|expr| {
        let Expr::Column(name) = &expr else { return Ok(Transformed::no(expr)) };
        match node.schema().maybe_index_of_column(name).and_then(column) {
            Some(inner) => Ok(Transformed::yes(inner)),
            None => {
                complete = false;
                Ok(Transformed::no(expr))
            }
        }
    });
    replaced.ok().filter(|_| complete).map(|replaced| replaced.data)
}

/// The first output of a plan in terms of the scan it is over.
pub fn output_over_scan(plan: &LogicalPlan) -> Option<Expr> {
    let output = Expr::Column(plan.schema().columns().into_iter().next()?);
    resolve(output, plan).map(|(expr, _)| expr)
}

/// The filters of the scan that a plan is over, when nothing above it filters.
pub fn filters_of_scan(plan: &LogicalPlan) -> Option<Vec<Expr>> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan.filters.clone()),
        LogicalPlan::Projection(projection) => filters_of_scan(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => filters_of_scan(&alias.input),
        _ => None,
    }
}

fn table_of(scan: &TableScan) -> Option<&TableSourceProvider> {
    if scan.fetch.is_some() {
        return None;
    }
    let source = (scan.source.as_ref() as &dyn std::any::Any).downcast_ref::<DefaultTableSource>()?;
    source.table_provider.downcast_ref::<TableSourceProvider>()
}

/// What a distance asks for: the nearest of a column to a query vector.
struct Asked {
    /// Position in stored rows.
    column: usize,
    /// The column, or the expression that a hidden one holds.
    subject: Expr,
    metric: Metric,
    query: Expr,
}

fn question_of(distance: &Expr, table: &TableSourceProvider, filters: &[Expr]) -> Option<Asked> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = distance else { return None };
    let metric = metric_of_function(func.name())?;
    let [left, right] = args.as_slice() else { return None };
    let is_query = |expr: &Expr| expr.column_refs().is_empty() && is_stable(expr);
    let (subject, query) = match (is_query(left), is_query(right)) {
        (false, true) => (left, right),
        (true, false) => (right, left),
        _ => return None,
    };
    let column = column_of(subject, table, filters, metric)?;
    // A vector becomes a halfvec by itself; a halfvec beside a vector makes the column one, which no index is of.
    let element = element_at(table, column)?;
    let found = query.get_type(&DFSchema::empty()).ok().and_then(|ty| element_of(&ty));
    let fits = found.is_none_or(|found| found == element || found.number() < element.number());
    let asked = Asked { column, subject: subject.clone(), metric, query: query.clone() };
    (fits && Metric::of(element).contains(&metric)).then_some(asked)
}

/// The slot-addressed vector column that a distance is from: a column of the table, or a hidden one that holds the
/// expression, if the filters keep to the rows it is filled for.
fn column_of(subject: &Expr, table: &TableSourceProvider, filters: &[Expr], metric: Metric) -> Option<usize> {
    if let Expr::Column(Column { name, .. }) = subject {
        let columns = &table.definition().columns;
        return columns.iter().position(|column| column.name == *name && column.is_slot_vector());
    }
    let filters: Vec<Expr> = filters.iter().cloned().map(unqualified).collect();
    let conjuncts: Vec<&Expr> = filters.iter().flat_map(split_conjunction).collect();
    let guard = |position: usize| table.definition().stored_column(position)?.generated.as_ref()?.guard;
    let is_implied = |guard: u16| {
        let position = table.definition().position(guard);
        table
            .conditions()
            .any(|(column, condition)| Some(column) == position && implies(&conjuncts, condition))
    };
    let subject = unqualified(subject.clone());
    let found = table.columns_holding(&subject).filter(|position| element_at(table, *position).is_some());
    let found = found.filter(|position| is_searched(table, *position, metric));
    // One of fewer rows before one of all.
    found.filter(|position| guard(*position).is_none_or(is_implied)).min_by_key(|p| guard(*p).is_none())
}

/// Whether an index by the metric is on the column.
fn is_searched(table: &TableSourceProvider, position: usize, metric: Metric) -> bool {
    let Some(column) = table.definition().stored_column(position) else { return false };
    let by_metric = |index: &Index| index.vector_metric() == Some(metric.into());
    let mut indexes = table.catalog().indexes_of(table.definition().oid);
    indexes.any(|index| index.columns == [column.number] && by_metric(index))
}

fn element_at(table: &TableSourceProvider, position: usize) -> Option<Element> {
    Element::of(&table.definition().stored_column(position)?.ty).map(|(element, _)| element)
}

/// The nodes below the sort, over the search instead of the scan.
fn rebuild(node: &LogicalPlan, distance: &Expr, provider: KnnProvider) -> Result<Option<LogicalPlan>> {
    match node {
        LogicalPlan::TableScan(scan) => search_scan(scan, provider).map(Some),
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(input) = rebuild(&alias.input, distance, provider)? else { return Ok(None) };
            let alias = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
            Ok(Some(LogicalPlan::SubqueryAlias(alias)))
        }
        LogicalPlan::Projection(projection) => {
            let Some(input) = rebuild(&projection.input, distance, provider)? else { return Ok(None) };
            let found = input.schema().iter().find(|(_, field)| field.name() == DISTANCE_COLUMN);
            let column = found.map(|(qualifier, field)| Expr::Column((qualifier, field).into()));
            let reuse = |expr: &Expr| match &column {
                Some(column) => reuse_distance(expr.clone(), &projection.input, distance, column),
                None => Ok(expr.clone()),
            };
            let exprs = projection.expr.iter().map(reuse).collect::<Result<_>>()?;
            Ok(Some(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?)))
        }
        _ => Ok(None),
    }
}

fn search_scan(scan: &TableScan, provider: KnnProvider) -> Result<LogicalPlan> {
    use datafusion::catalog::TableProvider;
    let distance = provider.schema().fields().len() - 1;
    let mut projection = scan.projection.clone().unwrap_or_else(|| (0..distance).collect());
    projection.push(distance);
    let source = provider_as_source(Arc::new(provider));
    let scan = TableScanBuilder::new(scan.table_name.clone(), source)
        .with_projection(Some(projection))
        .with_filters(scan.filters.clone())
        .build()?;
    Ok(LogicalPlan::TableScan(scan))
}

/// The distance is computed by the search, and not again by the select list.
fn reuse_distance(expr: Expr, input: &LogicalPlan, distance: &Expr, column: &Expr) -> Result<Expr> {
    let name = NamePreserver::new_for_projection().save(&expr);
    let reused = expr.transform_down(|expr| {
        let same = matches!(expr, Expr::ScalarFunction(_))
            && resolve(expr.clone(), input).is_some_and(|(resolved, _)| resolved == *distance);
        Ok(if same { Transformed::yes(column.clone()) } else { Transformed::no(expr) })
    })?;
    Ok(name.restore(reused.data))
}
