//! The real server as a process of its own, and rows of vectors for it.

#![allow(dead_code, reason = "each user needs a part")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::{BufMut, Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::{Client, NoTls};

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A running server; killed when dropped.
pub struct Server {
    process: Child,
    /// `postgres://postgres@127.0.0.1:40123/postgres`
    pub address: String,
}

impl Server {
    /// With further arguments of `hither serve`.
    pub fn start(data: &Path, options: &[&str]) -> Server {
        let mut process = Command::new(env!("CARGO_BIN_EXE_hither"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let output = BufReader::new(process.stdout.take().expect("piped above"));
        let ready = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("ready: ")?.1.to_owned()));
        Server { process, address: ready.expect("the server says that it is ready") }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub async fn connect(&self) -> Outcome<Client> {
        let (client, connection) = tokio_postgres::connect(&self.address, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub fn kill(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        // `Child::kill` is SIGKILL.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Dimensions of the rows' vectors.
pub const DIMENSIONS: usize = 128;
/// Rows of a COPY, each a transaction.
pub const BATCH: u64 = 2_000;

pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The vector of a row: near one of 1,000 centres.
pub fn vector(row: u64) -> [f32; DIMENSIONS] {
    let unit = |seed: u64| (mix(seed) >> 40) as f32 / (1 << 24) as f32;
    std::array::from_fn(|axis| {
        let axis = axis as u64;
        4.0 * unit(row % 1_000 * 1_000 + axis) + unit(row << 20 | axis)
    })
}

/// COPY ... (FORMAT binary) of one batch into `t (id bigint, v vector, note bytea)`, or without the note when it has no bytes.
pub async fn copy(client: &Client, first: u64, note_bytes: usize) -> Outcome<()> {
    let mut bytes = BytesMut::from(&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..]);
    for row in first..first + BATCH {
        bytes.put_i16(if note_bytes > 0 { 3 } else { 2 });
        bytes.put_i32(8);
        bytes.put_u64(row);
        bytes.put_i32(4 + 4 * DIMENSIONS as i32);
        bytes.put_i16(DIMENSIONS as i16);
        bytes.put_i16(0);
        vector(row).into_iter().for_each(|element| bytes.put_f32(element));
        if note_bytes > 0 {
            bytes.put_i32(note_bytes as i32);
            let end = bytes.len() + note_bytes;
            // What cannot be packed: the budget is for bytes that are there.
            (0..).take(note_bytes.div_ceil(8)).for_each(|at| bytes.put_u64(mix(row << 20 | at)));
            bytes.truncate(end);
        }
    }
    bytes.put_i16(-1);
    let sink = client.copy_in::<_, Bytes>("COPY t FROM STDIN (FORMAT binary)").await?;
    let mut sink = std::pin::pin!(sink);
    sink.send(bytes.freeze()).await?;
    sink.as_mut().finish().await?;
    Ok(())
}

pub async fn nearest(client: &Client, row: u64) -> Outcome<Option<i64>> {
    let elements: Vec<String> = vector(row).iter().map(f32::to_string).collect();
    let sql = format!("SELECT id FROM t ORDER BY v <-> '[{}]' LIMIT 10", elements.join(","));
    let rows = client.query(&sql, &[]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}
