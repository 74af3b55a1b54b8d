//! Regular expressions: PostgreSQL's syntax in Rust's engines, and the operators `~`, `~*` and their like.
//!
//! What is written otherwise in Rust's syntax is translated: `\m`, `\M`, `\y` and `\Y` at the edges of words, brackets
//! and braces that mean themselves. The engine takes time linear in the text; a pattern with back references or
//! look-around, for which there is no such engine, is matched by backtracking up to a bound. Of alternatives the first
//! that matches is taken, in PostgreSQL the longest.

use std::cell::RefCell;
use std::sync::Arc;

use arrow::array::{Array, BooleanBuilder, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::cast::as_string_array;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use regex::RegexBuilder;

use crate::error::{Error, Result, SqlState};
use crate::functions::scalar::{Function, answer, no_such_function, rows_of};
use crate::types::arrow::errors::external;

/// Bytes a compiled pattern may take: the engine's own bound.
const COMPILED_BYTES_MAX: usize = 10 << 20;
/// Steps back that a match may take: the engine's own bound, some tenth of a second.
const STEPS_BACK_MAX: usize = 1_000_000;
/// Patterns a thread remembers. A statement has few, and each is needed for all of its rows.
const REMEMBERED: usize = 8;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let matches = |name, evaluate| Function::new(name, two_texts, DataType::Boolean, evaluate);
    vec![
        matches("hither_regex", |args| match_rows(args, "")),
        matches("hither_regex_i", |args| match_rows(args, "i")),
    ]
}

/// The function behind an operator, and whether its answer is turned round.
pub fn function_of_operator(operator: &str) -> Option<(&'static str, bool)> {
    Some(match operator {
        "~" => ("hither_regex", false),
        "~*" => ("hither_regex_i", false),
        "!~" => ("hither_regex", true),
        "!~*" => ("hither_regex_i", true),
        _ => return None,
    })
}

fn two_texts(name: &str, given: &[DataType]) -> datafusion::common::Result<Vec<DataType>> {
    let is_text = |ty: &DataType| matches!(ty, DataType::Utf8 | DataType::Utf8View | DataType::Null);
    match given {
        [text, pattern] if is_text(text) && is_text(pattern) => Ok(vec![DataType::Utf8; 2]),
        _ => Err(no_such_function(name, given)),
    }
}

fn match_rows(args: &ScalarFunctionArgs, flags: &str) -> datafusion::common::Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let (texts, patterns) = (args.args[0].to_array(rows)?, args.args[1].to_array(rows)?);
    let (texts, patterns): (&StringArray, &StringArray) =
        (as_string_array(&texts)?, as_string_array(&patterns)?);
    let mut found = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        if texts.is_null(row) || patterns.is_null(row) {
            found.append_null();
            continue;
        }
        let regex = pattern(patterns.value(row), flags).map_err(external)?;
        found.append_value(regex.is_match(texts.value(row)).map_err(external)?);
    }
    answer(Arc::new(found.finish()), constant)
}

thread_local! {
    /// The patterns last used, the latest first.
    static RECENT: RefCell<Vec<(String, String, Pattern)>> = const { RefCell::new(Vec::new()) };
}

/// A compiled pattern; copies share it.
#[derive(Clone)]
pub enum Pattern {
    Linear(regex::Regex),
    Backtracking(Arc<fancy_regex::Regex>),
}

/// A match: the bytes of the whole and of each group in the text.
#[derive(Clone, Debug)]
pub struct Found<'t> {
    text: &'t str,
    spans: Vec<Option<(usize, usize)>>,
}

/// A piece of the text that matched.
#[derive(Clone, Copy, Debug)]
pub struct Part<'t> {
    pub start: usize,
    pub end: usize,
    pub text: &'t str,
}

impl<'t> Found<'t> {
    /// The whole.
    pub fn whole(&self) -> Part<'t> {
        self.get(0).unwrap_or(Part { start: 0, end: 0, text: "" })
    }

    /// A group, or the whole for 0; nothing for a group that took no part.
    pub fn get(&self, group: usize) -> Option<Part<'t>> {
        let (start, end) = (*self.spans.get(group)?)?;
        Some(Part { start, end, text: &self.text[start..end] })
    }
}

impl Pattern {
    pub fn is_match(&self, text: &str) -> Result<bool> {
        match self {
            Pattern::Linear(regex) => Ok(regex.is_match(text)),
            Pattern::Backtracking(regex) => regex.is_match(text).map_err(|_| too_complex()),
        }
    }

    /// The first match from a byte on.
    pub fn find_at<'t>(&self, text: &'t str, from: usize) -> Result<Option<Found<'t>>> {
        let spans = match self {
            Pattern::Linear(regex) => regex
                .captures_at(text, from)
                .map(|found| found.iter().map(|part| part.map(|part| (part.start(), part.end()))).collect()),
            Pattern::Backtracking(regex) => {
                let found = regex.captures_from_pos(text, from).map_err(|_| too_complex())?;
                found.map(|found| {
                    found.iter().map(|part| part.map(|part| (part.start(), part.end()))).collect()
                })
            }
        };
        Ok(spans.map(|spans| Found { text, spans }))
    }

    /// How many groups it has.
    pub fn groups(&self) -> usize {
        let with_whole = match self {
            Pattern::Linear(regex) => regex.captures_len(),
            Pattern::Backtracking(regex) => regex.captures_len(),
        };
        with_whole - 1
    }
}

fn too_complex() -> Error {
    Error::new(SqlState("2201B"), "regular expression failed: regular expression is too complex")
}

/// A pattern with PostgreSQL's flags.
pub fn pattern(pattern: &str, flags: &str) -> Result<Pattern> {
    RECENT.with_borrow_mut(|recent| {
        let known = recent.iter().position(|(text, with, _)| text == pattern && with == flags);
        match known {
            Some(0) => {}
            Some(at) => recent[..=at].rotate_right(1),
            None => {
                let regex = compile(pattern, flags)?;
                recent.truncate(REMEMBERED - 1);
                recent.insert(0, (pattern.to_owned(), flags.to_owned(), regex));
            }
        }
        Ok(recent[0].2.clone())
    })
}

fn compile(pattern: &str, flags: &str) -> Result<Pattern> {
    let (pattern, literal) = match pattern.strip_prefix("***") {
        Some(rest) => match (rest.strip_prefix('='), rest.strip_prefix(':')) {
            (Some(rest), _) => (rest, true),
            (_, Some(rest)) => (rest, false),
            _ => return Err(invalid("quantifier operand invalid")),
        },
        None => (pattern, flags.contains('q')),
    };
    let pattern = if literal { regex::escape(pattern) } else { translated(pattern) };
    // In PostgreSQL a dot matches a newline too, unless a flag says otherwise.
    let (mut any_case, mut lines, mut dot_is_all, mut spaced) = (false, false, true, false);
    for flag in flags.chars() {
        match flag {
            'g' | 'c' | 's' | 't' | 'q' => {}
            'i' => any_case = true,
            'n' | 'm' => (lines, dot_is_all) = (true, false),
            'w' => lines = true,
            'p' => dot_is_all = false,
            'x' => spaced = true,
            other => {
                let message = format!("invalid regular expression option: \"{other}\"");
                return Err(Error::new(SqlState("22023"), message));
            }
        }
    }
    let mut builder = RegexBuilder::new(&pattern);
    builder.case_insensitive(any_case).multi_line(lines).dot_matches_new_line(dot_is_all);
    let error = match builder.ignore_whitespace(spaced).size_limit(COMPILED_BYTES_MAX).build() {
        Ok(regex) => return Ok(Pattern::Linear(regex)),
        Err(error) => error.to_string(),
    };
    if !error.contains("look-around") && !error.contains("backreferences") {
        return Err(refused(&error));
    }
    let mut builder = fancy_regex::RegexBuilder::new(&pattern);
    builder.case_insensitive(any_case).multi_line(lines).dot_matches_new_line(dot_is_all);
    builder.verbose_mode(spaced).delegate_size_limit(COMPILED_BYTES_MAX).backtrack_limit(STEPS_BACK_MAX);
    let regex = builder.build().map_err(|error| refused(&error.to_string()))?;
    Ok(Pattern::Backtracking(Arc::new(regex)))
}

fn invalid(why: &str) -> Error {
    Error::new(SqlState("2201B"), format!("invalid regular expression: {why}"))
}

/// What the engine says about a pattern, in PostgreSQL's words.
fn refused(error: &str) -> Error {
    const WORDS: &[(&str, &str)] = &[
        ("unclosed group", "parentheses () not balanced"),
        ("unopened group", "parentheses () not balanced"),
        ("Opening parenthesis", "parentheses () not balanced"),
        ("Target of repeat operator", "quantifier operand invalid"),
        ("Invalid back reference", "invalid backreference number"),
        ("unclosed character class", "brackets [] not balanced"),
        ("unclosed counted repetition", "braces {} not balanced"),
        ("repetition operator missing expression", "quantifier operand invalid"),
        ("repetition quantifier", "invalid repetition count(s)"),
        ("decimal literal", "invalid repetition count(s)"),
        ("invalid repetition count range", "invalid repetition count(s)"),
        ("invalid character class range", "invalid character range"),
        ("escape", "invalid escape \\ sequence"),
        ("exceeds size limit", "regular expression is too complex"),
    ];
    let known = WORDS.iter().find(|(theirs, _)| error.contains(theirs));
    match known {
        Some((_, why)) => invalid(why),
        None => Error::new(SqlState("2201B"), "invalid regular expression").detail(error),
    }
}

/// The pattern in Rust's syntax.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let Some(escaped) = rest.chars().next() else {
                    out.push('\\');
                    break;
                };
                rest = &rest[escaped.len_utf8()..];
                match escaped {
                    'm' => out.push_str(r"\b{start}"),
                    'M' => out.push_str(r"\b{end}"),
                    'y' => out.push_str(r"\b"),
                    'Y' => out.push_str(r"\B"),
                    'Z' => out.push_str(r"\z"),
                    'e' => out.push_str(r"\x1B"),
                    // What Rust has and PostgreSQL has not.
                    'z' | 'p' | 'P' => out.push_str(r"\q"),
                    'b' => out.push_str(r"\x08"),
                    '<' | '>' => out.push(escaped),
                    escaped => out.extend(['\\', escaped]),
                }
            }
            '[' => rest = bracket(rest, &mut out),
            // A brace that begins no count means itself.
            '{' if !rest.starts_with(|next: char| next.is_ascii_digit()) => out.push_str(r"\{"),
            c => out.push(c),
        }
    }
    out
}

/// Translates a bracket expression behind its `[`; what stands behind it is answered.
fn bracket<'a>(inside: &'a str, out: &mut String) -> &'a str {
    for (written, edge) in [("[:<:]]", r"\b{start}"), ("[:>:]]", r"\b{end}")] {
        if let Some(rest) = inside.strip_prefix(written) {
            out.push_str(edge);
            return rest;
        }
    }
    out.push('[');
    let mut rest = inside;
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    // A bracket that comes first means itself.
    if let Some(behind) = rest.strip_prefix(']') {
        out.push_str(r"\]");
        rest = behind;
    }
    while let Some(c) = rest.chars().next() {
        let class = rest.strip_prefix("[:").and_then(|class| class.find(":]"));
        if let Some(end) = class {
            out.push_str(&rest[..end + 4]);
            rest = &rest[end + 4..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            ']' => {
                out.push(']');
                return rest;
            }
            '\\' => {
                out.push('\\');
                if let Some(escaped) = rest.chars().next() {
                    out.push(escaped);
                    rest = &rest[escaped.len_utf8()..];
                }
            }
            // Sets within sets, which PostgreSQL has not.
            '[' | '&' | '~' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_are_translated() {
        for (written, expected) in [
            (r"\mbar\M", r"\b{start}bar\b{end}"),
            (r"[[:<:]]a[[:>:]]", r"\b{start}a\b{end}"),
            ("[]a[&&~]", r"[\]a\[\&\&\~]"),
            ("[^[:alpha:]_]", "[^[:alpha:]_]"),
            ("a{2,3}{x", r"a{2,3}\{x"),
            (r"\d+\.\\", r"\d+\.\\"),
        ] {
            assert_eq!(translated(written), expected);
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern_ in "[a-c\\[\\]\\\\(){}*+?|^$:&~0-2mMyY<>é-]{0,12}", text: String) {
            if let Ok(regex) = pattern(&pattern_, "") {
                let _ = regex.is_match(&text);
            }
        }
    }
}
