//! A connection after its startup: messages in, a session's answers out.
//!
//! ```text
//!   simple     Query ------------> parse, then per statement: prepare, execute, answer ---> ReadyForQuery
//!   extended   Parse, Bind, Describe, Execute, Close, Flush ... Sync -------------------> ReadyForQuery
//!                 after an error everything up to Sync is skipped
//!   calls      FunctionCall -----> `function_call.rs` ----------------------------------> ReadyForQuery
//! ```
//!
//! Answers gather in the output buffer and leave in one write at ReadyForQuery, at Flush, or when a buffer is full,
//! so a prepared query costs one read and one write. The protocol's state is here (portals, skipping); what a
//! statement means, the transaction and the named statements are the session's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result, SqlState};
use crate::server::awake::Waits;
use crate::server::backend::{self, Severity};
use crate::server::decode;
use crate::server::frontend::{Bind, Format, Message, Target};
use crate::server::portal::{Portal, PortalState, Portals, RowsInFlight};
use crate::server::wire::{Frame, Incoming, Wire, WireError};
use crate::sql::{
    Again, CancelFlag, Declared, OutputColumn, Prepared, Response, Rows, RowsTag, Session, Statement,
};

/// What can go wrong with a statement: the statement, or the connection under it.
pub enum Failure {
    Statement(Error),
    Wire(WireError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Statement(error)
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Failure {
        Failure::Wire(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Wire(WireError::Io(error))
    }
}

/// Whether the conversation goes on.
enum Flow {
    Continue,
    End,
}

/// What became of a portal or statement that was run.
enum Outcome {
    Completed(String),
    Suspended,
    Empty,
}

/// One client.
pub struct Connection {
    pub(super) wire: Wire,
    pub(super) session: Session,
    pub(super) cancel: Arc<CancelFlag>,
    portals: Portals,
    /// The client has been told of an error since the last message.
    failed: bool,
    /// After an error in the extended protocol: skip to the next Sync.
    skipping: bool,
    /// How long the client may think before its next message, and what it is told then.
    idle_limit: Option<(Duration, Error)>,
    shutdown: CancellationToken,
    waits: Waits,
    /// What ran was ended for good; nothing but that is left to say.
    ended: bool,
}

impl Connection {
    pub fn new(wire: Wire, session: Session, shutdown: CancellationToken, waits: Waits) -> Connection {
        let cancel = session.cancel_flag().clone();
        Connection {
            wire,
            session,
            cancel,
            portals: Portals::default(),
            failed: false,
            skipping: false,
            idle_limit: None,
            shutdown,
            waits,
            ended: false,
        }
    }

    /// Serves until the client leaves or the server stops.
    pub async fn run(mut self) {
        let last_words = match self.converse().await {
            Ok(()) => None,
            Err(WireError::Io(error)) => {
                log::debug!("connection lost: {error}");
                None
            }
            Err(WireError::Protocol(error)) => Some(error),
        };
        if let Some(error) = last_words {
            backend::error(&mut self.wire.output, Severity::Fatal, &error);
        }
        self.wire.close().await;
    }

    async fn converse(&mut self) -> Result<(), WireError> {
        self.ready().await?;
        let mailbox = self.session.mailbox();
        loop {
            let idle_now = self.session.transaction_status() == b'I';
            let incoming = tokio::select! {
                biased;
                incoming = self.wire.next() => incoming?,
                () = mailbox.wait(), if idle_now => {
                    self.report();
                    self.wire.flush().await?;
                    continue;
                }
                _ = self.shutdown.cancelled() => return Err(WireError::Protocol(shutting_down())),
                error = idle(&self.idle_limit) => return Err(WireError::Protocol(error)),
                never = self.waits.watch(|| self.session.others_at_work()) => match never {},
            };
            self.waits.end();
            // A request to cancel that came before the client's message found nothing to cancel, and one that came before
            // an error was for what has failed. Any other counts, also while the statement is planned.
            if std::mem::take(&mut self.wire.waited) | std::mem::take(&mut self.failed) {
                self.cancel.lower();
            }
            match incoming {
                Incoming::Frame(frame) => {
                    if let Flow::End = self.handle(frame).await? {
                        return Ok(());
                    }
                }
                Incoming::TooLong { kind, bytes } => self.too_long(kind, bytes).await?,
                Incoming::Closed => return Ok(()),
            }
            self.wire.flush_if_full().await?;
            if self.shutdown.is_cancelled() {
                return Err(WireError::Protocol(shutting_down()));
            }
        }
    }

    async fn handle(&mut self, Frame { kind, body }: Frame) -> Result<Flow, WireError> {
        let message = match Message::read(kind, &body, self.wire.encoding()) {
            Ok(Message::Terminate) => return Ok(Flow::End),
            Ok(Message::Sync) => {
                self.sync().await?;
                return Ok(Flow::Continue);
            }
            _ if self.skipping => return Ok(Flow::Continue),
            Ok(Message::Query(sql)) => {
                self.query(&sql).await?;
                return Ok(Flow::Continue);
            }
            Ok(Message::FunctionCall(call)) => {
                self.function_call(&call).await?;
                return Ok(Flow::Continue);
            }
            // What is left of a COPY that failed.
            Ok(Message::CopyData | Message::CopyDone | Message::CopyFail(_)) => return Ok(Flow::Continue),
            Ok(message) => Ok(message),
            Err(error) if matches!(kind, b'Q' | b'F') => {
                self.fail(&error);
                self.ready().await?;
                return Ok(Flow::Continue);
            }
            Err(error) => Err(error),
        };
        let done = match message {
            Ok(message) => self.extended(message).await,
            Err(error) => Err(error.into()),
        };
        match done {
            Ok(()) => {}
            Err(Failure::Wire(error)) => return Err(error),
            Err(Failure::Statement(error)) => {
                self.fail(&error);
                self.skipping = true;
                // As PostgreSQL does: a client that flushes instead of syncing waits for the error before its Sync.
                self.wire.flush().await?;
            }
        }
        Ok(Flow::Continue)
    }

    /// Tells the client and aborts the transaction.
    pub(super) fn fail(&mut self, error: &Error) {
        log::debug!("statement failed: {error}");
        self.failed = true;
        self.session.fail();
        self.report();
        if error.state() == SqlState::ADMIN_SHUTDOWN && self.shutdown.is_cancelled() {
            // The connection's last words say the same.
            self.ended = true;
            return;
        }
        backend::error(&mut self.wire.output, Severity::Error, error);
    }

    async fn too_long(&mut self, kind: u8, bytes: usize) -> Result<(), WireError> {
        if self.skipping || kind == b'd' {
            return Ok(());
        }
        let error = Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("message of {bytes} bytes exceeds the limit for its kind"),
        )
        .hint("Send data by COPY, which has no limit, or raise message_bytes_max.");
        self.fail(&error);
        if matches!(kind, b'Q' | b'F') {
            return self.ready().await;
        }
        self.skipping = true;
        Ok(self.wire.flush().await?)
    }

    /// Ends the implicit transaction, reports, and gives the turn back to the client.
    pub(super) async fn ready(&mut self) -> Result<(), WireError> {
        if self.ended {
            return Err(WireError::Protocol(shutting_down()));
        }
        if let Err(error) = self.session.end_implicit().await {
            self.failed = true;
            backend::error(&mut self.wire.output, Severity::Error, &error);
        }
        self.report();
        match self.session.transaction_status() {
            b'T' => {}
            b'E' => self.portals.give_up(),
            _ => self.portals.clear(),
        }
        backend::ready(&mut self.wire.output, self.session.transaction_status());
        self.session.rest();
        self.idle_limit = self.session.idle_limit();
        self.wire.flush().await?;
        self.wire.shrink();
        Ok(())
    }

    /// Notices, notifications and changed parameters since the last time.
    pub(super) fn report(&mut self) {
        for message in self.session.take_notifications() {
            backend::notification(&mut self.wire.output, &message);
        }
        for notice in self.session.take_notices() {
            backend::notice(&mut self.wire.output, &notice);
        }
        for (name, value) in self.session.take_parameter_changes() {
            let is_encoding = name == "client_encoding";
            backend::parameter_status(&mut self.wire.output, name, value);
            if is_encoding {
                self.wire.set_encoding(self.session.encoding());
            }
        }
    }

    // The simple protocol.

    async fn query(&mut self, sql: &str) -> Result<(), WireError> {
        self.portals.remove("");
        self.session.drop_statement("");
        match self.run_query(sql).await {
            Ok(()) => {}
            Err(Failure::Wire(error)) => return Err(error),
            Err(Failure::Statement(error)) => self.fail(&error),
        }
        self.ready().await
    }

    async fn run_query(&mut self, sql: &str) -> Result<(), Failure> {
        if let Some(again) = self.session.repeated(sql) {
            let (portal, response) = self.run_prepared(again).await?;
            return self.answer_simple(portal, response, true).await;
        }
        let statements = self.session.parse(sql)?;
        let Some(last) = statements.len().checked_sub(1) else {
            backend::empty_query(&mut self.wire.output);
            return Ok(());
        };
        if last > 0 {
            self.session.begin_implicit_block();
        }
        for (index, statement) in statements.iter().enumerate() {
            let (portal, response) = self.run_statement(statement).await?;
            if last == 0 {
                self.session.keep_repeated(sql, &[], &portal.prepared);
            }
            self.answer_simple(portal, response, index == last).await?;
        }
        Ok(())
    }

    /// Answers one statement of a simple query.
    async fn answer_simple(
        &mut self,
        mut portal: Portal,
        response: Response,
        is_last: bool,
    ) -> Result<(), Failure> {
        if let Response::Rows(rows) = &response {
            if rows.is_binary() {
                portal.formats = vec![Format::Binary];
            }
            describe(&mut self.wire, &rows.columns, &portal.formats)?;
        }
        let outcome = self.answer(&mut portal, response, usize::MAX).await?;
        drop(portal);
        if is_last {
            // The commit comes before its CommandComplete: the tag is a promise.
            self.session.end_implicit().await?;
        }
        self.complete(outcome);
        Ok(())
    }

    /// FETCH, MOVE and CLOSE may name a portal: it is a cursor while they run.
    async fn run_statement(&mut self, statement: &Statement) -> Result<(Portal, Response)> {
        let named = statement.cursor().filter(|name| {
            !name.is_empty() && self.portals.contains(name) && self.session.cursor_columns(name).is_none()
        });
        let Some(name) = named else { return self.prepare_and_run(statement).await };
        let mut portal = self.portals.take(name)?;
        let outcome = self.run_lent(statement, name, &mut portal).await;
        if !statement.closes() || outcome.is_err() {
            self.portals.insert(name, portal);
        }
        outcome
    }

    /// FETCH, MOVE or CLOSE of a portal.
    async fn run_lent(
        &mut self,
        statement: &Statement,
        name: &str,
        portal: &mut Portal,
    ) -> Result<(Portal, Response)> {
        self.session.check_not_failed(Some(&statement.ast))?;
        let columns = portal.prepared.columns.clone();
        let mut rows = match portal.lend() {
            // Nothing of it has to run for that.
            _ if statement.closes() => no_rows(columns.unwrap_or_else(|| [].into())),
            PortalState::Bound(params) if portal.prepared.columns.is_some() => {
                match self.session.execute(&portal.prepared, params).await? {
                    Response::Rows(rows) => rows,
                    _ => return Err(Error::internal("a statement with columns has no rows")),
                }
            }
            PortalState::Open(rows) => rows.into_rest(),
            PortalState::Done if let Some(columns) = columns => no_rows(columns),
            _ => {
                let message = format!("portal \"{name}\" cannot be run");
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
            }
        };
        rows.pause();
        self.session.lend_cursor(name, &mut rows, &portal.prepared);
        let outcome = self.prepare_and_run(statement).await;
        if self.session.return_cursor(name, &mut rows)? && outcome.is_ok() {
            portal.resume(rows, self.session.look(), self.wire.encoding());
        }
        outcome
    }

    async fn prepare_and_run(&mut self, statement: &Statement) -> Result<(Portal, Response)> {
        let prepared = self.session.prepare_statement(statement)?;
        self.run_prepared(Again { prepared, params: Vec::new(), said: None }).await
    }

    async fn run_prepared(&mut self, again: Again) -> Result<(Portal, Response)> {
        let Again { prepared, params, said } = again;
        if let Some(columns) = &prepared.columns {
            check_width(columns.len())?;
        }
        let mut portal = Portal::new(Arc::clone(&prepared), Vec::new(), Vec::new());
        let started = Instant::now();
        let response = self.session.execute_said(said.as_ref(), &prepared, params).await?;
        portal.spent.execute = started.elapsed();
        Ok((portal, response))
    }

    fn complete(&mut self, outcome: Outcome) {
        self.report();
        let out = &mut self.wire.output;
        match outcome {
            Outcome::Completed(tag) => backend::command_complete(out, tag),
            Outcome::Suspended => backend::portal_suspended(out),
            Outcome::Empty => backend::empty_query(out),
        }
    }

    // The extended protocol.

    async fn extended(&mut self, message: Message<'_>) -> Result<(), Failure> {
        match message {
            Message::Bind(bind) => self.bind(bind)?,
            Message::Execute { portal, rows_max } => self.execute(&portal, rows_max).await?,
            Message::Parse { name, sql, types } => self.parse(&name, &sql, &types)?,
            Message::Describe { target: Target::Statement, name } => self.describe_statement(&name)?,
            Message::Describe { target: Target::Portal, name } => self.describe_portal(&name)?,
            Message::Close { target, name } => self.close(target, &name),
            Message::Flush => self.wire.flush().await?,
            Message::Password => {
                return Err(Error::new(SqlState::PROTOCOL_VIOLATION, "unexpected password message").into());
            }
            Message::Query(_)
            | Message::FunctionCall(_)
            | Message::Sync
            | Message::Terminate
            | Message::CopyData
            | Message::CopyDone
            | Message::CopyFail(_) => unreachable!("handled before"),
        }
        Ok(())
    }

    fn parse(&mut self, name: &str, sql: &str, types: &[u32]) -> Result<()> {
        let mut domains = Vec::new();
        let mut declared = Vec::with_capacity(types.len());
        for (place, oid) in types.iter().enumerate() {
            let find = |oid| {
                self.session.type_by_oid(oid).or_else(|| {
                    let base = self.session.base_type_by_oid(oid)?;
                    domains.push((place + 1, oid));
                    Some(base)
                })
            };
            declared.push(decode::parameter_type(*oid, find)?);
        }
        let declared = Declared { types: &declared, domains: &domains };
        let prepared = match name {
            "" => {
                self.session.drop_statement("");
                self.session.prepare_unnamed(sql, declared)?
            }
            _ => self.session.prepare(sql, declared)?,
        };
        if let Some(columns) = &prepared.columns {
            check_width(columns.len())?;
        }
        self.session.save_statement(name, prepared)?;
        self.report();
        backend::parse_complete(&mut self.wire.output);
        Ok(())
    }

    fn bind(&mut self, bind: Bind<'_>) -> Result<()> {
        let prepared = self.session.saved_statement(&bind.statement)?;
        check_bind(&bind, &prepared)?;
        let is_taken =
            self.portals.contains(&bind.portal) || self.session.cursor_columns(&bind.portal).is_some();
        if !bind.portal.is_empty() && is_taken {
            return Err(Error::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{}\" already exists", bind.portal),
            ));
        }
        let started = Instant::now();
        let bound =
            decode::parameters(&prepared.param_types, &bind, self.session.look(), self.wire.encoding())?;
        let prepared = match &bound.other_types {
            None => prepared,
            Some(types) => self.session.prepare_again(&prepared, types)?,
        };
        let mut portal = Portal::new(prepared, bound.values, bind.result_formats);
        portal.spent.bind = started.elapsed();
        self.portals.insert(&bind.portal, portal);
        backend::bind_complete(&mut self.wire.output);
        Ok(())
    }

    fn describe_statement(&mut self, name: &str) -> Result<()> {
        let prepared = self.session.saved_statement(name)?;
        backend::parameter_description(&mut self.wire.output, prepared.param_oids());
        match &prepared.columns {
            Some(columns) => describe(&mut self.wire, columns, &[])?,
            None => backend::no_data(&mut self.wire.output),
        }
        Ok(())
    }

    /// Cursors are portals too: psycopg asks what the rows of one that DECLARE opened will be.
    fn describe_portal(&mut self, name: &str) -> Result<()> {
        if let Some(columns) = self.session.cursor_columns(name) {
            return describe(&mut self.wire, &columns, &[]);
        }
        let portal = self.portals.get(name)?;
        match &portal.prepared.columns {
            Some(columns) => describe(&mut self.wire, columns, &portal.formats),
            None => {
                backend::no_data(&mut self.wire.output);
                Ok(())
            }
        }
    }

    fn close(&mut self, target: Target, name: &str) {
        match target {
            Target::Statement => self.session.drop_statement(name),
            Target::Portal => self.portals.remove(name),
        }
        backend::close_complete(&mut self.wire.output);
    }

    /// Runs a portal, or goes on with it. The portal is out of its map meanwhile.
    async fn execute(&mut self, name: &str, rows_max: i32) -> Result<(), Failure> {
        let rows_max = if rows_max <= 0 { usize::MAX } else { rows_max as usize };
        let mut portal = self.portals.take(name)?;
        let outcome = self.run_portal(&mut portal, rows_max).await;
        self.portals.insert(name, portal);
        self.complete(outcome?);
        Ok(())
    }

    async fn run_portal(&mut self, portal: &mut Portal, rows_max: usize) -> Result<Outcome, Failure> {
        if let Some(statement) = &portal.prepared.statement {
            self.session.check_not_failed(Some(&statement.ast))?;
        }
        match portal.start()? {
            PortalState::Bound(params) => {
                let started = Instant::now();
                let response = self.session.execute(&portal.prepared, params).await?;
                portal.spent.execute = started.elapsed();
                self.answer(portal, response, rows_max).await
            }
            PortalState::Open(mut rows) => {
                self.session.go_on(&portal.prepared, &mut rows.stream)?;
                rows.go_on(self.wire.encoding())?;
                self.send_rows(portal, *rows, rows_max).await
            }
            PortalState::Done => Ok(Outcome::Completed("SELECT 0".to_owned())),
            PortalState::GivenUp => {
                let message = "portal cannot be run: its transaction has failed";
                Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into())
            }
        }
    }

    async fn sync(&mut self) -> Result<(), WireError> {
        self.skipping = false;
        self.ready().await
    }

    // Answers, for both protocols.

    async fn answer(
        &mut self,
        portal: &mut Portal,
        response: Response,
        rows_max: usize,
    ) -> Result<Outcome, Failure> {
        let tag = match response {
            Response::Rows(rows) => {
                let rows =
                    RowsInFlight::new(rows, &portal.formats, self.session.look(), self.wire.encoding());
                return self.send_rows(portal, rows, rows_max).await;
            }
            Response::Done { tag } => {
                self.waits.doze();
                tag
            }
            Response::CopyIn(copy) => self.copy_in(copy).await?,
            Response::CopyOut(copy) => self.copy_out(copy).await?,
            Response::Empty => return Ok(Outcome::Empty),
        };
        self.session.note_timing(&portal.prepared, portal.spent);
        Ok(Outcome::Completed(tag))
    }

    /// Sends up to `rows_max` rows. As in PostgreSQL, exactly that many leave the portal suspended, even when there
    /// are no more.
    async fn send_rows(
        &mut self,
        portal: &mut Portal,
        mut rows: RowsInFlight,
        rows_max: usize,
    ) -> Result<Outcome, Failure> {
        let mut left = rows_max;
        loop {
            if rows.is_drained() {
                if left == 0 {
                    portal.suspend(rows);
                    return Ok(Outcome::Suspended);
                }
                self.cancel.check()?;
                let started = Instant::now();
                let next = tokio::select! {
                    biased;
                    next = rows.stream.next() => next,
                    _ = self.cancel.wait() => Some(Err(self.cancel.error())),
                };
                portal.spent.execute += started.elapsed();
                match next {
                    Some(batch) => rows.fill(batch?)?,
                    None => {
                        self.session.note_timing(&portal.prepared, portal.spent);
                        return Ok(Outcome::Completed(rows.stream.tag((rows_max - left) as u64)));
                    }
                }
            }
            let started = Instant::now();
            left -= rows.write(&mut self.wire.output, left)?;
            portal.spent.encode += started.elapsed();
            if left == 0 {
                portal.suspend(rows);
                return Ok(Outcome::Suspended);
            }
            self.wire.flush_if_full().await?;
        }
    }
}

/// Says what rows will have; 22P05 for names that the client's encoding does not have.
fn describe(wire: &mut Wire, columns: &[OutputColumn], formats: &[Format]) -> Result<()> {
    for column in columns {
        wire.encoding().encode(&column.name)?;
    }
    backend::row_description(&mut wire.output, columns, formats);
    Ok(())
}

fn no_rows(columns: Arc<[OutputColumn]>) -> Rows {
    Rows::new(columns, stream::empty().boxed(), RowsTag::Select)
}

fn check_bind(bind: &Bind<'_>, prepared: &Prepared) -> Result<()> {
    let violation = |message: String| Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
    let (given, needed) = (bind.parameters.len(), prepared.param_types.len());
    if given != needed {
        return violation(format!(
            "bind message supplies {given} parameters, but prepared statement \"{}\" requires {needed}",
            bind.statement
        ));
    }
    let columns = prepared.columns.as_ref().map_or(0, |columns| columns.len());
    let formats = bind.result_formats.len();
    if formats > 1 && formats != columns {
        return violation(format!(
            "bind message has {formats} result formats but query has {columns} columns"
        ));
    }
    Ok(())
}

/// PostgreSQL's MaxTupleAttributeNumber; the wire's own limit is an i16.
fn check_width(columns: usize) -> Result<()> {
    const COLUMNS_MAX: usize = 1664;
    if columns > COLUMNS_MAX {
        return Err(Error::new(
            SqlState("54011"),
            format!("target lists can have at most {COLUMNS_MAX} entries"),
        ));
    }
    Ok(())
}

/// Ends when the client has been silent for too long; never without a limit.
async fn idle(limit: &Option<(Duration, Error)>) -> Error {
    match limit {
        Some((time, error)) => {
            tokio::time::sleep(*time).await;
            error.clone()
        }
        None => std::future::pending().await,
    }
}

fn shutting_down() -> Error {
    Error::new(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
}
