//! The nearest rows of one table: ORDER BY v <-> q LIMIT k, with any predicate over the table.
//!
//! 1. The rows that may be returned. Metadata indexes answer the predicate with a bitmap; what is dirty (changed since
//!    the snapshot, or written by the transaction itself) is tested row by row. So the set is known exactly, and its
//!    size decides the strategy ([`crate::index::search()`]).
//! 2. A predicate that indexes cannot answer is tested on hits: the search runs over a superset with a growing k
//!    until k hits passed. When that gets long, every row is tested once and the search runs over exactly those.
//! 3. The hits' distances are computed as SQL shows them, and sorted by them: ascending, then NaN, then NULL.
//! 4. Their rows are read; vectors of returned rows have their checksums compared.
//!
//! The answer has min(k, matching rows) rows whatever the strategy. An index can make it faster, and approximate; the
//! report says which.

// What EXPLAIN tells of a search.
mod report;
// How hard to search, so that recall is what was asked for.
mod target;
// Searches for many outer rows at once.
mod together;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float64Builder, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::distance::{Element, Metric, Query, Vector};
use crate::error::Error;
use crate::functions::cells::{Cell, check_same_dimensions, read};
use crate::index::recall::Advice;
use crate::index::strategy::Shape;
use crate::index::{Finder, Found, Probes, Request, Rows, Strategy, search};
use crate::storage::Row;
use crate::table::bindings::{Bindings, Execution};
use crate::table::columns::Decoder;
use crate::table::explained::Explained;
use crate::table::predicate::{Clause, Filter, count_of, evaluate, unqualified};
use crate::table::provider::TableSourceProvider;
use crate::table::reader::{BATCH_ROWS, batch, passing};
use crate::table::scan::{HEAVY_ROWS, ScanExec, leaf_properties};
use crate::table::{Snapshot, VectorIndexView};
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::field;
use crate::vectors::View;

use report::{Recall, Report, shown_costs};
use target::Aim;
use together::Later;

pub use together::Searches;

/// The column a search adds to its table.
pub const DISTANCE_COLUMN: &str = "\u{1}distance";
/// Hits asked for per row wanted when hits are tested afterwards, at first.
const OVERFETCH: usize = 4;
/// Hits tested one by one before all rows are tested instead: about 2 ms of reading rows.
const TESTED_HITS_MAX: usize = 2_000;

/// What is searched for.
#[derive(Clone, Debug)]
pub struct Question {
    /// Position of the vector column in the table's stored rows.
    pub column: usize,
    /// The column, or the expression whose values a hidden column holds.
    pub subject: Expr,
    pub metric: Metric,
    /// The SQL function that computes it, to be recognised in predicates.
    pub function: &'static str,
    /// The query vector, without columns.
    pub query: Expr,
    /// Rows wanted: LIMIT, then OFFSET if there is one; each a constant or a parameter.
    pub limit: Vec<Expr>,
    /// Rows as far as the last one wanted are returned too: further sort keys choose among them.
    pub with_ties: bool,
}

/// A table that is searched: its columns, and the distance.
#[derive(Clone, Debug)]
pub struct KnnProvider {
    table: TableSourceProvider,
    question: Question,
    schema: SchemaRef,
    /// The query again, for outer rows whose turn has not come; once it is bound.
    later: Option<(Arc<Bindings>, Expr)>,
    /// One for each search that was planned.
    number: u64,
}

/// Numbers of searches.
static SEARCHES: AtomicU64 = AtomicU64::new(0);

impl KnnProvider {
    pub fn new(table: TableSourceProvider, question: Question) -> KnnProvider {
        let base = table.schema();
        let mut fields: Vec<_> = base.fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(field(DISTANCE_COLUMN, &Type::Float8, true));
        let schema = Arc::new(Schema::new(fields));
        let number = SEARCHES.fetch_add(1, Ordering::Relaxed);
        KnnProvider { table, question, schema, later: None, number }
    }

    pub fn table(&self) -> &TableSourceProvider {
        &self.table
    }

    pub fn question(&self) -> &Question {
        &self.question
    }

    /// The provider of a plan that is about to be finished; `bind` makes expressions readers of a cell.
    pub fn bind(
        &self,
        bindings: &Arc<Bindings>,
        bind: impl Fn(Expr, &Arc<Bindings>) -> Result<Expr>,
    ) -> Result<KnnProvider> {
        let bound = |expr: &Expr| bind(expr.clone(), bindings);
        let question = Question {
            query: bound(&self.question.query)?,
            limit: self.question.limit.iter().map(bound).collect::<Result<_>>()?,
            ..self.question.clone()
        };
        let later = Bindings::new();
        let query = bind(self.question.query.clone(), &later)?;
        let (table, later) = (self.table.bind(bindings), Some((later, query)));
        Ok(KnnProvider { table, question, later, ..self.clone() })
    }

    /// The number of the column that is searched.
    pub fn column_number(&self) -> u16 {
        number_of(&self.table, self.question.column)
    }
}

fn number_of(table: &TableSourceProvider, column: usize) -> u16 {
    table.definition().stored_column(column).map_or(0, |column| column.number)
}

#[async_trait]
impl TableProvider for KnnProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let constant = |expr: &Expr| session.create_physical_expr(expr.clone(), &DFSchema::empty());
        let is_bound = |filter: &Expr| bounds_distance(filter, &self.question);
        let later = self.later.as_ref().map(|(bindings, query)| {
            let (bindings, query) = (Arc::clone(bindings), constant(query)?);
            Ok::<_, DataFusionError>(Later { number: self.number, bindings, query })
        });
        let later = later.transpose()?;
        let (bounds, filters): (Vec<Expr>, Vec<Expr>) = filters.iter().cloned().partition(is_bound);
        Ok(Arc::new(KnnScanExec {
            properties: leaf_properties(Arc::new(self.schema.project(&columns)?)),
            bindings: self.table.bindings()?,
            filter: Arc::new(Filter::new(&self.table, session, &filters)?),
            bounds: Filter::new(&self.table, session, &bounds)?,
            query: constant(&self.question.query)?,
            limit: self.question.limit.iter().map(constant).collect::<Result<_>>()?,
            distance: self.schema.fields().len() - 1,
            columns,
            table: self.table.clone(),
            column: self.question.column,
            metric: self.question.metric,
            with_ties: self.question.with_ties,
            later,
            report: Mutex::new(None),
        }))
    }
}

/// Whether a predicate says that the distance in question is below something.
fn bounds_distance(filter: &Expr, question: &Question) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return false };
    let (distance, bound) = match op {
        Operator::Lt | Operator::LtEq => (left, right),
        Operator::Gt | Operator::GtEq => (right, left),
        _ => return false,
    };
    let Expr::ScalarFunction(call) = distance.as_ref() else { return false };
    let subject = unqualified(question.subject.clone());
    let is_subject = |expr: &Expr| unqualified(expr.clone()) == subject;
    bound.column_refs().is_empty()
        && call.func.name() == question.function
        && call.args.len() == 2
        && call.args.iter().any(is_subject)
        && call.args.contains(&question.query)
}

/// The physical node.
pub struct KnnScanExec {
    table: TableSourceProvider,
    bindings: Arc<Bindings>,
    /// As in the question.
    column: usize,
    metric: Metric,
    with_ties: bool,
    filter: Arc<Filter>,
    /// Upper bounds of the distance itself. Of rows in order, those that pass come first.
    bounds: Filter,
    query: Arc<dyn PhysicalExpr>,
    limit: Vec<Arc<dyn PhysicalExpr>>,
    /// Positions in the table's schema, in output order; the distance's own, behind the last one.
    columns: Vec<usize>,
    distance: usize,
    properties: Arc<PlanProperties>,
    /// For searches of outer rows whose turn has not come, where they can be told.
    later: Option<Later>,
    /// Of the last execution.
    report: Mutex<Option<Report>>,
}

/// A row of the answer: its distance (`None` for NULL), slot and bytes.
struct Answer {
    distance: Option<f64>,
    slot: u32,
    row: Row,
}

impl fmt::Debug for KnnScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnnScanExec({})", self.table.definition().name)
    }
}

impl DisplayAs for KnnScanExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explained().heading)
    }
}

/// A search whose query is known when it starts, and not before.
pub struct Late {
    /// Position of the vector column in the table.
    pub column: usize,
    pub metric: Metric,
    /// Without columns.
    pub query: Arc<dyn PhysicalExpr>,
    /// LIMIT, then OFFSET if there is one.
    pub limit: Vec<Arc<dyn PhysicalExpr>>,
    /// As in [`Question::with_ties`].
    pub with_ties: bool,
}

impl KnnScanExec {
    /// The nearest of the rows that a scan reads, as it gives them.
    pub fn of_scan(scan: &ScanExec, late: Late) -> KnnScanExec {
        KnnScanExec {
            table: scan.provider.clone(),
            bindings: Arc::clone(&scan.bindings),
            column: late.column,
            metric: late.metric,
            with_ties: late.with_ties,
            filter: Arc::clone(&scan.filter),
            bounds: Filter::none(),
            query: late.query,
            limit: late.limit,
            columns: scan.columns.clone(),
            distance: scan.provider.schema().fields().len(),
            properties: Arc::clone(&scan.properties),
            later: None,
            report: Mutex::new(None),
        }
    }

    fn column_number(&self) -> u16 {
        number_of(&self.table, self.column)
    }

    /// Whether the column is one that statements do not see.
    fn is_hidden(&self) -> bool {
        self.column >= self.table.definition().columns.len()
    }
}

impl KnnScanExec {
    /// What EXPLAIN shows: how the last execution went, or how one would go.
    pub fn explained(&self) -> Explained {
        if let Some(report) = self.report.lock().clone() {
            return self.describe(&report, true);
        }
        match self.outlook() {
            Some(report) => self.describe(&report, false),
            None => self.unknown(),
        }
    }

    /// In a subquery whose search depends on a row that is not there: the index that is there for it.
    fn unknown(&self) -> Explained {
        let index = self.bindings.execution().ok().and_then(|execution| {
            let snapshot = execution.look(self.table.definition().oid).ok()?;
            let number = self.column_number();
            let enabled = execution.settings.enable_indexscan && !execution.settings.require_exact;
            let index = snapshot.vector_index(number, self.metric, snapshot.live()).filter(|_| enabled);
            index.map(|index| index.index.name.clone())
        });
        let column = self.table.definition().title(self.column);
        let mut node = self.heading(index.as_deref());
        node = node.line("Order By", format!("({column} {} query)", self.metric.operator()));
        for filter in [&self.filter, &self.bounds].into_iter().filter_map(|filter| filter.text()) {
            node = node.line("Filter", filter);
        }
        node
    }

    /// As PostgreSQL calls it when an index answers, which scripts look for.
    fn heading(&self, index: Option<&str>) -> Explained {
        let table = self.table.definition().name.as_str();
        match index {
            Some(index) => Explained::new("Index Scan")
                .heading(format!("Index Scan using {index} on {table}"))
                .fact("Index Name", index),
            None => Explained::new("KnnScan").heading(format!("KnnScan on {table}")),
        }
        .fact("Relation Name", table)
    }

    fn describe(&self, report: &Report, ran: bool) -> Explained {
        let Found { strategy, exact, costs, fell_from, .. } = &report.found;
        let index = report.index.as_deref().filter(|_| *strategy != Strategy::Exact);
        let quality = if *exact { "exact" } else { "approximate" };
        let column = self.table.definition().title(self.column);
        let mut node = self.heading(index);
        node.heading +=
            &format!("  (strategy: {}, {quality}, candidates: {})", strategy.name(), report.candidates);
        node = node
            .fact("Strategy", strategy.name())
            .fact("Exact", *exact)
            .fact("Candidates", report.candidates);
        if let (Shape::Lists { lists, probes }, Strategy::Lists) = (report.shape, *strategy) {
            node = node.line("Probes", format!("{} of {lists} lists", probes.min(lists)));
        }
        if let Some(codes) = report.codes.filter(|_| *strategy != Strategy::Exact) {
            node = node.line("Codes", codes.name());
        }
        node = node.line("Order By", format!("({column} {} query)", self.metric.operator()));
        for filter in [&self.filter, &self.bounds].into_iter().filter_map(|filter| filter.text()) {
            node = node.line("Filter", filter);
        }
        node = node.line("Cost", shown_costs(costs, *strategy, report.shape));
        if let Some(aim) = &report.aim {
            node = node.line("Recall Target", aim.text());
        }
        if let Some(fell_from) = fell_from {
            node = node.line("Fell back from", fell_from.name());
        }
        if ran { report.explain(node) } else { node }
    }

    /// What an execution would do, for EXPLAIN without ANALYZE.
    fn outlook(&self) -> Option<Report> {
        let execution = self.bindings.execution().ok()?;
        let search = Search::new(self, &execution).ok()?;
        let rows = search.superset().ok()?;
        let index = search.usable_index(&rows);
        let query = search.query.as_ref()?.vector();
        let request = search.request(query, &rows, index.as_ref(), search.limit, false);
        let target = execution.settings.recall_target;
        let advice = index.as_ref().and_then(|view| target::advice(&request, view, target));
        let request = match advice {
            Some(advice) => target::advised(&request, advice),
            None => request,
        };
        let (costs, strategy) = crate::index::search::outlook(&request);
        let exact = strategy == Strategy::Exact;
        let found =
            Found { hits: Vec::new(), strategy, fell_from: None, exact, counters: Default::default(), costs };
        let (probes, aim) = (request.probes, advice.map(|advice| Aim { target, advice }));
        Some(search.report(Near { found, together: 1, probes, aim, index: index.clone() }, &rows, 0))
    }
}

impl KnnScanExec {
    /// Whether an execution may take longer than 2 ms: without an index, or with a predicate that is tested on rows.
    pub fn is_heavy(&self, execution: &Execution) -> bool {
        let Ok(snapshot) = execution.look(self.table.definition().oid) else { return false };
        let number = self.column_number();
        let indexed = execution.settings.enable_indexscan && snapshot.has_vector_index(number, self.metric);
        snapshot.live().len() > HEAVY_ROWS && (!indexed || !self.filter.is_answerable())
    }
}

impl ExecutionPlan for KnnScanExec {
    fn name(&self) -> &str {
        "KnnScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = Arc::clone(self.properties.eq_properties.schema());
        let answer = self.answer(&schema).map_err(external)?;
        Ok(Box::pin(MemoryStream::try_new(answer, schema, None)?))
    }
}

impl KnnScanExec {
    fn answer(&self, schema: &SchemaRef) -> crate::error::Result<Vec<RecordBatch>> {
        let started = std::time::Instant::now();
        let execution = self.bindings.execution()?;
        let search = Search::new(self, &execution)?;
        let (answers, mut report) = search.run()?;
        if let Some(report) = &mut report {
            report.microseconds = started.elapsed().as_micros();
            if execution.settings.measure_recall {
                report.recall = Some(search.recall(&answers)?);
            }
        }
        *self.report.lock() = report;
        // Many rows' texts would be more than one column of a batch can hold.
        let mut left = answers.iter();
        let mut batches = Vec::new();
        while !left.as_slice().is_empty() {
            batches.push(self.batch(schema, &search.snapshot, &mut left)?);
        }
        Ok(batches)
    }

    /// Of the next answers, as many as are gathered at once.
    fn batch(
        &self,
        schema: &SchemaRef,
        snapshot: &Arc<Snapshot>,
        answers: &mut std::slice::Iter<'_, Answer>,
    ) -> crate::error::Result<RecordBatch> {
        let stored: Vec<usize> =
            self.columns.iter().copied().filter(|column| *column != self.distance).collect();
        let mut distances = Float64Builder::with_capacity(answers.len().min(BATCH_ROWS));
        let mut rows = snapshot.no_rows();
        while rows.len() < BATCH_ROWS
            && !rows.is_full()
            && let Some(answer) = answers.next()
        {
            distances.append_option(answer.distance);
            rows.push(answer.slot, answer.row.clone());
        }
        let distances: ArrayRef = Arc::new(distances.finish());
        let mut decoded = Decoder::new(Arc::clone(snapshot), &stored)?.decode(&rows, &stored)?.into_iter();
        let columns = self.columns.iter().map(|column| match *column == self.distance {
            true => Some(Arc::clone(&distances)),
            false => decoded.next(),
        });
        let columns: Option<Vec<ArrayRef>> = columns.collect();
        let columns = columns.ok_or_else(|| Error::internal("a search lost a column"))?;
        batch(schema, columns, rows.len())
    }
}

/// One execution of a search.
struct Search<'a> {
    scan: &'a KnnScanExec,
    execution: &'a Execution,
    snapshot: Arc<Snapshot>,
    /// `None` for a NULL query: no row has a distance.
    query: Option<Cell<'static>>,
    limit: usize,
    view: View,
}

/// What a search found, and how.
struct Near {
    found: Found,
    /// How many queries were compared together.
    together: usize,
    /// Lists that were looked into.
    probes: Probes,
    /// With `hither.recall_target`.
    aim: Option<Aim>,
    index: Option<VectorIndexView>,
}

/// Without an index nothing waits to get into it.
static NO_TAIL: LazyLock<RoaringBitmap> = LazyLock::new(RoaringBitmap::new);

/// Slots in the parts that [`Rows`] borrows.
#[derive(Clone)]
struct RowSet {
    base: Arc<RoaringBitmap>,
    dirty: Arc<RoaringBitmap>,
    visible: Arc<RoaringBitmap>,
    /// Whether all of them pass the filter.
    exact: bool,
}

impl RowSet {
    fn rows(&self) -> Rows<'_> {
        Rows::new(&self.base, &self.dirty, &self.visible)
    }

    /// Whether both have the same slots.
    fn is(&self, other: &RowSet) -> bool {
        let same = |a: &Arc<RoaringBitmap>, b: &Arc<RoaringBitmap>| Arc::ptr_eq(a, b) || a == b;
        same(&self.base, &other.base)
            && same(&self.dirty, &other.dirty)
            && same(&self.visible, &other.visible)
    }
}

impl<'a> Search<'a> {
    fn new(scan: &'a KnnScanExec, execution: &'a Execution) -> crate::error::Result<Search<'a>> {
        let table = scan.table.definition();
        let snapshot = Arc::clone(execution.snapshot(table.oid)?);
        let number = scan.column_number();
        let view = match scan.is_hidden() {
            true => snapshot.hidden_view(number)?,
            false => snapshot.vector_view(number)?,
        };
        snapshot.refuse_damaged(&view)?;
        let query = query_vector(&evaluate(&scan.query)?, view.element())?;
        if let Some(query) = &query {
            check_dimensions(&view, query.vector())?;
        }
        let mut limit = 0usize;
        for (clause, part) in [Clause::Limit, Clause::Offset].into_iter().zip(&scan.limit) {
            let none = if matches!(clause, Clause::Limit) { usize::MAX } else { 0 };
            limit = limit.saturating_add(count_of(Some(part), clause)?.unwrap_or(none));
        }
        Ok(Search { scan, execution, snapshot, query, limit, view })
    }

    /// The answer in order, and how it came about.
    fn run(&self) -> crate::error::Result<(Vec<Answer>, Option<Report>)> {
        if self.limit == 0 {
            return Ok((Vec::new(), None));
        }
        let superset = self.superset()?;
        // One more than wanted shows where the ties end.
        let mut wanted = self.limit.saturating_add(usize::from(self.scan.with_ties));
        loop {
            let (mut answers, report) = self.bounded(&superset, wanted)?;
            let Some(report) = report else { return Ok((answers, None)) };
            if !self.scan.with_ties {
                answers.truncate(self.limit);
                return Ok((answers, Some(report)));
            }
            // All rows at the distance of the last one wanted: some more, until a farther one shows.
            let Some(last) = answers.get(self.limit - 1) else { return Ok((answers, Some(report))) };
            let last = last.distance;
            if answers.len() < wanted || answers.last().is_some_and(|row| !same(row.distance, last)) {
                let ties = answers.iter().skip(self.limit).take_while(|row| same(row.distance, last)).count();
                answers.truncate(self.limit + ties);
                return Ok((answers, Some(report)));
            }
            wanted = wanted.saturating_mul(2).max(wanted.saturating_add(16));
        }
    }

    /// Compares an answer with what the exact search finds in the same snapshot.
    fn recall(&self, answers: &[Answer]) -> crate::error::Result<Recall> {
        let (mut exact, _) = self.search(&self.superset()?, answers.len(), true)?;
        exact.truncate(answers.len());
        let exact = self.passing(&self.scan.bounds, exact)?;
        let rows = |rows: &[Answer]| rows.iter().map(|row| (row.distance, row.slot)).collect::<Vec<_>>();
        Ok(Recall::of(&rows(answers), &rows(&exact)))
    }

    /// Rows that contain all which pass the filter, exactly those if indexes can tell.
    fn superset(&self) -> crate::error::Result<RowSet> {
        let (snapshot, filter) = (&self.snapshot, &self.scan.filter);
        let (dirty, mut visible) = (Arc::clone(snapshot.dirty()), snapshot.visible_dirty()?);
        if filter.is_empty() {
            return Ok(RowSet { base: Arc::clone(snapshot.live()), dirty, visible, exact: true });
        }
        if !visible.is_empty() {
            visible = Arc::new(self.test_all(&visible)?);
        }
        Ok(match filter.answer(snapshot, &self.execution.cancel)? {
            Some(answer) => RowSet { base: answer.slots, dirty, visible, exact: answer.exact },
            None => RowSet { base: Arc::clone(snapshot.live()), dirty, visible, exact: false },
        })
    }

    /// [`Search::search`] within the bounds of the distance. When they leave too few of an approximate answer, the
    /// search is exact: then whatever is not in it is farther than some row out of bounds.
    fn bounded(
        &self,
        superset: &RowSet,
        wanted: usize,
    ) -> crate::error::Result<(Vec<Answer>, Option<Report>)> {
        let (answers, report) = self.search(superset, wanted, false)?;
        if self.scan.bounds.is_empty() {
            return Ok((answers, report));
        }
        let within = self.passing(&self.scan.bounds, answers)?;
        if within.len() >= wanted || report.as_ref().is_none_or(|report| report.found.exact) {
            return Ok((within, report));
        }
        let (answers, report) = self.search(superset, wanted, true)?;
        Ok((self.passing(&self.scan.bounds, answers)?, report))
    }

    /// At least `wanted` of the nearest rows, in order, if there are as many.
    fn search(
        &self,
        superset: &RowSet,
        wanted: usize,
        exactly: bool,
    ) -> crate::error::Result<(Vec<Answer>, Option<Report>)> {
        let Some(query) = self.query.as_ref().map(Cell::vector) else {
            // Every row is at the same distance from it.
            let wanted = if self.scan.with_ties { usize::MAX } else { wanted };
            return Ok((self.without_distance(superset, wanted)?, None));
        };
        let mut tested = 0;
        if superset.exact {
            let near = self.nearest(query, superset, wanted, exactly)?;
            let answers = self.answers(query, &near.found)?;
            return Ok((answers, Some(self.report(near, superset, tested))));
        }
        let candidates = superset.rows().len();
        let mut hits_wanted = wanted.saturating_mul(OVERFETCH);
        while hits_wanted <= TESTED_HITS_MAX {
            let near = self.nearest(query, superset, hits_wanted, exactly)?;
            let all = (near.found.hits.len() as u64) >= candidates;
            let answers = self.answers(query, &near.found)?;
            tested += answers.len();
            let passing = self.passing(&self.scan.filter, answers)?;
            if passing.len() >= wanted || all {
                return Ok((passing, Some(self.report(near, superset, tested))));
            }
            hits_wanted *= OVERFETCH;
        }
        let all = superset.rows().to_bitmap();
        let passing = Arc::new(self.test_all(&all)?);
        let exact = RowSet { base: passing, dirty: Arc::default(), visible: Arc::default(), exact: true };
        let near = self.nearest(query, &exact, wanted, exactly)?;
        let answers = self.answers(query, &near.found)?;
        Ok((answers, Some(self.report(near, &exact, tested + candidates as usize))))
    }

    /// The search proper: slots by rank.
    fn nearest(
        &self,
        query: Vector<'_>,
        rows: &RowSet,
        k: usize,
        exactly: bool,
    ) -> crate::error::Result<Near> {
        let index = self.usable_index(rows);
        let request = self.request(query, rows, index.as_ref(), k, exactly);
        let target = self.execution.settings.recall_target;
        let advice = index.as_ref().and_then(|view| target::advice(&request, view, target));
        let (found, probes, together) = match (advice, &index) {
            (Some(advice), Some(view)) => {
                (target::follow(&request, view, advice)?, target::advised(&request, advice).probes, 1)
            }
            _ => match self.together(&request, rows)? {
                Some((found, together)) => (found, request.probes, together),
                None => {
                    let found = search(&request)?;
                    if !exactly {
                        self.begin_together(&request, rows, &found);
                    }
                    (found, request.probes, 1)
                }
            },
        };
        // Also when nothing was known to meet the target: it may be, one day.
        if let Some(view) = index.as_ref().filter(|_| !found.exact || advice == Some(Advice::Exact)) {
            self.offer_audit(&request, rows, view);
        }
        let aim = advice.map(|advice| Aim { target, advice });
        Ok(Near { found, together, probes, aim, index })
    }

    fn request<'b>(
        &'b self,
        query: Vector<'b>,
        rows: &'b RowSet,
        index: Option<&'b VectorIndexView>,
        k: usize,
        exactly: bool,
    ) -> Request<'b, View> {
        let settings = &self.execution.settings;
        Request {
            vectors: &self.view,
            query: Query::new(self.scan.metric, query),
            rows: rows.rows(),
            finder: index.map(|index| index.finder.as_ref()),
            tail: index.map_or(&NO_TAIL, |index| &index.tail),
            k: k.min(rows.rows().len() as usize),
            ef: settings.ef_search,
            probes: settings.probes,
            strategy: if exactly { Some(Strategy::Exact) } else { self.asked_strategy(index, rows) },
            distances_max: settings.max_scan_tuples as u64,
            cancel: &self.execution.cancel,
        }
    }

    /// The index to search `rows` with.
    fn usable_index(&self, rows: &RowSet) -> Option<VectorIndexView> {
        if !self.execution.settings.enable_indexscan {
            return None;
        }
        self.snapshot.vector_index(self.scan.column_number(), self.scan.metric, &rows.base)
    }

    fn report(&self, near: Near, rows: &RowSet, tested: usize) -> Report {
        let Near { found, together, probes, aim, index } = near;
        let shape = index.as_ref().map_or(Shape::Nothing, |index| Shape::of(&index.finder, probes));
        let codes = index.as_ref().and_then(|index| index.finder.quantization());
        let index = index.map(|index| index.index.name.clone());
        let candidates = rows.rows().len();
        let (microseconds, recall) = (0, None);
        Report { found, together, index, shape, codes, candidates, tested, aim, microseconds, recall }
    }

    /// With `hither.require_exact` everything is compared. Without `enable_seqscan` the graph is walked even where
    /// comparing everything is cheaper.
    fn asked_strategy(&self, index: Option<&VectorIndexView>, rows: &RowSet) -> Option<Strategy> {
        if self.execution.settings.require_exact {
            return Some(Strategy::Exact);
        }
        if self.execution.settings.enable_seqscan {
            return None;
        }
        let finder = &index?.finder;
        if let Finder::Lists(_) = **finder {
            return Some(Strategy::Lists);
        }
        // A filter may leave all that a partial index has.
        let all = rows.rows().len() >= finder.nodes().len();
        Some(if all || self.scan.filter.is_empty() { Strategy::Graph } else { Strategy::FilteredGraph })
    }

    /// Hits as rows, in the order of the distances SQL shows.
    fn answers(&self, query: Vector<'_>, found: &Found) -> crate::error::Result<Vec<Answer>> {
        let query = Query::new(self.scan.metric, query);
        let mut answers = Vec::with_capacity(found.hits.len());
        for hit in &found.hits {
            let slot = hit.slot;
            let is_null = slot >= self.view.slots_end() || self.view.is_null(slot);
            if !is_null {
                self.view.verify(slot)?;
            }
            let distance = (!is_null).then(|| query.distance_to(self.view.get(slot)));
            let row = self.snapshot.find(slot)?;
            let row =
                row.ok_or_else(|| Error::internal(format!("slot {slot} was found and is not visible")))?;
            answers.push(Answer { distance, slot, row });
        }
        self.view.refuse_unread()?;
        answers.sort_by(|a, b| order(a.distance, b.distance).then(a.slot.cmp(&b.slot)));
        Ok(answers)
    }

    /// The query is NULL, so every distance is: any rows that match will do.
    fn without_distance(&self, superset: &RowSet, wanted: usize) -> crate::error::Result<Vec<Answer>> {
        let all = superset.rows().to_bitmap();
        let all = if superset.exact { all.into_owned() } else { self.test_all(&all)? };
        let mut answers = Vec::new();
        for slot in all.iter().take(wanted) {
            if let Some(row) = self.snapshot.find(slot)? {
                answers.push(Answer { distance: None, slot, row });
            }
        }
        Ok(answers)
    }

    fn passing(&self, filter: &Filter, answers: Vec<Answer>) -> crate::error::Result<Vec<Answer>> {
        use arrow::array::Array;
        let decoder = Decoder::new(Arc::clone(&self.snapshot), filter.columns())?;
        let mut passed = Vec::with_capacity(answers.len());
        let mut left = answers.into_iter();
        while !left.as_slice().is_empty() {
            let mut rows = self.snapshot.no_rows();
            let mut tested = Vec::new();
            while !rows.is_full()
                && let Some(answer) = left.next()
            {
                rows.push(answer.slot, answer.row.clone());
                tested.push(answer);
            }
            let Some(mask) = filter.test(&decoder, &rows)? else {
                passed.append(&mut tested);
                continue;
            };
            let passes = |position: usize| mask.is_valid(position) && mask.value(position);
            let tested = tested.into_iter().enumerate();
            passed.extend(tested.filter_map(|(n, answer)| passes(n).then_some(answer)));
        }
        Ok(passed)
    }

    /// Those of `slots` whose rows are visible and pass the filter.
    fn test_all(&self, slots: &RoaringBitmap) -> crate::error::Result<RoaringBitmap> {
        let decoder = Decoder::new(Arc::clone(&self.snapshot), self.scan.filter.columns())?;
        let mut passed = RoaringBitmap::new();
        let mut slots = slots.iter();
        loop {
            self.execution.check_cancel()?;
            let rows = self.snapshot.rows_at(&mut slots, BATCH_ROWS)?;
            if rows.is_empty() {
                return Ok(passed);
            }
            passed.extend(passing(&self.scan.filter, &decoder, rows)?.slots());
        }
    }
}

/// The query as a vector of the column's element.
pub(super) fn query_vector(
    query: &ScalarValue,
    element: Element,
) -> crate::error::Result<Option<Cell<'static>>> {
    if query.is_null() {
        return Ok(None);
    }
    let array = query.to_array().map_err(|error| Error::internal(error.to_string()))?;
    let cell = read(&array, 0).map_err(crate::types::arrow::errors::from_datafusion)?;
    cell.into(element).map(|cell| Some(cell.into_owned()))
}

/// pgvector's refusal of a query that the column's vectors cannot be compared with.
fn check_dimensions(view: &View, query: Vector) -> crate::error::Result<()> {
    check_same_dimensions(view.element(), view.dimensions(), query.dimensions())
}

/// Ascending, NaN after all numbers, NULL after NaN: PostgreSQL's order.
fn order(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    let rank = |distance: Option<f64>| match distance {
        Some(distance) if distance.is_nan() => (1, 0.0),
        Some(distance) => (0, distance),
        None => (2, 0.0),
    };
    let ((a_class, a), (b_class, b)) = (rank(a), rank(b));
    a_class.cmp(&b_class).then(a.total_cmp(&b))
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    order(a, b).is_eq()
}
