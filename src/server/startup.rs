//! The first packets of a connection, up to AuthenticationOk.
//!
//! ```text
//!   SSLRequest, GSSENCRequest -> 'N', and again (once each)
//!   CancelRequest             -> raises a flag, closes
//!   StartupMessage 3.x        -> NegotiateProtocolVersion when it asks for more than 3.2
//! ```
//!
//! Runs on the listener's thread, with a deadline, so that half-open connections cost little.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Error, Result, SqlState};
use crate::types::binary::utf8;

/// PostgreSQL's MAX_STARTUP_PACKET_LENGTH.
const PACKET_BYTES_MAX: usize = 10_000;
/// PostgreSQL's NAMEDATALEN - 1.
const NAME_BYTES_MAX: usize = 63;
const CANCEL_CODE: u32 = 80_877_102;
const SSL_CODE: u32 = 80_877_103;
const GSS_CODE: u32 = 80_877_104;
/// 3.2, the newest version spoken here (PostgreSQL 18's).
const NEWEST: (u16, u16) = (3, 2);

/// What the client opened the connection for.
#[derive(Debug, PartialEq)]
pub enum Opening {
    Session(Startup),
    Cancel { process: i32, secret: Vec<u8> },
}

/// The startup packet.
#[derive(Debug, Default, PartialEq)]
pub struct Startup {
    pub user: String,
    pub database: String,
    /// Everything else, in order.
    pub options: Vec<(String, String)>,
    /// Protocol 3.2: cancel secrets are longer than four bytes.
    pub long_secret: bool,
    /// The version and the `_pq_.` options to name in NegotiateProtocolVersion, if the client asked for more than there is.
    pub negotiate: Option<(i32, Vec<String>)>,
}

/// Why there is no session: `Silent` clients left or never spoke the protocol.
#[derive(Debug)]
pub enum Refusal {
    Silent(io::Error),
    Told(Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Silent(error)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Told(error)
    }
}

/// Reads until the startup packet; bytes behind it stay in `input`.
pub async fn read(stream: &mut TcpStream, input: &mut BytesMut) -> Result<Opening, Refusal> {
    let (mut ssl_asked, mut gss_asked) = (false, false);
    loop {
        let packet = packet(stream, input).await?;
        match code(&packet) {
            SSL_CODE if !ssl_asked => ssl_asked = true,
            GSS_CODE if !gss_asked => gss_asked = true,
            CANCEL_CODE if packet.len() >= 12 => {
                let process = (&packet[4..8]).get_i32();
                return Ok(Opening::Cancel { process, secret: packet[8..].to_vec() });
            }
            _ => return Ok(Opening::Session(Startup::parse(&packet)?)),
        }
        if !input.is_empty() {
            // Bytes behind an encryption request are somebody's attempt to slip in plain text (CVE-2021-23214).
            let error = Error::new(
                SqlState::PROTOCOL_VIOLATION,
                "received unencrypted data after encryption request",
            );
            return Err(error.into());
        }
        stream.write_all(b"N").await?;
    }
}

/// A length-prefixed packet without its length; at least the four bytes of a code.
async fn packet(stream: &mut TcpStream, input: &mut BytesMut) -> Result<BytesMut, Refusal> {
    loop {
        if let &[a, b, c, d, ..] = &input[..] {
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if !(8..=PACKET_BYTES_MAX).contains(&length) {
                return Err(violation("invalid length of startup packet").into());
            }
            if input.len() >= length {
                let mut packet = input.split_to(length);
                packet.advance(4);
                return Ok(packet);
            }
        }
        input.reserve(1024);
        if stream.read_buf(input).await? == 0 {
            return Err(Refusal::Silent(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

fn code(packet: &[u8]) -> u32 {
    (&packet[..4]).get_u32()
}

impl Startup {
    /// `packet` starts with the version.
    fn parse(packet: &[u8]) -> Result<Startup> {
        let (major, minor) = ((code(packet) >> 16) as u16, code(packet) as u16);
        if major != NEWEST.0 {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"),
            ));
        }
        let mut startup = Startup::default();
        let mut unknown = Vec::new();
        for (name, value) in pairs(&packet[4..])? {
            match name.as_str() {
                "user" => startup.user = cut(value),
                "database" => startup.database = cut(value),
                "replication" if is_off(&value) => {}
                "replication" => return Err(Error::unsupported("replication")),
                _ if name.starts_with("_pq_.") => unknown.push(name),
                _ => startup.options.push((name, value)),
            }
        }
        if startup.user.is_empty() {
            return Err(Error::new(SqlState("28000"), "no PostgreSQL user name specified in startup packet"));
        }
        if startup.database.is_empty() {
            startup.database.clone_from(&startup.user);
        }
        // 3.1 was never released: who asks for it gets 3.0.
        let agreed = if minor >= NEWEST.1 { NEWEST.1 } else { 0 };
        startup.long_secret = agreed == NEWEST.1;
        if agreed != minor || !unknown.is_empty() {
            startup.negotiate = Some((i32::from(NEWEST.0) << 16 | i32::from(agreed), unknown));
        }
        Ok(startup)
    }
}

/// Zero-terminated names and values; an empty name ends them.
fn pairs(mut bytes: &[u8]) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    loop {
        let name = string(&mut bytes)?;
        if name.is_empty() {
            break;
        }
        pairs.push((name, string(&mut bytes)?));
    }
    if bytes.is_empty() { Ok(pairs) } else { Err(layout()) }
}

fn string(bytes: &mut &[u8]) -> Result<String> {
    let end = bytes.iter().position(|b| *b == 0).ok_or_else(layout)?;
    let string = utf8(&bytes[..end])?.to_owned();
    *bytes = &bytes[end + 1..];
    Ok(string)
}

/// A name as CREATE made it of the same letters.
fn cut(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    name
}

fn is_off(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "false" | "off" | "no" | "0")
}

fn layout() -> Error {
    violation("invalid startup packet layout: expected terminator as last byte")
}

fn violation(message: &str) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn packet(minor: u16, body: &[u8]) -> Vec<u8> {
        [&3u16.to_be_bytes()[..], &minor.to_be_bytes(), body].concat()
    }

    #[test]
    fn the_database_is_the_users_unless_named() {
        let startup = Startup::parse(&packet(0, b"user\0a\0TimeZone\0UTC\0\0")).expect("a startup");
        assert_eq!((startup.user.as_str(), startup.database.as_str()), ("a", "a"));
        assert_eq!(startup.options, [("TimeZone".to_owned(), "UTC".to_owned())]);
        assert_eq!(startup.negotiate, None);
    }

    #[test]
    fn versions_are_negotiated_down() {
        let newest = (3 << 16) | 2;
        let startup = Startup::parse(&packet(9999, b"user\0a\0_pq_.x\x001\0\0")).expect("a startup");
        assert_eq!(startup.negotiate, Some((newest, vec!["_pq_.x".to_owned()])));
        assert!(startup.long_secret);
        let startup = Startup::parse(&packet(1, b"user\0a\0\0")).expect("a startup");
        assert_eq!(startup.negotiate, Some((3 << 16, Vec::new())));
        assert!(!startup.long_secret);
    }

    #[test]
    fn bad_packets_have_answers() {
        for (body, state) in [
            (&b"user\0a\0"[..], "08P01"),
            (b"user\0a", "08P01"),
            (b"\0", "28000"),
            (b"user\0a\0replication\0true\0\0", "0A000"),
            (b"user\0\xff\0\0", "22021"),
        ] {
            let error = Startup::parse(&packet(0, body)).expect_err("a bad packet");
            assert_eq!(error.state().0, state, "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_packet_panics(body in proptest::collection::vec(any::<u8>(), 4..64)) {
            let _ = Startup::parse(&body);
        }
    }
}
