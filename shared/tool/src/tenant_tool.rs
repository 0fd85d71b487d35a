//! The limits of tools that a tenant brings. Every model call contains their descriptions and schemas.

use sequent_model::NotOffered;

use crate::{Schema, Tool, schema};

/// Bytes of a description at most.
pub const MAX_DESCRIPTION: usize = 4 << 10;
/// Bytes of the schema of the arguments at most.
pub const MAX_SCHEMA: usize = 16 << 10;
/// Bytes of the schema at most as models are offered it.
const MAX_OFFERED: usize = 32 << 10;

/// The reason why a tenant's tool cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableTool {
    /// The schema is too large.
    #[error("its schema has more than {MAX_SCHEMA} bytes")]
    Large,
    /// The schema is too large once it contains what it refers to.
    #[error(
        "its schema has more than {MAX_OFFERED} bytes after its references are replaced by what they refer to"
    )]
    LargeOffer,
    /// Calls cannot be checked by the schema.
    #[error("its schema is {0}")]
    Schema(#[from] schema::Unusable),
    /// No model could be offered the tool.
    #[error(transparent)]
    NotOffered(#[from] NotOffered),
}

/// Checks the schema of a tenant's tool.
///
/// # Errors
/// If the schema is too large, is not a usable schema, or cannot be offered to models.
pub fn accept(tool: &Tool) -> Result<(), UnusableTool> {
    let parameters = &tool.spec.parameters;
    if parameters.to_string().len() > MAX_SCHEMA {
        return Err(UnusableTool::Large);
    }
    Schema::new(parameters)?;
    if tool.spec.offered_parameters()?.to_string().len() > MAX_OFFERED {
        return Err(UnusableTool::LargeOffer);
    }
    Ok(())
}
