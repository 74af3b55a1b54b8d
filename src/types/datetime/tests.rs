//! What is printed and read, compared with PostgreSQL's answers; and that what is printed reads back.

use proptest::prelude::*;

use super::*;
use crate::types::{Look, Type, text};

fn printed(print: impl Fn(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    print(&mut out);
    String::from_utf8(out).unwrap()
}

fn timestamptz(text: &str) -> String {
    let value = parse_timestamptz(text, Zone::UTC).unwrap_or_else(|error| panic!("{text}: {error}"));
    printed(|out| print_timestamptz(value, Zone::UTC, out))
}

#[test]
fn reads_many_spellings() {
    for text in [
        "1999-01-08 04:05:06",
        "1999-01-08T04:05:06Z",
        "1999-01-08 04:05:06+00",
        "19990108 040506",
        "January 8, 1999 04:05:06",
        "Jan 8 04:05:06 1999",
        "8 Jan 1999 4:05:06 am",
        "1/8/1999 04:05:06 UTC",
        "1999-Jan-08 04:05:06",
        "08-Jan-99 04:05:06",
        "Fri Jan 08 1999 04:05:06",
        "1999-01-08 06:05:06+02",
        "1999-01-08 09:35:06 +05:30",
        "1999-01-07 20:05:06-0800",
        "1999-008 04:05:06",
    ] {
        assert_eq!(timestamptz(text), "1999-01-08 04:05:06+00", "{text}");
    }
    assert_eq!(timestamptz("epoch"), "1970-01-01 00:00:00+00");
    assert_eq!(timestamptz("infinity"), "infinity");
    assert_eq!(timestamptz("2024-02-29 12:00:00.1234567 pm"), "2024-02-29 12:00:00.123457+00");
    assert_eq!(timestamptz("0044-03-15 BC"), "0044-03-15 00:00:00+00 BC");
    assert_eq!(timestamptz("2024-01-01 24:00:00"), "2024-01-02 00:00:00+00");
    let (there, west) = (Zone::of_offset(7200), Zone::of_offset(-12_600));
    let noon = parse_timestamptz("2024-06-01 12:00", there).unwrap();
    assert_eq!(printed(|out| print_timestamptz(noon, there, out)), "2024-06-01 12:00:00+02");
    assert_eq!(printed(|out| print_timestamptz(noon, west, out)), "2024-06-01 06:30:00-03:30");
    assert_eq!(parse_time("04:05 PM", Zone::UTC).unwrap(), (16 * 60 + 5) * 60 * MICROSECONDS_PER_SECOND);
    assert_eq!(printed(|out| print_time(parse_time("04:05:06.7", Zone::UTC).unwrap(), out)), "04:05:06.7");
    assert_eq!(
        parse_timestamp("2024-01-01 00:00:00+05", Zone::UTC).unwrap(),
        parse_timestamp("2024-01-01", Zone::UTC).unwrap()
    );
}

#[test]
fn refuses_by_kind() {
    let fails = |text: &str, state: SqlState, message: &str| {
        let error = parse_date(text, Zone::UTC).unwrap_err();
        assert_eq!((error.state(), error.message()), (state, message));
    };
    let (format, field) = (SqlState::INVALID_DATETIME_FORMAT, SqlState::DATETIME_FIELD_OVERFLOW);
    fails("yesterdayish", format, "invalid input syntax for type date: \"yesterdayish\"");
    fails("", format, "invalid input syntax for type date: \"\"");
    fails("2024-13-01", field, "date/time field value out of range: \"2024-13-01\"");
    fails("2023-02-29", field, "date/time field value out of range: \"2023-02-29\"");
    fails("9999999-01-01", field, "date out of range: \"9999999-01-01\"");
    assert_eq!(parse_timestamp("2024-01-01 25:00", Zone::UTC).unwrap_err().state(), field);
    assert_eq!(
        parse_timestamp("300000-01-01", Zone::UTC).unwrap_err().message(),
        "timestamp out of range: \"300000-01-01\""
    );
    let zone = parse_timestamptz("2024-01-01 00:00 Mars/Olympus", Zone::UTC).unwrap_err();
    assert_eq!(zone.message(), "time zone \"mars/olympus\" not recognized");
}

/// What PostgreSQL 16 answered in the zone America/New_York: what it printed, or its SQLSTATE, the message where it is not
/// the one of that state for input, and whether it hinted at the DateStyle.
#[test]
fn reads_and_refuses_as_postgres() {
    let zone = Zone::of_setting("America/New_York").unwrap();
    let check = |ty: Type, expected: &[(&str, &str)]| {
        for (input, expected) in expected {
            let answer = match text::parse_as(&ty, input, zone.into()) {
                Ok(value) => text::to_string_as(&value, Look { zone, ..Look::PLAIN }),
                Err(error) => refusal(&error, input),
            };
            assert_eq!(answer, *expected, "{ty:?} {input}");
        }
    };
    check(
        Type::Date,
        &[
            ("1/8/1999", "1999-01-08"),
            ("1/18/1999", "1999-01-18"),
            ("18/1/1999", "22008 hint"),
            ("01/02/03", "2003-01-02"),
            ("1999.008", "1999-01-08"),
            ("J2451187", "1999-01-08"),
            ("J0", "4714-11-24 BC"),
            ("J2147483647", "22008 date out of range"),
            ("January 8, 99 BC", "0099-01-08 BC"),
            ("99-Jan-08", "22008 hint"),
            ("08-Jan-99", "1999-01-08"),
            ("Jan-08-99", "1999-01-08"),
            ("Jan-08-1999", "1999-01-08"),
            ("1999-08-Jan", "22007"),
            ("08-1999-Jan", "22007"),
            ("99 Jan 08", "22007"),
            ("08 Jan 99", "1999-01-08"),
            ("Jan 08 99", "1999-01-08"),
            ("99 08 Jan", "22007"),
            ("99-01-08", "22008 hint"),
            ("08-01-99", "1999-08-01"),
            ("99 01 08", "22008 hint"),
            ("1999 01 08", "1999-01-08"),
            ("08 01 99", "1999-08-01"),
            ("19990108", "1999-01-08"),
            ("990108", "1999-01-08"),
            ("4713-11-24 BC", "4713-11-24 BC"),
            ("4714-11-23 BC", "22008 date out of range"),
            ("4714-11-24 BC", "4714-11-24 BC"),
            ("5874897-12-31", "5874897-12-31"),
            ("5874898-01-01", "22008 date out of range"),
            ("0000-01-01", "22008"),
            ("69-01-01", "22008 hint"),
            ("1/1/69", "2069-01-01"),
            ("1/1/70", "1970-01-01"),
            ("2024-02-30", "22008"),
            ("monday 2024-01-01 foo", "22007"),
            ("epoch", "1970-01-01"),
            ("-infinity", "-infinity"),
            ("2024-060", "2024-02-29"),
            ("y2024", "22007"),
            ("2024-01-01 12:00 Mars/Olympus", "22023 time zone \"mars/olympus\" not recognized"),
        ],
    );
    check(
        Type::Time(None),
        &[
            ("15:36:39 America/New_York", "22007"),
            ("2003-03-07 15:36:39 America/New_York", "15:36:39"),
            ("15:36:39 EST", "15:36:39"),
            ("T040506.789-08", "04:05:06.789"),
            ("040506.789+08", "04:05:06.789"),
            ("0405", "04:05:00"),
            ("040506", "04:05:06"),
            ("T04", "22007"),
            ("04:05 PM", "16:05:00"),
            ("13:05 am", "22008"),
            ("23:59:60", "24:00:00"),
            ("24:00:00.01", "22008"),
            ("12:34.5", "00:12:34.5"),
            ("allballs", "00:00:00"),
            ("J2452271 04:05:06", "04:05:06"),
            ("04:05:06 monday", "22007"),
            ("24:00", "24:00:00"),
            ("25:00", "22008"),
            ("1", "22007"),
        ],
    );
    check(
        Type::Timestamp(None),
        &[
            ("97FEB10 5:32:01PM UTC", "22007"),
            ("97/02/10 17:32:01 UTC", "22008 hint"),
            ("10 2 97 17:32", "1997-10-02 17:32:00"),
            ("2000-03-15 02:14:05 MST+7:00", "2000-03-15 02:14:05"),
            ("Feb 10 17:32:01 1997", "1997-02-10 17:32:01"),
            ("17:32 1997-02-10", "22007"),
            ("20011227T040506.789-08", "2001-12-27 04:05:06.789"),
            ("20011227 040506.789", "2001-12-27 04:05:06.789"),
            ("J2452271.5+08", "2001-12-27 12:00:00"),
            ("J2452271T040506-08", "2001-12-27 04:05:06"),
            ("2001-12-27 04:05", "2001-12-27 04:05:00"),
            ("2001-12-27T", "22007"),
            ("Sat Mar 12 23:58:48 100000 IST", "100000-03-12 23:58:48"),
            ("100000312 23:58:48 IST", "10000-03-12 23:58:48"),
            ("infinity bc", "infinity"),
            ("2024-01-01 00:00 +16", "22009"),
            ("2024-01-01 10:00 PST DST", "2024-01-01 10:00:00"),
            ("2024-01-01 10:00 dst", "22007"),
            ("2024-01-01 2024-01-02", "22007"),
        ],
    );
    check(
        Type::Timestamptz(None),
        &[
            ("2024-07-01 12:00", "2024-07-01 12:00:00-04"),
            ("2024-07-01 12:00 PST", "2024-07-01 16:00:00-04"),
            ("2024-07-01 12:00 PST8PDT", "2024-07-01 15:00:00-04"),
            ("2024-07-01 12:00 Europe/Berlin", "2024-07-01 06:00:00-04"),
            ("J2452271-08", "2001-12-27 03:00:00-05"),
            ("20011227T040506+0830", "2001-12-26 14:35:06-05"),
            ("4714-11-24 BC 00:00+00", "4714-11-23 19:03:58-04:56:02 BC"),
            ("4714-11-23 BC 23:00-01", "4714-11-23 19:03:58-04:56:02 BC"),
            ("4714-11-23 BC 23:00+00", "22008 timestamp out of range"),
        ],
    );
}

fn refusal(error: &Error, input: &str) -> String {
    let quoted = format!(": \"{input}\"");
    let message = error.message().strip_suffix(&quoted).unwrap_or(error.message());
    let usual = [
        "date/time field value out of range",
        "time zone displacement out of range",
        "invalid input syntax for type date",
        "invalid input syntax for type time",
        "invalid input syntax for type timestamp",
        "invalid input syntax for type timestamp with time zone",
    ];
    let told = if usual.contains(&message) { String::new() } else { format!(" {message}") };
    let hint = if error.fields().hint.is_some() { " hint" } else { "" };
    format!("{}{told}{hint}", error.state().0)
}

/// The form that programs write is read alike by its own reader and by the one for all forms.
#[test]
fn the_short_way_leads_to_the_same() {
    for input in [
        "2024-02-29",
        "0001-01-01",
        "9999-12-31",
        "2024-02-29 23:59:59",
        "2024-02-29T23:59:59.1",
        "2024-02-29 03:04:05.678901+05:30",
        "2024-02-29 03:04:05-15",
        "2024-02-29 03:04:05Z",
    ] {
        let iso = iso::read(input).unwrap_or_else(|| panic!("{input}"));
        let Ok(Read::At(local)) = fields::read_moment(input, &Session::of(Zone::UTC)) else {
            panic!("{input}")
        };
        assert_eq!((iso.days, iso.time), (local.days, local.time), "{input}");
        let west = Place::In(Zone::of_offset(-3600));
        let moment = |place: Option<Place>| place.unwrap_or(west).to_utc(microseconds_of(&local).unwrap());
        assert_eq!(moment(iso.east.map(Place::East)), moment(local.place), "{input}");
    }
    for other in [
        "2023-02-29",
        "2024-13-01",
        "0000-01-01",
        "2024-1-01",
        "2024-01-01 24:00:00",
        "2024-01-01 00:00:00.1234567",
    ] {
        assert!(iso::read(other).is_none(), "{other}");
    }
}

proptest! {
    #[test]
    fn dates_lead_back(days in DAY_MIN as i32..=DAY_MAX as i32) {
        let (year, month, day) = civil_from_days(i64::from(days));
        prop_assert_eq!(days_from_civil(year, month, day), i64::from(days));
        prop_assert_eq!(parse_date(&printed(|out| print_date(days, out)), Zone::UTC).unwrap(), days);
    }

    #[test]
    fn timestamps_lead_back(microseconds in -200_000_000_000_000_000i64..9_000_000_000_000_000_000, offset in -57_000i32..57_000) {
        prop_assert_eq!(parse_timestamp(&printed(|out| print_timestamp(microseconds, out)), Zone::UTC).unwrap(), microseconds);
        let text = printed(|out| print_timestamptz(microseconds, Zone::of_offset(offset), out));
        prop_assert_eq!(parse_timestamptz(&text, Zone::UTC).unwrap(), microseconds, "{}", text);
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,30}", digits in "[0-9:./TZ+ -]{0,30}") {
        let _ = (parse_timestamptz(&text, Zone::UTC), parse_timestamptz(&digits, Zone::UTC), parse_time(&digits, Zone::UTC), parse_date(&digits, Zone::UTC));
    }
}
