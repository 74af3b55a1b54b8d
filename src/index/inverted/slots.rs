//! A set of slots that costs little to change while somebody reads it.
//!
//! Most terms are in a handful of rows: those are kept in a list. Others are bitmaps of 65,536 slots, each shared.

use std::sync::Arc;

use roaring::RoaringBitmap;

/// Slots up to which a list is smaller than a bitmap and its bookkeeping.
const LIST_MAX: usize = 16;

#[derive(Clone)]
pub enum Slots {
    /// Ascending.
    List(Vec<u32>),
    /// By the high 16 bits, ascending.
    Parts(Vec<(u16, Arc<RoaringBitmap>)>),
}

impl Default for Slots {
    fn default() -> Slots {
        Slots::List(Vec::new())
    }
}

impl Slots {
    /// In or out of the set.
    pub fn put(&mut self, slot: u32, inside: bool) {
        match inside {
            true => self.insert(slot),
            false => self.remove(slot),
        }
    }

    pub fn insert(&mut self, slot: u32) {
        match self {
            Slots::List(list) => {
                let Err(place) = list.binary_search(&slot) else { return };
                list.insert(place, slot);
                if list.len() > LIST_MAX {
                    self.spread();
                }
            }
            Slots::Parts(parts) => {
                let high = (slot >> 16) as u16;
                let place = match parts.binary_search_by_key(&high, |part| part.0) {
                    Ok(place) => place,
                    Err(place) => {
                        parts.insert(place, (high, Arc::default()));
                        place
                    }
                };
                if !parts[place].1.contains(slot) {
                    Arc::make_mut(&mut parts[place].1).insert(slot);
                }
            }
        }
    }

    pub fn remove(&mut self, slot: u32) {
        match self {
            Slots::List(list) => {
                if let Ok(place) = list.binary_search(&slot) {
                    list.remove(place);
                }
            }
            Slots::Parts(parts) => {
                let high = (slot >> 16) as u16;
                let Ok(place) = parts.binary_search_by_key(&high, |part| part.0) else { return };
                if parts[place].1.contains(slot) {
                    Arc::make_mut(&mut parts[place].1).remove(slot);
                }
                if parts[place].1.is_empty() {
                    parts.remove(place);
                }
            }
        }
    }

    fn spread(&mut self) {
        let Slots::List(list) = std::mem::replace(self, Slots::Parts(Vec::new())) else { return };
        list.into_iter().for_each(|slot| self.insert(slot));
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Slots::List(list) => list.is_empty(),
            Slots::Parts(parts) => parts.is_empty(),
        }
    }

    /// Adds the slots to `all`.
    pub fn add_to(&self, all: &mut RoaringBitmap) {
        match self {
            Slots::List(list) => all.extend(list.iter().copied()),
            Slots::Parts(parts) => parts.iter().for_each(|(_, part)| *all |= &**part),
        }
    }

    pub fn to_bitmap(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        self.add_to(&mut all);
        all
    }

    pub fn bytes(&self) -> u64 {
        match self {
            Slots::List(list) => 24 + 4 * list.capacity() as u64,
            Slots::Parts(parts) => {
                24 + parts.iter().map(|(_, part)| part.serialized_size() as u64 + 80).sum::<u64>()
            }
        }
    }
}
