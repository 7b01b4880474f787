//! What `examples/find_a_race.rs` does.

#[path = "../../examples/find_a_race.rs"]
#[allow(dead_code)]
mod find_a_race;

use halfbyte::emulator::{Module, ReportKind};

#[test]
fn the_example_finds_the_race_and_only_that() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/reduction.ptx");
    let module = Module::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (sum, reports) = find_a_race::run(&module, "sum").unwrap();
    assert_eq!((sum, reports), (29_994.0, vec![]));
    let (_, reports) = find_a_race::run(&module, "sum_racy").unwrap();
    assert!(!reports.is_empty());
    let line = |site: &halfbyte::emulator::Site| site.source.clone().map_or(0, |(_, line)| line);
    for report in &reports {
        assert_eq!(report.kind, ReportKind::Race, "{report}");
        assert_eq!(report.site.kernel, "sum_racy", "{report}");
        // Both sides are in the loop, or behind it where the first thread reads the sum.
        let other = report.other.as_ref().expect("a race has two sides");
        for line in [line(&report.site), line(other)] {
            assert!([33, 35].contains(&line), "line {line}: {report}");
        }
        assert!(report.to_string().contains("examples/reduction.cu:33"), "{report}");
    }
}
