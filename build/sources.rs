//! What a unit is made from, as one key: when the key is the same, so is the PTX.

use super::hash::{Hash, lf};
use super::unit::Unit;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Flags that every unit is compiled with. `-fmad=false`: the source says `fmaf` where it means one.
pub const FLAGS: &[&str] = &["-std=c++17", "-O3", "-lineinfo", "-fmad=false", "-ptx"];

/// Counts the changes of `normalize` that change its output, so that older prebuilt files become stale.
const NORMALIZER: u32 = 1;

/// Name of the generated header, as kernels include it.
pub const PARAMS: &str = "params.cuh";

/// The files below `kernels` that a unit is compiled from, by path, with their text (line ends LF).
/// `params` stands for `kernels/params.cuh`: the manifest decides what is in it, not the file.
pub fn files(kernels: &Path, unit: &Unit, params: &str) -> Result<BTreeMap<String, String>, String> {
    let root = format!("{}.cuh", unit.source);
    if !kernels.join(&root).is_file() {
        return Err(format!(
            "kernels/{root} is missing, but kernels/manifest.rs compiles `{}` from it",
            unit.rows.first().map_or("", |row| row.symbol)
        ));
    }
    let mut found = BTreeMap::new();
    let mut open = vec![root];
    while let Some(path) = open.pop() {
        if found.contains_key(&path) {
            continue;
        }
        let text = if path == PARAMS {
            lf(params)
        } else {
            let file = kernels.join(&path);
            lf(&fs::read_to_string(&file).map_err(|e| format!("cannot read {}: {e}", file.display()))?)
        };
        for name in includes(&text) {
            // A header that is not below `kernels/` belongs to CUDA or to the C++ library.
            let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
            let candidates = [folder.join(name), PathBuf::from(name)];
            open.extend(candidates.iter().filter_map(|c| inside(c)).find(|c| c == PARAMS || kernels.join(c).is_file()));
        }
        found.insert(path, text);
    }
    Ok(found)
}

/// The names in `#include "name"` and `#include <name>`.
fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?.trim_start();
        let close = match rest.chars().next()? {
            '"' => '"',
            '<' => '>',
            _ => return None,
        };
        rest[1..].split(close).next()
    })
}

/// A relative path with `.` and `..` resolved and `/` between its parts; none if it leaves its root.
fn inside(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// The key of a unit: a hash of its files, its entries, the flags and the compiler's version.
pub fn key(kernels: &Path, unit: &Unit, params: &str, compiler: &str) -> Result<String, String> {
    let mut hash = Hash::new().field(&format!("normalizer {NORMALIZER}")).field(compiler);
    for flag in FLAGS.iter().copied().chain(unit.target_flags().iter().map(String::as_str)) {
        hash = hash.field(flag);
    }
    hash = hash.field(&unit.shim());
    for (path, text) in files(kernels, unit, params)? {
        hash = hash.field(&path).field(&text);
    }
    Ok(hash.hex())
}
