//! COPY in both directions and three formats.

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, TryStreamExt};
use tokio_postgres::Client;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::types::Type;

use crate::frames::{Raw, frame, query};
use crate::queries::Vector;
use crate::{House, message, state};

async fn table(house: &House) -> Client {
    let client = house.connect().await;
    client
        .batch_execute("CREATE TABLE t (id int8 PRIMARY KEY, name text, embedding vector(2))")
        .await
        .expect("a table");
    client
}

/// Sends `data` in pieces of `step` bytes.
async fn copy_in(client: &Client, sql: &str, data: &str, step: usize) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in::<_, Bytes>(sql).await?;
    let mut sink = std::pin::pin!(sink);
    for piece in data.as_bytes().chunks(step) {
        sink.send(Bytes::copy_from_slice(piece)).await?;
    }
    sink.finish().await
}

async fn copy_out(client: &Client, sql: &str) -> String {
    let stream = client.copy_out(sql).await.expect("a stream");
    let bytes = stream
        .try_fold(BytesMut::new(), async |mut all, piece| {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
        .expect("the whole stream");
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn text_and_csv_come_back_as_they_went() {
    House::new().run(async |house| {
        let client = table(&house).await;
        let text = "1\ta\\tb\t[1,2]\n2\t\\N\t\\N\n3\tü\t[0.5,-1]\n";
        // One byte at a time: rows are cut anywhere.
        for step in [1, 7, 1000] {
            client.batch_execute("TRUNCATE t").await.expect("an empty table");
            assert_eq!(copy_in(&client, "COPY t FROM STDIN", text, step).await.expect("rows"), 3);
            assert_eq!(copy_out(&client, "COPY t TO STDOUT").await, text);
        }
        let csv = copy_out(&client, "COPY t TO STDOUT WITH (FORMAT csv, HEADER)").await;
        assert_eq!(csv, "id,name,embedding\n1,a\tb,\"[1,2]\"\n2,,\n3,ü,\"[0.5,-1]\"\n");
        client.batch_execute("TRUNCATE t").await.expect("an empty table");
        let rows =
            copy_in(&client, "COPY t FROM STDIN WITH (FORMAT csv, HEADER)", &csv, 5).await.expect("rows");
        assert_eq!(rows, 3);
        assert_eq!(copy_out(&client, "COPY (SELECT * FROM t ORDER BY id) TO STDOUT").await, text);
    });
}

#[test]
fn binary_goes_both_ways() {
    House::new().run(async |house| {
        let client = table(&house).await;
        let vector = client.prepare("SELECT embedding FROM t").await.expect("a statement").columns()[0]
            .type_()
            .clone();
        let types = [Type::INT8, Type::TEXT, vector];
        let sink = client.copy_in("COPY t FROM STDIN WITH (FORMAT binary)").await.expect("a sink");
        let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &types));
        for id in 0..5000i64 {
            let name = (id % 3 > 0).then(|| format!("name {id}"));
            let row = Vector(vec![id as f32, 1.0]);
            writer.as_mut().write(&[&id, &name, &row]).await.expect("a row");
        }
        assert_eq!(writer.finish().await.expect("the rows"), 5000);
        let stream = client
            .copy_out("COPY (SELECT * FROM t ORDER BY id) TO STDOUT WITH (FORMAT binary)")
            .await
            .expect("a stream");
        let rows: Vec<_> = BinaryCopyOutStream::new(stream, &types).try_collect().await.expect("rows");
        assert_eq!(rows.len(), 5000);
        for (id, row) in rows.iter().enumerate() {
            assert_eq!(row.get::<i64>(0), id as i64);
            assert_eq!(row.get::<Option<&str>>(1).is_none(), id % 3 == 0);
            assert_eq!(row.get::<Vector>(2), Vector(vec![id as f32, 1.0]));
        }
    });
}

#[test]
fn broken_data_is_refused_with_its_line_and_leaves_nothing() {
    House::new().run(async |house| {
        let client = table(&house).await;
        for (data, expected) in [
            ("1\ta\t[1,2]\n2\tb\n", "22P04"),
            ("1\ta\t[1,2]\nx\tb\t[1,2]\n", "22P02"),
            ("1\ta\t[1,2,3]\n", "22000"),
            ("1\ta\t[1,2]\n1\tb\t[1,2]\n", "23505"),
        ] {
            let error = copy_in(&client, "COPY t FROM STDIN", data, 3).await.expect_err(data);
            assert_eq!(state(&error), expected, "{error:?}");
            let told = error.as_db_error().expect("an error of the server");
            assert!(told.where_().is_some_and(|place| place.starts_with("COPY t, line ")), "{told:?}");
            let count = client.query_one("SELECT count(*) FROM t", &[]).await.expect("a count");
            assert_eq!(count.get::<_, i64>(0), 0);
        }
    });
}

#[test]
fn rows_that_where_leaves_out_may_break_any_constraint() {
    House::new().run(async |house| {
        let client = table(&house).await;
        let create = "CREATE TABLE parts (id int CHECK (id < 100), k int NOT NULL) PARTITION BY LIST (k);
            CREATE TABLE one PARTITION OF parts FOR VALUES IN (1)";
        client.batch_execute(create).await.expect("tables");
        let data = "6\t1\n7\t2\n500\t3\n8\t\\N\n9\t1\n";
        let copied = copy_in(&client, "COPY parts FROM STDIN WHERE k = 1", data, 100).await;
        assert_eq!(copied.expect("rows of a partition"), 2);
        let copied = copy_in(&client, "COPY one FROM STDIN WHERE k = 1", data, 100).await;
        assert_eq!(copied.expect("rows of the partition"), 2);
        let wrong = "1\t2\n2\t1\n500\t1\n";
        let error = copy_in(&client, "COPY parts FROM STDIN WHERE k = 1", wrong, 100).await.expect_err("500");
        assert_eq!(state(&error), "23514", "{error:?}");
        let told = error.as_db_error().and_then(|told| told.where_()).unwrap_or_default();
        assert!(told.starts_with("COPY parts, line 3"), "{told}");
    });
}

#[test]
fn a_client_that_gives_up_leaves_nothing() {
    House::new().run(async |house| {
        let client = table(&house).await;
        {
            let sink = client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.expect("a sink");
            let mut sink = std::pin::pin!(sink);
            sink.send(Bytes::from_static(b"1\ta\t[1,2]\n")).await.expect("a row sent");
            // Dropped without finish(): tokio-postgres sends CopyFail.
        }
        let count = client.query_one("SELECT count(*) FROM t", &[]).await.expect("a count");
        assert_eq!(count.get::<_, i64>(0), 0);
    });
}

#[test]
fn a_marker_stands_for_the_default() {
    House::new().run(async |house| {
        let client = house.connect().await;
        let table = "CREATE TABLE d (id int, t text DEFAULT 'x', n int GENERATED BY DEFAULT AS IDENTITY, u text, v int DEFAULT 7)";
        client.batch_execute(table).await.expect("a table");
        let rows = "1\t\\D\t\\D\tu\n2\ta\t5\t\\N\n";
        let copy = "COPY d (id, t, n, u) FROM STDIN (DEFAULT '\\D')";
        assert_eq!(copy_in(&client, copy, rows, 3).await.expect("rows"), 2);
        // In quotes it is a text.
        let copy = "COPY d (id, t, u) FROM STDIN (FORMAT csv, DEFAULT '\\D')";
        assert_eq!(copy_in(&client, copy, "3,\\D,\"\\D\"\n", 3).await.expect("a row"), 1);
        let all = copy_out(&client, "COPY (SELECT * FROM d ORDER BY id) TO STDOUT").await;
        assert_eq!(all, "1\tx\t1\tu\t7\n2\ta\t5\t\\N\t7\n3\tx\t2\t\\\\D\t7\n");

        let error = copy_in(&client, "COPY d (id, u) FROM STDIN (DEFAULT '\\D')", "4\t\\D\n", 9).await;
        let error = error.expect_err("no default");
        let error = error.as_db_error().expect("an answer");
        assert_eq!((error.code().code(), error.message()), ("22P04", "unexpected default marker in COPY data"));
        assert_eq!(error.detail(), Some("Column \"u\" has no default value."));
        assert_eq!(error.where_(), Some("COPY d, line 1: \"4\t\\D\""));
        for (options, code, message) in [
            ("FROM STDIN (DEFAULT '\\N')", "22023", "NULL specification and DEFAULT specification cannot be the same"),
            ("FROM STDIN (FORMAT csv, DEFAULT 'a\"b')", "22023", "CSV quote character must not appear in the DEFAULT specification"),
            ("FROM STDIN (FORMAT binary, DEFAULT 'x')", "42601", "cannot specify DEFAULT in BINARY mode"),
            ("TO STDOUT (DEFAULT 'x')", "0A000", "COPY DEFAULT cannot be used with COPY TO"),
            ("TO STDOUT (FORMAT csv, FORMAT text)", "42601", "conflicting or redundant options"),
            ("TO STDOUT (ON_ERROR ignore)", "22023", "COPY ON_ERROR cannot be used with COPY TO"),
            ("FROM STDIN (ON_ERROR skip)", "22023", "COPY ON_ERROR \"skip\" not recognized"),
            ("FROM STDIN (FORMAT binary, ON_ERROR ignore)", "42601", "only ON_ERROR STOP is allowed in BINARY mode"),
            ("FROM STDIN (LOG_VERBOSITY loud)", "22023", "COPY LOG_VERBOSITY \"loud\" not recognized"),
        ] {
            let error = client.batch_execute(&format!("COPY d {options}")).await.expect_err(options);
            let error = error.as_db_error().expect("an answer");
            assert_eq!((error.code().code(), error.message()), (code, message), "{options}");
        }
    });
}

/// The texts of the notices among some answers, with the context if they have one.
fn notices(answers: &[(u8, Vec<u8>)]) -> Vec<String> {
    let text = |body: &[u8]| {
        let fields = body.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned());
        let wanted = fields.filter(|field| field.starts_with(['M', 'W'])).map(|field| field[1..].to_owned());
        wanted.collect::<Vec<_>>().join("; ")
    };
    answers.iter().filter(|(kind, _)| *kind == b'N').map(|(_, body)| text(body)).collect()
}

#[test]
fn rows_with_what_is_no_value_are_left_out_where_asked() {
    House::new().run(async |house| {
        let mut raw = Raw::session(&house);
        raw.send(&query("CREATE DOMAIN even AS int CHECK (value % 2 = 0) NOT NULL; CREATE TABLE t (n int, d date, e even)"));
        raw.until(b'Z');
        let rows = b"1,2024-01-01,2\nx,2024-01-01,2\n3,2024-02-30,2\n4,,4\n5,,5\n6,,\n";
        raw.send(&[query("COPY t FROM STDIN (FORMAT csv, ON_ERROR ignore)"), frame(b'd', rows), frame(b'c', b"")].concat());
        let answers = raw.until(b'Z');
        assert!(answers.contains(&(b'C', b"COPY 2\0".to_vec())), "{answers:?}");
        assert_eq!(notices(&answers), ["4 rows were skipped due to data type incompatibility"]);
        let copy = "COPY t FROM STDIN (FORMAT csv, ON_ERROR 'ignore', LOG_VERBOSITY verbose)";
        raw.send(&[query(copy), frame(b'd', rows), frame(b'c', b"")].concat());
        let answers = raw.until(b'Z');
        let skipped = |line, column, value| {
            format!("skipping row due to data type incompatibility at line {line} for column \"{column}\": {value}; COPY t")
        };
        let expected = [
            skipped(2, "n", "\"x\""),
            skipped(3, "d", "\"2024-02-30\""),
            skipped(5, "e", "\"5\""),
            skipped(6, "e", "null input"),
            "4 rows were skipped due to data type incompatibility".to_owned(),
        ];
        assert_eq!(notices(&answers), expected);
        // Fields that are missing, and what is no text, are errors all the same.
        for rows in [&b"7\n"[..], b"7,\xff,8\n"] {
            let copy = query("COPY t FROM STDIN (FORMAT csv, ON_ERROR ignore)");
            raw.send(&[copy, frame(b'd', rows), frame(b'c', b"")].concat());
            let answers = raw.until(b'Z');
            assert!(answers.iter().any(|(kind, _)| *kind == b'E'), "{rows:?}");
        }
        // What is not in the data is not asked for before it is there.
        raw.send(&query("CREATE TABLE u (a int, b even DEFAULT 6, c even GENERATED ALWAYS AS (2 * a) STORED)"));
        raw.until(b'Z');
        for options in ["(ON_ERROR ignore)", "WHERE a > 0"] {
            let copy = query(&format!("COPY u (a) FROM STDIN {options}"));
            raw.send(&[copy, frame(b'd', b"1\n"), frame(b'c', b"")].concat());
            let answers = raw.until(b'Z');
            assert!(answers.contains(&(b'C', b"COPY 1\0".to_vec())), "{options}: {answers:?}");
        }
        raw.send(&query("SELECT string_agg(u::text, ' ') FROM u"));
        assert!(raw.until(b'Z')[1].1.ends_with(b"(1,6,2) (1,6,2)"));
    });
}

#[test]
fn what_a_change_returns_is_copied() {
    House::new().run(async |house| {
        let client = table(&house).await;
        let copy = "COPY (INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', NULL) RETURNING id, upper(name)) TO STDOUT";
        assert_eq!(copy_out(&client, copy).await, "1\tA\n2\tB\n");
        let copy = "COPY (WITH gone AS (DELETE FROM t WHERE id = 1 RETURNING *) SELECT name FROM gone) TO STDOUT (FORMAT csv, HEADER)";
        assert_eq!(copy_out(&client, copy).await, "name\na\n");
        assert_eq!(copy_out(&client, "COPY (UPDATE t SET name = 'c' RETURNING name) TO STDOUT").await, "c\n");
        for (copy, code, message) in [
            ("COPY (DELETE FROM t) TO STDOUT", "0A000", "COPY query must have a RETURNING clause"),
            ("COPY (SELECT 1 INTO x) TO STDOUT", "0A000", "COPY (SELECT INTO) is not supported"),
            ("COPY (DROP TABLE t) TO STDOUT", "42601", "syntax error at or near \"DROP\""),
        ] {
            let error = client.batch_execute(copy).await.expect_err(copy);
            let error = error.as_db_error().expect("an answer");
            assert_eq!((error.code().code(), error.message()), (code, message), "{copy}");
        }
        let error = client.prepare("COPY (SELECT $1::int) TO STDOUT").await;
        let error = match error {
            Ok(statement) => client.copy_out(&statement).await.err().expect("no parameters"),
            Err(error) => error,
        };
        assert_eq!(error.code().map(|code| code.code()), Some("42P02"));
        client.batch_execute("SET default_transaction_read_only = on").await.expect("a setting");
        let copy = "COPY (DELETE FROM t RETURNING id) TO STDOUT";
        let error = client.batch_execute(copy).await.expect_err("read only");
        assert_eq!(error.code().map(|code| code.code()), Some("25006"));
    });
}

#[test]
fn rows_without_columns_are_empty_lines() {
    House::new().run(async |house| {
        let client = house.connect().await;
        client.batch_execute("CREATE TABLE bare ()").await.expect("a table");
        for (options, data) in [("", "\n\n"), ("WITH (FORMAT csv)", "\n")] {
            let copy = format!("COPY bare FROM STDIN {options}");
            let lines = data.len() as u64;
            assert_eq!(copy_in(&client, &copy, data, 1).await.expect("rows"), lines, "{options}");
        }
        let error = copy_in(&client, "COPY bare FROM STDIN", "x\n", 1).await.expect_err("no column for it");
        assert_eq!((state(&error), message(&error)), ("22P04", "extra data after last expected column"));
        assert_eq!(copy_out(&client, "COPY bare TO STDOUT").await, "\n\n\n");
        assert_eq!(copy_out(&client, "COPY bare TO STDOUT WITH (FORMAT csv)").await, "\n\n\n");
    });
}
