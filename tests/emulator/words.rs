//! Runs a block of threads over words: for instructions whose operands belong to a whole warp or block.

use halfbyte::emulator::{Arch, AsyncOrder, Fault, LaunchConfig, Machine, MachineOptions, Module, Simd};

/// A kernel of one block. `body` finds its thread in `%t`, the addresses of word `%t` of the input and of the output in
/// `%in` and `%out`, the address of 16 KiB of shared memory (aligned to 1024) in `%s`, and registers `%r`, `%rd`, `%p`.
pub struct Block {
    pub threads: u32,
    pub body: String,
    pub out_words: usize,
}

/// Every way in which the emulator may run: vector instructions, and when asynchronous work lands.
pub fn machines() -> Vec<Machine> {
    let mut machines = Vec::new();
    for simd in super::harness::LEVELS {
        for async_order in [AsyncOrder::Late, AsyncOrder::Early] {
            machines.push(machine(simd, async_order));
        }
    }
    machines
}

pub fn machine(simd: Simd, async_order: AsyncOrder) -> Machine {
    let options = MachineOptions::new(Arch::Sm90a);
    Machine::with(MachineOptions { threads: Some(1), simd: Some(simd), async_order, ..options })
}

impl Block {
    pub fn run(&self, machine: &Machine, input: &[u32]) -> Result<Vec<u32>, Fault> {
        let ptx = format!(
            "{}.visible .entry k(.param .u64 out, .param .u64 in)\n{{\n\
             .reg .b32 %r<200>, %t, %s; .reg .b64 %rd<32>, %in, %out; .reg .pred %p<8>;\n\
             .shared .align 1024 .b8 shared[16384];\n\
             mov.u32 %t, %tid.x; mov.u32 %s, shared; mul.wide.u32 %rd0, %t, 4;\n\
             ld.param.u64 %out, [out]; ld.param.u64 %in, [in];\n\
             add.u64 %out, %out, %rd0; add.u64 %in, %in, %rd0;\n{}\nret;\n}}\n",
            super::harness::HEAD,
            self.body
        );
        let module = Module::parse(&ptx).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
        let from = machine.alloc(4 * input.len(), "in")?;
        let to = machine.alloc(4 * self.out_words, "out")?;
        machine.write(from, &input.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())?;
        let params = [to.to_le_bytes(), from.to_le_bytes()].concat();
        machine.launch(&module, "k", &LaunchConfig::linear(1, self.threads), &params)?;
        let mut out = vec![0; 4 * self.out_words];
        machine.read(to, &mut out)?;
        Ok(out.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
    }
}

/// Loads `count` registers from `%r<first>` on: word `threads * i + t` of the input, after `skip` words.
pub fn load(first: usize, count: usize, threads: u32, skip: usize) -> String {
    (0..count)
        .map(|i| format!("ld.global.b32 %r{}, [%in+{}];\n", first + i, 4 * (skip + i * threads as usize)))
        .collect()
}

/// Stores them the same way.
pub fn store(first: usize, count: usize, threads: u32) -> String {
    (0..count).map(|i| format!("st.global.b32 [%out+{}], %r{};\n", 4 * i * threads as usize, first + i)).collect()
}

/// A list of registers as an instruction names it: `{%r3, %r4}`.
pub fn list(first: usize, count: usize) -> String {
    let names: Vec<String> = (first..first + count).map(|r| format!("%r{r}")).collect();
    format!("{{{}}}", names.join(", "))
}

/// A fixed sequence of words.
pub struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 32) as u32
    }
}
