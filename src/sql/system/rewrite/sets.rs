//! Functions of the catalogue that return sets, as arrays that a query unnests.

use datafusion::sql::sqlparser::ast::*;

use super::{call, is_vector};
use crate::sql::trees::alias_of;

/// A call in FROM as its unnested arrays; `None` when it is of another function.
pub fn from(factor: &TableFactor, function: &str) -> Option<TableFactor> {
    let TableFactor::Table { alias, args: Some(args), with_ordinality, .. } = factor else { return None };
    let arguments = args.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => Some(argument.clone()),
        _ => None,
    });
    let arguments: Vec<Expr> = arguments.collect::<Option<_>>()?;
    let argument = arguments.first()?;
    let columns: &[(&str, &str)] = match function {
        "generate_subscripts" => &[],
        "pg_partition_ancestors" => &[("relid", "hither_partition_ancestors")],
        "pg_partition_tree" => &[
            ("relid", "hither_partition_tree_relid"),
            ("parentrelid", "hither_partition_tree_parent"),
            ("isleaf", "hither_partition_tree_isleaf"),
            ("level", "hither_partition_tree_level"),
        ],
        _ => return None,
    };
    let mut alias = alias.clone().unwrap_or_else(|| alias_of(Ident::new(function)));
    if alias.columns.is_empty() {
        let column = |name: Ident| TableAliasColumnDef { name, data_type: None };
        match columns {
            [] => alias.columns.push(column(alias.name.clone())),
            named => alias.columns.extend(named.iter().map(|(name, _)| column(Ident::new(*name)))),
        }
    }
    let array_exprs = match columns {
        [] => vec![subscripts_of(&arguments)],
        named => named.iter().map(|(_, function)| call(function, vec![argument.clone()])).collect(),
    };
    Some(TableFactor::UNNEST {
        alias: Some(alias),
        array_exprs,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: *with_ordinality,
    })
}

/// The subscripts of an array, whose dimension and direction may follow it; those of the catalogue's vectors begin at 0.
pub fn subscripts_of(arguments: &[Expr]) -> Expr {
    let first = if arguments.first().is_some_and(is_vector) { "0" } else { "1" };
    let mut given = arguments.to_vec();
    given.insert(given.len().min(1), Expr::value(Value::Number(first.to_owned(), false)));
    call("hither_subscripts", given)
}
