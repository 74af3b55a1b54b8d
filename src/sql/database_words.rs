//! Reading CREATE, ALTER and DROP DATABASE.
//!
//! Every database is in UTF-8 and sorts by code points, so options that say so are taken, and others refused by name.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, SqlState};
use crate::sql::statement::Ast;
use crate::sql::words::{Parsed, Words};

/// `DROP DATABASE [IF EXISTS] name [WITH (FORCE)]`
#[derive(Clone, Debug)]
pub struct DropDatabase {
    pub name: String,
    pub if_exists: bool,
    /// Sessions in it are ended.
    pub force: bool,
}

/// `ALTER DATABASE name ...`
#[derive(Clone, Debug)]
pub struct AlterDatabase {
    pub name: String,
    pub change: DatabaseChange,
}

#[derive(Clone, Debug)]
pub enum DatabaseChange {
    Rename(String),
    Owner(String),
}

/// Behind CREATE.
pub fn create(w: &mut Words) -> Parsed<Ast> {
    w.expect("DATABASE")?;
    let name = w.identifier()?;
    let mut owner = None;
    w.accept("WITH");
    while !w.at_end() && *w.peek() != Token::SemiColon {
        option(w, &mut owner)?;
    }
    Ok(Ast::CreateDatabase { name, owner })
}

fn option(w: &mut Words, owner: &mut Option<String>) -> Parsed<()> {
    let option = ["CONNECTION LIMIT"].iter().find(|words| w.accept(words)).map(|words| (*words).to_owned());
    let option = match option {
        Some(option) => option,
        None => w.identifier()?.to_uppercase(),
    };
    w.accept_token(&Token::Eq);
    let known = match option.as_str() {
        "CONNECTION LIMIT" => w.integer()? == -1,
        "OID" => {
            w.integer()?;
            false
        }
        _ => {
            let value =
                if let Token::SingleQuotedString(_) = w.peek() { w.string()? } else { w.identifier()? };
            let value = value.to_lowercase();
            match option.as_str() {
                _ if value == "default" && PLAIN.contains(&option.as_str()) => true,
                "OWNER" => {
                    *owner = Some(value);
                    true
                }
                // Both are empty, and so is every new database here.
                "TEMPLATE" => ["template0", "template1"].contains(&value.as_str()),
                "ENCODING" => ["utf8", "utf-8", "unicode"].contains(&value.as_str()),
                "LOCALE" | "LC_COLLATE" | "LC_CTYPE" => is_plain_locale(&value),
                "LOCALE_PROVIDER" => ["libc", "builtin"].contains(&value.as_str()),
                "TABLESPACE" => value == "pg_default",
                "ALLOW_CONNECTIONS" => ["true", "on", "1"].contains(&value.as_str()),
                "IS_TEMPLATE" => ["false", "off", "0"].contains(&value.as_str()),
                // How a template's pages are copied; an empty one has none.
                "STRATEGY" => ["wal_log", "file_copy"].contains(&value.as_str()),
                _ => {
                    let message = format!("option \"{}\" not recognized", option.to_lowercase());
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
                }
            }
        }
    };
    if !known {
        return Err(Error::unsupported(format!("CREATE DATABASE with this {option}")).into());
    }
    Ok(())
}

/// The options that may say DEFAULT.
const PLAIN: &[&str] = &["OWNER", "TEMPLATE", "ENCODING", "TABLESPACE", "LOCALE", "LC_COLLATE", "LC_CTYPE"];

/// The locales that order by code points.
fn is_plain_locale(name: &str) -> bool {
    ["c", "posix", "c.utf8", "c.utf-8"].contains(&name)
}

/// Behind DROP.
pub fn drop(w: &mut Words) -> Parsed<Ast> {
    w.expect("DATABASE")?;
    let if_exists = w.accept("IF EXISTS");
    let name = w.identifier()?;
    let mut force = false;
    let with = w.accept("WITH");
    if with || *w.peek() == Token::LParen {
        w.parenthesised(|w| w.expect("FORCE"))?;
        force = true;
    }
    Ok(Ast::DropDatabase(DropDatabase { name, if_exists, force }))
}

/// Behind ALTER.
pub fn alter(w: &mut Words) -> Parsed<Ast> {
    w.expect("DATABASE")?;
    let name = w.identifier()?;
    let change = if w.accept("RENAME TO") {
        DatabaseChange::Rename(w.identifier()?)
    } else if w.accept("OWNER TO") {
        DatabaseChange::Owner(w.identifier()?)
    } else {
        return Err(Error::unsupported("ALTER DATABASE of this form").into());
    };
    Ok(Ast::AlterDatabase(AlterDatabase { name, change }))
}
