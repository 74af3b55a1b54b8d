//! sqlparser's dialect of PostgreSQL, with PostgreSQL's grammar where the two part.
//!
//! | text                              | sqlparser reads                   | here and in PostgreSQL                |
//! |-----------------------------------|-----------------------------------|---------------------------------------|
//! | `a IS DISTINCT FROM b AND c`      | `a IS DISTINCT FROM (b AND c)`    | `(a IS DISTINCT FROM b) AND c`        |
//! | `a BETWEEN SYMMETRIC b AND c`     | nothing                           | `(a BETWEEN b AND c OR a BETWEEN c AND b)` |
//! | `a ISNULL`                        | a column with an alias            | `a IS NULL`                           |
//! | `a LIKE ANY (b)`                  | a LIKE of its own, ALL not at all | `a ~~ ANY (b)`                        |
//! | `- a ^ b`                         | `- (a ^ b)`                       | `(- a) ^ b`                           |
//! | `substring(a SIMILAR b ESCAPE c)` | nothing                           | `substring(a, b, c)`                  |
//! | `a IS NOT JSON OBJECT`            | nothing                           | `NOT hither_is_json(a::text, ...)`    |
//! | `JSON_OBJECT('a': 1)` and its like | part of it                        | functions, see `sql_json`             |
//! | `a int UNIQUE NULLS NOT DISTINCT` | nothing                           | as behind a constraint of the table   |
//! | `((SELECT ..) UNION (SELECT ..))` | a subquery in brackets            | a subquery                            |
//!
//! Precedences: <https://www.postgresql.org/docs/17/sql-syntax-lexical.html#SQL-PRECEDENCE>.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ColumnOption, DataType, Expr, KeyOrIndexDisplay, NullsDistinctOption, UnaryOperator,
    UniqueConstraint, Value,
};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword::{
    self, DISTINCT, IS, JSON, KEYS, NOT, NULLS, UNIQUE, WITH, WITHOUT,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::sql::rewrite::{cast_to, function_call};
use crate::sql::sql_json;
use crate::sql::trees::operator_of;

/// The dialect of everything we parse; without state.
#[derive(Debug)]
pub struct Grammar {
    /// Whether `a JOIN b JOIN c ON .. ON ..` is `a JOIN (b JOIN c ON ..) ON ..`, which PostgreSQL's grammar sees by itself;
    /// then `a NATURAL JOIN b JOIN c ON ..` is read wrongly.
    pub nests_joins: bool,
}

const POSTGRESQL: PostgreSqlDialect = PostgreSqlDialect {};

/// Of a sign before an operand: above `^` and COLLATE (120 in sqlparser's table), below subscripts (130) and `::`.
const SIGN: u8 = 125;

/// Words that are reserved in the languages of others, and may be an alias without AS here.
const NOT_RESERVED: &[Keyword] = &[
    Keyword::SORT,
    Keyword::PIVOT,
    Keyword::UNPIVOT,
    Keyword::TOP,
    Keyword::VIEW,
    Keyword::MINUS,
    Keyword::CLUSTER,
    Keyword::DISTRIBUTE,
    Keyword::GLOBAL,
    Keyword::ANTI,
    Keyword::SEMI,
    Keyword::OUTPUT,
    Keyword::ASOF,
    Keyword::QUALIFY,
    Keyword::PARTITION,
    Keyword::PREWHERE,
    Keyword::SETTINGS,
    Keyword::FORMAT,
    Keyword::START,
    Keyword::CONNECT,
    Keyword::MATCH_RECOGNIZE,
    Keyword::MATCH_CONDITION,
    Keyword::SAMPLE,
    Keyword::OPEN,
    Keyword::EXPLAIN,
    Keyword::EXCLUDE,
];

/// What sqlparser's dialect says, method by method: a dialect cannot inherit.
macro_rules! as_in_postgresql {
    ($($name:ident($($argument:ident: $ty:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self $(, $argument: $ty)*) -> $answer { POSTGRESQL.$name($($argument),*) })*
    };
}

impl Dialect for Grammar {
    /// Where sqlparser asks for a dialect by its type, it is PostgreSQL's.
    fn dialect(&self) -> TypeId {
        POSTGRESQL.dialect()
    }

    as_in_postgresql! {
        identifier_quote_style(identifier: &str) -> Option<char>;
        is_delimited_identifier_start(ch: char) -> bool;
        is_identifier_start(ch: char) -> bool;
        is_identifier_part(ch: char) -> bool;
        supports_unicode_string_literal() -> bool;
        is_reserved_for_identifier(keyword: Keyword) -> bool;
        is_custom_operator_part(ch: char) -> bool;
        supports_filter_during_aggregation() -> bool;
        supports_group_by_expr() -> bool;
        prec_value(precedence: Precedence) -> u8;
        allow_extract_custom() -> bool;
        allow_extract_single_quotes() -> bool;
        supports_create_index_with_clause() -> bool;
        supports_explain_with_utility_options() -> bool;
        supports_listen_notify() -> bool;
        supports_factorial_operator() -> bool;
        supports_bitwise_shift_operators() -> bool;
        supports_comment_on() -> bool;
        supports_load_extension() -> bool;
        supports_named_fn_args_with_colon_operator() -> bool;
        supports_named_fn_args_with_expr_name() -> bool;
        supports_empty_projections() -> bool;
        supports_nested_comments() -> bool;
        supports_string_escape_constant() -> bool;
        supports_numeric_literal_underscores() -> bool;
        supports_array_typedef_with_brackets() -> bool;
        supports_geometric_types() -> bool;
        supports_set_names() -> bool;
        supports_alter_column_type_using() -> bool;
        supports_notnull_operator() -> bool;
        supports_interval_options() -> bool;
        supports_insert_table_alias() -> bool;
        supports_create_table_like_parenthesized() -> bool;
        supports_select_wildcard_with_alias() -> bool;
        supports_comma_separated_trim() -> bool;
        supports_xml_expressions() -> bool;
        supports_comment_optimizer_hint() -> bool;
    }

    /// `f(a := 1)`
    fn supports_named_fn_args_with_assignment_operator(&self) -> bool {
        true
    }

    fn supports_left_associative_joins_without_parens(&self) -> bool {
        !self.nests_joins
    }

    /// SEARCH and CYCLE behind a query of WITH come as this, see `search_words`.
    fn supports_from_first_insert(&self) -> bool {
        true
    }

    /// `SELECT 1 FOR UPDATE`
    fn is_column_alias(&self, keyword: &Keyword, parser: &mut Parser) -> bool {
        *keyword != Keyword::FOR
            && (NOT_RESERVED.contains(keyword) || POSTGRESQL.is_column_alias(keyword, parser))
    }

    /// `FROM starts start`
    fn is_table_alias(&self, keyword: &Keyword, parser: &mut Parser) -> bool {
        NOT_RESERVED.contains(keyword) || POSTGRESQL.is_table_alias(keyword, parser)
    }

    fn parse_column_option(
        &self,
        parser: &mut Parser,
    ) -> Result<Option<Result<Option<ColumnOption>, ParserError>>, ParserError> {
        let nulls_distinct = if parser.parse_keywords(&[UNIQUE, NULLS, NOT, DISTINCT]) {
            NullsDistinctOption::NotDistinct
        } else if parser.parse_keywords(&[UNIQUE, NULLS, DISTINCT]) {
            NullsDistinctOption::Distinct
        } else {
            return POSTGRESQL.parse_column_option(parser);
        };
        let unique = UniqueConstraint {
            name: None,
            index_name: None,
            index_type_display: KeyOrIndexDisplay::None,
            index_type: None,
            columns: Vec::new(),
            index_options: Vec::new(),
            characteristics: parser.parse_constraint_characteristics()?,
            nulls_distinct,
        };
        Ok(Some(Ok(Some(ColumnOption::Unique(unique)))))
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        if is_isnull(&parser.peek_token_ref().token) {
            return Some(Ok(self.prec_value(Precedence::Is)));
        }
        // Behind the name of an argument, and no operator.
        if parser.peek_token_ref().token == Token::Assignment {
            return Some(Ok(self.prec_unknown()));
        }
        POSTGRESQL.get_next_precedence(parser)
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        if is_substring_similar(parser) {
            return Some(self.substring_similar(parser));
        }
        if let Some(parsed) = sql_json::parse(parser) {
            return Some(parsed);
        }
        if is_query_of_queries(parser) {
            return Some(query_of_queries(parser));
        }
        if is_typed_literal(parser) {
            return Some(typed_literal(parser));
        }
        let op = match parser.peek_token_ref().token {
            Token::Minus => UnaryOperator::Minus,
            Token::Plus => UnaryOperator::Plus,
            _ => return None,
        };
        parser.next_token();
        Some(parser.parse_subexpr(SIGN).map(|operand| Expr::UnaryOp { op, expr: Box::new(operand) }))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        left: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        if parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
            let right = parser.parse_subexpr(self.prec_value(Precedence::Is));
            return Some(right.map(|right| Expr::IsDistinctFrom(Box::new(left.clone()), Box::new(right))));
        }
        if parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]) {
            let right = parser.parse_subexpr(self.prec_value(Precedence::Is));
            return Some(right.map(|right| Expr::IsNotDistinctFrom(Box::new(left.clone()), Box::new(right))));
        }
        if parser.parse_keywords(&[IS, JSON]) {
            return Some(Ok(is_json(parser, left)));
        }
        if parser.parse_keywords(&[IS, NOT, JSON]) {
            let expr = Box::new(Expr::Nested(Box::new(is_json(parser, left))));
            return Some(Ok(Expr::UnaryOp { op: UnaryOperator::Not, expr }));
        }
        // Behind `x::text`; behind x sqlparser reads it.
        if parser.parse_keyword(Keyword::COLLATE) {
            let collation = parser.parse_object_name(false);
            return Some(
                collation.map(|collation| Expr::Collate { expr: Box::new(left.clone()), collation }),
            );
        }
        if is_isnull(&parser.peek_token_ref().token) {
            parser.next_token();
            return Some(Ok(Expr::IsNull(Box::new(left.clone()))));
        }
        if let Some(list) = list_of_brackets(parser, left) {
            return Some(Ok(list));
        }
        if let Some(quantified) = like_of_array(parser, left).or_else(|| operator_of_array(parser, left)) {
            return Some(quantified);
        }
        if parser.parse_keywords(&[Keyword::BETWEEN, Keyword::SYMMETRIC]) {
            return Some(self.between_symmetric(parser, left, false));
        }
        if parser.parse_keywords(&[Keyword::NOT, Keyword::BETWEEN, Keyword::SYMMETRIC]) {
            return Some(self.between_symmetric(parser, left, true));
        }
        None
    }
}

impl Grammar {
    /// `substring(x SIMILAR pattern ESCAPE escape)`
    fn substring_similar(&self, parser: &mut Parser) -> Result<Expr, ParserError> {
        let bound = self.prec_value(Precedence::Like);
        parser.next_token();
        parser.expect_token(&Token::LParen)?;
        let subject = parser.parse_subexpr(bound)?;
        parser.expect_keyword(Keyword::SIMILAR)?;
        let pattern = parser.parse_subexpr(bound)?;
        parser.expect_keyword(Keyword::ESCAPE)?;
        let escape = parser.parse_expr()?;
        parser.expect_token(&Token::RParen)?;
        Ok(function_call("substring", vec![subject, pattern, escape]))
    }

    fn between_symmetric(
        &self,
        parser: &mut Parser,
        left: &Expr,
        negated: bool,
    ) -> Result<Expr, ParserError> {
        let bound = self.prec_value(Precedence::Between);
        let one = parser.parse_subexpr(bound)?;
        parser.expect_keyword(Keyword::AND)?;
        let other = parser.parse_subexpr(bound)?;
        let between = |low: &Expr, high: &Expr| {
            Box::new(Expr::Between {
                expr: Box::new(left.clone()),
                negated: false,
                low: Box::new(low.clone()),
                high: Box::new(high.clone()),
            })
        };
        let either = Expr::BinaryOp {
            left: between(&one, &other),
            op: BinaryOperator::Or,
            right: between(&other, &one),
        };
        let nested = Expr::Nested(Box::new(either));
        Ok(if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested) } } else { nested })
    }
}

/// `[NOT] IN ((SELECT ...), x)`, `IN ((SELECT ...) + 1, x)`: behind two brackets sqlparser takes a query for all of the list.
fn list_of_brackets(parser: &mut Parser, left: &Expr) -> Option<Expr> {
    let token = |n: usize| &parser.peek_nth_token_ref(n).token;
    let is = |token: &Token, keyword: Keyword| matches!(token, Token::Word(word) if word.keyword == keyword);
    let negated = is(token(0), Keyword::NOT);
    let at = usize::from(negated);
    if !is(token(at), Keyword::IN) || *token(at + 1) != Token::LParen || *token(at + 2) != Token::LParen {
        return None;
    }
    let inner = (at + 3..).map(token).find(|token| **token != Token::LParen);
    if inner.is_some_and(|token| is(token, Keyword::VALUES)) {
        return None;
    }
    let list = parser.maybe_parse(|parser| {
        (0..at + 2).for_each(|_| drop(parser.next_token()));
        let list = parser.parse_comma_separated(Parser::parse_expr)?;
        parser.expect_token(&Token::RParen)?;
        Ok(list)
    });
    let mut list = list.ok()??;
    let expr = Box::new(left.clone());
    let mut last = list.pop();
    while list.is_empty()
        && let Some(Expr::Nested(inner)) = last
    {
        last = Some(*inner);
    }
    Some(match last {
        Some(Expr::Subquery(subquery)) if list.is_empty() => Expr::InSubquery { expr, subquery, negated },
        last => {
            list.extend(last);
            Expr::InList { expr, list, negated }
        }
    })
}

/// The function of `IS JSON`.
pub const IS_JSON: &str = "hither_is_json";

/// What is behind `a IS JSON`: `[VALUE | ARRAY | OBJECT | SCALAR] [WITH | WITHOUT UNIQUE [KEYS]]`.
fn is_json(parser: &mut Parser, document: &Expr) -> Expr {
    let is = |token: &Token, kind: &str| matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(kind));
    let next = &parser.peek_token_ref().token;
    let named = ["value", "array", "object", "scalar"].into_iter().find(|kind| is(next, kind));
    if named.is_some() {
        parser.next_token();
    }
    let kind = named.unwrap_or("value");
    let unique = parser.parse_keywords(&[WITH, UNIQUE]);
    if unique || parser.parse_keywords(&[WITHOUT, UNIQUE]) {
        // It may be missing.
        let _ = parser.parse_keyword(KEYS);
    }
    let text = cast_to(document.clone(), DataType::Text);
    let kind = Expr::value(Value::SingleQuotedString(kind.to_owned()));
    function_call(IS_JSON, vec![text, kind, Expr::value(Value::Boolean(unique))])
}

/// Whether `substring(` comes next with SIMILAR behind its first argument.
fn is_substring_similar(parser: &Parser) -> bool {
    let token = |n: usize| &parser.peek_nth_token_ref(n).token;
    let is = |token: &Token, word: &str| matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word));
    if !is(token(0), "substring") || *token(1) != Token::LParen {
        return false;
    }
    let mut depth = 0;
    for n in 2.. {
        match token(n) {
            Token::EOF => return false,
            Token::Comma if depth == 0 => return false,
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return false,
            Token::RParen => depth -= 1,
            found if depth == 0 && is(found, "similar") => return !is(token(n + 1), "to"),
            _ => {}
        }
    }
    false
}

/// Whether `((SELECT ...)` comes next, and goes on as a query.
fn is_query_of_queries(parser: &Parser) -> bool {
    let is_open = |n: usize| parser.peek_nth_token_ref(n).token == Token::LParen;
    if !is_open(0) || !is_open(1) {
        return false;
    }
    let first = (2..).find(|n| !is_open(*n)).map(|n| &parser.peek_nth_token_ref(n).token);
    let is_one_of = |token: &Token, words: &[Keyword]| matches!(token, Token::Word(word) if words.contains(&word.keyword));
    if !first.is_some_and(|token| is_one_of(token, &[Keyword::SELECT, Keyword::WITH, Keyword::VALUES])) {
        return false;
    }
    const FURTHER: &[Keyword] = &[
        Keyword::UNION,
        Keyword::INTERSECT,
        Keyword::EXCEPT,
        Keyword::ORDER,
        Keyword::LIMIT,
        Keyword::OFFSET,
        Keyword::FETCH,
    ];
    let (mut depth, mut is_behind) = (0, false);
    // Whitespace is counted, so that each token is looked at once.
    for n in 0.. {
        match parser.peek_nth_token_no_skip(n).token {
            Token::EOF => return false,
            Token::Whitespace(_) => {}
            token if is_behind => return is_one_of(&token, FURTHER),
            Token::LParen => depth += 1,
            // That of the second bracket.
            Token::RParen if depth == 2 => is_behind = true,
            Token::RParen => depth -= 1,
            _ => {}
        }
    }
    false
}

/// Whether `name '...'` or `name(n) '...'` comes next, with a name that is no word of the grammar: `vector '[1,2]'`.
fn is_typed_literal(parser: &Parser) -> bool {
    let token = |n: usize| &parser.peek_nth_token_ref(n).token;
    let is_name =
        matches!(token(0), Token::Word(word) if matches!(word.keyword, Keyword::NoKeyword | Keyword::NAME));
    let behind = match (token(1), token(2), token(3)) {
        (Token::LParen, Token::Number(..), Token::RParen) => token(4),
        (behind, ..) => behind,
    };
    is_name && matches!(behind, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))
}

fn typed_literal(parser: &mut Parser) -> Result<Expr, ParserError> {
    let data_type = parser.parse_data_type()?;
    Ok(cast_to(Expr::Value(parser.parse_value()?), data_type))
}

/// `((SELECT ...) UNION (SELECT ...))` as a value.
fn query_of_queries(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let query = parser.parse_query()?;
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Subquery(query))
}

/// `x [NOT] LIKE ANY (...)`, and ALL: as the operators that LIKE stands for.
fn like_of_array(parser: &mut Parser, left: &Expr) -> Option<Result<Expr, ParserError>> {
    use BinaryOperator::{PGILikeMatch, PGLikeMatch, PGNotILikeMatch, PGNotLikeMatch};
    const LIKES: &[&[Keyword]] = &[
        &[Keyword::LIKE],
        &[Keyword::ILIKE],
        &[Keyword::NOT, Keyword::LIKE],
        &[Keyword::NOT, Keyword::ILIKE],
    ];
    let operators = [PGLikeMatch, PGILikeMatch, PGNotLikeMatch, PGNotILikeMatch];
    let quantifiers = [Keyword::ANY, Keyword::SOME, Keyword::ALL];
    let found = LIKES.iter().zip(operators).find_map(|(words, op)| {
        quantifiers.iter().find_map(|quantifier| {
            let words: Vec<Keyword> = words.iter().chain([quantifier]).copied().collect();
            parser.parse_keywords(&words).then(|| (op.clone(), *quantifier))
        })
    });
    let (compare_op, quantifier) = found?;
    Some(of_array(parser, left, compare_op, quantifier))
}

/// `x <@ ANY (...)` and `x OPERATOR(pg_catalog.=) ANY (...)`, and ALL: with more operators than sqlparser takes there.
fn operator_of_array(parser: &mut Parser, left: &Expr) -> Option<Result<Expr, ParserError>> {
    let token = |n: usize| &parser.peek_nth_token_ref(n).token;
    let is_word =
        |n: usize, keyword: Keyword| matches!(token(n), Token::Word(word) if word.keyword == keyword);
    // Tokens of the operator: its own, or OPERATOR, bracket, schema, dot, its own, bracket.
    let (symbol, tokens) = match (is_word(0, Keyword::OPERATOR), token(3)) {
        (true, Token::Period) => (token(4), 6),
        (true, _) => (token(2), 4),
        (false, _) => (token(0), 1),
    };
    let quantifiers = [Keyword::ANY, Keyword::SOME, Keyword::ALL];
    let quantifier = *quantifiers.iter().find(|keyword| is_word(tokens, **keyword))?;
    let op = operator_of(&symbol.to_string())?;
    (0..=tokens).for_each(|_| {
        parser.next_token();
    });
    Some(of_array(parser, left, op, quantifier))
}

/// The array or subquery in brackets behind ANY and ALL.
fn of_array(
    parser: &mut Parser,
    left: &Expr,
    compare_op: BinaryOperator,
    quantifier: Keyword,
) -> Result<Expr, ParserError> {
    // `((SELECT ...) UNION (SELECT ...))`, of which sqlparser reads the first query.
    let is_of_queries = is_query_of_queries(parser);
    parser.expect_token(&Token::LParen)?;
    let is_query = is_of_queries
        || [Keyword::SELECT, Keyword::WITH, Keyword::VALUES].iter().any(|word| parser.peek_keyword(*word));
    let right = match is_query {
        true => Expr::Subquery(parser.parse_query()?),
        false => parser.parse_expr()?,
    };
    parser.expect_token(&Token::RParen)?;
    let (left, right) = (Box::new(left.clone()), Box::new(right));
    Ok(match quantifier {
        Keyword::ALL => Expr::AllOp { left, compare_op, right },
        quantifier => Expr::AnyOp { left, compare_op, right, is_some: quantifier == Keyword::SOME },
    })
}

/// `ISNULL`, which is no keyword to sqlparser.
fn is_isnull(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("isnull"))
}
