//! Reading and changing the projects of a tenant.

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::{ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_tables::{
    Cancelled, Change, CursorKey, Error as DataError, InvalidCursor, Page, PageRequest, Reason, Row, Store,
    Transaction, key,
};

use crate::{Message, Name, Project};

/// A project operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such project.
    #[error("no such project")]
    NotFound,
    /// A run answers in the project right now.
    #[error("{0} is answering in this project")]
    Live(RunId),
    /// The cursor is not one of this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The table failed.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// The projects of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Projects<'a> {
    store: &'a Store,
    tenant: TenantId,
}

impl<'a> Projects<'a> {
    /// The projects of `tenant`, which comes from a verified credential.
    #[must_use]
    pub fn new(store: &'a Store, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// A new, empty project.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn create(self, user: UserId, name: Name, now: Timestamp) -> Result<Project, Error> {
        let id = ProjectId::new();
        let project =
            Project { id, name, user_id: user, created_at: now, updated_at: now, live_run_id: None };
        self.store.insert(Row::new(&key::project(self.tenant, id), &project)?).await?;
        Ok(project)
    }

    /// One project.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the table fails.
    pub async fn get(self, id: ProjectId) -> Result<Project, Error> {
        self.store.get(&key::project(self.tenant, id)).await?.ok_or(Error::NotFound)
    }

    /// A page of the projects, newest first.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn list(
        self,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Project>, Error> {
        let request = PageRequest::new(key::projects(self.tenant)).limit(limit).cursor(cursors, cursor)?;
        Ok(self.store.page(&request).await?)
    }

    /// Renames a project.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the table fails.
    pub async fn rename(self, id: ProjectId, name: Name, now: Timestamp) -> Result<Project, Error> {
        let output = self
            .store
            .client()
            .update_item()
            .table_name(&*self.store.tables().main)
            .set_key(Some(key::project(self.tenant, id).attributes()))
            .update_expression("SET #name = :name, updated_at = :now")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#name", "name")
            .expression_attribute_values(":name", Value::S(name.as_str().to_owned()))
            .expression_attribute_values(":now", Value::S(now.to_string()))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew)
            .send()
            .await
            .map_err(sequent_tables::classify);
        match output {
            Ok(output) => {
                let item = output.attributes.ok_or(Error::NotFound)?;
                Ok(serde_dynamo::from_item(item).map_err(DataError::from)?)
            }
            Err(DataError::Conflict(_)) => Err(Error::NotFound),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a project and its messages. The logs and rows of its runs stay: they are the tenant's record of what
    /// was done and what it cost.
    ///
    /// # Errors
    /// [`Error::Live`] while a run answers in it, [`Error::NotFound`], or when the table fails.
    pub async fn delete(self, id: ProjectId) -> Result<(), Error> {
        let change = Change {
            update: "SET deleting = :yes".to_owned(),
            condition: Some(
                "attribute_exists(pk) AND (attribute_not_exists(live_run_id) OR live_run_id = :none)"
                    .to_owned(),
            ),
            values: vec![(":yes", Value::Bool(true)), (":none", Value::Null(true))],
            ..Change::default()
        };
        // First the mark, under a condition, so that no run can start while the messages go.
        let marked = Transaction::new()
            .update(self.store, &key::project(self.tenant, id), change)
            .run(self.store)
            .await;
        match marked {
            Ok(()) => {}
            Err(Cancelled::Failed(error)) => return Err(error.into()),
            Err(Cancelled::Reasons(reasons)) => {
                let Some(Reason::Condition(Some(item))) = reasons.into_iter().next() else {
                    return Err(Error::NotFound);
                };
                let project: Project = serde_dynamo::from_item(*item).map_err(DataError::from)?;
                return Err(project.live_run_id.map_or(Error::NotFound, Error::Live));
            }
        }
        loop {
            let request =
                PageRequest::new(key::messages(self.tenant, id)).limit(Some(PageRequest::MAX_LIMIT));
            let page = self.store.page_items(&request).await?;
            if page.items.is_empty() {
                break;
            }
            let transaction = page
                .items
                .iter()
                .filter_map(sequent_tables::Key::of_item)
                .fold(Transaction::new(), |transaction, key| transaction.delete(self.store, &key));
            transaction.run(self.store).await.map_err(|cancelled| match cancelled {
                Cancelled::Failed(error) => error,
                Cancelled::Reasons(_) => DataError::Throttled,
            })?;
        }
        Ok(self.store.delete(&key::project(self.tenant, id)).await?)
    }

    /// A page of a project's messages, oldest first.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Cursor`], or when the table fails.
    pub async fn messages(
        self,
        id: ProjectId,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Message>, Error> {
        self.get(id).await?;
        let request = PageRequest::new(key::messages(self.tenant, id)).oldest_first().limit(limit);
        Ok(self.store.page(&request.cursor(cursors, cursor)?).await?)
    }

    /// The first `limit` messages, oldest first: what the conversation is about.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn first_messages(self, id: ProjectId, limit: u32) -> Result<Vec<Message>, Error> {
        let request = PageRequest::new(key::messages(self.tenant, id)).oldest_first().limit(Some(limit));
        Ok(self.store.page(&request).await?.items)
    }

    /// The latest `limit` messages, oldest of them first: what a model is told of the conversation.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn latest_messages(self, id: ProjectId, limit: u32) -> Result<Vec<Message>, Error> {
        let request = PageRequest::new(key::messages(self.tenant, id)).limit(Some(limit));
        let mut page: Page<Message> = self.store.page(&request).await?;
        page.items.reverse();
        Ok(page.items)
    }
}
