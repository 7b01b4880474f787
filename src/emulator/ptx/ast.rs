//! The syntax tree: names and modifiers as the text spells them.

/// A whole PTX text.
#[derive(Debug, Default)]
pub struct Source<'a> {
    /// `.version major.minor`.
    pub version: (u32, u32),
    /// The architecture of `.target`.
    pub target: &'a str,
    /// `.file` index and path.
    pub files: Vec<(u32, &'a str)>,
    /// Variables at module scope.
    pub variables: Vec<Variable<'a>>,
    /// Entries with a body.
    pub entries: Vec<Function<'a>>,
    /// Device functions: prototypes and those with a body.
    pub functions: Vec<Function<'a>>,
    /// `.alias`: the second names of functions, and which function they name.
    pub aliases: Vec<(&'a str, &'a str)>,
}

/// A position in the kernel's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loc {
    /// Index that a `.file` directive defines.
    pub file: u32,
    /// 1-based line.
    pub line: u32,
    /// File index and line of the call that was inlined here, if it was one.
    pub caller: Option<(u32, u32)>,
}

/// Where a variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum VariableSpace {
    Global,
    Const,
    Shared,
    Local,
    Param,
    /// A parameter of a function that is passed in a register.
    Register,
}

/// One element of an initializer.
#[derive(Clone, Debug, PartialEq)]
pub enum Init<'a> {
    /// A number, already as the bits of the element type.
    Bits(u64),
    /// The address of a variable, plus a constant; generic if `generic(name)`.
    Address {
        /// The variable.
        name: &'a str,
        /// Constant added to the address.
        addend: i64,
        /// Whether the generic address is asked for.
        generic: bool,
    },
}

/// A variable or a parameter.
#[derive(Clone, Debug)]
pub struct Variable<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its space.
    pub space: VariableSpace,
    /// Alignment in bytes, a power of two.
    pub align: u32,
    /// Bytes of one element, or of one part of a vector.
    pub element: u32,
    /// Parts of a vector; 1 for a scalar.
    pub vector: u32,
    /// Bytes in all; `None` for an array of unknown size.
    pub bytes: Option<u64>,
    /// Leading elements that have a value; the rest is zero.
    pub init: Vec<Init<'a>>,
    /// `.extern`.
    pub external: bool,
    /// Line of the declaration.
    pub ptx_line: u32,
}

/// An entry or a device function.
#[derive(Debug, Default)]
pub struct Function<'a> {
    /// Its name.
    pub name: &'a str,
    /// Parameters in order.
    pub params: Vec<Variable<'a>>,
    /// What a device function returns.
    pub returns: Vec<Variable<'a>>,
    /// Whether there is a body; prototypes have none.
    pub defined: bool,
    /// `.maxntid`, `.reqntid`, `.reqnctapercluster`.
    pub max_threads: Option<[u32; 3]>,
    #[allow(missing_docs)]
    pub required_threads: Option<[u32; 3]>,
    #[allow(missing_docs)]
    pub required_cluster: Option<[u32; 3]>,
    /// The body; scopes are marked, not nested, so that depth costs nothing.
    pub body: Vec<Statement<'a>>,
    /// Line of the declaration.
    pub ptx_line: u32,
}

/// A statement of a body.
#[derive(Debug)]
pub enum Statement<'a> {
    /// `{`
    Open,
    /// `}`
    Close,
    /// `name:`
    Label { name: &'a str, ptx_line: u32 },
    /// `.reg .b32 %r<count>` (with a count) or a single name (without).
    Registers { name: &'a str, count: Option<u32>, bits: u8, ptx_line: u32 },
    /// A variable of function scope.
    Variable(Variable<'a>),
    /// `name: .branchtargets a, b, c;`
    Table { name: &'a str, targets: Vec<&'a str>, ptx_line: u32 },
    /// An instruction.
    Instruction(Instruction<'a>),
}

/// An instruction as written.
#[derive(Debug)]
pub struct Instruction<'a> {
    /// `@p` (false) or `@!p` (true).
    pub guard: Option<(&'a str, bool)>,
    /// The full opcode, modifiers included.
    pub opcode: &'a str,
    /// Operands.
    pub operands: Vec<Operand<'a>>,
    /// What a `call` calls, with what; it has no operands then.
    pub call: Option<Box<Call<'a>>>,
    /// The text between the end of the last statement and the semicolon.
    pub text: &'a str,
    /// 1-based line.
    pub ptx_line: u32,
    /// Position in the kernel's source.
    pub loc: Option<Loc>,
}

/// The parts of `call (returns), target, (args);`.
#[derive(Debug)]
pub struct Call<'a> {
    /// Where results go.
    pub returns: Vec<Operand<'a>>,
    /// A function, or a register that holds the address of one.
    pub target: &'a str,
    /// Arguments.
    pub args: Vec<Operand<'a>>,
}

/// An operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand<'a> {
    /// A register, a special register, a variable or a label.
    Name(&'a str),
    /// `name + constant`.
    NamePlus(&'a str, i64),
    /// `!name`.
    Not(&'a str),
    /// `_`.
    Sink,
    /// An integer: its low 64 bits.
    Int(i64),
    /// `0f` and the eight hexadecimal digits of its bits.
    F32(u32),
    /// `0d` and the sixteen hexadecimal digits of its bits, or a decimal float.
    F64(u64),
    /// `[name + constant]` or `[constant]`.
    Address { base: Option<&'a str>, offset: i64 },
    /// `[name + constant, {a, b, …}]`.
    TensorAddress { base: &'a str, offset: i64, coords: Vec<Operand<'a>> },
    /// `{a, b, …}`.
    Vector(Vec<Operand<'a>>),
    /// `a|b`.
    Pair(Box<Operand<'a>>, Box<Operand<'a>>),
}
