//! What concerns more than one table: schemas, owners.

use crate::catalog::{Edit, Object, Schema};
use crate::error::{Error, Result, SqlState};
use crate::sql::response::{Response, Severity};
use crate::sql::session::{SUPERUSER, Session, done};
use crate::sql::shared::{SYSTEM_SCHEMAS, undefined_relation};
use crate::sql::statement::Name;

impl Session {
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
        self.edit(vec![Edit::Put(Object::Schema(Schema { oid, name: name.into(), comment: None }))]).await?;
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
            "ALTER LARGE OBJECT" => {
                self.check_large_object(name)?;
                Ok(done(tag))
            }
            "ALTER TYPE" => Err(Error::unsupported("ALTER TYPE")),
            _ => Ok(done(tag)),
        }
    }

    pub(in crate::sql) fn check_owner(&self, owner: &str) -> Result<()> {
        match owner {
            SUPERUSER | "current_user" | "session_user" | "current_role" => Ok(()),
            _ => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{owner}\" does not exist"))),
        }
    }
}
