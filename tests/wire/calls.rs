//! FunctionCall, by which libpq and pgjdbc read and write large objects.

use crate::House;
use crate::frames::{Raw, field, frame, parse, query, sync};

const TEXT: u16 = 0;
const BINARY: u16 = 1;

const LO_CREATE: u32 = 715;
const LO_OPEN: u32 = 952;
const LO_CLOSE: u32 = 953;
const LOREAD: u32 = 954;
const LOWRITE: u32 = 955;
const LO_LSEEK: u32 = 956;
const LO_UNLINK: u32 = 964;

/// A call with arguments in one format.
fn call(function: u32, format: u16, arguments: &[Option<&[u8]>], result: u16) -> Vec<u8> {
    let mut body = [&function.to_be_bytes()[..], &1u16.to_be_bytes(), &format.to_be_bytes()].concat();
    body.extend_from_slice(&(arguments.len() as u16).to_be_bytes());
    for argument in arguments {
        body.extend_from_slice(&argument.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
        body.extend_from_slice(argument.unwrap_or_default());
    }
    body.extend_from_slice(&result.to_be_bytes());
    frame(b'F', &body)
}

/// A call as libpq makes it: binary, there and back.
fn binary(function: u32, arguments: &[&[u8]]) -> Vec<u8> {
    let arguments: Vec<Option<&[u8]>> = arguments.iter().map(|bytes| Some(*bytes)).collect();
    call(function, BINARY, &arguments, BINARY)
}

/// What came back: the result, or the SQLSTATE and the message; and the state of the transaction.
fn answer(raw: &mut Raw) -> (Result<Option<Vec<u8>>, String>, u8) {
    let frames = raw.until(b'Z');
    let status = frames.last().expect("ReadyForQuery").1[0];
    let said: Vec<_> = frames.iter().filter(|frame| matches!(frame.0, b'V' | b'E')).collect();
    let [(kind, body)] = said.as_slice() else { panic!("one answer: {frames:?}") };
    if *kind == b'E' {
        let part = |letter| field(body, letter).expect("a field");
        return (Err(format!("{} {}", part(b'C'), part(b'M'))), status);
    }
    let (length, value) = body.split_at(4);
    let length = i32::from_be_bytes(length.try_into().expect("four bytes"));
    assert_eq!(length.max(0) as usize, value.len(), "all of the message is the value");
    (Ok((length >= 0).then(|| value.to_vec())), status)
}

fn result(raw: &mut Raw, call: Vec<u8>) -> Vec<u8> {
    raw.send(&call);
    answer(raw).0.expect("no error").expect("no NULL")
}

fn refused(raw: &mut Raw, call: Vec<u8>) -> (String, u8) {
    raw.send(&call);
    let (outcome, status) = answer(raw);
    (outcome.expect_err("an error"), status)
}

fn int(number: i32) -> [u8; 4] {
    number.to_be_bytes()
}

#[test]
fn large_objects_are_written_and_read_by_calls() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    assert_eq!(result(&mut raw, binary(LO_CREATE, &[&int(77)])), int(77));
    raw.send(&query("BEGIN"));
    assert_eq!(raw.kinds(), "CZ");
    assert_eq!(result(&mut raw, binary(LO_OPEN, &[&int(77), &int(0x60000)])), int(0));
    let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(result(&mut raw, binary(LOWRITE, &[&int(0), &bytes])), int(100_000));
    assert_eq!(result(&mut raw, binary(LO_LSEEK, &[&int(0), &int(5), &int(0)])), int(5));
    assert_eq!(result(&mut raw, binary(LOREAD, &[&int(0), &int(70_000)])), &bytes[5..70_005]);
    assert_eq!(result(&mut raw, binary(LO_CLOSE, &[&int(0)])), int(0));
    assert_eq!(
        refused(&mut raw, binary(LO_CLOSE, &[&int(0)])),
        ("42704 invalid large-object descriptor: 0".to_owned(), b'E')
    );
    let (error, status) = refused(&mut raw, binary(LO_OPEN, &[&int(77), &int(0x40000)]));
    assert!(error.starts_with("25P02 current transaction is aborted"), "{error}");
    assert_eq!(status, b'E');
    raw.send(&query("ROLLBACK"));
    assert_eq!(raw.kinds(), "CZ");
    raw.send(&query("SELECT lo_get(77)"));
    let row = raw.until(b'Z').into_iter().find(|frame| frame.0 == b'D').expect("a row");
    assert_eq!(row.1, b"\0\x01\0\0\0\x02\\x");
    // Outside of a block each call is a transaction.
    assert_eq!(result(&mut raw, binary(LO_OPEN, &[&int(77), &int(0x40000)])), int(0));
    assert_eq!(refused(&mut raw, binary(LOREAD, &[&int(0), &int(1)])).1, b'I');
    house.run(async |_| {});
}

#[test]
fn arguments_and_results_are_texts_or_binary() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    assert_eq!(result(&mut raw, call(LO_CREATE, TEXT, &[Some(b"4294967295")], TEXT)), b"4294967295");
    assert_eq!(result(&mut raw, call(LO_UNLINK, BINARY, &[Some(&[0xff; 4])], TEXT)), b"1");
    // NULL for NULL.
    raw.send(&call(LO_UNLINK, BINARY, &[None], BINARY));
    assert_eq!(answer(&mut raw), (Ok(None), b'I'));
    assert_eq!(
        refused(&mut raw, call(LO_CREATE, TEXT, &[Some(b"x")], TEXT)),
        ("22P02 invalid input syntax for type oid: \"x\"".to_owned(), b'I')
    );
    house.run(async |_| {});
}

#[test]
fn functions_of_ones_own_are_called_too() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    raw.send(&query(
        "CREATE FUNCTION \"Twice\"(n integer) RETURNS integer LANGUAGE sql AS 'SELECT n * 2';
        CREATE FUNCTION some() RETURNS SETOF integer LANGUAGE sql AS 'SELECT 1'",
    ));
    assert_eq!(raw.kinds(), "CCZ");
    let mut oid = |name: &str| {
        raw.send(&query(&format!("SELECT oid FROM pg_proc WHERE proname = '{name}'")));
        let row = raw.until(b'Z').into_iter().find(|frame| frame.0 == b'D').expect("a row");
        String::from_utf8_lossy(&row.1[6..]).parse::<u32>().expect("a number")
    };
    let (twice, some) = (oid("Twice"), oid("some"));
    assert_eq!(result(&mut raw, binary(twice, &[&int(21)])), int(42));
    assert_eq!(
        refused(&mut raw, binary(some, &[])).0,
        "0A000 cannot call function \"some\" via fastpath interface"
    );
    house.run(async |_| {});
}

#[test]
fn wrong_calls_leave_the_session_ready() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    assert_eq!(refused(&mut raw, binary(1, &[])).0, "42883 function with OID 1 does not exist");
    assert_eq!(
        refused(&mut raw, binary(LO_CREATE, &[])).0,
        "08P01 function call message contains 0 arguments but function requires 1"
    );
    // Two formats for one argument.
    let body = [&LO_CREATE.to_be_bytes()[..], b"\0\x02\0\0\0\0\0\x01\0\0\0\x011\0\0"].concat();
    assert_eq!(
        refused(&mut raw, frame(b'F', &body)).0,
        "08P01 function call message contains 2 argument formats but 1 arguments"
    );
    assert_eq!(refused(&mut raw, frame(b'F', b"\0\0")).0, "08P01 insufficient data left in message");
    // After an error of the extended protocol a call is skipped like anything else.
    raw.send(&[parse("", "SELEC"), binary(LO_CREATE, &[&int(7)]), sync()].concat());
    assert_eq!(raw.kinds(), "EZ");
    assert_eq!(result(&mut raw, binary(LO_CREATE, &[&int(7)])), int(7));
    house.run(async |_| {});
}
