//! Unicode's normal forms: `normalize(text, form)` and `IS NORMALIZED`.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result, SqlState};
use crate::functions::bytes::text;
use crate::functions::value::{functions as build, strict};
use crate::types::Value;

/// The forms, as SQL spells them.
pub const FORMS: [&str; 4] = ["NFC", "NFD", "NFKC", "NFKD"];

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(vec![
        strict("normalize(text) text", |v| normal(text(&v[0]), FORMS[0]).map(Value::Text)),
        strict("normalize(text, text) text", |v| normal(text(&v[0]), text(&v[1])).map(Value::Text)),
        strict("is_normalized(text) bool", |v| is_normal(text(&v[0]), FORMS[0])),
        strict("is_normalized(text, text) bool", |v| is_normal(text(&v[0]), text(&v[1]))),
    ])
}

fn normal(text: &str, form: &str) -> Result<String> {
    Ok(match form.to_ascii_uppercase().as_str() {
        "NFC" => text.nfc().collect(),
        "NFD" => text.nfd().collect(),
        "NFKC" => text.nfkc().collect(),
        "NFKD" => text.nfkd().collect(),
        _ => {
            let message = format!("invalid normalization form: {form}");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
    })
}

fn is_normal(text: &str, form: &str) -> Result<Value> {
    Ok(Value::Bool(normal(text, form)? == text))
}
