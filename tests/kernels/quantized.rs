//! Quantizers of floats with every parameter chosen by hand, against their rules in plain f32 loops.

use half::{bf16, f16};
use halfbyte::emulator::Counters;
use halfbyte::manifest::{Entry, ROWS, Row};

use super::{Arg, Bench, Random, UNTOUCHED};

/// Which numbers share a scale, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scheme {
    Rows,
    Zeros,
    Groups(usize),
    Given(f32, Option<i32>),
}

/// One launch: `rows` rows of `cols` codes.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub entry: Entry,
    pub scheme: Scheme,
    pub rows: usize,
    pub cols: usize,
    /// Elements between the rows of x, and before the first.
    pub pad: usize,
    pub offset: usize,
    /// Bytes of padding beyond the least.
    pub wide: usize,
    pub factors: bool,
    /// Scales of groups: group by group, with gaps, instead of row by row.
    pub by_group: bool,
    pub cached: bool,
    /// Blocks; of columns, those that share a strip.
    pub grid: usize,
}

impl Case {
    pub fn new(entry: Entry, scheme: Scheme, (rows, cols): (usize, usize)) -> Case {
        let (pad, offset, wide, factors, by_group, cached, grid) = (0, 0, 0, false, false, false, 1);
        Case { entry, scheme, rows, cols, pad, offset, wide, factors, by_group, cached, grid }
    }
}

/// The entries of a source with so many of codes that symbols name.
pub fn entries(source: &str, part: &str) -> Vec<Entry> {
    let of = |row: &&Row| row.source.rsplit('/').next() == Some(source) && row.symbol.contains(part);
    ROWS.iter().filter(of).map(|row| row.entry).collect()
}

/// Bytes of an element of x.
pub fn size(entry: Entry) -> usize {
    if entry.row().symbol.ends_with("_f32") { 4 } else { 2 }
}

/// An element of x in memory.
fn bytes(entry: Entry, x: f32) -> Vec<u8> {
    match entry.row().symbol.rsplit('_').next() {
        Some("f16") => f16::from_f32(x).to_le_bytes().to_vec(),
        Some("bf16") => bf16::from_f32(x).to_le_bytes().to_vec(),
        _ => x.to_le_bytes().to_vec(),
    }
}

/// The number that a kernel reads there.
fn rounded(entry: Entry, x: f32) -> f32 {
    match entry.row().symbol.rsplit('_').next() {
        Some("f16") => f16::from_f32(x).to_f32(),
        Some("bf16") => bf16::from_f32(x).to_f32(),
        _ => x,
    }
}

/// An 8-bit float of `fraction` bits whose least normal number is 2^`least`, by the spacing of its numbers.
pub fn fp8(q: f32, fraction: i32, least: i32, most: u8) -> u8 {
    if q.is_nan() {
        return 0x7f;
    }
    let sign = if q.is_sign_negative() { 0x80 } else { 0 };
    let exponent = ((q.abs().to_bits() >> 23) as i32 - 127).max(least);
    // A power of two: the division is exact in f64.
    let steps = (f64::from(q.abs()) / 2f64.powi(exponent - fraction)).round_ties_even();
    let code = f64::from((exponent - least) << fraction) + steps;
    sign | code.min(most.into()) as u8
}

fn code(entry: Entry, v: f32, (scale, zero, least): (f32, i32, i32)) -> u8 {
    let (q, symbol) = (v / scale, entry.row().symbol);
    if scale.is_nan() || scale <= 0.0 {
        0
    } else if symbol.contains("e4m3") {
        fp8(q, 3, -6, 0x7e)
    } else if symbol.contains("e5m2") {
        fp8(q, 2, -14, 0x7b)
    } else if q.is_nan() {
        zero as u8
    } else {
        (f64::from(q).round_ties_even() + f64::from(zero)).clamp(least.into(), 127.0) as i8 as u8
    }
}

const NAN: f32 = f32::from_bits(0x7FFF_FFFF);

/// Scale, zero point and least code of some numbers.
fn scale(entry: Entry, scheme: Scheme, v: &[f32]) -> (f32, i32, i32) {
    if let Scheme::Given(scale, zero) = scheme {
        return (scale, zero.unwrap_or(0).clamp(-128, 127), if zero.is_some() { -128 } else { -127 });
    }
    if v.iter().any(|v| !v.is_finite()) {
        return (NAN, 0, 0);
    }
    if scheme == Scheme::Zeros {
        let high = v.iter().copied().fold(0f32, f32::max);
        let low = v.iter().copied().fold(0f32, f32::min);
        let wide = (high - low).is_infinite();
        let scale = if wide { (high / 2.0 - low / 2.0) / 127.5 } else { (high - low) / 255.0 };
        let zero = if scale > 0.0 { (-128.0 - low / scale).round_ties_even().clamp(-128.0, 127.0) as i32 } else { 0 };
        return (scale, zero, -128);
    }
    let symbol = entry.row().symbol;
    let most = if symbol.contains("e4m3") {
        448.0
    } else if symbol.contains("e5m2") {
        57344.0
    } else {
        127.0
    };
    (v.iter().fold(0f32, |m, v| m.max(v.abs())) / most, 0, -127)
}

/// Runs a case on the values of `fill` (row and column of the codes) and compares codes, padding, scales, zero points
/// and status, byte for byte. Returns what was counted.
pub fn check(bench: &Bench, case: Case, count: bool, fill: impl Fn(usize, usize) -> f32) -> Counters {
    let Case { entry, scheme, rows, cols, pad, offset, wide, factors, by_group, cached, grid } = case;
    let (row, size) = (entry.row(), size(entry));
    let down = row.source.ends_with("quantize_columns");
    let ldc = cols.next_multiple_of(16) + wide;
    let (tall, across) = if down { (cols, rows) } else { (rows, cols) };
    let ldx = across + pad;
    // What lies between rows would raise every scale if it were read; nothing follows the last.
    let x: Vec<f32> = (0..offset + (tall - 1) * ldx + across)
        .map(|i| match i.checked_sub(offset) {
            Some(i) if i % ldx < across && down => fill(i % ldx, i / ldx),
            Some(i) if i % ldx < across => fill(i / ldx, i % ldx),
            _ => 3e38,
        })
        .collect();
    let factor: Vec<f32> = (0..cols).map(|k| [0.5, 3.0, 0.001, 1.7][k % 4] + k as f32 / 512.0).collect();
    let data: Vec<u8> = x.iter().flat_map(|&x| bytes(entry, x)).collect();
    let group = if let Scheme::Groups(group) = scheme { group } else { 0 };
    let groups = if group > 0 { cols.div_ceil(group) } else { 1 };
    let (scale_row, scale_group) = if by_group { (2, 2 * rows + 3) } else { (groups + 1, 1) };
    let (scale_row, scale_group) = if group > 0 { (scale_row, scale_group) } else { (1, 0) };
    let scale_count = (rows - 1) * scale_row + (groups.max(1) - 1) * scale_group + 1;

    let at_x = bench.upload("x", &data);
    let at_codes = bench.untouched("codes", rows * ldc);
    let at_scales = bench.untouched("scales", 4 * scale_count);
    let at_zeros = bench.untouched("zeros", 4 * rows);
    let at_factors = bench.upload("factors", &super::bytes_of(&factor));
    let at_status = bench.upload("status", &[0, 0, 0, 0x40]);
    let (given, zero) = if let Scheme::Given(scale, zero) = scheme { (Some(scale), zero) } else { (None, None) };
    let at_scale = bench.upload("scale", &given.unwrap_or(0.0).to_le_bytes());
    let at_zero = bench.upload("zero", &zero.unwrap_or(0).to_le_bytes());
    let all = [at_x, at_codes, at_scales, at_zeros, at_factors, at_status, at_scale, at_zero];
    let long = |at: u64, there: bool| Arg::Long(if there { at } else { 0 });
    let mut args = vec![
        ("x", Arg::Long(at_x + (offset * size) as u64)),
        ("codes", Arg::Long(at_codes)),
        ("scales", long(at_scales, given.is_none())),
        ("factors", long(at_factors, factors)),
        ("status", Arg::Long(at_status)),
        ("ldx", Arg::Long(ldx as u64)),
        ("ldc", Arg::Long(ldc as u64)),
        ("rows", Arg::Word(rows as u32)),
        ("cols", Arg::Word(cols as u32)),
    ];
    let (mut blocks, mut shared) = (grid, 0);
    if row.source.ends_with("quantize_rows") {
        shared = if cached { (cols * size).next_multiple_of(16) } else { 0 };
        args.extend([("zeros", long(at_zeros, scheme == Scheme::Zeros)), ("cached", Arg::Word(cached.into()))]);
    } else {
        args.extend([("scale", long(at_scale, given.is_some())), ("zero", long(at_zero, zero.is_some()))]);
        args.extend([("scale_row", Arg::Long(scale_row as u64)), ("scale_group", Arg::Long(scale_group as u64))]);
        args.push(("group", Arg::Word(group as u32)));
        if down {
            args.push(("splits", Arg::Word(grid as u32)));
            blocks = grid * rows.div_ceil(32);
        }
    }
    let counters = bench.launch(entry, blocks as u32, shared as u32, count, &args);

    let mut codes = vec![0; rows * ldc];
    let (mut scales, mut zeros) = (vec![UNTOUCHED; 4 * scale_count], vec![UNTOUCHED; 4 * rows]);
    let mut bad = 0u8;
    for m in 0..rows {
        let v: Vec<f32> =
            (0..cols).map(|k| rounded(entry, fill(m, k)) * if factors { factor[k] } else { 1.0 }).collect();
        bad |= u8::from(v.iter().any(|v| !v.is_finite()));
        for g in 0..groups {
            let of = if group > 0 { g * group..cols.min((g + 1) * group) } else { 0..cols };
            let made = scale(entry, scheme, &v[of.clone()]);
            for k in of {
                codes[m * ldc + k] = code(entry, v[k], made);
            }
            if given.is_none() {
                let at = 4 * (m * scale_row + g * scale_group);
                scales[at..at + 4].copy_from_slice(&made.0.to_le_bytes());
            }
            if scheme == Scheme::Zeros {
                zeros[4 * m..4 * m + 4].copy_from_slice(&made.1.to_le_bytes());
            }
        }
    }
    let got = bench.download(at_codes, rows * ldc);
    if let Some(i) = (0..got.len()).find(|&i| got[i] != codes[i]) {
        panic!("{case:?}: code [{}, {}] is {:#x}, not {:#x}", i / ldc, i % ldc, got[i], codes[i]);
    }
    assert_eq!(bench.download(at_scales, scales.len()), scales, "{case:?}: scales");
    assert_eq!(bench.download(at_zeros, zeros.len()), zeros, "{case:?}: zero points");
    assert_eq!(bench.download(at_status, 4), [bad, 0, 0, 0x40], "{case:?}: only bit 0 is ours");
    bench.free(&all);
    counters
}

/// The same on random numbers, of another size in every row and group.
pub fn random(bench: &Bench, case: Case) {
    let mut random = Random::new(&format!("{case:?}"));
    let values: Vec<f32> = (0..case.rows * case.cols).map(|_| random.float()).collect();
    let size = |m: usize, k: usize| 2f32.powi((m * 5 % 11) as i32 - 3 + (k / 64) as i32 % 5) + m as f32 / 16.0;
    check(bench, case, false, |m, k| values[m * case.cols + k] * size(m, k));
}

/// Zeros of both signs, subnormals, the largest numbers, ties, and what is not finite: one row of each, all at once and
/// each alone, so that the status of each shows.
pub fn special(bench: &Bench, case: Case) {
    let last = case.cols - 1;
    let ties = if size(case.entry) == 4 { 448.0 } else { 127.0 };
    let rows: [&dyn Fn(usize) -> f32; 15] = [
        &|_| 0.0,
        &|k| if k % 2 == 0 { -0.0 } else { 0.0 },
        &|k| f32::from_bits(k as u32),
        &|k| f32::from_bits(k as u32 % 64) * if k % 2 == 0 { 1.0 } else { -1.0 },
        &|k| f32::from_bits(70 + k as u32 % 120) * if k % 2 == 0 { 1.0 } else { -1.0 },
        // A scale so small that it is rounded far down: a zero point would leave a byte.
        &|k| -f32::from_bits(200 + k as u32 % 100),
        &|k| if k % 64 == 9 { 127.0 } else { k as f32 - 100.5 },
        &|k| if k % 64 == 9 { ties } else { (k as f32 + 0.5) / 16.0 },
        &|k| 20.0 + (k % 50) as f32,
        &|k| -20.0 - (k % 50) as f32,
        &|k| if k % 64 == 40 { -3.3e38 } else { 1.5e38 + k as f32 * 1e36 },
        &|k| if k == last / 2 { f32::NAN } else { 1.0 },
        &|k| if k == 0 { f32::INFINITY } else { 1.0 },
        &|k| if k == last { f32::NEG_INFINITY } else { f32::MIN_POSITIVE },
        &|k| if k == last { -f32::NAN } else { k as f32 },
    ];
    check(bench, Case { rows: rows.len(), ..case }, false, |m, k| rows[m](k));
    for row in rows {
        check(bench, Case { rows: 1, ..case }, false, |_, k| row(k));
    }
}
