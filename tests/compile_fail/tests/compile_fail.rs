//! Each file of `cases/` is a program that must not compile, for the reason in the `.stderr` beside it.

#[test]
fn programs_that_must_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/cases/*.rs");
}
