//! By which copies the operands of a product come, and why.

use std::fmt;

use super::args::{GemmArgs, GemmElement, Strided};
use crate::device::{Element, Region};

/// How the tiles of an operand come to shared memory. Both loops of a kernel multiply alike: the copies are all that
/// differs, and the bits of the output are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Copies {
    /// By asynchronous copies of 16 bytes.
    Vectors,
    /// By asynchronous copies of 4 bytes.
    Words,
    /// By the threads themselves, element by element.
    Elements,
}

impl Copies {
    /// Those of the greatest alignment that all rows have.
    pub(super) fn of_unit(unit: u32) -> Copies {
        match unit {
            16 => Copies::Vectors,
            4 => Copies::Words,
            _ => Copies::Elements,
        }
    }
}

/// By which copies the operands of a run come, and what keeps each from copies of 16 bytes. For reading:
/// `println!("{path}")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Those of a.
    pub a: Copies,
    /// Those of b.
    pub b: Copies,
    why: [String; 2],
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sides = [("a", self.a), ("b", self.b)];
        for (i, ((name, copies), why)) in sides.into_iter().zip(&self.why).enumerate() {
            let how = match copies {
                Copies::Vectors => "copies of 16 bytes",
                Copies::Words => "copies of 4 bytes",
                Copies::Elements => "its elements",
            };
            write!(f, "{}{name} by {how}{why}", if i == 0 { "" } else { "; " })?;
        }
        // One loop serves both operands.
        match (self.a, self.b) {
            (Copies::Vectors, Copies::Vectors) => f.write_str(": the fast loop"),
            _ => f.write_str(": the loop for any alignment, for both operands"),
        }
    }
}

impl<A: GemmElement, B: GemmElement, O> GemmArgs<'_, A, B, O> {
    /// By which copies the operands would come.
    pub fn path(&self) -> Path {
        let (a, b) = (of(&self.a), of(&self.b));
        Path { a: a.0, b: b.0, why: [a.1, b.1] }
    }
}

/// The copies of an operand, and of its address, leading dimension and stride the first that is aligned worst.
fn of<T: Element>(operand: &Strided<'_, T>) -> (Copies, String) {
    let size = size_of::<T>();
    let [address, ld, stride] =
        [operand.view.span().address, operand.ld.wrapping_mul(size) as u64, operand.stride.wrapping_mul(size) as u64];
    let unit = unit([address, ld, stride], size);
    if unit == 16 {
        return (Copies::Vectors, String::new());
    }
    let least = |at: u64| at.trailing_zeros();
    let why = if least(address) <= least(ld).min(least(stride)) {
        format!(" (it starts at byte {address:#x}, which is no multiple of 16)")
    } else if least(ld) <= least(stride) {
        format!(" (its rows are {ld} bytes apart, which is no multiple of 16)")
    } else {
        format!(" (its matrices are {stride} bytes apart, which is no multiple of 16)")
    };
    (Copies::of_unit(unit), why)
}

/// The greatest of 16, 4 and an element's size that an address, a leading dimension and a stride in bytes are multiples
/// of.
pub(super) fn unit(parts: [u64; 3], size: usize) -> u32 {
    match (parts[0] | parts[1] | parts[2]).trailing_zeros() {
        4.. => 16,
        2.. => 4,
        _ => size as u32,
    }
}
