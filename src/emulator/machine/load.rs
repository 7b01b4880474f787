//! Modules on a machine: their variables in global memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::code::Module;
use super::super::fault::{Fault, FaultKind};
use super::super::ir::{Code, Reg, Space};
use super::memory::GlobalMemory;

/// Where the variables of a module are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    /// Device addresses of the variables.
    addresses: Vec<u64>,
    /// Device address of the constant bank.
    pub const_base: u64,
}

impl Loaded {
    /// The address of a variable by its index.
    pub fn address(&self, variable: usize) -> u64 {
        self.addresses.get(variable).copied().unwrap_or(0)
    }

    /// The registers of an entry that hold addresses, and those addresses.
    pub fn registers(&self, code: &Code) -> Vec<(Reg, u64)> {
        let address = |variable: &u32| self.address(*variable as usize);
        code.addresses
            .iter()
            .map(|(reg, variable, addend)| (*reg, address(variable).wrapping_add_signed(*addend)))
            .collect()
    }
}

/// The modules that a machine has loaded. Their identities are kept, so that none is taken for another.
#[derive(Default)]
pub(crate) struct Modules {
    table: Mutex<HashMap<usize, (Arc<()>, Loaded)>>,
}

impl Modules {
    /// Loads a module, the first time, and says where its variables are.
    pub fn load(&self, module: &Module, memory: &GlobalMemory) -> Result<Loaded, Fault> {
        if module.variables().is_empty() {
            return Ok(Loaded::default());
        }
        let key = Arc::as_ptr(module.identity()) as usize;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, loaded)) = table.get(&key) {
            return Ok(loaded.clone());
        }
        let loaded = place(module, memory)?;
        table.insert(key, (module.identity().clone(), loaded.clone()));
        Ok(loaded)
    }
}

/// Bytes of all variables of a module together: what the text asks for is not to take the host's memory.
const MAX_VARIABLES: u64 = 2 << 30;

fn place(module: &Module, memory: &GlobalMemory) -> Result<Loaded, Fault> {
    let all = module.variables().iter().fold(0, |sum: u64, variable| sum.saturating_add(variable.bytes));
    if all > MAX_VARIABLES {
        let text = format!("the module's variables take {all} bytes, allowed are {MAX_VARIABLES}");
        return Err(Fault::new(FaultKind::OutOfMemory, text));
    }
    let const_base = match module.const_bytes() {
        0 => 0,
        bytes => zeroed(memory, bytes as usize, "constant bank")?,
    };
    let mut addresses = Vec::with_capacity(module.variables().len());
    for variable in module.variables() {
        addresses.push(match variable.space {
            Space::Const => const_base + u64::from(variable.const_offset),
            _ => {
                let too_large = || {
                    let text = format!("variable `{}` has {} bytes", variable.name, variable.bytes);
                    Fault::new(FaultKind::OutOfMemory, text)
                };
                zeroed(memory, usize::try_from(variable.bytes).map_err(|_| too_large())?, &variable.name)?
            }
        });
    }
    for (variable, at) in module.variables().iter().zip(&addresses) {
        write(memory, *at, &variable.init)?;
        for pointer in &variable.pointers {
            let Some(target) = addresses.get(pointer.variable as usize) else { continue };
            // Within its own space a constant's address is its place in the bank.
            let bank = match module.variables().get(pointer.variable as usize) {
                Some(v) if v.space == Space::Const && !pointer.generic => const_base,
                _ => 0,
            };
            let value = target.wrapping_sub(bank).wrapping_add_signed(pointer.addend);
            write(memory, at + pointer.at, &value.to_le_bytes())?;
        }
    }
    Ok(Loaded { addresses, const_base })
}

fn zeroed(memory: &GlobalMemory, bytes: usize, name: &str) -> Result<u64, Fault> {
    let at = memory.alloc(bytes, name)?;
    let (allocation, _) = memory.find(at, bytes, "initialization")?;
    let zeros = [0; 4096];
    let mut done = 0;
    while done < bytes {
        let n = zeros.len().min(bytes - done);
        allocation.copy_in(done, &zeros[..n]);
        done += n;
    }
    Ok(at)
}

fn write(memory: &GlobalMemory, at: u64, data: &[u8]) -> Result<(), Fault> {
    let (allocation, offset) = memory.find(at, data.len(), "initialization")?;
    allocation.copy_in(offset, data);
    Ok(())
}
