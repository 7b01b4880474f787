//! All integration tests, one binary: folders mirror `src/`.

mod house;
mod plan;
