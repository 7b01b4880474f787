//! Control flow, barriers, fences.

use super::super::super::ptx;
use super::super::calls::Functions;
use super::check;

#[rustfmt::skip]
pub(super) const FORMS: &[(&str, &[&str])] = &[
    ("bra L1",
     &["Branch { target: 0 }"]),
    ("bra.uni L2",
     &["Branch { target: 1 }"]),
    ("@%p1 bra L2",
     &["if p1: Branch { target: 1 }"]),
    ("@!%p1 bra.uni L1",
     &["if !p1: Branch { target: 0 }"]),
    ("brx.idx %r1, T1",
     &["BranchIndexed { index: 1, targets: [0, 1] }"]),
    ("ret",
     &["Exit"]),
    ("@%p2 exit",
     &["if p2: Exit"]),
    ("trap",
     &["Trap"]),
    ("brkpt",
     &["Trap"]),
    ("call.uni (%r1), vprintf, (%rd1, %rd2)",
     &["Store { space: Local, ty: B64, order: Weak, vec: 1, wide_src: true, s: [1, 0, 0, 0], addr: Addr { base: None, wide: false, offset: 16 } }",
       "Store { space: Local, ty: B64, order: Weak, vec: 1, wide_src: true, s: [2, 0, 0, 0], addr: Addr { base: None, wide: false, offset: 24 } }",
       "Call(CallOp { target: Printf, frame: None, args: [Formal { offset: 16, bytes: 8 }, Formal { offset: 24, bytes: 8 }], returns: [Formal { offset: 32, bytes: 4 }] })",
       "Load { space: Local, ty: B32, order: Weak, vec: 1, wide_dst: false, d: [1, 0, 0, 0], addr: Addr { base: None, wide: false, offset: 32 } }"]),
    ("call %rd1, (%r2), T1",
     &["Store { space: Local, ty: B32, order: Weak, vec: 1, wide_src: false, s: [2, 0, 0, 0], addr: Addr { base: None, wide: false, offset: 16 } }",
       "Call(CallOp { target: Address(1), frame: None, args: [Formal { offset: 16, bytes: 4 }], returns: [] })"]),
    ("bar.sync 0",
     &["Bar { arrive: false, aligned: true, id: #0x0, count: None }"]),
    ("bar.sync 1, 256",
     &["Bar { arrive: false, aligned: true, id: #0x1, count: Some(#0x100) }"]),
    ("bar.arrive %r1, 64",
     &["Bar { arrive: true, aligned: true, id: 1, count: Some(#0x40) }"]),
    ("barrier.sync.aligned 3",
     &["Bar { arrive: false, aligned: true, id: #0x3, count: None }"]),
    ("barrier.cta.sync %r1, %r2",
     &["Bar { arrive: false, aligned: false, id: 1, count: Some(2) }"]),
    ("barrier.arrive 2, 128",
     &["Bar { arrive: true, aligned: false, id: #0x2, count: Some(#0x80) }"]),
    ("bar.red.popc.u32 %r1, 0, %p1",
     &["BarRed { op: Popc, aligned: true, id: #0x0, count: None, d32: Some(1), dp: None, p: p1 }"]),
    ("bar.red.and.pred %p1, 0, 128, !%p2",
     &["BarRed { op: And, aligned: true, id: #0x0, count: Some(#0x80), d32: None, dp: Some(1), p: !p2 }"]),
    ("barrier.cta.red.or.aligned.pred %p1, %r1, %p2",
     &["BarRed { op: Or, aligned: true, id: 1, count: None, d32: None, dp: Some(1), p: p2 }"]),
    ("barrier.red.popc.u32 %r1, 0, %p1",
     &["BarRed { op: Popc, aligned: false, id: #0x0, count: None, d32: Some(1), dp: None, p: p1 }"]),
    ("barrier.cluster.arrive.relaxed",
     &["ClusterBar { arrive: true, aligned: false }"]),
    ("bar.warp.sync 0xffffffff",
     &["WarpSync { mask: #0xffffffff }"]),
    ("barrier.cluster.arrive.release.aligned",
     &["ClusterBar { arrive: true, aligned: true }"]),
    ("barrier.cluster.wait.acquire.aligned",
     &["ClusterBar { arrive: false, aligned: true }"]),
    ("membar.gl",
     &["Fence"]),
    ("fence.acq_rel.gpu",
     &["Fence"]),
    ("fence.sc.cta",
     &["Fence"]),
    ("fence.proxy.async",
     &["FenceProxyAsync"]),
    ("fence.proxy.async.shared::cta",
     &["FenceProxyAsync"]),
    ("fence.proxy.alias",
     &["Fence"]),
    ("fence.mbarrier_init.release.cluster",
     &["FenceMbarrierInit"]),
    ("nanosleep.u32 %r1",
     &["Yield"]),
    ("griddepcontrol.wait",
     &["Nop"]),
    ("griddepcontrol.launch_dependents",
     &["Nop"]),
    ("setmaxnreg.inc.sync.aligned.u32 232",
     &["WholeWarp"]),
    ("pmevent 7",
     &["Nop"]),
    ("mapa.shared::cluster.u32 %r1, %r2, 0",
     &["Unary { f: Mov, ty: U32, d: 1, a: 2 }"]),
    ("mapa.u64 %rd1, %rd2, 0",
     &["Unary { f: Mov, ty: U64, d: 1, a: 2 }"]),
    ("getctarank.shared::cluster.u32 %r1, 16",
     &["Unary { f: Mov, ty: U32, d: 1, a: #0x0 }"]),
];

#[test]
fn forms() {
    check(40, FORMS);
}

/// A function whose address is taken and that calls by address may come back to itself; one that only prints never
/// does.
#[test]
fn printing_is_not_a_call_by_address() {
    for (call, again) in [("vprintf, (a, a)", false), ("a, (), P", true)] {
        let text = format!(
            ".version 9.0\n.target sm_80\n.address_size 64\n.extern .func (.param .b32 r) vprintf (.param .b64 f, .param .b64 a);\n\
             .func f() {{ .reg .b64 a; P: .callprototype _ (); call {call}; ret; }}\n\
             .entry k() {{ .reg .b64 a; mov.u64 a, f; call f; ret; }}"
        );
        let source = ptx::parse(&text).unwrap();
        assert_eq!(Functions::new(&source).unwrap().needed(&source.entries[0]).unwrap(), [(0, again)], "{call}");
    }
}
