//! Makes what a package has beside the program: man pages and completions.
//!
//!     cargo run --example manuals -- target/manuals
//!
//! An example, and not a command of the program, so that the program does not carry it.

mod make;

use std::path::PathBuf;
use std::{env, io};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    make::write(&folder.ok_or_else(|| io::Error::other("usage: manuals FOLDER"))?)
}
