//! CREATE TYPE and ALTER TYPE: what they say, and reading it.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, SqlState};
use crate::sql::statement::{Ast, ColumnType, Name};
use crate::sql::type_names;
use crate::sql::words::{Parsed, Words};
use crate::types::Type;
use crate::types::enums::Place;

/// What ALTER TYPE changes.
#[derive(Clone, Debug)]
pub enum TypeAction {
    AddValue {
        label: String,
        place: Place,
        if_not_exists: bool,
    },
    RenameValue {
        from: String,
        to: String,
    },
    /// Of a composite type, as what follows.
    Fields(Vec<FieldAction>),
    RenameField {
        from: String,
        to: String,
    },
    Rename(String),
    SetSchema(String),
    OwnerTo(String),
}

/// What CREATE TYPE ... AS RANGE says of a range type.
#[derive(Clone, Debug, Default)]
pub struct RangeOptions {
    pub subtype: Option<ColumnType>,
    pub subtype_opclass: Option<Name>,
    pub collation: Option<Name>,
    pub canonical: Option<Name>,
    pub subtype_diff: Option<Name>,
    pub multirange_name: Option<Name>,
}

/// A field of a composite type.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub ty: ColumnType,
}

/// What ALTER TYPE does to a field.
#[derive(Clone, Debug)]
pub enum FieldAction {
    Add(Field),
    Drop { name: String, if_exists: bool },
    Retype(Field),
}

/// After `CREATE TYPE`.
pub fn create(w: &mut Words) -> Parsed<Ast> {
    let name = w.name()?;
    if w.accept("AS RANGE") {
        return Ok(Ast::CreateRange { name, options: Box::new(range_options(w)?) });
    }
    if !w.accept("AS ENUM") {
        if !w.accept("AS") || !w.at_token(&Token::LParen) {
            return Err(Error::unsupported("CREATE TYPE other than AS (...), AS ENUM and AS RANGE").into());
        }
        return Ok(Ast::CreateComposite { name, fields: w.parenthesised(field)? });
    }
    w.expect_token(&Token::LParen)?;
    let labels = if w.at_token(&Token::RParen) { Vec::new() } else { w.list(Words::string)? };
    w.expect_token(&Token::RParen)?;
    Ok(Ast::CreateEnum { name, labels })
}

/// `(SUBTYPE = type, ...)`
fn range_options(w: &mut Words) -> Parsed<RangeOptions> {
    let mut options = RangeOptions::default();
    w.parenthesised(|w| {
        let attribute = w.identifier()?;
        w.expect_token(&Token::Eq)?;
        let is_again = match attribute.as_str() {
            "subtype" => {
                let ty = type_names::column_type(&w.parser.parse_data_type()?)?;
                options.subtype.replace(ty).is_some()
            }
            "subtype_opclass" => options.subtype_opclass.replace(w.name()?).is_some(),
            "collation" => options.collation.replace(w.name()?).is_some(),
            "canonical" => options.canonical.replace(w.name()?).is_some(),
            "subtype_diff" => options.subtype_diff.replace(w.name()?).is_some(),
            "multirange_type_name" => {
                refuse_type_words(w)?;
                options.multirange_name.replace(w.name()?).is_some()
            }
            other => {
                let message = format!("type attribute \"{other}\" not recognized");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
            }
        };
        match is_again {
            true => Err(Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options").into()),
            false => Ok(()),
        }
    })?;
    Ok(options)
}

/// Words of the grammar name types that there are.
fn refuse_type_words(w: &Words) -> Parsed<()> {
    const WORDS: &[&str] = &[
        "BIGINT",
        "BIT",
        "BOOLEAN",
        "CHAR",
        "CHARACTER",
        "DEC",
        "DECIMAL",
        "FLOAT",
        "INT",
        "INTEGER",
        "INTERVAL",
        "NUMERIC",
        "REAL",
        "SMALLINT",
        "TIME",
        "TIMESTAMP",
        "VARCHAR",
    ];
    let Some(word) = WORDS.iter().find(|word| w.at(word)) else { return Ok(()) };
    match Type::named(&word.to_lowercase(), false, &[]) {
        Ok(ty) => {
            let message = format!("type \"{}\" already exists", ty.entry().name);
            Err(Error::new(SqlState("42710"), message).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// `name type [COLLATE collation]`
fn field(w: &mut Words) -> Parsed<Field> {
    let name = w.identifier()?;
    Ok(Field { name, ty: type_of_field(w)? })
}

fn type_of_field(w: &mut Words) -> Parsed<ColumnType> {
    let ty = type_names::column_type(&w.parser.parse_data_type()?)?;
    if let ColumnType::Serial(_) = ty {
        return Err(Error::new(SqlState::UNDEFINED_OBJECT, "type \"serial\" does not exist").into());
    }
    if w.accept("COLLATE") {
        return Err(Error::unsupported("COLLATE of a composite type's attribute").into());
    }
    Ok(ty)
}

fn field_action(w: &mut Words) -> Parsed<FieldAction> {
    let action = if w.accept("ADD ATTRIBUTE") {
        FieldAction::Add(field(w)?)
    } else if w.accept("DROP ATTRIBUTE") {
        let if_exists = w.accept("IF EXISTS");
        FieldAction::Drop { name: w.identifier()?, if_exists }
    } else {
        w.expect("ALTER ATTRIBUTE")?;
        let name = w.identifier()?;
        w.accept("SET DATA");
        w.expect("TYPE")?;
        FieldAction::Retype(Field { name, ty: type_of_field(w)? })
    };
    behavior(w);
    Ok(action)
}

/// CASCADE is for typed tables, of which there are none.
fn behavior(w: &mut Words) {
    let _ = w.accept("CASCADE") || w.accept("RESTRICT");
}

/// After `ALTER TYPE`.
pub fn alter(w: &mut Words) -> Parsed<Ast> {
    let name = w.name()?;
    let action = if w.accept("ADD VALUE") {
        let if_not_exists = w.accept("IF NOT EXISTS");
        let label = w.string()?;
        let place = if w.accept("BEFORE") {
            Place::Before(w.string()?)
        } else if w.accept("AFTER") {
            Place::After(w.string()?)
        } else {
            Place::Last
        };
        TypeAction::AddValue { label, place, if_not_exists }
    } else if w.accept("RENAME VALUE") {
        let from = w.string()?;
        w.expect("TO")?;
        TypeAction::RenameValue { from, to: w.string()? }
    } else if w.accept("RENAME ATTRIBUTE") {
        let from = w.identifier()?;
        w.expect("TO")?;
        let to = w.identifier()?;
        behavior(w);
        TypeAction::RenameField { from, to }
    } else if w.at("ADD ATTRIBUTE") || w.at("DROP ATTRIBUTE") || w.at("ALTER ATTRIBUTE") {
        TypeAction::Fields(w.list(field_action)?)
    } else if w.accept("RENAME TO") {
        TypeAction::Rename(w.identifier()?)
    } else if w.accept("SET SCHEMA") {
        TypeAction::SetSchema(w.identifier()?)
    } else if w.accept("OWNER TO") {
        TypeAction::OwnerTo(w.identifier()?)
    } else {
        return Err(Error::unsupported("ALTER TYPE of this form").into());
    };
    Ok(Ast::AlterType { name, action })
}
