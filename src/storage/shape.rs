//! What values that are rows are made up of: all that the storage has to know to keep them column by column.
//!
//! ```text
//!   columns u16 | null bits | fixed area: cells, var ends u32 | var area: var-width cells, then the tail
//! ```
//!
//! The table layer writes rows (`table/rows.rs`) and tells a tree of which kind its columns are; columns are only ever
//! added, behind the others. A row that is not exactly what [`Row::split`] takes apart, to the bit, stays as it is: what
//! is put together again from columns is what was written.

/// Of which kind the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They lie elsewhere; the row has their null bits.
    Outside,
    /// The fixed area has where each ends in the var area.
    Var,
    /// So many bytes in the fixed area.
    Fixed(u8),
    /// [`NUMBER_BYTES`] in the fixed area; with the last of them [`ELSEWHERE`] the first eight say from where to where in the
    /// tail of the var area the number is, counted from the var area's start.
    Number,
}

/// Bytes of a number's cell.
pub const NUMBER_BYTES: usize = 17;
/// The last byte of a cell whose number is in the tail.
pub const ELSEWHERE: u8 = 0xFF;

impl Kind {
    /// Bytes in the fixed area.
    #[inline]
    pub fn fixed_bytes(self) -> usize {
        match self {
            Kind::Outside => 0,
            Kind::Var => 4,
            Kind::Fixed(width) => width.into(),
            Kind::Number => NUMBER_BYTES,
        }
    }
}

/// The columns of the rows of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Keys of rows are this byte and a slot, four bytes, the highest first.
    prefix: u8,
    kinds: Vec<Kind>,
    /// Where the fixed area's part of each column begins; one more, where the last one ends.
    offsets: Vec<usize>,
}

/// A row in its parts.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub columns: usize,
    nulls: &'a [u8],
    fixed: &'a [u8],
    var: &'a [u8],
    /// Where the tail begins in `var`.
    tail: usize,
}

impl Shape {
    pub fn new(prefix: u8, kinds: Vec<Kind>) -> Shape {
        let mut offsets = vec![0];
        for kind in &kinds {
            offsets.push(offsets.last().copied().unwrap_or(0) + kind.fixed_bytes());
        }
        Shape { prefix, kinds, offsets }
    }

    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Where a column's part of the fixed area begins.
    pub fn offset(&self, column: usize) -> usize {
        self.offsets[column]
    }

    /// The slot of a row's key; `None` for other keys.
    #[inline]
    pub fn slot(&self, key: &[u8]) -> Option<u32> {
        slot_of(self.prefix, key)
    }

    /// Takes a row apart; `None` for bytes that are no row of these columns, or not the one form of it.
    pub fn split<'a>(&self, row: &'a [u8]) -> Option<Row<'a>> {
        let (head, rest) = row.split_first_chunk::<2>()?;
        let columns = usize::from(u16::from_le_bytes(*head));
        let fixed_bytes = *self.offsets.get(columns)?;
        let (nulls, rest) = rest.split_at_checked(columns.div_ceil(8))?;
        let (fixed, var) = rest.split_at_checked(fixed_bytes)?;
        let mut row = Row { columns, nulls, fixed, var, tail: 0 };
        let unused = columns % 8;
        if unused > 0 && nulls.last().is_some_and(|last| last >> unused != 0) {
            return None;
        }
        let mut has_pointers = false;
        for (column, kind) in self.kinds[..columns].iter().enumerate() {
            let cell = &fixed[self.offsets[column]..self.offsets[column + 1]];
            if *kind == Kind::Var {
                let end = u32::from_le_bytes(cell.try_into().ok()?) as usize;
                let is_right = if row.is_null(column) { end == row.tail } else { end >= row.tail };
                if !is_right || end > var.len() {
                    return None;
                }
                row.tail = end;
            } else if row.is_null(column) {
                if cell.iter().any(|byte| *byte != 0) {
                    return None;
                }
            } else {
                has_pointers |= *kind == Kind::Number && is_elsewhere(cell);
            }
        }
        if has_pointers {
            for column in (0..columns).filter(|column| self.kinds[*column] == Kind::Number) {
                let cell = &fixed[self.offsets[column]..self.offsets[column + 1]];
                if is_elsewhere(cell) {
                    let (from, to) = pointers(cell);
                    if (from as usize) < row.tail || to < from || to as usize > var.len() {
                        return None;
                    }
                }
            }
        }
        Some(row)
    }
}

impl<'a> Row<'a> {
    #[inline]
    pub fn is_null(&self, column: usize) -> bool {
        self.nulls[column / 8] & (1 << (column % 8)) != 0
    }

    /// What the fixed area has from `offset` on.
    #[inline]
    pub fn fixed(&self, offset: usize, width: usize) -> &'a [u8] {
        &self.fixed[offset..offset + width]
    }

    /// The cell of a var column whose end is at `offset` of the fixed area, the var column before having its at `previous`.
    #[inline]
    pub fn var(&self, previous: Option<usize>, offset: usize) -> &'a [u8] {
        let end = |offset: usize| {
            let bytes = self.fixed[offset..offset + 4].try_into().expect("four bytes of the fixed area");
            u32::from_le_bytes(bytes) as usize
        };
        &self.var[previous.map_or(0, end)..end(offset)]
    }

    /// Bytes of var-width cells.
    pub fn var_bytes(&self) -> usize {
        self.tail
    }

    /// What lies behind the var-width cells.
    pub fn tail(&self) -> &'a [u8] {
        &self.var[self.tail..]
    }
}

/// The slot in a key of this first byte and a slot.
#[inline]
pub fn slot_of(prefix: u8, key: &[u8]) -> Option<u32> {
    match key {
        [first, slot @ ..] if *first == prefix => Some(u32::from_be_bytes(slot.try_into().ok()?)),
        _ => None,
    }
}

/// The key of a slot.
#[inline]
pub fn key_of(prefix: u8, slot: u32) -> [u8; 5] {
    let [a, b, c, d] = slot.to_be_bytes();
    [prefix, a, b, c, d]
}

/// Whether the number of a cell is in the tail.
#[inline]
pub fn is_elsewhere(cell: &[u8]) -> bool {
    cell.last() == Some(&ELSEWHERE)
}

/// From where to where the number of a cell is.
#[inline]
pub fn pointers(cell: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_le_bytes(cell[at..at + 4].try_into().expect("four bytes of a cell"));
    (word(0), word(4))
}

/// Moves what a cell says of where its number is.
pub fn move_pointers(cell: &mut [u8], by: u32) {
    let (from, to) = pointers(cell);
    cell[..4].copy_from_slice(&from.wrapping_add(by).to_le_bytes());
    cell[4..8].copy_from_slice(&to.wrapping_add(by).to_le_bytes());
}
