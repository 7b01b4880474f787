//! Kernels of attention in bf16 ask of memory and of the tensor cores what those of f16 do: the budgets of one hold
//! both.

use halfbyte::emulator::{Arch, Count, Counters};
use halfbyte::manifest::ROWS;

use super::prefill_case::Prefill;
use super::sequences::Case;
use super::{Bench, attention, attention_quantize, prefill_int8};

/// All but instructions that calculate, of which a conversion takes one more or less.
fn asked(counters: &Counters) -> (Count, u64, u64) {
    let total = Count { executions: 0, lanes: 0, diverged: 0, splits: 0, ..counters.total() };
    (total, counters.barriers, counters.blocks)
}

fn alike(what: &str, [f16, bf16]: [Counters; 2]) {
    assert_eq!(asked(&f16), asked(&bf16), "{what}");
    let [a, b] = [f16, bf16].map(|counters| counters.total().executions as f64);
    assert!(a / b > 0.8 && b / a > 0.8, "{what}: {a} instructions and {b}");
}

#[test]
fn attention_of_bf16_costs_what_that_of_f16_does() {
    let bench = Bench::new(Arch::Sm80);
    let mut compared = 0;
    for row in attention::entries().filter(|row| row.symbol.contains("_f16_")) {
        let twin = row.symbol.replace("_f16_", "_bf16_");
        let twin = ROWS.iter().find(|row| row.symbol == twin).unwrap_or_else(|| panic!("no {twin}")).entry;
        // Masks, bias of its own type and packed sequences.
        for at in [2, 8, 12] {
            let of = |entry| attention::launch::check(&bench, attention::features(entry)[at], true);
            alike(row.symbol, [of(row.entry), of(twin)]);
            compared += 1;
        }
    }
    assert_eq!(compared, 3 * attention::entries().filter(|row| row.symbol.contains("_f16_")).count());
}

#[test]
fn quantizers_and_bytes_of_bf16_cost_what_those_of_f16_do() {
    let bench = Bench::new(Arch::Sm89);
    const TOKENS: &[[usize; 2]] = &[[37, 130], [37, 75]];
    for width in prefill_int8::WIDTHS {
        let of = |bf16: bool| {
            let case = Case { bf16, packed: true, ..Case::new(TOKENS, (4, 2), width) };
            prefill_int8::random(&bench, &Prefill { sinks: true, out_bf16: bf16, ..Prefill::new(case).causal() }, true)
        };
        alike(&format!("prefill_int8 {width}"), [false, true].map(of));
    }
    for (dim, slices) in [(64, 1), (72, 3), (256, 2)] {
        let case = |bf16: bool| Case { bf16, slices, lens: true, ..Case::new(TOKENS, (4, 2), dim) };
        let number = |b: usize, j: usize, h: usize, c: usize| (b + 3 * j + 5 * h + 7 * c) as f32 % 11.0 - 5.0;
        let [f16, bf16] = [false, true].map(|bf16| {
            let scales = vec![0.25; TOKENS.len() * 2 * dim];
            let mut all = attention_quantize::integers(&bench, &case(bf16), true);
            all.push(attention_quantize::heads(&bench, &case(bf16), true, &number, &number, true));
            all.push(attention_quantize::values(&bench, &case(bf16), &scales, &number, true));
            all
        });
        assert!(f16.len() == bf16.len() && f16.len() >= 3, "{} launches", f16.len());
        for (f16, bf16) in f16.into_iter().zip(bf16) {
            alike(&format!("quantizers of {dim}"), [f16, bf16]);
        }
    }
}
