//! GRANT and REVOKE, as far as they say nothing new: privileges of the one role, which has them all.
//!
//! The superuser passes every check of privileges, in PostgreSQL too, whatever was granted to it or revoked from it. So
//! such a statement has nothing to change once its objects and roles are there. What is granted to PUBLIC would matter to
//! roles that are not here, and is refused rather than forgotten.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result, SqlState};
use crate::sql::large_objects;
use crate::sql::response::Response;
use crate::sql::session::{Session, done};
use crate::sql::shared::undefined_relation;
use crate::sql::statement::Name;
use crate::sql::words::{Parsed, Words};

/// `GRANT privileges ON objects TO roles` and `REVOKE privileges ON objects FROM roles`
#[derive(Clone, Debug)]
pub struct Grant {
    pub revoke: bool,
    kind: Kind,
    names: Vec<Name>,
    roles: Vec<String>,
}

/// What privileges are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Relation,
    Sequence,
    Schema,
    /// ALL TABLES IN SCHEMA and its like.
    AllInSchema,
    Database,
    LargeObject,
}

/// The kinds by their words; a table when there are none.
const KINDS: &[(&str, Kind)] = &[
    ("ALL TABLES IN SCHEMA", Kind::AllInSchema),
    ("ALL SEQUENCES IN SCHEMA", Kind::AllInSchema),
    ("ALL FUNCTIONS IN SCHEMA", Kind::AllInSchema),
    ("ALL PROCEDURES IN SCHEMA", Kind::AllInSchema),
    ("ALL ROUTINES IN SCHEMA", Kind::AllInSchema),
    ("TABLE", Kind::Relation),
    ("SEQUENCE", Kind::Sequence),
    ("SCHEMA", Kind::Schema),
    ("DATABASE", Kind::Database),
    ("LARGE OBJECT", Kind::LargeObject),
];

/// Objects whose privileges are not looked at.
const UNSUPPORTED: &[&str] = &[
    "FUNCTION",
    "PROCEDURE",
    "ROUTINE",
    "TYPE",
    "DOMAIN",
    "LANGUAGE",
    "FOREIGN DATA WRAPPER",
    "FOREIGN SERVER",
    "TABLESPACE",
    "PARAMETER",
];

const PRIVILEGES: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "MAINTAIN",
    "USAGE",
    "CREATE",
    "CONNECT",
    "TEMPORARY",
    "TEMP",
    "EXECUTE",
];

/// Reads the statement.
pub fn grant(w: &mut Words) -> Parsed<Grant> {
    let revoke = w.accept("REVOKE");
    let command = if revoke { "REVOKE" } else { "GRANT" };
    if !revoke {
        w.expect("GRANT")?;
    }
    let between = if revoke { "FROM" } else { "TO" };
    if !w.contains("ON") {
        return Err(Error::unsupported(format!("{command} of a role")).into());
    }
    if revoke {
        w.accept("GRANT OPTION FOR");
    }
    privileges(w)?;
    w.expect("ON")?;
    if let Some(kind) = UNSUPPORTED.iter().find(|kind| w.at(kind)) {
        return Err(Error::unsupported(format!("{command} ... ON {kind}")).into());
    }
    let kind = KINDS.iter().find(|(words, _)| w.accept(words)).map_or(Kind::Relation, |(_, kind)| *kind);
    let names = if kind == Kind::LargeObject { w.list(large_objects::object)? } else { w.names()? };
    w.expect(between)?;
    let roles = w.list(role)?;
    if revoke {
        let _ = w.accept("CASCADE") || w.accept("RESTRICT");
    } else {
        w.accept("WITH GRANT OPTION");
    }
    if w.accept("GRANTED BY") {
        role(w)?;
    }
    Ok(Grant { revoke, kind, names, roles })
}

fn privileges(w: &mut Words) -> Parsed<()> {
    if w.accept("ALL") {
        w.accept("PRIVILEGES");
        return columns(w);
    }
    w.list(|w| {
        if !PRIVILEGES.iter().any(|privilege| w.accept(privilege)) {
            return match w.identifier() {
                Ok(name) => {
                    let message = format!("unrecognized privilege type \"{name}\"");
                    Err(Error::new(SqlState::SYNTAX_ERROR, message).into())
                }
                Err(fault) => Err(fault),
            };
        }
        columns(w)
    })?;
    Ok(())
}

fn columns(w: &mut Words) -> Parsed<()> {
    match w.at_token(&Token::LParen) {
        true => w.parenthesised(Words::identifier).map(drop),
        false => Ok(()),
    }
}

fn role(w: &mut Words) -> Parsed<String> {
    w.accept("GROUP");
    w.identifier()
}

impl Session {
    pub(crate) fn grant(&mut self, grant: &Grant) -> Result<Response> {
        let command = if grant.revoke { "REVOKE" } else { "GRANT" };
        let catalog = self.shared.current_catalog();
        for name in &grant.names {
            match grant.kind {
                Kind::Relation | Kind::Sequence => {
                    if self.shared.relation(&catalog, name).is_none() {
                        return Err(undefined_relation(name));
                    }
                }
                Kind::Schema | Kind::AllInSchema => {
                    if catalog.schema(&name.name).is_none() {
                        let message = format!("schema \"{}\" does not exist", name.name);
                        return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message));
                    }
                }
                Kind::LargeObject => self.check_large_object(name)?,
                Kind::Database if name.name == self.shared.database => {}
                Kind::Database => {
                    let message = format!("database \"{}\" does not exist", name.name);
                    return Err(Error::new(SqlState("3D000"), message));
                }
            }
        }
        for role in &grant.roles {
            if role == "public" {
                let to = if grant.revoke { "FROM" } else { "TO" };
                return Err(Error::unsupported(format!("{command} ... {to} PUBLIC")));
            }
            self.check_owner(role)?;
        }
        Ok(done(command))
    }
}
