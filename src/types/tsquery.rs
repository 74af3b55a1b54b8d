//! `tsquery`: words with AND, OR, NOT and FOLLOWED BY.
//!
//! A query is a list of items in prefix order, an operator before its operands, the right one first, as PostgreSQL
//! keeps and sends it:
//!
//! ```text
//!   'fat' & ( 'rat' | 'cat' )   =   And(4)  Or(2)  cat  rat  fat
//!                                   └ left ────────────────┘
//! ```
//!
//! An operator of two operands knows how far away its left one is. Operators nest at most [`DEPTH_MAX`] deep, so that
//! what walks a query may recurse.

use crate::error::{Error, Result, SqlState};
use crate::types::text::is_space;
use crate::types::tsvector::{self, BYTES_MAX, Kind, LEXEME_BYTES_MAX, PLACE_END, WordReader, is_operator};

/// Deepest nesting; PostgreSQL has its stack to tell.
pub const DEPTH_MAX: usize = 4_000;
/// Most operators waiting for their right operand at one level (PostgreSQL's STACKDEPTH).
const WAITING_MAX: usize = 32;

/// One item of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Word(Word),
    /// The operand is the next item.
    Not,
    /// The right operand is the next item, the left one `left` items away.
    And {
        left: u32,
    },
    Or {
        left: u32,
    },
    /// The right operand ends `distance` places after the left one.
    Phrase {
        left: u32,
        distance: u16,
    },
    /// A word that was left out; no finished query has one.
    Stop,
}

/// A word to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// One bit per weight, D lowest; none means all.
    pub weights: u8,
    /// Whether longer lexemes that begin so match too.
    pub prefix: bool,
}

impl Word {
    /// Whether a position of `weight` counts.
    pub fn takes_weight(&self, weight: u8) -> bool {
        self.weights == 0 || self.weights & 1 << weight != 0
    }

    pub fn matches(&self, lexeme: &str) -> bool {
        if self.prefix { lexeme.starts_with(&self.text) } else { lexeme == self.text }
    }
}

/// An operator between two queries, or before one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Not,
    And,
    Or,
    Phrase(u16),
}

impl Operator {
    /// Which of two binds its operands first.
    fn priority(self) -> i32 {
        match self {
            Operator::Or => 1,
            Operator::And => 2,
            Operator::Phrase(_) => 3,
            Operator::Not => 4,
        }
    }

    /// The number by which PostgreSQL sends it.
    fn code(self) -> u8 {
        match self {
            Operator::Not => 1,
            Operator::And => 2,
            Operator::Or => 3,
            Operator::Phrase(_) => 4,
        }
    }
}

impl Item {
    pub fn operator(&self) -> Option<Operator> {
        Some(match self {
            Item::Word(_) | Item::Stop => return None,
            Item::Not => Operator::Not,
            Item::And { .. } => Operator::And,
            Item::Or { .. } => Operator::Or,
            Item::Phrase { distance, .. } => Operator::Phrase(*distance),
        })
    }

    /// How far away the left operand is.
    pub fn left(&self) -> usize {
        match self {
            Item::And { left } | Item::Or { left } | Item::Phrase { left, .. } => *left as usize,
            Item::Word(_) | Item::Not | Item::Stop => 0,
        }
    }
}

/// A query; an empty one matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TsQuery {
    items: Vec<Item>,
}

impl TsQuery {
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn words(&self) -> impl Iterator<Item = &Word> {
        self.items.iter().filter_map(|item| match item {
            Item::Word(word) => Some(word),
            _ => None,
        })
    }

    /// `!!`
    pub fn not(&self) -> Result<TsQuery> {
        if self.is_empty() {
            return Ok(TsQuery::default());
        }
        TsQuery::from_prefix([&[Item::Not], self.items()].concat())
    }

    /// `&&`, `||` and `<->`; an empty query is left out.
    pub fn combine(&self, operator: Operator, other: &TsQuery) -> Result<TsQuery> {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => Ok(other.clone()),
            (_, true) => Ok(self.clone()),
            _ => TsQuery::from_prefix([&[item_of(operator)], other.items(), self.items()].concat()),
        }
    }

    /// A query of items in prefix order, whose distances to left operands are filled in here.
    fn from_prefix(mut items: Vec<Item>) -> Result<TsQuery> {
        let malformed = || Error::new(SqlState::INTERNAL_ERROR, "malformed tsquery: operand not found");
        // From the end: the sizes and depths of the operands not yet taken, the next one last.
        let mut operands: Vec<(u32, usize)> = Vec::new();
        for item in items.iter_mut().rev() {
            let (size, depth) = match item {
                Item::Word(_) | Item::Stop => (1, 1),
                Item::Not => {
                    let (size, depth) = operands.pop().ok_or_else(malformed)?;
                    (size + 1, depth + 1)
                }
                Item::And { left } | Item::Or { left } | Item::Phrase { left, .. } => {
                    let (right, right_depth) = operands.pop().ok_or_else(malformed)?;
                    let (size, depth) = operands.pop().ok_or_else(malformed)?;
                    *left = right + 1;
                    (right + size + 1, right_depth.max(depth) + 1)
                }
            };
            if depth > DEPTH_MAX {
                return Err(Error::new(SqlState("54001"), "stack depth limit exceeded"));
            }
            operands.push((size, depth));
        }
        match operands.len() {
            0 | 1 => Ok(TsQuery { items }),
            _ => Err(Error::new(SqlState::INTERNAL_ERROR, "malformed tsquery: extra nodes")),
        }
    }

    /// PostgreSQL's own size: items of 12 bytes, words with an end.
    fn size(&self) -> usize {
        8 + 12 * self.items.len() + self.words().map(|word| word.text.len() + 1).sum::<usize>()
    }

    /// querytree(): what of the query an index can answer; `None` when it is nothing.
    pub fn without_not(&self) -> Option<TsQuery> {
        fn clean(items: &[Item], at: usize) -> Option<Vec<Item>> {
            let item = &items[at];
            let operands = || (clean(items, at + item.left()), clean(items, at + 1));
            match item {
                Item::Word(_) => Some(vec![item.clone()]),
                Item::Not | Item::Stop => None,
                Item::Or { .. } => {
                    let (left, right) = operands();
                    Some([vec![item.clone()], right?, left?].concat())
                }
                Item::And { .. } | Item::Phrase { .. } => match operands() {
                    (Some(left), Some(right)) => Some([vec![item.clone()], right, left].concat()),
                    (one, other) => one.or(other),
                },
            }
        }
        if self.is_empty() {
            return None;
        }
        // A part of a query is no deeper than the query.
        clean(&self.items, 0).and_then(|items| TsQuery::from_prefix(items).ok())
    }

    /// Bytes that lead back, whose order is PostgreSQL's order of queries as far as words and operators decide it.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&(self.items.len() as u32).to_be_bytes());
        out.extend_from_slice(&(self.size() as u32).to_be_bytes());
        for item in &self.items {
            match item.operator() {
                Some(operator) => out.push(0xF0 - operator.code()),
                None => out.push(0xFF),
            }
            if let Item::Word(word) = item {
                let checksum = legacy_checksum(word.text.as_bytes()) as i32;
                out.extend_from_slice(&(!(checksum as u32 ^ 0x8000_0000)).to_be_bytes());
                out.extend_from_slice(word.text.as_bytes());
                out.push(0);
            }
        }
        for item in &self.items {
            match item {
                Item::Phrase { distance, .. } => out.extend_from_slice(&(!distance).to_be_bytes()),
                Item::Word(word) => out.push(word.weights << 1 | u8::from(word.prefix)),
                _ => {}
            }
        }
        out
    }

    /// What [`TsQuery::bytes`] gave; bytes of another kind are an internal error.
    pub fn from_bytes(bytes: &[u8]) -> Result<TsQuery> {
        let damaged = || Error::internal("bytes that are no tsquery");
        let (count, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
        let mut rest = rest.get(4..).ok_or_else(damaged)?;
        let mut items = Vec::new();
        for _ in 0..u32::from_be_bytes(*count) {
            let (&kind, after) = rest.split_first().ok_or_else(damaged)?;
            rest = after;
            items.push(match kind {
                0xEF => Item::Not,
                0xEE => Item::And { left: 0 },
                0xED => Item::Or { left: 0 },
                0xEC => Item::Phrase { left: 0, distance: 0 },
                _ => {
                    let word = rest.get(4..).ok_or_else(damaged)?;
                    let end = word.iter().position(|&byte| byte == 0).ok_or_else(damaged)?;
                    let text = String::from_utf8(word[..end].to_vec()).map_err(|_| damaged())?;
                    rest = &word[end + 1..];
                    Item::Word(Word { text, weights: 0, prefix: false })
                }
            });
        }
        for item in &mut items {
            match item {
                Item::Phrase { distance, .. } => {
                    let (bytes, after) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
                    (*distance, rest) = (!u16::from_be_bytes(*bytes), after);
                }
                Item::Word(word) => {
                    let (&flags, after) = rest.split_first().ok_or_else(damaged)?;
                    (word.weights, word.prefix, rest) = (flags >> 1, flags & 1 == 1, after);
                }
                _ => {}
            }
        }
        TsQuery::from_prefix(items)
    }
}

fn item_of(operator: Operator) -> Item {
    match operator {
        Operator::Not => Item::Not,
        Operator::And => Item::And { left: 0 },
        Operator::Or => Item::Or { left: 0 },
        Operator::Phrase(distance) => Item::Phrase { left: 0, distance },
    }
}

/// The checksum by which PostgreSQL sorts words of queries: CRC-32's table, walked the other way round.
fn legacy_checksum(bytes: &[u8]) -> u32 {
    let entry =
        |index: u32| (0..8).fold(index, |c, _| if c & 1 == 1 { 0xEDB8_8320 ^ c >> 1 } else { c >> 1 });
    !bytes.iter().fold(u32::MAX, |sum, &byte| entry((sum >> 24 ^ u32::from(byte)) & 0xFF) ^ sum << 8)
}

/// How the text of a query is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// `fat & (rat | cat):*`
    Operators,
    /// The whole text is one operand.
    Plain,
    /// As people write to search engines: `fat "dead rat" -cat or dog`.
    Web,
}

/// Receives the operands of a query that is being read, and what becomes of them.
pub struct Builder {
    /// The items in reverse.
    items: Vec<Item>,
    /// The text, for messages.
    text: String,
    bytes: usize,
}

impl Builder {
    pub fn word(&mut self, text: String, weights: u8, prefix: bool) -> Result<()> {
        let limit = |what: &str| {
            let message = format!("{what} in tsquery: \"{}\"", self.text);
            Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
        };
        if text.len() >= LEXEME_BYTES_MAX {
            return Err(limit("word is too long"));
        }
        if self.bytes >= BYTES_MAX {
            return Err(limit("value is too big"));
        }
        self.bytes += text.len() + 1;
        self.items.push(Item::Word(Word { text, weights, prefix }));
        Ok(())
    }

    /// An operand that is left out.
    pub fn stop(&mut self) {
        self.items.push(Item::Stop);
    }

    /// Takes the operands before it.
    pub fn operator(&mut self, operator: Operator) {
        self.items.push(item_of(operator));
    }
}

/// What becomes of an operand: its text, weights and prefix.
pub type Operand<'a> = &'a dyn Fn(&mut Builder, String, u8, bool) -> Result<()>;

/// Reads a query whose operands are words as they are.
pub fn parse(text: &str) -> Result<TsQuery> {
    read(text, Syntax::Operators, &|builder, word, weights, prefix| builder.word(word, weights, prefix))
}

/// Reads a query; `operand` says what becomes of each operand.
pub fn read(text: &str, syntax: Syntax, operand: Operand<'_>) -> Result<TsQuery> {
    let builder = Builder { items: Vec::new(), text: text.to_owned(), bytes: 0 };
    let kind = if syntax == Syntax::Web { Kind::Web } else { Kind::Query };
    let mut reader = Reader {
        words: WordReader::new(text, kind),
        builder,
        syntax,
        state: State::FirstOperand,
        open: 0,
        operand,
    };
    reader.level(0)?;
    let mut items = reader.builder.items;
    items.reverse();
    remove_stops(TsQuery::from_prefix(items)?)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FirstOperand,
    Operand,
    Operator,
}

enum Token {
    Operand { text: String, weights: u8, prefix: bool },
    Operator(Operator),
    Open,
    Close,
    End,
}

struct Reader<'a> {
    words: WordReader<'a>,
    builder: Builder,
    syntax: Syntax,
    state: State,
    /// Parentheses that wait for their end.
    open: usize,
    operand: Operand<'a>,
}

impl Reader<'_> {
    /// Reads up to the end or a closing parenthesis, operators after their operands.
    fn level(&mut self, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(Error::new(SqlState("54001"), "stack depth limit exceeded"));
        }
        let mut waiting: Vec<Operator> = Vec::new();
        loop {
            match self.token()? {
                Token::Operand { text, weights, prefix } => {
                    (self.operand)(&mut self.builder, text, weights, prefix)?;
                }
                Token::Operator(operator) => {
                    self.settle(&mut waiting, operator);
                    if waiting.len() == WAITING_MAX {
                        return Err(Error::new(SqlState::INTERNAL_ERROR, "tsquery stack too small"));
                    }
                    waiting.push(operator);
                }
                Token::Open => self.level(depth + 1)?,
                Token::Close | Token::End => {
                    self.settle(&mut waiting, Operator::Or);
                    return Ok(());
                }
            }
        }
    }

    /// Writes the operators that bind before `next` does.
    fn settle(&mut self, waiting: &mut Vec<Operator>, next: Operator) {
        while let Some(&last) = waiting.last() {
            let binds_first = match next {
                Operator::Not => next.priority() < last.priority(),
                _ => next.priority() <= last.priority(),
            };
            if !binds_first {
                return;
            }
            waiting.pop();
            self.builder.operator(last);
        }
    }

    fn token(&mut self) -> Result<Token> {
        match self.syntax {
            Syntax::Plain => Ok(self.plain()),
            Syntax::Operators => self.standard(),
            Syntax::Web => self.web(),
        }
    }

    fn plain(&mut self) -> Token {
        let text = std::mem::take(&mut self.words.rest);
        if text.is_empty() {
            return Token::End;
        }
        Token::Operand { text: text.to_owned(), weights: 0, prefix: false }
    }

    fn standard(&mut self) -> Result<Token> {
        self.words.rest = self.words.rest.trim_start_matches(is_space);
        let next = self.words.rest.chars().next();
        if self.state == State::Operator {
            return self.standard_operator(next);
        }
        match next {
            Some('!') => Ok(self.operator(1, Operator::Not)),
            Some('(') => {
                self.open += 1;
                self.state = State::Operand;
                self.words.rest = &self.words.rest[1..];
                Ok(Token::Open)
            }
            Some(':') => Err(self.words.syntax_error()),
            None if self.state == State::Operand => {
                let message = format!("no operand in tsquery: \"{}\"", self.builder.text);
                Err(Error::new(SqlState::SYNTAX_ERROR, message))
            }
            _ => match self.words.word()? {
                None => Ok(Token::End),
                Some(text) => {
                    let (weights, prefix) = self.modifiers();
                    self.state = State::Operator;
                    Ok(Token::Operand { text, weights, prefix })
                }
            },
        }
    }

    fn standard_operator(&mut self, next: Option<char>) -> Result<Token> {
        match next {
            Some('&') => Ok(self.operator(1, Operator::And)),
            Some('|') => Ok(self.operator(1, Operator::Or)),
            Some('<') => match self.phrase()? {
                Some((length, distance)) => Ok(self.operator(length, Operator::Phrase(distance))),
                None => Err(self.words.syntax_error()),
            },
            Some(')') if self.open > 0 => {
                self.open -= 1;
                self.words.rest = &self.words.rest[1..];
                Ok(Token::Close)
            }
            None if self.open == 0 => Ok(Token::End),
            _ => Err(self.words.syntax_error()),
        }
    }

    fn operator(&mut self, length: usize, operator: Operator) -> Token {
        self.words.rest = &self.words.rest[length..];
        self.state = State::Operand;
        Token::Operator(operator)
    }

    /// The length and distance of `<->` or `<2>`.
    fn phrase(&self) -> Result<Option<(usize, u16)>> {
        let Some((distance, after)) = self.words.rest[1..].split_once('>') else { return Ok(None) };
        // PostgreSQL looks at the end only when something follows.
        if after.is_empty() {
            return Ok(None);
        }
        if distance == "-" {
            return Ok(Some((3, 1)));
        }
        if distance.is_empty() || !distance.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        match distance.parse::<u32>() {
            Ok(number) if number <= PLACE_END => Ok(Some((distance.len() + 2, number as u16))),
            _ => {
                let message = format!(
                    "distance in phrase operator must be an integer value between zero and {PLACE_END} inclusive"
                );
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
            }
        }
    }

    /// `:AB*` after a word.
    fn modifiers(&mut self) -> (u8, bool) {
        let (mut weights, mut prefix) = (0, false);
        let Some(rest) = self.words.rest.strip_prefix(':') else { return (weights, prefix) };
        let taken = rest.chars().take_while(|&c| match (c, tsvector::weight_of(c)) {
            ('*', _) => {
                prefix = true;
                true
            }
            (_, Some(weight)) => {
                weights |= 1 << weight;
                true
            }
            _ => false,
        });
        let length = taken.count();
        self.words.rest = &rest[length..];
        (weights, prefix)
    }

    fn web(&mut self) -> Result<Token> {
        loop {
            self.words.rest = self.words.rest.trim_start_matches(is_space);
            let next = self.words.rest.chars().next();
            match (self.state, next) {
                (State::Operator, None) => return Ok(Token::End),
                (State::Operator, Some(_)) if self.is_or() => return Ok(self.operator(2, Operator::Or)),
                (_, Some('-')) if self.state != State::Operator => {
                    return Ok(self.operator(1, Operator::Not));
                }
                (_, Some('"')) if self.state != State::Operator => return Ok(self.quoted()),
                (_, Some(c)) if is_operator(c) => {
                    self.words.rest = &self.words.rest[1..];
                    if self.state == State::FirstOperand {
                        self.state = State::Operand;
                    }
                }
                (State::Operator, Some(_)) => return Ok(self.operator(0, Operator::And)),
                _ => {
                    if let Some(text) = self.words.word()? {
                        self.state = State::Operator;
                        return Ok(Token::Operand { text, weights: 0, prefix: false });
                    }
                    if self.state == State::Operand {
                        self.builder.stop();
                    }
                    return Ok(Token::End);
                }
            }
        }
    }

    /// All between quotes is one operand.
    fn quoted(&mut self) -> Token {
        let inside = &self.words.rest[1..];
        let (text, rest) = inside.split_once('"').unwrap_or((inside, ""));
        self.words.rest = rest;
        self.state = State::Operator;
        Token::Operand { text: text.to_owned(), weights: 0, prefix: false }
    }

    /// Whether `or` stands next as a word of its own with something behind it.
    fn is_or(&self) -> bool {
        let rest = self.words.rest;
        if !rest.get(..2).is_some_and(|word| word.eq_ignore_ascii_case("or")) {
            return false;
        }
        let after = &rest[2..];
        let mut chars = after.chars();
        match chars.next() {
            None | Some('-' | '_') => false,
            Some(c) if c.is_alphanumeric() => false,
            Some(_) => chars.any(|c| !is_space(c)),
        }
    }
}

/// The query without the words that were left out. Distances of phrases grow by what is missing in them.
fn remove_stops(query: TsQuery) -> Result<TsQuery> {
    if !query.items.contains(&Item::Stop) {
        return Ok(query);
    }
    match clean(&query.items, 0).0 {
        Some(items) => TsQuery::from_prefix(items),
        None => Ok(TsQuery::default()),
    }
}

/// The items from `at` on without stops, and by how much phrases to the left and to the right of them get longer.
fn clean(items: &[Item], at: usize) -> (Option<Vec<Item>>, u16, u16) {
    let item = &items[at];
    match item {
        Item::Word(_) => return (Some(vec![item.clone()]), 0, 0),
        Item::Stop => return (None, 0, 0),
        Item::Not => {
            let (operand, before, after) = clean(items, at + 1);
            return (operand.map(|operand| [vec![Item::Not], operand].concat()), before, after);
        }
        _ => {}
    }
    let (left, left_before, left_after) = clean(items, at + item.left());
    let (right, right_before, right_after) = clean(items, at + 1);
    let distance = match item {
        Item::Phrase { distance, .. } => Some(*distance),
        _ => None,
    };
    match (left, right, distance) {
        (None, None, Some(distance)) => {
            let all = left_before + distance + right_before;
            (None, all, all)
        }
        (None, None, None) => {
            let all = left_before.max(right_before);
            (None, all, all)
        }
        (None, right, Some(distance)) => (right, left_before + distance + right_before, right_after),
        (None, right, None) => (right, right_before, right_after),
        (left, None, Some(distance)) => (left, left_before, left_after + distance + right_after),
        (left, None, None) => (left, left_before, left_after),
        (Some(left), Some(right), Some(distance)) => {
            let distance = distance + left_after + right_before;
            let items = [vec![Item::Phrase { left: 0, distance }], right, left].concat();
            (Some(items), left_before, right_after)
        }
        (Some(left), Some(right), None) => (Some([vec![item.clone()], right, left].concat()), 0, 0),
    }
}

/// `'fat' & ( 'rat' | 'cat' )`
pub fn print(query: &TsQuery, out: &mut Vec<u8>) {
    if !query.is_empty() {
        print_item(&query.items, 0, -1, false, out);
    }
}

/// `parent` is the priority of the operator around it.
fn print_item(items: &[Item], at: usize, parent: i32, is_right_of_phrase: bool, out: &mut Vec<u8>) {
    let item = &items[at];
    let operator = match (item, item.operator()) {
        (Item::Word(word), _) => return print_word(word, out),
        (_, Some(operator)) => operator,
        _ => return,
    };
    let priority = operator.priority();
    let is_phrase = matches!(operator, Operator::Phrase(_));
    let parentheses = priority < parent || is_phrase && is_right_of_phrase;
    if parentheses {
        out.extend_from_slice(b"( ");
    }
    match operator {
        Operator::Not => out.push(b'!'),
        _ => print_item(items, at + item.left(), priority, false, out),
    }
    match operator {
        Operator::Not => {}
        Operator::And => out.extend_from_slice(b" & "),
        Operator::Or => out.extend_from_slice(b" | "),
        Operator::Phrase(1) => out.extend_from_slice(b" <-> "),
        Operator::Phrase(distance) => out.extend_from_slice(format!(" <{distance}> ").as_bytes()),
    }
    print_item(items, at + 1, priority, is_phrase, out);
    if parentheses {
        out.extend_from_slice(b" )");
    }
}

fn print_word(word: &Word, out: &mut Vec<u8>) {
    tsvector::print_word(&word.text, out);
    if word.weights == 0 && !word.prefix {
        return;
    }
    out.push(b':');
    if word.prefix {
        out.push(b'*');
    }
    for weight in (0..4u8).rev().filter(|weight| word.weights & 1 << weight != 0) {
        out.push(b"DCBA"[usize::from(weight)]);
    }
}

/// tsquery_send
pub fn send(query: &TsQuery, out: &mut Vec<u8>) {
    out.extend_from_slice(&(query.items.len() as u32).to_be_bytes());
    for item in &query.items {
        match (item, item.operator()) {
            (Item::Word(word), _) => {
                out.extend_from_slice(&[1, word.weights, u8::from(word.prefix)]);
                out.extend_from_slice(word.text.as_bytes());
                out.push(0);
            }
            (_, Some(operator)) => {
                out.extend_from_slice(&[2, operator.code()]);
                if let Operator::Phrase(distance) = operator {
                    out.extend_from_slice(&distance.to_be_bytes());
                }
            }
            _ => {}
        }
    }
}

/// tsquery_recv
pub fn receive(bytes: &[u8]) -> Result<TsQuery> {
    let invalid = |message: &str| Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message);
    let short = || invalid("insufficient data left in message");
    let (count, mut rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
    let mut items = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        match *rest {
            [1, weights, prefix, ref word @ ..] => {
                let end = word.iter().position(|&byte| byte == 0).ok_or_else(short)?;
                let text = std::str::from_utf8(&word[..end]);
                let text = text.map_err(|_| invalid("invalid tsquery: not UTF-8"))?.to_owned();
                if weights > 0xF {
                    return Err(invalid("invalid tsquery: invalid weight bitmap"));
                }
                if end > LEXEME_BYTES_MAX {
                    return Err(invalid("invalid tsquery: operand too long"));
                }
                items.push(Item::Word(Word { text, weights, prefix: prefix != 0 }));
                rest = &word[end + 1..];
            }
            [2, 4, high, low, ref after @ ..] => {
                let distance = u16::from_be_bytes([high, low]);
                items.push(Item::Phrase { left: 0, distance });
                rest = after;
            }
            [2, code @ 1..=3, ref after @ ..] => {
                let operator = [Operator::Not, Operator::And, Operator::Or][usize::from(code) - 1];
                items.push(item_of(operator));
                rest = after;
            }
            [2, code, ..] if code != 4 => {
                return Err(invalid(&format!("invalid tsquery: unrecognized operator type {code}")));
            }
            [1 | 2, ..] | [] => return Err(short()),
            [kind, ..] => return Err(invalid(&format!("unrecognized tsquery node type: {kind}"))),
        }
    }
    if !rest.is_empty() {
        return Err(invalid("incorrect binary data format"));
    }
    TsQuery::from_prefix(items).map_err(|error| invalid(error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print_to_text(query: &TsQuery) -> String {
        let mut out = Vec::new();
        print(query, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn shown(text: &str) -> std::result::Result<String, String> {
        parse(text).map(|query| print_to_text(&query)).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn reads_and_prints_as_postgres() {
        for (text, printed) in [
            ("", ""),
            ("1", "'1'"),
            ("!1", "!'1'"),
            ("1|2", "'1' | '2'"),
            ("!(1|2)&!!3", "!( '1' | '2' ) & !!'3'"),
            ("!1|!2&3", "!'1' | !'2' & '3'"),
            ("5&(6|7)&8", "'5' & ( '6' | '7' ) & '8'"),
            ("5&(6&8)", "'5' & '6' & '8'"),
            ("a <-> b <2> c", "'a' <-> 'b' <2> 'c'"),
            ("a <-> (b <0> c)", "'a' <-> ( 'b' <0> 'c' )"),
            ("(a & b) <-> c", "( 'a' & 'b' ) <-> 'c'"),
            ("'a''b' & c\\&d:*BA", "'a''b' & 'c&d':*AB"),
            ("a:a*d", "'a':*AD"),
            ("a:bx", "?"),
            ("a b", "?"),
        ] {
            match printed {
                "?" => assert!(shown(text).is_err(), "{text}"),
                printed => assert_eq!(shown(text).as_deref(), Ok(printed), "{text}"),
            }
        }
        assert_eq!(shown("a &").unwrap_err(), "no operand in tsquery: \"a &\"");
        assert_eq!(shown("a | | b").unwrap_err(), "syntax error in tsquery: \"a | | b\"");
        assert_eq!(shown("(a").unwrap_err(), "syntax error in tsquery: \"(a\"");
        assert!(shown("a <99999> b").unwrap_err().starts_with("distance in phrase operator must be"));
    }

    #[test]
    fn bytes_and_binary_lead_back() {
        for text in ["", "a", "!a:*AB", "a & b | !c <3> d", "(a | b) <-> (c & !d)"] {
            let query = parse(text).unwrap();
            assert_eq!(TsQuery::from_bytes(&query.bytes()).unwrap(), query);
            let mut sent = Vec::new();
            send(&query, &mut sent);
            assert_eq!(receive(&sent).unwrap(), query);
            for end in 0..sent.len() {
                assert!(receive(&sent[..end]).is_err(), "{text} {end}");
            }
        }
        assert!(receive(&[0, 0, 0, 1, 2, 2]).is_err(), "an operator without operands");
        assert!(
            receive(&[0, 0, 0, 1, 9, 2]).is_err()
                && receive(&[0, 0, 0, 2, 1, 0, 0, 65, 0, 1, 0, 0, 65, 0]).is_err()
        );
    }

    #[test]
    fn stops_lengthen_phrases() {
        let read = |text: &str| {
            let query =
                read(text, Syntax::Operators, &|builder, word, weights, prefix| match word.as_str() {
                    "a" => {
                        builder.stop();
                        Ok(())
                    }
                    _ => builder.word(word, weights, prefix),
                });
            print_to_text(&query.unwrap())
        };
        for (text, cleaned) in [
            ("(b <-> a) <-> c", "'b' <2> 'c'"),
            ("b <-> (a <-> c)", "'b' <2> 'c'"),
            ("(b <-> (a <-> a)) <-> c", "'b' <3> 'c'"),
            ("b <-> ((a <-> a) <-> c)", "'b' <3> 'c'"),
            ("w <-> (((a <-> x) <2> (y <3> a)) <-> z)", "'w' <2> ( 'x' <2> 'y' <4> 'z' )"),
            ("((x <-> a) | a) <-> y", "'x' <2> 'y'"),
            ("!a & b", "'b'"),
            ("a", ""),
        ] {
            assert_eq!(read(text), cleaned, "{text}");
        }
    }

    #[test]
    fn combinations_and_depth() {
        let (a, b) = (parse("a | b").unwrap(), parse("c").unwrap());
        let shown = |query: Result<TsQuery>| print_to_text(&query.unwrap());
        assert_eq!(shown(a.combine(Operator::And, &b)), "( 'a' | 'b' ) & 'c'");
        assert_eq!(shown(a.combine(Operator::Phrase(1), &b)), "( 'a' | 'b' ) <-> 'c'");
        assert_eq!(shown(a.not()), "!( 'a' | 'b' )");
        assert_eq!(shown(TsQuery::default().combine(Operator::Or, &b)), "'c'");
        assert_eq!(
            parse("a & !b | c").unwrap().without_not().map(|query| print_to_text(&query)).unwrap(),
            "'a' | 'c'"
        );
        assert_eq!(parse("!a").unwrap().without_not(), None);
        assert!(parse(&"!".repeat(20)).is_err());
        let deep = vec!["x"; DEPTH_MAX + 2].join(" & ");
        assert_eq!(parse(&deep).unwrap_err().message(), "stack depth limit exceeded");
        assert_eq!(parse(&"(".repeat(100_000)).unwrap_err().message(), "stack depth limit exceeded");
    }

    #[test]
    fn the_checksum_is_postgres() {
        // From a table of PostgreSQL's sources: an empty word is the start turned over.
        assert_eq!(legacy_checksum(b""), 0);
        assert_ne!(legacy_checksum(b"ab"), legacy_checksum(b"ba"));
    }
}
