//! What the command line says.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand};
use halfbyte::emulator::Arch;

/// Run CUDA kernels for quantized products, on a GPU or on the built-in emulator, and check every result.
#[derive(Parser, Debug)]
#[command(name = "halfbyte", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; `verify` when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `verify`, which may be given without naming it.
    #[command(flatten)]
    pub verify: VerifyArgs,
}

/// The subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run every operation over a table of shapes and over real weights, and compare with the references (the default)
    Verify(VerifyArgs),
    /// List the devices that kernels can run on
    Devices(ListArgs),
    /// List the kernels in this program: targets, threads, shared memory, registers, the driver they need
    Kernels(ListArgs),
    /// Run the probe kernels, one per instruction, and write what they gave
    Probe(ProbeArgs),
}

/// Options of `verify`.
#[derive(Args, Debug, Clone, Default)]
pub struct VerifyArgs {
    /// Where to run: auto, cuda, cuda:N, emulator, emulator:sm_80, emulator:sm_89 or emulator:sm_90a
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: Where,
    /// Run only the cases whose line contains this text
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Also verify every 2-D floating matrix of this safetensors file
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Run on checked emulators, which also find what gives right results today: races, missing waits and fences, reads
    /// of memory never written, writes to inputs. Several times slower; never on a GPU
    #[arg(long)]
    pub checked: bool,
    /// Print one JSON object per case and one at the end, instead of lines for people
    #[arg(long)]
    pub json: bool,
}

/// Options of `devices` and `kernels`.
#[derive(Args, Debug, Clone)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `probe`.
#[derive(Args, Debug, Clone)]
pub struct ProbeArgs {
    /// Where to run, as in `verify`
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: Where,
    /// Write one file per probe to a folder of the device's name in this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Where to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Where {
    /// A GPU if there is one, else the emulator: only this program ever chooses by itself.
    #[default]
    Auto,
    /// This GPU.
    Cuda(usize),
    /// The emulator, as each of its architectures that has kernels of its own.
    Emulator,
    /// The emulator as this architecture.
    EmulatorAs(Arch),
}

impl FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!("'{text}' is none of auto, cuda, cuda:N, emulator, emulator:sm_80, emulator:sm_89, emulator:sm_90a")
        };
        let (kind, detail) = match text.split_once(':') {
            Some((kind, detail)) => (kind, Some(detail)),
            None => (text, None),
        };
        match (kind, detail) {
            ("auto", None) => Ok(Where::Auto),
            ("cuda", None) => Ok(Where::Cuda(0)),
            ("cuda", Some(n)) => n.parse().map(Where::Cuda).map_err(|_| bad()),
            ("emulator", None) => Ok(Where::Emulator),
            ("emulator", Some("sm_80")) => Ok(Where::EmulatorAs(Arch::Sm80)),
            ("emulator", Some("sm_89")) => Ok(Where::EmulatorAs(Arch::Sm89)),
            ("emulator", Some("sm_90a")) => Ok(Where::EmulatorAs(Arch::Sm90a)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Where::Auto => write!(f, "auto"),
            Where::Cuda(n) => write!(f, "cuda:{n}"),
            Where::Emulator => write!(f, "emulator"),
            Where::EmulatorAs(arch) => write!(f, "emulator:{arch}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_reads_back_as_written() {
        let texts = ["auto", "cuda:0", "cuda:3", "emulator", "emulator:sm_80", "emulator:sm_89", "emulator:sm_90a"];
        for text in texts {
            assert_eq!(text.parse::<Where>().unwrap().to_string(), text);
        }
        for text in ["", "gpu", "cuda:", "cuda:-1", "auto:1", "emulator:sm_70", "emulator:"] {
            assert!(text.parse::<Where>().unwrap_err().contains(text), "{text}");
        }
    }

    #[test]
    fn verify_is_the_default_and_takes_its_options_bare() {
        let cli = Cli::try_parse_from(["halfbyte", "--json", "--device", "emulator"]).unwrap();
        assert!(cli.command.is_none() && cli.verify.json && cli.verify.device == Where::Emulator);
        assert!(Cli::try_parse_from(["halfbyte", "--device", "toaster"]).is_err());
    }
}
