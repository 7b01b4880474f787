//! Checked mode on mbarriers, bulk copies and `wgmma`: what waits for them, and the fences between proxies.

use halfbyte::emulator::{Report, ReportKind};

use super::races::{checked, races};

const ZEROS: &str = "shl.b32 %r0, %t, 4; add.u32 %r0, %r0, %s; mov.b32 %r199, 0;\n\
                     st.shared.v4.u32 [%r0], {%r199, %r199, %r199, %r199};\n\
                     st.shared.v4.u32 [%r0+4096], {%r199, %r199, %r199, %r199};\n";

/// A right ring of two slots of 256 bytes, gone around three times: warp 1 fills by bulk copies, warp 0 reads.
struct Ring {
    init: &'static str,
    wait_empty: bool,
    wait_full: bool,
    /// What the consumer does with a slot that has come: `{slot}` and `{empty}` stand for addresses.
    consume: &'static str,
    steps: usize,
}

const RING: Ring = Ring {
    init: "fence.mbarrier_init.release.cluster;\nbar.sync 0;\n",
    wait_empty: true,
    wait_full: true,
    consume: "ld.shared.v2.b32 {%r3, %r4}, [{slot}];\nbar.warp.sync 0xffffffff;\n\
              @%p0 mbarrier.arrive.shared::cta.b64 _, [{empty}];\n",
    steps: 6,
};

impl Ring {
    fn body(&self) -> String {
        let mut text = format!(
            "{ZEROS}fence.proxy.async;\nadd.u32 %r50, %s, 8192; setp.eq.u32 %p0, %lane, 0; setp.eq.u32 %p7, %t, 0;\n\
             shl.b32 %r51, %lane, 3; add.u32 %r51, %r51, %s;\nbar.sync 0;\n@!%p7 bra I;\n"
        );
        for barrier in 0..4 {
            text += &format!("mbarrier.init.shared::cta.b64 [%r50+{}], 1;\n", 8 * barrier);
        }
        // The fence is thread 0's.
        let (fence, sync) = self.init.split_once('\n').unwrap();
        text += &format!("{fence}\nI:\n{sync}\nsetp.eq.u32 %p1, %w, 1;\n@%p1 bra P;\n");
        let barriers = |step: usize| (step % 2 * 8, 16 + step % 2 * 8, step / 2 % 2);
        for step in 0..self.steps {
            let (full, empty, parity) = barriers(step);
            if self.wait_full {
                text += &format!(
                    "F{step}: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r50+{full}], {parity};\n@!%p2 bra F{step};\n"
                );
            }
            let slot = format!("%r51+{}", step % 2 * 256);
            text += &self.consume.replace("{slot}", &slot).replace("{empty}", &format!("%r50+{empty}"));
        }
        text += "bra E;\nP: @!%p0 bra E;\n";
        for step in 0..self.steps {
            let (full, empty, parity) = barriers(step);
            if self.wait_empty {
                let parity = parity ^ 1;
                text += &format!(
                    "W{step}: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r50+{empty}], {parity};\n@!%p2 bra W{step};\n"
                );
            }
            text += &format!(
                "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r50+{full}], 256;\n\
                 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s+{}], [%in], 256, [%r50+{full}];\n",
                step % 2 * 256
            );
        }
        text + "E:"
    }

    fn races(&self, here: &str, other: &str) {
        let body = self.body();
        races(&checked(1, 64, &body), here, other, &body);
    }
}

/// There is a report of a missing proxy fence between these instructions, and nothing else.
fn proxy(body: &str, threads: u32, here: &str, other: &str) {
    let reports = checked(1, threads, body);
    assert!(!reports.is_empty(), "no report\n{body}");
    for report in &reports {
        let side = report.other.as_ref().unwrap();
        assert_eq!(report.kind, ReportKind::ProxyFence, "{report}\n{body}");
        assert!(report.site.instruction.contains(here) && side.instruction.contains(other), "{report}\n{body}");
    }
}

#[test]
fn a_ring_of_bulk_copies_needs_all_its_waits() {
    let copy = "cp.async.bulk";
    assert_eq!(checked(1, 64, &RING.body()), []);
    // The slot is given back before it is read; or by one lane, with nothing between its reads and the other lanes'.
    let early = "@%p0 mbarrier.arrive.shared::cta.b64 _, [{empty}];\nld.shared.v2.b32 {%r3, %r4}, [{slot}];\n";
    Ring { consume: early, ..RING }.races("ld.shared.v2.b32", copy);
    let alone = "ld.shared.v2.b32 {%r3, %r4}, [{slot}];\n@%p0 mbarrier.arrive.shared::cta.b64 _, [{empty}];\n";
    Ring { consume: alone, ..RING }.races("ld.shared.v2.b32", copy);
    // Nobody waits for the copies; nobody waits for the readers, where the ring goes around once.
    Ring { wait_full: false, wait_empty: false, steps: 2, ..RING }.races("ld.shared.v2.b32", copy);
    assert_eq!(checked(1, 64, &Ring { wait_empty: false, steps: 2, ..RING }.body()), []);
    // A ring that is read by another lane's wait alone.
    let one = "bar.warp.sync 0xffffffff;\nld.shared.v2.b32 {%r3, %r4}, [{slot}];\nbar.warp.sync 0xffffffff;\n\
               @%p0 mbarrier.arrive.shared::cta.b64 _, [{empty}];\n";
    assert_eq!(checked(1, 64, &Ring { consume: one, ..RING }.body()), []);
}

#[test]
fn mbarriers_need_a_barrier_and_a_fence_behind_their_initialization() {
    let body = Ring { init: "fence.mbarrier_init.release.cluster;\n", ..RING }.body();
    let reports = checked(1, 64, &body);
    let unordered = |r: &Report| {
        let inits = [&r.site, r.other.as_ref().unwrap()].map(|site| site.instruction.contains("mbarrier.init"));
        r.kind == ReportKind::Race && inits.contains(&true)
    };
    let (init, rest): (Vec<Report>, Vec<Report>) = reports.into_iter().partition(unordered);
    assert!(!init.is_empty() && init[0].message.contains("8 bytes"), "{init:?}");
    assert_eq!(rest, []);
    proxy(&Ring { init: "\nbar.sync 0;\n", ..RING }.body(), 64, "cp.async.bulk", "mbarrier.init");
    assert_eq!(checked(1, 64, &Ring { init: "fence.proxy.async;\nbar.sync 0;\n", ..RING }.body()), []);
}

#[test]
fn arrivals_and_waits_order_ordinary_accesses() {
    let start = format!(
        "{ZEROS}add.u32 %r50, %s, 8192; setp.eq.u32 %p7, %t, 0; setp.lt.u32 %p1, %t, 32;\n\
         @%p7 mbarrier.init.shared::cta.b64 [%r50], 32;\nbar.sync 0;\n"
    );
    let body = |write: &str| {
        format!(
            "{start}@!%p1 bra W;\n{write}\nW: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r50], 0;\n@!%p2 bra W;\n\
             xor.b32 %r5, %t, 33; shl.b32 %r5, %r5, 4; add.u32 %r5, %r5, %s; @!%p1 ld.shared.b32 %r6, [%r5];"
        )
    };
    let (write, arrive) = ("st.shared.b32 [%r0], %t;\n", "mbarrier.arrive.shared::cta.b64 %rd5, [%r50];\n");
    assert_eq!(checked(1, 64, &body(&format!("{write}{arrive}"))), []);
    let late = body(&format!("{arrive}{write}"));
    races(&checked(1, 64, &late), "ld.shared.b32", "st.shared.b32", &late);
}

/// A product of 64 x 32 by 32 x 8 bytes from shared memory, whose operands every thread has written.
fn product(fill: &str, after: &str) -> String {
    format!(
        "{ZEROS}{fill}\nshr.u32 %r60, %s, 4; cvt.u64.u32 %rd10, %r60; mov.b64 %rd11, 0x1000080000;\n\
         or.b64 %rd10, %rd10, %rd11; add.u64 %rd11, %rd10, 256;\n\
         mov.b32 %r61, 0; mov.b32 %r62, 0; mov.b32 %r63, 0; mov.b32 %r64, 0; setp.eq.b32 %p3, %r61, 0;\n\
         wgmma.fence.sync.aligned;\n\
         wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {{%r61, %r62, %r63, %r64}}, %rd10, %rd11, %p3;\n\
         wgmma.commit_group.sync.aligned;\n{after}\nwgmma.wait_group.sync.aligned 0;"
    )
}

#[test]
fn products_need_a_proxy_fence_behind_ordinary_stores() {
    let (wgmma, store) = ("wgmma.mma_async", "st.shared.v4.u32");
    // By who wrote, before the barrier; or by who reads, behind it.
    for fill in ["fence.proxy.async;\nbar.sync 0;", "bar.sync 0;\nfence.proxy.async;"] {
        assert_eq!(checked(1, 128, &product(fill, "")), [], "{fill}");
    }
    proxy(&product("bar.sync 0;", ""), 128, wgmma, store);
    let one = "setp.eq.u32 %p1, %w, 0;\n@%p1 fence.proxy.async;\nbar.sync 0;";
    proxy(&product(one, ""), 128, wgmma, store);
    let text = product("fence.proxy.async;", "");
    races(&checked(1, 128, &text), wgmma, store, &text);
}

#[test]
fn products_read_until_they_are_waited_for() {
    let fill = "fence.proxy.async;\nbar.sync 0;";
    let after = |wait: &str, sync: &str| {
        product(
            fill,
            &format!(
                "{wait}\n{sync}\nxor.b32 %r70, %t, 32; shl.b32 %r70, %r70, 4; add.u32 %r71, %r70, %s; st.shared.b32 [%r71], %r70;"
            ),
        )
    };
    let wait = "wgmma.wait_group.sync.aligned 0;";
    assert_eq!(checked(1, 128, &after(wait, "bar.sync 0;")), []);
    for (wait, sync) in [("", "bar.sync 0;"), (wait, ""), ("wgmma.wait_group.sync.aligned 1;", "bar.sync 0;")] {
        let text = after(wait, sync);
        races(&checked(1, 128, &text), "st.shared.b32", "wgmma.mma_async", &text);
    }
}

#[test]
fn bulk_copies_over_ordinary_stores_need_a_proxy_fence() {
    let body = |fence: &str| {
        format!(
            "{ZEROS}add.u32 %r50, %s, 8192; setp.eq.u32 %p7, %t, 0;\n@%p7 mbarrier.init.shared::cta.b64 [%r50], 1;\n\
             @%p7 fence.mbarrier_init.release.cluster;\n{fence}\nbar.sync 0;\n@!%p7 bra W;\n\
             mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r50], 256;\n\
             cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%in], 256, [%r50];\n\
             W: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r50], 0;\n@!%p2 bra W;\nld.shared.b32 %r6, [%s];"
        )
    };
    assert_eq!(checked(1, 64, &body("fence.proxy.async;")), []);
    proxy(&body(""), 64, "cp.async.bulk", "st.shared.v4.u32");
}
