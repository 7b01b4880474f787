//! `cp.async`, `cp.async.bulk` and mbarriers (PTX ISA §9.7.9.25, §9.7.13.15): what lands when, and what misuse says.

use halfbyte::emulator::{AsyncOrder, FaultKind, Simd};

use super::words::{Block, machine, machines};

fn block(threads: u32, body: &str) -> Block {
    Block { threads, body: body.to_string(), out_words: threads as usize }
}

fn run(order: AsyncOrder, threads: u32, body: &str) -> Vec<u32> {
    let input: Vec<u32> = (0..4 * threads).map(|i| 1000 + i).collect();
    block(threads, body).run(&machine(Simd::best(), order), &input).unwrap()
}

fn fault(threads: u32, body: &str) -> (FaultKind, String) {
    let fault = block(threads, body).run(&machine(Simd::best(), AsyncOrder::Late), &[0; 128]).unwrap_err();
    (fault.kind, fault.to_string())
}

const COPY: &str = "shl.b32 %r1, %t, 2; add.u32 %r1, %r1, %s; mov.b32 %r2, 7; st.shared.b32 [%r1], %r2;\n";

#[test]
fn copies_land_at_their_wait() {
    let wait = |wait: &str| {
        format!(
            "{COPY}cp.async.ca.shared.global [%r1], [%in], 4;\ncp.async.commit_group;\n\
             cp.async.ca.shared.global [%r1+256], [%in+4], 4;\ncp.async.commit_group;\n{wait}\n\
             ld.shared.b32 %r3, [%r1]; st.global.b32 [%out], %r3;"
        )
    };
    let copied: Vec<u32> = (0..32).map(|i| 1000 + i).collect();
    for (text, late) in
        [("", false), ("cp.async.wait_group 2;", false), ("cp.async.wait_group 1;", true), ("cp.async.wait_all;", true)]
    {
        assert_eq!(run(AsyncOrder::Late, 32, &wait(text)), if late { copied.clone() } else { vec![7; 32] }, "{text}");
        assert_eq!(run(AsyncOrder::Early, 32, &wait(text)), copied, "{text}");
    }
}

#[test]
fn short_copies_fill_with_zeros() {
    // Lane t copies t bytes of 4, and nothing from lane 4 on: 16-byte form with a size register.
    let body = "shl.b32 %r1, %t, 4; add.u32 %r1, %r1, %s; min.u32 %r2, %t, 16;\n\
                sub.u64 %rd1, %in, %rd0; mul.wide.u32 %rd2, %t, 16; add.u64 %rd1, %rd1, %rd2;\n\
                cp.async.cg.shared.global [%r1], [%rd1], 16, %r2;\ncp.async.wait_all;\n\
                ld.shared.b32 %r3, [%r1+4]; st.global.b32 [%out], %r3;";
    let input: Vec<u32> = (0..128).map(|i| 0x0102_0304 * (i % 50)).collect();
    for machine in machines() {
        let out = block(32, body).run(&machine, &input).unwrap();
        for (lane, &got) in out.iter().enumerate() {
            let kept = lane.saturating_sub(4).min(4) as u32;
            let mask = if kept == 4 { u32::MAX } else { (1 << (8 * kept)) - 1 };
            assert_eq!(got, input[4 * lane + 1] & mask, "lane {lane}");
        }
    }
}

/// Thread 0 sets up the mbarrier at shared memory + 8192.
fn barrier(count: u32) -> String {
    format!(
        "add.u32 %r50, %s, 8192; setp.eq.u32 %p7, %t, 0;\n@%p7 mbarrier.init.shared::cta.b64 [%r50], {count};\n\
         fence.mbarrier_init.release.cluster;\nbar.sync 0;\n"
    )
}

const WAIT: &str = "W: mbarrier.try_wait.parity.shared::cta.b64 %p1, [%r50], 0;\n@!%p1 bra W;\n";

#[test]
fn arrivals_that_follow_copies() {
    for (form, count) in [(".noinc", 64), ("", 64)] {
        // Without .noinc the copies' arrivals do not count: every thread arrives itself.
        let own = if form.is_empty() { "mbarrier.arrive.shared::cta.b64 %rd5, [%r50];\n" } else { "" };
        let body = format!(
            "{}{COPY}cp.async.ca.shared.global [%r1], [%in], 4;\n\
             cp.async.mbarrier.arrive{form}.shared::cta.b64 [%r50];\n{own}{WAIT}\
             xor.b32 %r4, %t, 63; shl.b32 %r4, %r4, 2; add.u32 %r4, %r4, %s;\n\
             ld.shared.b32 %r3, [%r4]; st.global.b32 [%out], %r3;",
            barrier(count)
        );
        for order in [AsyncOrder::Late, AsyncOrder::Early, AsyncOrder::Random(3)] {
            assert_eq!(run(order, 64, &body), (0..64).map(|i| 1063 - i).collect::<Vec<u32>>(), "{form} {order:?}");
        }
    }
}

#[test]
fn bulk_copies_complete_on_their_barrier() {
    let body = format!(
        "{}@!%p7 bra W;\nmbarrier.arrive.expect_tx.shared::cta.b64 _, [%r50], 256;\n\
         cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%in], 256, [%r50];\n\
         {WAIT}shl.b32 %r1, %t, 2; add.u32 %r1, %r1, %s; ld.shared.b32 %r3, [%r1]; st.global.b32 [%out], %r3;",
        barrier(1)
    );
    for order in [AsyncOrder::Late, AsyncOrder::Early] {
        assert_eq!(run(order, 64, &body), (1000..1064).collect::<Vec<u32>>(), "{order:?}");
    }
}

#[test]
fn waits_by_state() {
    // The state of an arrival names its phase: over when all 64 threads have arrived, not before.
    let body = format!(
        "{}mov.b32 %r1, 0;\nmbarrier.arrive.shared::cta.b64 %rd5, [%r50];\nbar.sync 0;\n\
         mbarrier.test_wait.shared::cta.b64 %p1, [%r50], %rd5;\n@%p1 or.b32 %r1, %r1, 1;\nbar.sync 0;\n\
         mbarrier.arrive.shared::cta.b64 %rd6, [%r50], 1;\n\
         V: mbarrier.try_wait.shared::cta.b64 %p1, [%r50], %rd6;\n@!%p1 bra V;\nor.b32 %r1, %r1, 2;\n\
         st.global.b32 [%out], %r1;",
        barrier(64)
    );
    assert_eq!(run(AsyncOrder::Late, 64, &body), [3; 64]);
}

#[test]
fn misuse_is_named() {
    let cases = [
        (
            FaultKind::Barrier,
            "more arrivals than its count",
            format!("{}mbarrier.arrive.shared::cta.b64 _, [%r50], 3;", barrier(31)),
        ),
        (FaultKind::Barrier, "no initialized mbarrier", "mbarrier.arrive.shared::cta.b64 _, [%s];".into()),
        (FaultKind::Barrier, "allowed are 1 to", "mov.b32 %r1, 0; mbarrier.init.shared::cta.b64 [%s], %r1;".into()),
        (FaultKind::Misaligned, "multiple of 8", "mbarrier.init.shared::cta.b64 [%s+4], 1;".into()),
        (FaultKind::Deadlock, "mbarrier", format!("{}{WAIT}", barrier(1))),
        (FaultKind::Misaligned, "multiple of 16", "cp.async.cg.shared.global [%s+8], [%in], 16;".into()),
        (FaultKind::OutOfBounds, "`in`", "cp.async.ca.shared.global [%s], [%in+512], 4;".into()),
        (FaultKind::OutOfBounds, "16384", "cp.async.ca.shared.global [%s+16384], [%in], 4;".into()),
        (FaultKind::Misaligned, "multiple of 16", "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%s+4];".into()),
        (FaultKind::OutOfBounds, "16384", "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%s+16384];".into()),
        (
            FaultKind::Divergence,
            "",
            "setp.lt.u32 %p1, %t, 5;\n@%p1 ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%s];".into(),
        ),
    ];
    for (kind, words, body) in cases {
        let (got, text) = fault(32, &body);
        assert_eq!(got, kind, "{body}: {text}");
        assert!(text.contains(words), "{body}: {text}");
    }
}
