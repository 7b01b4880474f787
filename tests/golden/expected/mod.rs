//! What probes must give, worked out element by element from the tables of the PTX ISA.

pub mod product;
mod scalar;
mod shared;
mod tile;
mod warp;

/// Words that a probe must write; None where nothing is worked out.
pub type Words = Vec<Option<u32>>;

/// The probes with an expectation, and of how many of their words.
pub const WHOLE: [&str; 22] = [
    "mma_int8",
    "wgmma_int8",
    "shared_ldmatrix",
    "shared_stmatrix",
    "shared_cp_async",
    "shared_cp_async_arrive",
    "integer_lop3",
    "integer_prmt",
    "convert_fp8_pack",
    "convert_fp8_wide",
    "warp_shuffle",
    "warp_vote",
    "warp_match",
    "warp_redux",
    "warp_movmatrix",
    "warp_atomic",
    "warp_elect",
    "hopper_mbarrier",
    "hopper_bulk",
    "hopper_tma_1d",
    "hopper_tma_2d",
    "hopper_tma_3d",
];

/// The words that the probe `name`, of these instructions, must write for `input`, if any are worked out here.
pub fn expected(name: &str, instructions: &[String], input: &[u32]) -> Option<Words> {
    let all = |words: Vec<u32>| words.into_iter().map(Some).collect();
    Some(match name {
        "mma_int8" => all(product::mma_int8(input)),
        _ if name.starts_with("mma_") => product::mma_float(instructions, input),
        _ if name.starts_with("wgmma_") && !name.contains("wide") && !name.contains("trans") => {
            product::wgmma(instructions, input)
        }
        "shared_ldmatrix" => all(shared::ldmatrix(input)),
        "shared_stmatrix" => all(shared::stmatrix(input)),
        "shared_cp_async" => all(shared::cp_async(input)),
        "shared_cp_async_arrive" => all(shared::cp_async_arrive(input)),
        "integer_lop3" => all(scalar::lop3(input)),
        _ if ["integer_", "float_divide", "convert_to_", "convert_fp8_", "float_arith", "float_compare"]
            .iter()
            .any(|s| name.starts_with(s)) =>
        {
            scalar::results(instructions, input)?
        }
        "warp_shuffle" => all(warp::shuffle(input)),
        "warp_vote" => all(warp::vote(input)),
        "warp_match" => all(warp::matching(input)),
        "warp_redux" => all(warp::redux(input)),
        "warp_movmatrix" => all(warp::movmatrix(input)),
        "warp_atomic" => all(warp::atomic(input)),
        "warp_elect" => all(warp::elect(input)),
        "hopper_mbarrier" => all(tile::mbarrier()),
        "hopper_bulk" => all(tile::bulk(input)),
        _ if name.starts_with("hopper_tma_") => all(tile::tma(name.as_bytes()[11] as usize - 48, input)),
        _ => return None,
    })
}

/// A fixed sequence of words (splitmix64).
pub fn words(count: usize, mut state: u64) -> Vec<u32> {
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ x >> 31) as u32
    };
    (0..count).map(|_| next()).collect()
}
