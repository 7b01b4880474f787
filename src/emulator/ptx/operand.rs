//! Operands of instructions.

use super::ParseError;
use super::ast::{Call, Operand};
use super::lexer::Kind;
use super::parser::Parser;

impl<'a> Parser<'a, '_> {
    /// One operand, pairs and vectors included.
    pub(super) fn operand(&mut self) -> Result<Operand<'a>, ParseError> {
        match self.peek() {
            Some(Kind::Punct(b'[')) => self.address(),
            Some(Kind::Punct(b'{')) => Ok(Operand::Vector(self.vector()?)),
            _ => {
                let first = self.simple()?;
                if self.eat(b'|') {
                    let second = self.simple()?;
                    return Ok(Operand::Pair(Box::new(first), Box::new(second)));
                }
                Ok(first)
            }
        }
    }

    /// What stands behind `call`: `(returns), target, (args), prototype`, all but the target optional.
    pub(super) fn call(&mut self) -> Result<Call<'a>, ParseError> {
        let mut call = Call { returns: Vec::new(), target: "", args: Vec::new() };
        if self.peek() == Some(Kind::Punct(b'(')) {
            call.returns = self.list()?;
            self.expect(b',')?;
        }
        call.target = self.word()?;
        let mut more = self.eat(b',');
        if more && self.peek() == Some(Kind::Punct(b'(')) {
            call.args = self.list()?;
            more = self.eat(b',');
        }
        if more {
            // The prototype or the list of targets: what an address turns out to name is checked when it is called.
            self.word()?;
        }
        Ok(call)
    }

    /// `(a, b, …)`.
    fn list(&mut self) -> Result<Vec<Operand<'a>>, ParseError> {
        self.expect(b'(')?;
        let mut operands = Vec::new();
        if self.eat(b')') {
            return Ok(operands);
        }
        loop {
            operands.push(self.simple()?);
            if !self.eat(b',') {
                self.expect(b')')?;
                return Ok(operands);
            }
        }
    }

    /// A register, name or constant.
    fn simple(&mut self) -> Result<Operand<'a>, ParseError> {
        if self.eat(b'!') {
            return Ok(Operand::Not(self.word()?));
        }
        if let Some(Kind::Word(word)) = self.peek() {
            self.skip();
            let offset = self.offset()?;
            return Ok(match (word, offset) {
                ("_", None) => Operand::Sink,
                ("WARP_SZ", None) => Operand::Int(32),
                (_, None) => Operand::Name(word),
                (_, Some(offset)) => Operand::NamePlus(word, offset),
            });
        }
        let negative = self.eat(b'-');
        let operand = match self.peek() {
            Some(Kind::Int(value)) if negative => Operand::Int((value as i64).wrapping_neg()),
            Some(Kind::Int(value)) => Operand::Int(value as i64),
            Some(Kind::F32(bits)) => Operand::F32(bits ^ (u32::from(negative) << 31)),
            Some(Kind::F64(bits)) => Operand::F64(bits ^ (u64::from(negative) << 63)),
            _ => return Err(self.error("expected an operand")),
        };
        self.skip();
        Ok(operand)
    }

    /// `+ n`, `- n`, `+-n`, repeated; `None` when there is none.
    pub(super) fn offset(&mut self) -> Result<Option<i64>, ParseError> {
        let mut sum = None::<i64>;
        loop {
            let mut negative = match self.peek() {
                Some(Kind::Punct(b'+')) => false,
                Some(Kind::Punct(b'-')) => true,
                _ => return Ok(sum),
            };
            self.skip();
            negative ^= self.eat(b'-');
            let value = self.int()? as i64;
            let value = if negative { value.wrapping_neg() } else { value };
            sum = Some(sum.unwrap_or(0).wrapping_add(value));
        }
    }

    fn address(&mut self) -> Result<Operand<'a>, ParseError> {
        self.expect(b'[')?;
        let (base, start) = match self.peek() {
            Some(Kind::Word(word)) => {
                self.skip();
                (Some(word), 0)
            }
            _ => {
                let negative = self.eat(b'-');
                let value = self.int()? as i64;
                (None, if negative { value.wrapping_neg() } else { value })
            }
        };
        let offset = start.wrapping_add(self.offset()?.unwrap_or(0));
        let address = if self.eat(b',') {
            let Some(base) = base else { return Err(self.error("a tensor address needs a register or a name")) };
            Operand::TensorAddress { base, offset, coords: self.vector()? }
        } else {
            Operand::Address { base, offset }
        };
        self.expect(b']')?;
        Ok(address)
    }

    fn vector(&mut self) -> Result<Vec<Operand<'a>>, ParseError> {
        self.expect(b'{')?;
        let mut elements = vec![self.simple()?];
        while self.eat(b',') {
            elements.push(self.simple()?);
        }
        self.expect(b'}')?;
        Ok(elements)
    }
}
