//! Keys of datasets, their items, and evaluations.

use sequent_core::{DatasetId, RunId, TenantId};

use super::{IndexKey, Key, Partition};

/// The row of a dataset.
#[must_use]
pub fn dataset(tenant: TenantId, dataset: DatasetId) -> Key {
    Key::new(format!("{tenant}#datasets"), dataset)
}

/// All datasets of a tenant.
#[must_use]
pub fn datasets(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#datasets"))
}

/// An item of a dataset.
#[must_use]
pub fn dataset_item(tenant: TenantId, dataset: DatasetId, number: u32) -> Key {
    Key::new(format!("{tenant}#dataset-items"), format!("{}{number:06}", dataset_item_prefix(dataset)))
}

/// The beginning of the sort keys of a dataset's items.
#[must_use]
pub fn dataset_item_prefix(dataset: DatasetId) -> String {
    format!("{dataset}#")
}

/// The items of all datasets of a tenant, so that they can be deleted together.
#[must_use]
pub fn dataset_items(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#dataset-items"))
}

/// The number of a tenant's datasets.
#[must_use]
pub fn dataset_settings(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#settings"), "datasets")
}

/// The row of an evaluation, which has the id of its run.
#[must_use]
pub fn evaluation(tenant: TenantId, run: RunId) -> Key {
    Key::new(format!("{tenant}#evaluations"), run)
}

/// All evaluations of a tenant.
#[must_use]
pub fn evaluations(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#evaluations"))
}

/// The position of an evaluation among those with its dataset (`gsi1`).
#[must_use]
pub fn evaluation_with_dataset(tenant: TenantId, dataset: DatasetId, run: RunId) -> IndexKey {
    IndexKey { pk: format!("{tenant}#evaluations#{dataset}"), sk: run.to_string() }
}

/// All evaluations with a dataset (`gsi1`).
#[must_use]
pub fn evaluations_with_dataset(tenant: TenantId, dataset: DatasetId) -> Partition {
    Partition { index: Some("gsi1"), pk: format!("{tenant}#evaluations#{dataset}") }
}
