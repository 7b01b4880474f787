//! What the page of the emulator lists as not supported is refused, and the refusal names it.

use super::harness::HEAD;
use halfbyte::emulator::{Arch, FaultKind, LaunchConfig, Machine, Module};

/// A body, and what the error must name beside the instruction's own text.
const BODIES: &[(&str, &str)] = &[
    ("call (%d1), malloc, (%d2);", "calls of malloc are not supported"),
    ("call free, (%d2);", "calls of free are not supported"),
    ("call (%r1), cudaLaunchDeviceV2, (%d1, %d2);", "calls of cudaLaunchDeviceV2 are not supported"),
    ("multimem.ld_reduce.relaxed.sys.global.add.f32 %f1, [%d1];", "instruction multimem"),
    ("st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%r1], %r2, [%r3];", "async"),
    ("red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%r1], %r2, [%r3];", "async"),
    (
        "clusterlaunchcontrol.try_cancel.async.shared::cta.mbarrier::complete_tx::bytes.b128 [%r1], [%r2];",
        "instruction clusterlaunchcontrol",
    ),
    ("cp.async.bulk.global.shared::cta.bulk_group [%d1], [%r1], %r2;", "only copies to shared memory"),
    ("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%d1, {%r2, %r3}], [%r4];", "only copies to shared memory"),
    ("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%d1], [%r1], %r2;", "instruction cp"),
    ("tensormap.replace.tile.global_address.global.b1024.b64 [%d1], %d2;", "instruction tensormap"),
    ("fence.proxy.tensormap::generic.release.gpu;", "tensormap"),
    ("st.bulk.weak.shared::cta [%r1], %d1, 0;", "bulk"),
    ("mbarrier.arrive_drop.shared.b64 %d1, [%r1];", "instruction mbarrier"),
    ("mbarrier.pending_count.b64 %r1, %d1;", "instruction mbarrier"),
    (
        "wmma.load.a.sync.aligned.row.m16n16k16.shared.f16 {%r1, %r2, %r3, %r4, %r5, %r6, %r7, %r8}, [%d1];",
        "instruction wmma",
    ),
    ("mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 {%f1}, {%r1}, {%r2}, {%f1}, %r3, 0;", "instruction mma"),
    (
        "mma.sync.aligned.m16n8k64.row.col.s32.s4.s4.s32 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r5, %r6}, {%r1, %r2, %r3, %r4};",
        "s4",
    ),
    (
        "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.xor.popc {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r5, %r6}, {%r1, %r2, %r3, %r4};",
        "b1",
    ),
    ("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%g1, %g1}, {%g1}, {%g1}, {%g1, %g1};", "f64"),
    (
        "wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 {%f1, %f1, %f1, %f1}, %d1, %d2, %r1, 0, 1, 1, 1, 0, 0;",
        "instruction wgmma",
    ),
    ("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%r1], 32;", "instruction tcgen05"),
    ("tex.2d.v4.f32.f32 {%f1, %f1, %f1, %f1}, [%d1, {%f1, %f1}];", "instruction tex"),
    ("tld4.r.2d.v4.f32.f32 {%f1, %f1, %f1, %f1}, [%d1, {%f1, %f1}];", "instruction tld4"),
    ("txq.width.b32 %r1, [%d1];", "instruction txq"),
    ("suld.b.1d.b32.trap %r1, [%d1, {%r2}];", "instruction suld"),
    ("sust.b.1d.b32.trap [%d1, {%r2}], %r1;", "instruction sust"),
    ("sured.b.add.1d.u32.trap [%d1, {%r2}], %r1;", "instruction sured"),
    ("suq.width.b32 %r1, [%d1];", "instruction suq"),
    ("add.rn.f32x2 %d1, %d2, %d3;", ".f32x2"),
    ("add.rn.f32.f16 %f1, %f2, %f1;", "modifier .f16 is not supported"),
    ("max.f32 %f1, %f2, %f1, %f2;", "three-input min and max"),
    ("cvt.rn.satfinite.e2m3x2.f32 %r1, %f1, %f2;", "e2m3x2"),
    ("cvt.rn.bf16x2.ue8m0x2 %r1, %r2;", "ue8m0x2"),
    ("cvt.rs.f16x2.f32 %r1, %f1, %f2, %r2;", "rounding None does not go"),
    ("fma.rn.oob.f16x2 %r1, %r2, %r3, %r4;", "modifier .oob"),
    ("vadd.u32.u32.u32 %r1, %r2.b0, %r3;", "vadd"),
    ("vset.u32.u32.lt %r1, %r2, %r3;", "instruction vset"),
    (".reg .b128 %q;", "registers of 128 bits are not supported"),
    ("ld.global.v8.b32 {%r1, %r2, %r3, %r4, %r5, %r6, %r7, %r8}, [%d1];", "vectors of 8"),
    ("ld.global.v4.b64 {%d1, %d2, %d3, %d4}, [%d5];", "more than 16 bytes"),
    ("st.global.v4.f64 [%d5], {%d1, %d2, %d3, %d4};", "more than 16 bytes"),
    ("ld.global.b128 %d1, [%d2];", "b128"),
    ("atom.global.exch.b128 %d1, [%d2], %d3;", "b128"),
    ("alloca.u64 %d1, %d2, 16;", "instruction alloca"),
    ("stacksave.u64 %d1;", "instruction stacksave"),
    ("stackrestore.u64 %d1;", "instruction stackrestore"),
    ("shfl.down.b32 %r1, %r2, 1, 31;", "instruction shfl"),
    ("vote.ballot.b32 %r1, %p1;", "instruction vote"),
    ("match.any.b32 %r1, %r2, -1;", "only supported with .sync"),
    ("redux.sync.min.f32 %f1, %f2, -1;", "F32"),
];

/// A text at module scope, and what the error must name.
const MODULES: &[(&str, &str)] = &[
    (".extern .global .b32 elsewhere;", "external variables are not supported"),
    (".extern .const .b32 elsewhere;", "external variables are not supported"),
    (".global .texref picture;", ".texref"),
    (".global .surfref picture;", ".surfref"),
    (".global .samplerref sampler;", ".samplerref"),
    (".global .b32 x; .global .b8 parts[2] = {0xFF(x), 0xFF00(x)};", "masked addresses are not supported"),
    (".func f(.param .b32 n, .param .b8 more[]) { ret; } .entry k() { call f, (1, 2); }", "a size is missing"),
    (".extern .func f(); .entry k() { call f; }", "calls of f are not supported"),
    (".entry k() { .reg .v4 .b32 %v; }", "vector registers are not supported"),
];

#[test]
fn refusals_name_what_is_not_supported() {
    for (body, why) in BODIES {
        let ptx = format!(
            "{HEAD}.visible .entry k() {{ .reg .b32 %r<9>; .reg .b64 %d<9>; .reg .f32 %f<3>; .reg .f64 %g<3>; .reg .pred %p<3>;\n{body}\nret; }}"
        );
        let fault = Module::parse(&ptx).expect_err(body);
        let text = fault.to_string();
        assert!(fault.kind == FaultKind::Unsupported && text.contains(why), "{body}: {text}");
        let named = body.strip_prefix(".reg").is_some() || text.contains(body.trim_end_matches(';'));
        assert!(named && text.contains("PTX line 5, entry k"), "{body}: {text}");
    }
    for (part, why) in MODULES {
        let text = Module::parse(&format!("{HEAD}{part}")).expect_err(part).to_string();
        assert!(text.contains(why) && text.contains("PTX line 4"), "{part}: {text}");
    }
    assert_eq!((BODIES.len(), MODULES.len()), (51, 9));
}

#[test]
fn the_page_lists_them() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/emulator/mod.rs");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, list) = page.split_once("# What is not supported").unwrap();
    for name in [
        "malloc",
        "multimem",
        "st.async",
        "red.async",
        "clusterlaunchcontrol",
        "cp.reduce.async.bulk",
        "tensormap.replace",
        "fence.proxy.tensormap",
        "st.bulk",
        "mbarrier.arrive_drop",
        "mbarrier.pending_count",
        "wmma",
        "mma.sp",
        ".f32x2",
        ".ue8m0x2",
        ".rs",
        ".oob",
        "wgmma.mma_async.sp",
        "tcgen05",
        "tex",
        "tld4",
        "txq",
        "suld",
        "sust",
        "sured",
        "suq",
        "vadd",
        "vset",
        "alloca",
        "stacksave",
        "stackrestore",
        "shfl",
        "vote",
        "match",
        "redux",
        ".b128",
        "0xFF(name)",
    ] {
        assert!(list.contains(&format!("`{name}`")), "{name} is not on the list");
    }
}

#[test]
fn clusters_of_several_blocks_are_refused_at_the_launch() {
    let module = Module::parse(&format!(
        "{HEAD}.visible .entry k() .reqnctapercluster 2 {{ ret; }} .visible .entry r() {{ ret; }}"
    ))
    .unwrap();
    let machine = Machine::new(Arch::Sm90a);
    let fault = machine.launch(&module, "k", &LaunchConfig::linear(2, 32), &[]).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unsupported);
    let config = LaunchConfig { cluster: [1, 2, 1], ..LaunchConfig::linear(2, 32) };
    let fault = machine.launch(&module, "r", &config, &[]).unwrap_err();
    assert!(fault.kind == FaultKind::Unsupported && fault.to_string().contains("[1, 2, 1]"), "{fault}");
}
