//! A sorted table as lines.

use super::block::Block;
use super::columns::Columns;
use super::data::DataBlock;
use super::footer::{Footer, TableMeta, TableName};
use super::frame::{self, Kind};
use super::index::{handle, read_index_block};
use super::reader::read_data;
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::fs::{File, Lines};
use crate::log::StorageId;

/// Every entry of a table, whose file has the name it has in a data directory: checksums cover it.
pub fn describe_table(file: &dyn File, out: &mut Lines) -> Result<()> {
    let name = name_of(file)?;
    let footer = Footer::read(file, name, file.len()?)?;
    out(format!("sorted table {} of storage {}", name.number, name.storage.0))?;
    let properties = frame::read(file, name, footer.properties, Kind::Properties)?;
    let meta = TableMeta::decode(&mut Reader::new(&properties))?;
    out(format!(
        "{} entries, {} of them deletions; keys \"{}\" to \"{}\"; sequence numbers {} to {}",
        meta.entries,
        meta.deletions,
        meta.key_min.escape_ascii(),
        meta.key_max.escape_ascii(),
        meta.seq_min.0,
        meta.seq_max.0
    ))?;
    let filter = frame::read(file, name, footer.filter, Kind::Filter);
    out(format!(
        "filter at {}: {}",
        footer.filter.offset,
        filter.map_or_else(|e| e.to_string(), |f| format!("{} bytes", f.len()))
    ))?;
    let index = read_index_block(file, name, footer.index)?;
    for at in 0..index.len() {
        let Some(place) = handle(&index, at) else { continue };
        // One damaged block does not hide the others.
        match read_data(file, name, place) {
            Ok(DataBlock::Entries(block)) => entries(&block, place.offset, "", out)?,
            Ok(DataBlock::Columns(block)) => columns(&block, place.offset, out)?,
            Err(error) => out(format!("block at {}: {error}", place.offset))?,
        }
    }
    Ok(())
}

/// How each column lies, then the entries as they were written.
fn columns(block: &Columns, offset: u64, out: &mut Lines) -> Result<()> {
    match block.to_entries() {
        Ok(rows) => entries(&rows, offset, &format!(" of {} columns", block.columns()), out)?,
        Err(found) => out(format!("block at {offset}: {found}"))?,
    }
    (0..block.columns()).try_for_each(|column| out(format!("  column {column}: {}", block.describe(column))))
}

fn entries(block: &Block, offset: u64, of: &str, out: &mut Lines) -> Result<()> {
    out(format!("block at {offset}: {} entries{of}", block.len()))?;
    for index in 0..block.len() {
        let entry = block.entry(index);
        let value = match &entry.value {
            Some(value) => format!("\"{}\"", value.escape_ascii()),
            None => "deleted".into(),
        };
        out(format!("  \"{}\" at {}: {value}", entry.key.escape_ascii(), entry.seq.0))?;
    }
    Ok(())
}

/// `.../<storage id>/<number>.sst`
fn name_of(file: &dyn File) -> Result<TableName> {
    let path = file.path();
    let number = |text: Option<&std::ffi::OsStr>| text.and_then(|text| text.to_str()?.parse().ok());
    let found = number(path.parent().and_then(std::path::Path::file_name)).zip(number(path.file_stem()));
    let (storage, number) = found.ok_or_else(|| {
        Error::corrupt(path.display(), 0, "a name like tables/<storage id>/<number>.sst", "another")
            .detail("The checksums of a sorted table cover its name.")
    })?;
    Ok(TableName { storage: StorageId(storage), number })
}
