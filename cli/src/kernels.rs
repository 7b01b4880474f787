//! `halfbyte kernels`: the entry points in this program.

use halfbyte::Result;
use halfbyte::kernels;
use halfbyte::manifest::ROWS;
use serde::Serialize;

use crate::args::ListArgs;
use crate::report::{json_line, say};

#[derive(Serialize)]
struct Line {
    entry: &'static str,
    source: &'static str,
    targets: Vec<&'static str>,
    threads: u32,
    /// Dynamic shared memory; null where the plan decides.
    shared_bytes: Option<u32>,
    /// The most that CI lets the assembler use.
    max_registers: u32,
    ptx_version: Option<String>,
    /// The oldest driver that loads it.
    driver: Option<&'static str>,
}

/// Prints the list.
///
/// # Errors
/// None today.
pub fn run(args: &ListArgs) -> Result<bool> {
    let lines: Vec<Line> = ROWS
        .iter()
        .map(|row| {
            let module = kernels::modules().iter().find(|m| m.source == row.source && row.targets.contains(&m.target));
            Line {
                entry: row.symbol,
                source: row.source,
                targets: row.targets.iter().map(|target| target.name()).collect(),
                threads: row.threads,
                shared_bytes: (row.shared_bytes > 0).then_some(row.shared_bytes),
                max_registers: row.max_registers,
                ptx_version: module.map(|m| format!("{}.{}", m.version.0, m.version.1)),
                driver: module.and_then(|m| m.driver()),
            }
        })
        .collect();
    for line in &lines {
        if args.json {
            say(&json_line(line));
            continue;
        }
        let shared = line.shared_bytes.map_or("planned".into(), |bytes| format!("{bytes} B"));
        say(&format!(
            "{:<28} {:<24} {:<14} {:>4} threads  {:>9} shared  <= {:>3} registers  PTX {:<4} driver {}",
            line.entry,
            line.source,
            line.targets.join(","),
            line.threads,
            shared,
            line.max_registers,
            line.ptx_version.as_deref().unwrap_or("?"),
            line.driver.unwrap_or("unknown"),
        ));
    }
    if !args.json {
        let built = kernels::provenance();
        say(&format!(
            "{} entries in {} modules, made by {} ({:?})",
            lines.len(),
            kernels::modules().len(),
            built.compiler,
            built.origin
        ));
    }
    Ok(true)
}
