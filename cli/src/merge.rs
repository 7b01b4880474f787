//! Partial results of attention merged, held against the algebra in f64.

use std::time::Duration;

use half::{bf16, f16};
use halfbyte::Result;
use halfbyte::device::Element;
use halfbyte::format::{DType, Float};
use halfbyte::op::{InputElement, LseMut, Merge, MergeArgs, OutputElement};
use halfbyte::plan::merge::MergeProblem;
use halfbyte::reference::attention::State;
use halfbyte::reference::{Comparison, exact, sample::Sample};

use crate::ran::{About, Place, Ran};
use crate::single::Single;

/// Parts, tokens, heads and numbers of a row: splits of one token's keys, a shared prefix, a ring, and rows off every
/// vector.
const SHAPES: [(&str, [usize; 4]); 6] = [
    ("decode split", [17, 1, 16, 128]),
    ("decode split", [133, 1, 4, 64]),
    ("prefix", [2, 113, 8, 128]),
    ("ring", [8, 64, 4, 96]),
    ("odd rows", [3, 5, 3, 37]),
    ("one part", [1, 9, 2, 256]),
];

/// Types of the parts and of the result, in turn.
const TYPES: [(DType, DType); 5] = [
    (DType::F16, DType::F16),
    (DType::Bf16, DType::Bf16),
    (DType::F32, DType::F32),
    (DType::F16, DType::F32),
    (DType::Bf16, DType::F32),
];

/// One merge.
#[derive(Clone, Copy)]
struct Case {
    data: &'static str,
    problem: MergeProblem,
}

/// All of them: every shape with every type.
pub fn cases() -> Vec<Single> {
    let shapes = SHAPES.iter().flat_map(|shape| TYPES.iter().map(move |types| (shape, types)));
    let case = |(&(data, [parts, tokens, heads, value_dim]), &(dtype, out)): (&(&'static str, [usize; 4]), _)| {
        let case = Case { data, problem: MergeProblem { parts, tokens, heads, value_dim, dtype, out } };
        Single::new(case.about(), move |place| case.run(place))
    };
    shapes.map(case).collect()
}

impl Case {
    fn about(&self) -> About {
        let MergeProblem { parts, tokens, heads, value_dim, dtype, out } = self.problem;
        About {
            op: "merge",
            format: format!("{dtype} -> {out}"),
            shape: format!("P={parts} T={tokens} H={heads} D={value_dim}"),
            data: self.data.to_string(),
        }
    }

    fn run(&self, place: &Place) -> Result<Ran> {
        match (self.problem.dtype, self.problem.out) {
            (DType::F16, DType::F16) => self.merge::<f16, f16>(place),
            (DType::F16, _) => self.merge::<f16, f32>(place),
            (DType::Bf16, DType::Bf16) => self.merge::<bf16, bf16>(place),
            (DType::Bf16, _) => self.merge::<bf16, f32>(place),
            _ => self.merge::<f32, f32>(place),
        }
    }

    fn merge<T: InputElement, O: OutputElement + Float>(&self, place: &Place) -> Result<Ran> {
        let MergeProblem { parts, tokens, heads, value_dim: dv, .. } = self.problem;
        let (stream, rows) = (&place.stream, tokens * heads);
        let mut sample = Sample::new(&self.problem.to_string());
        // Half of the parts hold nothing: their numbers are NaN.
        let lse: Vec<f32> = (0..parts * rows)
            .map(|_| if sample.bits() & 1 == 0 && parts > 1 { f32::NEG_INFINITY } else { 2.0 * sample.gaussian() })
            .collect();
        let known = |p: usize, t: usize, h: usize| lse[(p * heads + h) * tokens + t];
        let mut numbers = Vec::with_capacity(parts * rows * dv);
        for row in 0..parts * rows {
            let empty = known(row / rows, row / heads % tokens, row % heads) == f32::NEG_INFINITY;
            numbers.extend((0..dv).map(|_| T::from_f32(if empty { f32::NAN } else { sample.gaussian() })));
        }
        let (mut want, mut want_lse) = (Vec::with_capacity(rows * dv), vec![0.0; rows]);
        for (t, h) in (0..tokens).flat_map(|t| (0..heads).map(move |h| (t, h))) {
            let part = |p: usize| {
                let row = &numbers[((p * tokens + t) * heads + h) * dv..][..dv];
                let row: Vec<f64> = row.iter().map(|x| x.to_f32().into()).collect();
                State::finished(&row, known(p, t, h).into())
            };
            let (out, lse) = (0..parts).fold(State::neutral(dv), |all, p| all.merge(&part(p))).finish();
            want.extend(out);
            want_lse[h * tokens + t] = lse;
        }

        let op = Merge::new(&place.device)?;
        let plan = op.plan(&self.problem)?;
        let (numbers, lse) = (stream.upload(&numbers)?, stream.upload(&lse)?);
        let mut out = stream.upload(&vec![O::from_f32(f32::NAN); rows * dv])?;
        let mut lse_out = stream.upload(&vec![f32::NAN; rows])?;
        let took: Duration = stream.time(|stream| {
            let args = MergeArgs {
                lse_out: Some(LseMut { view: lse_out.view_mut(), head: tokens }),
                ..MergeArgs::new(&self.problem, numbers.view(), lse.view(), out.view_mut())
            };
            op.run(&plan, stream, args)
        })?;

        // Twice what rounding the truth to the type of the result loses; an f32 result is rounded more than once.
        let dtype = <O as Element>::DTYPE;
        let cast = |&want: &f64| (f64::from(exact::round_to(want as f32, dtype)) - want).abs();
        let floor = if dtype == DType::F32 { 2e-6 } else { 0.0 };
        let allowed = 2.0 * want.iter().map(cast).fold(0.0, f64::max) + floor;
        let got: Vec<f32> = stream.download(&out)?.into_iter().map(O::to_f32).collect();
        let rows = Comparison::within(&got, &want, dv, |_| allowed)?;
        let slack = |at: usize| 1e-5 * f64::abs(want_lse[at]).max(1.0);
        let lse = Comparison::within(&stream.download(&lse_out)?, &want_lse, tokens, slack)?;
        let kernel = plan.geometry().map_or("", |g| g.entry.row().symbol).to_string();
        let bounded = vec![("f64", rows.and(lse))];
        Ok(Ran { kernel, took, exact: Comparison::default(), bounded, quantization_error: None })
    }
}
