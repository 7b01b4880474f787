//! Checked mode on shared memory: each way of ordering two accesses, with it (no report) and without it (a report that
//! names both sides). Each kernel runs with asynchronous work landing late, early and at random: reports must not
//! depend on what happened to come first.

use halfbyte::emulator::{Arch, AsyncOrder, LaunchConfig, Machine, MachineOptions, Module, Report, ReportKind};

/// A kernel's blocks and threads, and its body: as for `words::Block`, with `%b` the block's index, `%out` and `%in`
/// the buffers' first bytes.
pub fn checked(blocks: u32, threads: u32, body: &str) -> Vec<Report> {
    let ptx = format!(
        "{}.visible .entry k(.param .u64 out, .param .u64 in)\n{{\n\
         .reg .b16 %h<8>; .reg .b32 %r<200>, %t, %s, %b, %lane, %w; .reg .b64 %rd<32>, %in, %out; .reg .pred %p<8>;\n\
         .shared .align 1024 .b8 shared[32768];\n\
         mov.u32 %t, %tid.x; mov.u32 %b, %ctaid.x; mov.u32 %s, shared; mov.u32 %lane, %laneid; shr.u32 %w, %t, 5;\n\
         ld.param.u64 %out, [out]; ld.param.u64 %in, [in];\n{body}\ncp.async.wait_all;\nret;\n}}\n",
        super::harness::HEAD,
    );
    let module = Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
    let run = |async_order, threads_of_host| {
        let options = MachineOptions::new(Arch::Sm90a);
        let machine =
            Machine::with(MachineOptions { threads: Some(threads_of_host), async_order, checked: true, ..options });
        let from = machine.alloc(65536, "in").unwrap();
        let to = machine.alloc(65536, "out").unwrap();
        machine.fill(from, 1, 65536).unwrap();
        machine.fill(to, 0, 65536).unwrap();
        let params = [to.to_le_bytes(), from.to_le_bytes()].concat();
        let counters = machine
            .launch(&module, "k", &LaunchConfig::linear(blocks, threads), &params)
            .unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
        assert_eq!(counters.reports_dropped, 0, "{body}");
        counters.reports
    };
    let late = run(AsyncOrder::Late, 1);
    let places = |reports: &[Report]| {
        // Which side comes second depends on the order.
        let place = |r: &Report| {
            let (this, that) = (r.site.ptx_line, r.other.as_ref().map_or(0, |other| other.ptx_line));
            (r.kind, this.min(that), this.max(that))
        };
        let mut places: Vec<_> = reports.iter().map(place).collect();
        places.sort();
        places.dedup();
        places
    };
    for (order, threads) in [(AsyncOrder::Early, 1), (AsyncOrder::Random(1), 1), (AsyncOrder::Random(77), 1)] {
        let others = run(order, threads);
        assert_eq!(places(&others), places(&late), "{order:?}\n{late:?}\n{others:?}\n{body}");
    }
    late
}

/// There is one report of this kind, whose sides are instructions that begin so.
pub fn expect(reports: &[Report], kind: ReportKind, here: &str, other: &str, body: &str) {
    let [report] = reports else { panic!("one report expected, there are {reports:#?}\n{body}") };
    assert_eq!(report.kind, kind, "{report}");
    assert!(report.site.instruction.contains(here), "{report}\nexpected {here}");
    match &report.other {
        Some(side) => assert!(side.instruction.contains(other), "{report}\nexpected the other side {other}"),
        None => assert_eq!(other, "", "{report}"),
    }
}

/// `{}` in the body is `order`: with it the kernel is right, without it there is a race between the two instructions.
fn needs(order: &str, threads: u32, body: &str, here: &str, other: &str) {
    needs_in(1, order, threads, body, here, other);
}

/// The same of several blocks.
pub fn needs_in(blocks: u32, order: &str, threads: u32, body: &str, here: &str, other: &str) {
    let body = &format!("{ZEROS}{body}");
    let with = body.replace("{}", order);
    let reports = checked(blocks, threads, &with);
    assert!(reports.is_empty(), "{with}\n{}", reports[0]);
    races(&checked(blocks, threads, &body.replace("{}", "")), here, other, body);
}

/// There are races, all of them between these two instructions. Which one comes second is how the warps happen to run.
/// What is amiss at the end of a kernel that was cut short is not asked.
pub fn races(reports: &[Report], here: &str, other: &str, body: &str) {
    let ends = |r: &&Report| !matches!(r.kind, ReportKind::Barrier | ReportKind::AsyncGroup);
    assert!(reports.iter().any(|r| ends(&r)), "no report of {here} and {other}\n{body}");
    for report in reports.iter().filter(ends) {
        assert_eq!(report.kind, ReportKind::Race, "{report}\n{body}");
        let [first, second] = [&report.site, report.other.as_ref().unwrap()].map(|site| site.instruction.as_str());
        let sides =
            (first.contains(here) && second.contains(other)) || (first.contains(other) && second.contains(here));
        assert!(sides, "{report}\nexpected {here} and {other}\n{body}");
    }
}

/// Zeros for every thread's 16 bytes, and a barrier.
pub const ZEROS: &str = "shl.b32 %r0, %t, 4; add.u32 %r0, %r0, %s; mov.b32 %r199, 0;\n\
                         st.shared.v4.u32 [%r0], {%r199, %r199, %r199, %r199};\n\
                         st.shared.v4.u32 [%r0+1024], {%r199, %r199, %r199, %r199};\nbar.sync 0;\n";

/// Every thread stores its word; `%r1` is its address, `%r2` that of its neighbour `by` threads away.
fn store(by: u32) -> String {
    format!(
        "shl.b32 %r1, %t, 2; add.u32 %r1, %r1, %s; xor.b32 %r2, %t, {by}; shl.b32 %r2, %r2, 2; add.u32 %r2, %r2, %s;\n\
         st.shared.b32 [%r1], %t;\n"
    )
}

#[test]
fn a_block_barrier_orders_its_threads() {
    let read = format!("{}{{}}\nld.shared.b32 %r3, [%r2];", store(32));
    for barrier in ["bar.sync 0;", "barrier.sync.aligned 3;", "bar.sync 1, 64;", "bar.red.popc.u32 %r9, 0, %p1;"] {
        needs(barrier, 64, &read, "ld.shared.b32", "st.shared.b32");
    }
    // A read, and a write that must come after it.
    let write = format!("{}bar.sync 0;\nld.shared.b32 %r3, [%r2];\n{{}}\nst.shared.u32 [%r1], %r3;", store(32));
    needs("bar.sync 0;", 64, &write, "st.shared.u32", "ld.shared.b32");
    // Two writes, of values that differ.
    let writes = format!("{}{{}}\nst.shared.u32 [%r2], %t;", store(32));
    needs("bar.sync 0;", 64, &writes, "st.shared.u32", "st.shared.b32");
}

#[test]
fn lanes_of_a_warp_are_ordered_by_its_barrier_alone() {
    let read = format!("{}{{}}\nld.shared.b32 %r3, [%r2];", store(1));
    for barrier in ["bar.warp.sync 0xffffffff;", "bar.sync 0;"] {
        needs(barrier, 32, &read, "ld.shared.b32", "st.shared.b32");
    }
    // Collectives make lanes meet, and order nothing.
    for collective in [
        "shfl.sync.bfly.b32 %r9, %t, 1, 31, 0xffffffff;",
        "vote.sync.ballot.b32 %r9, %p1, 0xffffffff;",
        "redux.sync.add.u32 %r9, %t, 0xffffffff;",
    ] {
        let text = read.replace("{}", collective);
        races(&checked(1, 32, &text), "ld.shared.b32", "st.shared.b32", &text);
    }
    // Its own word needs nothing.
    let own = format!("{}ld.shared.b32 %r3, [%r1];\nst.shared.b32 [%r1], %r3;", store(1));
    assert_eq!(checked(1, 32, &own), []);
    // A barrier of half the warp, which the other half needs too.
    let halves = format!(
        "{}setp.lt.u32 %p1, %lane, 16;\n@%p1 bra A;\n{{}}\nbra B;\nA: bar.warp.sync 0xffff;\nB:\nld.shared.b32 %r3, [%r2];",
        store(1)
    );
    needs("bar.warp.sync 0xffff0000;", 32, &halves, "ld.shared.b32", "st.shared.b32");
}

#[test]
fn writes_by_lanes_that_part_count_too() {
    // One side of a branch writes what the other reads.
    let body = format!(
        "{}bar.warp.sync -1;\nsetp.lt.u32 %p1, %lane, 16;\n@%p1 st.shared.u32 [%s], %t;\n{{}}\n@!%p1 ld.shared.u32 %r3, [%s];",
        store(1)
    );
    let text = body.replace("%s], %t", "%r1], 7").replace("ld.shared.u32 %r3, [%s]", "ld.shared.u32 %r3, [%r5]");
    let text = format!("sub.u32 %r5, %t, 16; shl.b32 %r5, %r5, 2; add.u32 %r5, %r5, %s;\n{text}");
    needs("bar.warp.sync 0xffffffff;", 32, &text, "ld.shared.u32", "st.shared.u32");
}

#[test]
fn named_barriers_pass_on_what_arrivals_knew() {
    // Warp 0 writes and arrives; warp 1 waits and reads; warp 2 takes no part.
    let body = "shl.b32 %r1, %lane, 2; add.u32 %r1, %r1, %s;\n\
                setp.eq.u32 %p0, %w, 0; setp.eq.u32 %p1, %w, 1;\n@%p0 st.shared.b32 [%r1], %t;\n\
                @%p0 bar.arrive 5, 64;\n@%p1 bar.sync 5, 64;\n@%p1 ld.shared.b32 %r3, [%r1+4];\n";
    assert_eq!(checked(1, 96, &body.replace("%r1+4", "%s")), []);
    let third = format!("setp.eq.u32 %p2, %w, 2;\n{body}@%p2 ld.shared.u32 %r4, [%s];").replace("%r1+4", "%s");
    expect(&checked(1, 96, &third), ReportKind::Race, "@%p2 ld.shared.u32", "@%p0 st.shared.b32", &third);
    // An arrival does not wait: the first warp may not read what the second wrote before its barrier.
    let back = body.replace("@%p1 bar.sync", "@%p1 st.shared.u32 [%r1+128], %t;\n@%p1 bar.sync").replace("%r1+4", "%s");
    let back = format!("{ZEROS}{back}@%p0 ld.shared.u32 %r4, [%r1+128];");
    races(&checked(1, 96, &back), "@%p0 ld.shared.u32", "@%p1 st.shared.u32", &back);
}

#[test]
fn bytes_and_halves_of_a_word_are_apart() {
    // Four threads write the bytes of a word, and read their own again.
    let bytes = "add.u32 %r1, %s, %t; cvt.u16.u32 %h1, %t; st.shared.b8 [%r1], %h1;\nld.shared.u8 %h2, [%r1];\n{}\n\
                 and.b32 %r2, %t, 0xfc; add.u32 %r2, %r2, %s; ld.shared.b32 %r3, [%r2];";
    needs("bar.warp.sync 0xffffffff;", 32, bytes, "ld.shared.b32", "st.shared.b8");
    needs("bar.sync 0;", 64, bytes, "ld.shared.b32", "st.shared.b8");
    let halves = "shl.b32 %r1, %t, 1; add.u32 %r1, %r1, %s; cvt.u16.u32 %h1, %t; st.shared.b16 [%r1], %h1;\n{}\n\
                  xor.b32 %r2, %t, 1; shl.b32 %r2, %r2, 1; add.u32 %r2, %r2, %s; ld.shared.b16 %h2, [%r2];";
    needs("bar.warp.sync 0xffffffff;", 32, halves, "ld.shared.b16", "st.shared.b16");
    // Whole again, then in parts again.
    let mixed = format!(
        "{}bar.sync 0;\n{}bar.sync 0;\nld.shared.b32 %r4, [%s];\nbar.sync 0;\nadd.u32 %r1, %s, %t;\nst.shared.b8 [%r1], %h1;\n",
        bytes.replace("{}", ""),
        store(1)
    );
    let reports = checked(1, 64, &mixed);
    assert_eq!(reports.len(), 1, "{reports:?}");
}

#[test]
fn one_value_from_many_threads_is_no_race() {
    assert_eq!(checked(1, 64, "mov.b32 %r1, 7; st.shared.b32 [%s], %r1;"), []);
    let body = "shr.u32 %r1, %t, 1; st.shared.b32 [%s], %r1;";
    let reports = checked(1, 64, body);
    expect(&reports, ReportKind::Race, "st.shared.b32", "st.shared.b32", body);
}

#[test]
fn atomics_race_with_ordinary_accesses_alone() {
    let body = "setp.eq.u32 %p1, %t, 0;\n@%p1 st.shared.b32 [%s], 0;\nbar.sync 0;\nred.shared.add.u32 [%s], 1;\n{}\n\
                ld.shared.b32 %r3, [%s];";
    needs("bar.sync 0;", 64, &body.replace("[%s], 0", "[%s], %t"), "ld.shared.b32", "red.shared.add.u32");
    let first = "setp.eq.u32 %p1, %t, 0;\n@%p1 st.shared.b32 [%s], %t;\n{}\natom.shared.add.u32 %r5, [%s], 1;";
    needs("bar.sync 0;", 64, first, "atom.shared.add.u32", "@%p1 st.shared.b32");
    let volatile =
        "setp.eq.u32 %p1, %t, 0;\n@%p1 st.volatile.shared.b32 [%s], %t;\n@!%p1 ld.volatile.shared.b32 %r2, [%s];";
    assert_eq!(checked(1, 64, &format!("{ZEROS}{volatile}")), []);
    let one = format!("{ZEROS}{}", volatile.replace("ld.volatile", "ld"));
    races(&checked(1, 64, &one), "ld.shared.b32", "st.volatile.shared.b32", &one);
}

#[test]
fn bytes_never_written_are_reported() {
    let body = "shl.b32 %r1, %t, 2; add.u32 %r1, %r1, %s; st.shared.b16 [%r1], %h1;\nld.shared.b32 %r2, [%r1];";
    let reports = checked(1, 32, body);
    expect(&reports, ReportKind::Uninitialized, "ld.shared.b32", "", body);
    assert!(reports[0].message.contains("0x2 (2 bytes)"), "{}", reports[0]);
    assert_eq!((reports[0].site.warp, reports[0].site.lanes), (0, u32::MAX), "{}", reports[0]);
}

#[test]
fn reports_name_place_and_both_sides() {
    let body = "shl.b32 %r1, %t, 2; add.u32 %r1, %r1, %s; setp.lt.u32 %p1, %t, 40; setp.ge.u32 %p2, %t, 62;\n\
                @%p1 st.shared.b32 [%r1], %t;\n\n@%p2 ld.shared.b32 %r3, [%r1+-248];";
    let reports = checked(1, 64, body);
    let [report] = &reports[..] else { panic!("{reports:?}") };
    // Lanes 30 and 31 of warp 1 read what lanes 0 and 1 of warp 0 wrote, which ran first.
    let other = report.other.as_ref().unwrap();
    assert_eq!((report.site.warp, report.site.lanes, other.warp, other.lanes), (1, 3 << 30, 0, 3), "{report}");
    assert!(report.message.contains("shared memory at 0x0 (4 bytes)"), "{report}");
    assert_eq!(report.site.ptx_line, other.ptx_line + 2, "{report}");
    assert!(report.to_string().contains("the other side:"), "{report}");
}

#[test]
fn rows_of_matrices() {
    let body = "shl.b32 %r1, %t, 4; add.u32 %r1, %r1, %s;\nst.shared.v4.b32 [%r1], {%t, %t, %t, %t};\n{}\n\
                ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r2, %r3, %r4, %r5}, [%r1];\n";
    needs("bar.warp.sync 0xffffffff;", 32, body, "ldmatrix", "st.shared.v4.b32");
    // Lanes may write what their ldmatrix has read; other warps may not.
    let after = body.replace("{}", "bar.sync 0;") + "st.shared.v2.b32 [%r1], {%t, %t};";
    assert_eq!(checked(1, 32, &after), []);
    let others = "and.b32 %r1, %t, 31; shl.b32 %r1, %r1, 4; add.u32 %r1, %r1, %s; setp.lt.u32 %p1, %t, 32;\n\
                  @%p1 st.shared.v4.b32 [%r1], {%t, %t, %t, %t};\nbar.sync 0;\n\
                  ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r2, %r3, %r4, %r5}, [%r1];\n{}\n\
                  @%p1 st.shared.v2.b32 [%r1], {%t, %r2};";
    // The second warp reads after the first has written again, here: the report says the read comes too late.
    let text = others.replace("{}", "");
    expect(&checked(1, 64, &text), ReportKind::Race, "ldmatrix", "@%p1 st.shared.v2.b32", &text);
    assert_eq!(checked(1, 64, &others.replace("{}", "bar.sync 0;")), []);
    let stored = "shl.b32 %r1, %t, 4; add.u32 %r1, %r1, %s;\n\
                  stmatrix.sync.aligned.m8n8.x4.shared.b16 [%r1], {%t, %t, %t, %t};\n{}\nld.shared.v4.b32 {%r2, %r3, %r4, %r5}, [%r1];";
    needs("bar.warp.sync 0xffffffff;", 32, stored, "ld.shared.v4.b32", "stmatrix");
}

#[test]
fn exited_threads_count_as_arrived() {
    let body = format!("{}setp.ge.u32 %p1, %t, 32;\n@%p1 ret;\nbar.sync 0;\nld.shared.b32 %r3, [%r2];", store(32));
    assert_eq!(checked(1, 64, &body), []);
}

/// `cp.async` of each thread's 16 bytes, in a group, and a read of the chunk of the thread `by` away.
fn copy(by: u32, wait: &str) -> String {
    format!(
        "shl.b32 %r1, %t, 4; add.u32 %r1, %r1, %s; xor.b32 %r2, %t, {by}; shl.b32 %r2, %r2, 4; add.u32 %r2, %r2, %s;\n\
         mul.wide.u32 %rd1, %t, 16; add.u64 %rd1, %rd1, %in;\ncp.async.cg.shared.global [%r1], [%rd1], 16;\n\
         cp.async.commit_group;\n{wait}\nld.shared.v2.b32 {{%r3, %r4}}, [%r2];"
    )
}

#[test]
fn copies_need_their_wait_and_a_barrier() {
    let sides = ("ld.shared.v2.b32", "cp.async.cg");
    // Its own copy: the wait is enough.
    for wait in ["cp.async.wait_group 0;", "cp.async.wait_all;"] {
        needs(wait, 64, &copy(0, "{}"), sides.0, sides.1);
        // Another thread's: wait, then barrier, in that order.
        for by in [1, 32] {
            needs("bar.sync 0;", 64, &copy(by, &format!("{wait}{{}}")), sides.0, sides.1);
            needs(wait, 64, &copy(by, "{}\nbar.sync 0;"), sides.0, sides.1);
            let late = format!("{ZEROS}{}", copy(by, &format!("bar.sync 0;\n{wait}")));
            races(&checked(1, 64, &late), sides.0, sides.1, &late);
        }
    }
    // A wait one too lax; groups that were never closed are waited for by wait_all alone.
    let lax = format!("{ZEROS}{}", copy(32, "cp.async.wait_group 1;\nbar.sync 0;"));
    races(&checked(1, 64, &lax), sides.0, sides.1, &lax);
    let open = copy(32, "{}\nbar.sync 0;").replace("cp.async.commit_group;\n", "");
    needs("cp.async.wait_all;", 64, &open, sides.0, sides.1);
    let open = format!("{ZEROS}{}", open.replace("{}", "cp.async.wait_group 0;"));
    races(&checked(1, 64, &open), sides.0, sides.1, &open);
    // What one thread waits for is not what its neighbour does.
    let one = format!("{ZEROS}setp.eq.u32 %p1, %lane, 0;\n{}", copy(1, "@%p1 cp.async.wait_all;\nbar.sync 0;"));
    races(&checked(1, 64, &one), sides.0, sides.1, &one);
}

#[test]
fn copies_may_not_overtake_readers() {
    // A ring of two slots: the slot that is refilled was read before the barrier.
    let step = |read: u32, fill: u32| {
        format!(
            "cp.async.wait_group 0;\n{{}}\nld.shared.v2.b32 {{%r3, %r4}}, [%r2+{}];\n\
             cp.async.cg.shared.global [%r1+{}], [%rd1], 16;\ncp.async.commit_group;\n",
            1024 * read,
            1024 * fill
        )
    };
    let body =
        copy(32, "{}").replace("{}\nld.shared.v2.b32 {%r3, %r4}, [%r2];", "") + &step(0, 1) + &step(1, 0) + &step(0, 1);
    let with = format!("{ZEROS}{}", body.replace("{}", "bar.sync 0;"));
    assert_eq!(checked(1, 64, &with), []);
    // The second barrier gone: slot 0 is refilled while others read it, and slot 1 read before others' copies are
    // known.
    let mut parts: Vec<&str> = body.split("{}").collect();
    let last = parts.pop().unwrap();
    let without = format!("{ZEROS}{}bar.sync 0;\n{}\n{}bar.sync 0;\n{last}", parts[0], parts[1], parts[2]);
    races(&checked(1, 64, &without), "ld.shared.v2.b32", "cp.async.cg", &without);
}

#[test]
fn copies_pass_through_an_mbarrier() {
    let body = |arrive: &str, wait: &str| {
        let wait = format!("{arrive}\nW: mbarrier.try_wait.parity.shared::cta.b64 %p1, [%r50], 0;\n{wait}\n");
        let start = "add.u32 %r50, %s, 8192; setp.eq.u32 %p7, %t, 0;\n@%p7 mbarrier.init.shared::cta.b64 [%r50], 64;\nbar.sync 0;\n";
        format!("{ZEROS}{start}{}", copy(32, &wait))
    };
    let noinc = "cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%r50];";
    let own = "cp.async.mbarrier.arrive.shared::cta.b64 [%r50];\nmbarrier.arrive.shared::cta.b64 %rd5, [%r50];";
    for arrive in [noinc, own] {
        assert_eq!(checked(1, 64, &body(arrive, "@!%p1 bra W;")), []);
    }
    // An arrival of the thread alone says nothing of its copies; nor does a phase that nobody has waited for.
    let text = body("mbarrier.arrive.shared::cta.b64 %rd5, [%r50];", "@!%p1 bra W;");
    races(&checked(1, 64, &text), "ld.shared.v2.b32", "cp.async.cg", &text);
    // Nor do the copies' arrivals say anything to who does not wait.
    let text = body(noinc, "").replace("W: mbarrier.try_wait.parity.shared::cta.b64 %p1, [%r50], 0;", "");
    races(&checked(1, 64, &text), "ld.shared.v2.b32", "cp.async.cg", &text);
}
