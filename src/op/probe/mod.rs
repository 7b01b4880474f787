//! Runs the probes: what instructions do on a device, as words to keep and to compare.

mod golden;
mod input;
mod product;
mod tile;

pub use golden::Golden;

use crate::device::{Device, Launch};
use crate::manifest::{Entry, Row};
use crate::plan::Geometry;
use crate::plan::probe::plan;
use crate::{Error, Result};

/// What one probe gave.
#[derive(Clone, Debug)]
pub struct ProbeOutput {
    /// Its name, for files and tables: `mma_int8`.
    pub name: &'static str,
    /// The words it was given.
    pub input: Vec<u32>,
    /// The words it wrote; `kernels/probe/` says what they are. None depends on an order that the hardware leaves open.
    pub output: Vec<u32>,
    /// Its kernel.
    pub entry: Entry,
}

/// One probe: a tiny kernel around a few instructions.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    geometry: Geometry,
}

/// Words of output that one checksum stands for where there are very many.
const BLOCK: usize = 256;

impl Probe {
    /// The probes that a device can run.
    pub fn all(device: &Device) -> Vec<Probe> {
        plan(device.facts()).map(|geometry| Probe { geometry }).collect()
    }

    /// Its name, for files and tables: `mma_int8`.
    pub fn name(&self) -> &'static str {
        name(self.row())
    }

    fn row(&self) -> &'static Row {
        self.geometry.entry.row()
    }

    /// Its kernel, whose instructions [`crate::kernels::instructions`] lists.
    pub fn entry(&self) -> Entry {
        self.geometry.entry
    }

    /// Runs it on its fixed input.
    ///
    /// # Errors
    /// A kernel that cannot be loaded, or an error of the device: some instruction may trap. On CUDA nothing else can
    /// be done with the device then.
    pub fn run(&self, device: &Device) -> Result<ProbeOutput> {
        let (geometry, row) = (self.geometry, self.row());
        let stream = device.stream()?;
        device.load(geometry.entry)?;
        let (input, output) = match tile::rank(geometry.entry) {
            Some(rank) => tile::run(device, &stream, geometry, rank)?,
            None => {
                let input = input::input(&geometry);
                let on_device = stream.upload(&input)?;
                let mut output = stream.zeros::<u32>(output_words(&geometry))?;
                // Only TMA looks at the map, but it must be one.
                let tensor = stream.zeros::<u8>(256)?;
                let mut launch = Launch::new(geometry);
                if row.source == "probe/probe_hopper" {
                    launch.tensor(&tensor, tile::any());
                }
                launch.ptr(&on_device).ptr_mut(&mut output).u32(geometry.grid[0] * row.threads);
                stream.launch(&launch.finish()?)?;
                (input, stream.download(&output)?)
            }
        };
        Ok(ProbeOutput { name: self.name(), input, output, entry: geometry.entry })
    }
}

/// Runs every probe that the device can run, on fixed inputs.
///
/// # Errors
/// As [`Probe::run`], of the first that fails.
pub fn run_probes(device: &Device) -> Result<Vec<ProbeOutput>> {
    Probe::all(device).iter().map(|probe| probe.run(device)).collect()
}

impl ProbeOutput {
    /// What a golden file holds of it: the words themselves, or a checksum of every 256 where there are very many.
    pub fn recorded(&self) -> Vec<u32> {
        if !summed(self.entry) {
            return self.output.clone();
        }
        self.output.chunks(BLOCK).map(golden::checksum).collect()
    }

    /// The golden file of it, made on a device by a driver; `instructions` are those of
    /// [`crate::kernels::instructions`].
    pub fn golden(&self, instructions: &[String], device: &str, driver: &str) -> Golden {
        Golden {
            name: self.name.to_owned(),
            target: self.entry.row().targets[0].name().to_owned(),
            instructions: golden::checksum_text(&instructions.join("\n")),
            input: golden::checksum(&self.input),
            device: device.to_owned(),
            driver: driver.to_owned(),
            words: self.recorded(),
        }
    }

    /// Says why a golden file is not of this probe: other instructions, another input, another number of words.
    ///
    /// # Errors
    /// The difference, in words.
    pub fn check(&self, instructions: &[String], golden: &Golden) -> Result<()> {
        let now = self.golden(instructions, &golden.device, &golden.driver);
        let differ = |what: &str, file: &dyn std::fmt::Display, here: &dyn std::fmt::Display| {
            let name = &golden.name;
            Err(Error::Value(format!(
                "the golden file of {name} is of {what} {file}, this probe of {here}: run it again"
            )))
        };
        if now.name != golden.name {
            return differ("the probe", &golden.name, &now.name);
        }
        if now.target != golden.target {
            return differ("the target", &golden.target, &now.target);
        }
        if now.instructions != golden.instructions {
            return differ("instructions with checksum", &golden.instructions, &now.instructions);
        }
        if now.input != golden.input {
            return differ("an input with checksum", &golden.input, &now.input);
        }
        if now.words.len() != golden.words.len() {
            return differ("a number of words,", &golden.words.len(), &now.words.len());
        }
        Ok(())
    }
}

/// `mma_int8` of the symbol `probe_mma_int8`.
fn name(row: &Row) -> &'static str {
    row.symbol.trim_start_matches("probe_")
}

/// Whether a golden file holds checksums of the output.
fn summed(entry: Entry) -> bool {
    use Entry::*;
    let wide = matches!(entry, ProbeWgmmaInt8Wide | ProbeWgmmaF16Wide | ProbeWgmmaF16TransWide);
    wide || matches!(
        entry,
        ProbeConvertHalf | ProbeConvertBf16 | ProbeConvertFp8 | ProbeConvertFp8Wide | ProbeIntegerLop3
    )
}

fn output_words(geometry: &Geometry) -> usize {
    let row = geometry.entry.row();
    let constant = |name| row.constant(name).unwrap_or(1) as usize;
    let (results, blocks) = (constant("RESULTS"), geometry.grid[0] as usize);
    match (row.source, row.entry) {
        ("probe/probe_mma" | "probe/probe_shared", _) => results * blocks * 128,
        ("probe/probe_wgmma", _) => results * blocks * constant("REGISTERS") * 128,
        (_, Entry::ProbeHopperBulk) => results * 256,
        _ => results * blocks * row.threads as usize,
    }
}
