//! What nvcc writes: the programs of `tests/data/ptx`, whose `.cu` files stand beside their PTX, against the host.

use super::harness::options;
use bytemuck::{Pod, Zeroable};
use halfbyte::emulator::{Arch, Counters, Fault, FaultKind, LaunchConfig, Machine, MachineOptions, Module};
use std::fmt::Debug;

/// A program on a machine.
pub struct Program {
    pub machine: Machine,
    pub module: Module,
}

/// The bytes of a parameter block, each parameter aligned to its size.
#[derive(Default)]
pub struct Params(Vec<u8>);

impl Params {
    pub fn and<T: Pod>(mut self, value: T) -> Params {
        self.0.resize(self.0.len().next_multiple_of(align_of::<T>()), 0);
        self.0.extend_from_slice(bytemuck::bytes_of(&value));
        self
    }

    /// Pointers, mostly.
    pub fn all(values: &[u64]) -> Params {
        values.iter().fold(Params::default(), |params, value| params.and(*value))
    }
}

impl Program {
    pub fn load(name: &str) -> Program {
        let path = format!("{}/tests/data/ptx/{name}.ptx", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let module = Module::parse(&text).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        // Checked, but for the long ones: nothing is wrong with these programs.
        let options = MachineOptions { checked: name != "math", ..options(Arch::Sm90a, 2, None) };
        Program { machine: Machine::with(options), module }
    }

    pub fn put<T: Pod>(&self, values: &[T]) -> u64 {
        let at = self.machine.alloc(size_of_val(values), "values").unwrap();
        self.machine.write(at, bytemuck::cast_slice(values)).unwrap();
        at
    }

    pub fn get<T: Pod>(&self, at: u64, count: usize) -> Vec<T> {
        let mut values = vec![T::zeroed(); count];
        self.machine.read(at, bytemuck::cast_slice_mut(&mut values)).unwrap();
        values
    }

    pub fn try_run(&self, entry: &str, config: LaunchConfig, params: Params) -> Result<Counters, Fault> {
        self.machine.launch(&self.module, entry, &config, &params.0)
    }

    pub fn run(&self, entry: &str, config: LaunchConfig, params: Params) {
        let counters = self.try_run(entry, config, params).unwrap_or_else(|fault| panic!("{entry}: {fault}"));
        let reports: Vec<String> = counters.reports.iter().map(|report| report.to_string()).collect();
        assert!(reports.is_empty(), "{entry}: {}", reports.join("\n"));
    }
}

/// Compares every element with a function of its index.
fn each<T: Copy + PartialEq + Debug>(what: &str, got: &[T], want: impl Fn(usize) -> T) {
    for (i, got) in got.iter().enumerate() {
        assert_eq!(*got, want(i), "{what}, element {i}");
    }
}

fn numbers(count: usize, seed: u32, below: u32) -> Vec<i32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        ((state >> 8) % below) as i32
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn functions_take_structures_and_templates() {
    let p = Program::load("functions");
    let (out, sums) = (p.put(&[0i32; 40]), p.put(&[0f64; 40]));
    p.run("structures", LaunchConfig::linear(1, 40), Params::all(&[out, sums]));
    each("structures", &p.get::<i32>(out, 40), |t| {
        let t = t as i32;
        t * (t % 5) + 1000 * (t + 7) + 100_000 + (t & 1) * 10_000_000
    });
    each("sums", &p.get::<f64>(sums, 40), |t| 3.0 + (t % 5) as f64);

    let (f, d, u, s) = (p.put(&[0f32; 40]), p.put(&[0f64; 40]), p.put(&[0u32; 40]), p.put(&[0i32; 40]));
    p.run("templates", LaunchConfig::linear(1, 40), Params::all(&[f, d, u, s]));
    each("float", &p.get::<f32>(f, 40), |t| 1.5f32.powi((t % 7) as i32));
    each("double", &p.get::<f64>(d, 40), |t| 0.25f64.powi((t % 9) as i32));
    each("unsigned", &p.get::<u32>(u, 40), |t| 3u32.wrapping_pow(t as u32));
    each("short", &p.get::<i32>(s, 40), |t| {
        let (x, y) = ((t as i32 * 1000) as i16, (t * 50) as u8);
        i32::from((i32::from(x) * i32::from(y)) as i16)
    });
}

#[test]
fn functions_call_themselves() {
    let p = Program::load("functions");
    let (n, sorted) = (p.put(&[0u64; 64]), p.put(&[0i32; 64 * 16]));
    p.run("recursion", LaunchConfig::linear(1, 64), Params::all(&[n, sorted]));
    let fibonacci = [0u64, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144];
    each("fibonacci", &p.get::<u64>(n, 64), |t| fibonacci[t % 13]);
    for (t, got) in p.get::<i32>(sorted, 64 * 16).chunks_exact(16).enumerate() {
        let mut state = t as u32 + 1;
        let mut want: Vec<i32> = (0..16)
            .map(|_| {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                (state >> 24) as i32
            })
            .collect();
        want.sort_unstable();
        assert_eq!(got, want, "thread {t}");
    }
}

#[test]
fn functions_are_called_by_address() {
    let p = Program::load("functions");
    let out = p.put(&[0i32; 64]);
    p.run("pointers", LaunchConfig::linear(1, 64), Params::all(&[out]));
    each("pointers", &p.get::<i32>(out, 64), |t| {
        let t = t as i32;
        let area = if t & 1 == 1 { 7 * t * t } else { 8 };
        area + 1_000_000 * [t + 1, 2 * t, -t][t as usize % 3]
    });
}

#[test]
fn functions_switch() {
    let p = Program::load("functions");
    let out = p.put(&[-77i32; 64]);
    p.run("branches", LaunchConfig::linear(1, 64), Params::all(&[out]));
    each("branches", &p.get::<i32>(out, 64), |t| {
        let t = t as i32;
        let x = 100 * t;
        match t {
            0 => x + 5,
            1 => x * 3,
            2 => x - 14,
            3 => 9 ^ 77,
            4 => x ^ 77,
            5 => x << 3,
            6 => !x,
            7 => x % 13,
            9 => -77,
            _ => -1,
        }
    });
}

/// The program of `machine`, whose lanes take different ways through its sixteen instructions.
#[test]
fn functions_interpret() {
    let program: Vec<u8> = numbers(300, 9, 16).into_iter().map(|x| x as u8).collect();
    let p = Program::load("functions");
    let (code, out) = (p.put(&program), p.put(&[0i32; 64]));
    p.run("machine", LaunchConfig::linear(1, 64), Params::default().and(code).and(300i32).and(out));
    each("machine", &p.get::<i32>(out, 64), |t| {
        let (mut a, mut b, mut result, mut i) = (t as i32, 1i32, 0i32, 0);
        while i < 300 {
            match (program[i] as usize + (t & 1)) & 15 {
                0 => a = a.wrapping_add(b),
                1 => a = a.wrapping_sub(b),
                2 => a = a.wrapping_mul(3),
                3 => a ^= b,
                4 => b = b.wrapping_add(7),
                5 => b = a,
                6 => a = b,
                7 => a <<= 1,
                8 => a >>= 2,
                9 => b = !b,
                10 => a %= 1000,
                11 => b = b.wrapping_mul(b),
                12 => a = a.min(b),
                13 => b = a.max(b),
                14 => i += (a & 1) as usize,
                _ => result ^= a,
            }
            i += 1;
        }
        result.wrapping_add(a.wrapping_add(b.wrapping_mul(31)))
    });
}

#[test]
fn kernels_print() {
    let p = Program::load("print");
    let x = p.put(&[1.0f32, -2.5, 0.125, -1000.0625, 0.0, 0.0]);
    p.run("print", LaunchConfig::linear(2, 3), Params::all(&[x]).and(4i32));
    let lines = [
        "x[0] =    1.000 (not below) a 40000000     0%",
        "x[1] =   -2.500 (below) b 80000000    10%",
        "x[2] =    0.125 (not below) c 100000000    20%",
        "x[3] = -1000.062 (below) d 200000000    30%",
        "3.333333e-01 1e-07 4     | +4 0100 0x1234      2.50",
        "done",
    ];
    assert_eq!(p.machine.take_output().lines().collect::<Vec<_>>(), lines);
}

#[test]
fn assertions_and_traps_stop_a_kernel() {
    let p = Program::load("print");
    let x = p.put(&[1.0f32, 2.0, -3.0, 4.0]);
    p.run("checked", LaunchConfig::linear(1, 2), Params::all(&[x]));
    let fault = p.try_run("checked", LaunchConfig::linear(1, 4), Params::all(&[x])).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Assert);
    let text = fault.to_string();
    for part in
        ["print.cu:13: ", "check", "thread: [2,0,0]", "x[t] >= 0 && \"numbers are not negative\"", "kernel `checked`"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    // The function, and who called it.
    assert!(text.contains("function `_Z5checkPKfi`") && text.contains("called at print.cu:15"), "{text}");
    let fault = p.try_run("stopped", LaunchConfig::linear(1, 64), Params::default().and(40i32)).unwrap_err();
    assert_eq!((fault.kind, fault.site.map(|site| (site.warp, site.lanes))), (FaultKind::Trap, Some((1, 1 << 8))));
}

#[test]
fn variables_of_every_kind() {
    let p = Program::load("variables");
    let read = |p: &Program| {
        let (f, i, d) = (p.put(&[0f32; 40]), p.put(&[0i32; 40]), p.put(&[0f64; 40]));
        p.run("read", LaunchConfig::linear(1, 40), Params::all(&[f, i, d]));
        (p.get::<f32>(f, 40), p.get::<i32>(i, 40), p.get::<u64>(d, 40))
    };
    let (f, i, d) = read(&p);
    each("constant", &f, |t| [0.5, -1.0, 2.0, 0.0][t & 3]);
    let offsets = [[1, 2], [3, 0], [5, 6]];
    each("offsets", &i, |t| offsets[t % 3][t & 1] + 100 * [1, 2, 3, 250, 0, 0, 0][t % 7]);
    each("doubles", &d, |t| [1.0, 1.0 / 3.0, 1e300, -0.0, 0.0f64][t % 5].to_bits());

    let out = p.put(&[0i32; 32]);
    p.run("follow", LaunchConfig::linear(1, 32), Params::all(&[out]));
    each("follow", &p.get::<i32>(out, 32), |t| {
        let letter = [b"zero", b"one\0"][t & 1][t % 4];
        [11, 21, 31][t % 3] + 1000 * i32::from(letter) + 1_000_000 + 60_000_000
    });

    // The host reads and writes them by name, as it does with cudaMemcpyToSymbol.
    let (counter, bytes) = p.machine.symbol(&p.module, "counter").unwrap();
    assert_eq!((p.get::<u32>(counter, 1), bytes), (vec![40], 4));
    p.machine.write(counter, &60u32.to_le_bytes()).unwrap();
    let out = p.put(&[0u32; 3]);
    p.run("count", LaunchConfig::linear(1, 32), Params::all(&[out]));
    assert_eq!((p.get::<u32>(out, 3), p.get::<u32>(counter, 1)), (vec![62, 100, 101], vec![62]));
    let (weights, bytes) = p.machine.symbol(&p.module, "weights").unwrap();
    assert_eq!(bytes, 16);
    p.machine.write(weights + 4, &9.5f32.to_le_bytes()).unwrap();
    each("constant", &read(&p).0, |t| [0.5, 9.5, 2.0, 0.0][t & 3]);
    let missing = p.machine.symbol(&p.module, "weight").unwrap_err();
    assert!(missing.kind == FaultKind::Launch && missing.to_string().contains("\"weights\""), "{missing}");
}

#[test]
fn arrays_in_local_and_shared_memory() {
    let p = Program::load("variables");
    let n = 3001;
    let input: Vec<u8> = numbers(n, 5, 256).into_iter().map(|x| x as u8).collect();
    let mut want = [0u32; 8];
    input.iter().for_each(|x| want[usize::from(x & 7)] += u32::from(x >> 3));
    let (x, out) = (p.put(&input), p.put(&[0u32; 8]));
    let config = LaunchConfig { shared_bytes: 8 * 96 * 4, ..LaunchConfig::linear(1, 96) };
    p.run("arrays", config, Params::all(&[x]).and(n as i32).and(out));
    assert_eq!(p.get::<u32>(out, 8), want);
    // Less dynamic shared memory than it uses.
    let config = LaunchConfig { shared_bytes: 8 * 95 * 4, ..config };
    let fault = p.try_run("arrays", config, Params::all(&[x]).and(n as i32).and(out)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::OutOfBounds);
}

#[test]
fn warps_shuffle_and_vote() {
    let p = Program::load("warps");
    let x = numbers(96, 3, 12);
    let [sum, prefix, same, votes] = std::array::from_fn(|_| p.put(&[0i32; 96]));
    p.run("shuffles", LaunchConfig::linear(1, 96), Params::all(&[p.put(&x), sum, prefix, same, votes]));
    let warp = |t: usize| &x[t / 32 * 32..][..32];
    let mask = |t: usize, f: &dyn Fn(i32) -> bool| (0..32).fold(0u32, |m, i| m | u32::from(f(warp(t)[i])) << i);
    each("sum", &p.get::<i32>(sum, 96), |t| warp(t).iter().sum());
    each("prefix", &p.get::<i32>(prefix, 96), |t| warp(t)[..=t % 32].iter().sum());
    each("same", &p.get::<u32>(same, 96), |t| mask(t, &|y| y == x[t]));
    each("votes", &p.get::<u32>(votes, 96), |t| {
        let votes = mask(t, &|y| y & 1 == 1) ^ u32::from(warp(t).contains(&7)) ^ 2 ^ 4;
        let lane = t as u32 % 32;
        votes + (lane / 8 * 8 + 3) + if lane % 8 < 6 { lane + 2 } else { lane }
    });

    let (out, places) = (p.put(&[0i32; 96]), p.put(&[0u32; 96]));
    p.run("groups", LaunchConfig::linear(1, 96), Params::all(&[p.put(&x), out, places]));
    each("groups", &p.get::<i32>(out, 96), |t| x[t / 8 * 8..][..8].iter().sum());
    each("places", &p.get::<u32>(places, 96), |t| {
        let odd = mask(t, &|y| y & 1 == 1);
        let rank = (odd & ((1 << (t % 32)) - 1)).count_ones();
        if x[t] & 1 == 1 { rank + 100 * odd.count_ones() } else { 0 }
    });

    p.run("reductions", LaunchConfig::linear(1, 96), Params::all(&[p.put(&x), out]));
    each("reductions", &p.get::<i32>(out, 96), |t| {
        let w = warp(t);
        let fold = |f: fn(i32, i32) -> i32| w.iter().copied().reduce(f).unwrap();
        w.iter().sum::<i32>()
            ^ fold(i32::max) << 8
            ^ fold(i32::min) << 16
            ^ fold(|a, b| a ^ b) << 4
            ^ fold(|a, b| a & b)
            ^ fold(|a, b| a | b) << 2
    });
}

/// `Cells` of `warps.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
struct Cells {
    unsigned: [u32; 10],
    signed: [i32; 2],
    wide: [u64; 3],
    sum: f32,
    padding: u32,
    sum64: f64,
    halves: [u16; 2],
    pairs: [u16; 2],
    half: u16,
    word: u16,
    rest: u32,
}

#[test]
fn atomics_of_every_type() {
    let p = Program::load("warps");
    let n = 256u32;
    let mut cells = Cells::zeroed();
    cells.signed[1] = i32::MIN;
    cells.unsigned[3] = u32::MAX;
    cells.unsigned[5] = u32::MAX;
    cells.wide[1] = u64::MAX;
    let (at, order) = (p.put(&[cells]), p.put(&vec![0u32; n as usize + 1]));
    p.run("atomics", LaunchConfig::linear(4, 64), Params::all(&[at, order]));
    let got = p.get::<Cells>(at, 1)[0];
    let sum = n * (n - 1) / 2;
    let flip = (0..n).fold(0, |x, t| x ^ t.wrapping_mul(2654435761));
    let swapped = got.unsigned[8];
    let want = Cells {
        unsigned: [sum + 2 * n, n % 10, (10 - n % 10) % 10, 5, n - 1, 0xFFFF_0000, u32::MAX, flip, swapped, 2 * n],
        signed: [-(n as i32 - 1), n as i32 - 1 - 1000],
        wide: [(u64::from(n) << 33) + u64::from(sum), u64::MAX - u64::from(n - 1), u64::from(n - 1) << 40],
        sum: 0.25 * sum as f32,
        padding: 0,
        sum64: f64::from(sum) / 1024.0,
        // 256 and 128 as halves; 256 and -256 as bfloat16; 32 as a half.
        halves: [0x5C00, 0x5800],
        pairs: [0x4380, 0xC380],
        half: 0x5000,
        word: (3 * n) as u16,
        rest: 0,
    };
    assert_eq!(got, want);
    each("exchanged", &p.get::<u32>(order, n as usize + 1), |v| u32::from(v as u32 != swapped));
}

#[test]
fn lanes_of_a_warp_take_a_lock_by_turns() {
    let p = Program::load("warps");
    let (mutex, count) = (p.put(&[0i32]), p.put(&[0i32]));
    p.run("lock", LaunchConfig::linear(3, 64), Params::all(&[mutex, count]));
    assert_eq!((p.get::<i32>(mutex, 1), p.get::<i32>(count, 1)), (vec![0], vec![192]));
}
