//! The quantizers of attention with every parameter chosen by hand, against their rules in plain loops.

use halfbyte::emulator::{Arch, Counters};
use halfbyte::manifest::Entry;

use super::quantized::fp8;
use super::sequences::{Case, Fill, Tensor, floats, lengths, long, tensor, word, wrong};
use super::{Arg, Bench, Random, UNTOUCHED, bytes_of};

/// What `key_mean` gives: means, scales of values, and the flag.
pub struct Known {
    pub mean: Vec<f32>,
    pub scales: Vec<f32>,
    pub flag: bool,
    pub counters: Vec<Counters>,
}

/// Runs `key_mean`, of k and v or of one of them.
pub fn known(bench: &Bench, case: &Case, k: Option<Fill<'_>>, v: Option<Fill<'_>>, count: bool) -> Known {
    let (batch, heads, keys) = (case.tokens.len(), case.kv_heads, case.most(1));
    let [k, v] = [(k, "k", case.dim), (v, "v", case.value_dim)]
        .map(|(fill, name, dim)| fill.map(|fill| tensor(bench, name, case, 1, heads, dim, fill)));
    let [cu, lens] = lengths(bench, case, 1);
    let items = batch * heads;
    let channels = k.as_ref().map_or(0, |_| case.dim) + v.as_ref().map_or(0, |_| case.value_dim);
    let partials = if case.slices > 1 { bench.fresh("partials", 4 * case.slices * items * channels) } else { 0 };
    let mean = bench.untouched("mean", 4 * items * case.dim);
    let scales = bench.untouched("scales", 4 * items * case.value_dim);
    let status = bench.upload("status", &[0, 0, 0, 0x40]);
    let at = |t: &Option<Tensor>| Arg::Long(t.as_ref().map_or(0, |t| t.at));
    let stride = |t: &Option<Tensor>, i: usize| long(t.as_ref().map_or(0, |t| t.strides[i]));
    let args = || {
        [
            ("k", at(&k)),
            ("v", at(&v)),
            ("partials", Arg::Long(partials)),
            ("mean", Arg::Long(mean)),
            ("scales", Arg::Long(scales)),
            ("cu_seqlens", Arg::Long(cu)),
            ("lens", Arg::Long(lens)),
            ("status", Arg::Long(status)),
            ("k_batch", stride(&k, 0)),
            ("k_token", stride(&k, 1)),
            ("k_head", stride(&k, 2)),
            ("v_batch", stride(&v, 0)),
            ("v_token", stride(&v, 1)),
            ("v_head", stride(&v, 2)),
            ("batch", word(batch)),
            ("heads", word(heads)),
            ("keys", word(keys)),
            ("total", word(case.total(1))),
            ("dim", word(case.dim)),
            ("value_dim", word(case.value_dim)),
            ("slices", word(case.slices)),
            ("slice", word(keys.div_ceil(case.slices))),
        ]
    };
    let tensors = k.iter().len() + v.iter().len();
    let entry = case.entry(Entry::KeyMeanF16, Entry::KeyMeanBf16);
    let mut counters = vec![bench.launch(entry, (case.slices * items * tensors) as u32, 0, count, &args())];
    if case.slices > 1 {
        let blocks = (items * channels).div_ceil(256) as u32;
        counters.push(bench.launch(Entry::KeyMeanFinish, blocks, 0, count, &args()));
    }
    let untouched = f32::from_le_bytes([UNTOUCHED; 4]);
    let known = Known {
        mean: floats(bench, mean, items * case.dim),
        scales: floats(bench, scales, items * case.value_dim),
        flag: bench.download(status, 4) == [1, 0, 0, 0x40],
        counters,
    };
    assert!(k.is_some() || known.mean.iter().all(|&m| m == untouched), "{case:?}: no k, no mean");
    assert!(v.is_some() || known.scales.iter().all(|&s| s == untouched), "{case:?}: no v, no scales");
    let tensors = [&k, &v].map(|t| t.as_ref().map_or(0, |t| t.allocated));
    bench.free(&[tensors[0], tensors[1], cu, lens, partials, mean, scales, status]);
    known
}

/// The mean and the largest magnitude of integers, whose sums are exact: bit for bit.
pub fn integers(bench: &Bench, case: &Case, count: bool) -> Vec<Counters> {
    let of = |b: usize, j: usize, h: usize, c: usize| ((b * 31 + j * 17 + h * 5 + c * (j + 3)) % 61) as f32 - 23.0;
    let v = |b: usize, j: usize, h: usize, c: usize| {
        ((j * 7 + c * 3 + h + b) % 97) as f32 * if c.is_multiple_of(2) { -1.0 } else { 0.5 }
    };
    let known = known(bench, case, Some(&of), Some(&v), count);
    for (b, tokens) in case.tokens.iter().enumerate().filter(|&(b, _)| case.right(1, b)) {
        for h in 0..case.kv_heads {
            let item = b * case.kv_heads + h;
            for c in 0..case.dim {
                let sum: f32 = (0..tokens[1]).map(|j| of(b, j, h, c)).sum();
                let want = if tokens[1] > 0 { sum / tokens[1] as f32 } else { 0.0 };
                assert_eq!(known.mean[item * case.dim + c], want, "{case:?}: mean of {b}, {h}, {c}");
            }
            for c in 0..case.value_dim {
                let most = (0..tokens[1]).fold(0f32, |m, j| m.max(v(b, j, h, c).abs()));
                assert_eq!(known.scales[item * case.value_dim + c], most / 448.0, "{case:?}: scale of {b}, {h}, {c}");
            }
        }
    }
    // What lies beyond a length that is wrong is no number.
    assert!(!known.flag || case.wrong.lens.is_some());
    known.counters
}

/// The rows of Q or of K, quantized by the rule: codes and scale of each.
fn row(v: &[f32], width: usize) -> (Vec<u8>, f32) {
    let mut codes = vec![0u8; width];
    if v.iter().any(|v| !v.is_finite()) {
        return (codes, f32::from_bits(0x7FFF_FFFF));
    }
    let scale = v.iter().fold(0f32, |m, v| m.max(v.abs())) / 127.0;
    if scale > 0.0 {
        for (code, v) in codes.iter_mut().zip(v) {
            *code = f64::from(v / scale).round_ties_even().clamp(-127.0, 127.0) as i8 as u8;
        }
    }
    (codes, scale)
}

/// Quantizes Q and K, with a mean or without, and compares codes, scales and status bit for bit, shifts within a bound.
pub fn heads(bench: &Bench, case: &Case, smooth: bool, q: Fill<'_>, k: Fill<'_>, count: bool) -> Counters {
    let batch = case.tokens.len();
    let width = case.dim.next_multiple_of(32);
    let both = [(0, case.heads, "q", q), (1, case.kv_heads, "k", k)];
    let tensors = both.map(|(of, heads, name, fill)| tensor(bench, name, case, of, heads, case.dim, fill));
    let mut random = Random::new(&format!("mean of {case:?}"));
    let mean: Vec<f32> = (0..batch * case.kv_heads * case.dim).map(|_| 3.0 * random.float()).collect();
    // It begins odd where the rows do.
    let padded = [vec![f32::NAN; case.pad], mean.clone()].concat();
    let at_mean = if smooth { bench.upload("mean", &bytes_of(&padded)) } else { 0 };
    let mean = if smooth { mean } else { vec![0.0; mean.len()] };
    let rows = |of: usize| if case.packed { case.total(of) } else { batch * case.most(of) };
    let rows_of_scales = |heads: usize| if case.packed { heads } else { batch * heads };
    let codes = both.map(|(of, heads, ..)| bench.untouched("codes", rows(of) * heads * width));
    let lens = both.map(|(of, heads, ..)| rows_of_scales(heads) * case.pitch(of));
    let scales = lens.map(|len| bench.untouched("scales", 4 * len));
    let shift = if smooth { bench.untouched("shift", 4 * lens[0]) } else { 0 };
    let status = bench.upload("status", &[0, 0, 0, 0x40]);
    let [[q_cu, _], [k_cu, k_lens]] = [0, 1].map(|of| lengths(bench, case, of));
    let tiles = [0, 1].map(|of| case.most(of).div_ceil(32));
    let lanes = (width / 8).next_power_of_two();
    let entry = case.entry(Entry::QuantizeHeadsF16, Entry::QuantizeHeadsBf16);
    let args = [
        ("q", Arg::Long(tensors[0].at)),
        ("k", Arg::Long(tensors[1].at)),
        ("mean", if smooth { Arg::Long(at_mean + 4 * case.pad as u64) } else { Arg::Long(0) }),
        ("q_codes", Arg::Long(codes[0])),
        ("k_codes", Arg::Long(codes[1])),
        ("q_scales", Arg::Long(scales[0])),
        ("k_scales", Arg::Long(scales[1])),
        ("shift", Arg::Long(shift)),
        ("q_cu", Arg::Long(q_cu)),
        ("k_cu", Arg::Long(k_cu)),
        ("k_lens", Arg::Long(k_lens)),
        ("status", Arg::Long(status)),
        ("q_batch", long(tensors[0].strides[0])),
        ("q_token", long(tensors[0].strides[1])),
        ("q_head", long(tensors[0].strides[2])),
        ("k_batch", long(tensors[1].strides[0])),
        ("k_token", long(tensors[1].strides[1])),
        ("k_head", long(tensors[1].strides[2])),
        ("batch", word(batch)),
        ("heads", word(case.heads)),
        ("kv_heads", word(case.kv_heads)),
        ("queries", word(case.most(0))),
        ("keys", word(case.most(1))),
        ("q_total", word(case.total(0))),
        ("k_total", word(case.total(1))),
        ("q_pitch", word(case.pitch(0))),
        ("k_pitch", word(case.pitch(1))),
        ("dim", word(case.dim)),
        ("width", word(width)),
        ("lanes", word(lanes)),
        ("q_tiles", word(tiles[0])),
        ("k_tiles", word(tiles[1])),
    ];
    let blocks = batch * (case.heads * tiles[0] + case.kv_heads * tiles[1]);
    let counters = bench.launch(entry, blocks as u32, 0, count, &args);

    let (mut bad, mut told) = (0u8, 0u8);
    for (of, heads, name, fill) in both {
        let mut want_codes = vec![UNTOUCHED; rows(of) * heads * width];
        let mut want_scales = vec![f32::from_le_bytes([UNTOUCHED; 4]); lens[of]];
        let mut shifts = vec![None; lens[of]];
        let (loose_codes, loose) = (case.loose_rows(of, heads * width), case.loose_positions(of, heads, 1));
        (0..batch).for_each(|b| told |= 2 * u8::from(case.part(of, b).cut));
        for (b, tokens) in case.tokens.iter().enumerate().filter(|&(b, _)| case.right(of, b)) {
            let begin = if case.packed { case.begin(of, b) } else { b * case.most(of) };
            for (token, h) in (0..tokens[of]).flat_map(|token| (0..heads).map(move |h| (token, h))) {
                let mean = &mean[(b * case.kv_heads + h / (heads / case.kv_heads)) * case.dim..][..case.dim];
                let x = (0..case.dim).map(|c| case.round(fill(b, token, h, c)));
                let x: Vec<f32> = if of == 0 { x.collect() } else { x.zip(mean).map(|(x, m)| x - m).collect() };
                let (codes, scale) = row(&x, width);
                bad |= u8::from(scale.is_nan());
                want_codes[((begin + token) * heads + h) * width..][..width].copy_from_slice(&codes);
                let at = case.positions(of, heads, b, h) + token;
                want_scales[at] = scale;
                let terms: Vec<f64> = x.iter().zip(mean).map(|(x, m)| f64::from(*x) * f64::from(*m)).collect();
                let size: f64 = terms.iter().map(|t| t.abs()).sum();
                shifts[at] = Some((terms.iter().sum::<f64>(), size * 13.0 * 2f64.powi(-24)));
            }
        }
        let got = bench.download(codes[of], want_codes.len());
        if let Some(i) = (0..got.len()).find(|&i| got[i] != want_codes[i] && !loose_codes[i]) {
            let [row, h, c] = [i / width / heads, i / width % heads, i % width];
            panic!("{case:?}: code [{row}, {h}, {c}] of {name} is {:#x}, not {:#x}", got[i], want_codes[i]);
        }
        let bits = |x: &[f32]| x.iter().zip(&loose).map(|(x, l)| (!l).then(|| x.to_bits())).collect::<Vec<_>>();
        assert_eq!(bits(&floats(bench, scales[of], lens[of])), bits(&want_scales), "{case:?}: scales of {name}");
        if of == 0 && smooth {
            for (i, (got, want)) in floats(bench, shift, lens[0]).into_iter().zip(shifts).enumerate() {
                match want {
                    _ if loose[i] => {}
                    None => assert_eq!(got.to_bits(), u32::from_le_bytes([UNTOUCHED; 4]), "{case:?}: shift {i}"),
                    Some((want, _)) if !(want as f32).is_finite() => assert!(!got.is_finite(), "{case:?}: shift {i}"),
                    Some((want, bound)) => {
                        assert!((f64::from(got) - want).abs() <= bound, "{case:?}: shift {i} is {got}, not {want}");
                    }
                }
            }
        }
    }
    // What lies beyond a length that is wrong is no number.
    let unsure = u8::from(case.wrong.lens.is_some());
    let [bits, rest @ ..] = <[u8; 4]>::try_from(bench.download(status, 4)).unwrap();
    assert_eq!((bits & !unsure, rest), (bad | told, [0, 0, 0x40]), "{case:?}: only bits 0 and 1 are ours");
    let [q, k] = tensors;
    bench.free(&[q.allocated, k.allocated, at_mean, shift, status, q_cu, k_cu, k_lens]);
    bench.free(&[codes[0], codes[1], scales[0], scales[1]]);
    counters
}

/// Quantizes V by scales that are given and compares every byte.
pub fn values(bench: &Bench, case: &Case, scales: &[f32], v: Fill<'_>, count: bool) -> Counters {
    let (batch, heads, dim, pitch) = (case.tokens.len(), case.kv_heads, case.value_dim, case.pitch(1));
    let from = tensor(bench, "v", case, 1, heads, dim, v);
    let [cu, lens] = lengths(bench, case, 1);
    let rows = if case.packed { heads } else { batch * heads } * dim;
    let (at_scales, codes) = (bench.upload("scales", &bytes_of(scales)), bench.untouched("codes", rows * pitch));
    let args = [
        ("v", Arg::Long(from.at)),
        ("scales", Arg::Long(at_scales)),
        ("codes", Arg::Long(codes)),
        ("cu_seqlens", Arg::Long(cu)),
        ("lens", Arg::Long(lens)),
        ("v_batch", long(from.strides[0])),
        ("v_token", long(from.strides[1])),
        ("v_head", long(from.strides[2])),
        ("batch", word(batch)),
        ("heads", word(heads)),
        ("keys", word(case.most(1))),
        ("total", word(case.total(1))),
        ("dim", word(dim)),
        ("pitch", word(pitch)),
    ];
    let blocks = batch * heads * dim.div_ceil(32) * case.most(1).div_ceil(128);
    let entry = case.entry(Entry::QuantizeValuesF16, Entry::QuantizeValuesBf16);
    let counters = bench.launch(entry, blocks as u32, 0, count, &args);
    // The keys whose scores a thread of the product by K holds: 2t and 2t + 1 of each 8.
    const ORDER: [usize; 16] = [0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15];
    let mut want = vec![UNTOUCHED; rows * pitch];
    let loose = case.loose_positions(1, heads * dim, 64);
    for (b, tokens) in case.tokens.iter().enumerate().filter(|&(b, _)| case.right(1, b)) {
        for (h, c) in (0..heads).flat_map(|h| (0..dim).map(move |c| (h, c))) {
            let first = case.positions(1, heads, b, 0) % pitch;
            let row = if case.packed { h } else { b * heads + h } * dim + c;
            let scale = scales[(b * heads + h) * dim + c];
            for at in 0..tokens[1].next_multiple_of(64) {
                let key = at / 16 * 16 + ORDER[at % 16];
                let there = key < tokens[1] && scale > 0.0;
                want[row * pitch + first + at] =
                    if there { fp8(case.round(v(b, key, h, c)) / scale, 3, -6, 0x7e) } else { 0 };
            }
        }
    }
    let got = bench.download(codes, want.len());
    if let Some(i) = (0..got.len()).find(|&i| got[i] != want[i] && !loose[i]) {
        panic!("{case:?}: code [{}, {}] is {:#x}, not {:#x}", i / pitch, i % pitch, got[i], want[i]);
    }
    bench.free(&[from.allocated, cu, lens, at_scales, codes]);
    counters
}

/// Several sizes of everything: heads that share keys, rows that are not aligned, every number of lanes, sequences that
/// end in the middle of a tile, that have one token, or none.
pub const CASES: [Case; 7] = [
    Case { slices: 3, ..Case::new(&[[37, 70], [37, 70]], (4, 2), 64) },
    Case { packed: true, slices: 2, value_dim: 40, ..Case::new(&[[33, 65], [0, 0], [1, 1], [40, 190]], (2, 1), 96) },
    Case { lens: true, head_first: true, bf16: true, ..Case::new(&[[5, 130], [5, 0]], (3, 3), 128) },
    Case { pad: 3, slices: 4, value_dim: 72, ..Case::new(&[[9, 67]], (2, 2), 80) },
    Case {
        bf16: true,
        packed: true,
        head_first: true,
        pad: 1,
        value_dim: 128,
        ..Case::new(&[[2, 31], [17, 100]], (6, 1), 192)
    },
    Case { pad: 8, lens: true, packed: true, ..Case::new(&[[33, 64], [1, 129]], (1, 1), 256) },
    Case { bf16: true, lens: true, slices: 2, value_dim: 16, ..Case::new(&[[70, 6], [70, 35]], (5, 5), 8) },
];

fn spread(case: &Case, name: &str) -> impl Fn(usize, usize, usize, usize) -> f32 + use<> {
    let mut random = Random::new(&format!("{name} {case:?}"));
    let values: Vec<f32> = (0..1021).map(|_| random.float()).collect();
    // Every token, head and channel its own size.
    move |b, j, h, c| {
        values[(b * 331 + j * 149 + h * 59 + c * 7) % 1021] * (1 + j % 13 + 3 * (h + b)) as f32 * (1.0 + (c % 5) as f32)
    }
}

/// Every kernel on a case.
fn all(bench: &Bench, case: &Case) {
    integers(bench, case, false);
    let [q, k, v] = ["q", "k", "v"].map(|name| spread(case, name));
    for smooth in [true, false] {
        heads(bench, case, smooth, &q, &k, false);
    }
    if bench.machine.options().arch != Arch::Sm80 {
        let channels = case.tokens.len() * case.kv_heads * case.value_dim;
        let scales: Vec<f32> = (0..channels).map(|i| [0.3, 0.0, 0.011, f32::NAN, 0.05, 2.0, 0.7][i % 7]).collect();
        values(bench, case, &scales, &v, false);
    }
}

pub fn cases(bench: &Bench) -> usize {
    CASES.iter().for_each(|case| all(bench, case));
    CASES.len()
}

#[test]
fn every_width_stride_and_length() {
    assert_eq!(cases(&Bench::new(Arch::Sm89)), 7);
}

/// First tokens and lengths that are wrong on the device: nothing outside is touched (the emulator would tell), nothing
/// beside what the device says is written, the status word of `quantize_heads` says so, and sequences that are right
/// come out right.
#[test]
fn wrong_lengths_do_no_harm() {
    let bench = Bench::new(Arch::Sm89);
    let mut count = 0;
    for of in [
        Case { slices: 2, value_dim: 40, ..Case::new(&[], (2, 1), 64) },
        Case { bf16: true, head_first: true, pad: 8, value_dim: 136, ..Case::new(&[], (2, 2), 136) },
    ] {
        for case in wrong(of) {
            all(&bench, &case);
            count += 1;
        }
    }
    assert_eq!(count, 2 * 11);
}

/// Sums that are not exact, within what their order allows; and the same bits for the same slices.
#[test]
fn means_of_any_numbers() {
    let bench = Bench::new(Arch::Sm80);
    for case in CASES {
        let k = spread(&case, "k");
        let known_once = known(&bench, &case, Some(&k), None, false);
        for (b, tokens) in case.tokens.iter().enumerate().filter(|(_, tokens)| tokens[1] > 0) {
            for (h, c) in (0..case.kv_heads).flat_map(|h| (0..case.dim).map(move |c| (h, c))) {
                let of: Vec<f64> = (0..tokens[1]).map(|j| case.round(k(b, j, h, c)).into()).collect();
                let n = tokens[1] as f64;
                let (mean, size) = (of.iter().sum::<f64>() / n, of.iter().map(|x| x.abs()).sum::<f64>() / n);
                let got: f64 = known_once.mean[(b * case.kv_heads + h) * case.dim + c].into();
                assert!((got - mean).abs() <= (n + 2.0) * 2f64.powi(-24) * size, "{case:?}: {got}, not {mean}");
            }
        }
        let again = known(&bench, &case, Some(&k), None, false).mean;
        assert!(again.iter().zip(&known_once.mean).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

/// Only values, as where the mean is kept; and what is not finite: its channel alone.
#[test]
fn scales_of_values_alone_and_what_is_not_finite() {
    let bench = Bench::new(Arch::Sm80);
    for slices in [1, 3] {
        let case = Case { slices, value_dim: 24, ..Case::new(&[[1, 50], [1, 50]], (2, 2), 64) };
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let v = |b: usize, j: usize, h: usize, c: usize| {
                if (b, h, c, j) == (1, 0, 17, 8) { bad } else { 1.0 + c as f32 }
            };
            let known = known(&bench, &case, None, Some(&v), false);
            assert!(known.flag);
            for (i, &scale) in known.scales.iter().enumerate() {
                let want = if i == 2 * 24 + 17 { f32::from_bits(0x7FFF_FFFF) } else { (1 + i % 24) as f32 / 448.0 };
                assert_eq!(scale.to_bits(), want.to_bits(), "{i}");
            }
        }
    }
}

/// Zeros, ties, the largest and the least numbers, and what is not finite.
#[test]
fn rows_that_are_zero_tiny_huge_or_not_finite() {
    let bench = Bench::new(Arch::Sm89);
    for bf16 in [false, true] {
        let case = Case { bf16, ..Case::new(&[[12, 12]], (1, 1), 64) };
        let most = if bf16 { 3.3e38 } else { 65504.0 };
        let row = |_: usize, i: usize, _: usize, c: usize| match i {
            0 => 0.0,
            1 => -0.0,
            2 => {
                if c == 9 {
                    127.0
                } else {
                    c as f32 - 30.5
                }
            }
            3 => {
                if c == 9 {
                    most
                } else {
                    -most / (1 + c) as f32
                }
            }
            4 => f32::from_bits(0x3380_0000) * c as f32,
            5 => {
                if c == 63 {
                    f32::NAN
                } else {
                    1.0
                }
            }
            6 => {
                if c == 0 {
                    f32::INFINITY
                } else {
                    1.0
                }
            }
            7 => {
                if c == 20 {
                    f32::NEG_INFINITY
                } else {
                    c as f32
                }
            }
            _ => (c * i) as f32,
        };
        for smooth in [false, true] {
            heads(&bench, &case, smooth, &row, &row, false);
        }
        for i in 5..8 {
            let alone = Case { tokens: &[[1, 1]], ..case };
            heads(&bench, &alone, false, &|b, _, h, c| row(b, i, h, c), &|_, _, _, _| 1.0, false);
            heads(&bench, &alone, false, &|_, _, _, _| 1.0, &|b, _, h, c| row(b, i, h, c), false);
        }
        let ties = |_: usize, j: usize, _: usize, c: usize| {
            7.0 * (1.0 + (2 * (c % 8) + 1) as f32 / 16.0) * 2f32.powi(j as i32 % 6 - 2)
        };
        values(&bench, &case, &[7.0; 64], &ties, false);
    }
}
