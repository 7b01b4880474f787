//! What one instruction does.

use super::{
    AccTy, AtomOp, BarRed, Binary, BoolOp, CallOp, Cmp, MmaTy, Mods, Order, Pred, PredSrc, PrmtMode, Reg, ShflMode,
    Space, Special, Ternary, Ty, Unary, VoteMode,
};

/// `[reg + offset]`, or `[offset]` when there is no register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addr {
    /// Base register, if any.
    pub base: Option<Reg>,
    /// True when the base is in the 64-bit file.
    pub wide: bool,
    /// Constant added to it (addresses of module variables are folded in here).
    pub offset: i64,
}

/// Shape and types of `mma.sync` or (with `m = 64`) of `wgmma.mma_async`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MmaKind {
    /// Rows.
    pub m: u16,
    /// Columns.
    pub n: u16,
    /// Depth.
    pub k: u16,
    /// Type of A.
    pub a: MmaTy,
    /// Type of B.
    pub b: MmaTy,
    /// Type of C and D.
    pub acc: AccTy,
    /// `.satfinite` (integer products).
    pub sat: bool,
}

/// Registers of an `mma.sync`, all in the 32-bit file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MmaOp {
    /// Shape and types.
    pub kind: MmaKind,
    /// Destination.
    pub d: Box<[Reg]>,
    /// A fragment.
    pub a: Box<[Reg]>,
    /// B fragment.
    pub b: Box<[Reg]>,
    /// C fragment.
    pub c: Box<[Reg]>,
}

/// Operand A of `wgmma`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WgmmaA {
    /// A shared-memory matrix descriptor (64-bit file).
    Desc(Reg),
    /// Four registers.
    Regs([Reg; 4]),
}

/// `wgmma.mma_async`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WgmmaOp {
    /// Shape and types; `m` is 64.
    pub kind: MmaKind,
    /// Accumulator registers, read and written.
    pub d: Box<[Reg]>,
    /// Operand A.
    pub a: WgmmaA,
    /// Descriptor of B (64-bit file).
    pub b: Reg,
    /// Predicate: false makes D = A·B instead of A·B + D.
    pub scale_d: PredSrc,
    /// Negate A (float forms).
    pub neg_a: bool,
    /// Negate B (float forms).
    pub neg_b: bool,
    /// A is M-major (16-bit forms).
    pub trans_a: bool,
    /// B is N-major (16-bit forms).
    pub trans_b: bool,
}

/// One instruction's action. Unless said otherwise registers are in the file of `ty`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Op {
    Unary {
        f: Unary,
        ty: Ty,
        mods: Mods,
        d: Reg,
        a: Reg,
    },
    Binary {
        f: Binary,
        ty: Ty,
        mods: Mods,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    Ternary {
        f: Ternary,
        ty: Ty,
        mods: Mods,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    /// `bfi d, a, b, pos, len`.
    Bfi {
        ty: Ty,
        d: Reg,
        a: Reg,
        b: Reg,
        pos: Reg,
        len: Reg,
    },
    /// Integer add/sub/mad with carry (`add.cc`, `addc`, `sub.cc`, `subc`, `madc`): the carry flag is a predicate.
    /// For `sub` the flag is the borrow. `mad.cc` comes as a product and an `AddCarry`.
    AddCarry {
        ty: Ty,
        sub: bool,
        d: Reg,
        a: Reg,
        b: Reg,
        carry_in: Option<Pred>,
        carry_out: Option<Pred>,
    },
    /// `prmt` with a mode other than the default.
    PrmtMode {
        mode: PrmtMode,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    Special {
        d: Reg,
        wide: bool,
        s: Special,
    },
    /// `d` gets the comparison, `not_d` its opposite, both combined with the predicate if there is one. For
    /// packed types (F16x2, BF16x2) `d` is the low half's comparison and `not_d` the high half's.
    Setp {
        cmp: Cmp,
        ty: Ty,
        ftz: bool,
        d: Option<Pred>,
        not_d: Option<Pred>,
        a: Reg,
        b: Reg,
        combine: Option<(BoolOp, PredSrc)>,
    },
    /// `set`: like setp, writing all-ones / 1.0 or zero to a 32-bit register. For F16x2 etc. per half.
    Set {
        cmp: Cmp,
        dty: Ty,
        ty: Ty,
        ftz: bool,
        d: Reg,
        a: Reg,
        b: Reg,
        combine: Option<(BoolOp, PredSrc)>,
    },
    Selp {
        ty: Ty,
        d: Reg,
        a: Reg,
        b: Reg,
        p: PredSrc,
    },
    /// `slct`: `d = c >= 0 ? a : b` (c is S32 or F32).
    Slct {
        ty: Ty,
        cty: Ty,
        ftz: bool,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    PredBin {
        op: BoolOp,
        d: Pred,
        a: PredSrc,
        b: PredSrc,
    },
    PredMov {
        d: Pred,
        a: PredSrc,
    },
    PredConst {
        d: Pred,
        value: bool,
    },
    Cvt {
        to: Ty,
        from: Ty,
        mods: Mods,
        d: Reg,
        a: Reg,
    },
    /// Packed conversion of two f32 into f16x2, bf16x2, e4m3x2 or e5m2x2: `a` goes to the upper half.
    CvtPack {
        to: Ty,
        mods: Mods,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    /// `mov.b64 {lo, hi}, r` and `mov.b64 r, {lo, hi}`.
    Unpack64 {
        lo: Option<Reg>,
        hi: Option<Reg>,
        a: Reg,
    },
    Pack64 {
        d: Reg,
        lo: Reg,
        hi: Reg,
    },
    /// `mov.b32 {lo, hi}, r` with 16-bit halves.
    Unpack32 {
        lo: Option<Reg>,
        hi: Option<Reg>,
        a: Reg,
    },
    Pack32 {
        d: Reg,
        lo: Reg,
        hi: Reg,
    },
    /// `ld`: `ty` gives width and extension; destinations are in the 64-bit file when `wide_dst`.
    Load {
        space: Space,
        ty: Ty,
        order: Order,
        vec: u8,
        wide_dst: bool,
        d: [Reg; 4],
        addr: Addr,
    },
    Store {
        space: Space,
        ty: Ty,
        order: Order,
        vec: u8,
        wide_src: bool,
        s: [Reg; 4],
        addr: Addr,
    },
    /// `atom`/`red` (`d` is None); `c` is cas's new value.
    Atom {
        op: AtomOp,
        space: Space,
        ty: Ty,
        order: Order,
        d: Option<Reg>,
        addr: Addr,
        b: Reg,
        c: Reg,
    },
    /// Faults where the address is not a multiple of so many bytes: of vector atomics, whose elements are operations of
    /// their own.
    Aligned {
        space: Space,
        addr: Addr,
        bytes: u8,
    },
    /// Prefetch and other hints: only the address is looked at.
    Prefetch {
        space: Space,
        addr: Addr,
    },
    /// Generic ↔ space address conversion; `to_space` false is `cvta.space`.
    Cvta {
        space: Space,
        to_space: bool,
        wide: bool,
        d: Reg,
        a: Reg,
    },
    /// `isspacep`.
    IsSpace {
        space: Space,
        d: Pred,
        a: Reg,
    },
    Branch {
        target: u32,
    },
    /// `brx.idx` through a table of targets.
    BranchIndexed {
        index: Reg,
        targets: Box<[u32]>,
    },
    Exit,
    /// A function of the module, or one that the emulator has.
    Call(Box<CallOp>),
    /// The end of a function: index into [`Code::functions`](super::Code::functions).
    Return {
        function: u32,
    },
    Trap,
    /// `barrier.cta`: `id` and `count` are 32-bit registers (constants mostly); no count means every thread.
    Bar {
        arrive: bool,
        aligned: bool,
        id: Reg,
        count: Option<Reg>,
    },
    /// `barrier.cta.red`.
    BarRed {
        op: BarRed,
        aligned: bool,
        id: Reg,
        count: Option<Reg>,
        d32: Option<Reg>,
        dp: Option<Pred>,
        p: PredSrc,
    },
    /// `bar.warp.sync`.
    WarpSync {
        mask: Reg,
    },
    /// Memory fences that need no model beyond ordering (`membar`, `fence.acq_rel`, `fence.sc`).
    Fence,
    /// `fence.proxy.async` and its space-qualified forms.
    FenceProxyAsync,
    /// `fence.mbarrier_init`.
    FenceMbarrierInit,
    /// `barrier.cluster.arrive` / `.wait`.
    ClusterBar {
        arrive: bool,
        aligned: bool,
    },
    Shfl {
        mode: ShflMode,
        d: Reg,
        p: Option<Pred>,
        a: Reg,
        b: Reg,
        c: Reg,
        mask: Reg,
    },
    Vote {
        mode: VoteMode,
        d32: Option<Reg>,
        dp: Option<Pred>,
        p: PredSrc,
        mask: Reg,
    },
    Match {
        all: bool,
        ty: Ty,
        d: Reg,
        dp: Option<Pred>,
        a: Reg,
        mask: Reg,
    },
    Redux {
        op: AtomOp,
        signed: bool,
        d: Reg,
        a: Reg,
        mask: Reg,
    },
    ActiveMask {
        d: Reg,
    },
    ElectSync {
        d: Option<Reg>,
        p: Pred,
        mask: Reg,
    },
    /// `griddepcontrol.*`, `pmevent`, `discard`: no effect here.
    Nop,
    /// `setmaxnreg`: no effect here, but the whole warp must run it together.
    WholeWarp,
    /// `nanosleep`, a good moment to let others run.
    Yield,
    // Tensor cores and asynchronous copies.
    Mma(Box<MmaOp>),
    /// `movmatrix`: an 8×8 matrix of 16-bit elements in a register of each lane becomes its transpose.
    Movmatrix {
        d: Reg,
        a: Reg,
    },
    /// `ldmatrix`: `num` matrices of 8×8 16-bit elements; the address is in shared memory.
    Ldmatrix {
        trans: bool,
        num: u8,
        d: [Reg; 4],
        addr: Addr,
    },
    Stmatrix {
        trans: bool,
        num: u8,
        s: [Reg; 4],
        addr: Addr,
    },
    /// `cp.async`: `size` bytes (4, 8 or 16), of which `src_size` (a 32-bit register) are read and the rest zeroed.
    CpAsync {
        size: u8,
        dst: Addr,
        src: Addr,
        src_size: Option<Reg>,
    },
    CpAsyncCommit,
    /// Wait until at most `pending` groups are outstanding.
    CpAsyncWait {
        pending: u32,
    },
    CpAsyncWaitAll,
    /// `cp.async.mbarrier.arrive`.
    CpAsyncMbarrierArrive {
        noinc: bool,
        addr: Addr,
    },
    MbarrierInit {
        addr: Addr,
        count: Reg,
    },
    MbarrierInval {
        addr: Addr,
    },
    /// `mbarrier.arrive`, optionally with a count and with `.expect_tx`; `d` receives the state.
    MbarrierArrive {
        addr: Addr,
        count: Option<Reg>,
        expect_tx: Option<Reg>,
        d: Option<Reg>,
    },
    MbarrierExpectTx {
        addr: Addr,
        bytes: Reg,
    },
    MbarrierCompleteTx {
        addr: Addr,
        bytes: Reg,
    },
    /// `mbarrier.test_wait` (`blocking` false) or `.try_wait`, by parity.
    MbarrierWaitParity {
        addr: Addr,
        parity: Reg,
        d: Pred,
        blocking: bool,
    },
    /// The same by the state that an arrive returned (64-bit file).
    MbarrierWaitState {
        addr: Addr,
        state: Reg,
        d: Pred,
        blocking: bool,
    },
    /// `cp.async.bulk.tensor.Nd.shared::cluster.global.mbarrier`: a tile through a tensor map.
    TmaLoad {
        dims: u8,
        dst: Addr,
        map: Addr,
        coords: [Reg; 5],
        mbar: Addr,
        multicast: Option<Reg>,
    },
    /// `cp.async.bulk.shared.global`.
    BulkLoad {
        dst: Addr,
        src: Addr,
        bytes: Reg,
        mbar: Addr,
    },
    PrefetchTensorMap {
        map: Addr,
    },
    Wgmma(Box<WgmmaOp>),
    WgmmaFence,
    WgmmaCommit,
    WgmmaWait {
        pending: u32,
    },
}
