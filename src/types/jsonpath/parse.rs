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
use crate::types::jsonpath::{Accessor, Arithmetic, Comparison, Expr, METHODS, Method, Path};

/// Brackets, signs and filters inside each other.
const DEPTH_MAX: usize = 200;
/// Operators and accessors of a path, which make trees as deep as they are many: a level takes less than a kilobyte of
/// the stack when it is carried out.
const LINKS_MAX: usize = 1_000;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A key or a keyword, and what PostgreSQL's scanner has at hand when it is not expected: blanks or nothing.
    Word(String, String),
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

/// The flags of LIKE_REGEX, each once and in PostgreSQL's order.
fn checked_flags(flags: &str) -> Result<String> {
    const KNOWN: &str = "ismxq";
    if let Some(flag) = flags.chars().find(|flag| !KNOWN.contains(*flag)) {
        return Err(syntax("invalid input syntax for type jsonpath")
            .detail(format!("Unrecognized flag character \"{flag}\" in LIKE_REGEX predicate.")));
    }
    if flags.contains('x') && !flags.contains('q') {
        let message = "XQuery \"x\" flag (expanded regular expressions) is not implemented";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    Ok(KNOWN.chars().filter(|flag| flags.contains(*flag)).collect())
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
        } else if let Some(number) = number(rest)? {
            at += number.written.len();
            Token::Number(number.value)
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
            let word = word(text, &mut at)?;
            let rest = &text[at..];
            let blanks = rest.len() - rest.trim_ascii_start().len();
            Token::Word(word, rest[..blanks].to_owned())
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

struct Number<'t> {
    written: &'t str,
    value: String,
}

/// `1`, `1.`, `.5`, `1e3`, `1_000`, `0x1F`, `0o17`, `0b101`; `None` where there is none. As in PostgreSQL's scanner the
/// longest of what may stand here does: a number, one with a character too many, or a word.
fn number(rest: &str) -> Result<Option<Number<'_>>> {
    let at = |place: usize| rest[place..].chars().next();
    let decimal = {
        let whole = match at(0) {
            Some('0') => 1,
            _ => grouped(rest, 10),
        };
        match rest[whole..].strip_prefix('.') {
            Some(fraction) => match grouped(fraction, 10) {
                0 if whole == 0 => 0,
                digits => whole + 1 + digits,
            },
            None => whole,
        }
    };
    if decimal == 0 {
        return Ok(None);
    }
    let mut end = decimal;
    let mut failed = 0;
    if let Some(exponent) = rest[decimal..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        match grouped(&exponent[sign..], 10) {
            0 if sign == 1 => failed = decimal + 2,
            0 => {}
            digits => end = decimal + 1 + sign + digits,
        }
    }
    let radix = match rest.get(..2) {
        Some("0x" | "0X") => 16,
        Some("0o" | "0O") => 8,
        Some("0b" | "0B") => 2,
        _ => 10,
    };
    if radix != 10 {
        let digits = grouped(&rest[2..], radix);
        end = if digits > 0 { 2 + digits } else { end };
    }
    let word = rest.len() - rest.trim_start_matches(is_word).len();
    let junk = match at(end) {
        Some(c) if is_word(c) && (radix == 10 || end == 1) => end + c.len_utf8(),
        _ => 0,
    };
    let longest = end.max(failed).max(junk).max(word);
    let fault = |what: &str| {
        let shown = &rest[..longest];
        Err(syntax(format!("{what} at or near \"{shown}\" of jsonpath input")))
    };
    match longest {
        length if length == end => {
            let written = &rest[..end];
            let value = written.trim_end_matches('.').replace('_', "");
            Ok(Some(Number { written, value }))
        }
        length if length == failed => fault("invalid numeric literal"),
        length if length == junk => fault("trailing junk after numeric literal"),
        _ => Ok(None),
    }
}

/// How long digits are at the beginning of a text, with single underscores between them.
fn grouped(text: &str, radix: u32) -> usize {
    let mut length = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let is_between =
            c == '_' && at > 0 && characters.peek().is_some_and(|(_, next)| next.is_digit(radix));
        if c.is_digit(radix) {
            length = at + 1;
        } else if !is_between {
            break;
        }
    }
    length
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
            Some(Token::Word(_, behind)) if behind.is_empty() => {
                syntax("syntax error at end of jsonpath input")
            }
            Some(Token::Word(_, text) | Token::Number(text)) => {
                syntax(format!("syntax error at or near \"{text}\" of jsonpath input"))
            }
            // Its last character.
            Some(Token::Text(_)) => syntax("syntax error at or near \"\"\" of jsonpath input"),
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
        matches!(self.peek(), Some(Token::Word(found, _)) if found.eq_ignore_ascii_case(word))
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
            let flags = checked_flags(&flags)?;
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
            return Ok(match *self.value(operand)? {
                Expr::Number(number) if minus => Expr::Number(number.negated()),
                Expr::Number(number) => Expr::Number(number),
                operand => Expr::Sign { minus, operand: Box::new(operand) },
            });
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
            Token::Word(word, _) => match word.as_str() {
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
            Some(Token::Word(word, _)) => word,
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        if !self.accept("(") {
            return Ok(Some(Accessor::Key(key)));
        }
        let lower = key.to_ascii_lowercase();
        let Some((_, method)) = METHODS.iter().find(|(name, _)| *name == lower) else {
            self.at -= 1;
            return Err(self.unexpected());
        };
        let arguments = self.arguments(*method)?;
        self.expect(")")?;
        Ok(Some(Accessor::Method(*method, arguments)))
    }

    /// What stands in the brackets of a method.
    fn arguments(&mut self, method: Method) -> Result<Vec<Expr>> {
        let is_closed = matches!(self.peek(), Some(Token::Symbol(")")));
        if is_closed {
            return Ok(Vec::new());
        }
        Ok(match method {
            Method::Datetime => vec![Expr::Text(self.text()?)],
            Method::Time | Method::TimeTz | Method::Timestamp | Method::TimestampTz => {
                vec![self.integer(false)?]
            }
            Method::Decimal => {
                let mut arguments = vec![self.integer(true)?];
                while self.accept(",") {
                    arguments.push(self.integer(true)?);
                }
                if arguments.len() > 2 {
                    return Err(syntax("invalid input syntax for type jsonpath")
                        .detail(".decimal() can only have an optional precision[,scale]."));
                }
                arguments
            }
            _ => Vec::new(),
        })
    }

    /// A whole number, which may have a sign.
    fn integer(&mut self, signed: bool) -> Result<Expr> {
        let minus = signed && self.accept("-");
        if signed && !minus {
            self.accept("+");
        }
        let digits = match self.peek() {
            Some(Token::Number(digits)) if !digits.contains(['.', 'e', 'E']) || digits.starts_with("0x") => {
                digits.clone()
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        let number = crate::types::numeric::parse(&digits)?;
        Ok(Expr::Number(if minus { number.negated() } else { number }))
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
        let level = crate::types::numeric::parse(&digits).ok().and_then(|level| level.to_i64());
        let level = level.and_then(|level| u32::try_from(level).ok()).ok_or_else(|| self.unexpected())?;
        self.at += 1;
        Ok(Some(level))
    }
}
