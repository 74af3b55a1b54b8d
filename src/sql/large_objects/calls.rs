//! The calls of `planner::large_objects` on the transaction of a session.
//!
//! They come while rows stream to the client, where nothing can be awaited: a call that meets a lock waits on its thread,
//! until the holder ends, the statement is cancelled or lock_timeout has passed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::catalog::Oid;
use crate::catalog::large_objects::BYTES_MAX;
use crate::database::{LargeObjects, Stop, Transaction};
use crate::error::{Error, Result, SqlState};
use crate::sql::large_objects::descriptors::Descriptor;
use crate::sql::shared::{Shared, aside};
use crate::table::large_objects::{Check, LargeObjectCalls};

/// Modes of lo_open(), as libpq has them.
const INV_WRITE: i32 = 0x20000;
const INV_READ: i32 = 0x40000;
/// From where lo_lseek() counts, as C has it.
const SEEK_SET: i32 = 0;
const SEEK_CUR: i32 = 1;
const SEEK_END: i32 = 2;

impl LargeObjectCalls for Shared {
    fn check_writable(&self, command: &str) -> Result<()> {
        Shared::check_writable(self, command)
    }

    fn create(&self, wanted: Option<Oid>, check: Check<'_>) -> Result<Oid> {
        if !self.with_transaction(|transaction| Ok(transaction.has_large_objects()))? {
            aside(|| self.engine.database.prepare_large_objects())?;
        }
        self.change(check, |transaction| transaction.create_large_object(wanted))
    }

    fn unlink(&self, object: Oid, check: Check<'_>) -> Result<()> {
        self.change(check, |transaction| transaction.drop_large_object(object))?;
        self.descriptors.lock().close_all_of(object);
        Ok(())
    }

    fn open(&self, object: Oid, mode: i32) -> Result<i32> {
        if mode & (INV_READ | INV_WRITE) == 0 {
            return Err(invalid(format!("invalid flags for opening a large object: {mode}")));
        }
        if mode & INV_WRITE == 0 {
            let seen = self.with_transaction(Transaction::large_objects)?;
            seen.check(object)?;
            return self.descriptors.lock().add(object, Some(seen));
        }
        self.check_writable("lo_open(INV_WRITE)")?;
        self.with_transaction(|transaction| transaction.check_large_object(object))?;
        self.descriptors.lock().add(object, None)
    }

    fn close(&self, descriptor: i32) -> Result<()> {
        self.descriptors.lock().close(descriptor)
    }

    fn read(&self, descriptor: i32, length: i32) -> Result<Vec<u8>> {
        let open = self.descriptor(descriptor)?;
        let read = self.seen(&open)?.read(open.object, open.position, i64::from(length.max(0)))?;
        self.descriptors.lock().move_to(descriptor, open.position + read.len() as i64);
        Ok(read)
    }

    fn write(&self, descriptor: i32, bytes: &[u8], check: Check<'_>) -> Result<i32> {
        let open = self.open_for_writing(descriptor)?;
        let written = self.write_at(open.object, open.position, bytes, check)?;
        self.descriptors.lock().move_to(descriptor, open.position + i64::from(written));
        Ok(written)
    }

    fn seek(&self, descriptor: i32, offset: i64, whence: i32) -> Result<i64> {
        let open = self.descriptor(descriptor)?;
        let from = match whence {
            SEEK_SET => 0,
            SEEK_CUR => open.position,
            SEEK_END => self.seen(&open)?.size(open.object)?,
            _ => return Err(invalid(format!("invalid whence setting: {whence}"))),
        };
        let position = check_position(from.saturating_add(offset))?;
        self.descriptors.lock().move_to(descriptor, position);
        Ok(position)
    }

    fn tell(&self, descriptor: i32) -> Result<i64> {
        Ok(self.descriptor(descriptor)?.position)
    }

    fn truncate(&self, descriptor: i32, length: i64, check: Check<'_>) -> Result<()> {
        let open = self.open_for_writing(descriptor)?;
        if !(0..=BYTES_MAX).contains(&length) {
            return Err(invalid(format!("invalid large object truncation target: {length}")));
        }
        self.change(check, |transaction| transaction.truncate_large_object(open.object, length))
    }

    fn get(&self, object: Oid, part: Option<(i64, i32)>) -> Result<Vec<u8>> {
        let (offset, length) = part.map_or((0, None), |(offset, length)| (offset, Some(length)));
        if length.is_some_and(|length| length < 0) {
            return Err(invalid("requested length cannot be negative".to_owned()));
        }
        let seen = self.with_transaction(Transaction::large_objects)?;
        seen.check(object)?;
        seen.read_value(object, check_position(offset)?, length.map(i64::from))
    }

    fn put(&self, object: Oid, offset: i64, bytes: &[u8], check: Check<'_>) -> Result<()> {
        self.with_transaction(|transaction| transaction.check_large_object(object))?;
        self.write_at(object, check_position(offset)?, bytes, check).map(drop)
    }

    fn description(&self, object: Oid) -> Result<Option<String>> {
        self.with_transaction(Transaction::large_objects)?.description(object)
    }

    fn descriptions(&self) -> Result<Vec<(Oid, String)>> {
        self.with_transaction(Transaction::large_objects)?.descriptions()
    }
}

impl Shared {
    /// What [`Shared::check_unchanged`] compares with.
    pub fn large_objects_changed(&self) -> u64 {
        self.large_object_changes.load(Ordering::Relaxed)
    }

    /// 40001 when a statement that is to begin again, because it has waited for a row, has changed large objects meanwhile: it
    /// would change them twice.
    pub fn check_unchanged(&self, before: u64) -> Result<()> {
        if self.large_objects_changed() == before {
            return Ok(());
        }
        Err(Error::concurrent_update()
            .detail("The statement has changed large objects before it had to wait for a row."))
    }

    fn descriptor(&self, number: i32) -> Result<Descriptor> {
        self.descriptors.lock().get(number)
    }

    fn open_for_writing(&self, number: i32) -> Result<Descriptor> {
        let open = self.descriptor(number)?;
        if open.seen.is_none() {
            return Ok(open);
        }
        let message = format!("large object descriptor {number} was not opened for writing");
        Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message))
    }

    /// What an open object reads.
    fn seen(&self, open: &Descriptor) -> Result<Arc<LargeObjects>> {
        match &open.seen {
            Some(seen) => Ok(seen.clone()),
            None => self.with_transaction(Transaction::newest_large_objects).map(Arc::new),
        }
    }

    fn write_at(&self, object: Oid, offset: i64, bytes: &[u8], check: Check<'_>) -> Result<i32> {
        let too_many = || invalid(format!("invalid large object write request size: {}", bytes.len()));
        let count = i32::try_from(bytes.len()).map_err(|_| too_many())?;
        if offset + i64::from(count) > BYTES_MAX {
            return Err(too_many());
        }
        if count > 0 {
            self.change(check, |transaction| transaction.write_large_object(object, offset, bytes))?;
        }
        Ok(count)
    }

    /// Does a piece of work on the transaction, again after each wait for a lock.
    fn change<T>(
        &self,
        check: Check<'_>,
        mut work: impl FnMut(&mut Transaction) -> std::result::Result<T, Stop>,
    ) -> Result<T> {
        let go_on = self.patience(check);
        self.large_object_changes.fetch_add(1, Ordering::Relaxed);
        loop {
            let outcome = match self.transaction.lock().as_mut() {
                Some(transaction) => work(transaction),
                None => return Err(Error::internal("a large object is changed outside a transaction")),
            };
            match outcome {
                Ok(done) => return Ok(done),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Wait(waiter)) => aside(|| waiter.wait_while(&go_on))?,
            }
        }
    }
}

fn check_position(position: i64) -> Result<i64> {
    match (0..=BYTES_MAX).contains(&position) {
        true => Ok(position),
        false => Err(invalid(format!("invalid large object seek target: {position}"))),
    }
}

fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}
