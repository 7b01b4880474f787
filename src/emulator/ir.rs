//! Executable code: what the decoder makes of PTX and what the interpreter runs.
//!
//! A register is 32 lanes wide and one instruction runs for a whole warp. There are three register
//! files: 32-bit (`V32`; also holds 8- and 16-bit registers, zero-extended, and packed halves), 64-bit
//! (`V64`) and predicates (one bit a lane in a `u32`). Immediates are registers too: the decoder gives
//! every distinct constant a slot that is filled once when a warp starts, so that no instruction has to
//! ask what kind its operands are.

/// One 32-bit register of a warp: lane `i` is element `i`. Aligned so that a register is two cache lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct V32(pub [u32; 32]);

/// One 64-bit register of a warp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct V64(pub [u64; 32]);

/// Index of a register in the file that the instruction's type names.
///
/// Results of 8- and 16-bit types are written zero-extended into the 32-bit file, and sources of such
/// types are read from the low bits. Where the text names a wider register (`cvt`, `ld`) and a signed
/// type, the decoder adds the extension as an operation of its own. Destinations and sources may be the
/// same register when the text says so; otherwise they never share one.
pub type Reg = u16;

/// Index of a predicate register.
pub type Pred = u16;

/// Which register file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum File {
    /// 32-bit and narrower.
    R32,
    /// 64-bit.
    R64,
    /// Predicates.
    Pred,
}

/// A predicate operand, possibly negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredSrc {
    /// The predicate.
    pub pred: Pred,
    /// True for `!p`.
    pub negated: bool,
}

/// A scalar type as an instruction names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Ty {
    U8,
    S8,
    B8,
    U16,
    S16,
    B16,
    U32,
    S32,
    B32,
    U64,
    S64,
    B64,
    F16,
    F16x2,
    BF16,
    BF16x2,
    F32,
    F64,
    E4M3x2,
    E5M2x2,
    TF32,
}

/// A memory space. `Generic` is resolved per lane by address window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Space {
    Global,
    Shared,
    Local,
    Param,
    Const,
    Generic,
}

/// Rounding of a float operation or conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Round {
    Nearest,
    NearestAway,
    Zero,
    Up,
    Down,
    IntNearest,
    IntZero,
    IntUp,
    IntDown,
    None,
}

/// Modifiers of an arithmetic instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mods {
    /// Rounding.
    pub round: Round,
    /// Flush subnormals to zero.
    pub ftz: bool,
    /// Saturate (`.sat`, `.satfinite`).
    pub sat: bool,
    /// `.relu` of conversions and half arithmetic.
    pub relu: bool,
    /// `.NaN` of min/max.
    pub nan: bool,
}

/// `d = f(a)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Unary {
    Mov,
    Not,
    Neg,
    Abs,
    Popc,
    Clz,
    Brev,
    BfindHigh,
    Cnot,
    Sqrt,
    Rcp,
    Rsqrt,
    Ex2,
    Lg2,
    Sin,
    Cos,
    Tanh,
    /// Approximate forms (`.approx`).
    SqrtApprox,
    RcpApprox,
}

/// `d = f(a, b)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    MulLo,
    MulHi,
    MulWide,
    Mul24Lo,
    Div,
    Rem,
    Min,
    Max,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    /// Float multiply.
    Mul,
    DivApprox,
    DivFull,
    CopySign,
}

/// `d = f(a, b, c)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Ternary {
    MadLo,
    MadHi,
    MadWide,
    Fma,
    Bfe,
    Sad,
    /// Three-input logic with its table.
    Lop3(u8),
    /// Byte permute, default mode: `prmt.b32 d, a, b, c`.
    Prmt,
    ShfLClamp,
    ShfLWrap,
    ShfRClamp,
    ShfRWrap,
    /// Signedness of (a, b).
    Dp4a(bool, bool),
    Dp2aLo(bool, bool),
    Dp2aHi(bool, bool),
}

/// Comparison of `setp`; the `u` forms are true when an operand is NaN; `Num`/`Nan` ask just that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Cmp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Equ,
    Neu,
    Ltu,
    Leu,
    Gtu,
    Geu,
    Num,
    Nan,
}

/// Logic on predicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BoolOp {
    And,
    Or,
    Xor,
}

/// A special register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Special {
    Tid(u8),
    Ntid(u8),
    Ctaid(u8),
    Nctaid(u8),
    ClusterId(u8),
    NclusterId(u8),
    ClusterCtaid(u8),
    ClusterNctaid(u8),
    ClusterCtarank,
    ClusterNctarank,
    Laneid,
    Warpid,
    Nwarpid,
    Smid,
    Nsmid,
    Gridid,
    LanemaskEq,
    LanemaskLt,
    LanemaskLe,
    LanemaskGt,
    LanemaskGe,
    Clock,
    Clock64,
    GlobaltimerLo,
    Globaltimer,
    DynamicSmemSize,
    TotalSmemSize,
}

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

/// What a load or store promises about ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Order {
    Weak,
    Volatile,
    Relaxed,
    Acquire,
    Release,
    AcqRel,
}

/// Read-modify-write operation of `atom` and `red`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AtomOp {
    Add,
    And,
    Or,
    Xor,
    Exch,
    Cas,
    Min,
    Max,
    Inc,
    Dec,
}

/// `shfl.sync` mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ShflMode {
    Up,
    Down,
    Bfly,
    Idx,
}

/// `vote.sync` mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum VoteMode {
    All,
    Any,
    Uni,
    Ballot,
}

/// Operand type of a tensor-core product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum MmaTy {
    S8,
    U8,
    F16,
    BF16,
    TF32,
    E4M3,
    E5M2,
}

/// Accumulator type of a tensor-core product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AccTy {
    S32,
    F32,
    F16,
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
    /// `griddepcontrol.*`, `setmaxnreg`, `nanosleep`, `discard`: no effect here.
    Nop,
    /// `nanosleep`, a good moment to let others run.
    Yield,
    // Tensor cores and asynchronous copies.
    Mma(Box<MmaOp>),
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

/// Modes of `prmt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PrmtMode {
    F4e,
    B4e,
    Rc8,
    Ecl,
    Ecr,
    Rc16,
}

/// Reduction of `barrier.cta.red`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BarRed {
    And,
    Or,
    Popc,
}

/// One decoded instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Inst {
    /// What it does.
    pub op: Op,
    /// `@p` / `@!p`.
    pub guard: Option<PredSrc>,
    /// Index of its PTX line in [`Code::lines`], for reports and counters.
    pub at: u32,
}

/// Where an instruction stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// The instruction's own text, tidied.
    pub text: String,
    /// 1-based line of the PTX file.
    pub ptx_line: u32,
    /// Index into [`Code::files`] of the kernel source, if `.loc` told.
    pub file: Option<u32>,
    /// 1-based line of the kernel source.
    pub line: u32,
}

/// A parameter of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the text.
    pub name: String,
    /// Byte offset in the parameter block.
    pub offset: u32,
    /// Size in bytes.
    pub bytes: u32,
    /// Alignment in bytes.
    pub align: u32,
}

/// One kernel entry, ready to run.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// Name of the entry.
    pub name: String,
    /// Instructions; branch targets are indices into this. The last one is always an `Exit`.
    pub insts: Vec<Inst>,
    /// Registers needed in the 32-bit file, constants included.
    pub num_r32: usize,
    /// Registers needed in the 64-bit file, constants included.
    pub num_r64: usize,
    /// Predicates needed.
    pub num_pred: usize,
    /// Slots of the 32-bit file that hold constants.
    pub const32: Vec<(Reg, u32)>,
    /// Slots of the 64-bit file that hold constants.
    pub const64: Vec<(Reg, u64)>,
    /// Slots of the 64-bit file that hold the address of a module variable (its index) plus a constant;
    /// whoever loads the module fills them like constants.
    pub addresses: Vec<(Reg, u32, i64)>,
    /// Parameters in order.
    pub params: Vec<Parameter>,
    /// Bytes of the parameter block, and its alignment.
    pub param_bytes: u32,
    /// Alignment of the parameter block.
    pub param_align: u32,
    /// Bytes of static shared memory; dynamic shared memory starts at `shared_dynamic_at`.
    pub shared_static: u32,
    /// Offset at which dynamic shared memory starts (aligned as its declaration asks).
    pub shared_dynamic_at: u32,
    /// Bytes of local memory per thread.
    pub local_bytes: u32,
    /// `.maxntid`, if given.
    pub max_threads: Option<[u32; 3]>,
    /// `.reqntid`, if given.
    pub required_threads: Option<[u32; 3]>,
    /// `.reqnctapercluster`, if given.
    pub required_cluster: Option<[u32; 3]>,
    /// Positions, indexed by [`Inst::at`].
    pub lines: Vec<At>,
    /// Source files, from `.file`.
    pub files: std::sync::Arc<[String]>,
}
