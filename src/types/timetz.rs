//! `time with time zone`: what a clock shows, and how far west of Greenwich it hangs.
//!
//! Values order by the moment of the day they are in Greenwich, and those of one moment by their zones, the more western
//! later; so no two values that look different are equal. [`Timetz::to_bytes`] are 12 bytes that order the same way, which
//! rows, keys and Arrow cells hold.

use crate::error::{Error, Result, SqlState};
use crate::types::Zone;
use crate::types::datetime::{self, MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND};

/// PostgreSQL's limit of a zone, in seconds (its TZDISP_LIMIT).
const WEST_LIMIT: i32 = 16 * 3600;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timetz {
    /// Since midnight, as the clock shows it.
    pub microseconds: i64,
    /// Seconds west of Greenwich, as PostgreSQL counts zones.
    pub west: i32,
}

impl Timetz {
    /// Bytes of [`Timetz::to_bytes`].
    pub const BYTES: usize = 12;

    /// What a clock that is some seconds ahead of Greenwich shows.
    pub fn east(microseconds: i64, east_seconds: i32) -> Timetz {
        Timetz { microseconds, west: -east_seconds }
    }

    /// A time of today's in a zone.
    pub fn today(microseconds: i64, zone: Zone) -> Timetz {
        let midnight = datetime::now(zone).0.div_euclid(MICROSECONDS_PER_DAY) * MICROSECONDS_PER_DAY;
        Timetz::east(microseconds, zone.offset_of_local(midnight + microseconds))
    }

    /// What clocks of a zone show at a moment, in microseconds since 1970 UTC; `None` of infinities.
    pub fn at(moment: i64, zone: Zone) -> Option<Timetz> {
        let local = zone.to_local(moment);
        let is_finite = moment != i64::MAX && moment != i64::MIN;
        is_finite.then(|| Timetz::east(local.rem_euclid(MICROSECONDS_PER_DAY), zone.offset_at(moment)))
    }

    /// Microseconds since midnight in Greenwich, of the day before or after where it is another.
    pub fn in_greenwich(self) -> i64 {
        self.microseconds + i64::from(self.west) * MICROSECONDS_PER_SECOND
    }

    /// The same moment on a clock elsewhere.
    pub fn moved(self, east_seconds: i32) -> Timetz {
        let shown = self.in_greenwich() + i64::from(east_seconds) * MICROSECONDS_PER_SECOND;
        Timetz::east(shown.rem_euclid(MICROSECONDS_PER_DAY), east_seconds)
    }

    /// With so many digits of a second.
    pub fn rounded(self, digits: Option<u8>) -> Timetz {
        Timetz { microseconds: datetime::rounded_time(self.microseconds, digits), ..self }
    }

    /// Bytes that order as values do: the moment in Greenwich, then the zone, big-endian with their signs turned.
    pub fn to_bytes(self) -> [u8; Timetz::BYTES] {
        let mut bytes = [0; Timetz::BYTES];
        let (moment, zone) = bytes.split_at_mut(8);
        moment.copy_from_slice(&(self.in_greenwich() as u64 ^ 1 << 63).to_be_bytes());
        zone.copy_from_slice(&(self.west as u32 ^ 1 << 31).to_be_bytes());
        bytes
    }

    /// The inverse of [`Timetz::to_bytes`]; `None` for the bytes of no value.
    pub fn from_bytes(bytes: &[u8]) -> Option<Timetz> {
        let (moment, zone) = bytes.split_first_chunk::<8>()?;
        let in_greenwich = (u64::from_be_bytes(*moment) ^ 1 << 63) as i64;
        let west = (u32::from_be_bytes(zone.try_into().ok()?) ^ 1 << 31) as i32;
        let microseconds = in_greenwich.checked_sub(i64::from(west) * MICROSECONDS_PER_SECOND)?;
        Timetz { microseconds, west }.checked().ok()
    }

    /// PostgreSQL's binary form.
    pub fn send(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.microseconds.to_be_bytes());
        out.extend_from_slice(&self.west.to_be_bytes());
    }

    /// The inverse of [`Timetz::send`].
    pub fn receive(bytes: [u8; Timetz::BYTES]) -> Result<Timetz> {
        let [a, b, c, d, e, f, g, h, zone @ ..] = bytes;
        let microseconds = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Timetz { microseconds, west: i32::from_be_bytes(zone) }.checked()
    }

    fn checked(self) -> Result<Timetz> {
        if !(0..=MICROSECONDS_PER_DAY).contains(&self.microseconds) {
            return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"));
        }
        if !(-WEST_LIMIT + 1..WEST_LIMIT).contains(&self.west) {
            let state = SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE;
            return Err(Error::new(state, "time zone displacement out of range"));
        }
        Ok(self)
    }
}

/// `13:05:06.789+02`
pub fn print(time: Timetz, out: &mut Vec<u8>) {
    datetime::print_time(time.microseconds, out);
    datetime::print_offset(-time.west, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Timetz {
        datetime::parse_timetz(text, Zone::UTC).unwrap()
    }

    #[test]
    fn bytes_order_as_moments_do_and_lead_back() {
        let ordered = ["00:00+15:59", "12:00+02", "11:00+01", "10:00", "09:00-01", "24:00", "24:00-15:59:59"];
        let times = ordered.map(read);
        for pair in times.windows(2) {
            assert!(pair[0].to_bytes() < pair[1].to_bytes(), "{pair:?}");
        }
        for time in times {
            assert_eq!(Timetz::from_bytes(&time.to_bytes()), Some(time));
            let mut sent = Vec::new();
            time.send(&mut sent);
            assert_eq!(Timetz::receive(sent.try_into().unwrap()).unwrap(), time);
        }
        assert_eq!(Timetz::from_bytes(&[0; 12]), None);
        assert_eq!(Timetz::from_bytes(&[0; 3]), None);
    }

    #[test]
    fn another_clock_shows_the_same_moment() {
        assert_eq!(read("01:00+02").moved(-3600), Timetz::east(22 * 3600 * MICROSECONDS_PER_SECOND, -3600));
        assert_eq!(read("23:30-01").moved(0), Timetz::east(1800 * MICROSECONDS_PER_SECOND, 0));
    }

    #[test]
    fn what_is_no_time_of_a_zone_is_refused() {
        let received = |microseconds: i64, west: i32| {
            let bytes = [&microseconds.to_be_bytes()[..], &west.to_be_bytes()].concat();
            Timetz::receive(bytes.try_into().unwrap()).map_err(|error| error.message().to_owned())
        };
        assert_eq!(received(-1, 0), Err("time out of range".into()));
        assert_eq!(received(MICROSECONDS_PER_DAY + 1, 0), Err("time out of range".into()));
        assert_eq!(received(0, WEST_LIMIT), Err("time zone displacement out of range".into()));
        assert_eq!(received(0, -WEST_LIMIT), Err("time zone displacement out of range".into()));
        assert!(received(MICROSECONDS_PER_DAY, 1 - WEST_LIMIT).is_ok());
    }
}
