//! The shadow of a block's shared memory: who wrote each word last, and who read it since.
//!
//! A cell stands for a word of four bytes; a word that was accessed in parts has four cells more, one a byte, until it
//! is written as a whole again. Readers are kept exactly by warp: per cell and warp the lanes that read it last.

use std::collections::BTreeMap;

use super::access::{Access, Conflict, INST, MODIFY, NEVER, Read, Stamp, Way, after_read, after_write};
use super::clock::Column;

/// Mark of [`Cell::parts`]: atomics or the like have modified it since it was written.
const MODIFIED: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
struct Cell {
    writer: Stamp,
    /// Number of the four cells of its bytes plus 1, or 0; and a mark.
    parts: u32,
    /// Reader columns with a valid entry: reads since the last write.
    readers: u64,
}

impl Cell {
    const FRESH: Cell = Cell { writer: Stamp::NEVER, parts: 0, readers: 0 };
}

/// The shadow.
#[derive(Clone, Debug, Default)]
pub(super) struct Shadow {
    words: usize,
    cells: Vec<Cell>,
    /// Per reader column, per cell; empty until the column reads.
    reads: Vec<Vec<Read>>,
    /// Per modified cell and warp, the lanes that modified it last.
    modified: BTreeMap<usize, Vec<(Column, Read)>>,
    /// Parts that no word uses now.
    spare: Vec<u32>,
}

impl Shadow {
    /// Makes it that of fresh memory.
    pub fn start(&mut self, bytes: usize, warps: u16) {
        self.words = bytes.div_ceil(4);
        self.cells.clear();
        self.cells.resize(self.words, Cell::FRESH);
        self.spare.clear();
        self.modified.clear();
        self.reads.resize_with(2 * usize::from(warps), Vec::new);
        self.reads.iter_mut().filter(|reads| !reads.is_empty()).for_each(|reads| {
            if reads.len() < self.words {
                reads.resize(self.words, Read::default());
            }
        });
    }

    /// Bytes of host memory that it takes.
    pub fn bytes(&self) -> usize {
        let reads: usize = self.reads.iter().map(|reads| size_of_val(&reads[..])).sum();
        size_of_val(&self.cells[..]) + reads
    }

    /// Cells of one word's bytes that an access of part of it touches.
    #[cold]
    fn split(&mut self, word: usize) -> usize {
        let parts = self.cells[word].parts & !MODIFIED;
        if parts != 0 {
            return self.words + 4 * (parts as usize - 1);
        }
        let number = self.spare.pop().unwrap_or_else(|| {
            self.cells.resize(self.cells.len() + 4, Cell::FRESH);
            ((self.cells.len() - self.words) / 4) as u32
        });
        let first = self.words + 4 * (number as usize - 1);
        let whole = self.cells[word];
        for part in first..first + 4 {
            self.cells[part] = whole;
            if let Some(modified) = self.modified.get(&word).filter(|_| whole.parts != 0).cloned() {
                self.modified.insert(part, modified);
            }
            for reads in self.reads.iter_mut().filter(|reads| !reads.is_empty()) {
                if reads.len() <= part {
                    reads.resize(self.cells.len(), Read::default());
                }
                reads[part] = reads[word];
            }
        }
        self.cells[word].parts = number;
        first
    }

    /// Checks and records a read.
    #[inline]
    pub fn read(&mut self, access: &Access<'_>, at: usize, bytes: usize, found: &mut Vec<Conflict>) {
        if self.make_room(access.reader()) {
            self.words(access, at, bytes, Way::Read, found);
        }
    }

    /// Checks and records a write.
    #[inline]
    pub fn write(&mut self, access: &Access<'_>, at: usize, bytes: usize, found: &mut Vec<Conflict>) {
        self.words(access, at, bytes, Way::Write, found);
    }

    /// Checks and records an atomic, or a volatile or relaxed store: it neither hides what was written before nor is
    /// hidden by the next such one.
    #[cold]
    pub fn modify(&mut self, access: &Access<'_>, at: usize, bytes: usize, found: &mut Vec<Conflict>) {
        self.words(access, at, bytes, Way::Modify, found);
    }

    /// Gives a column of readers all cells. False for bulk copies, which only write and have no such column.
    #[inline(always)]
    fn make_room(&mut self, reader: usize) -> bool {
        let Some(reads) = self.reads.get_mut(reader) else { return false };
        if reads.len() < self.cells.len() {
            reads.resize(self.cells.len(), Read::default());
        }
        true
    }

    /// An access, word by word; the ordinary ones of whole words are the frequent ones.
    #[inline(always)]
    fn words(&mut self, access: &Access<'_>, at: usize, bytes: usize, way: Way, found: &mut Vec<Conflict>) {
        let whole = way != Way::Modify && at.is_multiple_of(4) && bytes.is_multiple_of(4);
        for word in at / 4..(at + bytes).div_ceil(4) {
            if !whole || self.cells.get(word).is_none_or(|cell| cell.parts != 0) {
                self.parts(access, word, at, bytes, way, found);
            } else if way == Way::Read {
                self.read_cell(access, word, 4 * word, 4, found);
            } else {
                self.write_cell(access, word, 4 * word, 4, found);
            }
        }
    }

    #[inline(always)]
    fn read_cell(&mut self, access: &Access<'_>, cell: usize, at: usize, bytes: usize, found: &mut Vec<Conflict>) {
        let reader = access.reader();
        let Cell { writer, readers, .. } = &mut self.cells[cell];
        let read = &mut self.reads[reader][cell];
        let inst = access.inst();
        if *readers >> reader & 1 == 1 && read.clock == access.now {
            if read.inst == inst && read.lanes & access.lanes == access.lanes {
                return;
            }
            // A mark stays only when all these reads have it.
            let inst = inst & (read.inst | INST);
            *read = Read { clock: read.clock, lanes: read.lanes | access.lanes, inst };
        } else {
            *read = Read { clock: access.now, lanes: access.lanes, inst };
            *readers |= 1 << reader;
        }
        let writer = *writer;
        if !access.reaches(&writer) {
            after_write(access, writer, at, bytes, false, found);
        }
    }

    #[inline(always)]
    fn write_cell(&mut self, access: &Access<'_>, cell: usize, at: usize, bytes: usize, found: &mut Vec<Conflict>) {
        let Cell { writer, readers, .. } = self.cells[cell];
        if !access.reaches(&writer) {
            after_write(access, writer, at, bytes, true, found);
        }
        self.each_reader(access, readers, cell, at, bytes, found);
        let stamp = Stamp { clock: access.now, inst: access.inst(), column: access.column, thread: access.thread };
        self.cells[cell] = Cell { writer: stamp, parts: 0, readers: 0 };
    }

    /// An access of part of a word, or of one whose bytes have cells of their own or that was modified.
    #[cold]
    fn parts(
        &mut self,
        access: &Access<'_>,
        word: usize,
        at: usize,
        bytes: usize,
        way: Way,
        found: &mut Vec<Conflict>,
    ) {
        if word >= self.words {
            return;
        }
        let (low, high) = (at.max(4 * word), (at + bytes).min(4 * word + 4));
        if high - low == 4 && self.cells[word].parts & !MODIFIED == 0 {
            return self.one(access, word, low, 4, way, found);
        }
        let first = self.split(word);
        for byte in low..high {
            self.one(access, first + byte % 4, byte, 1, way, found);
        }
        if way == Way::Write && high - low == 4 {
            // One writer has it whole again.
            self.spare.push(self.cells[word].parts & !MODIFIED);
            self.cells[word] = self.cells[first];
        }
    }

    #[cold]
    fn one(&mut self, access: &Access<'_>, cell: usize, at: usize, bytes: usize, way: Way, found: &mut Vec<Conflict>) {
        self.make_room(access.reader());
        let Cell { writer, parts, readers } = self.cells[cell];
        if parts & MODIFIED != 0 {
            for &(column, read) in self.modified.get(&cell).into_iter().flatten() {
                if access.clock.known.column(column) < read.clock {
                    after_read(access, read, column, at, bytes, way, found);
                }
            }
        }
        if way == Way::Write || (way == Way::Modify && writer.column == NEVER) {
            self.modified.remove(&cell);
            self.write_cell(access, cell, at, bytes, found);
        } else if way == Way::Read {
            self.read_cell(access, cell, at, bytes, found);
        } else {
            if !access.reaches(&writer) {
                after_write(access, writer, at, bytes, true, found);
            }
            self.each_reader(access, readers, cell, at, bytes, found);
            let list = self.modified.entry(cell).or_default();
            let mut new = Read { clock: access.now, lanes: access.lanes, inst: access.inst() | MODIFY };
            match list.iter_mut().find(|(column, _)| *column == access.warp) {
                Some((_, old)) => {
                    new.lanes |= if old.clock == new.clock { old.lanes } else { 0 };
                    *old = new;
                }
                None => list.push((access.warp, new)),
            }
            self.cells[cell].parts |= MODIFIED;
        }
    }

    /// Checks a write against those that read a cell since it was last written.
    #[inline(always)]
    fn each_reader(
        &self,
        access: &Access<'_>,
        readers: u64,
        cell: usize,
        at: usize,
        bytes: usize,
        found: &mut Vec<Conflict>,
    ) {
        let mut rest = readers;
        while rest != 0 {
            let reader = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let read = self.reads[reader][cell];
            let column = if reader >= usize::from(access.warps) { reader as u16 + access.warps } else { reader as u16 };
            if access.clock.known.column(column) < read.clock {
                after_read(access, read, column, at, bytes, Way::Write, found);
            }
        }
    }
}
