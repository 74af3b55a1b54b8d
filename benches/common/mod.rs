//! What several benches need.

#![allow(dead_code, reason = "each user needs a part")]

use std::time::Duration;

use hither::database::Stop;

/// The outcome of a statement that finds nobody in its way.
pub fn done<T>(outcome: Result<T, Stop>) -> T {
    match outcome {
        Ok(value) => value,
        Err(Stop::Error(error)) => panic!("{error}"),
        Err(Stop::Wait(_)) => panic!("nobody else writes these keys"),
    }
}

pub fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}

pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The next of 48 bits (SplitMix64).
pub fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)) >> 16
}
