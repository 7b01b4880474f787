//! What products of floats must keep to that small integers do not show: the order in which slices of K are added.

use halfbyte::emulator::{Arch, MachineOptions};

use super::gemm_mma::{Addend, Case, Scale};
use super::mma_entries::{Element, entries, floor, kind, of_every_entry};
use super::{Arg, Bench, mma};

/// The bits of `sign` times 2^`power`.
fn power_of_two(element: Element, power: i32, negative: bool) -> Vec<u8> {
    let of =
        |bias: i32, mantissa: u32, bits: u32| ((power + bias) as u32) << mantissa | u32::from(negative) << (bits - 1);
    match element {
        Element::F16 => (of(15, 10, 16) as u16).to_le_bytes().to_vec(),
        Element::Bf16 => (of(127, 7, 16) as u16).to_le_bytes().to_vec(),
        Element::E4m3 => vec![of(7, 3, 8) as u8],
        Element::E5m2 => vec![of(15, 2, 8) as u8],
        Element::S8 => unreachable!("not a float"),
    }
}

/// Of three slices one sums to S = 2^16 (TILE_K - 1), one to -S and one to 2^-6, which S swallows. Only where the small
/// one comes last of all is anything left of it. Each of six rows has them in another order.
#[test]
fn slices_of_k_are_added_from_the_first_to_the_last() {
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let benches = [Arch::Sm80, Arch::Sm89].map(|arch| (arch, Bench::with(MachineOptions::new(arch))));
    let mut cases = 0;
    for row in entries().filter(|row| kind(row).0[0] != Element::S8) {
        let (_, bench) = benches.iter().find(|(arch, _)| *arch == floor(row)).unwrap();
        let of = |name| row.constant(name).unwrap() as usize;
        let (elements, downs) = kind(row);
        let (tile_k, size) = (of("TILE_K"), elements[0].size());
        let (m, n, k) = (ORDERS.len(), 8, 3 * tile_k);
        // The element of row i at step k; b is the same in all rows.
        let a = |i: usize, k: usize| -> Option<(i32, bool)> {
            match (ORDERS[i][k / tile_k], k % tile_k) {
                (2, 0) => Some((-3, false)),
                (what @ (0 | 1), 1..) => Some((8, what == 1)),
                _ => None,
            }
        };
        let b = |_: usize, k: usize| Some((if k.is_multiple_of(tile_k) { -3 } else { 8 }, false));
        let matrix = |element: Element, down: bool, height: usize, at: &dyn Fn(usize, usize) -> Option<(i32, bool)>| {
            let (rows, cols) = if down { (k, height) } else { (height, k) };
            let ld = (cols * size).next_multiple_of(16);
            let mut bytes = vec![0; rows * ld];
            for i in 0..height {
                for step in 0..k {
                    let (row, col) = if down { (step, i) } else { (i, step) };
                    if let Some((power, negative)) = at(i, step) {
                        bytes[row * ld + col * size..][..size].copy_from_slice(&power_of_two(element, power, negative));
                    }
                }
            }
            (bytes, ld)
        };
        let (bytes_a, lda) = matrix(elements[0], downs[0], m, &a);
        let (bytes_b, ldb) = matrix(elements[1], downs[1], n, &b);
        let (at_a, at_b) = (bench.upload("a", &bytes_a), bench.upload("b", &bytes_b));
        let at_d = bench.untouched("d", m * n * 4);
        let partials = bench.fresh("partials", 3 * of("TILE_M") * of("TILE_N") * 4);
        let tickets = bench.upload("tickets", &[0; 4]);
        let word = |x: usize| Arg::Word(x as u32);
        let args = mma(vec![
            ("a", Arg::Long(at_a)),
            ("b", Arg::Long(at_b)),
            ("d", Arg::Long(at_d)),
            ("partials", Arg::Long(partials)),
            ("tickets", Arg::Long(tickets)),
            ("lda", Arg::Long(lda as u64)),
            ("ldb", Arg::Long(ldb as u64)),
            ("ldd", Arg::Long(n as u64)),
            ("m", word(m)),
            ("n", word(n)),
            ("k", word(k * size)),
            ("split_k", word(3)),
            ("k_slice", word(tile_k * size)),
        ]);
        bench.launch(row.entry, 3, row.shared_bytes, false, &args);
        let got = bench.download(at_d, m * n * 4);
        for (at, bytes) in got.chunks(4).enumerate() {
            let is = f32::from_le_bytes(bytes.try_into().unwrap());
            let should = if ORDERS[at / n][2] == 2 { 2f32.powi(-6) } else { 0.0 };
            assert!(is == should, "{}: slices {:?}: {is}, not {should}", row.symbol, ORDERS[at / n]);
        }
        bench.free(&[at_a, at_b, at_d, partials, tickets]);
        cases += 1;
    }
    assert!(cases == 42 || of_every_entry(1) < 48);
}

/// c lies where it likes: rows further apart than d's, and aligned worse than d, in its base or in its stride.
#[test]
fn what_is_added_has_a_place_of_its_own() {
    let benches = [Arch::Sm80, Arch::Sm89].map(|arch| (arch, Bench::with(MachineOptions::new(arch))));
    let mut cases = 0;
    for row in entries() {
        let (_, bench) = benches.iter().find(|(arch, _)| *arch == floor(row)).unwrap();
        for (at, addend_at) in [[0, 4], [1, 4], [4, 1], [3, 3]].into_iter().enumerate() {
            let out = at % 3;
            let case = Case { addend: Addend::Other, addend_at, out, batch: 2, ..Case::new(row.entry, (21, 72, 40)) };
            Case { scales: [Scale::Each; 2], alpha: 0.75, ..case }.check(bench, false);
            cases += 1;
        }
    }
    assert_eq!(cases, of_every_entry(4));
}
