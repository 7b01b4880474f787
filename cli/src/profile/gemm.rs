//! The products of every element, profiled.

use half::{bf16, f16};
use halfbyte::device::{Device, Stream};
use halfbyte::format::{F8E4M3, F8E5M2, Float};
use halfbyte::op::{Gemm, GemmArgs, GemmElement, GroupScales, OutputElement, SharedBy, Strided};
use halfbyte::plan::gemm::{GemmPlan, GemmProblem, Operand, candidates, entries, plan};
use halfbyte::reference::sample::Sample;
use halfbyte::{Error, Result};

use super::problem::{Ideal, Problem, Profiled};
use crate::args::ProfileType;

/// An element that is multiplied, from a small integer.
trait Element: GemmElement {
    fn of(value: i32) -> Self;
}

impl Element for i8 {
    fn of(value: i32) -> i8 {
        value as i8
    }
}

macro_rules! floats {
    ($($type:ident)*) => {$(
        impl Element for $type {
            fn of(value: i32) -> $type {
                Float::from_f32(value as f32)
            }
        }
    )*};
}
floats!(f16 bf16 F8E4M3 F8E5M2);

impl Problem {
    /// Multiplies operands of [`Problem::input`], K of b down its rows and in groups as was asked for.
    pub fn gemm(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        match self.input {
            ProfileType::F16 => self.gemm_of::<f16>(stream),
            ProfileType::Bf16 => self.gemm_of::<bf16>(stream),
            ProfileType::S8 => self.gemm_of::<i8>(stream),
            ProfileType::E4m3 => self.gemm_of::<F8E4M3>(stream),
            ProfileType::E5m2 => self.gemm_of::<F8E5M2>(stream),
            ProfileType::F32 | ProfileType::S32 => Err(self.no_such_type("--dtype", self.input)),
        }
    }

    fn gemm_of<T: Element>(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        match self.out {
            ProfileType::F16 => self.gemm_to::<T, f16>(stream),
            ProfileType::Bf16 => self.gemm_to::<T, bf16>(stream),
            ProfileType::F32 => self.gemm_to::<T, f32>(stream),
            ProfileType::S32 => self.gemm_to::<T, i32>(stream),
            _ => Err(self.no_such_type("--out", self.out)),
        }
    }

    fn gemm_to<T: Element, O: OutputElement>(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        let [m, n, k] = ["M", "N", "K"].map(|dim| self.size(dim));
        let (a, b) = (Operand::new(T::DTYPE), Operand { dtype: T::DTYPE, k_down: self.b_down });
        let problem = GemmProblem { b, k_group: self.k_group, ..GemmProblem::new(m, n, k, T::DTYPE, O::OUTPUT) };
        let op = match self.k_group {
            Some(_) => Gemm::grouped(stream.device(), a, b)?,
            None => Gemm::new(stream.device(), a, b)?,
        };
        let plan = self.plan_of(&problem, stream.device())?;
        let mut sample = Sample::new("gemm");
        let mut operand = |rows: usize, cols: usize| {
            // Rows of whole vectors, as the fastest copies want them.
            let ld = cols.next_multiple_of(16);
            let values: Vec<T> = (0..rows * ld).map(|_| T::of(sample.integer(-4, 4))).collect();
            stream.upload(&values).map(|buffer| (buffer, ld))
        };
        let (at_a, lda) = operand(m, k)?;
        let (tall, across) = if self.b_down { (k, n) } else { (n, k) };
        let (at_b, ldb) = operand(tall, across)?;
        let groups = self.k_group.map_or(0, |group| k.div_ceil(group));
        let scaled = problem.out.scaled();
        let scales = |len: usize| stream.upload(&vec![0.0078125f32; len]);
        let (rows, cols) = (scales(m)?, scales(n)?);
        let (groups_a, groups_b) = (scales(m * groups)?, scales(n * groups)?);
        let lines = |buffer, rows| -> Result<Option<GroupScales<'_>>> {
            let buffer: &halfbyte::device::Buffer<f32> = buffer;
            match groups {
                0 => Ok(None),
                _ => Ok(Some(GroupScales::new(buffer.view().matrix(rows, groups, groups)?, SharedBy::Row))),
            }
        };
        let mut d = stream.alloc::<O>(m * n)?;
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
        let args = GemmArgs {
            scale_row: (scaled && groups == 0).then(|| rows.view()),
            scale_col: (scaled && groups == 0).then(|| cols.view()),
            groups_a: lines(&groups_a, m)?,
            groups_b: lines(&groups_b, n)?,
            scratch: Some(scratch.view_mut()),
            ..GemmArgs::new(
                Strided { view: at_a.view(), ld: lda, stride: 0 },
                Strided { view: at_b.view(), ld: ldb, stride: 0 },
                d.view_mut().matrix(m, n, n)?,
            )
        };
        op.run(&plan, stream, args)?;
        let [m, n, k] = [m, n, k].map(|size| size as u64);
        let scales = if groups > 0 {
            4 * (m + n) * groups as u64
        } else if scaled {
            4 * (m + n)
        } else {
            0
        };
        let ideal = Ideal {
            bytes_read: (m + n) * k * size_of::<T>() as u64 + scales,
            bytes_written: m * n * size_of::<O>() as u64,
            tensor_macs: m * n * k,
        };
        self.profiled(stream.device(), vec![(plan.to_string(), ideal)])
    }

    /// The plan that is chosen, or the one that was asked for.
    fn plan_of(&self, problem: &GemmProblem, device: &Device) -> Result<GemmPlan> {
        let facts = device.facts();
        if self.kernel.is_none() && self.split_k.is_none() {
            return plan(problem, facts);
        }
        let all: Vec<GemmPlan> = candidates(problem, facts).collect();
        let names = entries(problem.a, problem.b, problem.k_group.is_some(), facts)?;
        let of = |plan: &GemmPlan| (plan.geometry().map_or("", |g| g.entry.row().symbol), plan.split_k());
        self.asked_for(&all, of, names.map(|entry| entry.row().symbol), &format!("{problem} on {device}"))
    }

    /// Of some plans, each of a kernel and slices of K, the first that `--kernel` and `--split-k` mean.
    pub(super) fn asked_for<P: Copy>(
        &self,
        all: &[P],
        of: impl Fn(&P) -> (&'static str, u32),
        kernels: impl Iterator<Item = &'static str>,
        what: &str,
    ) -> Result<P> {
        let named = |plan: &&P| self.kernel.as_ref().is_none_or(|name| of(plan).0.contains(name.as_str()));
        // Without a word about slices the fewest: candidates come in that order.
        let split = |plan: &&P| self.split_k.is_none_or(|split| of(plan).1 == split);
        if let Some(plan) = all.iter().filter(named).find(split) {
            return Ok(*plan);
        }
        let mut known: Vec<String> = Vec::new();
        for name in kernels {
            let most = all.iter().map(&of).filter(|(symbol, _)| *symbol == name).map(|(_, split)| split).max();
            known.extend(most.map(|most| match most {
                1 => format!("{name} with K whole"),
                most => format!("{name} with K whole or in at most {most} slices"),
            }));
        }
        let wanted = match (&self.kernel, self.split_k) {
            (Some(kernel), Some(split)) => format!("kernel '{kernel}' with K in {split} slices"),
            (Some(kernel), None) => format!("kernel '{kernel}'"),
            (None, split) => format!("kernel with K in {} slices", split.unwrap_or(1)),
        };
        Err(Error::Value(format!("no {wanted} for {what}; there are {}", known.join(", "))))
    }
}
