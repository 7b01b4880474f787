//! Measured plans: what is chosen, what is kept, and what a file may not do.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use halfbyte::Error;
use halfbyte::format::DType;
use halfbyte::plan::gemm::{GemmPlan, GemmProblem, Operand, candidates, plan, scratch_bound};
use halfbyte::plan::gemm_s8::Output;
use halfbyte::plan::tuning::{MOST_CANDIDATES, Tuning};

use super::{ALL, SM80, SM90};

const PROBLEM: GemmProblem = GemmProblem::new(16, 1024, 4096, DType::F16, Output::F16);

fn symbol(plan: &GemmPlan) -> &'static str {
    plan.geometry().unwrap().entry.row().symbol
}

/// A file of its own for each test.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("halfbyte-tuning-{name}-{}", std::process::id()))
}

/// Times by kernel and slices that the model would not guess: the slowest plan by the model is the fastest.
fn upside_down(plan: &GemmPlan) -> Result<Duration, Error> {
    Ok(Duration::from_nanos(1_000_000_000 / (plan.cycles() + 1)))
}

#[test]
fn the_fastest_is_kept_whatever_the_model_says() {
    let mut tuning = Tuning::new("here");
    let mut measured: BTreeMap<(&str, u32), usize> = BTreeMap::new();
    let chosen = tuning
        .choose(&PROBLEM, &SM80, |plan| {
            *measured.entry((symbol(plan), plan.split_k())).or_default() += 1;
            upside_down(plan)
        })
        .unwrap();
    let by_model = plan(&PROBLEM, &SM80).unwrap();
    assert_ne!(chosen, by_model);
    // All by turns and as often, the model's own among them; none that it takes for more than three times slower.
    assert!(measured.len() > 3 && measured.len() <= MOST_CANDIDATES, "{measured:?}");
    assert!(measured.values().all(|times| *times == 5), "{measured:?}");
    assert!(measured.contains_key(&(symbol(&by_model), by_model.split_k())));
    assert!(chosen.cycles() <= 3 * by_model.cycles(), "{chosen}");
    assert_eq!(tuning.get(&PROBLEM, &SM80), Some(chosen));
    assert_eq!(tuning.len(), 1);
    // Another problem was not measured.
    for other in [GemmProblem { m: 17, ..PROBLEM }, GemmProblem { b: Operand::down(DType::F16), ..PROBLEM }] {
        assert_eq!(tuning.get(&other, &SM80), None);
    }
    // The median counts, not the best nor the second best: every other plan is lucky twice out of five.
    let mut rounds: BTreeMap<(&str, u32), usize> = BTreeMap::new();
    let steady = tuning.choose(&PROBLEM, &SM80, |plan| {
        let round = rounds.entry((symbol(plan), plan.split_k())).or_default();
        *round += 1;
        Ok(Duration::from_micros(match (plan == &chosen, *round) {
            (true, _) => 10,
            (false, 2 | 4) => 1,
            (false, _) => 20,
        }))
    });
    assert_eq!(steady.unwrap(), chosen);
}

#[test]
fn a_measurement_that_fails_changes_nothing() {
    let mut tuning = Tuning::new("here");
    tuning.choose(&PROBLEM, &SM80, upside_down).unwrap();
    let before = tuning.clone();
    let mut left = 7;
    let failed = tuning.choose(&PROBLEM, &SM80, |_| {
        left -= 1;
        if left == 0 { Err(Error::Value("out of order".into())) } else { Ok(Duration::from_secs(1)) }
    });
    assert_eq!(failed, Err(Error::Value("out of order".into())));
    assert_eq!(tuning, before);
    let empty = GemmProblem { m: 0, ..PROBLEM };
    let error = tuning.choose(&empty, &SM80, upside_down).unwrap_err().to_string();
    assert!(error.contains("f16 [0, 4096]") && error.contains("no plan to choose from"), "{error}");
}

/// Whatever was the fastest: it is legal, and the scratch that was promised serves it.
#[test]
fn every_choice_is_a_candidate_within_the_promised_scratch() {
    let mut chosen = 0;
    for facts in ALL {
        for (m, n, k) in [(1, 4096, 4096), (64, 512, 9000), (300, 300, 300)] {
            for (dtype, k_group) in [(DType::F16, None), (DType::I8, None), (DType::I8, Some(64))] {
                for batch_invariant in [false, true] {
                    let problem = GemmProblem::new(m, n, k, dtype, Output::F32);
                    let problem = GemmProblem { k_group, batch_invariant, ..problem };
                    let mut tuning = Tuning::new("");
                    let choice = tuning.choose(&problem, &facts, upside_down).unwrap();
                    assert!(candidates(&problem, &facts).any(|plan| plan == choice), "{choice}");
                    assert!(choice.scratch_bytes() <= scratch_bound(&problem, &facts).unwrap(), "{choice}");
                    if batch_invariant && dtype == DType::F16 {
                        assert_eq!(choice.k_slice(), plan(&problem, &facts).unwrap().k_slice(), "{choice}");
                    }
                    chosen += 1;
                }
            }
        }
    }
    assert_eq!(chosen, ALL.len() * 18);
}

#[test]
fn a_file_is_read_as_it_was_written_and_only_under_its_fingerprint() {
    let path = path("file");
    let mut tuning = Tuning::load(&path, "a card").unwrap();
    assert!(tuning.is_empty());
    let other = GemmProblem { k_group: Some(128), ..GemmProblem::new(5, 640, 1000, DType::I8, Output::Bf16) };
    for problem in [PROBLEM, other] {
        tuning.choose(&problem, &SM80, upside_down).unwrap();
    }
    assert!(tuning.len() == 2 && !tuning.is_empty());
    tuning.save(&path).unwrap();
    let again = Tuning::load(&path, "a card").unwrap();
    assert_eq!(again, tuning);
    for problem in [PROBLEM, other] {
        assert_eq!(again.get(&problem, &SM80), tuning.get(&problem, &SM80));
    }
    assert!(Tuning::load(&path, "another card").unwrap().is_empty());
    // What is no plan of the problem on this device is not taken: another kernel, more slices than there are.
    let text = fs::read_to_string(&path).unwrap();
    let chosen = tuning.get(&PROBLEM, &SM80).unwrap();
    let slices = format!("\"slices\": {}", chosen.split_k());
    for (from, to) in [(symbol(&chosen), "gemm_s8_mma_64x64x64"), (&*slices, "\"slices\": 4000000000")] {
        assert!(text.contains(from), "{from}: {text}");
        fs::write(&path, text.replace(from, to)).unwrap();
        assert_eq!(Tuning::load(&path, "a card").unwrap().get(&PROBLEM, &SM80), None, "{to}");
    }
    // Nor what was made for a device with other tiles.
    assert!(again.get(&PROBLEM, &SM90).is_none_or(|plan| plan.facts() == &SM90));

    for bad in ["", "{", "[]", "{\"fingerprint\": 1}", "{\"fingerprint\": \"a card\", \"choices\": {\"x\": 1}}"] {
        fs::write(&path, bad).unwrap();
        let error = Tuning::load(&path, "a card").unwrap_err().to_string();
        assert!(error.contains("not a file of measured plans") && error.contains("tuning-file"), "{error}");
    }
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_file_that_cannot_be_written_is_said_and_leaves_nothing() {
    let folder = path("folder");
    let tuning = Tuning::new("");
    let error = tuning.save(&folder.join("file")).unwrap_err().to_string();
    assert!(error.contains("tuning-folder"), "{error}");
    fs::create_dir(&folder).unwrap();
    // A folder stands where the file is to be.
    fs::create_dir(folder.join("file")).unwrap();
    fs::create_dir(folder.join("file/inside")).unwrap();
    assert!(tuning.save(&folder.join("file")).is_err());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert!(Tuning::load(&folder, "").unwrap_err().to_string().contains("tuning-folder"));
    fs::remove_dir_all(&folder).unwrap();
}
