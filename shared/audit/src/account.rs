//! Adding up the ledger of a tenant, and comparing its holds, or those of its quota, with their runs.

use std::collections::BTreeMap;

use sequent_billing::{Account, Ledger, LedgerAccount, Posting, Quota};
use sequent_conversation::SettleRun;
use sequent_core::{MicroCredits, RunId, TenantId};
use sequent_tables::{CursorKey, PageRequest, key};

use crate::{
    Finding, FindingKind,
    auditor::{Comparison, Error, Evidence},
    job,
    project::held_in_vain,
};

/// Reads of an account that changes while its ledger is added up.
const TRIES: usize = 3;
/// Pages of a ledger that are added up: 50,000 postings.
const PAGES: usize = 500;
/// The subject of findings about an account. A tenant has one.
pub(crate) const SUBJECT: &str = "account";

/// Sums of a ledger by its accounts.
#[derive(Debug, Default)]
struct Sums {
    by_account: BTreeMap<LedgerAccount, MicroCredits>,
    /// A posting whose entries do not sum to zero.
    unbalanced: Option<String>,
}

pub(crate) async fn comparison(evidence: Evidence<'_>, tenant: TenantId) -> Result<Comparison, Error> {
    let Some(account) = account(evidence, tenant).await? else { return Ok(Comparison::default()) };
    let mut findings = holds(evidence, tenant, &account.holds).await?;
    let mut reasons = contradictions(&account);
    let mut is_unchecked = false;
    if evidence.adds_up_ledgers {
        match differences(evidence, tenant, account).await? {
            Some(differences) => reasons.extend(differences),
            None => {
                tracing::warn!(%tenant, "could not add up a ledger: it is too long, changes all the time, or the time is over");
                is_unchecked = true;
            }
        }
    }
    let reasons = reasons.into_iter();
    findings.extend(reasons.map(|reason| Finding::new(FindingKind::LedgerDiffers, tenant, SUBJECT, reason)));
    Ok(Comparison { findings, is_unchecked })
}

async fn account(evidence: Evidence<'_>, tenant: TenantId) -> Result<Option<Account>, Error> {
    Ok(evidence.store().get(&key::account(tenant)).await?)
}

/// Returns the holds of ended runs in the quota of a deployment that does not charge. Each takes a live run from its tenant.
pub(crate) async fn quota_findings(evidence: Evidence<'_>, tenant: TenantId) -> Result<Vec<Finding>, Error> {
    let quota: Option<Quota> = evidence.store().get(&key::quota(tenant)).await?;
    holds(evidence, tenant, &quota.unwrap_or_default().holds).await
}

async fn holds(
    evidence: Evidence<'_>,
    tenant: TenantId,
    held: &BTreeMap<RunId, MicroCredits>,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for (run, amount) in held {
        // A hold is written together with the run's row.
        let Some(reason) = held_in_vain(evidence, tenant, *run).await? else { continue };
        // The hold pays for what the children and jobs of the run used. A job that is stuck has findings of its own.
        if job::is_live(evidence, tenant, SettleRun::job_id(*run)).await? {
            continue;
        }
        let reason = format!("{} micro-credits are held: {reason}", amount.0);
        findings.push(Finding::new(FindingKind::HoldOfEndedRun, tenant, run, reason));
    }
    Ok(findings)
}

/// Compares the account with the sums of its ledger. Returns `None` if the account changes all the time, the ledger is
/// too long, or the time of the audit is over.
async fn differences(
    evidence: Evidence<'_>,
    tenant: TenantId,
    mut before: Account,
) -> Result<Option<Vec<String>>, Error> {
    for _ in 0..TRIES {
        let Some(sums) = sums(evidence, tenant).await? else { return Ok(None) };
        let Some(after) = account(evidence, tenant).await? else { return Ok(None) };
        if after.version == before.version {
            return Ok(Some(sums.differences_from(&after)));
        }
        before = after;
    }
    Ok(None)
}

/// Adds up the whole ledger. Returns `None` if it is too long, or the time of the audit is over.
async fn sums(evidence: Evidence<'_>, tenant: TenantId) -> Result<Option<Sums>, Error> {
    let ledger = Ledger::new(evidence.store().clone(), tenant);
    let cursors = CursorKey::new("only this process uses the cursors".to_owned().into());
    let mut sums = Sums::default();
    let mut cursor = None;
    for _ in 0..PAGES {
        if !(evidence.go_on)() {
            return Ok(None);
        }
        let page = ledger.postings(&cursors, cursor.as_deref(), Some(PageRequest::MAX_LIMIT)).await?;
        cursor = page.next_cursor(&cursors);
        page.items.iter().for_each(|posting| sums.add(posting));
        if cursor.is_none() {
            return Ok(Some(sums));
        }
    }
    Ok(None)
}

impl Sums {
    fn add(&mut self, posting: &Posting) {
        if !posting.is_balanced() {
            self.unbalanced = Some(posting.id.to_string());
        }
        for entry in &posting.entries {
            *self.by_account.entry(entry.place).or_default() += entry.amount;
        }
    }

    fn of(&self, account: LedgerAccount) -> MicroCredits {
        self.by_account.get(&account).copied().unwrap_or_default()
    }

    fn differences_from(&self, account: &Account) -> Vec<String> {
        let unbalanced = self.unbalanced.as_ref().map(|id| format!("the posting {id} does not sum to zero"));
        // A hold is in the account's row only, and becomes a posting when its run settles.
        let balances = [
            (LedgerAccount::Granted, account.at(LedgerAccount::Granted)),
            (LedgerAccount::Available, account.available + account.reserved),
            (LedgerAccount::Reserved, MicroCredits::ZERO),
            (LedgerAccount::Spent, account.spent),
            (LedgerAccount::Expired, account.expired),
            (LedgerAccount::Adjustments, account.at(LedgerAccount::Adjustments)),
        ];
        let wrong = balances.into_iter().filter(|(place, balance)| self.of(*place) != *balance);
        let wrong = wrong.map(|(place, balance)| {
            format!("{place:?}: the account has {}, the ledger sums to {}", balance.0, self.of(place).0)
        });
        unbalanced.into_iter().chain(wrong).collect()
    }
}

/// Returns what is wrong with the account's row alone.
fn contradictions(account: &Account) -> Vec<String> {
    let held: MicroCredits = account.holds.values().copied().sum();
    let reserved = (account.reserved != held).then(|| {
        format!("{} micro-credits are reserved, and the holds sum to {}", account.reserved.0, held.0)
    });
    let negative = (account.available < MicroCredits::ZERO)
        .then(|| format!("{} micro-credits are available", account.available.0));
    reserved.into_iter().chain(negative).collect()
}
