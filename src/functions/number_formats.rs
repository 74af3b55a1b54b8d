//! to_char and to_number of numbers, by PostgreSQL's format templates.
//!
//! A template is taken apart into [`Pattern`]s and a summary of them, and a walk over the patterns prints or reads:
//!
//! ```text
//!   FMS9,990.99   ->  FillMode Sign Digit Comma Digit Digit Digit(zero) Point Digit Digit
//!                     whole 4, behind 2, zeros from place 4, the sign at the first digit
//! ```
//!
//! The places of a number are counted over its digits and its point alike; a number that has fewer digits before the point
//! than the template has `spaces` in front, and one that has more is shown as `#`. Signs, groups and the currency are those
//! of the locale C.

use crate::error::{Error, Result, SqlState};
use crate::functions::bytes::text;
use crate::functions::value::{Definition, strict};
use crate::types::numeric::SCALE_MAX;
use crate::types::{Numeric, Value};

/// The functions, which `formatting` puts beside those of moments.
pub fn definitions() -> Vec<Definition> {
    vec![
        strict("to_char(int4, text) text", |v| match &v[0] {
            Value::Int4(value) => print_integer(i64::from(*value), &v[1]),
            _ => Ok(Value::Null),
        }),
        strict("to_char(int8, text) text", |v| match &v[0] {
            Value::Int8(value) => print_integer(*value, &v[1]),
            _ => Ok(Value::Null),
        }),
        strict("to_char(numeric, text) text", |v| match &v[0] {
            Value::Numeric(value) => print_numeric(value, &v[1]),
            _ => Ok(Value::Null),
        }),
        strict("to_char(float4, text) text", |v| match &v[0] {
            Value::Float4(value) => print_float(f64::from(*value), FLOAT4_DIGITS, &v[1]),
            _ => Ok(Value::Null),
        }),
        strict("to_char(float8, text) text", |v| match &v[0] {
            Value::Float8(value) => print_float(*value, FLOAT8_DIGITS, &v[1]),
            _ => Ok(Value::Null),
        }),
        strict("to_number(text, text) numeric", |v| read_number(text(&v[0]), text(&v[1]))),
    ]
}

/// Digits of a float that mean something (C's FLT_DIG and DBL_DIG).
const FLOAT4_DIGITS: usize = 6;
const FLOAT8_DIGITS: usize = 15;
/// Of "FM" and the like, the longest first where one begins with another.
const WORDS: &[(&str, Pattern)] = &[
    ("EEEE", Pattern::Exponent),
    ("FM", Pattern::FillMode),
    ("MI", Pattern::Minus),
    ("PL", Pattern::Plus),
    ("PR", Pattern::Brackets),
    ("RN", Pattern::Roman { upper: true }),
    ("SG", Pattern::AnySign),
    ("SP", Pattern::Nothing),
    ("TH", Pattern::Ordinal { upper: true }),
    ("B", Pattern::Blank),
    ("C", Pattern::Nothing),
    ("D", Pattern::Point),
    ("G", Pattern::Group),
    ("L", Pattern::Currency),
    ("S", Pattern::Sign),
    ("V", Pattern::Shift),
    (",", Pattern::Comma),
    (".", Pattern::Point),
    ("0", Pattern::Digit { zero: true }),
    ("9", Pattern::Digit { zero: false }),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    Digit {
        zero: bool,
    },
    Point,
    Comma,
    Group,
    Currency,
    Sign,
    Minus,
    Plus,
    AnySign,
    Brackets,
    FillMode,
    Shift,
    Exponent,
    Roman {
        upper: bool,
    },
    Ordinal {
        upper: bool,
    },
    Blank,
    /// A word that PostgreSQL knows and does nothing with.
    Nothing,
    Literal(char),
}

/// Where the sign S stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anchor {
    First { whole_before: usize },
    Last,
}

#[derive(Debug, Default)]
struct Template {
    patterns: Vec<Pattern>,
    /// Digits before the point, behind it, and behind V.
    whole: usize,
    behind: usize,
    shifted: usize,
    /// The place of the first 0 before the point, and how many places the last 0 is at the end of.
    zero_from: Option<usize>,
    zero_end: usize,
    sign: Option<Anchor>,
    has_point: bool,
    has_plus: bool,
    has_minus: bool,
    brackets: bool,
    fill_mode: bool,
    shifts: bool,
    exponent: bool,
    roman: bool,
    blank: bool,
}

impl Template {
    fn read(template: &str) -> Result<Template> {
        let mut read = Template::default();
        let mut rest = template;
        while let Some(first) = rest.chars().next() {
            let word = WORDS.iter().find_map(|(word, pattern)| {
                if rest.starts_with(word) {
                    return Some((word.len(), *pattern));
                }
                let lower = word.to_ascii_lowercase();
                let pattern = match pattern {
                    Pattern::Roman { .. } => Pattern::Roman { upper: false },
                    Pattern::Ordinal { .. } => Pattern::Ordinal { upper: false },
                    pattern => *pattern,
                };
                rest.starts_with(&lower).then_some((lower.len(), pattern))
            });
            if let Some((length, pattern)) = word {
                read.add(pattern)?;
                rest = &rest[length..];
            } else if first == '"' {
                rest = read.quoted(&rest[1..]);
            } else {
                // A backslash means something before a quote only.
                let escapes = rest.starts_with("\\\"");
                let shown = if escapes { '"' } else { first };
                read.patterns.push(Pattern::Literal(shown));
                rest = &rest[if escapes { 2 } else { first.len_utf8() }..];
            }
        }
        Ok(read)
    }

    /// What is between quotes; gives what is behind them.
    fn quoted<'a>(&mut self, inner: &'a str) -> &'a str {
        let mut chars = inner.chars();
        while let Some(shown) = chars.next() {
            match shown {
                '"' => break,
                // The last character of a template stands for itself.
                '\\' => self.patterns.push(Pattern::Literal(chars.next().unwrap_or('\\'))),
                shown => self.patterns.push(Pattern::Literal(shown)),
            }
        }
        chars.as_str()
    }

    fn add(&mut self, pattern: Pattern) -> Result<()> {
        if self.exponent && pattern != Pattern::Exponent {
            return Err(refused("\"EEEE\" must be the last pattern used"));
        }
        let has_other_sign = self.has_plus || self.has_minus;
        match pattern {
            Pattern::Digit { zero } => self.digit(zero)?,
            Pattern::Blank => self.blank |= self.whole == 0 && self.behind == 0,
            Pattern::Point if self.has_point => return Err(refused("multiple decimal points")),
            Pattern::Point | Pattern::Shift if self.has_point || pattern == Pattern::Point && self.shifts => {
                return Err(refused("cannot use \"V\" and decimal point together"));
            }
            Pattern::Point => self.has_point = true,
            Pattern::Shift => self.shifts = true,
            Pattern::FillMode => self.fill_mode = true,
            Pattern::Sign if self.sign.is_some() => return Err(refused("cannot use \"S\" twice")),
            Pattern::Sign if has_other_sign || self.brackets => {
                return Err(refused("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
            }
            Pattern::Sign if self.has_point => self.sign = Some(Anchor::Last),
            Pattern::Sign => self.sign = Some(Anchor::First { whole_before: self.whole }),
            Pattern::Minus if self.sign.is_some() => {
                return Err(refused("cannot use \"S\" and \"MI\" together"));
            }
            Pattern::Minus => self.has_minus = true,
            Pattern::Plus if self.sign.is_some() => {
                return Err(refused("cannot use \"S\" and \"PL\" together"));
            }
            Pattern::Plus => self.has_plus = true,
            Pattern::AnySign if self.sign.is_some() => {
                return Err(refused("cannot use \"S\" and \"SG\" together"));
            }
            Pattern::AnySign => (self.has_plus, self.has_minus) = (true, true),
            Pattern::Brackets if self.sign.is_some() || has_other_sign => {
                return Err(refused("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
            }
            Pattern::Brackets => self.brackets = true,
            Pattern::Roman { .. } => self.roman = true,
            Pattern::Exponent if self.exponent => return Err(refused("cannot use \"EEEE\" twice")),
            Pattern::Exponent if self.is_more_than_digits() => {
                return Err(refused("\"EEEE\" is incompatible with other formats")
                    .detail("\"EEEE\" may only be used together with digit and decimal point patterns."));
            }
            Pattern::Exponent => self.exponent = true,
            Pattern::Comma
            | Pattern::Group
            | Pattern::Currency
            | Pattern::Ordinal { .. }
            | Pattern::Nothing
            | Pattern::Literal(_) => {}
        }
        self.patterns.push(pattern);
        Ok(())
    }

    fn digit(&mut self, zero: bool) -> Result<()> {
        if self.brackets {
            let digit = if zero { 0 } else { 9 };
            return Err(refused(&format!("\"{digit}\" must be ahead of \"PR\"")));
        }
        if !zero && self.shifts {
            self.shifted += 1;
            return Ok(());
        }
        if zero && !self.has_point && self.zero_from.is_none() {
            self.zero_from = Some(self.whole);
        }
        match self.has_point {
            true => self.behind += 1,
            false => self.whole += 1,
        }
        if zero {
            self.zero_end = self.whole + self.behind;
        }
        Ok(())
    }

    fn is_more_than_digits(&self) -> bool {
        self.blank
            || self.fill_mode
            || self.sign.is_some()
            || self.brackets
            || self.has_minus
            || self.has_plus
            || self.roman
            || self.shifts
    }
}

fn refused(message: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

fn out_of_range(ty: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{ty} out of range"))
}

fn print_integer(value: i64, format: &Value) -> Result<Value> {
    let template = Template::read(text(format))?;
    if template.roman {
        let value = i32::try_from(value).map_err(|_| out_of_range("integer"))?;
        return Ok(Value::Text(print_roman(value, &template)));
    }
    if template.exponent {
        return Ok(Value::Text(scientific(&Numeric::from_integer(value), &template)?));
    }
    let factor = 10i64.checked_pow(template.shifted as u32).ok_or_else(|| out_of_range("bigint"))?;
    let value = value.checked_mul(factor).ok_or_else(|| out_of_range("bigint"))?;
    let behind = match template.behind {
        0 => String::new(),
        behind => format!(".{}", "0".repeat(behind)),
    };
    Ok(Value::Text(print(&format!("{value}{behind}"), template)))
}

fn print_numeric(value: &Numeric, format: &Value) -> Result<Value> {
    let template = Template::read(text(format))?;
    if template.roman {
        if !value.is_finite() {
            let what = if *value == Numeric::NAN { "NaN" } else { "infinity" };
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot convert {what} to integer"),
            ));
        }
        let value = value.to_i64().and_then(|value| i32::try_from(value).ok());
        let value = value.ok_or_else(|| out_of_range("integer"))?;
        return Ok(Value::Text(print_roman(value, &template)));
    }
    if template.exponent {
        return Ok(Value::Text(match value.is_finite() {
            true => scientific(value, &template)?,
            false => hashes_with_exponent(&template),
        }));
    }
    let shown = match template.shifted {
        0 => value.clone(),
        shifted => value.times(&power_of_ten(shifted)?)?,
    };
    let digits = shown.rounded(i32::try_from(template.behind).unwrap_or(i32::MAX)).to_string();
    Ok(Value::Text(print(&digits, template)))
}

fn power_of_ten(exponent: usize) -> Result<Numeric> {
    crate::types::numeric::parse(&format!("1e{exponent}"))
}

fn print_float(value: f64, digits: usize, format: &Value) -> Result<Value> {
    let mut template = Template::read(text(format))?;
    if template.roman {
        // What is no integer is as far out of range as what is too large.
        let rounded = value.round_ties_even();
        let is_integer = rounded >= f64::from(i32::MIN) && rounded <= f64::from(i32::MAX);
        let rounded = if is_integer { rounded as i32 } else { i32::MAX };
        return Ok(Value::Text(print_roman(rounded, &template)));
    }
    if template.exponent {
        return Ok(Value::Text(match value.is_finite() {
            true => {
                let behind = template.behind;
                let shown = with_exponent(&format!("{value:.behind$e}"));
                if shown.starts_with('-') { shown } else { format!(" {shown}") }
            }
            false => hashes_with_exponent(&template),
        }));
    }
    let value = value * 10f64.powi(template.shifted as i32);
    // As many digits behind the point as a float has left.
    let whole = printed_float(value.abs(), 0).len();
    template.behind = template.behind.min(digits.saturating_sub(whole));
    Ok(Value::Text(print(&printed_float(value, template.behind), template)))
}

fn printed_float(value: f64, behind: usize) -> String {
    match value.is_infinite() {
        true if value < 0.0 => "-Infinity".to_owned(),
        true => "Infinity".to_owned(),
        false => format!("{value:.behind$}"),
    }
}

/// `1.5e+03` of Rust's `1.5e3`.
fn with_exponent(shown: &str) -> String {
    let (digits, exponent) = shown.split_once('e').unwrap_or((shown, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// A finite number with its exponent. As PostgreSQL's, the digits of 9.99 round to 10.0 where there is one behind the point.
fn scientific(value: &Numeric, template: &Template) -> Result<String> {
    // More digits behind the point than a number has are not looked at.
    const BEHIND_MAX: usize = SCALE_MAX as usize;
    let (mut digits, exponent) = value.significand().unwrap_or(("0".to_owned(), 1));
    digits.truncate(BEHIND_MAX);
    digits.insert(1, '.');
    let sign = if value.is_negative() { "-" } else { "" };
    let digits = crate::types::numeric::parse(&format!("{sign}{digits}"))?;
    let digits = digits.rounded(i32::try_from(template.behind).unwrap_or(i32::MAX));
    let shown = with_exponent(&format!("{digits}e{}", exponent - 1));
    Ok(if shown.starts_with('-') { shown } else { format!(" {shown}") })
}

/// What is no number where an exponent is asked for.
fn hashes_with_exponent(template: &Template) -> String {
    // Room for the sign, the point, "e", the sign of the exponent and two digits of it, the first and the second of which
    // are taken by a space and the point.
    format!(" {}.{}", "#".repeat(template.whole), "#".repeat(template.behind + 4))
}

/// A number up to 3,999 in Roman letters, and what else the template says; digits and signs of it show nothing.
fn print_roman(number: i32, template: &Template) -> String {
    const LETTERS: &[(i32, &str)] = &[
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    // The width of 3888, the longest of them.
    const WIDTH: usize = 15;
    let mut roman = String::new();
    let mut rest = number;
    if (1..=3999).contains(&rest) {
        for (value, letters) in LETTERS {
            while rest >= *value {
                roman.push_str(letters);
                rest -= value;
            }
        }
    } else {
        roman = "#".repeat(WIDTH);
    }
    let mut out = String::new();
    for pattern in &template.patterns {
        match pattern {
            Pattern::Roman { upper } => {
                let shown = if *upper { roman.clone() } else { roman.to_lowercase() };
                match template.fill_mode {
                    true => out.push_str(&shown),
                    false => out.push_str(&format!("{shown:>WIDTH$}")),
                }
            }
            Pattern::Literal(shown) => out.push(*shown),
            Pattern::Currency => out.push(' '),
            Pattern::Comma | Pattern::Group | Pattern::Minus | Pattern::Plus if !template.fill_mode => {
                out.push(' ');
            }
            _ => {}
        }
    }
    out
}

/// A number as the template says, given its digits with as many behind the point as the template has.
fn print(number: &str, template: Template) -> String {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    let whole = template.whole + template.shifted;
    let length = digits.find('.').unwrap_or(digits.len());
    let digits = match length > whole {
        true => format!("{}.{}", "#".repeat(whole), "#".repeat(template.behind)),
        false => digits.to_owned(),
    };
    Printer::new(template, digits.chars().collect(), whole.saturating_sub(length), negative).run()
}

struct Printer {
    template: Template,
    /// The digits of the number, and which of them is next.
    digits: Vec<char>,
    next: usize,
    negative: bool,
    /// Places before the first digit, places in all, and which of them is next.
    spaces: usize,
    places: usize,
    place: usize,
    /// The last digit that FM leaves.
    last_kept: Option<usize>,
    sign_is_written: bool,
    is_inside: bool,
    out: String,
}

impl Printer {
    fn new(mut template: Template, digits: Vec<char>, spaces: usize, negative: bool) -> Printer {
        let whole = template.whole + template.shifted;
        let own_sign = template.has_plus || template.has_minus;
        if !own_sign && !negative && template.fill_mode {
            template.brackets = false;
        }
        if !own_sign && template.sign == Some(Anchor::First { whole_before: whole }) {
            template.sign = Some(Anchor::Last);
        }
        // PL shows that a number is positive, and leaves the minus to the digits.
        let sign_is_written = match own_sign {
            true => template.has_minus,
            false => !negative && template.fill_mode && template.sign.is_none(),
        };
        let mut last_kept = None;
        if template.fill_mode
            && template.has_point
            && let Some(point) = digits.iter().position(|digit| *digit == '.')
        {
            let nonzero = digits.iter().rposition(|digit| *digit != '0').unwrap_or(point).max(point);
            let of_zeros = template.zero_end.checked_sub(spaces).filter(|at| *at > 0);
            let forced = of_zeros.map_or(0, |at| at.min(digits.len() - 1));
            last_kept = Some(nonzero.max(forced));
        }
        let signed = usize::from(!sign_is_written && spaces == 0);
        Printer {
            places: (template.behind + whole + signed).saturating_sub(1),
            template,
            digits,
            next: 0,
            negative,
            spaces,
            place: 0,
            last_kept,
            sign_is_written,
            is_inside: false,
            out: String::new(),
        }
    }

    fn run(mut self) -> String {
        let patterns = std::mem::take(&mut self.template.patterns);
        for pattern in patterns {
            let pads = !self.template.fill_mode;
            let is_ordinal = !self.negative && !self.template.has_point && !self.digits.starts_with(&['#']);
            match pattern {
                Pattern::Digit { .. } | Pattern::Point => {
                    self.digit(pattern == Pattern::Digit { zero: true });
                }
                Pattern::Comma | Pattern::Group if self.is_inside => self.out.push(','),
                Pattern::Comma | Pattern::Group if pads => self.out.push(' '),
                // The currency of the locale C.
                Pattern::Currency => self.out.push(' '),
                Pattern::Ordinal { upper } if is_ordinal => {
                    let suffix = ordinal(&self.digits);
                    self.out.push_str(&if upper { suffix.to_uppercase() } else { suffix.to_owned() });
                }
                Pattern::Minus if self.negative => self.out.push('-'),
                Pattern::Plus if !self.negative => self.out.push('+'),
                Pattern::Minus | Pattern::Plus if pads => self.out.push(' '),
                Pattern::AnySign => self.out.push(self.sign()),
                Pattern::Literal(shown) => self.out.push(shown),
                _ => {}
            }
        }
        self.out
    }

    fn sign(&self) -> char {
        if self.negative { '-' } else { '+' }
    }

    /// Whether FM leaves nothing behind the point.
    fn ends_at_point(&self) -> bool {
        self.last_kept.is_some_and(|last| self.digits[last] == '.')
    }

    /// Whether this is the 0 of a number below 1, which a template without 0 and with digits behind the point leaves out.
    fn is_empty_whole(&self) -> bool {
        self.template.zero_from.is_none()
            && self.next == 0
            && self.digits.first() == Some(&'0')
            && self.template.behind != 0
    }

    fn digit(&mut self, zero: bool) {
        self.is_inside = false;
        let fill_mode = self.template.fill_mode;
        let is_before = self.place < self.spaces;
        let zero_is_here = self.template.zero_from == Some(self.place);
        if !self.sign_is_written
            && (!is_before || zero_is_here)
            && (!self.is_empty_whole() || self.ends_at_point())
        {
            self.write_sign();
        }
        let is_after_zero = self.template.zero_from.is_some_and(|from| from <= self.place);
        if is_before && is_after_zero {
            self.out.push('0');
            self.is_inside = true;
        } else if is_before {
            self.pad();
        } else {
            match self.digits.get(self.next) {
                Some('.') if !self.ends_at_point() || fill_mode => self.out.push('.'),
                Some('.') => {}
                Some(_) if !zero && self.last_kept.is_some_and(|last| self.next > last) => {}
                Some(_) if self.is_empty_whole() && fill_mode && self.ends_at_point() => self.out.push('0'),
                Some(_) if self.is_empty_whole() => self.pad(),
                Some(digit) => {
                    self.out.push(*digit);
                    self.is_inside = true;
                }
                None => {}
            }
            self.next += usize::from(self.next < self.digits.len());
        }
        let end = match self.last_kept {
            Some(last) if last == self.next => self.place,
            _ => self.places + usize::from(self.spaces > 0) + usize::from(self.template.has_point),
        };
        if self.place + 1 == end {
            match self.template.sign {
                _ if self.sign_is_written && self.template.brackets => {
                    self.out.push(if self.negative { '>' } else { ' ' });
                }
                Some(Anchor::Last) => self.out.push(self.sign()),
                _ => {}
            }
        }
        self.place += 1;
    }

    fn pad(&mut self) {
        if !self.template.fill_mode {
            self.out.push(' ');
        }
    }

    fn write_sign(&mut self) {
        match self.template.sign {
            Some(Anchor::Last) => return,
            Some(Anchor::First { .. }) => self.out.push(self.sign()),
            None if self.template.brackets => self.out.push(if self.negative { '<' } else { ' ' }),
            None if self.negative => self.out.push('-'),
            None => self.pad(),
        }
        self.sign_is_written = true;
    }
}

/// `st` of 1, by the last two digits.
fn ordinal(digits: &[char]) -> &'static str {
    let teen = digits.len() >= 2 && digits[digits.len() - 2] == '1';
    match digits.last() {
        Some('1') if !teen => "st",
        Some('2') if !teen => "nd",
        Some('3') if !teen => "rd",
        _ => "th",
    }
}

/// A number out of a text; NULL without a template.
fn read_number(input: &str, format: &str) -> Result<Value> {
    if format.is_empty() {
        return Ok(Value::Null);
    }
    let template = Template::read(format)?;
    for (pattern, is_used) in [("RN", template.roman), ("EEEE", template.exponent)] {
        if is_used {
            let message = format!("\"{pattern}\" not supported for input");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
    }
    let mut reader = Reader {
        template: &template,
        input: input.chars().collect(),
        at: 0,
        sign: None,
        digits: String::new(),
        read: 0,
        read_behind: 0,
        has_point: false,
    };
    reader.run();
    let number = format!("{}{}", reader.sign.unwrap_or(' '), reader.digits.trim_end_matches('.'));
    let precision = template.whole + template.shifted + reader.read_behind;
    let of = |digits: usize| u16::try_from(digits).unwrap_or(u16::MAX);
    let modifier = (of(precision), i16::try_from(reader.read_behind).unwrap_or(i16::MAX));
    let number = crate::types::numeric::parse(&number)?.fit(Some(modifier))?;
    if !template.shifts {
        return Ok(Value::Numeric(number));
    }
    // PostgreSQL's 10 ^ -n has sixteen significant digits.
    const SIGNIFICANT: i32 = 16;
    let power = crate::types::numeric::parse(&format!("1e-{}", template.shifted))?;
    let power =
        power.rounded(SIGNIFICANT + i32::try_from(template.shifted).unwrap_or(i32::MAX - SIGNIFICANT));
    Ok(Value::Numeric(number.times(&power)?))
}

struct Reader<'a> {
    template: &'a Template,
    input: Vec<char>,
    at: usize,
    sign: Option<char>,
    digits: String,
    /// Digits that were read, and those of them behind the point.
    read: usize,
    read_behind: usize,
    has_point: bool,
}

impl Reader<'_> {
    fn run(&mut self) {
        for pattern in &self.template.patterns {
            if self.at >= self.input.len() {
                break;
            }
            let next = self.input[self.at];
            match pattern {
                Pattern::Digit { .. } => {
                    self.digit(true);
                    self.at += 1;
                }
                Pattern::Point => {
                    self.digit(false);
                    self.at += 1;
                }
                Pattern::Comma | Pattern::Group if !self.template.fill_mode => {
                    self.at += usize::from(next == ',');
                }
                Pattern::Currency => self.skip(1),
                Pattern::Ordinal { .. } if !self.template.has_point => self.skip(2),
                Pattern::Minus if next == '-' => self.take_sign(),
                Pattern::Plus if next == '+' => self.take_sign(),
                Pattern::AnySign if matches!(next, '-' | '+') => self.take_sign(),
                Pattern::Minus | Pattern::Plus | Pattern::AnySign => self.skip(1),
                // One character for another, whichever it is.
                Pattern::Literal(_) => self.at += 1,
                _ => {}
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.input.get(self.at).copied()
    }

    fn take_sign(&mut self) {
        self.sign = self.peek();
        self.at += 1;
    }

    /// Past characters that are no part of a number.
    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            match self.peek() {
                Some(next) if !"0123456789.,+-".contains(next) => self.at += 1,
                _ => break,
            }
        }
    }

    /// A digit, the point or a sign beside one; the last of the characters is left to the caller.
    fn digit(&mut self, is_digit: bool) {
        if self.peek() == Some(' ') {
            self.at += 1;
        }
        if self.sign.is_none() && is_digit && self.read == 0 {
            // A sign that belongs behind the number is taken in front of it too.
            match self.peek() {
                Some('-' | '+') => self.take_sign(),
                Some('<') if self.template.brackets => {
                    self.sign = Some('-');
                    self.at += 1;
                }
                _ => {}
            }
        }
        let mut is_read = false;
        match self.peek() {
            Some(digit) if digit.is_ascii_digit() => {
                if self.has_point && self.read_behind == self.template.behind {
                    return;
                }
                self.digits.push(digit);
                self.read += 1;
                self.read_behind += usize::from(self.has_point);
                is_read = true;
            }
            Some('.') if self.template.has_point && !self.has_point => {
                self.digits.push('.');
                self.has_point = true;
                is_read = true;
            }
            Some(_) => {}
            None => return,
        }
        if self.sign.is_some() || self.read == 0 {
            return;
        }
        let follows = self.input.get(self.at + 1).copied();
        if self.template.sign.is_some() && is_read {
            if let Some(sign @ ('-' | '+')) = follows {
                self.sign = Some(sign);
                self.at += 1;
            }
        } else if !is_read
            && self.template.sign.is_none()
            && (self.template.has_plus || self.template.has_minus)
            && let Some(sign @ ('-' | '+')) = self.peek()
        {
            self.sign = Some(sign);
        }
    }
}
