//! A profile as a person reads it: at most 120 columns, plain text.

use std::fmt::Write;
use std::fs;

use halfbyte::emulator::Place;

use super::{Kernel, Line, Report};

/// Columns of a line.
const WIDTH: usize = 120;

/// The whole text; `lines` source lines a kernel.
pub fn report(report: &Report, shape: &str, lines: usize) -> String {
    let mut text = format!("{} {shape}, {}, counted on {}\n", report.op, report.types, report.device);
    for (at, kernel) in report.kernels.iter().enumerate() {
        let _ = write!(text, "\nkernel {} of {}: {}\n", at + 1, report.kernels.len(), kernel.kernel);
        wrapped(&mut text, "  plan       ", &kernel.plan);
        totals(&mut text, kernel);
        mix(&mut text, kernel);
        source(&mut text, kernel, lines);
        roofline(&mut text, report, kernel);
    }
    if report.kernels.len() > 1 {
        let _ = write!(text, "\nall kernels, one after the other: {} at best\n", time(report.estimate_s));
    }
    text + "
Counted is what the PTX asks for: caches would serve a part of the global bytes, and the assembler changes instructions.
Times are estimates, not measurements: what each rate of the data sheet would take by itself.
"
}

/// Counted against ideal.
fn totals(text: &mut String, kernel: &Kernel) {
    let (total, ideal) = (&kernel.total, &kernel.ideal);
    let _ = write!(text, "\n  {:<28} {:>16} {:>16} {:>8}\n", "", "counted", "ideal", "ratio");
    let mut row = |what: &str, counted: u64, ideal: u64| {
        let ratio = match (counted, ideal) {
            (0, 0) => return,
            (_, 0) => "-".into(),
            _ => format!("{:.2}", counted as f64 / ideal as f64),
        };
        let _ = writeln!(text, "  {what:<28} {:>16} {:>16} {ratio:>8}", digits(counted), digits(ideal));
    };
    row("global bytes read", 32 * total.sectors_read, ideal.bytes_read);
    row("global bytes written", 32 * total.sectors_written, ideal.bytes_written);
    row("tensor multiply-accumulates", total.tensor_macs, ideal.tensor_macs);
    row("shared-memory wavefronts", total.wavefronts, total.wavefronts_ideal);
    row("local-memory accesses", total.local_requests, 0);

    let sectors = |sectors: u64, requests: u64| match requests {
        0 => "none".to_string(),
        _ => format!("{:.1}", sectors as f64 / requests as f64),
    };
    let _ = write!(
        text,
        "\n  sectors a request: {} read, {} written; {:.0} % of their bytes asked for\n",
        sectors(total.sectors_read, total.requests_read),
        sectors(total.sectors_written, total.requests_written),
        100.0 * total.coalescing(),
    );
    let _ = writeln!(
        text,
        "  {} barriers in {} blocks; {} bytes by asynchronous copies",
        digits(kernel.barriers),
        digits(kernel.blocks),
        digits(total.async_bytes),
    );
    let _ = writeln!(
        text,
        "  divergence: {} branches parted a warp, {:.1} % of instructions ran in a part of one; {:.1} of 32 lanes active",
        digits(total.splits),
        100.0 * total.diverged as f64 / total.executions.max(1) as f64,
        total.lanes_active(),
    );
}

/// The instruction mix, largest part first.
fn mix(text: &mut String, kernel: &Kernel) {
    let all = kernel.total.executions;
    let part = |(kind, n): &(_, u64)| format!("{kind} {:.1}%", 100.0 * *n as f64 / all.max(1) as f64);
    // A kind and its part stay on one line.
    let parts: Vec<String> = kernel.mix.iter().map(part).map(|part| part.replace(' ', "\u{a0}")).collect();
    let _ = write!(text, "\n  {} warp instructions\n", digits(all));
    wrapped(text, "    ", &parts.join(", "));
}

/// The lines that run most, and those beyond them that waste memory.
fn source(text: &mut String, kernel: &Kernel, most: usize) {
    let wasteful = |line: &&Line| line.count.conflicts() > 0 || line.count.coalescing() < 0.5;
    let (top, rest) = kernel.lines.split_at(most.min(kernel.lines.len()));
    let more: Vec<&Line> = rest.iter().filter(wasteful).take(most).collect();
    if top.is_empty() {
        return;
    }
    let title = match (top.len(), kernel.lines.len()) {
        (shown, all) if shown == all => format!("the {all} lines"),
        (shown, all) => format!("the {shown} of {all} lines that run most"),
    };
    let _ = write!(
        text,
        "\n  {:>11} {:>5} {:>10} {:>6} {:>10} {:>10}   {title}\n",
        "executions", "lanes", "sectors", "a req.", "wavefronts", "ideal"
    );
    top.iter().for_each(|line| source_line(text, line));
    if !more.is_empty() {
        let _ = writeln!(text, "  and, further down, with conflicts or with less than half of its sectors asked for");
        more.into_iter().for_each(|line| source_line(text, line));
    }
}

fn source_line(text: &mut String, Line { place, count }: &Line) {
    let some = |n: u64, text: String| if n == 0 { String::new() } else { text };
    let sectors = count.sectors_read + count.sectors_written;
    let (wavefronts, ideal) = (count.wavefronts, count.wavefronts_ideal);
    let mark = if count.conflicts() > 0 || count.coalescing() < 0.5 { '!' } else { ' ' };
    let numbers = format!(
        "  {:>11} {:>5.1} {:>10} {:>6} {:>10} {:>10} {mark} ",
        digits(count.executions),
        count.lanes_active(),
        some(sectors, digits(sectors)),
        some(sectors, format!("{:.1}", count.sectors_a_request())),
        some(wavefronts, digits(wavefronts)),
        some(wavefronts, digits(ideal)),
    );
    let room = WIDTH.saturating_sub(numbers.chars().count());
    let _ = writeln!(text, "{numbers}{}", cut(&describe(place), room));
}

/// A place by its files' names, with the text of the line where the source is at hand.
fn describe(place: &Place) -> String {
    let name = |(file, line): &(String, u32)| format!("{}:{line}", file.rsplit('/').next().unwrap_or(file));
    // Generated code calls the kernel itself.
    let caller = place.caller.as_ref().filter(|(file, _)| !file.starts_with('<'));
    let mut text = name(&place.source);
    if let Some(caller) = caller {
        text += &format!(" < {}", name(caller));
    }
    // What a call passes says more than the body of a wrapper.
    let (file, line) = caller.unwrap_or(&place.source);
    let code = fs::read_to_string(file).unwrap_or_default();
    match code.lines().nth((*line as usize).wrapping_sub(1)) {
        Some(code) => format!("{text}  {}", code.trim()),
        None => text,
    }
}

/// What a GPU needs at least.
fn roofline(text: &mut String, report: &Report, kernel: &Kernel) {
    let (gpu, roof) = (report.gpu, &kernel.roofline);
    let bytes = kernel.ideal.bytes_read + kernel.ideal.bytes_written;
    let _ = write!(text, "\n  on {}, at best\n", gpu.name);
    let mut row = |what: &str, seconds: f64, how: String| {
        let binds = if what == roof.bound_by { "  <- binds" } else { "" };
        let _ = writeln!(text, "    {what:<14} {:>11}   {how}{binds}", time(seconds));
    };
    row("memory", roof.memory_s, format!("{} bytes at {} GB/s", digits(bytes), gpu.memory_gb_s));
    if kernel.total.tensor_macs > 0 {
        let operations = 2 * kernel.total.tensor_macs;
        row(
            "tensor cores",
            roof.tensor_s,
            format!("{} operations at {} {} TOPS", digits(operations), roof.tensor_tops, roof.tensor_type),
        );
    }
    if kernel.total.wavefronts > 0 {
        let busy = kernel.blocks.min(gpu.multiprocessors.into());
        let how = format!("{} wavefronts on {busy} multiprocessors", digits(kernel.total.wavefronts));
        row("shared memory", roof.shared_s, format!("{how} at {} MHz", gpu.clock_mhz));
    }
    let full = 100.0 * kernel.blocks as f64 / f64::from(gpu.multiprocessors);
    if full < 100.0 {
        let _ = writeln!(text, "    {} blocks leave {:.0} % of the multiprocessors idle", kernel.blocks, 100.0 - full);
    }
}

/// 1234567 as 1,234,567.
fn digits(n: u64) -> String {
    let plain = n.to_string();
    let mut text = String::new();
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.3} s"),
        s if s >= 1e-3 => format!("{:.3} ms", s * 1e3),
        s => format!("{:.3} us", s * 1e6),
    }
}

/// A text of at most so many characters.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_string();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

/// Adds words in lines of [`WIDTH`] columns, all of them as far in as the first.
fn wrapped(text: &mut String, head: &str, words: &str) {
    let indent = head.chars().count();
    let mut line = head.to_string();
    let mut filled = indent;
    for word in words.split(' ') {
        let more = word.chars().count() + 1;
        if filled > indent && filled + more > WIDTH {
            let _ = writeln!(text, "{}", line.trim_end().replace('\u{a0}', " "));
            line = " ".repeat(indent);
            filled = indent;
        }
        line += word;
        line.push(' ');
        filled += more;
    }
    let _ = writeln!(text, "{}", line.trim_end().replace('\u{a0}', " "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times() {
        assert_eq!((digits(0), digits(999), digits(1000)), ("0".into(), "999".into(), "1,000".into()));
        assert_eq!(digits(12_345_678), "12,345,678");
        assert_eq!((time(2.5), time(0.0025), time(2.5e-7)), ("2.500 s".into(), "2.500 ms".into(), "0.250 us".into()));
    }

    #[test]
    fn long_texts_are_cut_and_wrapped() {
        assert_eq!((cut("abc", 3), cut("abcd", 3)), ("abc".into(), "ab…".into()));
        let mut text = String::new();
        wrapped(&mut text, "  plan  ", &"word ".repeat(60));
        assert!(
            text.lines().count() > 2 && text.lines().all(|l| l.len() <= WIDTH && l[8..].starts_with("word")),
            "{text}"
        );
    }
}
