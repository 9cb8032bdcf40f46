//! Puts the examples of the protocol where libFuzzer finds them, below a folder: `cargo run --example vectors corpus`.

use belfry_fuzz::vectors::seeds;
use std::fs;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let corpus = PathBuf::from(std::env::args_os().nth(1).unwrap_or_default());
    for (target, seeds) in seeds() {
        fs::create_dir_all(corpus.join(target))?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(corpus.join(target).join(format!("vector-{number}")), seed)?;
        }
    }
    Ok(())
}
