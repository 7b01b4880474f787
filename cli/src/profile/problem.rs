//! What to profile: the operations, their shapes and types, and what each must read, write and multiply.

use half::{bf16, f16};
use halfbyte::device::{Device, LaunchCounters, Stream};
use halfbyte::op::{
    GemmS8, GemmS8Args, InputElement, Linear, LinearArgs, OutputElement, QuantizeRows, QuantizeRowsArgs,
};
use halfbyte::plan::attention::Mask;
use halfbyte::plan::gemm_s8::{self, GemmS8Plan, GemmS8Problem};
use halfbyte::plan::quantize::{Code, Scheme};
use halfbyte::plan::{linear, quantize_rows};
use halfbyte::reference::sample::Sample;
use halfbyte::{Error, Result};
use serde::Serialize;

use super::{attention, quantize};
use crate::args::{ProfileArgs, ProfileType};

/// Most bytes of operands: they lie in this computer's memory.
const MOST_BYTES: u128 = 4 << 30;

/// One operation that can be profiled. A new one is a row of [`OPERATIONS`].
pub struct Operation {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its dimensions, in the order in which `MxNxK` has them.
    pub dims: &'static [&'static str],
    /// Bytes of its operands, and its run.
    bytes: fn(&Problem) -> u128,
    run: fn(&Problem, &Stream) -> Result<Vec<Profiled>>,
}

/// All of them.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "quantize_rows",
        dims: &["M", "K"],
        bytes: |p| p.m() * p.k() * (p.input.size() + 1),
        run: |p, stream| match p.input {
            ProfileType::F16 => p.quantize_rows::<f16>(stream),
            ProfileType::Bf16 => p.quantize_rows::<bf16>(stream),
            ProfileType::F32 => p.quantize_rows::<f32>(stream),
            _ => Err(p.no_such_type("--dtype", p.input)),
        },
    },
    Operation {
        name: "quantize",
        dims: &["M", "K"],
        bytes: |p| p.m() * p.k() * (p.input.size() + 2),
        run: |p, stream| match p.input {
            ProfileType::F16 => p.quantize::<f16>(stream),
            ProfileType::Bf16 => p.quantize::<bf16>(stream),
            ProfileType::F32 => p.quantize::<f32>(stream),
            _ => Err(p.no_such_type("--dtype", p.input)),
        },
    },
    Operation {
        name: "gemm_s8",
        dims: &["M", "N", "K"],
        bytes: |p| (p.m() + p.n()) * p.k() + p.m() * p.n() * p.out.size(),
        run: |p, stream| match p.out {
            ProfileType::F16 => p.gemm_s8::<f16>(stream),
            ProfileType::Bf16 => p.gemm_s8::<bf16>(stream),
            ProfileType::F32 => p.gemm_s8::<f32>(stream),
            ProfileType::S32 => p.gemm_s8::<i32>(stream),
            _ => Err(p.no_such_type("--out", p.out)),
        },
    },
    Operation {
        name: "gemm",
        dims: &["M", "N", "K"],
        bytes: |p| (p.m() + p.n()) * p.k() * p.input.size() + p.m() * p.n() * p.out.size(),
        run: Problem::gemm,
    },
    Operation {
        name: "linear",
        dims: &["M", "N", "K"],
        bytes: |p| p.m() * p.k() * (p.input.size() + 1) + p.n() * p.k() + p.m() * p.n() * p.out.size(),
        run: |p, stream| match p.input {
            ProfileType::F16 => p.linear_from::<f16>(stream),
            ProfileType::Bf16 => p.linear_from::<bf16>(stream),
            ProfileType::F32 => p.linear_from::<f32>(stream),
            _ => Err(p.no_such_type("--dtype", p.input)),
        },
    },
    Operation {
        name: "merge",
        dims: &["P", "T", "H", "D"],
        bytes: |p| {
            let [parts, tokens, heads, dim] = ["P", "T", "H", "D"].map(|dim| p.size(dim) as u128);
            let rows = tokens.saturating_mul(heads);
            let row = |size: u128| dim * size + 4;
            rows.saturating_mul(parts.saturating_mul(row(p.input.size())) + row(p.out.size()))
        },
        run: Problem::merge,
    },
    Operation { name: "attention", dims: &attention::DIMS, bytes: attention::bytes, run: Problem::attention },
    Operation {
        name: "attention_int8",
        dims: &attention::DIMS,
        bytes: |p| attention::bytes(p).saturating_add(attention::codes(p)),
        run: Problem::attention_int8,
    },
];

/// What one kernel cannot do without.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ideal {
    /// Bytes of global memory to read: each operand once.
    pub bytes_read: u64,
    /// Bytes of global memory to write.
    pub bytes_written: u64,
    /// Multiply-accumulates.
    pub tensor_macs: u64,
}

/// One kernel of an operation.
pub struct Profiled {
    /// Its plan, for people.
    pub plan: String,
    /// What it cannot do without.
    pub ideal: Ideal,
    /// What it did.
    pub launch: LaunchCounters,
}

/// An operation on operands of some shape.
pub struct Problem {
    /// Which.
    pub operation: &'static Operation,
    /// Sizes, in the order of [`Operation::dims`].
    pub sizes: Vec<usize>,
    /// Type of what comes in.
    pub input: ProfileType,
    /// Type of what goes out.
    pub out: ProfileType,
    /// Of `quantize`: what x becomes, which numbers share a scale, and whether K lies down the rows.
    pub quantizes: (Code, Scheme, bool),
    /// Of `gemm`: whether K lies down the rows of b, and the elements of its groups.
    pub b_down: bool,
    /// The elements of a group of K.
    pub k_group: Option<usize>,
    /// Of `attention` and `attention_int8`: which keys a query sees.
    pub mask: Mask,
    /// Of `attention_int8`: whether values are e4m3 too.
    pub e4m3_values: bool,
    /// The kernel and the slices of K that were asked for.
    pub(super) kernel: Option<String>,
    pub(super) split_k: Option<u32>,
}

impl Problem {
    /// What the command line asks for.
    ///
    /// # Errors
    /// An operation, a shape or an option that makes no sense, with what does.
    pub fn new(args: &ProfileArgs) -> Result<Problem> {
        let bad = |text: String| Err(Error::Value(text));
        let Some(operation) = OPERATIONS.iter().find(|op| op.name == args.op) else {
            let names: Vec<&str> = OPERATIONS.iter().map(|op| op.name).collect();
            return bad(format!("no operation '{}'; there are {}", args.op, names.join(", ")));
        };
        let sizes = match sizes(operation.dims, &args.shape) {
            Ok(sizes) => sizes,
            Err(text) => return bad(format!("{}: {text}", operation.name)),
        };
        let (kernel, split_k) = (args.kernel.clone(), args.split_k);
        if (args.scheme.is_some() || args.codes.is_some()) && operation.name != "quantize" {
            return bad(format!("{} takes no --scheme or --codes", operation.name));
        }
        if args.k_down && !matches!(operation.name, "quantize" | "gemm") {
            return bad(format!("{} takes no --k-down", operation.name));
        }
        if args.k_group.is_some() && operation.name != "gemm" {
            return bad(format!("{} takes no --k-group", operation.name));
        }
        let (scheme, codes) = (args.scheme.as_deref().unwrap_or("groups128"), args.codes.as_deref().unwrap_or("s8"));
        let quantizes = (quantize::code(codes)?, quantize::scheme(scheme)?, args.k_down);
        let input = args.dtype.unwrap_or(ProfileType::F16);
        // What is no product of matrices gives what it takes, or f32.
        let attends = matches!(operation.name, "attention" | "attention_int8");
        let own = attends || operation.name == "merge";
        let out = args.out.unwrap_or(if own { input } else { ProfileType::F16 });
        if (args.causal || args.window.is_some()) && !attends {
            return bad(format!("{} takes no --causal or --window", operation.name));
        }
        if args.e4m3_values && operation.name != "attention_int8" {
            return bad(format!("{} takes no --e4m3-values", operation.name));
        }
        let mask = attention::mask(args)?;
        let (b_down, k_group, e4m3_values) = (args.k_down, args.k_group, args.e4m3_values);
        let problem =
            Problem { operation, sizes, input, out, quantizes, b_down, k_group, mask, e4m3_values, kernel, split_k };
        let has_product = operation.dims.contains(&"N");
        if !has_product && (problem.kernel.is_some() || split_k.is_some() || (args.out.is_some() && !own)) {
            let out = if own { "" } else { "--out, " };
            return bad(format!("{} takes no {out}--kernel or --split-k", operation.name));
        }
        if operation.name == "gemm_s8" && args.dtype.is_some() {
            return bad("gemm_s8 takes int8 and no --dtype; --out is the type that it writes".into());
        }
        if problem.sizes.contains(&0) {
            return bad(format!("{} of {}: empty, nothing is launched", operation.name, problem.shape()));
        }
        let bytes = (operation.bytes)(&problem);
        if bytes > MOST_BYTES {
            return bad(format!(
                "{} of {} takes {bytes} bytes of operands; at most {MOST_BYTES} are emulated",
                operation.name,
                problem.shape()
            ));
        }
        Ok(problem)
    }

    /// Runs it, counting.
    ///
    /// # Errors
    /// No plan, or a kernel that fails.
    pub fn run(&self, device: &Device) -> Result<Vec<Profiled>> {
        let stream = device.stream()?;
        device.count_launches(true);
        let done = (self.operation.run)(self, &stream);
        device.count_launches(false);
        done
    }

    /// Its shape, for people.
    pub fn shape(&self) -> String {
        let parts = self.operation.dims.iter().zip(&self.sizes).map(|(dim, size)| format!("{dim}={size}"));
        parts.collect::<Vec<_>>().join(" ")
    }

    /// Its types, for people.
    pub fn types(&self) -> String {
        match self.operation.name {
            "quantize_rows" => format!("{} -> s8", self.input),
            "quantize" => format!("{} -> {}, {}", self.input, self.quantizes.0, self.quantizes.1),
            "gemm_s8" => format!("s8 x s8 -> {}", self.out),
            "merge" => format!("{} -> {}", self.input, self.out),
            "attention" => format!("{} -> {}, {}", self.input, self.out, self.mask),
            "attention_int8" => {
                let values = if self.e4m3_values { ProfileType::E4m3 } else { self.input };
                format!("{} -> s8 x {values} -> {}, {}", self.input, self.out, self.mask)
            }
            "gemm" => {
                let down = if self.b_down { " with K down its rows" } else { "" };
                let groups = self.k_group.map(|group| format!(", K in groups of {group}")).unwrap_or_default();
                format!("{0} x {0}{down} -> {1}{groups}", self.input, self.out)
            }
            _ => format!("{} x s8 -> {}", self.input, self.out),
        }
    }

    /// The size of a dimension; 1 for one that it does not have.
    pub(super) fn size(&self, dim: &str) -> usize {
        self.operation.dims.iter().position(|d| *d == dim).map_or(1, |at| self.sizes[at])
    }

    fn m(&self) -> u128 {
        self.size("M") as u128
    }

    fn n(&self) -> u128 {
        self.size("N") as u128
    }

    fn k(&self) -> u128 {
        self.size("K") as u128
    }

    pub(super) fn no_such_type(&self, option: &str, ty: ProfileType) -> Error {
        Error::Value(format!("{} takes no {option} {ty}", self.operation.name))
    }

    /// The plans beside what was launched by them.
    pub(super) fn profiled(&self, device: &Device, plans: Vec<(String, Ideal)>) -> Result<Vec<Profiled>> {
        let launches = device.take_counters();
        if launches.len() != plans.len() {
            let (have, want) = (launches.len(), plans.len());
            return Err(Error::Value(format!("{} launched {have} kernels, not {want}", self.operation.name)));
        }
        let pairs = plans.into_iter().zip(launches);
        Ok(pairs.map(|((plan, ideal), launch)| Profiled { plan, ideal, launch }).collect())
    }

    fn quantize_ideal(&self, ld: usize) -> Ideal {
        let (m, k) = (self.size("M") as u64, self.size("K") as u64);
        Ideal { bytes_read: m * k * self.input.size() as u64, bytes_written: m * ld as u64 + 4 * m, tensor_macs: 0 }
    }

    fn gemm_ideal(&self, scaled: bool, bias: bool) -> Ideal {
        let [m, n, k] = ["M", "N", "K"].map(|dim| self.size(dim) as u64);
        let scales = if scaled { 4 * (m + n) } else { 0 };
        Ideal {
            bytes_read: (m + n) * k + scales + if bias { 4 * n } else { 0 },
            bytes_written: m * n * self.out.size() as u64,
            tensor_macs: m * n * k,
        }
    }

    /// The plan that is chosen, or the one that was asked for.
    fn gemm_plan(&self, problem: &GemmS8Problem, device: &Device) -> Result<GemmS8Plan> {
        let facts = device.facts();
        if self.kernel.is_none() && self.split_k.is_none() {
            return gemm_s8::plan(problem, facts);
        }
        let all: Vec<GemmS8Plan> = gemm_s8::candidates(problem, facts).collect();
        let of = |plan: &GemmS8Plan| (plan.geometry().map_or("", |g| g.entry.row().symbol), plan.split_k());
        let names = gemm_s8::entries(facts)?.map(|entry| entry.row().symbol);
        self.asked_for(&all, of, names, &format!("{problem} on {device}"))
    }

    fn quantize_rows<T: InputElement>(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        let (m, k) = (self.size("M"), self.size("K"));
        let op = QuantizeRows::new(stream.device())?;
        let plan = op.plan::<T>(m, k)?;
        let ld = k.next_multiple_of(linear::CODES_ALIGN);
        let x = stream.upload(&numbers::<T>(m * k))?;
        let (mut codes, mut scales) = (stream.alloc::<i8>(m * ld)?, stream.alloc::<f32>(m)?);
        let args = QuantizeRowsArgs {
            x: x.view().matrix(m, k, k)?,
            codes: codes.view_mut().matrix(m, ld, ld)?,
            scales: scales.view_mut(),
            status: None,
        };
        op.run(&plan, stream, args)?;
        self.profiled(stream.device(), vec![(plan.to_string(), self.quantize_ideal(ld))])
    }

    fn gemm_s8<O: OutputElement>(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        let [m, n, k] = ["M", "N", "K"].map(|dim| self.size(dim));
        let problem = GemmS8Problem { m, n, k, out: O::OUTPUT };
        let op = GemmS8::new(stream.device())?;
        let plan = self.gemm_plan(&problem, stream.device())?;
        let ld = k.next_multiple_of(linear::CODES_ALIGN);
        let codes = |name: &str, rows: usize| stream.upload(&Sample::new(name).codes(rows * ld, -127, 127));
        let (a, b) = (codes("a", m)?, codes("b", n)?);
        let scaled = problem.out.scaled();
        let scales = |rows: usize| stream.upload(&vec![0.0078125f32; rows]);
        let (rows, cols) = (scales(m)?, scales(n)?);
        let mut d = stream.alloc::<O>(m * n)?;
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
        let args = GemmS8Args {
            a: a.view().matrix(m, k, ld)?,
            b: b.view().matrix(n, k, ld)?,
            scale_row: scaled.then(|| rows.view()),
            scale_col: scaled.then(|| cols.view()),
            bias: None,
            d: d.view_mut().matrix(m, n, n)?,
            scratch: Some(scratch.view_mut()),
        };
        op.run(&plan, stream, args)?;
        self.profiled(stream.device(), vec![(plan.to_string(), self.gemm_ideal(scaled, false))])
    }

    fn linear_from<T: InputElement>(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        match self.out {
            ProfileType::F16 => self.linear::<T, f16>(stream),
            ProfileType::Bf16 => self.linear::<T, bf16>(stream),
            ProfileType::F32 => self.linear::<T, f32>(stream),
            _ => Err(self.no_such_type("--out", self.out)),
        }
    }

    fn linear<T: InputElement, O: OutputElement>(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        let [m, n, k] = ["M", "N", "K"].map(|dim| self.size(dim));
        let ld = k.next_multiple_of(linear::CODES_ALIGN);
        let codes = stream.upload(&Sample::new("w").codes(n * ld, -127, 127))?;
        let (scales, bias) = (stream.upload(&vec![0.0078125f32; n])?, stream.upload(&vec![0.5f32; n])?);
        let layer = Linear::from_buffers(codes, [n, k], ld, scales, Some(bias))?;
        let rows = quantize_rows::QuantizeRowsProblem { rows: m, cols: k, input: T::INPUT };
        let quantize = quantize_rows::plan(&rows, stream.device().facts())?;
        let problem = GemmS8Problem { m, n, k, out: O::OUTPUT };
        let plan = linear::join(&quantize, &self.gemm_plan(&problem, stream.device())?)?;
        let x = stream.upload(&numbers::<T>(m * k))?;
        let mut out = stream.alloc::<O>(m * n)?;
        let mut scratch = stream.alloc::<u8>(plan.scratch_bytes())?;
        let args = LinearArgs {
            x: x.view().matrix(m, k, k)?,
            out: out.view_mut().matrix(m, n, n)?,
            scratch: scratch.view_mut(),
            status: None,
        };
        layer.run(&plan, stream, args)?;
        let plans = vec![
            (plan.quantize().to_string(), self.quantize_ideal(plan.codes_ld())),
            (plan.gemm().to_string(), self.gemm_ideal(true, true)),
        ];
        self.profiled(stream.device(), plans)
    }
}

/// Finite numbers, the same each time.
pub(super) fn numbers<T: InputElement>(len: usize) -> Vec<T> {
    let mut sample = Sample::new("x");
    (0..len).map(|_| T::from_f32(sample.gaussian())).collect()
}

/// Reads `M=512 N=768 K=768`, in any order and case, or `512x768x768`.
fn sizes(dims: &[&str], words: &[String]) -> std::result::Result<Vec<usize>, String> {
    let names = dims.iter().map(|dim| dim.to_lowercase()).collect::<Vec<_>>().join("x");
    let form = dims.iter().map(|dim| format!("{dim}=..")).collect::<Vec<_>>().join(" ");
    let expected = format!("a shape is {form}, or {names} in numbers");
    let number = |text: &str, what: &str| -> std::result::Result<usize, String> {
        match text.parse() {
            Ok(size) if size <= i32::MAX as usize => Ok(size),
            Ok(size) => Err(format!("{size}{what} is more than a kernel can index, {}", i32::MAX)),
            Err(_) => Err(format!("'{text}' is no size{what}; {expected}")),
        }
    };
    let words: Vec<&str> =
        words.iter().flat_map(|word| word.split([',', ' '])).filter(|word| !word.is_empty()).collect();
    if let [word] = words[..]
        && !word.contains('=')
    {
        let parts: Vec<&str> = word.split(['x', 'X']).collect();
        if parts.len() != dims.len() {
            return Err(format!("'{word}' has {} sizes, not {}; {expected}", parts.len(), dims.len()));
        }
        return parts.iter().map(|part| number(part, "")).collect();
    }
    let mut found: Vec<Option<usize>> = vec![None; dims.len()];
    for word in words {
        let Some((name, size)) = word.split_once('=') else { return Err(format!("'{word}': {expected}")) };
        let Some(at) = dims.iter().position(|dim| dim.eq_ignore_ascii_case(name)) else {
            return Err(format!("'{word}': there is no dimension {name}; {expected}"));
        };
        if found[at].replace(number(size, &format!(" of {name}"))?).is_some() {
            return Err(format!("{name} is given twice"));
        }
    }
    let missing = |at: usize| format!("{} is missing; {expected}", dims[at]);
    found.iter().enumerate().map(|(at, size)| size.ok_or_else(|| missing(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Vec<usize>, String> {
        sizes(&["M", "N", "K"], &text.split(' ').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn shapes_in_each_form() {
        for text in ["M=5 N=6 K=7", "k=7 m=5 n=6", "5x6x7", "5X6x7", "M=5,N=6,K=7"] {
            assert_eq!(read(text), Ok(vec![5, 6, 7]), "{text}");
        }
        let refused = [
            ("M=5 N=6", "K is missing"),
            ("5x6", "2 sizes, not 3"),
            ("M=5 N=6 K=seven", "'seven' is no size of K"),
            ("5x6x-7", "'-7'"),
            ("M=5 M=6 K=7", "M is given twice"),
            ("M=5 Q=6 K=7", "no dimension Q"),
            ("M=5 N=6 7", "'7'"),
            ("M=99999999999999999999 N=1 K=1", "99999999999999999999"),
        ];
        for (text, why) in refused {
            assert!(read(text).unwrap_err().contains(why), "{text}: {:?}", read(text));
        }
    }
}
