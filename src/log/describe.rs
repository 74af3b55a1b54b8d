//! Segments and pieces of the log as lines that people read: `hither dump --file`.

use std::path::Path;

use super::segment::{self, Scanner, Segment};
use super::{Change, Changes, Piece, PieceName, Position, Record};
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::fs::{Fs, Lines};

/// Whether a file's name is that of a segment or a piece, and then its lines.
pub fn describe(fs: &dyn Fs, path: &Path, out: &mut Lines) -> Result<bool> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let Some(name) = path.file_name().map(Path::new) else { return Ok(false) };
    if let Some(first) = segment::first_of_name(name) {
        describe_segment(&Segment::open_to_read(fs, folder, first)?, out)?;
    } else if let Some(name) = PieceName::of(name) {
        let piece = Piece::read(fs, folder, &name)?;
        out(format!(
            "piece of the log, positions {} to {}, of database {:032x}",
            piece.first.0, piece.end.0, piece.cluster
        ))?;
        piece.each(&mut |position, record| describe_record(position, &record, out).map(|()| true))?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn describe_segment(segment: &Segment, out: &mut Lines) -> Result<()> {
    out(format!("log segment, from position {}, {} bytes for records", segment.first.0, segment.capacity))?;
    let mut scanner = Scanner::new(segment);
    let mut position = segment.first;
    loop {
        match scanner.record_at(position)? {
            Ok(found) => {
                let record = Record::decode(&mut Reader::new(scanner.bytes(found.payload)))?;
                describe_record(position, &record, out)?;
                position = found.next;
            }
            Err(bad) => {
                let error: Error = segment::damaged(segment, &bad);
                return out(format!("{}: no record; {}", position.0, error.message()));
            }
        }
    }
}

fn describe_record(position: Position, record: &Record, out: &mut Lines) -> Result<()> {
    let at = position.0;
    match record {
        Record::Data { txn, storage, changes } => {
            out(format!("{at}: transaction {}, data of storage {}", txn.0, storage.0))?;
            for change in Changes::new(changes) {
                out(format!("  {}", change_text(&change?)))?;
            }
            Ok(())
        }
        Record::Commit { txn, time } => {
            let time = time.map_or("no time".into(), |time| format!("{} us", time.0));
            out(format!("{at}: commit of transaction {} ({time})", txn.0))
        }
        Record::Abort { txn } => out(format!("{at}: end of transaction {}, undone", txn.0)),
        Record::Free { storage, slots } => {
            out(format!("{at}: free slots of storage {}: {slots:?}", storage.0))
        }
        Record::Catalog { txn, edits } => {
            out(format!("{at}: transaction {}, definitions: {}", txn.0, edits.escape_ascii()))
        }
        Record::Sequence { id, value } => out(format!("{at}: sequence {id} up to {value}")),
    }
}

fn change_text(change: &Change) -> String {
    let keys = |keys: &[&[u8]]| {
        let shown: Vec<String> = keys.iter().map(|key| format!("\"{}\"", key.escape_ascii())).collect();
        shown.join(", ")
    };
    match change {
        Change::Insert { slot, row, vectors, keys: added } => format!(
            "insert slot {slot}: row \"{}\", vectors of {:?} bytes, keys {}",
            row.escape_ascii(),
            vectors.iter().map(|vector| vector.map_or(0, <[u8]>::len)).collect::<Vec<_>>(),
            keys(added)
        ),
        Change::Update { slot, row, keys_removed, keys_added } => format!(
            "update slot {slot}: row \"{}\", keys removed {}, added {}",
            row.escape_ascii(),
            keys(keys_removed),
            keys(keys_added)
        ),
        Change::Fill { slot, place, vector } => {
            format!("fill slot {slot}, vector column {place}: {} bytes", vector.map_or(0, <[u8]>::len))
        }
        Change::Delete { slot, keys: removed } => format!("delete slot {slot}: keys {}", keys(removed)),
    }
}
