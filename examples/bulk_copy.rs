//! Loads vectors by COPY BINARY, the fastest way in, and asks a prepared question about them.
//!
//!     cargo run --example bulk_copy -- postgres://postgres@127.0.0.1:5432/postgres

use bytes::{BufMut, Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Error, NoTls};

const DIMENSIONS: usize = 32;
const ROWS: i64 = 10_000;

/// pgvector's binary form: dimensions, an unused word, big-endian components.
#[derive(Debug)]
struct Vector(Vec<f32>);

impl Vector {
    fn put(&self, out: &mut BytesMut) {
        out.put_u16(self.0.len() as u16);
        out.put_u16(0);
        self.0.iter().for_each(|component| out.put_f32(*component));
    }
}

impl ToSql for Vector {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.put(out);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        ty.name() == "vector"
    }

    to_sql_checked!();
}

/// Points on a spiral: neighbours by number are neighbours in space.
fn point(id: i64) -> Vector {
    let angle = id as f32 / 100.0;
    Vector((0..DIMENSIONS).map(|i| (angle * (i + 1) as f32 / 8.0).sin()).collect())
}

/// One row of COPY BINARY: the number of fields, then each with its length.
fn put_row(id: i64, out: &mut BytesMut) {
    out.put_i16(2);
    out.put_i32(8);
    out.put_i64(id);
    out.put_i32(4 + 4 * DIMENSIONS as i32);
    point(id).put(out);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute(&format!(
            "CREATE EXTENSION IF NOT EXISTS vector;
             DROP TABLE IF EXISTS points;
             CREATE TABLE points (id bigint PRIMARY KEY, embedding vector({DIMENSIONS}))"
        ))
        .await?;

    let start = std::time::Instant::now();
    let sink = client.copy_in::<_, Bytes>("COPY points FROM STDIN WITH (FORMAT binary)").await?;
    let mut sink = std::pin::pin!(sink);
    let mut buffer = BytesMut::from(&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..]);
    for id in 0..ROWS {
        put_row(id, &mut buffer);
        if buffer.len() > 64 << 10 {
            sink.send(buffer.split().freeze()).await?;
        }
    }
    buffer.put_i16(-1);
    sink.send(buffer.freeze()).await?;
    let rows = sink.finish().await?;
    println!("{rows} rows in {} ms", start.elapsed().as_millis());

    client.batch_execute("CREATE INDEX ON points USING hnsw (embedding vector_l2_ops)").await?;
    let nearest =
        client.prepare("SELECT id FROM points WHERE id <> $2 ORDER BY embedding <-> $1 LIMIT 4").await?;
    for id in [100, 5000] {
        let rows = client.query(&nearest, &[&point(id), &id]).await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        println!("nearest to {id}: {ids:?}");
    }
    Ok(())
}
