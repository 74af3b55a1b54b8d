//! A predicate over one table: evaluated on rows, and as far as possible answered by indexes.
//!
//! A conjunction is kept twice: as one expression over the columns it needs, and as a `Formula` of the tests that a
//! metadata index or a unique key answers. What no index answers is opaque and makes the set of slots a superset.
//!
//! ```text
//!   category = $2 AND price < 10 AND title LIKE '%x'
//!   And [ Eq(category, $2), Below(price, 10), Opaque ]       ->  bitmap of the first two, not exact
//! ```
//!
//! Values may be parameters: they are evaluated when an execution asks, never when the plan is made.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, ColumnarValue, Expr, Operator};
use datafusion::physical_plan::PhysicalExpr;
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::catalog::{self, Catalog};
use crate::distance::Metric;
use crate::error::{Error, SqlState};
use crate::functions::citext::KEY;
use crate::functions::ranges;
use crate::functions::sort_keys::FLOAT;
use crate::index::bitmap::{ColumnIndex, Predicate};
use crate::index::inverted::{Found, Question};
use crate::log::StorageId;
use crate::storage::Rows;
use crate::table::Snapshot;
use crate::table::columns::Decoder;
use crate::table::equal::{self, Equal};
use crate::table::guard::guarded_condition;
use crate::table::implied::implies;
use crate::table::keys::UniqueKey;
use crate::table::near::Near;
use crate::table::numbers::{self, before_numbers, before_widening, integers_beside, keyed_number};
use crate::table::places::Places;
use crate::table::provider::{CTID_COLUMN, TableSourceProvider};
use crate::table::question::{self, Ask};
use crate::table::reader::Access;
use crate::table::scan::is_many;
use crate::table::shown::shown;
use crate::types::arrow::errors::{from_arrow, from_datafusion};
use crate::types::arrow::{data_type, from_scalar, is_numeric, type_of_data_type};
use crate::types::range::Relation;
use crate::types::{Type, Value};

/// Of whom a formula is asked, and what it used.
struct Asking<'a> {
    snapshot: &'a Snapshot,
    cancel: &'a AtomicBool,
    used: &'a mut Vec<Used>,
}

impl Asking<'_> {
    /// What an index of a column has found.
    fn found(&mut self, column: usize, found: Option<Found>) -> Option<Answer> {
        let Found { slots, exact } = found?;
        self.used.push(Used::Index(column));
        Some(Answer { slots: Arc::new(slots), exact })
    }
}

/// The predicate of a scan or a search.
pub struct Filter {
    /// Over a batch of `columns`.
    physical: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<usize>,
    schema: SchemaRef,
    formula: Formula,
    text: Option<String>,
    last: Mutex<Option<Last>>,
}

/// What indexes can say about a predicate.
enum Formula {
    And(Vec<Formula>),
    Or(Vec<Formula>),
    Test {
        /// Position in the table.
        column: usize,
        test: Test,
    },
    /// What an inverted index answers, if the column has one.
    Search {
        column: usize,
        ask: Ask,
        constant: Constant,
    },
    /// What equals a constant by its key, if the column has an index for that.
    Equal(Equal),
    /// A bound of a distance, which comparing vectors answers.
    Near(Near),
    /// Where rows lie.
    Places(Places),
    Opaque,
}

/// What an answer was found by.
#[derive(Clone, Copy)]
enum Used {
    /// An index of the column at this position.
    Index(usize),
    /// The vectors of the column, by a metric.
    Vectors(usize, Metric),
    Places,
}

enum Test {
    Eq(Constant),
    NotEq(Constant),
    In(Vec<Constant>),
    /// `= ANY (array)`.
    Any(Constant),
    NotIn(Vec<Constant>),
    Compare(Operator, Constant),
    /// Above one, below another.
    Within([Operator; 2], [Constant; 2]),
    /// A LIKE pattern.
    Prefix(Constant),
    /// How a range lies beside a range or an element.
    Related(Relation, Constant),
    IsNull,
    IsNotNull,
}

/// An expression without columns.
pub type Constant = Arc<dyn PhysicalExpr>;

/// An answer of the metadata indexes: slots that are not dirty.
#[derive(Clone)]
pub struct Answer {
    pub slots: Arc<RoaringBitmap>,
    /// Whether every one of `slots` passes the whole predicate.
    pub exact: bool,
}

/// An answer, and what it depends on.
struct Last {
    version: (StorageId, u64),
    constants: Vec<ScalarValue>,
    answer: Option<Answer>,
}

/// A key of a unique index that a filter asks for, and where its row is, if there is one.
pub struct AskedKey<'c> {
    pub index: &'c catalog::Index,
    key: Vec<Value>,
    pub slot: Option<u32>,
}

impl AskedKey<'_> {
    /// As the table's tree has it; `None` with a NULL in it.
    pub fn encoded(&self) -> Option<Vec<u8>> {
        UniqueKey::of_values(self.index.oid, self.key.len()).key(|column| &self.key[column])
    }
}

impl Filter {
    pub fn new(provider: &TableSourceProvider, session: &dyn Session, filters: &[Expr]) -> Result<Filter> {
        let table = provider.schema();
        let Some(whole) = conjunction(filters.iter().cloned().map(unqualified)) else {
            return Ok(Filter::none());
        };
        let mut columns: Vec<usize> =
            whole.column_refs().iter().filter_map(|column| table.index_of(&column.name).ok()).collect();
        columns.sort_unstable();
        let schema = Arc::new(table.project(&columns)?);
        let described = DFSchema::try_from(schema.as_ref().clone())?;
        let physical = session.create_physical_expr(whole.clone(), &described)?;
        let physical = guarded_condition(&physical, &schema)?;
        let parts = split_conjunction(&whole);
        let implied: Vec<(usize, &[Expr])> =
            provider.conditions().filter(|(_, condition)| implies(&parts, condition)).collect();
        // What a partial index says by itself need not be asked again.
        let said = |part: &Expr| implied.iter().any(|(_, condition)| condition.contains(part));
        let formulas = parts.iter().filter(|part| !said(part));
        let formulas = formulas.map(|part| Formula::of(part, provider, session));
        let mut formulas = formulas.collect::<Result<Vec<_>>>()?;
        for (column, _) in implied {
            formulas.push(Formula::is_true(column, session)?);
        }
        let formula = Formula::And(within(formulas));
        Ok(Filter {
            physical: Some(physical),
            columns,
            schema,
            formula,
            text: Some(shown(&whole)),
            last: Mutex::default(),
        })
    }

    /// What all rows pass.
    pub fn none() -> Filter {
        Filter {
            physical: None,
            columns: Vec::new(),
            schema: Arc::new(Schema::empty()),
            formula: Formula::And(Vec::new()),
            text: None,
            last: Mutex::default(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.physical.is_none()
    }

    /// Positions of the columns it reads.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// As SQL, for EXPLAIN.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Which of the rows pass; `None` when there is nothing to test.
    pub fn test(&self, decoder: &Decoder, rows: &Rows) -> crate::error::Result<Option<BooleanArray>> {
        let Some(physical) = &self.physical else { return Ok(None) };
        let arrays = decoder.decode(rows, &self.columns)?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options);
        let result = physical.evaluate(&batch.map_err(from_arrow)?).map_err(from_datafusion)?;
        let result: ArrayRef = result.into_array(rows.len()).map_err(from_datafusion)?;
        let mask = result.as_any().downcast_ref::<BooleanArray>();
        mask.cloned()
            .map(Some)
            .ok_or_else(|| Error::new(SqlState::DATATYPE_MISMATCH, "argument of WHERE must be type boolean"))
    }

    /// The way to the rows that may pass, as of an execution.
    pub fn access(
        &self,
        catalog: &Catalog,
        snapshot: &Snapshot,
        cancel: &AtomicBool,
    ) -> crate::error::Result<Access> {
        if let Some(AskedKey { index, slot, .. }) = self.by_key(catalog, snapshot)? {
            return Ok(Access::Key { index: index.name.clone(), slot });
        }
        let mut used = Vec::new();
        let mut asking = Asking { snapshot, cancel, used: &mut used };
        let Some(Answer { slots, exact }) = self.formula.answer(&mut asking, None)? else {
            return Ok(Access::All);
        };
        let mut slots = Arc::unwrap_or_clone(slots);
        slots |= &*snapshot.visible_dirty()?;
        if is_many(&slots, snapshot) {
            return Ok(Access::All);
        }
        let title = |column| snapshot.definition().title(column);
        let name = |used: Used| match used {
            Used::Index(column) => title(column).to_owned(),
            Used::Vectors(column, metric) => format!("distance {} {}", title(column), metric.operator()),
            Used::Places => CTID_COLUMN.to_owned(),
        };
        let mut indexes: Vec<String> = used.into_iter().map(name).collect();
        indexes.dedup();
        Ok(Access::Slots { slots, indexes, exact })
    }

    /// The metadata indexes' answer; `None` when they have none. A prepared statement that comes again with the same
    /// constants, before the table has changed, gets the last one.
    pub fn answer(&self, snapshot: &Snapshot, cancel: &AtomicBool) -> crate::error::Result<Option<Answer>> {
        let answer = || {
            let mut asking = Asking { snapshot, cancel, used: &mut Vec::new() };
            self.formula.answer(&mut asking, None)
        };
        if !snapshot.dirty().is_empty() {
            return answer();
        }
        let mut constants = Vec::new();
        self.formula.constants(&mut constants)?;
        let version = snapshot.version();
        if let Some(last) = &*self.last.lock()
            && last.version == version
            && last.constants == constants
        {
            return Ok(last.answer.clone());
        }
        let answer = answer()?;
        *self.last.lock() = Some(Last { version, constants, answer: answer.clone() });
        Ok(answer)
    }

    /// Whether indexes of the kind every filterable column has answer all of it.
    pub fn is_answerable(&self) -> bool {
        self.formula.is_answerable()
    }

    /// Whether a unique key finds the row, if there is one.
    pub fn is_by_key(&self, catalog: &Catalog, table: &catalog::Table) -> bool {
        let Formula::And(parts) = &self.formula else { return false };
        let finds = |index: &&Arc<catalog::Index>| finds_rows(index) && index.deferral(table).is_never();
        let mut unique = catalog.indexes_of(table.oid).filter(finds);
        unique.any(|index| key_of(&UniqueKey::of(index, table), parts).is_some())
    }

    /// `None` when the filter does not name all of a unique key.
    pub fn by_key<'c>(
        &self,
        catalog: &'c Catalog,
        snapshot: &Snapshot,
    ) -> crate::error::Result<Option<AskedKey<'c>>> {
        let Formula::And(parts) = &self.formula else { return Ok(None) };
        let table = snapshot.definition();
        for index in catalog.indexes_of(table.oid).filter(|index| finds_rows(index)) {
            let unique = UniqueKey::of(index, table);
            let Some(values) = key_of(&unique, parts).filter(|_| snapshot.has_keys(index)) else {
                continue;
            };
            let mut key = Vec::with_capacity(values.len());
            for (&column, constant) in unique.columns.iter().zip(values) {
                let column = table.stored_column(column);
                let column = column.ok_or_else(|| Error::internal("a key of no column"))?;
                key.push(constant_value(constant, column)?);
            }
            let slot =
                if key.contains(&Value::Null) { None } else { snapshot.lookup_key(index.oid, &key)? };
            return Ok(Some(AskedKey { index, key, slot }));
        }
        Ok(None)
    }
}

/// Whether the index has a key for each row without NULLs.
fn finds_rows(index: &catalog::Index) -> bool {
    index.unique && index.predicate.is_none()
}

/// The constants that a conjunction sets all columns of the key equal to.
fn key_of<'a>(unique: &UniqueKey, parts: &'a [Formula]) -> Option<Vec<&'a Constant>> {
    let columns = &unique.columns;
    let equal_to = |wanted: &usize| {
        parts.iter().find_map(|part| match part {
            Formula::Test { column, test: Test::Eq(constant) } if column == wanted => Some(constant),
            _ => None,
        })
    };
    if columns.is_empty() { None } else { columns.iter().map(equal_to).collect() }
}

impl Formula {
    fn of(expr: &Expr, provider: &TableSourceProvider, session: &dyn Session) -> Result<Formula> {
        let parts = |exprs: [&Expr; 2]| {
            exprs.into_iter().map(|part| Formula::of(part, provider, session)).collect::<Result<Vec<_>>>()
        };
        let constant = |expr: &Expr| session.create_physical_expr(expr.clone(), &DFSchema::empty());
        let test = |column, test| Ok(Formula::Test { column, test });
        if let Some(places) = Places::of(expr, provider, session)? {
            return Ok(Formula::Places(places));
        }
        if let Some(equal) = Equal::of(expr, provider, session)? {
            return Ok(Formula::Equal(equal));
        }
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Ok(Formula::And(parts([left, right])?))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Ok(Formula::Or(parts([left, right])?))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                if let Some(near) = Near::of(expr, provider, session)? {
                    return Ok(Formula::Near(near));
                }
                let sides = [(left, *op, right), (right, op.swap().unwrap_or(*op), left)];
                for (subject, op, value) in sides {
                    let is_order =
                        matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
                    let column = column_beside(subject, value, provider)
                        .or_else(|| integers_beside(subject, value, provider).filter(|_| is_order));
                    let Some(column) = column else { continue };
                    return match op {
                        Operator::Eq => test(column, Test::Eq(constant(value)?)),
                        Operator::NotEq => test(column, Test::NotEq(constant(value)?)),
                        _ if is_order => test(column, Test::Compare(op, constant(value)?)),
                        _ => Ok(Formula::Opaque),
                    };
                }
                Ok(Formula::Opaque)
            }
            Expr::InList(InList { expr, list, negated }) => {
                let column =
                    list.iter().map(|item| column_beside(expr, item, provider)).collect::<Option<Vec<_>>>();
                match column.and_then(|columns| columns.first().copied()) {
                    Some(column) => {
                        let list = list.iter().map(constant).collect::<Result<_>>()?;
                        test(column, if *negated { Test::NotIn(list) } else { Test::In(list) })
                    }
                    None => Ok(Formula::Opaque),
                }
            }
            Expr::Between(between) if !between.negated => {
                let (low, high) = (&between.low, &between.high);
                match (
                    column_beside(&between.expr, low, provider),
                    column_beside(&between.expr, high, provider),
                ) {
                    (Some(column), Some(_)) => Ok(Formula::And(vec![
                        Formula::Test { column, test: Test::Compare(Operator::GtEq, constant(low)?) },
                        Formula::Test { column, test: Test::Compare(Operator::LtEq, constant(high)?) },
                    ])),
                    _ => Ok(Formula::Opaque),
                }
            }
            Expr::Like(like) if !like.negated && !like.case_insensitive && like.escape_char.is_none() => {
                match column_beside(&like.expr, &like.pattern, provider) {
                    Some(column) => test(column, Test::Prefix(constant(&like.pattern)?)),
                    None => Ok(Formula::Opaque),
                }
            }
            Expr::IsNull(inner) => match column_of(inner, provider) {
                Some(column) => test(column, Test::IsNull),
                None => Ok(Formula::Opaque),
            },
            Expr::IsNotNull(inner) => match column_of(inner, provider) {
                Some(column) => test(column, Test::IsNotNull),
                None => Ok(Formula::Opaque),
            },
            // Of what is true nothing else is asked.
            Expr::IsTrue(inner) if !matches!(**inner, Expr::Column(_)) => {
                Formula::of(inner, provider, session)
            }
            // A bare boolean column, and its negation.
            Expr::Column(_) => match column_of(expr, provider) {
                Some(column) => Formula::is_true(column, session),
                None => Ok(Formula::Opaque),
            },
            Expr::Not(inner) => match column_of(inner, provider) {
                Some(column) => {
                    test(column, Test::Eq(constant(&Expr::Literal(ScalarValue::from(false), None))?))
                }
                None => Ok(Formula::Opaque),
            },
            Expr::ScalarFunction(call) => {
                if let Some((column, array)) = member_of(call, provider) {
                    return test(column, Test::Any(constant(array)?));
                }
                if let Some((column, relation, value)) = related(call, provider) {
                    return test(column, Test::Related(relation, constant(value)?));
                }
                let Some((subject, ask, value)) = question::of_call(call) else { return Ok(Formula::Opaque) };
                match column_of(subject, provider).filter(|_| constant_type(value).is_some()) {
                    Some(column) => Ok(Formula::Search { column, ask, constant: constant(value)? }),
                    None => Ok(Formula::Opaque),
                }
            }
            _ => Ok(Formula::Opaque),
        }
    }

    fn is_true(column: usize, session: &dyn Session) -> Result<Formula> {
        let constant = Expr::Literal(ScalarValue::from(true), None);
        let constant = session.create_physical_expr(constant, &DFSchema::empty())?;
        Ok(Formula::Test { column, test: Test::Eq(constant) })
    }

    fn is_answerable(&self) -> bool {
        match self {
            Formula::And(parts) | Formula::Or(parts) => parts.iter().all(Formula::is_answerable),
            Formula::Test { .. } | Formula::Places(_) => true,
            Formula::Search { .. } | Formula::Equal(_) | Formula::Near(_) | Formula::Opaque => false,
        }
    }

    /// Appends what the tests compare with.
    fn constants(&self, all: &mut Vec<ScalarValue>) -> crate::error::Result<()> {
        match self {
            Formula::And(parts) | Formula::Or(parts) => parts.iter().try_for_each(|part| part.constants(all)),
            Formula::Opaque => Ok(()),
            Formula::Near(near) => {
                all.extend(near.constants()?);
                Ok(())
            }
            Formula::Places(places) => {
                all.extend(places.constants()?);
                Ok(())
            }
            Formula::Search { constant, .. } => {
                all.push(evaluate(constant)?);
                Ok(())
            }
            Formula::Equal(equal) => evaluate_all(&equal.constants, all),
            Formula::Test { test, .. } => {
                let constants = match test {
                    Test::Eq(constant)
                    | Test::NotEq(constant)
                    | Test::Compare(_, constant)
                    | Test::Any(constant)
                    | Test::Prefix(constant)
                    | Test::Related(_, constant) => std::slice::from_ref(constant),
                    Test::In(constants) | Test::NotIn(constants) => constants,
                    Test::Within(_, constants) => constants,
                    Test::IsNull | Test::IsNotNull => &[],
                };
                evaluate_all(constants, all)
            }
        }
    }

    /// The slots that pass, among those the indexes know; `None` when they cannot tell. Of `within`, where that is known
    /// and fewer are cheaper.
    fn answer(
        &self,
        asking: &mut Asking,
        within: Option<&RoaringBitmap>,
    ) -> crate::error::Result<Option<Answer>> {
        match self {
            Formula::And(parts) => {
                let mut all: Option<Answer> = None;
                let mut exact = true;
                // Vectors are compared last, when the others have said which.
                let (last, first): (Vec<&Formula>, Vec<&Formula>) =
                    parts.iter().partition(|part| matches!(part, Formula::Near(_)));
                for part in first.into_iter().chain(last) {
                    let within = all.as_ref().map(|all| &*all.slots).or(within);
                    match (part.answer(asking, within)?, &mut all) {
                        (None, _) => exact = false,
                        (Some(found), Some(all)) => {
                            *Arc::make_mut(&mut all.slots) &= &*found.slots;
                            exact &= found.exact;
                        }
                        (Some(found), all) => {
                            exact &= found.exact;
                            *all = Some(found);
                        }
                    }
                }
                Ok(all.map(|answer| Answer { exact, ..answer }))
            }
            Formula::Or(parts) => {
                let mut any = Answer { slots: Arc::default(), exact: true };
                for part in parts {
                    let Some(found) = part.answer(asking, within)? else { return Ok(None) };
                    *Arc::make_mut(&mut any.slots) |= &*found.slots;
                    any.exact &= found.exact;
                }
                Ok(Some(any))
            }
            Formula::Near(near) => {
                let snapshot = asking.snapshot;
                let all = match within {
                    Some(_) => RoaringBitmap::new(),
                    None => &**snapshot.live() - &**snapshot.dirty(),
                };
                let slots = near.answer(snapshot, within.unwrap_or(&all), asking.cancel)?;
                if slots.is_some() {
                    asking.used.push(Used::Vectors(near.column(), near.metric()));
                }
                Ok(slots.map(|slots| Answer { slots: Arc::new(slots), exact: true }))
            }
            Formula::Test { column, test } => {
                let definition = asking.snapshot.definition().stored_column(*column);
                let definition = definition.ok_or_else(|| Error::internal("a test of no column"))?;
                let found = match test.answer(asking.snapshot, definition)? {
                    Some(slots) => Some(Found { slots, exact: true }),
                    None => test.equals(asking.snapshot, definition)?,
                };
                Ok(asking.found(*column, found))
            }
            Formula::Equal(equal) => {
                let Some(column) = asking.snapshot.definition().stored_column(equal.column) else {
                    return Ok(None);
                };
                let found = asking.snapshot.search(column.number, &equal.question(column)?);
                Ok(asking.found(equal.column, found))
            }
            Formula::Search { column, ask, constant } => {
                let snapshot = asking.snapshot;
                let Some(definition) = snapshot.definition().stored_column(*column) else { return Ok(None) };
                let found = match ask.question(&evaluate(constant)?)? {
                    // NULL on one side is NULL.
                    None => Some(Found { slots: RoaringBitmap::new(), exact: true }),
                    Some(question) => snapshot.search(definition.number, &question),
                };
                Ok(asking.found(*column, found))
            }
            Formula::Places(places) => {
                asking.used.push(Used::Places);
                let slots = Arc::new(places.answer(asking.snapshot)?);
                Ok(Some(Answer { slots, exact: true }))
            }
            Formula::Opaque => Ok(None),
        }
    }
}

impl Test {
    /// The slots for which the test is true; `None` when the column's index cannot tell.
    fn answer(
        &self,
        snapshot: &Snapshot,
        column: &catalog::Column,
    ) -> crate::error::Result<Option<RoaringBitmap>> {
        let value = |constant: &Constant| constant_value(constant, column);
        let select = |predicate: Predicate| snapshot.select(column.number, &predicate);
        Ok(match self {
            Test::Eq(constant) => select(Predicate::Eq(value(constant)?)),
            Test::In(constants) => {
                select(Predicate::In(constants.iter().map(value).collect::<crate::error::Result<_>>()?))
            }
            Test::Any(constant) => {
                let array = evaluate(constant)?;
                match from_scalar(&array, &type_of_data_type(&array.data_type()))? {
                    Value::Array(values) => select(Predicate::In(values)),
                    _ => Some(RoaringBitmap::new()),
                }
            }
            Test::NotIn(constants) => {
                let values: Vec<Value> = constants.iter().map(value).collect::<crate::error::Result<_>>()?;
                if values.contains(&Value::Null) {
                    return Ok(Some(RoaringBitmap::new()));
                }
                match (select(Predicate::IsNotNull), select(Predicate::In(values))) {
                    (Some(all), Some(listed)) => Some(all - listed),
                    _ => None,
                }
            }
            Test::NotEq(constant) => {
                let value = value(constant)?;
                if value == Value::Null {
                    return Ok(Some(RoaringBitmap::new()));
                }
                match (select(Predicate::IsNotNull), select(Predicate::Eq(value))) {
                    (Some(all), Some(equal)) => Some(all - equal),
                    _ => None,
                }
            }
            Test::Compare(operator, constant) => {
                let value = value(constant)?;
                if value == Value::Null {
                    return Ok(Some(RoaringBitmap::new()));
                }
                let (low, high) = match operator {
                    Operator::Lt | Operator::LtEq => (Bound::Unbounded, bound(*operator, value)),
                    _ => (bound(*operator, value), Bound::Unbounded),
                };
                select(Predicate::Range { low, high })
            }
            Test::Within([above, below], [low, high]) => {
                let (low, high) = (value(low)?, value(high)?);
                if low == Value::Null || high == Value::Null {
                    return Ok(Some(RoaringBitmap::new()));
                }
                select(Predicate::Range { low: bound(*above, low), high: bound(*below, high) })
            }
            Test::Prefix(constant) => match value(constant)? {
                Value::Text(pattern) => {
                    prefix_of(&pattern).and_then(|prefix| select(Predicate::Prefix(prefix)))
                }
                _ => None,
            },
            Test::Related(relation, constant) => {
                let constant = evaluate(constant)?;
                let value = from_scalar(&constant, &type_of_data_type(&constant.data_type()))?;
                select(Predicate::Related(*relation, value))
            }
            Test::IsNull => select(Predicate::IsNull),
            Test::IsNotNull => select(Predicate::IsNotNull),
        })
    }
}

impl Test {
    /// What an index of the column finds that is there for equality alone.
    fn equals(&self, snapshot: &Snapshot, column: &catalog::Column) -> crate::error::Result<Option<Found>> {
        // Others have constants of another form beside them.
        if ColumnIndex::for_type(&column.ty).is_some() {
            return Ok(None);
        }
        let values = match self {
            Test::Eq(constant) => equal::of_values(std::slice::from_ref(constant), &column.ty)?,
            Test::In(constants) => equal::of_values(constants, &column.ty)?,
            Test::Any(constant) => equal::of_elements(&evaluate(constant)?, &column.ty)?,
            _ => return Ok(None),
        };
        Ok(snapshot.search(column.number, &Question::Equals(values)))
    }
}

/// What a comparison with a value leaves on its side.
fn bound(operator: Operator, value: Value) -> Bound<Value> {
    match operator {
        Operator::Lt | Operator::Gt => Bound::Excluded(value),
        _ => Bound::Included(value),
    }
}

/// A conjunction in which what bounds a column from both sides is one test: few rows may be between bounds that each let
/// many through.
fn within(parts: Vec<Formula>) -> Vec<Formula> {
    let mut all: Vec<Formula> = Vec::with_capacity(parts.len());
    let flat = parts.into_iter().flat_map(|part| match part {
        Formula::And(parts) => within(parts),
        part => vec![part],
    });
    for part in flat {
        let Formula::Test { column, test: Test::Compare(op, constant) } = &part else {
            all.push(part);
            continue;
        };
        let is_low = |op: &Operator| matches!(op, Operator::Gt | Operator::GtEq);
        let other = all.iter_mut().find_map(|other| match other {
            Formula::Test { column: of, test } if of == column => match test {
                Test::Compare(beside, _) if is_low(beside) != is_low(op) => Some(test),
                _ => None,
            },
            _ => None,
        });
        match other {
            Some(test) => {
                let Test::Compare(beside, bound) = &*test else { continue };
                let (mut operators, mut bounds) = ([*op, *beside], [constant, bound].map(Arc::clone));
                if !is_low(op) {
                    operators.reverse();
                    bounds.reverse();
                }
                *test = Test::Within(operators, bounds);
            }
            None => all.push(part),
        }
    }
    all
}

/// What a LIKE pattern asks texts to begin with, when it asks for nothing else.
fn prefix_of(pattern: &str) -> Option<String> {
    let prefix = pattern.strip_suffix('%')?;
    (!prefix.contains(['%', '_', '\\'])).then(|| prefix.to_owned())
}

/// The column of `subject` when `value` is a constant of the column's own type, or both are numeric: then an index
/// compares as the expression does.
fn column_beside(subject: &Expr, value: &Expr, provider: &TableSourceProvider) -> Option<usize> {
    let found = constant_type(value)?;
    if let Some(keyed) = keyed_number(subject) {
        let column = column_of(keyed, provider)?;
        let ty = data_type(&provider.definition().stored_column(column)?.ty);
        return (found == DataType::Binary && (is_numeric(&ty) || ty.is_signed_integer())).then_some(column);
    }
    if let Some(subject) = float_of_key(subject) {
        // Keys of indexes have one zero, too.
        let column = column_of(subject, provider)?;
        return (found == data_type(&provider.definition().stored_column(column)?.ty)).then_some(column);
    }
    let subject = if is_numeric(&found) { before_widening(subject, provider) } else { subject };
    let (column, folded) = kept_column(subject, provider)?;
    let ty = &provider.definition().stored_column(column)?.ty;
    let as_kept = folded == (*ty == Type::Citext);
    (as_kept && found == data_type(ty) || is_numeric(&found) && is_numeric(&data_type(ty))).then_some(column)
}

/// The float that the expression is the key of, for which `-0` is `0`.
fn float_of_key(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == FLOAT => call.args.first(),
        _ => None,
    }
}

/// The same of the key of a citext, which is how such a column's values are kept in indexes; and whether it is one.
fn kept_column(expr: &Expr, provider: &TableSourceProvider) -> Option<(usize, bool)> {
    if let Expr::ScalarFunction(call) = expr
        && let (KEY, [inner]) = (call.func.name(), call.args.as_slice())
        && let Some(column) = column_of(inner, provider)
    {
        return Some((column, true));
    }
    column_of(expr, provider).map(|column| (column, false))
}

/// The column that holds the value of the expression: the one it names, or one that an index on it has.
pub fn column_of(expr: &Expr, provider: &TableSourceProvider) -> Option<usize> {
    let Expr::Column(column) = expr else {
        let hidden = &provider.definition().hidden;
        let of_all_rows = |position: &usize| {
            let hidden = hidden.get(position - provider.definition().columns.len());
            hidden.is_some_and(|c| c.generated.as_ref().is_some_and(|generated| generated.guard.is_none()))
        };
        return provider.columns_holding(expr).find(of_all_rows);
    };
    let position = provider.schema().index_of(&column.name).ok()?;
    (position < provider.definition().columns.len()).then_some(position)
}

/// The column and the array of constants of `column = ANY (array)`.
fn member_of<'a>(call: &'a ScalarFunction, provider: &TableSourceProvider) -> Option<(usize, &'a Expr)> {
    let ("array_has", [array, subject]) = (call.func.name(), call.args.as_slice()) else { return None };
    let DataType::List(item) = constant_type(array)? else { return None };
    let of_numbers = is_numeric(item.data_type());
    let subject = if of_numbers { before_widening(before_numbers(subject), provider) } else { subject };
    let (column, folded) = kept_column(subject, provider)?;
    let ty = &provider.definition().stored_column(column)?.ty;
    let compares = *item.data_type() == data_type(ty) || of_numbers && is_numeric(&data_type(ty));
    let as_kept = !matches!(ty, Type::Bpchar(_)) && folded == (*ty == Type::Citext);
    (compares && as_kept).then_some((column, array))
}

/// The column of ranges that a call asks about, how they should lie, and beside which constant. Either may stand first.
fn related<'a>(
    call: &'a ScalarFunction,
    provider: &TableSourceProvider,
) -> Option<(usize, Relation, &'a Expr)> {
    let [left, right] = call.args.as_slice() else { return None };
    let relation = ranges::relation_of(call.func.name())?;
    let sides = [(left, Some(relation), right), (right, relation.swapped(), left)];
    sides.into_iter().find_map(|(subject, relation, value)| {
        let column = column_of(subject, provider)?;
        let is_range = matches!(provider.definition().stored_column(column)?.ty, Type::Range(_));
        constant_type(value).filter(|_| is_range)?;
        Some((column, relation?, value))
    })
}

/// The type of an expression without columns.
pub fn constant_type(expr: &Expr) -> Option<DataType> {
    use datafusion::logical_expr::ExprSchemable;
    if !expr.column_refs().is_empty() {
        return None;
    }
    expr.get_type(&DFSchema::empty()).ok()
}

/// With all digits of a numeric, which may be more than the column has.
fn constant_value(constant: &Constant, column: &catalog::Column) -> crate::error::Result<Value> {
    let constant = evaluate(constant)?;
    match constant.data_type() {
        ty if is_numeric(&ty) => from_scalar(&constant, &type_of_data_type(&ty)),
        DataType::Binary if column.ty != Type::Bytea => numbers::of_key(&constant),
        _ => from_scalar(&constant, &column.ty),
    }
}

/// Appends the values of constants.
fn evaluate_all(constants: &[Constant], all: &mut Vec<ScalarValue>) -> crate::error::Result<()> {
    constants.iter().try_for_each(|constant| {
        all.push(evaluate(constant)?);
        Ok(())
    })
}

/// The value of an expression without columns.
pub fn evaluate(expr: &Arc<dyn PhysicalExpr>) -> crate::error::Result<ScalarValue> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
    match expr.evaluate(&row.map_err(from_arrow)?).map_err(from_datafusion)? {
        ColumnarValue::Scalar(value) => Ok(value),
        ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0).map_err(from_datafusion),
    }
}

/// Which count is read, for its error.
#[derive(Clone, Copy, Debug)]
pub enum Clause {
    Limit,
    Offset,
}

/// The count an expression without columns gives; NULL is no limit, as in PostgreSQL.
pub fn count_of(expr: Option<&Arc<dyn PhysicalExpr>>, clause: Clause) -> crate::error::Result<Option<usize>> {
    let Some(expr) = expr else { return Ok(None) };
    let value = evaluate(expr)?.cast_to(&DataType::Int64).map_err(from_datafusion)?;
    match (value, clause) {
        (ScalarValue::Int64(Some(value)), _) if value >= 0 => Ok(Some(value as usize)),
        (ScalarValue::Int64(None), _) => Ok(None),
        (_, Clause::Limit) => {
            Err(Error::new(SqlState::INVALID_ROW_COUNT_IN_LIMIT, "LIMIT must not be negative"))
        }
        (_, Clause::Offset) => {
            Err(Error::new(SqlState::INVALID_ROW_COUNT_IN_OFFSET, "OFFSET must not be negative"))
        }
    }
}

/// Scans know their columns by bare name.
pub fn unqualified(expr: Expr) -> Expr {
    datafusion::logical_expr::expr_rewriter::unnormalize_col(expr)
}
