//! Which functions an entry can call, and the order in which they stand in its code.
//!
//! An entry's code has one copy of every function that it may reach: callees stand before their callers, each has
//! registers and local memory of its own, and a call only notes where to come back to. Nothing has to be saved for
//! that, except for functions that may call themselves, directly or around a circle: those get a frame of stack a call.
//! Copying the callee into each place that calls it would need no calls at all, but could not do indirect and recursive
//! ones, and a function that is not inlined is mostly one that is called from many places.

use super::super::ptx::ParseError;
use super::super::ptx::ast::{Function, Init, Operand, Source, Statement};
use super::decode::is_built_in;
use std::cell::Cell;
use std::collections::HashMap;

/// The address of the first function; the others follow 16 bytes apart. It is no address of memory.
const FIRST_ADDRESS: u64 = 0x1_0000;
/// Statements of functions that the entries of one text may have in all, each counted once an entry.
const MAX_COPIED: usize = 1 << 21;

/// What a function, or an entry, refers to.
#[derive(Default)]
struct Uses {
    /// Functions that it calls by name.
    calls: Vec<u32>,
    /// Functions whose address it takes.
    addresses: Vec<u32>,
    /// Whether it calls by address.
    indirect: bool,
}

/// The device functions of a text.
#[derive(Default)]
pub(super) struct Functions<'a> {
    defined: Vec<&'a Function<'a>>,
    names: HashMap<&'a str, u32>,
    /// Callees by function; the last row is what a call by address may reach.
    edges: Vec<Vec<u32>>,
    copied: Cell<usize>,
}

impl<'a> Functions<'a> {
    /// Finds all functions, and who calls whom.
    pub fn new(source: &'a Source<'a>) -> Result<Functions<'a>, ParseError> {
        let mut functions = Functions::default();
        for function in source.functions.iter().filter(|function| function.defined) {
            let index = functions.defined.len() as u32;
            if functions.names.insert(function.name, index).is_some() {
                return Err(ParseError::at(function.ptx_line, function.name, "this function is defined twice"));
            }
            functions.defined.push(function);
        }
        for (alias, name) in &source.aliases {
            let Some(&index) = functions.names.get(name) else {
                return Err(ParseError::at(
                    0,
                    *alias,
                    format!("an alias of {name}, which is no function of this text"),
                ));
            };
            functions.names.insert(alias, index);
        }
        let initial = source.variables.iter().flat_map(|variable| &variable.init).filter_map(|init| match init {
            Init::Address { name, .. } => functions.names.get(name).copied(),
            Init::Bits(_) => None,
        });
        let mut addressed: Vec<u32> = initial.collect();
        let any = functions.defined.len() as u32;
        for function in &functions.defined {
            let mut uses = functions.uses(function);
            if uses.indirect {
                uses.calls.push(any);
            }
            addressed.append(&mut uses.addresses);
            functions.edges.push(uses.calls);
        }
        for entry in &source.entries {
            addressed.append(&mut functions.uses(entry).addresses);
        }
        addressed.sort_unstable();
        addressed.dedup();
        functions.edges.push(addressed);
        Ok(functions)
    }

    /// The function of a name.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// A function by its index.
    pub fn get(&self, index: u32) -> Option<&'a Function<'a>> {
        self.defined.get(index as usize).copied()
    }

    /// All names, and what they stand for.
    pub fn names(&self) -> impl Iterator<Item = (&'a str, u32)> {
        self.names.iter().map(|(name, index)| (*name, *index))
    }

    /// The address of a function.
    pub fn address(index: u32) -> u64 {
        FIRST_ADDRESS + 16 * u64::from(index)
    }

    fn uses(&self, function: &Function<'a>) -> Uses {
        let mut uses = Uses::default();
        for statement in &function.body {
            let Statement::Instruction(instruction) = statement else { continue };
            if let Some(call) = &instruction.call {
                match self.find(call.target) {
                    Some(index) => uses.calls.push(index),
                    None if is_built_in(call.target) => {}
                    // A register, mostly; a name that is not declared is an error that the decoder tells.
                    None => uses.indirect = true,
                }
            }
            for operand in &instruction.operands {
                if let Operand::Name(name) | Operand::NamePlus(name, _) = operand
                    && let Some(index) = self.find(name)
                {
                    uses.addresses.push(index);
                }
            }
        }
        uses
    }

    /// The functions that an entry may reach, callees first, and whether each may be called again before it returns.
    pub fn needed(&self, entry: &Function<'a>) -> Result<Vec<(u32, bool)>, ParseError> {
        let any = self.defined.len();
        let mut uses = self.uses(entry);
        if uses.indirect {
            uses.calls.push(any as u32);
        }
        let edges = |vertex: usize| self.edges.get(vertex).unwrap_or(&uses.calls).as_slice();
        let mut needed = Vec::new();
        for component in components(any + 1, any + 2, &edges) {
            let circle = component.len() > 1 || component.iter().any(|&v| edges(v as usize).contains(&v));
            needed.extend(component.into_iter().filter(|&v| (v as usize) < any).map(|v| (v, circle)));
        }
        let statements = needed.iter().filter_map(|(index, _)| self.get(*index)).map(|f| f.body.len() + 1);
        let copied = self.copied.get() + statements.sum::<usize>();
        self.copied.set(copied);
        if copied > MAX_COPIED {
            let text = format!("the functions that all entries call have more than {MAX_COPIED} statements together");
            return Err(ParseError::at(entry.ptx_line, entry.name, text));
        }
        Ok(needed)
    }
}

/// The strongly connected components that can be reached from a vertex, each before those that lead to it (Tarjan's
/// algorithm, without recursion so that a long chain of calls needs no stack of ours).
fn components<'e>(start: usize, count: usize, edges: &dyn Fn(usize) -> &'e [u32]) -> Vec<Vec<u32>> {
    const UNSEEN: u32 = u32::MAX;
    let (mut number, mut low) = (vec![UNSEEN; count], vec![UNSEEN; count]);
    let (mut open, mut is_open) = (Vec::new(), vec![false; count]);
    let (mut work, mut seen, mut found) = (vec![(start, 0)], 0, Vec::new());
    while let Some((vertex, next)) = work.last_mut() {
        let vertex = *vertex;
        if *next == 0 && number[vertex] == UNSEEN {
            (number[vertex], low[vertex]) = (seen, seen);
            seen += 1;
            open.push(vertex as u32);
            is_open[vertex] = true;
        }
        if let Some(&to) = edges(vertex).get(*next) {
            *next += 1;
            let to = to as usize;
            if number[to] == UNSEEN {
                work.push((to, 0));
            } else if is_open[to] {
                low[vertex] = low[vertex].min(number[to]);
            }
            continue;
        }
        work.pop();
        if let Some(&(parent, _)) = work.last() {
            low[parent] = low[parent].min(low[vertex]);
        }
        if low[vertex] == number[vertex] {
            let mut component = Vec::new();
            while let Some(member) = open.pop() {
                is_open[member as usize] = false;
                component.push(member);
                if member as usize == vertex {
                    break;
                }
            }
            found.push(component);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callees_come_first_and_circles_together() {
        // 0 → 1 → 2 → 1, 2 → 3, 4 is not reached.
        let edges: [&[u32]; 5] = [&[1], &[2], &[1, 3], &[], &[0]];
        let mut found = components(0, 5, &|v| edges[v]);
        found.iter_mut().for_each(|component| component.sort_unstable());
        assert_eq!(found, [vec![3], vec![1, 2], vec![0]]);
    }
}
