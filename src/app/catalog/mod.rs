//! Products and their plans: what a portal publishes. Free plans need no Stripe; a paid plan is on
//! offer once its Price is there.

use std::time::Duration;

pub mod document;
mod importing;
mod publishing;
mod requests;
mod tasks;
#[cfg(test)]
mod tests;

pub use importing::Imported;

use document::Report;
use publishing::State;
use tasks::{Place, tasks};

use super::answer::{Answer, Outcome};
use super::idempotency::Begun;
use super::operations::{NewOperation, state_text};
use super::portals::{concurrent, existing};
use super::publish::Fact;
use super::{App, Context, Page};
use crate::clock::Timestamp;
use crate::domain::audit::Draft;
use crate::domain::catalog::{
    PlanChange, PlanDiff, Product, ProductContent, ProductState, StoredPlan, diff,
};
use crate::domain::credentials::Credentials;
use crate::domain::error::{Code, Error};
use crate::domain::operation::Kind;
use crate::domain::precondition::{Precondition, entity_tag};
use crate::domain::slug::Slug;
use crate::store::plans::{self, PlanName};
use crate::store::{
    Conn, StoreError, Unique, catalog, events, operations, stripe_objects, subscriptions,
};

pub use crate::store::catalog::Filter;

impl Product {
    /// Its entity tag.
    pub fn tag(&self) -> String {
        entity_tag(self.created_at, self.changes)
    }
}

/// What events, operations and the audit log call a product.
fn subject(product: &Slug) -> String {
    format!("products/{product}")
}

/// By what everything that is done at Stripe for a product is serialized.
fn lane(product: &Slug) -> String {
    format!("product:{product}")
}

fn in_use() -> Error {
    Error::new(
        Code::ProductInUse,
        "The product still has live subscriptions. End them or move them first.",
    )
}

/// Stripe's ids of what stays in use there although its product is gone.
struct Leftovers(Vec<String>);

/// Where a product is to go, and how.
struct Wanted<'a> {
    content: &'a ProductContent,
    /// Whether a product that exists keeps its state.
    keeps_state: bool,
    precondition: &'a Precondition,
    /// What was made of the document it comes from, if from one.
    report: Option<&'a Report>,
}

impl App {
    /// Makes a product or sets the one of that name. Its paid plans are brought to Stripe.
    ///
    /// # Errors
    /// `not_found` for the portal, `precondition_failed`, `product_state_conflict`, `product_in_use`,
    /// `module_disabled` and `stripe_not_ready` when something has to be published.
    pub async fn put_product(
        &self,
        context: &Context,
        portal: &Slug,
        id: &Slug,
        content: &ProductContent,
        precondition: &Precondition,
        wait: Duration,
    ) -> Result<Answer, Error> {
        let wanted = Wanted {
            content,
            keeps_state: false,
            precondition,
            report: None,
        };
        self.once(context, portal, None, wait, async |conn| {
            self.set_product(conn, context, portal, id, &wanted).await
        })
        .await
    }

    /// The product, as far as the caller may see it: one that is bound to an organization sees what
    /// has or may have subscribers.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn product(
        &self,
        context: &Context,
        portal: &Slug,
        id: &Slug,
    ) -> Result<Product, Error> {
        let visible =
            |product: &Product| context.organization.is_none() || product.state.keeps_subscribers();
        let found = self
            .store
            .read(async |conn| catalog::find(conn, portal, id).await)
            .await?;
        found.filter(visible).ok_or_else(Error::not_found)
    }

    /// Products of the portal, newest first.
    ///
    /// # Errors
    /// `not_found` for the portal.
    pub async fn products(
        &self,
        portal: &Slug,
        filter: Filter,
        after: Option<(Timestamp, String)>,
        limit: u16,
    ) -> Result<Page<Product>, Error> {
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let items = self
            .store
            .read(async |conn| {
                existing(conn, portal).await?;
                catalog::list(conn, portal, filter, after, i64::from(limit) + 1).await
            })
            .await?;
        Ok(Page::cut(items, usize::from(limit)))
    }

    /// Deletes a product, after everything that stands for it at Stripe was taken out of use.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `product_in_use`; `operation_pending` when an operation
    /// about it is running and the portal has no usable credentials.
    pub async fn delete_product(
        &self,
        context: &Context,
        portal: &Slug,
        id: &Slug,
        precondition: &Precondition,
        wait: Duration,
    ) -> Result<Answer, Error> {
        self.once(context, portal, None, wait, async |conn| {
            let found = catalog::lock(conn, portal, id).await?;
            let product = found.ok_or_else(Error::not_found)?;
            precondition.check(Some(&product.tag()))?;
            if subscriptions::live_of_product(conn, portal, id).await? {
                return Err(in_use().into());
            }
            let busy = operations::lane_is_busy(conn, portal, &lane(id)).await?;
            let credentials = match self.usable_credentials(conn, portal).await? {
                Ok(credentials) => credentials,
                Err(_) if busy => return Err(pending().into()),
                Err(_) => {
                    let left = Leftovers(in_use_at_stripe(&product));
                    self.remove_product(conn, context, portal, &product, &left)
                        .await?;
                    return Ok(Begun::Done(Outcome::Nothing));
                }
            };
            let todo = self
                .todo(conn, portal, &product, Some(&credentials), true)
                .await?;
            if !busy && todo.is_empty() {
                self.remove_product(conn, context, portal, &product, &Leftovers(Vec::new()))
                    .await?;
                return Ok(Begun::Done(Outcome::Nothing));
            }
            // So that nobody subscribes while Stripe is told.
            if product.state.keeps_subscribers() {
                let retired = Product {
                    state: ProductState::Retired,
                    ..product
                };
                let retired = self.raise_product(conn, portal, retired).await?;
                self.tell_of_product(conn, context, portal, &retired, UPDATED, Vec::new())
                    .await?;
            }
            let state = State {
                product: id.to_string(),
                going: true,
                ..State::default()
            };
            self.begin_publishing(conn, context, portal, &credentials, &state)
                .await
        })
        .await
    }

    async fn set_product(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        id: &Slug,
        wanted: &Wanted<'_>,
    ) -> Result<Begun, StoreError> {
        let before = catalog::lock(conn, portal, id).await?;
        wanted
            .precondition
            .check(before.as_ref().map(Product::tag).as_deref())?;
        let created = before.is_none();
        let product = match before {
            Some(before) => {
                self.change_product(conn, context, portal, before, wanted)
                    .await?
            }
            None => {
                self.make_product(conn, context, portal, id, wanted.content)
                    .await?
            }
        };
        let credentials = self.usable_credentials(conn, portal).await?;
        let todo = self
            .todo(conn, portal, &product, credentials.as_ref().ok(), false)
            .await?;
        let report = wanted.report.cloned();
        if todo.is_empty() {
            return Ok(Begun::Done(shown(portal, product, created, report)));
        }
        // Without credentials there is only what has to be published.
        let credentials = credentials?;
        let state = State {
            product: id.to_string(),
            created,
            report,
            ..State::default()
        };
        self.begin_publishing(conn, context, portal, &credentials, &state)
            .await
    }

    /// The credentials, or why there are none that can be used.
    async fn usable_credentials(
        &self,
        conn: &mut Conn,
        portal: &Slug,
    ) -> Result<Result<Credentials, Error>, StoreError> {
        match self.operation_credentials(conn, portal).await {
            Ok(credentials) => Ok(Ok(credentials)),
            Err(StoreError::Rule(error)) => Ok(Err(error)),
            Err(other) => Err(other),
        }
    }

    async fn todo(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        product: &Product,
        credentials: Option<&Credentials>,
        going: bool,
    ) -> Result<Vec<tasks::Task>, StoreError> {
        let place: Place<'_> = credentials.map(|it| (it.account_id.as_str(), it.mode));
        let open = match place {
            Some((account, mode)) => {
                plans::open_prices(conn, portal, &product.id, account, mode).await?
            }
            None => Vec::new(),
        };
        Ok(tasks(portal, product, &open, place, going))
    }

    async fn begin_publishing(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        credentials: &Credentials,
        state: &State,
    ) -> Result<Begun, StoreError> {
        let id = Slug::parse(&state.product).ok_or_else(Error::not_found)?;
        let new = NewOperation {
            kind: if state.going {
                Kind::ArchivePlan
            } else {
                Kind::PublishPlan
            },
            subject: subject(&id),
            organization: None,
            lane: lane(&id),
            state: state_text(state)?,
        };
        let operation = self
            .begin_operation(conn, context, portal, credentials, new)
            .await?;
        Ok(Begun::Operation(operation))
    }

    async fn make_product(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        id: &Slug,
        content: &ProductContent,
    ) -> Result<Product, StoreError> {
        if !ProductState::Draft.may_become(content.state) {
            return Err(state_conflict("A new product is a draft, published or retired.").into());
        }
        let now = self.clock.now();
        let last = events::last_seq(conn, portal, &subject(id)).await?;
        let product = with_content(
            Product {
                id: id.clone(),
                title: String::new(),
                version: String::new(),
                description: String::new(),
                state: content.state,
                nonce: self.ids.unguessable(),
                plans: Vec::new(),
                changes: last.unwrap_or_default() + 1,
                created_at: now,
                updated_at: now,
            },
            content,
            content.state,
        );
        match catalog::insert(conn, portal, &product).await {
            // Another request is making it: once more, and it is there.
            Err(StoreError::Unique(Unique::Product)) => {
                return Err(StoreError::Contention(
                    "the product is being made".to_owned(),
                ));
            }
            other => other?,
        }
        let difference = diff(&[], content.plans.clone());
        self.store_plans(conn, portal, id, &difference).await?;
        self.stored_product(conn, context, portal, id, "product.created", &difference)
            .await
    }

    async fn change_product(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        before: Product,
        wanted: &Wanted<'_>,
    ) -> Result<Product, StoreError> {
        let content = wanted.content;
        let state = if wanted.keeps_state {
            before.state
        } else {
            content.state
        };
        if !before.state.may_become(state) {
            let (from, to) = (before.state.as_str(), state.as_str());
            return Err(state_conflict(&format!("A {from} product cannot become {to}.")).into());
        }
        if before.state.keeps_subscribers()
            && !state.keeps_subscribers()
            && subscriptions::live_of_product(conn, portal, &before.id).await?
        {
            return Err(in_use().into());
        }
        let known: Vec<_> = before.plans.iter().map(|plan| plan.known.clone()).collect();
        let difference = diff(&known, content.plans.clone());
        let after = with_content(before.clone(), content, state);
        if after == before && difference.is_empty() {
            return Ok(before);
        }
        let id = before.id;
        self.store_plans(conn, portal, &id, &difference).await?;
        self.raise_product(conn, portal, after).await?;
        self.stored_product(conn, context, portal, &id, UPDATED, &difference)
            .await
    }

    async fn store_plans(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        product: &Slug,
        difference: &PlanDiff,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let name = |plan| PlanName {
            portal,
            product,
            plan,
        };
        for plan in &difference.withdrawn {
            plans::withdraw(conn, name(plan), now).await?;
        }
        if difference.is_empty() {
            return Ok(());
        }
        for (place, (plan, change)) in (0_i32..).zip(&difference.plans) {
            plans::put(conn, name(&plan.id), plan, place, now).await?;
            if change.is_new_revision() {
                plans::insert_revision(conn, name(&plan.id), plan, now).await?;
            }
        }
        Ok(())
    }

    /// The product as it is stored now, after it was told what changed.
    async fn stored_product(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        id: &Slug,
        change: &'static str,
        difference: &PlanDiff,
    ) -> Result<Product, StoreError> {
        let found = catalog::find(conn, portal, id).await?;
        let product = found.ok_or_else(Error::not_found)?;
        let details = plan_details(difference);
        self.tell_of_product(conn, context, portal, &product, change, details)
            .await?;
        Ok(product)
    }

    /// Stores the product itself as its next version.
    async fn raise_product(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        product: Product,
    ) -> Result<Product, StoreError> {
        let before = product.changes;
        let after = Product {
            changes: before + 1,
            updated_at: self.clock.now(),
            ..product
        };
        if !catalog::update(conn, portal, &after, before).await? {
            return Err(concurrent().into());
        }
        let stored = catalog::find(conn, portal, &after.id).await?;
        Ok(stored.ok_or_else(Error::not_found)?)
    }

    /// Deletes the rows of a product and forgets what stands for it at Stripe.
    async fn remove_product(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        product: &Product,
        left: &Leftovers,
    ) -> Result<(), StoreError> {
        if !catalog::delete(conn, portal, &product.id, product.changes).await? {
            return Err(concurrent().into());
        }
        stripe_objects::forget_product(conn, portal, &product.id).await?;
        let gone = Product {
            changes: product.changes + 1,
            updated_at: self.clock.now(),
            ..product.clone()
        };
        let details = if left.0.is_empty() {
            Vec::new()
        } else {
            vec![("left_in_use_at_stripe", left.0.join(" "))]
        };
        self.tell_of_product(conn, context, portal, &gone, "product.deleted", details)
            .await
    }

    /// Writes the audit entry and the event of a product's change; `change` names both.
    async fn tell_of_product(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        product: &Product,
        change: &'static str,
        mut details: Vec<(&'static str, String)>,
    ) -> Result<(), StoreError> {
        let subject = subject(&product.id);
        details.insert(0, ("version", product.changes.to_string()));
        details.insert(1, ("state", product.state.as_str().to_owned()));
        let entry = Draft {
            action: change,
            subject: format!("/v1/portals/{portal}/{subject}"),
            details,
        };
        self.record(conn, context, portal, &entry).await?;
        let fact = Fact {
            event_type: change,
            subject: &subject,
            version: product.changes,
            organization: None,
            shown: &shown(portal, product.clone(), false, None),
        };
        self.publish(conn, portal, &fact).await
    }
}

const UPDATED: &str = "product.updated";

fn with_content(product: Product, content: &ProductContent, state: ProductState) -> Product {
    Product {
        title: content.title.clone(),
        version: content.version.clone(),
        description: content.description.clone(),
        state,
        ..product
    }
}

/// The outcome that shows a product.
fn shown(portal: &Slug, product: Product, created: bool, report: Option<Report>) -> Outcome {
    match report {
        None => Outcome::Product {
            portal: portal.clone(),
            product: Box::new(product),
            created,
        },
        Some(report) => Outcome::Imported {
            portal: portal.clone(),
            imported: Box::new(Imported {
                product: Some(product),
                report,
            }),
            created,
        },
    }
}

/// What of a product may still be in use at Stripe, wherever it was published.
fn in_use_at_stripe(product: &Product) -> Vec<String> {
    let of_plan = |plan: &StoredPlan| {
        let product = plan.product.as_ref().filter(|it| !it.archived);
        let price = plan.price.as_ref().filter(|it| !it.archived);
        let ids = [
            product.map(|it| it.link.id.clone()),
            price.map(|it| it.link.id.clone()),
        ];
        ids.into_iter().flatten()
    };
    product.plans.iter().flat_map(of_plan).collect()
}

/// What the audit log says of each plan that changed.
fn plan_details(difference: &PlanDiff) -> Vec<(&'static str, String)> {
    let named = |which: fn(PlanChange) -> bool| {
        let plans = difference.plans.iter().filter(|(_, change)| which(*change));
        let plans: Vec<String> = plans
            .map(|(plan, _)| format!("{}@{}", plan.id, plan.revision))
            .collect();
        plans.join(" ")
    };
    let withdrawn: Vec<&str> = difference.withdrawn.iter().map(Slug::as_str).collect();
    let all = [
        ("revisions", named(PlanChange::is_new_revision)),
        (
            "restored",
            named(|change| matches!(change, PlanChange::Restored { .. })),
        ),
        (
            "edited",
            named(|change| matches!(change, PlanChange::Edited)),
        ),
        ("withdrawn", withdrawn.join(" ")),
    ];
    let told = all.into_iter().filter(|(_, text)| !text.is_empty());
    told.collect()
}

fn state_conflict(detail: &str) -> Error {
    Error::new(Code::ProductStateConflict, detail)
}

fn pending() -> Error {
    Error::new(
        Code::OperationPending,
        "The product is being published, and the portal's Stripe module cannot be used to stop it.",
    )
}
