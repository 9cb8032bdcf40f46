//! Puts the examples of the protocol where libFuzzer finds them: `cargo run --example vectors FOLDER TARGET`.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(target)) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    for (number, seed) in belfry_fuzz::vectors::seeds(&target).iter().enumerate() {
        std::fs::write(folder.join(format!("vector-{number}")), seed)?;
    }
    Ok(())
}
