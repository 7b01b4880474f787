//! All integration tests, one binary: folders mirror `src/`.

mod format;
mod house;
mod layout;
mod plan;
mod reference;
