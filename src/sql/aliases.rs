//! Aliases that name the first columns only: `FROM t AS a (x)` renames t's first column and leaves the others as they are.
//!
//! The planner wants a name for each column, so the rest are written out: `FROM t AS a (x, "second", "third")`.

use datafusion::sql::sqlparser::ast::{Query, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, Values};

use crate::error::{Error, Result, SqlState};
use crate::planner::names;
use crate::sql::known::{self, Known, quoted};
use crate::sql::system_columns;
use crate::sql::words::fold;

/// Writes out the names of an item of FROM. `hidden` are the names of WITH.
///
/// 42P10 for more names than there are columns.
pub fn complete(factor: &mut TableFactor, known: &Known, hidden: &[String]) -> Result<()> {
    let given = match alias_of(factor) {
        Some(alias) if !alias.columns.is_empty() => std::mem::take(&mut alias.columns),
        _ => return Ok(()),
    };
    let names = match factor {
        TableFactor::Derived { subquery, .. } => all_outputs(subquery),
        _ => known.columns_of(factor, hidden).map(|columns| columns.names),
    };
    let behind = match factor {
        TableFactor::Table { name, .. } => system_columns::behind(name),
        _ => &[],
    };
    let Some(alias) = alias_of(factor) else { return Ok(()) };
    let what = format!("table \"{}\"", fold(&alias.name));
    alias.columns = match names {
        Some(names) => {
            let mut all = filled(given, &names, &what)?;
            all.extend(behind.iter().map(|name| definition(name)));
            all
        }
        None => given,
    };
    Ok(())
}

/// The same for a query of WITH.
pub fn complete_with(alias: &mut TableAlias, query: &Query) -> Result<()> {
    if alias.columns.is_empty() {
        return Ok(());
    }
    if let Some(names) = all_outputs(query) {
        let what = format!("WITH query \"{}\"", fold(&alias.name));
        alias.columns = filled(std::mem::take(&mut alias.columns), &names, &what)?;
    }
    Ok(())
}

fn alias_of(factor: &mut TableFactor) -> Option<&mut TableAlias> {
    match factor {
        TableFactor::Table { alias, args: None, .. } | TableFactor::Derived { alias, .. } => alias.as_mut(),
        _ => None,
    }
}

/// The names of the columns of VALUES: `column1` and so on.
pub fn names_of_values(values: &Values) -> Option<Vec<String>> {
    let count = values.rows.first()?.len();
    Some((1..=count).map(|number| format!("column{number}")).collect())
}

/// The names of a query's columns.
fn all_outputs(query: &Query) -> Option<Vec<String>> {
    match query.body.as_ref() {
        SetExpr::Values(values) => names_of_values(values),
        _ => known::outputs(query),
    }
}

fn filled(
    mut given: Vec<TableAliasColumnDef>,
    outputs: &[String],
    what: &str,
) -> Result<Vec<TableAliasColumnDef>> {
    if given.len() > outputs.len() {
        let (available, specified) = (outputs.len(), given.len());
        let message = format!("{what} has {available} columns available but {specified} columns specified");
        return Err(Error::new(SqlState("42P10"), message));
    }
    given.extend(outputs[given.len()..].iter().map(|name| definition(name)));
    let names: Vec<String> = given.iter().map(|column| fold(&column.name)).collect();
    for (position, (column, name)) in given.iter_mut().zip(&names).enumerate() {
        if names.iter().filter(|other| *other == name).count() > 1 {
            *column = definition(&names::numbered(name, position));
        }
    }
    Ok(given)
}

pub fn definition(name: &str) -> TableAliasColumnDef {
    TableAliasColumnDef { name: quoted(name), data_type: None }
}
