//! `vprintf` and `__assertfail`: what kernels say to people.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::super::fault::{Fault, FaultKind};
use super::super::ir::CallOp;
use super::format::{Arg, Conversion, conversions};
use super::interpret::Flow;
use super::memory::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, WINDOW};
use super::run::Run;
use super::words::Words;

/// Bytes of output that a launch keeps.
const MAX_OUTPUT: usize = 16 << 20;
/// Bytes of a string at most.
const MAX_STRING: usize = 64 << 10;

/// What the blocks of a launch printed.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// By the block's number in the grid.
    blocks: Mutex<(BTreeMap<u64, Vec<u8>>, usize)>,
}

impl Output {
    fn add(&self, block: u64, text: &[u8]) {
        let mut guard = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let (blocks, bytes) = &mut *guard;
        *bytes = bytes.saturating_add(text.len());
        if *bytes <= MAX_OUTPUT {
            blocks.entry(block).or_default().extend_from_slice(text);
        }
    }

    /// Appends all of it, in the order of the blocks.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let mut guard = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let (blocks, bytes) = std::mem::take(&mut *guard);
        blocks.into_values().for_each(|mut text| out.append(&mut text));
        if bytes > MAX_OUTPUT {
            out.extend_from_slice(format!("[output beyond {MAX_OUTPUT} bytes is dropped]\n").as_bytes());
        }
    }
}

impl Run<'_> {
    /// `vprintf(format, arguments)`: each lane's whole text, lane after lane. Returns the number of arguments.
    pub(super) fn print(&mut self, op: &CallOp, active: u32) -> Result<Flow, Fault> {
        let base = self.caller_base(op);
        let index = {
            let [x, y, z] = self.cta.index.map(u64::from);
            x + u64::from(self.launch.grid[0]) * (y + u64::from(self.launch.grid[1]) * z)
        };
        for lane in (0..32).filter(|i| active >> i & 1 == 1) {
            let (format, buffer) = (self.argument(op, 0, &base, lane), self.argument(op, 1, &base, lane));
            let format = self.string(format, lane)?;
            let (text, count) = self.formatted(&format, buffer, lane)?;
            self.launch.output.add(index, &text);
            if let Some(place) = op.returns.first() {
                let at = self.local_base(lane) + base[lane] as usize + place.offset as usize;
                if let Some(place) = self.cta.local.as_mut_slice().get_mut(at..at + 4) {
                    place.copy_from_slice(&count.to_le_bytes());
                }
            }
        }
        Ok(Flow::Next)
    }

    /// The fault of `__assertfail(message, file, line, function, character size)`.
    #[cold]
    pub(super) fn assertion(&self, op: &CallOp, active: u32) -> Fault {
        let base = self.caller_base(op);
        let lane = active.trailing_zeros() as usize & 31;
        let text = |at| {
            let bytes = self.string(self.argument(op, at, &base, lane), lane).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (message, file, function) = (text(0), text(1), text(3));
        let line = self.argument(op, 2, &base, lane) as u32;
        let [x, y, z] = self.cta.index;
        let [i, j, k] = self.thread_index(lane);
        let text = format!(
            "{file}:{line}: {function}: block: [{x},{y},{z}], thread: [{i},{j},{k}]: assertion `{message}` failed"
        );
        self.fault(FaultKind::Assert, text, active)
    }

    /// Index of a lane's thread in the block.
    fn thread_index(&self, lane: usize) -> [u32; 3] {
        let [x, y, _] = self.launch.block.map(|n| n.max(1));
        let thread = self.warp.index * 32 + lane as u32;
        [thread % x, thread / x % y, thread / x / y]
    }

    /// An argument of a call, as a number.
    fn argument(&self, op: &CallOp, number: usize, base: &[u64; 32], lane: usize) -> u64 {
        let Some(formal) = op.args.get(number) else { return 0 };
        let at = self.local_base(lane) + base[lane] as usize + formal.offset as usize;
        let bytes = self.cta.local.as_slice().get(at..at + formal.bytes.min(8) as usize).unwrap_or_default();
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// A byte at a generic address.
    fn byte(&self, at: u64, lane: usize) -> Result<u8, Fault> {
        let outside = |what: &str| {
            let text = format!("printf or assert reads a byte at {at:#x}: {what}");
            self.fault(FaultKind::OutOfBounds, text, 1 << lane).at_address(at)
        };
        let window = |base: u64| Some(at.wrapping_sub(base)).filter(|at| *at < WINDOW).map(|at| at as usize);
        if let Some(at) = window(SHARED_WINDOW) {
            return self.cta.shared.as_slice().get(at).copied().ok_or_else(|| outside("past the end of shared memory"));
        }
        if let Some(at) = window(LOCAL_WINDOW) {
            let inside = at < self.launch.local_bytes as usize;
            let found = self.cta.local.as_slice().get(self.local_base(lane) + at).filter(|_| inside);
            return found.copied().ok_or_else(|| outside("past the end of local memory"));
        }
        if let Some(at) = window(PARAM_WINDOW) {
            let found = self.launch.params.as_slice().get(at);
            return found.copied().ok_or_else(|| outside("past the end of the parameter block"));
        }
        let memory = &self.launch.memory;
        let found = memory.index_of(at).map(|i| &*memory.allocations[i]);
        match found.and_then(|allocation| Some((allocation, allocation.offset(at, 1)?))) {
            Some((allocation, offset)) => Ok(allocation.get8(offset)),
            None => Err(outside(&memory.describe(at, 1))),
        }
    }

    /// The bytes up to a NUL.
    fn string(&self, at: u64, lane: usize) -> Result<Vec<u8>, Fault> {
        let mut text = Vec::new();
        loop {
            match self.byte(at.wrapping_add(text.len() as u64), lane)? {
                0 => return Ok(text),
                _ if text.len() == MAX_STRING => return Ok(text),
                byte => text.push(byte),
            }
        }
    }

    /// The text of a format, and how many arguments it took. Arguments lie in the buffer one after the other, each
    /// aligned to its size: what C makes of `…` (PTX Interoperability, §3.4: variadic functions).
    fn formatted(&self, format: &[u8], buffer: u64, lane: usize) -> Result<(Vec<u8>, u32), Fault> {
        let (mut out, mut at, mut count) = (Vec::new(), buffer, 0);
        let next = |at: &mut u64, count: &mut u32, bytes: u64| -> Result<u64, Fault> {
            // Any number can be where the arguments are said to lie: beyond the last address is the first.
            *at = at.wrapping_add(bytes - 1) & !(bytes - 1);
            let mut value = 0;
            for i in 0..bytes {
                value |= u64::from(self.byte(at.wrapping_add(i), lane)?) << (8 * i);
            }
            *at = at.wrapping_add(bytes);
            *count += 1;
            Ok(value)
        };
        for piece in conversions(format) {
            let mut conversion: Conversion = match piece {
                Ok(conversion) => conversion,
                Err(text) => {
                    out.extend_from_slice(text);
                    continue;
                }
            };
            if conversion.width_is_argument {
                conversion.set_width(next(&mut at, &mut count, 4)? as u32 as i32);
            }
            if conversion.precision_is_argument {
                conversion.set_precision(next(&mut at, &mut count, 4)? as u32 as i32);
            }
            let value = next(&mut at, &mut count, conversion.bytes())?;
            let string = if conversion.kind == b's' { Some(self.string(value, lane)?) } else { None };
            let arg = string.as_deref().map_or(Arg::Bits(value), Arg::Text);
            out.extend_from_slice(&conversion.apply(arg));
            if out.len() > MAX_OUTPUT {
                break;
            }
        }
        Ok((out, count))
    }
}
