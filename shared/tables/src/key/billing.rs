//! Keys of credits and of what they are bought with.

use sequent_core::{PostingId, TenantId};

use super::{Key, Partition};

/// A tenant's balances and what they depend on.
#[must_use]
pub fn account(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#billing"), "account")
}

/// An entry of a tenant's ledger.
#[must_use]
pub fn posting(tenant: TenantId, id: PostingId) -> Key {
    Key::new(format!("{tenant}#ledger"), id)
}

/// A tenant's ledger.
#[must_use]
pub fn ledger(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#ledger"))
}

/// What a posting was made for: there is one of it.
#[must_use]
pub fn posting_cause(tenant: TenantId, cause: &str) -> Key {
    Key::new(format!("{tenant}#ledger#causes"), cause)
}

/// Who a tenant is to the payment provider.
#[must_use]
pub fn payer(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#billing"), "payer")
}

/// What a tenant subscribes to.
#[must_use]
pub fn subscription(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#billing"), "subscription")
}

/// Something that a tenant bought, by the provider's id of the invoice or the checkout.
#[must_use]
pub fn purchase(tenant: TenantId, id: &str) -> Key {
    Key::new(format!("{tenant}#purchases"), id)
}
