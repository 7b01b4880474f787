//! The operands of attention through their door: codes, scales and shifts of the reference.

use half::{bf16, f16};
use halfbyte::device::{Buffer, Device, Status};
use halfbyte::op::{AttentionQuantize, AttentionQuantizeArgs, Heads, InputElement, Mean, Step};
use halfbyte::plan::attention_quantize::{AttentionQuantizePlan, AttentionQuantizeProblem, KeyMean};
use halfbyte::plan::quantize_rows::Input;
use halfbyte::reference::attention_quantize as reference;
use halfbyte::reference::sample::Sample;

use super::Tally;
use super::case::poison;
use crate::support::{allocations, devices};

/// Sequences of so many queries and keys.
#[derive(Clone, Copy, Debug)]
struct Case {
    tokens: &'static [[usize; 2]],
    packed: bool,
    lens: bool,
    mean: KeyMean,
    heads: usize,
    kv_heads: usize,
    dims: [usize; 2],
    /// A sequence, a key, a head and a channel of K that is not finite.
    bad: bool,
}

impl Case {
    fn problem(&self, input: Input, values: bool) -> AttentionQuantizeProblem {
        let most = |of: usize| self.tokens.iter().map(|t| t[of]).max().unwrap_or(0);
        AttentionQuantizeProblem {
            input,
            batch: self.tokens.len(),
            queries: most(0),
            keys: most(1),
            packed: self.packed.then(|| self.begins(self.tokens.len())),
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.dims[0],
            value_dim: self.dims[1],
            mean: self.mean,
            values,
        }
    }

    fn begins(&self, b: usize) -> [usize; 2] {
        [0, 1].map(|of| self.tokens[..b].iter().map(|t| t[of]).sum())
    }
}

/// A tensor `[batch, most, heads, dim]`, packed `[total, heads, dim]`: its numbers and its buffer, with a gap between
/// rows.
struct Rows<T> {
    values: Vec<f32>,
    buffer: Buffer<T>,
    heads: usize,
    dim: usize,
    most: usize,
}

const GAP: usize = 8;

impl<T: InputElement> Rows<T> {
    fn args(&self) -> Heads<'_, T> {
        let head = self.dim + GAP;
        Heads { view: self.buffer.view(), batch: self.most * self.heads * head, token: self.heads * head, head }
    }

    /// The rows of one head of one sequence whose first row is `begin`.
    fn of(&self, begin: usize, count: usize, h: usize) -> Vec<f32> {
        let row = |t: usize| ((begin + t) * self.heads + h) * self.dim;
        (0..count).flat_map(|t| self.values[row(t)..row(t) + self.dim].to_vec()).collect()
    }
}

fn same(got: f32, want: f32) -> bool {
    got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan())
}

fn check<T: InputElement>(device: &Device, case: &Case, values: bool) -> AttentionQuantizePlan {
    let stream = device.stream().unwrap();
    let op = AttentionQuantize::new(device, T::INPUT, values).unwrap();
    let p = case.problem(T::INPUT, values);
    let plan = op.plan(&p).unwrap();
    let what = format!("{plan} on {device}");
    let mut sample = Sample::new(&format!("{case:?} {}", T::INPUT));
    let room = p.rows();
    let mut rows = |of: usize, heads: usize, dim: usize, most: usize| {
        let mut values: Vec<f32> =
            sample.matrix(room[of] * heads, dim).into_iter().map(|v| T::from_f32(v).to_f32()).collect();
        // Keys of a channel share an offset.
        let offset = |i: usize| if of == 1 { [4.0, -2.5, 0.0][i % dim % 3] } else { 0.0 };
        values.iter_mut().enumerate().for_each(|(i, v)| *v = T::from_f32(*v + offset(i)).to_f32());
        if of == 1 && case.bad {
            values[heads * dim * 2 + 5] = f32::INFINITY;
        }
        let mut laid = poison::<T>(room[of] * heads * (dim + GAP));
        for (i, &v) in values.iter().enumerate() {
            laid[i / dim * (dim + GAP) + i % dim] = T::from_f32(v);
        }
        Rows { values, buffer: stream.upload(&laid).unwrap(), heads, dim, most }
    };
    let q = rows(0, p.heads, p.head_dim, p.queries);
    let k = rows(1, p.kv_heads, p.head_dim, p.keys);
    let v = rows(1, p.kv_heads, p.value_dim, p.keys);
    let given: Vec<f32> = (0..p.batch * p.kv_heads * p.head_dim).map(|i| (i % 7) as f32 - 3.3).collect();
    let mut mean = match case.mean {
        KeyMean::Given => stream.upload(&given).unwrap(),
        _ => stream.upload(&poison::<f32>(given.len())).unwrap(),
    };
    let cu = |of: usize| -> Vec<u32> { (0..=p.batch).map(|b| case.begins(b)[of] as u32).collect() };
    let (q_cu, k_cu) = (stream.upload(&cu(0)).unwrap(), stream.upload(&cu(1)).unwrap());
    let lens: Vec<u32> = (0..p.batch).map(|b| (case.tokens[b][1] - usize::from(case.lens && b == 0)) as u32).collect();
    let lens_buffer = stream.upload(&lens).unwrap();
    let mut operands = stream.upload(&poison::<u8>(plan.layout().bytes())).unwrap();
    let mut status = Status::new(&stream).unwrap();
    let args = AttentionQuantizeArgs {
        q: q.args(),
        k: k.args(),
        v: values.then(|| v.args()),
        mean: match case.mean {
            KeyMean::Computed => Mean::Computed(mean.view_mut()),
            KeyMean::Given => Mean::Given(mean.view()),
            KeyMean::Zero => Mean::Zero,
        },
        cu_queries: case.packed.then(|| q_cu.view()),
        cu_keys: case.packed.then(|| k_cu.view()),
        key_lengths: case.lens.then(|| lens_buffer.view()),
        operands: operands.view_mut(),
        status: Some(&mut status),
    };
    let (mut launches, mut before) = (0, allocations());
    op.launches(&plan, args, |step| {
        launches += usize::from(matches!(step, Step::Launch(_)));
        let taken = allocations() - before;
        assert_eq!(taken, 0, "{what}: a launch took memory");
        let submitted = step.submit(&stream);
        before = allocations();
        submitted
    })
    .unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(launches, plan.launches().count(), "{what}");

    let bytes = stream.download(&operands).unwrap();
    let part = |range: &std::ops::Range<usize>| bytes[range.clone()].to_vec();
    let floats = |range: &std::ops::Range<usize>| -> Vec<f32> {
        part(range).chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let layout = plan.layout().clone();
    let mean = stream.download(&mean).unwrap();
    let (width, [q_pitch, k_pitch]) = (p.width(), p.pitches());
    let codes = [part(&layout.q_codes), part(&layout.k_codes)];
    let scales = [floats(&layout.q_scales), floats(&layout.k_scales)];
    let (shifts, v_codes, v_scales) = (floats(&layout.shift), part(&layout.v_codes), floats(&layout.v_scales));
    let mut nonfinite = false;
    for (b, &len) in lens.iter().enumerate().take(p.batch) {
        let begins = if case.packed { case.begins(b) } else { [b * p.queries, b * p.keys] };
        let counts = [case.tokens[b][0], len as usize];
        let first = |pitch: usize, of: usize, heads: usize, h: usize| match case.packed {
            true => h * pitch + case.begins(b)[of] / 64 * 64 + 64 * b,
            false => (b * heads + h) * pitch,
        };
        for h in 0..p.kv_heads {
            let item = b * p.kv_heads + h;
            let keys = k.of(begins[1], counts[1], h);
            let known = &mean[item * p.head_dim..][..p.head_dim];
            if case.mean == KeyMean::Computed {
                let truth = reference::mean(&keys, p.head_dim).unwrap();
                for (c, (&got, &want)) in known.iter().zip(&truth).enumerate() {
                    let size = keys.iter().skip(c).step_by(p.head_dim).map(|k| f64::from(k.abs())).sum::<f64>();
                    let bound = size * 2f64.powi(-24) + f64::from(got).abs() * 2f64.powi(-23);
                    let right = (f64::from(got) - want).abs() <= bound || !(want.is_finite() || got.is_finite());
                    assert!(right, "{what}: mean {b} {h} {c} is {got}, not {want}");
                }
            }
            let less = (case.mean != KeyMean::Zero).then_some(known);
            if values {
                let want = reference::values(&v.of(begins[1], counts[1], h), p.value_dim).unwrap();
                nonfinite |= want.nonfinite;
                let padded = counts[1].next_multiple_of(64);
                let position = if case.packed { case.begins(b)[1] / 64 * 64 + 64 * b } else { 0 };
                for c in 0..p.value_dim {
                    let row = position + (if case.packed { h } else { item } * p.value_dim + c) * k_pitch;
                    assert_eq!(v_codes[row..row + padded], want.codes[c * padded..][..padded], "{what}: v {b} {h} {c}");
                    assert!(same(v_scales[item * p.value_dim + c], want.scales[c]), "{what}: scale of v {b} {h} {c}");
                }
            }
            let group = p.heads / p.kv_heads;
            for head in h * group..(h + 1) * group {
                let x = q.of(begins[0], counts[0], head);
                compare(
                    &what,
                    &x,
                    None,
                    &codes[0],
                    (begins[0], head, p.heads, width, p.head_dim),
                    &mut nonfinite,
                    |t| scales[0][first(q_pitch, 0, p.heads, head) + t],
                );
                let Some(known) = less else { continue };
                for (t, (want, bound)) in reference::shift(&x, p.head_dim, known).unwrap().into_iter().enumerate() {
                    let got = f64::from(shifts[first(q_pitch, 0, p.heads, head) + t]);
                    let right = (got - want).abs() <= bound || !(want.is_finite() || got.is_finite());
                    assert!(right, "{what}: shift {b} {head} {t} is {got}, not {want}");
                }
            }
            compare(
                &what,
                &keys,
                less,
                &codes[1],
                (begins[1], h, p.kv_heads, width, p.head_dim),
                &mut nonfinite,
                |t| scales[1][first(k_pitch, 1, p.kv_heads, h) + t],
            );
        }
    }
    assert_eq!(status.read_and_clear(&stream).unwrap().nonfinite_input, nonfinite, "{what}: status");
    plan
}

/// Rows of one head against the reference.
fn compare(
    what: &str,
    rows: &[f32],
    mean: Option<&[f32]>,
    codes: &[u8],
    (begin, h, heads, width, dim): (usize, usize, usize, usize, usize),
    nonfinite: &mut bool,
    scale: impl Fn(usize) -> f32,
) {
    let want = reference::heads(rows, dim, mean).unwrap();
    *nonfinite |= want.nonfinite;
    for t in 0..rows.len() / dim {
        let row = &codes[((begin + t) * heads + h) * width..][..width];
        assert_eq!(row[..dim], want.codes[t * dim..][..dim], "{what}: row {t} of head {h}");
        assert!(row[dim..].iter().all(|&code| code == 0), "{what}: the padding of row {t}");
        assert!(same(scale(t), want.scales[t]), "{what}: scale of row {t} of head {h}");
    }
}

#[test]
fn codes_scales_and_shifts_on_every_device() {
    let plain = Case {
        tokens: &[[70, 300], [70, 300]],
        packed: false,
        lens: false,
        mean: KeyMean::Computed,
        heads: 4,
        kv_heads: 2,
        dims: [64, 64],
        bad: false,
    };
    let cases = [
        plain,
        Case { packed: true, tokens: &[[3, 65], [0, 0], [40, 257]], dims: [96, 40], ..plain },
        Case { lens: true, mean: KeyMean::Given, heads: 3, kv_heads: 3, dims: [40, 128], ..plain },
        Case { packed: true, lens: true, tokens: &[[1, 130], [9, 1]], kv_heads: 1, dims: [256, 256], ..plain },
        Case { mean: KeyMean::Zero, tokens: &[[5, 5]], dims: [80, 72], ..plain },
        Case { bad: true, tokens: &[[5, 200]], ..plain },
        Case { tokens: &[[0, 7]], ..plain },
        Case { tokens: &[[7, 0]], ..plain },
        Case { tokens: &[], ..plain },
    ];
    let mut tally = Tally::default();
    for device in devices() {
        for case in &cases {
            for values in [false, true] {
                if values && device.facts().capability < 89 {
                    continue;
                }
                let plan = check::<f16>(&device, case, values);
                check::<bf16>(&device, case, values);
                tally.add("device", &device);
                tally.add("mean", format!("{:?}", case.mean));
                tally.add("joined", plan.finish().is_some());
                tally.add("packed", case.packed);
            }
        }
    }
    tally.assert(
        "quantizing for attention",
        &[("joined true", 10), ("packed true", 10), ("mean Given", 5), ("mean Zero", 5)],
    );
}

/// Keys that share an offset far larger than what tells them apart: without the mean their codes are all alike.
#[test]
fn an_offset_of_all_keys_costs_nothing() {
    let (keys, dim) = (40, 64);
    let mut sample = Sample::new("an offset");
    let k: Vec<f32> = sample
        .matrix(keys, dim)
        .into_iter()
        .enumerate()
        .map(|(i, v)| v + if i % dim == 3 { 60.0 } else { 0.0 })
        .collect();
    let lost = |less: Option<&[f32]>| {
        let made = reference::heads(&k, dim, less).unwrap();
        let back =
            |i: usize| f32::from(made.codes[i] as i8) * made.scales[i / dim] + less.map_or(0.0, |mean| mean[i % dim]);
        (0..k.len()).map(|i| f64::from((back(i) - k[i]).abs())).sum::<f64>() / k.len() as f64
    };
    let mean: Vec<f32> = reference::mean(&k, dim).unwrap().into_iter().map(|m| m as f32).collect();
    let (with, without) = (lost(Some(&mean)), lost(None));
    assert!(without > 10.0 * with, "{with} with the mean, {without} without");
}
