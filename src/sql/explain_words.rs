//! The words of EXPLAIN: its options, and the statement that is explained.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, SqlState};
use crate::planner::explain::ExplainOptions;
use crate::planner::explain::formats::Format;
use crate::sql::statement::{Ast, Explain, Overriding};
use crate::sql::utility::{any, boolean_option, is_planned};
use crate::sql::words::{Parsed, Words};

/// EXPLAIN and what it explains.
pub fn explain(w: &mut Words) -> Parsed<Ast> {
    w.expect("EXPLAIN")?;
    // `EXPLAIN (SELECT ...) UNION ...` begins with a query.
    let query = ["SELECT", "VALUES", "WITH", "TABLE", "("];
    let is_query = query.contains(&w.peek_nth(1).to_string().to_uppercase().as_str());
    let options = if *w.peek() == Token::LParen && !is_query {
        explain_options(w)?
    } else {
        let analyze = w.accept("ANALYZE") || w.accept("ANALYSE");
        let verbose = w.accept("VERBOSE");
        ExplainOptions { analyze, verbose, timing: analyze, summary: analyze, ..ExplainOptions::default() }
    };
    let statement = any(w, Overriding::None)?;
    if !is_planned(&statement) && !matches!(statement, Ast::Execute { .. }) {
        return Err(Error::unsupported(format!("EXPLAIN of {}", statement.command())).into());
    }
    Ok(Ast::Explain(Box::new(Explain { options, statement })))
}

/// `(ANALYZE, FORMAT JSON, ...)`: PostgreSQL's options, and RECALL. There are no shared buffers to count, so BUFFERS adds no
/// lines, as in PostgreSQL where none was touched; neither does WAL of a statement that only reads. A plan
/// without parameters is a generic one.
fn explain_options(w: &mut Words) -> Parsed<ExplainOptions> {
    let mut options = ExplainOptions::default();
    let (mut timing, mut summary) = (None, None);
    let (mut wal, mut serialize) = (false, None);
    w.parenthesised(|w| {
        let Some(option) = w.word() else { return w.unexpected("an option") };
        match option.as_str() {
            "ANALYZE" | "ANALYSE" => options.analyze = boolean_option(w, "analyze")?,
            "VERBOSE" => options.verbose = boolean_option(w, "verbose")?,
            "COSTS" => options.costs = boolean_option(w, "costs")?,
            "TIMING" => timing = Some(boolean_option(w, "timing")?),
            "SUMMARY" => summary = Some(boolean_option(w, "summary")?),
            "RECALL" => options.recall = boolean_option(w, "recall")?,
            "GENERIC_PLAN" => options.generic = boolean_option(w, "generic_plan")?,
            "WAL" => wal = boolean_option(w, "wal")?,
            "SETTINGS" => options.settings = boolean_option(w, "settings")?,
            "BUFFERS" => {
                boolean_option(w, "buffers")?;
            }
            "MEMORY" if boolean_option(w, "memory")? => {
                return Err(Error::unsupported("EXPLAIN (MEMORY)").into());
            }
            "MEMORY" => {}
            "SERIALIZE" => serialize = serialized_as(w)?,
            "FORMAT" => {
                let name = w.word().unwrap_or_default();
                options.format = Format::named(&name).ok_or_else(|| {
                    let message = format!(
                        "unrecognized value for EXPLAIN option \"format\": \"{}\"",
                        name.to_lowercase()
                    );
                    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                })?;
            }
            _ => {
                let message = format!("unrecognized EXPLAIN option \"{}\"", option.to_lowercase());
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
            }
        }
        Ok(())
    })?;
    let needs_analyze = [
        ("WAL", wal),
        ("TIMING", timing == Some(true)),
        ("SERIALIZE", serialize.is_some()),
        ("RECALL", options.recall),
    ];
    if let Some((name, _)) = needs_analyze.iter().find(|(_, asked)| *asked && !options.analyze) {
        let message = format!("EXPLAIN option {name} requires ANALYZE");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).into());
    }
    if options.generic && options.analyze {
        let message = "EXPLAIN options ANALYZE and GENERIC_PLAN cannot be used together";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).into());
    }
    if let Some(format) = serialize {
        return Err(Error::unsupported(format!("EXPLAIN (SERIALIZE {format})")).into());
    }
    options.wal = wal;
    options.timing = timing.unwrap_or(options.analyze);
    options.summary = summary.unwrap_or(options.analyze);
    Ok(options)
}

/// The format that SERIALIZE names, if it asks for one.
fn serialized_as(w: &mut Words) -> Parsed<Option<&'static str>> {
    let text = match w.peek() {
        Token::Comma | Token::RParen | Token::EOF => return Ok(Some("TEXT")),
        Token::Word(word) => word.value.clone(),
        Token::SingleQuotedString(text) => text.clone(),
        _ => return w.unexpected("a format"),
    };
    w.advance();
    match text.as_str() {
        text if text.eq_ignore_ascii_case("none") || text.eq_ignore_ascii_case("off") => Ok(None),
        text if text.eq_ignore_ascii_case("text") => Ok(Some("TEXT")),
        text if text.eq_ignore_ascii_case("binary") => Ok(Some("BINARY")),
        _ => {
            let message = format!("unrecognized value for EXPLAIN option \"serialize\": \"{text}\"");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).into())
        }
    }
}
