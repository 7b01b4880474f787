//! Puts the PTX of the kernels into the crate: compiled from `kernels/` where the pinned nvcc is found, else
//! taken from `kernels/prebuilt/`, which holds the same. Everything goes to `OUT_DIR`; no network, no GPU.

#[path = "build/mod.rs"]
mod build;
#[path = "kernels/manifest.rs"]
#[allow(dead_code)]
mod manifest;

use build::choose::{Choice, Mode, choose};
use build::compile::{Compiler, parallel, write};
use build::embed::{self, Origin};
use build::fatbin::{self, Tools};
use build::nvcc::{self, Search};
use build::{params, prebuilt, sources, unit};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match embed_kernels() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn embed_kernels() -> Result<(), String> {
    // Folders are watched with all that is in them.
    for path in ["build.rs", "build", "kernels"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let repository = folder("CARGO_MANIFEST_DIR")?;
    let out = folder("OUT_DIR")?;
    let kernels = repository.join("kernels");
    let jobs = env::var("NUM_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);

    let mode = Mode::parse(text("HALFBYTE_KERNELS")?.as_deref())?;
    let any = text("HALFBYTE_ANY_NVCC")?.is_some_and(|value| value != "0");
    let archs = fatbin::parse(&text("HALFBYTE_CUDA_ARCHS")?.unwrap_or_default())?;

    let units = unit::units(manifest::ROWS)?;
    fatbin::check(&units, &archs)?;
    let header = params::header(manifest::ROWS)?;
    if let Err(message) = params::check(&header, fs::read_to_string(kernels.join(sources::PARAMS)).ok().as_deref()) {
        // The command that rewrites it has to build first.
        if mode != Mode::Source {
            return Err(message);
        }
        println!("cargo::warning={message}");
    }
    write(&out.join("include").join(sources::PARAMS), &header)?;

    let nvcc = if mode == Mode::Prebuilt && archs.is_empty() { None } else { nvcc::find(&search())? };
    let (compiler, built) = match choose(mode, any, nvcc.clone())? {
        Choice::Compile(nvcc) => {
            println!("cargo::rerun-if-changed={}", nvcc.path.display());
            let built =
                Compiler { nvcc: &nvcc, repository: &repository, out: &out, params: &header }.all(&units, jobs)?;
            (Origin { compiled: true, compiler: nvcc.version }, built)
        }
        Choice::Prebuilt(note) => {
            if let Some(note) = &note {
                println!("cargo::warning={note}");
            }
            let key = |unit: &unit::Unit, compiler: &str| sources::key(&kernels, unit, &header, compiler);
            let (compiler, built) = prebuilt::load(&kernels.join("prebuilt"), &units, key)?;
            for (unit, built) in units.iter().zip(&built) {
                write(&out.join(unit.file("ptx")), &built.ptx)?;
            }
            (Origin { compiled: false, compiler }, built)
        }
    };

    let fatbins = if archs.is_empty() {
        vec![false; units.len()]
    } else {
        let tools = Tools::of(nvcc.as_ref())?;
        let one = |unit: &unit::Unit| tools.fatbin(&out, unit, &out.join(unit.file("ptx")), &archs);
        parallel(&units, jobs, one)?.iter().map(Option::is_some).collect()
    };
    write(&out.join(prebuilt::INDEX), &prebuilt::index(&compiler.compiler, &units, &built))?;
    write(&out.join("modules.rs"), &embed::table(&units, &built, &fatbins, &compiler)?)
}

/// A variable, and cargo is told that it was read.
fn variable(name: &str) -> Option<OsString> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var_os(name).filter(|value| !value.is_empty())
}

fn text(name: &str) -> Result<Option<String>, String> {
    variable(name)
        .map(|value| value.into_string().map_err(|value| format!("{name} is not text: {value:?}")))
        .transpose()
}

fn search() -> Search {
    // nvcc itself reads NVCC_CCBIN.
    variable("NVCC_CCBIN");
    match variable("NVCC") {
        // NVCC is an order: the rest is not looked at, and a change of it builds nothing again.
        Some(nvcc) => {
            let path = if Path::new(&nvcc).components().count() == 1 { variable("PATH") } else { None };
            Search { nvcc: Some(nvcc), path, ..Search::default() }
        }
        None => Search {
            nvcc: None,
            cuda_home: variable("CUDA_HOME"),
            cuda_path: variable("CUDA_PATH"),
            path: variable("PATH"),
        },
    }
}

fn folder(name: &str) -> Result<PathBuf, String> {
    env::var_os(name).map(|value| Path::new(&value).to_path_buf()).ok_or_else(|| format!("cargo did not set {name}"))
}
