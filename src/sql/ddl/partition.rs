//! Partitions come and go.
//!
//! A partition is a piece of its parent's definition (see [`crate::catalog::partition`]), so each of these takes the
//! parent's lock and puts its next definition. Rows are touched where there are some that lose their place: DROP of a
//! partition deletes those that it has.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{Expr, PartitionBoundValue};

use crate::catalog::partition::can_be_key;
use crate::catalog::{Keys, Partition, PartitionBound, Partitioning, Relation, Strategy, Table};
use crate::database::Isolation;
use crate::error::{Error, Result, SqlState};
use crate::sql::dialect;
use crate::sql::dml::cells::{self, Target};
use crate::sql::dml::change::ChangePlan;
use crate::sql::dml::insert::cell_value;
use crate::sql::partition_words::{Bound, CreatePartition};
use crate::sql::partitions::condition_sql;
use crate::sql::response::Response;
use crate::sql::session::{Session, done};
use crate::sql::shared::undefined_relation;
use crate::sql::statement::{Ast, Name, Persistence};
use crate::sql::system::{qualified, quote_ident, shown_bound};
use crate::types::{Value, text};

impl Session {
    pub(super) async fn create_partition(&mut self, create: &CreatePartition) -> Result<Response> {
        let schema = self.schema_for(create.persistence, &create.name).await?;
        let catalog = self.shared.current_catalog();
        if catalog.relation(&schema, &create.name.name).is_some() {
            return self.already_exists(&create.name.name, create.if_not_exists, "CREATE TABLE");
        }
        let parent = self.locked_parent(&create.parent).await?;
        refuse_other_lifetime(&parent, create.persistence)?;
        let bound = self.partition_bound(&parent, &create.name.name, &create.bound)?;
        let partition = Partition {
            oid: self.new_oid()?,
            schema,
            name: create.name.name.clone(),
            bound,
            defaults: Vec::new(),
            comment: None,
            indexes: Vec::new(),
            options: create.options.clone(),
        };
        let oid = partition.oid;
        self.add_partition(&parent, partition).await?;
        self.name_indexes(parent.oid, None, Some(oid)).await?;
        Ok(done("CREATE TABLE"))
    }

    /// The partitioned table of this name, which nobody else changes from here on.
    async fn locked_parent(&mut self, name: &Name) -> Result<Arc<Table>> {
        let catalog = self.shared.current_catalog();
        let table = match self.shared.relation(&catalog, name) {
            Some(Relation::Table(table)) => table,
            Some(_) => return Err(not_partitioned(&name.name)),
            None => return Err(undefined_relation(name)),
        };
        self.retry(|transaction| transaction.lock_table(table.oid)).await?;
        self.start_statement()?;
        let catalog = self.shared.current_catalog();
        let table = catalog.table_by_oid(table.oid).ok_or_else(|| undefined_relation(name))?;
        match table.is_partitioned() {
            true => Ok(Arc::clone(table)),
            false => Err(not_partitioned(&name.name)),
        }
    }

    /// The bound with its values computed, as texts; `name` is the partition's.
    pub(super) fn partition_bound(
        &self,
        parent: &Table,
        name: &str,
        bound: &Bound,
    ) -> Result<PartitionBound> {
        let strategy = parent.partitioning.as_ref().map(|by| by.strategy).unwrap_or_default();
        match (strategy, bound) {
            (_, Bound::Default) => Ok(PartitionBound::Default),
            (Strategy::List, Bound::In(expressions)) => {
                let values: Vec<Value> =
                    expressions.iter().map(|expr| self.bound_value(parent, expr)).collect::<Result<_>>()?;
                // Each once.
                let texts = Keys::new(values, false).values.into_iter().map(|value| match value {
                    Value::Null => None,
                    value => Some(text::to_string(&value)),
                });
                Ok(PartitionBound::In(texts.collect()))
            }
            (Strategy::Range, Bound::Range { from, to }) => self.range_bound(parent, name, from, to),
            (strategy, _) => {
                let message = format!("invalid bound specification for a {} partition", strategy.name());
                Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message))
            }
        }
    }

    fn range_bound(
        &self,
        parent: &Table,
        name: &str,
        from: &[PartitionBoundValue],
        to: &[PartitionBoundValue],
    ) -> Result<PartitionBound> {
        let one = |ends: &[PartitionBoundValue], word: &str| match ends {
            [end] => Ok(end.clone()),
            _ => {
                let message = format!("{word} must specify exactly one value per partitioning column");
                Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message))
            }
        };
        let (from, to) = (one(from, "FROM")?, one(to, "TO")?);
        let text_of = |end: &PartitionBoundValue| match end {
            PartitionBoundValue::Expr(expr) => match self.bound_value(parent, expr)? {
                Value::Null => Err(Error::new(SqlState("42P17"), "cannot specify NULL in range bound")),
                value => Ok(Some(text::to_string(&value))),
            },
            PartitionBoundValue::MinValue | PartitionBoundValue::MaxValue => Ok(None),
        };
        let bound = PartitionBound::Range { from: text_of(&from)?, to: text_of(&to)? };
        let is_open =
            matches!(from, PartitionBoundValue::MaxValue) || matches!(to, PartitionBoundValue::MinValue);
        if is_open || bound.keys(&key_column(parent)?.ty).has_empty_range() {
            let ty = &key_column(parent)?.ty;
            let shown = |end: &PartitionBoundValue, text: &Option<String>| match (end, text) {
                (PartitionBoundValue::MinValue, _) => "MINVALUE".to_owned(),
                (_, Some(text)) => shown_bound(text, ty),
                (_, None) => "MAXVALUE".to_owned(),
            };
            let PartitionBound::Range { from: low, to: high } = &bound else {
                return Err(Error::internal("a range that is none"));
            };
            let message = format!("empty range bound specified for partition \"{name}\"");
            return Err(Error::new(SqlState("42P17"), message).detail(format!(
                "Specified lower bound ({}) is greater than or equal to upper bound ({}).",
                shown(&from, low),
                shown(&to, high)
            )));
        }
        Ok(bound)
    }

    fn bound_value(&self, parent: &Table, expression: &Expr) -> Result<Value> {
        let column = key_column(parent)?;
        let target = Target { name: &column.name, ty: &column.ty };
        let catalog = self.shared.current_catalog();
        let schemas = self.shared.schemas(&catalog);
        let environment = self.shared.environment();
        let context = self.plan_context(&environment, &catalog, &schemas);
        let mut params = cells::ParamTypes::declared(&context);
        if cells::is_default(expression) {
            let message = "cannot use column reference in partition bound expression";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let cell = cells::any_cell(expression, &target, &context, &mut params)?;
        cell_value(&cell, &column.ty, &[], &mut || self.plain_execution(&[], &[]))
    }

    pub(super) async fn add_partition(&mut self, parent: &Arc<Table>, partition: Partition) -> Result<()> {
        refuse_overlap(parent, &partition)?;
        self.refuse_rows_of_default(parent, &partition).await?;
        let mut altered = (**parent).clone();
        if let Some(by) = &mut altered.partitioning {
            by.parts.push(partition);
        }
        self.put(altered).await
    }

    /// 0A000 in a transaction with one snapshot: it may be older than the lock, and rows that were written between
    /// would be forgotten.
    pub(super) fn refuse_old_snapshot(&self, what: &str) -> Result<()> {
        let isolation = self.shared.with_transaction(|transaction| Ok(transaction.isolation()))?;
        match isolation {
            Isolation::ReadCommitted => Ok(()),
            held => Err(Error::unsupported(format!("{what} in a {} transaction", held.name()))),
        }
    }

    /// 23514 when the default partition has rows that a new one takes.
    async fn refuse_rows_of_default(&mut self, parent: &Table, partition: &Partition) -> Result<()> {
        let Some(default) = parent.partitioning.as_ref().and_then(Partitioning::default_part) else {
            return Ok(());
        };
        self.refuse_old_snapshot("a partition of what the default partition may have")?;
        let column = key_column(parent)?;
        let keys = partition.bound.keys(&column.ty);
        let Some(condition) = condition_sql(&quote_ident(&column.name), &keys) else { return Ok(()) };
        let from = qualified(&parent.schema, &parent.name);
        if self.count(&format!("SELECT count(*) FROM {from} WHERE {condition}")).await? == 0 {
            return Ok(());
        }
        let message = format!(
            "updated partition constraint for default partition \"{}\" would be violated by some row",
            default.name
        );
        Err(Error::new(SqlState::CHECK_VIOLATION, message).table(&default.schema, &default.name))
    }

    /// DROP TABLE of a partition: its rows go with it.
    pub(super) async fn drop_partition(&mut self, part: &Table) -> Result<()> {
        self.retry(|transaction| transaction.lock_table(part.oid)).await?;
        self.start_statement()?;
        if self.shared.current_catalog().references_to(part.oid).next().is_some() {
            return Err(Error::unsupported("dropping a partition of a table that foreign keys refer to"));
        }
        match self.shared.current_catalog().relation_by_oid(part.known_as()) {
            Some(Relation::Partition(part)) => self.remove_partition(&part).await,
            // Gone while the lock was waited for.
            _ => {
                Err(Error::new(SqlState::UNDEFINED_TABLE, format!("table \"{}\" does not exist", part.name)))
            }
        }
    }

    /// Takes a partition and its rows away.
    pub(super) async fn remove_partition(&mut self, part: &Table) -> Result<()> {
        self.delete_part(part).await?;
        let catalog = self.shared.current_catalog();
        match catalog.table_by_oid(part.oid) {
            Some(parent) => self.put(parent.without_partition(part.known_as())).await,
            None => Ok(()),
        }
    }

    /// Deletes the rows of a partition.
    pub(crate) async fn delete_part(&mut self, part: &Table) -> Result<()> {
        self.refuse_old_snapshot("emptying a partition")?;
        let sql = format!("DELETE FROM {}", qualified(&part.schema, &part.name));
        let Some(Ast::Delete(delete)) = dialect::parse(&sql)?.pop().map(|statement| statement.ast) else {
            return Err(Error::internal("a fixed DELETE did not parse"));
        };
        let plan = {
            let catalog = self.shared.current_catalog();
            let schemas = self.shared.schemas(&catalog);
            let environment = self.shared.environment();
            let context = self.plan_context(&environment, &catalog, &schemas);
            Arc::new(ChangePlan::delete(&delete, &context, &self.shared)?)
        };
        self.delete(&plan, &[]).await.map(drop)
    }
}

/// What PARTITION BY makes of a new table.
pub fn partitioning(table: &Table, strategy: Strategy, name: &str) -> Result<Partitioning> {
    let column = table.column(name).ok_or_else(|| {
        let message = format!("column \"{name}\" named in partition key does not exist");
        Error::new(SqlState::UNDEFINED_COLUMN, message)
    })?;
    if column.generated.is_some() {
        let message = "cannot use generated column in partition key";
        return Err(Error::new(SqlState("42P17"), message)
            .detail(format!("Column \"{name}\" is a generated column.")));
    }
    if !can_be_key(&column.ty) {
        return Err(Error::unsupported(format!("a partition key of type {}", column.ty.bare())));
    }
    Ok(Partitioning { column: column.number, strategy, parts: Vec::new() })
}

/// 0A000 unless a unique key of a partitioned table has the partition key in it.
pub fn check_unique(table: &Table, columns: &[u16], is_primary: bool) -> Result<()> {
    let Some(by) = table.partitioning.as_ref().filter(|by| !columns.contains(&by.column)) else {
        return Ok(());
    };
    let column = table.column_number(by.column).map_or("", |column| column.name.as_str());
    let kind = if is_primary { "PRIMARY KEY" } else { "UNIQUE" };
    let message = "unique constraint on partitioned table must include all partitioning columns";
    Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(format!(
        "{kind} constraint on table \"{}\" lacks column \"{column}\" which is part of the partition key.",
        table.name
    )))
}

/// 42P16 for what would change the key's column.
pub fn refuse_key_column(table: &Table, number: u16, verb: &str) -> Result<()> {
    let Some(by) = table.partitioning.as_ref().filter(|by| by.column == number) else { return Ok(()) };
    let column = table.column_number(by.column).map_or("", |column| column.name.as_str());
    let message = format!(
        "cannot {verb} column \"{column}\" because it is part of the partition key of relation \"{}\"",
        table.name
    );
    Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message))
}

/// The oids of partitions that go with a table.
pub fn oids_of_parts(table: &Table) -> impl Iterator<Item = u32> + '_ {
    table.partitions().iter().map(|part| part.oid)
}

pub fn key_column(table: &Table) -> Result<&crate::catalog::Column> {
    let column = table.partitioning.as_ref().and_then(|by| table.column_number(by.column));
    column.ok_or_else(|| Error::internal("a partitioned table without its key"))
}

fn not_partitioned(name: &str) -> Error {
    Error::new(SqlState("42P17"), format!("\"{name}\" is not partitioned"))
}

fn refuse_other_lifetime(parent: &Table, persistence: Persistence) -> Result<()> {
    let temporary = matches!(persistence, Persistence::Temporary(_));
    let message = match (parent.temporary.is_some(), temporary) {
        (false, true) => {
            format!(
                "cannot create a temporary relation as partition of permanent relation \"{}\"",
                parent.name
            )
        }
        (true, false) => {
            format!(
                "cannot create a permanent relation as partition of temporary relation \"{}\"",
                parent.name
            )
        }
        _ => return Ok(()),
    };
    Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message))
}

/// 42P17 for values that another partition has, and for a second default.
pub fn refuse_overlap(parent: &Table, new: &Partition) -> Result<()> {
    let Some(by) = &parent.partitioning else { return Ok(()) };
    let invalid = |message: String| Err(Error::new(SqlState("42P17"), message));
    let ty = &key_column(parent)?.ty;
    if new.bound == PartitionBound::Default {
        return match by.default_part() {
            None => Ok(()),
            Some(known) => invalid(format!(
                "partition \"{}\" conflicts with existing default partition \"{}\"",
                new.name, known.name
            )),
        };
    }
    let keys = new.bound.keys(ty);
    for known in by.parts.iter().filter(|known| known.bound != PartitionBound::Default) {
        if keys.meet(&known.bound.keys(ty)) {
            return invalid(format!("partition \"{}\" would overlap partition \"{}\"", new.name, known.name));
        }
    }
    Ok(())
}
