//! VALUES whose rows the planner would not read as one table: texts beside another type, and columns of what stands
//! before.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, SelectItem, SetExpr, SetOperator, SetQuantifier};

use crate::error::Error;
use crate::sql::rewrite::{cast_to, has_subquery, is_float_type as is_float, plain_name};
use crate::sql::trees::query_of;
use crate::sql::visit;

/// `VALUES ('a'::tsvector), ('b')`: a text takes the type that another row's cast gives the column, where the planner
/// would not unify them; so does a number beside a float, of which the planner would make a numeric.
pub fn spread_types(values: &mut ast::Values) {
    let width = values.rows.first().map_or(0, |row| row.len());
    keep_numeric_casts(values);
    for column in 0..width {
        let cells = values.rows.iter().filter_map(|row| row.get(column));
        let types = cells.filter_map(|cell| match cell {
            Expr::Cast { data_type, .. } => Some(data_type.clone()),
            Expr::TypedString(typed) => Some(typed.data_type.clone()),
            Expr::Function(function) => moment_of(function),
            _ => None,
        });
        let is_text = |ty: &ast::DataType| {
            use ast::DataType::{Char, CharVarying, Character, CharacterVarying, String, Text, Varchar};
            matches!(
                ty,
                Char(_) | CharVarying(_) | Character(_) | CharacterVarying(_) | String(_) | Text | Varchar(_)
            )
        };
        let Some(data_type) = types.into_iter().find(|ty| !is_text(ty)).map(|ty| bare(&ty)) else { continue };
        for cell in values.rows.iter_mut().filter_map(|row| row.get_mut(column)) {
            let mut inner = &*cell;
            while let Expr::Nested(nested) | Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr: nested } =
                inner
            {
                inner = nested;
            }
            let is_plain = matches!(cell, Expr::Value(_));
            let takes_type = match inner {
                Expr::Value(value) => match &value.value {
                    ast::Value::SingleQuotedString(_) => is_plain,
                    ast::Value::Number(_, _) => is_float(&data_type),
                    _ => false,
                },
                _ => false,
            };
            if takes_type {
                *cell = cast_to(cell.clone(), data_type.clone());
            }
        }
    }
}

/// Casts to numeric are doubled: of a column of numbers the planner casts each cell to a numeric of one scale, and the
/// outermost such cast is taken off again (`planner::common::as_written`), as each number shows its own digits.
fn keep_numeric_casts(values: &mut ast::Values) {
    use ast::DataType::{Dec, Decimal, Numeric};
    for cell in values.rows.iter_mut().flat_map(|row| row.iter_mut()) {
        let mut inner = &*cell;
        while let Expr::Nested(nested) = inner {
            inner = nested;
        }
        let data_type = match inner {
            Expr::Cast { data_type, .. } => data_type,
            Expr::TypedString(typed) => &typed.data_type,
            _ => continue,
        };
        if matches!(data_type, Numeric(_) | Decimal(_) | Dec(_)) {
            let data_type = data_type.clone();
            *cell = cast_to(cell.clone(), data_type);
        }
    }
}

/// The type of `now()` and its like.
fn moment_of(function: &ast::Function) -> Option<ast::DataType> {
    use ast::TimezoneInfo::{None as Local, Tz};
    Some(match plain_name(function)?.as_str() {
        "now" | "current_timestamp" | "transaction_timestamp" | "statement_timestamp" | "clock_timestamp" => {
            ast::DataType::Timestamp(None, Tz)
        }
        "localtimestamp" => ast::DataType::Timestamp(None, Local),
        "current_date" => ast::DataType::Date,
        "current_time" => ast::DataType::Time(None, Tz),
        _ => return None,
    })
}

/// A type without its modifier: a text is longer than the other row's.
fn bare(ty: &ast::DataType) -> ast::DataType {
    use ast::DataType::{Bit, BitVarying, Custom, Decimal, Numeric, VarBit};
    match ty {
        Custom(name, _) => Custom(name.clone(), Vec::new()),
        Numeric(_) => Numeric(ast::ExactNumberInfo::None),
        Decimal(_) => Decimal(ast::ExactNumberInfo::None),
        Bit(_) => Bit(None),
        BitVarying(_) => BitVarying(None),
        VarBit(_) => VarBit(None),
        ty => ty.clone(),
    }
}

/// `LATERAL (VALUES (q.a), (1))` as a union of selects: the planner's VALUES take constants, and expressions of one
/// kind, and are computed before a subquery has run.
pub fn values_of_columns(values: &ast::Values) -> Option<SetExpr> {
    let is_select = |expr: &Expr| names_columns(expr) || has_subquery(expr);
    if !values.rows.iter().any(|row| row.iter().any(is_select)) {
        return None;
    }
    union_of(values)
}

/// Rows that become selects of a union; each is planned on its own.
const UNION_MAX: usize = 500;

/// Whether it is the planner's refusal of rows whose expressions are of several kinds.
pub fn is_of_rows(error: &Error) -> bool {
    let starts = |text| error.message().starts_with(text);
    starts("Inconsistent metadata across values list") || starts("VALUES types ")
}

/// Makes unions of all VALUES; whether there were any.
pub fn as_unions(query: &mut ast::Query) -> bool {
    struct Unions(bool);
    impl ast::VisitorMut for Unions {
        type Break = ();
        fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
            if let SetExpr::Values(values) = query.body.as_ref()
                && values.rows.len() <= UNION_MAX
                && let Some(union) = union_of(values)
            {
                *query.body = union;
                self.0 = true;
            }
            ControlFlow::Continue(())
        }
    }
    let mut unions = Unions(false);
    let _ = visit::walk_mut(query, &mut unions);
    unions.0
}

fn union_of(values: &ast::Values) -> Option<SetExpr> {
    let selects = values.rows.iter().map(|row| {
        let items = row.iter().enumerate().map(|(place, expr)| SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: Ident::new(format!("column{}", place + 1)),
        });
        *query_of(items.collect()).body
    });
    selects.reduce(|left, right| SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    })
}

/// Whether an expression names columns, which must be those of what stands before the call.
pub fn names_columns(expr: &Expr) -> bool {
    let found = visit::expressions(expr, |part| match part {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}
