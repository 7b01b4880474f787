//! A launch of attention, and what it gave held against the definition in plain f64 loops.

use half::{bf16, f16};
use halfbyte::emulator::Counters;
use halfbyte::manifest::{ATTENTION_PREFILL, Field};

use super::super::{Arg, Bench, UNTOUCHED};
use super::case::{Bias, Case, Data, Layout, Lengths};

const UNLIMITED: usize = 1 << 30;

/// What is wrong on the device: an index and what stands there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tampered {
    pub cu_q: Option<(usize, u32)>,
    pub cu_k: Option<(usize, u32)>,
    pub lens_q: Option<(usize, u32)>,
    pub lens_k: Option<(usize, u32)>,
    /// An entry of the page table, which names a page that does not exist.
    pub page: Option<usize>,
}

/// What a launch gave.
pub struct Outputs {
    pub out: Vec<u8>,
    pub lse: Vec<f32>,
    pub status: u32,
    pub counters: Counters,
}

impl Case {
    /// Element `e` of an output.
    pub fn number(&self, layout: &Layout, out: &[u8], (b, i, h): (usize, usize, usize), e: usize) -> f64 {
        let (at, size) = (layout.query_at(3, b, i, h) + e, self.size());
        let bytes = &out[at * size..(at + 1) * size];
        match (self.wide, self.is_bf16()) {
            (true, _) => f32::from_le_bytes(bytes.try_into().unwrap()).into(),
            (false, true) => bf16::from_le_bytes(bytes.try_into().unwrap()).into(),
            (false, false) => f16::from_le_bytes(bytes.try_into().unwrap()).into(),
        }
    }

    /// Bytes of an element of the output.
    fn size(&self) -> usize {
        if self.wide { 4 } else { 2 }
    }
}

/// Launches a case.
pub fn outputs(bench: &Bench, case: Case, layout: &Layout, data: &Data, tampered: &Tampered, count: bool) -> Outputs {
    let Case { batch, heads, sizes: (sq, sk), dims: (d, dv), page, .. } = case;
    let Layout { packed, lse_rows, words, .. } = *layout;
    let (total_q, total_k) = (*layout.cu_q.last().unwrap() as usize, *layout.cu_k.last().unwrap() as usize);
    let memory = layout.memory(&case, data);
    let upload16 = |name: &str, values: &[u16]| bench.upload(name, bytemuck::cast_slice(values));
    let upload32 = |name: &str, values: &[u32], there: bool, wrong: Option<(usize, u32)>| {
        let mut values = values.to_vec();
        if let Some((at, value)) = wrong {
            values[at] = value;
        }
        if there { bench.upload(name, bytemuck::cast_slice(&values)) } else { 0 }
    };
    let float = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let queries: Vec<u32> = layout.lengths.iter().map(|n| n.0 as u32).collect();
    let keys: Vec<u32> = layout.lengths.iter().map(|n| n.1 as u32).collect();
    let [q, k, v] = [0, 1, 2].map(|i| upload16(["q", "k", "v"][i], &memory[i]));
    let bias = match case.bias {
        Bias::None => 0,
        Bias::F32 => upload32("bias", &float(&layout.biases), true, None),
        Bias::Own => upload16("bias", &layout.biases.iter().map(|&x| case.bits(x)).collect::<Vec<_>>()),
    };
    let given = case.lengths == Lengths::Given || page > 0 && case.lengths != Lengths::Alike;
    let (size, lse_len) = (case.size(), heads.0 * lse_rows * if packed { 1 } else { batch });
    let [query_place, key_place, value_place, out_place] = &layout.places;
    let out = bench.untouched("out", out_place.len * size);
    let lse = bench.untouched("lse", 4 * lse_len);
    let status = bench.upload("status", &[0; 4]);
    let keys_packed = packed && page == 0;
    let no_page = tampered.page.map(|at| (at, 3_000_000_000));
    let addresses = [
        ("q", q),
        ("k", k),
        ("v", v),
        ("out", out),
        ("lse", lse),
        ("cu_q", upload32("cu_q", &layout.cu_q, packed, tampered.cu_q)),
        ("cu_k", upload32("cu_k", &layout.cu_k, keys_packed, tampered.cu_k)),
        ("lens_q", upload32("lens_q", &queries, case.lengths == Lengths::Given, tampered.lens_q)),
        ("lens_k", upload32("lens_k", &keys, given, tampered.lens_k)),
        ("pages", upload32("pages", &layout.table, page > 0, no_page)),
        ("slopes", upload32("slopes", &float(&layout.slopes), case.slopes, None)),
        ("sinks", upload32("sinks", &float(&layout.sinks), case.sinks, None)),
        ("bias", bias),
        ("mask", upload32("mask", &layout.bits, case.tree > 0, None)),
        ("status", status),
    ];
    let mut args: Vec<(&str, Arg)> = addresses.iter().map(|&(name, at)| (name, Arg::Long(at))).collect();
    let (tile, groups) = (case.constant("TILE_M"), heads.0 / case.pack);
    let (tiles, pairs) = match packed {
        true => (total_q * case.pack / tile + batch, groups),
        false => ((sq * case.pack).div_ceil(tile), groups * batch),
    };
    let unless = |packed: bool, stride: usize| if packed { 0 } else { stride };
    let flags =
        usize::from(case.right.is_some()) + 2 * usize::from(case.wide) + 4 * usize::from(case.bias == Bias::F32);
    for (name, value) in [
        ("q_batch", unless(packed, query_place.batch)),
        ("q_token", query_place.token),
        ("q_head", query_place.head),
        ("k_batch", unless(keys_packed, key_place.batch)),
        ("k_token", key_place.token),
        ("k_head", key_place.head),
        ("v_batch", unless(keys_packed, value_place.batch)),
        ("v_token", value_place.token),
        ("v_head", value_place.head),
        ("o_batch", unless(packed, out_place.batch)),
        ("o_token", out_place.token),
        ("o_head", out_place.head),
        ("lse_batch", unless(packed, heads.0 * lse_rows)),
        ("lse_head", lse_rows),
        ("pages_row", layout.row_of_pages),
        ("bias_batch", heads.0 * sq * (sk + 3)),
        ("bias_head", sq * (sk + 3)),
        ("bias_row", sk + 3),
        ("mask_batch", sq * words),
        ("mask_row", words),
        ("batch", batch),
        ("heads", heads.0),
        ("kv_heads", heads.1),
        ("head_dim", d),
        ("value_dim", dv),
        ("max_q", sq),
        ("max_k", sk),
        ("total_q", total_q),
        ("total_k", total_k),
        ("page_size", page),
        ("page_count", layout.pages),
        ("left", case.left.unwrap_or(UNLIMITED)),
        ("right", case.right.unwrap_or(UNLIMITED)),
        ("keep", case.keep),
        ("mask_columns", case.tree),
        ("pack", case.pack),
        ("section", case.section.min(pairs)),
        ("tiles", tiles),
        ("flags", flags),
        ("scale", layout.scale.to_bits() as usize),
        ("softcap", case.softcap.to_bits() as usize),
    ] {
        let (_, field, _) = ATTENTION_PREFILL.fields.iter().find(|(n, ..)| *n == name).unwrap();
        let long = matches!(field, Field::I64);
        args.push((name, if long { Arg::Long(value as u64) } else { Arg::Word(value as u32) }));
    }
    let counters = bench.launch(case.entry, (tiles * pairs) as u32, case.entry.row().shared_bytes, count, &args);
    let word = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).unwrap();
    let lses = bench.download(lse, 4 * lse_len).chunks(4).map(|bytes| f32::from_le_bytes(word(bytes))).collect();
    let status = u32::from_le_bytes(word(&bench.download(status, 4)));
    let outputs = Outputs { out: bench.download(out, out_place.len * size), lse: lses, status, counters };
    bench.free(&addresses.map(|(_, at)| at));
    outputs
}

/// Runs a case on random data.
pub fn check(bench: &Bench, case: Case, count: bool) -> Counters {
    run(bench, case, &Data::random(&case), count)
}

/// Runs a case and compares every output, every log-sum-exp, and what must not be written.
pub fn run(bench: &Bench, case: Case, data: &Data, count: bool) -> Counters {
    let layout = Layout::new(&case);
    let Outputs { out, lse, status, counters } = outputs(bench, case, &layout, data, &Tampered::default(), count);
    let name = format!("{case:?}");
    assert_eq!(status, 0, "{name}");
    let (dv, size) = (case.dims.1, case.size());
    let (mut written, mut lse_written) = (vec![false; layout.places[3].len], vec![false; lse.len()]);
    let unit = if case.is_bf16() { 2f64.powi(-8) } else { 2f64.powi(-11) };
    // Scores are f32 sums: within 2^-18 of their size, which the spread bounds.
    let scores = 2f64.powi(-18) * (8.0 + f64::from(case.spread) * 4.0);
    let near = |found: f64, want: f64, slack: f64| found == want || (found - want).abs() <= slack;
    for (b, &(queries, _)) in layout.lengths.iter().enumerate() {
        for (h, i) in (0..case.heads.0).flat_map(|h| (0..queries).map(move |i| (h, i))) {
            let row = expected(&case, &layout, data, (b, i, h));
            let what = || format!("{name}: sequence {b}, head {h}, query {i}");
            let at = layout.lse_at(&case, b, i, h);
            let found = lse[at];
            assert!(
                near(found.into(), row.lse, 1e-5 * row.lse.abs() + scores),
                "{}: lse {found} for {}",
                what(),
                row.lse
            );
            lse_written[at] = true;
            let at = layout.query_at(3, b, i, h);
            for e in 0..dv {
                written[at + e] = true;
                let found = case.number(&layout, &out, (b, i, h), e);
                // Probabilities are rounded, those below 2^-14 of the greatest by 2^-25 of it; the output is, too.
                let last = if case.wide { 2f64.powi(-24) } else { unit };
                let slack = 1.01 * (last * row.out[e].abs() + (unit + scores) * row.size[e] + 2f64.powi(-24));
                assert!(
                    near(found, row.out[e], slack),
                    "{}, element {e}: {found} for {} within {slack}",
                    what(),
                    row.out[e]
                );
            }
        }
    }
    for (at, bytes) in out.chunks(size).enumerate().filter(|&(at, _)| !written[at]) {
        assert!(bytes.iter().all(|&byte| byte == UNTOUCHED), "{name}: element {at} of out was written");
    }
    for (at, lse) in lse.iter().enumerate().filter(|&(at, _)| !lse_written[at]) {
        assert_eq!(lse.to_le_bytes(), [UNTOUCHED; 4], "{name}: log-sum-exp {at} was written");
    }
    counters
}

/// What one row must be.
struct Row {
    out: Vec<f64>,
    /// Sum of probabilities times magnitudes.
    size: Vec<f64>,
    lse: f64,
}

/// A row by the definition.
fn expected(case: &Case, layout: &Layout, data: &Data, (b, i, h): (usize, usize, usize)) -> Row {
    let (sq, sk) = case.sizes;
    let (queries, keys) = layout.lengths[b];
    let (dv, kv) = (case.dims.1, h / (case.heads.0 / case.heads.1));
    let visible = |j: usize| {
        let p = i as i64 + keys as i64 - queries as i64;
        let (near, far) = (j as i64 - p, p - j as i64);
        let bit = j as i64 - (keys as i64 - case.tree as i64);
        let set = bit < 0 || case.tree == 0 || {
            let at = (b * sq + i) * layout.words;
            layout.bits[at + bit as usize / 32] >> (bit % 32) & 1 == 1
        };
        case.right.is_none_or(|right| near <= right as i64)
            && (case.left.is_none_or(|left| far <= left as i64) || j < case.keep)
            && set
    };
    let (q, k) = (&data.q[b][h][i], &data.k[b][kv]);
    let score = |j: usize| {
        let dot: f64 = q.iter().zip(&k[j]).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum();
        let mut s = dot * f64::from(layout.scale);
        if case.softcap > 0.0 {
            s = f64::from(case.softcap) * (s / f64::from(case.softcap)).tanh();
        }
        if case.slopes {
            s -= f64::from(layout.slopes[h]) * (i as f64 + keys as f64 - queries as f64 - j as f64).abs();
        }
        match case.bias {
            Bias::None => s,
            _ => s + f64::from(layout.biases[((b * case.heads.0 + h) * sq + i) * (sk + 3) + j]),
        }
    };
    let seen: Vec<(usize, f64)> = (0..keys).filter(|&j| visible(j)).map(|j| (j, score(j))).collect();
    let sink = if case.sinks { f64::from(layout.sinks[h]) } else { f64::NEG_INFINITY };
    let max = seen.iter().fold(sink, |max, &(_, s)| max.max(s));
    let (mut out, mut size) = (vec![0.0; dv], vec![0.0; dv]);
    if max == f64::NEG_INFINITY {
        return Row { out, size, lse: max };
    }
    let sum = (sink - max).exp() + seen.iter().map(|&(_, s)| (s - max).exp()).sum::<f64>();
    for &(j, s) in &seen {
        let p = (s - max).exp() / sum;
        for e in 0..dv {
            let v = f64::from(data.v[b][kv][j][e]);
            out[e] += p * v;
            size[e] += p * v.abs();
        }
    }
    Row { out, size, lse: max + sum.ln() }
}
