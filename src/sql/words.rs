//! Reading PostgreSQL's utility statements word by word.
//!
//! A thin cursor over sqlparser's token stream: keywords are matched by their text, so that nothing depends on which
//! words sqlparser knows. Identifiers are folded to lower case unless quoted and cut at 63 bytes, as PostgreSQL does.

use std::collections::VecDeque;

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Query};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use crate::error::Error;
use crate::sql::source::Source;
use crate::sql::statement::{Name, Persistence};

/// PostgreSQL's NAMEDATALEN - 1, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// Why a statement was not accepted.
pub enum Fault {
    /// Against the grammar; becomes 42601.
    Syntax(ParserError),
    /// Understood, and refused.
    Refused(Error),
}

impl From<ParserError> for Fault {
    fn from(error: ParserError) -> Fault {
        Fault::Syntax(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Refused(error)
    }
}

pub type Parsed<T> = std::result::Result<T, Fault>;

/// The cursor.
pub struct Words<'a> {
    pub parser: &'a mut Parser<'static>,
    pub source: &'a Source,
    /// Options of identity columns, in order; see [`crate::sql::utility::take`].
    pub identities: VecDeque<Vec<TokenWithSpan>>,
    /// LIKE clauses, in order; see [`crate::sql::like_words`].
    pub likes: VecDeque<Vec<TokenWithSpan>>,
    /// What CREATE TABLE says of it; see [`crate::sql::utility::take`].
    pub persistence: Persistence,
    /// Whether a locking clause stands anywhere in the statement.
    pub locks: bool,
}

impl<'a> Words<'a> {
    /// Over a piece of a statement, in which nothing was taken aside.
    pub fn of_piece(parser: &'a mut Parser<'static>, source: &'a Source) -> Words<'a> {
        Words {
            parser,
            source,
            identities: VecDeque::new(),
            likes: VecDeque::new(),
            persistence: Persistence::Permanent,
            locks: false,
        }
    }

    /// Whether the next words are these (upper case, separated by single spaces).
    pub fn at(&self, words: &str) -> bool {
        words.split(' ').enumerate().all(|(n, word)| is_word(&self.parser.peek_nth_token_ref(n).token, word))
    }

    /// Whether these words (upper case, separated by single spaces) stand anywhere from the token taken last on. Each token
    /// is looked at once: to ask for the n-th behind this one costs n steps, and a statement may have a million.
    pub fn contains(&self, words: &str) -> bool {
        let words: Vec<&str> = words.split(' ').collect();
        let mut found = 0;
        for at in self.parser.get_current_index().. {
            match &self.parser.token_at(at).token {
                Token::EOF => return false,
                Token::Whitespace(_) => {}
                token if is_word(token, words[found]) => found += 1,
                token => found = usize::from(is_word(token, words[0])),
            }
            if found == words.len() {
                return true;
            }
        }
        false
    }

    /// Takes these words if they are next.
    pub fn accept(&mut self, words: &str) -> bool {
        let found = self.at(words);
        if found {
            words.split(' ').for_each(|_| self.advance());
        }
        found
    }

    pub fn expect(&mut self, words: &str) -> Parsed<()> {
        for word in words.split(' ') {
            if !self.accept(word) {
                return self.unexpected(word);
            }
        }
        Ok(())
    }

    pub fn accept_token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    pub fn expect_token(&mut self, token: &Token) -> Parsed<()> {
        self.parser.expect_token(token)?;
        Ok(())
    }

    pub fn peek(&self) -> &Token {
        &self.parser.peek_token_ref().token
    }

    /// The token that many behind the next one.
    pub fn peek_nth(&self, distance: usize) -> &Token {
        &self.parser.peek_nth_token_ref(distance).token
    }

    pub fn at_token(&self, token: &Token) -> bool {
        self.peek() == token
    }

    pub fn at_end(&self) -> bool {
        *self.peek() == Token::EOF
    }

    pub fn advance(&mut self) {
        self.parser.next_token();
    }

    /// The next token is not what may stand here.
    pub fn unexpected<T>(&self, expected: &str) -> Parsed<T> {
        Ok(self.parser.expected(expected, self.parser.peek_token())?)
    }

    /// The next unquoted word in upper case, taken; `None` (nothing taken) when it is something else.
    pub fn word(&mut self) -> Option<String> {
        let word = word_of(self.peek())?;
        self.advance();
        Some(word)
    }

    pub fn identifier(&mut self) -> Parsed<String> {
        Ok(fold(&self.parser.parse_identifier()?))
    }

    /// `[schema.]name`
    pub fn name(&mut self) -> Parsed<Name> {
        let start = self.parser.peek_token_ref().span.start;
        let first = self.identifier()?;
        let second = if self.accept_token(&Token::Period) { Some(self.identifier()?) } else { None };
        let third = match &second {
            Some(_) if self.accept_token(&Token::Period) => Some(self.identifier()?),
            _ => None,
        };
        let position = self.source.position(start);
        Ok(match (second, third) {
            (None, _) => Name { schema: None, name: first, position },
            (Some(name), None) => Name { schema: Some(first), name, position },
            // database.schema.name: the database is this one, or the name will not be found.
            (Some(schema), Some(name)) => Name { schema: Some(schema), name, position },
        })
    }

    /// `name[, name]...`
    pub fn names(&mut self) -> Parsed<Vec<Name>> {
        self.list(Words::name)
    }

    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `(item[, item]...)`
    pub fn parenthesised<T>(&mut self, item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect_token(&Token::LParen)?;
        let items = self.list(item)?;
        self.expect_token(&Token::RParen)?;
        Ok(items)
    }

    pub fn string(&mut self) -> Parsed<String> {
        if let Token::DollarQuotedString(quoted) = self.peek() {
            let text = quoted.value.clone();
            self.advance();
            return Ok(text);
        }
        Ok(self.parser.parse_literal_string()?)
    }

    /// A whole number with an optional sign.
    pub fn integer(&mut self) -> Parsed<i64> {
        let negative = self.accept_token(&Token::Minus);
        if !negative {
            self.accept_token(&Token::Plus);
        }
        let text = match self.peek() {
            Token::Number(text, _) => text.clone(),
            _ => return self.unexpected("a number"),
        };
        // i64::MIN has no positive twin.
        let number: std::result::Result<i64, _> =
            if negative { format!("-{text}").parse() } else { text.parse() };
        match number {
            Ok(number) => {
                self.advance();
                Ok(number)
            }
            Err(_) => self.unexpected("an integer"),
        }
    }

    pub fn expression(&mut self) -> Parsed<Expr> {
        Ok(self.parser.parse_expr()?)
    }

    pub fn query(&mut self) -> Parsed<Box<Query>> {
        Ok(self.parser.parse_query()?)
    }

    /// Where the next token starts.
    pub fn location(&self) -> Location {
        self.parser.peek_token_ref().span.start
    }

    /// The source text from a location to the end of the last token taken.
    pub fn text_since(&self, start: Location) -> String {
        let end = self.last_token().span.end;
        // Blanks when the parser has looked at the next token and stepped back.
        self.source.between(Span::new(start, end)).trim_end().to_owned()
    }

    fn last_token(&self) -> &TokenWithSpan {
        self.parser.get_current_token()
    }
}

/// Whether a token is this word, without quotes; `expected` in any case.
pub fn is_word(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

/// The text of a literal in any quotes.
pub fn literal(token: &Token) -> Option<String> {
    match token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Some(text.clone()),
        Token::DollarQuotedString(text) => Some(text.value.clone()),
        _ => None,
    }
}

/// A token that is a word without quotes, in upper case.
pub fn word_of(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
        _ => None,
    }
}

/// An identifier as the catalogue has it.
pub fn fold(identifier: &Ident) -> String {
    let mut name = match identifier.quote_style {
        None => identifier.value.to_lowercase(),
        Some(_) => identifier.value.clone(),
    };
    if name.len() > IDENTIFIER_BYTES_MAX {
        let end = (0..=IDENTIFIER_BYTES_MAX).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
        name.truncate(end);
    }
    name
}

/// sqlparser's object name as ours, with its place in the statement.
pub fn placed_name(source: &Source, name: &ObjectName) -> Name {
    let first = name.0.iter().find_map(|part| part.as_ident());
    let position = first.map_or(0, |first| source.position(first.span.start));
    Name { position, ..object_name(name) }
}

/// sqlparser's object name as ours.
pub fn object_name(name: &ObjectName) -> Name {
    let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let fold_at = |index: usize| parts.get(index).map(|part| fold(part));
    match parts.len() {
        0 => Name { schema: None, name: name.to_string(), position: 0 },
        1 => Name { schema: None, name: fold_at(0).unwrap_or_default(), position: 0 },
        n => Name { schema: fold_at(n - 2), name: fold_at(n - 1).unwrap_or_default(), position: 0 },
    }
}
