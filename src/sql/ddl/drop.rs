//! DROP.

use std::sync::Arc;

use crate::catalog::{Catalog, Edit, Relation, Sequence};
use crate::error::{Error, Result, SqlState};
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::statement::{Ast, Drop, Name, ObjectKind};

impl Session {
    pub(super) async fn drop_objects(&mut self, drop: &Drop) -> Result<Response> {
        if drop.concurrently {
            self.refuse_in_block("DROP INDEX CONCURRENTLY")?;
        }
        if matches!(drop.kind, ObjectKind::View | ObjectKind::MaterializedView) {
            self.drop_views(drop).await?;
            return Ok(done(Ast::Drop(drop.clone()).command()));
        }
        if drop.kind == ObjectKind::Table {
            self.drop_keys_to_tables(drop).await?;
        }
        for name in &drop.names {
            self.drop_one(drop, name).await?;
        }
        Ok(done(Ast::Drop(drop.clone()).command()))
    }

    /// Foreign keys of tables that stay and refer to tables that go.
    async fn drop_keys_to_tables(&mut self, drop: &Drop) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let tables: Vec<_> = drop
            .names
            .iter()
            .filter_map(|name| match self.shared.relation(&catalog, name) {
                Some(Relation::Table(table)) => Some(table),
                _ => None,
            })
            .collect();
        let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
        self.drop_readers(&oids, None, drop.cascade).await?;
        self.drop_keys_to(&tables, drop.cascade).await
    }

    async fn drop_keys_to(&mut self, tables: &[Arc<crate::catalog::Table>], cascade: bool) -> Result<()> {
        for table in tables {
            let catalog = self.shared.current_catalog();
            let stays = |oid: u32| tables.iter().all(|going| going.oid != oid);
            let keys = catalog.references_to(table.oid).filter(|(child, ..)| stays(child.oid));
            let keys: Vec<_> = keys.map(|(_, _, key)| key.clone()).collect();
            let what = format!("table {}", table.name);
            self.drop_references(table, &what, cascade, |key| keys.contains(key)).await?;
        }
        Ok(())
    }

    async fn drop_one(&mut self, drop: &Drop, name: &Name) -> Result<()> {
        let catalog = self.shared.current_catalog();
        match drop.kind {
            ObjectKind::Extension => return self.drop_extension(name, drop),
            ObjectKind::Schema => return self.drop_schema(&catalog, name, drop).await,
            ObjectKind::Type => return self.drop_type(&catalog, name, drop).await,
            ObjectKind::Domain => return self.drop_domain(&catalog, name, drop).await,
            _ => {}
        }
        match (drop.kind, self.shared.relation(&catalog, name)) {
            (ObjectKind::Table, Some(Relation::Table(table))) if table.materialized.is_none() => {
                self.retry(|transaction| transaction.drop_table(table.oid)).await
            }
            (ObjectKind::Index, Some(Relation::Index(index))) => {
                if let Some(constraint) = index.constraint {
                    return Err(needed_by_constraint(&catalog, &index.name, index.table, constraint));
                }
                self.retry(|transaction| transaction.drop_index(index.oid)).await
            }
            (ObjectKind::Sequence, Some(Relation::Sequence(sequence))) => {
                self.drop_sequence(&catalog, &sequence, drop.cascade).await
            }
            (_, Some(found)) => Err(wrong_kind(drop.kind, name, &found)),
            (_, None) => self.missing(drop, name),
        }
    }

    pub(super) fn missing(&mut self, drop: &Drop, name: &Name) -> Result<()> {
        let noun = drop.kind.noun();
        let state = match drop.kind {
            ObjectKind::Index => SqlState::UNDEFINED_OBJECT,
            ObjectKind::Schema => SqlState::INVALID_SCHEMA_NAME,
            ObjectKind::Extension | ObjectKind::Type | ObjectKind::Domain => SqlState::UNDEFINED_OBJECT,
            _ => SqlState::UNDEFINED_TABLE,
        };
        if !drop.if_exists {
            return Err(Error::new(state, format!("{noun} \"{name}\" does not exist")));
        }
        let message = format!("{noun} \"{}\" does not exist, skipping", name.name);
        self.notice(Severity::Notice, Error::new(SqlState("00000"), message));
        Ok(())
    }

    async fn drop_sequence(&mut self, catalog: &Catalog, sequence: &Sequence, cascade: bool) -> Result<()> {
        let uses =
            |table: &crate::catalog::Table| table.columns.iter().any(|c| c.sequence == Some(sequence.oid));
        let users: Vec<_> = catalog.tables().filter(|table| uses(table)).cloned().collect();
        if let (Some(table), false) = (users.first(), cascade) {
            let message =
                format!("cannot drop sequence {} because other objects depend on it", sequence.name);
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .detail(format!(
                    "default value of a column of table {} depends on sequence {}",
                    table.name, sequence.name
                ))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let mut edits = vec![Edit::Delete(sequence.oid)];
        for table in users {
            let mut table = (*table).clone();
            for column in table.columns.iter_mut().filter(|column| column.sequence == Some(sequence.oid)) {
                column.sequence = None;
                column.default = None;
                column.identity = None;
            }
            edits.push(Edit::Put(crate::catalog::Object::Table(table)));
        }
        self.edit(edits).await
    }

    /// The extension is built in: it cannot go, and it is not said that it went.
    fn drop_extension(&mut self, name: &Name, drop: &Drop) -> Result<()> {
        match name.name.as_str() {
            "vector" | "plpgsql" => Err(Error::unsupported(format!(
                "dropping the extension \"{}\", which is built in,",
                name.name
            ))),
            _ => self.missing(drop, name),
        }
    }

    async fn drop_schema(&mut self, catalog: &Catalog, name: &Name, drop: &Drop) -> Result<()> {
        let Some(schema) = catalog.schema(&name.name).cloned() else { return self.missing(drop, name) };
        let tables: Vec<_> = catalog.tables().filter(|table| table.schema == name.name).cloned().collect();
        let sequences: Vec<_> = catalog.sequences().filter(|s| s.schema == name.name).cloned().collect();
        let views: Vec<_> = catalog.views().filter(|view| view.schema == name.name).cloned().collect();
        let functions: Vec<_> = catalog.functions().filter(|f| f.schema == name.name).cloned().collect();
        let domains: Vec<_> = catalog.domains().filter(|of| of.schema == name.name).cloned().collect();
        let enums: Vec<_> = catalog.enums().filter(|of| of.definition.schema == name.name).cloned().collect();
        let is_used = !tables.is_empty()
            || !sequences.is_empty()
            || !views.is_empty()
            || !functions.is_empty()
            || !enums.is_empty()
            || !domains.is_empty();
        if !drop.cascade && is_used {
            let message = format!("cannot drop schema {} because other objects depend on it", name.name);
            let first = tables.first().map(|table| format!("table {}.{}", name.name, table.name));
            let first =
                first.or_else(|| sequences.first().map(|s| format!("sequence {}.{}", name.name, s.name)));
            let first =
                first.or_else(|| views.first().map(|view| format!("view {}.{}", name.name, view.name)));
            let first = first
                .or_else(|| functions.first().map(|f| format!("function {}.{}", name.name, f.signature())));
            let first = first
                .or_else(|| domains.first().map(|of| format!("type {}.{}", name.name, of.name)))
                .or_else(|| enums.first().map(|of| format!("type {}.{}", name.name, of.definition.name)));
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .detail(format!("{} depends on schema {}", first.unwrap_or_default(), name.name))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let going = views.iter().map(|view| view.oid).chain(tables.iter().map(|table| table.oid));
        let going = going.chain(functions.iter().map(|function| function.oid));
        self.drop_readers(&going.collect::<Vec<_>>(), None, drop.cascade).await?;
        self.drop_keys_to(&tables, drop.cascade).await?;
        for view in views {
            self.edit(vec![Edit::Delete(view.oid)]).await?;
        }
        for table in tables {
            self.retry(|transaction| transaction.drop_table(table.oid)).await?;
        }
        for of in domains {
            self.remove_domain(&of, true).await?;
        }
        for of in enums {
            self.drop_enum(&of, true).await?;
        }
        let left = self.shared.current_catalog();
        let mut edits: Vec<Edit> =
            left.sequences().filter(|s| s.schema == name.name).map(|s| Edit::Delete(s.oid)).collect();
        edits.extend(functions.iter().map(|function| Edit::Delete(function.oid)));
        edits.push(Edit::Delete(schema.oid));
        self.edit(edits).await
    }
}

fn needed_by_constraint(catalog: &Catalog, index: &str, table: u32, constraint: u32) -> Error {
    let table = catalog.table_by_oid(table);
    let constraint = table.and_then(|table| table.constraint(constraint)).map_or("", |c| c.name.as_str());
    let table = table.map_or("", |table| table.name.as_str());
    let message =
        format!("cannot drop index {index} because constraint {constraint} on table {table} requires it");
    Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .hint(format!("You can drop constraint {constraint} on table {table} instead."))
}

pub fn wrong_kind(wanted: ObjectKind, name: &Name, found: &Relation) -> Error {
    let article = |noun: &str| if noun == "index" { "an" } else { "a" };
    let found = match found {
        Relation::Table(table) if table.materialized.is_some() => "materialized view",
        Relation::Table(_) => "table",
        Relation::View(_) => "view",
        Relation::Index(_) => "index",
        Relation::Sequence(_) => "sequence",
    };
    let noun = wanted.noun();
    let message = format!("\"{}\" is not {} {noun}", name.name, article(noun));
    Error::new(SqlState::WRONG_OBJECT_TYPE, message).hint(format!(
        "Use DROP {} to remove {} {found}.",
        found.to_uppercase(),
        article(found)
    ))
}
