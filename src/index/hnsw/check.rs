//! The graph's invariants, stated once. For a graph nobody is writing to.
//!
//! 1. The entry point is a node, linked, of the greatest height.
//! 2. A node's links are nodes of that level, none itself, none twice, none a twin.
//! 3. A twin names a first that is linked, and is in that node's chain exactly once.
//! 4. Every block number leads to a block, and no node is higher than a node can be.
//!
//! Blocks are read in the order of slots, twice: first which nodes each level has, a bitmap per level, then the links,
//! which are looked up there. Following them instead would read a file that is larger than the memory for it in pages
//! at random, 16 million of them for a million nodes.
//!
//! Not an invariant but reported: nodes that no path from the entry point reaches. The heuristic may leave a
//! few; they are found by no graph search.

use roaring::RoaringBitmap;

use super::graph::{Entry, Graph};
use super::level::LEVEL_MAX;
use super::links::{LinksView, NONE};

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub nodes: u64,
    pub twins: u64,
    /// Links on level 0.
    pub links: u64,
    /// Linked nodes by height.
    pub heights: Vec<u64>,
    /// Linked nodes that no path reaches from the entry point on level 0 or above.
    pub unreachable: u64,
    /// Violated invariants, at most `DAMAGE_MAX`.
    pub damage: Vec<String>,
}

/// Complaints kept; one damaged page breaks hundreds of nodes.
const DAMAGE_MAX: usize = 20;

impl Graph {
    /// Everything, reachability too.
    pub fn check(&self) -> Report {
        let mut report = self.inspect();
        report.unreachable = self.checker(&self.nodes()).unreachable(self.entry());
        report
    }

    /// The invariants alone, which is what a generation just written has to meet.
    pub(super) fn inspect(&self) -> Report {
        let nodes = self.nodes();
        let check = self.checker(&nodes);
        let mut report = Report { nodes: nodes.len(), ..Report::default() };
        let mut chained = RoaringBitmap::new();
        for slot in &*nodes {
            check.node(slot, &mut report, &mut chained);
        }
        for slot in &*nodes {
            if check.is_twin(slot) && !chained.contains(slot) {
                report.complain(format!("twin {slot} is in no chain"));
            }
        }
        check.entry(self.entry(), &mut report);
        report
    }

    fn checker<'a>(&self, nodes: &'a RoaringBitmap) -> Check<'a> {
        let mut check = Check { base: self.base.view(), upper: self.upper.view(), nodes, levels: Vec::new() };
        check.levels = check.levels();
        check
    }
}

impl Report {
    fn complain(&mut self, what: String) {
        if self.damage.len() < DAMAGE_MAX {
            self.damage.push(what);
        }
    }
}

struct Check<'a> {
    base: LinksView,
    upper: LinksView,
    nodes: &'a RoaringBitmap,
    /// The linked nodes that are at least so high, by level.
    levels: Vec<RoaringBitmap>,
}

impl Check<'_> {
    fn levels(&self) -> Vec<RoaringBitmap> {
        let mut levels = vec![RoaringBitmap::new()];
        for slot in self.nodes.iter().filter(|&slot| !self.is_twin(slot)) {
            let height = self.height(slot) as usize;
            if levels.len() <= height {
                levels.resize_with(height + 1, RoaringBitmap::new);
            }
            for level in &mut levels[..=height] {
                level.insert(slot);
            }
        }
        levels
    }

    fn is_linked(&self, slot: u32, level: u32) -> bool {
        self.levels.get(level as usize).is_some_and(|nodes| nodes.contains(slot))
    }

    fn is_twin(&self, slot: u32) -> bool {
        self.base.block(slot).is_some_and(|block| block.header().is_twin())
    }

    fn node(&self, slot: u32, report: &mut Report, chained: &mut RoaringBitmap) {
        let Some(block) = self.base.block(slot) else {
            return report.complain(format!("node {slot} has no block"));
        };
        let header = block.header();
        if header.is_twin() {
            report.twins += 1;
            let first = block.link(0);
            if !self.is_linked(first, 0) {
                report.complain(format!("twin {slot} names {first}, which is not a linked node"));
            }
            return;
        }
        self.chain(slot, block.next_twin(header), report, chained);
        self.links(slot, 0, block.links(header), report);
        report.links += block.links(header).count() as u64;
        let (mut up, mut level) = (header.up(), 0);
        while up != 0 {
            level += 1;
            let Some(block) = self.upper.block(up).filter(|_| level <= LEVEL_MAX) else {
                return report.complain(format!("node {slot} has no block {up} on level {level}"));
            };
            self.links(slot, level, block.links(block.header()), report);
            up = block.header().up();
        }
        if report.heights.len() <= level as usize {
            report.heights.resize(level as usize + 1, 0);
        }
        report.heights[level as usize] += 1;
    }

    fn links(&self, slot: u32, level: u32, links: impl Iterator<Item = u32>, report: &mut Report) {
        let mut links: Vec<u32> = links.collect();
        links.sort_unstable();
        if let Some(pair) = links.windows(2).find(|pair| pair[0] == pair[1]) {
            report.complain(format!("node {slot} links to {} twice on level {level}", pair[0]));
        }
        for link in links {
            if link == slot || !self.is_linked(link, 0) {
                report.complain(format!("node {slot} links to {link} on level {level}, no node to link to"));
            } else if !self.is_linked(link, level) {
                report.complain(format!("node {slot} links to {link} on level {level}, which is lower"));
            }
        }
    }

    fn chain(&self, first: u32, mut twin: u32, report: &mut Report, chained: &mut RoaringBitmap) {
        while twin != NONE {
            let block =
                self.base.block(twin).filter(|block| block.header().is_twin() && block.link(0) == first);
            let Some(block) = block.filter(|_| self.nodes.contains(twin)) else {
                return report.complain(format!("the chain of {first} holds {twin}, which is not its twin"));
            };
            if !chained.insert(twin) {
                return report.complain(format!("the chain of {first} meets {twin} again"));
            }
            twin = block.next_twin(block.header());
        }
    }

    fn height(&self, slot: u32) -> u32 {
        let mut level = 0;
        let mut header = self.base.block(slot).map(|block| block.header());
        while let Some(up) = header.map(|header| header.up()).filter(|&up| up != 0 && level < LEVEL_MAX) {
            level += 1;
            header = self.upper.block(up).map(|block| block.header());
        }
        level
    }

    fn entry(&self, entry: Option<Entry>, report: &mut Report) {
        let highest = report.heights.len().saturating_sub(1) as u32;
        match entry {
            None if !self.nodes.is_empty() => report.complain("there is no entry point".into()),
            Some(entry) if !self.is_linked(entry.slot, 0) => {
                report.complain(format!("the entry point {} is not a linked node", entry.slot));
            }
            Some(entry) if entry.level != highest || self.height(entry.slot) != entry.level => {
                report.complain(format!("the entry point {entry:?} is not at height {highest}"));
            }
            _ => {}
        }
    }

    /// Linked nodes that a walk over the links of all levels does not meet.
    fn unreachable(&self, entry: Option<Entry>) -> u64 {
        let mut seen = RoaringBitmap::new();
        let mut open: Vec<u32> = entry.map(|entry| entry.slot).into_iter().collect();
        seen.extend(open.iter().copied());
        while let Some(slot) = open.pop() {
            let mut block = self.base.block(slot);
            let mut level = 0;
            while let Some(at) = block.filter(|_| level <= LEVEL_MAX) {
                let header = at.header();
                open.extend(at.links(header).filter(|&link| self.base.end() > link && seen.insert(link)));
                block =
                    if header.is_twin() || header.up() == 0 { None } else { self.upper.block(header.up()) };
                level += 1;
            }
        }
        self.nodes.iter().filter(|&slot| !seen.contains(slot) && !self.is_twin(slot)).count() as u64
    }
}
