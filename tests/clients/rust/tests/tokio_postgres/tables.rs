//! Tables: searches by every distance, COPY, what writing answers, errors by SQLSTATE and constraint, the catalogue.

use std::collections::HashMap;
use std::pin::pin;

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, pin_mut};
use hither_clients::Done;
use pgvector::{Bit, HalfVector, SparseVector, Vector};
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::start;

#[tokio::test]
async fn nearest_neighbours_by_every_distance() -> Done {
    let client = start(
        "DROP TABLE IF EXISTS tp_items;
         CREATE TABLE tp_items (id bigint PRIMARY KEY, kind text NOT NULL, dense vector(3), half halfvec(3),
                                sparse sparsevec(3), bits bit(8))",
    )
    .await?;
    // COPY has no parameters: the types of pgvector come from a statement that has the columns.
    let like = client.prepare("SELECT id, kind, dense, half, sparse, bits FROM tp_items").await?;
    let types: Vec<Type> = like.columns().iter().map(|column| column.type_().clone()).collect();
    let sink = client
        .copy_in("COPY tp_items (id, kind, dense, half, sparse, bits) FROM STDIN WITH (FORMAT binary)")
        .await?;
    let writer = BinaryCopyInWriter::new(sink, &types);
    pin_mut!(writer);
    for id in 0..1000_i64 {
        let kind = if id % 10 == 0 { "ten" } else { "other" };
        let point = [id as f32, (id % 7) as f32, 1.0];
        writer
            .as_mut()
            .write(&[
                &id,
                &kind,
                &Vector::from(point.to_vec()),
                &HalfVector::from_f32_slice(&point),
                &SparseVector::from_dense(&point),
                &Bit::from_bytes(&[(id % 256) as u8]),
            ])
            .await?;
    }
    assert_eq!(writer.finish().await?, 1000);

    client.batch_execute("CREATE INDEX ON tp_items USING hnsw (dense vector_l2_ops)").await?;
    client.batch_execute("SET hnsw.ef_search = 100").await?;
    let query = [500.0, 3.0, 1.0];
    let (dense, half) = (Vector::from(query.to_vec()), HalfVector::from_f32_slice(&query));
    let sparse = SparseVector::from_dense(&query);
    for (column, query) in [("dense", &dense as &(dyn ToSql + Sync)), ("half", &half), ("sparse", &sparse)] {
        for (operator, function) in [
            ("<->", format!("l2_distance({column}, $1)")),
            ("<#>", format!("-inner_product({column}, $1)")),
            ("<=>", format!("cosine_distance({column}, $1)")),
            ("<+>", format!("l1_distance({column}, $1)")),
        ] {
            let nearest = client
                .prepare(&format!(
                    "SELECT id, {column} {operator} $1 AS distance FROM tp_items WHERE kind = $2
                     ORDER BY {column} {operator} $1 LIMIT 5"
                ))
                .await?;
            assert_eq!(
                nearest.params()[0].name(),
                like.columns().iter().find(|c| c.name() == column).unwrap().type_().name()
            );
            assert_eq!((nearest.params()[1].name(), nearest.columns()[1].type_().name()), ("text", "float8"));
            let rows = client.query(&nearest, &[query, &"ten"]).await?;
            let got: Vec<(i64, f64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            let rows = client
                .query(
                    &format!("SELECT id, {function} AS d FROM tp_items WHERE kind = $2 ORDER BY d, id"),
                    &[query, &"ten"],
                )
                .await?;
            let all: HashMap<i64, f64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            let best: Vec<f64> = rows.iter().take(5).map(|row| row.get(1)).collect();
            let distances: Vec<f64> = got.iter().map(|(_, distance)| *distance).collect();
            assert_eq!(distances, best, "{column} {operator}");
            assert!(got.iter().all(|(id, distance)| id % 10 == 0 && all[id] == *distance));
        }
    }
    for operator in ["<~>", "<%>"] {
        let rows = client
            .query(
                &format!(
                    "SELECT id, bits {operator} $1 AS distance FROM tp_items WHERE id < 256 ORDER BY distance, id LIMIT 3"
                ),
                &[&Bit::from_bytes(&[0b0000_0111])],
            )
            .await?;
        let got: Vec<(i64, f64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let expected = if operator == "<~>" {
            [(7, 0.0), (3, 1.0), (5, 1.0)]
        } else {
            [(7, 0.0), (15, 0.25), (23, 0.25)]
        };
        assert_eq!(got, expected, "{operator}");
    }
    Ok(())
}

#[tokio::test]
async fn update_delete_upsert_and_lists() -> Done {
    let client = start(
        "DROP TABLE IF EXISTS tp_written;
         CREATE TABLE tp_written (id bigserial PRIMARY KEY, kind text, n int NOT NULL DEFAULT 0, embedding vector(2))",
    )
    .await?;
    let kinds = ["a", "b", "c"];
    let embeddings: Vec<Vector> = (0..3).map(|i| Vector::from(vec![i as f32, 1.0])).collect();
    let many = "INSERT INTO tp_written (kind, embedding) SELECT * FROM unnest($1::text[], $2::vector[])";
    assert_eq!(client.execute(many, &[&&kinds[..], &embeddings]).await?, 3);
    let row = client
        .query_one(
            "UPDATE tp_written SET n = n + $1, embedding = $2 WHERE id = $3 RETURNING *",
            &[&5_i32, &Vector::from(vec![9.0, 9.0]), &2_i64],
        )
        .await?;
    assert_eq!(
        (row.get::<_, i32>("n"), row.get::<_, Vector>("embedding")),
        (5, Vector::from(vec![9.0, 9.0]))
    );
    let upsert = client
        .prepare(
            "INSERT INTO tp_written AS w (id, kind, n) VALUES ($1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, n = w.n + excluded.n RETURNING n",
        )
        .await?;
    assert_eq!(client.query_one(&upsert, &[&2_i64, &"z", &10_i32]).await?.get::<_, i32>(0), 15);
    assert_eq!(client.query_one(&upsert, &[&50_i64, &"new", &1_i32]).await?.get::<_, i32>(0), 1);
    let skipped = client
        .query_opt("INSERT INTO tp_written (id) VALUES (50) ON CONFLICT DO NOTHING RETURNING id", &[])
        .await?;
    assert!(skipped.is_none());
    let found = client
        .query(
            "SELECT id FROM tp_written WHERE kind = ANY($1) ORDER BY id DESC",
            &[&vec!["a", "z", "nobody"]],
        )
        .await?;
    assert_eq!(found.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(client.execute("DELETE FROM tp_written WHERE id <> ALL($1)", &[&vec![1_i64]]).await?, 3);
    assert_eq!(client.execute("DELETE FROM tp_written", &[]).await?, 1);
    let error = client.query_one("SELECT * FROM tp_written", &[]).await.unwrap_err();
    assert!(error.to_string().contains("unexpected number of rows"), "{error}");
    Ok(())
}

#[tokio::test]
async fn copy_out_and_failures_of_copy() -> Done {
    let client = start(
        "DROP TABLE IF EXISTS tp_copied;
         CREATE TABLE tp_copied (id int PRIMARY KEY, kind text, embedding vector(2))",
    )
    .await?;
    let sink = client.copy_in("COPY tp_copied FROM STDIN").await?;
    pin_mut!(sink);
    sink.send(Bytes::from_static(b"1\ttab\\tand\\nline\t[1,2]\n2\t")).await?;
    sink.send(Bytes::from_static(b"\\N\t\\N\n")).await?;
    assert_eq!(sink.finish().await?, 2);

    let vector = client.prepare("SELECT embedding FROM tp_copied").await?.columns()[0].type_().clone();
    let stream = client.copy_out("COPY tp_copied TO STDOUT (FORMAT binary)").await?;
    let rows: Vec<_> =
        BinaryCopyOutStream::new(stream, &[Type::INT4, Type::TEXT, vector]).try_collect().await?;
    assert_eq!((rows[0].get::<i32>(0), rows[0].get::<&str>(1)), (1, "tab\tand\nline"));
    assert_eq!(rows[0].get::<Vector>(2), Vector::from(vec![1.0, 2.0]));
    assert_eq!((rows[1].get::<Option<&str>>(1), rows[1].get::<Option<Vector>>(2)), (None, None));
    let stream =
        client.copy_out("COPY (SELECT id, kind FROM tp_copied ORDER BY id) TO STDOUT (FORMAT csv, HEADER)");
    let csv: Vec<Bytes> = stream.await?.try_collect().await?;
    assert_eq!(csv.concat(), b"id,kind\n1,\"tab\tand\nline\"\n2,\n");

    for (data, code) in [
        ("3\tx\t[1,2,3]\n", SqlState::DATA_EXCEPTION),
        ("1\tx\t[1,2]\n", SqlState::UNIQUE_VIOLATION),
        ("x\tx\t[1,2]\n", SqlState::INVALID_TEXT_REPRESENTATION),
        ("4\tx\n", SqlState::BAD_COPY_FILE_FORMAT),
    ] {
        let sink = client.copy_in("COPY tp_copied FROM STDIN").await?;
        pin_mut!(sink);
        sink.send(Bytes::from(format!("5\tfirst\t[0,0]\n{data}"))).await?;
        let error = sink.finish().await.unwrap_err();
        assert_eq!(error.code(), Some(&code), "{data}");
    }
    {
        // Dropped before its end, a COPY is taken back.
        let mut sink = pin!(client.copy_in("COPY tp_copied FROM STDIN").await?);
        sink.send(Bytes::from_static(b"6\tlost\t[0,0]\n")).await?;
    }
    assert_eq!(client.query_one("SELECT count(*) FROM tp_copied", &[]).await?.get::<_, i64>(0), 2);
    let error = client.copy_in::<_, Bytes>("COPY tp_nowhere FROM STDIN").await.err().unwrap();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE));
    Ok(())
}

#[tokio::test]
async fn errors_by_sqlstate_and_constraint() -> Done {
    let client = start(
        "DROP TABLE IF EXISTS tp_children; DROP TABLE IF EXISTS tp_parents;
         CREATE TABLE tp_parents (id int PRIMARY KEY, name text UNIQUE, age int CONSTRAINT tp_grown_up CHECK (age > 17),
                                  embedding vector(3) NOT NULL);
         CREATE TABLE tp_children (id int PRIMARY KEY, parent int REFERENCES tp_parents);
         INSERT INTO tp_parents VALUES (1, 'Ada', 36, '[1,2,3]'); INSERT INTO tp_children VALUES (1, 1)",
    )
    .await?;
    for (sql, code, constraint, column) in [
        (
            "INSERT INTO tp_parents VALUES (1, 'x', 20, '[1,2,3]')",
            SqlState::UNIQUE_VIOLATION,
            Some("tp_parents_pkey"),
            None,
        ),
        (
            "INSERT INTO tp_parents VALUES (2, 'Ada', 20, '[1,2,3]')",
            SqlState::UNIQUE_VIOLATION,
            Some("tp_parents_name_key"),
            None,
        ),
        (
            "INSERT INTO tp_parents VALUES (2, 'x', 7, '[1,2,3]')",
            SqlState::CHECK_VIOLATION,
            Some("tp_grown_up"),
            None,
        ),
        (
            "INSERT INTO tp_parents VALUES (2, 'x', 20, NULL)",
            SqlState::NOT_NULL_VIOLATION,
            None,
            Some("embedding"),
        ),
        (
            "INSERT INTO tp_children VALUES (2, 9)",
            SqlState::FOREIGN_KEY_VIOLATION,
            Some("tp_children_parent_fkey"),
            None,
        ),
        ("DELETE FROM tp_parents", SqlState::FOREIGN_KEY_VIOLATION, Some("tp_children_parent_fkey"), None),
        ("INSERT INTO tp_parents VALUES (2, 'x', 20, '[1,2]')", SqlState::DATA_EXCEPTION, None, None),
        ("INSERT INTO tp_parents VALUES (2, 'x', 20, '[1,nan,2]')", SqlState::DATA_EXCEPTION, None, None),
        ("SELECT 1 / 0", SqlState::DIVISION_BY_ZERO, None, None),
        ("SELECT * FROM tp_nowhere", SqlState::UNDEFINED_TABLE, None, None),
        ("SELECT nothing FROM tp_parents", SqlState::UNDEFINED_COLUMN, None, None),
        ("SELECT nothing()", SqlState::UNDEFINED_FUNCTION, None, None),
        ("SELECT 'x'::nothing", SqlState::UNDEFINED_OBJECT, None, None),
        ("SELECT 'x'::int", SqlState::INVALID_TEXT_REPRESENTATION, None, None),
        ("SELECT 3000000000::int", SqlState::NUMERIC_VALUE_OUT_OF_RANGE, None, None),
        ("SELECT '2024-13-01'::date", SqlState::DATETIME_FIELD_OVERFLOW, None, None),
        ("SELEC", SqlState::SYNTAX_ERROR, None, None),
        ("CREATE TABLE tp_parents (id int)", SqlState::DUPLICATE_TABLE, None, None),
        ("ALTER TABLE tp_parents ADD name text", SqlState::DUPLICATE_COLUMN, None, None),
        ("SELECT age, count(*) FROM tp_parents", SqlState::GROUPING_ERROR, None, None),
    ] {
        let error = client.execute(sql, &[]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code(), &code, "{sql}: {error:?}");
        assert_eq!((error.constraint(), error.column()), (constraint, column), "{sql}");
    }
    let error =
        client.execute("INSERT INTO tp_parents VALUES (1, 'x', 20, '[1,2,3]')", &[]).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.message(), "duplicate key value violates unique constraint \"tp_parents_pkey\"");
    assert_eq!(error.detail(), Some("Key (id)=(1) already exists."));
    assert_eq!(
        (error.severity(), error.schema(), error.table()),
        ("ERROR", Some("public"), Some("tp_parents"))
    );
    let error = client.execute("SELECT * FROM tp_nowhere", &[]).await.unwrap_err();
    let position = error.as_db_error().unwrap().position();
    assert_eq!(position, Some(&tokio_postgres::error::ErrorPosition::Original(15)));
    let error =
        client.execute("INSERT INTO tp_parents VALUES (2, 'x', 20, $1)", &[&Vector::from(vec![1.0])]).await;
    assert_eq!(error.unwrap_err().as_db_error().unwrap().message(), "expected 3 dimensions, not 1");
    Ok(())
}

#[tokio::test]
async fn what_is_there() -> Done {
    let client = start(
        "DROP TABLE IF EXISTS tp_shown;
         CREATE TABLE tp_shown (id bigserial PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', price numeric(10, 2),
                                embedding vector(3), UNIQUE (name, price));
         COMMENT ON TABLE tp_shown IS 'a table'; COMMENT ON COLUMN tp_shown.name IS 'a column';
         CREATE INDEX tp_shown_embedding ON tp_shown USING hnsw (embedding vector_cosine_ops) WITH (m = 8)",
    )
    .await?;
    let rows = client
        .query(
            "SELECT column_name::text, data_type::text, udt_name::text, is_nullable::text, column_default::text,
                    character_maximum_length::int, numeric_precision::int, numeric_scale::int, ordinal_position::int
             FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position",
            &[&"tp_shown"],
        )
        .await?;
    let texts: Vec<Vec<Option<&str>>> = rows.iter().map(|row| (0..5).map(|i| row.get(i)).collect()).collect();
    assert_eq!(
        texts,
        [
            [
                Some("id"),
                Some("bigint"),
                Some("int8"),
                Some("NO"),
                Some("nextval('tp_shown_id_seq'::regclass)")
            ],
            [
                Some("name"),
                Some("character varying"),
                Some("varchar"),
                Some("NO"),
                Some("'x'::character varying")
            ],
            [Some("price"), Some("numeric"), Some("numeric"), Some("YES"), None],
            [Some("embedding"), Some("USER-DEFINED"), Some("vector"), Some("YES"), None],
        ]
    );
    let numbers: Vec<Vec<Option<i32>>> =
        rows.iter().map(|row| (5..9).map(|i| row.get(i)).collect()).collect();
    assert_eq!(
        numbers,
        [
            [None, Some(64), Some(0), Some(1)],
            [Some(20), None, None, Some(2)],
            [None, Some(10), Some(2), Some(3)],
            [None, None, None, Some(4)]
        ]
    );
    let rows = client
        .query(
            "SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum)
             FROM pg_attribute WHERE attrelid = 'tp_shown'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            &[],
        )
        .await?;
    let shown: Vec<(&str, &str, Option<&str>)> =
        rows.iter().map(|r| (r.get(0), r.get(1), r.get(2))).collect();
    assert_eq!(
        shown,
        [
            ("id", "bigint", None),
            ("name", "character varying(20)", Some("a column")),
            ("price", "numeric(10,2)", None),
            ("embedding", "vector(3)", None)
        ]
    );
    let rows = client
        .query(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'tp_shown' ORDER BY indexname",
            &[],
        )
        .await?;
    let indexes: Vec<(&str, &str)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(
        indexes,
        [
            (
                "tp_shown_embedding",
                "CREATE INDEX tp_shown_embedding ON public.tp_shown USING hnsw (embedding vector_cosine_ops) WITH (m='8')"
            ),
            (
                "tp_shown_name_price_key",
                "CREATE UNIQUE INDEX tp_shown_name_price_key ON public.tp_shown USING btree (name, price)"
            ),
            ("tp_shown_pkey", "CREATE UNIQUE INDEX tp_shown_pkey ON public.tp_shown USING btree (id)"),
        ]
    );
    let rows = client
        .query(
            "SELECT conname, contype, pg_get_constraintdef(oid), conkey FROM pg_constraint
             WHERE conrelid = 'tp_shown'::regclass ORDER BY conname",
            &[],
        )
        .await?;
    let constraints: Vec<(&str, i8, &str, Vec<i16>)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    assert_eq!(
        constraints,
        [
            ("tp_shown_name_price_key", b'u' as i8, "UNIQUE (name, price)", vec![2, 3]),
            ("tp_shown_pkey", b'p' as i8, "PRIMARY KEY (id)", vec![1])
        ]
    );
    let row = client
        .query_one(
            "SELECT obj_description('tp_shown'::regclass), to_regclass('tp_nowhere')::oid, current_schema()::text,
                    pg_get_serial_sequence('tp_shown', 'id'), (SELECT extname FROM pg_extension WHERE extname = 'vector')",
            &[],
        )
        .await?;
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, Option<u32>>(1), row.get::<_, &str>(2)),
        ("a table", None, "public")
    );
    assert_eq!((row.get::<_, &str>(3), row.get::<_, &str>(4)), ("public.tp_shown_id_seq", "vector"));
    Ok(())
}
