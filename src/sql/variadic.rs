//! `concat_ws(',', VARIADIC tags)`: the last argument is an array of what the function takes any number of.
//!
//! sqlparser does not know the word. It is taken away, and the function gets the name of its twin that takes the array
//! (`functions::value`); for a function that has none, which a user may have made, the argument gets a name that nobody
//! writes ([`ARGUMENT`]). Where no call ends with it the word stays, and is a syntax error.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{self, Expr, FunctionArg};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::functions::value::VARIADIC;
use crate::sql::dialect::{solid, word};
use crate::sql::words::is_word;
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
    if !tokens.iter().any(|token| is_word(&token.token, "VARIADIC")) {
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
    // Where the word goes away (true), or is a name.
    let mut taken: HashMap<usize, bool> = HashMap::new();
    let mut open: Vec<Open> = Vec::new();
    for (number, &at) in places.iter().enumerate() {
        match tokens[at].token {
            Token::LParen => open.push(Open { name: number.checked_sub(1), argument: None }),
            Token::LBracket => open.push(Open { name: None, argument: None }),
            Token::RParen | Token::RBracket => {
                if let Some(call) = open.pop() {
                    call.end(&mut tokens, &places, &mut taken);
                }
            }
            Token::Comma => {
                if let Some(call) = open.last_mut() {
                    // It was not the last one.
                    call.argument = None;
                }
            }
            Token::Word(_) if word(&tokens[at]) == "VARIADIC" => {
                let before = number.checked_sub(1).map(|before| &tokens[places[before]].token);
                if matches!(before, Some(Token::LParen | Token::Comma))
                    && let Some(call) = open.last_mut()
                {
                    call.argument = Some(at);
                }
            }
            _ => {}
        }
    }
    // The end of the text is complained about, and not the word.
    open.into_iter().for_each(|call| call.end(&mut tokens, &places, &mut taken));
    let mut read = Vec::with_capacity(tokens.len() + taken.len());
    for (at, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        match taken.get(&at) {
            None => read.push(token),
            Some(true) => {}
            Some(false) => {
                let made = [Token::make_word(ARGUMENT, Some('"')), Token::RArrow];
                read.extend(made.map(|token| TokenWithSpan { token, span }));
            }
        }
    }
    read
}

/// A bracket that is open.
struct Open {
    /// What stands before a parenthesis, among the places.
    name: Option<usize>,
    /// The word before the argument that was read last.
    argument: Option<usize>,
}

impl Open {
    /// At its end, the call's name becomes the twin's if it is one of the system's functions.
    fn end(self, tokens: &mut [TokenWithSpan], places: &[usize], taken: &mut HashMap<usize, bool>) {
        let (Some(argument), Some(name)) = (self.argument, self.name) else { return };
        let is_qualified = name >= 2
            && tokens[places[name - 1]].token == Token::Period
            && !is_catalogue(&tokens[places[name - 2]].token);
        let Token::Word(called) = &mut tokens[places[name]].token else { return };
        let folded = match called.quote_style {
            None => called.value.to_ascii_lowercase(),
            Some(_) => called.value.clone(),
        };
        if called.quote_style.is_none() && is_keyword(&folded) {
            // VALUES, coalesce and so on.
            return;
        }
        let is_of_system = !is_qualified && FUNCTIONS.contains(&folded.as_str());
        if is_of_system {
            called.value = format!("{VARIADIC}{folded}");
        }
        taken.insert(argument, is_of_system);
    }
}

/// Takes the name away again, of a call of a function of the system that has no twin.
pub fn unname(function: &mut ast::Function) {
    if let ast::FunctionArguments::List(list) = &mut function.args {
        unname_arguments(&mut list.args);
    }
}

/// The same of a call in FROM.
pub fn unname_arguments(arguments: &mut [FunctionArg]) {
    for argument in arguments {
        if let FunctionArg::Named { name, arg, .. }
        | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } = argument
            && name.value == ARGUMENT
        {
            *argument = FunctionArg::Unnamed(arg.clone());
        }
    }
}

fn is_catalogue(schema: &Token) -> bool {
    let Token::Word(schema) = schema else { return false };
    match schema.quote_style {
        None => schema.value.eq_ignore_ascii_case("pg_catalog"),
        Some(_) => schema.value == "pg_catalog",
    }
}
