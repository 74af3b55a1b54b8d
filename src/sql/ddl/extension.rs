//! CREATE EXTENSION and DROP EXTENSION.
//!
//! What the extensions bring is built in. A database is born with vector, which programs create first thing whether it is
//! there or not; of the others the catalogue keeps that they were created, for the tools that look there and for dumps.
//! Their functions answer either way; a type of theirs is there only once they were created.

use std::sync::Arc;

use crate::catalog::{Catalog, Edit, Extension, Object};
use crate::error::{Error, Result, SqlState};
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::statement::{Drop, Name};

/// An extension that can be created.
pub struct Available {
    pub name: &'static str,
    /// The version whose functions these are.
    pub version: &'static str,
    /// What PostgreSQL's control file says about it.
    pub comment: &'static str,
}

/// All but vector.
pub const AVAILABLE: [Available; 4] = [
    Available { name: "citext", version: "1.6", comment: "data type for case-insensitive character strings" },
    Available { name: "hstore", version: "1.8", comment: "data type for storing sets of (key, value) pairs" },
    Available { name: "pgcrypto", version: "1.3", comment: "cryptographic functions" },
    Available {
        name: "uuid-ossp",
        version: "1.1",
        comment: "generate universally unique identifiers (UUIDs)",
    },
];

/// CREATE EXTENSION
#[derive(Clone, Debug, PartialEq)]
pub struct CreateExtension {
    pub name: String,
    pub if_not_exists: bool,
    /// Of what it brings; where the search path begins when there is none.
    pub schema: Option<String>,
    pub version: Option<String>,
}

/// The extensions that every database has, and keeps.
const BUILT_IN: [&str; 2] = ["vector", "plpgsql"];

/// 42704 for an extension that was not created.
pub fn check_created(catalog: &Catalog, name: &str) -> Result<()> {
    match BUILT_IN.contains(&name) || catalog.extension_named(name).is_some() {
        true => Ok(()),
        false => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("extension \"{name}\" does not exist"))),
    }
}

impl Session {
    pub(super) async fn create_extension(&mut self, create: &CreateExtension) -> Result<Response> {
        let name = create.name.as_str();
        let catalog = self.shared.current_catalog();
        if check_created(&catalog, name).is_ok() {
            let message = format!("extension \"{name}\" already exists");
            if create.if_not_exists {
                let notice = Error::new(SqlState::DUPLICATE_OBJECT, format!("{message}, skipping"));
                self.notice(Severity::Notice, notice);
            } else if name != "vector" {
                return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
            }
            return Ok(done("CREATE EXTENSION"));
        }
        let Some(available) = AVAILABLE.iter().find(|available| available.name == name) else {
            let message = format!("extension \"{name}\" is not available");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                .hint("The extension must first be installed on the system where PostgreSQL is running."));
        };
        if let Some(version) = create.version.as_ref().filter(|version| *version != available.version) {
            let message = format!(
                "extension \"{name}\" has no installation script nor update path for version \"{version}\""
            );
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        let place = Name { schema: create.schema.clone(), name: name.to_owned(), position: 0 };
        let schema = self.shared.creation_schema(&catalog, &place)?;
        let (name, version) = (name.to_owned(), available.version.to_owned());
        let extension = Extension { oid: self.new_oid()?, schema, name, version };
        self.edit(vec![Edit::Put(Object::Extension(extension))]).await?;
        Ok(done("CREATE EXTENSION"))
    }

    pub(super) async fn drop_extension(&mut self, catalog: &Catalog, name: &Name, drop: &Drop) -> Result<()> {
        if BUILT_IN.contains(&name.name.as_str()) {
            let what = format!("dropping the extension \"{}\", which is built in,", name.name);
            return Err(Error::unsupported(what));
        }
        match catalog.extension_named(&name.name) {
            Some(extension) => {
                let extension = Arc::clone(extension);
                self.drop_of_extension(&extension, drop.cascade).await?;
                self.edit(vec![Edit::Delete(extension.oid)]).await
            }
            None => self.missing(drop, name),
        }
    }
}
