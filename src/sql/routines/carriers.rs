//! Arguments with the types of their parameters.
//!
//! In the tree a call of a function carries the type, which the planner asks for by its name; see [`argument`].

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::ast::{Expr, ObjectName};

use crate::catalog::{Catalog, Function, Oid};
use crate::planner::argument;
use crate::sql::known::quoted;
use crate::sql::rewrite::function_call;
use crate::types::Type;

/// An argument of a function, by oid and position, and how many the call gave.
/// No client can write a name that begins so; see [`MARK`](crate::types::arrow::errors::MARK).
const ARGUMENT: &str = "\0argument_";
/// An argument whose type the call says: the oid of the function, and the type in hexadecimal JSON.
const TYPED: &str = "\0typed_";

/// The function that carries an argument's type, by the name made here.
pub fn argument_function(catalog: &Catalog, name: &str) -> Option<Arc<ScalarUDF>> {
    if let Some((oid, ty)) = name.strip_prefix(TYPED).and_then(|rest| rest.split_once('_')) {
        let function = catalog.function_by_oid(oid.parse().ok()?)?;
        let ty: Type = serde_json::from_slice(&bytes(ty)?).ok()?;
        return Some(argument::function(ty.clone(), &function.name, vec![ty], 0));
    }
    let numbers = name.strip_prefix(ARGUMENT)?.split('_').map(|number| number.parse::<usize>().ok());
    let numbers: Vec<usize> = numbers.collect::<Option<_>>()?;
    let &[oid, position, given] = numbers.as_slice() else { return None };
    let function = catalog.function_by_oid(Oid::try_from(oid).ok()?)?;
    let mut types = function.argument_types();
    let ty = types.get(position)?.clone();
    // Defaults are not part of what the call says.
    types.truncate(given.max(position + 1));
    Some(argument::function(ty, &function.name, types, position))
}

/// The argument with its parameter's type; see [`argument`].
pub fn typed(function: &Function, position: usize, given: usize, argument: &Expr) -> Expr {
    let name = format!("{ARGUMENT}{}_{position}_{given}", function.oid);
    call(&name, argument.clone())
}

/// An expression as an argument of this type.
pub fn carrying(function: Oid, ty: &Type, expr: Expr) -> Expr {
    let written = serde_json::to_vec(ty).expect("a type is plain data, which always serialises");
    let digits: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{TYPED}{function}_{digits}");
    call(&name, expr)
}

/// A call by a name that is written in quotes, so that it can be read again where a part of the tree becomes text.
fn call(name: &str, argument: Expr) -> Expr {
    let mut call = function_call(name, vec![argument]);
    if let Expr::Function(function) = &mut call {
        function.name = ObjectName::from(vec![quoted(name)]);
    }
    call
}

/// The bytes that digits stand for.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let byte = |place: usize| u8::from_str_radix(digits.get(place..place + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}
