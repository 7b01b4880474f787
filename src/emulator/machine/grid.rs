//! A grid: workers run blocks to their ends, and give turns to a resident set of those that wait for each other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::super::fault::{Fault, FaultKind};
use super::block::{Block, Turn};
use super::counters::Tally;
use super::run::Launch;
use super::stuck::Places;

/// Host memory for the states of all blocks that exist at once. Only blocks with far more local memory or registers
/// than a kernel has any use for come near it; then fewer exist at once than the device would have resident.
const MAX_STATE: u64 = 2 << 30;
/// Bytes of a new block's state whose setting up is as long as a warp instruction.
const BYTES_A_STEP: u64 = 1024;
/// Steps that a turn counts for, beside its instructions.
const TURN_STEPS: u64 = 16;

/// What workers share.
struct Shared<'a> {
    launch: &'a Launch<'a>,
    /// Blocks that exist at once, at most: those that the device would have resident.
    resident: usize,
    step_limit: u64,
    steps: AtomicU64,
    stopped: AtomicBool,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// The next block of the grid to start.
    next: u64,
    /// Blocks between two turns, the one that waits longest first.
    parked: VecDeque<Box<Block>>,
    /// Blocks that a worker runs now.
    running: usize,
    /// The last block taken was a new one: the next is an old one, if there is any.
    took_new: bool,
    fault: Option<Fault>,
}

/// Runs a whole grid with this many workers of the pool (or, with one, on the calling thread).
pub(crate) fn run(
    launch: &Launch<'_>,
    resident: u32,
    step_limit: u64,
    pool: Option<&rayon::ThreadPool>,
    workers: usize,
    count: bool,
) -> Result<Tally, Fault> {
    let fit = usize::try_from(MAX_STATE / launch.state_bytes().max(1)).unwrap_or(usize::MAX).max(1);
    let workers = workers.min(fit);
    let shared = Shared {
        launch,
        resident: (resident.max(1) as usize).min(fit),
        step_limit,
        steps: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
        queue: Mutex::default(),
        changed: Condvar::new(),
    };
    let total = Mutex::new(Tally::new(launch.code, count));
    let work = || {
        let tally = shared.work(count);
        total.lock().unwrap_or_else(PoisonError::into_inner).merge(&tally);
    };
    let workers = workers.min(usize::try_from(launch.blocks()).unwrap_or(usize::MAX));
    match pool {
        Some(pool) if workers > 1 => pool.scope(|scope| (0..workers).for_each(|_| scope.spawn(|_| work()))),
        _ => work(),
    }
    let queue = shared.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
    match queue.fault {
        Some(fault) => Err(fault),
        None => Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

impl Shared<'_> {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One worker: blocks, until there are none left.
    fn work(&self, count: bool) -> Tally {
        let mut tally = Tally::new(self.launch.code, count);
        let mut spare = None;
        while let Some(mut block) = self.take(&mut spare) {
            let before = tally.warp_instructions;
            // One more than what is left, so that whoever runs that long is over the limit.
            let left = self.step_limit.saturating_sub(self.steps.load(Ordering::Relaxed)).saturating_add(1);
            let turn = block.turn(self.launch, &mut tally, left);
            let ran = tally.warp_instructions - before + TURN_STEPS;
            let steps = self.steps.fetch_add(ran, Ordering::Relaxed).saturating_add(ran);
            let mut queue = self.lock();
            queue.running -= 1;
            let more = turn == Ok(Turn::Unfinished) || queue.next < self.launch.blocks();
            match turn {
                Err(fault) => self.stop(&mut queue, fault),
                Ok(_) if more && steps > self.step_limit => {
                    let fault = endless(self, &queue, &block, steps);
                    self.stop(&mut queue, fault);
                }
                Ok(Turn::Finished) => spare = Some(block),
                Ok(Turn::Unfinished) => queue.parked.push_back(block),
            }
            self.changed.notify_all();
        }
        tally
    }

    fn stop(&self, queue: &mut Queue, fault: Fault) {
        queue.fault.get_or_insert(fault);
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// The next block to give a turn to: new ones and parked ones by turns, no more at once than are resident.
    fn take(&self, spare: &mut Option<Box<Block>>) -> Option<Box<Block>> {
        let mut queue = self.lock();
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            let room = queue.parked.len() + queue.running < self.resident;
            let new = queue.next < self.launch.blocks() && room;
            if new && (!queue.took_new || queue.parked.is_empty()) {
                let index = queue.next;
                queue.next += 1;
                queue.running += 1;
                queue.took_new = true;
                drop(queue);
                self.steps.fetch_add(self.launch.state_bytes() / BYTES_A_STEP, Ordering::Relaxed);
                let mut block = spare.take().unwrap_or_default();
                block.start(self.launch, index);
                return Some(block);
            }
            if let Some(block) = queue.parked.pop_front() {
                queue.running += 1;
                queue.took_new = false;
                return Some(block);
            }
            if queue.running == 0 {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cold]
fn endless(shared: &Shared<'_>, queue: &Queue, block: &Block, steps: u64) -> Fault {
    let mut places = Places::default();
    block.places(shared.launch, true, &mut places);
    for parked in &queue.parked {
        parked.places(shared.launch, true, &mut places);
    }
    let text = format!(
        "the kernel does not end: it has run {steps} steps, the limit is {}; the block that ran last, and those that wait for \
         their turn, stand here:",
        shared.step_limit
    );
    places.fault(FaultKind::StepLimit, text)
}
