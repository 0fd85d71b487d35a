//! Artifacts that come with a message: the bytes are stored before its run, the rows in the transaction that creates it.

use bytes::Bytes;
use sequent_core::{RunId, TenantId};
use sequent_tables::Write;

use crate::{
    Artifact, Artifacts, Content, Error,
    artifact::new_row,
    artifacts::list_rows,
    object::{refer_to, retry_while_deleting},
};

impl Artifacts {
    /// Puts the bytes of an artifact whose rows are stored later. If they never are, the collector deletes the bytes.
    ///
    /// # Errors
    /// [`Error::StorageLimit`], or an error of the table or the bucket.
    pub async fn put(&self, tenant: TenantId, artifact: &Artifact, bytes: Bytes) -> Result<(), Error> {
        let content = Content { sha256: artifact.sha256, size: artifact.size };
        retry_while_deleting(|| self.put_object(tenant, content, &artifact.media_type, bytes.clone())).await
    }
}

/// Returns the writes that store artifacts of a run whose bytes were put. No two of them may have the same bytes. They belong to
/// the transaction that stores the row of the run.
///
/// # Errors
/// Returns an error if a row cannot be encoded.
pub fn rows_with_run(
    tenant: TenantId,
    artifacts: &[Artifact],
    run: RunId,
) -> Result<Vec<Write>, sequent_tables::Error> {
    let mut writes = Vec::new();
    for artifact in artifacts {
        let artifact = Artifact { run_id: Some(run), ..artifact.clone() };
        writes.push(Write::insert(new_row(tenant, &artifact)?));
        writes.push(refer_to(tenant, &artifact.sha256).into());
        writes.extend(list_rows(tenant, &artifact)?.into_iter().map(Write::put));
    }
    Ok(writes)
}
