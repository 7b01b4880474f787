//! Memory only, until the interpreter is in the house: same interface as the emulator's machine.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::tensor_map::TensorMap;
use crate::emulator::{Arch, Fault, FaultKind};
use crate::{Error, Result};

#[derive(Debug)]
pub struct Machine {
    arch: Arch,
    memory: Mutex<(u64, BTreeMap<u64, Vec<u8>>)>,
}

pub struct Module;

impl Module {
    pub fn parse(_: &str) -> Result<Module, Fault> {
        Ok(Module)
    }

    pub fn entry(&self, _: &str) -> Option<()> {
        Some(())
    }
}

#[derive(Clone)]
#[allow(dead_code)]
pub struct LaunchConfig {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub cluster: [u32; 3],
    pub shared_bytes: u32,
    pub count: bool,
}

fn fault(kind: FaultKind, message: &str) -> Fault {
    Fault { kind, message: message.into(), site: None, address: None }
}

pub fn tensor_map_bytes(_: &TensorMap) -> Result<[u8; 128]> {
    Err(Error::Unsupported("tensor maps".into()))
}

impl Machine {
    pub fn new(arch: Arch) -> Machine {
        Machine { arch, memory: Mutex::new((0x1000, BTreeMap::new())) }
    }

    pub fn arch(&self) -> Arch {
        self.arch
    }

    pub fn alloc(&self, bytes: usize, _: &str) -> Result<u64, Fault> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut data = Vec::new();
        data.try_reserve_exact(bytes).map_err(|_| fault(FaultKind::OutOfMemory, "no memory"))?;
        data.resize(bytes, 0xff);
        let at = memory.0;
        memory.0 += (bytes as u64 + 511) & !255;
        memory.1.insert(at, data);
        Ok(at)
    }

    pub fn free(&self, at: u64) -> Result<(), Fault> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&at);
        Ok(())
    }

    fn with<R>(&self, at: u64, len: usize, f: impl FnOnce(&mut [u8]) -> R) -> Result<R, Fault> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let range = memory.1.range_mut(..=at).next_back();
        let part = range.and_then(|(&base, data)| data.get_mut((at - base) as usize..(at - base) as usize + len));
        part.map(f).ok_or_else(|| fault(FaultKind::OutOfBounds, "out of bounds"))
    }

    pub fn read(&self, at: u64, out: &mut [u8]) -> Result<(), Fault> {
        self.with(at, out.len(), |part| out.copy_from_slice(part))
    }

    pub fn write(&self, at: u64, data: &[u8]) -> Result<(), Fault> {
        self.with(at, data.len(), |part| part.copy_from_slice(data))
    }

    pub fn fill(&self, at: u64, byte: u8, len: usize) -> Result<(), Fault> {
        self.with(at, len, |part| part.fill(byte))
    }

    pub fn launch(&self, _: &Module, _: &str, _: &LaunchConfig, _: &[u8]) -> Result<(), Fault> {
        Err(fault(FaultKind::Unsupported, "no interpreter"))
    }
}
