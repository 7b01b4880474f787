//! What an access asks of memory: sectors and bytes of global memory, passes over the banks of shared memory.

/// 32-byte sectors that ranges of bytes touch, and the bytes in them that are asked for, each counted once.
pub(crate) fn footprint(ranges: impl IntoIterator<Item = (u64, u64)>) -> (u64, u64) {
    let mut list = [(0, 0); 32];
    let mut len = 0;
    for (start, bytes) in ranges {
        if bytes > 0 && len < list.len() {
            list[len] = (start, start.saturating_add(bytes));
            len += 1;
        }
    }
    let list = &mut list[..len];
    list.sort_unstable();
    let (mut sectors, mut bytes) = (0, 0);
    // Everything below has been counted.
    let (mut next_sector, mut next_byte) = (0, 0);
    for &mut (start, end) in list {
        let (first, last) = (start / 32, (end - 1) / 32);
        sectors += (last + 1).saturating_sub(first.max(next_sector));
        bytes += end.saturating_sub(start.max(next_byte));
        (next_sector, next_byte) = (next_sector.max(last + 1), next_byte.max(end));
    }
    (sectors, bytes)
}

/// The ranges of the active lanes of an access.
pub(crate) fn ranges(addresses: &[u64; 32], active: u32, bytes: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..32).filter(move |lane| active >> lane & 1 == 1).map(move |lane| (addresses[lane], bytes))
}

/// Passes over the banks that an access takes, and the least that it could take. 8-byte accesses go half a warp at a
/// time, 16-byte ones a quarter; lanes that want the same word share it.
pub(crate) fn wavefronts(addresses: &[u64; 32], active: u32, bytes: u64) -> (u64, u64) {
    passes(addresses, active, bytes, true)
}

/// The same for an atomic operation, where each lane needs its word for itself.
pub(crate) fn wavefronts_atomic(addresses: &[u64; 32], active: u32, bytes: u64) -> (u64, u64) {
    passes(addresses, active, bytes, false)
}

fn passes(addresses: &[u64; 32], active: u32, bytes: u64, share: bool) -> (u64, u64) {
    let lanes_a_pass = match bytes {
        0..=4 => 32,
        5..=8 => 16,
        _ => 8,
    };
    let (mut passes, mut ideal) = (0, 0);
    for first in (0..32).step_by(lanes_a_pass) {
        let mut words: Vec<u64> = Vec::with_capacity(32);
        for lane in (first..first + lanes_a_pass).filter(|lane| active >> lane & 1 == 1) {
            words.extend(addresses[lane] / 4..=addresses[lane].saturating_add(bytes - 1) / 4);
        }
        if words.is_empty() {
            continue;
        }
        if share {
            words.sort_unstable();
            words.dedup();
        }
        let mut banks = [0u64; 32];
        words.iter().for_each(|w| banks[(w % 32) as usize] += 1);
        passes += banks.iter().max().copied().unwrap_or(0);
        ideal += 1;
    }
    (passes, ideal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stride(step: u64) -> [u64; 32] {
        std::array::from_fn(|i| i as u64 * step)
    }

    fn touched(addresses: &[u64; 32], active: u32, bytes: u64) -> (u64, u64) {
        footprint(ranges(addresses, active, bytes))
    }

    #[test]
    fn sectors_and_bytes_are_counted_once() {
        assert_eq!(touched(&stride(4), u32::MAX, 4), (4, 128));
        assert_eq!(touched(&stride(0), u32::MAX, 4), (1, 4));
        assert_eq!(touched(&stride(32), u32::MAX, 4), (32, 128));
        assert_eq!(touched(&stride(16), u32::MAX, 16), (16, 512));
        assert_eq!(touched(&stride(4), 1, 4), (1, 4));
        assert_eq!(touched(&[30; 32], 1, 4), (2, 4));
        assert_eq!(touched(&stride(4), 0, 4), (0, 0));
        // Overlapping and nested ranges, in no order.
        assert_eq!(footprint([(100, 8), (96, 40), (104, 8), (0, 0), (90, 2)]), (3, 42));
        assert_eq!(footprint([(u64::MAX - 3, 16)]), (1, 3));
    }

    #[test]
    fn wavefronts_follow_the_banks() {
        assert_eq!(wavefronts(&stride(4), u32::MAX, 4), (1, 1));
        assert_eq!(wavefronts(&stride(8), u32::MAX, 4), (2, 1));
        assert_eq!(wavefronts(&stride(128), u32::MAX, 4), (32, 1));
        assert_eq!(wavefronts(&stride(0), u32::MAX, 4), (1, 1));
        assert_eq!(wavefronts(&stride(132), u32::MAX, 4), (1, 1));
        assert_eq!(wavefronts(&stride(8), u32::MAX, 8), (2, 2));
        assert_eq!(wavefronts(&stride(16), u32::MAX, 16), (4, 4));
        assert_eq!(wavefronts(&stride(128), u32::MAX, 16), (32, 4));
        assert_eq!(wavefronts(&stride(16), 0xFF, 16), (1, 1));
        assert_eq!(wavefronts(&stride(1), u32::MAX, 1), (1, 1));
        assert_eq!(wavefronts_atomic(&stride(4), u32::MAX, 4), (1, 1));
        assert_eq!(wavefronts_atomic(&stride(0), 0xFF, 4), (8, 1));
    }
}
