//! Reading the rows of one table: by key, by slots, or all of them.
//!
//! 1. The access is chosen when the scan starts, because only then are parameters and the snapshot known: a whole
//!    unique key is looked up, index-answerable predicates become a set of slots, everything else reads all rows.
//! 2. Rows come in batches of `BATCH_ROWS`. The filter's columns are decoded first, and the other columns only for
//!    the rows that pass, so a vector is never copied for a row that is thrown away.
//! 3. Nodes above may want few of the rows: those with the keys of a join, or the first ones in an order (`hints.rs`).
//! 4. The whole filter is evaluated on every row, whatever chose it: an access path can make a scan faster, not
//!    wrong.
//!
//! Memory is one batch. The cancel flag is looked at once per batch.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::Stream;
use roaring::RoaringBitmap;

use crate::catalog;
use crate::table::Snapshot;
use crate::table::bindings::{Bindings, Execution};
use crate::table::explained::Explained;
use crate::table::hints::{First, Hints, Keys};
use crate::table::predicate::{Answer, Filter};
use crate::table::provider::TableSourceProvider;
use crate::table::reader::{Access, Reader};
use crate::types::arrow::errors::external;

/// The physical node.
#[derive(Clone)]
pub struct ScanExec {
    pub(super) provider: TableSourceProvider,
    pub(super) bindings: Arc<Bindings>,
    /// Positions in the table, in output order.
    pub(super) columns: Vec<usize>,
    pub(super) filter: Arc<Filter>,
    limit: Option<usize>,
    hints: Hints,
    pub(super) properties: Arc<PlanProperties>,
}

impl ScanExec {
    pub fn new(
        provider: &TableSourceProvider,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<ScanExec> {
        let schema = provider.schema();
        let columns = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let properties = leaf_properties(Arc::new(schema.project(&columns)?));
        let filter = Filter::new(provider, session, filters)?;
        let (provider, bindings) = (provider.clone(), provider.bindings()?);
        Ok(ScanExec {
            provider,
            bindings,
            columns,
            filter: Arc::new(filter),
            limit,
            hints: Hints::default(),
            properties,
        })
    }

    /// The column at a place of the output, by its position in the table; none where it is the slots'.
    pub fn column(&self, output: usize) -> Option<(usize, &catalog::Column)> {
        let position = *self.columns.get(output)?;
        Some((position, self.provider.definition().columns.get(position)?))
    }

    /// Whether an output is `ctid`.
    pub fn is_ctid(&self, output: usize) -> bool {
        let places = self.provider.definition().columns.len() + 1;
        self.columns.get(output) == Some(&places)
    }

    /// The same scan with other hints.
    pub fn with_hints(&self, change: impl FnOnce(&mut Hints)) -> ScanExec {
        let mut scan = self.clone();
        change(&mut scan.hints);
        scan
    }

    /// Whether it gives all rows that pass its filter.
    pub fn is_whole(&self) -> bool {
        self.hints.is_empty() && self.limit.is_none()
    }

    pub fn hints(&self) -> &Hints {
        &self.hints
    }

    /// How many rows it will give, about; `None` while the plan is not bound to an execution.
    pub fn estimate(&self) -> Option<u64> {
        let execution = self.bindings.execution().ok()?;
        let snapshot = execution.look(self.provider.definition().oid).ok()?;
        let all = snapshot.live().len();
        let rows = if self.filter.is_empty() {
            all
        } else if self.filter.is_by_key(self.provider.catalog(), self.provider.definition()) {
            1
        } else {
            match self.filter.answer(snapshot, &execution.cancel).ok()? {
                Some(answer) if answer.exact => answer.slots.len(),
                // PostgreSQL's guess of a condition it knows nothing about.
                Some(answer) => answer.slots.len() / 3,
                None => all / 3,
            }
        };
        Some(rows.min(self.limit.map_or(u64::MAX, |limit| limit as u64)))
    }

    /// The table to read from; the transaction is told of what.
    fn snapshot(&self, execution: &Execution) -> crate::error::Result<Arc<Snapshot>> {
        let table = self.provider.definition().oid;
        if let Some(reads) = &execution.reads {
            let snapshot = execution.look(table)?;
            if let Some(asked) = self.filter.by_key(self.provider.catalog(), snapshot)? {
                // Nothing is like NULL.
                if let Some(key) = asked.encoded() {
                    reads.key(table, key, asked.slot);
                }
                return Ok(Arc::clone(snapshot));
            }
        }
        execution.snapshot(table).cloned()
    }

    fn reader(&self, execution: Arc<Execution>, snapshot: Arc<Snapshot>) -> crate::error::Result<Reader> {
        let access = self.access(&execution, &snapshot)?;
        Reader::new(access, &self.filter, &self.columns, self.limit, execution, snapshot)
    }

    /// The way to the rows, as of an execution.
    fn access(&self, execution: &Execution, snapshot: &Snapshot) -> crate::error::Result<Access> {
        if let Some(rows) = self.counted(execution, snapshot)? {
            return Ok(Access::Count(rows));
        }
        let access = self.hinted(execution, snapshot)?;
        self.by_index_only(access, execution, snapshot)
    }

    /// From indexes alone, where those have all columns and answer the whole filter; else the way that was found.
    fn by_index_only(
        &self,
        access: Access,
        execution: &Execution,
        snapshot: &Snapshot,
    ) -> crate::error::Result<Access> {
        /// Rows from which on copying the texts of a column's dictionary is less work than reading rows.
        const ROWS_MIN: u64 = 256;
        let most = match &access {
            Access::Slots { slots, exact: true, .. } => slots.len(),
            Access::All => snapshot.live().len(),
            _ => 0,
        };
        if most < ROWS_MIN || self.columns.is_empty() || !snapshot.visible_dirty()?.is_empty() {
            return Ok(access);
        }
        let column = |output: usize| {
            let (_, column) = self.column(output)?;
            let stored = snapshot.definition().column_number(column.number)?;
            let same = stored.ty == column.ty;
            Some((column.ty.clone(), snapshot.values(column.number, &column.ty).filter(|_| same)?))
        };
        let columns: Option<Vec<_>> = (0..self.columns.len()).map(column).collect();
        let Some(columns) = columns else { return Ok(access) };
        let slots = match access {
            Access::Slots { slots, .. } => slots,
            _ if self.filter.is_empty() => RoaringBitmap::clone(&*snapshot.visible_set()?),
            _ => match self.filter.answer(snapshot, &execution.cancel)? {
                Some(answer) if answer.exact => Arc::unwrap_or_clone(answer.slots),
                _ => return Ok(access),
            },
        };
        Ok(Access::Indexed { columns, slots })
    }

    /// How many rows pass, where only that is asked and indexes know it.
    fn counted(&self, execution: &Execution, snapshot: &Snapshot) -> crate::error::Result<Option<u64>> {
        if !self.columns.is_empty() || !self.hints.is_empty() {
            return Ok(None);
        }
        if self.filter.is_empty() {
            return Ok(Some(snapshot.visible_set()?.len()));
        }
        let by_key = self.filter.is_by_key(self.provider.catalog(), self.provider.definition());
        if by_key || !snapshot.visible_dirty()?.is_empty() {
            return Ok(None);
        }
        let answer = self.filter.answer(snapshot, &execution.cancel)?;
        Ok(answer.filter(|answer| answer.exact).map(|answer| answer.slots.len()))
    }

    /// The way by the filter, and by what nodes above want.
    fn hinted(&self, execution: &Execution, snapshot: &Snapshot) -> crate::error::Result<Access> {
        let catalog = self.provider.catalog();
        let access = self.filter.access(catalog, snapshot, &execution.cancel)?;
        if self.hints.is_empty() || matches!(access, Access::Key { .. }) {
            return Ok(access);
        }
        let by = |column: usize| snapshot.definition().title(column).to_owned();
        let title = |keys: &Keys| keys.title(snapshot.definition()).to_owned();
        if let Some(mut wanted) = self.hints.by_keys(catalog, snapshot)? {
            let mut indexes: Vec<String> = self.hints.keys.iter().map(title).collect();
            let mut is_exact = self.filter.is_empty();
            if let Access::Slots { slots, indexes: others, exact } = access {
                wanted &= slots;
                indexes.extend(others);
                is_exact = exact;
            } else if is_many(&wanted, snapshot) {
                return Ok(Access::All);
            }
            return Ok(Access::Slots { slots: wanted, indexes, exact: is_exact });
        }
        let answer =
            if self.filter.is_empty() { None } else { self.filter.answer(snapshot, &execution.cancel)? };
        let among = match &answer {
            Some(answer) if answer.exact => Some(&*answer.slots),
            None if self.filter.is_empty() => None,
            answer => return self.in_order(answer.as_ref(), access, snapshot),
        };
        match self.hints.by_order(snapshot, among)? {
            Some(mut slots) => {
                slots |= &*snapshot.visible_dirty()?;
                if is_many(&slots, snapshot) {
                    return Ok(access);
                }
                let indexes = self.hints.first.iter().map(|first| by(first.column)).collect();
                // What is not answered exactly is read in order, above.
                Ok(Access::Slots { slots, indexes, exact: true })
            }
            None => Ok(access),
        }
    }

    /// Rows in order until enough pass, where indexes leave many of which it is not known before they are read; else the
    /// other way.
    fn in_order(
        &self,
        answer: Option<&Answer>,
        otherwise: Access,
        snapshot: &Snapshot,
    ) -> crate::error::Result<Access> {
        /// Where fewer are left for each that is wanted, they are read at once.
        const LEFT_MIN: u64 = 64;
        let [first] = self.hints.first.as_slice() else { return Ok(otherwise) };
        let Some(rows) = first.rows.count()? else { return Ok(otherwise) };
        let among = match answer {
            Some(answer) => RoaringBitmap::clone(&answer.slots),
            None => &**snapshot.live() - &**snapshot.dirty(),
        };
        let many = (rows as u64).saturating_mul(LEFT_MIN).max(HEAVY_ROWS);
        // Whether the index has an order.
        if among.len() < many || first.of(snapshot, Some(&RoaringBitmap::new()), 1)?.is_none() {
            return Ok(otherwise);
        }
        Ok(Access::Ordered { first: first.clone(), rows, among })
    }
}

/// Whether reading these rows one by one takes longer than reading all rows in order, which costs several times less each.
pub fn is_many(slots: &RoaringBitmap, snapshot: &Snapshot) -> bool {
    slots.len() > snapshot.live().len() / 4
}

/// Work after which a scan or search should not hold up a thread that serves others: about 2 ms.
pub const HEAVY_ROWS: u64 = 5_000;
/// Keys of an index that are looked through in a millisecond, or two.
const HEAVY_KEYS: u64 = 1_000_000;

impl ScanExec {
    /// Whether an execution may take longer than 2 ms.
    pub fn is_heavy(&self, execution: &Execution) -> bool {
        let Ok(snapshot) = execution.look(self.provider.definition().oid) else { return false };
        let live = snapshot.live().len();
        live > HEAVY_ROWS
            && (live > HEAVY_KEYS || !self.is_of_indexes())
            && self.limit.is_none_or(|limit| limit as u64 > HEAVY_ROWS || !self.filter.is_empty())
            && !self.filter.is_by_key(self.provider.catalog(), self.provider.definition())
    }

    /// Whether indexes answer it: they count, or say which few rows come first.
    fn is_of_indexes(&self) -> bool {
        let is_answered = self.filter.is_empty() || self.filter.is_answerable();
        let is_count = self.columns.is_empty() && self.hints.is_empty();
        let rows = |first: &First| first.rows.count().ok().flatten();
        let is_few = match self.hints.first.as_slice() {
            [first] => rows(first).is_some_and(|rows| rows as u64 <= HEAVY_ROWS),
            _ => false,
        };
        is_answered && (is_count || is_few)
    }
}

/// The properties of a leaf with one partition in no particular order.
pub fn leaf_properties(schema: SchemaRef) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl fmt::Debug for ScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanExec({})", self.provider.definition().name)
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explained().heading)
    }
}

impl ScanExec {
    /// What EXPLAIN shows; the way to the rows only while the plan is bound to an execution.
    pub fn explained(&self) -> Explained {
        let name = self.provider.definition().name.as_str();
        let access = self.bindings.execution().ok().and_then(|execution| {
            let snapshot = execution.look(self.provider.definition().oid).ok()?;
            self.access(&execution, snapshot).ok()
        });
        let waits = self.hints.keys.iter().any(|keys| !keys.gathered.is_done());
        let node = match access {
            Some(Access::Count(rows)) if !self.filter.is_empty() => Explained::new("Bitmap Count")
                .heading(format!("Bitmap Count on {name}  ({rows} rows)"))
                .fact("Rows", rows),
            Some(Access::Indexed { .. }) if !waits => {
                Explained::new("Index Only Scan").heading(format!("Index Only Scan on {name}"))
            }
            Some(Access::Key { index, .. }) => Explained::new("Index Scan")
                .heading(format!("Index Scan using {index} on {name}"))
                .fact("Index Name", index),
            Some(Access::Slots { indexes, slots, .. }) => {
                let indexes = indexes.join(", ");
                Explained::new("Bitmap Scan")
                    .heading(format!("Bitmap Scan on {name}  ({} of slots by {indexes})", slots.len()))
                    .fact("Slots", slots.len())
                    .fact("Bitmaps", indexes)
            }
            Some(Access::Ordered { first, .. }) => {
                let column = self.provider.definition().title(first.column).to_owned();
                Explained::new("Ordered Scan")
                    .heading(format!("Ordered Scan on {name}  (by {column})"))
                    .fact("Order", column)
            }
            // The keys are known when the other side of the join has been read.
            Some(Access::All | Access::Indexed { .. }) if waits => {
                let title = |keys: &Keys| keys.title(self.provider.definition()).to_owned();
                let columns = self.hints.keys.iter().map(title).collect::<Vec<_>>().join(", ");
                Explained::new("Bitmap Scan")
                    .heading(format!("Bitmap Scan on {name}  (slots by the join's keys: {columns})"))
                    .fact("Bitmaps", columns)
            }
            _ => Explained::new("Seq Scan").heading(format!("Seq Scan on {name}")),
        };
        let node = node.fact("Relation Name", name);
        match self.filter.text() {
            Some(filter) => node.line("Filter", filter),
            None => node,
        }
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "ScanExec"
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
        let execution = self.bindings.execution().map_err(external)?;
        let snapshot = self.snapshot(&execution).map_err(external)?;
        let stage = match self.hints.keys.is_empty() {
            true => Stage::Reading(self.reader(execution, snapshot).map_err(external)?),
            // The other side of the join has not been read yet.
            false => Stage::Waiting(self.clone(), execution, snapshot),
        };
        Ok(Box::pin(ScanStream { schema, stage }))
    }
}

struct ScanStream {
    schema: SchemaRef,
    stage: Stage,
}

enum Stage {
    Waiting(ScanExec, Arc<Execution>, Arc<Snapshot>),
    Reading(Reader),
}

impl ScanStream {
    fn next_batch(&mut self) -> crate::error::Result<Option<RecordBatch>> {
        if let Stage::Waiting(scan, execution, snapshot) = &self.stage {
            let reader = scan.reader(Arc::clone(execution), Arc::clone(snapshot))?;
            self.stage = Stage::Reading(reader);
        }
        match &mut self.stage {
            Stage::Reading(reader) => reader.next_batch(&self.schema),
            Stage::Waiting(..) => Ok(None),
        }
    }
}

impl Stream for ScanStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.next_batch().map_err(external).transpose())
    }
}

impl RecordBatchStream for ScanStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
