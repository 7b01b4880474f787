//! The modifiers of an opcode. Every one must be understood by someone: what is left over is an error.

use super::super::ir::{Mods, Round, Ty};

/// The modifiers of one instruction, each used once.
pub(super) struct Words<'a> {
    words: Vec<&'a str>,
}

/// A type by name.
pub(super) fn ty_of(word: &str) -> Option<Ty> {
    Some(match word {
        "u8" => Ty::U8,
        "s8" => Ty::S8,
        "b8" => Ty::B8,
        "u16" => Ty::U16,
        "s16" => Ty::S16,
        "b16" => Ty::B16,
        "u32" => Ty::U32,
        "s32" => Ty::S32,
        "b32" => Ty::B32,
        "u64" => Ty::U64,
        "s64" => Ty::S64,
        "b64" => Ty::B64,
        "f16" => Ty::F16,
        "f16x2" => Ty::F16x2,
        "bf16" => Ty::BF16,
        "bf16x2" => Ty::BF16x2,
        "f32" => Ty::F32,
        "f64" => Ty::F64,
        "e4m3x2" => Ty::E4M3x2,
        "e5m2x2" => Ty::E5M2x2,
        "tf32" => Ty::TF32,
        _ => return None,
    })
}

/// Width of a type.
pub(super) fn bits_of(ty: Ty) -> u8 {
    match ty {
        Ty::U8 | Ty::S8 | Ty::B8 => 8,
        Ty::U16 | Ty::S16 | Ty::B16 | Ty::F16 | Ty::BF16 | Ty::E4M3x2 | Ty::E5M2x2 => 16,
        Ty::U32 | Ty::S32 | Ty::B32 | Ty::F16x2 | Ty::BF16x2 | Ty::F32 | Ty::TF32 | Ty::U16x2 | Ty::S16x2 => 32,
        Ty::U64 | Ty::S64 | Ty::B64 | Ty::F64 => 64,
    }
}

/// Whether a type is read as a number with a sign bit of its own.
pub(super) fn is_signed(ty: Ty) -> bool {
    matches!(ty, Ty::S8 | Ty::S16 | Ty::S32 | Ty::S64)
}

/// Whether a type is a floating-point type, packed ones included.
pub(super) fn is_float(ty: Ty) -> bool {
    matches!(ty, Ty::F16 | Ty::F16x2 | Ty::BF16 | Ty::BF16x2 | Ty::F32 | Ty::F64 | Ty::E4M3x2 | Ty::E5M2x2 | Ty::TF32)
}

/// No modifiers at all.
pub(super) const PLAIN: Mods = Mods { round: Round::None, ftz: false, sat: false, relu: false, nan: false };

impl<'a> Words<'a> {
    pub fn new(modifiers: &'a str) -> Words<'a> {
        Words { words: modifiers.split('.').filter(|word| !word.is_empty()).collect() }
    }

    /// Whether a modifier is there; it counts as used then.
    pub fn take(&mut self, word: &str) -> bool {
        match self.words.iter().position(|&w| w == word) {
            Some(at) => {
                self.words.remove(at);
                true
            }
            None => false,
        }
    }

    /// The first modifier that is left.
    pub fn first(&self) -> Option<&'a str> {
        self.words.first().copied()
    }

    /// The first modifier that the function maps to something.
    pub fn find<T>(&mut self, map: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (at, value) = self.words.iter().enumerate().find_map(|(at, word)| Some((at, map(word)?)))?;
        self.words.remove(at);
        Some(value)
    }

    /// The next type.
    pub fn ty(&mut self) -> Result<Ty, String> {
        self.find(ty_of).ok_or_else(|| match self.words.as_slice() {
            [] => "a type is missing".to_string(),
            words => format!("no supported type in .{}", words.join(".")),
        })
    }

    /// The next type, which must be one of these.
    pub fn ty_in(&mut self, allowed: &[Ty]) -> Result<Ty, String> {
        let ty = self.ty()?;
        if allowed.contains(&ty) { Ok(ty) } else { Err(format!("type {ty:?} is not supported here")) }
    }

    /// The next of these, or an error that lists them.
    pub fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Result<T, String> {
        self.find(|word| choices.iter().find(|(name, _)| *name == word).map(|&(_, value)| value)).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!(".{name}")).collect();
            format!("one of {} is missing", names.join(", "))
        })
    }

    /// A modifier that must be there.
    pub fn require(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) { Ok(()) } else { Err(format!("only supported with .{word}")) }
    }

    /// Rounding of float arithmetic.
    pub fn float_round(&mut self) -> Round {
        self.find(|word| {
            Some(match word {
                "rn" => Round::Nearest,
                "rna" => Round::NearestAway,
                "rz" => Round::Zero,
                "rp" => Round::Up,
                "rm" => Round::Down,
                _ => return None,
            })
        })
        .unwrap_or(Round::None)
    }

    /// Rounding to an integer.
    pub fn int_round(&mut self) -> Option<Round> {
        self.find(|word| {
            Some(match word {
                "rni" => Round::IntNearest,
                "rzi" => Round::IntZero,
                "rpi" => Round::IntUp,
                "rmi" => Round::IntDown,
                _ => return None,
            })
        })
    }

    /// Fails if a modifier was not understood.
    pub fn finish(&self) -> Result<(), String> {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(format!("modifier .{word} is not supported on this instruction")),
        }
    }
}
