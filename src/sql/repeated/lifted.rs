//! Texts of statements with parameters in the place of their literals, so that two that differ in nothing else are one.
//!
//! ```text
//!   UPDATE t SET n = 5 WHERE id IN (1, 2) AND v <-> '[1,2]' < 3
//!   UPDATE t SET n = $1 WHERE id IN ($2, $3) AND v <-> $4 < $5          5, 1, 2, '[1,2]', 3
//! ```
//!
//! Only literals whose type follows from what they stand beside, as that of a parameter does, are parameters: behind a
//! comparison or an assignment (`=`, `<`, LIKE and their like), in the list of IN, on either side of BETWEEN's AND, in the
//! rows of INSERT ... VALUES, behind LIMIT and OFFSET, and vectors behind operators of distances. What follows must end the
//! expression, so that `5 + small` is not a `smallint`. `ANY (ARRAY[1, 2])` is one parameter, however long. Everything else
//! stays in the text.

use std::borrow::Cow;

use crate::types::Type;

/// Literals that become parameters at most: a page of psycopg2's `execute_values` with ten columns.
const LITERALS_MAX: usize = 1_024;
/// Literals among which the same one is looked for.
const SHARED_MAX: usize = 32;
/// Room for what most texts are without their vectors.
const TEXT_BYTES: usize = 1 << 10;

/// A text with parameters in the place of literals.
#[derive(Debug, PartialEq)]
pub struct Lifted<'a> {
    pub text: String,
    /// What $1, $2, ... stand for.
    pub literals: Vec<Literal<'a>>,
}

/// What stood in the place of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal<'a> {
    /// Without quotes.
    pub text: Cow<'a, str>,
    pub role: Role,
    /// The column beside it; empty for an expression.
    beside: &'a str,
    /// The types it is cast to, as they are written.
    casts: &'a str,
}

/// What a literal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A string behind an operator of distances.
    Vector,
    /// A string that takes its type from what it is compared with or assigned to.
    Quoted,
    /// A number that is compared, or assigned by UPDATE.
    Number,
    /// A number in a row of INSERT.
    Inserted,
    /// An array of numbers, as text.
    Numbers,
    /// An array of strings, as text: ARRAY['x'] is of `text`, whatever it is compared with.
    Texts,
}

impl Literal<'_> {
    /// Whether a parameter of the type is what the literal would be: a number has a type of its own before it is compared,
    /// and a `real` is compared with it as `double precision`.
    pub fn can_be(&self, ty: &Type) -> bool {
        match self.role {
            Role::Vector => ty.is_pgvectors(),
            Role::Quoted => !matches!(ty, Type::Oid | Type::Void | Type::Polymorphic(_) | Type::Record(_)),
            Role::Inserted if *ty == Type::Float4 => true,
            Role::Number | Role::Inserted => is_number(ty),
            Role::Numbers => matches!(ty, Type::Array(of) if is_number(of)),
            Role::Texts => matches!(ty, Type::Array(of) if matches!(**of, Type::Text | Type::Varchar(_))),
        }
    }
}

fn is_number(ty: &Type) -> bool {
    matches!(ty, Type::Int2 | Type::Int4 | Type::Int8 | Type::Float8 | Type::Numeric(_))
}

/// Operators beside which a literal is a vector, whatever its type.
const DISTANCES: [&str; 4] = ["<->", "<=>", "<#>", "<+>"];
/// Operators that give what stands behind them the type of what stands before.
const COMPARISONS: [&str; 7] = ["=", "<>", "!=", "<", ">", "<=", ">="];
/// Words that end an expression.
const ENDS: [&str; 28] = [
    "AND",
    "OR",
    "ORDER",
    "GROUP",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "FOR",
    "RETURNING",
    "WHERE",
    "FROM",
    "AS",
    "ASC",
    "DESC",
    "JOIN",
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "CROSS",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "THEN",
    "WHEN",
    "ELSE",
    "END",
];
/// Words that begin a query behind IN's parenthesis.
const QUERIES: [&str; 4] = ["SELECT", "WITH", "VALUES", "TABLE"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    /// In double quotes.
    Name,
    /// In single quotes.
    Text,
    /// Digits, with a point among them or not.
    Number,
    /// A run of operator characters, or one of `( ) , ; . [ ]`.
    Sign,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

/// What a pair of parentheses is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// The list of IN behind the token of this number.
    List(usize),
    /// A row of INSERT ... VALUES.
    Row,
    Other,
}

/// The tokens of a text; `None` where it has more than words, numbers, operators, names and plain strings.
fn tokens(sql: &str) -> Option<Vec<Token>> {
    let bytes = sql.as_bytes();
    let mut tokens: Vec<Token> = Vec::with_capacity(64);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let kind = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            b'\'' | b'"' => {
                // A string of another kind, such as E'...' and U&"...", or two that are one.
                let touches = tokens.last().is_some_and(|last| last.end == at && last.kind != Kind::Sign);
                let is_unicode = at > 0 && bytes[at - 1] == b'&';
                let goes_on = byte == b'\'' && tokens.last().is_some_and(|last| last.kind == Kind::Text);
                if touches || is_unicode || goes_on {
                    return None;
                }
                at = end_of_quoted(bytes, at)?;
                // `'x'AS y`, where a parameter would be another word.
                if bytes.get(at).is_some_and(|&byte| is_of_word(byte) || byte.is_ascii_digit()) {
                    return None;
                }
                if byte == b'\'' { Kind::Text } else { Kind::Name }
            }
            b'0'..=b'9' => {
                at += digits(&bytes[at..]);
                let point = bytes.get(at) == Some(&b'.');
                if point && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
                    at += 1 + digits(&bytes[at + 1..]);
                }
                // 1e5, 0x1F, 1_000, 1..2
                if bytes.get(at).is_some_and(|&byte| is_of_word(byte) || byte == b'.') {
                    return None;
                }
                Kind::Number
            }
            _ if is_of_word(byte) => {
                at +=
                    bytes[at..].iter().take_while(|&&byte| is_of_word(byte) || byte.is_ascii_digit()).count();
                Kind::Word
            }
            b'(' | b')' | b',' | b';' | b'.' | b'[' | b']' => {
                at += 1;
                Kind::Sign
            }
            _ if is_operator(byte) => {
                at += bytes[at..].iter().take_while(|&&byte| is_operator(byte)).count();
                let run = &sql[start..at];
                // A comment may hide anything.
                if run.contains("--") || run.contains("/*") {
                    return None;
                }
                Kind::Sign
            }
            // $1, $$...$$, a backslash, a character that is none of SQL's.
            _ => return None,
        };
        tokens.push(Token { kind, start, end: at });
    }
    Some(tokens)
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_operator(byte: u8) -> bool {
    b"+-*/<>=~!@#%^&|`?:".contains(&byte)
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The place behind a string or name that begins here; a doubled quote is one of its characters.
fn end_of_quoted(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = bytes[start];
    let mut at = start + 1;
    loop {
        at += bytes[at..].iter().position(|&byte| byte == quote)? + 1;
        if bytes.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// A text while its literals are taken out.
struct Reading<'a, 'c> {
    sql: &'a str,
    tokens: Vec<Token>,
    /// Whether literals beside a column, or beside an expression, stay.
    stays: &'c dyn Fn(Option<&str>) -> bool,
    /// The innermost last.
    within: Vec<Within>,
    /// An INSERT without a query.
    is_insert: bool,
    /// A query in which a name means one column.
    is_one_query: bool,
    /// The parenthesis behind the last row of INSERT.
    row_end: Option<usize>,
    /// The token of BETWEEN's AND, when its first bound is a parameter, and the column before.
    bounds: Option<(usize, &'a str)>,
    lifted: Lifted<'a>,
}

impl<'a> Lifted<'a> {
    /// `None` without a literal to lift. `stays` tells beside which columns (in lower case) literals stay as they are, and
    /// for `None` whether those beside expressions do.
    pub fn of(sql: &'a str, stays: &dyn Fn(Option<&str>) -> bool) -> Option<Lifted<'a>> {
        let tokens = tokens(sql)?;
        let is = |token: &Token, word| sql[token.start..token.end].eq_ignore_ascii_case(word);
        let is_one_query = tokens.iter().skip(1).all(|token| !is(token, "SELECT"));
        let is_insert = is_one_query && is(tokens.first()?, "INSERT");
        let text = String::with_capacity(sql.len().min(TEXT_BYTES));
        let mut reading = Reading {
            sql,
            tokens,
            stays,
            within: Vec::new(),
            is_insert,
            is_one_query,
            row_end: None,
            bounds: None,
            lifted: Lifted { text, literals: Vec::new() },
        };
        reading.read()?;
        (!reading.lifted.literals.is_empty()).then_some(reading.lifted)
    }
}

impl<'a> Reading<'a, '_> {
    fn read(&mut self) -> Option<()> {
        let mut copied = 0;
        for number in 0..self.tokens.len() {
            let token = self.tokens[number];
            // Part of an array.
            if token.start < copied {
                continue;
            }
            match (token.kind, self.text(number)) {
                (Kind::Sign, "(") => self.within.push(self.opened(number)),
                (Kind::Sign, ")") => self.close(number)?,
                (Kind::Text | Kind::Number | Kind::Word, _) => {
                    let found = match token.kind {
                        Kind::Word => self.array(number),
                        _ => self.literal(number).map(|(literal, start)| (literal, start, token.end)),
                    };
                    let Some((literal, start, end)) = found else { continue };
                    if self.lifted.literals.len() == LITERALS_MAX {
                        return None;
                    }
                    self.lifted.text.push_str(&self.sql[copied..start]);
                    self.push(literal);
                    copied = end;
                }
                _ => {}
            }
        }
        self.lifted.text.push_str(&self.sql[copied..]);
        Some(())
    }

    fn text(&self, number: usize) -> &'a str {
        let token = self.tokens[number];
        &self.sql[token.start..token.end]
    }

    fn is_word(&self, number: usize, word: &str) -> bool {
        self.tokens.get(number).is_some_and(|token| token.kind == Kind::Word)
            && self.text(number).eq_ignore_ascii_case(word)
    }

    fn is_sign(&self, number: usize, sign: &str) -> bool {
        self.tokens.get(number).is_some_and(|token| token.kind == Kind::Sign) && self.text(number) == sign
    }

    /// What the parenthesis of a number opens.
    fn opened(&self, number: usize) -> Within {
        let Some(before) = number.checked_sub(1) else { return Within::Other };
        if self.is_word(before, "IN")
            && before > 0
            && QUERIES.iter().all(|word| !self.is_word(number + 1, word))
        {
            let subject = before - 1;
            return Within::List(if self.is_word(subject, "NOT") {
                subject.saturating_sub(1)
            } else {
                subject
            });
        }
        let is_first = self.is_word(before, "VALUES");
        let is_next = self.is_sign(before, ",") && self.row_end.is_some_and(|end| end + 1 == before);
        match self.is_insert && self.within.is_empty() && (is_first || is_next) {
            true => Within::Row,
            false => Within::Other,
        }
    }

    /// `None` for a parenthesis that closes nothing.
    fn close(&mut self, number: usize) -> Option<()> {
        let closed = self.within.pop()?;
        if closed == Within::Row {
            self.row_end = Some(number);
        }
        Some(())
    }

    /// The literal of a number and where it starts, with its sign, when it may be a parameter.
    fn literal(&mut self, number: usize) -> Option<(Literal<'a>, usize)> {
        let token = self.tokens[number];
        let is_text = token.kind == Kind::Text;
        let mut before = number.checked_sub(1)?;
        // `= -5`: a sign behind another operator or a comma is the number's.
        let is_negative = !is_text
            && self.is_sign(before, "-")
            && self.tokens[before].end == token.start
            && before > 0
            && self.is_before_sign(before - 1);
        before -= usize::from(is_negative);
        let start = self.tokens[before + 1].start;
        if is_text && self.is_vector(number, before) {
            // Without an end of its casts it is not known as the same.
            let casts = self.end_of_casts(number + 1).map(|end| self.between(number, end));
            let beside = self.column_at(before.checked_sub(1)?).filter(|_| casts.is_some());
            let (beside, casts) = (beside.unwrap_or_default(), casts.unwrap_or_default());
            return Some((Literal { text: self.content(number), role: Role::Vector, beside, casts }, start));
        }
        let end = self.end_of_casts(number + 1)?;
        // A cast binds more strongly than a sign.
        if is_negative && end != number + 1 {
            return None;
        }
        let beside = self.beside(before, end)?;
        let role = match beside {
            _ if is_text => Role::Quoted,
            Some(_) => Role::Number,
            None => Role::Inserted,
        };
        let text = match is_text {
            true => self.content(number),
            false => Cow::Borrowed(&self.sql[start..token.end]),
        };
        let casts = self.between(number, end);
        Some((Literal { text, role, beside: beside.unwrap_or_default(), casts }, start))
    }

    /// Whether a minus behind this token is that of a number.
    fn is_before_sign(&self, number: usize) -> bool {
        let is_operand = self.is_sign(number, ")") || self.is_sign(number, "]");
        let is_bound = self.bounds.is_some_and(|(and, _)| and == number);
        self.tokens[number].kind == Kind::Sign && !is_operand || is_bound || self.is_word(number, "BETWEEN")
    }

    /// Whether the string of a number is a vector behind an operator of distances.
    fn is_vector(&self, number: usize, before: usize) -> bool {
        let is_open = self.sql[self.tokens[number].start + 1..].starts_with(['[', '{']);
        is_open && self.tokens[before].kind == Kind::Sign && DISTANCES.contains(&self.text(before))
    }

    /// The array that begins with the word of a number, where it starts and ends, when it is all there is behind ANY.
    fn array(&self, number: usize) -> Option<(Literal<'a>, usize, usize)> {
        let operator = number.checked_sub(3)?;
        let is_array = self.is_word(number, "ARRAY")
            && self.is_sign(number - 1, "(")
            && self.is_word(number - 2, "ANY")
            && self.is_comparison(operator)
            && self.is_sign(number + 1, "[");
        let beside = self.subject(operator.checked_sub(1).filter(|_| is_array)?)?;
        let mut text = String::from("{");
        let mut item = number + 2;
        let kind = self.tokens.get(item).map(|token| token.kind)?;
        let kind = if kind == Kind::Text { Kind::Text } else { Kind::Number };
        loop {
            if kind == Kind::Number && self.is_sign(item, "-") {
                text.push('-');
                item += 1;
            }
            self.tokens.get(item).filter(|token| token.kind == kind)?;
            match kind {
                Kind::Text => {
                    let content = self.content(item).replace('\\', "\\\\").replace('"', "\\\"");
                    text.extend(["\"", &content, "\""]);
                }
                _ => text.push_str(self.text(item)),
            }
            if self.is_sign(item + 1, "]") {
                break;
            }
            if !self.is_sign(item + 1, ",") {
                return None;
            }
            text.push(',');
            item += 2;
        }
        if !self.is_sign(item + 2, ")") {
            return None;
        }
        text.push('}');
        let role = if kind == Kind::Text { Role::Texts } else { Role::Numbers };
        let (start, end) = (self.tokens[number].start, self.tokens[item + 1].end);
        Some((Literal { text: Cow::Owned(text), role, beside, casts: "" }, start, end))
    }

    fn is_comparison(&self, number: usize) -> bool {
        self.tokens[number].kind == Kind::Sign && COMPARISONS.contains(&self.text(number))
    }

    /// What the literal behind the token `before` and in front of the token `end` takes its type from: the name of a column,
    /// nothing for an expression, `None` inside for a column that INSERT writes. `None` where it does not.
    fn beside(&mut self, before: usize, end: usize) -> Option<Option<&'a str>> {
        let ends_item = self.is_sign(end, ",") || self.is_sign(end, ")");
        let starts_item = self.is_sign(before, ",") || self.is_sign(before, "(");
        match self.within.last() {
            Some(Within::Row) if starts_item && ends_item => return Some(None),
            Some(Within::List(subject)) if starts_item && ends_item => {
                return self.subject(*subject).map(Some);
            }
            _ => {}
        }
        if self.is_word(before, "BETWEEN") && self.is_word(end, "AND") {
            let subject = before.checked_sub(1)?;
            let subject = if self.is_word(subject, "NOT") { subject.checked_sub(1)? } else { subject };
            let column = self.subject(subject)?;
            self.bounds = Some((end, column));
            return Some(Some(column));
        }
        let is_end = end == self.tokens.len()
            || ends_item
            || self.is_sign(end, ";")
            || self.tokens[end].kind == Kind::Word
                && ENDS.iter().any(|word| self.text(end).eq_ignore_ascii_case(word));
        if !is_end {
            return None;
        }
        if let Some((_, column)) = self.bounds.filter(|(and, _)| *and == before) {
            return Some(Some(column));
        }
        let is_count = self.is_word(before, "LIMIT") || self.is_word(before, "OFFSET");
        if is_count {
            // Of the query itself: EXISTS makes a join of one in it, whose LIMIT must be known then.
            return self.within.is_empty().then_some(Some(""));
        }
        let is_like = self.is_word(before, "LIKE") || self.is_word(before, "ILIKE");
        if !is_like && !self.is_comparison(before) {
            return None;
        }
        let subject = before.checked_sub(1)?;
        let is_not = is_like && self.is_word(subject, "NOT");
        self.subject(if is_not { subject.checked_sub(1)? } else { subject }).map(Some)
    }

    /// The column that ends with the token of a number, nothing for another expression; `None` where literals beside it stay.
    fn subject(&self, number: usize) -> Option<&'a str> {
        let column = self.column_at(number);
        let is_expression = match self.tokens[number].kind {
            Kind::Word | Kind::Name => true,
            Kind::Sign => self.is_sign(number, ")") || self.is_sign(number, "]"),
            // A field of a document. A constant beside another one is known before anything is read.
            Kind::Text => number > 0 && (self.is_sign(number - 1, "->>") || self.is_sign(number - 1, "#>>")),
            Kind::Number => false,
        };
        if !is_expression {
            return None;
        }
        let name = column.map(|column| {
            let name = column.rsplit_once('.').map_or(column, |(_, name)| name);
            name.trim_matches('"').to_ascii_lowercase()
        });
        (!(self.stays)(name.as_deref())).then_some(column.unwrap_or_default())
    }

    /// The column, as it is written, that ends with the token of a number.
    fn column_at(&self, number: usize) -> Option<&'a str> {
        let is_part = |number: usize| matches!(self.tokens[number].kind, Kind::Word | Kind::Name);
        if !is_part(number) {
            return None;
        }
        let mut first = number;
        while first >= 2 && self.is_sign(first - 1, ".") && is_part(first - 2) {
            first -= 2;
        }
        // The end of `x::numeric` is no column, nor that of `a + b` when it is known again by its literal.
        let is_operand = first > 0
            && self.tokens[first - 1].kind == Kind::Sign
            && !["(", ",", ";"].contains(&self.text(first - 1));
        (!is_operand).then(|| &self.sql[self.tokens[first].start..self.tokens[number].end])
    }

    /// The token behind `::type(1, 2)[]`, as often as it is there.
    fn end_of_casts(&self, mut number: usize) -> Option<usize> {
        while self.is_sign(number, "::") {
            let ty = number + 1;
            // The oid behind a name is looked up when the statement is planned.
            let is_type = self.tokens.get(ty).is_some_and(|token| token.kind == Kind::Word);
            if !is_type || self.text(ty).to_ascii_lowercase().starts_with("reg") {
                return None;
            }
            number = ty + 1;
            if self.is_sign(number, "(") {
                let close = (number..self.tokens.len()).find(|&number| self.is_sign(number, ")"))?;
                number = close + 1;
            }
            while self.is_sign(number, "[") && self.is_sign(number + 1, "]") {
                number += 2;
            }
        }
        Some(number)
    }

    /// What stands behind a token, up to the end of the one before another.
    fn between(&self, number: usize, end: usize) -> &'a str {
        &self.sql[self.tokens[number].end..self.tokens[end - 1].end]
    }

    /// A string without its quotes.
    fn content(&self, number: usize) -> Cow<'a, str> {
        let text = self.text(number);
        let inside = &text[1..text.len() - 1];
        match inside.contains('\'') {
            true => Cow::Owned(inside.replace("''", "'")),
            false => Cow::Borrowed(inside),
        }
    }

    /// The same vector beside the same column is the same parameter, for expressions are known as the same by it. So is any
    /// literal where there is one query, in which a name means one column.
    fn push(&mut self, literal: Literal<'a>) {
        let may_share = !literal.beside.is_empty() && (literal.role == Role::Vector || self.is_one_query);
        let known = || self.lifted.literals.iter().take(SHARED_MAX).position(|known| *known == literal);
        let known = if may_share { known() } else { None };
        let place = known.unwrap_or_else(|| {
            self.lifted.literals.push(literal);
            self.lifted.literals.len() - 1
        });
        self.lifted.text.push_str(&format!("${}", place + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifted(sql: &str) -> Option<(String, Vec<String>)> {
        let lifted = Lifted::of(sql, &|_| false)?;
        Some((lifted.text, lifted.literals.into_iter().map(|literal| literal.text.into_owned()).collect()))
    }

    fn check(sql: &str, text: &str, literals: &[&str]) {
        let literals = literals.iter().map(|literal| (*literal).to_owned()).collect();
        assert_eq!(lifted(sql), Some((text.to_owned(), literals)), "{sql}");
    }

    #[test]
    fn vectors_beside_distances_are_parameters() {
        check(
            "SELECT 'a', v <-> '[1,-2]'::vector(2) FROM \"T x\" WHERE b ~ '[1]' ORDER BY v<=>'[3]', v <-> '[1,-2]'::vector(2)",
            "SELECT 'a', v <-> $1::vector(2) FROM \"T x\" WHERE b ~ '[1]' ORDER BY v<=>$2, v <-> $1::vector(2)",
            &["[1,-2]", "[3]"],
        );
        // Beside another operand it may be of another type.
        check(
            "SELECT v <-> '[1]', (h<->'[1]') FROM t ORDER BY h <-> '[1]'",
            "SELECT v <-> $1, (h<->$2) FROM t ORDER BY h <-> $2",
            &["[1]", "[1]"],
        );
        check(
            "SELECT v::halfvec(3) <-> '[1]', v::vector(3) <-> '[1]', \u{a0}v <-> '[1]', \u{3000}é <-> '[2]'",
            "SELECT v::halfvec(3) <-> $1, v::vector(3) <-> $2, \u{a0}v <-> $3, \u{3000}é <-> $4",
            &["[1]", "[1]", "[1]", "[2]"],
        );
        check("SELECT 'it''s', v <-> '[1]'", "SELECT 'it''s', v <-> $1", &["[1]"]);
    }

    #[test]
    fn literals_that_are_compared_are_parameters() {
        check(
            "SELECT \"t\".\"id\" FROM \"t\" WHERE \"t\".\"id\" = 5 AND a<>'it''s' AND b >= -1.5 LIMIT 21",
            "SELECT \"t\".\"id\" FROM \"t\" WHERE \"t\".\"id\" = $1 AND a<>$2 AND b >= $3 LIMIT $4",
            &["5", "it's", "-1.5", "21"],
        );
        check(
            "DELETE FROM t WHERE a IN (1, 'x', -3) AND b NOT IN (4) AND c BETWEEN -1 AND 2 AND d NOT BETWEEN 3 AND -4",
            "DELETE FROM t WHERE a IN ($1, $2, $3) AND b NOT IN ($4) AND c BETWEEN $5 AND $6 AND d NOT BETWEEN $7 AND $8",
            &["1", "x", "-3", "4", "-1", "2", "3", "-4"],
        );
        check(
            "UPDATE t SET a = 'x', n = 5 WHERE at < '2024-01-01'::timestamptz(3) AND (x + 1) = 7 RETURNING 8",
            "UPDATE t SET a = $1, n = $2 WHERE at < $3::timestamptz(3) AND (x + 1) = $4 RETURNING 8",
            &["x", "5", "2024-01-01", "7"],
        );
        check(
            "SELECT price > 5 FROM t WHERE doc->>'k' = 'v' GROUP BY price > 5",
            "SELECT price > $1 FROM t WHERE doc->>'k' = $2 GROUP BY price > $1",
            &["5", "v"],
        );
        check(
            "SELECT 1 FROM t WHERE a LIKE 'x%' AND b NOT ILIKE '%y' ORDER BY 1 LIMIT 21 OFFSET 40",
            "SELECT 1 FROM t WHERE a LIKE $1 AND b NOT ILIKE $2 ORDER BY 1 LIMIT $3 OFFSET $4",
            &["x%", "%y", "21", "40"],
        );
        check(
            "SELECT 1 FROM t WHERE id = ANY(ARRAY[1,-2]) AND a <> ANY (ARRAY['x', 'it''s \"']) AND n = ANY (ARRAY[1, x])",
            "SELECT 1 FROM t WHERE id = ANY($1) AND a <> ANY ($2) AND n = ANY (ARRAY[1, x])",
            &["{1,-2}", "{\"x\",\"it's \\\"\"}"],
        );
        // With another cast it is another value.
        check(
            "SELECT c = 'a '::text, c = 'a ', c = 'a '::text, v <-> '[1]', v <-> '[1]'::vector FROM t",
            "SELECT c = $1::text, c = $2, c = $1::text, v <-> $3, v <-> $4::vector FROM t",
            &["a ", "a ", "[1]", "[1]"],
        );
        // Of another query it may be another column.
        check(
            "SELECT 1 FROM t WHERE a = 5 AND EXISTS (SELECT 1 FROM u WHERE a = 5)",
            "SELECT 1 FROM t WHERE a = $1 AND EXISTS (SELECT 1 FROM u WHERE a = $2)",
            &["5", "5"],
        );
    }

    #[test]
    fn literals_that_are_inserted_are_parameters() {
        check(
            "INSERT INTO t (a, b) VALUES (1, 'x'), (-2.5, '[1,2]'), (f(3), DEFAULT) ON CONFLICT (a) DO UPDATE SET b = 'y' \
             RETURNING (a), (7)",
            "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4), (f(3), DEFAULT) ON CONFLICT (a) DO UPDATE SET b = $5 \
             RETURNING (a), (7)",
            &["1", "x", "-2.5", "[1,2]", "y"],
        );
        check(
            "insert into t values ('2024-01-01'::date, '{1}'::int[], 1 + 2, -5::int2)",
            "insert into t values ($1::date, $2::int[], 1 + 2, -5::int2)",
            &["2024-01-01", "{1}"],
        );
    }

    #[test]
    fn what_is_of_a_type_of_its_own_stays() {
        for other in [
            "SELECT 5, 'x', f(1, 'y') FROM t ORDER BY 1 LIMIT 2 + 3 OFFSET -4",
            "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM u LIMIT 0)",
            "SELECT 1 WHERE 1 = 1 AND 'a' = 'b' AND interval '1 day' = '24 hours'",
            "SELECT 1 FROM t WHERE a = 5 + b OR a = 'x' || b OR a = '1' COLLATE \"C\" OR a - 5 IS NULL",
            "SELECT f(a => 5, b := 6), x @> '{1}', x LIKE 'y!%' ESCAPE '!', x ~ 'y', x = ANY ('{1}'), y IS DISTINCT FROM 5",
            "SELECT 1 FROM t WHERE a IN (SELECT b, 5) AND (a, b) IN ((1, 2)) AND (a, b) = (3, 4)",
            "SELECT 1 FROM (VALUES (1, 'x')) v",
            "INSERT INTO t SELECT 1, 'x' UNION VALUES (2, 'y')",
            "SELECT 1 FROM t WHERE oid = 't'::regclass",
            "SELECT 1 FROM t WHERE a = DATE '2024-01-01'",
            "SELECT v <-> 'abc', '[1]' <-> v",
        ] {
            assert_eq!(lifted(other), None, "{other}");
        }
        // What may be read in another way altogether.
        for other in [
            "SELECT v <-> $1 FROM t WHERE v <-> '[1]' < 1",
            "SELECT v <-> '[1]' -- a comment's '",
            "SELECT v <-> '[1]' /* ' */",
            "SELECT v <-> E'[1]'",
            "SELECT v <-> U&'[1]'",
            "SELECT v <-> '[1]",
            "SELECT v <-> '[1]' 'x'",
            "SELECT v <-> '[1]'\n'[2]'",
            "SELECT v <-> '[1]'AS d",
            "SELECT a = 5 b FROM t WHERE a = 1e5",
            "SELECT a = 0x1F",
            "SELECT a = 5x",
            "SELECT a = 1_000",
            "SELECT a = $$x$$ AND b = 5",
            "SELECT a = '\\x00' AND b = \\ 5",
        ] {
            assert_eq!(lifted(other), None, "{other}");
        }
    }

    #[test]
    fn beside_columns_that_are_to_stay_literals_stay() {
        let stays = |column: Option<&str>| column.is_none_or(|column| column == "kind");
        let lifted = |sql| Lifted::of(sql, &stays).map(|lifted| lifted.text);
        let sql =
            "SELECT 1 FROM t WHERE t.\"Kind\" = 'a' AND kind IN ('b', 'c') AND lower(x) = 'd' AND n = 5";
        let text =
            "SELECT 1 FROM t WHERE t.\"Kind\" = 'a' AND kind IN ('b', 'c') AND lower(x) = 'd' AND n = $1";
        assert_eq!(lifted(sql), Some(text.to_owned()));
    }

    #[test]
    fn a_number_is_a_parameter_of_a_type_that_numbers_have() {
        let of = |sql: &str| {
            let lifted = Lifted::of(sql, &|_| false).expect("a literal");
            let types = [Type::Int4, Type::Float8, Type::Float4, Type::Text, Type::Bool, Type::Vector(None)];
            types.map(|ty| lifted.literals[0].can_be(&ty))
        };
        assert_eq!(of("SELECT a = 5"), [true, true, false, false, false, false]);
        assert_eq!(of("INSERT INTO t VALUES (5)"), [true, true, true, false, false, false]);
        assert_eq!(of("SELECT a = '5'"), [true; 6]);
        assert_eq!(of("SELECT a <-> '[5]'"), [false, false, false, false, false, true]);
    }
}
