//! Keys of credits and of payments.

use sequent_core::{PostingId, TenantId};

use super::{Key, Partition};

/// The account of a tenant.
#[must_use]
pub fn account(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#billing"), "account")
}

/// Returns the tenant of a key, or `None` if it is not the key of an account.
#[must_use]
pub fn parse_account(key: &Key) -> Option<TenantId> {
    key.pk.strip_suffix("#billing").filter(|_| key.sk == "account")?.parse().ok()
}

/// The live runs and daily costs of a tenant in a deployment that does not charge.
#[must_use]
pub fn quota(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#billing"), "quota")
}

/// Returns the tenant of a key, or `None` if it is not the key of a quota.
#[must_use]
pub fn parse_quota(key: &Key) -> Option<TenantId> {
    key.pk.strip_suffix("#billing").filter(|_| key.sk == "quota")?.parse().ok()
}

/// The open streams of a tenant.
#[must_use]
pub fn streams(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#billing"), "streams")
}

/// An entry of a tenant's ledger.
#[must_use]
pub fn posting(tenant: TenantId, id: PostingId) -> Key {
    Key::new(format!("{tenant}#ledger"), id)
}

/// All entries of a tenant's ledger.
#[must_use]
pub fn ledger(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#ledger"))
}

/// The claim of a cause: a cause is posted once.
#[must_use]
pub fn posting_cause(tenant: TenantId, cause: &str) -> Key {
    Key::new(format!("{tenant}#ledger#causes"), cause)
}

/// The customer that a tenant is at the payment provider.
#[must_use]
pub fn payer(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#billing"), "payer")
}

/// The subscription of a tenant.
#[must_use]
pub fn subscription(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#billing"), "subscription")
}

/// A purchase of a tenant, by the provider's id of the invoice or the checkout.
#[must_use]
pub fn purchase(tenant: TenantId, id: &str) -> Key {
    Key::new(format!("{tenant}#purchases"), id)
}

/// The progress of the reconciliation with the payment provider, under the system tenant.
#[must_use]
pub fn reconciliation() -> Key {
    Key::new(format!("{}#billing", TenantId::SYSTEM), "reconciliation")
}
