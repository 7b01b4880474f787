//! The repeatable data.

use std::collections::BTreeSet;

use half::{bf16, f16};
use halfbyte::format::{F8E4M3, F8E5M2, Float};
use halfbyte::reference::sample::{Sample, row_size, widened};

/// The stream of a name never changes: a failing case can be run again anywhere, and recorded results stay comparable.
#[test]
fn streams_are_what_they_always_were() {
    let mut sample = Sample::new("golden");
    assert_eq!([sample.bits(), sample.bits(), sample.bits()], GOLDEN_BITS);
    let matrix = Sample::new("golden").matrix(2, 2);
    assert_eq!(matrix.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), GOLDEN_MATRIX);
}

#[test]
fn names_make_different_streams() {
    let names = ["", "a", "b", "aa", "ab", "ba", "m=1 n=2", "m=12 n=", "m=1 n=2 "];
    let firsts: BTreeSet<u64> = names.iter().map(|name| Sample::new(name).bits()).collect();
    assert_eq!(firsts.len(), names.len());
}

#[test]
fn integers_cover_their_range_evenly() {
    let mut sample = Sample::new("integers");
    let mut counts = [0u32; 9];
    for _ in 0..90_000 {
        counts[(sample.integer(-4, 4) + 4) as usize] += 1;
    }
    // Five standard deviations of a binomial count around 10 000.
    assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 475), "{counts:?}");
    assert_eq!(sample.integer(7, 7), 7);
    assert_eq!(sample.integer(7, 6), 7);
    let wide: Vec<i32> = (0..1000).map(|_| sample.integer(i32::MIN, i32::MAX)).collect();
    assert!(wide.iter().any(|&i| i < -1 << 30) && wide.iter().any(|&i| i > 1 << 30));
    let codes: BTreeSet<i8> = Sample::new("codes").codes(10_000, i8::MIN, i8::MAX).into_iter().collect();
    assert_eq!(codes.len(), 256);
}

#[test]
fn gaussians_have_mean_0_and_variance_1() {
    let mut sample = Sample::new("gaussian");
    let values: Vec<f64> = (0..100_000).map(|_| f64::from(sample.gaussian())).collect();
    let mean = values.iter().sum::<f64>() / 1e5;
    let variance = values.iter().map(|x| x * x).sum::<f64>() / 1e5;
    let beyond_2 = values.iter().filter(|x| x.abs() > 2.0).count();
    assert!(mean.abs() < 0.016 && (variance - 1.0).abs() < 0.025, "mean {mean}, variance {variance}");
    // A Gaussian has 4.55 % there.
    assert!((4_200..4_900).contains(&beyond_2), "{beyond_2}");
    assert!(values.iter().all(|x| x.abs() <= 6.0));
}

/// Numbers of a type are those of `matrix` rounded, and widening loses nothing.
#[test]
fn floats_and_integers_are_numbers_of_their_type() {
    fn check<T: Float>(unit: f32) {
        let exact = Sample::new("typed").matrix(7, 50);
        let values: Vec<T> = Sample::new("typed").floats(7, 50);
        let wide = widened(&values);
        for (&wide, &exact) in wide.iter().zip(&exact) {
            assert_eq!(T::from_f32(wide).to_f32().to_bits(), wide.to_bits());
            // Half a unit of the last place, and half the least number of the types of 8 bits.
            assert!((wide - exact).abs() <= unit * exact.abs() + 2f32.powi(-10), "{}: {wide} of {exact}", T::DTYPE);
        }
        for most in [1, 4, 8] {
            let integers = widened(&Sample::new("typed integers").integers::<T>(2000, most));
            let seen: BTreeSet<i32> = integers.iter().map(|&x| x as i32).collect();
            assert!(integers.iter().all(|x| x.fract() == 0.0) && seen == (-most..=most).collect(), "{}", T::DTYPE);
        }
    }
    check::<f32>(0.0);
    check::<f16>(2f32.powi(-11));
    check::<bf16>(2f32.powi(-8));
    check::<F8E4M3>(2f32.powi(-4));
    check::<F8E5M2>(2f32.powi(-3));
}

#[test]
fn scales_differ_from_row_to_row() {
    let sizes: BTreeSet<u32> = (0..40_000).map(|row| row_size(row).to_bits()).collect();
    assert_eq!(sizes.len(), 40_000);
    let scales = Sample::new("scales").scales(4096);
    assert!(scales.iter().all(|scale| (0.5 * 0.75 / 128.0..1.5 * 1.25 / 128.0).contains(scale)));
    assert_eq!(scales.iter().map(|s| s.to_bits()).collect::<BTreeSet<_>>().len(), 4096);
    let powers = Sample::new("powers").power_of_two_scales(200);
    let wanted: BTreeSet<u32> = (-3..=3).map(|e| f32::powi(2.0, e).to_bits()).collect();
    assert_eq!(powers.iter().map(|p| p.to_bits()).collect::<BTreeSet<_>>(), wanted);
}

const GOLDEN_BITS: [u64; 3] = [0x9762_c081_8921_aa75, 0x1888_2630_eb08_68ef, 0xaaa3_54f6_80ee_1995];
const GOLDEN_MATRIX: [u32; 4] = [0xbe0f_6c00, 0xbebe_4d00, 0xbf44_0da9, 0xbf25_f1ef];
