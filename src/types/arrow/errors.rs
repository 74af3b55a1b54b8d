//! Errors across the border to DataFusion: ours go through it unchanged, its own become PostgreSQL's.
//!
//! DataFusion reports in prose what PostgreSQL reports in codes, so the second half reads the prose: the
//! patterns below are the messages of DataFusion 55 that a client can provoke. What is not recognised keeps
//! DataFusion's text under the code of its variant.

use arrow::error::ArrowError;
use datafusion::common::{Column, DataFusionError, SchemaError, TableReference};

use crate::error::{Error, SqlState};
use crate::types::arrow::hints;

/// What names begin with that only plans have: a table's that is read with system columns (`sql::system_columns`).
pub const MARK: char = '\0';

/// Wraps an error of ours for a function that must return DataFusion's.
pub fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Unwraps an error of ours, or finds the SQLSTATE and the words for one of DataFusion's.
pub fn from_datafusion(error: DataFusionError) -> Error {
    of_datafusion(&error)
}

fn of_datafusion(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => of_any(inner.as_ref()),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => of_datafusion(inner),
        DataFusionError::Collection(errors) if !errors.is_empty() => of_datafusion(&errors[0]),
        DataFusionError::Shared(inner) => of_datafusion(inner),
        DataFusionError::ArrowError(inner, _) => of_arrow(inner),
        DataFusionError::IoError(inner) => of_temporary_file(inner),
        DataFusionError::SchemaError(inner, _) => from_schema(inner),
        DataFusionError::SQL(inner, _) => Error::new(SqlState::SYNTAX_ERROR, inner.to_string()),
        DataFusionError::NotImplemented(text) => not_implemented(clean(text)),
        DataFusionError::ResourcesExhausted(text) => Error::new(SqlState::OUT_OF_MEMORY, clean(text)),
        DataFusionError::Plan(text) => from_plan(clean(text)),
        DataFusionError::Execution(text) => from_execution(clean(text)),
        other => Error::internal(clean(&other.to_string())),
    }
}

/// An error that was handed on as a box or shared: joins and subqueries wrap what their inputs say, several times over.
fn of_any(error: &(dyn std::error::Error + 'static)) -> Error {
    if let Some(ours) = error.downcast_ref::<Error>() {
        return ours.clone();
    }
    if let Some(inner) = error.downcast_ref::<DataFusionError>() {
        return of_datafusion(inner);
    }
    if let Some(inner) = error.downcast_ref::<std::sync::Arc<DataFusionError>>() {
        return of_datafusion(inner);
    }
    match error.downcast_ref::<ArrowError>() {
        Some(inner) => of_arrow(inner),
        None => Error::internal(error.to_string()),
    }
}

/// DataFusion makes text of what a function of ours says about its arguments. Ours ends with its SQLSTATE.
fn coercion_failed(text: &str) -> Option<Error> {
    let (_, ours) = text.split_once("user-defined coercion failed with: External error: ")?;
    let (message, _) = ours.split_once(&format!(" ({})", SqlState::UNDEFINED_FUNCTION.0))?;
    Some(Error::new(SqlState::UNDEFINED_FUNCTION, message).hint(
        "No function matches the given name and argument types. You might need to add explicit type casts.",
    ))
}

/// Errors of Arrow's kernels.
pub fn from_arrow(error: ArrowError) -> Error {
    of_arrow(&error)
}

fn of_arrow(error: &ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => of_any(inner.as_ref()),
        ArrowError::IoError(_, inner) => of_temporary_file(inner),
        ArrowError::DivideByZero => Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
        ArrowError::ArithmeticOverflow(_) => overflow(),
        ArrowError::ParseError(text) => Error::new(SqlState::INVALID_TEXT_REPRESENTATION, text.clone()),
        ArrowError::CastError(text) => from_cast(text.clone()),
        ArrowError::ComputeError(text) | ArrowError::InvalidArgumentError(text) => {
            from_execution(text.clone())
        }
        other => Error::internal(other.to_string()),
    }
}

/// DataFusion writes and reads no other files. 53100 on a full disk.
fn of_temporary_file(error: &std::io::Error) -> Error {
    Error::io("write or read", "temporary file", error)
}

fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range")
}

fn from_cast(text: String) -> Error {
    let state =
        if text.contains("out of range") || text.contains("overflow") || text.contains("Can't cast value") {
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE
        } else {
            SqlState::INVALID_TEXT_REPRESENTATION
        };
    Error::new(state, text)
}

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::AmbiguousReference { field } => Error::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("column reference \"{}\" is ambiguous", field.name),
        ),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new(SqlState::DUPLICATE_COLUMN, format!("column name \"{name}\" specified more than once"))
        }
        SchemaError::FieldNotFound { field, valid_fields } => match &field.relation {
            Some(relation) if valid_fields.iter().all(|valid| !is_of(valid, relation)) => {
                let text = format!("missing FROM-clause entry for table \"{}\"", relation.table());
                Error::new(SqlState::UNDEFINED_TABLE, text)
            }
            relation => {
                let relation = relation.as_ref().map(|relation| relation.table());
                if valid_fields.iter().any(|valid| is_one_of_several(valid, relation, &field.name)) {
                    let message = format!("column reference \"{}\" is ambiguous", field.name);
                    return Error::new(SqlState::AMBIGUOUS_COLUMN, message);
                }
                let message = match relation {
                    Some(relation) => format!("column {relation}.{} does not exist", field.name),
                    None => format!("column \"{}\" does not exist", field.name),
                };
                let error = Error::new(SqlState::UNDEFINED_COLUMN, message);
                match hints::of_column(relation, &field.name, valid_fields) {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            }
        },
    }
}

/// Between the name of a column and the number that tells it from others of that name in a subquery: the "unit separator",
/// which nobody writes.
pub const NUMBERED: char = '\u{1f}';

/// Whether a column of a relation is one of several with a name.
fn is_one_of_several(column: &Column, relation: Option<&str>, name: &str) -> bool {
    let is_there =
        relation.is_none_or(|relation| column.relation.as_ref().is_some_and(|own| own.table() == relation));
    is_there && column.name.split_once(NUMBERED).is_some_and(|(shown, _)| shown == name)
}

/// Whether a column is one of this relation, as far as both are named.
fn is_of(column: &Column, relation: &TableReference) -> bool {
    column.relation.as_ref().is_some_and(|own| own.resolved_eq(relation))
}

fn from_plan(text: String) -> Error {
    if let Some(ours) = coercion_failed(&text) {
        return ours;
    }
    if let Some(rest) = text.strip_prefix("Invalid function '") {
        let name = rest.split('\'').next().unwrap_or(rest);
        return Error::new(SqlState::UNDEFINED_FUNCTION, format!("function {name} does not exist"))
            .hint("No function matches the given name and argument types. You might need to add explicit type casts.");
    }
    if let Some(error) = known_plan_error(&text) {
        return error;
    }
    let state = if text.contains("GROUP BY") || text.contains("aggregate") && text.contains("must appear") {
        SqlState::GROUPING_ERROR
    } else if text.contains("does not support zero arguments")
        || text.contains("No function matches")
        || text.contains("Cannot infer common argument type")
        || text.contains("Cannot coerce")
        || text.contains("coercion")
        || text.contains("Invalid arithmetic operation")
    {
        SqlState::UNDEFINED_FUNCTION
    } else if text.contains("same number of columns") || text.contains("Expected boolean") {
        SqlState::DATATYPE_MISMATCH
    } else if text.contains("Order by") || text.contains("ORDER BY") {
        SqlState::INVALID_COLUMN_REFERENCE
    } else {
        SqlState::SYNTAX_ERROR
    };
    Error::new(state, text)
}

/// What DataFusion reports in words of its own and PostgreSQL has words for.
fn known_plan_error(text: &str) -> Option<Error> {
    let quoted = |start: &str, end: char| Some(text.split_once(start)?.1.split_once(end)?.0);
    if text.starts_with("LIMIT must be") {
        return Some(Error::new(SqlState::INVALID_ROW_COUNT_IN_LIMIT, "LIMIT must not be negative"));
    }
    if text.starts_with("OFFSET must be") {
        return Some(Error::new(SqlState::INVALID_ROW_COUNT_IN_OFFSET, "OFFSET must not be negative"));
    }
    if text.starts_with("For SELECT DISTINCT, ORDER BY expressions") {
        let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
        return Some(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
    }
    if text.starts_with("In an aggregate with DISTINCT, ORDER BY expressions") {
        return Some(distinct_order());
    }
    if let Some(field) =
        text.strip_prefix("Field ").and_then(|rest| rest.strip_suffix(" not found in struct"))
    {
        let message = format!("could not identify column \"{field}\" in record data type");
        return Some(Error::new(SqlState::UNDEFINED_COLUMN, message));
    }
    if text.contains(" to grouping function is not in grouping columns") {
        let message = "arguments to GROUPING must be grouping expressions of the associated query level";
        return Some(Error::new(SqlState::GROUPING_ERROR, message));
    }
    if text.starts_with("Cannot coerce arithmetic expression Utf8 ")
        && let Some(operator) = text.strip_suffix(" Utf8 to valid types")?.split(' ').next_back()
    {
        let message = format!("operator is not unique: unknown {operator} unknown");
        return Some(
            Error::new(SqlState::AMBIGUOUS_FUNCTION, message).hint(
                "Could not choose a best candidate operator. You might need to add explicit type casts.",
            ),
        );
    }
    if text.starts_with("Step cannot be zero") {
        return Some(Error::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero"));
    }
    if text.starts_with("Inconsistent data length across values list") {
        return Some(Error::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length"));
    }
    if text.starts_with("Inconsistent data type across values list")
        && let (Some((_, found)), Some(first)) = (text.split_once("but found "), quoted("Was ", ' '))
    {
        let message = format!("VALUES types {} and {} cannot be matched", sql_type(first), sql_type(found));
        return Some(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    if let Some(column) = quoted("While expanding wildcard, column \"", '"') {
        let message = format!(
            "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
        );
        return Some(Error::new(SqlState::GROUPING_ERROR, message));
    }
    if let Some(types) = text.strip_prefix("Cannot infer common argument type for logical boolean operation ")
    {
        let (left, rest) = types.split_once(' ')?;
        let (operator, right) = rest.split_once(' ')?;
        let wrong = if left == "Boolean" { right } else { left };
        return Some(not_boolean(operator, wrong));
    }
    if let Some((_, found)) = text.split_once("'NOT' requires a boolean expression, got ") {
        return Some(not_boolean("NOT", found));
    }
    if let Some((_, found)) = text.split_once("Cannot create filter with non-boolean predicate ") {
        return Some(not_boolean("WHERE", found.rsplit_once("returning ")?.1));
    }
    if text.starts_with("Aggregate functions are not allowed in the WHERE clause") {
        return Some(Error::new(SqlState::GROUPING_ERROR, "aggregate functions are not allowed in WHERE"));
    }
    if text.starts_with("Aggregate function calls cannot be nested") {
        return Some(Error::new(SqlState::GROUPING_ERROR, "aggregate function calls cannot be nested"));
    }
    if text.starts_with("Order by column out of bounds") {
        let position = quoted("specified: ", ',')?;
        let message = format!("ORDER BY position {position} is not in select list");
        return Some(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
    }
    if let Some(position) = quoted("Cannot find column with position ", ' ') {
        let message = format!("GROUP BY position {position} is not in select list");
        return Some(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
    }
    if text.starts_with("Too many columns! The subquery should only return one column") {
        return Some(Error::new(SqlState::SYNTAX_ERROR, "subquery has too many columns"));
    }
    if text.starts_with("WITH query name ") {
        return Some(Error::new(SqlState::DUPLICATE_ALIAS, text));
    }
    if text.starts_with("GROUPS requires an ORDER BY clause") {
        return Some(Error::new(SqlState("42P20"), "GROUPS mode requires an ORDER BY clause"));
    }
    if text.contains("queries have different number of columns") {
        let operation = text.split(' ').next()?;
        let message = format!("each {operation} query must have the same number of columns");
        return Some(Error::new(SqlState::SYNTAX_ERROR, message));
    }
    if let Some((name, rest)) =
        quoted("given name and argument types '", '\'').and_then(|call| call.split_once('('))
    {
        let types: Vec<&str> = rest.trim_end_matches(')').split(", ").map(sql_type).collect();
        let message = match types.as_slice() {
            [left, right] if !name.contains(char::is_alphabetic) => {
                format!("operator does not exist: {left} {name} {right}")
            }
            types => format!("function {name}({}) does not exist", types.join(", ")),
        };
        return Some(Error::new(SqlState::UNDEFINED_FUNCTION, message).hint(
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        ));
    }
    None
}

/// What DataFusion does not do, named as users know it where it is something they can write.
fn not_implemented(text: String) -> Error {
    match text {
        text if text.starts_with("There is only support Literal types for field at idx") => {
            // 1 is the offset, 2 the value where no row is.
            Error::unsupported(match text.contains("idx: 2") {
                true => "a default of lag or lead that is not a constant",
                false => "an offset of lag or lead that is not a constant",
            })
        }
        text if text
            .starts_with("Physical plan does not support logical expression OuterReferenceColumn") =>
        {
            Error::unsupported("a correlated subquery in this place")
        }
        text => Error::new(SqlState::FEATURE_NOT_SUPPORTED, text),
    }
}

fn distinct_order() -> Error {
    let message = "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
    Error::new(SqlState::INVALID_COLUMN_REFERENCE, message)
}

fn not_boolean(place: &str, arrow: &str) -> Error {
    let message = format!("argument of {place} must be type boolean, not type {}", sql_type(arrow));
    Error::new(SqlState::DATATYPE_MISMATCH, message)
}

/// The SQL name of an Arrow type in one of DataFusion's messages; it does not tell integer literals from bigint.
fn sql_type(arrow: &str) -> &str {
    match arrow {
        "Int16" => "smallint",
        "Int32" | "Int64" => "integer",
        "Float32" => "real",
        "Float64" => "double precision",
        "Utf8" => "text",
        "LargeUtf8" => "jsonb",
        "LargeBinary" => "vector",
        "Binary" => "bytea",
        "Boolean" => "boolean",
        "Date32" => "date",
        "Null" => "unknown",
        ty if ty.starts_with("LargeList(Float16") => "halfvec",
        ty if ty.starts_with("LargeList(UInt32") => "sparsevec",
        ty if ty.starts_with("LargeList(Boolean") => "bit",
        ty if ty.starts_with("LargeList(Utf8") => "json",
        "BinaryView" => "numeric",
        ty if ty.starts_with("Decimal") => "numeric",
        ty if ty.starts_with("Timestamp") && ty.contains("UTC") => "timestamp with time zone",
        ty if ty.starts_with("Timestamp") => "timestamp without time zone",
        ty if ty.starts_with("Interval") => "interval",
        ty if ty.starts_with("Duration(s") => "money",
        ty => ty,
    }
}

fn from_execution(text: String) -> Error {
    let lower = text.to_lowercase();
    if lower.contains("divide by zero") || lower.contains("division by zero") {
        return Error::new(SqlState::DIVISION_BY_ZERO, "division by zero");
    }
    if lower.contains("overflow") {
        return overflow();
    }
    if text.starts_with("In an aggregate with DISTINCT, ORDER BY expressions") {
        return distinct_order();
    }
    if text.starts_with("NTILE requires a positive integer") {
        return Error::new(SqlState("22014"), "argument of ntile must be greater than zero");
    }
    if lower.contains("more than one row") {
        return Error::new(
            SqlState::CARDINALITY_VIOLATION,
            "more than one row returned by a subquery used as an expression",
        );
    }
    Error::new(SqlState::DATA_EXCEPTION, text)
}

/// Without the backtrace DataFusion appends when it has one.
/// Without what follows a text, and without the marks that tables have in plans ([`MARK`]).
fn clean(text: &str) -> String {
    let mut text = text.split("\n\nbacktrace:").next().unwrap_or(text).to_owned();
    while let Some(mark) = text.find(MARK) {
        let end = text[mark..].find('.').map_or(mark + MARK.len_utf8(), |dot| mark + dot + 1);
        let is_quoted = text[..mark].ends_with('"') && text[..end].ends_with("\".");
        text.replace_range(if is_quoted { mark - 1 } else { mark }..end, "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_come_back_unchanged_through_any_wrapping() {
        let ours = Error::new(SqlState::UNIQUE_VIOLATION, "twice").constraint("t_pkey");
        let wrapped = DataFusionError::Context("reading".into(), Box::new(external(ours)));
        let shared = DataFusionError::Shared(std::sync::Arc::new(wrapped));
        let back = from_datafusion(shared);
        assert_eq!(back.state(), SqlState::UNIQUE_VIOLATION);
        assert_eq!(back.fields().constraint.as_deref(), Some("t_pkey"));
    }

    #[test]
    fn errors_inside_of_arrows_come_back() {
        let ours = Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "smallint out of range");
        let inner = ArrowError::ExternalError(Box::new(external(ours)));
        let shared = std::sync::Arc::new(DataFusionError::ArrowError(Box::new(inner), None));
        let wrapped = DataFusionError::External(Box::new(DataFusionError::Shared(shared)));
        assert_eq!(from_datafusion(wrapped).state(), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
    }

    #[test]
    fn division_by_zero_has_its_code() {
        let error = DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None);
        assert_eq!(from_datafusion(error).state(), SqlState::DIVISION_BY_ZERO);
    }
}
