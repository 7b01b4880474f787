//! How results reach the reader: a progress bar and lines on a terminal, plain lines in a pipe, JSON for machines.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use halfbyte::emulator;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// What one case came to.
#[derive(Debug, Clone, Serialize)]
pub struct CaseResult {
    /// Operation.
    pub op: &'static str,
    /// Formats, such as `s8 x s8 -> f16`.
    pub format: String,
    /// Shape, such as `M=77 N=768 K=768`.
    pub shape: String,
    /// Where the numbers came from.
    pub data: String,
    /// Device.
    pub device: String,
    /// Whether that is a checked emulator.
    pub checked: bool,
    /// Kernels that ran.
    pub kernel: String,
    /// References it was held to, the exact bits first.
    pub references: String,
    /// Worst error as a share of its bound; 0 where equality was asked for and held.
    pub worst: f64,
    /// Relative RMS error of quantization itself against the unquantized product, where it means something.
    pub quantization_error: Option<f64>,
    /// Seconds the kernels took, copies excluded.
    pub seconds: f64,
    /// What is wrong with the results; None when nothing is.
    pub failure: Option<String>,
    /// What a checked run found, whatever the results.
    pub findings: Vec<Finding>,
}

/// One finding of a checked run.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What it is about, such as `race`.
    kind: String,
    /// Kernel entry.
    kernel: String,
    /// Kernel source and line, such as `kernels/gemm/gemm_s8_mma.cuh:120`, where the PTX tells.
    source: Option<String>,
    /// The same of the other side, if there is one.
    other: Option<String>,
    /// Times it was seen.
    times: u64,
    /// The whole report.
    text: String,
}

impl Finding {
    /// The emulator's report in words and fields.
    pub fn new(report: &emulator::Report) -> Finding {
        let line = |site: &emulator::Site| site.source.as_ref().map(|(file, line)| format!("{file}:{line}"));
        Finding {
            kind: report.kind.to_string(),
            kernel: report.site.kernel.clone(),
            source: line(&report.site),
            other: report.other.as_ref().and_then(line),
            times: report.times,
            text: report.to_string(),
        }
    }
}

/// Findings of one case that a person gets to read in full.
const FULL: usize = 8;

impl CaseResult {
    /// True when the results are right and a checked run found nothing.
    fn passed(&self) -> bool {
        self.failure.is_none() && self.findings.is_empty()
    }

    /// The line a person reads.
    fn line(&self) -> String {
        let verdict = if self.passed() { "ok  " } else { "FAIL" };
        let error = if self.references == "exact" && self.failure.is_none() {
            "equal".to_string()
        } else {
            format!("{:.3} of bound", self.worst)
        };
        let width = if self.checked { 23 } else { 16 };
        let mut line = format!(
            "{verdict} {:<13} {:<17} {:<22} {:<width$} {:<30} {:<16} {:<14} {:>10}  {}",
            self.op,
            self.format,
            self.shape,
            if self.checked { format!("{} checked", self.device) } else { self.device.clone() },
            self.kernel,
            self.references,
            error,
            milliseconds(self.seconds),
            self.data,
        );
        if let Some(q) = self.quantization_error {
            line += &format!("  quantization {:.2} %", q * 100.0);
        }
        if let Some(why) = &self.failure {
            line += &format!("\n     {why}");
        }
        for finding in self.findings.iter().take(FULL) {
            line += &format!("\n     {}", finding.text.replace('\n', "\n     "));
        }
        if self.findings.len() > FULL {
            line += &format!("\n     and {} findings more", self.findings.len() - FULL);
        }
        line
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}

/// Cases that could not be set up.
#[derive(Debug, Serialize)]
struct Broken<'a> {
    cases: usize,
    failure: &'a str,
}

/// The end of a run.
#[derive(Debug, Clone, Serialize)]
struct Summary {
    cases: usize,
    passed: usize,
    failed: usize,
    /// Findings of checked runs; `null` when none was checked.
    findings: Option<usize>,
    seconds: f64,
    notes: Vec<String>,
}

/// Collects results and prints them as they come.
pub struct Report {
    say: fn(&str),
    json: bool,
    bar: Option<ProgressBar>,
    passed: usize,
    failed: usize,
    findings: Option<usize>,
    notes: Vec<String>,
}

impl Report {
    /// A report of `cases` cases to come.
    pub fn new(cases: usize, json: bool) -> Report {
        let bar = (!json && std::io::stdout().is_terminal() && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{bar:32} {pos}/{len}  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(cases as u64).with_style(style)
        });
        Report { say, json, bar, passed: 0, failed: 0, findings: None, notes: Vec::new() }
    }

    /// Says which case runs now.
    pub fn starting(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_string());
        }
    }

    /// Takes one result.
    pub fn add(&mut self, result: &CaseResult) {
        if result.checked {
            *self.findings.get_or_insert(0) += result.findings.len();
        }
        if result.passed() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        let text = if self.json { json_line(result) } else { result.line() };
        self.print(&text);
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Counts cases that could not even be set up as failed, and says why.
    pub fn broken(&mut self, cases: usize, why: &str) {
        self.failed += cases;
        let text =
            if self.json { json_line(&Broken { cases, failure: why }) } else { format!("FAIL {why} ({cases} cases)") };
        self.print(&text);
        if let Some(bar) = &self.bar {
            bar.inc(cases as u64);
        }
    }

    /// Something the reader should know that is no case: what was left out and why.
    pub fn note(&mut self, text: String) {
        if !self.json {
            self.print(&format!("note {text}"));
        }
        self.notes.push(text);
    }

    /// Prints the counts; true when no case failed and at least one ran.
    pub fn finish(self, took: Duration) -> bool {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let cases = self.passed + self.failed;
        let Report { say, json, passed, failed, findings, notes, .. } = self;
        let summary = Summary { cases, passed, failed, findings, seconds: took.as_secs_f64(), notes };
        if json {
            say(&json_line(&summary));
        } else {
            let found = findings.map_or(String::new(), |n| format!(", {n} findings"));
            say(&format!("\n{cases} cases: {passed} passed, {failed} failed{found}, in {:.1} s", summary.seconds));
            if cases == 0 {
                say("nothing ran: no case matches");
            }
        }
        summary.failed == 0 && cases > 0
    }

    fn print(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| (self.say)(text)),
            None => (self.say)(text),
        }
    }
}

/// Prints a line. Ends the program without a word when nobody reads any more, as in `halfbyte | head`.
pub fn say(text: &str) {
    if writeln!(std::io::stdout().lock(), "{text}").is_err() {
        std::process::exit(1);
    }
}

/// One JSON object on one line. These types have no maps with odd keys, so this cannot fail.
pub fn json_line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(failure: Option<String>) -> CaseResult {
        CaseResult {
            op: "linear",
            format: "s8 x s8 -> f16".into(),
            shape: "M=1 N=2 K=3".into(),
            data: "synthetic".into(),
            device: "emulator:sm_80".into(),
            checked: false,
            kernel: "gemm_s8_mma_16x64x128".into(),
            references: "exact+f64".into(),
            worst: 0.25,
            quantization_error: Some(0.01),
            seconds: 0.001,
            failure,
            findings: Vec::new(),
        }
    }

    /// A checked case with right results and so many findings.
    fn found(findings: usize) -> CaseResult {
        let finding = |line: usize| Finding {
            kind: "race".into(),
            kernel: "k".into(),
            source: Some(format!("k.cu:{line}")),
            other: None,
            times: 2,
            text: format!("race: of line {line}\n  in kernel `k`"),
        };
        CaseResult { checked: true, findings: (0..findings).map(finding).collect(), ..result(None) }
    }

    #[test]
    fn a_failed_case_makes_the_run_fail_and_an_empty_run_too() {
        let silent = || Report { say: |_| (), ..Report::new(2, true) };
        let mut report = silent();
        report.add(&result(None));
        assert!(report.finish(Duration::ZERO));
        let mut report = silent();
        report.add(&result(None));
        report.add(&result(Some("off by one".into())));
        assert!(!report.finish(Duration::ZERO));
        let mut report = silent();
        report.broken(3, "no such file");
        assert!(!report.finish(Duration::ZERO));
        assert!(!silent().finish(Duration::ZERO));
        for findings in [0, 3] {
            let mut report = silent();
            report.add(&found(findings));
            assert_eq!(report.findings, Some(findings));
            assert_eq!(report.finish(Duration::ZERO), findings == 0, "findings alone are a failure");
        }
    }

    #[test]
    fn findings_are_told_in_full_up_to_a_limit() {
        let clean = found(0).line();
        assert!(clean.starts_with("ok ") && clean.contains("emulator:sm_80 checked"), "{clean}");
        let text = found(10).line();
        assert!(text.starts_with("FAIL") && text.contains("\n     race: of line 7\n       in kernel `k`"), "{text}");
        assert!(!text.contains("line 8") && text.ends_with("and 2 findings more"), "{text}");
        let json = json_line(&found(10));
        assert!(json.contains("\"k.cu:9\"") && json.contains("\"checked\":true"), "{json}");
    }

    #[test]
    fn lines_say_verdict_error_and_reason() {
        let ok = result(None).line();
        assert!(ok.starts_with("ok ") && ok.contains("0.250 of bound") && ok.contains("1.00 %"), "{ok}");
        let failed = result(Some("row 3".into())).line();
        assert!(failed.starts_with("FAIL") && failed.ends_with("row 3"), "{failed}");
        let json = json_line(&result(None));
        assert!(json.contains("\"failure\":null") && !json.contains('\n'), "{json}");
    }
}
