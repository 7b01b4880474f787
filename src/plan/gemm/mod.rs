//! Plans of dense products `d[m, n] = Σ_k a[m, k]·b[n, k]` of every element that the tensor cores multiply.
//!
//! | a, b | sum | K may lie |
//! |---|---|---|
//! | s8, s8 | s32, exact | along the rows |
//! | f16, f16 | f32 | along or down the rows, of each operand |
//! | bf16, bf16 | f32 | along or down the rows, of each operand |
//! | e4m3 or e5m2, e4m3 or e5m2 | f32 | along the rows |
//!
//! Any M, N and K, 0 too. A float's sum goes from the first K to the last in every tile alike; only the cut of K into
//! slices, which are added in their order, changes its bits. [`GemmProblem::batch_invariant`] asks for a cut that does
//! not depend on M or on the batch.
//!
//! 8-bit operands may be summed by groups of K ([`GemmProblem::k_group`]): the sum of each group is scaled and added to
//! an f32 sum, from the first group to the last. Slices of K are then whole groups.

mod problem;

use std::fmt;
use std::ops::Range;

use super::gemm_s8::Output;
use super::tile::{self, Cut, Tile};
use super::{DeviceFacts, GRID_X_MAX, Geometry, Model, model};
use crate::format::DType;
use crate::manifest::Entry;
use crate::{Error, Result};

pub use super::tile::{MAX_SPLIT, SCRATCH_ALIGN};
pub use problem::{GemmProblem, K_GROUPS, MAX_K_BYTES, MAX_K_WITH_ZEROS, Operand};

/// Bytes of K that a slice of a batch-invariant plan holds at least, where K is cut at all.
const INVARIANT_SLICE: u64 = 4096;

/// The tiles of one pair of operands on one architecture.
#[derive(Debug)]
pub(super) struct Tiles {
    pub a: Operand,
    pub b: Operand,
    /// Sums by groups of K.
    pub grouped: bool,
    pub tiles: &'static [Tile],
}

/// How one product is computed. Private fields: only [`plan`] and [`candidates`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GemmPlan {
    problem: GemmProblem,
    facts: DeviceFacts,
    cut: Option<Cut>,
    cycles: u64,
}

impl GemmPlan {
    /// The problem that it solves.
    pub const fn problem(&self) -> &GemmProblem {
        &self.problem
    }

    /// The device that it was made for.
    pub const fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    /// The launch without its operands; `None` when the output is empty and nothing is launched.
    pub const fn geometry(&self) -> Option<&Geometry> {
        match &self.cut {
            Some(cut) => Some(&cut.geometry),
            None => None,
        }
    }

    /// Slices that K is cut into. Each block multiplies one slice of one tile, and the last block of a
    /// tile to finish adds the slices in their order.
    pub const fn split_k(&self) -> u32 {
        match &self.cut {
            Some(cut) => cut.split_k,
            None => 1,
        }
    }

    /// Elements of K in a slice, a multiple of the tile's; the last slice may be shorter.
    pub const fn k_slice(&self) -> u32 {
        match &self.cut {
            Some(cut) => cut.k_slice,
            None => 0,
        }
    }

    /// Cycles that the model expects, rough on purpose: it ranks plans and predicts no times.
    pub const fn cycles(&self) -> u64 {
        self.cycles
    }

    /// Bytes of scratch that a run needs, at an address aligned to [`SCRATCH_ALIGN`].
    pub const fn scratch_bytes(&self) -> usize {
        self.tickets().end
    }

    /// Bytes of the scratch that hold the partial sums, `[tiles, split_k, TILE_M · TILE_N]` words.
    pub const fn partials(&self) -> Range<usize> {
        match &self.cut {
            Some(cut) => cut.partials(),
            None => 0..0,
        }
    }

    /// Bytes of the scratch that hold one u32 ticket a tile. They must be zero before every launch, and
    /// are the only part of the scratch that must be cleared.
    pub const fn tickets(&self) -> Range<usize> {
        match &self.cut {
            Some(cut) => cut.tickets(),
            None => 0..0,
        }
    }

    /// Why this tile: every tile that serves, with the cut of K that is best for it and the cycles that the model
    /// expects, the best first. For reading.
    pub fn explain(&self) -> String {
        let mut text = format!("{self}\n");
        let Ok(model) = model(&self.facts) else { return text };
        let (Some(_), Ok(tiles)) = (self.cut, tiles(&self.problem, &self.facts, model)) else { return text };
        let mut rows: Vec<(u64, Cut)> = tiles
            .iter()
            .filter_map(|tile| choose(std::slice::from_ref(tile), &self.problem, &self.facts, model))
            .collect();
        rows.sort_by_key(|(cycles, _)| *cycles);
        for (cycles, cut) in rows {
            let row = cut.geometry.entry.row();
            let waves = (cut.tiles * u64::from(cut.split_k)).div_ceil(u64::from(self.facts.sm_count.max(1)));
            text += &format!(
                "  {}: {} tiles in {} slices of K, {waves} for each multiprocessor, {cycles} cycles\n",
                row.symbol, cut.tiles, cut.split_k
            );
        }
        text
    }
}

impl fmt::Display for GemmPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(cut) = self.cut else {
            return write!(f, "{}: empty, nothing is launched", self.problem);
        };
        let row = cut.geometry.entry.row();
        write!(
            f,
            "{}: {}, {} tiles, K in {} slice{} of {}, {} blocks of {} threads, {} bytes shared, {} bytes scratch",
            self.problem,
            row.symbol,
            cut.tiles,
            cut.split_k,
            if cut.split_k == 1 { "" } else { "s" },
            cut.k_slice,
            cut.geometry.grid[0],
            row.threads,
            cut.geometry.shared_bytes,
            self.scratch_bytes()
        )
    }
}

/// The tiles that multiply the operands of a problem.
fn tiles(p: &GemmProblem, facts: &DeviceFacts, model: &Model) -> Result<&'static [Tile]> {
    let (a, b) = (p.a, p.b);
    if p.out == Output::I32 && a.dtype != DType::I8 {
        return Err(Error::Unsupported(format!("an s32 output of {a} operands: only int8 sums in s32", a = a.dtype)));
    }
    if let Some(found) =
        model.gemm.iter().find(|tiles| (tiles.a, tiles.b, tiles.grouped) == (a, b, p.k_group.is_some()))
    {
        return Ok(found.tiles);
    }
    let eight = |dtype| matches!(dtype, DType::E4m3 | DType::E5m2);
    if eight(a.dtype) && eight(b.dtype) && facts.capability < 89 {
        return Err(Error::Unsupported(format!(
            "products of {} by {} need compute capability 8.9 and the device has {}.{}: quantize to int8, or widen to f16",
            a.dtype,
            b.dtype,
            facts.capability / 10,
            facts.capability % 10
        )));
    }
    if p.k_group.is_some() && model.gemm.iter().any(|tiles| (tiles.a, tiles.b) == (a, b)) {
        return Err(Error::Unsupported(format!(
            "sums of {} by groups of K: only int8 and 8-bit floats are summed by groups",
            a.dtype
        )));
    }
    if (a.k_down || b.k_down) && model.gemm.iter().any(|tiles| (tiles.a.dtype, tiles.b.dtype) == (a.dtype, b.dtype)) {
        return Err(Error::Unsupported(format!(
            "K of {} operands must lie along the rows: `TransposeBytes` turns codes, and `Quantize` takes numbers with K down the rows",
            a.dtype
        )));
    }
    Err(Error::Unsupported(format!(
        "no kernel multiplies {} by {}: int8 by int8, f16 by f16, bf16 by bf16, and e4m3 or e5m2 by e4m3 or e5m2",
        a.dtype, b.dtype
    )))
}

/// Elements of K in a slice of a batch-invariant plan: a function of N and K alone, such that one row of tiles fills
/// the device once, and no slice is short.
fn invariant_slice(p: &GemmProblem, facts: &DeviceFacts) -> u64 {
    let size = p.a.dtype.size() as u64;
    let columns = (p.n as u64).div_ceil(64).max(1);
    let wish = (u64::from(facts.sm_count) / columns).clamp(1, MAX_SPLIT.into());
    let bytes = (p.k as u64 * size).div_ceil(wish).max(INVARIANT_SLICE);
    bytes.next_multiple_of(128) / size
}

fn choose(tiles: &[Tile], p: &GemmProblem, facts: &DeviceFacts, model: &Model) -> Option<(u64, Cut)> {
    let work = p.work();
    if !p.batch_invariant || p.exact() {
        return tile::best(tiles, &work, facts, model);
    }
    let slice = invariant_slice(p, facts);
    let cuts = tiles.iter().filter_map(|tile| {
        let resident = tile.resident(facts);
        let cut = tile.cut_at(&work, facts, (slice / u64::from(tile.k())).max(1) as u32).filter(|_| resident > 0)?;
        Some((tile.cost(&work, &cut, facts, resident, model), cut))
    });
    cuts.min_by_key(|(cycles, _)| *cycles)
}

/// The plan of least estimated time. Pure and free of allocation.
///
/// # Errors
/// [`Error::Shape`] for a dimension that no kernel can index; [`Error::Unsupported`] for a pair of elements, an output
/// or a direction of K that no kernel serves, for a device below the floor of the elements, or without the shared
/// memory of any tile.
pub fn plan(problem: &GemmProblem, facts: &DeviceFacts) -> Result<GemmPlan> {
    let model = model(facts)?;
    let tiles = tiles(problem, facts, model)?;
    problem.check()?;
    if problem.is_empty() {
        return Ok(GemmPlan { problem: *problem, facts: *facts, cut: None, cycles: 0 });
    }
    match choose(tiles, problem, facts, model) {
        Some((cycles, cut)) => Ok(GemmPlan { problem: *problem, facts: *facts, cut: Some(cut), cycles }),
        None => Err(Error::Unsupported(format!(
            "no tile serves {problem} in at most {GRID_X_MAX} blocks on a device with {} bytes of shared memory a block, {} \
             registers and {} threads a multiprocessor",
            facts.shared_per_block, facts.registers_per_sm, facts.threads_per_sm
        ))),
    }
}

/// The kernels that plans of such operands, summed by groups of K or not, may name on a device.
///
/// # Errors
/// As [`plan`] of any problem with these operands.
pub fn entries(
    a: Operand,
    b: Operand,
    grouped: bool,
    facts: &DeviceFacts,
) -> Result<impl Iterator<Item = Entry> + use<>> {
    let k_group = grouped.then_some(K_GROUPS[0]);
    let problem = GemmProblem { a, b, k_group, ..GemmProblem::new(0, 0, 0, a.dtype, Output::F32) };
    let facts = *facts;
    let tiles = tiles(&problem, &facts, model(&facts)?)?;
    Ok(tiles.iter().filter(move |tile| tile.resident(&facts) > 0).map(|tile| tile.entry))
}

/// Every legal plan of a problem: each tile that the device can hold, with each number of slices of K (those that cut K
/// alike counted once), or, of a batch-invariant problem, each tile. Empty where [`plan`] fails and for an empty
/// output.
pub fn candidates(problem: &GemmProblem, facts: &DeviceFacts) -> impl Iterator<Item = GemmPlan> + use<> {
    let (problem, facts) = (*problem, *facts);
    let model = model(&facts).ok().filter(|_| problem.check().is_ok() && !problem.is_empty());
    let found = model.and_then(|model| Some((model, tiles(&problem, &facts, model).ok()?)));
    found.into_iter().flat_map(move |(model, tiles)| {
        tiles.iter().filter(move |tile| tile.resident(&facts) > 0).flat_map(move |tile| {
            let (work, resident) = (problem.work(), tile.resident(&facts));
            let free = !problem.batch_invariant || problem.exact();
            (1..=if free { tile.max_split(problem.k) } else { 1 }).filter_map(move |split| {
                let (cycles, cut) = if free {
                    let cut = tile.cut(&work, &facts, split).filter(|cut| cut.split_k == split)?;
                    (tile.cost(&work, &cut, &facts, resident, model), cut)
                } else {
                    choose(std::slice::from_ref(tile), &problem, &facts, model)?
                };
                Some(GemmPlan { problem, facts, cut: Some(cut), cycles })
            })
        })
    })
}

/// Scratch bytes that cover [`plan`] of every problem with the operands of `max` whose M, N, K and batch are at most
/// its own, of whatever output type, on this device; 0 where no tile fits it, so that there is no plan.
///
/// # Errors
/// As [`plan`] of `max`, but for that.
pub fn scratch_bound(max: &GemmProblem, facts: &DeviceFacts) -> Result<usize> {
    let model = model(facts)?;
    let tiles = tiles(max, facts, model)?;
    max.check()?;
    let bound = if max.batch_invariant && !max.exact() {
        invariant_bound(tiles, max, facts)
    } else {
        tile::scratch_bound(tiles, &max.work(), facts)
    };
    usize::try_from(bound).map_err(|_| Error::Shape(format!("the scratch of {max} exceeds the address space")))
}

/// Batch-invariant plans split even where the tiles fill the device: every tile may be cut into as many slices as a
/// single column of tiles would be.
fn invariant_bound(tiles: &[Tile], max: &GemmProblem, facts: &DeviceFacts) -> u128 {
    let slices = (max.k as u64 * max.a.dtype.size() as u64).div_ceil(INVARIANT_SLICE).clamp(1, MAX_SPLIT.into());
    if slices < 2 {
        return 0;
    }
    let bound = tiles.iter().filter(|tile| tile.resident(facts) > 0).map(|tile| {
        let count = u128::from(tile.count(max.m, max.n)) * max.batch as u128;
        tile::scratch(count * u128::from(slices), count, tile.sum_bytes())
    });
    bound.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two products of 3 x 7 halves by 5 x 7 bytes, to f32: each reads 42 and 35 bytes and writes 60.
    #[test]
    fn work_counts_every_byte_once() {
        let b = Operand::new(DType::E4m3);
        let problem = GemmProblem { b, batch: 2, ..GemmProblem::new(3, 5, 7, DType::F16, Output::F32) };
        assert_eq!(problem.work().bytes, 2 * (42 + 35 + 60));
    }
}
