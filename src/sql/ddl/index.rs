//! CREATE INDEX and REINDEX.
//!
//! Every filterable column has a metadata index by default, so that a btree or bitmap index that is not unique adds a
//! name to the catalogue and little else; a unique one adds keys, an hnsw one a graph. What an index on an expression is
//! over, and which rows a partial one holds, is in hidden columns (`hidden.rs`).

use std::sync::Arc;

use crate::catalog::{
    Generated, HnswOptions, Index, IndexMethod, IndexMetric, IndexPredicate, IvfflatOptions, KeyOrder, Oid,
    Relation, Table,
};
use crate::database::{BuildProgress, Transaction};
use crate::distance::{Element, Metric};
use crate::error::{Error, Result, SqlState};
use crate::functions::cells::type_of_element;
use crate::index::ivf;
use crate::index::quantizer::Quantization;
use crate::sql::activity::ShownBuild;
use crate::sql::context::PlanContext;
use crate::sql::ddl::hidden::hidden_column;
use crate::sql::ddl::inverted::inverted;
use crate::sql::ddl::names::Namer;
use crate::sql::ddl::partition::check_unique;
use crate::sql::ddl_words::kept_expression;
use crate::sql::dml::generated::{Place, check_kept};
use crate::sql::operator_classes::{is_default, vector_classes};
use crate::sql::response::{Response, Severity};
use crate::sql::rewrite;
use crate::sql::session::{Session, done};
use crate::sql::settings::id;
use crate::sql::shared::undefined_relation;
use crate::sql::statement::{CreateIndex, IndexColumn, IndexSubject, Name, ReindexKind};
use crate::sql::storage_parameters;
use crate::sql::system::check_opclass;
use crate::types::{BIT_DIMENSIONS_MAX, HNSW_DIMENSIONS_MAX, SPARSEVEC_DIMENSIONS_MAX, Type};

/// How the view of builds calls them.
pub(super) const PLAINLY: &str = "CREATE INDEX";
const CONCURRENTLY: &str = "CREATE INDEX CONCURRENTLY";

/// pgvector's ranges and defaults.
const M: (u16, u16, u16) = (16, 2, 100);
const EF_CONSTRUCTION: (u16, u16, u16) = (64, 4, 1_000);

impl Session {
    pub(super) async fn create_index(&mut self, create: &CreateIndex) -> Result<Response> {
        if create.concurrently {
            self.refuse_in_block("CREATE INDEX CONCURRENTLY")?;
        }
        let catalog = self.shared.current_catalog();
        if let Some(Relation::Partition(part)) = self.shared.relation(&catalog, &create.table) {
            return self.create_part_index(&part, create).await;
        }
        let table = self.shared.table(&catalog, &create.table)?;
        if create.concurrently && table.is_partitioned() {
            let message = format!("cannot create index on partitioned table \"{}\" concurrently", table.name);
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if let Some(name) = &create.name
            && catalog.relation(&table.schema, name).is_some()
        {
            return self.already_exists(name, create.if_not_exists, "CREATE INDEX");
        }
        // Locked before the definition is read that hidden columns are added to.
        self.retry(|transaction| transaction.lock_table(table.oid)).await?;
        let catalog = self.shared.current_catalog();
        let table = catalog.table_by_oid(table.oid).ok_or_else(|| undefined_relation(&create.table))?;
        let mut altered = (**table).clone();
        let oid = self.new_oid()?;
        let mut index = {
            let schemas = self.shared.schemas(&catalog);
            definition(
                create,
                &mut altered,
                oid,
                &self.plan_context(&self.shared.environment(), &catalog, &schemas),
            )?
        };
        index.name = match &create.name {
            Some(name) => name.clone(),
            None => {
                let names = column_names(create).join("_");
                Namer::new(&catalog, &table.schema).relation(&table.name, &names, "idx")
            }
        };
        let is_new = |number: &u16| table.column_number(*number).is_none();
        let added: Vec<u16> = altered.hidden.iter().map(|column| column.number).filter(is_new).collect();
        if !added.is_empty() {
            // What committed before the lock was ours is seen from here on.
            self.start_statement()?;
            self.put(altered).await?;
            self.fill_hidden(index.table, &added).await?;
        }
        let (parent, of) = (index.table, index.oid);
        self.build_index(index, if create.concurrently { CONCURRENTLY } else { PLAINLY }).await?;
        if !create.only {
            self.name_indexes(parent, Some(of), None).await?;
        }
        Ok(done("CREATE INDEX"))
    }

    /// Creates and builds an index, while others may look how far it is and it may be cancelled.
    pub(super) async fn build_index(&mut self, index: Index, command: &'static str) -> Result<()> {
        let shown = self.show_build(&index, 0, command);
        let (progress, lists) = (shown.progress(), index.ivfflat.map(|options| options.lists));
        self.retry_blocking(move |transaction| transaction.create_index_with(index.clone(), &progress))
            .await?;
        self.tell_unfitted(&shown.progress(), lists);
        Ok(())
    }

    /// pgvector's notices, with its words: of a graph that was larger than `maintenance_work_mem`, and of more lists than
    /// there are vectors.
    fn tell_unfitted(&mut self, progress: &BuildProgress, lists: Option<u32>) {
        if lists.is_some_and(|lists| progress.total().0 < u64::from(lists)) {
            let notice = Error::new(SqlState("00000"), "ivfflat index created with little data")
                .detail("This will cause low recall.")
                .hint("Drop the index until the table has more data.");
            self.notice(Severity::Notice, notice);
        }
        let Some(rows) = progress.fitted() else { return };
        let message = format!("hnsw graph no longer fits into maintenance_work_mem after {rows} tuples");
        let notice = Error::new(SqlState("00000"), message)
            .detail("Building will take significantly more time.")
            .hint("Increase maintenance_work_mem to speed up builds.");
        self.notice(Severity::Notice, notice);
    }

    /// The build is seen until what this answers is dropped. `old` is the index it replaces, if any.
    fn show_build(&self, index: &Index, old: Oid, command: &'static str) -> ShownBuild {
        let settings = self.shared.settings.lock();
        let helpers = settings.int(id::MAX_PARALLEL_MAINTENANCE_WORKERS);
        let kilobytes = settings.int(id::MAINTENANCE_WORK_MEM);
        drop(settings);
        let mut progress = BuildProgress::new(index.table, old, self.cancel.raised().clone());
        progress.of = Some(index.method);
        progress.helpers = usize::try_from(helpers).ok();
        progress.memory_max = u64::try_from(kilobytes).ok().map(|kilobytes| kilobytes * 1024);
        ShownBuild::new(self.shared.clone(), command, Arc::new(progress))
    }

    /// Builds graphs anew, and compares unique keys with the rows. Metadata indexes are made when the server starts.
    pub(crate) async fn reindex(
        &mut self,
        kind: ReindexKind,
        name: Option<&Name>,
        concurrently: bool,
    ) -> Result<Response> {
        match (concurrently, kind) {
            (true, _) => self.refuse_in_block("REINDEX CONCURRENTLY")?,
            (false, ReindexKind::Schema) => self.refuse_in_block("REINDEX SCHEMA")?,
            (false, ReindexKind::Database) => self.refuse_in_block("REINDEX DATABASE")?,
            (false, ReindexKind::Index | ReindexKind::Table) => {}
        }
        self.start_statement()?;
        for index in self.indexes_to_rebuild(kind, name)? {
            let command = if concurrently { "REINDEX CONCURRENTLY" } else { "REINDEX" };
            let (old, new, shown) = (index.oid, self.new_oid()?, self.show_build(&index, index.oid, command));
            let progress = shown.progress();
            let rebuild = move |transaction: &mut Transaction| transaction.rebuild_index(old, new, &progress);
            let is_there = self.retry_blocking(rebuild).await?;
            self.tell_unfitted(&shown.progress(), index.ivfflat.map(|options| options.lists));
            // Of many, one that was dropped meanwhile is no matter.
            if let (false, ReindexKind::Index, Some(name)) = (is_there, kind, name) {
                return Err(undefined_relation(name));
            }
        }
        Ok(done("REINDEX"))
    }

    fn indexes_to_rebuild(&self, kind: ReindexKind, name: Option<&Name>) -> Result<Vec<Arc<Index>>> {
        let catalog = self.shared.current_catalog();
        let Some(name) = name else {
            return match kind {
                ReindexKind::Database => Ok(catalog.indexes().cloned().collect()),
                _ => Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of input")),
            };
        };
        let wrong = |what: &str| {
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not {what}", name.name)))
        };
        match (kind, self.shared.relation(&catalog, name)) {
            (ReindexKind::Schema, _) if catalog.schema(&name.name).is_some() => {
                let inside = |index: &&Arc<Index>| catalog.schema_of_index(index) == name.name;
                Ok(catalog.indexes().filter(inside).cloned().collect())
            }
            (ReindexKind::Schema, _) => {
                let message = format!("schema \"{}\" does not exist", name.name);
                Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message))
            }
            (ReindexKind::Database, _) if name.name == self.shared.database => {
                Ok(catalog.indexes().cloned().collect())
            }
            (ReindexKind::Database, _) => Err(Error::unsupported("REINDEX of a database that is not open")),
            (_, None) => Err(undefined_relation(name)),
            (ReindexKind::Index, Some(Relation::Index(index))) => Ok(vec![index]),
            (ReindexKind::Index, Some(Relation::PartitionIndex(_)))
            | (ReindexKind::Table, Some(Relation::Partition(_))) => {
                Err(Error::unsupported("REINDEX of one partition alone"))
            }
            (ReindexKind::Index, Some(_)) => wrong("an index"),
            (ReindexKind::Table, Some(Relation::Table(table))) => {
                Ok(catalog.indexes_of(table.oid).cloned().collect())
            }
            (ReindexKind::Table, Some(_)) => wrong("a table or materialized view"),
        }
    }
}

/// What the columns of an index are called where it has no name of its own, as in PostgreSQL.
pub(super) fn column_names(create: &CreateIndex) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(create.columns.len());
    let bases = create.columns.iter().map(|column| column_name(&column.subject));
    for base in bases.chain(create.included.iter().cloned()) {
        let mut name = base.clone();
        let mut number = 0;
        while names.contains(&name) {
            number += 1;
            name = format!("{base}{number}");
        }
        names.push(name);
    }
    names
}

fn column_name(subject: &IndexSubject) -> String {
    match subject {
        IndexSubject::Column(name) => name.clone(),
        IndexSubject::Expression(expression) => match rewrite::name_of(expression).as_str() {
            "?column?" => "expr".to_owned(),
            name => name.to_owned(),
        },
    }
}

/// The index, and in the table the hidden columns it needs.
pub(super) fn definition(
    create: &CreateIndex,
    table: &mut Table,
    oid: u32,
    context: &PlanContext,
) -> Result<Index> {
    let mut index = Index {
        oid,
        name: String::new(),
        table: table.oid,
        method: IndexMethod::Btree,
        columns: Vec::new(),
        included: Vec::new(),
        orders: Vec::new(),
        options: Vec::new(),
        opclasses: Vec::new(),
        unique: create.unique,
        nulls_equal: create.nulls_equal,
        constraint: None,
        hnsw: None,
        predicate: predicate(create, table, context)?,
        ivfflat: None,
        ..Index::default()
    };
    for column in &create.columns {
        index.columns.push(match &column.subject {
            IndexSubject::Column(name) => {
                let found = table.column(name).ok_or_else(|| {
                    Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
                })?;
                found.number
            }
            IndexSubject::Expression(expression) => {
                let sql = kept_expression(expression);
                let ty = check_kept(table, &sql, None, Place::Index, context)?;
                if let Type::Record(_) = ty {
                    let name = column_name(&column.subject);
                    let message = format!("column \"{name}\" has pseudo-type record");
                    return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
                }
                let generated = Generated { sql, guard: index.guard() };
                hidden_column(table, &column_name(&column.subject), generated, ty)
            }
        });
    }
    for name in &create.included {
        let found = table.column(name).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
        })?;
        index.included.push(found.number);
    }
    if !index.included.is_empty() && !matches!(create.method.as_str(), "btree" | "gist") {
        let message = format!("access method \"{}\" does not support included columns", create.method);
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    match create.method.as_str() {
        "hnsw" => hnsw(create, table, &mut index)?,
        "ivfflat" => ivfflat(create, table, &mut index)?,
        "btree" => metadata(create, table, &mut index, IndexMethod::Btree)?,
        "bitmap" => metadata(create, table, &mut index, IndexMethod::Bitmap)?,
        "hash" => metadata(create, table, &mut index, IndexMethod::Hash)?,
        "gin" => inverted(create, table, &mut index, IndexMethod::Gin)?,
        "gist" => inverted(create, table, &mut index, IndexMethod::Gist)?,
        method @ ("brin" | "spgist") => {
            return Err(Error::unsupported(format!("access method \"{method}\"")));
        }
        method => {
            let message = format!("access method \"{method}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
    }
    index.orders = orders(&create.columns, index.method)?;
    if index.unique {
        check_unique(table, &index.columns, false)?;
    }
    Ok(index)
}

/// How the columns are sorted, where it is not as by default. Both directions cost the same: what metadata indexes answer
/// has the order of the query.
fn orders(columns: &[IndexColumn], method: IndexMethod) -> Result<Vec<KeyOrder>> {
    if !matches!(method, IndexMethod::Btree | IndexMethod::Bitmap) {
        let refused = [
            ("ASC/DESC", columns.iter().any(|column| column.descending.is_some())),
            ("NULLS FIRST/LAST", columns.iter().any(|column| column.nulls_first.is_some())),
        ];
        if let Some((what, _)) = refused.iter().find(|(_, present)| *present) {
            let message = format!("access method \"{}\" does not support {what} options", method.name());
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
    }
    let order = |column: &IndexColumn| {
        let descending = column.descending.unwrap_or_default();
        KeyOrder { descending, nulls_first: column.nulls_first.unwrap_or(descending) }
    };
    let orders: Vec<KeyOrder> = columns.iter().map(order).collect();
    let is_plain = orders.iter().all(|order| *order == KeyOrder::default());
    Ok(if is_plain { Vec::new() } else { orders })
}

/// WHERE. Indexes with entries of their own have its value in a hidden column.
fn predicate(
    create: &CreateIndex,
    table: &mut Table,
    context: &PlanContext,
) -> Result<Option<IndexPredicate>> {
    let Some(predicate) = &create.predicate else { return Ok(None) };
    let sql = kept_expression(predicate);
    let ty = check_kept(table, &sql, None, Place::IndexPredicate, context)?;
    if ty != Type::Bool {
        let message = format!("argument of WHERE must be type boolean, not type {}", ty.bare());
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    let on_expression = |column: &IndexColumn| matches!(column.subject, IndexSubject::Expression(_));
    let has_entries = create.unique
        || matches!(create.method.as_str(), "hnsw" | "ivfflat")
        || create.columns.iter().any(on_expression);
    let column = has_entries
        .then(|| hidden_column(table, "predicate", Generated { sql: sql.clone(), guard: None }, Type::Bool));
    Ok(Some(IndexPredicate { sql, column }))
}

/// What hnsw and ivfflat have in common: one column, of a type that the operator class is of. Answers its metric and
/// that type.
fn vector_index(
    create: &CreateIndex,
    table: &Table,
    index: &mut Index,
    method: IndexMethod,
) -> Result<(IndexMetric, Type)> {
    index.method = method;
    let name = method.name();
    if create.unique {
        let message = format!("access method \"{name}\" does not support unique indexes");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let [column] = create.columns.as_slice() else {
        let message = format!("access method \"{name}\" does not support multicolumn indexes");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    };
    let Some(found) = index.columns.first().and_then(|&number| table.column_number(number)) else {
        return Err(Error::internal("an index without its column"));
    };
    let (metric, opclass) = operator_class(column, &found.ty, method)?;
    check_dimensions(&found.ty, method)?;
    index.opclasses = vec![opclass];
    Ok((metric, found.ty.clone()))
}

fn ivfflat(create: &CreateIndex, table: &Table, index: &mut Index) -> Result<()> {
    let (metric, _) = vector_index(create, table, index, IndexMethod::Ivfflat)?;
    let mut lists = ivf::Params::LISTS_DEFAULT;
    for (name, value) in &create.options {
        match name.as_str() {
            "lists" => lists = u32::from(option(name, value, 1, ivf::Params::LISTS_MAX as u16)?),
            _ => return Err(unknown_option(name)),
        }
    }
    index.ivfflat = Some(IvfflatOptions { metric, lists });
    Ok(())
}

fn hnsw(create: &CreateIndex, table: &Table, index: &mut Index) -> Result<()> {
    let (metric, ty) = vector_index(create, table, index, IndexMethod::Hnsw)?;
    let (mut m, mut ef_construction, mut quantization) = (M.0, EF_CONSTRUCTION.0, None);
    for (name, value) in &create.options {
        match name.as_str() {
            "m" => m = option(name, value, M.1, M.2)?,
            "ef_construction" => ef_construction = option(name, value, EF_CONSTRUCTION.1, EF_CONSTRUCTION.2)?,
            "quantization" => quantization = quantization_option(value, metric, &ty)?,
            _ => return Err(unknown_option(name)),
        }
    }
    if ef_construction < 2 * m {
        let message = "ef_construction must be greater than or equal to 2 * m";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    index.hnsw = Some(HnswOptions { metric, m, ef_construction, quantization });
    Ok(())
}

/// pgvector's limits of what a vector index is over.
fn check_dimensions(ty: &Type, method: IndexMethod) -> Result<()> {
    let (dimensions, max) = match *ty {
        Type::Vector(dimensions) => (dimensions.map(u32::from), HNSW_DIMENSIONS_MAX as u32),
        Type::Halfvec(dimensions) => (dimensions.map(u32::from), 2 * HNSW_DIMENSIONS_MAX as u32),
        Type::Sparsevec(dimensions) => (dimensions, SPARSEVEC_DIMENSIONS_MAX as u32),
        Type::Bit(length) => (length, BIT_DIMENSIONS_MAX),
        _ => return Ok(()),
    };
    let Some(dimensions) = dimensions else {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "column does not have dimensions"));
    };
    if dimensions > max {
        let message = format!("column cannot have more than {max} dimensions for {} index", method.name());
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    Ok(())
}

/// Whether a vector index by this operator class can be over a column of this type.
pub(super) fn vector_index_accepts(method: IndexMethod, opclass: &str, ty: &Type) -> Result<bool> {
    let accepts = |(element, metric): (Element, Metric)| {
        type_of_element(element) == ty.bare() && metric.opclass(element.type_name()) == opclass
    };
    if !vector_classes(method).any(accepts) {
        return Ok(false);
    }
    check_dimensions(ty, method).map(|()| true)
}

/// The metric that the column's operator class names, or the default one is for, of a type it is of.
fn operator_class(column: &IndexColumn, ty: &Type, method: IndexMethod) -> Result<(IndexMetric, String)> {
    let undefined = |message: String| Error::new(SqlState::UNDEFINED_OBJECT, message);
    let mut classes = vector_classes(method);
    let default = || {
        let is_for = |&(element, _): &(Element, Metric)| type_of_element(element) == ty.bare();
        let mut classes = vector_classes(method).filter(is_for);
        let (element, metric) = classes.find(|&(element, metric)| is_default(method, element, metric))?;
        Some(metric.opclass(element.type_name()))
    };
    let Some(opclass) = column.opclass.clone().or_else(default) else {
        return Err(no_default_opclass(ty.entry().sql, method.name()));
    };
    let named = classes.find(|(element, metric)| metric.opclass(element.type_name()) == opclass);
    let Some((element, metric)) = named else {
        return Err(undefined(format!(
            "operator class \"{opclass}\" does not exist for access method \"{}\"",
            method.name()
        )));
    };
    if element == Element::Bit && matches!(ty, Type::Varbit(_)) {
        let message = format!("type not supported for {} index", method.name());
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    if type_of_element(element) != ty.bare() {
        let message = format!("operator class \"{opclass}\" does not accept data type {}", ty.entry().sql);
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    Ok((metric.into(), opclass))
}

/// `quantization = 'sq8'` and the others: of numbers, by the distances that their codes have, and where they are smaller
/// than what they stand for.
fn quantization_option(value: &str, metric: IndexMetric, ty: &Type) -> Result<Option<Quantization>> {
    let name = value.to_lowercase();
    if name == "none" {
        return Ok(None);
    }
    let Some(quantization) = Quantization::from_name(&name) else {
        let names: Vec<&str> = Quantization::ALL.iter().map(|quantization| quantization.name()).collect();
        let message = format!("invalid value for enum option \"quantization\": {value}");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .detail(format!("Valid values are \"none\" and \"{}\".", names.join("\", \""))));
    };
    let name = quantization.name();
    match (quantization, ty) {
        (_, Type::Vector(_) | Type::Halfvec(_)) if !quantization.ranks_by(metric.into()) => {
            Err(Error::unsupported(format!("quantization {name} of an index by taxicab distance")))
        }
        (_, Type::Vector(_))
        | (Quantization::Sq8 | Quantization::Bq | Quantization::Pq, Type::Halfvec(_)) => {
            Ok(Some(quantization))
        }
        _ => Err(Error::unsupported(format!("quantization {name} of an index on type {}", ty.bare()))),
    }
}

/// An option of WITH in its range.
fn option(name: &str, value: &str, min: u16, max: u16) -> Result<u16> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let number: i64 = value
        .parse()
        .map_err(|_| invalid(format!("invalid value for integer option \"{name}\": {value}")))?;
    match u16::try_from(number) {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(invalid(format!("value {value} out of bounds for option \"{name}\""))
            .detail(format!("Valid values are between \"{min}\" and \"{max}\"."))),
    }
}

fn unknown_option(name: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized parameter \"{name}\""))
}

fn metadata(create: &CreateIndex, table: &Table, index: &mut Index, method: IndexMethod) -> Result<()> {
    index.method = method;
    if create.unique && method != IndexMethod::Btree {
        let message = format!("access method \"{}\" does not support unique indexes", create.method);
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    if method == IndexMethod::Hash && create.columns.len() > 1 {
        let message = "access method \"hash\" does not support multicolumn indexes";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    for (column, &number) in create.columns.iter().zip(&index.columns) {
        let Some(found) = table.column_number(number) else { continue };
        let ty = &found.ty;
        if ty.is_pgvectors() || ty.is_slot_vector() {
            return Err(Error::unsupported(format!("a {} index on type {}", create.method, ty.bare())));
        }
        if column.opclass.is_none() && !has_default_opclass(method, ty) {
            return Err(no_default_opclass(ty.entry().sql, &create.method));
        }
        if let Some(opclass) = &column.opclass {
            check_opclass(method, opclass, ty)?;
        }
    }
    if create.columns.iter().any(|column| column.opclass.is_some()) {
        let named = create.columns.iter().map(|column| column.opclass.clone().unwrap_or_default());
        index.opclasses = named.collect();
    }
    let known: &[&str] = match method {
        IndexMethod::Hash => &["fillfactor"],
        _ => &["fillfactor", "deduplicate_items"],
    };
    keep_options(create, index, known)
}

/// 42704 for an index by a method that has nothing for values of a type.
pub(super) fn no_default_opclass(ty: &str, method: &str) -> Error {
    let message = format!("data type {ty} has no default operator class for access method \"{method}\"");
    Error::new(SqlState::UNDEFINED_OBJECT, message).hint(
        "You must specify an operator class for the index or define a default operator class for the data type.",
    )
}

/// Whether an index by one of these methods can be over a column of this type.
pub(super) fn metadata_accepts(method: IndexMethod, ty: &Type) -> bool {
    !ty.is_pgvectors() && !ty.is_slot_vector() && has_default_opclass(method, ty)
}

/// Whether values of the type have an order that a btree keeps, or a hash.
fn has_default_opclass(method: IndexMethod, ty: &Type) -> bool {
    match ty {
        Type::Json => false,
        Type::Bit(_) | Type::Varbit(_) | Type::TsVector | Type::TsQuery | Type::Money => {
            method != IndexMethod::Hash
        }
        _ => true,
    }
}

/// Storage parameters, which tell PostgreSQL how to fill pages and when to write them; there are no pages here.
pub(super) fn keep_options(create: &CreateIndex, index: &mut Index, known: &[&str]) -> Result<()> {
    storage_parameters::refuse_twice(create.options.iter().map(|(name, _)| name.as_str()))?;
    for (name, value) in &create.options {
        storage_parameters::check_of_index(name, value, known)?;
    }
    index.options.clone_from(&create.options);
    Ok(())
}
