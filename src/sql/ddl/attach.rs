//! ATTACH PARTITION and DETACH PARTITION: a table of its own becomes part of another, and the other way round.
//!
//! Rows lie where their table's files are, so they are copied, within the transaction. While they are, the partition
//! and its indexes have other names, made of their oids:
//!
//! ```text
//! ATTACH  the parent gets the partition "\u{1}oid"   rows of the table into the parent   the table goes   the name changes
//! DETACH  the partition becomes "\u{1}oid"   CREATE TABLE name (LIKE parent)   rows into it   the partition goes
//! ```

use std::sync::Arc;

use crate::catalog::{
    ConstraintKind, Edit, ForeignKey, Index, Object, Partition, PartitionBound, PartitionIndex, Relation,
    Table,
};
use crate::error::{Error, Result, SqlState};
use crate::sql::dialect;
use crate::sql::dml::insert::InsertPlan;
use crate::sql::partition_words::Bound;
use crate::sql::partitions::condition_sql;
use crate::sql::session::Session;
use crate::sql::shared::undefined_relation;
use crate::sql::statement::{Ast, Name, Overriding};
use crate::sql::system::{qualified, quote_ident};

/// The name of a partition or an index that is on its way. No statement before the transaction's end sees it.
fn aside(oid: u32) -> String {
    format!("\u{1}{oid}")
}

impl Session {
    pub(super) async fn attach_partition(
        &mut self,
        parent: &Table,
        name: &Name,
        bound: &Bound,
    ) -> Result<()> {
        if !parent.is_partitioned() {
            return Err(not_partitioned(parent));
        }
        self.refuse_old_snapshot("ATTACH PARTITION")?;
        let child = self.table_to_attach(parent, name).await?;
        let catalog = self.shared.current_catalog();
        let parent = catalog.table_by_oid(parent.oid).ok_or_else(|| undefined_relation(name))?;
        fits(&child, parent)?;
        self.refuse_own_things(&child, parent)?;
        self.start_statement()?;
        let mut defaults = own_defaults(&child, parent);
        for default in defaults.iter_mut().filter_map(|(_, default)| default.as_mut()) {
            *default = self.fixed_default(&default.sql)?;
        }
        let partition = Partition {
            oid: self.new_oid()?,
            schema: child.schema.clone(),
            name: child.name.clone(),
            bound: self.partition_bound(parent, &name.name, bound)?,
            defaults,
            comment: child.comment.clone(),
            indexes: Vec::new(),
            options: child.options.clone(),
        };
        let oid = partition.oid;
        let temporary = Partition { name: aside(oid), ..partition.clone() };
        let own = self.own_indexes(&child, parent)?;
        super::partition::refuse_overlap(parent, &partition)?;
        self.refuse_foreign_rows(&child, parent, &partition).await?;
        self.add_partition(parent, temporary).await?;
        let from = qualified(&child.schema, &child.name);
        self.move_rows(&from, &qualified(&parent.schema, &parent.name), parent).await?;
        self.retry(|transaction| transaction.drop_table(child.oid)).await?;
        let catalog = self.shared.current_catalog();
        let Some(parent) = catalog.table_by_oid(parent.oid) else { return Ok(()) };
        let named = parent.with_partition(oid, |part| {
            part.name.clone_from(&child.name);
            part.indexes = own;
        });
        self.put(named).await
    }

    /// The table's indexes that are its parent's too, under the names they have.
    fn own_indexes(&mut self, child: &Table, parent: &Table) -> Result<Vec<PartitionIndex>> {
        let catalog = self.shared.current_catalog();
        let mut own: Vec<PartitionIndex> = Vec::new();
        for index in catalog.indexes_of(child.oid) {
            let free = |of: &&Arc<Index>| own.iter().all(|known| known.of != of.oid);
            let alike = |of: &&Arc<Index>| same_index(index, child, of, parent);
            let of = catalog.indexes_of(parent.oid).filter(free).find(alike).map(|of| of.oid);
            if let Some(of) = of {
                own.push(PartitionIndex { oid: self.new_oid()?, name: index.name.clone(), of });
            }
        }
        Ok(own)
    }

    /// The table that becomes a partition, locked.
    async fn table_to_attach(&mut self, parent: &Table, name: &Name) -> Result<Arc<Table>> {
        let catalog = self.shared.current_catalog();
        let wrong = |message: String| Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        let child = match self.shared.relation(&catalog, name) {
            Some(Relation::Table(table)) if table.materialized.is_none() => table,
            Some(Relation::Partition(_)) => {
                return wrong(format!("\"{}\" is already a partition", name.name));
            }
            Some(_) => return wrong(format!("\"{}\" is not a table", name.name)),
            None => return Err(undefined_relation(name)),
        };
        if child.oid == parent.oid {
            let message = "circular inheritance not allowed";
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message)
                .detail(format!("\"{}\" is already a child of \"{}\".", parent.name, child.name)));
        }
        if child.is_partitioned() {
            return Err(Error::unsupported("a partition that is partitioned"));
        }
        if child.temporary.is_some() != parent.temporary.is_some() {
            return Err(Error::unsupported(
                "a temporary table among partitions that are not, or the other way",
            ));
        }
        self.retry(|transaction| transaction.lock_table(child.oid)).await?;
        let catalog = self.shared.current_catalog();
        catalog.table_by_oid(child.oid).cloned().ok_or_else(|| undefined_relation(name))
    }

    /// What a partition cannot have for itself here.
    fn refuse_own_things(&self, child: &Table, parent: &Table) -> Result<()> {
        let catalog = self.shared.current_catalog();
        self.refuse_read(child.oid, None, "attaching a table")?;
        if catalog.references_to(child.oid).next().is_some() {
            return Err(Error::unsupported("a foreign key that refers to a partition"));
        }
        if catalog.sequences_owned_by(child.oid).next().is_some() {
            return Err(Error::unsupported("attaching a table that owns a sequence"));
        }
        for constraint in &child.constraints {
            if matches!(constraint.kind, ConstraintKind::NotNull { .. }) {
                continue;
            }
            let wanted = as_of(child, parent, &constraint.kind);
            if !parent.constraints.iter().any(|known| Some(&known.kind) == wanted.as_ref()) {
                let name = &constraint.name;
                return Err(Error::unsupported(format!("a constraint of one partition alone (\"{name}\")")));
            }
        }
        let mut alone = catalog.indexes_of(child.oid).filter(|index| index.constraint.is_none());
        match alone
            .find(|index| !catalog.indexes_of(parent.oid).any(|of| same_index(index, child, of, parent)))
        {
            None => Ok(()),
            Some(index) => {
                Err(Error::unsupported(format!("an index of one partition alone (\"{}\")", index.name)))
            }
        }
    }

    /// 23514 when the table has rows that the partition would not.
    async fn refuse_foreign_rows(&mut self, child: &Table, parent: &Table, new: &Partition) -> Result<()> {
        let column = super::partition::key_column(parent)?;
        let by = parent.partitioning.as_ref().filter(|_| new.bound == PartitionBound::Default);
        let (keys, others) = match by {
            Some(by) => (by.taken(&column.ty, false), true),
            None => (new.bound.keys(&column.ty), false),
        };
        let inside = condition_sql(&quote_ident(&column.name), &keys).unwrap_or_else(|| "false".into());
        // A NULL that is not listed is outside.
        let outside = if others { inside } else { format!("({inside}) IS NOT TRUE") };
        let sql = format!("SELECT count(*) FROM {} WHERE {outside}", qualified(&child.schema, &child.name));
        if self.count(&sql).await? == 0 {
            return Ok(());
        }
        let message = format!("partition constraint of relation \"{}\" is violated by some row", child.name);
        Err(Error::new(SqlState::CHECK_VIOLATION, message).table(&child.schema, &child.name))
    }

    /// INSERT INTO ... SELECT of all columns of `table` that can be written.
    async fn move_rows(&mut self, from: &str, to: &str, table: &Table) -> Result<()> {
        let columns = table.columns.iter().filter(|column| column.generated.is_none());
        let columns = columns.map(|column| quote_ident(&column.name)).collect::<Vec<_>>().join(", ");
        if columns.is_empty() {
            return Err(Error::unsupported("moving rows without columns"));
        }
        let sql = format!("INSERT INTO {to} ({columns}) SELECT {columns} FROM {from}");
        let Some(Ast::Insert(insert, _)) = dialect::parse(&sql)?.pop().map(|statement| statement.ast) else {
            return Err(Error::internal("a fixed INSERT did not parse"));
        };
        self.start_statement()?;
        let plan = {
            let catalog = self.shared.current_catalog();
            let schemas = self.shared.schemas(&catalog);
            let environment = self.shared.environment();
            let context = self.plan_context(&environment, &catalog, &schemas);
            Arc::new(InsertPlan::new(&insert, Overriding::System, &[], &context, &self.shared)?)
        };
        self.insert(&plan, &[]).await.map(drop)
    }

    /// Gives a partition and its indexes names that are in nobody's way.
    async fn put_aside(&mut self, parent: u32, oid: u32) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let Some(parent) = catalog.table_by_oid(parent) else { return Ok(()) };
        let put_aside = parent.with_partition(oid, |part| {
            part.name = aside(part.oid);
            part.indexes.iter_mut().for_each(|index| index.name = aside(index.oid));
        });
        self.put(put_aside).await
    }

    /// Gives the indexes of a table that was a partition the names they had.
    async fn keep_index_names(
        &mut self,
        made: &mut Table,
        parent: &Table,
        names: &[PartitionIndex],
    ) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let mut left: Vec<&Arc<Index>> = catalog.indexes_of(made.oid).collect();
        let mut edits = Vec::new();
        for PartitionIndex { name, of, .. } in names {
            let Some(of) = catalog.index_by_oid(*of) else { continue };
            let Some(at) = left.iter().position(|index| same_index(index, made, of, parent)) else {
                continue;
            };
            let index = left.swap_remove(at);
            let constraint = index.constraint;
            if let Some(own) = made.constraints.iter_mut().find(|own| Some(own.oid) == constraint) {
                own.name.clone_from(name);
            }
            edits.push(Edit::Put(Object::Index(Index { name: name.clone(), ..(**index).clone() })));
        }
        self.edit(edits).await
    }

    pub(super) async fn detach_partition(&mut self, parent: &Table, name: &Name) -> Result<()> {
        if !parent.is_partitioned() {
            return Err(not_partitioned(parent));
        }
        let catalog = self.shared.current_catalog();
        let part = match self.shared.relation(&catalog, name) {
            Some(Relation::Partition(part)) if part.oid == parent.oid => part,
            Some(_) => {
                let message =
                    format!("relation \"{}\" is not a partition of relation \"{}\"", name.name, parent.name);
                return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
            }
            None => return Err(undefined_relation(name)),
        };
        self.refuse_read(part.known_as(), None, "detaching a partition")?;
        if catalog.references_to(parent.oid).next().is_some() {
            return Err(Error::unsupported("detaching a partition of a table that foreign keys refer to"));
        }
        if parent.foreign_keys().next().is_some() {
            return Err(Error::unsupported("detaching a partition of a table with foreign keys"));
        }
        self.refuse_old_snapshot("DETACH PARTITION")?;
        let oid = part.known_as();
        let own = parent.partitions().iter().filter(|part| part.oid == oid);
        let names = own.flat_map(|part| part.indexes.clone());
        let names: Vec<PartitionIndex> = names.collect();
        self.start_statement()?;
        self.put_aside(parent.oid, oid).await?;
        let kind = match (parent.temporary.is_some(), parent.unlogged) {
            (true, _) => "TEMPORARY TABLE",
            (_, true) => "UNLOGGED TABLE",
            _ => "TABLE",
        };
        let create = format!(
            "CREATE {kind} {} (LIKE {} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING COMMENTS)",
            qualified(&part.schema, &part.name),
            qualified(&parent.schema, &parent.name)
        );
        let Some(Ast::CreateTable(create)) = dialect::parse(&create)?.pop().map(|statement| statement.ast)
        else {
            return Err(Error::internal("a fixed CREATE TABLE did not parse"));
        };
        self.create_table(&create).await?;
        let to = qualified(&part.schema, &part.name);
        self.move_rows(&qualified(&part.schema, &aside(oid)), &to, parent).await?;
        self.start_statement()?;
        if let Some(Relation::Partition(part)) = self.shared.current_catalog().relation_by_oid(oid) {
            self.remove_partition(&part).await?;
        }
        let catalog = self.shared.current_catalog();
        let made = catalog.table(&part.schema, &part.name).ok_or_else(|| undefined_relation(name))?;
        let mut made = (**made).clone();
        made.comment.clone_from(&part.comment);
        // Defaults of its own.
        for (column, own) in made.columns.iter_mut().zip(&part.columns) {
            if parent.column_number(own.number).is_some_and(|of| of.default != own.default) {
                column.default.clone_from(&own.default);
            }
        }
        self.keep_index_names(&mut made, parent, &names).await?;
        self.put(made).await
    }
}

fn not_partitioned(table: &Table) -> Error {
    Error::new(SqlState("42P17"), format!("table \"{}\" is not partitioned", table.name))
}

/// Defaults that differ from the parent's, by the parent's numbers.
fn own_defaults(child: &Table, parent: &Table) -> Vec<(u16, Option<crate::catalog::DefaultExpr>)> {
    let pairs = parent.columns.iter().filter_map(|of| Some((of, child.column(&of.name)?)));
    let different = pairs.filter(|(of, own)| of.default != own.default && of.generated.is_none());
    different.map(|(of, own)| (of.number, own.default.clone())).collect()
}

/// Whether rows of the table can be rows of the parent: PostgreSQL's refusals.
fn fits(child: &Table, parent: &Table) -> Result<()> {
    let refused = |message: String| Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    if let Some(column) = child.columns.iter().find(|column| parent.column(&column.name).is_none()) {
        let message = format!(
            "table \"{}\" contains column \"{}\" not found in parent \"{}\"",
            child.name, column.name, parent.name
        );
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
            .detail("The new partition may contain only the columns present in parent."));
    }
    for of in &parent.columns {
        let Some(own) = child.column(&of.name) else {
            return refused(format!("child table is missing column \"{}\"", of.name));
        };
        if own.ty != of.ty {
            return refused(format!(
                "child table \"{}\" has different type for column \"{}\"",
                child.name, of.name
            ));
        }
        if of.not_null && !own.not_null {
            return refused(format!("column \"{}\" in child table must be marked NOT NULL", of.name));
        }
        if own.not_null && !of.not_null {
            return Err(Error::unsupported(format!("NOT NULL of one partition alone (\"{}\")", of.name)));
        }
        if own.identity.is_some() {
            let message = format!(
                "table \"{}\" being attached contains an identity column \"{}\"",
                child.name, own.name
            );
            return Err(Error::new(SqlState("55000"), message)
                .detail("The new partition may not contain an identity column."));
        }
        match (&of.generated, &own.generated) {
            (Some(_), None) => {
                return refused(format!("column \"{}\" in child table must be a generated column", of.name));
            }
            (None, Some(_)) => {
                return refused(format!(
                    "column \"{}\" in child table must not be a generated column",
                    of.name
                ));
            }
            (Some(a), Some(b)) if a.sql != b.sql => {
                return Err(Error::unsupported("a generated column of another expression in a partition"));
            }
            _ => {}
        }
    }
    for constraint in &parent.constraints {
        let ConstraintKind::Check { sql } = &constraint.kind else { continue };
        let Some(own) = child.constraints.iter().find(|own| own.name == constraint.name) else {
            return refused(format!("child table is missing constraint \"{}\"", constraint.name));
        };
        if !matches!(&own.kind, ConstraintKind::Check { sql: own } if own == sql) {
            return refused(format!(
                "child table \"{}\" has different definition for check constraint \"{}\"",
                child.name, constraint.name
            ));
        }
    }
    Ok(())
}

/// Whether two indexes say the same of two tables with the same columns.
pub fn same_index(own: &Index, child: &Table, of: &Index, parent: &Table) -> bool {
    let titles = |numbers: &[u16], table: &Table| -> Vec<String> {
        let positions = numbers.iter().filter_map(|number| table.position(*number));
        positions.map(|position| table.title(position).to_owned()).collect()
    };
    let condition = |index: &Index| index.predicate.as_ref().map(|p| p.sql.clone());
    own.method == of.method
        && own.unique == of.unique
        && own.opclasses == of.opclasses
        && own.hnsw == of.hnsw
        && own.ivfflat == of.ivfflat
        && own.nulls_equal == of.nulls_equal
        && condition(own) == condition(of)
        && titles(&own.columns, child) == titles(&of.columns, parent)
        && titles(&own.included, child) == titles(&of.included, parent)
}

/// A constraint of the table as its parent would have it.
fn as_of(child: &Table, parent: &Table, kind: &ConstraintKind) -> Option<ConstraintKind> {
    let numbers = |columns: &[u16]| -> Option<Vec<u16>> {
        let number = |own: &u16| Some(parent.column(&child.column_number(*own)?.name)?.number);
        columns.iter().map(number).collect()
    };
    Some(match kind {
        ConstraintKind::PrimaryKey { columns } => ConstraintKind::PrimaryKey { columns: numbers(columns)? },
        ConstraintKind::Unique { columns, nulls_equal } => {
            ConstraintKind::Unique { columns: numbers(columns)?, nulls_equal: *nulls_equal }
        }
        ConstraintKind::ForeignKey(key) => {
            ConstraintKind::ForeignKey(ForeignKey { columns: numbers(&key.columns)?, ..key.clone() })
        }
        ConstraintKind::Check { .. } | ConstraintKind::NotNull { .. } => kind.clone(),
    })
}
