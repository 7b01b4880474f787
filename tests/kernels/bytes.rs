//! 8-bit codes that are turned, and that are added up.

use halfbyte::emulator::{Arch, Counters};
use halfbyte::manifest::Entry;

use super::{Arg, Bench, Random, UNTOUCHED};

/// Turns `[rows, cols]`, whose rows lie `pad` apart and `offset` past an aligned address.
pub fn turned(
    bench: &Bench,
    (rows, cols): (usize, usize),
    pad: usize,
    offset: usize,
    wide: usize,
    grid: u32,
    count: bool,
) -> Counters {
    let what = format!("{rows} x {cols}, {pad} apart, {offset} off, {wide} wide, {grid} blocks");
    let mut random = Random::new(&what);
    let (ldx, ldd) = (cols + pad, rows.next_multiple_of(16) + wide);
    // Nothing follows the last row.
    let x: Vec<u8> = (0..offset + (rows - 1) * ldx + cols).map(|_| random.code() as u8).collect();
    let (at_x, at_d) = (bench.upload("x", &x), bench.untouched("d", cols * ldd));
    let counters = bench.launch(
        Entry::TransposeBytesB8,
        grid,
        0,
        count,
        &[
            ("x", Arg::Long(at_x + offset as u64)),
            ("d", Arg::Long(at_d)),
            ("ldx", Arg::Long(ldx as u64)),
            ("ldd", Arg::Long(ldd as u64)),
            ("rows", Arg::Word(rows as u32)),
            ("cols", Arg::Word(cols as u32)),
        ],
    );
    let got = bench.download(at_d, cols * ldd);
    for (i, &byte) in got.iter().enumerate() {
        let (n, k) = (i / ldd, i % ldd);
        let want = if k < rows { x[offset + k * ldx + n] } else { 0 };
        assert_eq!(byte, want, "{what}: [{n}, {k}]");
    }
    bench.free(&[at_x, at_d]);
    counters
}

pub fn turned_shapes(bench: &Bench) -> usize {
    let shapes = [(1, 1), (128, 128), (130, 65), (16, 400), (259, 131), (300, 4), (5, 127)];
    for (i, shape) in shapes.into_iter().enumerate() {
        for (pad, offset) in [(0, 0), ((4 - shape.1 % 4) % 4, 0), (3, 1), ((4 - shape.1 % 4) % 4, 2)] {
            turned(bench, shape, pad, offset, 16 * (i % 3) * (1 + 8 * (i % 2)), 1 + i as u32 % 4, false);
        }
    }
    4 * shapes.len()
}

#[test]
fn transpose_bytes_of_every_stride() {
    assert_eq!(turned_shapes(&Bench::new(Arch::Sm80)), 28);
}

/// Adds up rows of all codes, or of one.
pub fn summed(
    bench: &Bench,
    (rows, cols): (usize, usize),
    pad: usize,
    offset: usize,
    grid: u32,
    one: Option<i8>,
    count: bool,
) -> Counters {
    let what = format!("{rows} x {cols}, {pad} apart, {offset} off, {grid} blocks, {one:?}");
    let mut random = Random::new(&what);
    let ldc = cols + pad;
    let codes: Vec<i8> = (0..offset + (rows - 1) * ldc + cols).map(|_| one.unwrap_or_else(|| random.code())).collect();
    let at_codes = bench.upload("codes", bytemuck::cast_slice(&codes));
    let at_sums = bench.untouched("sums", 4 * rows + 4);
    let counters = bench.launch(
        Entry::ColumnSumsS8,
        grid,
        0,
        count,
        &[
            ("codes", Arg::Long(at_codes + offset as u64)),
            ("sums", Arg::Long(at_sums)),
            ("ldc", Arg::Long(ldc as u64)),
            ("rows", Arg::Word(rows as u32)),
            ("cols", Arg::Word(cols as u32)),
        ],
    );
    let mut want: Vec<u8> = Vec::new();
    for n in 0..rows {
        let sum: i64 = codes[offset + n * ldc..][..cols].iter().copied().map(i64::from).sum();
        want.extend((sum as i32).to_le_bytes());
    }
    want.extend([UNTOUCHED; 4]);
    assert_eq!(bench.download(at_sums, want.len()), want, "{what}");
    bench.free(&[at_codes, at_sums]);
    counters
}

pub fn summed_shapes(bench: &Bench) -> usize {
    let shapes = [(1, 1), (9, 0), (8, 16), (17, 31), (3, 512), (5, 533), (40, 1100)];
    for (i, shape) in shapes.into_iter().enumerate() {
        for (pad, offset) in [(0, 0), ((16 - shape.1 % 16) % 16, 0), (3, 1), ((16 - shape.1 % 16) % 16, 8)] {
            summed(bench, shape, pad, offset, 1 + i as u32 % 3, None, false);
        }
    }
    4 * shapes.len()
}

#[test]
fn column_sums_of_every_stride() {
    let bench = Bench::new(Arch::Sm80);
    assert_eq!(summed_shapes(&bench), 28);
    for code in [-128, 127, -1] {
        summed(&bench, (2, 70_000), 0, 0, 1, Some(code), false);
    }
}
