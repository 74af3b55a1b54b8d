//! `concat_ws(',', VARIADIC tags)`: the last argument is an array of what the function takes any number of.
//!
//! sqlparser does not know the word. It is taken away, and the function gets the name of its twin that takes the array
//! (`functions::value`); for a function that has none, which a user may have made, the argument gets a name that nobody
//! writes ([`ARGUMENT`]). Where no call ends with it the word stays, and is a syntax error.

use datafusion::sql::sqlparser::ast::{self, FunctionArg};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::functions::value::VARIADIC;
use crate::sql::dialect::{solid, word};
use crate::types::identifiers::is_keyword;

/// The name of an argument that is the array itself.
pub const ARGUMENT: &str = "variadic argument";

/// Functions that take any number of arguments.
const FUNCTIONS: &[&str] = &[
    "concat",
    "concat_ws",
    "format",
    "num_nulls",
    "num_nonnulls",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "json_extract_path",
    "json_extract_path_text",
    "jsonb_extract_path",
    "jsonb_extract_path_text",
];

/// The tokens with calls of the twins.
pub fn take(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| word(token) == "VARIADIC") {
        return tokens;
    }
    let places = solid(&tokens);
    // What describes a function has the word before a parameter.
    let first: Vec<String> = places.iter().take(4).map(|&at| word(&tokens[at])).collect();
    let is_routine =
        |word: &String| matches!(word.as_str(), "FUNCTION" | "PROCEDURE" | "AGGREGATE" | "ROUTINE");
    if first.iter().any(is_routine) {
        return tokens;
    }
    let mut taken = Vec::new();
    for (number, &at) in places.iter().enumerate() {
        let is_argument = number > 0
            && matches!(tokens[places[number - 1]].token, Token::LParen | Token::Comma)
            && word(&tokens[at]) == "VARIADIC";
        if !is_argument || !is_last(&tokens, &places[number..]) {
            continue;
        }
        let Some(name) = called(&tokens, &places[..number]) else { continue };
        if let Token::Word(called) = &mut tokens[name].token {
            let lower = called.value.to_ascii_lowercase();
            if called.quote_style.is_none() && is_keyword(&lower) {
                // VALUES, coalesce and so on.
                continue;
            }
            let of_system = FUNCTIONS.contains(&lower.as_str());
            if of_system {
                called.value = format!("{VARIADIC}{lower}");
            }
            taken.push((at, of_system));
        }
    }
    for (at, of_system) in taken.into_iter().rev() {
        if of_system {
            tokens.remove(at);
            continue;
        }
        let span = tokens[at].span;
        tokens[at].token = Token::make_word(ARGUMENT, Some('"'));
        tokens.insert(at + 1, TokenWithSpan { token: Token::RArrow, span });
    }
    tokens
}

/// Takes the name away again, of a call of a function of the system that has no twin.
pub fn unname(function: &mut ast::Function) {
    let ast::FunctionArguments::List(list) = &mut function.args else { return };
    for argument in &mut list.args {
        if let FunctionArg::Named { name, arg, .. } = argument
            && name.value == ARGUMENT
        {
            *argument = FunctionArg::Unnamed(arg.clone());
        }
    }
}

/// The name before the parenthesis that is still open behind these places.
fn called(tokens: &[TokenWithSpan], places: &[usize]) -> Option<usize> {
    let mut closed = 0;
    for (number, &at) in places.iter().enumerate().rev() {
        match tokens[at].token {
            Token::RParen => closed += 1,
            Token::LParen if closed == 0 => return number.checked_sub(1).map(|before| places[before]),
            Token::LParen => closed -= 1,
            _ => {}
        }
    }
    None
}

/// Whether the argument that begins with these places is the last one.
fn is_last(tokens: &[TokenWithSpan], places: &[usize]) -> bool {
    let mut depth = 0;
    for &at in places {
        match tokens[at].token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen if depth == 0 => return true,
            Token::RParen | Token::RBracket => depth -= 1,
            Token::Comma if depth == 0 => return false,
            _ => {}
        }
    }
    true
}
