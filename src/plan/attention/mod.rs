//! Plans of attention of many queries (`attention/prefill.cuh`).
//!
//! A block takes a tile of rows of one head of one sequence, or, where query heads share keys, rows of several heads
//! together; it goes through the keys that these see. Plans decide how many rows a tile has, whether heads are packed,
//! and how many heads run side by side so that their keys stay in L2.

mod problem;

use std::fmt;

pub use problem::{AttentionProblem, MAX_HEAD_DIM, MAX_TOKENS, Mask, Packing};

use super::{DeviceFacts, GRID_X_MAX, Geometry, model};
use crate::format::DType;
use crate::manifest::{Entry, ROWS, Row};
use crate::{Error, Result};

/// Keys of a tile.
pub const TILE_KEYS: usize = 64;

/// How an attention is done. Private fields: only [`plan`] and [`candidates`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttentionPlan {
    problem: AttentionProblem,
    facts: DeviceFacts,
    geometry: Option<Geometry>,
    tile_rows: usize,
    pack: usize,
    tiles: usize,
    section: usize,
}

/// Tiles of keys that the blocks of a plan go through, and those that they leave out since no row of theirs sees a key
/// in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Visits {
    /// Tiles that are read and multiplied.
    pub visited: u64,
    /// Tiles that are not.
    pub skipped: u64,
}

impl Visits {
    /// Of so many pairs of a sequence and a head (or heads together, `pack` of them), in tiles of so many rows.
    pub(in crate::plan) fn new(
        mask: &Mask,
        [queries, keys]: [usize; 2],
        pairs: u64,
        tile_rows: usize,
        pack: usize,
    ) -> Visits {
        let all = keys.div_ceil(TILE_KEYS);
        let mut visits = Visits::default();
        for tile in 0..(queries * pack).div_ceil(tile_rows) {
            let rows = tile * tile_rows..((tile + 1) * tile_rows).min(queries * pack);
            let seen = Visits::tiles_seen(mask, [queries, keys], rows.start / pack, (rows.end - 1) / pack);
            visits.visited = visits.visited.saturating_add(pairs.saturating_mul(seen as u64));
            visits.skipped = visits.skipped.saturating_add(pairs.saturating_mul((all - seen) as u64));
        }
        visits
    }

    /// Tiles of keys that one of the queries `first..=last` sees.
    fn tiles_seen(mask: &Mask, [queries, keys]: [usize; 2], first: usize, last: usize) -> usize {
        // Positions plus the number of queries, so that they are not below 0. All are at most MAX_TOKENS.
        let place = |query: usize| query + keys;
        let limit = |side: Option<usize>| side.map(|side| side.min(MAX_TOKENS));
        let end = limit(mask.right()).map_or(keys, |right| (place(last) + right + 1).saturating_sub(queries).min(keys));
        let begin = limit(mask.left).map_or(0, |left| place(first).saturating_sub(left + queries));
        let (begin, end) = (begin / TILE_KEYS, end.div_ceil(TILE_KEYS));
        let kept = mask.keep_first.min(end * TILE_KEYS).div_ceil(TILE_KEYS).min(begin);
        kept + end.saturating_sub(begin)
    }
}

impl AttentionPlan {
    /// The problem that it solves.
    pub const fn problem(&self) -> &AttentionProblem {
        &self.problem
    }

    /// The device that it was made for.
    pub const fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    /// The launch without its operands; `None` when there is nothing to launch.
    pub const fn geometry(&self) -> Option<&Geometry> {
        self.geometry.as_ref()
    }

    /// Rows of a tile.
    pub const fn tile_rows(&self) -> usize {
        self.tile_rows
    }

    /// Query heads that a block takes together.
    pub const fn pack(&self) -> usize {
        self.pack
    }

    /// Tiles of rows of a sequence; of packed queries, a bound for those of all sequences.
    pub const fn tiles(&self) -> usize {
        self.tiles
    }

    /// Heads (of all sequences, unless queries are packed) whose blocks run side by side.
    pub const fn section(&self) -> usize {
        self.section
    }

    /// Whether the last tiles, which see most keys, come first.
    pub fn descending(&self) -> bool {
        self.problem.mask.right().is_some()
    }

    /// What the masks of the problem leave out, where every sequence has its full length.
    pub fn visits(&self) -> Visits {
        let p = &self.problem;
        if p.is_empty() {
            return Visits::default();
        }
        let pairs = (p.heads / self.pack.max(1)) as u64 * p.batch as u64;
        Visits::new(&p.mask, [p.queries, p.keys], pairs, self.tile_rows, self.pack)
    }
}

impl fmt::Display for AttentionPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(g) = self.geometry else {
            return write!(f, "{}: empty, nothing is launched", self.problem);
        };
        let Visits { visited, skipped } = self.visits();
        write!(
            f,
            "{}: {}, {} blocks, {} heads together, sections of {} heads, {} bytes shared, at most {visited} tiles of \
             {TILE_KEYS} keys, {skipped} skipped",
            self.problem,
            g.entry.row().symbol,
            g.grid[0],
            self.pack,
            self.section,
            g.shared_bytes
        )
    }
}

/// Every kernel for a type.
pub fn entries(dtype: DType) -> impl Iterator<Item = Entry> {
    rows(dtype).map(|row| row.entry)
}

fn rows(dtype: DType) -> impl Iterator<Item = &'static Row> {
    let source = match dtype {
        DType::F16 => "attention/attention_prefill_f16_mma",
        _ => "attention/attention_prefill_bf16_mma",
    };
    ROWS.iter().filter(move |row| row.source == source)
}

/// What the manifest's rows of attention have.
fn constant(row: &Row, name: &str) -> usize {
    row.constant(name).unwrap_or(0) as usize
}

/// Every legal plan: each height of tile for the least padded head, heads packed or not.
///
/// # Errors
/// [`Error::Unsupported`] for a type, a head size or a device that no kernel serves; [`Error::Shape`] for heads that do
/// not divide, a mask that contradicts itself, pages of no keys or beside packed keys, or sizes beyond what kernels
/// index.
pub fn candidates(
    problem: &AttentionProblem,
    facts: &DeviceFacts,
) -> Result<impl Iterator<Item = AttentionPlan> + use<>> {
    model(facts)?;
    problem.check()?;
    let (problem, facts) = (*problem, *facts);
    let fits = move |row: &&Row| {
        constant(row, "D") >= problem.head_dim
            && constant(row, "DV") >= problem.value_dim
            && facts.resident_blocks(row, row.shared_bytes) > 0
    };
    let padded = |row: &Row| constant(row, "D") + constant(row, "DV");
    let least = rows(problem.dtype).filter(fits).map(padded).min();
    let group = problem.group();
    let packs = [1, group].into_iter().take(if group > 1 { 2 } else { 1 });
    Ok(rows(problem.dtype)
        .filter(move |row| fits(row) && Some(padded(row)) == least)
        .flat_map(move |row| packs.clone().map(move |pack| (row, pack)))
        .filter_map(move |(row, pack)| make(&problem, &facts, row, pack)))
}

/// The plan with the least wasted rows and enough blocks. Pure and free of allocation.
///
/// Tiles of 128 rows are taken only where they give every multiprocessor two blocks. Of what is left that with the
/// fewest rows which hold no query, where up to a tenth more than needed counts as none; then that of the higher tile;
/// then heads one by one.
///
/// # Errors
/// As [`candidates`]; a grid beyond what a launch holds.
pub fn plan(problem: &AttentionProblem, facts: &DeviceFacts) -> Result<AttentionPlan> {
    let mut best: Option<((bool, u64, usize), AttentionPlan)> = None;
    for plan in candidates(problem, facts)? {
        let score = plan.score();
        if best.as_ref().is_none_or(|(least, _)| score < *least) {
            best = Some((score, plan));
        }
    }
    match best {
        Some((_, plan)) => Ok(plan),
        None => Err(Error::Unsupported(format!(
            "no kernel for heads of {} and {} fits a device with {} bytes of shared memory a block, or the grid exceeds \
             {GRID_X_MAX} blocks",
            problem.head_dim, problem.value_dim, facts.shared_per_block
        ))),
    }
}

impl AttentionPlan {
    /// Less is better: whether multiprocessors stay idle, the rows of all tiles in tenths of what is needed, the tile.
    fn score(&self) -> (bool, u64, usize) {
        let p = &self.problem;
        let Some(g) = self.geometry else { return (false, 0, 0) };
        let need = (p.queries as u128 * p.heads as u128).max(1);
        let tiles = (p.queries * self.pack).div_ceil(self.tile_rows) as u128;
        let rows = tiles * self.tile_rows as u128 * (p.heads / self.pack) as u128;
        let idle = self.tile_rows > 64 && g.grid[0] < self.facts.sm_count.saturating_mul(2);
        // A tenth more rows counts as none; ties go to the higher tile, then to heads one by one.
        (idle, ((rows * 10 / need) as u64).max(11), (1000 - self.tile_rows) * 1000 + self.pack)
    }
}

fn make(problem: &AttentionProblem, facts: &DeviceFacts, row: &'static Row, pack: usize) -> Option<AttentionPlan> {
    let tile_rows = constant(row, "TILE_M");
    let mut plan =
        AttentionPlan { problem: *problem, facts: *facts, geometry: None, tile_rows, pack, tiles: 0, section: 1 };
    if problem.is_empty() {
        return Some(plan);
    }
    // Every factor is below 2^30: products of two fit a usize.
    let (groups, of_one) = (problem.heads / pack, (problem.queries * pack).div_ceil(tile_rows));
    let (tiles, pairs) = match problem.packed_queries {
        // A sequence wastes less than a tile.
        Some(total) => ((total * pack / tile_rows + problem.batch).min(of_one.saturating_mul(problem.batch)), groups),
        None => (of_one, groups * problem.batch),
    };
    let blocks = tiles.checked_mul(pairs).filter(|&blocks| blocks as u64 <= GRID_X_MAX)?;
    let head_bytes = (problem.keys * (problem.head_dim + problem.value_dim) * 2).max(1);
    let heads_in_l2 = (facts.l2_bytes as usize / 2 / head_bytes).max(1);
    plan.section = (heads_in_l2 * (problem.group() / pack).max(1)).min(pairs);
    plan.tiles = tiles;
    plan.geometry = Some(Geometry {
        entry: row.entry,
        grid: [blocks as u32, 1, 1],
        cluster: [1; 3],
        shared_bytes: row.shared_bytes,
    });
    Some(plan)
}
