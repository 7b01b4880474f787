//! What is refused, and what the refusal says.

use super::super::module::Module;
use super::{around, decoded};

/// A body and what its error must say.
const REFUSED: [(&str, &str); 158] = [
    ("frobnicate.u32 %r1, %r2;", "instruction frobnicate is not supported"),
    ("add.u33 %r1, %r2, %r3;", "no supported type in .u33"),
    ("add.u32.wild %r1, %r2, %r3;", "modifier .wild is not supported"),
    ("add.f16.rz %rs1, %rs2, %rs3;", "rounds to nearest only"),
    ("add.u32 %r1, %r2;", "2 operands, 3 expected"),
    ("add.u32 %r1, %r2, %rs3;", "register %rs3 has 16 bits, 32 are needed"),
    ("add.u64 %rd1, %rd2, %r3;", "register %r3 has 32 bits, 64 are needed"),
    ("add.u32 %r1, %r2, %r40;", "%r40 is neither a register nor a variable"),
    ("add.u32 5, %r2, %r3;", "a register is expected"),
    ("add.sat.u32 %r1, %r2, %r3;", "only .s32 saturates"),
    ("mul.s32 %r1, %r2, %r3;", "one of .lo, .hi, .wide is missing"),
    ("mul.wide.s64 %rd1, %rd2, %rd3;", ".wide needs a 16- or 32-bit type"),
    ("div.f32 %r1, %r2, %r3;", "a rounding, .approx or .full is missing"),
    ("max.xorsign.f32 %r1, %r2, %r3;", "only supported with .abs"),
    ("max.f32 %r1, %r2, %r3, %r4;", "three-input min and max need sm_100"),
    ("sub.u16x2 %r1, %r2, %r3;", "no supported type in .u16x2"),
    ("fma.rn.oob.f16 %rs1, %rs2, %rs3, %rs4;", "modifier .oob is not supported"),
    ("fma.rn.f32x2 %rd1, %rd2, %rd3, %rd4;", "no supported type in .rn.f32x2"),
    ("vadd4.u32.u32.u32 %r1, %r2, %r3, %r4;", "instruction vadd4 is not supported"),
    ("set.lt.f16x2.f32 %r1, %r2, %r3;", "a comparison of F32 with a result of F16x2"),
    ("and.s32 %r1, %r2, %r3;", "type S32 is not supported here"),
    ("setp.lt.b32 %p1, %r2, %r3;", "Lt does not exist for type B32"),
    ("setp.equ.s32 %p1, %r2, %r3;", "Equ does not exist for type S32"),
    ("setp.eq.s32 %r1, %r2, %r3;", "register %r1 has 32 bits, 1 are needed"),
    ("lop3.b32 %r1, %r2, %r3, %r4, 256;", "the table of lop3 is one byte"),
    ("selp.b32 %r1, %r2, %r3, %r4;", "register %r4 has 32 bits, 1 are needed"),
    ("mov.u32 %r1, gvar;", "the address of gvar needs 64 bits"),
    ("mov.u32 %r1, %clock64;", "%clock64 cannot be read as U32"),
    ("mov.u32 %r1, %envreg32;", "%envreg32 is neither"),
    ("mov.b32 {%rs1, %rs2, %rs3}, %r1;", "32 bits into 3 parts"),
    ("cvt.f32.s32 %r1, %r2;", "rounding None does not go"),
    ("cvt.s32.f32 %r1, %r2;", "rounding None does not go"),
    ("cvt.rn.e4m3x2.f32 %rs1, %r2, %r3;", "do not go with a packed conversion"),
    ("cvt.rn.satfinite.f16x2.e4m3x2 %r1, %rs2;", "do not go with a packed conversion"),
    ("cvt.rp.tf32.f32 %r1, %r2;", "by .rna, .rn or .rz"),
    ("cvt.rz.satfinite.e4m3x2.f32 %rs1, %r2, %r3;", "rounding Zero does not go"),
    ("cvt.u32.u16 %rs1, %rs2;", "the destination has 16 bits, 32 are needed"),
    ("ld.global.u32 %r1, [%r2];", "too few for an address"),
    ("ld.global.u64 %r1, [%rd2];", "a destination has 32 bits, 64 are loaded"),
    ("ld.shared.u32 %r1, [gvar];", "gvar is in Global memory"),
    ("ld.global.u32 %r1, [sbuf];", "sbuf is in Shared memory"),
    ("ld.global.v2.u32 {%r1, %r2, %r3}, [%rd1];", "a vector of 3 registers, 2 expected"),
    ("ld.global.v4.u64 {%rd1, %rd2, %rd3, %rd4}, [%rd5];", "more than 16 bytes"),
    ("ld.global.v8.u32 {%r1, %r2}, [%rd5];", "vectors of 8 are not supported"),
    ("st.const.u32 [cvar], %r1;", "this space cannot be written"),
    ("atom.global.min.f32 %r1, [%rd2], %r3;", "Min of type F32 is not supported"),
    ("bra nowhere;", "label nowhere is not in scope"),
    ("{ INNER: bra L1; } bra INNER;", "label INNER is not in scope"),
    ("call.uni (%r1), device_function, (%r2);", "calls of device_function are not supported"),
    ("call malloc, (%rd1);", "calls of malloc are not supported"),
    ("call.uni (%r1), vprintf, (%rd1);", "1 arguments, vprintf has 2"),
    ("call.uni (%rd1), vprintf, (%rd1, %rd2);", "8 bytes are passed for 4"),
    ("call %r1, ();", "register %r1 has 32 bits, the address of a function has 64"),
    ("call %rd1, (5);", "a constant argument needs a function that is called by name"),
    ("call %rd1, (%p1);", "%p1 is a predicate, which cannot be passed"),
    ("call %rd1, (sbuf);", "sbuf is neither a register nor a parameter of this scope"),
    ("@%r1 exit;", "%r1 is not a predicate register"),
    (
        "mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%r1, %r2}, {%r3}, {%r4}, {%r1, %r2};",
        "m8n8k16 of S8 and S8 with S32 added to S32 is not supported",
    ),
    ("wgmma.mma_async.sync.aligned.m64n12k32.s32.s8.s8 {%r1}, %rd1, %rd2, %p1;", "m64n12k32 of S8 and S8"),
    ("movmatrix.sync.aligned.m8n8.b16 %r1, %r2;", "only supported with .trans"),
    ("movmatrix.sync.aligned.m16n16.trans.b16 %r1, %r2;", "only supported with .m8n8"),
    ("movmatrix.sync.aligned.m8n8.trans.b8 %r1, %r2;", "type B8 is not supported here"),
    ("movmatrix.sync.aligned.m8n8.trans.b16 %r1, %rd2;", "register %rd2 has 64 bits, 32 are needed"),
    ("movmatrix.sync.aligned.m8n8.trans.b16 %r1, %r2, %r3;", "3 operands, 2 expected"),
    ("cp.async.cg.shared.global [%r1], [%rd2], 8;", "8 bytes cannot be copied by this form"),
    (
        "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%rd1, {%r2, %r3}], [%r4];",
        "only copies to shared memory are supported",
    ),
    ("mov.u16 %rs1, %laneid;", "%laneid cannot be read as U16"),
    ("mov.u16 %rs1, %cluster_ctaid.x;", "%cluster_ctaid.x cannot be read as U16"),
    ("mov.f32 %r1, %tid.x;", "%tid.x cannot be read as F32"),
    ("add.f32 %r1, %r2, 5;", "is not a value of type F32"),
    ("add.f64 %rd1, %rd2, 5;", "is not a value of type F64"),
    ("add.f16 %rs1, %rs2, 0d3F80000000000000;", "is not a value of type F16"),
    ("add.f16x2 %r1, %r2, 0f3F800000;", "is not a value of type F16x2"),
    ("fma.rn.f16 %rs1, %rs2, %rs3, 0f3F800000;", "is not a value of type F16"),
    ("add.u64 %rd1, %rd2, 0f3F800000;", "is not a value of type U64"),
    ("rcp.approx.f64 %rd1, %rd2;", "this choice of .approx, rounding and .ftz does not exist"),
    ("sqrt.approx.f64 %rd1, %rd2;", "this choice of .approx, rounding and .ftz does not exist"),
    ("sqrt.approx.ftz.f64 %rd1, %rd2;", "this choice of .approx, rounding and .ftz does not exist"),
    ("cvt.u64.u32 %rd1, %rs1;", "register %rs1 has 16 bits, 32 are needed"),
    ("cvt.u32.u16 %r1, %p1;", "register %p1 has 1 bits, 16 are needed"),
    ("cvt.u32.u16 %p1, %rs2;", "the destination has 1 bits, 32 are needed"),
    ("cvt.f16x2.e4m3x2 %r1, %rs2;", "from E4M3x2 to F16x2 with rounding None is not supported"),
    ("cvt.rz.f16x2.e4m3x2 %r1, %rs2;", "from E4M3x2 to F16x2 with rounding Zero is not supported"),
    ("cvt.rn.bf16x2.e4m3x2 %r1, %rs2;", "from E4M3x2 to BF16x2 with rounding Nearest is not supported"),
    ("red.shared.add.v4.f32 [%r1], {%r2, %r3, %r4, %r5};", "Add of 4 elements of type F32 in Shared memory"),
    ("red.global.add.v8.f32 [%rd1], {%r1, %r2, %r3, %r4, %r5, %r6, %r7, %r8};", "Add of 8 elements of type F32"),
    ("ldmatrix.sync.aligned.m8n8.x4.shared.b16 %r1, [%r5];", "a vector of 4 registers is expected"),
    ("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r1];", "a wrong number of operands"),
    ("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%rd1], %r2;", "3 operands, 4 expected"),
    (
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%r1], [%rd1], %r2, [%r3];",
        "4 operands, 5 expected",
    ),
    ("cp.async.bulk.prefetch.L2.global.L2::cache_hint [%rd1], 512;", "2 operands, 3 expected"),
    ("cp.async.bulk.prefetch.tensor.1d.L2.global.L2::cache_hint [%rd1, {%r2}];", "1 operands, 2 expected"),
    ("red.global.add.v4.f16 [%rd1], {%rs1, %rs2, %rs3, %rs4};", "Add of 4 elements of type F16"),
    ("red.global.inc.noftz.v4.f16 [%rd1], {%rs1, %rs2, %rs3, %rs4};", "Inc of 4 elements of type F16"),
    ("red.global.add.noftz.v2.f32 [%rd1], {%r1, %r2};", "Add of 2 elements of type F32"),
    ("red.global.min.v2.f32 [%rd1], {%r1, %r2};", "Min of 2 elements of type F32"),
    ("red.global.add.v2.u32 [%rd1], {%r1, %r2};", "Add of 2 elements of type U32"),
    ("cvt.rn.bf16x2.f16x2 %r1, %r2;", "from F16x2 to BF16x2 with rounding Nearest is not supported"),
    (
        "mma.sync.aligned.m16n8k64.row.col.s32.s8.s8.s32 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r9, %r10}, {%r1, %r2, %r3, %r4};",
        "m16n8k64 of S8 and S8",
    ),
    (
        "mma.sync.aligned.m8n16k32.row.col.s32.s8.s8.s32 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r9, %r10}, {%r1, %r2, %r3, %r4};",
        "m8n16k32 of S8 and S8",
    ),
    (
        "mma.sync.aligned.m16n8k32.row.col.f32.s8.s8.f32 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r9, %r10}, {%r1, %r2, %r3, %r4};",
        "with F32 added to F32",
    ),
    (
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f16 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r9, %r10}, {%r1, %r2};",
        "with F32 added to F16",
    ),
    (
        "mma.sync.aligned.m16n8k16.row.col.satfinite.f32.f16.f16.f32 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r9, %r10}, {%r1, %r2, %r3, %r4};",
        "with F32 added to F32",
    ),
    (
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.bf16.f32 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r9, %r10}, {%r1, %r2, %r3, %r4};",
        "of F16 and BF16",
    ),
    (
        "mma.sync.aligned.m16n8k16.row.col.f16.bf16.bf16.f16 {%r1, %r2}, {%r5, %r6, %r7, %r8}, {%r9, %r10}, {%r1, %r2};",
        "with F16 added to F16",
    ),
    ("cp.async.cg.shared.global.L2::cache_hint [%r1], [%rd2], 16;", "3 operands, 4 to 5 expected"),
    ("cvt.rn.satfinite.f32.f64 %r1, %rd2;", "these modifiers do not go with this conversion"),
    ("cvt.rn.relu.sat.f16.f32 %rs1, %r2;", "these modifiers do not go with this conversion"),
    ("cvt.rn.relu.ftz.f16.f32 %rs1, %r2;", "these modifiers do not go with this conversion"),
    ("cvt.rn.relu.f16.s32 %rs1, %r2;", "these modifiers do not go with this conversion"),
    ("cvt.rn.sat.f16x2.f32 %r1, %r2, %r3;", "do not go with a packed conversion"),
    ("cvt.rn.ftz.f16x2.f32 %r1, %r2, %r3;", "do not go with a packed conversion"),
    ("cvt.f32.f64 %r1, %rd2;", "rounding None does not go"),
    ("cvt.rni.f32.f64 %r1, %rd2;", "rounding IntNearest does not go"),
    ("cvt.u32.b32 %r1, %r2;", "conversion from B32 to U32 is not supported"),
    ("cvt.b32.u32 %r1, %r2;", "conversion from U32 to B32 is not supported"),
    ("cvt.rn.ftz.f64.u32 %rd1, %r2;", ".ftz needs .f32 on one side"),
    ("sqrt.rn.ftz.f64 %rd1, %rd2;", "this choice of .approx, rounding and .ftz does not exist"),
    ("red.global.exch.b32 [%rd1], %r2;", "Exch of type B32 is not supported"),
    ("red.global.add.L2::cache_hint.v4.f32 [%rd1], {%r1, %r2, %r3, %r4};", "2 operands, 3 expected"),
    ("mov.u32 %r1, %envreg01;", "%envreg01 is neither"),
    ("mov.u32 %r1, %pm8;", "%pm8 is neither"),
    ("bar.arrive 0;", "1 operands, 2 expected"),
    ("cvt.rn.f16.f32 %r1, %r2;", "the destination has 32 bits, 16 are needed"),
    ("add.tf32 %r1, %r2, %r3;", "type TF32 is not supported here"),
    ("add.b32 %r1, %r2, %r3;", "type B32 is not supported here"),
    ("mad.lo.b32 %r1, %r2, %r3, %r4;", "type B32 is not supported here"),
    ("max.relu.u16x2 %r1, %r2, %r3;", "modifier .relu is not supported"),
    ("add.relu.s16x2 %r1, %r2, %r3;", "modifier .relu is not supported"),
    ("mad.lo.sat.cc.s32 %r1, %r2, %r3, %r4;", "carry is supported with .lo and .hi only"),
    ("mad.hi.sat.cc.s32 %r1, %r2, %r3, %r4;", "carry is supported with .lo and .hi only"),
    ("mad.lo.sat.s32 %r1, %r2, %r3, %r4;", ".sat is supported with .hi.s32 only"),
    ("mad.hi.sat.u32 %r1, %r2, %r3, %r4;", ".sat is supported with .hi.s32 only"),
    ("mul24.hi.sat.s32 %r1, %r2, %r3;", "modifier .sat is not supported"),
    ("mad24.lo.sat.s32 %r1, %r2, %r3, %r4;", "modifier .sat is not supported"),
    ("mad24.hi.sat.u32 %r1, %r2, %r3, %r4;", "modifier .sat is not supported"),
    ("shr.u8 %r1, %r2, %r3;", "type U8 is not supported here"),
    ("shr.s8 %r1, %r2, %r3;", "type S8 is not supported here"),
    ("shr.f32 %r1, %r2, %r3;", "type F32 is not supported here"),
    ("shl.s32 %r1, %r2, %r3;", "type S32 is not supported here"),
    ("set.lt.f32.f16x2 %r1, %r2, %r3;", "a comparison of F16x2 with a result of F32"),
    ("ld.global.L2::cache_hint.u32 %r1, [%rd1], %r2;", "register %r2 has 32 bits, 64 are needed"),
    ("red.global.add.L2::cache_hint.v2.f32 [%rd1], {%r1, %r2}, %r3;", "register %r3 has 32 bits, 64 are needed"),
    ("st.global.u32 [%rd1], %rs1;", "register %rs1 has 16 bits, 32 are stored"),
    ("st.global.u8 [%rd1], %p1;", "register %p1 has 1 bits, 8 are stored"),
    ("ld.global.u8 %p1, [%rd1];", "a destination has 1 bits, 8 are loaded"),
    ("st.global.u64 [%rd1], gvar;", "gvar"),
    ("st.global.u32 [%rd1], %tid.x;", "%tid.x"),
    ("red.global.cas.b32 [%rd1], %r2, %r3;", "Cas of type B32 is not supported"),
    ("atom.global.cas.u32 %r1, [%rd1], %r2, %r3;", "Cas of type U32 is not supported"),
    ("mov.b32 %r1, {%rs1, %rs2, %rs3};", "3 parts into 32 bits is not supported"),
    ("mov.f32 %r1, sbuf;", "the address of sbuf is not a value of type F32"),
    ("ld.global.u32 %r1, [lbuf];", "lbuf is in Local memory, the instruction reaches Global memory"),
    ("ldmatrix.sync.aligned.m8n8.x1.shared.b16 %r1, [%r5];", "a vector of 1 registers is expected"),
    (
        "wgmma.mma_async.sync.aligned.m64n40k32.s32.s8.s8 {%r1, %r2, %r3, %r4, %r5, %r6, %r7, %r8, %r9, %r10, %r11, %r12, %r13, %r14, %r15, %r16, %r17, %r18, %r19, %r20}, %rd1, %rd2, %p1;",
        "m64n40k32 of S8 and S8",
    ),
    ("wgmma.mma_async.sync.aligned.m32n8k32.s32.s8.s8 {%r1, %r2, %r3, %r4}, %rd1, %rd2, %p1;", "m32n8k32 of S8 and S8"),
    (
        "wgmma.mma_async.sync.aligned.m64n264k16.f16.f16.f16 {%r1}, %rd1, %rd2, %p1, 1, 1, 0, 0;",
        "m64n264k16 of F16 and F16",
    ),
    ("setmaxnreg.inc.sync.aligned.u32 233;", "233 is not a multiple of 8 from 24 to 256"),
];

#[test]
fn refusals_say_why() {
    for (body, why) in REFUSED {
        match decoded(body) {
            Ok(_) => panic!("{body} was taken"),
            Err(error) => assert!(error.message.contains(why), "{body}: {error}"),
        }
    }
}

#[test]
fn a_refusal_names_every_place() {
    let text = around(
        ".loc 2 77 5\nadd.u32 %r1, %r1, 1;\n.loc 1 30 3, function_name $L__info, inlined_at 2 78 1\n@%p1  sub.odd.u32\n%r1, %r1, %r2;",
    ) + ".file 1 \"/k/tile.cuh\"\n.file 2 \"/k/gemm.cu\"\n";
    let error = Module::read(&text).unwrap_err();
    assert_eq!(error.entry.as_deref(), Some("k"));
    assert_eq!(error.source, Some(("/k/tile.cuh".to_string(), 30)));
    assert_eq!(error.text, "@%p1 sub.odd.u32 %r1, %r1, %r2;");
    let line = text.lines().position(|line| line.contains("sub.odd")).unwrap() as u32 + 1;
    assert_eq!(
        error.to_string(),
        format!(
            "PTX line {line}, entry k, source /k/tile.cuh:30: modifier .odd is not supported on this instruction: \
             `@%p1 sub.odd.u32 %r1, %r1, %r2;`"
        )
    );
    assert!(Module::parse(&text).unwrap_err().to_string().contains("entry k, source /k/tile.cuh:30"));
}

#[test]
fn mistakes_outside_instructions() {
    let start = ".version 9.0\n.target sm_80\n.address_size 64\n";
    for (text, why) in [
        ("", "no .version directive"),
        (".version 9\n", "expected a version"),
        (".version 9.0\n.address_size 32\n", "only 64-bit addresses"),
        (".version 9.0\n.wild\n", "unknown directive"),
        (".version 9.0\n.entry k(", "expected `.param`"),
        (".version 9.0\n.entry k() {", "`{` without its `}`"),
        (".version 9.0\n.entry k() .wild {}", "unknown directive of an entry"),
        (".version 9.0\n.entry k() {} .entry k() {}", "this entry is defined twice"),
        (".version 9.0\n.func f() {} .func f() {}", "this function is defined twice"),
        (".version 9.0\n.func f() .wild {}", "expected the body of the function"),
        (".version 9.0\n.func f(.global .b32 x) {}", "expected `.param`"),
        (".version 9.0\n.alias g, f;", "an alias of f, which is no function of this text"),
        (".version 9.0\n.func f(.reg .pred p) {}", "not the type of a variable"),
        (".version 9.0\n.func f(.param .b32 x) {} .entry k() { call f, (1, 2); }", "2 arguments, f has 1"),
        (".version 9.0\n.func f(.param .b8 x[]) {} .entry k() { call f, (1); }", "a size is missing"),
        (
            ".version 9.0\n.func f(.param .b64 x) {} .entry k() { .param .b32 p; call f, (p); }",
            "4 bytes are passed for 8",
        ),
        (
            ".version 9.0\n.func f() {} .entry k() { .reg .b32 r; ld.global.u32 r, [f]; }",
            "f is a function, which cannot be read",
        ),
        (".version 9.0\n.entry k() { .reg .b128 %q; }", "registers of 128 bits are not supported"),
        (".version 9.0\n.entry k() { .reg .b32 a, a; }", "register a is declared twice"),
        (".version 9.0\n.entry k() { L: L: }", "label L is declared twice"),
        (".version 9.0\n.entry k() { .shared .b8 s[300000]; }", "300000 bytes exceed the limit of 232448"),
        (".version 9.0\n.entry k(.param .b8 p[40000]) {}", "40000 bytes exceed the limit of 32764"),
        (".version 9.0\n.global .b32 x[4294967295][4294967295];", "the array is too large"),
        (".version 9.0\n.global .b32 x[1] = {1, 2};", "8 bytes of initial values for 4 bytes"),
        (".version 9.0\n.global .u64 x = y;", "names y, which is no global or constant variable and no function"),
        (".version 9.0\n.const .b8 x[70000];", "the constant bank has 65536 bytes"),
        (
            ".version 9.0\n.extern .global .b8 x[4];",
            "external variables are not supported: this one is defined nowhere",
        ),
        (".version 9.0\n.global .align 3 .b8 x[4];", "an alignment is a power of two"),
    ] {
        let error = Module::read(text).unwrap_err();
        assert!(error.message.contains(why), "{text}: {error}");
    }
    assert!(Module::read(start).is_ok());
}
