//! The shared-memory swizzles of TMA: 16-byte chunks change places by address bits.

/// Where the byte at shared address `address` really goes: bits 4.. are XORed with bits 7.., 1, 2 or 3 bits for a
/// span of 32, 64 or 128 bytes; a span of 16 moves nothing.
#[inline]
pub(super) fn swizzled(address: u64, span: u64) -> u64 {
    address ^ (address >> 3 & (span - 16))
}

#[cfg(test)]
mod tests {
    use super::swizzled;

    /// PTX ISA §5.5.6, the 128-byte pattern: line r of 8 holds chunks c at c ^ r; 64: line pairs; 32: line
    /// quadruples.
    #[test]
    fn patterns() {
        for address in (0..2048u64).step_by(16) {
            let (chunk, line) = (address / 16 % 8, address / 128);
            assert_eq!(swizzled(address, 128), line * 128 + (chunk ^ (line % 8)) * 16);
            assert_eq!(swizzled(address, 64), line * 128 + (chunk ^ (line % 4)) * 16);
            assert_eq!(swizzled(address, 32), line * 128 + (chunk ^ (line % 2)) * 16);
            assert_eq!(swizzled(address, 16), address);
            assert_eq!(swizzled(address + 5, 128), swizzled(address, 128) + 5);
        }
    }
}
