//! READ ONLY: what a transaction refuses (25006). Temporary tables, which nobody else sees, may be written all the same,
//! and their sequences drawn from.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, FromTable, TableFactor, TableObject, TableWithJoins};

use crate::catalog::{Catalog, Oid, Relation};
use crate::error::{Error, Result, SqlState};
use crate::sql::session::Session;
use crate::sql::settings::id;
use crate::sql::shared::Shared;
use crate::sql::statement::{Ast, CopySource, Name};
use crate::sql::visit;
use crate::sql::words::object_name;

impl Session {
    /// 25006 for a statement that writes, in a transaction that does not.
    pub(super) fn refuse_writes(&self, ast: &Ast) -> Result<()> {
        if !ast.writes() || !self.is_read_only() || self.writes_temporary(ast) {
            return Ok(());
        }
        let command = match ast {
            Ast::Explain(explain) => explain.statement.command(),
            ast => ast.command(),
        };
        Err(refused(command))
    }

    /// Whether all that a statement changes or locks is of temporary tables.
    fn writes_temporary(&self, ast: &Ast) -> bool {
        let factor = |factor: &TableFactor| match factor {
            TableFactor::Table { name, .. } => self.is_temporary(&object_name(name)),
            _ => false,
        };
        let table = |table: &TableWithJoins| factor(&table.relation);
        match ast {
            Ast::Insert(insert, _) => match &insert.table {
                TableObject::TableName(name) => self.is_temporary(&object_name(name)),
                _ => false,
            },
            Ast::Update(update) => table(&update.table),
            Ast::Delete(delete) => match &delete.from {
                FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables) => {
                    tables.iter().all(table)
                }
            },
            Ast::Merge(merge) => factor(&merge.table),
            Ast::Copy(copy) => match &copy.source {
                CopySource::Table { name, .. } => self.is_temporary(name),
                CopySource::Rows(ast) => self.writes_temporary(ast),
            },
            Ast::Query(query) => self.reads_temporary(query),
            Ast::Staged(staged) => {
                let parts = staged.parts.iter().map(|part| &part.statement).chain([&staged.main]);
                parts.filter(|part| part.writes()).all(|part| self.writes_temporary(part))
            }
            Ast::Explain(explain) => self.writes_temporary(&explain.statement),
            _ => false,
        }
    }

    /// Whether all relations of a query that locks rows are temporary.
    fn reads_temporary(&self, query: &ast::Query) -> bool {
        let other = visit::relations(query, |name| match self.is_temporary(&object_name(name)) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        });
        other.is_continue()
    }

    fn is_temporary(&self, name: &Name) -> bool {
        let catalog = self.shared.current_catalog();
        let relation = self.shared.relation(&catalog, name);
        relation.is_some_and(|relation| self.shared.is_temporary(&catalog, &relation))
    }
}

impl Shared {
    /// Whether nobody else sees the rows of a relation: those of a view are of what it reads.
    fn is_temporary(&self, catalog: &Catalog, relation: &Relation) -> bool {
        let of = |oid: Oid| match catalog.relation_by_oid(oid) {
            Some(relation) => self.is_temporary(catalog, &relation),
            None => true,
        };
        catalog.schema_of(relation) == self.temporary_schema()
            && match relation {
                Relation::View(view) => view.query.uses.iter().all(|used| of(used.relation)),
                _ => true,
            }
    }

    /// 25006 for a command in a transaction that does not write.
    pub fn check_writable(&self, command: &str) -> Result<()> {
        match self.settings.lock().bool(id::TRANSACTION_READ_ONLY) {
            true => Err(refused(command)),
            false => Ok(()),
        }
    }

    /// The same for a function that changes a sequence, unless that is temporary.
    pub fn check_sequence(&self, sequence: Oid, function: &str) -> Result<()> {
        self.check_writable(function).or_else(|error| {
            let catalog = self.current_catalog();
            match catalog.sequence_by_oid(sequence) {
                Some(sequence) if sequence.schema == self.temporary_schema() => Ok(()),
                _ => Err(error),
            }
        })
    }
}

fn refused(command: &str) -> Error {
    let message = format!("cannot execute {command} in a read-only transaction");
    Error::new(SqlState::READ_ONLY_SQL_TRANSACTION, message)
}
