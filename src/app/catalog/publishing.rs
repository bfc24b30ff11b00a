//! The operations that bring a product to Stripe and take it from there. Each compares the product
//! with what stands at Stripe, does the first thing that is to be done, and compares again; see
//! [`super::tasks`].

use serde::{Deserialize, Serialize};

use super::Leftovers;
use super::document::Report;
use super::requests::{self, is_our_price, is_our_product, with_key};
use super::tasks::{Task, tasks};
use crate::app::App;
use crate::app::answer::Outcome;
use crate::app::operations::{Next, Search, Send, state_of, state_text};
use crate::app::stripe_errors::refusal;
use crate::domain::catalog::{PriceAtStripe, Product, ProductAtStripe};
use crate::domain::error::{Code, Error};
use crate::domain::operation::Operation;
use crate::domain::slug::Slug;
use crate::domain::stripe_link::StripeLink;
use crate::store::plans::{self, PlanName};
use crate::store::stripe_objects::{self, StripeObject};
use crate::store::{Conn, StoreError, catalog};
use crate::stripe::{self, List, RawReply, StripeError};

/// What such an operation knows.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// The product.
    pub(super) product: String,
    /// Whether the request that began it made the product.
    #[serde(default)]
    pub(super) created: bool,
    /// Whether the product is being deleted.
    #[serde(default)]
    pub(super) going: bool,
    /// What was made of a document, if it began with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) report: Option<Report>,
    /// What it is doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<Task>,
    /// Stripe's ids of what it could not take out of use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) left: Vec<String>,
}

impl State {
    fn slug(&self) -> Result<Slug, StoreError> {
        Slug::parse(&self.product).ok_or_else(corrupt)
    }
}

fn corrupt() -> StoreError {
    StoreError::corrupt("operations.state")
}

/// A plan's name inside a task.
fn plan_slug(plan: &str) -> Result<Slug, StoreError> {
    Slug::parse(plan).ok_or_else(corrupt)
}

impl App {
    /// The first task of an operation about a product.
    pub(in crate::app) async fn start_publishing(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        self.next_task(conn, operation, state_of::<State>(operation)?)
            .await
    }

    /// Stores what came of a task, and the next one.
    pub(in crate::app) async fn advance_publishing(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let state = state_of::<State>(operation)?;
        let task = state.task.as_ref().ok_or_else(corrupt)?;
        let Some(product) = catalog::lock(conn, &operation.portal, &state.slug()?).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        match self
            .settle_task(conn, operation, product, task, reply)
            .await?
        {
            Ok(()) => self.next_task(conn, operation, state).await,
            Err(not_ours) => Ok(Next::Failed(not_ours)),
        }
    }

    /// What follows when Stripe has refused a task: what exists already is looked at, what should
    /// have been taken out of use stays in it, and anything else ends the operation.
    pub(in crate::app) async fn refused_publishing(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        error: &StripeError,
    ) -> Result<Next, StoreError> {
        let mut state = state_of::<State>(operation)?;
        let task = state.task.clone().ok_or_else(corrupt)?;
        if let Some(left) = task.archives() {
            state.left.push(left.to_owned());
            return self.next_task(conn, operation, state).await;
        }
        let instead = match task {
            Task::CreateProduct { plan, .. } if error.code() == Some("resource_already_exists") => {
                Task::AdoptProduct { plan }
            }
            Task::CreatePrice {
                plan,
                revision,
                product,
                key,
            } if error.param() == Some("lookup_key") => Task::AdoptPrice {
                plan,
                revision,
                product,
                key,
            },
            _ => return Ok(Next::Failed(refusal(error))),
        };
        let Some(product) = catalog::find(conn, &operation.portal, &state.slug()?).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        self.send_task(conn, operation, state, &product, instead)
            .await
    }

    /// Where a Price is looked for whose making was not answered. Everything else may be done twice.
    #[expect(
        clippy::unused_self,
        reason = "asked like the other questions of a kind"
    )]
    pub(in crate::app) fn publishing_search(
        &self,
        operation: &Operation,
    ) -> Result<Option<Search>, Error> {
        let Some(Task::CreatePrice { key, .. }) = state_of::<State>(operation)?.task else {
            return Ok(None);
        };
        Ok(Some(Box::new(move |after| Ok(with_key(&key, after)))))
    }

    async fn next_task(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        state: State,
    ) -> Result<Next, StoreError> {
        let portal = &operation.portal;
        let Some(product) = catalog::lock(conn, portal, &state.slug()?).await? else {
            return Ok(if state.going {
                Next::Done(Outcome::Nothing)
            } else {
                Next::Failed(Error::not_found())
            });
        };
        if state.going
            && let Some(error) = self.may_not_go(conn, portal, &product).await?
        {
            return Ok(Next::Failed(error));
        }
        let (account, mode) = (&operation.stripe_account, operation.mode);
        let open = plans::open_prices(conn, portal, &product.id, account, mode).await?;
        let place = Some((account.as_str(), mode));
        let is_left = |task: &Task| {
            task.archives()
                .is_some_and(|id| state.left.iter().any(|left| left == id))
        };
        let next = tasks(portal, &product, &open, place, state.going)
            .into_iter()
            .find(|task| !is_left(task));
        match next {
            Some(task) => self.send_task(conn, operation, state, &product, task).await,
            None => {
                self.finish_publishing(conn, operation, state, product)
                    .await
            }
        }
    }

    /// Why a product that is being deleted has to stay after all.
    async fn may_not_go(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        product: &Product,
    ) -> Result<Option<Error>, StoreError> {
        if plans::has_live_subscriptions(conn, portal, &product.id).await? {
            return Ok(Some(super::in_use()));
        }
        // It was retired when its deletion began: somebody wants it after all.
        let wanted = product.state.keeps_subscribers();
        Ok(wanted.then(crate::app::portals::concurrent))
    }

    async fn send_task(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        state: State,
        product: &Product,
        task: Task,
    ) -> Result<Next, StoreError> {
        let revision = match &task {
            Task::CreatePrice { plan, revision, .. } => {
                let plan = plan_slug(plan)?;
                catalog::revision(conn, &operation.portal, &product.id, &plan, *revision).await?
            }
            _ => None,
        };
        let request = requests::request(operation, product, &task, revision.as_ref())?;
        let step = task.step();
        let state = State {
            task: Some(task),
            ..state
        };
        Ok(Next::SendNumbered(Send {
            step,
            request,
            state: Some(state_text(&state)?),
        }))
    }

    async fn finish_publishing(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        state: State,
        product: Product,
    ) -> Result<Next, StoreError> {
        let portal = &operation.portal;
        if state.going {
            let left = Leftovers(state.left);
            self.remove_product(conn, &operation.context(), portal, &product, &left)
                .await?;
            return Ok(Next::Done(Outcome::Nothing));
        }
        Ok(Next::Done(super::shown(
            portal,
            product,
            state.created,
            state.report,
        )))
    }

    /// Stores what Stripe's answer to a task says. The inner error: what was found is not ours.
    async fn settle_task(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        product: Product,
        task: &Task,
        reply: &RawReply,
    ) -> Result<Result<(), Error>, StoreError> {
        match task {
            Task::CreateProduct { .. } | Task::AdoptProduct { .. } | Task::UpdateProduct { .. } => {
                self.settle_product(conn, operation, &product, task, reply)
                    .await
            }
            Task::CreatePrice { .. } | Task::AdoptPrice { .. } | Task::UpdatePrice { .. } => {
                self.settle_price(conn, operation, product, task, reply)
                    .await
            }
        }
    }

    async fn settle_product(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        product: &Product,
        task: &Task,
        reply: &RawReply,
    ) -> Result<Result<(), Error>, StoreError> {
        let (plan, now) = match task {
            Task::CreateProduct { plan, name } => {
                let made: stripe::Product = reply.read().map_err(Error::from)?;
                (plan, at_stripe(operation, made.id, name, true))
            }
            Task::AdoptProduct { plan } => {
                let found: stripe::Product = reply.read().map_err(Error::from)?;
                if !is_our_product(&found, operation, product, plan) {
                    return Ok(Err(not_ours("Product")));
                }
                let (name, active) = (found.name.unwrap_or_default(), found.active != Some(false));
                (plan, at_stripe(operation, found.id, &name, active))
            }
            // What was asked for holds, whatever words Stripe has for it: else it would be asked for
            // again and again.
            Task::UpdateProduct {
                plan,
                id,
                name,
                active,
            } => (plan, at_stripe(operation, id.clone(), name, *active)),
            _ => return Err(corrupt()),
        };
        self.store_product(conn, operation, product, plan, now)
            .await?;
        Ok(Ok(()))
    }

    async fn settle_price(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        product: Product,
        task: &Task,
        reply: &RawReply,
    ) -> Result<Result<(), Error>, StoreError> {
        let (plan, revision, now) = match task {
            Task::CreatePrice { plan, revision, .. } => {
                let made: stripe::Price = reply.read().map_err(Error::from)?;
                (plan, *revision, price_at_stripe(operation, made.id, true))
            }
            Task::AdoptPrice {
                plan,
                revision,
                product: id,
                ..
            } => {
                let mut list: List<stripe::Price> = reply.read().map_err(Error::from)?;
                let (portal, slug) = (&operation.portal, plan_slug(plan)?);
                let stored = catalog::revision(conn, portal, &product.id, &slug, *revision).await?;
                let ours = |price: &stripe::Price| {
                    let stored = stored.as_ref();
                    stored.is_some_and(|stored| is_our_price(price, &stored.pricing, id))
                };
                let Some(found) = list.data.pop().filter(ours) else {
                    return Ok(Err(not_ours("Price")));
                };
                let active = found.active != Some(false);
                (
                    plan,
                    *revision,
                    price_at_stripe(operation, found.id, active),
                )
            }
            Task::UpdatePrice {
                plan,
                revision,
                id,
                active,
            } => (
                plan,
                *revision,
                price_at_stripe(operation, id.clone(), *active),
            ),
            _ => return Err(corrupt()),
        };
        self.store_price(conn, operation, product, (plan, revision), now)
            .await?;
        Ok(Ok(()))
    }

    /// Stores the Product that stands for a plan. Nothing of that is shown before its Price is there.
    async fn store_product(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        product: &Product,
        plan: &str,
        now: ProductAtStripe,
    ) -> Result<(), StoreError> {
        let plan = plan_slug(plan)?;
        let name = PlanName {
            portal: &operation.portal,
            product: &product.id,
            plan: &plan,
        };
        let local_id = format!("{}/{plan}", product.id);
        self.know_object(
            conn,
            operation,
            stripe_objects::PRODUCT,
            &local_id,
            &now.link.id,
        )
        .await?;
        plans::set_product(conn, name, &now).await
    }

    /// Stores the Price that stands for a revision. When it is that of the current one, the plan can
    /// be had from now on, which is a new version of the product.
    async fn store_price(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        product: Product,
        (plan, revision): (&str, i64),
        now: PriceAtStripe,
    ) -> Result<(), StoreError> {
        let plan = plan_slug(plan)?;
        let name = PlanName {
            portal: &operation.portal,
            product: &product.id,
            plan: &plan,
        };
        let local_id = format!("{}/{plan}/{revision}", product.id);
        let id = &now.link.id;
        self.know_object(conn, operation, stripe_objects::PRICE, &local_id, id)
            .await?;
        plans::set_price(conn, name, revision, &now).await?;
        let shown = product.plans.iter().any(|stored| {
            let known = &stored.known;
            let before = stored.price.as_ref().map(|price| &price.link);
            known.plan.id == plan
                && !known.withdrawn
                && known.plan.revision == revision
                && before != Some(&now.link)
        });
        if !shown {
            return Ok(());
        }
        let details = vec![
            ("plan", plan.to_string()),
            ("revision", revision.to_string()),
            ("price", now.link.id),
        ];
        let changed = self.raise_product(conn, &operation.portal, product).await?;
        let context = operation.context();
        self.tell_of_product(
            conn,
            &context,
            &operation.portal,
            &changed,
            "product.updated",
            details,
        )
        .await
    }

    /// Remembers which object at Stripe stands for a thing of ours.
    async fn know_object(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        kind: &str,
        local_id: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        let (portal, account) = (&operation.portal, &operation.stripe_account);
        let known =
            stripe_objects::id_of(conn, portal, kind, local_id, account, operation.mode).await?;
        if known.is_some() {
            return Ok(());
        }
        let object = StripeObject {
            account_id: account.clone(),
            mode: operation.mode,
            stripe_id: id.to_owned(),
            kind: kind.to_owned(),
            local_id: local_id.to_owned(),
        };
        stripe_objects::insert(conn, portal, &object, self.clock.now()).await
    }
}

fn at_stripe(operation: &Operation, id: String, name: &str, active: bool) -> ProductAtStripe {
    ProductAtStripe {
        link: link(operation, id),
        name: name.to_owned(),
        archived: !active,
    }
}

fn price_at_stripe(operation: &Operation, id: String, active: bool) -> PriceAtStripe {
    PriceAtStripe {
        link: link(operation, id),
        archived: !active,
    }
}

fn link(operation: &Operation, id: String) -> StripeLink {
    StripeLink {
        account: operation.stripe_account.clone(),
        mode: operation.mode,
        id,
    }
}

fn not_ours(what: &str) -> Error {
    Error::new(
        Code::StripeRefused,
        format!("A {what} at Stripe stands where that of this plan would, and is another one."),
    )
}
