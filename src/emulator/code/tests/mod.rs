//! Tests of the whole way from text to operations.

mod asynchronous;
mod control;
mod errors;
mod float;
mod hostile;
mod integer;
mod logic;
mod memory;
mod moves;
mod sharing;
mod tensor;
mod warp;
mod whole;

use super::super::ir::{Code, File, Inst};
use super::super::ptx::{self, ParseError};
use super::decode::Entry;
use super::entry::{declare, dynamic_shared, instructions};
use super::module::Module;
use super::scope::Names;
use super::visit::{Role, visit_registers};
use std::collections::BTreeSet;

/// Registers that [`decoded`] numbers in this order: `%r0`… are 0… and `%rs0`… are 40… of the 32-bit file,
/// `%rd0`… and `%p0`… are 0… of theirs. What the decoder adds comes after.
const REGISTERS: [(&str, u16, File, u16); 4] =
    [("%r", 40, File::R32, 0), ("%rs", 10, File::R32, 40), ("%rd", 10, File::R64, 0), ("%p", 6, File::Pred, 0)];

/// A text around a body, with registers, variables, labels and a table to mention.
pub(super) fn around(body: &str) -> String {
    format!(
        ".version 9.0\n.target sm_90a\n.address_size 64\n\
         .global .align 4 .b8 gvar[16];\n.const .align 4 .b8 unused[4];\n.const .align 4 .b8 cvar[16];\n\
         .extern .shared .align 128 .b8 dyn[];\n\
         .entry k(.param .u64 first, .param .align 8 .b8 par[16])\n{{\n\
         .reg .b32 %r<40>;\n.reg .b16 %rs<10>;\n.reg .b64 %rd<10>;\n.reg .pred %p<6>;\n\
         .shared .align 16 .b8 sskip[48];\n.shared .align 16 .b8 sbuf[64];\n.local .align 8 .b8 lbuf[16];\n\
         L1:\nT1: .branchtargets L1, L2;\n{body}\nL2:\n}}\n"
    )
}

/// Decodes a body without sharing slots.
pub(super) fn decoded(body: &str) -> Result<Decoded, ParseError> {
    // The text lives as long as the program, so that what is decoded can be handed around.
    let text: &'static str = around(body).leak();
    let source: &'static _ = Box::leak(Box::new(ptx::parse(text)?));
    let around = Module::default().surroundings(source)?;
    let mut entry = Entry::new(Names::new(around.symbols.clone()));
    let mut code = Code::default();
    declare(&source.entries[0], &around, &mut Default::default(), &mut code, &mut entry)?;
    entry.dynamic_shared = dynamic_shared(&code);
    let names: Vec<String> =
        REGISTERS.iter().flat_map(|(prefix, count, ..)| (0..*count).map(move |i| format!("{prefix}{i}"))).collect();
    for name in &names {
        let name: &'static str = name.clone().leak();
        entry.names.find_register(name).unwrap().unwrap();
    }
    instructions(&source.entries[0], &around, &mut code, &mut entry)?;
    entry.insts.pop();
    Ok(Decoded { insts: std::mem::take(&mut entry.insts), entry })
}

/// What a body decodes to.
pub(super) struct Decoded {
    insts: Vec<Inst>,
    entry: Entry<'static>,
}

impl Decoded {
    /// The value of a constant's register, as text.
    fn constant(&self, file: File, reg: u16) -> Option<String> {
        let entry = &self.entry;
        match file {
            File::R32 => entry.const32.iter().find(|(_, r)| **r == reg).map(|(value, _)| format!("#{value:#x}")),
            File::R64 => {
                let number = entry.const64.iter().find(|(_, r)| **r == reg).map(|(value, _)| format!("#{value:#x}"));
                let address =
                    || entry.addresses.iter().find(|(_, r)| **r == reg).map(|(a, _)| format!("&{}+{}", a.0, a.1));
                number.or_else(address)
            }
            File::Pred => None,
        }
    }

    /// Operations in short: plain modifiers are left out and constants stand with their values.
    fn short(&self) -> Vec<String> {
        self.insts.iter().map(|inst| self.short_of(inst.clone())).collect()
    }

    fn short_of(&self, mut inst: Inst) -> String {
        let mut constants = Vec::new();
        visit_registers(&mut inst, &mut |file, _, reg| {
            if let Some(text) = self.constant(file, *reg) {
                *reg = 60000 + constants.len() as u16;
                constants.push((reg.to_string(), text));
            }
        });
        let mut text = format!("{:?}", inst.op);
        for plain in [", ftz: false", ", sat: false", ", relu: false", ", nan: false", "mods: Mods { round: None }, "] {
            text = text.replace(plain, "");
        }
        for negated in [false, true] {
            for pred in 0..10 {
                let long = format!("PredSrc {{ pred: {pred}, negated: {negated} }}");
                text = text.replace(&long, &format!("{}p{pred}", if negated { "!" } else { "" }));
            }
        }
        for (number, value) in constants {
            text = text.replace(&number, &value);
        }
        match inst.guard {
            Some(guard) => format!("if {}p{}: {text}", if guard.negated { "!" } else { "" }, guard.pred),
            None => text,
        }
    }
}

/// Compares what each text decodes to with what is expected, and the operands' registers with the text.
fn check(count: usize, forms: &[(&str, &[&str])]) {
    assert_eq!(forms.len(), count);
    for (text, expected) in forms {
        let decoded = decoded(&format!("{text};")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(decoded.short(), *expected, "{text}");
        registers_agree(text, &decoded.insts);
    }
}

/// Every register of the text must be visited, in its file, and no other of the named ones; those before the
/// first comma must be written unless they are part of an address or of an instruction without result.
fn registers_agree(text: &str, insts: &[Inst]) {
    let (mut visited, mut written) = (BTreeSet::new(), BTreeSet::new());
    for inst in insts {
        visit_registers(&mut inst.clone(), &mut |file, role, reg| {
            visited.insert((file, *reg));
            if role != Role::Use {
                written.insert((file, *reg));
            }
        });
    }
    let named = |text: &str| -> BTreeSet<(File, u16)> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '%' && c != '_');
        words
            .filter_map(|word| {
                let digits = word.find(|c: char| c.is_ascii_digit())?;
                let (_, count, file, first) = *REGISTERS.iter().find(|row| row.0 == &word[..digits])?;
                let number: u16 = word[digits..].parse().ok()?;
                (number < count).then_some((file, first + number))
            })
            .collect()
    };
    let is_named = |&&(file, reg): &&(File, u16)| match file {
        File::R32 => reg < 50,
        File::R64 => reg < 10,
        File::Pred => reg < 6,
    };
    // Hints name registers that nothing reads.
    let hints = ["cache_hint", "nanosleep", "prefetch.tensor"].iter().any(|hint| text.contains(hint));
    let seen: BTreeSet<_> = visited.iter().filter(is_named).copied().collect();
    if hints {
        assert!(seen.is_subset(&named(text)), "{text}: {seen:?}");
    } else {
        assert_eq!(seen, named(text), "{text}");
    }
    let (opcode, operands) = text.split_once(' ').unwrap_or((text, ""));
    let no_result = operands.starts_with('[')
        || opcode == "call"
        || ["bar.sync", "bar.arrive", "bar.warp", "barrier.cta.sync", "brx", "nanosleep", "@"]
            .iter()
            .any(|stem| opcode.starts_with(stem));
    let vector = operands.starts_with('{');
    let first = operands.split(if vector { '}' } else { ',' }).next().unwrap_or("");
    let expected = if no_result { BTreeSet::new() } else { named(first) };
    let wrote: BTreeSet<_> = written.iter().filter(is_named).copied().collect();
    assert_eq!(wrote, expected, "{text}: written");
}
