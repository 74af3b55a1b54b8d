//! Functions that CREATE FUNCTION made: their rows of pg_proc, and their definitions as SQL.

use crate::catalog::{Argument, Body, Catalog, Function, Oid, Parallel, Returns, ViewColumn, Volatility};
use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::system::names::{qualified, quote_ident, schema_oid};
use crate::sql::system::relation::{Rows, cells};
use crate::types::{Polymorphic, Type, Value};

/// The language's oid in pg_language.
const LANGUAGE_SQL: u32 = 14;
/// The pseudo-type of rows without a name.
const RECORD: u32 = 2249;
/// PostgreSQL's estimates for what did not say COST and ROWS.
const COST: f64 = 100.0;
const ROWS: f64 = 1000.0;

/// Their rows of pg_proc.
pub fn routines(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for function in catalog.functions() {
        let types: Vec<Value> = function.arguments.iter().map(|a| Value::Oid(a.ty.oid())).collect();
        let defaults: Vec<&str> = function.arguments.iter().filter_map(|a| a.default.as_deref()).collect();
        let default_texts = if defaults.is_empty() { Value::Null } else { Value::from(defaults.join(", ")) };
        let (source, atomic) = match &function.body {
            Body::Text(text) => (text.clone(), Value::Null),
            Body::Return(_) | Body::Atomic(_) => (String::new(), Value::from(body(function))),
        };
        let path = function.search_path.as_ref().map(|path| format!("search_path={path}"));
        rows.add(cells! {
            oid: function.oid, proname: function.name.clone(),
            pronamespace: schema_oid(&catalog, &function.schema).unwrap_or(0),
            prolang: LANGUAGE_SQL, procost: function.cost.unwrap_or(COST) as f32,
            prorows: if function.returns_set() { function.rows.unwrap_or(ROWS) as f32 } else { 0.0 },
            prosecdef: function.security_definer, proleakproof: function.leakproof,
            proisstrict: function.strict, proretset: function.returns_set(),
            provolatile: function.volatility.letter(), proparallel: function.parallel.letter(),
            provariadic: variadic_type(function), pronargs: function.arguments.len() as i16, pronargdefaults: defaults.len() as i16,
            prorettype: result_type(function), proargtypes: types.clone(),
            proallargtypes: all_types(function, types), proargmodes: modes(function),
            proargnames: argument_names(function), proargdefaults: default_texts,
            prosrc: source, prosqlbody: atomic,
            proconfig: path.map_or(Value::Null, |path| Value::Array(vec![Value::from(path)])),
        });
    }
    Ok(())
}

fn result_type(function: &Function) -> Oid {
    match &function.returns {
        Returns::Scalar(ty) | Returns::SetOf(ty) => ty.oid(),
        Returns::Table(columns) => match columns.as_slice() {
            [one] => one.ty.oid(),
            _ => RECORD,
        },
        Returns::SetOfRows(_) | Returns::Record => RECORD,
    }
}

/// With the columns of RETURNS TABLE or OUT parameters, if there are any.
fn all_types(function: &Function, mut types: Vec<Value>) -> Value {
    if !has_modes(function) {
        return Value::Null;
    }
    types.extend(shown_columns(function).map(|column| Value::Oid(column.ty.oid())));
    Value::Array(types)
}

/// Whether parameters are of other modes than IN.
fn has_modes(function: &Function) -> bool {
    matches!(function.returns, Returns::Table(_)) || function.variadic().is_some()
}

/// What a VARIADIC parameter takes any number of; 0 without one.
fn variadic_type(function: &Function) -> Oid {
    match function.variadic().map(|argument| &argument.ty) {
        Some(Type::Array(item)) => item.oid(),
        Some(Type::Polymorphic(Polymorphic::Array)) => Polymorphic::Element.oid(),
        Some(Type::Polymorphic(_)) => Polymorphic::Compatible.oid(),
        _ => 0,
    }
}

fn modes(function: &Function) -> Value {
    if !has_modes(function) {
        return Value::Null;
    }
    let given = function.arguments.iter().map(|argument| match argument.variadic {
        true => "v",
        false if is_inout(function, argument) => "b",
        false => "i",
    });
    let mode = if function.out { "o" } else { "t" };
    Value::Array(given.chain(shown_columns(function).map(|_| mode)).map(Value::from).collect())
}

fn argument_names(function: &Function) -> Value {
    let given = function.arguments.iter().map(|argument| argument.name.clone().unwrap_or_default());
    let names: Vec<String> = given.chain(shown_columns(function).map(|column| column.name.clone())).collect();
    match names.iter().all(String::is_empty) {
        true => Value::Null,
        false => Value::Array(names.into_iter().map(Value::from).collect()),
    }
}

/// The columns that a function returns, but for those which are parameters of the mode INOUT.
fn shown_columns(function: &Function) -> impl Iterator<Item = &ViewColumn> {
    let columns = match &function.returns {
        Returns::Table(columns) => columns.as_slice(),
        _ => &[],
    };
    let is_argument = |column: &ViewColumn| {
        function.arguments.iter().any(|argument| argument.name.as_ref() == Some(&column.name))
    };
    columns.iter().filter(move |column| !(function.out && is_argument(column)))
}

/// Whether an argument is a column of what is returned too.
fn is_inout(function: &Function, argument: &Argument) -> bool {
    match &function.returns {
        Returns::Table(columns) if function.out => {
            columns.iter().any(|column| argument.name.as_ref() == Some(&column.name))
        }
        _ => false,
    }
}

/// pg_get_function_arguments(); without `defaults`, pg_get_function_identity_arguments().
pub fn arguments(function: &Function, defaults: bool) -> String {
    let one = |argument: &Argument| {
        let mode = match argument.variadic {
            true => "VARIADIC ",
            false if is_inout(function, argument) => "INOUT ",
            false => "",
        };
        let name = argument.name.as_ref().map(|name| format!("{} ", quote_ident(name))).unwrap_or_default();
        let default = argument.default.as_ref().filter(|_| defaults);
        let default = default.map(|default| format!(" DEFAULT {default}")).unwrap_or_default();
        format!("{mode}{name}{}{default}", argument.ty)
    };
    let out = shown_columns(function).filter(|_| function.out);
    let out = out.map(|column| format!("OUT {} {}", quote_ident(&column.name), column.ty));
    function.arguments.iter().map(one).chain(out).collect::<Vec<_>>().join(", ")
}

/// pg_get_function_result().
pub fn result(function: &Function, catalog: &Catalog) -> String {
    let set = if function.one_row { "" } else { "SETOF " };
    match &function.returns {
        Returns::Scalar(ty) => ty.to_string(),
        Returns::SetOf(ty) => format!("SETOF {ty}"),
        Returns::Table(columns) if function.out => match columns.as_slice() {
            [one] => format!("{set}{}", one.ty),
            _ => format!("{set}record"),
        },
        Returns::Table(columns) => {
            let columns = columns.iter().map(|column| format!("{} {}", quote_ident(&column.name), column.ty));
            format!("TABLE({})", columns.collect::<Vec<_>>().join(", "))
        }
        Returns::Record => format!("{set}record"),
        Returns::SetOfRows(oid) => match catalog.table_by_oid(*oid) {
            Some(table) => format!("{set}{}", quote_ident(&table.name)),
            None => format!("{set}record"),
        },
    }
}

/// pg_get_functiondef().
pub fn definition(function: &Function, catalog: &Catalog) -> String {
    let mut sql = format!(
        "CREATE OR REPLACE FUNCTION {}({})\n RETURNS {}\n LANGUAGE sql\n",
        qualified(&function.schema, &function.name),
        arguments(function, true),
        result(function, catalog)
    );
    let mut words: Vec<String> = Vec::new();
    if function.volatility != Volatility::Volatile {
        words.push(function.volatility.sql().into());
    }
    if function.parallel != Parallel::Unsafe {
        words.push(function.parallel.sql().into());
    }
    let flags = [
        (function.strict, "STRICT"),
        (function.security_definer, "SECURITY DEFINER"),
        (function.leakproof, "LEAKPROOF"),
    ];
    words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_owned()));
    words.extend(function.cost.filter(|cost| *cost != COST).map(|cost| format!("COST {cost}")));
    words.extend(function.rows.filter(|rows| *rows != ROWS).map(|rows| format!("ROWS {rows}")));
    if !words.is_empty() {
        sql.push_str(&format!(" {}\n", words.join(" ")));
    }
    if let Some(path) = &function.search_path {
        let quoted: Vec<String> =
            path.split(", ").map(|name| format!("'{}'", name.trim_matches('"'))).collect();
        sql.push_str(&format!(" SET search_path TO {}\n", quoted.join(", ")));
    }
    match &function.body {
        Body::Text(text) => sql.push_str(&format!("AS {0}{text}{0}\n", quotes(text))),
        Body::Return(_) | Body::Atomic(_) => sql.push_str(&format!("{}\n", body(function))),
    }
    sql
}

/// The body as it stands in a definition: in quotes unless SQL's own.
pub fn body(function: &Function) -> String {
    match &function.body {
        Body::Text(text) => text.clone(),
        Body::Return(text) => format!("RETURN {text}"),
        Body::Atomic(text) => format!("BEGIN ATOMIC\n {}\nEND", text.trim()),
    }
}

/// Dollar quotes that do not occur in the text.
fn quotes(text: &str) -> String {
    let mut tag = "function".to_owned();
    while text.contains(&format!("${tag}")) {
        tag.push('x');
    }
    format!("${tag}$")
}

/// The function of this oid.
pub fn by_oid(execution: &Execution, oid: Oid) -> Option<std::sync::Arc<Function>> {
    execution.session.catalog().function_by_oid(oid).cloned()
}

/// The function that a name in a cast to regproc or regprocedure means: `f`, `schema.f`, `f(int, text)`.
pub fn by_name(execution: &Execution, text: &str) -> Option<Oid> {
    let (name, types) = match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.trim_end().strip_suffix(')')?)),
        None => (text, None),
    };
    let types = types.map(|types| {
        let types = types.split(',').map(str::trim).filter(|ty| !ty.is_empty());
        types.map(|ty| crate::types::Type::from_name(ty).ok()).collect::<Option<Vec<_>>>()
    });
    let parts = super::names::split_name(name)?;
    let catalog = execution.session.catalog();
    let schemas = match parts.as_slice() {
        [_] => execution.session.search_path(),
        [schema, _] => vec![schema.clone()],
        _ => return None,
    };
    let name = parts.last()?;
    let mut found = schemas.iter().flat_map(|schema| catalog.functions_named(schema, name));
    let fits = |function: &&std::sync::Arc<Function>| match &types {
        None => true,
        Some(types) => types.as_ref() == Some(&function.argument_types()),
    };
    found.find(fits).map(|function| function.oid)
}
