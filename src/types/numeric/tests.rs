//! What PostgreSQL 16 answers, and integers of any size as the naive model.

use proptest::prelude::*;

use super::*;

fn number(text: &str) -> Numeric {
    parse(text).unwrap()
}

#[test]
fn reads_and_prints() {
    for (input, expected) in [
        ("0", "0"),
        ("-0.00", "0.00"),
        ("1.50", "1.50"),
        ("-12345678901234567890.123", "-12345678901234567890.123"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1.5e-3", "0.0015"),
        ("1e-45", "0.000000000000000000000000000000000000000000001"),
        (" 7 ", "7"),
        ("0e100000", "0"),
        ("1_000.2_5", "1000.25"),
        ("0x1F", "31"),
        ("-0b1_01", "-5"),
        ("nan", "NaN"),
        ("-Inf", "-Infinity"),
        ("+infinity", "Infinity"),
        (
            "-123456789012345678901234567890123456789012345.0670",
            "-123456789012345678901234567890123456789012345.0670",
        ),
        ("1e45", "1000000000000000000000000000000000000000000000"),
    ] {
        assert_eq!(number(input).to_string(), expected, "{input}");
    }
    for input in ["", ".", "x", "1e", "1.2.3", "--1", "1e+-2", "-nan", "1__0", "_1", "0x", "0xg", "0x-1"] {
        assert_eq!(parse(input).unwrap_err().state(), SqlState::INVALID_TEXT_REPRESENTATION, "{input}");
    }
    assert!(parse("1e131071").is_ok());
    for input in ["1e131073", "1e-16384", "1e999999999"] {
        assert_eq!(parse(input).unwrap_err().state(), SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "{input}");
    }
}

#[test]
fn results_show_postgres_digits() {
    // From `SELECT a op b` of PostgreSQL 16.
    for (a, op, b, expected) in [
        ("10", "/", "3", "3.3333333333333333"),
        ("1", "/", "3", "0.33333333333333333333"),
        ("7.0", "/", "2", "3.5000000000000000"),
        ("3", "/", "3", "1.00000000000000000000"),
        ("100000", "/", "3", "33333.333333333333"),
        ("-2", "/", "3", "-0.66666666666666666667"),
        ("0", "/", "5", "0.00000000000000000000"),
        ("1.23", "/", "0.00001", "123000.000000000000"),
        ("1", "/", "Infinity", "0"),
        ("1.50", "+", "0.5", "2.00"),
        ("1.50", "*", "2.0", "3.000"),
        ("7.25", "%", "2", "1.25"),
        ("-7", "%", "2.50", "-2.00"),
        ("Infinity", "-", "Infinity", "NaN"),
        ("Infinity", "*", "0", "NaN"),
        ("Infinity", "*", "-2", "-Infinity"),
        ("NaN", "/", "0", "NaN"),
        ("5", "%", "Infinity", "5"),
        ("99999999999999999999999999999999999999", "+", "1", "100000000000000000000000000000000000000"),
        ("99999999999999999999", "*", "99999999999999999999", "9999999999999999999800000000000000000001"),
    ] {
        let (a, b) = (number(a), number(b));
        let result = match op {
            "+" => a.plus(&b),
            "-" => a.minus(&b),
            "*" => a.times(&b),
            "/" => a.divided_by(&b),
            _ => a.remainder(&b),
        };
        assert_eq!(result.unwrap().to_string(), expected, "{a} {op} {b}");
    }
    for result in [number("1").divided_by(&Numeric::ZERO), number("1").remainder(&number("0.00"))] {
        assert_eq!(result.unwrap_err().state(), SqlState::DIVISION_BY_ZERO);
    }
}

#[test]
fn columns_round_and_refuse() {
    let fit = |input: &str, modifier| number(input).fit(modifier).map(|number| number.to_string());
    assert_eq!(fit("1.005", Some((5, 2))).unwrap(), "1.01");
    assert_eq!(fit("-1.005", Some((5, 2))).unwrap(), "-1.01");
    assert_eq!(fit("7", Some((5, 2))).unwrap(), "7.00");
    assert_eq!(fit("1.50", None).unwrap(), "1.50");
    assert_eq!(fit("12345", Some((2, -3))).unwrap(), "12000");
    assert_eq!(fit("0.00123", Some((2, 4))).unwrap(), "0.0012");
    assert_eq!(fit("NaN", Some((50, 2))).unwrap(), "NaN");
    let error = fit("1000", Some((5, 2))).unwrap_err();
    assert_eq!(error.message(), "numeric field overflow");
    let detail = "A field with precision 5, scale 2 must round to an absolute value less than 10^3.";
    assert_eq!(error.fields().detail.as_deref(), Some(detail));
    let error = fit("Infinity", Some((5, 2))).unwrap_err();
    let detail = "A field with precision 5, scale 2 cannot hold an infinite value.";
    assert_eq!(error.fields().detail.as_deref(), Some(detail));
}

#[test]
fn rounds_to_either_side_of_the_point() {
    for (input, scale, rounded, truncated) in [
        ("1250", -2, "1300", "1200"),
        ("-1.25", 1, "-1.3", "-1.2"),
        ("1.5", 3, "1.500", "1.500"),
        ("50", -2, "100", "0"),
        ("49", -2, "0", "0"),
        ("0.5", -50, "0", "0"),
        (
            "99999999999999999999999999999999999999.5",
            0,
            "100000000000000000000000000000000000000",
            "99999999999999999999999999999999999999",
        ),
        ("NaN", 2, "NaN", "NaN"),
    ] {
        assert_eq!(number(input).rounded(scale).to_string(), rounded, "{input}");
        assert_eq!(number(input).truncated(scale).to_string(), truncated, "{input}");
    }
    assert_eq!(number("-1.2").floor().unwrap(), number("-2"));
    assert_eq!(number("-1.2").ceiling().unwrap(), number("-1"));
    assert_eq!(number("1.2").ceiling().unwrap(), number("2"));
    assert_eq!(number("3.00").floor().unwrap(), number("3"));
}

#[test]
fn numbers_and_floats() {
    assert_eq!(Numeric::from_float(0.1, 15).unwrap().to_string(), "0.1");
    assert_eq!(Numeric::from_float(1e10, 15).unwrap().to_string(), "10000000000");
    assert_eq!(Numeric::from_float(1e300, 15).unwrap().to_f64(), 1e300);
    assert_eq!(number("1.1").to_f64(), 1.1);
    assert_eq!(number("1e400").to_f64(), f64::INFINITY);
    assert_eq!(number("2.5").to_i64(), Some(3));
    assert_eq!(number("-2.5").to_i64(), Some(-3));
    assert_eq!(number("NaN").to_i64(), None);
}

#[test]
fn wire_bytes_are_postgres() {
    let sent = |text: &str| {
        let mut wire = Vec::new();
        send(&number(text), &mut wire);
        wire
    };
    // From `SELECT numeric_send(-12345.678)`, and so on.
    assert_eq!(sent("-12345.678"), [0, 3, 0, 1, 0x40, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1a, 0x7c]);
    assert_eq!(sent("0.05"), [0, 1, 0xff, 0xff, 0, 0, 0, 2, 0x01, 0xf4]);
    assert_eq!(sent("0.00"), [0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(sent("NaN"), [0, 0, 0, 0, 0xc0, 0, 0, 0]);
    assert_eq!(receive(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 5]).unwrap(), number("5"));
    assert!(receive(&[0, 1, 0, 0]).is_err());
}

/// Numbers small and large, of all kinds.
fn numbers() -> impl Strategy<Value = Numeric> {
    let small = (-(10i128.pow(37))..10i128.pow(37), 0u32..37, 0u8..=38)
        .prop_map(|(unscaled, shift, scale)| Numeric::new(unscaled / 10i128.pow(shift), scale));
    let large = (any::<i128>(), any::<i128>(), 0u16..60)
        .prop_map(|(one, other, scale)| Numeric::of_big(BigInt::from(one) * other, scale).unwrap());
    let special = prop_oneof![Just(Special::NaN), Just(Special::Infinity), Just(Special::NegativeInfinity)];
    prop_oneof![6 => small, 3 => large, 1 => special.prop_map(Numeric::special)]
}

/// Of those that are numbers, as integers of 10^-120.
fn units(number: &Numeric) -> BigInt {
    number.unscaled().unwrap() * big_power(120 - u32::from(number.scale()))
}

proptest! {
    #[test]
    fn all_forms_lead_back(number in numbers()) {
        prop_assert_eq!(&parse(&number.to_string()).unwrap(), &number);
        let mut bytes = Vec::new();
        send(&number, &mut bytes);
        prop_assert_eq!(&receive(&bytes).unwrap(), &number);
        bytes.clear();
        wire::put(&number, &mut bytes);
        prop_assert_eq!(wire::take(&bytes), Some(number));
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = (wire::take(&bytes), receive(&bytes));
    }

    #[test]
    fn computes_as_integers_do(a in numbers(), b in numbers()) {
        prop_assume!(a.is_finite() && b.is_finite());
        prop_assert_eq!(units(&a.plus(&b).unwrap()), units(&a) + units(&b));
        prop_assert_eq!(units(&a.minus(&b).unwrap()), units(&a) - units(&b));
        prop_assert_eq!(units(&a.times(&b).unwrap()) * big_power(120), units(&a) * units(&b));
        prop_assert_eq!(a.compare(&b), units(&a).cmp(&units(&b)));
        if !b.is_zero() {
            prop_assert_eq!(units(&a.remainder(&b).unwrap()), units(&a) % units(&b));
            let quotient = a.divided_by(&b).unwrap();
            // |a / b - quotient| <= half of its last digit
            let scale = u32::from(quotient.scale());
            let off: BigInt = a.big_at(0) * big_power(scale + u32::from(b.scale()))
                - quotient.big_at(0) * b.big_at(0) * big_power(u32::from(a.scale()));
            let one: BigInt = b.big_at(0) * big_power(u32::from(a.scale()));
            let twice: BigInt = off * 2;
            prop_assert!(twice.magnitude() <= one.magnitude(), "{} / {} = {}", a, b, quotient);
        }
        prop_assert_eq!(a.trimmed().compare(&a), Ordering::Equal);
    }

    #[test]
    fn rounding_is_to_the_nearest(a in numbers(), scale in -20i32..60) {
        prop_assume!(a.is_finite());
        let unit = big_power((120 - scale) as u32);
        let (rounded, cut) = (a.rounded(scale), a.truncated(scale));
        prop_assert_eq!(i32::from(rounded.scale()), scale.max(0));
        let twice: BigInt = (units(&rounded) - units(&a)) * 2;
        prop_assert!(twice.magnitude() <= unit.magnitude());
        prop_assert_eq!(units(&cut), units(&a) / &unit * &unit);
    }
}
