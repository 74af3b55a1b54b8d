//! What a client's message says: the body of a frame, read with checks and without copies.
//!
//! pgwire decodes the same messages but trusts the counts inside them (a short body panics in `Buf::get_*`) and
//! replaces bad UTF-8; a server reads what strangers send, so these ten small readers are ours. Every failure is
//! an ERROR with the frame already consumed: the session goes on.

use std::borrow::Cow;

use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::Encoding;

/// A message of the client after startup; names are empty for the unnamed statement or portal.
pub enum Message<'a> {
    Query(Cow<'a, str>),
    Parse { name: Cow<'a, str>, sql: Cow<'a, str>, types: Vec<u32> },
    Bind(Bind<'a>),
    Describe { target: Target, name: Cow<'a, str> },
    Execute { portal: Cow<'a, str>, rows_max: i32 },
    Close { target: Target, name: Cow<'a, str> },
    Flush,
    Sync,
    Terminate,
    CopyData,
    CopyDone,
    CopyFail(Cow<'a, str>),
    FunctionCall(FunctionCall<'a>),
    Password,
}

/// What Describe and Close speak of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    Statement,
    Portal,
}

/// The Bind message; parameters are read by [`Bind::parameters`].
pub struct Bind<'a> {
    pub portal: Cow<'a, str>,
    pub statement: Cow<'a, str>,
    pub parameters: Vec<Parameter<'a>>,
    pub result_formats: Vec<Format>,
}

/// A call of a function by its oid.
pub struct FunctionCall<'a> {
    pub function: u32,
    pub arguments: Vec<Parameter<'a>>,
    pub result: Format,
}

/// One parameter's bytes; `None` is NULL.
pub struct Parameter<'a> {
    pub format: Format,
    pub bytes: Option<&'a [u8]>,
}

/// How a value is written on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    Binary,
}

impl Format {
    fn from_code(code: i16) -> Result<Format> {
        match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            _ => {
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unsupported format code: {code}")))
            }
        }
    }

    pub fn code(self) -> i16 {
        self as i16
    }
}

/// PostgreSQL's rule for lists of formats: none means text, one means all, otherwise one each.
pub fn format_of(formats: &[Format], index: usize) -> Format {
    match formats {
        [] => Format::Text,
        [one] => *one,
        many => many[index],
    }
}

impl<'a> Message<'a> {
    /// `client` is what its strings are in.
    pub fn read(kind: u8, body: &'a [u8], client: Encoding) -> Result<Message<'a>> {
        let mut body = Body { rest: body, client };
        let message = match kind {
            b'Q' => Message::Query(body.string()?),
            b'P' => {
                Message::Parse { name: body.string()?, sql: body.string()?, types: body.list(Body::u32)? }
            }
            b'B' => Message::Bind(Bind::read(&mut body)?),
            b'D' => Message::Describe { target: body.target("DESCRIBE")?, name: body.string()? },
            b'E' => Message::Execute { portal: body.string()?, rows_max: body.u32()? as i32 },
            b'C' => Message::Close { target: body.target("CLOSE")?, name: body.string()? },
            b'f' => Message::CopyFail(body.string()?),
            b'd' => return Ok(Message::CopyData),
            b'F' => Message::FunctionCall(FunctionCall::read(&mut body)?),
            b'p' => return Ok(Message::Password),
            b'H' => Message::Flush,
            b'S' => Message::Sync,
            b'X' => Message::Terminate,
            b'c' => Message::CopyDone,
            _ => return Err(violation(format!("invalid frontend message type {kind}"))),
        };
        body.end()?;
        Ok(message)
    }
}

impl<'a> Bind<'a> {
    fn read(body: &mut Body<'a>) -> Result<Bind<'a>> {
        let portal = body.string()?;
        let statement = body.string()?;
        let formats = body.list(Body::format)?;
        let count = body.u16()? as usize;
        if formats.len() > 1 && formats.len() != count {
            return Err(violation(format!(
                "bind message has {} parameter formats but {count} parameters",
                formats.len()
            )));
        }
        let parameters = body.parameters(&formats, count)?;
        Ok(Bind { portal, statement, parameters, result_formats: body.list(Body::format)? })
    }
}

impl<'a> FunctionCall<'a> {
    fn read(body: &mut Body<'a>) -> Result<FunctionCall<'a>> {
        let function = body.u32()?;
        let formats = body.list(Body::format)?;
        let count = body.u16()? as usize;
        if formats.len() > 1 && formats.len() != count {
            return Err(violation(format!(
                "function call message contains {} argument formats but {count} arguments",
                formats.len()
            )));
        }
        let arguments = body.parameters(&formats, count)?;
        Ok(FunctionCall { function, arguments, result: body.format()? })
    }
}

/// The rest of a message body.
struct Body<'a> {
    rest: &'a [u8],
    client: Encoding,
}

impl<'a> Body<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| violation("insufficient data left in message"))?;
        self.rest = rest;
        Ok(head)
    }

    fn u16(&mut self) -> Result<u16> {
        let bytes = self.bytes(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32> {
        let bytes = self.bytes(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn format(&mut self) -> Result<Format> {
        Format::from_code(self.u16()? as i16)
    }

    /// A zero-terminated string; no encoding has zeros inside of characters.
    fn string(&mut self) -> Result<Cow<'a, str>> {
        let end =
            self.rest.iter().position(|b| *b == 0).ok_or_else(|| violation("invalid string in message"))?;
        let bytes = self.bytes(end)?;
        self.bytes(1)?;
        // Encodings live as long as the program, and bytes as long as the message.
        let client = self.client;
        client.decode(bytes)
    }

    /// A length and that many bytes; a negative length is NULL.
    fn value(&mut self) -> Result<Option<&'a [u8]>> {
        match self.u32()? as i32 {
            -1 => Ok(None),
            length if length < 0 => Err(violation("insufficient data left in message")),
            length => self.bytes(length as usize).map(Some),
        }
    }

    fn parameters(&mut self, formats: &[Format], count: usize) -> Result<Vec<Parameter<'a>>> {
        let mut parameters = Vec::with_capacity(self.plausible(count, 4)?);
        for index in 0..count {
            parameters.push(Parameter { format: format_of(formats, index), bytes: self.value()? });
        }
        Ok(parameters)
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u16()? as usize;
        let mut items = Vec::with_capacity(self.plausible(count, 2)?);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `count`, if that many items of at least `bytes` each can still be in the message.
    fn plausible(&self, count: usize, bytes: usize) -> Result<usize> {
        if count * bytes > self.rest.len() {
            return Err(violation("insufficient data left in message"));
        }
        Ok(count)
    }

    fn target(&mut self, message: &str) -> Result<Target> {
        match self.bytes(1)?[0] {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            other => Err(violation(format!("invalid {message} message subtype {other}"))),
        }
    }

    fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(violation("invalid message format")) }
    }
}

fn violation(message: impl Into<String>) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn bind_reads_formats_and_nulls() {
        let body = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02hi\xff\xff\xff\xff\0\x02\0\0\0\x01";
        let Ok(Message::Bind(bind)) = Message::read(b'B', body, Encoding::UTF8) else { panic!("not a Bind") };
        assert_eq!((&*bind.portal, &*bind.statement), ("p", "s"));
        assert_eq!(bind.parameters[0].bytes, Some(&b"hi"[..]));
        assert_eq!(bind.parameters[1].bytes, None);
        assert_eq!(bind.parameters[1].format, Format::Binary);
        assert_eq!(bind.result_formats, [Format::Text, Format::Binary]);
    }

    #[test]
    fn a_count_without_its_items_is_refused() {
        let error = Message::read(b'B', b"\0\0\xff\xff", Encoding::UTF8).err().expect("a short body");
        assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION);
        let error = Message::read(b'Q', b"select 1\0x", Encoding::UTF8).err().expect("bytes behind the end");
        assert_eq!(error.message(), "invalid message format");
        let error = Message::read(b'Q', b"\xe4\0", Encoding::UTF8).err().expect("Latin-1");
        assert_eq!(error.state(), SqlState::CHARACTER_NOT_IN_REPERTOIRE);
    }

    proptest! {
        /// Whatever a client sends, reading it answers.
        #[test]
        fn no_body_panics(kind in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Message::read(kind, &body, Encoding::UTF8);
        }

        #[test]
        fn no_truncated_bind_panics(cut in 0usize..30) {
            let body = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02hi\xff\xff\xff\xff\0\x02\0\0\0\x01";
            let _ = Message::read(b'B', &body[..cut.min(body.len())], Encoding::UTF8);
        }
    }
}
