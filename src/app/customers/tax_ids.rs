//! Bringing changed tax ids to Stripe, where each is an object of its own: new ones are given to the
//! customer first, because Stripe may refuse them, and only then old ones are taken away. When
//! something is refused on the way, the new ones are taken away again.

use serde::{Deserialize, Serialize};

use crate::app::stripe_errors::failure_of;
use crate::domain::customer::{Customer, TAX_IDS_MAX, TaxId};
use crate::domain::error::{Code, Error, FieldCode, StripeContext};
use crate::domain::operation::Operation;
use crate::stripe::customers::{self as there, NewTaxId};
use crate::stripe::{FrozenRequest, List, Outcome, Page, RawReply, StripeError};

const LIST: &str = "list_tax_ids";
const CHECK: &str = "check_tax_ids";
const CREATE: &str = "create_tax_id";
const DELETE: &str = "delete_tax_id";
const UNDO: &str = "undo_tax_id";

/// A step and what it sends.
type Step = (&'static str, FrozenRequest);

/// How far the change of tax ids is.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct TaxIdWork {
    /// Type and value of those to be given.
    give: Vec<(String, String)>,
    /// Type and value of those to be taken away.
    take: Vec<(String, String)>,
    /// Whether it is known which ones Stripe has.
    listed: bool,
    /// Stripe's ids of those that were given.
    given: Vec<String>,
    /// Stripe's ids of those to be taken away.
    taking: Vec<String>,
    /// How many of `taking` are gone.
    taken: usize,
    /// Whether one may have been given twice, because Stripe lost an answer.
    doubtful: bool,
    /// Whether what is changed besides tax ids is done.
    rest_sent: bool,
    /// Why all of it is to be undone: code, detail, and what Stripe said.
    failed: Option<(String, String, [Option<String>; 3])>,
    /// How many of `given` are gone again.
    undone: usize,
}

/// What a refusal means.
pub(super) enum Refused {
    /// Nothing was left to do.
    AsDone,
    /// What was done has to be undone.
    Undo,
}

impl TaxIdWork {
    /// What is to be done to get from some tax ids to others.
    pub(super) fn between(before: &[TaxId], after: &[TaxId]) -> Self {
        let without = |all: &[TaxId], others: &[TaxId]| {
            all.iter()
                .filter(|tax_id| !others.contains(tax_id))
                .map(|tax_id| (tax_id.kind.clone(), tax_id.value.clone()))
                .collect::<Vec<_>>()
        };
        let (give, take) = (without(after, before), without(before, after));
        Self {
            listed: give.is_empty() && take.is_empty(),
            give,
            take,
            ..Self::default()
        }
    }

    /// The next step; `None` when the rest of the change has its turn, or when nothing is left.
    pub(super) fn next(&self, customer: &str) -> Result<Option<Step>, Error> {
        let delete = |step: &'static str, ids: &[String], done: usize| {
            let next = ids.get(done).map(|id| there::delete_tax_id(customer, id));
            next.transpose()
                .map(|request| request.map(|request| (step, request)))
        };
        if self.failed.is_some() {
            return Ok(delete(UNDO, &self.given, self.undone)?);
        }
        if !self.listed {
            return Ok(Some((LIST, list(customer)?)));
        }
        if let Some((kind, value)) = self.give.get(self.given.len()) {
            let new = NewTaxId { kind, value };
            return Ok(Some((CREATE, there::create_tax_id(customer, new)?)));
        }
        if !self.rest_sent {
            return Ok(None);
        }
        if self.doubtful {
            return Ok(Some((CHECK, list(customer)?)));
        }
        Ok(delete(DELETE, &self.taking, self.taken)?)
    }

    /// Takes Stripe's answer to the operation's step, which is one of these.
    ///
    /// # Errors
    /// `stripe_bad_answer`.
    pub(super) fn advance(&mut self, operation: &Operation, reply: &RawReply) -> Result<(), Error> {
        let step = name_of(operation);
        if step == LIST || step == CHECK {
            let all: List<there::TaxId> = reply.read()?;
            self.look_at(&all.data);
        } else if step == CREATE {
            let made: there::TaxId = reply.read()?;
            self.given.push(made.id);
            self.doubtful |= operation.key_generation > 0;
        } else {
            self.one_is_gone();
        }
        Ok(())
    }

    fn look_at(&mut self, there: &[there::TaxId]) {
        let named = |tax_id: &there::TaxId, names: &[(String, String)]| {
            let (kind, value) = (tax_id.kind.as_deref(), tax_id.value.as_deref());
            names
                .iter()
                .any(|name| kind == Some(name.0.as_str()) && value == Some(name.1.as_str()))
        };
        if self.listed {
            self.doubtful = false;
            let twice = there
                .iter()
                .filter(|it| named(it, &self.give) && !self.given.contains(&it.id));
            self.taking.extend(twice.map(|it| it.id.clone()));
        } else {
            self.listed = true;
            let unwanted = there.iter().filter(|it| named(it, &self.take));
            self.taking = unwanted.map(|it| it.id.clone()).collect();
            // What somebody has given the customer at Stripe already is not given again.
            let there_already = |name: &(String, String)| {
                there.iter().any(|it| named(it, std::slice::from_ref(name)))
            };
            self.give.retain(|name| !there_already(name));
        }
    }

    fn one_is_gone(&mut self) {
        if self.failed.is_some() {
            self.undone += 1;
        } else {
            self.taken += 1;
        }
    }

    /// What the refusal of the operation's step means.
    pub(super) fn refused(&mut self, operation: &Operation, error: &StripeError) -> Refused {
        let deletes = name_of(operation) == DELETE;
        // Undoing is tried once: what cannot be undone stays at Stripe and is not ours here.
        if self.failed.is_some() || (deletes && error.outcome() == Outcome::Missing) {
            self.one_is_gone();
            Refused::AsDone
        } else {
            Refused::Undo
        }
    }

    /// From here on, everything is undone.
    pub(super) fn undo_because(&mut self, error: &Error) {
        let failure = failure_of(error);
        let said = [
            failure.stripe_request_id,
            failure.stripe_code,
            failure.decline_code,
        ];
        self.failed = Some((failure.code, failure.detail, said));
    }

    /// Why everything was undone, if it was.
    pub(super) fn failure(&self) -> Option<Error> {
        let (code, detail, [request_id, stripe_code, decline_code]) = self.failed.clone()?;
        let known = Code::ALL.iter().find(|known| known.as_str() == code);
        let stripe = StripeContext {
            request_id,
            code: stripe_code,
            decline_code,
        };
        Some(Error::new(*known.unwrap_or(&Code::StripeRefused), detail).with_stripe(stripe))
    }

    /// What is changed besides tax ids is done.
    pub(super) fn rest_is_sent(&mut self) {
        self.rest_sent = true;
    }

    /// Whether it is.
    pub(super) fn is_rest_sent(&self) -> bool {
        self.rest_sent
    }
}

/// The name of the operation's step without its number.
fn name_of(operation: &Operation) -> &str {
    let numbered = operation.step.split_once('.');
    numbered.map_or(operation.step.as_str(), |(name, _)| name)
}

fn list(customer: &str) -> Result<FrozenRequest, StripeError> {
    there::list_tax_ids(customer, Page::largest(None))
}

/// While old and new tax ids are both there, they have to fit into what Stripe keeps of a customer.
///
/// # Errors
/// `validation_failed`.
pub(super) fn check_room(before: &Customer, after: &Customer) -> Result<(), Error> {
    let new = after
        .tax_ids
        .iter()
        .filter(|tax_id| !before.tax_ids.contains(tax_id));
    if new.clone().count() > 0 && before.tax_ids.len() + new.count() > TAX_IDS_MAX {
        return Err(Error::field(
            "/tax_ids",
            FieldCode::TooMany,
            "Old and new ones together must be at most 5. Remove the old ones first.",
        ));
    }
    Ok(())
}
