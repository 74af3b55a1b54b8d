//! Text to statements.
//!
//! sqlparser's tokeniser and its parser for queries, INSERT, UPDATE, DELETE and CREATE TABLE, with three things of our
//! own around them:
//!
//! 1. `<+>` does not tokenise: its three adjacent tokens are merged into one custom operator. `B'101'` and `X'1F'`,
//!    bit strings in PostgreSQL, become casts.
//! 2. Statements are split at top-level semicolons here, and each is parsed from its own tokens; what sqlparser
//!    does not know or knows differently than PostgreSQL goes to `crate::sql::utility`.
//! 3. Errors become PostgreSQL's: 42601, `syntax error at or near "x"`, with the position in characters.

use std::sync::Arc;

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{
    Location, Span, Token, TokenWithSpan, Tokenizer, TokenizerError, Whitespace,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::bare_words;
use crate::sql::conflict_target;
use crate::sql::element_words;
use crate::sql::escape_errors;
use crate::sql::fetch_words;
use crate::sql::frames;
use crate::sql::grammar::Grammar;
use crate::sql::group_words;
use crate::sql::json_table;
use crate::sql::number_words;
use crate::sql::records;
use crate::sql::relation_words;
use crate::sql::rows_from;
use crate::sql::search_words;
use crate::sql::source::Source;
use crate::sql::statement::{Ast, Name, Statement};
use crate::sql::token_spellings;
use crate::sql::unicode_escapes;
use crate::sql::utility;
use crate::sql::variadic;
use crate::sql::words::{Fault, is_word, placed_name, word_of};

/// The dialect of everything we parse; without state.
pub static DIALECT: Grammar = Grammar { nests_joins: false };
/// The same, in which a join without a condition is of the joins that follow it.
static NESTING: Grammar = Grammar { nests_joins: true };

/// How deep expressions and queries may nest. sqlparser grows its stack on the heap (its feature
/// `recursive-protection`), so the bound protects the passes behind it.
const NESTING_MAX: usize = 250;

/// Operators in a row, and queries in a UNION: a tree of theirs is as deep as the chain is long, and the stack of a
/// connection holds so many levels.
const CHAIN_MAX: usize = 4_000;

/// What a message of a parser of ours begins with that is PostgreSQL's as it is; its detail stands behind another.
pub const OWN_WORDS: char = '\u{1}';

/// The same before a message, its SQLSTATE and its hint, each.
pub const OWN_STATE: char = '\u{2}';

/// The words that begin a query, or a change in the place of one.
pub const QUERIES: &[&str] = &["SELECT", "VALUES", "WITH", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE"];

/// The states that a parser of ours gives.
const OWN_STATES: [SqlState; 2] = [SqlState::DATATYPE_MISMATCH, SqlState::FEATURE_NOT_SUPPORTED];

/// Parses a query string into its statements; an empty string has none.
pub fn parse(sql: &str) -> Result<Vec<Statement>> {
    let source = Arc::new(Source::of(sql));
    let tokens = tokenize(&source)?;
    let mut statements = Vec::new();
    for part in split(tokens) {
        statements.push(parse_one(&source, part)?);
    }
    Ok(statements)
}

fn parse_one(source: &Arc<Source>, tokens: Vec<TokenWithSpan>) -> Result<Statement> {
    let first = tokens.iter().find(|token| !matches!(token.token, Token::Whitespace(_)));
    let start = first.map_or(0, |token| source.byte(token.span.start));
    let end = tokens.last().map_or(source.len(), |token| source.byte(token.span.end));
    if longest_chain(&tokens) > CHAIN_MAX {
        return Err(Error::new(SqlState("54001"), "stack depth limit exceeded"));
    }
    if let Some(parameter) = tokens.iter().find_map(|token| beyond_parameters(&token.token)) {
        let message = format!("there is no parameter {parameter}");
        return Err(Error::new(SqlState::UNDEFINED_PARAMETER, message));
    }
    let tokens = group_words::take(fetch_words::take(bare_words::take(tokens)));
    let tokens = json_table::take(source, search_words::take(source, tokens)?)?;
    let tokens = token_spellings::settle(relation_words::take(rows_from::take(source, tokens)));
    let (tokens, only) = without_only(source, variadic::take(tokens));
    let tokens = element_words::take(source, conflict_target::wrap(source, tokens));
    let (tokens, taken) = utility::take(records::take(frames::take(tokens)));
    if has_exclusion(&tokens) {
        return Err(Error::unsupported("an exclusion constraint"));
    }
    if let Some(token) = clause_after_from(&tokens) {
        return Err(error_at(source, token));
    }
    let kept = has_late_condition(&tokens).then(|| (tokens.clone(), taken.clone()));
    let read = match (read(source, parser(tokens), taken), kept) {
        (Err(error), Some((tokens, taken))) => {
            read(source, parser_with(&NESTING, tokens), taken).map_err(|_| error)
        }
        (read, _) => read,
    };
    Ok(Statement { ast: read?, source: source.clone(), range: start..end.max(start), only })
}

/// The statement that all of a parser's tokens are.
fn read(source: &Arc<Source>, mut parser: Parser<'static>, taken: utility::Taken) -> Result<Ast> {
    let ast = match utility::statement(&mut parser, source, taken) {
        Ok(ast) => ast,
        Err(Fault::Refused(error)) => return Err(error),
        Err(Fault::Syntax(error)) => return Err(syntax_error(source, &parser, error)),
    };
    match parser.peek_token_ref().token {
        Token::EOF => Ok(ast),
        _ => Err(error_at(source, &parser.peek_token())),
    }
}

/// Whether two joins may stand before their conditions: `a JOIN b LEFT JOIN c ON .. ON ..`, where the inner join is read
/// first. sqlparser reads joins from the left, or all of them so.
fn has_late_condition(tokens: &[TokenWithSpan]) -> bool {
    let (mut joins, mut conditions, mut most) = (0_usize, 0_usize, false);
    for token in tokens {
        match word(token).as_str() {
            // It has no condition, and would take the joins behind it with it.
            "NATURAL" => return false,
            "JOIN" => joins += 1,
            "ON" | "USING" if conditions < joins => conditions += 1,
            _ => continue,
        }
        most |= joins > conditions + 1;
    }
    most
}

/// A parameter that no Bind message has room for: it counts its values in 16 bits. A list of types that long would be made
/// of it otherwise.
fn beyond_parameters(token: &Token) -> Option<&str> {
    let Token::Placeholder(text) = token else { return None };
    let digits =
        text.strip_prefix('$').filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
    let fits = digits.parse::<u32>().is_ok_and(|number| number <= u32::from(u16::MAX));
    (!fits && !digits.is_empty()).then_some(text.as_str())
}

/// How many operators follow each other without a bracket or a comma between them, or queries in a set operation.
fn longest_chain(tokens: &[TokenWithSpan]) -> usize {
    const OPERATORS: &[&str] = &["AND", "OR", "IS", "ISNULL", "NOTNULL", "LIKE", "ILIKE", "COLLATE", "JOIN"];
    const SETS: &[&str] = &["UNION", "EXCEPT", "INTERSECT"];
    // Operators and set operations at each depth of brackets.
    let mut depths = vec![(0, 0)];
    let mut longest = 0;
    for token in tokens {
        let open = depths.len();
        let (operators, sets) = depths.last_mut().expect("one more than brackets are open");
        match &token.token {
            Token::LParen | Token::LBracket => depths.push((0, 0)),
            Token::RParen | Token::RBracket if open > 1 => drop(depths.pop()),
            Token::Comma => *operators = 0,
            Token::Word(word) if word.quote_style.is_none() => {
                let is = |words: &[&str]| words.iter().any(|known| word.value.eq_ignore_ascii_case(known));
                *operators += usize::from(is(OPERATORS));
                *sets += usize::from(is(SETS));
                longest = longest.max(*operators).max(*sets);
            }
            Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Whitespace(_)
            | Token::Period => {}
            _ => {
                *operators += 1;
                longest = longest.max(*operators);
            }
        }
    }
    longest
}

/// `FROM ONLY t` is `FROM t`, where no table has children; with the names, for partitioned tables have some.
fn without_only(source: &Source, mut tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Vec<Name>) {
    const BEFORE: &[&str] = &["FROM", "JOIN", "UPDATE", "USING"];
    let is_only = |token: &TokenWithSpan| is_word(&token.token, "only");
    if !tokens.iter().any(is_only) {
        return (tokens, Vec::new());
    }
    let solid = solid(&tokens);
    let gone = solid.windows(3).filter(|near| {
        let before = &tokens[near[0]];
        is_only(&tokens[near[1]])
            && (BEFORE.contains(&word(before).as_str()) || before.token == Token::Comma)
            && matches!(tokens[near[2]].token, Token::Word(_))
    });
    let gone: Vec<usize> = gone.map(|near| near[1]).collect();
    // What is no name is refused when the statement is read.
    let names = gone.iter().filter_map(|&only| {
        let name = parser(tokens[only + 1..].to_vec()).parse_object_name(false).ok()?;
        Some(placed_name(source, &name))
    });
    let names = names.collect();
    for at in gone.into_iter().rev() {
        tokens.remove(at);
    }
    (tokens, names)
}

/// Where the tokens are that are no white space.
pub fn solid(tokens: &[TokenWithSpan]) -> Vec<usize> {
    (0..tokens.len()).filter(|&at| !is_white(&tokens[at].token)).collect()
}

/// An unquoted word, in capitals; of everything else nothing.
pub fn word(token: &TokenWithSpan) -> String {
    word_of(&token.token).unwrap_or_default()
}

/// A word that begins a clause where FROM should name something: sqlparser would take it for a name.
fn clause_after_from(tokens: &[TokenWithSpan]) -> Option<&TokenWithSpan> {
    const CLAUSES: &[&str] = &["WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "UNION", "FROM"];
    let mut solid = tokens.iter().filter(|token| !is_white(&token.token)).peekable();
    while let Some(token) = solid.next() {
        let next =
            solid.peek().filter(|next| word(token) == "FROM" && CLAUSES.contains(&word(next).as_str()));
        if let Some(next) = next {
            return Some(next);
        }
    }
    None
}

/// `EXCLUDE USING gist (...)` in the definition of a table.
fn has_exclusion(tokens: &[TokenWithSpan]) -> bool {
    let mut solid = tokens.iter().filter(|token| !is_white(&token.token)).map(word);
    if !solid.next().is_some_and(|first| matches!(first.as_str(), "CREATE" | "ALTER")) {
        return false;
    }
    let words: Vec<String> = solid.collect();
    words.windows(3).any(|near| near[0] == "EXCLUDE" && near[1] == "USING" && !near[2].is_empty())
}

/// A parser over tokens that were made elsewhere.
pub fn parser(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    parser_with(&DIALECT, tokens)
}

fn parser_with(grammar: &'static Grammar, tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(grammar).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(tokens)
}

/// A parser over a text.
pub fn parser_of(source: &Source) -> Result<Parser<'static>> {
    Ok(parser(tokenize(source)?))
}

/// Parses one query, as stored or made here.
pub fn parse_query(sql: &str) -> Result<Box<datafusion::sql::sqlparser::ast::Query>> {
    match parse(sql)?.pop().map(|statement| statement.ast) {
        Some(Ast::Query(query)) => Ok(query),
        _ => Err(Error::internal(format!("this is no query: {sql}"))),
    }
}

/// Parses one expression, as stored for a DEFAULT or a CHECK.
pub fn parse_expression(sql: &str) -> Result<datafusion::sql::sqlparser::ast::Expr> {
    let source = Source::of(sql);
    let mut parser = parser_of(&source)?;
    parser.parse_expr().map_err(|error| syntax_error(&source, &parser, error))
}

/// The tokens of a text as it was sent.
pub fn raw_tokens(source: &Source) -> Result<Vec<TokenWithSpan>> {
    let settled = unicode_escapes::settle(source)?;
    let tokens = Tokenizer::new(&DIALECT, &settled.text).tokenize_with_location();
    let mut tokens = tokens.map_err(|error| {
        let location = settled.origin(error.location);
        token_error(source, TokenizerError { location, ..error })
    })?;
    if !settled.is_as_sent() {
        for TokenWithSpan { span, .. } in &mut tokens {
            *span = Span::new(settled.origin(span.start), settled.origin(span.end));
        }
    }
    Ok(tokens)
}

/// The tokens of a text, with spellings of PostgreSQL's that the tokeniser does not know.
pub fn tokenize(source: &Source) -> Result<Vec<TokenWithSpan>> {
    let tokens = raw_tokens(source)?;
    let tokens = number_words::read(source, continued_texts(source, plain_texts(tokens))?)?;
    Ok(bracket_arrays(cast_bit_strings(merge_l1_operator(tokens))))
}

/// Texts with a line break between them are one; 42601 for those on one line, the second of which sqlparser takes for a
/// name. Source: <https://www.postgresql.org/docs/17/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS>
fn continued_texts(source: &Source, tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let mut read: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let Token::SingleQuotedString(more) = &token.token else {
            read.push(token);
            continue;
        };
        let solid = read.iter().rposition(|before| !is_white(&before.token));
        let before = solid.map(|at| &read[at].token);
        if !matches!(before, Some(Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))) {
            read.push(token);
            continue;
        }
        let at = solid.unwrap_or_default();
        let is_comment = |between: &TokenWithSpan| {
            matches!(between.token, Token::Whitespace(Whitespace::MultiLineComment(_)))
        };
        if read[at].span.end.line == token.span.start.line || read[at..].iter().any(is_comment) {
            return Err(error_at(source, &token));
        }
        if let Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) = &mut read[at].token {
            text.push_str(more);
        }
        read[at].span.end = token.span.end;
        read.truncate(at + 1);
    }
    Ok(read)
}

/// `U&'d\0061t'`, whose escapes the tokeniser has read, is a text.
fn plain_texts(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    for token in &mut tokens {
        if let Token::UnicodeStringLiteral(text) = &mut token.token {
            token.token = Token::SingleQuotedString(std::mem::take(text));
        }
    }
    tokens
}

/// `B'101'` is `'b101'::"bit"`: the type of any length.
fn cast_bit_strings(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_bits = |token: &TokenWithSpan| {
        matches!(token.token, Token::SingleQuotedByteStringLiteral(_) | Token::HexStringLiteral(_))
    };
    if !tokens.iter().any(is_bits) {
        return tokens;
    }
    let cast = |token: TokenWithSpan| {
        let text = match token.token {
            Token::SingleQuotedByteStringLiteral(text) => format!("b{text}"),
            Token::HexStringLiteral(text) => format!("x{text}"),
            other => return vec![TokenWithSpan { token: other, span: token.span }],
        };
        let tokens =
            [Token::SingleQuotedString(text), Token::DoubleColon, Token::make_word("bit", Some('"'))];
        tokens.into_iter().map(|part| TokenWithSpan { token: part, span: token.span }).collect()
    };
    tokens.into_iter().flat_map(cast).collect()
}

/// `text ARRAY` is `text[]`, and `int ARRAY[3]` is `int[3]`, the standard's spelling of arrays.
fn bracket_arrays(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_array = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("array"));
    if !tokens.iter().any(is_array) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 1);
    for (place, token) in tokens.iter().enumerate() {
        if !is_array(token) || !ends_with_type(&out) {
            out.push(token.clone());
            continue;
        }
        let mut rest = tokens[place + 1..].iter().map(|next| &next.token).filter(|next| !is_white(next));
        let sized = [rest.next(), rest.next(), rest.next()];
        match sized {
            [Some(Token::LBracket), Some(Token::Number(..)), Some(Token::RBracket)] => {}
            [Some(Token::LBracket), ..] => out.push(token.clone()),
            _ => out.extend(
                [Token::LBracket, Token::RBracket]
                    .map(|part| TokenWithSpan { token: part, span: token.span }),
            ),
        }
    }
    out
}

/// Whether what stands at the end is the name of a type, with its modifier if it has one; `x IS JSON` is not.
fn ends_with_type(tokens: &[TokenWithSpan]) -> bool {
    let mut solid = tokens.iter().rev().map(|token| &token.token).filter(|token| !is_white(token));
    let mut last = solid.next();
    if last == Some(&Token::RParen) {
        last = solid.find(|token| !matches!(token, Token::Number(..) | Token::Comma));
        if last != Some(&Token::LParen) {
            return false;
        }
        last = solid.next();
    }
    match last {
        // `double precision`, `character varying` and `with time zone` end in these.
        Some(Token::Word(word)) if word.quote_style.is_none() => {
            let name = word.value.to_lowercase();
            if name == "json"
                && let Some(Token::Word(before)) = solid.next()
                && matches!(before.keyword, Keyword::IS | Keyword::NOT)
            {
                return false;
            }
            matches!(name.as_str(), "precision" | "varying" | "zone")
                || crate::types::Type::named(&name, false, &[]).is_ok()
        }
        _ => false,
    }
}

/// `<`, `+`, `>` without anything between them are pgvector's L1 distance.
fn merge_l1_operator(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut merged: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if token.token == Token::Gt && ends_with_less_plus(&merged, token.span.start) {
            let start = merged[merged.len() - 2].span.start;
            merged.truncate(merged.len() - 2);
            let operator = Token::CustomBinaryOperator("<+>".into());
            merged.push(TokenWithSpan { token: operator, span: Span::new(start, token.span.end) });
        } else {
            merged.push(token);
        }
    }
    merged
}

fn ends_with_less_plus(tokens: &[TokenWithSpan], next: Location) -> bool {
    let adjacent = |a: &TokenWithSpan, b: Location| a.span.end == b;
    match tokens {
        [.., less, plus] => {
            less.token == Token::Lt
                && plus.token == Token::Plus
                && adjacent(less, plus.span.start)
                && adjacent(plus, next)
        }
        _ => false,
    }
}

/// Splits at semicolons. Parts of nothing but white space and comments are dropped.
fn split(tokens: Vec<TokenWithSpan>) -> Vec<Vec<TokenWithSpan>> {
    let mut parts = vec![Vec::new()];
    let mut body = FunctionBody::default();
    for token in tokens {
        match token.token {
            Token::SemiColon if !body.is_open() => {
                body = FunctionBody::default();
                parts.push(Vec::new());
            }
            Token::EOF => {}
            _ => {
                body.note(&token.token);
                parts.last_mut().expect("starts with one part").push(token);
            }
        }
    }
    parts.retain(|part| part.iter().any(|token| !is_white(&token.token)));
    parts
}

/// Whether a statement is in the body of a function, whose semicolons do not end it: CREATE FUNCTION ... BEGIN ATOMIC ...
/// END, in which CASE has an END of its own.
#[derive(Default)]
struct FunctionBody {
    /// The statement's first words, as far as they matter.
    words: Vec<String>,
    depth: usize,
}

impl FunctionBody {
    fn is_open(&self) -> bool {
        self.depth > 0
    }

    fn note(&mut self, token: &Token) {
        let Token::Word(word) = token else { return };
        let word = word.value.to_uppercase();
        let is_function = || {
            let first: Vec<&str> = self.words.iter().take(4).map(String::as_str).collect();
            matches!(first.as_slice(), ["CREATE", "FUNCTION", ..] | ["CREATE", "OR", "REPLACE", "FUNCTION"])
        };
        match word.as_str() {
            "ATOMIC" if self.words.last().is_some_and(|last| last == "BEGIN") && is_function() => {
                self.depth = 1;
            }
            "CASE" if self.depth > 0 => self.depth += 1,
            "END" if self.depth > 0 => self.depth -= 1,
            _ => {}
        }
        // The first four, and the one before the next.
        self.words.truncate(4);
        self.words.push(word);
    }
}

pub fn is_white(token: &Token) -> bool {
    matches!(
        token,
        Token::Whitespace(
            Whitespace::Space
                | Whitespace::Newline
                | Whitespace::Tab
                | Whitespace::SingleLineComment { .. }
                | Whitespace::MultiLineComment(_)
        )
    )
}

/// PostgreSQL's words for what sqlparser found.
pub fn syntax_error(source: &Source, parser: &Parser, error: ParserError) -> Error {
    let message = match &error {
        ParserError::RecursionLimitExceeded => {
            return Error::new(SqlState("54001"), "stack depth limit exceeded")
                .hint(format!("Expressions and queries may nest {NESTING_MAX} deep."));
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    if let Some(words) = message.strip_prefix(OWN_WORDS) {
        let (message, detail) = words.split_once(OWN_WORDS).unwrap_or((words, ""));
        let error = Error::new(SqlState::SYNTAX_ERROR, message);
        return if detail.is_empty() { error } else { error.detail(detail) };
    }
    if let Some(words) = message.strip_prefix(OWN_STATE)
        && let [message, state, hint] = words.split(OWN_STATE).collect::<Vec<_>>().as_slice()
        && let Some(state) = OWN_STATES.into_iter().find(|known| known.0 == *state)
    {
        let error = Error::new(state, *message);
        return if hint.is_empty() { error } else { error.hint(*hint) };
    }
    if message.ends_with("found: EOF") {
        return end_of_input(source);
    }
    match location_in(message) {
        Some(location) => error_at_location(source, location),
        None => error_at(source, &parser.peek_token()).detail(message.clone()),
    }
}

/// sqlparser keeps the location of an error only in its text: " at Line: 1, Column: 5".
fn location_in(message: &str) -> Option<Location> {
    let (_, tail) = message.rsplit_once(" at Line: ")?;
    let (line, column) = tail.split_once(", Column: ")?;
    Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
}

fn error_at_location(source: &Source, location: Location) -> Error {
    let tokens = raw_tokens(source).map(merge_l1_operator).unwrap_or_default();
    match tokens.iter().find(|token| token.span.start == location) {
        Some(token) => error_at(source, token),
        None => Error::new(SqlState::SYNTAX_ERROR, "syntax error").position(source.position(location)),
    }
}

/// The error for a token that may not stand where it stands.
pub fn error_at(source: &Source, token: &TokenWithSpan) -> Error {
    if token.token == Token::EOF || token.span.start.line == 0 {
        return end_of_input(source);
    }
    let text = source.between(token.span);
    Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{text}\""))
        .position(source.position(token.span.start))
}

fn end_of_input(sql: &str) -> Error {
    let position =
        u32::try_from(sql.trim_end_matches([';', ' ', '\n']).chars().count() + 1).unwrap_or(u32::MAX);
    Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of input").position(position)
}

fn token_error(source: &Source, error: TokenizerError) -> Error {
    let at = source.byte(error.location);
    if let Some(complaint) = escape_errors::complaint(source, at) {
        return complaint;
    }
    let rest = &source[at..];
    let what = match error.message.as_str() {
        "Unterminated string literal" => "unterminated quoted string",
        "Unterminated encoded string literal" => "unterminated quoted string",
        "Unterminated dollar-quoted string" | "Unterminated dollar-quoted, expected $" => {
            "unterminated dollar-quoted string"
        }
        message if message.starts_with("Expected close delimiter") => "unterminated quoted identifier",
        message if message.contains("multi-line comment") => "unterminated /* comment",
        _ => "syntax error",
    };
    Error::new(SqlState::SYNTAX_ERROR, format!("{what} at or near \"{rest}\""))
        .position(source.position(error.location))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(sql: &str) -> (String, Option<u32>) {
        let error = parse(sql).expect_err("a syntax error");
        (error.message().to_string(), error.fields().position)
    }

    #[test]
    fn syntax_errors_read_as_postgresql() {
        assert_eq!(error("SELEC 1"), ("syntax error at or near \"SELEC\"".into(), Some(1)));
        assert_eq!(error("SELECT 1 +"), ("syntax error at end of input".into(), Some(11)));
        assert_eq!(error("SELECT 1 1"), ("syntax error at or near \"1\"".into(), Some(10)));
        assert_eq!(error("SELECT\n  'é' FROM FROM"), ("syntax error at or near \"FROM\"".into(), Some(19)));
        assert_eq!(error("SELECT 'abc"), ("unterminated quoted string at or near \"'abc\"".into(), Some(8)));
        assert_eq!(error("CREATE TABLE t (a int"), ("syntax error at end of input".into(), Some(22)));
        assert_eq!(error("DROP TABLE"), ("syntax error at end of input".into(), Some(11)));
    }

    #[test]
    fn a_literal_with_lines_moves_nothing() {
        let sql = "SELECT U&'x\n\\000A', 1,2,3,4 FROM ROWS FROM (f() AS (a int\n)) t";
        assert!(parse(sql).is_ok());
        let sql = r"SELECT U&'d!0061ta' UESCAPE '!', 1";
        let source = Source::of(sql);
        let tokens = tokenize(&source).expect("tokens");
        let texts: String = tokens.iter().map(|token| source.between(token.span)).collect();
        assert_eq!(texts, sql);
    }

    #[test]
    fn all_four_operators_parse() {
        for operator in ["<->", "<#>", "<=>", "<+>"] {
            let sql = format!("SELECT id FROM t ORDER BY v {operator} '[1,2]' LIMIT 3");
            assert_eq!(parse(&sql).map(|statements| statements.len()).map_err(|e| e.to_string()), Ok(1));
        }
        assert!(parse("SELECT 1 < + > 2").is_err());
    }

    #[test]
    fn strings_of_statements_split() {
        assert_eq!(parse("").unwrap().len(), 0);
        assert_eq!(parse(" ; -- nothing\n ;").unwrap().len(), 0);
        assert_eq!(parse("SELECT 1; SELECT ';' ;").unwrap().len(), 2);
    }
}
