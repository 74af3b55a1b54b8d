//! LISTEN, NOTIFY, UNLISTEN.
//!
//! ```text
//!   NOTIFY, pg_notify()   ──> the session's outbox ──COMMIT──> the mailbox of each listener ──idle──> client
//!   LISTEN, UNLISTEN      ──> the session's outbox ──COMMIT──> who listens to what
//! ```
//!
//! What a transaction says is heard when it has committed, and in the order of commits: transactions that notify commit
//! one at a time. A client hears between its transactions, never within one.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::error::{Error, Result, SqlState};

/// PostgreSQL's NAMEDATALEN.
const CHANNEL_BYTES_MAX: usize = 64;
/// PostgreSQL's NOTIFY_PAYLOAD_MAX_LENGTH.
const PAYLOAD_BYTES_MAX: usize = 8000;

/// A message for who listens to its channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notification {
    /// pg_backend_pid() of the session that notified.
    pub process_id: i32,
    pub channel: String,
    pub payload: String,
}

/// Who listens to what, in all sessions.
#[derive(Default)]
pub struct Exchange {
    listeners: Mutex<HashMap<String, Vec<Arc<Mailbox>>>>,
    /// Held from a commit that notifies until its messages are delivered.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Messages that a session has not told its client yet.
#[derive(Default)]
pub struct Mailbox {
    messages: Mutex<VecDeque<Notification>>,
    arrived: Notify,
}

/// LISTEN or UNLISTEN.
#[derive(Clone, Debug, PartialEq)]
pub enum Listening {
    Start(String),
    Stop(String),
    StopAll,
}

/// What a transaction will say and hear when it has committed.
#[derive(Default)]
pub struct Outbox {
    messages: Vec<Notification>,
    known: HashSet<Notification>,
    listening: Vec<Listening>,
}

/// How much was in an [`Outbox`] at a savepoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    messages: usize,
    listening: usize,
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.listening.is_empty()
    }

    pub fn notifies(&self) -> bool {
        !self.messages.is_empty()
    }

    /// Adds a message; the same message is sent once per transaction. 22023 for one that is too long.
    pub fn notify(&mut self, message: Notification) -> Result<()> {
        let invalid = |text: &str| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, text));
        if message.channel.is_empty() {
            return invalid("channel name cannot be empty");
        }
        if message.channel.len() >= CHANNEL_BYTES_MAX {
            return invalid("channel name too long");
        }
        if message.payload.len() >= PAYLOAD_BYTES_MAX {
            return invalid("payload string too long");
        }
        if self.known.insert(message.clone()) {
            self.messages.push(message);
        }
        Ok(())
    }

    pub fn listen(&mut self, listening: Listening) {
        self.listening.push(listening);
    }

    pub fn mark(&self) -> Mark {
        Mark { messages: self.messages.len(), listening: self.listening.len() }
    }

    /// Forgets what was added since.
    pub fn back_to(&mut self, mark: Mark) {
        for message in self.messages.drain(mark.messages.min(self.messages.len())..) {
            self.known.remove(&message);
        }
        self.listening.truncate(mark.listening);
    }
}

impl Exchange {
    /// The right to commit a transaction that notifies.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// The transaction has committed: its messages go out, and its session listens as it said.
    pub fn deliver(&self, outbox: Outbox, mailbox: &Arc<Mailbox>) {
        let mut listeners = self.listeners.lock();
        for listening in outbox.listening {
            match listening {
                Listening::Start(channel) => {
                    let known = listeners.entry(channel).or_default();
                    if !known.iter().any(|known| Arc::ptr_eq(known, mailbox)) {
                        known.push(Arc::clone(mailbox));
                    }
                }
                Listening::Stop(channel) => {
                    if let Some(known) = listeners.get_mut(&channel) {
                        known.retain(|known| !Arc::ptr_eq(known, mailbox));
                    }
                }
                Listening::StopAll => {
                    listeners
                        .values_mut()
                        .for_each(|known| known.retain(|known| !Arc::ptr_eq(known, mailbox)));
                }
            }
        }
        for message in outbox.messages {
            for listener in listeners.get(&message.channel).into_iter().flatten() {
                listener.messages.lock().push_back(message.clone());
                listener.arrived.notify_one();
            }
        }
        listeners.retain(|_, known| !known.is_empty());
    }

    /// The session is gone.
    pub fn leave(&self, mailbox: &Arc<Mailbox>) {
        let outbox = Outbox { listening: vec![Listening::StopAll], ..Outbox::default() };
        self.deliver(outbox, mailbox);
    }

    /// The channels a session listens to, in order of their names.
    pub fn channels(&self, mailbox: &Arc<Mailbox>) -> Vec<String> {
        let listeners = self.listeners.lock();
        let own = listeners.iter().filter(|(_, known)| known.iter().any(|known| Arc::ptr_eq(known, mailbox)));
        own.map(|(channel, _)| channel.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl Mailbox {
    /// The messages that have come, oldest first.
    pub fn take(&self) -> Vec<Notification> {
        self.messages.lock().drain(..).collect()
    }

    /// Returns when there is a message.
    pub async fn wait(&self) {
        while self.messages.lock().is_empty() {
            self.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(channel: &str, payload: &str) -> Notification {
        Notification { process_id: 1, channel: channel.into(), payload: payload.into() }
    }

    #[test]
    fn who_listens_hears_each_message_once_and_in_order() {
        let (exchange, mailbox) = (Exchange::default(), Arc::new(Mailbox::default()));
        let mut outbox = Outbox::default();
        outbox.listen(Listening::Start("a".into()));
        exchange.deliver(outbox, &mailbox);
        assert_eq!(exchange.channels(&mailbox), ["a"]);
        let mut outbox = Outbox::default();
        for (channel, payload) in [("a", "1"), ("b", "x"), ("a", "2"), ("a", "1")] {
            outbox.notify(message(channel, payload)).unwrap();
        }
        exchange.deliver(outbox, &Arc::default());
        assert_eq!(mailbox.take(), [message("a", "1"), message("a", "2")]);
        exchange.leave(&mailbox);
        assert!(exchange.channels(&mailbox).is_empty());
    }

    #[test]
    fn a_savepoint_takes_messages_back() {
        let mut outbox = Outbox::default();
        outbox.notify(message("a", "1")).unwrap();
        let mark = outbox.mark();
        outbox.notify(message("a", "2")).unwrap();
        outbox.back_to(mark);
        outbox.notify(message("a", "2")).unwrap();
        assert_eq!(outbox.messages, [message("a", "1"), message("a", "2")]);
        assert!(outbox.notify(message("", "")).is_err());
        assert!(outbox.notify(message("a", &"x".repeat(8000))).is_err());
    }
}
