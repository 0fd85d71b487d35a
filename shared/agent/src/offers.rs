//! The instructions and tools of requests, stored under their digest.
//!
//! A log says what was said and done, but the instructions belong to a build, and the tools to a deployment and to the MCP
//! servers of a tenant. Both change. So each distinct pair is a row of the tenant, and the record of each request names it.
//! It is not an event: clients that follow logs have no use for it. The schema and the tools of the caller's client are no part of
//! it: the log of the run has them, and is deleted with the conversation.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use sequent_core::TenantId;
use sequent_model::{Message, ToolSpec};
use sequent_tables::{Row, Store, key};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes of an offer in JSON that are stored at most. DynamoDB stores 400 KB per item.
const MAX_BYTES: usize = 380_000;
/// Bytes of a digest. It recognises changes and is no proof against a forger.
const DIGEST_BYTES: usize = 16;
/// Offers that a process knows to be stored.
const MAX_KNOWN: usize = 10_000;

/// The instructions and tools of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RequestOffer {
    pub(crate) system: String,
    pub(crate) tools: Vec<ToolSpec>,
    /// The request also offered the tools of the client.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) with_client_tools: bool,
}

impl RequestOffer {
    pub(crate) fn digest(&self) -> String {
        digest(self)
    }

    /// Returns `true` if the request offers any tool.
    pub(crate) fn has_tools(&self) -> bool {
        self.with_client_tools || !self.tools.is_empty()
    }
}

/// Returns the digest of a request's messages.
pub(crate) fn digest_of(messages: &[Message]) -> String {
    digest(&messages)
}

fn digest(value: &impl Serialize) -> String {
    let mut hasher = Sha256::new();
    // Nothing in it has a form that JSON does not have, and a hasher takes all bytes.
    let _ = serde_json::to_writer(&mut Hashing(&mut hasher), value);
    hex::encode(&hasher.finalize()[..DIGEST_BYTES])
}

struct Hashing<'a>(&'a mut Sha256);

impl std::io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The offers that this process has stored. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Offers(Arc<Mutex<BTreeSet<(TenantId, String)>>>);

/// The row of an offer.
#[derive(Debug, Serialize, Deserialize)]
struct OfferRow {
    /// The offer as JSON.
    offer: String,
}

impl Offers {
    /// Stores an offer unless it is stored. A failure is logged: the request is worth more than the record of what it offered.
    pub(crate) async fn keep(&self, store: &Store, tenant: TenantId, offer: &RequestOffer) {
        let place = (tenant, offer.digest());
        if self.known().contains(&place) {
            return;
        }
        let Ok(json) = serde_json::to_string(offer) else { return };
        if json.len() > MAX_BYTES {
            tracing::warn!(%tenant, bytes = json.len(), "the tools of a request are too large to be kept; its context cannot be shown");
            return;
        }
        match Self::insert(store, tenant, &place.1, json).await {
            Ok(()) => {
                let mut known = self.known();
                if known.len() >= MAX_KNOWN {
                    known.clear();
                }
                known.insert(place);
            }
            Err(error) => {
                tracing::warn!(%tenant, %error, "could not keep the tools of a request; its context cannot be shown");
            }
        }
    }

    async fn insert(
        store: &Store,
        tenant: TenantId,
        digest: &str,
        json: String,
    ) -> Result<(), sequent_tables::Error> {
        store.insert(Row::new(&key::offer(tenant, digest), &OfferRow { offer: json })?).await
    }

    /// Reads a stored offer. Returns `None` if it was not stored.
    pub(crate) async fn read(
        store: &Store,
        tenant: TenantId,
        digest: &str,
    ) -> Result<Option<RequestOffer>, sequent_tables::Error> {
        let row: Option<OfferRow> = store.get(&key::offer(tenant, digest)).await?;
        Ok(row.and_then(|row| serde_json::from_str(&row.offer).ok()))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeSet<(TenantId, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
