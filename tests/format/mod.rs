//! Formats: what the bits mean, and the files that hold them.

mod checkpoint;
mod dtype;
mod fp8;
mod hostile;
mod int8;
mod int8_matrix;
mod minilm;
mod safetensors;
mod scaled;
