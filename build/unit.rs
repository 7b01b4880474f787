//! What is compiled at once: all rows of one source for one target make one PTX module.

use super::manifest::{Row, Target};
use std::fmt::Write;

/// One PTX module to be.
#[derive(Clone, Debug)]
pub struct Unit {
    /// `kernels/<source>.cuh`.
    pub source: &'static str,
    /// What it is compiled for.
    pub target: Target,
    /// Its entry points, in the manifest's order.
    pub rows: Vec<&'static Row>,
}

/// The units of a manifest, in the order in which their first rows stand.
pub fn units(rows: &'static [Row]) -> Result<Vec<Unit>, String> {
    let mut units: Vec<Unit> = Vec::new();
    for row in rows {
        if row.targets.is_empty() {
            return Err(format!("kernels/manifest.rs: the row of `{}` has no target", row.symbol));
        }
        for &target in row.targets {
            match units.iter_mut().find(|u| u.source == row.source && u.target == target) {
                Some(unit) => unit.rows.push(row),
                None => units.push(Unit { source: row.source, target, rows: vec![row] }),
            }
        }
    }
    for unit in &units {
        for (i, row) in unit.rows.iter().enumerate() {
            if unit.rows[..i].iter().any(|other| other.symbol == row.symbol) {
                return Err(format!("kernels/manifest.rs: two rows of `{}` are called `{}`", unit.source, row.symbol));
            }
        }
    }
    Ok(units)
}

impl Unit {
    /// Path of a file of this unit below `kernels/prebuilt/` or `OUT_DIR`: `gemm/gemm_s8_mma.sm_80.ptx`.
    pub fn file(&self, extension: &str) -> String {
        format!("{}.{}.{extension}", self.source, self.target.name())
    }

    /// The translation unit: the source and an `extern "C"` entry for each row.
    pub fn shim(&self) -> String {
        let mut text = format!("#include \"{}.cuh\"\n", self.source);
        for row in &self.rows {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "extern \"C\" __global__ void __launch_bounds__({}, {}) {}(const __grid_constant__ {} p) {{ {}(p); }}",
                row.threads, row.min_blocks, row.symbol, row.params.name, row.call
            );
        }
        text
    }

    /// nvcc's flags that choose the target. `wgmma` and `setmaxnreg` need the architecture-specific form.
    pub fn target_flags(&self) -> Vec<String> {
        let number = self.target.name().trim_start_matches("sm_");
        if self.target.arch_specific() {
            vec![format!("-gencode=arch=compute_{number},code=sm_{number}")]
        } else {
            vec![format!("-arch=compute_{number}")]
        }
    }
}
