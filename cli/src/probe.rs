//! `halfbyte probe`: what single instructions do on a device, as files to keep.

use std::fs;
use std::path::Path;
use std::process::Command;

use halfbyte::kernels::instructions;
use halfbyte::op::Probe;
use halfbyte::{Error, Result};

use crate::args::{ProbeArgs, Where};
use crate::ran::Place;
use crate::report::say;
use crate::verify::places;

/// Runs the probes on each device asked for, and writes each to `<out>/<device>/<probe>.bin` as soon as it has run. One
/// that fails does not stop the others: on CUDA, where a trap ends all use of the device, a process of its own runs the
/// rest. True if none failed.
///
/// # Errors
/// A device that is not there, a file that cannot be written, a name that no probe has.
pub fn run(args: &ProbeArgs) -> Result<bool> {
    let (places, notes) = places(args.device)?;
    for note in notes {
        say(&format!("note {note}"));
    }
    let mut passed = true;
    for place in places {
        let mut probes = Probe::all(&place.device);
        let known = probes.len();
        let fits = |name: &str, wanted: &str| name == wanted || wanted.ends_with('_') && name.starts_with(wanted);
        let wanted = |probe: &Probe| args.only.iter().any(|name| fits(probe.name(), name));
        probes.retain(|probe| args.only.is_empty() || wanted(probe));
        if probes.is_empty() {
            return Err(Error::Value(format!("none of {known} probes is called {}", args.only.join(", "))));
        }
        passed &= run_all(&place, &probes, args)?;
    }
    Ok(passed)
}

fn run_all(place: &Place, probes: &[Probe], args: &ProbeArgs) -> Result<bool> {
    let driver = driver_version(place.device.is_emulator());
    let mut passed = true;
    for (i, probe) in probes.iter().enumerate() {
        match probe.run(&place.device) {
            Ok(output) => {
                say(&format!("{:<18} {:<24} {:>6} words", place.name, probe.name(), output.output.len()));
                let Some(out) = &args.out else { continue };
                let folder = out.join(folder_name(place.device.name()));
                let path = folder.join(probe.name()).with_extension("bin");
                let fail = |error: std::io::Error| Error::File(format!("{}: {error}", path.display()));
                fs::create_dir_all(&folder).map_err(fail)?;
                fs::write(&path, output.golden(&instructions(probe.entry()), place.device.name(), &driver).to_bytes())
                    .map_err(fail)?;
            }
            Err(error) => {
                passed = false;
                say(&format!("{:<18} {:<24} FAILED: {error}", place.name, probe.name()));
                if !place.device.is_emulator() {
                    let rest: Vec<&str> = probes[i + 1..].iter().map(Probe::name).collect();
                    go_on(args, &rest)?;
                    break;
                }
            }
        }
    }
    Ok(passed)
}

/// Runs the rest in another process: after a trap this one's device takes no more work.
fn go_on(args: &ProbeArgs, rest: &[&str]) -> Result<()> {
    if rest.is_empty() {
        return Ok(());
    }
    let fail = |error: std::io::Error| Error::File(format!("another process for the other probes: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(fail)?);
    command.arg("probe").arg("--only").arg(rest.join(","));
    command.arg("--device").arg(match args.device {
        Where::Auto => "cuda".to_string(),
        device => device.to_string(),
    });
    if let Some(out) = &args.out {
        command.arg("--out").arg(out);
    }
    // It says itself what failed there; something has failed already.
    command.status().map_err(fail)?;
    Ok(())
}

/// The version of the driver that is loaded, as Linux knows it.
fn driver_version(emulator: bool) -> String {
    if emulator {
        return format!("halfbyte {}", env!("CARGO_PKG_VERSION"));
    }
    let text = fs::read_to_string(Path::new("/proc/driver/nvidia/version")).unwrap_or_default();
    let version =
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    version.unwrap_or("unknown").to_string()
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
