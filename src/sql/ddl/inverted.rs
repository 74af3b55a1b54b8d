//! CREATE INDEX USING gin and gist: inverted indexes over texts, arrays and documents; over ranges, what every column
//! has anyway.

use crate::catalog::{Index, IndexMethod, Table};
use crate::error::{Error, Result, SqlState};
use crate::index::bitmap::ColumnIndex;
use crate::index::inverted::Kind;
use crate::sql::ddl::index::{keep_options, no_default_opclass};
use crate::sql::statement::{CreateIndex, IndexColumn};
use crate::types::Type;

/// An access method, an operator class of it, and the types it takes.
type Class = (IndexMethod, &'static str, fn(&Type) -> bool);

/// Operator classes of PostgreSQL's two methods, and whether a column's type is one they are for.
const CLASSES: &[Class] = &[
    (IndexMethod::Gin, "tsvector_ops", |ty| *ty == Type::TsVector),
    (IndexMethod::Gin, "array_ops", |ty| matches!(ty, Type::Array(_))),
    (IndexMethod::Gin, "jsonb_ops", |ty| *ty == Type::Jsonb),
    (IndexMethod::Gin, "jsonb_path_ops", |ty| *ty == Type::Jsonb),
    (IndexMethod::Gin, "gin_hstore_ops", |ty| *ty == Type::Hstore),
    (IndexMethod::Gist, "gist_hstore_ops", |ty| *ty == Type::Hstore),
    (IndexMethod::Gist, "tsvector_ops", |ty| *ty == Type::TsVector),
    (IndexMethod::Gist, RANGES, |ty| matches!(ty, Type::Range(_))),
    (IndexMethod::Gist, "multirange_ops", |ty| matches!(ty, Type::Multirange(_))),
];

/// The class of ranges, whose columns have an index of their ends; those of `numrange` have none.
const RANGES: &str = "range_ops";

/// Completes the definition of an index by one of these methods.
pub(super) fn inverted(
    create: &CreateIndex,
    table: &Table,
    index: &mut Index,
    method: IndexMethod,
) -> Result<()> {
    index.method = method;
    if create.unique {
        let message = format!("access method \"{}\" does not support unique indexes", method.name());
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    if index.predicate.is_some() {
        return Err(Error::unsupported(format!("a partial {} index", method.name())));
    }
    for (column, &number) in create.columns.iter().zip(&index.columns) {
        let Some(found) = table.column_number(number) else { continue };
        index.opclasses.push(operator_class(column, &found.ty, method)?.to_owned());
    }
    let known: &[&str] = match method {
        IndexMethod::Gin => &["fastupdate", "gin_pending_list_limit"],
        _ => &["fillfactor", "buffering"],
    };
    keep_options(create, index, known)
}

/// The operator class that the column names, or the one its type has by default.
fn operator_class(column: &IndexColumn, ty: &Type, method: IndexMethod) -> Result<&'static str> {
    let mut classes = CLASSES.iter().filter(|(known, ..)| *known == method);
    let shown = if let Type::Array(_) = ty { ty.bare().to_string() } else { ty.entry().sql.to_owned() };
    let undefined = |message: String| Error::new(SqlState::UNDEFINED_OBJECT, message);
    let (_, class, accepts) = match column.opclass.as_deref() {
        Some(name) => classes.find(|(_, class, _)| *class == name).ok_or_else(|| {
            undefined(format!(
                "operator class \"{name}\" does not exist for access method \"{}\"",
                method.name()
            ))
        })?,
        None => classes
            .find(|(_, _, accepts)| accepts(ty))
            .ok_or_else(|| no_default_opclass(&shown, method.name()))?,
    };
    if !accepts(ty) {
        let message = format!("operator class \"{class}\" does not accept data type {shown}");
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    if !self::accepts(class, ty) {
        return Err(Error::unsupported(format!("a {} index on type {shown}", method.name())));
    }
    Ok(class)
}

/// Whether an index by this operator class can be over a column of this type.
pub(super) fn accepts(opclass: &str, ty: &Type) -> bool {
    Kind::of(Some(opclass), ty).is_some()
        || opclass == RANGES && matches!(ty, Type::Range(_)) && ColumnIndex::for_type(ty).is_some()
}
