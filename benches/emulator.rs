//! Speed of the emulator: the int8 product at 1024³ with f16 output, unchecked for races, on one core and on two, for
//! each kind of vector instructions, beside candle's f32 product of the same shape on the CPU.
//!
//! `cargo bench --bench emulator` first takes the ratio: every configuration and candle by turns, medians, all in one
//! run; with `HALFBYTE_BENCH_JSON=FILE` it is written there too. Then criterion times each configuration by itself.

use std::fmt::Write;
use std::time::{Duration, Instant};

use candle_core::Tensor;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use half::f16;
use halfbyte::device::{Buffer, Device, Stream};
use halfbyte::emulator::{Arch, Machine, MachineOptions, Simd};
use halfbyte::op::{GemmS8, GemmS8Args, OutputElement};
use halfbyte::plan::gemm_s8::{GemmS8Plan, GemmS8Problem};
use halfbyte::reference::sample::Sample;

const SIZE: usize = 1024;
const MACS: f64 = (SIZE * SIZE * SIZE) as f64;

/// The product on one emulated device.
struct Product {
    name: String,
    threads: usize,
    op: GemmS8,
    plan: GemmS8Plan,
    stream: Stream,
    codes: [Buffer<i8>; 2],
    scales: [Buffer<f32>; 2],
    out: Buffer<f16>,
}

impl Product {
    fn new(simd: Simd, threads: usize) -> Product {
        let options = MachineOptions { threads: Some(threads), simd: Some(simd), ..MachineOptions::new(Arch::Sm80) };
        let device = Device::emulator_with(Machine::with(options));
        let stream = device.stream().unwrap();
        let mut sample = Sample::new("benchmark");
        let op = GemmS8::new(&device).unwrap();
        let plan = op.plan(&GemmS8Problem { m: SIZE, n: SIZE, k: SIZE, out: f16::OUTPUT }).unwrap();
        assert_eq!(plan.scratch_bytes(), 0, "{plan}");
        Product {
            name: format!("{simd}, {threads} thread{}", if threads == 1 { "" } else { "s" }),
            threads,
            op,
            plan,
            codes: [0; 2].map(|_| stream.upload(&sample.codes(SIZE * SIZE, -127, 127)).unwrap()),
            scales: [0; 2].map(|_| stream.upload(&sample.scales(SIZE)).unwrap()),
            out: stream.zeros(SIZE * SIZE).unwrap(),
            stream,
        }
    }

    /// Every kind of vector instructions that this computer has, on one thread and on two.
    fn all() -> Vec<Product> {
        let kinds = [Simd::Avx512, Simd::Avx2, Simd::Portable].into_iter().filter(|&simd| simd <= Simd::best());
        kinds.flat_map(|simd| [1, 2].map(|threads| Product::new(simd, threads))).collect()
    }

    fn run(&mut self) {
        let args = GemmS8Args {
            a: self.codes[0].view().matrix(SIZE, SIZE, SIZE).unwrap(),
            b: self.codes[1].view().matrix(SIZE, SIZE, SIZE).unwrap(),
            scale_row: Some(self.scales[0].view()),
            scale_col: Some(self.scales[1].view()),
            bias: None,
            d: self.out.view_mut().matrix(SIZE, SIZE, SIZE).unwrap(),
            scratch: None,
        };
        self.op.run(&self.plan, &self.stream, args).unwrap();
    }
}

/// How long some work took.
#[derive(Clone, Copy)]
struct Took {
    /// By the clock.
    wall: Duration,
    /// On a processor, of the thread that called it: of a busy machine's time, what this work got.
    busy: Option<Duration>,
}

fn time(work: impl FnOnce()) -> Took {
    let (start, busy) = (Instant::now(), busy());
    work();
    Took { wall: start.elapsed(), busy: self::busy().zip(busy).map(|(end, start)| end.saturating_sub(start)) }
}

/// Time that this thread has spent on a processor, where the system tells it.
fn busy() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn median(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}

/// Takes turns, prints the medians and their ratios, and returns them as JSON.
fn by_turns(rounds: usize) -> String {
    let mut products = Product::all();
    let candle = |seed: &str| {
        let data: Vec<f32> = Sample::new(seed).matrix(SIZE, SIZE);
        Tensor::from_vec(data, (SIZE, SIZE), &candle_core::Device::Cpu).unwrap()
    };
    let (x, w) = (candle("x"), candle("w"));
    let mut times = vec![Vec::new(); products.len() + 1];
    for round in 0..=rounds {
        for (list, product) in times.iter_mut().zip(&mut products) {
            list.push(time(|| product.run()));
        }
        times[products.len()].push(time(|| drop(std::hint::black_box(x.matmul(&w).unwrap()))));
        if round == 0 {
            times.iter_mut().for_each(Vec::clear); // the first round warms up
        }
    }
    let wall = |list: &[Took]| median(list.iter().map(|took| took.wall));
    let candle = wall(&times[products.len()]);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows = String::new();
    println!("1024 x 1024 x 1024, medians of {rounds}; candle f32 on {cores} cores: {:.1} ms", candle * 1e3);
    for (list, product) in times.iter().zip(&products) {
        let seconds = wall(list);
        let rate = MACS / seconds / 1e9;
        let per_core = rate / product.threads as f64;
        // With one thread, all the work is the caller's.
        let busy = match product.threads {
            1 => Some(MACS / median(list.iter().filter_map(|took| took.busy)) / 1e9).filter(|rate| rate.is_finite()),
            _ => None,
        };
        let busy = |none: &str| busy.map_or(none.into(), |rate| format!("{rate:.2}"));
        println!(
            "{:>20}: {:7.1} ms, {rate:6.2} G multiply-accumulates/s, {per_core:6.2} a core, {:>5} a second on the \
             processor, {:5.2} times candle's time",
            product.name,
            seconds * 1e3,
            busy("-"),
            seconds / candle
        );
        let comma = if rows.is_empty() { "" } else { ",\n    " };
        write!(
            rows,
            "{comma}{{\"configuration\": \"{}\", \"ms\": {:.2}, \"gmacs_per_s\": {rate:.2}, \
             \"gmacs_per_s_core\": {per_core:.2}, \"gmacs_per_processor_s\": {}, \"time_over_candle\": {:.3}}}",
            product.name,
            seconds * 1e3,
            busy("null"),
            seconds / candle
        )
        .unwrap();
    }
    format!(
        "{{\n  \"what\": \"emulator sm_80, {}\",\n  \"cpu\": \"{}\",\n  \"cores\": {cores},\n  \"rounds\": {rounds},\n  \
         \"candle_f32_ms\": {:.2},\n  \"rows\": [\n    {rows}\n  ]\n}}\n",
        products[0].plan,
        cpu(),
        candle * 1e3
    )
}

/// The processor's name, where the system tells it.
fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1).map(str::trim));
    format!("{} ({})", name.unwrap_or("unknown"), Simd::best())
}

fn each(c: &mut Criterion) {
    let mut group = c.benchmark_group("emulator");
    group.sample_size(10).throughput(Throughput::Elements(MACS as u64));
    for mut product in Product::all() {
        group.bench_function(BenchmarkId::new("gemm_s8_mma 1024^3 f16", &product.name), |b| b.iter(|| product.run()));
    }
    group.finish();
}

criterion_group!(benches, each);

fn main() {
    // `cargo test` runs every benchmark once, to see that it works.
    if std::env::args().any(|argument| argument == "--bench") {
        let json = by_turns(9);
        if let Some(path) = std::env::var_os("HALFBYTE_BENCH_JSON") {
            std::fs::write(path, json).unwrap();
        }
    } else {
        by_turns(1);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
