//! A system relation: its columns written as in CREATE TABLE, its rows made by a function.
//!
//! Catalogues are wide and mostly constant, so a column may carry what it holds unless a row says otherwise:
//! `"oid oid, relname name, relhasrules bool = f"`. Without one that is NULL.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::catalog::Oid;
use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::planner::system::SystemTable;
use crate::types::arrow::{array, errors::from_arrow, field};
use crate::types::{Type, Value, text};

/// One relation of pg_catalog or information_schema.
pub struct Relation {
    pub oid: Oid,
    pub schema: &'static str,
    pub name: &'static str,
    /// pg_class.relkind: 'r' where PostgreSQL has a table, 'v' where it has a view.
    pub kind: char,
    pub columns: &'static str,
    pub rows: fn(&Execution, &mut Rows) -> Result<()>,
}

/// No rows: for what does not exist here.
pub fn none(_execution: &Execution, _rows: &mut Rows) -> Result<()> {
    Ok(())
}

/// A column of a relation, parsed.
pub struct ColumnSpec {
    pub name: String,
    pub ty: Type,
    /// As PostgreSQL declares it. The columns of its views may be NULL as far as it knows.
    pub not_null: bool,
    default: Value,
}

/// A relation ready to be planned.
pub struct View {
    pub relation: &'static Relation,
    pub columns: Vec<ColumnSpec>,
    schema: SchemaRef,
}

impl View {
    pub fn new(relation: &'static Relation) -> View {
        let columns: Vec<ColumnSpec> =
            relation.columns.split(", ").map(|text| column(text, relation.kind == 'r')).collect();
        let fields: Vec<_> = columns.iter().map(|column| field(&column.name, &column.ty, true)).collect();
        View { relation, columns, schema: Arc::new(Schema::new(fields)) }
    }
}

/// The columns of catalogue tables that may be NULL in PostgreSQL: those of its own columns of variable length that are
/// not declared otherwise.
/// Source: `attnotnull` of pg_attribute in PostgreSQL 16.
const NULLABLE: &[&str] = &[
    "colllocale",
    "datlocale",
    "agginitval",
    "aggminitval",
    "attacl",
    "attoptions",
    "attfdwoptions",
    "attmissingval",
    "rolpassword",
    "rolvaliduntil",
    "relacl",
    "reloptions",
    "relpartbound",
    "collcollate",
    "collctype",
    "colliculocale",
    "collicurules",
    "collversion",
    "conkey",
    "confkey",
    "conpfeqop",
    "conppeqop",
    "conffeqop",
    "confdelsetcols",
    "conexclop",
    "conbin",
    "daticulocale",
    "daticurules",
    "datcollversion",
    "datacl",
    "setconfig",
    "evttags",
    "extconfig",
    "extcondition",
    "fdwacl",
    "srvtype",
    "srvversion",
    "srvacl",
    "srvoptions",
    "ftoptions",
    "indexprs",
    "indpred",
    "lanacl",
    "lomacl",
    "nspacl",
    "paracl",
    "partexprs",
    "polqual",
    "polwithcheck",
    "proallargtypes",
    "proargmodes",
    "proargnames",
    "proargdefaults",
    "protrftypes",
    "probin",
    "prosqlbody",
    "proconfig",
    "proacl",
    "prqual",
    "prattrs",
    "stxexprs",
    "subslotname",
    "suborigin",
    "srsublsn",
    "spcacl",
    "spcoptions",
    "tgqual",
    "tgoldtable",
    "tgnewtable",
    "dictinitoption",
    "typdefaultbin",
    "typdefault",
    "typacl",
    "umoptions",
];

/// Parses `name type [= default]` of a table's column, or a view's. The texts are ours, so a bad one is a defect.
fn column(text: &str, of_table: bool) -> ColumnSpec {
    let (head, default) = match text.split_once(" = ") {
        Some((head, default)) => (head, Some(default)),
        None => (text, None),
    };
    let (name, ty) = head.trim().split_once(' ').expect("a column has a name and a type");
    let ty = match ty {
        // The catalogue's one-byte type; plain char is character(1).
        "char" => Type::Char,
        other => Type::from_name(other).expect("columns of system relations have types we know"),
    };
    let default = match default {
        None => Value::Null,
        Some("''") => Value::Text(String::new()),
        Some(text) => text::parse(&ty, text).expect("defaults of system relations parse"),
    };
    ColumnSpec { name: name.to_owned(), ty, not_null: of_table && !NULLABLE.contains(&name), default }
}

impl SystemTable for View {
    fn oid(&self) -> Oid {
        self.relation.oid
    }

    fn name(&self) -> &str {
        self.relation.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn rows(&self, execution: &Execution) -> Result<RecordBatch> {
        let mut rows = Rows { columns: &self.columns, cells: vec![Vec::new(); self.columns.len()] };
        (self.relation.rows)(execution, &mut rows)?;
        let arrays = self.columns.iter().zip(&rows.cells);
        let arrays = arrays.map(|(column, cells)| array(&column.ty, cells.iter())).collect::<Result<_>>()?;
        RecordBatch::try_new(self.schema(), arrays).map_err(from_arrow)
    }
}

/// Rows as they are made.
pub struct Rows<'a> {
    columns: &'a [ColumnSpec],
    cells: Vec<Vec<Value>>,
}

impl Rows<'_> {
    /// Adds a row: the named cells, and defaults for the rest. `cells!` writes them.
    pub fn add(&mut self, given: impl IntoIterator<Item = (&'static str, Value)>) {
        for (column, cells) in self.columns.iter().zip(&mut self.cells) {
            cells.push(column.default.clone());
        }
        for (name, value) in given {
            let position = self.columns.iter().position(|column| column.name == name);
            let position = position.expect("rows name columns of their relation");
            *self.cells[position].last_mut().expect("a row was added above") = value;
        }
    }
}

/// `cells! { oid: 1u32, relname: "t" }`: named cells of a row.
macro_rules! cells {
    ($($name:ident: $value:expr),* $(,)?) => {
        [$((stringify!($name), $crate::types::Value::from($value))),*]
    };
}
pub(crate) use cells;
