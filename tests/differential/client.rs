//! A client that speaks the simple protocol and nothing else, so that every answer is seen: also the ones after COPY,
//! those of a server that closes, and none at all.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a server answers: its rows in order of their text, or a SQLSTATE and the message.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Rows(Vec<String>),
    Error(String, String),
    Lost,
    Silent,
}

/// Longer than any statement runs: both servers have a statement_timeout of less.
const SILENCE: Duration = Duration::from_secs(20);

pub struct Client {
    stream: TcpStream,
    url: Url,
    /// Read and not yet used.
    bytes: Vec<u8>,
}

/// The part of `postgres://user@host:port/database` that is needed where every client is trusted.
#[derive(Clone)]
pub struct Url {
    pub address: SocketAddr,
    pub database: String,
}

impl Url {
    pub fn parse(text: &str) -> Url {
        let rest = text.strip_prefix("postgres://postgres@").expect("postgres://postgres@host:port/database");
        let (address, database) = rest.split_once('/').expect("a database");
        Url { address: address.parse().expect("an address and a port"), database: database.to_owned() }
    }
}

impl Client {
    pub fn open(url: &Url) -> Client {
        let stream = TcpStream::connect(url.address).expect("a connection");
        stream.set_read_timeout(Some(SILENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        let mut client = Client { stream, url: url.clone(), bytes: Vec::new() };
        let parameters = [&b"user\0postgres\0database\0"[..], url.database.as_bytes(), b"\0\0"].concat();
        let length = (8 + parameters.len()) as u32;
        let version = 3u32 << 16;
        let startup = [&length.to_be_bytes()[..], &version.to_be_bytes(), &parameters].concat();
        assert_eq!(client.exchange(&startup), Answer::Rows(Vec::new()), "{} lets us in", url.database);
        client
    }

    pub fn ask(&mut self, sql: &str) -> Answer {
        let length = (sql.len() + 5) as u32;
        let message = [&b"Q"[..], &length.to_be_bytes(), sql.as_bytes(), b"\0"].concat();
        self.exchange(&message)
    }

    /// A new session in the place of this one.
    pub fn reopen(&mut self) {
        *self = Client::open(&self.url.clone());
    }

    fn exchange(&mut self, message: &[u8]) -> Answer {
        let answered = self.stream.write_all(message).and_then(|()| self.answer());
        answered.unwrap_or_else(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Answer::Silent,
            _ => Answer::Lost,
        })
    }

    /// Everything up to ReadyForQuery. A COPY FROM STDIN is told that there is nothing to copy.
    fn answer(&mut self) -> std::io::Result<Answer> {
        let (mut rows, mut error) = (Vec::new(), None);
        loop {
            let (kind, body) = self.message()?;
            match kind {
                b'D' => rows.push(row(&body)),
                b'd' => rows.push(String::from_utf8_lossy(&body).into_owned()),
                b'E' => {
                    let (state, message) = (field(&body, b'C'), field(&body, b'M'));
                    if field(&body, b'S') == "FATAL" {
                        return Ok(Answer::Error(state, message));
                    }
                    error = Some(Answer::Error(state, message));
                }
                b'G' => self.stream.write_all(b"f\0\0\0\x05\0")?,
                b'Z' => break,
                _ => {}
            }
        }
        rows.sort();
        Ok(error.unwrap_or(Answer::Rows(rows)))
    }

    fn message(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        self.fill(5)?;
        let length =
            u32::from_be_bytes([self.bytes[1], self.bytes[2], self.bytes[3], self.bytes[4]]) as usize;
        self.fill(length + 1)?;
        let kind = self.bytes[0];
        let body = self.bytes[5..=length].to_vec();
        self.bytes.drain(..=length);
        Ok((kind, body))
    }

    fn fill(&mut self, least: usize) -> std::io::Result<()> {
        let mut piece = [0; 16 << 10];
        while self.bytes.len() < least {
            match self.stream.read(&mut piece)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.bytes.extend_from_slice(&piece[..count]),
            }
        }
        Ok(())
    }
}

fn row(body: &[u8]) -> String {
    let mut cells = Vec::new();
    let mut rest = &body[2..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length);
        let (cell, after) = after.split_at(usize::try_from(length).unwrap_or(0));
        cells.push(if length < 0 { "NULL".into() } else { String::from_utf8_lossy(cell) });
        rest = after;
    }
    cells.join("|")
}

fn field(body: &[u8], letter: u8) -> String {
    let found = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&letter));
    String::from_utf8_lossy(found.map_or(&[], |field| &field[1..])).into_owned()
}
