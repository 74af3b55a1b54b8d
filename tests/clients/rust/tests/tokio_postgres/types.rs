//! What goes both ways: vectors, common types and arrays of them, enums, domains; and which types a statement infers.

use std::collections::HashMap;

use bit_vec::BitVec;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use hither_clients::{Done, is_refused};
use pgvector::{Bit, HalfVector, SparseVector, Vector};
use postgres_types::{FromSql, ToSql};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Json, Kind, Type};
use uuid::Uuid;

use super::start;

#[tokio::test]
async fn vectors_go_both_ways() -> Done {
    let client = start(
        "DROP TABLE IF EXISTS tp_vectors;
         CREATE TABLE tp_vectors (id bigserial PRIMARY KEY, dense vector(3), half halfvec(3), sparse sparsevec(5),
                                  bits bit(10), factors vector[])",
    )
    .await?;
    let dense = Vector::from(vec![1.0, 2.5, -3.0]);
    let half = HalfVector::from_f32_slice(&[0.5, 0.25, 65504.0]);
    let sparse = SparseVector::from_dense(&[0.0, 1.5, 0.0, 0.0, -2.0]);
    let bits = Bit::new(&[true, false, true, false, false, false, false, false, true, true]);
    let factors = vec![Some(Vector::from(vec![1.0])), None, Some(Vector::from(vec![2.0, 3.0]))];
    let insert = client
        .prepare(
            "INSERT INTO tp_vectors (dense, half, sparse, bits, factors) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .await?;
    let names: Vec<_> = insert.params().iter().map(Type::name).collect();
    assert_eq!(names, ["vector", "halfvec", "sparsevec", "bit", "_vector"]);
    assert!(matches!(insert.params()[4].kind(), Kind::Array(element) if element.name() == "vector"));
    for id in 1..=2_i64 {
        let row = client.query_one(&insert, &[&dense, &half, &sparse, &bits, &factors]).await?;
        assert_eq!(row.get::<_, i64>(0), id);
    }
    let nothing: Option<Vector> = None;
    client.execute("INSERT INTO tp_vectors (dense) VALUES ($1)", &[&nothing]).await?;

    let rows = client.query("SELECT * FROM tp_vectors ORDER BY id", &[]).await?;
    assert_eq!(rows.len(), 3);
    for row in &rows[..2] {
        assert_eq!(row.get::<_, Vector>("dense"), dense);
        assert_eq!(row.get::<_, HalfVector>("half"), half);
        assert_eq!(row.get::<_, SparseVector>("sparse"), sparse);
        assert_eq!(row.get::<_, Bit>("bits"), bits);
        assert_eq!(row.get::<_, Vec<Option<Vector>>>("factors"), factors);
    }
    assert_eq!(rows[2].get::<_, Option<Vector>>("dense"), None);
    let row = client
        .query_one(
            "SELECT dense::text, half::text, sparse::text, bits::text, factors::text FROM tp_vectors WHERE id = 1",
            &[],
        )
        .await?;
    let texts: Vec<String> = (0..5).map(|i| row.get(i)).collect();
    assert_eq!(
        texts,
        ["[1,2.5,-3]", "[0.5,0.25,65504]", "{2:1.5,5:-2}/5", "1010000011", "{[1],NULL,\"[2,3]\"}"]
    );
    assert_eq!(row.columns()[0].type_(), &Type::TEXT);
    Ok(())
}

#[tokio::test]
async fn types_go_both_ways() -> Done {
    let client = start("").await?;
    let date = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
    let time = NaiveTime::from_hms_micro_opt(1, 2, 3, 456_789).unwrap();
    let timestamp = NaiveDateTime::new(date, time);
    let uuid = Uuid::parse_str("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")?;

    macro_rules! there_and_back {
        ($($ty:literal: $rust:ty = $value:expr;)*) => {$(
            let row = client.query_one(concat!("SELECT $1::", $ty, ", NULL::", $ty), &[&$value]).await?;
            assert_eq!(row.get::<_, $rust>(0), $value, $ty);
            assert_eq!(row.get::<_, Option<$rust>>(1), None, $ty);
            let row = client.query_one(concat!("SELECT $1::", $ty, "[]"), &[&vec![Some($value), None]]).await?;
            assert_eq!(row.get::<_, Vec<Option<$rust>>>(0), [Some($value), None], $ty);
        )*};
    }
    there_and_back! {
        "bool": bool = true;
        "\"char\"": i8 = b'x' as i8;
        "int2": i16 = i16::MIN;
        "int4": i32 = i32::MAX;
        "int8": i64 = -(1_i64 << 40);
        "oid": u32 = u32::MAX;
        "float4": f32 = f32::MIN_POSITIVE;
        "float8": f64 = 0.1 + 0.2;
        "numeric": Decimal = Decimal::new(-1_234_567_890_123_456_789, 9);
        "numeric(10, 2)": Decimal = Decimal::new(1250, 2);
        "text": String = "täxt 🦀".to_owned();
        "varchar": String = String::new();
        "varchar(5)": String = "abcde".to_owned();
        "char(3)": String = "ab ".to_owned();
        "name": String = "a_name".to_owned();
        "bytea": Vec<u8> = vec![0, 255, b'\\', b'\''];
        "uuid": Uuid = uuid;
        "date": NaiveDate = date;
        "time": NaiveTime = time;
        "timestamp": NaiveDateTime = timestamp;
        "timestamptz": DateTime<Utc> = timestamp.and_utc();
        "json": Value = json!({"b": [1, 2.5, "x"], "a": null});
        "jsonb": Value = json!([{"nested": {"deep": true}}, -1]);
        "bit(3)": BitVec = BitVec::from_iter([true, false, true]);
        "varbit": BitVec = BitVec::from_iter([true, false, true, true, true, false, true, false, true]);
    }
    let row = client.query_one("SELECT $1::jsonb ->> 'k'", &[&Json(HashMap::from([("k", "v")]))]).await?;
    assert_eq!(row.get::<_, &str>(0), "v");
    let row = client.query_one("SELECT 'infinity'::float8, 'NaN'::float4, '-0'::float8", &[]).await?;
    assert_eq!((row.get::<_, f64>(0), row.get::<_, f32>(1).is_nan()), (f64::INFINITY, true));
    assert!(row.get::<_, f64>(2).is_sign_negative());
    let row = client.query_one("SELECT '{}'::int4[], interval '1 day'", &[]).await?;
    assert_eq!((row.get::<_, Vec<i32>>(0), row.columns()[1].type_()), (vec![], &Type::INTERVAL));
    let error = row.try_get::<_, String>(1).unwrap_err();
    assert!(error.to_string().contains("error deserializing column 1"));
    Ok(())
}

#[derive(Debug, PartialEq, ToSql, FromSql)]
#[postgres(name = "tp_mood", rename_all = "lowercase")]
enum Mood {
    Sad,
    Happy,
}

#[derive(Debug, PartialEq, ToSql, FromSql)]
#[postgres(name = "tp_percent")]
struct Percent(i32);

#[tokio::test]
async fn enums() -> Done {
    let client = start(
        "DROP TABLE IF EXISTS tp_moods; DROP TYPE IF EXISTS tp_mood; CREATE TYPE tp_mood AS ENUM ('happy', 'sad');
         CREATE TABLE tp_moods (id serial PRIMARY KEY, mood tp_mood NOT NULL DEFAULT 'happy', moods tp_mood[])",
    )
    .await?;
    let insert = client.prepare("INSERT INTO tp_moods (mood, moods) VALUES ($1, $2)").await?;
    assert_eq!(insert.params()[0].kind(), &Kind::Enum(vec!["happy".to_owned(), "sad".to_owned()]));
    client.execute(&insert, &[&Mood::Sad, &vec![Mood::Happy, Mood::Sad]]).await?;
    client.execute("INSERT INTO tp_moods DEFAULT VALUES", &[]).await?;
    let rows = client.query("SELECT * FROM tp_moods ORDER BY mood, id", &[]).await?;
    let got: Vec<(Mood, Option<Vec<Mood>>)> =
        rows.iter().map(|row| (row.get("mood"), row.get("moods"))).collect();
    assert_eq!(got, [(Mood::Happy, None), (Mood::Sad, Some(vec![Mood::Happy, Mood::Sad]))]);
    let error = client.batch_execute("INSERT INTO tp_moods (mood) VALUES ('angry')").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INVALID_TEXT_REPRESENTATION));
    Ok(())
}

#[tokio::test]
async fn domains() -> Done {
    let client = start(
        "DROP TABLE IF EXISTS tp_shares; DROP DOMAIN IF EXISTS tp_percent;
         CREATE DOMAIN tp_percent AS int CHECK (VALUE BETWEEN 0 AND 100); CREATE TABLE tp_shares (share tp_percent)",
    )
    .await?;
    let error = client.batch_execute("INSERT INTO tp_shares VALUES (101)").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!((error.code(), error.constraint()), (&SqlState::CHECK_VIOLATION, Some("tp_percent_check")));
    assert_eq!((error.schema(), error.datatype()), (Some("public"), Some("tp_percent")));
    let insert = client.prepare("INSERT INTO tp_shares VALUES ($1)").await?;
    assert_eq!(insert.params()[0].kind(), &Kind::Domain(Type::INT4));
    client.execute(&insert, &[&Percent(7)]).await?;
    assert!(client.execute(&insert, &[&Percent(101)]).await.is_err());
    // A column of a domain is described by the type below.
    let row = client.query_one("SELECT * FROM tp_shares", &[]).await?;
    assert_eq!((row.columns()[0].type_(), row.get::<_, i32>(0)), (&Type::INT4, 7));
    Ok(())
}

#[derive(Debug, PartialEq, ToSql, FromSql)]
#[postgres(name = "tp_place")]
struct Place {
    name: String,
    x: f64,
}

#[tokio::test]
async fn composite_types() -> Done {
    if is_refused("CREATE TYPE tp_pair AS (a int, b int)").await {
        return Ok(());
    }
    let client =
        start("DROP TYPE IF EXISTS tp_place; CREATE TYPE tp_place AS (name text, x double precision)")
            .await?;
    let place = Place { name: "here".to_owned(), x: 1.5 };
    let row = client.query_one("SELECT $1::tp_place, ($1::tp_place).name", &[&place]).await?;
    assert_eq!((row.get::<_, Place>(0), row.get::<_, &str>(1)), (place, "here"));
    client.batch_execute("DROP TYPE tp_place").await?;
    Ok(())
}

/// The types of a statement's parameters and of its columns, by name.
async fn described(client: &Client, sql: &str) -> Result<(Vec<String>, Vec<String>), tokio_postgres::Error> {
    let statement = client.prepare(sql).await?;
    let parameters = statement.params().iter().map(|ty| ty.name().to_owned()).collect();
    let columns = statement.columns().iter().map(|column| format!("{} {}", column.name(), column.type_()));
    Ok((parameters, columns.collect()))
}

#[tokio::test]
async fn types_are_inferred() -> Done {
    let client = start(
        "DROP TABLE IF EXISTS tp_inferred;
         CREATE TABLE tp_inferred (id bigserial PRIMARY KEY, name varchar(20), price numeric(10, 2), seen timestamptz, stock int,
                                   tags text[], about jsonb, embedding vector(3))",
    )
    .await?;
    let mut differ = vec![];
    for (sql, parameters, columns) in [
        ("SELECT $1::int + 1 AS n", vec!["int4"], vec!["n int4"]),
        (
            "SELECT id FROM tp_inferred WHERE name = $1 AND price > $2 LIMIT $3 OFFSET $4",
            vec!["text", "numeric", "int8", "int8"],
            vec!["id int8"],
        ),
        (
            "INSERT INTO tp_inferred (name, price, seen, tags, about, embedding) VALUES ($1, $2, $3, $4, $5, $6)",
            vec!["varchar", "numeric", "timestamptz", "_text", "jsonb", "vector"],
            vec![],
        ),
        (
            "UPDATE tp_inferred SET price = price * $1, seen = $2 WHERE id = $3 RETURNING price, seen",
            vec!["numeric", "timestamptz", "int8"],
            vec!["price numeric", "seen timestamptz"],
        ),
        ("DELETE FROM tp_inferred WHERE id = ANY($1)", vec!["_int8"], vec![]),
        (
            "DELETE FROM tp_inferred WHERE stock + 1 > $1 AND coalesce(stock, 0) = $2 AND stock * 2 = ANY($3)",
            vec!["int4", "int4", "_int4"],
            vec![],
        ),
        (
            "SELECT name FROM tp_inferred WHERE about @> $1 AND tags && $2 AND about ->> $3 = $4",
            vec!["jsonb", "_text", "text", "text"],
            vec!["name varchar"],
        ),
        (
            "SELECT id FROM tp_inferred WHERE id IN ($1, $2) OR name LIKE $3 OR seen < now() - $4::interval",
            vec!["int8", "int8", "text", "interval"],
            vec!["id int8"],
        ),
        (
            "SELECT 1 - (embedding <=> $1) AS similarity FROM tp_inferred WHERE embedding <=> $1 < $2",
            vec!["vector", "float8"],
            vec!["similarity float8"],
        ),
        (
            "SELECT count(*), sum(price), avg(id), max(name), array_agg(id), string_agg(name, $1) FROM tp_inferred",
            vec!["text"],
            vec![
                "count int8",
                "sum numeric",
                "avg numeric",
                "max text",
                "array_agg _int8",
                "string_agg text",
            ],
        ),
        (
            "SELECT coalesce($1, 1), $2, upper($3)",
            vec!["int4", "text", "text"],
            vec!["coalesce int4", "?column? text", "upper text"],
        ),
        (
            "SELECT t.a, t.b FROM unnest($1::bigint[], $2::text[]) AS t(a, b)",
            vec!["_int8", "_text"],
            vec!["a int8", "b text"],
        ),
        ("SELECT avg(embedding), sum(embedding) FROM tp_inferred", vec![], vec!["avg vector", "sum vector"]),
        (
            "SELECT embedding::halfvec, binary_quantize(embedding), embedding::real[] FROM tp_inferred",
            vec![],
            vec!["embedding halfvec", "binary_quantize bit", "embedding _float4"],
        ),
        ("VALUES ($1::uuid, 2)", vec!["uuid"], vec!["column1 uuid", "column2 int4"]),
        ("SELECT CASE WHEN $1 THEN $2 ELSE 0.5 END", vec!["bool", "numeric"], vec!["case numeric"]),
        ("SET work_mem = '4MB'", vec![], vec![]),
        ("EXPLAIN SELECT 1", vec![], vec!["QUERY PLAN text"]),
        ("SHOW server_version", vec![], vec!["server_version text"]),
    ] {
        let got = described(&client, sql).await?;
        if got.0 != parameters || got.1 != columns {
            differ.push(format!("{sql}: {got:?}"));
        }
    }
    for (sql, code) in [
        ("SELECT $1 + $2", SqlState::AMBIGUOUS_FUNCTION),
        ("SELECT $2::int", SqlState::INDETERMINATE_DATATYPE),
        ("SELECT id + $1 FROM tp_inferred WHERE name = 1", SqlState::UNDEFINED_FUNCTION),
    ] {
        let error = client.prepare(sql).await.err();
        if error.as_ref().and_then(|error| error.code()) != Some(&code) {
            differ.push(format!("{sql}: {error:?}"));
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
    let statement = client.prepare("SELECT id, 1 FROM tp_inferred").await?;
    assert!(statement.columns()[0].table_oid().is_some() && statement.columns()[0].column_id() == Some(1));
    assert_eq!((statement.columns()[1].table_oid(), statement.columns()[1].column_id()), (None, None));
    let statement = client.prepare("SELECT name, price, embedding FROM tp_inferred").await?;
    let modifiers: Vec<_> = statement.columns().iter().map(|column| column.type_modifier()).collect();
    assert_eq!(modifiers, [24, (10 << 16 | 2) + 4, 3]);

    let typed = client.prepare_typed("SELECT $1", &[Type::INT8]).await?;
    assert_eq!(client.query_one(&typed, &[&7_i64]).await?.get::<_, i64>(0), 7);
    let rows = client.query_typed("SELECT $1 * $2", &[(&6_i32, Type::INT4), (&7_i32, Type::INT4)]).await?;
    assert_eq!(rows[0].get::<_, i32>(0), 42);
    assert_eq!(
        client.execute_typed("DELETE FROM tp_inferred WHERE id = $1", &[(&1_i64, Type::INT8)]).await?,
        0
    );
    let error = client.query("SELECT $1::int", &[&"text"]).await.unwrap_err();
    assert!(error.to_string().contains("error serializing parameter 0"), "{error}");
    Ok(())
}
