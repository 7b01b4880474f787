//! Atomic operations of every type, in every space, with every order and scope; and votes, matches and reductions.

use super::harness::{HEAD, LEVELS, check, form, options, run};
use halfbyte::emulator::{Arch, FaultKind, LaunchConfig, Machine, Module};

/// Every operation: opcode, type, width of its cell, the value there, the operand (and `cas`'s new value), and what is
/// there afterwards. Worked out from PTX ISA §9.7.13.5.
#[rustfmt::skip]
const OPERATIONS: &[(&str, &str, u32, u64, u64, u64, u64)] = &[
    ("add", "u32", 32, 0xFFFF_FFFF, 2, 0, 1),
    ("add", "s32", 32, 0x7FFF_FFFF, 1, 0, 0x8000_0000),
    ("add", "u64", 64, 0xFFFF_FFFF, 1, 0, 1 << 32),
    ("add", "s64", 64, u64::MAX, 5, 0, 4),
    ("inc", "u32", 32, 5, 5, 0, 0), ("inc", "u32", 32, 4, 5, 0, 5), ("inc", "u32", 32, 9, 5, 0, 0),
    ("dec", "u32", 32, 0, 5, 0, 5), ("dec", "u32", 32, 5, 5, 0, 4), ("dec", "u32", 32, 6, 5, 0, 5),
    ("min", "u32", 32, 0xFFFF_FFFF, 1, 0, 1), ("max", "u32", 32, 0xFFFF_FFFF, 1, 0, 0xFFFF_FFFF),
    ("min", "s32", 32, 0xFFFF_FFFF, 1, 0, 0xFFFF_FFFF), ("max", "s32", 32, 0xFFFF_FFFF, 1, 0, 1),
    ("min", "u64", 64, u64::MAX, 1, 0, 1), ("max", "u64", 64, 1 << 63, 1, 0, 1 << 63),
    ("min", "s64", 64, u64::MAX, 1, 0, u64::MAX), ("max", "s64", 64, 1 << 63, 1, 0, 1),
    ("and", "b32", 32, 12, 10, 0, 8), ("or", "b32", 32, 12, 10, 0, 14), ("xor", "b32", 32, 12, 10, 0, 6),
    ("and", "b64", 64, 12 << 40, 10 << 40, 0, 8 << 40), ("or", "b64", 64, 12 << 40, 10, 0, 12 << 40 | 10),
    ("xor", "b64", 64, 12 << 40, 10 << 40, 0, 6 << 40),
    ("exch", "b32", 32, 12, 10, 0, 10), ("exch", "b64", 64, 12, 1 << 60, 0, 1 << 60),
    ("cas", "b32", 32, 1, 1, 2, 2), ("cas", "b32", 32, 1, 3, 2, 1),
    ("cas", "b64", 64, 1 << 50, 1 << 50, 2, 2), ("cas", "b64", 64, 1 << 50, 1 << 51, 2, 1 << 50),
    ("cas", "b16", 16, 0xABCD, 0xABCD, 0x1234, 0x1234), ("cas", "b16", 16, 0xABCD, 0xABCE, 0x1234, 0xABCD),
    ("add", "f32", 32, 0x3FC0_0000, 0x4000_0000, 0, 0x4060_0000),
    ("add", "f64", 64, 0x3FF8_0000_0000_0000, 0x4000_0000_0000_0000, 0, 0x400C_0000_0000_0000),
    ("add.noftz", "f16", 16, 0x3C00, 0x3800, 0, 0x3E00),
    ("add.noftz", "f16", 16, 0x0001, 0x0001, 0, 0x0002),
    ("add.noftz", "bf16", 16, 0x3F80, 0xBF00, 0, 0x3F00),
    ("add.noftz", "f16x2", 32, 0x3C00_4000, 0x3C00_3C00, 0, 0x4000_4200),
    ("add.noftz", "bf16x2", 32, 0x3F80_4000, 0x3F80_3F80, 0, 0x4000_4040),
];

/// The register of a width in the harness, and its kind.
fn kind(bits: u32) -> &'static str {
    match bits {
        16 => "h",
        32 => "r",
        _ => "d",
    }
}

/// Loads the address of a cell of 8 bytes a thread into `%z0`, or `%x0` of shared memory.
const SHARED: &str = ".shared .align 16 .b8 buf[256]; mov.u32 %x0, %tid.x; shl.b32 %x0, %x0, 3; mov.u32 %x1, buf; add.u32 %x0, %x0, %x1;";

#[test]
fn every_operation_in_every_space() {
    let mut forms = Vec::new();
    for &(op, ty, bits, cell, b, c, want) in OPERATIONS {
        let operands = if op == "cas" { "{b}, {c}" } else { "{b}" };
        let kinds: String = (0..4).map(|_| kind(bits)).collect();
        for (space, before, address) in [
            (".global", String::new(), "%p0"),
            ("", String::new(), "%p0"),
            (".shared", SHARED.to_string(), "%x0"),
            (".shared::cta", SHARED.to_string(), "%x0"),
            ("", format!("{SHARED} cvt.u64.u32 %z0, %x0; cvta.shared.u64 %z0, %z0;"), "%z0"),
        ] {
            let start = format!("{before} st{space}.b{bits} [{address}], {{a}};");
            let load = format!("ld{space}.b{bits} {{d}}, [{address}];");
            let (new, old) = (
                format!("{start} atom{space}.{op}.{ty} {{a}}, [{address}], {operands}; {load}"),
                format!("{start} atom{space}.{op}.{ty} {{d}}, [{address}], {operands};"),
            );
            forms.push(form(new.leak(), kinds.clone().leak(), &[[cell, b, c, want]]));
            forms.push(form(old.leak(), kinds.clone().leak(), &[[cell, b, c, cell]]));
            if !matches!(op, "exch" | "cas") {
                let red = format!("{start} red{space}.{op}.{ty} [{address}], {operands}; {load}");
                forms.push(form(red.leak(), kinds.clone().leak(), &[[cell, b, c, want]]));
            }
        }
    }
    assert_eq!(check(&forms), OPERATIONS.len() * 5 * 3 - 8 * 5);
}

#[test]
fn every_order_and_scope() {
    let mut forms = Vec::new();
    for order in ["", ".relaxed", ".acquire", ".release", ".acq_rel"] {
        for scope in ["", ".cta", ".cluster", ".gpu", ".sys"] {
            let add = format!(
                "st.global.u32 [%p0], {{a}}; atom{order}{scope}.global.add.u32 {{d}}, [%p0], {{b}}; ld.global.u32 {{d}}, [%p0];"
            );
            forms.push(form(add.leak(), "rrr", &[[40, 2, 42]]));
            if !matches!(order, ".acquire" | ".acq_rel") {
                let red = format!(
                    "st.global.u32 [%p0], {{a}}; red{order}{scope}.global.max.s32 [%p0], {{b}}; ld.global.u32 {{d}}, [%p0];"
                );
                forms.push(form(red.leak(), "rrr", &[[40, 50, 50]]));
            }
        }
    }
    for scope in ["cta", "cluster", "gpu", "sys"] {
        let text = format!(
            "st.release.{scope}.global.u32 [%p0], {{a}}; fence.acq_rel.{scope}; ld.acquire.{scope}.global.u32 {{d}}, [%p0];"
        );
        forms.push(form(text.leak(), "rr", &[[40, 40]]));
        let text =
            format!("st.relaxed.{scope}.u32 [%p0], {{a}}; fence.sc.{scope}; ld.relaxed.{scope}.u32 {{d}}, [%p0];");
        forms.push(form(text.leak(), "rr", &[[41, 41]]));
    }
    forms.push(form(
        "st.mmio.relaxed.sys.global.u32 [%p0], {a}; ld.mmio.relaxed.sys.global.u32 {d}, [%p0];",
        "rr",
        &[[4, 4]],
    ));
    forms.push(form(
        "st.volatile.global.u32 [%p0], {a}; membar.gl; ld.volatile.global.u32 {d}, [%p0];",
        "rr",
        &[[5, 5]],
    ));
    assert_eq!(check(&forms), 25 + 15 + 8 + 2);
}

#[test]
fn hints_change_nothing() {
    let mut forms = Vec::new();
    for (st, ld) in [
        (".wb", ".ca"),
        (".cg", ".cg"),
        (".cs", ".cs"),
        (".wt", ".cv"),
        ("", ".lu"),
        ("", ".nc"),
        (".L1::no_allocate", ".L1::no_allocate"),
        (".L1::evict_last", ".L1::evict_first"),
        (".L1::evict_unchanged", ".nc.L1::no_allocate.L2::128B"),
        (".L2::cache_hint", ".L2::cache_hint"),
        ("", ".L1::evict_normal.L2::256B"),
    ] {
        let policy = |hint: &str| if hint.contains("cache_hint") { ", %z3" } else { "" };
        let text = format!(
            "createpolicy.fractional.L2::evict_last.b64 %z3, 1.0; st.global{st}.v2.b32 [%p0], {{{{a}}, {{b}}}}{}; ld.global{ld}.v2.b32 {{%x0, {{d}}}}, [%p0]{}; mov.b32 %x1, 0; st.global.b32 [%p0+4], %x1;",
            policy(st),
            policy(ld)
        );
        forms.push(form(text.leak(), "rrr", &[[3, 4, 4]]));
    }
    for hint in [
        "prefetch.global.L1 [%p0]",
        "prefetch.global.L2::evict_last [%p0]",
        "prefetchu.L1 [%p0]",
        "applypriority.global.L2::evict_normal [%p0], 128",
    ] {
        let text = format!("st.global.b32 [%p0], {{a}}; {hint}; ld.global.b32 {{d}}, [%p0];");
        forms.push(form(text.leak(), "rr", &[[8, 8]]));
    }
    assert_eq!(check(&forms), 15);
}

#[test]
fn sums_in_global_memory_flush_subnormals() {
    // 2^-149 twice: kept in shared memory, flushed in global memory; a result that becomes subnormal too.
    let text = |space: &str, before: &str, at: &str| -> &'static str {
        format!("{before} st{space}.b32 [{at}], {{a}}; red{space}.add.f32 [{at}], {{b}}; ld{space}.b32 {{d}}, [{at}];")
            .leak()
    };
    let rows = |flushed: bool| {
        let of = |x: u64| if flushed { 0 } else { x };
        [
            [1, 1, of(2)],
            [0x0080_0000, 0x8080_0001, if flushed { 0x8000_0000 } else { 0x8000_0001 }],
            [0x8000_0003, 0x8000_0001, if flushed { 0x8000_0000 } else { 0x8000_0004 }],
        ]
    };
    assert_eq!(
        check(&[
            form(text(".global", "", "%p0"), "rrr", &rows(true)),
            form(text(".shared", SHARED, "%x0"), "rrr", &rows(false))
        ]),
        6
    );
}

#[test]
fn vectors_of_sums_and_extremes() {
    let cases = check(&[
        form(
            "st.global.b64 [%p0], {a}; mov.b64 {%x0, %x1}, {b}; red.global.add.v2.f32 [%p0], {%x0, %x1}; ld.global.b64 {d}, [%p0];",
            "ddd",
            &[[0x3F80_0000_4000_0000, 0x3F80_0000_3F80_0000, 0x4000_0000_4040_0000]],
        ),
        form(
            "st.global.b64 [%p0], {a}; mov.b64 {%x0, %x1}, {b}; atom.global.add.v2.f32 {%x2, %x3}, [%p0], {%x0, %x1}; mov.b64 {d}, {%x2, %x3};",
            "ddd",
            &[[7, 0x3F80_0000_3F80_0000, 7]],
        ),
        form(
            "st.global.b64 [%p0], {a}; mov.b64 {%y0, %y1, %y2, %y3}, {b}; red.global.add.noftz.v4.f16 [%p0], {%y0, %y1, %y2, %y3}; ld.global.b64 {d}, [%p0];",
            "ddd",
            &[[0x3C00_3C00_3C00_3C00, 0x4000_3C00_BC00_0000, 0x4200_4000_0000_3C00]],
        ),
        // A NaN gives way, -0 is below +0.
        form(
            "st.global.b64 [%p0], {a}; mov.b64 {%y0, %y1, %y2, %y3}, {b}; red.global.max.noftz.v4.f16 [%p0], {%y0, %y1, %y2, %y3}; ld.global.b64 {d}, [%p0];",
            "ddd",
            &[[0x7E00_8000_C000_3C00, 0x3C00_0000_BC00_7E00, 0x3C00_0000_BC00_3C00]],
        ),
        form(
            "st.global.b64 [%p0], {a}; mov.b64 {%x0, %x1}, {b}; red.global.min.noftz.v2.bf16x2 [%p0], {%x0, %x1}; ld.global.b64 {d}, [%p0];",
            "ddd",
            &[[0x3F80_0000_4000_FFC0, 0xBF80_8000_4040_3F80, 0xBF80_8000_4000_3F80]],
        ),
    ]);
    assert_eq!(cases, 5);
    let ptx = format!(
        "{HEAD}.visible .entry k(.param .u64 p) {{ .reg .b64 %d; .reg .b32 %r; ld.param.u64 %d, [p]; mov.b32 %r, 0f3F800000; red.global.add.v4.f32 [%d+OFFSET], {{%r, %r, %r, %r}}; ret; }}"
    );
    let launch = |offset: &str| {
        let module = Module::parse(&ptx.replace("OFFSET", offset)).unwrap();
        let machine = Machine::with(options(Arch::Sm90a, 1, None));
        let cells = machine.alloc(64, "cells").unwrap();
        machine.fill(cells, 0, 64).unwrap();
        machine.launch(&module, "k", &LaunchConfig::linear(2, 32), &cells.to_le_bytes())?;
        let mut out = [0; 64];
        machine.read(cells, &mut out).unwrap();
        Ok(out)
    };
    let out = launch("32").unwrap();
    let want: Vec<u8> = (0..16).flat_map(|i| if (8..12).contains(&i) { 64f32 } else { 0.0 }.to_le_bytes()).collect();
    assert_eq!(out[..], want[..]);
    let fault: halfbyte::emulator::Fault = launch("8").unwrap_err();
    assert!(fault.kind == FaultKind::Misaligned && fault.to_string().contains("16 bytes"), "{fault}");
}

/// Results of 32 lanes whose input is a function of the lane.
fn lanes(text: &str, input: impl Fn(u64) -> u64, want: impl Fn(u64) -> u64) {
    let rows: Vec<Vec<u64>> = (0..32).map(|i| vec![input(i)]).collect();
    for level in LEVELS {
        let got = run(&Machine::with(options(Arch::Sm90a, 1, Some(level))), text, "rr", &rows);
        for (lane, got) in got.into_iter().enumerate() {
            assert_eq!(got, want(lane as u64), "{text} in lane {lane}");
        }
    }
}

#[test]
fn shuffles_in_segments_tell_what_is_inside() {
    let both = |mode: &str, by: u32, clamp: u32| {
        format!(
            "shfl.sync.{mode}.b32 %x0|%q0, {{a}}, {by}, {clamp:#x}, -1; selp.b32 {{d}}, 1000, 0, %q0; add.u32 {{d}}, {{d}}, %x0;"
        )
    };
    for width in [2u64, 4, 8, 16, 32] {
        let segment = (32 - width as u32) << 8;
        let first = |i: u64| i / width * width;
        lanes(&both("up", 1, segment), |i| i, |i| if i % width >= 1 { 1000 + i - 1 } else { i });
        lanes(&both("down", 1, segment | 31), |i| i, |i| if i % width + 1 < width { 1000 + i + 1 } else { i });
        lanes(&both("bfly", 1, segment | 31), |i| i, |i| 1000 + (i ^ 1));
        lanes(&both("idx", width as u32 - 1, segment | 31), |i| i, |i| 1000 + first(i) + width - 1);
        // A partner in a later segment is outside, one in an earlier is not (PTX ISA §9.7.9.6).
        lanes(
            &both("bfly", width as u32, segment | 31),
            |i| i,
            |i| {
                let j = i ^ width;
                if width < 32 && j < i {
                    1000 + j
                } else if width == 32 {
                    1000 + i
                } else {
                    i
                }
            },
        );
    }
    // A smaller clamp within a segment.
    lanes(&both("idx", 5, 3), |i| i, |i| i);
    lanes(&both("idx", 3, 3), |i| i, |_| 1003);
}

#[test]
fn members_vote_and_reduce_among_themselves() {
    // Lanes of three groups by their number modulo 3, each with its own mask.
    let mask = |i: u64| (0..32).filter(|j| j % 3 == i % 3).fold(0u64, |m, j| m | 1 << j);
    let own = "rem.u32 %x5, {a}, 3; setp.eq.u32 %q2, %x5, 1; setp.eq.u32 %q3, %x5, 2; selp.b32 %x6, 0x92492492, 0x49249249, %q2; selp.b32 %x6, 0x24924924, %x6, %q3;";
    let members = |i: u64| (0..32u64).filter(move |j| j % 3 == i % 3);
    lanes(&format!("{own} mov.b32 {{d}}, %x6;"), |i| i, mask);
    lanes(
        &format!("{own} setp.gt.u32 %q0, {{a}}, 20; vote.sync.ballot.b32 {{d}}, %q0, %x6;"),
        |i| i,
        |i| mask(i) & !0x1F_FFFF,
    );
    lanes(
        &format!("{own} setp.ge.u32 %q0, {{a}}, 1; vote.sync.all.pred %q1, %q0, %x6; selp.b32 {{d}}, 1, 0, %q1;"),
        |i| i,
        |i| u64::from(i % 3 != 0),
    );
    lanes(
        &format!("{own} setp.eq.u32 %q0, {{a}}, 31; vote.sync.any.pred %q1, !%q0, %x6; selp.b32 {{d}}, 1, 0, %q1;"),
        |i| i,
        |_| 1,
    );
    lanes(
        &format!("{own} setp.eq.u32 %q0, {{a}}, 31; vote.sync.uni.pred %q1, %q0, %x6; selp.b32 {{d}}, 1, 0, %q1;"),
        |i| i,
        |i| u64::from(i % 3 != 1),
    );
    lanes(
        &format!("{own} shr.u32 %x0, {{a}}, 3; match.any.sync.b32 {{d}}, %x0, %x6;"),
        |i| i,
        |i| mask(i) & 0xFF << (i / 8 * 8),
    );
    lanes(
        &format!(
            "{own} cvt.u64.u32 %z0, %x5; shl.b64 %z0, %z0, 40; match.all.sync.b64 {{d}}|%q0, %z0, %x6; @!%q0 mov.b32 {{d}}, 0;"
        ),
        |i| i,
        mask,
    );
    for (op, want) in [
        ("add.u32", members(0).sum::<u64>()),
        ("min.u32", 0),
        ("max.u32", 30),
        ("add.s32", members(0).sum::<u64>()),
        ("min.s32", 0),
        ("max.s32", 30),
        ("and.b32", 0),
        ("or.b32", 31),
        ("xor.b32", members(0).fold(0, |x, j| x ^ j)),
    ] {
        lanes(
            &format!("{own} redux.sync.{op} {{d}}, {{a}}, %x6; setp.ne.u32 %q0, %x5, 0; @%q0 mov.b32 {{d}}, 5;"),
            |i| i,
            |i| if i % 3 == 0 { want } else { 5 },
        );
    }
    lanes("redux.sync.min.s32 {d}, {a}, -1;", |i| (i as i32 - 9) as u32 as u64, |_| -9i32 as u32 as u64);
    lanes("redux.sync.max.s32 {d}, {a}, -1;", |i| (i as i32 - 40) as u32 as u64, |_| -9i32 as u32 as u64);
    lanes(
        &format!("{own} elect.sync %x0|%q0, %x6; selp.b32 {{d}}, 100, 0, %q0; add.u32 {{d}}, {{d}}, %x0;"),
        |i| i,
        |i| i % 3 + if i < 3 { 100 } else { 0 },
    );
    // Who is there in a branch.
    lanes(
        "setp.lt.u32 %q0, {a}, 11; @%q0 bra A; activemask.b32 {d}; bra E;\nA: activemask.b32 {d};\nE:",
        |i| i,
        |i| if i < 11 { 0x7FF } else { 0xFFFF_F800 },
    );
}
