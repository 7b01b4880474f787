//! What a product works on, and the rules for it.

use float8::{F8E4M3, F8E5M2};
use half::{bf16, f16};

use super::super::mma::{self, Mma, Vector};
use super::super::{OutputElement, check};
use super::groups::GroupScales;
use super::{DType, GemmPlan, GemmProblem, MAX_K_WITH_ZEROS, Output, SCRATCH_ALIGN, side};
use crate::device::{Device, Element, Matrix, MatrixMut, Region, Span, View, ViewMut};
use crate::{Error, Result};

/// An element that products multiply: i8, f16, bf16, e4m3 or e5m2. Sealed through [`Element`].
pub trait GemmElement: Element {}

impl GemmElement for i8 {}
impl GemmElement for f16 {}
impl GemmElement for bf16 {}
impl GemmElement for F8E4M3 {}
impl GemmElement for F8E5M2 {}

/// A row-major matrix to read, or a batch of such: its shape is the problem's.
pub struct Strided<'a, T> {
    /// From the first element of the first matrix on.
    pub view: View<'a, T>,
    /// Elements from a row to the next.
    pub ld: usize,
    /// Elements from a matrix to the next; 0 where one serves the whole batch.
    pub stride: usize,
}

impl<T> Clone for Strided<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Strided<'_, T> {}

impl<'a, T: Element> From<Matrix<'a, T>> for Strided<'a, T> {
    fn from(matrix: Matrix<'a, T>) -> Self {
        Strided { view: matrix.view(), ld: matrix.ld(), stride: 0 }
    }
}

/// A row-major matrix to write, or a batch of such. What lies between the rows and the matrices is not written.
pub struct StridedMut<'a, T> {
    /// From the first element of the first matrix on.
    pub view: ViewMut<'a, T>,
    /// Elements from a row to the next.
    pub ld: usize,
    /// Elements from a matrix to the next; of a batch at least what one matrix covers.
    pub stride: usize,
}

impl<'a, T: Element> From<MatrixMut<'a, T>> for StridedMut<'a, T> {
    fn from(matrix: MatrixMut<'a, T>) -> Self {
        let ld = matrix.ld();
        StridedMut { view: matrix.into_view(), ld, stride: 0 }
    }
}

/// What `beta` multiplies.
pub enum Addend<'a, O> {
    /// Nothing is added; beta is 0.
    None,
    /// A matrix `[M, N]`, or a batch of such, of the output's type.
    Matrix(Strided<'a, O>),
    /// The output as it was before.
    Output,
}

/// What one run works on. [`new`](GemmArgs::new) gives the plain product; the other fields are public.
///
/// A vector serves all matrices of a batch, or holds the values of each matrix one after the other.
pub struct GemmArgs<'a, A, B, O> {
    /// `[M, K]`, or `[K, M]` where the problem says that K lies down the rows.
    pub a: Strided<'a, A>,
    /// `[N, K]`, or `[K, N]` where the problem says that K lies down the rows.
    pub b: Strided<'a, B>,
    /// `[M, N]`.
    pub d: StridedMut<'a, O>,
    /// α; 1 for an s32 output.
    pub alpha: f32,
    /// β; 0 where nothing is added. With a β of 0, c is not read, whatever it holds.
    pub beta: f32,
    /// What β multiplies.
    pub c: Addend<'a, O>,
    /// A scale for each row, or one.
    pub scale_row: Option<View<'a, f32>>,
    /// A scale for each column, or one.
    pub scale_col: Option<View<'a, f32>>,
    /// A number for each column.
    pub bias: Option<View<'a, f32>>,
    /// Of int8: the zero point of each row of a, or one.
    pub zero_row: Option<View<'a, i32>>,
    /// With `zero_row`: `Σ_k b[n, k]` for each column.
    pub column_sums: Option<View<'a, i32>>,
    /// Of a problem with [`k_group`](GemmProblem::k_group): the scales of the groups of a, 1 where there are none.
    pub groups_a: Option<GroupScales<'a>>,
    /// The same of b.
    pub groups_b: Option<GroupScales<'a>>,
    /// At least [`GemmPlan::scratch_bytes`](super::GemmPlan::scratch_bytes), aligned to [`SCRATCH_ALIGN`]; not needed
    /// where that is 0. Contents do not matter and are lost. One buffer serves one run at a time.
    pub scratch: Option<ViewMut<'a, u8>>,
}

impl<'a, A, B, O> GemmArgs<'a, A, B, O> {
    /// The product itself: alpha 1, nothing scaled and nothing added, no scratch.
    pub fn new(
        a: impl Into<Strided<'a, A>>,
        b: impl Into<Strided<'a, B>>,
        d: impl Into<StridedMut<'a, O>>,
    ) -> GemmArgs<'a, A, B, O> {
        GemmArgs {
            a: a.into(),
            b: b.into(),
            d: d.into(),
            alpha: 1.0,
            beta: 0.0,
            c: Addend::None,
            scale_row: None,
            scale_col: None,
            bias: None,
            zero_row: None,
            column_sums: None,
            groups_a: None,
            groups_b: None,
            scratch: None,
        }
    }
}

const NOWHERE: Span = Span { address: 0, row_bytes: 0, row_stride: 0, rows: 0 };

/// Elements that `batch` matrices of `rows` × `cols` cover, and the bytes of them.
struct Extent {
    len: usize,
    span: Span,
}

/// The extent of matrices from `address` on, if they lie in `have` elements.
fn extent<T>(
    what: &'static str,
    address: u64,
    have: usize,
    (rows, cols): (usize, usize),
    ld: usize,
    batch: usize,
    stride: usize,
) -> Result<Extent> {
    if ld < cols {
        return Err(Error::Shape(format!("the leading dimension {ld} of {what} is less than its {cols} columns")));
    }
    if rows == 0 || cols == 0 || batch == 0 {
        return Ok(Extent { len: 0, span: NOWHERE });
    }
    let one = (rows - 1).checked_mul(ld).and_then(|last| last.checked_add(cols));
    let all = (batch - 1).checked_mul(stride).and_then(|last| one?.checked_add(last));
    let (Some(one), Some(len)) = (one, all.filter(|len| len.checked_mul(size_of::<T>()).is_some())) else {
        return Err(Error::Shape(format!(
            "{batch} matrices of {what}, {stride} elements apart, with {rows} rows, {ld} apart, leave the address space"
        )));
    };
    if have < len {
        return Err(Error::TooShort { what, have, need: len, unit: "elements" });
    }
    let size = size_of::<T>() as u64;
    let span = match batch == 1 || stride == 0 {
        true => Span { address, row_bytes: cols as u64 * size, row_stride: ld as u64 * size, rows: rows as u64 },
        false => Span { address, row_bytes: len as u64 * size, row_stride: len as u64 * size, rows: 1 },
    };
    debug_assert!(len >= one);
    Ok(Extent { len, span })
}

impl<'a, T: Element> Strided<'a, T> {
    /// The same with a view no longer than need be, and where it lies, if `batch` matrices of this shape are within it.
    fn within(
        self,
        device: &Device,
        what: &'static str,
        shape: (usize, usize),
        batch: usize,
    ) -> Result<(Strided<'a, T>, Span)> {
        check::device(device, what, &self.view)?;
        let Strided { view, ld, stride } = self;
        let at = extent::<T>(what, view.span().address, view.len(), shape, ld, batch, stride)?;
        Ok((Strided { view: view.slice(..at.len)?, ..self }, at.span))
    }
}

/// A vector of one value, of one for each of `need`, or of so many for each matrix of the batch.
fn vector<'a, T: Element>(
    device: &Device,
    what: &'static str,
    dimension: &str,
    view: Option<View<'a, T>>,
    need: usize,
    batch: usize,
    one: bool,
) -> Result<Option<Vector<'a, T>>> {
    let Some(view) = view else { return Ok(None) };
    check::device(device, what, &view)?;
    let len = view.len();
    let found = if len == need {
        Some((true, 0))
    } else if one && len == 1 {
        Some((false, 0))
    } else if need.checked_mul(batch) == Some(len) {
        Some((true, need as i64))
    } else {
        None
    };
    match found {
        Some((each, batch)) => Ok(Some(Vector { view, each, batch })),
        None => {
            let or = if one { "1, " } else { "" };
            let batches = if batch > 1 { format!(" or {batch} times that") } else { String::new() };
            Err(Error::Shape(format!("{what} holds {len} elements, not {or}{dimension} = {need}{batches}")))
        }
    }
}

impl<'a, A: GemmElement, B: GemmElement, O: OutputElement> GemmArgs<'a, A, B, O> {
    /// What the kernel is told, with views no longer than need be, if the arguments keep every rule; and the scratch,
    /// which it does not hold yet.
    #[allow(clippy::type_complexity)] // the kernel's arguments and the scratch
    pub(super) fn checked(
        self,
        device: &Device,
        plan: &GemmPlan,
    ) -> Result<(Mma<'a, A, B, O>, Option<ViewMut<'a, u8>>)> {
        let p = plan.problem();
        let GemmProblem { m, n, k, batch, a, b, out, .. } = *p;
        for (what, have, want) in [("a", A::DTYPE, a.dtype), ("b", B::DTYPE, b.dtype)] {
            if have != want {
                return Err(Error::Shape(format!("the plan is for {what} of {want}, but {what} holds {have}")));
            }
        }
        if out != O::OUTPUT {
            return Err(Error::Shape(format!("the plan is for an output of {out}, but d holds {}", O::OUTPUT)));
        }
        self.check_what_goes_together(p)?;

        let memory = |rows: usize, down: bool| if down { (k, rows) } else { (rows, k) };
        let (a, at_a) = self.a.within(device, "a", memory(m, a.k_down), batch)?;
        let (b, at_b) = self.b.within(device, "b", memory(n, b.k_down), batch)?;
        check::device(device, "d", &self.d.view)?;
        let (address, len) = (self.d.view.span().address, self.d.view.len());
        let at_d = extent::<O>("d", address, len, (m, n), self.d.ld, batch, self.d.stride)?;
        let one = at_d.len.saturating_sub(batch.saturating_sub(1).saturating_mul(self.d.stride));
        if batch > 1 && self.d.stride < one {
            return Err(Error::Shape(format!(
                "matrices of d are {} elements apart, but each covers {one}: they overlap",
                self.d.stride
            )));
        }

        let mut inputs = [("", NOWHERE); 10];
        (inputs[0], inputs[1]) = (("a", at_a), ("b", at_b));
        let c = match self.c {
            Addend::Matrix(c) => {
                let (c, at_c) = c.within(device, "c", (m, n), batch)?;
                inputs[2] = ("c", at_c);
                mma::Addend::Of(c.view, c.ld as i64, c.stride as i64)
            }
            Addend::Output => mma::Addend::Output,
            Addend::None => mma::Addend::None,
        };
        let scale_row = vector(device, "scale_row", "M", self.scale_row, m, batch, true)?;
        let scale_col = vector(device, "scale_col", "N", self.scale_col, n, batch, true)?;
        let bias = vector(device, "bias", "N", self.bias, n, batch, false)?;
        let zero_row = vector(device, "zero_row", "M", self.zero_row, m, batch, true)?;
        let column_sums = vector(device, "column_sums", "N", self.column_sums, n, batch, false)?;
        if let (Some(scale), Some(zero)) = (&scale_row, &zero_row)
            && (scale.each, scale.batch) != (zero.each, zero.batch)
        {
            return Err(Error::Shape(format!(
                "zero_row holds {} elements and scale_row {}: both hold one, or both one for each row",
                zero.view.len(),
                scale.view.len()
            )));
        }
        let float = [("scale_row", &scale_row), ("scale_col", &scale_col), ("bias", &bias)];
        for (slot, (what, vector)) in inputs[3..].iter_mut().zip(float) {
            *slot = (what, vector.as_ref().map_or(NOWHERE, |v| v.view.span()));
        }
        for (slot, (what, vector)) in
            inputs[6..].iter_mut().zip([("zero_row", &zero_row), ("column_sums", &column_sums)])
        {
            *slot = (what, vector.as_ref().map_or(NOWHERE, |v| v.view.span()));
        }
        let mut groups = [None, None];
        let sides = [("groups_a", m, self.groups_a), ("groups_b", n, self.groups_b)];
        for ((slot, input), (what, rows, scales)) in groups.iter_mut().zip(&mut inputs[8..]).zip(sides) {
            let (Some(scales), Some(group)) = (scales, p.k_group) else { continue };
            let (scales, at) = scales.within(device, what, (rows, k.div_ceil(group)), batch)?;
            (*slot, *input) = (Some(scales), (what, at));
        }
        check::apart(("d", at_d.span), &inputs)?;
        check_scratch(device, self.scratch.as_ref(), plan.scratch_bytes(), at_d.span, &inputs)?;
        // The plan checked that the dimensions fit an i32, and that the bytes of K do.
        let size = p.a.dtype.size() as u32;
        let mma = Mma {
            a: side(a),
            b: side(b),
            c: if self.beta == 0.0 { mma::Addend::None } else { c },
            ldd: self.d.ld as i64,
            batch_d: self.d.stride as i64,
            d: self.d.view.slice(..at_d.len)?,
            scale_row,
            scale_col,
            bias,
            zero_row,
            column_sums,
            groups,
            k_group_shift: p.k_group.map_or(0, usize::trailing_zeros),
            scratch: None,
            mn: [m as u32, n as u32],
            k: [k as u32 * size, plan.split_k(), plan.k_slice() * size],
            d_type: out.code(),
            alpha: self.alpha,
            beta: self.beta,
        };
        Ok((mma, self.scratch))
    }

    fn check_what_goes_together(&self, p: &GemmProblem) -> Result<()> {
        let shape = |text: String| Err(Error::Shape(text));
        if matches!(self.c, Addend::None) && self.beta != 0.0 {
            return shape(format!("beta = {} was given, but no c", self.beta));
        }
        if p.out == Output::I32 {
            let given = [
                ("scale_row", self.scale_row.is_some()),
                ("scale_col", self.scale_col.is_some()),
                ("bias", self.bias.is_some()),
                ("c", !matches!(self.c, Addend::None)),
            ];
            if let Some((what, _)) = given.iter().find(|(_, given)| *given) {
                return shape(format!("{what} was given, but an s32 output is the sum itself"));
            }
            if self.alpha != 1.0 {
                return shape(format!("alpha = {} was given, but an s32 output is the sum itself", self.alpha));
            }
        }
        let scales = [("groups_a", self.groups_a.is_some()), ("groups_b", self.groups_b.is_some())];
        if let (None, Some((what, _))) = (p.k_group, scales.iter().find(|(_, given)| *given)) {
            return shape(format!(
                "{what} was given, but the plan sums over all of K: a problem with k_group has groups"
            ));
        }
        if let (Some(group), true) = (p.k_group, self.zero_row.is_some()) {
            return shape(format!("zero_row was given, but sums by groups of {group} have no zero points"));
        }
        match (self.zero_row.is_some(), self.column_sums.is_some()) {
            (false, false) => Ok(()),
            (true, false) => shape("zero_row was given without column_sums".into()),
            (false, true) => shape("column_sums was given without zero_row".into()),
            (true, true) if p.a.dtype != DType::I8 => {
                shape(format!("zero_row was given, but operands of {} have no zero points", p.a.dtype))
            }
            (true, true) if p.k > MAX_K_WITH_ZEROS => shape(format!(
                "K = {} exceeds {MAX_K_WITH_ZEROS}, the largest K whose int32 sum with zero points is exact: K·255·128 must stay \
                 below 2^31",
                p.k
            )),
            (true, true) => Ok(()),
        }
    }
}

fn check_scratch(
    device: &Device,
    scratch: Option<&ViewMut<'_, u8>>,
    need: usize,
    d: Span,
    inputs: &[(&'static str, Span)],
) -> Result<()> {
    let Some(scratch) = scratch else {
        return match need {
            0 => Ok(()),
            _ => Err(Error::TooShort { what: "the scratch", have: 0, need, unit: "bytes" }),
        };
    };
    check::device(device, "the scratch", scratch)?;
    if scratch.len() < need {
        return Err(Error::TooShort { what: "the scratch", have: scratch.len(), need, unit: "bytes" });
    }
    if need > 0 {
        check::aligned("the scratch", &scratch.span(), SCRATCH_ALIGN as u64)?;
        check::apart(("the scratch", scratch.span()), inputs)?;
        check::apart(("d", d), &[("the scratch", scratch.span())])?;
    }
    Ok(())
}
