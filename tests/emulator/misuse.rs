//! Barriers, mbarriers, collectives and asynchronous groups used against their rules: what checked mode reports
//! whatever the results, and what stops a kernel in every mode.

use halfbyte::emulator::{
    Arch, AsyncOrder, Counters, Fault, FaultKind, Fill, LaunchConfig, Machine, MachineOptions, Module, ReportKind,
    Swizzle, TensorMap, TensorMapDtype,
};

use super::harness::{HEAD, options};

const ORDERS: [AsyncOrder; 4] = [AsyncOrder::Late, AsyncOrder::Early, AsyncOrder::Random(1), AsyncOrder::Random(2)];

/// Runs a kernel `k(buf, map)`: `%d0` is a buffer of 4096 bytes, `%d2` a tensor map over it (rows of 64 bytes, tiles of
/// 8 rows); `%r0` the thread, `%r1` 4096 bytes of shared memory, `%r2` those from 2048 on, `%r3` and `%r4` are 1 and 0.
fn run(order: AsyncOrder, checked: bool, body: &str, blocks: u32, threads: u32) -> Result<Counters, Fault> {
    let ptx = format!(
        "{HEAD}.file 1 \"kernels/test.cu\"\n.visible .entry k(.param .u64 buf, .param .u64 map) {{ .reg .b64 %d<9>; .reg .b32 %r<99>; .reg .f32 %f<9>; .reg .pred %p<9>;\n\
         .shared .align 1024 .b8 s[4096];\nld.param.u64 %d0, [buf]; ld.param.u64 %d2, [map]; mov.u32 %r0, %tid.x; mul.wide.u32 %d1, %r0, 4; add.u64 %d1, %d0, %d1;\n\
         mov.u32 %r1, s; add.u32 %r2, %r1, 2048; mov.u32 %r3, 1; mov.u32 %r4, 0; setp.eq.u32 %p1, %r0, 0;\n.loc 1 42 3\n{body}\nE: ret; }}"
    );
    let module = Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
    let base = MachineOptions { step_limit: 3_000_000, ..options(Arch::Sm90a, 2, None) };
    let machine = Machine::with(MachineOptions { checked, async_order: order, ..base });
    let buf = machine.alloc(4096, "buf").unwrap();
    machine.fill(buf, 1, 4096).unwrap();
    let map = TensorMap {
        dtype: TensorMapDtype::U8,
        rank: 2,
        address: buf,
        dims: [64, 64, 1, 1, 1],
        strides: [1, 64, 0, 0, 0],
        box_: [64, 8, 1, 1, 1],
        element_strides: [1; 5],
        swizzle: Swizzle::None,
        fill: Fill::Zero,
    };
    let at = machine.alloc(128, "map").unwrap();
    machine.write(at, &map.to_bytes().unwrap()).unwrap();
    machine.launch(&module, "k", &LaunchConfig::linear(blocks, threads), &[buf, at].map(u64::to_le_bytes).concat())
}

/// Thread 0 goes on, behind an mbarrier of one arrival at `%r2`.
const ONE: &str =
    "@!%p1 bra E; mbarrier.init.shared.b64 [%r2], %r3; fence.mbarrier_init.release.cluster; fence.proxy.async;\n";
const COPY: &str =
    "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%d2, {%r4, %r4}], [%r2];\n";
const WAIT: &str = "W: mbarrier.try_wait.parity.shared.b64 %p0, [%r2], 0; @!%p0 bra W;\n";

fn with_copies(body: &str) -> String {
    let expect = |bytes: u32| format!("mbarrier.arrive.expect_tx.shared.b64 _, [%r2], {bytes};\n");
    let body = body.replace("ONE", ONE).replace("COPY", COPY).replace("WAIT", WAIT);
    body.replace("EXPECT512", &expect(512)).replace("EXPECT1024", &expect(1024)).replace("EXPECT256", &expect(256))
}

#[test]
fn what_is_begun_must_be_ended() {
    let cp = "mul.lo.u32 %r5, %r0, 4; add.u32 %r5, %r1, %r5; cp.async.ca.shared.global [%r5], [%d1], 4;\n";
    let table: [(&str, Option<(ReportKind, &str)>); 16] = [
        ("FILL", Some((ReportKind::AsyncGroup, "cp.async copies that were never committed"))),
        (
            "FILL cp.async.commit_group;",
            Some((ReportKind::AsyncGroup, "cp.async copies that were committed, but never waited for")),
        ),
        (
            "FILL cp.async.commit_group; FILL cp.async.commit_group; cp.async.wait_group 1;",
            Some((ReportKind::AsyncGroup, "committed, but never")),
        ),
        ("FILL cp.async.commit_group; cp.async.commit_group; cp.async.wait_group 1;", None),
        ("FILL cp.async.commit_group; cp.async.wait_group 0;", None),
        ("FILL cp.async.wait_all;", None),
        ("FILL cp.async.commit_group; cp.async.wait_group 0; FILL", Some((ReportKind::AsyncGroup, "never committed"))),
        ("cp.async.commit_group; cp.async.commit_group;", None),
        ("@%p1 bra A; bra B; A: FILL exit; B: FILL cp.async.wait_all;", Some((ReportKind::AsyncGroup, "lane 0"))),
        ("ONE EXPECT512 COPY WAIT", None),
        ("ONE EXPECT512 COPY", Some((ReportKind::AsyncGroup, "nobody waited for phase 0 of the mbarrier at 0x800"))),
        ("ONE EXPECT512 COPY WAIT EXPECT512 COPY", Some((ReportKind::AsyncGroup, "nobody waited for phase 1"))),
        (
            "ONE EXPECT512 COPY WAIT mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%r2], 64;",
            Some((ReportKind::Barrier, "with 64 bytes pending: more were announced")),
        ),
        ("ONE EXPECT512 COPY WAIT mbarrier.inval.shared.b64 [%r2]; mbarrier.init.shared.b64 [%r2], %r3;", None),
        (
            "ONE EXPECT512 COPY WAIT mbarrier.init.shared.b64 [%r2], %r3;",
            Some((ReportKind::Barrier, "the mbarrier at 0x800 is initialized again")),
        ),
        (
            "ONE EXPECT512 COPY WAIT st.shared.u16 [%r2+6], %r0;",
            Some((ReportKind::Barrier, "write of 2 bytes at 0x806 of shared memory overwrites the mbarrier at 0x800")),
        ),
    ];
    for (body, want) in table {
        let ptx = with_copies(&body.replace("FILL", cp));
        for order in ORDERS {
            // Other checks have their own tests.
            let counters = run(order, true, &ptx, 1, 32).unwrap_or_else(|fault| panic!("{body}: {fault}"));
            let found: Vec<_> = counters
                .reports
                .iter()
                .filter(|r| matches!(r.kind, ReportKind::AsyncGroup | ReportKind::Barrier))
                .collect();
            match want {
                None => assert!(found.is_empty(), "{body}, {order:?}: {}", found[0]),
                Some((kind, part)) => {
                    assert_eq!(found.len(), 1, "{body}, {order:?}: {found:?}");
                    assert_eq!(found[0].kind, kind, "{body}");
                    let text = found[0].to_string();
                    assert!(
                        text.contains(part) && text.contains("kernels/test.cu:42"),
                        "{body}: {part} is not in {text}"
                    );
                }
            }
            assert_eq!(run(order, false, &ptx, 1, 32).unwrap().reports, [], "{body}: not checked, nothing found");
        }
    }
}

/// A product of zeros, committed and waited for or not.
#[test]
fn products_are_waited_for() {
    let regs: Vec<String> = (16..20).map(|r| format!("%r{r}")).collect();
    let product = format!(
        "mov.u32 %r16, 0; mov.u32 %r17, 0; mov.u32 %r18, 0; mov.u32 %r19, 0; mov.u64 %d4, 0x4000000000000000; setp.eq.u32 %p2, %r3, 0;\n\
         wgmma.fence.sync.aligned;\nwgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {{{}}}, %d4, %d4, %p2;\n",
        regs.join(", ")
    );
    for (rest, part) in [
        ("", Some("wgmma products that were never committed")),
        ("wgmma.commit_group.sync.aligned;", Some("wgmma products that were committed, but never waited for")),
        ("wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 1;", Some("committed, but never")),
        ("wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;", None),
    ] {
        for order in ORDERS {
            let counters =
                run(order, true, &format!("{product}{rest}"), 1, 128).unwrap_or_else(|fault| panic!("{fault}"));
            let found: Vec<_> = counters.reports.iter().filter(|r| r.kind == ReportKind::AsyncGroup).collect();
            assert_eq!(found.len(), usize::from(part.is_some()), "{rest}: {found:?}");
            if let (Some(part), [report]) = (part, &found[..]) {
                assert!(report.to_string().contains(part), "{report}");
                assert_eq!((report.times, report.other.is_some()), (4, true), "one for each warp");
            }
        }
    }
}

/// Other instructions' writes to registers of a product are fenced from it; a product's own are not other
/// instructions'.
#[test]
fn products_are_fenced_from_other_writes() {
    const PRODUCT: &str =
        "wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {%r16, %r17, %r18, %r19}, %d4, %d4, PREDICATE;\n";
    let wait = "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;\n";
    let fence = "wgmma.fence.sync.aligned;\n";
    for (body, part) in [
        ("P W", Some("no wgmma.fence before the warp's first wgmma")),
        ("P F W", Some("no wgmma.fence before")),
        ("F P P W P W", None),
        ("F P W F P W", None),
        ("F P W SET F P W", None),
        ("F P W SET P W", Some("2 registers of the accumulators were written since the last wgmma.fence")),
        ("F P SET W P W", None),
        ("F SET P W", Some("2 registers of the accumulators")),
        ("F SET Z W P W", None),
    ] {
        let words = body.split(' ').map(|word| match word {
            "P" => PRODUCT.replace("PREDICATE", "%p3"),
            "Z" => PRODUCT.replace("PREDICATE", "%p2"),
            "F" => fence.to_owned(),
            "W" => wait.to_owned(),
            _ => "add.u32 %r16, %r16, 1; add.u32 %r18, %r18, 1;\n".to_owned(),
        });
        let text = format!(
            "st.shared.u32 [%r1], %r4; mov.u32 %r16, 0; mov.u32 %r17, 0; mov.u32 %r18, 0; mov.u32 %r19, 0;\n\
             mov.u64 %d4, 0x4000000000000000; setp.eq.u32 %p2, %r3, 0; setp.eq.u32 %p3, %r3, 1;\n{}",
            words.collect::<String>()
        );
        // Late only: a register that is written while a product is under way is a fault of its own, and lands
        // differently.
        let reports = run(AsyncOrder::Late, true, &text, 1, 128).unwrap_or_else(|fault| panic!("{fault}")).reports;
        let found: Vec<_> = reports.iter().filter(|r| r.kind == ReportKind::AsyncGroup).collect();
        assert_eq!(found.len(), usize::from(part.is_some()), "{body}: {found:?}");
        if let (Some(part), [report]) = (part, &found[..]) {
            assert!(report.to_string().contains(part) && report.times == 4, "{body}: {report}");
        }
    }
}

/// `try_wait` may give up before the phase is over: in some random orders it does, and never in the others.
#[test]
fn a_wait_may_come_back_early() {
    let body = format!(
        "{ONE}EXPECT\n{COPY}mbarrier.try_wait.parity.shared.b64 %p0, [%r2], 0; selp.u32 %r5, 1, 0, %p0;\n\
         W: mbarrier.try_wait.parity.shared.b64 %p0, [%r2], 0; @!%p0 bra W;\nsetp.eq.u32 %p2, %r5, 0; @%p2 trap;"
    )
    .replace("EXPECT", "mbarrier.arrive.expect_tx.shared.b64 _, [%r2], 512;");
    let early = |order| match run(order, false, &body, 1, 32) {
        Ok(_) => false,
        Err(fault) => {
            assert_eq!(fault.kind, FaultKind::Trap, "{fault}");
            true
        }
    };
    assert!(!early(AsyncOrder::Late) && !early(AsyncOrder::Early));
    let count = (0..32).filter(|seed| early(AsyncOrder::Random(*seed))).count();
    assert!((1..32).contains(&count), "{count} of 32 orders");
}

#[test]
fn collectives_name_only_lanes_that_are_there() {
    let gone = "setp.ge.u32 %p2, %r0, 4; @%p2 exit;\n";
    for (op, reported) in [
        ("shfl.sync.bfly.b32 %r5, %r0, 1, 31, -1;", true),
        ("vote.sync.ballot.b32 %r5, %p1, -1;", true),
        ("redux.sync.add.u32 %r5, %r0, -1;", true),
        ("match.any.sync.b32 %r5, %r0, -1;", true),
        ("shfl.sync.bfly.b32 %r5, %r0, 1, 31, 0xf;", false),
        ("bar.warp.sync -1;", false),
    ] {
        let reports = run(AsyncOrder::Late, true, &format!("{gone}{op}"), 1, 32).unwrap().reports;
        assert_eq!(reports.len(), usize::from(reported), "{op}: {reports:?}");
        for report in reports {
            assert_eq!(report.kind, ReportKind::Barrier);
            assert!(report.message.contains("members 0xffffffff are named, but lanes 4-31 have exited"), "{report}");
        }
        // A warp with fewer threads never had the others.
        assert_eq!(run(AsyncOrder::Late, true, op, 1, 4).unwrap().reports, [], "{op}");
    }
}

/// Every lane holds a part of a matrix: without one, what the instruction does is undefined.
#[test]
fn matrices_need_every_lane() {
    let gone = "shl.b32 %r5, %r0, 4; add.u32 %r6, %r1, %r5; st.shared.v4.b32 [%r6], {%r0, %r0, %r0, %r0};\n\
                bar.sync 0; setp.ge.u32 %p2, %r0, 30; @%p2 exit;\n";
    for instruction in [
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r16, %r17, %r18, %r19}, {%r5, %r6, %r7, %r8}, {%r5, %r6}, {%r16, %r17, %r18, %r19};",
        "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r16}, [%r1];",
        "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r6], {%r16};",
        "movmatrix.sync.aligned.m8n8.trans.b16 %r16, %r5;",
    ] {
        let whole = gone.replace("30", "32");
        assert_eq!(run(AsyncOrder::Late, true, &format!("{whole}{instruction}"), 1, 32).unwrap().reports, []);
        let reports = run(AsyncOrder::Late, true, &format!("{gone}{instruction}"), 1, 32).unwrap().reports;
        let [report] = &reports[..] else { panic!("{instruction}: {reports:?}") };
        assert_eq!(report.kind, ReportKind::Barrier, "{instruction}");
        let text = report.to_string();
        assert!(text.contains("the whole warp is needed, but lanes 30-31 have exited"), "{text}");
    }
}

/// Every instruction with `.aligned`, run by seven lanes here and the others elsewhere, and with a guard that leaves
/// some out.
#[test]
fn aligned_instructions_need_the_whole_warp() {
    let halves = [
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r16, %r17, %r18, %r19}, {%r5, %r6, %r7, %r8}, {%r5, %r6}, {%r16, %r17, %r18, %r19};",
        "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r16}, [%r1];",
        "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r1], {%r16};",
        "movmatrix.sync.aligned.m8n8.trans.b16 %r16, %r5;",
        "bar.sync 0;",
        "bar.arrive 1, 64;",
        "bar.red.popc.u32 %r5, 0, %p1;",
        "barrier.sync.aligned 2;",
        "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;",
        "wgmma.fence.sync.aligned;",
        "wgmma.commit_group.sync.aligned;",
        "wgmma.wait_group.sync.aligned 0;",
        "setmaxnreg.dec.sync.aligned.u32 24;",
    ];
    for instruction in halves {
        let apart = format!("setp.lt.u32 %p2, %r0, 7; @%p2 bra A; {instruction} bra E;\nA: {instruction}");
        let guarded = format!("setp.lt.u32 %p2, %r0, 7; @%p2 {instruction}");
        for body in [apart, guarded] {
            let fault = run(AsyncOrder::Late, false, &body, 1, 32).expect_err(&body);
            assert_eq!(fault.kind, FaultKind::Divergence, "{body}: {fault}");
            assert!(
                fault.to_string().contains("lanes 7-31") || fault.to_string().contains("lanes 0-6"),
                "{body}: {fault}"
            );
        }
        if !instruction.contains("mma.sync") {
            continue;
        }
        assert!(run(AsyncOrder::Late, false, instruction, 1, 32).is_ok(), "{instruction}");
    }
    for instruction in
        ["barrier.sync 0;", "barrier.red.popc.u32 %r5, 0, %p1;", "barrier.cluster.arrive; barrier.cluster.wait;"]
    {
        let body = format!("setp.lt.u32 %p2, %r0, 7; @%p2 bra A; {instruction} bra E;\nA: {instruction}");
        run(AsyncOrder::Late, false, &body, 1, 32).unwrap_or_else(|fault| panic!("{body}: {fault}"));
    }
}

#[test]
fn barriers_and_mbarriers_used_wrongly_stop_the_kernel() {
    let table: [(&str, u32, FaultKind, &str); 17] = [
        ("bar.sync 1, 33;", 64, FaultKind::Barrier, "thread count 33 is not a multiple of 32"),
        ("bar.sync 1, 0;", 64, FaultKind::Barrier, "thread count 0"),
        ("bar.sync 1, 96;", 64, FaultKind::Barrier, "thread count 96 is not a multiple of 32 within the block's 64"),
        (
            "setp.lt.u32 %p2, %r0, 32; @%p2 bar.red.popc.u32 %r5, 0, %p1; @!%p2 bar.sync 0;",
            64,
            FaultKind::Barrier,
            "this one asks for no reduction, earlier ones for the reduction Popc",
        ),
        ("mov.u32 %r5, 16; bar.sync %r5;", 32, FaultKind::Barrier, "there are barriers 0 to 15"),
        (
            "setp.lt.u32 %p2, %r0, 32; @%p2 bar.sync 1, 64; @!%p2 bar.sync 1, 96;",
            96,
            FaultKind::Barrier,
            "arrivals that disagree",
        ),
        (
            "setp.lt.u32 %p2, %r0, 7; @%p2 barrier.arrive 1, 32; barrier.arrive 1, 32;",
            32,
            FaultKind::Barrier,
            "39 threads have arrived, it waits for 32",
        ),
        (
            "setp.lt.u32 %p2, %r0, 32; @%p2 bar.sync 1, 96;",
            96,
            FaultKind::Deadlock,
            "warp 0, lanes 0-31, waits for barrier 1, where 32 of 96 threads have arrived",
        ),
        ("ONE mbarrier.arrive.shared.b64 _, [%r2], 2;", 32, FaultKind::Barrier, "2 more arrivals than its count"),
        (
            "@!%p1 bra E; mbarrier.arrive.shared.b64 _, [%r2];",
            32,
            FaultKind::Barrier,
            "no initialized mbarrier at 0x800",
        ),
        (
            "ONE mbarrier.inval.shared.b64 [%r2]; mbarrier.arrive.shared.b64 _, [%r2];",
            32,
            FaultKind::Barrier,
            "no initialized mbarrier",
        ),
        (
            "ONE st.shared.u64 [%r2], %d0; mbarrier.arrive.shared.b64 _, [%r2];",
            32,
            FaultKind::Barrier,
            "no initialized mbarrier",
        ),
        (
            "ONE mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%r2], 0x100000;",
            32,
            FaultKind::Barrier,
            "tx-count 0 +1048576 leaves",
        ),
        (
            "ONE mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%r2], 0xfffff; mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%r2], 1;",
            32,
            FaultKind::Barrier,
            "tx-count -1048575 -1 leaves",
        ),
        ("ONE EXPECT1024 COPY WAIT", 32, FaultKind::Deadlock, "0 of 1 arrivals and 512 bytes pending"),
        ("ONE EXPECT256 COPY WAIT", 32, FaultKind::Deadlock, "0 of 1 arrivals and -256 bytes pending"),
        ("@!%p1 bra E; mbarrier.init.shared.b64 [%r2], 0;", 32, FaultKind::Barrier, "with count 0"),
    ];
    for (body, threads, kind, part) in table {
        for checked in [false, true] {
            let fault = run(AsyncOrder::Late, checked, &with_copies(body), 1, threads).expect_err(body);
            assert_eq!(fault.kind, kind, "{body}: {fault}");
            assert!(fault.to_string().contains(part), "{body}: {part} is not in {fault}");
        }
    }
}

/// `test_wait` never blocks, so a loop of it is a spin: with nobody left to end the phase it is a deadlock all the
/// same.
#[test]
fn a_phase_that_is_tested_and_can_never_come_is_a_deadlock() {
    let test = "W: mbarrier.test_wait.parity.shared.b64 %p0, [%r2], 0; @!%p0 bra W;";
    let fault = run(AsyncOrder::Late, false, &format!("{}{test}", with_copies("ONE")), 1, 64).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Deadlock);
    let text = fault.to_string();
    assert!(text.contains("warp 0, lane 0, waits for mbarrier at 0x800: 1 of 1 arrivals"), "{text}");
    assert!(text.contains("tests again and again") && text.contains("kernels/test.cu:42"), "{text}");
    // It is none while a copy is under way, nor where a loop gives up by itself.
    run(AsyncOrder::Late, false, &with_copies(&format!("ONE EXPECT512 COPY {test}")), 1, 64).unwrap();
    let bounded = "mov.u32 %r5, 0; W: mbarrier.test_wait.parity.shared.b64 %p0, [%r2], 0; add.u32 %r5, %r5, 1; setp.lt.u32 %p3, %r5, 9999; @%p3 bra W;";
    run(AsyncOrder::Late, false, &format!("{}{bounded}", with_copies("ONE")), 1, 64).unwrap();
}

#[test]
fn lists_of_who_waits_where_are_grouped_and_capped() {
    // 32 warps of which each waits at a barrier of its own would be 15 lines; those at one barrier are one.
    let fault = run(
        AsyncOrder::Late,
        false,
        "setp.lt.u32 %p2, %r0, 96; @%p2 bar.sync 1, 128; @!%p2 bar.sync 2, 1024;",
        1,
        1024,
    )
    .unwrap_err();
    let text = fault.to_string();
    assert_eq!(fault.kind, FaultKind::Deadlock);
    assert!(text.contains("warps 0-2, lanes 0-31, wait for barrier 1, where 96 of 128"), "{text}");
    assert!(text.contains("warps 3-31, lanes 0-31, wait for barrier 2, where 928 of 1024"), "{text}");
    // Lanes that all stand apart, in several blocks that spin for each other.
    let spin = "setp.eq.u32 %p3, %r0, 0;\nL: ld.volatile.global.u32 %r5, [%d0]; setp.ne.u32 %p2, %r5, 77; @%p2 bra L;";
    let fault = run(AsyncOrder::Late, false, spin, 40, 32).unwrap_err();
    assert_eq!(fault.kind, FaultKind::StepLimit);
    let text = fault.to_string();
    let lines =
        text.lines().filter(|line| line.starts_with("  block (") && line.contains("waits for its turn")).count();
    assert!((20..=24).contains(&lines) && text.contains("more"), "{lines}: {text}");
    assert!(text.contains("ld.volatile.global.u32") || text.contains("setp.ne") || text.contains("bra"), "{text}");
}
