//! The products by `mma` as tests see them: which there are, what they multiply, and on what they run.

use half::{bf16, f16};
use halfbyte::emulator::Arch;
use halfbyte::manifest::{ROWS, Row};

/// Every product by `mma`.
pub fn entries() -> impl Iterator<Item = &'static Row> {
    all().filter(|row| super::tried(row))
}

fn all() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| row.params.name == "GemmMmaParams")
}

/// Cases of a test that runs `each` of every entry.
pub fn of_every_entry(each: usize) -> usize {
    assert_eq!(all().count(), 48);
    entries().count() * each
}

/// The least device that runs a row.
pub fn floor(row: &Row) -> Arch {
    if row.targets[0].capability() == 89 { Arch::Sm89 } else { Arch::Sm80 }
}

/// An element as the kernel names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Element {
    S8,
    F16,
    Bf16,
    E4m3,
    E5m2,
}

impl Element {
    pub fn size(self) -> usize {
        if matches!(self, Element::F16 | Element::Bf16) { 2 } else { 1 }
    }

    /// The bits of an integer from −4 to 4.
    pub fn encode(self, value: i32) -> Vec<u8> {
        let float = f16::from_f32(value as f32).to_bits();
        match self {
            Element::S8 => vec![value as i8 as u8],
            Element::F16 => float.to_le_bytes().to_vec(),
            Element::Bf16 => bf16::from_f32(value as f32).to_bits().to_le_bytes().to_vec(),
            // The upper byte of an f16.
            Element::E5m2 => vec![(float >> 8) as u8],
            // Eight steps between powers of two, 1 being 7 * 8.
            Element::E4m3 => {
                vec![[0, 0x38, 0x40, 0x44, 0x48][value.unsigned_abs() as usize] | ((value < 0) as u8) << 7]
            }
        }
    }
}

/// What a row multiplies, and whether K lies down the rows of a and of b.
pub fn kind(row: &Row) -> ([Element; 2], [bool; 2]) {
    let name = row.call.split("gemm::").nth(1).unwrap().split(',').next().unwrap();
    let elements = match name {
        "S8" => [Element::S8; 2],
        "F16" => [Element::F16; 2],
        "Bf16" => [Element::Bf16; 2],
        _ => {
            let (a, b) = name.split_at(4);
            [a, b].map(|x| if x == "E4m3" { Element::E4m3 } else { Element::E5m2 })
        }
    };
    let ways: Vec<&str> = row.call.trim_end_matches('>').split(", ").skip(7).collect();
    (elements, [0, 1].map(|side| ways.get(side) == Some(&"false")))
}
