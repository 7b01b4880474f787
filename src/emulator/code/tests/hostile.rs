//! Damaged text: an error or a module, never a panic, and never long.

use super::super::module::Module;
use super::{around, asynchronous, control, float, integer, logic, memory, moves, tensor, warp};
use std::time::{Duration, Instant};

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// One of every form, with what surrounds kernels.
fn everything() -> String {
    let groups = [
        integer::FORMS,
        float::FORMS,
        logic::FORMS,
        moves::FORMS,
        memory::FORMS,
        control::FORMS,
        warp::FORMS,
        tensor::FORMS,
        asynchronous::FORMS,
    ];
    let mut body = String::from(".loc 1 3 5\n.pragma \"nounroll\";\n{ .reg .pred P; W: @!P bra W; }\n");
    for (form, _) in groups.iter().flat_map(|group| group.iter()) {
        body += form;
        body += ";\n";
    }
    around(&body) + ".file 1 \"a.cu\"\n.section .debug_str { .b8 1,2 }\n"
}

#[test]
fn damaged_text_never_panics() {
    let whole = everything();
    Module::parse(&whole).unwrap();
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    let lines: Vec<&str> = whole.lines().collect();
    for round in 0..3000 {
        let text = match round % 4 {
            0 => whole[..random.below(whole.len())].to_string(),
            1 => {
                let mut bytes = whole.clone().into_bytes();
                for _ in 0..=random.below(4) {
                    let at = random.below(bytes.len());
                    let marks = b"{}[]()@!|,;:.%<>=+-0x9aZ_\"/* \n";
                    bytes[at] = marks[random.below(marks.len())];
                }
                String::from_utf8(bytes).unwrap()
            }
            2 => {
                let mut lines = lines.clone();
                let (from, to) = (random.below(lines.len()), random.below(lines.len()));
                lines[to] = lines[from];
                lines.remove(random.below(lines.len()));
                lines.join("\n")
            }
            _ => {
                // Words change places within the lines of the body, which reaches the decoder most.
                let mut words: Vec<&str> = whole.split(' ').collect();
                let (a, b) = (random.below(words.len()), random.below(words.len()));
                words.swap(a, b);
                words.join(" ")
            }
        };
        _ = Module::parse(&text);
    }
}

#[test]
fn operands_of_any_kind_never_panic() {
    let operands = [
        "%r1",
        "%rs1",
        "%rd1",
        "%p1",
        "!%p1",
        "_",
        "-1",
        "0f00000000",
        "gvar",
        "sbuf+4",
        "[%rd1]",
        "[%r1+8]",
        "{%r1, %r2}",
        "%r1|%p1",
        "L1",
        "T1",
        "%tid.x",
        "99999999999",
        "[%rd1, {%r1}]",
    ];
    let mut random = Random(7);
    let groups =
        [integer::FORMS, logic::FORMS, moves::FORMS, memory::FORMS, control::FORMS, tensor::FORMS, asynchronous::FORMS];
    for (form, _) in groups.iter().flat_map(|group| group.iter()) {
        let opcode = form.split(' ').next().unwrap();
        for count in 0..6 {
            let picked: Vec<_> = (0..count).map(|_| operands[random.below(operands.len())]).collect();
            _ = super::decoded(&format!("{opcode} {};", picked.join(", ")));
        }
    }
}

#[test]
fn much_out_of_little_is_bounded() {
    let start = Instant::now();
    let nested = around(&"{".repeat(100_000));
    assert!(Module::read(&nested).unwrap_err().message.contains("scopes nest deeper"));
    Module::parse(&around(".reg .b32 %many<4294967295>;")).unwrap();
    let table = format!("T2: .branchtargets {};\n{}", ["L1"; 2000].join(","), "brx.idx %r1, T2;\n".repeat(2000));
    assert!(Module::read(&around(&table)).unwrap_err().message.contains("more than 1048576 targets"));
    let most = format!("T2: .branchtargets {};\n{}", ["L1"; 1024].join(","), "brx.idx %r1, T2;\n".repeat(1024));
    Module::read(&around(&most)).unwrap();
    // A chain of blocks against the order of the text, with registers live all along it.
    let mut chain = String::from("bra C0;\n");
    for number in (0..3000).rev() {
        chain +=
            &format!("C{number}: @%p1 bra L1;\nadd.u32 %r{}, %r1, %r2;\nbra C{};\n", number % 40, (number + 1) % 3000);
    }
    Module::parse(&around(&chain)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
