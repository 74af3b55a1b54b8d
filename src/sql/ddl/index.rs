//! CREATE INDEX and REINDEX.
//!
//! Every filterable column has a metadata index by default, so that a btree or bitmap index that is not unique adds a
//! name to the catalogue and little else; a unique one adds keys, an hnsw one a graph.

use crate::catalog::{HnswOptions, Index, IndexMethod, IndexMetric, Table};
use crate::distance::{Element, Metric};
use crate::error::{Error, Result, SqlState};
use crate::functions::cells::type_of_element;
use crate::index::quantizer::Quantization;
use crate::sql::ddl::names::Namer;
use crate::sql::response::Response;
use crate::sql::session::{Session, done};
use crate::sql::statement::{CreateIndex, IndexColumn, Name, ReindexKind};
use crate::types::{BIT_DIMENSIONS_MAX, HNSW_DIMENSIONS_MAX, SPARSEVEC_DIMENSIONS_MAX, Type};

/// pgvector's ranges and defaults.
const M: (u16, u16, u16) = (16, 2, 100);
const EF_CONSTRUCTION: (u16, u16, u16) = (64, 4, 1_000);

impl Session {
    pub(super) async fn create_index(&mut self, create: &CreateIndex) -> Result<Response> {
        if create.concurrently {
            self.refuse_in_block("CREATE INDEX CONCURRENTLY")?;
        }
        let catalog = self.shared.current_catalog();
        let table = self.shared.table(&catalog, &create.table)?;
        if let Some(name) = &create.name
            && catalog.relation(&table.schema, name).is_some()
        {
            return self.already_exists(name, create.if_not_exists, "CREATE INDEX");
        }
        let oid = self.new_oid()?;
        let mut index = definition(create, &table, oid)?;
        index.name = match &create.name {
            Some(name) => name.clone(),
            None => {
                let columns: Vec<&str> = create.columns.iter().map(|column| column.column.as_str()).collect();
                Namer::new(&catalog, &table.schema).relation(&table.name, &columns.join("_"), "idx")
            }
        };
        self.retry_blocking(move |transaction| transaction.create_index(index.clone())).await?;
        Ok(done("CREATE INDEX"))
    }

    pub(crate) async fn reindex(&mut self, kind: ReindexKind, name: Option<&Name>) -> Result<Response> {
        let (ReindexKind::Index, Some(name)) = (kind, name) else {
            return Err(Error::unsupported("REINDEX of more than one index"));
        };
        self.start_statement()?;
        let catalog = self.shared.current_catalog();
        let index = match self.shared.relation(&catalog, name) {
            Some(crate::catalog::Relation::Index(index)) => index,
            Some(_) => {
                let message = format!("\"{}\" is not an index", name.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            None => return Err(crate::sql::shared::undefined_relation(name)),
        };
        if index.constraint.is_some() {
            return Err(Error::unsupported("REINDEX of a constraint's index"));
        }
        // A new index of the same definition takes the old one's place when the transaction commits.
        let mut new = (*index).clone();
        new.oid = self.new_oid()?;
        let old = index.oid;
        self.retry(|transaction| transaction.drop_index(old)).await?;
        self.retry_blocking(move |transaction| transaction.create_index(new.clone())).await?;
        Ok(done("REINDEX"))
    }
}

fn definition(create: &CreateIndex, table: &Table, oid: u32) -> Result<Index> {
    let mut index = Index {
        oid,
        name: String::new(),
        table: table.oid,
        method: IndexMethod::Btree,
        columns: Vec::new(),
        opclasses: Vec::new(),
        unique: create.unique,
        constraint: None,
        hnsw: None,
    };
    for column in &create.columns {
        let found = table.column(&column.column).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{}\" does not exist", column.column))
        })?;
        index.columns.push(found.number);
    }
    match create.method.as_str() {
        "hnsw" => hnsw(create, table, &mut index)?,
        "btree" => metadata(create, table, &mut index, IndexMethod::Btree)?,
        "bitmap" | "hash" => metadata(create, table, &mut index, IndexMethod::Bitmap)?,
        method @ ("ivfflat" | "gin" | "gist" | "brin" | "spgist") => {
            return Err(Error::unsupported(format!("access method \"{method}\"")));
        }
        method => {
            let message = format!("access method \"{method}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
    }
    Ok(index)
}

fn hnsw(create: &CreateIndex, table: &Table, index: &mut Index) -> Result<()> {
    index.method = IndexMethod::Hnsw;
    if create.unique {
        let message = "access method \"hnsw\" does not support unique indexes";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let [column] = create.columns.as_slice() else {
        let message = "access method \"hnsw\" does not support multicolumn indexes";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    };
    let Some(found) = index.columns.first().and_then(|&number| table.column_number(number)) else {
        return Err(Error::internal("an index without its column"));
    };
    let (metric, opclass) = operator_class(column, &found.ty)?;
    check_dimensions(&found.ty)?;
    let (mut m, mut ef_construction, mut quantization) = (M.0, EF_CONSTRUCTION.0, None);
    for (name, value) in &create.options {
        match name.as_str() {
            "m" => m = option(name, value, M.1, M.2)?,
            "ef_construction" => ef_construction = option(name, value, EF_CONSTRUCTION.1, EF_CONSTRUCTION.2)?,
            "quantization" => quantization = quantization_option(value, metric, &found.ty)?,
            _ => return Err(unknown_option(name)),
        }
    }
    if ef_construction < 2 * m {
        let message = "ef_construction must be greater than or equal to 2 * m";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    index.opclasses = vec![opclass];
    index.hnsw = Some(HnswOptions { metric, m, ef_construction, quantization });
    Ok(())
}

/// pgvector's limits of what an hnsw index is over.
fn check_dimensions(ty: &Type) -> Result<()> {
    let (dimensions, max) = match *ty {
        Type::Vector(dimensions) => (dimensions.map(u32::from), HNSW_DIMENSIONS_MAX as u32),
        Type::Halfvec(dimensions) => (dimensions.map(u32::from), 2 * HNSW_DIMENSIONS_MAX as u32),
        Type::Sparsevec(dimensions) => (dimensions, SPARSEVEC_DIMENSIONS_MAX as u32),
        Type::Bit(length) => (length, BIT_DIMENSIONS_MAX),
        _ => return Ok(()),
    };
    let Some(dimensions) = dimensions else {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "column does not have dimensions"));
    };
    if dimensions > max {
        let message = format!("column cannot have more than {max} dimensions for hnsw index");
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    Ok(())
}

/// Whether an hnsw index by this operator class can be over a column of this type.
pub(super) fn hnsw_accepts(opclass: &str, ty: &Type) -> Result<bool> {
    let accepts = |element: Element| {
        type_of_element(element) == ty.bare()
            && Metric::of(element).iter().any(|metric| metric.opclass(element.type_name()) == opclass)
    };
    if !Element::ALL.into_iter().any(accepts) {
        return Ok(false);
    }
    check_dimensions(ty).map(|()| true)
}

/// The metric that the column's operator class names, for a type it is of.
fn operator_class(column: &IndexColumn, ty: &Type) -> Result<(IndexMetric, String)> {
    let undefined = |message: String| Error::new(SqlState::UNDEFINED_OBJECT, message);
    let Some(opclass) = column.opclass.as_deref() else {
        let message =
            format!("data type {} has no default operator class for access method \"hnsw\"", ty.entry().sql);
        return Err(undefined(message).hint(
            "You must specify an operator class for the index or define a default operator class for the data type.",
        ));
    };
    let classes = Element::ALL
        .into_iter()
        .flat_map(|element| Metric::of(element).iter().map(move |&metric| (element, metric)));
    let named = classes.into_iter().find(|(element, metric)| metric.opclass(element.type_name()) == opclass);
    let Some((element, metric)) = named else {
        return Err(undefined(format!(
            "operator class \"{opclass}\" does not exist for access method \"hnsw\""
        )));
    };
    if element == Element::Bit && matches!(ty, Type::Varbit(_)) {
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "type not supported for hnsw index"));
    }
    if type_of_element(element) != ty.bare() {
        let message = format!("operator class \"{opclass}\" does not accept data type {}", ty.entry().sql);
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    Ok((metric.into(), opclass.to_owned()))
}

/// `quantization = 'sq8'`, of numbers and by distances that a product tells.
fn quantization_option(value: &str, metric: IndexMetric, ty: &Type) -> Result<Option<Quantization>> {
    let name = value.to_lowercase();
    if name == "none" {
        return Ok(None);
    }
    let Some(quantization) = Quantization::from_name(&name) else {
        let names: Vec<&str> = Quantization::ALL.iter().map(|quantization| quantization.name()).collect();
        let message = format!("invalid value for enum option \"quantization\": {value}");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .detail(format!("Valid values are \"none\" and \"{}\".", names.join("\", \""))));
    };
    match (metric, ty) {
        (IndexMetric::L1, _) => Err(Error::unsupported("quantization of an index by taxicab distance")),
        (_, Type::Vector(_) | Type::Halfvec(_)) => Ok(Some(quantization)),
        _ => Err(Error::unsupported(format!("quantization of an index on type {}", ty.bare()))),
    }
}

/// An option of WITH in its range.
fn option(name: &str, value: &str, min: u16, max: u16) -> Result<u16> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let number: i64 = value
        .parse()
        .map_err(|_| invalid(format!("invalid value for integer option \"{name}\": {value}")))?;
    match u16::try_from(number) {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(invalid(format!("value {value} out of bounds for option \"{name}\""))
            .detail(format!("Valid values are between \"{min}\" and \"{max}\"."))),
    }
}

fn unknown_option(name: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized parameter \"{name}\""))
}

fn metadata(create: &CreateIndex, table: &Table, index: &mut Index, method: IndexMethod) -> Result<()> {
    index.method = method;
    if create.unique && method != IndexMethod::Btree {
        let message = format!("access method \"{}\" does not support unique indexes", create.method);
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    for (column, &number) in create.columns.iter().zip(&index.columns) {
        let Some(found) = table.column_number(number) else { continue };
        match &found.ty {
            Type::Json => {
                let message = format!(
                    "data type json has no default operator class for access method \"{}\"",
                    create.method
                );
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message)
                    .hint("You must specify an operator class for the index or define a default operator class for the data type."));
            }
            Type::Vector(_)
            | Type::Halfvec(_)
            | Type::Sparsevec(_)
            | Type::Bit(_)
            | Type::Varbit(_)
            | Type::Array(_)
            | Type::Jsonb => {
                return Err(Error::unsupported(format!(
                    "a {} index on type {}",
                    create.method,
                    found.ty.bare()
                )));
            }
            _ => {}
        }
        if let Some(opclass) = &column.opclass {
            index.opclasses.push(opclass.clone());
        }
    }
    for (name, _) in &create.options {
        // PostgreSQL's page filling; there are no pages to fill.
        if !matches!(name.as_str(), "fillfactor" | "deduplicate_items") {
            return Err(unknown_option(name));
        }
    }
    Ok(())
}
