//! Sizes of the functions' packages.

use std::io::Write;

use flate2::{Compression, write::DeflateEncoder};

use crate::{
    cold_start::mb,
    report::{Report, Row},
    stack::{Stack, name},
};

const TARGET_MB: f64 = 5.0;

/// Adds one row for each function that has been built. A zip file with one entry is its deflated bytes and
/// 130 more.
pub(crate) fn measure(stack: &Stack, report: &mut Report) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        // A debug build compresses for minutes.
        report.skipped("package sizes: this driver is a debug build");
        return Ok(());
    }
    for function in &stack.functions {
        let Ok(binary) = std::fs::read(stack.bin_dir.join(&function.binary)) else { continue };
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(9));
        encoder.write_all(&binary)?;
        let zipped = encoder.finish()?.len() as u64;
        let name = name(function);
        report.add(
            Row::new(format!("zipped, {name}"), mb(zipped), "MB")
                .at_most(TARGET_MB)
                .note(format!("{:.1} MB unzipped", mb(binary.len() as u64))),
        );
    }
    Ok(())
}
