//! Where operands lie: addresses, alignment, overlap.

use super::Device;

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// The bytes that an operand covers: `rows` runs of `row_bytes`, one every `row_stride` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Device address of the first byte.
    pub address: u64,
    /// Bytes of one run.
    pub row_bytes: u64,
    /// Distance between the starts of two runs, in bytes.
    pub row_stride: u64,
    /// Number of runs.
    pub rows: u64,
}

impl Span {
    /// One run of bytes.
    pub(crate) fn contiguous(address: u64, bytes: usize) -> Span {
        Span { address, row_bytes: bytes as u64, row_stride: bytes as u64, rows: 1 }
    }

    /// One past the last byte; the end of the address space for what leaves it. Not for an empty span.
    fn end(&self) -> u64 {
        let last = (self.rows - 1).saturating_mul(self.row_stride);
        self.address.saturating_add(last).saturating_add(self.row_bytes)
    }

    fn is_empty(&self) -> bool {
        self.rows == 0 || self.row_bytes == 0
    }

    /// True when the two share a byte. Exact for single runs and for equal strides (columns of one matrix);
    /// for different strides, overlapping extents count as sharing.
    pub fn overlaps(&self, other: &Span) -> bool {
        if self.is_empty() || other.is_empty() || self.end() <= other.address || other.end() <= self.address {
            return false;
        }
        let (low, high) = if self.address <= other.address { (self, other) } else { (other, self) };
        let stride = match (low.rows, high.rows) {
            (1, 1) => return true,
            (1, _) => high.row_stride,
            (_, 1) => low.row_stride,
            _ if low.row_stride == high.row_stride => low.row_stride,
            _ => return true,
        };
        if low.row_bytes > stride || high.row_bytes > stride {
            return true;
        }
        // The extents overlap, so the rows run side by side: compare where each stands within a stride.
        let start = (high.address - low.address) % stride;
        start < low.row_bytes || high.row_bytes > stride - start
    }
}

/// Something that lies in device memory: buffers, views and matrices.
pub trait Region: sealed::Sealed {
    /// The device it lies on.
    fn device(&self) -> &Device;

    /// The bytes it covers.
    fn span(&self) -> Span;

    /// Device address of the first element.
    fn address(&self) -> u64 {
        self.span().address
    }

    /// The greatest power of two that divides the address.
    fn alignment(&self) -> u64 {
        1 << self.address().trailing_zeros().min(63)
    }

    /// True when the two lie on one device and share a byte (see [`Span::overlaps`] for how exact this is).
    fn aliases(&self, other: &impl Region) -> bool
    where
        Self: Sized,
    {
        self.device() == other.device() && self.span().overlaps(&other.span())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(address: u64, row_bytes: u64, row_stride: u64, rows: u64) -> Span {
        Span { address, row_bytes, row_stride, rows }
    }

    /// Overlap by writing out every byte.
    fn brute(a: &Span, b: &Span) -> bool {
        let bytes = |s: &Span| -> Vec<u64> {
            (0..s.rows)
                .flat_map(|r| (0..s.row_bytes).map(move |c| (r, c)))
                .map(|(r, c)| s.address + r * s.row_stride + c)
                .collect()
        };
        let b = bytes(b);
        bytes(a).iter().any(|x| b.contains(x))
    }

    #[test]
    fn equal_strides_and_single_runs_are_exact() {
        for stride in [4u64, 7] {
            for wide in 0..=stride {
                for narrow in 0..=stride {
                    for offset in 0..24 {
                        for count in 0..4 {
                            let (a, b) = (rows(100, wide, stride, 3), rows(92 + offset, narrow, stride, count));
                            assert_eq!(a.overlaps(&b), brute(&a, &b), "{a:?} {b:?}");
                            assert_eq!(a.overlaps(&b), b.overlaps(&a));
                            let (c, d) =
                                (Span::contiguous(100, wide as usize), Span::contiguous(92 + offset, narrow as usize));
                            assert_eq!(c.overlaps(&d), brute(&c, &d), "{c:?} {d:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn spans_beyond_the_address_space_do_not_overflow() {
        let most = u64::MAX;
        let (all, few) = (rows(5, most, most, most), rows(16, 8, most, 2));
        assert!(all.overlaps(&rows(1, most, most, 3)) && !few.overlaps(&rows(24, most - 16, most, 2)));
        assert!(rows(1, 1, 0, most).overlaps(&rows(1, 1, 0, 2)));
    }

    #[test]
    fn nothing_is_missed_with_unequal_strides() {
        for offset in 0..40 {
            let (a, b) = (rows(100, 3, 8, 3), rows(92 + offset, 2, 5, 4));
            assert!(a.overlaps(&b) || !brute(&a, &b), "{a:?} {b:?}");
        }
    }
}
