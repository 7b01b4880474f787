//! The runner: one kernel for a few instruction forms, many rows of inputs a launch, each result compared with what
//! the host works out.

use super::super::harness::{HEAD, LEVELS, options};
use super::inputs::{self, CHUNK, In};
use halfbyte::emulator::{Arch, LaunchConfig, Machine, Module, Simd};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a result must be.
enum Judge {
    /// Exactly this.
    Equals(Box<dyn Fn(In) -> u64>),
    /// Something of which this is true.
    Holds(Box<dyn Fn(In, u64) -> bool>),
}

/// One instruction form.
struct Form {
    /// Register kind of its result.
    kind: u8,
    /// Text that reads `{a}`, `{b}`, `{c}`, `{e}` and writes `{d}`.
    text: String,
    judge: Judge,
}

/// Forms that read the same sources.
pub struct Table {
    sources: &'static str,
    random: bool,
    forms: Vec<Form>,
}

/// Forms a kernel. Results of one form lie `CHUNK` slots of 8 bytes behind those of the one before.
const GROUP: usize = 8;
const NAMES: [&str; 4] = ["a", "b", "c", "e"];

/// Declared type and width of a register kind: integers `h`, `r`, `d` of 16, 32 and 64 bits, `s` a distance or length;
/// floats `e` (f16), `b` (bf16), `f`, `g` (f64); pairs `p` (f16x2) and `q` (bf16x2).
fn register(kind: u8) -> (&'static str, u32) {
    match kind {
        b'h' | b'e' | b'b' => ("b16", 16),
        b'r' | b's' | b'p' | b'q' => ("b32", 32),
        b'f' => ("f32", 32),
        b'd' => ("b64", 64),
        b'g' => ("f64", 64),
        other => panic!("no register kind {}", char::from(other)),
    }
}

static FORMS: AtomicU64 = AtomicU64::new(0);
static CASES: AtomicU64 = AtomicU64::new(0);

impl Table {
    /// A table of forms with these source kinds.
    pub fn new(sources: &'static str) -> Table {
        Table { sources, random: true, forms: Vec::new() }
    }

    /// The same on edge values only.
    pub fn edges(sources: &'static str) -> Table {
        Table { random: false, ..Table::new(sources) }
    }

    /// Adds a form whose result is known exactly.
    pub fn form(&mut self, kind: char, text: impl Into<String>, host: impl Fn(In) -> u64 + 'static) {
        self.forms.push(Form { kind: kind as u8, text: text.into(), judge: Judge::Equals(Box::new(host)) });
    }

    /// Adds a form whose result is only bounded.
    pub fn bound(&mut self, kind: char, text: impl Into<String>, holds: impl Fn(In, u64) -> bool + 'static) {
        self.forms.push(Form { kind: kind as u8, text: text.into(), judge: Judge::Holds(Box::new(holds)) });
    }

    fn kernel(&self, forms: &[Form]) -> String {
        let mut ptx = format!("{HEAD}.visible .entry k(.param .u64 out, .param .u64 in)\n{{\n");
        ptx += ".reg .b32 %t<3>; .reg .b64 %p<4>;\n";
        ptx += "ld.param.u64 %p0, [out]; ld.param.u64 %p1, [in]; mov.u32 %t0, %tid.x; mov.u32 %t1, %ctaid.x;\n";
        ptx +=
            "mad.lo.u32 %t0, %t1, 256, %t0; mul.wide.u32 %p2, %t0, 8; add.u64 %p0, %p0, %p2; add.u64 %p1, %p1, %p2;\n";
        for (i, kind) in self.sources.bytes().enumerate() {
            let (name, (ty, _)) = (NAMES[i], register(kind));
            ptx += &format!(".reg .{ty} %v{name}; ld.global.{ty} %v{name}, [%p1+{}];\n", i * CHUNK * 8);
        }
        for (i, form) in forms.iter().enumerate() {
            let ty = register(form.kind).0;
            let mut body = form.text.replace("{d}", "%vd");
            for name in NAMES {
                body = body.replace(&format!("{{{name}}}"), &format!("%v{name}"));
            }
            ptx += &format!(
                "{{ .reg .{ty} %vd; .reg .pred %q<4>; .reg .b32 %x<8>; .reg .b16 %y<8>; .reg .b64 %z<8>; .reg .b8 %w<4>;\n\
                 {body}\nst.global.{ty} [%p0+{}], %vd; }}\n",
                i * CHUNK * 8
            );
        }
        ptx + "ret;\n}\n"
    }

    /// Runs all forms on all inputs with the best vector instructions, and on the first rows with the others too.
    pub fn run(self, forms: usize) {
        assert_eq!(self.forms.len(), forms, "forms of ({}) that were made", self.sources);
        let chunks = inputs::chunks(self.sources, self.random);
        let rows: usize = chunks.iter().map(Vec::len).sum();
        let best = Simd::best();
        for level in LEVELS.into_iter().filter(|level| *level <= best) {
            let all = chunks.iter().map(Vec::as_slice);
            let some = all
                .clone()
                .take(2)
                .enumerate()
                .map(|(i, rows)| if i == 0 { rows } else { &rows[..4096.min(rows.len())] });
            let chunks: Vec<&[In]> = if level == best { all.collect() } else { some.collect() };
            self.run_on(level, &chunks);
        }
        let forms_so_far = FORMS.fetch_add(forms as u64, Ordering::Relaxed) + forms as u64;
        let cases = CASES.fetch_add((forms * rows) as u64, Ordering::Relaxed) + (forms * rows) as u64;
        println!(
            "({}): {forms} forms of {rows} cases each; so far {forms_so_far} forms, {cases} cases in this process",
            self.sources
        );
    }

    fn run_on(&self, level: Simd, chunks: &[&[In]]) {
        let machine = Machine::with(options(Arch::Sm90a, 1, Some(level)));
        let sources = self.sources.len();
        let mut bytes = Vec::new();
        let buffers: Vec<u64> = chunks
            .iter()
            .map(|rows| {
                bytes.clear();
                for source in 0..sources {
                    for i in 0..CHUNK {
                        bytes.extend_from_slice(&rows[i % rows.len()][source].to_le_bytes());
                    }
                }
                let buffer = machine.alloc(bytes.len(), "in").unwrap();
                machine.write(buffer, &bytes).unwrap();
                buffer
            })
            .collect();
        let out = machine.alloc(GROUP * CHUNK * 8, "out").unwrap();
        machine.fill(out, 0, GROUP * CHUNK * 8).unwrap();
        let mut results = vec![0u64; CHUNK];
        for forms in self.forms.chunks(GROUP) {
            let ptx = self.kernel(forms);
            let module = Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
            for (rows, buffer) in chunks.iter().zip(&buffers) {
                let params = [out.to_le_bytes(), buffer.to_le_bytes()].concat();
                let blocks = rows.len().div_ceil(256) as u32;
                let config = LaunchConfig::linear(blocks, 256);
                machine.launch(&module, "k", &config, &params).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
                for (i, form) in forms.iter().enumerate() {
                    let results = &mut results[..rows.len()];
                    machine.read(out + (i * CHUNK * 8) as u64, as_bytes(results)).unwrap();
                    form.compare(rows, results, level);
                }
            }
        }
    }
}

fn as_bytes(words: &mut [u64]) -> &mut [u8] {
    bytemuck::cast_slice_mut(words)
}

impl Form {
    fn compare(&self, rows: &[In], results: &[u64], level: Simd) {
        let mask = u64::MAX >> (64 - register(self.kind).1);
        match &self.judge {
            Judge::Equals(host) => {
                for (row, got) in rows.iter().zip(results) {
                    let (got, want) = (got & mask, host(*row));
                    assert!(got == want, "{} of {row:#x?} gives {got:#x}, the host {want:#x} ({level})", self.text);
                }
            }
            Judge::Holds(holds) => {
                for (row, got) in rows.iter().zip(results) {
                    let got = got & mask;
                    assert!(holds(*row, got), "{} of {row:#x?} gives {got:#x} ({level})", self.text);
                }
            }
        }
    }
}
