//! The table of planted faults: `tests/mutants/*.json`, one file a kernel.

use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a fault is about. Every kind has at least one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A barrier of the block or of the warp is missing, misplaced or not met by all.
    Barrier,
    /// A wait for something asynchronous is missing, misplaced or too lax.
    Wait,
    /// A group of copies or products is not closed, or closed in the wrong place.
    Commit,
    /// The slot of a ring or the parity of its phase is off by one.
    Ring,
    /// A ring slot is given back before its last reader is done.
    Release,
    /// A fence is missing: memory order, mbarrier.init, proxy, wgmma.
    Fence,
    /// Only one side swizzles, or both do it differently.
    Swizzle,
    /// Registers of a fragment or operands are exchanged in the text of an instruction.
    Fragment,
    /// The wrong lane, row or column.
    Place,
    /// A predicate at an edge lets one too many or one too few through.
    Edge,
    /// The tail of K is dropped, read twice or not cut.
    Tail,
    /// The scale of another row or column.
    Scale,
    /// The bias of another column, or none.
    Bias,
    /// Another rounding, or another order of roundings.
    Rounding,
    /// A result is not clamped or not cut to its width.
    Saturation,
    /// The product does not add to the sum so far, or the sum does not start at zero.
    Accumulate,
    /// A slice of K is missed, summed twice or mixed up.
    SplitK,
    /// An address is off: by a vector, a row, a stage, or by its alignment.
    Pointer,
    /// Shared memory is read before anything wrote it.
    Uninitialized,
    /// Right results at the price of more sectors, wavefronts, instructions or tensor-core operations.
    Traffic,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 20] = [
        Kind::Barrier,
        Kind::Wait,
        Kind::Commit,
        Kind::Ring,
        Kind::Release,
        Kind::Fence,
        Kind::Swizzle,
        Kind::Fragment,
        Kind::Place,
        Kind::Edge,
        Kind::Tail,
        Kind::Scale,
        Kind::Bias,
        Kind::Rounding,
        Kind::Saturation,
        Kind::Accumulate,
        Kind::SplitK,
        Kind::Pointer,
        Kind::Uninitialized,
        Kind::Traffic,
    ];
}

/// One replacement in one file below `kernels/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The file.
    pub file: String,
    /// What stands there. It must stand there once, or `nth` says which it is.
    pub old: String,
    /// What is put in its place.
    pub new: String,
    /// Which occurrence, from 1 on, of `of`.
    #[serde(default)]
    pub nth: Option<[usize; 2]>,
}

/// One planted fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// Its name, unique in its file.
    pub id: String,
    /// What it is about.
    pub kind: Kind,
    /// What is changed, in a line.
    pub what: String,
    /// The change.
    pub edits: Vec<Edit>,
    /// Why no test can see it. Without a reason it must be caught; with one it must not be.
    #[serde(default)]
    pub survives: Option<String>,
    /// Its number among the 19 faults that the emulator's prototype was tried with.
    #[serde(default)]
    pub prototype: Option<u32>,
}

/// The faults of one kernel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The stem of the kernel; the file's too.
    pub kernel: String,
    /// `kernels/<source>.cuh`: what is compiled anew.
    pub source: String,
    /// Tests that run first, by their full names: quick ones that catch most.
    pub smoke: Vec<String>,
    /// Tests of results and of order that run next if those pass: every one whose name starts with one of these.
    pub tests: Vec<String>,
    /// Tests of what is asked of memory, by the same rule: for the mutants of [`Kind::Traffic`] only. To count one
    /// instruction less is no way to notice that a barrier is gone.
    pub counters: Vec<String>,
    /// The faults.
    pub mutants: Vec<Mutant>,
}

/// Reads every table below `folder`, in the order of their names.
pub fn load(folder: &Path) -> Result<Vec<Table>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| format!("cannot read {}: {e}", folder.display()))?.path();
        if path.extension().is_some_and(|e| e == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut tables = Vec::new();
    for path in paths {
        let name = path.display();
        let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {name}: {e}"))?;
        let table: Table = serde_json::from_str(&text).map_err(|e| format!("{name}: {e}"))?;
        if path.file_stem().and_then(|stem| stem.to_str()) != Some(&table.kernel) {
            return Err(format!("{name} is about {}", table.kernel));
        }
        let mut ids = BTreeSet::new();
        for mutant in &table.mutants {
            if !ids.insert(&mutant.id) {
                return Err(format!("{name}: two mutants are called {}", mutant.id));
            }
            if mutant.edits.is_empty() {
                return Err(format!("{name}: {} changes nothing", mutant.id));
            }
        }
        tables.push(table);
    }
    Ok(tables)
}

impl Edit {
    /// The text with the edit made.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        let places: Vec<usize> = text.match_indices(&self.old).map(|(at, _)| at).collect();
        let [nth, of] = self.nth.unwrap_or([1, 1]);
        let said = || format!("{}: `{}`", self.file, self.old);
        if self.old.is_empty() || self.old == self.new {
            return Err(format!("{} is no edit", said()));
        }
        if places.len() != of {
            return Err(format!("{} stands there {} times, not {of}", said(), places.len()));
        }
        let at = *nth.checked_sub(1).and_then(|i| places.get(i)).ok_or_else(|| format!("{} has no {nth}th", said()))?;
        Ok(format!("{}{}{}", &text[..at], self.new, &text[at + self.old.len()..]))
    }
}

impl Mutant {
    /// Makes its edits in the files below `kernels`.
    pub fn apply(&self, kernels: &Path) -> Result<(), String> {
        for edit in &self.edits {
            let path = kernels.join(&edit.file);
            let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
            let text = edit.apply(&text)?;
            fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        }
        Ok(())
    }
}
