//! What came out: a line a mutant, the score, and both as JSON.

use super::table::{Kind, Mutant, Table};
use super::trial::Outcome;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// `kernel/id`.
pub fn name(table: &Table, mutant: &Mutant) -> String {
    format!("{}/{}", table.kernel, mutant.id)
}

/// As tables write it: `split_k`.
pub fn kind(kind: Kind) -> String {
    let mut text = String::new();
    for c in format!("{kind:?}").chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A test failed, as it should.
    Caught,
    /// No test failed, and the table says why none can.
    Listed,
    /// No test failed.
    Survived,
    /// A test failed, but the table says that none can.
    Noticed,
    /// It is no mutant.
    Invalid,
}

/// A test that failed.
#[derive(Debug, Serialize)]
pub struct Catch {
    /// Its name.
    pub test: String,
    /// The first line of what it said.
    pub message: String,
}

/// One mutant and what became of it.
#[derive(Debug, Serialize)]
pub struct Trial {
    /// `kernel/id`.
    pub mutant: String,
    kernel: String,
    kind: String,
    what: String,
    /// Its number among the 19 faults that the emulator's prototype was tried with.
    #[serde(skip_serializing_if = "Option::is_none")]
    prototype: Option<u32>,
    /// How it ended.
    pub verdict: Verdict,
    /// By whom it was caught.
    caught_by: Vec<Catch>,
    /// Why it survives, or is no mutant.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    seconds: f64,
}

impl Trial {
    /// Judges an outcome.
    pub fn new(table: &Table, mutant: &Mutant, outcome: Outcome, took: Duration) -> Trial {
        let (verdict, caught_by, reason) = match (outcome, &mutant.survives) {
            (Outcome::Caught(tests), None) => (Verdict::Caught, tests, None),
            (Outcome::Caught(tests), Some(reason)) => (Verdict::Noticed, tests, Some(reason.clone())),
            (Outcome::Survived, Some(reason)) => (Verdict::Listed, Vec::new(), Some(reason.clone())),
            (Outcome::Survived, None) => (Verdict::Survived, Vec::new(), None),
            (Outcome::Invalid(reason), _) => (Verdict::Invalid, Vec::new(), Some(reason)),
        };
        Trial {
            mutant: name(table, mutant),
            kernel: table.kernel.clone(),
            kind: kind(mutant.kind),
            what: mutant.what.clone(),
            prototype: mutant.prototype,
            verdict,
            caught_by: caught_by.into_iter().map(|(test, message)| Catch { test, message }).collect(),
            reason,
            seconds: (took.as_secs_f64() * 100.0).round() / 100.0,
        }
    }

    /// A line for people.
    pub fn line(&self, width: usize) -> String {
        let head = format!("{:<8} {:<width$} {:<13}", self.verdict.word(), self.mutant, self.kind);
        match (&self.caught_by[..], &self.reason) {
            ([first, rest @ ..], reason) => {
                let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                let message: String = first.message.chars().take(160).collect();
                let against = reason.as_ref().map_or(String::new(), |reason| format!(" (but listed: {reason})"));
                format!("{head} {}{more}: {message}{against}", first.test)
            }
            ([], Some(reason)) => format!("{head} {reason}"),
            ([], None) => format!("{head} {}", self.what),
        }
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Caught => "caught",
            Verdict::Listed => "listed",
            Verdict::Survived => "SURVIVED",
            Verdict::Noticed => "NOTICED",
            Verdict::Invalid => "INVALID",
        }
    }
}

/// All trials of a run.
#[derive(Debug)]
pub struct Score {
    trials: Vec<Trial>,
    chosen: usize,
    took: Duration,
}

/// How many ended how.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counts {
    mutants: usize,
    caught: usize,
    listed: usize,
    survived: usize,
    noticed: usize,
    invalid: usize,
}

#[derive(Serialize)]
struct Json<'a> {
    score: Counts,
    left_out: usize,
    kernels: BTreeMap<&'a str, Counts>,
    kinds: BTreeMap<&'a str, Counts>,
    seconds: f64,
    trials: &'a [Trial],
}

impl Counts {
    fn of<'a>(trials: impl Iterator<Item = &'a Trial>) -> Counts {
        let mut counts = Counts::default();
        for trial in trials {
            counts.mutants += 1;
            *match trial.verdict {
                Verdict::Caught => &mut counts.caught,
                Verdict::Listed => &mut counts.listed,
                Verdict::Survived => &mut counts.survived,
                Verdict::Noticed => &mut counts.noticed,
                Verdict::Invalid => &mut counts.invalid,
            } += 1;
        }
        counts
    }
}

impl Score {
    /// `chosen`: how many were asked for; the rest ran out of time.
    pub fn new(trials: Vec<Trial>, chosen: usize, took: Duration) -> Score {
        Score { trials, chosen, took }
    }

    /// True if every trial ended as the table says.
    pub fn holds(&self) -> bool {
        self.trials.iter().all(|trial| matches!(trial.verdict, Verdict::Caught | Verdict::Listed))
    }

    fn by<'a>(&'a self, key: impl Fn(&'a Trial) -> &'a str) -> BTreeMap<&'a str, Counts> {
        let keys = self.trials.iter().map(&key).collect::<std::collections::BTreeSet<_>>();
        keys.into_iter().map(|k| (k, Counts::of(self.trials.iter().filter(|t| key(t) == k)))).collect()
    }

    /// The whole run.
    pub fn json(&self) -> Result<String, String> {
        let json = Json {
            score: Counts::of(self.trials.iter()),
            left_out: self.chosen - self.trials.len(),
            kernels: self.by(|trial| &trial.kernel),
            kinds: self.by(|trial| &trial.kind),
            seconds: self.took.as_secs_f64().round(),
            trials: &self.trials,
        };
        serde_json::to_string_pretty(&json).map(|text| text + "\n").map_err(|e| e.to_string())
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} caught", self.caught, self.mutants)?;
        let others = [
            (self.listed, "listed with a reason"),
            (self.survived, "SURVIVED"),
            (self.noticed, "NOTICED though listed"),
            (self.invalid, "INVALID"),
        ];
        others.iter().filter(|(n, _)| *n > 0).try_for_each(|(n, what)| write!(f, ", {n} {what}"))
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for (what, counts) in self.by(|trial| &trial.kind).iter().chain(&self.by(|trial| &trial.kernel)) {
            writeln!(f, "{what:<16} {counts}")?;
        }
        let seconds = self.took.as_secs_f64();
        write!(f, "{:<16} {}, in {seconds:.0} s", "all", Counts::of(self.trials.iter()))?;
        let left = self.chosen - self.trials.len();
        if left > 0 {
            write!(f, "; {left} not tried, for lack of time")?;
        }
        let wrong = |trial: &&Trial| !matches!(trial.verdict, Verdict::Caught | Verdict::Listed);
        self.trials.iter().filter(wrong).try_for_each(|trial| write!(f, "\n{}", trial.line(0)))
    }
}
