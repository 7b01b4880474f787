//! `ldmatrix` and `stmatrix`: 8×8 matrices of 16-bit elements between shared memory and registers, and `movmatrix`
//! between registers (PTX ISA §9.7.14.5.15-17).
//!
//! Lane `8i + r` gives the address of row `r` of matrix `i`. Register `i` of lane `4g + t` holds the elements
//! `2t` (low half) and `2t + 1` of row `g` of matrix `i`; with `.trans`, the elements `g` of rows `2t` and `2t +
//! 1`.

use crate::emulator::copy::{Problem, shared_range};
use crate::emulator::ir::V32;

/// Address of each row as a range of `shared`; 16 bytes, aligned to 16.
fn rows(len: usize, addresses: &[u32; 32], num: u8, who: &str) -> Result<[usize; 32], Problem> {
    let lanes = 8 * usize::from(num.min(4));
    let mut starts = [0; 32];
    for (lane, (start, &address)) in starts.iter_mut().zip(addresses).enumerate().take(lanes) {
        *start = shared_range(len, u64::from(address), 16, 16, who).map_err(|p| p.at_lane(lane))?.start;
    }
    Ok(starts)
}

/// `movmatrix`: transposes an 8×8 matrix of halves in register layout: lane `4g + t` gets elements `(2t, g)` and
/// `(2t + 1, g)`.
pub(crate) fn transpose(m: &V32) -> V32 {
    let half = |row: usize, column: usize| m.0[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff;
    V32(std::array::from_fn(|lane| {
        let (g, t) = (lane / 4, lane % 4);
        half(2 * t, g) | half(2 * t + 1, g) << 16
    }))
}

/// Loads `num` matrices (1, 2 or 4) whose rows start at the shared-memory offsets `addresses`; the first `num`
/// registers of the result count.
///
/// # Errors
/// Misaligned or out-of-bounds row, with its lane and address.
pub(crate) fn ldmatrix(shared: &[u8], addresses: &[u32; 32], num: u8, trans: bool) -> Result<[V32; 4], Problem> {
    let starts = rows(shared.len(), addresses, num, "ldmatrix row")?;
    let mut d = [V32([0; 32]); 4];
    for (i, d) in d.iter_mut().enumerate().take(usize::from(num)) {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut d.0);
        for (r, row) in bytes.chunks_exact_mut(16).enumerate() {
            let start = starts[8 * i + r];
            row.copy_from_slice(&shared[start..start + 16]);
        }
        if cfg!(target_endian = "big") {
            d.0.iter_mut().for_each(|word| *word = u32::from_le(*word));
        }
        if trans {
            *d = transpose(d);
        }
    }
    Ok(d)
}

/// Stores `num` matrices, the inverse of [`ldmatrix`].
///
/// # Errors
/// Misaligned or out-of-bounds row, with its lane and address; nothing is stored then.
pub(crate) fn stmatrix(
    shared: &mut [u8],
    addresses: &[u32; 32],
    num: u8,
    trans: bool,
    sources: [&V32; 4],
) -> Result<(), Problem> {
    let starts = rows(shared.len(), addresses, num, "stmatrix row")?;
    for (i, source) in sources.iter().enumerate().take(usize::from(num)) {
        let transposed = trans.then(|| transpose(source));
        let words = transposed.as_ref().unwrap_or(source);
        for (r, row) in words.0.chunks_exact(4).enumerate() {
            let start = starts[8 * i + r];
            for (word, out) in row.iter().zip(shared[start..start + 16].chunks_exact_mut(4)) {
                out.copy_from_slice(&word.to_le_bytes());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 64 matrices' worth of distinct halves: element i of shared memory is the half i.
    fn shared() -> Vec<u8> {
        (0..2048u16).flat_map(u16::to_le_bytes).collect()
    }

    fn addresses() -> [u32; 32] {
        // Rows scattered but distinct.
        std::array::from_fn(|lane| 16 * ((lane as u32 * 37 + 11) % 128))
    }

    #[test]
    fn loads_follow_the_fragment_table() {
        let (shared, addresses) = (shared(), addresses());
        for num in [1u8, 2, 4] {
            for trans in [false, true] {
                let d = ldmatrix(&shared, &addresses, num, trans).unwrap();
                for i in 0..usize::from(num) {
                    for lane in 0..32 {
                        for e in 0..2 {
                            let (g, c) = (lane / 4, 2 * (lane % 4) + e);
                            let (row, column) = if trans { (c, g) } else { (g, c) };
                            let expected = addresses[8 * i + row] / 2 + column as u32;
                            assert_eq!(
                                d[i].0[lane] >> (16 * e) & 0xffff,
                                expected,
                                "x{num} trans {trans} matrix {i} lane {lane}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn stores_invert_loads() {
        let (from, addresses) = (shared(), addresses());
        for trans in [false, true] {
            let d = ldmatrix(&from, &addresses, 4, trans).unwrap();
            let mut to = vec![0u8; from.len()];
            stmatrix(&mut to, &addresses, 4, trans, [&d[0], &d[1], &d[2], &d[3]]).unwrap();
            for &a in &addresses {
                let row = a as usize..a as usize + 16;
                assert_eq!(to[row.clone()], from[row]);
            }
        }
    }

    #[test]
    fn bad_rows_are_named() {
        let shared = shared();
        let mut addresses = addresses();
        addresses[9] = 4088;
        let problem = ldmatrix(&shared, &addresses, 2, false).unwrap_err();
        assert_eq!((problem.lane, problem.address, problem.size), (Some(9), 4088, 16));
        assert!(ldmatrix(&shared, &addresses, 1, false).is_ok(), "x1 looks at lanes 0-7 only");
        addresses[9] = u32::MAX - 15;
        let problem = ldmatrix(&shared, &addresses, 2, false).unwrap_err();
        assert_eq!(problem.kind, crate::emulator::copy::ProblemKind::OutOfBounds);
    }
}
