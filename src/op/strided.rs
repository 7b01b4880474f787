//! Operands of strided rows: how far they reach, whether rows meet, and what must not share memory.

use std::fmt;

use super::check;
use crate::device::{Device, Element, Region, Span, Status, View, ViewMut};
use crate::{Error, Result};

/// One dimension of rows: what it counts, how many, and elements from one to the next.
pub(super) type Dim = (&'static str, usize, usize);

/// Rows whose elements lie side by side, in up to three dimensions.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    dims: [Dim; 3],
    run: usize,
}

impl Rows {
    /// Rows of `run` elements.
    pub const fn new(dims: [Dim; 3], run: usize) -> Rows {
        Rows { dims, run }
    }

    /// Rows `[batch, tokens, heads]`, of packed sequences `[total, heads]`; strides by sequence, token and head.
    pub fn of_heads(
        [batch, tokens, heads]: [usize; 3],
        packed: Option<usize>,
        [sequence, token, head]: [usize; 3],
        run: usize,
    ) -> Rows {
        let sequences = packed.map_or(("sequence", batch, sequence), |_| Rows::ONE);
        Rows::new([sequences, ("token", packed.unwrap_or(tokens), token), ("head", heads, head)], run)
    }

    /// Rows `[batch, heads]` of a number for each token, of packed sequences `[heads]`.
    pub fn of_tokens([batch, tokens, heads]: [usize; 3], packed: Option<usize>, [sequence, head]: [usize; 2]) -> Rows {
        let sequences = packed.map_or(("sequence", batch, sequence), |_| Rows::ONE);
        Rows::new([sequences, ("head", heads, head), Rows::ONE], packed.unwrap_or(tokens))
    }

    /// A dimension of one, for rows that have fewer than three.
    pub const ONE: Dim = ("row", 1, 0);

    fn is_empty(&self) -> bool {
        self.run == 0 || self.dims.iter().any(|&(_, count, _)| count == 0)
    }

    /// Elements from the first to the last.
    fn len<T>(&self, what: &str) -> Result<usize> {
        if self.is_empty() {
            return Ok(0);
        }
        let farther = |len: usize, &(_, count, stride): &Dim| len.checked_add((count - 1).checked_mul(stride)?);
        let len =
            self.dims.iter().try_fold(self.run, farther).filter(|&len| len <= isize::MAX as usize / size_of::<T>());
        len.ok_or_else(|| Error::Shape(format!("{what}: {self} leave the address space")))
    }

    /// No two rows meet: every stride is at least what the dimensions of smaller strides cover.
    fn apart(&self, what: &str) -> Result<()> {
        let mut dims = self.dims;
        if self.is_empty() {
            return Ok(());
        }
        dims.sort_unstable_by_key(|&(_, _, stride)| stride);
        let mut covered = self.run;
        for (_, count, stride) in dims.into_iter().filter(|&(_, count, _)| count > 1) {
            if stride < covered {
                return Err(Error::Shape(format!("rows of {what} meet: {self}")));
            }
            covered = (count - 1).saturating_mul(stride).saturating_add(covered);
        }
        Ok(())
    }

    /// Every row starts at a multiple of `align` bytes if the first does.
    fn aligned<T>(&self, what: &str, align: usize) -> Result<()> {
        let odd = |stride: usize| !(stride % align * size_of::<T>()).is_multiple_of(align);
        match self.dims.iter().find(|&&(_, count, stride)| count > 1 && odd(stride)) {
            None => Ok(()),
            Some((name, _, stride)) => Err(Error::Shape(format!(
                "{what}: {stride} elements from a {name} to the next are no multiple of {align} bytes"
            ))),
        }
    }
}

/// "16 elements each, 5 tokens 32 apart, 2 heads 16 apart".
impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} elements each", self.run)?;
        let some = self.dims.iter().filter(|&&(_, count, _)| count > 1);
        some.into_iter().try_for_each(|(name, count, stride)| write!(f, ", {count} {name}s {stride} apart"))
    }
}

/// More than any operation here reads, and writes.
const MOST: usize = 16;

/// What an operation reads and writes. Safe views never share memory with what is written; raw ones may.
pub(super) struct Operands<'d> {
    device: &'d Device,
    read: Spans,
    written: Spans,
}

#[derive(Default)]
struct Spans {
    spans: [Option<(&'static str, Span)>; MOST],
    count: usize,
}

impl Spans {
    fn add(&mut self, what: &'static str, span: Span) {
        debug_assert!(self.count < MOST, "{what} would not be held against the others");
        if let Some(slot) = self.spans.get_mut(self.count) {
            *slot = Some((what, span));
            self.count += 1;
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, Span)> {
        self.spans.iter().flatten().copied()
    }
}

impl<'d> Operands<'d> {
    /// None yet.
    pub fn new(device: &'d Device) -> Operands<'d> {
        Operands { device, read: Spans::default(), written: Spans::default() }
    }

    /// An array of `need` elements to read.
    pub fn array<T: Element>(&mut self, what: &'static str, view: &View<'_, T>, dim: &str, need: usize) -> Result<()> {
        check::length(what, view.len(), dim, need)?;
        check::device(self.device, what, view)?;
        self.read.add(what, view.span());
        Ok(())
    }

    /// The same, where it is given.
    pub fn optional<T: Element>(
        &mut self,
        what: &'static str,
        view: &Option<View<'_, T>>,
        dim: &str,
        need: usize,
    ) -> Result<()> {
        view.as_ref().map_or(Ok(()), |view| self.array(what, view, dim, need))
    }

    /// An array of `need` elements to write.
    pub fn written<T: Element>(
        &mut self,
        what: &'static str,
        view: &ViewMut<'_, T>,
        dim: &str,
        need: usize,
    ) -> Result<()> {
        check::length(what, view.len(), dim, need)?;
        check::device(self.device, what, view)?;
        self.written.add(what, view.span());
        Ok(())
    }

    /// Rows to read, each from a multiple of `align` bytes on. Returns the part of the view that they cover.
    pub fn read<'a, T: Element>(
        &mut self,
        what: &'static str,
        view: View<'a, T>,
        rows: Rows,
        align: usize,
    ) -> Result<View<'a, T>> {
        let need = self.need(what, &view, &rows, align)?;
        let view = view.slice(..need)?;
        self.read.add(what, view.span());
        Ok(view)
    }

    /// Rows to write, likewise, no two of which meet.
    pub fn write<'a, T: Element>(
        &mut self,
        what: &'static str,
        view: ViewMut<'a, T>,
        rows: Rows,
        align: usize,
    ) -> Result<ViewMut<'a, T>> {
        let need = self.need(what, &view.as_view(), &rows, align)?;
        rows.apart(what)?;
        let view = view.slice(..need)?;
        self.written.add(what, view.span());
        Ok(view)
    }

    /// Bytes to write and read again: at least `need`, from a multiple of `align` on.
    pub fn buffer(&mut self, what: &'static str, view: &ViewMut<'_, u8>, need: usize, align: usize) -> Result<()> {
        check::device(self.device, what, view)?;
        if view.len() < need {
            return Err(Error::TooShort { what, have: view.len(), need, unit: "bytes" });
        }
        check::aligned(what, &view.span(), align as u64)?;
        self.written.add(what, view.span());
        Ok(())
    }

    /// The status word, which every block may write.
    pub fn status(&mut self, status: &Option<&mut Status>) -> Result<()> {
        let Some(status) = status else { return Ok(()) };
        check::device(self.device, "the status word", &status.word())?;
        self.read.add("the status word", status.word().span());
        Ok(())
    }

    /// What is written shares no byte with what is read, nor with what else is written.
    pub fn apart(&self) -> Result<()> {
        for (at, output) in self.written.iter().enumerate() {
            let others = self.read.iter().chain(self.written.iter().take(at));
            others.into_iter().try_for_each(|other| check::apart(output, &[other]))?;
        }
        Ok(())
    }

    /// How many elements of `view` rows cover; it has them, and starts where they may.
    fn need<T: Element>(&self, what: &'static str, view: &View<'_, T>, rows: &Rows, align: usize) -> Result<usize> {
        check::device(self.device, what, view)?;
        rows.aligned::<T>(what, align)?;
        let need = rows.len::<T>(what)?;
        if view.len() < need {
            return Err(Error::TooShort { what, have: view.len(), need, unit: "elements" });
        }
        if need > 0 {
            check::aligned(what, &view.span(), align as u64)?;
        }
        Ok(need)
    }
}
