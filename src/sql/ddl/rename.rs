//! ALTER ... RENAME TO and SET SCHEMA, of whatever has a name.

use std::sync::Arc;

use crate::catalog::{
    Catalog, DefaultExpr, Edit, Function, Index, Object, Relation, Schema, Sequence, Table, View,
};
use crate::error::{Error, Result, SqlState};
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::shared::undefined_relation;
use crate::sql::statement::{Ast, Name, ObjectKind};
use crate::sql::system::qualified;

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
        let schema = match &found {
            Relation::Table(table) => table.schema.clone(),
            Relation::Sequence(sequence) => sequence.schema.clone(),
            Relation::Index(index) => catalog.schema_of_index(index).to_string(),
            Relation::View(view) => view.schema.clone(),
        };
        if let Relation::Table(table) = &found {
            self.refuse_read(table.oid, None, "renaming a table")?;
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
            Relation::Sequence(sequence) => {
                edits.push(Object::Sequence(crate::catalog::Sequence {
                    name: to.into(),
                    ..(*sequence).clone()
                }));
                edits.extend(renamed_defaults(&catalog, sequence.oid, &schema, to));
            }
            Relation::View(view) => {
                self.refuse_read(view.oid, None, "renaming a view")?;
                edits.push(Object::View(View { name: to.into(), ..(*view).clone() }));
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
        for table in catalog.tables().filter(|table| table.schema == name) {
            self.refuse_read(table.oid, None, "renaming the schema of a table")?;
        }
        let mut edits = vec![Object::Schema(Schema { name: to.into(), ..(**schema).clone() })];
        for view in catalog.views().filter(|view| view.schema == name) {
            self.refuse_read(view.oid, None, "renaming the schema of a view")?;
            edits.push(Object::View(View { schema: to.into(), ..(**view).clone() }));
        }
        for function in catalog.functions().filter(|function| function.schema == name) {
            self.refuse_read(function.oid, None, "renaming the schema of a function")?;
            edits.push(Object::Function(Function { schema: to.into(), ..(**function).clone() }));
        }
        for table in catalog.tables().filter(|table| table.schema == name) {
            edits.push(Object::Table(Table { schema: to.into(), ..(**table).clone() }));
        }
        let moved: Vec<&Arc<Sequence>> = catalog.sequences().filter(|s| s.schema == name).collect();
        for sequence in &moved {
            edits.push(Object::Sequence(Sequence { schema: to.into(), ..(***sequence).clone() }));
        }
        self.move_defaults(catalog, &moved, to, &mut edits);
        self.edit(edits.into_iter().map(Edit::Put).collect()).await?;
        Ok(done("ALTER SCHEMA"))
    }

    /// Defaults that draw from sequences which move to another schema.
    fn move_defaults(&self, catalog: &Catalog, moved: &[&Arc<Sequence>], to: &str, edits: &mut Vec<Object>) {
        for sequence in moved {
            for object in renamed_defaults(catalog, sequence.oid, to, &sequence.name) {
                let Object::Table(renamed) = object else { continue };
                let known = edits.iter_mut().find_map(|edit| match edit {
                    Object::Table(table) if table.oid == renamed.oid => Some(table),
                    _ => None,
                });
                match known {
                    Some(table) => {
                        for (column, new) in table.columns.iter_mut().zip(renamed.columns) {
                            if column.sequence == Some(sequence.oid) {
                                column.default = new.default;
                            }
                        }
                    }
                    None => edits.push(Object::Table(renamed)),
                }
            }
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
            Relation::Index(index) => {
                let message = format!("\"{}\" is an index", index.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
        }
        for sequence in &moved {
            edits.push(Object::Sequence(Sequence { schema: schema.into(), ..(***sequence).clone() }));
        }
        self.move_defaults(&catalog, &moved, schema, &mut edits);
        self.edit(edits.into_iter().map(Edit::Put).collect()).await?;
        Ok(done(tag))
    }
}

fn refuse_taken(catalog: &Catalog, schema: &str, name: &str) -> Result<()> {
    if catalog.relation(schema, name).is_none() {
        return Ok(());
    }
    let message = format!("relation \"{name}\" already exists in schema \"{schema}\"");
    Err(Error::new(SqlState::DUPLICATE_TABLE, message))
}

/// Tables whose defaults name a sequence, with its new name in them.
fn renamed_defaults<'a>(
    catalog: &'a crate::catalog::Catalog,
    sequence: u32,
    schema: &'a str,
    to: &'a str,
) -> impl Iterator<Item = Object> + 'a {
    let uses =
        move |table: &&Arc<Table>| table.columns.iter().any(|column| column.sequence == Some(sequence));
    catalog.tables().filter(uses).map(move |table| {
        let mut table = (**table).clone();
        for column in table.columns.iter_mut().filter(|column| column.sequence == Some(sequence)) {
            if column.default.is_some() {
                let sql = format!("nextval('{}'::regclass)", qualified(schema, to).replace('\'', "''"));
                column.default = Some(DefaultExpr { sql });
            }
        }
        Object::Table(table)
    })
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
