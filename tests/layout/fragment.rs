//! What registers mean: against the formulas of the PTX ISA, and proved to be bijections.

use std::collections::BTreeSet;

use halfbyte::layout::fragment::{
    Fragment, Holder, LDMATRIX, MMA_M16N8_D, MMA_M16N8K16_A, MMA_M16N8K16_B, MMA_M16N8K32_A, MMA_M16N8K32_B,
    WGMMA_M64K32_A, ldmatrix_a, ldmatrix_b, wgmma_d,
};

/// A fragment, its size, and the ISA's own formula for (row, column) of (lane, register, element).
type Case = (&'static str, Fragment, (u32, u32), fn(u32, u32, u32) -> (u32, u32));

/// The formulas as PTX ISA §9.7.14.5 and §9.7.15.5 write them: `groupID = lane >> 2`, `threadID_in_group = lane % 4`,
/// and `i` counts the elements of all registers. B is transposed, because it is taken as `[N, K]`.
fn cases() -> Vec<Case> {
    let d = wgmma_d(64).expect("a multiple of 8");
    vec![
        ("m16n8k32 A", MMA_M16N8K32_A, (16, 32), |lane, register, element| {
            let i = register * 4 + element;
            let row = if (0..4).contains(&i) || (8..12).contains(&i) { lane >> 2 } else { (lane >> 2) + 8 };
            let col = (lane % 4) * 4 + (i & 3) + if i < 8 { 0 } else { 16 };
            (row, col)
        }),
        ("m16n8k32 B", MMA_M16N8K32_B, (8, 32), |lane, register, element| {
            let i = register * 4 + element;
            let row = (lane % 4) * 4 + (i & 3) + if i < 4 { 0 } else { 16 };
            (lane >> 2, row)
        }),
        ("m16n8k16 A", MMA_M16N8K16_A, (16, 16), |lane, register, element| {
            let i = register * 2 + element;
            let row = if (0..2).contains(&i) || (4..6).contains(&i) { lane >> 2 } else { (lane >> 2) + 8 };
            let col = (lane % 4) * 2 + (i & 1) + if i < 4 { 0 } else { 8 };
            (row, col)
        }),
        ("m16n8k16 B", MMA_M16N8K16_B, (8, 16), |lane, register, element| {
            let i = register * 2 + element;
            let row = (lane % 4) * 2 + (i & 1) + if i < 2 { 0 } else { 8 };
            (lane >> 2, row)
        }),
        ("m16n8 D", MMA_M16N8_D, (16, 8), |lane, i, _| {
            let row = if i < 2 { lane >> 2 } else { (lane >> 2) + 8 };
            (row, (lane % 4) * 2 + (i & 1))
        }),
        ("ldmatrix", LDMATRIX, (8, 16), |lane, _, element| (lane / 4, (lane % 4) * 4 + element)),
        ("wgmma A", WGMMA_M64K32_A, (64, 32), |lane, register, element| {
            let (warp, lane, i) = (lane / 32, lane % 32, register * 4 + element);
            let row = warp * 16 + lane / 4 + 8 * ((i / 4) % 2);
            (row, (lane % 4) * 4 + (i % 4) + 16 * (i / 8))
        }),
        ("wgmma D", d, (64, 64), |lane, i, _| {
            let (warp, lane) = (lane / 32, lane % 32);
            let row = warp * 16 + lane / 4 + 8 * ((i / 2) % 2);
            (row, 8 * (i / 4) + (lane % 4) * 2 + (i % 2))
        }),
    ]
}

fn holders(fragment: &Fragment) -> impl Iterator<Item = Holder> {
    let (lanes, registers, elements) = (fragment.lanes(), fragment.registers(), fragment.elements());
    let all = (0..lanes).flat_map(move |lane| (0..registers).map(move |register| (lane, register)));
    all.flat_map(move |(lane, register)| (0..elements).map(move |element| Holder { lane, register, element }))
}

#[test]
fn every_element_is_where_the_isa_says() {
    let mut count = 0;
    for (name, fragment, size, formula) in cases() {
        assert_eq!((fragment.rows(), fragment.cols()), size, "{name}");
        for holder in holders(&fragment) {
            let want = formula(holder.lane, holder.register, holder.element);
            assert_eq!(fragment.position(holder), Some(want), "{name}: {holder:?}");
            count += 1;
        }
    }
    println!("elements against the ISA: {count}");
    assert_eq!(count, 512 + 256 + 256 + 128 + 128 + 128 + 2048 + 4096);
}

#[test]
fn every_map_is_a_bijection_with_its_inverse() {
    let mut count = 0;
    let all = cases().into_iter().map(|(name, fragment, size, _)| (name, fragment, size));
    let wgmma = (8..=256).step_by(8).map(|n| ("wgmma D", wgmma_d(n).expect("a multiple of 8"), (64, n)));
    for (name, fragment, (rows, cols)) in all.chain(wgmma) {
        assert_eq!(fragment.lanes() * fragment.registers() * fragment.elements(), rows * cols, "{name}");
        let mut seen = BTreeSet::new();
        for holder in holders(&fragment) {
            let (row, col) = fragment.position(holder).expect("a holder");
            assert!(row < rows && col < cols && seen.insert((row, col)), "{name}: {holder:?}");
            assert_eq!(fragment.holder(row, col), Some(holder), "{name}");
        }
        assert_eq!(seen.len() as u32, rows * cols, "{name} is covered");
        assert_eq!((fragment.holder(rows, 0), fragment.holder(0, cols)), (None, None));
        for beyond in [(fragment.lanes(), 0, 0), (0, fragment.registers(), 0), (0, 0, fragment.elements())] {
            let (lane, register, element) = beyond;
            assert_eq!(fragment.position(Holder { lane, register, element }), None);
        }
        count += 1;
    }
    println!("bijections: {count}");
    assert_eq!(count, 8 + 32);
}

#[test]
fn wgmma_takes_n_in_eights_up_to_256() {
    let legal: Vec<u32> = (0..=300).filter(|&n| wgmma_d(n).is_some()).collect();
    assert_eq!(legal, (1..=32).map(|eights| 8 * eights).collect::<Vec<_>>());
    assert_eq!(wgmma_d(128).map(|d| d.registers()), Some(64));
}

/// What ldmatrix.x4 delivers for the addresses that lanes give: register `i` of lane `l` is part of the row that lane
/// `8 · i + l / 4` asked for.
fn delivered(address: fn(u32) -> halfbyte::layout::fragment::RowChunk, holder: Holder) -> (u32, u32) {
    let one = Holder { register: 0, ..holder };
    let (row, byte) = LDMATRIX.position(one).expect("a lane");
    let asked = address(holder.register * 8 + row);
    (asked.row, asked.chunk * 16 + byte)
}

#[test]
fn ldmatrix_brings_the_fragments_of_mma() {
    let mut count = 0;
    for holder in holders(&MMA_M16N8K32_A) {
        assert_eq!(Some(delivered(ldmatrix_a, holder)), MMA_M16N8K32_A.position(holder), "A: {holder:?}");
        count += 1;
    }
    for which in 0..2 {
        for holder in holders(&MMA_M16N8K32_B) {
            let (n, k) = MMA_M16N8K32_B.position(holder).expect("a holder");
            let register = which * 2 + holder.register;
            assert_eq!(
                delivered(ldmatrix_b, Holder { register, ..holder }),
                (which * 8 + n, k),
                "B {which}: {holder:?}"
            );
            count += 1;
        }
    }
    println!("bytes that ldmatrix brings: {count}");
    assert_eq!(count, 512 + 512);
}
