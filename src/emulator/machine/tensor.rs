//! Tensor cores and asynchronous copies: fetches operands, calls `emulator::tensor` and `emulator::copy`, and decides
//! when what is asynchronous lands.

use super::super::copy::{BulkTarget, CpAsync, GlobalMemory, Problem, ProblemKind};
use super::super::fault::{Fault, FaultKind};
use super::super::ir::{Addr, MmaKind, Op, Reg, Space, V32};
use super::super::tensor;
use super::interpret::Flow;
use super::memory::{Allocation, PARAM_WINDOW, SHARED_WINDOW, Snapshot, WINDOW};
use super::run::{Launch, Run, site};
use super::warp::State;

impl GlobalMemory for Snapshot {
    fn check(&self, address: u64, size: u64) -> Result<(), Problem> {
        let inside = usize::try_from(size).ok().and_then(|size| self.find(address, size));
        if inside.is_some() { Ok(()) } else { Err(outside(self, address, size)) }
    }

    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), Problem> {
        if Snapshot::read(self, address, out) { Ok(()) } else { Err(outside(self, address, out.len() as u64)) }
    }

    fn soon(&self, from: &[u64; 32], least: u64) {
        if let Some(allocation) = self.holding(least) {
            for &at in from {
                // One a cache line, as far as lanes read 16 bytes side by side.
                if at & 48 == 0 {
                    allocation.prefetch(at.wrapping_sub(allocation.base) as usize);
                }
            }
        }
    }

    fn gather(
        &self,
        lanes: u32,
        from: &[u64; 32],
        bytes: &[u8; 32],
        out: &mut [u8],
        to: &[u32; 32],
    ) -> Result<(), Problem> {
        let mut last = None;
        for lane in (0..32).filter(|lane| lanes >> lane & 1 == 1) {
            let (at, start, count) = (from[lane], to[lane] as usize, usize::from(bytes[lane]));
            let Some(out) = out.get_mut(start..start + count).filter(|out| !out.is_empty()) else { continue };
            let inside = |a: &'_ &Allocation| a.offset(at, count).is_some();
            let Some(allocation) = last.filter(inside).or_else(|| self.holding(at).filter(inside)) else {
                return Err(outside(self, at, count as u64).at_lane(lane));
            };
            last = Some(allocation);
            let offset = (at - allocation.base) as usize;
            match out.first_chunk_mut::<16>() {
                Some(chunk) if offset.is_multiple_of(16) => *chunk = allocation.chunk(offset),
                _ => allocation.copy_out(offset, out),
            }
        }
        Ok(())
    }
}

#[cold]
fn outside(memory: &Snapshot, address: u64, size: u64) -> Problem {
    let text = memory.describe(address, usize::try_from(size).unwrap_or(usize::MAX));
    let what = format!("read of {size} bytes at global address {address:#x}: {text}");
    Problem { kind: ProblemKind::OutOfBounds, space: Space::Global, address, size, lane: None, what }
}

/// When asynchronous operations take effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AsyncOrder {
    /// As late as is legal, so that a missing wait shows in the result.
    #[default]
    Late,
    /// When they are issued, so that an overwrite that comes too early shows.
    Early,
    /// Some at their issue and some late, by a generator with this seed; `mbarrier.try_wait` gives up now and then.
    Random(u64),
}

impl AsyncOrder {
    /// Does the `n`-th operation of this block land at once?
    fn early(self, block: [u32; 3], n: u64) -> bool {
        match self {
            AsyncOrder::Late => false,
            AsyncOrder::Early => true,
            AsyncOrder::Random(seed) => {
                let mut x = seed ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                for part in block {
                    x = (x ^ u64::from(part)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                    x ^= x >> 29;
                }
                x >> 40 & 1 == 1
            }
        }
    }
}

/// A shared-memory offset in 32 bits; what does not fit becomes one that is outside and misaligned.
pub(super) fn narrow(at: u64) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The report of a problem at an instruction.
pub(super) fn report(launch: &Launch<'_>, problem: &Problem, pc: u32, block: [u32; 3], warp: u32, lanes: u32) -> Fault {
    let kind = match problem.kind {
        ProblemKind::OutOfBounds => FaultKind::OutOfBounds,
        ProblemKind::Misaligned => FaultKind::Misaligned,
        ProblemKind::Mbarrier | ProblemKind::Operand => FaultKind::Barrier,
        _ => FaultKind::Unsupported,
    };
    let mut fault = Fault::new(kind, problem.what.clone());
    let lanes = problem.lane.map_or(lanes, |lane| 1 << (lane & 31));
    fault.site = Some(Box::new(site(launch.code, pc, block, warp, lanes)));
    if matches!(kind, FaultKind::OutOfBounds | FaultKind::Misaligned) {
        fault.at_address(problem.address)
    } else {
        fault
    }
}

impl Run<'_> {
    pub(super) fn problem(&self, problem: &Problem, active: u32) -> Fault {
        report(self.launch, problem, self.pc, self.cta.index, self.warp.index, active)
    }

    /// The way to wait when lanes that an `.aligned` instruction needs are elsewhere.
    pub(super) fn together(&self, active: u32) -> Result<Option<Flow>, Fault> {
        let missing = self.warp.live & !active;
        if missing == 0 {
            return Ok(None);
        }
        if missing & self.mask != 0 {
            let text = format!(
                "the whole warp is needed, but the guard leaves out {}",
                super::super::fault::lanes_text(missing & self.mask)
            );
            return Err(self.fault(FaultKind::Divergence, text, active));
        }
        Ok(Some(Flow::Again(State::Converge { missing })))
    }

    pub(super) fn lands_now(&mut self) -> bool {
        self.cta.asynchronous += 1;
        self.launch.async_order.early(self.cta.index, self.cta.asynchronous)
    }

    /// Shared-memory addresses of an operand: offsets, also where generic addresses are given.
    pub(super) fn shared_lanes(&self, addr: Addr, active: u32) -> [u64; 32] {
        let lanes = self.lanes(addr, active);
        lanes.at.map(|at| if at.wrapping_sub(SHARED_WINDOW) < WINDOW { at - SHARED_WINDOW } else { at })
    }

    fn tally_macs(&mut self, kind: MmaKind, warps: u64) {
        if let Some(count) = self.count() {
            count.tensor_macs += u64::from(kind.m) * u64::from(kind.n) * u64::from(kind.k) / warps;
        }
    }

    /// Executes a tensor-core or copy instruction.
    pub(super) fn tensor(&mut self, op: &Op, active: u32) -> Result<Flow, Fault> {
        if matches!(op, Op::WgmmaFence | Op::WgmmaCommit | Op::WgmmaWait { .. })
            && let Some(wait) = self.together(active)?
        {
            return Ok(wait);
        }
        if self.launch.reports.is_some() {
            self.note(op, active);
        }
        if matches!(op, Op::Mma(_) | Op::Ldmatrix { .. } | Op::Stmatrix { .. } | Op::Wgmma(_)) {
            if let Some(wait) = self.together(active)? {
                return Ok(wait);
            }
            self.check_whole(active);
        }
        match *op {
            Op::Mma(ref op) => {
                self.tally_macs(op.kind, 1);
                tensor::mma(self.launch.level, &mut self.warp.regs.r32, op).map_err(|p| self.problem(&p, active))?;
            }
            Op::Ldmatrix { trans, num, d, addr } => {
                let rows = self.matrix_rows(addr, num, active);
                if self.cta.check.is_some() {
                    self.check_rows(&rows, num);
                }
                let loaded = tensor::ldmatrix(self.cta.shared.as_slice(), &rows, num, trans)
                    .map_err(|p| self.problem(&p, active))?;
                for (d, value) in d.iter().zip(&loaded).take(usize::from(num)) {
                    self.warp.regs.put32(*d, &value.0, active);
                }
            }
            Op::Stmatrix { trans, num, s, addr } => {
                let rows = self.matrix_rows(addr, num, active);
                if self.cta.check.is_some() {
                    self.check_store_rows(&rows, num, trans);
                }
                let regs = &self.warp.regs.r32;
                let values: [V32; 4] = s.map(|s| regs.get(usize::from(s)).copied().unwrap_or(V32([0; 32])));
                tensor::stmatrix(self.cta.shared.as_mut_slice(), &rows, num, trans, values.each_ref())
                    .map_err(|p| self.problem(&p, active))?;
            }
            Op::CpAsync { size, dst, src, src_size } => self.cp_async(size, dst, src, src_size, active)?,
            Op::CpAsyncCommit => {
                if let Some(check) = &mut self.cta.check {
                    check.commit_copies(self.warp.index, active);
                }
                self.warp.copies.commit(active);
            }
            Op::CpAsyncWait { pending } => {
                if let Some(check) = &mut self.cta.check {
                    check.wait_copies(self.warp.index, active, Some(pending));
                }
                let (shared, memory) = (self.cta.shared.as_mut_slice(), &self.launch.memory);
                let landed = self.warp.copies.wait_group(active, pending, shared, memory);
                landed.map_err(|p| self.problem(&p, active))?;
            }
            Op::CpAsyncWaitAll => {
                if let Some(check) = &mut self.cta.check {
                    check.wait_copies(self.warp.index, active, None);
                }
                let landed = self.warp.copies.wait_all(active, self.cta.shared.as_mut_slice(), &self.launch.memory);
                landed.map_err(|p| self.problem(&p, active))?;
            }
            Op::CpAsyncMbarrierArrive { noinc, addr } => {
                let at = self.shared_lanes(addr, active);
                if self.cta.check.is_some() {
                    self.check_mbarriers(&at, active);
                    self.check_arrivals(&at, active, true);
                }
                for lane in (0..32).filter(|i| active >> i & 1 == 1) {
                    let arrived =
                        self.warp.copies.arrive(lane, narrow(at[lane]), noinc, self.cta.shared.as_mut_slice());
                    arrived.map_err(|p| self.problem(&p, active))?;
                }
                self.relieve_copies(active)?;
            }
            Op::TmaLoad { dims, dst, map, coords, mbar, multicast } => {
                return self.tma(dims, dst, map, coords, mbar, multicast, active);
            }
            Op::BulkLoad { dst, src, bytes, mbar } => {
                let (dst, mbar) = (self.shared_lanes(dst, active), self.shared_lanes(mbar, active));
                let src = self.lanes(src, active);
                for lane in (0..32).filter(|i| active >> i & 1 == 1) {
                    let target = self.target(dst[lane], mbar[lane]);
                    let bytes = self.lane32(bytes, lane);
                    let issued = self.cta.bulk.issue_plain(
                        target,
                        src.at[lane],
                        bytes,
                        self.cta.shared.len(),
                        &self.launch.memory,
                    );
                    issued.map_err(|p| self.problem(&p.at_lane(lane), active))?;
                    self.bulk_issued(lane)?;
                }
            }
            Op::Wgmma(ref op) => {
                let scale = self.lanes_of(op.scale_d) & active;
                self.tally_macs(op.kind, 4);
                let regs = &self.warp.regs;
                let issued = self.warp.products.issue(self.pc, op, self.warp.index, &regs.r32, &regs.r64, scale != 0);
                issued.map_err(|p| self.problem(&p, active))?;
                if self.cta.check.is_some() {
                    self.check_product(op);
                }
                if self.lands_now() || self.warp.products.full() {
                    self.land_products(None)?;
                }
            }
            Op::WgmmaFence => {}
            Op::WgmmaCommit => {
                if let Some(check) = &mut self.cta.check {
                    check.commit_products(self.warp.index);
                }
                self.warp.products.commit();
            }
            Op::WgmmaWait { pending } => {
                if let Some(check) = &mut self.cta.check {
                    check.wait_products(self.warp.index, pending);
                }
                self.land_products(Some(pending))?;
            }
            _ => return self.mbarrier(op, active),
        }
        Ok(Flow::Next)
    }

    /// The common `ldmatrix`: a whole warp, rows as they stand, every row known to be inside by one check. False when
    /// it is not that, and nothing was done.
    #[inline(never)]
    pub(super) fn load_rows(&mut self, addr: Addr, num: u8, d: [Reg; 4]) -> bool {
        let shown = u32::MAX >> (32 - 8 * u32::from(num.clamp(1, 4)));
        let lanes = self.lanes(addr, shown);
        if !lanes.bits.is_multiple_of(16) || lanes.high.saturating_add(16) > self.cta.shared.len() as u64 {
            return false;
        }
        if self.cta.check.is_some() {
            self.check_rows(&lanes.at.map(narrow), num);
        }
        let shared = self.cta.shared.as_slice();
        for (m, d) in d.iter().enumerate().take(usize::from(num)) {
            let words = &mut self.warp.regs.r32[usize::from(*d)].0;
            for (row, at) in words.chunks_exact_mut(4).zip(&lanes.at[8 * m..]) {
                let (chunks, _) = shared[*at as usize..][..16].as_chunks::<4>();
                for (word, bytes) in row.iter_mut().zip(chunks) {
                    *word = u32::from_le_bytes(*bytes);
                }
            }
        }
        if self.counting() {
            self.count_shared(&lanes.at, shown, 16);
        }
        true
    }

    fn matrix_rows(&mut self, addr: Addr, num: u8, active: u32) -> [u32; 32] {
        let at = self.shared_lanes(addr, active);
        if self.counting() {
            let lanes = (u64::from(u32::MAX) >> (32 - 8 * u32::from(num.clamp(1, 4)))) as u32;
            self.count_shared(&at, lanes, 16);
        }
        at.map(narrow)
    }

    fn cp_async(&mut self, size: u8, dst: Addr, src: Addr, src_size: Option<Reg>, active: u32) -> Result<(), Fault> {
        let dst = self.shared_lanes(dst, active);
        let src = self.lanes(src, active);
        let taken = |run: &Run<'_>, lane: usize| src_size.map_or(u32::from(size), |r| run.lane32(r, lane));
        let copy = CpAsync {
            size,
            dst: dst.map(narrow),
            src: src.at,
            // Above 16 it is refused, whatever it is.
            src_size: std::array::from_fn(|lane| taken(self, lane).min(255) as u8),
        };
        if self.counting() {
            self.count_cp_async(&src.at, &dst, active, u64::from(size), &copy.src_size);
        }
        let issued = self.warp.copies.issue(active, copy, self.cta.shared.len(), &self.launch.memory);
        issued.map_err(|p| self.problem(&p, active))?;
        if self.launch.reports.is_some() {
            self.check_sources(&copy, active);
        }
        if self.cta.check.is_some() {
            self.check_copy(&dst, size, active);
        }
        self.relieve_copies(active)?;
        if self.launch.async_order != AsyncOrder::Late && self.lands_now() {
            let landed = self.warp.copies.wait_all(active, self.cta.shared.as_mut_slice(), &self.launch.memory);
            landed.map_err(|p| self.problem(&p, active))?;
        }
        Ok(())
    }

    fn relieve_copies(&mut self, active: u32) -> Result<(), Fault> {
        let landed = self.warp.copies.relieve(self.cta.shared.as_mut_slice(), &self.launch.memory);
        landed.map_err(|p| self.problem(&p, active))
    }

    /// Lands `wgmma` products, oldest first: those that a wait asks for, or all.
    fn land_products(&mut self, pending: Option<u32>) -> Result<(), Fault> {
        loop {
            let next = match pending {
                Some(pending) => self.warp.products.due(pending),
                None => self.warp.products.oldest(),
            };
            let Some(product) = next else { return Ok(()) };
            let inst = self.launch.code.insts.get(product.inst as usize);
            let Some(Op::Wgmma(op)) = inst.map(|inst| &inst.op) else { return Err(self.unknown()) };
            let landed = product.land(self.launch.level, op, &mut self.warp.regs.r32, self.cta.shared.as_slice());
            landed.map_err(|p| report(self.launch, &p, product.inst, self.cta.index, self.warp.index, self.mask))?;
            if let Some(groups) = &mut self.warp.groups {
                groups.fenced.landed(op, &self.warp.regs.r32);
            }
        }
    }

    fn target(&self, dst: u64, mbar: u64) -> BulkTarget {
        BulkTarget { inst: self.pc, warp: self.warp.index, dst: narrow(dst), mbar: narrow(mbar) }
    }

    /// Counts the bulk copy just issued, and lands it if that is its order.
    fn bulk_issued(&mut self, lane: usize) -> Result<(), Fault> {
        if self.cta.check.is_some() {
            self.check_bulk(lane);
        }
        if self.launch.reports.is_some() {
            self.check_bulk_source(lane);
        }
        if self.counting()
            && let Some(copy) = self.cta.bulk.last()
        {
            let (sectors, read, bytes) = copy.traffic();
            self.count_bulk(sectors, read, bytes);
        }
        if self.lands_now()
            && let Some(copy) = self.cta.bulk.take(self.cta.bulk.len().saturating_sub(1))
        {
            let landed = copy.land(self.cta.shared.as_mut_slice(), &self.launch.memory);
            landed.map_err(|p| self.problem(&p, self.mask))?;
        }
        if self.cta.bulk.full()
            && let Some(copy) = self.cta.bulk.take(0)
        {
            let landed = copy.land(self.cta.shared.as_mut_slice(), &self.launch.memory);
            landed.map_err(|p| report(self.launch, &p, copy.inst, self.cta.index, copy.warp, 0))?;
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn tma(
        &mut self,
        dims: u8,
        dst: Addr,
        map: Addr,
        coords: [Reg; 5],
        mbar: Addr,
        multicast: Option<Reg>,
        active: u32,
    ) -> Result<Flow, Fault> {
        let (dst, mbar) = (self.shared_lanes(dst, active), self.shared_lanes(mbar, active));
        let maps = self.lanes(map, active);
        for lane in (0..32).filter(|i| active >> i & 1 == 1) {
            if let Some(mask) = multicast
                && self.lane32(mask, lane) & 0xFFFF != 1
            {
                let text = format!("multicast to blocks {:#x} of a cluster of one", self.lane32(mask, lane) & 0xFFFF);
                return Err(self.fault(FaultKind::Unsupported, text, 1 << lane));
            }
            let bytes = self.tensor_map(maps.at[lane], lane)?;
            let at =
                std::array::from_fn(|k| if k < usize::from(dims) { self.lane32(coords[k], lane) as i32 } else { 0 });
            let target = self.target(dst[lane], mbar[lane]);
            let issued = self.cta.bulk.issue_tile(target, &bytes, dims, at, self.cta.shared.len());
            issued.map_err(|p| self.problem(&p.at_lane(lane), active))?;
            self.bulk_issued(lane)?;
        }
        Ok(Flow::Next)
    }

    /// The 128 bytes of a tensor map, in the parameter block or in global memory.
    fn tensor_map(&self, at: u64, lane: usize) -> Result<[u8; 128], Fault> {
        let mut bytes = [0; 128];
        if !at.is_multiple_of(64) {
            let text = format!("the tensor map at {at:#x} is not aligned to 64 bytes");
            return Err(self.fault(FaultKind::Misaligned, text, 1 << lane).at_address(at));
        }
        let params = self.launch.params.as_slice();
        // Parameter addresses come as generic ones, or as offsets where no conversion was asked for.
        let offset = if at.wrapping_sub(PARAM_WINDOW) < WINDOW { at - PARAM_WINDOW } else { at };
        if let Some(found) = usize::try_from(offset).ok().and_then(|at| params.get(at..at.checked_add(128)?)) {
            bytes.copy_from_slice(found);
            return Ok(bytes);
        }
        if self.launch.memory.read(at, &mut bytes) {
            return Ok(bytes);
        }
        let text = format!("no tensor map at {at:#x}: {}", self.launch.memory.describe(at, 128));
        Err(self.fault(FaultKind::OutOfBounds, text, 1 << lane).at_address(at))
    }
}
