//! Quantization of rows against the rule of the int8 format, written out again in plain loops.

use half::{bf16, f16};
use halfbyte::emulator::{Arch, Counters};
use halfbyte::manifest::Entry;

use super::{Arg, Bench, Random, UNTOUCHED, bytes_of, quantized};

/// Element of the input: its entry, its bytes, and its value as f32.
pub trait Element: bytemuck::Pod {
    const ENTRY: Entry;
    fn from_f32(x: f32) -> Self;
    fn to_f32(self) -> f32;
}

impl Element for f32 {
    const ENTRY: Entry = Entry::QuantizeRowsF32;
    fn from_f32(x: f32) -> Self {
        x
    }
    fn to_f32(self) -> f32 {
        self
    }
}

impl Element for f16 {
    const ENTRY: Entry = Entry::QuantizeRowsF16;
    fn from_f32(x: f32) -> Self {
        f16::from_f32(x)
    }
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
}

impl Element for bf16 {
    const ENTRY: Entry = Entry::QuantizeRowsBf16;
    fn from_f32(x: f32) -> Self {
        bf16::from_f32(x)
    }
    fn to_f32(self) -> f32 {
        bf16::to_f32(self)
    }
}

/// One launch on `rows` of `cols` elements, which start `offset` elements past an aligned address and lie `pad` apart.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub rows: usize,
    pub cols: usize,
    pub pad: usize,
    pub offset: usize,
    pub cached: bool,
    pub grid: usize,
}

/// The codes and the scale of a row.
fn expected<T: Element>(row: &[T]) -> (Vec<i8>, f32) {
    let values = || row.iter().map(|x| x.to_f32());
    if !values().all(f32::is_finite) {
        return (vec![0; row.len()], f32::from_bits(0x7FFF_FFFF));
    }
    let scale = values().fold(0f32, |m, x| m.max(x.abs())) / 127.0;
    if scale == 0.0 {
        return (vec![0; row.len()], scale);
    }
    (values().map(|x| (x / scale).round_ties_even().clamp(-127.0, 127.0) as i8).collect(), scale)
}

/// Runs a case on the values of `fill` and compares codes, padding, scales and status.
fn check<T: Element>(bench: &Bench, case: Case, fill: impl Fn(usize, usize) -> f32) {
    counted::<T>(bench, case, false, fill);
}

/// The same, and what was counted.
pub fn counted<T: Element>(bench: &Bench, case: Case, count: bool, fill: impl Fn(usize, usize) -> f32) -> Counters {
    let Case { rows, cols, pad, offset, cached, grid } = case;
    let ldx = cols + pad;
    let ldc = (cols + 1).next_multiple_of(16) + 16 * (cols % 2);
    // What lies between rows would raise every scale if it were read.
    let x: Vec<T> = (0..offset + rows * ldx)
        .map(|i| match i.checked_sub(offset) {
            Some(i) if i % ldx < cols => T::from_f32(fill(i / ldx, i % ldx)),
            _ => T::from_f32(3e38),
        })
        .collect();
    let at_x = bench.upload("x", &bytes_of(&x));
    let at_codes = bench.untouched("codes", rows * ldc);
    let at_scales = bench.untouched("scales", rows * 4);
    let at_status = bench.upload("status", &[0, 0, 0, 0x40]);
    let shared = if cached { (cols * size_of::<T>()).next_multiple_of(16) } else { 0 };
    let counters = bench.launch(
        T::ENTRY,
        grid as u32,
        shared as u32,
        count,
        &[
            ("x", Arg::Long(at_x + (offset * size_of::<T>()) as u64)),
            ("codes", Arg::Long(at_codes)),
            ("scales", Arg::Long(at_scales)),
            ("zeros", Arg::Long(0)),
            ("factors", Arg::Long(0)),
            ("status", Arg::Long(at_status)),
            ("ldx", Arg::Long(ldx as u64)),
            ("ldc", Arg::Long(ldc as u64)),
            ("rows", Arg::Word(rows as u32)),
            ("cols", Arg::Word(cols as u32)),
            ("cached", Arg::Word(u32::from(cached))),
        ],
    );

    let (mut codes, mut scales, mut bad) = (vec![UNTOUCHED; rows * ldc], Vec::new(), 0u8);
    for i in 0..rows {
        let (row, scale) = expected(&x[offset + i * ldx..][..cols]);
        codes[i * ldc..][..ldc].fill(0);
        codes[i * ldc..][..cols].copy_from_slice(bytemuck::cast_slice(&row));
        bad |= u8::from(scale.is_nan());
        scales.extend(scale.to_le_bytes());
    }
    let got = bench.download(at_codes, rows * ldc);
    if let Some(i) = (0..got.len()).find(|&i| got[i] != codes[i]) {
        panic!("{case:?}: code [{}, {}] is {}, not {}", i / ldc, i % ldc, got[i] as i8, codes[i] as i8);
    }
    assert_eq!(bench.download(at_scales, rows * 4), scales, "{case:?}");
    assert_eq!(bench.download(at_status, 4), [bad, 0, 0, 0x40], "{case:?}: only bit 0 is ours");
    bench.free(&[at_x, at_codes, at_scales, at_status]);
    counters
}

/// Columns around vectors, warps and blocks; strides that allow vectors and that do not; fewer blocks than rows.
pub fn shapes<T: Element>(bench: &Bench) -> usize {
    let mut cases = 0;
    for cols in [1, 7, 8, 129, 1000, 2051, 4096] {
        for (pad, offset) in [(0, 0), (3, 0), ((8 - cols % 8) % 8, 0), ((8 - cols % 8) % 8, 1)] {
            for cached in [false, true] {
                let case = Case { rows: 3, cols, pad, offset, cached, grid: 1 + cols % 3 };
                let mut random = Random::new(&format!("{case:?}"));
                let values: Vec<f32> = (0..3 * cols).map(|_| random.float() * 1e3).collect();
                check::<T>(bench, case, |i, j| values[i * cols + j]);
                cases += 1;
            }
        }
    }
    cases
}

#[test]
fn rows_of_every_type_and_stride() {
    let bench = Bench::new(Arch::Sm80);
    assert_eq!((shapes::<f32>(&bench), shapes::<f16>(&bench), shapes::<bf16>(&bench)), (56, 56, 56));
}

/// Zero rows, subnormals, the largest numbers, ties, and what is not finite: one row of each.
fn special<T: Element>(bench: &Bench) {
    let cols = 200;
    let rows: [fn(usize) -> f32; 10] = [
        |_| 0.0,
        |j| if j % 2 == 0 { -0.0 } else { 0.0 },
        |j| f32::from_bits(j as u32),
        // A scale that is rounded to zero.
        |j| f32::from_bits(j as u32 % 64) * if j % 2 == 0 { 1.0 } else { -1.0 },
        |j| f32::from_bits(70 + j as u32 % 120) * if j % 2 == 0 { 1.0 } else { -1.0 },
        |j| if j == 9 { 127.0 } else { j as f32 - 100.5 },
        |j| if j == 199 { -3e38 } else { 1.5e38 },
        |j| if j == 150 { f32::NAN } else { 1.0 },
        |j| if j == 0 { f32::INFINITY } else { 1.0 },
        |j| if j == 199 { f32::NEG_INFINITY } else { f32::MIN_POSITIVE },
    ];
    for cached in [false, true] {
        for pad in [0, 1] {
            // All at once, then each alone, so that the status of each shows.
            let case = Case { rows: rows.len(), cols, pad, offset: 0, cached, grid: 4 };
            check::<T>(bench, case, |i, j| rows[i](j));
            for row in rows {
                check::<T>(bench, Case { rows: 1, grid: 1, ..case }, |_, j| row(j));
            }
        }
    }
}

#[test]
fn what_is_zero_tiny_huge_or_not_finite() {
    let bench = Bench::new(Arch::Sm80);
    special::<f32>(&bench);
    special::<f16>(&bench);
    special::<bf16>(&bench);
}

/// Every f16, which is every rounding that can happen to one.
#[test]
fn every_finite_f16() {
    let bench = Bench::new(Arch::Sm80);
    let case = Case { rows: 62, cols: 1024, pad: 0, offset: 0, cached: true, grid: 62 };
    // Rows of one exponent and sign: 31 finite exponents, two signs.
    check::<f16>(&bench, case, |i, j| f16::from_bits(((i / 2) << 10 | (i % 2) << 15 | j) as u16).to_f32());
}

/// The entries beside those of int8 without zero points.
pub fn others() -> Vec<Entry> {
    ["_zero_", "_e4m3_", "_e5m2_"].iter().flat_map(|part| quantized::entries("quantize_rows", part)).collect()
}

fn scheme(entry: Entry) -> quantized::Scheme {
    if entry.row().symbol.contains("_zero_") { quantized::Scheme::Zeros } else { quantized::Scheme::Rows }
}

/// Zero points, 8-bit floats and factors: columns around vectors and blocks, strides that allow vectors and that do
/// not.
pub fn other_shapes(bench: &Bench, entry: Entry) -> usize {
    let vector = 16 / quantized::size(entry);
    let mut cases = 0;
    for (i, cols) in [1usize, 7, 8, 129, 1000, 2051].into_iter().enumerate() {
        for (j, cached) in [false, true, true].into_iter().enumerate() {
            let aligned = (i + j) % 2 == 0;
            let pad = if aligned { cols.next_multiple_of(vector) - cols } else { 1 + j };
            let (offset, factors, wide, grid) = (j * usize::from(!aligned), (i + j) % 3 == 0, 16 * (j % 2), 1 + i % 3);
            let new = quantized::Case::new(entry, scheme(entry), (4, cols));
            quantized::random(bench, quantized::Case { cached, pad, offset, factors, wide, grid, ..new });
            cases += 1;
        }
    }
    cases
}

#[test]
fn zero_points_and_8_bit_floats() {
    let bench = Bench::new(Arch::Sm89);
    let cases: Vec<usize> = others().into_iter().map(|entry| other_shapes(&bench, entry)).collect();
    assert_eq!(cases, [18; 9]);
    // Factors of int8 codes without zero points.
    for entry in [Entry::QuantizeRowsF32, Entry::QuantizeRowsF16, Entry::QuantizeRowsBf16] {
        assert_eq!(other_shapes(&bench, entry), 18);
    }
}

#[test]
fn other_codes_of_what_is_zero_tiny_huge_or_not_finite() {
    let bench = Bench::new(Arch::Sm89);
    for entry in others() {
        for cached in [false, true] {
            let case = quantized::Case { cached, grid: 3, ..quantized::Case::new(entry, scheme(entry), (1, 200)) };
            quantized::special(&bench, case);
            quantized::special(&bench, quantized::Case { pad: 1, cols: 77, ..case });
        }
    }
}
