//! What to compact next: a function of the tree's shape alone.

use crate::storage::manifest::LEVELS;
use crate::storage::options::Options;

/// The tables of a tree by level, level 0 oldest first.
pub type Shape = [Vec<TableShape>; LEVELS];

/// What the policy looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    pub number: u64,
    pub bytes: u64,
    pub key_min: Vec<u8>,
    pub key_max: Vec<u8>,
}

/// Bring these tables into the level `into`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub how: How,
    pub into: usize,
    /// Tables of the levels above.
    pub upper: Vec<u64>,
    /// Tables of `into` that overlap them.
    pub lower: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// They overlap nothing: the same files, named in another level.
    Move,
    Merge,
}

/// The level that is fullest for its size, and in it the tables that are cheapest to bring down.
///
/// 1. A level's fullness is its tables (level 0) or bytes over what it should have; below one nothing is due.
/// 2. From level 0 go all tables that overlap nothing there and in level 1. If there are none: the oldest
///    table with all that overlap it, directly or through others, since a newer version must not sink below
///    an older one.
/// 3. From another level goes the table that drags along the fewest bytes of the next one for each of its
///    own.
pub fn choose(shape: &Shape, options: &Options) -> Option<Choice> {
    let (from, fullness) = (0..LEVELS - 1)
        .map(|level| (level, fullness(level, shape, options)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .expect("there are levels");
    if fullness < 1.0 {
        return None;
    }
    if from > 0 {
        return Some(bring_down(shape, from, &[cheapest(&shape[from], &shape[from + 1])?]));
    }
    let alone = alone(&shape[0], &shape[1]);
    Some(bring_down(shape, 0, if alone.is_empty() { oldest_group(&shape[0]) } else { alone }.as_slice()))
}

/// Brings `upper`, tables of the level `from`, with what they overlap, into the next level.
pub fn bring_down(shape: &Shape, from: usize, upper: &[&TableShape]) -> Choice {
    let into = from + 1;
    let lower: Vec<u64> = shape[into]
        .iter()
        .filter(|table| upper.iter().any(|other| overlap(table, other)))
        .map(|table| table.number)
        .collect();
    let disjoint = in_key_order(upper).windows(2).all(|pair| pair[0].key_max < pair[1].key_min);
    let how = if lower.is_empty() && disjoint { How::Move } else { How::Merge };
    Choice { how, into, upper: upper.iter().map(|table| table.number).collect(), lower }
}

fn fullness(level: usize, shape: &Shape, options: &Options) -> f64 {
    if level == 0 {
        return shape[0].len() as f64 / options.level0_tables_max as f64;
    }
    let bytes: u64 = shape[level].iter().map(|table| table.bytes).sum();
    let bytes_max = options.level1_bytes_max as f64 * (options.level_factor as f64).powi(level as i32 - 1);
    // A level at its size is not due yet; one byte more is.
    if bytes as f64 > bytes_max { bytes as f64 / bytes_max } else { 0.0 }
}

fn in_key_order<'a>(tables: &[&'a TableShape]) -> Vec<&'a TableShape> {
    let mut sorted = tables.to_vec();
    sorted.sort_by(|a, b| a.key_min.cmp(&b.key_min));
    sorted
}

/// The tables of level 0 that overlap no other one there and none of the level below.
fn alone<'a>(tables: &'a [TableShape], below: &[TableShape]) -> Vec<&'a TableShape> {
    let sorted = in_key_order(&tables.iter().collect::<Vec<_>>());
    let mut reached: Option<&[u8]> = None;
    let mut alone = Vec::new();
    for (at, table) in sorted.iter().enumerate() {
        let free_before = reached.is_none_or(|reached| reached < &table.key_min[..]);
        let free_after = sorted.get(at + 1).is_none_or(|next| table.key_max < next.key_min);
        if free_before && free_after && overlapping(table, below).next().is_none() {
            alone.push(*table);
        }
        reached = reached.max(Some(&table.key_max));
    }
    alone
}

/// The oldest table and all that overlap it or one of the group.
fn oldest_group(tables: &[TableShape]) -> Vec<&TableShape> {
    let has_oldest = |group: &Vec<&TableShape>| group.iter().any(|table| table.number == tables[0].number);
    level0_groups(tables).into_iter().find(has_oldest).unwrap_or_default()
}

/// The tables of level 0, those that overlap each other, directly or through others, together.
pub fn level0_groups(tables: &[TableShape]) -> Vec<Vec<&TableShape>> {
    let mut groups: Vec<Vec<&TableShape>> = Vec::new();
    for table in tables {
        let joins = |group: &Vec<&TableShape>| group.iter().any(|other| overlap(other, table));
        let (joined, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(joins);
        groups = others;
        groups.push(joined.into_iter().flatten().chain([table]).collect());
    }
    groups
}

fn cheapest<'a>(tables: &'a [TableShape], below: &[TableShape]) -> Option<&'a TableShape> {
    let cost = |table: &TableShape| {
        let dragged: u64 = overlapping(table, below).map(|other| other.bytes).sum();
        dragged as f64 / table.bytes.max(1) as f64
    };
    tables.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)))
}

/// Those of a level's disjoint tables that overlap `table`.
fn overlapping<'a>(table: &'a TableShape, level: &'a [TableShape]) -> impl Iterator<Item = &'a TableShape> {
    let first = level.partition_point(|other| other.key_max < table.key_min);
    level[first..].iter().take_while(|other| other.key_min <= table.key_max)
}

fn overlap(a: &TableShape, b: &TableShape) -> bool {
    a.key_min <= b.key_max && b.key_min <= a.key_max
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(number: u64, bytes: u64, range: &str) -> TableShape {
        let (min, max) = range.split_once('-').unwrap();
        TableShape { number, bytes, key_min: min.into(), key_max: max.into() }
    }

    fn options() -> Options {
        Options { level0_tables_max: 3, level1_bytes_max: 100, level_factor: 10, ..Options::default() }
    }

    #[test]
    fn nothing_is_due_in_a_small_tree() {
        let mut shape = Shape::default();
        assert_eq!(choose(&shape, &options()), None);
        shape[0] = vec![table(1, 10, "a-z"), table(2, 10, "a-z")];
        shape[1] = vec![table(3, 100, "a-z")];
        assert_eq!(choose(&shape, &options()), None);
    }

    fn choice(how: How, into: usize, upper: &[u64], lower: &[u64]) -> Option<Choice> {
        Some(Choice { how, into, upper: upper.to_vec(), lower: lower.to_vec() })
    }

    #[test]
    fn level_0_sends_the_oldest_with_all_it_overlaps() {
        let mut shape = Shape::default();
        shape[0] = vec![table(1, 10, "a-c"), table(2, 10, "x-z"), table(3, 10, "c-f"), table(4, 10, "e-h")];
        shape[1] = vec![table(5, 10, "a-b"), table(6, 10, "g-k"), table(7, 10, "l-y")];
        assert_eq!(choose(&shape, &options()), choice(How::Merge, 1, &[1, 3, 4], &[5, 6]));
    }

    #[test]
    fn tables_that_overlap_nothing_move_together() {
        let mut shape = Shape::default();
        shape[0] = vec![table(3, 10, "c-d"), table(4, 10, "i-k"), table(5, 10, "g-h"), table(6, 10, "k-z")];
        shape[1] = vec![table(1, 10, "a-b"), table(2, 10, "e-f")];
        assert_eq!(choose(&shape, &options()), choice(How::Move, 1, &[3, 5], &[]));
    }

    #[test]
    fn a_wide_table_is_not_passed_over_by_one_that_begins_after_it() {
        let mut shape = Shape::default();
        shape[0] = vec![table(1, 10, "a-z"), table(2, 10, "b-c"), table(3, 10, "d-e")];
        assert_eq!(choose(&shape, &options()), choice(How::Merge, 1, &[1, 2, 3], &[]));
    }

    #[test]
    fn groups_of_level_0_overlap_no_other() {
        let shape = [table(1, 1, "a-c"), table(2, 1, "x-z"), table(3, 1, "e-h"), table(4, 1, "c-f")];
        let groups = level0_groups(&shape);
        let numbers: Vec<Vec<u64>> =
            groups.iter().map(|group| group.iter().map(|table| table.number).collect()).collect();
        assert_eq!(numbers, [vec![2], vec![1, 3, 4]]);
        assert!(level0_groups(&[]).is_empty());
    }

    #[test]
    fn a_full_level_sends_what_drags_least() {
        let mut shape = Shape::default();
        shape[1] = vec![table(1, 60, "a-f"), table(2, 60, "g-m"), table(3, 60, "n-z")];
        shape[2] = vec![table(4, 80, "a-c"), table(5, 30, "h-k"), table(6, 90, "o-p")];
        assert_eq!(choose(&shape, &options()), choice(How::Merge, 2, &[2], &[5]));
        shape[2].remove(1);
        assert_eq!(choose(&shape, &options()), choice(How::Move, 2, &[2], &[]));
    }
}
