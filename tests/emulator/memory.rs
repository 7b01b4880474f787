//! Loads, stores, atomics, address windows, module variables.

use super::harness::{HEAD, check, form, options};
use halfbyte::emulator::{Arch, LaunchConfig, Machine, Module};

const M: u64 = 0xFFFF_FFFF;

#[test]
fn widths_and_extensions() {
    let shared = |body: &str| -> &'static str {
        Box::leak(format!(".shared .align 16 .b8 buf[1024]; mov.u32 %x0, %tid.x; shl.b32 %x0, %x0, 4; mov.u32 %x1, buf; add.u32 %x0, %x0, %x1; {body}").into_boxed_str())
    };
    let cases = check(&[
        form(shared("st.shared.u32 [%x0], {a}; ld.shared.u8 {d}, [%x0+1];"), "rr", &[[0x1234_85AB, 0x85]]),
        form(shared("st.shared.u32 [%x0], {a}; ld.shared.s8 {d}, [%x0+1];"), "rr", &[[0x1234_85AB, 0xFFFF_FF85]]),
        form(shared("st.shared.u32 [%x0], {a}; ld.shared.u16 {d}, [%x0+2];"), "hr", &[[0x1234_85AB, 0x1234]]),
        form(shared("st.shared.u32 [%x0], {a}; ld.shared.s16 {d}, [%x0];"), "rr", &[[0x1234_85AB, 0xFFFF_85AB]]),
        form(
            shared("st.shared.u32 [%x0], {a}; ld.shared.s32 {d}, [%x0];"),
            "dr",
            &[[0x8000_0000, 0xFFFF_FFFF_8000_0000]],
        ),
        form(shared("st.shared.u32 [%x0], {a}; ld.shared.u32 {d}, [%x0];"), "dr", &[[0x8000_0000, 0x8000_0000]]),
        form(shared("st.shared.u64 [%x0], {a}; ld.shared.v2.u32 {%x2, {d}}, [%x0];"), "rd", &[[7 << 32 | 9, 7]]),
        form(
            shared(
                "mov.u32 %x2, 5; st.shared.v4.u32 [%x0], {%x2, {a}, %x2, %x2}; ld.shared.v4.u32 {%x3, {d}, %x4, %x5}, [%x0];",
            ),
            "rr",
            &[[42, 42]],
        ),
        form(
            shared("st.shared.u8 [%x0], {a}; st.shared.u8 [%x0+1], {a}; ld.shared.u16 {d}, [%x0];"),
            "hr",
            &[[0x1AB, 0xABAB]],
        ),
        form(shared("st.shared.v2.u64 [%x0], {{a}, {a}}; ld.shared.u64 {d}, [%x0+8];"), "dd", &[[1 << 50, 1 << 50]]),
        form(
            shared("cvt.u64.u32 %z0, %x0; cvta.shared.u64 %z0, %z0; st.u32 [%z0], {a}; ld.shared.u32 {d}, [%x0];"),
            "rr",
            &[[77, 77]],
        ),
        form(
            shared(
                "cvt.u64.u32 %z0, %x0; cvta.shared.u64 %z0, %z0; cvta.to.shared.u64 %z1, %z0; cvt.u32.u64 %x2, %z1; sub.u32 {d}, %x2, %x0;",
            ),
            "rr",
            &[[1, 0]],
        ),
        form(
            shared(
                "cvt.u64.u32 %z0, %x0; cvta.shared.u64 %z0, %z0; isspacep.shared %q0, %z0; isspacep.global %q1, %z0; selp.b32 %x2, 2, 0, %q1; selp.b32 {d}, 1, %x2, %q0;",
            ),
            "rr",
            &[[1, 1]],
        ),
        form(
            ".local .align 8 .b8 buf[16]; mov.u64 %z0, buf; st.local.u32 [%z0+4], {a}; ld.local.u32 {d}, [%z0+4];",
            "rr",
            &[[3, 3], [4, 4]],
        ),
        form(
            ".local .align 8 .b8 buf[16]; mov.u64 %z0, buf; cvta.local.u64 %z0, %z0; st.u32 [%z0+4], {a}; ld.u32 {d}, [%z0+4];",
            "rr",
            &[[3, 3], [4, 4]],
        ),
    ]);
    assert_eq!(cases, 17);
}

#[test]
fn atomics_one_lane_at_a_time() {
    let on = |op: &str, width: &str| -> &'static str {
        let text = format!(
            ".shared .align 16 .b8 buf[512]; mov.u32 %x0, %tid.x; shl.b32 %x0, %x0, 4; mov.u32 %x1, buf; add.u32 %x0, %x0, %x1; st.shared.{width} [%x0], {{a}}; atom.shared.{op} {{b}}, [%x0], {{b}}; ld.shared.{width} {{d}}, [%x0];"
        );
        Box::leak(text.into_boxed_str())
    };
    let f = |x: f32| u64::from(x.to_bits());
    let cas = ".shared .align 16 .b8 buf[512]; mov.u32 %x0, %tid.x; shl.b32 %x0, %x0, 4; mov.u32 %x1, buf; add.u32 %x0, %x0, %x1; st.shared.u32 [%x0], {a}; atom.shared.cas.b32 %x2, [%x0], {b}, {c}; ld.shared.u32 %x3, [%x0]; shl.b32 %x3, %x3, 8; or.b32 {d}, %x3, %x2;";
    let cases = check(&[
        form(on("add.u32", "u32"), "rrr", &[[M, 2, 1]]),
        form(on("and.b32", "u32"), "rrr", &[[12, 10, 8]]),
        form(on("or.b32", "u32"), "rrr", &[[12, 10, 14]]),
        form(on("xor.b32", "u32"), "rrr", &[[12, 10, 6]]),
        form(on("exch.b32", "u32"), "rrr", &[[12, 10, 10]]),
        form(on("min.s32", "u32"), "rrr", &[[M, 1, M]]),
        form(on("min.u32", "u32"), "rrr", &[[M, 1, 1]]),
        form(on("max.s32", "u32"), "rrr", &[[M, 1, 1]]),
        form(on("max.u32", "u32"), "rrr", &[[M, 1, M]]),
        form(on("inc.u32", "u32"), "rrr", &[[5, 5, 0], [4, 5, 5]]),
        form(on("dec.u32", "u32"), "rrr", &[[0, 5, 5], [4, 5, 3], [9, 5, 5]]),
        form(on("add.f32", "f32"), "fff", &[[f(1.5), f(2.0), f(3.5)]]),
        form(on("add.noftz.f16x2", "b32"), "rrr", &[[0x3C00_4000, 0x3C00_3C00, 0x4000_4200]]),
        form(on("add.u64", "u64"), "ddd", &[[M, 1, 1 << 32]]),
        form(on("max.s64", "u64"), "ddd", &[[u64::MAX, 1, 1]]),
        form(on("exch.b64", "u64"), "ddd", &[[3, 1 << 60, 1 << 60]]),
        form(cas, "rrrr", &[[1, 1, 2, 0x201], [1, 3, 2, 0x101]]),
    ]);
    assert_eq!(cases, 21);
}

#[test]
fn all_blocks_add_to_one_word() {
    let ptx = format!(
        "{HEAD}.visible .entry k(.param .u64 p) {{ .reg .b64 %d<2>; .reg .b32 %r<3>; ld.param.u64 %d0, [p]; red.global.add.u32 [%d0], 1; mov.u32 %r1, %tid.x; red.global.max.u32 [%d0+4], %r1; ret; }}"
    );
    let module = Module::parse(&ptx).unwrap();
    let machine = Machine::with(options(Arch::Sm80, 2, None));
    let word = machine.alloc(8, "word").unwrap();
    machine.fill(word, 0, 8).unwrap();
    machine.launch(&module, "k", &LaunchConfig::linear(50, 96), &word.to_le_bytes()).unwrap();
    let mut out = [0; 8];
    machine.read(word, &mut out).unwrap();
    assert_eq!(out, [(50u32 * 96).to_le_bytes(), 95u32.to_le_bytes()].concat()[..]);
}

#[test]
fn module_variables_are_initialized_once_a_machine() {
    let ptx = format!(
        "{HEAD}.global .align 4 .u32 table[4] = {{10, 20, 30}};\n.const .align 4 .u32 bank[2] = {{7, 8}};\n.global .align 8 .u64 link = table+8;\n\
         .visible .entry k(.param .u64 p) {{ .reg .b64 %d<5>; .reg .b32 %r<6>; ld.param.u64 %d0, [p];\n\
         ld.global.u32 %r0, [table+4]; ld.const.u32 %r1, [bank+4]; ld.global.u64 %d1, [link]; ld.global.u32 %r2, [%d1];\n\
         mov.u64 %d2, bank; cvta.const.u64 %d3, %d2; ld.u32 %r4, [%d3];\n\
         st.global.v4.u32 [%d0], {{%r0, %r1, %r2, %r4}}; add.u32 %r0, %r0, 1; st.global.u32 [table+4], %r0; ret; }}"
    );
    let module = Module::parse(&ptx).unwrap();
    let run = |machine: &Machine| {
        let out = machine.alloc(16, "out").unwrap();
        machine.launch(&module, "k", &LaunchConfig::linear(1, 1), &out.to_le_bytes()).unwrap();
        let mut bytes = [0; 16];
        machine.read(out, &mut bytes).unwrap();
        bytes.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect::<Vec<_>>()
    };
    let machine = Machine::new(Arch::Sm80);
    assert_eq!(run(&machine), [20, 8, 30, 7]);
    assert_eq!(run(&machine), [21, 8, 30, 7]);
    assert_eq!(run(&Machine::new(Arch::Sm80)), [20, 8, 30, 7]);
}
