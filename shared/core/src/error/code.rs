//! The catalogue of error codes: every code that the API can send, with its cause and its remedy.

use std::fmt;

use super::{ErrorKind, Topic};

macro_rules! codes {
    ($($topic:ident { $($name:ident = $text:literal, $kind:ident, $cause:literal, $remedy:literal;)+ })+) => {
        /// The stable name of one kind of error.
        ///
        /// Choose a code as you would choose the name of a public function: it is forever.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(
                #[doc = $cause]
                $name,
            )+)+
        }

        impl Code {
            /// Every code, in the order of the catalogue.
            pub const ALL: &[Self] = &[$($(Self::$name,)+)+];

            /// The code as it is sent.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$name => $text,)+)+ }
            }

            /// The class of the error.
            #[must_use]
            pub const fn kind(self) -> ErrorKind {
                match self { $($(Self::$name => ErrorKind::$kind,)+)+ }
            }

            /// The section of the catalogue.
            #[must_use]
            pub const fn topic(self) -> Topic {
                match self { $($(Self::$name => Topic::$topic,)+)+ }
            }

            /// The reason for the error, as one sentence.
            #[must_use]
            pub const fn cause(self) -> &'static str {
                match self { $($(Self::$name => $cause,)+)+ }
            }

            /// The action that resolves the error, as one sentence.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $($(Self::$name => $remedy,)+)+ }
            }
        }
    };
}

codes! {
    Request {
        BadRequest = "bad_request", BadRequest,
            "The request is not valid HTTP for this route.",
            "Compare the request with the API description.";
        InvalidJson = "invalid_json", BadRequest,
            "The body is not well-formed JSON.",
            "Correct the JSON at the line and column that the detail names.";
        BodyUnreadable = "body_unreadable", BadRequest,
            "The connection ended before the whole body was received.",
            "Send the request again.";
        InvalidQuery = "invalid_query", BadRequest,
            "A query parameter has an unknown name or a value that is not allowed.",
            "Correct the parameter that `errors` names.";
        InvalidCursor = "invalid_cursor", BadRequest,
            "The cursor was not issued by this list or stream.",
            "Start again without a cursor, or use the `next_cursor` of the previous page with the same filters, or the `seq` of an entry that was received.";
        CursorExpired = "cursor_expired", Gone,
            "What follows the cursor was deleted, because it was too old.",
            "Read the snapshot, and begin at its `seq`.";
        RouteNotFound = "route_not_found", NotFound,
            "No route has this path.",
            "Compare the path with the API description.";
        MethodNotAllowed = "method_not_allowed", MethodNotAllowed,
            "The path exists but does not accept this method.",
            "Use one of the methods in the `Allow` header.";
        NotFound = "not_found", NotFound,
            "The tenant has no object with this id. Objects of other tenants count as missing.",
            "Check the id and the credential.";
        BodyTooLarge = "body_too_large", BodyTooLarge,
            "The body is larger than the route accepts.",
            "Send at most `max_bytes` bytes.";
        HeadersTooLarge = "headers_too_large", HeadersTooLarge,
            "The request has more than 100 headers or more than 32 KiB of them.",
            "Send fewer or smaller headers.";
        UnsupportedMediaType = "unsupported_media_type", UnsupportedMediaType,
            "The body has a content type that the route does not accept.",
            "Send JSON with `Content-Type: application/json`.";
        ValidationFailed = "validation_failed", Invalid,
            "The body is JSON, but its content is not allowed.",
            "Correct the places that `errors` names.";
        Conflict = "conflict", Conflict,
            "Another request changed the same object at the same time.",
            "Read the object again and repeat the request.";
    }
    Credential {
        Unauthenticated = "unauthenticated", Unauthenticated,
            "The request has no credential.",
            "Sign in, or send a bearer token or an API key.";
        InvalidCredential = "invalid_credential", Unauthenticated,
            "The access token or API key is malformed, expired or revoked.",
            "Refresh the access token, sign in again, or use another API key.";
        WrongCredentials = "wrong_credentials", Unauthenticated,
            "The email address and the password do not belong to an account.",
            "Check both, or register.";
        InvalidRefreshToken = "invalid_refresh_token", Unauthenticated,
            "The refresh token is unknown, expired, revoked or was used before.",
            "Sign in again.";
        TooManyAttempts = "too_many_attempts", TooManyRequests,
            "Several wrong passwords were sent for this address, by this client or by many others.",
            "Wait for the time in `Retry-After`, an hour at most. A browser that was signed in before need not wait for others.";
        AccountSuspended = "account_suspended", Forbidden,
            "The operator of the deployment has suspended the account.",
            "Ask the operator to reinstate the account.";
        ReauthenticationRequired = "reauthentication_required", Forbidden,
            "The route changes credentials or the account, and the session presented its password too long ago.",
            "Present the password with `POST /api/auth/reauthenticate`, then repeat the request.";
        InvalidMailToken = "invalid_mail_token", BadRequest,
            "The token of a mail is unknown, was used before, or has expired.",
            "Request another mail.";
        MailNotConfigured = "mail_not_configured", NotFound,
            "The deployment sends no mail.",
            "Ask the operator to set the parameter `MailFrom`.";
        EmailTaken = "email_taken", Conflict,
            "An account with this email address exists.",
            "Sign in, or register another address.";
        RegistrationClosed = "registration_closed", Forbidden,
            "The deployment accepts no registrations.",
            "Ask its operator, who can make accounts with a setup code or change `Registration`.";
        InvitationRequired = "invitation_required", Forbidden,
            "The deployment accepts registrations by invitation only.",
            "Send the code of an invitation as `invitation`.";
        InvitationInvalid = "invitation_invalid", Forbidden,
            "The invitation is unknown, used, revoked or expired, or belongs to another email address.",
            "Ask the operator for a new invitation.";
        InsufficientScope = "insufficient_scope", Forbidden,
            "The credential lacks the scope that the route requires.",
            "Use a credential with the scope in `scope`.";
        ScopesExceeded = "scopes_exceeded", Forbidden,
            "A new API key was to have scopes that the caller lacks.",
            "Ask only for scopes that the caller has.";
        NotAnAdmin = "not_an_admin", Forbidden,
            "The route requires the admin key or an owner of the tenant.",
            "Send `x-admin-key`, or call as an owner.";
        NoSession = "no_session", BadRequest,
            "The credential is an API key, which has no session, and the route needs one.",
            "Sign in. A request with an API key needs no CSRF token.";
        CrossSite = "cross_site", Forbidden,
            "A browser sent the cookie from a page of another site.",
            "Call from a page of the public origin or of an allowed origin, or send a bearer token.";
        CsrfTokenMissing = "csrf_token_missing", Forbidden,
            "A write that is authenticated with a cookie has no CSRF token.",
            "Send the token of `GET /api/auth/csrf-token` in the `X-CSRF-Token` header.";
        CsrfTokenInvalid = "csrf_token_invalid", Forbidden,
            "The CSRF token belongs to another session.",
            "Get a new token from `GET /api/auth/csrf-token`.";
        WrongOrigin = "wrong_origin", Forbidden,
            "The request did not come through the content delivery network.",
            "Use the public address of the deployment.";
    }
    Idempotency {
        IdempotencyKeyRequired = "idempotency_key_required", BadRequest,
            "The route requires an idempotency key.",
            "Send a unique `Idempotency-Key` header.";
        IdempotencyKeyInvalid = "idempotency_key_invalid", BadRequest,
            "The idempotency key is empty, longer than 255 characters, or not visible ASCII.",
            "Send 1 to 255 visible ASCII characters.";
        IdempotencyKeyReused = "idempotency_key_reused", Invalid,
            "The idempotency key was used with another request.",
            "Use a new key for each new request.";
        IdempotencyKeyInProgress = "idempotency_key_in_progress", Conflict,
            "The first request with this idempotency key has not finished.",
            "Repeat the request after the time in `Retry-After`.";
        IdempotentAnswerNotKept = "idempotent_answer_not_kept", Conflict,
            "The first request succeeded, but its response was too large to be stored.",
            "Read the created object instead.";
    }
    Conversation {
        RunInProgress = "run_in_progress", Conflict,
            "The project has a live run.",
            "Wait for the run in `run_id`, cancel it, or choose another `on_conflict`.";
        ModelNotAllowed = "model_not_allowed", Forbidden,
            "The deployment does not allow the model.",
            "Name no model, or choose another one. The operator can change `AllowedModels`.";
        ModelNotConfigured = "model_not_configured", Conflict,
            "The deployment has no key for any model provider.",
            "Ask the operator to store the key of a provider: `scripts/secret STACK set models openai_api_key`.";
        RunClosed = "run_closed", Conflict,
            "The run has ended or waits for answers, so it takes no message.",
            "Start a new run, or answer its questions.";
        TooManyMessages = "too_many_messages", Conflict,
            "The run has been sent as many messages as it takes.",
            "Wait for its end, or cancel it, and send the message to the conversation.";
        DatasetsLimit = "datasets_limit", Conflict,
            "The tenant has as many datasets, or the dataset as many items or bytes, as allowed.",
            "Delete a dataset, or create another one.";
        TooMuchFeedback = "too_much_feedback", Conflict,
            "Feedback on the run was changed as often as its log takes.",
            "Leave the feedback as it is.";
        TooManyBranches = "too_many_branches", Conflict,
            "The conversation has as many branches as it takes.",
            "Continue one of its branches, or fork the conversation and go on there.";
        EventTooLarge = "event_too_large", BodyTooLarge,
            "The content is too large to be stored as one event of a run. Its size counts as encoded in JSON.",
            "Send at most `max_bytes` bytes. Quotes and line breaks count twice, control characters six times.";
        RunEnded = "run_ended", Conflict,
            "The run ended before the answer was stored.",
            "Start a new run.";
        NothingAsked = "nothing_asked", Conflict,
            "No run of the project waits for an answer.",
            "Send a message instead.";
        AlreadyAnswered = "already_answered", Conflict,
            "The question was answered before, with another answer.",
            "Read the events of the run to see the answer.";
        NoMessages = "no_messages", Conflict,
            "The project has no message to derive a name from.",
            "Send a message first, or set the name.";
    }
    Definition {
        AgentNotFound = "agent_not_found", NotFound,
            "The tenant has no agent with this id or name.",
            "Choose an agent of `GET /api/agents`.";
        PromptNotFound = "prompt_not_found", NotFound,
            "The tenant has no prompt with this name.",
            "Choose a prompt of `GET /api/prompts`, or create it.";
        VersionNotFound = "version_not_found", NotFound,
            "The agent or prompt has no version with this number.",
            "Choose a version of the list of its versions.";
        LabelNotFound = "label_not_found", NotFound,
            "The agent or prompt has no label with this name.",
            "Choose one of its labels, or set the label first.";
        LabelMoved = "label_moved", Conflict,
            "The label does not have the version that the request expects, because it has been moved.",
            "Look at the version in `version`, and repeat the request with it as `expected`.";
        NameTaken = "name_taken", Conflict,
            "The tenant has an agent or a prompt with this name.",
            "Choose another name, or add a version to the one that has it.";
        DefinitionsLimit = "definitions_limit", Conflict,
            "The tenant has as many agents, prompts, versions or labels as it may have.",
            "Delete one of those that the detail names.";
        TemplateInvalid = "template_invalid", Invalid,
            "A template is malformed, or uses a variable, a prompt or a part of the language that it may not use.",
            "Correct the place in `errors`, at the line in `line`.";
        VariablesInvalid = "variables_invalid", Invalid,
            "The values of an agent's variables are missing, unknown, too long or of the wrong type.",
            "Correct the variables that `errors` names.";
    }
    Schedule {
        SchedulesLimit = "schedules_limit", Conflict,
            "The tenant has as many schedules as it may have.",
            "Delete a schedule first.";
    }
    Job {
        NotFailed = "not_failed", Conflict,
            "The job has not failed.",
            "Redrive only jobs with the status `error`.";
        TooManyJobs = "too_many_jobs", TooManyRequests,
            "The tenant has as many jobs of the kind in progress as it may have.",
            "Repeat the request after the time in `Retry-After`, or when a job has ended.";
        JobOfRun = "job_of_run", Conflict,
            "The job belongs to a run, which pays for its model calls and has gone on without its result.",
            "Send a message that asks for the result again. The operator of the deployment can redrive the job.";
    }
    Artifact {
        NotUploaded = "not_uploaded", Conflict,
            "The bytes of the artifact have not been uploaded.",
            "Upload them to the address that creating the upload returned, then complete it.";
        StorageLimitReached = "storage_limit_reached", Forbidden,
            "The tenant stores as many bytes as the deployment allows.",
            "Delete artifacts. Their bytes stop counting within 25 hours.";
        AttachmentNotFound = "attachment_not_found", Invalid,
            "The tenant has no artifact with the id that a message refers to. Artifacts of other tenants count as missing.",
            "Upload the file first, and send the id of its artifact.";
        AttachmentTypeUnsupported = "attachment_type_unsupported", UnsupportedMediaType,
            "A file of this type cannot be attached to a message.",
            "Attach a PNG, JPEG, GIF or WebP image, a PDF, a DOCX file, or a text.";
        AttachmentTooLarge = "attachment_too_large", BodyTooLarge,
            "The file is larger than a file that is attached to a message may be.",
            "Attach a file of at most `max_bytes` bytes.";
        AttachmentUnreadable = "attachment_unreadable", Invalid,
            "An image of the message is damaged, incomplete or too large to be decoded.",
            "Attach the whole image, or one with fewer pixels.";
        AttachmentUrlRefused = "attachment_url_refused", Invalid,
            "A file part has an address that the service does not fetch.",
            "Upload the file as an artifact and refer to it by `/api/artifacts/{id}/content`, or send it in a `data:` URL in Base64.";
        TooManyAttachments = "too_many_attachments", Invalid,
            "The message has more files than a message may have.",
            "Send at most `max_files` files in one message.";
        ModelCannotReadAttachment = "model_cannot_read_attachment", Invalid,
            "The model cannot be shown a file of the message.",
            "Choose a model that can be shown images, or leave the image out.";
        UploadMismatch = "upload_mismatch", Conflict,
            "The uploaded bytes differ from the announced size or digest.",
            "Create a new upload with the right size and SHA-256 digest.";
    }
    Billing {
        InsufficientCredits = "insufficient_credits", PaymentRequired,
            "The account has fewer credits than the run may cost.",
            "Buy credits, or give the run a budget that covers its first model call.";
        AccountFrozen = "account_frozen", PaymentRequired,
            "The account is frozen, for example because of a payment dispute.",
            "See `GET /api/billing/credits`, and resolve the reason it names.";
        ModelNotInPlan = "model_not_in_plan", Forbidden,
            "The plan does not include the model.",
            "Choose a model of the plan, or another plan.";
        ModelNotPriced = "model_not_priced", Forbidden,
            "The deployment has no price for the model, so its use cannot be charged or limited.",
            "Choose another model. The operator can add its price to the stored table of prices.";
        TooManyRuns = "too_many_runs", TooManyRequests,
            "The tenant has as many live runs as its plan or the deployment allows.",
            "Wait for a run to end, or cancel one.";
        TooManyStreams = "too_many_streams", TooManyRequests,
            "The tenant follows as many runs at the same time as the deployment allows.",
            "Close a stream, or repeat the request after the time in `Retry-After`.";
        DailyLimit = "daily_limit", TooManyRequests,
            "The runs of the day cost as much as the plan or the deployment allows.",
            "Try again tomorrow (UTC), choose another plan, or ask the operator to raise the limit.";
        AlreadySubscribed = "already_subscribed", Conflict,
            "The tenant has a subscription.",
            "Change it on the page that `POST /api/billing/portal` returns.";
        NothingBought = "nothing_bought", Conflict,
            "The tenant has bought nothing, so there is nothing to manage.",
            "Begin with `POST /api/billing/checkout`.";
        NotForSale = "not_for_sale", Invalid,
            "The plan or pack cannot be bought.",
            "Choose an item of `GET /api/billing/catalog`.";
        InvalidSignature = "invalid_signature", BadRequest,
            "The signature of the Stripe event is missing, wrong or too old.",
            "Configure the signing secret of the webhook endpoint.";
        InvalidEvent = "invalid_event", BadRequest,
            "The signed body is not a Stripe event.",
            "Point only Stripe's webhooks at this route.";
    }
    Mcp {
        McpServerExists = "mcp_server_exists", Conflict,
            "The tenant has an MCP server with this name.",
            "Choose another name, or delete the server first.";
        McpServersLimit = "mcp_servers_limit", Conflict,
            "The tenant's limit of MCP servers is reached.",
            "Delete a server first.";
        McpServerUnreachable = "mcp_server_unreachable", Invalid,
            "The MCP server could not be reached or refused the connection.",
            "Check the address and the token.";
    }
    Tool {
        ToolExists = "tool_exists", Conflict,
            "The tenant has an HTTP tool with this name.",
            "Choose another name, or change the tool that has it.";
        ToolsLimit = "tools_limit", Conflict,
            "The tenant's limit of HTTP tools is reached.",
            "Delete a tool first.";
        ToolPoliciesChanged = "tool_policies_changed", Conflict,
            "The policies of tools do not have the revision that the request expects, because they have been changed.",
            "Read the policies again, and repeat the change with their revision.";
    }
    Webhook {
        WebhooksLimit = "webhooks_limit", Conflict,
            "The tenant has as many webhooks or hooks as it may have.",
            "Delete one first.";
        InvalidHookSignature = "invalid_hook_signature", Unauthenticated,
            "The hook demands signed requests, and the signature is missing, wrong or too old.",
            "Sign each request as Standard Webhooks specifies, with the secret of the hook.";
        WebhookDisabled = "webhook_disabled", Conflict,
            "The webhook is disabled, so nothing is sent to it.",
            "Correct the receiver, then set `enabled` to true with `PATCH /api/webhooks/{id}`.";
        DeliveryPending = "delivery_pending", Conflict,
            "The delivery has not ended, so it will be sent again without a request.",
            "Wait for the time in `next_attempt_at`.";
    }
    Service {
        RateLimited = "rate_limited", TooManyRequests,
            "The tenant or the network address sent too many requests.",
            "Wait for the time in `Retry-After`.";
        Internal = "internal", Internal,
            "The service failed.",
            "Report the request id to the operator. The same request would fail again.";
        Unavailable = "unavailable", Unavailable,
            "A dependency of the service does not answer.",
            "Repeat the request after the time in `Retry-After`.";
        Timeout = "timeout", Timeout,
            "The service took longer than 28 seconds to begin its response.",
            "Repeat the request. A write needs an idempotency key to be repeated safely.";
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_snake_case_and_explained_in_sentences() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for &code in Code::ALL {
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
            assert!(code.cause().ends_with('.') && code.remedy().ends_with('.'), "{code}");
        }
    }
}
