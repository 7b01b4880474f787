//! Finds a race in a kernel that is not this crate's: load a `.ptx` file, run an entry of it checked, read the reports.
//!
//!     nvcc -ptx -arch=compute_80 -lineinfo reduction.cu -o reduction.ptx
//!     cargo run --release --example find_a_race [reduction.ptx]
//!
//! `reduction.cu` sums an array in shared memory twice: as it should be, and with a `__syncthreads` left out. On a
//! GPU the second may give the right sum on most days. The emulator says what is wrong with it, and on which lines.

use halfbyte::emulator::{Arch, Fault, LaunchConfig, Machine, MachineOptions, Module, Report};

const N: usize = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/reduction.ptx");
    let path = std::env::args().nth(1).unwrap_or(file.to_string());
    let module = Module::parse(&std::fs::read_to_string(&path)?)?;
    for entry in ["sum", "sum_racy"] {
        let (sum, reports) = run(&module, entry)?;
        println!("{entry}: {sum} (of the numbers 0 to 6 in turn), {} findings", reports.len());
        for report in reports {
            println!("\n{report}");
        }
        println!();
    }
    Ok(())
}

/// Runs an entry `(const float* x, int n, float* out)` on one block, and returns the sum and what was found.
pub fn run(module: &Module, entry: &str) -> Result<(f32, Vec<Report>), Fault> {
    let machine = Machine::with(MachineOptions { checked: true, ..MachineOptions::new(Arch::Sm80) });
    let x = machine.alloc(4 * N, "x")?;
    let out = machine.alloc(4, "out")?;
    let numbers: Vec<f32> = (0..N).map(|i| (i % 7) as f32).collect();
    machine.write(x, bytemuck::cast_slice(&numbers))?;

    // The parameters as a C structure would hold them: each at a multiple of its size.
    let mut params = x.to_le_bytes().to_vec();
    params.extend_from_slice(&(N as i32).to_le_bytes());
    params.extend_from_slice(&[0; 4]);
    params.extend_from_slice(&out.to_le_bytes());
    let counters = machine.launch(module, entry, &LaunchConfig::linear(1, 256), &params)?;

    let mut sum = [0; 4];
    machine.read(out, &mut sum)?;
    Ok((f32::from_le_bytes(sum), counters.reports))
}
