//! PTX text to tokens (PTX ISA §4.1–§4.5).

use super::ParseError;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind<'a> {
    /// An identifier or opcode, with its dotted modifiers: `%r1`, `ld.global.v2.f32`, `$L__BB0_1`.
    Word(&'a str),
    /// A directive or type: `.reg`, `.b32`.
    Dot(&'a str),
    /// An integer literal.
    Int(u64),
    /// A single-precision literal, as bits.
    F32(u32),
    /// A double-precision literal, as bits.
    F64(u64),
    /// A quoted string, without quotes.
    Str(&'a str),
    /// Punctuation.
    Punct(u8),
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// 1-based line.
    pub line: u32,
    /// Byte position of its start and of its end.
    pub span: (usize, usize),
}

fn word_start(c: u8) -> bool {
    c.is_ascii_alphabetic() || matches!(c, b'_' | b'$' | b'%')
}

fn word_part(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'$' | b'%')
}

/// End of the word that starts at `at`: parts are joined by `::` and, if `dots`, by `.`.
fn word_end(text: &[u8], mut at: usize, dots: bool) -> usize {
    loop {
        match text.get(at) {
            Some(&c) if word_part(c) => at += 1,
            Some(b'.') if dots && text.get(at + 1).is_some_and(|&c| word_part(c)) => at += 2,
            Some(b':') if text.get(at + 1) == Some(&b':') && text.get(at + 2).is_some_and(|&c| word_part(c)) => at += 3,
            _ => return at,
        }
    }
}

fn number<'a>(word: &str) -> Option<Kind<'a>> {
    let lower = word.to_ascii_lowercase();
    let digits = lower.as_str();
    if let Some(hex) = digits.strip_prefix("0f").filter(|h| h.len() == 8) {
        return u32::from_str_radix(hex, 16).ok().map(Kind::F32);
    }
    if let Some(hex) = digits.strip_prefix("0d").filter(|h| h.len() == 16) {
        return u64::from_str_radix(hex, 16).ok().map(Kind::F64);
    }
    let hex = digits.starts_with("0x");
    if !hex && digits.contains(['.', 'e']) {
        return digits.parse::<f64>().ok().map(|value| Kind::F64(value.to_bits()));
    }
    let digits = digits.strip_suffix('u').unwrap_or(digits);
    let value = if let Some(hex) = digits.strip_prefix("0x") {
        u64::from_str_radix(hex, 16)
    } else if let Some(binary) = digits.strip_prefix("0b") {
        u64::from_str_radix(binary, 2)
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    value.ok().map(Kind::Int)
}

/// Splits a text into tokens; comments and white space vanish.
pub fn tokens(source: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let text = source.as_bytes();
    let mut out = Vec::with_capacity(text.len() / 4);
    let (mut at, mut line) = (0, 1u32);
    while let Some(&c) = text.get(at) {
        let start = at;
        let kind = match c {
            b'\n' => {
                line = line.saturating_add(1);
                at += 1;
                continue;
            }
            // A trailing NUL is what C strings handed to the driver end with.
            b' ' | b'\t' | b'\r' | 0 => {
                at += 1;
                continue;
            }
            b'/' if text.get(at + 1) == Some(&b'/') => {
                while text.get(at).is_some_and(|&c| c != b'\n') {
                    at += 1;
                }
                continue;
            }
            b'/' if text.get(at + 1) == Some(&b'*') => {
                let first = line;
                at += 2;
                loop {
                    match text.get(at) {
                        None => return Err(ParseError::at(first, "/*", "comment without an end")),
                        Some(b'*') if text.get(at + 1) == Some(&b'/') => break,
                        Some(&c) => line = line.saturating_add(u32::from(c == b'\n')),
                    }
                    at += 1;
                }
                at += 2;
                continue;
            }
            b'"' => {
                at += 1;
                while text.get(at).is_some_and(|&c| c != b'"' && c != b'\n') {
                    at += if text[at] == b'\\' && text.get(at + 1).is_some_and(|&c| c != b'\n') { 2 } else { 1 };
                }
                if text.get(at) != Some(&b'"') {
                    return Err(ParseError::at(line, "\"", "string without an end"));
                }
                at += 1;
                Kind::Str(&source[start + 1..at - 1])
            }
            b'.' if text.get(at + 1).is_some_and(|&c| word_part(c)) => {
                at = word_end(text, at + 1, false);
                Kind::Dot(&source[start..at])
            }
            _ if word_start(c) => {
                at = word_end(text, at, true);
                Kind::Word(&source[start..at])
            }
            _ if c.is_ascii_digit() => {
                while text.get(at).is_some_and(|&c| c.is_ascii_alphanumeric() || c == b'.')
                    || (text.get(at).is_some_and(|c| matches!(c, b'+' | b'-'))
                        && matches!(text[at - 1], b'e' | b'E')
                        && !matches!(text.get(start + 1), Some(b'x' | b'X' | b'f' | b'F' | b'd' | b'D')))
                {
                    at += 1;
                }
                let word = &source[start..at];
                number(word).ok_or_else(|| ParseError::at(line, word, "not a number"))?
            }
            b'{' | b'}' | b'[' | b']' | b'(' | b')' | b'<' | b'>' | b',' | b';' | b':' | b'@' | b'!' | b'|' | b'='
            | b'+' | b'-' | b'*' | b'/' | b'&' | b'^' | b'~' | b'.' => {
                at += 1;
                Kind::Punct(c)
            }
            _ => {
                let shown: String = source[start..].chars().take(1).collect();
                return Err(ParseError::at(line, shown, "unexpected character"));
            }
        };
        out.push(Token { kind, line, span: (start, at) });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind<'_>> {
        tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn words_keep_their_modifiers() {
        assert_eq!(
            kinds("ld.shared::cta.u32 %r1, L: .reg.b32"),
            [
                Kind::Word("ld.shared::cta.u32"),
                Kind::Word("%r1"),
                Kind::Punct(b','),
                Kind::Word("L"),
                Kind::Punct(b':'),
                Kind::Dot(".reg"),
                Kind::Dot(".b32")
            ]
        );
    }

    #[test]
    fn numbers_of_every_base() {
        let one = 1.5f64.to_bits();
        assert_eq!(
            kinds("0 10 010 0x1F 0b101 7U 0f3F800000 0d3FF8000000000000 1.5 15e-1 0x1e"),
            [
                Kind::Int(0),
                Kind::Int(10),
                Kind::Int(8),
                Kind::Int(31),
                Kind::Int(5),
                Kind::Int(7),
                Kind::F32(0x3F80_0000),
                Kind::F64(one),
                Kind::F64(one),
                Kind::F64(one),
                Kind::Int(30)
            ]
        );
        for bad in ["08", "0x", "1z", "99999999999999999999", "0b2"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn comments_count_lines() {
        let all = tokens("a // x\n/* y\n\n*/ b").unwrap();
        assert_eq!(all.iter().map(|token| token.line).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(tokens("\n/* ").unwrap_err().ptx_line, 2);
        assert!(tokens("\"ab").is_err());
        assert!(tokens("é").is_err());
    }
}
