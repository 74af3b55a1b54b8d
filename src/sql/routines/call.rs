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

    /// The arguments that are defaults.
    pub fn defaults_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let arguments = self.arguments.iter_mut().zip(&self.defaults);
        arguments.filter_map(|(argument, is_default)| is_default.then_some(argument))
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

    /// The places among the single arguments of those that the call gives.
    fn given_places(&self, count: usize) -> impl Iterator<Item = usize> + '_ {
        (0..count).filter(move |place| !self.defaults.get(*place).copied().unwrap_or(false))
    }

    /// The arguments that the call gives, and what each is declared as.
    fn given(&self) -> Vec<(Expr, Type)> {
        let (single, declared) = (self.single(), self.declared());
        let count = single.len().min(declared.len());
        self.given_places(count).map(|place| (single[place].clone(), declared[place].clone())).collect()
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
        let function = self.function.with_types(|ty| actual.of(ty)).ok_or_else(undetermined)?;
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
    let Placed { mut fitting, known, qualified } = placed(catalog, search_path, name, arguments)?;
    if fitting.len() > 1 {
        choose(&mut fitting, types_of);
    }
    match fitting.len() {
        0 if known && qualified => {
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

/// All functions that a call may mean, as far as that is known without planning: one where nothing else decides, and those
/// of one schema in any case. Views and checks keep all of them, because what it means is decided when they are planned.
pub fn candidates(
    catalog: &Catalog,
    search_path: &[String],
    parameters: &[Option<Type>],
    name: &ast::ObjectName,
    arguments: &[FunctionArg],
) -> Result<Vec<Found>> {
    let mut fitting = placed(catalog, search_path, name, arguments)?.fitting;
    if fitting.len() < 2 {
        return Ok(fitting);
    }
    let is_told = |found: &Found| {
        let mut given = found.given().into_iter();
        given.all(|(argument, _)| !matches!(told(&argument, parameters), Told::Nothing))
    };
    if fitting.iter().all(is_told) {
        choose(&mut fitting, &written_types(parameters));
        return Ok(fitting);
    }
    let may_fit = |(argument, declared): (Expr, Type)| match told(&argument, parameters) {
        Told::Type(given) => fit(&declared, &given).is_some(),
        Told::Unknown | Told::Nothing => true,
    };
    fitting.retain(|found| found.given().into_iter().all(may_fit));
    Ok(fitting)
}

/// The functions that fit a call's number and names of arguments.
#[derive(Default)]
struct Placed {
    /// Of the first schema that has any.
    fitting: Vec<Found>,
    /// A function of ours has the name.
    known: bool,
    /// The call names the schema.
    qualified: bool,
}

fn placed(
    catalog: &Catalog,
    search_path: &[String],
    name: &ast::ObjectName,
    arguments: &[FunctionArg],
) -> Result<Placed> {
    let read = object_name(name);
    let schemas = match &read.schema {
        Some(schema) => std::slice::from_ref(schema),
        None => search_path,
    };
    let mut placed = Placed { qualified: read.schema.is_some(), ..Placed::default() };
    for schema in schemas {
        for function in catalog.functions_named(schema, &read.name) {
            placed.known = true;
            placed.fitting.extend(place(function, arguments)?);
        }
        if !placed.fitting.is_empty() {
            break;
        }
    }
    Ok(placed)
}

/// The functions that a stored expression calls, or may call.
pub fn called_in(sql: &str, catalog: &Catalog, search_path: &[String]) -> Result<Vec<Arc<Function>>> {
    let expression = dialect::parse_expression(sql)?;
    let mut called = Vec::new();
    let _ = visit::expressions(&expression, |part| {
        if let Expr::Function(call) = part {
            let args = match &call.args {
                ast::FunctionArguments::List(list) => list.args.as_slice(),
                _ => &[],
            };
            let found = candidates(catalog, search_path, &[], &call.name, args).unwrap_or_default();
            called.extend(found.into_iter().map(|found| found.function));
        }
        ControlFlow::<()>::Continue(())
    });
    Ok(called)
}

/// The types that arguments tell by how they are written.
fn written_types(parameters: &[Option<Type>]) -> impl Fn(&[Expr]) -> Result<Vec<Option<Type>>> + '_ {
    move |arguments| {
        let told = |argument: &Expr| match told(argument, parameters) {
            Told::Type(ty) => Some(ty),
            Told::Unknown | Told::Nothing => None,
        };
        Ok(arguments.iter().map(told).collect())
    }
}

/// The expression of an argument.
pub(super) fn expression(argument: &FunctionArg) -> Option<&Expr> {
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
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Cast,
    Preferred,
    Exact,
}

/// A function that might be meant: what each given argument is declared as, and its type if that is known.
struct Candidate {
    found: Found,
    arguments: Vec<(Type, Option<Type>)>,
    /// How many arguments are of the declared type, and how many are of it or of a preferred one. PostgreSQL asks for the
    /// second only where the first is equal.
    score: (usize, usize),
}

impl Candidate {
    /// `None` when an argument does not fit.
    fn of(found: Found, types_of: TypesOf) -> Option<Candidate> {
        let (single, declared) = (found.single(), found.declared());
        // What is wrong with an argument is said when it is planned.
        let given = types_of(&single).unwrap_or_else(|_| vec![None; single.len()]);
        if polymorphic::resolve(&declared, &given) == Err(Misfit::Missing) {
            return None;
        }
        let count = declared.len().min(given.len());
        let arguments: Vec<(Type, Option<Type>)> =
            found.given_places(count).map(|place| (declared[place].clone(), given[place].clone())).collect();
        let mut score = (0, 0);
        for (declared, given) in &arguments {
            let Some(given) = given else { continue };
            let fit = fit(declared, given)?;
            score.0 += usize::from(fit == Fit::Exact);
            score.1 += usize::from(fit != Fit::Cast);
        }
        Some(Candidate { found, arguments, score })
    }

    /// What an argument of unknown type is declared as.
    fn unknown(&self, place: usize) -> Option<&Type> {
        match self.arguments.get(place)? {
            (declared, None) => Some(declared),
            _ => None,
        }
    }
}

/// Leaves those whose parameters fit the arguments best, as far as the arguments tell their types.
///
/// Source: <https://www.postgresql.org/docs/17/typeconv-func.html>
fn choose(fitting: &mut Vec<Found>, types_of: TypesOf) {
    let mut candidates: Vec<Candidate> =
        fitting.drain(..).filter_map(|found| Candidate::of(found, types_of)).collect();
    let best = candidates.iter().map(|candidate| candidate.score).max();
    candidates.retain(|candidate| Some(candidate.score) == best);
    if candidates.len() > 1 {
        choose_by_category(&mut candidates);
    }
    if candidates.len() > 1 {
        choose_by_known(&mut candidates);
    }
    fitting.extend(candidates.into_iter().map(|candidate| candidate.found));
    // The one that takes the arguments as they are goes before one that makes an array of them.
    if fitting.iter().any(|found| found.spread.is_none()) {
        fitting.retain(|found| found.spread.is_none());
    }
}

/// What is unknown is a text where one takes a text, and else of the category that all agree on; of that, the preferred type
/// if one takes it. Where they do not agree, nothing is decided.
fn choose_by_category(candidates: &mut Vec<Candidate>) {
    let count = candidates.iter().map(|candidate| candidate.arguments.len()).max().unwrap_or(0);
    let mut wanted = Vec::new();
    for place in 0..count {
        let Some(declared) =
            candidates.iter().map(|candidate| candidate.unknown(place)).collect::<Option<Vec<&Type>>>()
        else {
            continue;
        };
        let category = match declared.iter().find(|ty| ty.category() == 'S').or(declared.first()) {
            Some(ty) => ty.category(),
            None => return,
        };
        if category != 'S' && declared.iter().any(|ty| ty.category() != category) {
            return;
        }
        let preferred = declared.iter().any(|ty| ty.category() == category && ty.is_preferred());
        wanted.push((place, category, preferred));
    }
    let is_wanted = |candidate: &Candidate| {
        wanted.iter().all(|&(place, category, preferred)| {
            candidate
                .unknown(place)
                .is_some_and(|ty| ty.category() == category && (!preferred || ty.is_preferred()))
        })
    };
    if candidates.iter().any(is_wanted) {
        candidates.retain(is_wanted);
    }
}

/// Where all known arguments are of one type, what is unknown is taken for it if that decides.
fn choose_by_known(candidates: &mut Vec<Candidate>) {
    let mut known =
        candidates.iter().flat_map(|candidate| &candidate.arguments).filter_map(|(_, given)| given.as_ref());
    let Some(first) = known.next().map(Type::bare) else { return };
    if known.any(|ty| ty.bare() != first) {
        return;
    }
    let takes = |candidate: &Candidate| {
        let mut arguments = candidate.arguments.iter();
        arguments.all(|(declared, given)| given.is_some() || fit(declared, &first).is_some())
    };
    if candidates.iter().filter(|candidate| takes(candidate)).count() == 1 {
        candidates.retain(takes);
    }
}

/// `None` when the argument does not fit.
fn fit(declared: &Type, given: &Type) -> Option<Fit> {
    if polymorphic_of(declared).is_some() {
        return Some(Fit::Cast);
    }
    if given.bare() == *declared {
        return Some(Fit::Exact);
    }
    if context(given, declared) != Some(Context::Implicit) {
        return None;
    }
    let is_preferred = declared.is_preferred() && declared.category() == given.category();
    Some(if is_preferred { Fit::Preferred } else { Fit::Cast })
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
