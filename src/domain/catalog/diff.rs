//! What a new version of a product does to each of its plans.

use super::{Plan, PlanContent};
use crate::domain::slug::Slug;

/// A plan that the product has, or had once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPlan {
    /// As it last was.
    pub plan: Plan,
    /// Whether it can no longer be had. Its revisions stay, for their subscribers.
    pub withdrawn: bool,
}

/// What happens to one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanChange {
    /// It did not exist.
    Added,
    /// It was withdrawn and can be had again.
    Restored {
        /// Whether its pricing is a new revision.
        repriced: bool,
    },
    /// Its pricing is a new revision.
    Repriced,
    /// Its texts or its approval changed, not its pricing.
    Edited,
    /// Nothing.
    Unchanged,
}

impl PlanChange {
    /// Whether there is a revision to store that did not exist before.
    pub const fn is_new_revision(self) -> bool {
        matches!(
            self,
            Self::Added | Self::Repriced | Self::Restored { repriced: true }
        )
    }
}

/// What a new version does to the plans of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanDiff {
    /// The plans as they will be, in the caller's order, each with its revision.
    pub plans: Vec<(Plan, PlanChange)>,
    /// Those that can no longer be had.
    pub withdrawn: Vec<Slug>,
    /// Whether those that stay stand in another order.
    pub reordered: bool,
}

impl PlanDiff {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        let unchanged = |(_, change): &(Plan, PlanChange)| *change == PlanChange::Unchanged;
        self.withdrawn.is_empty() && !self.reordered && self.plans.iter().all(unchanged)
    }
}

/// Compares. A changed pricing gets the next revision and never takes the place of the one before;
/// a plan that was withdrawn goes on counting where it stopped. `known` holds each id at most once,
/// those that can be had in their order.
pub fn diff(known: &[KnownPlan], after: Vec<PlanContent>) -> PlanDiff {
    let stays = |id: &Slug| after.iter().any(|plan| plan.id == *id);
    let withdrawn: Vec<Slug> = known
        .iter()
        .filter(|known| !known.withdrawn && !stays(&known.plan.id))
        .map(|known| known.plan.id.clone())
        .collect();
    let staying: Vec<&Slug> = known
        .iter()
        .filter(|known| !known.withdrawn && stays(&known.plan.id))
        .map(|known| &known.plan.id)
        .collect();
    let reordered = !after
        .iter()
        .map(|plan| &plan.id)
        .filter(|id| staying.contains(id))
        .eq(staying.iter().copied());
    let plans = after
        .into_iter()
        .map(|content| {
            let before = known.iter().find(|known| known.plan.id == content.id);
            place(before, content)
        })
        .collect();
    PlanDiff {
        plans,
        withdrawn,
        reordered,
    }
}

fn place(before: Option<&KnownPlan>, content: PlanContent) -> (Plan, PlanChange) {
    let Some(before) = before else {
        return (with_revision(content, 1), PlanChange::Added);
    };
    let repriced = before.plan.pricing != content.pricing;
    let revision = before.plan.revision.saturating_add(i64::from(repriced));
    let plan = with_revision(content, revision);
    let change = if before.withdrawn {
        PlanChange::Restored { repriced }
    } else if repriced {
        PlanChange::Repriced
    } else if plan == before.plan {
        PlanChange::Unchanged
    } else {
        PlanChange::Edited
    };
    (plan, change)
}

fn with_revision(content: PlanContent, revision: i64) -> Plan {
    Plan {
        id: content.id,
        title: content.title,
        description: content.description,
        approval_required: content.approval_required,
        pricing: content.pricing,
        revision,
    }
}
