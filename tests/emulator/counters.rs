//! What the counters say of kernels small enough to count by hand.

use super::control::words;
use halfbyte::emulator::{Arch, Count, Counters, Kind, LaunchConfig, Machine, Module};
use halfbyte::layout::banks::wavefronts;

use super::harness::{HEAD, options};

/// The count of the only instruction whose text starts so, guard aside.
fn of(counters: &Counters, text: &str) -> Count {
    let found: Vec<_> = counters.instructions.iter().filter(|i| i.instruction.contains(text)).collect();
    assert_eq!(found.len(), 1, "{text}");
    found[0].count
}

fn counted(blocks: u32, threads: u32) -> LaunchConfig {
    LaunchConfig { count: true, ..LaunchConfig::linear(blocks, threads) }
}

#[test]
fn accesses_of_global_memory_by_sectors_and_requests() {
    let body = "mul.lo.u32 %r6, %r3, 32; mul.wide.u32 %d2, %r6, 1; add.u64 %d2, %d0, %d2; st.global.u32 [%d1], %r0; ld.global.u32 %r7, [%d2]; ld.global.nc.u32 %r8, [%d0]; st.global.v2.u32 [%d0], {%r0, %r1}; setp.lt.u32 %p1, %r0, 3; @%p1 st.global.u8 [%d1+64], %r0;";
    let (_, counters) = words(body, &counted(2, 64), 64 * 2 * 32, 2);
    let side_by_side = of(&counters, "st.global.u32 [%d1]");
    let each = |c: Count| [c.executions, c.requests_written, c.sectors_written, c.bytes_written];
    assert_eq!(each(side_by_side), [4, 4, 16, 512]);
    let strided = of(&counters, "ld.global.u32 %r7");
    assert_eq!([strided.requests_read, strided.sectors_read, strided.bytes_read], [4, 128, 512]);
    assert_eq!((strided.sectors_a_request(), strided.coalescing()), (32.0, 0.125));
    let same = of(&counters, "ld.global.nc");
    assert_eq!([same.requests_read, same.sectors_read, same.bytes_read], [4, 4, 16]);
    assert_eq!(each(of(&counters, "st.global.v2")), [4, 4, 4, 32]);
    // One warp of each block has three such lanes, the other none: executed, and nothing asked for.
    let few = of(&counters, "st.global.u8");
    assert_eq!(each(few), [4, 2, 2, 6]);
    assert_eq!((few.lanes, few.diverged), (6, 0));
    let total = counters.total();
    assert_eq!((total.requests_read, total.requests_written), (8, 10));
    assert_eq!(total.values().len(), Count::NAMES.len());
}

#[test]
fn accesses_of_shared_and_local_memory_and_atomics() {
    let body = ".local .align 4 .b8 own[16]; mov.u64 %d2, own; st.local.u32 [%d2], %r0; ld.local.u32 %r6, [%d2]; \
        st.shared.u32 [%r5], %r0; shl.b32 %r7, %r0, 6; and.b32 %r7, %r7, 2047; add.u32 %r7, %r7, %r4; ld.shared.u32 %r8, [%r7]; \
        atom.shared.add.u32 %r9, [%r4], 1; red.global.add.u32 [%d0], 1; atom.global.add.u32 %r9, [%d0], 1;";
    let (_, counters) = words(body, &counted(1, 32), 64, 1);
    assert_eq!(of(&counters, "st.local").local_requests + of(&counters, "ld.local").local_requests, 2);
    let waves = |text| (of(&counters, text).wavefronts, of(&counters, text).wavefronts_ideal);
    assert_eq!(waves("st.shared"), (1, 1));
    // 64 bytes apart: two banks, 16 words each.
    assert_eq!(waves("ld.shared"), (16, 1));
    assert_eq!(waves("atom.shared"), (32, 1));
    let (red, atom) = (of(&counters, "red.global"), of(&counters, "atom.global"));
    assert_eq!([red.sectors_read, red.sectors_written, red.bytes_written], [0, 1, 4]);
    assert_eq!([atom.sectors_read, atom.sectors_written, atom.bytes_read], [1, 1, 4]);
    assert_eq!(counters.total().conflicts(), 15 + 31);
    let kinds = counters.by_kind();
    assert_eq!((kinds[&Kind::Atomic].executions, kinds[&Kind::LoadLocal].executions), (3, 1));
    assert_eq!(kinds.values().map(|c| c.executions).sum::<u64>(), counters.total().executions);
}

#[test]
fn divergence_by_branches_and_lanes() {
    // 8 lanes of the first warp go one way, 24 the other; the second warp stays together.
    let body = "setp.lt.u32 %p1, %r0, 8; @%p1 bra LOW; add.u32 %r6, %r0, 1; bra END;\nLOW: sub.u32 %r6, %r0, 1;\nEND: st.global.u32 [%d1], %r6;";
    let (_, counters) = words(body, &counted(1, 64), 64, 1);
    let each = |text| {
        let Count { executions, lanes, diverged, splits, .. } = of(&counters, text);
        [executions, lanes, diverged, splits]
    };
    assert_eq!(each("bra LOW"), [2, 8, 0, 1]);
    assert_eq!(each("add.u32 %r6"), [2, 24 + 32, 1, 0]);
    assert_eq!(each("sub.u32 %r6"), [1, 8, 1, 0]);
    // The parts meet again before they store.
    assert_eq!(each("st.global"), [2, 64, 0, 0]);
    assert_eq!((counters.total().splits, counters.total().diverged), (1, 3));
}

/// However often a wait is tried, it is executed once.
#[test]
fn waits_count_once() {
    let body = "setp.ne.u32 %p1, %r0, 0; @%p1 bra SKIP; mbarrier.init.shared.b64 [%r4], 33;\nSKIP: bar.sync 0; shr.u32 %r6, %r0, 5; setp.eq.u32 %p2, %r6, 0; @%p2 bra ARRIVE;\nWAIT: mbarrier.try_wait.parity.shared.b64 %p3, [%r4], 0; @!%p3 bra WAIT; bra END;\nARRIVE: mov.u32 %r7, 0;\nLOOP: add.u32 %r7, %r7, 1; setp.lt.u32 %p4, %r7, 50; @%p4 bra LOOP; mbarrier.arrive.shared.b64 %d3, [%r4]; setp.eq.u32 %p1, %r0, 0; @%p1 mbarrier.arrive.shared.b64 %d4, [%r4];\nEND: st.global.u32 [%d1], %r0;";
    let (out, counters) = words(body, &counted(1, 128), 128, 1);
    assert!(out.iter().enumerate().all(|(i, v)| *v == i as u32));
    assert_eq!(of(&counters, "try_wait").executions, 3);
    assert_eq!(of(&counters, "bar.sync").executions, 4);
    assert_eq!(counters.barriers, 1);
}

#[test]
fn asynchronous_bytes_with_their_zero_fill() {
    let body = "mul.lo.u32 %r6, %r0, 16; add.u32 %r6, %r6, %r4; mul.wide.u32 %d2, %r0, 16; add.u64 %d2, %d0, %d2; mov.u32 %r7, 16; setp.gt.u32 %p1, %r0, 15; selp.b32 %r7, 0, 16, %p1; cp.async.cg.shared.global [%r6], [%d2], 16, %r7; cp.async.wait_all; st.global.u32 [%d1], %r0;";
    let (_, counters) = words(body, &counted(1, 32), 128, 1);
    let copy = of(&counters, "cp.async.cg");
    assert_eq!([copy.async_bytes, copy.bytes_read, copy.sectors_read, copy.requests_read], [512, 256, 8, 1]);
    assert_eq!((copy.wavefronts, copy.wavefronts_ideal), (4, 4));
}

#[test]
fn lines_name_the_call_that_they_are_part_of() {
    let ptx = format!(
        "{HEAD}.visible .entry k(.param .u64 out) {{ .reg .b32 %r<9>;\n.loc 1 40 3\nmov.u32 %r0, %tid.x;\n.loc 2 7 1, function_name $L__info_string0, inlined_at 1 41 5\nadd.u32 %r1, %r0, 1;\n.loc 2 7 1, function_name $L__info_string0, inlined_at 1 42 5\nadd.u32 %r2, %r0, 1;\nret; }}\n.file 1 \"k.cu\"\n.file 2 \"tools.cuh\"\n"
    );
    let module = Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}"));
    let machine = Machine::with(options(Arch::Sm80, 1, None));
    let counters = machine.launch(&module, "k", &counted(1, 32), &[0; 8]).unwrap();
    let places: Vec<String> = counters.by_place().keys().map(ToString::to_string).collect();
    assert_eq!(places, ["k.cu:40", "tools.cuh:7 from k.cu:41", "tools.cuh:7 from k.cu:42"]);
    assert_eq!(counters.by_line()[&("tools.cuh".to_string(), 7)].executions, 3, "two calls, and the return");
    let json = serde_json::to_value(&counters).unwrap();
    let row = &json["instructions"][1];
    assert_eq!((&row["kind"], &row["caller"]), (&"integer".into(), &serde_json::json!(["k.cu", 41])));
    assert_eq!((&row["count"]["lanes"], &json["blocks"]), (&32.into(), &1.into()));
    let text = counters.to_string();
    assert!(text.contains("tools.cuh:7 from k.cu:42") && text.ends_with("in all\n"), "{text}");
}

/// Patterns that people write and random ones, each against the model of the banks in `layout`, which is written apart.
#[test]
fn wavefronts_agree_with_the_model_of_the_banks() {
    let widths = [(4u64, "u32 %r3"), (8, "v2.u32 {%r3, %r4}"), (16, "v4.u32 {%r3, %r4, %r5, %r6}")];
    for (width, load) in widths {
        let mut state = 7 + width;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let slots = 16384 / width;
        let mut patterns: Vec<[u64; 32]> =
            (0..40).map(|step| std::array::from_fn(|i| i as u64 * step % slots)).collect();
        patterns.extend((0..5).map(|shift| std::array::from_fn(|i| (i as u64 ^ (i as u64 >> shift)) % slots)));
        // Few places, so that lanes share words, and many.
        patterns.extend((0..200).map(|n| std::array::from_fn(|_| random() % [8, 64, slots][n % 3])));
        let mut sums = [0u64; 2];
        for pattern in &patterns {
            let addresses: Vec<Option<u64>> = pattern.iter().map(|slot| Some(slot * width)).collect();
            sums[0] += u64::from(wavefronts(&addresses, width).unwrap().actual);
            // Every lane takes part, so each quarter, half or whole warp needs one pass at least.
            sums[1] += 32 * width / 128;
        }
        let ptx = format!(
            "{HEAD}.visible .entry k(.param .u64 in) {{ .reg .b64 %d<4>; .reg .b32 %r<9>; .shared .align 16 .b8 buf[16384];\n\
             ld.param.u64 %d0, [in]; mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mad.lo.u32 %r1, %r1, 32, %r0; mul.wide.u32 %d1, %r1, 4; add.u64 %d1, %d0, %d1; ld.global.u32 %r1, [%d1]; mov.u32 %r2, buf; add.u32 %r2, %r2, %r1; ld.shared.{load}, [%r2]; ret; }}"
        );
        let module = Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}"));
        let machine = Machine::with(options(Arch::Sm80, 2, None));
        let words: Vec<u8> = patterns.iter().flatten().flat_map(|slot| ((slot * width) as u32).to_le_bytes()).collect();
        let at = machine.alloc(words.len(), "addresses").unwrap();
        machine.write(at, &words).unwrap();
        let counters = machine.launch(&module, "k", &counted(patterns.len() as u32, 32), &at.to_le_bytes()).unwrap();
        let count = of(&counters, "ld.shared");
        assert_eq!([count.wavefronts, count.wavefronts_ideal], sums, "{width} bytes");
        assert!(count.conflicts() > 100, "patterns with conflicts are among them");
    }
}
