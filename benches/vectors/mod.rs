//! What benches over vectors need.

#![allow(dead_code, reason = "each user needs a part")]

use std::path::Path;
use std::sync::Arc;

use hither::distance::Element;
use hither::fs::DiskFs;
use hither::vectors::{Column, View};

/// The vectors in a mapped column.
pub fn stored(values: &[f32], dimensions: usize, at: &Path) -> View {
    let shape = (Element::F32, dimensions);
    let column = Column::create(Arc::new(DiskFs), at, 1, shape).expect("a column");
    column.reserve((values.len() / dimensions) as u32).expect("room");
    for (slot, vector) in values.chunks_exact(dimensions).enumerate() {
        let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
        column.write_run(slot as u32, &[Some(&bytes)]).expect("a write");
    }
    column.view()
}

/// The next number between 0 and 1 (the upper half of a linear congruential generator).
pub fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f32 / (1 << 24) as f32
}

/// Seconds of processor time of this thread.
pub fn thread_cpu() -> f64 {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Of all threads.
pub fn process_cpu() -> f64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

#[allow(unsafe_code, reason = "std has no CPU clocks")]
fn clock(which: libc::clockid_t) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    let result = unsafe { libc::clock_gettime(which, &mut time) };
    assert_eq!(result, 0, "a CPU clock");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
