//! Writes the Rust table through which `src/kernels.rs` embeds the PTX.

use super::normalize;
use super::prebuilt::Built;
use super::unit::Unit;
use std::fmt::Write;

/// How the PTX came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Compiled in this build; else taken from `kernels/prebuilt/`.
    pub compiled: bool,
    /// Version of the nvcc that compiled it, now or then.
    pub compiler: String,
}

/// The table. Files are named relative to it: `<unit>.ptx` and, where `fatbins` says so, `<unit>.fatbin`.
pub fn table(units: &[Unit], built: &[Built], fatbins: &[bool], origin: &Origin) -> Result<String, String> {
    let mut text = String::from("// Written by build.rs.\nconst MODULES: &[Module] = &[\n");
    for ((unit, built), fatbin) in units.iter().zip(built).zip(fatbins) {
        let (major, minor) =
            normalize::version(&built.ptx).ok_or_else(|| format!("{} states no PTX version", unit.file("ptx")))?;
        let fatbin =
            if *fatbin { format!("Some(include_bytes!({:?}))", unit.file("fatbin")) } else { "None".to_owned() };
        writeln!(
            text,
            "    Module {{ source: {:?}, target: Target::{:?}, ptx: include_str!({:?}), fatbin: {fatbin}, version: ({major}, {minor}), key: {:?} }},",
            unit.source,
            unit.target,
            unit.file("ptx"),
            built.key,
        )
        .map_err(|e| e.to_string())?;
    }
    let made = if origin.compiled { "Source" } else { "Prebuilt" };
    write!(
        text,
        "];\nconst PROVENANCE: Provenance = Provenance {{ origin: Origin::{made}, compiler: {:?} }};\n\
         const INDEX: &str = include_str!(\"index.txt\");\nconst PARAMS: &str = include_str!(\"include/params.cuh\");\n",
        origin.compiler
    )
    .map_err(|e| e.to_string())?;
    Ok(text)
}
