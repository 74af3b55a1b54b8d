//! COPY on the wire: data in pieces to the session, rows in messages to the client.
//!
//! Nothing is held but the buffers. Data goes to the session as it arrives, whatever its framing, and the socket is
//! not read while the session works, so a slow disk slows the client down. COPY TO is read from its stream only as
//! fast as the client takes it.

use futures::StreamExt;

use crate::error::Error;
use crate::server::backend;
use crate::server::connection::{Connection, Failure};
use crate::server::frontend::Message;
use crate::server::wire::{CopyPiece, WireError, unexpected_in_copy};
use crate::sql::{CopyIn, CopyOut};

impl Connection {
    /// COPY FROM STDIN until CopyDone: the command tag. After an error the connection skips what still comes.
    pub(super) async fn copy_in(&mut self, copy: CopyIn) -> Result<String, Failure> {
        backend::copy_in(&mut self.wire.output, copy.format, copy.columns);
        self.wire.flush().await?;
        let outcome = self.copy_rows_in().await;
        if outcome.is_err() {
            self.session.copy_abandon().await;
        }
        outcome
    }

    async fn copy_rows_in(&mut self) -> Result<String, Failure> {
        loop {
            let piece = tokio::select! {
                biased;
                _ = self.cancel.wait() => return Err(self.cancel.error().into()),
                piece = self.wire.next_copy() => piece?,
            };
            let frame = match piece {
                CopyPiece::Data(data) => {
                    self.session.copy_data(&data).await?;
                    continue;
                }
                CopyPiece::Frame(frame) => frame,
                CopyPiece::Closed => {
                    return Err(Failure::Wire(WireError::Io(std::io::ErrorKind::UnexpectedEof.into())));
                }
            };
            match Message::read(frame.kind, &frame.body, self.wire.encoding())? {
                Message::CopyDone => return Ok(self.session.copy_done().await?),
                Message::CopyFail(reason) => return Err(self.session.copy_fail(&reason).await.into()),
                // Clients that do not know COPY send these behind their Execute.
                Message::Flush | Message::Sync => {}
                _ => return Err(unexpected_in_copy(frame.kind).into()),
            }
        }
    }

    /// COPY TO STDOUT: the command tag.
    pub(super) async fn copy_out(&mut self, mut copy: CopyOut) -> Result<String, Failure> {
        backend::copy_out(&mut self.wire.output, copy.format, copy.columns);
        loop {
            self.cancel.check()?;
            let chunk = tokio::select! {
                biased;
                chunk = copy.next() => chunk,
                _ = self.cancel.wait() => Some(Err(self.cancel.error())),
            };
            let Some(chunk) = chunk else { break };
            let chunk = chunk?;
            let mut start = 0;
            for end in chunk.ends.iter().map(|end| *end as usize) {
                let message = chunk.bytes.get(start..end).ok_or_else(|| {
                    Error::internal(format!("COPY message ends at {end} of {} bytes", chunk.bytes.len()))
                })?;
                backend::copy_data(&mut self.wire.output, message);
                self.wire.flush_if_full().await?;
                start = end;
            }
        }
        backend::copy_done(&mut self.wire.output);
        Ok(copy.tag())
    }
}
