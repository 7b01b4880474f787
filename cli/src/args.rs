//! What the command line says.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
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
    /// Count what an operation's kernels ask of a machine, line by line, against what the problem needs
    #[command(after_long_help = PROFILE_HELP)]
    Profile(ProfileArgs),
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

/// Options of `profile`.
#[derive(Args, Debug, Clone)]
pub struct ProfileArgs {
    /// quantize_rows, quantize, gemm, gemm_s8, linear, merge, attention or attention_int8
    pub op: String,
    /// Its sizes: `M=512 N=768 K=768` in any order, or `512x768x768`; of quantize_rows and quantize `M=512 K=768` or
    /// `512x768`; of merge `P=8 T=64 H=16 D=128` (parts, tokens, heads, numbers of a row), of both attentions
    /// `B=1 Q=512 K=512 H=8 G=2 D=128` (sequences, queries, keys, heads, heads of keys, elements)
    #[arg(required = true)]
    pub shape: Vec<String>,
    /// Architecture to plan for and to emulate: sm_80, sm_89 or sm_90a [default: that of --gpu, or sm_80]
    #[arg(long, value_name = "ARCH", value_parser = emulated, conflicts_with = "device")]
    pub arch: Option<Where>,
    /// The same as in `verify`: emulator:sm_80, emulator:sm_89 or emulator:sm_90a
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<Where>,
    /// GPU to estimate for, such as H100-SXM, A100-SXM-80GB, L4 or RTX-4090; another name lists all [default: one of
    /// the architecture]
    #[arg(long, value_name = "NAME")]
    pub gpu: Option<String>,
    /// Type of the input of quantize_rows, quantize, linear, merge and both attentions, and of both operands of gemm
    /// [default: f16]
    #[arg(long, value_name = "TYPE")]
    pub dtype: Option<ProfileType>,
    /// Type of the output of gemm, gemm_s8, linear, merge and both attentions [default: f16; of merge and both
    /// attentions that of their input]
    #[arg(long, value_name = "TYPE")]
    pub out: Option<ProfileType>,
    /// Take the kernel of the product whose name contains this instead of the one that the plan chooses
    #[arg(long, value_name = "NAME")]
    pub kernel: Option<String>,
    /// Cut K into this many slices instead of as many as the plan chooses
    #[arg(long, value_name = "SLICES")]
    pub split_k: Option<u32>,
    /// Scales of quantize: rows, zeros (and zero points), groups64, groups128 or given [default: groups128]
    #[arg(long, value_name = "NAME")]
    pub scheme: Option<String>,
    /// Codes of quantize: s8, e4m3 or e5m2 [default: s8]
    #[arg(long, value_name = "NAME")]
    pub codes: Option<String>,
    /// K lies down the rows of the matrix that is quantized, or of the second operand of gemm
    #[arg(long)]
    pub k_down: bool,
    /// Sum a gemm of 8-bit operands by groups of so many elements of K, 64 or 128, each with its scales
    #[arg(long, value_name = "ELEMENTS")]
    pub k_group: Option<usize>,
    /// Attention to no key after a query's own
    #[arg(long)]
    pub causal: bool,
    /// Attention to at most so many keys before a query's own (and, unless causal, after it)
    #[arg(long, value_name = "KEYS")]
    pub window: Option<usize>,
    /// Values of attention_int8 in e4m3 too, from sm_89 on
    #[arg(long)]
    pub e4m3_values: bool,
    /// Source lines to show a kernel
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub lines: usize,
    /// Print one JSON object with everything, all lines included
    #[arg(long)]
    pub json: bool,
}

/// What `profile --help` ends with.
const PROFILE_HELP: &str = "\
Counts are exact for the PTX: the same in every run, on any machine. A sector is 32 bytes of global memory, counted each
time that a warp touches it; a wavefront is one pass over the 32 banks of shared memory. `ideal` is what the problem
cannot do without: each operand read once, the output written once, the multiply-accumulates of the product, or of the pairs
of query and key that are seen, no bank conflict.
Lines marked with ! have bank conflicts, or ask for less than half of the bytes of their sectors.

The JSON object: op, shape {M, N, K or its own letters}, types, device, gpu {name, memory_gb_s, s8_tops, ...}, estimate_s, and kernels, a
list of {kernel, plan, grid, threads, shared_bytes, blocks, barriers, ideal {bytes_read, bytes_written, tensor_macs},
total, mix [[kind, warp instructions]], roofline {memory_s, tensor_s, tensor_tops, tensor_type, shared_s, estimate_s, bound_by}, lines [{source
[file, line], caller [file, line] or null, count}]}. total and count hold executions, lanes, diverged, splits,
requests_read, requests_written, bytes_read, bytes_written, sectors_read, sectors_written, wavefronts, wavefronts_ideal,
local_requests, async_bytes and tensor_macs, as the type halfbyte::emulator::Count describes them.";

/// Types on the command line.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileType {
    /// IEEE half.
    F16,
    /// bfloat16.
    Bf16,
    /// IEEE single.
    F32,
    /// The sums themselves (the output of gemm_s8, and of gemm of s8).
    S32,
    /// Signed bytes (the operands of gemm).
    S8,
    /// 8-bit floats of 4 exponent bits (the operands of gemm).
    E4m3,
    /// 8-bit floats of 5 exponent bits (the operands of gemm).
    E5m2,
}

impl ProfileType {
    /// Bytes of one.
    pub fn size(self) -> u128 {
        match self {
            ProfileType::S8 | ProfileType::E4m3 | ProfileType::E5m2 => 1,
            ProfileType::F16 | ProfileType::Bf16 => 2,
            ProfileType::F32 | ProfileType::S32 => 4,
        }
    }
}

impl fmt::Display for ProfileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProfileType::F16 => "f16",
            ProfileType::Bf16 => "bf16",
            ProfileType::F32 => "f32",
            ProfileType::S32 => "s32",
            ProfileType::S8 => "s8",
            ProfileType::E4m3 => "e4m3",
            ProfileType::E5m2 => "e5m2",
        })
    }
}

/// The emulator as an architecture by its bare name.
fn emulated(text: &str) -> Result<Where, String> {
    let bad = |_| format!("'{text}' is none of sm_80, sm_89, sm_90a");
    format!("emulator:{text}").parse().map_err(bad)
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
    /// Run these probes alone: names, or beginnings of names that end in `_`
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
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
