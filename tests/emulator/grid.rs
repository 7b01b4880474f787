//! Blocks that wait for each other, determinism, counters.

use super::control::words;
use super::harness::{HEAD, options};
use halfbyte::emulator::{Arch, FaultKind, LaunchConfig, Machine, MachineOptions, Module, Simd};

/// Block `n - 1 - i` may go on only after block `n - i`: tickets in falling order, so that later blocks must start
/// while earlier ones spin.
const TICKETS: &str = ".visible .entry k(.param .u64 ticket, .param .u64 out) { .reg .b64 %d<4>; .reg .b32 %r<9>; .reg .pred %p<3>;
    ld.param.u64 %d0, [ticket]; ld.param.u64 %d1, [out]; mov.u32 %r0, %ctaid.x; mov.u32 %r1, %nctaid.x; sub.u32 %r1, %r1, 1; sub.u32 %r1, %r1, %r0; mov.u32 %r7, %tid.x; setp.ne.u32 %p1, %r7, 0; @%p1 bra WAITED;
    SPIN: ld.acquire.gpu.global.u32 %r2, [%d0]; setp.ne.u32 %p0, %r2, %r1; @%p0 bra SPIN;
    WAITED: bar.sync 0; @%p1 bra END;
    ld.global.u32 %r3, [%d1]; mad.lo.u32 %r3, %r3, 31, %r0; st.global.u32 [%d1], %r3;
    membar.gl; add.u32 %r4, %r1, 1; st.release.gpu.global.u32 [%d0], %r4; END: ret; }";

#[test]
fn blocks_that_spin_on_each_other_finish() {
    let module = Module::parse(&format!("{HEAD}{TICKETS}")).unwrap();
    for threads in [1, 2] {
        let machine = Machine::with(options(Arch::Sm80, threads, None));
        let (ticket, out) = (machine.alloc(4, "ticket").unwrap(), machine.alloc(4, "out").unwrap());
        machine.fill(ticket, 0, 4).unwrap();
        machine.fill(out, 0, 4).unwrap();
        let params = [ticket.to_le_bytes(), out.to_le_bytes()].concat();
        machine.launch(&module, "k", &LaunchConfig::linear(40, 64), &params).unwrap();
        let mut bytes = [0; 4];
        machine.read(out, &mut bytes).unwrap();
        let want = (0..40u32).rev().fold(0u32, |h, i| h.wrapping_mul(31).wrapping_add(i));
        assert_eq!(u32::from_le_bytes(bytes), want, "{threads} threads");
    }
}

#[test]
fn more_blocks_than_are_resident_cannot_all_wait_for_the_last() {
    // One block of 227 KiB a multiprocessor: 132 are resident, and the 133rd that they wait for never starts.
    let module = Module::parse(&format!("{HEAD}{TICKETS}")).unwrap();
    let machine = Machine::with(MachineOptions { step_limit: 200_000, ..options(Arch::Sm90a, 2, None) });
    let (ticket, out) = (machine.alloc(4, "ticket").unwrap(), machine.alloc(4, "out").unwrap());
    machine.fill(ticket, 0, 4).unwrap();
    let params = [ticket.to_le_bytes(), out.to_le_bytes()].concat();
    let config = LaunchConfig { shared_bytes: 227 * 1024, ..LaunchConfig::linear(133, 64) };
    let fault = machine.launch(&module, "k", &config, &params).unwrap_err();
    assert_eq!(fault.kind, FaultKind::StepLimit, "{fault}");
}

#[test]
fn threads_and_vector_instructions_do_not_change_results() {
    let body = ".reg .f32 %f<6>; cvt.rn.f32.u32 %f0, %r3; sqrt.rn.f32 %f1, %f0; fma.rn.f32 %f2, %f1, %f0, %f1; ex2.approx.f32 %f3, %f1; add.f32 %f2, %f2, %f3; st.shared.f32 [%r5], %f2; bar.sync 0; xor.b32 %r10, %r5, 4; ld.shared.f32 %f4, [%r10]; add.f32 %f2, %f2, %f4; st.global.f32 [%d1], %f2;";
    let config = LaunchConfig::linear(16, 128);
    let reference = words(body, &config, 2048, 1).0;
    assert_eq!(words(body, &config, 2048, 2).0, reference);
}

#[test]
fn counters_are_exact() {
    // 4 warps: each thread reads 4 bytes side by side, writes shared memory with a stride of 8 bytes.
    let ptx = format!(
        "{HEAD}.visible .entry k(.param .u64 in) {{ .reg .b64 %d<3>; .reg .b32 %r<6>; .shared .align 16 .b8 buf[2048];\n\
         ld.param.u64 %d0, [in]; mov.u32 %r0, %tid.x; mul.wide.u32 %d1, %r0, 4; add.u64 %d0, %d0, %d1; ld.global.u32 %r1, [%d0];\n\
         mov.u32 %r2, buf; shl.b32 %r3, %r0, 3; add.u32 %r2, %r2, %r3; st.shared.u32 [%r2], %r1; ret; }}"
    );
    let module = Module::parse(&ptx).unwrap();
    for (threads, simd) in [(1, None), (2, None), (1, Some(Simd::Portable))] {
        let machine = Machine::with(options(Arch::Sm80, threads, simd));
        let input = machine.alloc(512, "in").unwrap();
        let config = LaunchConfig { count: true, ..LaunchConfig::linear(2, 128) };
        let counters = machine.launch(&module, "k", &config, &input.to_le_bytes()).unwrap();
        let total = counters.total();
        assert_eq!(counters.warp_instructions, total.executions);
        assert_eq!((total.sectors_read, total.sectors_written), (2 * 4 * 4, 0));
        assert_eq!((total.wavefronts, total.wavefronts_ideal), (2 * 4 * 2, 2 * 4));
        assert!(counters.to_string().contains("in all"));
    }
}
