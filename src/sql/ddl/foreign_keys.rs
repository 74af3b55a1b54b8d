//! Foreign keys in definitions: of which types they may be, and whether the rows that are there keep to one.

use futures::StreamExt;

use crate::catalog::{Constraint, ConstraintKind, Deferral, ForeignKey, Table};
use crate::database::references::mixed;
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::alter::quoted;
use crate::sql::ddl::table::refuse_full_and_deferrable;
use crate::sql::dialect::parse_query;
use crate::sql::session::Session;
use crate::types::Type;
use crate::types::arrow::value_at;

impl Session {
    /// ALTER CONSTRAINT: when a foreign key is checked.
    pub(super) async fn alter_constraint(
        &mut self,
        table: &Table,
        name: &str,
        deferral: Deferral,
    ) -> Result<()> {
        let mut altered = table.clone();
        let of = format!("constraint \"{name}\" of relation \"{}\"", table.name);
        match altered.constraints.iter_mut().find(|constraint| constraint.name == name) {
            Some(Constraint { kind: ConstraintKind::ForeignKey(key), .. }) => {
                refuse_full_and_deferrable(key.full, key.columns.len(), deferral)?;
                key.deferral = deferral;
            }
            Some(_) => {
                let message = format!("{of} is not a foreign key constraint");
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            None => {
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("{of} does not exist")));
            }
        }
        self.put(altered).await
    }

    /// Whether every row's reference leads somewhere: by one query, so that it costs a join.
    pub(super) async fn verify_references(
        &mut self,
        table: &Table,
        name: &str,
        key: &ForeignKey,
    ) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let Some(parent) = catalog.table_by_oid(key.table) else { return Ok(()) };
        let names = |table: &Table, numbers: &[u16]| -> Vec<String> {
            let columns = numbers.iter().filter_map(|number| table.column_number(*number));
            columns.map(|column| quoted(&column.name)).collect()
        };
        let (own, other) = (names(table, &key.columns), names(parent, &key.referenced));
        let present: Vec<String> = own.iter().map(|name| format!("c.{name} IS NOT NULL")).collect();
        let equal: Vec<String> = own.iter().zip(&other).map(|(c, p)| format!("c.{c} = p.{p}")).collect();
        if key.full {
            let nulls = format!("num_nulls({}) NOT IN (0, {})", own.join(", "), own.len());
            let (schema, relation) = (quoted(&table.schema), quoted(&table.name));
            if self.count(&format!("SELECT count(*) FROM {schema}.{relation} WHERE {nulls}")).await? > 0 {
                return Err(mixed(table, name));
            }
        }
        let missing = format!("p.{} IS NULL", other.first().map_or("", String::as_str));
        let from = format!(
            "FROM {}.{} c LEFT JOIN {}.{} p ON {} WHERE {} AND {missing}",
            quoted(&table.schema),
            quoted(&table.name),
            quoted(&parent.schema),
            quoted(&parent.name),
            equal.join(" AND "),
            present.join(" AND "),
        );
        if self.count(&format!("SELECT count(*) {from}")).await? == 0 {
            return Ok(());
        }
        let cells = own.iter().map(|name| format!("c.{name}::text")).collect::<Vec<_>>().join(", ");
        let values = self.first_row(&format!("SELECT {cells} {from} LIMIT 1")).await?;
        let plain = |numbers: &[u16]| -> Vec<&str> {
            let columns = numbers.iter().filter_map(|number| table.column_number(*number));
            columns.map(|column| column.name.as_str()).collect()
        };
        let message = format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{name}\"",
            table.name
        );
        Err(Error::new(SqlState::FOREIGN_KEY_VIOLATION, message)
            .detail(format!(
                "Key ({})=({}) is not present in table \"{}\".",
                plain(&key.columns).join(", "),
                values.join(", "),
                parent.name
            ))
            .table(&table.schema, &table.name)
            .constraint(name))
    }

    /// The texts of the first row of a query of texts.
    async fn first_row(&mut self, sql: &str) -> Result<Vec<String>> {
        let query = parse_query(sql)?;
        let query = self.planned(&query)?;
        let mut stream = self.query_stream(&query, &[]).await?;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            if batch.num_rows() > 0 {
                let cells = batch.columns().iter().map(|column| value_at(column, 0, &Type::Text));
                let texts = cells.map(|cell| Ok(crate::types::text::to_string(&cell?)));
                return texts.collect();
            }
        }
        Ok(Vec::new())
    }
}

/// 42804 unless columns of a table may refer to those of the other one, each to the one at its place.
pub(super) fn check_types(
    constraint: &str,
    (table, columns): (&Table, &[u16]),
    (parent, referenced): (&Table, &[u16]),
) -> Result<()> {
    for (own, other) in columns.iter().zip(referenced) {
        let (Some(own), Some(other)) = (table.column_number(*own), parent.column_number(*other)) else {
            continue;
        };
        if own.ty == Type::Citext && other.ty.is_text() && other.ty != Type::Citext {
            let what = format!("a foreign key from type citext to type {}", other.ty.bare());
            return Err(Error::unsupported(what));
        }
        if !refers(&own.ty, &other.ty) {
            let message = format!("foreign key constraint \"{constraint}\" cannot be implemented");
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).detail(format!(
                "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                own.name,
                other.name,
                own.ty.bare(),
                other.ty.bare()
            )));
        }
    }
    Ok(())
}

/// Whether PostgreSQL looks for values of `own` in an index on `other`: an operator of the index compares them, or they
/// become values of `other` unasked.
fn refers(own: &Type, other: &Type) -> bool {
    // Integers are compared among themselves, so are floats, and each becomes what comes after it.
    let number = |ty: &Type| match ty {
        Type::Int2 | Type::Int4 | Type::Int8 => Some(0),
        Type::Numeric(_) => Some(1),
        Type::Float4 | Type::Float8 => Some(2),
        _ => None,
    };
    let stamp = |ty: &Type| matches!(ty, Type::Date | Type::Timestamp(_) | Type::Timestamptz(_));
    // Of a text and a citext, PostgreSQL compares as texts what the key has in lower case, or refuses.
    let is_plain = |ty: &Type| ty.is_text() && *ty != Type::Citext;
    own.bare() == other.bare()
        || number(own).is_some_and(|own| number(other).is_some_and(|other| own <= other))
        || is_plain(own) && is_plain(other)
        || stamp(own) && stamp(other)
}
