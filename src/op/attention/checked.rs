//! The rules for what an attention works on, and its parameter block.

use super::args::{AttentionArgs, AttentionElement, BiasValues, ScoreBias, TreeMask};
use crate::device::{Device, Element, LaunchBuilder};
use crate::op::strided::{Operands, Rows};
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

impl<'a, T: AttentionElement, O: OutputElement> Checked<'a, T, O> {
    /// Checks everything that the host can see.
    pub fn new(device: &Device, plan: &AttentionPlan, args: AttentionArgs<'a, T, O>) -> Result<Self> {
        let p = plan.problem();
        types::<T, O>(p)?;
        check::positive("the scale", args.scale)?;
        args.softcap.map_or(Ok(()), |cap| check::positive("the soft-cap", cap))?;
        let mut args = args;
        let mut operands = Operands::new(device);
        let counts = [p.batch, p.queries, p.heads];
        args.q.view = operands.read("q", args.q.view, args.q.rows(counts, p.packed_queries, p.head_dim), 16)?;
        let pages = args.pages.map_or(0, |pages| pages.pages);
        for (what, heads, run) in [("k", &mut args.k, p.head_dim), ("v", &mut args.v, p.value_dim)] {
            let rows = match p.page_size {
                Some(size) => {
                    let token = ("token", size, heads.token);
                    Rows::new([("page", pages, heads.batch), token, ("head", p.kv_heads, heads.head)], run)
                }
                None => heads.rows([p.batch, p.keys, p.kv_heads], p.packed_keys, run),
            };
            heads.view = operands.read(what, heads.view, rows, 16)?;
        }
        if let Some(bias) = &mut args.bias {
            cut_bias(&mut operands, bias, [p.batch, p.heads, p.queries, p.keys])?;
        }
        if let Some(tree) = &mut args.tree {
            cut_tree(&mut operands, tree, [p.batch, p.queries])?;
        }
        operands.optional("the slopes", &args.slopes, "heads", p.heads)?;
        operands.optional("the sinks", &args.sinks, "heads", p.heads)?;
        lengths(&mut operands, p, &mut args)?;
        operands.status(&args.status)?;
        let rows = args.out.rows(counts, p.packed_queries, p.value_dim);
        args.out.view = operands.write("out", args.out.view, rows, if p.wide_output { 8 } else { 16 })?;
        if let Some(mut lse) = args.lse.take() {
            let rows = Rows::of_tokens(counts, p.packed_queries, [lse.batch, lse.head]);
            lse.view = operands.write("the log-sum-exps", lse.view, rows, 4)?;
            args.lse = Some(lse);
        }
        operands.apart()?;
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

/// Adds a bias `[batch, heads, queries, keys]` to what is read, and cuts it to that.
pub(in crate::op) fn cut_bias<T: Element>(
    operands: &mut Operands<'_>,
    bias: &mut ScoreBias<'_, T>,
    [batch, heads, queries, keys]: [usize; 4],
) -> Result<()> {
    let rows = Rows::of_heads([batch, queries, heads], None, [bias.batch, bias.query, bias.head], keys);
    match &mut bias.values {
        BiasValues::F32(view) => *view = operands.read("the bias", *view, rows, 4)?,
        BiasValues::Own(view) => *view = operands.read("the bias", *view, rows, 2)?,
    }
    Ok(())
}

/// The same of the rows of a mask of bits, which must be wide enough.
pub(in crate::op) fn cut_tree(
    operands: &mut Operands<'_>,
    tree: &mut TreeMask<'_>,
    [batch, queries]: [usize; 2],
) -> Result<()> {
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
    let rows = Rows::new([("sequence", batch, tree.batch), ("row", queries, tree.query), Rows::ONE], row);
    tree.words = operands.read("the mask", tree.words, rows, 4)?;
    Ok(())
}

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
fn lengths<T, O>(operands: &mut Operands<'_>, p: &AttentionProblem, args: &mut AttentionArgs<'_, T, O>) -> Result<()> {
    let starts = [
        ("cu_queries", args.cu_queries, p.packed_queries, "packed queries"),
        ("cu_keys", args.cu_keys, p.packed_keys, "packed keys"),
    ];
    for (what, view, packed, name) in starts {
        match (view, packed) {
            (Some(view), Some(_)) => operands.array(what, &view, "batch + 1", p.batch + 1)?,
            (None, None) => {}
            (None, Some(_)) => return Err(Error::Shape(format!("the problem has {name}, but {what} is missing"))),
            (Some(_), None) => return Err(Error::Shape(format!("{what} is given, but the problem has no {name}"))),
        }
    }
    operands.optional("query_lengths", &args.query_lengths, "batch", p.batch)?;
    operands.optional("key_lengths", &args.key_lengths, "batch", p.batch)?;
    match (&mut args.pages, p.page_size) {
        (Some(pages), Some(size)) => {
            if pages.pages >= u32::MAX as usize {
                return Err(Error::Shape(format!("{} pages: page numbers are u32", pages.pages)));
            }
            let rows = Rows::new([("sequence", p.batch, pages.row), Rows::ONE, Rows::ONE], p.keys.div_ceil(size));
            pages.table = operands.read("the page table", pages.table, rows, 4)?;
            Ok(())
        }
        (None, None) => Ok(()),
        (None, Some(size)) => {
            Err(Error::Shape(format!("the problem has pages of {size} keys, but their table is missing")))
        }
        (Some(_), None) => Err(Error::Shape("a page table is given, but the problem has no pages".into())),
    }
}
