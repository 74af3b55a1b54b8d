//! Reading PARTITION BY, PARTITION OF and the bounds of partitions.
//!
//! LIST and RANGE over one column are built; HASH, several columns and expressions are refused by name.

use datafusion::sql::sqlparser::ast::{self, Expr, ForValues, PartitionBoundValue};

use crate::catalog::Strategy;
use crate::error::{Error, Result, SqlState};
use crate::sql::statement::{AlterAction, Ast, Name, Persistence};
use crate::sql::words::{Parsed, Words, fold, object_name, placed_name};

/// CREATE TABLE ... PARTITION OF.
#[derive(Clone, Debug)]
pub struct CreatePartition {
    pub name: Name,
    pub if_not_exists: bool,
    pub persistence: Persistence,
    pub parent: Name,
    pub bound: Bound,
    /// Storage parameters, which are shown and dumped.
    pub options: Vec<(String, String)>,
}

/// FOR VALUES and DEFAULT, as written.
#[derive(Clone, Debug)]
pub enum Bound {
    Default,
    In(Vec<Expr>),
    Range {
        from: Vec<PartitionBoundValue>,
        to: Vec<PartitionBoundValue>,
    },
    /// WITH (MODULUS ..., REMAINDER ...)
    Hash,
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
    let bound = if w.accept("FROM") {
        let from = w.parenthesised(end_of_range)?;
        w.expect("TO")?;
        Bound::Range { from, to: w.parenthesised(end_of_range)? }
    } else if w.accept("WITH") {
        w.parenthesised(|w| {
            w.identifier()?;
            w.expression()
        })?;
        Bound::Hash
    } else {
        w.expect("IN")?;
        Bound::In(w.parenthesised(Words::expression)?)
    };
    Ok(AlterAction::Partition(PartitionAction::Attach { name, bound }))
}

fn end_of_range(w: &mut Words) -> Parsed<PartitionBoundValue> {
    Ok(if w.accept("MINVALUE") {
        PartitionBoundValue::MinValue
    } else if w.accept("MAXVALUE") {
        PartitionBoundValue::MaxValue
    } else {
        PartitionBoundValue::Expr(w.expression()?)
    })
}

/// Behind DETACH PARTITION.
pub fn detach(w: &mut Words) -> Parsed<AlterAction> {
    let name = w.name()?;
    if w.at("CONCURRENTLY") || w.at("FINALIZE") {
        return Err(Error::unsupported("DETACH PARTITION CONCURRENTLY").into());
    }
    Ok(AlterAction::Partition(PartitionAction::Detach(name)))
}

/// PARTITION BY: the strategy, and the key's column.
pub fn key(by: &Expr) -> Result<(Strategy, String)> {
    let Expr::Function(call) = by else {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"PARTITION\""));
    };
    let strategy = object_name(&call.name).name;
    let strategy = match strategy.as_str() {
        "list" => Strategy::List,
        "range" => Strategy::Range,
        "hash" => return Err(Error::unsupported("PARTITION BY HASH")),
        _ => {
            let message = format!("unrecognized partitioning strategy \"{strategy}\"");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
    };
    let arguments = match &call.args {
        ast::FunctionArguments::List(list) => list.args.as_slice(),
        _ => &[],
    };
    match arguments {
        [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(Expr::Identifier(name)))] => {
            Ok((strategy, fold(name)))
        }
        [_] => Err(Error::unsupported("an expression in a partition key")),
        _ if strategy == Strategy::Range => Err(Error::unsupported("a partition key of several columns")),
        _ => {
            let message = "cannot use \"list\" partition strategy with more than one column";
            Err(Error::new(SqlState("42P17"), message))
        }
    }
}

/// CREATE TABLE ... PARTITION OF, from its tree.
pub fn partition(w: &Words, table: ast::CreateTable, options: Vec<(String, String)>) -> Result<Ast> {
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
        name: placed_name(w.source, &table.name),
        if_not_exists: table.if_not_exists,
        persistence: w.persistence,
        parent: placed_name(w.source, parent),
        bound: bound(values),
        options,
    })))
}

/// FOR VALUES or DEFAULT, from its tree.
fn bound(values: &ForValues) -> Bound {
    match values {
        ForValues::Default => Bound::Default,
        ForValues::In(values) => Bound::In(values.clone()),
        ForValues::From { from, to } => Bound::Range { from: from.clone(), to: to.clone() },
        ForValues::With { .. } => Bound::Hash,
    }
}
