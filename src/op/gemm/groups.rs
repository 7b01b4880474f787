//! Scales of the groups of K of an operand.

use super::super::check;
use super::super::mma::Groups;
use crate::device::{Device, Matrix, Region, Span, View};
use crate::{Error, Result};

/// Which rows of an operand have the same scales.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SharedBy {
    /// None: each row has its own.
    #[default]
    Row,
    /// Every 128 rows, the last of which may be fewer: blocks of 128 × 128 where groups of K are of 128.
    Block128,
    /// All rows.
    All,
}

impl SharedBy {
    /// log2 of the rows, as the kernels take it: no dimension reaches 2³¹.
    pub(super) const fn shift(self) -> u32 {
        match self {
            SharedBy::Row => 0,
            SharedBy::Block128 => 7,
            SharedBy::All => 31,
        }
    }

    /// Lines of scales for so many rows.
    const fn lines(self, rows: usize) -> usize {
        match self {
            SharedBy::Row => rows,
            SharedBy::Block128 => rows.div_ceil(128),
            SharedBy::All => (rows != 0) as usize,
        }
    }
}

/// A scale for each group of K, of each row of an operand or of rows that share: f32 at `line · ld + group · step`, in
/// any order of lines and groups. With `⌈K / group⌉` groups and a line for every row, every 128 rows or all.
///
/// A tile wants the scales of its rows of one group: with `ld` 1, the lines of a group side by side, they are whole
/// sectors; with `step` 1, as [`new`](GroupScales::new) has it, each is a sector of its own.
#[derive(Clone, Copy)]
pub struct GroupScales<'a> {
    /// From the first scale of the first matrix on.
    pub view: View<'a, f32>,
    /// The rows of a line.
    pub shared_by: SharedBy,
    /// Elements from a line to the next.
    pub ld: usize,
    /// Elements from a group to the next.
    pub step: usize,
    /// Elements from a matrix of a batch to the next; 0 where one serves the whole batch.
    pub stride: usize,
}

impl<'a> GroupScales<'a> {
    /// `[lines, groups]` row-major, serving the whole batch.
    pub fn new(scales: Matrix<'a, f32>, shared_by: SharedBy) -> GroupScales<'a> {
        GroupScales { view: scales.view(), shared_by, ld: scales.ld(), step: 1, stride: 0 }
    }

    /// What the kernel is told, and where it lies, if the scales of `batch` operands of so many rows and groups are
    /// within it.
    pub(super) fn within(
        self,
        device: &Device,
        what: &'static str,
        (rows, groups): (usize, usize),
        batch: usize,
    ) -> Result<(Groups<'a>, Span)> {
        check::device(device, what, &self.view)?;
        let GroupScales { view, shared_by, ld, step, stride } = self;
        let lines = shared_by.lines(rows);
        let last = |count: usize, apart: usize| (count - 1).checked_mul(apart);
        let need = if lines == 0 || groups == 0 || batch == 0 {
            0
        } else {
            let all = [last(lines, ld), last(groups, step), last(batch, stride)];
            let sum = all.into_iter().try_fold(1usize, |sum, part| sum.checked_add(part?));
            sum.filter(|len| len.checked_mul(4).is_some()).ok_or_else(|| {
                Error::Shape(format!(
                    "{batch} times {lines} x {groups} scales of {what}, {stride}, {ld} and {step} elements apart, leave the \
                     address space"
                ))
            })?
        };
        if view.len() < need {
            return Err(Error::TooShort { what, have: view.len(), need, unit: "elements" });
        }
        let view = view.slice(..need)?;
        let span = view.span();
        let groups = Groups { view, ld: ld as i64, step: step as i64, batch: stride as i64, shift: shared_by.shift() };
        Ok((groups, span))
    }
}
