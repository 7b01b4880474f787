//! Instructions to [`Op`]s: the one table of instructions, and what every decode function shares.

mod asynchronous;
mod call;
mod context;
mod control;
mod convert;
mod float;
mod integer;
mod logic;
mod memory;
mod moves;
mod operand;
mod tensor;
mod warp;

pub(super) use call::is_built_in;
pub(super) use context::{Context, Entry, Unit};

use std::collections::HashMap;
use std::sync::OnceLock;

/// Reads one instruction; the modifiers behind its stem are in the context.
type Decode = fn(&mut Context<'_, '_, '_>) -> Result<(), String>;

/// Every instruction: its stem and who reads it. The longest stem that fits an opcode wins.
const GROUPS: [&[(&str, Decode)]; 9] = [
    integer::ROWS,
    float::ROWS,
    logic::ROWS,
    moves::ROWS,
    memory::ROWS,
    control::ROWS,
    warp::ROWS,
    tensor::ROWS,
    asynchronous::ROWS,
];

/// The row of an opcode, and the opcode's modifiers behind the row's stem.
fn find(opcode: &str) -> Option<(Decode, &str)> {
    static TABLE: OnceLock<HashMap<&str, Decode>> = OnceLock::new();
    let table = TABLE.get_or_init(|| GROUPS.iter().flat_map(|group| group.iter().copied()).collect());
    let mut stem = opcode;
    loop {
        if let Some(&decode) = table.get(stem) {
            return Some((decode, &opcode[stem.len()..]));
        }
        stem = &stem[..stem.rfind('.')?];
    }
}

/// All stems of the table.
#[cfg(test)]
pub(super) fn stems() -> Vec<&'static str> {
    GROUPS.iter().flat_map(|group| group.iter().map(|&(stem, _)| stem)).collect()
}

/// The stem that reads an opcode.
#[cfg(test)]
pub(super) fn stem_of(opcode: &str) -> Option<&str> {
    find(opcode).map(|(_, modifiers)| &opcode[..opcode.len() - modifiers.len()])
}

/// Emits what an instruction does, or says why it cannot be done.
pub(super) fn decode(context: &mut Context<'_, '_, '_>, opcode: &str) -> Result<(), String> {
    let Some((decode, _)) = find(opcode) else {
        let stem = opcode.split('.').next().unwrap_or(opcode);
        return Err(format!("instruction {stem} is not supported"));
    };
    decode(context)?;
    context.words.finish()
}

/// The modifiers of an opcode: what stands behind its stem.
pub(super) fn modifiers(opcode: &str) -> &str {
    find(opcode).map_or("", |(_, modifiers)| modifiers)
}
