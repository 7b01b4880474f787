//! Writes the embedded PTX to `kernels/prebuilt/` and the parameter blocks to `kernels/params.cuh`:
//!
//!     HALFBYTE_KERNELS=source cargo run --release --example export_kernels
//!
//! With `--check DIR` it writes nothing and fails unless DIR holds just what is embedded.

use halfbyte::kernels;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => export(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels")),
        ["--check", dir] => kernels::check(Path::new(dir)).map(|()| PathBuf::from(dir)),
        _ => {
            eprintln!("usage: export_kernels [--check DIR]");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(place) => {
            let provenance = kernels::provenance();
            let count = kernels::modules().len();
            println!("{}: {count} modules, {:?}, nvcc {}", place.display(), provenance.origin, provenance.compiler);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn export(folder: &Path) -> halfbyte::Result<PathBuf> {
    let prebuilt = folder.join("prebuilt");
    kernels::export(&prebuilt)?;
    kernels::export_params(&folder.join("params.cuh"))?;
    Ok(prebuilt)
}
