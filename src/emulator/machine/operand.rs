//! What a launch was given of global memory: names for reports, and what a checked launch holds the kernel to.

use std::ops::Range;

use super::memory::Allocation;

/// A range of global memory that a launch is given, as [`Machine::launch_with`](super::Machine::launch_with) takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand<'a> {
    /// What faults and reports call it: the name of the kernel's parameter, say.
    pub name: &'a str,
    /// Device address of its first byte.
    pub address: u64,
    /// Bytes.
    pub bytes: u64,
    /// Whether the kernel may write it.
    pub write: bool,
}

/// An operand of a launch that runs.
struct Given {
    name: String,
    range: Range<u64>,
    write: bool,
}

/// The operands of a launch.
#[derive(Default)]
pub(crate) struct Operands(Vec<Given>);

/// An address in the words of the launch: "byte 12 of `x` (4096 bytes)".
struct At<'a> {
    name: &'a str,
    offset: u64,
    bytes: u64,
}

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "byte {} of `{}` ({} bytes)", self.offset, self.name, self.bytes)
    }
}

impl Operands {
    /// Takes over a caller's list. Empty ones and such as leave the address space say nothing.
    pub fn new(list: &[Operand<'_>]) -> Operands {
        let given = |o: &Operand<'_>| {
            let end = o.address.checked_add(o.bytes).filter(|end| *end > o.address)?;
            Some(Given { name: o.name.to_string(), range: o.address..end, write: o.write })
        };
        Operands(list.iter().filter_map(given).collect())
    }

    /// True when the kernel may touch all of a range, as far as one operand says so.
    pub fn allow(&self, range: &Range<u64>, store: bool) -> bool {
        let inside = |given: &Given| given.range.start <= range.start && range.end <= given.range.end;
        self.0.iter().any(|given| inside(given) && (given.write || !store))
    }

    fn holding(&self, address: u64) -> impl Iterator<Item = &Given> {
        self.0.iter().filter(move |given| given.range.contains(&address))
    }

    fn within<'o>(&'o self, a: &Allocation) -> impl Iterator<Item = &'o Given> {
        let all = a.base..a.base + a.len as u64;
        self.0.iter().filter(move |given| all.contains(&given.range.start))
    }

    /// True when the launch was given some of an allocation, so that it is held to that part.
    pub fn speak_of(&self, a: &Allocation) -> bool {
        self.within(a).next().is_some()
    }

    /// The first byte of a range that the kernel may not touch, and whether it is an operand that is only read.
    pub fn forbidden(&self, range: Range<u64>, store: bool) -> Option<(u64, bool)> {
        range.map(|at| (at, self.holding(at).any(|given| !given.write))).find(|(at, input)| {
            let known = self.holding(*at).next().is_some();
            !known || store && *input && !self.holding(*at).any(|given| given.write)
        })
    }

    /// Where an address of an allocation lies, in the words of the launch where it knows it.
    pub fn place(&self, a: &Allocation, address: u64) -> String {
        let at = match self.holding(address).next() {
            Some(Given { name, range, .. }) => {
                At { name, offset: address - range.start, bytes: range.end - range.start }
            }
            None => At { name: &a.name, offset: address - a.base, bytes: a.len as u64 },
        };
        at.to_string()
    }

    /// What to call an allocation: by the operands in it, if there are any.
    pub fn label(&self, a: &Allocation) -> String {
        let mut names: Vec<&str> = self.within(a).map(|given| given.name.as_str()).collect();
        names.dedup();
        match names[..] {
            [] => format!("`{}`", a.name),
            [one] => format!("`{one}`"),
            [first, .., last] if names.len() <= 4 => {
                let middle: String = names[1..names.len() - 1].iter().map(|name| format!(", `{name}`")).collect();
                format!("the buffer of `{first}`{middle} and `{last}`")
            }
            [first, ..] => format!("the buffer of `{first}` and {} more", names.len() - 1),
        }
    }
}
