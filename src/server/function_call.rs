//! The function call sub-protocol: one function by its oid, with arguments in text or binary, and its result.
//!
//! libpq reads and writes large objects by it. A call is a statement like others: in a transaction of its own outside of a
//! block, and with one ReadyForQuery behind it, after an error too.

use futures::stream::StreamExt;

use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::Encoding;
use crate::server::connection::{Connection, Failure};
use crate::server::decode;
use crate::server::encode::RowEncoder;
use crate::server::frontend::FunctionCall;
use crate::server::wire::WireError;
use crate::sql::{Prepared, Response};
use crate::types::{Look, Value};

impl Connection {
    pub(super) async fn function_call(&mut self, call: &FunctionCall<'_>) -> Result<(), WireError> {
        match self.run_function(call).await {
            Ok(()) => {}
            Err(Failure::Wire(error)) => return Err(error),
            Err(Failure::Statement(error)) => self.fail(&error),
        }
        self.ready().await
    }

    async fn run_function(&mut self, call: &FunctionCall<'_>) -> Result<(), Failure> {
        self.session.check_not_failed(None)?;
        let prepared = self.session.prepare_call(call.function)?;
        let arguments = arguments(call, &prepared, self.session.look(), self.wire.encoding())?;
        let Response::Rows(mut rows) = self.session.execute(&prepared, arguments).await? else {
            return Err(Error::internal("a call of a function has no result").into());
        };
        let encoder =
            RowEncoder::new(&rows.columns, &[call.result], self.session.look(), self.wire.encoding());
        let mut answer = Vec::new();
        loop {
            let next = tokio::select! {
                biased;
                next = rows.next() => next,
                _ = self.cancel.wait() => Some(Err(self.cancel.error())),
            };
            let Some(batch) = next.transpose()? else { break };
            if batch.num_rows() > 0 {
                encoder.write_result(&encoder.open(batch)?, &mut answer)?;
            }
        }
        drop(rows);
        // The commit comes first, as before a CommandComplete.
        self.session.end_implicit().await?;
        self.report();
        self.wire.output.extend_from_slice(&answer);
        Ok(())
    }
}

fn arguments(
    call: &FunctionCall<'_>,
    prepared: &Prepared,
    look: Look,
    client: Encoding,
) -> Result<Vec<Value>> {
    let (given, needed) = (call.arguments.len(), prepared.param_types.len());
    if given != needed {
        let message =
            format!("function call message contains {given} arguments but function requires {needed}");
        return Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
    }
    let decoded = prepared.param_types.iter().zip(&call.arguments);
    decoded.map(|(ty, argument)| decode::value(ty, argument, look, client)).collect()
}
