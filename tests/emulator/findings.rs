//! Checked mode on global memory: bytes never written, inputs written, parts of a buffer that were not given.

use halfbyte::emulator::{
    Arch, Counters, Fault, FaultKind, Fill, LaunchConfig, Machine, MachineOptions, Module, Operand, Report, ReportKind,
    Swizzle, TensorMap, TensorMapDtype,
};

use super::harness::{HEAD, options};

fn checked() -> Machine {
    Machine::with(MachineOptions { checked: true, step_limit: 1_000_000, ..options(Arch::Sm90a, 2, None) })
}

fn parse(body: &str) -> Module {
    let ptx = format!(
        "{HEAD}.file 1 \"kernels/test.cu\"\n.visible .entry k(.param .u64 a, .param .u64 b) {{ .reg .b64 %d<9>; .reg .b32 %r<20>; .reg .pred %p<5>; .shared .align 128 .b8 s[4096];\n\
         ld.param.u64 %d0, [a]; ld.param.u64 %d2, [b]; mov.u32 %r0, %tid.x; mul.wide.u32 %d1, %r0, 4; add.u64 %d1, %d0, %d1; add.u64 %d3, %d2, 0; mov.u32 %r1, s; mad.lo.u32 %r1, %r0, 16, %r1;\n.loc 1 42 3\n{body}\nret; }}"
    );
    Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"))
}

fn launch(
    machine: &Machine,
    body: &str,
    threads: u32,
    args: [u64; 2],
    given: &[Operand<'_>],
) -> Result<Counters, Fault> {
    let params = args.map(u64::to_le_bytes).concat();
    machine.launch_with(&parse(body), "k", &LaunchConfig::linear(1, threads), &params, given)
}

/// The reports of one warp that runs `body` on `a`, of 256 bytes of which 100 to 103 and 200 up were never written.
fn reports(body: &str) -> Vec<Report> {
    let machine = checked();
    let a = machine.alloc(256, "a").unwrap();
    machine.write(a, &[1; 100]).unwrap();
    machine.fill(a + 104, 1, 96).unwrap();
    assert_eq!(machine.unwritten(a, 256).unwrap(), Some(100..104));
    assert_eq!(machine.unwritten(a + 104, 152).unwrap(), Some(96..152));
    launch(&machine, body, 32, [a, a], &[]).unwrap_or_else(|fault| panic!("{fault}")).reports
}

#[test]
fn reads_of_bytes_never_written_are_reported_once_a_line() {
    // What is read, lanes that are blamed, words of the report.
    let table: [(&str, u32, &str); 9] = [
        ("ld.global.u32 %r2, [%d1];", 1 << 25, "byte 100 of `a` (256 bytes) and 3 after it were never written"),
        ("ld.global.nc.u8 %r2, [%d0+103];", 1, "byte 103 of `a` (256 bytes) was never written"),
        ("ld.u16 %r2, [%d0+102];", 1, "byte 102 of `a` (256 bytes) and 1 after"),
        ("ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%d0+96];", 1, "read of 16 bytes"),
        ("ld.global.u64 %d4, [%d0+248];", 1, "byte 248 of `a` (256 bytes) and 7 after"),
        ("atom.global.add.u32 %r2, [%d0+100], 1;", 1, "byte 100 of `a`"),
        ("red.global.add.u32 [%d0+204], 1;", 1, "byte 204 of `a`"),
        ("cp.async.ca.shared.global [%r1], [%d0+96], 8; cp.async.wait_all;", 1, "by an asynchronous copy"),
        (
            "cp.async.cg.shared.global [%r1], [%d0+192], 16, 9; cp.async.wait_all;",
            1,
            "byte 200 of `a` (256 bytes) was never",
        ),
    ];
    for (body, lane, part) in table {
        let found = reports(body);
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        let report = &found[0];
        assert_eq!((report.kind, report.site.lanes), (ReportKind::Uninitialized, lane), "{body}");
        assert!(report.to_string().contains(part), "{body}: {part} is not in {report}");
        assert_eq!(report.site.source, Some(("kernels/test.cu".into(), 42)));
        // Each lane, but of an atomic only the first: it wrote what the others read. In the first row lane 25 alone
        // reads the gap.
        let times = if body.starts_with("ld.global.u32") || body.contains(".add.") { 1 } else { 32 };
        assert_eq!(report.times, times, "{body}");
    }
}

#[test]
fn bytes_that_anybody_wrote_are_not_reported() {
    for body in [
        "ld.global.u32 %r2, [%d0+96]; ld.global.u32 %r2, [%d0+104];",
        "st.global.u32 [%d0+100], 7; bar.warp.sync -1; ld.global.u32 %r2, [%d0+100];",
        "st.global.u8 [%d0+101], 7; bar.warp.sync -1; ld.global.u8 %r2, [%d0+101];",
        "atom.global.exch.b32 %r2, [%d0+96], 1; bar.warp.sync -1; ld.global.u32 %r2, [%d0+96];",
        "cp.async.cg.shared.global [%r1], [%d0+192], 16, 8; cp.async.wait_all;",
        "cp.async.cg.shared.global [%r1], [%d0+208], 16, 0; cp.async.wait_all;",
        "mov.u32 %r2, 7; st.global.v4.u32 [%d0+192], {%r2, %r2, %r2, %r2}; bar.warp.sync -1; ld.global.u64 %d4, [%d0+200];",
    ] {
        assert_eq!(reports(body), [], "{body}");
    }
}

fn operand(name: &str, address: u64, bytes: u64, write: bool) -> Operand<'_> {
    Operand { name, address, bytes, write }
}

#[test]
fn writes_to_inputs_and_outside_the_parts_given_are_reported() {
    let machine = checked();
    let all = machine.alloc(1024, "buffer").unwrap();
    let other = machine.alloc(64, "other").unwrap();
    machine.fill(all, 0, 1024).unwrap();
    machine.fill(other, 0, 64).unwrap();
    let given =
        [operand("in", all, 256, false), operand("out", all + 256, 256, true), operand("both", all + 128, 64, true)];
    let table: [(&str, Option<(ReportKind, &str)>); 10] = [
        (
            "st.global.u32 [%d1], %r0;",
            Some((ReportKind::WriteToInput, "byte 0 of `in` (256 bytes), which the launch may only read")),
        ),
        ("st.global.u32 [%d0+192], 7;", Some((ReportKind::WriteToInput, "write of 4 bytes to byte 192 of `in`"))),
        ("red.global.add.u32 [%d0+8], 1;", Some((ReportKind::WriteToInput, "byte 8 of `in`"))),
        ("st.global.u32 [%d0+128], 7; st.global.u32 [%d0+188], 7;", None),
        ("ld.global.u32 %r2, [%d0+8]; ld.global.u32 %r2, [%d0+260]; st.global.u32 [%d0+508], %r2;", None),
        (
            "ld.global.u32 %r2, [%d0+512];",
            Some((
                ReportKind::OutsideOperand,
                "read of 4 bytes reaches byte 512 of the buffer of `in`, `out` and `both` (1024 bytes)",
            )),
        ),
        ("st.global.u64 [%d0+512], %d0;", Some((ReportKind::OutsideOperand, "write of 8 bytes reaches byte 512"))),
        ("ld.global.u64 %d4, [%d0+248];", None),
        (
            "cp.async.ca.shared.global [%r1], [%d0+512], 8; cp.async.wait_all;",
            Some((ReportKind::OutsideOperand, "read of 8 bytes")),
        ),
        ("cvt.u64.u32 %d4, %r0; add.u64 %d4, %d2, %d4; ld.global.u8 %r2, [%d4]; st.global.u8 [%d4], 7;", None),
    ];
    for (body, want) in table {
        let found = launch(&machine, body, 32, [all, other], &given).unwrap().reports;
        match want {
            None => assert_eq!(found, [], "{body}"),
            Some((kind, part)) => {
                assert_eq!((found.len(), found[0].kind), (1, kind), "{body}: {found:?}");
                assert!(found[0].to_string().contains(part), "{body}: {part} is not in {}", found[0]);
            }
        }
    }
    // Nothing of all this without checked mode, or without operands.
    let body = "st.global.u32 [%d1], %r0; ld.global.u32 %r2, [%d0+512];";
    assert_eq!(launch(&machine, body, 32, [all, other], &[]).unwrap().reports, []);
}

#[test]
fn faults_call_memory_by_the_names_of_the_launch() {
    for machine in [checked(), Machine::new(Arch::Sm90a)] {
        let all = machine.alloc(1024, "buffer").unwrap();
        let body = "ld.global.u32 %r2, [%d0+1028];";
        let text = |given: &[Operand<'_>]| {
            let fault = launch(&machine, body, 1, [all, all], given).unwrap_err();
            assert_eq!(fault.kind, FaultKind::OutOfBounds);
            fault.to_string()
        };
        assert!(text(&[]).contains("4 bytes past the end of `buffer` (1024 bytes)"));
        assert!(text(&[operand("x", all, 1024, false)]).contains("4 bytes past the end of `x` (1024 bytes)"));
        let two = [operand("x", all, 8, false), operand("y", all + 8, 8, false)];
        assert!(text(&two).contains("4 bytes past the end of the buffer of `x` and `y` (1024 bytes)"));
        // Lists that make no sense say nothing.
        let odd = [operand("x", all, 0, false), operand("y", u64::MAX, 8, true), operand("z", 0, u64::MAX, true)];
        assert!(text(&odd).contains("past the end of `buffer`"));
    }
}

/// A tile that reaches past what was written, on two sides, and the edges that are filled.
#[test]
fn tiles_that_read_bytes_never_written_are_reported() {
    let machine = checked();
    let a = machine.alloc(8 * 64, "a").unwrap();
    machine.fill(a, 3, 8 * 64).unwrap();
    let rows = machine.alloc(8 * 64, "rows").unwrap();
    (0..8).for_each(|row| machine.fill(rows + row * 64, 3, 48).unwrap());
    let body = "mov.u32 %r3, 1; setp.ne.u32 %p1, %r0, 0; @%p1 bra E; add.u32 %r2, %r1, 2048; mbarrier.init.shared.b64 [%r2], %r3;\n\
                fence.mbarrier_init.release.cluster; mov.u32 %r4, 0; mbarrier.arrive.expect_tx.shared.b64 _, [%r2], 512;\n\
                cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%d0, {%r4, %r4}], [%r2];\n\
                L: mbarrier.try_wait.parity.shared.b64 %p0, [%r2], 0; @!%p0 bra L;\nE:";
    for (address, columns, want) in [(a, 64, 0), (rows, 48, 0), (rows, 64, 1)] {
        let map = TensorMap {
            dtype: TensorMapDtype::U8,
            rank: 2,
            address,
            dims: [columns, 8, 1, 1, 1],
            strides: [1, 64, 0, 0, 0],
            box_: [64, 8, 1, 1, 1],
            element_strides: [1; 5],
            swizzle: Swizzle::B64,
            fill: Fill::Zero,
        };
        let at = machine.alloc(128, "map").unwrap();
        machine.write(at, &map.to_bytes().unwrap()).unwrap();
        let given = [operand("map", at, 128, false), operand("tile", address, 512, false)];
        let found = launch(&machine, body, 32, [at, at], &given).unwrap().reports;
        assert_eq!(found.len(), want, "{found:?}");
        for report in found {
            assert!(report.message.contains("byte 48 of `tile` (512 bytes) and 15 after it"), "{report}");
            assert_eq!((report.site.lanes, report.times), (1, 8), "{report}");
        }
    }
}
