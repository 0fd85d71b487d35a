//! One of many processes that save the same bytes: it connects, waits for a line on standard input, saves,
//! and prints the result.
//!
//!   sequent-e2e-saver TENANT TITLE CONTENT
//!
//! Like a function, it reads the names of tables and bucket from its environment.

use std::io::{BufRead, Write};

use sequent_artifacts::{Artifacts, Description, Origin};
use sequent_core::ArtifactId;
use sequent_tables::Store;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name: &str| arguments.next().ok_or_else(|| format!("{name} is missing"));
    let tenant = argument("TENANT")?.parse()?;
    let title = argument("TITLE")?;
    let content = argument("CONTENT")?;
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    store.warm().await;
    let artifacts = Artifacts::from_env(&sdk, store)?;

    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    out.flush()?;
    std::io::stdin().lock().read_line(&mut String::new())?;

    let entity_type = "file".to_owned();
    let media_type = "text/plain".to_owned();
    let description = Description { title, entity_type, tags: Vec::new(), media_type };
    let saved =
        artifacts.save(tenant, ArtifactId::new(), description, Origin::default(), content.into()).await?;
    writeln!(out, "{}", saved.id)?;
    Ok(())
}
