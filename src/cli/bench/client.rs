//! A connection of the benchmark: tokio-postgres, with vectors in pgvector's binary form.
//!
//! Each connection has a thread and a runtime of its own, so that clients do not wait for each other and no answer
//! hops between threads.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{Client, Row, Statement};

use crate::cli::client::{connect, wrap};
use crate::error::{Error, Result};

/// A connection that is used from one thread.
pub struct Connection {
    runtime: Runtime,
    client: Client,
}

/// A parameter already in its binary form.
#[derive(Clone, Debug)]
pub struct Raw(pub Bytes);

impl ToSql for Raw {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }

    tokio_postgres::types::to_sql_checked!();
}

/// pgvector's vector_recv: dimensions, an unused word, big-endian components.
pub fn vector(components: &[f32]) -> Raw {
    let mut bytes = BytesMut::with_capacity(4 + components.len() * 4);
    put_vector(components, &mut bytes);
    Raw(bytes.freeze())
}

pub fn put_vector(components: &[f32], out: &mut BytesMut) {
    out.put_i16(components.len() as i16);
    out.put_i16(0);
    for component in components {
        out.put_f32(*component);
    }
}

impl Connection {
    /// `settings` are `name = value` texts.
    pub fn open(url: &str, settings: &[String]) -> Result<Connection> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::io("start a runtime for", "a connection", &error))?;
        let client = runtime.block_on(connect(url))?;
        let connection = Connection { runtime, client };
        for setting in settings {
            connection.run(&format!("SET {setting}"))?;
        }
        Ok(connection)
    }

    /// Statements without results.
    pub fn run(&self, sql: &str) -> Result<()> {
        self.runtime
            .block_on(self.client.batch_execute(sql))
            .map_err(|error| wrap(error).context(sql.to_owned()))
    }

    /// The first cell of the answer as text.
    pub fn text(&self, sql: &str) -> Result<Option<String>> {
        let messages = self.runtime.block_on(self.client.simple_query(sql)).map_err(wrap)?;
        Ok(messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    pub fn prepare(&self, sql: &str) -> Result<Statement> {
        self.runtime.block_on(self.client.prepare(sql)).map_err(|error| wrap(error).context(sql.to_owned()))
    }

    pub fn query(&self, statement: &Statement, params: &[Raw]) -> Result<Vec<Row>> {
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
        self.runtime.block_on(self.client.query(statement, &params)).map_err(wrap)
    }

    /// `COPY ... FROM STDIN` with the chunks that `next` gives; the number of rows copied.
    pub fn copy_in(&self, sql: &str, mut next: impl FnMut() -> Option<Bytes>) -> Result<u64> {
        self.runtime
            .block_on(async {
                let sink = self.client.copy_in::<_, Bytes>(sql).await?;
                let mut sink = std::pin::pin!(sink);
                while let Some(chunk) = next() {
                    futures::SinkExt::feed(&mut sink, chunk).await?;
                }
                sink.finish().await
            })
            .map_err(wrap)
    }
}
