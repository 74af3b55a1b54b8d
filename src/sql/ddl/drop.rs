//! DROP.

use std::sync::Arc;

use crate::catalog::{Catalog, Edit, Relation, Sequence, Table};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::partition::oids_of_parts;
use crate::sql::ddl::partition_parts::set_part_defaults;
use crate::sql::ddl::view::{dependents, described, readers_of};
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::statement::{Ast, Drop, Name, ObjectKind};
use crate::types::Type;

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
            return self.drop_tables(drop).await;
        }
        for name in &drop.names {
            self.drop_one(drop, name).await?;
        }
        Ok(done(Ast::Drop(drop.clone()).command()))
    }

    /// DROP TABLE: names are looked up before the first of them goes, and each table goes once, partitions with the
    /// parent that goes.
    async fn drop_tables(&mut self, drop: &Drop) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        let mut tables: Vec<Arc<Table>> = Vec::new();
        for name in &drop.names {
            match self.shared.relation(&catalog, name) {
                Some(Relation::Table(table)) if table.materialized.is_none() => tables.push(table),
                Some(Relation::Partition(part)) => tables.push(part),
                Some(found) => return Err(wrong_kind(drop.kind, name, &found)),
                None => self.missing(drop, name)?,
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        tables.retain(|table| seen.insert(table.known_as()));
        tables.retain(|table| table.part.is_none() || !seen.contains(&table.oid));
        self.drop_keys_to_tables(&tables, drop).await?;
        for table in &tables {
            match table.part {
                None => self.retry(|transaction| transaction.drop_table(table.oid)).await?,
                Some(_) => self.drop_partition(table).await?,
            }
        }
        Ok(done(Ast::Drop(drop.clone()).command()))
    }

    /// Foreign keys of tables that stay and refer to tables that go.
    async fn drop_keys_to_tables(&mut self, tables: &[Arc<Table>], drop: &Drop) -> Result<()> {
        let parts = tables.iter().flat_map(|table| oids_of_parts(table));
        let oids: Vec<u32> = tables.iter().map(|table| table.known_as()).chain(parts).collect();
        self.drop_readers(&oids, None, drop.cascade).await?;
        let tables: Vec<_> = tables.iter().filter(|table| table.part.is_none()).cloned().collect();
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
            ObjectKind::Extension => return self.drop_extension(&catalog, name, drop).await,
            ObjectKind::Schema => return self.drop_schema(&catalog, name, drop).await,
            ObjectKind::Type => return self.drop_type(&catalog, name, drop).await,
            ObjectKind::Domain => return self.drop_domain(&catalog, name, drop).await,
            _ => {}
        }
        match (drop.kind, self.shared.relation(&catalog, name)) {
            (ObjectKind::Index, Some(Relation::Index(index))) => {
                if let Some(constraint) = index.constraint {
                    return Err(needed_by_constraint(&catalog, &index.name, index.table, constraint));
                }
                let table = catalog.table_by_oid(index.table);
                if drop.concurrently && table.is_some_and(|table| table.is_partitioned()) {
                    let message = format!("cannot drop partitioned index \"{}\" concurrently", index.name);
                    return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                self.retry(|transaction| transaction.drop_index(index.oid)).await
            }
            (ObjectKind::Index, Some(Relation::PartitionIndex(own))) => {
                Err(super::partition_parts::needed_by_parent(&catalog, &own))
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
        let uses = |table: &Table| table.columns.iter().any(|c| c.sequence == Some(sequence.oid));
        let users = catalog.tables().filter_map(|table| {
            let parts = self.parts_that_draw(table, sequence.oid);
            (uses(table) || !parts.is_empty()).then(|| (Arc::clone(table), parts))
        });
        let users: Vec<_> = users.collect();
        if let (Some((table, parts)), false) = (users.first(), cascade) {
            let own = table.columns.iter().find(|column| column.sequence == Some(sequence.oid));
            let own = own.map(|column| (&table.name, &column.name));
            let of_part = parts.first().and_then(|(part, number)| {
                let part = catalog.rows_by_oid(*part)?;
                Some((&part.name, &part.column_number(*number)?.name))
            });
            let (table, column) = own.or(of_part).unwrap_or((&table.name, &table.name));
            let name = &sequence.name;
            let message = format!("cannot drop sequence {name} because other objects depend on it");
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .detail(format!(
                    "default value for column {column} of table {table} depends on sequence {name}"
                ))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let mut edits = vec![Edit::Delete(sequence.oid)];
        for (table, parts) in users {
            let mut table = (*table).clone();
            set_part_defaults(&mut table, &parts, None);
            for column in table.columns.iter_mut().filter(|column| column.sequence == Some(sequence.oid)) {
                column.sequence = None;
                column.default = None;
                column.identity = None;
            }
            edits.push(Edit::Put(crate::catalog::Object::Table(table)));
        }
        self.edit(edits).await
    }

    async fn drop_schema(&mut self, catalog: &Catalog, name: &Name, drop: &Drop) -> Result<()> {
        let Some(schema) = catalog.schema(&name.name).cloned() else { return self.missing(drop, name) };
        let tables: Vec<_> = catalog.tables().filter(|table| table.schema == name.name).cloned().collect();
        // Those of tables that stay.
        let stays = |oid: u32| tables.iter().all(|table| table.oid != oid);
        let parts = catalog.parts().filter(|part| part.schema == name.name && stays(part.oid));
        let parts: Vec<_> = parts.cloned().collect();
        let sequences: Vec<_> = catalog.sequences().filter(|s| s.schema == name.name).cloned().collect();
        let views: Vec<_> = catalog.views().filter(|view| view.schema == name.name).cloned().collect();
        let functions: Vec<_> = catalog.functions().filter(|f| f.schema == name.name).cloned().collect();
        let domains: Vec<_> = catalog.domains().filter(|of| of.schema == name.name).cloned().collect();
        // Multiranges go with their ranges.
        let mut types: Vec<Type> = Vec::new();
        for ty in catalog.types_in(&name.name) {
            let ty = if let Type::Multirange(of) = ty { Type::Range(of) } else { ty };
            if !types.contains(&ty) {
                types.push(ty);
            }
        }
        let shown = |noun: &str, object: &str| format!("{noun} {}.{object}", name.name);
        let table = |table: &Arc<Table>| {
            let noun = if table.materialized.is_some() { "materialized view" } else { "table" };
            (table.known_as(), shown(noun, &table.name))
        };
        // A sequence of a table's column goes with the table.
        let is_free = |s: &&Arc<Sequence>| s.owned_by.is_none_or(|(table, _)| stays(table));
        let mut members: Vec<(u32, String)> = tables.iter().chain(&parts).map(table).collect();
        members.extend(sequences.iter().filter(is_free).map(|s| (s.oid, shown("sequence", &s.name))));
        members.extend(views.iter().map(|view| (view.oid, shown("view", &view.name))));
        members.extend(functions.iter().map(|f| (f.oid, shown("function", &f.signature()))));
        members.extend(domains.iter().map(|of| (of.oid, shown("type", &of.name))));
        members.extend(types.iter().map(|of| (of.oid(), shown("type", &of.catalog_name()))));
        let extensions: Vec<_> = catalog.extensions().filter(|of| of.schema == name.name).cloned().collect();
        members.extend(extensions.iter().map(|of| (of.oid, format!("extension {}", of.name))));
        // In the order in which they were made.
        members.sort_unstable();
        let members: Vec<String> = members.into_iter().map(|(_, shown)| shown).collect();
        if !drop.cascade && !members.is_empty() {
            let message = format!("cannot drop schema {} because other objects depend on it", name.name);
            let lines: Vec<String> =
                members.iter().map(|member| format!("{member} depends on schema {}", name.name)).collect();
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .detail(dependents(&lines))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let going = views.iter().map(|view| view.oid).chain(tables.iter().map(|table| table.oid));
        let going = going.chain(parts.iter().map(|part| part.known_as()));
        let going = going.chain(tables.iter().flat_map(|table| oids_of_parts(table)));
        let going = going.chain(functions.iter().map(|function| function.oid));
        let readers = readers_of(catalog, &going.collect::<Vec<_>>(), None);
        let outside = readers.iter().map(|reading| described(catalog, reading.reader));
        self.tell_cascade(members.into_iter().chain(outside).collect());
        self.drop_each(&readers).await?;
        self.drop_keys_to(&tables, drop.cascade).await?;
        for view in views {
            self.edit(vec![Edit::Delete(view.oid)]).await?;
        }
        for part in parts {
            self.drop_partition(&part).await?;
        }
        for table in tables {
            self.retry(|transaction| transaction.drop_table(table.oid)).await?;
        }
        for of in domains {
            self.remove_domain(&of, true).await?;
        }
        for of in types {
            self.drop_named_type(&of, true).await?;
        }
        for of in &extensions {
            self.drop_of_extension(of, true).await?;
        }
        let left = self.shared.current_catalog();
        for sequence in left.sequences().filter(|sequence| sequence.schema == name.name) {
            let now = self.shared.current_catalog();
            self.drop_sequence(&now, sequence, true).await?;
        }
        let mut edits: Vec<Edit> = functions.iter().map(|function| Edit::Delete(function.oid)).collect();
        edits.extend(extensions.iter().map(|extension| Edit::Delete(extension.oid)));
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
        Relation::Table(_) | Relation::Partition(_) => "table",
        Relation::View(_) => "view",
        Relation::Index(_) | Relation::PartitionIndex(_) => "index",
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
