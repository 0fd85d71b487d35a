//! One of many processes that save the same bytes: it gets ready, waits for a line, saves, and says what came of it.
//!
//!   sequent-e2e-saver TENANT TITLE CONTENT
//!
//! It reaches tables and bucket as a function does, by its environment.

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
    let (title, content) = (argument("TITLE")?, argument("CONTENT")?);
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    store.warm().await;
    let artifacts = Artifacts::from_env(&sdk, store)?;

    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    out.flush()?;
    std::io::stdin().lock().read_line(&mut String::new())?;

    let (entity_type, media_type) = ("file".to_owned(), "text/plain".to_owned());
    let description = Description { title, entity_type, tags: Vec::new(), media_type };
    let saved =
        artifacts.save(tenant, ArtifactId::new(), description, Origin::default(), content.into()).await?;
    writeln!(out, "{}", saved.id)?;
    Ok(())
}
