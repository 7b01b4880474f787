//! Attention in 8 bits, on the device.

use super::attention::{cut_bias, cut_tree};
use super::attention_quantize::{AttentionQuantize, AttentionQuantizeArgs, Mean, Parts};
use super::strided::Rows;
use super::{BiasValues, Heads, HeadsMut, InputElement, LogSumExp, ScoreBias, Step, TreeMask, check};
use crate::device::{Device, Launch, Status, Stream, View, ViewMut};
use crate::plan::attention_int8::{self as plan, AttentionInt8Plan, AttentionInt8Problem};
use crate::plan::quantize_rows::Input;
use crate::{Error, Result};

/// Attention whose scores are products of signed bytes, from Q, K and V in f16 or bf16:
///
/// ```text
/// s(i, j) = scale · Σ q[i] k[j]          by the codes and scales of AttentionQuantize, K less its mean over the keys
/// softcap : s = cap · tanh(s / cap)      slope : s -= slope[h] · |p - j|,  p = i + keys - queries
/// bias    : s += bias[i, j]
/// out[i]  = Σ_seen exp(s) v[j] / D,      lse[i] = ln D,      D = Σ_seen exp(s) + exp(sink[h])
/// ```
///
/// A run launches the quantizers too; [`AttentionInt8Plan`] prints and counts every launch. P·V is in the type of V, or
/// in e4m3 where the problem says so (compute capability 8.9 and later). What the mean of K moves is put back into
/// `lse`, `sinks` and `softcap`, so that all numbers are those of attention itself, up to what 8 bits lose. A query
/// that sees nothing gives 0 and −∞ where it has no sink. Same plan, same bits.
///
/// Q, K and V come in 16 bits and are quantized anew in every run; pages and lengths of queries are served by
/// [`Attention`](super::Attention). To spare the pass over K for the tokens that follow a prompt, keep what
/// [`Mean::Computed`] wrote and give it as [`Mean::Given`]. With values in e4m3 `key_mean` is launched all the same,
/// for their scales.
///
#[cfg_attr(feature = "emulator", doc = "```")]
#[cfg_attr(not(feature = "emulator"), doc = "```ignore")]
/// use half::f16;
/// use halfbyte::device::Device;
/// use halfbyte::emulator::Arch;
/// use halfbyte::op::{AttentionInt8, AttentionInt8Args, Heads, HeadsMut, Mean};
/// use halfbyte::plan::attention::Mask;
/// use halfbyte::plan::attention_int8::AttentionInt8Problem;
/// use halfbyte::plan::attention_quantize::{AttentionQuantizeProblem, KeyMean};
/// use halfbyte::plan::quantize_rows::Input;
///
/// # fn main() -> halfbyte::Result<()> {
/// let device = Device::emulator(Arch::Sm80);
/// let stream = device.stream()?;
/// let attention = AttentionInt8::new(&device, Input::F16, false)?;
/// // A prompt of 9 tokens, with 4 query heads that share 2 of keys; room for 10 tokens in K and V.
/// let (h, g, d) = (4, 2, 64);
/// let k: Vec<f16> = (0..10 * g * d).map(|i| f16::from_f32(3.0 + (i % 7) as f32)).collect();
/// let q = stream.upload(&vec![f16::from_f32(0.5); 10 * h * d])?;
/// let (k, v) = (stream.upload(&k)?, stream.upload(&vec![f16::from_f32(2.0); 10 * g * d])?);
/// let mut out = stream.zeros::<f16>(10 * h * d)?;
/// let mut mean = stream.zeros::<f32>(g * d)?;
///
/// let operands = AttentionQuantizeProblem::new([9, 9], [h, g], d, Input::F16);
/// let prompt = AttentionInt8Problem { mask: Mask::CAUSAL, ..AttentionInt8Problem::new(operands) };
/// let plan = attention.plan(&prompt)?;
/// let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
/// let (qs, ks, vs) = (Heads::bshd(&q, 9, h, d), Heads::bshd(&k, 9, g, d), Heads::bshd(&v, 9, g, d));
/// let to = HeadsMut::bshd(&mut out, 9, h, d);
/// let kept = Mean::Computed(mean.view_mut());
/// attention.run(&plan, &stream, AttentionInt8Args::new(&prompt, qs, ks, vs, to, kept, scratch.view_mut()))?;
///
/// // The next token: one query at the end of ten keys, less the mean of the first nine.
/// let operands = AttentionQuantizeProblem { queries: 1, keys: 10, mean: KeyMean::Given, ..operands };
/// let next = AttentionInt8Problem { operands, ..prompt };
/// let plan = attention.plan(&next)?;
/// let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
/// let (qs, ks, vs) = (Heads::bshd(&q, 1, h, d), Heads::bshd(&k, 10, g, d), Heads::bshd(&v, 10, g, d));
/// let to = HeadsMut::bshd(out.view_mut().slice(9 * h * d..)?, 1, h, d);
/// let given = Mean::Given(mean.view());
/// attention.run(&plan, &stream, AttentionInt8Args::new(&next, qs, ks, vs, to, given, scratch.view_mut()))?;
/// assert!(stream.download(&out)?.iter().all(|x| (x.to_f32() - 2.0).abs() < 0.01));
/// # Ok(())
/// # }
/// ```
///
/// A NaN or an infinity in a query spoils its row; in a key its head where the mean is computed, else the rows that see
/// it; in a value with e4m3 its channel, and in 16 bits the channel of the rows that see it, and maybe of others:
/// masked, but not past the end of its sequence, it may reach queries that do not see it. All but values in 16 bits are
/// told by
/// [`nonfinite_input`](crate::device::StatusFlags::nonfinite_input).
#[derive(Clone, Debug)]
pub struct AttentionInt8 {
    quantize: AttentionQuantize,
}

/// What one run works on. [`new`](AttentionInt8Args::new) gives plain attention; the other fields are public.
pub struct AttentionInt8Args<'a, T, O> {
    /// `[batch, queries, heads, head_dim]`, or packed `[tokens, heads, head_dim]`.
    pub q: Heads<'a, T>,
    /// `[batch, keys, kv_heads, head_dim]`, or packed.
    pub k: Heads<'a, T>,
    /// The same with value_dim.
    pub v: Heads<'a, T>,
    /// The mean of K, as the problem says.
    pub mean: Mean<'a>,
    /// Where packed queries begin and end: `[batch + 1]` on the device.
    pub cu_queries: Option<View<'a, u32>>,
    /// The same of keys.
    pub cu_keys: Option<View<'a, u32>>,
    /// Keys of each sequence, `[batch]` on the device, where they are fewer than there is room for.
    pub key_lengths: Option<View<'a, u32>>,
    /// As q, with value_dim, in the problem's `output`. Rows that a sequence does not have are not written.
    pub out: HeadsMut<'a, O>,
    /// Log-sum-exps, if they are wanted.
    pub lse: Option<LogSumExp<'a>>,
    /// Factor of every `q · k`, above 0; `1 / √head_dim` at first.
    pub scale: f32,
    /// `s` becomes `cap · tanh(s / cap)`; above 0.
    pub softcap: Option<f32>,
    /// `[heads]`: the score of one more key of each head, which has no value (gpt-oss). First keys that a window keeps
    /// are
    /// [`Mask::keep_first`](crate::plan::attention::Mask::keep_first).
    pub sinks: Option<View<'a, f32>>,
    /// ALiBi, `[heads]`: a score loses `slope · |p − j|` ([`alibi_slopes`](super::alibi_slopes)).
    pub slopes: Option<View<'a, f32>>,
    /// What is added to the scores then, in f32.
    pub bias: Option<ScoreBias<'a, T>>,
    /// Bits of keys at the end that are seen.
    pub tree: Option<TreeMask<'a>>,
    /// At least [`AttentionInt8Plan::scratch_bytes`], aligned to
    /// [`OPERAND_ALIGN`](crate::plan::attention_quantize::OPERAND_ALIGN).
    pub scratch: ViewMut<'a, u8>,
    /// Where a non-finite input is told, and lengths that were cut.
    pub status: Option<&'a mut Status>,
}

impl<'a, T, O> AttentionInt8Args<'a, T, O> {
    /// Plain attention with a scale of `1 / √head_dim`.
    pub fn new(
        problem: &AttentionInt8Problem,
        q: Heads<'a, T>,
        k: Heads<'a, T>,
        v: Heads<'a, T>,
        out: HeadsMut<'a, O>,
        mean: Mean<'a>,
        scratch: ViewMut<'a, u8>,
    ) -> AttentionInt8Args<'a, T, O> {
        AttentionInt8Args {
            q,
            k,
            v,
            mean,
            cu_queries: None,
            cu_keys: None,
            key_lengths: None,
            out,
            lse: None,
            scale: 1.0 / (problem.operands.head_dim as f32).sqrt(),
            softcap: None,
            sinks: None,
            slopes: None,
            bias: None,
            tree: None,
            scratch,
            status: None,
        }
    }
}

impl AttentionInt8 {
    /// The operation on one device, of f16 or bf16, with P·V in e4m3 (`values`) or in that type; loads its kernels.
    ///
    /// # Errors
    /// As [`AttentionQuantize::new`].
    pub fn new(device: &Device, input: Input, values: bool) -> Result<AttentionInt8> {
        let quantize = AttentionQuantize::new(device, input, values)?;
        for entry in plan::entries(input, values) {
            device.load(entry)?;
        }
        Ok(AttentionInt8 { quantize })
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        self.quantize.device()
    }

    /// The plan of a problem.
    ///
    /// # Errors
    /// As [`plan::plan`]; another input than this operation's, or other values.
    pub fn plan(&self, problem: &AttentionInt8Problem) -> Result<AttentionInt8Plan> {
        self.quantize.serves_exactly(&problem.operands)?;
        plan::plan(problem, self.device().facts())
    }

    /// Scratch bytes that cover every problem of no size above those of `max`, with the same mean, packed if it is.
    ///
    /// # Errors
    /// As [`plan::scratch_bound`]; another input than this operation's, or other values.
    pub fn scratch_bound(&self, max: &AttentionInt8Problem) -> Result<usize> {
        self.quantize.serves_exactly(&max.operands)?;
        plan::scratch_bound(max, self.device().facts())
    }

    /// Does the planned work on a stream. Allocates nothing and does not wait.
    ///
    /// # Errors
    /// As [`launches`](Self::launches); a stream of another device; an error of the device.
    pub fn run<T: InputElement, O: InputElement>(
        &self,
        plan: &AttentionInt8Plan,
        stream: &Stream,
        args: AttentionInt8Args<'_, T, O>,
    ) -> Result<()> {
        check::same_device(self.device(), "the stream", stream.device())?;
        self.launches(plan, args, |step| step.submit(stream))
    }

    /// Checks the arguments and gives the steps of a run, in order, to `each`; stops at its first error.
    ///
    /// # Errors
    /// As [`AttentionQuantize::launches`], of whose operands `scratch` is the buffer; an output that has not its rows,
    /// whose rows meet, or that overlaps an input; sinks or slopes that are not one a head; a bias or a mask too short,
    /// or a bias not in f32; a scale or soft-cap that is not above 0 and finite.
    pub fn launches<T: InputElement, O: InputElement>(
        &self,
        plan: &AttentionInt8Plan,
        args: AttentionInt8Args<'_, T, O>,
        mut each: impl FnMut(Step<'_>) -> Result<()>,
    ) -> Result<()> {
        self.check::<O>(plan, args.scale, args.softcap)?;
        let AttentionInt8Args {
            q,
            k,
            mut v,
            mean,
            cu_queries,
            cu_keys,
            key_lengths,
            mut out,
            mut lse,
            scale,
            softcap,
            sinks,
            slopes,
            mut bias,
            mut tree,
            mut scratch,
            status,
        } = args;
        let (problem, p) = (plan.problem(), &plan.problem().operands);
        let mut quantized = AttentionQuantizeArgs {
            q,
            k,
            v: p.values.then_some(v),
            mean,
            cu_queries,
            cu_keys,
            key_lengths,
            operands: scratch.reborrow(),
            status,
        };
        // The quantizers know neither the output nor values in 16 bits.
        let mut operands = self.quantize.operands(plan.quantize(), &mut quantized, "the scratch")?;
        let counts = [p.batch, p.queries, p.heads];
        let [q_packed, k_packed] = p.packed.map_or([None; 2], |totals| totals.map(Some));
        if !p.values {
            v.view = operands.read("v", v.view, v.rows([p.batch, p.keys, p.kv_heads], k_packed, p.value_dim), 1)?;
        }
        operands.optional("the sinks", &sinks, "heads", p.heads)?;
        operands.optional("the slopes", &slopes, "heads", p.heads)?;
        if let Some(bias) = &mut bias {
            if let BiasValues::Own(_) = bias.values {
                let what = format!("a bias in {}: attention in 8 bits takes one in f32", T::INPUT);
                return Err(Error::Unsupported(what));
            }
            cut_bias(&mut operands, bias, [p.batch, p.heads, p.queries, p.keys])?;
        }
        if let Some(tree) = &mut tree {
            cut_tree(&mut operands, tree, [p.batch, p.queries])?;
        }
        let rows = out.rows(counts, q_packed, p.value_dim);
        out.view = operands.write("the output", out.view, rows, 1)?;
        if let Some(mut of) = lse.take() {
            let rows = Rows::of_tokens(counts, q_packed, [of.batch, of.head]);
            of.view = operands.write("the log-sum-exps", of.view, rows, 4)?;
            lse = Some(of);
        }
        operands.apart()?;
        self.quantize.steps(plan.quantize(), quantized, &mut each)?;
        let Some(planned) = plan.prefill() else { return Ok(()) };
        let parts = Parts::new(scratch, plan.quantize().layout())?;
        let mut launch = Launch::new(planned.geometry);
        launch.ptr(parts.q_codes.as_view()).ptr(parts.k_codes.as_view());
        launch.ptr(parts.q_scales.as_view()).ptr(parts.k_scales.as_view());
        if parts.shift.is_empty() {
            launch.null()
        } else {
            launch.ptr(parts.shift.as_view())
        };
        if p.values {
            launch.ptr(parts.v_codes.as_view()).ptr(parts.v_scales.as_view());
        } else {
            launch.ptr(v.view).null();
        }
        launch.ptr_mut(out.view);
        let lse_strides = lse.as_ref().map_or([0; 2], |lse| [lse.batch, lse.head]);
        match lse {
            Some(lse) => launch.ptr_mut(lse.view),
            None => launch.null(),
        };
        launch.optional(cu_queries);
        launch.optional(cu_keys);
        launch.optional(key_lengths);
        launch.optional(sinks);
        launch.optional(slopes);
        let bias_strides = bias.as_ref().map_or([0; 3], |bias| [bias.batch, bias.head, bias.query]);
        launch.optional(bias.and_then(|bias| if let BiasValues::F32(view) = bias.values { Some(view) } else { None }));
        launch.optional(tree.map(|tree| tree.words));
        launch.i64(v.batch as i64).i64(v.token as i64).i64(v.head as i64);
        launch.i64(out.batch as i64).i64(out.token as i64).i64(out.head as i64);
        launch.i64(lse_strides[0] as i64).i64(lse_strides[1] as i64);
        bias_strides.iter().for_each(|&stride| {
            launch.i64(stride as i64);
        });
        let [mask_batch, mask_row, columns] = tree.map_or([0; 3], |tree| [tree.batch, tree.query, tree.columns]);
        launch.i64(mask_batch as i64).i64(mask_row as i64);
        // The plan checked that all of them fit.
        let [q_total, k_total] = p.packed.unwrap_or([0; 2]);
        let [q_pitch, k_pitch] = p.pitches();
        let sizes = [p.batch, p.heads, p.kv_heads, p.queries, p.keys, q_total, k_total, q_pitch, k_pitch, p.value_dim];
        for size in sizes {
            launch.u32(size as u32);
        }
        const FAR: usize = 1 << 30;
        let far = |side: Option<usize>| side.unwrap_or(FAR).min(FAR) as u32;
        launch.u32(p.queries.div_ceil(64) as u32).u32(far(problem.mask.left)).u32(far(problem.mask.right()));
        launch.u32(problem.mask.keep_first.min(FAR) as u32).u32(columns as u32).u32(if problem.output == Input::Bf16 {
            2
        } else {
            1
        });
        launch.f32(scale).f32(softcap.unwrap_or(0.0));
        each(Step::Launch(launch.finish()?))
    }

    fn check<O: InputElement>(&self, plan: &AttentionInt8Plan, scale: f32, softcap: Option<f32>) -> Result<()> {
        let problem = plan.problem();
        self.quantize.serves_exactly(&problem.operands)?;
        if problem.output != O::INPUT {
            return Err(Error::Shape(format!(
                "the plan is for {} out, but the output holds {}",
                problem.output,
                O::INPUT
            )));
        }
        check::positive("the scale", scale)?;
        softcap.map_or(Ok(()), |cap| check::positive("the soft-cap", cap))
    }
}
