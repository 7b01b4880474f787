//! Calls: arguments and results of every kind, recursion, calls by address, lanes in different functions, and what the
//! emulator's own functions, `vprintf` and `__assertfail`, do.

use super::harness::{HEAD, LEVELS, options};
use halfbyte::emulator::{Arch, Fault, FaultKind, LaunchConfig, Machine, MachineOptions, Module};

/// Runs `k(out)` on so many threads and returns a word for each; `%t` is the thread, `%o` where its word goes.
fn run(functions: &str, body: &str, threads: u32) -> Result<(Vec<u32>, String), Fault> {
    let ptx = format!(
        "{HEAD}{functions}\n.visible .entry k(.param .u64 out) {{\n\
         .reg .b64 %o, %d<9>; .reg .b32 %t, %r<20>; .reg .b16 %h<5>; .reg .f32 %f<5>; .reg .pred %p<5>;\n\
         ld.param.u64 %o, [out]; mov.u32 %t, %tid.x; mul.wide.u32 %d0, %t, 4; add.u64 %o, %o, %d0;\n{body}\nret; }}"
    );
    let module = Module::parse(&ptx)?;
    let mut results = Vec::new();
    for level in LEVELS {
        let machine = Machine::with(options(Arch::Sm90a, 1, Some(level)));
        let out = machine.alloc(4 * threads as usize, "out")?;
        machine.launch(&module, "k", &LaunchConfig::linear(1, threads), &out.to_le_bytes())?;
        let mut bytes = vec![0; 4 * threads as usize];
        machine.read(out, &mut bytes)?;
        let words = bytes.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect::<Vec<u32>>();
        results.push((words, machine.take_output()));
    }
    assert!(results.iter().all(|result| *result == results[0]), "levels differ");
    Ok(results.swap_remove(0))
}

fn check(functions: &str, body: &str, want: impl Fn(u32) -> u32) {
    let (words, _) = run(functions, body, 64).unwrap_or_else(|fault| panic!("{fault}\n{body}"));
    for (t, got) in words.into_iter().enumerate() {
        assert_eq!(got, want(t as u32), "thread {t}: {functions}\n{body}");
    }
}

fn fault(functions: &str, body: &str) -> Fault {
    run(functions, body, 32).expect_err(body)
}

#[test]
fn arguments_and_results_of_every_width() {
    let of = |bytes: u32, ty: &str, reg: &str, op: &str| {
        let name = if ty == "f64" { "b64" } else { ty };
        format!(
            ".func (.param .b{n} r) f(.param .b{n} a) {{ .reg .{name} x; ld.param.{ty} x, [a]; {op} st.param.{ty} [r], x; ret; }}",
            n = 8 * bytes,
            name = if reg.is_empty() { name } else { reg }
        )
    };
    // A byte and a short come back with nothing of their neighbours.
    check(
        &of(1, "u8", "b16", "add.u16 x, x, 200;"),
        "{ .param .b8 a; .param .b8 r; cvt.u16.u32 %h0, %t; st.param.u8 [a], %h0; call.uni (r), f, (a); ld.param.u8 %h1, [r]; }\n\
         cvt.u32.u16 %r0, %h1; st.global.u32 [%o], %r0;",
        |t| (t + 200) & 0xFF,
    );
    check(
        &of(2, "u16", "b16", "add.u16 x, x, 65500;"),
        "{ .param .b16 a; .param .b16 r; cvt.u16.u32 %h0, %t; st.param.u16 [a], %h0; call (r), f, (a); ld.param.s16 %r0, [r]; }\n\
         st.global.u32 [%o], %r0;",
        |t| i32::from((t + 65500) as u16 as i16) as u32,
    );
    check(
        &of(4, "u32", "", "mul.lo.u32 x, x, x;"),
        "{ .param .b32 a, r; st.param.b32 [a+0], %t; call (r), f, (a); ld.param.b32 %r0, [r+0]; } st.global.u32 [%o], %r0;",
        |t| t * t,
    );
    check(
        &of(8, "u64", "b64", "shl.b64 x, x, 30;"),
        "{ .param .b64 a, r; cvt.u64.u32 %d1, %t; st.param.b64 [a], %d1; call (r), f, (a); ld.param.v2.u32 {%r0, %r1}, [r]; }\n\
         st.global.u32 [%o], %r1;",
        |t| (u64::from(t) << 30 >> 32) as u32,
    );
    check(
        &of(8, "f64", "f64", "add.f64 x, x, x;"),
        "{ .param .b64 a, r; .reg .f64 y; cvt.rn.f64.u32 y, %t; st.param.f64 [a], y; call (r), f, (a); ld.param.f64 y, [r]; cvt.rzi.u32.f64 %r0, y; }\n\
         st.global.u32 [%o], %r0;",
        |t| 2 * t,
    );
    // A structure of 20 bytes by value, in and out, and a second result; the argument is not changed for the caller.
    check(
        ".func (.param .align 8 .b8 r[24], .param .b32 s) f(.param .align 8 .b8 a[24], .param .b32 k) {\n\
         .reg .b32 x<4>; .reg .b64 y; ld.param.u32 x0, [a+16]; ld.param.u64 y, [a]; ld.param.u32 x1, [k];\n\
         add.u32 x0, x0, x1; st.param.u64 [a], 0; st.param.u64 [r+8], y; st.param.u32 [r+20], x0; st.param.u32 [s], 1000; ret; }",
        "{ .param .align 8 .b8 a[24], r[24]; .param .b32 k, s; cvt.u64.u32 %d1, %t; st.param.u64 [a], %d1; st.param.u32 [a+16], 7; st.param.u32 [k], 5;\n\
         call (r, s), f, (a, k); ld.param.u64 %d2, [r+8]; ld.param.u32 %r0, [r+20]; ld.param.u32 %r1, [s]; ld.param.u64 %d3, [a]; }\n\
         cvt.u32.u64 %r2, %d2; cvt.u32.u64 %r3, %d3; add.u32 %r0, %r0, %r1; add.u32 %r0, %r0, %r2; mad.lo.u32 %r0, %r3, 10000, %r0; st.global.u32 [%o], %r0;",
        |t| 12 + 1000 + t + 10000 * t,
    );
}

#[test]
fn parameters_in_registers_and_constants() {
    let f = ".func (.reg .u32 r) f(.reg .u32 a, .reg .u32 b, .reg .u64 c, .reg .f32 d) { .reg .b32 x; .reg .pred p;\n\
             cvt.u32.u64 x, c; add.u32 r, a, x; sub.u32 r, r, b; cvt.rzi.u32.f32 x, d; add.u32 r, r, x; setp.gt.u32 p, a, 40; @p ret; add.u32 r, r, 1; }";
    check(f, "call (%r0), f, (%t, 3, 4294967306, 0f40A00000); st.global.u32 [%o], %r0;", |t| {
        t + 10 - 3 + 5 + u32::from(t <= 40)
    });
    // A guard: the other lanes keep what they had.
    check(
        f,
        "mov.u32 %r0, 77; and.b32 %r1, %t, 1; setp.eq.u32 %p0, %r1, 1; @%p0 call (%r0), f, (%t, 0, 0, 0f00000000); st.global.u32 [%o], %r0;",
        |t| if t & 1 == 1 { t + u32::from(t <= 40) } else { 77 },
    );
    // Nothing in, nothing out; and a result that nobody wants.
    check(
        ".global .u32 seen; .func g() { red.global.add.u32 [seen], 1; } .func (.param .b32 r) h() { st.param.b32 [r], 3; }",
        "call g; call g, (); call (_), h; call h, (); bar.sync 0; ld.global.u32 %r0, [seen]; st.global.u32 [%o], %r0;",
        |_| 128,
    );
}

#[test]
fn the_address_of_a_parameter_is_local() {
    let f = ".func (.param .b32 r) f(.param .align 4 .b8 a[12]) { .reg .b64 p, q; .reg .b32 x, y; .local .align 4 .b8 own[8];\n\
             mov.b64 p, a; ld.local.u32 x, [p+8]; cvta.local.u64 q, p; st.u32 [q+4], 9; ld.param.u32 y, [a+4]; add.u32 x, x, y;\n\
             mov.u64 q, own; st.local.u32 [own+4], x; ld.local.u32 y, [q+4]; st.param.b32 [r], y; ret; }";
    check(
        f,
        "{ .param .align 4 .b8 a[12]; .param .b32 r; st.param.u32 [a+8], %t; call (r), f, (a); ld.param.b32 %r0, [r]; } st.global.u32 [%o], %r0;",
        |t| t + 9,
    );
}

/// Ackermann's function: recursion within the argument of a recursion, with a local variable whose address is passed
/// on.
const ACKERMANN: &str = ".func (.param .b32 r) a(.param .b32 m, .param .b32 n, .param .b64 count) {\n\
    .reg .b32 %r<9>; .reg .b64 %d<5>; .reg .pred %p<3>; .local .align 8 .b8 own[16];\n\
    ld.param.u32 %r1, [m]; ld.param.u32 %r2, [n]; ld.param.u64 %d1, [count];\n\
    ld.u32 %r3, [%d1]; add.u32 %r3, %r3, 1; st.u32 [%d1], %r3;\n\
    st.local.u32 [own+8], %r1;\n\
    setp.eq.u32 %p1, %r1, 0; @%p1 bra ZERO; setp.eq.u32 %p2, %r2, 0; @%p2 bra ONE;\n\
    { .param .b32 pm, pn, pr; .param .b64 pc; sub.u32 %r4, %r2, 1; st.param.b32 [pm], %r1; st.param.b32 [pn], %r4; st.param.b64 [pc], %d1;\n\
      call.uni (pr), a, (pm, pn, pc); ld.param.b32 %r5, [pr]; }\n\
    bra LAST;\n\
    ONE: mov.u32 %r5, 1;\n\
    LAST: { .param .b32 pm, pn, pr; .param .b64 pc; mov.u64 %d2, own; add.u64 %d2, %d2, 8; ld.local.u32 %r6, [%d2]; sub.u32 %r6, %r6, 1;\n\
      st.param.b32 [pm], %r6; st.param.b32 [pn], %r5; st.param.b64 [pc], %d1; call.uni (pr), a, (pm, pn, pc); ld.param.b32 %r7, [pr]; }\n\
    bra END;\n\
    ZERO: add.u32 %r7, %r2, 1;\n\
    END: st.param.b32 [r], %r7; ret; }";

fn ackermann(m: u32, n: u32, calls: &mut u32) -> u32 {
    *calls += 1;
    match (m, n) {
        (0, n) => n + 1,
        (m, 0) => ackermann(m - 1, 1, calls),
        (m, n) => {
            let inner = ackermann(m, n - 1, calls);
            ackermann(m - 1, inner, calls)
        }
    }
}

#[test]
fn lanes_recurse_each_to_its_own_depth() {
    // Result and number of calls, which every lane counts through a pointer into its caller's stack.
    let body = ".local .align 4 .b8 n[4]; st.local.u32 [n], 0; mov.u64 %d1, n; cvta.local.u64 %d1, %d1;\n\
                { .param .b32 pm, pn, pr; .param .b64 pc; and.b32 %r1, %t, 1; add.u32 %r1, %r1, 1; and.b32 %r2, %t, 7; st.param.b32 [pm], %r1; st.param.b32 [pn], %r2; st.param.b64 [pc], %d1;\n\
                call (pr), a, (pm, pn, pc); ld.param.b32 %r3, [pr]; } ld.local.u32 %r4, [n]; mad.lo.u32 %r3, %r3, 10000, %r4; st.global.u32 [%o], %r3;";
    check(ACKERMANN, body, |t| {
        let mut calls = 0;
        10000 * ackermann(1 + (t & 1), t & 7, &mut calls) + calls
    });
    // Two functions that call each other: is the number even?
    let pair = ".func (.param .b32 r) odd(.param .b32 n);\n\
        .func (.param .b32 r) even(.param .b32 n) { .reg .b32 x; .reg .pred p; .param .b32 q, s; ld.param.u32 x, [n]; setp.eq.u32 p, x, 0; @p st.param.b32 [r], 1; @p ret; sub.u32 x, x, 1; st.param.b32 [q], x; call (s), odd, (q); ld.param.b32 x, [s]; st.param.b32 [r], x; ret; }\n\
        .func (.param .b32 r) odd(.param .b32 n) { .reg .b32 x; .reg .pred p; .param .b32 q, s; ld.param.u32 x, [n]; setp.eq.u32 p, x, 0; @p st.param.b32 [r], 0; @p ret; sub.u32 x, x, 1; st.param.b32 [q], x; call (s), even, (q); ld.param.b32 x, [s]; st.param.b32 [r], x; ret; }";
    check(pair, "call (%r0), even, (%t); st.global.u32 [%o], %r0;", |t| 1 - t % 2);
}

#[test]
fn lanes_in_different_functions_meet_again() {
    let three = ".func (.param .b32 r) f(.param .b32 a) { .reg .b32 x; ld.param.u32 x, [a]; add.u32 x, x, 100; st.param.b32 [r], x; ret; }\n\
        .func (.param .b32 r) g(.param .b32 a) { .reg .b32 x; ld.param.u32 x, [a]; mul.lo.u32 x, x, 3; call (x), f, (x); st.param.b32 [r], x; ret; }\n\
        .func (.param .b32 r) h(.param .b32 a) { .reg .b32 x, m; ld.param.u32 x, [a]; activemask.b32 m; popc.b32 m, m; mad.lo.u32 x, m, 1000, x; st.param.b32 [r], x; ret; }\n\
        .global .u64 table[3] = { f, g, h };\n";
    let each = |t: u32, lanes: u32| match t % 3 {
        0 => t + 100,
        1 => 3 * t + 100,
        _ => t + 1000 * lanes,
    };
    // By address, from a table; all lanes are there again behind the call.
    let body = "rem.u32 %r1, %t, 3; mul.wide.u32 %d1, %r1, 8; mov.u64 %d2, table; add.u64 %d1, %d1, %d2; ld.global.u64 %d3, [%d1];\n\
        { .param .b32 a, r; st.param.b32 [a], %t; P: .callprototype (.param .b32 _) _ (.param .b32 _); call (r), %d3, (a), P; ld.param.b32 %r2, [r]; }\n\
        activemask.b32 %r3; setp.ne.u32 %p0, %r3, -1; @%p0 mov.u32 %r2, 0; st.global.u32 [%o], %r2;";
    check(three, body, |t| each(t, if t < 32 { 10 } else { 11 }));
    // By name in branches; 21 lanes of a warp do not call f themselves, one third of them does so through g.
    let body = "rem.u32 %r1, %t, 3; setp.eq.u32 %p0, %r1, 0; setp.eq.u32 %p1, %r1, 1; mov.u64 %d1, h;\n\
        @%p0 bra F; @%p1 bra G; call (%r2), %d1, (%t); bra E;\nF: call (%r2), f, (%t); bra E;\nG: call (%r2), g, (%t);\n\
        E: redux.sync.or.b32 %r3, 1, -1; mul.lo.u32 %r2, %r2, %r3; st.global.u32 [%o], %r2;";
    check(three, body, |t| each(t, if t < 32 { 10 } else { 11 }));
    // A barrier inside a function that both sides of a branch call.
    let f = ".shared .u32 sum; .func f() { bar.sync 0; red.shared.add.u32 [sum], 1; bar.sync 0; ret; }";
    let body = "st.shared.u32 [sum], 0; setp.lt.u32 %p0, %t, 40; @%p0 bra A; call f; bra E;\nA: call f;\nE: ld.shared.u32 %r0, [sum]; st.global.u32 [%o], %r0;";
    check(f, body, |_| 64);
}

#[test]
fn wrong_calls_are_faults() {
    let f = ".func (.param .b32 r) f(.param .b32 a) { st.param.b32 [r], 1; ret; }\n";
    let bad = fault(f, "mov.u64 %d1, 4096; call (%r0), %d1, (%t);");
    assert_eq!((bad.kind, bad.address), (FaultKind::Call, Some(4096)));
    assert!(bad.to_string().contains("no function of the module"), "{bad}");
    let bad = fault(f, "mov.u64 %d1, f; call (%r0), %d1, (%t, %t);");
    assert_eq!(bad.kind, FaultKind::Call);
    assert!(bad.to_string().contains("`f`") && bad.to_string().contains("[4, 4]"), "{bad}");
    // Recursion without an end, and with more depth than the options give.
    let down = ".func d(.param .b32 n) { .reg .b32 x; .reg .pred p; .param .b32 q; ld.param.u32 x, [n]; setp.eq.u32 p, x, 0; @p ret; sub.u32 x, x, 1; st.param.b32 [q], x; call d, (q); ret; }";
    let bad = fault(down, "call d, (-1);");
    assert_eq!(bad.kind, FaultKind::StackOverflow);
    assert!(bad.to_string().contains("`d`") && bad.to_string().contains("of 16384 are taken"), "{bad}");
    let ptx = format!("{HEAD}{down}.visible .entry k() {{ call d, (500); }}");
    let module = Module::parse(&ptx).unwrap();
    let launch = |stack_bytes: u32| {
        let machine = Machine::with(MachineOptions { stack_bytes, ..MachineOptions::new(Arch::Sm80) });
        machine.launch(&module, "k", &LaunchConfig::linear(1, 1), &[]).map(|_| ())
    };
    assert_eq!(launch(4096).unwrap_err().kind, FaultKind::StackOverflow);
    launch(64 << 10).unwrap();
    launch(u32::MAX).unwrap();
}

const PRINT: &str = ".extern .func (.param .b32 r) vprintf (.param .b64 f, .param .b64 a);\n\
    .global .align 1 .b8 text[30] = {116, 61, 37, 100, 32, 37, 115, 32, 37, 46, 50, 102, 32, 37, 53, 108, 108, 120, 37, 37, 32, 37, 42, 100, 10, 0};\n\
    .global .align 1 .b8 word[4] = {97, 98, 99, 0};\n";

#[test]
fn threads_print_in_their_order() {
    // "t=%d %s %.2f %5llx%% %*d\n" with t, "abc", t / 4, t + 4096, 3, t.
    let body = ".local .align 8 .b8 b[48]; mov.u64 %d1, b; cvta.local.u64 %d2, %d1; st.local.u32 [b], %t; mov.u64 %d3, word; cvta.global.u64 %d3, %d3; st.local.u64 [b+8], %d3;\n\
        .reg .f64 %g; cvt.rn.f64.u32 %g, %t; mul.f64 %g, %g, 0.25; st.local.f64 [b+16], %g; cvt.u64.u32 %d4, %t; add.u64 %d4, %d4, 4096; st.local.u64 [b+24], %d4; st.local.u32 [b+32], 3; st.local.u32 [b+36], %t;\n\
        mov.u64 %d5, text; cvta.global.u64 %d5, %d5; setp.lt.u32 %p0, %t, 3; @%p0 bra P; bra E;\nP: { .param .b64 f, a; .param .b32 r; st.param.b64 [f], %d5; st.param.b64 [a], %d2; call.uni (r), vprintf, (f, a); ld.param.b32 %r1, [r]; }\nE: st.global.u32 [%o], %r1;";
    let (words, output) = run(PRINT, body, 32).unwrap();
    assert_eq!(words[..3], [6, 6, 6]);
    let want: String =
        (0..3).map(|t| format!("t={t} abc {:.2} {:5x}% {t:3}\n", f64::from(t) * 0.25, t + 4096)).collect();
    assert_eq!(output, want);

    // Blocks run at once and print in the order of the grid; a fault keeps what was printed before it.
    let ptx = format!(
        "{HEAD}{PRINT}.visible .entry k() {{ .reg .b32 r; .reg .b64 d, e; .reg .pred p; .local .align 8 .b8 b[48];\n\
         mov.u32 r, %ctaid.x; st.local.u32 [b], r; mov.u64 d, word; st.local.u64 [b+8], d; st.local.u64 [b+16], 0; st.local.u64 [b+24], 0; st.local.u64 [b+32], 0; mov.u64 d, text; mov.u64 e, b; cvta.local.u64 e, e; call (_), vprintf, (d, e);\n\
         setp.eq.u32 p, r, 99; @p trap; ret; }}"
    );
    let module = Module::parse(&ptx).unwrap();
    let machine = Machine::with(options(Arch::Sm80, 4, None));
    machine.launch(&module, "k", &LaunchConfig::linear(50, 1), &[]).unwrap();
    let want: String = (0..50).map(|t| format!("t={t} abc 0.00     0% 0\n")).collect();
    assert_eq!(machine.take_output(), want);
    assert_eq!(machine.take_output(), "");
    assert_eq!(machine.launch(&module, "k", &LaunchConfig::linear(100, 1), &[]).unwrap_err().kind, FaultKind::Trap);
    assert!(machine.take_output().contains("t=99 abc"));
    // A format that is nowhere.
    let bad = fault(PRINT, "mov.u64 %d1, 8; call (%r0), vprintf, (%d1, %d1);");
    assert_eq!((bad.kind, bad.address), (FaultKind::OutOfBounds, Some(8)));
}

#[test]
fn assertions_tell_their_place() {
    let assert = ".extern .func __assertfail (.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, .param .b64 c);\n\
        .global .align 1 .b8 message[6] = {120, 32, 60, 32, 53, 0}; .global .align 1 .b8 file[5] = {97, 46, 99, 117, 0}; .global .align 1 .b8 name[2] = {102, 0};\n";
    let body = "setp.lt.u32 %p0, %t, 5; @%p0 bra E; mov.u64 %d1, message; mov.u64 %d2, file; mov.u64 %d3, name; call.uni __assertfail, (%d1, %d2, 42, %d3, 1);\nE: st.global.u32 [%o], %t;";
    let fault = fault(assert, body);
    assert_eq!(fault.kind, FaultKind::Assert);
    let text = fault.to_string();
    assert!(text.contains("a.cu:42: f: block: [0,0,0], thread: [5,0,0]: assertion `x < 5` failed"), "{text}");
    assert!(text.contains("lanes 5-31"), "{text}");
    assert_eq!(fault.site.unwrap().kernel, "k");
}
