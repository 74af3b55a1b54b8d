//! COPY in both directions and three formats.

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, TryStreamExt};
use tokio_postgres::Client;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::types::Type;

use crate::queries::Vector;
use crate::{House, state};

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
