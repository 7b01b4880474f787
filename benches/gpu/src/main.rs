//! Time of the int8 product on a GPU, beside cuBLASLt's in the same run.
//!
//! Ours and the peer's take turns; each sample is one pass over sets of buffers that are together more than twice
//! the L2 cache, timed with events; the figure is the median. Data is random. Before anything is timed the two
//! outputs are compared: they must be equal, sum by sum.
//!
//! Without a GPU it says so and does nothing.

mod cublaslt;

use std::error::Error;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use half::f16;
use halfbyte::device::{Buffer, Device, Stream, cuda_devices};
use halfbyte::op::{GemmS8, GemmS8Args, OutputElement};
use halfbyte::plan::gemm_s8::{GemmS8Plan, GemmS8Problem};
use halfbyte::reference::sample::Sample;

/// M, N, K: two squares for the tensor cores, three thin ones for the memory.
const SHAPES: [[usize; 3]; 5] =
    [[4096, 4096, 4096], [8192, 8192, 8192], [1, 8192, 8192], [16, 8192, 8192], [64, 8192, 8192]];
const WARM_UP: usize = 5;
const SAMPLES: usize = 51;

fn main() -> Result<(), Box<dyn Error>> {
    let device = match Device::cuda(0) {
        Ok(device) => device,
        Err(missing) => {
            println!("not measured: {missing}");
            return Ok(());
        }
    };
    // `cargo test` runs every program once to see that it works.
    let quick = !std::env::args().any(|argument| argument == "--measure");
    let samples = if quick { 1 } else { SAMPLES };
    let stream = device.stream()?;
    let mut rows = Vec::new();
    for shape in SHAPES {
        let row = measure(&stream, shape, samples)?;
        println!("{row}");
        rows.push(row);
        if quick {
            break;
        }
    }
    let info = cuda_devices()?.swap_remove(0);
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let json = format!(
        "{{\n  \"gpu\": \"{}\",\n  \"driver_cuda\": \"{}.{}\",\n  \"unix_time\": {seconds},\n  \"samples\": {samples},\n  \"rows\": [\n    {}\n  ]\n}}\n",
        info.name,
        info.driver.0,
        info.driver.1,
        rows.join(",\n    ")
    );
    match std::env::var_os("HALFBYTE_BENCH_JSON") {
        Some(path) if !quick => std::fs::write(path, json)?,
        _ => print!("{json}"),
    }
    Ok(())
}

/// One set of operands.
struct Set {
    a: Buffer<i8>,
    b: Buffer<i8>,
    sums: Buffer<i32>,
    peer_sums: Buffer<i32>,
    scaled: Buffer<f16>,
}

/// Times one shape; returns its row of the results.
fn measure(stream: &Stream, shape: [usize; 3], samples: usize) -> Result<String, Box<dyn Error>> {
    let [m, n, k] = shape;
    let op = GemmS8::new(stream.device())?;
    let mut sample = Sample::new("benchmark");
    let (a, b) = (sample.codes(m * k, -127, 127), sample.codes(n * k, -127, 127));
    let set_bytes = m * k + n * k + 4 * m * n;
    let count = (2 * stream.device().facts().l2_bytes as usize / set_bytes + 2).min(64);
    let mut sets = (0..count)
        .map(|_| {
            Ok(Set {
                a: stream.upload(&a)?,
                b: stream.upload(&b)?,
                sums: stream.zeros(m * n)?,
                peer_sums: stream.zeros(m * n)?,
                scaled: stream.zeros(m * n)?,
            })
        })
        .collect::<halfbyte::Result<Vec<Set>>>()?;
    let scales = [stream.upload(&sample.scales(m))?, stream.upload(&sample.scales(n))?];

    let plan = op.plan(&GemmS8Problem { m, n, k, out: i32::OUTPUT })?;
    let scaled_plan = op.plan(&GemmS8Problem { m, n, k, out: f16::OUTPUT })?;
    let mut scratch = stream.alloc::<u8>(plan.scratch_bytes().max(scaled_plan.scratch_bytes()))?;
    let peer = match cublaslt::is_present() {
        true => Some(cublaslt::Product::new(stream, shape)?),
        false => None,
    };

    let [mut ours, mut ours_scaled, mut theirs] = [const { Vec::new() }; 3];
    for round in 0..WARM_UP.min(samples) + samples {
        let sums_time = stream.time(|stream| {
            sets.iter_mut().try_for_each(|set| {
                let d = set.sums.view_mut().matrix(m, n, n)?;
                run(&op, &plan, stream, [&set.a, &set.b], None, d, &mut scratch)
            })
        })?;
        let scaled_time = stream.time(|stream| {
            sets.iter_mut().try_for_each(|set| {
                let d = set.scaled.view_mut().matrix(m, n, n)?;
                run(&op, &scaled_plan, stream, [&set.a, &set.b], Some(&scales), d, &mut scratch)
            })
        })?;
        let mut failed = None;
        let peer_time = stream.time(|stream| {
            let Some(peer) = &peer else { return Ok(()) };
            for set in &mut sets {
                let (a, b) = (set.a.view().matrix(m, k, k)?, set.b.view().matrix(n, k, k)?);
                let d = set.peer_sums.view_mut().matrix(m, n, n)?;
                failed = failed.take().or(peer.run(stream, a, b, &d).err());
            }
            Ok(())
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        if round == 0 && peer.is_some() {
            let same = stream.download(&sets[0].sums)? == stream.download(&sets[0].peer_sums)?;
            if !same {
                return Err(format!("{m}x{n}x{k}: the sums differ from cuBLASLt's").into());
            }
        }
        if round >= WARM_UP.min(samples) {
            for (list, time) in [(&mut ours, sums_time), (&mut ours_scaled, scaled_time), (&mut theirs, peer_time)] {
                list.push(time.as_secs_f64() / count as f64);
            }
        }
    }

    let work = 2.0 * m as f64 * n as f64 * k as f64;
    let mut row = format!("{{\"m\": {m}, \"n\": {n}, \"k\": {k}, \"sets\": {count}, \"kernel\": \"{}\"", kernel(&plan));
    for (name, times) in [("halfbyte_s32", ours), ("halfbyte_f16", ours_scaled), ("cublaslt_s32", theirs)] {
        if name.starts_with("cublaslt") && peer.is_none() {
            continue;
        }
        let time = median(times);
        write!(row, ", \"{name}_us\": {:.2}, \"{name}_tops\": {:.1}", time * 1e6, work / time / 1e12)?;
    }
    Ok(row + "}")
}

fn kernel(plan: &GemmS8Plan) -> String {
    let symbol = plan.geometry().map_or("none", |g| g.entry.row().symbol);
    format!("{symbol}, split {}", plan.split_k())
}

fn run<O: OutputElement>(
    op: &GemmS8,
    plan: &GemmS8Plan,
    stream: &Stream,
    [a, b]: [&Buffer<i8>; 2],
    scales: Option<&[Buffer<f32>; 2]>,
    d: halfbyte::device::MatrixMut<'_, O>,
    scratch: &mut Buffer<u8>,
) -> halfbyte::Result<()> {
    let GemmS8Problem { m, n, k, .. } = *plan.problem();
    let args = GemmS8Args {
        a: a.view().matrix(m, k, k)?,
        b: b.view().matrix(n, k, k)?,
        scale_row: scales.map(|s| s[0].view()),
        scale_col: scales.map(|s| s[1].view()),
        bias: None,
        d,
        scratch: Some(scratch.view_mut()),
    };
    op.run(plan, stream, args)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
