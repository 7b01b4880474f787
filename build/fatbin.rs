//! Machine code for the architectures of `HALFBYTE_CUDA_ARCHS`, made from the embedded PTX and from nothing else.

use super::compile::{assemble, run};
use super::manifest::Target;
use super::nvcc::Nvcc;
use super::unit::Unit;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Splits the variable's value: "80, 90a" or "sm_80,sm_90a".
pub fn parse(list: &str) -> Result<Vec<String>, String> {
    let mut archs: Vec<String> = Vec::new();
    for item in list.split([',', ';', ' ']).map(str::trim).filter(|item| !item.is_empty()) {
        let name = item.strip_prefix("sm_").unwrap_or(item);
        let digits = name.trim_end_matches(['a', 'f']);
        let known = digits.len() + 1 >= name.len() && digits.parse::<u32>().is_ok_and(|n| n >= 10);
        if !known {
            return Err(format!(
                "HALFBYTE_CUDA_ARCHS lists `{item}`; an architecture is written as 80, 90a or sm_120a"
            ));
        }
        if !archs.iter().any(|arch| arch == name) {
            archs.push(name.to_owned());
        }
    }
    Ok(archs)
}

/// True if PTX for `target` can be assembled for `arch`.
pub fn serves(target: Target, arch: &str) -> bool {
    if target.arch_specific() {
        return target.name().strip_prefix("sm_") == Some(arch);
    }
    arch.trim_end_matches(['a', 'f']).parse::<u32>().is_ok_and(|number| number >= target.capability())
}

/// Fails if an architecture is served by no unit.
pub fn check(units: &[Unit], archs: &[String]) -> Result<(), String> {
    match archs.iter().find(|arch| !units.iter().any(|unit| serves(unit.target, arch))) {
        Some(arch) => Err(format!("HALFBYTE_CUDA_ARCHS lists {arch}, for which no kernel is made")),
        None => Ok(()),
    }
}

/// The two programs that are needed.
#[derive(Clone, Debug)]
pub struct Tools {
    ptxas: PathBuf,
    fatbinary: PathBuf,
}

impl Tools {
    /// Those that come with an nvcc. PTX assembles with any CUDA release that knows its version, so any nvcc will do.
    pub fn of(nvcc: Option<&Nvcc>) -> Result<Tools, String> {
        let why = |e: String| format!("HALFBYTE_CUDA_ARCHS asks for machine code, which ptxas and fatbinary make: {e}");
        let nvcc =
            nvcc.ok_or_else(|| why("no CUDA toolkit was found through NVCC, CUDA_HOME, CUDA_PATH or PATH".to_owned()))?;
        Ok(Tools { ptxas: nvcc.tool("ptxas").map_err(why)?, fatbinary: nvcc.tool("fatbinary").map_err(why)? })
    }

    /// Makes the fatbin of a unit in `out` from `ptx`; none if it serves no architecture of the list.
    /// The PTX goes in too, so that a GPU that was not listed still finds something to run.
    pub fn fatbin(&self, out: &Path, unit: &Unit, ptx: &Path, archs: &[String]) -> Result<Option<PathBuf>, String> {
        let mut images = Vec::new();
        for arch in archs.iter().filter(|arch| serves(unit.target, arch)) {
            let cubin = out.join(unit.file(&format!("{arch}.cubin")));
            assemble(&self.ptxas, &format!("sm_{arch}"), ptx, &cubin)?;
            images.push(format!("--image3=kind=elf,sm={arch},file={}", cubin.display()));
        }
        if images.is_empty() {
            return Ok(None);
        }
        let own = unit.target.name().trim_start_matches("sm_");
        images.push(format!("--image3=kind=ptx,sm={own},file={}", ptx.display()));
        let fatbin = out.join(unit.file("fatbin"));
        // Uncompressed: drivers older than the toolkit do not know its newer compression.
        run(Command::new(&self.fatbinary)
            .args(["-64", "--compress-mode=none"])
            .arg(format!("--create={}", fatbin.display()))
            .args(images))?;
        Ok(Some(fatbin))
    }
}
