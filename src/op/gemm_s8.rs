//! The int8 product on the device.

use super::mma::{Addend, Mma, Side, Vector};
use super::{OutputElement, Step, check};
use crate::device::{Device, Launch, Matrix, MatrixMut, Region, Span, Stream, Swizzle, TensorMapDesc, View, ViewMut};
use crate::manifest::Row;
use crate::plan::gemm_s8::{self as plan, GemmS8Plan, GemmS8Problem, Output, SCRATCH_ALIGN};
use crate::{Error, Result};

/// `d[m, n] = Σ_k a[m, k] · b[n, k]`, exact in s32, then scaled: `· (scale_row[m] · scale_col[n]) + bias[n]`.
///
/// The sum is the same bits under every plan. The scaled output is that of
/// [`reference::exact`](crate::reference::exact): four roundings in f32, never fused, the last to the output type.
#[derive(Clone, Debug)]
pub struct GemmS8 {
    device: Device,
}

/// What one run works on.
pub struct GemmS8Args<'a, O> {
    /// Activations `[M, K]`, aligned to 16 bytes, leading dimension a multiple of 16.
    pub a: Matrix<'a, i8>,
    /// Weights `[N, K]`, aligned to 16 bytes, leading dimension a multiple of 16.
    pub b: Matrix<'a, i8>,
    /// A scale for each row of the output; needed unless the output is s32.
    pub scale_row: Option<View<'a, f32>>,
    /// A scale for each column of the output; needed unless the output is s32.
    pub scale_col: Option<View<'a, f32>>,
    /// Added to each row of the output, if given.
    pub bias: Option<View<'a, f32>>,
    /// Output `[M, N]`, with any leading dimension.
    pub d: MatrixMut<'a, O>,
    /// At least [`GemmS8Plan::scratch_bytes`], aligned to [`SCRATCH_ALIGN`]; not needed where that is 0. Contents
    /// do not matter and are lost. One buffer serves one run at a time.
    pub scratch: Option<ViewMut<'a, u8>>,
}

impl GemmS8 {
    /// The operation on one device; loads every kernel that a plan for it may name.
    ///
    /// # Errors
    /// No kernel serves the device, or a module cannot be loaded.
    pub fn new(device: &Device) -> Result<GemmS8> {
        for entry in plan::entries(device.facts())? {
            device.load(entry)?;
        }
        Ok(GemmS8 { device: device.clone() })
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The plan of least estimated time.
    ///
    /// # Errors
    /// As [`plan::plan`].
    pub fn plan(&self, problem: &GemmS8Problem) -> Result<GemmS8Plan> {
        plan::plan(problem, self.device.facts())
    }

    /// Scratch bytes that cover every problem of at most these dimensions.
    ///
    /// # Errors
    /// As [`plan::scratch_bound`].
    pub fn scratch_bound(&self, max: &GemmS8Problem) -> Result<usize> {
        plan::scratch_bound(max, self.device.facts())
    }

    /// Does the planned work on a stream. Allocates nothing and does not wait.
    ///
    /// # Errors
    /// As [`launches`](Self::launches); a stream of another device; an error of the device.
    pub fn run<O: OutputElement>(&self, plan: &GemmS8Plan, stream: &Stream, args: GemmS8Args<'_, O>) -> Result<()> {
        check::same_device(&self.device, "the stream", stream.device())?;
        self.launches(plan, args, |step| step.submit(stream))
    }

    /// Checks the arguments and gives the steps of a run, in order, to `each`; stops at its first error.
    ///
    /// # Errors
    /// Shapes, types or a device that are not the plan's; missing or surplus scales; leading dimensions of the codes
    /// that are no multiple of 16; codes not aligned to 16 bytes; too little or misaligned scratch; an output or
    /// scratch that overlaps another operand.
    pub fn launches<'a, O: OutputElement>(
        &self,
        plan: &GemmS8Plan,
        args: GemmS8Args<'a, O>,
        mut each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        self.check(plan, &args)?;
        let Some(&geometry) = plan.geometry() else { return Ok(()) };
        // The plan checked that the dimensions fit an i32.
        let GemmS8Problem { m, n, k, out } = *plan.problem();
        let [m, n, k] = [m, n, k].map(|dimension| dimension as u32);
        let GemmS8Args { a, b, scale_row, scale_col, bias, d, scratch } = args;
        let ldd = d.ld() as i64;

        let mut launch = Launch::new(geometry);
        if plan.uses_tensor_maps() {
            let row = geometry.entry.row();
            launch.tensor_map(&a, tensor_map(row, "TILE_M")?).tensor_map(&b, tensor_map(row, "TILE_N")?);
            launch.ptr_mut(d.into_view());
            for operand in [scale_row, scale_col, bias] {
                match operand {
                    Some(view) => launch.ptr(view),
                    None => launch.null(),
                };
            }
            launch.i64(ldd).u32(m).u32(n).u32(k).u32(out.code());
            return each(Step::Launch(launch.finish()?));
        }

        let mut halves = None;
        if let Some(scratch) = scratch.filter(|_| plan.split_k() > 1) {
            let (partials, tickets) = scratch.slice(..plan.tickets().end)?.split_at(plan.tickets().start)?;
            let mut tickets = tickets.cast::<u32>()?;
            each(Step::Clear(tickets.reborrow()))?;
            halves = Some((partials, tickets));
        }
        let side = |matrix: Matrix<'a, i8>| Side { view: matrix.view(), ld: matrix.ld() as i64, batch: 0, unit: 16 };
        let vector = |view: Option<View<'a, f32>>| view.map(|view| Vector { view, each: true, batch: 0 });
        let mma = Mma {
            a: side(a),
            b: side(b),
            c: Addend::None,
            d: d.into_view(),
            ldd,
            batch_d: 0,
            scale_row: vector(scale_row),
            scale_col: vector(scale_col),
            bias: vector(bias),
            zero_row: None,
            column_sums: None,
            groups: [None, None],
            k_group_shift: 0,
            scratch: halves,
            mn: [m, n],
            k: [k, plan.split_k(), plan.k_slice()],
            d_type: out.code(),
            alpha: 1.0,
            beta: 0.0,
        };
        mma.encode(&mut launch);
        each(Step::Launch(launch.finish()?))
    }

    fn check<O: OutputElement>(&self, plan: &GemmS8Plan, args: &GemmS8Args<'_, O>) -> Result<()> {
        check::plan_facts(plan.facts(), &self.device)?;
        let GemmS8Problem { m, n, k, out } = *plan.problem();
        if out != O::OUTPUT {
            return Err(Error::Shape(format!("the plan is for an output of {out}, but d holds {}", O::OUTPUT)));
        }
        let GemmS8Args { a, b, scale_row, scale_col, bias, d, scratch } = args;
        check::shape("a", [a.rows(), a.cols()], "[M, K]", [m, k])?;
        check::shape("b", [b.rows(), b.cols()], "[N, K]", [n, k])?;
        check::shape("d", [d.rows(), d.cols()], "[M, N]", [m, n])?;
        check::codes_stride("a", a.ld())?;
        check::codes_stride("b", b.ld())?;
        check::device(&self.device, "a", a)?;
        check::device(&self.device, "b", b)?;
        check::device(&self.device, "d", d)?;
        check::aligned("a", &a.span(), check::CODES_ALIGN)?;
        check::aligned("b", &b.span(), check::CODES_ALIGN)?;

        const NOWHERE: Span = Span { address: 0, row_bytes: 0, row_stride: 0, rows: 0 };
        let mut inputs = [("a", a.span()), ("b", b.span()), ("", NOWHERE), ("", NOWHERE), ("", NOWHERE)];
        let vectors = [("scale_row", scale_row, "M", m), ("scale_col", scale_col, "N", n), ("bias", bias, "N", n)];
        for (slot, (what, vector, dimension, need)) in inputs[2..].iter_mut().zip(vectors) {
            match vector {
                Some(_) if out == Output::I32 => {
                    return Err(Error::Shape(format!("{what} was given, but an s32 output is not scaled")));
                }
                Some(view) => {
                    check::length(what, view.len(), dimension, need)?;
                    check::device(&self.device, what, view)?;
                    *slot = (what, view.span());
                }
                None if out.scaled() && what != "bias" => {
                    return Err(Error::Shape(format!("{what} is missing, but an output of {out} is scaled")));
                }
                None => {}
            }
        }
        check::apart(("d", d.span()), &inputs)?;

        let need = plan.scratch_bytes();
        let Some(scratch) = scratch else {
            return match need {
                0 => Ok(()),
                _ => Err(Error::TooShort { what: "the scratch", have: 0, need, unit: "bytes" }),
            };
        };
        check::device(&self.device, "the scratch", scratch)?;
        if scratch.len() < need {
            return Err(Error::TooShort { what: "the scratch", have: scratch.len(), need, unit: "bytes" });
        }
        if need > 0 {
            check::aligned("the scratch", &scratch.span(), SCRATCH_ALIGN as u64)?;
            check::apart(("the scratch", scratch.span()), &inputs)?;
            check::apart(("d", d.span()), &[("the scratch", scratch.span())])?;
        }
        Ok(())
    }
}

/// The tile that the tensor memory accelerator brings: the rows named, TILE_K columns, 128-byte swizzle.
fn tensor_map(row: &Row, rows: &str) -> Result<TensorMapDesc> {
    let constant = |name| {
        row.constant(name)
            .ok_or_else(|| Error::Unsupported(format!("the manifest row of {} has no {name}", row.symbol)))
    };
    Ok(TensorMapDesc { box_rows: constant(rows)?, box_cols: constant("TILE_K")?, swizzle: Swizzle::B128 })
}
