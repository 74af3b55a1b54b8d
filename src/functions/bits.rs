//! PostgreSQL's functions of bit strings; the operators are among them under other names.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int16Type, Int32Type, Int64Type};
use datafusion::common::Result;
use datafusion::common::cast::as_int32_array;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::distance::Element;
use crate::functions::cells::{Cell, Cells, Output, each, each_pair};
use crate::functions::scalar::{Function, answer, no_such_function, rows_of};
use crate::functions::texts::behind;
use crate::functions::value::{Definition, strict};
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::network_of;
use crate::types::arrow::lists::{bit_type, is_bit};
use crate::types::bits::Combine;
use crate::types::{Bits, Type, Value};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let bit = |_: &[DataType]| Type::Bit(None);
    vec![
        Function::typed("bitand", two_bits, bit, |args| combine(args, Combine::And)),
        Function::typed("bitor", two_bits, bit, |args| combine(args, Combine::Or)),
        Function::typed("bitxor", two_bits, bit, |args| combine(args, Combine::Xor)),
        Function::typed("bitcat", two_bits, |_| Type::Varbit(None), concat),
        Function::typed("bitnot", bits_or_integer, not_type, not),
        Function::typed("bitshiftleft", bits_and_integer, bit, |args| shift(args, 1)),
        Function::typed("bitshiftright", bits_and_integer, bit, |args| shift(args, -1)),
    ]
}

/// Functions that bytea or text have as well, which are defined together.
pub fn like_texts() -> Vec<Definition> {
    vec![
        strict("set_bit(bit, int4, int4) \"bit\"", |v| {
            Ok(Value::Bits(bits(&v[0]).with(integer(&v[1]), integer(&v[2]))?))
        }),
        strict("get_bit(bit, int4) int4", |v| {
            Ok(Value::Int4(i32::from(bits(&v[0]).checked_get(integer(&v[1]))?)))
        }),
        strict("bit_count(bit) int8", |v| {
            Ok(Value::Int8(i64::from(crate::distance::bits::ones(bits(&v[0]).bytes()))))
        }),
        strict("substring(bit, int4) \"bit\"", |v| {
            Ok(Value::Bits(bits(&v[0]).substring(integer(&v[1]).into(), None)?))
        }),
        strict("substring(bit, int4, int4) \"bit\"", |v| {
            Ok(Value::Bits(bits(&v[0]).substring(integer(&v[1]).into(), Some(integer(&v[2]).into()))?))
        }),
        strict("strpos(bit, bit) int4", |v| Ok(Value::Int4(bits(&v[0]).position(&bits(&v[1]))))),
        strict("overlay(bit, bit, int4) \"bit\"", |v| {
            overlay(&bits(&v[0]), &bits(&v[1]), integer(&v[2]), i64::from(bits(&v[1]).len()))
        }),
        strict("overlay(bit, bit, int4, int4) \"bit\"", |v| {
            overlay(&bits(&v[0]), &bits(&v[1]), integer(&v[2]), integer(&v[3]).into())
        }),
    ]
}

fn overlay(input: &Bits, new: &Bits, start: i32, count: i64) -> crate::error::Result<Value> {
    let behind = behind(start.into(), count)?;
    let before = input.substring(1, Some(i64::from(start) - 1))?;
    let after = input.substring(i64::try_from(behind).unwrap_or(i64::MAX).saturating_add(1), None)?;
    Ok(Value::Bits(before.concat(new)?.concat(&after)?))
}

fn bits(value: &Value) -> Bits {
    if let Value::Bits(bits) = value { bits.clone() } else { Bits::default() }
}

fn integer(value: &Value) -> i32 {
    if let Value::Int4(number) = value { *number } else { 0 }
}

fn is_open(given: &DataType) -> bool {
    is_bit(given) || matches!(given, DataType::Utf8 | DataType::Utf8View | DataType::Null)
}

fn is_integer(given: &DataType) -> bool {
    given.is_integer() || given.is_null()
}

fn one_bit_string(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [bits] if is_bit(bits) || bits.is_null() => Ok(vec![bit_type()]),
        _ => Err(no_such_function(name, given)),
    }
}

/// `~` is of numbers too.
fn bits_or_integer(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [DataType::Int16 | DataType::Int32 | DataType::Int64] => Ok(given.to_vec()),
        // Another function in the end.
        [address] if network_of(address).is_some() => Ok(given.to_vec()),
        _ => one_bit_string(name, given),
    }
}

fn not_type(given: &[DataType]) -> Type {
    match given {
        [DataType::Int16] => Type::Int2,
        [DataType::Int32] => Type::Int4,
        [DataType::Int64] => Type::Int8,
        [address] if let Some(of) = network_of(address) => Type::Network(of),
        _ => Type::Bit(None),
    }
}

fn two_bits(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [left, right] if is_open(left) && is_open(right) => Ok(vec![bit_type(); 2]),
        _ => Err(no_such_function(name, given)),
    }
}

fn bits_and_integer(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [bits, number] if is_bit(bits) && is_integer(number) => Ok(vec![bit_type(), DataType::Int32]),
        _ => Err(no_such_function(name, given)),
    }
}

fn bits_of(cell: Cell<'_>) -> Bits {
    match cell {
        Cell::Bits(bits) => bits,
        _ => Bits::default(),
    }
}

fn append(result: &mut Output, bits: Option<Bits>) -> Result<()> {
    match bits {
        Some(bits) => result.append_bits(&bits).map_err(external),
        None => {
            result.append_null();
            Ok(())
        }
    }
}

fn combine(args: &ScalarFunctionArgs, how: Combine) -> Result<ColumnarValue> {
    let mut result = Output::new(Element::Bit, args.number_rows);
    let constant = each_pair(args, |pair| {
        let bits = pair.map(|(a, b)| bits_of(a).combine(&bits_of(b), how));
        append(&mut result, bits.transpose().map_err(external)?)
    })?;
    answer(result.finish(), constant)
}

fn concat(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut result = Output::new(Element::Bit, args.number_rows);
    let constant = each_pair(args, |pair| {
        let bits = pair.map(|(a, b)| bits_of(a).concat(&bits_of(b)));
        append(&mut result, bits.transpose().map_err(external)?)
    })?;
    answer(result.finish(), constant)
}

fn not(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    if args.args[0].data_type().is_integer() {
        let numbers = args.args[0].to_array(rows)?;
        let numbers: ArrayRef = match numbers.data_type() {
            DataType::Int16 => Arc::new(numbers.as_primitive::<Int16Type>().unary::<_, Int16Type>(|n| !n)),
            DataType::Int32 => Arc::new(numbers.as_primitive::<Int32Type>().unary::<_, Int32Type>(|n| !n)),
            _ => Arc::new(numbers.as_primitive::<Int64Type>().unary::<_, Int64Type>(|n| !n)),
        };
        return answer(numbers, constant);
    }
    let mut result = Output::new(Element::Bit, args.number_rows);
    let constant = each(args, |cell| append(&mut result, cell.map(|cell| bits_of(cell).not())))?;
    answer(result.finish(), constant)
}

/// Calls `f` with the bits and the integers of each row, `None` where any is NULL.
fn with_integers(
    args: &ScalarFunctionArgs,
    mut f: impl FnMut(Option<(Bits, &[i32])>) -> Result<()>,
) -> Result<bool> {
    let (rows, constant) = rows_of(args);
    let cells = Cells::new(&args.args[0], Element::Bit)?;
    let arrays = args.args[1..].iter().map(|argument| argument.to_array(rows)).collect::<Result<Vec<_>>>()?;
    let integers = arrays.iter().map(|array| as_int32_array(array)).collect::<Result<Vec<_>>>()?;
    for row in 0..rows {
        let present = integers.iter().all(|array| !array.is_null(row));
        let numbers: Vec<i32> = integers.iter().map(|array| array.value(row)).collect();
        let cell = cells.get(row)?.filter(|_| present);
        f(cell.map(|cell| (bits_of(cell), numbers.as_slice())))?;
    }
    Ok(constant)
}

fn shift(args: &ScalarFunctionArgs, direction: i64) -> Result<ColumnarValue> {
    let mut result = Output::new(Element::Bit, args.number_rows);
    let constant = with_integers(args, |row| {
        let shifted = row.map(|(bits, numbers)| bits.shifted(direction * i64::from(numbers[0])));
        append(&mut result, shifted)
    })?;
    answer(result.finish(), constant)
}
