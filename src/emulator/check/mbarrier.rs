//! What mbarriers pass on: an arrival gives what the thread knows to the phase, a wait takes what the phase was given.

use std::sync::Arc;

use super::super::copy::mbarrier::test_parity;
use super::clock::{Clock, Column};

/// One mbarrier.
#[derive(Clone, Debug)]
pub(super) struct Mbarrier {
    at: u32,
    /// The column of the copies that complete on it. A copy of phase `p` is done at clock `p + 1`.
    pub column: Column,
    /// Phases that are over.
    pub phase: u32,
    parity: bool,
    /// What arrivals have given.
    pub gathered: Arc<Clock>,
    /// What they had given when the last phase ended.
    pub complete: Arc<Clock>,
    /// Instruction, thread and time of its initialization, and whether a fence came behind it.
    pub init: Option<(u32, (Column, u8, u32))>,
    /// See `init`.
    pub fenced: bool,
}

impl Mbarrier {
    /// Sees whether a phase has ended since the last look. Called before and after whatever may end one.
    pub fn settle(&mut self, shared: &[u8]) {
        let Ok(parity) = test_parity(shared, u64::from(self.at), 0) else { return };
        if parity != self.parity {
            self.parity = parity;
            self.phase += 1;
            Arc::make_mut(&mut self.gathered).known.raise(self.column, self.phase);
            self.complete = Arc::clone(&self.gathered);
        }
    }
}

/// The mbarriers of a block, by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Mbarriers {
    list: Vec<Mbarrier>,
    first_column: Column,
}

impl Mbarriers {
    /// Forgets all; the first column of copies.
    pub fn start(&mut self, first_column: Column) {
        self.list.clear();
        self.first_column = first_column;
    }

    /// The one at an address.
    pub fn at(&mut self, at: u32) -> &mut Mbarrier {
        let place = match self.list.iter().position(|m| m.at == at) {
            Some(place) => place,
            None => {
                // At most one a word of shared memory: the numbers fit.
                let column = self.first_column + self.list.len() as Column;
                self.list.push(Mbarrier {
                    at,
                    column,
                    phase: 0,
                    parity: false,
                    gathered: Arc::default(),
                    complete: Arc::default(),
                    init: None,
                    fenced: false,
                });
                self.list.len() - 1
            }
        };
        &mut self.list[place]
    }

    /// All of them.
    pub fn all(&mut self) -> &mut [Mbarrier] {
        &mut self.list
    }

    /// `mbarrier.init`: phase 0 again, though clocks go on.
    pub fn init(&mut self, at: u32, inst: u32, by: (Column, u8, u32)) {
        let m = self.at(at);
        m.parity = false;
        m.phase += 1;
        (m.gathered, m.complete) = Default::default();
        (m.init, m.fenced) = (Some((inst, by)), false);
    }
}
