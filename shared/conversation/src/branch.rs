//! Reading a branch of a conversation: the runs from the first to one of them, each of which continues the one before.
//!
//! The messages of all branches are in one list, sorted by the depth of their runs, and each names its lineage. A branch is
//! read by skipping the rows of the others. Runs that are not the first of a branch have its name, so the rows of a
//! conversation without branches need no further read.

use std::collections::{BTreeMap, BTreeSet};

use sequent_core::{ProjectId, RunId, TenantId};
use sequent_event::Lineage;
use sequent_tables::{InvalidCursor, Item, Key, Page, PageRequest, Store, attribute_of, key};

use crate::{
    Error, Message, Project,
    tree::{lineage_of, located},
};

/// Rows that are read first to find the runs of one depth: most depths have one run, and a run has few messages.
const ROWS_OF_DEPTH: u32 = 8;
/// Reads for one page of rows. A page has fewer rows than it could, or none, if the others are all of other branches.
const READS_OF_PAGE: usize = 20;

/// A branch of a conversation.
#[derive(Debug)]
pub(crate) struct Branch<'a> {
    store: &'a Store,
    tenant: TenantId,
    project: ProjectId,
    /// The last run of the branch.
    end: Option<RunId>,
    /// From the end to the beginning.
    stretches: Vec<Stretch>,
}

/// A page of the rows of a branch.
pub(crate) struct BranchPage {
    pub(crate) rows: Page<Item>,
    pub(crate) siblings: Siblings,
}

/// The runs of all branches at the depths of a page, with the runs that they continue.
#[derive(Debug, Default)]
pub(crate) struct Siblings(BTreeMap<u32, BTreeMap<RunId, Option<RunId>>>);

impl Siblings {
    fn add(&mut self, row: &Item) {
        let key = Key::of_item(row);
        let Some((depth, run, _)) = key.as_ref().and_then(key::parse_message) else { return };
        self.0.entry(depth).or_default().insert(run, lineage(row).after);
    }

    /// Returns all runs that continue the same run as one with this lineage, oldest first. Returns none if there is only one.
    pub(crate) fn of(&self, lineage: Lineage) -> Vec<RunId> {
        let at_depth = self.0.get(&lineage.depth).into_iter().flatten();
        let runs: Vec<RunId> =
            at_depth.filter(|(_, after)| **after == lineage.after).map(|(run, _)| *run).collect();
        if runs.len() > 1 { runs } else { Vec::new() }
    }
}

/// Runs of one name, with these depths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    branch: Option<RunId>,
    from: u32,
    to: u32,
}

impl<'a> Branch<'a> {
    /// The branch that ends with the head of the project.
    pub(crate) async fn of_head(
        store: &'a Store,
        tenant: TenantId,
        project: &Project,
    ) -> Result<Branch<'a>, Error> {
        Self::before(store, tenant, project.id, project.next).await
    }

    /// The branch of this run to its end: the runs that it continues, the run, and the newest of those that continue it.
    pub(crate) async fn through(
        store: &'a Store,
        tenant: TenantId,
        project: &Project,
        run: RunId,
    ) -> Result<Branch<'a>, Error> {
        let lineage = located(store, tenant, project, run).await?;
        let next = next_of_newest(store, tenant, project.id, lineage.next(run)).await?;
        Self::before(store, tenant, project.id, next).await
    }

    /// The runs that a run with this lineage continues.
    pub(crate) async fn before(
        store: &'a Store,
        tenant: TenantId,
        project: ProjectId,
        lineage: Lineage,
    ) -> Result<Branch<'a>, Error> {
        let mut stretches = Vec::new();
        let mut rest = lineage;
        while let Some(to) = rest.depth.checked_sub(1) {
            let branch = rest.branch;
            rest = match branch {
                None => Lineage::default(),
                Some(first) => lineage_of(store, tenant, first).await?,
            };
            stretches.push(Stretch { branch, from: rest.depth, to });
        }
        Ok(Self { store, tenant, project, end: lineage.after, stretches })
    }

    /// The branch of a list at this position, and the sort key at which the list continues. All pages of a list show the branch
    /// of the first, also if the head moves meanwhile.
    pub(crate) async fn at(
        store: &'a Store,
        tenant: TenantId,
        project: ProjectId,
        position: &str,
    ) -> Result<(Branch<'a>, String), Error> {
        let (end, sort_key) = position.split_once('/').ok_or(InvalidCursor)?;
        let end: RunId = end.parse().map_err(|_| InvalidCursor)?;
        let next = lineage_of(store, tenant, end).await?.next(end);
        Ok((Self::before(store, tenant, project, next).await?, sort_key.to_owned()))
    }

    /// The position after the row with this sort key in the list of the branch: see [`at`](Self::at).
    pub(crate) fn position(&self, sort_key: &str) -> String {
        let end = self.end.map(|end| end.to_string()).unwrap_or_default();
        format!("{end}/{sort_key}")
    }

    /// The runs that began the branches which this one consists of. Their rows lead to its beginning.
    pub(crate) fn beginners(&self) -> impl Iterator<Item = RunId> {
        self.stretches.iter().filter_map(|stretch| stretch.branch)
    }

    /// Reads the latest `limit` messages, oldest of them first.
    pub(crate) async fn latest(&self, limit: u32) -> Result<Vec<Message>, Error> {
        let Some(end) = self.stretches.first() else { return Ok(Vec::new()) };
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let list = PageRequest::new(key::messages(self.tenant, self.project)).limit(Some(limit));
        let mut found: Vec<Message> = Vec::new();
        let mut next = Some(key::depth_prefix(end.to + 1));
        while let Some(position) = next.filter(|_| found.len() < most) {
            let page: Page<Message> = self.store.page(&list.clone().after(position)).await?;
            next = page.last_key().map(str::to_owned);
            found.extend(page.items.into_iter().filter(|row| self.has(row.run_id, row.lineage)));
        }
        found.truncate(most);
        found.reverse();
        Ok(found)
    }

    /// Reads a page of the rows, oldest first. `list` says where the page begins.
    pub(crate) async fn page(&self, list: PageRequest, limit: Option<u32>) -> Result<BranchPage, Error> {
        let mut siblings = Siblings::default();
        let rows = self.rows(list, limit, &mut siblings).await?;
        // The page may begin and end between the rows of one depth.
        let keys = [rows.items.first(), rows.items.last()].map(|row| row.and_then(Key::of_item));
        let depths = keys.iter().flatten().filter_map(key::parse_message).map(|(depth, ..)| depth);
        for depth in BTreeSet::from_iter(depths) {
            self.add_siblings(depth, &mut siblings).await?;
        }
        Ok(BranchPage { rows, siblings })
    }

    /// Adds all runs of this depth.
    async fn add_siblings(&self, depth: u32, siblings: &mut Siblings) -> Result<(), Error> {
        let mut list = PageRequest::new(key::messages(self.tenant, self.project)).oldest_first();
        list = list.limit(Some(ROWS_OF_DEPTH));
        let prefix = key::depth_prefix(depth);
        let mut next = Some(prefix.clone());
        while let Some(position) = next {
            let page = self.store.page_items(&list.clone().after(position)).await?;
            list = list.limit(Some(PageRequest::MAX_LIMIT));
            page.items.iter().for_each(|row| siblings.add(row));
            next = page.last_key().filter(|key| key.starts_with(&prefix)).map(str::to_owned);
        }
        Ok(())
    }

    /// Reads a page of the rows. Adds the runs of all rows that were read to `siblings`.
    pub(crate) async fn rows(
        &self,
        list: PageRequest,
        limit: Option<u32>,
        siblings: &mut Siblings,
    ) -> Result<Page<Item>, Error> {
        let limit = limit.unwrap_or(PageRequest::DEFAULT_LIMIT).clamp(1, PageRequest::MAX_LIMIT);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut rows: Vec<Item> = Vec::new();
        let mut list = list.oldest_first();
        let mut reads = 0;
        loop {
            reads += 1;
            let mut page = self.store.page_items(&list).await?;
            let items = std::mem::take(&mut page.items);
            items.iter().for_each(|row| siblings.add(row));
            let is_past = items.last().and_then(Key::of_item).is_some_and(|key| self.is_before(&key));
            rows.extend(items.into_iter().filter(|row| self.has_row(row)));
            if rows.len() > limit {
                rows.truncate(limit);
                let last = rows.last().and_then(Key::of_item);
                let page = page.with_items(rows);
                return Ok(match last {
                    Some(last) => page.ending_with(&last),
                    None => page,
                });
            }
            match page.last_key().filter(|_| !is_past) {
                None => return Ok(page.with_items(rows).at_end()),
                Some(_) if rows.len() == limit || reads == READS_OF_PAGE => return Ok(page.with_items(rows)),
                Some(next) => list = list.limit(Some(PageRequest::MAX_LIMIT)).after(next),
            }
        }
    }

    /// Returns `true` if the branch ends before the row with this key.
    fn is_before(&self, key: &Key) -> bool {
        let depth = key::parse_message(key).map(|(depth, ..)| depth);
        self.stretches.first().is_none_or(|end| depth.is_some_and(|depth| depth > end.to))
    }

    fn has_row(&self, row: &Item) -> bool {
        let key = Key::of_item(row);
        let run = key.and_then(|key| key::parse_message(&key)).map(|(_, run, _)| run);
        run.is_some_and(|run| self.has(run, lineage(row)))
    }

    fn has(&self, run: RunId, lineage: Lineage) -> bool {
        let branch = lineage.branch_of(run);
        let mut stretches = self.stretches.iter();
        stretches
            .any(|stretch| stretch.branch == branch && (stretch.from..=stretch.to).contains(&lineage.depth))
    }
}

fn lineage(row: &Item) -> Lineage {
    attribute_of(row, "lineage").unwrap_or_default()
}

/// Follows the newest run that continues each one, from one whose successors have this lineage. Returns the lineage of a
/// successor of the last.
async fn next_of_newest(
    store: &Store,
    tenant: TenantId,
    project: ProjectId,
    mut next: Lineage,
) -> Result<Lineage, Error> {
    let list =
        PageRequest::new(key::messages(tenant, project)).oldest_first().limit(Some(PageRequest::MAX_LIMIT));
    let mut position = Some(key::depth_prefix(next.depth));
    // The newest run so far that continues the same one as `next`.
    let mut newest: Option<Lineage> = None;
    while let Some(after) = position {
        let page = store.page_items(&list.clone().after(after)).await?;
        for row in &page.items {
            let key = Key::of_item(row);
            let Some((depth, run, _)) = key.as_ref().and_then(key::parse_message) else { continue };
            if depth > next.depth {
                match newest.take() {
                    Some(successor) => next = successor,
                    None => return Ok(next),
                }
            }
            let lineage = lineage(row);
            if depth == next.depth && lineage.after == next.after {
                newest = Some(lineage.next(run));
            }
        }
        position = page.last_key().map(str::to_owned);
    }
    Ok(newest.unwrap_or(next))
}
