//! A generation of lists on disk: written once, read whole at open.
//!
//! ```text
//!   0    magic "HITHRIVF"            32  rows trained on u64        all numbers little-endian
//!   8    format version u32          40  log position u64
//!   12   metric u32                  48  bytes of the lists u64
//!   16   element u32                 56  crc32c of the centres
//!   20   dimensions u32              60  crc32c of the lists
//!   24   lists asked for u32         64  crc32c of the 64 bytes before
//!   28   centres u32
//!   68   centres                     float4 each, or bits eight to a byte, one after the other
//!   ...  lists                       per centre its bytes u32, and a roaring bitmap in its portable format
//! ```
//!
//! A million rows take about 2 MB of lists, so opening costs milliseconds and everything that is read is verified.

use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::centres::{Centres, Points};
use super::lists::{Lists, Params, State};
use crate::codec::{self, Reader};
use crate::distance::Element;
use crate::error::{Error, Result};
use crate::fs::{File, Fs, Lines, OpenMode};
use crate::index::hnsw::{metric_number, metric_of};

const MAGIC: &[u8; 8] = b"HITHRIVF";
const FORMAT_VERSION: u32 = 1;
/// Bytes of the header its checksum covers.
const HEADER_SUMMED: usize = 64;
const HEADER_BYTES: u64 = HEADER_SUMMED as u64 + 4;

/// The centres as the file has them.
pub(super) fn points_bytes(centres: &Centres) -> Vec<u8> {
    match &centres.points {
        Points::Numbers(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Points::Bits(bytes) => bytes.clone(),
    }
}

impl Lists {
    /// Writes a generation that contains everything up to log position `position`, durably, and reads it back. The file
    /// must not exist. Returns its bytes.
    pub fn save(&self, fs: &dyn Fs, path: &Path, position: u64) -> Result<u64> {
        let state = self.state();
        let (points, lists) = (points_bytes(&state.centres), lists_bytes(&state, path)?);
        let mut bytes = header(self.params(), &state.centres, position, &points, &lists);
        bytes.extend_from_slice(&points);
        bytes.extend_from_slice(&lists);
        let file = fs.open(path, OpenMode::Create)?;
        file.allocate(bytes.len() as u64)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_data()?;
        if let Some(folder) = path.parent() {
            fs.sync_dir(folder)?;
        }
        drop(file);
        Lists::open(fs, path)?;
        Ok(bytes.len() as u64)
    }

    /// Opens and verifies a generation (XX001 when it is damaged). Returns the log position it contains.
    pub fn open(fs: &dyn Fs, path: &Path) -> Result<(Lists, u64)> {
        let file = fs.open(path, OpenMode::Read)?;
        let name = path.display().to_string();
        let head = Head::read(&*file, &name)?;
        let mut points = vec![0; head.points_bytes() as usize];
        file.read_exact_at(&mut points, HEADER_BYTES)?;
        check_sum(&name, HEADER_BYTES, &points, head.points_sum)?;
        let start = HEADER_BYTES + points.len() as u64;
        let mut lists = vec![0; head.lists_bytes as usize];
        file.read_exact_at(&mut lists, start)?;
        check_sum(&name, start, &lists, head.lists_sum)?;
        let points = match head.element {
            Element::Bit => Points::Bits(points),
            _ => {
                let (chunks, _) = points.as_chunks::<4>();
                Points::Numbers(chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
            }
        };
        let centres = Centres { dimensions: head.dimensions as usize, points, trained_on: head.trained_on };
        let lists = read_lists(&lists, &name, start, head.centres)?;
        let mut nodes = RoaringBitmap::new();
        lists.iter().for_each(|list| nodes |= &**list);
        let state = State { centres: Arc::new(centres), lists, nodes: Arc::new(nodes) };
        let lists = Lists::from_state(head.params, state);
        match lists.check().first() {
            None => Ok((lists, head.position)),
            Some(damage) => Err(Error::corrupt(&name, start, "lists apart from each other", damage)),
        }
    }
}

/// Whether a file is a generation of lists, and then how many slots each list has: `hither dump --file`.
pub fn describe(fs: &dyn Fs, path: &Path, out: &mut Lines) -> Result<bool> {
    let file = fs.open(path, OpenMode::Read)?;
    let mut magic = [0; 8];
    if file.len()? < HEADER_BYTES {
        return Ok(false);
    }
    file.read_exact_at(&mut magic, 0)?;
    if &magic != MAGIC {
        return Ok(false);
    }
    drop(file);
    let (lists, position) = Lists::open(fs, path)?;
    let state = lists.state();
    let (count, metric) = (lists.params().lists, lists.params().metric);
    out(format!(
        "{} lists of {count} asked for, {} slots as of position {position}: {metric:?}; sound",
        state.lists.len(),
        state.nodes.len()
    ))?;
    for (number, list) in state.lists.iter().enumerate() {
        out(format!("{number}: {} slots", list.len()))?;
    }
    Ok(true)
}

fn lists_bytes(state: &State, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for list in &state.lists {
        codec::put_u32(&mut bytes, list.serialized_size() as u32);
        list.serialize_into(&mut bytes).map_err(|error| Error::io("write", path.display(), &error))?;
    }
    Ok(bytes)
}

fn read_lists(bytes: &[u8], name: &str, start: u64, count: u32) -> Result<Vec<Arc<RoaringBitmap>>> {
    let mut reader = Reader::new(bytes).named(name, start);
    let mut lists = Vec::with_capacity(count.min(Params::LISTS_MAX) as usize);
    for _ in 0..count {
        let length = reader.u32()? as usize;
        let list = RoaringBitmap::deserialize_from(reader.take(length)?)
            .map_err(|error| reader.corrupt("a roaring bitmap", error))?;
        lists.push(Arc::new(list));
    }
    reader.finish()?;
    Ok(lists)
}

fn check_sum(name: &str, start: u64, bytes: &[u8], expected: u32) -> Result<()> {
    let found = crc32c::crc32c(bytes);
    if found == expected {
        return Ok(());
    }
    let expected = format!("checksum {expected:08x} of {} bytes", bytes.len());
    Err(Error::corrupt(name, start, expected, format!("{found:08x}")))
}

fn header(params: Params, centres: &Centres, position: u64, points: &[u8], lists: &[u8]) -> Vec<u8> {
    let element = match centres.points {
        Points::Numbers(_) => Element::F32,
        Points::Bits(_) => Element::Bit,
    };
    let mut out = MAGIC.to_vec();
    for field in [
        FORMAT_VERSION,
        metric_number(params.metric),
        element.number(),
        centres.dimensions as u32,
        params.lists,
        centres.len() as u32,
    ] {
        codec::put_u32(&mut out, field);
    }
    for field in [centres.trained_on, position, lists.len() as u64] {
        codec::put_u64(&mut out, field);
    }
    codec::put_u32(&mut out, crc32c::crc32c(points));
    codec::put_u32(&mut out, crc32c::crc32c(lists));
    assert_eq!(out.len(), HEADER_SUMMED, "the layout drawn above");
    let sum = crc32c::crc32c(&out);
    codec::put_u32(&mut out, sum);
    out
}

/// The header's fields.
struct Head {
    params: Params,
    element: Element,
    dimensions: u32,
    centres: u32,
    trained_on: u64,
    position: u64,
    lists_bytes: u64,
    points_sum: u32,
    lists_sum: u32,
}

impl Head {
    /// Checks it and the file's length: XX001 when they are damaged, 55000 when a newer program wrote them.
    fn read(file: &dyn File, name: &str) -> Result<Head> {
        let mut bytes = [0; HEADER_BYTES as usize];
        file.read_exact_at(&mut bytes, 0)?;
        if &bytes[..8] != MAGIC {
            return Err(Error::corrupt(name, 0, "a generation of lists", format!("{:02x?}", &bytes[..8])));
        }
        codec::refuse_newer(name, &bytes, FORMAT_VERSION, |_| HEADER_SUMMED)?;
        let mut reader = Reader::new(&bytes[HEADER_SUMMED..]).named(name, HEADER_SUMMED as u64);
        let sum = reader.u32()?;
        check_sum(name, 0, &bytes[..HEADER_SUMMED], sum)?;
        let head = Head::decode(&bytes[8..HEADER_SUMMED], name)?;
        let (expected, length) = (HEADER_BYTES + head.points_bytes() + head.lists_bytes, file.len()?);
        if length != expected {
            return Err(Error::corrupt(name, length, format!("{expected} bytes"), length));
        }
        Ok(head)
    }

    /// Its checksum was right, and it is no newer version.
    fn decode(bytes: &[u8], name: &str) -> Result<Head> {
        let mut reader = Reader::new(bytes).named(name, 8);
        let version = reader.u32()?;
        if version != FORMAT_VERSION {
            return Err(Error::corrupt(name, 8, format!("format {FORMAT_VERSION} of lists"), version));
        }
        let metric = metric_of(reader.u32()?).ok_or_else(|| reader.corrupt("a metric", "another number"))?;
        let number = reader.u32()?;
        let element = [Element::F32, Element::Bit].into_iter().find(|element| element.number() == number);
        let element = element.ok_or_else(|| reader.corrupt("an element of centres", number))?;
        let (dimensions, lists, centres) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let params = Params::new(lists, metric)
            .map_err(|error| Error::corrupt(name, 24, "the parameters of lists", error))?;
        if centres > lists {
            return Err(Error::corrupt(name, 28, format!("at most {lists} centres"), centres));
        }
        let (trained_on, position, lists_bytes) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (points_sum, lists_sum) = (reader.u32()?, reader.u32()?);
        Ok(Head {
            params,
            element,
            dimensions,
            centres,
            trained_on,
            position,
            lists_bytes,
            points_sum,
            lists_sum,
        })
    }

    fn points_bytes(&self) -> u64 {
        u64::from(self.centres) * self.element.bytes(self.dimensions as usize) as u64
    }
}
