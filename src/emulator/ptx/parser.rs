//! Tokens to the syntax tree: module, entries and statements.

use super::ParseError;
use super::ast::{Function, Instruction, Loc, Source, Statement, Variable, VariableSpace};
use super::lexer::{Kind, Token, tokens};

/// Deepest nesting of scopes: looking a name up walks all of them.
const MAX_DEPTH: u32 = 64;

/// Reads a whole PTX text.
pub fn parse(text: &str) -> Result<Source<'_>, ParseError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens: &tokens, at: 0, files: Vec::new() };
    let mut source = Source::default();
    while parser.peek().is_some() {
        parser.module_item(&mut source)?;
    }
    if source.version == (0, 0) {
        return Err(ParseError::at(0, "", "no .version directive"));
    }
    source.files = parser.files;
    Ok(source)
}

/// A cursor over the tokens.
pub(super) struct Parser<'a, 't> {
    text: &'a str,
    tokens: &'t [Token<'a>],
    at: usize,
    files: Vec<(u32, &'a str)>,
}

impl<'a> Parser<'a, '_> {
    pub(super) fn peek(&self) -> Option<Kind<'a>> {
        self.tokens.get(self.at).map(|token| token.kind)
    }

    pub(super) fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |token| token.line)
    }

    /// An error at the token under the cursor.
    pub(super) fn error(&self, message: impl Into<String>) -> ParseError {
        let text = self.tokens.get(self.at).map_or("end of text", |token| &self.text[token.span.0..token.span.1]);
        ParseError::at(self.line(), text, message)
    }

    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    /// Steps over a punctuation mark if it is next.
    pub(super) fn eat(&mut self, mark: u8) -> bool {
        let found = self.peek() == Some(Kind::Punct(mark));
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, mark: u8) -> Result<(), ParseError> {
        if self.eat(mark) { Ok(()) } else { Err(self.error(format!("expected `{}`", mark as char))) }
    }

    pub(super) fn eat_dot(&mut self, name: &str) -> bool {
        let found = matches!(self.peek(), Some(Kind::Dot(dot)) if dot == name);
        self.at += usize::from(found);
        found
    }

    pub(super) fn word(&mut self) -> Result<&'a str, ParseError> {
        match self.peek() {
            Some(Kind::Word(word)) => {
                self.skip();
                Ok(word)
            }
            _ => Err(self.error("expected a name")),
        }
    }

    pub(super) fn int(&mut self) -> Result<u64, ParseError> {
        match self.peek() {
            Some(Kind::Int(value)) => {
                self.skip();
                Ok(value)
            }
            _ => Err(self.error("expected an integer")),
        }
    }

    pub(super) fn int32(&mut self) -> Result<u32, ParseError> {
        let error = self.error("does not fit in 32 bits");
        u32::try_from(self.int()?).map_err(|_| error)
    }

    fn module_item(&mut self, source: &mut Source<'a>) -> Result<(), ParseError> {
        let Some(Kind::Dot(dot)) = self.peek() else { return Err(self.error("expected a directive")) };
        match dot {
            ".version" => {
                self.skip();
                let error = self.error("expected a version such as 9.0");
                let text = self.tokens.get(self.at).map_or("", |token| &self.text[token.span.0..token.span.1]);
                let (major, minor) = text.split_once('.').ok_or_else(|| error.clone())?;
                source.version = (major.parse().map_err(|_| error.clone())?, minor.parse().map_err(|_| error.clone())?);
                self.skip();
            }
            ".target" => {
                self.skip();
                source.target = self.word()?;
                while self.eat(b',') {
                    self.word()?;
                }
            }
            ".address_size" => {
                self.skip();
                let error = self.error("only 64-bit addresses are supported");
                if self.int()? != 64 {
                    return Err(error);
                }
            }
            ".file" => self.file()?,
            ".section" => {
                self.skip();
                while !matches!(self.peek(), Some(Kind::Punct(b'{')) | None) {
                    self.skip();
                }
                self.braces()?;
            }
            ".pragma" => self.through_semicolon()?,
            ".alias" => {
                self.skip();
                let name = self.word()?;
                self.expect(b',')?;
                source.aliases.push((name, self.word()?));
                self.expect(b';')?;
            }
            _ => {
                let external = self.linkage();
                match self.peek() {
                    Some(Kind::Dot(".entry")) => {
                        if let Some(entry) = self.entry()? {
                            source.entries.push(entry);
                        }
                    }
                    Some(Kind::Dot(".func")) => source.functions.push(self.device_function()?),
                    _ => {
                        let Some(space) = self.variable_space() else { return Err(self.error("unknown directive")) };
                        self.variables(space, external, &mut |variable| source.variables.push(variable))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn file(&mut self) -> Result<(), ParseError> {
        self.skip();
        let index = self.int32()?;
        let Some(Kind::Str(path)) = self.peek() else { return Err(self.error("expected a file name")) };
        self.skip();
        while self.eat(b',') {
            self.int()?;
        }
        self.files.push((index, path));
        Ok(())
    }

    /// Steps over `{ … }`, whatever is inside.
    fn braces(&mut self) -> Result<(), ParseError> {
        let open = self.error("`{` without its `}`");
        self.expect(b'{')?;
        let mut depth = 1u32;
        while depth > 0 {
            match self.peek() {
                None => return Err(open),
                Some(Kind::Punct(b'{')) => depth += 1,
                Some(Kind::Punct(b'}')) => depth -= 1,
                _ => {}
            }
            self.skip();
        }
        Ok(())
    }

    fn through_semicolon(&mut self) -> Result<(), ParseError> {
        let start = self.error("no `;` after this");
        while let Some(kind) = self.peek() {
            self.skip();
            if kind == Kind::Punct(b';') {
                return Ok(());
            }
        }
        Err(start)
    }

    /// Steps over linkage directives; true if one of them is `.extern`.
    fn linkage(&mut self) -> bool {
        let mut external = false;
        while let Some(Kind::Dot(dot @ (".extern" | ".visible" | ".weak" | ".common"))) = self.peek() {
            external |= dot == ".extern";
            self.skip();
        }
        external
    }

    /// `.func (returns) name (params) { … }`, or `;` for a prototype.
    fn device_function(&mut self) -> Result<Function<'a>, ParseError> {
        let mut function = Function { ptx_line: self.line(), ..Function::default() };
        self.skip();
        if self.peek() == Some(Kind::Punct(b'(')) {
            function.returns = self.formals(true)?;
        }
        function.name = self.word()?;
        if self.peek() == Some(Kind::Punct(b'(')) {
            function.params = self.formals(true)?;
        }
        loop {
            match self.peek() {
                Some(Kind::Dot(".noreturn")) => self.skip(),
                Some(Kind::Dot(".abi_preserve" | ".abi_preserve_control")) => {
                    self.skip();
                    self.int()?;
                }
                Some(Kind::Dot(".pragma")) => self.through_semicolon()?,
                _ => break,
            }
        }
        if self.eat(b';') {
            return Ok(function);
        }
        if self.peek() != Some(Kind::Punct(b'{')) {
            return Err(self.error("expected the body of the function"));
        }
        self.body(&mut function)?;
        Ok(function)
    }

    /// `(.param .b32 a, …)`; those of device functions may be registers.
    fn formals(&mut self, registers: bool) -> Result<Vec<Variable<'a>>, ParseError> {
        let mut formals = Vec::new();
        self.expect(b'(')?;
        if self.eat(b')') {
            return Ok(formals);
        }
        loop {
            let line = self.error("expected `.param`");
            let space = if registers && self.eat_dot(".reg") {
                VariableSpace::Register
            } else if self.variable_space() == Some(VariableSpace::Param) {
                VariableSpace::Param
            } else {
                return Err(line);
            };
            formals.push(self.variable(space, false)?);
            if !self.eat(b',') {
                self.expect(b')')?;
                return Ok(formals);
            }
        }
    }

    /// One to three extents.
    fn extents(&mut self) -> Result<Option<[u32; 3]>, ParseError> {
        let mut out = [1; 3];
        out[0] = self.int32()?;
        for extent in &mut out[1..] {
            if self.eat(b',') {
                *extent = self.int32()?;
            }
        }
        Ok(Some(out))
    }

    fn entry(&mut self) -> Result<Option<Function<'a>>, ParseError> {
        let mut function = Function { ptx_line: self.line(), ..Function::default() };
        self.skip();
        function.name = self.word()?;
        if self.peek() == Some(Kind::Punct(b'(')) {
            function.params = self.formals(false)?;
        }
        loop {
            match self.peek() {
                Some(Kind::Punct(b'{')) => break,
                Some(Kind::Punct(b';')) => {
                    self.skip();
                    return Ok(None);
                }
                Some(Kind::Dot(dot)) => {
                    let unknown = self.error("unknown directive of an entry");
                    if dot == ".pragma" {
                        self.through_semicolon()?;
                        continue;
                    }
                    self.skip();
                    match dot {
                        ".maxntid" => function.max_threads = self.extents()?,
                        ".reqntid" => function.required_threads = self.extents()?,
                        ".reqnctapercluster" => function.required_cluster = self.extents()?,
                        ".minnctapersm" | ".maxnctapersm" | ".maxnreg" | ".maxclusterrank" => _ = self.int32()?,
                        ".explicitcluster" => {}
                        _ => return Err(unknown),
                    }
                }
                _ => return Err(self.error("expected the body of the entry")),
            }
        }
        self.body(&mut function)?;
        Ok(Some(function))
    }

    fn body(&mut self, function: &mut Function<'a>) -> Result<(), ParseError> {
        let open = self.error("`{` without its `}`");
        self.expect(b'{')?;
        function.defined = true;
        let (mut depth, mut loc) = (0u32, None);
        loop {
            let line = self.line();
            match self.peek() {
                None => return Err(open),
                Some(Kind::Punct(b'{')) => {
                    if depth == MAX_DEPTH {
                        return Err(self.error(format!("scopes nest deeper than {MAX_DEPTH}")));
                    }
                    self.skip();
                    depth += 1;
                    function.body.push(Statement::Open);
                }
                Some(Kind::Punct(b'}')) => {
                    self.skip();
                    if depth == 0 {
                        return Ok(());
                    }
                    depth -= 1;
                    function.body.push(Statement::Close);
                }
                Some(Kind::Punct(b';')) => self.skip(),
                Some(Kind::Dot(dot)) => match dot {
                    ".loc" => loc = Some(self.loc()?),
                    ".file" => self.file()?,
                    ".pragma" => self.through_semicolon()?,
                    ".reg" => self.registers(&mut function.body)?,
                    _ => {
                        let external = self.linkage();
                        let Some(space) = self.variable_space() else { return Err(self.error("unknown directive")) };
                        let body = &mut function.body;
                        self.variables(space, external, &mut |variable| body.push(Statement::Variable(variable)))?;
                    }
                },
                Some(Kind::Word(name)) if self.tokens.get(self.at + 1).map(|t| t.kind) == Some(Kind::Punct(b':')) => {
                    self.at += 2;
                    match self.peek() {
                        Some(Kind::Dot(".branchtargets")) => {
                            let targets = self.branch_targets()?;
                            function.body.push(Statement::Table { name, targets, ptx_line: line });
                        }
                        Some(Kind::Dot(".calltargets" | ".callprototype")) => self.through_semicolon()?,
                        _ => function.body.push(Statement::Label { name, ptx_line: line }),
                    }
                }
                Some(Kind::Word(_) | Kind::Punct(b'@')) => {
                    let instruction = self.instruction(loc)?;
                    function.body.push(Statement::Instruction(instruction));
                }
                Some(_) => return Err(self.error("expected a statement")),
            }
        }
    }

    fn branch_targets(&mut self) -> Result<Vec<&'a str>, ParseError> {
        self.skip();
        let mut targets = vec![self.word()?];
        while self.eat(b',') {
            targets.push(self.word()?);
        }
        self.expect(b';')?;
        Ok(targets)
    }

    fn loc(&mut self) -> Result<Loc, ParseError> {
        self.skip();
        let mut loc = Loc { file: self.int32()?, line: self.int32()?, caller: None };
        self.int()?;
        // The place inside the innermost inlined function, and where that was inlined. The calls around it would have
        // to be found among earlier `.loc`s, of which several can be meant.
        while self.eat(b',') {
            match self.word()? {
                "function_name" => {
                    self.word()?;
                    if self.eat(b'+') {
                        self.int()?;
                    }
                }
                "inlined_at" => {
                    loc.caller = Some((self.int32()?, self.int32()?));
                    self.int()?;
                }
                _ => return Err(self.error("unknown attribute of .loc before this")),
            }
        }
        Ok(loc)
    }

    fn instruction(&mut self, loc: Option<Loc>) -> Result<Instruction<'a>, ParseError> {
        let (first, ptx_line) = (self.at, self.line());
        let guard = if self.eat(b'@') {
            let negated = self.eat(b'!');
            Some((self.word()?, negated))
        } else {
            None
        };
        let opcode = self.word()?;
        let mut operands = Vec::new();
        let mut call = None;
        if opcode == "call" || opcode.starts_with("call.") {
            call = Some(Box::new(self.call()?));
        } else if self.peek() != Some(Kind::Punct(b';')) {
            operands.push(self.operand()?);
            while self.eat(b',') {
                operands.push(self.operand()?);
            }
        }
        let end = self.at;
        self.expect(b';')?;
        let text = &self.text[self.tokens[first].span.0..self.tokens[end].span.0];
        Ok(Instruction { guard, opcode, operands, call, text, ptx_line, loc })
    }
}
