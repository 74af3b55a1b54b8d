//! Views: queries under a name, and materialized ones, whose rows are kept.
//!
//! A view is stored as SQL in which every relation carries its schema and every outer `*` is spelt out, so that later
//! columns and another search_path change nothing. What it reads is stored with it: those relations and columns cannot
//! go, or change their names, without it. A materialized view is a table with such a query.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, ObjectName, SelectItem, SetExpr};

use crate::catalog::{
    Catalog, Edit, Materialized, Object, Oid, Relation, StoredQuery, Table, Use, View, ViewColumn,
};
use crate::error::{Error, Result, SqlState};
use crate::planner::origin::columns_read;
use crate::sql::context::PlanContext;
use crate::sql::ddl::temporary::persistence;
use crate::sql::dialect::parse_query;
use crate::sql::query::{self, Query};
use crate::sql::response::{Response, Severity};
use crate::sql::routines;
use crate::sql::session::{Session, done};
use crate::sql::shared::undefined_relation;
use crate::sql::staged;
use crate::sql::statement::{CreateView, Drop, Name, ObjectKind};
use crate::sql::system::quote_ident;
use crate::sql::visit;
use crate::sql::words::{fold, object_name};

impl Session {
    pub(super) async fn create_view(&mut self, create: &CreateView) -> Result<Response> {
        let materialized = create.materialized.is_some();
        let tag = if materialized { "CREATE MATERIALIZED VIEW" } else { "CREATE VIEW" };
        let plural = if materialized { "materialized views" } else { "views" };
        staged::refuse_changes(&create.query, plural)?;
        let catalog = self.shared.current_catalog();
        let (stored, query) = self.stored_query(&catalog, &create.query)?;
        let own = self.shared.temporary_schema();
        let is_temporary = |used: &Use| {
            catalog.relation_by_oid(used.relation).is_some_and(|used| catalog.schema_of(&used) == own)
        };
        let reads_temporary = stored.uses.iter().any(is_temporary);
        if reads_temporary && materialized {
            let message = "materialized views must not use temporary tables or views";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if reads_temporary && !create.temporary {
            let message = format!("view \"{}\" will be a temporary view", create.name.name);
            self.notice(Severity::Notice, Error::new(SqlState("00000"), message));
        }
        let schema = self.schema_for(persistence(create.temporary || reads_temporary), &create.name).await?;
        let catalog = self.shared.current_catalog();
        let old = match catalog.relation(&schema, &create.name.name) {
            Some(Relation::View(view)) if create.replace => Some(view),
            Some(_) if create.replace => {
                let message = format!("\"{}\" is not a view", create.name.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            Some(_) => return self.already_exists(&create.name.name, create.if_not_exists, tag),
            None => None,
        };
        for used in &stored.uses {
            if catalog.table_by_oid(used.relation).is_some() {
                self.retry(|transaction| transaction.share_table(used.relation)).await?;
            }
        }
        if let Some(with_data) = create.materialized {
            let mut table = self.table_of_query(&schema, &create.name.name, &create.columns, &query)?;
            table.materialized = Some(Materialized { query: stored, populated: with_data });
            self.retry(|transaction| transaction.create_table(table.clone(), Vec::new())).await?;
            if !with_data {
                return Ok(done(tag));
            }
            // This time what it reads must be there.
            let query = self.planned(&create.query)?;
            let count = self.fill(table.oid, &query).await?;
            return Ok(done(format!("SELECT {count}")));
        }
        let columns = named_columns(&create.columns, &query)?;
        let oid = match &old {
            Some(old) => {
                check_replacement(old, &columns)?;
                if stored.uses(old.oid, None) {
                    let message =
                        format!("infinite recursion detected in rules for relation \"{}\"", old.name);
                    return Err(Error::new(SqlState("42P17"), message));
                }
                old.oid
            }
            None => self.new_oid()?,
        };
        let kept = old.map(|old| (old.comment.clone(), old.comments.clone(), old.defaults.clone()));
        let (comment, comments, defaults) = kept.unwrap_or_default();
        let (name, options) = (create.name.name.clone(), create.options.clone());
        let view = View { oid, schema, name, columns, query: stored, comment, comments, defaults, options };
        self.edit(vec![Edit::Put(Object::View(view))]).await?;
        Ok(done(tag))
    }

    /// The query as it is kept, and planned.
    pub(super) fn stored_query(
        &self,
        catalog: &Arc<Catalog>,
        query: &ast::Query,
    ) -> Result<(StoredQuery, Arc<Query>)> {
        let schemas = self.shared.schemas(catalog);
        let environment = self.shared.environment();
        let context = self.plan_context(&environment, catalog, &schemas);
        let context = PlanContext { unpopulated: true, ..context };
        let planned = Arc::new(query::plan(query, &context)?);
        if !planned.param_types.is_empty() {
            return Err(Error::new(SqlState("42P02"), "there is no parameter $1"));
        }
        let mut query = query.clone();
        spell_out_wildcards(&mut query, &planned);
        let mut direct = BTreeSet::new();
        self.qualify(catalog, &mut query, &mut direct);
        direct.extend(routines::qualify(&mut query, &context)?);
        let mut uses: BTreeMap<Oid, BTreeSet<u16>> = columns_read(planned.logical_plan());
        for oid in direct {
            uses.entry(oid).or_default();
        }
        let uses = uses.into_iter();
        let uses = uses.map(|(relation, columns)| Use { relation, columns: columns.into_iter().collect() });
        Ok((StoredQuery { sql: query.to_string(), uses: uses.collect() }, planned))
    }

    /// A query planned in the session's catalogue and path.
    pub(super) fn planned(&self, query: &ast::Query) -> Result<Arc<Query>> {
        let catalog = self.shared.current_catalog();
        let schemas = self.shared.schemas(&catalog);
        let environment = self.shared.environment();
        Ok(Arc::new(query::plan(query, &self.plan_context(&environment, &catalog, &schemas))?))
    }

    /// Gives every relation its schema; notes the relations.
    fn qualify(&self, catalog: &Catalog, query: &mut ast::Query, found: &mut BTreeSet<Oid>) {
        let mut ctes = HashSet::new();
        collect_ctes(query, &mut ctes);
        let _ = visit::relations_mut(query, |name: &mut ObjectName| {
            let read = object_name(name);
            if read.schema.is_none() && ctes.contains(&read.name) {
                return ControlFlow::<()>::Continue(());
            }
            let (oid, schema) = match self.shared.relation(catalog, &read) {
                Some(Relation::Table(table)) => (table.oid, table.schema.clone()),
                Some(Relation::View(view)) => (view.oid, view.schema.clone()),
                Some(Relation::Partition(part)) => (part.known_as(), part.schema.clone()),
                // Of the system, or a function.
                _ => return ControlFlow::Continue(()),
            };
            found.insert(oid);
            *name = ObjectName::from(vec![identifier(&schema), identifier(&read.name)]);
            ControlFlow::Continue(())
        });
    }

    pub(super) async fn refresh(
        &mut self,
        name: &Name,
        concurrently: bool,
        with_data: bool,
    ) -> Result<Response> {
        const TAG: &str = "REFRESH MATERIALIZED VIEW";
        let catalog = self.shared.current_catalog();
        let table = match self.shared.relation(&catalog, name) {
            Some(Relation::Table(table)) if table.materialized.is_some() => table,
            Some(_) => {
                let message = format!("\"{}\" is not a materialized view", name.name);
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            None => return Err(undefined_relation(name)),
        };
        let populated = table.materialized.as_ref().is_some_and(|materialized| materialized.populated);
        if concurrently && !populated {
            let message = "CONCURRENTLY cannot be used when the materialized view is not populated";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if concurrently && !with_data {
            let message = "REFRESH options CONCURRENTLY and WITH NO DATA cannot be used together";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        if concurrently && catalog.indexes_of(table.oid).all(|index| !index.unique) {
            let message =
                format!("cannot refresh materialized view \"{}.{}\" concurrently", table.schema, table.name);
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).hint(
                "Create a unique index with no WHERE clause on one or more columns of the materialized view.",
            ));
        }
        self.retry(|transaction| transaction.lock_table(table.oid)).await?;
        self.start_statement()?;
        let Some(materialized) = &table.materialized else { return Ok(done(TAG)) };
        let stored = parse_query(&materialized.query.sql)?;
        let query = self.planned(&stored)?;
        // New files, filled before anybody else sees them: readers keep the old rows until the commit.
        let mut fresh = (*table).clone();
        fresh.materialized = Some(Materialized { populated: with_data, ..materialized.clone() });
        self.retry(|transaction| transaction.rewrite_table(fresh.clone())).await?;
        if with_data {
            self.fill(table.oid, &query).await?;
        }
        Ok(done(TAG))
    }

    /// Drops views, and what reads them.
    pub(super) async fn drop_views(&mut self, drop: &Drop) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let mut going = Vec::new();
        for name in &drop.names {
            match (drop.kind, self.shared.relation(&catalog, name)) {
                (ObjectKind::View, Some(Relation::View(view))) => going.push(view.oid),
                (ObjectKind::MaterializedView, Some(Relation::Table(table)))
                    if table.materialized.is_some() =>
                {
                    going.push(table.oid);
                }
                (_, Some(found)) => return Err(super::drop::wrong_kind(drop.kind, name, &found)),
                (_, None) => self.missing(drop, name)?,
            }
        }
        self.drop_readers(&going, None, drop.cascade).await?;
        for oid in going {
            self.drop_relation(oid).await?;
        }
        Ok(())
    }

    pub(super) async fn drop_relation(&mut self, oid: Oid) -> Result<()> {
        let catalog = self.shared.current_catalog();
        if catalog.view_by_oid(oid).is_some() {
            return self.edit(vec![Edit::Delete(oid)]).await;
        }
        if catalog.table_by_oid(oid).is_some() {
            self.retry(|transaction| transaction.drop_table(oid)).await?;
        }
        Ok(())
    }

    /// Drops the views that read relations which go (or one column of theirs): 2BP01 unless CASCADE was said.
    pub(super) async fn drop_readers(
        &mut self,
        going: &[Oid],
        column: Option<u16>,
        cascade: bool,
    ) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let readers = readers_of(&catalog, going, column);
        if let Some(first) = readers.first().filter(|_| !cascade) {
            return Err(still_read(&catalog, first.relation, first.column, first.reader));
        }
        self.tell_cascade(readers.iter().map(|reading| described(&catalog, reading.reader)).collect());
        self.drop_each(&readers).await
    }

    /// Drops the views that group by the table's primary key, which has just gone, and read more than the key: 2BP01 unless
    /// CASCADE was said.
    pub(super) async fn drop_grouped(&mut self, table: &Table, key: &str, cascade: bool) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let fails = |query: &StoredQuery| {
            let planned = parse_query(&query.sql).and_then(|query| self.stored_query(&catalog, &query));
            planned.is_err_and(|error| error.state() == SqlState::GROUPING_ERROR)
        };
        let direct = catalog.stored_queries().filter(|(_, query)| query.uses(table.oid, None));
        let direct: Vec<Oid> = direct.filter(|(_, query)| fails(query)).map(|(oid, _)| oid).collect();
        if direct.is_empty() {
            return Ok(());
        }
        let what = format!("constraint {key} on table {}", table.name);
        let readers = readers_of(&catalog, &direct, None);
        let of_key = direct.iter().map(|&reader| (described(&catalog, reader), what.clone()));
        let of_views = readers
            .iter()
            .map(|reading| (described(&catalog, reading.reader), described(&catalog, reading.relation)));
        let lines: Vec<(String, String)> = of_key.chain(of_views).collect();
        if !cascade {
            let lines: Vec<String> =
                lines.iter().map(|(what, needed)| format!("{what} depends on {needed}")).collect();
            let message = format!("cannot drop {what} because other objects depend on it");
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .detail(dependents(&lines))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        self.tell_cascade(lines.into_iter().map(|(what, _)| what).collect());
        self.drop_each(&readers).await?;
        for oid in direct {
            self.drop_relation(oid).await?;
        }
        Ok(())
    }

    /// The notice of what goes with what is dropped, if anything does.
    pub(super) fn tell_cascade(&mut self, mut what: Vec<String>) {
        what.iter_mut().for_each(|what| what.insert_str(0, "drop cascades to "));
        let notice = match what.as_slice() {
            [] => return,
            [one] => Error::new(SqlState::SUCCESSFUL_COMPLETION, one),
            many => {
                let message = format!("drop cascades to {} other objects", many.len());
                Error::new(SqlState::SUCCESSFUL_COMPLETION, message).detail(dependents(many))
            }
        };
        self.notice(Severity::Notice, notice);
    }

    /// Drops views, those that read others before them.
    pub(super) async fn drop_each(&mut self, readers: &[Reading]) -> Result<()> {
        for Reading { reader, .. } in readers.iter().rev() {
            self.drop_relation(*reader).await?;
        }
        Ok(())
    }

    /// 0A000 when a view reads the relation or its column: what it stores names them.
    pub(super) fn refuse_read(&self, relation: Oid, column: Option<u16>, what: &str) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let mut readers = catalog.stored_queries().filter(|(_, query)| query.uses(relation, column));
        match readers.next() {
            None => Ok(()),
            Some((reader, _)) => Err(Error::unsupported(format!("{what} that a view reads"))
                .detail(format!("{} reads it.", described(&catalog, reader)))),
        }
    }

    /// PostgreSQL's refusal to change the type of a column that a view reads.
    pub(super) fn refuse_retype(&self, table: &Table, column: &str, number: u16) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let mut readers = catalog.stored_queries().filter(|(_, query)| query.uses(table.oid, Some(number)));
        match readers.next() {
            None => Ok(()),
            Some((reader, _)) => {
                let message = "cannot alter type of a column used by a view or rule";
                let detail =
                    format!("rule _RETURN on {} depends on column \"{column}\"", described(&catalog, reader));
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(detail))
            }
        }
    }
}

/// A stored query, and which relation of those that go it reads, or which column.
pub struct Reading {
    pub reader: Oid,
    relation: Oid,
    column: Option<u16>,
}

/// What reads relations (or one column of theirs), and what reads that.
pub fn readers_of(catalog: &Catalog, going: &[Oid], column: Option<u16>) -> Vec<Reading> {
    let mut all: Vec<(Oid, Option<u16>)> = going.iter().map(|&oid| (oid, column)).collect();
    let mut readers: Vec<Reading> = Vec::new();
    let mut next = 0;
    while let Some(&(relation, column)) = all.get(next) {
        next += 1;
        for (reader, _) in catalog.stored_queries().filter(|(_, query)| query.uses(relation, column)) {
            if !going.contains(&reader) && readers.iter().all(|known| known.reader != reader) {
                readers.push(Reading { reader, relation, column });
                all.push((reader, None));
            }
        }
    }
    readers
}

/// Lines on objects that depend on what is dropped, as many as PostgreSQL shows.
pub fn dependents(lines: &[String]) -> String {
    /// Its MAX_REPORTED_DEPS.
    const SHOWN_MAX: usize = 100;
    let mut text = lines[..lines.len().min(SHOWN_MAX)].join("\n");
    match lines.len().saturating_sub(SHOWN_MAX) {
        0 => {}
        1 => text.push_str("\nand 1 other object (see server log for list)"),
        more => text.push_str(&format!("\nand {more} other objects (see server log for list)")),
    }
    text
}

/// `view v`, `materialized view m`.
pub fn described(catalog: &Catalog, oid: Oid) -> String {
    match catalog.relation_by_oid(oid) {
        Some(Relation::View(view)) => format!("view {}", view.name),
        Some(Relation::Table(table)) if table.materialized.is_some() => {
            format!("materialized view {}", table.name)
        }
        Some(Relation::Table(table) | Relation::Partition(table)) => format!("table {}", table.name),
        _ => match catalog.function_by_oid(oid) {
            Some(function) => format!("function {}", function.signature()),
            None => format!("relation {oid}"),
        },
    }
}

fn still_read(catalog: &Catalog, relation: Oid, column: Option<u16>, reader: Oid) -> Error {
    let mut what = described(catalog, relation);
    if let Some(number) = column
        && let Some(column) = catalog.table_by_oid(relation).and_then(|table| table.column_number(number))
    {
        what = format!("column {} of {what}", column.name);
    }
    let message = format!("cannot drop {what} because other objects depend on it");
    Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .detail(format!("{} depends on {what}", described(catalog, reader)))
        .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

fn named_columns(names: &[String], query: &Query) -> Result<Vec<ViewColumn>> {
    if names.len() > query.columns.len() {
        let message = "CREATE VIEW specifies more column names than columns";
        return Err(Error::new(SqlState::SYNTAX_ERROR, message));
    }
    let mut columns: Vec<ViewColumn> = Vec::with_capacity(query.columns.len());
    for (position, output) in query.columns.iter().enumerate() {
        let name = names.get(position).unwrap_or(&output.name).clone();
        if columns.iter().any(|column| column.name == name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        columns.push(ViewColumn { name, ty: output.ty.clone() });
    }
    Ok(columns)
}

/// What CREATE OR REPLACE VIEW may not change.
fn check_replacement(old: &View, columns: &[ViewColumn]) -> Result<()> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
    if columns.len() < old.columns.len() {
        return invalid("cannot drop columns from view".into());
    }
    for (old, new) in old.columns.iter().zip(columns) {
        if old.name != new.name {
            let message = format!("cannot change name of view column \"{}\" to \"{}\"", old.name, new.name);
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
                .hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."));
        }
        if old.ty != new.ty {
            return invalid(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name, old.ty, new.ty
            ));
        }
    }
    Ok(())
}

fn identifier(name: &str) -> Ident {
    if quote_ident(name) == name { Ident::new(name) } else { Ident::with_quote('"', name) }
}

/// Puts columns in the place of the outermost select list's `*` and `t.*`.
pub(crate) fn spell_out_wildcards(query: &mut ast::Query, planned: &Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let is_wildcard =
        |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    let wildcards = select.projection.iter().filter(|item| is_wildcard(item)).count();
    if wildcards == 0 {
        return;
    }
    let qualified = select.from.len() > 1 || select.from.iter().any(|from| !from.joins.is_empty());
    let outputs = planned.qualified_outputs();
    let mut spare = outputs.len() + wildcards - select.projection.len();
    let mut position = 0;
    let mut items = Vec::with_capacity(outputs.len());
    let mut left = wildcards;
    for item in std::mem::take(&mut select.projection) {
        if !is_wildcard(&item) {
            items.push(item);
            position += 1;
            continue;
        }
        left -= 1;
        let count = match &item {
            _ if left == 0 => spare,
            SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let alias = object_name(name).name;
                let same = |(qualifier, _): &&(Option<String>, String)| qualifier.as_deref() == Some(&*alias);
                outputs[position..].iter().take_while(same).count().min(spare)
            }
            _ => spare,
        };
        let shown = outputs.iter().zip(planned.columns.iter());
        for ((qualifier, name), output) in shown.skip(position).take(count) {
            items.push(SelectItem::UnnamedExpr(match qualifier.as_ref().filter(|_| qualified) {
                Some(qualifier) => Expr::CompoundIdentifier(vec![identifier(qualifier), identifier(name)]),
                // A column that JOIN USING has merged.
                None => Expr::Identifier(identifier(&output.name)),
            }));
        }
        position += count;
        spare -= count;
    }
    select.projection = items;
}

fn collect_ctes(query: &ast::Query, names: &mut HashSet<String>) {
    struct Ctes<'n>(&'n mut HashSet<String>);
    impl ast::Visitor for Ctes<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
            let tables = query.with.iter().flat_map(|with| &with.cte_tables);
            self.0.extend(tables.map(|cte| fold(&cte.alias.name)));
            ControlFlow::Continue(())
        }
    }
    let _ = visit::walk(query, &mut Ctes(names));
}
