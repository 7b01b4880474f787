//! Spaces and their windows, variables of every scope with their initial values, special registers, large parameters.

use super::harness::{HEAD, LEVELS, check, form, options};
use halfbyte::emulator::{Arch, LaunchConfig, Machine, Module};

/// Runs `k(out)` on one block and returns the words that it wrote.
fn words(module_scope: &str, body: &str, threads: u32, count: usize) -> Vec<u32> {
    let ptx = format!(
        "{HEAD}{module_scope}\n.visible .entry k(.param .u64 out) {{\n\
         .reg .b64 %o, %d<9>; .reg .b32 %t, %r<20>; .reg .pred %p<9>; .reg .f32 %f<5>;\n\
         ld.param.u64 %o, [out]; mov.u32 %t, %tid.x; mul.wide.u32 %d0, %t, 4; add.u64 %o, %o, %d0;\n{body}\nret; }}"
    );
    let module = Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
    let run = |level| {
        let machine = Machine::with(options(Arch::Sm90a, 1, Some(level)));
        let out = machine.alloc(4 * count, "out").unwrap();
        let launched = machine.launch(&module, "k", &LaunchConfig::linear(1, threads), &out.to_le_bytes());
        launched.unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
        let mut bytes = vec![0; 4 * count];
        machine.read(out, &mut bytes).unwrap();
        bytes.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect::<Vec<u32>>()
    };
    let all = LEVELS.map(run);
    assert!(all[0] == all[1] && all[1] == all[2], "levels differ: {body}");
    all[0].clone()
}

#[test]
fn addresses_know_their_space() {
    // Bits: global, shared, local, const, param.
    let spaces = ["global", "shared", "local", "const", "param"];
    for (i, (space, name)) in
        [("global", "g"), ("shared", "s"), ("local", "l"), ("const", "c"), ("param", "out")].iter().enumerate()
    {
        let mut body = String::from(".shared .align 8 .b32 s[4]; .local .align 8 .b32 l[4];\n");
        body += &format!("mov.u64 %d1, {name}; cvta.{space}.u64 %d2, %d1; mov.u32 %r0, 0;\n");
        for (bit, space) in spaces.iter().enumerate() {
            body += &format!("isspacep.{space} %p1, %d2; selp.u32 %r1, {}, 0, %p1; or.b32 %r0, %r0, %r1;\n", 1 << bit);
        }
        // There and back, and a generic read of what the space's own write left (or of what it holds).
        body += &format!(
            "cvta.to.{space}.u64 %d3, %d2; setp.eq.u64 %p2, %d3, %d1; selp.u32 %r1, 100, 0, %p2; add.u32 %r0, %r0, %r1;\n"
        );
        if !matches!(*space, "const" | "param") {
            body += &format!("st.{space}.u32 [%d1+4], 1000;\n");
        }
        body += &format!(
            "ld.{space}.u32 %r2, [%d1+4]; ld.u32 %r3, [%d2+4]; setp.eq.u32 %p3, %r2, %r3; selp.u32 %r1, 1000, 0, %p3; add.u32 %r0, %r0, %r1; st.global.u32 [%o], %r0;"
        );
        let got = words(".global .align 8 .b32 g[4] = {1, 2}; .const .align 8 .b32 c[4] = {3, 4};", &body, 32, 32);
        assert!(got.iter().all(|word| *word == 1100 + (1 << i)), "{space}: {got:?}");
    }
    let cluster = "mov.u64 %z0, in; cvta.param.u64 %z0, %z0; isspacep.shared::cluster %q0, %z0; isspacep.shared::cta %q1, %z0; or.pred %q0, %q0, %q1; selp.b32 {d}, 1, 0, %q0;";
    assert_eq!(check(&[form(cluster, "rr", &[[0, 0]])]), 1);
}

#[test]
fn variables_of_every_scope_and_type() {
    let module_scope = ".visible .global .align 2 .u16 h[3] = {65535, -2};\n\
        .global .f32 f = 1.5; .global .f64 d[2] = {0d4008000000000000, -0.25};\n\
        .weak .global .s8 b[4] = {-1, 2}; .common .global .align 16 .b8 zeros[64];\n\
        .global .align 4 .s32 table[3][2] = {{1, 2}, {3}, {5, 6}}; .global .v4 .f32 v[2] = {{1.0, 2.0, 3.0, 4.0}, {5.0}};\n\
        .const .u64 to = generic(table)+12; .global .u64 both[2] = {to, table+4}; .const .b32 open[] = {7, 8, 9};\n\
        .extern .global .u32 later; .global .u32 later = 77;\n\
        .shared .align 4 .b32 kept[32]; .local .align 4 .b32 mine[2];\n\
        .func (.reg .b32 r) next() { .global .u32 calls = 40; .const .u32 step[2] = {1, 2}; .reg .b32 s; ld.const.u32 s, [step+4]; atom.global.add.u32 r, [calls], s; }\n";
    let mut want: Vec<u32> = Vec::new();
    let mut body = String::new();
    let mut put = |load: &str, value: u32| {
        body += &format!("{load} st.global.u32 [%o+{}], %r0;\n", 4 * want.len());
        want.push(value);
    };
    put("ld.global.u16 %r0, [h+2];", 0xFFFE);
    put("ld.global.s16 %r0, [h];", u32::MAX);
    put("ld.global.u16 %r0, [h+4];", 0);
    put("ld.global.b32 %r0, [f];", 1.5f32.to_bits());
    put("ld.global.b32 %r0, [d+4];", 0x4008_0000);
    put("ld.global.b32 %r0, [d+12];", 0xBFD0_0000);
    put("ld.global.s8 %r0, [b];", u32::MAX);
    put("ld.global.b32 %r0, [b];", 0x0000_02FF);
    put("ld.global.b32 %r0, [zeros+60];", 0);
    for (i, value) in [1, 2, 3, 0, 5, 6].into_iter().enumerate() {
        put(&format!("ld.global.b32 %r0, [table+{}];", 4 * i), value);
    }
    for (i, value) in [1.0f32, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0, 0.0].into_iter().enumerate() {
        put(&format!("ld.global.b32 %r0, [v+{}];", 4 * i), value.to_bits());
    }
    put("ld.const.u64 %d1, [to]; ld.u32 %r0, [%d1+4];", 5);
    put("ld.global.u64 %d1, [both]; ld.const.u64 %d1, [%d1]; ld.u32 %r0, [%d1+-12];", 1);
    put("ld.global.u64 %d1, [both+8]; ld.global.u32 %r0, [%d1];", 2);
    put("ld.const.u32 %r0, [open+8];", 9);
    put("ld.global.u32 %r0, [later];", 77);
    put("call (%r0), next;", 40);
    put("call (%r0), next, ();", 42);
    put("st.shared.u32 [kept+8], 5; ld.shared.u32 %r0, [kept+8];", 5);
    put("st.local.u32 [mine+4], 6; ld.local.u32 %r0, [mine+4];", 6);
    put("{ .shared .b32 kept; st.shared.u32 [kept], 9; ld.shared.u32 %r0, [kept]; }", 9);
    put("ld.shared.u32 %r0, [kept+8];", 5);
    assert_eq!(words(module_scope, &body, 1, want.len()), want);
}

#[test]
fn special_registers_of_a_launch() {
    let mut want: Vec<u32> = Vec::new();
    let mut body = String::from(".shared .align 16 .b8 s[100];\nmov.u32 %r1, s;\n");
    let mut put = |text: &str, value: u32| {
        body += &format!("{text} st.global.u32 [%o+{}], %r0;\n", 4 * want.len());
        want.push(value);
    };
    for (name, value) in [
        ("ntid.x", 1),
        ("ntid.y", 1),
        ("ctaid.z", 0),
        ("nctaid.x", 1),
        ("laneid", 0),
        ("warpid", 0),
        ("nwarpid", 1),
        ("smid", 0),
        ("lanemask_eq", 1),
        ("lanemask_lt", 0),
        ("lanemask_le", 1),
        ("lanemask_gt", 0xFFFF_FFFE),
        ("lanemask_ge", u32::MAX),
        ("clock_hi", 0),
        ("globaltimer_hi", 0),
        ("envreg0", 0),
        ("envreg31", 0),
        ("pm7", 0),
        ("total_smem_size", 100),
        ("aggr_smem_size", 100),
        ("dynamic_smem_size", 0),
        ("clusterid.x", 0),
        ("nclusterid.x", 1),
        ("cluster_ctaid.y", 0),
        ("cluster_nctaid.z", 1),
        ("cluster_ctarank", 0),
        ("cluster_nctarank", 1),
    ] {
        put(&format!("mov.u32 %r0, %{name};"), value);
    }
    put("mov.u32 %r0, WARP_SZ;", 32);
    put("mov.u64 %d1, %pm3_64; cvt.u32.u64 %r0, %d1;", 0);
    put("mov.u64 %d1, %clock64; mov.u64 %d2, %clock64; setp.lt.u64 %p0, %d1, %d2; selp.u32 %r0, 1, 0, %p0;", 1);
    put(
        "mov.u64 %d1, %globaltimer; nanosleep.u32 20; mov.u64 %d2, %globaltimer; setp.lt.u64 %p0, %d1, %d2; selp.u32 %r0, 1, 0, %p0;",
        1,
    );
    put(
        "mov.u32 %r2, %clock; mov.u32 %r3, %clock; sub.u32 %r2, %r3, %r2; setp.lt.u32 %p0, %r2, 1000; selp.u32 %r0, 1, 0, %p0;",
        1,
    );
    put("mapa.shared::cluster.u32 %r0, %r1, 0; sub.u32 %r0, %r0, %r1;", 0);
    put("getctarank.shared::cluster.u32 %r0, %r1;", 0);
    put("griddepcontrol.wait; griddepcontrol.launch_dependents; pmevent 1; mov.u32 %r0, 3;", 3);
    assert_eq!(words("", &body, 1, want.len()), want);
}

#[test]
fn parameters_of_many_kilobytes() {
    // 4 KB was the limit before PTX 8.1.
    let ptx = format!(
        "{HEAD}.visible .entry k(.param .u64 out, .param .align 4 .b8 big[30000], .param .u8 last) {{ .reg .b64 %d<3>; .reg .b32 %r<3>; .reg .b64 %p;\n\
         ld.param.u64 %d0, [out]; ld.param.u32 %r0, [big+29996]; ld.param.u8 %r1, [last]; mov.b64 %p, big; add.u64 %p, %p, 20000; ld.param.u32 %r2, [%p];\n\
         st.global.v2.u32 [%d0], {{%r0, %r1}}; st.global.u32 [%d0+8], %r2; ret; }}\n.visible .entry other() {{ ret; }}"
    );
    let module = Module::parse(&ptx).unwrap();
    assert_eq!(module.entries().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["k", "other"]);
    let machine = Machine::new(Arch::Sm90a);
    let out = machine.alloc(12, "out").unwrap();
    let mut params = out.to_le_bytes().to_vec();
    params.resize(8 + 30000, 0);
    params[8 + 29996..].copy_from_slice(&7u32.to_le_bytes());
    params[8 + 20000..][..4].copy_from_slice(&8u32.to_le_bytes());
    params.push(9);
    machine.launch(&module, "k", &LaunchConfig::linear(1, 1), &params).unwrap();
    machine.launch(&module, "other", &LaunchConfig::linear(1, 1), &[]).unwrap();
    let mut bytes = [0; 12];
    machine.read(out, &mut bytes).unwrap();
    assert_eq!(bytes, [7, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0]);
}

#[test]
fn many_functions_and_entries_are_read_in_time() {
    // A chain of calls as long as a text can be, and entries that share it.
    let links = 3000;
    let mut ptx = HEAD.to_string();
    for i in 0..links {
        ptx +=
            &format!(".func f{i}() {{ {} ret; }}\n", if i == 0 { String::new() } else { format!("call f{};", i - 1) });
    }
    let one = format!("{ptx}.visible .entry k() {{ call f{}; ret; }}", links - 1);
    let module = Module::parse(&one).unwrap();
    let machine = Machine::with(options(Arch::Sm80, 1, None));
    machine.launch(&module, "k", &LaunchConfig::linear(1, 32), &[]).unwrap();
    // What entries copy is bounded: labels are statements that cost little.
    let labels: String = (0..40_000).map(|i| format!("L{i}:")).collect();
    let mut ptx = format!("{HEAD}.func f() {{ {labels} ret; }}\n");
    for i in 0..60 {
        ptx += &format!(".visible .entry k{i}() {{ call f; ret; }}\n");
    }
    let fault = Module::parse(&ptx).unwrap_err();
    assert!(fault.to_string().contains("more than 2097152 statements together"), "{fault}");
}
