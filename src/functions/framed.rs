//! Window functions over frames that DataFusion cannot cut: with EXCLUDE, with distances that only the types of their keys
//! understand, and with offsets that are computed.
//!
//! ```text
//!   sum(x) FILTER (WHERE f) OVER (ORDER BY k RANGE BETWEEN '1 day' PRECEDING AND CURRENT ROW EXCLUDE TIES)
//!   "\u{1}framed\u{1}{...}"(x, f, k, '1 day') OVER (ORDER BY k)
//! ```
//!
//! `sql::framed` writes a call so. Its name says what the frame is ([`Frame`]), and its arguments are those of the function,
//! the condition of FILTER, the key and the offsets of the frame, and, added by `planner::keys`, the keys by which rows are
//! each other's peers. It sees a whole partition: [`super::frame_bounds`] finds the rows of each frame, and the aggregate
//! is moved from one frame to the next where that can be done by taking out and adding rows, or computed anew.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array, new_null_array};
use arrow::compute::{concat, filter, prep_null_mask_filter, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDF,
    WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use crate::error::{Error, SqlState};
use crate::functions::frame_bounds::{Bounds, Frame, offset_type};
use crate::functions::scalar::no_such_function;
use crate::types::arrow::errors::external;
use crate::types::arrow::{Builder, type_of, type_of_data_type, value_at};
use crate::types::cast::cast;
use crate::types::{Type, Value, Zone};

/// What the names of such calls begin with.
pub const PREFIX: &str = "\u{1}framed\u{1}";

/// A function over such frames, from its name; `None` for other names. `aggregate` finds aggregates.
pub fn from_name(
    name: &str,
    zone: Zone,
    aggregate: impl FnOnce(&str) -> Option<Arc<AggregateUDF>>,
) -> Option<Arc<WindowUDF>> {
    let frame: Frame = serde_json::from_str(name.strip_prefix(PREFIX)?).ok()?;
    let kind = match frame.function.as_str() {
        "first_value" => Kind::First,
        "last_value" => Kind::Last,
        "nth_value" => Kind::Nth,
        "lag" => Kind::Lag { ahead: false },
        "lead" => Kind::Lag { ahead: true },
        function => Kind::Aggregate(aggregate(function)?),
    };
    let signature = Signature::user_defined(Volatility::Immutable);
    let framed = Framed { name: name.to_owned(), kind, frame, zone, keys: None, signature };
    Some(Arc::new(WindowUDF::from(framed)))
}

/// Whether such a function is `lag` or `lead`, whose value and default have one type.
pub fn is_lag(name: &str) -> bool {
    let frame = name.strip_prefix(PREFIX).and_then(|frame| serde_json::from_str::<Frame>(frame).ok());
    frame.is_some_and(|frame| matches!(frame.function.as_str(), "lag" | "lead"))
}

/// The function with `keys` more arguments, by which rows are peers; `None` when it has them, or is none of these.
pub fn with_keys(function: &WindowUDF, keys: usize) -> Option<WindowUDF> {
    let framed = function.inner().downcast_ref::<Framed>()?;
    let keyed = Framed { keys: Some(keys), ..framed.clone() };
    framed.keys.is_none().then(|| WindowUDF::from(keyed))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Aggregate(Arc<AggregateUDF>),
    First,
    Last,
    Nth,
    Lag { ahead: bool },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Framed {
    name: String,
    kind: Kind,
    frame: Frame,
    zone: Zone,
    /// `None` until the planner has added them.
    keys: Option<usize>,
    signature: Signature,
}

/// Where the arguments are.
struct Places {
    /// Those of the function.
    own: Range<usize>,
    filter: Option<usize>,
    key: Option<usize>,
    start: Option<usize>,
    end: Option<usize>,
    peers: Range<usize>,
}

impl Framed {
    fn places(&self, given: usize) -> Result<Places> {
        let frame = &self.frame;
        let flags = [frame.filtered, frame.keyed, frame.start.has_offset(), frame.end.has_offset()];
        let behind = flags.iter().filter(|flag| **flag).count() + self.keys.unwrap_or(0);
        let own = given.checked_sub(behind).ok_or_else(|| {
            DataFusionError::Internal("a frame without the arguments that its name says".to_owned())
        })?;
        let mut next = own;
        let mut place = |present: bool| {
            let at = next;
            next += usize::from(present);
            present.then_some(at)
        };
        let [filter, key, start, end] = flags.map(&mut place);
        Ok(Places { own: 0..own, filter, key, start, end, peers: next..given })
    }

    fn own_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let integer = |ty: &DataType| match ty {
            DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Null | DataType::Utf8 => {
                Ok(ty.clone())
            }
            _ => Err(no_such_function(&self.frame.function, given)),
        };
        match (&self.kind, given) {
            (Kind::Aggregate(aggregate), _) => {
                let field = |ty: &DataType| Arc::new(Field::new("value", ty.clone(), true));
                let fields: Vec<FieldRef> = given.iter().map(field).collect();
                let fields = fields_with_udf(&fields, aggregate.as_ref())?;
                Ok(fields.iter().map(|field| field.data_type().clone()).collect())
            }
            (Kind::First | Kind::Last, [value]) => Ok(vec![value.clone()]),
            (Kind::Nth, [value, place]) => Ok(vec![value.clone(), integer(place)?]),
            (Kind::Lag { .. }, [value]) => Ok(vec![value.clone()]),
            (Kind::Lag { .. }, [value, offset]) => Ok(vec![value.clone(), integer(offset)?]),
            (Kind::Lag { .. }, [value, offset, _]) => {
                Ok(vec![value.clone(), integer(offset)?, value.clone()])
            }
            _ => Err(no_such_function(&self.frame.function, given)),
        }
    }
}

impl WindowUDFImpl for Framed {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let places = self.places(given.len())?;
        let mut types = given.to_vec();
        for (place, ty) in self.own_types(&given[places.own.clone()])?.into_iter().enumerate() {
            types[place] = ty;
        }
        if let Some(filter) = places.filter {
            types[filter] = DataType::Boolean;
        }
        // Offsets are converted where they are used, as a text is by the type of the key.
        Ok(types)
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let places = self.places(args.input_fields().len())?;
        // Here, since DataFusion words errors of its own for arguments that are not coerced.
        let given = |place: usize| args.input_fields()[place].data_type();
        for place in [places.start, places.end].into_iter().flatten() {
            offset_type(self.frame.units, places.key.map(given), given(place)).map_err(external)?;
        }
        let own = &args.input_fields()[places.own];
        let field = match &self.kind {
            Kind::Aggregate(aggregate) => aggregate.return_field(own)?,
            _ => match own.first() {
                Some(value) => Arc::clone(value),
                None => return Err(no_such_function(&self.frame.function, &[])),
            },
        };
        Ok(Arc::new(field.as_ref().clone().with_name(args.name()).with_nullable(true)))
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator { of: self.clone(), fields: args.input_fields().to_vec() }))
    }

    fn limit_effect(&self, _args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

#[derive(Debug)]
struct Evaluator {
    of: Framed,
    fields: Vec<FieldRef>,
}

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let places = self.of.places(self.fields.len())?;
        let cells = |place: usize, wanted: Option<&Type>| -> Result<Vec<Value>> {
            if values[place].data_type().is_null() {
                return Ok(vec![Value::Null; rows]);
            }
            let ty = type_of(&self.fields[place]);
            let cell = |row| {
                let value = value_at(&values[place], row, &ty)?;
                wanted.map_or_else(|| Ok(value.clone()), |wanted| cast(value.clone(), wanted, false))
            };
            (0..rows).map(|row| cell(row).map_err(external)).collect()
        };
        if let Kind::Lag { ahead } = self.of.kind {
            let own = &values[places.own.clone()];
            let second = places.own.clone().nth(1);
            let offsets = second.map(|place| cells(place, Some(&Type::Int8))).transpose()?;
            let value = type_of(&self.fields[places.own.start]);
            let defaults = match places.own.clone().nth(2) {
                None => new_null_array(own[0].data_type(), rows),
                Some(place) => {
                    let mut defaults = Builder::new(&value, rows);
                    for default in cells(place, Some(&value))? {
                        defaults.append(&default).map_err(external)?;
                    }
                    defaults.finish()
                }
            };
            return lag(&own[0], &defaults, offsets.as_deref(), ahead, rows);
        }
        let key = places.key.map(|place| self.fields[place].data_type());
        let offsets = |place: Option<usize>| {
            let offsets = place.map(|place| {
                let given = self.fields[place].data_type();
                let wanted = offset_type(self.of.frame.units, key, given).map_err(external)?;
                cells(place, Some(&type_of_data_type(&wanted)))
            });
            offsets.transpose()
        };
        let bounds = Bounds {
            frame: &self.of.frame,
            zone: self.of.zone,
            keys: places.key.map(|place| cells(place, None)).transpose()?,
            starts: offsets(places.start)?,
            ends: offsets(places.end)?,
        };
        let frames = bounds.of_rows(rows, &values[places.peers.clone()]).map_err(external)?;
        let own = &values[places.own.clone()];
        match &self.of.kind {
            Kind::Aggregate(aggregate) => {
                let condition = places.filter.map(|place| values[place].as_boolean());
                let fields = &self.fields[places.own];
                Aggregated::new(aggregate, fields, own, condition)?.over(&frames)
            }
            Kind::Nth => {
                let wanted = cells(places.own.start + 1, Some(&Type::Int8))?;
                chosen(&own[0], frames.iter().zip(&wanted).map(|(frame, wanted)| nth(frame, wanted)))
            }
            kind => {
                let is_last = *kind == Kind::Last;
                chosen(
                    &own[0],
                    frames.iter().map(|frame| {
                        let row = match is_last {
                            true => frame.iter().rev().find(|part| !part.is_empty()).map(|part| part.end - 1),
                            false => frame.iter().find(|part| !part.is_empty()).map(|part| part.start),
                        };
                        Ok(row)
                    }),
                )
            }
        }
    }

    fn supports_bounded_execution(&self) -> bool {
        false
    }
}

/// The rows of a frame: parts of the partition in their order.
type Parts = [Range<usize>];

fn nth(frame: &Parts, wanted: &Value) -> Result<Option<usize>> {
    let Value::Int8(wanted) = wanted else { return Ok(None) };
    if *wanted < 1 {
        let message = "argument of nth_value must be greater than zero";
        return Err(external(Error::new(SqlState("22016"), message)));
    }
    let mut left = usize::try_from(*wanted - 1).unwrap_or(usize::MAX);
    for part in frame {
        if left < part.len() {
            return Ok(Some(part.start + left));
        }
        left -= part.len();
    }
    Ok(None)
}

/// The values of chosen rows, NULL where none is.
fn chosen(values: &ArrayRef, rows: impl Iterator<Item = Result<Option<usize>>>) -> Result<ArrayRef> {
    let rows = rows.map(|row| Ok(row?.map(|row| row as u32))).collect::<Result<UInt32Array>>()?;
    Ok(take(values, &rows, None)?)
}

/// The value some rows away, or the default there; beside a NULL there is no row.
fn lag(
    own: &ArrayRef,
    defaults: &ArrayRef,
    offsets: Option<&[Value]>,
    ahead: bool,
    rows: usize,
) -> Result<ArrayRef> {
    let place = |row: usize| -> Option<Option<usize>> {
        let offset = match offsets.map(|offsets| &offsets[row]) {
            None => 1,
            Some(Value::Int8(offset)) => *offset,
            Some(_) => return None,
        };
        let there = if ahead { (row as i64).checked_add(offset) } else { (row as i64).checked_sub(offset) };
        Some(there.and_then(|there| usize::try_from(there).ok()).filter(|there| *there < rows))
    };
    let all = concat(&[own.as_ref(), defaults.as_ref()])?;
    chosen(&all, (0..rows).map(|row| Ok(place(row).map(|there| there.unwrap_or(rows + row)))))
}

/// An aggregate over the rows of a partition that pass its condition.
struct Aggregated<'a> {
    aggregate: &'a Arc<AggregateUDF>,
    fields: &'a [FieldRef],
    columns: Vec<ArrayRef>,
    /// How many rows before each pass, if there is a condition.
    before: Option<Vec<usize>>,
}

impl<'a> Aggregated<'a> {
    fn new(
        aggregate: &'a Arc<AggregateUDF>,
        fields: &'a [FieldRef],
        columns: &[ArrayRef],
        condition: Option<&BooleanArray>,
    ) -> Result<Aggregated<'a>> {
        let Some(condition) = condition else {
            return Ok(Aggregated { aggregate, fields, columns: columns.to_vec(), before: None });
        };
        let passes = match condition.null_count() {
            0 => condition.clone(),
            _ => prep_null_mask_filter(condition),
        };
        let mut before = vec![0];
        let mut count = 0;
        for pass in passes.values().iter() {
            count += usize::from(pass);
            before.push(count);
        }
        let columns = columns.iter().map(|column| Ok(filter(column, &passes)?)).collect::<Result<_>>()?;
        Ok(Aggregated { aggregate, fields, columns, before: Some(before) })
    }

    fn over(&self, frames: &[Vec<Range<usize>>]) -> Result<ArrayRef> {
        let returns = self.aggregate.return_field(self.fields)?;
        let schema = Schema::new(self.fields.to_vec());
        let column = |(place, field): (usize, &FieldRef)| -> Arc<dyn PhysicalExpr> {
            Arc::new(Column::new(field.name(), place))
        };
        let exprs: Vec<Arc<dyn PhysicalExpr>> = self.fields.iter().enumerate().map(column).collect();
        let args = || AccumulatorArgs {
            return_field: Arc::clone(&returns),
            schema: &schema,
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: self.aggregate.name(),
            is_distinct: false,
            exprs: &exprs,
            expr_fields: self.fields,
        };
        let mut moving = self.aggregate.create_sliding_accumulator(args())?;
        let moves = moving.supports_retract_batch();
        let mut held = 0..0;
        let mut last: Option<(Vec<Range<usize>>, ScalarValue)> = None;
        let mut answers = Vec::with_capacity(frames.len());
        for frame in frames {
            let parts: Vec<Range<usize>> = frame.iter().map(|part| self.passing(part)).collect();
            if let Some((_, answer)) = last.as_ref().filter(|(known, _)| *known == parts) {
                answers.push(answer.clone());
                continue;
            }
            if held.is_empty()
                && let [part] = parts.as_slice()
            {
                held = part.start..part.start;
            }
            let answer = match parts.as_slice() {
                [part]
                    if moves
                        && part.start >= held.start
                        && part.end >= held.end
                        && part.start <= held.end =>
                {
                    self.add(moving.as_mut(), held.end..part.end)?;
                    let gone = held.start..part.start;
                    if !gone.is_empty() {
                        moving.retract_batch(&self.slices(&gone))?;
                    }
                    held = part.clone();
                    moving.evaluate()?
                }
                parts => {
                    let mut anew = self.aggregate.accumulator(args())?;
                    for part in parts {
                        self.add(anew.as_mut(), part.clone())?;
                    }
                    anew.evaluate()?
                }
            };
            answers.push(answer.clone());
            last = Some((parts, answer));
        }
        match answers.is_empty() {
            true => Ok(new_null_array(returns.data_type(), 0)),
            false => ScalarValue::iter_to_array(answers),
        }
    }

    fn passing(&self, part: &Range<usize>) -> Range<usize> {
        match &self.before {
            Some(before) => before[part.start]..before[part.end],
            None => part.clone(),
        }
    }

    fn slices(&self, rows: &Range<usize>) -> Vec<ArrayRef> {
        self.columns.iter().map(|column| column.slice(rows.start, rows.len())).collect()
    }

    fn add(&self, to: &mut dyn Accumulator, rows: Range<usize>) -> Result<()> {
        if rows.is_empty() { Ok(()) } else { to.update_batch(&self.slices(&rows)) }
    }
}
