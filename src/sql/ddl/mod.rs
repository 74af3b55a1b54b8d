//! Data definitions: what CREATE, ALTER and DROP change in the catalogue.
//!
//! Names are resolved and definitions are checked here; the core makes the change part of the transaction, so that
//! all of it can be rolled back.

// ALTER.
mod alter;
// ALTER of views.
mod alter_view;
// COMMENT ON.
mod comment;
// CREATE EXTENSION, CREATE SCHEMA, owners.
mod database;
// What goes with types.
mod dependents;
// CREATE DOMAIN and its like.
mod domains;
// DROP.
mod drop;
pub mod extension;
// Generated columns in ALTER TABLE.
mod generated;
// Keys on indexes that are there.
mod index_keys;
// Columns that indexes are on and nobody sees.
mod hidden;
// SET STORAGE, CLUSTER ON and their like.
mod hints;
// Foreign keys: which types, which rows.
mod foreign_keys;
// Functions written in SQL.
mod function;
// CREATE INDEX, REINDEX.
mod index;
// CREATE INDEX USING gin and gist.
mod inverted;
// CREATE TABLE (LIKE ...).
mod like;
// ATTACH and DETACH PARTITION.
mod attach;
// Partitions of tables.
mod partition;
// What belongs to one partition.
mod partition_parts;
// Names of constraints, indexes and sequences that nobody named.
mod names;
// CREATE SEQUENCE and sequences of columns.
mod sequence;
// RENAME TO, SET SCHEMA.
mod ranges;
mod rename;
// Columns that stored expressions name.
mod references;
// Changes that give every row new bytes.
mod retype;
// CREATE TABLE.
mod table;
// Temporary tables.
mod temporary;
// CREATE TYPE, ALTER TYPE, DROP TYPE.
mod types;
// Views, materialized ones too.
mod view;

pub(crate) use references::columns_of;
pub(crate) use temporary::{ALIAS as TEMPORARY_ALIAS, drop_temporary};
pub(crate) use view::spell_out_wildcards;

use crate::error::{Error, Result};
use crate::sql::response::Response;
use crate::sql::session::Session;
use crate::sql::statement::Ast;

impl Session {
    /// Carries out a data definition.
    pub(crate) async fn define(&mut self, ast: &Ast) -> Result<Response> {
        match ast {
            Ast::CreateTable(create) => self.create_table(create).await,
            Ast::AttachIndex(index, own) => self.attach_index(index, own),
            Ast::CreatePartition(create) => self.create_partition(create).await,
            Ast::CreateTableAs { persistence, name, if_not_exists, columns, query, with_data } => {
                self.create_table_as(*persistence, name, *if_not_exists, columns, query, *with_data).await
            }
            Ast::CreateView(create) => self.create_view(create).await,
            Ast::CreateFunction(create) => self.create_function(create).await,
            Ast::DropFunction(drop) => self.drop_functions(drop).await,
            Ast::AlterFunction(alter) => self.alter_function(alter).await,
            Ast::CreateEnum { name, labels } => self.create_enum(name, labels).await,
            Ast::CreateComposite { name, fields } => self.create_composite(name, fields).await,
            Ast::CreateRange { name, options } => self.create_range(name, options).await,
            Ast::AlterType { name, action } => self.alter_named_type(name, action).await,
            Ast::CreateDomain(create) => self.create_domain(create).await,
            Ast::AlterDomain { name, action } => self.alter_domain(name, action).await,
            Ast::Refresh { name, concurrently, with_data } => {
                self.refresh(name, *concurrently, *with_data).await
            }
            Ast::CreateIndex(create) => self.create_index(create).await,
            Ast::CreateSequence(create) => self.create_sequence(create).await,
            Ast::CreateSchema { name, if_not_exists } => self.create_schema(name, *if_not_exists).await,
            Ast::CreateExtension(create) => self.create_extension(create).await,
            Ast::Drop(drop) => self.drop_objects(drop).await,
            Ast::AlterTable(alter) => self.alter_table(alter).await,
            Ast::AlterSequence(alter) => self.alter_sequence(alter).await,
            Ast::AlterOwner { kind, name, owner, if_exists } => {
                self.alter_owner(kind, name, owner, *if_exists)
            }
            Ast::Rename { kind, name, if_exists, to } => self.rename(*kind, name, *if_exists, to).await,
            Ast::SetSchema { kind, name, if_exists, schema } => {
                self.set_schema(*kind, name, *if_exists, schema).await
            }
            Ast::Comment { kind, name, column, text } => {
                self.comment(kind, name, column.as_deref(), text.as_deref()).await
            }
            other => Err(Error::internal(format!("{} is no data definition", other.command()))),
        }
    }
}
