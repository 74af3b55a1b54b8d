//! What goes both ways through diesel: common types and arrays of them, ranges, an enum, functions of one's own.

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use diesel::deserialize::{FromSql, FromSqlRow};
use diesel::dsl::{now, sql};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::serialize::{IsNull, Output, ToSql};
use diesel::sql_types as ty;
use hither_clients::Done;
use pgvector::Vector;
use serde_json::{Value, json};
use std::io::Write;
use std::ops::Bound;
use uuid::Uuid;

use super::start;

#[test]
fn types_go_both_ways() -> Done {
    let mut connection = start("")?;
    let c = &mut connection;
    let date = NaiveDate::from_ymd_opt(1969, 2, 28).unwrap();
    let time = NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999).unwrap();
    let timestamp = NaiveDateTime::new(date, time);
    let uuid = Uuid::parse_str("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")?;

    macro_rules! there_and_back {
        ($($ty:ty: $rust:ty = $value:expr;)*) => {$(
            let value: $rust = $value;
            let got: $rust = diesel::select(value.clone().into_sql::<$ty>()).get_result(c)?;
            assert_eq!(got, value);
            let nothing: Option<$rust> = diesel::select(None::<$rust>.into_sql::<ty::Nullable<$ty>>()).get_result(c)?;
            assert_eq!(nothing, None);
            let many = vec![Some(value), None];
            let got: Vec<Option<$rust>> =
                diesel::select(many.clone().into_sql::<ty::Array<ty::Nullable<$ty>>>()).get_result(c)?;
            assert_eq!(got, many);
        )*};
    }
    there_and_back! {
        ty::Bool: bool = true;
        ty::SmallInt: i16 = i16::MIN;
        ty::Integer: i32 = i32::MIN;
        ty::BigInt: i64 = i64::MAX;
        ty::Oid: u32 = u32::MAX;
        ty::Float: f32 = 0.1;
        ty::Double: f64 = 1.0 / 3.0;
        ty::Numeric: BigDecimal = "-123456789012345678901234567890.000001".parse()?;
        ty::Text: String = "tä\txt 🦀".to_owned();
        ty::Binary: Vec<u8> = vec![0, 255, b'\\', b'\''];
        ty::Uuid: Uuid = uuid;
        ty::Date: NaiveDate = date;
        ty::Time: NaiveTime = time;
        ty::Timestamp: NaiveDateTime = timestamp;
        ty::Timestamptz: DateTime<Utc> = timestamp.and_utc();
        ty::Interval: chrono::Duration = chrono::Duration::microseconds(-3_723_000_001);
        ty::Json: Value = json!({"b": [1, 2.5, "x"], "a": null});
        ty::Jsonb: Value = json!([{"nested": {"deep": true}}, -1]);
        ty::Range<ty::Integer>: (Bound<i32>, Bound<i32>) = (Bound::Included(1), Bound::Excluded(5));
        ty::Range<ty::Date>: (Bound<NaiveDate>, Bound<NaiveDate>) = (Bound::Included(date), Bound::Unbounded);
    }
    let plain: (i32, Vec<String>, f64) = diesel::select((
        1.into_sql::<ty::Integer>(),
        sql::<ty::Array<ty::Text>>("ARRAY['a', 'b c']"),
        sql::<ty::Double>("'NaN'::float8"),
    ))
    .get_result(c)?;
    assert_eq!((plain.0, plain.1, plain.2.is_nan()), (1, vec!["a".to_owned(), "b c".to_owned()], true));
    let today: bool = diesel::select(now.le(now.nullable().assume_not_null())).get_result(c)?;
    assert!(today);
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, AsExpression, FromSqlRow)]
#[diesel(sql_type = MoodType)]
enum Mood {
    Happy,
    Sad,
}

#[derive(diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(name = "dsl_mood"))]
pub struct MoodType;

impl ToSql<MoodType, Pg> for Mood {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> diesel::serialize::Result {
        out.write_all(if *self == Mood::Happy { b"happy" } else { b"sad" })?;
        Ok(IsNull::No)
    }
}

impl FromSql<MoodType, Pg> for Mood {
    fn from_sql(value: PgValue<'_>) -> diesel::deserialize::Result<Self> {
        match value.as_bytes() {
            b"happy" => Ok(Mood::Happy),
            b"sad" => Ok(Mood::Sad),
            other => Err(format!("no mood: {other:?}").into()),
        }
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::MoodType;

    dsl_moods (id) {
        id -> Int4,
        mood -> MoodType,
        moods -> Array<Nullable<MoodType>>,
    }
}

#[diesel::declare_sql_function]
extern "SQL" {
    fn vector_dims(embedding: pgvector::sql_types::Vector) -> ty::Integer;
    fn l2_normalize(embedding: pgvector::sql_types::Vector) -> pgvector::sql_types::Vector;
    #[aggregate]
    fn avg(embedding: ty::Nullable<pgvector::sql_types::Vector>)
    -> ty::Nullable<pgvector::sql_types::Vector>;
}

#[test]
fn enums_and_functions() -> Done {
    let mut connection = start(
        "DROP TABLE IF EXISTS dsl_moods; DROP TYPE IF EXISTS dsl_mood;
         CREATE TYPE dsl_mood AS ENUM ('happy', 'sad');
         CREATE TABLE dsl_moods (id serial PRIMARY KEY, mood dsl_mood NOT NULL, moods dsl_mood[] NOT NULL)",
    )?;
    let c = &mut connection;
    use dsl_moods::{id, mood, moods};
    diesel::insert_into(dsl_moods::table)
        .values(vec![
            (mood.eq(Mood::Sad), moods.eq(vec![Mood::Happy, Mood::Sad])),
            (mood.eq(Mood::Happy), moods.eq(vec![])),
        ])
        .execute(c)?;
    let found: Vec<(i32, Mood, Vec<Option<Mood>>)> = dsl_moods::table.order((mood, id)).load(c)?;
    assert_eq!(found, [(2, Mood::Happy, vec![]), (1, Mood::Sad, vec![Some(Mood::Happy), Some(Mood::Sad)])]);
    let sad: i64 = dsl_moods::table.filter(mood.eq_any([Mood::Sad])).count().get_result(c)?;
    assert_eq!(sad, 1);
    let (dimensions, unit): (i32, Vector) = diesel::select((
        vector_dims(Vector::from(vec![1.0, 2.0])),
        l2_normalize(Vector::from(vec![3.0, 4.0])),
    ))
    .get_result(c)?;
    assert_eq!((dimensions, unit), (2, Vector::from(vec![0.6, 0.8])));
    let mean: Option<Vector> = diesel::select(avg(Some(Vector::from(vec![3.0, 4.0])))).get_result(c)?;
    assert_eq!(mean, Some(Vector::from(vec![3.0, 4.0])));
    Ok(())
}
