//! Who may cancel what: a process number and a secret per connection.
//!
//! A CancelRequest arrives on a connection of its own, which the listener's thread answers while the session's own
//! computes; it raises the session's flag, which loops look at and waits listen to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::sql::CancelFlag;
use crate::sql::cancel::Reason;

/// Bytes of a secret in protocol 3.2; as in PostgreSQL 18.
const SECRET_BYTES: usize = 32;
/// Bytes of a secret in protocol 3.0, which has room for no more.
const SECRET_BYTES_OLD: usize = 4;

/// All connections that can be cancelled.
#[derive(Default)]
pub struct Cancels {
    last: AtomicU32,
    by_process: Mutex<HashMap<i32, Target>>,
}

struct Target {
    secret: Bytes,
    flag: Arc<CancelFlag>,
}

/// A connection's entry; gone when it is dropped.
pub struct Registration {
    cancels: Arc<Cancels>,
    pub process: i32,
    pub secret: Bytes,
}

impl Cancels {
    /// `long` secrets are for protocol 3.2.
    pub fn register(self: &Arc<Cancels>, flag: Arc<CancelFlag>, long: bool) -> Registration {
        let bytes = if long { SECRET_BYTES } else { SECRET_BYTES_OLD };
        let secret = random_bytes(bytes);
        let process = self.next_process();
        self.by_process.lock().insert(process, Target { secret: secret.clone(), flag });
        Registration { cancels: self.clone(), process, secret }
    }

    /// Positive and not in use.
    fn next_process(&self) -> i32 {
        let taken = self.by_process.lock();
        loop {
            let process = (self.last.fetch_add(1, Ordering::Relaxed) & 0x7fff_ffff) as i32;
            if process != 0 && !taken.contains_key(&process) {
                return process;
            }
        }
    }

    /// A wrong secret changes nothing and is not answered, as in PostgreSQL.
    pub fn cancel(&self, process: i32, secret: &[u8]) {
        let by_process = self.by_process.lock();
        match by_process.get(&process) {
            Some(target) if same(&target.secret, secret) => target.flag.raise(Reason::UserRequest),
            Some(_) => log::warn!("wrong key in cancel request for process {process}"),
            None => log::info!("cancel request for process {process}, which does not exist"),
        }
    }

    /// Ends every running statement, for a shutdown that has waited long enough.
    pub fn cancel_all(&self) {
        for target in self.by_process.lock().values() {
            target.flag.raise(Reason::Shutdown);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.cancels.by_process.lock().remove(&self.process);
    }
}

/// Compares without telling by its time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// From the operating system's generator, by way of random UUIDs (122 of 128 bits are random).
fn random_bytes(count: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(count + 16);
    while bytes.len() < count {
        // Halves are folded onto each other, so that the UUID's six fixed bits are covered by random ones.
        let uuid = uuid::Uuid::new_v4().into_bytes();
        bytes.extend((0..8).map(|i| uuid[i] ^ uuid[(i + 11) % 16]));
    }
    bytes.truncate(count);
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_secret_cancels() {
        let cancels = Arc::new(Cancels::default());
        let flag = Arc::new(CancelFlag::default());
        let registration = cancels.register(flag.clone(), true);
        assert_eq!(registration.secret.len(), SECRET_BYTES);
        cancels.cancel(registration.process, &[0; SECRET_BYTES]);
        cancels.cancel(registration.process, &registration.secret[..4]);
        cancels.cancel(registration.process + 1, &registration.secret);
        assert!(!flag.is_raised());
        cancels.cancel(registration.process, &registration.secret);
        assert!(flag.is_raised());
        let process = registration.process;
        drop(registration);
        assert!(!cancels.by_process.lock().contains_key(&process));
    }
}
