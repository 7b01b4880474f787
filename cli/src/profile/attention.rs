//! Attention of many queries, profiled.

use half::{bf16, f16};
use halfbyte::device::{Element, Stream};
use halfbyte::op::{Attention, AttentionArgs, AttentionElement, Heads, HeadsMut, InputElement, OutputElement};
use halfbyte::plan::attention::{AttentionProblem, Mask};
use halfbyte::{Error, Result};

use super::problem::{Ideal, Problem, Profiled, numbers};
use crate::args::{ProfileArgs, ProfileType};

/// The dimensions on the command line: sequences, queries, keys, query heads, heads of keys, elements of a head.
pub const DIMS: [&str; 6] = ["B", "Q", "K", "H", "G", "D"];

/// Bytes of Q, K, V and the output.
pub fn bytes(p: &Problem) -> u128 {
    let [batch, queries, keys, heads, groups, dim] = DIMS.map(|dim| p.size(dim) as u128);
    let of = |tokens: u128, heads: u128| batch.saturating_mul(tokens * heads).saturating_mul(dim);
    let read = of(queries, heads).saturating_add(of(keys, groups).saturating_mul(2));
    read.saturating_mul(p.input.size()).saturating_add(of(queries, heads).saturating_mul(p.out.size()))
}

/// Bytes of the codes of Q, K and V and of their scales, at most.
pub fn codes(p: &Problem) -> u128 {
    let [batch, queries, keys, heads, groups, dim] = DIMS.map(|dim| p.size(dim) as u128);
    let rows = (queries * heads).saturating_add(2 * keys * groups);
    batch.saturating_mul(rows).saturating_mul(dim.max(64) + 64)
}

/// What the command line says of the mask.
///
/// # Errors
/// A window that contradicts itself.
pub fn mask(args: &ProfileArgs) -> Result<Mask> {
    if args.window == Some(0) && !args.causal {
        return Err(Error::Value("a window of 0 keys before and after shows each query one key; add --causal".into()));
    }
    // Without --causal a window reaches as far ahead as back.
    let right = if args.causal { None } else { args.window };
    Ok(Mask { causal: args.causal, left: args.window, right, keep_first: 0 })
}

impl Problem {
    /// Attention of type `--dtype` to an output of type `--out`.
    pub fn attention(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        use ProfileType::{Bf16, F16, F32};
        match (self.input, self.out) {
            (F16, F16) => self.attended::<f16, f16>(stream),
            (F16, F32) => self.attended::<f16, f32>(stream),
            (Bf16, Bf16) => self.attended::<bf16, bf16>(stream),
            (Bf16, F32) => self.attended::<bf16, f32>(stream),
            (F16 | Bf16, out) => Err(self.no_such_type("--out", out)),
            (input, _) => Err(self.no_such_type("--dtype", input)),
        }
    }

    fn attended<T: AttentionElement + InputElement, O: OutputElement>(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        let [batch, queries, keys, heads, kv_heads, d] = DIMS.map(|dim| self.size(dim));
        let dtype = <T as Element>::DTYPE;
        let plain = AttentionProblem::new([queries, keys], [heads, kv_heads], d, dtype);
        let wide_output = <O as Element>::DTYPE != dtype;
        let problem = AttentionProblem { batch, wide_output, mask: self.mask, ..plain };
        let op = Attention::new(stream.device(), dtype)?;
        let plan = op.plan(&problem)?;
        let [q, k, v] = [queries * heads, keys * kv_heads, keys * kv_heads].map(|rows| numbers::<T>(batch * rows * d));
        let (q, k, v) = (stream.upload(&q)?, stream.upload(&k)?, stream.upload(&v)?);
        let mut out = stream.alloc::<O>(batch * queries * heads * d)?;
        let args = AttentionArgs::new(
            &problem,
            Heads::bshd(&q, queries, heads, d),
            Heads::bshd(&k, keys, kv_heads, d),
            Heads::bshd(&v, keys, kv_heads, d),
            HeadsMut::bshd(&mut out, queries, heads, d),
        );
        op.run(&plan, stream, args)?;
        let (rows, size) = ((batch * queries * heads * d) as u64, self.input.size() as u64);
        let ideal = Ideal {
            bytes_read: size * (rows + 2 * (batch * keys * kv_heads * d) as u64),
            bytes_written: rows * self.out.size() as u64,
            // A product of 16 elements is the least of the tensor cores.
            tensor_macs: 2
                * pairs([queries, keys], &self.mask)
                * (batch * heads) as u64
                * d.next_multiple_of(16) as u64,
        };
        self.profiled(stream.device(), vec![(plan.to_string(), ideal)])
    }
}

/// Pairs of a query and a key that it sees.
pub fn pairs([queries, keys]: [usize; 2], mask: &Mask) -> u64 {
    let of = |query: usize| {
        // One past the query's own place, plus the queries, so that it is not below 0.
        let end = query + 1 + keys;
        let last = mask.right().map_or(keys, |right| end.saturating_add(right).saturating_sub(queries).min(keys));
        let first = mask.left.map_or(0, |left| end.saturating_sub(left.saturating_add(queries + 1)));
        last.saturating_sub(first) as u64
    };
    (0..queries).map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_what_masks_show() {
        assert_eq!(pairs([3, 5], &Mask::NONE), 15);
        assert_eq!(pairs([3, 5], &Mask::CAUSAL), 3 + 4 + 5);
        assert_eq!(pairs([4, 2], &Mask::CAUSAL), 1 + 2);
        let window = Mask { left: Some(1), right: Some(2), ..Mask::NONE };
        assert_eq!(pairs([4, 4], &window), 3 + 4 + 3 + 2);
        assert_eq!(pairs([2, 5], &Mask { left: Some(0), ..Mask::CAUSAL }), 2);
    }
}
