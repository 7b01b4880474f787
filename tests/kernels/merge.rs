//! Partial results of attention joined, with every stride chosen by hand, against the formula in f64 loops.

use half::{bf16, f16};
use halfbyte::emulator::{Arch, Counters};
use halfbyte::manifest::Entry;

use super::{Arg, Bench, Random, UNTOUCHED};

const NONE: f32 = f32::NEG_INFINITY;
pub const ENTRIES: [Entry; 3] = [Entry::MergeF32, Entry::MergeF16, Entry::MergeBf16];

/// One launch.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub entry: Entry,
    pub parts: usize,
    pub tokens: usize,
    pub heads: usize,
    pub dv: usize,
    /// Tokens of a head side by side, instead of heads of a token.
    pub by_head: bool,
    /// Elements between rows, and between the rows of one head, token or part and of the next.
    pub pad: usize,
    pub gap: usize,
    /// Elements before the first, and more between the rows of the result.
    pub offset: usize,
    pub more: usize,
    /// An f32 result.
    pub wide: bool,
    /// Whether the log-sum-exps are wanted.
    pub lse: bool,
    pub grid: u32,
}

impl Case {
    pub fn new(entry: Entry, parts: usize, [tokens, heads, dv]: [usize; 3]) -> Case {
        let (by_head, pad, gap, offset, more, wide, lse, grid) = (false, 0, 0, 0, 0, false, true, 1);
        Case { entry, parts, tokens, heads, dv, by_head, pad, gap, offset, more, wide, lse, grid }
    }

    fn size(&self) -> usize {
        if self.entry == Entry::MergeF32 { 4 } else { 2 }
    }

    /// Bytes of a number of the result.
    fn out_size(&self) -> usize {
        if self.wide { 4 } else { self.size() }
    }

    /// Elements from a token to the next, from a head to the next, and of all, with so many between them.
    fn strides(&self, pad: usize) -> [usize; 3] {
        let (row, gap) = (self.dv + pad, self.gap);
        match self.by_head {
            true => [row, self.tokens * row + gap, self.heads * (self.tokens * row + gap) + gap],
            false => [self.heads * row + gap, row, self.tokens * (self.heads * row + gap) + gap],
        }
    }

    fn lse_strides(&self) -> [usize; 2] {
        let head = self.tokens + self.pad;
        [head, self.heads * head + 2 * self.pad]
    }

    /// A number as it is stored, in its first bytes.
    fn bytes(&self, x: f32) -> [u8; 4] {
        match self.entry {
            Entry::MergeF16 => u32::from(f16::from_f32(x).to_bits()).to_le_bytes(),
            Entry::MergeBf16 => u32::from(bf16::from_f32(x).to_bits()).to_le_bytes(),
            _ => x.to_le_bytes(),
        }
    }

    /// A number as it is read.
    fn number(&self, bytes: &[u8]) -> f32 {
        let short = || u16::from_le_bytes([bytes[0], bytes[1]]);
        match (bytes.len(), self.entry) {
            (4, _) => f32::from_le_bytes(bytes.try_into().unwrap()),
            (_, Entry::MergeF16) => f16::from_bits(short()).to_f32(),
            _ => bf16::from_bits(short()).to_f32(),
        }
    }

    /// Largest relative and least absolute error of one rounding of the result.
    fn rounding(&self) -> (f64, f64) {
        match (self.wide, self.entry) {
            (false, Entry::MergeF16) => (2f64.powi(-11), 2f64.powi(-25)),
            (false, Entry::MergeBf16) => (2f64.powi(-8), 2f64.powi(-134)),
            _ => (0.0, 2f64.powi(-149)),
        }
    }
}

/// What a launch gave: `[tokens, heads, dv]` and `[heads, tokens]`.
pub struct Got {
    pub out: Vec<f32>,
    pub lse: Vec<f32>,
    pub counters: Counters,
}

/// Runs a case on numbers by (part, token, head, column) and log-sum-exps by (part, head, token). Numbers of a part
/// that has none are NaN, and on a checked machine were never written; nothing between the rows may be.
pub fn run(
    bench: &Bench,
    case: Case,
    count: bool,
    number: impl Fn(usize, usize, usize, usize) -> f32,
    lse: impl Fn(usize, usize, usize) -> f32,
) -> Got {
    let Case { entry, parts, tokens, heads, dv, pad, offset, .. } = case;
    let (size, out_size) = (case.size(), case.out_size());
    let ([token, head, part], [lse_head, lse_part]) = (case.strides(pad), case.lse_strides());
    let [out_token, out_head, of_all] = case.strides(pad + case.more);
    let checked = bench.machine.options().checked;
    let fresh = |name: &str, bytes: usize| match checked {
        true => bench.fresh(name, bytes),
        false => bench.upload(name, &vec![0xff; bytes]),
    };
    // Nothing follows the last row.
    let at_parts =
        fresh("parts", size * (offset + (parts - 1) * part + (tokens - 1) * token + (heads - 1) * head + dv));
    let at_lse = fresh("lse", 4 * (offset + (parts - 1) * lse_part + (heads - 1) * lse_head + tokens));
    for p in 0..parts {
        for h in 0..heads {
            for t in 0..tokens {
                let known = lse(p, h, t);
                let at = at_lse + 4 * (offset + p * lse_part + h * lse_head + t) as u64;
                bench.machine.write(at, &known.to_le_bytes()).unwrap();
                if known != NONE {
                    let row: Vec<u8> = (0..dv).flat_map(|c| case.bytes(number(p, t, h, c))[..size].to_vec()).collect();
                    let at = at_parts + (size * (offset + p * part + t * token + h * head)) as u64;
                    bench.machine.write(at, &row).unwrap();
                }
            }
        }
    }
    let out_len = offset + of_all;
    let (at_out, at_lse_out) = (bench.untouched("out", out_size * out_len), bench.untouched("lse_out", 4 * lse_part));
    let counters = bench.launch(
        entry,
        case.grid,
        0,
        count,
        &[
            ("parts", Arg::Long(at_parts + (size * offset) as u64)),
            ("lse", Arg::Long(at_lse + 4 * offset as u64)),
            ("out", Arg::Long(at_out + (out_size * offset) as u64)),
            ("lse_out", Arg::Long(if case.lse { at_lse_out } else { 0 })),
            ("part_stride", Arg::Long(part as u64)),
            ("part_token", Arg::Long(token as u64)),
            ("part_head", Arg::Long(head as u64)),
            ("lse_part", Arg::Long(lse_part as u64)),
            ("lse_head", Arg::Long(lse_head as u64)),
            ("out_token", Arg::Long(out_token as u64)),
            ("out_head", Arg::Long(out_head as u64)),
            ("lse_out_head", Arg::Long(lse_head as u64)),
            ("count", Arg::Word(parts as u32)),
            ("tokens", Arg::Word(tokens as u32)),
            ("heads", Arg::Word(heads as u32)),
            ("dv", Arg::Word(dv as u32)),
            ("out_f32", Arg::Word(case.wide.into())),
        ],
    );
    let (out, lse_out) = (bench.download(at_out, out_size * out_len), bench.download(at_lse_out, 4 * lse_part));
    let mut got = Got { out: Vec::new(), lse: Vec::new(), counters };
    let mut written = vec![false; out_len];
    for t in 0..tokens {
        for h in 0..heads {
            let first = offset + t * out_token + h * out_head;
            written[first..first + dv].fill(true);
            got.out.extend(out[out_size * first..out_size * (first + dv)].chunks(out_size).map(|b| case.number(b)));
        }
    }
    let clean = |bytes: &[u8]| bytes.iter().all(|&byte| byte == UNTOUCHED);
    let between = out.chunks(out_size).zip(&written).all(|(bytes, &written)| written || clean(bytes));
    assert!(between, "{case:?}: something between the rows was written");
    for h in 0..heads {
        let (row, after) = lse_out[4 * h * lse_head..].split_at(4 * tokens);
        got.lse.extend(row.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())));
        assert!(clean(&after[..4 * pad]), "{case:?}: something between the lse was written");
    }
    assert!(case.lse || clean(&lse_out), "{case:?}: lse that nobody wants");
    bench.free(&[at_parts, at_lse, at_out, at_lse_out]);
    got
}

/// The data of a case: numbers that its type holds, and log-sum-exps of which half are none; a row in 13 has none at
/// all.
pub fn data(case: &Case) -> (Vec<f32>, Vec<f32>) {
    let Case { parts, tokens, heads, dv, entry, .. } = *case;
    let mut random = Random::new(&format!("{} {parts} {tokens} {heads} {dv}", entry.row().symbol));
    let numbers = (0..parts * tokens * heads * dv).map(|_| {
        let x = 4.0 * random.float();
        case.number(&case.bytes(x)[..case.size()])
    });
    let numbers: Vec<f32> = numbers.collect();
    let lse = (0..parts * heads * tokens).map(|i| {
        let (none, x) = (random.next().is_multiple_of(2), 6.0 * random.float());
        if none && parts > 1 || i % (heads * tokens) % 13 == 12 { NONE } else { x }
    });
    (numbers, lse.collect())
}

/// Runs a case on its data and holds every number against f64, with what f32 may lose.
pub fn check(bench: &Bench, case: Case, count: bool) -> Got {
    let Case { parts, tokens, heads, dv, .. } = case;
    let (numbers, lse) = data(&case);
    let number = |p: usize, t: usize, h: usize, c: usize| numbers[((p * tokens + t) * heads + h) * dv + c];
    let known = |p: usize, h: usize, t: usize| lse[(p * heads + h) * tokens + t];
    let got = run(bench, case, count, number, known);
    let u = 2f64.powi(-24);
    let (unit, tiny) = case.rounding();
    for (t, h) in (0..tokens).flat_map(|t| (0..heads).map(move |h| (t, h))) {
        let live: Vec<(usize, f64)> =
            (0..parts).map(|p| (p, f64::from(known(p, h, t)))).filter(|(_, lse)| *lse != f64::NEG_INFINITY).collect();
        let most = live.iter().map(|(_, lse)| *lse).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = live.iter().map(|(_, lse)| (lse - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        for c in 0..dv {
            let terms = live.iter().zip(&weights).map(|(&(p, _), w)| w * f64::from(number(p, t, h, c)));
            let (total, size) = terms.fold((0.0, 0.0), |(total, size), x| (total + x, size + x.abs()));
            let (want, size) = if live.is_empty() { (0.0, 0.0) } else { (total / sum, size / sum) };
            // A weight: its difference is rounded (at most 12 in size) and expf off by 2 ulp. Sums: a rounding a part.
            let slack = (2.0 * parts as f64 + 2.0 * (12.0 + 4.0) + 3.0) * u * size;
            let tolerance = slack + (unit * (want.abs() + slack)).max(tiny);
            let have = f64::from(got.out[(t * heads + h) * dv + c]);
            assert!((have - want).abs() <= tolerance, "{case:?}: [{t}, {h}, {c}] is {have}, not {want} ± {tolerance}");
        }
        if case.lse {
            let (have, want) = (f64::from(got.lse[h * tokens + t]), most + sum.ln());
            let close = if live.is_empty() { have == most } else { (have - want).abs() <= 2e-6 * want.abs().max(1.0) };
            assert!(close, "{case:?}: the lse of [{t}, {h}] is {have}, not {want}");
        }
    }
    got
}

/// Rows of 16 bytes and of odd elements, in both orders, one part and many, teams of every size.
pub fn shapes(bench: &Bench, entry: Entry) -> usize {
    let shapes = [
        (1, [1, 1, 1]),
        (2, [3, 2, 8]),
        (3, [5, 3, 24]),
        (4, [2, 1, 40]),
        (5, [17, 2, 64]),
        (6, [3, 3, 96]),
        (9, [9, 1, 128]),
        (2, [7, 2, 256]),
        (17, [2, 2, 37]),
        (7, [1, 4, 320]),
    ];
    let mut cases = 0;
    for (i, (parts, shape)) in shapes.into_iter().enumerate() {
        // Whole pieces of parts, of the result, of both, of neither; and rows of 37 that start at every 40th.
        for (pad, gap, offset, more) in [
            (0, 0, 0, 0),
            (8, 8, 8, 8),
            (8, 8, 8, 1),
            (3, 1, 1, 0),
            (0, 0, 1, 2),
            (8, 8, 4, 0),
            (3, 0, 0, 5),
            (3, 0, 0, 0),
            (0, 1, 0, 0),
        ] {
            let (by_head, wide, lse) = (i % 2 == 1, (i + pad) % 3 == 0, (i + offset) % 4 != 1);
            let grid = 1 + (i as u32 + cases as u32) % 3;
            check(
                bench,
                Case { by_head, pad, gap, offset, more, wide, lse, grid, ..Case::new(entry, parts, shape) },
                false,
            );
            cases += 1;
        }
    }
    cases
}

#[test]
fn parts_of_every_stride() {
    let bench = Bench::new(Arch::Sm80);
    assert_eq!(ENTRIES.map(|entry| shapes(&bench, entry)), [90; 3]);
    // Many parts, and more rows than the grid has teams.
    check(&bench, Case::new(Entry::MergeF16, 133, [2, 1, 64]), false);
    check(&bench, Case { wide: true, ..Case::new(Entry::MergeBf16, 3, [200, 3, 16]) }, false);
    check(&bench, Case { wide: true, ..Case::new(Entry::MergeBf16, 3, [41, 3, 128]) }, false);
}

/// However rows lie and whoever takes them, the bits are the same.
#[test]
fn strides_and_grids_change_no_bit() {
    let bench = Bench::new(Arch::Sm80);
    for entry in ENTRIES {
        let case = Case { wide: true, ..Case::new(entry, 11, [5, 3, 72]) };
        let (numbers, lse) = data(&case);
        let of = |case: Case| {
            let number = |p: usize, t: usize, h: usize, c: usize| numbers[((p * 5 + t) * 3 + h) * 72 + c];
            let got = run(&bench, case, false, number, |p, h, t| lse[(p * 3 + h) * 5 + t]);
            got.out.iter().chain(&got.lse).map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        let want = of(case);
        let others = [
            Case { pad: 8, ..case },
            Case { pad: 1, ..case },
            Case { offset: 1, ..case },
            Case { by_head: true, ..case },
            Case { by_head: true, pad: 3, gap: 5, grid: 2, ..case },
            Case { grid: 7, ..case },
        ];
        others.into_iter().for_each(|other| assert_eq!(of(other), want, "{other:?}"));
    }
}

/// Parts of one weight are added in their order, exactly as f32 does it.
#[test]
fn parts_are_added_in_their_order() {
    let bench = Bench::new(Arch::Sm80);
    for (parts, pad) in [(2, 0), (8, 0), (32, 1)] {
        let case = Case { pad, ..Case::new(Entry::MergeF32, parts, [3, 2, 12]) };
        let (numbers, _) = data(&case);
        let number = |p: usize, t: usize, h: usize, c: usize| numbers[((p * 3 + t) * 2 + h) * 12 + c];
        let got = run(&bench, case, false, number, |_, _, t| t as f32 - 1.0);
        for (i, &have) in got.out.iter().enumerate() {
            let (t, h, c) = (i / 24, i / 12 % 2, i % 12);
            let want = (0..parts).fold(0f32, |sum, p| sum + number(p, t, h, c)) / parts as f32;
            assert_eq!(have.to_bits(), want.to_bits(), "{case:?}: [{t}, {h}, {c}] is {have}, not {want}");
        }
        let want: Vec<f32> = (0..6).map(|i| (i % 3) as f32 - 1.0 + (parts as f32).ln()).collect();
        assert!(got.lse.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-6), "{:?} is not {want:?}", got.lse);
    }
}

/// One part among those that hold nothing comes through as it is, whatever its log-sum-exp.
#[test]
fn one_part_is_copied() {
    let bench = Bench::new(Arch::Sm80);
    for entry in ENTRIES {
        for (parts, live, lse) in [(1, 0, 3.25f32), (5, 4, -1e30), (6, 2, 1e30), (133, 77, 0.0), (4, 3, -87.5)] {
            for pad in [0, 3] {
                let case = Case { pad, grid: 2, ..Case::new(entry, parts, [4, 2, 24]) };
                let (numbers, _) = data(&case);
                let number = |p: usize, t: usize, h: usize, c: usize| numbers[((p * 4 + t) * 2 + h) * 24 + c];
                let got = run(&bench, case, false, number, |p, _, _| if p == live { lse } else { NONE });
                let want = &numbers[live * 192..(live + 1) * 192];
                assert_eq!((&got.out[..], &got.lse[..]), (want, &[lse; 8][..]), "{case:?}");
            }
        }
    }
}

#[test]
fn nothing_gives_zero_and_minus_infinity() {
    let bench = Bench::new(Arch::Sm80);
    for entry in ENTRIES {
        for (parts, pad, wide) in [(1, 0, false), (4, 0, true), (5, 3, false), (7, 8, true)] {
            let case = Case { pad, wide, ..Case::new(entry, parts, [3, 2, 40]) };
            let got = run(&bench, case, false, |_, _, _, _| f32::NAN, |_, _, _| NONE);
            assert!(got.out.iter().all(|x| x.to_bits() == 0) && got.lse == [NONE; 6], "{case:?}");
        }
    }
}

/// What is no log-sum-exp, or a part whose numbers are NaN, makes its own row NaN and no other.
#[test]
fn not_a_number_stays_in_its_row() {
    let bench = Bench::new(Arch::Sm80);
    for entry in ENTRIES {
        for pad in [0, 1] {
            for bad in [f32::NAN, f32::INFINITY] {
                let case = Case { pad, wide: true, ..Case::new(entry, 6, [7, 2, 16]) };
                let lse = |p: usize, h: usize, t: usize| match (h, t) {
                    (1, 2) if p == 3 => bad,
                    (0, 5) if p == 5 => bad,
                    (0, 5) => NONE,
                    _ => p as f32 / 8.0,
                };
                let got = run(&bench, case, false, |_, t, h, _| if (h, t) == (1, 6) { f32::NAN } else { 1.0 }, lse);
                for (t, h) in (0..7).flat_map(|t| (0..2).map(move |h| (t, h))) {
                    let row = &got.out[(t * 2 + h) * 16..][..16];
                    let nan = [(1, 2), (0, 5), (1, 6)].contains(&(h, t));
                    assert!(row.iter().all(|x| x.is_nan() == nan && (nan || (x - 1.0).abs() < 1e-5)), "{row:?}");
                    assert_eq!(got.lse[h * 7 + t].is_nan(), nan && (h, t) != (1, 6), "[{t}, {h}]");
                }
            }
        }
    }
}

/// The numbers of a part that holds nothing cost no sector.
#[test]
fn parts_that_hold_nothing_cost_nothing() {
    let bench = Bench::new(Arch::Sm80);
    let read = |live: usize| {
        let case = Case { grid: 3, ..Case::new(Entry::MergeF16, 16, [16, 4, 128]) };
        let got = run(&bench, case, true, |_, _, _, _| 1.0, |p, _, _| if p < live { 0.0 } else { NONE });
        got.counters.total().sectors_read
    };
    let none = read(0);
    // 64 rows of 256 bytes a part.
    assert_eq!([1, 7, 16].map(|live| read(live) - none), [1, 7, 16].map(|live| live * 64 * 8));
    assert!(none <= 2 * 16 * 64, "{none} sectors of lse");
}
