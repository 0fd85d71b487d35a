//! The sections of the catalogue of error codes.

/// A section of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "`title` describes each")]
pub enum Topic {
    Request,
    Credential,
    Idempotency,
    Conversation,
    Definition,
    Schedule,
    Job,
    Artifact,
    Billing,
    Mcp,
    Tool,
    Webhook,
    Service,
}

impl Topic {
    /// Every topic, in the order of the catalogue.
    pub const ALL: [Self; 13] = [
        Self::Request,
        Self::Credential,
        Self::Idempotency,
        Self::Conversation,
        Self::Definition,
        Self::Schedule,
        Self::Job,
        Self::Artifact,
        Self::Billing,
        Self::Mcp,
        Self::Tool,
        Self::Webhook,
        Self::Service,
    ];

    /// The heading of the section.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Request => "Requests",
            Self::Credential => "Credentials and permissions",
            Self::Idempotency => "Idempotency keys",
            Self::Conversation => "Projects and runs",
            Self::Definition => "Agents and prompts",
            Self::Schedule => "Schedules",
            Self::Job => "Jobs",
            Self::Artifact => "Artifacts",
            Self::Billing => "Billing",
            Self::Mcp => "MCP servers",
            Self::Tool => "HTTP tools",
            Self::Webhook => "Webhooks and hooks",
            Self::Service => "The service",
        }
    }
}
