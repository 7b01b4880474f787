//! Which element types an operation reads and writes.

use half::{bf16, f16};

use crate::device::Element;
use crate::format::{F8E4M3, F8E5M2, Float};
use crate::plan::gemm_s8::Output;
use crate::plan::quantize::Code;
use crate::plan::quantize_rows::Input;

/// A float that activations come in: f32, f16 or bf16. Sealed through [`Element`].
pub trait InputElement: Element + Float {
    /// Its type as plans name it.
    const INPUT: Input;
}

/// A number that a product is written as: f32, f16, bf16, or the s32 sum itself. Sealed through [`Element`].
pub trait OutputElement: Element {
    /// Its type as plans name it.
    const OUTPUT: Output;
}

/// An 8-bit code that floats are quantized to: i8, e4m3 or e5m2. Sealed through [`Element`].
pub trait CodeElement: Element {
    /// Its type as plans name it.
    const CODE: Code;
}

impl CodeElement for i8 {
    const CODE: Code = Code::S8;
}

impl CodeElement for F8E4M3 {
    const CODE: Code = Code::E4m3;
}

impl CodeElement for F8E5M2 {
    const CODE: Code = Code::E5m2;
}

macro_rules! floats {
    ($($type:ty => $name:ident),*) => {$(
        impl InputElement for $type {
            const INPUT: Input = Input::$name;
        }
        impl OutputElement for $type {
            const OUTPUT: Output = Output::$name;
        }
    )*};
}

floats!(f32 => F32, f16 => F16, bf16 => Bf16);

impl OutputElement for i32 {
    const OUTPUT: Output = Output::I32;
}
