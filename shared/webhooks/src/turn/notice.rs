//! The notice to the user whose webhook the service has disabled.

use sequent_core::{JobId, TenantId};
use sequent_identity::mail::{Notice, NoticeSubject, Recipient};
use sequent_jobs::{NewJob, Queue};

use crate::{DisableReason, Webhook};

/// The job that sends the notice. It belongs to the deployment, as the jobs of other mails do.
pub(super) fn disabled_notice(tenant: TenantId, webhook: &Webhook, reason: DisableReason) -> NewJob {
    let notice = Notice {
        recipient: Recipient { tenant_id: tenant, user_id: webhook.user_id },
        subject: NoticeSubject::WebhookDisabled {
            webhook_id: webhook.id,
            is_gone: reason == DisableReason::Gone,
        },
    };
    NewJob {
        tenant: TenantId::SYSTEM,
        id: JobId::new(),
        job_type: Notice::TYPE.to_owned(),
        job_key: None,
        queue: Queue::Jobs,
        internal: false,
        input: serde_json::to_value(notice).expect("a notice is plain data"),
        about: None,
        run: None,
        tool_call_id: None,
    }
}
