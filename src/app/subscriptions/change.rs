//! Changing what is the caller's own about a subscription.

use super::locked;
use crate::app::portals::{MetadataChange, merged};
use crate::app::{App, Context};
use crate::domain::error::{Code, Error};
use crate::domain::precondition::Precondition;
use crate::domain::slug::Slug;
use crate::domain::subscription::{Status, Subscription};

use super::SubscriptionView;

impl App {
    /// Changes the caller's keys and values. Stripe does not know them.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `operation_pending` while it is on its way to Stripe,
    /// `validation_failed` when the merged metadata is over the limits.
    pub async fn patch_subscription(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        metadata: Option<&MetadataChange>,
        precondition: &Precondition,
    ) -> Result<SubscriptionView, Error> {
        let changed = self
            .store
            .write(async |conn| {
                let shown = locked(conn, context, portal, id).await?;
                let before = &shown.subscription;
                precondition.check(Some(&before.tag()))?;
                let metadata = merged(&before.metadata, metadata)?;
                if metadata == before.metadata {
                    return self.view_of(conn, shown, true).await;
                }
                if before.status == Status::Provisioning {
                    return Err(Error::new(
                        Code::OperationPending,
                        "The subscription is on its way to Stripe. Repeat this when it is there.",
                    )
                    .with_retry_after(1)
                    .into());
                }
                let after = Subscription {
                    metadata,
                    version: before.version + 1,
                    updated_at: self.clock.now(),
                    ..before.clone()
                };
                self.store_subscription(conn, context, before, &after)
                    .await?;
                let shown = locked(conn, context, portal, id).await?;
                self.view_of(conn, shown, true).await
            })
            .await?;
        Ok(changed)
    }
}
