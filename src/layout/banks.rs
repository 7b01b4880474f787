//! A model of shared memory's banks: how many passes (*wavefronts*) an access of a warp takes, and how few it could.
//!
//! 32 banks of 4 bytes; word `address / 4` is in bank `address / 4 % 32`. A warp's access of 4 bytes a lane is served
//! at once; of 8 bytes, 16 lanes at a time; of 16 bytes, 8 lanes at a time. Within such a phase, lanes that want the
//! same word share it, and different words of one bank wait for each other.

use std::collections::BTreeSet;

const BANKS: u64 = 32;
const WORD: u64 = 4;

/// Passes that an access takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wavefronts {
    /// As the addresses are.
    pub actual: u32,
    /// If the same words were spread evenly over the banks.
    pub ideal: u32,
}

impl Wavefronts {
    /// Both sums.
    pub fn and(self, other: Wavefronts) -> Self {
        Wavefronts { actual: self.actual + other.actual, ideal: self.ideal + other.ideal }
    }
}

/// The wavefronts of one warp's access: `addresses[lane]` is the byte address of a lane, or `None` for one that takes
/// no part; `width` is the bytes a lane accesses. `None` unless width is 4, 8 or 16, there are at most 32 lanes, and
/// every address is a multiple of the width below 2⁶³.
pub fn wavefronts(addresses: &[Option<u64>], width: u64) -> Option<Wavefronts> {
    let lanes_per_phase = match width {
        4 => 32,
        8 => 16,
        16 => 8,
        _ => return None,
    };
    if addresses.len() > 32 || addresses.iter().flatten().any(|at| !at.is_multiple_of(width) || at >> 63 != 0) {
        return None;
    }
    let mut total = Wavefronts::default();
    for phase in addresses.chunks(lanes_per_phase) {
        let words: BTreeSet<u64> = phase.iter().flatten().flat_map(|&at| at / WORD..(at + width) / WORD).collect();
        let mut queue = [0u32; BANKS as usize];
        for word in &words {
            queue[(word % BANKS) as usize] += 1;
        }
        total.actual += queue.into_iter().max().unwrap_or(0);
        total.ideal += words.len().div_ceil(BANKS as usize) as u32;
    }
    Some(total)
}
