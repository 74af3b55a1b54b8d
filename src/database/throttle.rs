//! Long readings and writings of the background that leave the disk to others.

use std::time::{Duration, Instant};

/// Keeps below a number of bytes per second, from its beginning on.
pub struct Throttle {
    began: Instant,
    bytes: u64,
    /// 0: as fast as it goes.
    bytes_per_second_max: u64,
}

/// Shorter waits are not worth a system call.
const WAIT_MIN: Duration = Duration::from_millis(5);

impl Throttle {
    pub fn new(bytes_per_second_max: u64) -> Throttle {
        Throttle { began: Instant::now(), bytes: 0, bytes_per_second_max }
    }

    /// After so many more bytes: how long to wait, if at all.
    pub fn wait_after(&mut self, bytes: u64) -> Option<Duration> {
        self.bytes += bytes;
        if self.bytes_per_second_max == 0 {
            return None;
        }
        let wanted = Duration::from_secs_f64(self.bytes as f64 / self.bytes_per_second_max as f64);
        let ahead = wanted.saturating_sub(self.began.elapsed());
        (ahead > WAIT_MIN).then_some(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_as_long_as_the_bytes_take_at_the_rate() {
        let mut throttle = Throttle::new(1_000_000);
        let wait = throttle.wait_after(10_000_000).unwrap();
        assert!(wait <= Duration::from_secs(10) && wait > Duration::from_secs(9), "{wait:?}");
        let wait = throttle.wait_after(10_000_000).unwrap();
        assert!(wait > Duration::from_secs(19), "{wait:?}");
        assert_eq!(Throttle::new(1_000_000).wait_after(1_000), None);
        assert_eq!(Throttle::new(0).wait_after(u64::MAX), None);
    }
}
