//! The tiles of `mma` for every pair of operands, at the rates of an architecture.

/// One pair of operands: type and direction of K of each, rates, entries; or of groups of K: types, rates, `grouped`,
/// entries.
macro_rules! pair {
    ($a:ident $way_a:ident, $b:ident $way_b:ident, $rates:expr, $($entry:ident)*) => {
        $crate::plan::mma::pair!($a $way_a, $b $way_b, $rates, new false, $($entry)*)
    };
    ($a:ident, $b:ident, $rates:expr, grouped, $($entry:ident)*) => {
        $crate::plan::mma::pair!($a new, $b new, $rates, grouped true, $($entry)*)
    };
    ($a:ident $way_a:ident, $b:ident $way_b:ident, $rates:expr, $new:ident $grouped:literal, $($entry:ident)*) => {
        $crate::plan::gemm::Tiles {
            grouped: $grouped,
            a: $crate::plan::gemm::Operand::$way_a($crate::format::DType::$a),
            b: $crate::plan::gemm::Operand::$way_b($crate::format::DType::$b),
            tiles: &[$($crate::plan::tile::Tile::$new($crate::manifest::Entry::$entry, $rates)),*],
        }
    };
}
pub(super) use pair;

/// Every pair: `pairs!(s8: RATES, f16: RATES, fp8: RATES)`, or without `fp8` where 8-bit floats are not multiplied.
#[rustfmt::skip]
macro_rules! pairs {
    (s8: $s8:expr, f16: $f16:expr $(, fp8: $fp8:expr)?) => {
        [
            $crate::plan::mma::pair!(I8 new, I8 new, $s8, GemmS8Mma128x128x64 GemmS8Mma64x64x64 GemmS8Mma16x64x128),
            $crate::plan::mma::pair!(I8, I8, $s8, grouped, GemmS8MmaGroups128x128x64 GemmS8MmaGroups64x64x64 GemmS8MmaGroups16x64x128),
            $crate::plan::mma::pair!(F16 new, F16 new, $f16, GemmF16Mma128x128x32 GemmF16Mma64x64x32 GemmF16Mma16x64x64),
            $crate::plan::mma::pair!(F16 down, F16 new, $f16, GemmF16MmaADown128x128x32 GemmF16MmaADown64x64x32),
            $crate::plan::mma::pair!(F16 new, F16 down, $f16, GemmF16MmaBDown128x128x32 GemmF16MmaBDown64x64x32),
            $crate::plan::mma::pair!(F16 down, F16 down, $f16, GemmF16MmaDown128x128x32 GemmF16MmaDown64x64x32),
            $crate::plan::mma::pair!(Bf16 new, Bf16 new, $f16, GemmBf16Mma128x128x32 GemmBf16Mma64x64x32 GemmBf16Mma16x64x64),
            $crate::plan::mma::pair!(Bf16 down, Bf16 new, $f16, GemmBf16MmaADown128x128x32 GemmBf16MmaADown64x64x32),
            $crate::plan::mma::pair!(Bf16 new, Bf16 down, $f16, GemmBf16MmaBDown128x128x32 GemmBf16MmaBDown64x64x32),
            $crate::plan::mma::pair!(Bf16 down, Bf16 down, $f16, GemmBf16MmaDown128x128x32 GemmBf16MmaDown64x64x32),
            $(
                $crate::plan::mma::pair!(E4m3 new, E4m3 new, $fp8, GemmE4m3E4m3Mma128x128x64 GemmE4m3E4m3Mma64x64x64 GemmE4m3E4m3Mma16x64x128),
                $crate::plan::mma::pair!(E4m3 new, E5m2 new, $fp8, GemmE4m3E5m2Mma128x128x64 GemmE4m3E5m2Mma64x64x64 GemmE4m3E5m2Mma16x64x128),
                $crate::plan::mma::pair!(E5m2 new, E4m3 new, $fp8, GemmE5m2E4m3Mma128x128x64 GemmE5m2E4m3Mma64x64x64 GemmE5m2E4m3Mma16x64x128),
                $crate::plan::mma::pair!(E5m2 new, E5m2 new, $fp8, GemmE5m2E5m2Mma128x128x64 GemmE5m2E5m2Mma64x64x64 GemmE5m2E5m2Mma16x64x128),
                $crate::plan::mma::pair!(E4m3, E4m3, $fp8, grouped, GemmE4m3E4m3MmaGroups128x64x64 GemmE4m3E4m3MmaGroups64x64x64 GemmE4m3E4m3MmaGroups16x64x128),
                $crate::plan::mma::pair!(E4m3, E5m2, $fp8, grouped, GemmE4m3E5m2MmaGroups128x64x64 GemmE4m3E5m2MmaGroups64x64x64 GemmE4m3E5m2MmaGroups16x64x128),
                $crate::plan::mma::pair!(E5m2, E4m3, $fp8, grouped, GemmE5m2E4m3MmaGroups128x64x64 GemmE5m2E4m3MmaGroups64x64x64 GemmE5m2E4m3MmaGroups16x64x128),
                $crate::plan::mma::pair!(E5m2, E5m2, $fp8, grouped, GemmE5m2E5m2MmaGroups128x64x64 GemmE5m2E5m2MmaGroups64x64x64 GemmE5m2E5m2MmaGroups16x64x128),
            )?
        ]
    };
}
pub(super) use pairs;
