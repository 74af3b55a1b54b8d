//! What COMMENT ON said: pg_description, obj_description() and col_description().

use crate::catalog::large_objects::PAGES;
use crate::catalog::{Catalog, Oid, Part, PartComment, Relation};
use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::ddl::extension;
use crate::sql::system::cluster::{PG_EXTENSION_OID, VECTOR_DESCRIPTION, VECTOR_EXTENSION_OID};
use crate::sql::system::relation::{Rows, cells};
use crate::sql::system::relations::{PG_CLASS_OID, PG_CONSTRAINT_OID, PG_NAMESPACE_OID};
use crate::sql::system::routines::PG_PROC_OID;
use crate::sql::system::types::PG_TYPE_OID;

/// One row of pg_description.
pub struct Description {
    /// The object, and the system relation it is listed in.
    pub object: Oid,
    pub class: Oid,
    /// The column of a relation, or 0.
    pub column: u16,
    pub text: String,
}

/// Every description there is.
pub fn all(catalog: &Catalog) -> Vec<Description> {
    let mut all = Vec::new();
    let mut add = |object, class, column, text: &str| {
        all.push(Description { object, class, column, text: text.to_string() });
    };
    for schema in catalog.schemas() {
        schema.comment.iter().for_each(|text| add(schema.oid, PG_NAMESPACE_OID, 0, text));
    }
    for table in catalog.tables_and_parts() {
        table.comment.iter().for_each(|text| add(table.known_as(), PG_CLASS_OID, 0, text));
        for PartComment { part, text } in &table.comments {
            match *part {
                Part::Column(number) if table.position(number).is_some() => {
                    add(table.oid, PG_CLASS_OID, number, text);
                }
                Part::Index(oid) if is_index(catalog, oid) => add(oid, PG_CLASS_OID, 0, text),
                Part::Constraint(oid) if table.constraint(oid).is_some() => {
                    add(oid, PG_CONSTRAINT_OID, 0, text);
                }
                // Its part is gone.
                _ => {}
            }
        }
    }
    for view in catalog.views() {
        view.comment.iter().for_each(|text| add(view.oid, PG_CLASS_OID, 0, text));
        for PartComment { part, text } in &view.comments {
            if let Part::Column(number) = *part {
                add(view.oid, PG_CLASS_OID, number, text);
            }
        }
    }
    for sequence in catalog.sequences() {
        sequence.comment.iter().for_each(|text| add(sequence.oid, PG_CLASS_OID, 0, text));
    }
    for of in catalog.enums() {
        of.comment.iter().for_each(|text| add(of.definition.oid, PG_TYPE_OID, 0, text));
    }
    for of in catalog.composites() {
        of.comment.iter().for_each(|text| add(of.definition.oid, PG_TYPE_OID, 0, text));
    }
    for of in catalog.ranges() {
        of.comment.iter().for_each(|text| add(of.definition.oid, PG_TYPE_OID, 0, text));
        let set = of.definition.multirange_oid;
        of.multirange_comment.iter().for_each(|text| add(set, PG_TYPE_OID, 0, text));
    }
    for function in catalog.functions() {
        function.comment.iter().for_each(|text| add(function.oid, PG_PROC_OID, 0, text));
    }
    for domain in catalog.domains() {
        domain.comment.iter().for_each(|text| add(domain.oid, PG_TYPE_OID, 0, text));
    }
    for extension in catalog.extensions() {
        let of = extension::AVAILABLE.iter().find(|of| of.name == extension.name);
        of.iter().for_each(|of| add(extension.oid, PG_EXTENSION_OID, 0, of.comment));
    }
    add(VECTOR_EXTENSION_OID, PG_EXTENSION_OID, 0, VECTOR_DESCRIPTION);
    all
}

/// Of a table or of a partition.
fn is_index(catalog: &Catalog, oid: Oid) -> bool {
    matches!(catalog.relation_by_oid(oid), Some(Relation::Index(_) | Relation::PartitionIndex(_)))
}

/// pg_description.
pub fn descriptions(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for description in all(&execution.session.catalog()) {
        rows.add(cells! {
            objoid: description.object, classoid: description.class, objsubid: i32::from(description.column),
            description: description.text,
        });
    }
    // PostgreSQL has them under pg_largeobject, not under pg_largeobject_metadata.
    if let Some(objects) = execution.session.large_objects() {
        for (object, description) in objects.descriptions()? {
            rows.add(cells! { objoid: object, classoid: PAGES, description: description });
        }
    }
    Ok(())
}

/// What is said about a large object.
pub fn of_large_object(execution: &Execution, object: Oid) -> Result<Option<String>> {
    execution.session.large_objects().map_or(Ok(None), |objects| objects.description(object))
}

/// What is said about a column of an object, or with 0 about the object; in any system relation or in `class`.
pub fn find(catalog: &Catalog, object: Oid, class: Option<Oid>, column: u16) -> Option<String> {
    let is_it = |found: &Description| {
        found.object == object && found.column == column && class.is_none_or(|class| class == found.class)
    };
    all(catalog).into_iter().find(is_it).map(|found| found.text)
}
