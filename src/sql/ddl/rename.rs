//! ALTER ... RENAME TO and SET SCHEMA, of whatever has a name.

use std::sync::Arc;

use crate::catalog::{
    Catalog, Edit, Extension, Function, Index, Object, Relation, Schema, Sequence, Table, View,
};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::partition_parts::{nextval_of, set_part_defaults};
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::shared::undefined_relation;
use crate::sql::statement::{Ast, Name, ObjectKind};

impl Session {
    pub(super) async fn rename(
        &mut self,
        kind: ObjectKind,
        name: &Name,
        if_exists: bool,
        to: &str,
    ) -> Result<Response> {
        let tag = Ast::Rename { kind, name: name.clone(), if_exists, to: to.into() }.command();
        let catalog = self.shared.current_catalog();
        if kind == ObjectKind::Schema {
            return self.rename_schema(&catalog, &name.name, to).await;
        }
        let Some(found) = self.shared.relation(&catalog, name) else {
            if !if_exists {
                return Err(undefined_relation(name));
            }
            let message = format!("relation \"{}\" does not exist, skipping", name.name);
            self.notice(Severity::Notice, Error::new(SqlState("00000"), message));
            return Ok(done(tag));
        };
        check_kind(kind, name, &found)?;
        let schema = catalog.schema_of(&found).to_owned();
        if let Relation::Table(table) | Relation::Partition(table) = &found {
            self.refuse_read(table.known_as(), None, "renaming a table")?;
        }
        if catalog.relation(&schema, to).is_some() {
            let message = format!("relation \"{to}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
        }
        let mut edits = Vec::new();
        match found {
            Relation::Table(table) => {
                edits.push(Object::Table(Table { name: to.into(), ..(*table).clone() }))
            }
            Relation::Partition(part) => {
                let parent = catalog.table_by_oid(part.oid).ok_or_else(|| undefined_relation(name))?;
                let renamed = parent.with_partition(part.known_as(), |part| part.name = to.into());
                edits.push(Object::Table(renamed));
            }
            Relation::Sequence(sequence) => {
                edits.push(Object::Sequence(crate::catalog::Sequence {
                    name: to.into(),
                    ..(*sequence).clone()
                }));
                self.rename_in_defaults(&catalog, &sequence, (&schema, to), &mut edits);
            }
            Relation::View(view) => {
                self.refuse_read(view.oid, None, "renaming a view")?;
                edits.push(Object::View(View { name: to.into(), ..(*view).clone() }));
            }
            Relation::PartitionIndex(own) => {
                let parent = super::partition_parts::parent_of_index(&catalog, &own)?;
                edits.push(Object::Table(parent.with_partition(own.table, |part| {
                    for index in part.indexes.iter_mut().filter(|index| index.oid == own.oid) {
                        index.name = to.into();
                    }
                })));
            }
            Relation::Index(index) => {
                if let Some(constraint) = index.constraint {
                    edits.extend(renamed_constraint(&catalog, index.table, constraint, to));
                }
                edits.push(Object::Index(Index { name: to.into(), ..(*index).clone() }));
            }
        }
        self.edit(edits.into_iter().map(Edit::Put).collect()).await?;
        Ok(done(tag))
    }
}

/// 3F000 when there is no schema of this name.
pub(super) fn check_schema(catalog: &Catalog, name: &str) -> Result<()> {
    match catalog.schema(name) {
        Some(_) => Ok(()),
        None => Err(Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))),
    }
}

impl Session {
    async fn rename_schema(&mut self, catalog: &Catalog, name: &str, to: &str) -> Result<Response> {
        let Some(schema) = catalog.schema(name) else {
            let message = format!("schema \"{name}\" does not exist");
            return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message));
        };
        self.check_new_schema(catalog, to)?;
        for table in catalog.tables_and_parts().filter(|table| table.schema == name) {
            self.refuse_read(table.known_as(), None, "renaming the schema of a table")?;
        }
        let has_types =
            catalog.types_in(name).next().is_some() || catalog.domains().any(|domain| domain.schema == name);
        if has_types {
            return Err(Error::unsupported("renaming the schema of a type"));
        }
        let mut edits = vec![Object::Schema(Schema { name: to.into(), ..(**schema).clone() })];
        for extension in catalog.extensions().filter(|extension| extension.schema == name) {
            edits.push(Object::Extension(Extension { schema: to.into(), ..(**extension).clone() }));
        }
        for view in catalog.views().filter(|view| view.schema == name) {
            self.refuse_read(view.oid, None, "renaming the schema of a view")?;
            edits.push(Object::View(View { schema: to.into(), ..(**view).clone() }));
        }
        for function in catalog.functions().filter(|function| function.schema == name) {
            self.refuse_read(function.oid, None, "renaming the schema of a function")?;
            edits.push(Object::Function(Function { schema: to.into(), ..(**function).clone() }));
        }
        for table in catalog.tables().filter(|table| table.lies_in(name)) {
            edits.push(Object::Table(table.with_schema_renamed(name, to)));
        }
        let moved: Vec<&Arc<Sequence>> = catalog.sequences().filter(|s| s.schema == name).collect();
        for sequence in &moved {
            edits.push(Object::Sequence(Sequence { schema: to.into(), ..(***sequence).clone() }));
        }
        for sequence in &moved {
            self.rename_in_defaults(catalog, sequence, (to, &sequence.name), &mut edits);
        }
        self.edit(edits.into_iter().map(Edit::Put).collect()).await?;
        Ok(done("ALTER SCHEMA"))
    }

    /// Lets the defaults of tables, which may be among the edits, and of partitions name a sequence as it is called from
    /// here on.
    fn rename_in_defaults(
        &self,
        catalog: &Catalog,
        sequence: &Sequence,
        (schema, name): (&str, &str),
        edits: &mut Vec<Object>,
    ) {
        let default = nextval_of(schema, name);
        for table in catalog.tables() {
            let parts = self.parts_that_draw(table, sequence.oid);
            if parts.is_empty() && table.columns.iter().all(|column| column.sequence != Some(sequence.oid)) {
                continue;
            }
            let known =
                edits.iter().position(|edit| matches!(edit, Object::Table(known) if known.oid == table.oid));
            let known = known.unwrap_or_else(|| {
                edits.push(Object::Table((**table).clone()));
                edits.len() - 1
            });
            let Object::Table(altered) = &mut edits[known] else { continue };
            for column in altered.columns.iter_mut().filter(|column| column.sequence == Some(sequence.oid)) {
                if column.default.is_some() {
                    column.default = Some(default.clone());
                }
            }
            set_part_defaults(altered, &parts, Some(&default));
        }
    }

    /// ALTER ... SET SCHEMA: indexes and owned sequences go along.
    pub(super) async fn set_schema(
        &mut self,
        kind: ObjectKind,
        name: &Name,
        if_exists: bool,
        schema: &str,
    ) -> Result<Response> {
        let statement = Ast::SetSchema { kind, name: name.clone(), if_exists, schema: schema.into() };
        let tag = statement.command();
        let catalog = self.shared.current_catalog();
        let Some(found) = self.shared.relation(&catalog, name) else {
            if !if_exists {
                return Err(undefined_relation(name));
            }
            let message = format!("relation \"{}\" does not exist, skipping", name.name);
            self.notice(Severity::Notice, Error::new(SqlState("00000"), message));
            return Ok(done(tag));
        };
        check_kind(kind, name, &found)?;
        check_schema(&catalog, schema)?;
        let mut edits = Vec::new();
        let mut moved: Vec<&Arc<Sequence>> = Vec::new();
        let sequence;
        match found {
            Relation::View(view) if view.schema == schema => return Ok(done(tag)),
            Relation::View(view) => {
                self.refuse_read(view.oid, None, "moving a view")?;
                refuse_taken(&catalog, schema, &view.name)?;
                edits.push(Object::View(View { schema: schema.into(), ..(*view).clone() }));
            }
            Relation::Table(table) if table.schema == schema => return Ok(done(tag)),
            Relation::Table(table) => {
                self.refuse_read(table.oid, None, "moving a table")?;
                let indexes = catalog.indexes_of(table.oid).map(|index| &index.name);
                moved.extend(catalog.sequences_owned_by(table.oid));
                let names = indexes.chain(moved.iter().map(|sequence| &sequence.name)).chain([&table.name]);
                for name in names {
                    refuse_taken(&catalog, schema, name)?;
                }
                edits.push(Object::Table(Table { schema: schema.into(), ..(*table).clone() }));
            }
            Relation::Partition(part) if part.schema == schema => return Ok(done(tag)),
            Relation::Partition(part) => {
                self.refuse_read(part.known_as(), None, "moving a table")?;
                refuse_taken(&catalog, schema, &part.name)?;
                let parent = catalog.table_by_oid(part.oid).ok_or_else(|| undefined_relation(name))?;
                let moved = parent.with_partition(part.known_as(), |part| part.schema = schema.into());
                edits.push(Object::Table(moved));
            }
            Relation::Sequence(found) if found.schema == schema => return Ok(done(tag)),
            Relation::Sequence(found) => {
                if found.owned_by.is_some() {
                    let message = "cannot move an owned sequence into another schema";
                    return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                refuse_taken(&catalog, schema, &found.name)?;
                sequence = found;
                moved.push(&sequence);
            }
            Relation::Index(index) | Relation::PartitionIndex(index) => {
                let message = format!("\"{}\" is an index", index.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
        }
        for sequence in &moved {
            edits.push(Object::Sequence(Sequence { schema: schema.into(), ..(***sequence).clone() }));
        }
        for sequence in &moved {
            self.rename_in_defaults(&catalog, sequence, (schema, &sequence.name), &mut edits);
        }
        self.edit(edits.into_iter().map(Edit::Put).collect()).await?;
        Ok(done(tag))
    }
}

/// 42809 when what is called a view or a sequence is none. ALTER TABLE and ALTER INDEX take whatever has the name.
pub(super) fn check_kind(kind: ObjectKind, name: &Name, found: &Relation) -> Result<()> {
    let (fits, what) = match kind {
        ObjectKind::View => (matches!(found, Relation::View(_)), "a view"),
        ObjectKind::Sequence => (matches!(found, Relation::Sequence(_)), "a sequence"),
        ObjectKind::MaterializedView => {
            let fits = matches!(found, Relation::Table(table) if table.materialized.is_some());
            (fits, "a materialized view")
        }
        _ => return Ok(()),
    };
    match fits {
        true => Ok(()),
        false => Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not {what}", name.name))),
    }
}

fn refuse_taken(catalog: &Catalog, schema: &str, name: &str) -> Result<()> {
    if catalog.relation(schema, name).is_none() {
        return Ok(());
    }
    let message = format!("relation \"{name}\" already exists in schema \"{schema}\"");
    Err(Error::new(SqlState::DUPLICATE_TABLE, message))
}

fn renamed_constraint(
    catalog: &crate::catalog::Catalog,
    table: u32,
    constraint: u32,
    to: &str,
) -> Option<Object> {
    let mut table = (**catalog.table_by_oid(table)?).clone();
    table.constraints.iter_mut().find(|found| found.oid == constraint)?.name = to.into();
    Some(Object::Table(table))
}
