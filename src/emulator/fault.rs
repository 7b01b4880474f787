//! What stops a kernel, and where it stood.

use std::fmt;

/// The kind of a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// PTX text that cannot be read.
    Parse,
    /// PTX that is valid but that this emulator does not run (an instruction, a type, a launch attribute).
    Unsupported,
    /// A launch or a host call with arguments that do not fit.
    Launch,
    /// An access outside every allocation, or past the end of one.
    OutOfBounds,
    /// An access whose address is not a multiple of its size.
    Misaligned,
    /// Lanes of a warp stand at different places where the instruction needs them together.
    Divergence,
    /// Wrong use of a barrier or an mbarrier.
    Barrier,
    /// No warp of a block can ever run again.
    Deadlock,
    /// The kernel ran longer than the step limit allows.
    StepLimit,
    /// The kernel executed `trap`.
    Trap,
    /// An `assert` of the kernel failed.
    Assert,
    /// A call that cannot be made: an address that is no function's, or arguments that are not its.
    Call,
    /// A thread's calls need more stack than it has.
    StackOverflow,
    /// The host has no memory left for the device's.
    OutOfMemory,
}

/// Where a kernel stood when it was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// Name of the kernel entry.
    pub kernel: String,
    /// Name of the device function that the instruction belongs to, if it is one that is called.
    pub function: Option<String>,
    /// The PTX instruction.
    pub instruction: String,
    /// Its 1-based line in the PTX text.
    pub ptx_line: u32,
    /// Kernel source file and 1-based line, if the PTX tells (`-lineinfo`).
    pub source: Option<(String, u32)>,
    /// Block index in the grid.
    pub block: [u32; 3],
    /// Warp index in the block.
    pub warp: u32,
    /// Lanes concerned, one bit each.
    pub lanes: u32,
    /// Where the function was called, the innermost call first: source file (or `PTX`) and line. A call that the
    /// compiler inlined is told by its innermost place; those on the stack of the first lane follow, in faults.
    pub callers: Vec<(String, u32)>,
}

/// Callers that a report lists; of a deep recursion the rest is counted.
const CALLERS: usize = 8;

/// Why PTX was refused or a kernel was stopped. `Display` is the whole report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault.
    pub kind: FaultKind,
    /// What is wrong, with the values.
    pub message: String,
    /// Where the kernel stood; `None` for faults of the host side.
    pub site: Option<Box<Site>>,
    /// The faulting device address, if one is concerned.
    pub address: Option<u64>,
}

impl Fault {
    /// A fault without a place in a kernel.
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>) -> Fault {
        Fault { kind, message: message.into(), site: None, address: None }
    }

    /// The same fault about this address.
    pub(crate) fn at_address(mut self, address: u64) -> Fault {
        self.address = Some(address);
        self
    }
}

/// Lanes of a mask as people write them: "lane 5", "lanes 0-3, 8".
pub(crate) fn lanes_text(mask: u32) -> String {
    let plural = if mask.count_ones() == 1 { "lane" } else { "lanes" };
    format!("{plural} {}", ranges_text((0..32).filter(|lane| mask >> lane & 1 == 1)))
}

/// Rising numbers with their runs put together: "0-3, 8".
pub(crate) fn ranges_text(numbers: impl Iterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for n in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(n) => *last = n,
            _ => runs.push((n, n)),
        }
    }
    let text = |(first, last): (u32, u32)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    runs.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  in kernel `{}`", self.kernel)?;
        if let Some(function) = &self.function {
            write!(f, ", function `{function}`")?;
        }
        if !self.instruction.is_empty() {
            write!(f, ", instruction `{}` (PTX line {})", self.instruction, self.ptx_line)?;
        }
        if let Some((file, line)) = &self.source {
            write!(f, "\n  at {file}:{line}")?;
        }
        for (file, line) in self.callers.iter().take(CALLERS) {
            write!(f, "\n  called at {file}:{line}")?;
        }
        if self.callers.len() > CALLERS {
            write!(f, "\n  and {} calls more", self.callers.len() - CALLERS)?;
        }
        let [x, y, z] = self.block;
        write!(f, "\n  block ({x}, {y}, {z}), warp {}", self.warp)?;
        if self.lanes != 0 {
            write!(f, ", {}", lanes_text(self.lanes))?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.site.as_ref().map_or(Ok(()), |site| write!(f, "{site}"))
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_listed_as_ranges() {
        assert_eq!(lanes_text(1 << 5), "lane 5");
        assert_eq!(lanes_text(0b1_0000_1111), "lanes 0-3, 8");
        assert_eq!(lanes_text(u32::MAX), "lanes 0-31");
    }

    #[test]
    fn a_report_names_everything_it_knows() {
        let mut fault = Fault::new(FaultKind::OutOfBounds, "read of 4 bytes at 0x500").at_address(0x500);
        fault.site = Some(Box::new(Site {
            kernel: "k".into(),
            instruction: "ld.global.u32 %r1, [%rd1];".into(),
            ptx_line: 12,
            source: Some(("k.cu".into(), 3)),
            block: [1, 2, 0],
            warp: 4,
            lanes: 1,
            function: Some("f".into()),
            callers: (0..9).map(|i| ("k.cu".into(), 20 + i)).collect(),
        }));
        assert_eq!(
            fault.to_string(),
            "read of 4 bytes at 0x500\n  in kernel `k`, function `f`, instruction `ld.global.u32 %r1, [%rd1];` (PTX line 12)\n  \
             at k.cu:3\n  called at k.cu:20\n  called at k.cu:21\n  called at k.cu:22\n  called at k.cu:23\n  called at \
             k.cu:24\n  called at k.cu:25\n  called at k.cu:26\n  called at k.cu:27\n  and 1 calls more\n  block (1, 2, 0), \
             warp 4, lane 0"
        );
    }
}
