//! One launch of attention on signed bytes: operands of any making, and what the definition makes of them in f64.

use halfbyte::emulator::Counters;
use halfbyte::manifest::{Entry, ROWS};

use super::sequences::{Case, floats, lengths, long, tensor, word};
use super::{Arg, Bench, UNTOUCHED, bytes_of};

/// Sequences (whose `dim` is the width of the codes), what their queries see, and what is done to scores.
#[derive(Clone, Copy, Debug)]
pub struct Prefill {
    pub of: Case,
    pub e4m3: bool,
    pub out_bf16: bool,
    pub left: Option<usize>,
    pub right: Option<usize>,
    pub keep_first: usize,
    pub scale: f32,
    pub softcap: f32,
    pub shift: bool,
    pub sinks: bool,
    pub slopes: bool,
    pub bias: bool,
    /// What every bias is more.
    pub bias_at: f32,
    /// Columns of a mask of bits; 0: none.
    pub tree: usize,
    /// Columns 64 to 127 of it are seen by nobody.
    pub hole: bool,
    /// Shifts of queries that see nothing are no numbers.
    pub lost: bool,
    pub lse: bool,
}

impl Prefill {
    pub const fn new(of: Case) -> Prefill {
        let (left, right, keep_first) = (None, None, 0);
        let (e4m3, out_bf16, softcap, shift, sinks, slopes, lse) = (false, of.bf16, 0.0, false, false, false, true);
        let (bias, bias_at, tree, hole, lost) = (false, 0.0, 0, false, false);
        Prefill {
            of,
            e4m3,
            out_bf16,
            left,
            right,
            keep_first,
            scale: 0.1,
            softcap,
            shift,
            sinks,
            slopes,
            bias,
            bias_at,
            tree,
            hole,
            lost,
            lse,
        }
    }

    pub const fn causal(self) -> Prefill {
        Prefill { right: Some(0), ..self }
    }

    pub fn entry(&self) -> Entry {
        let v = if self.e4m3 { "e4m3" } else { ["f16", "bf16"][usize::from(self.of.bf16)] };
        let symbol = format!("prefill_int8_{v}_{}", self.of.dim);
        ROWS.iter().find(|row| row.symbol == symbol).unwrap_or_else(|| panic!("no {symbol}")).entry
    }

    /// A bit of the mask: one query in five has none.
    fn bit(&self, b: usize, i: usize, c: usize) -> bool {
        !(self.hole && c / 64 == 1) && i % 5 != 3 && !(b * 7 + i * 5 + c * 3).is_multiple_of(4)
    }

    /// What is added to a score.
    fn added(&self, b: usize, h: usize, i: usize, j: usize) -> f32 {
        if self.bias { ((b * 5 + h * 3 + i * 7 + j) % 13) as f32 * 0.25 - 1.5 + self.bias_at } else { 0.0 }
    }

    fn sees(&self, [queries, keys]: [usize; 2], b: usize, i: usize, j: usize) -> bool {
        let p = i as i64 + keys as i64 - queries as i64;
        let early = self.right.is_none_or(|right| j as i64 <= p + right as i64);
        let near = self.left.is_none_or(|left| j as i64 >= p - left as i64) || j < self.keep_first;
        let masked = self.tree > 0 && (j + self.tree).checked_sub(keys).is_some_and(|c| !self.bit(b, i, c));
        j < keys && early && near && !masked
    }
}

/// Numbers of one kind by sequence, token, head and channel.
pub struct Numbers<'a> {
    /// Codes and scales.
    pub q: &'a dyn Fn(usize, usize, usize, usize) -> i8,
    pub k: &'a dyn Fn(usize, usize, usize, usize) -> i8,
    pub q_scale: &'a dyn Fn(usize, usize, usize) -> f32,
    pub k_scale: &'a dyn Fn(usize, usize, usize) -> f32,
    /// Values as they are stored: 16 bits, or a code of 8 times a scale of its channel.
    pub v: &'a dyn Fn(usize, usize, usize, usize) -> f32,
}

/// An e4m3 as a number.
fn decoded(code: u8) -> f64 {
    let (exponent, fraction) = (i32::from(code >> 3 & 15), f64::from(code & 7));
    let size =
        if exponent == 0 { fraction / 8.0 * 2f64.powi(-6) } else { (1.0 + fraction / 8.0) * 2f64.powi(exponent - 7) };
    if code & 0x80 != 0 { -size } else { size }
}

fn encoded(x: f32) -> u8 {
    super::quantized::fp8(x, 3, -6, 0x7e)
}

/// What came out, by element of `[sequence, query, head]`: the row, its log-sum-exp, and what both should be with the
/// most that rounding may take from a channel.
pub struct Row {
    pub got: Vec<f64>,
    pub lse: f64,
    pub want: Vec<f64>,
    pub want_lse: f64,
    pub slack: Vec<f64>,
    pub lse_slack: f64,
}

fn half(bits: u16, bf16: bool) -> f64 {
    if bf16 { half::bf16::from_bits(bits).to_f64() } else { half::f16::from_bits(bits).to_f64() }
}

/// Runs a case and gives every row.
pub fn run(bench: &Bench, case: &Prefill, n: &Numbers<'_>, count: bool) -> (Vec<Row>, Counters) {
    let of = &case.of;
    let (batch, width, dv) = (of.tokens.len(), of.dim, of.value_dim);
    let sides = [(0, of.heads, n.q, n.q_scale), (1, of.kv_heads, n.k, n.k_scale)];
    let room = |t: usize| if of.packed { of.total(t) } else { batch * of.most(t) };
    let begin = |t: usize, b: usize| if of.packed { of.begin(t, b) } else { b * of.most(t) };
    let each = |t: usize| of.tokens.iter().enumerate().flat_map(move |(b, tokens)| (0..tokens[t]).map(move |i| (b, i)));
    let rows_of = |heads: usize| if of.packed { heads } else { batch * heads };
    let [codes, scales] = [0, 1].map(|which| {
        sides.map(|(t, heads, code, scale)| {
            // Codes and scales of what is not there would show.
            let mut codes = vec![0x7fu8; room(t) * heads * width];
            let mut scales = vec![f32::NAN; rows_of(heads) * of.pitch(t)];
            for (b, i) in each(t) {
                for h in 0..heads {
                    for c in 0..width {
                        codes[((begin(t, b) + i) * heads + h) * width + c] = code(b, i, h, c) as u8;
                    }
                    scales[of.positions(t, heads, b, h) + i] = scale(b, i, h);
                }
            }
            if which == 0 { bench.upload("codes", &codes) } else { bench.upload("scales", &bytes_of(&scales)) }
        })
    });
    let lost = |b: usize, i: usize| case.lost && (0..of.tokens[b][1]).all(|j| !case.sees(of.tokens[b], b, i, j));
    let shift_of = |b: usize, i: usize, h: usize| match lost(b, i) {
        true => [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][(i + h) % 3],
        false => ((b * 7 + i * 5 + h * 3) % 23) as f32 * 0.37 - 4.0,
    };
    let mut shifts = vec![f32::NAN; rows_of(of.heads) * of.pitch(0)];
    for (b, i) in each(0) {
        (0..of.heads).for_each(|h| shifts[of.positions(0, of.heads, b, h) + i] = shift_of(b, i, h));
    }
    let at_shift = bench.upload("shift", &bytes_of(&shifts));
    let v_scale = |b: usize, h: usize, c: usize| 0.25 + ((b * 3 + h * 5 + c) % 9) as f32 / 8.0;
    const ORDER: [usize; 16] = [0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15];
    let pitch = of.pitch(1);
    let (v, v_strides) = if case.e4m3 {
        let mut codes = vec![0x7fu8; rows_of(of.kv_heads) * dv * pitch];
        for (b, tokens) in of.tokens.iter().enumerate() {
            for (h, c) in (0..of.kv_heads).flat_map(|h| (0..dv).map(move |c| (h, c))) {
                let row = (if of.packed { h } else { b * of.kv_heads + h } * dv + c) * pitch;
                let first = row + of.positions(1, of.kv_heads, b, 0) % pitch;
                for at in 0..tokens[1].next_multiple_of(64) {
                    let key = at / 16 * 16 + ORDER[at % 16];
                    codes[first + at] = if key < tokens[1] { encoded((n.v)(b, key, h, c)) } else { 0 };
                }
            }
        }
        (bench.upload("v", &codes), [0; 3])
    } else {
        let v = tensor(bench, "v", of, 1, of.kv_heads, dv, n.v);
        (v.at - 2 * of.pad as u64, v.strides)
    };
    let v_scales: Vec<f32> =
        (0..batch * of.kv_heads * dv).map(|i| v_scale(i / dv / of.kv_heads, i / dv % of.kv_heads, i % dv)).collect();
    let at_v_scales = if case.e4m3 { bench.upload("v_scales", &bytes_of(&v_scales)) } else { 0 };
    let value = |b: usize, j: usize, h: usize, c: usize| -> f64 {
        let x = (n.v)(b, j, h, c);
        if case.e4m3 { decoded(encoded(x)) * f64::from(v_scale(b, h, c)) } else { of.round(x).into() }
    };
    // The output: its own strides, everything between the rows a guard.
    let row = dv + of.pad;
    let (rows, sequences) = (if of.packed { of.total(0) } else { of.most(0) }, if of.packed { 1 } else { batch });
    let out_strides = match of.head_first {
        true => [of.heads * rows * row, row, rows * row],
        false => [rows * of.heads * row, of.heads * row, row],
    };
    let out_len = of.pad + sequences * rows * of.heads * row;
    let out = bench.untouched("out", 2 * out_len);
    let lse_strides = [of.heads * (rows + 3), rows + 3];
    let lse_len = sequences * lse_strides[0];
    let lse = if case.lse { bench.untouched("lse", 4 * lse_len) } else { 0 };
    let sink_of = |h: usize| h as f32 * 1.3 - 1.0;
    let slope_of = |h: usize| 0.02 * (h + 1) as f32;
    let by_head = |there: bool, of_head: &dyn Fn(usize) -> f32| {
        let values: Vec<f32> = (0..of.heads).map(of_head).collect();
        if there { bench.upload("by head", &bytes_of(&values)) } else { 0 }
    };
    let (sinks, slopes) = (by_head(case.sinks, &sink_of), by_head(case.slopes, &slope_of));
    let [[q_cu, _], [k_cu, k_lens]] = [0, 1].map(|t| lengths(bench, of, t));
    let (rows_most, keys_most, words) = (of.most(0), of.most(1), case.tree.div_ceil(32) + 1);
    let mut biases = Vec::new();
    let mut bits = vec![0u32; if case.tree > 0 { batch * rows_most * words } else { 0 }];
    for (b, i) in (0..batch).flat_map(|b| (0..rows_most).map(move |i| (b, i))) {
        let of_row = (0..case.tree).filter(|&c| case.bit(b, i, c));
        of_row.for_each(|c| bits[(b * rows_most + i) * words + c / 32] |= 1 << (c % 32));
    }
    for (b, h, i) in (0..batch).flat_map(|b| (0..of.heads).flat_map(move |h| (0..rows_most).map(move |i| (b, h, i)))) {
        biases.extend((0..keys_most).map(|j| case.added(b, h, i, j)));
    }
    let bias = if case.bias { bench.upload("bias", &bytes_of(&biases)) } else { 0 };
    let mask = if case.tree > 0 { bench.upload("mask", &bytes_of(&bits)) } else { 0 };
    let far = |side: Option<usize>| word(side.unwrap_or(1 << 30));
    let tiles = of.most(0).div_ceil(64);
    let args = [
        ("q_codes", Arg::Long(codes[0])),
        ("k_codes", Arg::Long(codes[1])),
        ("q_scales", Arg::Long(scales[0])),
        ("k_scales", Arg::Long(scales[1])),
        ("shift", Arg::Long(if case.shift { at_shift } else { 0 })),
        ("v", Arg::Long(v + if case.e4m3 { 0 } else { 2 * of.pad as u64 })),
        ("v_scales", Arg::Long(at_v_scales)),
        ("out", Arg::Long(out + 2 * of.pad as u64)),
        ("lse", Arg::Long(lse)),
        ("q_cu", Arg::Long(q_cu)),
        ("k_cu", Arg::Long(k_cu)),
        ("k_lens", Arg::Long(k_lens)),
        ("sinks", Arg::Long(sinks)),
        ("slopes", Arg::Long(slopes)),
        ("bias", Arg::Long(bias)),
        ("mask", Arg::Long(mask)),
        ("v_batch", long(v_strides[0])),
        ("v_token", long(v_strides[1])),
        ("v_head", long(v_strides[2])),
        ("out_batch", long(out_strides[0])),
        ("out_token", long(out_strides[1])),
        ("out_head", long(out_strides[2])),
        ("lse_batch", long(lse_strides[0])),
        ("lse_head", long(lse_strides[1])),
        ("bias_batch", long(of.heads * rows_most * keys_most)),
        ("bias_head", long(rows_most * keys_most)),
        ("bias_row", long(keys_most)),
        ("mask_batch", long(rows_most * words)),
        ("mask_row", long(words)),
        ("batch", word(batch)),
        ("heads", word(of.heads)),
        ("kv_heads", word(of.kv_heads)),
        ("queries", word(of.most(0))),
        ("keys", word(of.most(1))),
        ("q_total", word(of.total(0))),
        ("k_total", word(of.total(1))),
        ("q_pitch", word(of.pitch(0))),
        ("k_pitch", word(pitch)),
        ("value_dim", word(dv)),
        ("q_tiles", word(tiles)),
        ("left", far(case.left)),
        ("right", far(case.right)),
        ("keep_first", word(case.keep_first)),
        ("mask_columns", word(case.tree)),
        ("out_type", word(1 + usize::from(case.out_bf16))),
        ("scale", Arg::Word(case.scale.to_bits())),
        ("softcap", Arg::Word(case.softcap.to_bits())),
    ];
    let entry = case.entry();
    let counters = bench.launch(entry, (tiles * of.heads * batch) as u32, entry.row().shared_bytes, count, &args);

    let got: Vec<u16> = bytemuck::cast_slice(&bench.download(out, 2 * out_len)).to_vec();
    let got_lse = if case.lse { floats(bench, lse, lse_len) } else { vec![] };
    let mut written = vec![false; out_len];
    let mut lse_written = vec![false; lse_len];
    let mut results = Vec::new();
    let right = |b: usize| of.right(0, b) && of.right(1, b);
    // Sequences that are not told right may have written their own rows.
    for (b, h) in (0..batch).filter(|&b| !right(b)).flat_map(|b| (0..of.heads).map(move |h| (b, h))) {
        let part = of.part(0, b);
        for i in 0..part.count {
            let token = if of.packed { part.first * out_strides[1] } else { b * out_strides[0] } + i * out_strides[1];
            let first = of.pad + token + h * out_strides[2];
            (first..first + dv).for_each(|at| written[at] = true);
            let at = if of.packed { part.first } else { b * lse_strides[0] } + h * lse_strides[1] + i;
            lse_written.get_mut(at).into_iter().for_each(|written| *written = true);
        }
    }
    for (b, i) in each(0).filter(|&(b, _)| right(b)) {
        let at_sequence = if of.packed { of.begin(0, b) * out_strides[1] } else { b * out_strides[0] };
        for h in 0..of.heads {
            let kv = h / (of.heads / of.kv_heads);
            let keys: Vec<usize> = (0..of.tokens[b][1]).filter(|&j| case.sees(of.tokens[b], b, i, j)).collect();
            let query: Vec<i64> = (0..width).map(|c| (n.q)(b, i, h, c).into()).collect();
            let (mut size, mut bent) = (0f64, 0f64);
            let mut scores: Vec<f64> = Vec::new();
            for &j in &keys {
                let dot: i64 = query.iter().enumerate().map(|(c, q)| q * i64::from((n.k)(b, j, kv, c))).sum();
                let scales = f64::from((n.q_scale)(b, i, h)) * f64::from((n.k_scale)(b, j, kv));
                let shift = if case.shift { shift_of(b, i, h).into() } else { 0.0 };
                let plain = f64::from(case.scale) * (scales * dot as f64 + shift);
                let cap = f64::from(case.softcap);
                let capped = if cap > 0.0 { cap * (plain / cap).tanh() } else { plain };
                let p = i as i64 + of.tokens[b][1] as i64 - of.tokens[b][0] as i64;
                let slope = if case.slopes { f64::from(slope_of(h)) * (p - j as i64).abs() as f64 } else { 0.0 };
                let bias = f64::from(case.added(b, h, i, j));
                scores.push(capped - slope + bias);
                size = size.max(plain.abs() + slope + bias.abs());
                bent = bent.max(cap);
            }
            let sink = if case.sinks { f64::from(sink_of(h)) } else { f64::NEG_INFINITY };
            let most = scores.iter().copied().fold(sink, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
            let sum = weights.iter().sum::<f64>() + if case.sinks { (sink - most).exp() } else { 0.0 };
            let (mut want, mut slack) = (vec![0.0; dv], vec![0.0; dv]);
            // Half a step of P, or of its least numbers; scores and exponentials.
            let (step, least) = if case.e4m3 {
                (2f64.powi(-4), 2f64.powi(-18))
            } else {
                ([2f64.powi(-11), 2f64.powi(-8)][usize::from(of.bf16)], 2f64.powi(-25))
            };
            let of_scores = 2f64.powi(-20) * (4.0 + size + bent);
            let out_step = [2f64.powi(-11), 2f64.powi(-8)][usize::from(case.out_bf16)];
            for c in 0..dv {
                let mut magnitude = 0.0;
                let mut largest = 0f64;
                for (&j, weight) in keys.iter().zip(&weights) {
                    let v = value(b, j, kv, c);
                    want[c] += weight * v / sum;
                    magnitude += weight * v.abs() / sum;
                    largest = largest.max(v.abs());
                }
                slack[c] = (step + of_scores) * magnitude
                    + if sum > 0.0 { least * keys.len() as f64 * largest / sum } else { 0.0 }
                    + out_step * want[c].abs()
                    + 2f64.powi(-25);
            }
            let first = of.pad + at_sequence + i * out_strides[1] + h * out_strides[2];
            (first..first + dv).for_each(|at| written[at] = true);
            let at = if of.packed { of.begin(0, b) } else { b * lse_strides[0] } + h * lse_strides[1] + i;
            if case.lse {
                lse_written[at] = true;
            }
            results.push(Row {
                got: got[first..first + dv].iter().map(|&bits| half(bits, case.out_bf16)).collect(),
                lse: if case.lse { got_lse[at].into() } else { f64::NAN },
                want,
                want_lse: if sum > 0.0 { most + sum.ln() } else { f64::NEG_INFINITY },
                slack,
                lse_slack: of_scores + 1e-5,
            });
        }
    }
    let untouched = u16::from_le_bytes([UNTOUCHED; 2]);
    assert!(got.iter().zip(&written).all(|(&x, &w)| w || x == untouched), "{case:?}: written beside the rows");
    let untouched = u32::from_le_bytes([UNTOUCHED; 4]);
    assert!(got_lse.iter().zip(&lse_written).all(|(x, &w)| w || x.to_bits() == untouched), "{case:?}: beside the lse");
    bench.free(&[codes[0], codes[1], scales[0], scales[1], at_shift, v, at_v_scales, out, lse, q_cu, k_cu, k_lens]);
    bench.free(&[sinks, slopes, bias, mask]);
    (results, counters)
}
