//! Recorded work: capture once, replay often.

use std::fmt;

use super::Stream;
use super::backend::{Queue, Replay};
use crate::Result;

/// Launches and fills that were recorded from a stream and can be done again at the cost of one call.
///
/// A graph keeps the buffers that it works on alive: dropping a [`Buffer`](super::Buffer) that a graph uses gives
/// its memory back only when the graph is dropped too. The caller may write new inputs into those buffers
/// between replays. A replay waits for earlier uses of its buffers on other streams, as a launch does.
pub struct Graph {
    stream: Stream,
    replay: Box<dyn Replay>,
}

/// Ends a capture that was not ended properly: an error or a panic in the recorded work.
struct Unfinished<'a>(Option<&'a dyn Queue>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.0 {
            // The stream must leave capture mode; what was recorded, and why it broke, is already known to be lost.
            let _ = queue.end_capture();
        }
    }
}

impl Graph {
    /// Records what `work` gives to `stream` instead of doing it.
    ///
    /// While it records, the stream refuses to allocate, to copy from or to the host, and to wait.
    ///
    /// # Errors
    /// Those of `work`; operands made from raw addresses (a graph cannot keep them alive); an operand that is
    /// pending on another stream; a stream that cannot be captured (CUDA's legacy and per-thread default streams)
    /// or that is being captured already.
    pub fn capture(stream: &Stream, work: impl FnOnce(&Stream) -> Result<()>) -> Result<Graph> {
        stream.queue.begin_capture()?;
        let mut unfinished = Unfinished(Some(&*stream.queue));
        work(stream)?;
        unfinished.0 = None;
        let replay = stream.queue.end_capture()?;
        Ok(Graph { stream: stream.clone(), replay })
    }

    /// The stream that recorded it, and that replays it.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Does the recorded work once more, in the order of its stream.
    ///
    /// # Errors
    /// A stream that is being captured, or an error of the device.
    pub fn replay(&mut self) -> Result<()> {
        self.replay.replay()
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "graph in a {:?}", self.stream)
    }
}
