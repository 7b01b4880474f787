//! Tensor cores.

use super::check;

#[rustfmt::skip]
pub(super) const FORMS: &[(&str, &[&str])] = &[
    ("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r9, %r10}, {%r1, %r2, %r3, %r4}",
     &["Mma(MmaOp { kind: MmaKind { m: 16, n: 8, k: 32, a: S8, b: S8, acc: S32 }, d: [1, 2, 3, 4], a: [5, 6, 7, 8], b: [9, 10], c: [1, 2, 3, 4] })"]),
    ("mma.sync.aligned.m16n8k16.row.col.satfinite.s32.u8.s8.s32 {%r1, %r2, %r3, %r4}, {%r5, %r6}, {%r7}, {%r8, %r9, %r10, %r11}",
     &["Mma(MmaOp { kind: MmaKind { m: 16, n: 8, k: 16, a: U8, b: S8, acc: S32, sat: true }, d: [1, 2, 3, 4], a: [5, 6], b: [7], c: [8, 9, 10, 11] })"]),
    ("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r9, %r10}, {0, 0, 0, 0}",
     &["Mma(MmaOp { kind: MmaKind { m: 16, n: 8, k: 16, a: BF16, b: BF16, acc: F32 }, d: [1, 2, 3, 4], a: [5, 6, 7, 8], b: [9, 10], c: [#0x0, #0x0, #0x0, #0x0] })"]),
    ("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%r1, %r2}, {%r3, %r4, %r5, %r6}, {%r7, %r8}, {%r9, %r10}",
     &["Mma(MmaOp { kind: MmaKind { m: 16, n: 8, k: 16, a: F16, b: F16, acc: F16 }, d: [1, 2], a: [3, 4, 5, 6], b: [7, 8], c: [9, 10] })"]),
    ("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r9, %r10}, {%r1, %r2, %r3, %r4}",
     &["Mma(MmaOp { kind: MmaKind { m: 16, n: 8, k: 8, a: TF32, b: TF32, acc: F32 }, d: [1, 2, 3, 4], a: [5, 6, 7, 8], b: [9, 10], c: [1, 2, 3, 4] })"]),
    ("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r9, %r10}, {%r1, %r2, %r3, %r4}",
     &["Mma(MmaOp { kind: MmaKind { m: 16, n: 8, k: 32, a: E4M3, b: E5M2, acc: F32 }, d: [1, 2, 3, 4], a: [5, 6, 7, 8], b: [9, 10], c: [1, 2, 3, 4] })"]),
    ("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2, %r3, %r4}, [%r5+16]",
     &["Ldmatrix { trans: false, num: 4, d: [1, 2, 3, 4], addr: Addr { base: Some(5), wide: false, offset: 16 } }"]),
    ("ldmatrix.sync.aligned.m8n8.x2.trans.shared::cta.b16 {%r1, %r2}, [%r5]",
     &["Ldmatrix { trans: true, num: 2, d: [1, 2, 0, 0], addr: Addr { base: Some(5), wide: false, offset: 0 } }"]),
    ("ldmatrix.sync.aligned.m8n8.x1.b16 {%r1}, [%rd2]",
     &["Cvta { space: Shared, to_space: true, wide: true, d: 10, a: 2 }",
       "Ldmatrix { trans: false, num: 1, d: [1, 0, 0, 0], addr: Addr { base: Some(10), wide: true, offset: 0 } }"]),
    ("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%r5], {%r1, %r2, %r3, %r4}",
     &["Stmatrix { trans: true, num: 4, s: [1, 2, 3, 4], addr: Addr { base: Some(5), wide: false, offset: 0 } }"]),
    ("movmatrix.sync.aligned.m8n8.trans.b16 %r1, %r5",
     &["Movmatrix { d: 1, a: 5 }"]),
    ("wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.u8 {%r1, %r2, %r3, %r4}, %rd1, %rd2, %p1",
     &["Wgmma(WgmmaOp { kind: MmaKind { m: 64, n: 8, k: 32, a: S8, b: U8, acc: S32 }, d: [1, 2, 3, 4], a: Desc(1), b: 2, scale_d: p1, neg_a: false, neg_b: false, trans_a: false, trans_b: false })"]),
    ("wgmma.mma_async.sync.aligned.m64n16k32.s32.s8.s8.satfinite {%r1, %r2, %r3, %r4, %r5, %r6, %r7, %r8}, {%r9, %r10, %r11, %r12}, %rd2, !%p1",
     &["Wgmma(WgmmaOp { kind: MmaKind { m: 64, n: 16, k: 32, a: S8, b: S8, acc: S32, sat: true }, d: [1, 2, 3, 4, 5, 6, 7, 8], a: Regs([9, 10, 11, 12]), b: 2, scale_d: !p1, neg_a: false, neg_b: false, trans_a: false, trans_b: false })"]),
    ("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%r1, %r2, %r3, %r4}, %rd1, %rd2, %p1, 1, -1, 0, 1",
     &["Wgmma(WgmmaOp { kind: MmaKind { m: 64, n: 8, k: 16, a: F16, b: F16, acc: F32 }, d: [1, 2, 3, 4], a: Desc(1), b: 2, scale_d: p1, neg_a: false, neg_b: true, trans_a: false, trans_b: true })"]),
    ("wgmma.mma_async.sync.aligned.m64n8k16.f16.f16.f16 {%r1, %r2}, {%r9, %r10, %r11, %r12}, %rd2, 0, -1, 1, 1",
     &["PredConst { d: 6, value: false }",
       "Wgmma(WgmmaOp { kind: MmaKind { m: 64, n: 8, k: 16, a: F16, b: F16, acc: F16 }, d: [1, 2], a: Regs([9, 10, 11, 12]), b: 2, scale_d: p6, neg_a: true, neg_b: false, trans_a: false, trans_b: true })"]),
    ("wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3 {%r1, %r2, %r3, %r4}, %rd1, %rd2, %p1, 1, 1",
     &["Wgmma(WgmmaOp { kind: MmaKind { m: 64, n: 8, k: 32, a: E4M3, b: E4M3, acc: F32 }, d: [1, 2, 3, 4], a: Desc(1), b: 2, scale_d: p1, neg_a: false, neg_b: false, trans_a: false, trans_b: false })"]),
    ("wgmma.mma_async.sync.aligned.m64n24k32.s32.s8.s8 {%r1, %r2, %r3, %r4, %r5, %r6, %r7, %r8, %r9, %r10, %r11, %r12}, %rd1, %rd2, %p1",
     &["Wgmma(WgmmaOp { kind: MmaKind { m: 64, n: 24, k: 32, a: S8, b: S8, acc: S32 }, d: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], a: Desc(1), b: 2, scale_d: p1, neg_a: false, neg_b: false, trans_a: false, trans_b: false })"]),
    ("wgmma.fence.sync.aligned",
     &["WgmmaFence"]),
    ("wgmma.commit_group.sync.aligned",
     &["WgmmaCommit"]),
    ("wgmma.wait_group.sync.aligned 1",
     &["WgmmaWait { pending: 1 }"]),
];

#[test]
fn forms() {
    check(20, FORMS);
}
