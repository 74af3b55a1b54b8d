//! Reading the rows of one table: by key, by slots, or all of them.
//!
//! 1. The access is chosen when the scan starts, because only then are parameters and the snapshot known: a whole
//!    unique key is looked up, index-answerable predicates become a set of slots, everything else reads all rows.
//! 2. Rows come in batches of `BATCH_ROWS`. The filter's columns are decoded first, and the other columns only for
//!    the rows that pass, so a vector is never copied for a row that is thrown away.
//! 3. The whole filter is evaluated on every row, whatever chose it: an access path can make a scan faster, not
//!    wrong.
//!
//! Memory is one batch. The cancel flag is looked at once per batch.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};

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

use crate::storage::Slice;
use crate::table::Snapshot;
use crate::table::bindings::{Bindings, Execution};
use crate::table::columns::Decoder;
use crate::table::explained::Explained;
use crate::table::predicate::{Access, Filter};
use crate::table::provider::TableSourceProvider;
use crate::table::snapshot::RowScan;
use crate::types::arrow::errors::external;

/// Rows read between two looks at the cancel flag and at other tasks: about 0.5 ms of decoding.
const BATCH_ROWS: usize = 2_048;

/// The physical node.
pub struct ScanExec {
    provider: TableSourceProvider,
    bindings: Arc<Bindings>,
    /// Positions in the table, in output order.
    columns: Vec<usize>,
    filter: Arc<Filter>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
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
        Ok(ScanExec { provider, bindings, columns, filter: Arc::new(filter), limit, properties })
    }
}

/// Work after which a scan or search should not hold up a thread that serves others: about 2 ms.
pub const HEAVY_ROWS: u64 = 5_000;

impl ScanExec {
    /// Whether an execution may take longer than 2 ms.
    pub fn is_heavy(&self, execution: &Execution) -> bool {
        let Ok(snapshot) = execution.snapshot(self.provider.definition().oid) else { return false };
        snapshot.live().len() > HEAVY_ROWS
            && self.limit.is_none_or(|limit| limit as u64 > HEAVY_ROWS || !self.filter.is_empty())
            && !self.filter.is_by_key(self.provider.catalog(), self.provider.definition())
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
            let snapshot = execution.snapshot(self.provider.definition().oid).ok()?;
            self.filter.access(self.provider.catalog(), snapshot, &execution.cancel).ok()
        });
        let node = match access {
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
        let snapshot = Arc::clone(execution.snapshot(self.provider.definition().oid).map_err(external)?);
        let reader = Reader::new(self, execution, snapshot).map_err(external)?;
        Ok(Box::pin(ScanStream { schema, reader }))
    }
}

struct ScanStream {
    schema: SchemaRef,
    reader: Reader,
}

impl Stream for ScanStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let schema = Arc::clone(&self.schema);
        Poll::Ready(self.reader.next_batch(&schema).map_err(external).transpose())
    }
}

impl RecordBatchStream for ScanStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// Where rows come from, and what is still to come.
struct Reader {
    execution: Arc<Execution>,
    snapshot: Arc<Snapshot>,
    source: Source,
    filter: Arc<Filter>,
    filter_decoder: Decoder,
    columns: Vec<usize>,
    decoder: Decoder,
    limit: usize,
}

#[expect(clippy::large_enum_variant, reason = "one per scan")]
enum Source {
    /// Slots in order, of which some may not be visible.
    Slots(Box<dyn Iterator<Item = u32> + Send>),
    All(RowScan),
    /// Rows of which only the number matters.
    Count(u64),
}

impl Reader {
    fn new(
        scan: &ScanExec,
        execution: Arc<Execution>,
        snapshot: Arc<Snapshot>,
    ) -> crate::error::Result<Reader> {
        let source = match scan.filter.access(scan.provider.catalog(), &snapshot, &execution.cancel)? {
            Access::Key { slot, .. } => Source::Slots(Box::new(slot.into_iter())),
            Access::Slots { slots, .. } => Source::Slots(Box::new(slots.into_iter())),
            Access::All if scan.columns.is_empty() && scan.filter.is_empty() => {
                Source::Count(snapshot.visible_set()?.len())
            }
            Access::All => Source::All(snapshot.scan()),
        };
        Ok(Reader {
            filter_decoder: Decoder::new(Arc::clone(&snapshot), scan.filter.columns())?,
            decoder: Decoder::new(Arc::clone(&snapshot), &scan.columns)?,
            execution,
            snapshot,
            source,
            filter: Arc::clone(&scan.filter),
            columns: scan.columns.clone(),
            limit: scan.limit.unwrap_or(usize::MAX),
        })
    }

    /// The next rows that pass the filter; `None` at the end.
    fn next_batch(&mut self, schema: &SchemaRef) -> crate::error::Result<Option<RecordBatch>> {
        loop {
            self.execution.check_cancel()?;
            if self.limit == 0 {
                return Ok(None);
            }
            if let Source::Count(rows) = self.source {
                self.source = Source::Count(0);
                let rows = (rows as usize).min(self.limit);
                return if rows == 0 { Ok(None) } else { batch(schema, Vec::new(), rows).map(Some) };
            }
            let rows = self.read()?;
            if rows.is_empty() {
                return Ok(None);
            }
            let mut rows = passing(&self.filter, &self.filter_decoder, rows)?;
            rows.truncate(self.limit);
            if !rows.is_empty() {
                self.limit -= rows.len();
                let columns = self.decoder.decode(&rows, &self.columns)?;
                return batch(schema, columns, rows.len()).map(Some);
            }
        }
    }

    /// The next visible rows; none at the end.
    fn read(&mut self) -> crate::error::Result<Vec<(u32, Slice)>> {
        // A small limit without a filter needs no more rows than it returns.
        let wanted = if self.filter.is_empty() { BATCH_ROWS.min(self.limit) } else { BATCH_ROWS };
        let mut rows = Vec::new();
        match &mut self.source {
            Source::All(scan) => {
                for row in scan.take(wanted) {
                    rows.push(row?);
                }
            }
            Source::Slots(slots) => {
                while rows.is_empty() {
                    let next: Vec<u32> = slots.take(wanted).collect();
                    if next.is_empty() {
                        break;
                    }
                    let found = self.snapshot.rows(&next)?;
                    rows.extend(next.into_iter().zip(found).filter_map(|(slot, row)| Some((slot, row?))));
                }
            }
            Source::Count(_) => {}
        }
        Ok(rows)
    }
}

/// The rows for which the filter is true.
pub fn passing(
    filter: &Filter,
    decoder: &Decoder,
    rows: Vec<(u32, Slice)>,
) -> crate::error::Result<Vec<(u32, Slice)>> {
    let Some(passes) = filter.test(decoder, &rows)? else { return Ok(rows) };
    let passes = |row: usize| passes.is_valid(row) && passes.value(row);
    Ok(rows.into_iter().enumerate().filter_map(|(row, found)| passes(row).then_some(found)).collect())
}

/// A batch that also works without columns.
pub fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> crate::error::Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(crate::types::arrow::errors::from_arrow)
}
