//! Floats to 8-bit codes with their scales, on the device.

use super::{CodeElement, InputElement, Step, check};
use crate::device::{Device, Element, Launch, Matrix, MatrixMut, Region, Span, Status, Stream, View, ViewMut};
use crate::plan::quantize::{self as plan, Code, QuantizePlan, QuantizeProblem, Scheme};
use crate::{Error, Result};

/// Quantizes a matrix `v[m, k] = x[m, k] · factor[k]`, or `x` itself, to int8, e4m3 or e5m2.
///
/// | codes | scale | code |
/// |---|---|---|
/// | int8 | `absmax / 127` | `clamp(rne(v / scale), ±127)` |
/// | int8 with zero points | `(high − low) / 255`, where `low ≤ 0 ≤ high`; zero `clamp(rne(−128 − low / scale), −128, 127)` | `clamp(rne(v / scale) + zero, −128, 127)` |
/// | e4m3, e5m2 | `absmax / 448`, `absmax / 57344` | the nearest of `v / scale`, ties to even, never beyond the largest |
///
/// Every step is one IEEE f32 operation, subnormals kept, so codes and scales are bit for bit those of
/// [`reference::quantize`](crate::reference::quantize()) under every plan. A scale serves what the [`Scheme`] says.
/// Numbers that share one are together 0 where it is 0. Where one of them is a NaN or an infinity (as a product, too)
/// their scale is NaN, their codes and their zero point are 0, and
/// [`nonfinite_input`](crate::device::StatusFlags::nonfinite_input) is raised. With a given scale it is raised too; a
/// NaN then gets the code of 0 (as an 8-bit float 0x7F), an infinity that of the largest number, and a scale that is
/// not above 0 makes codes 0.
///
#[cfg_attr(feature = "emulator", doc = "```")]
#[cfg_attr(not(feature = "emulator"), doc = "```ignore")]
/// use halfbyte::device::Device;
/// use halfbyte::emulator::Arch;
/// use halfbyte::op::{Quantize, QuantizeArgs, Scaling};
/// use halfbyte::plan::quantize::{Code, Input, QuantizeProblem, Scheme};
///
/// # fn main() -> halfbyte::Result<()> {
/// let device = Device::emulator(Arch::Sm80);
/// let stream = device.stream()?;
/// let (rows, cols, ld) = (3, 200, 208);                             // rows of codes are padded to 16 bytes
/// let op = Quantize::new(&device, Code::S8)?;
/// let plan = op.plan(&QuantizeProblem::new(rows, cols, Input::F32, Code::S8, Scheme::Groups(128)))?;
/// let x = stream.upload(&vec![2.0f32; rows * cols])?;
/// let (mut codes, mut scales) = (stream.alloc::<i8>(rows * ld)?, stream.alloc::<f32>(rows * 2)?);
/// op.run(&plan, &stream, QuantizeArgs {
///     x: x.view().matrix(rows, cols, cols)?,
///     codes: codes.view_mut().matrix(rows, ld, ld)?,
///     scaling: Scaling::Groups { scales: scales.view_mut(), row: 2, group: 1 },
///     factors: None,
///     status: None,
/// })?;
/// assert_eq!(stream.download(&codes)?[..2], [127, 127]);
/// assert_eq!(stream.download(&scales)?, [2.0 / 127.0; 6]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Quantize {
    device: Device,
    code: Code,
}

/// The scales of one run, as the plan's [`Scheme`] asks for them.
pub enum Scaling<'a> {
    /// Output, one a row.
    Rows(ViewMut<'a, f32>),
    /// Output, one of each a row.
    RowsWithZeros {
        /// The scales.
        scales: ViewMut<'a, f32>,
        /// The zero points: the codes of 0.
        zeros: ViewMut<'a, i32>,
    },
    /// Output, `[rows, groups]` with any strides by which no two scales meet: that of row m and group g is element
    /// `m * row + g * group`.
    Groups {
        /// From the first scale on.
        scales: ViewMut<'a, f32>,
        /// Elements from the scale of a row to that of the next.
        row: usize,
        /// Elements from the scale of a group to that of the next.
        group: usize,
    },
    /// Input, one for all.
    Given {
        /// One element.
        scale: View<'a, f32>,
        /// One element from −128 to 127 (what is beyond is taken as the nearer of these), of int8 codes alone.
        zero: Option<View<'a, i32>>,
    },
}

/// What one run works on.
pub struct QuantizeArgs<'a, T, C> {
    /// Input `[rows, cols]`, or `[cols, rows]` where K lies down its rows, with any leading dimension.
    pub x: Matrix<'a, T>,
    /// Output codes, `rows` rows of `ld` bytes: a multiple of 16, at least `cols`, and all of it written (what
    /// lies beyond `cols` with zeros). Aligned to 16 bytes.
    pub codes: MatrixMut<'a, C>,
    /// The scales.
    pub scaling: Scaling<'a>,
    /// A factor for each column of the codes, by which x is multiplied first, such as the inverse of SmoothQuant's
    /// scales.
    pub factors: Option<View<'a, f32>>,
    /// Where a non-finite input is told.
    pub status: Option<&'a mut Status>,
}

impl Quantize {
    /// The operation on one device; loads every kernel that makes such codes.
    ///
    /// # Errors
    /// No kernel serves the device (8-bit floats: below compute capability 8.9), or a module cannot be loaded.
    pub fn new(device: &Device, code: Code) -> Result<Quantize> {
        plan::plan(&QuantizeProblem::new(0, 0, plan::Input::F32, code, Scheme::Rows), device.facts())?;
        for entry in plan::entries(code) {
            device.load(entry)?;
        }
        Ok(Quantize { device: device.clone(), code })
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The plan of a problem.
    ///
    /// # Errors
    /// As [`plan::plan`]; codes that are not this operation's.
    pub fn plan(&self, problem: &QuantizeProblem) -> Result<QuantizePlan> {
        self.serves(problem)?;
        plan::plan(problem, self.device.facts())
    }

    fn serves(&self, problem: &QuantizeProblem) -> Result<()> {
        if problem.code == self.code {
            return Ok(());
        }
        let (have, want) = (problem.code, self.code);
        Err(Error::Unsupported(format!("the problem asks for {have} codes, but the operation was made for {want}")))
    }

    /// Does the planned work on a stream. Allocates nothing and does not wait.
    ///
    /// # Errors
    /// As [`launches`](Self::launches); a stream of another device; an error of the device.
    pub fn run<T: InputElement, C: CodeElement>(
        &self,
        plan: &QuantizePlan,
        stream: &Stream,
        args: QuantizeArgs<'_, T, C>,
    ) -> Result<()> {
        check::same_device(&self.device, "the stream", stream.device())?;
        self.launches(plan, args, |step| step.submit(stream))
    }

    /// Checks the arguments and gives the steps of a run, in order, to `each`; stops at its first error.
    ///
    /// # Errors
    /// Shapes, types, scales or a device that are not the plan's; a leading dimension of the codes that is no multiple
    /// of 16, not their width, or beyond an i32; codes not aligned to 16 bytes; scales of groups that are too few or
    /// meet; a zero point of other codes than int8; an output that overlaps another operand.
    pub fn launches<T: InputElement, C: CodeElement>(
        &self,
        plan: &QuantizePlan,
        args: QuantizeArgs<'_, T, C>,
        mut each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        self.check(plan, &args)?;
        let Some(&geometry) = plan.geometry() else { return Ok(()) };
        let problem = *plan.problem();
        let QuantizeProblem { rows, cols, scheme, k_down, .. } = problem;
        let QuantizeArgs { x, codes, scaling, factors, status } = args;
        let (ldx, ldc) = (x.ld() as i64, codes.ld() as i64);
        let by_row = !k_down && matches!(scheme, Scheme::Rows | Scheme::RowsWithZeros);
        let mut launch = Launch::new(geometry);
        launch.ptr(x).ptr_mut(codes.into_view());
        let (mut scale_row, mut scale_group) = (1, 0);
        match scaling {
            Scaling::Rows(scales) if by_row => launch.ptr_mut(scales).null(),
            Scaling::RowsWithZeros { scales, zeros } => launch.ptr_mut(scales).ptr_mut(zeros),
            Scaling::Rows(scales) => launch.ptr_mut(scales).null().null(),
            Scaling::Groups { scales, row, group } => {
                (scale_row, scale_group) = (row as i64, group as i64);
                launch.ptr_mut(scales).null().null()
            }
            Scaling::Given { scale, zero } => {
                launch.null().ptr(scale);
                match zero {
                    Some(zero) => launch.ptr(zero),
                    None => launch.null(),
                }
            }
        };
        match factors {
            Some(factors) => launch.ptr(factors),
            None => launch.null(),
        };
        match status {
            Some(status) => launch.ptr_mut(status.word_mut()),
            None => launch.null(),
        };
        launch.i64(ldx).i64(ldc);
        // The plan checked that both dimensions fit an i32.
        let (rows, cols) = (rows as u32, cols as u32);
        if by_row {
            launch.u32(rows).u32(cols).u32(plan.cached().into());
        } else {
            let group = if let Scheme::Groups(group) = scheme { group as u32 } else { 0 };
            launch.i64(scale_row).i64(scale_group).u32(rows).u32(cols).u32(group);
            if k_down {
                launch.u32(plan.splits());
            }
        }
        each(Step::Launch(launch.finish()?))
    }

    fn check<T: InputElement, C: CodeElement>(&self, plan: &QuantizePlan, args: &QuantizeArgs<'_, T, C>) -> Result<()> {
        check::plan_facts(plan.facts(), &self.device)?;
        self.serves(plan.problem())?;
        let problem = plan.problem();
        let QuantizeProblem { rows, cols, input, k_down, code, .. } = *problem;
        if input != T::INPUT {
            return Err(Error::Shape(format!("the plan is for {input}, but x holds {}", T::INPUT)));
        }
        if code != C::CODE {
            return Err(Error::Shape(format!("the plan makes {code} codes, but the output holds {}", C::CODE)));
        }
        let QuantizeArgs { x, codes, scaling, factors, status } = args;
        let (names, shape) = if k_down { ("[K, rows]", [cols, rows]) } else { ("[rows, columns]", [rows, cols]) };
        check::shape("x", [x.rows(), x.cols()], names, shape)?;
        check::codes_out(codes, rows, cols)?;
        check::device(&self.device, "x", x)?;
        check::device(&self.device, "the codes", codes)?;
        let outputs = self.check_scaling(problem, scaling)?;
        let mut inputs = [("x", x.span()); 5];
        if let Some(factors) = factors {
            check::length("the array of factors", factors.len(), "K", cols)?;
            check::device(&self.device, "the factors", factors)?;
            inputs[1] = ("the factors", factors.span());
        }
        if let Some(status) = status {
            check::same_device(&self.device, "the status", status.device())?;
            inputs[2] = ("the status", status.word().span());
        }
        if let Scaling::Given { scale, zero } = scaling {
            inputs[3] = ("the scale", scale.span());
            inputs[4] = zero.as_ref().map_or(inputs[3], |zero| ("the zero point", zero.span()));
        }
        check::apart(("the matrix of codes", codes.span()), &inputs)?;
        for (i, output) in outputs.iter().enumerate() {
            let Some(output) = *output else { continue };
            check::apart(("the matrix of codes", codes.span()), &[output])?;
            check::apart(output, &inputs)?;
            for other in outputs[i + 1..].iter().flatten() {
                check::apart(output, &[*other])?;
            }
        }
        Ok(())
    }

    /// The scales are those that the scheme asks for; returns the regions that the kernel writes.
    fn check_scaling(
        &self,
        problem: &QuantizeProblem,
        scaling: &Scaling<'_>,
    ) -> Result<[Option<(&'static str, Span)>; 2]> {
        let QuantizeProblem { rows, scheme, code, .. } = *problem;
        const ROWS: &str = "the number of rows";
        match (scheme, scaling) {
            (Scheme::Rows, Scaling::Rows(scales)) => {
                check::length("the array of scales", scales.len(), ROWS, rows)?;
                Ok([self.output("the array of scales", scales)?, None])
            }
            (Scheme::RowsWithZeros, Scaling::RowsWithZeros { scales, zeros }) => {
                check::length("the array of scales", scales.len(), ROWS, rows)?;
                check::length("the array of zero points", zeros.len(), ROWS, rows)?;
                Ok([self.output("the array of scales", scales)?, self.output("the array of zero points", zeros)?])
            }
            (Scheme::Groups(_), Scaling::Groups { scales, row, group }) => {
                grid([rows, problem.groups()], [*row, *group], scales.len())?;
                Ok([self.output("the array of scales", scales)?, None])
            }
            (Scheme::Given, Scaling::Given { scale, zero }) => {
                check::length("the scale", scale.len(), "the number of scales", 1)?;
                check::device(&self.device, "the scale", scale)?;
                if let Some(zero) = zero {
                    if code != Code::S8 {
                        return Err(Error::Unsupported(format!(
                            "a zero point of {code} codes; only s8 codes have one"
                        )));
                    }
                    check::length("the zero point", zero.len(), "the number of zero points", 1)?;
                    check::device(&self.device, "the zero point", zero)?;
                }
                Ok([None, None])
            }
            (scheme, given) => Err(Error::Shape(format!("the plan is for {scheme}, but {} was given", given.name()))),
        }
    }

    fn output<T: Element>(&self, what: &'static str, view: &ViewMut<'_, T>) -> Result<Option<(&'static str, Span)>> {
        check::device(&self.device, what, view)?;
        Ok(Some((what, view.span())))
    }
}

impl Scaling<'_> {
    fn name(&self) -> &'static str {
        match self {
            Scaling::Rows(_) => "room for a scale a row",
            Scaling::RowsWithZeros { .. } => "room for a scale and a zero point a row",
            Scaling::Groups { .. } => "room for scales of groups",
            Scaling::Given { .. } => "a scale",
        }
    }
}

/// A grid of scales lies in `len` elements, no two of them in one.
fn grid([rows, groups]: [usize; 2], [row, group]: [usize; 2], len: usize) -> Result<()> {
    if rows == 0 || groups == 0 {
        return Ok(());
    }
    let far = |count: usize, stride: usize| (count - 1).saturating_mul(stride);
    let need = far(rows, row).saturating_add(far(groups, group)).saturating_add(1);
    if len < need {
        return Err(Error::TooShort { what: "the array of scales", have: len, need, unit: "elements" });
    }
    let by_rows = (rows == 1 || row > far(groups, group)) && (groups == 1 || group > 0);
    let by_groups = (groups == 1 || group > far(rows, row)) && (rows == 1 || row > 0);
    if by_rows || by_groups {
        return Ok(());
    }
    Err(Error::Shape(format!("scales of {rows} rows and {groups} groups meet by strides of {row} and {group}")))
}
