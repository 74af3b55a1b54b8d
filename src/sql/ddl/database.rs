//! What concerns more than one table: extensions, schemas, owners, comments.

use crate::catalog::{Edit, Object, Schema};
use crate::error::{Error, Result, SqlState};
use crate::sql::response::{Response, Severity};
use crate::sql::session::{SUPERUSER, Session, done};
use crate::sql::shared::{SYSTEM_SCHEMAS, undefined_relation};
use crate::sql::statement::Name;

impl Session {
    /// vector is built in; creating it is what every program begins with.
    pub(super) fn create_extension(&mut self, name: &str, if_not_exists: bool) -> Result<Response> {
        match name {
            "vector" | "plpgsql" if if_not_exists => {
                let message = format!("extension \"{name}\" already exists, skipping");
                self.notice(Severity::Notice, Error::new(SqlState::DUPLICATE_OBJECT, message));
            }
            // A database is born with it, and nobody can have dropped it.
            "vector" => {}
            "plpgsql" => {
                let message = format!("extension \"{name}\" already exists");
                return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
            }
            _ => {
                let message = format!("extension \"{name}\" is not available");
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(
                    "The extension must first be installed on the system where PostgreSQL is running.",
                ));
            }
        }
        Ok(done("CREATE EXTENSION"))
    }

    /// Whether a schema may be called this: 42939 and 42P06.
    pub(super) fn check_new_schema(&self, catalog: &crate::catalog::Catalog, name: &str) -> Result<()> {
        if name.starts_with("pg_") {
            return Err(Error::new(SqlState("42939"), format!("unacceptable schema name \"{name}\""))
                .detail("The prefix \"pg_\" is reserved for system schemas."));
        }
        if catalog.schema(name).is_some() || SYSTEM_SCHEMAS.contains(&name) {
            return Err(Error::new(SqlState::DUPLICATE_SCHEMA, format!("schema \"{name}\" already exists")));
        }
        Ok(())
    }

    pub(super) async fn create_schema(&mut self, name: &str, if_not_exists: bool) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        if catalog.schema(name).is_some() || SYSTEM_SCHEMAS.contains(&name) {
            if !if_not_exists {
                self.check_new_schema(&catalog, name)?;
            }
            let message = format!("schema \"{name}\" already exists, skipping");
            self.notice(Severity::Notice, Error::new(SqlState::DUPLICATE_SCHEMA, message));
            return Ok(done("CREATE SCHEMA"));
        }
        self.check_new_schema(&catalog, name)?;
        let oid = self.new_oid()?;
        self.edit(vec![Edit::Put(Object::Schema(Schema { oid, name: name.into() }))]).await?;
        Ok(done("CREATE SCHEMA"))
    }

    /// There is one role, which owns everything: giving to it changes nothing, to another is refused.
    pub(super) fn alter_owner(
        &mut self,
        tag: &str,
        name: &Name,
        owner: &str,
        if_exists: bool,
    ) -> Result<Response> {
        self.check_owner(owner)?;
        let catalog = self.shared.current_catalog();
        match tag {
            "ALTER SCHEMA" if catalog.schema(&name.name).is_none() => {
                let message = format!("schema \"{}\" does not exist", name.name);
                Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message))
            }
            "ALTER SEQUENCE" if !if_exists && self.shared.relation(&catalog, name).is_none() => {
                Err(undefined_relation(name))
            }
            "ALTER TYPE" => Err(Error::unsupported("ALTER TYPE")),
            _ => Ok(done(tag)),
        }
    }

    pub(super) fn check_owner(&self, owner: &str) -> Result<()> {
        match owner {
            SUPERUSER | "current_user" | "session_user" | "current_role" => Ok(()),
            _ => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{owner}\" does not exist"))),
        }
    }

    pub(super) async fn comment(
        &mut self,
        kind: &str,
        name: &Name,
        column: Option<&str>,
        text: Option<&str>,
    ) -> Result<Response> {
        match kind {
            // The comment that pg_dump writes is the one the extension brings.
            "EXTENSION" if matches!(name.name.as_str(), "vector" | "plpgsql") => {}
            "EXTENSION" => {
                let message = format!("extension \"{}\" does not exist", name.name);
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
            }
            "VIEW" => {
                let catalog = self.shared.current_catalog();
                let view = match self.shared.relation(&catalog, name) {
                    Some(crate::catalog::Relation::View(view)) => view,
                    Some(_) => {
                        let message = format!("\"{}\" is not a view", name.name);
                        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
                    }
                    None => return Err(undefined_relation(name)),
                };
                let mut view = (*view).clone();
                view.comment = text.filter(|text| !text.is_empty()).map(str::to_string);
                self.edit(vec![Edit::Put(Object::View(view))]).await?;
            }
            "TABLE" => {
                let catalog = self.shared.current_catalog();
                let mut table = (*self.shared.table(&catalog, name)?).clone();
                table.comment = text.filter(|text| !text.is_empty()).map(str::to_string);
                self.edit(vec![Edit::Put(Object::Table(table))]).await?;
            }
            // pg_dump writes it for the schema every database is born with.
            "SCHEMA" if name.name == "public" => {}
            _ if column.is_some() => {
                return Err(Error::unsupported(format!("COMMENT ON {kind}")));
            }
            _ => return Err(Error::unsupported(format!("COMMENT ON {kind}"))),
        }
        Ok(done("COMMENT"))
    }
}
