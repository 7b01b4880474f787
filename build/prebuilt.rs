//! `kernels/prebuilt/`: the PTX of every unit and `index.txt`, which says what each was made from.

use super::REFRESH;
use super::hash::{self, lf};
use super::unit::Unit;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Name of the index.
pub const INDEX: &str = "index.txt";

/// A unit's PTX and the key of what it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// Normalized PTX.
    pub ptx: String,
    /// As `sources::key`.
    pub key: String,
}

/// The text of `index.txt`.
pub fn index(compiler: &str, units: &[Unit], built: &[Built]) -> String {
    let mut text = format!(
        "# The PTX of every module: file, key of what it was made from, hash of the file.\n\
         # Written by: {REFRESH}\ncompiler {compiler}\n"
    );
    for (unit, built) in units.iter().zip(built) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {}", unit.file("ptx"), built.key, hash::of(&built.ptx));
    }
    text
}

/// Reads the prebuilt PTX of every unit and proves that it is current. `key` is what a unit's key must be,
/// given the compiler that the index names. Returns the compiler too.
pub fn load(
    folder: &Path,
    units: &[Unit],
    key: impl Fn(&Unit, &str) -> Result<String, String>,
) -> Result<(String, Vec<Built>), String> {
    let path = folder.join(INDEX);
    let text = read(&path)?;
    let compiler = text
        .lines()
        .find_map(|line| line.strip_prefix("compiler "))
        .ok_or_else(|| format!("{} does not name its compiler; `{REFRESH}` writes it anew", path.display()))?;
    let mut built = Vec::new();
    for unit in units {
        let file = unit.file("ptx");
        let mut fields = text
            .lines()
            .find_map(|line| line.strip_prefix(&file)?.strip_prefix(' '))
            .into_iter()
            .flat_map(str::split_whitespace);
        let (Some(made_from), Some(made)) = (fields.next(), fields.next()) else {
            return Err(format!("{} has no line for {file}; `{REFRESH}` writes it", path.display()));
        };
        if key(unit, compiler)? != made_from {
            return Err(format!(
                "{} is stale: kernels/{}.cuh, a file that it includes, or its rows in kernels/manifest.rs have changed since it was compiled\n\
                 with nvcc at hand, `{REFRESH}` compiles it anew",
                folder.join(&file).display(),
                unit.source
            ));
        }
        let ptx = read(&folder.join(&file))?;
        if hash::of(&ptx) != made {
            return Err(format!(
                "{} is not the file that was compiled: it was cut short or edited; `{REFRESH}` writes it anew",
                folder.join(&file).display()
            ));
        }
        built.push(Built { ptx, key: made_from.to_owned() });
    }
    Ok((compiler.to_owned(), built))
}

fn read(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path)
        .map_err(|e| format!("cannot read {}: {e}; with nvcc at hand, `{REFRESH}` writes it", path.display()))?;
    Ok(lf(&text))
}
