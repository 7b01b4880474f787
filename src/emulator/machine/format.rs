//! The format strings of `printf`, as C has them (and CUDA C++ Programming Guide, "Formatted Output").

/// Widest field and most digits that a conversion may ask for.
const MAX_WIDTH: usize = 4096;

/// The value of a conversion.
#[derive(Clone, Copy)]
pub(super) enum Arg<'a> {
    /// A number as its bits.
    Bits(u64),
    /// A string.
    Text(&'a [u8]),
}

/// `%[flags][width][.precision][length]kind`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conversion {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    /// Whether an argument gives them.
    pub width_is_argument: bool,
    pub precision_is_argument: bool,
    /// Bytes of an integer argument before C widened it.
    size: u64,
    /// The letter.
    pub kind: u8,
}

/// Splits a format into conversions and the text between them (`Err`). What is no conversion stands for itself.
pub(super) fn conversions(format: &[u8]) -> impl Iterator<Item = Result<Conversion, &[u8]>> {
    let mut rest = format;
    std::iter::from_fn(move || {
        let plain = rest.iter().position(|c| *c == b'%').unwrap_or(rest.len());
        if rest.is_empty() {
            return None;
        }
        let (taken, piece) = match plain {
            0 if rest.get(1) == Some(&b'%') => (2, Err(&rest[1..2])),
            0 => match Conversion::read(&rest[1..]) {
                Some((conversion, bytes)) => (1 + bytes, Ok(conversion)),
                None => (1, Err(&rest[..1])),
            },
            _ => (plain, Err(&rest[..plain])),
        };
        rest = &rest[taken..];
        Some(piece)
    })
}

/// Digits at the start of a text, as a number.
fn digits(text: &[u8], at: &mut usize) -> usize {
    let mut value = 0;
    while let Some(digit) = text.get(*at).filter(|c| c.is_ascii_digit()) {
        value = (value * 10 + usize::from(digit - b'0')).min(MAX_WIDTH);
        *at += 1;
    }
    value
}

impl Conversion {
    fn read(text: &[u8]) -> Option<(Conversion, usize)> {
        let mut c = Conversion { size: 4, ..Conversion::default() };
        let mut at = 0;
        loop {
            match text.get(at)? {
                b'-' => c.left = true,
                b'+' => c.plus = true,
                b' ' => c.space = true,
                b'#' => c.alternate = true,
                b'0' => c.zeros = true,
                _ => break,
            }
            at += 1;
        }
        if text.get(at) == Some(&b'*') {
            c.width_is_argument = true;
            at += 1;
        } else {
            c.width = digits(text, &mut at);
        }
        if text.get(at) == Some(&b'.') {
            at += 1;
            if text.get(at) == Some(&b'*') {
                c.precision_is_argument = true;
                at += 1;
            } else {
                c.precision = Some(digits(text, &mut at));
            }
        }
        loop {
            match text.get(at)? {
                b'h' => c.size = if c.size == 2 { 1 } else { 2 },
                b'l' | b'j' | b'z' | b't' | b'q' => c.size = 8,
                b'L' => {}
                _ => break,
            }
            at += 1;
        }
        c.kind = *text.get(at)?;
        let known = b"diouxXcsfFeEgGaAp".contains(&c.kind);
        known.then_some((c, at + 1))
    }

    /// Sets a width that came as an argument; a negative one means to the left.
    pub fn set_width(&mut self, width: i32) {
        self.left |= width < 0;
        self.width = (width.unsigned_abs() as usize).min(MAX_WIDTH);
    }

    /// Sets a precision that came as an argument; a negative one means none.
    pub fn set_precision(&mut self, precision: i32) {
        self.precision = usize::try_from(precision).ok().map(|p| p.min(MAX_WIDTH));
    }

    /// Bytes that the argument takes.
    pub fn bytes(&self) -> u64 {
        match self.kind {
            b'd' | b'i' | b'o' | b'u' | b'x' | b'X' if self.size < 8 => 4,
            b'c' => 4,
            _ => 8,
        }
    }

    /// The text of a value.
    pub fn apply(&self, arg: Arg<'_>) -> Vec<u8> {
        let bits = match arg {
            Arg::Text(text) => {
                let most = self.precision.unwrap_or(text.len()).min(text.len());
                return self.pad(b"", &text[..most], false);
            }
            Arg::Bits(bits) => bits,
        };
        match self.kind {
            b'c' => self.pad(b"", &[bits as u8], false),
            b'p' => self.pad(b"", format!("{bits:#x}").as_bytes(), false),
            b'd' | b'i' => {
                let unused = 64 - 8 * self.size as u32;
                let value = (bits << unused) as i64 >> unused;
                self.integer(self.sign(value < 0), value.unsigned_abs().to_string())
            }
            b'u' | b'o' | b'x' | b'X' => {
                let value = bits & (u64::MAX >> (64 - 8 * self.size as u32));
                let prefix: &[u8] = match self.kind {
                    b'x' if self.alternate && value != 0 => b"0x",
                    b'X' if self.alternate && value != 0 => b"0X",
                    _ => b"",
                };
                let text = match self.kind {
                    b'u' => value.to_string(),
                    b'o' if self.alternate && value != 0 => format!("0{value:o}"),
                    b'o' => format!("{value:o}"),
                    b'x' => format!("{value:x}"),
                    _ => format!("{value:X}"),
                };
                self.integer(prefix, text)
            }
            _ => self.float(f64::from_bits(bits)),
        }
    }

    fn sign(&self, negative: bool) -> &'static [u8] {
        match (negative, self.plus, self.space) {
            (true, ..) => b"-",
            (false, true, _) => b"+",
            (false, false, true) => b" ",
            _ => b"",
        }
    }

    fn integer(&self, prefix: &[u8], digits: String) -> Vec<u8> {
        let mut digits = digits.into_bytes();
        if let Some(precision) = self.precision {
            if precision == 0 && digits == b"0" {
                digits.clear();
            }
            while digits.len() < precision {
                digits.insert(0, b'0');
            }
        }
        // A precision makes the flag 0 ineffective.
        self.pad(prefix, &digits, self.precision.is_none())
    }

    fn float(&self, value: f64) -> Vec<u8> {
        let upper = self.kind.is_ascii_uppercase();
        let sign = self.sign(value.is_sign_negative() && !value.is_nan());
        let magnitude = value.abs();
        let case = |text: String| if upper { text.to_ascii_uppercase() } else { text };
        if !value.is_finite() {
            let text = case(if value.is_nan() { "nan".into() } else { "inf".into() });
            return self.pad(sign, text.as_bytes(), false);
        }
        let precision = self.precision.unwrap_or(6);
        let text = match self.kind.to_ascii_lowercase() {
            b'e' => self.exponent(magnitude, precision),
            b'g' => self.shortest(magnitude, precision.max(1)),
            b'a' => {
                let (prefix, digits) = (if upper { "0X" } else { "0x" }, case(self.hex(magnitude)));
                return self.pad(&[sign, prefix.as_bytes()].concat(), digits.as_bytes(), true);
            }
            _ => {
                let point = if self.alternate && precision == 0 { "." } else { "" };
                format!("{magnitude:.precision$}{point}")
            }
        };
        self.pad(sign, case(text).as_bytes(), true)
    }

    /// `d.ddde±xx`.
    fn exponent(&self, value: f64, precision: usize) -> String {
        let text = format!("{value:.precision$e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let point = if self.alternate && precision == 0 { "." } else { "" };
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}{point}e{sign}{:02}", exponent.abs())
    }

    /// `%g`: so many significant digits, as `%e` if the exponent is small or large, without zeros at the end.
    fn shortest(&self, value: f64, digits: usize) -> String {
        let scientific = format!("{value:.*e}", digits - 1);
        let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
        let text = if exponent < -4 || exponent >= digits as i32 {
            self.exponent(value, digits - 1)
        } else {
            let places = (digits as i32 - 1 - exponent).max(0) as usize;
            format!("{value:.places$}")
        };
        if self.alternate {
            return text;
        }
        let (number, exponent) = match text.split_once('e') {
            Some((number, exponent)) => (number, format!("e{exponent}")),
            None => (text.as_str(), String::new()),
        };
        let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
        format!("{number}{exponent}")
    }

    /// `%a` without sign and `0x`: `1.8p+3`.
    fn hex(&self, value: f64) -> String {
        let bits = value.to_bits();
        let (mut exponent, mut fraction) = ((bits >> 52) as i32 - 1023, bits & ((1 << 52) - 1));
        let mut leading = 1;
        if exponent == -1023 {
            (leading, exponent) = (0, if fraction == 0 { 0 } else { -1022 });
        }
        let mut places = 13;
        match self.precision {
            Some(precision) if precision < 13 => {
                // Round to even at the last place that is kept.
                let drop = 4 * (13 - precision) as u32;
                let whole = leading << 52 | fraction;
                let (kept, rest, half) = (whole >> drop, whole & ((1 << drop) - 1), 1 << (drop - 1));
                let kept = kept + u64::from(rest > half || rest == half && kept & 1 == 1);
                let places_bits = 4 * precision as u32;
                (leading, fraction) = (kept >> places_bits, (kept & ((1 << places_bits) - 1)) << drop);
                places = precision;
            }
            Some(precision) => places = precision,
            None => {
                while places > 0 && fraction >> (4 * (13 - places)) & 0xF == 0 {
                    places -= 1;
                }
            }
        }
        let mut digits = format!("{fraction:013x}");
        while digits.len() < places {
            digits.push('0');
        }
        let point = if places > 0 || self.alternate { "." } else { "" };
        format!("{leading}{point}{}p{exponent:+}", &digits[..places])
    }

    /// Fills up to the width.
    fn pad(&self, prefix: &[u8], text: &[u8], number: bool) -> Vec<u8> {
        let missing = self.width.saturating_sub(prefix.len() + text.len());
        let (blanks, zeros) = if number && self.zeros && !self.left { (0, missing) } else { (missing, 0) };
        let mut out = Vec::with_capacity(self.width.max(text.len() + prefix.len()));
        out.resize(if self.left { 0 } else { blanks }, b' ');
        out.extend_from_slice(prefix);
        out.resize(out.len() + zeros, b'0');
        out.extend_from_slice(text);
        out.resize(out.len() + if self.left { blanks } else { 0 }, b' ');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(format: &str, arg: Arg<'_>) -> String {
        let mut out = Vec::new();
        for piece in conversions(format.as_bytes()) {
            match piece {
                Ok(conversion) => out.extend(conversion.apply(arg)),
                Err(text) => out.extend_from_slice(text),
            }
        }
        String::from_utf8(out).unwrap()
    }

    /// What C's printf gives, worked out from the C standard and checked with a C library.
    #[test]
    fn conversions_are_those_of_c() {
        let f = |x: f64| Arg::Bits(x.to_bits());
        let i = |x: i64| Arg::Bits(x as u64);
        for (format, arg, want) in [
            ("%d", i(-5), "-5"),
            ("<%5d>", i(42), "<   42>"),
            ("<%-5d>", i(42), "<42   >"),
            ("%05d", i(-42), "-0042"),
            ("%+d % d", i(7), "+7  7"),
            ("%.3d", i(7), "007"),
            ("%8.3d|", i(-7), "    -007|"),
            ("%.0d", i(0), ""),
            ("%u", Arg::Bits(0xFFFF_FFFF), "4294967295"),
            ("%d", Arg::Bits(0xFFFF_FFFF), "-1"),
            ("%lld", i(i64::MIN), "-9223372036854775808"),
            ("%llu", Arg::Bits(u64::MAX), "18446744073709551615"),
            ("%zu", Arg::Bits(1 << 40), "1099511627776"),
            ("%hhd", i(0x1FF), "-1"),
            ("%hu", i(0x12345), "9029"),
            ("%x %X %#x %#o", i(255), "ff FF 0xff 0377"),
            ("%#06x", i(255), "0x00ff"),
            ("%c%c", i(65), "AA"),
            ("%5s|%-5s|%.2s", Arg::Text(b"abc"), "  abc|abc  |ab"),
            ("100%%", i(0), "100%"),
            ("%f", f(3.140625), "3.140625"),
            ("%.2f", f(2.675), "2.67"),
            ("%.0f", f(2.5), "2"),
            ("%8.3f|", f(-1.5), "  -1.500|"),
            ("%08.2f", f(-1.5), "-0001.50"),
            ("%e", f(12345.678), "1.234568e+04"),
            ("%.3E", f(1e-100), "1.000E-100"),
            ("%g", f(100000.0), "100000"),
            ("%g", f(1e6), "1e+06"),
            ("%g", f(0.0001), "0.0001"),
            ("%g", f(0.00001234), "1.234e-05"),
            ("%.3g", f(2.0 / 3.0), "0.667"),
            ("%#g", f(1.0), "1.00000"),
            ("%g", f(999999.5), "1e+06"),
            ("%f", f(f64::INFINITY), "inf"),
            ("%5.1F|", f(f64::NEG_INFINITY), " -INF|"),
            ("%f", f(f64::NAN), "nan"),
            ("%f", f(-0.0), "-0.000000"),
            ("%a", f(12.0), "0x1.8p+3"),
            ("%a", f(0.1), "0x1.999999999999ap-4"),
            ("%.1a", f(0.1), "0x1.ap-4"),
            ("%a", f(0.0), "0x0p+0"),
            ("%a", f(5e-324), "0x0.0000000000001p-1022"),
            ("%p", i(0x7_0000_0000), "0x700000000"),
            ("%k %", i(1), "%k %"),
        ] {
            assert_eq!(one(format, arg), want, "{format}");
        }
    }
}
