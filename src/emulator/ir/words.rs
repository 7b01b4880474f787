//! The words that instructions are made of: types, spaces, functions, modes.

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
    U16x2,
    S16x2,
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
    Mul24Hi,
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
    /// `.xorsign.abs`: of the magnitudes, with the sign of the product.
    MinXorsign,
    MaxXorsign,
    /// `bmsk`: a mask of a position and a width.
    BmskClamp,
    BmskWrap,
    /// `szext`: the low bits of a, as many as b says, extended.
    SzextClamp,
    SzextWrap,
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
    /// `fns`: the n-th set bit of a from b on.
    Fns,
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
    /// The upper half of `%clock64` and of `%globaltimer`.
    ClockHi,
    Clock64,
    GlobaltimerLo,
    Globaltimer,
    DynamicSmemSize,
    TotalSmemSize,
    /// What a driver may set and what counts events of the hardware: nothing here.
    Zero,
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
