//! Programs that nobody would write: whatever the text, the launch and the addresses, a launch ends with results or
//! with a report.

use halfbyte::emulator::{
    Arch, AsyncOrder, FaultKind, LaunchConfig, Machine, MachineOptions, Module, Operand, ReportKind, Simd,
};

use super::harness::HEAD;

/// Instruction forms. `R` `D` `F` `G` `H` `P` stand for registers of 32 bits, 64 bits, f32, f64, 16 bits and
/// predicates; `I` for a constant, `S` for a shared or local and `A` for a global or generic address, `B` for an
/// mbarrier, `L` for a label.
const FORMS: &[&str] = &[
    "add.s32 R, R, I",
    "sub.u32 R, I, R",
    "mul.lo.s32 R, R, R",
    "mad.hi.s32 R, R, R, R",
    "div.s32 R, R, R",
    "rem.u32 R, R, R",
    "shl.b32 R, R, R",
    "shr.s32 R, R, I",
    "bfe.s32 R, R, R, R",
    "bfi.b32 R, R, R, R, R",
    "prmt.b32 R, R, R, R",
    "prmt.b32.f4e R, R, R, R",
    "lop3.b32 R, R, R, R, 0x2D",
    "shf.l.wrap.b32 R, R, R, R",
    "dp4a.s32.u32 R, R, R, R",
    "sad.s32 R, R, R, R",
    "abs.s32 R, R",
    "clz.b32 R, R",
    "bfind.s32 R, R",
    "popc.b64 R, D",
    "brev.b64 D, D",
    "add.s64 D, D, I",
    "mul.hi.s64 D, D, D",
    "div.s64 D, D, D",
    "rem.s64 D, D, D",
    "shl.b64 D, D, R",
    "shr.s64 D, D, R",
    "bfe.s64 D, D, R, R",
    "bfi.b64 D, D, D, R, R",
    "mul.wide.s32 D, R, R",
    "mad.wide.u32 D, R, R, D",
    "add.cc.u32 R, R, R",
    "addc.u32 R, R, R",
    "mul.lo.s16 H, H, H",
    "shl.b16 H, H, R",
    "mul.wide.s16 R, H, H",
    "sub.f32 F, F, F",
    "fma.rp.ftz.f32 F, F, F, F",
    "div.rn.f32 F, F, F",
    "sqrt.rz.f32 F, F",
    "ex2.approx.f32 F, F",
    "sin.approx.f32 F, F",
    "lg2.approx.f32 F, F",
    "tanh.approx.f32 F, F",
    "fma.rn.f64 G, G, G, G",
    "div.rn.f64 G, G, G",
    "cvt.rni.s64.f32 D, F",
    "cvt.rzi.u8.f32 R, F",
    "cvt.rn.f32.u64 F, D",
    "cvt.sat.s8.s32 R, R",
    "cvt.rn.f16.f32 H, F",
    "cvt.f64.f32 G, F",
    "cvt.rn.bf16x2.f32 R, F, F",
    "cvt.rn.satfinite.e4m3x2.f32 H, F, F",
    "fma.rn.f16x2 R, R, R, R",
    "min.NaN.bf16x2 R, R, R",
    "mov.b32 F, R",
    "mov.b64 D, {R, R}",
    "mov.b64 {R, R}, D",
    "mov.b32 R, {H, H}",
    "mov.u32 R, I",
    "mov.b64 D, I",
    "selp.b32 R, R, R, P",
    "slct.s32.f32 R, R, R, F",
    "setp.lt.and.s32 P|P, R, R, P",
    "setp.geu.f32 P, F, F",
    "setp.num.f64 P, G, G",
    "setp.ne.u64 P, D, D",
    "set.eq.u32.f32 R, F, F",
    "not.pred P, P",
    "xor.pred P, P, P",
    "mov.u32 R, %lanemask_gt",
    "mov.u64 D, %clock64",
    "mov.u32 R, %tid.z",
    "ld.global.u32 R, A",
    "ld.global.v4.u32 {R, R, R, R}, A",
    "ld.global.v2.b64 {D, D}, A",
    "ld.global.s8 R, A",
    "ld.u64 D, A",
    "ld.acquire.gpu.global.u32 R, A",
    "ld.shared.u32 R, S",
    "ld.shared.v4.f32 {F, F, F, F}, S",
    "ld.shared.s16 R, S",
    "ld.local.u32 R, S",
    "ld.const.u32 R, S",
    "ld.param.u32 R, [out+4]",
    "ld.param.u64 D, [out]",
    "st.global.u32 A, R",
    "st.global.v4.u32 A, {R, R, R, R}",
    "st.u8 A, R",
    "st.release.gpu.global.u64 A, D",
    "st.shared.v2.u32 S, {R, R}",
    "st.shared.u64 S, D",
    "st.local.v4.u32 S, {R, R, R, R}",
    "st.local.u8 S, R",
    "atom.global.add.u32 R, A, R",
    "atom.shared.cas.b32 R, S, R, R",
    "atom.add.f32 F, A, F",
    "atom.shared.max.s64 D, S, D",
    "atom.shared.add.noftz.f16 H, S, H",
    "red.global.inc.u32 A, R",
    "atom.exch.b64 D, A, D",
    "cvta.shared.u64 D, D",
    "cvta.to.local.u64 D, D",
    "isspacep.shared P, D",
    "prefetch.global.L2 A",
    "shfl.sync.bfly.b32 R|P, R, R, R, -1",
    "shfl.sync.idx.b32 R|P, R, R, R, R",
    "shfl.sync.up.b32 R, R, I, R, 7",
    "vote.sync.ballot.b32 R, P, -1",
    "vote.sync.all.pred P, P, R",
    "match.any.sync.b32 R, R, -1",
    "match.all.sync.b64 R|P, D, R",
    "redux.sync.min.s32 R, R, -1",
    "activemask.b32 R",
    "elect.sync R|P, -1",
    "bar.warp.sync R",
    "bar.warp.sync -1",
    "bar.sync 0",
    "bar.sync R",
    "bar.sync I, 32",
    "barrier.sync 1, R",
    "bar.arrive 2, 64",
    "barrier.arrive R, R",
    "bar.red.popc.u32 R, 0, P",
    "barrier.red.or.pred P, 3, 32, P",
    "barrier.cluster.arrive",
    "barrier.cluster.wait",
    "membar.gl",
    "fence.proxy.async",
    "nanosleep.u32 R",
    "cp.async.cg.shared.global S, A, 16",
    "cp.async.ca.shared.global S, A, 4, R",
    "cp.async.ca.shared.global S, A, 8, 5",
    "cp.async.commit_group",
    "cp.async.wait_group 1",
    "cp.async.wait_all",
    "cp.async.mbarrier.arrive.noinc.shared.b64 B",
    "mbarrier.init.shared.b64 S, R",
    "mbarrier.init.shared.b64 [buf+8], 1",
    "mbarrier.inval.shared.b64 B",
    "mbarrier.arrive.shared.b64 D, B",
    "mbarrier.arrive.expect_tx.shared.b64 D, [buf+8], R",
    "mbarrier.expect_tx.relaxed.cta.shared.b64 B, R",
    "mbarrier.complete_tx.relaxed.cta.shared.b64 B, R",
    "mbarrier.test_wait.parity.shared.b64 P, B, I",
    "mbarrier.try_wait.parity.shared.b64 P, [buf+8], 0",
    "mbarrier.test_wait.shared.b64 P, B, D",
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes S, A, R, [buf+8]",
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [buf], A, 16, [buf+8]",
    "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes S, [D, {R, R}], [buf+8]",
    "cp.async.bulk.tensor.1d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [buf], [D, {R}], [buf+8]",
    "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {R, R, R, R}, S",
    "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {R}, S",
    "movmatrix.sync.aligned.m8n8.trans.b16 R, R",
    "stmatrix.sync.aligned.m8n8.x2.shared.b16 S, {R, R}",
    "mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 {R, R, R, R}, {R, R, R, R}, {R, R}, {R, R, R, R}",
    "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {F, F, F, F}, {R, R, R, R}, {R, R}, {F, F, F, F}",
    "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {R, R}, {R, R, R, R}, {R, R}, {R, R}",
    "wgmma.fence.sync.aligned",
    "wgmma.commit_group.sync.aligned",
    "wgmma.wait_group.sync.aligned 0",
    "wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {R, R, R, R}, D, D, P",
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {F, F, F, F}, {R, R, R, R}, D, P, 1, -1, 1",
    "bra L",
    "bra L",
    "bra.uni L",
    "brx.idx R, T",
    "exit",
    "trap",
    "call (R), add, (R, I)",
    "call (R), down, (R)",
    "call (R), D, (R, R)",
    "call D, (R, D, H)",
    "call print, (D)",
    "call (R), vprintf, (D, D)",
    "call __assertfail, (D, D, R, D, 1)",
    "mov.u64 D, add",
    "mov.u64 D, down",
    "mov.u64 D, text",
    "ret",
];

/// Functions for programs to call.
const FUNCTIONS: &str = ".global .b8 text[8] = {37, 115, 37, 100, 37, 103, 10};\n\
    .func (.reg .b32 s) add(.reg .b32 a, .reg .b32 b) { add.u32 s, a, b; }\n\
    .func (.param .b32 r) down(.param .b32 n) { .reg .b32 x; .reg .pred p; .local .b32 own; ld.param.u32 x, [n]; setp.eq.u32 p, x, 0; @p ret; \
    sub.u32 x, x, 1; st.local.u32 [own], x; bar.warp.sync -1; call (x), down, (x); ld.local.u32 x, [own]; st.param.b32 [r], x; }\n\
    .func print(.param .b64 d) { .reg .b64 f, v0; .reg .b32 r; mov.u64 f, text; ld.param.u64 v0, [d]; call (r), vprintf, (f, v0); }\n";

/// Constants that are near some end.
const CONSTANTS: [i64; 20] =
    [0, 1, 2, 3, 4, 5, 7, 15, 16, 31, 32, 33, 64, 255, 1024, 65536, 0x7FFF_FFFF, -1, -16, -0x8000_0000];

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn constant(&mut self) -> i64 {
        CONSTANTS[self.below(CONSTANTS.len())]
    }

    /// A form with its letters replaced.
    fn instruction(&mut self, form: &str) -> String {
        let mut text = String::new();
        if self.below(5) == 0 {
            text += &format!("@{}%p{} ", ["", "!"][self.below(2)], self.below(4));
        }
        let (opcode, operands) = form.split_once(' ').unwrap_or((form, ""));
        text += opcode;
        text.push(' ');
        let mut previous = ' ';
        for letter in operands.chars() {
            let of_operand = !previous.is_alphanumeric() && !matches!(previous, '%' | '_');
            previous = letter;
            text += &match letter {
                'R' if of_operand => format!("%r{}", self.below(8)),
                'D' if of_operand => format!("%d{}", self.below(8)),
                'F' if of_operand => format!("%f{}", self.below(4)),
                'G' if of_operand => format!("%g{}", self.below(2)),
                'H' if of_operand => format!("%h{}", self.below(4)),
                'P' if of_operand => format!("%p{}", self.below(4)),
                'I' if of_operand => self.constant().to_string(),
                'L' if of_operand => format!("L{}", self.below(4)),
                'T' if of_operand => "T0".into(),
                // Mostly good ones, so that programs come far.
                'B' if of_operand => ["[buf+8]", "[buf+8]", "[%r7]", "[%r3]"][self.below(4)].into(),
                'S' if of_operand => match self.below(6) {
                    0 => format!("[%r{}+{}]", self.below(8), self.constant()),
                    1 => format!("[{}]", self.constant()),
                    _ => format!("[%r{}]", 6 + self.below(2)),
                },
                'A' if of_operand => match self.below(6) {
                    0 => format!("[%d{}+{}]", self.below(8), self.constant()),
                    1 => format!("[%d{}]", self.below(8)),
                    _ => format!("[%d{}+{}]", 6 + self.below(2), 16 * self.below(4)),
                },
                other => other.to_string(),
            };
        }
        text + ";\n"
    }

    /// A kernel: registers with ends of ranges, lane numbers and good addresses, then anything.
    fn program(&mut self) -> String {
        let mut ptx = format!(
            "{HEAD}{FUNCTIONS}.const .align 4 .b8 table[64];\n.visible .entry k(.param .u64 out, .param .align 64 .b8 map[128])\n{{\n\
             .reg .b32 %r<8>; .reg .b64 %d<8>; .reg .f32 %f<4>; .reg .f64 %g<2>; .reg .b16 %h<4>; .reg .pred %p<4>;\n\
             .shared .align 128 .b8 buf[1024]; .local .align 16 .b8 own[64];\n\
             ld.param.u64 %d6, [out]; mov.u32 %r0, %tid.x; mov.u32 %r7, buf; mul.wide.u32 %d7, %r0, 16; add.u64 %d7, %d7, %d6;\n\
             shl.b32 %r6, %r0, 4; and.b32 %r6, %r6, 1008; add.u32 %r6, %r6, %r7; mov.u32 %r1, %laneid; mov.u32 %r2, 1;\n\
             mov.b64 %d5, map; cvta.param.u64 %d5, %d5; setp.lt.u32 %p0, %r1, 16; setp.eq.u32 %p1, %r0, 0; @%p1 mbarrier.init.shared.b64 [buf+8], 40;\n"
        );
        for r in 3..6 {
            ptx += &format!("mov.u32 %r{r}, {}; mov.u64 %d{}, {};\n", self.constant(), r - 3, self.constant());
        }
        ptx += "cvta.shared.u64 %d3, %d6; mov.u64 %d4, -8;\n";
        ptx += "T0: .branchtargets L0, L1, L2, L3;\n";
        let lines = 3 + self.below(24);
        let places: [usize; 4] = std::array::from_fn(|_| self.below(lines));
        for line in 0..lines {
            for (label, _) in places.iter().enumerate().filter(|(_, place)| **place == line) {
                ptx += &format!("L{label}:\n");
            }
            let form = FORMS[self.below(FORMS.len())];
            ptx += &self.instruction(form);
        }
        ptx + "ret;\n}\n"
    }
}

#[test]
fn any_program_ends_with_results_or_a_report() {
    const PROGRAMS: usize = 4000;
    let (mut parsed, mut finished, mut steps) = (0, 0, 0);
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    let mut refused = std::collections::BTreeMap::<String, usize>::new();
    let mut found = std::collections::BTreeSet::new();
    for (i, simd) in [Simd::Portable, Simd::Avx2, Simd::Avx512].into_iter().enumerate() {
        let machines = [AsyncOrder::Late, AsyncOrder::Early, AsyncOrder::Random(5)].map(|async_order| {
            let options = MachineOptions {
                threads: Some(1),
                simd: Some(simd),
                step_limit: 3000,
                ..MachineOptions::new(Arch::Sm90a)
            };
            // One run of the three in checked mode.
            Machine::with(MachineOptions { async_order, checked: i == 1, ..options })
        });
        let mut random = Random(0x5EED + i as u64);
        for n in 0..PROGRAMS / 3 {
            let ptx = random.program();
            let module = match Module::parse(&ptx) {
                Ok(module) => module,
                Err(fault) => {
                    *refused.entry(fault.to_string().lines().next().unwrap_or_default().into()).or_default() += 1;
                    continue;
                }
            };
            parsed += 1;
            let machine = &machines[n % 3];
            let out = machine.alloc(1000 + random.below(2000), "out").unwrap();
            let mut params = out.to_le_bytes().to_vec();
            params.resize(64 + 128, random.below(256) as u8);
            let grid = [1 + random.below(3) as u32, 1, 1];
            let block = [[1, 1, 1], [32, 1, 1], [33, 1, 1], [64, 1, 1], [5, 3, 2], [128, 1, 1]][random.below(6)];
            let shared_bytes = [0, 0, 16, 4096][random.below(4)];
            let config = LaunchConfig { grid, block, cluster: [1; 3], shared_bytes, count: random.below(4) == 0 };
            let given =
                [Operand { name: "part", address: out + 64 * (n as u64 % 9), bytes: n as u64, write: n % 2 == 0 }];
            match machine.launch_with(&module, "k", &config, &params, &given) {
                Ok(counters) => {
                    finished += 1;
                    assert!(counters.reports.iter().all(|report| i == 1 && !report.to_string().is_empty()));
                    found.extend(counters.reports.iter().map(|report| report.kind));
                    steps += counters.warp_instructions;
                }
                Err(fault) => {
                    assert!(!fault.to_string().is_empty());
                    *kinds.entry(format!("{:?}", fault.kind)).or_default() += 1;
                }
            }
            machine.free(out).unwrap();
        }
    }
    println!("{parsed} parsed, {finished} finished after {steps} steps, faults {kinds:?}, findings {found:?}");
    assert!(found.contains(&ReportKind::Uninitialized) && found.contains(&ReportKind::OutsideOperand), "{found:?}");
    // The programs must be worth running.
    assert!(parsed > PROGRAMS * 9 / 10, "{parsed} parsed; refused: {refused:#?}");
    assert!(finished > PROGRAMS / 20, "{finished} finished, faults {kinds:?}");
    assert!(kinds.len() >= 7, "{kinds:?}");
}

fn launch(body: &str, config: &LaunchConfig, step_limit: u64) -> Result<(), FaultKind> {
    let ptx = format!(
        "{HEAD}.visible .entry k(.param .u64 out) {{ .reg .b32 %r<9>; .reg .b64 %d<9>; .reg .pred %p<4>;\n\
         .shared .align 128 .b8 buf[1024]; ld.param.u64 %d0, [out]; mov.u32 %r0, %tid.x; mov.u32 %r1, buf;\n{body} ret; }}"
    );
    let module = Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}"));
    let machine = Machine::with(MachineOptions { step_limit, ..MachineOptions::new(Arch::Sm90a) });
    let out = machine.alloc(4096, "out").unwrap();
    machine.launch(&module, "k", config, &out.to_le_bytes()).map(drop).map_err(|fault| fault.kind)
}

#[test]
fn a_huge_grid_and_waits_without_end_meet_the_step_limit() {
    let huge = LaunchConfig { grid: [i32::MAX as u32, 65535, 65535], ..LaunchConfig::linear(1, 32) };
    assert_eq!(launch("", &huge, 100_000), Err(FaultKind::StepLimit));
    let one = LaunchConfig::linear(1, 1024);
    for endless in ["L: bra L;", "L: nanosleep.u32 5; bra L;", "L: ld.volatile.global.u32 %r2, [%d0]; bra L;"] {
        assert_eq!(launch(endless, &one, 100_000), Err(FaultKind::StepLimit), "{endless}");
    }
    let waits = "mbarrier.init.shared.b64 [%r1], 9; L: mbarrier.try_wait.parity.shared.b64 %p0, [%r1], 0; @!%p0 bra L;";
    assert_eq!(launch(waits, &LaunchConfig::linear(1, 1), 100_000), Err(FaultKind::Deadlock));
}

#[test]
fn blocks_beyond_every_limit_are_refused() {
    let block = |block| launch("", &LaunchConfig { block, ..LaunchConfig::linear(1, 1) }, 1000);
    // Products that would wrap 64 bits too.
    for dims in [[0, 1, 1], [1025, 1, 1], [1, 1, 65], [u32::MAX; 3], [1 << 31, 1 << 31, 4], [u32::MAX, u32::MAX, 64]] {
        assert_eq!(block(dims), Err(FaultKind::Launch), "{dims:?}");
    }
    let shared = |shared_bytes| launch("", &LaunchConfig { shared_bytes, ..LaunchConfig::linear(1, 1) }, 1000);
    assert_eq!(shared(u32::MAX), Err(FaultKind::Launch));
    assert_eq!(shared(226 * 1024), Ok(()));
}

/// What is under way without end is bounded: the oldest lands, as it may at any time.
#[test]
fn copies_and_products_that_nobody_waits_for_do_not_pile_up() {
    let copies = "mul.wide.u32 %d1, %r0, 16; add.u64 %d1, %d1, %d0; shl.b32 %r2, %r0, 4; add.u32 %r2, %r2, %r1; mov.u32 %r3, 0;\n\
        L: cp.async.cg.shared.global [%r2], [%d1], 16; cp.async.commit_group; add.u32 %r3, %r3, 1; setp.lt.u32 %p0, %r3, 3000; @%p0 bra L;";
    let bulk = "mbarrier.init.shared.b64 [buf+512], 1; mov.u32 %r3, 0;\n\
        L: mbarrier.expect_tx.relaxed.cta.shared.b64 [buf+512], 16; cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [buf], [%d0], 16, [buf+512];\n\
        add.u32 %r3, %r3, 1; setp.lt.u32 %p0, %r3, 9000; @%p0 bra L;";
    let products = "mov.b64 %d1, 0; mov.u32 %r3, 0; setp.eq.u32 %p1, %r3, 1;\n\
        L: wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {%r4, %r5, %r6, %r7}, %d1, %d1, %p1; wgmma.commit_group.sync.aligned;\n\
        add.u32 %r3, %r3, 1; setp.lt.u32 %p0, %r3, 2000; @%p0 bra L; wgmma.wait_group.sync.aligned 0;";
    for (body, threads) in [(copies, 32), (bulk, 1), (products, 128)] {
        assert_eq!(launch(body, &LaunchConfig::linear(1, threads), 1_000_000), Ok(()), "{body}");
    }
}

/// Declarations at the ends of their ranges are refused or run; none takes the host's memory or stack.
#[test]
fn declarations_beyond_reason_end_too() {
    let entry = |directives: &str, body: &str| format!("{HEAD}.visible .entry k() {directives} {{ {body} ret; }}");
    let small = LaunchConfig::linear(1, 1);
    let texts = [
        (entry("", ".reg .b32 %r<4294967295>; mov.u32 %r4294967294, 1;"), true),
        (entry("", ".reg .b32 %r<65000>; mov.u32 %r64999, 1;"), true),
        (entry("", ".local .b8 a[99999999999999]; .reg .b32 %r; ld.local.u8 %r, [a];"), false),
        (entry("", ".local .b8 a[500000]; .reg .b32 %r; ld.local.u8 %r, [a+499999];"), true),
        (entry("", ".shared .b8 a[18446744073709551615];"), false),
        (entry("", ".shared .align 2147483648 .b8 a[4];"), false),
        (entry(".maxntid 4294967295, 4294967295, 4294967295", ""), true),
        (entry(".reqntid 4294967295, 4294967295, 4294967295", ""), false),
        (entry("", &("{".repeat(100_000) + &"}".repeat(100_000))), false),
        (entry("", &"add.s32 %r, %r, 1;".repeat(3)), false),
        (format!("{HEAD}.global .b8 a[18446744073709551615];\n{}", &entry("", "")[HEAD.len()..]), false),
        (format!("{HEAD}.global .b8 a[9999999999999];\n{}", &entry("", "")[HEAD.len()..]), false),
        (format!("{HEAD}.const .b8 a[9999999999];\n{}", &entry("", "")[HEAD.len()..]), false),
    ];
    let mut wrong = Vec::new();
    for (ptx, runs) in texts {
        let machine = Machine::with(MachineOptions { step_limit: 100_000, ..MachineOptions::new(Arch::Sm90a) });
        let result = Module::parse(&ptx).and_then(|module| machine.launch(&module, "k", &small, &[]));
        if result.is_ok() != runs {
            wrong.push(format!("{}: {:?}", &ptx[..ptx.len().min(200)], result.map_err(|fault| fault.to_string())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Half a megabyte of local memory for each of a thousand threads of many blocks that wait for ever.
    let much = entry("", ".local .b8 a[500000]; .reg .b32 %r; L: nanosleep.u32 9; ld.local.u8 %r, [a]; bra L;");
    let machine = Machine::with(MachineOptions { step_limit: 1_000_000, ..MachineOptions::new(Arch::Sm80) });
    let module = Module::parse(&much).unwrap();
    let fault = machine.launch(&module, "k", &LaunchConfig::linear(5000, 64), &[]).unwrap_err();
    assert_eq!(fault.kind, FaultKind::StepLimit, "{fault}");
    assert_eq!(machine.alloc(usize::MAX, "all").unwrap_err().kind, FaultKind::OutOfMemory);
}
