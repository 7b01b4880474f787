//! What an attention works on.

use half::{bf16, f16};

use crate::device::{Element, Status, View, ViewMut};
use crate::op::strided::Rows;
use crate::plan::attention::AttentionProblem;

/// An element of queries, keys and values: f16 or bf16. Sealed through [`Element`].
pub trait AttentionElement: Element {}

impl AttentionElement for f16 {}
impl AttentionElement for bf16 {}

/// A tensor of heads to read: row `(s, t, h)` of sequence, token and head starts at element
/// `s · batch + t · token + h · head`, and its elements lie side by side. [`Attention`](super::Attention) wants rows
/// that start at multiples of 16 bytes; attention in 8 bits takes any, and copies faster at those.
pub struct Heads<'a, T> {
    /// From the first element on.
    pub view: View<'a, T>,
    /// Elements from a sequence (of paged keys and values: a page) to the next. Not used where sequences are packed.
    pub batch: usize,
    /// Elements from a token to the next.
    pub token: usize,
    /// Elements from a head to the next.
    pub head: usize,
}

/// A tensor of heads to write, strided likewise. No two of its rows may meet. What lies between them is not written.
pub struct HeadsMut<'a, T> {
    /// From the first element on.
    pub view: ViewMut<'a, T>,
    /// Elements from a sequence to the next. Not used where sequences are packed.
    pub batch: usize,
    /// Elements from a token to the next.
    pub token: usize,
    /// Elements from a head to the next.
    pub head: usize,
}

impl<T> Clone for Heads<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Heads<'_, T> {}

/// Strides of `[batch, tokens, heads, size]`, and of `[batch, heads, tokens, size]`: by batch, token, head.
fn bshd(tokens: usize, heads: usize, size: usize) -> [usize; 3] {
    let token = heads.saturating_mul(size);
    [tokens.saturating_mul(token), token, size]
}

fn bhsd(tokens: usize, heads: usize, size: usize) -> [usize; 3] {
    let head = tokens.saturating_mul(size);
    [heads.saturating_mul(head), size, head]
}

impl<'a, T: Element> Heads<'a, T> {
    /// `[batch, tokens, heads, size]` without gaps; also packed sequences `[tokens, heads, size]`, and pages
    /// `[pages, tokens of a page, heads, size]`.
    pub fn bshd(view: impl Into<View<'a, T>>, tokens: usize, heads: usize, size: usize) -> Heads<'a, T> {
        let [batch, token, head] = bshd(tokens, heads, size);
        Heads { view: view.into(), batch, token, head }
    }

    /// `[batch, heads, tokens, size]` without gaps; also pages `[pages, heads, tokens of a page, size]`.
    pub fn bhsd(view: impl Into<View<'a, T>>, tokens: usize, heads: usize, size: usize) -> Heads<'a, T> {
        let [batch, token, head] = bhsd(tokens, heads, size);
        Heads { view: view.into(), batch, token, head }
    }

    /// Its rows `[batch, tokens, heads]` of `run` elements, of packed sequences `[total, heads]`.
    pub(in crate::op) fn rows(&self, counts: [usize; 3], packed: Option<usize>, run: usize) -> Rows {
        Rows::of_heads(counts, packed, [self.batch, self.token, self.head], run)
    }
}

impl<'a, T: Element> HeadsMut<'a, T> {
    /// `[batch, tokens, heads, size]` without gaps; also packed sequences `[tokens, heads, size]`.
    pub fn bshd(view: impl Into<ViewMut<'a, T>>, tokens: usize, heads: usize, size: usize) -> HeadsMut<'a, T> {
        let [batch, token, head] = bshd(tokens, heads, size);
        HeadsMut { view: view.into(), batch, token, head }
    }

    /// `[batch, heads, tokens, size]` without gaps.
    pub fn bhsd(view: impl Into<ViewMut<'a, T>>, tokens: usize, heads: usize, size: usize) -> HeadsMut<'a, T> {
        let [batch, token, head] = bhsd(tokens, heads, size);
        HeadsMut { view: view.into(), batch, token, head }
    }

    /// Its rows, likewise.
    pub(in crate::op) fn rows(&self, counts: [usize; 3], packed: Option<usize>, run: usize) -> Rows {
        Rows::of_heads(counts, packed, [self.batch, self.token, self.head], run)
    }
}

/// Where the natural log-sum-exp of every row's scores goes: that of query `i` of sequence `s` and head `h` is element
/// `s · batch + h · head + i`; of packed queries `h · head + t`, `t` counted over all. A sink counts. −∞ where a query
/// sees nothing and has no sink; not written for queries that a sequence does not have.
pub struct LogSumExp<'a> {
    /// From the first element on.
    pub view: ViewMut<'a, f32>,
    /// Elements from a sequence to the next. Not used where sequences are packed.
    pub batch: usize,
    /// Elements from a head to the next.
    pub head: usize,
}

impl<'a> LogSumExp<'a> {
    /// `[batch, heads, queries]` without gaps; also `[heads, tokens]` of packed queries, where `queries` are those of
    /// all sequences.
    pub fn new(view: impl Into<ViewMut<'a, f32>>, queries: usize, heads: usize) -> LogSumExp<'a> {
        LogSumExp { view: view.into(), batch: queries.saturating_mul(heads), head: queries }
    }
}

/// What is added to the scores: for query `i` and key `j` of sequence `s` and head `h` element
/// `s · batch + h · head + i · query + j`, where `i` and `j` count within the sequence, packed or not; a stride of 0
/// lets one serve all.
pub struct ScoreBias<'a, T> {
    /// In f32, or in the type of the queries.
    pub values: BiasValues<'a, T>,
    /// Elements from a sequence to the next.
    pub batch: usize,
    /// Elements from a head to the next.
    pub head: usize,
    /// Elements from a query to the next.
    pub query: usize,
}

/// The numbers of a [`ScoreBias`].
pub enum BiasValues<'a, T> {
    /// In f32.
    F32(View<'a, f32>),
    /// In the type of the queries.
    Own(View<'a, T>),
}

/// Bits that say which of the last `columns` keys of a sequence a query sees; keys before them are not concerned. With
/// as many columns as keys this is any mask; with as many as queries, the tree of guessed tokens behind a prefix.
///
/// Key `sk − columns + c` is bit `c % 32` of word `c / 32` of the row; query `i` of sequence `s` has the row from word
/// `s · batch + i · query` on. A key must pass the [`Mask`](crate::plan::attention::Mask) of the problem too.
#[derive(Clone, Copy)]
pub struct TreeMask<'a> {
    /// From the first word on.
    pub words: View<'a, u32>,
    /// Keys at the end of a sequence that the mask is about.
    pub columns: usize,
    /// Words from a sequence's rows to the next's; 0 where one mask serves all.
    pub batch: usize,
    /// Words from a query to the next: at least `columns / 32`, rounded up.
    pub query: usize,
}

/// Which page holds which keys: key `j` of sequence `s` lies at place `j % page_size` of page
/// `table[s · row + j / page_size]`. The table is `[batch, at least ⌈keys / page_size⌉]`; entries past a sequence's
/// last page are not looked at.
#[derive(Clone, Copy)]
pub struct PageTable<'a> {
    /// From the first entry on. An entry that is needed and is not below `pages` is told by
    /// [`bad_page`](crate::device::StatusFlags::bad_page); its keys count as zeros.
    pub table: View<'a, u32>,
    /// Entries from a sequence to the next: at least `⌈keys / page_size⌉`.
    pub row: usize,
    /// Pages that keys and values have.
    pub pages: usize,
}

/// What one run works on. [`new`](AttentionArgs::new) gives plain attention; the other fields are public.
///
/// `T` is the type of queries, keys and values, `O` that of the output: `T`, or f32.
pub struct AttentionArgs<'a, T, O> {
    /// `[batch, queries, heads, head_dim]`, or `[packed queries, heads, head_dim]`.
    pub q: Heads<'a, T>,
    /// `[batch, keys, kv_heads, head_dim]`, or packed, or `[pages, page_size, kv_heads, head_dim]`.
    pub k: Heads<'a, T>,
    /// The same with value_dim.
    pub v: Heads<'a, T>,
    /// As q, with value_dim. Rows of queries that a sequence does not have are not written.
    pub out: HeadsMut<'a, O>,
    /// Where log-sum-exps go, if they are wanted.
    pub lse: Option<LogSumExp<'a>>,
    /// Factor of every `q · k`, above 0; `1 / √head_dim` at first.
    pub scale: f32,
    /// `s` becomes `cap · tanh(s / cap)`; above 0.
    pub softcap: Option<f32>,
    /// ALiBi, `[heads]`: a score loses `slope · |p − j|` ([`alibi_slopes`]).
    pub slopes: Option<View<'a, f32>>,
    /// What is added to the scores then, in f32 or in the type of the queries.
    pub bias: Option<ScoreBias<'a, T>>,
    /// `[heads]`, learned (gpt-oss): a score that has no value; `e^sink` is added to the denominator, and counts in the
    /// log-sum-exp. First keys that a window keeps are [`Mask::keep_first`](crate::plan::attention::Mask::keep_first).
    pub sinks: Option<View<'a, f32>>,
    /// Bits of keys at the end that are seen.
    pub tree: Option<TreeMask<'a>>,
    /// With packed queries: `[batch + 1]`, 0 and where each sequence ends
    /// ([`Packing`](crate::plan::attention::Packing) checks them on the host).
    pub cu_queries: Option<View<'a, u32>>,
    /// With packed keys: the same.
    pub cu_keys: Option<View<'a, u32>>,
    /// `[batch]`: how many queries each sequence has, at most those of the problem (or of `cu_queries`).
    pub query_lengths: Option<View<'a, u32>>,
    /// `[batch]`: how many keys each sequence has, likewise; without it, all of the problem.
    pub key_lengths: Option<View<'a, u32>>,
    /// With pages: where they are.
    pub pages: Option<PageTable<'a>>,
    /// Where wrong lengths and pages are told: [`bad_length`](crate::device::StatusFlags::bad_length),
    /// [`bad_page`](crate::device::StatusFlags::bad_page).
    pub status: Option<&'a mut Status>,
}

impl<'a, T, O> AttentionArgs<'a, T, O> {
    /// Plain attention with a scale of `1 / √head_dim`.
    pub fn new(
        problem: &AttentionProblem,
        q: Heads<'a, T>,
        k: Heads<'a, T>,
        v: Heads<'a, T>,
        out: HeadsMut<'a, O>,
    ) -> AttentionArgs<'a, T, O> {
        AttentionArgs {
            q,
            k,
            v,
            out,
            lse: None,
            scale: 1.0 / (problem.head_dim as f32).sqrt(),
            softcap: None,
            slopes: None,
            bias: None,
            sinks: None,
            tree: None,
            cu_queries: None,
            cu_keys: None,
            query_lengths: None,
            key_lengths: None,
            pages: None,
            status: None,
        }
    }
}

/// The slopes of ALiBi for so many heads: `2^(−8i/n)` for `i = 1..=n` where `n` is a power of two; otherwise those of
/// the next lower power of two, then every other one of twice as many. (Press et al., 2022, and as BLOOM has them.)
///
/// ```
/// assert_eq!(halfbyte::op::alibi_slopes(8)[..2], [0.5, 0.25]);
/// assert_eq!(halfbyte::op::alibi_slopes(3), [0.0625, 0.00390625, 0.25]);
/// ```
pub fn alibi_slopes(heads: usize) -> Vec<f32> {
    let of = |n: usize, i: usize| (-8.0 * i as f64 / n as f64).exp2() as f32;
    if heads == 0 {
        return Vec::new();
    }
    let power = 1usize << heads.ilog2();
    let first = (1..=power).map(|i| of(power, i));
    first.chain((1..).step_by(2).map(|i| of(2 * power, i))).take(heads).collect()
}
