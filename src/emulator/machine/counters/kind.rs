//! Kinds of instructions, as the instruction mix of a kernel is told.

use serde::Serialize;
use std::fmt;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal,)+) => {
        /// What an instruction is for. Every PTX instruction has one kind, by its opcode.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+
        }

        impl Kind {
            /// All of them, in the order in which a table shows them.
            pub const ALL: &[Kind] = &[$(Kind::$name,)+];

            /// Its name in tables and in JSON.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Kind::$name => $text,)+
                }
            }
        }
    };
}

kinds! {
    /// `mma` and `wgmma.mma_async`.
    Tensor "tensor",
    /// Integer arithmetic, shifts, bits, bytes and dot products (`dp4a`).
    Integer "integer",
    /// Arithmetic in f32 and f64.
    Float "float",
    /// Arithmetic in f16, bf16 and their packed pairs.
    Half "half",
    /// Approximations: `ex2`, `lg2`, `sin`, `cos`, `tanh`, `rcp`, `rsqrt`, `sqrt`.
    SpecialFunction "special function",
    /// `cvt` and `cvta`.
    Conversion "conversion",
    /// `setp`, `set` and logic on predicates.
    Compare "compare",
    /// `mov`, `selp`, `slct`.
    Move "move",
    /// `bra`, `brx`, `call`, `ret`, `exit`, `trap`.
    Branch "branch",
    /// `ld.global`.
    LoadGlobal "load global",
    /// `st.global`.
    StoreGlobal "store global",
    /// `ld.shared` and `ldmatrix`.
    LoadShared "load shared",
    /// `st.shared` and `stmatrix`.
    StoreShared "store shared",
    /// `ld.local`: what did not fit in registers, and arrays that are indexed.
    LoadLocal "load local",
    /// `st.local`.
    StoreLocal "store local",
    /// `ld.const` and `ld.param`: the constant bank, where parameters lie too.
    LoadConstant "load constant",
    /// `ld` by a generic address.
    LoadGeneric "load generic",
    /// `st` by a generic address.
    StoreGeneric "store generic",
    /// `cp.async` and bulk copies with their groups, and prefetches.
    AsyncCopy "async copy",
    /// `atom` and `red`.
    Atomic "atomic",
    /// `bar`, `barrier`, `mbarrier`, fences, and what orders `wgmma`.
    Barrier "barrier",
    /// `shfl`, `vote`, `match`, `redux`, `activemask`, `elect`, `movmatrix`.
    Warp "warp",
    /// What is none of these.
    Other "other",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Kind {
    /// The kind of an instruction by its text, with or without a guard: `@%p1 ld.global.u32 %r1, [%rd1];`.
    pub fn of(instruction: &str) -> Kind {
        let words = &mut instruction.trim_start().split([' ', '\t', ';']);
        let opcode = match words.next() {
            Some(guard) if guard.starts_with('@') => words.find(|word| !word.is_empty()),
            first => first,
        };
        let opcode = opcode.unwrap_or("");
        let stem = opcode.split('.').next().unwrap_or("");
        // `shared::cta` is `shared`.
        let has = |modifier: &str| opcode.split('.').skip(1).any(|part| part.split("::").next() == Some(modifier));
        match stem {
            "mma" => Kind::Tensor,
            "wgmma" if has("mma_async") => Kind::Tensor,
            "wgmma" | "bar" | "barrier" | "mbarrier" | "membar" | "fence" | "griddepcontrol" => Kind::Barrier,
            "ex2" | "lg2" | "sin" | "cos" | "tanh" | "rcp" | "rsqrt" | "sqrt" => Kind::SpecialFunction,
            "cvt" | "cvta" => Kind::Conversion,
            "setp" | "set" | "testp" | "isspacep" => Kind::Compare,
            "and" | "or" | "xor" | "not" if has("pred") => Kind::Compare,
            "mov" | "selp" | "slct" => Kind::Move,
            "bra" | "brx" | "call" | "ret" | "exit" | "trap" | "brkpt" => Kind::Branch,
            "ld" | "ldu" | "st" => {
                let spaces = [
                    ("global", Kind::LoadGlobal, Kind::StoreGlobal),
                    ("shared", Kind::LoadShared, Kind::StoreShared),
                    ("local", Kind::LoadLocal, Kind::StoreLocal),
                    ("const", Kind::LoadConstant, Kind::Other),
                    ("param", Kind::LoadConstant, Kind::Other),
                ];
                let found = spaces.iter().find(|(space, ..)| has(space));
                let (_, load, store) = *found.unwrap_or(&("", Kind::LoadGeneric, Kind::StoreGeneric));
                if stem == "st" { store } else { load }
            }
            "ldmatrix" => Kind::LoadShared,
            "stmatrix" => Kind::StoreShared,
            "cp" | "prefetch" | "prefetchu" => Kind::AsyncCopy,
            "atom" | "red" => Kind::Atomic,
            "shfl" | "vote" | "match" | "redux" | "activemask" | "elect" | "movmatrix" => Kind::Warp,
            _ => Kind::arithmetic(stem, opcode),
        }
    }

    /// Arithmetic, by its last type.
    fn arithmetic(stem: &str, opcode: &str) -> Kind {
        const STEMS: [&str; 36] = [
            "add", "addc", "sub", "subc", "mul", "mul24", "mad", "madc", "mad24", "div", "rem", "min", "max", "abs",
            "neg", "fma", "and", "or", "xor", "not", "cnot", "lop3", "shl", "shr", "shf", "prmt", "bfe", "bfi",
            "bfind", "brev", "clz", "popc", "sad", "dp4a", "dp2a", "copysign",
        ];
        if !STEMS.contains(&stem) {
            return Kind::Other;
        }
        match opcode.rsplit('.').next().unwrap_or("") {
            "f32" | "f64" | "f32x2" => Kind::Float,
            "f16" | "f16x2" | "bf16" | "bf16x2" => Kind::Half,
            _ => Kind::Integer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_by_its_opcode() {
        let rows = [
            ("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r1}, {%r2}, {%r3}, {%r4};", Kind::Tensor),
            ("wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {%r1}, %rd1, %rd2, p;", Kind::Tensor),
            ("wgmma.wait_group.sync.aligned 0;", Kind::Barrier),
            ("add.s32 %r1, %r2, %r3;", Kind::Integer),
            ("@!%p1 mad.lo.s32 %r1, %r2, %r3, %r4;", Kind::Integer),
            ("and.b32 %r1, %r2, %r3;", Kind::Integer),
            ("and.pred %p1, %p2, %p3;", Kind::Compare),
            ("dp4a.s32.u32 %r1, %r2, %r3, %r4;", Kind::Integer),
            ("fma.rn.f32 %f1, %f2, %f3, %f4;", Kind::Float),
            ("min.NaN.bf16x2 %r1, %r2, %r3;", Kind::Half),
            ("ex2.approx.ftz.f32 %f1, %f2;", Kind::SpecialFunction),
            ("cvt.rni.sat.s8.f32 %r1, %f1;", Kind::Conversion),
            ("cvta.to.global.u64 %rd1, %rd2;", Kind::Conversion),
            ("setp.lt.u32 %p1, %r1, %r2;", Kind::Compare),
            ("selp.b32 %r1, %r2, %r3, %p1;", Kind::Move),
            ("mov.u32 %r1, %tid.x;", Kind::Move),
            ("@%p1 bra $L__BB0_2;", Kind::Branch),
            ("ret;", Kind::Branch),
            ("ld.global.nc.v4.u32 {%r1, %r2, %r3, %r4}, [%rd1];", Kind::LoadGlobal),
            ("st.global.u8 [%rd1], %r1;", Kind::StoreGlobal),
            ("ld.volatile.shared.u32 %r1, [%r2];", Kind::LoadShared),
            ("ld.shared::cta.u32 %r1, [%r2];", Kind::LoadShared),
            ("st.shared.v4.b32 [%r1], {%r2, %r3, %r4, %r5};", Kind::StoreShared),
            ("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2, %r3, %r4}, [%r5];", Kind::LoadShared),
            ("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r5], {%r1};", Kind::StoreShared),
            ("ld.local.f32 %f1, [%rd1];", Kind::LoadLocal),
            ("st.local.f32 [%rd1], %f1;", Kind::StoreLocal),
            ("ld.param.u64 %rd1, [k_param_0];", Kind::LoadConstant),
            ("ld.const.u32 %r1, [table];", Kind::LoadConstant),
            ("ld.u32 %r1, [%rd1];", Kind::LoadGeneric),
            ("st.release.gpu.u32 [%rd1], %r1;", Kind::StoreGeneric),
            ("cp.async.cg.shared.global [%r1], [%rd1], 16, %r2;", Kind::AsyncCopy),
            (
                "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier [%r1], [%rd1, {%r2, %r3}], [%r4];",
                Kind::AsyncCopy,
            ),
            ("atom.global.add.u32 %r1, [%rd1], 1;", Kind::Atomic),
            ("red.global.max.s32 [%rd1], %r1;", Kind::Atomic),
            ("bar.sync 0;", Kind::Barrier),
            ("barrier.sync.aligned 1, 64;", Kind::Barrier),
            ("mbarrier.try_wait.parity.shared.b64 %p1, [%r1], %r2;", Kind::Barrier),
            ("fence.proxy.async;", Kind::Barrier),
            ("shfl.sync.bfly.b32 %r1, %r2, 16, 31, -1;", Kind::Warp),
            ("redux.sync.max.s32 %r1, %r2, -1;", Kind::Warp),
            ("movmatrix.sync.aligned.m8n8.trans.b16 %r1, %r2;", Kind::Warp),
            ("setmaxnreg.dec.sync.aligned.u32 40;", Kind::Other),
            ("", Kind::Other),
            ("@%p1", Kind::Other),
        ];
        for (text, kind) in rows {
            assert_eq!(Kind::of(text), kind, "{text}");
        }
        // Each kind is in the table but none that the table forgets to show.
        let missing: Vec<_> = Kind::ALL.iter().filter(|kind| !rows.iter().any(|row| row.1 == **kind)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
