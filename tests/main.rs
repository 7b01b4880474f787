//! All integration tests, one binary: folders mirror `src/`.

mod plan;
