//! Runs PTX snippets on many inputs at once and compares with values worked out from the PTX ISA.

use halfbyte::emulator::{Arch, AsyncOrder, LaunchConfig, Machine, MachineOptions, Module, Simd};

/// One instruction form: a snippet that reads `{a}`, `{b}`, `{c}` and writes `{d}`, the register kinds of
/// destination and sources (`h` 16, `r` 32, `f` f32, `d` 64 bits), and rows of inputs and the expected result.
pub struct Form {
    pub text: &'static str,
    pub kinds: &'static str,
    pub rows: Vec<(Vec<u64>, u64)>,
}

/// A form whose rows have the inputs first and the result last.
pub fn form<const N: usize>(text: &'static str, kinds: &'static str, rows: &[[u64; N]]) -> Form {
    let split = |row: &[u64; N]| (row[..N - 1].to_vec(), row[N - 1]);
    Form { text, kinds, rows: rows.iter().map(split).collect() }
}

pub fn options(arch: Arch, threads: usize, simd: Option<Simd>) -> MachineOptions {
    MachineOptions { threads: Some(threads), simd, async_order: AsyncOrder::Late, ..MachineOptions::new(arch) }
}

pub const HEAD: &str = ".version 8.4\n.target sm_90a\n.address_size 64\n";

/// The vector instructions to try; those that this computer lacks fall back to the next.
pub const LEVELS: [Simd; 3] = [Simd::Portable, Simd::Avx2, Simd::Avx512];

fn declared(kind: u8, name: &str) -> String {
    let ty = match kind {
        b'h' => "b16",
        b'r' => "b32",
        b'f' => "f32",
        b'd' => "b64",
        b'g' => "f64",
        other => panic!("no register kind {}", char::from(other)),
    };
    format!(".reg .{ty} %v{name};\n")
}

fn memory_type(kind: u8) -> &'static str {
    match kind {
        b'h' => "b16",
        b'r' => "b32",
        b'f' => "f32",
        b'g' => "f64",
        _ => "b64",
    }
}

/// The kernel of a form: every thread loads its inputs from slots of 8 bytes, runs the snippet, stores the result.
pub fn kernel(text: &str, kinds: &str) -> String {
    let kinds = kinds.as_bytes();
    let names = ["d", "a", "b", "c", "e"];
    let mut ptx = format!("{HEAD}.visible .entry k(.param .u64 out, .param .u64 in, .param .u64 pitch)\n{{\n");
    ptx += ".reg .b32 %t<2>; .reg .b64 %p<9>;\n";
    for (kind, name) in kinds.iter().zip(names) {
        ptx += &declared(*kind, name);
    }
    ptx += "ld.param.u64 %p0, [out]; ld.param.u64 %p1, [in]; ld.param.u64 %p4, [pitch];\n";
    ptx += "mov.u32 %t0, %tid.x; mov.u32 %t1, %ctaid.x; shl.b32 %t1, %t1, 5; add.u32 %t0, %t0, %t1;\n";
    ptx += "mul.wide.u32 %p2, %t0, 8; add.u64 %p0, %p0, %p2; add.u64 %p1, %p1, %p2;\n";
    for (kind, name) in kinds.iter().zip(names).skip(1) {
        ptx += &format!("ld.global.{} %v{name}, [%p1]; add.u64 %p1, %p1, %p4;\n", memory_type(*kind));
    }
    let mut body = text.to_string();
    for name in names {
        body = body.replace(&format!("{{{name}}}"), &format!("%v{name}"));
    }
    ptx += &format!(
        "{{\n.reg .pred %q<4>; .reg .b32 %x<8>; .reg .b16 %y<8>; .reg .b64 %z<8>; .reg .f32 %f<4>;\n{body}\n}}\n"
    );
    ptx += &format!("st.global.{} [%p0], %vd;\nret;\n}}\n", memory_type(kinds[0]));
    ptx
}

/// Results of a snippet for rows of inputs.
pub fn run(machine: &Machine, text: &str, kinds: &str, rows: &[Vec<u64>]) -> Vec<u64> {
    let ptx = kernel(text, kinds);
    let module = Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
    let padded = rows.len().next_multiple_of(32);
    let sources = kinds.len() - 1;
    let mut data = vec![0u8; padded * 8 * sources];
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row.len(), sources, "{text}");
        for (k, value) in row.iter().enumerate() {
            data[(k * padded + i) * 8..][..8].copy_from_slice(&value.to_le_bytes());
        }
    }
    let input = machine.alloc(data.len(), "in").unwrap();
    let output = machine.alloc(padded * 8, "out").unwrap();
    machine.write(input, &data).unwrap();
    machine.fill(output, 0, padded * 8).unwrap();
    let mut params = Vec::new();
    for value in [output, input, 8 * padded as u64] {
        params.extend_from_slice(&value.to_le_bytes());
    }
    let config = LaunchConfig::linear((padded / 32) as u32, 32);
    machine.launch(&module, "k", &config, &params).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
    let mut out = vec![0u8; padded * 8];
    machine.read(output, &mut out).unwrap();
    machine.free(input).unwrap();
    machine.free(output).unwrap();
    out.chunks_exact(8).take(rows.len()).map(|c| u64::from_le_bytes(c.try_into().unwrap())).collect()
}

/// Runs every row of every form at every level and returns how many rows there were.
pub fn check(forms: &[Form]) -> usize {
    let mut cases = 0;
    for level in LEVELS {
        let machine = Machine::with(options(Arch::Sm90a, 1, Some(level)));
        for Form { text, kinds, rows } in forms {
            let inputs: Vec<Vec<u64>> = rows.iter().map(|(inputs, _)| inputs.clone()).collect();
            let results = run(&machine, text, kinds, &inputs);
            for ((inputs, want), got) in rows.iter().zip(results) {
                assert_eq!(got, *want, "{text} of {inputs:#x?} gives {got:#x}, expected {want:#x} ({level})");
            }
        }
    }
    for Form { rows, .. } in forms {
        cases += rows.len();
    }
    cases
}
