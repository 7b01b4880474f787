//! The embedded PTX, where it came from, and what a machine needs to load it.
//!
//! `build.rs` compiles `kernels/` with the pinned nvcc, or takes the same PTX from `kernels/prebuilt/`. One text
//! serves all: the emulator runs it, and machine code is only ever made from it.
//!
//! What a build listens to:
//!
//! | variable | |
//! |---|---|
//! | `HALFBYTE_KERNELS` | `source`: compile, or fail; `prebuilt`: do not look for nvcc. Not set: compile if nvcc 13.0 is found |
//! | `NVCC`, `CUDA_HOME`, `CUDA_PATH`, `PATH` | where nvcc is looked for, in this order; `NVCC` is the program itself and the only place if set |
//! | `HALFBYTE_ANY_NVCC` | `1`: another version of nvcc will do. Its kernels are not tested |
//! | `HALFBYTE_CUDA_ARCHS` | a list such as `80,90a`: machine code for these goes in too ([`Module::fatbin`]); needs ptxas and fatbinary beside nvcc |

use crate::manifest::{Entry, ROWS, Row, Target};
use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// One PTX module: all entries of one source for one target.
#[derive(Debug)]
#[non_exhaustive]
pub struct Module {
    /// Stem of the source, as in [`crate::manifest::Row::source`].
    pub source: &'static str,
    /// What it was compiled for.
    pub target: Target,
    /// The PTX, normalized: no path of a machine in it, line ends LF.
    pub ptx: &'static str,
    /// Machine code made from this very PTX for the architectures of `HALFBYTE_CUDA_ARCHS`, and the PTX itself, if
    /// any of them can run it.
    pub fatbin: Option<&'static [u8]>,
    /// The PTX ISA version that it states, the least with which it assembles.
    pub version: (u32, u32),
    /// Hash of what it was made from: sources, entries, flags and compiler version.
    pub key: &'static str,
}

/// How the embedded PTX came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// nvcc compiled it when this crate was built.
    Source,
    /// It was taken from `kernels/prebuilt/`.
    Prebuilt,
}

/// Where the embedded PTX came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provenance {
    /// Compiled in this build, or prebuilt.
    pub origin: Origin,
    /// Version of the nvcc that compiled it, now or then: "13.0.88".
    pub compiler: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/modules.rs"));

/// Every embedded module.
pub fn modules() -> &'static [Module] {
    MODULES
}

/// Where the embedded PTX came from.
pub fn provenance() -> Provenance {
    PROVENANCE
}

/// The text of `kernels/params.cuh`: the parameter blocks of the manifest as C structs.
pub fn params_header() -> &'static str {
    PARAMS
}

/// PTX ISA version, the CUDA version whose driver first knows it (as `cuDriverGetVersion` counts), and that driver
/// on Linux. From the release notes of the PTX ISA and of the CUDA toolkit.
const DRIVERS: [((u32, u32), u32, &str); 19] = [
    ((7, 0), 11000, "450"),
    ((7, 1), 11010, "455"),
    ((7, 2), 11020, "460"),
    ((7, 3), 11030, "465"),
    ((7, 4), 11040, "470"),
    ((7, 5), 11050, "495"),
    ((7, 6), 11060, "510"),
    ((7, 7), 11070, "515"),
    ((7, 8), 11080, "520"),
    ((8, 0), 12000, "525"),
    ((8, 1), 12010, "530"),
    ((8, 2), 12020, "535"),
    ((8, 3), 12030, "545"),
    ((8, 4), 12040, "550"),
    ((8, 5), 12050, "555"),
    ((8, 6), 12070, "565"),
    ((8, 7), 12080, "570"),
    ((8, 8), 12090, "575"),
    ((9, 0), 13000, "580"),
];

impl Module {
    /// The rows of its entry points.
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> + '_ {
        ROWS.iter().filter(|row| row.source == self.source && row.targets.contains(&self.target))
    }

    /// The least CUDA version of a driver that compiles this PTX, as `cuDriverGetVersion` counts: 11000 is 11.0.
    /// None if the PTX is newer than this crate's table (only with `HALFBYTE_ANY_NVCC`).
    pub fn cuda_version(&self) -> Option<u32> {
        self.driver_row().map(|row| row.1)
    }

    /// The first Linux driver branch that compiles this PTX: "450". None as for [`Module::cuda_version`].
    pub fn driver(&self) -> Option<&'static str> {
        self.driver_row().map(|row| row.2)
    }

    /// Its file below an exported folder: `gemm/gemm_s8_mma.sm_80.ptx`.
    pub fn file(&self) -> String {
        format!("{}.{}.ptx", self.source, self.target.name())
    }

    fn driver_row(&self) -> Option<&'static ((u32, u32), u32, &'static str)> {
        DRIVERS.iter().find(|row| row.0 == self.version)
    }
}

/// What inline assembly begins and ends with in the PTX of nvcc.
const ASSEMBLY: [&str; 2] = ["// begin inline asm", "// end inline asm"];

/// The opcodes of the inline assembly of an entry, and of its atomics, in order: what the kernel's author wrote,
/// without the loads, addresses and stores that the compiler puts around it.
pub fn instructions(entry: Entry) -> Vec<String> {
    let row = entry.row();
    let module = modules().iter().find(|module| module.source == row.source && module.target == row.targets[0]);
    let head = format!(".entry {}(", row.symbol);
    let body = module.and_then(|module| module.ptx.split_once(&head)).map_or("", |(_, rest)| rest);
    let body = body.split(".visible .entry").next().unwrap_or("");
    let mut opcodes = Vec::new();
    let mut inside = false;
    for line in body.lines().map(str::trim) {
        inside = line == ASSEMBLY[0] || inside && line != ASSEMBLY[1];
        for statement in line.split([';', '{']).map(str::trim) {
            let opcode = statement.split_whitespace().find(|word| !word.starts_with('@')).unwrap_or("");
            if opcode.starts_with(|c: char| c.is_ascii_lowercase()) && (inside || opcode.starts_with("atom.")) {
                opcodes.push(opcode.to_owned());
            }
        }
    }
    opcodes
}

/// Name of the file that lists the others, with their hashes.
const INDEX_FILE: &str = "index.txt";

/// Every file of an export: its path below the folder and its text.
fn files() -> impl Iterator<Item = (String, &'static str)> {
    modules().iter().map(|module| (module.file(), module.ptx)).chain([(INDEX_FILE.to_owned(), INDEX)])
}

/// Writes the PTX of every module and an index below `dir`. PTX files that an older index there lists, and this one
/// does not, are removed.
///
/// # Errors
/// [`Error::File`] with the path, if something cannot be written.
pub fn export(dir: &Path) -> Result<()> {
    let old = fs::read_to_string(dir.join(INDEX_FILE)).unwrap_or_default();
    for file in listed(&old).filter(|file| !files().any(|(name, _)| name == *file)) {
        // One that is gone already is fine.
        let _ = fs::remove_file(dir.join(file));
    }
    for (name, text) in files() {
        write(&dir.join(name), text)?;
    }
    Ok(())
}

/// Writes `kernels/params.cuh` ([`params_header`]) as `path`.
///
/// # Errors
/// [`Error::File`] with the path, if it cannot be written.
pub fn export_params(path: &Path) -> Result<()> {
    write(path, PARAMS)
}

/// Writes a file unless it holds just that text: an untouched file makes cargo build nothing again.
fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| failed("make", folder, &e))?;
    }
    fs::write(path, text).map_err(|e| failed("write", path, &e))
}

/// The PTX files of an index that lie below its own folder.
fn listed(index: &str) -> impl Iterator<Item = &str> {
    let inside = |file: &str| !file.contains("..") && !file.starts_with('/') && !file.contains(['\\', ':']);
    index.lines().filter_map(|line| line.split(' ').next()).filter(move |file| file.ends_with(".ptx") && inside(file))
}

/// Compares what [`export`] wrote below `dir` with what is embedded here, byte for byte but for CRLF.
///
/// # Errors
/// [`Error::File`] naming the first file that is missing, not expected or different, and the line where it differs.
pub fn check(dir: &Path) -> Result<()> {
    for (name, text) in files() {
        let path = dir.join(&name);
        let found = fs::read_to_string(&path).map_err(|e| failed("read", &path, &e))?.replace("\r\n", "\n");
        if found != text {
            let line = found.lines().zip(text.lines()).take_while(|(a, b)| a == b).count() + 1;
            let path = path.display();
            return Err(Error::File(format!("{path} differs from the embedded PTX at line {line}")));
        }
    }
    let mut open: Vec<PathBuf> = vec![dir.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| failed("read", &folder, &e))? {
            let path = entry.map_err(|e| failed("read", &folder, &e))?.path();
            let known = files().any(|(name, _)| dir.join(name) == path);
            if path.is_dir() {
                open.push(path);
            } else if !known {
                return Err(Error::File(format!("{} belongs to no module", path.display())));
            }
        }
    }
    Ok(())
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::File(format!("cannot {what} {}: {error}", path.display()))
}
