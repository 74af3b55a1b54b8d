//! Columns that a call in FROM lists, `f(1) AS t(a int, b text)`: of functions that return record, and of no others.

use datafusion::sql::sqlparser::ast::{self, TableAlias};

use crate::catalog::{Function, Returns};
use crate::error::{Error, Result, SqlState};

/// The types of the columns that an alias lists for a function, taken from it.
pub fn listed_types(
    function: &Function,
    alias: Option<&mut TableAlias>,
    ordinality: bool,
) -> Result<Vec<ast::DataType>> {
    let columns = alias.map(|alias| alias.columns.as_mut_slice()).unwrap_or_default();
    let types: Vec<ast::DataType> = columns.iter_mut().filter_map(|column| column.data_type.take()).collect();
    match (&function.returns, types.is_empty()) {
        (Returns::Record, true) => Err(unlisted()),
        (Returns::Record, false) if ordinality => Err(ordinality_of_listed()),
        (Returns::Record, false) | (_, true) => Ok(types),
        (Returns::Table(columns), false) if columns.len() > 1 => {
            Err(listed_twice("for a function with OUT parameters"))
        }
        (Returns::SetOfRows(_), false) => {
            Err(listed_twice("for a function returning a named composite type"))
        }
        _ => Err(listed_wrongly()),
    }
}

/// 42601 for a function that returns record, whose columns nothing says.
pub fn unlisted() -> Error {
    let message = "a column definition list is required for functions returning \"record\"";
    Error::new(SqlState::SYNTAX_ERROR, message)
}

/// 42601 for listed columns of a function that says itself which it returns.
pub fn listed_twice(why: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("a column definition list is redundant {why}"))
}

/// 42601 for listed columns of a function that returns values.
pub fn listed_wrongly() -> Error {
    let message = "a column definition list is only allowed for functions returning \"record\"";
    Error::new(SqlState::SYNTAX_ERROR, message)
}

/// 42601 for numbers of rows beside listed columns.
pub fn ordinality_of_listed() -> Error {
    Error::new(SqlState::SYNTAX_ERROR, "WITH ORDINALITY cannot be used with a column definition list")
        .hint("Put the column definition list inside ROWS FROM().")
}
