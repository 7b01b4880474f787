//! Reports of blocks that get nowhere: who waits where, and for what.

use std::collections::BTreeMap;

use super::super::copy::mbarrier;
use super::super::fault::{Fault, FaultKind, lanes_text, ranges_text};
use super::block::Block;
use super::run::{Launch, site};
use super::warp::{Fragment, State, Warp};

/// Lines of a list at most.
const LINES: usize = 24;

/// Lists of places, capped.
#[derive(Default)]
pub(super) struct Places {
    lines: Vec<String>,
    more: usize,
    first: Option<super::super::fault::Site>,
}

impl Block {
    /// Adds where each warp stands; those that wait for the same at the same place on one line.
    pub(super) fn places(&self, launch: &Launch<'_>, name_block: bool, places: &mut Places) {
        let mut groups: BTreeMap<(u32, String, u32), Vec<u32>> = BTreeMap::new();
        for warp in &self.warps {
            for fragment in &warp.fragments {
                let (pc, what) = self.waits(warp, fragment);
                groups.entry((pc, what, fragment.mask)).or_default().push(warp.index);
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, warps)| warps.first().copied());
        for ((pc, what, lanes), warps) in groups {
            let place = site(launch.code, pc, self.cta.index, warps[0], lanes);
            if places.lines.len() == LINES {
                places.more += 1;
                continue;
            }
            let source = place.source.as_ref().map_or(String::new(), |(file, line)| format!(", {file}:{line}"));
            let [x, y, z] = self.cta.index;
            let block = if name_block { format!("block ({x}, {y}, {z}), ") } else { String::new() };
            let (plural, verb) = if warps.len() == 1 { ("warp", "waits") } else { ("warps", "wait") };
            places.lines.push(format!(
                "\n  {block}{plural} {}, {}, {verb} for {what} (`{}`{source})",
                ranges_text(warps.into_iter()),
                lanes_text(lanes),
                place.instruction
            ));
            places.first.get_or_insert(place);
        }
    }

    /// Where a part of a warp stands, and what it waits for there.
    fn waits(&self, warp: &Warp, fragment: &Fragment) -> (u32, String) {
        // Lanes that wait for others' arrival stand behind their instruction already.
        let behind = fragment.pc.saturating_sub(1);
        match fragment.state {
            State::Barrier { id, .. } => {
                let barrier = self.cta.barriers[usize::from(id)];
                let wanted = if barrier.count == 0 { self.cta.live } else { barrier.count };
                (behind, format!("barrier {id}, where {} of {wanted} threads have arrived", barrier.arrived))
            }
            State::Cluster => (behind, "the cluster barrier".into()),
            State::WarpSync { mask } => (behind, format!("{} of its warp", lanes_text(mask & warp.live))),
            State::Converge { missing } => (fragment.pc, format!("{} of its warp", lanes_text(missing))),
            State::Mbarrier { address } => (fragment.pc, mbarrier::describe(self.cta.shared.as_slice(), address)),
            State::Ready => match warp.tested {
                Some(address) => {
                    let what = mbarrier::describe(self.cta.shared.as_slice(), u64::from(address));
                    (fragment.pc, format!("{what}, which it tests again and again"))
                }
                None => (fragment.pc, "its turn".into()),
            },
        }
    }

    /// No warp of the block can ever go on.
    #[cold]
    pub(super) fn deadlock(&self, launch: &Launch<'_>) -> Fault {
        let mut places = Places::default();
        self.places(launch, false, &mut places);
        places.fault(FaultKind::Deadlock, "deadlock: no warp of the block can go on".into())
    }
}

impl Places {
    /// The report with the list behind it, about the first place.
    pub(super) fn fault(self, kind: FaultKind, mut text: String) -> Fault {
        self.lines.iter().for_each(|line| text += line);
        if self.more > 0 {
            text += &format!("\n  and {} more", self.more);
        }
        let mut fault = Fault::new(kind, text);
        fault.site = self.first.map(Box::new);
        fault
    }
}
