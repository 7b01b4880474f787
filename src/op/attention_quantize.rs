//! Q, K and V in 16 bits to the 8-bit operands of attention, on the device.

use super::strided::Operands;
use super::{Heads, InputElement, Step, check};
use crate::device::{Device, Launch, LaunchBuilder, Status, Stream, View, ViewMut};
use crate::plan::attention_quantize::{
    self as plan, AttentionQuantizePlan, AttentionQuantizeProblem, KeyMean, OPERAND_ALIGN,
};
use crate::plan::quantize_rows::Input;
use crate::{Error, Result};

/// Quantizes Q and K to int8 with one scale for each token and head, and V, if that is wanted, to e4m3 with one scale
/// for each head and channel of a sequence.
///
/// | what | scale | code |
/// |---|---|---|
/// | `q[i, h, :]` | `absmax / 127` | `clamp(rne(q / scale), ±127)` |
/// | `k[j, h, :] − mean[h, :]` | the same | the same |
/// | `v[:, h, c]` | `absmax / 448` | the nearest of `v / scale`, ties to even, never beyond the largest |
///
/// The mean of K over the keys of a sequence moves all scores of a query by one number, `shift = Σ q · mean`, which
/// softmax does not see and which is kept for those who do (the log-sum-exp, soft-caps, sinks): keys that share an
/// offset lose nothing to it.
///
/// Codes and scales are bit for bit those of [`reference::attention_quantize`](crate::reference::attention_quantize),
/// given the mean: every step is one IEEE f32 operation. The mean is an f32 sum in an order that the plan fixes, within
/// `keys · 2⁻²⁴ · mean|k|` of the true one; the shift one of `head_dim` terms. Same plan, same bits.
///
/// A row of Q or K with a NaN or an infinity (K: less its mean, so that one such key spoils its head) has the scale NaN
/// and codes 0, as has a channel of V; [`nonfinite_input`](crate::device::StatusFlags::nonfinite_input) is raised.
#[derive(Clone, Debug)]
pub struct AttentionQuantize {
    device: Device,
    input: Input,
    values: bool,
}

/// What is taken from K, as the plan's [`KeyMean`] asks for it: f32 `[batch, kv_heads, head_dim]`.
pub enum Mean<'a> {
    /// Output.
    Computed(ViewMut<'a, f32>),
    /// Input.
    Given(View<'a, f32>),
    /// Nothing is taken.
    Zero,
}

/// What one run works on.
pub struct AttentionQuantizeArgs<'a, T> {
    /// `[batch, queries, heads, head_dim]`, or packed `[tokens, heads, head_dim]`.
    pub q: Heads<'a, T>,
    /// `[batch, keys, kv_heads, head_dim]`, or packed.
    pub k: Heads<'a, T>,
    /// The same with value_dim, where the plan quantizes values.
    pub v: Option<Heads<'a, T>>,
    /// The mean of K, as the problem says.
    pub mean: Mean<'a>,
    /// Where packed queries begin and end: `[batch + 1]`, on the device.
    pub cu_queries: Option<View<'a, u32>>,
    /// Where packed keys begin and end: `[batch + 1]`, on the device. What is not monotone or leads past the tokens
    /// that there are is taken as less, and told by the status.
    pub cu_keys: Option<View<'a, u32>>,
    /// Keys of each sequence, `[batch]` on the device, where they are fewer than there is room for.
    pub key_lengths: Option<View<'a, u32>>,
    /// At least [`OperandLayout::bytes`](plan::OperandLayout::bytes), aligned to [`OPERAND_ALIGN`]: the codes, scales
    /// and shifts, where the [layout](AttentionQuantizePlan::layout) says. What belongs to tokens that are not there is
    /// not written.
    pub operands: ViewMut<'a, u8>,
    /// Where a non-finite input is told, and lengths that were cut.
    pub status: Option<&'a mut Status>,
}

impl AttentionQuantize {
    /// The operation on one device, of f16 or bf16, with values or without; loads its kernels.
    ///
    /// # Errors
    /// As [`plan::plan`]; a module cannot be loaded.
    pub fn new(device: &Device, input: Input, values: bool) -> Result<AttentionQuantize> {
        let least =
            AttentionQuantizeProblem { batch: 0, values, ..AttentionQuantizeProblem::new([0, 0], [1, 1], 8, input) };
        plan::plan(&least, device.facts())?;
        for entry in plan::entries(input, values) {
            device.load(entry)?;
        }
        Ok(AttentionQuantize { device: device.clone(), input, values })
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The plan of a problem.
    ///
    /// # Errors
    /// As [`plan::plan`]; another input than this operation's, or values where it was made without.
    pub fn plan(&self, problem: &AttentionQuantizeProblem) -> Result<AttentionQuantizePlan> {
        self.serves(problem)?;
        plan::plan(problem, self.device.facts())
    }

    /// Bytes of operands that cover every problem of no size above those of `max`, with the same mean and values,
    /// packed if it is.
    ///
    /// # Errors
    /// As [`plan::operands_bound`]; another input than this operation's, or values where it was made without.
    pub fn operands_bound(&self, max: &AttentionQuantizeProblem) -> Result<usize> {
        self.serves(max)?;
        plan::operands_bound(max, self.device.facts())
    }

    fn serves(&self, problem: &AttentionQuantizeProblem) -> Result<()> {
        if problem.input != self.input || (problem.values && !self.values) {
            let of = |values| if values { "with values" } else { "without values" };
            return Err(Error::Unsupported(format!(
                "the problem is of {} {}, but the operation was made for {} {}",
                problem.input,
                of(problem.values),
                self.input,
                of(self.values)
            )));
        }
        Ok(())
    }

    /// The operation quantizes values if and only if the problem does.
    pub(super) fn serves_exactly(&self, problem: &AttentionQuantizeProblem) -> Result<()> {
        self.serves(&AttentionQuantizeProblem { values: problem.values || self.values, ..*problem })?;
        if self.values == problem.values {
            return Ok(());
        }
        Err(Error::Unsupported("the problem leaves values in 16 bits, but the operation was made for e4m3".into()))
    }

    /// Does the planned work on a stream. Allocates nothing and does not wait.
    ///
    /// # Errors
    /// As [`launches`](Self::launches); a stream of another device; an error of the device.
    pub fn run<T: InputElement>(
        &self,
        plan: &AttentionQuantizePlan,
        stream: &Stream,
        args: AttentionQuantizeArgs<'_, T>,
    ) -> Result<()> {
        check::same_device(&self.device, "the stream", stream.device())?;
        self.launches(plan, args, |step| step.submit(stream))
    }

    /// Checks the arguments and gives the steps of a run, in order, to `each`; stops at its first error.
    ///
    /// # Errors
    /// Types, lengths or a device that are not the plan's; rows that do not lie in their view; a mean, values or
    /// `cu_seqlens` that the plan has not, or has; operands that are too few, not aligned, or overlap an input.
    pub fn launches<T: InputElement>(
        &self,
        plan: &AttentionQuantizePlan,
        mut args: AttentionQuantizeArgs<'_, T>,
        each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        self.operands(plan, &mut args, "the buffer of operands")?.apart()?;
        self.steps(plan, args, each)
    }

    /// The steps of a run, whose arguments fit the plan.
    pub(super) fn steps<T: InputElement>(
        &self,
        plan: &AttentionQuantizePlan,
        args: AttentionQuantizeArgs<'_, T>,
        mut each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        let AttentionQuantizeArgs { q, k, v, mut mean, cu_queries, cu_keys, key_lengths, operands, mut status } = args;
        let (p, layout) = (plan.problem(), plan.layout());
        let whole = Parts::new(operands, layout)?;
        let Parts {
            mut q_codes,
            mut k_codes,
            mut q_scales,
            mut k_scales,
            mut shift,
            mut v_codes,
            mut v_scales,
            mut partials,
        } = whole;
        let [q_total, k_total] = p.packed.unwrap_or([0; 2]).map(|n| n as u32);
        let [q_pitch, k_pitch] = p.pitches().map(|n| n as u32);
        let [slices, slice] = plan.slices().map(|n| n as u32);
        // The plan checked that all of them fit.
        let [batch, heads, kv_heads] = [p.batch, p.heads, p.kv_heads].map(|n| n as u32);
        let [queries, keys] = [p.queries, p.keys].map(|n| n as u32);
        let [dim, value_dim, width] = [p.head_dim, p.value_dim, p.width()].map(|n| n as u32);
        for planned in [plan.mean(), plan.finish()].into_iter().flatten() {
            let mut launch = Launch::new(planned.geometry);
            match mean {
                Mean::Computed(_) => launch.ptr(k.view),
                _ => launch.null(),
            };
            launch.optional(v.map(|v| v.view));
            if slices > 1 {
                launch.ptr_mut(partials.reborrow())
            } else {
                launch.null()
            };
            match &mut mean {
                Mean::Computed(mean) => launch.ptr_mut(mean.reborrow()),
                _ => launch.null(),
            };
            if p.values {
                launch.ptr_mut(v_scales.reborrow())
            } else {
                launch.null()
            };
            launch.optional(cu_keys);
            launch.optional(key_lengths);
            match &mut status {
                Some(status) => launch.ptr_mut(status.word_mut()),
                None => launch.null(),
            };
            strides(&mut launch, &k);
            strides(&mut launch, &v.unwrap_or(k));
            launch.u32(batch).u32(kv_heads).u32(keys).u32(k_total).u32(dim).u32(value_dim).u32(slices).u32(slice);
            each(Step::Launch(launch.finish()?))?;
        }
        if let Some(planned) = plan.heads() {
            let mut launch = Launch::new(planned.geometry);
            launch.ptr(q.view).ptr(k.view);
            match &mean {
                Mean::Computed(mean) => launch.ptr(mean.as_view()),
                Mean::Given(mean) => launch.ptr(*mean),
                Mean::Zero => launch.null(),
            };
            launch.ptr_mut(q_codes.reborrow()).ptr_mut(k_codes.reborrow());
            launch.ptr_mut(q_scales.reborrow()).ptr_mut(k_scales.reborrow());
            if p.mean == KeyMean::Zero {
                launch.null()
            } else {
                launch.ptr_mut(shift.reborrow())
            };
            launch.optional(cu_queries);
            launch.optional(cu_keys);
            launch.optional(key_lengths);
            match &mut status {
                Some(status) => launch.ptr_mut(status.word_mut()),
                None => launch.null(),
            };
            strides(&mut launch, &q);
            strides(&mut launch, &k);
            launch.u32(batch).u32(heads).u32(kv_heads).u32(queries).u32(keys).u32(q_total).u32(k_total);
            launch.u32(q_pitch).u32(k_pitch).u32(dim).u32(width).u32((width / 8).next_power_of_two());
            launch.u32(queries.div_ceil(32)).u32(keys.div_ceil(32));
            each(Step::Launch(launch.finish()?))?;
        }
        if let (Some(planned), Some(v)) = (plan.values(), v) {
            let mut launch = Launch::new(planned.geometry);
            launch.ptr(v.view).ptr(v_scales.as_view()).ptr_mut(v_codes.reborrow());
            launch.optional(cu_keys);
            launch.optional(key_lengths);
            strides(&mut launch, &v);
            launch.u32(batch).u32(kv_heads).u32(keys).u32(k_total).u32(value_dim).u32(k_pitch);
            each(Step::Launch(launch.finish()?))?;
        }
        Ok(())
    }

    /// What a run reads and writes, each as the plan wants it, q, k and v cut to that; `buffer` is what the operands
    /// are called. Whether it may share memory is not asked yet.
    pub(super) fn operands<T: InputElement>(
        &self,
        plan: &AttentionQuantizePlan,
        args: &mut AttentionQuantizeArgs<'_, T>,
        buffer: &'static str,
    ) -> Result<Operands<'_>> {
        check::plan_facts(plan.facts(), &self.device)?;
        let p = plan.problem();
        self.serves(p)?;
        if p.input != T::INPUT {
            return Err(Error::Shape(format!("the plan is for {}, but q holds {}", p.input, T::INPUT)));
        }
        let AttentionQuantizeArgs { q, k, v, mean, cu_queries, cu_keys, key_lengths, operands, status } = args;
        let mut all = Operands::new(&self.device);
        let [q_total, k_total] = p.packed.map_or([None; 2], |totals| totals.map(Some));
        q.view = all.read("q", q.view, q.rows([p.batch, p.queries, p.heads], q_total, p.head_dim), 1)?;
        k.view = all.read("k", k.view, k.rows([p.batch, p.keys, p.kv_heads], k_total, p.head_dim), 1)?;
        match (p.values, v) {
            (true, Some(v)) => {
                v.view = all.read("v", v.view, v.rows([p.batch, p.keys, p.kv_heads], k_total, p.value_dim), 1)?;
            }
            (false, None) => {}
            (true, None) => return Err(Error::Shape("the plan quantizes v, but none was given".into())),
            (false, Some(_)) => return Err(Error::Shape("the plan does not quantize v, but one was given".into())),
        }
        for (what, cu) in [("cu_queries", cu_queries), ("cu_keys", cu_keys)] {
            match (p.packed, cu) {
                (Some(_), Some(cu)) => all.array(what, cu, "batch + 1", p.batch + 1)?,
                (None, None) => {}
                (Some(_), None) => {
                    return Err(Error::Shape(format!("the plan is for packed tokens, but there is no {what}")));
                }
                (None, Some(_)) => {
                    return Err(Error::Shape(format!("the plan is not for packed tokens, but there is {what}")));
                }
            }
        }
        all.optional("key_lengths", key_lengths, "batch", p.batch)?;
        let (size, sizes) = (p.batch * p.kv_heads * p.head_dim, "batch * kv_heads * head_dim");
        match (p.mean, mean) {
            (KeyMean::Computed, Mean::Computed(mean)) => {
                all.written("the mean", mean, sizes, size)?;
            }
            (KeyMean::Given, Mean::Given(mean)) => all.array("the mean", mean, sizes, size)?,
            (KeyMean::Zero, Mean::Zero) => {}
            (want, have) => {
                let have = match have {
                    Mean::Computed(_) => "room for one was given",
                    Mean::Given(_) => "one was given",
                    Mean::Zero => "none was given",
                };
                let want = match want {
                    KeyMean::Computed => "computes a mean",
                    KeyMean::Given => "takes a mean",
                    KeyMean::Zero => "has no mean",
                };
                return Err(Error::Shape(format!("the plan {want}, but {have}")));
            }
        }
        all.status(status)?;
        all.buffer(buffer, operands, plan.layout().bytes(), OPERAND_ALIGN)?;
        Ok(all)
    }
}

/// The buffer of operands, taken apart.
pub(super) struct Parts<'a> {
    pub q_codes: ViewMut<'a, i8>,
    pub k_codes: ViewMut<'a, i8>,
    pub q_scales: ViewMut<'a, f32>,
    pub k_scales: ViewMut<'a, f32>,
    pub shift: ViewMut<'a, f32>,
    pub v_codes: ViewMut<'a, u8>,
    pub v_scales: ViewMut<'a, f32>,
    pub partials: ViewMut<'a, u32>,
}

impl<'a> Parts<'a> {
    pub fn new(operands: ViewMut<'a, u8>, layout: &plan::OperandLayout) -> Result<Parts<'a>> {
        // Ranges come in order and do not meet.
        let mut rest = Some((operands, 0));
        let mut next = |range: &std::ops::Range<usize>| {
            let (view, at) = rest.take().ok_or_else(|| Error::Shape("the operands end".into()))?;
            let (view, tail) = view.split_at(range.end - at)?;
            rest = Some((tail, range.end));
            view.slice(range.start - at..)
        };
        Ok(Parts {
            q_codes: next(&layout.q_codes)?.cast()?,
            k_codes: next(&layout.k_codes)?.cast()?,
            q_scales: next(&layout.q_scales)?.cast()?,
            k_scales: next(&layout.k_scales)?.cast()?,
            shift: next(&layout.shift)?.cast()?,
            v_codes: next(&layout.v_codes)?,
            v_scales: next(&layout.v_scales)?.cast()?,
            partials: next(&layout.partials)?.cast()?,
        })
    }
}

fn strides<T>(launch: &mut LaunchBuilder<'_>, rows: &Heads<'_, T>) {
    launch.i64(rows.batch as i64).i64(rows.token as i64).i64(rows.head as i64);
}
