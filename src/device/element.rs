//! The types that device buffers hold.

use half::{bf16, f16};

use crate::format::{DType, F8E4M3, F8E5M2};

mod sealed {
    pub trait Sealed {}
}

/// A number that a device buffer can hold.
///
/// Every bit pattern is a value, so memory with unspecified contents is safe to read. Sealed: the kernels
/// know exactly these.
pub trait Element: bytemuck::Pod + Send + Sync + sealed::Sealed {
    /// Its type as a run-time value.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),* $(,)?) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
        }
    )*};
}

elements! {
    f32 => F32, f16 => F16, bf16 => Bf16, F8E4M3 => E4m3, F8E5M2 => E5m2,
    i8 => I8, u8 => U8, i32 => I32, u32 => U32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_agree_with_the_types() {
        fn check<T: Element>() {
            assert_eq!(T::DTYPE.size(), size_of::<T>(), "{:?}", T::DTYPE);
        }
        check::<f32>();
        check::<f16>();
        check::<bf16>();
        check::<F8E4M3>();
        check::<F8E5M2>();
        check::<i8>();
        check::<u8>();
        check::<i32>();
        check::<u32>();
    }
}
