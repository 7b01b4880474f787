//! One case: where it runs, how it ended, and what is told of it.

use std::time::Duration;

use halfbyte::Result;
use halfbyte::device::{Device, Stream};
use halfbyte::reference::{Comparison, Mismatch};

use crate::report::{CaseResult, Finding};

/// A device to run on.
pub struct Place {
    /// As `--device` names it.
    pub name: String,
    /// The device.
    pub device: Device,
    /// Its stream.
    pub stream: Stream,
    /// Whether it is a checked emulator.
    pub checked: bool,
}

/// How one run ended, beside its outputs.
pub struct Ran {
    /// Which kernels did it.
    pub kernel: String,
    /// How long the device took.
    pub took: Duration,
    /// Bit for bit, or integer for integer; of no element where there is no such reference.
    pub exact: Comparison,
    /// Against each oracle's bound.
    pub bounded: Vec<(&'static str, Comparison)>,
    /// What quantizing lost of real weights.
    pub quantization_error: Option<f64>,
}

/// What a case is about.
#[derive(Debug, Clone)]
pub struct About {
    /// The door that it goes through.
    pub op: &'static str,
    /// Formats, such as `s8 x s8 -> f16`.
    pub format: String,
    /// Its sizes, such as `M=77 N=768 K=768`.
    pub shape: String,
    /// Where its numbers come from.
    pub data: String,
}

impl About {
    /// What a case is called: what `--only` looks at, and the seed of its data.
    pub fn label(&self, place: &Place) -> String {
        let About { op, format, shape, data } = self;
        format!("{op} {format} {shape} {data} {}", place.name)
    }

    /// What the case came to. An error of the run is a failed case.
    pub fn result(self, place: &Place, ran: Result<Ran>) -> CaseResult {
        let mut result = CaseResult {
            op: self.op,
            format: self.format,
            shape: self.shape,
            data: self.data,
            device: place.name.clone(),
            checked: place.checked,
            kernel: String::new(),
            references: "exact".into(),
            worst: 0.0,
            quantization_error: None,
            seconds: 0.0,
            failure: None,
            findings: place.device.take_reports().iter().map(Finding::new).collect(),
        };
        match ran {
            Err(error) => {
                result.worst = f64::INFINITY;
                result.failure = Some(error.to_string());
            }
            Ok(ran) => {
                // Where nothing is exact, only bounds were asked.
                let exact =
                    Some(("exact", ran.exact)).filter(|(_, exact)| exact.elements > 0 || ran.bounded.is_empty());
                let mut references = Vec::new();
                for (name, comparison) in exact.into_iter().chain(ran.bounded) {
                    references.push(name);
                    result.worst = result.worst.max(comparison.worst_ratio);
                    if !comparison.passed() && result.failure.is_none() {
                        result.failure = Some(explain(name, &comparison));
                    }
                }
                result.references = references.join("+");
                result.kernel = ran.kernel;
                result.seconds = ran.took.as_secs_f64();
                result.quantization_error = ran.quantization_error;
            }
        }
        result
    }
}

/// What a person reads of a comparison that failed.
pub fn explain(name: &str, comparison: &Comparison) -> String {
    let first = comparison.first_failure.as_ref().map(Mismatch::to_string).unwrap_or_default();
    format!("{name}: {} of {} elements are wrong, the first at {first}", comparison.failures, comparison.elements)
}
