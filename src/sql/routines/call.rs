//! The function that a call means.
//!
//! PostgreSQL decides by the types of the arguments. Here they are known only when the query is planned, so the number and
//! the names of the arguments decide, and among functions that take as many, literals and casts.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr};

use crate::catalog::{Catalog, Function};
use crate::error::{Error, Result, SqlState};
use crate::sql::dialect;
use crate::sql::dml::cells::{self, Constant};
use crate::sql::routines::body;
use crate::sql::type_names;
use crate::sql::visit;
use crate::sql::words::{fold, object_name};
use crate::types::cast::{Context, context};
use crate::types::{Look, Type};

/// The function a call means, with an expression per parameter; `None` when no function of ours has the name.
pub fn find(
    catalog: &Catalog,
    search_path: &[String],
    parameters: &[Option<Type>],
    name: &ast::ObjectName,
    arguments: &[FunctionArg],
) -> Result<Option<(Arc<Function>, Vec<Expr>)>> {
    if catalog.functions().next().is_none() {
        return Ok(None);
    }
    let read = object_name("", name);
    let schemas = match &read.schema {
        Some(schema) => std::slice::from_ref(schema),
        None => search_path,
    };
    let mut fitting: Vec<(Arc<Function>, Vec<Expr>)> = Vec::new();
    let mut known = false;
    for schema in schemas {
        for function in catalog.functions_named(schema, &read.name) {
            known = true;
            if let Some(placed) = place(function, arguments)? {
                fitting.push((Arc::clone(function), placed));
            }
        }
        if !fitting.is_empty() {
            break;
        }
    }
    if fitting.len() > 1 {
        choose(&mut fitting, parameters);
    }
    match fitting.len() {
        0 if known && read.schema.is_some() => Err(missing(name, arguments)),
        // A function of the system may have the name.
        0 => Ok(None),
        1 => Ok(fitting.pop()),
        _ => {
            let message = format!("function {} is not unique", shown(name, arguments));
            Err(Error::new(SqlState::AMBIGUOUS_FUNCTION, message).hint(
                "Could not choose a best candidate function. You might need to add explicit type casts.",
            ))
        }
    }
}

/// The functions that a stored expression calls.
pub fn called_in(sql: &str, catalog: &Catalog, search_path: &[String]) -> Result<Vec<Arc<Function>>> {
    let expression = dialect::parse_expression(sql)?;
    let mut called = Vec::new();
    let _ = visit::expressions(&expression, |part| {
        if let Expr::Function(call) = part
            && let ast::FunctionArguments::List(list) = &call.args
            && let Ok(Some((function, _))) = find(catalog, search_path, &[], &call.name, &list.args)
        {
            called.push(function);
        }
        ControlFlow::<()>::Continue(())
    });
    Ok(called)
}

/// The arguments in the order of the parameters, with defaults; `None` when they do not fit.
fn place(function: &Function, arguments: &[FunctionArg]) -> Result<Option<Vec<Expr>>> {
    let mut placed: Vec<Option<Expr>> = vec![None; function.arguments.len()];
    for (position, argument) in arguments.iter().enumerate() {
        let (place, expr) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => (Some(position), expr),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. }
            | FunctionArg::ExprNamed {
                name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(expr), ..
            } => {
                let name = fold(name);
                let place = |known: &crate::catalog::Argument| known.name.as_ref() == Some(&name);
                let place = function.arguments.iter().position(place);
                if place.is_some_and(|place| placed[place].is_some()) {
                    let message = format!("argument name \"{name}\" used more than once");
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
                (place, expr)
            }
            _ => return Ok(None),
        };
        let free = place.and_then(|place| placed.get_mut(place)).filter(|free| free.is_none());
        let Some(free) = free else { return Ok(None) };
        *free = Some(expr.clone());
    }
    let mut full = Vec::with_capacity(placed.len());
    for (expr, argument) in placed.into_iter().zip(&function.arguments) {
        match (expr, &argument.default) {
            (Some(expr), _) => full.push(expr),
            (None, Some(default)) => full.push(dialect::parse_expression(default)?),
            (None, None) => return Ok(None),
        }
    }
    Ok(Some(full))
}

/// Leaves those whose parameters fit the arguments best, as far as the arguments tell their types.
fn choose(fitting: &mut Vec<(Arc<Function>, Vec<Expr>)>, known: &[Option<Type>]) {
    let score = |(function, arguments): &(Arc<Function>, Vec<Expr>)| {
        let scores = function.arguments.iter().zip(arguments).map(|(parameter, given)| {
            match known_type(given, known) {
                None => Some(0),
                Some(ty) if ty.bare() == parameter.ty => Some(2),
                Some(ty) if context(&ty, &parameter.ty) == Some(Context::Implicit) => Some(1),
                Some(_) => None,
            }
        });
        scores.sum::<Option<u32>>()
    };
    let best = fitting.iter().filter_map(score).max();
    fitting.retain(|candidate| best.is_some() && score(candidate) == best);
}

/// The type of a literal, a cast, or a parameter whose type is known.
fn known_type(expr: &Expr, parameters: &[Option<Type>]) -> Option<Type> {
    if let Some(number) = body::parameter(expr) {
        return parameters.get(number.wrapping_sub(1)).cloned().flatten();
    }
    match expr {
        Expr::Nested(inner) => known_type(inner, parameters),
        Expr::Cast { data_type, .. } => type_names::built_in(data_type),
        expr => match cells::literal(expr, Look::PLAIN).ok()?? {
            Constant::Typed(_, ty) => Some(ty),
            Constant::Null | Constant::Unknown(_) => None,
        },
    }
}

fn missing(name: &ast::ObjectName, arguments: &[FunctionArg]) -> Error {
    Error::new(SqlState::UNDEFINED_FUNCTION, format!("function {} does not exist", shown(name, arguments))).hint(
        "No function matches the given name and argument types. You might need to add explicit type casts.",
    )
}

/// `f(integer, unknown)`
fn shown(name: &ast::ObjectName, arguments: &[FunctionArg]) -> String {
    let types = arguments.iter().map(|argument| {
        let (FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
        | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }
        | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(expr), .. }) = argument
        else {
            return "unknown".to_owned();
        };
        known_type(expr, &[]).map_or_else(|| "unknown".to_owned(), |ty| ty.bare().to_string())
    });
    format!("{name}({})", types.collect::<Vec<_>>().join(", "))
}
