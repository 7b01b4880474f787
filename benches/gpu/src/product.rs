//! One product of ours and the peer's by turns.

use std::error::Error;
use std::fmt::Write;

use half::{bf16, f16};
use halfbyte::device::{Buffer, Element, Stream};
use halfbyte::format::{DType, F8E4M3, Float};
use halfbyte::op::{Gemm, GemmArgs, GemmElement, GemmS8, GemmS8Args, OutputElement};
use halfbyte::plan::gemm::{GemmPlan, GemmProblem, Operand};
use halfbyte::plan::gemm_s8::{GemmS8Plan, GemmS8Problem};
use halfbyte::reference::sample::Sample;

use crate::cublaslt::{self, Types};

const WARM_UP: usize = 5;

/// Numbers that are drawn; longer operands repeat them, each row at another place.
const DRAWN: usize = (1 << 20) + 7;

/// What a product multiplies and what it writes, here and there.
pub trait Multiplied: GemmElement {
    /// What is written: raw sums of int8, f16 of floats.
    type Out: OutputElement;
    /// What the peer is told.
    const TYPES: Types;

    /// Random elements.
    fn drawn(sample: &mut Sample, len: usize) -> Vec<Self>;
    /// The product on our side.
    fn ours(stream: &Stream, shape: [usize; 3]) -> halfbyte::Result<Ours>;
    /// An output as a number.
    fn number(out: Self::Out) -> f64;
}

impl Multiplied for i8 {
    type Out = i32;
    const TYPES: Types = Types::S8;

    fn drawn(sample: &mut Sample, len: usize) -> Vec<i8> {
        sample.codes(len, -127, 127)
    }
    fn ours(stream: &Stream, [m, n, k]: [usize; 3]) -> halfbyte::Result<Ours> {
        let op = GemmS8::new(stream.device())?;
        let plan = op.plan(&GemmS8Problem { m, n, k, out: i32::OUTPUT })?;
        Ok(Ours::S8(op, plan))
    }
    fn number(out: i32) -> f64 {
        out.into()
    }
}

macro_rules! floats {
    ($($type:ident $types:ident),*) => {$(
        impl Multiplied for $type {
            type Out = f16;
            const TYPES: Types = Types::$types;

            fn drawn(sample: &mut Sample, len: usize) -> Vec<$type> {
                (0..len).map(|_| Float::from_f32(sample.gaussian())).collect()
            }
            fn ours(stream: &Stream, [m, n, k]: [usize; 3]) -> halfbyte::Result<Ours> {
                let dtype: DType = <$type as Element>::DTYPE;
                let op = Gemm::new(stream.device(), Operand::new(dtype), Operand::new(dtype))?;
                let plan = op.plan(&GemmProblem::new(m, n, k, dtype, f16::OUTPUT))?;
                Ok(Ours::Float(op, plan))
            }
            fn number(out: f16) -> f64 {
                out.into()
            }
        }
    )*};
}
floats!(f16 F16, F8E4M3 E4m3);

/// The product on our side.
pub enum Ours {
    /// Of int8, raw sums.
    S8(GemmS8, GemmS8Plan),
    /// Of floats.
    Float(Gemm, GemmPlan),
}

impl Ours {
    fn scratch_bytes(&self) -> usize {
        match self {
            Ours::S8(_, plan) => plan.scratch_bytes(),
            Ours::Float(_, plan) => plan.scratch_bytes(),
        }
    }

    fn kernel(&self) -> String {
        let (geometry, split) = match self {
            Ours::S8(_, plan) => (plan.geometry(), plan.split_k()),
            Ours::Float(_, plan) => (plan.geometry(), plan.split_k()),
        };
        format!("{}, split {split}", geometry.map_or("none", |g| g.entry.row().symbol))
    }
}
