//! `to_tsquery` and its like: words of a query through the same parser and dictionaries as documents.

use crate::error::Result;
use crate::fulltext::Config;
use crate::fulltext::document::lexemes;
use crate::types::tsquery::{Builder, Operator, Syntax, TsQuery, read};

/// to_tsquery()
pub fn to_tsquery(config: Config, text: &str) -> Result<TsQuery> {
    parse(config, text, Syntax::Operators, Operator::Phrase(1))
}

/// plainto_tsquery(): all words, wherever they stand.
pub fn plain(config: Config, text: &str) -> Result<TsQuery> {
    parse(config, text, Syntax::Plain, Operator::And)
}

/// phraseto_tsquery(): all words, one after the other.
pub fn phrase(config: Config, text: &str) -> Result<TsQuery> {
    parse(config, text, Syntax::Plain, Operator::Phrase(1))
}

/// websearch_to_tsquery()
pub fn web(config: Config, text: &str) -> Result<TsQuery> {
    parse(config, text, Syntax::Web, Operator::Phrase(1))
}

/// `joint` is between the words that one operand turns out to be.
fn parse(config: Config, text: &str, syntax: Syntax, joint: Operator) -> Result<TsQuery> {
    read(text, syntax, &|builder, operand, weights, prefix| {
        operand_words(config, joint, builder, &operand, (weights, prefix))
    })
}

fn operand_words(
    config: Config,
    joint: Operator,
    builder: &mut Builder,
    operand: &str,
    (weights, prefix): (u8, bool),
) -> Result<()> {
    let found = lexemes(config, operand, &mut 0);
    if found.is_empty() {
        builder.stop();
        return Ok(());
    }
    let mut operands = 0;
    let mut join = |builder: &mut Builder| {
        if operands > 0 {
            builder.operator(joint);
        }
        operands += 1;
    };
    let mut last = 0;
    for (word, place) in found {
        // Words left out between two keep their places.
        let missing = if last > 0 { place - last - 1 } else { 0 };
        for _ in 0..missing {
            builder.stop();
            join(builder);
        }
        builder.word(word, weights, prefix)?;
        join(builder);
        last = place;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::types::tsquery::print;

    use super::*;

    fn shown(query: Result<TsQuery>) -> String {
        let mut out = Vec::new();
        print(&query.unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn queries_are_postgres() {
        let english = Config::English;
        for (query, expected) in [
            (to_tsquery(english, "The & Fat & Rats"), "'fat' & 'rat'"),
            (to_tsquery(english, "supern:*A & star:A*B"), "'supern':*A & 'star':*AB"),
            (to_tsquery(english, "up-to-date"), "'up-to-d' <3> 'date'"),
            (to_tsquery(english, "'the cat in the hat' | x"), "'cat' <3> 'hat' | 'x'"),
            (plain(english, "The Fat Rats"), "'fat' & 'rat'"),
            (phrase(english, "The Cat and Rats"), "'cat' <2> 'rat'"),
            (web(english, "\"supernovae stars\" -crab"), "'supernova' <-> 'star' & !'crab'"),
            (web(english, "sad cat or \"fat rat\""), "'sad' & 'cat' | 'fat' <-> 'rat'"),
            (web(english, "signal -\"segmentation fault\""), "'signal' & !( 'segment' <-> 'fault' )"),
            (web(english, "\"\"\" )( dummy \\\\ query <->"), "'dummi' <-> 'queri'"),
            (web(english, "the"), ""),
        ] {
            assert_eq!(shown(query), expected);
        }
    }
}
