//! Temporary tables, views and sequences.
//!
//! They are like others, in a schema of the session's own that is looked into first. The schema goes with the
//! session; what a crash leaves of one is dropped when the server starts.

use crate::catalog::{Catalog, Edit, Object, OnCommit, Schema, TEMPORARY_SCHEMA, Table};
use crate::database::{Database, Isolation, Stop, Transaction};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::view::readers_of;
use crate::sql::session::Session;
use crate::sql::statement::{Name, Persistence};

/// The name that stands for the session's own temporary schema.
pub const ALIAS: &str = "pg_temp";

pub fn set_persistence(table: &mut Table, persistence: Persistence) {
    match persistence {
        Persistence::Permanent => {}
        Persistence::Unlogged => table.unlogged = true,
        Persistence::Temporary(on_commit) => table.temporary = Some(on_commit),
    }
}

/// Of a view or a sequence.
pub fn persistence(temporary: bool) -> Persistence {
    match temporary {
        true => Persistence::Temporary(OnCommit::PreserveRows),
        false => Persistence::Permanent,
    }
}

impl Session {
    /// The schema a new relation goes to; the session's temporary one is made when it is first needed.
    pub(super) async fn schema_for(&mut self, persistence: Persistence, name: &Name) -> Result<String> {
        let catalog = self.shared.current_catalog();
        let own = self.shared.temporary_schema();
        let named = name.schema.as_deref().is_some_and(|schema| schema == ALIAS || schema == own);
        if !named && !matches!(persistence, Persistence::Temporary(_)) {
            return self.shared.creation_schema(&catalog, name);
        }
        if name.schema.is_some() && !named {
            let message = "cannot create temporary relation in non-temporary schema";
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        if catalog.schema(&own).is_none() {
            let oid = self.new_oid()?;
            self.edit(vec![Edit::Put(Object::Schema(Schema { oid, name: own.clone(), comment: None }))])
                .await?;
        }
        Ok(own)
    }

    /// ON COMMIT DROP and DELETE ROWS, before the commit.
    pub(crate) async fn clear_temporary(&mut self) -> Result<()> {
        let writes = self.shared.transaction.lock().as_ref().is_some_and(Transaction::has_written);
        let catalog = self.shared.current_catalog();
        let own = self.shared.temporary_schema();
        if !writes || catalog.schema(&own).is_none() {
            return Ok(());
        }
        for table in catalog.tables().filter(|table| table.schema == own) {
            match table.temporary {
                Some(OnCommit::Drop) => {
                    self.drop_each(&readers_of(&catalog, &[table.oid], None)).await?;
                    self.retry(|transaction| transaction.drop_table(table.oid)).await?;
                }
                Some(OnCommit::DeleteRows) => {
                    self.retry(|transaction| transaction.truncate(table.oid)).await?
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Drops temporary schemas with what is in them: this one, or all when no session lives.
pub fn drop_temporary(database: &Database, schema: Option<&str>) -> Result<()> {
    let catalog = database.catalog();
    let wanted = |name: &str| match schema {
        Some(schema) => name == schema,
        None => name.starts_with(TEMPORARY_SCHEMA),
    };
    if !catalog.schemas().any(|known| wanted(&known.name)) {
        return Ok(());
    }
    let mut transaction = database.begin(Isolation::ReadCommitted);
    transaction.start_statement();
    match drop_all(&mut transaction, &catalog, wanted) {
        Ok(()) => transaction.commit().map(drop),
        Err(Stop::Error(error)) => Err(error),
        // Somebody looks at them; the next start drops them.
        Err(Stop::Wait(_)) => Ok(()),
    }
}

fn drop_all(
    transaction: &mut Transaction,
    catalog: &Catalog,
    wanted: impl Fn(&str) -> bool,
) -> std::result::Result<(), Stop> {
    let views = catalog.views().filter(|view| wanted(&view.schema)).map(|view| Edit::Delete(view.oid));
    transaction.edit_catalog(views.collect())?;
    for table in catalog.tables().filter(|table| wanted(&table.schema)) {
        transaction.drop_table(table.oid)?;
    }
    let left = transaction.catalog();
    let sequences = left.sequences().filter(|sequence| wanted(&sequence.schema)).map(|s| s.oid);
    let schemas = left.schemas().filter(|schema| wanted(&schema.name)).map(|schema| schema.oid);
    transaction.edit_catalog(sequences.chain(schemas).map(Edit::Delete).collect())
}
