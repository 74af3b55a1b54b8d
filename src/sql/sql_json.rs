//! The words of SQL/JSON as calls of functions: JSON_OBJECT, JSON_ARRAY, their aggregates, JSON, JSON_SCALAR,
//! JSON_SERIALIZE, JSON_EXISTS, JSON_VALUE and JSON_QUERY.
//!
//! ```text
//!   JSON_OBJECT('a': 1, 'b' VALUE NULL ABSENT ON NULL)   hither_sql_json_object('absent', 'a', 1, 'b', NULL)
//!   JSON_ARRAY(SELECT a FROM t)                          (SELECT hither_sql_json_arrayagg('absent', a) FROM (...) AS q(a))
//!   JSON_VALUE(d, '$.a' RETURNING int)                   hither_sql_json_value(NULL::int, d, '$.a', 'null null', NULL, NULL)
//! ```
//!
//! Grammar: <https://www.postgresql.org/docs/17/functions-json.html>. A plain `json_object('{a,1}')` is left alone.

use datafusion::sql::sqlparser::ast::{
    self, DataType, Expr, FunctionArgumentClause, FunctionArguments, Ident, SelectItem, TableAliasColumnDef,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::SqlState;
use crate::sql::dialect::{OWN_STATE, OWN_WORDS};
use crate::sql::rewrite::{cast_to, function_call};
use crate::sql::trees::{alias_of, derived, query_from, text};
use crate::sql::type_names;
use crate::sql::words::is_word;
use crate::types::Type;

type Parsed<T> = Result<T, ParserError>;

/// What the functions that stand for these words begin with; the rest is PostgreSQL's name.
pub const PREFIX: &str = "hither_sql_";

/// A text as bytea, of which a column has the name of what it was made of.
pub const BYTES: &str = "hither_json_bytes";

/// The words, and whether they mean something of SQL/JSON whatever is in their brackets.
const WORDS: &[(&str, bool)] = &[
    ("json_object", false),
    ("json_array", true),
    ("json_objectagg", true),
    ("json_arrayagg", true),
    ("json", true),
    ("json_scalar", true),
    ("json_serialize", true),
    ("json_exists", true),
    ("json_value", true),
    ("json_query", true),
];

/// An expression of SQL/JSON, if one comes next.
pub fn parse(parser: &mut Parser) -> Option<Parsed<Expr>> {
    let Token::Word(word) = &parser.peek_token_ref().token else { return None };
    if word.quote_style.is_some() || parser.peek_nth_token_ref(1).token != Token::LParen {
        return None;
    }
    let (name, always) = WORDS.iter().find(|(name, _)| word.value.eq_ignore_ascii_case(name))?;
    if !always && !is_constructor(parser) {
        return None;
    }
    parser.next_token();
    parser.next_token();
    let mut words = Words { parser };
    Some(match *name {
        "json_object" => words.constructor("json_object", false, |words| words.member().map(Vec::from)),
        "json_array" => words.array(),
        "json_objectagg" => words.object_aggregate(),
        "json_arrayagg" => words.array_aggregate(),
        "json" => words.json(),
        "json_scalar" => words.scalar(),
        "json_serialize" => words.serialize(),
        name => words.question(name),
    })
}

/// Whether the brackets behind the next word hold members, or nothing but clauses.
fn is_constructor(parser: &Parser) -> bool {
    // Behind the word and the bracket. The parser counts from where it is for each token that it is asked for.
    let tokens = (parser.index()..).map(|at| &parser.token_at(at).token);
    let mut tokens = tokens.filter(|token| !matches!(token, Token::Whitespace(_))).skip(1);
    let (mut depth, mut before) = (0, tokens.next());
    for token in tokens {
        match token {
            Token::EOF => return false,
            // Right behind the bracket.
            Token::RParen if depth == 0 => return matches!(before, Some(Token::LParen)),
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth -= 1,
            Token::Colon if depth == 0 => return true,
            // `k VALUE v`, and no column of that name.
            token
                if depth == 0
                    && is_word(token, "value")
                    && !matches!(before, Some(Token::Comma | Token::Period | Token::LParen)) =>
            {
                return true;
            }
            token if depth == 0 && (is_word(token, "returning") || is_word(token, "absent")) => return true,
            _ => {}
        }
        before = Some(token);
    }
    false
}

/// The parser with the words that are none of its keywords.
pub struct Words<'a, 'p> {
    pub parser: &'a mut Parser<'p>,
}

/// What a type is called behind RETURNING.
struct Returning {
    data_type: DataType,
    is_json: bool,
}

/// What is said about NULLs and keys that come twice.
#[derive(Default)]
struct Says {
    absent: bool,
    unique: bool,
    returning: Option<Returning>,
}

impl Says {
    fn text(&self) -> Expr {
        let mut said = Vec::new();
        said.extend(self.absent.then_some("absent"));
        said.extend(self.unique.then_some("unique"));
        let of_jsonb = self.returning.as_ref().is_some_and(|of| of.data_type == DataType::JSONB);
        said.extend(of_jsonb.then_some("jsonb"));
        text(said.join(" "))
    }

    /// The function that makes it: of its own json where a type is asked for.
    fn function(&self, name: &str) -> String {
        format!("{PREFIX}{name}{}", if self.returning.is_some() { "_" } else { "" })
    }

    /// The document that was made, as what was asked for.
    fn returned(&self, made: Expr) -> Expr {
        match &self.returning {
            None => made,
            Some(returning) => returned(made, &returning.data_type),
        }
    }
}

/// Of json as another type: bytea is its text in UTF-8.
fn returned(made: Expr, data_type: &DataType) -> Expr {
    match data_type {
        DataType::JSON => made,
        DataType::JSONB => cast_to(made, DataType::JSONB),
        DataType::Bytea => function_call(BYTES, vec![cast_to(made, DataType::Text)]),
        other => cast_to(cast_to(made, DataType::Text), other.clone()),
    }
}

/// NULL has no type by itself that an aggregate could collect.
fn with_type(value: Expr) -> Expr {
    if value == null() { cast_to(value, DataType::Text) } else { value }
}

fn null() -> Expr {
    Expr::value(ast::Value::Null)
}

impl Words<'_, '_> {
    pub fn at(&self, distance: usize, word: &str) -> bool {
        matches!(&self.parser.peek_nth_token_ref(distance).token, Token::Word(found)
            if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    }

    /// Takes words if all come next.
    pub fn accept(&mut self, words: &str) -> bool {
        let found = words.split(' ').enumerate().all(|(distance, word)| self.at(distance, word));
        if found {
            words.split(' ').for_each(|_| drop(self.parser.next_token()));
        }
        found
    }

    pub fn expect(&mut self, words: &str) -> Parsed<()> {
        if self.accept(words) { Ok(()) } else { self.parser.expected(words, self.parser.peek_token()) }
    }

    fn at_close(&self) -> bool {
        self.parser.peek_token_ref().token == Token::RParen
    }

    pub fn close(&mut self) -> Parsed<()> {
        self.parser.expect_token(&Token::RParen).map(drop)
    }

    pub fn refuse<T>(&self, message: &str) -> Parsed<T> {
        Err(ParserError::ParserError(format!("{OWN_WORDS}{message}")))
    }

    /// The same with a state of its own and a hint.
    fn refuse_as<T>(&self, state: SqlState, message: &str, hint: &str) -> Parsed<T> {
        let words = [message, state.0, hint].map(|word| format!("{OWN_STATE}{word}"));
        Err(ParserError::ParserError(words.concat()))
    }

    /// `[FORMAT JSON [ENCODING UTF8]]`
    pub fn format(&mut self) -> Parsed<bool> {
        self.format_of(None)
    }

    /// The same behind a type that is returned, of which bytea alone has an encoding.
    fn format_of(&mut self, returned: Option<&DataType>) -> Parsed<bool> {
        if !self.accept("format json") {
            return Ok(false);
        }
        if !self.accept("encoding") {
            return Ok(true);
        }
        if !self.accept("utf8") {
            let unsupported = self.accept("utf16") || self.accept("utf32");
            if unsupported {
                let hint = "Only UTF8 JSON encoding is supported.";
                return self.refuse_as(SqlState::FEATURE_NOT_SUPPORTED, "unsupported JSON encoding", hint);
            }
            return self.parser.expected("UTF8", self.parser.peek_token());
        }
        if returned.is_some_and(|ty| *ty != DataType::Bytea) {
            let message = "cannot set JSON encoding for non-bytea output types";
            return self.refuse_as(SqlState::FEATURE_NOT_SUPPORTED, message, "");
        }
        Ok(true)
    }

    /// A value, which may be JSON already.
    pub fn value(&mut self) -> Parsed<Expr> {
        let value = self.parser.parse_expr()?;
        Ok(if self.format()? { function_call("hither_format_json", vec![value]) } else { value })
    }

    /// `[RETURNING type [FORMAT JSON]]`
    fn returning(&mut self) -> Parsed<Option<Returning>> {
        if !self.accept("returning") {
            return Ok(None);
        }
        let data_type = self.parser.parse_data_type()?;
        let is_json = self.format_of(Some(&data_type))?;
        Ok(Some(Returning { data_type, is_json }))
    }

    /// The clauses behind members or elements.
    fn says(&mut self, absent: bool) -> Parsed<Says> {
        let mut says = Says { absent, ..Says::default() };
        if self.accept("null on null") {
            says.absent = false;
        } else if self.accept("absent on null") {
            says.absent = true;
        }
        says.unique = self.unique();
        says.returning = self.returning()?;
        Ok(says)
    }

    /// `[WITH | WITHOUT UNIQUE [KEYS]]`
    fn unique(&mut self) -> bool {
        let unique = self.accept("with unique");
        if unique || self.accept("without unique") {
            let _ = self.accept("keys");
        }
        unique
    }

    fn at_clauses(&self) -> bool {
        self.at_close()
            || self.at(0, "returning")
            || self.at(0, "with") && self.at(1, "unique")
            || self.at(0, "without")
            || (self.at(0, "null") || self.at(0, "absent")) && self.at(1, "on")
    }

    /// `key : value`, `key VALUE value`
    fn member(&mut self) -> Parsed<[Expr; 2]> {
        let key = self.parser.parse_expr()?;
        if !self.parser.consume_token(&Token::Colon) {
            self.expect("value")?;
        }
        Ok([key, self.value()?])
    }

    /// Parts and clauses up to the bracket; `absent` says what is done about NULLs where no clause does.
    fn constructor(
        &mut self,
        name: &str,
        absent: bool,
        part: impl Fn(&mut Self) -> Parsed<Vec<Expr>>,
    ) -> Parsed<Expr> {
        let mut parts = Vec::new();
        if !self.at_clauses() {
            parts.extend(part(self)?);
            while self.parser.consume_token(&Token::Comma) {
                parts.extend(part(self)?);
            }
        }
        let says = self.says(absent)?;
        self.close()?;
        parts.insert(0, says.text());
        Ok(says.returned(function_call(&says.function(name), parts)))
    }

    fn array(&mut self) -> Parsed<Expr> {
        let is_query = [Keyword::SELECT, Keyword::WITH, Keyword::VALUES]
            .iter()
            .any(|word| self.parser.peek_keyword(*word))
            && !self.at(1, "unique");
        if is_query {
            return self.array_of_query();
        }
        self.constructor("json_array", true, |words| Ok(vec![words.value()?]))
    }

    fn array_of_query(&mut self) -> Parsed<Expr> {
        let query = self.parser.parse_query()?;
        let is_json = self.format()?;
        let says = Says { absent: true, returning: self.returning()?, ..Says::default() };
        self.close()?;
        let element = Ident::new("hither_a");
        let mut alias = alias_of(Ident::new("hither_q"));
        alias.columns = vec![TableAliasColumnDef { name: element.clone(), data_type: None }];
        let element = match is_json {
            true => function_call("hither_format_json", vec![Expr::Identifier(element)]),
            false => Expr::Identifier(element),
        };
        let made = says.returned(function_call(&says.function("json_arrayagg"), vec![says.text(), element]));
        let item = SelectItem::ExprWithAlias { expr: made, alias: Ident::new("json_array") };
        let query = query_from(vec![item], derived(false, *query, alias));
        Ok(Expr::Subquery(Box::new(query)))
    }

    fn object_aggregate(&mut self) -> Parsed<Expr> {
        let [key, value] = self.member()?.map(with_type);
        let says = self.says(false)?;
        self.close()?;
        self.aggregate("json_objectagg", vec![says.text(), key, value], Vec::new(), &says)
    }

    fn array_aggregate(&mut self) -> Parsed<Expr> {
        let value = with_type(self.value()?);
        let mut clauses = Vec::new();
        if self.accept("order by") {
            let keys = self.parser.parse_comma_separated(Parser::parse_order_by_expr)?;
            clauses.push(FunctionArgumentClause::OrderBy(keys));
        }
        let says = self.says(true)?;
        self.close()?;
        self.aggregate("json_arrayagg", vec![says.text(), value], clauses, &says)
    }

    /// The call of an aggregate, with FILTER and OVER behind its brackets.
    fn aggregate(
        &mut self,
        name: &str,
        arguments: Vec<Expr>,
        clauses: Vec<FunctionArgumentClause>,
        says: &Says,
    ) -> Parsed<Expr> {
        let mut call = function_call(&says.function(name), arguments);
        if let Expr::Function(function) = &mut call {
            if let FunctionArguments::List(list) = &mut function.args {
                list.clauses = clauses;
            }
            if self.accept("filter") {
                self.parser.expect_token(&Token::LParen)?;
                self.expect("where")?;
                function.filter = Some(Box::new(self.parser.parse_expr()?));
                self.close()?;
            }
            if self.accept("over") {
                function.over = Some(match self.parser.consume_token(&Token::LParen) {
                    true => ast::WindowType::WindowSpec(self.parser.parse_window_spec()?),
                    false => ast::WindowType::NamedWindow(self.parser.parse_identifier()?),
                });
            }
        }
        Ok(says.returned(call))
    }

    fn json(&mut self) -> Parsed<Expr> {
        let value = self.value()?;
        let unique = self.unique();
        if self.at(0, "returning") {
            return self.parser.expected(")", self.parser.peek_token());
        }
        self.close()?;
        let value = cast_to(value, DataType::JSON);
        let unique = Expr::value(ast::Value::Boolean(unique));
        Ok(function_call("hither_sql_json", vec![value, unique]))
    }

    fn scalar(&mut self) -> Parsed<Expr> {
        let value = self.parser.parse_expr()?;
        self.close()?;
        Ok(function_call("hither_sql_json_scalar", vec![value]))
    }

    fn serialize(&mut self) -> Parsed<Expr> {
        let value = self.value()?;
        let returning = self.returning()?;
        if let Some(ty) = returning.as_ref().and_then(|of| type_names::built_in(&of.data_type))
            && ty != Type::Bytea
            && ty.category() != 'S'
        {
            let (ty, hint) = (ty.bare(), "Try returning a string type or bytea.");
            let message = format!("cannot use type {ty} in RETURNING clause of JSON_SERIALIZE()");
            return self.refuse_as(SqlState::DATATYPE_MISMATCH, &message, hint);
        }
        self.close()?;
        let made = function_call("hither_sql_json_serialize", vec![cast_to(value, DataType::JSON)]);
        Ok(match returning.map(|returning| returning.data_type) {
            None => made,
            Some(DataType::Bytea) => function_call(BYTES, vec![made]),
            Some(data_type) => cast_to(made, data_type),
        })
    }

    fn question(&mut self, name: &str) -> Parsed<Expr> {
        let document = self.value()?;
        self.parser.expect_token(&Token::Comma)?;
        let path = self.parser.parse_expr()?;
        let passed = self.passing()?;
        let question = self.clauses(name, "")?;
        self.close()?;
        Ok(question.call(document, path, passed))
    }

    /// `PASSING value AS name, ...` as names and values by turns.
    pub fn passing(&mut self) -> Parsed<Vec<Expr>> {
        let mut passed = Vec::new();
        if !self.accept("passing") {
            return Ok(passed);
        }
        loop {
            let value = self.value()?;
            self.expect("as")?;
            let name = self.parser.parse_identifier()?;
            let name = if name.quote_style.is_some() { name.value } else { name.value.to_lowercase() };
            passed.extend([text(name), value]);
            if !self.parser.consume_token(&Token::Comma) {
                return Ok(passed);
            }
        }
    }

    /// RETURNING, the wrapper, quotes, ON EMPTY and ON ERROR.
    fn clauses(&mut self, name: &str, column: &str) -> Parsed<Question> {
        let returning = if name == "json_exists" { None } else { self.returning()? };
        if name == "json_value" && returning.as_ref().is_some_and(|returning| returning.is_json) {
            return self.refuse("cannot specify FORMAT JSON in RETURNING clause of JSON_VALUE()");
        }
        let data_type = returning.map(|returning| returning.data_type).unwrap_or(match name {
            "json_exists" => DataType::Boolean,
            "json_value" => DataType::Text,
            _ => DataType::JSONB,
        });
        let mut question = Question::new(name, column, data_type);
        if name == "json_query" {
            self.wrapper_and_quotes(&mut question)?;
        }
        self.behaviours(&mut question)?;
        Ok(question)
    }

    pub fn wrapper_and_quotes(&mut self, question: &mut Question) -> Parsed<()> {
        question.wrapper = if self.accept("without") {
            let _ = self.accept("array");
            self.expect("wrapper")?;
            "never"
        } else if self.accept("with") {
            let several = self.accept("conditional");
            if !several {
                let _ = self.accept("unconditional");
            }
            let _ = self.accept("array");
            self.expect("wrapper")?;
            if several { "several" } else { "always" }
        } else {
            "never"
        };
        let omits = self.accept("omit quotes");
        if omits || self.accept("keep quotes") {
            if question.wrapper == "always" {
                return self
                    .refuse("SQL/JSON QUOTES behavior must not be specified when WITH WRAPPER is used");
            }
            let _ = self.accept("on scalar string");
            question.omits_quotes = omits;
        }
        Ok(())
    }

    /// `[behaviour ON EMPTY] [behaviour ON ERROR]`
    pub fn behaviours(&mut self, question: &mut Question) -> Parsed<()> {
        let mut has_empty = false;
        while !matches!(self.parser.peek_token_ref().token, Token::RParen | Token::Comma | Token::EOF) {
            let (behaviour, otherwise) = self.behaviour(&question.data_type)?;
            self.expect("on")?;
            // Once, and before the other.
            let is_empty = !has_empty && self.accept("empty");
            has_empty |= is_empty;
            if !is_empty {
                self.expect("error")?;
            }
            let clause = if is_empty { "ON EMPTY" } else { "ON ERROR" };
            question.check(behaviour, clause).or_else(|message| self.refuse(&message))?;
            let place = if is_empty { &mut question.on_empty } else { &mut question.on_error };
            *place = (behaviour, otherwise);
            if !is_empty {
                break;
            }
        }
        Ok(())
    }

    fn behaviour(&mut self, data_type: &DataType) -> Parsed<(&'static str, Option<Expr>)> {
        if self.accept("default") {
            let otherwise = self.parser.parse_expr()?;
            return Ok(("default", Some(cast_to(otherwise, data_type.clone()))));
        }
        const SIMPLE: &[(&str, &str)] = &[
            ("error", "error"),
            ("null", "null"),
            ("true", "true"),
            ("false", "false"),
            ("unknown", "unknown"),
            ("empty array", "array"),
            ("empty object", "object"),
            ("empty", "array"),
        ];
        match SIMPLE.iter().find(|(words, _)| self.accept(words)) {
            Some((_, behaviour)) => Ok((behaviour, None)),
            None => self.parser.expected("a behavior", self.parser.peek_token()),
        }
    }
}

/// Which behaviours a column has.
fn in_column(only: &str, clause: &str, name: &str) -> String {
    let kind = match name {
        "JSON_EXISTS" => "EXISTS",
        "JSON_VALUE" => "scalar",
        _ => "formatted",
    };
    format!("Only {only} is allowed in {clause} for {kind} columns.")
}

/// What JSON_EXISTS, JSON_VALUE or JSON_QUERY is asked for.
pub struct Question {
    name: String,
    column: String,
    data_type: DataType,
    wrapper: &'static str,
    omits_quotes: bool,
    on_empty: (&'static str, Option<Expr>),
    on_error: (&'static str, Option<Expr>),
}

impl Question {
    pub fn new(name: &str, column: &str, data_type: DataType) -> Question {
        let on_error = if name == "json_exists" { "false" } else { "null" };
        Question {
            name: name.to_owned(),
            column: column.to_owned(),
            data_type,
            wrapper: "never",
            omits_quotes: false,
            on_empty: ("null", None),
            on_error: (on_error, None),
        }
    }

    /// Which behaviours it has.
    fn check(&self, behaviour: &str, clause: &str) -> Result<(), String> {
        let allowed: &[&str] = match self.name.as_str() {
            "json_exists" if clause == "ON EMPTY" => &[],
            "json_exists" => &["error", "true", "false", "unknown"],
            "json_value" => &["error", "null", "default"],
            _ => &["error", "null", "array", "object", "default"],
        };
        if allowed.contains(&behaviour) {
            return Ok(());
        }
        let (name, only) = match self.name.as_str() {
            "json_exists" => ("JSON_EXISTS", "ERROR, TRUE, FALSE, or UNKNOWN"),
            "json_value" => ("JSON_VALUE", "ERROR, NULL, or DEFAULT expression"),
            _ => ("JSON_QUERY", "ERROR, NULL, EMPTY ARRAY, EMPTY OBJECT, or DEFAULT expression"),
        };
        let detail = match self.column.as_str() {
            "" => format!("Only {only} is allowed in {clause} for {name}()."),
            column => {
                return Err(format!(
                    "invalid {clause} behavior for column \"{column}\"{OWN_WORDS}{}",
                    in_column(only, clause, name)
                ));
            }
        };
        Err(format!("invalid {clause} behavior{OWN_WORDS}{detail}"))
    }

    pub fn call(self, document: Expr, path: Expr, passed: Vec<Expr>) -> Expr {
        let quotes = if self.omits_quotes { "omit" } else { "keep" };
        let says = [self.on_empty.0, self.on_error.0, self.wrapper, quotes, self.column.as_str()].join(" ");
        let mut arguments = vec![
            cast_to(null(), self.data_type),
            cast_to(document, DataType::JSONB),
            path,
            text(says.trim_end()),
            self.on_empty.1.unwrap_or_else(null),
            self.on_error.1.unwrap_or_else(null),
        ];
        arguments.extend(passed);
        function_call(&format!("{PREFIX}{}", self.name), arguments)
    }
}
