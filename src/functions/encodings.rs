//! Encodings of characters: what clients, files and convert_to() have in the place of UTF-8, which everything here is in.
//!
//! ```text
//!   bytes of a client  -- decode -->  text  -- encode -->  bytes of a client
//!                      22021, 22P05                22P05
//! ```
//!
//! The tables are encoding_rs'. It has the encodings as browsers read them, and PostgreSQL is stricter: each encoding says
//! by a `Rule` where the two differ. Names, their other spellings and their numbers are PostgreSQL's
//! (<https://www.postgresql.org/docs/17/multibyte.html>).

pub mod binary;

use std::borrow::Cow;

use encoding_rs as tables;
use encoding_rs::{DecoderResult, EncoderResult};

use crate::error::{Error, Result, SqlState};
use crate::types::binary::{invalid_sequence, shown_bytes, utf8};

/// An encoding that PostgreSQL has a name for.
#[derive(Clone, Copy, Debug)]
pub struct Encoding(&'static Charset);

impl Eq for Encoding {}

impl PartialEq for Encoding {
    fn eq(&self, other: &Encoding) -> bool {
        self.0.number == other.0.number
    }
}

#[derive(Debug)]
struct Charset {
    /// pg_enc of PostgreSQL's mb/pg_wchar.h.
    number: i32,
    name: &'static str,
    /// What it is called besides, in small letters and digits only.
    others: &'static [&'static str],
    how: How,
}

#[derive(Debug)]
enum How {
    /// UTF8, and SQL_ASCII, whose bytes have no meaning: nothing is converted.
    AsItIs,
    /// The first 256 characters of Unicode.
    Latin1,
    Table(&'static tables::Encoding, Rule),
    /// There is no table for it.
    Unknown,
}

/// What PostgreSQL makes of the bytes that browsers read in another way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    Same,
    /// Bytes that mean nothing, which browsers read as the control characters U+0080 to U+009F.
    NoControls,
    /// 0x80 to 0x9F are the control characters, and not those of a Windows code page.
    Controls,
    /// Characters besides ASCII have two bytes, the first and the second at least so high; browsers read a larger encoding.
    Pairs(u8, u8),
}

use How::{AsItIs, Latin1, Table, Unknown};
use Rule::{Controls, NoControls, Pairs, Same};

/// PostgreSQL's encodings in the order of their numbers.
static CHARSETS: [Charset; 42] = [
    charset(0, "SQL_ASCII", &[], AsItIs),
    charset(1, "EUC_JP", &[], Table(tables::EUC_JP, Same)),
    charset(2, "EUC_CN", &[], Table(tables::GBK, Pairs(0xa1, 0xa1))),
    charset(3, "EUC_KR", &[], Table(tables::EUC_KR, Pairs(0xa1, 0xa1))),
    charset(4, "EUC_TW", &[], Unknown),
    charset(5, "EUC_JIS_2004", &[], Unknown),
    charset(6, "UTF8", &["unicode", ""], AsItIs),
    charset(7, "MULE_INTERNAL", &[], Unknown),
    charset(8, "LATIN1", &["iso88591"], Latin1),
    charset(9, "LATIN2", &["iso88592"], Table(tables::ISO_8859_2, Same)),
    charset(10, "LATIN3", &["iso88593"], Table(tables::ISO_8859_3, Same)),
    charset(11, "LATIN4", &["iso88594"], Table(tables::ISO_8859_4, Same)),
    charset(12, "LATIN5", &["iso88599"], Table(tables::WINDOWS_1254, Controls)),
    charset(13, "LATIN6", &["iso885910"], Table(tables::ISO_8859_10, Same)),
    charset(14, "LATIN7", &["iso885913"], Table(tables::ISO_8859_13, Same)),
    charset(15, "LATIN8", &["iso885914"], Table(tables::ISO_8859_14, Same)),
    charset(16, "LATIN9", &["iso885915"], Table(tables::ISO_8859_15, Same)),
    charset(17, "LATIN10", &["iso885916"], Table(tables::ISO_8859_16, Same)),
    charset(18, "WIN1256", &["windows1256"], Table(tables::WINDOWS_1256, NoControls)),
    charset(
        19,
        "WIN1258",
        &["abc", "tcvn", "tcvn5712", "vscii", "windows1258"],
        Table(tables::WINDOWS_1258, NoControls),
    ),
    charset(20, "WIN866", &["alt", "windows866"], Table(tables::IBM866, NoControls)),
    charset(21, "WIN874", &["windows874"], Table(tables::WINDOWS_874, NoControls)),
    charset(22, "KOI8R", &["koi8"], Table(tables::KOI8_R, Same)),
    charset(23, "WIN1251", &["win", "windows1251"], Table(tables::WINDOWS_1251, NoControls)),
    charset(24, "WIN1252", &["windows1252"], Table(tables::WINDOWS_1252, NoControls)),
    charset(25, "ISO_8859_5", &[], Table(tables::ISO_8859_5, Same)),
    charset(26, "ISO_8859_6", &[], Table(tables::ISO_8859_6, Same)),
    charset(27, "ISO_8859_7", &[], Table(tables::ISO_8859_7, Same)),
    charset(28, "ISO_8859_8", &[], Table(tables::ISO_8859_8, Same)),
    charset(29, "WIN1250", &["windows1250"], Table(tables::WINDOWS_1250, NoControls)),
    charset(30, "WIN1253", &["windows1253"], Table(tables::WINDOWS_1253, NoControls)),
    charset(31, "WIN1254", &["windows1254"], Table(tables::WINDOWS_1254, NoControls)),
    charset(32, "WIN1255", &["windows1255"], Table(tables::WINDOWS_1255, NoControls)),
    charset(33, "WIN1257", &["windows1257"], Table(tables::WINDOWS_1257, NoControls)),
    charset(34, "KOI8U", &[], Table(tables::KOI8_U, Same)),
    charset(35, "SJIS", &["mskanji", "shiftjis", "win932", "windows932"], Table(tables::SHIFT_JIS, Same)),
    charset(36, "BIG5", &["win950", "windows950"], Table(tables::BIG5, Same)),
    charset(37, "GBK", &["win936", "windows936"], Table(tables::GBK, Pairs(0x81, 0x40))),
    charset(38, "UHC", &["win949", "windows949"], Table(tables::EUC_KR, Same)),
    charset(39, "GB18030", &[], Table(tables::GB18030, Same)),
    charset(40, "JOHAB", &[], Unknown),
    charset(41, "SHIFT_JIS_2004", &[], Unknown),
];

const fn charset(number: i32, name: &'static str, others: &'static [&'static str], how: How) -> Charset {
    Charset { number, name, others, how }
}

impl Encoding {
    pub const UTF8: Encoding = Encoding(&CHARSETS[6]);

    /// The encoding of that name. As in PostgreSQL only letters and digits count, so that `'utf-8'`, `UTF8` and `Utf_8` are
    /// one.
    pub fn find(name: &str) -> Option<Encoding> {
        let name: String =
            name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let is_it = |charset: &&Charset| {
            let own = charset.name.bytes().filter(u8::is_ascii_alphanumeric);
            own.map(|byte| byte.to_ascii_lowercase()).eq(name.bytes()) || charset.others.contains(&&*name)
        };
        CHARSETS.iter().find(is_it).map(Encoding)
    }

    /// The one that PostgreSQL gives that number.
    pub fn of_number(number: i32) -> Option<Encoding> {
        usize::try_from(number).ok().and_then(|at| CHARSETS.get(at)).map(Encoding)
    }

    pub fn number(self) -> i32 {
        self.0.number
    }

    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Bytes of its longest character.
    pub fn bytes_max(self) -> i32 {
        match self.name() {
            "UTF8" | "EUC_TW" | "MULE_INTERNAL" | "GB18030" => 4,
            "EUC_JP" | "EUC_KR" | "EUC_JIS_2004" | "JOHAB" => 3,
            "EUC_CN" | "SJIS" | "BIG5" | "GBK" | "UHC" | "SHIFT_JIS_2004" => 2,
            _ => 1,
        }
    }

    /// Whether texts are the same bytes in it as here.
    pub fn is_ours(self) -> bool {
        matches!(self.0.how, AsItIs)
    }

    /// Whether text can be converted (the five others are known by name alone).
    pub fn is_supported(self) -> bool {
        !matches!(self.0.how, Unknown)
    }

    /// The text that `bytes` are, without zero bytes; 22021 for bytes that are none, 22P05 for characters that Unicode does
    /// not have.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>> {
        let text = match self.0.how {
            AsItIs => return utf8(bytes).map(Cow::Borrowed),
            _ if bytes.is_ascii() => Cow::Borrowed(utf8(bytes).map_err(|_| self.invalid(&[0]))?),
            Latin1 => tables::mem::decode_latin1(bytes),
            Table(table, Controls) => {
                let runs = bytes.chunk_by(|a, b| is_control(a) == is_control(b));
                let run = |run: &[u8]| match is_control(&run[0]) {
                    true => Ok(run.iter().map(|byte| char::from(*byte)).collect()),
                    false => self.read(table, run),
                };
                Cow::Owned(runs.map(run).collect::<Result<_>>()?)
            }
            Table(table, rule) => {
                match rule {
                    Pairs(first, second) => self.check_pairs(bytes, first, second)?,
                    NoControls => self.check_controls(table, bytes)?,
                    Same | Controls => {}
                }
                Cow::Owned(self.read(table, bytes)?)
            }
            Unknown => return Err(self.unsupported()),
        };
        match text.contains('\0') {
            true => Err(self.invalid(&[0])),
            false => Ok(text),
        }
    }

    fn read(self, table: &'static tables::Encoding, bytes: &[u8]) -> Result<String> {
        let mut decoder = table.new_decoder_without_bom_handling();
        let mut text = String::new();
        let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(0);
        text.reserve(room);
        match decoder.decode_to_string_without_replacement(bytes, &mut text, true) {
            (DecoderResult::InputEmpty, _) => Ok(text),
            (DecoderResult::Malformed(length, behind), read) => {
                let end = read - usize::from(behind);
                let bad = &bytes[end.saturating_sub(length.into())..end];
                // A byte of a code page that means nothing is a character without an equal.
                match table.is_single_byte() || bad.len() > 1 {
                    true => Err(untranslatable(bad, self, Encoding::UTF8)),
                    false => Err(self.invalid(bad)),
                }
            }
            (DecoderResult::OutputFull, _) => Err(Error::internal("text is longer than was said")),
        }
    }

    /// 22021 where a byte above 0x7F is not the first of a pair.
    fn check_pairs(self, mut bytes: &[u8], first: u8, second: u8) -> Result<()> {
        while let Some(at) = bytes.iter().position(|byte| *byte >= 0x80) {
            match &bytes[at..] {
                [a, b, rest @ ..] if is_pair(*a, *b, first, second) => bytes = rest,
                pair => return Err(self.invalid(&pair[..pair.len().min(2)])),
            }
        }
        Ok(())
    }

    /// 22P05 for a byte that the code page has nothing for, which browsers read as a control character.
    fn check_controls(self, table: &'static tables::Encoding, bytes: &[u8]) -> Result<()> {
        // Each of the 32 is looked up once.
        let mut sound = 0_u32;
        for byte in bytes.iter().filter(|byte| is_control(byte)) {
            let bit = 1 << (byte - 0x80);
            if sound & bit == 0 {
                let text =
                    table.decode_without_bom_handling_and_without_replacement(std::slice::from_ref(byte));
                if text.is_none_or(|text| text.chars().eq([char::from(*byte)])) {
                    return Err(untranslatable(&[*byte], self, Encoding::UTF8));
                }
                sound |= bit;
            }
        }
        Ok(())
    }

    /// The bytes of `text`; 22P05 for a character that the encoding does not have.
    pub fn encode(self, text: &str) -> Result<Cow<'_, [u8]>> {
        self.encode_with(text, |c| Err(self.without(c)))
    }

    /// The same where nobody can be told of an error: `?` for what the encoding does not have.
    pub fn encode_or_mark(self, text: &str) -> Cow<'_, [u8]> {
        self.encode_with(text, |_| Ok(b"?")).unwrap_or(Cow::Borrowed(b"?"))
    }

    /// Converts the text that stands in `out` from `start` on.
    pub fn encode_from(self, out: &mut Vec<u8>, start: usize) -> Result<()> {
        if self.is_ours() || out[start..].is_ascii() {
            return Ok(());
        }
        let text = out.split_off(start);
        // What is sent was text a moment ago.
        out.extend_from_slice(&self.encode(&String::from_utf8_lossy(&text))?);
        Ok(())
    }

    /// `other` is asked for the bytes of characters that the encoding does not have.
    fn encode_with<'t>(
        self,
        text: &'t str,
        other: impl Fn(char) -> Result<&'static [u8]>,
    ) -> Result<Cow<'t, [u8]>> {
        if self.is_ours() || text.is_ascii() {
            return Ok(Cow::Borrowed(text.as_bytes()));
        }
        let mut out = Vec::with_capacity(text.len());
        let mut bytes = [0; 8];
        for c in text.chars() {
            match self.encode_char(c, &mut bytes)? {
                Some(length) => out.extend_from_slice(&bytes[..length]),
                None => out.extend_from_slice(other(c)?),
            }
        }
        Ok(Cow::Owned(out))
    }

    /// How many bytes the character has in the encoding, which are put into `bytes`; `None` if it does not have it.
    fn encode_char(self, c: char, bytes: &mut [u8; 8]) -> Result<Option<usize>> {
        if c.is_ascii() {
            bytes[0] = c as u8;
            return Ok(Some(1));
        }
        let is_c1 = matches!(c, '\u{80}'..='\u{9f}');
        match self.0.how {
            AsItIs => Ok(Some(c.encode_utf8(bytes).len())),
            Unknown => Err(self.unsupported()),
            Latin1 => Ok(u8::try_from(u32::from(c)).ok().map(|byte| {
                bytes[0] = byte;
                1
            })),
            Table(_, Controls) if is_c1 => {
                bytes[0] = c as u8;
                Ok(Some(1))
            }
            Table(_, NoControls) if is_c1 => Ok(None),
            Table(table, rule) => {
                let mut utf8 = [0; 4];
                let (result, _, length) = table.new_encoder().encode_from_utf8_without_replacement(
                    c.encode_utf8(&mut utf8),
                    bytes,
                    true,
                );
                let bytes = &bytes[..length];
                let fits = match (rule, bytes) {
                    // The yen and the overline of Japanese terminals, which would be a backslash and a tilde to everybody
                    // else, and escapes and delimiters to COPY.
                    (_, [0..=0x7f]) => false,
                    (Controls, [byte]) => !is_control(byte),
                    (Pairs(first, second), bytes) => {
                        matches!(bytes, [a, b] if is_pair(*a, *b, first, second))
                    }
                    _ => true,
                };
                Ok((result == EncoderResult::InputEmpty && fits).then_some(length))
            }
        }
    }

    fn invalid(self, bytes: &[u8]) -> Error {
        invalid_sequence(self.name(), bytes)
    }

    fn without(self, c: char) -> Error {
        untranslatable(c.encode_utf8(&mut [0; 4]).as_bytes(), Encoding::UTF8, self)
    }

    /// As PostgreSQL says it of encodings between which it has no conversion.
    pub fn unsupported(self) -> Error {
        Error::unsupported(format!("conversion between {} and UTF8", self.name()))
    }
}

/// Whether a byte is a control character behind ASCII, where it is no letter of a code page.
fn is_control(byte: &u8) -> bool {
    matches!(byte, 0x80..=0x9f)
}

fn is_pair(a: u8, b: u8, first: u8, second: u8) -> bool {
    (first..=0xfe).contains(&a) && (second..=0xfe).contains(&b) && b != 0x7f
}

fn untranslatable(bytes: &[u8], from: Encoding, to: Encoding) -> Error {
    let message = format!(
        "character with byte sequence {} in encoding \"{}\" has no equivalent in encoding \"{}\"",
        shown_bytes(bytes),
        from.name(),
        to.name()
    );
    Error::new(SqlState("22P05"), message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodings_stand_at_their_numbers() {
        for (at, charset) in CHARSETS.iter().enumerate() {
            assert_eq!(charset.number as usize, at, "{}", charset.name);
            assert_eq!(Encoding::find(charset.name), Some(Encoding(charset)));
        }
        for (name, encoding) in [
            ("utf-8", "UTF8"),
            ("ISO-8859-15", "LATIN9"),
            ("Windows-1252", "WIN1252"),
            ("Shift_JIS", "SJIS"),
            ("abc", "WIN1258"),
        ] {
            assert_eq!(Encoding::find(name).map(Encoding::name), Some(encoding));
        }
        assert!(Encoding::find("martian").is_none());
    }

    fn encoding(name: &str) -> Encoding {
        Encoding::find(name).expect("an encoding")
    }

    #[test]
    fn texts_are_those_of_postgresql() {
        for (name, text, bytes) in [
            ("LATIN1", "é\u{80}", &b"\xe9\x80"[..]),
            ("LATIN5", "ğ\u{80}", b"\xf0\x80"),
            ("LATIN9", "€", b"\xa4"),
            ("WIN1252", "€", b"\x80"),
            ("WIN1251", "да", b"\xe4\xe0"),
            ("KOI8R", "да", b"\xc4\xc1"),
            ("SJIS", "表", b"\x95\x5c"),
            ("EUC_JP", "表", b"\xc9\xbd"),
            ("EUC_KR", "가", b"\xb0\xa1"),
            ("UHC", "갂", b"\x81\x41"),
            ("GBK", "表", b"\xb1\xed"),
            ("BIG5", "表", b"\xaa\xed"),
            ("GB18030", "😀", b"\x94\x39\xfc\x36"),
        ] {
            assert_eq!(&*encoding(name).encode(text).expect("a text"), bytes, "{name}");
            assert_eq!(encoding(name).decode(bytes).expect("a text"), text, "{name}");
        }
    }

    #[test]
    fn what_an_encoding_does_not_have_is_told() {
        let message = |name: &str, bytes: &[u8]| {
            let error = encoding(name).decode(bytes).expect_err("bytes that are no text");
            format!("{} {}", error.state().0, error.message())
        };
        assert_eq!(
            message("WIN1252", b"a\x81"),
            "22P05 character with byte sequence 0x81 in encoding \"WIN1252\" has no equivalent in encoding \"UTF8\""
        );
        assert_eq!(
            message("EUC_KR", b"\x81\x41"),
            "22021 invalid byte sequence for encoding \"EUC_KR\": 0x81 0x41"
        );
        assert_eq!(message("SJIS", b"a\x95"), "22021 invalid byte sequence for encoding \"SJIS\": 0x95");
        assert_eq!(message("LATIN1", b"\xe9\0"), "22021 invalid byte sequence for encoding \"LATIN1\": 0x00");
        let error = encoding("LATIN1").encode("a€").expect_err("no euro");
        assert_eq!(
            error.message(),
            "character with byte sequence 0xe2 0x82 0xac in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\""
        );
        assert!(encoding("EUC_KR").encode("갂").is_err(), "a character of UHC only");
        assert!(
            encoding("GBK").encode("😀").is_err() && encoding("GBK").decode(b"\x94\x39\xfc\x36").is_err()
        );
        assert!(encoding("SJIS").encode("¥").is_err(), "a backslash to others");
        assert_eq!(&*encoding("LATIN1").encode_or_mark("a€é"), b"a?\xe9");
        assert_eq!(
            encoding("JOHAB").decode(b"\x88\x61").expect_err("no table").state(),
            SqlState::FEATURE_NOT_SUPPORTED
        );
    }

    proptest! {
        #[test]
        fn what_is_decoded_is_encoded_to_the_same_text(number in 0i32..42, bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            let encoding = Encoding::of_number(number).expect("a number below 42");
            if let Ok(text) = encoding.decode(&bytes)
                && let Ok(again) = encoding.encode(&text)
            {
                prop_assert_eq!(&*encoding.decode(&again).expect("what was encoded"), &*text);
            }
        }
    }
}
