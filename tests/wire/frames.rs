//! The protocol byte by byte: startup, order of messages, skipping after errors, and what hostile clients send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::House;

/// A client that knows framing and nothing else.
pub struct Raw(TcpStream);

impl Raw {
    fn open(house: &House) -> Raw {
        let stream = TcpStream::connect(house.server.address()).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        Raw(stream)
    }

    /// A session that is ready for queries.
    pub fn session(house: &House) -> Raw {
        let mut raw = Raw::open(house);
        raw.send(&startup(3 << 16, b"user\0postgres\0\0"));
        let kinds = raw.until(b'Z');
        assert_eq!(kinds.first().map(|frame| frame.0), Some(b'R'));
        raw
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("bytes sent");
    }

    /// The next message, or `None` when the server has closed.
    pub fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0u8; 5];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length - 4];
        self.0.read_exact(&mut body).expect("a whole message");
        Some((head[0], body))
    }

    /// Messages up to and with the first of `kind`.
    pub fn until(&mut self, kind: u8) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().unwrap_or_else(|| panic!("closed before {:?}: {frames:?}", kind as char));
            let done = frame.0 == kind;
            frames.push(frame);
            if done {
                return frames;
            }
        }
    }

    /// The kinds of messages up to ReadyForQuery, without notices and parameters.
    pub fn kinds(&mut self) -> String {
        let frames = self.until(b'Z');
        frames.iter().map(|frame| frame.0 as char).filter(|kind| !matches!(kind, 'S' | 'N')).collect()
    }
}

pub fn startup(version: u32, parameters: &[u8]) -> Vec<u8> {
    let length = (8 + parameters.len()) as u32;
    [&length.to_be_bytes()[..], &version.to_be_bytes(), parameters].concat()
}

pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (4 + body.len()) as u32;
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

pub fn query(sql: &str) -> Vec<u8> {
    frame(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    frame(b'P', &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat())
}

/// Binds the unnamed portal to a statement without parameters, text results.
pub fn bind(statement: &str) -> Vec<u8> {
    frame(b'B', &[b"\0", statement.as_bytes(), b"\0\0\0\0\0\0\0"].concat())
}

pub fn execute(rows: u32) -> Vec<u8> {
    frame(b'E', &[&b"\0"[..], &rows.to_be_bytes()].concat())
}

pub fn sync() -> Vec<u8> {
    frame(b'S', b"")
}

/// A field of an ErrorResponse.
pub fn field(body: &[u8], letter: u8) -> Option<String> {
    let found = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&letter))?;
    Some(String::from_utf8_lossy(&found[1..]).into_owned())
}

#[test]
fn encryption_is_declined_and_startup_goes_on() {
    let house = House::new();
    let mut raw = Raw::open(&house);
    for code in [80_877_103u32, 80_877_104] {
        raw.send(&[&8u32.to_be_bytes()[..], &code.to_be_bytes()].concat());
        let mut answer = [0u8];
        raw.0.read_exact(&mut answer).expect("one byte");
        assert_eq!(answer, *b"N");
    }
    raw.send(&startup(3 << 16, b"user\0postgres\0\0"));
    let frames = raw.until(b'Z');
    let kinds: String = frames.iter().map(|frame| frame.0 as char).filter(|kind| *kind != 'S').collect();
    assert_eq!(kinds, "RKZ");
    assert_eq!(frames.last().map(|frame| frame.1.as_slice()), Some(&b"I"[..]));
    house.run(async |_| {});
}

#[test]
fn newer_protocols_are_negotiated_and_get_long_keys() {
    let house = House::new();
    let mut raw = Raw::open(&house);
    raw.send(&startup(3 << 16 | 9999, b"user\0postgres\0_pq_.shiny\0on\0\0"));
    let frames = raw.until(b'Z');
    assert_eq!(frames[0].0, b'v');
    assert_eq!(
        frames[0].1,
        [&(3u32 << 16 | 2).to_be_bytes()[..], &1u32.to_be_bytes(), b"_pq_.shiny\0"].concat()
    );
    let key = frames.iter().find(|frame| frame.0 == b'K').expect("a key");
    assert_eq!(key.1.len(), 4 + 32);
    let mut raw = Raw::open(&house);
    raw.send(&startup(2 << 16, b"user\0postgres\0\0"));
    let error = raw.until(b'E').pop().expect("an error");
    assert_eq!(field(&error.1, b'C').as_deref(), Some("0A000"));
    house.run(async |_| {});
}

#[test]
fn the_order_of_messages_is_postgresqls() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    raw.send(&query("SELECT 1 AS a; SELECT 2 AS b"));
    assert_eq!(raw.kinds(), "TDCTDCZ");
    raw.send(&query(""));
    assert_eq!(raw.kinds(), "IZ");
    raw.send(&query(" ; -- nothing\n"));
    assert_eq!(raw.kinds(), "IZ");
    raw.send(
        &[parse("s", "SELECT 1"), frame(b'D', b"Ss\0"), bind("s"), frame(b'D', b"P\0"), execute(0), sync()]
            .concat(),
    );
    assert_eq!(raw.kinds(), "1tT2TDCZ");
    raw.send(&[bind("s"), execute(0), frame(b'C', b"Ss\0"), sync()].concat());
    assert_eq!(raw.kinds(), "2DC3Z");
    raw.send(&[parse("", ""), bind(""), frame(b'D', b"P\0"), execute(0), sync()].concat());
    assert_eq!(raw.kinds(), "12nIZ");
    raw.send(
        &[
            parse("", "SELECT * FROM generate_series(1, 3)"),
            bind(""),
            execute(2),
            execute(2),
            execute(2),
            sync(),
        ]
        .concat(),
    );
    assert_eq!(raw.kinds(), "12DDsDCCZ");
    house.run(async |_| {});
}

#[test]
fn after_an_error_everything_up_to_sync_is_skipped() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    raw.send(
        &[
            parse("", "SELECT 1/0"),
            bind(""),
            execute(0),
            bind(""),
            execute(0),
            parse("x", "SELECT 1"),
            sync(),
        ]
        .concat(),
    );
    let kinds = raw.kinds();
    assert!(kinds == "12EZ" || kinds == "EZ", "{kinds}");
    // The skipped Parse did not happen, and the session is well.
    raw.send(&[bind("x"), sync()].concat());
    let frames = raw.until(b'Z');
    assert_eq!(field(&frames[0].1, b'C').as_deref(), Some("26000"));
    raw.send(&[frame(b'E', b"nope\0\0\0\0\0"), sync()].concat());
    let frames = raw.until(b'Z');
    assert_eq!(field(&frames[0].1, b'C').as_deref(), Some("34000"));
    raw.send(&query("SELECT 1"));
    assert_eq!(raw.kinds(), "TDCZ");
    house.run(async |_| {});
}

#[test]
fn malformed_messages_are_errors_and_the_session_goes_on() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    raw.send(&frame(b'Q', b"SELECT 1"));
    let frames = raw.until(b'Z');
    assert_eq!(field(&frames[0].1, b'C').as_deref(), Some("08P01"));
    raw.send(&frame(b'Q', b"SELECT '\xff'\0"));
    let frames = raw.until(b'Z');
    assert_eq!(field(&frames[0].1, b'C').as_deref(), Some("22021"));
    for (kind, body) in [
        (b'B', &b"\0\0\xff\xff"[..]),
        (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff"),
        (b'B', b"\0\0\0\x01\0\x07\0\0\0\0"),
        (b'P', b"\0SELECT 1\0\xff\xff"),
        (b'D', b"X\0"),
        (b'E', b"\0"),
        (b'C', b""),
    ] {
        raw.send(&[frame(kind, body), sync()].concat());
        let frames = raw.until(b'Z');
        assert_eq!(frames[0].0, b'E', "{}", kind as char);
        let state = field(&frames[0].1, b'C');
        assert!(matches!(state.as_deref(), Some("08P01" | "22023")), "{state:?}");
    }
    // It ends by itself, without a Sync.
    raw.send(&frame(b'F', b"\0\0\0\0"));
    assert_eq!(field(&raw.until(b'Z')[0].1, b'C').as_deref(), Some("08P01"));
    raw.send(&query("SELECT 1"));
    assert_eq!(raw.kinds(), "TDCZ");
    house.run(async |_| {});
}

#[test]
fn lost_framing_ends_the_connection_with_a_reason() {
    let house = House::new();
    for bytes in [&b"Q\0\0\0\x01"[..], b"Q\xff\xff\xff\xff", b"?\0\0\0\x04", b"Q\x7f\xff\xff\xff"] {
        let mut raw = Raw::session(&house);
        raw.send(bytes);
        let (kind, body) = raw.next().expect("an answer");
        assert_eq!(kind, b'E');
        assert_eq!(field(&body, b'S').as_deref(), Some("FATAL"));
        assert_eq!(field(&body, b'C').as_deref(), Some("08P01"));
        assert!(raw.next().is_none());
    }
    for bytes in [&b"\0\0\0\x04"[..], b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut raw = Raw::open(&house);
        raw.send(bytes);
        let (kind, body) = raw.next().expect("an answer");
        assert_eq!((kind, field(&body, b'C').as_deref()), (b'E', Some("08P01")));
        assert!(raw.next().is_none());
    }
    house.run(async |_| {});
}

#[test]
fn a_message_over_the_limit_is_refused_and_read_past() {
    let house = House::with(|options| options.message_bytes_max = 1 << 20);
    let mut raw = Raw::session(&house);
    raw.send(&query(&format!("SELECT '{}'", "x".repeat(2 << 20))));
    let frames = raw.until(b'Z');
    assert_eq!(field(&frames[0].1, b'C').as_deref(), Some("54000"));
    raw.send(&[parse("", &format!("SELECT '{}'", "x".repeat(2 << 20))), bind(""), sync()].concat());
    let frames = raw.until(b'Z');
    assert_eq!((frames.len(), field(&frames[0].1, b'C').as_deref()), (2, Some("54000")));
    raw.send(&query("SELECT 1"));
    assert_eq!(raw.kinds(), "TDCZ");
    house.run(async |_| {});
}

#[test]
fn copy_ends_as_the_protocol_says() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    raw.send(&query("CREATE TABLE t (id int4)"));
    raw.kinds();
    raw.send(&query("COPY t FROM STDIN"));
    assert_eq!(raw.next().expect("CopyInResponse"), (b'G', vec![0, 0, 1, 0, 0]));
    raw.send(
        &[frame(b'd', b"1\n2"), frame(b'd', b"\n"), frame(b'H', b""), frame(b'd', b"3\n"), frame(b'c', b"")]
            .concat(),
    );
    let frames = raw.until(b'Z');
    assert_eq!(frames[0], (b'C', b"COPY 3\0".to_vec()));
    raw.send(&query("COPY t FROM STDIN"));
    raw.until(b'G');
    raw.send(&frame(b'f', b"no more\0"));
    let frames = raw.until(b'Z');
    assert_eq!(field(&frames[0].1, b'C').as_deref(), Some("57014"));
    assert_eq!(field(&frames[0].1, b'M').as_deref(), Some("COPY from stdin failed: no more"));
    // An error in the middle: what the client still sends is skipped.
    raw.send(&query("COPY t FROM STDIN"));
    raw.until(b'G');
    raw.send(&[frame(b'd', b"x\n"), frame(b'd', b"4\n"), frame(b'c', b"")].concat());
    let frames = raw.until(b'Z');
    assert_eq!(field(&frames[0].1, b'C').as_deref(), Some("22P02"));
    raw.send(&query("COPY t FROM STDIN"));
    raw.until(b'G');
    raw.send(&query("SELECT 1"));
    let frames = raw.until(b'Z');
    assert_eq!(field(&frames[0].1, b'C').as_deref(), Some("08P01"));
    raw.send(&query("SELECT count(*) FROM t"));
    let frames = raw.until(b'Z');
    assert_eq!(frames[1], (b'D', b"\0\x01\0\0\0\x013".to_vec()));
    house.run(async |_| {});
}

#[test]
fn a_plan_that_changed_its_columns_says_where_it_was_noticed() {
    House::new().run(async |house| {
        let mut raw = Raw::session(&house);
        raw.send(&query("CREATE TABLE t (a int)"));
        raw.until(b'Z');
        raw.send(&[parse("s", "SELECT * FROM t"), sync()].concat());
        raw.until(b'Z');
        raw.send(&query("ALTER TABLE t ALTER COLUMN a TYPE text"));
        raw.until(b'Z');
        raw.send(&[bind("s"), execute(0), sync()].concat());
        let answers = raw.until(b'Z');
        let (_, error) = answers.iter().find(|(kind, _)| *kind == b'E').expect("an error");
        assert_eq!(field(error, b'C').as_deref(), Some("0A000"));
        assert_eq!(field(error, b'M').as_deref(), Some("cached plan must not change result type"));
        assert_eq!(field(error, b'R').as_deref(), Some("RevalidateCachedQuery"));
    });
}

#[test]
fn what_a_table_brings_with_it_is_told_who_wants_to_hear_it() {
    House::new().run(async |house| {
        let mut raw = Raw::session(&house);
        raw.send(&query("SET client_min_messages = debug1"));
        raw.until(b'Z');
        raw.send(&query("CREATE TABLE chatty (id serial PRIMARY KEY, u int UNIQUE)"));
        let answers = raw.until(b'Z');
        let notices = answers.iter().filter(|(kind, _)| *kind == b'N');
        let notices: Vec<_> = notices.map(|(_, body)| (field(body, b'S'), field(body, b'M'))).collect();
        let expected = [
            "CREATE TABLE will create implicit sequence \"chatty_id_seq\" for serial column \"chatty.id\"",
            "CREATE TABLE / PRIMARY KEY will create implicit index \"chatty_pkey\" for table \"chatty\"",
            "CREATE TABLE / UNIQUE will create implicit index \"chatty_u_key\" for table \"chatty\"",
        ];
        assert_eq!(notices, expected.map(|text| (Some("DEBUG".to_owned()), Some(text.to_owned()))));
    });
}

/// Binds a portal with a name to the unnamed statement.
fn bind_named(portal: &str) -> Vec<u8> {
    frame(b'B', &[portal.as_bytes(), b"\0\0\0\0\0\0\0\0"].concat())
}

fn execute_named(portal: &str, rows: u32) -> Vec<u8> {
    frame(b'E', &[portal.as_bytes(), b"\0", &rows.to_be_bytes()].concat())
}

/// The only cell of each row, tags, and SQLSTATEs.
fn told(frames: &[(u8, Vec<u8>)]) -> Vec<String> {
    let told = frames.iter().filter_map(|(kind, body)| match kind {
        b'D' => Some(String::from_utf8_lossy(&body[6..]).into_owned()),
        b'C' => Some(String::from_utf8_lossy(&body[..body.len() - 1]).into_owned()),
        b'E' => field(body, b'C'),
        b's' => Some("...".to_owned()),
        _ => None,
    });
    told.collect()
}

/// asyncpg's cursors go forward by MOVE.
#[test]
fn a_portal_is_a_cursor() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    let mut ask = |bytes: &[&[u8]]| {
        raw.send(&bytes.concat());
        told(&raw.until(b'Z'))
    };
    let select = parse("", "SELECT x FROM generate_series(1, 14) AS a(x)");
    assert_eq!(ask(&[&query("BEGIN")]), ["BEGIN"]);
    let begun = ask(&[&select, &bind_named("c"), &bind_named("d"), &execute_named("c", 2), &sync()]);
    assert_eq!(begun, ["1", "2", "..."]);
    assert_eq!(ask(&[&query("MOVE FORWARD 5 IN c")]), ["MOVE 5"]);
    assert_eq!(ask(&[&execute_named("c", 2), &sync()]), ["8", "9", "..."]);
    assert_eq!(ask(&[&query("FETCH 2 FROM c; FETCH c")]), ["10", "11", "FETCH 2", "12", "FETCH 1"]);
    assert_eq!(ask(&[&execute_named("c", 0), &sync()]), ["13", "14", "SELECT 2"]);
    assert_eq!(ask(&[&query("FETCH c")]), ["FETCH 0"]);
    // One that has not begun.
    assert_eq!(ask(&[&query("MOVE 12 IN d")]), ["MOVE 12"]);
    assert_eq!(ask(&[&query("CLOSE c")]), ["CLOSE CURSOR"]);
    // Its place in a transaction that has failed is kept, but nothing is read from it.
    assert_eq!(ask(&[&query("FETCH BACKWARD 1 FROM d")]), ["55000"]);
    assert_eq!(ask(&[&execute_named("d", 1), &sync()]), ["25P02"]);
    assert_eq!(ask(&[&execute_named("c", 1), &sync()]), ["34000"]);
    assert_eq!(ask(&[&query("ROLLBACK")]), ["ROLLBACK"]);
    assert_eq!(ask(&[&execute_named("d", 1), &sync()]), ["34000"]);
    // CLOSE runs nothing, and what was given up is not taken for an end of the rows.
    let create = parse("", "CREATE TABLE never (a int)");
    assert_eq!(ask(&[&query("BEGIN")]), ["BEGIN"]);
    assert_eq!(ask(&[&create, &bind_named("n"), &sync()]), [""; 0]);
    assert_eq!(ask(&[&query("CLOSE n; SELECT to_regclass('never')")])[..1], ["CLOSE CURSOR"]);
    assert_eq!(ask(&[&select, &bind_named("c"), &execute_named("c", 2), &sync()]), ["1", "2", "..."]);
    assert_eq!(ask(&[&query("SAVEPOINT s")]), ["SAVEPOINT"]);
    assert_eq!(ask(&[&query("SELECT 1/0")]), ["22012"]);
    assert_eq!(ask(&[&query("ROLLBACK TO s")]), ["ROLLBACK"]);
    assert_eq!(ask(&[&execute_named("c", 2), &sync()]), ["55000"]);
    assert_eq!(ask(&[&query("ROLLBACK")]), ["ROLLBACK"]);
    assert_eq!(ask(&[&query("SELECT to_regclass('never') IS NULL")]), ["t", "SELECT 1"]);
    house.run(async |_| {});
}

#[test]
fn an_empty_statement_has_an_answer_of_its_own() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    for sql in ["", " -- nothing", ";"] {
        let describe = [frame(b'D', b"S\0"), bind(""), frame(b'D', b"P\0")].concat();
        raw.send(&[parse("", sql), describe, execute(0), sync()].concat());
        assert_eq!(raw.kinds(), "1tn2nIZ", "{sql:?}");
        raw.send(&query(sql));
        assert_eq!(raw.kinds(), "IZ", "{sql:?}");
    }
    house.run(async |_| {});
}

/// Types and formats of the columns in a RowDescription.
fn described(frames: &[(u8, Vec<u8>)]) -> Vec<(u32, i16)> {
    let body = &frames.iter().find(|frame| frame.0 == b'T').expect("a row description").1;
    let mut rest = &body[2..];
    let mut columns = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let fixed = &rest[end + 1..end + 19];
        let oid = u32::from_be_bytes([fixed[6], fixed[7], fixed[8], fixed[9]]);
        columns.push((oid, i16::from_be_bytes([fixed[16], fixed[17]])));
        rest = &rest[end + 19..];
    }
    columns
}

#[test]
fn a_binary_cursor_gives_bytes_to_who_cannot_ask_for_them() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    raw.send(&query("BEGIN; DECLARE c BINARY CURSOR FOR SELECT 258, text 'ab' FROM generate_series(1, 3)"));
    assert_eq!(raw.kinds(), "CCZ");
    raw.send(&query("FETCH 1 FROM c"));
    let frames = raw.until(b'Z');
    assert_eq!(described(&frames), [(23, 1), (25, 1)]);
    let row = &frames.iter().find(|frame| frame.0 == b'D').expect("a row").1;
    assert_eq!(row.as_slice(), b"\0\x02\0\0\0\x04\0\0\x01\x02\0\0\0\x02ab");
    // Bind says what it wants, and has the last word.
    raw.send(&[parse("", "FETCH 1 FROM c"), bind(""), execute(0), sync()].concat());
    let frames = raw.until(b'Z');
    let row = &frames.iter().find(|frame| frame.0 == b'D').expect("a row").1;
    assert_eq!(row.as_slice(), b"\0\x02\0\0\0\x03258\0\0\0\x02ab");
    raw.send(&query("SELECT is_binary FROM pg_cursors; MOVE 1 FROM c; COMMIT"));
    let frames = raw.until(b'Z');
    let row = &frames.iter().find(|frame| frame.0 == b'D').expect("a row").1;
    assert_eq!(row.as_slice(), b"\0\x01\0\0\0\x01t");
    house.run(async |_| {});
}

#[test]
fn what_is_done_for_its_effect_is_void() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    raw.send(&query("SELECT pg_sleep(0), pg_notify('a', 'b'), pg_advisory_unlock_all(), 1"));
    let frames = raw.until(b'Z');
    assert_eq!(described(&frames), [(2278, 0), (2278, 0), (2278, 0), (23, 0)]);
    let row = &frames.iter().find(|frame| frame.0 == b'D').expect("a row").1;
    assert_eq!(row.as_slice(), b"\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x011");
    house.run(async |_| {});
}

#[test]
fn backslashes_are_warned_of_and_the_setting_is_reported() {
    let house = House::new();
    let mut raw = Raw::session(&house);
    raw.send(&query("SET standard_conforming_strings = off"));
    let frames = raw.until(b'Z');
    let reported = frames.iter().find(|frame| frame.0 == b'S').expect("a parameter");
    assert_eq!(reported.1.as_slice(), b"standard_conforming_strings\0off\0");
    raw.send(&query(r"SELECT 'a\nb', E'\n', 'it\'s'"));
    let frames = raw.until(b'Z');
    let told: Vec<_> = frames.iter().filter(|frame| frame.0 == b'N').collect();
    let of = |letter: u8| told.iter().filter_map(|frame| field(&frame.1, letter)).collect::<Vec<_>>();
    assert_eq!((of(b'S'), of(b'C')), (vec!["WARNING".into(); 2], vec!["22P06".into(); 2]));
    assert_eq!(of(b'P'), ["8", "23"]);
    assert_eq!(
        of(b'M'),
        ["nonstandard use of escape in a string literal", "nonstandard use of \\' in a string literal"]
    );
    raw.send(&query("SELECT '\\n', 'x' y z"));
    let error = raw.until(b'Z').into_iter().find(|frame| frame.0 == b'E').expect("an error");
    assert_eq!(
        (field(&error.1, b'C').as_deref(), field(&error.1, b'P').as_deref()),
        (Some("42601"), Some("20"))
    );
    house.run(async |_| {});
}
