//! Adding up the ledger of a tenant, and comparing its holds with their runs.

use std::collections::BTreeMap;

use sequent_billing::{Account, Ledger, LedgerAccount, Posting};
use sequent_core::{MicroCredits, TenantId};
use sequent_tables::{CursorKey, PageRequest, key};

use crate::{
    Finding, FindingKind,
    auditor::{Comparison, Error, Evidence},
    project::held_in_vain,
};

/// Reads of an account that changes while its ledger is added up.
const TRIES: usize = 3;
/// Pages of a ledger that are added up: half a million postings.
const PAGES: usize = 5_000;
const SUBJECT: &str = "account";

/// Sums of a ledger by its accounts.
#[derive(Debug, Default)]
struct Sums {
    by_account: BTreeMap<LedgerAccount, MicroCredits>,
    /// A posting whose entries do not sum to zero.
    unbalanced: Option<String>,
}

pub(crate) async fn comparison(evidence: Evidence<'_>, tenant: TenantId) -> Result<Comparison, Error> {
    let Some(mut before) = account(evidence, tenant).await? else { return Ok(Comparison::default()) };
    let mut findings = holds(evidence, tenant, &before).await?;
    for _ in 0..TRIES {
        let Some(sums) = sums(evidence, tenant).await? else { break };
        let Some(after) = account(evidence, tenant).await? else { return Ok(Comparison::default()) };
        if after.version == before.version {
            let reasons = differences(&after, &sums).into_iter();
            findings.extend(
                reasons.map(|reason| Finding::new(FindingKind::LedgerDiffers, tenant, SUBJECT, reason)),
            );
            return Ok(Comparison { findings, is_unchecked: false });
        }
        before = after;
    }
    Ok(Comparison { findings, is_unchecked: true })
}

async fn account(evidence: Evidence<'_>, tenant: TenantId) -> Result<Option<Account>, Error> {
    Ok(evidence.store().get(&key::account(tenant)).await?)
}

async fn holds(evidence: Evidence<'_>, tenant: TenantId, account: &Account) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for (run, amount) in &account.holds {
        // A hold is written together with the run's row.
        if let Some(reason) = held_in_vain(evidence, tenant, *run).await? {
            let reason = format!("{} micro-credits are held: {reason}", amount.0);
            findings.push(Finding::new(FindingKind::HoldOfEndedRun, tenant, run, reason));
        }
    }
    Ok(findings)
}

/// Adds up the whole ledger. Returns `None` if it is too long.
async fn sums(evidence: Evidence<'_>, tenant: TenantId) -> Result<Option<Sums>, Error> {
    let ledger = Ledger::new(evidence.store().clone(), tenant);
    let cursors = CursorKey::new("only this process uses the cursors".to_owned().into());
    let mut sums = Sums::default();
    let mut cursor = None;
    for _ in 0..PAGES {
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
}

fn differences(account: &Account, sums: &Sums) -> Vec<String> {
    let held: MicroCredits = account.holds.values().copied().sum();
    let unbalanced = sums.unbalanced.as_ref().map(|id| format!("the posting {id} does not sum to zero"));
    let reserved = (account.reserved != held).then(|| {
        format!("{} micro-credits are reserved, and the holds sum to {}", account.reserved.0, held.0)
    });
    let negative = (account.available < MicroCredits::ZERO)
        .then(|| format!("{} micro-credits are available", account.available.0));
    // A hold is in the account's row only, and becomes a posting when its run settles.
    let balances = [
        (LedgerAccount::Granted, account.at(LedgerAccount::Granted)),
        (LedgerAccount::Available, account.available + account.reserved),
        (LedgerAccount::Reserved, MicroCredits::ZERO),
        (LedgerAccount::Spent, account.spent),
        (LedgerAccount::Expired, account.expired),
        (LedgerAccount::Adjustments, account.at(LedgerAccount::Adjustments)),
    ];
    let wrong = balances.into_iter().filter(|(place, balance)| sums.of(*place) != *balance);
    let wrong = wrong.map(|(place, balance)| {
        format!("{place:?}: the account has {}, the ledger sums to {}", balance.0, sums.of(place).0)
    });
    unbalanced.into_iter().chain(reserved).chain(negative).chain(wrong).collect()
}
