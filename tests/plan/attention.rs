//! Plans of attention: what is legal, what is chosen, and what masks leave out, worked out by hand or by counting keys.

use halfbyte::format::DType;
use halfbyte::manifest::ROWS;
use halfbyte::plan::DeviceFacts;
use halfbyte::plan::attention::{self as plan, AttentionProblem, Mask, Packing, TILE_KEYS, Visits};

use super::{SM80, SM86};

fn new(lengths: [usize; 2], heads: [usize; 2], head_dim: usize) -> AttentionProblem {
    AttentionProblem::new(lengths, heads, head_dim, DType::F16)
}

/// Every multiple of 8 up to 256 has the least padded kernel that there is.
#[test]
fn every_head_size_is_served_by_the_least_padding() {
    let facts = SM80;
    for dtype in [DType::F16, DType::Bf16] {
        for d in (8..=256).step_by(8) {
            for dv in (8..=256).step_by(8) {
                let problem = AttentionProblem { value_dim: dv, ..AttentionProblem::new([100, 100], [1, 1], d, dtype) };
                let entry = plan::plan(&problem, &facts).unwrap().geometry().unwrap().entry;
                let of = |name| entry.row().constant(name).unwrap() as usize;
                assert!(of("D") >= d && of("DV") >= dv, "{d} {dv}");
                let pads = [32, 48, 64, 80, 96, 128, 192, 256].into_iter().map(|size| (size, size)).chain([(192, 128)]);
                let least = pads.filter(|&(a, b)| a >= d && b >= dv).map(|(a, b)| a + b).min().unwrap();
                assert_eq!(of("D") + of("DV"), least, "{d} {dv}");
                assert!(entry.row().symbol.contains(if dtype == DType::F16 { "_f16_" } else { "_bf16_" }));
            }
        }
    }
}

#[test]
fn what_is_chosen() {
    let a100 = SM80;
    let of = |problem: &AttentionProblem| {
        let plan = plan::plan(problem, &a100).unwrap();
        (plan.tile_rows(), plan.pack(), plan.tiles(), plan.geometry().unwrap().grid[0])
    };
    // Long prefill of many heads: high tiles, heads one by one.
    assert_eq!(of(&new([4096, 4096], [32, 8], 128)), (128, 1, 32, 32 * 32));
    // Few blocks: 64 rows keep more multiprocessors busy.
    assert_eq!(of(&new([1024, 1024], [8, 8], 128)), (64, 1, 16, 16 * 8));
    // 8 guesses of 64 heads that share 8: one tile for each head of keys.
    assert_eq!(of(&new([8, 4096], [64, 8], 128)), (64, 8, 1, 8));
    // One query of a multi-query model.
    assert_eq!(of(&new([1, 4096], [48, 1], 256)), (64, 48, 1, 1));
    // 96 KB fit one block on an RTX 3090 too.
    let small = plan::plan(&new([8192, 8192], [48, 1], 256), &SM86).unwrap();
    assert_eq!((small.tile_rows(), small.geometry().unwrap().shared_bytes), (64, 98_304));
    // No tile of 128 rows for this size.
    assert_eq!(of(&new([8192, 8192], [48, 1], 256)).0, 64);
    // Packed sequences: less than a tile is wasted in each of 5.
    let packed = AttentionProblem { batch: 5, packed_queries: Some(1000), ..new([700, 700], [2, 2], 64) };
    assert_eq!(of(&packed), (64, 1, 1000 / 64 + 5, 2 * (1000 / 64 + 5)));
    assert_eq!(of(&AttentionProblem { batch: 2, ..packed }), (64, 1, 1000 / 64 + 2, 2 * (1000 / 64 + 2)));
}

/// As many heads side by side as half of L2 holds keys and values of.
#[test]
fn sections_fit_l2() {
    let facts = SM80;
    let section = |problem: &AttentionProblem| plan::plan(problem, &facts).unwrap().section();
    // A head of 8192 keys of 128 in 16 bits: 4 MiB with its values; five fit 20 MiB.
    assert_eq!(section(&new([8192, 8192], [32, 32], 128)), 5);
    // Four query heads read each of them.
    assert_eq!(section(&new([8192, 8192], [32, 8], 128)), 20);
    assert_eq!(section(&new([100, 100], [6, 6], 64)), 6);
    assert_eq!(section(&AttentionProblem { batch: 3, ..new([100, 100], [6, 6], 64) }), 18);
    // More than L2 holds: one at a time.
    assert_eq!(section(&new([64, 1 << 20], [4, 4], 128)), 1);
}

/// Visited and skipped tiles by looking at every query and key.
#[test]
fn visits_are_those_of_the_mask() {
    let facts = SM80;
    let masks = [
        Mask::NONE,
        Mask::CAUSAL,
        Mask { left: Some(70), ..Mask::CAUSAL },
        Mask { left: Some(3), right: Some(80), ..Mask::NONE },
        Mask { left: Some(0), keep_first: 1, ..Mask::CAUSAL },
        Mask { left: Some(10), keep_first: 130, ..Mask::CAUSAL },
        Mask { right: Some(5), ..Mask::NONE },
        Mask { left: Some(1 << 40), right: Some(1 << 40), keep_first: usize::MAX, causal: false },
    ];
    let mut cases = 0;
    for (queries, keys) in [(1, 1), (64, 64), (65, 300), (300, 65), (200, 0), (130, 513)] {
        for (mask, batch) in masks.into_iter().flat_map(|mask| [(mask, 1), (mask, 3)]) {
            let problem = AttentionProblem { batch, mask, ..new([queries, keys], [4, 2], 64) };
            for plan in plan::candidates(&problem, &facts).unwrap() {
                let sees = |i: usize, j: usize| {
                    let p = i as i64 + keys as i64 - queries as i64;
                    let j64 = j as i64;
                    mask.right().is_none_or(|right| j64 - p <= right as i64)
                        && (mask.left.is_none_or(|left| p - j64 <= left as i64) || j < mask.keep_first)
                };
                let mut want = Visits::default();
                let pairs = (4 / plan.pack() * batch) as u64;
                for tile in 0..(queries * plan.pack()).div_ceil(plan.tile_rows()) {
                    for columns in (0..keys).step_by(TILE_KEYS) {
                        let mut rows =
                            tile * plan.tile_rows()..((tile + 1) * plan.tile_rows()).min(queries * plan.pack());
                        let seen = rows
                            .any(|row| (columns..keys.min(columns + TILE_KEYS)).any(|j| sees(row / plan.pack(), j)));
                        *(if seen { &mut want.visited } else { &mut want.skipped }) += pairs;
                    }
                }
                assert_eq!(plan.visits(), want, "{plan}");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 6 * 8 * 2 * 4);
}

#[test]
fn what_is_refused() {
    let facts80 = SM80;
    let good = new([10, 20], [8, 2], 64);
    let far = 1 << 30;
    let table: [(AttentionProblem, &[&str]); 13] = [
        (AttentionProblem { dtype: DType::F32, ..good }, &["f32", "f16 and bf16"]),
        (AttentionProblem { head_dim: 65, ..good }, &["head_dim = 65", "multiples of 8 from 8 to 256"]),
        (AttentionProblem { head_dim: 0, ..good }, &["head_dim = 0"]),
        (AttentionProblem { value_dim: 264, ..good }, &["value_dim = 264", "256"]),
        (AttentionProblem { heads: 9, ..good }, &["9 query heads", "2 heads of keys"]),
        (AttentionProblem { kv_heads: 0, ..good }, &["8 query heads", "0 heads of keys"]),
        (AttentionProblem { mask: Mask { right: Some(3), ..Mask::CAUSAL }, ..good }, &["causal", "asks for 3"]),
        (AttentionProblem { page_size: Some(0), ..good }, &["pages of 0 keys"]),
        (AttentionProblem { page_size: Some(16), packed_keys: Some(20), ..good }, &["not both"]),
        (AttentionProblem { queries: far, ..good }, &["queries = 1073741824", "1073741823"]),
        (AttentionProblem { keys: far, ..good }, &["keys = 1073741824"]),
        (AttentionProblem { packed_queries: Some(far), ..good }, &["packed queries = 1073741824"]),
        (AttentionProblem { batch: far, ..good }, &["batch = 1073741824"]),
    ];
    for (problem, parts) in table {
        let text = plan::plan(&problem, &facts80).unwrap_err().to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{problem}: {text}");
    }
    assert!(plan::plan(&AttentionProblem { mask: Mask { right: Some(0), ..Mask::CAUSAL }, ..good }, &facts80).is_ok());
    // A grid that no launch holds, sizes whose products leave 64 bits, and a device that is too small or too old.
    let most = far - 1;
    for problem in [
        AttentionProblem { batch: most, ..new([64, 64], [8, 8], 64) },
        AttentionProblem { batch: most, ..new([most, most], [most, 1], 256) },
    ] {
        let text = plan::plan(&problem, &facts80).unwrap_err().to_string();
        assert!(text.contains("2147483647 blocks"), "{text}");
        assert_eq!(plan::candidates(&problem, &facts80).unwrap().count(), 0);
    }
    let small = DeviceFacts { shared_per_block: 90_000, ..facts80 };
    assert!(plan::plan(&new([64, 64], [1, 1], 256), &small).unwrap_err().to_string().contains("90000 bytes"));
    let old = DeviceFacts { capability: 75, ..facts80 };
    assert!(plan::plan(&good, &old).unwrap_err().to_string().contains("7.5"));
}

#[test]
fn nothing_is_nothing() {
    let facts = SM80;
    for problem in [
        new([0, 20], [8, 2], 64),
        new([10, 20], [0, 0], 64),
        AttentionProblem { batch: 0, ..new([10, 20], [8, 2], 64) },
        AttentionProblem { packed_queries: Some(0), ..new([10, 20], [8, 2], 64) },
    ] {
        let plan = plan::plan(&problem, &facts).unwrap();
        assert!(plan.geometry().is_none() && plan.visits() == Visits::default(), "{plan}");
        assert!(plan.to_string().contains("nothing is launched"), "{plan}");
    }
    // Limits beyond everything are none.
    let far = Mask { left: Some(usize::MAX), right: Some(usize::MAX), ..Mask::NONE };
    let visits = |mask| plan::plan(&AttentionProblem { mask, ..new([100, 100], [1, 1], 64) }, &facts).unwrap().visits();
    assert_eq!(visits(far), visits(Mask::NONE));
    // No keys still make an output: zeros.
    assert!(plan::plan(&new([10, 0], [8, 2], 64), &facts).unwrap().geometry().is_some());
}

#[test]
fn plans_print() {
    let facts = SM80;
    let problem = AttentionProblem { batch: 2, mask: Mask::CAUSAL, ..new([512, 512], [16, 4], 128) };
    assert_eq!(
        plan::plan(&problem, &facts).unwrap().to_string(),
        "2 x [512 queries, 512 keys], 16/4 heads of 128 f16, causal: attention_prefill_f16_mma_64x128, 256 blocks, 1 heads \
         together, sections of 32 heads, 49152 bytes shared, at most 1152 tiles of 64 keys, 896 skipped"
    );
    let mask = Mask { left: Some(9), right: None, keep_first: 4, causal: false };
    let packed = AttentionProblem {
        value_dim: 128,
        wide_output: true,
        packed_queries: Some(30),
        page_size: Some(16),
        mask,
        ..AttentionProblem::new([20, 40], [2, 1], 192, DType::Bf16)
    };
    assert_eq!(
        packed.to_string(),
        "1 x [20 queries, 40 keys], 2/1 heads of 192/128 bf16 -> f32, 30 packed, pages of 16, window 9 left, all right, 4 first kept"
    );
    let packed = AttentionProblem { packed_keys: Some(7), page_size: None, mask: Mask::NONE, ..packed };
    assert!(packed.to_string().ends_with("30 packed, 7 packed keys, no mask"), "{packed}");
}

#[test]
fn packings_are_checked() {
    assert_eq!(Packing::new(&[0, 5, 5, 12], 12).unwrap(), Packing { batch: 3, longest: 7, total: 12 });
    assert_eq!(Packing::new(&[0], 0).unwrap(), Packing { batch: 0, longest: 0, total: 0 });
    for (cu, tokens, parts) in [
        (&[][..], 9, &["empty", "batch + 1"][..]),
        (&[1, 5], 9, &["begins with 1"]),
        (&[0, 5, 4, 9], 9, &["falls from 5 to 4 at sequence 1"]),
        (&[0, 5, 10], 9, &["ends at 10", "9 tokens"]),
    ] {
        let text = Packing::new(cu, tokens).unwrap_err().to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
}

/// Every entry of the manifest is reached by a plan.
#[test]
fn every_entry_is_planned() {
    let facts = DeviceFacts { sm_count: 4, ..SM80 };
    for row in
        ROWS.iter().filter(|row| row.source.starts_with("attention/attention_prefill_") && row.source.contains("f16"))
    {
        let of = |name| row.constant(name).unwrap() as usize;
        let dtype = if row.symbol.contains("bf16") { DType::Bf16 } else { DType::F16 };
        let queries = if of("TILE_M") == 128 { 1024 } else { 64 };
        let problem =
            AttentionProblem { value_dim: of("DV"), ..AttentionProblem::new([queries, 64], [4, 4], of("D"), dtype) };
        assert_eq!(plan::plan(&problem, &facts).unwrap().geometry().unwrap().entry, row.entry, "{}", row.symbol);
    }
}
