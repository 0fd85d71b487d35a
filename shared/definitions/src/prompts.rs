//! The prompts of all tenants: templates that agents include.

use std::{collections::BTreeMap, sync::Arc};

use sequent_core::{TenantId, Timestamp, UserId};
use sequent_event::PromptVersion as RecordedVersion;
use sequent_tables::{CursorKey, Page, Store, key::DefinitionKind};
use serde::{Deserialize, Serialize};

use crate::{
    DefinitionName, DiffLine, Error, NewVersion, PromptReference, Selector, VersionLabel, VersionSummary,
    cache::VersionCache,
    check::{self, Findings},
    difference,
    head::Head,
    registry::{Definitions, LabelMove, NewHead},
    service_prompt,
    template::{self, Flaw},
};

/// A prompt, without the text of its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NamedPrompt {
    /// The name, which never changes.
    #[cfg_attr(feature = "openapi", schema(example = "house-style"))]
    pub name: DefinitionName,
    /// The number of the latest version.
    pub latest_version: u32,
    /// The versions with a label. An agent that asks for no version has that with the label `production`, or the latest one.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u32>))]
    pub labels: BTreeMap<VersionLabel, u32>,
    /// The user who created it.
    pub user_id: UserId,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time of its last change.
    pub updated_at: Timestamp,
}

/// A version of a prompt with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PromptTemplate {
    /// Its number, its author and its note.
    #[serde(flatten)]
    pub summary: VersionSummary,
    /// The text: a template in the language of an agent's instructions, without includes.
    pub template: String,
    /// The variables that the text uses.
    pub variables: Vec<String>,
}

/// A prompt to create.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "plain data")]
pub struct NewPrompt {
    pub name: DefinitionName,
    /// The first version, a template.
    pub version: NewVersion<String>,
}

/// The prompts of all tenants. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Prompts {
    registry: Definitions,
    read: Arc<VersionCache<String>>,
}

impl Prompts {
    pub(crate) fn new(store: Store) -> Self {
        Self { registry: Definitions::new(store, DefinitionKind::Prompt), read: Arc::default() }
    }

    /// Creates a prompt with its first version. A prompt of this name that was deleted has left versions; their numbers are
    /// continued.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::TooManyDefinitions`], [`Error::Invalid`], [`Error::Template`], or when the table fails.
    pub async fn create(
        &self,
        tenant: TenantId,
        new: &NewPrompt,
        now: Timestamp,
    ) -> Result<NamedPrompt, Error> {
        check_version(&new.name, &new.version)?;
        let head = NewHead { id: new.name.to_string(), name: &new.name, description: "" };
        Ok(self.registry.create(tenant, head, &new.version, now).await?.into())
    }

    /// Lists the prompts of a tenant by name.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn list(
        &self,
        tenant: TenantId,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<NamedPrompt>, Error> {
        Ok(self.registry.list(tenant, cursors, cursor, limit).await?.map(NamedPrompt::from))
    }

    /// Reads a prompt by its name.
    ///
    /// # Errors
    /// [`Error::PromptNotFound`], or when the table fails.
    pub async fn get(&self, tenant: TenantId, name: &DefinitionName) -> Result<NamedPrompt, Error> {
        Ok(self.registry.existing(tenant, name.as_str()).await?.into())
    }

    /// Deletes a prompt: no agent can be chosen that names it without a version. Its versions stay for the runs that were made
    /// with them.
    ///
    /// # Errors
    /// [`Error::PromptNotFound`], or when the table fails.
    pub async fn delete(&self, tenant: TenantId, name: &DefinitionName) -> Result<(), Error> {
        self.registry.delete(tenant, name.as_str()).await
    }

    /// Adds a version and makes it the latest. Labels stay where they are.
    ///
    /// # Errors
    /// [`Error::PromptNotFound`], [`Error::TooManyVersions`], [`Error::Invalid`], [`Error::Template`], or when the table fails.
    pub async fn add_version(
        &self,
        tenant: TenantId,
        name: &DefinitionName,
        new: &NewVersion<String>,
        now: Timestamp,
    ) -> Result<NamedPrompt, Error> {
        check_version(name, new)?;
        Ok(self.registry.add_version(tenant, name.as_str(), "", new, now).await?.into())
    }

    /// Lists the versions of a prompt, the newest first.
    ///
    /// # Errors
    /// [`Error::PromptNotFound`], [`Error::Cursor`], or when the table fails.
    pub async fn versions(
        &self,
        tenant: TenantId,
        name: &DefinitionName,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<VersionSummary>, Error> {
        self.registry.versions(tenant, name.as_str(), cursors, cursor, limit).await
    }

    /// Reads a version of a prompt that exists.
    ///
    /// # Errors
    /// [`Error::PromptNotFound`], [`Error::VersionNotFound`], or when the table fails.
    pub async fn version(
        &self,
        tenant: TenantId,
        name: &DefinitionName,
        version: u32,
    ) -> Result<PromptTemplate, Error> {
        self.registry.existing(tenant, name.as_str()).await?;
        let row = self.registry.version(tenant, name.as_str(), version).await?;
        let row = row.ok_or(Error::VersionNotFound(version))?;
        let template: String = row.content()?;
        let variables = template::parse(&template).map(|outline| outline.variables.into_keys().collect());
        Ok(PromptTemplate { summary: row.summary, template, variables: variables.unwrap_or_default() })
    }

    /// Compares two versions of a prompt, line by line.
    ///
    /// # Errors
    /// As [`version`](Self::version).
    pub async fn diff(
        &self,
        tenant: TenantId,
        name: &DefinitionName,
        from: u32,
        to: u32,
    ) -> Result<Vec<DiffLine>, Error> {
        let from = self.version(tenant, name, from).await?;
        let to = self.version(tenant, name, to).await?;
        Ok(difference::lines(&from.template, &to.template))
    }

    /// Moves a label, as [`Agents::set_label`](crate::Agents::set_label) does.
    ///
    /// # Errors
    /// [`Error::PromptNotFound`], [`Error::VersionNotFound`], [`Error::LabelMoved`], [`Error::TooManyLabels`], or when the table
    /// fails.
    pub async fn set_label(
        &self,
        tenant: TenantId,
        name: &DefinitionName,
        label: &VersionLabel,
        to: LabelMove,
        now: Timestamp,
    ) -> Result<NamedPrompt, Error> {
        Ok(self.registry.set_label(tenant, name.as_str(), label, to, now).await?.into())
    }

    /// Removes a label, whatever its version is.
    ///
    /// # Errors
    /// [`Error::PromptNotFound`], [`Error::LabelNotFound`], or when the table fails.
    pub async fn remove_label(
        &self,
        tenant: TenantId,
        name: &DefinitionName,
        label: &VersionLabel,
        now: Timestamp,
    ) -> Result<NamedPrompt, Error> {
        Ok(self.registry.remove_label(tenant, name.as_str(), label, now).await?.into())
    }

    /// Finds the versions that references mean now.
    pub(crate) async fn resolve(
        &self,
        tenant: TenantId,
        references: &[PromptReference],
    ) -> Result<Vec<RecordedVersion>, Error> {
        let mut versions = Vec::with_capacity(references.len());
        for reference in references {
            let head = self.registry.existing(tenant, reference.name.as_str()).await?;
            let version = reference.version.select(&head)?;
            versions.push(RecordedVersion { name: reference.name.to_string(), version });
        }
        Ok(versions)
    }

    /// Reads the version of a prompt that is used where none is asked for, with its text. Returns `None` if the tenant has no
    /// such prompt.
    pub(crate) async fn released(
        &self,
        tenant: TenantId,
        name: &str,
    ) -> Result<Option<(u32, Arc<String>)>, Error> {
        let Some(head) = self.registry.get(tenant, name).await? else { return Ok(None) };
        let version = Selector::Released.select(&head)?;
        Ok(Some((version, self.text(tenant, name, version).await?)))
    }

    /// Reads the texts of versions, also of prompts that were deleted. A process reads each once.
    pub(crate) async fn texts(
        &self,
        tenant: TenantId,
        versions: &[RecordedVersion],
    ) -> Result<Vec<(String, Arc<String>)>, Error> {
        let mut texts = Vec::with_capacity(versions.len());
        for RecordedVersion { name, version } in versions {
            texts.push((name.clone(), self.text(tenant, name, *version).await?));
        }
        Ok(texts)
    }

    async fn text(&self, tenant: TenantId, name: &str, version: u32) -> Result<Arc<String>, Error> {
        if let Some(read) = self.read.get(tenant, name, version) {
            return Ok(read);
        }
        let row =
            self.registry.version(tenant, name, version).await?.ok_or(Error::VersionNotFound(version))?;
        Ok(self.read.keep(tenant, name, version, row.content()?))
    }
}

fn check_version(name: &DefinitionName, new: &NewVersion<String>) -> Result<(), Error> {
    let mut findings = Findings::default();
    findings.text(new.change.as_deref().unwrap_or_default(), check::MAX_CHANGE, "/change");
    let is_short = new.content.len() <= check::MAX_TEMPLATE;
    findings.require(is_short, "/template", format!("must have at most {} bytes", check::MAX_TEMPLATE));
    findings.finish()?;
    let outline = template::parse(&new.content).map_err(|flaw| check::in_template("/template", flaw))?;
    match outline.includes.values().next() {
        None => service_prompt::check(name, &new.content, &outline),
        Some(line) => {
            let detail = "must not include another prompt".to_owned();
            Err(check::in_template("/template", Flaw { line: Some(*line), detail }))
        }
    }
}

impl From<Head> for NamedPrompt {
    fn from(head: Head) -> Self {
        let Head { name, latest_version, labels, user_id, created_at, updated_at, .. } = head;
        Self { name, latest_version, labels, user_id, created_at, updated_at }
    }
}
