//! A path in PostgreSQL's normal form.

use std::fmt::{self, Display, Formatter, Write};

use crate::types::Numeric;
use crate::types::json::print_string;
use crate::types::jsonpath::{Accessor, Comparison, Expr, Path};

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.strict { "strict " } else { "" })?;
        print(&self.expr, true, f)
    }
}

/// How strongly an operator binds.
fn priority(expr: &Expr) -> u8 {
    match expr {
        Expr::Or(..) => 0,
        Expr::And(..) => 1,
        Expr::Compare(..) | Expr::StartsWith(..) => 2,
        Expr::Arithmetic(operator, ..) if matches!(operator.symbol(), '+' | '-') => 3,
        Expr::Arithmetic(..) => 4,
        Expr::Sign { .. } => 5,
        _ => 6,
    }
}

fn print(expr: &Expr, brackets: bool, f: &mut Formatter<'_>) -> fmt::Result {
    let between = |left: &Expr, operator: &str, right: &Expr, f: &mut Formatter<'_>| {
        f.write_str(if brackets { "(" } else { "" })?;
        print(left, priority(left) <= priority(expr), f)?;
        write!(f, " {operator} ")?;
        print(right, priority(right) <= priority(expr), f)?;
        f.write_str(if brackets { ")" } else { "" })
    };
    match expr {
        Expr::Root => f.write_char('$'),
        Expr::Current => f.write_char('@'),
        Expr::Last => f.write_str("last"),
        Expr::Variable(name) => write!(f, "${}", quoted(name)),
        Expr::Null => f.write_str("null"),
        Expr::Bool(value) => write!(f, "{value}"),
        Expr::Number(number) => f.write_str(&number_text(number)),
        Expr::Text(text) => f.write_str(&quoted(text)),
        Expr::Access(base, accessor) => {
            match base.as_ref() {
                Expr::Number(number) => write!(f, "({})", number_text(number))?,
                base => print(base, true, f)?,
            }
            access(accessor, f)
        }
        Expr::Sign { minus, operand } => {
            f.write_str(if brackets { "(" } else { "" })?;
            f.write_char(if *minus { '-' } else { '+' })?;
            print(operand, priority(operand) <= priority(expr), f)?;
            f.write_str(if brackets { ")" } else { "" })
        }
        Expr::Arithmetic(operator, left, right) => between(left, &operator.symbol().to_string(), right, f),
        Expr::Compare(operator, left, right) => between(left, symbol(*operator), right, f),
        Expr::And(left, right) => between(left, "&&", right, f),
        Expr::Or(left, right) => between(left, "||", right, f),
        Expr::StartsWith(left, right) => between(left, "starts with", right, f),
        Expr::LikeRegex { operand, pattern, flags } => {
            f.write_str(if brackets { "(" } else { "" })?;
            print(operand, priority(operand) <= priority(expr), f)?;
            write!(f, " like_regex {}", quoted(pattern))?;
            if !flags.is_empty() {
                write!(f, " flag \"{flags}\"")?;
            }
            f.write_str(if brackets { ")" } else { "" })
        }
        Expr::Not(inner) => {
            f.write_str("!(")?;
            print(inner, false, f)?;
            f.write_char(')')
        }
        Expr::IsUnknown(inner) => {
            f.write_char('(')?;
            print(inner, false, f)?;
            f.write_str(") is unknown")
        }
        Expr::Exists(inner) => {
            f.write_str("exists (")?;
            print(inner, false, f)?;
            f.write_char(')')
        }
    }
}

fn access(accessor: &Accessor, f: &mut Formatter<'_>) -> fmt::Result {
    match accessor {
        Accessor::Key(key) => write!(f, ".{}", quoted(key)),
        Accessor::AnyKey => f.write_str(".*"),
        Accessor::AnyItem => f.write_str("[*]"),
        Accessor::Items(items) => {
            f.write_char('[')?;
            for (n, (first, last)) in items.iter().enumerate() {
                f.write_str(if n > 0 { "," } else { "" })?;
                print(first, false, f)?;
                if let Some(last) = last {
                    f.write_str(" to ")?;
                    print(last, false, f)?;
                }
            }
            f.write_char(']')
        }
        Accessor::Levels(first, last) => {
            let level = |level: &Option<u32>| level.map_or("last".to_owned(), |level| level.to_string());
            match (first, last) {
                (Some(0), None) => f.write_str(".**"),
                (first, last) if first == last => write!(f, ".**{{{}}}", level(first)),
                (first, last) => write!(f, ".**{{{} to {}}}", level(first), level(last)),
            }
        }
        Accessor::Filter(condition) => {
            f.write_str("?(")?;
            print(condition, false, f)?;
            f.write_char(')')
        }
        Accessor::Method(method, arguments) => {
            write!(f, ".{}(", method.name())?;
            for (n, argument) in arguments.iter().enumerate() {
                f.write_str(if n > 0 { "," } else { "" })?;
                print(argument, false, f)?;
            }
            f.write_char(')')
        }
    }
}

fn symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    print_string(text, &mut out);
    out
}

/// A number as PostgreSQL writes it.
pub fn number_text(number: &Numeric) -> String {
    number.to_string()
}
