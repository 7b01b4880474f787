//! Golden files: what a probe gave on a GPU, and what exactly was run there.
//!
//! A few lines of text, an empty line, then the words: 256 at a time, each time the bytes that the greatest of them
//! needs (1, 2 or 4) and the words in that many bytes, little-endian.

use std::fmt::Write;

use crate::{Error, Result};

/// First line of every file.
const MAGIC: &str = "halfbyte golden 1";
/// Words that share a width.
const GROUP: usize = 256;

/// A golden file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Golden {
    /// The probe.
    pub name: String,
    /// What its PTX was compiled for: `sm_80`.
    pub target: String,
    /// Checksum of its instructions.
    pub instructions: u32,
    /// Checksum of its input.
    pub input: u32,
    /// The GPU, as its driver calls it.
    pub device: String,
    /// The driver's version.
    pub driver: String,
    /// What the probe gave ([`ProbeOutput::recorded`](super::ProbeOutput::recorded)).
    pub words: Vec<u32>,
}

impl Golden {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{MAGIC}\n");
        let Golden { name, target, instructions, input, device, driver, words } = self;
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "probe {name}\ntarget {target}\ninstructions {instructions:08x}\ninput {input:08x}\ndevice {device}\n\
             driver {driver}\nwords {}\n\n",
            words.len()
        );
        let mut bytes = text.into_bytes();
        for group in words.chunks(GROUP) {
            let width = match group.iter().max() {
                Some(0..=0xff) | None => 1,
                Some(0x100..=0xffff) => 2,
                Some(_) => 4,
            };
            bytes.push(width as u8);
            group.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()[..width]));
        }
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Golden> {
        let fail = |what: &str| Error::File(format!("golden file: {what}"));
        let end = bytes.windows(2).position(|two| two == b"\n\n").ok_or_else(|| fail("no end of the heading"))?;
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| fail("the heading is not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(MAGIC) {
            return Err(fail("another format"));
        }
        let mut field = |name: &str| {
            let line = lines.next().unwrap_or("");
            let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
            value.map(str::to_owned).ok_or_else(|| fail(&format!("`{line}` where `{name}` should stand")))
        };
        let hex = |text: String| u32::from_str_radix(&text, 16).map_err(|_| fail(&format!("`{text}` is no checksum")));
        let mut golden = Golden {
            name: field("probe")?,
            target: field("target")?,
            instructions: hex(field("instructions")?)?,
            input: hex(field("input")?)?,
            device: field("device")?,
            driver: field("driver")?,
            words: Vec::new(),
        };
        let count: usize = field("words")?.parse().map_err(|_| fail("no number of words"))?;
        let mut rest = &bytes[end + 2..];
        while golden.words.len() < count {
            let group = GROUP.min(count - golden.words.len());
            let (&width, tail) = rest.split_first().ok_or_else(|| fail("it ends early"))?;
            let width = usize::from(width);
            if !matches!(width, 1 | 2 | 4) || tail.len() < width * group {
                return Err(fail("it ends early"));
            }
            let (words, tail) = tail.split_at(width * group);
            for word in words.chunks(width) {
                golden.words.push(word.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte)));
            }
            rest = tail;
        }
        if rest.is_empty() { Ok(golden) } else { Err(fail(&format!("{} bytes too many", rest.len()))) }
    }
}

/// FNV-1a over the bytes of words, little-endian.
pub(super) fn checksum(words: &[u32]) -> u32 {
    fnv(words.iter().flat_map(|word| word.to_le_bytes()))
}

pub(super) fn checksum_text(text: &str) -> u32 {
    fnv(text.bytes())
}

fn fnv(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(words: Vec<u32>) -> Golden {
        let text = |text: &str| text.to_owned();
        let (name, target) = (text("mma_int8"), text("sm_80"));
        Golden {
            name,
            target,
            instructions: 0xabc,
            input: u32::MAX,
            device: text("GPU 1"),
            driver: text("580.1"),
            words,
        }
    }

    #[test]
    fn files_come_back() {
        // Groups of each width, and a short one.
        let words: Vec<u32> = (0..256).chain(0..256).map(|i| i * 257).chain([1 << 31, 5, 0]).collect();
        for words in [Vec::new(), vec![7], words] {
            let golden = example(words);
            assert_eq!(Golden::from_bytes(&golden.to_bytes()), Ok(golden));
        }
        assert_eq!(example((0..256).collect()).to_bytes().len(), example(vec![]).to_bytes().len() + 2 + 257);
    }

    #[test]
    fn damage_is_seen() {
        let good = example((0..300).collect()).to_bytes();
        assert!(Golden::from_bytes(&good[..good.len() - 1]).is_err());
        assert!(Golden::from_bytes(&[good.clone(), vec![0]].concat()).is_err());
        assert!(Golden::from_bytes(&good[9..]).is_err());
        assert!(Golden::from_bytes(b"").is_err());
    }

    #[test]
    fn checksums_are_fnv_1a() {
        // From the authors' test vectors.
        assert_eq!(checksum_text(""), 0x811c_9dc5);
        assert_eq!(checksum_text("foobar"), 0xbf9c_f968);
        assert_eq!(checksum(&[u32::from_le_bytes(*b"foob")]), checksum_text("foob"));
    }
}
