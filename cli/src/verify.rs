//! `halfbyte verify`: every operation over a table of shapes and over real weights, against the references.

use std::path::Path;
use std::time::Instant;

use halfbyte::device::{Device, cuda_devices};
use halfbyte::emulator::{Arch, Machine, MachineOptions};
use halfbyte::format::DType;
use halfbyte::{Error, Result};

use crate::args::{VerifyArgs, Where};
use crate::attention;
use crate::attention_int8;
use crate::case::{Group, Weights};
use crate::merge;
use crate::model;
use crate::operation::Operation;
use crate::ran::Place;
use crate::report::Report;
use crate::shapes::{self, Shape};
use crate::single::Single;

/// Types of the layers, in turn.
const TYPES: [DType; 3] = [DType::F16, DType::F32, DType::Bf16];

/// Rows of activations that a real matrix is multiplied with: a small batch, and a sentence off every tile.
const REAL_ROWS: [usize; 2] = [16, 77];

/// Runs it; true when every case passed.
///
/// # Errors
/// A device that is not there, or a model file that cannot be read.
pub fn run(args: &VerifyArgs) -> Result<bool> {
    let start = Instant::now();
    let (places, mut notes) = if args.checked { (checked(args.device)?, vec![]) } else { places(args.device)? };
    let mut groups = synthetic();
    match model::minilm() {
        Some(path) => groups.extend(real(&path, &REAL_ROWS, &[Operation::EveryKernel, Operation::Linear], &mut notes)?),
        None => {
            notes.push("the real weights of all-MiniLM-L6-v2 are not in this package; --model FILE takes any".into())
        }
    }
    if let Some(path) = &args.model {
        groups.extend(real(path, &REAL_ROWS[..1], &[Operation::Linear], &mut notes)?);
    }

    let wanted = |group: &Group, operation, place: &Place| {
        args.only.as_ref().is_none_or(|only| group.label(operation, place).contains(only))
    };
    let cases = |group: &Group| -> Vec<(Operation, usize)> {
        let pairs = group.operations.iter().flat_map(|&op| (0..places.len()).map(move |place| (op, place)));
        let served = |op: Operation, place: &Place| op.served(place.device.facts().capability);
        pairs.filter(|&(op, place)| served(op, &places[place]) && wanted(group, op, &places[place])).collect()
    };
    let planned: Vec<(Group, Vec<(Operation, usize)>)> = groups
        .into_iter()
        .map(|group| {
            let cases = cases(&group);
            (group, cases)
        })
        .filter(|(_, cases)| !cases.is_empty())
        .collect();

    // Cases that share no numbers with others.
    let asked = |label: &str| args.only.as_ref().is_none_or(|only| label.contains(only));
    let mut alone = Vec::new();
    let bytes = attention_int8::cases(false).into_iter();
    let bytes = bytes.chain(attention_int8::cases(true).into_iter().map(|case| case.from(89)));
    let singles: Vec<Single> = attention::cases().into_iter().chain(bytes).chain(merge::cases()).collect();
    for case in &singles {
        let served = |place: &&Place| place.device.facts().capability >= case.floor;
        let wanted = places.iter().filter(served).filter(|place| asked(&case.about.label(place)));
        alone.extend(wanted.map(|place| (case, place)));
    }

    let count: usize = planned.iter().map(|(_, cases)| cases.len()).sum();
    let mut report = Report::new(count + alone.len(), args.json);
    for note in notes {
        report.note(note);
    }
    for (group, cases) in planned {
        let label = cases.first().map(|&(op, place)| group.label(op, &places[place])).unwrap_or_default();
        report.starting(&label);
        match group.prepare() {
            Ok(prepared) => {
                for (operation, place) in cases {
                    report.add(&prepared.run(operation, &places[place]));
                }
            }
            Err(error) => report.broken(cases.len(), &format!("{label}: {error}")),
        }
    }
    for (case, place) in alone {
        report.starting(&case.about.label(place));
        report.add(&case.about.clone().result(place, case.run(place)));
    }
    Ok(report.finish(start.elapsed()))
}

/// Checked emulators to run on, whose findings are kept until they are asked for.
///
/// # Errors
/// A GPU is asked for.
fn checked(wanted: Where) -> Result<Vec<Place>> {
    let archs = match wanted {
        Where::Auto | Where::Emulator => vec![Arch::Sm80, Arch::Sm90a],
        Where::EmulatorAs(arch) => vec![arch],
        Where::Cuda(_) => {
            let text = format!("--checked runs on the emulator, but --device is {wanted}");
            return Err(Error::Unsupported(text));
        }
    };
    let emulated = |arch: Arch| {
        let machine = Machine::with(MachineOptions { checked: true, ..MachineOptions::new(arch) });
        let device = Device::emulator_with(machine);
        device.keep_reports(true);
        Ok(Place { checked: true, ..place(format!("emulator:{arch}"), device)? })
    };
    archs.into_iter().map(emulated).collect()
}

/// The devices to run on, and what a reader should know of the choice.
///
/// # Errors
/// The GPU asked for is not there.
pub fn places(wanted: Where) -> Result<(Vec<Place>, Vec<String>)> {
    let cuda = |ordinal| place(format!("cuda:{ordinal}"), Device::cuda(ordinal)?);
    let emulated = |arch: Arch| place(format!("emulator:{arch}"), Device::emulator(arch));
    // What sm_89 has beside the kernels of sm_80, the products of 8-bit floats, sm_90a runs too.
    let all = || [Arch::Sm80, Arch::Sm90a].into_iter().map(emulated).collect::<Result<Vec<_>>>();
    Ok(match wanted {
        Where::Cuda(ordinal) => (vec![cuda(ordinal)?], vec![]),
        Where::EmulatorAs(arch) => (vec![emulated(arch)?], vec![]),
        Where::Emulator => (all()?, vec![]),
        Where::Auto => match cuda_devices() {
            Ok(devices) if !devices.is_empty() => (vec![cuda(0)?], vec![]),
            Ok(_) => (all()?, vec!["the CUDA driver knows no GPU: running on the emulator".into()]),
            Err(why) => (all()?, vec![format!("no GPU: {why}: running on the emulator")]),
        },
    })
}

fn place(name: String, device: Device) -> Result<Place> {
    let stream = device.stream()?;
    Ok(Place { name, device, stream, checked: false })
}

/// The greatest K that every operation of floats runs.
const DEEPEST: usize = 16_384;

fn synthetic() -> Vec<Group> {
    let shapes = shapes::synthetic().into_iter().enumerate();
    let floats = shapes::floats().into_iter().enumerate().map(|(index, shape)| Group {
        shape,
        dtype: TYPES[index % TYPES.len()],
        weights: Weights::Synthetic,
        operations: if shape.k > DEEPEST { &Operation::DEEP } else { &Operation::SCALED },
    });
    shapes
        .map(|(index, shape)| Group {
            shape,
            dtype: TYPES[index % TYPES.len()],
            weights: Weights::Synthetic,
            operations: if shape.name == shapes::EDGE { &Operation::ALL } else { &Operation::CHOSEN },
        })
        .chain(floats)
        .collect()
}

fn real(path: &Path, rows: &[usize], operations: &'static [Operation], notes: &mut Vec<String>) -> Result<Vec<Group>> {
    let (matrices, left_out) = model::matrices(path)?;
    notes.extend(left_out);
    let mut groups = Vec::new();
    for matrix in matrices {
        for &m in rows {
            let shape = Shape { name: "real", m, n: matrix.n, k: matrix.k };
            groups.push(Group { shape, dtype: DType::F16, weights: Weights::Real(matrix.clone()), operations });
        }
    }
    Ok(groups)
}
