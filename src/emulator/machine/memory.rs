//! Global memory: named allocations at modelled addresses, and the fixed windows of the generic address space.
//!
//! Blocks of a racing kernel write the same bytes from several host threads, so every access is a relaxed
//! atomic; on the machines we know these compile to plain moves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use super::super::fault::{Fault, FaultKind};
use super::operand::Operands;
use super::words::Words;
use super::written::Written;

/// First address of global memory; nothing lies below, so that null and small integers fault.
const GLOBAL_FIRST: u64 = 0x7_0000_0000;
/// Alignment of every allocation.
const ALIGN: u64 = 256;
/// Unmapped bytes between two allocations, at least.
const GAP: u64 = 4096;
/// Generic address of byte 0 of a block's shared memory.
pub(crate) const SHARED_WINDOW: u64 = 0x7000_0000_0000;
/// Generic address of byte 0 of a thread's local memory.
pub(crate) const LOCAL_WINDOW: u64 = 0x7100_0000_0000;
/// Generic address of byte 0 of the parameter block.
pub(crate) const PARAM_WINDOW: u64 = 0x7200_0000_0000;
/// Bytes of a window.
pub(crate) const WINDOW: u64 = 1 << 32;
/// Freed allocations that reports still know.
const REMEMBERED: usize = 64;

/// One allocation.
pub(crate) struct Allocation {
    /// Device address of its first byte.
    pub base: u64,
    /// Bytes.
    pub len: usize,
    /// What the owner calls it.
    pub name: Arc<str>,
    /// Which bytes were ever written, in checked mode.
    pub written: Option<Written>,
    words: Box<[AtomicU64]>,
}

macro_rules! view {
    ($name:ident, $atomic:ty) => {
        #[inline(always)]
        fn $name(&self) -> &[$atomic] {
            let factor = 8 / size_of::<$atomic>();
            // SAFETY: the words are `factor` times as many narrower atomics, of a layout that has no padding,
            // aligned as the wider ones are; all access is through atomics, so views may be shared.
            unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.words.len() * factor) }
        }
    };
}

impl Allocation {
    view!(u8s, AtomicU8);
    view!(u16s, AtomicU16);
    view!(u32s, AtomicU32);

    /// The offset of an access, if all its bytes lie inside.
    #[inline(always)]
    pub fn offset(&self, address: u64, bytes: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.base);
        (bytes <= self.len && offset <= (self.len - bytes) as u64).then_some(offset as usize)
    }

    /// The 16 bytes at a multiple of 16; they must lie inside.
    #[inline(always)]
    pub fn chunk(&self, offset: usize) -> [u8; 16] {
        let [low, high] = [self.words[offset / 8].load(Relaxed), self.words[offset / 8 + 1].load(Relaxed)];
        (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
    }

    /// Asks the host for the cache line of this byte, if there is one; no more than a hint.
    #[inline(always)]
    pub fn prefetch(&self, offset: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Some(word) = self.words.get(offset / 8) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: every x86-64 processor has the instruction, and it reads nothing that the program can see.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }

    /// Copies bytes out; the range must lie inside.
    pub fn copy_out(&self, offset: usize, out: &mut [u8]) {
        if offset.is_multiple_of(8) {
            let (chunks, rest) = out.as_chunks_mut::<8>();
            let (words, after) = self.words[offset / 8..].split_at(chunks.len());
            for (chunk, word) in chunks.iter_mut().zip(words) {
                *chunk = word.load(Relaxed).to_le_bytes();
            }
            if let (false, Some(word)) = (rest.is_empty(), after.first()) {
                rest.copy_from_slice(&word.load(Relaxed).to_le_bytes()[..rest.len()]);
            }
        } else {
            for (byte, cell) in out.iter_mut().zip(&self.u8s()[offset..]) {
                *byte = cell.load(Relaxed);
            }
        }
    }

    /// Copies bytes in; the range must lie inside.
    pub fn copy_in(&self, offset: usize, data: &[u8]) {
        if let Some(written) = &self.written {
            written.mark(offset..offset + data.len());
        }
        let (head, body) = data.split_at(data.len().min(offset.wrapping_neg() % 8));
        for (byte, cell) in head.iter().zip(&self.u8s()[offset..]) {
            cell.store(*byte, Relaxed);
        }
        let (words, tail) = body.as_chunks::<8>();
        let at = (offset + head.len()) / 8;
        for (word, cell) in words.iter().zip(self.words.get(at..).unwrap_or_default()) {
            cell.store(u64::from_le_bytes(*word), Relaxed);
        }
        let at = offset + data.len() - tail.len();
        for (byte, cell) in tail.iter().zip(self.u8s().get(at..).unwrap_or_default()) {
            cell.store(*byte, Relaxed);
        }
    }
}

impl Words for &Allocation {
    #[inline(always)]
    fn get8(&self, at: usize) -> u8 {
        self.u8s()[at].load(Relaxed)
    }
    #[inline(always)]
    fn get16(&self, at: usize) -> u16 {
        self.u16s()[at / 2].load(Relaxed)
    }
    #[inline(always)]
    fn get32(&self, at: usize) -> u32 {
        self.u32s()[at / 4].load(Relaxed)
    }
    #[inline(always)]
    fn get64(&self, at: usize) -> u64 {
        self.words[at / 8].load(Relaxed)
    }
    #[inline(always)]
    fn put8(&mut self, at: usize, value: u8) {
        self.u8s()[at].store(value, Relaxed);
    }
    #[inline(always)]
    fn put16(&mut self, at: usize, value: u16) {
        self.u16s()[at / 2].store(value, Relaxed);
    }
    #[inline(always)]
    fn put32(&mut self, at: usize, value: u32) {
        self.u32s()[at / 4].store(value, Relaxed);
    }
    #[inline(always)]
    fn put64(&mut self, at: usize, value: u64) {
        self.words[at / 8].store(value, Relaxed);
    }
    fn update32(&mut self, at: usize, f: impl Fn(u32) -> u32) -> u32 {
        let cell = &self.u32s()[at / 4];
        // AcqRel: a kernel's semaphores order its other accesses between blocks.
        let mut old = cell.load(std::sync::atomic::Ordering::Acquire);
        loop {
            match cell.compare_exchange_weak(
                old,
                f(old),
                std::sync::atomic::Ordering::AcqRel,
                std::sync::atomic::Ordering::Acquire,
            ) {
                Ok(old) => return old,
                Err(now) => old = now,
            }
        }
    }
    fn update64(&mut self, at: usize, f: impl Fn(u64) -> u64) -> u64 {
        let cell = &self.words[at / 8];
        let mut old = cell.load(std::sync::atomic::Ordering::Acquire);
        loop {
            match cell.compare_exchange_weak(
                old,
                f(old),
                std::sync::atomic::Ordering::AcqRel,
                std::sync::atomic::Ordering::Acquire,
            ) {
                Ok(old) => return old,
                Err(now) => old = now,
            }
        }
    }
}

#[derive(Default)]
struct Table {
    live: BTreeMap<u64, Arc<Allocation>>,
    freed: VecDeque<(u64, usize, Arc<str>)>,
    next: u64,
}

/// The allocations of one machine.
#[derive(Default)]
pub(crate) struct GlobalMemory {
    table: RwLock<Table>,
    /// Whether to know which bytes were ever written.
    checked: bool,
}

impl GlobalMemory {
    /// Without allocations; `checked` ones know which of their bytes were written.
    pub fn new(checked: bool) -> GlobalMemory {
        GlobalMemory { checked, ..GlobalMemory::default() }
    }

    /// Makes an allocation whose bytes are all `0xFF` (NaN in every float format), so that what was never
    /// written shows.
    pub fn alloc(&self, bytes: usize, name: &str) -> Result<u64, Fault> {
        let count = bytes.div_ceil(8);
        let no_memory = || {
            let text = format!("cannot allocate {bytes} bytes for `{name}`: the host has no memory left");
            Fault::new(FaultKind::OutOfMemory, text)
        };
        if bytes as u64 >= SHARED_WINDOW {
            return Err(no_memory());
        }
        let mut words: Vec<AtomicU64> = Vec::new();
        words.try_reserve_exact(count).map_err(|_| no_memory())?;
        words.resize_with(count, || AtomicU64::new(u64::MAX));
        let written = self.checked.then(|| Written::new(bytes)).transpose().map_err(|_| no_memory())?;
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let base = table.next.max(GLOBAL_FIRST);
        // Both are below the first window, so the sum is far from overflow.
        let next = (base + bytes as u64 + GAP).next_multiple_of(ALIGN);
        if next >= SHARED_WINDOW {
            return Err(no_memory());
        }
        table.next = next;
        let allocation = Allocation { base, len: bytes, name: name.into(), written, words: words.into_boxed_slice() };
        table.live.insert(base, Arc::new(allocation));
        Ok(base)
    }

    /// Frees the allocation that starts at this address. Kernels that run keep what they can see.
    pub fn free(&self, address: u64) -> Result<(), Fault> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let Some(gone) = table.live.remove(&address) else {
            let text = format!("{address:#x} is not the start of an allocation");
            return Err(Fault::new(FaultKind::OutOfBounds, text).at_address(address));
        };
        table.freed.push_back((gone.base, gone.len, gone.name.clone()));
        if table.freed.len() > REMEMBERED {
            table.freed.pop_front();
        }
        Ok(())
    }

    /// The allocation that holds a range, and the range's offset in it.
    pub fn find(&self, address: u64, bytes: usize, what: &str) -> Result<(Arc<Allocation>, usize), Fault> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, allocation)) = table.live.range(..=address).next_back()
            && let Some(offset) = allocation.offset(address, bytes)
        {
            return Ok((allocation.clone(), offset));
        }
        drop(table);
        let text = format!("{what} of {bytes} bytes at {address:#x}: {}", self.snapshot().describe(address, bytes));
        Err(Fault::new(FaultKind::OutOfBounds, text).at_address(address))
    }

    /// What a launch sees: the allocations of this moment.
    pub fn snapshot(&self) -> Snapshot {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            allocations: table.live.values().cloned().collect(),
            freed: table.freed.iter().cloned().collect(),
            operands: Operands::default(),
            hint: AtomicUsize::new(0),
        }
    }
}

/// The allocations that one launch sees, sorted by address.
pub(crate) struct Snapshot {
    /// Sorted by base.
    pub allocations: Vec<Arc<Allocation>>,
    freed: Vec<(u64, usize, Arc<str>)>,
    /// What the launch was given of them.
    pub operands: Operands,
    /// Index of an allocation that was hit lately: asynchronous copies look there first.
    hint: AtomicUsize,
}

impl Snapshot {
    /// The allocation that holds a range, and the range's offset in it.
    #[inline]
    pub fn find(&self, address: u64, bytes: usize) -> Option<(&Allocation, usize)> {
        let hint = self.hint.load(Relaxed);
        if let Some(a) = self.allocations.get(hint)
            && let Some(offset) = a.offset(address, bytes)
        {
            return Some((a, offset));
        }
        let index = self.index_of(address)?;
        let offset = self.allocations[index].offset(address, bytes)?;
        self.hint.store(index, Relaxed);
        Some((&self.allocations[index], offset))
    }

    /// Index of the last allocation that starts at or below an address.
    pub fn index_of(&self, address: u64) -> Option<usize> {
        self.allocations.partition_point(|a| a.base <= address).checked_sub(1)
    }

    /// The last allocation that starts at or below an address.
    pub fn holding(&self, address: u64) -> Option<&Allocation> {
        self.index_of(address).map(|index| &*self.allocations[index])
    }

    /// Copies bytes out of global memory; false when they are not all inside one allocation.
    pub fn read(&self, address: u64, out: &mut [u8]) -> bool {
        let Some((allocation, offset)) = self.find(address, out.len()) else { return false };
        allocation.copy_out(offset, out);
        true
    }

    /// Says where an address lies that is in no allocation: "16 bytes past the end of `weights` (4096 bytes)".
    pub fn describe(&self, address: u64, bytes: usize) -> String {
        if let Some((_, len, name)) =
            self.freed.iter().find(|(base, len, _)| address >= *base && address - base < *len as u64)
        {
            return format!("inside `{name}` ({len} bytes), which was freed");
        }
        let below = self.index_of(address).map(|i| &self.allocations[i]);
        let above = self.allocations.get(self.allocations.partition_point(|a| a.base <= address));
        let label = |a: &Allocation| format!("{} ({} bytes)", self.operands.label(a), a.len);
        let past =
            below.map(|a| (address - a.base, a)).map(|(offset, a)| (offset.saturating_sub(a.len as u64), offset, a));
        match (past, above) {
            (Some((0, offset, a)), _) if offset < a.len as u64 => {
                let beyond = offset.saturating_add(bytes as u64).saturating_sub(a.len as u64);
                format!("reaches {beyond} bytes past the end of {}", label(a))
            }
            (Some((past, _, _)), Some(next)) if next.base - address < past => {
                format!("{} bytes before the start of {}", next.base - address, label(next))
            }
            (Some((past, _, a)), _) => format!("{past} bytes past the end of {}", label(a)),
            (None, Some(next)) => format!("{} bytes before the start of {}", next.base - address, label(next)),
            (None, None) => "there is no allocation".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_aligned_apart_and_never_reused() {
        let memory = GlobalMemory::default();
        let a = memory.alloc(1, "a").unwrap();
        let b = memory.alloc(300, "b").unwrap();
        assert!(a % 256 == 0 && b % 256 == 0 && b >= a + 1 + GAP);
        memory.free(a).unwrap();
        assert!(memory.alloc(1, "c").unwrap() > b);
        assert!(memory.free(a).is_err());
        assert!(memory.find(a, 1, "read").err().unwrap().message.contains("`a` (1 bytes), which was freed"));
    }

    #[test]
    fn bounds_are_exact_and_reports_name_the_nearest() {
        let memory = GlobalMemory::default();
        let a = memory.alloc(4096, "weights").unwrap();
        assert!(memory.find(a, 4096, "read").is_ok());
        assert!(memory.find(a + 4095, 1, "read").is_ok());
        let text = |address, bytes| memory.find(address, bytes, "read").err().unwrap().message;
        assert!(text(a + 4112, 4).contains("16 bytes past the end of `weights` (4096 bytes)"), "{}", text(a + 4112, 4));
        assert!(text(a + 4094, 4).contains("reaches 2 bytes past the end of `weights`"));
        assert!(text(a - 8, 4).contains("8 bytes before the start of `weights`"));
        assert!(memory.find(u64::MAX, 4, "read").is_err());
        assert!(memory.find(a, usize::MAX, "read").is_err() && memory.find(u64::MAX, usize::MAX, "read").is_err());
        for bytes in [usize::MAX, usize::MAX - 4096, 1 << 60, SHARED_WINDOW as usize] {
            assert_eq!(memory.alloc(bytes, "huge").err().unwrap().kind, FaultKind::OutOfMemory);
        }
    }

    #[test]
    fn copies_work_at_every_offset() {
        let memory = GlobalMemory::default();
        let a = memory.alloc(64, "a").unwrap();
        for offset in 0..24 {
            for len in 0..24usize {
                let data: Vec<u8> = (0..len).map(|i| (i * 7 + offset) as u8).collect();
                let (allocation, at) = memory.find(a + offset as u64, len, "write").unwrap();
                allocation.copy_in(at, &data);
                let mut out = vec![0; len];
                allocation.copy_out(at, &mut out);
                assert_eq!(out, data);
            }
        }
    }
}
