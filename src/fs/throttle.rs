//! Long readings and writings of the background that leave the disk to others.

use std::time::{Duration, Instant};

/// Bytes that were read or written sooner than a rate lets them. The rate may be another each time it is asked for: what is
/// owed goes at the newest one, and what was not used of an earlier one is not kept for later.
#[derive(Debug, Default)]
pub struct Bucket {
    owed_bytes: f64,
    /// As of when; never, at first.
    at: Option<Instant>,
}

impl Bucket {
    /// After so many more bytes: how long it takes from now, at this rate, until nothing is owed.
    pub fn wait_after(&mut self, bytes: u64, bytes_per_second: u64, now: Instant) -> Duration {
        let rate = bytes_per_second.max(1) as f64;
        let since = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.owed_bytes = (self.owed_bytes - since.as_secs_f64() * rate).max(0.0) + bytes as f64;
        Duration::try_from_secs_f64(self.owed_bytes / rate).unwrap_or(Duration::MAX)
    }

    /// Nothing is owed any more.
    pub fn forget(&mut self) {
        self.owed_bytes = 0.0;
    }
}

/// Keeps below a number of bytes per second.
pub struct Throttle {
    bucket: Bucket,
    /// 0: as fast as it goes.
    bytes_per_second_max: u64,
}

/// Shorter waits are not worth a system call.
pub const WAIT_MIN: Duration = Duration::from_millis(5);

impl Throttle {
    pub fn new(bytes_per_second_max: u64) -> Throttle {
        Throttle { bucket: Bucket::default(), bytes_per_second_max }
    }

    /// After so many more bytes: how long to wait, if at all.
    pub fn wait_after(&mut self, bytes: u64) -> Option<Duration> {
        self.wait_after_at(bytes, Instant::now())
    }

    fn wait_after_at(&mut self, bytes: u64, now: Instant) -> Option<Duration> {
        if self.bytes_per_second_max == 0 {
            return None;
        }
        let wait = self.bucket.wait_after(bytes, self.bytes_per_second_max, now);
        (wait > WAIT_MIN).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_as_long_as_the_bytes_take_at_the_rate() {
        let (mut throttle, now) = (Throttle::new(1_000_000), Instant::now());
        assert_eq!(throttle.wait_after_at(10_000_000, now), Some(Duration::from_secs(10)));
        assert_eq!(throttle.wait_after_at(10_000_000, now), Some(Duration::from_secs(20)));
        let later = now + Duration::from_secs(15);
        assert_eq!(throttle.wait_after_at(1_000_000, later), Some(Duration::from_secs(6)));
        let idle = later + Duration::from_secs(1000);
        assert_eq!(throttle.wait_after_at(1_000, idle), None, "too short");
        assert_eq!(
            throttle.wait_after_at(999_000, idle),
            Some(Duration::from_secs(1)),
            "idle time is not kept"
        );
        assert_eq!(Throttle::new(0).wait_after_at(u64::MAX, now), None);
    }

    #[test]
    fn what_is_owed_goes_at_the_newest_rate() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        assert_eq!(bucket.wait_after(1000, 100, now), Duration::from_secs(10));
        assert_eq!(bucket.wait_after(0, 1000, now), Duration::from_secs(1));
        assert_eq!(bucket.wait_after(0, 200, now + Duration::from_secs(1)), Duration::from_secs(4));
        assert_eq!(bucket.wait_after(1000, 200, now + Duration::from_secs(9)), Duration::from_secs(5));
        bucket.forget();
        assert_eq!(bucket.wait_after(0, 1, now + Duration::from_secs(9)), Duration::ZERO);
        assert!(bucket.wait_after(u64::MAX, 0, now) > Duration::from_secs(1 << 40));
    }
}
