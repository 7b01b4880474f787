//! FNV-1a with 128 bits: tells edited files from unedited ones. It guards against mistakes, not against malice.

/// Offset basis of FNV-1a 128.
const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
/// Prime of FNV-1a 128: 2^88 + 2^8 + 0x3b.
const PRIME: u128 = (1 << 88) + 0x13b;

/// A running hash.
#[derive(Clone, Debug)]
pub struct Hash(u128);

impl Hash {
    /// The hash of nothing.
    pub fn new() -> Self {
        Hash(BASIS)
    }

    /// Appends bytes.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        for &byte in bytes {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(PRIME);
        }
        self
    }

    /// Appends a text as one field: its length first, so that moving text from one field to the next shows,
    /// and line ends as LF, so that a checkout with CRLF counts as the same.
    pub fn field(self, text: &str) -> Self {
        let text = lf(text);
        self.bytes(&(text.len() as u64).to_le_bytes()).bytes(text.as_bytes())
    }

    /// 32 hexadecimal digits.
    pub fn hex(&self) -> String {
        format!("{:032x}", self.0)
    }
}

/// The text with line ends LF.
pub fn lf(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Hash of one text.
pub fn of(text: &str) -> String {
    Hash::new().field(text).hex()
}
