//! What goes both ways through sqlx: vectors, common types and arrays of them, enums, domains, composite types, ranges.

use std::collections::HashMap;
use std::ops::Bound;

use bit_vec::BitVec;
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use hither_clients::{Done, is_refused};
use pgvector::{Bit, HalfVector, SparseVector, Vector};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::postgres::types::{Oid, PgInterval, PgRange};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Row, TypeInfo, ValueRef, query, query_as, query_scalar, raw_sql};
use uuid::Uuid;

use super::start;

#[tokio::test]
async fn vectors_go_both_ways() -> Done {
    let pool = start(
        "DROP TABLE IF EXISTS sqx_vectors;
         CREATE TABLE sqx_vectors (id serial PRIMARY KEY, dense vector(3), half halfvec(3), sparse sparsevec(5), bits bit(10),
                                   factors vector[], halves halfvec[])",
    )
    .await?;
    let dense = Vector::from(vec![1.0, 2.5, -3.0]);
    let half = HalfVector::from_f32_slice(&[0.5, 0.25, 65504.0]);
    let sparse = SparseVector::from_map(&HashMap::from([(1, 1.5), (4, -2.0)]), 5);
    let bits = Bit::new(&[true, false, true, false, false, false, false, false, true, true]);
    let factors = vec![Vector::from(vec![1.0]), Vector::from(vec![2.0, 3.0])];
    let halves = [Some(half.clone()), None];
    query("INSERT INTO sqx_vectors (dense, half, sparse, bits, factors, halves) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(&dense)
        .bind(&half)
        .bind(&sparse)
        .bind(&bits)
        .bind(&factors)
        .bind(&halves[..])
        .execute(&pool)
        .await?;
    raw_sql("INSERT INTO sqx_vectors DEFAULT VALUES").execute(&pool).await?;
    let row = query("SELECT * FROM sqx_vectors WHERE id = 1").fetch_one(&pool).await?;
    assert_eq!((row.get::<Vector, _>("dense"), row.get::<HalfVector, _>("half")), (dense, half));
    assert_eq!((row.get::<SparseVector, _>("sparse"), row.get::<Bit, _>("bits")), (sparse, bits));
    assert_eq!(row.get::<Vec<Vector>, _>("factors"), factors);
    assert_eq!(row.get::<Vec<Option<HalfVector>>, _>("halves"), halves);
    let names: Vec<_> = (1..7).map(|i| row.try_get_raw(i).unwrap().type_info().name().to_owned()).collect();
    assert_eq!(names, ["vector", "halfvec", "sparsevec", "BIT", "vector[]", "halfvec[]"]);
    let row = query("SELECT * FROM sqx_vectors WHERE id = 2").fetch_one(&pool).await?;
    assert!((1..7).all(|i| row.try_get_raw(i).unwrap().is_null()));
    let mean: Option<Vector> = query_scalar("SELECT avg(dense) FROM sqx_vectors").fetch_one(&pool).await?;
    assert_eq!(mean.unwrap().as_slice(), [1.0, 2.5, -3.0]);
    Ok(())
}

#[tokio::test]
async fn types_go_both_ways() -> Done {
    let pool = start("").await?;
    let date = NaiveDate::from_ymd_opt(1969, 2, 28).unwrap();
    let time = NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999).unwrap();
    let timestamp = NaiveDateTime::new(date, time);
    let uuid = Uuid::parse_str("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")?;

    macro_rules! there_and_back {
        ($($ty:literal: $rust:ty = $value:expr;)*) => {$(
            let value: $rust = $value;
            let sql = concat!("SELECT $1, $1::text, NULL::", $ty);
            let row = query(sql).bind(value.clone()).fetch_one(&pool).await?;
            assert_eq!(row.get::<$rust, _>(0), value, $ty);
            assert_eq!(row.get::<Option<$rust>, _>(2), None, $ty);
            // As text, and from text again.
            let sql = format!("SELECT '{}'::{}", row.get::<String, _>(1).replace('\'', "''"), $ty);
            let row = raw_sql(AssertSqlSafe(sql)).fetch_one(&pool).await?;
            assert_eq!(row.get::<$rust, _>(0), value, $ty);
            let many = vec![Some(value.clone()), None];
            let row = query(concat!("SELECT $1::", $ty, "[]")).bind(many.clone()).fetch_one(&pool).await?;
            assert_eq!(row.get::<Vec<Option<$rust>>, _>(0), many, $ty);
        )*};
    }
    there_and_back! {
        "bool": bool = false;
        "int2": i16 = i16::MIN;
        "int4": i32 = i32::MIN;
        "int8": i64 = i64::MAX;
        "oid": Oid = Oid(u32::MAX);
        "float4": f32 = 16_777_216.0;
        "float8": f64 = 1.0 / 3.0;
        "numeric": Decimal = Decimal::new(-1_234_567_890_123_456_789, 9);
        "text": String = "tä\txt 🦀 'quoted'".to_owned();
        "bytea": Vec<u8> = vec![0, 255, b'\\', b'\''];
        "uuid": Uuid = uuid;
        "date": NaiveDate = date;
        "time": NaiveTime = time;
        "timestamp": NaiveDateTime = timestamp;
        "timestamptz": DateTime<Utc> = timestamp.and_utc();
        "jsonb": Value = json!({"b": [1, 2.5, "x"], "a": null});
        "bit(3)": BitVec = BitVec::from_iter([true, false, true]);
        "int4range": PgRange<i32> = PgRange { start: Bound::Included(1), end: Bound::Excluded(5) };
        "numrange": PgRange<Decimal> = PgRange { start: Bound::Excluded(Decimal::new(5, 1)), end: Bound::Unbounded };
        "daterange": PgRange<NaiveDate> = PgRange { start: Bound::Included(date), end: Bound::Unbounded };
    }
    let interval = PgInterval { months: 14, days: -3, microseconds: 3_723_000_001 };
    let row = query("SELECT $1, $1::text").bind(interval).fetch_one(&pool).await?;
    assert_eq!(row.get::<PgInterval, _>(0), interval);
    assert_eq!(row.get::<&str, _>(1), "1 year 2 mons -3 days +01:02:03.000001");
    let row = query("SELECT $1, $1::timestamptz AT TIME ZONE 'UTC'")
        .bind(DateTime::<FixedOffset>::parse_from_rfc3339("2024-02-29T01:02:03+02:00")?)
        .fetch_one(&pool)
        .await?;
    assert_eq!(row.get::<DateTime<Utc>, _>(0).to_rfc3339(), "2024-02-28T23:02:03+00:00");
    assert_eq!(row.get::<NaiveDateTime, _>(1).to_string(), "2024-02-28 23:02:03");
    let Json(map): Json<HashMap<String, Vec<i32>>> = query_scalar("SELECT $1::json")
        .bind(Json(HashMap::from([("k", vec![1, 2])])))
        .fetch_one(&pool)
        .await?;
    assert_eq!(map, HashMap::from([("k".to_owned(), vec![1, 2])]));
    let row: (Option<i32>, Vec<String>, (i32, String)) =
        query_as("SELECT NULL::int4, ARRAY[]::text[], ROW(1, 'x'::text)").fetch_one(&pool).await?;
    assert_eq!(row, (None, vec![], (1, "x".to_owned())));
    let chars: (String, String, String, i8) =
        query_as("SELECT 'ab'::char(3), 'abc'::varchar(2), 'n'::name, 'c'::\"char\"")
            .fetch_one(&pool)
            .await?;
    assert_eq!(chars, ("ab ".to_owned(), "ab".to_owned(), "n".to_owned(), b'c' as i8));
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, sqlx::Type)]
#[sqlx(type_name = "sqx_mood", rename_all = "lowercase")]
enum Mood {
    Sad,
    Happy,
}

#[derive(Debug, Clone, Copy, PartialEq, sqlx::Type)]
#[repr(i32)]
enum Level {
    Low = 1,
    High = 2,
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Feeling {
    mood: Mood,
    #[sqlx(rename = "moods")]
    others: Vec<Mood>,
    level: Level,
    #[sqlx(json)]
    about: HashMap<String, i32>,
}

#[tokio::test]
async fn enums_and_rows() -> Done {
    let pool = start(
        "DROP TABLE IF EXISTS sqx_moods; DROP TYPE IF EXISTS sqx_mood;
         CREATE TYPE sqx_mood AS ENUM ('happy', 'sad');
         CREATE TABLE sqx_moods (mood sqx_mood NOT NULL, moods sqx_mood[] NOT NULL, level int, about jsonb)",
    )
    .await?;
    let feeling = Feeling {
        mood: Mood::Sad,
        others: vec![Mood::Happy, Mood::Sad],
        level: Level::High,
        about: HashMap::from([("n".to_owned(), 1)]),
    };
    let insert = "INSERT INTO sqx_moods (mood, moods, level, about) VALUES ($1, $2, $3, $4)";
    query(insert)
        .bind(feeling.mood)
        .bind(&feeling.others)
        .bind(feeling.level)
        .bind(Json(&feeling.about))
        .execute(&pool)
        .await?;
    let found: Vec<Feeling> =
        query_as("SELECT * FROM sqx_moods WHERE mood = $1 AND $2 <> ALL(moods) IS FALSE")
            .bind(Mood::Sad)
            .bind(Mood::Happy)
            .fetch_all(&pool)
            .await?;
    assert_eq!(found, [feeling]);
    let counted: Vec<(Mood, i64)> =
        query_as("SELECT m, count(*) FROM sqx_moods, unnest(moods) AS m GROUP BY m ORDER BY m")
            .fetch_all(&pool)
            .await?;
    assert_eq!(counted, [(Mood::Happy, 1), (Mood::Sad, 1)]);
    Ok(())
}

#[derive(Debug, Clone, PartialEq, sqlx::Type)]
#[sqlx(type_name = "sqx_percent")]
struct Percent(i32);

#[tokio::test]
async fn domains() -> Done {
    let pool = start(
        "DROP TABLE IF EXISTS sqx_shares; DROP DOMAIN IF EXISTS sqx_percent;
         CREATE DOMAIN sqx_percent AS int CHECK (VALUE BETWEEN 0 AND 100); CREATE TABLE sqx_shares (share sqx_percent)",
    )
    .await?;
    let insert = "INSERT INTO sqx_shares VALUES ($1) RETURNING share";
    assert_eq!(query_scalar::<_, i32>(insert).bind(Percent(7)).fetch_one(&pool).await?, 7);
    let error = query(insert).bind(Percent(101)).execute(&pool).await.unwrap_err();
    let error = error.as_database_error().unwrap();
    assert_eq!((error.code().unwrap().as_ref(), error.constraint()), ("23514", Some("sqx_percent_check")));
    Ok(())
}

#[derive(Debug, Clone, PartialEq, sqlx::Type)]
#[sqlx(type_name = "sqx_place")]
struct Place {
    name: String,
    x: f64,
}

#[tokio::test]
async fn composite_types() -> Done {
    if is_refused("CREATE TYPE sqx_pair AS (a int, b int)").await {
        return Ok(());
    }
    let pool =
        start("DROP TYPE IF EXISTS sqx_place; CREATE TYPE sqx_place AS (name text, x double precision)")
            .await?;
    let place = Place { name: "here".to_owned(), x: 1.5 };
    let got: (Place, String) =
        query_as("SELECT $1, ($1::sqx_place).name").bind(&place).fetch_one(&pool).await?;
    assert_eq!(got, (place, "here".to_owned()));
    raw_sql("DROP TYPE sqx_place").execute(&pool).await?;
    Ok(())
}
