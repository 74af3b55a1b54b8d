//! SEARCH and CYCLE behind a query of WITH RECURSIVE, which sqlparser does not read.
//!
//! ```text
//!   WITH RECURSIVE t AS (...) SEARCH DEPTH FIRST BY a, b SET seq  CYCLE a SET is_cycle USING path
//!   WITH RECURSIVE t AS (...) FROM "SEARCH DEPTH FIRST BY a, b SET seq  CYCLE a SET is_cycle USING path"
//! ```
//!
//! sqlparser reads a name behind FROM in this place, which is of another dialect. The clauses wait there as they were
//! written until the query is planned (`sql::searches`).
//!
//! Grammar: <https://www.postgresql.org/docs/17/sql-select.html#SQL-WITH>.

use datafusion::sql::sqlparser::ast::{Expr, Ident};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use crate::error::{Error, Result, SqlState};
use crate::sql::dialect::{parser, parser_of, solid, syntax_error, word};
use crate::sql::source::Source;
use crate::sql::words::is_word;

/// What the name that holds the clauses begins with; not to be written.
const HELD: &str = "\u{1}";

/// What stands for a quote in there, which names double or do not.
const QUOTE: &str = "\u{2}";

/// A query's text with the clauses in the place of the names that hold them.
pub fn shown(mut text: String) -> String {
    let begin = format!("FROM \"{HELD}");
    while let Some(at) = text.find(&begin) {
        let held = &text[at + begin.len()..];
        let end = held.find('"').unwrap_or(held.len());
        let clauses = held[..end].replace(QUOTE, "\"");
        text.replace_range(at..(at + begin.len() + end + 1).min(text.len()), &clauses);
    }
    text
}

/// What stands behind a query.
#[derive(Debug, Default)]
pub struct Clauses {
    pub search: Option<Search>,
    pub cycle: Option<Cycle>,
}

/// `SEARCH BREADTH FIRST BY columns SET sequence`
#[derive(Debug)]
pub struct Search {
    /// DEPTH FIRST else.
    pub breadth: bool,
    pub columns: Vec<Ident>,
    pub sequence: Ident,
}

/// `CYCLE columns SET mark [TO value DEFAULT other] USING path`
#[derive(Debug)]
pub struct Cycle {
    pub columns: Vec<Ident>,
    pub mark: Ident,
    /// The mark of rows that close a cycle, and of others; `true` and `false` where nothing is said.
    pub values: Option<(Expr, Expr)>,
    pub path: Ident,
}

/// The tokens with the clauses as names.
pub fn take(source: &Source, mut tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    if !["SEARCH", "CYCLE"].iter().any(|expected| tokens.iter().any(|token| is_word(&token.token, expected)))
    {
        return Ok(tokens);
    }
    let places = solid(&tokens);
    let mut starts: Vec<usize> = places
        .windows(3)
        .filter(|near| tokens[near[0]].token == Token::RParen && begins(&tokens[near[1]], &tokens[near[2]]))
        .map(|near| near[1])
        .collect();
    // From the last to the first, so that places before a change stay right.
    while let Some(at) = starts.pop() {
        let mut words = parser(tokens[at..].to_vec());
        if let Err(error) = clauses(&mut words) {
            // `(...) cycle a` may be an alias in front of something.
            if word(&tokens[at]) == "CYCLE" && !contains_set(&tokens[at..]) {
                continue;
            }
            return Err(syntax_error(source, &words, error));
        }
        let (next, span) = (words.peek_token(), tokens[at].span);
        let end = tokens[at..].iter().position(|token| token.span == next.span && token.token == next.token);
        let end = end.map_or(tokens.len(), |end| at + end);
        let last = tokens[at..end].iter().rfind(|token| !matches!(token.token, Token::Whitespace(_)));
        let last = last.map_or(span, |token| token.span);
        let text = source.between(Span::new(span.start, last.end));
        let made = [
            Token::make_keyword("FROM"),
            Token::make_word(&format!("{HELD}{}", text.replace('"', QUOTE)), Some('"')),
        ];
        let made: Vec<TokenWithSpan> = made.into_iter().map(|token| TokenWithSpan { token, span }).collect();
        tokens.splice(at..end, made);
    }
    Ok(tokens)
}

/// Whether two tokens may begin such a clause.
fn begins(first: &TokenWithSpan, second: &TokenWithSpan) -> bool {
    match word(first).as_str() {
        "SEARCH" => matches!(word(second).as_str(), "BREADTH" | "DEPTH"),
        "CYCLE" => matches!(second.token, Token::Word(_)),
        _ => false,
    }
}

/// Whether SET follows a list of names.
fn contains_set(tokens: &[TokenWithSpan]) -> bool {
    let solid = solid(tokens);
    let listed = |token: &TokenWithSpan| matches!(token.token, Token::Comma | Token::Word(_));
    solid
        .iter()
        .skip(1)
        .map(|&at| &tokens[at])
        .take_while(|token| listed(token))
        .any(|token| word(token) == "SET")
}

/// The clauses that a name holds.
pub fn read(held: &Ident) -> Result<Clauses> {
    let text = held.value.trim_start_matches(HELD).replace(QUOTE, "\"");
    let mut words = parser_of(&Source::of(&text))?;
    match clauses(&mut words) {
        Ok(read) if read.search.is_some() || read.cycle.is_some() => Ok(read),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"FROM\"")),
    }
}

fn clauses(words: &mut Parser) -> std::result::Result<Clauses, ParserError> {
    let mut read = Clauses::default();
    if accept(words, "SEARCH") {
        let breadth = accept(words, "BREADTH");
        if !breadth {
            expect(words, "DEPTH")?;
        }
        expect(words, "FIRST")?;
        expect(words, "BY")?;
        let columns = words.parse_comma_separated(Parser::parse_identifier)?;
        expect(words, "SET")?;
        read.search = Some(Search { breadth, columns, sequence: words.parse_identifier()? });
    }
    if accept(words, "CYCLE") {
        let columns = words.parse_comma_separated(Parser::parse_identifier)?;
        expect(words, "SET")?;
        let mark = words.parse_identifier()?;
        let values = match accept(words, "TO") {
            true => {
                let value = words.parse_prefix()?;
                expect(words, "DEFAULT")?;
                Some((value, words.parse_prefix()?))
            }
            false => None,
        };
        expect(words, "USING")?;
        read.cycle = Some(Cycle { columns, mark, values, path: words.parse_identifier()? });
    }
    Ok(read)
}

fn accept(words: &mut Parser, expected: &str) -> bool {
    let found = word(&words.peek_token()) == expected;
    if found {
        words.next_token();
    }
    found
}

fn expect(words: &mut Parser, expected: &str) -> std::result::Result<(), ParserError> {
    match accept(words, expected) {
        true => Ok(()),
        false => words.expected(expected, words.peek_token()),
    }
}
