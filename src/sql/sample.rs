//! TABLESAMPLE.
//!
//! A sampled table is planned as a call in FROM, `__sample(table, method, percentage, seed, number)`, whose plan is a scan
//! with a condition on the slot. So REPEATABLE gives the same rows as long as the table does not change, and filters and
//! nearest neighbours are those of the sample.

use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableFactor, TableFunctionArgs,
    TableSampleKind, TableSampleMethod,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::dialect::parse_expression;
use crate::sql::trees::{self, alias_of, relation, text};
use crate::sql::words::{fold, object_name};

/// The name of the call; names of users that begin so are refused nowhere, but this one is called with arguments only.
pub const FUNCTION: &str = "__hither_sample";

/// Rewrites an item of FROM if it is a sampled table; `number` tells the samples of a query apart.
pub fn expand(factor: &mut TableFactor, number: usize) -> Result<bool> {
    let TableFactor::Table { name, alias, args, sample: Some(kind), .. } = factor else { return Ok(false) };
    if args.is_some() {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "TABLESAMPLE clause can only be applied to tables and materialized views",
        ));
    }
    let (TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) = kind;
    let method = match sample.name {
        Some(TableSampleMethod::Bernoulli) => "bernoulli",
        Some(TableSampleMethod::System) => "system",
        _ => return Err(Error::unsupported("TABLESAMPLE other than BERNOULLI and SYSTEM")),
    };
    let Some(quantity) = &sample.quantity else { return Err(Error::unsupported("TABLESAMPLE of this form")) };
    if quantity.unit.is_some() || sample.bucket.is_some() || sample.offset.is_some() {
        return Err(Error::unsupported("TABLESAMPLE of this form"));
    }
    // What is no literal may be of any type of numbers.
    let percent = match &quantity.value {
        value @ Expr::Value(_) => value.clone(),
        value => parse_expression(&format!("CAST({value} AS double precision)"))?,
    };
    let table = object_name(name);
    let seed = match &sample.seed {
        Some(seed) => Expr::Value(seed.value.clone()),
        None => Expr::value(ast::Value::Null),
    };
    let arguments = vec![
        text(table.schema.clone().unwrap_or_default()),
        text(table.name.clone()),
        text(method),
        percent,
        Expr::value(ast::Value::Boolean(sample.seed.is_some())),
        seed,
        trees::number(number),
    ];
    let unnamed_table = || alias_of(Ident::with_quote('"', fold(&Ident::with_quote('"', &table.name))));
    let alias = alias.clone().unwrap_or_else(unnamed_table);
    let unnamed = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    let args = TableFunctionArgs { args: arguments.into_iter().map(unnamed).collect(), settings: None };
    *factor = relation(ObjectName::from(Ident::new(format!("{FUNCTION}${number}"))), Some(alias), Some(args));
    Ok(true)
}
