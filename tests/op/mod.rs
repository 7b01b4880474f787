//! The doors, on every emulated device and on a GPU if there is one: exact results, untouched surroundings,
//! refused arguments.

mod allocation;
mod attention;
mod attention_int8;
mod attention_int8_inputs;
mod attention_int8_refusals;
mod attention_lengths;
mod attention_quantize;
mod attention_quantize_refusals;
mod attention_refusals;
mod case;
mod checked;
mod dequantized;
mod gemm;
mod gemm_groups;
mod gemm_refusals;
mod gemm_s8;
mod linear;
mod merge;
mod merged_attention;
mod quantize;
mod quantize_refusals;
mod quantize_rows;
mod quantized_product;
mod refusals;
mod repeat;
mod tune;

use halfbyte::device::{Device, Element, View, ViewMut};

/// A view of any address to write, as foreign memory comes in.
fn raw<'a, T: Element>(device: &'a Device, address: u64, len: usize) -> ViewMut<'a, T> {
    // SAFETY: the view is given to a call that must refuse it, so nothing ever reads or writes through it.
    unsafe { ViewMut::from_raw(device, address, len) }.unwrap()
}

/// The same to read.
fn raw_view<'a, T: Element>(device: &'a Device, address: u64, len: usize) -> View<'a, T> {
    // SAFETY: as above; nothing ever reads through it.
    unsafe { View::from_raw(device, address, len) }.unwrap()
}

/// How many cases ran on each value of one axis, so that a test that silently covers less fails.
#[derive(Default)]
struct Tally(std::collections::BTreeMap<String, usize>);

impl Tally {
    fn add(&mut self, axis: &str, value: impl std::fmt::Display) {
        *self.0.entry(format!("{axis} {value}")).or_default() += 1;
    }

    /// Prints the counts, and fails unless each value named has at least as many cases as said.
    fn assert(&self, what: &str, at_least: &[(&str, usize)]) {
        println!("{what}: {:?}", self.0);
        for &(value, least) in at_least {
            let have = self.0.get(value).copied().unwrap_or(0);
            assert!(have >= least, "{what}: {value} has {have} cases, {least} are the least");
        }
    }
}
