//! Reading CREATE VIEW, its kinds, ALTER VIEW and REFRESH.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result, SqlState};
use crate::sql::ddl_words::alter_action;
use crate::sql::dialect::parse_query;
use crate::sql::statement::{AlterAction, AlterTable, Ast, CreateView, Name, ObjectKind};
use crate::sql::storage_parameters;
use crate::sql::system::quote_ident;
use crate::sql::words::{Parsed, Words};

/// CREATE [TEMP] [RECURSIVE] VIEW, from VIEW on.
pub fn create_view(w: &mut Words, replace: bool, temporary: bool) -> Parsed<Ast> {
    let recursive = w.accept("RECURSIVE");
    w.expect("VIEW")?;
    let (name, columns, options, mut query) = view_body(w, recursive)?;
    if w.at("WITH") {
        return Err(Error::unsupported("WITH CHECK OPTION").into());
    }
    if recursive {
        query = recursive_query(&name, &columns, &query)?;
    }
    let (if_not_exists, materialized) = (false, None);
    let view = CreateView { name, replace, temporary, if_not_exists, columns, query, materialized, options };
    Ok(Ast::CreateView(Box::new(view)))
}

/// Behind CREATE MATERIALIZED VIEW.
pub fn create_materialized_view(w: &mut Words) -> Parsed<Ast> {
    let if_not_exists = w.accept("IF NOT EXISTS");
    let (name, columns, options, query) = view_body(w, false)?;
    if !options.is_empty() {
        return Err(Error::unsupported("an option of a materialized view").into());
    }
    let materialized = Some(!w.accept("WITH NO DATA"));
    w.accept("WITH DATA");
    let (replace, temporary) = (false, false);
    let view = CreateView { name, replace, temporary, if_not_exists, columns, query, materialized, options };
    Ok(Ast::CreateView(Box::new(view)))
}

/// `name [(columns)] AS query`; a recursive view names its columns.
fn view_body(w: &mut Words, recursive: bool) -> Parsed<Body> {
    let name = w.name()?;
    let columns = match recursive || *w.peek() == Token::LParen {
        true => w.parenthesised(Words::identifier)?,
        false => Vec::new(),
    };
    let mut options = Vec::new();
    if w.at("WITH") && *w.peek_nth(1) == Token::LParen {
        w.expect("WITH")?;
        options = storage_parameters::listed(w, true, check_option)?;
    }
    if w.at("USING") || w.at("WITH") {
        return Err(Error::unsupported("an option of a view").into());
    }
    w.expect("AS")?;
    let options = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Ok((name, columns, options.collect(), w.query()?))
}

/// What a view is called, its columns, its options and its query.
type Body = (Name, Vec<String>, Vec<(String, String)>, Box<ast::Query>);

/// 22023 for what PostgreSQL does not take as an option of a view.
fn check_option(name: &str, value: &str) -> Result<()> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    match name {
        "check_option" => Err(Error::unsupported("WITH CHECK OPTION")),
        "security_barrier" | "security_invoker" => match value {
            "true" | "false" | "on" | "off" | "yes" | "no" | "1" | "0" => Ok(()),
            _ => invalid(format!("invalid value for boolean option \"{name}\": {value}")),
        },
        _ => invalid(format!("unrecognized parameter \"{name}\"")),
    }
}

/// Behind ALTER VIEW and ALTER MATERIALIZED VIEW.
pub fn alter(w: &mut Words, kind: ObjectKind) -> Parsed<Ast> {
    let if_exists = w.accept("IF EXISTS");
    let name = w.name()?;
    if w.accept("RENAME TO") {
        return Ok(Ast::Rename { kind, name, if_exists, to: w.identifier()? });
    }
    if w.accept("SET SCHEMA") {
        return Ok(Ast::SetSchema { kind, name, if_exists, schema: w.identifier()? });
    }
    if w.accept("OWNER TO") {
        let owner = w.identifier()?;
        return Ok(Ast::AlterOwner { kind: kind.alter_command(), name, owner, if_exists });
    }
    let options = kind == ObjectKind::View && *w.peek_nth(1) == Token::LParen;
    let actions = match options && (w.at("SET") || w.at("RESET")) {
        true => vec![AlterAction::StorageParameters(storage_parameters::changed(w, check_option)?)],
        false if kind == ObjectKind::View => vec![alter_action(w)?],
        false => w.list(alter_action)?,
    };
    Ok(Ast::AlterTable(AlterTable { kind, name, if_exists, only: false, actions }))
}

/// `CREATE RECURSIVE VIEW v (a) AS q` is `CREATE VIEW v AS WITH RECURSIVE v (a) AS (q) SELECT a FROM v`.
fn recursive_query(name: &Name, columns: &[String], query: &ast::Query) -> Parsed<Box<ast::Query>> {
    let name = quote_ident(&name.name);
    let columns: Vec<String> = columns.iter().map(|column| quote_ident(column)).collect();
    let columns = columns.join(", ");
    let text = format!("WITH RECURSIVE {name} ({columns}) AS ({query}) SELECT {columns} FROM {name}");
    Ok(parse_query(&text)?)
}

/// REFRESH MATERIALIZED VIEW
pub fn refresh(w: &mut Words) -> Parsed<Ast> {
    w.expect("REFRESH MATERIALIZED VIEW")?;
    let concurrently = w.accept("CONCURRENTLY");
    let name = w.name()?;
    let with_data = !w.accept("WITH NO DATA");
    w.accept("WITH DATA");
    Ok(Ast::Refresh { name, concurrently, with_data })
}
