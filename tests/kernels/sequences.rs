//! Sequences of tokens of several heads in memory, by every stride and length, for the kernels of attention.

use half::{bf16, f16};
use halfbyte::manifest::Entry;

use super::{Arg, Bench, bytes_of};

/// What is wrong on the device: an index and what stands there.
#[derive(Clone, Copy, Debug)]
pub struct Wrong {
    /// Of first tokens of packed queries and keys.
    pub cu: [Option<(usize, u32)>; 2],
    /// Of lengths of keys.
    pub lens: Option<(usize, u32)>,
}

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
    pub wrong: Wrong,
}

/// The tokens of a sequence that the device is told of, cut to what there is.
pub struct Part {
    /// Among those of all sequences, and its position in a row of them.
    pub first: usize,
    pub position: usize,
    pub count: usize,
    /// They had to be cut.
    pub cut: bool,
}

impl Case {
    pub const fn new(tokens: &'static [[usize; 2]], (heads, kv_heads): (usize, usize), dim: usize) -> Case {
        let (packed, lens, head_first, bf16) = (false, false, false, false);
        let wrong = Wrong { cu: [None; 2], lens: None };
        Case { tokens, heads, kv_heads, dim, value_dim: dim, packed, lens, head_first, pad: 0, bf16, slices: 1, wrong }
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

    fn cu(&self, of: usize) -> Vec<u32> {
        let mut cu: Vec<u32> = (0..=self.tokens.len()).map(|b| self.begin(of, b) as u32).collect();
        self.wrong.cu[of].into_iter().for_each(|(at, value)| cu[at] = value);
        cu
    }

    fn lens(&self) -> Vec<u32> {
        let mut lens: Vec<u32> = self.tokens.iter().map(|t| t[1] as u32).collect();
        self.wrong.lens.into_iter().for_each(|(at, value)| lens[at] = value);
        lens
    }

    pub fn part(&self, of: usize, b: usize) -> Part {
        let (most, total) = (self.most(of), self.total(of));
        let mut part = Part { first: b * most, position: 0, count: most, cut: false };
        if self.packed {
            let cu = self.cu(of);
            let (begin, end) = (cu[b] as usize, cu[b + 1] as usize);
            part.count = end.min(total).saturating_sub(begin).min(most);
            (part.first, part.position, part.cut) = (begin, begin / 64 * 64 + 64 * b, begin + part.count != end);
        }
        if self.lens && of == 1 {
            let length = self.lens()[b] as usize;
            part.cut |= length > part.count;
            part.count = part.count.min(length);
        }
        part
    }

    /// The tokens are those that were meant.
    pub fn right(&self, of: usize, b: usize) -> bool {
        let part = self.part(of, b);
        part.count == self.tokens[b][of] && (!self.packed || part.first == self.begin(of, b))
    }

    /// What wrong sequences may write: of all tokens' rows of `width` elements.
    pub fn loose_rows(&self, of: usize, width: usize) -> Vec<bool> {
        let rows = if self.packed { self.total(of) } else { self.most(of) * self.tokens.len() };
        let mut loose = vec![false; rows * width];
        for b in (0..self.tokens.len()).filter(|&b| !self.right(of, b)) {
            let part = self.part(of, b);
            (0..part.count * width).for_each(|at| loose[part.first * width + at] = true);
        }
        loose
    }

    /// The same of `rows` rows of positions, those of a sequence rounded up to a multiple of `step`.
    pub fn loose_positions(&self, of: usize, rows: usize, step: usize) -> Vec<bool> {
        let (batch, pitch) = (self.tokens.len(), self.pitch(of));
        let mut loose = vec![false; if self.packed { rows } else { batch * rows } * pitch];
        for (b, row) in (0..batch).filter(|&b| !self.right(of, b)).flat_map(|b| (0..rows).map(move |row| (b, row))) {
            let part = self.part(of, b);
            let first = if self.packed { row } else { b * rows + row } * pitch + part.position;
            (0..part.count.next_multiple_of(step)).for_each(|at| loose[first + at] = true);
        }
        loose
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

/// The arrays of `cu_seqlens` and of lengths; 0 where the case has none.
pub fn lengths(bench: &Bench, case: &Case, of: usize) -> [u64; 2] {
    let cu = case.packed.then(|| bench.upload("cu_seqlens", &bytes_of(&case.cu(of))));
    let lens = (case.lens && of == 1).then(|| bench.upload("lens", &bytes_of(&case.lens())));
    [cu.unwrap_or(0), lens.unwrap_or(0)]
}

/// First tokens that fall or go past the end, and lengths beyond the bound. No sequence's tokens get into those of one
/// that is right.
pub fn wrong(of: Case) -> Vec<Case> {
    let packed = Case { tokens: &[[40, 90], [27, 67], [21, 30], [0, 0], [30, 50]], packed: true, ..of };
    let given = Case { tokens: &[[40, 90], [40, 67], [40, 0], [40, 45]], lens: true, ..of };
    let mut cases = Vec::new();
    for wrong in [(2, 4_000_000_000), (1, 60), (5, 100_000), (0, u32::MAX)].map(Some) {
        cases.push(Case { wrong: Wrong { cu: [wrong, None], lens: None }, ..packed });
    }
    for wrong in [(2, 4_000_000_000), (1, 100), (5, 100_000), (0, u32::MAX)].map(Some) {
        cases.push(Case { wrong: Wrong { cu: [None, wrong], lens: None }, ..packed });
    }
    for (of, wrong) in [(given, (1, 96)), (given, (2, u32::MAX)), (Case { lens: true, ..packed }, (1, u32::MAX))] {
        cases.push(Case { wrong: Wrong { cu: [None; 2], lens: Some(wrong) }, ..of });
    }
    for case in &cases {
        let cut = [0, 1].iter().any(|&of| (0..case.tokens.len()).any(|b| case.part(of, b).cut));
        let right = (0..case.tokens.len()).filter(|&b| case.right(0, b) && case.right(1, b)).count();
        assert!(cut && right >= 3, "{case:?}: {right} are right");
    }
    cases
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
