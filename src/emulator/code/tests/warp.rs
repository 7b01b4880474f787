//! Across the lanes of a warp.

use super::check;

#[rustfmt::skip]
pub(super) const FORMS: &[(&str, &[&str])] = &[
    ("shfl.sync.bfly.b32 %r1, %r2, 16, 31, -1",
     &["Shfl { mode: Bfly, d: 1, p: None, a: 2, b: #0x10, c: #0x1f, mask: #0xffffffff }"]),
    ("shfl.sync.idx.b32 %r1|%p1, %r2, %r3, %r4, %r5",
     &["Shfl { mode: Idx, d: 1, p: Some(1), a: 2, b: 3, c: 4, mask: 5 }"]),
    ("shfl.sync.up.b32 %r1|_, %r2, 1, 0, -1",
     &["Shfl { mode: Up, d: 1, p: None, a: 2, b: #0x1, c: #0x0, mask: #0xffffffff }"]),
    ("shfl.sync.down.b32 %r1, %r2, 1, 31, -1",
     &["Shfl { mode: Down, d: 1, p: None, a: 2, b: #0x1, c: #0x1f, mask: #0xffffffff }"]),
    ("vote.sync.ballot.b32 %r1, %p1, -1",
     &["Vote { mode: Ballot, d32: Some(1), dp: None, p: p1, mask: #0xffffffff }"]),
    ("vote.sync.all.pred %p1, !%p2, %r3",
     &["Vote { mode: All, d32: None, dp: Some(1), p: !p2, mask: 3 }"]),
    ("vote.sync.any.pred %p1, %p2, -1",
     &["Vote { mode: Any, d32: None, dp: Some(1), p: p2, mask: #0xffffffff }"]),
    ("vote.sync.uni.pred %p1, %p2, -1",
     &["Vote { mode: Uni, d32: None, dp: Some(1), p: p2, mask: #0xffffffff }"]),
    ("match.any.sync.b32 %r1, %r2, -1",
     &["Match { all: false, ty: B32, d: 1, dp: None, a: 2, mask: #0xffffffff }"]),
    ("match.all.sync.b64 %r1|%p1, %rd2, %r3",
     &["Match { all: true, ty: B64, d: 1, dp: Some(1), a: 2, mask: 3 }"]),
    ("redux.sync.add.s32 %r1, %r2, -1",
     &["Redux { op: Add, signed: true, d: 1, a: 2, mask: #0xffffffff }"]),
    ("redux.sync.max.u32 %r1, %r2, %r3",
     &["Redux { op: Max, signed: false, d: 1, a: 2, mask: 3 }"]),
    ("redux.sync.xor.b32 %r1, %r2, -1",
     &["Redux { op: Xor, signed: false, d: 1, a: 2, mask: #0xffffffff }"]),
    ("activemask.b32 %r1",
     &["ActiveMask { d: 1 }"]),
    ("elect.sync %r1|%p1, -1",
     &["ElectSync { d: Some(1), p: 1, mask: #0xffffffff }"]),
    ("elect.sync _|%p1, %r2",
     &["ElectSync { d: None, p: 1, mask: 2 }"]),
];

#[test]
fn forms() {
    check(16, FORMS);
}
