//! The log in segment files of one folder.
//!
//! ```text
//! log/0000000000000008.log    full, synced
//! log/0000000003fff5c0.log    the current one: appends go here     segment.rs has the bytes
//! log/spare-1                 an old segment, zeros or unwritten blocks, ready to become the next one
//! log/spare.new               being filled; removed when the log is opened
//! ```
//!
//! **Appending** is one write of one buffer into space that already has blocks and has been written before, so that
//! fdatasync has no metadata to write: that is why segments are filled with zeros, and used again by renaming. A bulk
//! load syncs rarely and would write everything twice, so when segments fill quickly new ones only get their blocks.
//! A batch of records never crosses segments; one that does not fit begins the next segment.
//!
//! **The next segment** begins in this order: (1) a spare is there, made if need be - this is where a full disk shows,
//! and it is a refusal; (2) the current segment is synced; (3) the spare gets its header and is synced; (4) it gets its
//! name, durably; (5) the segment before notes that it is there. So a file with a segment's name has a valid header, all
//! segments but the last are whole, only the last one's tail can be torn, and a last one that is gone is missed.
//!
//! **Letting go** of segments takes their names away, oldest first, and several at once before the folder is synced. A
//! crash may bring any of these names back, so that a gap lies between what came back and what is kept:
//!
//! ```text
//!   A  B  .  D  | E  F        A and B are of no use to anybody: whoever let C go had let them go
//!            ^ nobody asks for what is before
//! ```
//!
//! [`LocalLog::drop_before_gap`] takes them away again. A gap behind what is asked for is a file that is missing.
//!
//! **Fail-stop.** After a failed write or sync the kernel may have dropped the data and call the next sync a success
//! (the "fsyncgate" of 2018). The log remembers the first failure and answers it to everybody.
//!
//! **What it costs.** On a 2-core virtual machine with an ext4 disk: 2 KiB append and sync 139 us (p99 250 us), where a
//! plain growing file takes 154 us (p99 274 us); the append alone 3 us; 1 GiB in records of 1 MiB at 390 MB/s into new
//! segments and 770 to 1,470 MB/s into used ones, of which the last sync takes 2 ms; a new log 33 ms; opening one, which
//! reads the last segment, 10 ms. Printed by `cargo bench --no-default-features --bench log`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::segment::{self, Batch, FILE_HEADER_BYTES, RECORD_HEADER_BYTES, Scanner, Segment};
use super::{Log, Part, Position, Record};
use crate::codec::Reader;
use crate::error::{Error, Result, SqlState};
use crate::fs::{Fs, OpenMode, Pace};

/// Default for the size of a segment: 64 MiB is some seconds of a bulk load, and little to keep on a small disk.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Where the first record of a new log is; 0 stays free for "before everything".
const FIRST: Position = Position(8);
/// Spares kept for later; more than two only lie around after a long stretch without checkpoints.
const SPARES_MAX: usize = 2;
/// Unsynced bytes after which the kernel is asked to start writing, so that the sync at the end of a bulk load is short.
const WRITEBACK_BYTES: u64 = 1 << 20;
/// Segments that fill faster are a bulk load's: 64 MiB in 10 s are 3,000 commits of 2 KiB per second, which is near
/// what the disk can sync one by one.
const BULK_SEGMENT_TIME: Duration = Duration::from_secs(10);
/// Zeros written at a time to a new segment.
const ZEROS_BYTES: usize = 1 << 20;

/// The log in files.
pub struct LocalLog {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    segment_bytes: u64,
    state: Mutex<State>,
    /// Taken after `state` where both are.
    spares: Mutex<Spares>,
    end: AtomicU64,
}

struct State {
    /// Oldest first; never empty; the last one is the current one.
    segments: Vec<Segment>,
    end: Position,
    durable: Position,
    /// Offset in the current file up to which writing back was started.
    writeback: u64,
    /// When the current segment was begun.
    begun: Instant,
    failure: Option<Error>,
}

#[derive(Default)]
struct Spares {
    files: Vec<Spare>,
    next_number: u64,
}

struct Spare {
    path: PathBuf,
    /// Of the whole file.
    bytes: u64,
}

impl LocalLog {
    /// Opens the log in `dir`, or begins one. A torn tail is cut; damage before it is an error.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, segment_bytes: u64) -> Result<LocalLog> {
        fs.create_dir_all(dir)?;
        let segment_bytes = segment_bytes.max(2 * FILE_HEADER_BYTES).next_multiple_of(FILE_HEADER_BYTES);
        let names = fs.list(dir)?;
        let firsts = names.iter().filter_map(|name| segment::first_of_name(name));
        let segments: Vec<Segment> =
            firsts.map(|first| Segment::open(&*fs, dir, first)).collect::<Result<_>>()?;
        if let Some(next) = segments.last().map(Segment::next_noted).transpose()?.flatten() {
            let missing = dir.join(segment::file_name(next));
            return Err(Error::corrupt(missing.display(), 0, "a log segment", "no file"));
        }
        let spares = find_spares(&*fs, dir, &names, segment_bytes)?;
        let state = State {
            segments,
            end: FIRST,
            durable: FIRST,
            writeback: 0,
            begun: Instant::now(),
            failure: None,
        };
        let log = LocalLog {
            fs,
            dir: dir.to_owned(),
            segment_bytes,
            state: Mutex::new(state),
            spares: Mutex::new(spares),
            end: AtomicU64::new(FIRST.0),
        };
        log.find_end()?;
        Ok(log)
    }

    /// Takes away what a crash brought back of segments that were let go, when they lie before a gap, and nobody asks for
    /// anything before `p`. Where there is such a gap `may_go` is asked of where those before it begin: when somebody still
    /// waits for one they stay, and so does the gap.
    pub fn drop_before_gap(
        &self,
        p: Position,
        may_go: impl FnOnce(&[Position]) -> Result<bool>,
    ) -> Result<()> {
        let segments = self.state.lock().segments.clone();
        let needed = segments.iter().skip(1).take_while(|next| next.first <= p).count();
        let pairs = segments.windows(2).take(needed).enumerate().rev();
        for (at, pair) in pairs {
            if !pair[0].is_followed_by(&pair[1])? {
                let first = pair[1].first;
                let before: Vec<Position> = segments[..=at].iter().map(|segment| segment.first).collect();
                if !may_go(&before)? {
                    log::warn!("segments of the log are missing before position {}", first.0);
                    return Ok(());
                }
                let count = before.len();
                log::warn!(
                    "{count} segments of the log, let go before a crash, lie before a gap and are removed"
                );
                return self.let_go(|next| next.first <= first);
            }
        }
        Ok(())
    }

    fn find_end(&self) -> Result<()> {
        let mut state = self.state.lock();
        match state.segments.last() {
            None => {
                let spare = self.prepare_segment(FIRST, self.segment_bytes)?;
                state.segments.push(self.name_segment(FIRST, &spare)?);
            }
            Some(segment) => {
                let tail = segment::find_tail(segment)?;
                for ghost in &tail.ghosts {
                    segment.file.write_all_at(&[0; RECORD_HEADER_BYTES], *ghost)?;
                }
                // Also makes the records that were found durable: they count from now on.
                segment.file.sync_data()?;
                state.end = tail.end;
            }
        }
        state.durable = state.end;
        state.writeback = state.current().offset(state.end);
        self.end.store(state.end.0, Ordering::Release);
        Ok(())
    }

    /// A spare of `bytes` at least, with the header of a segment that begins at `first`. Nothing has happened if it fails.
    fn prepare_segment(&self, first: Position, bytes: u64) -> Result<PathBuf> {
        let mut spares = self.spares.lock();
        let at = self.find_or_make_spare(&mut spares, bytes, Fill::Zeros)?;
        let spare = &spares.files[at];
        let file = self.fs.open(&spare.path, OpenMode::ReadWrite)?;
        file.write_all_at(&segment::encode_file_header(first, spare.bytes - FILE_HEADER_BYTES), 0)?;
        file.sync_data()?;
        Ok(spare.path.clone())
    }

    /// Gives a prepared spare its name, durably. If it fails nobody knows whether the segment is there.
    fn name_segment(&self, first: Position, spare: &Path) -> Result<Segment> {
        let mut spares = self.spares.lock();
        self.fs.rename(spare, &self.dir.join(segment::file_name(first)))?;
        spares.files.retain(|file| file.path != spare);
        self.fs.sync_dir(&self.dir)?;
        Segment::open(&*self.fs, &self.dir, first)
    }

    /// Which spare has `bytes`; there is one afterwards, or space for it is lacking.
    fn find_or_make_spare(&self, spares: &mut Spares, bytes: u64, fill: Fill) -> Result<usize> {
        let found = spares.files.iter().position(|spare| spare.bytes >= bytes);
        found.map_or_else(|| self.make_spare(spares, bytes, fill).map(|()| spares.files.len() - 1), Ok)
    }

    /// Adds a file that reads as zeros. On a full disk nothing of it stays.
    fn make_spare(&self, spares: &mut Spares, bytes: u64, fill: Fill) -> Result<()> {
        let unfinished = self.dir.join(UNFINISHED);
        if self.fs.exists(&unfinished) {
            self.fs.remove_file(&unfinished)?;
        }
        if let Err(error) = self.fill(&unfinished, bytes, fill) {
            // The refusal is the news; a file that cannot be removed now is removed by the next open.
            let _ = self.fs.remove_file(&unfinished);
            return Err(error);
        }
        let path = self.dir.join(format!("{SPARE}{}", spares.next_number));
        self.fs.rename(&unfinished, &path)?;
        spares.next_number += 1;
        spares.files.push(Spare { path, bytes });
        Ok(())
    }

    fn fill(&self, path: &Path, bytes: u64, fill: Fill) -> Result<()> {
        let file = self.fs.open(path, OpenMode::Create)?;
        file.allocate(bytes)?;
        let written = match fill {
            Fill::Zeros => bytes,
            Fill::Blocks => bytes.min(FILE_HEADER_BYTES),
        };
        let zeros = vec![0; ZEROS_BYTES.min(written as usize)];
        let mut at = 0;
        while at < written {
            let count = (written - at).min(zeros.len() as u64);
            file.write_all_at(&zeros[..count as usize], at)?;
            file.start_writeback(at, count);
            at += count;
        }
        file.sync_data()
    }

    /// Makes room for `bytes`: in the current segment, or in a new one.
    fn make_room(&self, state: &mut State, bytes: u64) -> Result<()> {
        if state.current().limit().0 - state.end.0 >= bytes {
            return Ok(());
        }
        self.next_segment(state, bytes)
    }

    /// Ends the current segment and begins one with room for `bytes`.
    fn next_segment(&self, state: &mut State, bytes: u64) -> Result<()> {
        // A spare before the sync: if there is no space, nothing has happened.
        let needed = (FILE_HEADER_BYTES + bytes).next_multiple_of(FILE_HEADER_BYTES);
        let file_bytes = self.segment_bytes.max(needed);
        // A full disk leaves all as it was, also on a file system that wants space for what is written again.
        let refusal = |state: &mut State, error: Error| match error.state() {
            SqlState::DISK_FULL => error,
            _ => state.fail(error),
        };
        if let Err(error) = self.find_or_make_spare(&mut self.spares.lock(), file_bytes, state.fill()) {
            return Err(refusal(state, error));
        }
        state.current().file.sync_data().map_err(|error| state.fail(error))?;
        state.durable = state.end;
        let spare = match self.prepare_segment(state.end, file_bytes) {
            Ok(spare) => spare,
            Err(error) => return Err(refusal(state, error)),
        };
        let segment = self.name_segment(state.end, &spare).map_err(|error| state.fail(error))?;
        // One without records begins where this one does, and so had its name: it is replaced.
        if state.current().first == state.end {
            state.segments.pop();
        } else if let Err(error) = state.current().note_next(state.end)
            && error.state() != SqlState::DISK_FULL
        {
            return Err(state.fail(error));
        }
        state.segments.push(segment);
        state.begun = Instant::now();
        state.writeback = FILE_HEADER_BYTES;
        Ok(())
    }

    /// Lets go of the first segments, as long as `is_wanted` is true of the one behind.
    fn let_go(&self, is_wanted: impl Fn(&Segment) -> bool) -> Result<()> {
        let old: Vec<Segment> = {
            let mut state = self.state.lock();
            state.working()?;
            let count = state.segments.iter().skip(1).take_while(|next| is_wanted(next)).count();
            state.segments.drain(..count).collect()
        };
        if old.is_empty() {
            return Ok(());
        }
        let mut spares = self.spares.lock();
        let mut renamed = Vec::new();
        let mut gone = 0;
        let outcome = old.iter().try_for_each(|segment| {
            let bytes = FILE_HEADER_BYTES + segment.capacity;
            let outcome = if spares.files.len() + renamed.len() < SPARES_MAX && bytes == self.segment_bytes {
                let path = self.dir.join(format!("{SPARE}{}", spares.next_number));
                spares.next_number += 1;
                let outcome = self.fs.rename(&segment.path(), &path);
                outcome.map(|()| renamed.push(Spare { path, bytes }))
            } else {
                self.fs.remove_file(&segment.path())
            };
            match outcome {
                // What failed before had happened all the same.
                Err(error) if error.state() == SqlState::UNDEFINED_FILE => {}
                outcome => outcome?,
            }
            gone += 1;
            Ok(())
        });
        drop(spares);
        // Those that still have their names come first the next time: none that is newer goes before them.
        self.state.lock().segments.splice(..0, old.into_iter().skip(gone));
        // Only now may the spares be written: until the names are durable, a crash brings the old ones back.
        self.fs.sync_dir(&self.dir)?;
        self.spares.lock().files.append(&mut renamed);
        outcome
    }

    /// Writes a batch that has room, and starts writing it back when much has gathered.
    fn write(&self, state: &mut State, mut batch: Batch) -> Result<Vec<Position>> {
        let (start, len) = (state.end, batch.len());
        let positions = batch.place(start, state.durable);
        let Segment { capacity, file, .. } = state.current().clone();
        let offset = state.current().offset(start);
        let bytes = batch.padded(offset, FILE_HEADER_BYTES + capacity);
        file.write_all_at(&bytes, offset).map_err(|error| state.fail(error))?;
        state.end = Position(start.0 + len);
        self.end.store(state.end.0, Ordering::Release);
        let written = (offset + len) / FILE_HEADER_BYTES * FILE_HEADER_BYTES;
        if written >= state.writeback + WRITEBACK_BYTES {
            file.start_writeback(state.writeback, written - state.writeback);
            state.writeback = written;
        }
        Ok(positions)
    }
}

const SPARE: &str = "spare-";
const UNFINISHED: &str = "spare.new";

/// Spares of the present size; others are removed.
fn find_spares(fs: &dyn Fs, dir: &Path, names: &[PathBuf], segment_bytes: u64) -> Result<Spares> {
    let mut spares = Spares::default();
    for name in names.iter().filter_map(|name| name.to_str()) {
        let path = dir.join(name);
        if name == UNFINISHED {
            fs.remove_file(&path)?;
        } else if let Some(number) = name.strip_prefix(SPARE).and_then(|digits| digits.parse::<u64>().ok()) {
            spares.next_number = spares.next_number.max(number + 1);
            let bytes = fs.open(&path, OpenMode::Read)?.len()?;
            match bytes == segment_bytes {
                true => spares.files.push(Spare { path, bytes }),
                false => fs.remove_file(&path)?,
            }
        }
    }
    Ok(spares)
}

/// What a new segment's blocks hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    /// Zeros that were written, so that later syncs write data only.
    Zeros,
    /// Nothing yet, the header's block excepted: they are reserved and read as zeros.
    Blocks,
}

impl State {
    fn fill(&self) -> Fill {
        if self.begun.elapsed() < BULK_SEGMENT_TIME { Fill::Blocks } else { Fill::Zeros }
    }

    fn current(&self) -> &Segment {
        self.segments
            .last()
            .expect("a log has a segment: open makes the first, and the current one is never removed")
    }

    /// Stops the log. The first failure stays the answer.
    fn fail(&mut self, error: Error) -> Error {
        let message = format!("the log has stopped: {}", error.message());
        let failure = Error::new(SqlState::IO_ERROR, message).hint(
            "Nothing was acknowledged after the failure. Restart the server once the disk works again.",
        );
        if self.failure.is_none() {
            log::error!("no commit is acknowledged any more: {}", failure.message());
        }
        self.failure.get_or_insert(failure).clone()
    }

    fn working(&self) -> Result<()> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// The segments from the one that holds `from`, each with the position at which it ends.
    fn segments_from(&self, from: Position) -> Vec<(Segment, Position)> {
        let ends = self.segments.iter().skip(1).map(|next| next.first).chain([self.end]);
        let all = self.segments.iter().cloned().zip(ends);
        all.filter(|(segment, end)| *end > from || segment.first >= from).collect()
    }
}

impl Log for LocalLog {
    fn append(&self, records: &[Record]) -> Result<Vec<Position>> {
        let batch = Batch::of(records)?;
        let mut state = self.state.lock();
        state.working()?;
        self.make_room(&mut state, batch.len())?;
        self.write(&mut state, batch)
    }

    fn sync(&self) -> Result<Position> {
        let (file, end) = {
            let state = self.state.lock();
            state.working()?;
            if state.durable == state.end {
                return Ok(state.end);
            }
            (state.current().file.clone(), state.end)
        };
        // Without the lock: others append meanwhile. If they begin a new segment, they sync this one first.
        let synced = file.sync_data();
        let mut state = self.state.lock();
        synced.map_err(|error| state.fail(error))?;
        state.working()?;
        state.durable = state.durable.max(end);
        Ok(state.durable)
    }

    fn end(&self) -> Position {
        Position(self.end.load(Ordering::Acquire))
    }

    fn replay(&self, from: Position, f: &mut dyn FnMut(Position, Record) -> Result<()>) -> Result<()> {
        let (segments, first, end) = {
            let state = self.state.lock();
            (state.segments_from(from), state.segments[0].first, state.end)
        };
        let from = from.max(FIRST);
        if from < first || from > end {
            let range = format!("a log that holds position {:x}", from.0);
            let found = format!("positions {:x} to {:x}", first.0, end.0);
            return Err(Error::corrupt(self.dir.display(), 0, range, found));
        }
        for (segment, end) in &segments {
            replay_segment(segment, from.max(segment.first), *end, f)?;
        }
        Ok(())
    }

    fn truncate_before(&self, p: Position) -> Result<()> {
        self.let_go(|next| next.first <= p)
    }

    fn prepare(&self) -> Result<()> {
        let fill = {
            let state = self.state.lock();
            let left = state.current().limit().0 - state.end.0;
            if state.failure.is_some() || left > self.segment_bytes / 2 {
                return Ok(());
            }
            state.fill()
        };
        self.find_or_make_spare(&mut self.spares.lock(), self.segment_bytes, fill).map(drop)
    }

    fn parts(&self) -> Vec<Part> {
        let state = self.state.lock();
        let last = state.segments.len() - 1;
        let numbered = state.segments_from(FIRST).into_iter().enumerate();
        numbered.map(|(at, (segment, end))| Part { first: segment.first, end, whole: at < last }).collect()
    }

    fn read(&self, part: &Part) -> Result<Vec<u8>> {
        let segment = self.state.lock().segments.iter().find(|known| known.first == part.first).cloned();
        let Some(segment) = segment else {
            return Err(Error::internal(format!("the log has let go of position {:x}", part.first.0)));
        };
        let mut records = vec![0; (part.end.0 - part.first.0) as usize];
        segment.file.read_exact_at(&mut records, segment.offset(part.first))?;
        Ok(records)
    }

    fn rotate(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.working()?;
        if state.current().first == state.end { Ok(()) } else { self.next_segment(&mut state, 0) }
    }

    fn verify(&self, pace: &mut Pace) -> Result<u64> {
        let (segments, end) = {
            let state = self.state.lock();
            (state.segments_from(FIRST), state.end)
        };
        let first = segments.first().map_or(end, |(segment, _)| segment.first);
        for (segment, end) in &segments {
            let outcome = verify_segment(segment, *end, pace);
            // One that was let go meanwhile may hold other bytes by now.
            let kept = self.state.lock().segments.iter().any(|known| known.first == segment.first);
            if kept {
                outcome?;
            }
        }
        Ok(end.0 - first.0)
    }

    fn bytes(&self) -> u64 {
        let segments: u64 =
            self.state.lock().segments.iter().map(|segment| FILE_HEADER_BYTES + segment.capacity).sum();
        segments + self.spares.lock().files.iter().map(|spare| spare.bytes).sum::<u64>()
    }
}

/// Reads the records of a segment up to `end`, and its header.
fn verify_segment(segment: &Segment, end: Position, pace: &mut Pace) -> Result<()> {
    segment::check_header(&*segment.file, segment.first)?;
    let mut scanner = Scanner::new(segment);
    let mut position = segment.first;
    while position < end {
        let found = scanner.record_at(position)?.map_err(|bad| segment::damaged(segment, &bad))?;
        pace(found.next.0 - position.0)?;
        position = found.next;
    }
    Ok(())
}

fn replay_segment(
    segment: &Segment,
    from: Position,
    end: Position,
    f: &mut dyn FnMut(Position, Record) -> Result<()>,
) -> Result<()> {
    let name = segment.file.path().display().to_string();
    let mut scanner = Scanner::new(segment);
    let mut position = from;
    while position < end {
        let found = scanner.record_at(position)?.map_err(|bad| segment::damaged(segment, &bad))?;
        let payload = scanner.bytes(found.payload.clone());
        let mut reader = Reader::new(payload).named(&name, segment::payload_offset(segment, position));
        f(position, Record::decode(&mut reader)?)?;
        position = found.next;
    }
    if position != end {
        let expected = format!("a record that ends at position {:x}", end.0);
        return Err(Error::corrupt(name, segment.offset(end), expected, format_args!("{:x}", position.0)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
