//! Which files are live: a log of version edits, and CURRENT, which names the log that counts.
//!
//! ```text
//!   CURRENT           "MANIFEST-000007 1a2b3c4d\n"        name, crc32c of the name
//!   MANIFEST-000007   magic, version | record | record | ...
//!   record            length u32, crc32c u32, edits, mark u64
//! ```
//!
//! A record is a list of edits that count together. It is appended and synced; then its mark is written,
//! which needs no sync. So a bad record without a mark behind it is one whose sync never returned, a torn
//! tail, and is left out; a bad record with a mark at the end of the file was whole once, and is damage.
//!
//! After a failed append nobody knows what the file holds. The next commit then writes a new manifest with
//! everything in one record and switches CURRENT to it by an atomic rename; files are removed only after a
//! commit that succeeded, so both the old and the new state have all their files at any moment. The same
//! happens at the first commit after opening and when the manifest has grown long.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sstable::TableMeta;
use crate::codec::{Reader, put_bytes, put_str, put_u32, put_u64, put_varint};
use crate::error::{Error, Result, SqlState};
use crate::fs::{File, Fs, Lines, OpenMode};
use crate::log::{Position, StorageId};

/// Level 0 and six more: with a factor of ten and 64 MiB in level 1, room for 6 TB.
pub const LEVELS: usize = 7;

const CURRENT: &str = "CURRENT";
const CURRENT_NEW: &str = "CURRENT.new";
const PREFIX: &str = "MANIFEST-";
const MAGIC: &[u8; 8] = b"HITHERMF";
const VERSION: u32 = 1;
const FILE_HEADER_BYTES: u64 = 12;
const RECORD_HEADER_BYTES: u64 = 8;
const MARK_BYTES: u64 = 8;
const MARK: u64 = 0x5EA1_ED0F_F1CE_D00D;

/// The state the manifest describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    pub position: Position,
    pub next_number: u64,
    pub trees: BTreeMap<StorageId, Levels>,
    pub extras: BTreeMap<(StorageId, String), Vec<u8>>,
}

/// A tree's tables. Level 0 oldest first, the others by key.
pub type Levels = [Vec<TableMeta>; LEVELS];

/// One change of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    Position(Position),
    NextNumber(u64),
    CreateTree(StorageId),
    /// With all its tables and extras.
    DropTree(StorageId),
    /// In level 0: as the newest.
    AddTable(StorageId, u8, TableMeta),
    RemoveTable(StorageId, u64),
    SetExtra(StorageId, String, Vec<u8>),
    RemoveExtra(StorageId, String),
}

impl Durable {
    /// The error says which edit does not fit.
    fn apply(&mut self, edit: Edit) -> Result<(), String> {
        match edit {
            Edit::Position(position) => self.position = position,
            Edit::NextNumber(number) => self.next_number = self.next_number.max(number),
            Edit::CreateTree(id) => drop(self.trees.entry(id).or_default()),
            Edit::DropTree(id) => {
                self.trees.remove(&id);
                self.extras.retain(|(storage, _), _| *storage != id);
            }
            Edit::AddTable(id, level, meta) => {
                let levels =
                    self.trees.get_mut(&id).ok_or(format!("a table of the unknown tree {}", id.0))?;
                let level = usize::from(level);
                let tables = levels.get_mut(level).ok_or(format!("a table in level {level}"))?;
                let at = match level {
                    0 => tables.len(),
                    _ => tables.partition_point(|other| other.key_min < meta.key_min),
                };
                tables.insert(at, meta);
            }
            Edit::RemoveTable(id, number) => {
                let levels =
                    self.trees.get_mut(&id).ok_or(format!("a table of the unknown tree {}", id.0))?;
                let place = levels.iter_mut().find_map(|tables| {
                    let at = tables.iter().position(|table| table.number == number)?;
                    Some((tables, at))
                });
                let (tables, at) = place.ok_or(format!("no table {number} in tree {}", id.0))?;
                tables.remove(at);
            }
            Edit::SetExtra(id, name, value) => drop(self.extras.insert((id, name), value)),
            Edit::RemoveExtra(id, name) => drop(self.extras.remove(&(id, name))),
        }
        Ok(())
    }

    /// Edits that make this state out of nothing.
    fn edits(&self) -> Vec<Edit> {
        let mut edits = vec![Edit::Position(self.position), Edit::NextNumber(self.next_number)];
        for (id, levels) in &self.trees {
            edits.push(Edit::CreateTree(*id));
            for (level, tables) in levels.iter().enumerate() {
                edits.extend(tables.iter().map(|meta| Edit::AddTable(*id, level as u8, meta.clone())));
            }
        }
        let extras = self.extras.iter();
        edits.extend(extras.map(|((id, name), value)| Edit::SetExtra(*id, name.clone(), value.clone())));
        edits
    }
}

impl Edit {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Edit::Position(position) => {
                out.push(1);
                put_u64(out, position.0);
            }
            Edit::NextNumber(number) => {
                out.push(2);
                put_u64(out, *number);
            }
            Edit::CreateTree(id) => {
                out.push(3);
                put_u64(out, id.0);
            }
            Edit::DropTree(id) => {
                out.push(4);
                put_u64(out, id.0);
            }
            Edit::AddTable(id, level, meta) => {
                out.push(5);
                put_u64(out, id.0);
                out.push(*level);
                meta.encode(out);
            }
            Edit::RemoveTable(id, number) => {
                out.push(6);
                put_u64(out, id.0);
                put_u64(out, *number);
            }
            Edit::SetExtra(id, name, value) => {
                out.push(7);
                put_u64(out, id.0);
                put_str(out, name);
                put_bytes(out, value);
            }
            Edit::RemoveExtra(id, name) => {
                out.push(8);
                put_u64(out, id.0);
                put_str(out, name);
            }
        }
    }

    fn decode(reader: &mut Reader) -> Result<Edit> {
        let kind = reader.u8()?;
        let number = reader.u64()?;
        let id = StorageId(number);
        Ok(match kind {
            1 => Edit::Position(Position(number)),
            2 => Edit::NextNumber(number),
            3 => Edit::CreateTree(id),
            4 => Edit::DropTree(id),
            5 => Edit::AddTable(id, reader.u8()?, TableMeta::decode(reader)?),
            6 => Edit::RemoveTable(id, reader.u64()?),
            7 => Edit::SetExtra(id, reader.str()?.to_owned(), reader.bytes()?.to_vec()),
            8 => Edit::RemoveExtra(id, reader.str()?.to_owned()),
            _ => return Err(reader.corrupt("a kind of edit from 1 to 8", kind)),
        })
    }
}

/// The manifest, open for commits.
pub struct Manifest {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    bytes_max: u64,
    durable: Durable,
    /// `None`: the next commit begins a new file.
    file: Option<Arc<dyn File>>,
    end: u64,
    number: u64,
    /// Manifests that CURRENT may have named; removed once it surely names another.
    former: Vec<PathBuf>,
}

impl Manifest {
    /// Reads the state, or begins a new one in a folder without any.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, bytes_max: u64) -> Result<Manifest> {
        let found = read(&*fs, dir)?;
        let fresh = found.is_none();
        let (durable, number) = found.unwrap_or_default();
        let former = if fresh { Vec::new() } else { vec![path(dir, number)] };
        remove_others(&*fs, dir, (!fresh).then_some(number))?;
        let mut manifest =
            Manifest { fs, dir: dir.to_owned(), bytes_max, durable, file: None, end: 0, number, former };
        if fresh {
            manifest.commit(Vec::new())?;
        }
        Ok(manifest)
    }

    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Makes the edits durable, all or none. After an error the disk may have either state, and nothing may
    /// be removed that one of them names, until a commit succeeds.
    pub fn commit(&mut self, edits: Vec<Edit>) -> Result<()> {
        let mut next = self.durable.clone();
        for edit in &edits {
            next.apply(edit.clone())
                .map_err(|found| Error::internal(format!("an edit does not fit the manifest: {found}")))?;
        }
        match self.file.take() {
            Some(file) if self.end < self.bytes_max => {
                self.append(&*file, &edits)?;
                self.file = Some(file);
            }
            _ => self.rewrite(&next)?,
        }
        self.durable = next;
        Ok(())
    }

    /// Reads the file and compares it with the state in memory. After a failed commit the file may have either state,
    /// and the next one writes another: then there is nothing to compare.
    pub fn verify(&self) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let text = path(&self.dir, self.number);
        let found = read(&*self.fs, &self.dir).map_err(|error| match error.state() {
            // This program wrote it.
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
                Error::corrupt(text.display(), 0, format_args!("a manifest of version {VERSION}"), "another")
            }
            _ => error,
        })?;
        let found = found.ok_or_else(|| Error::corrupt(text.display(), 0, "a manifest", "none"))?;
        match found == (self.durable.clone(), self.number) {
            true => Ok(()),
            false => Err(Error::corrupt(text.display(), 0, "the state in memory", "another")),
        }
    }

    /// Writes the state in memory to a new manifest.
    pub fn renew(&mut self) -> Result<()> {
        self.file = None;
        self.commit(Vec::new())
    }

    fn append(&mut self, file: &dyn File, edits: &[Edit]) -> Result<()> {
        let record = encode_record(self.number, self.end, edits);
        file.write_all_at(&record, self.end)?;
        file.sync_data()?;
        let mark_at = self.end + record.len() as u64;
        if let Err(error) = file.write_all_at(&(MARK ^ self.end).to_le_bytes(), mark_at) {
            // The record is durable. Only the next one may not be put behind a mark that is half there.
            log::warn!("{error}");
            self.end = u64::MAX;
            return Ok(());
        }
        self.end = mark_at + MARK_BYTES;
        Ok(())
    }

    fn rewrite(&mut self, state: &Durable) -> Result<()> {
        self.number += 1;
        let path = path(&self.dir, self.number);
        let mut header = MAGIC.to_vec();
        put_u32(&mut header, VERSION);
        let file = self.fs.open(&path, OpenMode::Create)?;
        file.write_all_at(&header, 0)?;
        self.end = FILE_HEADER_BYTES;
        self.append(&*file, &state.edits())?;
        self.fs.sync_dir(&self.dir)?;
        self.former.push(path.clone());
        switch_current(&*self.fs, &self.dir, self.number)?;
        for former in self.former.drain(..).filter(|former| *former != path) {
            if let Err(error) = self.fs.remove_file(&former) {
                log::warn!("a former manifest stays: {error}");
            }
        }
        self.former.push(path);
        self.file = Some(file);
        Ok(())
    }
}

/// A manifest and CURRENT that say this state and nothing else: names and contents.
pub fn written(state: &Durable) -> Vec<(String, Vec<u8>)> {
    let mut bytes = MAGIC.to_vec();
    put_u32(&mut bytes, VERSION);
    bytes.extend(encode_record(1, FILE_HEADER_BYTES, &state.edits()));
    put_u64(&mut bytes, MARK ^ FILE_HEADER_BYTES);
    vec![(name_of(1), bytes), (CURRENT.into(), current_text(1).into_bytes())]
}

fn name_of(number: u64) -> String {
    format!("{PREFIX}{number:06}")
}

fn current_text(number: u64) -> String {
    let name = name_of(number);
    format!("{name} {:08x}\n", crc32c::crc32c(name.as_bytes()))
}

fn encode_record(number: u64, offset: u64, edits: &[Edit]) -> Vec<u8> {
    let mut payload = Vec::new();
    put_varint(&mut payload, edits.len() as u64);
    edits.iter().for_each(|edit| edit.encode(&mut payload));
    let mut record = Vec::with_capacity(payload.len() + RECORD_HEADER_BYTES as usize);
    put_u32(&mut record, payload.len() as u32);
    put_u32(&mut record, checksum(number, offset, &payload));
    record.append(&mut payload);
    record
}

/// Covers the place too, so that a record of another manifest or of another place is not taken for one of
/// this.
fn checksum(number: u64, offset: u64, payload: &[u8]) -> u32 {
    let mut place = Vec::with_capacity(24);
    put_u64(&mut place, number);
    put_u64(&mut place, offset);
    put_u64(&mut place, payload.len() as u64);
    crc32c::crc32c_append(crc32c::crc32c(&place), payload)
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(name_of(number))
}

fn switch_current(fs: &dyn Fs, dir: &Path, number: u64) -> Result<()> {
    let new = dir.join(CURRENT_NEW);
    if fs.exists(&new) {
        fs.remove_file(&new)?;
    }
    let file = fs.open(&new, OpenMode::Create)?;
    file.write_all_at(current_text(number).as_bytes(), 0)?;
    file.sync_data()?;
    fs.rename(&new, &dir.join(CURRENT))?;
    fs.sync_dir(dir)
}

/// The state in `dir` and the number of its manifest; `None` in a folder that has none.
pub fn read(fs: &dyn Fs, dir: &Path) -> Result<Option<(Durable, u64)>> {
    let current = dir.join(CURRENT);
    if !fs.exists(&current) {
        return match stranded(fs, dir)? {
            Some(file) => Err(Error::corrupt(current.display(), 0, "the name of a manifest", "no file")
                .detail(format!("There is {}, so the folder held a store.", file.display()))),
            None => Ok(None),
        };
    }
    let number = read_current(fs, &current)?;
    let path = path(dir, number);
    let text = path.display().to_string();
    let file = fs.open(&path, OpenMode::Read)?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    check_header(&bytes, &text)?;
    let mut durable = Durable::default();
    let mut at = FILE_HEADER_BYTES;
    while at < bytes.len() as u64 {
        match record(&bytes, &text, number, at)? {
            Some((edits, end)) => {
                for edit in edits {
                    durable
                        .apply(edit)
                        .map_err(|found| Error::corrupt(&text, at, "an edit that fits", found))?;
                }
                at = end + MARK_BYTES;
            }
            None if at == FILE_HEADER_BYTES || marked(&bytes, at) => {
                return Err(Error::corrupt(
                    &text,
                    at,
                    "a whole record",
                    "one with a wrong length or checksum",
                ));
            }
            None => break,
        }
    }
    if at == FILE_HEADER_BYTES {
        return Err(Error::corrupt(&text, at, "a record", "the end of the file"));
    }
    Ok(Some((durable, number)))
}

/// The version is looked at before anything else: a newer manifest (55000) may be laid out otherwise.
fn check_header(bytes: &[u8], text: &str) -> Result<()> {
    let mut reader = Reader::new(bytes).named(text, 0);
    let (magic, version) = (reader.take(8)?, reader.u32()?);
    if magic == MAGIC && version > VERSION {
        return Err(Error::newer_format(text, version, VERSION));
    }
    if magic != MAGIC || version != VERSION {
        let found = format!("\"{}\" version {version}", magic.escape_ascii());
        return Err(Error::corrupt(text, 0, format_args!("a manifest of version {VERSION}"), found));
    }
    Ok(())
}

/// The record at `at` and where it ends, or `None` if there is no whole one.
fn record(bytes: &[u8], text: &str, number: u64, at: u64) -> Result<Option<(Vec<Edit>, u64)>> {
    let rest = &bytes[at as usize..];
    let Some((header, rest)) = rest.split_at_checked(RECORD_HEADER_BYTES as usize) else { return Ok(None) };
    let len = u32::from_le_bytes(header[..4].try_into().expect("four bytes"));
    let sum = u32::from_le_bytes(header[4..].try_into().expect("four bytes"));
    let Some(payload) = rest.get(..len as usize) else { return Ok(None) };
    if checksum(number, at, payload) != sum {
        return Ok(None);
    }
    let start = at + RECORD_HEADER_BYTES;
    let mut reader = Reader::new(payload).named(text, start);
    let count = reader.varint()?;
    let edits = (0..count).map(|_| Edit::decode(&mut reader)).collect::<Result<Vec<_>>>()?;
    reader.finish()?;
    Ok(Some((edits, start + u64::from(len))))
}

/// Whether the file ends in the mark of a record at or after `at`.
fn marked(bytes: &[u8], at: u64) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else { return false };
    let start = u64::from_le_bytes(*last) ^ MARK;
    (at..bytes.len() as u64).contains(&start)
}

/// The records of a manifest, edit by edit.
pub fn describe(file: &dyn File, out: &mut Lines) -> Result<()> {
    let text = file.path().display().to_string();
    let mut bytes = vec![0; file.len()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    // A backup has it as `<position>.MANIFEST-<n>.<sum>`.
    let digits = text.rsplit_once(PREFIX).map(|(_, rest)| rest.split('.').next().unwrap_or(rest));
    let number = digits.and_then(|digits| digits.parse().ok()).unwrap_or(1);
    check_header(&bytes, &text)?;
    out(format!("manifest {number}"))?;
    let mut at = FILE_HEADER_BYTES;
    while at < bytes.len() as u64 {
        let Some((edits, end)) = record(&bytes, &text, number, at)? else {
            return out(format!("at {at}: no whole record"));
        };
        out(format!("record at {at}: {} edits", edits.len()))?;
        for edit in edits {
            out(match edit {
                Edit::SetExtra(id, name, value) => {
                    format!("  extra {name} of storage {}: \"{}\"", id.0, value.escape_ascii())
                }
                edit => format!("  {edit:?}"),
            })?;
        }
        at = end + MARK_BYTES;
    }
    Ok(())
}

fn read_current(fs: &dyn Fs, current: &Path) -> Result<u64> {
    let file = fs.open(current, OpenMode::Read)?;
    let len = file.len()?.min(100) as usize;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    let parsed = || -> Option<u64> {
        let (name, sum) = std::str::from_utf8(&bytes).ok()?.strip_suffix('\n')?.split_once(' ')?;
        let number = name.strip_prefix(PREFIX)?.parse().ok()?;
        (format!("{:08x}", crc32c::crc32c(name.as_bytes())) == sum).then_some(number)
    };
    parsed().ok_or_else(|| {
        Error::corrupt(current.display(), 0, "the name of a manifest and its checksum", bytes.escape_ascii())
    })
}

fn manifest_number(name: &Path) -> Option<u64> {
    name.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

/// A file that shows that a folder without CURRENT had one. The first manifest does not: CURRENT comes after
/// it.
fn stranded(fs: &dyn Fs, dir: &Path) -> Result<Option<PathBuf>> {
    let later = fs.list(dir)?.into_iter().find(|name| manifest_number(name).is_some_and(|number| number > 1));
    if later.is_some() {
        return Ok(later);
    }
    for tree in fs.list(&dir.join("tables"))? {
        let tables = fs.list(&dir.join("tables").join(&tree))?;
        if let Some(table) = tables.into_iter().find(|name| name.extension().is_some_and(|e| e == "sst")) {
            return Ok(Some(tree.join(table)));
        }
    }
    Ok(None)
}

/// Removes manifests that a crash left beside the one that counts.
fn remove_others(fs: &dyn Fs, dir: &Path, keep: Option<u64>) -> Result<()> {
    for name in fs.list(dir)? {
        let other = manifest_number(&name).is_some_and(|number| Some(number) != keep);
        if other || name.as_os_str() == CURRENT_NEW {
            fs.remove_file(&dir.join(name))?;
        }
    }
    Ok(())
}
