//! `halfbyte probe`: what single instructions do on a device, as files to keep.

use std::fs;

use halfbyte::op::run_probes;
use halfbyte::{Error, Result};

use crate::args::ProbeArgs;
use crate::report::say;
use crate::verify::places;

/// Runs the probes on each device asked for, and writes `<out>/<device>/<probe>.bin`.
///
/// # Errors
/// A device that is not there, a kernel that fails, a folder that cannot be written.
pub fn run(args: &ProbeArgs) -> Result<bool> {
    let (places, notes) = places(args.device)?;
    for note in notes {
        say(&format!("note {note}"));
    }
    for place in places {
        let probes = run_probes(&place.device)?;
        for probe in &probes {
            say(&format!("{:<18} {:<24} {:>6} words", place.name, probe.name, probe.output.len()));
        }
        let Some(out) = &args.out else { continue };
        let folder = out.join(folder_name(place.device.name()));
        let fail = |what: &std::path::Path, error: std::io::Error| Error::File(format!("{}: {error}", what.display()));
        fs::create_dir_all(&folder).map_err(|error| fail(&folder, error))?;
        for probe in &probes {
            let path = folder.join(probe.name).with_extension("bin");
            fs::write(&path, probe.bytes()).map_err(|error| fail(&path, error))?;
        }
        say(&format!("{} files in {}", probes.len(), folder.display()));
    }
    Ok(true)
}

/// A device's name as a folder: `NVIDIA H100 80GB HBM3` becomes `nvidia-h100-80gb-hbm3`.
fn folder_name(device: &str) -> String {
    let words = device.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_device_is_a_plain_folder() {
        assert_eq!(super::folder_name("NVIDIA H100 80GB HBM3"), "nvidia-h100-80gb-hbm3");
        assert_eq!(super::folder_name("emulator sm_90a"), "emulator-sm-90a");
        assert_eq!(super::folder_name("../x/"), "x");
    }
}
