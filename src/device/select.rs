//! Which compiled module serves a device.

use crate::kernels::Module;
use crate::manifest::{Row, Target};
use crate::{Error, Result};

/// True when PTX for `target` runs on a device of this compute capability (times ten).
fn serves(target: Target, capability: u32) -> bool {
    if target.arch_specific() { target.capability() == capability } else { target.capability() <= capability }
}

/// The best module of `row` for a device: the highest target that serves it, and of two equal ones the
/// architecture-specific one.
///
/// # Errors
/// No target of the row serves the capability, or the module of the one that does was not built in.
pub(super) fn module(row: &Row, capability: u32, modules: &'static [Module]) -> Result<&'static Module> {
    let target = row
        .targets
        .iter()
        .copied()
        .filter(|&target| serves(target, capability))
        .max_by_key(|target| (target.capability(), target.arch_specific()))
        .ok_or_else(|| {
            let served: Vec<String> = row
                .targets
                .iter()
                .map(|target| {
                    format!("{}{}", target.name(), if target.arch_specific() { " only" } else { " and later" })
                })
                .collect();
            Error::Unsupported(format!(
                "{} serves {}, not compute capability {}.{}",
                row.symbol,
                served.join(", "),
                capability / 10,
                capability % 10
            ))
        })?;
    modules.iter().find(|module| module.source == row.source && module.target == target).ok_or_else(|| {
        Error::Unsupported(format!("the kernels {} for {} were not built into this program", row.source, target.name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Entry, ROWS};

    const fn made(source: &'static str, target: Target, ptx: &'static str) -> Module {
        Module { source, target, ptx, fatbin: None, version: (8, 0), key: "" }
    }

    static MODULES: [Module; 4] = [
        made("a", Target::Sm80, "a80"),
        made("a", Target::Sm89, "a89"),
        made("a", Target::Sm90a, "a90a"),
        made("b", Target::Sm90a, "b90a"),
    ];

    fn row(source: &'static str, targets: &'static [Target]) -> Row {
        let like = Entry::GemmS8Wgmma128x128x128.row();
        Row { source, targets, constants: &[], ..*like }
    }

    #[test]
    fn the_highest_target_that_serves_wins() {
        let all = row("a", &[Target::Sm80, Target::Sm89, Target::Sm90a]);
        for (capability, want) in [(80, "a80"), (86, "a80"), (89, "a89"), (90, "a90a"), (100, "a89"), (120, "a89")] {
            assert_eq!(module(&all, capability, &MODULES).unwrap().ptx, want, "{capability}");
        }
    }

    #[test]
    fn what_nothing_serves_is_named() {
        let text = |row: &Row, capability| module(row, capability, &MODULES).unwrap_err().to_string();
        let hopper = row("b", &[Target::Sm90a]);
        assert_eq!(module(&hopper, 90, &MODULES).unwrap().ptx, "b90a");
        assert_eq!(text(&hopper, 100), "gemm_s8_wgmma_128x128x128 serves sm_90a only, not compute capability 10.0");
        let plain = row("a", &[Target::Sm80, Target::Sm90a]);
        assert_eq!(
            text(&plain, 75),
            "gemm_s8_wgmma_128x128x128 serves sm_80 and later, sm_90a only, not compute capability 7.5"
        );
        let missing = row("c", &[Target::Sm80]);
        assert_eq!(text(&missing, 80), "the kernels c for sm_80 were not built into this program");
    }

    #[test]
    fn every_row_serves_its_own_targets() {
        for row in ROWS {
            for &target in row.targets {
                assert!(serves(target, target.capability()), "{}", row.symbol);
            }
        }
    }
}
