//! Reading CREATE, DROP, ALTER and COMMENT ON FUNCTION.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::DataType;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::{Argument, Body, Parallel, ViewColumn, Volatility};
use crate::error::{Error, SqlState};
use crate::sql::function_statements::*;
use crate::sql::statement::Ast;
use crate::sql::type_names;
use crate::sql::words::{Parsed, Words, literal};
use crate::types::{Polymorphic, Type};

/// What is said only once.
#[derive(Default)]
struct Clauses {
    language: Option<String>,
    body: Option<Body>,
    options: FunctionOptions,
}

/// From FUNCTION on.
pub fn create(w: &mut Words) -> Parsed<Ast> {
    let replace = w.accept("OR REPLACE");
    w.expect("FUNCTION")?;
    let name = w.name()?;
    let Parameters { arguments, named, out, mut named_out } = parameters(w)?;
    let returns = match w.accept("RETURNS") {
        true => Some(returns(w, &mut named_out)?),
        false => None,
    };
    let returns = with_out(out, &named_out, returns)?;
    let mut clauses = Clauses::default();
    while clause(w, &mut clauses)? {}
    let language = clauses.language.as_deref();
    match language.map(str::to_lowercase).as_deref() {
        Some("sql") => {}
        // RETURN and BEGIN ATOMIC are SQL's own.
        None if matches!(clauses.body, Some(Body::Return(_) | Body::Atomic(_))) => {}
        None => return Err(Error::new(SqlState("42P13"), "no language specified").into()),
        Some(other) => {
            return Err(Error::unsupported(format!("CREATE FUNCTION with LANGUAGE {other}")).into());
        }
    }
    let Some(body) = clauses.body else {
        return Err(Error::new(SqlState("42P13"), "no function body specified").into());
    };
    let Some(returns) = returns else {
        return Err(Error::new(SqlState("42P13"), "function result type must be specified").into());
    };
    let options = clauses.options;
    Ok(Ast::CreateFunction(Box::new(CreateFunction {
        name,
        replace,
        arguments,
        named,
        named_out,
        returns,
        body,
        options,
    })))
}

/// What stands in brackets behind a function's name.
#[derive(Default)]
struct Parameters {
    arguments: Vec<Argument>,
    named: Vec<NamedType>,
    /// Of the modes OUT and INOUT.
    out: Vec<ViewColumn>,
    /// Those among them whose types only the catalogue knows.
    named_out: Vec<NamedType>,
}

/// What RETURNS says.
enum Said {
    /// `record`, or a set of it.
    Record(bool),
    Clause(ReturnsClause),
}

/// RETURNS beside parameters of the mode OUT, which say what is returned by themselves.
fn with_out(out: Vec<ViewColumn>, named: &[NamedType], said: Option<Said>) -> Parsed<Option<ReturnsClause>> {
    let refused = |message: String| Err(Error::new(SqlState("42P13"), message).into());
    match said {
        None if out.is_empty() => Ok(None),
        None => Ok(Some(ReturnsClause::Out { columns: out, set: false })),
        Some(Said::Record(set)) if out.is_empty() => Ok(Some(ReturnsClause::Record { set })),
        Some(Said::Clause(clause)) if out.is_empty() => Ok(Some(clause)),
        Some(Said::Record(set)) if out.len() > 1 => Ok(Some(ReturnsClause::Out { columns: out, set })),
        Some(Said::Clause(ReturnsClause::Table(_))) => {
            let message = "OUT and INOUT arguments aren't allowed in TABLE functions";
            Err(Error::new(SqlState::SYNTAX_ERROR, message).into())
        }
        Some(Said::Clause(ReturnsClause::Named { data_type, set })) if out.len() == 1 => {
            if let [of_out] = named {
                return match of_out.data_type == data_type {
                    true => Ok(Some(ReturnsClause::Out { columns: out, set })),
                    false => refused(format!(
                        "function result type must be {} because of OUT parameters",
                        of_out.data_type
                    )),
                };
            }
            match type_names::resolve(&data_type)?.bare() == out[0].ty {
                true => Ok(Some(ReturnsClause::Out { columns: out, set })),
                false => {
                    refused(format!("function result type must be {} because of OUT parameters", out[0].ty))
                }
            }
        }
        Some(_) => {
            let wanted = if out.len() == 1 { out[0].ty.to_string() } else { "record".to_owned() };
            refused(format!("function result type must be {wanted} because of OUT parameters"))
        }
    }
}

fn parameters(w: &mut Words) -> Parsed<Parameters> {
    w.expect_token(&Token::LParen)?;
    let mut parameters = Parameters::default();
    if w.accept_token(&Token::RParen) {
        return Ok(parameters);
    }
    // Those that are given and those that are returned have names of their own.
    let mut names = HashSet::new();
    for Parameter { mode, argument, named } in w.list(argument)? {
        if let Some(data_type) = named {
            if mode.is_out() {
                let data_type = data_type.clone();
                parameters.named_out.push(NamedType { place: parameters.out.len(), data_type });
            }
            if mode.is_in() {
                parameters.named.push(NamedType { place: parameters.arguments.len(), data_type });
            }
        }
        let ways = [(mode.is_in(), "in"), (mode.is_out(), "out")];
        let mut ways = ways.iter().filter(|(is_such, _)| *is_such).map(|(_, way)| *way);
        if let Some(name) = &argument.name
            && !ways.all(|way| names.insert((way, name.clone())))
        {
            let message = format!("parameter name \"{name}\" used more than once");
            return Err(Error::new(SqlState("42P13"), message).into());
        }
        if mode.is_out() {
            let unnamed = format!("column{}", parameters.out.len() + 1);
            let name = argument.name.clone().unwrap_or(unnamed);
            parameters.out.push(ViewColumn { name, ty: argument.ty.clone() });
        }
        if mode.is_in() {
            parameters.arguments.push(argument);
        } else if argument.default.is_some() {
            let message = "only input parameters can have default values";
            return Err(Error::new(SqlState("42P13"), message).into());
        }
    }
    let arguments = &parameters.arguments;
    w.expect_token(&Token::RParen)?;
    let count = arguments.len();
    if arguments.iter().take(count.saturating_sub(1)).any(|argument| argument.variadic) {
        let message = "VARIADIC parameter must be the last input parameter";
        return Err(Error::new(SqlState("42P13"), message).into());
    }
    if let Some(place) = arguments.iter().position(|argument| argument.default.is_some())
        && arguments[place..].iter().any(|argument| argument.default.is_none())
    {
        let message = "input parameters after one with a default value must also have defaults";
        return Err(Error::new(SqlState("42P13"), message).into());
    }
    Ok(parameters)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    In,
    Out,
    InOut,
}

impl Mode {
    fn is_in(self) -> bool {
        self != Mode::Out
    }

    fn is_out(self) -> bool {
        self != Mode::In
    }
}

/// A parameter, and its type if only the catalogue knows it.
struct Parameter {
    mode: Mode,
    argument: Argument,
    named: Option<DataType>,
}

/// IN, OUT, INOUT or VARIADIC, if a word of them comes next and is no name or type.
fn mode(w: &mut Words) -> Option<(Mode, bool)> {
    if ends_argument(w, 1) {
        return None;
    }
    if w.accept("VARIADIC") {
        Some((Mode::In, true))
    } else if w.accept("INOUT") || w.accept("IN OUT") {
        Some((Mode::InOut, false))
    } else if w.accept("OUT") {
        Some((Mode::Out, false))
    } else {
        w.accept("IN").then_some((Mode::In, false))
    }
}

/// `[IN | OUT | INOUT | VARIADIC] [name] type [{DEFAULT | =} expression]`; the mode may stand behind the name.
fn argument(w: &mut Words) -> Parsed<Parameter> {
    let before = mode(w);
    let name = if starts_with_type(w) { None } else { Some(w.identifier()?) };
    let behind = if before.is_none() && name.is_some() { mode(w) } else { None };
    let (mode, variadic) = before.or(behind).unwrap_or((Mode::In, false));
    let (ty, named) = type_of(w)?;
    let default = if w.accept("DEFAULT") || w.accept_token(&Token::Eq) {
        let start = w.location();
        w.expression()?;
        Some(w.text_since(start))
    } else {
        None
    };
    let ty = ty.bare();
    let is_array =
        matches!(ty, Type::Array(_) | Type::Polymorphic(Polymorphic::Array | Polymorphic::CompatibleArray));
    if variadic && !is_array && named.is_none() {
        return Err(Error::new(SqlState("42P13"), "VARIADIC parameter must be an array").into());
    }
    Ok(Parameter { mode, argument: Argument { name, ty, default, variadic }, named })
}

/// Whether the argument has no name: its first word is its type, or the first word of it.
fn starts_with_type(w: &Words) -> bool {
    const LONG: &[&str] = &[
        "DOUBLE PRECISION",
        "CHARACTER VARYING",
        "CHAR VARYING",
        "BIT VARYING",
        "TIMESTAMP WITH",
        "TIMESTAMP WITHOUT",
        "TIME WITH",
        "TIME WITHOUT",
        "NATIONAL CHARACTER",
    ];
    ends_argument(w, 1)
        || matches!(w.parser.peek_nth_token_ref(1).token, Token::LParen | Token::LBracket | Token::Period)
        || LONG.iter().any(|words| w.at(words))
}

fn ends_argument(w: &Words, place: usize) -> bool {
    match &w.parser.peek_nth_token_ref(place).token {
        Token::Comma | Token::RParen | Token::Eq => true,
        Token::Word(word) => word.value.eq_ignore_ascii_case("DEFAULT"),
        _ => false,
    }
}

/// Types of PostgreSQL that no function here takes or returns.
const OTHER_TYPES: &[&str] = &[
    "refcursor",
    "regclass",
    "regconfig",
    "regnamespace",
    "regoper",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
];

/// Types of PostgreSQL that no function in SQL takes.
const OTHER_LANGUAGES: &[&str] = &["any", "cstring", "internal", "record", "trigger", "event_trigger"];

/// 42704 for a type that nobody knows.
pub fn missing_type(data_type: &DataType) -> Error {
    let name = crate::sql::domains::name_of(data_type);
    let name = name.map_or_else(|| data_type.to_string(), |name| name.to_string());
    Error::new(SqlState::UNDEFINED_OBJECT, format!("type {name} does not exist"))
}

/// A type; of one that only the catalogue knows, void and its name.
fn type_of(w: &mut Words) -> Parsed<(Type, Option<DataType>)> {
    let data_type = w.parser.parse_data_type()?;
    match (type_names::resolve(&data_type), crate::sql::domains::name_of(&data_type)) {
        (Err(_), Some(name)) if OTHER_LANGUAGES.contains(&name.name.as_str()) => {
            let name = if name.name == "any" { "\"any\"".to_owned() } else { name.name };
            let message = format!("SQL functions cannot have arguments of type {name}");
            Err(Error::new(SqlState("42P13"), message).into())
        }
        (Err(_), Some(name)) if OTHER_TYPES.contains(&name.name.as_str()) => {
            Err(Error::unsupported(format!("the type {} in a function's signature", name.name)).into())
        }
        (Ok(Type::Void), _) => {
            let message = "SQL functions cannot have arguments of type void";
            Err(Error::new(SqlState("42P13"), message).into())
        }
        (Err(error), _) if error.state() == SqlState::UNDEFINED_OBJECT => Ok((Type::Void, Some(data_type))),
        (resolved, _) => Ok((resolved?, None)),
    }
}

/// `named` gets the columns of TABLE whose types only the catalogue knows.
fn returns(w: &mut Words, named: &mut Vec<NamedType>) -> Parsed<Said> {
    if w.accept("TABLE") {
        let mut place = 0;
        let columns = w.parenthesised(|w| {
            let name = w.identifier()?;
            let (ty, of_catalogue) = type_of(w)?;
            named.extend(of_catalogue.map(|data_type| NamedType { place, data_type }));
            place += 1;
            Ok(ViewColumn { name, ty: ty.bare() })
        })?;
        return Ok(Said::Clause(ReturnsClause::Table(columns)));
    }
    let set = w.accept("SETOF");
    if w.at("TRIGGER") || w.at("EVENT_TRIGGER") {
        return Err(Error::unsupported("a trigger function").into());
    }
    if w.accept("RECORD") {
        return Ok(Said::Record(set));
    }
    let data_type: DataType = w.parser.parse_data_type()?;
    if w.at_token(&Token::Mod) {
        return Err(Error::unsupported("%TYPE").into());
    }
    Ok(Said::Clause(ReturnsClause::Named { data_type, set }))
}

/// One clause after RETURNS; false when there is none.
fn clause(w: &mut Words, clauses: &mut Clauses) -> Parsed<bool> {
    if w.accept("LANGUAGE") {
        let name = match w.peek() {
            Token::SingleQuotedString(_) => w.string()?,
            _ => w.identifier()?,
        };
        clauses.language = Some(name);
    } else if w.accept("AS") {
        let text = body_text(w)?;
        if w.at_token(&Token::Comma) {
            return Err(Error::unsupported("a function in C").into());
        }
        clauses.body = Some(Body::Text(text));
    } else if w.accept("RETURN") {
        let start = w.location();
        w.expression()?;
        clauses.body = Some(Body::Return(w.text_since(start)));
    } else if w.accept("BEGIN ATOMIC") {
        clauses.body = Some(Body::Atomic(atomic(w)?));
    } else {
        return option(w, &mut clauses.options);
    }
    Ok(true)
}

/// A string in any quotes.
fn body_text(w: &mut Words) -> Parsed<String> {
    let Some(text) = literal(w.peek()) else { return w.unexpected("a string") };
    w.advance();
    Ok(text)
}

/// What stands between BEGIN ATOMIC and its END.
fn atomic(w: &mut Words) -> Parsed<String> {
    let start = w.location();
    let mut depth = 1;
    loop {
        if w.at("END") {
            depth -= 1;
        } else if w.at("CASE") {
            depth += 1;
        }
        if depth == 0 {
            let text = w.text_since(start);
            w.advance();
            return Ok(text);
        }
        if w.at_end() {
            return w.unexpected("END");
        }
        w.advance();
    }
}

fn option(w: &mut Words, options: &mut FunctionOptions) -> Parsed<bool> {
    if w.accept("IMMUTABLE") {
        options.volatility = Some(Volatility::Immutable);
    } else if w.accept("STABLE") {
        options.volatility = Some(Volatility::Stable);
    } else if w.accept("VOLATILE") {
        options.volatility = Some(Volatility::Volatile);
    } else if w.accept("STRICT") || w.accept("RETURNS NULL ON NULL INPUT") {
        options.strict = Some(true);
    } else if w.accept("CALLED ON NULL INPUT") {
        options.strict = Some(false);
    } else if w.accept("LEAKPROOF") {
        options.leakproof = Some(true);
    } else if w.accept("NOT LEAKPROOF") {
        options.leakproof = Some(false);
    } else if w.accept("SECURITY DEFINER") || w.accept("EXTERNAL SECURITY DEFINER") {
        options.security_definer = Some(true);
    } else if w.accept("SECURITY INVOKER") || w.accept("EXTERNAL SECURITY INVOKER") {
        options.security_definer = Some(false);
    } else if w.accept("PARALLEL") {
        options.parallel = Some(match w.word().as_deref() {
            Some("SAFE") => Parallel::Safe,
            Some("RESTRICTED") => Parallel::Restricted,
            Some("UNSAFE") => Parallel::Unsafe,
            _ => {
                let message = "parameter \"parallel\" must be SAFE, RESTRICTED, or UNSAFE";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
            }
        });
    } else if w.accept("COST") {
        options.cost = Some(positive(w, "COST")?);
    } else if w.accept("ROWS") {
        options.rows = Some(positive(w, "ROWS")?);
    } else if w.accept("SET") {
        options.search_path = Some(Some(search_path(w)?));
    } else if w.accept("RESET SEARCH_PATH") || w.accept("RESET ALL") {
        options.search_path = Some(None);
    } else if ["WINDOW", "SUPPORT", "TRANSFORM"].iter().any(|word| w.at(word)) {
        let what = w.word().unwrap_or_default();
        return Err(Error::unsupported(format!("{what} of a function")).into());
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn positive(w: &mut Words, clause: &str) -> Parsed<f64> {
    let text = match w.peek() {
        Token::Number(text, _) => text.clone(),
        _ => return w.unexpected("a number"),
    };
    w.advance();
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 => Ok(number),
        _ => Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("{clause} must be positive")).into()),
    }
}

/// SET search_path { TO | = } value [, ...]; the one setting that a function may bring.
fn search_path(w: &mut Words) -> Parsed<String> {
    let name = w.identifier()?;
    if name != "search_path" {
        return Err(Error::unsupported(format!("SET {name} of a function")).into());
    }
    if w.accept("FROM CURRENT") {
        return Err(Error::unsupported("SET ... FROM CURRENT of a function").into());
    }
    if !w.accept("TO") {
        w.expect_token(&Token::Eq)?;
    }
    let schemas = w.list(|w| match w.peek() {
        Token::Word(_) => w.identifier(),
        _ => w.string(),
    })?;
    let quoted: Vec<String> = schemas.iter().map(|schema| format!("\"{schema}\"")).collect();
    Ok(quoted.join(", "))
}

/// From FUNCTION on.
pub fn drop(w: &mut Words) -> Parsed<Ast> {
    w.advance();
    let if_exists = w.accept("IF EXISTS");
    let functions = w.list(function_name)?;
    let cascade = w.accept("CASCADE");
    if !cascade {
        w.accept("RESTRICT");
    }
    Ok(Ast::DropFunction(DropFunction { functions, if_exists, cascade }))
}

/// `name [([IN] [argname] type, ...)]`
fn function_name(w: &mut Words) -> Parsed<FunctionName> {
    let name = w.name()?;
    if !w.at_token(&Token::LParen) {
        return Ok(FunctionName { name, types: None, named: Vec::new() });
    }
    let Parameters { arguments, named, .. } = parameters(w)?;
    let types = arguments.into_iter().map(|argument| argument.ty).collect();
    Ok(FunctionName { name, types: Some(types), named })
}

/// From FUNCTION on.
pub fn alter(w: &mut Words) -> Parsed<Ast> {
    w.advance();
    let function = function_name(w)?;
    let action = if w.accept("RENAME TO") {
        FunctionAction::Rename(w.identifier()?)
    } else if w.accept("SET SCHEMA") {
        FunctionAction::SetSchema(w.identifier()?)
    } else if w.accept("OWNER TO") {
        FunctionAction::OwnerTo(w.identifier()?)
    } else {
        let mut options = FunctionOptions::default();
        while option(w, &mut options)? {}
        w.accept("RESTRICT");
        FunctionAction::Options(Box::new(options))
    };
    Ok(Ast::AlterFunction(AlterFunction { function, action }))
}

/// From FUNCTION on.
pub fn comment(w: &mut Words) -> Parsed<Ast> {
    w.advance();
    let function = function_name(w)?;
    w.expect("IS")?;
    let text = if w.accept("NULL") { None } else { Some(w.string()?) };
    Ok(Ast::AlterFunction(AlterFunction { function, action: FunctionAction::Comment(text) }))
}
