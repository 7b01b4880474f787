//! Every tile of every product by `mma` against plain loops: elements, directions of K, alignments, batches, and all
//! that the epilogue may be asked for. Operands are small integers, so that sums are exact and so is every output.

use half::{bf16, f16};
use halfbyte::emulator::{Arch, AsyncOrder, Counters, MachineOptions};
use halfbyte::manifest::{Entry, Row};

use super::gemm_groups::Groups;
use super::mma_entries::{Element, entries, floor, kind, of_every_entry};
use super::{Arg, Bench, Random, UNTOUCHED, bytes_of, mma};

/// Scales, and where they come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    None,
    One,
    Each,
}

/// What is added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Addend {
    None,
    Other,
    Output,
}

/// One launch.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub entry: Entry,
    pub shape: (usize, usize, usize),
    pub batch: usize,
    /// One b, scales and bias for the whole batch.
    pub shared: bool,
    pub split: usize,
    /// `d_type`: 0 f32, 1 f16, 2 bf16, 3 s32.
    pub out: usize,
    /// Alignment of a and b: 16, 4, or less for an element's own.
    pub units: [usize; 2],
    pub scales: [Scale; 2],
    pub bias: bool,
    pub addend: Addend,
    pub alpha: f32,
    pub zeros: Scale,
    /// Of kernels that sum by groups of K.
    pub groups: Option<Groups>,
    /// Columns of d's rows beyond N, and elements that d starts past an aligned address.
    pub pad: usize,
    pub offset: usize,
    /// Where c is another matrix: elements that it starts past d's place, and columns of its rows beyond those of d's.
    pub addend_at: [usize; 2],
}

/// A matrix of a batch in memory.
struct Placed {
    /// Address of the first element.
    at: u64,
    owned: u64,
    ld: usize,
    stride: usize,
    unit: usize,
    values: Vec<i32>,
}

impl Case {
    pub fn new(entry: Entry, shape: (usize, usize, usize)) -> Case {
        Case {
            entry,
            shape,
            batch: 1,
            shared: false,
            split: 1,
            out: 0,
            units: [16; 2],
            scales: [Scale::None; 2],
            bias: false,
            addend: Addend::None,
            alpha: 1.0,
            zeros: Scale::None,
            groups: Groups::has(entry.row()).then(|| Groups::of_shape(shape)),
            pad: 0,
            offset: 0,
            addend_at: [4, 8],
        }
    }

    fn tile(&self, name: &str) -> usize {
        self.entry.row().constant(name).unwrap() as usize
    }

    /// Puts `count` matrices [height, K] of small integers into memory, as the kernel wants them: `unit` says how they
    /// are aligned, and not better. What lies between the rows is no number, and on a checked machine never written.
    #[allow(clippy::too_many_arguments)] // what a matrix is
    fn operand(
        &self,
        bench: &Bench,
        random: &mut Random,
        name: &str,
        element: Element,
        down: bool,
        unit: usize,
        height: usize,
        count: usize,
    ) -> Placed {
        let (k, size) = (self.shape.2, element.size());
        let unit = if unit < 4 { size } else { unit };
        let (rows, cols) = if down { (k, height) } else { (height, k) };
        // A multiple of the unit that is no multiple of twice that, except where the best is asked for.
        let odd = |bytes: usize| match unit {
            16 => bytes.next_multiple_of(16) + 16,
            _ => bytes.next_multiple_of(2 * unit) + unit,
        };
        let (shift, ld) = (if unit == 16 { 0 } else { unit }, odd(cols * size));
        let stride = odd(rows * ld);
        let values: Vec<i32> = (0..count * height * k).map(|_| (random.next() % 9) as i32 - 4).collect();
        let mut bytes = vec![0x7F; shift + count * stride];
        let mut written = Vec::new();
        for matrix in 0..count {
            for row in 0..rows {
                let start = shift + matrix * stride + row * ld;
                for col in 0..cols {
                    let (i, step) = if down { (col, row) } else { (row, col) };
                    let value = values[(matrix * height + i) * k + step];
                    bytes[start + col * size..][..size].copy_from_slice(&element.encode(value));
                }
                written.push(start..start + cols * size);
            }
        }
        let owned = bench.fresh(name, bytes.len());
        if bench.machine.options().checked {
            for range in written {
                bench.machine.write(owned + range.start as u64, &bytes[range]).unwrap();
            }
        } else {
            bench.machine.write(owned, &bytes).unwrap();
        }
        Placed { at: owned + shift as u64, owned, ld, stride, unit, values }
    }

    /// Runs it, compares every byte of the output's buffer, and returns what was counted.
    pub fn check(&self, bench: &Bench, count: bool) -> Counters {
        let Case { entry, shape: (m, n, k), batch, shared, out, .. } = *self;
        let row = entry.row();
        let (elements, downs) = kind(row);
        let mut random = Random::new(&format!("{self:?}"));
        let others = if shared { 1 } else { batch };
        let a = self.operand(bench, &mut random, "a", elements[0], downs[0], self.units[0], m, batch);
        let b = self.operand(bench, &mut random, "b", elements[1], downs[1], self.units[1], n, others);

        let mut floats = |len: usize| -> Vec<f32> { (0..len).map(|_| random.float()).collect() };
        let count_of = |scale: Scale, len: usize| match scale {
            Scale::None => 0,
            Scale::One => 1,
            Scale::Each => len,
        };
        let scale_row = floats(batch * count_of(self.scales[0], m));
        let scale_col = floats(others * count_of(self.scales[1], n));
        let bias = floats(if self.bias { others * n } else { 0 });
        let addend: Vec<f32> = floats(batch * m * n);
        let zeros: Vec<i32> =
            (0..batch * count_of(self.zeros, m)).map(|_| (random.next() % 255) as i32 - 127).collect();
        let sums: Vec<i32> = b.values.chunks(k.max(1)).map(|row| row.iter().sum()).collect();
        let sums = if zeros.is_empty() { vec![] } else { sums };

        // The outputs of f16 and bf16 hold what such an element can; c too.
        let size = if matches!(out, 1 | 2) { 2 } else { 4 };
        let narrow = |x: f32| match out {
            1 => f16::from_f32(x).to_f32(),
            2 => bf16::from_f32(x).to_f32(),
            _ => x,
        };
        let store = |x: f32| match out {
            1 => f16::from_f32(x).to_le_bytes().to_vec(),
            2 => bf16::from_f32(x).to_le_bytes().to_vec(),
            _ => x.to_le_bytes().to_vec(),
        };
        let ldd = n + self.pad;
        let stride_d = m * ldd + 4;
        let bytes = (self.offset + batch * stride_d) * size;
        let place = |matrix: usize, i: usize, j: usize| (self.offset + matrix * stride_d + i * ldd + j) * size;
        let [ahead, wider] = if self.addend == Addend::Other { self.addend_at } else { [0; 2] };
        let (first_c, ldc) = (self.offset + ahead, ldd + wider);
        let stride_c = m * ldc + 4 * usize::from(wider > 0) + 4;
        let mut before = vec![UNTOUCHED; (first_c + batch * stride_c) * size];
        if self.addend != Addend::None {
            for (at, &value) in addend.iter().enumerate() {
                let (matrix, i, j) = (at / (m * n), at / n % m, at % n);
                let at = (first_c + matrix * stride_c + i * ldc + j) * size;
                before[at..][..size].copy_from_slice(&store(value));
            }
        }
        let at_d = match self.addend {
            Addend::Output => bench.upload("d", &before),
            _ => bench.untouched("d", bytes),
        };
        let at_c = if self.addend == Addend::Other { bench.upload("c", &before) } else { 0 };
        let upload = |name: &str, data: Vec<u8>| if data.is_empty() { 0 } else { bench.upload(name, &data) };
        let at_rows = upload("scale_row", bytes_of(&scale_row));
        let at_cols = upload("scale_col", bytes_of(&scale_col));
        let at_bias = upload("bias", bytes_of(&bias));
        let at_zeros = upload("zero_row", bytes_of(&zeros));
        let at_sums = upload("column_sums", bytes_of(&sums));

        let tiles = m.div_ceil(self.tile("TILE_M")) * n.div_ceil(self.tile("TILE_N")) * batch;
        let tile_k = self.tile("TILE_K");
        let slice = k.div_ceil(tile_k).div_ceil(self.split).max(1) * tile_k * elements[0].size();
        let partials = tiles * self.split * self.tile("TILE_M") * self.tile("TILE_N") * 4;
        let (at_partials, at_tickets) = match self.split {
            1 => (0, 0),
            _ => (bench.fresh("partials", partials), bench.upload("tickets", &vec![0; tiles * 4])),
        };
        let first = |at: u64| if at == 0 { 0 } else { at + (self.offset * size) as u64 };
        let long = |x: usize| Arg::Long(x as u64);
        let word = |x: usize| Arg::Word(x as u32);
        let step = |scale: Scale| word((scale != Scale::One).into());
        // Between matrices: a vector for each, unless all share one.
        let vector = |scale: Scale, len: usize, own: bool| long(if own { count_of(scale, len) } else { 0 });
        let row_scale = if self.scales[0] == Scale::None { self.zeros } else { self.scales[0] };
        let groups = self.groups.map(|groups| (groups, groups.place(bench, self.shape, batch)));
        let mut args = vec![
            ("a", Arg::Long(a.at)),
            ("b", Arg::Long(b.at)),
            (
                "c",
                Arg::Long(if self.addend == Addend::Output {
                    first(at_d)
                } else {
                    first(at_c) + (ahead * size) as u64
                }),
            ),
            ("d", Arg::Long(first(at_d))),
            ("scale_row", Arg::Long(at_rows)),
            ("scale_col", Arg::Long(at_cols)),
            ("bias", Arg::Long(at_bias)),
            ("zero_row", Arg::Long(at_zeros)),
            ("column_sums", Arg::Long(at_sums)),
            ("partials", Arg::Long(at_partials)),
            ("tickets", Arg::Long(at_tickets)),
            ("lda", long(a.ld)),
            ("ldb", long(b.ld)),
            ("ldc", long(ldc)),
            ("ldd", long(ldd)),
            ("batch_a", long(a.stride)),
            ("batch_b", long(if shared { 0 } else { b.stride })),
            ("batch_c", long(stride_c)),
            ("batch_d", long(stride_d)),
            ("batch_row", vector(row_scale, m, true)),
            ("batch_col", vector(self.scales[1], n, !shared)),
            ("batch_bias", vector(Scale::Each, n, !shared)),
            ("batch_sums", vector(Scale::Each, n, !shared)),
            ("m", word(m)),
            ("n", word(n)),
            ("k", word(k * elements[0].size())),
            ("split_k", word(self.split)),
            ("k_slice", word(slice)),
            ("d_type", word(out)),
            ("a_unit", word(a.unit)),
            ("b_unit", word(b.unit)),
            ("row_step", step(row_scale)),
            ("col_step", step(self.scales[1])),
            ("alpha", Arg::Word(self.alpha.to_bits())),
            ("beta", Arg::Word(BETA.to_bits())),
        ];
        let groups = groups.map(|(groups, mut given)| {
            args.append(&mut given.args);
            (groups, given)
        });
        let args = mma(args);
        let counters = bench.launch(entry, (tiles * self.split) as u32, row.shared_bytes, count, &args);

        let mut expected = vec![UNTOUCHED; bytes];
        let of = |values: &[f32], scale: Scale, matrix: usize, i: usize, len: usize| match scale {
            Scale::None => 1.0,
            Scale::One => values[matrix],
            Scale::Each => values[matrix * len + i],
        };
        for matrix in 0..batch {
            let other = if shared { 0 } else { matrix };
            for i in 0..m {
                for j in 0..n {
                    let pairs =
                        || a.values[(matrix * m + i) * k..][..k].iter().zip(&b.values[(other * n + j) * k..][..k]);
                    let mut sum: i32 = pairs().map(|(x, y)| x * y).sum();
                    match self.zeros {
                        Scale::None => {}
                        Scale::One => sum -= zeros[matrix] * sums[other * n + j],
                        Scale::Each => sum -= zeros[matrix * m + i] * sums[other * n + j],
                    }
                    let scale =
                        of(&scale_row, self.scales[0], matrix, i, m) * of(&scale_col, self.scales[1], other, j, n);
                    let total = match &groups {
                        None => sum as f32,
                        Some((groups, given)) => given.sum(groups, slice, [matrix, i, j], pairs().map(|(x, y)| x * y)),
                    };
                    let mut value = self.alpha * (total * scale);
                    if self.addend != Addend::None {
                        value += BETA * narrow(addend[(matrix * m + i) * n + j]);
                    }
                    if self.bias {
                        value += bias[other * n + j];
                    }
                    let element = if out == 3 { sum.to_le_bytes().to_vec() } else { store(value) };
                    expected[place(matrix, i, j)..][..size].copy_from_slice(&element);
                }
            }
        }
        let got = bench.download(at_d, bytes);
        if let Some(byte) = (0..bytes).find(|&i| got[i] != expected[i]) {
            let at = (byte / size).saturating_sub(self.offset);
            let (matrix, i, j) = (at / stride_d, at % stride_d / ldd, at % stride_d % ldd);
            let here = byte / size * size..(byte / size + 1) * size;
            let (is, should) = (&got[here.clone()], &expected[here]);
            panic!("{self:?} ({}): d[{matrix}][{i}, {j}] is {is:02x?}, not {should:02x?}", row.symbol);
        }
        let owned =
            [a.owned, b.owned, at_c, at_d, at_rows, at_cols, at_bias, at_zeros, at_sums, at_partials, at_tickets];
        bench.free(&owned);
        bench.free(&groups.map_or([0; 2], |(_, given)| given.owned));
        counters
    }
}

const BETA: f32 = -0.625;

/// Runs `cases` of every row on the least device that has it.
pub fn each(options: MachineOptions, mut cases: impl FnMut(&Bench, &'static Row)) {
    let benches = [Arch::Sm80, Arch::Sm89].map(|arch| (arch, Bench::with(MachineOptions { arch, ..options })));
    for row in entries() {
        let (_, bench) = benches.iter().find(|(arch, _)| *arch == floor(row)).unwrap();
        cases(bench, row);
    }
}

pub fn late() -> MachineOptions {
    MachineOptions::new(Arch::Sm80)
}

/// Ragged shapes, the longer of which wrap every ring twice; outputs of each kind; all that can be absent, there and
/// not.
#[test]
fn every_tile_is_exact_on_ragged_shapes() {
    let shapes = [(1, 1, 1), (5, 130, 17), (16, 64, 128), (129, 127, 63), (77, 200, 520), (130, 33, 310)];
    let mut cases = 0;
    each(late(), |bench, row| {
        for (s, shape) in shapes.into_iter().enumerate() {
            let scale = [Scale::Each, Scale::None, Scale::One];
            let case = Case {
                out: (cases + s) % 3,
                scales: [scale[(s + cases) % 3], scale[(s / 2 + cases) % 3]],
                bias: s % 2 == 0,
                addend: [Addend::None, Addend::Other, Addend::Output][(s + cases / 5) % 3],
                alpha: [1.0, -1.75][s % 2],
                pad: [0, 3, 4, 8][(s + cases) % 4],
                offset: [0, 0, 1, 4][(s + 2 * cases) % 4],
                ..Case::new(row.entry, shape)
            };
            case.check(bench, false);
            cases += 1;
        }
    });
    assert_eq!(cases, of_every_entry(6));
}

/// Operands at every alignment, each side by itself and both.
#[test]
fn no_alignment_is_needed() {
    let mut cases = 0;
    each(late(), |bench, row| {
        for (s, units) in [[4, 16], [16, 4], [4, 4], [1, 16], [16, 1], [1, 4], [1, 1]].into_iter().enumerate() {
            let shape = [(33, 70, 147), (19, 65, 301)][s % 2];
            Case { units, scales: [Scale::Each; 2], ..Case::new(row.entry, shape) }.check(bench, false);
            cases += 1;
        }
    });
    assert_eq!(cases, of_every_entry(7));
}

/// Slices of K, of a batch too: the tickets and partial sums of each matrix are its own.
#[test]
fn slices_of_k_add_up_in_every_matrix() {
    let mut cases = 0;
    each(late(), |bench, row| {
        for (split, batch) in [(2, 1), (3, 2), (5, 1)] {
            let case = Case { split, batch, out: 1, bias: true, ..Case::new(row.entry, (37, 130, 350)) };
            case.check(bench, false);
            cases += 1;
        }
    });
    assert_eq!(cases, of_every_entry(3));
}

/// Three matrices each with operands, scales and bias of its own, and three that share all but a and d.
#[test]
fn batches_have_their_own_operands_or_share_them() {
    let mut cases = 0;
    each(late(), |bench, row| {
        for shared in [false, true] {
            let scales = [[Scale::Each, Scale::One], [Scale::One, Scale::Each]][usize::from(shared)];
            let addend = [Addend::Other, Addend::Output][usize::from(shared)];
            let case =
                Case { batch: 3, shared, scales, addend, bias: true, pad: 5, ..Case::new(row.entry, (20, 70, 90)) };
            case.check(bench, false);
            cases += 1;
        }
    });
    assert_eq!(cases, of_every_entry(2));
}

/// Zero points of each row and of all: what they added is taken away before the sum becomes a float, or is written as
/// s32.
#[test]
fn zero_points_are_taken_away_exactly() {
    let bench = Bench::new(Arch::Sm80);
    let mut cases = 0;
    for row in entries().filter(|row| row.source == "gemm/gemm_s8_mma") {
        for zeros in [Scale::One, Scale::Each] {
            for (out, split, scales) in [(3, 1, Scale::None), (0, 2, zeros), (1, 1, Scale::None)] {
                let case = Case { zeros, out, split, scales: [scales; 2], ..Case::new(row.entry, (70, 130, 200)) };
                Case { batch: 2, ..case }.check(&bench, false);
                cases += 1;
            }
        }
    }
    assert!(cases == 18 || cases == 0 && of_every_entry(1) < 48, "{cases} cases");
}

/// Copies that take effect as early as they may, or at random, find no slot still in use.
#[test]
fn copies_may_land_at_any_time() {
    let mut cases = 0;
    for async_order in [AsyncOrder::Early, AsyncOrder::Random(1), AsyncOrder::Random(2)] {
        each(MachineOptions { async_order, ..late() }, |bench, row| {
            for (split, units) in [(1, [16, 16]), (2, [4, 16])] {
                Case { split, units, ..Case::new(row.entry, (40, 72, 400)) }.check(bench, false);
                cases += 1;
            }
        });
    }
    assert_eq!(cases, of_every_entry(3 * 2));
}

/// No K leaves beta times c and the bias; no operand is touched.
#[test]
fn a_product_over_nothing_is_what_is_added() {
    let mut cases = 0;
    each(late(), |bench, row| {
        for addend in [Addend::None, Addend::Other] {
            Case { addend, bias: true, ..Case::new(row.entry, (3, 70, 0)) }.check(bench, false);
            cases += 1;
        }
    });
    assert_eq!(cases, of_every_entry(2));
}
