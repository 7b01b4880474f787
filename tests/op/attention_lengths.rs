//! Sequences of many lengths through the door of attention: each gives, bit for bit, what it gives alone; nothing that
//! is no sequence's is read or written; and what is wrong with lengths or pages is told.

use half::f16;
use halfbyte::device::{Device, Status, StatusFlags, Stream};
use halfbyte::format::DType;
use halfbyte::op::{Attention, AttentionArgs, Heads, HeadsMut, LogSumExp, PageTable};
use halfbyte::plan::attention::{self as plan, AttentionPlan, AttentionProblem, Mask, Packing};
use halfbyte::reference::sample::Sample;

use super::Tally;
use super::case::poison;
use crate::support::devices;

const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const DIM: usize = 64;

/// How queries or keys lie in memory.
#[derive(Clone, Copy, Debug)]
struct Side {
    /// Tokens that each sequence has room for: all alike, unless they are packed.
    room: [usize; 3],
    /// Tokens that it has.
    count: [usize; 3],
    packed: bool,
    /// Tokens after the last sequence.
    tail: usize,
}

impl Side {
    const fn fixed(room: usize, count: [usize; 3]) -> Side {
        Side { room: [room; 3], count, packed: false, tail: 0 }
    }

    const fn packed(room: [usize; 3], count: [usize; 3], tail: usize) -> Side {
        Side { room, count, packed: true, tail }
    }

    fn longest(&self) -> usize {
        self.room.into_iter().max().unwrap()
    }

    fn begin(&self, b: usize) -> usize {
        self.room[..b].iter().sum()
    }

    fn total(&self) -> usize {
        self.begin(3) + self.tail
    }

    /// Whether lengths must be told.
    fn told(&self) -> bool {
        self.room != self.count
    }

    /// `[total, heads, DIM]`: the tokens of every sequence at their place, and NaN elsewhere.
    fn lay(&self, of: &[Vec<f16>; 3], heads: usize) -> Vec<f16> {
        let row = heads * DIM;
        let mut all = vec![f16::NAN; self.total() * row];
        for (b, one) in of.iter().enumerate() {
            all[self.begin(b) * row..][..one.len()].copy_from_slice(one);
        }
        all
    }

    fn cu(&self) -> Vec<u32> {
        (0..=3).map(|b| self.begin(b) as u32).collect()
    }

    fn lengths(&self) -> Vec<u32> {
        self.count.iter().map(|&n| n as u32).collect()
    }
}

/// `[tokens, heads, DIM]` of each sequence.
fn numbers(name: &str, counts: [usize; 3], heads: usize) -> [Vec<f16>; 3] {
    let mut sample = Sample::new(name);
    counts.map(|n| (0..n * heads * DIM).map(|_| f16::from_f32(sample.gaussian())).collect())
}

/// A number that is none, a bad length, a bad page.
fn raised(flags: StatusFlags) -> [bool; 3] {
    [flags.nonfinite_input, flags.bad_length, flags.bad_page]
}

const CAUSAL: AttentionProblem =
    AttentionProblem { mask: Mask::CAUSAL, ..AttentionProblem::new([0, 0], [HEADS, KV_HEADS], DIM, DType::F16) };

/// One sequence by itself, in the tiles of another plan: `[queries, HEADS, DIM]` and `[HEADS, queries]`.
fn alone(attention: &Attention, stream: &Stream, like: &AttentionPlan, [q, k, v]: [&[f16]; 3]) -> (Vec<f16>, Vec<f32>) {
    let (queries, keys) = (q.len() / HEADS / DIM, k.len() / KV_HEADS / DIM);
    let problem = AttentionProblem { queries, keys, ..CAUSAL };
    let mut plans = plan::candidates(&problem, attention.device().facts()).unwrap();
    let plan = plans.find(|p| (p.tile_rows(), p.pack()) == (like.tile_rows(), like.pack())).unwrap();
    let [q, k, v] = [q, k, v].map(|x| stream.upload(x).unwrap());
    let mut out = stream.upload(&poison::<f16>(queries * HEADS * DIM)).unwrap();
    let mut lse = stream.upload(&poison::<f32>(queries * HEADS)).unwrap();
    let args = AttentionArgs {
        lse: Some(LogSumExp::new(&mut lse, queries, HEADS)),
        ..AttentionArgs::new(
            &problem,
            Heads::bshd(&q, queries, HEADS, DIM),
            Heads::bshd(&k, keys, KV_HEADS, DIM),
            Heads::bshd(&v, keys, KV_HEADS, DIM),
            HeadsMut::bshd(&mut out, queries, HEADS, DIM),
        )
    };
    attention.run(&plan, stream, args).unwrap();
    (stream.download(&out).unwrap(), stream.download(&lse).unwrap())
}

fn check(device: &Device, [queries, keys]: [Side; 2], tally: &mut Tally) {
    let stream = device.stream().unwrap();
    let attention = Attention::new(device, DType::F16).unwrap();
    let q = numbers("lengths q", queries.count, HEADS);
    let [k, v] = ["lengths k", "lengths v"].map(|name| numbers(name, keys.count, KV_HEADS));
    let problem = AttentionProblem {
        batch: 3,
        queries: queries.longest(),
        keys: keys.longest(),
        packed_queries: queries.packed.then(|| queries.total()),
        packed_keys: keys.packed.then(|| keys.total()),
        ..CAUSAL
    };
    let on = |lay: Vec<f16>| stream.upload(&lay).unwrap();
    let (q_on, k_on, v_on) = (on(queries.lay(&q, HEADS)), on(keys.lay(&k, KV_HEADS)), on(keys.lay(&v, KV_HEADS)));
    let words = |of: Vec<u32>| stream.upload(&of).unwrap();
    let (q_cu, k_cu) = (words(queries.cu()), words(keys.cu()));
    let (q_lens, k_lens) = (words(queries.lengths()), words(keys.lengths()));
    for plan in plan::candidates(&problem, device.facts()).unwrap() {
        let what = format!("{plan}, {queries:?}, {keys:?} on {device}");
        let total = queries.total();
        let mut out = stream.upload(&poison::<f16>(total * HEADS * DIM)).unwrap();
        let mut lse = stream.upload(&poison::<f32>(total * HEADS)).unwrap();
        let mut status = Status::new(&stream).unwrap();
        // Packed: [heads, tokens of all]; else [batch, heads, queries].
        let of_one = if queries.packed { total } else { queries.longest() };
        let args = AttentionArgs {
            lse: Some(LogSumExp::new(&mut lse, of_one, HEADS)),
            cu_queries: queries.packed.then(|| q_cu.view()),
            cu_keys: keys.packed.then(|| k_cu.view()),
            query_lengths: queries.told().then(|| q_lens.view()),
            key_lengths: keys.told().then(|| k_lens.view()),
            status: Some(&mut status),
            ..AttentionArgs::new(
                &problem,
                Heads::bshd(&q_on, of_one, HEADS, DIM),
                Heads::bshd(&k_on, keys.longest(), KV_HEADS, DIM),
                Heads::bshd(&v_on, keys.longest(), KV_HEADS, DIM),
                HeadsMut::bshd(&mut out, of_one, HEADS, DIM),
            )
        };
        attention.run(&plan, &stream, args).unwrap();
        assert!(status.read_and_clear(&stream).unwrap().is_clear(), "{what}");
        let (mut want, mut want_lse) = (poison::<f16>(total * HEADS * DIM), poison::<f32>(total * HEADS));
        for b in 0..3 {
            let (out, lse) = alone(&attention, &stream, &plan, [&q[b], &k[b], &v[b]]);
            want[queries.begin(b) * HEADS * DIM..][..out.len()].copy_from_slice(&out);
            for h in 0..HEADS {
                let at = if queries.packed { h * total + queries.begin(b) } else { (b * HEADS + h) * of_one };
                let n = queries.count[b];
                want_lse[at..at + n].copy_from_slice(&lse[h * n..(h + 1) * n]);
            }
        }
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let (got, got_lse) = (stream.download(&out).unwrap(), stream.download(&lse).unwrap());
        let other = got.iter().zip(&want).position(|(a, b)| a.to_bits() != b.to_bits());
        assert_eq!(other.map(|at| (at / DIM / HEADS, got[at], want[at])), None, "{what}");
        assert_eq!(bits(&got_lse), bits(&want_lse), "{what}");
        tally.add("pack", plan.pack());
        tally.add("rows", plan.tile_rows());
    }
}

/// Lengths of queries and of keys, packed or not, on one side or on both, and tokens after the last sequence.
#[test]
fn every_way_to_say_lengths() {
    const Q: [usize; 3] = [70, 5, 140];
    const K: [usize; 3] = [150, 70, 1];
    let (q_alike, k_alike) = (Side::fixed(70, [70; 3]), Side::fixed(90, [90; 3]));
    let (q_some, k_some) = (Side::fixed(80, [70, 0, 33]), Side::fixed(100, [100, 70, 0]));
    let (q_packed, k_packed) = (Side::packed(Q, Q, 0), Side::packed(K, K, 0));
    let q_shorter = Side::packed(Q, [66, 0, 129], 0);
    let k_shorter = Side::packed(K, [131, 70, 0], 0);
    let (q_tail, k_tail) = (Side::packed(Q, Q, 9), Side::packed(K, K, 17));
    let cases = [
        [q_some, k_alike],
        [q_alike, k_some],
        [q_some, k_some],
        [q_packed, k_packed],
        [q_shorter, k_packed],
        [q_packed, k_shorter],
        [q_shorter, k_shorter],
        [q_packed, k_alike],
        [q_alike, k_packed],
        [q_shorter, k_some],
        [q_some, k_shorter],
        [q_tail, k_tail],
        [q_tail, k_alike],
        [Side { tail: 70, ..q_shorter }, Side { tail: 70, ..k_shorter }],
    ];
    let mut tally = Tally::default();
    let devices = devices();
    for (at, case) in cases.into_iter().enumerate() {
        check(&devices[at % devices.len()], case, &mut tally);
    }
    tally.assert("lengths", &[("pack 1", 28), ("pack 2", 28), ("rows 64", 28), ("rows 128", 28)]);
}

/// A length that is more than there is room for is cut, and told.
#[test]
fn a_length_too_long() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let attention = Attention::new(&device, DType::F16).unwrap();
        let [q, k, v] = [(70, HEADS), (90, KV_HEADS), (90, KV_HEADS)]
            .map(|(n, heads)| stream.upload(&numbers("cut", [n; 3], heads).concat()).unwrap());
        let problem = AttentionProblem { batch: 3, queries: 70, keys: 90, ..CAUSAL };
        let plan = attention.plan(&problem).unwrap();
        let run = |query_lengths: [u32; 3], key_lengths: [u32; 3]| {
            let mut out = stream.upload(&poison::<f16>(3 * 70 * HEADS * DIM)).unwrap();
            let mut status = Status::new(&stream).unwrap();
            let (q_lens, k_lens) = (stream.upload(&query_lengths).unwrap(), stream.upload(&key_lengths).unwrap());
            let args = AttentionArgs {
                query_lengths: Some(q_lens.view()),
                key_lengths: Some(k_lens.view()),
                status: Some(&mut status),
                ..AttentionArgs::new(
                    &problem,
                    Heads::bshd(&q, 70, HEADS, DIM),
                    Heads::bshd(&k, 90, KV_HEADS, DIM),
                    Heads::bshd(&v, 90, KV_HEADS, DIM),
                    HeadsMut::bshd(&mut out, 70, HEADS, DIM),
                )
            };
            attention.run(&plan, &stream, args).unwrap();
            let bits: Vec<u16> = stream.download(&out).unwrap().into_iter().map(f16::to_bits).collect();
            (bits, status.read_and_clear(&stream).unwrap())
        };
        let (right, clear) = run([70, 11, 70], [90, 33, 90]);
        assert!(clear.is_clear(), "{device}: {clear:?}");
        for (queries, keys) in [([70, 11, 70], [91, 33, 90]), ([70, 11, u32::MAX], [90, 33, 90])] {
            let (cut, flags) = run(queries, keys);
            assert_eq!(raised(flags), [false, true, false], "{queries:?} {keys:?} on {device}");
            assert!(cut == right, "{queries:?} {keys:?} on {device}");
        }
    }
}

/// A page that does not exist counts as zeros and is told; the other sequence has what it had. What no sequence needs
/// of a table may name any page.
#[test]
fn a_page_that_does_not_exist() {
    const PAGES: usize = 7;
    for device in devices() {
        let stream = device.stream().unwrap();
        let attention = Attention::new(&device, DType::F16).unwrap();
        let (q, page) = (numbers("paged q", [20, 20, 0], HEADS).concat(), 16 * KV_HEADS * DIM);
        // The last page holds zeros.
        let [k, v] = ["paged k", "paged v"].map(|name| {
            let mut pool = numbers(name, [PAGES * 16, 0, 0], KV_HEADS).concat();
            pool[(PAGES - 1) * page..].fill(f16::ZERO);
            stream.upload(&pool).unwrap()
        });
        let q = stream.upload(&q).unwrap();
        let problem = AttentionProblem { batch: 2, queries: 20, keys: 48, page_size: Some(16), ..CAUSAL };
        let lens = stream.upload(&[45u32, 40]).unwrap();
        for plan in plan::candidates(&problem, device.facts()).unwrap() {
            let run = |table: [u32; 8]| {
                let table = stream.upload(&table).unwrap();
                let mut out = stream.upload(&poison::<f16>(2 * 20 * HEADS * DIM)).unwrap();
                let mut status = Status::new(&stream).unwrap();
                let args = AttentionArgs {
                    key_lengths: Some(lens.view()),
                    pages: Some(PageTable { table: table.view(), row: 4, pages: PAGES }),
                    status: Some(&mut status),
                    ..AttentionArgs::new(
                        &problem,
                        Heads::bshd(&q, 20, HEADS, DIM),
                        Heads::bshd(&k, 16, KV_HEADS, DIM),
                        Heads::bshd(&v, 16, KV_HEADS, DIM),
                        HeadsMut::bshd(&mut out, 20, HEADS, DIM),
                    )
                };
                attention.run(&plan, &stream, args).unwrap();
                let bits: Vec<u16> = stream.download(&out).unwrap().into_iter().map(f16::to_bits).collect();
                (bits, status.read_and_clear(&stream).unwrap())
            };
            let none = u32::MAX;
            let (right, clear) = run([3, 0, 5, none, 1, 4, 2, none]);
            assert!(clear.is_clear(), "{plan} on {device}: {clear:?}");
            let (zeros, clear) = run([3, 0, 5, none, 1, PAGES as u32 - 1, 2, none]);
            assert!(clear.is_clear(), "{plan} on {device}: {clear:?}");
            assert!(zeros != right);
            for missing in [PAGES as u32, none] {
                let (got, flags) = run([3, 0, 5, none, 1, missing, 2, none]);
                assert_eq!(raised(flags), [false, false, true], "{plan} on {device}");
                assert!(got[..20 * HEADS * DIM] == right[..20 * HEADS * DIM], "{plan} on {device}: sequence 0");
                assert!(got == zeros, "{plan} on {device}: page {missing} is not zeros");
            }
        }
    }
}

/// Packed sequences, keys in pages and shorter lengths give, bit for bit, what each sequence gives alone; an output in
/// f32 rounds to that of 16 bits.
#[test]
fn packed_and_paged_sequences_are_those_alone() {
    for device in devices() {
        let stream = device.stream().unwrap();
        let attention = Attention::new(&device, DType::F16).unwrap();
        let (heads, kv, size) = (4, 2, 64);
        let lengths = [(70usize, 90usize), (0, 10), (3, 0), (130, 200), (1, 65)];
        let cu = |of: fn(&(usize, usize)) -> usize| -> Vec<u32> {
            let mut sum = 0;
            let ends = lengths.iter().map(|n| {
                sum += of(n) as u32;
                sum
            });
            [0].into_iter().chain(ends).collect()
        };
        let (cu_q, cu_k) = (cu(|n| n.0), cu(|n| n.1));
        let (queries, keys) = (Packing::new(&cu_q, 204).unwrap(), Packing::new(&cu_k, 365).unwrap());
        let mut sample = Sample::new("packed");
        let mut tensor = |len: usize| -> Vec<f16> { (0..len).map(|_| f16::from_f32(sample.gaussian())).collect() };
        let (q, k, v) = (tensor(204 * heads * size), tensor(365 * kv * size), tensor(365 * kv * size));
        let base =
            AttentionProblem { mask: Mask::CAUSAL, ..AttentionProblem::new([130, 200], [heads, kv], size, DType::F16) };
        let packed = AttentionProblem {
            batch: queries.batch,
            queries: queries.longest,
            keys: keys.longest,
            packed_queries: Some(queries.total),
            packed_keys: Some(keys.total),
            ..base
        };
        let (dq, dk, dv) = (stream.upload(&q).unwrap(), stream.upload(&k).unwrap(), stream.upload(&v).unwrap());
        let (cu_q_dev, cu_k_dev) = (stream.upload(&cu_q).unwrap(), stream.upload(&cu_k).unwrap());
        let mut status = Status::new(&stream).unwrap();
        let mut together = stream.zeros::<f16>(204 * heads * size).unwrap();
        let args = AttentionArgs {
            cu_queries: Some(cu_q_dev.view()),
            cu_keys: Some(cu_k_dev.view()),
            status: Some(&mut status),
            ..AttentionArgs::new(
                &packed,
                Heads::bshd(&dq, 204, heads, size),
                Heads::bshd(&dk, 365, kv, size),
                Heads::bshd(&dv, 365, kv, size),
                HeadsMut::bshd(&mut together, 204, heads, size),
            )
        };
        let plan = attention.plan(&packed).unwrap();
        attention.run(&plan, &stream, args).unwrap();
        let together = stream.download(&together).unwrap();

        // Keys and values in pages of 16, from the last to the first, behind the packed queries.
        let pages: usize = lengths.iter().map(|n| n.1.div_ceil(16)).sum();
        let row = 200usize.div_ceil(16);
        let (mut table, mut next) = (vec![u32::MAX; lengths.len() * row], pages);
        let [mut paged_k, mut paged_v] = [0, 1].map(|_| vec![f16::NAN; pages * 16 * kv * size]);
        for (b, &(_, of_one)) in lengths.iter().enumerate() {
            for j in 0..of_one {
                if j % 16 == 0 {
                    next -= 1;
                    table[b * row + j / 16] = next as u32;
                }
                let (from, to) = ((cu_k[b] as usize + j) * kv * size, (next * 16 + j % 16) * kv * size);
                paged_k[to..to + kv * size].copy_from_slice(&k[from..from + kv * size]);
                paged_v[to..to + kv * size].copy_from_slice(&v[from..from + kv * size]);
            }
        }
        let key_lengths: Vec<u32> = lengths.iter().map(|n| n.1 as u32).collect();
        let paged = AttentionProblem { packed_keys: None, page_size: Some(16), ..packed };
        let (pk, pv) = (stream.upload(&paged_k).unwrap(), stream.upload(&paged_v).unwrap());
        let (table, key_lengths) = (stream.upload(&table).unwrap(), stream.upload(&key_lengths).unwrap());
        let mut by_pages = stream.zeros::<f16>(204 * heads * size).unwrap();
        let args = AttentionArgs {
            cu_queries: Some(cu_q_dev.view()),
            key_lengths: Some(key_lengths.view()),
            pages: Some(PageTable { table: table.view(), row, pages }),
            status: Some(&mut status),
            ..AttentionArgs::new(
                &paged,
                Heads::bshd(&dq, 204, heads, size),
                Heads::bshd(&pk, 16, kv, size),
                Heads::bshd(&pv, 16, kv, size),
                HeadsMut::bshd(&mut by_pages, 204, heads, size),
            )
        };
        attention.run(&attention.plan(&paged).unwrap(), &stream, args).unwrap();
        assert!(stream.download(&by_pages).unwrap() == together, "pages on {device}");
        assert_eq!(status.read_and_clear(&stream).unwrap(), StatusFlags::default());

        for (b, &(sq, sk)) in lengths.iter().enumerate() {
            let alone = AttentionProblem { queries: sq, keys: sk, wide_output: true, ..base };
            let (at_q, at_k) = (cu_q[b] as usize * heads * size, cu_k[b] as usize * kv * size);
            let mut out = stream.zeros::<f32>(sq * heads * size).unwrap();
            let args = AttentionArgs::new(
                &alone,
                Heads::bshd(dq.view().slice(at_q..).unwrap(), sq, heads, size),
                Heads::bshd(dk.view().slice(at_k..).unwrap(), sk, kv, size),
                Heads::bshd(dv.view().slice(at_k..).unwrap(), sk, kv, size),
                HeadsMut::bshd(&mut out, sq, heads, size),
            );
            // The same tile and packing as together.
            let like = plan::candidates(&alone, device.facts()).unwrap();
            let like = like.into_iter().find(|p| (p.tile_rows(), p.pack()) == (plan.tile_rows(), plan.pack())).unwrap();
            attention.run(&like, &stream, args).unwrap();
            let want: Vec<f16> = stream.download(&out).unwrap().into_iter().map(f16::from_f32).collect();
            assert!(together[at_q..at_q + want.len()] == want, "sequence {b} on {device}");
        }
    }
}
