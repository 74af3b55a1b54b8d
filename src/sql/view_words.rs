//! Reading CREATE VIEW, its kinds, and REFRESH.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::Error;
use crate::sql::dialect::parse_query;
use crate::sql::statement::{Ast, CreateView, Name};
use crate::sql::system::quote_ident;
use crate::sql::words::{Parsed, Words};

/// CREATE [TEMP] [RECURSIVE] VIEW, from VIEW on.
pub fn create_view(w: &mut Words, replace: bool, temporary: bool) -> Parsed<Ast> {
    let recursive = w.accept("RECURSIVE");
    w.expect("VIEW")?;
    let (name, columns, mut query) = view_body(w, recursive)?;
    if w.at("WITH") {
        return Err(Error::unsupported("WITH CHECK OPTION").into());
    }
    if recursive {
        query = recursive_query(&name, &columns, &query)?;
    }
    let (if_not_exists, materialized) = (false, None);
    let view = CreateView { name, replace, temporary, if_not_exists, columns, query, materialized };
    Ok(Ast::CreateView(Box::new(view)))
}

/// Behind CREATE MATERIALIZED VIEW.
pub fn create_materialized_view(w: &mut Words) -> Parsed<Ast> {
    let if_not_exists = w.accept("IF NOT EXISTS");
    let (name, columns, query) = view_body(w, false)?;
    let materialized = Some(!w.accept("WITH NO DATA"));
    w.accept("WITH DATA");
    let (replace, temporary) = (false, false);
    let view = CreateView { name, replace, temporary, if_not_exists, columns, query, materialized };
    Ok(Ast::CreateView(Box::new(view)))
}

/// `name [(columns)] AS query`; a recursive view names its columns.
fn view_body(w: &mut Words, recursive: bool) -> Parsed<(Name, Vec<String>, Box<ast::Query>)> {
    let name = w.name()?;
    let columns = match recursive || *w.peek() == Token::LParen {
        true => w.parenthesised(Words::identifier)?,
        false => Vec::new(),
    };
    if w.at("USING") || w.at("WITH") {
        return Err(Error::unsupported("an option of a view").into());
    }
    w.expect("AS")?;
    Ok((name, columns, w.query()?))
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
