//! The function that a call means.
//!
//! PostgreSQL decides by the types of the arguments. Literals and casts tell theirs at once; of everything else they are
//! known when the query is planned, so the number and the names of the arguments decide first, and where that is not enough
//! whoever asks plans the arguments ([`crate::sql::routines::scopes`]).

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr};

use crate::catalog::{Catalog, Function};
use crate::error::{Error, Result, SqlState};
use crate::sql::dialect;
use crate::sql::dml::cells::{self, Constant};
use crate::sql::routines::body;
use crate::sql::type_names;
use crate::sql::variadic;
use crate::sql::visit;
use crate::sql::words::{fold, object_name};
use crate::types::cast::{Context, context};
use crate::types::polymorphic::{self, Misfit, polymorphic_of};
use crate::types::{Look, Polymorphic, Type};

/// A function that is called, with an expression per parameter.
#[derive(Clone)]
pub struct Found {
    pub function: Arc<Function>,
    pub arguments: Vec<Expr>,
    /// Which of them are defaults.
    defaults: Vec<bool>,
    /// How many arguments at the end are elements of the last parameter's array.
    spread: Option<usize>,
}

impl Found {
    /// Whether the types of the arguments are needed before anything else.
    pub fn needs_types(&self) -> bool {
        self.function.is_polymorphic() || self.spread.is_some()
    }

    /// Whether arguments are elements of the last parameter's array.
    pub fn is_spread(&self) -> bool {
        self.spread.is_some()
    }

    /// The arguments one by one, those of a VARIADIC parameter too.
    pub fn single(&self) -> Vec<Expr> {
        match (self.spread, self.arguments.split_last()) {
            (Some(_), Some((Expr::Array(last), first))) => first.iter().chain(&last.elem).cloned().collect(),
            _ => self.arguments.clone(),
        }
    }

    /// What each of them is declared as.
    fn declared(&self) -> Vec<Type> {
        let mut types = self.function.argument_types();
        if let Some(count) = self.spread
            && let Some(last) = types.pop()
        {
            let element = match &last {
                Type::Polymorphic(Polymorphic::Array) => Type::Polymorphic(Polymorphic::Element),
                Type::Polymorphic(_) => Type::Polymorphic(Polymorphic::Compatible),
                array => array.element().clone(),
            };
            types.extend(std::iter::repeat_n(element, count));
        }
        types
    }

    /// The function with the types of a call whose arguments are of these, and the types of the single arguments; `None`
    /// stands for one that is not known. 42883 when they do not fit.
    pub fn settled(&self, given: &[Option<Type>]) -> Result<Settled> {
        let declared = self.declared();
        let missing = || missing(&self.function.name, given);
        let actual = polymorphic::resolve(&declared, given).map_err(|misfit| match misfit {
            Misfit::Missing => missing(),
            Misfit::Unknown => undetermined(),
        })?;
        let single: Vec<Type> =
            declared.iter().map(|ty| actual.of(ty).ok_or_else(undetermined)).collect::<Result<_>>()?;
        for (given, to) in given.iter().zip(&single) {
            if let Some(from) = given
                && from.bare() != *to
                && context(from, to) != Some(Context::Implicit)
            {
                return Err(missing());
            }
        }
        if self.is_spread()
            && self.function.is_polymorphic()
            && let Some(Type::Array(item)) = single.last()
        {
            let message = format!("could not find array type for data type {item}[]");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
        let parameters = self.function.argument_types();
        let types: Vec<Type> =
            parameters.iter().map(|ty| actual.of(ty).ok_or_else(undetermined)).collect::<Result<_>>()?;
        let function = self.function.with_types(types, |ty| actual.of(ty)).ok_or_else(undetermined)?;
        Ok(Settled { function: Arc::new(function), single })
    }
}

/// The function of a call whose types are known, and the types of its single arguments.
pub struct Settled {
    pub function: Arc<Function>,
    pub single: Vec<Type>,
}

fn undetermined() -> Error {
    let message = "could not determine polymorphic type because input has type unknown";
    Error::new(SqlState::DATATYPE_MISMATCH, message)
}

/// What is known of the type of an expression.
pub enum Told {
    Type(Type),
    /// A text literal, NULL, or a parameter of which nothing is known.
    Unknown,
    /// Planning tells.
    Nothing,
}

/// Types of arguments, as far as whoever asks can tell them.
pub type TypesOf<'a> = &'a dyn Fn(&[Expr]) -> Result<Vec<Option<Type>>>;

/// The function a call means; `None` when no function of ours has the name.
pub fn find(
    catalog: &Catalog,
    search_path: &[String],
    types_of: TypesOf,
    name: &ast::ObjectName,
    arguments: &[FunctionArg],
) -> Result<Option<Found>> {
    if catalog.functions().next().is_none() {
        return Ok(None);
    }
    let read = object_name("", name);
    let schemas = match &read.schema {
        Some(schema) => std::slice::from_ref(schema),
        None => search_path,
    };
    let mut fitting: Vec<Found> = Vec::new();
    let mut known = false;
    for schema in schemas {
        for function in catalog.functions_named(schema, &read.name) {
            known = true;
            fitting.extend(place(function, arguments)?);
        }
        if !fitting.is_empty() {
            break;
        }
    }
    if fitting.len() > 1 {
        choose(&mut fitting, types_of)?;
    }
    match fitting.len() {
        0 if known && read.schema.is_some() => {
            let given: Vec<Expr> = arguments.iter().filter_map(expression).cloned().collect();
            let types = types_of(&given).unwrap_or_else(|_| vec![None; given.len()]);
            Err(missing(&name.to_string(), &types))
        }
        // A function of the system may have the name.
        0 => Ok(None),
        1 => Ok(fitting.pop()),
        _ => {
            let given: Vec<Expr> = arguments.iter().filter_map(expression).cloned().collect();
            let message = format!("function {} is not unique", shown(&name.to_string(), &types_of(&given)?));
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
            && let Ok(Some(found)) = find(catalog, search_path, &written_types(&[]), &call.name, &list.args)
        {
            called.push(found.function);
        }
        ControlFlow::<()>::Continue(())
    });
    Ok(called)
}

/// The types that arguments tell by how they are written.
pub fn written_types(parameters: &[Option<Type>]) -> impl Fn(&[Expr]) -> Result<Vec<Option<Type>>> + '_ {
    move |arguments| {
        let told = |argument: &Expr| match told(argument, parameters) {
            Told::Type(ty) => Some(ty),
            Told::Unknown | Told::Nothing => None,
        };
        Ok(arguments.iter().map(told).collect())
    }
}

/// The expression of an argument, and its name if it has one.
fn expression(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
        | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }
        | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(expr), .. } => Some(expr),
        _ => None,
    }
}

fn name_of(argument: &FunctionArg) -> Option<String> {
    match argument {
        FunctionArg::Named { name, .. } | FunctionArg::ExprNamed { name: Expr::Identifier(name), .. } => {
            Some(fold(name))
        }
        _ => None,
    }
}

/// The arguments in the order of the parameters, with defaults; `None` when they do not fit.
fn place(function: &Arc<Function>, arguments: &[FunctionArg]) -> Result<Option<Found>> {
    let count = function.arguments.len();
    let is_array = arguments.last().and_then(name_of).is_some_and(|name| name == variadic::ARGUMENT);
    if is_array && function.variadic().is_none() {
        return Ok(None);
    }
    let spreads = function.variadic().is_some()
        && !is_array
        && arguments.len() >= count
        && arguments.iter().all(|argument| name_of(argument).is_none());
    let mut placed: Vec<Option<Expr>> = vec![None; count];
    let mut elements = Vec::new();
    for (position, argument) in arguments.iter().enumerate() {
        let Some(expr) = expression(argument) else { return Ok(None) };
        if spreads && position + 1 >= count {
            elements.push(expr.clone());
            continue;
        }
        let place = match name_of(argument) {
            None => Some(position),
            Some(name) if name == variadic::ARGUMENT => Some(count - 1),
            Some(name) => {
                let place = |known: &crate::catalog::Argument| known.name.as_ref() == Some(&name);
                let place = function.arguments.iter().position(place);
                if place.is_some_and(|place| placed[place].is_some()) {
                    let message = format!("argument name \"{name}\" used more than once");
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
                // An array has to be said to be the array.
                place.filter(|&place| !function.arguments[place].variadic)
            }
        };
        let free = place.and_then(|place| placed.get_mut(place)).filter(|free| free.is_none());
        let Some(free) = free else { return Ok(None) };
        *free = Some(expr.clone());
    }
    let spread = spreads.then_some(elements.len());
    if let (true, Some(last)) = (spreads, placed.last_mut()) {
        *last = Some(Expr::Array(ast::Array { elem: elements, named: true }));
    }
    let defaults = placed.iter().map(Option::is_none).collect();
    let mut full = Vec::with_capacity(placed.len());
    for (expr, argument) in placed.into_iter().zip(&function.arguments) {
        match (expr, &argument.default) {
            (Some(expr), _) => full.push(expr),
            (None, Some(default)) => full.push(dialect::parse_expression(default)?),
            (None, None) => return Ok(None),
        }
    }
    Ok(Some(Found { function: Arc::clone(function), arguments: full, defaults, spread }))
}

/// How well an argument fits its parameter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Cast = 100,
    Preferred = 200,
    Exact = 400,
}

/// Leaves those whose parameters fit the arguments best, as far as the arguments tell their types.
fn choose(fitting: &mut Vec<Found>, types_of: TypesOf) -> Result<()> {
    let mut scored = Vec::with_capacity(fitting.len());
    for found in fitting.iter() {
        // What is wrong with an argument is said when it is planned.
        let single = found.single();
        let given = types_of(&single).unwrap_or_else(|_| vec![None; single.len()]);
        let declared = found.declared();
        let resolves = polymorphic::resolve(&declared, &given) != Err(Misfit::Missing);
        let is_given = |place: &usize| !found.defaults.get(*place).copied().unwrap_or(false);
        let scores = (0..declared.len())
            .filter(is_given)
            .map(|place| fit(&declared[place], given.get(place).and_then(Option::as_ref)));
        scored.push(match resolves {
            true => scores.sum::<Option<u32>>(),
            false => None,
        });
    }
    let best = scored.iter().flatten().max().copied();
    let mut scores = scored.into_iter();
    fitting.retain(|_| scores.next().is_some_and(|score| score.is_some() && score == best));
    // The one that takes the arguments as they are goes before one that makes an array of them.
    if fitting.iter().any(|found| found.spread.is_none()) {
        fitting.retain(|found| found.spread.is_none());
    }
    Ok(())
}

fn fit(declared: &Type, given: Option<&Type>) -> Option<u32> {
    let Some(given) = given else {
        // What is unknown is taken for a text where there is a choice.
        return Some(u32::from(declared.category() == 'S'));
    };
    let fit = if polymorphic_of(declared).is_some() {
        Fit::Cast
    } else if given.bare() == *declared {
        Fit::Exact
    } else if context(given, declared) == Some(Context::Implicit) {
        let is_preferred = declared.is_preferred() && declared.category() == given.category();
        if is_preferred { Fit::Preferred } else { Fit::Cast }
    } else {
        return None;
    };
    Some(fit as u32)
}

/// The type of a literal, a cast, or a parameter whose type is known.
pub fn told(expr: &Expr, parameters: &[Option<Type>]) -> Told {
    if let Some(number) = body::parameter(expr) {
        return match parameters.get(number.wrapping_sub(1)).cloned().flatten() {
            Some(ty) => Told::Type(ty),
            None => Told::Unknown,
        };
    }
    match expr {
        Expr::Nested(inner) => told(inner, parameters),
        Expr::Cast { data_type, .. } => match type_names::built_in(data_type) {
            Some(ty) => Told::Type(ty),
            None => Told::Nothing,
        },
        expr => match cells::literal(expr, Look::PLAIN) {
            Ok(Some(Constant::Typed(_, ty))) => Told::Type(ty),
            Ok(Some(Constant::Null | Constant::Unknown(_))) => Told::Unknown,
            _ => Told::Nothing,
        },
    }
}

fn missing(name: &str, types: &[Option<Type>]) -> Error {
    Error::new(SqlState::UNDEFINED_FUNCTION, format!("function {} does not exist", shown(name, types))).hint(
        "No function matches the given name and argument types. You might need to add explicit type casts.",
    )
}

/// `f(integer, unknown)`
fn shown(name: &str, types: &[Option<Type>]) -> String {
    let types = types.iter().map(|ty| match ty {
        Some(ty) => ty.bare().to_string(),
        None => "unknown".to_owned(),
    });
    format!("{name}({})", types.collect::<Vec<_>>().join(", "))
}
