//! Parameters of DECLARE.
//!
//! A cursor outlives the message that made it, and with it the parameters; they become constants of its query.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Value as Literal, Visit, VisitorMut};

use crate::error::{Error, Result, SqlState};
use crate::sql::dialect;
use crate::sql::statement::{Ast, Statement};
use crate::sql::visit;
use crate::types::{Type, Value, text};

/// Whether a query, or a part of one, has parameters.
pub fn has_parameters(tree: &(impl Visit + ?Sized)) -> bool {
    let found = visit::expressions(tree, |expr| match parameter(expr) {
        Some(_) => ControlFlow::Break(()),
        None => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// DECLARE, or a query, with its parameters as constants of their types.
pub fn with_constants(statement: &Statement, types: &[Type], values: &[Value]) -> Result<Statement> {
    let mut bound = statement.clone();
    if let Ast::Declare { query, .. } | Ast::Query(query) = &mut bound.ast {
        let mut constants = Constants { types, values, failed: None };
        let _ = visit::walk_mut(query, &mut constants);
        if let Some(error) = constants.failed {
            return Err(error);
        }
    }
    Ok(bound)
}

/// What stands behind the `$` of a parameter.
pub fn parameter(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Literal::Placeholder(name) => name.strip_prefix('$'),
            _ => None,
        },
        _ => None,
    }
}

struct Constants<'a> {
    types: &'a [Type],
    values: &'a [Value],
    failed: Option<Error>,
}

impl Constants<'_> {
    fn constant(&self, number: &str) -> Result<Expr> {
        let place = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let found = place.and_then(|place| Some((self.types.get(place)?, self.values.get(place)?)));
        let Some((ty, value)) = found else {
            let message = format!("there is no parameter ${number}");
            return Err(Error::new(SqlState::UNDEFINED_PARAMETER, message));
        };
        dialect::parse_expression(&match value {
            Value::Null => format!("(NULL::{ty})"),
            value => format!("('{}'::{ty})", text::to_string(value).replace('\'', "''")),
        })
    }
}

impl VisitorMut for Constants<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(number) = parameter(expr) {
            match self.constant(number) {
                Ok(constant) => *expr = constant,
                Err(error) => {
                    self.failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }
}
