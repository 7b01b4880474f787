//! The algebra of partial attention: any order, any parts, one result.

use halfbyte::reference::attention::State;
use proptest::prelude::*;

const NONE: f64 = f64::NEG_INFINITY;

fn fold<'a>(states: impl IntoIterator<Item = &'a State>) -> State {
    states.into_iter().fold(State::neutral(3), |all, one| all.merge(one))
}

/// What the definition gives, apart from the algebra; the exponentials are of differences, so nothing overflows.
fn directly(keys: &[(f64, Vec<f64>)]) -> (Vec<f64>, f64) {
    let max = keys.iter().map(|(score, _)| *score).fold(NONE, f64::max);
    if max == NONE {
        return (vec![0.0; 3], NONE);
    }
    let sum: f64 = keys.iter().map(|(score, _)| (score - max).exp()).sum();
    let out = (0..3).map(|c| keys.iter().map(|(score, value)| (score - max).exp() * value[c]).sum::<f64>() / sum);
    (out.collect(), max + sum.ln())
}

fn close(a: &State, b: &State) -> Result<(), TestCaseError> {
    let ((a_out, a_lse), (b_out, b_lse)) = (a.finish(), b.finish());
    close_to((&a_out, a_lse), (&b_out, b_lse))
}

fn close_to((a, a_lse): (&[f64], f64), (b, b_lse): (&[f64], f64)) -> Result<(), TestCaseError> {
    let near = |a: f64, b: f64, size: f64| a == b || (a - b).abs() <= 1e-12 * size.max(1.0);
    prop_assert!(near(a_lse, b_lse, b_lse.abs()), "{a_lse} is not {b_lse}");
    prop_assert_eq!(a.len(), b.len());
    // Values are at most 1000, and an output is their mean.
    prop_assert!(a.iter().zip(b).all(|(&a, &b)| near(a, b, 1e3)), "{a:?} is not {b:?}");
    Ok(())
}

/// Scores near each other, far apart, huge, and none at all.
fn key() -> impl Strategy<Value = (f64, Vec<f64>)> {
    let score = prop_oneof![4 => -10.0..10.0, 1 => -1e3..1e3, 1 => -1e30..1e30, 1 => Just(NONE)];
    (score, prop::collection::vec(-1e3..1e3, 3))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_the_keys_is_the_whole(keys in prop::collection::vec(key(), 0..20), cuts in any::<u32>()) {
        let states: Vec<State> = keys.iter().map(|(score, value)| State::of(*score, value)).collect();
        let (want, lse) = directly(&keys);
        let whole = fold(&states);
        let (out, whole_lse) = whole.finish();
        close_to((&out, whole_lse), (&want, lse))?;

        // Cut where a bit of `cuts` is set, fold the parts, then their results, forwards and backwards.
        let mut parts = vec![vec![]];
        for (at, state) in states.iter().enumerate() {
            parts.last_mut().expect("not empty").push(state.clone());
            if cuts >> at & 1 == 1 {
                parts.push(vec![]);
            }
        }
        let parts: Vec<State> = parts.iter().map(fold).collect();
        close(&fold(&parts), &whole)?;
        close(&fold(parts.iter().rev()), &whole)?;
        // And through finished results, as kernels hand them on.
        let finished: Vec<State> = parts.iter().map(|part| {
            let (out, lse) = part.finish();
            State::finished(&out, lse)
        }).collect();
        close(&fold(&finished), &whole)?;
    }

    #[test]
    fn merging_is_associative_and_commutative(a in key(), b in key(), c in key()) {
        let [a, b, c] = [a, b, c].map(|(score, value)| State::of(score, &value));
        close(&a.merge(&b).merge(&c), &a.merge(&b.merge(&c)))?;
        prop_assert_eq!(a.merge(&b).finish(), b.merge(&a).finish(), "two terms add alike in either order");
    }

    #[test]
    fn the_neutral_element_changes_no_bit(keys in prop::collection::vec(key(), 0..5)) {
        let states: Vec<State> = keys.iter().map(|(score, value)| State::of(*score, value)).collect();
        let state = fold(&states);
        prop_assert_eq!(&state.merge(&State::neutral(3)), &state);
        prop_assert_eq!(&State::neutral(3).merge(&state), &state);
    }

    #[test]
    fn a_sink_takes_weight_and_gives_no_value(keys in prop::collection::vec(key(), 1..9), score in -20.0..20.0f64) {
        let states: Vec<State> = keys.iter().map(|(score, value)| State::of(*score, value)).collect();
        let with = fold(&states).merge(&State::sink(score, 3));
        let mut all = keys.clone();
        all.push((score, vec![0.0; 3]));
        let ((out, lse), (want, want_lse)) = (with.finish(), directly(&all));
        close_to((&out, lse), (&want, want_lse))?;
        prop_assert!(lse >= score, "the denominator holds the sink");
    }
}

#[test]
fn nothing_is_nothing_whatever_its_values_hold() {
    let nan = [f64::NAN, f64::INFINITY, 1.0];
    for nothing in [State::neutral(3), State::of(NONE, &nan), State::finished(&nan, NONE), State::sink(NONE, 3)] {
        assert_eq!(nothing, State::neutral(3));
        assert_eq!(nothing.finish(), (vec![0.0; 3], NONE));
        let one = State::of(5.0, &[1.0, 2.0, 3.0]);
        assert_eq!(nothing.merge(&one).finish(), (vec![1.0, 2.0, 3.0], 5.0));
        assert_eq!(nothing.merge(&nothing), nothing);
    }
    assert_eq!(State::sink(2.0, 2).finish(), (vec![0.0; 2], 2.0), "a sink alone");
}

#[test]
fn two_keys_by_hand() {
    // exp(ln 3) = 3 beside exp(0) = 1: weights 3/4 and 1/4.
    let both = State::of(3f64.ln(), &[8.0, 0.0]).merge(&State::of(0.0, &[0.0, 8.0]));
    let (out, lse) = both.finish();
    assert!((out[0] - 6.0).abs() < 1e-15 && (out[1] - 2.0).abs() < 1e-15 && (lse - 4f64.ln()).abs() < 1e-15);
    // Far apart, the lesser is gone; equal and huge, they share.
    assert_eq!(State::of(-1e6, &[7.0]).merge(&State::of(1e6, &[1.0])).finish(), (vec![1.0], 1e6));
    assert_eq!(State::of(1e300, &[7.0]).merge(&State::of(1e300, &[1.0])).finish().0, [4.0]);
}

#[test]
fn a_score_that_is_not_a_number_spoils_the_row_in_either_order() {
    let (good, bad) = (State::of(1.0, &[1.0]), State::of(f64::NAN, &[1.0]));
    for state in [good.merge(&bad), bad.merge(&good), bad.merge(&State::neutral(1))] {
        let (out, lse) = state.finish();
        assert!(out[0].is_nan() && lse.is_nan(), "{state:?}");
    }
}
