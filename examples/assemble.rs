//! Assembles the embedded PTX for every architecture that its rows serve, and holds each entry to its row:
//!
//!     NVCC=/path/of/nvcc cargo run --release --example assemble
//!
//! No spill, no more registers than `max_registers`, and the tensor-core instruction that `expect_sass` names.
//! It needs ptxas and nvdisasm beside nvcc.

use halfbyte::kernels::{Module, modules, provenance};
use halfbyte::manifest::{self, Row, Target};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

#[path = "../build/mod.rs"]
#[allow(dead_code)] // This program uses its share of it.
mod build;

use build::compile::parallel;
use build::nvcc::{Search, find};

/// What ptxas and nvdisasm say of one entry.
#[derive(Debug)]
struct Assembled {
    row: &'static Row,
    arch: &'static str,
    registers: u32,
    /// Bytes of stack and of spilled registers, as ptxas states them.
    memory: String,
    /// How often the instruction of `expect_sass` stands in the machine code.
    expected: usize,
}

/// Architectures on which the PTX of a target is to run.
fn architectures(target: Target) -> &'static [&'static str] {
    match target {
        Target::Sm80 => &["sm_80", "sm_86", "sm_89", "sm_90", "sm_100a", "sm_120a"],
        Target::Sm89 => &["sm_89", "sm_90", "sm_100a", "sm_120a"],
        Target::Sm90a => &["sm_90a"],
        _ => &[],
    }
}

fn main() -> ExitCode {
    match assemble_all() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn assemble_all() -> Result<bool, String> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let search = Search {
        nvcc: variable("NVCC"),
        cuda_home: variable("CUDA_HOME"),
        cuda_path: variable("CUDA_PATH"),
        path: variable("PATH"),
    };
    let nvcc = find(&search)?.ok_or("no nvcc was found through NVCC, CUDA_HOME, CUDA_PATH or PATH")?;
    let (ptxas, nvdisasm) = (nvcc.tool("ptxas")?, nvcc.tool("nvdisasm")?);
    let folder = std::env::temp_dir().join(format!("halfbyte-assemble-{}", std::process::id()));

    let mut jobs = Vec::new();
    for module in modules() {
        let path = folder.join(module.file());
        build::compile::write(&path, module.ptx)?;
        let archs = architectures(module.target);
        if archs.is_empty() {
            return Err(format!("{} is for no architecture that this program knows", module.file()));
        }
        jobs.extend(archs.iter().map(|&arch| (module, arch, path.clone())));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = |(module, arch, path): &(&'static Module, &'static str, PathBuf)| {
        let cubin = path.with_extension(format!("{arch}.cubin"));
        let said = said(Command::new(&ptxas).args(["-v", &format!("-arch={arch}")]).arg(path).arg("-o").arg(&cubin))?;
        let code = said_of(&nvdisasm, &cubin)?;
        module.rows().map(|row| entry(row, arch, &said, &code)).collect::<Result<Vec<_>, _>>()
    };
    let assembled = parallel(&jobs, threads, work);
    // What is left behind is only in the way.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(report(&assembled?.into_iter().flatten().collect::<Vec<_>>()))
}

/// Prints the table and whether every entry keeps to its row.
fn report(assembled: &[Assembled]) -> bool {
    println!("PTX of nvcc {}", provenance().compiler);
    println!("{:<28} {:<8} {:>9} {:>5}  instruction", "entry", "arch", "registers", "most");
    let mut faults = Vec::new();
    for one in assembled {
        let Row { symbol, max_registers, expect_sass, .. } = one.row;
        let instruction = expect_sass.map_or(String::new(), |name| format!("{} x {name}", one.expected));
        println!("{symbol:<28} {:<8} {:>9} {max_registers:>5}  {instruction}", one.arch, one.registers);
        let mut fault = |text: String| faults.push(format!("{symbol} on {}: {text}", one.arch));
        if one.registers > *max_registers {
            fault(format!("{} registers, at most {max_registers}", one.registers));
        }
        if one.memory != "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" {
            fault(one.memory.clone());
        }
        if let (Some(name), 0) = (expect_sass, one.expected) {
            fault(format!("no {name} in the machine code"));
        }
    }
    for fault in &faults {
        eprintln!("error: {fault}");
    }
    println!("{} entries assembled, {} faults", assembled.len(), faults.len());
    faults.is_empty() && !assembled.is_empty()
}

/// Finds one entry in what ptxas and nvdisasm printed.
fn entry(row: &'static Row, arch: &'static str, said: &str, code: &str) -> Result<Assembled, String> {
    let missing = |what: &str| format!("{what} of {} for {arch} was not printed", row.symbol);
    let head = format!("Compiling entry function '{}' for", row.symbol);
    let (_, about) = said.split_once(&head).ok_or_else(|| missing("the compilation"))?;
    let about = about.split("Compiling entry function").next().unwrap_or(about);
    let memory = about.lines().map(str::trim).find(|line| line.contains("bytes stack frame"));
    let memory = memory.ok_or_else(|| missing("the spills"))?.to_owned();
    let registers = about.split_once("Used ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    let registers = registers.ok_or_else(|| missing("the number of registers"))?;

    let section = format!(".section\t.text.{},", row.symbol);
    let (_, body) = code.split_once(&section).ok_or_else(|| missing("the machine code"))?;
    let body = body.split(".section\t").next().unwrap_or(body);
    // One of several, where assemblers differ.
    let names = row.expect_sass.into_iter().flat_map(|names| names.split('|'));
    let expected = names.map(|name| body.matches(&format!("{name} ")).count()).sum();
    Ok(Assembled { row, arch, registers, memory, expected })
}

fn said_of(nvdisasm: &Path, cubin: &Path) -> Result<String, String> {
    said(Command::new(nvdisasm).arg("-c").arg(cubin))
}

/// Runs a program and returns all that it printed.
fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("cannot run {:?}: {e}", command.get_program()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(text) } else { Err(format!("{command:?} failed:\n{text}")) }
}
