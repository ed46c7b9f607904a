//! The man pages and completions come from the command line as the program defines it, and ringway.yaml(5) comes from
//! docs/configuration.md, so neither can differ from it.

mod page;

use std::path::Path;
use std::{fs, io};

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use ringway::cli::Cli;

/// Writes them into `man` and `completions` in `folder`.
pub fn write(folder: &Path) -> io::Result<()> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(command(), &man)?;
    let configuration = include_str!("../../../docs/configuration.md");
    fs::write(man.join("ringway.yaml.5"), page::roff(configuration))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command(), "ringway", &completions)?;
    }
    Ok(())
}

/// The command line without `help`, which needs no page, and with the version alone: the pages name no commit.
fn command() -> clap::Command {
    Cli::command()
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
}
