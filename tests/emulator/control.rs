//! Barriers and special registers.

use super::harness::{HEAD, options};
use halfbyte::emulator::{Arch, Counters, LaunchConfig, Machine, Module};

/// Runs a kernel `k(out)` and returns the words that it wrote.
pub fn words(body: &str, config: &LaunchConfig, words: usize, threads: usize) -> (Vec<u32>, Counters) {
    let ptx = format!(
        "{HEAD}.visible .entry k(.param .u64 out) {{ .reg .b64 %d<9>; .reg .b32 %r<20>; .reg .pred %p<5>; .shared .align 16 .b8 buf[4096];\n\
         ld.param.u64 %d0, [out]; mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mad.lo.u32 %r3, %r1, %r2, %r0; mul.wide.u32 %d1, %r3, 4; add.u64 %d1, %d0, %d1; mov.u32 %r4, buf; shl.b32 %r5, %r0, 2; add.u32 %r5, %r5, %r4;\n{body}\nret; }}"
    );
    let module = Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
    let machine = Machine::with(options(Arch::Sm90a, threads, None));
    let out = machine.alloc(words * 4, "out").unwrap();
    let counters = machine.launch(&module, "k", config, &out.to_le_bytes()).unwrap_or_else(|fault| panic!("{fault}"));
    let mut bytes = vec![0; words * 4];
    machine.read(out, &mut bytes).unwrap();
    (bytes.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect(), counters)
}

#[test]
fn a_block_meets_at_its_barrier() {
    // Thread i reads what thread 255 - i wrote.
    let body = "st.shared.u32 [%r5], %r0; bar.sync 0; sub.u32 %r6, 255, %r0; shl.b32 %r6, %r6, 2; add.u32 %r6, %r6, %r4; ld.shared.u32 %r7, [%r6]; st.global.u32 [%d1], %r7;";
    let (out, counters) = words(body, &LaunchConfig::linear(3, 256), 768, 2);
    assert!(out.iter().enumerate().all(|(i, v)| *v == 255 - i as u32 % 256));
    assert_eq!((counters.barriers, counters.blocks), (3, 3));
}

#[test]
fn named_barriers_count_their_threads() {
    // Warp 0 produces and only arrives; warp 1 waits for 64 threads.
    let body = "setp.ge.u32 %p0, %r0, 32; @%p0 bra CONSUME;\nst.shared.u32 [%r5], %r0; bar.arrive 3, 64; bra END;\nCONSUME: bar.sync 3, 64; ld.shared.u32 %r7, [%r5+-128]; st.global.u32 [%d1+-128], %r7;\nEND:";
    let (out, _) = words(body, &LaunchConfig::linear(1, 64), 32, 1);
    assert!(out.iter().enumerate().all(|(i, v)| *v == i as u32));
}

#[test]
fn barriers_reduce() {
    let body = "setp.lt.u32 %p0, %r0, 40; barrier.cta.red.popc.u32 %r6, 0, %p0; barrier.cta.red.and.pred %p1, 0, %p0; barrier.cta.red.or.pred %p2, 0, %p0; selp.b32 %r7, 1000, 0, %p1; selp.b32 %r8, 100, 0, %p2; add.u32 %r6, %r6, %r7; add.u32 %r6, %r6, %r8; st.global.u32 [%d1], %r6;";
    let (out, _) = words(body, &LaunchConfig::linear(1, 128), 128, 1);
    assert!(out.iter().all(|v| *v == 140), "{out:?}");
}

#[test]
fn exited_threads_are_not_waited_for() {
    let body = "setp.ge.u32 %p0, %r0, 40; @%p0 exit; st.shared.u32 [%r5], %r0; bar.sync 0; ld.shared.u32 %r7, [%r4+156]; st.global.u32 [%d1], %r7;";
    let (out, _) = words(body, &LaunchConfig::linear(1, 128), 40, 1);
    assert!(out.iter().all(|v| *v == 39), "{out:?}");
}

#[test]
fn a_cluster_of_one_block_has_a_barrier() {
    let body = "st.shared.u32 [%r5], %r0; barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned; ld.shared.u32 %r7, [%r4+252]; st.global.u32 [%d1], %r7;";
    let (out, _) = words(body, &LaunchConfig::linear(1, 64), 64, 1);
    assert!(out.iter().all(|v| *v == 63), "{out:?}");
}

#[test]
fn special_registers_of_a_block_of_three_dimensions() {
    let body = "mov.u32 %r6, %tid.y; mov.u32 %r7, %tid.z; mad.lo.u32 %r8, %r7, 3, %r6; mad.lo.u32 %r8, %r8, 5, %r0; mul.wide.u32 %d2, %r8, 4; add.u64 %d2, %d0, %d2; mov.u32 %r9, %ctaid.y; mov.u32 %r10, %nctaid.z; mov.u32 %r11, %ntid.z; mad.lo.u32 %r12, %r6, 10, %r0; mad.lo.u32 %r12, %r7, 100, %r12; mad.lo.u32 %r12, %r9, 1000, %r12; mad.lo.u32 %r12, %r10, 10000, %r12; mad.lo.u32 %r12, %r11, 100000, %r12; st.global.u32 [%d2], %r12;";
    let config = LaunchConfig { grid: [1, 1, 2], block: [5, 3, 4], ..LaunchConfig::linear(1, 1) };
    let (out, _) = words(body, &config, 60, 1);
    for (i, v) in out.iter().enumerate() {
        let (x, y, z) = (i % 5, i / 5 % 3, i / 15);
        assert_eq!(*v as usize, x + 10 * y + 100 * z + 20000 + 400_000);
    }
}
