//! Quantizing rows: the codes and scales of the rule, bit for bit.

use half::{bf16, f16};
use halfbyte::device::{Device, Status, Stream};
use halfbyte::format::int8::quantize_row;
use halfbyte::op::{InputElement, QuantizeRows, QuantizeRowsArgs};
use halfbyte::plan::quantize_rows::{QuantizeRowsPlan, candidates};
use halfbyte::reference::sample::Sample;
use proptest::prelude::*;

use super::Tally;
use super::case::{Place, guards_hold, is_aligned, poison};
use crate::support::devices;

struct Rows<T> {
    name: String,
    rows: usize,
    cols: usize,
    values: Vec<T>,
}

impl<T: InputElement + PartialEq> Rows<T> {
    fn random(rows: usize, cols: usize) -> Rows<T> {
        let name = format!("quantize {rows}x{cols} {}", T::INPUT);
        let values = Sample::new(&name).matrix(rows, cols).into_iter().map(T::from_f32).collect();
        Rows { name, rows, cols, values }
    }

    /// Runs `plan` with `x` so placed, and holds every code and scale against the rule on the CPU.
    fn check(&self, op: &QuantizeRows, stream: &Stream, plan: &QuantizeRowsPlan, x: Place) {
        let what = format!("{}, {plan}, {x:?}, {}", self.name, op.device());
        let (rows, cols, ldc) = (self.rows, self.cols, self.cols.next_multiple_of(16) + 16 * (x.before % 2));
        // What stands between the rows of x is NaN: a kernel that reads it raises the flag.
        let mut guards = poison::<T>(x.len()).into_iter();
        let x_data = x.put(&self.values, || guards.next().unwrap());
        let x_buffer = stream.upload(&x_data).unwrap();
        let codes_place = Place { before: 32, rows, cols: ldc, ld: ldc };
        let scales_place = Place { before: 3, rows: 1, cols: rows, ld: rows.max(1) };
        let mut codes = stream.upload(&poison::<i8>(codes_place.len())).unwrap();
        let mut scales = stream.upload(&poison::<f32>(scales_place.len())).unwrap();
        let mut status = Status::new(stream).unwrap();
        let args = QuantizeRowsArgs {
            x: x_buffer.view().slice(x.before..).unwrap().matrix(rows, cols, x.ld).unwrap(),
            codes: codes.view_mut().slice(32..).unwrap().matrix(rows, ldc, ldc).unwrap(),
            scales: scales.view_mut().slice(3..3 + rows).unwrap(),
            status: Some(&mut status),
        };
        op.run(plan, stream, args).unwrap_or_else(|e| panic!("{what}: {e}"));

        let (codes, scales) = (stream.download(&codes).unwrap(), stream.download(&scales).unwrap());
        guards_hold(&what, &codes_place, &codes);
        guards_hold(&what, &scales_place, &scales);
        assert!(bytes(&stream.download(&x_buffer).unwrap()) == bytes(&x_data), "{what}: the input was changed");
        let (codes, scales) = (codes_place.take(&codes), scales_place.take(&scales));
        let mut nonfinite = false;
        for row in 0..rows {
            let mut want = vec![1i8; ldc];
            let scale = quantize_row(&self.values[row * cols..][..cols], &mut want).unwrap();
            nonfinite |= scale.is_nan();
            let equal = scales[row].to_bits() == scale.to_bits() || (scale.is_nan() && scales[row].is_nan());
            assert!(equal, "{what}: the scale of row {row} is {:e}, not {scale:e}", scales[row]);
            let got = &codes[row * ldc..][..ldc];
            let wrong = (0..ldc).find(|&c| got[c] != want[c]);
            assert_eq!(wrong.map(|c| (c, got[c], want[c])), None, "{what}: (column, got, want) in row {row}");
        }
        assert_eq!(status.read_and_clear(stream).unwrap().nonfinite_input, nonfinite, "{what}: the status");
        assert!(status.read_and_clear(stream).unwrap().is_clear(), "{what}: the status was cleared");
    }
}

fn bytes<T: bytemuck::Pod>(values: &[T]) -> &[u8] {
    bytemuck::cast_slice(values)
}

fn on(device: &Device) -> (QuantizeRows, Stream) {
    (QuantizeRows::new(device).unwrap(), device.stream().unwrap())
}

/// Rows that a kernel reads 16 bytes at a time, and rows that it cannot.
fn places<T>(rows: usize, cols: usize) -> [Place; 2] {
    let vector = 16 / size_of::<T>();
    [
        Place { before: 2 * vector, rows, cols, ld: cols.next_multiple_of(vector) + vector },
        Place { before: 1, rows, cols, ld: cols + 3 },
    ]
}

fn every_plan<T: InputElement + PartialEq>(rows: &Rows<T>, tally: &mut Tally, only: usize) {
    for device in devices().iter().take(only) {
        let (op, stream) = on(device);
        let problem = *op.plan::<T>(rows.rows, rows.cols).unwrap().problem();
        for plan in candidates(&problem, device.facts()) {
            for place in places::<T>(rows.rows, rows.cols) {
                rows.check(&op, &stream, &plan, place);
                tally.add("device", device);
                tally.add("input", T::INPUT);
                tally.add("cached", plan.cached());
            }
        }
    }
}

#[test]
fn every_width_follows_the_rule() {
    let mut tally = Tally::default();
    for cols in
        [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65, 127, 255, 256, 257, 1023, 1024, 1025, 2049, 4100]
    {
        let only = if (64..=4000).contains(&cols) { 1 } else { usize::MAX };
        every_plan(&Rows::<f32>::random(3, cols), &mut tally, only);
        every_plan(&Rows::<f16>::random(2, cols), &mut tally, only);
        every_plan(&Rows::<bf16>::random(3, cols), &mut tally, only);
    }
    // More rows than blocks: every block takes several.
    every_plan(&Rows::<f16>::random(1200, 24), &mut tally, 1);
    // Too long for shared memory: read twice.
    let long = Rows::<f32>::random(2, 60_001);
    for device in devices() {
        assert!(!on(&device).0.plan::<f32>(2, long.cols).unwrap().cached());
    }
    every_plan(&long, &mut tally, 1);
    tally.assert(
        "rows quantized",
        &[
            ("device emulator sm_80", 300),
            ("device emulator sm_89", 150),
            ("device emulator sm_90a", 150),
            ("input f32", 150),
            ("input f16", 150),
            ("input bf16", 150),
            ("cached true", 300),
            ("cached false", 300),
        ],
    );
}

/// Ties, zeros of both signs, subnormals, the largest numbers, and rows that are not finite.
#[test]
fn special_values_follow_the_rule() {
    fn rows<T: InputElement + PartialEq>(name: &str, max: f32, tiny: f32) -> Rows<T> {
        let cols = 40;
        let fill = |first: f32, rest: &dyn Fn(usize) -> f32| -> Vec<f32> {
            std::iter::once(first).chain((1..cols).map(rest)).collect()
        };
        let rows = [
            fill(127.0, &|i| i as f32 / 2.0 - 10.0),   // scale 1: every other code is a tie
            fill(-63.5, &|i| (i as f32 - 20.0) / 4.0), // scale 1/2, the largest is negative
            fill(0.0, &|_| 0.0),
            fill(-0.0, &|i| if i % 2 == 0 { 0.0 } else { -0.0 }),
            fill(max, &|i| if i % 2 == 0 { -max } else { max / 3.0 }),
            fill(tiny, &|i| tiny * (i % 3) as f32), // the scale is subnormal, or rounds to zero
            fill(tiny * 127.0, &|i| tiny * i as f32),
            fill(tiny * 200.0, &|i| -tiny * 5.0 * i as f32), // the quotient may pass 127
            fill(1.0, &|i| if i == 39 { f32::NAN } else { 1.0 }),
            fill(f32::INFINITY, &|i| i as f32),
            fill(3.0, &|i| if i == 17 { f32::NEG_INFINITY } else { f32::NAN }),
            fill(2.0, &|i| i as f32 / 20.0), // a good row after bad ones
        ];
        let values = rows.iter().flatten().map(|&v| T::from_f32(v)).collect();
        Rows { name: name.into(), rows: rows.len(), cols, values }
    }
    let mut tally = Tally::default();
    every_plan(&rows::<f32>("special f32", f32::MAX, f32::from_bits(1)), &mut tally, usize::MAX);
    every_plan(&rows::<f16>("special f16", 65_504.0, f16::from_bits(1).to_f32()), &mut tally, usize::MAX);
    every_plan(&rows::<bf16>("special bf16", bf16::MAX.to_f32(), bf16::from_bits(1).to_f32()), &mut tally, usize::MAX);
    tally.assert("special values", &[("input f32", 12), ("input f16", 12), ("input bf16", 12)]);
}

#[test]
fn empty_matrices() {
    for device in devices() {
        let (op, stream) = on(&device);
        Rows::<f32> { name: "no rows".into(), rows: 0, cols: 8, values: vec![] }.check(
            &op,
            &stream,
            &op.plan::<f32>(0, 8).unwrap(),
            Place { before: 0, rows: 0, cols: 8, ld: 8 },
        );
        // Rows without columns have scale 0.
        Rows::<f16> { name: "no columns".into(), rows: 5, cols: 0, values: vec![] }.check(
            &op,
            &stream,
            &op.plan::<f16>(5, 0).unwrap(),
            Place { before: 0, rows: 5, cols: 0, ld: 0 },
        );
    }
}

/// Every finite f16 in one row each with 1.0: the division and the rounding of the kernel are those of the CPU.
#[test]
fn every_f16_has_its_code() {
    let cols = 1024;
    let finite: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|v| v.is_finite()).collect();
    let mut values: Vec<f16> = finite.clone();
    values.resize(values.len().next_multiple_of(cols), f16::ZERO);
    let rows = Rows { name: "every f16".into(), rows: values.len() / cols, cols, values };
    let device = &devices()[0];
    let (op, stream) = on(device);
    let plan = op.plan::<f16>(rows.rows, cols).unwrap();
    rows.check(&op, &stream, &plan, Place { before: 0, rows: rows.rows, cols, ld: cols });
    assert_eq!(finite.len(), 63_488);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_rows_follow_the_rule(
        rows in 1usize..20, cols in 1usize..1500, before in 0usize..20, more in 0usize..20,
        exponent in -140i32..120, pick in any::<prop::sample::Index>(),
    ) {
        let devices = devices();
        let device = pick.get(&devices);
        let (op, stream) = on(device);
        let mut data = Rows::<f32>::random(rows, cols);
        data.values.iter_mut().for_each(|v| *v *= f32::powi(2.0, exponent / 2) * f32::powi(2.0, exponent - exponent / 2));
        let plans: Vec<_> = candidates(op.plan::<f32>(rows, cols).unwrap().problem(), device.facts()).collect();
        data.check(&op, &stream, pick.get(&plans), Place { before, rows, cols, ld: cols + more });
    }
}

/// Nothing says what an aligned row is but its address: the places above are what they claim.
#[test]
fn places_are_aligned_as_meant() {
    let stream = devices()[0].stream().unwrap();
    let [aligned, odd] = places::<f16>(3, 9);
    for (place, want) in [(aligned, true), (odd, false)] {
        let buffer = stream.zeros::<f16>(place.len()).unwrap();
        let x = buffer.view().slice(place.before..).unwrap();
        assert_eq!(is_aligned(&x, 16) && (place.ld * 2).is_multiple_of(16), want);
    }
}
