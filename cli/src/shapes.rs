//! The synthetic shapes that `verify` runs: linear layers of real models, and edges of the tiles.

/// One product: `[M, K] x [N, K]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Where it comes from.
    pub name: &'static str,
    /// Rows of the activations.
    pub m: usize,
    /// Rows of the weights.
    pub n: usize,
    /// Depth.
    pub k: usize,
}

/// Linear layers as (name, true N, K). A long run is cut down in N: every kernel tile of a column block does the
/// same work, while K, where rings wrap and sums grow, stays true.
const LAYERS: [(&str, usize, usize); 10] = [
    ("bert-base qkv", 768, 768),
    ("bert-base ffn up", 3072, 768),
    ("bert-base ffn down", 768, 3072),
    ("gpt3-6.7b qkv", 12288, 4096),
    ("gpt3-6.7b out", 4096, 4096),
    ("gpt3-6.7b ffn up", 16384, 4096),
    ("gpt3-6.7b ffn down", 4096, 16384),
    ("llama-7b q", 4096, 4096),
    ("llama-7b ffn up", 11008, 4096),
    ("llama-7b ffn down", 4096, 11008),
];

/// The deepest layers of large models, for the products of floats alone.
const DEEP: [(&str, usize, usize); 3] =
    [("opt-175b ffn down", 12288, 49152), ("bloom-176b ffn down", 14336, 57344), ("palm-540b ffn down", 18432, 73728)];

/// Rows of activations: one token, a small batch, a sentence (off every tile).
const TOKENS: [usize; 3] = [1, 16, 77];

/// Most columns of a layer that are run; off every tile, so that the last tile is ragged.
const COLUMNS: usize = 1000;

/// The name of the shapes at the edges.
pub const EDGE: &str = "edge";

/// Shapes at the edges: one element, off every tile, K shorter than a vector, rings that wrap twice.
const EDGES: [(usize, usize, usize); 6] =
    [(1, 1, 1), (5, 130, 17), (129, 127, 63), (130, 260, 1100), (16, 200, 2500), (257, 65, 129)];

/// Every synthetic shape.
pub fn synthetic() -> Vec<Shape> {
    let mut shapes: Vec<Shape> = EDGES.iter().map(|&(m, n, k)| Shape { name: EDGE, m, n, k }).collect();
    for (name, n, k) in LAYERS {
        for m in TOKENS {
            shapes.push(Shape { name, m, n: n.min(COLUMNS), k });
        }
    }
    shapes
}

/// Columns of a layer that the products of floats run, whose sums the emulator makes term by term: a tile and a ragged
/// one.
const FLOAT_COLUMNS: usize = 70;

/// The shapes of the products of floats.
pub fn floats() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (index, (name, n, k)) in LAYERS.into_iter().enumerate() {
        shapes.push(Shape { name, m: TOKENS[index % TOKENS.len()], n: n.min(FLOAT_COLUMNS), k });
    }
    for (name, n, k) in DEEP {
        shapes.push(Shape { name, m: TOKENS[0], n: n.min(FLOAT_COLUMNS), k });
    }
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_the_models_and_keeps_their_depth() {
        let shapes = synthetic();
        assert_eq!(shapes.len(), 6 + 10 * 3);
        for model in ["bert-base", "gpt3-6.7b", "llama-7b"] {
            for m in TOKENS {
                assert!(shapes.iter().any(|s| s.name.starts_with(model) && s.m == m), "{model} {m}");
            }
        }
        assert!(shapes.iter().any(|s| s.k == 16384) && shapes.iter().any(|s| s.k == 11008));
        let floats = floats();
        assert_eq!(floats.len(), 13);
        assert!(floats.iter().any(|s| s.k == 73_728) && TOKENS.iter().all(|m| floats.iter().any(|s| s.m == *m)));
    }
}
