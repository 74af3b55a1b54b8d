//! Calls of SQL functions in a statement's tree.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, ObjectName, SelectItem,
    SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableFunctionArgs, VisitMut, VisitorMut,
};

use crate::catalog::{Function, Oid, Returns, ViewColumn};
use crate::error::{Error, Result, SqlState};
use crate::functions::records::ROW;
use crate::planner::session_values::VOID;
use crate::sql::aggregates::is_of_rows;
use crate::sql::context::PlanContext;
use crate::sql::dialect;
use crate::sql::known::quoted;
use crate::sql::records;
use crate::sql::rewrite::{cast_to, name_of};
use crate::sql::routines::call::{Found, candidates, expression, find};
use crate::sql::routines::carriers::{carrying, typed};
use crate::sql::routines::listed::{listed_types, unlisted};
use crate::sql::routines::scopes::{QueryScope, Scopes, Typer, first_term};
use crate::sql::routines::table::columns_of;
use crate::sql::routines::{NESTED_MAX, body};
use crate::sql::rows_from;
use crate::sql::set_functions;
use crate::sql::trees::{alias_of, computed, derived, query_from, relation, text};
use crate::sql::values::names_columns;
use crate::sql::visit;
use crate::types::{RangeType, Type};

/// A function of this oid, as FROM names it to the planner.
const FUNCTION: &str = "__function_";
/// What such names have in them, so that no client can write one: in FROM they become text without quotes, where no other mark
/// would be read again.
static SECRET: LazyLock<String> =
    LazyLock::new(|| format!("{:016x}", RandomState::new().build_hasher().finish()));
/// What stands in FROM for a function of the select list; not to be written without quotes.
const SET: &str = "set of rows";

/// Puts the bodies of SQL functions in the place of their calls.
pub fn expand(tree: &mut impl VisitMut, context: &PlanContext) -> Result<()> {
    expand_in(tree, context, None, 0)
}

/// The same where no query is around, and `typer` tells the types of expressions.
pub fn expand_typed(tree: &mut impl VisitMut, context: &PlanContext, typer: Typer) -> Result<()> {
    expand_in(tree, context, Some(typer), 0)
}

fn expand_in(
    tree: &mut impl VisitMut,
    context: &PlanContext,
    typer: Option<Typer>,
    depth: usize,
) -> Result<()> {
    if context.catalog.functions().next().is_none() {
        return Ok(());
    }
    if depth > NESTED_MAX {
        return Err(Error::new(SqlState("54001"), "stack depth limit exceeded"));
    }
    match visit::walk_mut(tree, &mut Expander::new(context, depth, typer)) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Gives the SQL functions that a query calls their schemas; their oids, and those of all that a call may mean where the
/// types of its arguments decide.
pub fn qualify(query: &mut ast::Query, context: &PlanContext) -> Result<Vec<Oid>> {
    let mut qualifier = Qualifier { context, found: Vec::new() };
    match visit::walk_mut(query, &mut qualifier) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(qualifier.found),
    }
}

struct Qualifier<'a> {
    context: &'a PlanContext<'a>,
    found: Vec<Oid>,
}

impl Qualifier<'_> {
    fn name(&mut self, name: &mut ObjectName, args: &[FunctionArg]) -> Result<()> {
        let context = self.context;
        let found = candidates(context.catalog, context.search_path, &[], name, args)?;
        // They share a schema.
        if let Some(Found { function, .. }) = found.first() {
            *name = ObjectName::from(vec![quoted(&function.schema), quoted(&function.name)]);
        }
        self.found.extend(found.iter().map(|found| found.function.oid));
        Ok(())
    }
}

impl VisitorMut for Qualifier<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        control(match factor {
            TableFactor::Table { name, args: Some(args), .. } => self.name(name, &args.args),
            TableFactor::Function { name, args, .. } => self.name(name, args),
            _ => Ok(()),
        })
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        let args = match &call.args {
            FunctionArguments::List(list) => list.args.clone(),
            _ => Vec::new(),
        };
        control(self.name(&mut call.name, &args))
    }
}

/// The oid in a name that FROM has of a function, and how many columns are listed behind the arguments.
pub fn called_by_name(name: &str) -> Option<(Oid, usize)> {
    let (secret, rest) = name.strip_prefix(FUNCTION)?.split_once('_')?;
    let (oid, listed) = rest.split_once('_')?;
    (secret == *SECRET).then_some((oid.parse().ok()?, listed.parse().ok()?))
}

struct Expander<'a> {
    context: &'a PlanContext<'a>,
    depth: usize,
    typer: Option<Typer<'a>>,
    scopes: Scopes,
    /// Polymorphic functions whose bodies were planned with these types of arguments.
    checked: RefCell<HashSet<(Oid, Vec<Type>)>>,
}

/// A call whose function is known, with its types.
struct Call {
    function: Arc<Function>,
    arguments: Vec<Expr>,
    /// How many arguments were given.
    given: usize,
    /// The arguments carry their types.
    is_typed: bool,
}

impl Call {
    fn argument(&self, position: usize) -> Expr {
        match self.is_typed {
            true => self.arguments[position].clone(),
            false => typed(&self.function, position, self.given, &self.arguments[position]),
        }
    }
}

/// Arguments, and the types they were found to have.
type Asked = (Vec<Expr>, Vec<Option<Type>>);

impl<'a> Expander<'a> {
    fn new(context: &'a PlanContext<'a>, depth: usize, typer: Option<Typer<'a>>) -> Expander<'a> {
        Expander { context, depth, typer, scopes: Scopes::default(), checked: RefCell::default() }
    }

    /// The functions that a call may mean, as far as that is known without planning.
    fn candidates(&self, name: &ObjectName, args: &[FunctionArg]) -> Result<Vec<Found>> {
        let context = self.context;
        candidates(context.catalog, context.search_path, context.param_types, name, args)
    }

    /// The function that a call means, whose arguments are planned where that is needed.
    fn call(&self, name: &ObjectName, args: &[FunctionArg]) -> Result<Option<Call>> {
        let context = self.context;
        // Each function that may be meant asks for the types, and planning them is dear.
        let asked: RefCell<Vec<Asked>> = RefCell::default();
        let types_of = |arguments: &[Expr]| {
            if let Some((_, types)) = asked.borrow().iter().find(|(known, _)| known == arguments) {
                return Ok(types.clone());
            }
            let types = self.scopes.types_of(arguments, context, self.typer)?;
            asked.borrow_mut().push((arguments.to_vec(), types.clone()));
            Ok(types)
        };
        let Some(mut found) = find(context.catalog, context.search_path, &types_of, name, args)? else {
            return Ok(None);
        };
        // What the call gives is expanded before it; defaults are not in the tree until now.
        let function = Arc::clone(&found.function);
        for default in found.defaults_mut() {
            let search_path = path(&function, context);
            let inside = PlanContext { search_path: &search_path, ..*context };
            expand_in(default, &inside, None, self.depth + 1)?;
        }
        let given = args.len();
        if !found.needs_types() {
            let Found { function, arguments, .. } = found;
            return Ok(Some(Call { function, arguments, given, is_typed: false }));
        }
        let single = found.single();
        let settled = found.settled(&types_of(&single)?)?;
        let (function, oid) = (settled.function, found.function.oid);
        let mut carried = single.into_iter().zip(&settled.single).map(|(expr, ty)| carrying(oid, ty, expr));
        let mut arguments: Vec<Expr> = carried.by_ref().take(function.arguments.len()).collect();
        if found.is_spread() {
            let mut elem: Vec<Expr> = arguments.pop().into_iter().collect();
            elem.extend(carried);
            let array = Expr::Array(ast::Array { elem, named: true });
            let ty = function.variadic().map(|argument| &argument.ty);
            arguments.extend(ty.map(|ty| carrying(oid, ty, array)));
        }
        let key = (oid, function.argument_types());
        if found.function.is_polymorphic() && !self.checked.borrow().contains(&key) {
            if !self.body_calls(&function)? {
                super::check(&function, context)?;
            }
            self.checked.borrow_mut().insert(key);
        }
        Ok(Some(Call { function, arguments, given, is_typed: true }))
    }

    /// Whether a function's body calls functions in SQL, itself maybe.
    fn body_calls(&self, function: &Function) -> Result<bool> {
        let search_path = path(function, self.context);
        let mut query = body::query(function, self.context.catalog, &search_path)?;
        let inside = PlanContext { search_path: &search_path, ..*self.context };
        Ok(qualify(&mut query, &inside).map_or(true, |found| !found.is_empty()))
    }

    /// The call's value as an expression.
    fn inline(&self, call: &Call) -> Result<Expr> {
        let function = &*call.function;
        if function.returns_set() {
            return Err(Error::unsupported(
                "a set-returning SQL function outside of FROM and the select list",
            ));
        }
        let names_columns = call.arguments.iter().any(names_columns);
        let is_row = function.value().is_none();
        if is_row && !names_columns {
            return self.subquery(call);
        }
        let query = body::query(function, self.context.catalog, &path(function, self.context))?;
        let nulls = (0..call.arguments.len()).map(|place| Expr::IsNull(Box::new(call.argument(place))));
        let value = match body::expressions(&query).as_deref() {
            Some(items) if is_row => match self.row(call, items)? {
                Some(row) => row,
                None => self.subquery(call)?,
            },
            Some([(_, expr)]) => self.substituted(call, expr)?,
            _ => self.subquery(call)?,
        };
        let value = match nulls.reduce(or) {
            Some(any) if function.strict => case_when_not(any, value),
            _ => value,
        };
        match function.value() {
            None => Ok(value),
            Some(Type::Void) => Ok(crate::sql::rewrite::function_call(VOID, vec![value])),
            Some(returns) => returned(function, value, returns),
        }
    }

    /// The row that a body without FROM makes; `None` where its columns would not be known.
    fn row(&self, call: &Call, items: &[(String, &Expr)]) -> Result<Option<Expr>> {
        let mut fields = Vec::with_capacity(2 * items.len());
        match &call.function.returns {
            Returns::Record => {
                if let [(_, row @ Expr::Tuple(_))] = items {
                    return self.substituted(call, row).map(Some);
                }
                for ((name, _), value) in items.iter().zip(self.substituted_all(call, items)?) {
                    fields.extend([text(name.clone()), value]);
                }
            }
            Returns::Table(columns) if columns.len() == items.len() => {
                for (value, column) in self.substituted_all(call, items)?.into_iter().zip(columns) {
                    let value = returned(&call.function, value, &column.ty)?;
                    fields.extend([text(column.name.clone()), value]);
                }
            }
            _ => return Ok(None),
        }
        Ok(Some(crate::sql::rewrite::function_call(ROW, fields)))
    }

    /// The columns of a row with arguments in the places of parameters; what is volatile may be in one of them only.
    fn substituted_all(&self, call: &Call, items: &[(String, &Expr)]) -> Result<Vec<Expr>> {
        let row = Expr::Tuple(items.iter().map(|(_, expr)| Expr::clone(expr)).collect());
        let Expr::Nested(row) = self.substituted(call, &row)? else {
            return Err(Error::internal("the columns of a row are no row"));
        };
        let Expr::Tuple(values) = *row else {
            return Err(Error::internal("the columns of a row are no row"));
        };
        Ok(values.into_iter().map(|value| Expr::Nested(Box::new(value))).collect())
    }

    /// The expression with arguments in the places of parameters.
    fn substituted(&self, call: &Call, expr: &Expr) -> Result<Expr> {
        let (function, arguments) = (&*call.function, call.arguments.as_slice());
        let mut expr = Expr::Nested(Box::new(expr.clone()));
        let types: Vec<Option<Type>> = function.argument_types().into_iter().map(Some).collect();
        let search_path = path(function, self.context);
        let context = PlanContext { search_path: &search_path, param_types: &types, ..*self.context };
        expand_in(&mut expr, &context, None, self.depth + 1)?;
        let mut uses = vec![0; arguments.len()];
        let _ = visit::expressions_mut(&mut expr, |part| {
            if let Some(number) = body::parameter(part)
                && number.wrapping_sub(1) < arguments.len()
            {
                uses[number - 1] += 1;
                *part = call.argument(number - 1);
            }
            ControlFlow::<()>::Continue(())
        });
        let twice =
            arguments.iter().zip(&uses).any(|(argument, &uses)| uses > 1 && self.is_volatile(argument));
        match twice {
            true => Err(Error::unsupported("a volatile argument that a SQL function uses more than once")),
            false => Ok(expr),
        }
    }

    /// A function that reads tables, as a subquery.
    fn subquery(&self, call: &Call) -> Result<Expr> {
        let (function, arguments) = (&*call.function, call.arguments.clone());
        if arguments.iter().any(names_columns) {
            return Err(Error::unsupported("a SQL function that reads tables, called with columns,"));
        }
        let mut query = dialect::parse_query("SELECT * FROM f() LIMIT 1")?;
        if let SetExpr::Select(select) = query.body.as_mut()
            && let Some(TableFactor::Table { name, args: Some(args), alias, .. }) =
                select.from.first_mut().map(|from| &mut from.relation)
        {
            *name = function_name(function, 0);
            args.args = arguments.into_iter().map(unnamed).collect();
            *alias = Some(alias_of(quoted(&function.name)));
            if function.value().is_none() {
                // The row, as a value.
                select.projection =
                    vec![SelectItem::UnnamedExpr(records::row_of(quoted(&function.name).into()))];
            }
        }
        Ok(Expr::Subquery(query))
    }

    fn is_volatile(&self, argument: &Expr) -> bool {
        let functions = self.context.environment.state().scalar_functions();
        let found = visit::expressions(argument, |part| match part {
            Expr::Function(_) => {
                let known = functions.get(&name_of(part));
                match known.is_some_and(|f| f.signature().volatility == Volatility::Volatile) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            }
            _ => ControlFlow::Continue(()),
        });
        found.is_break()
    }

    fn expand_factor(&self, factor: &mut TableFactor) -> Result<()> {
        if let TableFactor::Function { name, args, alias, with_ordinality: numbers, .. } = factor
            && !self.candidates(name, args)?.is_empty()
        {
            let mut call = call_in_from(name.clone(), args.clone(), alias.take());
            if let TableFactor::Table { with_ordinality, .. } = &mut call {
                *with_ordinality = *numbers;
            }
            *factor = call;
        }
        rows_from::settle(factor)?;
        if let Some(items) = rows_from::items_of(factor) {
            return items.iter_mut().try_for_each(|item| self.expand_item(item));
        }
        let TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } = factor else {
            return Ok(());
        };
        let Some(Call { function, mut arguments, .. }) = self.call(name, &args.args)? else {
            return Ok(());
        };
        let listed = listed_types(&function, alias.as_mut(), *with_ordinality)?;
        let numbers = std::mem::take(with_ordinality);
        if !matches!(function.returns, Returns::Scalar(_)) {
            let lateral = arguments.iter().any(names_columns);
            *name = function_name(&function, listed.len());
            arguments.extend(listed.into_iter().map(|ty| cast_to(Expr::value(ast::Value::Null), ty)));
            args.args = arguments.into_iter().map(unnamed).collect();
            if !numbers && let Returns::SetOf(_) = function.returns {
                name_column(alias.get_or_insert_with(|| alias_of(quoted(&function.name))));
            }
            if numbers || lateral {
                let columns = columns_of(&function, self.context.catalog)?;
                *factor = within_query(factor.clone(), &function, &columns, numbers, lateral)?;
            } else {
                alias.get_or_insert_with(|| alias_of(quoted(&function.name)));
            }
            return Ok(());
        }
        if numbers {
            let lateral = args.args.iter().filter_map(expression).any(names_columns);
            *factor = within_query(factor.clone(), &function, &[], true, lateral)?;
            return Ok(());
        }
        let alias = alias.get_or_insert_with(|| alias_of(quoted(&function.name)));
        name_column(alias);
        let mut subquery = dialect::parse_query("SELECT f()")?;
        if let SetExpr::Select(select) = subquery.body.as_mut()
            && let Some(SelectItem::UnnamedExpr(Expr::Function(call))) = select.projection.first_mut()
        {
            call.name = name.clone();
            if let FunctionArguments::List(list) = &mut call.args {
                list.args = args.args.clone();
            }
        }
        *factor = TableFactor::Derived { lateral: false, subquery, alias: Some(alias.clone()), sample: None };
        Ok(())
    }

    /// A function among several in FROM.
    fn expand_item(&self, item: &mut FunctionArg) -> Result<()> {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(item)) = item else { return Ok(()) };
        let Expr::Function(ast::Function { name, args: FunctionArguments::List(list), .. }) = &*item else {
            return Ok(());
        };
        let Some(Call { function, .. }) = self.call(name, &list.args)? else { return Ok(()) };
        let call = item.clone();
        *item = match &function.returns {
            Returns::Record => return Err(unlisted()),
            Returns::Scalar(_) | Returns::SetOf(_) => rows_from::values_of(call, &function.name)?,
            Returns::Table(_) | Returns::SetOfRows(_) => {
                let columns = columns_of(&function, self.context.catalog)?;
                rows_from::rows_of(call, columns.into_iter().map(|column| column.name).collect(), Vec::new())?
            }
        };
        Ok(())
    }

    fn expand_call(&self, expr: &mut Expr) -> Result<()> {
        let Expr::Function(call) = expr else { return Ok(()) };
        let args = match &call.args {
            FunctionArguments::List(list) => list.args.as_slice(),
            FunctionArguments::None => &[],
            FunctionArguments::Subquery(_) => return Ok(()),
        };
        let Some(found) = self.call(&call.name, args)? else { return Ok(()) };
        if call.over.is_some() || call.filter.is_some() {
            let message = format!("{} is not an aggregate function", found.function.signature());
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        *expr = self.inline(&found)?;
        Ok(())
    }

    /// The queries of WITH one by one, each with those before it in view.
    fn walk_with(&mut self, mut with: ast::With) -> ControlFlow<Error> {
        let parts = std::mem::take(&mut with.cte_tables);
        let recursive = with.recursive;
        if let Some(query) = self.scopes.queries.last_mut() {
            query.with = Some(with);
        }
        for mut part in parts {
            if recursive {
                self.scopes.parts_of_with().push(first_term(&part));
            }
            let walked = visit::walk_mut(&mut part, self);
            if recursive {
                self.scopes.parts_of_with().pop();
            }
            walked?;
            self.scopes.parts_of_with().push(part);
        }
        ControlFlow::Continue(())
    }

    /// An item of FROM with its joins, each with those before it in view.
    fn walk_item(&mut self, mut item: ast::TableWithJoins) -> ControlFlow<Error> {
        let joins = std::mem::take(&mut item.joins);
        visit::walk_mut(&mut item.relation, self)?;
        if let Some(from) = self.scopes.selects.last_mut() {
            from.push(item);
        }
        for mut join in joins {
            visit::walk_mut(&mut join.relation, self)?;
            let plain = ast::JoinOperator::CrossJoin(ast::JoinConstraint::None);
            let mut operator = std::mem::replace(&mut join.join_operator, plain);
            if let Some(joins) = self.last_joins() {
                joins.push(join);
            }
            visit::walk_mut(&mut operator, self)?;
            if let Some(join) = self.last_joins().and_then(|joins| joins.last_mut()) {
                join.join_operator = operator;
            }
        }
        ControlFlow::Continue(())
    }

    fn last_joins(&mut self) -> Option<&mut Vec<ast::Join>> {
        self.scopes.selects.last_mut()?.last_mut().map(|item| &mut item.joins)
    }

    /// Output columns keep the names that calls gave them.
    fn name_outputs(&self, body: &mut SetExpr) -> Result<()> {
        match body {
            SetExpr::SetOperation { left, right, .. } => {
                self.name_outputs(left)?;
                self.name_outputs(right)
            }
            SetExpr::Select(select) => {
                for item in &mut select.projection {
                    if let SelectItem::UnnamedExpr(expr) = item
                        && self.calls(expr)?
                    {
                        let alias = Ident::with_quote('"', name_of(expr));
                        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A function that returns a set, in a select list: `SELECT a, f(a) FROM t` is `SELECT a, s.f FROM t, f(a) AS s`.
    fn lift_sets(&self, body: &mut SetExpr) -> Result<()> {
        let select = match body {
            SetExpr::SetOperation { left, right, .. } => {
                self.lift_sets(left)?;
                return self.lift_sets(right);
            }
            SetExpr::Select(select) => select,
            _ => return Ok(()),
        };
        let Some((call, mut found)) = self.set_in(&select.projection)? else { return Ok(()) };
        let groups = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
        if groups || select.having.is_some() || select.projection.iter().filter_map(computed).any(is_of_rows)
        {
            return Err(Error::unsupported("a set-returning SQL function beside aggregates"));
        }
        if select.projection.iter().any(|item| computed(item).is_none()) {
            return Err(Error::unsupported("a set-returning SQL function beside *"));
        }
        if select.projection.iter().filter_map(computed).any(set_functions::returns_set) {
            return Err(Error::unsupported(
                "a set-returning SQL function beside another function that returns a set",
            ));
        }
        refuse_conditional(&select.projection, &call)?;
        let FunctionArguments::List(list) = &call.args else { return Ok(()) };
        let needs_types = found.iter().any(Found::needs_types);
        let of_values = found.iter().any(|found| matches!(found.function.returns, Returns::SetOf(_)));
        let alias = quoted(SET);
        let value = Expr::CompoundIdentifier(vec![alias.clone(), alias.clone()]);
        let _ = visit::expressions_mut(&mut select.projection, |part| {
            if matches!(part, Expr::Function(found) if *found == call) {
                *part = value.clone();
            }
            ControlFlow::<()>::Continue(())
        });
        // One column, whose name nobody else has.
        let shown = alias_of(alias.clone());
        let mut relation = match found.pop() {
            Some(Found { function, arguments, .. }) if found.is_empty() && !needs_types => {
                let arguments = arguments.into_iter().map(unnamed).collect();
                call_in_from(function_name(&function, 0), arguments, Some(shown))
            }
            // Which one it is turns out in FROM.
            _ => call_in_from(call.name.clone(), list.args.clone(), Some(shown)),
        };
        let row = match &mut relation {
            TableFactor::Table { alias: Some(shown), .. } if of_values => {
                name_column(shown);
                value
            }
            _ => records::row_of(alias.clone().into()),
        };
        let item = SelectItem::ExprWithAlias { expr: row, alias: alias.clone() };
        let relation = derived(true, query_from(vec![item], relation), alias_of(alias));
        select.from.push(ast::TableWithJoins { relation, joins: Vec::new() });
        Ok(())
    }

    /// The one call in a select list of a function that returns a set, and the functions that it may mean: sets of values, or
    /// sets of rows.
    fn set_in(&self, list: &[SelectItem]) -> Result<Option<(ast::Function, Vec<Found>)>> {
        let mut found: Option<(ast::Function, Vec<Found>)> = None;
        for item in list {
            let outcome = visit::own_expressions(item, |part| {
                let Expr::Function(call) = part else { return ControlFlow::Continue(()) };
                let FunctionArguments::List(list) = &call.args else { return ControlFlow::Continue(()) };
                // Calls among the arguments tell more once they are expanded.
                let known = self.candidates(&call.name, &list.args).unwrap_or_default();
                if !returns_sets(&known) {
                    return ControlFlow::Continue(());
                }
                match &found {
                    Some((seen, _)) if seen == call => {}
                    Some(_) => {
                        return ControlFlow::Break(Error::unsupported(
                            "several set-returning SQL functions in one select list",
                        ));
                    }
                    None => found = Some((call.clone(), known)),
                }
                ControlFlow::Continue(())
            });
            if let ControlFlow::Break(error) = outcome {
                return Err(error);
            }
        }
        Ok(found)
    }

    /// Whether one of our functions is called in an expression.
    fn calls(&self, expr: &Expr) -> Result<bool> {
        let found = visit::expressions(expr, |part| {
            let Expr::Function(call) = part else { return ControlFlow::Continue(()) };
            let FunctionArguments::List(list) = &call.args else { return ControlFlow::Continue(()) };
            match self.candidates(&call.name, &list.args) {
                Ok(found) if found.is_empty() => ControlFlow::Continue(()),
                Ok(_) => ControlFlow::Break(Ok(true)),
                Err(error) => ControlFlow::Break(Err(error)),
            }
        });
        found.break_value().unwrap_or(Ok(false))
    }
}

impl VisitorMut for Expander<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<Error> {
        control(self.name_outputs(&mut query.body).and_then(|()| self.lift_sets(&mut query.body)))?;
        let with = query.with.take();
        let order = match query.body.as_ref() {
            SetExpr::Select(_) => query.order_by.take(),
            _ => None,
        };
        self.scopes.queries.push(QueryScope { order, ..QueryScope::default() });
        match with {
            Some(with) => self.walk_with(with),
            None => ControlFlow::Continue(()),
        }
    }

    fn post_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<Error> {
        if let Some(scope) = self.scopes.queries.pop() {
            query.with = scope.with;
            query.order_by = scope.order.or_else(|| query.order_by.take());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<Error> {
        self.scopes.selects.push(Vec::new());
        std::mem::take(&mut select.from).into_iter().try_for_each(|item| self.walk_item(item))
    }

    fn post_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<Error> {
        // What is ordered by may name the columns.
        if let Some(mut order) = self.scopes.queries.last_mut().and_then(|query| query.order.take()) {
            visit::walk_mut(&mut order, self)?;
            if let Some(query) = self.scopes.queries.last_mut() {
                query.order = Some(order);
            }
        }
        select.from = self.scopes.selects.pop().unwrap_or_default();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        control(self.expand_factor(factor))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Some(column) = column_of_row(expr) {
            *expr = column;
            return ControlFlow::Continue(());
        }
        control(self.expand_call(expr))
    }
}

fn control(outcome: Result<()>) -> ControlFlow<Error> {
    match outcome {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

/// The schemas in which a function's body looks for names.
pub fn path(function: &Function, context: &PlanContext) -> Vec<String> {
    match &function.search_path {
        None => context.search_path.to_vec(),
        Some(path) => path.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect(),
    }
}

/// Whether all functions that a call may mean return sets, and all of the same kind.
fn returns_sets(found: &[Found]) -> bool {
    let of_values = |found: &Found| matches!(found.function.returns, Returns::SetOf(_));
    found.first().is_some_and(|first| {
        let is_alike = |one: &Found| one.function.returns_set() && of_values(one) == of_values(first);
        found.iter().all(is_alike)
    })
}

/// A call in FROM.
fn call_in_from(name: ObjectName, args: Vec<FunctionArg>, alias: Option<TableAlias>) -> TableFactor {
    relation(name, alias, Some(TableFunctionArgs { args, settings: None }))
}

/// 0A000 for a set where it may not be computed.
fn refuse_conditional(list: &[SelectItem], call: &ast::Function) -> Result<()> {
    let calls = |expr: &Expr| {
        let found = visit::own_expressions(expr, |part| match part {
            Expr::Function(found) if found == call => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        found.is_break()
    };
    for item in list {
        let place = visit::own_expressions(item, |part| match part {
            Expr::Case { .. } if calls(part) => ControlFlow::Break("CASE"),
            Expr::Function(outer) if outer != call && name_of(part) == "coalesce" && calls(part) => {
                ControlFlow::Break("COALESCE")
            }
            _ => ControlFlow::Continue(()),
        });
        if let ControlFlow::Break(place) = place {
            let message = format!("set-returning functions are not allowed in {place}");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
    }
    Ok(())
}

/// `(f(x)).a`, where the call has become a subquery that yields a row: one that yields its column `a`.
fn column_of_row(expr: &Expr) -> Option<Expr> {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return None };
    let (Expr::Nested(inner), [ast::AccessExpr::Dot(Expr::Identifier(column))]) =
        (root.as_ref(), access_chain.as_slice())
    else {
        return None;
    };
    let Expr::Subquery(query) = inner.as_ref() else { return None };
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let [ast::TableWithJoins { relation: TableFactor::Table { name, alias: Some(alias), .. }, .. }] =
        select.from.as_slice()
    else {
        return None;
    };
    name.0.last()?.as_ident().and_then(|name| called_by_name(&name.value))?;
    let table = alias.name.clone();
    let is_row = |item: &SelectItem| *item == SelectItem::UnnamedExpr(records::row_of(table.clone().into()));
    if !select.projection.iter().all(is_row) {
        return None;
    }
    select.projection = vec![SelectItem::UnnamedExpr(Expr::CompoundIdentifier(vec![table, column.clone()]))];
    Some(Expr::Subquery(query))
}

/// The column of a function that returns values is named as the function is.
fn name_column(alias: &mut TableAlias) {
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
}

/// A call in a subquery of its own: with the numbers of its rows behind them, or because it names columns of what stands
/// before it in FROM.
fn within_query(
    mut call: TableFactor,
    function: &Function,
    columns: &[ViewColumn],
    numbers: bool,
    lateral: bool,
) -> Result<TableFactor> {
    let TableFactor::Table { alias, .. } = &mut call else { return Ok(call) };
    let shown = alias.take().unwrap_or_else(|| alias_of(quoted(&function.name)));
    let mut inner = alias_of(shown.name.clone());
    if let Returns::SetOf(_) = function.returns {
        name_column(&mut inner);
    }
    *alias = Some(inner);
    // Those that are known by name, so that an alias may name the first only.
    let of_values = matches!(function.returns, Returns::SetOf(_));
    let mut items: Vec<SelectItem> = match columns {
        columns if columns.is_empty() || of_values => vec![SelectItem::Wildcard(Default::default())],
        columns => columns
            .iter()
            .map(|column| SelectItem::UnnamedExpr(Expr::Identifier(quoted(&column.name))))
            .collect(),
    };
    if numbers {
        let expr = dialect::parse_expression("row_number() OVER ()")?;
        items.push(SelectItem::ExprWithAlias { expr, alias: Ident::new("ordinality") });
    }
    Ok(derived(lateral, query_from(items, call), shown))
}

/// The name that FROM has of a function, with the count of the columns that are listed behind the arguments.
fn function_name(function: &Function, listed: usize) -> ObjectName {
    ObjectName::from(vec![Ident::new(format!("{FUNCTION}{}_{}_{listed}", *SECRET, function.oid))])
}

fn unnamed(expr: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
}

fn or(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: ast::BinaryOperator::Or, right: Box::new(right) }
}

/// `CASE WHEN NOT condition THEN value END`
fn case_when_not(condition: Expr, value: Expr) -> Expr {
    let not =
        Expr::UnaryOp { op: ast::UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(condition))) };
    Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![ast::CaseWhen { condition: not, result: value }],
        else_result: None,
    }
}

/// A value as the type that a function returns.
fn returned(function: &Function, value: Expr, ty: &Type) -> Result<Expr> {
    match ty {
        // Nobody need be able to write its name here.
        Type::Enum(_) | Type::Composite(_) | Type::Record(_) | Type::Range(RangeType::Own(_)) => {
            Ok(carrying(function.oid, ty, value))
        }
        ty => cast(value, ty),
    }
}

fn cast(value: Expr, ty: &Type) -> Result<Expr> {
    let mut cast = dialect::parse_expression(&format!("CAST(NULL AS {ty})"))?;
    if let Expr::Cast { expr, .. } = &mut cast {
        **expr = value;
    }
    Ok(Expr::Nested(Box::new(cast)))
}
