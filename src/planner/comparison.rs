//! Comparisons that are not a binary operator, as PostgreSQL carries them out: IN, BETWEEN, `CASE x WHEN`, IS DISTINCT
//! FROM.
//!
//! DataFusion finds one type for what is compared, which is not PostgreSQL's:
//!
//! - A float beside a numeric is compared as double precision, which has NaN and infinity; DataFusion makes a numeric of
//!   the float.
//! - Intervals are compared by how long they are (a month is 30 days, a day 24 hours); DataFusion compares their fields.
//! - Dates are compared with timestamps, and those with moments, as the wider of the two types; DataFusion does so in
//!   nanoseconds, which have neither infinity nor the year 2300.
//! - Numbers that each show their own digits (`functions::decimal`) are compared by value: `1.0` is `1`.
//! - jsonb, arrays and records have an order of PostgreSQL's: [`crate::functions::sort_keys`].
//! - citext is compared without regard to case (`planner::citext`).

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::{
    Cast, Distinct, Expr, ExprSchemable, LogicalPlan, Operator, Projection, Subquery,
};

use crate::error::{Error, SqlState};
use crate::functions::sort_keys::FLOAT;
use crate::functions::vector::{SORT_KEY, wants_sort_key};
use crate::functions::{decimal, sort_keys};
use crate::planner::characters;
use crate::planner::citext;
use crate::planner::dimensions;
use crate::planner::operators::call;
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::is_json;
use crate::types::arrow::{data_type, field, type_of};
use crate::types::cast::NAME_BYTES_MAX;

/// In what values are compared.
#[derive(Clone, Copy, PartialEq)]
enum Common {
    Double,
    /// [`call`] of `interval_key`.
    Interval,
    /// `timestamp`, or with a zone.
    Moment {
        zoned: bool,
    },
    /// `time with time zone`.
    Clock,
    /// [`sort_keys::NUMBER`].
    Number,
    /// [`sort_keys::DOCUMENT`].
    Document,
    /// [`sort_keys::ARRAY`].
    Array,
}

/// In what values of these types are compared where DataFusion would not find it.
fn common(types: &[DataType]) -> Option<Common> {
    let is_float = |ty: &DataType| matches!(ty, DataType::Float32 | DataType::Float64);
    // Not every integer is a real.
    if types.contains(&DataType::Float32) && types.iter().any(DataType::is_integer) {
        return Some(Common::Double);
    }
    if types.iter().any(is_float) && types.iter().any(decimal::is_numeric) {
        return Some(Common::Double);
    }
    let is_any = |ty: &DataType| *ty == decimal::any();
    let is_number = |ty: &DataType| decimal::is_numeric(ty) || ty.is_integer();
    if types.iter().any(is_any) && types.iter().all(|ty| is_number(ty) || ty.is_null()) {
        return Some(Common::Number);
    }
    let is_array_of = |ty: &DataType, is: &dyn Fn(&DataType) -> bool| match ty {
        DataType::List(item) => is(item.data_type()),
        _ => false,
    };
    let is_record = |ty: &DataType| matches!(ty, DataType::Struct(_));
    // Arrays of other dimensions are of one type.
    let is_array = |ty: &DataType| is_array_of(ty, &|_| true);
    if types.iter().any(dimensions::are_several) && types.iter().all(|ty| is_array(ty) || ty.is_null()) {
        return dimensions::have_one_element(types).then_some(Common::Array);
    }
    let all = |is: &dyn Fn(&DataType) -> bool| {
        types.iter().any(is) && types.iter().all(|ty| is(ty) || ty.is_null())
    };
    // Equal documents, intervals and numbers may look different (zeros do), which Arrow sees in arrays of them.
    let is_kept = |ty: &DataType| matches!(ty, DataType::LargeUtf8 | DataType::Interval(_)) || is_float(ty);
    if all(&|ty| is_array_of(ty, &is_record)) || all(&|ty| is_array_of(ty, &is_kept)) {
        return Some(Common::Array);
    }
    if types.iter().any(|ty| is_array_of(ty, &is_any))
        && types.iter().all(|ty| is_array_of(ty, &is_number) || ty.is_null())
    {
        return Some(Common::Array);
    }
    let is_interval = |ty: &DataType| matches!(ty, DataType::Interval(_));
    if all(&is_interval) {
        return Some(Common::Interval);
    }
    if all(&is_record) {
        return Some(Common::Array);
    }
    let is_moment = |ty: &DataType| matches!(ty, DataType::Date32 | DataType::Timestamp(..));
    let moments = || types.iter().filter(|ty| is_moment(ty));
    if all(&is_moment) && moments().any(|ty| Some(ty) != moments().next()) {
        let zoned = moments().any(|ty| matches!(ty, DataType::Timestamp(_, Some(_))));
        return Some(Common::Moment { zoned });
    }
    let is_zoned_clock = |ty: &DataType| *ty == data_type(&Type::Timetz(None));
    let is_clock = |ty: &DataType| matches!(ty, DataType::Time64(_));
    if types.iter().any(is_clock)
        && all(&|ty| is_clock(ty) || is_zoned_clock(ty))
        && types.iter().any(is_zoned_clock)
    {
        return Some(Common::Clock);
    }
    all(&|ty| *ty == DataType::LargeUtf8).then_some(Common::Document)
}

/// An expression of type `ty` as it is compared.
fn compared(expr: Expr, ty: &DataType, common: Common) -> Expr {
    match common {
        Common::Double => match (&expr, ty) {
            (_, DataType::Float64) => expr,
            // A constant stays one, so that an index can answer.
            (Expr::Literal(value, None), _) if decimal::is_numeric(ty) => match decimal::of_scalar(value) {
                Ok(number) => Expr::Literal(ScalarValue::Float64(number.map(|number| number.to_f64())), None),
                Err(_) => Expr::Cast(Cast::new(Box::new(expr), DataType::Float64)),
            },
            _ => Expr::Cast(Cast::new(Box::new(expr), DataType::Float64)),
        },
        Common::Moment { zoned } => {
            converted(expr, ty, if zoned { Type::Timestamptz(None) } else { Type::Timestamp(None) })
        }
        Common::Clock => converted(expr, ty, Type::Timetz(None)),
        _ if ty.is_null() => Expr::Literal(ScalarValue::Binary(None), None),
        Common::Interval => call("interval_key", vec![expr]),
        Common::Number => call(sort_keys::NUMBER, vec![expr]),
        Common::Document => call(sort_keys::DOCUMENT, vec![expr]),
        Common::Array => call(sort_keys::ARRAY, vec![expr]),
    }
}

fn converted(expr: Expr, ty: &DataType, target: Type) -> Expr {
    let field = Arc::new(field("", &target, true));
    match field.data_type() == ty {
        true => expr,
        false => Expr::Cast(Cast::new_from_field(Box::new(expr), field)),
    }
}

/// 42883 where json, which has no equality and no order, is grouped or sorted.
pub fn check_documents(node: &LogicalPlan, schema: &DFSchema) -> Result<()> {
    let found = |expr: &Expr| expr.to_field(schema).is_ok_and(|(_, field)| is_json(field.data_type()));
    let (is_json, operator) = match node {
        LogicalPlan::Aggregate(aggregate) => (aggregate.group_expr.iter().any(found), "equality"),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            (input.schema().fields().iter().any(|field| is_json(field.data_type())), "equality")
        }
        LogicalPlan::Sort(sort) => (sort.expr.iter().any(|key| found(&key.expr)), "ordering"),
        _ => return Ok(()),
    };
    if is_json {
        let message = format!("could not identify an {operator} operator for type json");
        return Err(external(Error::new(SqlState::UNDEFINED_FUNCTION, message)));
    }
    Ok(())
}

/// Whole numbers that each are a real.
const REAL_WHOLE_MAX: i32 = 1 << 24;

/// The constants of `real IN (0.1, 1.5)`: PostgreSQL makes an array of two or more, which is one of reals.
pub fn of_list(subject: &Expr, list: &mut [Expr], schema: &DFSchema) {
    if list.len() < 2 || !subject.get_type(schema).is_ok_and(|ty| ty == DataType::Float32) {
        return;
    }
    for item in list {
        if let Expr::Literal(value, None) = item
            && (decimal::is_numeric(&value.data_type()) || value.data_type().is_integer())
            && let Ok(real) = as_real(value)
        {
            *item = Expr::Literal(real, None);
        }
    }
}

/// `x IN (...)` of floats and vectors, whose zeros are equal whatever their signs, which Arrow's are not. Constants stay so
/// that an index can answer: a zero among them stands there with both signs.
pub fn of_zeros(subject: &mut Expr, list: &mut Vec<Expr>, schema: &DFSchema) {
    let sides = std::iter::once(&*subject).chain(&*list);
    let types: Vec<DataType> = sides.filter_map(|side| side.get_type(schema).ok()).collect();
    if types.len() <= list.len() {
        return;
    }
    let Some(key) = zeros_key(&types.iter().collect::<Vec<_>>()) else { return };
    if key == FLOAT && list.iter().all(|item| matches!(item, Expr::Literal(..))) {
        let other = list.iter().find_map(other_zero);
        list.extend(other.map(|zero| Expr::Literal(zero, None)));
        return;
    }
    for (side, ty) in std::iter::once(subject).chain(list).zip(types) {
        *side = of_zero(std::mem::take(side), &ty, key);
    }
}

/// The function whose results are equal where values of these types are: those of floats and vectors have two zeros.
fn zeros_key(types: &[&DataType]) -> Option<&'static str> {
    let any = |is: fn(&DataType) -> bool| types.iter().any(|ty| is(ty));
    let all = |is: fn(&DataType) -> bool| types.iter().all(|ty| is(ty) || ty.is_null());
    match () {
        () if any(DataType::is_floating) && all(|ty| ty.is_floating() || ty.is_integer()) => Some(FLOAT),
        () if any(wants_sort_key) && all(wants_sort_key) => Some(SORT_KEY),
        () => None,
    }
}

fn of_zero(side: Expr, ty: &DataType, key: &str) -> Expr {
    if ty.is_floating() || wants_sort_key(ty) { call(key, vec![side]) } else { side }
}

/// Of a zero, the one with the other sign.
fn other_zero(item: &Expr) -> Option<ScalarValue> {
    match item {
        Expr::Literal(ScalarValue::Float64(Some(zero)), _) if *zero == 0.0 => {
            Some(ScalarValue::Float64(Some(-zero)))
        }
        Expr::Literal(ScalarValue::Float32(Some(zero)), _) if *zero == 0.0 => {
            Some(ScalarValue::Float32(Some(-zero)))
        }
        Expr::Literal(ScalarValue::Int32(Some(0)) | ScalarValue::Int64(Some(0)), _) => {
            Some(ScalarValue::Float64(Some(-0.0)))
        }
        _ => None,
    }
}

fn as_real(value: &ScalarValue) -> Result<ScalarValue> {
    if decimal::is_numeric(&value.data_type()) {
        let number = decimal::of_scalar(value)?;
        return Ok(ScalarValue::Float32(number.map(|number| number.to_f64() as f32)));
    }
    value.cast_to(&DataType::Float64)?.cast_to(&DataType::Float32)
}

/// A literal beside a name is one, no longer than names are.
fn cut_names(sides: &mut [&mut Expr]) {
    for side in sides {
        if let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = side {
            text.truncate(text.floor_char_boundary(NAME_BYTES_MAX));
        }
    }
}

/// Changes the sides of a comparison into what PostgreSQL compares.
pub fn settle<'e>(sides: impl IntoIterator<Item = &'e mut Expr>, schema: &DFSchema) -> Result<()> {
    let mut sides: Vec<&mut Expr> = sides.into_iter().collect();
    citext::settle(&mut sides, schema)?;
    if sides.iter().any(|side| characters::text_type(side, schema) == Some(Type::Name)) {
        cut_names(&mut sides);
    }
    for side in &mut sides {
        **side = characters::without_blanks(std::mem::take(*side), schema);
    }
    let ty = |expr: &Expr| expr.to_field(schema).map(|(_, field)| field.data_type().clone()).ok();
    let Some(mut types) = sides.iter().map(|side| ty(side)).collect::<Option<Vec<DataType>>>() else {
        return Ok(());
    };
    if types.contains(&DataType::Float32) {
        for (side, ty) in sides.iter_mut().zip(&mut types) {
            if let Expr::Literal(ScalarValue::Int32(Some(number)), None) = side
                && number.unsigned_abs() <= REAL_WHOLE_MAX.unsigned_abs()
            {
                (**side, *ty) =
                    (Expr::Literal(ScalarValue::Float32(Some(*number as f32)), None), DataType::Float32);
            }
        }
    }
    let Some(common) = common(&types) else { return Ok(()) };
    for (side, ty) in sides.into_iter().zip(&types) {
        *side = compared(std::mem::take(side), ty, common);
    }
    Ok(())
}

/// The subject and the values of `CASE x WHEN`. DataFusion looks constants up in a table, which it cannot make of uuids, so
/// that their bytes are compared, and in which zeros of floats differ by their signs.
pub fn of_case<'e>(sides: impl IntoIterator<Item = &'e mut Expr>, schema: &DFSchema) {
    for side in sides {
        let ty = side.get_type(schema);
        if ty.as_ref().is_ok_and(DataType::is_floating) {
            *side = call(FLOAT, vec![std::mem::take(side)]);
        }
        if !ty.is_ok_and(|ty| matches!(ty, DataType::FixedSizeBinary(_))) {
            continue;
        }
        *side = match std::mem::take(side) {
            Expr::Literal(ScalarValue::FixedSizeBinary(_, bytes), _) => {
                Expr::Literal(ScalarValue::Binary(bytes), None)
            }
            other => Expr::Cast(Cast::new(Box::new(other), DataType::Binary)),
        };
    }
}

/// The two sides of an operator. Beside `interval` the operators are functions of ours by now, but for IS DISTINCT FROM.
pub fn of_operator(mut left: Expr, op: Operator, mut right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    if matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom) {
        let of_bound = citext::settle_bound(&mut left, &mut right, schema)?;
        if !of_bound {
            settle([&mut left, &mut right], schema)?;
        }
    }
    if matches!(op, Lt | LtEq | Gt | GtEq) {
        order_arrays(&mut left, &mut right, schema);
    }
    Ok((left, right))
}

/// The two sides of a join: citext, and numbers of which one shows its own digits. Other types DataFusion settles.
pub fn of_join(left: (&mut Expr, &DFSchema), right: (&mut Expr, &DFSchema)) -> Result<()> {
    if citext::settle_each(vec![(&mut *left.0, left.1), (&mut *right.0, right.1)])? {
        return Ok(());
    }
    let types = [left.0.get_type(left.1)?, right.0.get_type(right.1)?];
    if let Some(common @ Common::Number) = common(&types) {
        for (side, ty) in [left.0, right.0].into_iter().zip(&types) {
            *side = compared(std::mem::take(side), ty, common);
        }
    }
    Ok(())
}

/// The three sides of BETWEEN.
pub fn of_range(mut sides: [&mut Expr; 3], schema: &DFSchema) -> Result<()> {
    settle(sides.iter_mut().map(|side| &mut **side), schema)?;
    let types: Vec<DataType> = sides.iter().filter_map(|side| side.get_type(schema).ok()).collect();
    let all = |is: fn(&DataType) -> bool| types.len() == sides.len() && types.iter().all(is);
    let key = match () {
        () if all(|ty| matches!(ty, DataType::List(_))) => sort_keys::ARRAY,
        () if all(wants_sort_key) => SORT_KEY,
        () => return Ok(()),
    };
    for side in sides {
        *side = call(key, vec![std::mem::take(side)]);
    }
    Ok(())
}

/// Arrays are ordered with their NULL elements; which are equal Arrow knows.
fn order_arrays(left: &mut Expr, right: &mut Expr, schema: &DFSchema) {
    let is_array = |side: &Expr| {
        side.to_field(schema).is_ok_and(|(_, field)| matches!(field.data_type(), DataType::List(_)))
    };
    if is_array(left) && is_array(right) {
        for side in [left, right] {
            *side = compared(std::mem::take(side), &DataType::Binary, Common::Array);
        }
    }
}

/// `x IN (SELECT ...)`: the subquery's column is changed by a projection above it.
pub fn of_subquery(mut member: InSubquery, schema: &DFSchema) -> Result<InSubquery> {
    let inner = Arc::clone(&member.subquery.subquery);
    let ([field], Ok((_, given))) = (inner.schema().fields().as_ref(), member.expr.to_field(schema)) else {
        return Ok(member);
    };
    let is_array = |ty: &DataType| matches!(ty, DataType::List(_));
    if is_array(field.data_type()) && !is_array(given.data_type()) && !given.data_type().is_null() {
        // `x = ANY ((SELECT array_agg(...)))` is a comparison with the rows of a subquery too.
        let operator = if member.negated { "<>" } else { "=" };
        let (left, right) = (type_of(&given).bare(), type_of(field).bare());
        let message = format!("operator does not exist: {left} {operator} {right}");
        return Err(external(Error::new(SqlState::UNDEFINED_FUNCTION, message).hint(
            "No operator matches the given name and argument types. You might need to add explicit type casts.",
        )));
    }
    let (given, found) = (given.data_type().clone(), field.data_type().clone());
    let (qualifier, field) = inner.schema().qualified_field(0);
    let mut column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
    if !citext::settle_each(vec![(member.expr.as_mut(), schema), (&mut column, inner.schema())])? {
        match (common(&[given.clone(), found.clone()]), zeros_key(&[&given, &found])) {
            (Some(common), _) => {
                *member.expr = compared(*member.expr, &given, common);
                column = compared(column, &found, common);
            }
            (None, Some(key)) => {
                *member.expr = of_zero(*member.expr, &given, key);
                column = of_zero(column, &found, key);
            }
            (None, None) => return Ok(member),
        }
    }
    let shown = column.alias_qualified(qualifier.cloned(), field.name());
    let subquery = LogicalPlan::Projection(Projection::try_new(vec![shown], inner)?);
    member.subquery = Subquery { subquery: Arc::new(subquery), ..member.subquery };
    Ok(member)
}
