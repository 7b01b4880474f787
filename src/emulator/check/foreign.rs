//! What threads know of blocks through memory: releases and acquires by atomics, fences and ordered accesses.

use std::sync::Arc;

use super::clock::Reach;

/// Blocks that are told apart; who knows of more is taken to know of all.
const MOST: usize = 4096;

/// What single blocks did, sorted by block.
type Reaches = Vec<(u32, Arc<Reach>)>;

/// What happened before in other blocks (or, through memory, in the own one).
#[derive(Clone, Debug, Default)]
pub(super) struct Foreign {
    /// Of each of them; none is none.
    blocks: Option<Arc<Reaches>>,
    /// Everything, because there were too many.
    all: bool,
}

impl Foreign {
    /// What one block did.
    pub fn of(block: u32, reach: Reach) -> Foreign {
        Foreign { blocks: Some(Arc::new(vec![(block, Arc::new(reach))])), all: false }
    }

    /// How far into a block's actions this goes, if at all.
    pub fn reach(&self, block: u32) -> Option<&Reach> {
        let list = self.blocks.as_ref()?;
        let at = list.binary_search_by_key(&block, |(b, _)| *b).ok()?;
        Some(&list[at].1)
    }

    /// Is an action known?
    pub fn covers(&self, block: u32, column: u16, lane: u8, clock: u32) -> bool {
        self.all || self.reach(block).is_some_and(|reach| reach.covers(column, lane, clock))
    }

    /// Knows what the other one knows.
    pub fn join(&mut self, other: &Foreign) {
        self.all |= other.all;
        let Some(theirs) = &other.blocks else { return };
        let Some(mine) = &mut self.blocks else {
            self.blocks = Some(Arc::clone(theirs));
            return;
        };
        if Arc::ptr_eq(mine, theirs) {
            return;
        }
        let mine = Arc::make_mut(mine);
        for (block, reach) in theirs.iter() {
            match mine.binary_search_by_key(block, |(b, _)| *b) {
                Err(at) => mine.insert(at, (*block, Arc::clone(reach))),
                Ok(at) if Arc::ptr_eq(&mine[at].1, reach) => {}
                Ok(at) => Arc::make_mut(&mut mine[at].1).join(reach),
            }
        }
        if mine.len() > MOST {
            (self.blocks, self.all) = (None, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(column: u16, clock: u32) -> Reach {
        let mut reach = Reach::default();
        reach.raise(column, clock);
        reach
    }

    #[test]
    fn blocks_are_told_apart() {
        let mut foreign = Foreign::of(7, reach(1, 3));
        foreign.join(&Foreign::of(2, reach(0, 9)));
        foreign.join(&Foreign::of(7, reach(1, 2)));
        assert!(foreign.covers(7, 1, 5, 3) && !foreign.covers(7, 1, 5, 4) && !foreign.covers(7, 0, 5, 1));
        assert!(foreign.covers(2, 0, 0, 9) && !foreign.covers(3, 0, 0, 1));
        for block in 100..100 + MOST as u32 {
            foreign.join(&Foreign::of(block, reach(0, 1)));
        }
        assert!(foreign.covers(3, 0, 0, 1), "too many to tell");
    }
}
