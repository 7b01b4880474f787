//! One int8 product with everything that may go wrong around it.

use std::fmt::Debug;

use half::{bf16, f16};
use halfbyte::device::{Device, Element, Region, Stream};
use halfbyte::format::DType;
use halfbyte::format::int8::{Codes, Int8View};
use halfbyte::op::{GemmS8, GemmS8Args, OutputElement};
use halfbyte::plan::gemm_s8::{GemmS8Plan, GemmS8Problem, Output};
use halfbyte::reference::sample::Sample;
use halfbyte::reference::{LinearProblem, exact};

/// A number that a test can read back.
pub trait Number: OutputElement + Debug {
    /// The value as an f64, exactly.
    fn value(self) -> f64;
    /// From the reference: the f32 that equals the rounded output, or the sum itself.
    fn expected(rounded: f32, sum: i32) -> Self;
}

macro_rules! numbers {
    ($($type:ty: $value:expr, $expected:expr;)*) => {$(
        impl Number for $type {
            fn value(self) -> f64 {
                $value(self)
            }
            fn expected(rounded: f32, sum: i32) -> Self {
                $expected(rounded, sum)
            }
        }
    )*};
}

numbers! {
    f32: f64::from, |rounded, _| rounded;
    f16: f16::to_f64, |rounded, _| f16::from_f32(rounded);
    bf16: bf16::to_f64, |rounded, _| bf16::from_f32(rounded);
    i32: f64::from, |_, sum| sum;
}

/// Equal bits, where all NaN are one.
pub fn same<T: Number>(a: T, b: T) -> bool {
    bytemuck::bytes_of(&a) == bytemuck::bytes_of(&b) || (a.value().is_nan() && b.value().is_nan())
}

/// Memory as an operand should find it and leave it: `rows` runs of `cols` elements, `ld` apart, `before` elements
/// from the start; everything else is a guard.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Elements before the first row, and as many after the last.
    pub before: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Elements from one row to the next.
    pub ld: usize,
}

impl Place {
    /// Elements from the first to the last.
    pub fn extent(&self) -> usize {
        if self.rows == 0 || self.cols == 0 { 0 } else { (self.rows - 1) * self.ld + self.cols }
    }

    /// Elements of the whole buffer.
    pub fn len(&self) -> usize {
        2 * self.before + self.extent()
    }

    /// True for the elements of the matrix.
    pub fn inside(&self, index: usize) -> bool {
        index.checked_sub(self.before).is_some_and(|i| i < self.extent() && i % self.ld < self.cols)
    }

    /// The matrix out of a buffer.
    pub fn take<T: Copy>(&self, buffer: &[T]) -> Vec<T> {
        (0..buffer.len()).filter(|&i| self.inside(i)).map(|i| buffer[i]).collect()
    }

    /// A buffer with `matrix` in it and `guard` around and between its rows.
    pub fn put<T: Copy>(&self, matrix: &[T], mut guard: impl FnMut() -> T) -> Vec<T> {
        let mut next = matrix.iter();
        (0..self.len()).map(|i| if self.inside(i) { *next.next().unwrap() } else { guard() }).collect()
    }
}

/// Elements whose bytes are all ones: NaN in every float.
pub fn poison<T: Element>(len: usize) -> Vec<T> {
    let mut out = vec![T::zeroed(); len];
    bytemuck::cast_slice_mut::<T, u8>(&mut out).fill(0xff);
    out
}

/// Every element outside the matrix is still poison.
pub fn guards_hold<T: Element>(what: &str, place: &Place, buffer: &[T]) {
    for (i, value) in buffer.iter().enumerate() {
        if !place.inside(i) {
            let bytes = bytemuck::bytes_of(value);
            assert!(bytes.iter().all(|&b| b == 0xff), "{what}: element {i} outside {place:?} was written: {bytes:?}");
        }
    }
}

/// Where the operands of a product lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lie {
    /// As closely as is allowed.
    Tight,
    /// As views into larger matrices: offsets and leading dimensions that are no powers of two.
    Loose,
}

/// Data of one product and its true sums.
pub struct GemmCase {
    name: String,
    shape: [usize; 3],
    places: [Place; 2],
    codes: [Vec<i8>; 2],
    scales: [Vec<f32>; 2],
    bias: Option<Vec<f32>>,
    sums: Vec<i32>,
    lie: Lie,
}

impl GemmCase {
    /// Codes over their whole range, −128 too; garbage between the rows.
    pub fn random(shape: [usize; 3], lie: Lie, bias: bool) -> GemmCase {
        let [m, n, k] = shape;
        let name = format!("{m}x{n}x{k} {lie:?} bias {bias}");
        let mut sample = Sample::new(&name);
        let (a, b) = (sample.codes(m * k, -128, 127), sample.codes(n * k, -128, 127));
        let scales = [sample.scales(m), sample.scales(n)];
        let bias = bias.then(|| (0..n).map(|_| sample.gaussian()).collect());
        GemmCase::new(name, shape, [a, b], scales, bias, lie)
    }

    /// Given codes `[m, k]` and `[n, k]`.
    pub fn new(
        name: String,
        shape: [usize; 3],
        codes: [Vec<i8>; 2],
        scales: [Vec<f32>; 2],
        bias: Option<Vec<f32>>,
        lie: Lie,
    ) -> GemmCase {
        let [m, n, k] = shape;
        let sums = exact::gemm_s8_i32(view(&codes[0], m, k), view(&codes[1], n, k)).unwrap();
        let padded = k.next_multiple_of(16);
        let place = |rows, before, more| match lie {
            Lie::Tight => Place { before: 0, rows, cols: k, ld: padded },
            Lie::Loose => Place { before, rows, cols: k, ld: padded + more },
        };
        let places = [place(m, 48, 16), place(n, 16, 48)];
        let mut garbage = Sample::new(&name);
        let codes = [0, 1].map(|i| places[i].put(&codes[i], || garbage.integer(-128, 127) as i8));
        GemmCase { name, shape, places, codes, scales, bias, sums, lie }
    }

    /// The problem, written as `O`.
    pub fn problem<O: OutputElement>(&self) -> GemmS8Problem {
        let [m, n, k] = self.shape;
        GemmS8Problem { m, n, k, out: O::OUTPUT }
    }

    /// What every kernel must write.
    pub fn expected<O: Number>(&self) -> Vec<O> {
        let [m, n, k] = self.shape;
        let rounded = match O::DTYPE {
            DType::I32 => vec![0.0; self.sums.len()],
            dtype => {
                let [a, b] = [0, 1].map(|i| self.places[i].take(&self.codes[i]));
                let activations = Int8View::new(view(&a, m, k), &self.scales[0]).unwrap();
                let weights = Int8View::new(view(&b, n, k), &self.scales[1]).unwrap();
                let problem = LinearProblem::new(activations, weights, self.bias.as_deref(), dtype).unwrap();
                exact::epilogue(&problem, &self.sums).unwrap()
            }
        };
        rounded.iter().zip(&self.sums).map(|(&r, &s)| O::expected(r, s)).collect()
    }

    /// Runs a plan and checks that it writes `expected`, all of it and nothing else, and changes no input.
    pub fn check<O: Number>(&self, gemm: &GemmS8, stream: &Stream, plan: &GemmS8Plan, expected: &[O]) {
        let what = format!("{}, {plan}, {}", self.name, gemm.device());
        let got = self.run::<O>(gemm, stream, plan).unwrap_or_else(|e| panic!("{what}: {e}"));
        let [_, n, _] = self.shape;
        assert_eq!(got.len(), expected.len(), "{what}");
        for (at, (&got, &want)) in got.iter().zip(expected).enumerate() {
            assert!(same(got, want), "{what}: row {}, column {}: {got:?} instead of {want:?}", at / n, at % n);
        }
    }

    /// Runs a plan; returns the output and checks the guards and the inputs.
    pub fn run<O: Number>(&self, gemm: &GemmS8, stream: &Stream, plan: &GemmS8Plan) -> halfbyte::Result<Vec<O>> {
        let [m, n, k] = self.shape;
        let loose = usize::from(self.lie == Lie::Loose);
        let d_place = Place { before: 7 * loose, rows: m, cols: n, ld: n + 3 * loose };

        let [a, b] = [0, 1].map(|i| stream.upload(&self.codes[i]).unwrap());
        let matrix = |i: usize, buffer| {
            let place: &Place = &self.places[i];
            halfbyte::device::Buffer::view(buffer)
                .slice(place.before..)
                .and_then(|v| v.matrix(place.rows, k, place.ld))
                .unwrap()
        };
        // Scales and bias one element from where an allocation starts.
        let offset = |values: &[f32]| {
            let padded: Vec<f32> = std::iter::once(f32::NAN).chain(values.iter().copied()).collect();
            stream.upload(&padded).unwrap()
        };
        let vectors = [&self.scales[0], &self.scales[1]].map(|s| offset(s));
        let bias = self.bias.as_ref().map(|b| offset(b));
        let scaled = O::OUTPUT != Output::I32;
        let mut d = stream.upload(&poison::<O>(d_place.len())).unwrap();
        let mut scratch = stream.upload(&poison::<u8>(plan.scratch_bytes() + 256)).unwrap();

        let args = GemmS8Args {
            a: matrix(0, &a),
            b: matrix(1, &b),
            scale_row: scaled.then(|| vectors[0].view().slice(1..).unwrap()),
            scale_col: scaled.then(|| vectors[1].view().slice(1..).unwrap()),
            bias: bias.as_ref().filter(|_| scaled).map(|b| b.view().slice(1..).unwrap()),
            d: d.view_mut().slice(d_place.before..)?.matrix(m, n, d_place.ld)?,
            scratch: (plan.scratch_bytes() > 0).then(|| scratch.view_mut().slice(..plan.scratch_bytes()).unwrap()),
        };
        gemm.run(plan, stream, args)?;

        let d = stream.download(&d)?;
        guards_hold(&self.name, &d_place, &d);
        let scratch = stream.download(&scratch)?;
        assert!(scratch[plan.scratch_bytes()..].iter().all(|&b| b == 0xff), "{}: beyond the scratch", self.name);
        for (i, buffer) in [&a, &b].into_iter().enumerate() {
            assert!(stream.download(buffer)? == self.codes[i], "{}: an input was changed", self.name);
        }
        for (i, buffer) in vectors.iter().enumerate() {
            assert!(stream.download(buffer)?[1..] == self.scales[i], "{}: a scale was changed", self.name);
        }
        Ok(d_place.take(&d))
    }
}

fn view(codes: &[i8], rows: usize, k: usize) -> Codes<'_> {
    Codes::new(codes, rows, k, k).unwrap()
}

/// True when an address is a multiple of `align`.
pub fn is_aligned(region: &impl Region, align: u64) -> bool {
    region.address().is_multiple_of(align)
}

/// The operation and a stream on a device.
pub fn gemm_on(device: &Device) -> (GemmS8, Stream) {
    (GemmS8::new(device).unwrap(), device.stream().unwrap())
}
