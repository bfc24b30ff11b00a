//! A portal with customers and subscriptions in every state.

use portal_billing::clock::Timestamp;
use portal_billing::domain::customer::Customer;
use portal_billing::domain::slug::Slug;
use portal_billing::domain::subscription::{Dunning, Status, Subscription};
use portal_billing::domain::text::Metadata;
use portal_billing::ids::{Ids, Kind};
use portal_billing::store::{Store, StoreError, customers, subscriptions};
use reqwest::Method;
use serde_json::Value;

use crate::support::database::Database;
use crate::support::service::{Answer, Service};

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(crate) fn slug(name: &str) -> Slug {
    Slug::parse(name).unwrap()
}

pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) store: Store,
    pub(crate) ids: Ids,
}

impl World {
    /// With the portals `acme` and `other`. What is changed here is changed behind the service's back,
    /// without an event that tells of it, so the service keeps nothing.
    pub(crate) async fn start(engine: Database) -> Self {
        Self::start_with(engine, &[]).await
    }

    pub(crate) async fn start_with(engine: Database, settings: &[(&str, &str)]) -> Self {
        let settings = [settings, &[("access.stale_ms", "0")]].concat();
        let service = Service::start_with(engine, &settings).await;
        for portal in ["acme", "other"] {
            service.enabled_portal(portal).await;
        }
        Self {
            store: Store::new(service.database.settings()).unwrap(),
            ids: Ids::random(service.clock.clone()),
            service,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.service.clock.now()
    }

    /// A customer of the portal.
    pub(crate) async fn customer(&self, portal: &str, external_id: &str) -> Customer {
        let now = self.now();
        let customer = Customer {
            id: self.ids.new_id(Kind::Customer).into(),
            portal: slug(portal),
            external_id: external_id.to_owned(),
            name: "An organization".to_owned(),
            email: "billing@globex.example".to_owned(),
            address: None,
            tax_ids: Vec::new(),
            metadata: Metadata::new(),
            default_payment_method: None,
            stripe: None,
            stripe_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        self.store
            .write(async |conn| customers::insert(conn, &customer).await)
            .await
            .unwrap();
        customer
    }

    /// A subscription of this customer to the plan `gold` of the product, to be changed before it is
    /// stored.
    pub(crate) async fn subscription(
        &self,
        customer: &Customer,
        product: &str,
        status: Status,
        change: impl FnOnce(&mut Subscription),
    ) -> Subscription {
        let now = self.now();
        let mut subscription = Subscription {
            id: self.ids.new_id(Kind::Subscription).into(),
            portal: customer.portal.clone(),
            customer: customer.id.clone(),
            product: slug(product),
            plan: slug("gold"),
            plan_revision: 1,
            application: None,
            status,
            paid: true,
            quantity: 1,
            payment_method: None,
            period: None,
            trial_end: None,
            cancel_at: None,
            canceled_at: None,
            ended_at: status.is_final().then_some(now),
            unpaid_since: None,
            dunning: Dunning::default(),
            latest_invoice: None,
            scheduled_change: None,
            metadata: Metadata::new(),
            requested: None,
            stripe: None,
            stripe_item: None,
            stripe_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        change(&mut subscription);
        self.store
            .write(async |conn| subscriptions::insert(conn, &subscription).await)
            .await
            .unwrap();
        subscription
    }

    /// As another replica would change it.
    pub(crate) async fn change(
        &self,
        subscription: &Subscription,
        change: impl FnOnce(&mut Subscription),
    ) -> Subscription {
        let mut after = subscription.clone();
        change(&mut after);
        after.version += 1;
        let otherwise = || StoreError::Contention("it has changed".to_owned());
        self.store
            .write(async |conn| {
                let before = subscription.version;
                subscriptions::must_update(conn, &after, before, otherwise()).await
            })
            .await
            .unwrap();
        after
    }

    pub(crate) async fn with_token(&self, token: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.service
            .call_with(
                Method::GET,
                path,
                &[("authorization", &bearer)],
                Value::Null,
            )
            .await
    }
}

pub(crate) fn of(subscription: &Subscription) -> String {
    let (portal, id) = (&subscription.portal, &subscription.id);
    format!("/v1/portals/{portal}/subscriptions/{id}/access")
}
