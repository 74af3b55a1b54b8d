//! Blocks of words that many threads read while some write, and that never move.
//!
//! ```text
//!   Links = [Chunk 0][Chunk 1]...            the list is swapped when it grows; chunks stay where they are
//!   Chunk = [block 0][block 1]...[block 4095]
//!   block = [header][link 0]...[link capacity-1]
//!
//!   header, bits 0..8   links in use; 255 = a twin: link 0 is its first, link 1 the next twin
//!           bit  8      has twins: the last word of the block is the first of the chain, not a link
//!           bits 9..32  number of the node's block one level up; 0 = none
//! ```
//!
//! **What a reader may see.** Words are atomic and every link ever written is a node of its level. A writer
//! holds the block's stripe lock, stores links first (relaxed) and the header last (release); a reader loads
//! the header first (acquire), then at most that many links (relaxed). So a reader that meets a writer sees a
//! mixture of the old list and the new one: some neighbour twice or missing, never a link that was not
//! written. A search bears that; it visits no node twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::error::Result;
use crate::fs::WordMap;
use crate::index::room::{Held, Room};

/// Blocks per chunk: half a megabyte of words at m = 16, so a small table's graph is small.
pub const CHUNK_BLOCKS: u32 = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 12;
/// Bytes of a word.
const WORD: u64 = size_of::<u32>() as u64;
/// Bytes that a file for spilled blocks has at most: files grow with the graph, so that maps are few and small graphs small.
const SPILLED_BYTES: u64 = 8 << 20;
/// No slot, no block.
pub const NONE: u32 = u32::MAX;

/// The first word of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header(pub u32);

impl Header {
    const TWIN: u32 = 255;
    const HAS_TWINS: u32 = 1 << 8;
    const UP_SHIFT: u32 = 9;
    /// Greatest block number a header can name: 8 million upper blocks are 134 million nodes at m = 16. Nodes
    /// beyond that stay on level 0.
    pub const UP_MAX: u32 = (1 << (32 - Self::UP_SHIFT)) - 1;

    pub fn new(count: usize, up: u32) -> Header {
        assert!(count < Self::TWIN as usize && up <= Self::UP_MAX, "{count} links, upper block {up}");
        Header(count as u32 | (up << Self::UP_SHIFT))
    }

    pub fn twin() -> Header {
        Header(Self::TWIN)
    }

    pub fn with_count(self, count: usize) -> Header {
        assert!(count < Self::TWIN as usize, "{count} links");
        Header((self.0 & !0xFF) | count as u32)
    }

    pub fn with_twins(self) -> Header {
        Header(self.0 | Self::HAS_TWINS)
    }

    pub fn without_twins(self) -> Header {
        Header(self.0 & !Self::HAS_TWINS)
    }

    #[inline]
    pub fn is_twin(self) -> bool {
        self.0 & 0xFF == Self::TWIN
    }

    #[inline]
    pub fn has_twins(self) -> bool {
        self.0 & Self::HAS_TWINS != 0
    }

    #[inline]
    pub fn up(self) -> u32 {
        self.0 >> Self::UP_SHIFT
    }
}

/// One node's words on one level.
#[derive(Clone, Copy)]
pub struct Block<'a>(&'a [AtomicU32]);

impl<'a> Block<'a> {
    #[inline]
    pub fn header(self) -> Header {
        Header(self.0[0].load(Ordering::Acquire))
    }

    /// Words for links: the last one belongs to the twins when there are any.
    pub fn capacity(self, header: Header) -> usize {
        self.0.len() - 1 - usize::from(header.has_twins())
    }

    /// The links under a header loaded before. A damaged count is cut at the capacity; a twin's only link is
    /// its first.
    #[inline]
    pub fn links(self, header: Header) -> impl Iterator<Item = u32> + 'a {
        let count =
            if header.is_twin() { 1 } else { ((header.0 & 0xFF) as usize).min(self.capacity(header)) };
        self.0[1..=count].iter().map(|word| word.load(Ordering::Relaxed))
    }

    pub fn link(self, position: usize) -> u32 {
        self.0[1 + position].load(Ordering::Relaxed)
    }

    /// First of the chain of twins, or the next one when this is a twin.
    #[inline]
    pub fn next_twin(self, header: Header) -> u32 {
        if header.is_twin() {
            self.link(1)
        } else if header.has_twins() {
            self.link(self.0.len() - 2)
        } else {
            NONE
        }
    }

    /// Replaces the list. The caller holds the block's stripe.
    pub fn write(self, header: Header, links: &[u32]) {
        assert!(links.len() <= self.capacity(header), "{} links in {} words", links.len(), self.0.len());
        for (word, &link) in self.0[1..].iter().zip(links) {
            word.store(link, Ordering::Relaxed);
        }
        self.0[0].store(header.with_count(links.len()).0, Ordering::Release);
    }

    /// Adds one link. The caller holds the stripe and has seen that there is room.
    pub fn append(self, header: Header, link: u32) {
        let count = (header.0 & 0xFF) as usize;
        assert!(count < self.capacity(header), "block is full with {count} links");
        self.0[1 + count].store(link, Ordering::Relaxed);
        self.0[0].store(header.with_count(count + 1).0, Ordering::Release);
    }

    /// Makes this block a twin of `first`, before `next` in the chain.
    pub fn write_twin(self, first: u32, next: u32) {
        self.0[1].store(first, Ordering::Relaxed);
        self.0[2].store(next, Ordering::Relaxed);
        self.0[0].store(Header::twin().0, Ordering::Release);
    }

    /// Puts `twin` at the head of the chain; gives up the last link for the word when all are in use.
    pub fn set_first_twin(self, twin: u32) {
        let header = self.header();
        let kept = ((header.0 & 0xFF) as usize).min(self.0.len() - 2);
        self.0[self.0.len() - 1].store(twin, Ordering::Release);
        self.0[0].store(header.with_count(kept).with_twins().0, Ordering::Release);
    }

    /// Replaces the words, whatever they mean; those left over stay.
    pub fn store(self, words: impl Iterator<Item = u32>) {
        for (to, word) in self.0.iter().zip(words) {
            to.store(word, Ordering::Relaxed);
        }
    }

    pub fn set_header(self, header: Header) {
        self.0[0].store(header.0, Ordering::Release);
    }

    /// Starts loading the block into the cache.
    #[inline]
    pub fn prefetch(self) {
        crate::fs::mapped::prefetch(self.0);
    }
}

/// Words of `CHUNK_BLOCKS` blocks: of memory, a generation, or spilled blocks.
#[derive(Clone)]
struct Chunk {
    map: Arc<WordMap>,
    /// Its first word in the map.
    start: usize,
    words: usize,
    /// What it has of the room with others of its map, when it is in memory.
    held: Option<Arc<Held>>,
}

impl Chunk {
    /// `count` chunks of `words` words each, side by side in a map.
    fn of(map: WordMap, words: usize, count: usize, held: Option<Arc<Held>>) -> impl Iterator<Item = Chunk> {
        let map = Arc::new(map);
        (0..count).map(move |number| Chunk {
            map: map.clone(),
            start: number * words,
            words,
            held: held.clone(),
        })
    }

    #[inline]
    fn words(&self) -> &[AtomicU32] {
        &self.map[self.start..self.start + self.words]
    }
}

/// Blocks by number, growing.
pub struct Links {
    stride: usize,
    chunks: ArcSwap<Vec<Chunk>>,
    growing: Mutex<()>,
    room: Arc<Room>,
    /// What the spilled blocks have of the room.
    spilled: Mutex<Vec<Held>>,
}

impl Links {
    /// Blocks of `capacity` links, in `room`.
    pub fn new(capacity: usize, room: &Arc<Room>) -> Links {
        Links {
            stride: capacity + 1,
            chunks: ArcSwap::default(),
            growing: Mutex::new(()),
            room: room.clone(),
            spilled: Mutex::default(),
        }
    }

    /// `blocks` blocks from word `start` of a mapped file. An incomplete last chunk is copied to where there is room for
    /// its rest.
    pub fn mapped(capacity: usize, map: &Arc<WordMap>, start: usize, blocks: u32, room: &Arc<Room>) -> Links {
        let links = Links::new(capacity, room);
        let words = CHUNK_BLOCKS as usize * links.stride;
        let whole = (blocks / CHUNK_BLOCKS) as usize;
        let mut chunks: Vec<Chunk> = (0..whole)
            .map(|number| Chunk { map: map.clone(), start: start + number * words, words, held: None })
            .collect();
        let rest = (blocks % CHUNK_BLOCKS) as usize * links.stride;
        if rest > 0 {
            let from = start + whole * words;
            links.add_chunks(&mut chunks, whole + 1);
            for (to, word) in chunks[whole].words().iter().zip(&map[from..from + rest]) {
                to.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        links.chunks.store(Arc::new(chunks));
        links
    }

    /// The blocks there are now.
    pub fn view(&self) -> LinksView {
        LinksView { stride: self.stride, chunks: self.chunks.load_full() }
    }

    /// Makes room for blocks `..end`.
    pub fn grow(&self, end: u64) {
        let needed = end.div_ceil(u64::from(CHUNK_BLOCKS)) as usize;
        if self.chunks.load().len() >= needed {
            return;
        }
        let _growing = self.growing.lock();
        let mut chunks = Vec::clone(&self.chunks.load());
        while chunks.len() < needed {
            self.add_chunks(&mut chunks, needed);
        }
        self.chunks.store(Arc::new(chunks));
    }

    /// Those up to `needed` in all in memory, or as many as there is room for; or some in a file. One at least.
    fn add_chunks(&self, chunks: &mut Vec<Chunk>, needed: usize) {
        let words = CHUNK_BLOCKS as usize * self.stride;
        let bytes = words as u64 * WORD;
        let missing = needed.saturating_sub(chunks.len()).max(1) as u64;
        let mut fit =
            std::iter::successors(Some(missing), |count| Some(count / 2)).take_while(|&count| count > 0);
        let in_memory = fit.find_map(|count| {
            let held = self.room.take(count.saturating_mul(bytes))?;
            // Where the system refuses the memory the room gets it back.
            Some((count as usize, WordMap::zeroed(words.saturating_mul(count as usize)).ok()?, held))
        });
        let count = (SPILLED_BYTES / bytes).min(chunks.len() as u64).max(1);
        if let Some((count, map, held)) = in_memory {
            chunks.extend(Chunk::of(map, words, count, Some(Arc::new(held))));
        } else if let Some((map, held)) = self.room.spill(count * bytes) {
            chunks.extend(Chunk::of(map, words, count as usize, None));
            self.spilled.lock().push(held);
        } else {
            // What is left is the memory that every allocation may ask for, and like every one of them ends with it.
            let map = WordMap::zeroed(words).expect("memory for one more chunk of links");
            chunks.extend(Chunk::of(map, words, 1, Some(Arc::new(self.room.take_anyway(bytes)))));
        }
    }

    /// The first block that is not in memory, if any is not.
    pub fn first_mapped(&self) -> Option<u64> {
        let chunks = self.chunks.load();
        let place = chunks.iter().position(|chunk| chunk.held.is_none())?;
        Some(place as u64 * u64::from(CHUNK_BLOCKS))
    }

    /// An error (58030) when blocks could not be read, ever: they are zeros since, and so is what was stored there.
    pub fn refuse_unread(&self) -> Result<()> {
        self.chunks.load().iter().try_for_each(|chunk| chunk.map.refuse_unread())
    }

    /// Bytes of all blocks, mapped ones included.
    pub fn bytes(&self) -> u64 {
        self.chunks.load().iter().map(|chunk| chunk.words().len() as u64 * WORD).sum()
    }
}

/// The list of chunks at one moment: no lock and no reference count per hop.
#[derive(Clone)]
pub struct LinksView {
    stride: usize,
    chunks: Arc<Vec<Chunk>>,
}

impl LinksView {
    /// Blocks from here on do not exist in this view.
    pub fn end(&self) -> u32 {
        (self.chunks.len() as u64 * u64::from(CHUNK_BLOCKS)).min(u64::from(NONE)) as u32
    }

    /// Words of a block.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// `None` beyond the view's end.
    #[inline]
    pub fn block(&self, number: u32) -> Option<Block<'_>> {
        let chunk = self.chunks.get((number >> CHUNK_BITS) as usize)?;
        Some(Block(self.words_of(chunk, number)))
    }

    /// The words of a block below the view's end.
    #[inline]
    pub fn words(&self, number: u32) -> &[AtomicU32] {
        self.words_of(&self.chunks[(number >> CHUNK_BITS) as usize], number)
    }

    #[inline]
    fn words_of<'a>(&self, chunk: &'a Chunk, number: u32) -> &'a [AtomicU32] {
        let start = (number & (CHUNK_BLOCKS - 1)) as usize * self.stride;
        &chunk.words()[start..start + self.stride]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Fs, OpenMode};

    #[test]
    fn blocks_stay_where_they_are_when_the_list_grows() {
        let links = Links::new(4, &Room::unbounded());
        assert!(links.view().block(0).is_none());
        links.grow(1);
        let before = links.view();
        before.block(7).unwrap().write(Header::new(0, 9), &[1, 2, 3]);
        links.grow(u64::from(CHUNK_BLOCKS) * 3);
        before.block(7).unwrap().append(before.block(7).unwrap().header(), 4);
        let after = links.view();
        let block = after.block(7).unwrap();
        assert_eq!(block.links(block.header()).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(block.header().up(), 9);
        assert_eq!((before.end(), after.end()), (CHUNK_BLOCKS, 3 * CHUNK_BLOCKS));
    }

    /// Several at once where there is room for some of them only: the rest is in a file.
    #[test]
    fn blocks_are_in_memory_as_far_as_there_is_room() {
        let chunk_bytes = u64::from(CHUNK_BLOCKS) * 5 * WORD;
        let fs = std::sync::Arc::new(crate::fs::MemoryFs::new());
        let room = Room::new(fs, "/spill".into(), 3 * chunk_bytes).unwrap();
        let links = Links::new(4, &room);
        links.grow(u64::from(CHUNK_BLOCKS) * 7);
        assert!(links.view().end() >= 7 * CHUNK_BLOCKS);
        assert_eq!((links.first_mapped(), room.held()), (Some(u64::from(3 * CHUNK_BLOCKS)), 3 * chunk_bytes));
        let view = links.view();
        (0..7 * CHUNK_BLOCKS)
            .for_each(|number| view.block(number).unwrap().write(Header::new(0, 0), &[number]));
        assert!((0..7 * CHUNK_BLOCKS).all(|number| view.block(number).unwrap().link(0) == number));
        drop((view, links));
        assert_eq!(room.held(), 0);
    }

    /// What a saved generation has is not taken from the room, and its rest is one chunk, in memory where there is room.
    #[test]
    fn the_rest_of_a_generation_takes_room_for_one_chunk() {
        let chunk_words = CHUNK_BLOCKS as usize * 5;
        let chunk_bytes = chunk_words as u64 * WORD;
        for whole in 0..=3 {
            let blocks = whole * CHUNK_BLOCKS + 9;
            let fs = Arc::new(crate::fs::MemoryFs::new());
            let file = fs.open("/generation".as_ref(), OpenMode::Create).unwrap();
            let words: Vec<u8> = (0..blocks * 5).flat_map(u32::to_ne_bytes).collect();
            file.write_all_at(&words, 0).unwrap();
            let map = Arc::new(file.map_words().unwrap());
            for (room_bytes, held) in [(8 * chunk_bytes, chunk_bytes), (chunk_bytes, chunk_bytes), (0, 0)] {
                let room = Room::new(fs.clone(), "/spill".into(), room_bytes).unwrap();
                let links = Links::mapped(4, &map, 0, blocks, &room);
                assert_eq!(room.held(), held, "{whole} whole chunks, room for {room_bytes}");
                assert_eq!(room.spilled() > 0, held == 0, "{whole} whole chunks, room for {room_bytes}");
                let view = links.view();
                assert!(view.end() >= (whole + 1) * CHUNK_BLOCKS);
                assert!(held == 0 || view.end() == (whole + 1) * CHUNK_BLOCKS);
                assert!((0..blocks).all(|number| {
                    view.words(number)
                        .iter()
                        .zip(number * 5..)
                        .all(|(word, is)| word.load(Ordering::Relaxed) == is)
                }));
                drop((view, links));
                assert_eq!(room.held(), 0);
            }
        }
    }

    #[test]
    fn the_first_twin_takes_the_last_link() {
        let links = Links::new(4, &Room::unbounded());
        links.grow(1);
        let view = links.view();
        let block = view.block(0).unwrap();
        block.write(Header::new(0, 5), &[1, 2, 3, 4]);
        block.set_first_twin(9);
        let header = block.header();
        assert_eq!(block.links(header).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((block.next_twin(header), header.up(), block.capacity(header)), (9, 5, 3));
        let twin = view.block(9).unwrap();
        twin.write_twin(0, NONE);
        assert!(twin.header().is_twin());
        assert_eq!(twin.links(twin.header()).collect::<Vec<_>>(), [0]);
        assert_eq!(twin.next_twin(twin.header()), NONE);
    }

    #[test]
    fn a_damaged_count_is_cut() {
        let links = Links::new(4, &Room::unbounded());
        links.grow(1);
        let view = links.view();
        let block = view.block(0).unwrap();
        block.set_header(Header(200));
        assert_eq!(block.links(block.header()).count(), 4);
    }
}
