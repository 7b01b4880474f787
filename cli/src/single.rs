//! Cases that share no numbers with others.

use halfbyte::Result;

use crate::ran::{About, Place, Ran};

/// How a case is run.
type Run = dyn Fn(&Place) -> Result<Ran>;

/// One case: what it is about, and how it is run.
pub struct Single {
    /// What is told of it.
    pub about: About,
    /// The least compute capability (times ten) of a device that has it.
    pub floor: u32,
    run: Box<Run>,
}

impl Single {
    /// A case.
    pub fn new(about: About, run: impl Fn(&Place) -> Result<Ran> + 'static) -> Single {
        Single { about, floor: 80, run: Box::new(run) }
    }

    /// The same case, for devices from a compute capability (times ten) on.
    pub fn from(self, floor: u32) -> Single {
        Single { floor, ..self }
    }

    /// Runs it and compares.
    ///
    /// # Errors
    /// An error of the device or of a reference.
    pub fn run(&self, place: &Place) -> Result<Ran> {
        (self.run)(place)
    }
}
