//! The rows of definitions, the same for agents and prompts: a head that moves, and versions that are written once.

mod versions;

use std::collections::BTreeMap;

use sequent_core::{TenantId, Timestamp};
use sequent_tables::{
    Cancelled, Condition, CursorKey, Key, Label, Page, PageRequest, Retry, Row, Store, Transaction, Update,
    Write, attribute, exists,
    key::{self, DefinitionKind},
};
use serde::{Deserialize, Serialize};

use crate::{DefinitionName, Error, NewVersion, head::Head};

pub use versions::LabelMove;

/// Agents of a tenant at most, and prompts.
pub const MAX_DEFINITIONS: u32 = 200;
/// Versions of a definition at most.
pub const MAX_VERSIONS: u32 = 1_000;
/// Labels of a definition at most.
pub const MAX_LABELS: u32 = 20;
/// Bytes of all versions of a tenant at most, agents and prompts together. A deleted definition leaves its versions.
pub const MAX_BYTES: u64 = 100_000_000;

/// Attribute of the settings that counts the bytes of versions.
const BYTES: &str = "bytes";

const HEAD: Label = Label::new("head");
const NAME: Label = Label::new("name");
const COUNT: Label = Label::new("count");
const VERSION: Label = Label::new("version");

/// The part of the settings that counts.
#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    bytes: u64,
}

/// The condition that the versions of the tenant have fewer bytes than they may have.
fn has_bytes() -> Condition {
    attribute(BYTES).is_none().or(attribute(BYTES).is_below(MAX_BYTES))
}

/// The definitions of one kind, of all tenants.
#[derive(Debug, Clone)]
pub(crate) struct Definitions {
    store: Store,
    kind: DefinitionKind,
}

/// The definition to create.
#[derive(Debug, Clone)]
pub(crate) struct NewHead<'a> {
    /// The id of an agent, or the name of a prompt.
    pub(crate) id: String,
    pub(crate) name: &'a DefinitionName,
    pub(crate) description: &'a str,
}

impl Definitions {
    pub(crate) const fn new(store: Store, kind: DefinitionKind) -> Self {
        Self { store, kind }
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn key(&self, tenant: TenantId, id: &str) -> Key {
        key::definition(tenant, self.kind, id)
    }

    /// Creates a definition with its first version. The name, the number of definitions and the number of the version are
    /// conditions of the one transaction.
    pub(crate) async fn create<T: Serialize>(
        &self,
        tenant: TenantId,
        new: NewHead<'_>,
        first: &NewVersion<T>,
        now: Timestamp,
    ) -> Result<Head, Error> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let version = self.next_version(tenant, &new.id).await?;
            let head = Head {
                id: new.id.clone(),
                name: new.name.clone(),
                description: new.description.to_owned(),
                latest_version: version,
                labels: BTreeMap::new(),
                user_id: first.user,
                created_at: now,
                updated_at: now,
            };
            let transaction = self.creation(tenant, &head, first)?;
            match self.store.commit_within(transaction, &mut tries).await {
                Ok(()) => return Ok(head),
                Err(cancelled) if cancelled.refused(NAME) || cancelled.refused(HEAD) => {
                    return Err(Error::NameTaken(self.kind));
                }
                Err(cancelled) if cancelled.refused(COUNT) => {
                    return Err(self.without_room(&cancelled));
                }
                // The name was used and freed since its last version was read.
                Err(cancelled) if cancelled.refused(VERSION) && tries.pause().await => {}
                Err(cancelled) => return Err(cancelled.into()),
            }
        }
    }

    fn creation<T: Serialize>(
        &self,
        tenant: TenantId,
        head: &Head,
        first: &NewVersion<T>,
    ) -> Result<Transaction, Error> {
        let counter = self.counter();
        let has_room = attribute(counter).is_none().or(attribute(counter).is_below(MAX_DEFINITIONS));
        let (version, bytes) = self.version_row(tenant, head, first, head.created_at)?;
        let count = Self::counted(tenant, bytes).add(counter, 1).when(has_room.and(has_bytes()));
        let transaction = Transaction::new()
            .write(Write::insert(Row::new(&self.key(tenant, &head.id), head)?))
            .label(HEAD)
            .write(count)
            .label(COUNT)
            .write(Write::insert(version))
            .label(VERSION);
        // The head of a prompt claims its name.
        Ok(match self.kind {
            DefinitionKind::Agent => transaction.write(Write::insert(self.claim(tenant, head)?)).label(NAME),
            DefinitionKind::Prompt => transaction,
        })
    }

    /// The update of the settings that counts the bytes of a version.
    fn counted(tenant: TenantId, bytes: usize) -> Update {
        Update::of(&key::definition_settings(tenant)).add(BYTES, i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    /// The error of a creation that the settings have refused.
    fn without_room(&self, cancelled: &Cancelled) -> Error {
        let counted: Option<Counted> = cancelled.found(COUNT);
        if counted.is_some_and(|counted| counted.bytes >= MAX_BYTES) {
            Error::TooManyBytes
        } else {
            Error::TooManyDefinitions(self.kind)
        }
    }

    /// The row that claims an agent's name.
    fn claim(&self, tenant: TenantId, head: &Head) -> Result<Row, Error> {
        let claim = BTreeMap::from([("agent_id", &head.id)]);
        Ok(Row::new(&key::agent_name(tenant, &head.name), &claim)?)
    }

    /// Attribute of the settings that counts the definitions.
    const fn counter(&self) -> &'static str {
        match self.kind {
            DefinitionKind::Agent => "agents",
            DefinitionKind::Prompt => "prompts",
        }
    }

    /// Reads a head. Returns `None` if there is none.
    pub(crate) async fn get(&self, tenant: TenantId, id: &str) -> Result<Option<Head>, Error> {
        Ok(self.store.get(&self.key(tenant, id)).await?)
    }

    pub(crate) async fn existing(&self, tenant: TenantId, id: &str) -> Result<Head, Error> {
        self.get(tenant, id).await?.ok_or(Error::not_found(self.kind))
    }

    /// Reads a page of heads: agents, the newest first, or prompts in the order of their names.
    pub(crate) async fn list(
        &self,
        tenant: TenantId,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Head>, Error> {
        let request = PageRequest::new(key::definitions(tenant, self.kind)).limit(limit);
        let request = match self.kind {
            DefinitionKind::Agent => request,
            DefinitionKind::Prompt => request.oldest_first(),
        };
        Ok(self.store.page(&request.cursor(cursors, cursor)?).await?)
    }

    /// Deletes the head, and with it the claim of an agent's name. The versions stay.
    pub(crate) async fn delete(&self, tenant: TenantId, id: &str) -> Result<(), Error> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let head = self.existing(tenant, id).await?;
            match self.store.commit_within(self.deletion(tenant, &head), &mut tries).await {
                Ok(()) => return Ok(()),
                // It was renamed or deleted since it was read.
                Err(cancelled) if cancelled.refused(HEAD) && tries.pause().await => {}
                Err(cancelled) => return Err(cancelled.into()),
            }
        }
    }

    fn deletion(&self, tenant: TenantId, head: &Head) -> Transaction {
        let delete = Write::delete(&self.key(tenant, &head.id)).when(attribute("name").equals(&head.name));
        let count = Update::of(&key::definition_settings(tenant)).add(self.counter(), -1).when(exists());
        let transaction = Transaction::new().write(delete).label(HEAD).write(count);
        match self.kind {
            DefinitionKind::Agent => transaction.write(Write::delete(&key::agent_name(tenant, &head.name))),
            DefinitionKind::Prompt => transaction,
        }
    }

    /// Gives an agent another name.
    pub(crate) async fn rename(
        &self,
        tenant: TenantId,
        id: &str,
        name: &DefinitionName,
        now: Timestamp,
    ) -> Result<Head, Error> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let head = self.existing(tenant, id).await?;
            if head.name == *name {
                return Ok(head);
            }
            let renamed = Head { name: name.clone(), updated_at: now, ..head.clone() };
            let update = Update::of(&self.key(tenant, id)).set("name", name).set("updated_at", now);
            let transaction = Transaction::new()
                .write(update.when(attribute("name").equals(&head.name)))
                .label(HEAD)
                .write(Write::insert(self.claim(tenant, &renamed)?))
                .label(NAME)
                .write(Write::delete(&key::agent_name(tenant, &head.name)));
            match self.store.commit_within(transaction, &mut tries).await {
                Ok(()) => return self.existing(tenant, id).await,
                Err(cancelled) if cancelled.refused(NAME) => return Err(Error::NameTaken(self.kind)),
                Err(cancelled) if cancelled.refused(HEAD) && tries.pause().await => {}
                Err(cancelled) => return Err(cancelled.into()),
            }
        }
    }
}
