//! A table whose flushes fail or hang, beside another one.

use std::io::ErrorKind;
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::error::{Result, SqlState};
use crate::fs::FaultyFs;
use crate::fs::faulty::{Fault, Faults, Op, What};

struct Two {
    memory: MemoryFs,
    faults: Arc<Faults>,
    database: Arc<Database>,
    /// The one that faults meet, and the folder of its sorted tables.
    sick: Oid,
    folder: String,
    sound: Oid,
    next: i64,
}

impl Two {
    fn new(flush_wait_max: Duration) -> Two {
        let memory = MemoryFs::new();
        let (fs, faults) = FaultyFs::new(memory.clone());
        let storage = crate::storage::Options {
            frozen_memtables_max: 2,
            flush_wait_max,
            ..crate::storage::Options::tiny()
        };
        let database = Database::open(fs, Path::new("/db"), Options { storage, ..options() }).unwrap();
        let mut txn = database.begin(Isolation::ReadCommitted);
        let (sick, sound) = (create_u(&mut txn, "sick"), create_u(&mut txn, "sound"));
        txn.commit().unwrap();
        let storage = database.catalog().table_by_oid(sick).unwrap().storage;
        Two { memory, faults, database, sick, folder: format!("tables/{storage}/"), sound, next: 0 }
    }

    /// Of the sorted tables of the sick table only.
    fn within(&self) {
        let folder = self.folder.clone();
        self.faults.only(move |path| {
            let path = path.to_string_lossy();
            path.contains(&folder) && path.ends_with(".sst")
        });
    }

    fn insert(&mut self, table: Oid) -> Result<i64> {
        let id = self.next;
        self.next += 1;
        let mut txn = self.database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        match txn.insert(table, &[row(id, &"x".repeat(200))], OnConflict::Error) {
            Ok(_) => txn.commit().map(|_| id),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Wait(waiter)) => panic!("{waiter:?}"),
        }
    }

    /// Rows for the sick table until one is not taken: those that were, and the error.
    fn fill(&mut self) -> (Vec<i64>, Error) {
        let mut taken = Vec::new();
        loop {
            match self.insert(self.sick) {
                Ok(id) => taken.push(id),
                Err(error) => return (taken, error),
            }
            assert!(taken.len() < 1000, "nothing waits or refuses");
        }
    }

    fn ids(&self, table: Oid) -> Vec<i64> {
        all(&self.database, table).into_iter().map(|(id, _)| id).collect()
    }

    /// Flushes of the sick table that have begun hang until the sender is dropped.
    fn hang(&self) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (begun, has_begun) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let (hanging, folder) = (Mutex::new((begun, gone)), self.folder.clone());
        self.faults.observe(Op::CREATE, move |_, path| {
            let path = path.to_string_lossy();
            if path.contains(&folder) && path.ends_with(".sst") {
                let hanging = hanging.lock();
                let _ = hanging.0.send(());
                // An error is the end of the wait.
                let _ = hanging.1.recv();
            }
        });
        (has_begun, go)
    }
}

#[test]
fn a_table_that_cannot_be_flushed_stops_nobody_else() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for on in [Op::CREATE, Op::WRITE, Op::SYNC] {
            let case = format!("{kind:?} at {on:?}");
            let mut two = Two::new(Duration::from_secs(60));
            two.within();
            two.faults.arm(Fault { at: 1, on, what: What::FailFromHere(kind) });
            let (taken, error) = two.fill();
            let state = if kind == ErrorKind::Other { SqlState::IO_ERROR } else { SqlState::DISK_FULL };
            assert_eq!(error.state(), state, "{case}: {error}");
            assert!(error.message().contains(".sst"), "{case}: it says what failed: {error}");
            let sound: Vec<i64> = (0..100).map(|_| two.insert(two.sound).unwrap()).collect();
            assert_eq!(two.insert(two.sick).unwrap_err().state(), state, "{case}");
            assert_eq!(two.ids(two.sick), taken, "{case}: what was refused is not there");
            assert_eq!(two.ids(two.sound), sound, "{case}");
            assert_eq!(two.database.storage_stats().flushes_failing, 1, "{case}: and it is told");
            let crashed = open(&Arc::new(two.memory.crash(1)));
            for (table, rows) in [(two.sick, &taken), (two.sound, &sound)] {
                let ids: Vec<i64> = all(&crashed, table).into_iter().map(|(id, _)| id).collect();
                assert_eq!(ids, *rows, "{case}: after a crash");
            }
            two.faults.disarm();
            while two.database.step_storage().unwrap() {}
            two.insert(two.sick).unwrap();
            two.database.checkpoint().unwrap();
            two.database.check().unwrap();
        }
    }
}

#[test]
fn a_wait_that_ends_with_an_error_leaves_nothing_of_the_commit() {
    let mut two = Two::new(Duration::ZERO);
    let (has_begun, go) = two.hang();
    two.database.core().store.start_background().unwrap();
    let (taken, error) = two.fill();
    assert_eq!(error.state(), SqlState::OUT_OF_MEMORY, "{error}");
    has_begun.recv().unwrap();
    // Neither does one that writes to both.
    let mut txn = two.database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    for table in [two.sound, two.sick] {
        done(txn.insert(table, &[row(5000, "both")], OnConflict::Error));
    }
    let error = txn.commit().unwrap_err();
    assert_eq!(error.state(), SqlState::OUT_OF_MEMORY, "{error}");
    let id = two.insert(two.sound).unwrap();
    assert_eq!(two.ids(two.sound), [id]);
    assert_eq!(two.ids(two.sick), taken);
    let crashed = open(&Arc::new(two.memory.crash(1)));
    assert_eq!(all(&crashed, two.sick).len(), taken.len(), "nothing of it is in the log");
    assert_eq!(all(&crashed, two.sound).len(), 1);
    drop(go);
    two.database.core().store.stop_background();
    while two.database.step_storage().unwrap() {}
    two.insert(two.sick).unwrap();
    two.database.check().unwrap();
}

#[test]
fn a_commit_that_waits_for_a_flush_holds_up_no_other_and_can_be_cancelled() {
    let mut two = Two::new(Duration::from_secs(3600));
    let (has_begun, go) = two.hang();
    two.database.core().store.start_background().unwrap();
    let (waits, is_waiting) = mpsc::channel();
    let cancel = Arc::new(AtomicBool::new(false));
    let (database, sick, flag) = (two.database.clone(), two.sick, cancel.clone());
    let writer = std::thread::spawn(move || {
        for id in 0.. {
            let mut txn = database.begin(Isolation::ReadCommitted);
            txn.start_statement();
            done(txn.insert(sick, &[row(id, &"x".repeat(200))], OnConflict::Error));
            let room = txn.make_room(&mut || {
                let _ = waits.send(());
                crate::error::check_cancel(&flag)
            });
            if let Err(error) = room {
                return (id, error);
            }
            txn.commit().unwrap();
        }
        unreachable!("some insert waits")
    });
    has_begun.recv().unwrap();
    is_waiting.recv().unwrap();
    assert_eq!(two.database.storage_stats().stalled, 1, "it is seen to wait");
    let sound: Vec<i64> = (0..30).map(|_| two.insert(two.sound).unwrap()).collect();
    assert_eq!(two.ids(two.sound), sound, "others commit meanwhile");
    cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    let (rows, error) = writer.join().unwrap();
    assert_eq!(error.state(), SqlState::QUERY_CANCELED);
    assert_eq!(two.ids(two.sick), (0..rows).collect::<Vec<_>>());
    let stats = two.database.storage_stats();
    assert!(stats.stalled == 0 && stats.stalls > 0, "{stats:?}");
    drop(go);
    two.database.core().store.stop_background();
    two.next = rows;
    while two.database.step_storage().unwrap() {}
    two.insert(two.sick).unwrap();
}

/// Nobody waited for room before a commit that is replayed.
#[test]
fn recovery_flushes_what_it_replays() {
    let mut two = Two::new(Duration::from_secs(60));
    let sound: Vec<i64> = (0..400).map(|_| two.insert(two.sound).unwrap()).collect();
    let crashed = Arc::new(two.memory.crash(1));
    let fs: Arc<dyn Fs> = crashed.clone();
    let storage = crate::storage::Options { frozen_memtables_max: 2, ..crate::storage::Options::tiny() };
    let opened = Database::open(fs, Path::new("/db"), Options { storage, ..options() }).unwrap();
    assert_eq!(all(&opened, two.sound).len(), sound.len());
    let bytes = opened.storage_stats().memtable_bytes;
    assert!(bytes < 5 * crate::storage::Options::tiny().memtable_bytes_max, "{bytes} bytes");
}
