//! Reading PARTITION BY, PARTITION OF and the bounds of partitions.
//!
//! LIST over one column is built; RANGE, HASH, several columns and expressions are refused by name.

use datafusion::sql::sqlparser::ast::{self, Expr, ForValues};

use crate::error::{Error, Result, SqlState};
use crate::sql::statement::{AlterAction, Ast, Name, Persistence};
use crate::sql::words::{Parsed, Words, fold, object_name};

/// CREATE TABLE ... PARTITION OF.
#[derive(Clone, Debug)]
pub struct CreatePartition {
    pub name: Name,
    pub if_not_exists: bool,
    pub persistence: Persistence,
    pub parent: Name,
    pub bound: Bound,
}

/// FOR VALUES IN and DEFAULT, as written.
#[derive(Clone, Debug)]
pub enum Bound {
    Default,
    In(Vec<Expr>),
}

/// What ALTER TABLE does to the partitions of a table.
#[derive(Clone, Debug)]
pub enum PartitionAction {
    Attach { name: Name, bound: Bound },
    Detach(Name),
}

/// Behind ATTACH PARTITION.
pub fn attach(w: &mut Words) -> Parsed<AlterAction> {
    let name = w.name()?;
    if w.accept("DEFAULT") {
        return Ok(AlterAction::Partition(PartitionAction::Attach { name, bound: Bound::Default }));
    }
    w.expect("FOR VALUES")?;
    if w.at("FROM") || w.at("WITH") {
        return Err(wrong_bound().into());
    }
    w.expect("IN")?;
    let bound = Bound::In(w.parenthesised(Words::expression)?);
    Ok(AlterAction::Partition(PartitionAction::Attach { name, bound }))
}

/// Behind DETACH PARTITION.
pub fn detach(w: &mut Words) -> Parsed<AlterAction> {
    let name = w.name()?;
    if w.at("CONCURRENTLY") || w.at("FINALIZE") {
        return Err(Error::unsupported("DETACH PARTITION CONCURRENTLY").into());
    }
    Ok(AlterAction::Partition(PartitionAction::Detach(name)))
}

/// The column of PARTITION BY LIST (column).
pub fn key(by: &Expr) -> Result<String> {
    let Expr::Function(call) = by else {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"PARTITION\""));
    };
    let strategy = object_name("", &call.name).name;
    match strategy.as_str() {
        "list" => {}
        "range" | "hash" => {
            return Err(Error::unsupported(format!("PARTITION BY {}", strategy.to_uppercase())));
        }
        _ => {
            let message = format!("unrecognized partitioning strategy \"{strategy}\"");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
    }
    let arguments = match &call.args {
        ast::FunctionArguments::List(list) => list.args.as_slice(),
        _ => &[],
    };
    match arguments {
        [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(Expr::Identifier(name)))] => Ok(fold(name)),
        [_] => Err(Error::unsupported("an expression in a partition key")),
        _ => {
            let message = "cannot use \"list\" partition strategy with more than one column";
            Err(Error::new(SqlState("42P17"), message))
        }
    }
}

/// CREATE TABLE ... PARTITION OF, from its tree.
pub fn partition(w: &Words, table: ast::CreateTable) -> Result<Ast> {
    let (Some(parent), Some(values)) = (&table.partition_of, &table.for_values) else {
        return Err(Error::internal("a partition without its bound"));
    };
    let refused = [
        (table.partition_by.is_some(), "a partition that is partitioned"),
        (table.query.is_some(), "CREATE TABLE PARTITION OF with AS"),
        (!table.columns.is_empty(), "a column option in a partition"),
        (!table.constraints.is_empty(), "a constraint of one partition"),
    ];
    if let Some((_, what)) = refused.iter().find(|(present, _)| *present) {
        return Err(Error::unsupported(what));
    }
    Ok(Ast::CreatePartition(Box::new(CreatePartition {
        name: object_name(w.source, &table.name),
        if_not_exists: table.if_not_exists,
        persistence: w.persistence,
        parent: object_name(w.source, parent),
        bound: bound(values)?,
    })))
}

/// FOR VALUES IN (...) or DEFAULT.
pub fn bound(values: &ForValues) -> Result<Bound> {
    match values {
        ForValues::Default => Ok(Bound::Default),
        ForValues::In(values) => Ok(Bound::In(values.clone())),
        // No table has one of the strategies these belong to.
        ForValues::From { .. } | ForValues::With { .. } => Err(wrong_bound()),
    }
}

fn wrong_bound() -> Error {
    let message = "invalid bound specification for a list partition";
    Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
}
