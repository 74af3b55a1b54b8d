//! The server's side of the conversation, as pgwire's messages appended to the output buffer.
//!
//! Rows are not here: `encode.rs` writes them in place, since they are most of the bytes.

use bytes::{BufMut, Bytes, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::copy::{CopyDone, CopyInResponse, CopyOutResponse};
use pgwire::messages::data::{FieldDescription, NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, ErrorResponse, NoticeResponse, NotificationResponse, ReadyForQuery,
    TransactionStatus,
};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};

use crate::error::{Error, Fields};
use crate::server::frontend::{Format, format_of};
use crate::sql::{CopyFormat, Notice, Notification, OutputColumn};

/// How bad an ErrorResponse is: FATAL ends the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    Error,
    Fatal,
}

fn put(out: &mut Vec<u8>, message: &impl Message) {
    let mut bytes = BytesMut::with_capacity(message.message_length() + 1);
    match message.encode(&mut bytes) {
        Ok(()) => out.extend_from_slice(&bytes),
        // Only lengths that no client accepts (a tag or parameter over 30,000 bytes) are refused.
        Err(error) => log::warn!("message not sent: {error}"),
    }
}

pub fn authentication_ok(out: &mut Vec<u8>) {
    put(out, &Authentication::Ok);
}

pub fn negotiate(out: &mut Vec<u8>, version: i32, unknown_options: Vec<String>) {
    put(out, &NegotiateProtocolVersion::new(version, unknown_options));
}

pub fn parameter_status(out: &mut Vec<u8>, name: String, value: String) {
    put(out, &ParameterStatus::new(name, clean(&value)));
}

pub fn backend_key(out: &mut Vec<u8>, process: i32, secret: Bytes) {
    put(out, &BackendKeyData::new(process, SecretKey::Bytes(secret)));
}

/// `status` is `I`, `T` or `E`.
pub fn ready(out: &mut Vec<u8>, status: u8) {
    let status = TransactionStatus::try_from(status).unwrap_or(TransactionStatus::Error);
    put(out, &ReadyForQuery::new(status));
}

pub fn notification(out: &mut Vec<u8>, message: &Notification) {
    let (channel, payload) = (clean(&message.channel), clean(&message.payload));
    put(out, &NotificationResponse::new(message.process_id, channel, payload));
}

pub fn parse_complete(out: &mut Vec<u8>) {
    put(out, &ParseComplete::new());
}

pub fn bind_complete(out: &mut Vec<u8>) {
    put(out, &BindComplete::new());
}

pub fn close_complete(out: &mut Vec<u8>) {
    put(out, &CloseComplete::new());
}

pub fn portal_suspended(out: &mut Vec<u8>) {
    put(out, &PortalSuspended::new());
}

pub fn empty_query(out: &mut Vec<u8>) {
    put(out, &EmptyQueryResponse::new());
}

pub fn no_data(out: &mut Vec<u8>) {
    put(out, &NoData::new());
}

pub fn command_complete(out: &mut Vec<u8>, tag: String) {
    put(out, &CommandComplete::new(tag));
}

pub fn parameter_description(out: &mut Vec<u8>, oids: Vec<u32>) {
    put(out, &ParameterDescription::new(oids));
}

/// `formats` as Bind gave them; empty before Bind, which means text.
pub fn row_description(out: &mut Vec<u8>, columns: &[OutputColumn], formats: &[Format]) {
    let field = |(index, column): (usize, &OutputColumn)| {
        FieldDescription::new(
            clean(&column.name),
            column.table_oid as i32,
            column.attnum as i16,
            column.ty.oid(),
            column.ty.size(),
            column.ty.typmod(),
            format_of(formats, index).code(),
        )
    };
    put(out, &RowDescription::new(columns.iter().enumerate().map(field).collect()));
}

pub fn copy_in(out: &mut Vec<u8>, format: CopyFormat, columns: usize) {
    let code = copy_code(format);
    put(out, &CopyInResponse::new(code as i8, columns as i16, vec![code; columns]));
}

pub fn copy_out(out: &mut Vec<u8>, format: CopyFormat, columns: usize) {
    let code = copy_code(format);
    put(out, &CopyOutResponse::new(code as i8, columns as i16, vec![code; columns]));
}

fn copy_code(format: CopyFormat) -> i16 {
    match format {
        CopyFormat::Text => 0,
        CopyFormat::Binary => 1,
    }
}

/// One CopyData message, without building it first.
pub fn copy_data(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(5 + bytes.len());
    out.put_u8(b'd');
    out.put_i32(4 + bytes.len() as i32);
    out.put_slice(bytes);
}

pub fn copy_done(out: &mut Vec<u8>) {
    put(out, &CopyDone::new());
}

pub fn error(out: &mut Vec<u8>, severity: Severity, error: &Error) {
    let label = match severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    put(out, &ErrorResponse::new(fields(label, error.fields())));
}

pub fn notice(out: &mut Vec<u8>, notice: &Notice) {
    put(out, &NoticeResponse::new(fields(notice.severity.name(), notice.error.fields())));
}

/// The fields in PostgreSQL's order, by their letters.
fn fields(severity: &str, error: &Fields) -> Vec<(u8, String)> {
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', error.state.0.to_owned()),
        (b'M', clean(&error.message)),
    ];
    let mut optional = |letter: u8, text: &Option<String>| {
        if let Some(text) = text {
            fields.push((letter, clean(text)));
        }
    };
    optional(b'D', &error.detail);
    optional(b'H', &error.hint);
    optional(b'P', &error.position.map(|position| position.to_string()));
    optional(b'W', &error.context);
    optional(b's', &error.schema);
    optional(b't', &error.table);
    optional(b'c', &error.column);
    optional(b'd', &error.datatype);
    optional(b'n', &error.constraint);
    optional(b'R', &error.routine.map(str::to_owned));
    fields
}

/// Strings end at a zero byte on this wire.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
