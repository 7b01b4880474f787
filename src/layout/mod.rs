//! layout (skeleton)
