//! Unnested arrays beside the rows they come from: `FROM documents, unnest(tags) AS tag`.
//!
//! ```text
//!   Join                                             Projection documents.*, u AS tag
//!     TableScan documents                              Unnest u
//!     SubqueryAlias tag                      ->          Projection documents.*, tags AS u
//!       Unnest                                             TableScan documents
//!         Projection outer_ref(documents.tags)
//! ```
//!
//! The planner has no join for a side that reads the other one's columns. A side that is made of one row by projections,
//! unnesting and filters is built again upon the other side, whose columns are carried along. A LEFT JOIN keeps the rows
//! whose arrays are empty, where nothing but names stands above the unnesting.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{
    Column, JoinType, NullHandling, RecursionUnnestOption, Result, ScalarValue, UnnestOptions,
};
use datafusion::logical_expr::{EmptyRelation, Expr, Filter, LogicalPlan, Projection, Unnest};

/// The plan with unnested arrays of rows in their places.
pub fn unnest(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut made = 0;
    let unnested = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Join(join) = &node else { return Ok(Transformed::no(node)) };
        let keeps = match join.join_type {
            JoinType::Inner => false,
            JoinType::Left if join.filter.as_ref().is_none_or(is_true) => true,
            _ => return Ok(Transformed::no(node)),
        };
        if !join.on.is_empty() || !reads_outside(&join.right)? {
            return Ok(Transformed::no(node));
        }
        made += 1;
        let builder = Builder { left: &join.left, keeps, tag: format!("__lateral_{made}"), steps: 0.into() };
        let Some((input, columns)) = builder.upon(&join.right)? else { return Ok(Transformed::no(node)) };
        let right =
            columns.into_iter().zip(join.right.schema().iter()).map(|(column, (qualifier, field))| {
                Expr::Column(column).alias_qualified(qualifier.cloned(), field.name())
            });
        let expressions = builder.carried().chain(right).collect();
        let joined = LogicalPlan::Projection(Projection::try_new(expressions, Arc::new(input))?);
        Ok(Transformed::yes(match &join.filter {
            Some(condition) if !keeps => {
                LogicalPlan::Filter(Filter::try_new(condition.clone(), Arc::new(joined))?)
            }
            _ => joined,
        }))
    })?;
    if made == 0 {
        return Ok(unnested.data);
    }
    // Types of literals may have become narrower since the nodes above were planned.
    let renewed = unnested.data.transform_up_with_subqueries(|node| {
        Ok(match node {
            // Their schemas are not those of their inputs.
            LogicalPlan::Values(_) | LogicalPlan::Union(_) | LogicalPlan::RecursiveQuery(_) => {
                Transformed::no(node)
            }
            node => Transformed::yes(node.recompute_schema()?),
        })
    })?;
    Ok(renewed.data)
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

/// Whether columns of the other side are read, by something that unnests.
fn reads_outside(plan: &LogicalPlan) -> Result<bool> {
    let mut unnests = false;
    let mut reads = false;
    plan.apply(|node| {
        unnests |= matches!(node, LogicalPlan::Unnest(_));
        for expr in node.expressions() {
            reads |= expr.exists(|expr| Ok(matches!(expr, Expr::OuterReferenceColumn(..))))?;
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(unnests && reads)
}

/// Builds one side of a join upon the other.
struct Builder<'a> {
    left: &'a Arc<LogicalPlan>,
    /// Rows without elements stay.
    keeps: bool,
    /// Qualifies what is made, so that no column of the left side is called the same.
    tag: String,
    steps: std::cell::Cell<usize>,
}

/// A plan of the left side's columns and those of a node, and where the latter are.
type Upon = Option<(LogicalPlan, Vec<Column>)>;

impl Builder<'_> {
    fn upon(&self, node: &LogicalPlan) -> Result<Upon> {
        match node {
            LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. }) => {
                Ok(Some((self.left.as_ref().clone(), Vec::new())))
            }
            LogicalPlan::SubqueryAlias(alias) => self.upon(&alias.input),
            LogicalPlan::Subquery(subquery) => self.upon(&subquery.subquery),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::Filter(filter) if !self.keeps => {
                let Some((input, columns)) = self.upon(&filter.input)? else { return Ok(None) };
                let Some(predicate) = self.expression(&filter.predicate, &filter.input, &columns)? else {
                    return Ok(None);
                };
                Ok(Some((LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?), columns)))
            }
            _ => Ok(None),
        }
    }

    /// The left side's columns as they are.
    fn carried(&self) -> impl Iterator<Item = Expr> {
        self.left.schema().columns().into_iter().map(Expr::Column)
    }

    /// A name nothing else has.
    fn fresh(&self) -> Column {
        self.steps.set(self.steps.get() + 1);
        Column::new(Some(self.tag.clone()), format!("{}_{}", self.tag, self.steps.get()))
    }

    fn projection(&self, projection: &Projection) -> Result<Upon> {
        let Some((input, columns)) = self.upon(&projection.input)? else { return Ok(None) };
        let above = has_unnest(&projection.input)?;
        let mut expressions = Vec::with_capacity(projection.expr.len());
        for expr in &projection.expr {
            if self.keeps && above && !matches!(expr.clone().unalias(), Expr::Column(_)) {
                return Ok(None);
            }
            match self.expression(expr, &projection.input, &columns)? {
                Some(expr) => expressions.push(expr),
                None => return Ok(None),
            }
        }
        self.named(input, expressions).map(Some)
    }

    /// The left side's columns and expressions under new names.
    fn named(&self, input: LogicalPlan, expressions: Vec<Expr>) -> Result<(LogicalPlan, Vec<Column>)> {
        let columns: Vec<Column> = expressions.iter().map(|_| self.fresh()).collect();
        let named = expressions.into_iter().zip(&columns);
        let named =
            named.map(|(expr, name)| expr.unalias().alias_qualified(name.relation.clone(), &name.name));
        let all = self.carried().chain(named).collect();
        Ok((LogicalPlan::Projection(Projection::try_new(all, Arc::new(input))?), columns))
    }

    /// An expression over `node`, whose columns are at `columns` now.
    fn expression(&self, expr: &Expr, node: &LogicalPlan, columns: &[Column]) -> Result<Option<Expr>> {
        let mut known = true;
        let moved = expr.clone().transform(|expr| {
            Ok(match &expr {
                Expr::Column(column) => match node.schema().maybe_index_of_column(column) {
                    Some(index) => Transformed::yes(Expr::Column(columns[index].clone())),
                    None => {
                        known = false;
                        Transformed::no(expr)
                    }
                },
                Expr::OuterReferenceColumn(_, column) => {
                    known &= self.left.schema().has_column(column);
                    Transformed::yes(Expr::Column(column.clone()))
                }
                Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => {
                    known = false;
                    Transformed::no(expr)
                }
                _ => Transformed::no(expr),
            })
        })?;
        Ok(known.then_some(moved.data))
    }

    fn unnest(&self, unnest: &Unnest) -> Result<Upon> {
        let Some((input, columns)) = self.upon(&unnest.input)? else { return Ok(None) };
        if !unnest.struct_type_columns.is_empty() {
            return Ok(None);
        }
        // Arrays that are read twice are unnested together all the same.
        let lists: Vec<(usize, usize)> =
            unnest.list_type_columns.iter().map(|(index, list)| (*index, list.depth)).collect();
        let mut given = Vec::with_capacity(lists.len());
        let mut recursions = Vec::with_capacity(lists.len());
        for (index, depth) in &lists {
            let Some(input_column) = columns.get(*index) else { return Ok(None) };
            given.push(input_column.clone());
            let output_column = Column::from_name(self.fresh().name);
            recursions.push(RecursionUnnestOption {
                input_column: input_column.clone(),
                output_column,
                depth: *depth,
            });
        }
        given.dedup();
        let null_handling =
            if self.keeps { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
        let width = self.left.schema().fields().len();
        let options = UnnestOptions { null_handling, recursions };
        let made = Unnest::try_new(Arc::new(input), given, options)?;
        let outputs: Vec<Expr> = made.schema.columns().into_iter().skip(width).map(Expr::Column).collect();
        if outputs.len() != unnest.schema.fields().len() {
            return Ok(None);
        }
        self.named(LogicalPlan::Unnest(made), outputs).map(Some)
    }
}

fn has_unnest(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Unnest(_))))
}
