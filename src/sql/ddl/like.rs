//! CREATE TABLE (LIKE ...): columns and what belongs to them, from a table that is there.

use std::sync::Arc;

use crate::catalog::{
    Catalog, Column, ColumnHints, ConstraintKind as StoredKind, Deferral, Edit, Identity, Object, Part,
    PartComment, Relation, Table,
};
use crate::error::{Error, Result, SqlState};
use crate::sql::dialect;
use crate::sql::session::Session;
use crate::sql::shared::undefined_relation;
use crate::sql::statement::{
    Ast, ColumnDefinition, ColumnType, ConstraintKind, CreateTable, IdentityKind, LikeClause, Name,
    SequenceOptions, TableConstraint,
};
use crate::sql::system::index_definition;

impl Session {
    /// The statement with the columns and constraints that its LIKE clauses stand for.
    pub(super) fn with_likes(&self, catalog: &Catalog, create: &CreateTable) -> Result<CreateTable> {
        let mut spelled = CreateTable { likes: Vec::new(), ..create.clone() };
        for (place, clause) in create.likes.iter().rev() {
            let (columns, constraints) = match self.shared.relation(catalog, &clause.source) {
                Some(Relation::Table(table) | Relation::Partition(table)) => copied(catalog, &table, clause),
                Some(Relation::View(view)) => {
                    let column = |column: &crate::catalog::ViewColumn| ColumnDefinition {
                        name: column.name.clone(),
                        ty: ColumnType::Plain(column.ty.clone()),
                        collation: None,
                        not_null: false,
                        default: None,
                        identity: None,
                        generated: None,
                        hints: ColumnHints::default(),
                    };
                    (view.columns.iter().map(column).collect(), Vec::new())
                }
                Some(_) => {
                    let message = format!("relation \"{}\" is invalid in LIKE clause", clause.source.name);
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
                }
                None => return Err(undefined_relation(&clause.source)),
            };
            spelled.columns.splice(*place..*place, columns);
            spelled.constraints.extend(constraints);
        }
        Ok(spelled)
    }

    /// Indexes and comments, once the table is there.
    pub(super) async fn finish_likes(&mut self, create: &CreateTable, schema: &str) -> Result<()> {
        for (_, clause) in &create.likes {
            let catalog = self.shared.current_catalog();
            let Some(Relation::Table(source)) = self.shared.relation(&catalog, &clause.source) else {
                continue;
            };
            if clause.indexes {
                self.copy_indexes(&catalog, &source, create, schema).await?;
            }
            if clause.comments {
                self.copy_comments(&source, create, schema).await?;
            }
        }
        Ok(())
    }

    async fn copy_indexes(
        &mut self,
        catalog: &Catalog,
        source: &Table,
        create: &CreateTable,
        schema: &str,
    ) -> Result<()> {
        for index in catalog.indexes_of(source.oid).filter(|index| index.constraint.is_none()) {
            let definition = index_definition(catalog, index, false, "")
                .ok_or_else(|| Error::internal("an index without a definition"))?;
            let parsed = dialect::parse(&definition)?.pop().map(|statement| statement.ast);
            let Some(Ast::CreateIndex(mut copy)) = parsed else {
                return Err(Error::internal(format!("{definition} is no index")));
            };
            copy.name = None;
            copy.table = named(create, schema);
            self.create_index(&copy).await?;
        }
        Ok(())
    }

    async fn copy_comments(&mut self, source: &Table, create: &CreateTable, schema: &str) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let Some(made) = catalog.table(schema, &create.name.name) else { return Ok(()) };
        let mut made = Table::clone(made);
        let comments = source.comments.iter().filter_map(|comment| {
            let part = match comment.part {
                Part::Column(number) => {
                    let name = &source.column_number(number)?.name;
                    Part::Column(made.column(name)?.number)
                }
                Part::Constraint(oid) => {
                    let name = &source.constraint(oid)?.name;
                    Part::Constraint(made.constraints.iter().find(|found| found.name == *name)?.oid)
                }
                Part::Index(_) => return None,
            };
            Some(PartComment { part, text: comment.text.clone() })
        });
        let comments: Vec<PartComment> = comments.collect();
        if comments.is_empty() {
            return Ok(());
        }
        made.comments.extend(comments);
        self.edit(vec![Edit::Put(Object::Table(made))]).await
    }
}

fn named(create: &CreateTable, schema: &str) -> Name {
    Name { schema: Some(schema.to_owned()), name: create.name.name.clone(), position: 0 }
}

fn copied(
    catalog: &Catalog,
    table: &Arc<Table>,
    clause: &LikeClause,
) -> (Vec<ColumnDefinition>, Vec<TableConstraint>) {
    let columns = table.columns.iter().map(|column| copied_column(catalog, column, clause)).collect();
    let names = |numbers: &[u16]| {
        let name = |number: &u16| table.column_number(*number).map(|column| column.name.clone());
        numbers.iter().filter_map(name).collect::<Vec<String>>()
    };
    let constraints = table.constraints.iter().filter_map(|constraint| match &constraint.kind {
        StoredKind::Check { sql } if clause.constraints => Some(TableConstraint {
            name: Some(constraint.name.clone()),
            kind: ConstraintKind::Check { sql: sql.clone(), no_inherit: constraint.no_inherit },
            included: Vec::new(),
            deferral: Deferral::Never,
        }),
        StoredKind::PrimaryKey { columns } if clause.indexes => Some(TableConstraint {
            name: None,
            kind: ConstraintKind::PrimaryKey(names(columns)),
            included: names(&constraint.included),
            deferral: constraint.deferral,
        }),
        StoredKind::Unique { columns, nulls_equal } if clause.indexes => Some(TableConstraint {
            name: None,
            kind: ConstraintKind::Unique { columns: names(columns), nulls_equal: *nulls_equal },
            included: names(&constraint.included),
            deferral: constraint.deferral,
        }),
        _ => None,
    });
    (columns, constraints.collect())
}

fn copied_column(catalog: &Catalog, column: &Column, clause: &LikeClause) -> ColumnDefinition {
    let identity = column.identity.filter(|_| clause.identity).map(|kind| {
        let options =
            column.sequence.and_then(|oid| catalog.sequence_by_oid(oid)).map(|sequence| SequenceOptions {
                start: Some(sequence.start),
                increment: Some(sequence.increment),
                min: Some(Some(sequence.min)),
                max: Some(Some(sequence.max)),
                cycle: Some(sequence.cycle),
                cache: Some(sequence.cache),
                ..SequenceOptions::default()
            });
        let kind = match kind {
            Identity::Always => IdentityKind::Always,
            Identity::ByDefault => IdentityKind::ByDefault,
        };
        (kind, options.unwrap_or_default())
    });
    let default = column.default.as_ref().filter(|_| clause.defaults);
    let generated = column.generated.as_ref().filter(|_| clause.generated);
    ColumnDefinition {
        name: column.name.clone(),
        ty: column.domain.map_or_else(|| ColumnType::Plain(column.ty.clone()), ColumnType::Domain),
        collation: column.collation.clone(),
        not_null: column.not_null,
        default: default.map(|default| default.sql.clone()),
        identity,
        generated: generated.map(|generated| generated.sql.clone()),
        hints: ColumnHints {
            storage: column.hints.storage.filter(|_| clause.storage),
            compression: column.hints.compression.filter(|_| clause.compression),
            ..ColumnHints::default()
        },
    }
}
