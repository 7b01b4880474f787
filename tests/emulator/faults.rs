//! What stops a kernel is reported with its place; no input makes the emulator panic.

use super::harness::{HEAD, options};
use halfbyte::emulator::{Arch, Fault, FaultKind, LaunchConfig, Machine, MachineOptions, Module};

/// The fault of a kernel `k(buf)` whose buffer has 4096 bytes and is called `weights`.
fn fault(body: &str, block: u32) -> Fault {
    let ptx = format!(
        "{HEAD}.file 1 \"kernels/test.cu\"\n.visible .entry k(.param .u64 buf) {{ .reg .b64 %d<9>; .reg .b32 %r<20>; .reg .pred %p<5>; .shared .align 8 .b8 s[64];\n\
         ld.param.u64 %d0, [buf]; mov.u32 %r0, %tid.x; mul.wide.u32 %d1, %r0, 4; add.u64 %d1, %d0, %d1; mov.u32 %r1, s;\n.loc 1 42 3\n{body}\nret; }}"
    );
    let module = Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
    let machine = Machine::with(MachineOptions { step_limit: 100_000, ..options(Arch::Sm90a, 1, None) });
    let buf = machine.alloc(4096, "weights").unwrap();
    machine.launch(&module, "k", &LaunchConfig::linear(1, block), &buf.to_le_bytes()).unwrap_err()
}

#[test]
fn reports_name_the_place_and_the_nearest_allocation() {
    let fault = fault("ld.global.u32 %r2, [%d1+4096];", 32);
    assert_eq!(fault.kind, FaultKind::OutOfBounds);
    let text = fault.to_string();
    for part in [
        "past the end of `weights` (4096 bytes)",
        "kernel `k`",
        "ld.global.u32 %r2, [%d1+4096]",
        "kernels/test.cu:42",
        "block (0, 0, 0), warp 0, lane 0",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(fault.address.is_some());
}

#[test]
fn every_kind_of_fault() {
    let table: [(&str, u32, FaultKind, &str); 24] = [
        ("ld.global.u32 %r2, [%d1+3972];", 32, FaultKind::OutOfBounds, "0 bytes past the end of `weights`"),
        ("st.global.u32 [%d1+-4], %r0;", 32, FaultKind::OutOfBounds, "4 bytes before the start of `weights`"),
        ("ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%d0+4088];", 1, FaultKind::Misaligned, "16 bytes"),
        ("ld.global.u32 %r2, [%d0+2];", 1, FaultKind::Misaligned, "byte 2 of `weights`"),
        ("mov.u64 %d2, 0; ld.global.u32 %r2, [%d2];", 1, FaultKind::OutOfBounds, "before the start"),
        (
            "ld.shared.u32 %r2, [%r1+64];",
            1,
            FaultKind::OutOfBounds,
            "past the end of shared memory of the block (64 bytes)",
        ),
        ("ld.shared.u64 %d2, [%r1+4];", 1, FaultKind::Misaligned, "8 bytes"),
        ("st.shared.u8 [%r1+-1], %r0;", 1, FaultKind::OutOfBounds, "shared memory"),
        ("atom.global.add.u32 %r2, [%d0+4096], 1;", 1, FaultKind::OutOfBounds, "`weights`"),
        ("atom.shared.add.u32 %r2, [%r1+62], 1;", 1, FaultKind::Misaligned, "atomic"),
        ("trap;", 1, FaultKind::Trap, "trap"),
        ("L: bra L;", 32, FaultKind::StepLimit, "does not end"),
        (
            "L: ld.volatile.global.u32 %r2, [%d0]; setp.ne.u32 %p0, %r2, 5; @%p0 bra L;",
            32,
            FaultKind::StepLimit,
            "limit is 100000",
        ),
        ("setp.lt.u32 %p0, %r0, 32; @%p0 bra E; bar.sync 0, 128;\nE:", 64, FaultKind::Barrier, "128"),
        (
            "setp.lt.u32 %p0, %r0, 32; @%p0 bra E; bar.sync 1, 64;\nE:",
            64,
            FaultKind::Deadlock,
            "barrier 1, where 32 of 64",
        ),
        ("bar.sync 16;", 32, FaultKind::Barrier, "barrier 16"),
        ("setp.lt.u32 %p0, %r0, 7; @%p0 bar.sync 0;", 32, FaultKind::Divergence, "lanes 7-31"),
        (
            "setp.lt.u32 %p0, %r0, 7; @%p0 bra A; bar.sync 0; bra B;\nA: bar.sync 0;\nB:",
            32,
            FaultKind::Divergence,
            "needs",
        ),
        (
            "setp.lt.u32 %p0, %r0, 7; @%p0 bra A; bar.warp.sync -1; bra B;\nA: shfl.sync.bfly.b32 %r2, %r0, 1, 31, -1;\nB:",
            32,
            FaultKind::Divergence,
            "bar.warp.sync",
        ),
        ("shfl.sync.bfly.b32 %r2, %r0, 1, 31, 0xFF;", 32, FaultKind::Divergence, "lanes 8-31"),
        (
            "mov.u32 %r3, 1; setp.ne.u32 %p1, %r0, 0; @%p1 bra E; mbarrier.init.shared.b64 [%r1], %r3;\nL: mbarrier.try_wait.parity.shared.b64 %p0, [%r1], 0; @!%p0 bra L;\nE:",
            32,
            FaultKind::Deadlock,
            "mbarrier at",
        ),
        ("mbarrier.arrive.shared.b64 %d2, [%r1];", 1, FaultKind::Barrier, "no initialized mbarrier"),
        (
            "mov.u64 %d2, 0x700000000; add.u64 %d2, %d2, %d1; ld.u32 %r2, [%d2];",
            1,
            FaultKind::OutOfBounds,
            "global address",
        ),
        ("brx.idx %r9, T;\nT: .branchtargets A, B;\nA:\nB:", 1, FaultKind::OutOfBounds, "table of 2"),
    ];
    let mut cases = 0;
    for (body, block, kind, part) in table {
        let body =
            if body.contains("%r9") { body.replacen("brx", "mov.u32 %r9, 5;\nbrx", 1) } else { body.to_string() };
        let fault = fault(&body, block);
        assert_eq!(fault.kind, kind, "{body}: {fault}");
        assert!(fault.to_string().contains(part), "{body}: {part} is not in {fault}");
        cases += 1;
    }
    assert_eq!(cases, 24);
}

#[test]
fn launches_that_do_not_fit_are_refused() {
    let ptx = format!(
        "{HEAD}.visible .entry k(.param .u64 p) .maxntid 128, 1, 1 {{ .shared .b8 s[1024]; ret; }}\n.visible .entry r() .reqntid 64, 1, 1 {{ ret; }}"
    );
    let module = Module::parse(&ptx).unwrap();
    let machine = Machine::new(Arch::Sm80);
    let linear = LaunchConfig::linear;
    let table = [
        ("none", linear(1, 32), 8, "no entry `none`"),
        ("k", linear(1, 129), 8, "compiled for at most 128"),
        ("k", linear(1, 0), 8, "1 to 1024"),
        ("k", linear(0, 32), 8, "a grid of"),
        ("k", linear(1, 32), 4, "4 bytes of parameters; it takes 8"),
        ("k", LaunchConfig { shared_bytes: 163 * 1024, ..linear(1, 32) }, 8, "sm_80 has 166912 a block"),
        ("k", LaunchConfig { shared_bytes: u32::MAX, ..linear(1, 32) }, 8, "shared memory"),
        ("k", LaunchConfig { cluster: [2, 1, 1], ..linear(2, 32) }, 8, "clusters of [2, 1, 1]"),
        ("k", LaunchConfig { block: [u32::MAX; 3], ..linear(1, 1) }, 8, "threads"),
        ("r", linear(1, 32), 0, "compiled for [64, 1, 1]"),
    ];
    for (entry, config, params, part) in table {
        let fault = machine.launch(&module, entry, &config, &vec![0; params]).unwrap_err();
        assert!(fault.to_string().contains(part), "{part} is not in {fault}");
    }
    assert!(machine.launch(&module, "k", &linear(1, 128), &[0; 8]).is_ok());
}
