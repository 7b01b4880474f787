//! Calls and returns (PTX ISA §9.7.12.5, §9.7.12.6).
//!
//! A function has registers and local memory of its own, so a call copies the arguments, notes for each lane where it
//! came from and goes on there. Only a function that may be called again before it returns keeps more apart: its memory
//! is a frame on the lane's stack, and a call puts the registers of the call before into that frame until it returns.
//! All of that is by lane, so lanes at different depths of a recursion run together where they meet.

use super::super::fault::{Fault, FaultKind};
use super::super::ir::{CallOp, CallTarget, Code, Formal, Frame, Op, Reg, Routine};
use super::interpret::Flow;
use super::run::Run;
use super::warp::{Fragment, State};

/// Deepest nesting of calls: functions that do not recurse need no stack, but each call is noted.
const MAX_DEPTH: usize = 1 << 14;

/// Calls of the same depth, by lane.
#[derive(Clone, Copy)]
struct Row {
    /// The instruction that called.
    pc: [u32; 32],
    /// The stack before the call.
    top: [u32; 32],
    /// Where the frame of the function's call before starts.
    pointer: [u64; 32],
}

/// Where the calls of a warp's lanes return to.
#[derive(Default)]
pub(crate) struct Calls {
    rows: Vec<Row>,
    /// Calls that each lane is in.
    depth: [u32; 32],
    /// Where each lane's stack ends: an offset in local memory.
    top: [u32; 32],
}

impl Calls {
    /// No lane is in a call.
    pub fn start(&mut self, code: &Code) {
        (self.depth, self.top) = ([0; 32], [code.local_bytes.next_multiple_of(16); 32]);
    }

    /// Bytes of host memory that it takes.
    pub fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>()
    }
}

/// The lanes of a mask.
fn lanes(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (lane < 32).then_some(lane as usize)
    })
}

impl Run<'_> {
    /// `call`.
    pub(super) fn call(&mut self, op: &CallOp, active: u32) -> Result<Flow, Fault> {
        let code = self.launch.code;
        match op.target {
            CallTarget::Function(function) => match code.functions.get(function as usize) {
                Some(routine) => self.enter(routine, op, active, 0),
                None => Err(self.unknown()),
            },
            CallTarget::Address(target) => {
                let targets = self.warp.regs.r64[usize::from(target)].0;
                let address = targets[active.trailing_zeros() as usize & 31];
                let same = lanes(active).filter(|i| targets[*i] == address).fold(0, |m, i| m | 1 << i);
                let Some(routine) = code.functions.iter().find(|routine| routine.address == address) else {
                    let text = format!("call of {address:#x}, which is the address of no function of the module");
                    return Err(self.fault(FaultKind::Call, text, same).at_address(address));
                };
                let sizes = |formals: &[Formal]| formals.iter().map(|formal| formal.bytes).collect::<Vec<_>>();
                let given = [sizes(&op.args), sizes(&op.returns)];
                let taken = [sizes(&routine.params), sizes(&routine.returns)];
                if given[0] != taken[0] || !given[1].is_empty() && given[1] != taken[1] {
                    let text = format!(
                        "call of `{}` by its address, with arguments of {:?} bytes for results of {:?}; it takes {:?} \
                         and gives {:?}",
                        routine.name, given[0], given[1], taken[0], taken[1]
                    );
                    return Err(self.fault(FaultKind::Call, text, same));
                }
                self.enter(routine, op, same, active & !same)
            }
            CallTarget::Printf => self.print(op, active),
            CallTarget::Assert => Err(self.assertion(op, active)),
        }
    }

    /// The offset in the block's local memory at which a lane's begins.
    pub(super) fn local_base(&self, lane: usize) -> usize {
        (self.warp.index as usize * 32 + lane) * self.launch.local_bytes.next_multiple_of(16) as usize
    }

    /// Where the places that a call names begin, by lane: 0, or the caller's frame.
    pub(super) fn caller_base(&self, op: &CallOp) -> [u64; 32] {
        op.frame.map_or([0; 32], |reg| self.warp.regs.r64[usize::from(reg)].0)
    }

    /// Copies arguments or results within the local memory of each lane.
    fn copy(&mut self, active: u32, from: (&[u64; 32], &[Formal]), to: (&[u64; 32], &[Formal])) -> Result<(), Fault> {
        let len = u64::from(self.launch.local_bytes);
        let stride = len.next_multiple_of(16) as usize;
        let first = self.warp.index as usize * 32 * stride;
        let memory = self.cta.local.as_mut_slice();
        let mut inside = true;
        for (source, target) in from.1.iter().zip(to.1) {
            let bytes = source.bytes.min(target.bytes) as usize;
            for lane in lanes(active) {
                let (a, b) = (from.0[lane] + u64::from(source.offset), to.0[lane] + u64::from(target.offset));
                let end = a.max(b).saturating_add(bytes as u64);
                if end > len {
                    inside = false;
                    continue;
                }
                let (a, b) = (first + lane * stride + a as usize, first + lane * stride + b as usize);
                // Scalars without a call of memmove.
                match bytes {
                    4 => {
                        let word: [u8; 4] = std::array::from_fn(|i| memory[a + i]);
                        memory[b..b + 4].copy_from_slice(&word);
                    }
                    8 => {
                        let word: [u8; 8] = std::array::from_fn(|i| memory[a + i]);
                        memory[b..b + 8].copy_from_slice(&word);
                    }
                    _ => memory.copy_within(a..a + bytes, b),
                }
            }
        }
        if inside { Ok(()) } else { Err(self.unknown()) }
    }

    /// Begins a call for some lanes; `again` are those that try this instruction again, for another function.
    fn enter(&mut self, routine: &Routine, op: &CallOp, entering: u32, again: u32) -> Result<Flow, Fault> {
        let (from, mut to) = (self.caller_base(op), [0; 32]);
        for lane in lanes(entering) {
            let depth = self.warp.calls.depth[lane] as usize;
            if depth >= MAX_DEPTH {
                let text = format!("stack overflow: `{}` is called {MAX_DEPTH} calls deep", routine.name);
                return Err(self.fault(FaultKind::StackOverflow, text, 1 << lane));
            }
            if depth >= self.warp.calls.rows.len() {
                self.warp.calls.rows.push(Row { pc: [0; 32], top: [0; 32], pointer: [0; 32] });
            }
            self.warp.calls.rows[depth].pc[lane] = self.pc;
            if let Some(frame) = &routine.frame {
                let top = self.warp.calls.top[lane];
                let start = top.next_multiple_of(frame.align);
                let end = start.saturating_add(frame.stack_bytes());
                if end > self.launch.local_bytes {
                    return Err(self.overflow(routine, frame, depth, lane));
                }
                to[lane] = u64::from(start);
                let pointer = self.keep(frame, start, lane);
                let row = &mut self.warp.calls.rows[depth];
                (row.pointer[lane], row.top[lane]) = (pointer, top);
                self.warp.calls.top[lane] = end;
            }
        }
        self.copy(entering, (&from, &op.args), (&to, &routine.params))?;
        if let Some(Frame { pointer: Some(pointer), .. }) = routine.frame {
            self.warp.regs.put64(pointer, &to, entering);
        }
        lanes(entering).for_each(|lane| self.warp.calls.depth[lane] += 1);
        Ok(self.scatter(routine.start, entering, again))
    }

    /// Where a lane's calls were made, the innermost first.
    pub(super) fn callers(&self, lane: usize) -> impl Iterator<Item = (String, u32)> {
        let Calls { rows, depth, .. } = &self.warp.calls;
        let code = self.launch.code;
        rows.iter().take(depth[lane & 31] as usize).rev().filter_map(move |row| {
            let at = code.lines.get(code.insts.get(row.pc[lane & 31] as usize)?.at as usize)?;
            Some(match at.file.and_then(|file| code.files.get(file as usize)) {
                Some(file) => (file.clone(), at.line),
                None => ("PTX".to_string(), at.ptx_line),
            })
        })
    }

    /// The end of a function: lanes that were called from the same place go back there together.
    pub(super) fn leave(&mut self, function: u32, active: u32) -> Result<Flow, Fault> {
        let code = self.launch.code;
        let calls = &self.warp.calls;
        let caller = |lane: usize| Some(calls.rows.get(calls.depth[lane].wrapping_sub(1) as usize)?.pc[lane]);
        let first = caller(active.trailing_zeros() as usize & 31);
        let same = lanes(active).filter(|i| caller(*i) == first).fold(0, |m, i| m | 1 << i);
        let found = first.and_then(|pc| Some((pc, code.insts.get(pc as usize)?)));
        let (Some((pc, inst)), Some(routine)) = (found, code.functions.get(function as usize)) else {
            return Err(self.unknown());
        };
        let Op::Call(op) = &inst.op else { return Err(self.unknown()) };
        let mut from = [0; 32];
        for lane in lanes(same) {
            self.warp.calls.depth[lane] -= 1;
            if let Some(frame) = &routine.frame {
                let row = &self.warp.calls.rows[self.warp.calls.depth[lane] as usize];
                let (pointer, top) = (row.pointer[lane], row.top[lane]);
                let start = self.warp.calls.top[lane] - frame.stack_bytes();
                from[lane] = u64::from(start);
                self.bring_back(frame, start, lane, pointer);
                self.warp.calls.top[lane] = top;
            }
        }
        // The caller's frame is known again now, also if it is a call of the same function.
        let to = self.caller_base(op);
        self.copy(same, (&from, &routine.returns), (&to, &op.returns))?;
        Ok(self.scatter(pc + 1, same, active & !same))
    }

    /// Lanes go to another place; of the others `again` try this instruction again, and the rest goes on.
    fn scatter(&mut self, target: u32, going: u32, again: u32) -> Flow {
        if going == self.mask {
            return Flow::Go(target);
        }
        self.warp.put_back(Fragment { pc: target, mask: going, state: State::Ready, tired: false });
        if again == 0 {
            return Flow::Gone(going);
        }
        self.mask &= !going;
        Flow::Keep(self.mask)
    }

    /// Puts the registers of a lane into a frame, and returns where the frame of the call before starts.
    fn keep(&mut self, frame: &Frame, start: u32, lane: usize) -> u64 {
        let mut at = self.local_base(lane) + (start + frame.bytes.next_multiple_of(16)) as usize;
        let regs = &self.warp.regs;
        let memory = self.cta.local.as_mut_slice();
        let mut put = |bytes: &[u8]| {
            if let Some(place) = memory.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        let range = |(first, count): (Reg, Reg)| usize::from(first)..usize::from(first) + usize::from(count);
        regs.r64[range(frame.saved[1])].iter().for_each(|reg| put(&reg.0[lane].to_le_bytes()));
        regs.r32[range(frame.saved[0])].iter().for_each(|reg| put(&reg.0[lane].to_le_bytes()));
        regs.pred[range(frame.saved[2])].iter().for_each(|reg| put(&(reg >> lane & 1).to_le_bytes()));
        frame.pointer.map_or(0, |pointer| regs.r64[usize::from(pointer)].0[lane])
    }

    /// Takes the registers of a lane out of a frame.
    fn bring_back(&mut self, frame: &Frame, start: u32, lane: usize, before: u64) {
        let mut at = self.local_base(lane) + (start + frame.bytes.next_multiple_of(16)) as usize;
        let regs = &mut self.warp.regs;
        let memory = self.cta.local.as_slice();
        let mut get = |bytes: &mut [u8]| {
            if let Some(place) = memory.get(at..at + bytes.len()) {
                bytes.copy_from_slice(place);
            }
            at += bytes.len();
        };
        let range = |(first, count): (Reg, Reg)| usize::from(first)..usize::from(first) + usize::from(count);
        let (mut wide, mut narrow) = ([0; 8], [0; 4]);
        for reg in &mut regs.r64[range(frame.saved[1])] {
            get(&mut wide);
            reg.0[lane] = u64::from_le_bytes(wide);
        }
        for reg in &mut regs.r32[range(frame.saved[0])] {
            get(&mut narrow);
            reg.0[lane] = u32::from_le_bytes(narrow);
        }
        for reg in &mut regs.pred[range(frame.saved[2])] {
            get(&mut narrow);
            *reg = *reg & !(1 << lane) | (u32::from_le_bytes(narrow) & 1) << lane;
        }
        if let Some(pointer) = frame.pointer {
            regs.r64[usize::from(pointer)].0[lane] = before;
        }
    }

    #[cold]
    fn overflow(&self, routine: &Routine, frame: &Frame, depth: usize, lane: usize) -> Fault {
        let stack = self.launch.local_bytes - self.launch.code.local_bytes.next_multiple_of(16);
        let text = format!(
            "stack overflow: call {} of the thread, of `{}`, needs {} bytes of stack, and {} of {stack} are taken \
             (MachineOptions::stack_bytes)",
            depth + 1,
            routine.name,
            frame.stack_bytes(),
            self.warp.calls.top[lane] - self.launch.code.local_bytes.next_multiple_of(16)
        );
        self.fault(FaultKind::StackOverflow, text, 1 << lane)
    }
}
