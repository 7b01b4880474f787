//! Instructions across lanes, and divergence.

use super::harness::{LEVELS, options, run};
use halfbyte::emulator::{Arch, Machine};

/// Results of 32 lanes whose input is a function of the lane.
fn lanes(text: &str, input: impl Fn(u64) -> u64) -> Vec<u64> {
    let rows: Vec<Vec<u64>> = (0..32).map(|i| vec![input(i)]).collect();
    let mut all = LEVELS.map(|level| run(&Machine::with(options(Arch::Sm90a, 1, Some(level))), text, "rr", &rows));
    assert!(all[0] == all[1] && all[1] == all[2], "{text} differs between levels");
    std::mem::take(&mut all[0])
}

fn check(text: &str, input: impl Fn(u64) -> u64, want: impl Fn(u64) -> u64) {
    for (lane, got) in lanes(text, input).into_iter().enumerate() {
        assert_eq!(got, want(lane as u64), "{text} in lane {lane}");
    }
}

#[test]
fn shuffles() {
    let own = |i: u64| 100 + i;
    check("shfl.sync.bfly.b32 {d}, {a}, 5, 31, -1;", own, |i| 100 + (i ^ 5));
    check("shfl.sync.up.b32 {d}, {a}, 3, 0, -1;", own, |i| if i < 3 { 100 + i } else { 97 + i });
    check("shfl.sync.down.b32 {d}, {a}, 3, 31, -1;", own, |i| if i > 28 { 100 + i } else { 103 + i });
    check("shfl.sync.idx.b32 {d}, {a}, 9, 31, -1;", own, |_| 109);
    // Segments of 8 lanes: clamp 0x1800 | 7 is (32 − 8) << 8 | 7.
    check("shfl.sync.idx.b32 {d}, {a}, 2, 0x181F, -1;", own, |i| 102 + i / 8 * 8);
    check("shfl.sync.down.b32 {d}, {a}, 4, 0x181F, -1;", own, |i| if i % 8 < 4 { 104 + i } else { 100 + i });
    let p = "shfl.sync.up.b32 %x0|%q0, {a}, 3, 0, -1; selp.b32 {d}, 1, 0, %q0;";
    check(p, own, |i| u64::from(i >= 3));
}

#[test]
fn votes_matches_and_reductions() {
    let set = "setp.gt.u32 %q0, {a}, 9;";
    let odd = |i: u64| i & 1;
    check(&format!("{set} vote.sync.ballot.b32 {{d}}, %q0, -1;"), |i| i, |_| 0xFFFF_FC00);
    check(&format!("{set} vote.sync.all.pred %q1, %q0, -1; selp.b32 {{d}}, 1, 0, %q1;"), |i| i, |_| 0);
    check(&format!("{set} vote.sync.any.pred %q1, %q0, -1; selp.b32 {{d}}, 1, 0, %q1;"), |i| i, |_| 1);
    check(&format!("{set} vote.sync.uni.pred %q1, %q0, -1; selp.b32 {{d}}, 1, 0, %q1;"), |_| 50, |_| 1);
    check("match.any.sync.b32 {d}, {a}, -1;", odd, |i| if i & 1 == 1 { 0xAAAA_AAAA } else { 0x5555_5555 });
    check("match.all.sync.b32 {d}|%q0, {a}, -1;", |_| 7, |_| 0xFFFF_FFFF);
    check("match.all.sync.b32 {d}|%q0, {a}, -1;", odd, |_| 0);
    check("redux.sync.add.s32 {d}, {a}, -1;", |i| i, |_| 496);
    check("redux.sync.min.s32 {d}, {a}, -1;", |i| (i as i32 - 16) as u32 as u64, |_| (-16i32) as u32 as u64);
    check("redux.sync.max.u32 {d}, {a}, -1;", |i| (i as i32 - 16) as u32 as u64, |_| 0xFFFF_FFFF);
    check("redux.sync.or.b32 {d}, {a}, -1;", |i| 1 << i, |_| 0xFFFF_FFFF);
    check("redux.sync.xor.b32 {d}, {a}, -1;", |i| i, |_| 0);
    check(
        "elect.sync %x0|%q0, -1; selp.b32 %x1, 100, 0, %q0; add.u32 {d}, %x0, %x1;",
        |i| i,
        |i| if i == 0 { 100 } else { 0 },
    );
    check("mov.u32 {d}, %laneid;", |i| i, |i| i);
    check("mov.u32 {d}, %lanemask_lt;", |i| i, |i| (1 << i) - 1);
    check("mov.u32 {d}, %lanemask_ge;", |i| i, |i| 0xFFFF_FFFF << i & 0xFFFF_FFFF);
}

#[test]
fn parts_of_a_warp_diverge_and_meet_again() {
    // Odd lanes double, even lanes add ten; then all see all.
    let text = "and.b32 %x0, {a}, 1; setp.eq.u32 %q0, %x0, 1; @%q0 bra ODD; add.u32 %x1, {a}, 10; bra MEET;\n\
                ODD: shl.b32 %x1, {a}, 1;\nMEET: redux.sync.add.u32 {d}, %x1, -1;";
    check(text, |i| i, |_| (0..32).map(|i| if i & 1 == 1 { 2 * i } else { i + 10 }).sum());
    // A loop of as many turns as the lane's number.
    let text = "mov.u32 %x0, 0; mov.u32 {d}, 0;\nL: setp.ge.u32 %q0, %x0, {a}; @%q0 bra E; add.u32 {d}, {d}, 3; add.u32 %x0, %x0, 1; bra L;\nE: activemask.b32 %x1; setp.ne.u32 %q1, %x1, -1; @%q1 mov.u32 {d}, 99999;";
    check(text, |i| i, |i| 3 * i);
    // Members of two halves vote apart.
    let text = "and.b32 %x0, {a}, 16; setp.eq.u32 %q0, %x0, 0; selp.b32 %x1, 0xFFFF, 0xFFFF0000, %q0; redux.sync.add.u32 {d}, {a}, %x1;";
    check(text, |i| i, |i| if i < 16 { 120 } else { 376 });
    // Both sides of a branch meet at a warp barrier.
    let text = "setp.lt.u32 %q0, {a}, 7; @%q0 bra A; bar.warp.sync -1; bra B;\nA: bar.warp.sync -1;\nB: vote.sync.ballot.b32 {d}, 1, -1;"
        .replace("vote.sync.ballot.b32 {d}, 1, -1;", "setp.eq.u32 %q1, 0, 0; vote.sync.ballot.b32 {d}, %q1, -1;");
    check(&text, |i| i, |_| 0xFFFF_FFFF);
    // A table of targets.
    let text = "and.b32 %x0, {a}, 3;\nT: .branchtargets T0, T1, T2, T3;\nbrx.idx %x0, T;\nT0: mov.u32 {d}, 10; bra E;\nT1: mov.u32 {d}, 11; bra E;\nT2: mov.u32 {d}, 12; bra E;\nT3: mov.u32 {d}, 13;\nE: add.u32 {d}, {d}, 0;";
    check(text, |i| i, |i| 10 + i % 4);
}

#[test]
fn a_part_that_spins_lets_the_others_go_on() {
    // Lane 0 waits, polling, for what lane 31 writes behind the loop.
    let text = ".shared .align 4 .b32 flag; mov.u32 %x0, flag; st.volatile.shared.u32 [%x0], 0; bar.warp.sync -1; setp.ne.u32 %q0, {a}, 0; @%q0 bra OUT;\n\
                SPIN: ld.volatile.shared.u32 %x1, [%x0]; setp.eq.u32 %q1, %x1, 0; @%q1 bra SPIN;\n\
                OUT: setp.eq.u32 %q2, {a}, 31; @%q2 st.volatile.shared.u32 [%x0], 5; bar.warp.sync -1; ld.volatile.shared.u32 {d}, [%x0];";
    check(text, |i| i, |_| 5);
}
