//! Sequences of tokens of several heads in memory, by every stride and length, for the kernels of attention.

use half::{bf16, f16};
use halfbyte::manifest::Entry;

use super::{Arg, Bench, bytes_of};

/// Sequences, and how their rows lie.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Queries and keys of each sequence.
    pub tokens: &'static [[usize; 2]],
    pub heads: usize,
    pub kv_heads: usize,
    pub dim: usize,
    pub value_dim: usize,
    /// One sequence after the other, by cu_seqlens.
    pub packed: bool,
    /// Keys fewer than there is room for: by an array of lengths.
    pub lens: bool,
    /// Heads before tokens.
    pub head_first: bool,
    /// Elements between rows, and before the first.
    pub pad: usize,
    pub bf16: bool,
    /// Parts in which keys are walked.
    pub slices: usize,
}

impl Case {
    pub const fn new(tokens: &'static [[usize; 2]], (heads, kv_heads): (usize, usize), dim: usize) -> Case {
        let (packed, lens, head_first, bf16) = (false, false, false, false);
        Case { tokens, heads, kv_heads, dim, value_dim: dim, packed, lens, head_first, pad: 0, bf16, slices: 1 }
    }

    pub fn most(&self, of: usize) -> usize {
        self.tokens.iter().map(|t| t[of]).max().unwrap() + if self.lens && of == 1 { 5 } else { 0 }
    }

    pub fn begin(&self, of: usize, b: usize) -> usize {
        self.tokens[..b].iter().map(|t| t[of]).sum()
    }

    pub fn total(&self, of: usize) -> usize {
        self.begin(of, self.tokens.len())
    }

    /// Positions of a row of scales.
    pub fn pitch(&self, of: usize) -> usize {
        if self.packed { self.total(of) / 64 * 64 + 64 * self.tokens.len() } else { self.most(of).next_multiple_of(64) }
    }

    /// The row of scales of a head, and the first position of its sequence.
    pub fn positions(&self, of: usize, heads: usize, b: usize, h: usize) -> usize {
        let pitch = self.pitch(of);
        if self.packed { h * pitch + self.begin(of, b) / 64 * 64 + 64 * b } else { (b * heads + h) * pitch }
    }

    fn store(&self, x: f32) -> u16 {
        if self.bf16 { bf16::from_f32(x).to_bits() } else { f16::from_f32(x).to_bits() }
    }

    pub fn round(&self, x: f32) -> f32 {
        if self.bf16 { bf16::from_f32(x).to_f32() } else { f16::from_f32(x).to_f32() }
    }

    pub fn entry(&self, f16: Entry, bf16: Entry) -> Entry {
        if self.bf16 { bf16 } else { f16 }
    }
}

/// Numbers of a tensor by sequence, token, head and channel.
pub type Fill<'a> = &'a dyn Fn(usize, usize, usize, usize) -> f32;

/// A tensor in memory: its address, those of all allocations, and its strides by batch, token and head.
pub struct Tensor {
    pub at: u64,
    pub allocated: u64,
    pub strides: [usize; 3],
}

pub fn tensor(bench: &Bench, name: &str, case: &Case, of: usize, heads: usize, dim: usize, fill: Fill<'_>) -> Tensor {
    let row = dim + case.pad;
    let (rows, sequences) = if case.packed { (case.total(of), 1) } else { (case.most(of), case.tokens.len()) };
    let strides =
        if case.head_first { [heads * rows * row, row, rows * row] } else { [rows * heads * row, heads * row, row] };
    // What is no element of a row, and tokens that are not there, would show in every result.
    let mut data = vec![case.store(f32::NAN); case.pad + sequences * rows * heads * row];
    for (b, tokens) in case.tokens.iter().enumerate() {
        let begin = if case.packed { case.begin(of, b) * strides[1] } else { b * strides[0] };
        for token in 0..tokens[of] {
            for (h, c) in (0..heads).flat_map(|h| (0..dim).map(move |c| (h, c))) {
                data[case.pad + begin + token * strides[1] + h * strides[2] + c] = case.store(fill(b, token, h, c));
            }
        }
    }
    let allocated = bench.upload(name, &bytes_of(&data));
    Tensor { at: allocated + 2 * case.pad as u64, allocated, strides }
}

fn words(values: impl IntoIterator<Item = usize>) -> Vec<u8> {
    values.into_iter().flat_map(|n| (n as u32).to_le_bytes()).collect()
}

/// The arrays of `cu_seqlens` and of lengths; 0 where the case has none.
pub fn lengths(bench: &Bench, case: &Case, of: usize) -> [u64; 2] {
    let batch = case.tokens.len();
    let cu = case.packed.then(|| bench.upload("cu_seqlens", &words((0..=batch).map(|b| case.begin(of, b)))));
    let lens = (case.lens && of == 1).then(|| bench.upload("lens", &words(case.tokens.iter().map(|t| t[1]))));
    [cu.unwrap_or(0), lens.unwrap_or(0)]
}

pub fn floats(bench: &Bench, at: u64, count: usize) -> Vec<f32> {
    bench.download(at, 4 * count).chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

pub fn long(x: usize) -> Arg {
    Arg::Long(x as u64)
}

pub fn word(x: usize) -> Arg {
    Arg::Word(x as u32)
}
