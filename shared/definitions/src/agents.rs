//! The agents of all tenants: created, listed, renamed, deleted, and their versions.

use std::{collections::BTreeMap, sync::Arc};

use sequent_core::{AgentId, TenantId, Timestamp, UserId};
use sequent_event::RunAgent;
use sequent_tables::{
    CursorKey, Page, Store,
    key::{self, DefinitionKind},
};
use serde::{Deserialize, Serialize};

use crate::{
    AgentDefinition, AgentKey, DefinitionName, Error, NewVersion, Prompts, VersionLabel, VersionSummary,
    cache::VersionCache,
    check::{self, Findings},
    default_agent::RecentDefaults,
    head::Head,
    registry::{Definitions, LabelMove, NewHead},
    template::{self, Flaw},
};

/// An agent, without the content of its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Agent {
    /// The id, which never changes.
    pub id: AgentId,
    /// The name, unique among the agents of the tenant.
    #[cfg_attr(feature = "openapi", schema(example = "support"))]
    pub name: DefinitionName,
    /// The description in the latest version.
    pub description: String,
    /// The number of the latest version.
    pub latest_version: u32,
    /// The versions with a label. A run that asks for no version has that with the label `production`, or the latest one.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u32>))]
    pub labels: BTreeMap<VersionLabel, u32>,
    /// The user who created it.
    pub user_id: UserId,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time of its last change.
    pub updated_at: Timestamp,
}

/// A version of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentVersion {
    /// Its number, its author and its note.
    #[serde(flatten)]
    pub summary: VersionSummary,
    /// The content, which never changes.
    pub definition: AgentDefinition,
}

/// An agent to create.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "plain data")]
pub struct NewAgent {
    pub name: DefinitionName,
    /// The content of its first version.
    pub version: NewVersion<AgentDefinition>,
}

/// The agents of all tenants. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Agents {
    registry: Definitions,
    prompts: Prompts,
    read: Arc<VersionCache<AgentDefinition>>,
    pub(crate) defaults: Arc<RecentDefaults>,
}

impl Agents {
    /// The agents in `store`.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let registry = Definitions::new(store.clone(), DefinitionKind::Agent);
        Self { registry, prompts: Prompts::new(store), read: Arc::default(), defaults: Arc::default() }
    }

    /// The prompts that agents can include.
    #[must_use]
    pub const fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    pub(crate) const fn store(&self) -> &Store {
        self.registry.store()
    }

    /// Creates an agent with its first version.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::TooManyDefinitions`], [`Error::Invalid`], [`Error::Template`], an error of a prompt that the
    /// version names, or when the table fails.
    pub async fn create(&self, tenant: TenantId, new: &NewAgent, now: Timestamp) -> Result<Agent, Error> {
        self.check(tenant, &new.version).await?;
        let id = AgentId::new().to_string();
        let head = NewHead { id, name: &new.name, description: &new.version.content.description };
        self.registry.create(tenant, head, &new.version, now).await?.try_into()
    }

    /// Lists the agents of a tenant, the newest first.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn list(
        &self,
        tenant: TenantId,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Agent>, Error> {
        let page = self.registry.list(tenant, cursors, cursor, limit).await?;
        let agents = page.items.iter().cloned().map(Agent::try_from).collect::<Result<_, _>>()?;
        Ok(page.with_items(agents))
    }

    /// Reads an agent by its id or its name.
    ///
    /// # Errors
    /// [`Error::AgentNotFound`], or when the table fails.
    pub async fn get(&self, tenant: TenantId, agent: &AgentKey) -> Result<Agent, Error> {
        self.head(tenant, agent).await?.try_into()
    }

    /// Reads the row of an agent. A name may be given to another agent between its two reads.
    pub(crate) async fn head(&self, tenant: TenantId, agent: &AgentKey) -> Result<Head, Error> {
        let id = self.id(tenant, agent).await?;
        let head = self.registry.existing(tenant, &id.to_string()).await?;
        match agent {
            AgentKey::Name(name) if head.name != *name => Err(Error::AgentNotFound),
            AgentKey::Name(_) | AgentKey::Id(_) => Ok(head),
        }
    }

    async fn id(&self, tenant: TenantId, agent: &AgentKey) -> Result<AgentId, Error> {
        #[derive(Deserialize)]
        struct NameClaim {
            agent_id: AgentId,
        }
        match agent {
            AgentKey::Id(id) => Ok(*id),
            AgentKey::Name(name) => {
                let claim: Option<NameClaim> = self.store().get(&key::agent_name(tenant, name)).await?;
                claim.map(|claim| claim.agent_id).ok_or(Error::AgentNotFound)
            }
        }
    }

    /// Gives an agent another name.
    ///
    /// # Errors
    /// [`Error::AgentNotFound`], [`Error::NameTaken`], or when the table fails.
    pub async fn rename(
        &self,
        tenant: TenantId,
        agent: &AgentKey,
        name: &DefinitionName,
        now: Timestamp,
    ) -> Result<Agent, Error> {
        let id = self.id(tenant, agent).await?.to_string();
        self.registry.rename(tenant, &id, name, now).await?.try_into()
    }

    /// Deletes an agent: its name is free, and no route shows it. Its versions stay for the runs that were made with them.
    ///
    /// # Errors
    /// [`Error::AgentNotFound`], or when the table fails.
    pub async fn delete(&self, tenant: TenantId, agent: &AgentKey) -> Result<(), Error> {
        let id = self.id(tenant, agent).await?.to_string();
        self.registry.delete(tenant, &id).await
    }

    /// Adds a version and makes it the latest. Labels stay where they are.
    ///
    /// # Errors
    /// [`Error::AgentNotFound`], [`Error::TooManyVersions`], those of [`create`](Self::create) that are about the version, or when
    /// the table fails.
    pub async fn add_version(
        &self,
        tenant: TenantId,
        agent: &AgentKey,
        new: &NewVersion<AgentDefinition>,
        now: Timestamp,
    ) -> Result<Agent, Error> {
        let id = self.id(tenant, agent).await?.to_string();
        self.registry.existing(tenant, &id).await?;
        self.check(tenant, new).await?;
        self.registry.add_version(tenant, &id, &new.content.description, new, now).await?.try_into()
    }

    /// Lists the versions of an agent, the newest first.
    ///
    /// # Errors
    /// [`Error::AgentNotFound`], [`Error::Cursor`], or when the table fails.
    pub async fn versions(
        &self,
        tenant: TenantId,
        agent: &AgentKey,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<VersionSummary>, Error> {
        let id = self.id(tenant, agent).await?.to_string();
        self.registry.versions(tenant, &id, cursors, cursor, limit).await
    }

    /// Reads a version of an agent that exists, with its author and its note.
    ///
    /// # Errors
    /// [`Error::AgentNotFound`], [`Error::VersionNotFound`], or when the table fails.
    pub async fn shown_version(
        &self,
        tenant: TenantId,
        agent: &AgentKey,
        version: u32,
    ) -> Result<AgentVersion, Error> {
        let head = self.head(tenant, agent).await?;
        let row = self.registry.version(tenant, &head.id, version).await?;
        let row = row.ok_or(Error::VersionNotFound(version))?;
        Ok(AgentVersion { definition: row.content()?, summary: row.summary })
    }

    /// Returns a version, also of an agent that was deleted. A process reads it once.
    ///
    /// # Errors
    /// [`Error::VersionNotFound`], or when the table fails.
    pub async fn version(
        &self,
        tenant: TenantId,
        id: AgentId,
        version: u32,
    ) -> Result<Arc<AgentDefinition>, Error> {
        let id = id.to_string();
        if let Some(read) = self.read.get(tenant, &id, version) {
            return Ok(read);
        }
        let row =
            self.registry.version(tenant, &id, version).await?.ok_or(Error::VersionNotFound(version))?;
        Ok(self.read.keep(tenant, &id, version, row.content()?))
    }

    /// Moves a label to a version if it has the version `expected`, or if it does not exist and `expected` is `None`. A label that
    /// has the version already stays.
    ///
    /// # Errors
    /// [`Error::AgentNotFound`], [`Error::VersionNotFound`], [`Error::LabelMoved`], [`Error::TooManyLabels`], or when the table
    /// fails.
    pub async fn set_label(
        &self,
        tenant: TenantId,
        agent: &AgentKey,
        label: &VersionLabel,
        to: LabelMove,
        now: Timestamp,
    ) -> Result<Agent, Error> {
        let id = self.id(tenant, agent).await?.to_string();
        self.registry.set_label(tenant, &id, label, to, now).await?.try_into()
    }

    /// Removes a label, whatever its version is.
    ///
    /// # Errors
    /// [`Error::AgentNotFound`], [`Error::LabelNotFound`], or when the table fails.
    pub async fn remove_label(
        &self,
        tenant: TenantId,
        agent: &AgentKey,
        label: &VersionLabel,
        now: Timestamp,
    ) -> Result<Agent, Error> {
        let id = self.id(tenant, agent).await?.to_string();
        self.registry.remove_label(tenant, &id, label, now).await?.try_into()
    }

    /// Renders the instructions of the agent that a run has recorded. The persona introduces them.
    ///
    /// # Errors
    /// [`Error::VersionNotFound`], [`Error::NotRendered`] if a prompt or a value is missing, or when the table fails.
    pub async fn instructions(&self, tenant: TenantId, agent: &RunAgent) -> Result<String, Error> {
        let definition = self.version(tenant, agent.id, agent.version).await?;
        let texts = self.prompts.texts(tenant, &agent.prompts).await?;
        let texts = texts.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let rendered = template::render(&definition.instructions, texts, &agent.variables);
        Ok(definition.persona.introduce(rendered.map_err(not_rendered)?))
    }

    /// Checks a version with the prompts that it has now.
    async fn check(&self, tenant: TenantId, new: &NewVersion<AgentDefinition>) -> Result<(), Error> {
        let definition = &new.content;
        let mut findings = Findings::default();
        findings.text(new.change.as_deref().unwrap_or_default(), check::MAX_CHANGE, "/change");
        findings.finish()?;
        check::check(definition)?;
        let prompts = self.prompts.resolve(tenant, &definition.prompts).await?;
        let texts = self.prompts.texts(tenant, &prompts).await?;
        check::templates(definition, &texts)
    }
}

fn not_rendered(flaw: Flaw) -> Error {
    let at = flaw.line.map(|line| format!(" (line {line})")).unwrap_or_default();
    Error::NotRendered(format!("{}{at}", flaw.detail))
}

impl TryFrom<Head> for Agent {
    type Error = Error;

    fn try_from(head: Head) -> Result<Self, Error> {
        let Head { id, name, description, latest_version, labels, user_id, created_at, updated_at } = head;
        // An id that is none cannot be read from a row that this crate wrote.
        let id = id.parse().map_err(|_| Error::AgentNotFound)?;
        Ok(Self { id, name, description, latest_version, labels, user_id, created_at, updated_at })
    }
}
