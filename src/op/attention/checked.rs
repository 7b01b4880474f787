//! The rules for what an attention works on, and its parameter block.

use super::args::{AttentionArgs, AttentionElement, BiasValues, Heads, ScoreBias, TreeMask};
use crate::device::{Device, Element, LaunchBuilder, Region, Span, View};
use crate::op::{OutputElement, check};
use crate::plan::attention::{AttentionPlan, AttentionProblem, MAX_TOKENS};
use crate::{Error, Result};

/// No limit of a window, as kernels see it.
const UNLIMITED: u32 = 1 << 30;
/// Bits of `flags`.
const DESCENDING: u32 = 1;
const OUT_F32: u32 = 2;
const BIAS_F32: u32 = 4;

/// Arguments that fit the plan.
pub(super) struct Checked<'a, T, O> {
    args: AttentionArgs<'a, T, O>,
}

/// Counts and strides of a strided tensor, by sequence (or page), token and head, and the elements of a row.
struct Extent {
    dims: [(usize, usize); 3],
    row: usize,
}

impl Extent {
    /// Elements from the first to the last.
    fn len(&self) -> Option<usize> {
        if self.dims.iter().any(|&(count, _)| count == 0) {
            return Some(0);
        }
        let last = self
            .dims
            .iter()
            .try_fold(0usize, |sum, &(count, stride)| sum.checked_add((count - 1).checked_mul(stride)?))?;
        last.checked_add(self.row).filter(|&len| len <= isize::MAX as usize / 4)
    }

    /// Whether no two rows meet: every stride is at least what the dimensions of smaller strides cover.
    fn apart(&self) -> bool {
        let mut dims = self.dims;
        dims.sort_by_key(|&(_, stride)| stride);
        let mut covered = self.row;
        dims.iter().filter(|(count, _)| *count > 1).all(|&(count, stride)| {
            let fits = stride >= covered;
            covered = (count - 1).saturating_mul(stride).saturating_add(covered);
            fits
        })
    }

    /// The part of memory that it covers, and that it lies in `view` with rows at multiples of `align` bytes.
    fn check<T: Element>(&self, device: &Device, what: &'static str, view: View<'_, T>, align: usize) -> Result<Span> {
        check::device(device, what, &view)?;
        let size = size_of::<T>();
        for (name, &(count, stride)) in ["sequence", "token", "head"].iter().zip(&self.dims) {
            if count > 1 && !(stride % align * size).is_multiple_of(align) {
                return Err(Error::Shape(format!(
                    "{what}: {stride} elements from a {name} to the next are no multiple of {align} bytes"
                )));
            }
        }
        let leaves = || Error::Shape(format!("{what}: strides {:?} leave the address space", self.dims.map(|d| d.1)));
        let need = self.len().ok_or_else(leaves)?;
        if view.len() < need {
            return Err(Error::TooShort { what, have: view.len(), need, unit: "elements" });
        }
        let span = view.slice(..need)?.span();
        check::aligned(what, &span, align as u64)?;
        Ok(span)
    }
}

impl<'a, T: AttentionElement, O: OutputElement> Checked<'a, T, O> {
    /// Checks everything that the host can see.
    pub fn new(device: &Device, plan: &AttentionPlan, args: AttentionArgs<'a, T, O>) -> Result<Self> {
        let p = plan.problem();
        types::<T, O>(p)?;
        for (name, value) in [("the scale", Some(args.scale)), ("the soft-cap", args.softcap)] {
            if let Some(value) = value.filter(|v| !v.is_normal() || *v < 0.0) {
                return Err(Error::Value(format!("{name} is {value}, but must be above 0 and finite")));
            }
        }
        let query_extent = |batch, token, head, row| match p.packed_queries {
            Some(total) => Extent { dims: [(1, 0), (total, token), (p.heads, head)], row },
            None => Extent { dims: [(p.batch, batch), (p.queries, token), (p.heads, head)], row },
        };
        let pages = args.pages.map_or(0, |pages| pages.pages);
        let key_extent = |heads: &Heads<'_, T>, row| {
            let (batch, tokens) = match (p.page_size, p.packed_keys) {
                (Some(size), _) => ((pages, heads.batch), size),
                (None, Some(total)) => ((1, 0), total),
                (None, None) => ((p.batch, heads.batch), p.keys),
            };
            Extent { dims: [batch, (tokens, heads.token), (p.kv_heads, heads.head)], row }
        };
        let q = &args.q;
        let mut inputs = [
            Some(("q", query_extent(q.batch, q.token, q.head, p.head_dim).check(device, "q", q.view, 16)?)),
            Some(("k", key_extent(&args.k, p.head_dim).check(device, "k", args.k.view, 16)?)),
            Some(("v", key_extent(&args.v, p.value_dim).check(device, "v", args.v.view, 16)?)),
            None,
            None,
        ];
        let o = &args.out;
        let extent = query_extent(o.batch, o.token, o.head, p.value_dim);
        let out = extent.check(device, "out", o.view.as_view(), if p.wide_output { 8 } else { 16 })?;
        if !extent.apart() {
            let [batch, token, head] = extent.dims.map(|dim| dim.1);
            return Err(Error::Shape(format!(
                "rows of out meet: {} elements each, strides of {batch} by sequence, {token} by token, {head} by head",
                p.value_dim
            )));
        }
        if let Some(bias) = &args.bias {
            inputs[3] = Some(("the bias", bias_span(device, bias, [p.batch, p.heads, p.queries, p.keys])?));
        }
        if let Some(tree) = &args.tree {
            inputs[4] = Some(("the mask", tree_span(device, tree, [p.batch, p.queries])?));
        }
        for (what, view) in [("the slopes", args.slopes), ("the sinks", args.sinks)] {
            if let Some(view) = view {
                check::device(device, what, &view)?;
                check::length(what, view.len(), "heads", p.heads)?;
            }
        }
        lengths(device, p, &args)?;
        let mut written = [("out", out), ("the log-sum-exps", NOWHERE)];
        if let Some(lse) = &args.lse {
            let (batch, rows) = match p.packed_queries {
                Some(total) => ((1, 0), total),
                None => ((p.batch, lse.batch), p.queries),
            };
            let extent = Extent { dims: [batch, (1, 0), (p.heads, lse.head)], row: rows };
            written[1].1 = extent.check(device, "the log-sum-exps", lse.view.as_view(), 4)?;
            if !extent.apart() {
                return Err(Error::Shape(format!(
                    "log-sum-exps meet: {rows} of a head, strides of {} by sequence and {} by head",
                    lse.batch, lse.head
                )));
            }
            check::apart(written[1], &[("out", out)])?;
        }
        if let Some(status) = &args.status {
            check::device(device, "the status word", &status.word())?;
        }
        for output in written {
            inputs.iter().flatten().try_for_each(|&input| check::apart(output, &[input]))?;
        }
        Ok(Checked { args })
    }

    /// Gives all arguments, in the order of the manifest.
    pub fn encode(self, plan: &AttentionPlan, launch: &mut LaunchBuilder<'a>) {
        let AttentionArgs { q, k, v, out, lse, scale, softcap, slopes, bias, sinks, tree, .. } = self.args;
        let AttentionArgs { cu_queries, cu_keys, query_lengths, key_lengths, pages, status, .. } = self.args;
        let p = plan.problem();
        let unpacked = |packed: Option<usize>, batch: usize| if packed.is_some() { 0 } else { batch };
        launch.ptr(q.view).ptr(k.view).ptr(v.view).ptr_mut(out.view);
        let (mut lse_batch, mut lse_head) = (0, 0);
        match lse {
            Some(lse) => {
                (lse_batch, lse_head) = (unpacked(p.packed_queries, lse.batch), lse.head);
                launch.ptr_mut(lse.view)
            }
            None => launch.null(),
        };
        for view in [cu_queries, cu_keys, query_lengths, key_lengths, pages.map(|pages| pages.table)] {
            launch.optional(view);
        }
        launch.optional(slopes);
        launch.optional(sinks);
        let mut flags = if plan.descending() { DESCENDING } else { 0 } | if p.wide_output { OUT_F32 } else { 0 };
        let mut bias_strides = [0; 3];
        match bias {
            Some(bias) => {
                bias_strides = [bias.batch, bias.head, bias.query];
                match bias.values {
                    BiasValues::F32(view) => {
                        flags |= BIAS_F32;
                        launch.ptr(view)
                    }
                    BiasValues::Own(view) => launch.ptr(view),
                }
            }
            None => launch.null(),
        };
        launch.optional(tree.map(|tree| tree.words));
        match status {
            Some(status) => launch.ptr_mut(status.word_mut()),
            None => launch.null(),
        };
        strides(launch, &[unpacked(p.packed_queries, q.batch), q.token, q.head]);
        strides(launch, &[unpacked(p.packed_keys, k.batch), k.token, k.head]);
        strides(launch, &[unpacked(p.packed_keys, v.batch), v.token, v.head]);
        strides(launch, &[unpacked(p.packed_queries, out.batch), out.token, out.head]);
        strides(launch, &[lse_batch, lse_head, pages.map_or(0, |pages| pages.row)]);
        strides(launch, &bias_strides);
        let (mask_batch, mask_row) = tree.map_or((0, 0), |tree| (tree.batch, tree.query));
        strides(launch, &[mask_batch, mask_row]);
        // The plan bounds all of these, and the checks the columns of the mask and the number of pages.
        let limit = |keys: Option<usize>| keys.map_or(UNLIMITED, |keys| keys.min(UNLIMITED as usize) as u32);
        for size in [
            p.batch,
            p.heads,
            p.kv_heads,
            p.head_dim,
            p.value_dim,
            p.queries,
            p.keys,
            p.packed_queries.unwrap_or(0),
            p.packed_keys.unwrap_or(0),
            p.page_size.unwrap_or(0),
            pages.map_or(0, |pages| pages.pages),
        ] {
            launch.u32(size as u32);
        }
        let keep = p.mask.keep_first.min(UNLIMITED as usize) as u32;
        launch.u32(limit(p.mask.left)).u32(limit(p.mask.right())).u32(keep);
        launch.u32(tree.map_or(0, |tree| tree.columns) as u32);
        for size in [plan.pack(), plan.section(), plan.tiles()] {
            launch.u32(size as u32);
        }
        launch.u32(flags).f32(scale).f32(softcap.unwrap_or(0.0));
    }
}

/// Strides that the checks have bounded.
fn strides(launch: &mut LaunchBuilder<'_>, strides: &[usize]) {
    for &stride in strides {
        launch.i64(stride as i64);
    }
}

/// Where a bias `[batch, heads, queries, keys]` lies, if it is long enough.
pub(in crate::op) fn bias_span<T: Element>(
    device: &Device,
    bias: &ScoreBias<'_, T>,
    [batch, heads, queries, keys]: [usize; 4],
) -> Result<Span> {
    let extent = Extent { dims: [(batch, bias.batch), (queries, bias.query), (heads, bias.head)], row: keys };
    match bias.values {
        BiasValues::F32(view) => extent.check(device, "the bias", view, 4),
        BiasValues::Own(view) => extent.check(device, "the bias", view, 2),
    }
}

/// Where the rows of a mask of bits lie, if there are enough.
pub(in crate::op) fn tree_span(device: &Device, tree: &TreeMask<'_>, [batch, queries]: [usize; 2]) -> Result<Span> {
    let row = tree.columns.div_ceil(32);
    if queries > 1 && tree.query < row {
        return Err(Error::Shape(format!(
            "rows of the mask are {} words apart, but {} columns take {row}",
            tree.query, tree.columns
        )));
    }
    if tree.columns > MAX_TOKENS {
        return Err(Error::Shape(format!("a mask of {} columns: {MAX_TOKENS} are the most", tree.columns)));
    }
    let extent = Extent { dims: [(batch, tree.batch), (queries, tree.query), (1, 0)], row };
    extent.check(device, "the mask", tree.words, 4)
}

const NOWHERE: Span = Span { address: 0, row_bytes: 0, row_stride: 0, rows: 0 };

/// The types are those of the problem.
fn types<T: Element, O: Element>(p: &AttentionProblem) -> Result<()> {
    let want = if p.wide_output { crate::format::DType::F32 } else { p.dtype };
    if T::DTYPE == p.dtype && O::DTYPE == want {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "the operands are {} and the output {}, but the problem has {} and {want}",
        T::DTYPE,
        O::DTYPE,
        p.dtype
    )))
}

/// First tokens, lengths and pages are there exactly where the problem asks for them, one a sequence.
fn lengths<T, O>(device: &Device, p: &AttentionProblem, args: &AttentionArgs<'_, T, O>) -> Result<()> {
    let starts = [
        ("cu_queries", args.cu_queries, p.packed_queries, "packed queries"),
        ("cu_keys", args.cu_keys, p.packed_keys, "packed keys"),
    ];
    for (what, view, packed, name) in starts {
        match (view, packed) {
            (Some(view), Some(_)) => {
                check::device(device, what, &view)?;
                check::length(what, view.len(), "batch + 1", p.batch + 1)?;
            }
            (None, None) => {}
            (None, Some(_)) => return Err(Error::Shape(format!("the problem has {name}, but {what} is missing"))),
            (Some(_), None) => return Err(Error::Shape(format!("{what} is given, but the problem has no {name}"))),
        }
    }
    for (what, view) in [("query_lengths", args.query_lengths), ("key_lengths", args.key_lengths)] {
        if let Some(view) = view {
            check::device(device, what, &view)?;
            check::length(what, view.len(), "batch", p.batch)?;
        }
    }
    match (&args.pages, p.page_size) {
        (Some(pages), Some(size)) => {
            check::device(device, "the page table", &pages.table)?;
            let of_one = p.keys.div_ceil(size);
            let need = (p.batch.max(1) - 1).checked_mul(pages.row).and_then(|rows| rows.checked_add(of_one));
            let (have, need) = (pages.table.len(), need.unwrap_or(usize::MAX));
            if p.batch > 0 && have < need {
                return Err(Error::TooShort { what: "the page table", have, need, unit: "elements" });
            }
            if pages.pages >= u32::MAX as usize {
                return Err(Error::Shape(format!("{} pages: page numbers are u32", pages.pages)));
            }
            Ok(())
        }
        (None, None) => Ok(()),
        (None, Some(size)) => {
            Err(Error::Shape(format!("the problem has pages of {size} keys, but their table is missing")))
        }
        (Some(_), None) => Err(Error::Shape("a page table is given, but the problem has no pages".into())),
    }
}
