//! What the warps of a block share: shared and local memory, the sixteen barriers, copies under way.

use super::super::check::BlockCheck;
use super::super::copy::BulkQueue;
use super::super::ir::BarRed;
use super::balance::Mbarriers;
use super::words::Bytes;

/// One of a block's barriers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Barrier {
    /// Threads that have arrived.
    pub arrived: u32,
    /// Threads it waits for; 0 stands for every thread of the block that has not exited.
    pub count: u32,
    /// Reductions over the arrived: and, or, how many.
    reduced: (bool, bool, u32),
    /// The reduction that the arrived asked for.
    red: Option<BarRed>,
}

impl Barrier {
    /// Counts arrivals. All arrivals of one phase must name the same count and the same reduction, or none.
    pub fn arrive(&mut self, threads: u32, count: u32, red: Option<BarRed>) -> Result<(), String> {
        if self.arrived == 0 {
            (self.count, self.red) = (count, red);
            self.reduced = (true, false, 0);
        } else if self.red != red {
            let text = |red: Option<BarRed>| red.map_or("no reduction".into(), |red| format!("the reduction {red:?}"));
            return Err(format!(
                "arrivals that disagree: this one asks for {}, earlier ones for {}",
                text(red),
                text(self.red)
            ));
        } else if self.count != count {
            let text = |count| if count == 0 { "all threads".to_string() } else { format!("{count} threads") };
            return Err(format!(
                "arrivals that disagree: this one waits for {}, earlier ones for {}",
                text(count),
                text(self.count)
            ));
        }
        self.arrived += threads;
        if count != 0 && self.arrived > count {
            return Err(format!("{} threads have arrived, it waits for {count}", self.arrived));
        }
        Ok(())
    }

    /// Adds lanes' predicates to the reductions.
    pub fn reduce(&mut self, active: u32, predicates: u32) {
        let set = predicates & active;
        self.reduced.0 &= set == active;
        self.reduced.1 |= set != 0;
        self.reduced.2 += set.count_ones();
    }

    /// The result of a reduction.
    pub fn reduction(&self, op: BarRed) -> u32 {
        match op {
            BarRed::And => u32::from(self.reduced.0),
            BarRed::Or => u32::from(self.reduced.1),
            BarRed::Popc => self.reduced.2,
        }
    }
}

/// What the warps of a block share.
#[derive(Default)]
pub(crate) struct Cta {
    /// Index in the grid.
    pub index: [u32; 3],
    /// Static and dynamic shared memory.
    pub shared: Bytes,
    /// Local memory of all threads, one after the other.
    pub local: Bytes,
    /// Barriers 0 to 15.
    pub barriers: [Barrier; 16],
    /// A warp has arrived at, or left, what others may wait for.
    pub barrier_moved: bool,
    /// Threads that have not exited.
    pub live: u32,
    /// Asynchronous operations issued, for their random order.
    pub asynchronous: u64,
    /// Bulk and tensor copies under way.
    pub bulk: BulkQueue,
    /// The mbarriers that it has initialized, in checked mode.
    pub mbarriers: Mbarriers,
    /// What checked mode knows of the block.
    pub check: Option<Box<BlockCheck>>,
}

impl Cta {
    /// Bytes of host memory behind it.
    pub fn bytes(&self) -> usize {
        self.shared.len() + self.local.len() + self.bulk.bytes() + self.check.as_ref().map_or(0, |check| check.bytes())
    }
}
