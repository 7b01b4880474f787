//! Which mutants are tried.

use super::build::sources;
use super::build::unit::units;
use super::manifest::ROWS;
use super::result;
use super::table::{Mutant, Table};
use halfbyte::kernels;
use std::path::Path;
use std::process::Command;

/// What the caller asks for. Nothing: every mutant.
#[derive(Debug, Default)]
pub struct Selection {
    /// Parts of names or kinds, of which one must fit.
    pub only: Vec<String>,
    /// The revision since which kernels count as changed.
    pub since: Option<String>,
    /// Which tenth.
    pub tenth: Option<usize>,
    /// How many of a changed kernel at most; which ones moves on with `tenth`.
    pub most: Option<usize>,
}

impl Selection {
    /// The mutants asked for; those of changed kernels first.
    pub fn choose<'t>(&self, tables: &'t [Table], repository: &Path) -> Result<Vec<(&'t Table, &'t Mutant)>, String> {
        let every: Vec<(&Table, &Mutant)> =
            tables.iter().flat_map(|table| table.mutants.iter().map(move |mutant| (table, mutant))).collect();
        let changed = match &self.since {
            Some(revision) => changed(tables, repository, revision)?,
            None => Vec::new(),
        };
        if self.since.is_some() {
            println!("changed kernels: {}", if changed.is_empty() { "none".to_owned() } else { changed.join(", ") });
        }
        let partial = self.since.is_some() || self.tenth.is_some();
        let fits = |table: &Table, mutant: &Mutant| {
            let name = result::name(table, mutant);
            let kind = result::kind(mutant.kind);
            self.only.is_empty() || self.only.iter().any(|text| name.contains(text.as_str()) || kind == *text)
        };
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for (index, (table, mutant)) in every.into_iter().enumerate() {
            if !fits(table, mutant) {
                continue;
            }
            let (place, of) = place(table, mutant);
            if !partial || changed.contains(&table.kernel.as_str()) && self.turn(place, of) {
                first.push((table, mutant));
            } else if self.tenth.is_some_and(|tenth| index % 10 == tenth % 10) {
                rest.push((table, mutant));
            }
        }
        first.append(&mut rest);
        Ok(first)
    }

    /// Whether it is the turn of mutant `place` of a changed kernel that has `of`.
    fn turn(&self, place: usize, of: usize) -> bool {
        let Some(most) = self.most.filter(|&most| most < of) else { return true };
        let first = self.tenth.unwrap_or(0) % of * (most % of) % of;
        (place + of - first) % of < most
    }
}

/// Which mutant of its table it is, and of how many.
fn place(table: &Table, mutant: &Mutant) -> (usize, usize) {
    let at = table.mutants.iter().position(|of| of.id == mutant.id);
    (at.unwrap_or(0), table.mutants.len())
}

/// The kernels whose sources or whose table are not what they were at a revision.
fn changed<'t>(tables: &'t [Table], repository: &Path, revision: &str) -> Result<Vec<&'t str>, String> {
    let said = Command::new("git")
        .args(["diff", "--name-only", "--relative", revision, "--", "kernels", "tests/mutants"])
        .current_dir(repository)
        .output()
        .map_err(|e| format!("cannot run git: {e}"))?;
    if !said.status.success() {
        return Err(format!("git knows no changes since {revision}: {}", String::from_utf8_lossy(&said.stderr).trim()));
    }
    let files = String::from_utf8_lossy(&said.stdout).into_owned();
    let files: Vec<&str> = files.lines().collect();
    let mut changed = Vec::new();
    for table in tables {
        let mut inputs = vec![format!("tests/mutants/{}.json", table.kernel)];
        for unit in units(ROWS)?.iter().filter(|unit| unit.source == table.source) {
            let sources = sources::files(&repository.join("kernels"), unit, kernels::params_header())?;
            inputs.extend(sources.keys().map(|path| format!("kernels/{path}")));
        }
        if inputs.iter().any(|input| files.contains(&input.as_str())) {
            changed.push(table.kernel.as_str());
        }
    }
    Ok(changed)
}
