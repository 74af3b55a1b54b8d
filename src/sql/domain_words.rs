//! Reading CREATE, ALTER and DROP DOMAIN.

use datafusion::sql::sqlparser::ast::Expr;

use crate::error::{Error, Result, SqlState};
use crate::sql::ddl_words::collation;
use crate::sql::statement::{Ast, ColumnType, Name};
use crate::sql::trees::unnested;
use crate::sql::type_names;
use crate::sql::words::{Parsed, Words};
use crate::types::Type;

/// `CREATE DOMAIN name AS type ...`
#[derive(Clone, Debug)]
pub struct CreateDomain {
    pub name: Name,
    pub base: ColumnType,
    pub collation: Option<String>,
    pub default: Option<String>,
    pub not_null: bool,
    /// Names, where they have one, and conditions over VALUE.
    pub checks: Vec<(Option<String>, String)>,
}

/// `ALTER DOMAIN name ...`
#[derive(Clone, Debug)]
pub enum DomainAction {
    /// SET and DROP DEFAULT.
    Default(Option<String>),
    /// SET and DROP NOT NULL.
    NotNull(bool),
    AddCheck {
        name: Option<String>,
        sql: String,
        not_valid: bool,
    },
    DropConstraint {
        name: String,
        if_exists: bool,
    },
    RenameConstraint {
        name: String,
        to: String,
    },
    ValidateConstraint(String),
    Rename(String),
    SetSchema(String),
    OwnerTo(String),
}

/// After `CREATE DOMAIN`.
pub fn create(w: &mut Words) -> Parsed<Ast> {
    let name = w.name()?;
    w.accept("AS");
    let base = base(w)?;
    let mut create =
        CreateDomain { name, base, collation: None, default: None, not_null: false, checks: Vec::new() };
    let (mut null, mut not_null) = (false, false);
    loop {
        if w.accept("COLLATE") {
            create.collation = collation(&w.name()?.name)?;
        } else if w.accept("DEFAULT") {
            if create.default.is_some() {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "multiple default expressions").into());
            }
            let (default, and_not_null) = default(w)?;
            create.default = Some(default);
            not_null |= and_not_null;
        } else {
            let constraint = if w.accept("CONSTRAINT") { Some(w.identifier()?) } else { None };
            if w.accept("NOT NULL") {
                not_null = true;
            } else if w.accept("NULL") {
                null = true;
            } else if w.at("CHECK") {
                create.checks.push((constraint, check(w)?));
            } else if constraint.is_some() {
                return w.unexpected("NOT NULL or CHECK");
            } else {
                break;
            }
        }
    }
    if null && not_null {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "conflicting NULL/NOT NULL constraints").into());
    }
    create.not_null = not_null;
    Ok(Ast::CreateDomain(Box::new(create)))
}

fn base(w: &mut Words) -> Parsed<ColumnType> {
    match type_names::column_type(&w.parser.parse_data_type()?)? {
        ColumnType::Serial(_) => Err(undefined_serial().into()),
        base => Ok(base),
    }
}

fn undefined_serial() -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, "serial types are for columns only")
}

/// A default, and whether NOT NULL follows it, which sqlparser takes for a postfix operator.
fn default(w: &mut Words) -> Parsed<(String, bool)> {
    let start = w.location();
    let expression = w.expression()?;
    let text = w.text_since(start).to_uppercase();
    let mut words = text.split_whitespace().rev();
    let follows = words.next() == Some("NULL") && words.next() == Some("NOT") && words.next() != Some("IS");
    match expression {
        Expr::IsNotNull(default) if follows => Ok((default.to_string(), true)),
        default => Ok((default.to_string(), false)),
    }
}

fn check(w: &mut Words) -> Parsed<String> {
    w.expect("CHECK")?;
    let mut conditions = w.parenthesised(|w| Ok(unnested(&w.expression()?).to_string()))?;
    match conditions.len() {
        1 => Ok(conditions.remove(0)),
        _ => w.unexpected("one condition"),
    }
}

/// After `ALTER DOMAIN`.
pub fn alter(w: &mut Words) -> Parsed<Ast> {
    let name = w.name()?;
    let action = if w.accept("SET DEFAULT") {
        DomainAction::Default(Some(w.expression()?.to_string()))
    } else if w.accept("DROP DEFAULT") {
        DomainAction::Default(None)
    } else if w.accept("SET NOT NULL") {
        DomainAction::NotNull(true)
    } else if w.accept("DROP NOT NULL") {
        DomainAction::NotNull(false)
    } else if w.accept("ADD") {
        let name = if w.accept("CONSTRAINT") { Some(w.identifier()?) } else { None };
        if w.accept("NOT NULL") {
            DomainAction::NotNull(true)
        } else {
            let sql = check(w)?;
            DomainAction::AddCheck { name, sql, not_valid: w.accept("NOT VALID") }
        }
    } else if w.accept("DROP CONSTRAINT") {
        let if_exists = w.accept("IF EXISTS");
        let name = w.identifier()?;
        let _ = w.accept("CASCADE") || w.accept("RESTRICT");
        DomainAction::DropConstraint { name, if_exists }
    } else if w.accept("RENAME CONSTRAINT") {
        let name = w.identifier()?;
        w.expect("TO")?;
        DomainAction::RenameConstraint { name, to: w.identifier()? }
    } else if w.accept("VALIDATE CONSTRAINT") {
        DomainAction::ValidateConstraint(w.identifier()?)
    } else if w.accept("RENAME TO") {
        DomainAction::Rename(w.identifier()?)
    } else if w.accept("SET SCHEMA") {
        DomainAction::SetSchema(w.identifier()?)
    } else if w.accept("OWNER TO") {
        DomainAction::OwnerTo(w.identifier()?)
    } else {
        return w.unexpected("SET, DROP, ADD, RENAME, VALIDATE or OWNER");
    };
    Ok(Ast::AlterDomain { name, action })
}

/// 42804 for types of which there are no domains.
pub fn check_base(ty: &Type) -> Result<()> {
    match ty {
        Type::Void | Type::Record(_) | Type::Polymorphic(_) => {
            let message = format!("\"{ty}\" is not a valid base type for a domain");
            Err(Error::new(SqlState::DATATYPE_MISMATCH, message))
        }
        _ => Ok(()),
    }
}
