//! Clients whose texts are in another encoding than UTF-8: what they send and get, byte by byte.

use crate::House;
use crate::frames::{Raw, execute, frame, parse, query, sync};

fn latin1(house: &House) -> Raw {
    let mut raw = Raw::session(house);
    raw.send(&query("SET client_encoding = latin1"));
    let answers = raw.until(b'Z');
    assert!(answers.contains(&(b'S', b"client_encoding\0LATIN1\0".to_vec())), "the change is reported");
    raw
}

fn query_of(bytes: &[u8]) -> Vec<u8> {
    frame(b'Q', &[bytes, b"\0"].concat())
}

/// The one cell of the one row.
fn cell(answers: &[(u8, Vec<u8>)]) -> &[u8] {
    let (_, row) = answers.iter().find(|(kind, _)| *kind == b'D').expect("a row");
    &row[6..]
}

#[test]
fn texts_names_and_errors_are_in_the_clients_encoding() {
    House::new().run(async |house| {
        let mut raw = latin1(&house);
        raw.send(&query_of(b"SELECT 'gr\xfcn' AS \"\xfc\", 1"));
        let answers = raw.until(b'Z');
        assert_eq!(&answers[0].1[..4], b"\0\x02\xfc\0", "the column's name");
        assert_eq!(answers[1], (b'D', b"\0\x02\0\0\0\x04gr\xfcn\0\0\0\x011".to_vec()));

        raw.send(&query_of(b"SELECT length('gr\xfcn'), '\xfc'::bytea"));
        assert_eq!(raw.until(b'Z')[1].1, b"\0\x02\0\0\0\x014\0\0\0\x06\\xc3bc".to_vec(), "kept in UTF-8");

        raw.send(&query_of(b"SELECT \xfc"));
        let (kind, error) = raw.until(b'Z').swap_remove(0);
        assert_eq!(kind, b'E');
        let message = b"Mcolumn \"\xfc\" does not exist\0";
        assert!(error.windows(message.len()).any(|window| window == message), "{}", error.escape_ascii());

        raw.send(&query("SELECT chr(8364)"));
        let (kind, error) = raw.until(b'Z').swap_remove(1);
        assert_eq!(kind, b'E');
        let message = b"C22P05\0Mcharacter with byte sequence 0xe2 0x82 0xac in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"\0";
        assert!(error.windows(message.len()).any(|window| window == message), "{}", error.escape_ascii());

        // What was written before the change is in the encoding of that time.
        raw.send(&query_of(b"SELECT '\xfc'; SET client_encoding = utf8; SELECT chr(252)"));
        let rows: Vec<Vec<u8>> =
            raw.until(b'Z').into_iter().filter(|(kind, _)| *kind == b'D').map(|(_, row)| row).collect();
        assert_eq!(rows, [b"\0\x01\0\0\0\x01\xfc".to_vec(), b"\0\x01\0\0\0\x02\xc3\xbc".to_vec()]);
    });
}

#[test]
fn parameters_are_converted_in_text_and_binary() {
    House::new().run(async |house| {
        let mut raw = latin1(&house);
        let array = [
            &1i32.to_be_bytes()[..],
            &0i32.to_be_bytes(),
            &25i32.to_be_bytes(),
            &1i32.to_be_bytes(),
            &1i32.to_be_bytes(),
            &1i32.to_be_bytes(),
            b"\xfc",
        ]
        .concat();
        for (format, ty, value) in [
            (0u16, "text", &b"\xfc"[..]),
            (1, "text", b"\xfc"),
            (0, "text[]", b"{\xfc}"),
            (1, "text[]", &array),
        ] {
            let head =
                [&b"\0\0"[..], &1u16.to_be_bytes(), &format.to_be_bytes(), &1u16.to_be_bytes()].concat();
            let length = (value.len() as i32).to_be_bytes();
            let tail = [&1u16.to_be_bytes()[..], &format.to_be_bytes()].concat();
            let bind = frame(b'B', &[&head[..], &length, value, &tail].concat());
            raw.send(&[parse("", &format!("SELECT $1::{ty}")), bind, execute(0), sync()].concat());
            assert_eq!(cell(&raw.until(b'Z')), value, "{ty} in format {format}");
        }
    });
}

#[test]
fn copies_are_in_the_clients_encoding_or_in_the_one_they_name() {
    House::new().run(async |house| {
        let mut raw = latin1(&house);
        raw.send(&query("CREATE TABLE t (a text)"));
        raw.until(b'Z');
        let data = |bytes: &[u8]| frame(b'd', bytes);
        // Lines and characters are cut anywhere.
        raw.send(&[query("COPY t FROM STDIN"), data(b"\xfc\n\xfc"), data(b"\xe9\nx"), data(b"\xe4"), frame(b'c', b"")].concat());
        raw.until(b'Z');
        raw.send(&[query("COPY t FROM STDIN (ENCODING 'sjis')"), data(b"\x95"), data(b"\\\n"), frame(b'c', b"")].concat());
        raw.until(b'Z');
        raw.send(&query("SELECT string_agg(md5(a), ',' ORDER BY a COLLATE \"C\") = (SELECT string_agg(md5(b), ',' ORDER BY b COLLATE \"C\")
            FROM unnest(ARRAY[chr(252), chr(252) || chr(233), 'x' || chr(228), chr(34920)]) b) FROM t"));
        assert_eq!(cell(&raw.until(b'Z')), b"t");

        raw.send(&query("COPY (SELECT a FROM t WHERE a < 'z' COLLATE \"C\") TO STDOUT"));
        assert!(raw.until(b'Z').contains(&(b'd', b"x\xe4\n".to_vec())));
        raw.send(&query("COPY (SELECT a FROM t WHERE a < 'z' COLLATE \"C\") TO STDOUT (ENCODING 'utf8')"));
        assert!(raw.until(b'Z').contains(&(b'd', b"x\xc3\xa4\n".to_vec())));
        raw.send(&query("COPY (SELECT a FROM t) TO STDOUT"));
        let answers = raw.until(b'Z');
        let (_, error) = answers.iter().find(|(kind, _)| *kind == b'E').expect("no Japanese in LATIN1");
        assert!(error.windows(7).any(|window| window == b"C22P05\0"));
        // Zeros are in no text, whichever way they are written.
        raw.send(&[query("COPY t FROM STDIN"), data(b"a\\000\n"), frame(b'c', b"")].concat());
        let answers = raw.until(b'Z');
        let (_, error) = answers.iter().find(|(kind, _)| *kind == b'E').expect("no zero");
        assert!(error.windows(7).any(|window| window == b"C22021\0"));
    });
}
