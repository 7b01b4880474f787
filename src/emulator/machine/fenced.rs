//! Checked mode: `wgmma.fence` stands between other instructions' writes of a product's registers and the product (PTX
//! ISA, "wgmma.fence"): before the first product of a warp, and again before one whose registers have changed.
//!
//! Told by values: a write of what was there already needs no fence here. Accumulators that only products have written
//! need none.

use super::super::ir::{Reg, V32, WgmmaA, WgmmaOp};
use super::super::report::ReportKind;
use super::run::Run;

/// The registers of a warp as its last `wgmma.fence`, and products since, have left them.
#[derive(Default)]
pub(super) struct Fenced(Option<Vec<V32>>);

impl Fenced {
    /// A product has written its accumulators.
    pub fn landed(&mut self, op: &WgmmaOp, registers: &[V32]) {
        for at in op.d.iter().map(|d| usize::from(*d)) {
            if let (Some(Some(fenced)), Some(now)) = (self.0.as_mut().map(|all| all.get_mut(at)), registers.get(at)) {
                *fenced = *now;
            }
        }
    }

    /// What is wrong with a product now.
    fn wrong(&self, op: &WgmmaOp, scale_d: bool, registers: &[V32]) -> Option<String> {
        let Some(fenced) = &self.0 else {
            return Some("no wgmma.fence before the warp's first wgmma".to_owned());
        };
        let changed =
            |reg: &Reg| fenced.get(usize::from(*reg)).map(|v| v.0) != registers.get(usize::from(*reg)).map(|v| v.0);
        let accumulators = op.d.iter().filter(|_| scale_d).filter(|reg| changed(reg)).count();
        let of_a = match &op.a {
            WgmmaA::Regs(regs) => regs.iter().filter(|reg| changed(reg)).count(),
            WgmmaA::Desc(_) => 0,
        };
        let (number, what) = match (accumulators, of_a) {
            (0, 0) => return None,
            (0, n) => (n, "of operand A"),
            (n, _) => (n, "of the accumulators"),
        };
        Some(format!("{number} registers {what} were written since the last wgmma.fence"))
    }
}

impl Run<'_> {
    /// `wgmma.fence`.
    pub(super) fn note_fence(&mut self) {
        let registers = self.warp.regs.r32.clone();
        self.groups().fenced = Fenced(Some(registers));
    }

    /// A product is about to start.
    pub(super) fn note_product(&mut self, op: &WgmmaOp, active: u32) {
        let scale_d = self.lanes_of(op.scale_d) & active != 0;
        let registers = &self.warp.regs.r32;
        let wrong = match &self.warp.groups {
            Some(groups) => groups.fenced.wrong(op, scale_d, registers),
            None => Fenced::default().wrong(op, scale_d, registers),
        };
        if let Some(text) = wrong {
            self.report_with(ReportKind::AsyncGroup, active, None, || text);
        }
    }
}
