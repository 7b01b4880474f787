//! What a launch of attention is, with every parameter chosen by hand, and where its operands lie.

use half::{bf16, f16};
use halfbyte::manifest::Entry;

use super::super::Random;

/// What a page table holds where nothing needs an entry.
const NO_PAGE: u32 = 2_147_480_000;

/// What is added to the scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bias {
    None,
    F32,
    Own,
}

/// How sequences stand in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lengths {
    /// All alike.
    Alike,
    /// Shorter by lengths on the device: of queries and keys.
    Given,
    /// One after the other, queries and keys.
    Packed,
}

/// One launch.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub entry: Entry,
    pub batch: usize,
    /// Query heads, and those of keys.
    pub heads: (usize, usize),
    /// Most queries and keys of a sequence.
    pub sizes: (usize, usize),
    /// head_dim and value_dim.
    pub dims: (usize, usize),
    pub left: Option<usize>,
    pub right: Option<usize>,
    pub keep: usize,
    pub softcap: f32,
    pub slopes: bool,
    pub sinks: bool,
    pub bias: Bias,
    /// Columns of a mask of bits; 0: none.
    pub tree: usize,
    /// Columns 64 to 127 of it are seen by nobody.
    pub hole: bool,
    pub lengths: Lengths,
    /// Keys of a page; 0: none.
    pub page: usize,
    pub pack: usize,
    pub wide: bool,
    /// Heads before tokens in memory.
    pub heads_first: bool,
    /// Elements between rows, a multiple of 8.
    pub pad: usize,
    /// Heads whose blocks run together.
    pub section: usize,
    /// Scores are spread by so much.
    pub spread: f32,
}

impl Case {
    pub fn new(entry: Entry, sizes: (usize, usize), dims: (usize, usize)) -> Case {
        Case {
            entry,
            batch: 1,
            heads: (1, 1),
            sizes,
            dims,
            left: None,
            right: None,
            keep: 0,
            softcap: 0.0,
            slopes: false,
            sinks: false,
            bias: Bias::None,
            tree: 0,
            hole: false,
            lengths: Lengths::Alike,
            page: 0,
            pack: 1,
            wide: false,
            heads_first: false,
            pad: 0,
            section: 1000,
            spread: 2.0,
        }
    }

    pub fn constant(&self, name: &str) -> usize {
        self.entry.row().constant(name).unwrap() as usize
    }

    pub fn is_bf16(&self) -> bool {
        self.entry.row().symbol.contains("bf16")
    }

    pub fn rounded(&self, x: f32) -> f32 {
        if self.is_bf16() { bf16::from_f32(x).to_f32() } else { f16::from_f32(x).to_f32() }
    }

    pub fn bits(&self, x: f32) -> u16 {
        if self.is_bf16() { bf16::from_f32(x).to_bits() } else { f16::from_f32(x).to_bits() }
    }

    /// Queries and keys of each sequence: the first has all, one has none.
    pub fn each_length(&self) -> Vec<(usize, usize)> {
        let (sq, sk) = self.sizes;
        let of = |b: usize| match (self.lengths, b % 4) {
            (Lengths::Alike, _) | (_, 0) => (sq, sk),
            (_, 1) => (sq - sq / 3, sk - sk / 4 - 1),
            (_, 2) => (sq / 2 + 1, 0),
            _ => (0, sk / 2),
        };
        (0..self.batch).map(of).collect()
    }
}

/// Rows of heads somewhere in memory.
pub struct Place {
    pub batch: usize,
    pub token: usize,
    pub head: usize,
    pub len: usize,
}

impl Place {
    /// `[batch, tokens, heads, row]`, or heads before tokens, with `pad` elements between rows.
    fn new([batch, tokens, heads, row]: [usize; 4], heads_first: bool, pad: usize) -> Place {
        let row = row + pad;
        let (token, head) = if heads_first { (row, tokens * row) } else { (heads * row, row) };
        Place { batch: tokens * heads * row, token, head, len: batch * tokens * heads * row }
    }

    pub fn at(&self, b: usize, token: usize, head: usize) -> usize {
        b * self.batch + token * self.token + head * self.head
    }
}

/// What a case works on and gives.
pub struct Data {
    /// By sequence, head and row; values as 16 bits hold them.
    pub q: Vec<Vec<Vec<Vec<f32>>>>,
    pub k: Vec<Vec<Vec<Vec<f32>>>>,
    pub v: Vec<Vec<Vec<Vec<f32>>>>,
}

impl Data {
    pub fn random(case: &Case) -> Data {
        let mut random = Random::new(&format!("{case:?}"));
        let mut tensor = |heads: usize, dim: usize, tokens: &dyn Fn((usize, usize)) -> usize, size: f32| {
            let of = |lengths| -> Vec<Vec<Vec<f32>>> {
                let mut row = || (0..dim).map(|_| case.rounded(random.float() * size)).collect::<Vec<f32>>();
                (0..heads).map(|_| (0..tokens(lengths)).map(|_| row()).collect()).collect()
            };
            case.each_length().into_iter().map(of).collect::<Vec<_>>()
        };
        let (d, dv) = case.dims;
        Data {
            q: tensor(case.heads.0, d, &|n| n.0, 2.0),
            k: tensor(case.heads.1, d, &|n| n.1, 1.0),
            v: tensor(case.heads.1, dv, &|n| n.1, 3.0),
        }
    }
}

/// Where everything of a case lies, and what its launch is told beside queries, keys and values.
pub struct Layout {
    pub lengths: Vec<(usize, usize)>,
    pub packed: bool,
    /// First tokens of packed sequences.
    pub cu_q: Vec<u32>,
    pub cu_k: Vec<u32>,
    /// Pages that exist, those of each sequence, and from one sequence's to the next's.
    pub pages: usize,
    pub table: Vec<u32>,
    pub row_of_pages: usize,
    /// Queries, keys, values and outputs.
    pub places: [Place; 4],
    pub lse_rows: usize,
    pub scale: f32,
    pub slopes: Vec<f32>,
    pub sinks: Vec<f32>,
    /// `[batch, heads, sq, sk + 3]`
    pub biases: Vec<f32>,
    /// `[batch, sq, words]`
    pub bits: Vec<u32>,
    pub words: usize,
}

impl Layout {
    pub fn new(case: &Case) -> Layout {
        let Case { batch, heads, sizes: (sq, sk), dims: (d, dv), page, .. } = *case;
        let mut random = Random::new(&format!("{case:?} layout"));
        let lengths = case.each_length();
        let packed = case.lengths == Lengths::Packed;
        let starts = |of: fn(&(usize, usize)) -> usize| -> Vec<u32> {
            let ends = lengths.iter().map(of).scan(0, |sum, n| {
                *sum += n as u32;
                Some(*sum)
            });
            [0].into_iter().chain(ends).collect()
        };
        let (cu_q, cu_k) = (starts(|n| n.0), starts(|n| n.1));
        let (total_q, total_k) = (*cu_q.last().unwrap() as usize, *cu_k.last().unwrap() as usize);

        // Pages in an order of their own, more than are needed.
        let of_one = if page == 0 { 0 } else { sk.div_ceil(page) };
        let pages = batch * of_one + 3;
        let mut order: Vec<usize> = (0..pages).collect();
        (1..pages).rev().for_each(|i| order.swap(i, random.next() as usize % (i + 1)));
        let row_of_pages = of_one + 2;
        let mut table = vec![NO_PAGE; batch * row_of_pages];
        for (b, &(_, keys)) in lengths.iter().enumerate().filter(|_| page > 0) {
            (0..keys.div_ceil(page)).for_each(|i| table[b * row_of_pages + i] = order[b * of_one + i] as u32);
        }

        let place = |tokens: usize, packed_tokens: usize, heads: usize, row: usize| match packed {
            true => Place::new([1, packed_tokens, heads, row], case.heads_first, case.pad),
            false => Place::new([batch, tokens, heads, row], case.heads_first, case.pad),
        };
        let key_place = |row| match page {
            0 => place(sk, total_k, heads.1, row),
            size => Place::new([pages, size, heads.1, row], case.heads_first, case.pad),
        };
        let places = [place(sq, total_q, heads.0, d), key_place(d), key_place(dv), place(sq, total_q, heads.0, dv)];
        let biases = (0..if case.bias == Bias::None { 0 } else { batch * heads.0 * sq * (sk + 3) })
            .map(|_| case.rounded(random.float() * 1.5))
            .collect();
        let words = case.tree.div_ceil(32) + 1;
        // A row in five sees nothing by its bits.
        let bits = (0..if case.tree == 0 { 0 } else { batch * sq * words })
            .map(|at| {
                let none = at / words % 5 == 3 || case.hole && (2..4).contains(&(at % words));
                if none { 0 } else { (random.next() | random.next()) as u32 }
            })
            .collect();
        Layout {
            lengths,
            packed,
            cu_q,
            cu_k,
            pages,
            table,
            row_of_pages,
            places,
            lse_rows: if packed { total_q } else { sq },
            scale: case.spread * 3.0 / (2.0 * (d as f32).sqrt()),
            slopes: (0..heads.0).map(|h| 0.02 + 0.07 * h as f32).collect(),
            sinks: (0..heads.0).map(|h| if h == 1 { f32::NEG_INFINITY } else { 0.7 - h as f32 }).collect(),
            biases,
            bits,
            words,
        }
    }

    /// Of queries (`which` 0) and outputs (3).
    pub fn query_at(&self, which: usize, b: usize, i: usize, h: usize) -> usize {
        match self.packed {
            true => self.places[which].at(0, self.cu_q[b] as usize + i, h),
            false => self.places[which].at(b, i, h),
        }
    }

    /// Of keys (1) and values (2).
    pub fn key_at(&self, case: &Case, which: usize, b: usize, j: usize, h: usize) -> usize {
        let place = &self.places[which];
        match (case.page, self.packed) {
            (0, true) => place.at(0, self.cu_k[b] as usize + j, h),
            (0, false) => place.at(b, j, h),
            (size, _) => place.at(self.table[b * self.row_of_pages + j / size] as usize, j % size, h),
        }
    }

    pub fn lse_at(&self, case: &Case, b: usize, i: usize, h: usize) -> usize {
        match self.packed {
            true => h * self.lse_rows + self.cu_q[b] as usize + i,
            false => (b * case.heads.0 + h) * self.lse_rows + i,
        }
    }

    /// Queries, keys and values in memory; what belongs to no row is NaN.
    pub fn memory(&self, case: &Case, data: &Data) -> [Vec<u16>; 3] {
        let mut memory = [0, 1, 2].map(|which| vec![case.bits(f32::NAN); self.places[which].len]);
        for (which, tensor) in [&data.q, &data.k, &data.v].into_iter().enumerate() {
            for (b, of_heads) in tensor.iter().enumerate() {
                for (h, rows) in of_heads.iter().enumerate() {
                    for (token, row) in rows.iter().enumerate() {
                        let at = match which {
                            0 => self.query_at(0, b, token, h),
                            _ => self.key_at(case, which, b, token, h),
                        };
                        row.iter().enumerate().for_each(|(e, &x)| memory[which][at + e] = case.bits(x));
                    }
                }
            }
        }
        memory
    }
}
