//! The statements of an application, one connection: prepared, and with their values in the text, as psycopg2, psql and
//! many ORMs send them.
//!
//! A statement is written once, with `{}` where its values are; prepared they are `$1`, `$2` and so on, in a text they are
//! literals.

use bytes::Bytes;

use crate::cli::bench::client::{Raw, vector};
use crate::cli::bench::data::Data;
use crate::distance::Metric;

/// Keys in a list, as an ORM that fetches what a search has found asks for.
const LIST: usize = 20;

/// A value of a statement.
pub enum Datum<'a> {
    Int4(i32),
    Int8(i64),
    Text(&'a str),
    Vector(&'a [f32]),
}

impl Datum<'_> {
    fn raw(&self) -> Raw {
        match self {
            Datum::Int4(value) => Raw(Bytes::copy_from_slice(&value.to_be_bytes())),
            Datum::Int8(value) => Raw(Bytes::copy_from_slice(&value.to_be_bytes())),
            Datum::Text(value) => Raw(Bytes::copy_from_slice(value.as_bytes())),
            Datum::Vector(value) => vector(value),
        }
    }

    fn literal(&self) -> String {
        match self {
            Datum::Int4(value) => value.to_string(),
            Datum::Int8(value) => value.to_string(),
            Datum::Text(value) => format!("'{}'", value.replace('\'', "''")),
            Datum::Vector(value) => {
                let components: Vec<String> = value.iter().map(f32::to_string).collect();
                format!("'[{}]'", components.join(","))
            }
        }
    }
}

/// A statement and what it is asked with, time after time.
pub struct Statement<'a> {
    pub name: &'static str,
    /// With `{}` for each value.
    sql: String,
    /// Whether it changes rows, so that each may be asked once only.
    pub changes: bool,
    values: Box<dyn Fn(usize) -> Vec<Datum<'a>> + 'a>,
}

impl<'a> Statement<'a> {
    /// Its text with parameters, and the values of so many times.
    pub fn prepared(&self, times: std::ops::Range<usize>) -> (String, Vec<Vec<Raw>>) {
        (with_parameters(&self.sql), times.map(|time| raw(&(self.values)(time))).collect())
    }

    /// Its texts of so many times.
    pub fn texts(&self, times: std::ops::Range<usize>) -> Vec<String> {
        let text = |time| {
            let mut parts = self.sql.split("{}");
            let mut sql = parts.next().unwrap_or_default().to_owned();
            for (value, part) in (self.values)(time).iter().zip(parts) {
                sql.push_str(&value.literal());
                sql.push_str(part);
            }
            sql
        };
        times.map(text).collect()
    }
}

/// A statement with a parameter for each value.
pub fn with_parameters(sql: &str) -> String {
    let mut parts = sql.split("{}");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (place, part) in parts.enumerate() {
        text.push_str(&format!("${}{part}", place + 1));
    }
    text
}

/// Values as parameters.
pub fn raw(values: &[Datum]) -> Vec<Raw> {
    values.iter().map(Datum::raw).collect()
}

/// A row into the table of the load phase, with the values of [`row`].
pub fn insert(table: &str) -> String {
    let columns = "id, category, tenant, size, title, embedding";
    format!("INSERT INTO {table} ({columns}) VALUES ({{}}, {{}}, {{}}, {{}}, {{}}, {{}})")
}

/// A row of the data under another id.
pub fn row(data: &Data, row: usize, id: i64) -> Vec<Datum<'_>> {
    vec![
        Datum::Int8(id),
        Datum::Text(&data.category[row]),
        Datum::Int4(data.tenant[row]),
        Datum::Int4(data.size[row]),
        Datum::Text(&data.title[row]),
        Datum::Vector(data.vector(row)),
    ]
}

/// All of them over the table of the load phase. Rows that are inserted have ids from `id_first`, one for each time.
pub fn all<'a>(table: &str, data: &'a Data, metric: Metric, id_first: i64) -> Vec<Statement<'a>> {
    let rows = data.rows();
    // Far from each other, and where rows are no multiple of this prime, each of them before one comes again.
    let place = move |time: usize| (time * 7919) % rows;
    let key = move |time: usize| Datum::Int8(place(time) as i64);
    let query = |time: usize| Datum::Vector(data.query(time % data.queries()));
    let nearest = format!("ORDER BY embedding {} {{}} LIMIT 10", metric.operator());
    let list = vec!["{}"; LIST].join(", ");
    let query_of = |name, sql, values| Statement { name, sql, changes: false, values };
    let change_of = |name, sql, values| Statement { name, sql, changes: true, values };
    vec![
        query_of(
            "row by key",
            format!("SELECT category, title FROM {table} WHERE id = {{}}"),
            Box::new(move |time| vec![key(time)]),
        ),
        query_of(
            "20 rows by key",
            format!("SELECT id, title FROM {table} WHERE id IN ({list})"),
            Box::new(move |time| (0..LIST).map(|item| key(time * LIST + item)).collect()),
        ),
        query_of(
            "rows by text",
            format!("SELECT id FROM {table} WHERE title = {{}}"),
            Box::new(move |time| vec![Datum::Text(&data.title[place(time)])]),
        ),
        query_of(
            "page of 20 behind a key",
            format!("SELECT id, title FROM {table} WHERE id > {{}} ORDER BY id LIMIT 20"),
            Box::new(move |time| vec![key(time)]),
        ),
        query_of(
            "count of a tenant",
            format!("SELECT count(*) FROM {table} WHERE tenant = {{}}"),
            Box::new(move |time| vec![Datum::Int4(data.tenant[place(time)])]),
        ),
        query_of(
            "10 nearest",
            format!("SELECT id FROM {table} {nearest}"),
            Box::new(move |time| vec![query(time)]),
        ),
        query_of(
            "10 nearest of a tenant",
            format!("SELECT id, title FROM {table} WHERE tenant = {{}} {nearest}"),
            Box::new(move |time| vec![Datum::Int4(data.tenant[place(time)]), query(time)]),
        ),
        change_of(
            "INSERT",
            insert(table),
            Box::new(move |time| row(data, place(time), id_first + time as i64)),
        ),
        change_of(
            "UPDATE by key",
            format!("UPDATE {table} SET size = {{}} WHERE id = {{}}"),
            Box::new(move |time| vec![Datum::Int4(time as i32), Datum::Int8(id_first + time as i64)]),
        ),
        change_of(
            "DELETE by key",
            format!("DELETE FROM {table} WHERE id = {{}}"),
            Box::new(move |time| vec![Datum::Int8(id_first + time as i64)]),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parameters_or_literals() {
        let statement = Statement {
            name: "",
            sql: "SELECT {} FROM t WHERE a = {} AND v = {}".to_owned(),
            changes: false,
            values: Box::new(|time| {
                vec![Datum::Int8(time as i64), Datum::Text("it's"), Datum::Vector(&[1.0, -0.5])]
            }),
        };
        let (sql, params) = statement.prepared(3..5);
        assert_eq!((sql.as_str(), params.len()), ("SELECT $1 FROM t WHERE a = $2 AND v = $3", 2));
        assert_eq!(statement.texts(3..4), ["SELECT 3 FROM t WHERE a = 'it''s' AND v = '[1,-0.5]'"]);
    }
}
