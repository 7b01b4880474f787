//! Attention in 8 bits, profiled: its quantizers, then the kernel itself.

use half::{bf16, f16};
use halfbyte::device::Stream;
use halfbyte::op::{AttentionInt8, AttentionInt8Args, Heads, HeadsMut, InputElement, Mean};
use halfbyte::plan::attention_int8::AttentionInt8Problem;
use halfbyte::plan::attention_quantize::{AttentionQuantizeProblem, PlannedLaunch};
use halfbyte::{Error, Result};

use super::attention::{DIMS, pairs};
use super::problem::{Ideal, Problem, Profiled, numbers};
use crate::args::ProfileType;

impl Problem {
    /// Attention of type `--dtype` to an output of type `--out`; K less its mean, which is computed.
    pub fn attention_int8(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        use ProfileType::{Bf16, F16};
        match (self.input, self.out) {
            (F16, F16) => self.attended_int8::<f16, f16>(stream),
            (F16, Bf16) => self.attended_int8::<f16, bf16>(stream),
            (Bf16, F16) => self.attended_int8::<bf16, f16>(stream),
            (Bf16, Bf16) => self.attended_int8::<bf16, bf16>(stream),
            (F16 | Bf16, out) => Err(self.no_such_type("--out", out)),
            (input, _) => Err(self.no_such_type("--dtype", input)),
        }
    }

    fn attended_int8<T: InputElement, O: InputElement>(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        let [batch, queries, keys, heads, kv_heads, dim] = DIMS.map(|dim| self.size(dim));
        let one = AttentionQuantizeProblem::new([queries, keys], [heads, kv_heads], dim, T::INPUT);
        let operands = AttentionQuantizeProblem { batch, values: self.e4m3_values, ..one };
        let problem = AttentionInt8Problem { operands, output: O::INPUT, mask: self.mask };
        let op = AttentionInt8::new(stream.device(), T::INPUT, self.e4m3_values)?;
        let plan = op.plan(&problem)?;
        let [q, k, v] =
            [queries * heads, keys * kv_heads, keys * kv_heads].map(|rows| numbers::<T>(batch * rows * dim));
        let (q, k, v) = (stream.upload(&q)?, stream.upload(&k)?, stream.upload(&v)?);
        let mut out = stream.alloc::<O>(batch * queries * heads * dim)?;
        let mut mean = stream.alloc::<f32>(batch * kv_heads * dim)?;
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
        let args = AttentionInt8Args::new(
            &problem,
            Heads::bshd(&q, queries, heads, dim),
            Heads::bshd(&k, keys, kv_heads, dim),
            Heads::bshd(&v, keys, kv_heads, dim),
            HeadsMut::bshd(&mut out, queries, heads, dim),
            Mean::Computed(mean.view_mut()),
            scratch.view_mut(),
        );
        op.run(&plan, stream, args)?;

        // A product of 32 bytes, or of 16 numbers by 8 channels, is the least of the tensor cores.
        let width = dim.next_multiple_of(32) + dim.next_multiple_of(8);
        let macs = pairs([queries, keys], &self.mask) * (batch * heads) as u64 * width as u64;
        let ideal = |launch: &PlannedLaunch| Ideal {
            bytes_read: launch.bytes_read,
            bytes_written: launch.bytes_written,
            tensor_macs: if plan.prefill() == Some(launch) { macs } else { 0 },
        };
        let mut plans: Vec<(String, Ideal)> =
            plan.quantize().launches().map(|of| (of.to_string(), ideal(of))).collect();
        let prefill = plan.prefill().ok_or_else(|| Error::Value("there are no queries".into()))?;
        plans.push((format!("{prefill} to {}, {}", problem.output, problem.mask), ideal(prefill)));
        self.profiled(stream.device(), plans)
    }
}
