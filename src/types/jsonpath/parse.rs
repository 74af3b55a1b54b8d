//! The text of a path to its tree: words first, then precedence climbing.
//!
//! ```text
//!   path        [strict | lax] or
//!   or          and || and ...
//!   and         not && not ...
//!   not         ! ( or ) | ! exists ( sum ) | comparison
//!   comparison  sum [== != < <= > >= sum | starts with text | like_regex text [flag text]]
//!   sum         product + - product ...       product     sign * / % sign ...
//!   sign        + - sign | primary accessor ...
//!   primary     $ | @ | last | $name | literal | ( or ) [is unknown] | exists ( sum )
//! ```

use crate::error::{Error, Result, SqlState};
use crate::types::Numeric;
use crate::types::jsonpath::{Accessor, Arithmetic, Comparison, Expr, METHODS, Path};

/// Brackets, signs and filters inside each other.
const DEPTH_MAX: usize = 200;
/// Operators and accessors of a path, which make trees as deep as they are many: a level takes less than a kilobyte of
/// the stack when it is carried out.
const LINKS_MAX: usize = 1_000;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A key or a keyword.
    Word(String),
    Text(String),
    Number(String),
    Variable(String),
    Symbol(&'static str),
}

/// Longer ones before their beginnings.
const SYMBOLS: &[&str] = &[
    "**", "&&", "||", "==", "!=", "<>", "<=", ">=", "$", "@", ".", "*", "[", "]", "(", ")", "{", "}", "?",
    ",", "+", "-", "/", "%", "<", ">", "=", "!",
];

pub fn path(text: &str) -> Result<Path> {
    if text.trim_ascii().is_empty() {
        return Err(crate::types::text::invalid("jsonpath", text));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, links: 0, filters: 0, subscripts: 0 };
    let strict = parser.accept_word("strict");
    if !strict {
        parser.accept_word("lax");
    }
    let expr = parser.or()?;
    match parser.tokens.get(parser.at) {
        None => Ok(Path { strict, expr }),
        Some(_) => Err(parser.unexpected()),
    }
}

fn syntax(message: impl Into<String>) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

fn too_deep() -> Error {
    Error::new(SqlState("54001"), "stack depth limit exceeded")
}

fn tokens(text: &str) -> Result<Vec<(Token, usize)>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let start = at;
        if c.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if rest.starts_with("/*") {
            match rest.find("*/") {
                Some(end) => at += end + 2,
                None => return Err(syntax("unexpected end of comment at end of jsonpath input")),
            }
            continue;
        }
        let token = if c == '"' {
            Token::Text(quoted(text, &mut at)?)
        } else if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            Token::Number(number(rest, &mut at)?)
        } else if c == '$' && rest[1..].starts_with('"') {
            at += 1;
            Token::Variable(quoted(text, &mut at)?)
        } else if c == '$' && rest[1..].starts_with(is_word) {
            at += 1;
            Token::Variable(word(text, &mut at)?)
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            at += symbol.len();
            Token::Symbol(symbol)
        } else if is_word(c) || c == '\\' {
            Token::Word(word(text, &mut at)?)
        } else {
            return Err(syntax(format!("syntax error at or near \"{c}\" of jsonpath input")));
        };
        tokens.push((token, start));
    }
    Ok(tokens)
}

/// Everything but blanks and the grammar's signs is part of a name.
fn is_word(c: char) -> bool {
    !c.is_ascii_whitespace() && !"?%$.[]{}()|&!=<>@#,*:-+/\\\"".contains(c)
}

fn word(text: &str, at: &mut usize) -> Result<String> {
    let mut out = String::new();
    while let Some(c) = text[*at..].chars().next() {
        if c == '\\' {
            escape(text, at, &mut out)?;
        } else if is_word(c) {
            out.push(c);
            *at += c.len_utf8();
        } else {
            break;
        }
    }
    Ok(out)
}

fn quoted(text: &str, at: &mut usize) -> Result<String> {
    let mut out = String::new();
    *at += 1;
    while let Some(c) = text[*at..].chars().next() {
        match c {
            '"' => {
                *at += 1;
                return Ok(out);
            }
            '\\' => escape(text, at, &mut out)?,
            c => {
                out.push(c);
                *at += c.len_utf8();
            }
        }
    }
    Err(syntax("unterminated quoted string at end of jsonpath input"))
}

/// `\n`, `\x41`, `\u0041`, `\u{41}`; any other character stands for itself.
fn escape(text: &str, at: &mut usize, out: &mut String) -> Result<()> {
    let rest = &text[*at + 1..];
    let Some(c) = rest.chars().next() else {
        return Err(syntax("unexpected end after backslash at end of jsonpath input"));
    };
    *at += 1 + c.len_utf8();
    let simple = match c {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'x' => return unicode(text, at, 2, out),
        'u' => return unicode(text, at, 4, out),
        c => c,
    };
    out.push(simple);
    Ok(())
}

fn unicode(text: &str, at: &mut usize, digits: usize, out: &mut String) -> Result<()> {
    let invalid = || syntax("invalid Unicode escape sequence in jsonpath input");
    let rest = &text[*at..];
    let (hex, length) = match rest.strip_prefix('{').filter(|_| digits == 4) {
        Some(braced) => {
            let end = braced.find('}').filter(|end| (1..=6).contains(end)).ok_or_else(invalid)?;
            (&braced[..end], end + 2)
        }
        None => (rest.get(..digits).ok_or_else(invalid)?, digits),
    };
    let mut code = u32::from_str_radix(hex, 16).map_err(|_| invalid())?;
    *at += length;
    // The two halves of a character beyond the first 65,536.
    if (0xD800..0xDC00).contains(&code) {
        let low = text[*at..].strip_prefix("\\u").and_then(|low| u32::from_str_radix(low.get(..4)?, 16).ok());
        let low = low.filter(|low| (0xDC00..0xE000).contains(low)).ok_or_else(invalid)?;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        *at += 6;
    }
    out.push(char::from_u32(code).filter(|c| *c != '\0').ok_or_else(invalid)?);
    Ok(())
}

/// `1`, `1.5`, `.5`, `1e3`, `0x1F`
fn number(rest: &str, at: &mut usize) -> Result<String> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    if bytes.len() > 2 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X') {
        let length = 2 + bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        *at += length;
        let value = i64::from_str_radix(&rest[2..length], 16);
        return value
            .map(|value| value.to_string())
            .map_err(|_| syntax("invalid numeric literal of jsonpath input"));
    }
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = bytes.get(end + 1 + sign..).map_or(0, |_| digits(end + 1 + sign));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    if rest[end..].starts_with(is_word) {
        let shown: String = rest.chars().take(end + 1).collect();
        let message = format!("trailing junk after numeric literal at or near \"{shown}\" of jsonpath input");
        return Err(syntax(message));
    }
    *at += end;
    Ok(rest[..end].to_owned())
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    links: usize,
    /// Filters and subscripts around the place, in which `@` and `last` mean something.
    filters: usize,
    subscripts: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn unexpected(&self) -> Error {
        match self.peek() {
            None => syntax("syntax error at end of jsonpath input"),
            // PostgreSQL's scanner has reached the end by then.
            Some(Token::Word(_)) if self.at + 1 == self.tokens.len() => {
                syntax("syntax error at end of jsonpath input")
            }
            Some(Token::Word(text) | Token::Number(text)) => {
                syntax(format!("syntax error at or near \"{text}\" of jsonpath input"))
            }
            Some(Token::Text(text)) => {
                syntax(format!("syntax error at or near \"\"{text}\"\" of jsonpath input"))
            }
            Some(Token::Variable(name)) => {
                syntax(format!("syntax error at or near \"${name}\" of jsonpath input"))
            }
            Some(Token::Symbol(symbol)) => {
                syntax(format!("syntax error at or near \"{symbol}\" of jsonpath input"))
            }
        }
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.accept(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<Expr> {
        self.deeper(|parser| {
            let mut left = parser.and()?;
            while parser.accept("||") {
                parser.link()?;
                let right = parser.and()?;
                left = Expr::Or(parser.condition(left)?, parser.condition(right)?);
            }
            Ok(left)
        })
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Parser) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Counts an operator or accessor.
    fn link(&mut self) -> Result<()> {
        self.links += 1;
        if self.links > LINKS_MAX { Err(too_deep()) } else { Ok(()) }
    }

    fn condition(&self, expr: Expr) -> Result<Box<Expr>> {
        if expr.is_condition() { Ok(Box::new(expr)) } else { Err(self.unexpected()) }
    }

    fn value(&self, expr: Expr) -> Result<Box<Expr>> {
        if expr.is_condition() { Err(self.unexpected()) } else { Ok(Box::new(expr)) }
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        while self.accept("&&") {
            self.link()?;
            let right = self.not()?;
            left = Expr::And(self.condition(left)?, self.condition(right)?);
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if !self.accept("!") {
            return self.comparison();
        }
        if self.at_word("exists") {
            return Ok(Expr::Not(Box::new(self.exists()?)));
        }
        self.expect("(")?;
        let inner = self.or()?;
        let inner = self.condition(inner)?;
        self.expect(")")?;
        Ok(Expr::Not(inner))
    }

    fn exists(&mut self) -> Result<Expr> {
        self.at += 1;
        self.expect("(")?;
        let inner = self.deeper(Parser::sum)?;
        let inner = self.value(inner)?;
        self.expect(")")?;
        Ok(Expr::Exists(inner))
    }

    fn comparison(&mut self) -> Result<Expr> {
        let left = self.sum()?;
        const OPERATORS: &[(&str, Comparison)] = &[
            ("==", Comparison::Equal),
            ("=", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<>", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        if let Some((_, operator)) = OPERATORS.iter().find(|(symbol, _)| self.accept(symbol)) {
            let left = self.value(left)?;
            let right = self.sum()?;
            return Ok(Expr::Compare(*operator, left, self.value(right)?));
        }
        if self.accept_word("starts") {
            if !self.accept_word("with") {
                return Err(self.unexpected());
            }
            let left = self.value(left)?;
            let initial = match self.peek().cloned() {
                Some(Token::Text(text)) => Expr::Text(text),
                Some(Token::Variable(name)) => Expr::Variable(name),
                _ => return Err(self.unexpected()),
            };
            self.at += 1;
            return Ok(Expr::StartsWith(left, Box::new(initial)));
        }
        if self.accept_word("like_regex") {
            let operand = self.value(left)?;
            let pattern = self.text()?;
            let flags = if self.accept_word("flag") { self.text()? } else { String::new() };
            if let Some(flag) = flags.chars().find(|flag| !"ismxq".contains(*flag)) {
                return Err(syntax("invalid input syntax for type jsonpath")
                    .detail(format!("Unrecognized flag character \"{flag}\" in LIKE_REGEX predicate.")));
            }
            return Ok(Expr::LikeRegex { operand, pattern, flags });
        }
        Ok(left)
    }

    fn text(&mut self) -> Result<String> {
        let Some(Token::Text(text)) = self.peek().cloned() else { return Err(self.unexpected()) };
        self.at += 1;
        Ok(text)
    }

    fn sum(&mut self) -> Result<Expr> {
        let mut left = self.product()?;
        loop {
            let operator = match () {
                () if self.accept("+") => Arithmetic::Add,
                () if self.accept("-") => Arithmetic::Subtract,
                () => return Ok(left),
            };
            self.link()?;
            let right = self.product()?;
            left = Expr::Arithmetic(operator, self.value(left)?, self.value(right)?);
        }
    }

    fn product(&mut self) -> Result<Expr> {
        let mut left = self.sign()?;
        loop {
            let operator = match () {
                () if self.accept("*") => Arithmetic::Multiply,
                () if self.accept("/") => Arithmetic::Divide,
                () if self.accept("%") => Arithmetic::Remainder,
                () => return Ok(left),
            };
            self.link()?;
            let right = self.sign()?;
            left = Expr::Arithmetic(operator, self.value(left)?, self.value(right)?);
        }
    }

    fn sign(&mut self) -> Result<Expr> {
        let minus = self.accept("-");
        if minus || self.accept("+") {
            let operand = self.deeper(Parser::sign)?;
            return Ok(Expr::Sign { minus, operand: self.value(operand)? });
        }
        let mut expr = self.primary()?;
        while let Some(accessor) = self.accessor()? {
            self.link()?;
            expr = Expr::Access(Box::new(expr), accessor);
        }
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr> {
        let token = self.peek().cloned().ok_or_else(|| self.unexpected())?;
        let expr = match token {
            Token::Symbol("$") => Expr::Root,
            Token::Symbol("@") if self.filters == 0 => {
                return Err(syntax("@ is not allowed in root expressions"));
            }
            Token::Symbol("@") => Expr::Current,
            Token::Symbol("(") => return self.brackets(),
            Token::Variable(name) => Expr::Variable(name),
            Token::Text(text) => Expr::Text(text),
            Token::Number(digits) => Expr::Number(crate::types::numeric::parse(&digits)?),
            Token::Word(word) => match word.as_str() {
                "null" => Expr::Null,
                "true" => Expr::Bool(true),
                "false" => Expr::Bool(false),
                _ if word.eq_ignore_ascii_case("exists") => return self.exists(),
                _ if word.eq_ignore_ascii_case("last") && self.subscripts == 0 => {
                    return Err(syntax("LAST is allowed only in array subscripts"));
                }
                _ if word.eq_ignore_ascii_case("last") => Expr::Last,
                _ => return Err(self.unexpected()),
            },
            Token::Symbol(_) => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(expr)
    }

    /// A value or a condition in brackets.
    fn brackets(&mut self) -> Result<Expr> {
        self.expect("(")?;
        let inner = self.or()?;
        self.expect(")")?;
        if inner.is_condition() && self.accept_word("is") {
            return match self.accept_word("unknown") {
                true => Ok(Expr::IsUnknown(Box::new(inner))),
                false => Err(self.unexpected()),
            };
        }
        Ok(inner)
    }

    fn accessor(&mut self) -> Result<Option<Accessor>> {
        if self.accept("[") {
            return self.subscripts().map(Some);
        }
        if self.accept("?") {
            self.expect("(")?;
            self.filters += 1;
            let condition = self.or();
            self.filters -= 1;
            let condition = self.condition(condition?)?;
            self.expect(")")?;
            return Ok(Some(Accessor::Filter(condition)));
        }
        if !self.accept(".") {
            return Ok(None);
        }
        if self.accept("**") {
            return self.levels().map(Some);
        }
        if self.accept("*") {
            return Ok(Some(Accessor::AnyKey));
        }
        let key = match self.peek().cloned() {
            Some(Token::Text(text)) => {
                self.at += 1;
                return Ok(Some(Accessor::Key(text)));
            }
            Some(Token::Word(word)) => word,
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        if !self.accept("(") {
            return Ok(Some(Accessor::Key(key)));
        }
        let lower = key.to_ascii_lowercase();
        if ["datetime", "date", "time", "time_tz", "timestamp", "timestamp_tz"].contains(&lower.as_str()) {
            return Err(Error::unsupported(format!("the jsonpath item method .{lower}()")));
        }
        let Some((_, method)) = METHODS.iter().find(|(name, _)| *name == lower) else {
            self.at -= 1;
            return Err(self.unexpected());
        };
        let mut arguments = Vec::new();
        if lower == "decimal" {
            while !matches!(self.peek(), Some(Token::Symbol(")"))) && arguments.len() < 2 {
                arguments.push(self.integer()?);
                if !self.accept(",") {
                    break;
                }
            }
        }
        self.expect(")")?;
        Ok(Some(Accessor::Method(*method, arguments)))
    }

    /// A whole number with its sign.
    fn integer(&mut self) -> Result<Numeric> {
        let minus = self.accept("-");
        if !minus {
            self.accept("+");
        }
        let Some(Token::Number(digits)) = self.peek().cloned() else { return Err(self.unexpected()) };
        self.at += 1;
        let number = crate::types::numeric::parse(&digits)?;
        Ok(if minus { number.negated() } else { number })
    }

    fn subscripts(&mut self) -> Result<Accessor> {
        if self.accept("*") {
            self.expect("]")?;
            return Ok(Accessor::AnyItem);
        }
        self.subscripts += 1;
        let mut items = Vec::new();
        loop {
            let first = self.deeper(Parser::sum)?;
            let first = *self.value(first)?;
            let last = match self.accept_word("to") {
                true => {
                    let last = self.deeper(Parser::sum)?;
                    Some(*self.value(last)?)
                }
                false => None,
            };
            items.push((first, last));
            if !self.accept(",") {
                break;
            }
        }
        self.subscripts -= 1;
        self.expect("]")?;
        Ok(Accessor::Items(items))
    }

    fn levels(&mut self) -> Result<Accessor> {
        if !self.accept("{") {
            return Ok(Accessor::Levels(Some(0), None));
        }
        let first = self.level()?;
        let last = if self.accept_word("to") { self.level()? } else { first };
        self.expect("}")?;
        Ok(Accessor::Levels(first, last))
    }

    fn level(&mut self) -> Result<Option<u32>> {
        if self.accept_word("last") {
            return Ok(None);
        }
        let Some(Token::Number(digits)) = self.peek().cloned() else { return Err(self.unexpected()) };
        let level = digits.parse().map_err(|_| self.unexpected())?;
        self.at += 1;
        Ok(Some(level))
    }
}
