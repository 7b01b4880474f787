//! What an attention is: heads, sequences, sizes, and which keys a query may see.

use std::fmt;

use crate::format::DType;
use crate::{Error, Result};

/// Greatest size of a head. All multiples of 8 up to it are served.
pub const MAX_HEAD_DIM: usize = 256;

/// Most queries or keys of a sequence, or of all packed ones; also most sequences, heads, and keys of a page: positions
/// and distances are 31-bit numbers in the kernels.
pub const MAX_TOKENS: usize = (1 << 30) - 1;

/// Which keys a query sees by where they stand. Queries and keys are aligned at their ends: of `sq` queries and `sk`
/// keys, query `i` stands at key `p = i + sk − sq`. These are the true lengths of each sequence, not the bounds of the
/// problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mask {
    /// No key after its own: `j ≤ p`.
    pub causal: bool,
    /// At most so many keys before its own: `j ≥ p − left`. A model's window of W tokens, the query's own among them,
    /// is W − 1.
    pub left: Option<usize>,
    /// At most so many keys after its own: `j ≤ p + right`. Not with `causal`, unless it is 0.
    pub right: Option<usize>,
    /// So many first keys of the sequence are seen whatever `left` says (but no key after `right`): StreamingLLM's
    /// sinks. Learned ones are [`AttentionArgs::sinks`](crate::op::AttentionArgs::sinks).
    pub keep_first: usize,
}

impl Mask {
    /// Every key is seen.
    pub const NONE: Mask = Mask { causal: false, left: None, right: None, keep_first: 0 };
    /// No key after a query's own.
    pub const CAUSAL: Mask = Mask { causal: true, ..Mask::NONE };

    /// Keys after its own that a query sees.
    pub fn right(&self) -> Option<usize> {
        if self.causal { Some(0) } else { self.right }
    }

    pub(in crate::plan) fn check(&self) -> Result<()> {
        match self.right {
            Some(right) if self.causal && right > 0 => Err(Error::Shape(format!(
                "a causal mask lets a query see no key after its own, but the window asks for {right}"
            ))),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |limit: Option<usize>| limit.map_or("all".to_owned(), |n| n.to_string());
        match (self.left, self.right()) {
            (None, None) => f.write_str("no mask")?,
            (None, Some(0)) => f.write_str("causal")?,
            (left, right) => write!(f, "window {} left, {} right", side(left), side(right))?,
        }
        if self.keep_first > 0 { write!(f, ", {} first kept", self.keep_first) } else { Ok(()) }
    }
}

/// The attention of a batch of sequences: `out = softmax(scale · Q·Kᵀ, changed and masked) · V` for every head.
///
/// Lengths are bounds where the device holds the true ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttentionProblem {
    /// Sequences.
    pub batch: usize,
    /// Query heads: a multiple of `kv_heads`. Query head `h` reads the keys of head `h / (heads / kv_heads)`.
    pub heads: usize,
    /// Heads of keys and values: as many as query heads (multi-head), fewer (grouped-query) or 1 (multi-query).
    pub kv_heads: usize,
    /// Queries of every sequence, or of the longest.
    pub queries: usize,
    /// Keys of every sequence, or of the longest.
    pub keys: usize,
    /// Elements of a query and a key.
    pub head_dim: usize,
    /// Elements of a value and of an output.
    pub value_dim: usize,
    /// Type of queries, keys and values: f16 or bf16.
    pub dtype: DType,
    /// True for an output in f32 (as parts to be merged want it), false for one in `dtype`.
    pub wide_output: bool,
    /// Queries of all sequences, where they stand one after the other and first tokens are given on the device.
    pub packed_queries: Option<usize>,
    /// The same of keys.
    pub packed_keys: Option<usize>,
    /// Keys of a page, where keys and values lie in pages.
    pub page_size: Option<usize>,
    /// Which keys a query sees.
    pub mask: Mask,
}

impl AttentionProblem {
    /// One sequence of so many queries and keys, with heads of one size: `[queries, keys]`, `[heads, kv_heads]`.
    pub const fn new(
        [queries, keys]: [usize; 2],
        [heads, kv_heads]: [usize; 2],
        head_dim: usize,
        dtype: DType,
    ) -> AttentionProblem {
        AttentionProblem {
            batch: 1,
            heads,
            kv_heads,
            queries,
            keys,
            head_dim,
            value_dim: head_dim,
            dtype,
            wide_output: false,
            packed_queries: None,
            packed_keys: None,
            page_size: None,
            mask: Mask::NONE,
        }
    }

    /// True when there is no output, so that nothing is launched.
    pub const fn is_empty(&self) -> bool {
        self.batch == 0 || self.heads == 0 || self.queries == 0 || matches!(self.packed_queries, Some(0))
    }

    /// Query heads that share a head of keys.
    pub const fn group(&self) -> usize {
        match self.heads.checked_div(self.kv_heads) {
            Some(heads) => heads,
            None => 1,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if !matches!(self.dtype, DType::F16 | DType::Bf16) {
            return Err(Error::Unsupported(format!("attention of {}: f16 and bf16 are served", self.dtype)));
        }
        for (what, size) in [("head_dim", self.head_dim), ("value_dim", self.value_dim)] {
            if size == 0 || size > MAX_HEAD_DIM || !size.is_multiple_of(8) {
                return Err(Error::Unsupported(format!(
                    "{what} = {size} is not served: multiples of 8 from 8 to {MAX_HEAD_DIM} are"
                )));
            }
        }
        if self.kv_heads == 0 && self.heads > 0 || self.kv_heads > 0 && !self.heads.is_multiple_of(self.kv_heads) {
            return Err(Error::Shape(format!(
                "{} query heads cannot share {} heads of keys: served are multiples of the heads of keys",
                self.heads, self.kv_heads
            )));
        }
        if self.page_size == Some(0) {
            return Err(Error::Shape("pages of 0 keys".into()));
        }
        if self.page_size.is_some() && self.packed_keys.is_some() {
            return Err(Error::Shape("keys lie in pages or one sequence after the other, not both".into()));
        }
        let sizes = [
            ("queries", self.queries),
            ("keys", self.keys),
            ("heads", self.heads),
            ("batch", self.batch),
            ("packed queries", self.packed_queries.unwrap_or(0)),
            ("packed keys", self.packed_keys.unwrap_or(0)),
            ("the page size", self.page_size.unwrap_or(0)),
        ];
        match sizes.into_iter().find(|&(_, size)| size > MAX_TOKENS) {
            Some((what, size)) => {
                Err(Error::Shape(format!("{what} = {size} exceeds {MAX_TOKENS}, the largest that a kernel indexes")))
            }
            None => self.mask.check(),
        }
    }
}

impl fmt::Display for AttentionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AttentionProblem { batch, heads, kv_heads, queries, keys, head_dim, value_dim, dtype, .. } = self;
        write!(f, "{batch} x [{queries} queries, {keys} keys], {heads}/{kv_heads} heads of {head_dim}")?;
        if value_dim != head_dim {
            write!(f, "/{value_dim}")?;
        }
        write!(f, " {dtype}")?;
        if self.wide_output {
            f.write_str(" -> f32")?;
        }
        if let Some(total) = self.packed_queries {
            write!(f, ", {total} packed")?;
        }
        if let Some(total) = self.packed_keys {
            write!(f, ", {total} packed keys")?;
        }
        if let Some(size) = self.page_size {
            write!(f, ", pages of {size}")?;
        }
        write!(f, ", {}", self.mask)
    }
}

/// What the host knows of sequences that stand one after the other: first tokens of each, and the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packing {
    /// Sequences.
    pub batch: usize,
    /// Tokens of the longest.
    pub longest: usize,
    /// Tokens of all.
    pub total: usize,
}

impl Packing {
    /// Of `cu_seqlens` `[batch + 1]`: 0, then where each sequence ends. `tokens` is how many the buffer holds.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty list, one that does not begin at 0, falls anywhere, or goes past `tokens`.
    pub fn new(cu_seqlens: &[u32], tokens: usize) -> Result<Packing> {
        let (Some(&first), Some(&last)) = (cu_seqlens.first(), cu_seqlens.last()) else {
            return Err(Error::Shape("cu_seqlens is empty; it holds batch + 1 numbers".into()));
        };
        if first != 0 {
            return Err(Error::Shape(format!("cu_seqlens begins with {first}, not with 0")));
        }
        if let Some(at) = cu_seqlens.windows(2).position(|pair| pair[1] < pair[0]) {
            let (a, b) = (cu_seqlens[at], cu_seqlens[at + 1]);
            return Err(Error::Shape(format!("cu_seqlens falls from {a} to {b} at sequence {at}")));
        }
        if last as usize > tokens {
            return Err(Error::Shape(format!("cu_seqlens ends at {last}, but there are {tokens} tokens")));
        }
        let longest = cu_seqlens.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        Ok(Packing { batch: cu_seqlens.len() - 1, longest: longest as usize, total: last as usize })
    }
}
