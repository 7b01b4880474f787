//! Measuring the legal plans of a product on the device that will run it.

use float8::{F8E4M3, F8E5M2};
use half::{bf16, f16};

use super::args::{GemmArgs, GemmElement, Strided, StridedMut};
use super::groups::{GroupScales, SharedBy};
use super::{Gemm, GemmPlan, GemmProblem, Output, plan};
use crate::device::{Buffer, Element, Stream};
use crate::format::DType;
use crate::op::{OutputElement, check};
use crate::plan::gemm::Operand;
use crate::plan::tuning::Tuning;
use crate::{Error, Result};

/// Bytes that copies of the operands may take, so that they do not all stay in L2.
const MOST_BYTES: usize = 1 << 30;

/// Calls that one measurement times together, on a GPU.
const CALLS: usize = 8;

impl Gemm {
    /// What a measurement holds for: the device's name and what plans know of it, and the kernels of these operands.
    ///
    /// # Errors
    /// As [`Gemm::new`].
    pub fn fingerprint(&self) -> Result<String> {
        let facts = self.device.facts();
        let mut text = format!(
            "{}, compute capability {}, {} multiprocessors, {} bytes of L2",
            self.device.name(),
            facts.capability,
            facts.sm_count,
            facts.l2_bytes
        );
        let mut keys: Vec<&str> = Vec::new();
        for entry in plan::entries(self.a, self.b, self.grouped, facts)? {
            keys.push(self.device.kernel_key(entry)?);
        }
        keys.sort_unstable();
        keys.dedup();
        keys.iter().for_each(|key| text += &format!(", {key}"));
        Ok(text)
    }

    /// The plan that was measured to be the fastest, or that of least estimated time where the problem was not
    /// measured. It needs no more scratch than [`scratch_bound`](Self::scratch_bound) says.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_tuned(&self, problem: &GemmProblem, tuning: &Tuning) -> Result<GemmPlan> {
        self.serves(problem)?;
        match tuning.get(problem, self.device.facts()) {
            Some(plan) => Ok(plan),
            None => self.plan(problem),
        }
    }

    /// Measures the plans of a problem on this device, by turns, on operands of its own, and keeps the fastest in
    /// `tuning`; what is there already is not measured again. Allocates, and waits for the stream: for the time before
    /// a model runs. On the emulator it is the emulator that is measured.
    ///
    /// # Errors
    /// As [`plan`](Self::plan); [`Error::Unsupported`] for an empty problem; a stream of another device; no memory for
    /// the operands; an error of the device.
    pub fn tune(&self, stream: &Stream, problem: &GemmProblem, tuning: &mut Tuning) -> Result<GemmPlan> {
        check::same_device(&self.device, "the stream", stream.device())?;
        self.plan(problem)?;
        if let Some(plan) = tuning.get(problem, self.device.facts()) {
            return Ok(plan);
        }
        match (problem.a.dtype, problem.b.dtype) {
            (DType::I8, _) => self.tune_out::<i8, i8>(stream, problem, tuning),
            (DType::F16, _) => self.tune_out::<f16, f16>(stream, problem, tuning),
            (DType::Bf16, _) => self.tune_out::<bf16, bf16>(stream, problem, tuning),
            (DType::E4m3, DType::E4m3) => self.tune_out::<F8E4M3, F8E4M3>(stream, problem, tuning),
            (DType::E4m3, _) => self.tune_out::<F8E4M3, F8E5M2>(stream, problem, tuning),
            (_, DType::E4m3) => self.tune_out::<F8E5M2, F8E4M3>(stream, problem, tuning),
            _ => self.tune_out::<F8E5M2, F8E5M2>(stream, problem, tuning),
        }
    }

    fn tune_out<A: GemmElement, B: GemmElement>(
        &self,
        stream: &Stream,
        problem: &GemmProblem,
        tuning: &mut Tuning,
    ) -> Result<GemmPlan> {
        match problem.out {
            Output::F32 => self.measure::<A, B, f32>(stream, problem, tuning),
            Output::F16 => self.measure::<A, B, f16>(stream, problem, tuning),
            Output::Bf16 => self.measure::<A, B, bf16>(stream, problem, tuning),
            Output::I32 => self.measure::<A, B, i32>(stream, problem, tuning),
        }
    }

    fn measure<A: GemmElement, B: GemmElement, O: OutputElement>(
        &self,
        stream: &Stream,
        problem: &GemmProblem,
        tuning: &mut Tuning,
    ) -> Result<GemmPlan> {
        let GemmProblem { m, n, k, batch, .. } = *problem;
        let (a, b) = (Place::new::<A>(problem.a, m, k, batch)?, Place::new::<B>(problem.b, n, k, batch)?);
        let one = a.bytes + b.bytes;
        let calls = if self.device.is_emulator() { 1 } else { CALLS };
        // Twice L2, so that a call finds nothing of what the calls before it read.
        let wish = (2 * self.device.facts().l2_bytes as usize).div_ceil(one.max(1));
        let copies = wish.min(calls).min(MOST_BYTES / one.max(1)).max(1);
        let operands: Vec<(Buffer<A>, Buffer<B>)> = (0..copies)
            .map(|copy| Ok((a.fill::<A>(stream, 2 * copy)?, b.fill::<B>(stream, 2 * copy + 1)?)))
            .collect::<Result<_>>()?;
        let groups = problem.k_group.map_or(0, |group| k.div_ceil(group));
        let scales = stream.upload(&vec![1.0f32; m.max(n) * groups])?;
        let lines = |rows: usize| match groups {
            0 => Ok(None),
            _ => Ok::<_, Error>(Some(GroupScales::new(scales.view().matrix(rows, groups, groups)?, SharedBy::Row))),
        };
        let (groups_a, groups_b) = (lines(m)?, lines(n)?);
        let mut d = stream.alloc::<O>(batch * m * n)?;
        let mut scratch = stream.alloc::<u8>(self.scratch_bound(problem)?)?;
        let mut run = |plan: &GemmPlan, stream: &Stream, call: usize| {
            let (at_a, at_b) = &operands[call % copies];
            let d = StridedMut { view: d.view_mut(), ld: n, stride: m * n };
            let args = GemmArgs::new(a.strided(at_a), b.strided(at_b), d);
            self.run(plan, stream, GemmArgs { groups_a, groups_b, scratch: Some(scratch.view_mut()), ..args })
        };
        tuning.choose(problem, self.device.facts(), |plan| {
            if !self.device.is_emulator() {
                run(plan, stream, 0)?;
            }
            let time = stream.time(|stream| (0..calls).try_for_each(|call| run(plan, stream, call)))?;
            Ok(time / calls as u32)
        })
    }
}

/// How an operand lies, aligned for the copies of 16 bytes.
struct Place {
    ld: usize,
    stride: usize,
    bytes: usize,
}

impl Place {
    fn new<T: Element>(operand: Operand, rows: usize, k: usize, batch: usize) -> Result<Place> {
        let (height, width) = if operand.k_down { (k, rows) } else { (rows, k) };
        let ld = width.next_multiple_of(16);
        let bytes = ld.checked_mul(height).and_then(|one| one.checked_mul(batch)?.checked_mul(size_of::<T>()));
        let bytes = bytes.filter(|bytes| *bytes <= isize::MAX as usize).ok_or_else(|| {
            Error::Shape(format!("{batch} operands of {height} x {ld} elements exceed the address space"))
        })?;
        Ok(Place { ld, stride: ld * height, bytes })
    }

    /// Numbers below 2 in magnitude, the same each time: an element whose second bit from above is 0 is no larger.
    fn fill<T: Element>(&self, stream: &Stream, seed: usize) -> Result<Buffer<T>> {
        let size = size_of::<T>();
        let mut state = 0x9E37_79B9_7F4A_7C15u64 ^ seed as u64;
        let mut elements = vec![T::zeroed(); self.bytes / size];
        for (at, byte) in bytemuck::cast_slice_mut::<T, u8>(&mut elements).iter_mut().enumerate() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = (state >> 32) as u8 & if at % size == size - 1 { 0xBF } else { 0xFF };
        }
        stream.upload(&elements)
    }

    fn strided<'a, T: Element>(&self, buffer: &'a Buffer<T>) -> Strided<'a, T> {
        Strided { view: buffer.view(), ld: self.ld, stride: self.stride }
    }
}
