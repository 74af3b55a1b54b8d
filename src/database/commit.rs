//! Group commit: whoever comes first commits for all who wait.
//!
//! ```text
//!  connection 1   submit -> Lead    append | fdatasync ....... | hand on | publish 1
//!  connection 2   submit -> Follow         (queued)              Lead: append | fdatasync ...... | publish 2, 3
//!  connection 3   submit -> Follow         (queued)              (queued)     .......              answered by 2
//! ```
//!
//! There is no log thread: a lone connection pays one write and one fdatasync and no hop to another thread, and
//! while one leader waits for the disk everybody else's commits gather for the next. The leader does, in this order:
//!
//! 1. takes all that is queued, its own commit first,
//! 2. appends the records of all in one call: their order in the log is the order of the queue,
//! 3. makes them durable with one sync,
//! 4. hands leadership to the first commit that was queued meanwhile, so that the disk has the next group to write
//!    while this one is published,
//! 5. publishes its group in log order (a group waits until the one before is published), and answers its followers.
//!
//! A group of which nobody waits for the disk (`synchronous_commit = off`) is published without the sync, which follows
//! within [`LATE`]: a crash of the machine before that loses its commits, from the last one on and never half of one.
//!
//! A failed append (a full disk is one) or sync fails every commit of the group, and publishes none. What was
//! appended but not known to be durable is decided by recovery; nobody was told that it is there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::error::Result;
use crate::log::{Log, Position, Record};

/// How long commits that do not wait for the disk may not be there: PostgreSQL's `wal_writer_delay`.
pub const LATE: Duration = Duration::from_millis(200);

/// What a transaction wants committed.
pub trait Work: Send + 'static {
    /// Its records in order; the last is its Commit.
    fn records<'a>(&'a self, records: &mut Vec<Record<'a>>);

    /// Whether it is acknowledged only when it is on disk.
    fn waits_for_disk(&self) -> bool;
}

/// Makes durable work visible. Called in log order, by one thread at a time.
pub trait Publish<W>: Send + Sync + 'static {
    /// An error is one that nothing may follow: the publisher refuses all work from then on.
    fn publish(&self, commit: Position, work: W) -> Result<()>;
}

/// The queue of commits of one log.
pub struct Commits<W: Work> {
    log: Arc<dyn Log>,
    publisher: Arc<dyn Publish<W>>,
    queue: Mutex<Queue<W>>,
    /// Whether something was published that may not be on disk.
    is_late: AtomicBool,
    /// Held from the append of a group until it is durable and has its turn to be published.
    appending: Mutex<()>,
    /// Held while a group is published.
    publishing: Mutex<()>,
}

/// While this lives every commit in the log is published, and none is appended.
pub struct Pause<'a> {
    _appending: MutexGuard<'a, ()>,
    _publishing: MutexGuard<'a, ()>,
}

struct Queue<W: Work> {
    waiting: VecDeque<Request<W>>,
    /// Whether some leader is at work or has been told to be; then new commits follow.
    led: bool,
}

struct Request<W: Work> {
    work: W,
    /// `None` for the leader's own, which it answers itself.
    answer: Option<Arc<Mutex<Answer<W>>>>,
}

/// Where a follower's outcome and its callback meet; either may come first.
enum Answer<W: Work> {
    Nothing,
    Callback(Callback<W>),
    Outcome(Follower<W>),
    Given,
}

type Callback<W> = Box<dyn FnOnce(Follower<W>) + Send>;

/// What became of a submission.
pub enum Submitted<W: Work> {
    Lead(Leader<W>),
    Follow(Pending<W>),
}

/// What a follower hears.
pub enum Follower<W: Work> {
    Done(Result<Position>),
    /// The leader before has handed on: call [`Leader::lead`].
    Lead(Leader<W>),
}

/// The right and the duty to commit what is queued, own commit first. Dropped, it does its duty on the spot.
pub struct Leader<W: Work> {
    commits: Option<Arc<Commits<W>>>,
}

/// A commit that waits for its leader.
pub struct Pending<W: Work> {
    answer: Arc<Mutex<Answer<W>>>,
}

impl<W: Work> Commits<W> {
    pub fn new(log: Arc<dyn Log>, publisher: Arc<dyn Publish<W>>) -> Arc<Commits<W>> {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), led: false });
        Arc::new(Commits {
            log,
            publisher,
            queue,
            is_late: AtomicBool::new(false),
            appending: Mutex::default(),
            publishing: Mutex::default(),
        })
    }

    /// Queues the work. The position that the leader's or follower's outcome carries is that of its Commit record.
    pub fn submit(self: &Arc<Self>, work: W) -> Submitted<W> {
        let mut queue = self.queue.lock();
        if !queue.led {
            queue.led = true;
            queue.waiting.push_front(Request { work, answer: None });
            return Submitted::Lead(Leader { commits: Some(self.clone()) });
        }
        let answer = Arc::new(Mutex::new(Answer::Nothing));
        queue.waiting.push_back(Request { work, answer: Some(answer.clone()) });
        Submitted::Follow(Pending { answer })
    }

    /// A moment between groups: every commit in the log is published, and while this is held none is appended.
    pub fn pause(&self) -> Pause<'_> {
        // In a leader's order.
        let appending = self.appending.lock();
        Pause { _appending: appending, _publishing: self.publishing.lock() }
    }

    /// Submits and waits, on whichever side.
    pub fn commit(self: &Arc<Self>, work: W) -> Result<Position> {
        match self.submit(work) {
            Submitted::Lead(leader) => leader.lead(),
            Submitted::Follow(pending) => pending.wait(),
        }
    }

    /// Makes durable what was published before it was. An error is one that the log repeats to all who commit.
    pub fn sync_late(&self) -> Result<()> {
        // Noted by who has appended: what is noted again from here on is synced again.
        if self.is_late.swap(false, Ordering::AcqRel) { self.log.sync().map(drop) } else { Ok(()) }
    }

    /// One group, from queue to answers; returns the outcome of its first commit, the leader's own.
    fn lead(self: &Arc<Self>) -> Result<Position> {
        let appending = self.appending.lock();
        let group: Vec<Request<W>> = self.queue.lock().waiting.drain(..).collect();
        assert!(!group.is_empty(), "a leader's own commit is in the queue until it leads");
        let durable = self.make_durable(&group);
        // Before the next group may be appended: publishing goes in the order of the log.
        let publishing = self.publishing.lock();
        drop(appending);
        self.hand_on();
        match durable {
            Ok(positions) => self.publish_all(group, &positions, publishing),
            Err(error) => {
                drop(publishing);
                for request in group {
                    // The work goes first, and with it the transaction's locks: who hears of the failure may retry.
                    drop(request.work);
                    answer(request.answer, Follower::Done(Err(error.clone())));
                }
                Err(error)
            }
        }
    }

    /// The position of each commit, in order. Durable unless nobody waits for that.
    fn make_durable(&self, group: &[Request<W>]) -> Result<Vec<Position>> {
        let mut records = Vec::with_capacity(2 * group.len());
        let mut ends = Vec::with_capacity(group.len());
        for request in group {
            request.work.records(&mut records);
            ends.push(records.len());
        }
        let positions = self.log.append(&records)?;
        if group.iter().any(|request| request.work.waits_for_disk()) {
            self.log.sync()?;
        } else {
            self.is_late.store(true, Ordering::Release);
        }
        Ok(ends.into_iter().map(|end| positions[end - 1]).collect())
    }

    fn publish_all(
        &self,
        group: Vec<Request<W>>,
        positions: &[Position],
        publishing: MutexGuard<'_, ()>,
    ) -> Result<Position> {
        let mut outcomes = Vec::with_capacity(group.len());
        for (request, &position) in group.into_iter().zip(positions) {
            let outcome = self.publisher.publish(position, request.work).map(|()| position);
            outcomes.push((request.answer, outcome));
        }
        drop(publishing);
        let own = outcomes[0].1.clone();
        for (follower, outcome) in outcomes {
            answer(follower, Follower::Done(outcome));
        }
        own
    }

    /// Makes the first of those who queued meanwhile the next leader.
    fn hand_on(self: &Arc<Self>) {
        let mut queue = self.queue.lock();
        let Some(first) = queue.waiting.front_mut() else {
            queue.led = false;
            return;
        };
        let follower = first.answer.take();
        drop(queue);
        answer(follower, Follower::Lead(Leader { commits: Some(self.clone()) }));
    }
}

/// Tells a follower, or leaves the outcome where its callback will find it.
fn answer<W: Work>(follower: Option<Arc<Mutex<Answer<W>>>>, outcome: Follower<W>) {
    let Some(follower) = follower else { return };
    let mut state = follower.lock();
    if let Answer::Callback(callback) = std::mem::replace(&mut *state, Answer::Given) {
        drop(state);
        callback(outcome);
    } else {
        *state = Answer::Outcome(outcome);
    }
}

impl<W: Work> Leader<W> {
    /// Commits all that is queued; returns where this transaction's own Commit record is.
    pub fn lead(mut self) -> Result<Position> {
        let commits = self.commits.take().expect("taken here and in drop only, and both consume the leader");
        commits.lead()
    }
}

impl<W: Work> Drop for Leader<W> {
    fn drop(&mut self) {
        // A cancelled task must not leave the queue without a leader. Nobody is left to hear the outcome.
        if let Some(commits) = self.commits.take() {
            let _ = commits.lead();
        }
    }
}

impl<W: Work> Pending<W> {
    /// Calls back once: perhaps at once, perhaps from the leader's thread, which must not be kept.
    pub fn on_done(self, callback: Callback<W>) {
        let mut state = self.answer.lock();
        match std::mem::replace(&mut *state, Answer::Given) {
            Answer::Outcome(outcome) => {
                drop(state);
                callback(outcome);
            }
            _ => *state = Answer::Callback(callback),
        }
    }

    /// Blocks until it is committed, leading when it is this one's turn.
    pub fn wait(self) -> Result<Position> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.on_done(Box::new(move |outcome| {
            // The receiver below waits as long as the sender lives.
            let _ = sender.send(outcome);
        }));
        match receiver.recv().expect("a follower is always answered: a leader that is dropped leads") {
            Follower::Done(outcome) => outcome,
            Follower::Lead(leader) => leader.lead(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, SqlState};
    use crate::log::TxnId;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    /// Of numbers from [`HURRIED`] on nobody waits for the disk.
    struct Note(u64);

    const HURRIED: u64 = 1 << 32;

    impl Work for Note {
        fn records<'a>(&'a self, records: &mut Vec<Record<'a>>) {
            records.push(Record::Commit { txn: TxnId(self.0), time: None });
        }

        fn waits_for_disk(&self) -> bool {
            self.0 < HURRIED
        }
    }

    /// A log that numbers records, counts syncs and can be told to fail or to dawdle.
    #[derive(Default)]
    struct SlowLog {
        end: AtomicU64,
        syncs: AtomicU64,
        failing: AtomicBool,
    }

    impl Log for SlowLog {
        fn append(&self, records: &[Record]) -> Result<Vec<Position>> {
            if self.failing.load(Ordering::Relaxed) {
                return Err(Error::new(SqlState::DISK_FULL, "full"));
            }
            Ok(records.iter().map(|_| Position(self.end.fetch_add(1, Ordering::Relaxed) + 1)).collect())
        }
        fn sync(&self) -> Result<Position> {
            std::thread::sleep(std::time::Duration::from_micros(200));
            self.syncs.fetch_add(1, Ordering::Relaxed);
            Ok(self.end())
        }
        fn end(&self) -> Position {
            Position(self.end.load(Ordering::Relaxed) + 1)
        }
        fn replay(&self, _: Position, _: &mut dyn FnMut(Position, Record) -> Result<()>) -> Result<()> {
            Ok(())
        }
        fn truncate_before(&self, _: Position) -> Result<()> {
            Ok(())
        }
        fn bytes(&self) -> u64 {
            0
        }
    }

    #[derive(Default)]
    struct Published(Mutex<Vec<(u64, u64)>>);

    impl Publish<Note> for Published {
        fn publish(&self, commit: Position, work: Note) -> Result<()> {
            self.0.lock().push((commit.0, work.0));
            Ok(())
        }
    }

    #[test]
    fn every_commit_is_published_once_in_log_order_and_groups_share_syncs() {
        let (log, published) = (Arc::new(SlowLog::default()), Arc::new(Published::default()));
        let commits = Commits::new(log.clone(), published.clone());
        std::thread::scope(|scope| {
            for writer in 0..8_u64 {
                let (commits, published) = (&commits, &published);
                scope.spawn(move || {
                    for i in 0..50 {
                        let note = writer * 1000 + i;
                        let at = commits.commit(Note(note)).unwrap();
                        assert!(published.0.lock().contains(&(at.0, note)), "acknowledged before published");
                    }
                });
            }
        });
        let published = published.0.lock();
        assert_eq!(published.len(), 400);
        assert!(published.windows(2).all(|pair| pair[0].0 < pair[1].0), "published out of log order");
        let syncs = log.syncs.load(Ordering::Relaxed);
        assert!(syncs < 400, "{syncs} syncs for 400 commits of 8 writers");
    }

    #[test]
    fn a_failed_append_fails_the_group_and_later_commits_go_on() {
        let (log, published) = (Arc::new(SlowLog::default()), Arc::new(Published::default()));
        let commits = Commits::new(log.clone(), published.clone());
        log.failing.store(true, Ordering::Relaxed);
        assert_eq!(commits.commit(Note(1)).unwrap_err().state(), SqlState::DISK_FULL);
        log.failing.store(false, Ordering::Relaxed);
        commits.commit(Note(2)).unwrap();
        assert_eq!(published.0.lock().iter().map(|p| p.1).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn who_does_not_wait_for_the_disk_is_synced_later_or_with_who_does() {
        let (log, published) = (Arc::new(SlowLog::default()), Arc::new(Published::default()));
        let commits = Commits::new(log.clone(), published.clone());
        let syncs = || log.syncs.load(Ordering::Relaxed);
        for n in 0..10 {
            commits.commit(Note(HURRIED + n)).unwrap();
        }
        assert_eq!((published.0.lock().len(), syncs()), (10, 0));
        commits.sync_late().unwrap();
        commits.sync_late().unwrap();
        assert_eq!(syncs(), 1, "nothing is late any more");
        // One group of both kinds.
        let Submitted::Lead(leader) = commits.submit(Note(HURRIED)) else { panic!("the first leads") };
        let Submitted::Follow(pending) = commits.submit(Note(1)) else { panic!("the second follows") };
        leader.lead().unwrap();
        pending.wait().unwrap();
        assert_eq!(syncs(), 2);
    }

    #[test]
    fn a_dropped_leader_still_commits_for_its_followers() {
        let (log, published) = (Arc::new(SlowLog::default()), Arc::new(Published::default()));
        let commits = Commits::new(log, published.clone());
        let Submitted::Lead(leader) = commits.submit(Note(1)) else { panic!("the first leads") };
        let Submitted::Follow(pending) = commits.submit(Note(2)) else { panic!("the second follows") };
        drop(leader);
        pending.wait().unwrap();
        assert_eq!(published.0.lock().len(), 2);
    }

    #[test]
    fn a_dropped_pending_is_committed_and_does_not_stop_the_queue() {
        let (log, published) = (Arc::new(SlowLog::default()), Arc::new(Published::default()));
        let commits = Commits::new(log, published.clone());
        let Submitted::Lead(leader) = commits.submit(Note(1)) else { panic!("the first leads") };
        drop(commits.submit(Note(2)));
        leader.lead().unwrap();
        commits.commit(Note(3)).unwrap();
        assert_eq!(published.0.lock().iter().map(|p| p.1).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
