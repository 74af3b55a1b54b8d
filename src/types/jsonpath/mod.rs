//! Paths into documents, `$.tags[*] ? (@.score > 0.5)`: read, and written in PostgreSQL's normal form.
//!
//! `parse` makes an [`Expr`] of a text, [`Path`]'s Display writes it: keys in quotes, brackets where precedence needs
//! them. What a path finds is computed in `functions::jsonpath`.

mod parse;
pub mod print;

use crate::error::Result;
use crate::types::Numeric;

/// A path with its mode.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Structure that is not there is an error, and arrays are not unwrapped.
    pub strict: bool,
    pub expr: Expr,
}

impl Path {
    pub fn parse(text: &str) -> Result<Path> {
        parse::path(text)
    }

    /// The regular expressions in it, each with its flags.
    pub fn patterns(&self) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        self.expr.patterns(&mut found);
        found
    }
}

/// A path, a value computed from paths, or a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `$`
    Root,
    /// `@`, the item a filter looks at.
    Current,
    /// The last subscript of the array around.
    Last,
    /// `$name`
    Variable(String),
    Null,
    Bool(bool),
    Number(Numeric),
    Text(String),
    Access(Box<Expr>, Accessor),
    Sign {
        minus: bool,
        operand: Box<Expr>,
    },
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    IsUnknown(Box<Expr>),
    Exists(Box<Expr>),
    /// The second is a text or a variable.
    StartsWith(Box<Expr>, Box<Expr>),
    LikeRegex {
        operand: Box<Expr>,
        pattern: String,
        flags: String,
    },
}

impl Expr {
    fn patterns<'a>(&'a self, found: &mut Vec<(&'a str, &'a str)>) {
        use Expr::*;
        match self {
            Root | Current | Last | Variable(_) | Null | Bool(_) | Number(_) | Text(_) => {}
            Access(of, accessor) => {
                of.patterns(found);
                match accessor {
                    Accessor::Filter(condition) => condition.patterns(found),
                    Accessor::Items(items) => {
                        let ends = items.iter().flat_map(|(first, last)| std::iter::once(first).chain(last));
                        ends.for_each(|end| end.patterns(found));
                    }
                    Accessor::Method(_, given) => given.iter().for_each(|given| given.patterns(found)),
                    Accessor::Key(_) | Accessor::AnyKey | Accessor::AnyItem | Accessor::Levels(..) => {}
                }
            }
            Sign { operand, .. } | Not(operand) | IsUnknown(operand) | Exists(operand) => {
                operand.patterns(found);
            }
            Arithmetic(_, one, other)
            | Compare(_, one, other)
            | And(one, other)
            | Or(one, other)
            | StartsWith(one, other) => {
                one.patterns(found);
                other.patterns(found);
            }
            LikeRegex { operand, pattern, flags } => {
                operand.patterns(found);
                found.push((pattern, flags));
            }
        }
    }

    /// Whether it is true, false or unknown, and no value of a document.
    pub fn is_condition(&self) -> bool {
        use Expr::*;
        matches!(
            self,
            Compare(..)
                | And(..)
                | Or(..)
                | Not(_)
                | IsUnknown(_)
                | Exists(_)
                | StartsWith(..)
                | LikeRegex { .. }
        )
    }
}

/// What follows a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Accessor {
    /// `.key`
    Key(String),
    /// `.*`
    AnyKey,
    /// `[*]`
    AnyItem,
    /// `[1, 3 to last]`
    Items(Vec<(Expr, Option<Expr>)>),
    /// `.**{first to last}`; `None` is the deepest level.
    Levels(Option<u32>, Option<u32>),
    /// `? (condition)`
    Filter(Box<Expr>),
    /// Its arguments are numbers or a text.
    Method(Method, Vec<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Type,
    Size,
    Double,
    Ceiling,
    Floor,
    Abs,
    KeyValue,
    Bigint,
    Boolean,
    Decimal,
    Integer,
    Number,
    String,
    Datetime,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
}

/// Names of methods.
const METHODS: &[(&str, Method)] = &[
    ("type", Method::Type),
    ("size", Method::Size),
    ("double", Method::Double),
    ("ceiling", Method::Ceiling),
    ("floor", Method::Floor),
    ("abs", Method::Abs),
    ("keyvalue", Method::KeyValue),
    ("bigint", Method::Bigint),
    ("boolean", Method::Boolean),
    ("decimal", Method::Decimal),
    ("integer", Method::Integer),
    ("number", Method::Number),
    ("string", Method::String),
    ("datetime", Method::Datetime),
    ("date", Method::Date),
    ("time", Method::Time),
    ("time_tz", Method::TimeTz),
    ("timestamp", Method::Timestamp),
    ("timestamp_tz", Method::TimestampTz),
];

impl Method {
    pub fn name(self) -> &'static str {
        METHODS.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

impl Arithmetic {
    pub fn symbol(self) -> char {
        match self {
            Arithmetic::Add => '+',
            Arithmetic::Subtract => '-',
            Arithmetic::Multiply => '*',
            Arithmetic::Divide => '/',
            Arithmetic::Remainder => '%',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_their_normal_form() {
        for (given, shown) in [
            ("$", "$"),
            ("$.a.b", "$.\"a\".\"b\""),
            ("strict $.\"a b\"[*]", "strict $.\"a b\"[*]"),
            ("lax $.a[1,2 to last]", "$.\"a\"[1,2 to last]"),
            ("$.a ? (@ > 1 && @ < 5).b", "$.\"a\"?(@ > 1 && @ < 5).\"b\""),
            ("$.a == 1", "($.\"a\" == 1)"),
            ("$.a == 1 || $.b == 2 && $.c == 3", "($.\"a\" == 1 || $.\"b\" == 2 && $.\"c\" == 3)"),
            ("($.a == 1 || $.b == 2) && $.c <> 3", "(($.\"a\" == 1 || $.\"b\" == 2) && $.\"c\" != 3)"),
            ("1 + 2 * 3", "(1 + 2 * 3)"),
            ("(1 + 2) * 3", "((1 + 2) * 3)"),
            ("$.a + -$.b", "($.\"a\" + -$.\"b\")"),
            ("$.** ? (exists (@.x))", "$.**?(exists (@.\"x\"))"),
            ("$.**{2}.**{1 to last}", "$.**{2}.**{1 to last}"),
            ("$.a.type().size()", "$.\"a\".type().size()"),
            ("$.type", "$.\"type\""),
            ("$x.a", "$\"x\".\"a\""),
            ("!($.a like_regex \"^x\" flag \"i\")", "!($.\"a\" like_regex \"^x\" flag \"i\")"),
            ("($.a > 1) is unknown", "($.\"a\" > 1) is unknown"),
            ("$.a starts with \"x\"", "($.\"a\" starts with \"x\")"),
            ("/* c */ $ . a", "$.\"a\""),
            ("0x1F + 0b101 + 0o17 + 1_000", "(((31 + 5) + 15) + 1000)"),
            ("1..e", "(1).\"e\""),
            ("-(1) + +2", "(-1 + 2)"),
            ("$.datetime(\"HH24:MI\")", "$.datetime(\"HH24:MI\")"),
            ("$.time(3).decimal(4, -2)", "$.time(3).decimal(4,-2)"),
            ("$ like_regex \"a\" flag \"sis\"", "($ like_regex \"a\" flag \"is\")"),
            ("1.e", ""),
            ("1.type()", ""),
            ("0755", ""),
            ("1_000_", ""),
            ("1e+", ""),
            ("$.time(-1)", ""),
            ("$.decimal(1,2,3)", ""),
            ("'a'", ""),
            ("$.a ?", ""),
            ("@ > 1", ""),
            ("last", ""),
            ("", ""),
            ("$.a == ", ""),
            ("$[", ""),
        ] {
            let path = Path::parse(given);
            match shown {
                "" => assert!(path.is_err(), "{given}"),
                _ => {
                    let path = path.unwrap_or_else(|error| panic!("{given}: {error}"));
                    assert_eq!(path.to_string(), shown, "{given}");
                    assert_eq!(Path::parse(shown).unwrap(), path, "{given}");
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[$@.*?()\\[\\]{}a-c0-9 +\\-/<>=!&|\"\\\\]{0,24}") {
            if let Ok(path) = Path::parse(&text) {
                let shown = path.to_string();
                proptest::prop_assert_eq!(Path::parse(&shown).ok(), Some(path), "{}", shown);
            }
        }
    }
}
