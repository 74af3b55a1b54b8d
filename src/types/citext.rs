//! Text that is compared without regard to case, as PostgreSQL's module citext makes it.
//!
//! A value is kept and shown as it was given. Two are compared, sorted, grouped and looked up by their [`key`]: the text
//! in lower case, as `lower()` makes it.

use std::borrow::Cow;

use crate::types::{Type, Value};

/// What a text is compared by. A character is one in lower case too, whatever stands beside it, as in PostgreSQL.
pub fn key(text: &str) -> String {
    match text.is_ascii() {
        true => text.to_ascii_lowercase(),
        false => text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect(),
    }
}

/// Whether values of the type are compared by their keys: citext and arrays of it.
pub fn is_folded(ty: &Type) -> bool {
    match ty {
        Type::Citext => true,
        Type::Array(item) => is_folded(item),
        _ => false,
    }
}

/// A value of a type as it is compared.
pub fn folded<'v>(value: &'v Value, ty: &Type) -> Cow<'v, Value> {
    match (value, ty) {
        (Value::Text(text), Type::Citext) => Cow::Owned(Value::Text(key(text))),
        (Value::Array(items), Type::Array(item)) if is_folded(item) => {
            Cow::Owned(Value::Array(items.iter().map(|value| folded(value, item).into_owned()).collect()))
        }
        (value, _) => Cow::Borrowed(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_alike_whatever_their_case() {
        let folded_text = |text: &str| folded(&Value::from(text), &Type::Citext).into_owned();
        assert_eq!(folded_text("ÄbC"), folded_text("äBc"));
        assert_ne!(folded_text("abc"), folded_text("abd"));
        // A sigma at the end of a word is one like others.
        assert_eq!(folded_text("ΟΔΟΣ"), folded_text("οδοσ"));
        assert_eq!(folded(&Value::from("ABC"), &Type::Text).into_owned(), Value::from("ABC"));
        let array = Type::Array(Box::new(Type::Citext));
        let given = Value::Array(vec![Value::from("A"), Value::Null]);
        assert_eq!(folded(&given, &array).into_owned(), Value::Array(vec![Value::from("a"), Value::Null]));
    }
}
