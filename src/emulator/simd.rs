//! Which vector instructions of the host are used. Results do not depend on it.

use std::fmt;

/// Vector instructions of the host that the emulator may use; every choice gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Simd {
    /// Plain Rust, whatever the compiler makes of it.
    Portable,
    /// AVX2, FMA and F16C (x86-64-v3).
    Avx2,
    /// AVX-512 F, BW, DQ, VL and VNNI.
    Avx512,
}

impl Simd {
    /// The widest that this computer has.
    pub fn best() -> Simd {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2")
                && has!("fma")
                && has!("f16c")
                && has!("bmi1")
                && has!("bmi2")
                && has!("lzcnt")
                && has!("popcnt")
            {
                if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("avx512vnni") {
                    return Simd::Avx512;
                }
                return Simd::Avx2;
            }
        }
        Simd::Portable
    }
}

impl fmt::Display for Simd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Simd::Portable => "portable",
            Simd::Avx2 => "avx2",
            Simd::Avx512 => "avx512",
        })
    }
}

/// A choice of vector instructions that this computer is known to have: whoever holds one may call functions
/// compiled for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level(Simd);

impl Level {
    /// What was wished for, or the best below it that this computer has.
    pub(crate) fn new(wish: Option<Simd>) -> Level {
        let best = Simd::best();
        Level(wish.map_or(best, |wish| wish.min(best)))
    }

    /// The instructions it stands for.
    pub(crate) fn simd(self) -> Simd {
        self.0
    }
}

/// Defines a function that is compiled once a [`Level`]: `leveled!(fn name(args) -> ret = body_function)`.
/// The body must be `#[inline(always)]` and is what every copy runs.
macro_rules! leveled {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path) => {
        $(#[$meta])*
        #[inline]
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(level: $crate::emulator::simd::Level, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                match level.simd() {
                    // SAFETY: a `Level` of AVX-512 exists only where `Simd::best` found every feature enabled here.
                    $crate::emulator::simd::Simd::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: a `Level` of AVX2 exists only where `Simd::best` found every feature enabled here.
                    $crate::emulator::simd::Simd::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::emulator::simd::Simd::Portable => {}
                }
            }
            $body($($arg),*)
        }
    };
}
pub(crate) use leveled;

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(always)]
    fn sum_body(values: &[u32]) -> u32 {
        values.iter().fold(0, |sum, v| sum.wrapping_add(*v))
    }
    leveled!(fn sum(values: &[u32]) -> u32 = sum_body);

    #[test]
    fn every_level_runs_the_same_body() {
        let values: Vec<u32> = (0..1000).collect();
        for wish in [None, Some(Simd::Portable), Some(Simd::Avx2), Some(Simd::Avx512)] {
            assert_eq!(sum(Level::new(wish), &values), 499_500);
        }
        assert_eq!(Level::new(Some(Simd::Portable)).simd(), Simd::Portable);
    }
}
