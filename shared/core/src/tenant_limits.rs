//! The limits that the operator sets for every tenant, so that a stranger with an account costs little.

use std::{num::NonZeroU32, str::FromStr};

use crate::{
    MicroUsd,
    setting::{self, InvalidSetting},
};

/// The limits of a tenant. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantLimits {
    /// Runs that have not ended. Where runs are paid for, the plan sets this limit.
    pub runs: Option<u32>,
    /// Streams of runs that other processes execute.
    pub streams: Option<u32>,
    /// Bytes of stored objects.
    pub storage_bytes: Option<u64>,
    /// Cost of the model calls of all runs of a day (UTC). Where runs are paid for, the plan sets this limit.
    pub daily_usd: Option<MicroUsd>,
    /// Cost of the model calls of a day (UTC), and of the welcome grants, of all tenants together that are not
    /// [trusted](crate::TenantTrust). Each of them has a share of it.
    pub unverified_usd: Option<MicroUsd>,
    /// Days that a conversation is kept after its last message. Where runs are paid for, the plan sets this limit.
    pub retention_days: Option<NonZeroU32>,
    /// Model calls of a run.
    pub steps: u32,
    /// Seconds that a run may execute. The time in which it waits for people does not count.
    pub seconds: u64,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self {
            runs: Some(6),
            streams: Some(20),
            storage_bytes: Some(1 << 30),
            daily_usd: Some(MicroUsd(5_000_000)),
            unverified_usd: Some(MicroUsd(10_000_000)),
            retention_days: None,
            steps: 100,
            seconds: 24 * 3600,
        }
    }
}

impl TenantLimits {
    /// Limits without the caps of a tenant, for a machine with one user.
    #[must_use]
    pub fn uncapped() -> Self {
        let limits = Self { runs: None, streams: None, storage_bytes: None, ..Self::default() };
        Self { daily_usd: None, unverified_usd: None, ..limits }
    }

    /// Reads `TENANT_LIMITS`: pairs `name=number`, separated by commas. A name that is missing has its default, and `none`
    /// removes a limit.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a name or a value is not allowed.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        setting::text("TENANT_LIMITS").unwrap_or_default().parse()
    }

    /// Applies one pair. Returns `None` if it is not allowed.
    fn apply(&mut self, pair: &str) -> Option<()> {
        let (name, value) = pair.split_once('=')?;
        let value = Some(value.trim()).filter(|value| *value != "none");
        match name.trim() {
            "runs" => self.runs = value.map(positive).transpose().ok()?,
            "streams" => self.streams = value.map(positive).transpose().ok()?,
            "storage_bytes" => self.storage_bytes = value.map(str::parse).transpose().ok()?,
            "daily_usd" => self.daily_usd = value.map(dollars).transpose().ok()?,
            "unverified_usd" => self.unverified_usd = value.map(dollars).transpose().ok()?,
            "retention_days" => self.retention_days = value.map(str::parse).transpose().ok()?,
            "steps" => self.steps = positive(value?).ok()?,
            "seconds" => self.seconds = positive(value?).ok()?.into(),
            _ => return None,
        }
        Some(())
    }
}

impl FromStr for TenantLimits {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let mut limits = Self::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            limits.apply(pair).ok_or_else(|| invalid(pair))?;
        }
        Ok(limits)
    }
}

fn invalid(pair: &str) -> InvalidSetting {
    let allowed = "`runs`, `streams`, `storage_bytes`, `daily_usd`, `unverified_usd` or `retention_days` with a number or \
                   `none`, or `steps` or `seconds` with a number of at least 1";
    InvalidSetting::new("TENANT_LIMITS", pair, allowed)
}

fn positive(text: &str) -> Result<u32, ()> {
    text.parse().ok().filter(|number| *number > 0).ok_or(())
}

/// Reads an amount with up to six decimal places.
fn dollars(text: &str) -> Result<MicroUsd, ()> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 6 || !is_number(whole) || !is_number(fraction) {
        return Err(());
    }
    let micros: u64 = format!("{fraction:0<6}").parse().map_err(drop)?;
    let whole: u64 = whole.parse().map_err(drop)?;
    let amount = whole.checked_mul(1_000_000).and_then(|whole| whole.checked_add(micros));
    amount.map(MicroUsd).ok_or(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_limit_has_its_default_and_none_removes_one() {
        assert_eq!("".parse(), Ok(TenantLimits::default()));
        let read =
            "runs=3, streams=none,storage_bytes=0,daily_usd=0.25,unverified_usd=none,steps=7,seconds=60,\
                    retention_days=30"
                .parse();
        let expected = TenantLimits {
            runs: Some(3),
            streams: None,
            storage_bytes: Some(0),
            daily_usd: Some(MicroUsd(250_000)),
            unverified_usd: None,
            retention_days: NonZeroU32::new(30),
            steps: 7,
            seconds: 60,
        };
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn a_pair_that_is_not_allowed_is_named() {
        for pair in [
            "run=1",
            "runs",
            "runs=0",
            "runs=-1",
            "daily_usd=1.1234567",
            "daily_usd=.",
            "retention_days=0",
            "steps=none",
            "seconds=0",
        ] {
            let error = format!("streams=2,{pair}").parse::<TenantLimits>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{pair}`")), "{error}");
        }
    }
}
