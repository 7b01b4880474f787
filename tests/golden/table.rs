//! The table of instructions in `README.md`, made of the probes' PTX and of the golden files that are there.

use halfbyte::kernels::instructions;
use halfbyte::op::{Golden, Probe};
use std::fmt::Write;

use super::kind::{DEPARTURES, Kind};

/// Where the table begins.
pub const BEGIN: &str = "<!-- the table: written by the test `the_table_is_true` -->\n";

/// What probes do besides what they are about.
const PLAIN: [&str; 6] = ["setp", "selp", "and", "mov", "ld", "st"];

/// All behind [`BEGIN`].
pub fn table(probes: &[Probe], golden: &[(String, Golden)]) -> String {
    let mut text = String::from("\n| instruction | forms | probe | equal in | seen on |\n|---|---|---|---|---|\n");
    for probe in probes {
        // Forms by the first word of the opcode, each once, in order.
        let mut stems: Vec<(String, Vec<String>)> = Vec::new();
        for opcode in instructions(probe.entry()) {
            let (stem, form) = opcode.split_once('.').unwrap_or((&opcode, ""));
            if PLAIN.contains(&stem) {
                continue;
            }
            let at = stems.iter().position(|(known, _)| known == stem).unwrap_or_else(|| {
                stems.push((stem.to_owned(), Vec::new()));
                stems.len() - 1
            });
            if !stems[at].1.iter().any(|known| known == form) {
                stems[at].1.push(form.to_owned());
            }
        }
        let gpus: Vec<&str> =
            golden.iter().filter(|(_, file)| file.name == probe.name()).map(|(gpu, _)| gpu.as_str()).collect();
        let seen = if gpus.is_empty() { "not yet".to_owned() } else { gpus.join(", ") };
        for (stem, forms) in stems {
            let forms: Vec<String> = forms.iter().map(|form| format!("`.{form}`")).collect();
            let (name, kind) = (probe.name(), Kind::of(probe.name()).name());
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| `{stem}` | {} | `{name}` | {kind} | {seen} |", forms.join(" "));
        }
    }
    text.push_str("\nWhere machine code departs from the PTX ISA, which the emulator follows:\n\n");
    for (opcode, what) in DEPARTURES {
        let _ = writeln!(text, "- `{opcode}`: {what}.");
    }
    text
}
