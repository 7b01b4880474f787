//! Shared memory and registers (§9.7.14.5.15, §9.7.14.5.16, §9.7.9.25.3).

/// Half `column` of row `row`.
fn half(input: &[u32], row: usize, column: usize) -> u32 {
    input[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff
}

fn row_of(input: &[u32], lane: usize) -> usize {
    input[128 + lane] as usize
}

/// Number of matrices, and whether they are transposed.
const FORMS: [(usize, bool); 6] = [(1, false), (2, false), (4, false), (1, true), (2, true), (4, true)];

/// Lane 8i + r names row r of matrix i; register i of lane l holds elements 2(l % 4), +1 of row l / 4.
pub fn ldmatrix(input: &[u32]) -> Vec<u32> {
    let mut words = Vec::new();
    for (count, trans) in FORMS {
        for (matrix, lane) in (0..128).map(|i| (i / 32, i % 32)) {
            let (row, column) = (lane / 4, 2 * (lane % 4));
            let element = |row: usize, column: usize| half(input, row_of(input, 8 * matrix + row), column);
            words.push(match (matrix < count, trans) {
                (false, _) => 0,
                (true, false) => element(row, column) | element(row, column + 1) << 16,
                (true, true) => element(column, row) | element(column + 1, row) << 16,
            });
        }
    }
    words
}

/// The way back: register i of lane l goes to elements 2(l % 4), +1 of row l / 4 of matrix i.
pub fn stmatrix(input: &[u32]) -> Vec<u32> {
    let mut words = Vec::new();
    for (count, trans) in FORMS {
        let mut tile = [[0xffffu32; 8]; 32];
        for (matrix, lane) in (0..count * 32).map(|i| (i / 32, i % 32)) {
            let register = input[4 * lane + matrix];
            for (i, value) in [register & 0xffff, register >> 16].into_iter().enumerate() {
                let (row, column) = (lane / 4, 2 * (lane % 4) + i);
                let (row, column) = if trans { (column, row) } else { (row, column) };
                tile[row_of(input, 8 * matrix + row)][column] = value;
            }
        }
        for (word, lane) in (0..128).map(|i| (i / 32, i % 32)) {
            words.push(tile[lane][2 * word] | tile[lane][2 * word + 1] << 16);
        }
    }
    words
}

/// A tile of ones after copies of each lane's row to its place: bytes from `at`, of which `count` are read and the rest
/// up to `size` become zero.
fn copied(input: &[u32], copy: impl Fn(usize) -> (usize, usize, usize)) -> [[u8; 16]; 32] {
    let mut tile = [[0xff; 16]; 32];
    for lane in 0..32 {
        let (at, size, count) = copy(lane);
        for byte in at..at + size {
            let value = (input[4 * lane + byte / 4] >> (8 * (byte % 4))) as u8;
            tile[row_of(input, lane)][byte] = if byte - at < count { value } else { 0 };
        }
    }
    tile
}

fn words(tile: &[[u8; 16]; 32]) -> impl Iterator<Item = u32> + '_ {
    (0..128).map(|i| (i / 32, i % 32)).map(|(word, lane)| {
        let bytes = &tile[lane][4 * word..4 * word + 4];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    })
}

pub fn cp_async(input: &[u32]) -> Vec<u32> {
    let bytes = |lane: usize| input[160 + lane] as usize;
    let mut all = Vec::new();
    for part in [false, true] {
        let some = |lane: usize, size: usize| if part { bytes(lane) % (size + 1) } else { size };
        all.extend(words(&copied(input, |lane| (lane % 4 * 4, 4, some(lane, 4)))));
        all.extend(words(&copied(input, |lane| (lane % 2 * 8, 8, some(lane, 8)))));
        let whole = copied(input, |lane| (0, 16, some(lane, 16)));
        all.extend(words(&whole));
        all.extend(words(&whole));
    }
    // After the first of two groups the first half is there.
    let whole = copied(input, |_| (0, 16, 16));
    all.extend(words(&whole).take(64));
    all.extend([0; 64]);
    all.extend(words(&whole));
    all
}

pub fn cp_async_arrive(input: &[u32]) -> Vec<u32> {
    let done = (0..128).map(|i| u32::from(i < 32));
    done.chain(words(&copied(input, |_| (0, 16, 16)))).collect()
}
