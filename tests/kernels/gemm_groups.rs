//! Sums by groups of K: every form of scales, groups that slices and the end of K cut, against plain loops. The sum of
//! a group is exact, and what follows is done here rounding by rounding.

use halfbyte::manifest::Row;

use super::gemm_mma::{Case, each, late};
use super::mma_entries::of_every_entry;
use super::{Arg, Bench, Random, bytes_of};

/// Scales of the groups of K of both operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Groups {
    /// log2 of the bytes of a group.
    pub shift: u32,
    /// Of a and of b: log2 of the rows that share scales, or none at all.
    pub shared: [Option<u32>; 2],
    /// Scales lie with the groups apart and the rows side by side.
    pub groups_first: bool,
    /// One set for all matrices of a batch.
    pub one_set: bool,
}

/// What a launch is told, the scales of both operands, and what was allocated.
pub struct Given {
    pub args: Vec<(&'static str, Arg)>,
    pub owned: [u64; 2],
    sides: [Option<Side>; 2],
}

struct Side {
    values: Vec<f32>,
    shift: u32,
    ld: usize,
    step: usize,
    stride: usize,
}

impl Groups {
    /// One of many forms, by the shape.
    pub fn of_shape((m, n, k): (usize, usize, usize)) -> Groups {
        let pick = m + 3 * n + 5 * k;
        let shared = [[Some(0), Some(7)], [Some(0), Some(0)], [None, Some(0)], [Some(31), Some(7)], [Some(7), None]];
        Groups {
            shift: 6 + (pick / 2 % 2) as u32,
            shared: shared[pick % 5],
            groups_first: pick % 3 == 0,
            one_set: pick % 7 == 0,
        }
    }

    /// Whether a row of the manifest sums by groups.
    pub fn has(row: &Row) -> bool {
        row.source.ends_with("_groups")
    }

    /// Scales in memory for matrices of m and of n rows. What no scale is, is NaN, and on a checked machine never
    /// written.
    pub fn place(&self, bench: &Bench, (m, n, k): (usize, usize, usize), batch: usize) -> Given {
        let mut random = Random::new(&format!("{self:?}"));
        let count = k.div_ceil(1 << self.shift);
        let sets = if self.one_set { 1 } else { batch };
        let (mut args, mut owned) = (vec![("k_group_shift", Arg::Word(self.shift))], [0; 2]);
        let sides = [0, 1].map(|at| {
            let shift = self.shared[at]?;
            let lines = (([m, n][at] - 1) >> shift) + 1;
            let (ld, step) = if self.groups_first { (1, lines + 3) } else { (count + 5, 1) };
            let extent = (lines - 1) * ld + count.saturating_sub(1) * step + 1;
            let stride = extent + 2;
            let mut values = vec![f32::NAN; sets * stride];
            owned[at] = bench.fresh(["groups_a", "groups_b"][at], values.len() * 4);
            if !bench.machine.options().checked {
                bench.machine.write(owned[at], &bytes_of(&values)).unwrap();
            }
            for set in 0..sets {
                for place in (0..lines * count).map(|i| set * stride + i / count * ld + i % count * step) {
                    values[place] = random.float() + 1.25;
                    bench.machine.write(owned[at] + place as u64 * 4, &bytes_of(&values[place..=place])).unwrap();
                }
            }
            Some(Side { values, shift, ld, step, stride: if self.one_set { 0 } else { stride } })
        });
        let names = [
            ["groups_a", "groups_a_ld", "groups_a_step", "batch_groups_a", "groups_a_shift"],
            ["groups_b", "groups_b_ld", "groups_b_step", "batch_groups_b", "groups_b_shift"],
        ];
        for ((side, names), &at) in sides.iter().zip(names).zip(&owned) {
            let Some(side) = side else { continue };
            let long = |x: usize| Arg::Long(x as u64);
            args.extend([(names[0], Arg::Long(at)), (names[1], long(side.ld)), (names[2], long(side.step))]);
            args.extend([(names[3], long(side.stride)), (names[4], Arg::Word(side.shift))]);
        }
        Given { args, owned, sides }
    }
}

impl Given {
    /// The sum of the products of row i and column j of a matrix, made as the kernel makes it, in slices of `slice`
    /// terms.
    pub fn sum(&self, groups: &Groups, slice: usize, place: [usize; 3], terms: impl Iterator<Item = i32>) -> f32 {
        let [matrix, i, j] = place;
        let terms: Vec<i32> = terms.collect();
        let scale = |at: usize, row: usize, group: usize| {
            self.sides[at]
                .as_ref()
                .map_or(1.0, |s| s.values[matrix * s.stride + (row >> s.shift) * s.ld + group * s.step])
        };
        let slices = terms.chunks(slice).enumerate().map(|(at, part)| {
            let (mut sum, mut k) = (0f32, at * slice);
            let mut left = part;
            while !left.is_empty() {
                let group = k >> groups.shift;
                let (now, rest) = left.split_at((((group + 1) << groups.shift) - k).min(left.len()));
                sum = (now.iter().sum::<i32>() as f32).mul_add(scale(0, i, group) * scale(1, j, group), sum);
                (left, k) = (rest, k + now.len());
            }
            sum
        });
        slices.reduce(|sum, slice| sum + slice).unwrap_or(0.0)
    }
}

/// Every form of scales on both sides, groups of 64 and 128, over shapes whose blocks of rows and last groups are cut
/// short.
#[test]
fn scales_of_groups_are_each_groups_own() {
    let mut cases = 0;
    each(late(), |bench, row| {
        if !Groups::has(row) {
            return;
        }
        let forms = [None, Some(0), Some(7), Some(31)];
        for (s, shape) in [(5, 3, 64), (130, 70, 193), (17, 260, 700), (1, 33, 129)].into_iter().enumerate() {
            for (f, form) in forms.into_iter().enumerate() {
                let groups = Groups {
                    shift: 6 + (s as u32 + f as u32) % 2,
                    shared: [form, forms[(f + s) % 4]],
                    groups_first: f % 2 == 0,
                    one_set: s % 2 == 0,
                };
                let case = Case { groups: Some(groups), out: f % 3, split: 1 + s % 2, ..Case::new(row.entry, shape) };
                case.check(bench, false);
                cases += 1;
            }
        }
    });
    assert!(cases == 15 * 16 || of_every_entry(1) < 48, "{cases} cases");
}
