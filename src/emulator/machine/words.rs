//! Memory seen as words of four widths: what loads, stores and atomics need of a space.

/// Bytes that are read and written in naturally aligned little-endian words. `at` is a byte offset that the caller
/// has checked for bounds and alignment; a wrong one panics rather than touching other memory.
pub(crate) trait Words {
    /// Reads one byte.
    fn get8(&self, at: usize) -> u8;
    /// Reads two bytes.
    fn get16(&self, at: usize) -> u16;
    /// Reads four bytes.
    fn get32(&self, at: usize) -> u32;
    /// Reads eight bytes.
    fn get64(&self, at: usize) -> u64;
    /// Writes one byte.
    fn put8(&mut self, at: usize, value: u8);
    /// Writes two bytes.
    fn put16(&mut self, at: usize, value: u16);
    /// Writes four bytes.
    fn put32(&mut self, at: usize, value: u32);
    /// Writes eight bytes.
    fn put64(&mut self, at: usize, value: u64);
    /// Replaces four bytes by a function of them, at once, and returns what was there.
    fn update32(&mut self, at: usize, f: impl Fn(u32) -> u32) -> u32 {
        let old = self.get32(at);
        self.put32(at, f(old));
        old
    }
    /// Replaces eight bytes by a function of them, at once, and returns what was there.
    fn update64(&mut self, at: usize, f: impl Fn(u64) -> u64) -> u64 {
        let old = self.get64(at);
        self.put64(at, f(old));
        old
    }
}

/// Bytes of one block or thread: shared, local and parameter memory. Exactly `len` bytes are inside; storage is
/// whole words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bytes {
    words: Vec<u64>,
    len: usize,
}

impl Bytes {
    /// `len` bytes, each of value `byte`.
    pub fn new(len: usize, byte: u8) -> Bytes {
        Bytes { words: vec![u64::from_le_bytes([byte; 8]); len.div_ceil(8)], len }
    }

    /// How many bytes are inside.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Sets every byte.
    pub fn fill(&mut self, byte: u8) {
        self.words.fill(u64::from_le_bytes([byte; 8]));
    }

    /// Every byte inside.
    #[inline(always)]
    pub fn as_slice(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }

    /// Every byte inside.
    #[inline(always)]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}

impl Words for &mut Bytes {
    #[inline(always)]
    fn get8(&self, at: usize) -> u8 {
        bytemuck::cast_slice::<u64, u8>(&self.words)[at]
    }
    #[inline(always)]
    fn get16(&self, at: usize) -> u16 {
        bytemuck::cast_slice::<u64, u16>(&self.words)[at / 2]
    }
    #[inline(always)]
    fn get32(&self, at: usize) -> u32 {
        bytemuck::cast_slice::<u64, u32>(&self.words)[at / 4]
    }
    #[inline(always)]
    fn get64(&self, at: usize) -> u64 {
        self.words[at / 8]
    }
    #[inline(always)]
    fn put8(&mut self, at: usize, value: u8) {
        bytemuck::cast_slice_mut::<u64, u8>(&mut self.words)[at] = value;
    }
    #[inline(always)]
    fn put16(&mut self, at: usize, value: u16) {
        bytemuck::cast_slice_mut::<u64, u16>(&mut self.words)[at / 2] = value;
    }
    #[inline(always)]
    fn put32(&mut self, at: usize, value: u32) {
        bytemuck::cast_slice_mut::<u64, u32>(&mut self.words)[at / 4] = value;
    }
    #[inline(always)]
    fn put64(&mut self, at: usize, value: u64) {
        self.words[at / 8] = value;
    }
}

impl Words for &mut &Bytes {
    #[inline(always)]
    fn get8(&self, at: usize) -> u8 {
        bytemuck::cast_slice::<u64, u8>(&self.words)[at]
    }
    #[inline(always)]
    fn get16(&self, at: usize) -> u16 {
        bytemuck::cast_slice::<u64, u16>(&self.words)[at / 2]
    }
    #[inline(always)]
    fn get32(&self, at: usize) -> u32 {
        bytemuck::cast_slice::<u64, u32>(&self.words)[at / 4]
    }
    #[inline(always)]
    fn get64(&self, at: usize) -> u64 {
        self.words[at / 8]
    }
    // Read-only memory: writes are refused before they get here, and change nothing if they do.
    fn put8(&mut self, _: usize, _: u8) {}
    fn put16(&mut self, _: usize, _: u16) {}
    fn put32(&mut self, _: usize, _: u32) {}
    fn put64(&mut self, _: usize, _: u64) {}
}
