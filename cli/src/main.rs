//! The program `halfbyte`: verify every kernel on this machine, profile one, list devices and kernels.

mod args;
mod attention;
mod attention_int8;
mod case;
mod devices;
mod float;
mod groups;
mod kernels;
mod merge;
mod model;
mod operation;
mod probe;
mod profile;
mod quantize;
mod ran;
mod report;
mod shapes;
mod single;
mod verify;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command.unwrap_or(Command::Verify(cli.verify)) {
        Command::Verify(args) => verify::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Kernels(args) => kernels::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Probe(args) => probe::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("halfbyte: {error}");
            ExitCode::from(2)
        }
    }
}
