//! Pieces of the log outside of a data directory: in an archive, in a backup.
//!
//! ```text
//!   <first position>-<end>.piece          both as 16 hex digits
//!   0    "HITHPIEC"                       40   end position             u64
//!   8    format version   u32             48   bytes of the records     u64
//!   12   cluster id       16              56   crc32c of the records    u32
//!   28   zeros            u32             60   crc32c of bytes 0..60    u32
//!   32   first position   u64             64   the records of one segment as they lie there, deflated
//! ```
//!
//! A piece begins where a segment began, and ends where it ended, or, when the segment was the current one, where the log
//! ended then. So pieces follow one another without gaps, and of two that begin at one place the longer has all of the
//! other. A restore makes a segment of each.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::segment::{self, FILE_HEADER_BYTES, RECORD_HEADER_BYTES};
use super::{Position, Record};
use crate::codec::{Reader, put_u32, put_u64};
use crate::error::{Error, Result, SqlState};
use crate::fs::{Fs, OpenMode};

const MAGIC: &[u8; 8] = b"HITHPIEC";
const FORMAT_VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;
/// Vectors hardly shrink whatever the level; rows and keys shrink by half at the first.
const LEVEL: u32 = 1;
/// A segment that gets no more than this is not worth more zeros: the next one begins soon.
const RESTORED_CAPACITY_MIN: u64 = 64 << 10;

/// Records of the log, and where they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub cluster: u128,
    pub first: Position,
    pub end: Position,
    /// As they lie in a segment.
    pub records: Vec<u8>,
}

/// What the name of a piece tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PieceName {
    pub first: Position,
    pub end: Position,
}

/// What the first bytes of a file say.
struct Header {
    cluster: u128,
    first: Position,
    end: Position,
    /// Of the records, inflated.
    len: u64,
    sum: u32,
}

impl Header {
    fn decode(bytes: &[u8], name: &str) -> Result<Header> {
        let mut reader = Reader::new(bytes).named(name, 0);
        let magic = reader.take(8)?;
        if magic != MAGIC {
            return Err(Error::corrupt(name, 0, "a piece of the log", magic.escape_ascii()));
        }
        let version = reader.u32()?;
        if version > FORMAT_VERSION {
            let message =
                format!("{name} has format {version}, and this program knows formats up to {FORMAT_VERSION}");
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let cluster = u128::from_le_bytes(reader.take(16)?.try_into().expect("sixteen bytes were taken"));
        reader.u32()?;
        let (first, end, len) = (Position(reader.u64()?), Position(reader.u64()?), reader.u64()?);
        let (sum, checksum) = (reader.u32()?, reader.u32()?);
        let expected = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
        match checksum == expected {
            true => Ok(Header { cluster, first, end, len, sum }),
            false => {
                let (expected, found) = (format!("checksum {expected:08x}"), format!("{checksum:08x}"));
                Err(Error::corrupt(name, HEADER_BYTES as u64 - 4, expected, found))
            }
        }
    }
}

impl PieceName {
    pub fn file_name(&self) -> String {
        format!("{:016x}-{:016x}.piece", self.first.0, self.end.0)
    }

    /// `None` for other files.
    pub fn of(name: &Path) -> Option<PieceName> {
        let (first, end) = name.to_str()?.strip_suffix(".piece")?.split_once('-')?;
        let position = |digits: &str| {
            (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok().map(Position)).flatten()
        };
        Some(PieceName { first: position(first)?, end: position(end)? })
    }

    /// All pieces in a folder, by first position; of those that begin at one place the longest last.
    pub fn list(fs: &dyn Fs, folder: &Path) -> Result<Vec<PieceName>> {
        let mut names: Vec<PieceName> =
            fs.list(folder)?.iter().filter_map(|name| PieceName::of(name)).collect();
        names.sort_unstable();
        Ok(names)
    }
}

impl Piece {
    pub fn name(&self) -> PieceName {
        PieceName { first: self.first, end: self.end }
    }

    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        put_u32(&mut out, FORMAT_VERSION);
        out.extend_from_slice(&self.cluster.to_le_bytes());
        put_u32(&mut out, 0);
        put_u64(&mut out, self.first.0);
        put_u64(&mut out, self.end.0);
        put_u64(&mut out, self.records.len() as u64);
        put_u32(&mut out, crc32c::crc32c(&self.records));
        let checksum = crc32c::crc32c(&out);
        put_u32(&mut out, checksum);
        let mut deflate = DeflateEncoder::new(out, Compression::new(LEVEL));
        let written = std::io::Write::write_all(&mut deflate, &self.records);
        written
            .and_then(|()| deflate.finish())
            .map_err(|error| Error::io("deflate", self.name().file_name(), &error))
    }

    /// Reads the piece that a file holds, and verifies it to the last record.
    pub fn read(fs: &dyn Fs, folder: &Path, name: &PieceName) -> Result<Piece> {
        let path = folder.join(name.file_name());
        let file = fs.open(&path, OpenMode::Read)?;
        let mut bytes = vec![0; file.len()? as usize];
        file.read_exact_at(&mut bytes, 0)?;
        let piece = Piece::decode(&bytes, &path)?;
        if piece.name() != *name {
            let found = piece.name().file_name();
            return Err(Error::corrupt(path.display(), 32, "the positions of its name", found));
        }
        piece.each(&mut |_, _| Ok(true)).map_err(|error| error.context(path.display().to_string()))?;
        Ok(piece)
    }

    /// Whose log a file is of, from its header alone.
    pub fn cluster(fs: &dyn Fs, folder: &Path, name: &PieceName) -> Result<u128> {
        Piece::cluster_in(fs, &folder.join(name.file_name()))
    }

    /// [`Piece::cluster`] of a file by whatever name.
    pub fn cluster_in(fs: &dyn Fs, path: &Path) -> Result<u128> {
        let mut bytes = [0; HEADER_BYTES];
        fs.open(path, OpenMode::Read)?.read_exact_at(&mut bytes, 0)?;
        Ok(Header::decode(&bytes, &path.display().to_string())?.cluster)
    }

    fn decode(bytes: &[u8], path: &Path) -> Result<Piece> {
        let name = path.display().to_string();
        let Header { cluster, first, end, len, sum } = Header::decode(bytes, &name)?;
        let mut records = Vec::new();
        let deflated = &bytes[HEADER_BYTES..];
        DeflateDecoder::new(deflated)
            .take(len + 1)
            .read_to_end(&mut records)
            .map_err(|error| Error::corrupt(&name, HEADER_BYTES as u64, "deflated records", error))?;
        let found = crc32c::crc32c(&records);
        if records.len() as u64 != len || found != sum || end.0.checked_sub(first.0) != Some(len) {
            let expected = format!("{len} bytes of records with checksum {sum:08x}");
            let found = format!("{} with {found:08x}", records.len());
            return Err(Error::corrupt(&name, HEADER_BYTES as u64, expected, found));
        }
        Ok(Piece { cluster, first, end, records })
    }

    /// Hands out the records until `f` answers false, and says where the first one begins that it did not take (the end,
    /// when it took all).
    pub fn each(&self, f: &mut dyn FnMut(Position, Record) -> Result<bool>) -> Result<Position> {
        let mut position = self.first;
        while position < self.end {
            let at = (position.0 - self.first.0) as usize;
            let Some((payload, next)) = segment::record_in(&self.records[at..], position) else {
                let name = self.name().file_name();
                let found = "none with these checksums";
                return Err(Error::corrupt(
                    name,
                    at as u64,
                    format!("a record of position {:x}", position.0),
                    found,
                ));
            };
            let start = at + RECORD_HEADER_BYTES;
            let mut reader = Reader::new(&self.records[start..start + payload]);
            if !f(position, Record::decode(&mut reader)?)? {
                return Ok(position);
            }
            position = next;
        }
        Ok(position)
    }

    /// Makes a segment of the records before `end` in the log's folder: durable once the folder is synced.
    pub fn install(&self, fs: &dyn Fs, folder: &Path, end: Position) -> Result<PathBuf> {
        let records = &self.records[..(end.0 - self.first.0) as usize];
        let len = (records.len() as u64).max(RESTORED_CAPACITY_MIN);
        let capacity = len.next_multiple_of(FILE_HEADER_BYTES);
        let path = folder.join(segment::file_name(self.first));
        let file = fs.open(&path, OpenMode::Create)?;
        file.allocate(FILE_HEADER_BYTES + capacity)?;
        file.write_all_at(&segment::encode_file_header(self.first, capacity), 0)?;
        file.write_all_at(records, FILE_HEADER_BYTES)?;
        file.sync_data()?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fs::MemoryFs;
    use crate::log::{LocalLog, Log, TxnId};

    /// A log of several segments as pieces.
    fn pieces(log: &LocalLog) -> Vec<Piece> {
        let whole = |part: &crate::log::Part| Piece {
            cluster: 7,
            first: part.first,
            end: part.end,
            records: log.read(part).unwrap(),
        };
        log.parts().iter().map(whole).collect()
    }

    fn log() -> (MemoryFs, LocalLog, Vec<Position>) {
        let fs = MemoryFs::new();
        let log = LocalLog::open(Arc::new(fs.clone()), Path::new("/log"), 16 << 10).unwrap();
        let mut positions = Vec::new();
        for number in 0..40 {
            let edits = vec![number as u8; 100 * (number as usize % 9)];
            positions.extend(log.append(&[Record::Catalog { txn: TxnId(number), edits: &edits }]).unwrap());
        }
        log.sync().unwrap();
        (fs, log, positions)
    }

    #[test]
    fn a_log_made_of_pieces_is_the_log_up_to_any_record() {
        let (_, log, positions) = log();
        let pieces = pieces(&log);
        assert!(pieces.len() > 1, "a log of several segments");
        assert_eq!(pieces.last().unwrap().end, log.end());
        for (count, cut) in positions.iter().copied().enumerate().chain([(40, log.end())]) {
            let fs = MemoryFs::new();
            fs.create_dir_all(Path::new("/log")).unwrap();
            for piece in pieces.iter().filter(|piece| piece.first < cut) {
                let bytes = piece.encode().unwrap();
                let again = Piece::decode(&bytes, Path::new("x")).unwrap();
                assert_eq!(again, *piece);
                again.install(&fs, Path::new("/log"), piece.end.min(cut)).unwrap();
            }
            if count == 0 {
                continue;
            }
            fs.sync_dir(Path::new("/log")).unwrap();
            let copy = LocalLog::open(Arc::new(fs), Path::new("/log"), 16 << 10).unwrap();
            assert_eq!(copy.end(), cut);
            let mut found = 0;
            copy.replay(positions[0], &mut |_, _| {
                found += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(found, count);
            copy.append(&[Record::Abort { txn: TxnId(9) }]).unwrap();
        }
    }

    #[test]
    fn every_flipped_byte_of_a_piece_is_noticed() {
        let (_, log, _) = log();
        let piece = pieces(&log).remove(0);
        let bytes = piece.encode().unwrap();
        // Zeros after the cluster id mean nothing but are summed.
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            let read = Piece::decode(&bad, Path::new("x"));
            assert!(read.is_err() || read.is_ok_and(|found| found == piece), "byte {at}");
        }
        assert!(Piece::decode(&bytes[..bytes.len() / 2], Path::new("x")).is_err());
        assert!(Piece::decode(&[], Path::new("x")).is_err());
    }

    #[test]
    fn names_tell_positions() {
        let name = PieceName { first: Position(8), end: Position(0x1234) };
        assert_eq!(name.file_name(), "0000000000000008-0000000000001234.piece");
        assert_eq!(PieceName::of(Path::new(&name.file_name())), Some(name));
        assert_eq!(PieceName::of(Path::new("8-9.piece")), None);
        assert_eq!(PieceName::of(Path::new("0000000000000008.log")), None);
    }
}
