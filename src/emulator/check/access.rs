//! Accesses as the shadow sees them, and what is wrong with one that meets another.

use super::clock::{Clock, Column, each};

/// Column of what was never written.
pub(super) const NEVER: Column = Column::MAX;
/// Marks of [`Stamp::inst`] and [`Read::inst`].
pub(super) const STRONG: u32 = 1 << 31;
const COLLECTIVE: u32 = 1 << 30;
pub(super) const MODIFY: u32 = 1 << 29;
pub(super) const INST: u32 = MODIFY - 1;
/// Who wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The column's clock then; of asynchronous work, when it will be done.
    pub clock: u32,
    /// Instruction, with marks.
    pub inst: u32,
    /// What kind of writer, and of which warp or mbarrier.
    pub column: Column,
    /// Thread of the block that issued it.
    pub thread: u16,
}

impl Stamp {
    /// Of what was never written.
    pub const NEVER: Stamp = Stamp { clock: u32::MAX, inst: 0, column: NEVER, thread: 0 };

    /// The instruction.
    pub fn instruction(&self) -> u32 {
        self.inst & INST
    }

    /// Its lane in its warp.
    pub fn lane(&self) -> u8 {
        (self.thread & 31) as u8
    }

    fn strong(&self) -> bool {
        self.inst & STRONG != 0
    }
}

/// Lanes of one warp that read a cell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    /// When.
    pub clock: u32,
    /// Which lanes.
    pub lanes: u32,
    /// Instruction, with marks.
    pub inst: u32,
}

/// An access as the shadow sees it.
#[derive(Clone, Copy)]
pub(super) struct Access<'a> {
    /// What the accessing lanes know.
    pub clock: &'a Clock,
    /// `cp.async` groups that the lanes of the warp have waited for.
    pub waited: &'a [u32; 32],
    /// The warp, and how many there are.
    pub warp: u16,
    /// Warps of the block.
    pub warps: u16,
    /// Lanes whose own earlier actions come before this.
    pub own: u32,
    /// Lanes that read.
    pub lanes: u32,
    /// The stamp's column and clock.
    pub column: Column,
    /// See `column`.
    pub now: u32,
    /// Thread that issued it.
    pub thread: u16,
    /// Instruction.
    pub inst: u32,
    /// An atomic, volatile or relaxed access: no race with another such one.
    pub strong: bool,
    /// A warp's instruction together (`ldmatrix`): later writes of its own lanes are behind it.
    pub collective: bool,
    /// Through the asynchronous proxy.
    pub proxy: bool,
}

impl Access<'_> {
    /// Its instruction, with marks.
    pub fn inst(&self) -> u32 {
        let mark = |on: bool, bit: u32| if on { bit } else { 0 };
        self.inst & INST | mark(self.strong, STRONG) | mark(self.collective, COLLECTIVE)
    }

    /// Is the write surely in order? False says nothing.
    #[inline(always)]
    pub fn reaches(&self, writer: &Stamp) -> bool {
        self.clock.known.column(writer.column) >= writer.clock
            && (!self.proxy
                || writer.column >= 2 * self.warps
                || self.clock.proxied.column(writer.column) >= writer.clock)
    }

    /// Its column among readers.
    pub fn reader(&self) -> usize {
        usize::from(if self.column >= 2 * self.warps { self.column - self.warps } else { self.warp })
    }
}

/// What is wrong with an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The bytes were never written.
    Never,
    /// A write that nothing orders before a read.
    WriteRead,
    /// A write that nothing orders before a write.
    WriteWrite,
    /// A read that nothing orders before a write.
    ReadWrite,
    /// A write in order, but with no proxy fence behind it.
    Proxy,
    /// An mbarrier that a copy signals, initialized in order, but with no fence behind it.
    Init,
}

/// A finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    /// What.
    pub wrong: Wrong,
    /// First byte and bytes.
    pub at: usize,
    /// See `at`.
    pub bytes: usize,
    /// Lanes of the access.
    pub lanes: u32,
    /// The other side's instruction, column, warp, lanes and clock.
    pub inst: u32,
    /// See `inst`.
    pub column: Column,
    /// See `inst`.
    pub warp: u16,
    /// See `inst`.
    pub others: u32,
    /// See `inst`.
    pub clock: u32,
}

/// How an access touches a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An atomic, or a store that does not race with atomics.
    Modify,
}

/// The other side of an access is a write that its column's clock does not show to be known.
#[cold]
pub(super) fn after_write(
    access: &Access<'_>,
    writer: Stamp,
    at: usize,
    bytes: usize,
    write: bool,
    found: &mut Vec<Conflict>,
) {
    let lane = usize::from(writer.lane());
    let wrong = if writer.column == NEVER {
        if write {
            return;
        }
        Wrong::Never
    } else {
        if writer.strong() && access.strong {
            return;
        }
        let own = writer.thread / 32 == access.warp && access.own >> lane & 1 == 1;
        let done = writer.column == access.warp
            || (writer.column == access.warp + access.warps && access.waited[lane] >= writer.clock);
        let ordered = (own && done) || access.clock.known.covers(writer.column, writer.lane(), writer.clock);
        if !ordered {
            if write { Wrong::WriteWrite } else { Wrong::WriteRead }
        } else if access.proxy
            && writer.column < 2 * access.warps
            && !access.clock.proxied.covers(writer.column, writer.lane(), writer.clock)
        {
            Wrong::Proxy
        } else {
            return;
        }
    };
    add(
        found,
        Conflict {
            wrong,
            at,
            bytes,
            lanes: access.lanes,
            inst: writer.instruction(),
            column: writer.column,
            warp: writer.thread / 32,
            others: 1 << lane,
            clock: writer.clock,
        },
    );
}

/// The other side of a write are reads that their column's clock does not show to be known.
#[cold]
pub(super) fn after_read(
    access: &Access<'_>,
    read: Read,
    column: Column,
    at: usize,
    bytes: usize,
    way: Way,
    found: &mut Vec<Conflict>,
) {
    if read.inst & STRONG != 0 && access.strong {
        return;
    }
    let mut others = read.lanes;
    if column < access.warps {
        if column == access.warp {
            others &= if read.inst & COLLECTIVE != 0 { 0 } else { !access.own };
        }
        let known = |lane: &usize| access.clock.known.covers(column, *lane as u8, read.clock);
        others = each(others).filter(|lane| !known(lane)).fold(0, |m, lane| m | 1 << lane);
    }
    if others != 0 {
        add(
            found,
            Conflict {
                wrong: match (way, read.inst & MODIFY) {
                    (Way::Read, _) => Wrong::WriteRead,
                    (_, 0) => Wrong::ReadWrite,
                    _ => Wrong::WriteWrite,
                },
                at,
                bytes,
                lanes: access.lanes,
                inst: read.inst & INST,
                column,
                warp: column % access.warps,
                others,
                clock: read.clock,
            },
        );
    }
}

/// Adds a finding, joined with the last where it goes on: the next bytes, or other lanes.
fn add(found: &mut Vec<Conflict>, new: Conflict) {
    for old in found.iter_mut() {
        if (old.wrong, old.inst, old.column, old.warp) != (new.wrong, new.inst, new.column, new.warp) {
            continue;
        }
        if old.at + old.bytes == new.at && (old.lanes, old.others) == (new.lanes, new.others) {
            old.bytes += new.bytes;
            return;
        }
    }
    if found.len() < 64 {
        found.push(new);
    }
}
