//! A graph generation on disk: written once, mapped copy-on-write at open.
//!
//! ```text
//!   0       header, 4,096 bytes            all numbers little-endian
//!           0  magic "HITHRGRF"           40  nodes: bytes u64
//!           8  format version u32, 4, 5   48  entry: slot u32
//!          12  m u16                      52  entry: level u32, all ones when the graph is empty
//!          14  ef_construction u16        56  crc32c of the level-0 words
//!          16  metric u32                 60  crc32c of the upper words
//!          20  dimensions u32             64  crc32c of the nodes
//!          24  log position u64           68  quantization u32: 0 none, 1 sq8,
//!          32  level-0 blocks u32             2 f16, 3 bf16, 4 bq, 5 pq
//!          36  upper blocks u32           72  crc32c of the code words
//!                                         76  words before the first code u32
//!                                         80  crc32c of the 80 bytes before
//!   4,096   level-0 words                  blocks as in links.rs, (1 + 2m) words each, by slot
//!   ...     upper words                    (1 + m) words each, by block number; block 0 is unused
//!   ...     code words                     first the centre: vectors it is in the middle of u32, scale f32, elements
//!                                          f32; for pq the book: deviation f32, mean α² f32, axes f32, codewords
//!                                          f32; then blocks as in quantizer/coder.rs, by slot; none
//!                                          without quantisation
//!   ...     nodes                          the node set, a roaring bitmap in its portable format
//! ```
//!
//! Version 5 is that of graphs with pq, which a program that knows version 4 refuses; others are still written in version 4,
//! which it reads. Version 1 ends its header at 68, with the checksum of the bytes before, and has no codes; version 2 knows
//! sq8 alone; both and version 3 end at 76, and have a centre, without a scale, for bq alone. All are still read. A graph
//! keeps such codes until it is built anew, which happens by itself where a centre would make them much finer.
//!
//! A graph is saved while nodes are added. The file holds exactly the nodes of one moment: the set is taken
//! first, and links and twins that are not in it are left out as the words are written.
//!
//! Opening reads the header and the nodes and maps the rest, so it takes milliseconds whatever the size, unless memory is
//! short and the file is copied (`index/room.rs`). The
//! words' checksums are [`Graph::verify`]'s: called after writing, by `check`, and by an open that wants
//! certainty. A damaged word that nobody verified cannot do harm: links are followed only where there are
//! blocks and vectors, and what a search returns is tested against the rows it may return.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use roaring::RoaringBitmap;

use super::codes::Codes;
use super::graph::{Entry, Graph, Params};
use super::links::{Block, Header, Links, LinksView, NONE};
use crate::codec::{self, Reader};
use crate::distance::Metric;
use crate::error::{Error, Result};
use crate::fs::mapped::plain_words;
use crate::fs::{File, Fs, OpenMode, Pace, unpaced};
use crate::index::quantizer::{Coder, Quantization};
use crate::index::room::Room;

const MAGIC: &[u8; 8] = b"HITHRGRF";
const FORMAT_VERSION: u32 = 5;
/// What all graphs are written in but those with codes that it does not have.
const FORMAT_VERSION_BEFORE_PQ: u32 = 4;
const HEADER_BYTES: u64 = 4096;
/// Bytes of the header its checksum covers, by format version.
const HEADER_SUMMED: usize = 80;
const HEADER_SUMMED_V3: usize = 76;
const HEADER_SUMMED_V1: usize = 68;
/// Bytes per write.
const WRITE_BYTES: usize = 1 << 20;

const _: () = assert!(cfg!(target_endian = "little"), "words are read in place, little-endian");

/// The header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    params: Params,
    dimensions: u32,
    position: u64,
    base_blocks: u32,
    upper_blocks: u32,
    nodes_bytes: u64,
    entry: Option<Entry>,
    base_sum: u32,
    upper_sum: u32,
    nodes_sum: u32,
    codes_sum: u32,
    /// What the coder keeps, in front of the codes.
    coder_words: u32,
}

impl Graph {
    /// Writes a generation that contains everything up to log position `position`, durably, and verifies it.
    /// The file must not exist. Returns its bytes.
    pub fn save(&self, fs: &dyn Fs, path: &Path, dimensions: usize, position: u64) -> Result<u64> {
        let shape = self.shape.read();
        let bytes = self.write(fs, path, dimensions, position)?;
        drop(shape);
        // Zeros that stood for what could not be read have right checksums now.
        self.refuse_unread()?;
        Graph::verify(fs, path)?;
        Ok(bytes)
    }

    /// Opens a generation, in plain memory. Returns the log position it contains.
    pub fn open(fs: &dyn Fs, path: &Path) -> Result<(Graph, u64)> {
        Graph::open_in(fs, path, &Room::unbounded())
    }

    /// Opens a generation; its words stay in the file until they are read, and in memory once they change: all of them
    /// may, so that their bytes are taken from `room`, and where there is none the graph is a copy in a file of its own.
    /// Returns the log position it contains.
    pub fn open_in(fs: &dyn Fs, path: &Path, room: &Arc<Room>) -> Result<(Graph, u64)> {
        let file = fs.open(path, OpenMode::Read)?;
        let (head, nodes) = read_head(&*file)?;
        let bytes = file.len()?;
        let (map, held) = match room.take(bytes) {
            Some(held) => (file.map_words()?, held),
            None => match room.spill_copy(&*file) {
                Some(spilled) => spilled,
                None => (file.map_words()?, room.take_anyway(bytes)),
            },
        };
        let map = Arc::new(map);
        let base_start = HEADER_BYTES / 4;
        let links = |level, start: u64, blocks| {
            Links::mapped(head.params.capacity(level), &map, start as usize, blocks, room)
        };
        let base = links(0, base_start, head.base_blocks);
        let upper_start = base_start + head.base_bytes() / 4;
        let upper = links(1, upper_start, head.upper_blocks);
        let next = u64::from(head.upper_blocks).max(1);
        let mut graph = Graph::from_parts(head.params, room, base, upper, next, head.entry, nodes);
        graph.held = Some(held);
        if let Some(quantization) = head.params.quantization.filter(|_| head.base_blocks > 0) {
            let (start, dimensions) = ((head.codes_start() / 4) as usize, head.dimensions as usize);
            let blocks = start + head.coder_words as usize;
            let coder_head = plain_words(&map[start..blocks]);
            let coder = Coder::from_head(quantization, head.params.metric, dimensions, coder_head);
            let codes = Codes::mapped(coder, &map, blocks, head.base_blocks, room);
            // The graph is new, so nobody has made codes for it.
            let _ = graph.codes.set(codes);
        }
        // Parts of it are copies.
        map.refuse_unread()?;
        Ok((graph, head.position))
    }

    /// The nodes of a generation.
    pub fn nodes_of(fs: &dyn Fs, path: &Path) -> Result<RoaringBitmap> {
        read_head(&*fs.open(path, OpenMode::Read)?).map(|(_, nodes)| nodes)
    }

    /// Reads the whole file and holds it against its checksums and the graph's invariants (XX001 when damaged).
    pub fn verify(fs: &dyn Fs, path: &Path) -> Result<()> {
        Graph::verify_paced(fs, path, &mut unpaced)
    }

    /// [`Graph::verify`], as fast as `pace` lets it.
    pub fn verify_paced(fs: &dyn Fs, path: &Path, pace: &mut Pace) -> Result<()> {
        let file = fs.open(path, OpenMode::Read)?;
        let (head, _) = read_head(&*file)?;
        let upper_start = HEADER_BYTES + head.base_bytes();
        verify_region(&*file, HEADER_BYTES, head.base_bytes(), head.base_sum, pace)?;
        verify_region(&*file, upper_start, head.upper_bytes(), head.upper_sum, pace)?;
        verify_region(&*file, head.codes_start(), head.code_bytes(), head.codes_sum, pace)?;
        drop(file);
        let (graph, _) = Graph::open(fs, path)?;
        match graph.inspect().damage.first() {
            None => graph.refuse_unread(),
            Some(first) => Err(Error::corrupt(path.display(), HEADER_BYTES, "a sound graph", first)),
        }
    }

    fn write(&self, fs: &dyn Fs, path: &Path, dimensions: usize, position: u64) -> Result<u64> {
        let (nodes, base, upper) = (self.nodes(), self.base.view(), self.upper.view());
        let nodes = without_lone_twins(&nodes, &base);
        let mut set = Vec::with_capacity(nodes.serialized_size());
        nodes.serialize_into(&mut set).map_err(|error| Error::io("write", path.display(), &error))?;
        let coder_head = self.codes.get().map(|codes| codes.coder().head()).unwrap_or_default();
        let mut head = Head {
            params: self.params,
            dimensions: dimensions as u32,
            position,
            base_blocks: nodes.max().map_or(0, |slot| slot + 1),
            upper_blocks: self.upper_blocks().min(upper.end()),
            nodes_bytes: set.len() as u64,
            entry: saved_entry(self.entry(), &base, &upper, &nodes),
            base_sum: 0,
            upper_sum: 0,
            nodes_sum: crc32c::crc32c(&set),
            codes_sum: 0,
            coder_words: coder_head.len() as u32,
        };
        let file = fs.open(path, OpenMode::Create)?;
        file.allocate(head.file_bytes())?;
        let mut out = Writer { file: &*file, offset: HEADER_BYTES, buffer: Vec::new(), sum: 0 };
        for slot in 0..head.base_blocks {
            let _stripe = self.stripe(slot).lock();
            out.base_block(&base, slot, &nodes)?;
        }
        head.base_sum = out.finish()?;
        for number in 0..head.upper_blocks {
            out.upper_block(&upper, number, &nodes)?;
        }
        head.upper_sum = out.finish()?;
        if let Some(codes) = self.codes.get().filter(|_| head.code_bytes() > 0) {
            coder_head.into_iter().for_each(|word| codec::put_u32(&mut out.buffer, word));
            let codes = codes.view();
            (0..head.base_blocks).try_for_each(|slot| out.code_block(&codes, slot, &nodes))?;
            head.codes_sum = out.finish()?;
        }
        file.write_all_at(&set, out.offset)?;
        file.write_all_at(&head.encode(), 0)?;
        file.sync_data()?;
        if let Some(folder) = path.parent() {
            fs.sync_dir(folder)?;
        }
        Ok(head.file_bytes())
    }

    fn upper_blocks(&self) -> u32 {
        let given = self.upper_next.load(Ordering::Relaxed);
        given.min(u64::from(Header::UP_MAX)) as u32
    }
}

/// The nodes but for twins whose first another thread is about to add: they are saved the next time.
fn without_lone_twins(nodes: &RoaringBitmap, base: &LinksView) -> RoaringBitmap {
    let lone = |slot: &u32| {
        let block = base.block(*slot);
        block.is_none_or(|block| block.header().is_twin() && !nodes.contains(block.link(0)))
    };
    let lone: RoaringBitmap = nodes.iter().filter(lone).collect();
    nodes - lone
}

/// The entry point when it is among the nodes saved, else the highest of them.
fn saved_entry(
    entry: Option<Entry>,
    base: &LinksView,
    upper: &LinksView,
    nodes: &RoaringBitmap,
) -> Option<Entry> {
    if let Some(entry) = entry
        && nodes.contains(entry.slot)
    {
        return Some(entry);
    }
    let level = |slot: u32| {
        let mut number = base.block(slot)?.header();
        if number.is_twin() {
            return None;
        }
        let mut level = 0;
        while number.up() != 0 && level < super::level::LEVEL_MAX {
            number = upper.block(number.up())?.header();
            level += 1;
        }
        Some(Entry { slot, level })
    };
    nodes.iter().filter_map(level).max_by_key(|entry| entry.level)
}

/// Appends words, block by block, and sums them.
struct Writer<'a> {
    file: &'a dyn File,
    offset: u64,
    buffer: Vec<u8>,
    sum: u32,
}

impl Writer<'_> {
    fn base_block(&mut self, base: &LinksView, slot: u32, nodes: &RoaringBitmap) -> Result<()> {
        let start = self.buffer.len();
        if nodes.contains(slot)
            && let Some(block) = base.block(slot)
        {
            self.node(base, block, nodes);
        }
        self.pad(start, base.stride())
    }

    fn upper_block(&mut self, upper: &LinksView, number: u32, nodes: &RoaringBitmap) -> Result<()> {
        let start = self.buffer.len();
        if let Some(block) = upper.block(number) {
            let header = block.header();
            let mut links: Vec<u32> = Vec::with_capacity(upper.stride());
            for link in block.links(header).filter(|&link| nodes.contains(link)) {
                // Nobody's stripe is held: a list that is being replaced may show a link twice.
                if !links.contains(&link) {
                    links.push(link);
                }
            }
            self.words(header.with_count(links.len()), &links);
        }
        self.pad(start, upper.stride())
    }

    fn code_block(&mut self, codes: &LinksView, slot: u32, nodes: &RoaringBitmap) -> Result<()> {
        let start = self.buffer.len();
        if nodes.contains(slot) && slot < codes.end() {
            let words = codes.words(slot).iter().map(|word| word.load(Ordering::Relaxed));
            words.for_each(|word| codec::put_u32(&mut self.buffer, word));
        }
        self.pad(start, codes.stride())
    }

    fn node(&mut self, base: &LinksView, block: Block, nodes: &RoaringBitmap) {
        let header = block.header();
        let twin = saved_twin(base, block, header, nodes);
        if header.is_twin() {
            return self.words(header, &[block.link(0), twin]);
        }
        let links: Vec<u32> = block.links(header).filter(|&link| nodes.contains(link)).collect();
        self.words(header.without_twins().with_count(links.len()), &links);
        if twin != NONE {
            // The chain's first word is the block's last.
            let start = self.buffer.len() - 4 * (1 + links.len());
            self.buffer[start..start + 4]
                .copy_from_slice(&header.with_count(links.len()).with_twins().0.to_le_bytes());
            self.buffer.resize(start + 4 * (base.stride() - 1), 0);
            codec::put_u32(&mut self.buffer, twin);
        }
    }

    fn words(&mut self, header: Header, links: &[u32]) {
        codec::put_u32(&mut self.buffer, header.0);
        links.iter().for_each(|&link| codec::put_u32(&mut self.buffer, link));
    }

    /// Fills the block that began at `start` up with zeros.
    fn pad(&mut self, start: usize, stride: usize) -> Result<()> {
        self.buffer.resize(start + 4 * stride, 0);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.sum = crc32c::crc32c_append(self.sum, &self.buffer);
        self.file.write_all_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Ends a region and returns its checksum.
    fn finish(&mut self) -> Result<u32> {
        self.flush()?;
        Ok(std::mem::take(&mut self.sum))
    }
}

/// The first twin after this block that is saved.
fn saved_twin(base: &LinksView, block: Block, header: Header, nodes: &RoaringBitmap) -> u32 {
    let mut twin = block.next_twin(header);
    while twin != NONE && !nodes.contains(twin) {
        twin = base.block(twin).map_or(NONE, |block| block.next_twin(block.header()));
    }
    twin
}

impl Head {
    fn base_bytes(&self) -> u64 {
        u64::from(self.base_blocks) * (self.params.capacity(0) as u64 + 1) * 4
    }

    fn upper_bytes(&self) -> u64 {
        u64::from(self.upper_blocks) * (self.params.capacity(1) as u64 + 1) * 4
    }

    fn codes_start(&self) -> u64 {
        HEADER_BYTES + self.base_bytes() + self.upper_bytes()
    }

    fn code_bytes(&self) -> u64 {
        match self.params.quantization {
            None => 0,
            Some(_) if self.base_blocks == 0 => 0,
            Some(quantization) => {
                let dimensions = self.dimensions as usize;
                let blocks = u64::from(self.base_blocks) * Coder::words(quantization, dimensions) as u64;
                4 * (u64::from(self.coder_words) + blocks)
            }
        }
    }

    fn file_bytes(&self) -> u64 {
        self.codes_start() + self.code_bytes() + self.nodes_bytes
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        codec::put_u32(&mut out, written_version(self.params.quantization));
        codec::put_u16(&mut out, self.params.m);
        codec::put_u16(&mut out, self.params.ef_construction);
        codec::put_u32(&mut out, metric_number(self.params.metric));
        codec::put_u32(&mut out, self.dimensions);
        codec::put_u64(&mut out, self.position);
        codec::put_u32(&mut out, self.base_blocks);
        codec::put_u32(&mut out, self.upper_blocks);
        codec::put_u64(&mut out, self.nodes_bytes);
        codec::put_u64(
            &mut out,
            match self.entry {
                Some(entry) => u64::from(entry.slot) | u64::from(entry.level) << 32,
                None => u64::MAX,
            },
        );
        for sum in [self.base_sum, self.upper_sum, self.nodes_sum] {
            codec::put_u32(&mut out, sum);
        }
        codec::put_u32(&mut out, quantization_number(self.params.quantization));
        codec::put_u32(&mut out, self.codes_sum);
        codec::put_u32(&mut out, self.coder_words);
        assert_eq!(out.len(), HEADER_SUMMED, "the layout drawn above");
        let sum = crc32c::crc32c(&out);
        codec::put_u32(&mut out, sum);
        out
    }
}

/// Reads and checks the header, the file's length and the node set: XX001 when they are damaged, 55000 when a newer
/// program wrote them.
fn read_head(file: &dyn File) -> Result<(Head, RoaringBitmap)> {
    let name = file.path().display().to_string();
    let mut bytes = [0; HEADER_SUMMED + 4];
    file.read_exact_at(&mut bytes, 0)?;
    if &bytes[..8] != MAGIC {
        return Err(Error::corrupt(&name, 0, "a graph generation", format!("{:02x?}", &bytes[..8])));
    }
    codec::refuse_newer(&name, &bytes, FORMAT_VERSION, header_summed)?;
    let summed = header_summed(sum_at(&bytes, 8));
    let (expected, found) = (crc32c::crc32c(&bytes[..summed]), sum_at(&bytes, summed));
    if expected != found {
        let (expected, found) = (format!("header checksum {expected:08x}"), format!("{found:08x}"));
        return Err(Error::corrupt(&name, summed as u64, expected, found));
    }
    let head = decode_head(&bytes[8..summed], &name)?;
    let length = file.len()?;
    if length != head.file_bytes() {
        return Err(Error::corrupt(&name, length, format!("{} bytes", head.file_bytes()), length));
    }
    let start = head.file_bytes() - head.nodes_bytes;
    let mut set = vec![0; head.nodes_bytes as usize];
    file.read_exact_at(&mut set, start)?;
    let found = crc32c::crc32c(&set);
    if found != head.nodes_sum {
        let expected = format!("node checksum {:08x}", head.nodes_sum);
        return Err(Error::corrupt(&name, start, expected, format!("{found:08x}")));
    }
    let nodes = RoaringBitmap::deserialize_from(&set[..])
        .map_err(|error| Error::corrupt(&name, start, "a roaring bitmap", error))?;
    if nodes.max().map_or(0, |slot| slot.saturating_add(1)) != head.base_blocks {
        return Err(Error::corrupt(&name, start, format!("slots below {}", head.base_blocks), "others"));
    }
    Ok((head, nodes))
}

fn written_version(quantization: Option<Quantization>) -> u32 {
    if quantization == Some(Quantization::Pq) { FORMAT_VERSION } else { FORMAT_VERSION_BEFORE_PQ }
}

/// Bytes of the header that its checksum covers, in a format version.
fn header_summed(version: u32) -> usize {
    match version {
        1 => HEADER_SUMMED_V1,
        2 | 3 => HEADER_SUMMED_V3,
        _ => HEADER_SUMMED,
    }
}

fn sum_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The header's fields from byte 8 on. Its checksum was right, and it is no newer version.
fn decode_head(bytes: &[u8], name: &str) -> Result<Head> {
    let mut reader = Reader::new(bytes).named(name, 8);
    let version = reader.u32()?;
    if !(1..=FORMAT_VERSION).contains(&version) {
        return Err(Error::corrupt(name, 8, format!("graph format 1 to {FORMAT_VERSION}"), version));
    }
    let (m, ef_construction) = (reader.u16()?, reader.u16()?);
    let metric = metric_of(reader.u32()?).ok_or_else(|| reader.corrupt("a metric", "another number"))?;
    let params = Params::new(m, ef_construction, metric)
        .map_err(|error| Error::corrupt(name, 12, "a graph's parameters", error))?;
    let (dimensions, position) = (reader.u32()?, reader.u64()?);
    let (base_blocks, upper_blocks, nodes_bytes) = (reader.u32()?, reader.u32()?, reader.u64()?);
    let entry = reader.u64()?;
    let entry = (entry != u64::MAX).then_some(Entry { slot: entry as u32, level: (entry >> 32) as u32 });
    let (base_sum, upper_sum, nodes_sum) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let (quantization, codes_sum) = if version == 1 { (0, 0) } else { (reader.u32()?, reader.u32()?) };
    let quantization =
        quantization_of(quantization).ok_or_else(|| reader.corrupt("a quantization", quantization))?;
    let words = quantization.map_or(0, |kind| Coder::head_words(kind, dimensions as usize)) as u32;
    let old_words = quantization.and_then(|kind| Coder::old_head_words(kind, dimensions as usize));
    let old_words = old_words.map(|words| words as u32);
    let coder_words = if version < 4 { old_words.unwrap_or(0) } else { reader.u32()? };
    let is_known = coder_words == words || Some(coder_words) == old_words;
    if quantization.is_some() && base_blocks > 0 && !is_known {
        return Err(reader.corrupt(format!("{words} words of a centre"), coder_words));
    }
    Ok(Head {
        params: params.quantized(quantization),
        dimensions,
        position,
        base_blocks,
        upper_blocks,
        nodes_bytes,
        entry,
        base_sum,
        upper_sum,
        nodes_sum,
        codes_sum,
        coder_words,
    })
}

fn verify_region(file: &dyn File, start: u64, bytes: u64, expected: u32, pace: &mut Pace) -> Result<()> {
    let mut sum = 0;
    let mut buffer = vec![0; WRITE_BYTES];
    let mut done = 0;
    while done < bytes {
        let part = &mut buffer[..(bytes - done).min(WRITE_BYTES as u64) as usize];
        file.read_exact_at(part, start + done)?;
        sum = crc32c::crc32c_append(sum, part);
        done += part.len() as u64;
        pace(part.len() as u64)?;
    }
    if sum == expected {
        return Ok(());
    }
    let name = file.path().display();
    Err(Error::corrupt(
        name,
        start,
        format!("checksum {expected:08x} of {bytes} bytes"),
        format!("{sum:08x}"),
    ))
}

fn quantization_number(quantization: Option<Quantization>) -> u32 {
    quantization.map_or(0, Quantization::number)
}

fn quantization_of(number: u32) -> Option<Option<Quantization>> {
    let mut all = std::iter::once(None).chain(Quantization::ALL.map(Some));
    all.find(|&quantization| quantization_number(quantization) == number)
}

/// A metric as files number it.
pub(in crate::index) fn metric_number(metric: Metric) -> u32 {
    match metric {
        Metric::L2 => 0,
        Metric::InnerProduct => 1,
        Metric::Cosine => 2,
        Metric::L1 => 3,
        Metric::Hamming => 4,
        Metric::Jaccard => 5,
    }
}

/// The inverse of [`metric_number`].
pub(in crate::index) fn metric_of(number: u32) -> Option<Metric> {
    Metric::ALL.into_iter().find(|&metric| metric_number(metric) == number)
}

#[cfg(test)]
mod tests {
    use super::super::insert::Inserted;
    use super::super::scratch::Scratch;
    use super::*;
    use crate::fs::MemoryFs;
    use crate::index::source::{Flat, Vectors};

    /// Sixty vectors of 21 dimensions, always the same, in a graph through codes.
    fn coded(quantization: Quantization) -> (Flat, Graph) {
        let values = (0..60 * 21).map(|i| ((i * 7919) % 1009) as f32 / 500.0 - 1.0).collect();
        let vectors = Flat::new(21, values);
        let params = Params::new(2, 4, Metric::L2).expect("in range").quantized(Some(quantization));
        let (progress, cancel) = Default::default();
        let graph =
            Graph::build(params, &vectors, &(0..60).collect(), 1, &progress, &cancel).expect("a build");
        (vectors, graph)
    }

    /// Every word of every code is what this program makes of the vectors, with the centre that it would take.
    fn check_codes(quantization: Quantization, opened: &Graph, is_new: bool) {
        let (vectors, graph) = coded(quantization);
        assert_eq!((opened.params(), opened.len()), (graph.params(), 60));
        let codes = opened.codes.get().expect("codes");
        let head = graph.codes.get().expect("codes").coder().head();
        let found = codes.coder().head();
        assert_eq!(found.len() == Coder::head_words(quantization, 21), is_new, "{quantization:?}");
        // A book is trained with sums whose last digit is the processor's.
        let is_trained = quantization == Quantization::Pq;
        assert!(!is_new || is_trained || found == head, "{quantization:?}: {found:?}");
        let view = codes.view();
        for slot in 0..60 {
            let words: Vec<u32> = view.words(slot).iter().map(|word| word.load(Ordering::Relaxed)).collect();
            let made = codes.coder().encode(vectors.get(slot));
            let summed = if is_trained { 2 } else { 0 };
            assert_eq!(words[summed..], made[summed..], "{quantization:?}, slot {slot}");
            for (found, made) in words[..summed].iter().zip(&made) {
                let [found, made] = [found, made].map(|&word| f32::from_bits(word & 0xFFFF_0000));
                assert!((found - made).abs() <= 0.01 * made.abs(), "slot {slot}: {found} for {made}");
            }
        }
        // The nearest to a row is the row, whatever its code is compared by.
        let (coded, mut scratch) = (opened.coded(&vectors).expect("codes"), Scratch::new());
        let encoded = coded.query(vectors.get(59));
        let (hits, _) = opened.search(&coded, &coded.coder().ask_encoded(&encoded), 20, &mut scratch);
        assert!(hits.len() == 20 && hits[..3].iter().any(|hit| hit.slot == 59), "{quantization:?}: {hits:?}");
    }

    #[test]
    fn a_quantised_graph_comes_back_with_its_codes() {
        for quantization in Quantization::ALL {
            let (_, graph) = coded(quantization);
            let (fs, path) = (MemoryFs::new(), Path::new("/g/1.hnsw"));
            fs.create_dir_all(Path::new("/g")).expect("a folder");
            graph.save(&fs, path, 21, 7).expect("a sound file");
            let (opened, _) = Graph::open(&fs, path).expect("the file just written");
            check_codes(quantization, &opened, true);
        }
    }

    /// Files of earlier programs, in `tests/formats`. One of a new format is made by
    /// `HITHER_FORMAT=1 cargo test --no-default-features --lib graphs_of_every_format`.
    #[test]
    fn graphs_of_every_format_are_read() {
        use crate::fs::DiskFs;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
        let again = tempfile::tempdir().expect("a folder");
        for quantization in Quantization::ALL {
            let written = written_version(Some(quantization));
            let before = [3].into_iter().filter(|_| quantization != Quantization::Pq);
            for version in before.chain([written]) {
                let path = folder.join(format!("graph-{version}-{}.hnsw", quantization.name()));
                if std::env::var_os("HITHER_FORMAT").is_some() && !path.exists() {
                    coded(quantization).1.save(&DiskFs, &path, 21, 7).expect("a sound file");
                }
                Graph::verify(&DiskFs, &path).expect("a sound file");
                let opened = Graph::open(&DiskFs, &path).expect("a file of a format that is read").0;
                check_codes(quantization, &opened, version > 3);
                // Saved by this program, its codes are what they were.
                let path = again.path().join(format!("{version}-{}", quantization.name()));
                opened.save(&DiskFs, &path, 21, 8).expect("a sound file");
                let opened = Graph::open(&DiskFs, &path).expect("the file just written").0;
                check_codes(quantization, &opened, version > 3);
            }
        }
        // Version 2 had sq8 alone, with the same words.
        let mut bytes = std::fs::read(folder.join("graph-3-sq8.hnsw")).expect("a kept file");
        bytes[8] = 2;
        let sum = crc32c::crc32c(&bytes[..HEADER_SUMMED_V3]);
        bytes[HEADER_SUMMED_V3..HEADER_SUMMED_V3 + 4].copy_from_slice(&sum.to_le_bytes());
        let path = again.path().join("2.hnsw");
        std::fs::write(&path, bytes).expect("room");
        Graph::verify(&DiskFs, &path).expect("a sound file");
        let opened = Graph::open(&DiskFs, &path).expect("a file of format 2").0;
        check_codes(Quantization::Sq8, &opened, false);
    }

    /// The moment between a node's links and its place in the set, at which a twin of it is already saved.
    #[test]
    fn a_twin_waits_for_its_first() {
        let vectors = Flat::new(2, vec![1.0, 2.0, 3.0, 4.0, 1.0, 2.0]);
        let graph = Graph::new(Params::new(2, 4, Metric::L2).expect("in range"));
        let mut scratch = Scratch::new();
        assert_eq!(graph.link(&vectors, 0, None, &mut scratch), Inserted::Linked);
        assert_eq!(graph.insert(&vectors, 1, &mut scratch), Inserted::Linked);
        assert_eq!(graph.insert(&vectors, 2, &mut scratch), Inserted::Twin);
        let (fs, path) = (MemoryFs::new(), Path::new("/g/1.hnsw"));
        fs.create_dir_all(Path::new("/g")).expect("a folder");
        graph.save(&fs, path, 2, 7).expect("a sound file");
        let (opened, _) = Graph::open(&fs, path).expect("the file just written");
        assert_eq!(opened.nodes().iter().collect::<Vec<_>>(), [1]);
        graph.add_node(0);
        graph.save(&fs, Path::new("/g/2.hnsw"), 2, 7).expect("a sound file");
        let (opened, _) = Graph::open(&fs, Path::new("/g/2.hnsw")).expect("the file just written");
        assert_eq!(opened.nodes().len(), 3);
    }
}
