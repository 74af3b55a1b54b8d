//! The end of a table's file, what a table says of itself, and what its file is called.

use std::path::{Path, PathBuf};

use super::frame::Handle;
use crate::codec::{Reader, put_bytes, put_u32, put_u64};
use crate::error::{Error, Result};
use crate::fs::File;
use crate::log::{Seq, StorageId};

pub const FOOTER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"HITHERST";
/// Version 1 did not count older versions; up to version 2 all data blocks were of entries.
const VERSION: u32 = 3;

/// Which file: `tables/<storage>/<number>.sst`. Numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName {
    pub storage: StorageId,
    pub number: u64,
}

impl TableName {
    pub fn path(&self, dir: &Path) -> PathBuf {
        folder(dir, self.storage).join(format!("{}.sst", self.number))
    }
}

/// The file of a table.
pub fn path_of(dir: &Path, storage: StorageId, number: u64) -> PathBuf {
    TableName { storage, number }.path(dir)
}

/// The folder of a tree's tables, and of all other files of a table but those of its indexes.
pub fn folder(dir: &Path, storage: StorageId) -> PathBuf {
    dir.join("tables").join(storage.0.to_string())
}

/// What is known of a table without reading its blocks. The manifest has it, and the file's properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMeta {
    pub number: u64,
    /// Length of the file.
    pub bytes: u64,
    pub entries: u64,
    /// Entries that are deletions.
    pub deletions: u64,
    pub key_min: Vec<u8>,
    pub key_max: Vec<u8>,
    /// As they count: with a global sequence number, both are that.
    pub seq_min: Seq,
    pub seq_max: Seq,
    /// An ingested table: its entries count as written at this moment, whatever the file says (it says 0).
    pub global_seq: Option<Seq>,
}

impl TableMeta {
    pub fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.number, self.bytes, self.entries, self.deletions, self.seq_min.0, self.seq_max.0]
        {
            put_u64(out, number);
        }
        out.push(u8::from(self.global_seq.is_some()));
        put_u64(out, self.global_seq.unwrap_or_default().0);
        put_bytes(out, &self.key_min);
        put_bytes(out, &self.key_max);
    }

    pub fn decode(reader: &mut Reader) -> Result<TableMeta> {
        let [number, bytes, entries, deletions, seq_min, seq_max] =
            [reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?];
        let global = reader.u8()? != 0;
        let seq = Seq(reader.u64()?);
        Ok(TableMeta {
            number,
            bytes,
            entries,
            deletions,
            key_min: reader.bytes()?.to_vec(),
            key_max: reader.bytes()?.to_vec(),
            seq_min: Seq(seq_min),
            seq_max: Seq(seq_max),
            global_seq: global.then_some(seq),
        })
    }
}

/// Where the blocks are that lead to all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    pub filter: Handle,
    pub index: Handle,
    pub properties: Handle,
    /// Entries with a newer version of their key in the table.
    pub older_versions: Option<u64>,
}

impl Footer {
    pub fn encode(&self, name: TableName) -> [u8; FOOTER_BYTES] {
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        for handle in [self.filter, self.index, self.properties] {
            put_u64(&mut out, handle.offset);
            put_u32(&mut out, handle.len);
        }
        put_u64(&mut out, self.older_versions.unwrap_or(0));
        put_u32(&mut out, if self.older_versions.is_some() { VERSION } else { 1 });
        let sum = checksum(name, &out);
        put_u32(&mut out, sum);
        put_u32(&mut out, 0);
        out.extend_from_slice(MAGIC);
        out.try_into().expect("36 + 8 + 4 + 4 + 4 + 8 bytes")
    }

    pub fn read(file: &dyn File, name: TableName, file_bytes: u64) -> Result<Footer> {
        let path = file.path().display().to_string();
        let Some(at) = file_bytes.checked_sub(FOOTER_BYTES as u64) else {
            return Err(Reader::new(&[])
                .named(&path, 0)
                .corrupt("a table", format_args!("{file_bytes} bytes")));
        };
        let mut bytes = [0; FOOTER_BYTES];
        file.read_exact_at(&mut bytes, at)?;
        let mut reader = Reader::new(&bytes).named(&path, at);
        let mut handle = || Ok::<_, Error>(Handle { offset: reader.u64()?, len: reader.u32()? });
        let [filter, index, properties] = [handle()?, handle()?, handle()?];
        let (older_versions, version) = (reader.u64()?, reader.u32()?);
        let (sum, padding, magic) = (reader.u32()?, reader.u32()?, reader.take(8)?);
        if magic != MAGIC {
            return Err(reader.corrupt("the end of a sorted table", magic.escape_ascii()));
        }
        let computed = checksum(name, &bytes[..48]);
        if sum != computed {
            return Err(reader.corrupt(format_args!("checksum {computed:08x}"), format_args!("{sum:08x}")));
        }
        if version > VERSION {
            return Err(Error::newer_format(path, version, VERSION));
        }
        if version == 0 || version == 1 && older_versions != 0 || padding != 0 {
            return Err(reader.corrupt(format_args!("version 1 to {VERSION}"), version));
        }
        Ok(Footer { filter, index, properties, older_versions: (version > 1).then_some(older_versions) })
    }
}

fn checksum(name: TableName, fields: &[u8]) -> u32 {
    let mut place = Vec::with_capacity(16);
    put_u64(&mut place, name.storage.0);
    put_u64(&mut place, name.number);
    crc32c::crc32c_append(crc32c::crc32c(&place), fields)
}
