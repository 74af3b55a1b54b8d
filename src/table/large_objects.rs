//! Large objects as functions see them: lo_open(), loread() and their like, on the transaction of the session.
//!
//! Descriptors are numbers that mean something until the transaction ends. Errors are PostgreSQL's.

use crate::catalog::Oid;
use crate::error::Result;

/// Asked while a call waits for somebody else's lock: an error when the statement is to end.
pub type Check<'c> = &'c dyn Fn() -> Result<()>;

/// What the functions call.
pub trait LargeObjectCalls {
    /// 25006 in a read-only transaction.
    fn check_writable(&self, command: &str) -> Result<()>;
    /// A new object, under a number that is free when none is given.
    fn create(&self, wanted: Option<Oid>, check: Check<'_>) -> Result<Oid>;
    fn unlink(&self, object: Oid, check: Check<'_>) -> Result<()>;
    /// A descriptor for the modes INV_READ and INV_WRITE.
    fn open(&self, object: Oid, mode: i32) -> Result<i32>;
    fn close(&self, descriptor: i32) -> Result<()>;
    fn read(&self, descriptor: i32, length: i32) -> Result<Vec<u8>>;
    /// How many bytes it wrote: all of them.
    fn write(&self, descriptor: i32, bytes: &[u8], check: Check<'_>) -> Result<i32>;
    /// The new position.
    fn seek(&self, descriptor: i32, offset: i64, whence: i32) -> Result<i64>;
    fn tell(&self, descriptor: i32) -> Result<i64>;
    fn truncate(&self, descriptor: i32, length: i64, check: Check<'_>) -> Result<()>;
    /// All of the object, or (offset, length) of it.
    fn get(&self, object: Oid, part: Option<(i64, i32)>) -> Result<Vec<u8>>;
    fn put(&self, object: Oid, offset: i64, bytes: &[u8], check: Check<'_>) -> Result<()>;
    /// What COMMENT ON LARGE OBJECT said of an object.
    fn description(&self, object: Oid) -> Result<Option<String>>;
    /// What it said of all of them.
    fn descriptions(&self) -> Result<Vec<(Oid, String)>>;
}
