//! The kernels themselves, on the emulator, with every parameter chosen by hand: tiles, slices and strides that no plan
//! would choose too. Expected values come from plain loops here; nothing of the crate's arithmetic is used.

mod attention;
mod attention_quantize;
mod budget;
mod bytes;
mod checked;
mod gemm_float;
mod gemm_groups;
mod gemm_mma;
mod gemm_s8;
mod merge;
mod mma_edges;
mod mma_entries;
mod mma_traffic;
mod prefill_case;
mod prefill_int8;
mod quantize_columns;
mod quantize_groups;
mod quantize_rows;
mod quantized;
mod sequences;
mod traffic;
mod twins;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use halfbyte::emulator::{Arch, Counters, LaunchConfig, Machine, MachineOptions, Module, Operand, TensorMap};
use halfbyte::kernels;
use halfbyte::manifest::{Entry, Field, ROWS, Row, Target};

/// Byte that memory holds before a kernel writes it.
const UNTOUCHED: u8 = 0xEE;

/// Bytes of host memory that a running block may take.
const BLOCK_BYTES: u64 = 4 << 20;
/// The same of a checked launch.
const CHECKED_BLOCK_BYTES: u64 = 16 << 20;

/// Steps of a launch, far more than any here takes: a kernel that goes astray is to be told soon.
const STEP_LIMIT: u64 = 20_000_000;

#[test]
fn a_running_block_takes_at_most_4_mb() {
    let bench = Bench::new(Arch::Sm90a);
    let mut most = (0, "");
    for row in ROWS {
        let config = LaunchConfig { shared_bytes: row.shared_bytes, ..LaunchConfig::linear(1, row.threads) };
        let bytes = bench.machine.block_bytes(bench.module(row), row.symbol, &config).unwrap();
        assert!((u64::from(row.shared_bytes)..=BLOCK_BYTES).contains(&bytes), "{}: {bytes}", row.symbol);
        most = most.max((bytes, row.symbol));
    }
    println!("the largest block is {} KiB, of {}", most.0 >> 10, most.1);
}

/// A modelled device with the modules of every kernel that it runs.
struct Bench {
    machine: Machine,
    /// By source and target: some entries are only in the module of one.
    modules: HashMap<(&'static str, Target), Module>,
    /// Bytes of each live allocation.
    lengths: RefCell<BTreeMap<u64, usize>>,
}

impl Bench {
    fn new(arch: Arch) -> Bench {
        Bench::with(MachineOptions::new(arch))
    }

    fn with(options: MachineOptions) -> Bench {
        let checked = options.checked || crate::support::checked();
        let options = MachineOptions { step_limit: options.step_limit.min(STEP_LIMIT), checked, ..options };
        let arch = options.arch;
        let serves =
            |t: Target| t.capability() == arch.number() || (!t.arch_specific() && t.capability() < arch.number());
        let modules = kernels::modules()
            .iter()
            .filter(|m| serves(m.target))
            .map(|m| ((m.source, m.target), Module::parse(&text(m)).unwrap_or_else(|e| panic!("{}: {e}", m.source))))
            .collect();
        Bench { machine: Machine::with(options), modules, lengths: RefCell::default() }
    }

    /// The module of the highest target that has an entry.
    fn module(&self, row: &Row) -> &Module {
        let targets = row.targets.iter().filter_map(|target| Some((target, self.modules.get(&(row.source, *target))?)));
        let best = targets.max_by_key(|(target, _)| (target.capability(), target.arch_specific()));
        best.unwrap_or_else(|| panic!("no module for {}", row.symbol)).1
    }

    /// Memory that nothing has written.
    fn fresh(&self, name: &str, bytes: usize) -> u64 {
        let at = self.machine.alloc(bytes, name).unwrap();
        self.lengths.borrow_mut().insert(at, bytes);
        at
    }

    fn upload(&self, name: &str, data: &[u8]) -> u64 {
        let at = self.fresh(name, data.len());
        self.machine.write(at, data).unwrap();
        at
    }

    /// Rows of `cols` bytes that start `ld` apart; on a checked machine what lies between is never written.
    fn rows(&self, name: &str, data: &[u8], cols: usize, ld: usize) -> u64 {
        if !self.machine.options().checked {
            return self.upload(name, data);
        }
        let at = self.fresh(name, data.len());
        for (i, row) in data.chunks(ld.max(1)).enumerate() {
            self.machine.write(at + (i * ld) as u64, &row[..cols.min(row.len())]).unwrap();
        }
        at
    }

    fn untouched(&self, name: &str, bytes: usize) -> u64 {
        self.upload(name, &vec![UNTOUCHED; bytes])
    }

    fn download(&self, at: u64, bytes: usize) -> Vec<u8> {
        let mut data = vec![0; bytes];
        self.machine.read(at, &mut data).unwrap();
        data
    }

    fn free(&self, addresses: &[u64]) {
        for &at in addresses.iter().filter(|&&at| at != 0) {
            self.machine.free(at).unwrap();
            self.lengths.borrow_mut().remove(&at);
        }
    }

    /// What parameters point to: from there to the end of the allocation, written only where the manifest says so.
    fn operands(&self, entry: Entry, args: &[(&str, Arg)]) -> Vec<Operand<'static>> {
        let lengths = self.lengths.borrow();
        let fields = entry.row().params.fields.iter();
        let given = |name: &str| args.iter().find(|(n, _)| *n == name).map(|(_, arg)| arg);
        let operand = |&(name, field, _): &(&'static str, Field, _)| {
            // What is added may be the output itself, which is then no input.
            if let ("c", Some(Arg::Long(c)), Some(Arg::Long(d))) = (name, given("c"), given("d"))
                && c == d
            {
                return None;
            }
            let address = match &args.iter().find(|(n, _)| *n == name)?.1 {
                Arg::Map(map) => TensorMap::from_bytes(map).unwrap().address,
                Arg::Long(at) if matches!(field, Field::Ptr | Field::PtrMut) && *at != 0 => *at,
                _ => return None,
            };
            let (start, len) = lengths.range(..=address).next_back()?;
            Some(Operand { name, address, bytes: start + *len as u64 - address, write: field == Field::PtrMut })
        };
        fields.filter_map(operand).collect()
    }

    /// Launches an entry with parameters given by name; panics with the emulator's report, or all of them.
    fn launch(&self, entry: Entry, grid: u32, shared_bytes: u32, count: bool, args: &[(&str, Arg)]) -> Counters {
        let row = entry.row();
        let config =
            LaunchConfig { grid: [grid, 1, 1], block: [row.threads, 1, 1], cluster: [1; 3], shared_bytes, count };
        let module = self.module(row);
        let launched =
            self.machine.launch_with(module, row.symbol, &config, &block(entry, args), &self.operands(entry, args));
        let counters = launched.unwrap_or_else(|e| panic!("{e}"));
        let reports: Vec<String> = counters.reports.iter().map(ToString::to_string).collect();
        assert!(reports.is_empty(), "{}:\n{}", row.symbol, reports.join("\n"));
        // Copies under way included.
        let bytes = counters.block_bytes;
        let most = if self.machine.options().checked { CHECKED_BLOCK_BYTES } else { BLOCK_BYTES };
        assert!((1..=most).contains(&bytes), "{}: a block took {bytes} bytes", row.symbol);
        counters
    }
}

/// The PTX of a module: from the folder `HALFBYTE_TEST_PTX` if that is set (laid out as `export_kernels` writes it), so
/// that a changed kernel can be tried without building the crate; else what is embedded.
fn text(module: &kernels::Module) -> Cow<'static, str> {
    match std::env::var_os("HALFBYTE_TEST_PTX") {
        None => module.ptx.into(),
        Some(folder) => {
            let file = Path::new(&folder).join(module.file());
            fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).into()
        }
    }
}

/// A parameter's value.
enum Arg {
    Map([u8; 128]),
    Word(u32),
    Long(u64),
}

/// The parameter block of an entry; every field must be given once.
fn block(entry: Entry, args: &[(&str, Arg)]) -> Vec<u8> {
    let params = entry.row().params;
    assert_eq!(args.len(), params.fields.len(), "{}", params.name);
    let mut bytes = vec![0; params.size()];
    for (index, (name, field, _)) in params.fields.iter().enumerate() {
        let (_, arg) = args.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}"));
        let value = match arg {
            Arg::Map(map) if *field == Field::TensorMap => map.to_vec(),
            Arg::Word(w) if matches!(field, Field::U32 | Field::F32) => w.to_le_bytes().to_vec(),
            Arg::Long(l) if field.size() == 8 => l.to_le_bytes().to_vec(),
            _ => panic!("{name} is a {field:?}"),
        };
        let at = params.offset(index);
        bytes[at..at + value.len()].copy_from_slice(&value);
    }
    bytes
}

/// Arguments of a product by mma with what `given` leaves out as if it were not there: null pointers, strides 0 between
/// the matrices of a batch, a scale and a zero point for each row and column, alpha 1, beta 0, aligned operands.
fn mma(given: Vec<(&'static str, Arg)>) -> Vec<(&'static str, Arg)> {
    let mut args = given;
    for (name, field, _) in halfbyte::manifest::GEMM_MMA.fields {
        if args.iter().any(|(given, _)| given == name) {
            continue;
        }
        args.push((
            name,
            match (*name, field.size()) {
                ("a_unit" | "b_unit", _) => Arg::Word(16),
                ("row_step" | "col_step", _) => Arg::Word(1),
                ("split_k", _) => Arg::Word(1),
                ("k_group_shift", _) => Arg::Word(7),
                ("alpha", _) => Arg::Word(1f32.to_bits()),
                (_, 8) => Arg::Long(0),
                _ => Arg::Word(0),
            },
        ));
    }
    args
}

/// False for entries of other sources than the one that `HALFBYTE_TEST_SOURCE` names, as the program that plants faults
/// does: what a kernel's entries are tested by need not run the others'.
fn tried(row: &Row) -> bool {
    std::env::var("HALFBYTE_TEST_SOURCE").map_or(true, |source| row.source == source)
}

/// Repeatable numbers (xorshift64*).
struct Random(u64);

impl Random {
    /// Seeded by what the case is called.
    fn new(case: &str) -> Random {
        Random(case.bytes().fold(0x9E37_79B9_7F4A_7C15, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3)) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// Every code, −128 too.
    fn code(&mut self) -> i8 {
        self.next() as u8 as i8
    }

    /// In [−1, 1), many bits used.
    fn float(&mut self) -> f32 {
        (self.next() as u32 as i32) as f32 / 2f32.powi(31)
    }
}

fn bytes_of<T: bytemuck::Pod>(values: &[T]) -> Vec<u8> {
    bytemuck::cast_slice(values).to_vec()
}
