//! Plans of the int8 product `d[m, n] = Σ_k a[m, k]·b[n, k]`, both operands s8 with K contiguous.
//!
//! The sum is exact in s32, so every plan of a problem gives the same bits: a plan chooses speed only.
//! Exact needs `K·128·128 < 2^31` (a code may be −128), that is K ≤ [`MAX_K`]; more is an error.

use std::fmt;
use std::ops::Range;

use super::tile::{self, Cut, Tile, Work};
use super::{DeviceFacts, GRID_X_MAX, Geometry, Model, model};
use crate::manifest::Entry;
use crate::{Error, Result};

pub use super::tile::{MAX_SPLIT, SCRATCH_ALIGN};

/// Largest K whose s32 sum cannot leave its range: the greatest `K` with `K·128·128 < 2^31`.
pub const MAX_K: usize = 131_071;

/// What the product is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Output {
    /// `sum · scale_row[m] · scale_col[n] + bias[n]` in f32.
    F32,
    /// The same, rounded once to f16; beyond its range it is ±Inf.
    F16,
    /// The same, rounded once to bf16.
    Bf16,
    /// The sum itself: no scales, no bias.
    I32,
}

impl Output {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Output::F32 | Output::I32 => 4,
            Output::F16 | Output::Bf16 => 2,
        }
    }

    /// The value of the kernels' `d_type` parameter.
    pub const fn code(self) -> u32 {
        match self {
            Output::F32 => 0,
            Output::F16 => 1,
            Output::Bf16 => 2,
            Output::I32 => 3,
        }
    }

    /// True when scales and bias are applied.
    pub const fn scaled(self) -> bool {
        !matches!(self, Output::I32)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Output::F32 => "f32",
            Output::F16 => "f16",
            Output::Bf16 => "bf16",
            Output::I32 => "s32",
        })
    }
}

/// One product: `[m, k]` activations, `[n, k]` weights, `[m, n]` output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GemmS8Problem {
    /// Rows of the activations and of the output.
    pub m: usize,
    /// Rows of the weights, columns of the output.
    pub n: usize,
    /// Columns of both operands.
    pub k: usize,
    /// Type of the output.
    pub out: Output,
}

impl GemmS8Problem {
    /// True when the output has no element, so that nothing is launched.
    pub const fn is_empty(&self) -> bool {
        self.m == 0 || self.n == 0
    }

    fn check(&self) -> Result<()> {
        if self.k > MAX_K {
            return Err(Error::Shape(format!(
                "K = {} exceeds {MAX_K}, the largest K whose int32 sum is exact: K·128·128 must stay below 2^31",
                self.k
            )));
        }
        for (name, value) in [("M", self.m), ("N", self.n)] {
            if value > i32::MAX as usize {
                return Err(Error::Shape(format!(
                    "{name} = {value} exceeds {}, the largest dimension that a kernel indexes",
                    i32::MAX
                )));
            }
        }
        match self.m.checked_mul(self.n).and_then(|e| e.checked_mul(4)) {
            Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
            _ => Err(Error::Shape(format!("an output of {} x {} elements exceeds the address space", self.m, self.n))),
        }
    }
}

impl fmt::Display for GemmS8Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}] x [{}, {}]^T -> {}", self.m, self.k, self.n, self.k, self.out)
    }
}

/// How one product is computed. Private fields: only [`plan`] and [`candidates`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GemmS8Plan {
    problem: GemmS8Problem,
    facts: DeviceFacts,
    cut: Option<Cut>,
}

impl GemmS8Plan {
    /// The problem that it solves.
    pub const fn problem(&self) -> &GemmS8Problem {
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

    /// Length of a slice along K, a multiple of the tile's; the last slice may be shorter.
    pub const fn k_slice(&self) -> u32 {
        match &self.cut {
            Some(cut) => cut.k_slice,
            None => 0,
        }
    }

    /// True when the operands are passed as TMA tensor maps.
    pub fn uses_tensor_maps(&self) -> bool {
        self.geometry().is_some_and(|g| tile::uses_tensor_maps(g.entry.row()))
    }

    /// Bytes of scratch that a run needs, at an address aligned to [`SCRATCH_ALIGN`].
    pub const fn scratch_bytes(&self) -> usize {
        self.tickets().end
    }

    /// Bytes of the scratch that hold the partial sums, s32 `[tiles, split_k, TILE_M · TILE_N]`.
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
}

impl fmt::Display for GemmS8Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(cut) = self.cut else {
            return write!(f, "{}: empty, nothing is launched", self.problem);
        };
        let g = cut.geometry;
        let row = g.entry.row();
        write!(
            f,
            "{}: {}, {} tiles, K in {} slice{} of {}, {} blocks of {} threads, {} bytes shared, {} bytes scratch",
            self.problem,
            row.symbol,
            cut.tiles,
            cut.split_k,
            if cut.split_k == 1 { "" } else { "s" },
            cut.k_slice,
            g.grid[0],
            row.threads,
            g.shared_bytes,
            self.scratch_bytes()
        )
    }
}

/// The plan of least estimated time. Pure and free of allocation.
///
/// # Errors
/// [`Error::Shape`] for K beyond [`MAX_K`] or an M or N that no kernel can index; [`Error::Unsupported`] for a
/// device below compute capability 8.0 or without the shared memory of any tile.
pub fn plan(problem: &GemmS8Problem, facts: &DeviceFacts) -> Result<GemmS8Plan> {
    let model = model(facts)?;
    problem.check()?;
    let plan = |cut| GemmS8Plan { problem: *problem, facts: *facts, cut };
    if problem.is_empty() {
        return Ok(plan(None));
    }
    let best = tile::best(model.gemm_s8, &work(problem), facts, model);
    best.map(|(_, cut)| plan(Some(cut))).ok_or_else(|| {
        Error::Unsupported(format!(
            "no tile of gemm_s8 serves {problem} in at most {GRID_X_MAX} blocks on a device with {} bytes of shared memory a \
             block, {} registers and {} threads a multiprocessor",
            facts.shared_per_block, facts.registers_per_sm, facts.threads_per_sm
        ))
    })
}

/// The kernels that plans for a device may name.
///
/// # Errors
/// [`Error::Unsupported`] for a device below compute capability 8.0.
pub fn entries(facts: &DeviceFacts) -> Result<impl Iterator<Item = Entry> + use<>> {
    Ok(tiles(model(facts)?, facts).map(|tile| tile.entry))
}

/// Every legal plan of a problem: each tile that the device can hold, with each number of slices of K
/// (those that cut K alike counted once). Empty where [`plan`] fails and for an empty output.
pub fn candidates(problem: &GemmS8Problem, facts: &DeviceFacts) -> impl Iterator<Item = GemmS8Plan> + use<> {
    let (problem, facts) = (*problem, *facts);
    let legal = problem.check().is_ok() && !problem.is_empty();
    let model = model(&facts).ok().filter(|_| legal);
    model.into_iter().flat_map(move |m| tiles(m, &facts)).flat_map(move |tile| {
        // `split_k` of a plan is the number of slices in use, so a duplicate shows as a different number.
        (1..=tile.max_split(problem.k)).filter_map(move |split| {
            let cut = tile.cut(&work(&problem), &facts, split).filter(|cut| cut.split_k == split)?;
            Some(GemmS8Plan { problem, facts, cut: Some(cut) })
        })
    })
}

/// Scratch bytes that cover [`plan`] of every problem whose M, N and K are at most those of `max`, of
/// whatever output type, on this device.
///
/// # Errors
/// As [`plan`] of `max`.
pub fn scratch_bound(max: &GemmS8Problem, facts: &DeviceFacts) -> Result<usize> {
    let model = model(facts)?;
    max.check()?;
    usize::try_from(tile::scratch_bound(model.gemm_s8, &work(max), facts))
        .map_err(|_| Error::Shape(format!("the scratch of {max} exceeds the address space")))
}

fn work(p: &GemmS8Problem) -> Work {
    let out = p.out.size() as u32;
    // A problem that was not checked yet may be anything.
    let (m, n, k) = (p.m as u64, p.n as u64, p.k as u64);
    let bytes = m.saturating_add(n).saturating_mul(k).saturating_add(m.saturating_mul(n).saturating_mul(out.into()));
    Work { m: p.m, n: p.n, k: p.k, batch: 1, bytes, out }
}

/// The tiles of a model that fit a device.
fn tiles(model: &'static Model, facts: &DeviceFacts) -> impl Iterator<Item = &'static Tile> + use<> {
    let facts = *facts;
    model.gemm_s8.iter().filter(move |tile| tile.resident(&facts) > 0)
}
