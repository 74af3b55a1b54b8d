//! What a character is to the parser: the classes of C's `isw*` functions in a UTF-8 locale.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// A letter of any script; digits of scripts other than Latin count as letters.
pub fn is_letter(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_alphabetic(),
        false => c.is_alphabetic() || c.general_category() == GeneralCategory::DecimalNumber,
    }
}

pub fn is_letter_or_digit(c: char) -> bool {
    is_letter(c) || c.is_ascii_digit()
}

pub fn is_space(c: char) -> bool {
    // Spaces that do not break are none to C.
    c.is_whitespace() && !matches!(c, '\u{A0}' | '\u{2007}' | '\u{202F}')
}

/// Characters without a width of their own: they go on with a word, and begin none.
pub fn is_special(c: char) -> bool {
    use GeneralCategory::{EnclosingMark, Format, NonspacingMark, SpacingMark};
    !c.is_ascii() && matches!(c.general_category(), NonspacingMark | EnclosingMark | Format | SpacingMark)
}

/// What may stand in the path of a URL (RFC 3986).
pub fn is_url(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
}

/// Lower case, one character for one.
pub fn lower(text: &str) -> String {
    let lower = |c: char| match c.is_ascii() {
        true => c.to_ascii_lowercase(),
        // Turkish capital I with a dot is the only one that becomes two.
        false => c.to_lowercase().next().unwrap_or(c),
    };
    text.chars().map(lower).collect()
}
