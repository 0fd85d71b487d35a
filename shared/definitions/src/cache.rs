//! Versions that this process has read. They never change, so none is read twice while it is kept.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sequent_core::TenantId;

/// Versions that are kept, of at most about 100 KB each.
const CAPACITY: usize = 128;

type VersionKey = (TenantId, String, u32);

/// The contents of versions by tenant, definition and number.
#[derive(Debug)]
pub(crate) struct VersionCache<T>(Mutex<HashMap<VersionKey, Arc<T>>>);

impl<T> Default for VersionCache<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> VersionCache<T> {
    pub(crate) fn get(&self, tenant: TenantId, id: &str, version: u32) -> Option<Arc<T>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&(tenant, id.to_owned(), version)).cloned()
    }

    /// Keeps a version. A full cache is emptied first: a process works with few versions at a time.
    pub(crate) fn keep(&self, tenant: TenantId, id: &str, version: u32, content: T) -> Arc<T> {
        let content = Arc::new(content);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CAPACITY {
            kept.clear();
        }
        kept.insert((tenant, id.to_owned(), version), Arc::clone(&content));
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_bounded_and_keeps_tenants_apart() {
        let cache = VersionCache::default();
        let ada = TenantId::new();
        for version in 0..1_000 {
            cache.keep(ada, "support", version, version);
            assert_eq!(cache.get(ada, "support", version).as_deref(), Some(&version));
            assert_eq!(cache.get(TenantId::new(), "support", version), None);
        }
        assert!(cache.0.lock().unwrap().len() <= CAPACITY);
    }
}
