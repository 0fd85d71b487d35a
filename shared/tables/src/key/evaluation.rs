//! Keys of datasets and their items.

use sequent_core::{DatasetId, TenantId};

use super::{Key, Partition};

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
