//! Names of time zones.

use std::{fmt, str::FromStr};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The text is not the name of a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the name of a time zone of the IANA database, such as `Europe/Berlin`")]
pub struct UnknownZone;

/// A time zone of the IANA database, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, max_length = 64, example = "Europe/Berlin"))]
pub struct ZoneName(TimeZone);

impl ZoneName {
    pub(crate) fn zone(&self) -> &TimeZone {
        &self.0
    }
}

impl Default for ZoneName {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl FromStr for ZoneName {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<Self, UnknownZone> {
        const LONGEST: usize = 64;
        let zone = Some(text).filter(|text| text.len() <= LONGEST).and_then(|text| TimeZone::get(text).ok());
        zone.filter(|zone| zone.iana_name().is_some() && !zone.is_unknown()).map(Self).ok_or(UnknownZone)
    }
}

impl TryFrom<String> for ZoneName {
    type Error = UnknownZone;

    fn try_from(text: String) -> Result<Self, UnknownZone> {
        text.parse()
    }
}

impl From<ZoneName> for String {
    fn from(name: ZoneName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_a_name_of_the_database() {
        for name in ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"] {
            assert_eq!(name.parse::<ZoneName>().unwrap().to_string(), name);
        }
        for name in ["", "Berlin", "Europe/Atlantis", "EST5EDT,M3.2.0,M11.1.0", "Etc/Unknown", "../Berlin"] {
            assert_eq!(name.parse::<ZoneName>(), Err(UnknownZone), "{name}");
        }
    }
}
