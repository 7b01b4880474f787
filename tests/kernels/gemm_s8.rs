//! Every tile of the int8 product against plain loops: ragged shapes, all outputs, leading dimensions, slices of K.

use half::{bf16, f16};
use halfbyte::emulator::{Arch, AsyncOrder, Counters, Fill, MachineOptions, Simd, Swizzle, TensorMap, TensorMapDtype};
use halfbyte::manifest::Entry;

use super::{Arg, Bench, Random, UNTOUCHED, bytes_of, mma};

pub const MMA: [Entry; 3] = [Entry::GemmS8Mma128x128x64, Entry::GemmS8Mma64x64x64, Entry::GemmS8Mma16x64x128];

pub const WGMMA: Entry = Entry::GemmS8Wgmma128x128x128;

/// `d_type` of the parameter blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Out {
    F32 = 0,
    F16 = 1,
    Bf16 = 2,
    S32 = 3,
}

impl Out {
    pub const ALL: [Out; 4] = [Out::F32, Out::F16, Out::Bf16, Out::S32];

    fn size(self) -> usize {
        if matches!(self, Out::F16 | Out::Bf16) { 2 } else { 4 }
    }
}

/// One launch.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub entry: Entry,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Slices of K; 1 for wgmma.
    pub split: usize,
    /// Blocks at most: fewer than tiles for wgmma, whose blocks then make several tiles each.
    pub blocks: usize,
    pub out: Out,
    pub bias: bool,
    /// Codes from 64 to 127 only, whose sums leave 24 bits from K = 4096 on.
    pub large: bool,
    /// Columns of d's rows beyond N, and elements that d starts past an aligned address.
    pub pad: usize,
    pub offset: usize,
}

impl Case {
    pub fn new(entry: Entry, (m, n, k): (usize, usize, usize)) -> Case {
        Case {
            entry,
            m,
            n,
            k,
            split: 1,
            blocks: usize::MAX,
            out: Out::S32,
            bias: false,
            large: false,
            pad: 0,
            offset: 0,
        }
    }

    pub fn tile(&self, name: &str) -> usize {
        self.entry.row().constant(name).unwrap() as usize
    }

    /// Runs it, compares every byte of the output's buffer, and returns what was counted.
    pub fn check(&self, bench: &Bench, count: bool) -> Counters {
        let Case { entry, m, n, k, out, .. } = *self;
        let mut random = Random::new(&format!("{self:?}"));
        // Rows of 16-byte multiples, one longer than need be; the bytes past K would spoil the sum if they were read.
        let (lda, ldb) = (k.next_multiple_of(16) + 16, k.next_multiple_of(16));
        let mut codes = |rows: usize, ld: usize| -> Vec<i8> {
            let mut code = || if self.large { random.code() & 0x3F | 0x40 } else { random.code() };
            (0..rows * ld).map(|i| if i % ld < k { code() } else { 127 }).collect()
        };
        let (a, b) = (codes(m, lda), codes(n, ldb));
        let mut floats = |len: usize| -> Vec<f32> { (0..len).map(|_| random.float()).collect() };
        let (scale_row, scale_col, bias) = (floats(m), floats(n), floats(n));

        let (ldd, size) = (n + self.pad, out.size());
        let bytes = (self.offset + m * ldd) * size;
        let tiles = m.div_ceil(self.tile("TILE_M")) * n.div_ceil(self.tile("TILE_N"));
        let at_a = bench.rows("a", &bytes_of(&a), k, lda);
        let at_b = bench.rows("b", &bytes_of(&b), k, ldb);
        let at_rows = bench.upload("scale_row", &bytes_of(&scale_row));
        let at_cols = bench.upload("scale_col", &bytes_of(&scale_col));
        let at_bias = if self.bias { bench.upload("bias", &bytes_of(&bias)) } else { 0 };
        let at_d = bench.untouched("d", bytes);
        let d = at_d + (self.offset * size) as u64;
        let mut owned = vec![at_a, at_b, at_rows, at_cols, at_bias, at_d];

        let long = |x: u64| Arg::Long(x);
        let word = |x: usize| Arg::Word(x as u32);
        let mut args = vec![
            ("d", long(d)),
            ("scale_row", long(at_rows)),
            ("scale_col", long(at_cols)),
            ("bias", long(at_bias)),
            ("ldd", long(ldd as u64)),
            ("m", word(m)),
            ("n", word(n)),
            ("k", word(k)),
            ("d_type", word(out as usize)),
        ];
        if MMA.contains(&entry) {
            let tile_k = self.tile("TILE_K");
            let slice = k.div_ceil(tile_k).div_ceil(self.split).max(1) * tile_k;
            let partials = tiles * self.split * self.tile("TILE_M") * self.tile("TILE_N") * 4;
            let (at_partials, at_tickets) = match self.split {
                1 => (0, 0),
                _ => (bench.fresh("partials", partials), bench.upload("tickets", &vec![0; tiles * 4])),
            };
            owned.extend([at_partials, at_tickets]);
            args.extend([
                ("a", long(at_a)),
                ("b", long(at_b)),
                ("lda", long(lda as u64)),
                ("ldb", long(ldb as u64)),
                ("partials", long(at_partials)),
                ("tickets", long(at_tickets)),
                ("split_k", word(self.split)),
                ("k_slice", word(slice)),
            ]);
            args = mma(args);
        } else {
            args.push(("a_map", Arg::Map(map(at_a, m, k, lda, self.tile("TILE_M")))));
            args.push(("b_map", Arg::Map(map(at_b, n, k, ldb, self.tile("TILE_N")))));
        }
        let counters =
            bench.launch(entry, (tiles * self.split).min(self.blocks) as u32, entry.row().shared_bytes, count, &args);

        let mut expected = vec![UNTOUCHED; bytes];
        for i in 0..m {
            for j in 0..n {
                let pairs = a[i * lda..][..k].iter().zip(&b[j * ldb..][..k]);
                let acc: i32 = pairs.map(|(&x, &y)| i32::from(x) * i32::from(y)).sum();
                let scaled = acc as f32 * (scale_row[i] * scale_col[j]);
                let value = if self.bias { scaled + bias[j] } else { scaled };
                let element = match out {
                    Out::S32 => acc.to_le_bytes().to_vec(),
                    Out::F32 => value.to_le_bytes().to_vec(),
                    Out::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
                    Out::Bf16 => bf16::from_f32(value).to_le_bytes().to_vec(),
                };
                expected[(self.offset + i * ldd + j) * size..][..size].copy_from_slice(&element);
            }
        }
        let got = bench.download(at_d, bytes);
        if let Some(byte) = (0..bytes).find(|&i| got[i] != expected[i]) {
            let element = byte / size;
            let (row, column) =
                ((element - self.offset.min(element)) / ldd, (element - self.offset.min(element)) % ldd);
            let here = element * size..(element + 1) * size;
            panic!("{self:?}: d[{row}, {column}] is {:02x?}, not {:02x?}", &got[here.clone()], &expected[here]);
        }
        for (what, at, codes, ld) in [("a", at_a, &a, lda), ("b", at_b, &b, ldb)] {
            let (now, then) = (bench.download(at, codes.len()), bytes_of(codes));
            let same = now.chunks(ld.max(1)).zip(then.chunks(ld.max(1))).all(|(now, then)| now[..k] == then[..k]);
            assert!(same, "{self:?}: {what} was written");
        }
        bench.free(&owned);
        counters
    }
}

fn map(address: u64, rows: usize, cols: usize, ld: usize, box_rows: usize) -> [u8; 128] {
    let map = TensorMap {
        dtype: TensorMapDtype::U8,
        rank: 2,
        address,
        dims: [cols as u64, rows as u64, 1, 1, 1],
        strides: [1, ld as u64, 0, 0, 0],
        box_: [128, box_rows as u32, 1, 1, 1],
        element_strides: [1; 5],
        swizzle: Swizzle::B128,
        fill: Fill::Zero,
    };
    map.to_bytes().unwrap_or_else(|e| panic!("{e:?}"))
}

const SHAPES: [(usize, usize, usize); 8] = [
    (1, 1, 1),
    (5, 130, 17),
    (16, 64, 128),
    (129, 127, 63),
    (77, 264, 1000),
    (1, 200, 1040),
    (130, 33, 640),
    (200, 300, 333),
];

/// Ragged shapes; 1000 and more of K wrap every ring twice; each output once a shape, with and without a bias, and
/// rows of d that can and cannot be stored four at a time.
fn all(bench: &Bench, entries: &[Entry]) -> usize {
    let mut cases = 0;
    for &entry in entries {
        for (s, shape) in SHAPES.into_iter().enumerate() {
            for (o, out) in Out::ALL.into_iter().enumerate() {
                let pad = [0, 3, 4, 8][(s + o) % 4];
                let offset = [0, 0, 1, 4][(s + 2 * o) % 4];
                Case { out, bias: (s + o) % 2 == 0, pad, offset, ..Case::new(entry, shape) }.check(bench, false);
                cases += 1;
            }
        }
    }
    cases
}

#[test]
fn mma_is_exact_on_every_shape_and_output() {
    assert_eq!(all(&Bench::new(Arch::Sm80), &MMA), 96);
}

#[test]
fn wgmma_is_exact_on_every_shape_and_output() {
    assert_eq!(all(&Bench::new(Arch::Sm90a), &[WGMMA]), 32);
}

/// A block goes from tile to tile, its warpgroups by turns, and its ring of six slots goes on: five tiles of one step,
/// of as many steps as slots, and of more, by one block to three; and so many by one block that a phase too many or too
/// few in each shows.
#[test]
fn wgmma_walks_over_tiles() {
    let mut cases = 0;
    for async_order in [AsyncOrder::Late, AsyncOrder::Early, AsyncOrder::Random(5)] {
        let bench = Bench::with(MachineOptions { async_order, ..MachineOptions::new(Arch::Sm90a) });
        for k in [100, 768, 900] {
            for blocks in [1, 2, 3] {
                let out = Out::ALL[cases % 4];
                Case { out, blocks, bias: true, ..Case::new(WGMMA, (70, 600, k)) }.check(&bench, false);
                cases += 1;
            }
        }
        Case { blocks: 1, ..Case::new(WGMMA, (9, 16 * 128, 100)) }.check(&bench, false);
        cases += 1;
    }
    assert_eq!(cases, 30);
}

/// The PTX for sm_80 is what later devices run too.
#[test]
fn mma_runs_on_later_devices() {
    for arch in [Arch::Sm89, Arch::Sm90a] {
        let bench = Bench::new(arch);
        for entry in MMA {
            Case { out: Out::F16, ..Case::new(entry, (33, 70, 300)) }.check(&bench, false);
        }
    }
}

#[test]
fn slices_of_k_add_up_exactly() {
    let bench = Bench::new(Arch::Sm80);
    for entry in MMA {
        for (split, out) in [(2, Out::S32), (3, Out::F16), (4, Out::F32), (5, Out::Bf16)] {
            for shape in [(1, 65, 1000), (37, 130, 700)] {
                Case { split, out, bias: split % 2 == 0, pad: split % 3, ..Case::new(entry, shape) }
                    .check(&bench, false);
            }
        }
    }
}

/// Copies and products that take effect as early as they may, or at random, find no slot still in use.
#[test]
fn copies_may_land_at_any_time() {
    for async_order in [AsyncOrder::Early, AsyncOrder::Random(1), AsyncOrder::Random(2), AsyncOrder::Random(3)] {
        let bench = Bench::with(MachineOptions { async_order, ..MachineOptions::new(Arch::Sm80) });
        for entry in MMA {
            for split in [1, 3] {
                Case { split, out: Out::F16, ..Case::new(entry, (130, 72, 1200)) }.check(&bench, false);
            }
        }
        let bench = Bench::with(MachineOptions { async_order, ..MachineOptions::new(Arch::Sm90a) });
        Case { out: Out::F16, ..Case::new(WGMMA, (130, 72, 1200)) }.check(&bench, false);
    }
}

/// Each of these compares every byte with the same expected values, so all give the same bits.
#[test]
fn neither_vector_instructions_nor_threads_change_a_bit() {
    for simd in [Simd::Portable, Simd::Avx2, Simd::Avx512] {
        for threads in [1, 2] {
            let options =
                |arch| MachineOptions { simd: Some(simd), threads: Some(threads), ..MachineOptions::new(arch) };
            let mma = Bench::with(options(Arch::Sm80));
            let wgmma = Bench::with(options(Arch::Sm90a));
            for out in [Out::F16, Out::S32] {
                let case = Case { out, bias: true, ..Case::new(MMA[0], (200, 150, 333)) };
                case.check(&mma, false);
                Case { entry: WGMMA, ..case }.check(&wgmma, false);
            }
            Case { split: 3, out: Out::F32, ..Case::new(MMA[2], (20, 150, 1000)) }.check(&mma, false);
        }
    }
}

/// Sums that no f32 holds are rounded to nearest, ties to even, before they are scaled.
#[test]
fn sums_beyond_24_bits_are_rounded_once() {
    for (arch, entries) in [(Arch::Sm80, &MMA[..]), (Arch::Sm90a, &[WGMMA])] {
        let bench = Bench::new(arch);
        for &entry in entries {
            for bias in [false, true] {
                Case { out: Out::F32, bias, large: true, ..Case::new(entry, (17, 40, 4097)) }.check(&bench, false);
            }
        }
    }
}

/// The least code squared at the largest K whose sum is exact: nothing saturates or wraps on the way.
#[test]
fn the_largest_sums_are_exact() {
    let k = 131_071;
    let bench = Bench::new(Arch::Sm80);
    for (entry, split) in [(Entry::GemmS8Mma16x64x128, 1), (Entry::GemmS8Mma16x64x128, 32)] {
        let case = Case { split, ..Case::new(entry, (1, 1, k)) };
        let ld = k.next_multiple_of(16);
        let at_a = bench.upload("a", &vec![0x80; ld]);
        let at_d = bench.untouched("d", 4);
        let slice = k.div_ceil(128).div_ceil(split) * 128;
        let (at_partials, at_tickets) =
            (bench.untouched("partials", split * 16 * 64 * 4), bench.upload("tickets", &[0; 4]));
        let word = |x: usize| Arg::Word(x as u32);
        bench.launch(
            entry,
            split as u32,
            entry.row().shared_bytes,
            false,
            &mma(vec![
                ("a", Arg::Long(at_a)),
                ("b", Arg::Long(at_a)),
                ("d", Arg::Long(at_d)),
                ("partials", Arg::Long(at_partials)),
                ("tickets", Arg::Long(at_tickets)),
                ("lda", Arg::Long(ld as u64)),
                ("ldb", Arg::Long(ld as u64)),
                ("ldd", Arg::Long(1)),
                ("m", word(1)),
                ("n", word(1)),
                ("k", word(k)),
                ("split_k", word(split)),
                ("k_slice", word(slice)),
                ("d_type", word(Out::S32 as usize)),
            ]),
        );
        assert_eq!(bench.download(at_d, 4), (k as i32 * 128 * 128).to_le_bytes(), "{case:?}");
        bench.free(&[at_a, at_d, at_partials, at_tickets]);
    }
}

/// No K leaves the bias alone; no operand is touched.
#[test]
fn a_product_over_nothing_is_the_bias() {
    let bench = Bench::new(Arch::Sm80);
    for entry in MMA {
        let (m, n) = (3, 70);
        let bias: Vec<f32> = (0..n).map(|j| j as f32 - 9.5).collect();
        let ones = bench.upload("scales", &bytes_of(&vec![1f32; 70]));
        let at_bias = bench.upload("bias", &bytes_of(&bias));
        let at_d = bench.untouched("d", m * n * 4);
        let tiles = m.div_ceil(entry.row().constant("TILE_M").unwrap() as usize)
            * n.div_ceil(entry.row().constant("TILE_N").unwrap() as usize);
        let word = |x: usize| Arg::Word(x as u32);
        bench.launch(
            entry,
            tiles as u32,
            entry.row().shared_bytes,
            false,
            &mma(vec![
                ("d", Arg::Long(at_d)),
                ("scale_row", Arg::Long(ones)),
                ("scale_col", Arg::Long(ones)),
                ("bias", Arg::Long(at_bias)),
                ("lda", Arg::Long(16)),
                ("ldb", Arg::Long(16)),
                ("ldd", Arg::Long(n as u64)),
                ("m", word(m)),
                ("n", word(n)),
                ("k", word(0)),
                ("k_slice", Arg::Word(entry.row().constant("TILE_K").unwrap())),
                ("d_type", word(Out::F32 as usize)),
            ]),
        );
        assert_eq!(bench.download(at_d, m * n * 4), bytes_of(&bias).repeat(m));
        bench.free(&[ones, at_bias, at_d]);
    }
}
