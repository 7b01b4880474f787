//! Plans of `quantize_rows`, `quantize_groups` and `quantize_columns`: floats to 8-bit codes, with scales that are
//! found or given.
//!
//! | scheme | scales | kernel, K along the rows of x | K down the rows of x |
//! |---|---|---|---|
//! | [`Scheme::Rows`] | one a row of codes | `quantize_rows` | `quantize_columns` |
//! | [`Scheme::RowsWithZeros`] | one and a zero point a row | `quantize_rows` | none |
//! | [`Scheme::Groups`] | one for 64 or 128 elements of K | `quantize_groups` | `quantize_columns` |
//! | [`Scheme::Given`] | one for all, given | `quantize_groups` | `quantize_columns` |

use std::fmt;

pub use super::quantize_rows::Input;
use super::quantize_rows::{REDUCTION_BYTES, rows_geometry};
use super::{DeviceFacts, Geometry, dimensions, model};
use crate::format::DType;
use crate::manifest::Entry;
use crate::{Error, Result};

/// Groups of K that a scale may serve.
pub const GROUPS: [usize; 2] = [64, 128];

/// Elements of K that one step of `quantize_columns` takes.
const STEP: usize = 128;
/// Columns of x that one block of it takes.
const STRIP: usize = 32;
/// Bytes of x that one warp of `quantize_groups` takes at once.
const WARP_BYTES: usize = 512;
/// Bytes of static shared memory of `quantize_columns`: a tile of codes, and magnitudes.
const COLUMNS_BYTES: u32 = 32 * 128 + 8 * 32 * 4;

/// What x becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Signed bytes.
    S8,
    /// 8-bit floats of 4 exponent bits, up to 448.
    E4m3,
    /// 8-bit floats of 5 exponent bits, up to 57,344.
    E5m2,
}

impl Code {
    /// The type of one code.
    pub const fn dtype(self) -> DType {
        match self {
            Code::S8 => DType::I8,
            Code::E4m3 => DType::E4m3,
            Code::E5m2 => DType::E5m2,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Code::S8 => "s8",
            Code::E4m3 => "e4m3",
            Code::E5m2 => "e5m2",
        })
    }
}

/// Which numbers share a scale, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// One scale a row, from its largest magnitude.
    Rows,
    /// One scale and one zero point a row, from its least and its largest number: signed bytes from −128 to 127.
    RowsWithZeros,
    /// One scale for so many elements of K, 64 or 128, from their largest magnitude. The last group may be short.
    Groups(usize),
    /// One scale for all that is given, and for signed bytes a zero point if there is one.
    Given,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scheme::Rows => f.write_str("a scale a row"),
            Scheme::RowsWithZeros => f.write_str("a scale and a zero point a row"),
            Scheme::Groups(group) => write!(f, "a scale for {group} of K"),
            Scheme::Given => f.write_str("a given scale"),
        }
    }
}

/// A matrix to quantize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuantizeProblem {
    /// Rows of codes: M of activations, N of weights.
    pub rows: usize,
    /// Columns of codes: K.
    pub cols: usize,
    /// Type of the input.
    pub input: Input,
    /// True where the input is `[K, rows]`, with K down its rows.
    pub k_down: bool,
    /// What it becomes.
    pub code: Code,
    /// Which numbers share a scale.
    pub scheme: Scheme,
}

impl QuantizeProblem {
    /// With K along the rows of the input.
    pub const fn new(rows: usize, cols: usize, input: Input, code: Code, scheme: Scheme) -> QuantizeProblem {
        QuantizeProblem { rows, cols, input, k_down: false, code, scheme }
    }

    /// Scales of each row: 1, or the number of groups; 0 where the scale is given.
    pub const fn groups(&self) -> usize {
        match self.scheme {
            Scheme::Rows | Scheme::RowsWithZeros => 1,
            Scheme::Groups(0) | Scheme::Given => 0,
            Scheme::Groups(group) => self.cols.div_ceil(group),
        }
    }

    /// The kernel that serves it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for what no kernel does: zero points of 8-bit floats or with K down the rows, and groups
    /// other than [`GROUPS`].
    pub fn entry(&self) -> Result<Entry> {
        let Self { code, scheme, .. } = *self;
        if let Scheme::Groups(group) = scheme
            && !GROUPS.contains(&group)
        {
            return Err(Error::Unsupported(format!("groups of {group} elements of K; 64 and 128 are served")));
        }
        if scheme == Scheme::RowsWithZeros && code != Code::S8 {
            return Err(Error::Unsupported(format!("zero points of {code}; only s8 codes have one")));
        }
        if scheme == Scheme::RowsWithZeros && self.k_down {
            let what =
                "a zero point a row with K down the rows of x; transpose x, or give the scale and the zero point";
            return Err(Error::Unsupported(what.into()));
        }
        let kinds = match (self.k_down, scheme, code) {
            (true, _, code) => columns(code),
            (_, Scheme::Rows, code) => rows(code),
            (_, Scheme::RowsWithZeros, _) => {
                [Entry::QuantizeRowsZeroF32, Entry::QuantizeRowsZeroF16, Entry::QuantizeRowsZeroBf16]
            }
            (_, Scheme::Groups(_) | Scheme::Given, code) => groups(code),
        };
        Ok(kinds[self.input as usize])
    }

    fn by_row(&self) -> bool {
        !self.k_down && matches!(self.scheme, Scheme::Rows | Scheme::RowsWithZeros)
    }
}

// Entries by input, in the order of `Input`.

const fn rows(code: Code) -> [Entry; 3] {
    match code {
        Code::S8 => [Entry::QuantizeRowsF32, Entry::QuantizeRowsF16, Entry::QuantizeRowsBf16],
        Code::E4m3 => [Entry::QuantizeRowsE4m3F32, Entry::QuantizeRowsE4m3F16, Entry::QuantizeRowsE4m3Bf16],
        Code::E5m2 => [Entry::QuantizeRowsE5m2F32, Entry::QuantizeRowsE5m2F16, Entry::QuantizeRowsE5m2Bf16],
    }
}

const fn groups(code: Code) -> [Entry; 3] {
    match code {
        Code::S8 => [Entry::QuantizeGroupsS8F32, Entry::QuantizeGroupsS8F16, Entry::QuantizeGroupsS8Bf16],
        Code::E4m3 => [Entry::QuantizeGroupsE4m3F32, Entry::QuantizeGroupsE4m3F16, Entry::QuantizeGroupsE4m3Bf16],
        Code::E5m2 => [Entry::QuantizeGroupsE5m2F32, Entry::QuantizeGroupsE5m2F16, Entry::QuantizeGroupsE5m2Bf16],
    }
}

const fn columns(code: Code) -> [Entry; 3] {
    match code {
        Code::S8 => [Entry::QuantizeColumnsS8F32, Entry::QuantizeColumnsS8F16, Entry::QuantizeColumnsS8Bf16],
        Code::E4m3 => [Entry::QuantizeColumnsE4m3F32, Entry::QuantizeColumnsE4m3F16, Entry::QuantizeColumnsE4m3Bf16],
        Code::E5m2 => [Entry::QuantizeColumnsE5m2F32, Entry::QuantizeColumnsE5m2F16, Entry::QuantizeColumnsE5m2Bf16],
    }
}

impl fmt::Display for QuantizeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, cols, input, k_down, code, scheme } = self;
        match k_down {
            false => write!(f, "[{rows}, {cols}] {input} -> {code}, {scheme}"),
            true => write!(f, "[{cols}, {rows}]^T {input} -> {code}, {scheme}"),
        }
    }
}

/// Every kernel that quantizes to a code.
pub fn entries(code: Code) -> impl Iterator<Item = Entry> {
    let zeros = [Entry::QuantizeRowsZeroF32, Entry::QuantizeRowsZeroF16, Entry::QuantizeRowsZeroBf16];
    let zeros = zeros.into_iter().filter(move |_| code == Code::S8);
    rows(code).into_iter().chain(groups(code)).chain(columns(code)).chain(zeros)
}

/// How a matrix is quantized. Private fields: only [`plan`] and [`candidates`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuantizePlan {
    problem: QuantizeProblem,
    facts: DeviceFacts,
    geometry: Option<Geometry>,
    cached: bool,
    splits: u32,
}

impl QuantizePlan {
    /// The problem that it solves.
    pub const fn problem(&self) -> &QuantizeProblem {
        &self.problem
    }

    /// The device that it was made for.
    pub const fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    /// The launch without its operands; `None` when there are no rows and nothing is launched.
    pub const fn geometry(&self) -> Option<&Geometry> {
        self.geometry.as_ref()
    }

    /// True when `quantize_rows` keeps a row in shared memory and reads it from global memory once.
    pub const fn cached(&self) -> bool {
        self.cached
    }

    /// Blocks that share the K of a strip of columns in `quantize_columns`; else 1.
    pub const fn splits(&self) -> u32 {
        self.splits
    }
}

impl fmt::Display for QuantizePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(g) = self.geometry else {
            return write!(f, "{}: empty, nothing is launched", self.problem);
        };
        let row = g.entry.row();
        write!(f, "{}: {}, ", self.problem, row.symbol)?;
        match (self.problem.by_row(), self.problem.k_down, self.problem.scheme) {
            (true, ..) if self.cached => write!(f, "rows read once, ")?,
            (true, ..) | (_, true, Scheme::Rows) => write!(f, "x read twice, ")?,
            (_, true, _) => write!(f, "K in {} parts, ", self.splits)?,
            _ => {}
        }
        write!(f, "{} blocks of {} threads, {} bytes shared", g.grid[0], row.threads, g.shared_bytes)
    }
}

/// The plan of a problem. Pure and free of allocation.
///
/// # Errors
/// [`Error::Shape`] for more rows or columns than a kernel indexes; [`Error::Unsupported`] as
/// [`entry`](QuantizeProblem::entry), and for a device below compute capability 8.0, or 8.9 for 8-bit floats.
pub fn plan(problem: &QuantizeProblem, facts: &DeviceFacts) -> Result<QuantizePlan> {
    check(problem, facts)?;
    let found = [true, false].into_iter().find_map(|first| make(problem, facts, first).transpose());
    found.unwrap_or_else(|| {
        Err(Error::Unsupported(format!(
            "{problem} does not fit a device with {} registers and {} threads a multiprocessor",
            facts.registers_per_sm, facts.threads_per_sm
        )))
    })
}

/// Every legal plan of a problem: of rows with the row kept on chip, where it fits, and read twice; of columns with K
/// in parts and whole.
pub fn candidates(problem: &QuantizeProblem, facts: &DeviceFacts) -> impl Iterator<Item = QuantizePlan> + use<> {
    let (problem, facts) = (*problem, *facts);
    let fits = check(&problem, &facts).is_ok();
    let all = [true, false].map(|first| if fits { make(&problem, &facts, first).ok().flatten() } else { None });
    let second = all[1].filter(|_| all[0] != all[1]);
    all[0].into_iter().chain(second)
}

fn check(problem: &QuantizeProblem, facts: &DeviceFacts) -> Result<()> {
    model(facts)?;
    problem.entry()?;
    if problem.code != Code::S8 && facts.capability < 89 {
        return Err(Error::Unsupported(format!(
            "{} codes are made by an instruction of compute capability 8.9, and this device has {}.{}",
            problem.code,
            facts.capability / 10,
            facts.capability % 10
        )));
    }
    dimensions(problem.rows, problem.cols)
}

/// The plan that is preferred, or the other one; `None` where it does not fit.
fn make(problem: &QuantizeProblem, facts: &DeviceFacts, first: bool) -> Result<Option<QuantizePlan>> {
    let QuantizeProblem { rows, cols, input, scheme, .. } = *problem;
    let entry = problem.entry()?;
    let cached = problem.by_row() && first;
    let mut plan = QuantizePlan { problem: *problem, facts: *facts, geometry: None, cached, splits: 1 };
    if rows == 0 {
        return Ok(Some(plan));
    }
    if problem.by_row() {
        plan.geometry = rows_geometry(entry, rows, cols * input.size(), cached, facts);
        return Ok(plan.geometry.is_some().then_some(plan));
    }
    let shared = if problem.k_down { COLUMNS_BYTES } else { REDUCTION_BYTES };
    let most = u64::from(facts.sm_count.max(1)) * u64::from(facts.resident_blocks(entry.row(), shared));
    if most == 0 {
        return Ok(None);
    }
    let blocks = if problem.k_down {
        let (strips, steps) = (rows.div_ceil(STRIP) as u64, cols.div_ceil(STEP).max(1) as u64);
        if first && scheme != Scheme::Rows {
            // At most 2^24 steps, and no more blocks than a device holds unless every strip has one.
            plan.splits = (most / strips).clamp(1, steps) as u32;
        }
        strips * u64::from(plan.splits)
    } else {
        let warps = rows as u64 * (cols * input.size()).div_ceil(WARP_BYTES).max(1) as u64;
        warps.div_ceil(u64::from(entry.row().threads / 32)).min(most)
    };
    let grid = [blocks.min(super::GRID_X_MAX) as u32, 1, 1];
    plan.geometry = Some(Geometry { entry, grid, cluster: [1; 3], shared_bytes: 0 });
    Ok(Some(plan))
}
