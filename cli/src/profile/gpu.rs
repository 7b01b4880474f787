//! GPUs by name, for estimates: what their makers say they can do at best.

use halfbyte::emulator::Arch;
use serde::Serialize;

/// One GPU. Figures are those of NVIDIA's data sheets and architecture white papers, whose titles stand at the rows of
/// [`GPUS`]: dense rates (newer data sheets print twice as much, "with sparsity") at the clock of the statement.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Gpu {
    /// As `--gpu` takes it, in any case, and any part of it that means only one.
    pub name: &'static str,
    /// The architecture of the kernels that run on it.
    #[serde(serialize_with = "arch_name")]
    pub arch: Arch,
    /// Device memory, 10⁹ bytes a second.
    pub memory_gb_s: f64,
    /// Dense int8 on tensor cores, 10¹² operations a second.
    pub s8_tops: f64,
    /// Dense f16 on tensor cores with f32 sums, 10¹² operations a second.
    pub f16_tflops: f64,
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Clock in MHz at which these rates hold.
    pub clock_mhz: u32,
    /// L2 cache in MiB.
    pub l2_mib: u32,
}

fn arch_name<S: serde::Serializer>(arch: &Arch, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(arch)
}

const fn gpu(
    (name, arch): (&'static str, Arch),
    (memory_gb_s, s8_tops, f16_tflops): (f64, f64, f64),
    (multiprocessors, clock_mhz, l2_mib): (u32, u32, u32),
) -> Gpu {
    Gpu { name, arch, memory_gb_s, s8_tops, f16_tflops, multiprocessors, clock_mhz, l2_mib }
}

/// The table. The first of an architecture is the one that is taken when no GPU is named.
///
/// The figures have been compared with what others reprint of the documents named here, not with the documents; "not
/// seen" is said of those that were found nowhere and follow from the others.
pub const GPUS: [Gpu; 11] = [
    // Data sheet "NVIDIA A100 Tensor Core GPU": rates, bandwidth. White paper "NVIDIA A100 Tensor Core GPU
    // Architecture": multiprocessors, clock, L2 of 40960 KB, and 1555 GB/s of the 40 GB GPU.
    gpu(("A100-SXM-80GB", Arch::Sm80), (2039.0, 624.0, 312.0), (108, 1410, 40)),
    gpu(("A100-SXM-40GB", Arch::Sm80), (1555.0, 624.0, 312.0), (108, 1410, 40)),
    gpu(("A100-PCIe-80GB", Arch::Sm80), (1935.0, 624.0, 312.0), (108, 1410, 40)),
    // Data sheet "NVIDIA A10 Tensor Core GPU": bandwidth, f16. Int8 not seen, twice that, as of all GA102.
    gpu(("A10", Arch::Sm80), (600.0, 250.0, 125.0), (72, 1695, 6)),
    // White paper "NVIDIA Ampere GA102 GPU Architecture", appendix A; f16 with f32 sums is half of that with f16 sums.
    // Int8 not seen: 2048 operations a clock and multiprocessor, as of the A10.
    gpu(("RTX-3090", Arch::Sm80), (936.0, 284.0, 71.0), (82, 1695, 6)),
    // Data sheet "NVIDIA H100 Tensor Core GPU" (3958 and 1979 with sparsity). White paper "NVIDIA H100 Tensor Core GPU
    // Architecture": multiprocessors, L2, and 1830 MHz, the boost clock of tensor products; it is 1980 for the rest.
    gpu(("H100-SXM", Arch::Sm90a), (3350.0, 1979.0, 989.0), (132, 1830, 50)),
    // The same (3026 and 1513 with sparsity). The clock was not seen: it follows from the rates, and is 1755 elsewhere.
    gpu(("H100-PCIe", Arch::Sm90a), (2000.0, 1513.0, 756.0), (114, 1620, 50)),
    // Data sheet "NVIDIA H200 Tensor Core GPU": bandwidth, and the rates of the H100. Clock, L2 not seen: the H100's.
    gpu(("H200-SXM", Arch::Sm90a), (4800.0, 1979.0, 989.0), (132, 1830, 50)),
    // Data sheet "NVIDIA L40S" (1466 and 733 with sparsity). L2 not sure: that of the L40, but reprints say 48 too.
    gpu(("L40S", Arch::Sm89), (864.0, 733.0, 362.0), (142, 2520, 96)),
    // Data sheet "NVIDIA L4 Tensor Core GPU" (485 and 242 with sparsity; 7424 lanes of f32, 128 a multiprocessor).
    gpu(("L4", Arch::Sm89), (300.0, 242.0, 121.0), (58, 2040, 48)),
    // White paper "NVIDIA Ada GPU Architecture", appendix A; f16 with f32 sums is half of that with f16 sums.
    gpu(("RTX-4090", Arch::Sm89), (1008.0, 660.6, 165.2), (128, 2520, 72)),
];

/// The GPU of this name.
///
/// # Errors
/// A name that means none or several, with those that there are.
pub fn find(text: &str) -> Result<&'static Gpu, String> {
    let plain = |name: &str| -> String { name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect() };
    let wanted = plain(text);
    let is = |gpu: &&Gpu| plain(gpu.name) == wanted;
    let contains = |gpu: &&Gpu| !wanted.is_empty() && plain(gpu.name).contains(&wanted);
    let mut found: Vec<&Gpu> = GPUS.iter().filter(is).collect();
    if found.is_empty() {
        found = GPUS.iter().filter(contains).collect();
    }
    match found[..] {
        [gpu] => Ok(gpu),
        [] => Err(format!("no GPU '{text}'; there are {}", names(GPUS.iter()))),
        _ => Err(format!("'{text}' can be {}", names(found.into_iter()))),
    }
}

/// The GPU that stands for an architecture.
pub fn of(arch: Arch) -> &'static Gpu {
    GPUS.iter().find(|gpu| gpu.arch == arch).unwrap_or(&GPUS[0])
}

fn names<'g>(gpus: impl Iterator<Item = &'g Gpu>) -> String {
    gpus.map(|gpu| gpu.name).collect::<Vec<_>>().join(", ")
}

/// The least time in which a GPU could run a kernel at its stated rates, in seconds: the slowest of these.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Roofline {
    /// Bytes that must be read and written, at the memory's full rate. Caches that hold them already are not thought
    /// of.
    pub memory_s: f64,
    /// Multiply-accumulates that the kernel executes, two operations each, at the tensor cores' dense peaks: of f16
    /// with f32 sums for elements of 16 bits, of int8 for those of 8. (8-bit floats reach that where their sums may be
    /// of few bits.)
    pub tensor_s: f64,
    /// That peak, 10¹² operations a second; of a kernel that multiplies both, what both come to.
    pub tensor_tops: f64,
    /// Of which type it is.
    pub tensor_type: &'static str,
    /// Wavefronts of shared memory, one a clock on each multiprocessor that has a block.
    pub shared_s: f64,
    /// The largest of these.
    pub estimate_s: f64,
    /// Which one that is.
    pub bound_by: &'static str,
}

impl Gpu {
    /// The roofline of a kernel that does so many multiply-accumulates of elements of 8 bits, and of 16.
    pub fn roofline(&self, bytes: u64, [narrow, wide]: [u64; 2], wavefronts: u64, blocks: u64) -> Roofline {
        let memory_s = bytes as f64 / (self.memory_gb_s * 1e9);
        let tera = |macs: u64| 2e-12 * macs as f64;
        let tensor_s = tera(narrow) / self.s8_tops + tera(wide) / self.f16_tflops;
        let (tensor_tops, tensor_type) = match (narrow, wide) {
            (_, 0) => (self.s8_tops, "int8"),
            (0, _) => (self.f16_tflops, "f16"),
            _ => (tera(narrow + wide) / tensor_s, "int8 and f16"),
        };
        let busy = blocks.clamp(1, self.multiprocessors.into()) as f64;
        let shared_s = wavefronts as f64 / (busy * f64::from(self.clock_mhz) * 1e6);
        let roofs = [("memory", memory_s), ("tensor cores", tensor_s), ("shared memory", shared_s)];
        let (bound_by, estimate_s) = roofs.into_iter().fold(roofs[0], |a, b| if b.1 > a.1 { b } else { a });
        Roofline { memory_s, tensor_s, tensor_tops, tensor_type, shared_s, estimate_s, bound_by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_refused() {
        for gpu in GPUS {
            assert_eq!(find(gpu.name).unwrap().name, gpu.name);
        }
        assert_eq!(find("h200").unwrap().name, "H200-SXM");
        assert_eq!(find("rtx 4090").unwrap().name, "RTX-4090");
        assert_eq!(find("L4").unwrap().name, "L4", "the whole name of one is no part of another");
        assert!(find("h100").unwrap_err().contains("H100-SXM, H100-PCIe"));
        assert!(find("toaster").unwrap_err().contains("toaster") && find("").is_err());
    }

    /// Peaks follow from the clock and what a multiprocessor does in one: 2048, 4096 and 8192 int8 operations.
    #[test]
    fn peaks_agree_with_clocks() {
        for gpu in GPUS {
            let a_clock = match (gpu.arch, gpu.name) {
                (Arch::Sm90a, _) => 8192.0,
                (Arch::Sm80, name) if name.starts_with("A100") => 4096.0,
                _ => 2048.0,
            };
            let tops = f64::from(gpu.multiprocessors) * f64::from(gpu.clock_mhz) * a_clock / 1e6;
            assert!((tops / gpu.s8_tops - 1.0).abs() < 0.01, "{}: {tops}", gpu.name);
        }
    }

    /// What was measured on an H100 took longer than the estimate says it must.
    #[test]
    fn no_measurement_beats_its_roofline() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/results");
        let files = std::fs::read_dir(folder).expect("the results are in the repository");
        let of = |name: &str| name.starts_with("gemm-s8-nvidia-h100") && name.ends_with(".json");
        let mut rows = 0;
        for file in files.map(|file| file.expect("a file").path()) {
            if !file.file_name().is_some_and(|name| of(&name.to_string_lossy())) {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("text");
            let results: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            for row in results["rows"].as_array().expect("rows") {
                let number = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("no {name}: {row}"));
                let [m, n, k] = ["m", "n", "k"].map(number);
                let roof = find("H100-SXM").unwrap().roofline((m + n) * k + 4 * m * n, [m * n * k, 0], 0, 132);
                let Some(took) = row["halfbyte_s32_us"].as_f64().map(|us| us * 1e-6) else { continue };
                assert!(took >= roof.estimate_s, "{row} beats {roof:?}");
                assert!(took < 10.0 * roof.estimate_s, "{row} is nothing like {roof:?}");
                rows += 1;
            }
        }
        assert!(rows > 0, "no results of an H100 in {folder}");
    }

    #[test]
    fn the_slowest_roof_binds() {
        let gpu = find("A100-SXM-80GB").unwrap();
        let roof = gpu.roofline(2_039_000_000, [0, 0], 0, 1);
        assert!((roof.estimate_s - 1e-3).abs() < 1e-12 && roof.bound_by == "memory");
        let roof = gpu.roofline(0, [312_000_000_000, 0], 0, 1);
        assert!((roof.estimate_s - 1e-3).abs() < 1e-12 && roof.bound_by == "tensor cores");
        // f16 at half the rate.
        let roof = gpu.roofline(0, [0, 156_000_000_000], 0, 1);
        assert!((roof.estimate_s - 1e-3).abs() < 1e-12 && roof.tensor_type == "f16");
        // As many of both: a third of the time for the bytes, and the rate between.
        let roof = gpu.roofline(0, [104_000_000_000; 2], 0, 1);
        assert!((roof.estimate_s - 1e-3).abs() < 1e-12 && (roof.tensor_tops - 416.0).abs() < 1e-9);
        assert_eq!(roof.tensor_type, "int8 and f16");
        // One block keeps one multiprocessor busy, more than there are keep all of them busy.
        let roof = gpu.roofline(0, [0, 0], 1_410_000, 1);
        assert!((roof.estimate_s - 1e-3).abs() < 1e-12 && roof.bound_by == "shared memory");
        assert!((gpu.roofline(0, [0, 0], 1_410_000 * 108, 1000).estimate_s - 1e-3).abs() < 1e-12);
    }
}
