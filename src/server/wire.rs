//! One client's bytes: frames in, messages out, both with bounds.
//!
//! ```text
//!   client ---> [ input ] ---> Frame { kind, body }             one frame at a time, whole
//!                        \---> pieces of CopyData               as they arrive, never whole
//!   client <--- [ output ] <-- backend messages                 written when full, or at a flush
//! ```
//!
//! A frame is `kind: u8, length: i32 big-endian (itself included), body`. The input buffer grows with the bytes
//! that have arrived, never by what a length claims, so a hostile length costs nothing. A frame longer than the
//! limit is read past and reported, which keeps the session; a length that cannot be one (below 4, above 1 GiB)
//! means the stream is lost, which ends it.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Error, SqlState};
use crate::functions::encodings::Encoding;
use crate::server::recode;

/// Room made in the input buffer before a read; a prepared query with a 1,536-dimensional vector fits.
const READ_BYTES: usize = 16 << 10;
/// The same while rows stream in.
const COPY_READ_BYTES: usize = 256 << 10;
/// Output is written once it is this long; one system call moves it all.
const WRITE_BYTES: usize = 64 << 10;
/// Capacity that an idle connection may keep.
const IDLE_BYTES_MAX: usize = 256 << 10;
/// PostgreSQL's PQ_LARGE_MESSAGE_LIMIT: a longer length is noise.
const LENGTH_MAX: usize = 0x3fff_ffff;
/// PostgreSQL's PQ_SMALL_MESSAGE_LIMIT, for messages that carry a name and no data.
const SMALL_LENGTH_MAX: usize = 10_000;

/// A whole message of the client.
pub struct Frame {
    pub kind: u8,
    pub body: BytesMut,
}

/// What [`Wire::next`] found.
pub enum Incoming {
    Frame(Frame),
    /// A message over the limit; it has been read past.
    TooLong {
        kind: u8,
        bytes: usize,
    },
    /// The client is gone.
    Closed,
}

/// What arrives while the server reads COPY data.
pub enum CopyPiece {
    /// Some bytes of the stream; frames have no meaning in it.
    Data(BytesMut),
    /// Anything that is not CopyData.
    Frame(Frame),
    Closed,
}

/// A length that cannot be one: the two sides disagree on where messages begin.
#[derive(Debug)]
pub enum WireError {
    Io(io::Error),
    Protocol(Error),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> WireError {
        WireError::Io(error)
    }
}

/// The socket with its two buffers.
pub struct Wire {
    stream: TcpStream,
    input: BytesMut,
    /// Messages not yet written; encoders append to it.
    pub output: Vec<u8>,
    message_bytes_max: usize,
    /// What the client reads and writes.
    encoding: Encoding,
    /// How much of the output is in it already.
    encoded: usize,
    /// [`Wire::next`] has read from the socket since this was last set to false.
    pub waited: bool,
    /// What is still to come of a CopyData frame that is being handed out in pieces.
    copy_remaining: usize,
    skipping: Option<TooLong>,
}

/// A message that is dropped as it comes, because it is longer than its kind may be.
#[derive(Clone, Copy)]
struct TooLong {
    kind: u8,
    length: usize,
    /// Bytes still to be dropped.
    remaining: usize,
}

impl Wire {
    /// `input` holds bytes that arrived behind the startup packet.
    pub fn new(stream: TcpStream, input: BytesMut, message_bytes_max: usize) -> Wire {
        Wire {
            stream,
            input,
            output: Vec::with_capacity(4096),
            message_bytes_max,
            encoding: Encoding::UTF8,
            encoded: 0,
            waited: false,
            copy_remaining: 0,
            skipping: None,
        }
    }

    /// The next message, as soon as all of it is here. Cancellation-safe: what has been read stays in the buffer.
    pub async fn next(&mut self) -> Result<Incoming, WireError> {
        loop {
            if let Some(long) = self.skipping {
                if let Some(skipped) = self.skip(long) {
                    return Ok(skipped);
                }
            } else if self.copy_remaining > 0 {
                // COPY ended early, with an error: the rest of its last message means nothing.
                let bytes = self.copy_remaining.min(self.input.len());
                self.copy_remaining -= bytes;
                self.input.advance(bytes);
            } else if let Some((kind, length)) = self.header()? {
                if length > self.limit(kind) {
                    self.skipping = Some(TooLong { kind, length, remaining: length + 1 });
                    continue;
                }
                if self.input.len() > length {
                    return Ok(Incoming::Frame(self.take(kind, length)));
                }
            }
            self.waited = true;
            if self.fill(READ_BYTES).await? == 0 {
                return Ok(Incoming::Closed);
            }
        }
    }

    /// The next piece of COPY data.
    pub async fn next_copy(&mut self) -> Result<CopyPiece, WireError> {
        loop {
            if self.copy_remaining > 0 && !self.input.is_empty() {
                let bytes = self.copy_remaining.min(self.input.len());
                self.copy_remaining -= bytes;
                return Ok(CopyPiece::Data(self.input.split_to(bytes)));
            }
            if self.copy_remaining == 0
                && let Some((kind, length)) = self.header()?
            {
                if kind == b'd' {
                    self.input.advance(5);
                    self.copy_remaining = length - 4;
                    continue;
                }
                if length > SMALL_LENGTH_MAX {
                    return Err(WireError::Protocol(unexpected_in_copy(kind)));
                }
                if self.input.len() > length {
                    return Ok(CopyPiece::Frame(self.take(kind, length)));
                }
            }
            if self.fill(COPY_READ_BYTES).await? == 0 {
                return Ok(CopyPiece::Closed);
            }
        }
    }

    /// Kind and length of the message at the front, once its five bytes are here.
    fn header(&self) -> Result<Option<(u8, usize)>, WireError> {
        let &[kind, a, b, c, d, ..] = &self.input[..] else { return Ok(None) };
        if !is_frontend_kind(kind) {
            return Err(protocol(format!("invalid frontend message type {kind}")));
        }
        match i32::from_be_bytes([a, b, c, d]) {
            length if length >= 4 && length as usize <= LENGTH_MAX => Ok(Some((kind, length as usize))),
            length => Err(protocol(format!("invalid message length {length}"))),
        }
    }

    fn limit(&self, kind: u8) -> usize {
        if matches!(kind, b'Q' | b'P' | b'B' | b'F' | b'd') {
            self.message_bytes_max
        } else {
            SMALL_LENGTH_MAX
        }
    }

    fn take(&mut self, kind: u8, length: usize) -> Frame {
        self.input.advance(5);
        Frame { kind, body: self.input.split_to(length - 4) }
    }

    /// Drops what is here of a message that is too long; the message, once all of it is gone.
    fn skip(&mut self, mut long: TooLong) -> Option<Incoming> {
        let bytes = long.remaining.min(self.input.len());
        self.input.advance(bytes);
        long.remaining -= bytes;
        if long.remaining > 0 {
            self.skipping = Some(long);
            return None;
        }
        self.skipping = None;
        Some(Incoming::TooLong { kind: long.kind, bytes: long.length })
    }

    async fn fill(&mut self, room: usize) -> io::Result<usize> {
        self.input.reserve(room);
        self.stream.read_buf(&mut self.input).await
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What comes from here on is in another encoding.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        self.encode();
        self.encoding = encoding;
    }

    /// Converts what has been written since the last time.
    fn encode(&mut self) {
        recode::messages(&mut self.output, self.encoded, self.encoding);
        self.encoded = self.output.len();
    }

    /// Writes what has gathered if it is worth a system call.
    pub async fn flush_if_full(&mut self) -> io::Result<()> {
        if self.output.len() >= WRITE_BYTES { self.flush().await } else { Ok(()) }
    }

    pub async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.encode();
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        self.encoded = 0;
        Ok(())
    }

    /// Gives back the memory of an unusually large message.
    pub fn shrink(&mut self) {
        if self.output.is_empty() && self.output.capacity() > IDLE_BYTES_MAX {
            self.output = Vec::with_capacity(4096);
        }
        if self.input.is_empty() && self.input.capacity() > IDLE_BYTES_MAX {
            self.input = BytesMut::new();
        }
    }

    /// Sends what is left and closes our side.
    pub async fn close(mut self) {
        // The client may be gone already; there is nobody left to tell.
        let _ = self.flush().await;
        let _ = self.stream.shutdown().await;
    }
}

/// Messages a client may send after startup.
fn is_frontend_kind(kind: u8) -> bool {
    matches!(
        kind,
        b'B' | b'C' | b'D' | b'E' | b'F' | b'H' | b'P' | b'Q' | b'S' | b'X' | b'c' | b'd' | b'f' | b'p'
    )
}

fn protocol(message: String) -> WireError {
    WireError::Protocol(Error::new(SqlState::PROTOCOL_VIOLATION, message))
}

/// Another message in the middle of COPY data.
pub fn unexpected_in_copy(kind: u8) -> Error {
    Error::new(
        SqlState::PROTOCOL_VIOLATION,
        format!("unexpected message type 0x{kind:02X} during COPY from stdin"),
    )
}
