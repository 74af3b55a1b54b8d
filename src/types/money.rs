//! `money`: a number of cents, shown as an American shop would: `$1,234.56`.
//!
//! PostgreSQL asks `lc_monetary` for the currency, the signs and how many digits follow the point; here they are those of
//! its locales C and en_US, whatever that says.

use crate::error::{Error, Result, SqlState};
use crate::types::integer::print_u64;
use crate::types::text::{invalid, is_space};

/// Cents in a dollar.
const CENTS: u64 = 100;
const DIGITS: usize = 2;

/// `-$1,234.56`
pub fn print(cents: i64, out: &mut Vec<u8>) {
    if cents < 0 {
        out.push(b'-');
    }
    out.push(b'$');
    let dollars = cents.unsigned_abs() / CENTS;
    let mut digits = Vec::new();
    print_u64(dollars, &mut digits);
    for (at, digit) in digits.iter().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(b',');
        }
        out.push(*digit);
    }
    let rest = cents.unsigned_abs() % CENTS;
    out.extend([b'.', b'0' + (rest / 10) as u8, b'0' + (rest % 10) as u8]);
}

/// Reads `$1,234.56`, `-5`, `($3)`: PostgreSQL's cash_in. What is behind the second digit after the point is rounded.
pub fn parse(text: &str) -> Result<i64> {
    let beyond = || {
        let message = format!("value \"{text}\" is out of range for type money");
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    };
    let (mut negative, rest) = leading_signs(text);
    // Counted below zero, where there is one more.
    let mut cents = 0i64;
    let mut after_point = None;
    let mut length = 0;
    for byte in rest.bytes() {
        match (byte, after_point) {
            (b'0'..=b'9', Some(DIGITS)) => break,
            (b'0'..=b'9', count) => {
                let digit = i64::from(byte - b'0');
                cents =
                    cents.checked_mul(10).and_then(|cents| cents.checked_sub(digit)).ok_or_else(beyond)?;
                after_point = count.map(|count| count + 1);
            }
            (b'.', None) => after_point = Some(0),
            (b',', _) => {}
            _ => break,
        }
        length += 1;
    }
    let rest = &rest[length..];
    if rest.starts_with(['5', '6', '7', '8', '9']) {
        cents = cents.checked_sub(1).ok_or_else(beyond)?;
    }
    for _ in after_point.unwrap_or(0)..DIGITS {
        cents = cents.checked_mul(10).ok_or_else(beyond)?;
    }
    for left in rest.trim_start_matches(|c: char| c.is_ascii_digit()).chars() {
        match left {
            '-' => negative = true,
            '+' | ')' | '$' => {}
            space if is_space(space) => {}
            _ => return Err(invalid("money", text)),
        }
    }
    if negative { Ok(cents) } else { cents.checked_neg().ok_or_else(beyond) }
}

/// What `cash_words` says: `One hundred twenty three dollars and five cents`.
pub fn words(cents: i64) -> String {
    let amount = cents.unsigned_abs();
    let (dollars, rest) = (amount / CENTS, amount % CENTS);
    let mut said = if cents < 0 { "minus ".to_owned() } else { String::new() };
    for (unit, name) in THOUSANDS {
        match dollars / unit % 1000 {
            0 => {}
            count => said.extend([&below_thousand(count), *name]),
        }
    }
    if dollars == 0 {
        said.push_str("zero");
    }
    said.push_str(if dollars == 1 { " dollar and " } else { " dollars and " });
    said.push_str(&below_thousand(rest));
    said.push_str(if rest == 1 { " cent" } else { " cents" });
    let mut letters = said.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// PostgreSQL leaves the blank behind a unit though nothing follows.
const THOUSANDS: &[(u64, &str)] = &[
    (1_000_000_000_000_000, " quadrillion "),
    (1_000_000_000_000, " trillion "),
    (1_000_000_000, " billion "),
    (1_000_000, " million "),
    (1000, " thousand "),
    (1, ""),
];

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

const TENS: [&str; 10] =
    ["", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

fn below_thousand(number: u64) -> String {
    let hundred = |and: &str| match number / 100 {
        0 => String::new(),
        count => format!("{} hundred{and}", SMALL[count as usize]),
    };
    let (tens, ones) = (TENS[(number % 100 / 10) as usize], SMALL[(number % 10) as usize]);
    match number % 100 {
        0 if number > 0 => hundred(""),
        rest @ ..20 => format!("{}{}", hundred(" and "), SMALL[rest as usize]),
        20 | 30 | 40 | 50 | 60 | 70 | 80 | 90 => format!("{}{tens}", hundred(" ")),
        _ => format!("{}{tens} {ones}", hundred(" ")),
    }
}

/// Whether what is in front of the number makes it negative, and where it begins.
fn leading_signs(text: &str) -> (bool, &str) {
    let rest = text.trim_start_matches(is_space);
    let rest = rest.strip_prefix('$').unwrap_or(rest).trim_start_matches(is_space);
    let (negative, rest) = match rest.strip_prefix(['-', '(']) {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix('+').unwrap_or(rest)),
    };
    let rest = rest.trim_start_matches(is_space);
    (negative, rest.strip_prefix('$').unwrap_or(rest).trim_start_matches(is_space))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_and_print_as_in_postgres() {
        for (text, shown) in [
            ("12.345", "$12.35"),
            ("$1,234.5", "$1,234.50"),
            ("-$1", "-$1.00"),
            ("($3.10)", "-$3.10"),
            ("", "$0.00"),
            (" $ - 5 ", "-$5.00"),
            ("5-", "-$5.00"),
            ("1,2,3", "$123.00"),
            (".5", "$0.50"),
            ("1.994", "$1.99"),
            ("92233720368547758.07", "$92,233,720,368,547,758.07"),
            ("-92233720368547758.08", "-$92,233,720,368,547,758.08"),
        ] {
            let mut out = Vec::new();
            print(parse(text).unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), shown, "{text}");
        }
    }

    #[test]
    fn amounts_are_said_as_in_postgres() {
        for (cents, said) in [
            (0, "Zero dollars and zero cents"),
            (101, "One dollar and one cent"),
            (11_010, "One hundred and ten dollars and ten cents"),
            (12_120, "One hundred twenty one dollars and twenty cents"),
            (-200_000, "Minus two thousand  dollars and zero cents"),
            (10_010_100_000_010, "One hundred billion one hundred and one million  dollars and ten cents"),
        ] {
            assert_eq!(words(cents), said);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let refused = |text: &str| parse(text).unwrap_err().message().to_owned();
        for text in ["92233720368547758.08", "92233720368547758.075", "1e", "99999999999999999999"] {
            assert!(refused(text).contains(text), "{text}");
        }
        assert_eq!(refused("1.2.3"), "invalid input syntax for type money: \"1.2.3\"");
        assert_eq!(refused("x"), "invalid input syntax for type money: \"x\"");
    }
}
