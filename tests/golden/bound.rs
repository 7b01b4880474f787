//! What an instruction loses of a sum, on the GPUs that were asked, against what the references allow it.

use halfbyte::emulator::{Arch, AsyncOrder, Simd};
use halfbyte::format::DType;
use halfbyte::kernels::instructions;
use halfbyte::reference::{Accumulation, F64, FloatProblem, Oracle, Terms};

use super::expected::product::{CASES, c_place, element, factor, k_major};
use super::{golden, outputs};

/// The factors of one sum, its addend, and the word of the output that holds it.
struct Sum {
    factors: Vec<(f64, f64)>,
    addend: f64,
    word: usize,
}

/// Every sum of `mma` number `result` of a probe.
fn mma(result: usize, depth: usize, [a, b]: [&str; 2], input: &[u32]) -> Vec<Sum> {
    let (a_type, b_type, blocks) = (factor(a), factor(b), input.len() / 320);
    let mut sums = Vec::new();
    for (block, r) in input.chunks_exact(320).enumerate() {
        for (i, lane) in (0..128).map(|i| (i / 32, i % 32)) {
            let (m, n) = c_place(lane, i);
            // Registers h = 0, 2 of lanes 4g..4g+4 for row g, 1, 3 for row g + 8; registers 4, 5 for column g.
            let row: Vec<u32> = (0..8).map(|t| r[32 * (2 * (t / 4) + m / 8) + 4 * (m % 8) + t % 4]).collect();
            let column: Vec<u32> = (0..8).map(|t| r[32 * (4 + t / 4) + 4 * n + t % 4]).collect();
            sums.push(Sum {
                factors: (0..depth).map(|k| (element(&row, k, a_type), element(&column, k, b_type))).collect(),
                addend: f32::from_bits(r[32 * (6 + i) + lane]).into(),
                word: 128 * (result * blocks + block) + 32 * i + lane,
            });
        }
    }
    sums
}

/// Every sum of `wgmma` number `result` of a probe, both factors in shared memory.
fn wgmma(result: usize, [a, b]: [&str; 2], input: &[u32]) -> Vec<Sum> {
    let (a_type, b_type) = (factor(a), factor(b));
    let (cases, image) = input.split_at(16 * CASES);
    let mut sums = Vec::new();
    for (case, numbers) in cases.chunks_exact(16).enumerate() {
        let line = |at: usize, row: usize| -> Vec<u32> {
            (0..8).map(|word| image[k_major(&numbers[at..at + 2], row, 4 * word) / 4]).collect()
        };
        for (register, thread) in (0..512).map(|i| (i / 128, i % 128)) {
            let (row, n) = c_place(thread % 32, register);
            let (row, column) = (line(0, 16 * (thread / 32) + row), line(2, n));
            let addend = if numbers[4] == 0 { 0 } else { numbers[8 + register] };
            sums.push(Sum {
                factors: (0..32 / a_type.0).map(|k| (element(&row, k, a_type), element(&column, k, b_type))).collect(),
                addend: f32::from_bits(addend).into(),
                word: 512 * (result * CASES + case) + 128 * register + thread,
            });
        }
    }
    sums
}

/// A type of factors, and its least normal number.
fn dtype(name: &str) -> Option<(DType, f64)> {
    Some(match name {
        "f16" => (DType::F16, 2f64.powi(-14)),
        "bf16" => (DType::Bf16, 2f64.powi(-126)),
        "e4m3" => (DType::E4m3, 2f64.powi(-6)),
        "e5m2" => (DType::E5m2, 2f64.powi(-14)),
        _ => return None,
    })
}

/// What one instruction may lose of sums of size 1.
fn step(how: Accumulation) -> f64 {
    let problem = FloatProblem::new((1, 1, 1), &[1.0], &[1.0], how, DType::F32).unwrap();
    F64.gemm(&problem.terms(Terms::Any)).unwrap().tolerance(0).unwrap()
}

/// The worst (error ÷ what may be lost) of sums whose terms are numbers, and how many there were.
fn worst(sums: &[Sum], words: &[u32], step: f64, least: f64) -> (f64, usize) {
    let (mut worst, mut count) = (0f64, 0);
    let size = |x: f64| if x == 0.0 { 0.0 } else { x.abs().max(least) };
    for Sum { factors, addend, word } in sums {
        let truth = addend + factors.iter().map(|(a, b)| a * b).sum::<f64>();
        let sizes = addend.abs() + factors.iter().map(|&(a, b)| size(a) * size(b)).sum::<f64>();
        // Neither NaN nor near the end of the range.
        if !truth.is_nan() && sizes < 2f64.powi(126) {
            let error = (f64::from(f32::from_bits(words[*word])) - truth).abs();
            // Below the normal range, up to the least f32 is lost.
            let ratio = error / (step * sizes + 2f64.powi(-149));
            assert!(!ratio.is_nan(), "word {word} is not {truth:e}");
            worst = worst.max(ratio);
            count += 1;
        }
    }
    (worst, count)
}

/// Sums of random numbers, and those made to show what is lost: a large term and small ones.
#[test]
fn no_gpu_loses_more_than_the_references_allow() {
    let probes = outputs(Arch::Sm90a, Simd::best(), AsyncOrder::Late);
    let mut seen = 0;
    for (gpu, file) in golden() {
        let Some((kind, _)) = file.name.split_once("mma_") else { continue };
        if file.name.ends_with("_trans") || file.name.ends_with("_wide") {
            continue;
        }
        let probe = probes.iter().find(|probe| probe.name == file.name).unwrap();
        let products: Vec<String> = instructions(probe.entry)
            .into_iter()
            .filter(|op| op.contains("mma.sync") || op.contains("mma_async"))
            .collect();
        for (result, opcode) in products.iter().enumerate() {
            let parts: Vec<&str> = opcode.split('.').collect();
            let at = if kind == "wg" { 5 } else { 6 };
            let (d, a, b) = (parts[at], parts[at + 1], parts[at + 2]);
            let (Some((a_type, a_least)), Some((b_type, b_least))) = (dtype(a), dtype(b)) else { continue };
            // Of equal opcodes of `wgmma`, all but the first have factors in registers or negated.
            if d != "f32" || (kind == "wg" && products[..result].contains(opcode)) {
                continue;
            }
            let (how, sums) = if kind == "wg" {
                (Accumulation::wgmma(a_type, b_type), wgmma(result, [a, b], &probe.input))
            } else {
                let depth = parts[3].rsplit('k').next().unwrap().parse().unwrap();
                (Accumulation::mma(a_type, b_type), mma(result, depth, [a, b], &probe.input))
            };
            let (worst, count) = worst(&sums, &file.words, step(how.unwrap()), a_least.max(b_least));
            println!("{gpu}: {opcode}: {count} sums, at most {worst:.3} of what may be lost");
            assert!(worst <= 1.0 && worst > 0.05, "{gpu}: {opcode}: {worst} of what may be lost");
            assert!(count > sums.len() / 2, "{count} of {}", sums.len());
            seen += 1;
        }
    }
    assert!(seen >= 14, "{seen} instructions");
}
