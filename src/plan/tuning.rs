//! Measured tuning, for who asks for it: which legal plan of a product was the fastest on one device, kept in a file.
//!
//! The model ranks plans; a measurement on the very device may rank them otherwise. A [`Tuning`] holds what was
//! measured under one fingerprint (the device and the kernels), and gives it back only under the same. It only ever
//! names one of [`candidates`], so a file can make a product slow but not wrong, and needs no more scratch than
//! [`scratch_bound`] says. Plans that differ in how K is cut differ in the last bits of float sums: with tuning, these
//! are a function of the file too. A batch-invariant problem stays so: all its candidates cut K alike.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::{fs, process};

use serde::{Deserialize, Serialize};

use super::DeviceFacts;
use super::gemm::{GemmPlan, GemmProblem, candidates, scratch_bound};
use crate::{Error, Result};

/// Most candidates of one problem that are measured, the best by the model first.
pub const MOST_CANDIDATES: usize = 24;

/// Candidates that the model takes for more than so many times slower than the best are not measured.
const SLOWER: u64 = 3;

/// How often each candidate is measured, all of them by turns.
const ROUNDS: usize = 5;

/// The fastest plans, by problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    fingerprint: String,
    choices: BTreeMap<String, Choice>,
}

/// One choice as the file has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Choice {
    /// Symbol of the kernel.
    kernel: String,
    /// Slices of K.
    slices: u32,
    /// Median of what was measured.
    seconds: f64,
}

/// The file: JSON.
#[derive(Serialize, Deserialize)]
struct File {
    fingerprint: String,
    choices: BTreeMap<String, Choice>,
}

impl Tuning {
    /// Nothing measured yet, under a fingerprint as of [`Gemm::fingerprint`](crate::op::Gemm::fingerprint).
    pub fn new(fingerprint: impl Into<String>) -> Tuning {
        Tuning { fingerprint: fingerprint.into(), choices: BTreeMap::new() }
    }

    /// What a file holds for this fingerprint: nothing where there is no such file yet or it was written under another.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read or is no such file.
    pub fn load(path: &Path, fingerprint: impl Into<String>) -> Result<Tuning> {
        let fingerprint = fingerprint.into();
        match fs::read_to_string(path) {
            Ok(text) => Tuning::parse(&text, fingerprint)
                .map_err(|e| Error::File(format!("{}: not a file of measured plans: {e}", path.display()))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Tuning::new(fingerprint)),
            Err(e) => Err(Error::File(format!("{}: {e}", path.display()))),
        }
    }

    fn parse(text: &str, fingerprint: String) -> serde_json::Result<Tuning> {
        let file: File = serde_json::from_str(text)?;
        Ok(match file.fingerprint == fingerprint {
            true => Tuning { fingerprint, choices: file.choices },
            false => Tuning::new(fingerprint),
        })
    }

    /// Writes the file anew: whole beside its place, then into it, so that a reader finds the old one or the new.
    ///
    /// # Errors
    /// [`Error::File`] when that fails; what was there before is then still there.
    pub fn save(&self, path: &Path) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| Error::File(format!("{}: {e}", path.display()));
        let file = File { fingerprint: self.fingerprint.clone(), choices: self.choices.clone() };
        let text = serde_json::to_string_pretty(&file).map_err(|e| failed(&e))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", process::id()));
        fs::write(&beside, text + "\n").and_then(|()| fs::rename(&beside, path)).map_err(|e| {
            let _ = fs::remove_file(&beside);
            failed(&e)
        })
    }

    /// Problems that were measured.
    pub fn len(&self) -> usize {
        self.choices.len()
    }

    /// True when nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.choices.is_empty()
    }

    /// The plan that was the fastest; none where the problem was not measured, or where what the file names is no legal
    /// plan.
    pub fn get(&self, problem: &GemmProblem, facts: &DeviceFacts) -> Option<GemmPlan> {
        let choice = self.choices.get(&key(problem))?;
        let named = |plan: &GemmPlan| kernel(plan) == choice.kernel && plan.split_k() == choice.slices;
        eligible(problem, facts).into_iter().find(named)
    }

    /// Measures what the model takes for good and keeps the fastest. Every candidate is measured as often as the
    /// others, by turns; the least median wins, of equals the better by the model.
    ///
    /// # Errors
    /// The first error of `measure`, which leaves everything as it was; [`Error::Unsupported`] when the problem has no
    /// plan to choose from, as an empty one.
    pub fn choose(
        &mut self,
        problem: &GemmProblem,
        facts: &DeviceFacts,
        mut measure: impl FnMut(&GemmPlan) -> Result<Duration>,
    ) -> Result<GemmPlan> {
        let mut plans = eligible(problem, facts);
        plans.sort_by_key(GemmPlan::cycles);
        let most = plans.first().map_or(0, |best| best.cycles().saturating_mul(SLOWER));
        plans.retain(|plan| plan.cycles() <= most);
        plans.truncate(MOST_CANDIDATES);
        let mut times: Vec<Vec<Duration>> = vec![Vec::new(); plans.len()];
        for _ in 0..ROUNDS {
            for (plan, times) in plans.iter().zip(&mut times) {
                times.push(measure(plan)?);
            }
        }
        let median = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            times[ROUNDS / 2]
        };
        let medians = plans.into_iter().zip(times.iter_mut().map(median));
        let Some((plan, time)) = medians.min_by_key(|(_, time)| *time) else {
            return Err(Error::Unsupported(format!("{problem} has no plan to choose from")));
        };
        let choice = Choice { kernel: kernel(&plan).to_string(), slices: plan.split_k(), seconds: time.as_secs_f64() };
        self.choices.insert(key(problem), choice);
        Ok(plan)
    }
}

/// The plans that a measurement may choose: every candidate that the promised scratch serves.
fn eligible(problem: &GemmProblem, facts: &DeviceFacts) -> Vec<GemmPlan> {
    let most = scratch_bound(problem, facts).unwrap_or(0);
    candidates(problem, facts).filter(|plan| plan.scratch_bytes() <= most).collect()
}

fn kernel(plan: &GemmPlan) -> &'static str {
    plan.geometry().map_or("", |g| g.entry.row().symbol)
}

/// A problem as the file names it: everything of it.
fn key(problem: &GemmProblem) -> String {
    problem.to_string()
}
