//! Declarations of registers, variables and parameters (PTX ISA §5).

use super::ParseError;
use super::ast::{Init, Statement, Variable, VariableSpace};
use super::lexer::Kind;
use super::parser::Parser;

/// Initial values of a variable at most.
const MAX_FILLED: usize = 1 << 24;

/// Bits of a type name; predicates count as one bit.
fn type_bits(dot: &str) -> Option<u8> {
    Some(match dot {
        ".pred" => 1,
        ".b8" | ".u8" | ".s8" | ".e4m3" | ".e5m2" => 8,
        ".b16" | ".u16" | ".s16" | ".f16" | ".bf16" | ".e4m3x2" | ".e5m2x2" => 16,
        ".b32" | ".u32" | ".s32" | ".f32" | ".f16x2" | ".bf16x2" | ".tf32" => 32,
        ".b64" | ".u64" | ".s64" | ".f64" => 64,
        ".b128" => 128,
        _ => return None,
    })
}

impl<'a> Parser<'a, '_> {
    /// Steps over `.global`, `.const`, …
    pub(super) fn variable_space(&mut self) -> Option<VariableSpace> {
        let space = match self.peek() {
            Some(Kind::Dot(".global")) => VariableSpace::Global,
            Some(Kind::Dot(".const")) => VariableSpace::Const,
            Some(Kind::Dot(".shared")) => VariableSpace::Shared,
            Some(Kind::Dot(".local")) => VariableSpace::Local,
            Some(Kind::Dot(".param")) => VariableSpace::Param,
            _ => return None,
        };
        self.skip();
        Some(space)
    }

    fn declared_type(&mut self) -> Result<u8, ParseError> {
        let bits = match self.peek() {
            Some(Kind::Dot(dot)) => type_bits(dot),
            _ => None,
        };
        let Some(bits) = bits else { return Err(self.error("expected a type")) };
        self.skip();
        Ok(bits)
    }

    /// `.reg .b32 %r<10>, a, b;`
    pub(super) fn registers(&mut self, body: &mut Vec<Statement<'a>>) -> Result<(), ParseError> {
        self.skip();
        if matches!(self.peek(), Some(Kind::Dot(".v2" | ".v4"))) {
            return Err(self.error("vector registers are not supported"));
        }
        let bits = self.declared_type()?;
        loop {
            let ptx_line = self.line();
            let name = self.word()?;
            let count = if self.eat(b'<') {
                let count = self.int32()?;
                self.expect(b'>')?;
                Some(count)
            } else {
                None
            };
            body.push(Statement::Registers { name, count, bits, ptx_line });
            if !self.eat(b',') {
                return self.expect(b';');
            }
        }
    }

    /// The declarations after a space, up to and with the semicolon.
    pub(super) fn variables(
        &mut self,
        space: VariableSpace,
        external: bool,
        add: &mut dyn FnMut(Variable<'a>),
    ) -> Result<(), ParseError> {
        let first = self.variable(space, external)?;
        let shape = (first.align, first.element, first.vector);
        add(first);
        while self.eat(b',') {
            add(self.declarator(space, external, shape)?);
        }
        self.expect(b';')
    }

    /// Alignment, type and the first name.
    pub(super) fn variable(&mut self, space: VariableSpace, external: bool) -> Result<Variable<'a>, ParseError> {
        let (mut align, mut vector) = (0, 1);
        let mut bits = None;
        while let Some(Kind::Dot(dot)) = self.peek() {
            match dot {
                // What a pointer parameter points to has its own `.align`, which says nothing of the parameter.
                ".ptr" => {
                    self.skip();
                    _ = self.variable_space();
                    if self.eat_dot(".align") {
                        self.int()?;
                    }
                }
                ".align" => {
                    self.skip();
                    let error = self.error("an alignment is a power of two up to 1 MiB");
                    align = self.int32()?;
                    if !align.is_power_of_two() || align > 1 << 20 {
                        return Err(error);
                    }
                }
                // Managed memory is global memory that the host reaches too, as it reaches all of it here.
                ".attribute" => {
                    self.skip();
                    self.expect(b'(')?;
                    while !self.eat(b')') {
                        if self.peek().is_none() {
                            return Err(self.error("`(` without its `)`"));
                        }
                        self.skip();
                    }
                }
                ".v2" | ".v4" | ".v8" => {
                    vector = u32::from(dot.as_bytes()[2] - b'0');
                    self.skip();
                }
                _ => {
                    if bits.is_some() {
                        return Err(self.error("a second type"));
                    }
                    bits = Some(self.declared_type()?);
                }
            }
        }
        let Some(bits) = bits else { return Err(self.error("expected a type")) };
        if bits < 8 || vector != 1 && space == VariableSpace::Param {
            return Err(self.error("not the type of a variable before this"));
        }
        let element = u32::from(bits / 8);
        let align = if align == 0 { element * vector } else { align };
        self.declarator(space, external, (align, element, vector))
    }

    fn declarator(
        &mut self,
        space: VariableSpace,
        external: bool,
        (align, element, vector): (u32, u32, u32),
    ) -> Result<Variable<'a>, ParseError> {
        let ptx_line = self.line();
        let name = self.word()?;
        let mut bytes = Some(u64::from(element * vector));
        // Elements of one entry of each dimension, the vector as the last.
        let mut extents = vec![];
        while self.eat(b'[') {
            if self.eat(b']') {
                bytes = None;
                continue;
            }
            let error = self.error("the array is too large");
            let extent = self.int()?;
            extents.push(extent);
            if let Some(so_far) = bytes {
                bytes = Some(so_far.checked_mul(extent).filter(|&bytes| bytes <= 1 << 40).ok_or(error)?);
            }
            self.expect(b']')?;
        }
        let mut init = Vec::new();
        if self.eat(b'=') {
            if !matches!(space, VariableSpace::Global | VariableSpace::Const) {
                return Err(self.error("only .global and .const variables have initial values"));
            }
            if self.eat(b'{') {
                if vector > 1 {
                    extents.push(u64::from(vector));
                }
                let first = usize::from(bytes.is_some() && !extents.is_empty());
                self.initial_list(element, extents.get(first..).unwrap_or_default(), &mut init)?;
            } else {
                init.push(self.initial(element)?);
            }
            let given = init.len() as u64 * u64::from(element);
            let bytes = bytes.get_or_insert(given);
            if given > *bytes {
                return Err(ParseError::at(
                    ptx_line,
                    name,
                    format!("{given} bytes of initial values for {bytes} bytes"),
                ));
            }
        }
        Ok(Variable { name, space, align, element, vector, bytes, init, external, ptx_line })
    }

    /// The values of a list, up to its `}`. A list within the list fills an entry of the dimension, the rest with
    /// zeros.
    fn initial_list(&mut self, element: u32, inner: &[u64], out: &mut Vec<Init<'a>>) -> Result<(), ParseError> {
        loop {
            let error = self.error("the list has more values than its dimension");
            if self.eat(b'{') {
                let Some((_, rest)) = inner.split_first() else { return Err(error) };
                let start = out.len();
                self.initial_list(element, rest, out)?;
                let entry = inner.iter().fold(1, |all: u64, n| all.saturating_mul(*n));
                match usize::try_from(entry) {
                    Ok(entry) if entry <= MAX_FILLED && out.len() - start <= entry => {
                        out.resize(start + entry, Init::Bits(0));
                    }
                    _ => return Err(error),
                }
            } else {
                out.push(self.initial(element)?);
            }
            if out.len() > MAX_FILLED {
                return Err(self.error("too many initial values"));
            }
            if !self.eat(b',') {
                return self.expect(b'}');
            }
        }
    }

    fn initial(&mut self, element: u32) -> Result<Init<'a>, ParseError> {
        let negative = self.eat(b'-');
        let bits = match self.peek() {
            Some(Kind::Int(value)) if negative => value.wrapping_neg(),
            Some(Kind::Int(value)) => value,
            Some(Kind::F32(bits)) if element == 4 => u64::from(bits ^ (u32::from(negative) << 31)),
            Some(Kind::F64(bits)) if element == 8 => bits ^ (u64::from(negative) << 63),
            Some(Kind::F64(bits)) if element == 4 => {
                u64::from((f64::from_bits(bits) as f32).to_bits() ^ (u32::from(negative) << 31))
            }
            Some(Kind::Word(word)) if !negative && element == 8 => {
                self.skip();
                let generic = word == "generic" && self.eat(b'(');
                let name = if generic { self.word()? } else { word };
                if generic {
                    self.expect(b')')?;
                }
                let addend = self.offset()?.unwrap_or(0);
                return Ok(Init::Address { name, addend, generic });
            }
            _ => return Err(self.error(format!("not supported as initial value of a {element}-byte element"))),
        };
        self.skip();
        if self.peek() == Some(Kind::Punct(b'(')) {
            return Err(self.error("masked addresses are not supported as initial values"));
        }
        Ok(Init::Bits(bits))
    }
}
