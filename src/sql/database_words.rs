//! Reading CREATE, ALTER and DROP DATABASE.
//!
//! Every database is in UTF-8 and sorts by code points, so options that say so are taken, and others refused by name.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, SqlState};
use crate::sql::statement::Ast;
use crate::sql::words::{Parsed, Words};

/// `CREATE DATABASE name ...`
#[derive(Clone, Debug)]
pub struct CreateDatabase {
    pub name: String,
    pub owner: Option<String>,
    pub template: Option<String>,
}

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
    /// To what it is anyway.
    Nothing,
}

/// Behind CREATE.
pub fn create(w: &mut Words) -> Parsed<Ast> {
    w.expect("DATABASE")?;
    let mut create = CreateDatabase { name: name(w)?, owner: None, template: None };
    w.accept("WITH");
    let mut given = Vec::new();
    while !w.at_end() && *w.peek() != Token::SemiColon {
        let option = option_name(w)?;
        if given.contains(&option) {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options").into());
        }
        w.accept_token(&Token::Eq);
        match option.as_str() {
            _ if w.accept("DEFAULT") => {}
            "OWNER" => create.owner = Some(w.identifier()?),
            "TEMPLATE" => create.template = Some(word(w)?),
            _ => plain_option(w, &option, "CREATE DATABASE")?,
        }
        given.push(option);
    }
    Ok(Ast::CreateDatabase(create))
}

fn name(w: &mut Words) -> Parsed<String> {
    let name = w.identifier()?;
    if name.is_empty() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "zero-length delimited identifier").into());
    }
    Ok(name)
}

/// CONNECTION LIMIT, or one word.
fn option_name(w: &mut Words) -> Parsed<String> {
    if w.accept("CONNECTION LIMIT") {
        return Ok("CONNECTION LIMIT".to_owned());
    }
    Ok(w.identifier()?.to_uppercase())
}

/// A value as a word, a string or a number.
fn word(w: &mut Words) -> Parsed<String> {
    match w.peek() {
        Token::SingleQuotedString(_) => w.string(),
        Token::Number(..) => Ok(w.integer()?.to_string()),
        _ => w.identifier(),
    }
}

/// An option that says what is so anyway.
fn plain_option(w: &mut Words, option: &str, command: &str) -> Parsed<()> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    if option == "CONNECTION LIMIT" {
        return match w.integer()? {
            -1 => Ok(()),
            limit if limit < -1 => Err(invalid(format!("invalid connection limit: {limit}")).into()),
            _ => Err(Error::unsupported(format!("{command} with a CONNECTION LIMIT")).into()),
        };
    }
    let given = word(w)?;
    let value = given.to_lowercase();
    let is_so = match option {
        // 6 is PostgreSQL's number of UTF8.
        "ENCODING" if ["utf8", "utf-8", "unicode", "6"].contains(&value.as_str()) => true,
        "ENCODING" if !ENCODINGS.contains(&value.replace(['-', '_'], "").as_str()) => {
            let message = format!("\"{given}\" is not a valid encoding name");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message).into());
        }
        "ENCODING" => false,
        "LOCALE" | "LC_COLLATE" | "LC_CTYPE" | "BUILTIN_LOCALE" => is_plain_locale(&value),
        "LOCALE_PROVIDER" => ["libc", "builtin"].contains(&value.as_str()),
        "TABLESPACE" => value == "pg_default",
        "ALLOW_CONNECTIONS" => ["true", "on", "1"].contains(&value.as_str()),
        "IS_TEMPLATE" => ["false", "off", "0"].contains(&value.as_str()),
        // How a template's pages are copied; an empty one has none.
        "STRATEGY" if ["wal_log", "file_copy"].contains(&value.as_str()) => true,
        "STRATEGY" => {
            return Err(invalid(format!("invalid create database strategy \"{given}\"")).into());
        }
        "OID" | "ICU_LOCALE" | "ICU_RULES" | "COLLATION_VERSION" => false,
        _ => {
            let message = format!("option \"{}\" not recognized", option.to_lowercase());
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
        }
    };
    match is_so {
        true => Ok(()),
        false => Err(Error::unsupported(format!("{command} with this {option}")).into()),
    }
}

/// PostgreSQL's other encodings, without hyphens and underscores.
const ENCODINGS: &[&str] = &[
    "sqlascii",
    "eucjp",
    "euccn",
    "euckr",
    "euctw",
    "eucjis2004",
    "muleinternal",
    "latin1",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "latin10",
    "iso88591",
    "iso885915",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "win866",
    "win874",
    "koi8r",
    "koi8u",
    "koi8",
    "sjis",
    "big5",
    "gbk",
    "uhc",
    "gb18030",
    "johab",
    "shiftjis2004",
];

/// The locales that order by code points.
fn is_plain_locale(name: &str) -> bool {
    ["c", "posix", "c.utf8", "c.utf-8"].contains(&name)
}

/// Behind DROP.
pub fn drop(w: &mut Words) -> Parsed<Ast> {
    w.expect("DATABASE")?;
    let if_exists = w.accept("IF EXISTS");
    let name = name(w)?;
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
    let name = name(w)?;
    let change = if w.accept("RENAME TO") {
        DatabaseChange::Rename(self::name(w)?)
    } else if w.accept("OWNER TO") {
        DatabaseChange::Owner(w.identifier()?)
    } else if w.accept("SET TABLESPACE") {
        plain_option(w, "TABLESPACE", "ALTER DATABASE")?;
        DatabaseChange::Nothing
    } else if w.accept("RESET ALL") {
        DatabaseChange::Nothing
    } else if w.at("SET") || w.at("RESET") {
        return Err(Error::unsupported("settings of a database").into());
    } else {
        w.accept("WITH");
        while !w.at_end() && *w.peek() != Token::SemiColon {
            let option = option_name(w)?;
            if !["CONNECTION LIMIT", "ALLOW_CONNECTIONS", "IS_TEMPLATE"].contains(&option.as_str()) {
                let message = format!("option \"{}\" not recognized", option.to_lowercase());
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
            }
            plain_option(w, &option, "ALTER DATABASE")?;
        }
        DatabaseChange::Nothing
    };
    Ok(Ast::AlterDatabase(AlterDatabase { name, change }))
}
