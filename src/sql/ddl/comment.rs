//! COMMENT ON: words kept beside the definition of what they are about.

use crate::catalog::{
    Catalog, CompositeObject, Domain, Edit, EnumObject, Object, Oid, Part, PartComment, RangeObject,
    Relation, Schema, Sequence, Table, View,
};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::extension;
use crate::sql::response::Response;
use crate::sql::session::{Session, done};
use crate::sql::shared::undefined_relation;
use crate::sql::statement::Name;
use crate::types::{RangeType, Type};

impl Session {
    /// `part` names the column or the constraint of the relation. No text, and an empty one, take a comment away.
    pub(super) async fn comment(
        &mut self,
        kind: &str,
        name: &Name,
        part: Option<&str>,
        text: Option<&str>,
    ) -> Result<Response> {
        let text = text.filter(|text| !text.is_empty()).map(str::to_string);
        if kind == "LARGE OBJECT" {
            return self.comment_large_object(name, text.as_deref()).await;
        }
        if kind == "TYPE" {
            self.retry(|transaction| transaction.lock_types()).await?;
        }
        let catalog = self.shared.current_catalog();
        let object = match kind {
            // The comment that pg_dump writes is the one the extension brings.
            "EXTENSION" => {
                extension::check_created(&catalog, &name.name)?;
                return Ok(done("COMMENT"));
            }
            "SCHEMA" => commented_schema(&catalog, &name.name, text)?,
            "DOMAIN" | "TYPE" if kind == "DOMAIN" || self.domain_of_user(&catalog, name).is_ok() => {
                let domain = self.domain_of_user(&catalog, name)?;
                Object::Domain(Domain { comment: text, ..(*domain).clone() })
            }
            "TYPE" => match self.type_of_user(&catalog, name)? {
                Type::Enum(definition) => Object::Enum(EnumObject { definition, comment: text }),
                Type::Composite(definition) => {
                    Object::Composite(CompositeObject { definition, comment: text })
                }
                Type::Range(RangeType::Own(of)) if let Some(known) = range_object(&catalog, of.oid) => {
                    Object::Range(RangeObject { comment: text, ..known })
                }
                Type::Multirange(RangeType::Own(of)) if let Some(known) = range_object(&catalog, of.oid) => {
                    Object::Range(RangeObject { multirange_comment: text, ..known })
                }
                _ => return Err(Error::internal("a type of a user that is of no kind")),
            },
            _ => match self.shared.relation(&catalog, name) {
                Some(relation) => commented_relation(&catalog, kind, &relation, part, text)?,
                None => return Err(undefined_relation(name)),
            },
        };
        self.edit(vec![Edit::Put(object)]).await?;
        Ok(done("COMMENT"))
    }
}

fn range_object(catalog: &Catalog, oid: Oid) -> Option<RangeObject> {
    match catalog.object_by_oid(oid) {
        Some(Object::Range(of)) => Some(of),
        _ => None,
    }
}

fn commented_schema(catalog: &Catalog, name: &str, comment: Option<String>) -> Result<Object> {
    let Some(schema) = catalog.schema(name) else {
        let message = format!("schema \"{name}\" does not exist");
        return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message));
    };
    Ok(Object::Schema(Schema { comment, ..(**schema).clone() }))
}

/// The relation, or the table of an index, with the comment.
fn commented_relation(
    catalog: &Catalog,
    kind: &str,
    relation: &Relation,
    part: Option<&str>,
    text: Option<String>,
) -> Result<Object> {
    match (kind, relation) {
        ("TABLE", Relation::Table(table)) if table.materialized.is_none() => Ok(whole(table, text)),
        ("TABLE", Relation::Partition(part)) => {
            let parent = catalog.table_by_oid(part.oid);
            let parent = parent.ok_or_else(|| Error::internal("a partition without its parent"))?;
            Ok(Object::Table(parent.with_partition(part.known_as(), |part| part.comment = text)))
        }
        ("MATERIALIZED VIEW", Relation::Table(table)) if table.materialized.is_some() => {
            Ok(whole(table, text))
        }
        ("VIEW", Relation::View(view)) => Ok(Object::View(View { comment: text, ..(**view).clone() })),
        ("SEQUENCE", Relation::Sequence(sequence)) => {
            Ok(Object::Sequence(Sequence { comment: text, ..(**sequence).clone() }))
        }
        ("INDEX", Relation::Index(index)) => {
            let table = catalog
                .table_by_oid(index.table)
                .ok_or_else(|| Error::internal("an index without a table"))?;
            Ok(partly(table, Part::Index(index.oid), text))
        }
        ("INDEX", Relation::PartitionIndex(own)) => {
            let parent = super::partition_parts::parent_of_index(catalog, own)?;
            Ok(partly(parent, Part::Index(own.oid), text))
        }
        ("COLUMN", Relation::Partition(_)) => {
            Err(Error::unsupported("a comment on a column of one partition"))
        }
        ("CONSTRAINT", Relation::Partition(_)) => {
            Err(Error::unsupported("a comment on a constraint of one partition"))
        }
        ("COLUMN", Relation::Table(table)) => {
            let name = part.unwrap_or_default();
            let column = table.column(name).ok_or_else(|| undefined_column(name, &table.name))?;
            Ok(partly(table, Part::Column(column.number), text))
        }
        ("COLUMN", Relation::View(view)) => {
            let name = part.unwrap_or_default();
            let place = view.columns.iter().position(|column| column.name == name);
            let place = place.ok_or_else(|| undefined_column(name, &view.name))?;
            let comments = replaced(&view.comments, Part::Column(place as u16 + 1), text);
            Ok(Object::View(View { comments, ..(**view).clone() }))
        }
        ("CONSTRAINT", Relation::Table(table)) => {
            let name = part.unwrap_or_default();
            let Some(constraint) = table.constraints.iter().find(|constraint| constraint.name == name) else {
                let message = format!("constraint \"{name}\" for table \"{}\" does not exist", table.name);
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
            };
            Ok(partly(table, Part::Constraint(constraint.oid), text))
        }
        _ => Err(wrong_kind(kind, relation)),
    }
}

fn whole(table: &Table, comment: Option<String>) -> Object {
    Object::Table(Table { comment, ..table.clone() })
}

fn partly(table: &Table, part: Part, text: Option<String>) -> Object {
    Object::Table(Table { comments: replaced(&table.comments, part, text), ..table.clone() })
}

fn replaced(comments: &[PartComment], part: Part, text: Option<String>) -> Vec<PartComment> {
    let others = comments.iter().filter(|comment| comment.part != part).cloned();
    others.chain(text.map(|text| PartComment { part, text })).collect()
}

fn undefined_column(column: &str, relation: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{column}\" of relation \"{relation}\" does not exist"),
    )
}

fn wrong_kind(kind: &str, relation: &Relation) -> Error {
    let name = match relation {
        Relation::Table(table) | Relation::Partition(table) => &table.name,
        Relation::Index(index) | Relation::PartitionIndex(index) => &index.name,
        Relation::Sequence(sequence) => &sequence.name,
        Relation::View(view) => &view.name,
    };
    let what = match kind {
        "TABLE" => "a table",
        "VIEW" => "a view",
        "MATERIALIZED VIEW" => "a materialized view",
        "SEQUENCE" => "a sequence",
        "INDEX" => "an index",
        "COLUMN" => {
            let message = format!("cannot set comment on relation \"{name}\"");
            return Error::new(SqlState::WRONG_OBJECT_TYPE, message);
        }
        _ => return Error::unsupported(format!("COMMENT ON {kind}")),
    };
    Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not {what}"))
}
