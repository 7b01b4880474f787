//! The merge of partial results of attention, profiled.

use half::{bf16, f16};
use halfbyte::Result;
use halfbyte::device::{Element, Stream};
use halfbyte::op::{InputElement, LseMut, Merge, MergeArgs, OutputElement};
use halfbyte::plan::merge::MergeProblem;

use super::problem::{Ideal, Problem, Profiled, numbers};
use crate::args::ProfileType;

impl Problem {
    /// Parts of type `--dtype`, all of which hold something, to a result of type `--out`, with its log-sum-exps.
    pub fn merge(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        use ProfileType::{Bf16, F16, F32};
        match (self.input, self.out) {
            (F16, F16) => self.merged::<f16, f16>(stream),
            (F16, F32) => self.merged::<f16, f32>(stream),
            (Bf16, Bf16) => self.merged::<bf16, bf16>(stream),
            (Bf16, F32) => self.merged::<bf16, f32>(stream),
            (F32, F32) => self.merged::<f32, f32>(stream),
            (F16 | Bf16 | F32, out) => Err(self.no_such_type("--out", out)),
            (input, _) => Err(self.no_such_type("--dtype", input)),
        }
    }

    fn merged<T: InputElement, O: OutputElement>(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        let [parts, tokens, heads, value_dim] = ["P", "T", "H", "D"].map(|dim| self.size(dim));
        let (dtype, out) = (<T as Element>::DTYPE, <O as Element>::DTYPE);
        let problem = MergeProblem { parts, tokens, heads, value_dim, dtype, out };
        let op = Merge::new(stream.device())?;
        let plan = op.plan(&problem)?;
        let rows = tokens * heads;
        let from = stream.upload(&numbers::<T>(parts * rows * value_dim))?;
        let lse = stream.upload(&numbers::<f32>(parts * rows))?;
        let (mut to, mut lse_out) = (stream.alloc::<O>(rows * value_dim)?, stream.alloc::<f32>(rows)?);
        let args = MergeArgs {
            lse_out: Some(LseMut { view: lse_out.view_mut(), head: tokens }),
            ..MergeArgs::new(&problem, from.view(), lse.view(), to.view_mut())
        };
        op.run(&plan, stream, args)?;
        let (parts, rows, wide) = (parts as u64, rows as u64, value_dim as u64);
        let ideal = Ideal {
            bytes_read: parts * rows * (wide * self.input.size() as u64 + 4),
            bytes_written: rows * (wide * self.out.size() as u64 + 4),
            tensor_macs: 0,
        };
        self.profiled(stream.device(), vec![(plan.to_string(), ideal)])
    }
}
