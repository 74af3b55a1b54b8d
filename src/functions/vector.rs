//! pgvector's functions on `vector`, `halfvec`, `sparsevec` and `bit`. The operators `<->`, `<#>`, `<=>`, `<+>`, `<~>`, `<%>` and the
//! comparisons are these functions under other names: the planner turns the one into the other.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, BooleanBuilder, Float64Builder, Int32Array, Int32Builder,
};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::cast::as_int32_array;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::codec::key;
use crate::distance::{self, Element, Metric, Query, Vector};
use crate::error::{Error, SqlState};
use crate::functions::cells::{
    Cell, Cells, Output, check_same, common_element, each, each_pair, element_of, element_of_call, read,
    type_of_element,
};
use crate::functions::scalar::{Function, answer, no_such_function, rows_of};
use crate::types::arrow::errors::external;
use crate::types::arrow::{data_type, lists};
use crate::types::vector::Kind;
use crate::types::{Bits, Sparse, Sparsevec, Type, Value};

/// The function behind a distance operator over vectors of `element`.
pub fn distance_function(metric: Metric, element: Element) -> &'static str {
    match (metric, element) {
        (Metric::L2, _) => "l2_distance",
        (Metric::InnerProduct, Element::F16) => "halfvec_negative_inner_product",
        (Metric::InnerProduct, Element::Sparse) => "sparsevec_negative_inner_product",
        (Metric::InnerProduct, _) => "vector_negative_inner_product",
        (Metric::Cosine, _) => "cosine_distance",
        (Metric::L1, _) => "l1_distance",
        (Metric::Hamming, _) => "hamming_distance",
        (Metric::Jaccard, _) => "jaccard_distance",
    }
}

/// The metric a function computes, when it is one of the operators'.
pub fn metric_of_function(name: &str) -> Option<Metric> {
    let named =
        |metric: &Metric| Element::ALL.iter().any(|&element| distance_function(*metric, element) == name);
    Metric::ALL.into_iter().find(named)
}

/// The function behind an operator over vectors that is no distance.
pub fn operator_function(operator: &str, element: Element) -> Option<&'static str> {
    Some(match (operator, element) {
        ("=", Element::F32) => "vector_eq",
        ("<>" | "!=", Element::F32) => "vector_ne",
        ("<", Element::F32) => "vector_lt",
        ("<=", Element::F32) => "vector_le",
        (">", Element::F32) => "vector_gt",
        (">=", Element::F32) => "vector_ge",
        ("+", Element::F32) => "vector_add",
        ("-", Element::F32) => "vector_sub",
        ("*", Element::F32) => "vector_mul",
        ("||", Element::F32) => "vector_concat",
        ("=", Element::F16) => "halfvec_eq",
        ("<>" | "!=", Element::F16) => "halfvec_ne",
        ("<", Element::F16) => "halfvec_lt",
        ("<=", Element::F16) => "halfvec_le",
        (">", Element::F16) => "halfvec_gt",
        (">=", Element::F16) => "halfvec_ge",
        ("+", Element::F16) => "halfvec_add",
        ("-", Element::F16) => "halfvec_sub",
        ("*", Element::F16) => "halfvec_mul",
        ("||", Element::F16) => "halfvec_concat",
        ("=", Element::Sparse) => "sparsevec_eq",
        ("<>" | "!=", Element::Sparse) => "sparsevec_ne",
        ("<", Element::Sparse) => "sparsevec_lt",
        ("<=", Element::Sparse) => "sparsevec_le",
        (">", Element::Sparse) => "sparsevec_gt",
        (">=", Element::Sparse) => "sparsevec_ge",
        ("=", Element::Bit) => "biteq",
        ("<>" | "!=", Element::Bit) => "bitne",
        ("<", Element::Bit) => "bitlt",
        ("<=", Element::Bit) => "bitle",
        (">", Element::Bit) => "bitgt",
        (">=", Element::Bit) => "bitge",
        ("&", Element::Bit) => "bitand",
        ("|", Element::Bit) => "bitor",
        ("#", Element::Bit) => "bitxor",
        ("<<", Element::Bit) => "bitshiftleft",
        (">>", Element::Bit) => "bitshiftright",
        ("||", Element::Bit) => "bitcat",
        _ => return None,
    })
}

/// The name of the function that makes keys which order by bytes as vectors order.
pub const SORT_KEY: &str = "vector_sort_key";

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    use DataType::{Binary, Boolean, Float64, Int32};
    let mut all = vec![
        Function::new("l2_distance", two_of_any, Float64, |args| distances(args, Metric::L2)),
        Function::new("cosine_distance", two_of_any, Float64, |args| distances(args, Metric::Cosine)),
        Function::new("l1_distance", two_of_any, Float64, |args| distances(args, Metric::L1)),
        Function::new("hamming_distance", two_bits, Float64, |args| distances(args, Metric::Hamming)),
        Function::new("jaccard_distance", two_bits, Float64, |args| distances(args, Metric::Jaccard)),
        Function::new("inner_product", two_of_any, Float64, |args| {
            pairs(args, |a, b| -Metric::InnerProduct.distance(a, b))
        }),
        Function::new("vector_dims", one_vector, Int32, vector_dims),
        Function::new("vector_norm", one_f32, Float64, vector_norm),
        Function::new("l2_norm", one_of_any, Float64, vector_norm),
        Function::typed("l2_normalize", one_of_any, as_given, l2_normalize),
        Function::typed("subvector", vector_and_two_integers, as_given, subvector),
        Function::typed("binary_quantize", one_vector, |_| Type::Bit(None), binary_quantize),
        Function::new(SORT_KEY, anything, Binary, sort_key),
    ];
    for name in ["vector_negative_inner_product", "halfvec_negative_inner_product"] {
        all.push(Function::new(name, two_vectors, Float64, |args| distances(args, Metric::InnerProduct)));
    }
    for name in ["vector_l2_squared_distance", "halfvec_l2_squared_distance"] {
        all.push(Function::new(name, two_vectors, Float64, |args| pairs(args, l2_squared)));
    }
    all.push(Function::new("sparsevec_negative_inner_product", two_sparse, Float64, |args| {
        distances(args, Metric::InnerProduct)
    }));
    all.push(Function::new("sparsevec_l2_squared_distance", two_sparse, Float64, |args| {
        pairs(args, l2_squared)
    }));
    for name in ["vector_spherical_distance", "halfvec_spherical_distance"] {
        all.push(Function::new(name, two_vectors, Float64, |args| pairs(args, spherical)));
    }
    for name in ["vector_add", "halfvec_add"] {
        all.push(Function::typed(name, two_vectors, as_given, |args| combine(args, false, |a, b| a + b)));
    }
    for name in ["vector_sub", "halfvec_sub"] {
        all.push(Function::typed(name, two_vectors, as_given, |args| combine(args, false, |a, b| a - b)));
    }
    for name in ["vector_mul", "halfvec_mul"] {
        all.push(Function::typed(name, two_vectors, as_given, |args| combine(args, true, |a, b| a * b)));
    }
    for name in ["vector_concat", "halfvec_concat"] {
        all.push(Function::typed(name, two_vectors, as_given, concat));
    }
    for name in ["vector_eq", "halfvec_eq", "biteq"] {
        all.push(Function::new(name, two_alike, Boolean, |args| compare(args, Ordering::is_eq)));
    }
    for name in ["vector_ne", "halfvec_ne", "bitne"] {
        all.push(Function::new(name, two_alike, Boolean, |args| compare(args, Ordering::is_ne)));
    }
    for name in ["vector_lt", "halfvec_lt", "bitlt"] {
        all.push(Function::new(name, two_alike, Boolean, |args| compare(args, Ordering::is_lt)));
    }
    for name in ["vector_le", "halfvec_le", "bitle"] {
        all.push(Function::new(name, two_alike, Boolean, |args| compare(args, Ordering::is_le)));
    }
    for name in ["vector_gt", "halfvec_gt", "bitgt"] {
        all.push(Function::new(name, two_alike, Boolean, |args| compare(args, Ordering::is_gt)));
    }
    for name in ["vector_ge", "halfvec_ge", "bitge"] {
        all.push(Function::new(name, two_alike, Boolean, |args| compare(args, Ordering::is_ge)));
    }
    for name in ["vector_cmp", "halfvec_cmp", "bitcmp"] {
        all.push(Function::new(name, two_alike, Int32, vector_cmp));
    }
    all.push(Function::new("sparsevec_eq", two_sparse, Boolean, |args| compare(args, Ordering::is_eq)));
    all.push(Function::new("sparsevec_ne", two_sparse, Boolean, |args| compare(args, Ordering::is_ne)));
    all.push(Function::new("sparsevec_lt", two_sparse, Boolean, |args| compare(args, Ordering::is_lt)));
    all.push(Function::new("sparsevec_le", two_sparse, Boolean, |args| compare(args, Ordering::is_le)));
    all.push(Function::new("sparsevec_gt", two_sparse, Boolean, |args| compare(args, Ordering::is_gt)));
    all.push(Function::new("sparsevec_ge", two_sparse, Boolean, |args| compare(args, Ordering::is_ge)));
    all.push(Function::new("sparsevec_cmp", two_sparse, Int32, vector_cmp));
    all
}

/// Text without a type of its own, or NULL: reads as what stands beside it.
fn is_open(given: &DataType) -> bool {
    matches!(given, DataType::Utf8 | DataType::Utf8View | DataType::Null)
}

/// Vectors stay what they are; text becomes what the others are, else a vector.
fn vectors(
    name: &str,
    given: &[DataType],
    elements: &[Element],
    otherwise: Element,
) -> Result<Vec<DataType>> {
    let fits = |ty: &DataType| is_open(ty) || element_of(ty).is_some_and(|found| elements.contains(&found));
    if !given.iter().all(fits) {
        return Err(no_such_function(name, given));
    }
    let element = common_element(given).unwrap_or(otherwise);
    let found = |wanted: bool| given.iter().filter_map(element_of).any(|e| (e == Element::Bit) == wanted);
    if found(true) && found(false) {
        return Err(no_such_function(name, given));
    }
    let open = data_type(&type_of_element(element));
    Ok(given.iter().map(|ty| if is_open(ty) { open.clone() } else { ty.clone() }).collect())
}

const NUMBERS: &[Element] = &[Element::F32, Element::F16];

fn one_vector(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [_] => vectors(name, given, NUMBERS, Element::F32),
        _ => Err(no_such_function(name, given)),
    }
}

fn one_f32(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [_] => vectors(name, given, &[Element::F32], Element::F32),
        _ => Err(no_such_function(name, given)),
    }
}

fn two_vectors(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [_, _] => vectors(name, given, NUMBERS, Element::F32),
        _ => Err(no_such_function(name, given)),
    }
}

/// As functions take them that are for sparse vectors too.
const ANY_NUMBERS: &[Element] = &[Element::F32, Element::F16, Element::Sparse];

fn one_of_any(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [_] => vectors(name, given, ANY_NUMBERS, Element::F32),
        _ => Err(no_such_function(name, given)),
    }
}

fn two_of_any(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [_, _] => vectors(name, given, ANY_NUMBERS, Element::F32),
        _ => Err(no_such_function(name, given)),
    }
}

/// Vectors that become sparse.
fn two_sparse(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [_, _] => vectors(name, given, ANY_NUMBERS, Element::Sparse),
        _ => Err(no_such_function(name, given)),
    }
}

fn two_bits(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [_, _] => vectors(name, given, &[Element::Bit], Element::Bit),
        _ => Err(no_such_function(name, given)),
    }
}

fn two_alike(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [_, _] => vectors(name, given, &Element::ALL, Element::F32),
        _ => Err(no_such_function(name, given)),
    }
}

fn anything(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [_] => Ok(given.to_vec()),
        _ => Err(no_such_function(name, given)),
    }
}

fn vector_and_two_integers(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [vector, start, count]
            if (start.is_integer() || start.is_null()) && (count.is_integer() || count.is_null()) =>
        {
            let types = vectors(name, std::slice::from_ref(vector), NUMBERS, Element::F32);
            let mut types = types.map_err(|_| no_such_function(name, given))?;
            types.extend([DataType::Int32, DataType::Int32]);
            Ok(types)
        }
        _ => Err(no_such_function(name, given)),
    }
}

/// The result is of the type the arguments meet in.
fn as_given(given: &[DataType]) -> Type {
    type_of_element(common_element(given).unwrap_or(Element::F32))
}

fn same(a: Vector, b: Vector) -> Result<()> {
    check_same(a, b).map_err(external)
}

/// Distances of each pair; when one side is constant it is read once.
fn distances(args: &ScalarFunctionArgs, metric: Metric) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let element = element_of_call(args);
    let (left, right) = (Cells::new(&args.args[0], element)?, Cells::new(&args.args[1], element)?);
    let (fixed, varying, swapped) =
        if left.is_constant() { (left, right, false) } else { (right, left, true) };
    if !fixed.is_constant() {
        return pairs(args, |a, b| metric.distance(a, b));
    }
    let mut result = Float64Builder::with_capacity(rows);
    let Some(fixed) = fixed.get(0)? else {
        (0..rows).for_each(|_| result.append_null());
        return answer(Arc::new(result.finish()), constant);
    };
    let query = Query::new(metric, fixed.vector());
    for row in 0..rows {
        match varying.get(row)? {
            Some(cell) => {
                let (a, b) = (fixed.vector(), cell.vector());
                if swapped {
                    same(b, a)?
                } else {
                    same(a, b)?
                }
                result.append_value(query.distance_to(b));
            }
            None => result.append_null(),
        }
    }
    answer(Arc::new(result.finish()), constant)
}

/// A number for each pair of vectors of one dimension.
fn pairs(args: &ScalarFunctionArgs, f: impl Fn(Vector, Vector) -> f64) -> Result<ColumnarValue> {
    let mut result = Float64Builder::with_capacity(args.number_rows);
    let constant = each_pair(args, |pair| {
        match pair {
            Some((a, b)) => {
                same(a.vector(), b.vector())?;
                result.append_value(f(a.vector(), b.vector()));
            }
            None => result.append_null(),
        }
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

fn l2_squared(a: Vector, b: Vector) -> f64 {
    match (a, b) {
        (Vector::F32(a), Vector::F32(b)) => f64::from(distance::l2_squared(a, b)),
        (Vector::F16(a), Vector::F16(b)) => f64::from(distance::half::l2_squared(a, b)),
        (Vector::Sparse(a), Vector::Sparse(b)) => f64::from(distance::sparse::l2_squared(a, b)),
        (a, b) => Metric::L2.distance(a, b).powi(2),
    }
}

fn spherical(a: Vector, b: Vector) -> f64 {
    (-Metric::InnerProduct.distance(a, b)).clamp(-1.0, 1.0).acos() / std::f64::consts::PI
}

fn vector_dims(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut result = Int32Builder::with_capacity(args.number_rows);
    let constant = each(args, |cell| {
        result.append_option(cell.map(|cell| cell.vector().dimensions() as i32));
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

fn vector_norm(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut result = Float64Builder::with_capacity(args.number_rows);
    let constant = each(args, |cell| {
        result.append_option(cell.map(|cell| cell.vector().norm()));
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

/// The zero vector stays as it is, as in pgvector.
fn l2_normalize(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut result = Output::new(element_of_call(args), args.number_rows);
    let constant = each(args, |cell| {
        match cell {
            Some(Cell::Sparse(words)) => {
                let vector = normalized_sparse(Sparse::new(&words));
                result.append_sparse(vector.as_sparse()).map_err(external)?;
            }
            Some(cell) => result.append(&normalized(&cell.numbers())).map_err(external)?,
            None => result.append_null(),
        }
        Ok(())
    })?;
    answer(result.finish(), constant)
}

fn normalized(vector: &[f32]) -> Vec<f32> {
    let norm = Vector::F32(vector).norm();
    let scale = |component: &f32| if norm > 0.0 { (f64::from(*component) / norm) as f32 } else { 0.0 };
    vector.iter().map(scale).collect()
}

/// Elements that become zero are left out.
fn normalized_sparse(vector: Sparse) -> Sparsevec {
    let values = normalized(vector.values());
    Sparsevec::new(vector.dimensions(), vector.indices().iter().copied().zip(values.iter().copied()))
}

/// One bit per element: whether it is above zero.
fn binary_quantize(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut result = Output::new(Element::Bit, args.number_rows);
    let constant = each(args, |cell| {
        match cell {
            Some(cell) => {
                let bits = Bits::from_iter(cell.numbers().iter().map(|&number| number > 0.0));
                result.append_bits(&bits).map_err(external)?;
            }
            None => result.append_null(),
        }
        Ok(())
    })?;
    answer(result.finish(), constant)
}

/// `start` counts from 1; what lies outside of the vector is cut off, and nothing left is an error.
fn subvector(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let element = element_of_call(args);
    let cells = Cells::new(&args.args[0], element)?;
    let integers: Vec<ArrayRef> =
        args.args[1..].iter().map(|argument| argument.to_array(rows)).collect::<Result<_>>()?;
    let (starts, counts): (&Int32Array, &Int32Array) =
        (as_int32_array(&integers[0])?, as_int32_array(&integers[1])?);
    let mut result = Output::new(element, rows);
    for row in 0..rows {
        match cells.get(row)? {
            Some(cell) if !starts.is_null(row) && !counts.is_null(row) => {
                let (numbers, kind) = (cell.numbers(), kind_of(element));
                let part = cut(&numbers, starts.value(row), counts.value(row), kind).map_err(external)?;
                result.append(part).map_err(external)?;
            }
            _ => result.append_null(),
        }
    }
    answer(result.finish(), constant)
}

fn kind_of(element: Element) -> Kind {
    if element == Element::F16 { Kind::Halfvec } else { Kind::Vector }
}

fn cut<T>(values: &[T], start: i32, count: i32, kind: Kind) -> crate::error::Result<&[T]> {
    let dimensions = values.len() as i64;
    let first = i64::from(start).max(1);
    let end = (i64::from(start) + i64::from(count)).min(dimensions + 1);
    if count < 1 || first > dimensions || end <= first {
        kind.check_dimensions(0)?;
    }
    Ok(&values[first as usize - 1..end as usize - 1])
}

/// Element by element. `products`: a zero that no factor is has left the range of the type.
fn combine(args: &ScalarFunctionArgs, products: bool, f: impl Fn(f32, f32) -> f32) -> Result<ColumnarValue> {
    let element = element_of_call(args);
    let mut result = Output::new(element, args.number_rows);
    let constant = each_pair(args, |pair| {
        let Some((a, b)) = pair else {
            result.append_null();
            return Ok(());
        };
        same(a.vector(), b.vector())?;
        let (a, b) = (a.numbers(), b.numbers());
        let numbers: Vec<f32> = a.iter().zip(b.iter()).map(|(a, b)| f(*a, *b)).collect();
        result.append(&numbers).map_err(external)?;
        let vanished = |number: f32| match element {
            Element::F16 => crate::types::f16::from_f32(number).to_f32() == 0.0,
            _ => number == 0.0,
        };
        let factors = a.iter().zip(b.iter()).zip(&numbers);
        if products && factors.into_iter().any(|((a, b), &n)| vanished(n) && *a != 0.0 && *b != 0.0) {
            let message = "value out of range: underflow";
            return Err(external(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)));
        }
        Ok(())
    })?;
    answer(result.finish(), constant)
}

fn concat(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let element = element_of_call(args);
    let mut result = Output::new(element, args.number_rows);
    let constant = each_pair(args, |pair| {
        match pair {
            Some((a, b)) => {
                let numbers = [&a.numbers()[..], &b.numbers()[..]].concat();
                kind_of(element).check_dimensions(numbers.len()).map_err(external)?;
                result.append(&numbers).map_err(external)?;
            }
            None => result.append_null(),
        }
        Ok(())
    })?;
    answer(result.finish(), constant)
}

/// Component by component, then the shorter first.
fn order(a: &Cell, b: &Cell) -> Ordering {
    if let (Cell::Bits(a), Cell::Bits(b)) = (a, b) {
        return a.cmp(b);
    }
    if let (Cell::Sparse(a), Cell::Sparse(b)) = (a, b) {
        return Sparse::new(a).order(Sparse::new(b));
    }
    let (a, b) = (a.numbers(), b.numbers());
    let components = a.iter().zip(b.iter());
    let differing = components.map(|(a, b)| a.partial_cmp(b).unwrap_or(Ordering::Equal)).find(|o| o.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn compare(args: &ScalarFunctionArgs, holds: fn(Ordering) -> bool) -> Result<ColumnarValue> {
    let mut result = BooleanBuilder::with_capacity(args.number_rows);
    let constant = each_pair(args, |pair| {
        result.append_option(pair.map(|(a, b)| holds(order(&a, &b))));
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

fn vector_cmp(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut result = Int32Builder::with_capacity(args.number_rows);
    let constant = each_pair(args, |pair| {
        result.append_option(pair.map(|(a, b)| order(&a, &b) as i32));
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

/// Whether columns of an Arrow type are sorted by [`SORT_KEY`]s: their own bytes order otherwise than PostgreSQL does.
pub fn wants_sort_key(ty: &DataType) -> bool {
    *ty == DataType::LargeBinary || lists::is_halfvec(ty) || lists::is_sparsevec(ty)
}

fn sort_key(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut result = BinaryBuilder::new();
    let constant = each(args, |cell| {
        result.append_option(cell.map(key_of));
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

/// The keys of a column of vectors.
pub fn sort_keys(column: &ArrayRef) -> Result<ArrayRef> {
    let key = |row| column.is_valid(row).then(|| read(column, row).map(key_of)).transpose();
    let keys = (0..column.len()).map(key).collect::<Result<BinaryArray>>()?;
    Ok(Arc::new(keys))
}

fn key_of(cell: Cell) -> Vec<u8> {
    key::of(&[match cell {
        Cell::F32(values) => Value::Vector(values),
        Cell::F16(values) => Value::Halfvec(values.into_owned()),
        Cell::Bits(bits) => Value::Bits(bits),
        Cell::Sparse(words) => Value::Sparsevec(Sparse::new(&words).to_owned()),
    }])
}
