//! The trust in a tenant. Everyone can invent an address, so a tenant whose owner has not proved more may cost little.

use serde::{Deserialize, Serialize};

/// The trust in a tenant, as its row has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantTrust {
    /// The owner was invited, or has proved to receive mail at the address.
    Trusted,
    /// The owner has not verified the address yet.
    Unverified,
    /// The deployment sends no mail, so the owner cannot verify the address.
    Unverifiable,
}

impl TenantTrust {
    /// The name of the attribute in the row of a tenant.
    pub const ATTRIBUTE: &str = "trust";
}
