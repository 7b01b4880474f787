//! `mbarrier` objects: 64-bit words in shared memory that count arrivals and copied bytes (PTX ISA §9.7.13.15).
//!
//! The encoding is opaque to programs. Here, from bit 0: expected arrivals (20 bits), pending arrivals (20),
//! tx-count (21, two's complement), phase parity (1), and the mark `01` in the top two bits, so that a word that
//! was never initialized (memory starts as all ones) or was invalidated (0) is noticed.

use super::problem::{Problem, shared_range};

/// Largest count and tx-count.
const MAX: i64 = (1 << 20) - 1;
const MARK: u64 = 0b01 << 62;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Barrier {
    expected: u32,
    pending: u32,
    tx: i64,
    parity: bool,
}

impl Barrier {
    fn to_word(self) -> u64 {
        u64::from(self.expected)
            | u64::from(self.pending) << 20
            | (self.tx as u64 & 0x1f_ffff) << 40
            | u64::from(self.parity) << 61
            | MARK
    }

    fn from_word(word: u64) -> Option<Barrier> {
        if word >> 62 != 0b01 {
            return None;
        }
        // Sign-extend the 21 bits of the tx-count.
        let tx = ((word >> 40 & 0x1f_ffff) as i64) << 43 >> 43;
        Some(Barrier {
            expected: (word & 0xf_ffff) as u32,
            pending: (word >> 20 & 0xf_ffff) as u32,
            tx,
            parity: word >> 61 & 1 == 1,
        })
    }

    /// Starts the next phase if this one has seen all its arrivals and bytes.
    fn settle(&mut self) {
        if self.pending == 0 && self.tx == 0 {
            self.parity = !self.parity;
            self.pending = self.expected;
        }
    }

    fn add_tx(&mut self, at: u64, bytes: i64) -> Result<(), Problem> {
        let tx = self.tx + bytes;
        if !(-MAX..=MAX).contains(&tx) {
            return Err(Problem::mbarrier(
                at,
                format!("mbarrier at {at:#x}: tx-count {} {bytes:+} leaves ±{MAX}", self.tx),
            ));
        }
        self.tx = tx;
        Ok(())
    }

    fn arrive(&mut self, at: u64, count: u32) -> Result<(), Problem> {
        if count == 0 || i64::from(count) > MAX {
            return Err(Problem::mbarrier(
                at,
                format!("mbarrier at {at:#x}: arrive with count {count}, allowed are 1 to {MAX}"),
            ));
        }
        match self.pending.checked_sub(count) {
            Some(pending) => self.pending = pending,
            None => {
                let (pending, expected) = (self.pending, self.expected);
                return Err(Problem::mbarrier(
                    at,
                    format!(
                        "mbarrier at {at:#x}: {count} more arrivals than its count, {pending} of {expected} are pending"
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn word(shared: &mut [u8], at: u64) -> Result<&mut [u8; 8], Problem> {
    let range = shared_range(shared.len(), at, 8, 8, "mbarrier")?;
    let limit = shared.len() as u64;
    shared[range]
        .first_chunk_mut()
        .ok_or_else(|| Problem::out_of_bounds(crate::emulator::ir::Space::Shared, at, 8, limit, "mbarrier"))
}

/// Runs `f` on the barrier at `at` and stores it back; the result is the word before.
fn update(shared: &mut [u8], at: u64, f: impl FnOnce(&mut Barrier) -> Result<(), Problem>) -> Result<u64, Problem> {
    let word = word(shared, at)?;
    let before = u64::from_le_bytes(*word);
    let Some(mut barrier) = Barrier::from_word(before) else {
        return Err(Problem::mbarrier(at, format!("no initialized mbarrier at {at:#x} (the word is {before:#018x})")));
    };
    f(&mut barrier)?;
    *word = barrier.to_word().to_le_bytes();
    Ok(before)
}

/// `mbarrier.init`: phase parity 0, `count` arrivals pending in every phase.
///
/// # Errors
/// Bad address; a count outside 1 to 2²⁰ − 1.
pub(crate) fn init(shared: &mut [u8], at: u64, count: u32) -> Result<(), Problem> {
    let word = word(shared, at)?;
    if count == 0 || i64::from(count) > MAX {
        return Err(Problem::mbarrier(
            at,
            format!("mbarrier.init at {at:#x} with count {count}, allowed are 1 to {MAX}"),
        ));
    }
    *word = Barrier { expected: count, pending: count, tx: 0, parity: false }.to_word().to_le_bytes();
    Ok(())
}

/// `mbarrier.inval`.
///
/// # Errors
/// Bad address, or no barrier there.
pub(crate) fn invalidate(shared: &mut [u8], at: u64) -> Result<(), Problem> {
    update(shared, at, |_| Ok(()))?;
    word(shared, at).map(|word| *word = [0; 8])
}

/// `mbarrier.arrive`, with `.expect_tx` first if given. Returns the state before, for [`test_state`].
///
/// # Errors
/// Bad address, no barrier there, more arrivals than are pending, tx-count out of range.
pub(crate) fn arrive(shared: &mut [u8], at: u64, count: u32, expect_tx: Option<u32>) -> Result<u64, Problem> {
    update(shared, at, |barrier| {
        if let Some(bytes) = expect_tx {
            barrier.add_tx(at, i64::from(bytes))?;
        }
        barrier.arrive(at, count)?;
        barrier.settle();
        Ok(())
    })
}

/// `mbarrier.expect_tx`: raises the tx-count.
///
/// # Errors
/// Bad address, no barrier there, tx-count out of range.
pub(crate) fn expect_tx(shared: &mut [u8], at: u64, bytes: u32) -> Result<(), Problem> {
    update(shared, at, |barrier| barrier.add_tx(at, i64::from(bytes))).map(drop)
}

/// `mbarrier.complete_tx`, and what a landed copy does: lowers the tx-count, which may end the phase.
///
/// # Errors
/// As [`expect_tx`].
pub(crate) fn complete_tx(shared: &mut [u8], at: u64, bytes: u32) -> Result<(), Problem> {
    update(shared, at, |barrier| {
        barrier.add_tx(at, -i64::from(bytes))?;
        barrier.settle();
        Ok(())
    })
    .map(drop)
}

/// Raises the pending count by one: what `cp.async.mbarrier.arrive` without `.noinc` does before its copies land.
///
/// # Errors
/// Bad address, no barrier there, count out of range.
pub(crate) fn add_pending(shared: &mut [u8], at: u64) -> Result<(), Problem> {
    update(shared, at, |barrier| {
        if i64::from(barrier.pending) == MAX {
            return Err(Problem::mbarrier(at, format!("mbarrier at {at:#x}: more than {MAX} pending arrivals")));
        }
        barrier.pending += 1;
        Ok(())
    })
    .map(drop)
}

/// `mbarrier.test_wait.parity`: true when the phase of parity `parity` is over, that is, the current one has the
/// other.
///
/// # Errors
/// Bad address, no barrier there, a parity other than 0 or 1.
pub(crate) fn test_parity(shared: &[u8], at: u64, parity: u32) -> Result<bool, Problem> {
    if parity > 1 {
        return Err(Problem::mbarrier(
            at,
            format!("mbarrier at {at:#x}: wait for parity {parity}, allowed are 0 and 1"),
        ));
    }
    Ok(u32::from(read(shared, at)?.parity) != parity)
}

/// `mbarrier.test_wait` by the state that [`arrive`] returned: true when that arrival's phase is over.
///
/// # Errors
/// Bad address, no barrier there, or a state that no arrive returned.
pub(crate) fn test_state(shared: &[u8], at: u64, state: u64) -> Result<bool, Problem> {
    let now = read(shared, at)?;
    match Barrier::from_word(state) {
        Some(then) => Ok(then.parity != now.parity),
        None => Err(Problem::mbarrier(at, format!("mbarrier at {at:#x}: {state:#018x} is not the state of an arrive"))),
    }
}

fn read(shared: &[u8], at: u64) -> Result<Barrier, Problem> {
    let range = shared_range(shared.len(), at, 8, 8, "mbarrier")?;
    let word = shared[range].first_chunk().map_or(0, |w| u64::from_le_bytes(*w));
    Barrier::from_word(word)
        .ok_or_else(|| Problem::mbarrier(at, format!("no initialized mbarrier at {at:#x} (the word is {word:#018x})")))
}

/// Bytes that the current phase awaits; negative when copies brought more than was announced. 0 if there is no
/// mbarrier.
pub(crate) fn awaited(shared: &[u8], at: u64) -> i64 {
    read(shared, at).map_or(0, |barrier| barrier.tx)
}

/// The barrier in words, for deadlock reports: pending arrivals, bytes awaited, phase parity.
pub(crate) fn describe(shared: &[u8], at: u64) -> String {
    match read(shared, at) {
        Ok(b) => format!(
            "mbarrier at {at:#x}: {} of {} arrivals and {} bytes pending, phase parity {}",
            b.pending,
            b.expected,
            b.tx,
            u8::from(b.parity)
        ),
        Err(problem) => problem.what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_need_arrivals_and_bytes() {
        let mut s = vec![0xffu8; 32];
        assert!(arrive(&mut s, 8, 1, None).is_err(), "memory starts as all ones: not a barrier");
        init(&mut s, 8, 3).unwrap();
        assert!(!test_parity(&s, 8, 0).unwrap());
        assert!(test_parity(&s, 8, 1).unwrap(), "the phase before the first counts as over");
        let state = arrive(&mut s, 8, 2, None).unwrap();
        assert!(!test_state(&s, 8, state).unwrap());
        arrive(&mut s, 8, 1, Some(4096)).unwrap();
        assert!(!test_parity(&s, 8, 0).unwrap(), "4096 bytes are missing");
        complete_tx(&mut s, 8, 4000).unwrap();
        assert!(!test_state(&s, 8, state).unwrap());
        complete_tx(&mut s, 8, 96).unwrap();
        assert!(test_state(&s, 8, state).unwrap() && test_parity(&s, 8, 0).unwrap() && !test_parity(&s, 8, 1).unwrap());
        // The count is back: three arrivals end phase 1.
        arrive(&mut s, 8, 3, None).unwrap();
        assert!(test_parity(&s, 8, 1).unwrap() && !test_parity(&s, 8, 0).unwrap());
    }

    #[test]
    fn bytes_may_come_before_they_are_expected() {
        let mut s = vec![0u8; 8];
        init(&mut s, 0, 1).unwrap();
        complete_tx(&mut s, 0, 128).unwrap();
        assert!(!test_parity(&s, 0, 0).unwrap());
        arrive(&mut s, 0, 1, Some(128)).unwrap();
        assert!(test_parity(&s, 0, 0).unwrap());
    }

    #[test]
    fn misuse_is_reported() {
        let mut s = vec![0u8; 16];
        init(&mut s, 0, 2).unwrap();
        arrive(&mut s, 0, 1, Some(16)).unwrap();
        arrive(&mut s, 0, 1, None).unwrap();
        let over = arrive(&mut s, 0, 1, None).unwrap_err();
        assert!(over.what.contains("more arrivals than its count"), "{over}");
        assert!(
            init(&mut s, 0, 0).is_err()
                && init(&mut s, 0, 1 << 20).is_err()
                && init(&mut s, 4, 1).is_err()
                && init(&mut s, 16, 1).is_err()
        );
        assert!(expect_tx(&mut s, 0, 1 << 20).is_err());
        assert!(test_parity(&s, 0, 2).is_err() && test_parity(&s, u64::MAX - 7, 0).is_err());
        assert!(test_state(&s, 0, 0).is_err());
        invalidate(&mut s, 0).unwrap();
        assert!(arrive(&mut s, 0, 1, None).is_err() && invalidate(&mut s, 0).is_err());
    }

    #[test]
    fn words_keep_their_fields() {
        for tx in [-MAX, -1, 0, 1, MAX] {
            let b = Barrier { expected: MAX as u32, pending: 5, tx, parity: true };
            assert_eq!(Barrier::from_word(b.to_word()), Some(b));
        }
    }
}
