//! A predicate that bounds a distance: `v <-> $1 < r`.
//!
//! The answer is complete whatever indexes there are: every vector that the rest of the predicate leaves is compared, where
//! it lies, without its row being read. That runs at the speed of memory, and rows are fetched for what is near enough only.
//! A graph could not promise as much: how many nodes are within a radius is not known before all have been met.
//!
//! Ranks decide, and where they are as near to the bound as they may be off, the distance that SQL shows.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use datafusion::physical_plan::PhysicalExpr;
use roaring::RoaringBitmap;

use crate::distance::{Element, Metric, Query};
use crate::functions::cells::{Cell, element_of};
use crate::functions::vector::{distance_function, metric_of_function};
use crate::index::flat;
use crate::table::Snapshot;
use crate::table::knn::query_vector;
use crate::table::predicate::evaluate;
use crate::table::provider::{TableSourceProvider, is_stable};

/// How far a rank may be from the distance SQL shows, by the greater of 1 and the bound: ranks are finished in f32, whose
/// unit is 6e-8, distances in f64, and both add the same terms.
const TOLERANCE: f64 = 1e-5;

/// `distance(column, query) < bound`, or `<=`.
pub struct Near {
    /// Position in the table.
    column: usize,
    metric: Metric,
    query: Arc<dyn PhysicalExpr>,
    bound: Arc<dyn PhysicalExpr>,
    /// Whether the bound itself is near enough.
    inclusive: bool,
}

impl Near {
    /// What an expression says, if it is of this kind and over a column whose vectors are in segments.
    pub fn of(expr: &Expr, provider: &TableSourceProvider, session: &dyn Session) -> Result<Option<Near>> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return Ok(None) };
        let (distance, bound, inclusive) = match op {
            Operator::Lt | Operator::LtEq => (left, right, *op == Operator::LtEq),
            Operator::Gt | Operator::GtEq => (right, left, *op == Operator::GtEq),
            _ => return Ok(None),
        };
        let Expr::ScalarFunction(call) = distance.as_ref() else { return Ok(None) };
        let Some(metric) = metric_of_function(call.func.name()) else { return Ok(None) };
        let [first, second] = call.args.as_slice() else { return Ok(None) };
        let is_constant = |expr: &Expr| expr.column_refs().is_empty() && is_stable(expr);
        let sides = [(first, second), (second, first)];
        let Some((subject, query)) = sides
            .into_iter()
            .find(|(subject, query)| matches!(subject, Expr::Column(_)) && is_constant(query))
        else {
            return Ok(None);
        };
        let Expr::Column(column) = subject else { return Ok(None) };
        let Ok(position) = provider.schema().index_of(&column.name) else { return Ok(None) };
        let Some(column) = provider.definition().columns.get(position) else { return Ok(None) };
        let Some((element, _)) = Element::of(&column.ty) else { return Ok(None) };
        let ty = |expr: &Expr| expr.get_type(&DFSchema::empty()).ok();
        let fits = Metric::of(element).contains(&metric)
            && distance_function(metric, element) == call.func.name()
            && ty(query).is_some_and(|ty| element_of(&ty).is_none_or(|found| found == element));
        if !fits || !is_constant(bound) {
            return Ok(None);
        }
        let physical = |expr: &Expr| session.create_physical_expr(expr.clone(), &DFSchema::empty());
        let (query, bound) = (physical(query)?, physical(bound)?);
        Ok(Some(Near { column: position, metric, query, bound, inclusive }))
    }

    /// Position of its column in the table.
    pub fn column(&self) -> usize {
        self.column
    }

    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// What it compares with.
    pub fn constants(&self) -> crate::error::Result<[ScalarValue; 2]> {
        Ok([evaluate(&self.query)?, evaluate(&self.bound)?])
    }

    /// Those of `slots`, none of which is dirty, that are near enough; `None` when rows have to tell, which they do with
    /// PostgreSQL's errors.
    pub fn answer(
        &self,
        snapshot: &Snapshot,
        slots: &RoaringBitmap,
        cancel: &AtomicBool,
    ) -> crate::error::Result<Option<RoaringBitmap>> {
        let Some(column) = snapshot.definition().columns.get(self.column) else { return Ok(None) };
        let view = snapshot.vector_view(column.number)?;
        snapshot.refuse_damaged(&view)?;
        let [query, bound] = self.constants()?;
        let bound = match bound {
            ScalarValue::Float64(Some(bound)) => bound,
            ScalarValue::Float64(None) | ScalarValue::Null => return Ok(Some(RoaringBitmap::new())),
            _ => return Ok(None),
        };
        let Some(query) = query_vector(&query, view.element())? else {
            return Ok(Some(RoaringBitmap::new()));
        };
        // Every number is less than NaN.
        if bound.is_nan() || query.vector().dimensions() != view.dimensions() {
            return Ok(None);
        }
        let query = Query::new(self.metric, Cell::vector(&query));
        let band = TOLERANCE * bound.abs().max(1.0);
        flat::select(&view, &query, slots, cancel, |slot, rank| {
            let distance = query.distance(rank);
            if distance < bound - band {
                return true;
            }
            if distance.is_nan() || distance > bound + band {
                return false;
            }
            let distance = query.distance_to(view.get(slot));
            distance < bound || self.inclusive && distance == bound
        })
        .map(Some)
    }
}
