//! The type `"char"`: one byte.
//!
//! A value is kept as it is shown: a byte of ASCII as that character, zero as nothing, and one beyond ASCII as a backslash and
//! three octal digits, which is also how any byte may be written.

/// The byte that a text names: an octal number behind a backslash, or else the first byte.
pub fn read(text: &str) -> u8 {
    match text.as_bytes() {
        [b'\\', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7'] => {
            (high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0')
        }
        [first, ..] => *first,
        [] => 0,
    }
}

/// A byte as it is kept and shown.
pub fn show(byte: u8) -> String {
    match byte {
        0 => String::new(),
        1..=0x7F => char::from(byte).to_string(),
        byte => format!("\\{byte:03o}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_they_are_read() {
        for byte in 0..=u8::MAX {
            assert_eq!(read(&show(byte)), byte);
        }
        assert_eq!(read("\\101"), b'A');
        assert_eq!(read("\\1012"), b'\\');
        assert_eq!(show(read("é")), "\\303");
    }
}
