//! The edges of every tile of every product by `mma`: M, N and K at, before and after what the tile, the ring and the
//! groups of K are made of.

use halfbyte::manifest::Row;

use super::gemm_groups::Groups;
use super::gemm_mma::{Addend, Case, Scale, each, late};
use super::mma_entries::{kind, of_every_entry};

/// Rows about every power of two that a tile is made of.
const M: [usize; 19] = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 255, 257];

/// Columns and depths of an entry: at the edges of its tile, of its ring, and of groups.
fn edges(row: &Row) -> (Vec<usize>, Vec<usize>) {
    let of = |name: &str| row.constant(name).unwrap() as usize;
    let (n, k, ring) = (of("TILE_N"), of("TILE_K"), of("TILE_K") * of("STAGES"));
    let group = 128 / kind(row).0[0].size();
    let n = vec![1, n - 1, n, n + 1, 7, 8, 9, 3 * n + 1];
    (n, vec![k, ring - 1, ring, ring + 1, 1, group / 2, group, group + 1, 2 * group, k - 1, k + 1])
}

/// Each M with some N and K, so that an entry meets all of both; the widest N and the deepest K with few rows.
#[test]
fn every_edge_of_every_tile_is_exact() {
    let mut cases = 0;
    each(late(), |bench, row| {
        let (n, k) = edges(row);
        for (at, m) in M.into_iter().enumerate() {
            let (wide, deep) = (n[at % n.len()], k[at % k.len()]);
            let n = if m > 65 { wide.min(n[3]) } else { wide };
            let case = Case {
                out: at % 3,
                scales: [Scale::Each; 2],
                bias: at % 2 == 0,
                addend: if at % 4 == 3 { Addend::Output } else { Addend::None },
                pad: at % 2,
                ..Case::new(row.entry, (m, n, deep))
            };
            case.check(bench, false);
            cases += 1;
        }
    });
    assert_eq!(cases, of_every_entry(M.len()));
}

/// Every M from 1 to 130 on a small N and K, by the tiles of one kind of each size of element, with groups and without.
#[test]
fn every_number_of_rows_is_exact() {
    let mut cases = 0;
    each(late(), |bench, row| {
        let kinds = ["gemm_s8_mma_", "gemm_f16_mma_1", "gemm_f16_mma_6", "gemm_e4m3_e4m3_mma_"];
        if !kinds.iter().any(|kind| row.symbol.starts_with(kind)) {
            return;
        }
        for m in 1..=130 {
            let groups = Groups::has(row).then(|| Groups { shift: 6, ..Groups::of_shape((m, 9, 70)) });
            Case { groups, out: m % 3, ..Case::new(row.entry, (m, 9, 70)) }.check(bench, false);
            cases += 1;
        }
    });
    assert!(cases == 15 * 130 || of_every_entry(1) < 48, "{cases} cases");
}
