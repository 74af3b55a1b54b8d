//! Subqueries in ON CONFLICT DO UPDATE.
//!
//! SET and WHERE without subqueries are evaluated on rows. With some they are a query over two tables that hold the rows
//! at hand, those that exist beside those that were proposed:
//!
//! ```text
//!   INSERT INTO t ... ON CONFLICT (id) DO UPDATE SET n = (SELECT u.n FROM u WHERE u.id = excluded.id) WHERE t.n < 5
//!   SELECT (SELECT u.n FROM u WHERE u.id = excluded.id), t.number
//!   FROM "existing rows" AS t JOIN "proposed rows" AS excluded ON t.number = excluded.number WHERE t.n < 5
//! ```
//!
//! The statement is one in parts, with no part before it or those of its WITH that the subqueries read, so its subqueries
//! look at the snapshot from before it ([`crate::sql::staged`]).

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, SelectItem, SetExpr,
};
use futures::StreamExt;

use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::sql::context::PlanContext;
use crate::sql::dml::change::check_outputs;
use crate::sql::expressions;
use crate::sql::query::{self, Query};
use crate::sql::rewrite::has_subquery;
use crate::sql::session::Session;
use crate::sql::staged::StagedTable;
use crate::sql::trees::{alias_of, query_from, relation};
use crate::table::provider::SLOT_COLUMN;
use crate::types::arrow::{field, value_at};
use crate::types::{Type, Value};

/// Names of the tables that hold the rows; not to be written without quotes.
const EXISTING: &str = "existing rows";
const PROPOSED: &str = "proposed rows";

/// SET and WHERE as a query.
pub struct PairsQuery {
    query: Arc<Query>,
    /// Of both tables: the columns, and the number of the pair.
    schema: SchemaRef,
    /// Of what SET computes.
    outputs: Vec<Type>,
}

/// What DO UPDATE computes.
pub struct Computed<'a> {
    pub expressions: &'a [Expr],
    /// The columns that the expressions go to.
    pub columns: &'a [usize],
    pub condition: Option<&'a Expr>,
}

impl Computed<'_> {
    pub fn has_subquery(&self) -> bool {
        self.expressions.iter().chain(self.condition).any(has_subquery)
    }
}

/// Whether SET or WHERE of an INSERT's DO UPDATE have a subquery.
pub fn has_subqueries(insert: &ast::Insert) -> bool {
    expressions(insert).any(has_subquery)
}

/// What SET and WHERE of DO UPDATE compute, where an INSERT has it.
pub fn expressions(insert: &ast::Insert) -> impl Iterator<Item = &Expr> {
    let update = match &insert.on {
        Some(ast::OnInsert::OnConflict(ast::OnConflict {
            action: ast::OnConflictAction::DoUpdate(update),
            ..
        })) => Some(update),
        _ => None,
    };
    update
        .into_iter()
        .flat_map(|update| update.assignments.iter().map(|set| &set.value).chain(&update.selection))
}

impl PairsQuery {
    pub fn new(
        computed: &Computed,
        table: &Arc<Table>,
        alias: &str,
        context: &PlanContext,
    ) -> Result<PairsQuery> {
        let columns = table.columns.iter().map(|column| field(column.name.clone(), &column.ty, true));
        let number = field(SLOT_COLUMN, &Type::Oid, true);
        let schema: SchemaRef = Arc::new(Schema::new(columns.chain([number]).collect::<Vec<Field>>()));
        let first = context.staged.len();
        let rows = [EXISTING, PROPOSED].into_iter().enumerate();
        let rows = rows.map(|(n, name)| Arc::new(StagedTable::of_rows(name, first + n, schema.clone())));
        let staged: Vec<Arc<StagedTable>> = context.staged.iter().cloned().chain(rows).collect();
        let context = PlanContext { staged: &staged, ..*context };
        let select = over_pairs(computed, alias);
        check_outputs(&select, computed.columns, table, &context)?;
        let outputs: Vec<Type> =
            computed.columns.iter().map(|&column| table.columns[column].ty.clone()).collect();
        let query = Arc::new(query::plan_for(&select, &context, &outputs)?);
        Ok(PairsQuery { query, schema, outputs })
    }

    pub fn query(&self) -> &Arc<Query> {
        &self.query
    }
}

/// The query; the number of the pair is its last output.
fn over_pairs(computed: &Computed, alias: &str) -> ast::Query {
    let quoted = |name: &str| Ident::with_quote('"', name);
    let rows = |name: &str, shown: &str| {
        relation(ObjectName::from(vec![quoted(name)]), Some(alias_of(quoted(shown))), None)
    };
    let number = |shown: &str| Expr::CompoundIdentifier(vec![quoted(shown), quoted(SLOT_COLUMN)]);
    let excluded = "excluded";
    let mut items = expressions::items(computed.expressions.iter().cloned());
    items.push(SelectItem::UnnamedExpr(number(alias)));
    let mut query = query_from(items, rows(EXISTING, alias));
    if let SetExpr::Select(select) = query.body.as_mut() {
        let same = Expr::BinaryOp {
            left: Box::new(number(alias)),
            op: BinaryOperator::Eq,
            right: Box::new(number(excluded)),
        };
        let join = Join {
            relation: rows(PROPOSED, excluded),
            global: false,
            join_operator: JoinOperator::Inner(JoinConstraint::On(same)),
        };
        select.from[0].joins.push(join);
        select.selection = computed.condition.cloned();
    }
    query
}

impl Session {
    /// What SET computes of each pair of an existing row and a proposed one; `None` for pairs that WHERE does not let
    /// pass.
    pub(super) async fn compute_pairs(
        &self,
        pairs: &PairsQuery,
        rows: &[[&[Value]; 2]],
        params: &[Value],
    ) -> Result<Vec<Option<Vec<Value>>>> {
        let width = pairs.schema.fields().len() - 1;
        let table = |side: usize| -> Result<RecordBatch> {
            let numbered = rows.iter().zip(0..).map(|(pair, number)| {
                pair[side][..width].iter().cloned().chain([Value::Oid(number)]).collect()
            });
            expressions::batch(&pairs.schema, &numbered.collect::<Vec<Vec<Value>>>())
        };
        let mut stream = self.query_stream_with(&pairs.query, params, [table(0)?, table(1)?]).await?;
        let mut computed: Vec<Option<Vec<Value>>> = vec![None; rows.len()];
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                let outputs = pairs.outputs.iter().enumerate();
                let outputs = outputs.map(|(n, ty)| value_at(batch.column(n), row, ty));
                let outputs = outputs.collect::<Result<Vec<Value>>>()?;
                let Value::Oid(number) = value_at(batch.column(pairs.outputs.len()), row, &Type::Oid)? else {
                    return Err(Error::internal("a pair of rows without its number"));
                };
                computed[number as usize] = Some(outputs);
            }
        }
        Ok(computed)
    }
}
