//! Columns that stored expressions name: found before a column goes, renamed with it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident};

use crate::catalog::Table;
use crate::error::Result;
use crate::sql::dialect;
use crate::sql::system::quote_ident;
use crate::sql::visit;
use crate::sql::words::fold;

/// Numbers of the table's columns that an expression names, ascending.
pub fn columns_of(sql: &str, table: &Table) -> Result<Vec<u16>> {
    let mut numbers = Vec::new();
    let expression = dialect::parse_expression(sql)?;
    let _ = visit::expressions(&expression, |part| {
        let column = column_name(part).and_then(|name| table.column(&fold(name)));
        numbers.extend(column.map(|column| column.number));
        ControlFlow::<()>::Continue(())
    });
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// The expression with a column's new name.
pub fn with_renamed_column(sql: &str, from: &str, to: &str) -> Result<String> {
    let mut expression = dialect::parse_expression(sql)?;
    let new = if quote_ident(to) == to { Ident::new(to) } else { Ident::with_quote('"', to) };
    let _ = visit::expressions_mut(&mut expression, |part| {
        let name = match part {
            Expr::Identifier(name) => Some(name),
            Expr::CompoundIdentifier(parts) => parts.last_mut(),
            _ => None,
        };
        if let Some(name) = name.filter(|name| fold(name) == from) {
            *name = new.clone();
        }
        ControlFlow::<()>::Continue(())
    });
    Ok(expression.to_string())
}

fn column_name(expression: &Expr) -> Option<&Ident> {
    match expression {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_and_texts_do_not() {
        let renamed = with_renamed_column("price > 0 AND note <> 'price' AND t.PRICE < 9", "price", "Cost");
        assert_eq!(renamed.unwrap(), "\"Cost\" > 0 AND note <> 'price' AND t.\"Cost\" < 9");
    }
}
