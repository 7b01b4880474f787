//! The quantizers, profiled.

use halfbyte::device::Stream;
use halfbyte::format::{F8E4M3, F8E5M2};
use halfbyte::op::{CodeElement, InputElement, Quantize, QuantizeArgs, Scaling};
use halfbyte::plan::linear::CODES_ALIGN;
use halfbyte::plan::quantize::{Code, QuantizeProblem, Scheme};
use halfbyte::{Error, Result};

use super::problem::{Ideal, Problem, Profiled, numbers};

/// What the command line says of scales.
pub fn scheme(name: &str) -> Result<Scheme> {
    const NAMES: [(&str, Scheme); 5] = [
        ("rows", Scheme::Rows),
        ("zeros", Scheme::RowsWithZeros),
        ("groups64", Scheme::Groups(64)),
        ("groups128", Scheme::Groups(128)),
        ("given", Scheme::Given),
    ];
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, scheme)| *scheme).ok_or_else(|| {
        let known = NAMES.map(|(known, _)| known).join(", ");
        Error::Value(format!("no scheme '{name}'; there are {known}"))
    })
}

/// What the command line says of codes.
pub fn code(name: &str) -> Result<Code> {
    let known = [Code::S8, Code::E4m3, Code::E5m2];
    known.into_iter().find(|code| code.to_string() == name).ok_or_else(|| {
        Error::Value(format!("no codes '{name}'; there are {}", known.map(|code| code.to_string()).join(", ")))
    })
}

impl Problem {
    /// Quantizes as [`Problem::quantizes`] says.
    pub fn quantize<T: InputElement>(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        match self.quantizes.0 {
            Code::S8 => self.quantize_to::<T, i8>(stream),
            Code::E4m3 => self.quantize_to::<T, F8E4M3>(stream),
            Code::E5m2 => self.quantize_to::<T, F8E5M2>(stream),
        }
    }

    fn quantize_to<T: InputElement, C: CodeElement>(&self, stream: &Stream) -> Result<Vec<Profiled>> {
        let (_, scheme, k_down) = self.quantizes;
        let [m, k] = ["M", "K"].map(|dim| self.size(dim));
        let problem = QuantizeProblem { k_down, ..QuantizeProblem::new(m, k, T::INPUT, C::CODE, scheme) };
        let op = Quantize::new(stream.device(), C::CODE)?;
        let plan = op.plan(&problem)?;
        let (ld, groups) = (k.next_multiple_of(CODES_ALIGN), problem.groups());
        let x = stream.upload(&numbers::<T>(m * k))?;
        let (tall, across) = if k_down { (k, m) } else { (m, k) };
        let mut codes = stream.alloc::<C>(m * ld)?;
        let (mut scales, mut zeros) = (stream.alloc::<f32>(m * groups)?, stream.alloc::<i32>(m)?);
        let given = stream.upload(&[0.05f32])?;
        let args = QuantizeArgs {
            x: x.view().matrix(tall, across, across)?,
            codes: codes.view_mut().matrix(m, ld, ld)?,
            scaling: match scheme {
                Scheme::Rows => Scaling::Rows(scales.view_mut()),
                Scheme::RowsWithZeros => Scaling::RowsWithZeros { scales: scales.view_mut(), zeros: zeros.view_mut() },
                Scheme::Groups(_) => Scaling::Groups { scales: scales.view_mut(), row: groups, group: 1 },
                Scheme::Given => Scaling::Given { scale: given.view(), zero: None },
            },
            factors: None,
            status: None,
        };
        op.run(&plan, stream, args)?;
        let (m, words) = (m as u64, groups as u64 + u64::from(scheme == Scheme::RowsWithZeros));
        let ideal = Ideal {
            bytes_read: m * k as u64 * self.input.size() as u64 + if scheme == Scheme::Given { 4 } else { 0 },
            bytes_written: m * ld as u64 + 4 * m * words,
            tensor_macs: 0,
        };
        self.profiled(stream.device(), vec![(plan.to_string(), ideal)])
    }
}
