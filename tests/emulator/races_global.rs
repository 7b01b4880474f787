//! Checked mode on global memory: threads of one block, and blocks that pass results on through memory.

use halfbyte::emulator::ReportKind;

use super::races::{checked, expect, needs_in, races};

/// `%rd1` is the thread's own word of `out`, 256 bytes a block; `%rd2` that of the thread `by` away.
fn places(by: u32) -> String {
    format!(
        "shl.b32 %r1, %b, 6; add.u32 %r1, %r1, %t; mul.wide.u32 %rd1, %r1, 4; add.u64 %rd1, %rd1, %out;\n\
         xor.b32 %r2, %r1, {by}; mul.wide.u32 %rd2, %r2, 4; add.u64 %rd2, %rd2, %out; add.u64 %rd9, %out, 32768;\n"
    )
}

#[test]
fn threads_of_a_block_need_a_barrier() {
    for (by, barrier) in [(32, "bar.sync 0;"), (1, "bar.warp.sync 0xffffffff;")] {
        let read = format!("{}st.global.b32 [%rd1], %t;\n{{}}\nld.global.u32 %r3, [%rd2];", places(by));
        needs_in(1, barrier, 64, &read, "ld.global.u32", "st.global.b32");
        let write = format!("{}ld.global.u32 %r3, [%rd2];\n{{}}\nst.global.b32 [%rd1], %t;", places(by));
        needs_in(1, barrier, 64, &write, "ld.global.u32", "st.global.b32");
        let copy = format!(
            "{}st.global.b32 [%rd1], %t;\n{{}}\nshl.b32 %r9, %t, 2; add.u32 %r9, %r9, %s;\ncp.async.ca.shared.global [%r9], [%rd2], 4;\ncp.async.wait_all;",
            places(by)
        );
        needs_in(1, barrier, 64, &copy, "cp.async.ca", "st.global.b32");
    }
}

#[test]
fn blocks_may_share_words_but_not_bytes() {
    // Halves of a word by two blocks; one value by both; then values that differ.
    let halves = "mul.wide.u32 %rd1, %b, 2; add.u64 %rd1, %rd1, %out; cvt.u16.u32 %h1, %b; st.global.b16 [%rd1], %h1;";
    assert_eq!(checked(2, 1, halves), []);
    assert_eq!(checked(4, 32, "mov.b32 %r1, 9; st.global.b32 [%out], %r1;"), []);
    let differ = "add.u32 %r1, %b, 5; st.global.b32 [%out+40], %r1;";
    let reports = checked(2, 1, differ);
    expect(&reports, ReportKind::Race, "st.global.b32", "st.global.b32", differ);
    let (site, other) = (&reports[0].site, reports[0].other.as_ref().unwrap());
    assert_eq!((site.block, other.block), ([1, 0, 0], [0, 0, 0]), "{}", reports[0]);
    assert!(reports[0].message.contains("byte 40 of `out` (65536 bytes)"), "{}", reports[0]);
    // What several read nobody may write.
    let read = "ld.global.b32 %r1, [%in+8]; setp.eq.u32 %p1, %b, 3; @%p1 st.global.b32 [%in+8], %b;";
    let reports = checked(4, 1, read);
    races(&reports, "ld.global.b32", "st.global.b32", read);
    let atomics =
        "red.global.add.u32 [%out], 1; atom.global.max.u32 %r1, [%out], 3; red.relaxed.gpu.global.or.b32 [%out], 4;";
    assert_eq!(checked(4, 32, atomics), []);
    let mixed = "red.global.add.u32 [%out], 1; ld.global.u32 %r1, [%out];";
    races(&checked(2, 1, mixed), "red.global.add.u32", "ld.global.u32", mixed);
}

/// All threads of four blocks store, thread 0 takes a ticket, the block that takes the last one reads what another
/// wrote.
fn ticket(before: &str, atom: &str, after: &str) -> String {
    format!(
        "{}st.global.b32 [%rd1], %t;\n{before}\nsetp.ne.u32 %p1, %t, 0;\n@%p1 bra T;\n{atom} %r5, [%rd9], 1;\n\
         st.shared.b32 [%s+8192], %r5;\nT: {after}\nbar.sync 0;\nld.shared.u32 %r5, [%s+8192];\nsetp.ne.u32 %p2, %r5, 3;\n\
         @%p2 bra E;\nxor.b32 %r2, %r1, 97; mul.wide.u32 %rd2, %r2, 4; add.u64 %rd2, %rd2, %out;\n\
         ld.global.u32 %r3, [%rd2];\nE:",
        places(0)
    )
}

#[test]
fn a_ticket_passes_on_what_all_threads_stored() {
    let (read, store) = ("ld.global.u32", "st.global.b32");
    let (ordered, relaxed) = ("atom.acq_rel.gpu.global.add.u32", "atom.global.add.u32");
    needs_in(4, "bar.sync 0;", 64, &ticket("{}", ordered, ""), read, store);
    // Fences of all threads, or of the one that takes the ticket; before it and behind it.
    for before in ["membar.gl;\nbar.sync 0;", "bar.sync 0;\nfence.acq_rel.gpu;"] {
        for after in ["membar.gl;", "@!%p1 fence.acq_rel.gpu;"] {
            let text = ticket(before, relaxed, after);
            assert_eq!(checked(4, 64, &text), [], "{text}");
        }
    }
    for (before, atom, after) in [
        ("bar.sync 0;", relaxed, "membar.gl;"),
        ("membar.gl;\nbar.sync 0;", relaxed, ""),
        ("membar.gl;", relaxed, "membar.gl;"),
        ("bar.sync 0;", "atom.acquire.gpu.global.add.u32", ""),
        ("bar.sync 0;", "atom.release.gpu.global.add.u32", ""),
    ] {
        let text = ticket(before, atom, after);
        races(&checked(4, 64, &text), read, store, &text);
    }
}

#[test]
fn a_flag_passes_on_what_came_before_it() {
    let body = |set: &str, get: &str, after: &str| {
        format!(
            "{}setp.eq.u32 %p1, %b, 0;\n@!%p1 bra R;\nst.global.b32 [%out], 7;\n{set} [%rd9], 1;\nbra E;\n\
             R: {get} %r5, [%rd9];\nsetp.eq.u32 %p2, %r5, 0;\n@%p2 bra R;\n{after}\nld.global.u32 %r3, [%out];\nE:",
            places(0)
        )
    };
    let (release, acquire) = ("st.release.gpu.global.b32", "ld.acquire.gpu.global.b32");
    for (set, get, after) in [
        (release, acquire, ""),
        ("membar.gl;\nst.volatile.global.b32", "ld.volatile.global.b32", "membar.gl;"),
        ("fence.acq_rel.gpu;\nst.relaxed.gpu.global.b32", acquire, ""),
    ] {
        assert_eq!(checked(2, 1, &body(set, get, after)), [], "{set} {get} {after}");
    }
    for (set, get, after) in [
        ("st.volatile.global.b32", "ld.volatile.global.b32", "membar.gl;"),
        ("membar.gl;\nst.volatile.global.b32", "ld.volatile.global.b32", ""),
        (release, "ld.relaxed.gpu.global.b32", ""),
        ("st.relaxed.gpu.global.b32", acquire, ""),
    ] {
        let text = body(set, get, after);
        races(&checked(2, 1, &text), "ld.global.u32", "st.global.b32", &text);
    }
}

#[test]
fn warps_pass_on_through_flags_in_shared_memory() {
    let body = |fence: &str| {
        format!(
            "setp.eq.u32 %p1, %t, 0; setp.eq.u32 %p2, %t, 32;\n@%p1 st.shared.b32 [%s+64], 0;\nbar.sync 0;\n\
             @%p1 st.shared.b32 [%s], 9;\n{fence}\n@%p1 st.volatile.shared.b32 [%s+64], 1;\n@!%p2 bra E;\n\
             R: ld.volatile.shared.b32 %r5, [%s+64];\nsetp.eq.u32 %p3, %r5, 0;\n@%p3 bra R;\n{fence}\n\
             ld.shared.u32 %r3, [%s];\nE:"
        )
    };
    assert_eq!(checked(1, 64, &body("membar.cta;")), []);
    let text = body("");
    races(&checked(1, 64, &text), "ld.shared.u32", "st.shared.b32 [%s], 9", &text);
}
