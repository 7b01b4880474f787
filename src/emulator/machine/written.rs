//! Which bytes of an allocation were ever written: one bit a byte, in checked mode.

use std::collections::TryReserveError;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// A bit for each byte, set once the byte is written.
pub(super) struct Written(Box<[AtomicU64]>);

/// The words that a range of bits touches: index, mask.
fn words(range: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let first = range.start / 64;
    let last = if range.is_empty() { first } else { range.end.div_ceil(64) };
    (first..last).map(move |word| {
        let low = range.start.saturating_sub(64 * word);
        let high = (range.end - 64 * word).min(64);
        (word, (u64::MAX >> (64 - (high - low))) << low)
    })
}

impl Written {
    /// For so many bytes, of which none is written.
    pub fn new(bytes: usize) -> Result<Written, TryReserveError> {
        let count = bytes.div_ceil(64);
        let mut words = Vec::new();
        words.try_reserve_exact(count)?;
        words.resize_with(count, AtomicU64::default);
        Ok(Written(words.into_boxed_slice()))
    }

    /// Marks bytes as written. To be called before they are, so that who sees the bytes sees the marks.
    pub fn mark(&self, range: Range<usize>) {
        let mut changed = false;
        for (word, mask) in words(range) {
            let Some(word) = self.0.get(word) else { return };
            // Most bytes are written more than once.
            if word.load(Ordering::Relaxed) & mask != mask {
                word.fetch_or(mask, Ordering::Relaxed);
                changed = true;
            }
        }
        if changed {
            fence(Ordering::SeqCst);
        }
    }

    /// The first bytes in a row within a range that were never written.
    pub fn gap(&self, range: Range<usize>) -> Option<Range<usize>> {
        let load = |word: usize| self.0.get(word).map_or(u64::MAX, |word| word.load(Ordering::Relaxed));
        let (word, mask) = words(range.clone()).find(|(word, mask)| !load(*word) & mask != 0)?;
        let start = 64 * word + (!load(word) & mask).trailing_zeros() as usize;
        let set = words(start..range.end).find_map(|(word, mask)| {
            let set = load(word) & mask;
            (set != 0).then(|| 64 * word + set.trailing_zeros() as usize)
        });
        Some(start..set.unwrap_or(range.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a plain array of flags, at every place around two word boundaries.
    #[test]
    fn marks_and_gaps_are_those_of_plain_flags() {
        for start in (0..200).step_by(7).chain([63, 64, 127, 128]) {
            for end in (start..200).step_by(5).chain([start, start + 1]) {
                let end = end.min(200);
                let written = Written::new(200).unwrap();
                written.mark(start..end);
                written.mark(3..5);
                let flag = |i: usize| (start..end).contains(&i) || (3..5).contains(&i);
                for range in [0..200, start..end, 0..start, end..200, 2..6, 60..70, 127..129] {
                    let first = range.clone().find(|i| !flag(*i));
                    let want = first.map(|first| first..(first..range.end).find(|i| flag(*i)).unwrap_or(range.end));
                    assert_eq!(written.gap(range.clone()), want, "{start}..{end}, {range:?}");
                }
            }
        }
    }
}
