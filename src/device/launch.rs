//! Launches as values: a planned geometry with its operands, checked against the kernel's parameters.

use std::fmt;

use super::memory::Operand;
use super::tensor_map::{TensorMap, TensorMapDesc, TensorShape};
use super::view::{View, ViewMut};
use super::{Device, Element, Matrix, Region};
use crate::manifest::{Entry, Field, Row};
use crate::plan::Geometry;
use crate::{Error, Result};

/// Most fields of a parameter block.
const MAX_ARGS: usize = 72;
/// Most pointers and tensor maps of a launch.
const MAX_OPERANDS: usize = 24;
/// Most tensor maps of a launch.
const MAX_MAPS: usize = 4;

/// One kernel launch: what runs, how many blocks, on which operands.
///
/// Only planned operations of this crate make launches, so that a launch that was not checked against its
/// kernel cannot exist. Holds no memory of its own; it borrows its operands.
pub struct Launch<'a> {
    geometry: Geometry,
    row: &'static Row,
    device: Option<&'a Device>,
    args: [u64; MAX_ARGS],
    operands: [Operand<'a>; MAX_OPERANDS],
    operand_count: usize,
    maps: [Option<TensorMap>; MAX_MAPS],
}

/// Takes the arguments of a launch in the order of the kernel's parameters.
pub(crate) struct LaunchBuilder<'a> {
    launch: Launch<'a>,
    next: usize,
    map_count: usize,
    error: Option<Error>,
}

impl<'a> Launch<'a> {
    /// Starts a launch of a planned geometry.
    #[allow(clippy::new_ret_no_self)]
    pub(crate) fn new(geometry: Geometry) -> LaunchBuilder<'a> {
        let launch = Launch {
            geometry,
            row: geometry.entry.row(),
            device: None,
            args: [0; MAX_ARGS],
            operands: [Operand::default(); MAX_OPERANDS],
            operand_count: 0,
            maps: [None; MAX_MAPS],
        };
        LaunchBuilder { launch, next: 0, map_count: 0, error: None }
    }

    /// Which kernel.
    pub fn entry(&self) -> Entry {
        self.geometry.entry
    }

    /// Blocks in x, y and z.
    pub fn grid(&self) -> [u32; 3] {
        self.geometry.grid
    }

    /// Threads a block in x, y and z.
    pub fn block(&self) -> [u32; 3] {
        [self.row.threads, 1, 1]
    }

    /// Blocks a cluster in x, y and z; all 1 when there are no clusters.
    pub fn cluster(&self) -> [u32; 3] {
        self.geometry.cluster
    }

    /// Dynamic shared memory a block, in bytes.
    pub fn shared_bytes(&self) -> u32 {
        self.geometry.shared_bytes
    }

    /// The device of its operands; `None` when it has none.
    pub fn device(&self) -> Option<&Device> {
        self.device
    }

    pub(super) fn operands(&self) -> &[Operand<'a>] {
        &self.operands[..self.operand_count]
    }

    /// Writes the parameter block into `block` and returns its used part. `tensor_map` encodes one tensor map.
    pub(super) fn encode<'b>(
        &self,
        block: &'b mut [u8],
        mut tensor_map: impl FnMut(&TensorMap) -> Result<[u8; 128]>,
    ) -> Result<&'b [u8]> {
        let params = self.row.params;
        let (have, need) = (block.len(), params.size());
        let block =
            block.get_mut(..need).ok_or(Error::TooShort { what: "the parameter block", have, need, unit: "bytes" })?;
        let mut at = 0;
        for (&(_, field, _), &value) in params.fields.iter().zip(&self.args) {
            at = usize::next_multiple_of(at, field.align());
            let slot = &mut block[at..at + field.size()];
            match field {
                Field::TensorMap => {
                    if let Some(map) = self.maps.get(value as usize).and_then(Option::as_ref) {
                        slot.copy_from_slice(&tensor_map(map)?);
                    }
                }
                Field::Ptr | Field::PtrMut | Field::I64 => slot.copy_from_slice(&value.to_le_bytes()),
                Field::U32 | Field::F32 => slot.copy_from_slice(&(value as u32).to_le_bytes()),
            }
            at += field.size();
        }
        Ok(block)
    }
}

impl<'a> LaunchBuilder<'a> {
    /// Stores `value` as the next argument if the kernel's next parameter is of kind `given`.
    fn push(&mut self, given: Field, value: u64) -> &mut Self {
        let row = self.launch.row;
        let fields = row.params.fields;
        match fields.get(self.next) {
            Some(&(_, want, _)) if want == given && self.next < MAX_ARGS => self.launch.args[self.next] = value,
            Some(&(name, want, _)) if self.next < MAX_ARGS => self.fail(|| {
                Error::Value(format!("argument `{name}` of {} is {want:?}, but {given:?} was given", row.symbol))
            }),
            _ => self.fail(|| {
                Error::Value(format!("{} takes {} arguments, not more", row.symbol, fields.len().min(MAX_ARGS)))
            }),
        }
        self.next += 1;
        self
    }

    fn fail(&mut self, error: impl FnOnce() -> Error) {
        if self.error.is_none() {
            self.error = Some(error());
        }
    }

    fn operand(&mut self, device: &'a Device, operand: Operand<'a>) {
        let launch = &mut self.launch;
        match launch.device {
            None => launch.device = Some(device),
            Some(first) if first == device => {}
            Some(first) => {
                let what = launch.row.params.fields.get(self.next).map_or("an argument", |field| field.0);
                let (have, want) = (device.to_string(), first.to_string());
                self.fail(|| Error::WrongDevice { what, have, want });
                return;
            }
        }
        match launch.operands.get_mut(launch.operand_count) {
            Some(slot) => {
                let name = launch.row.params.fields.get(self.next).map_or("", |field| field.0);
                *slot = Operand { name, ..operand };
                launch.operand_count += 1;
            }
            None => self.fail(|| Error::Value(format!("a launch has at most {MAX_OPERANDS} operands"))),
        }
    }

    /// Memory that the kernel reads.
    pub(crate) fn ptr<T: Element>(&mut self, view: impl Into<View<'a, T>>) -> &mut Self {
        let view = view.into();
        self.operand(view.device(), view.operand(false));
        self.push(Field::Ptr, view.address)
    }

    /// Memory that the kernel writes, or reads and writes.
    pub(crate) fn ptr_mut<T: Element>(&mut self, view: impl Into<ViewMut<'a, T>>) -> &mut Self {
        let view = view.into();
        self.operand(view.device(), view.view.operand(true));
        self.push(Field::PtrMut, view.view.address)
    }

    /// Memory that the kernel reads and that is also its output, which follows as an argument of its own.
    pub(crate) fn ptr_too<T: Element>(&mut self, view: &ViewMut<'a, T>) -> &mut Self {
        self.push(Field::Ptr, view.view.address)
    }

    /// No memory, where the kernel allows a null pointer.
    pub(crate) fn null(&mut self) -> &mut Self {
        let field = match self.launch.row.params.fields.get(self.next) {
            Some((_, Field::PtrMut, _)) => Field::PtrMut,
            _ => Field::Ptr,
        };
        self.push(field, 0)
    }

    /// Memory that the kernel reads, or none.
    pub(crate) fn optional<T: Element>(&mut self, view: Option<View<'a, T>>) -> &mut Self {
        match view {
            Some(view) => self.ptr(view),
            None => self.null(),
        }
    }

    /// A `uint32_t`.
    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.push(Field::U32, value.into())
    }

    /// An `int64_t`.
    pub(crate) fn i64(&mut self, value: i64) -> &mut Self {
        self.push(Field::I64, value as u64)
    }

    /// A `float`.
    pub(crate) fn f32(&mut self, value: f32) -> &mut Self {
        self.push(Field::F32, value.to_bits().into())
    }

    /// A tensor map over a matrix that the kernel reads.
    pub(crate) fn tensor_map<T: Element>(&mut self, matrix: &Matrix<'a, T>, desc: TensorMapDesc) -> &mut Self {
        let span = matrix.span();
        // Of a single row the stride means nothing, yet a map has limits for it.
        let row_stride = if span.rows > 1 { span.row_stride } else { span.row_bytes.next_multiple_of(16) };
        let shape = TensorShape::matrix(matrix.cols() as u64, matrix.rows() as u64, row_stride, desc);
        self.operand(matrix.device(), matrix.operand());
        self.map(TensorMap { dtype: T::DTYPE, address: span.address, shape })
    }

    /// A tensor map over a tensor that the kernel reads, which starts where `view` does and ends within it.
    pub(crate) fn tensor<T: Element>(&mut self, view: impl Into<View<'a, T>>, shape: TensorShape) -> &mut Self {
        let view = view.into();
        let have = view.len() * size_of::<T>();
        if shape.extent(size_of::<T>() as u64).is_none_or(|need| need > have as u64) {
            self.fail(|| Error::Shape(format!("tensor map: {:?} elements do not lie in {have} bytes", shape.dims)));
        }
        self.operand(view.device(), view.operand(false));
        self.map(TensorMap { dtype: T::DTYPE, address: view.address, shape })
    }

    fn map(&mut self, map: TensorMap) -> &mut Self {
        let index = self.map_count;
        match (map.check(), self.launch.maps.get_mut(index)) {
            (Ok(map), Some(slot)) => *slot = Some(map),
            (Err(error), _) => self.fail(|| error),
            (_, None) => self.fail(|| Error::Value(format!("a launch has at most {MAX_MAPS} tensor maps"))),
        }
        self.map_count += 1;
        self.push(Field::TensorMap, index as u64)
    }

    /// The launch, if it fits its kernel.
    ///
    /// # Errors
    /// An argument of another kind than the kernel's parameter, too few or too many arguments, operands of
    /// several devices, a tensor map that breaks a rule, or a grid or cluster that no device can run.
    pub(crate) fn finish(&mut self) -> Result<Launch<'a>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let (row, geometry) = (self.launch.row, self.launch.geometry);
        let want = row.params.fields.len();
        if self.next != want {
            return Err(Error::Value(format!("{} takes {want} arguments, but {} were given", row.symbol, self.next)));
        }
        check_geometry(&geometry)?;
        Ok(Launch { ..self.launch })
    }
}

/// Limits that hold for every device (CUDA programming guide, "Technical Specifications per Compute Capability").
fn check_geometry(geometry: &Geometry) -> Result<()> {
    let (grid, cluster) = (geometry.grid, geometry.cluster);
    let limits = [i32::MAX as u32, 65535, 65535];
    if grid.iter().zip(limits).any(|(&blocks, limit)| blocks == 0 || blocks > limit) {
        return Err(Error::Shape(format!("a grid of {grid:?} blocks is not within 1..={limits:?}")));
    }
    let blocks: u64 = cluster.iter().map(|&n| u64::from(n)).fold(1, u64::saturating_mul);
    if blocks == 0 || blocks > 8 || grid.iter().zip(cluster).any(|(&blocks, n)| !blocks.is_multiple_of(n)) {
        return Err(Error::Shape(format!(
            "clusters of {cluster:?} blocks do not divide a grid of {grid:?}, or have more than 8"
        )));
    }
    Ok(())
}

/// The arguments with the names of the kernel's parameters.
struct Args<'l, 'a>(&'l Launch<'a>);

impl fmt::Debug for Args<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (&(name, field, _), &value) in self.0.row.params.fields.iter().zip(&self.0.args) {
            map.key(&format_args!("{name}"));
            match field {
                Field::TensorMap => map.value(&self.0.maps.get(value as usize).and_then(Option::as_ref)),
                Field::Ptr | Field::PtrMut => map.value(&format_args!("{value:#x}")),
                Field::I64 => map.value(&(value as i64)),
                Field::U32 => map.value(&value),
                Field::F32 => map.value(&f32::from_bits(value as u32)),
            };
        }
        map.finish()
    }
}

impl fmt::Debug for Launch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("entry", &self.entry())
            .field("grid", &self.grid())
            .field("block", &self.block())
            .field("cluster", &self.cluster())
            .field("shared_bytes", &self.shared_bytes())
            .field("args", &Args(self))
            .finish()
    }
}

#[cfg(all(test, feature = "emulator"))]
mod tests;
