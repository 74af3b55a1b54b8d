//! Functions in FROM: `unnest(tags) AS tag`, `jsonb_each(about)`, `websearch_to_tsquery(...) query`.
//!
//! Functions that return sets are defined as functions that return arrays, and unnested; WITH ORDINALITY unnests the
//! numbers of the elements beside them. Of the planner's own there is generate_series() of constants. Everything else
//! has one value, and one row in FROM:
//!
//! ```text
//!   jsonb_array_elements(x) AS e                UNNEST(jsonb_array_elements(x)) AS e(value)
//!   unnest(a, b) WITH ORDINALITY AS t(x, y, n)  UNNEST(a, b, hither_ordinals(a, b)) AS t(x, y, n)
//!   jsonb_to_recordset(x) AS r(id int)          (SELECT CAST(e.value ->> 'id' AS int) AS id FROM ...) AS r
//!   current_schema()                            (SELECT current_schema() AS current_schema) AS current_schema
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, ObjectName, SelectItem, TableAlias, TableAliasColumnDef, TableFactor,
};

use crate::error::Result;
use crate::functions::populate::MEMBER;
use crate::sql::known::{Known, factors};
use crate::sql::rewrite::{
    arguments, called_function, cast_to, folded, function_call, plain_name, type_tree,
};
use crate::sql::rows_from::{self, Column, Item};
use crate::sql::trees::{alias_of, derived, is_null, number, query_from, query_of, relation, text};
use crate::sql::visit;
use crate::sql::{dialect, dimensions, group_names, routines, sample, values, variadic};
use crate::types::Type;

/// Functions that return sets of one column, and what PostgreSQL calls it if not as the function.
const SETS: &[(&str, Option<&str>)] = &[
    ("jsonb_array_elements", Some("value")),
    ("jsonb_array_elements_text", Some("value")),
    ("json_array_elements", Some("value")),
    ("json_array_elements_text", Some("value")),
    ("jsonb_object_keys", None),
    ("json_object_keys", None),
    ("jsonb_populate_recordset", None),
    ("json_populate_recordset", None),
    ("jsonb_path_query", None),
    ("jsonb_path_query_tz", None),
    ("regexp_matches", None),
    ("regexp_split_to_table", None),
    ("string_to_table", None),
    ("pg_listening_channels", None),
    ("skeys", None),
    ("svals", None),
];

/// Functions that return several columns: the functions of their arrays, and the columns' names.
const TABLES: &[(&str, &[(&str, &str)])] = &[
    ("jsonb_each", &[("hither_json_keys", "key"), ("hither_json_values", "value")]),
    ("jsonb_each_text", &[("hither_json_keys", "key"), ("hither_json_texts", "value")]),
    ("json_each", &[("hither_written_keys", "key"), ("hither_written_values", "value")]),
    ("json_each_text", &[("hither_written_keys", "key"), ("hither_written_texts", "value")]),
    ("each", &[("hither_hstore_keys", "key"), ("hither_hstore_values", "value")]),
    (
        "pg_input_error_info",
        &[
            ("hither_input_message", "message"),
            ("hither_input_detail", "detail"),
            ("hither_input_hint", "hint"),
            ("hither_input_state", "sql_error_code"),
        ],
    ),
    (
        "pg_options_to_table",
        &[("hither_option_names", "option_name"), ("hither_option_values", "option_value")],
    ),
];

/// Values that PostgreSQL's grammar spells without parentheses, also in FROM, where sqlparser takes them for tables.
const KEYWORD_VALUES: &[&str] = &[
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "session_user",
    "user",
];

/// Functions that make rows of the columns that their alias lists.
const RECORDS: &[(&str, bool)] = &[
    ("jsonb_to_recordset", true),
    ("json_to_recordset", true),
    ("jsonb_to_record", false),
    ("json_to_record", false),
    (PAIRS_TO_RECORD, false),
];

/// Why a call in FROM may not list columns, or has to.
pub fn check_columns(factor: &TableFactor) -> Result<()> {
    let Some(function) = function_of(factor) else { return Ok(()) };
    let TableFactor::Table { alias, with_ordinality, .. } = factor else { return Ok(()) };
    let columns = alias.as_ref().map(|alias| alias.columns.as_slice()).unwrap_or_default();
    let lists = columns.iter().any(|column| column.data_type.is_some());
    let returns_record = RECORDS.iter().any(|(record, _)| *record == function);
    match (lists, returns_record) {
        (true, true) if *with_ordinality => Err(routines::ordinality_of_listed()),
        (false, true) => Err(routines::unlisted()),
        (true, false) if TABLES.iter().any(|(table, _)| *table == function) => {
            Err(routines::listed_twice("for a function with OUT parameters"))
        }
        // What is no function of the system is not known to exist.
        (true, false) if is_array_of_set(&function) && !function.contains("populate") => {
            Err(routines::listed_wrongly())
        }
        _ => Ok(()),
    }
}

/// The functions in FROM that the planner asks for: its own, and those in SQL.
fn is_planners(name: &str) -> bool {
    let name = called_function(name);
    matches!(name, "generate_series" | "range" | sample::FUNCTION) || routines::called_by_name(name).is_some()
}

/// Whether a function that returns a set is defined as one that returns an array.
pub fn is_array_of_set(name: &str) -> bool {
    name == "generate_series" || SETS.iter().any(|(set, _)| *set == name)
}

/// Whether a function that returns a set is called in an expression.
pub fn returns_set(expr: &Expr) -> bool {
    let is_set = |name: &str| {
        name == "unnest" || is_array_of_set(name) || TABLES.iter().any(|(table, _)| *table == name)
    };
    let found = visit::expressions(expr, |part| match part {
        Expr::Function(function) if plain_name(function).is_some_and(|name| is_set(&name)) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// The columns of a function of several, as they stand in a select list.
pub fn columns_of(name: &str, function: &ast::Function) -> Option<std::vec::IntoIter<(String, Expr)>> {
    let (_, columns) = TABLES.iter().find(|(table, _)| *table == name)?;
    let arguments = arguments(function)?;
    let column = |(array, name): &(&str, &str)| {
        let values = function_call("unnest", vec![function_call(array, arguments.clone())]);
        ((*name).to_owned(), values)
    };
    Some(columns.iter().map(column).collect::<Vec<_>>().into_iter())
}

/// The function whose last column an expression is.
pub fn function_of_columns(column: &Expr) -> Option<String> {
    let Expr::Function(unnest) = column else { return None };
    let Expr::Function(array) = arguments(unnest)?.into_iter().next()? else { return None };
    let array = plain_name(&array)?;
    let found = TABLES.iter().find(|(_, columns)| columns.last().is_some_and(|(last, _)| *last == array));
    found.map(|(table, _)| (*table).to_owned())
}

/// What rows are made by of an hstore, which nobody calls.
const PAIRS_TO_RECORD: &str = "hither_pairs_to_record";

/// What stands for expressions in a query that is read; not to be written without quotes.
const PART: &str = "part of a row ";

/// `json_populate_recordset(r::t, x)` as a query of the columns of `t`:
///
/// ```text
///   (SELECT hither_member(CAST(NULL AS int), e.value, 'a') AS a, ... FROM json_array_elements(x) AS e(value)) AS q
/// ```
pub fn populate(factor: &mut TableFactor, known: &Known, hidden: &[String]) {
    const POPULATE: &[&str] = &[
        "jsonb_populate_recordset",
        "json_populate_recordset",
        "jsonb_populate_record",
        "json_populate_record",
        "populate_record",
    ];
    let Some(function) = function_of(factor) else { return };
    let Some(called) = POPULATE.iter().find(|called| **called == function) else { return };
    let TableFactor::Table { alias, args: Some(args), with_ordinality: false, .. } = factor else {
        return;
    };
    variadic::unname_arguments(&mut args.args);
    let Ok([row, document]) = <[Expr; 2]>::try_from(unnamed_arguments(args)) else { return };
    let Expr::Cast { expr, data_type: ast::DataType::Custom(table, modifiers), .. } = &row else { return };
    let is_null = is_null(expr);
    // Of an hstore only rows that nothing else is in.
    let is_meant = modifiers.is_empty() && (is_null || *called != "populate_record");
    let Some(fields) = known.fields(table, hidden).filter(|_| is_meant) else { return };
    let field = |(name, ty): &(String, Type)| {
        let base = match is_null {
            true => cast_to(Expr::value(ast::Value::Null), type_tree(ty)?),
            false => function_call("get_field", vec![row.clone(), text(name.clone())]),
        };
        Some((name.clone(), base))
    };
    let Some(fields) = fields.iter().map(field).collect::<Option<Vec<_>>>() else { return };
    let mut shown = alias.take().unwrap_or_else(|| alias_of(Ident::new(*called)));
    if !shown.columns.is_empty() {
        // An alias may name the first columns only.
        let rest =
            fields.iter().skip(shown.columns.len()).map(|(name, _)| Ident::with_quote('"', name.clone()));
        let rest: Vec<_> = rest.map(|name| TableAliasColumnDef { name, data_type: None }).collect();
        shown.columns.extend(rest);
    }
    // Expressions are put in the places of these names, so that none is printed and read again.
    let mut parts = vec![document];
    let mut part = |expr: Expr| {
        parts.push(expr);
        format!("\"{PART}{}\"", parts.len() - 1)
    };
    let mut members = Vec::with_capacity(fields.len());
    for (name, base) in fields {
        let (key, alias) = (name.replace('\'', "''"), name.replace('"', "\"\""));
        members.push(match (*called, base) {
            ("populate_record", Expr::Cast { data_type, .. }) => {
                format!("CAST(hither_e.value -> '{key}' AS {data_type}) AS \"{alias}\"")
            }
            (_, base) => format!("{MEMBER}({}, hither_e.value, '{key}') AS \"{alias}\"", part(base)),
        });
    }
    let document = format!("\"{PART}0\"");
    let rows = match *called {
        "jsonb_populate_recordset" => format!("jsonb_array_elements({document}) AS hither_e(value)"),
        "json_populate_recordset" => format!("json_array_elements({document}) AS hither_e(value)"),
        "jsonb_populate_record" => format!("(SELECT CAST({document} AS jsonb) AS value) AS hither_e"),
        "json_populate_record" => format!("(SELECT CAST({document} AS json) AS value) AS hither_e"),
        _ => format!("(SELECT CAST({document} AS hstore) AS value) AS hither_e"),
    };
    let Ok(mut subquery) = dialect::parse_query(&format!("SELECT {} FROM {rows}", members.join(", "))) else {
        return;
    };
    let _ = visit::expressions_mut(&mut subquery, |expr| {
        if let Expr::Identifier(name) = &*expr
            && let Some(number) = name.value.strip_prefix(PART)
            && let Some(part) = number.parse::<usize>().ok().and_then(|number| parts.get(number))
        {
            *expr = part.clone();
        }
        ControlFlow::<()>::Continue(())
    });
    *factor = derived(true, *subquery, shown);
}

/// Before what is inside is looked at: LATERAL and rows of listed columns as what they stand for.
pub fn settle(factor: &mut TableFactor, known: &Known) {
    if let TableFactor::Function { name, args, with_ordinality, alias, .. } = factor {
        let args = ast::TableFunctionArgs { args: std::mem::take(args), settings: None };
        let mut call = relation(name.clone(), alias.take(), Some(args));
        if let TableFactor::Table { with_ordinality: numbered, .. } = &mut call {
            *numbered = *with_ordinality;
        }
        *factor = call;
    }
    if let TableFactor::Table { args: Some(args), .. } = factor {
        // Of a function of the user's the call has been replaced.
        variadic::unname_arguments(&mut args.args);
    }
    if let TableFactor::Table { name, args: args @ None, .. } = factor
        && let [name] = name.0.as_slice()
        && let Some(name) = name.as_ident().filter(|name| name.quote_style.is_none())
        && KEYWORD_VALUES.contains(&folded(name).as_str())
    {
        *args = Some(ast::TableFunctionArgs { args: Vec::new(), settings: None });
    }
    if let Some(records) = records(factor, known) {
        *factor = records;
    }
}

/// Whether it is a call that the planner scans.
pub fn is_scan(factor: &TableFactor) -> bool {
    let TableFactor::Table { args: Some(_), with_ordinality: false, .. } = factor else { return false };
    function_of(factor).is_some_and(|name| is_planners(&name)) && !is_computed_series(factor)
}

/// The function of a call in FROM, without a schema or with the catalogue's.
fn function_of(factor: &TableFactor) -> Option<String> {
    let TableFactor::Table { name, args: Some(_), .. } = factor else { return None };
    match name.0.as_slice() {
        [name] => name.as_ident().map(folded),
        [schema, name] if schema.as_ident().is_some_and(|schema| folded(schema) == "pg_catalog") => {
            name.as_ident().map(folded)
        }
        _ => None,
    }
}

/// Whether it is generate_series() of anything but whole numbers, of which it is a scan of its own.
fn is_computed_series(factor: &TableFactor) -> bool {
    let TableFactor::Table { args: Some(args), with_ordinality, .. } = factor else { return false };
    if function_of(factor).as_deref() != Some("generate_series") {
        return false;
    }
    // All but whole numbers.
    let is_given = |expr: &Expr| match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_) => true,
        Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) => digits.parse::<i64>().is_err(),
            _ => true,
        },
        _ => false,
    };
    let found = visit::expressions(&args.args, |expr| match is_given(expr) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    *with_ordinality || found.is_break()
}

/// A call in FROM as arrays that are unnested, or as one row. Its columns are named as PostgreSQL names them.
pub fn expand(factor: &mut TableFactor, known: &Known) {
    let elements =
        |arrays: Vec<Expr>| arrays.into_iter().map(|array| dimensions::elements(array, known)).collect();
    if let TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_ordinality, .. } = factor {
        let arrays = elements(std::mem::take(array_exprs));
        *factor = unnest("unnest", alias.take(), arrays, &[], *with_ordinality);
        return;
    }
    let Some(function) = function_of(factor) else { return };
    if function == rows_from::ROWS_FROM {
        return side_by_side(factor, known);
    }
    let computed = is_computed_series(factor);
    let TableFactor::Table { alias, args: Some(args), with_ordinality, .. } = factor else { return };
    let (arguments, alias, ordinality) = (unnamed_arguments(args), alias.take(), *with_ordinality);
    let named = |name: &str| function_call(name, arguments.clone());
    *factor = if function == "unnest" {
        unnest("unnest", alias, elements(arguments), &[], ordinality)
    } else if let Some((_, column)) = SETS.iter().find(|(set, _)| *set == function) {
        unnest(&function, alias, vec![named(&function)], column.as_slice(), ordinality)
    } else if let Some((_, columns)) = TABLES.iter().find(|(table, _)| *table == function) {
        let arrays = columns.iter().map(|(array, _)| named(array)).collect();
        let names: Vec<&str> = columns.iter().map(|(_, name)| *name).collect();
        unnest(&function, alias, arrays, &names, ordinality)
    } else if computed {
        unnest(&function, alias, vec![named(&function)], &[], ordinality)
    } else if is_planners(&function) {
        let of_integers = function.starts_with("generate_series") && arguments.iter().all(is_integer);
        match alias {
            Some(alias) if of_integers => integers(factor, alias),
            alias => {
                if let TableFactor::Table { alias: kept, .. } = factor {
                    *kept = alias;
                }
                return;
            }
        }
    } else {
        one_row(named(&function), alias, &function, ordinality)
    };
}

/// `ROWS FROM (f(1), unnest(a))`, whose items have been settled.
fn side_by_side(factor: &mut TableFactor, known: &Known) {
    let TableFactor::Table { alias, args: Some(args), with_ordinality, .. } = factor else { return };
    let calls = unnamed_arguments(args);
    let (alias, ordinality) = (alias.take(), *with_ordinality);
    let first = calls.first().and_then(|call| match call {
        Expr::Function(call) => plain_name(call),
        _ => None,
    });
    let items: Vec<Item> = calls.into_iter().flat_map(|call| items_of(call, known)).collect();
    let mut names: Vec<String> = Vec::new();
    for column in items.iter().flat_map(|item| &item.columns) {
        // The planner tells columns apart by their names.
        let taken = names.iter().filter(|name| **name == column.name).count();
        let name = if taken == 0 { column.name.clone() } else { format!("{}_{}", column.name, taken + 1) };
        names.push(name);
    }
    let function = first.filter(|name| !name.starts_with("hither_"));
    let function = function.or_else(|| names.first().cloned()).unwrap_or_default();
    let is_plain = items.iter().all(|item| item.columns.iter().all(|column| column.field.is_none()));
    let (mut arrays, columns_of): (Vec<Expr>, Vec<Vec<Column>>) =
        items.into_iter().map(|item| (item.array, item.columns)).unzip();
    group_names::number_queries(&mut arrays);
    if is_plain {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        *factor = unnest(&function, alias, arrays, &names, ordinality);
        return;
    }
    let lateral = arrays.iter().any(values::names_columns);
    let places: Vec<String> = (1..=arrays.len()).map(|place| format!("hither_c{place}")).collect();
    let columns: Vec<&str> = places.iter().map(String::as_str).collect();
    let row = alias_of(Ident::new("hither_r"));
    let unnested = unnest("hither_r", Some(row), arrays, &columns, ordinality);
    let mut shown = names.iter();
    let mut outputs = Vec::with_capacity(names.len() + 1);
    for (place, columns) in places.iter().zip(&columns_of) {
        for (Column { field, .. }, name) in columns.iter().zip(shown.by_ref()) {
            let value = Expr::Identifier(Ident::new(place));
            let expr = match field {
                Some(field) => function_call("get_field", vec![value, text(field.clone())]),
                None => value,
            };
            outputs.push(SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) });
        }
    }
    if ordinality {
        outputs.push(SelectItem::UnnamedExpr(Expr::Identifier(Ident::new("ordinality"))));
    }
    let mut alias = alias.unwrap_or_else(|| alias_of(Ident::with_quote('"', function)));
    if !alias.columns.is_empty() {
        let ordinal = ordinality.then(|| "ordinality".to_owned());
        let rest = names.into_iter().chain(ordinal).skip(alias.columns.len());
        let rest: Vec<_> = rest
            .map(|name| TableAliasColumnDef { name: Ident::with_quote('"', name), data_type: None })
            .collect();
        alias.columns.extend(rest);
    }
    *factor = derived(lateral, query_from(outputs, unnested), alias);
}

/// The arrays that a function is, of one column or several, with the columns' names.
pub fn arrays_of(call: &ast::Function) -> Option<Vec<(Expr, &'static str)>> {
    let name = plain_name(call)?;
    if let Some((set, column)) = SETS.iter().find(|(set, _)| *set == name) {
        return Some(vec![(Expr::Function(call.clone()), column.unwrap_or(set))]);
    }
    if name == "generate_series" {
        return Some(vec![(Expr::Function(call.clone()), "generate_series")]);
    }
    let (_, columns) = TABLES.iter().find(|(table, _)| *table == name)?;
    let mut call = call.clone();
    variadic::unname(&mut call);
    let given = arguments(&call)?;
    Some(columns.iter().map(|(array, column)| (function_call(array, given.clone()), *column)).collect())
}

/// A call among several as arrays that are unnested.
fn items_of(call: Expr, known: &Known) -> Vec<Item> {
    if let Some(mut made) = Item::made(&call) {
        // A set among arguments has become a call of unnest.
        if let Expr::Function(unnest) = &made.array
            && plain_name(unnest).as_deref() == Some("unnest")
            && let Some(Ok([array])) = arguments(unnest).map(<[Expr; 1]>::try_from)
        {
            made.array = array;
        }
        return vec![made];
    }
    let one = |call: Expr, name: &str| {
        let array = Expr::Array(ast::Array { elem: vec![call], named: true });
        Item::plain(array, name)
    };
    let Expr::Function(function) = &call else {
        let name = crate::sql::rewrite::name_of(&call);
        return vec![one(call, &name)];
    };
    let name = plain_name(function).unwrap_or_else(|| crate::sql::rewrite::name_of(&call));
    let given = arguments(function).unwrap_or_default();
    if name == "unnest" {
        let arrays = given.into_iter().map(|array| dimensions::elements(array, known));
        return arrays.map(|array| Item::plain(array, "unnest")).collect();
    }
    // Those that make sets have been made before.
    vec![one(call, &name)]
}

/// Nothing stands before the first item of FROM: there LATERAL means nothing, and the columns that its arrays name are
/// those of a query outside, which the planner finds in `(SELECT unnest(o.tags) AS tag) AS t`.
pub fn settle_first(factor: &mut TableFactor) {
    match factor {
        TableFactor::Derived { lateral, .. } => *lateral = false,
        TableFactor::UNNEST { array_exprs, .. } if array_exprs.iter().any(values::names_columns) => {
            unnest_in_select(factor);
        }
        _ => {}
    }
}

/// RIGHT and FULL JOIN do not go with LATERAL: behind them it may stand, and shows nothing of the tables that it is joined
/// with. Items of FROM before a comma it would show in PostgreSQL, and does not here. The planner takes every unnesting for
/// LATERAL too.
pub fn settle_join(join: &mut ast::Join) {
    use ast::JoinOperator::{FullOuter, Right, RightOuter};
    if !matches!(join.join_operator, FullOuter(_) | Right(_) | RightOuter(_)) {
        return;
    }
    match &mut join.relation {
        TableFactor::Derived { lateral, .. } => *lateral = false,
        TableFactor::UNNEST { array_exprs, .. } if !array_exprs.iter().any(values::names_columns) => {
            unnest_in_select(&mut join.relation);
        }
        _ => {}
    }
}

/// `unnest(a, b) AS t(x, y)` as `(SELECT unnest(a) AS x, unnest(b) AS y) AS t`.
fn unnest_in_select(factor: &mut TableFactor) {
    let TableFactor::UNNEST { alias: Some(alias), array_exprs, .. } = factor else { return };
    let mut alias = alias.clone();
    let names = std::mem::take(&mut alias.columns).into_iter().map(|column| column.name);
    let arrays = array_exprs.drain(..).map(|array| function_call("unnest", vec![array]));
    let items = arrays.zip(names).map(|(expr, alias)| SelectItem::ExprWithAlias { expr, alias });
    *factor = derived(false, query_of(items.collect()), alias);
}

/// `SELECT e FROM jsonb_array_elements(x) AS e ORDER BY e`: the row of a function whose column has a name of its own is
/// the column's value.
pub fn name_rows(query: &mut ast::Query) {
    let ast::SetExpr::Select(select) = query.body.as_mut() else { return };
    let rows: Vec<(String, Ident)> = factors(&select.from).into_iter().filter_map(row_of).collect();
    if rows.is_empty() {
        return;
    }
    let column = |expr: &Expr| match expr {
        Expr::Identifier(name) => {
            let (_, column) = rows.iter().find(|(row, _)| *row == folded(name))?;
            Some(Expr::CompoundIdentifier(vec![name.clone(), column.clone()]))
        }
        _ => None,
    };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(name)) = item
            && let Some(expr) = column(&Expr::Identifier(name.clone()))
        {
            *item = SelectItem::ExprWithAlias { expr, alias: name.clone() };
        }
    }
    let mut name = |expr: &mut Expr| {
        if let Some(named) = column(expr) {
            *expr = named;
        }
        ControlFlow::<()>::Continue(())
    };
    let _ = visit::expressions_mut(select, &mut name);
    let _ = visit::expressions_mut(&mut query.order_by, &mut name);
}

/// The alias of a call whose column is called otherwise, and the column.
fn row_of(factor: &TableFactor) -> Option<(String, Ident)> {
    let (alias, function) = match factor {
        TableFactor::Table { alias: Some(alias), with_ordinality: false, .. } => {
            (alias, function_of(factor)?)
        }
        TableFactor::Function { alias: Some(alias), name, with_ordinality: false, .. } => {
            (alias, folded(name.0.last()?.as_ident()?))
        }
        _ => return None,
    };
    let (_, column) = SETS.iter().find(|(set, _)| *set == function)?;
    let column = column.filter(|column| alias.columns.is_empty() && folded(&alias.name) != *column)?;
    Some((folded(&alias.name), Ident::new(column)))
}

/// Arrays side by side, one column each, and the numbers of their elements if they are asked for. A function that has
/// no names for its columns calls them as its alias, or as itself when there are several.
fn unnest(
    function: &str,
    alias: Option<TableAlias>,
    mut arrays: Vec<Expr>,
    columns: &[&str],
    ordinality: bool,
) -> TableFactor {
    let mut alias = alias.unwrap_or_else(|| alias_of(Ident::new(function)));
    let defaults: Vec<Ident> = match (columns, arrays.len()) {
        ([], 1) => vec![alias.name.clone()],
        // The planner tells columns apart by their names.
        ([], count) => (0..count)
            .map(|n| Ident::new(if n == 0 { function.to_owned() } else { format!("{function}_{}", n + 1) }))
            .collect(),
        (columns, _) => columns.iter().map(|name| Ident::new(*name)).collect(),
    };
    let ordinal = ordinality.then(|| Ident::new("ordinality"));
    if ordinality {
        arrays.push(function_call("hither_ordinals", arrays.clone()));
    }
    let missing = defaults.into_iter().chain(ordinal).skip(alias.columns.len());
    let missing: Vec<_> = missing.map(|name| TableAliasColumnDef { name, data_type: None }).collect();
    alias.columns.extend(missing);
    group_names::tell_arrays_apart(&mut arrays);
    TableFactor::UNNEST {
        alias: Some(alias),
        array_exprs: arrays,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    }
}

fn unnamed_arguments(args: &ast::TableFunctionArgs) -> Vec<Expr> {
    let expression = |argument: &ast::FunctionArg| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    args.args.iter().filter_map(expression).collect()
}

/// `f(x) alias` in FROM, where f returns one value: `(SELECT f(x) AS alias) alias`. What its arguments name stands
/// before it.
fn one_row(call: Expr, alias: Option<TableAlias>, function: &str, ordinality: bool) -> TableFactor {
    let alias = alias.unwrap_or_else(|| alias_of(Ident::new(function)));
    let column = alias.columns.first().map_or_else(|| alias.name.clone(), |column| column.name.clone());
    let lateral = values::names_columns(&call);
    let mut items = vec![SelectItem::ExprWithAlias { expr: call, alias: column }];
    if ordinality {
        let one = cast_to(number(1), ast::DataType::BigInt(None));
        let name =
            alias.columns.get(1).map_or_else(|| Ident::new("ordinality"), |column| column.name.clone());
        items.push(SelectItem::ExprWithAlias { expr: one, alias: name });
    }
    derived(lateral, query_of(items), alias)
}

/// A whole number that fits into `integer`.
fn is_integer(expr: &Expr) -> bool {
    match expr {
        Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => is_integer(expr),
        Expr::Nested(expr) => is_integer(expr),
        Expr::BinaryOp { left, op, right } => {
            use ast::BinaryOperator::{Minus, Multiply, Plus};
            matches!(op, Plus | Minus | Multiply) && is_integer(left) && is_integer(right)
        }
        Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) => digits.parse::<i32>().is_ok(),
            _ => false,
        },
        _ => false,
    }
}

/// The planner's series is of bigint: `(SELECT CAST(v AS int) AS g FROM generate_series(1, 3) AS s(v)) AS g`.
fn integers(series: &TableFactor, alias: TableAlias) -> TableFactor {
    let value = Ident::new("hither_v");
    let mut series = series.clone();
    if let TableFactor::Table { alias, .. } = &mut series {
        let columns = vec![TableAliasColumnDef { name: value.clone(), data_type: None }];
        *alias = Some(TableAlias { columns, ..alias_of(Ident::new("hither_s")) });
    }
    let name = alias.columns.first().map_or_else(|| alias.name.clone(), |column| column.name.clone());
    let cast = cast_to(Expr::Identifier(value), ast::DataType::Int(None));
    let item = SelectItem::ExprWithAlias { expr: cast, alias: name };
    derived(false, query_from(vec![item], series), alias)
}

/// `jsonb_to_recordset(x) AS r(id int, about jsonb)`: each element's fields, cast; `None` for everything else.
fn records(factor: &TableFactor, known: &Known) -> Option<TableFactor> {
    let function = function_of(factor)?;
    let (_, many) = RECORDS.iter().find(|(record, _)| *record == function)?;
    let TableFactor::Table { alias: Some(alias), args: Some(args), with_ordinality: false, .. } = factor
    else {
        return None;
    };
    let [document] = unnamed_arguments(args).try_into().ok()?;
    let elements = match (many, function.starts_with("jsonb")) {
        (true, true) => format!("jsonb_array_elements({document}) AS hither_e(value)"),
        (true, false) => format!("json_array_elements({document}) AS hither_e(value)"),
        (false, _) if function == PAIRS_TO_RECORD => {
            format!("(SELECT CAST({document} AS hstore) AS value) AS hither_e")
        }
        (false, _) => format!("(SELECT {document} AS value) AS hither_e"),
    };
    let document_type = if function.starts_with("jsonb") { "jsonb" } else { "json" };
    let field = |column: &TableAliasColumnDef| {
        let (name, ty) = (&column.name, column.data_type.as_ref()?);
        let key = column.name.value.replace('\'', "''");
        if function == PAIRS_TO_RECORD {
            return Some(format!("CAST(hither_e.value -> '{key}' AS {ty}) AS {name}"));
        }
        let document = format!("CAST(hither_e.value AS {document_type})");
        // The conditions of a domain are asked in a cast, and the fields of an interval counted.
        let is_cast = matches!(ty, ast::DataType::Interval { .. }) || known.domain(ty).is_some();
        Some(match is_cast {
            true => format!("CAST({document} ->> '{key}' AS {ty}) AS {name}"),
            false => format!("{MEMBER}(CAST(NULL AS {ty}), {document}, '{key}') AS {name}"),
        })
    };
    let fields: Vec<String> = alias.columns.iter().map(field).collect::<Option<_>>()?;
    if fields.is_empty() {
        return None;
    }
    let subquery = dialect::parse_query(&format!("SELECT {} FROM {elements}", fields.join(", "))).ok()?;
    let alias = TableAlias { columns: Vec::new(), ..alias.clone() };
    Some(derived(true, *subquery, alias))
}

/// A call in FROM has the function's name for an alias if no other; one that yields one column names it so too.
pub fn name_column(function: &ObjectName, alias: &mut Option<TableAlias>) {
    let Some(name) = function.0.last().and_then(|part| part.as_ident()).cloned() else { return };
    let is_series = name.value.eq_ignore_ascii_case("generate_series");
    let alias = alias.get_or_insert_with(|| alias_of(name));
    if is_series && alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
}
