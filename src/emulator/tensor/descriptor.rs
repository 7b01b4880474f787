//! Shared-memory matrix descriptors of `wgmma` (PTX ISA §9.7.15, "Asynchronous warpgroup level matrix shared memory
//! layout"): where the elements of an operand lie.
//!
//! With `T = 16` bytes, `S` the swizzle span (16 without swizzle, 32, 64, 128), strides from the descriptor:
//! - K-major operand (a row is along K; an instruction takes 32 bytes of each row, two chunks of 16):
//!   row `r`, chunk `c` is at `(r / 8)·SBO + (r % 8)·S + c·16` with swizzle, `… + c·LBO` without.
//! - MN-major operand of 16-bit elements (a line is along M or N), element `(m, k)`:
//!   `(m / (S/2))·LBO + (m % (S/2))·2 + (k / 8)·SBO + (k % 8)·S` with swizzle; without, LBO and SBO change places.
//!
//! A swizzle exchanges 16-byte chunks by address: bits 4.. are XORed with bits 7.. (1, 2 or 3 bits for 32, 64,
//! 128), counted on the shared-memory address itself.

use crate::emulator::copy::{Problem, shared_range};

/// A decoded descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// Shared-memory address, bytes.
    start: u32,
    /// Leading-dimension byte offset.
    lbo: u32,
    /// Stride-dimension byte offset.
    sbo: u32,
    /// Bytes of a swizzle line: 16 (no swizzle), 32, 64 or 128.
    span: u32,
}

impl Descriptor {
    /// Decodes bits 0–13 start, 16–29 LBO, 32–45 SBO (all ÷ 16), 49–51 base offset, 62–63 swizzle (0 none, 1 128,
    /// 2 64, 3 32 bytes).
    ///
    /// # Errors
    /// `Unsupported` for a base offset other than 0.
    pub(super) fn decode(bits: u64) -> Result<Descriptor, Problem> {
        let field = |at: u32| (bits >> at & 0x3fff) as u32 * 16;
        let base = bits >> 49 & 7;
        if base != 0 {
            return Err(Problem::unsupported(format!(
                "wgmma descriptor {bits:#018x} with base offset {base} (8 lines of the operand are not aligned)"
            )));
        }
        let span = [16, 128, 64, 32][(bits >> 62) as usize & 3];
        Ok(Descriptor { start: field(0), lbo: field(16), sbo: field(32), span })
    }

    fn swizzle(&self, address: u32) -> u32 {
        // 16 → 0 bits, 32 → 1, 64 → 2, 128 → 3.
        address ^ (address >> 3 & (self.span - 16))
    }

    /// Offset of chunk `c` (16 bytes) of row `r` of a K-major operand.
    #[inline]
    pub(super) fn chunk(&self, r: u32, c: u32) -> u32 {
        let along = if self.span == 16 { c * self.lbo } else { c * 16 };
        self.swizzle(self.start + (r / 8) * self.sbo + (r % 8) * self.span + along)
    }

    /// Offsets of the chunks of rows 0–7 (`[chunk][row]`), if rows `8i + r` lie a plain `8i` stride further, all
    /// inside `len` bytes; the stride is the second part. Swizzles repeat every 1024 bytes.
    pub(super) fn pattern(&self, groups: usize, len: usize) -> Option<([[u32; 8]; 2], u32)> {
        let plain = self.span == 16 || self.sbo.is_multiple_of(1024);
        let offsets = [0, 1].map(|c| std::array::from_fn(|r| self.chunk(r as u32, c)));
        let last = offsets.iter().flatten().max().map_or(0, |&o: &u32| o as usize);
        let end = last + groups.saturating_sub(1) * self.sbo as usize + 16;
        (plain && end <= len).then_some((offsets, self.sbo))
    }

    /// Offset of element `(m, k)` of an MN-major operand of 16-bit elements.
    pub(super) fn half(&self, m: u32, k: u32) -> u32 {
        let line = self.span / 2;
        let (atom, group) = if self.span == 16 { (self.sbo, self.lbo) } else { (self.lbo, self.sbo) };
        self.swizzle(self.start + (m / line) * atom + (m % line) * 2 + (k / 8) * group + (k % 8) * self.span)
    }

    /// 16 bytes of `shared` at a [`chunk`](Descriptor::chunk).
    #[inline]
    pub(super) fn load_chunk<'s>(&self, shared: &'s [u8], r: u32, c: u32) -> Result<&'s [u8; 16], Problem> {
        let at = self.chunk(r, c) as usize;
        match shared.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
            Some(chunk) => Ok(chunk),
            None => Err(shared_range(shared.len(), at as u64, 16, 1, "wgmma operand")
                .err()
                .unwrap_or_else(|| Problem::operand(String::from("wgmma operand")))),
        }
    }

    /// The element at [`half`](Descriptor::half).
    pub(super) fn load_half(&self, shared: &[u8], m: u32, k: u32) -> Result<u16, Problem> {
        let at = shared_range(shared.len(), u64::from(self.half(m, k)), 2, 1, "wgmma operand")?;
        Ok(u16::from_le_bytes([shared[at.start], shared[at.start + 1]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(start: u64, lbo: u64, sbo: u64, mode: u64) -> u64 {
        (start / 16) | ((lbo / 16) << 16) | ((sbo / 16) << 32) | (mode << 62)
    }

    #[test]
    fn fields() {
        let d = Descriptor::decode(encode(0x2c40, 0x100, 0x400, 1)).unwrap();
        assert_eq!(d, Descriptor { start: 0x2c40, lbo: 0x100, sbo: 0x400, span: 128 });
        assert_eq!([0, 1, 2, 3].map(|mode| Descriptor::decode(encode(0, 0, 0, mode)).unwrap().span), [16, 128, 64, 32]);
        assert!(Descriptor::decode(1 << 49).is_err());
    }

    /// The 128-byte pattern: chunk c of line r of an aligned 8-line atom sits at chunk c ^ r.
    #[test]
    fn swizzle_128() {
        let d = Descriptor::decode(encode(0x800, 0, 0x400, 1)).unwrap();
        for r in 0..16 {
            for c in 0..2 {
                assert_eq!(d.chunk(r, c), 0x800 + (r / 8) * 0x400 + (r % 8) * 128 + (c ^ (r % 8)) * 16);
            }
        }
        // Advancing along K by 32 bytes moves the start address inside the line.
        let d = Descriptor::decode(encode(0x820, 0, 0x400, 1)).unwrap();
        assert_eq!(d.chunk(5, 1), 0x800 + 5 * 128 + (3 ^ 5) * 16);
    }

    /// 64-byte lines: two lines share 128 bytes, so lines 2i and 2i+1 have the same XOR i.
    #[test]
    fn swizzle_64_and_32() {
        let d = Descriptor::decode(encode(0, 0, 512, 2)).unwrap();
        assert_eq!(d.chunk(5, 1), 5 * 64 + (1 ^ 2) * 16);
        let d = Descriptor::decode(encode(0, 0, 256, 3)).unwrap();
        assert_eq!((d.chunk(3, 1), d.chunk(4, 1), d.chunk(4, 0)), (3 * 32 + 16, 4 * 32, 4 * 32 + 16));
    }

    #[test]
    fn no_swizzle() {
        // Core matrices of 8 rows × 16 bytes are contiguous.
        let d = Descriptor::decode(encode(0, 2048, 128, 0)).unwrap();
        assert_eq!(d.chunk(11, 1), 128 + 3 * 16 + 2048);
        assert_eq!(d.half(11, 9), 128 + 3 * 2 + 2048 + 16);
    }

    #[test]
    fn mn_major_128() {
        let d = Descriptor::decode(encode(0, 2048, 1024, 1)).unwrap();
        // m = 70: second atom of 64, 6th element of chunk 0; k = 11: second group of 8, line 3.
        assert_eq!(d.half(70, 11), 2048 + 1024 + 3 * 128 + 3 * 16 + 12);
    }
}
